#undef NDEBUG

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "draw.h"
#include "seeds.h"

/*
 * fold = hydrate (design 7): a profile that was brought forward event by event
 * says what the same profile says that is folded anew from what the database
 * keeps: stored interactions, orders as they stand, identities.
 *
 * Worlds are drawn: a few customers who look, open mail, fill carts, order;
 * orders that change, are refunded, cancelled, placed at another time; cookies
 * that turn out to be somebody; facts that come weeks late, twice, many in one
 * commit. The rules are drawn too, from a pool with every aggregate and form.
 * Half of the worlds read no history while they decide, as a customer with a
 * long one is treated, and are hydrated in the end.
 */

enum {
    SEEDS = 300,
    BATCH_MAX = 6,
};

static void apply(struct generator *generator)
{
    struct world *world = generator->world;
    for (size_t done = 0; done < generator->count;) {
        size_t size = 1 + draw(generator, BATCH_MAX);
        size = size < generator->count - done ? size : generator->count - done;
        world->now_ms = generator->events[done + size - 1]->received_at_ms;
        world_apply(world, generator->events + done, size);
        done += size;
        if (draw(generator, 40) == 0) {
            world_sweep(world);
        }
    }
    world->now_ms += draw(generator, 30) * INSTANT_DAY_MS;
    world_sweep(world);
}

/* --- the comparison -------------------------------------------------------- */

struct comparison {
    struct generator *generator;
    const struct profile *stored;
    const struct profile *folded;
    size_t differences;
};

static void differ(struct comparison *comparison, const char *what, struct str which)
{
    if (comparison->differences == 0) {
        printf("seed %llu: fold and hydrate differ\n",
               (unsigned long long)comparison->generator->seed);
    }
    printf("  %s %.*s\n", what, STR_ARG(which));
    comparison->differences++;
}

static void compare_i64(struct comparison *comparison, const char *what, int64_t stored,
                        int64_t folded)
{
    if (stored != folded) {
        struct arena *arena = comparison->generator->world->arena;
        differ(comparison, what,
               str_printf(arena, "stored %lld, folded %lld", (long long)stored, (long long)folded));
    }
}

static void compare_features(struct comparison *comparison)
{
    struct world *world = comparison->generator->world;
    const struct ruleset *ruleset = world_newest_rules(world);
    for (size_t i = 0; i < ruleset->feature_count; i++) {
        const struct feature *feature = &ruleset->features[i];
        const struct feature_state *a =
            feature_find(&comparison->stored->features, feature->number);
        const struct feature_state *b =
            feature_find(&comparison->folded->features, feature->number);
        if (!feature_equal(world->arena, feature, a, b, world->now_ms)) {
            differ(comparison, "feature", feature->text);
        }
    }
}

static void compare_verdicts(struct comparison *comparison)
{
    const struct ruleset *ruleset = world_newest_rules(comparison->generator->world);
    for (size_t i = 0; i < ruleset->rule_count; i++) {
        const struct rule *rule = &ruleset->rules[i];
        const struct verdict *a =
            verdict_find(&comparison->stored->verdicts, rule->definition.slot);
        const struct verdict *b =
            verdict_find(&comparison->folded->verdicts, rule->definition.slot);
        if ((a == NULL) != (b == NULL) || (a != NULL && !str_equal(a->value, b->value))) {
            differ(comparison, a != NULL ? "only stored holds:" : "only folded holds:",
                   rule->definition.cases[0].when);
        }
    }
    if (comparison->stored->due_at_ms > comparison->folded->due_at_ms) {
        compare_i64(comparison, "due at", comparison->stored->due_at_ms,
                    comparison->folded->due_at_ms);
    }
}

static struct str indicator_bytes(struct world *world, const struct profile *profile)
{
    struct indicators indicators = profile->indicators;
    struct buf buf;
    indicators.dropped_order_ms = INSTANT_NONE; /* what was thrown away, not what is known */
    buf_init(&buf, world->arena, 65536);
    bool encoded = indicators_encode(&indicators, &buf);
    assert(encoded);
    return buf_str(&buf);
}

static void compare_facts(struct comparison *comparison)
{
    const struct profile *a = comparison->stored;
    const struct profile *b = comparison->folded;
    compare_i64(comparison, "facts", (int64_t)a->fact_count, (int64_t)b->fact_count);
    for (size_t i = 0; i < a->fact_count && i < b->fact_count; i++) {
        const struct profile_fact *one = &a->facts[i];
        const struct profile_fact *other = &b->facts[i];
        if (one->kind != other->kind || !str_equal(one->key, other->key) ||
            !str_equal(one->value_json, other->value_json) || one->trust != other->trust ||
            one->occurred_at_ms != other->occurred_at_ms ||
            one->received_at_ms != other->received_at_ms ||
            !id_equal(one->event_id, other->event_id)) {
            differ(comparison, "fact", one->key);
        }
    }
    for (size_t kind = 0; kind < IDENTITY_KIND_COUNT; kind++) {
        compare_i64(comparison, "identities", a->identity_counts[kind], b->identity_counts[kind]);
    }
    compare_i64(comparison, "exclusives", (int64_t)a->exclusive_count, (int64_t)b->exclusive_count);
    compare_i64(comparison, "identified", a->identified, b->identified);
}

static void compare_sums(struct comparison *comparison)
{
    const struct profile *a = comparison->stored;
    const struct profile *b = comparison->folded;
    compare_i64(comparison, "first seen", a->first_seen_at_ms, b->first_seen_at_ms);
    compare_i64(comparison, "last seen", a->last_seen_at_ms, b->last_seen_at_ms);
    compare_i64(comparison, "signed up", a->signed_up_at_ms, b->signed_up_at_ms);
    compare_i64(comparison, "orders", a->orders.count, b->orders.count);
    compare_i64(comparison, "foreign", a->orders.foreign_count, b->orders.foreign_count);
    compare_i64(comparison, "gross", a->orders.gross_minor, b->orders.gross_minor);
    compare_i64(comparison, "refunded", a->orders.refunded_minor, b->orders.refunded_minor);
    compare_i64(comparison, "largest", a->orders.largest_minor, b->orders.largest_minor);
    compare_i64(comparison, "first order", a->orders.first_at_ms, b->orders.first_at_ms);
    compare_i64(comparison, "last order", a->orders.last_at_ms, b->orders.last_at_ms);
    compare_i64(comparison, "cart", a->cart_at_ms, b->cart_at_ms);
    if (!str_equal(a->cart_json, b->cart_json)) {
        differ(comparison, "cart", a->cart_json);
    }
}

static size_t compare(struct generator *generator, const struct profile *stored)
{
    struct world *world = generator->world;
    struct comparison comparison = { .generator = generator,
                                     .stored = stored,
                                     .folded = world_hydrated(world, stored) };
    assert(!stored->needs_history);
    assert(stored->ruleset_version == world_newest_rules(world)->version);
    compare_sums(&comparison);
    compare_facts(&comparison);
    if (!str_equal(indicator_bytes(world, stored), indicator_bytes(world, comparison.folded))) {
        differ(&comparison, "indicators", (struct str){ 0 });
    }
    compare_features(&comparison);
    compare_verdicts(&comparison);
    return comparison.differences;
}

static size_t compare_all(struct generator *generator)
{
    size_t differences = 0;
    for (size_t i = 0; i < generator->world->profile_count; i++) {
        const struct profile *profile = generator->world->profiles[i];
        if (id_is_zero(profile->merged_into)) {
            differences += compare(generator, profile);
        }
    }
    return differences;
}

struct tally {
    size_t differences;
    size_t merges;
    size_t transitions;
    size_t profiles;
};

static void run(uint64_t seed, struct tally *tally)
{
    struct world *world = world_open();
    struct generator *generator = ARENA_NEW(world->arena, struct generator);
    assert(generator != NULL);
    *generator =
        (struct generator){ .seed = seed, .state = seed * 0x9e3779b97f4a7c15u + 1, .world = world };
    draw_rules(generator);
    draw_events(generator);
    world->history_max = seed % 2 == 0 ? 500 : 0;
    apply(generator);
    world_hydrate(world); /* whoever a last event left in want of its history */
    tally->differences += compare_all(generator);
    tally->merges += world_count_decisions(world, IDENTITY_MERGED);
    tally->transitions += world->transition_count;
    tally->profiles += world->profile_count;
    world_close(world);
}

int main(void)
{
    const struct seeds seeds = seeds_of(SEEDS);
    struct tally tally = { 0 };
    for (uint64_t seed = seeds.first; seed <= seeds.last; seed += seeds.step) {
        run(seed, &tally);
    }
    printf("%zu seeds, %zu profiles, %zu merges, %zu transitions, %zu differences\n", seeds.count,
           tally.profiles, tally.merges, tally.transitions, tally.differences);
    return tally.differences > 0;
}
