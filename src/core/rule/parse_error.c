#include <string.h>

#include "base/buf.h"
#include "core/rule/expression.h"
#include "grammar.h"
#include "parse_priv.h"

/*
 * What is wrong with a text, said to the person who wrote it.
 *
 * Errors tell the place in characters, what was found, what could stand there
 * (asked of the grammar's own table), and what was probably meant.
 *
 * Rejected: a second error message after recovery, which is usually wrong; and
 * errors by exception of a limit ("internal error"): each limit says its name.
 */

static uint32_t count_characters(struct str text)
{
    uint32_t count = 0;
    for (size_t i = 0; i < text.size; i++) {
        count += ((uint8_t)text.data[i] & 0xc0) != 0x80;
    }
    return count;
}

static void put_text(char *field, size_t field_size, struct str text)
{
    struct str taken = str_take_text(text, field_size - 1);
    if (taken.size > 0) {
        memcpy(field, taken.data, taken.size);
    }
    field[taken.size] = '\0';
}

struct rule_error rule_error_at(struct str text, size_t start, size_t size, struct str detail,
                                const char *expected, const char *suggestion)
{
    struct str before = str_take(text, start);
    size_t line_start = 0;
    struct rule_error error = { .line = 1, .found = str_take(str_drop(text, start), size) };
    for (ptrdiff_t at = str_find(before, '\n', 0); at >= 0;
         at = str_find(before, '\n', line_start)) {
        line_start = (size_t)at + 1;
        error.line++;
    }
    error.column = 1 + count_characters(str_drop(before, line_start));
    error.length = count_characters(error.found);
    put_text(error.detail, sizeof(error.detail), detail);
    put_text(error.expected, sizeof(error.expected), str_from_z(expected));
    put_text(error.suggestion, sizeof(error.suggestion), str_from_z(suggestion));
    return error;
}

bool rule_fail(struct rule_parser *parser, struct rule_span span, struct str detail,
               const char *expected, const char *suggestion)
{
    if (parser->has_failed) {
        return false;
    }
    parser->has_failed = true;
    if (arena_is_full(parser->arena)) {
        return false;
    }
    parser->error = rule_error_at(parser->text, span.start, span.end - span.start, detail, expected,
                                  suggestion);
    parser->has_error = true;
    return false;
}

struct str rule_quoted(const struct rule_parser *parser, struct rule_span span, size_t size_max)
{
    struct str text = rule_span_text(parser, span);
    if (text.size <= size_max) {
        return text;
    }
    return str_printf(parser->arena, "%.*s...", STR_ARG(str_take_text(text, size_max)));
}

void rule_parser_too_deep(struct rule_parser *parser)
{
    rule_fail(parser, parser->token,
              str_printf(parser->arena,
                         "the expression is more than %d levels deep; \"in\" with a list takes "
                         "the place of many \"or\"",
                         (int)RULE_DEPTH_MAX),
              "a flatter expression", NULL);
}

void rule_parser_open_text(struct rule_parser *parser, struct rule_span span)
{
    rule_fail(parser, span,
              STR("this text is not closed: a text ends with \" on the line it began on"),
              "\"\\\"\"", NULL);
}

static const struct wrong_sign {
    const char *sign;
    const char *meant;
} wrong_signs[] = {
    { "==", "=" },  { "===", "=" }, { "!==", "!=" }, { "<>", "!=" },
    { "=>", ">=" }, { "=<", "<=" }, { "=~", "~=" },  { "&&", "and" },
    { "&", "and" }, { "||", "or" }, { "|", "or" },   { "!", "not" },
};

void rule_parser_wrong_sign(struct rule_parser *parser, struct rule_span span)
{
    struct str sign = rule_span_text(parser, span);
    for (size_t i = 0; i < ARRAY_COUNT(wrong_signs); i++) {
        if (str_equal_z(sign, wrong_signs[i].sign)) {
            rule_fail(parser, span,
                      str_printf(parser->arena, "\"%s\" is written \"%s\" here",
                                 wrong_signs[i].sign, wrong_signs[i].meant),
                      "an operator of the language", wrong_signs[i].meant);
            return;
        }
    }
    static const char *const quotes[] = { "'",      "`",      "\u201c", "\u201d", "\u201e",
                                          "\u2018", "\u2019", "\u00ab", "\u00bb" };
    for (size_t i = 0; i < ARRAY_COUNT(quotes); i++) {
        if (str_equal_z(sign, quotes[i])) {
            rule_fail(parser, span, STR("texts stand in double quotes: \"like this\""),
                      "a text in double quotes", "\"");
            return;
        }
    }
    if (str_equal(sign, STR("."))) {
        rule_fail(parser, span,
                  STR("a point stands between two words, or between digits as in 0.5"),
                  "a name, a value or an operator", NULL);
        return;
    }
    rule_fail(parser, span,
              (uint8_t)sign.data[0] < ' '
                  ? str_printf(parser->arena, "the control character 0x%02x means nothing here",
                               (unsigned)(uint8_t)sign.data[0])
                  : str_printf(parser->arena, "\"%.*s\" means nothing here", STR_ARG(sign)),
              "a name, a value or an operator", NULL);
}

/* --- what could stand here ------------------------------------------------- */

static bool accepts(uint64_t accepted, int token)
{
    return (accepted >> token & 1) != 0;
}

void rule_parser_took(struct rule_parser *parser, int token)
{
    if (token == RULE_TOKEN_LP || token == RULE_TOKEN_LB) {
        bool is_call = token == RULE_TOKEN_LP && parser->is_after_function;
        enum rule_opening kind = token == RULE_TOKEN_LB ? RULE_OPEN_LIST
                                 : is_call              ? RULE_OPEN_FUNCTION
                                                        : RULE_OPEN_GROUP;
        parser->open_kinds = parser->open_kinds << 2 | (uint64_t)kind;
        parser->open_count++;
    } else if (token == RULE_TOKEN_RP || token == RULE_TOKEN_RB) {
        parser->open_kinds >>= 2;
        parser->open_count--;
    }
    parser->is_after_function = token == RULE_TOKEN_FUNCTION;
}

/* After something complete: an operator, a clause of the aggregate, or what
 * closes the innermost that is open. The table alone would say too much: its
 * states look ahead to what may follow anywhere. */
static const char *expected_next(const struct rule_parser *parser, uint64_t accepted)
{
    static const char *const clauses[] = { "\"where\"", "\"by\"", "\"within\"", "\"after\"" };
    enum rule_opening kind = (enum rule_opening)(parser->open_kinds & 3);
    bool has_operator = accepts(accepted, RULE_TOKEN_OR) || accepts(accepted, RULE_TOKEN_AND);
    if (parser->open_count == 0) {
        return "an operator or the end";
    }
    if (kind == RULE_OPEN_LIST) {
        return "\",\" or \"]\"";
    }
    if (kind == RULE_OPEN_GROUP) {
        return has_operator ? "an operator or \")\"" : "\",\" or \")\"";
    }
    struct buf buf;
    buf_init(&buf, parser->arena, sizeof(parser->error.expected));
    buf_add_z(&buf, has_operator ? "an operator, " : "");
    for (int i = 0; i < (int)ARRAY_COUNT(clauses); i++) {
        if (accepts(accepted, RULE_TOKEN_WHERE + i)) {
            buf_printf(&buf, "%s, ", clauses[i]);
        }
    }
    struct str list = buf_str(&buf);
    if (list.size == 0) {
        return "\")\"";
    }
    return str_dup_z(parser->arena,
                     str_printf(parser->arena, "%.*s or \")\"", (int)list.size - 2, list.data));
}

static const char *expected_here(const struct rule_parser *parser, uint64_t accepted)
{
    if (accepts(accepted, RULE_TOKEN_LP)) {
        return "a name, a value or \"(\"";
    }
    if (accepts(accepted, RULE_TOKEN_TEXT)) {
        return "a text or a number";
    }
    if (accepts(accepted, RULE_TOKEN_SET)) {
        return accepts(accepted, RULE_TOKEN_NOT) ? "\"set\" or \"not set\"" : "\"set\"";
    }
    if (accepts(accepted, RULE_TOKEN_NAME)) {
        return "a property";
    }
    if (accepts(accepted, RULE_TOKEN_DURATION)) {
        return "a duration such as 24h";
    }
    if (accepts(accepted, RULE_TOKEN_NUMBER)) {
        return "a number";
    }
    return expected_next(parser, accepted);
}

static const char *const operator_words[] = { "and", "or",    "in", "contains", "starts_with",
                                              "is",  "where", "by", "within",   "after" };

/* The keyword that a word was probably meant to be; NULL. */
static const char *keyword_for(struct str word)
{
    for (size_t i = 0; i < ARRAY_COUNT(operator_words); i++) {
        if (str_equal_nocase_z(word, operator_words[i])) {
            return operator_words[i];
        }
    }
    if (str_equal_nocase(word, STR("like")) || str_equal_nocase(word, STR("equals"))) {
        return str_equal_nocase(word, STR("like")) ? "contains" : "=";
    }
    if (str_equal_nocase(word, STR("startswith"))) {
        return "starts_with";
    }
    return str_nearest(word, operator_words, ARRAY_COUNT(operator_words));
}

static bool is_comparison(int token)
{
    return token >= RULE_TOKEN_EQ && token <= RULE_TOKEN_STARTS_WITH;
}

static bool is_clause(int token)
{
    return token >= RULE_TOKEN_WHERE && token <= RULE_TOKEN_AFTER;
}

static void unexpected_end(struct rule_parser *parser, struct rule_span span, const char *expected,
                           bool may_close)
{
    if (parser->previous.end == 0) {
        rule_fail(parser, span, STR("the expression is empty"), expected, NULL);
    } else if (may_close && parser->open_count > 0) {
        bool is_list = (parser->open_kinds & 3) == RULE_OPEN_LIST;
        rule_fail(parser, span,
                  str_printf(parser->arena, "the expression ends, and a \"%s\" is still open",
                             is_list ? "[" : "("),
                  expected, NULL);
    } else {
        rule_fail(parser, span,
                  str_printf(parser->arena, "the expression ends where %s is expected", expected),
                  expected, NULL);
    }
}

/* What people write for units, and how many of ours that is. */
static const struct unit_word {
    const char *word;
    int64_t factor;
    const char *unit;
} unit_words[] = {
    { "s", 1, "s" },      { "m", 1, "m" },       { "h", 1, "h" },       { "d", 1, "d" },
    { "w", 1, "w" },      { "S", 1, "s" },       { "sec", 1, "s" },     { "secs", 1, "s" },
    { "second", 1, "s" }, { "seconds", 1, "s" }, { "min", 1, "m" },     { "mins", 1, "m" },
    { "minute", 1, "m" }, { "minutes", 1, "m" }, { "H", 1, "h" },       { "hr", 1, "h" },
    { "hrs", 1, "h" },    { "hour", 1, "h" },    { "hours", 1, "h" },   { "D", 1, "d" },
    { "day", 1, "d" },    { "days", 1, "d" },    { "W", 1, "w" },       { "week", 1, "w" },
    { "weeks", 1, "w" },  { "mo", 30, "d" },     { "mon", 30, "d" },    { "M", 30, "d" },
    { "month", 30, "d" }, { "months", 30, "d" }, { "y", 365, "d" },     { "Y", 365, "d" },
    { "yr", 365, "d" },   { "year", 365, "d" },  { "years", 365, "d" },
};

const char *rule_duration_meant(struct rule_parser *parser, int64_t count, struct str word)
{
    for (size_t i = 0; i < ARRAY_COUNT(unit_words); i++) {
        int64_t meant = 0;
        if (str_equal_z(word, unit_words[i].word) &&
            !__builtin_mul_overflow(count, unit_words[i].factor, &meant)) {
            struct str text =
                str_printf(parser->arena, "%lld%s", (long long)meant, unit_words[i].unit);
            return str_dup_z(parser->arena, text);
        }
    }
    return NULL;
}

/* "24 h", "a AND b", "a b": a word where an operator is due. */
static void unexpected_word(struct rule_parser *parser, struct rule_span span, const char *expected)
{
    struct str word = rule_span_text(parser, span);
    int64_t count = 0;
    bool is_counted = str_to_i64(rule_span_text(parser, parser->previous), &count);
    const char *duration = is_counted ? rule_duration_meant(parser, count, word) : NULL;
    if (duration != NULL) {
        rule_fail(parser, span,
                  str_printf(parser->arena, "a duration is written without a space: %s", duration),
                  expected, duration);
        return;
    }
    const char *keyword = keyword_for(word);
    struct str shown = rule_quoted(parser, span, RULE_QUOTE_BYTES_MAX);
    rule_fail(parser, span,
              keyword == NULL
                  ? str_printf(parser->arena, "\"%.*s\" cannot stand here; expected %s",
                               STR_ARG(shown), expected)
                  : str_printf(parser->arena,
                               "\"%.*s\" cannot stand here; expected %s; did you mean \"%s\"?",
                               STR_ARG(shown), expected, keyword),
              expected, keyword);
}

void rule_parser_unexpected(struct rule_parser *parser, int token, struct rule_span span,
                            uint64_t accepted)
{
    bool may_close = accepts(accepted, RULE_TOKEN_RP) || accepts(accepted, RULE_TOKEN_RB);
    bool may_go_on = may_close || accepts(accepted, RULE_TOKEN_OR) || accepts(accepted, 0);
    const char *expected = expected_here(parser, accepted);
    if (token == 0) {
        unexpected_end(parser, span, expected, may_close);
        return;
    }
    if (may_go_on && (token == RULE_TOKEN_NAME || token == RULE_TOKEN_FUNCTION)) {
        unexpected_word(parser, span, expected);
        return;
    }
    if ((token == RULE_TOKEN_RP || token == RULE_TOKEN_RB) && parser->open_count == 0) {
        rule_fail(parser, span, STR("nothing is open that this closes"), expected, NULL);
        return;
    }
    if (is_comparison(token) && accepts(accepted, RULE_TOKEN_OR)) {
        rule_fail(parser, span, STR("comparisons do not chain; join two of them with \"and\""),
                  expected, "and");
        return;
    }
    if (accepts(accepted, RULE_TOKEN_SET) &&
        str_equal_nocase(rule_span_text(parser, span), STR("null"))) {
        rule_fail(parser, span, STR("there is no null to compare with; a name is set or it is not"),
                  expected, "not set");
        return;
    }
    if (is_clause(token) && may_close) {
        rule_fail(
            parser, span,
            STR("the parts of an aggregate stand once each, in this order: where, by, within, "
                "after"),
            expected, NULL);
        return;
    }
    struct str shown = rule_quoted(parser, span, RULE_QUOTE_BYTES_MAX);
    rule_fail(parser, span,
              str_printf(parser->arena,
                         token == RULE_TOKEN_TEXT ? "%.*s cannot stand here; expected %s"
                                                  : "\"%.*s\" cannot stand here; expected %s",
                         STR_ARG(shown), expected),
              expected, NULL);
}
