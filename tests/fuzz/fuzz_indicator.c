#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/instant.h"
#include "core/profile/indicator.h"

/*
 * Any bytes as stored indicators. What is accepted must come out again to the
 * byte, must be a state that adding and merging can go on from, and must have
 * a score, a level and habits at any instant; what is refused must leave the
 * outputs alone.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

static struct str encode(struct arena *arena, const struct indicators *indicators)
{
    struct buf buf;
    buf_init(&buf, arena, 64u * 1024);
    must(indicators_encode(indicators, &buf));
    return buf_str(&buf);
}

static void show(const struct indicators *indicators, int64_t at_ms)
{
    int64_t score = 0;
    int64_t until_ms = 0;
    struct habits habits;
    must(engagement_score(indicators, at_ms, &score) == (indicators->act_count > 0));
    must(score >= 0);
    (void)engagement_level(indicators, at_ms, &until_ms);
    must(until_ms > at_ms);
    (void)cycle_stage(indicators, at_ms, &until_ms);
    must(until_ms > at_ms);
    habits_of(indicators, NULL, &habits);
    must((habits.top_weekday != NULL) == (indicators->order_count > 0));
    must(habits.top_hour >= -1 && habits.top_hour < 24);
}

static void go_on(struct arena *arena, const struct indicators *read)
{
    struct indicators grown = *read;
    struct event event = { .type = EVENT_EMAIL_CLICKED, .act = true, .occurred_at_ms = 1000 };
    struct order order = { .order_ref = STR("1"), .placed_at_ms = 1000, .body_json = STR("{}") };
    bool failed = false;
    (void)indicators_add_event(arena, &grown, &event, &failed);
    must(!failed);
    must(indicators_add_order(arena, &grown, &order));
    must(indicators_absorb(arena, &grown, read));
    must(indicators_remove_order(arena, &grown, &order));
    struct str bytes = encode(arena, &grown);
    struct indicators again;
    must(indicators_decode(arena, &bytes, &again));
    must(bytes.size == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 64u * 1024) {
        return 0;
    }
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(16u * 1024 * 1024);
    must(arena != NULL);
    struct str bytes = { (const char *)data, size };
    struct str rest = bytes;
    struct indicators indicators = { .act_count = 77 };
    if (!indicators_decode(arena, &rest, &indicators)) {
        must(indicators.act_count == 77 && rest.size == size);
        return 0;
    }
    must(str_equal(encode(arena, &indicators), str_take(bytes, size - rest.size)));
    show(&indicators, INSTANT_FIRST_MS);
    show(&indicators, INT64_C(1795356187000));
    go_on(arena, &indicators);
    return 0;
}
