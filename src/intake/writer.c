#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "core/decide.h"
#include "intake_priv.h"
#include "store/batch.h"
#include "store/bring_up.h"
#include "store/delivery_store.h"

/*
 * One batch: load, decide, save, commit, answer.
 *
 * Problem: a batch is many customers' events in one transaction. One that the
 * database refuses for its own sake must not take the others with it, and a
 * fault that is ours must not look like one (correctness 10).
 *
 * Invariant: an item is settled exactly once, and only after the transaction
 * that holds its effect has committed. Passing faults are tried again, bounded
 * and jittered; the data's own errors are bisected down to the one event, which
 * is quarantined with its receipt; everything else refuses the whole batch with
 * "come back", quarantines nothing, and turns readiness red.
 */

struct item_range {
    struct intake_item **items;
    size_t count;
};

/* --- one attempt -------------------------------------------------------- */

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

static const struct event *item_event(const struct intake_item *item)
{
    return &item->delivery->events[item->event_index];
}

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
        struct event **fresh = ARENA_NEW_ARRAY(arena, batch->event_count + 1, struct event *);
        if (fresh == NULL) {
            return STATUS_LIMIT;
        }
        size_t fresh_count = 0;
        for (size_t i = 0; i < batch->event_count; i++) {
            if (!batch->is_duplicate[i]) {
                fresh[fresh_count++] = batch->events[i];
            }
        }
        if (fresh_count == 0) {
            return STATUS_OK;
        }
        attempt->now_ms = clock_now_ms();
        status = decision_plan(attempt->decision, fresh, fresh_count, attempt->now_ms);
        enum batch_lock_outcome outcome = BATCH_LOCKED;
        if (status == STATUS_OK) {
            status = batch_lock(batch, attempt->now_ms, &outcome, problem);
        }
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

static void hint_due(const struct intake_config *config, const struct decision_rows *rows)
{
    int64_t least = INSTANT_NEVER;
    for (size_t i = 0; i < rows->profile_count; i++) {
        int64_t due = rows->profiles[i]->due_at_ms;
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
        status = decision_finish(attempt->decision, clock_now_ms(), rows);
    }
    struct batch_save save = { .rows = rows };
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
        fill_details(attempt, &rows);
        settle_all(attempt);
    }
    return status;
}

static enum status range_attempt(struct writer *writer, struct item_range range,
                                 struct problem *problem)
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

/* --- retry, bisect, quarantine ------------------------------------------ */

static void pause_jittered(unsigned attempt)
{
    uint32_t base_ms = 2U << (attempt < 7 ? attempt : 7);
    uint32_t wait_ms = base_ms + randombytes_uniform(base_ms);
    const struct timespec pause = { .tv_sec = wait_ms / 1000,
                                    .tv_nsec = (long)(wait_ms % 1000) * 1000000L };
    nanosleep(&pause, NULL);
}

static enum status quarantine_one(struct writer *writer, struct intake_item *item,
                                  const char *reason)
{
    struct intake_delivery *delivery = item->delivery;
    bool is_whole = item->event_index == INTAKE_ITEM_QUARANTINE;
    /* A replay needs the body; ten thousand events of one do not need it each. */
    bool keeps_body = atomic_fetch_add(&delivery->quarantined_bytes, delivery->body.size) <=
                      LIMIT_QUARANTINED_BYTES;
    struct problem problem = { 0 };
    struct batch_quarantine row = {
        .id = is_whole ? delivery->receipt_id : id_create(),
        .source_id = delivery->source_id,
        .event_id = is_whole ? event_id(delivery->source_id, delivery->dedup_key, STR("quarantine"))
                             : item_event(item)->id,
        .received_at_ms = delivery->received_at_ms,
        .topic = delivery->topic,
        .dedup_key = delivery->dedup_key,
        .reason = str_from_z(reason),
        .headers_json = delivery->headers_json,
        .body = keeps_body ? delivery->body : STR(""),
    };
    arena_reset(writer->arena);
    enum status status =
        batch_quarantine_store(writer->pg, writer->arena, delivery->workspace_id, &row, &problem);
    if (status != STATUS_OK) {
        atomic_fetch_sub(&delivery->quarantined_bytes, delivery->body.size); /* nothing is kept */
        pg_reset(writer->pg);
    }
    return status;
}

static void range_settle(struct item_range range, enum status status)
{
    for (size_t i = 0; i < range.count; i++) {
        item_settle(range.items[i], EVENT_RESULT_PENDING, status);
    }
}

/* The database is away: whoever's sender still waits goes back to the queue. */
static void range_put_back(struct writer *writer, struct item_range range,
                           struct intake_item **unfinished)
{
    int64_t now_ms = clock_monotonic_ms();
    bool is_stopping = writer->intake->state == INTAKE_STOPPED;
    struct intake_item **tail = unfinished;
    while (*tail != NULL) {
        tail = &(*tail)->next;
    }
    for (size_t i = 0; i < range.count; i++) {
        struct intake_item *item = range.items[i];
        item->next = NULL;
        if (is_stopping || item->delivery->hold_until_ms <= now_ms) {
            item_settle(item, EVENT_RESULT_PENDING, STATUS_RETRY);
        } else {
            *tail = item;
            tail = &item->next;
        }
    }
}

static void note_health(struct writer *writer, enum status status, size_t events,
                        const struct problem *problem)
{
    bool is_ours = status == STATUS_BROKEN;
    bool was_healthy = atomic_exchange(&writer->intake->is_healthy, !is_ours);
    if (is_ours || (!was_healthy && status == STATUS_OK)) {
        log_event(is_ours ? LOG_ERROR : LOG_INFO,
                  is_ours ? "batch_refused" : "batch_accepted_again",
                  LOG_I64("events", (int64_t)events), LOG_Z("sqlstate", pg_sqlstate(writer->pg)),
                  LOG_Z("detail", problem->detail));
    }
}

/* A range until it is settled or given up for now. Returns false when it must
 * be cut in two: its data, or its size, or owners that keep moving. */
static bool range_try(struct writer *writer, struct item_range range,
                      struct intake_item **unfinished, struct problem *problem)
{
    for (unsigned attempt = 0;; attempt++) {
        enum status status = range_attempt(writer, range, problem);
        note_health(writer, status, range.count, problem);
        switch (status) {
        case STATUS_OK:
            return true;
        case STATUS_INVALID:
        case STATUS_LIMIT:
            return false;
        case STATUS_CONFLICT:
        case STATUS_RETRY:
            if (status == STATUS_RETRY && !pg_is_connected(writer->pg) && attempt > 0) {
                range_put_back(writer, range, unfinished);
                return true;
            }
            if (status == STATUS_CONFLICT && attempt >= LIMIT_OWNER_RELOADS && range.count > 1) {
                return false;
            }
            if (attempt >= LIMIT_BATCH_RETRIES) {
                range_put_back(writer, range, unfinished);
                return true;
            }
            pause_jittered(attempt);
            break;
        case STATUS_DENIED:
        case STATUS_MISSING:
        case STATUS_BROKEN:
            range_settle(range, STATUS_BROKEN);
            return true;
        }
    }
}

static void quarantine_item(struct writer *writer, struct intake_item *item, const char *reason,
                            struct intake_item **unfinished)
{
    enum status status = quarantine_one(writer, item, reason);
    if (status == STATUS_RETRY) {
        status = quarantine_one(writer, item, reason);
    }
    if (status == STATUS_OK) {
        log_event(LOG_WARN, "event_quarantined", LOG_ID("source", item->delivery->source_id),
                  LOG_ID("receipt", item->delivery->receipt_id));
        item_settle(item, EVENT_RESULT_QUARANTINED, STATUS_OK);
    } else if (status == STATUS_RETRY) {
        range_put_back(writer, (struct item_range){ &item, 1 }, unfinished);
    } else {
        item_settle(item, EVENT_RESULT_PENDING, STATUS_BROKEN);
    }
}

/* Halves until each half commits or is one event. A stack of ranges, not
 * recursion: 512 events are at most 10 deep, in order. */
static void range_process(struct writer *writer, struct item_range whole,
                          struct intake_item **unfinished)
{
    struct item_range stack[24];
    size_t depth = 0;
    stack[depth++] = whole;
    while (depth > 0) {
        struct item_range range = stack[--depth];
        struct problem problem = { 0 };
        if (range_try(writer, range, unfinished, &problem)) {
            continue;
        }
        if (range.count == 1) {
            quarantine_item(writer, range.items[0], problem.detail, unfinished);
            continue;
        }
        size_t half = range.count / 2;
        assert(depth + 2 <= ARRAY_COUNT(stack));
        stack[depth++] = (struct item_range){ range.items + half, range.count - half };
        stack[depth++] = (struct item_range){ range.items, half };
    }
}

/* NULL: the item is to be decided. */
static const char *reason_of(const struct intake_item *item)
{
    const struct intake_delivery *delivery = item->delivery;
    if (item->event_index == INTAKE_ITEM_QUARANTINE) {
        return delivery->quarantine_reason;
    }
    return delivery->quarantine_reasons != NULL ? delivery->quarantine_reasons[item->event_index]
                                                : NULL;
}

void writer_process(struct writer *writer, const struct lane_batch *batch,
                    struct intake_item **out_unfinished)
{
    struct intake_item *events[LIMIT_BATCH_EVENTS];
    size_t count = 0;
    struct intake_item *unfinished = NULL;
    struct intake_item *item = batch->items;
    while (item != NULL) {
        struct intake_item *next = item->next;
        item->next = NULL;
        const char *reason = reason_of(item);
        if (reason != NULL) {
            quarantine_item(writer, item, reason, &unfinished);
        } else {
            assert(count < LIMIT_BATCH_EVENTS);
            events[count++] = item;
        }
        item = next;
    }
    if (count > 0) {
        range_process(writer, (struct item_range){ events, count }, &unfinished);
    }
    *out_unfinished = unfinished;
}
