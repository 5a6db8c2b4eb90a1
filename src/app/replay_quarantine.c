#include "base/instant.h"
#include "replay_priv.h"
#include "store/quarantine_replay.h"

/*
 * What was quarantined, tried again, the oldest first.
 *
 * Of a delivery that was quarantined for one event's sake the others were applied
 * when it came: only that event is tried, if today's adapter still gives it the
 * same id; else all of them, of which receipts stop those that are in.
 */

static enum status next_row(struct replay *replay, struct quarantine_row *out_row,
                            struct problem *problem)
{
    const struct quarantine_filter filter = {
        .workspace_id = replay->job.workspace_id,
        .id = replay->row_id,
        .source_id = replay->source_id,
        .topic = replay->topic,
        .since_ms = replay->since_ms,
        .until_ms = replay->until_ms,
    };
    arena_reset(replay->page);
    enum status status = STATUS_OK;
    if (replay->total < 0) {
        status = quarantine_count(replay->pg, replay->page, &filter, &replay->total, problem);
    }
    return status == STATUS_OK ? quarantine_next(replay->pg, replay->page, &filter,
                                                 replay->after_id, out_row, problem)
                               : status;
}

static bool is_of_whole(const struct quarantine_row *row)
{
    struct id whole = event_id(row->source_id, row->dedup_key, STR("quarantine"));
    return id_is_zero(row->event_id) || id_equal(row->event_id, whole);
}

/* False: it is one event of a posted body, which has no id to be found by. */
static bool choose_event(const struct quarantine_row *row, struct event **events, size_t *count)
{
    bool is_posted = str_equal(row->headers_json, STR("{}"));
    for (size_t i = 0; i < *count && !is_of_whole(row); i++) {
        if (id_equal(events[i]->id, row->event_id)) {
            events[0] = events[i];
            *count = 1;
            return true;
        }
    }
    return is_of_whole(row) || !is_posted;
}

static enum status stay(struct replay *replay, const struct quarantine_row *row, struct str why,
                        struct problem *problem)
{
    if (replay->is_dry) {
        return STATUS_OK;
    }
    arena_reset(replay->work);
    return quarantine_explain(replay->pg, replay->work, replay->job.workspace_id, row->id, why,
                              problem);
}

static enum status apply(struct replay *replay, const struct registry_snapshot *snapshot,
                         const struct quarantine_attempt *attempt, struct str *out_why,
                         struct problem *problem)
{
    struct decide_context context;
    int64_t applied = 0;
    if (replay->is_dry) {
        return STATUS_OK;
    }
    enum status status = replay_context(replay, snapshot, &context, problem);
    if (status == STATUS_OK) {
        status = quarantine_apply(replay->pg, replay->work, &context, attempt, &applied, problem);
    }
    if (status == STATUS_OK) {
        replay->counts.applied += applied;
        replay->counts.duplicate += (int64_t)attempt->event_count - applied;
    } else if (status == STATUS_INVALID || status == STATUS_LIMIT) {
        *out_why = str_dup(replay->page, str_from_z(problem->detail));
        replay->counts.refused++;
        return stay(replay, attempt->row, *out_why, problem);
    }
    return status;
}

static enum status replay_row(struct replay *replay, const struct registry_snapshot *snapshot,
                              const struct quarantine_row *row, struct problem *problem)
{
    const struct stored_delivery delivery = {
        .source_id = row->source_id,
        .received_at_ms = row->received_at_ms,
        .topic = row->topic,
        .headers_json = row->headers_json,
        .body = row->body,
    };
    struct quarantine_attempt attempt = { .workspace_id = replay->job.workspace_id, .row = row };
    struct str why = { NULL, 0 };
    enum status status = STATUS_OK;
    enum reading reading =
        replay_read(replay->page, snapshot, &delivery, &attempt.events, &attempt.event_count, &why);
    if (reading == READ_EVENTS && !choose_event(row, attempt.events, &attempt.event_count)) {
        reading = READ_UNREADABLE;
        why = STR("the event has no id of its own to be found by in its body");
    }
    if (reading == READ_EVENTS) {
        reading =
            replay_follow_plan(replay->page, snapshot_workspace(snapshot, attempt.workspace_id),
                               row->source_id, attempt.events, attempt.event_count, &why);
    }
    if (reading == READ_FULL) {
        reading = READ_UNREADABLE;
        why = STR("it needs more memory than a delivery may have");
    }
    if (reading == READ_UNREADABLE) {
        attempt.event_count = 0;
        replay->counts.unreadable++;
        status = stay(replay, row, why, problem);
    } else {
        status = apply(replay, snapshot, &attempt, &why, problem);
        replay->counts.ignored += reading == READ_IGNORED ? 1 : 0;
        replay->counts.replayed += reading == READ_EVENTS && why.size == 0 ? 1 : 0;
    }
    if (status == STATUS_OK) {
        replay_note(replay, row->id, &delivery, attempt.events, attempt.event_count, why);
    }
    return status == STATUS_MISSING ? STATUS_OK : status;
}

enum status replay_quarantine(struct replay *replay, struct problem *problem)
{
    enum status status = STATUS_OK;
    while (status == STATUS_OK) {
        struct quarantine_row row;
        status = next_row(replay, &row, problem);
        if (status == STATUS_MISSING) {
            return STATUS_OK;
        }
        if (status != STATUS_OK) {
            break;
        }
        const struct registry_snapshot *snapshot = registry_hold(replay->config->registry);
        status = replay_row(replay, snapshot, &row, problem);
        registry_release(replay->config->registry, snapshot);
        if (status == STATUS_OK) {
            replay->after_id = row.id;
            replay->after_ms = row.received_at_ms;
            replay->counts.deliveries++;
            status = replay_progress(replay, problem);
        }
    }
    return status;
}
