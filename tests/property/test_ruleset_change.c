#undef NDEBUG

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "draw.h"
#include "seeds.h"

/*
 * Rules and statistics change under a shop that goes on (correctness 11 and 20).
 *
 * Two worlds see the same events. One had the second rules from the first day;
 * the other gets them in the middle, its profiles brought up by the sweep at
 * once, each by its next event, or not before the end. What a profile says in
 * the end is the same, and so is what events ring from the change on, but for
 * profiles that stand at the older rules; the change itself rings nothing.
 */

enum {
    SEEDS = 60,
};

enum manner {
    BY_SWEEP,   /* everybody at once */
    BY_EVENT,   /* whoever is touched, with the history at hand */
    IN_THE_END, /* no history is read before */
    MANNER_COUNT,
};

static const char *const manner_names[MANNER_COUNT] = { "by sweep", "by event", "in the end" };

static void fail(uint64_t seed, enum manner manner, const char *what)
{
    printf("seed %llu, brought up %s: %s\n", (unsigned long long)seed, manner_names[manner], what);
    exit(1);
}

/* --- what must hold of any log --------------------------------------------- */

static bool may_ring(const struct transition_row *row)
{
    return row->cause == CAUSE_EVENT || row->cause == CAUSE_TIME;
}

/* Bells are those of events and of time, but for the stale. */
static void check_bells(const struct world *world, uint64_t seed, enum manner manner)
{
    size_t loud = 0;
    for (size_t i = 0; i < world->transition_count; i++) {
        loud += may_ring(&world->transitions[i]) ? 1 : 0;
    }
    if (loud != world->notification_count + world->stale_count) {
        fail(seed, manner, "other bells than events and time have");
    }
}

/* --- two worlds -------------------------------------------------------------- */

static struct world *open_listening(void)
{
    struct world *world = world_open();
    world_subscribe(world, "segment.*");
    world_subscribe(world, "tag.*");
    return world;
}

/* Events up to `until` of `count`. */
static void apply(struct generator *generator, size_t from, size_t until)
{
    for (size_t i = from; i < until; i++) {
        generator->world->now_ms = generator->events[i]->received_at_ms;
        world_apply(generator->world, &generator->events[i], 1);
    }
}

/* The event's own differences after `from`, sorted: who, which rule, which way. */
static struct str event_log(struct world *world, size_t from, int64_t version)
{
    struct buf buf;
    buf_init(&buf, world->arena, 16u * 1024 * 1024);
    for (size_t i = from; i < world->transition_count; i++) {
        const struct transition_row *row = &world->transitions[i];
        if (row->cause == CAUSE_EVENT && row->ruleset_version == version) {
            char id[ID_TEXT_SIZE];
            id_format(row->event_id, id);
            buf_printf(&buf, "%.*s %d %s\n", STR_ARG(row->rule->definition.name), row->has, id);
        }
    }
    return buf_str(&buf);
}

static size_t count_cause(const struct world *world, enum cause_kind cause)
{
    size_t count = 0;
    for (size_t i = 0; i < world->transition_count; i++) {
        count += world->transitions[i].cause == cause ? 1 : 0;
    }
    return count;
}

/* Who has which verdicts, by the least identifier. */
static struct str verdicts_of(struct world *world)
{
    struct buf buf;
    buf_init(&buf, world->arena, 16u * 1024 * 1024);
    for (uint32_t customer = 0; customer < DRAW_CUSTOMERS; customer++) {
        const char *name = str_dup_z(world->arena, str_printf(world->arena, "c%u", customer));
        const struct profile *profile = world_find(world, name);
        const struct ruleset *ruleset = world_newest_rules(world);
        for (size_t i = 0; profile != NULL && i < ruleset->rule_count; i++) {
            const struct rule *rule = &ruleset->rules[i];
            if (verdict_find(&profile->verdicts, rule->definition.slot) != NULL) {
                buf_printf(&buf, "%s %.*s\n", name, STR_ARG(rule->definition.name));
            }
        }
    }
    return buf_str(&buf);
}

/* The rules of the second draw: the same for both worlds. */
static struct generator *draw_second(struct world *world, uint64_t seed)
{
    struct generator *rules = generator_open(world, seed + 1000);
    draw_rules(rules);
    return rules;
}

static struct generator *open_generator(struct world *world, uint64_t seed)
{
    struct generator *generator = generator_open(world, seed);
    generator->is_plain = true;
    draw_events(generator);
    return generator;
}

static void end(struct world *world)
{
    world->now_ms += INSTANT_DAY_MS;
    world_sweep(world);
    world_hydrate(world);
}

static void compare(struct world *always, struct world *changed, size_t always_from,
                    size_t changed_from, uint64_t seed, enum manner manner)
{
    struct str expected = event_log(always, always_from, world_newest_rules(always)->version);
    struct str got = event_log(changed, changed_from, world_newest_rules(changed)->version);
    if (manner != IN_THE_END && !str_equal(expected, got)) {
        printf("%.*s---\n%.*s", STR_ARG(expected), STR_ARG(got));
        fail(seed, manner, "other differences of events than with the rules from the start");
    }
    if (!str_equal(verdicts_of(always), verdicts_of(changed))) {
        printf("%.*s---\n%.*s", STR_ARG(verdicts_of(always)), STR_ARG(verdicts_of(changed)));
        fail(seed, manner, "other verdicts in the end");
    }
}

/* The change itself: nothing rings, and what changes has its cause. */
static void change(struct world *world, uint64_t seed, enum manner manner)
{
    size_t bells = world->notification_count;
    size_t events = count_cause(world, CAUSE_EVENT);
    draw_second(world, seed);
    world_sweep(world); /* whoever needs no history; instants due were told already */
    if (manner == BY_SWEEP) {
        world_hydrate(world);
    }
    if (world->notification_count != bells || count_cause(world, CAUSE_EVENT) != events) {
        fail(seed, manner, "a change of rules rang");
    }
}

static size_t check_change(uint64_t seed, enum manner manner)
{
    struct world *always = open_listening();
    struct generator *one = open_generator(always, seed);
    draw_second(always, seed);
    size_t half = one->count / 2;
    apply(one, 0, half);
    world_sweep(always);
    size_t always_from = always->transition_count;
    apply(one, half, one->count);
    end(always);

    struct world *changed = open_listening();
    struct generator *other = open_generator(changed, seed);
    draw_rules(other);
    const struct ruleset *first = world_newest_rules(changed);
    changed->history_max = manner == IN_THE_END ? 0 : 500;
    apply(other, 0, half);
    world_sweep(changed);
    change(changed, seed, manner);
    bool needs = ruleset_needs_history(first, world_newest_rules(changed));
    size_t changed_from = changed->transition_count;
    apply(other, half, other->count);
    for (size_t i = 0; i < changed->profile_count && manner == IN_THE_END && needs; i++) {
        if (changed->profiles[i]->created_at_ms <= other->events[half - 1]->received_at_ms &&
            changed->profiles[i]->ruleset_version != first->version) {
            fail(seed, manner, "new rules without their history");
        }
    }
    end(changed);
    check_bells(always, seed, manner);
    check_bells(changed, seed, manner);
    compare(always, changed, always_from, changed_from, seed, manner);
    size_t silent = count_cause(changed, CAUSE_RULE);
    world_close(always);
    world_close(changed);
    return silent;
}

/* --- an edit without a new feature -------------------------------------------- */

/* Another threshold of the same sum: decided from state, no history is asked. */
static void check_edit_without_history(void)
{
    static const char *const texts[] = { "sum(order.completed.total within 90d) > 100",
                                         "sum(order.completed.total within 90d) > 10" };
    struct world *world = open_listening();
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        struct rule_case *one = ARENA_NEW(world->arena, struct rule_case);
        struct rule_definition *rule = ARENA_NEW(world->arena, struct rule_definition);
        one->when = str_from_z(texts[i]);
        *rule = (struct rule_definition){
            .name = STR("spent"), .kind = RULE_KIND_SEGMENT, .cases = one, .case_count = 1
        };
        world_set_rules(world, rule, 1);
        if (i == 0) {
            struct generator *generator = generator_open(world, 1);
            generator->is_plain = true;
            draw_events(generator);
            apply(generator, 0, generator->count);
        }
    }
    assert(!ruleset_needs_history(world->rulesets[0], world->rulesets[1]));
    size_t bells = world->notification_count;
    world_sweep(world);
    assert(world->notification_count == bells);
    assert(count_cause(world, CAUSE_RULE) > 0);
    for (size_t i = 0; i < world->profile_count; i++) {
        assert(world->profiles[i]->ruleset_version == 2);
    }
    world_close(world);
}

/* --- statistics ---------------------------------------------------------------- */

static const struct statistics *statistics_at(struct arena *arena, int64_t version,
                                              int64_t threshold)
{
    struct statistics *statistics = ARENA_NEW(arena, struct statistics);
    struct statistic *item = ARENA_NEW(arena, struct statistic);
    int64_t *percents = ARENA_NEW(arena, int64_t);
    int64_t *thresholds = ARENA_NEW(arena, int64_t);
    *percents = 50 * RULE_NUMBER_ONE;
    *thresholds = threshold * RULE_NUMBER_ONE;
    *item = (struct statistic){ RULE_ORDERS_AVERAGE_VALUE, 1000, percents, thresholds, 1 };
    *statistics = (struct statistics){ version, item, 1 };
    return statistics;
}

static void check_statistics(void)
{
    struct world *world = open_listening();
    world_subscribe(world, "tier.*");
    struct rule_case *kept = ARENA_NEW(world->arena, struct rule_case);
    kept->value = STR("high");
    kept->when = STR("orders.average_value > percentile(orders.average_value, 50)");
    const struct rule_definition rule = {
        .name = STR("basket"), .kind = RULE_KIND_TIER, .cases = kept, .case_count = 1
    };
    world_set_rules(world, &rule, 1);
    world->context.statistics = statistics_at(world->arena, 1, 1);
    struct generator *generator = generator_open(world, 1);
    generator->is_plain = true;
    draw_events(generator);
    apply(generator, 0, generator->count);
    size_t bells = world->notification_count;
    assert(bells > 0);
    world->context.statistics = statistics_at(world->arena, 2, 1000000);
    world_sweep(world);
    assert(world->notification_count == bells);
    assert(count_cause(world, CAUSE_STATISTIC) > 0);
    for (size_t i = 0; i < world->profile_count; i++) {
        assert(world->profiles[i]->statistics_version == 2);
        assert(world->profiles[i]->verdicts.count == 0);
    }
    world_close(world);
}

int main(void)
{
    const struct seeds seeds = seeds_of(SEEDS);
    size_t silent = 0;
    for (uint64_t seed = seeds.first; seed <= seeds.last; seed += seeds.step) {
        for (enum manner manner = BY_SWEEP; manner < MANNER_COUNT; manner++) {
            silent += check_change(seed, manner);
        }
    }
    check_edit_without_history();
    check_statistics();
    printf("%zu seeds, %zu silent changes\n", seeds.count, silent);
    assert(silent > 0);
    return 0;
}
