/*
 * The pure core by itself: events folded into profiles and their rules decided,
 * on one core, without a database.
 *
 * Two figures. With the state decoded: what the fold and the verdicts cost when
 * the profile is at hand. With the codec: state decoded before and encoded after
 * every event, as the shell does it. Identity resolution and notifications are
 * left out of both; the ingest benchmark has them.
 *
 * A customer's history is 50 events over 90 days: the account as the shop's
 * hook tells of it (two identities, three traits, two consents), then of a
 * hundred events 70 product views over twenty categories, 10 carts, 11 mails
 * opened, 6 clicked, 3 orders. Views come as they do in shops, in visits: three
 * of four within the hour after the one before. Customers go by in groups, each
 * group through its own 90 days, so that the state measured at the end is that
 * of whole histories.
 *
 * The hundred rules (or argv[2], to 1,000) are the shipped ones, and segments over views, mail,
 * orders and traits; how many an event wakes is counted and printed: at most eight. CPU time is
 * measured, so the figures hold on a machine that others use. A group is small, so that events and
 * profiles are in the cache as they are when the shell has just read them; and freed memory stays
 * with the process, since the first touch of a page is the kernel's work and not the fold's.
 */
#include <assert.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/id.h"
#include "base/instant.h"
#include "core/profile/profile.h"
#include "core/rule/ruleset.h"
#include "decision_priv.h"
#include "shipped_rules.h"

enum {
    PROFILES = 40, /* of a group */
    HISTORY = 50,  /* events of a customer */
    GROUP = PROFILES * HISTORY,
    BATCH = 256, /* events decided in one arena, as the shell does */
    RULES = 100,
    RULES_MAX = 1000,
    OTHER_RULES = 20, /* than those of categories */
    KEPT_BYTES = 512 * 1024 * 1024,
};

#define START_MS INT64_C(1780315200000)
#define SPAN_MS (90 * INSTANT_DAY_MS)
#define ARENA_BYTES ((size_t)2 * 1024 * 1024 * 1024)

struct act { /* an event of a customer, and the order it is about */
    struct event event;
    const struct order *order;
    size_t whose;
};

struct bench {
    struct arena *lasting; /* rules */
    struct arena *told;    /* a group's events */
    struct arena *kept;    /* a group's states as bytes */
    struct arena *arena;   /* the work */
    size_t rule_count;
    size_t category_count;
    const struct ruleset *ruleset;
    struct decide_context context;
    struct act acts[GROUP];
    struct str states[PROFILES];
    struct profile profiles[PROFILES];
    uint64_t random;
    size_t changes;
    bool is_counting; /* in the first group only: counting costs */
    size_t asked;
    size_t asked_most;
    size_t counted;
    size_t state_bytes;
    size_t state_count;
    size_t facts_bytes; /* of which: without facts, verdicts, ... it is so much less */
    size_t verdicts_bytes;
    size_t indicators_bytes;
    size_t features_bytes;
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

/* Four for each category, three of orders, ten of traits: with the shipped seven
 * and twenty categories, a hundred. */
static struct str rule_text(struct arena *arena, size_t category_count, size_t number)
{
    unsigned category = (unsigned)(number % category_count);
    static const char *const orders[] = {
        "sum(order.completed.total within 90d) > 300",
        "sum(order.completed.total within 365d) > 1000",
        "count(order.completed within 180d) >= 5",
    };
    switch (number / category_count) {
    case 0:
        return str_printf(arena, "count(product.viewed where category = \"C%u\" within 24h) >= 3",
                          category);
    case 1:
        return str_printf(arena, "count(product.viewed where category = \"C%u\" within 7d) >= 10",
                          category);
    case 2:
        return str_printf(arena,
                          "traits.country = \"FR\" and"
                          " count(product.viewed where category = \"C%u\" within 24h) >= 2",
                          category);
    case 3:
        return str_printf(arena,
                          "consent.email = \"subscribed\" and"
                          " count(product.viewed where category = \"C%u\" within 7d) >= 4",
                          category);
    default:
        break;
    }
    number -= 4 * category_count;
    return number < ARRAY_COUNT(orders) ? str_from_z(orders[number])
                                        : str_printf(arena, "traits.city = \"City %zu\"", number);
}

static void make_rules(struct bench *bench)
{
    size_t shipped = 0;
    while (rule_shipped(shipped) != NULL) {
        shipped++;
    }
    static struct rule_definition more[RULES_MAX];
    size_t count = bench->rule_count - shipped;
    assert(count <= ARRAY_COUNT(more));
    for (size_t i = 0; i < count; i++) {
        add_rule(bench->lasting, &more[i], i, rule_text(bench->lasting, bench->category_count, i));
    }
    bench->ruleset = rules_with(bench->lasting, 1, more, count);
}

/* --- events ------------------------------------------------------------- */

static void make_account(struct bench *bench, struct event *event, size_t whose)
{
    struct arena *arena = bench->told;
    struct identifier *identifiers = ARENA_NEW_ARRAY(arena, 2, struct identifier);
    struct event_fact *facts = ARENA_NEW_ARRAY(arena, 5, struct event_fact);
    identifiers[0].kind = IDENTITY_EXTERNAL_ID;
    identifiers[0].value = str_printf(arena, "%zu", 4711000 + whose);
    identifiers[1].kind = IDENTITY_EMAIL;
    identifiers[1].value = str_printf(arena, "customer.%zu@example.com", whose);
    facts[0] = (struct event_fact){ FACT_TRAIT, STR("first_name"), STR("\"Camille\"") };
    facts[1] = (struct event_fact){ FACT_TRAIT, STR("last_name"), STR("\"Lefebvre\"") };
    facts[2] = (struct event_fact){ FACT_TRAIT, STR("country"), STR("\"FR\"") };
    facts[3] = (struct event_fact){ FACT_CONSENT, STR("email"), STR("\"subscribed\"") };
    facts[4] = (struct event_fact){ FACT_CONSENT, STR("sms"), STR("\"unsubscribed\"") };
    event->identifiers = identifiers;
    event->identifier_count = 2;
    event->facts = facts;
    event->fact_count = 5;
}

static void make_view(struct bench *bench, struct event *event)
{
    uint32_t category = draw(bench, (uint32_t)bench->category_count);
    event->category = str_printf(bench->told, "C%u", category);
    event->product_id = str_printf(bench->told, "%u", category * 100 + draw(bench, 100));
    event->properties_json =
        str_printf(bench->told, "{\"product_id\":\"%.*s\",\"category\":\"C%u\",\"price\":19.9}",
                   STR_ARG(event->product_id), category);
}

static void make_order(struct bench *bench, struct act *act, size_t number)
{
    struct order *order = ARENA_NEW(bench->told, struct order);
    *order = (struct order){
        .order_ref = str_printf(bench->told, "%zu", number),
        .has_body = true,
        .counts = true,
        .placed_at_ms = act->event.occurred_at_ms,
        .currency = STR("EUR"),
        .body_json = STR("{\"channel\":\"web\",\"platform\":\"desktop\",\"discount\":0,"
                         "\"products\":[{\"product_id\":\"1\",\"quantity\":1}]}"),
        .contribution = { .counted = true, .gross_minor = 2000 + draw(bench, 9000) },
    };
    act->order = order;
}

static enum event_type draw_type(struct bench *bench)
{
    uint32_t of_hundred = draw(bench, 100);
    return of_hundred < 70   ? EVENT_PRODUCT_VIEWED
           : of_hundred < 80 ? EVENT_CART_UPDATED
           : of_hundred < 91 ? EVENT_EMAIL_OPENED
           : of_hundred < 97 ? EVENT_EMAIL_CLICKED
                             : EVENT_ORDER_COMPLETED;
}

static void make_act(struct bench *bench, struct act *act, size_t number, size_t nth)
{
    enum event_type type = nth == 0 ? EVENT_CUSTOMER_CREATED : draw_type(bench);
    struct event *event = &act->event;
    struct id_hash hash;
    id_hash_begin(&hash, "bench");
    id_hash_add_i64(&hash, (int64_t)number);
    *event = (struct event){
        .id = id_hash_end(&hash),
        .type = type,
        .name = str_from_z(event_type_info(type)->name),
        .trust = TRUST_SIGNED,
        .act = event_type_info(type)->act || type == EVENT_EMAIL_OPENED,
        .occurred_at_ms = act->event.occurred_at_ms,
        .received_at_ms = act->event.occurred_at_ms + 700,
    };
    if (type == EVENT_CUSTOMER_CREATED) {
        make_account(bench, event, act->whose);
    } else if (type == EVENT_PRODUCT_VIEWED) {
        make_view(bench, event);
    } else if (type == EVENT_CART_UPDATED) {
        event->cart_json = STR("{\"items_count\":1,\"value\":19.90,\"categories\":[\"C1\"]}");
    } else if (type == EVENT_ORDER_COMPLETED) {
        make_order(bench, act, number);
    }
}

static int compare_acts(const void *a, const void *b)
{
    int64_t left = ((const struct act *)a)->event.occurred_at_ms;
    int64_t right = ((const struct act *)b)->event.occurred_at_ms;
    return (left > right) - (left < right);
}

/* A group's 90 days, in the order of time. */
static void make_group(struct bench *bench, size_t group)
{
    memset(bench->acts, 0, sizeof(bench->acts));
    for (size_t i = 0; i < GROUP; i++) {
        struct act *act = &bench->acts[i];
        bool goes_on = i % HISTORY > 1 && draw(bench, 4) > 0;
        act->whose = i / HISTORY;
        act->event.occurred_at_ms =
            goes_on ? act[-1].event.occurred_at_ms + draw(bench, INSTANT_HOUR_MS)
                    : START_MS + (int64_t)draw(bench, (uint32_t)(SPAN_MS / 1000)) * 1000;
        if (i % HISTORY == 0) {
            act->event.occurred_at_ms = START_MS + (int64_t)act->whose;
        }
    }
    for (size_t i = 0; i < GROUP; i++) {
        make_act(bench, &bench->acts[i], group * GROUP + i, i % HISTORY);
    }
    qsort(bench->acts, GROUP, sizeof(bench->acts[0]), compare_acts);
}

/* --- the work ----------------------------------------------------------- */

static size_t count_touched(const struct bench *bench, const struct profile *profile)
{
    const struct ruleset *ruleset = bench->ruleset;
    size_t count = 0;
    for (size_t w = 0; w < ruleset->word_count; w++) {
        uint64_t word = profile->touched != NULL ? profile->touched[w] : 0;
        for (unsigned part = 0; part < RULE_PART_COUNT; part++) {
            bool is_changed = (profile->changed_parts & (1u << part)) != 0;
            word |= is_changed ? ruleset->by_part[part].words[w] : 0;
        }
        count += (size_t)__builtin_popcountll(word);
    }
    return count;
}

static bool fold_order(struct bench *bench, struct profile *profile, const struct act *act,
                       int64_t now_ms)
{
    const struct order_contribution none = { 0 };
    struct property_view view;
    property_view_order(&view, act->order);
    profile_count_order(profile, &none, &act->order->contribution, act->order->placed_at_ms);
    return indicators_add_order(bench->arena, &profile->indicators, act->order) &&
           profile_change_order(bench->arena, profile, bench->ruleset, NULL, &view, now_ms);
}

static void fold_one(struct bench *bench, struct decision *decision, struct profile *profile,
                     const struct act *act)
{
    const struct event *event = &act->event;
    struct property_view view;
    struct judgement judgement;
    int64_t now_ms = event->received_at_ms;
    property_view_event(&view, event);
    bool folded = profile_fold_event(bench->arena, profile, event) &&
                  profile_add_fact(bench->arena, profile, bench->ruleset, &view, now_ms) &&
                  (act->order == NULL || fold_order(bench, profile, act, now_ms));
    assert(folded);
    const struct occasion occasion = {
        .at_ms = now_ms, .true_at_ms = event->occurred_at_ms, .cause = CAUSE_EVENT, .event = event
    };
    if (event->type != EVENT_CUSTOMER_CREATED) {
        size_t asked = bench->is_counting ? count_touched(bench, profile) : 0;
        bench->asked += asked;
        bench->asked_most = asked > bench->asked_most ? asked : bench->asked_most;
        bench->counted += bench->is_counting ? 1 : 0;
        judge_touched(decision, profile, &occasion, &judgement);
    } else {
        judge_all(decision, profile, &occasion, &judgement);
    }
    bench->changes += judgement.changes.count;
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
    profile->ruleset_version = 1;
    profile->identified = true;
    if (bench->states[index].size > 0) {
        bool decoded = profile_state_decode(bench->arena, bench->states[index], profile);
        assert(decoded);
        return;
    }
    profile->exclusives = ARENA_NEW(bench->arena, struct profile_identity);
    profile->exclusives[0] =
        (struct profile_identity){ .kind = IDENTITY_EXTERNAL_ID,
                                   .value = str_printf(bench->arena, "%zu", 4711000 + index) };
    profile->exclusive_count = 1;
    profile->identity_counts[IDENTITY_EXTERNAL_ID] = 1;
    profile->identity_counts[IDENTITY_EMAIL] = 1;
}

static void keep(struct bench *bench, size_t index, const struct profile *profile)
{
    struct str bytes = { 0 };
    bool encoded = profile_state_encode(bench->arena, profile, &bytes);
    assert(encoded);
    bench->states[index] = str_dup(bench->kept, bytes);
}

static double seconds(void)
{
    struct timespec at;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

/* Seconds. The columns of the row (orders, seen, cart) are the caller's to
 * keep: here the struct is. */
static double fold_decoded(struct bench *bench)
{
    arena_reset(bench->arena);
    memset(bench->states, 0, sizeof(bench->states));
    for (size_t i = 0; i < PROFILES; i++) {
        load(bench, i, &bench->profiles[i]);
    }
    struct decision *decision = new_decision(bench);
    double started = seconds();
    for (size_t i = 0; i < GROUP; i++) {
        fold_one(bench, decision, &bench->profiles[bench->acts[i].whose], &bench->acts[i]);
    }
    double spent = seconds() - started;
    assert(!arena_is_full(bench->arena));
    for (size_t i = 0; i < PROFILES; i++) {
        keep(bench, i, &bench->profiles[i]);
    }
    return spent;
}

/* What the profile's row has in columns. */
static void take_columns(struct profile *profile, const struct profile *row)
{
    profile->first_seen_at_ms = row->first_seen_at_ms;
    profile->last_seen_at_ms = row->last_seen_at_ms;
    profile->decided_at_ms = row->decided_at_ms;
    profile->due_at_ms = row->due_at_ms;
    profile->orders = row->orders;
    profile->cart_json = row->cart_json;
}

static size_t encoded_bytes(struct bench *bench, const struct profile *profile)
{
    struct str bytes = { 0 };
    bool encoded = profile_state_encode(bench->arena, profile, &bytes);
    assert(encoded);
    return bytes.size;
}

/* What takes the bytes: what is saved without each part. */
static void weigh(struct bench *bench, size_t index)
{
    struct profile whole;
    load(bench, index, &whole);
    size_t bytes = bench->states[index].size;
    struct profile part = whole;
    part.fact_count = 0;
    part.facts_bytes = (struct str){ 0 };
    bench->facts_bytes += bytes - encoded_bytes(bench, &part);
    part = whole;
    part.verdicts.count = 0;
    bench->verdicts_bytes += bytes - encoded_bytes(bench, &part);
    part = whole;
    indicators_init(&part.indicators);
    bench->indicators_bytes += bytes - encoded_bytes(bench, &part);
    part = whole;
    part.features.count = 0;
    bench->features_bytes += bytes - encoded_bytes(bench, &part);
    bench->state_bytes += bytes;
    bench->state_count++;
}

static double fold_with_codec(struct bench *bench)
{
    double spent = 0;
    memset(bench->states, 0, sizeof(bench->states));
    arena_reset(bench->kept);
    for (size_t i = 0; i < PROFILES; i++) {
        profile_init(&bench->profiles[i], ID_ZERO, START_MS);
    }
    for (size_t begin = 0; begin < GROUP; begin += BATCH) {
        arena_reset(bench->arena);
        struct decision *decision = new_decision(bench);
        double started = seconds();
        for (size_t i = begin; i < begin + BATCH && i < GROUP; i++) {
            size_t whose = bench->acts[i].whose;
            struct profile profile;
            load(bench, whose, &profile);
            take_columns(&profile, &bench->profiles[whose]);
            fold_one(bench, decision, &profile, &bench->acts[i]);
            keep(bench, whose, &profile);
            take_columns(&bench->profiles[whose], &profile);
            bench->profiles[whose].cart_json =
                profile.cart_json.size > 0
                    ? STR("{\"items_count\":1,\"value\":19.90,\"categories\":[\"C1\"]}")
                    : (struct str){ 0 };
        }
        spent += seconds() - started;
    }
    for (size_t i = 0; i < PROFILES; i++) {
        weigh(bench, i);
    }
    return spent;
}

int main(int argc, char **argv)
{
    size_t count = argc > 1 ? (size_t)strtoul(argv[1], NULL, 10) : 400000;
    size_t groups = count < GROUP ? 1 : count / GROUP;
    (void)mallopt(M_MMAP_THRESHOLD, KEPT_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
    struct bench *bench = calloc(1, sizeof(*bench));
    bench->random = 88172645463325252u;
    bench->rule_count = argc > 2 ? (size_t)strtoul(argv[2], NULL, 10) : RULES;
    assert(bench->rule_count >= RULES);
    assert(bench->rule_count <= RULES_MAX);
    bench->category_count = (bench->rule_count - OTHER_RULES) / 4;
    bench->lasting = arena_create(ARENA_BYTES);
    bench->told = arena_create(ARENA_BYTES);
    bench->kept = arena_create(ARENA_BYTES);
    bench->arena = arena_create(ARENA_BYTES);
    make_rules(bench);
    static const struct ruleset *rulesets[1];
    rulesets[0] = bench->ruleset;
    bench->context =
        (struct decide_context){ .currency = STR("EUR"), .rulesets = rulesets, .ruleset_count = 1 };
    double decoded = 0;
    double codec = 0;
    for (size_t group = 0; group < groups; group++) {
        arena_reset(bench->told);
        arena_reset(bench->kept);
        make_group(bench, group);
        bench->is_counting = group == 0;
        decoded += fold_decoded(bench);
        codec += fold_with_codec(bench);
    }
    double events = (double)groups * GROUP;
    double states = (double)bench->state_count;
    printf("{\"fold_events_per_s_core_100_rules\": %.0f,"
           " \"fold_with_codec_events_per_s_core\": %.0f, \"state_bytes_mean_100_rules\": %.0f,",
           events / decoded, events / codec, (double)bench->state_bytes / states);
    printf(" \"state_bytes_facts\": %.0f, \"state_bytes_verdicts\": %.0f,"
           " \"state_bytes_indicators\": %.0f, \"state_bytes_features\": %.0f,",
           (double)bench->facts_bytes / states, (double)bench->verdicts_bytes / states,
           (double)bench->indicators_bytes / states, (double)bench->features_bytes / states);
    printf(" \"rules\": %zu, \"features\": %zu, \"events\": %.0f, \"changes\": %zu,"
           " \"asked_mean\": %.2f, \"asked_most\": %zu}\n",
           bench->ruleset->rule_count, bench->ruleset->feature_count, events, bench->changes / 2,
           (double)bench->asked / (double)bench->counted, bench->asked_most);
    return 0;
}
