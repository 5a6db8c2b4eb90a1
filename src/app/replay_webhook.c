#include <string.h>

#include "base/instant.h"
#include "base/limits.h"
#include "replay_priv.h"
#include "sources/platform.h"
#include "store/replay_store.h"

/*
 * Raw webhooks of a source, read again in the order in which they came.
 *
 * Problem: the delivery that is wrong is not alone. Its order was folded with what
 * other deliveries say of it, and which of them completed the order depends on all.
 *
 * Invariant: what is replaced together is closed: the deliveries of an instant, and
 * every delivery that told of one of their orders. Unless the raw body of each of
 * them is still stored and read by an adapter, nothing of the set is touched: half
 * a replacement would be a third version of the truth. Such sets are counted.
 */

enum {
    INSTANTS_MAX = 256, /* at which one order was told of */
    ROUNDS_MAX = 8,
    EVENTS_MAX = 4096, /* in one transaction, as of an import */
};

struct closure {
    struct replay *replay;
    const struct registry_snapshot *snapshot;
    struct replay_set set;
    struct batch_webhook *rows;
    size_t row_count;
    const char *why; /* it stays as it is; NULL: it does not */
};

static bool is_of_world(const struct event *event)
{
    return event_type_info(event->type)->universal;
}

/* Reads one delivery's events behind the others, or says why it stays as it is. False:
 * the arena is full. */
static bool read_row(struct closure *closure, const struct batch_webhook *row,
                     struct event **out_events, size_t *out_count)
{
    const struct stored_delivery delivery = {
        .source_id = row->source_id,
        .received_at_ms = row->received_at_ms,
        .topic = row->topic,
        .headers_json = row->headers_json,
        .body = row->body,
    };
    struct arena *arena = closure->replay->page;
    struct event **events = NULL;
    size_t before = *out_count;
    size_t count = 0;
    struct str why = { NULL, 0 };
    enum reading reading = replay_read(arena, closure->snapshot, &delivery, &events, &count, &why);
    if (reading == READ_UNREADABLE) {
        closure->why = "it cannot be read today";
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        if (!is_of_world(events[i]) && *out_count < EVENTS_MAX) {
            out_events[(*out_count)++] = events[i];
        }
    }
    if (reading == READ_EVENTS) {
        reading = replay_follow_plan(
            arena, snapshot_workspace(closure->snapshot, closure->set.workspace_id), row->source_id,
            out_events + before, *out_count - before, &why);
        closure->why = reading == READ_UNREADABLE ? why.data : NULL;
    }
    return reading != READ_FULL;
}

static bool has_row(const struct closure *closure, int64_t at_ms)
{
    for (size_t i = 0; i < closure->row_count; i++) {
        if (closure->rows[i].received_at_ms == at_ms) {
            return true;
        }
    }
    return false;
}

static const char *why_not(const struct closure *closure, const struct batch_webhook *row)
{
    const struct source *source = snapshot_source(closure->snapshot, row->source_id);
    return source == NULL || !replay_is_webhook(source, row->topic, row->headers_json)
               ? "it was posted to /v1/events, which no adapter reads"
               : NULL;
}

static enum status read_rows(struct closure *closure, struct problem *problem)
{
    struct replay_set *set = &closure->set;
    struct replay *replay = closure->replay;
    enum status status =
        webhook_at(replay->pg, replay->page, set->workspace_id, set->source_id, set->instants,
                   set->instant_count, &closure->rows, &closure->row_count, problem);
    struct event **events = ARENA_NEW_ARRAY(replay->page, EVENTS_MAX, struct event *);
    set->event_count = 0;
    if (status != STATUS_OK || events == NULL) {
        return status != STATUS_OK ? status : STATUS_LIMIT;
    }
    for (size_t i = 0; i < set->instant_count && closure->why == NULL; i++) {
        closure->why = has_row(closure, set->instants[i])
                           ? NULL
                           : "the raw body of a delivery that told of the same order is gone";
    }
    for (size_t i = 0; i < closure->row_count && closure->why == NULL; i++) {
        closure->why = why_not(closure, &closure->rows[i]);
        if (closure->why != NULL) {
            break;
        }
        if (!read_row(closure, &closure->rows[i], events, &set->event_count)) {
            return STATUS_LIMIT;
        }
    }
    if (closure->why == NULL && set->event_count == EVENTS_MAX) {
        closure->why = "more events hang together than one transaction takes";
    }
    set->events = events;
    return STATUS_OK;
}

static enum status name_orders(struct closure *closure)
{
    struct replay_set *set = &closure->set;
    struct str *orders = ARENA_NEW_ARRAY(closure->replay->page, set->event_count + 1, struct str);
    if (orders == NULL) {
        return STATUS_LIMIT;
    }
    set->order_count = 0;
    for (size_t i = 0; i < set->event_count; i++) {
        if (set->events[i]->order != NULL) {
            orders[set->order_count++] = set->events[i]->order->order_ref;
        }
    }
    set->orders = orders;
    return STATUS_OK;
}

/* Adds the instants that are not in yet. *out_grew: there were some. */
static enum status grow(struct closure *closure, bool *out_grew, struct problem *problem)
{
    struct replay_set *set = &closure->set;
    struct replay *replay = closure->replay;
    struct replay_reach reach = { .is_folded = false };
    enum status status = replay_reach(replay->pg, replay->page, set, &reach, problem);
    size_t room = set->instant_count + reach.instant_count + 1;
    int64_t *all = ARENA_NEW_ARRAY(replay->page, room, int64_t);
    if (status != STATUS_OK || all == NULL) {
        return status != STATUS_OK ? status : STATUS_LIMIT;
    }
    closure->why = reach.is_folded ? "the order is older than the facts that are kept" : NULL;
    memcpy(all, set->instants, set->instant_count * sizeof(*all));
    size_t size = set->instant_count;
    for (size_t i = 0; i < reach.instant_count; i++) {
        bool is_in = false;
        for (size_t k = 0; k < size && !is_in; k++) {
            is_in = all[k] == reach.instants[i];
        }
        if (!is_in) {
            all[size++] = reach.instants[i];
        }
    }
    *out_grew = size > set->instant_count;
    set->instants = all;
    set->instant_count = size;
    set->orders = reach.orders;
    set->order_count = reach.order_count;
    return STATUS_OK;
}

static enum status close_set(struct closure *closure, struct problem *problem)
{
    bool grew = true;
    enum status status = STATUS_OK;
    for (unsigned round = 0; grew && status == STATUS_OK && closure->why == NULL; round++) {
        if (round == ROUNDS_MAX || closure->set.instant_count > INSTANTS_MAX) {
            closure->why = "too many deliveries hang together by their orders";
            return STATUS_OK;
        }
        status = read_rows(closure, problem);
        if (status == STATUS_OK) {
            status = name_orders(closure);
        }
        if (status == STATUS_OK && closure->why == NULL) {
            status = grow(closure, &grew, problem);
        }
    }
    return status;
}

static enum status replace(struct closure *closure, struct problem *problem)
{
    struct replay *replay = closure->replay;
    struct decide_context context;
    struct replay_outcome outcome = { .applied = 0 };
    closure->set.is_dry = replay->is_dry;
    enum status status = replay_context(replay, closure->snapshot, &context, problem);
    if (status == STATUS_OK) {
        status =
            replay_replace(replay->pg, replay->work, &context, &closure->set, &outcome, problem);
    }
    if (status == STATUS_OK) {
        replay->counts.replayed += outcome.is_changed ? 1 : 0;
        replay->counts.unchanged += outcome.is_changed ? 0 : 1;
        replay->counts.applied += outcome.is_changed && !replay->is_dry ? outcome.applied : 0;
    } else if (status == STATUS_INVALID || status == STATUS_LIMIT) {
        replay->counts.refused++;
        closure->why = str_dup_z(replay->page, str_from_z(problem->detail));
        return STATUS_OK;
    }
    if (!outcome.is_changed) {
        closure->set.event_count = 0; /* not worth a row */
    }
    return status;
}

static void note(const struct closure *closure)
{
    const struct replay_set *set = &closure->set;
    if (closure->row_count == 0 || (closure->why == NULL && set->event_count == 0)) {
        return;
    }
    const struct batch_webhook *row = &closure->rows[0];
    const struct stored_delivery delivery = { .received_at_ms = row->received_at_ms,
                                              .topic = row->topic };
    replay_note(closure->replay, row->id, &delivery, set->events, set->event_count,
                str_from_z(closure->why));
}

static enum status replay_instant(struct replay *replay, int64_t at_ms, struct problem *problem)
{
    struct closure closure = {
        .replay = replay,
        .snapshot = registry_hold(replay->config->registry),
        .set = { .workspace_id = replay->job.workspace_id,
                 .source_id = replay->source_id,
                 .instants = &at_ms,
                 .instant_count = 1 },
    };
    enum status status = close_set(&closure, problem);
    if (status == STATUS_LIMIT) {
        closure.why = "it needs more memory than a delivery may have";
        status = STATUS_OK;
    }
    if (status == STATUS_OK && closure.why == NULL) {
        status = replace(&closure, problem);
    } else if (status == STATUS_OK) {
        replay->counts.unreadable++;
    }
    if (status == STATUS_OK) {
        note(&closure);
    }
    registry_release(replay->config->registry, closure.snapshot);
    return status;
}

enum status replay_webhooks(struct replay *replay, struct problem *problem)
{
    enum status status = STATUS_OK;
    if (replay->after_ms == 0) {
        replay->after_ms = replay->since_ms != INSTANT_NONE ? replay->since_ms - 1 : 0;
    }
    while (status == STATUS_OK) {
        const struct webhook_walk walk = {
            .workspace_id = replay->job.workspace_id,
            .source_id = replay->source_id,
            .topic = replay->topic,
            .after_ms = replay->after_ms,
            .until_ms = replay->until_ms,
        };
        int64_t at_ms = 0;
        arena_reset(replay->page);
        if (replay->total < 0) {
            status = webhook_count(replay->pg, replay->page, &walk, &replay->total, problem);
        }
        if (status == STATUS_OK) {
            status = webhook_next(replay->pg, replay->page, &walk, &at_ms, problem);
        }
        if (status == STATUS_MISSING) {
            return STATUS_OK;
        }
        if (status == STATUS_OK) {
            status = replay_instant(replay, at_ms, problem);
        }
        if (status == STATUS_OK) {
            replay->after_ms = at_ms;
            replay->counts.deliveries++;
            status = replay_progress(replay, problem);
        }
    }
    return status;
}
