#include "base/arena.h"
#include "base/instant.h"
#include "core/rule/feature.h"
#include "unit.h"

/*
 * What the property test cannot say by chance: exact edges, ties, sizes, what a
 * removal and the same fact added again do, and what is refused.
 */

#define NOW_MS (INSTANT_FIRST_MS + 9000 * INSTANT_DAY_MS)
#define HOUR_MS INSTANT_HOUR_MS
#define DAY_MS INSTANT_DAY_MS
#define TEXT(literal)                \
    {                                \
        literal, sizeof(literal) - 1 \
    }

struct bench {
    struct arena *arena;
    struct feature feature;
    struct feature_set set;
};

static struct bench begin(enum feature_form form, enum rule_aggregate function,
                          const char *property, int64_t within_ms, uint32_t keep)
{
    struct bench bench = {
        .arena = arena_create(16u * 1024 * 1024),
        .feature = { .number = 12,
                     .form = form,
                     .function = function,
                     .event_type = EVENT_PRODUCT_VIEWED,
                     .property = str_from_z(property),
                     .by = TEXT("category"),
                     .within_ms = within_ms,
                     .keep = keep },
    };
    assert_non_null(bench.arena);
    return bench;
}

static void end(struct bench *bench)
{
    assert_false(arena_is_full(bench->arena));
    arena_destroy(bench->arena);
}

static struct property_view fact(int64_t at_ms, uint8_t id, const char *json)
{
    return (struct property_view){ .type = EVENT_PRODUCT_VIEWED,
                                   .name = STR("product.viewed"),
                                   .at_ms = at_ms,
                                   .id = { { id } },
                                   .properties_json = str_from_z(json) };
}

static void add(struct bench *bench, int64_t at_ms, const char *json)
{
    struct property_view view = fact(at_ms, 1, json);
    assert_true(feature_add(bench->arena, &bench->set, &bench->feature, &view, NOW_MS));
}

static void take(struct bench *bench, int64_t at_ms, const char *json)
{
    struct property_view view = fact(at_ms, 1, json);
    assert_true(feature_remove(bench->arena, &bench->set, &bench->feature, &view, NOW_MS));
}

static const struct feature_state *state_of(const struct bench *bench)
{
    return feature_find(&bench->set, bench->feature.number);
}

static struct feature_reading reading(const struct bench *bench, int64_t after_ms, int64_t at_ms)
{
    struct feature_reading out = { 0 };
    assert_true(
        feature_read(bench->arena, &bench->feature, state_of(bench), after_ms, at_ms, &out));
    return out;
}

static int64_t value_at(const struct bench *bench, int64_t at_ms)
{
    struct feature_reading out = reading(bench, INSTANT_NONE, at_ms);
    assert_int_equal(out.value.type, RULE_NUMBER);
    return out.value.number / RULE_NUMBER_ONE;
}

static bool is_incomplete(const struct bench *bench)
{
    return state_of(bench) != NULL && state_of(bench)->is_incomplete;
}

static struct rule_value number(int64_t units)
{
    return (struct rule_value){ .type = RULE_NUMBER, .number = units * RULE_NUMBER_ONE };
}

static size_t stored_bytes(struct bench *bench)
{
    struct buf buf;
    buf_init(&buf, bench->arena, 65536);
    assert_true(feature_set_encode(bench->arena, &bench->set, &buf));
    return buf_str(&buf).size;
}

static void reload(struct bench *bench)
{
    struct buf buf;
    buf_init(&buf, bench->arena, 65536);
    assert_true(feature_set_encode(bench->arena, &bench->set, &buf));
    assert_true(feature_set_decode(bench->arena, buf_str(&buf), &bench->set));
}

static void test_window_is_open_below_and_closed_above(void **state)
{
    (void)state;
    struct bench bench = begin(FEATURE_NEWEST, RULE_COUNT, "", DAY_MS, 4);
    add(&bench, NOW_MS - DAY_MS + 1, "");
    add(&bench, NOW_MS - DAY_MS, "");
    add(&bench, NOW_MS, "");
    assert_int_equal(value_at(&bench, NOW_MS), 2);
    assert_int_equal(value_at(&bench, NOW_MS + 1), 1);
    assert_int_equal(value_at(&bench, NOW_MS + DAY_MS - 1), 1);
    assert_int_equal(value_at(&bench, NOW_MS + DAY_MS), 0);
    assert_int_equal(value_at(&bench, NOW_MS - 1), 1);
    assert_int_equal(reading(&bench, INSTANT_NONE, NOW_MS).until_ms, NOW_MS + 1);
    end(&bench);
}

static void test_counts_after(void **state)
{
    (void)state;
    struct bench bench = begin(FEATURE_NEWEST, RULE_COUNT, "", 0, 3);
    for (int i = 0; i < 5; i++) {
        add(&bench, NOW_MS - i, "");
    }
    struct feature_reading all = reading(&bench, INSTANT_NONE, NOW_MS);
    assert_int_equal(all.value.number, 3 * RULE_NUMBER_ONE);
    assert_true(all.at_least);
    assert_int_equal(all.until_ms, INSTANT_NEVER);
    struct feature_reading some = reading(&bench, NOW_MS - 2, NOW_MS);
    assert_int_equal(some.value.number, 2 * RULE_NUMBER_ONE);
    assert_false(some.at_least);
    assert_false(reading(&bench, NOW_MS - 3, NOW_MS).at_least);
    assert_true(reading(&bench, NOW_MS - 4, NOW_MS).at_least);
    end(&bench);
}

/* Five facts an hour apart within a day, four kept: n is 4 and more. The nth
 * newest leaves at NOW - (n - 1) h + 1 d. */
static void test_comparisons_turn_exactly(void **state)
{
    static const int64_t never = INSTANT_NEVER;
    static const struct {
        enum rule_op op;
        int64_t halves; /* of the constant */
        bool verdict;
        int64_t hours; /* after the first leaving of the newest; never */
    } rows[] = {
        { RULE_OP_GE, 6, true, 2 },      { RULE_OP_GT, 6, true, 3 },
        { RULE_OP_LT, 6, false, 2 },     { RULE_OP_LE, 6, false, 3 },
        { RULE_OP_EQ, 6, false, 3 },     { RULE_OP_NE, 6, true, 3 },
        { RULE_OP_GE, 5, true, 2 },      { RULE_OP_GT, 5, true, 2 },
        { RULE_OP_EQ, 5, false, never }, { RULE_OP_NE, 5, true, never },
        { RULE_OP_GE, 2, true, 0 },      { RULE_OP_GE, 0, true, never },
        { RULE_OP_GE, -2, true, never }, { RULE_OP_LT, -1, false, never },
        { RULE_OP_GT, 0, true, 0 },      { RULE_OP_EQ, 0, false, 0 },
    };
    (void)state;
    struct bench bench = begin(FEATURE_NEWEST, RULE_COUNT, "", DAY_MS, 4);
    for (int i = 4; i >= 0; i--) {
        add(&bench, NOW_MS - i * HOUR_MS, "");
    }
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct rule_value constant = { .type = RULE_NUMBER };
        constant.number = rows[i].halves * (RULE_NUMBER_ONE / 2);
        bool verdict = false;
        int64_t until_ms = 0;
        assert_true(feature_compare(bench.arena, &bench.feature, state_of(&bench), INSTANT_NONE,
                                    rows[i].op, constant, NOW_MS, &verdict, &until_ms));
        int64_t expected =
            rows[i].hours == never ? never : NOW_MS + DAY_MS - rows[i].hours * HOUR_MS;
        assert_int_equal(verdict, rows[i].verdict);
        assert_int_equal(until_ms, expected);
    }
    end(&bench);
}

static void test_two_that_leave_together_skip_a_count(void **state)
{
    (void)state;
    struct bench bench = begin(FEATURE_NEWEST, RULE_COUNT, "", DAY_MS, 4);
    add(&bench, NOW_MS, "");
    add(&bench, NOW_MS, "");
    bool verdict = true;
    int64_t until_ms = 0;
    assert_true(feature_compare(bench.arena, &bench.feature, state_of(&bench), INSTANT_NONE,
                                RULE_OP_EQ, number(1), NOW_MS, &verdict, &until_ms));
    assert_false(verdict);
    assert_int_equal(until_ms, INSTANT_NEVER);
    end(&bench);
}

static void test_nothing(void **state)
{
    static const struct {
        enum feature_form form;
        enum rule_aggregate function;
        bool is_zero;
    } rows[] = {
        { FEATURE_NEWEST, RULE_COUNT, true },      { FEATURE_WINDOW, RULE_SUM, true },
        { FEATURE_WINDOW, RULE_COUNT, true },      { FEATURE_WINDOW, RULE_AVG, false },
        { FEATURE_WINDOW, RULE_MIN, false },       { FEATURE_WINDOW, RULE_MAX, false },
        { FEATURE_TOTAL, RULE_COUNT, true },       { FEATURE_TOTAL, RULE_SUM, true },
        { FEATURE_TOTAL, RULE_AVG, false },        { FEATURE_TOTAL, RULE_MAX, false },
        { FEATURE_DISTINCT, RULE_DISTINCT, true }, { FEATURE_KEYED, RULE_MAX_COUNT, true },
        { FEATURE_EDGE, RULE_FIRST, false },       { FEATURE_EDGE, RULE_LAST, false },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct bench bench = begin(rows[i].form, rows[i].function, "price", DAY_MS, 4);
        struct feature_reading out = reading(&bench, INSTANT_NONE, NOW_MS);
        assert_int_equal(out.value.type, rows[i].is_zero ? RULE_NUMBER : RULE_NULL);
        assert_int_equal(out.until_ms, INSTANT_NEVER);
        assert_false(out.at_least);
        bool verdict = true;
        int64_t until_ms = 0;
        assert_true(feature_compare(bench.arena, &bench.feature, NULL, INSTANT_NONE, RULE_OP_NE,
                                    number(5), NOW_MS, &verdict, &until_ms));
        /* "a != b" is "a is set and not a = b". */
        assert_int_equal(verdict, rows[i].is_zero);
        end(&bench);
    }
}

static void test_a_null_property_is_no_fact(void **state)
{
    (void)state;
    struct bench bench = begin(FEATURE_NEWEST, RULE_COUNT, "coupon", DAY_MS, 4);
    add(&bench, NOW_MS, "{\"coupon\":null}");
    add(&bench, NOW_MS, "{}");
    assert_null(state_of(&bench));
    add(&bench, NOW_MS, "{\"coupon\":\"X\"}");
    assert_int_equal(value_at(&bench, NOW_MS), 1);
    end(&bench);
}

static void test_lists(void **state)
{
    static const char json[] =
        "{\"products\":[{\"price\":2,\"category\":\"A\"},{\"price\":\"3\",\"category\":\"B\"},"
        "{\"price\":2,\"category\":\"A\"}]}";
    (void)state;
    struct bench sum = begin(FEATURE_WINDOW, RULE_SUM, "products.price", DAY_MS, 0);
    add(&sum, NOW_MS, json);
    assert_int_equal(value_at(&sum, NOW_MS), 7);
    end(&sum);
    struct bench distinct = begin(FEATURE_DISTINCT, RULE_DISTINCT, "products.category", DAY_MS, 4);
    add(&distinct, NOW_MS, json);
    assert_int_equal(value_at(&distinct, NOW_MS), 2);
    end(&distinct);
    struct bench keyed = begin(FEATURE_KEYED, RULE_MAX_COUNT, "", DAY_MS, 4);
    keyed.feature.by = STR("products.category");
    add(&keyed, NOW_MS, json);
    assert_int_equal(value_at(&keyed, NOW_MS), 1);
    end(&keyed);
}

static void test_a_number_and_its_text_are_one_value(void **state)
{
    (void)state;
    struct bench bench = begin(FEATURE_DISTINCT, RULE_DISTINCT, "product_id", 0, 4);
    add(&bench, NOW_MS, "{\"product_id\":12}");
    add(&bench, NOW_MS, "{\"product_id\":\"12\"}");
    assert_int_equal(value_at(&bench, NOW_MS), 1);
    end(&bench);
}

/* An order that changes is taken away and added again: whatever was thrown
 * away meanwhile, nothing needs history. Cancelled, it does. */
static void test_added_again_is_complete(void **state)
{
    static const struct {
        enum feature_form form;
        enum rule_aggregate function;
        const char *property;
        int64_t within_ms;
        uint32_t keep;
        int facts;
    } rows[] = {
        { FEATURE_NEWEST, RULE_COUNT, "", DAY_MS, 3, 6 },
        { FEATURE_DISTINCT, RULE_DISTINCT, "category", DAY_MS, 3, 6 },
        { FEATURE_EDGE, RULE_LAST, "price", 0, 0, 6 },
        { FEATURE_EDGE, RULE_FIRST, "price", 0, 0, 6 },
        { FEATURE_WINDOW, RULE_SUM, "price", 30 * DAY_MS, 0, 90 },
        { FEATURE_WINDOW, RULE_MAX, "price", 30 * DAY_MS, 0, 90 },
        { FEATURE_TOTAL, RULE_MAX, "price", 0, 0, 6 },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct bench bench = begin(rows[i].form, rows[i].function, rows[i].property,
                                   rows[i].within_ms, rows[i].keep);
        bool is_first = rows[i].function == RULE_FIRST;
        char json[64];
        for (int j = 0; j < rows[i].facts; j++) {
            snprintf(json, sizeof(json), "{\"price\":%d,\"category\":\"c%d\"}", 5000 - j, j);
            add(&bench, is_first ? NOW_MS + j - 100 : NOW_MS - j, json);
        }
        assert_false(is_incomplete(&bench));
        int64_t at_ms = is_first ? NOW_MS - 100 : NOW_MS;
        struct rule_value before = reading(&bench, INSTANT_NONE, NOW_MS).value;
        take(&bench, at_ms, "{\"price\":5000,\"category\":\"c0\"}");
        assert_true(is_incomplete(&bench));
        assert_true(reading(&bench, INSTANT_NONE, NOW_MS).at_least);
        reload(&bench);
        assert_true(is_incomplete(&bench));
        add(&bench, at_ms, "{\"price\":5000,\"category\":\"c0\"}");
        assert_false(is_incomplete(&bench));
        assert_true(rule_value_equal(reading(&bench, INSTANT_NONE, NOW_MS).value, before));
        end(&bench);
    }
}

static void test_removal_of_all_leaves_nothing(void **state)
{
    static const struct {
        enum feature_form form;
        enum rule_aggregate function;
        const char *property;
    } rows[] = {
        { FEATURE_NEWEST, RULE_COUNT, "" },    { FEATURE_WINDOW, RULE_SUM, "price" },
        { FEATURE_TOTAL, RULE_SUM, "price" },  { FEATURE_TOTAL, RULE_MIN, "price" },
        { FEATURE_KEYED, RULE_MAX_COUNT, "" }, { FEATURE_EDGE, RULE_LAST, "price" },
    };
    static const char json[] = "{\"price\":-3,\"category\":\"a\"}";
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct bench bench = begin(rows[i].form, rows[i].function, rows[i].property, 0, 4);
        add(&bench, NOW_MS, json);
        assert_int_equal(bench.set.count, 1);
        take(&bench, NOW_MS, json);
        assert_int_equal(bench.set.count, 0);
        assert_int_equal(stored_bytes(&bench), 0);
        end(&bench);
    }
}

static void test_what_was_never_added_breaks(void **state)
{
    (void)state;
    struct bench bench = begin(FEATURE_NEWEST, RULE_COUNT, "", DAY_MS, 4);
    add(&bench, NOW_MS, "");
    take(&bench, NOW_MS - 5, "");
    assert_true(is_incomplete(&bench));
    add(&bench, NOW_MS - 5, "");
    /* Only history can say. */
    assert_true(is_incomplete(&bench));
    end(&bench);
}

static void test_another_s_flag_stays(void **state)
{
    (void)state;
    struct bench bench = begin(FEATURE_NEWEST, RULE_COUNT, "", DAY_MS, 4);
    add(&bench, NOW_MS, "");
    bench.set.items[0].is_incomplete = true;
    reload(&bench);
    add(&bench, NOW_MS, "");
    reload(&bench);
    add(&bench, NOW_MS, "");
    assert_true(is_incomplete(&bench));
    end(&bench);
}

static void test_sums_beyond_the_range_are_null(void **state)
{
    (void)state;
    struct bench bench = begin(FEATURE_TOTAL, RULE_SUM, "price", 0, 0);
    add(&bench, NOW_MS, "{\"price\":9000000000000}");
    add(&bench, NOW_MS, "{\"price\":9000000000000}");
    assert_int_equal(reading(&bench, INSTANT_NONE, NOW_MS).value.type, RULE_NULL);
    reload(&bench);
    add(&bench, NOW_MS, "{\"price\":-9000000000000}");
    assert_int_equal(value_at(&bench, NOW_MS), INT64_C(9000000000000));
    take(&bench, NOW_MS, "{\"price\":9000000000000}");
    take(&bench, NOW_MS, "{\"price\":9000000000000}");
    assert_int_equal(value_at(&bench, NOW_MS), -INT64_C(9000000000000));
    end(&bench);
}

static void test_edge_keeps_short_texts(void **state)
{
    (void)state;
    struct bench bench = begin(FEATURE_EDGE, RULE_LAST, "name", 0, 0);
    add(&bench, NOW_MS - 1, "{\"name\":\"Boot\"}");
    reload(&bench);
    assert_str_equal(reading(&bench, INSTANT_NONE, NOW_MS).value.text, STR("Boot"));
    char json[128];
    char name[66] = { 0 };
    memset(name, 'x', 64);
    snprintf(json, sizeof(json), "{\"name\":\"%s\"}", name);
    add(&bench, NOW_MS, json);
    assert_int_equal(reading(&bench, INSTANT_NONE, NOW_MS).value.text.size, 64);
    name[64] = 'x';
    snprintf(json, sizeof(json), "{\"name\":\"%s\"}", name);
    add(&bench, NOW_MS, json);
    add(&bench, NOW_MS + 1, json);
    assert_int_equal(reading(&bench, INSTANT_NONE, NOW_MS + 1).value.type, RULE_NULL);
    end(&bench);
}

static void test_edge_without_a_property_is_an_instant(void **state)
{
    (void)state;
    struct bench bench = begin(FEATURE_EDGE, RULE_LAST, "", DAY_MS, 0);
    add(&bench, NOW_MS, "");
    add(&bench, NOW_MS - 7, "");
    struct feature_reading out = reading(&bench, INSTANT_NONE, NOW_MS);
    assert_int_equal(out.value.type, RULE_INSTANT);
    assert_int_equal(out.value.ms, NOW_MS);
    assert_int_equal(out.until_ms, NOW_MS + DAY_MS);
    assert_int_equal(reading(&bench, NOW_MS, NOW_MS).value.type, RULE_NULL);
    assert_int_equal(reading(&bench, INSTANT_NONE, NOW_MS + DAY_MS).value.type, RULE_NULL);
    end(&bench);
}

static void test_cells_say_at_least_at_their_edge(void **state)
{
    (void)state;
    struct bench bench = begin(FEATURE_WINDOW, RULE_SUM, "price", 7 * DAY_MS, 0);
    int64_t hour_ms = NOW_MS - NOW_MS % HOUR_MS - 48 * HOUR_MS;
    for (int i = 0; i < 10; i++) {
        add(&bench, hour_ms + i * 60000, "{\"price\":1}");
    }
    for (int i = 0; i < FEATURE_EXACT_MAX; i++) {
        add(&bench, NOW_MS - i, "{\"price\":2}");
    }
    assert_int_equal(value_at(&bench, NOW_MS), 138);
    assert_false(reading(&bench, INSTANT_NONE, NOW_MS).at_least);
    int64_t edge_ms = hour_ms + 7 * DAY_MS;
    assert_int_equal(value_at(&bench, edge_ms - 1), 138);
    assert_int_equal(value_at(&bench, edge_ms), 128);
    assert_true(reading(&bench, INSTANT_NONE, edge_ms).at_least);
    assert_true(reading(&bench, INSTANT_NONE, edge_ms + 9 * 60000 - 1).at_least);
    assert_false(reading(&bench, INSTANT_NONE, edge_ms + 9 * 60000).at_least);
    end(&bench);
}

static void test_small(void **state)
{
    (void)state;
    struct bench bench = begin(FEATURE_NEWEST, RULE_COUNT, "", DAY_MS, 4);
    for (int i = 0; i < 3; i++) {
        add(&bench, NOW_MS - i * HOUR_MS, "");
    }
    /* Version, count, number and size of the set, and under 16 of the state itself. */
    assert_true(stored_bytes(&bench) < 4 + 16);
    end(&bench);
}

static void test_untouched_states_pass_through(void **state)
{
    /* Nothing that decodes: it is not looked into. */
    static const char bytes[] = { 3, 2, 5, 4, 99, 99, 9, 3, 42 };
    (void)state;
    struct bench bench = begin(FEATURE_NEWEST, RULE_COUNT, "", DAY_MS, 4);
    struct str stored = { bytes, sizeof(bytes) };
    assert_true(feature_set_decode(bench.arena, stored, &bench.set));
    assert_int_equal(bench.set.count, 2);
    assert_true(bench.set.items[1].is_incomplete);
    assert_int_equal(bench.set.items[1].number, 14);
    struct buf buf;
    buf_init(&buf, bench.arena, 100);
    assert_true(feature_set_encode(bench.arena, &bench.set, &buf));
    assert_str_equal(buf_str(&buf), stored);
    /* Touched, it is known not to be known. */
    bench.feature.number = 5;
    add(&bench, NOW_MS, "");
    assert_true(is_incomplete(&bench));
    assert_true(reading(&bench, INSTANT_NONE, NOW_MS).at_least);
    end(&bench);
}

/* Windows of a day and a week are the same for who came today: told once. */
static void test_the_same_state_is_stored_once(void **state)
{
    static const char bytes[] = { 3, 4, 1, 4, 99, 98, 2, 0, 3, 1, 4, 2, 42 };
    static const char before[] = { 2, 4, 1, 4, 99, 98, 2, 4, 99, 98, 3, 5, 99, 98, 4, 2, 42 };
    static const struct str stored[] = { { bytes, sizeof(bytes) }, { before, sizeof(before) } };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(stored); i++) {
        CLEANUP(arena_destroy_at) struct arena *arena = arena_create(65536);
        struct feature_set set = { 0 };
        assert_true(feature_set_decode(arena, stored[i], &set));
        assert_int_equal(set.count, 4);
        assert_int_equal(set.items[2].number, 6);
        assert_true(set.items[2].is_incomplete);
        assert_str_equal(set.items[2].bytes, STR("\x63\x62"));
        assert_str_equal(set.items[3].bytes, STR("*"));
        struct buf buf;
        buf_init(&buf, arena, 100);
        assert_true(feature_set_encode(arena, &set, &buf));
        assert_str_equal(buf_str(&buf), stored[0]);
    }
}

static void test_sets_that_are_refused(void **state)
{
    static const struct {
        const char *why;
        const char *bytes;
        size_t size;
    } rows[] = {
        { "a version that was", "\x01\x01\x02\x01", 4 },
        { "a version to come", "\x04\x01\x01\x02\x01", 5 },
        { "a version and nothing", "\x02", 1 },
        { "a version and no states", "\x02\x00", 2 },
        { "fewer states than are counted", "\x02\x02\x01\x02\x01", 5 },
        { "more states than are counted", "\x02\x01\x01\x02\x01\x01\x02\x01", 8 },
        { "number 0", "\x02\x01\x00\x02\x01", 5 },
        { "the same number twice", "\x02\x02\x01\x02\x01\x00\x02\x01", 8 },
        { "no bytes", "\x02\x01\x01\x00", 4 },
        { "more bytes than there are", "\x02\x01\x01\x04\x01", 5 },
        { "a number beyond 32 bits", "\x02\x02\xff\xff\xff\xff\x0f\x02\x01\x01\x02\x01", 12 },
        { "an over-long number", "\x02\x01\x81\x00\x02\x01", 6 },
        { "the same as nothing", "\x03\x01\x01\x00", 4 },
        { "the same, said again", "\x03\x02\x01\x02\x2a\x01\x02\x2a", 8 },
        { "the same in the version before", "\x02\x02\x01\x02\x2a\x01\x00", 7 },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        CLEANUP(arena_destroy_at) struct arena *arena = arena_create(65536);
        struct feature_set set = { .count = 77 };
        struct str bytes = { rows[i].bytes, rows[i].size };
        assert_row(!feature_set_decode(arena, bytes, &set), rows[i].why);
        assert_row(set.count == 77, rows[i].why);
    }
}

static void test_set_keeps_known_numbers(void **state)
{
    (void)state;
    struct feature features[] = { { .number = 2 }, { .number = 4 }, { .number = 9 } };
    struct feature_state items[] = {
        { .number = 1 }, { .number = 4 }, { .number = 5 }, { .number = 9 }, { .number = 10 }
    };
    struct feature_set set = { items, ARRAY_COUNT(items), ARRAY_COUNT(items) };
    feature_set_keep(&set, features, ARRAY_COUNT(features));
    assert_int_equal(set.count, 2);
    assert_int_equal(set.items[0].number, 4);
    assert_int_equal(set.items[1].number, 9);
    assert_null(feature_find(&set, 5));
    assert_ptr_equal(feature_find(&set, 9), &set.items[1]);
}

static void store_and_load(struct bench *bench)
{
    struct buf buf;
    buf_init(&buf, bench->arena, 4096);
    assert_true(feature_set_encode(bench->arena, &bench->set, &buf));
    assert_true(feature_set_decode(bench->arena, buf_str(&buf), &bench->set));
}

/* A state of which all has left the window goes, and not a millisecond before;
 * one that was touched is left to the next time. */
static void test_what_has_passed_is_dropped(void **state)
{
    (void)state;
    static const struct {
        enum feature_form form;
        enum rule_aggregate function;
        const char *property;
    } rows[] = {
        { FEATURE_NEWEST, RULE_COUNT, "" },
        { FEATURE_WINDOW, RULE_SUM, "price" },
        { FEATURE_DISTINCT, RULE_DISTINCT, "price" },
        { FEATURE_KEYED, RULE_MAX_COUNT, "" },
        { FEATURE_EDGE, RULE_LAST, "" },
        { FEATURE_EDGE, RULE_FIRST, "" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct bench bench = begin(rows[i].form, rows[i].function, rows[i].property, DAY_MS, 3);
        for (int k = 6; k >= 0; k--) {
            add(&bench, NOW_MS - k * 60000 - 5, "{\"price\":3,\"category\":\"a\"}");
        }
        feature_set_prune(&bench.set, &bench.feature, 1, NOW_MS + 2 * DAY_MS);
        assert_int_equal(bench.set.count, 1);
        store_and_load(&bench);
        struct feature other = bench.feature;
        other.number--;
        feature_set_prune(&bench.set, &other, 1, NOW_MS + 2 * DAY_MS);
        assert_int_equal(bench.set.count, 1);
        feature_set_prune(&bench.set, &bench.feature, 1, NOW_MS - 5 + DAY_MS - 1);
        assert_int_equal(bench.set.count, 1);
        feature_set_prune(&bench.set, &bench.feature, 1, NOW_MS - 5 + DAY_MS);
        assert_int_equal(bench.set.count, 0);
        end(&bench);
    }
}

/* What waits for its history must not seem to know that there is nothing. */
static void test_what_is_incomplete_is_not_dropped(void **state)
{
    (void)state;
    struct bench bench = begin(FEATURE_NEWEST, RULE_COUNT, "", DAY_MS, 3);
    add(&bench, NOW_MS - 5, "{}");
    bench.set.items[0].is_incomplete = true;
    store_and_load(&bench);
    feature_set_prune(&bench.set, &bench.feature, 1, NOW_MS + 3 * DAY_MS);
    assert_int_equal(bench.set.count, 1);
    end(&bench);
}

static void test_a_full_arena_is_said(void **state)
{
    (void)state;
    struct bench bench = begin(FEATURE_WINDOW, RULE_SUM, "price", DAY_MS, 0);
    CLEANUP(arena_destroy_at) struct arena *small = arena_create(2048);
    bool is_added = true;
    for (int i = 0; i < FEATURE_EXACT_MAX && is_added; i++) {
        struct property_view view = fact(NOW_MS - i, 1, "{\"price\":1}");
        is_added = feature_add(small, &bench.set, &bench.feature, &view, NOW_MS);
    }
    assert_false(is_added);
    end(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_window_is_open_below_and_closed_above),
        cmocka_unit_test(test_counts_after),
        cmocka_unit_test(test_comparisons_turn_exactly),
        cmocka_unit_test(test_two_that_leave_together_skip_a_count),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_a_null_property_is_no_fact),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_a_number_and_its_text_are_one_value),
        cmocka_unit_test(test_added_again_is_complete),
        cmocka_unit_test(test_removal_of_all_leaves_nothing),
        cmocka_unit_test(test_what_was_never_added_breaks),
        cmocka_unit_test(test_another_s_flag_stays),
        cmocka_unit_test(test_sums_beyond_the_range_are_null),
        cmocka_unit_test(test_edge_keeps_short_texts),
        cmocka_unit_test(test_edge_without_a_property_is_an_instant),
        cmocka_unit_test(test_cells_say_at_least_at_their_edge),
        cmocka_unit_test(test_small),
        cmocka_unit_test(test_untouched_states_pass_through),
        cmocka_unit_test(test_the_same_state_is_stored_once),
        cmocka_unit_test(test_sets_that_are_refused),
        cmocka_unit_test(test_set_keeps_known_numbers),
        cmocka_unit_test(test_what_has_passed_is_dropped),
        cmocka_unit_test(test_what_is_incomplete_is_not_dropped),
        cmocka_unit_test(test_a_full_arena_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
