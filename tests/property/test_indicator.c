#undef NDEBUG

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/instant.h"
#include "core/profile/indicator.h"

/*
 * Indicators do not depend on how facts came: in any order, one profile or two
 * that merge later, through the stored form at any moment; the bytes are the
 * same (correctness 24). A crossing is the one millisecond between two sides,
 * against a search that does not halve. Orders that come and go leave what a
 * hydration from those that stay gives, unless the state says that it no longer
 * knows; and if it says that, it was right to throw one away.
 */

enum {
    SEEDS = 60,
    ACTS_MAX = 90,
    ORDERS_MAX = 60,
    SHUFFLES = 4,
    ARENA_BYTES = 16 * 1024 * 1024,
};

#define NOW_MS INT64_C(1795356187000)
#define POINT INT64_C(1000000)

struct town {
    uint64_t seed;
    uint64_t random;
    struct arena *arena;
    struct event acts[ACTS_MAX];
    size_t act_count;
    struct order orders[ORDERS_MAX];
    size_t order_count;
};

static void must(const struct town *town, bool holds, int line, const char *what)
{
    if (!holds) {
        printf("seed %llu, line %d: not %s\n", (unsigned long long)town->seed, line, what);
        exit(1);
    }
}

#define MUST(condition) must(town, condition, __LINE__, #condition)

static uint32_t draw(struct town *town, uint32_t below)
{
    town->random ^= town->random << 13;
    town->random ^= town->random >> 7;
    town->random ^= town->random << 17;
    return (uint32_t)((town->random >> 16) % below);
}

/* Whole hours, often whole days, so that instants tie. */
static int64_t some_time(struct town *town)
{
    int64_t unit_ms = draw(town, 4) == 0 ? INSTANT_HOUR_MS : INSTANT_DAY_MS;
    return NOW_MS - draw(town, 20) * unit_ms;
}

static void make(struct town *town)
{
    static const char *const bodies[] = {
        "{\"channel\":\"web\",\"location\":\"1\"}",
        "{\"channel\":\"pos\",\"platform\":\"ios\"}",
        "{}",
    };
    town->act_count = draw(town, ACTS_MAX + 1);
    for (size_t i = 0; i < town->act_count; i++) {
        struct event *event = &town->acts[i];
        *event = (struct event){
            .type = draw(town, 3) == 0 ? EVENT_EMAIL_CLICKED : EVENT_EMAIL_OPENED,
            .act = true,
            .occurred_at_ms = some_time(town),
        };
        for (size_t byte = 0; byte < ID_SIZE; byte++) {
            event->id.bytes[byte] = (uint8_t)draw(town, 256);
        }
    }
    town->order_count = draw(town, ORDERS_MAX + 1);
    for (size_t i = 0; i < town->order_count; i++) {
        town->orders[i] = (struct order){
            .order_ref = str_printf(town->arena, "%zu", i),
            .placed_at_ms = some_time(town),
            .body_json = str_from_z(bodies[draw(town, 3)]),
        };
    }
}

static void shuffle(struct town *town)
{
    for (size_t i = town->act_count; i > 1; i--) {
        size_t other = draw(town, (uint32_t)i);
        struct event kept = town->acts[i - 1];
        town->acts[i - 1] = town->acts[other];
        town->acts[other] = kept;
    }
    for (size_t i = town->order_count; i > 1; i--) {
        size_t other = draw(town, (uint32_t)i);
        struct order kept = town->orders[i - 1];
        town->orders[i - 1] = town->orders[other];
        town->orders[other] = kept;
    }
}

static struct str bytes_of(struct town *town, const struct indicators *indicators)
{
    struct buf buf;
    buf_init(&buf, town->arena, 64u * 1024);
    bool is_encoded = indicators_encode(indicators, &buf);
    MUST(is_encoded);
    return buf_str(&buf);
}

static void store_and_load(struct town *town, struct indicators *indicators)
{
    struct str rest = bytes_of(town, indicators);
    bool is_decoded = indicators_decode(town->arena, &rest, indicators);
    MUST(is_decoded);
    MUST(rest.size == 0);
}

static void add_act(struct town *town, struct indicators *indicators, const struct event *event)
{
    bool failed = false;
    (void)indicators_add_event(town->arena, indicators, event, &failed);
    MUST(!failed);
}

static void add_order(struct town *town, struct indicators *indicators, const struct order *order)
{
    bool is_added = indicators_add_order(town->arena, indicators, order);
    MUST(is_added);
}

/* All facts, over one to three profiles that merge at the end. */
static struct str fold(struct town *town)
{
    struct indicators parts[3];
    uint32_t part_count = 1 + draw(town, 3);
    for (size_t i = 0; i < 3; i++) {
        indicators_init(&parts[i]);
    }
    for (size_t i = 0; i < town->act_count; i++) {
        add_act(town, &parts[draw(town, part_count)], &town->acts[i]);
    }
    for (size_t i = 0; i < town->order_count; i++) {
        add_order(town, &parts[draw(town, part_count)], &town->orders[i]);
        if (draw(town, 8) == 0) {
            store_and_load(town, &parts[draw(town, part_count)]);
        }
    }
    for (uint32_t i = 1; i < part_count; i++) {
        bool is_absorbed = indicators_absorb(town->arena, &parts[0], &parts[i]);
        MUST(is_absorbed);
    }
    return bytes_of(town, &parts[0]);
}

static void order_of_arrival_does_not_matter(struct town *town)
{
    struct str first = fold(town);
    for (int i = 0; i < SHUFFLES; i++) {
        shuffle(town);
        struct str again = fold(town);
        MUST(str_equal(first, again));
    }
}

/* Nobody's table, nobody's list: each act on its own, all of them sorted by hand. */
static void scores_are_of_the_newest(struct town *town)
{
    struct indicators all;
    indicators_init(&all);
    int64_t wanted = 0;
    for (size_t i = 0; i < town->act_count; i++) {
        const struct event *event = &town->acts[i];
        size_t newer = 0;
        for (size_t j = 0; j < town->act_count; j++) {
            const struct event *other = &town->acts[j];
            newer += other->occurred_at_ms > event->occurred_at_ms ||
                     (other->occurred_at_ms == event->occurred_at_ms &&
                      id_compare(other->id, event->id) > 0);
        }
        struct indicators alone;
        int64_t share = 0;
        indicators_init(&alone);
        add_act(town, &alone, event);
        add_act(town, &all, event);
        bool has_score = engagement_score(&alone, NOW_MS, &share);
        MUST(has_score);
        wanted += newer < 64 ? share : 0;
    }
    int64_t score = 0;
    bool has_score = engagement_score(&all, NOW_MS, &score);
    MUST(has_score == (town->act_count > 0));
    MUST(score == wanted);
}

static void crossings_are_exact(struct town *town)
{
    struct indicators all;
    indicators_init(&all);
    for (size_t i = 0; i < town->act_count; i++) {
        add_act(town, &all, &town->acts[i]);
    }
    int64_t threshold = draw(town, 12) * POINT + draw(town, 1000);
    bool or_equal = draw(town, 2) == 0;
    int64_t at_ms = NOW_MS + draw(town, 100000);
    int64_t now = 0;
    bool has_score = engagement_score(&all, at_ms, &now);
    bool is_above = has_score && (or_equal ? now >= threshold : now > threshold);
    int64_t crossing_ms = engagement_crossing(&all, at_ms, threshold, or_equal);
    if (!is_above || (or_equal && threshold == 0)) {
        MUST(crossing_ms == INSTANT_NEVER);
        return;
    }
    int64_t before = 0;
    int64_t after = 0;
    MUST(crossing_ms > at_ms);
    MUST(engagement_score(&all, crossing_ms - 1, &before));
    MUST(engagement_score(&all, crossing_ms, &after));
    MUST(or_equal ? before >= threshold : before > threshold);
    MUST(!(or_equal ? after >= threshold : after > threshold));
    for (int64_t t = at_ms; t < crossing_ms; t += 1 + (crossing_ms - at_ms) / 50) {
        MUST(engagement_score(&all, t, &now));
        MUST(or_equal ? now >= threshold : now > threshold);
    }
}

/* What is shown of orders, without what was thrown away when. */
static bool same_orders(const struct indicators *a, const struct indicators *b)
{
    bool is_same = a->order_count == b->order_count;
    for (size_t i = 0; is_same && i < a->order_count; i++) {
        is_same = a->orders[i].at_ms == b->orders[i].at_ms &&
                  a->orders[i].ref_hash == b->orders[i].ref_hash;
    }
    return is_same;
}

static void orders_come_and_go(struct town *town)
{
    bool is_there[ORDERS_MAX] = { false };
    struct indicators folded;
    indicators_init(&folded);
    for (int turn = 0; turn < 200 && town->order_count > 0; turn++) {
        size_t i = draw(town, (uint32_t)town->order_count);
        if (is_there[i]) {
            bool is_removed = indicators_remove_order(town->arena, &folded, &town->orders[i]);
            MUST(is_removed);
        } else {
            add_order(town, &folded, &town->orders[i]);
        }
        is_there[i] = !is_there[i];
        struct indicators hydrated;
        indicators_init(&hydrated);
        for (size_t j = 0; j < town->order_count; j++) {
            if (is_there[j]) {
                add_order(town, &hydrated, &town->orders[j]);
            }
        }
        if (folded.is_incomplete) {
            MUST(folded.dropped_order_ms != INSTANT_NONE);
            /* Now and then the profile is hydrated, as decide would do. */
            if (draw(town, 10) == 0) {
                folded = hydrated;
            }
        } else {
            MUST(same_orders(&folded, &hydrated));
        }
        store_and_load(town, &folded);
    }
}

static void run(uint64_t seed)
{
    struct town *town = calloc(1, sizeof(*town));
    assert(town != NULL);
    town->seed = seed;
    town->random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    town->arena = arena_create(ARENA_BYTES);
    MUST(town->arena != NULL);
    make(town);
    order_of_arrival_does_not_matter(town);
    scores_are_of_the_newest(town);
    for (int i = 0; i < 5; i++) {
        crossings_are_exact(town);
    }
    orders_come_and_go(town);
    arena_destroy(town->arena);
    free(town);
}

int main(void)
{
    const char *chosen = getenv("SHOPBELL_SEED");
    uint64_t first = chosen != NULL ? strtoull(chosen, NULL, 10) : 1;
    uint64_t last = chosen != NULL ? first : SEEDS;
    for (uint64_t seed = first; seed <= last; seed++) {
        run(seed);
    }
    printf("%llu seeds\n", (unsigned long long)(last - first + 1));
    return 0;
}
