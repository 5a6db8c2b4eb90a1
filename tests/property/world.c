#undef NDEBUG

#include "world.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The shell of the tests. It does what correctness 2 asks of the real one, one
 * batch at a time and without a race: read identities and orders named, plan
 * the missing, read the owners, decide, save, re-point what a merge owned.
 */

#define WORLD_ARENA_BYTES (1024u * 1024 * 1024)

/* --- rules -------------------------------------------------------------- */

/* As the store numbers them: a name keeps its slot for ever. */
static uint32_t slot_of(struct world *world, struct str name)
{
    for (size_t i = 0; i < world->rule_name_count; i++) {
        if (str_equal(world->rule_names[i], name)) {
            return (uint32_t)i + 1;
        }
    }
    assert(world->rule_name_count < WORLD_RULES_MAX);
    world->rule_names[world->rule_name_count++] = str_dup(world->arena, name);
    return (uint32_t)world->rule_name_count;
}

static struct feature_number *numbers_of(struct world *world, const struct ruleset *ruleset)
{
    struct feature_number *numbers =
        ARENA_NEW_ARRAY(world->arena, ruleset->feature_count + 1, struct feature_number);
    for (size_t i = 0; i < ruleset->feature_count; i++) {
        const struct feature *feature = &ruleset->features[i];
        numbers[i] = (struct feature_number){ feature->key, feature->number, feature->version,
                                              feature->keep };
    }
    return numbers;
}

static void put_ruleset(struct world *world, const struct ruleset *ruleset)
{
    size_t count = world->profile_count > 0 ? world->context.ruleset_count : 0;
    if (count == WORLD_RULESETS_MAX) {
        memmove(&world->rulesets[0], &world->rulesets[1], (count - 1) * sizeof(world->rulesets[0]));
        count--;
    }
    world->rulesets[count] = ruleset;
    world->context.ruleset_count = count + 1;
}

const struct ruleset *world_newest_rules(const struct world *world)
{
    return world->rulesets[world->context.ruleset_count - 1];
}

void world_set_rules(struct world *world, const struct rule_definition *definitions, size_t count)
{
    const struct ruleset *before = world->profile_count > 0 ? world_newest_rules(world) : NULL;
    int64_t version = before != NULL ? before->version + 1 : 1;
    struct rule_definition *numbered =
        ARENA_NEW_ARRAY(world->arena, count + 1, struct rule_definition);
    for (size_t i = 0; i < count; i++) {
        numbered[i] = definitions[i];
        struct id_hash hash;
        id_hash_begin(&hash, "test rule");
        id_hash_add(&hash, definitions[i].name);
        numbered[i].id = id_hash_end(&hash);
        numbered[i].slot = slot_of(world, definitions[i].name);
        numbered[i].version = 1;
        numbered[i].since_version = version;
        numbered[i].enabled = true;
    }
    struct ruleset *ruleset = NULL;
    struct ruleset_error error = { 0 };
    enum status status = ruleset_build(
        world->arena, version, numbered, count, before != NULL ? numbers_of(world, before) : NULL,
        before != NULL ? before->feature_count : 0, &world->next_feature, &ruleset, &error);
    if (status != STATUS_OK) {
        fprintf(stderr, "rule %zu does not compile: %s\n", error.rule, error.error.detail);
    }
    assert(status == STATUS_OK);
    ruleset->zone = world->zone;
    put_ruleset(world, ruleset);
}

static void set_shipped_rules(struct world *world)
{
    struct rule_definition definitions[WORLD_RULES_MAX];
    size_t count = 0;
    while (rule_shipped(count) != NULL) {
        definitions[count] = *rule_shipped(count);
        count++;
    }
    world->next_feature = 1;
    world_set_rules(world, definitions, count);
}

/* --- opening ------------------------------------------------------------ */

struct world *world_open(void)
{
    struct world *world = calloc(1, sizeof(*world));
    assert(world != NULL);
    world->arena = arena_create(WORLD_ARENA_BYTES);
    assert(world->arena != NULL);
    world->now_ms = WORLD_START_MS;
    world->history_max = 500;
    world->sources[0] = (struct source_name){ { { 1 } }, STR("shop_one") };
    world->sources[1] = (struct source_name){ { { 2 } }, STR("shop_two") };
    world->context = (struct decide_context){
        .workspace_id = { { 9 } },
        .workspace_name = STR("aurora"),
        .currency = STR("EUR"),
        .interests = world->interests,
        .sources = world->sources,
        .source_count = 2,
        .rulesets = world->rulesets,
    };
    set_shipped_rules(world);
    return world;
}

void world_close(struct world *world)
{
    arena_destroy(world->arena);
    free(world);
}

void world_subscribe(struct world *world, const char *pattern)
{
    struct str *topic = ARENA_NEW(world->arena, struct str);
    *topic = str_from_z(pattern);
    size_t index = world->context.interest_count++;
    assert(index < WORLD_INTERESTS_MAX);
    world->interests[index] = (struct subscription_interest){
        .subscription_id = { { 0x50, (uint8_t)(index + 1) } },
        .topics = topic,
        .topic_count = 1,
    };
}

/* --- events ------------------------------------------------------------- */

static struct identifier parse_identifier(struct world *world, struct str token)
{
    struct identifier identifier = { .value = str_dup(world->arena, token) };
    switch (token.data[0]) {
    case 'x':
        identifier.kind = IDENTITY_EXTERNAL_ID;
        break;
    case 'c':
    case 'd':
        identifier.kind = IDENTITY_CUSTOMER_ID;
        identifier.source_id = world->sources[token.data[0] == 'd'].id;
        break;
    case 'e':
        identifier.kind = IDENTITY_EMAIL;
        break;
    case 'p':
        identifier.kind = IDENTITY_PHONE;
        break;
    case 'a':
        identifier.kind = IDENTITY_ANONYMOUS_ID;
        break;
    case 't':
        identifier.kind = IDENTITY_CART_TOKEN;
        identifier.source_id = world->sources[0].id;
        break;
    case 'o':
        identifier.kind = IDENTITY_ORDER;
        identifier.source_id = world->sources[0].id;
        break;
    default:
        assert(false && "an identifier of a known kind");
    }
    return identifier;
}

static void sort_identifiers(struct event *event)
{
    for (size_t i = 1; i < event->identifier_count; i++) {
        struct identifier moved = event->identifiers[i];
        size_t j = i;
        for (; j > 0 && event->identifiers[j - 1].kind > moved.kind; j--) {
            event->identifiers[j] = event->identifiers[j - 1];
        }
        event->identifiers[j] = moved;
    }
}

struct event *world_event(struct world *world, const char *spec)
{
    struct event *event = ARENA_NEW(world->arena, struct event);
    struct str rest = str_trim(str_from_z(spec));
    event->unites_customers = rest.data[0] == 'M';
    event->trust = rest.data[0] == 'P'   ? TRUST_PUBLIC
                   : rest.data[0] == 'K' ? TRUST_KEYED
                                         : TRUST_SIGNED;
    rest = str_trim(str_drop(rest, 1));
    event->identifiers = ARENA_NEW_ARRAY(world->arena, 32, struct identifier);
    while (rest.size > 0) {
        struct str token = rest;
        struct str tail = { 0 };
        if (!str_split(rest, ' ', &token, &tail)) {
            token = rest;
            tail = (struct str){ 0 };
        }
        event->identifiers[event->identifier_count++] = parse_identifier(world, token);
        rest = str_trim(tail);
    }
    sort_identifiers(event);
    event->source_id = world->sources[0].id;
    event->dedup_key = str_printf(world->arena, "delivery-%lld", (long long)world->event_count++);
    event->id = event_id(event->source_id, event->dedup_key, STR("0"));
    event->type = EVENT_PAGE_VIEWED;
    event->name = STR("page.viewed");
    event->act = true;
    event->occurred_at_ms = world->now_ms;
    event->claimed_at_ms = world->now_ms;
    event->received_at_ms = world->now_ms;
    return event;
}

/* --- load --------------------------------------------------------------- */

static struct identity_row *find_identity(struct world *world, const struct identifier *key)
{
    for (size_t i = 0; i < world->identity_count; i++) {
        const struct identifier *row = &world->identities[i]->identifier;
        if (row->kind == key->kind && id_equal(row->source_id, key->source_id) &&
            str_equal(row->value, key->value)) {
            return world->identities[i];
        }
    }
    return NULL;
}

static struct profile *find_profile(struct world *world, struct id id)
{
    for (size_t i = 0; i < world->profile_count; i++) {
        if (id_equal(world->profiles[i]->id, id)) {
            return world->profiles[i];
        }
    }
    return NULL;
}

static struct order *find_order(struct world *world, struct id source_id, struct str order_ref)
{
    for (size_t i = 0; i < world->order_count; i++) {
        if (id_equal(world->orders[i]->source_id, source_id) &&
            str_equal(world->orders[i]->order_ref, order_ref)) {
            return world->orders[i];
        }
    }
    return NULL;
}

/* As a row would come back: what has no column comes out of its bytes. */
static struct profile *copy_profile(struct world *world, const struct profile *stored)
{
    assert(stored != NULL);
    struct str bytes = { 0 };
    bool encoded = profile_state_encode(world->arena, stored, &bytes);
    assert(encoded);
    struct profile *copy = ARENA_NEW(world->arena, struct profile);
    assert(copy != NULL);
    *copy = *stored;
    copy->facts = NULL;
    copy->fact_count = 0;
    copy->exclusives = NULL;
    copy->exclusive_count = 0;
    copy->merge_count = 0;
    copy->page_seen_at_ms = INSTANT_NONE;
    memset(copy->identity_counts, 0, sizeof(copy->identity_counts));
    bool decoded = profile_state_decode(world->arena, bytes, copy);
    assert(decoded);
    copy->is_new = false;
    copy->is_dirty = false;
    copy->facts_changed = false;
    copy->orders_shrunk = false;
    copy->due_moved = false;
    copy->is_judged = false;
    copy->is_recalled = false;
    copy->is_long = false;
    copy->has_labels = false;
    copy->changed_parts = 0;
    copy->touched = NULL;
    return copy;
}

static struct order *copy_order(struct world *world, const struct order *stored)
{
    struct str bytes = { 0 };
    bool encoded = order_documents_encode(world->arena, stored, &bytes);
    assert(encoded);
    struct order *copy = ARENA_NEW(world->arena, struct order);
    *copy = *stored;
    copy->refunds = NULL;
    copy->refund_count = 0;
    copy->fulfilments = NULL;
    copy->fulfilment_count = 0;
    copy->body_hash = ID_ZERO;
    copy->body_refunded_minor = 0;
    bool decoded = order_documents_decode(world->arena, bytes, copy);
    assert(decoded);
    return copy;
}

struct batch {
    struct decision *decision;
    struct order *orders[WORLD_ROWS_MAX]; /* in the working set */
    size_t order_count;
};

static void load_order(struct world *world, struct batch *batch, struct id source_id,
                       struct str order_ref)
{
    for (size_t i = 0; i < batch->order_count; i++) {
        if (id_equal(batch->orders[i]->source_id, source_id) &&
            str_equal(batch->orders[i]->order_ref, order_ref)) {
            return;
        }
    }
    struct order *stored = find_order(world, source_id, order_ref);
    if (stored != NULL) {
        struct order *order = copy_order(world, stored);
        batch->orders[batch->order_count++] = order;
        decision_put_order(batch->decision, order);
    }
}

static void load_event(struct world *world, struct batch *batch, const struct event *event)
{
    for (size_t i = 0; i < event->identifier_count; i++) {
        const struct identifier *identifier = &event->identifiers[i];
        if (identifier->kind == IDENTITY_ORDER) {
            load_order(world, batch, identifier->source_id, identifier->value);
            continue;
        }
        struct identity_row *stored = find_identity(world, identifier);
        if (stored != NULL) {
            struct identity_row *row = ARENA_NEW(world->arena, struct identity_row);
            *row = *stored;
            decision_put_identity(batch->decision, row);
        }
    }
    if (event->order != NULL) {
        load_order(world, batch, event->source_id, event->order->order_ref);
    }
}

static void load_profiles(struct world *world, struct batch *batch)
{
    const struct id *ids = NULL;
    size_t count = decision_profile_ids_to_lock(batch->decision, &ids);
    for (size_t i = 0; i < count; i++) {
        assert(i == 0 || id_compare(ids[i - 1], ids[i]) < 0);
        struct profile *stored = find_profile(world, ids[i]);
        assert(stored != NULL);
        assert(id_is_zero(stored->merged_into));
        decision_put_profile(batch->decision, copy_profile(world, stored));
    }
}

/* --- save --------------------------------------------------------------- */

static void save_identity(struct world *world, const struct identity_row *row)
{
    struct identity_row *stored = find_identity(world, &row->identifier);
    if (stored == NULL) {
        assert(world->identity_count < WORLD_ROWS_MAX);
        stored = ARENA_NEW(world->arena, struct identity_row);
        world->identities[world->identity_count++] = stored;
    }
    *stored = *row;
    stored->is_new = false;
    stored->is_moved = false;
}

static void save_order(struct world *world, const struct order *order)
{
    struct order *stored = find_order(world, order->source_id, order->order_ref);
    if (stored == NULL) {
        assert(world->order_count < WORLD_ROWS_MAX);
        stored = ARENA_NEW(world->arena, struct order);
        world->orders[world->order_count++] = stored;
    }
    *stored = *copy_order(world, order);
}

static void save_profile(struct world *world, const struct profile *profile)
{
    struct profile *stored = find_profile(world, profile->id);
    assert((stored == NULL) == profile->is_new);
    if (stored == NULL) {
        assert(world->profile_count < WORLD_ROWS_MAX);
        stored = ARENA_NEW(world->arena, struct profile);
        assert(stored != NULL);
        world->profiles[world->profile_count++] = stored;
    } else {
        assert(profile->sequence >= stored->sequence); /* brought up without a change */
        assert(profile->ruleset_version >= stored->ruleset_version); /* correctness 11 */
    }
    *stored = *copy_profile(world, profile);
}

static void repoint(struct world *world, const struct identity_decision_row *merge)
{
    for (size_t i = 0; i < world->identity_count; i++) {
        if (id_equal(world->identities[i]->profile_id, merge->from_id)) {
            world->identities[i]->profile_id = merge->into_id;
        }
    }
    for (size_t i = 0; i < world->order_count; i++) {
        if (id_equal(world->orders[i]->profile_id, merge->from_id)) {
            world->orders[i]->profile_id = merge->into_id;
        }
    }
}

static void save_notification(struct world *world, const struct notification_row *row)
{
    for (size_t i = 0; i < world->notification_count; i++) {
        assert(!id_equal(world->notifications[i].id, row->id));
    }
    assert(world->notification_count < WORLD_ROWS_MAX);
    world->notifications[world->notification_count++] = *row;
}

static void save_log(struct world *world, const struct decision_rows *rows)
{
    for (size_t i = 0; i < rows->interaction_count; i++) {
        assert(world->interaction_count < WORLD_ROWS_MAX);
        world->interactions[world->interaction_count++] = rows->interactions[i];
    }
    for (size_t i = 0; i < rows->transition_count; i++) {
        assert(world->transition_count < WORLD_ROWS_MAX);
        world->transitions[world->transition_count++] = rows->transitions[i];
    }
    for (size_t i = 0; i < rows->identity_decision_count; i++) {
        assert(world->decision_count < WORLD_ROWS_MAX);
        world->decisions[world->decision_count++] = rows->identity_decisions[i];
    }
    for (size_t i = 0; i < rows->notification_count; i++) {
        save_notification(world, &rows->notifications[i]);
    }
}

/* The orders of one owner, as the working set has them, else as stored. */
static void supply_extremes(struct world *world, struct batch *batch, struct profile *profile)
{
    struct profile_orders extremes = { .first_at_ms = INSTANT_NONE, .last_at_ms = INSTANT_NONE };
    for (size_t i = 0; i < world->order_count + batch->order_count; i++) {
        bool is_stored = i < world->order_count;
        const struct order *order =
            is_stored ? world->orders[i] : batch->orders[i - world->order_count];
        for (size_t j = 0; is_stored && j < batch->order_count; j++) {
            if (id_equal(order->source_id, batch->orders[j]->source_id) &&
                str_equal(order->order_ref, batch->orders[j]->order_ref)) {
                order = NULL;
                break;
            }
        }
        if (order == NULL || !order->contribution.counted) {
            continue;
        }
        struct id owner = decision_canonical_id(batch->decision, order->profile_id);
        if (!id_equal(owner, profile->id)) {
            continue;
        }
        if (extremes.first_at_ms == INSTANT_NONE || order->placed_at_ms < extremes.first_at_ms) {
            extremes.first_at_ms = order->placed_at_ms;
        }
        if (order->placed_at_ms > extremes.last_at_ms) {
            extremes.last_at_ms = order->placed_at_ms;
        }
        if (order->contribution.gross_minor > extremes.largest_minor) {
            extremes.largest_minor = order->contribution.gross_minor;
        }
    }
    profile->orders.first_at_ms = extremes.first_at_ms;
    profile->orders.last_at_ms = extremes.last_at_ms;
    profile->orders.largest_minor = extremes.largest_minor;
}

static void save(struct world *world, struct batch *batch)
{
    struct profile **shrunk = NULL;
    size_t shrunk_count = decision_shrunk_profiles(batch->decision, &shrunk);
    for (size_t i = 0; i < shrunk_count; i++) {
        supply_extremes(world, batch, shrunk[i]);
    }
    struct decision_rows rows = { 0 };
    enum status status = decision_finish(batch->decision, world->now_ms, &rows);
    assert(status == STATUS_OK);
    for (size_t i = 0; i < rows.identity_decision_count; i++) {
        if (rows.identity_decisions[i].kind == IDENTITY_MERGED) {
            repoint(world, &rows.identity_decisions[i]);
        }
    }
    for (size_t i = 0; i < rows.moved_identity_count; i++) {
        save_identity(world, rows.moved_identities[i]);
    }
    for (size_t i = 0; i < rows.order_count; i++) {
        save_order(world, rows.orders[i]);
    }
    for (size_t i = 0; i < rows.profile_count; i++) {
        save_profile(world, rows.profiles[i]);
    }
    for (size_t i = 0; i < rows.woken_count; i++) {
        struct profile *stored = find_profile(world, rows.woken[i]->id);
        assert(stored != NULL);
        stored->due_at_ms = rows.woken[i]->due_at_ms;
    }
    save_log(world, &rows);
    world->stale_count += decision_stale_count(batch->decision);
}

/* --- a commit ----------------------------------------------------------- */

static bool take_receipt(struct world *world, struct id event_id)
{
    for (size_t i = 0; i < world->receipt_count; i++) {
        if (id_equal(world->receipts[i], event_id)) {
            return false;
        }
    }
    assert(world->receipt_count < WORLD_ROWS_MAX);
    world->receipts[world->receipt_count++] = event_id;
    return true;
}

static struct batch *begin(struct world *world, size_t count)
{
    struct batch *batch = ARENA_NEW(world->arena, struct batch);
    world->batch_count++;
    memset(world->context.random, (int)(world->batch_count & 0xff), sizeof(world->context.random));
    world->context.random[0] = (uint8_t)(world->batch_count >> 8);
    batch->decision = decision_create(world->arena, &world->context, count);
    assert(batch->decision != NULL);
    return batch;
}

/* --- history ------------------------------------------------------------ */

/* Whom an origin's facts belong to, by the merges that stand. */
static struct id canonical_of(const struct world *world, struct id id)
{
    for (size_t i = 0; i < world->decision_count; i++) {
        const struct identity_decision_row *row = &world->decisions[i];
        if (row->kind == IDENTITY_MERGED && !world->undone[i] && id_equal(row->from_id, id)) {
            return canonical_of(world, row->into_id);
        }
    }
    return id;
}

/* An event as its row gives it back: what has no column is lost. */
static struct event stored_event(struct world *world, const struct event *event)
{
    struct event stored = *event;
    struct str facts = { 0 };
    bool encoded = profile_facts_encode(world->arena, event, &facts);
    assert(encoded);
    stored.facts = NULL;
    stored.fact_count = 0;
    bool decoded = facts.size == 0 || profile_facts_decode(world->arena, facts, &stored.facts,
                                                           &stored.fact_count, &stored.facts_at_ms);
    assert(decoded);
    stored.identifiers = NULL;
    stored.identifier_count = 0;
    stored.act = event_type_info(event->type)->act;
    stored.claimed_at_ms = event->occurred_at_ms;
    stored.order = NULL;
    stored.cart_json = (struct str){ 0 };
    return stored;
}

/* Also by the merges of a batch that is not stored yet; NULL: there is none. */
static bool is_of(const struct world *world, const struct decision *decision,
                  const struct profile *profile, struct id id)
{
    id = canonical_of(world, id);
    id = decision != NULL ? decision_canonical_id(decision, id) : id;
    return id_equal(id, profile->id);
}

static struct profile_base base_of(struct world *world, const struct world_base *row)
{
    struct profile_base base = { .origin_id = row->origin_id };
    bool decoded = base_decode(world->arena, row->bytes, &base);
    assert(decoded);
    return base;
}

static struct profile_base *bases_of(struct world *world, const struct profile *profile,
                                     const struct decision *decision, size_t *out_count)
{
    struct profile_base *bases =
        ARENA_NEW_ARRAY(world->arena, world->base_count + 1, struct profile_base);
    *out_count = 0;
    for (size_t i = 0; i < world->base_count; i++) {
        if (is_of(world, decision, profile, world->bases[i].origin_id)) {
            bases[(*out_count)++] = base_of(world, &world->bases[i]);
        }
    }
    return bases;
}

static struct history history_of(struct world *world, const struct profile *profile,
                                 const struct decision *decision)
{
    struct event *events =
        ARENA_NEW_ARRAY(world->arena, world->interaction_count + 1, struct event);
    struct order **orders = ARENA_NEW_ARRAY(world->arena, world->order_count + 1, struct order *);
    struct identifier *identifiers =
        ARENA_NEW_ARRAY(world->arena, world->identity_count + 1, struct identifier);
    struct history history = { .events = events,
                               .orders = orders,
                               .identifiers = identifiers,
                               .ruleset = world_newest_rules(world),
                               .now_ms = world->now_ms };
    history.bases = bases_of(world, profile, decision, &history.base_count);
    for (size_t i = 0; i < world->interaction_count; i++) {
        const struct interaction_row *row = &world->interactions[i];
        if (is_of(world, decision, profile, row->origin_id)) {
            events[history.event_count++] = stored_event(world, row->event);
        }
    }
    for (size_t i = 0; i < world->order_count; i++) {
        if (is_of(world, decision, profile, world->orders[i]->profile_id)) {
            orders[history.order_count++] = copy_order(world, world->orders[i]);
        }
    }
    for (size_t i = 0; i < world->identity_count; i++) {
        if (is_of(world, decision, profile, world->identities[i]->profile_id)) {
            identifiers[history.identifier_count++] = world->identities[i]->identifier;
        }
    }
    return history;
}

/* store/bring_up, with arrays for a database. */
static void bring_up(struct world *world, struct decision *decision, size_t facts_max)
{
    struct profile **wanting = NULL;
    size_t count = decision_wanting_history(decision, &wanting);
    for (size_t i = 0; i < count; i++) {
        struct profile *profile = wanting[i];
        struct history history = history_of(world, profile, NULL);
        profile->is_long = history.event_count > facts_max;
        if (profile->is_long) {
            continue;
        }
        enum cause_kind cause = profile->ruleset_version == 0 ? CAUSE_IMPORT : CAUSE_RULE;
        enum status status = decide_due(decision, profile, world->now_ms);
        assert(status == STATUS_OK);
        if (history_is_empty(&history)) {
            profile->features = (struct feature_set){ 0 };
            profile->needs_history = false;
            profile->ruleset_version = history.ruleset->version;
        } else {
            bool folded = profile_hydrate(world->arena, profile, &history);
            assert(folded);
        }
        status = decide_silently(decision, profile, world->now_ms, cause);
        assert(status == STATUS_OK);
    }
}

static void recall(struct world *world, struct decision *decision)
{
    struct profile **losing = NULL;
    size_t count = decision_losing_sight(decision, &losing);
    for (size_t i = 0; i < count; i++) {
        const struct history history = history_of(world, losing[i], decision);
        losing[i]->is_long = history.event_count > world->history_max;
        if (!losing[i]->is_long) {
            enum status status = decision_recall(decision, losing[i], &history);
            assert(status == STATUS_OK);
        }
    }
}

static void judge_alone(struct world *world, struct profile *profile)
{
    const struct ruleset *ruleset = world_newest_rules(world);
    const struct rule_subject subject = { .profile = profile,
                                          .ruleset = ruleset,
                                          .statistics = world->context.statistics,
                                          .currency = world->context.currency };
    profile->due_at_ms = INSTANT_NEVER;
    for (size_t i = 0; i < ruleset->rule_count; i++) {
        const struct rule *rule = &ruleset->rules[i];
        struct verdict verdict = { .slot = rule->definition.slot };
        int64_t until_ms = INSTANT_NEVER;
        bool holds =
            rule_verdict(world->arena, rule, &subject, world->now_ms, &verdict.value, &until_ms);
        bool put = verdict_put(world->arena, &profile->verdicts, rule->definition.slot,
                               holds ? &verdict : NULL);
        assert(put);
        profile->due_at_ms = until_ms < profile->due_at_ms ? until_ms : profile->due_at_ms;
    }
}

struct profile *world_hydrated(struct world *world, const struct profile *profile)
{
    struct profile *folded = copy_profile(world, profile);
    struct history history = history_of(world, profile, NULL);
    bool complete = history_is_empty(&history) || profile_hydrate(world->arena, folded, &history);
    assert(complete);
    folded->verdicts = (struct verdict_set){ 0 };
    judge_alone(world, folded);
    return folded;
}

struct profile *world_hydrated_as_of(struct world *world, const struct profile *profile,
                                     int64_t at_ms)
{
    struct profile *folded = copy_profile(world, profile);
    struct history history = history_of(world, profile, NULL);
    const struct as_of as_of = { .at_ms = at_ms,
                                 .known_at_ms = INSTANT_NEVER,
                                 .statistics = world->context.statistics,
                                 .currency = world->context.currency };
    bool told = profile_as_of(world->arena, folded, &history, &as_of);
    return told ? folded : NULL;
}

/* --- retention ----------------------------------------------------------- */

static struct world_base *base_row(struct world *world, struct id origin_id)
{
    for (size_t i = 0; i < world->base_count; i++) {
        if (id_equal(world->bases[i].origin_id, origin_id)) {
            return &world->bases[i];
        }
    }
    assert(world->base_count < WORLD_ROWS_MAX);
    struct world_base *row = &world->bases[world->base_count++];
    struct profile_base base;
    base_init(&base, origin_id);
    row->origin_id = origin_id;
    bool encoded = base_encode(world->arena, &base, &row->bytes);
    assert(encoded);
    return row;
}

/* store/profile_base: as many facts of the origin as one step takes. */
static size_t fold_origin(struct world *world, struct id origin_id, int64_t before_ms, size_t limit)
{
    struct event *events = ARENA_NEW_ARRAY(world->arena, limit, struct event);
    struct id *carts = ARENA_NEW_ARRAY(world->arena, world->profile_count, struct id);
    size_t cart_count = 0;
    assert(events != NULL && carts != NULL);
    for (size_t i = 0; i < world->profile_count; i++) {
        const struct profile *profile = world->profiles[i];
        if (id_equal(canonical_of(world, profile->id), canonical_of(world, origin_id))) {
            carts[cart_count++] = profile->cart_event_id;
        }
    }
    size_t count = 0;
    size_t kept = 0;
    for (size_t i = 0; i < world->interaction_count; i++) {
        const struct interaction_row *row = &world->interactions[i];
        if (count < limit && id_equal(row->origin_id, origin_id) &&
            row->event->occurred_at_ms < before_ms) {
            events[count++] = stored_event(world, row->event);
        } else {
            world->interactions[kept++] = *row;
        }
    }
    world->interaction_count = kept;
    if (count == 0) {
        return 0;
    }
    struct world_base *row = base_row(world, origin_id);
    struct profile_base base = base_of(world, row);
    const struct base_facts facts = { .events = events,
                                      .event_count = count,
                                      .ruleset = world_newest_rules(world),
                                      .before_ms = before_ms,
                                      .cart_event_ids = carts,
                                      .cart_count = cart_count };
    bool folded =
        base_fold(world->arena, &base, &facts) && base_encode(world->arena, &base, &row->bytes);
    assert(folded);
    return count;
}

size_t world_drop(struct world *world, int64_t before_ms, size_t step)
{
    size_t total = 0;
    for (size_t i = 0; i < world->profile_count; i++) {
        struct id origin_id = world->profiles[i]->id;
        const struct profile *profile = find_profile(world, canonical_of(world, origin_id));
        assert(profile != NULL);
        if (profile->needs_history ||
            profile->ruleset_version != world_newest_rules(world)->version) {
            continue;
        }
        size_t count = step;
        while (count == step) {
            count = fold_origin(world, origin_id, before_ms, step);
            total += count;
        }
    }
    return total;
}

/* --- writing ------------------------------------------------------------ */

void world_apply(struct world *world, struct event *const *events, size_t count)
{
    struct batch *batch = begin(world, count);
    struct event **fresh = ARENA_NEW_ARRAY(world->arena, count + 1, struct event *);
    size_t fresh_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (take_receipt(world, events[i]->id)) {
            fresh[fresh_count++] = events[i];
            load_event(world, batch, events[i]);
        }
    }
    enum status status = decision_plan(batch->decision, fresh, fresh_count, world->now_ms);
    assert(status == STATUS_OK);
    struct identity_row **new_identities = NULL;
    size_t new_count = decision_new_identities(batch->decision, &new_identities);
    for (size_t i = 0; i < new_count; i++) {
        assert(find_identity(world, &new_identities[i]->identifier) == NULL);
        save_identity(world, new_identities[i]);
    }
    struct order **new_orders = NULL;
    size_t new_order_count = decision_new_orders(batch->decision, &new_orders);
    for (size_t i = 0; i < new_order_count; i++) {
        batch->orders[batch->order_count++] = new_orders[i];
        save_order(world, new_orders[i]);
    }
    load_profiles(world, batch);
    bring_up(world, batch->decision, world->history_max);
    for (size_t i = 0; i < fresh_count; i++) {
        enum decide_outcome outcome = DECIDE_NOBODY;
        status = decide_event(batch->decision, fresh[i], world->now_ms, &outcome);
        assert(status == STATUS_OK);
        recall(world, batch->decision);
    }
    save(world, batch);
}

void world_apply_one(struct world *world, struct event *event)
{
    world_apply(world, &event, 1);
}

static struct batch *step_all(struct world *world)
{
    struct batch *batch = begin(world, world->profile_count);
    for (size_t i = 0; i < world->profile_count; i++) {
        struct profile *copy = copy_profile(world, world->profiles[i]);
        decision_put_profile(batch->decision, copy);
        enum status status = decide_due(batch->decision, copy, world->now_ms);
        assert(status == STATUS_OK);
    }
    return batch;
}

void world_sweep(struct world *world)
{
    save(world, step_all(world));
}

int64_t world_due_at(const struct world *world)
{
    int64_t due_at_ms = INSTANT_NEVER;
    for (size_t i = 0; i < world->profile_count; i++) {
        if (world->profiles[i]->due_at_ms < due_at_ms) {
            due_at_ms = world->profiles[i]->due_at_ms;
        }
    }
    return due_at_ms;
}

void world_hydrate(struct world *world)
{
    struct batch *batch = step_all(world);
    bring_up(world, batch->decision, WORLD_ROWS_MAX);
    save(world, batch);
}

/* --- taking a merge back ------------------------------------------------ */

static bool side_has(const struct id *ids, size_t count, struct id id)
{
    for (size_t i = 0; i < count; i++) {
        if (id_equal(ids[i], id)) {
            return true;
        }
    }
    return false;
}

static bool is_edge(const struct world *world, size_t index)
{
    return world->decisions[index].kind == IDENTITY_MERGED && !world->undone[index];
}

/* The loser and whoever was merged into it before, by edges that still stand. */
static size_t side_of(struct world *world, struct id loser_id, struct id **out_ids)
{
    struct id *ids = ARENA_NEW_ARRAY(world->arena, world->profile_count + 1, struct id);
    size_t count = 0;
    ids[count++] = loser_id;
    for (size_t done = 0; done < count; done++) {
        for (size_t i = 0; i < world->decision_count; i++) {
            if (is_edge(world, i) && id_equal(world->decisions[i].into_id, ids[done]) &&
                !side_has(ids, count, world->decisions[i].from_id)) {
                ids[count++] = world->decisions[i].from_id;
            }
        }
    }
    *out_ids = ids;
    return count;
}

/* The latest edge on the way from where the identifier began. */
static size_t edge_of(struct world *world, const char *identifier)
{
    struct identifier key = parse_identifier(world, str_from_z(identifier));
    const struct identity_row *row = find_identity(world, &key);
    assert(row != NULL);
    struct id id = row->origin_id;
    size_t found = SIZE_MAX;
    for (size_t i = 0; i < world->decision_count; i++) {
        if (is_edge(world, i) && id_equal(world->decisions[i].from_id, id)) {
            found = i;
            id = world->decisions[i].into_id;
        }
    }
    assert(found != SIZE_MAX);
    return found;
}

static void move_back(struct world *world, const struct id *ids, size_t count, struct id loser_id)
{
    for (size_t i = 0; i < world->identity_count; i++) {
        if (side_has(ids, count, world->identities[i]->origin_id)) {
            world->identities[i]->profile_id = loser_id;
        }
    }
    for (size_t i = 0; i < world->order_count; i++) {
        if (side_has(ids, count, world->orders[i]->origin_id)) {
            world->orders[i]->profile_id = loser_id;
        }
    }
}

/* A side without a fact of its own cannot be told apart again. */
static bool can_divide(const struct world *world, struct id survivor_id, const struct id *ids,
                       size_t count)
{
    bool leaves = false;
    bool stays = false;
    for (size_t i = 0; i < world->base_count + world->interaction_count; i++) {
        struct id origin_id = i < world->base_count
                                  ? world->bases[i].origin_id
                                  : world->interactions[i - world->base_count].origin_id;
        bool is_theirs = side_has(ids, count, origin_id);
        leaves = leaves || is_theirs;
        stays = stays || (!is_theirs && id_equal(canonical_of(world, origin_id), survivor_id));
    }
    return leaves && stays;
}

void world_unmerge(struct world *world, const char *identifier)
{
    bool divided = world_unmerge_edge(world, edge_of(world, identifier));
    assert(divided);
}

bool world_unmerge_edge(struct world *world, size_t edge)
{
    struct id *ids = NULL;
    struct profile *loser = find_profile(world, world->decisions[edge].from_id);
    struct profile *survivor =
        find_profile(world, canonical_of(world, world->decisions[edge].into_id));
    assert(is_edge(world, edge) && loser != NULL && survivor != NULL);
    world->undone[edge] = true;
    size_t count = side_of(world, loser->id, &ids);
    if (!can_divide(world, survivor->id, ids, count)) {
        world->undone[edge] = false;
        return false;
    }
    move_back(world, ids, count, loser->id);
    for (size_t i = 0; i < world->profile_count; i++) {
        if (side_has(ids, count, world->profiles[i]->id)) {
            world->profiles[i]->merged_into = loser->id;
        }
    }
    struct batch *batch = begin(world, 2);
    struct profile *sides[] = { survivor, loser };
    for (size_t i = 0; i < ARRAY_COUNT(sides); i++) {
        struct profile *copy = copy_profile(world, sides[i]);
        copy->merged_into = ID_ZERO;
        struct history history = history_of(world, copy, NULL);
        bool folded = profile_hydrate(world->arena, copy, &history);
        assert(folded);
        copy->merge_count = 0;
        decision_put_profile(batch->decision, copy);
        enum status status = decide_silently(batch->decision, copy, world->now_ms, CAUSE_MERGE);
        assert(status == STATUS_OK);
    }
    save(world, batch);
    return true;
}

/* --- looking ------------------------------------------------------------ */

struct profile *world_find(struct world *world, const char *identifier)
{
    struct identifier key = parse_identifier(world, str_from_z(identifier));
    struct id owner = ID_ZERO;
    if (key.kind == IDENTITY_ORDER) {
        const struct order *order = find_order(world, key.source_id, key.value);
        if (order == NULL) {
            return NULL;
        }
        owner = order->profile_id;
    } else {
        const struct identity_row *row = find_identity(world, &key);
        if (row == NULL) {
            return NULL;
        }
        owner = row->profile_id;
    }
    struct profile *profile = find_profile(world, owner);
    assert(profile != NULL);
    assert(id_is_zero(profile->merged_into));
    return profile;
}

struct order *world_find_order(struct world *world, const char *order_ref)
{
    return find_order(world, world->sources[0].id, str_from_z(order_ref));
}

size_t world_count_decisions(const struct world *world, enum identity_decision_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < world->decision_count; i++) {
        count += world->decisions[i].kind == kind ? 1 : 0;
    }
    return count;
}

size_t world_count_rung(const struct world *world, const char *topic)
{
    size_t count = 0;
    for (size_t i = 0; i < world->notification_count; i++) {
        count += str_equal_z(world->notifications[i].topic, topic) ? 1 : 0;
    }
    return count;
}

/* --- dumps -------------------------------------------------------------- */

static int compare_strs(const void *a, const void *b)
{
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

static struct str join_sorted(struct world *world, struct str *lines, size_t count)
{
    if (count > 0) {
        qsort(lines, count, sizeof(*lines), compare_strs);
    }
    struct buf buf;
    buf_init(&buf, world->arena, 64u * 1024 * 1024);
    for (size_t i = 0; i < count; i++) {
        buf_add_str(&buf, lines[i]);
    }
    assert(!buf.failed);
    return buf_str(&buf);
}

/* A profile is called by its identities, for its id depends on arrival. */
static struct str profile_name(struct world *world, struct id id)
{
    struct str *names = ARENA_NEW_ARRAY(world->arena, world->identity_count + 1, struct str);
    size_t count = 0;
    for (size_t i = 0; i < world->identity_count; i++) {
        if (id_equal(world->identities[i]->profile_id, id)) {
            names[count++] =
                str_printf(world->arena, "%.*s ", STR_ARG(world->identities[i]->identifier.value));
        }
    }
    return join_sorted(world, names, count);
}

static void dump_facts(struct buf *buf, const struct profile *profile)
{
    for (size_t i = 0; i < profile->fact_count; i++) {
        const struct profile_fact *fact = &profile->facts[i];
        char id[ID_TEXT_SIZE];
        id_format(fact->event_id, id);
        buf_printf(buf, "  %d %.*s=%.*s trust=%d at=%lld/%lld %s\n", (int)fact->kind,
                   STR_ARG(fact->key), STR_ARG(fact->value_json), (int)fact->trust,
                   (long long)fact->occurred_at_ms, (long long)fact->received_at_ms, id);
    }
}

/* What each rule says now; the stored verdict must say the same. */
static void dump_verdicts(struct world *world, struct buf *buf, const struct profile *profile)
{
    const struct ruleset *ruleset = world_newest_rules(world);
    const struct rule_subject subject = { .profile = profile,
                                          .ruleset = ruleset,
                                          .statistics = world->context.statistics,
                                          .currency = world->context.currency };
    for (size_t i = 0; i < ruleset->rule_count; i++) {
        const struct rule *rule = &ruleset->rules[i];
        struct str value = { 0 };
        int64_t until_ms = INSTANT_NEVER;
        bool holds = rule_verdict(world->arena, rule, &subject, world->now_ms, &value, &until_ms);
        const struct verdict *stored = verdict_find(&profile->verdicts, rule->definition.slot);
        assert((stored != NULL) == holds);
        assert(stored == NULL || str_equal(stored->value, value));
        assert(profile->due_at_ms <= until_ms);
        buf_printf(buf, "  %.*s=%d %.*s until=%lld\n", STR_ARG(rule->definition.name), holds,
                   STR_ARG(value), (long long)until_ms);
    }
}

static struct str dump_profile(struct world *world, const struct profile *profile)
{
    struct buf buf;
    buf_init(&buf, world->arena, 16u * 1024 * 1024);
    struct profile asked = *profile;
    buf_printf(&buf, "profile [%.*s] seen=%lld..%lld signed_up=%lld identified=%d\n",
               STR_ARG(profile_name(world, profile->id)), (long long)profile->first_seen_at_ms,
               (long long)profile->last_seen_at_ms, (long long)profile->signed_up_at_ms,
               profile->identified);
    dump_verdicts(world, &buf, &asked);
    const struct profile_orders *orders = &profile->orders;
    buf_printf(
        &buf, "  orders=%lld foreign=%lld gross=%lld refunded=%lld largest=%lld %lld..%lld\n",
        (long long)orders->count, (long long)orders->foreign_count, (long long)orders->gross_minor,
        (long long)orders->refunded_minor, (long long)orders->largest_minor,
        (long long)orders->first_at_ms, (long long)orders->last_at_ms);
    buf_printf(&buf, "  cart=%.*s at=%lld\n", STR_ARG(profile->cart_json),
               (long long)profile->cart_at_ms);
    for (size_t kind = 1; kind < IDENTITY_KIND_COUNT; kind++) {
        buf_printf(&buf, "  count[%zu]=%u\n", kind, profile->identity_counts[kind]);
    }
    dump_facts(&buf, profile);
    assert(!buf.failed);
    return buf_str(&buf);
}

static struct str dump_order(struct world *world, const struct order *order)
{
    struct buf buf;
    buf_init(&buf, world->arena, 16u * 1024 * 1024);
    struct str documents = { 0 };
    bool encoded = order_documents_encode(world->arena, order, &documents);
    assert(encoded);
    buf_printf(&buf, "order %.*s of [%.*s] body=%d version=%lld rank=%d counts=%d placed=%lld",
               STR_ARG(order->order_ref), STR_ARG(profile_name(world, order->profile_id)),
               order->has_body, (long long)order->version_ms, (int)order->rank, order->counts,
               (long long)order->placed_at_ms);
    buf_printf(&buf, " %.*s %.*s total=%lld cancelled=%lld deleted=%d counted=%d/%d/%lld/%lld\n",
               STR_ARG(order->currency), STR_ARG(order->body_json), (long long)order->total_minor,
               (long long)order->cancelled_at_ms, order_is_deleted(order),
               order->contribution.counted, order->contribution.foreign,
               (long long)order->contribution.gross_minor,
               (long long)order->contribution.refunded_minor);
    buf_printf(&buf, "  documents=%zu/%llx\n", documents.size,
               (unsigned long long)hash64(documents, 0));
    assert(!buf.failed);
    return buf_str(&buf);
}

struct str world_state(struct world *world)
{
    size_t capacity = world->profile_count + world->order_count + 1;
    struct str *lines = ARENA_NEW_ARRAY(world->arena, capacity, struct str);
    size_t count = 0;
    for (size_t i = 0; i < world->profile_count; i++) {
        if (id_is_zero(world->profiles[i]->merged_into)) {
            lines[count++] = dump_profile(world, world->profiles[i]);
        }
    }
    for (size_t i = 0; i < world->order_count; i++) {
        lines[count++] = dump_order(world, world->orders[i]);
    }
    return join_sorted(world, lines, count);
}

static void dump_id(struct buf *buf, struct id id)
{
    char text[ID_TEXT_SIZE];
    id_format(id, text);
    buf_printf(buf, "%s ", text);
}

struct str world_everything(struct world *world)
{
    struct buf buf;
    buf_init(&buf, world->arena, 64u * 1024 * 1024);
    buf_add_str(&buf, world_state(world));
    for (size_t i = 0; i < world->profile_count; i++) {
        const struct profile *profile = world->profiles[i];
        struct str bytes = { 0 };
        bool encoded = profile_state_encode(world->arena, profile, &bytes);
        assert(encoded);
        dump_id(&buf, profile->id);
        dump_id(&buf, profile->merged_into);
        buf_printf(&buf, "%lld %lld ", (long long)profile->sequence, (long long)profile->due_at_ms);
        buf_add_str(&buf, bytes);
    }
    for (size_t i = 0; i < world->interaction_count; i++) {
        dump_id(&buf, world->interactions[i].event->id);
        dump_id(&buf, world->interactions[i].origin_id);
        buf_printf(&buf, "%d %lld\n", (int)world->interactions[i].event->type,
                   (long long)world->interactions[i].event->occurred_at_ms);
    }
    for (size_t i = 0; i < world->transition_count; i++) {
        dump_id(&buf, world->transitions[i].id);
    }
    for (size_t i = 0; i < world->decision_count; i++) {
        dump_id(&buf, world->decisions[i].id);
    }
    for (size_t i = 0; i < world->notification_count; i++) {
        dump_id(&buf, world->notifications[i].id);
        buf_add_str(&buf, world->notifications[i].body);
        buf_add_char(&buf, '\n');
    }
    assert(!buf.failed);
    return buf_str(&buf);
}

struct str world_stage(const struct world *world, const struct profile *profile)
{
    struct profile_labels labels;
    bool named = profile_labels_of(world->arena, profile, world_newest_rules(world), &labels);
    assert(named);
    return labels.lifecycle;
}
