#include "base/arena.h"
#include "base/buf.h"
#include "base/instant.h"
#include "core/rule/expression.h"
#include "unit.h"

/*
 * The tree itself, the limits, and what cannot stand in a line of a golden
 * file; sentences and their errors are in tests/golden/rule.case. At the end, a
 * property: a random tree's canonical text parses to an equal tree.
 */

enum {
    ARENA_BYTES = 4 * 1024 * 1024
};

static const struct rule_known known_rules[] = {
    { { "lifecycle", 9 }, RULE_KIND_LIFECYCLE },
    { { "frequent_buyer", 14 }, RULE_KIND_TAG },
    { { "shoes", 5 }, RULE_KIND_SEGMENT },
    { { "basket", 6 }, RULE_KIND_TIER },
};

static const struct rule_vocabulary in_rule = { RULE_CONTEXT_RULE, known_rules,
                                                ARRAY_COUNT(known_rules) };

struct fixture {
    struct arena *arena;
    struct rule_error error;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){ .arena = arena_create(ARENA_BYTES) };
    *state = &fixture;
    return fixture.arena == NULL;
}

static int tear_down(void **state)
{
    arena_destroy(((struct fixture *)*state)->arena);
    return 0;
}

static struct rule_node *parse(struct fixture *fixture, struct str text)
{
    struct rule_node *root = NULL;
    enum status status = rule_parse(fixture->arena, text, &in_rule, &root, &fixture->error);
    if (status != STATUS_OK) {
        print_error("%.*s: %s\n", STR_ARG(text), fixture->error.detail);
    }
    assert_int_equal(status, STATUS_OK);
    return root;
}

static const struct rule_error *refuse(struct fixture *fixture, struct str text)
{
    struct rule_node *root = NULL;
    enum status status = rule_parse(fixture->arena, text, &in_rule, &root, &fixture->error);
    assert_int_equal(status, STATUS_INVALID);
    assert_null(root);
    return &fixture->error;
}

static void assert_span(struct str text, const struct rule_node *node, const char *expected)
{
    assert_str_equal(str_take(str_drop(text, node->start), node->end - node->start),
                     str_from_z(expected));
}

/* The offsets of contract 12's example. */
static void nodes_know_their_text(void **state)
{
    struct str text = STR("count(product.viewed where category = \"Shoes\" within 24h) >= 3");
    const struct rule_node *root = parse(*state, text);
    assert_int_equal(root->op, RULE_OP_GE);
    assert_int_equal(root->start, 0);
    assert_int_equal(root->end, 62);
    assert_int_equal(root->left->start, 0);
    assert_int_equal(root->left->end, 57);
    assert_int_equal(root->right->start, 61);
    assert_int_equal(root->right->end, 62);
    assert_span(text, root->left->aggregation->where, "category = \"Shoes\"");
}

static void groups_belong_to_their_node(void **state)
{
    struct str text = STR("( identified or (email is set)) and not ((orders.count)) < -3");
    const struct rule_node *root = parse(*state, text);
    assert_span(text, root->left, "( identified or (email is set))");
    assert_span(text, root->left->right, "(email is set)");
    assert_span(text, root->right, "not ((orders.count)) < -3");
    assert_span(text, root->right->left->left, "((orders.count))");
    assert_span(text, root->right->left->right, "-3");
}

static void aggregates_are_taken_apart(void **state)
{
    const struct rule_node *root = parse(
        *state,
        STR("sum(custom.quiz.answers.score where level = 2 within 2w after last(email.opened)) "
            "> 1 and max_count(product.viewed by context.platform) >= 2"));
    const struct rule_aggregation *sum = root->left->left->aggregation;
    assert_int_equal(sum->function, RULE_SUM);
    assert_int_equal(sum->event_type, EVENT_CUSTOM);
    assert_str_equal(sum->event_name, STR("custom.quiz"));
    assert_str_equal(sum->property, STR("answers.score"));
    assert_int_equal(sum->where->op, RULE_OP_EQ);
    assert_int_equal(sum->where->left->name.attribute, RULE_PROPERTY);
    assert_int_equal(sum->within_ms, 14 * INSTANT_DAY_MS);
    assert_int_equal(sum->after->aggregation->function, RULE_LAST);
    assert_int_equal(sum->after->type, RULE_INSTANT);
    const struct rule_aggregation *most = root->right->left->aggregation;
    assert_int_equal(most->function, RULE_MAX_COUNT);
    assert_int_equal(most->event_type, EVENT_PRODUCT_VIEWED);
    assert_str_equal(most->by, STR("context.platform"));
    assert_int_equal(most->property.size, 0);
    assert_null(most->where);
}

static void constants_have_their_type(void **state)
{
    const struct rule_node *root =
        parse(*state, STR("orders.last_at >= 1970-01-02 and traits.a = 1970-01-03 and "
                          "traits.b in (\"x\", \"y\\n\") and orders.count > -(2.5)"));
    const struct rule_node *number = root->right;
    const struct rule_node *list = root->left->right;
    const struct rule_node *date = root->left->left->right;
    const struct rule_node *instant = root->left->left->left;
    assert_int_equal(instant->right->literal.type, RULE_INSTANT);
    assert_int_equal(instant->right->literal.ms, INSTANT_DAY_MS);
    assert_int_equal(date->right->type, RULE_DATE);
    assert_int_equal(date->right->literal.days, 2);
    assert_int_equal(list->right->literal.list.count, 2);
    assert_str_equal(list->right->literal.list.items[1].text, STR("y\n"));
    assert_int_equal(number->right->op, RULE_OP_LITERAL);
    assert_int_equal(number->right->literal.number, -2500000);
}

static void percentiles_are_millionths(void **state)
{
    const struct rule_node *root =
        parse(*state, STR("orders.average_value >= percentile(orders.average_value, 66.7)"));
    assert_int_equal(root->right->op, RULE_OP_PERCENTILE);
    assert_int_equal(root->right->percent, 66700000);
    assert_int_equal(root->right->left->name.attribute, RULE_ORDERS_AVERAGE_VALUE);
}

static void filters_see_the_event(void **state)
{
    struct fixture *fixture = *state;
    const struct rule_vocabulary filter = { RULE_CONTEXT_FILTER, NULL, 0 };
    struct rule_node *root = NULL;
    assert_int_equal(rule_parse(fixture->arena, STR("event.a.b = 1 and event.price > 2"), &filter,
                                &root, &fixture->error),
                     STATUS_OK);
    assert_int_equal(root->left->left->name.attribute, RULE_PROPERTY);
    assert_str_equal(root->left->left->name.key, STR("a.b"));
    assert_int_equal(root->left->left->type, RULE_NULL);
    assert_int_equal(root->right->left->type, RULE_NUMBER);
}

/* --- bytes ----------------------------------------------------------------- */

static void bad_bytes_are_placed(void **state)
{
    static const struct {
        struct str text;
        unsigned line;
        unsigned column;
        const char *detail;
    } rows[] = {
        { { "traits.x = \"\xff\"", 14 }, 1, 13, "the byte 0xff is not UTF-8" },
        { { "# \xc3\xa9\n\xc3", 6 }, 2, 1, "the byte 0xc3 is not UTF-8" },
        { { "true\0", 5 }, 1, 5, "the expression holds a NUL character" },
        { { "\xed\xa0\x80", 3 }, 1, 1, "the byte 0xed is not UTF-8" },
        { { "true \x01", 6 }, 1, 6, "the control character 0x01 means nothing here" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const struct rule_error *error = refuse(*state, rows[i].text);
        assert_string_equal(error->detail, rows[i].detail);
        assert_int_equal(error->line, rows[i].line);
        assert_int_equal(error->column, rows[i].column);
        assert_true(str_is_text(error->found));
    }
}

static void texts_end_on_their_line(void **state)
{
    const struct rule_error *error = refuse(*state, STR("true and\n traits.x = \"a\nb\""));
    assert_int_equal(error->line, 2);
    assert_int_equal(error->column, 13);
    assert_str_equal(error->found, STR("\"a"));
}

static void no_text_at_all(void **state)
{
    const struct rule_error *error = refuse(*state, (struct str){ NULL, 0 });
    assert_int_equal(error->line, 1);
    assert_int_equal(error->column, 1);
    assert_string_equal(error->detail, "the expression is empty");
}

/* --- limits: at each, and one past it --------------------------------------- */

static struct str repeated(struct fixture *fixture, const char *head, const char *piece,
                           size_t count, const char *tail)
{
    struct buf buf;
    buf_init(&buf, fixture->arena, 64 * 1024);
    buf_add_z(&buf, head);
    for (size_t i = 0; i < count; i++) {
        buf_add_z(&buf, piece);
    }
    buf_add_z(&buf, tail);
    return buf_str(&buf);
}

static void text_is_bounded(void **state)
{
    struct str text = repeated(*state, "true", " ", RULE_TEXT_BYTES_MAX - 4, "");
    (void)parse(*state, text);
    text = repeated(*state, "true", " ", RULE_TEXT_BYTES_MAX - 3, "");
    const struct rule_error *error = refuse(*state, text);
    assert_string_equal(error->detail, "the expression has 4097 bytes; 4096 is the most");
    assert_int_equal(error->column, 4097);
}

static void depth_is_bounded(void **state)
{
    (void)parse(*state, repeated(*state, "", "not ", RULE_DEPTH_MAX - 1, "identified"));
    const struct rule_error *error =
        refuse(*state, repeated(*state, "", "not ", RULE_DEPTH_MAX, "identified"));
    assert_non_null(strstr(error->detail, "more than 32 levels deep"));

    (void)parse(*state, repeated(*state, "identified", " or identified", RULE_DEPTH_MAX - 1, ""));
    error = refuse(*state, repeated(*state, "identified", " or identified", RULE_DEPTH_MAX, ""));
    assert_non_null(strstr(error->detail, "more than 32 levels deep"));
}

/* What builds no tree until it ends is stopped by the parser's own stack. */
static void nesting_is_bounded(void **state)
{
    static const char *const pieces[] = { "(", "not ", "-", "not (", "count(", "[", "1 + (2 * (" };
    for (size_t i = 0; i < ARRAY_COUNT(pieces); i++) {
        size_t count = (RULE_TEXT_BYTES_MAX - 10) / strlen(pieces[i]);
        const struct rule_error *error =
            refuse(*state, repeated(*state, "", pieces[i], count, "true"));
        bool is_list = pieces[i][0] == '[';
        assert_row(is_list || strstr(error->detail, "levels deep") != NULL, pieces[i]);
    }
    struct str round = repeated(*state, "", "(", 100, "true");
    round = repeated(*state, str_dup_z(((struct fixture *)*state)->arena, round), ")", 100, "");
    assert_int_equal(parse(*state, round)->op, RULE_OP_LITERAL);
}

/* A tree of 2^n - 1 operators over 2^n names. */
static struct str bushy(struct fixture *fixture, const char *leaf, unsigned levels)
{
    struct str text = str_from_z(leaf);
    for (unsigned i = 0; i < levels; i++) {
        text = str_printf(fixture->arena, "(%.*s %s %.*s)", STR_ARG(text), i % 2 ? "and" : "or",
                          STR_ARG(text));
    }
    return text;
}

static void nodes_are_bounded(void **state)
{
    struct fixture *fixture = *state;
    struct str half = bushy(fixture, "identified", 7); /* 255 nodes */
    (void)parse(*state, half);
    (void)parse(*state, str_printf(fixture->arena, "not %.*s", STR_ARG(half)));
    const struct rule_error *error =
        refuse(*state, str_printf(fixture->arena, "not not %.*s", STR_ARG(half)));
    assert_non_null(strstr(error->detail, "more than 256 parts"));
}

static void lists_are_bounded(void **state)
{
    struct str most = repeated(*state, "traits.x in [1", ",1", RULE_LIST_ITEMS_MAX - 1, "]");
    assert_int_equal(parse(*state, most)->right->literal.list.count, RULE_LIST_ITEMS_MAX);
    struct str more = repeated(*state, "traits.x in [1", ",1", RULE_LIST_ITEMS_MAX, "]");
    assert_non_null(strstr(refuse(*state, more)->detail, "at most 256 items"));
}

static void windows_are_bounded(void **state)
{
    (void)parse(*state, STR("count(page.viewed within 400d) > 1"));
    (void)refuse(*state, STR("count(page.viewed within 34560001s) > 1"));
    (void)parse(*state, STR("count(page.viewed within 1s) > 1"));
    (void)refuse(*state, STR("count(page.viewed within 0s) > 1"));
    (void)parse(*state, STR("age(last_seen_at) > 36525d"));
    (void)refuse(*state, STR("age(last_seen_at) > 36526d"));
    (void)refuse(*state, STR("age(last_seen_at) > 99999999999999999999999d"));
}

/* Fails the allocation at each limit in turn: never a crash, never an error
 * that is not one. */
static void full_arena_is_a_limit(void **state)
{
    (void)state;
    struct str text =
        STR("count(product.viewed where category in (\"a\\n\", \"b\") within 24h) >= 3 "
            "and not traits.x is set or \"frequent_buyr\" in tags");
    bool was_limit = false;
    for (size_t limit = 0; limit < 64 * 1024; limit += 64) {
        struct arena *arena = arena_create(limit);
        struct rule_node *root = NULL;
        struct rule_error error = { 0 };
        enum status status = rule_parse(arena, text, &in_rule, &root, &error);
        assert_null(root);
        assert_int_equal(status == STATUS_LIMIT, arena_is_full(arena));
        was_limit = was_limit || status == STATUS_LIMIT;
        arena_destroy(arena);
        if (status == STATUS_INVALID) {
            assert_string_equal(error.suggestion, "frequent_buyer");
            assert_true(was_limit);
            return;
        }
    }
    fail_msg("64 KiB do not suffice");
}

static void long_names_are_cut_for_messages(void **state)
{
    struct str name = repeated(*state, "traits.x = \"", "\u00e9", 400, "\" + 1");
    const struct rule_error *error = refuse(*state, name);
    assert_true(str_is_text(str_from_z(error->detail)));
    assert_int_equal(error->length, 402);
}

/* --- property: parse(format(tree)) equals the tree ---------------------------- */

static bool trees_equal(const struct rule_node *a, const struct rule_node *b);

static bool literals_equal(struct rule_value a, struct rule_value b)
{
    return a.type == b.type && rule_value_equal(a, b);
}

static bool aggregations_equal(const struct rule_aggregation *a, const struct rule_aggregation *b)
{
    if (a == NULL || b == NULL) {
        return a == b;
    }
    return a->function == b->function && a->event_type == b->event_type &&
           str_equal(a->event_name, b->event_name) && str_equal(a->property, b->property) &&
           str_equal(a->by, b->by) && a->within_ms == b->within_ms &&
           trees_equal(a->where, b->where) && trees_equal(a->after, b->after);
}

/* But for the places in the text. */
static bool trees_equal(const struct rule_node *a, const struct rule_node *b)
{
    if (a == NULL || b == NULL) {
        return a == b;
    }
    return a->op == b->op && a->type == b->type && a->percent == b->percent &&
           a->name.attribute == b->name.attribute && str_equal(a->name.key, b->name.key) &&
           (a->op != RULE_OP_LITERAL || literals_equal(a->literal, b->literal)) &&
           aggregations_equal(a->aggregation, b->aggregation) && trees_equal(a->left, b->left) &&
           trees_equal(a->right, b->right);
}

struct maker {
    struct buf buf;
    uint64_t seed;
    bool in_where;
};

static unsigned pick(struct maker *maker, unsigned count)
{
    maker->seed = maker->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(maker->seed >> 33) % count;
}

static void put(struct maker *maker, const char *text)
{
    buf_add_z(&maker->buf, text);
    if (pick(maker, 12) == 0) {
        buf_add_z(&maker->buf, pick(maker, 3) == 0 ? " # so\n" : " ");
    }
}

#define PUT_ONE_OF(maker, ...)                                                \
    do {                                                                      \
        static const char *const choices[] = { __VA_ARGS__ };                 \
        put((maker), choices[pick((maker), (unsigned)ARRAY_COUNT(choices))]); \
    } while (0)

static void make_condition(struct maker *maker, unsigned depth);

static void make_aggregate(struct maker *maker, unsigned depth)
{
    PUT_ONE_OF(maker, "count(page.viewed", "sum(order.completed.total", "avg(custom.a.b.c",
               "distinct(product.viewed.product_id", "max(order.completed.net");
    if (depth > 0 && pick(maker, 2) == 0) {
        put(maker, " where ");
        maker->in_where = true;
        make_condition(maker, depth - 1);
        maker->in_where = false;
    }
    if (pick(maker, 2) == 0) {
        PUT_ONE_OF(maker, " within 24h", " within 90s", " within 2w", " within 400d");
    }
    if (pick(maker, 3) == 0) {
        PUT_ONE_OF(maker, " after orders.last_at", " after 2026-01-01",
                   " after (last(email.opened where url is set within 60m))");
    }
    put(maker, ")");
}

static void make_number(struct maker *maker, unsigned depth)
{
    unsigned choice = pick(maker, depth == 0 ? 3 : 8);
    if (choice == 0) {
        PUT_ONE_OF(maker, "0", "1.50", "-3", "007.000001", "-(2)", "9223372036854.775807");
    } else if (choice <= 2 && maker->in_where) {
        PUT_ONE_OF(maker, "price", "quantity", "a.b", "count");
    } else if (choice == 1) {
        PUT_ONE_OF(maker, "orders.count", "profile.cart.value", "engagement.score", "traits.n");
    } else if (choice == 2) {
        make_aggregate(maker, 0);
    } else if (choice == 3) {
        put(maker, "-");
        make_number(maker, depth - 1);
    } else if (choice == 4) {
        put(maker, "(");
        make_number(maker, depth - 1);
        put(maker, ")");
    } else {
        make_number(maker, depth - 1);
        PUT_ONE_OF(maker, " + ", " - ", " * ", " / ");
        make_number(maker, depth - 1);
    }
}

static void make_comparison(struct maker *maker, unsigned depth)
{
    unsigned choice = pick(maker, maker->in_where ? 4 : 8);
    if (choice <= 1) {
        make_number(maker, depth);
        PUT_ONE_OF(maker, " = ", " != ", " < ", " <= ", " > ", " >= ");
        make_number(maker, depth);
    } else if (choice == 2 && maker->in_where) {
        PUT_ONE_OF(maker, "category = \"Sh\\\"oes\"", "\"\u00e9\\n\" ~= name",
                   "x starts_with \"a\"", "x.y in (\"a\", \"b\")", "3 in x",
                   "occurred_at < 2026-01-01");
    } else if (maker->in_where) {
        PUT_ONE_OF(maker, "in_stock = true", "a is set", "not b is set", "category is not set");
    } else if (choice == 2) {
        PUT_ONE_OF(maker, "\"frequent_buyer\" in tags", "segments contains \"shoes\"",
                   "tiers.basket != \"high\"", "traits.c in (\"FR\")", "traits.c in [1, -2.50]",
                   "preferences.p contains \"x\"", "email contains \"@\"",
                   "tags contains traits.t");
    } else if (choice == 3) {
        PUT_ONE_OF(maker, "age(last_seen_at) > 24h", "30m <= age(traits.t)",
                   "orders.last_at >= 2026-01-01", "2026-01-01T00:00:00.120+01:00 < first_seen_at",
                   "traits.d = 1988-05-17", "age_years(traits.d) >= 18");
    } else if (choice == 4) {
        PUT_ONE_OF(maker, "orders.net > percentile(orders.net, 66.7)",
                   "percentile(orders.count, 5) <= orders.count",
                   "max_count(product.viewed by category within 1d) >= 3",
                   "2 < max_count(custom.q where a = 1 by b.c)");
    } else if (choice == 5) {
        make_aggregate(maker, depth);
        PUT_ONE_OF(maker, " is set", " is not set", " > -1", " = 0");
    } else if (choice == 6) {
        PUT_ONE_OF(maker, "identified", "true", "false", "identified != false",
                   "(orders.count > 1) = identified");
    } else {
        PUT_ONE_OF(maker, "email is set", "traits.x is not set", "last(email.opened) is set");
    }
}

static void make_condition(struct maker *maker, unsigned depth)
{
    unsigned choice = pick(maker, depth == 0 ? 1 : 6);
    if (choice <= 1) {
        make_comparison(maker, depth);
    } else if (choice == 2) {
        put(maker, "not ");
        /* "not" binds tighter than what a condition may be. */
        put(maker, "(");
        make_condition(maker, depth - 1);
        put(maker, ")");
    } else if (choice == 3) {
        put(maker, "(");
        make_condition(maker, depth - 1);
        put(maker, ")");
    } else {
        make_condition(maker, depth - 1);
        PUT_ONE_OF(maker, " and ", " or ");
        make_condition(maker, depth - 1);
    }
}

static void formats_to_an_equal_tree(void **state)
{
    (void)state;
    unsigned good = 0;
    for (uint64_t seed = 1; seed <= 20000; seed++) {
        struct arena *arena = arena_create(ARENA_BYTES);
        struct maker maker = { .seed = seed };
        buf_init(&maker.buf, arena, RULE_TEXT_BYTES_MAX);
        make_condition(&maker, 1 + pick(&maker, 4));
        struct str text = buf_str(&maker.buf);
        struct rule_node *tree = NULL;
        struct rule_node *again = NULL;
        struct rule_error error = { 0 };
        enum status status = rule_parse(arena, text, &in_rule, &tree, &error);
        if (status == STATUS_OK) {
            struct str canonical = rule_format(arena, tree);
            good++;
            status = rule_parse(arena, canonical, &in_rule, &again, &error);
            if (status != STATUS_OK || !trees_equal(tree, again) ||
                !str_equal(canonical, rule_format(arena, again))) {
                fail_msg("seed %llu: %.*s\n -> %.*s: %s", (unsigned long long)seed, STR_ARG(text),
                         STR_ARG(canonical), error.detail);
            }
        } else if (error.detail[0] == '\0' || text.size == 0) {
            fail_msg("seed %llu: %.*s", (unsigned long long)seed, STR_ARG(text));
        } else if (strstr(error.detail, "256 parts") == NULL) {
            fail_msg("seed %llu: %.*s: %s", (unsigned long long)seed, STR_ARG(text), error.detail);
        }
        arena_destroy(arena);
    }
    assert_true(good > 19000);
}

int main(void)
{
#define WITH_ARENA(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_ARENA(nodes_know_their_text),
        WITH_ARENA(groups_belong_to_their_node),
        WITH_ARENA(aggregates_are_taken_apart),
        WITH_ARENA(constants_have_their_type),
        WITH_ARENA(percentiles_are_millionths),
        WITH_ARENA(filters_see_the_event),
        WITH_ARENA(bad_bytes_are_placed),
        WITH_ARENA(texts_end_on_their_line),
        WITH_ARENA(no_text_at_all),
        WITH_ARENA(text_is_bounded),
        WITH_ARENA(depth_is_bounded),
        WITH_ARENA(nesting_is_bounded),
        WITH_ARENA(nodes_are_bounded),
        WITH_ARENA(lists_are_bounded),
        WITH_ARENA(windows_are_bounded),
        cmocka_unit_test(full_arena_is_a_limit),
        WITH_ARENA(long_names_are_cut_for_messages),
        cmocka_unit_test(formats_to_an_equal_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
