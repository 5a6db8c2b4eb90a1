/*
 * The pure core by itself: events folded into profiles and their rules decided,
 * on one core, without a database.
 *
 * Two figures. With the state decoded: what the fold and the verdicts cost when
 * the profile is at hand. With the codec: state decoded before and encoded after
 * every event, as the shell does it. Identity resolution and notifications are
 * left out of both; the ingest benchmark has them.
 *
 * The mix is that of a shop: seven of ten events are product views over twenty
 * categories, the rest carts, mail opened and clicked, orders. The hundred rules
 * are the shipped ones and segments over views, orders, mail and traits; an event
 * touches at most eight of them, which is counted and printed.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/profile/profile.h"
#include "core/rule/ruleset.h"
#include "decision_priv.h"
#include "shipped_rules.h"

enum {
    PROFILES = 2000,
    CATEGORIES = 20,
    RULES = 100,
    CHUNK = 20000,
};

#define START_MS INT64_C(1780315200000)
#define ARENA_BYTES ((size_t)2 * 1024 * 1024 * 1024)

struct bench {
    struct arena *lasting; /* rules, events */
    struct arena *arena;   /* a chunk's work */
    const struct ruleset *ruleset;
    struct decide_context context;
    struct event *events;
    size_t event_count;
    struct str states[PROFILES];
    struct profile profiles[PROFILES];
    int64_t now_ms;
    uint64_t random;
    size_t touched;
    size_t judged;
};

static uint32_t draw(struct bench *bench, uint32_t below)
{
    bench->random ^= bench->random << 13;
    bench->random ^= bench->random >> 7;
    bench->random ^= bench->random << 17;
    return (uint32_t)((bench->random >> 20) % below);
}

/* --- rules -------------------------------------------------------------- */

static void add_rule(struct arena *arena, struct rule_definition *rule, size_t number,
                     struct str when)
{
    struct rule_case *only = ARENA_NEW(arena, struct rule_case);
    only->when = when;
    *rule = (struct rule_definition){ .name = str_printf(arena, "segment_%zu", number),
                                      .title = STR("benchmark"),
                                      .kind = RULE_KIND_SEGMENT,
                                      .cases = only,
                                      .case_count = 1 };
}

static struct str rule_text(struct arena *arena, size_t number)
{
    unsigned category = (unsigned)(number / 4 % CATEGORIES);
    switch (number % 4) {
    case 0:
        return str_printf(arena, "count(product.viewed where category = \"C%u\" within 24h) >= 3",
                          category);
    case 1:
        return str_printf(arena, "count(product.viewed where category = \"C%u\" within 7d) >= 10",
                          category);
    case 2:
        return str_printf(arena, "sum(order.completed.total within %zud) > %zu", 30 + number,
                          100 + number);
    default:
        return str_printf(arena,
                          "traits.country = \"C%u\" and count(order.completed within 180d) >= %zu",
                          category, 1 + number % 7);
    }
}

static void make_rules(struct bench *bench)
{
    size_t shipped = 0;
    while (rule_shipped(shipped) != NULL) {
        shipped++;
    }
    static struct rule_definition more[RULES];
    size_t count = RULES - shipped;
    for (size_t i = 0; i < count; i++) {
        add_rule(bench->lasting, &more[i], i, rule_text(bench->lasting, i));
    }
    bench->ruleset = rules_with(bench->lasting, 1, more, count);
}

/* --- events ------------------------------------------------------------- */

static void make_event(struct bench *bench, struct event *event, size_t index)
{
    uint32_t kind = draw(bench, 100);
    *event = (struct event){
        .type = kind < 70   ? EVENT_PRODUCT_VIEWED
                : kind < 80 ? EVENT_CART_UPDATED
                : kind < 92 ? EVENT_EMAIL_OPENED
                            : EVENT_EMAIL_CLICKED,
        .trust = TRUST_SIGNED,
        .act = true,
        .occurred_at_ms = START_MS + (int64_t)index * 400,
        .received_at_ms = START_MS + (int64_t)index * 400,
    };
    memcpy(event->id.bytes, &index, sizeof(index));
    event->name = str_from_z(event_type_info(event->type)->name);
    if (event->type == EVENT_PRODUCT_VIEWED) {
        uint32_t category = draw(bench, CATEGORIES);
        event->category = str_printf(bench->lasting, "C%u", category);
        event->product_id = str_printf(bench->lasting, "%u", category * 100 + draw(bench, 100));
        event->properties_json = str_printf(
            bench->lasting, "{\"product_id\":\"%.*s\",\"category\":\"C%u\",\"price\":19.9}",
            STR_ARG(event->product_id), category);
    } else if (event->type == EVENT_CART_UPDATED) {
        event->cart_json = STR("{\"items_count\":1,\"value\":19.90,\"categories\":[\"C1\"]}");
    }
}

/* --- the work ----------------------------------------------------------- */

static void fold_one(struct bench *bench, struct decision *decision, struct profile *profile,
                     const struct event *event)
{
    struct property_view view;
    struct judgement judgement;
    int64_t now_ms = event->received_at_ms;
    property_view_event(&view, event);
    bool folded = profile_fold_event(bench->arena, profile, event) &&
                  profile_add_fact(bench->arena, profile, bench->ruleset, &view, now_ms);
    assert(folded);
    const struct occasion occasion = {
        .at_ms = now_ms, .true_at_ms = event->occurred_at_ms, .cause = CAUSE_EVENT, .event = event
    };
    judge_touched(decision, profile, &occasion, &judgement);
    bench->judged += judgement.changes.count;
}

static struct decision *new_decision(struct bench *bench)
{
    struct decision *decision = decision_create(bench->arena, &bench->context, 64);
    assert(decision != NULL);
    return decision;
}

static void load(struct bench *bench, size_t index, struct profile *profile)
{
    profile_init(profile, (struct id){ { (uint8_t)index, (uint8_t)(index >> 8) } }, START_MS);
    profile->first_seen_at_ms = START_MS;
    profile->ruleset_version = 1;
    if (bench->states[index].size > 0) {
        bool decoded = profile_state_decode(bench->arena, bench->states[index], profile);
        assert(decoded);
    }
}

static void keep(struct bench *bench, size_t index, const struct profile *profile,
                 struct arena *into)
{
    struct str bytes = { 0 };
    bool encoded = profile_state_encode(bench->arena, profile, &bytes);
    assert(encoded);
    bench->states[index] = str_dup(into, bytes);
}

static double seconds(void)
{
    struct timespec at;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static double run_decoded(struct bench *bench, const uint32_t *whose)
{
    double spent = 0;
    for (size_t begin = 0; begin < bench->event_count; begin += CHUNK) {
        arena_reset(bench->arena);
        for (size_t i = 0; i < PROFILES; i++) {
            load(bench, i, &bench->profiles[i]);
        }
        struct decision *decision = new_decision(bench);
        /* Once through, so that lazily decoded features are decoded. */
        double started = seconds();
        for (size_t i = begin; i < begin + CHUNK; i++) {
            fold_one(bench, decision, &bench->profiles[whose[i]], &bench->events[i]);
        }
        spent += seconds() - started;
        assert(!arena_is_full(bench->arena));
        for (size_t i = 0; i < PROFILES; i++) {
            keep(bench, i, &bench->profiles[i], bench->lasting);
        }
    }
    return (double)bench->event_count / spent;
}

static double run_with_codec(struct bench *bench, const uint32_t *whose)
{
    double spent = 0;
    for (size_t begin = 0; begin < bench->event_count; begin += 256) {
        arena_reset(bench->arena);
        struct decision *decision = new_decision(bench);
        double started = seconds();
        for (size_t i = begin; i < begin + 256 && i < bench->event_count; i++) {
            struct profile profile;
            load(bench, whose[i], &profile);
            fold_one(bench, decision, &profile, &bench->events[i]);
            keep(bench, whose[i], &profile, bench->lasting);
        }
        spent += seconds() - started;
    }
    return (double)bench->event_count / spent;
}

static double mean_state(const struct bench *bench)
{
    size_t bytes = 0;
    for (size_t i = 0; i < PROFILES; i++) {
        bytes += bench->states[i].size;
    }
    return (double)bytes / PROFILES;
}

int main(int argc, char **argv)
{
    size_t count = argc > 1 ? (size_t)strtoul(argv[1], NULL, 10) : 400000;
    struct bench *bench = calloc(1, sizeof(*bench));
    bench->random = 88172645463325252u;
    bench->lasting = arena_create(ARENA_BYTES);
    bench->arena = arena_create(ARENA_BYTES);
    make_rules(bench);
    static const struct ruleset *rulesets[1];
    rulesets[0] = bench->ruleset;
    bench->context =
        (struct decide_context){ .currency = STR("EUR"), .rulesets = rulesets, .ruleset_count = 1 };
    bench->event_count = count / CHUNK * CHUNK;
    bench->events = calloc(bench->event_count, sizeof(*bench->events));
    uint32_t *whose = calloc(bench->event_count, sizeof(*whose));
    for (size_t i = 0; i < bench->event_count; i++) {
        make_event(bench, &bench->events[i], i);
        whose[i] = draw(bench, PROFILES);
    }
    double decoded = run_decoded(bench, whose);
    double state = mean_state(bench);
    memset(bench->states, 0, sizeof(bench->states));
    double codec = run_with_codec(bench, whose);
    printf(
        "{\"fold_events_per_s_core_100_rules\": %.0f, \"fold_with_codec_events_per_s_core\": %.0f,"
        " \"state_bytes_mean_100_rules\": %.0f, \"rules\": %zu, \"features\": %zu,"
        " \"events\": %zu, \"changes\": %zu}\n",
        decoded, codec, state, bench->ruleset->rule_count, bench->ruleset->feature_count,
        bench->event_count, bench->judged);
    return 0;
}
