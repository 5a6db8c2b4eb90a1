#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/instant.h"
#include "core/rule/feature.h"
#include "feature_priv.h"

/*
 * Any bytes as features: the first says which; 255 is a whole set. What is
 * accepted comes out again to the byte, and can be read, compared, pruned,
 * added to, merged with itself, and stored again, without a step beyond what
 * is there. What is refused leaves a state that knows that it knows nothing.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DAY_MS INSTANT_DAY_MS
#define NOW_MS (INSTANT_FIRST_MS + 9000 * DAY_MS)
#define TEXT(literal)                \
    {                                \
        literal, sizeof(literal) - 1 \
    }
#define FEATURE(a_form, a_function, a_property, a_within, a_keep)                           \
    {                                                                                       \
        .number = 3, .form = (a_form), .function = (a_function),                            \
        .event_type = EVENT_PRODUCT_VIEWED, .property = TEXT(a_property), .by = TEXT("by"), \
        .within_ms = (a_within), .keep = (a_keep),                                          \
    }

static const struct feature features[] = {
    FEATURE(FEATURE_NEWEST, RULE_COUNT, "", DAY_MS, 4),
    FEATURE(FEATURE_NEWEST, RULE_COUNT, "", 0, 65),
    FEATURE(FEATURE_DISTINCT, RULE_DISTINCT, "by", DAY_MS, 3),
    FEATURE(FEATURE_KEYED, RULE_MAX_COUNT, "", DAY_MS, 3),
    FEATURE(FEATURE_WINDOW, RULE_SUM, "price", 7 * DAY_MS, 0),
    FEATURE(FEATURE_WINDOW, RULE_MIN, "price", 90 * DAY_MS, 0),
    FEATURE(FEATURE_WINDOW, RULE_COUNT, "", 90 * DAY_MS, 0),
    FEATURE(FEATURE_WINDOW, RULE_AVG, "price", 0, 0),
    FEATURE(FEATURE_TOTAL, RULE_SUM, "price", 0, 0),
    FEATURE(FEATURE_TOTAL, RULE_MAX, "price", 0, 0),
    FEATURE(FEATURE_TOTAL, RULE_COUNT, "", 0, 0),
    FEATURE(FEATURE_EDGE, RULE_FIRST, "", 0, 0),
    FEATURE(FEATURE_EDGE, RULE_LAST, "name", DAY_MS, 0),
};

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void fuzz_set(struct arena *arena, struct str bytes)
{
    struct feature_set set = { 0 };
    if (!feature_set_decode(arena, bytes, &set)) {
        must(set.count == 0 && set.items == NULL);
        return;
    }
    struct buf buf;
    buf_init(&buf, arena, 128u * 1024);
    must(feature_set_encode(arena, &set, &buf));
    bool is_older = bytes.size > 0 && bytes.data[0] == 2; /* comes out as the newer */
    must(is_older || str_equal(buf_str(&buf), bytes));
    for (size_t i = 0; i < set.count; i++) {
        must(feature_find(&set, set.items[i].number) == &set.items[i]);
    }
}

static void ask(struct arena *arena, const struct feature *feature,
                const struct feature_state *state)
{
    static const enum rule_op ops[] = { RULE_OP_EQ, RULE_OP_NE, RULE_OP_LT,
                                        RULE_OP_LE, RULE_OP_GT, RULE_OP_GE };
    struct feature_reading reading;
    struct rule_value constant = { .type = RULE_NUMBER, .number = 2 * RULE_NUMBER_ONE };
    must(feature_read(arena, feature, state, INSTANT_NONE, NOW_MS, &reading));
    must(reading.until_ms > NOW_MS);
    for (size_t i = 0; i < ARRAY_COUNT(ops); i++) {
        bool verdict = false;
        int64_t until_ms = 0;
        must(feature_compare(arena, feature, state, NOW_MS - DAY_MS / 2, ops[i], constant, NOW_MS,
                             &verdict, &until_ms));
        must(until_ms > NOW_MS);
    }
}

static void fold(struct arena *arena, const struct feature *feature, struct feature_set *set)
{
    struct property_view view = {
        .type = EVENT_PRODUCT_VIEWED,
        .at_ms = NOW_MS - 1,
        .properties_json = STR("{\"price\":12.5,\"by\":\"a\",\"name\":\"n\"}"),
    };
    struct feature_set twin = *set;
    must(feature_add(arena, set, feature, &view, NOW_MS));
    must(feature_remove(arena, set, feature, &view, NOW_MS));
    must(feature_absorb(arena, set, feature, &twin, NOW_MS));
    struct buf buf;
    struct feature_set again;
    buf_init(&buf, arena, 128u * 1024);
    must(feature_set_encode(arena, set, &buf));
    must(feature_set_decode(arena, buf_str(&buf), &again));
    for (size_t i = 0; i < again.count; i++) {
        must(feature_memory_decode(arena, feature, again.items[i].bytes) != NULL);
    }
}

static void fuzz_state(struct arena *arena, const struct feature *feature, struct str bytes)
{
    struct feature_state item = { .number = feature->number, .bytes = bytes };
    struct feature_set set = { .items = &item, .count = 1, .capacity = 1 };
    const struct feature_memory *memory = feature_memory_decode(arena, feature, bytes);
    if (memory != NULL) {
        struct buf buf;
        buf_init(&buf, arena, 128u * 1024);
        must(feature_memory_encode(feature, memory, &buf));
        must(str_equal(buf_str(&buf), bytes));
    } else {
        struct feature_reading reading;
        must(feature_read(arena, feature, &item, INSTANT_NONE, NOW_MS, &reading));
        must(reading.at_least);
    }
    ask(arena, feature, &item);
    fold(arena, feature, &set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 32u * 1024) {
        return 0;
    }
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(64u * 1024 * 1024);
    must(arena != NULL);
    struct str bytes = { (const char *)data + 1, size - 1 };
    if (data[0] == 255) {
        fuzz_set(arena, bytes);
    } else {
        fuzz_state(arena, &features[data[0] % ARRAY_COUNT(features)], bytes);
    }
    must(!arena_is_full(arena));
    return 0;
}
