#undef NDEBUG

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/trigger/gates.h"

/*
 * What a trigger rings is what a naive reader of the whole log would let it ring.
 *
 * Customers are rung at random instants, merged and taken apart again. What was rung
 * is kept as the store keeps it: one row for each customer of that day, joined over
 * whoever is merged when it is read. The oracle keeps every ring there ever was and
 * counts.
 */

enum {
    SEEDS = 400,
    STEPS = 300,
    CUSTOMERS = 5,
    PARTS = 2,
    KEEP = 3,
};

#define HOUR INSTANT_HOUR_MS

struct ring {
    size_t customer; /* as he was then */
    size_t part;
    int64_t at_ms;
    bool is_for_all; /* not held out */
};

struct run {
    struct arena *arena;
    uint64_t state;
    struct trigger trigger;
    struct trigger_cap channel_cap;
    size_t into[CUSTOMERS]; /* who he is now */
    struct rung of_profile[CUSTOMERS];
    struct rung of_part[CUSTOMERS][PARTS];
    struct rung of_channel[CUSTOMERS];
    struct rung total;
    struct ring rings[STEPS];
    size_t ring_count;
    int64_t window_at_ms;
    int64_t window_count;
    int64_t now_ms;
};

static uint32_t draw(struct run *run, uint32_t below)
{
    run->state = run->state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(run->state >> 33) % below;
}

static void draw_trigger(struct run *run)
{
    struct trigger *trigger = &run->trigger;
    *trigger = (struct trigger){
        .once = draw(run, 8) == 0,
        .cooldown_ms = draw(run, 3) == 0 ? 0 : (int64_t)(1 + draw(run, 5)) * HOUR,
        .cooldown_per = draw(run, 2) == 0 ? TRIGGER_PER_PROFILE : TRIGGER_PER_PRODUCT,
    };
    if (draw(run, 2) == 0) {
        trigger->profile_cap = (struct trigger_cap){ 1 + draw(run, KEEP), 6 * HOUR };
    }
    if (draw(run, 2) == 0) {
        trigger->total_cap = (struct trigger_cap){ 2 + draw(run, 6), 4 * HOUR };
    }
    if (draw(run, 2) == 0) {
        run->channel_cap = (struct trigger_cap){ 1 + draw(run, KEEP), 5 * HOUR };
    }
}

/* --- the oracle ---------------------------------------------------------------- */

static bool is_same(const struct run *run, const struct ring *ring, size_t customer)
{
    return run->into[ring->customer] == run->into[customer];
}

static int64_t count_since(const struct run *run, size_t customer, int64_t per_ms, bool for_all)
{
    int64_t count = 0;
    for (size_t i = 0; i < run->ring_count; i++) {
        const struct ring *ring = &run->rings[i];
        count += is_same(run, ring, customer) && run->now_ms - ring->at_ms < per_ms &&
                 (ring->is_for_all || !for_all);
    }
    return count;
}

static bool is_cooling(const struct run *run, size_t customer, size_t part)
{
    bool is_per_part = run->trigger.cooldown_per != TRIGGER_PER_PROFILE;
    for (size_t i = 0; i < run->ring_count; i++) {
        const struct ring *ring = &run->rings[i];
        if (is_same(run, ring, customer) && (!is_per_part || ring->part == part) &&
            run->now_ms - ring->at_ms < run->trigger.cooldown_ms) {
            return true;
        }
    }
    return false;
}

static enum trigger_outcome expect(const struct run *run, size_t customer, size_t part, bool held)
{
    const struct trigger *trigger = &run->trigger;
    if ((trigger->once && count_since(run, customer, INT64_MAX, false) > 0) ||
        is_cooling(run, customer, part)) {
        return OUTCOME_COOLED_DOWN;
    }
    bool in_window =
        run->window_count > 0 && run->now_ms - run->window_at_ms < trigger->total_cap.per_ms;
    if ((trigger->profile_cap.count > 0 && count_since(run, customer, trigger->profile_cap.per_ms,
                                                       false) >= trigger->profile_cap.count) ||
        (run->channel_cap.count > 0 &&
         count_since(run, customer, run->channel_cap.per_ms, true) >= run->channel_cap.count) ||
        (trigger->total_cap.count > 0 && in_window &&
         run->window_count >= trigger->total_cap.count)) {
        return OUTCOME_CAPPED;
    }
    return held ? OUTCOME_HELD_OUT : OUTCOME_NOTIFIED;
}

static void remember(struct run *run, size_t customer, size_t part, bool is_for_all)
{
    run->rings[run->ring_count++] = (struct ring){ customer, part, run->now_ms, is_for_all };
    if (!is_for_all) {
        return;
    }
    bool is_new =
        run->window_count == 0 || run->now_ms - run->window_at_ms >= run->trigger.total_cap.per_ms;
    run->window_at_ms = is_new ? run->now_ms : run->window_at_ms;
    run->window_count = is_new ? 1 : run->window_count + 1;
}

/* --- the gates ------------------------------------------------------------------- */

/* As it is read: over all who are this customer now. */
static struct rung joined(const struct run *run, const struct rung *rows, size_t stride,
                          size_t customer)
{
    struct rung rung = rung_none();
    for (size_t i = 0; i < CUSTOMERS; i++) {
        if (run->into[i] == customer) {
            assert(rung_join(run->arena, &rung, &rows[i * stride]));
        }
    }
    return rung;
}

static enum trigger_outcome ask(struct run *run, size_t customer, size_t part, bool held)
{
    const struct rung profile = joined(run, run->of_profile, 1, customer);
    const struct rung of_part = joined(run, &run->of_part[0][part], PARTS, customer);
    const struct rung channel = joined(run, run->of_channel, 1, customer);
    const struct gates_record record = {
        .profile = &profile,
        .part = &of_part,
        .total = run->trigger.total_cap.count > 0 ? &run->total : NULL,
        .channel = run->channel_cap.count > 0 ? &channel : NULL,
        .channel_cap = run->channel_cap,
    };
    enum trigger_outcome outcome = gates_ask(&run->trigger, &record, run->now_ms, held);
    if (outcome == OUTCOME_NOTIFIED || outcome == OUTCOME_HELD_OUT) {
        assert(rung_add(run->arena, &run->of_profile[customer], run->now_ms,
                        (size_t)run->trigger.profile_cap.count, 0));
        assert(rung_add(run->arena, &run->of_part[customer][part], run->now_ms, 0, 0));
    }
    if (outcome == OUTCOME_NOTIFIED) {
        assert(rung_add(run->arena, &run->total, run->now_ms, 0, run->trigger.total_cap.per_ms));
        assert(rung_add(run->arena, &run->of_channel[customer], run->now_ms,
                        (size_t)run->channel_cap.count, 0));
    }
    return outcome;
}

static void step(struct run *run, uint64_t seed)
{
    run->now_ms += draw(run, 3) == 0 ? 0 : draw(run, (uint32_t)HOUR);
    size_t origin = draw(run, CUSTOMERS);
    switch (draw(run, 20)) {
    case 0: /* a merge: all of the one are the other */
        for (size_t i = 0, loser = run->into[origin], into = run->into[draw(run, CUSTOMERS)];
             i < CUSTOMERS; i++) {
            run->into[i] = run->into[i] == loser ? into : run->into[i];
        }
        return;
    case 1: /* and taken back: each is himself */
        for (size_t i = 0; i < CUSTOMERS; i++) {
            run->into[i] = i;
        }
        return;
    default:
        break;
    }
    size_t customer = run->into[origin];
    size_t part = draw(run, PARTS);
    bool held = draw(run, 5) == 0;
    enum trigger_outcome expected = expect(run, customer, part, held);
    enum trigger_outcome outcome = ask(run, customer, part, held);
    if (outcome != expected) {
        (void)fprintf(stderr, "SHOPBELL_SEED=%llu at %lld: %s, and %s is expected\n",
                      (unsigned long long)seed, (long long)run->now_ms,
                      trigger_outcome_name(outcome), trigger_outcome_name(expected));
        abort();
    }
    if (outcome == OUTCOME_NOTIFIED || outcome == OUTCOME_HELD_OUT) {
        remember(run, customer, part, outcome == OUTCOME_NOTIFIED);
    }
}

static void run_seed(uint64_t seed)
{
    static struct run run;
    run = (struct run){ .arena = arena_create((size_t)64 * 1024 * 1024), .state = seed };
    assert(run.arena != NULL);
    draw_trigger(&run);
    run.total = rung_none();
    run.now_ms = INSTANT_FIRST_MS;
    for (size_t i = 0; i < CUSTOMERS; i++) {
        run.into[i] = i;
        run.of_profile[i] = rung_none();
        run.of_channel[i] = rung_none();
        for (size_t k = 0; k < PARTS; k++) {
            run.of_part[i][k] = rung_none();
        }
    }
    for (size_t i = 0; i < STEPS; i++) {
        step(&run, seed);
    }
    arena_destroy(run.arena);
}

int main(void)
{
    const char *only = getenv("SHOPBELL_SEED");
    if (only != NULL) {
        run_seed(strtoull(only, NULL, 10));
        return 0;
    }
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        run_seed(seed);
    }
    return 0;
}
