#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/limits.h"
#include "core/decide.h"
#include "intake_priv.h"
#include "store/batch.h"
#include "store/bring_up.h"
#include "store/catalogue.h"
#include "store/delivery_store.h"

/*
 * One attempt at a range of a batch: load, decide, save, commit, answer.
 *
 * Invariant: an item is settled exactly once, and only after the transaction
 * that holds its effect has committed. Whatever else happens is the writer's to
 * judge (writer.c): here nothing is tried again but a load whose owners moved.
 */

struct attempt_state {
    struct writer *writer;
    struct item_range range;
    const struct registry_snapshot *snapshot;
    const struct registry_workspace *workspace;
    struct decide_context context;
    struct batch batch;
    struct decision *decision;
    struct event **events; /* unique */
    size_t *item_event;    /* item index -> index in events */
    bool *item_repeats;    /* the same event earlier in this batch */
    enum decide_outcome *outcomes;
    int64_t now_ms;
    unsigned recalls; /* events after which histories were read */
};

/* The same event twice in one batch: one is decided, both are answered. */
static enum status unique_events(struct attempt_state *attempt)
{
    struct arena *arena = attempt->writer->arena;
    size_t count = attempt->range.count;
    size_t table_size = 64;
    while (table_size < count * 2) {
        table_size *= 2;
    }
    size_t *table = ARENA_NEW_ARRAY(arena, table_size, size_t);
    attempt->events = ARENA_NEW_ARRAY(arena, count + 1, struct event *);
    attempt->item_event = ARENA_NEW_ARRAY(arena, count + 1, size_t);
    attempt->item_repeats = ARENA_NEW_ARRAY(arena, count + 1, bool);
    attempt->outcomes = ARENA_NEW_ARRAY(arena, count + 1, enum decide_outcome);
    if (table == NULL || attempt->events == NULL || attempt->item_event == NULL ||
        attempt->item_repeats == NULL || attempt->outcomes == NULL) {
        return STATUS_LIMIT;
    }
    size_t unique = 0;
    for (size_t i = 0; i < count; i++) {
        const struct intake_item *item = attempt->range.items[i];
        struct event *event = &item->delivery->events[item->event_index];
        uint64_t hash = 0;
        memcpy(&hash, event->id.bytes, sizeof(hash));
        size_t slot = (size_t)hash & (table_size - 1);
        while (table[slot] != 0 && !id_equal(attempt->events[table[slot] - 1]->id, event->id)) {
            slot = (slot + 1) & (table_size - 1);
        }
        if (table[slot] == 0) {
            attempt->events[unique++] = event;
            table[slot] = unique;
        } else {
            attempt->item_repeats[i] = true;
        }
        attempt->item_event[i] = table[slot] - 1;
    }
    return batch_init(&attempt->batch, attempt->writer->pg, arena,
                      attempt->range.items[0]->delivery->workspace_id, attempt->events, unique);
}

static enum status context_fill(struct attempt_state *attempt, struct problem *problem)
{
    const struct registry_workspace *workspace = attempt->workspace;
    if (workspace == NULL) {
        return problem_set(problem, STATUS_BROKEN, "internal", "the workspace is not configured");
    }
    struct source_name *names =
        ARENA_NEW_ARRAY(attempt->writer->arena, workspace->source_count + 1, struct source_name);
    if (names == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < workspace->source_count; i++) {
        names[i] = (struct source_name){ workspace->sources[i].id, workspace->sources[i].name };
    }
    registry_decide_context(workspace, &attempt->context);
    attempt->context.sources = names;
    attempt->context.source_count = workspace->source_count;
    randombytes_buf(attempt->context.random, sizeof(attempt->context.random));
    return STATUS_OK;
}

/* Load and lock; loads again while owners move underneath (correctness 2). */
static enum status load_and_lock(struct attempt_state *attempt, struct problem *problem)
{
    struct arena *arena = attempt->writer->arena;
    for (unsigned turn = 0; turn < LIMIT_OWNER_RELOADS; turn++) {
        enum status status = unique_events(attempt);
        if (status != STATUS_OK) {
            return status;
        }
        struct batch *batch = &attempt->batch;
        attempt->decision = decision_create(arena, &attempt->context, batch->event_count);
        if (attempt->decision == NULL) {
            return STATUS_LIMIT;
        }
        status = batch_load(batch, attempt->decision, problem);
        if (status != STATUS_OK) {
            return status;
        }
        bool has_news = false;
        enum batch_lock_outcome outcome = BATCH_LOCKED;
        attempt->now_ms = clock_now_ms();
        status = batch_plan_and_lock(batch, attempt->now_ms, &has_news, &outcome, problem);
        if (status != STATUS_OK || outcome == BATCH_LOCKED) {
            return status;
        }
        pg_reset(attempt->writer->pg);
    }
    return problem_set(problem, STATUS_CONFLICT, "", "owners kept moving");
}

/* Of short histories only: whoever has a long one is decided by the rules he
 * stands at, and keeps what they said, until the sweep comes. */
static struct bring_up short_histories(const struct attempt_state *attempt)
{
    return (struct bring_up){
        .pg = attempt->writer->pg,
        .arena = attempt->writer->arena,
        .decision = attempt->decision,
        .context = &attempt->context,
        .now_ms = attempt->now_ms,
        .facts_max = LIMIT_HOT_HISTORY_FACTS,
    };
}

/* Whoever lost sight of a history by the event decided just now; a batch that
 * cancels the orders of hundreds leaves the rest to the sweep. */
static enum status recall_short(struct attempt_state *attempt, const struct bring_up *histories,
                                struct problem *problem)
{
    struct profile **losing = NULL;
    if (attempt->recalls == LIMIT_HOT_RECALLS ||
        decision_losing_sight(attempt->decision, &losing) == 0) {
        return STATUS_OK;
    }
    attempt->recalls++;
    return bring_up_sight(histories, problem);
}

static enum status decide_all(struct attempt_state *attempt, bool *out_any, struct problem *problem)
{
    const struct bring_up histories = short_histories(attempt);
    bool any = false;
    for (size_t i = 0; i < attempt->batch.event_count; i++) {
        if (attempt->batch.is_duplicate[i]) {
            continue;
        }
        any = true;
        if (attempt->batch.is_known[i]) {
            continue;
        }
        enum status status = decide_event(attempt->decision, attempt->events[i], attempt->now_ms,
                                          &attempt->outcomes[i]);
        if (status == STATUS_OK) {
            status = recall_short(attempt, &histories, problem);
        }
        if (status != STATUS_OK) {
            return status;
        }
        if (attempt->outcomes[i] == DECIDE_STATE_FULL) {
            return problem_set(problem, STATUS_INVALID, "limit-reached",
                               "the profile cannot hold what this event says");
        }
    }
    *out_any = any;
    return STATUS_OK;
}

/* Raw bodies of the deliveries that brought anything new. */
static enum status collect_webhooks(struct attempt_state *attempt, struct batch_save *save)
{
    struct batch_webhook *webhooks =
        ARENA_NEW_ARRAY(attempt->writer->arena, attempt->range.count + 1, struct batch_webhook);
    if (webhooks == NULL) {
        return STATUS_LIMIT;
    }
    const struct intake_delivery *last = NULL;
    for (size_t i = 0; i < attempt->range.count; i++) {
        struct intake_delivery *delivery = attempt->range.items[i]->delivery;
        if (delivery == last || !delivery->keep_raw || attempt->item_repeats[i] ||
            attempt->batch.is_duplicate[attempt->item_event[i]] ||
            atomic_load(&delivery->raw_written)) {
            continue;
        }
        last = delivery;
        webhooks[save->webhook_count++] = (struct batch_webhook){
            .id = delivery->receipt_id,
            .source_id = delivery->source_id,
            .received_at_ms = delivery->received_at_ms,
            .topic = delivery->topic,
            .dedup_key = delivery->dedup_key,
            .headers_json = delivery->headers_json,
            .body = delivery->body,
        };
    }
    save->webhooks = webhooks;
    return STATUS_OK;
}

static size_t count_deliveries(const struct decision_rows *rows)
{
    size_t count = 0;
    for (size_t i = 0; i < rows->notification_count; i++) {
        count += rows->notifications[i].subscription_count;
    }
    return count;
}

/* The commit's answer was lost: whatever it inserted is leased to us but in
 * nobody's memory. Remembered, to be given back when the database answers. */
static void remember_unknown(struct writer *writer, struct id workspace_id,
                             const struct decision_rows *rows)
{
    size_t count = count_deliveries(rows);
    struct id *ids = count > 0 ? calloc(count, sizeof(*ids)) : NULL;
    if (ids == NULL) {
        return; /* The leases run out by themselves. */
    }
    size_t filled = 0;
    for (size_t i = 0; i < rows->notification_count; i++) {
        const struct notification_row *row = &rows->notifications[i];
        for (size_t k = 0; k < row->subscription_count; k++) {
            ids[filled++] = delivery_id(row->id, row->subscription_ids[k]);
        }
    }
    free(writer->unknown_ids);
    writer->unknown_ids = ids;
    writer->unknown_count = filled;
    writer->unknown_workspace_id = workspace_id;
}

static enum status release_unknown(struct writer *writer, struct problem *problem)
{
    if (writer->unknown_count == 0) {
        return STATUS_OK;
    }
    enum status status = delivery_store_release(
        writer->pg, writer->arena, writer->unknown_workspace_id, writer->intake->config.instance_id,
        writer->unknown_ids, writer->unknown_count, problem);
    if (status == STATUS_OK) {
        free(writer->unknown_ids);
        writer->unknown_ids = NULL;
        writer->unknown_count = 0;
    }
    return status;
}

static void hand_over(struct writer *writer, const struct delivery *deliveries, size_t count)
{
    const struct intake_config *config = &writer->intake->config;
    assert(config->hand_over != NULL); /* or nothing would have been leased */
    size_t taken = config->hand_over(config->app, deliveries, count);
    if (taken < count) {
        struct id *ids = ARENA_NEW_ARRAY(writer->arena, count, struct id);
        struct problem problem;
        if (ids == NULL) {
            return;
        }
        for (size_t i = taken; i < count; i++) {
            ids[i - taken] = deliveries[i].id;
        }
        /* On failure the leases run out by themselves. */
        if (delivery_store_release(writer->pg, writer->arena, deliveries[0].workspace_id,
                                   config->instance_id, ids, count - taken,
                                   &problem) != STATUS_OK) {
            pg_reset(writer->pg);
        }
    }
}

static void hint_fan_out(const struct batch *batch, const struct intake_config *config)
{
    if (config->fan_out_hint != NULL && catalogue_speaks(batch)) {
        config->fan_out_hint(config->app);
    }
}

static void hint_due(const struct intake_config *config, const struct decision_rows *rows)
{
    int64_t least = INSTANT_NEVER;
    for (size_t i = 0; i < rows->profile_count; i++) {
        int64_t due = rows->profiles[i]->due_at_ms;
        least = due < least ? due : least;
    }
    for (size_t i = 0; i < rows->waiting_count; i++) {
        int64_t due = rows->waitings[i].due_at_ms;
        least = due < least ? due : least;
    }
    if (config->due_hint != NULL && least != INSTANT_NEVER) {
        config->due_hint(config->app, least);
    }
}

/* --- answers ------------------------------------------------------------ */

static void detail_notifications(struct event_detail *detail, const struct decision_rows *rows,
                                 struct id event_id, struct arena *arena)
{
    for (size_t i = 0; i < rows->notification_count; i++) {
        const struct notification_row *row = &rows->notifications[i];
        if (id_equal(row->event_id, event_id) &&
            detail->notification_count < ARRAY_COUNT(detail->notification_ids)) {
            detail->notification_ids[detail->notification_count] = row->id;
            detail->notification_topics[detail->notification_count] = str_dup(arena, row->topic);
            detail->notification_count++;
        }
    }
}

static void detail_changes(struct event_detail *detail, const struct decision_rows *rows,
                           struct id event_id, struct arena *arena)
{
    detail->changes = ARENA_NEW_ARRAY(arena, rows->transition_count + 1, struct event_change);
    for (size_t i = 0; detail->changes != NULL && i < rows->transition_count; i++) {
        const struct transition_row *row = &rows->transitions[i];
        if (!id_equal(row->event_id, event_id)) {
            continue;
        }
        detail->changes[detail->change_count++] = (struct event_change){
            .rule = str_dup(arena, row->rule->definition.name),
            .kind = row->rule->definition.kind,
            .had = row->had,
            .has = row->has,
            .from = str_dup(arena, row->from),
            .to = str_dup(arena, row->to),
        };
    }
}

static void fill_details(struct attempt_state *attempt, const struct decision_rows *rows)
{
    for (size_t i = 0; i < attempt->range.count; i++) {
        struct intake_item *item = attempt->range.items[i];
        struct intake_delivery *delivery = item->delivery;
        const struct event *event = item_event(item);
        if (delivery->told_rule_count > 0) {
            delivery->details[item->event_index].told = decision_tells_visitor(
                attempt->decision, event, delivery->told_rules, delivery->told_rule_count);
        }
        const struct profile *profile =
            delivery->want_details ? decision_event_profile(attempt->decision, event->id) : NULL;
        if (profile == NULL) {
            continue;
        }
        pthread_mutex_t *lock = &attempt->writer->intake->details_lock;
        struct event_detail *detail = &delivery->details[item->event_index];
        pthread_mutex_lock(lock);
        detail->profile_id = profile->id;
        detail->profile_created = profile->is_new;
        detail->sequence = profile->sequence;
        detail_changes(detail, rows, event->id, delivery->arena);
        detail_notifications(detail, rows, event->id, delivery->arena);
        pthread_mutex_unlock(lock);
    }
}

static enum event_result item_result(const struct attempt_state *attempt, size_t index)
{
    size_t event = attempt->item_event[index];
    if (attempt->item_repeats[index] || attempt->batch.is_duplicate[event] ||
        attempt->batch.is_known[event]) {
        return EVENT_RESULT_DUPLICATE;
    }
    return attempt->outcomes[event] == DECIDE_NOBODY ? EVENT_RESULT_NOBODY : EVENT_RESULT_APPLIED;
}

/* The commit's answer is in: everyone gets theirs. */
static void settle_all(struct attempt_state *attempt)
{
    size_t count = attempt->range.count;
    for (size_t i = 0; i < count; i++) {
        enum event_result result = item_result(attempt, i);
        if (result != EVENT_RESULT_DUPLICATE) {
            atomic_store(&attempt->range.items[i]->delivery->raw_written, true);
        }
        item_settle(attempt->range.items[i], result, STATUS_OK);
    }
}

/* --- the attempt as a whole --------------------------------------------- */

static enum status save_decision(struct attempt_state *attempt, struct decision_rows *rows,
                                 struct problem *problem)
{
    struct writer *writer = attempt->writer;
    const struct intake_config *config = &writer->intake->config;
    enum status status = batch_restore_extremes(&attempt->batch, problem);
    if (status == STATUS_OK) {
        status = batch_fire(&attempt->batch, problem);
    }
    if (status == STATUS_OK) {
        status = decision_finish(attempt->decision, clock_now_ms(), rows);
    }
    struct batch_save save = { .rows = rows, .tells_world = true };
    if (status == STATUS_OK) {
        status = collect_webhooks(attempt, &save);
    }
    if (status != STATUS_OK) {
        return status;
    }
    size_t wanted = count_deliveries(rows);
    if (config->hand_over != NULL && wanted > 0 && config->room(config->app) >= wanted) {
        save.lease_owner = config->instance_id;
        save.lease_until_ms = clock_now_ms() + LIMIT_DELIVERY_LEASE_MS;
    }
    struct delivery *deliveries = NULL;
    size_t delivery_count = 0;
    status = batch_save(&attempt->batch, &save, &deliveries, &delivery_count, problem);
    if (status == STATUS_RETRY && !pg_is_connected(writer->pg) && !id_is_zero(save.lease_owner)) {
        remember_unknown(writer, attempt->context.workspace_id, rows);
    }
    if (status == STATUS_OK && delivery_count > 0 && !id_is_zero(save.lease_owner)) {
        hand_over(writer, deliveries, delivery_count);
    }
    return status;
}

static enum status attempt_run(struct attempt_state *attempt, struct problem *problem)
{
    struct writer *writer = attempt->writer;
    enum status status = release_unknown(writer, problem);
    if (status == STATUS_OK) {
        status = context_fill(attempt, problem);
    }
    if (status == STATUS_OK) {
        status = load_and_lock(attempt, problem);
    }
    if (status == STATUS_OK) {
        status = registry_catch_up(writer->intake->config.registry, attempt->decision, problem);
    }
    if (status == STATUS_OK) {
        const struct bring_up histories = short_histories(attempt);
        status = bring_up_profiles(&histories, NULL, problem); /* for rules that came since */
    }
    bool any = false;
    if (status == STATUS_OK) {
        status = decide_all(attempt, &any, problem);
    }
    struct decision_rows rows = { 0 };
    if (status == STATUS_OK && any) {
        status = save_decision(attempt, &rows, problem);
    }
    if (status != STATUS_OK || !any) {
        pg_reset(writer->pg);
    }
    if (status == STATUS_OK) {
        hint_due(&writer->intake->config, &rows);
        hint_fan_out(&attempt->batch, &writer->intake->config);
        fill_details(attempt, &rows);
        settle_all(attempt);
    }
    return status;
}

enum status range_attempt(struct writer *writer, struct item_range range, struct problem *problem)
{
    struct registry *registry = writer->intake->config.registry;
    struct attempt_state attempt = { .writer = writer, .range = range };
    int64_t started_us = clock_monotonic_us();
    arena_reset(writer->arena);
    *problem = (struct problem){ 0 };
    attempt.snapshot = registry_hold(registry);
    attempt.workspace =
        snapshot_workspace(attempt.snapshot, range.items[0]->delivery->workspace_id);
    enum status status = attempt_run(&attempt, problem);
    registry_release(registry, attempt.snapshot);
    const struct intake_config *config = &writer->intake->config;
    if (config->observe != NULL) {
        config->observe(config->app, range.count, clock_monotonic_us() - started_us, status);
    }
    return status;
}
