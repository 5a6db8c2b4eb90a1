#include "core/rule/sentence.h"

#include "base/instant.h"

/*
 * Of a tree only that part is told which decides: of a true "or" the first side
 * that holds, of a false "and" the sides that do not. Each comparison becomes a
 * clause: what is, and in parentheses what is needed.
 *
 * Rejected: a template per rule. Rules are written by people, and what they
 * edited would be explained by what it was before.
 *
 * The walk recurses; parse.c bounds the height of trees.
 */

enum {
    CLAUSES_MAX = 4, /* a sentence, not a list */
};

struct teller {
    struct arena *arena;
    const struct rule_program *program;
    const struct rule_subject *subject;
    int64_t at_ms;
    bool hides_values;
    struct str clauses[CLAUSES_MAX];
    size_t clause_count;
    size_t left_out;
    bool rests_on_count;
};

/* --- values --------------------------------------------------------------- */

static struct str duration_words(struct arena *arena, int64_t ms)
{
    static const struct {
        int64_t ms;
        const char *name;
    } units[] = {
        { INSTANT_DAY_MS, "days" },
        { INSTANT_HOUR_MS, "hours" },
        { INSTANT_MINUTE_MS, "minutes" },
        { INSTANT_SECOND_MS, "seconds" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(units); i++) {
        if (ms >= 2 * units[i].ms) {
            return str_printf(arena, "%lld %s", (long long)(ms / units[i].ms), units[i].name);
        }
    }
    return str_printf(arena, "%lld ms", (long long)ms);
}

static struct str date_words(struct arena *arena, int64_t days)
{
    int year = 0;
    int month = 0;
    int day = 0;
    instant_civil_from_days(days, &year, &month, &day);
    return str_printf(arena, "%04d-%02d-%02d", year, month, day);
}

static struct str scalar_words(struct arena *arena, struct rule_value value)
{
    char text[INSTANT_TEXT_SIZE + 16];
    switch (value.type) {
    case RULE_BOOL:
        return value.boolean ? STR("true") : STR("false");
    case RULE_NUMBER:
        return str_dup(arena, (struct str){ text, rule_number_format(value.number, text) });
    case RULE_TEXT:
        return str_printf(arena, "\"%.*s\"", STR_ARG(value.text));
    case RULE_INSTANT:
        instant_format(value.ms, text);
        return str_dup(arena, str_from_z(text));
    case RULE_DURATION:
        return duration_words(arena, value.ms);
    case RULE_DATE:
        return date_words(arena, value.days);
    case RULE_NULL:
    case RULE_LIST:
        break;
    }
    return STR("not set");
}

static struct str value_words(struct arena *arena, struct rule_value value)
{
    if (value.type != RULE_LIST) {
        return scalar_words(arena, value);
    }
    struct str words = STR("");
    for (size_t i = 0; i < value.list.count; i++) {
        struct str item = scalar_words(arena, value.list.items[i]);
        words = str_printf(arena, "%.*s%s%.*s", STR_ARG(words), i > 0 ? ", " : "", STR_ARG(item));
    }
    return value.list.count == 0 ? STR("empty") : words;
}

/* What came from the customer's facts. */
static struct str fact_words(const struct teller *teller, struct rule_value value)
{
    bool is_text = value.type == RULE_TEXT || value.type == RULE_LIST || value.type == RULE_DATE;
    return teller->hides_values && is_text ? STR("hidden") : value_words(teller->arena, value);
}

static struct rule_value value_of(const struct teller *teller, const struct rule_node *node,
                                  bool *out_at_least)
{
    return rule_evaluate_node(teller->arena, teller->program, node, teller->subject, teller->at_ms,
                              NULL, out_at_least);
}

static bool holds(const struct teller *teller, const struct rule_node *node)
{
    struct rule_value value = value_of(teller, node, NULL);
    return value.type == RULE_BOOL && value.boolean;
}

/* --- what is needed --------------------------------------------------------- */

/* What "not" makes of it; only where there are words for it. */
static enum rule_op inverted(enum rule_op op)
{
    switch ((int)op) {
    case RULE_OP_LT:
        return RULE_OP_GE;
    case RULE_OP_LE:
        return RULE_OP_GT;
    case RULE_OP_GT:
        return RULE_OP_LE;
    case RULE_OP_GE:
        return RULE_OP_LT;
    case RULE_OP_EQ:
        return RULE_OP_NE;
    case RULE_OP_NE:
        return RULE_OP_EQ;
    default:
        return op;
    }
}

static const char *need_words(enum rule_op op)
{
    switch ((int)op) {
    case RULE_OP_LT:
        return "less than ";
    case RULE_OP_LE:
        return "at most ";
    case RULE_OP_GT:
        return "more than ";
    case RULE_OP_GE:
        return "at least ";
    case RULE_OP_NE:
        return "other than ";
    case RULE_OP_LIKE:
        return "the like of ";
    case RULE_OP_CONTAINS:
        return "one with ";
    case RULE_OP_STARTS_WITH:
        return "one that starts with ";
    case RULE_OP_IN:
        return "one of ";
    default:
        return "";
    }
}

/* "at least 3": a literal as it is written, all else with its value. */
static struct str needed(const struct teller *teller, enum rule_op op, bool negated,
                         const struct rule_node *node)
{
    bool has_inverse = inverted(op) != op;
    const char *no = negated && !has_inverse ? "not " : "";
    const char *words = need_words(negated ? inverted(op) : op);
    struct str text = rule_format(teller->arena, node);
    if (node->op == RULE_OP_LITERAL) {
        return str_printf(teller->arena, "%s%s%.*s", no, words, STR_ARG(text));
    }
    struct rule_value known = value_of(teller, node, NULL);
    if (known.type == RULE_NULL) {
        return str_printf(teller->arena, "%s%s%.*s, which is not known,", no, words, STR_ARG(text));
    }
    struct str value = fact_words(teller, known);
    return str_printf(teller->arena, "%s%s%.*s, by %.*s,", no, words, STR_ARG(value),
                      STR_ARG(text));
}

/* --- clauses ---------------------------------------------------------------- */

/* "category "Shoes" and brand "X"", or empty where there are no such words. */
static struct str plain_where(const struct teller *teller, const struct rule_node *where)
{
    if (where->op == RULE_OP_AND) {
        struct str left = plain_where(teller, where->left);
        struct str right = plain_where(teller, where->right);
        return left.size == 0 || right.size == 0
                   ? (struct str){ NULL, 0 }
                   : str_printf(teller->arena, "%.*s and %.*s", STR_ARG(left), STR_ARG(right));
    }
    if (where->op != RULE_OP_EQ || where->left->op != RULE_OP_NAME ||
        where->right->op != RULE_OP_LITERAL) {
        return (struct str){ NULL, 0 };
    }
    struct str literal = rule_format(teller->arena, where->right);
    return str_printf(teller->arena, "%.*s %.*s", STR_ARG(where->left->name.key), STR_ARG(literal));
}

static struct str event_words(const struct teller *teller, const struct rule_aggregation *what)
{
    if (what->where == NULL) {
        return what->event_name;
    }
    struct str where = plain_where(teller, what->where);
    if (where.size > 0) {
        return str_printf(teller->arena, "%.*s with %.*s", STR_ARG(what->event_name),
                          STR_ARG(where));
    }
    where = rule_format(teller->arena, what->where);
    return str_printf(teller->arena, "%.*s where %.*s", STR_ARG(what->event_name), STR_ARG(where));
}

static struct str window_words(const struct teller *teller, const struct rule_aggregation *what)
{
    struct str words = STR("");
    char text[24];
    if (what->within_ms > 0) {
        if (what->within_ms == INSTANT_DAY_MS) {
            words = STR(" in 24h"); /* "1d" reads as a calendar day, which it is not */
        } else {
            duration_format(what->within_ms, text);
            words = str_printf(teller->arena, " in %s", text);
        }
    }
    if (what->after != NULL) {
        struct str after = rule_format(teller->arena, what->after);
        words = str_printf(teller->arena, "%.*s after %.*s", STR_ARG(words), STR_ARG(after));
    }
    return words;
}

static struct str count_clause(const struct teller *teller, const struct rule_node *node)
{
    const struct rule_aggregation *what = node->aggregation;
    bool at_least = false;
    int64_t count = value_of(teller, node, &at_least).number / RULE_NUMBER_ONE;
    struct str event = event_words(teller, what);
    struct str window = window_words(teller, what);
    struct str times = count == 0   ? STR("did not happen")
                       : count == 1 ? STR("happened once")
                                    : str_printf(teller->arena, "happened %s%lld times",
                                                 at_least ? "at least " : "", (long long)count);
    return str_printf(teller->arena, "%.*s %.*s%.*s", STR_ARG(event), STR_ARG(times),
                      STR_ARG(window));
}

static struct str side_clause(const struct teller *teller, const struct rule_node *node)
{
    struct arena *arena = teller->arena;
    if (node->op == RULE_OP_AGGREGATE && node->aggregation->function == RULE_COUNT) {
        return count_clause(teller, node);
    }
    struct rule_value value = value_of(teller, node, NULL);
    struct str words = fact_words(teller, value);
    if (node->op == RULE_OP_AGE) {
        struct str name = rule_format(arena, node->left);
        return value.type == RULE_NULL
                   ? str_printf(arena, "%.*s is not set", STR_ARG(name))
                   : str_printf(arena, "%.*s was %.*s ago", STR_ARG(name), STR_ARG(words));
    }
    struct str text = rule_format(arena, node);
    return str_printf(arena, "%.*s is %.*s", STR_ARG(text), STR_ARG(words));
}

/* Which side says what is: the one that is not written down as a constant. */
static bool tells_right(const struct rule_node *node)
{
    bool is_list = node->op == RULE_OP_IN && node->right->op == RULE_OP_NAME;
    return is_list || (node->left->op == RULE_OP_LITERAL && node->right->op != RULE_OP_LITERAL);
}

static struct str member_clause(const struct teller *teller, const struct rule_node *node,
                                bool verdict)
{
    struct str item = rule_format(teller->arena, node->left);
    struct str list = rule_format(teller->arena, node->right);
    return str_printf(teller->arena, "%.*s is %sin %.*s", STR_ARG(item), verdict ? "" : "not ",
                      STR_ARG(list));
}

static struct str comparison_clause(struct teller *teller, const struct rule_node *node,
                                    bool negated)
{
    if (node->op == RULE_OP_IN && node->right->op != RULE_OP_LITERAL) {
        return member_clause(teller, node, holds(teller, node));
    }
    bool right = tells_right(node);
    const struct rule_node *told = right ? node->right : node->left;
    enum rule_op op = right ? rule_op_mirrored(node->op) : node->op;
    if (told->op == RULE_OP_AGGREGATE && !negated && holds(teller, node) &&
        told->aggregation->within_ms > 0 && (op == RULE_OP_GE || op == RULE_OP_GT)) {
        teller->rests_on_count = true;
    }
    struct str is = side_clause(teller, told);
    struct str need = needed(teller, op, negated, right ? node->left : node->right);
    return str_printf(teller->arena, "%.*s (%.*s needed)", STR_ARG(is), STR_ARG(need));
}

static struct str leaf_clause(struct teller *teller, const struct rule_node *node, bool negated)
{
    struct arena *arena = teller->arena;
    struct str text = rule_format(arena, node);
    switch ((int)node->op) {
    case RULE_OP_LITERAL:
        return str_printf(arena, "the rule says %.*s", STR_ARG(text));
    case RULE_OP_IS_SET:
        text = rule_format(arena, node->left);
        return str_printf(arena, "%.*s is %sset", STR_ARG(text), holds(teller, node) ? "" : "not ");
    case RULE_OP_NAME:
    case RULE_OP_AGGREGATE:
        return side_clause(teller, node);
    default:
        return comparison_clause(teller, node, negated);
    }
}

/* --- the tree ----------------------------------------------------------------- */

static void add_clause(struct teller *teller, struct str clause)
{
    if (teller->clause_count == CLAUSES_MAX) {
        teller->left_out++;
    } else {
        teller->clauses[teller->clause_count++] = clause;
    }
}

static void tell(struct teller *teller, const struct rule_node *node, bool negated)
{
    bool verdict = holds(teller, node);
    bool left = false;
    switch ((int)node->op) {
    case RULE_OP_NOT:
        tell(teller, node->left, !negated);
        return;
    case RULE_OP_AND:
    case RULE_OP_OR:
        /* The side or sides that have the verdict of the whole. */
        left = holds(teller, node->left) == verdict;
        if (left) {
            tell(teller, node->left, negated);
        }
        if (holds(teller, node->right) == verdict &&
            (!left || verdict == (node->op == RULE_OP_AND) || !verdict)) {
            tell(teller, node->right, negated);
        }
        return;
    default:
        add_clause(teller, leaf_clause(teller, node, negated));
    }
}

struct rule_sentence rule_sentence(struct arena *arena, const struct rule_program *program,
                                   const struct rule_node *root, const struct rule_subject *subject,
                                   int64_t at_ms, bool hides_values)
{
    struct teller teller = { .arena = arena,
                             .program = program,
                             .subject = subject,
                             .at_ms = at_ms,
                             .hides_values = hides_values };
    tell(&teller, root, false);
    struct str text = STR("");
    for (size_t i = 0; i < teller.clause_count; i++) {
        text = str_printf(arena, "%.*s%s%.*s", STR_ARG(text), i > 0 ? ", and " : "",
                          STR_ARG(teller.clauses[i]));
    }
    if (teller.left_out > 0) {
        text = str_printf(arena, "%.*s, and %zu more", STR_ARG(text), teller.left_out);
    }
    return (struct rule_sentence){ .text = text, .rests_on_count = teller.rests_on_count };
}
