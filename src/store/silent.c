#include <string.h>
#include <time.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/limits.h"
#include "silent_priv.h"
#include "store/bring_up.h"

/*
 * Problem: history must give the very profiles that webhooks would have given,
 * whoever brings it: a file, a delivery out of quarantine, a raw body read anew.
 *
 * Invariant: the steps are intake's, with a context that says "import": no event
 * rings and rules are decided once, at the end. Whoever calls adds statements of
 * its own within the same transaction, and decides whether to try again.
 */

/* The same event twice in one range counts as one that is there already. */
static enum status unique_events(struct silent *silent, struct id workspace_id,
                                 struct event **events, size_t count)
{
    size_t table_size = 64;
    while (table_size < count * 2) {
        table_size *= 2;
    }
    struct event **table = ARENA_NEW_ARRAY(silent->arena, table_size, struct event *);
    silent->events = ARENA_NEW_ARRAY(silent->arena, count + 1, struct event *);
    if (table == NULL || silent->events == NULL) {
        return STATUS_LIMIT;
    }
    silent->event_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct event *event = events[i];
        uint64_t hash = 0;
        memcpy(&hash, event->id.bytes, sizeof(hash));
        size_t slot = (size_t)hash & (table_size - 1);
        while (table[slot] != NULL && !id_equal(table[slot]->id, event->id)) {
            slot = (slot + 1) & (table_size - 1);
        }
        if (table[slot] == NULL) {
            table[slot] = event;
            silent->events[silent->event_count++] = event;
        }
    }
    return batch_init(&silent->batch, silent->pg, silent->arena, workspace_id, silent->events,
                      silent->event_count);
}

static enum status plan_and_lock(struct silent *silent, struct problem *problem)
{
    enum batch_lock_outcome outcome = BATCH_LOCKED;
    silent->now_ms = clock_now_ms();
    enum status status =
        batch_plan_and_lock(&silent->batch, silent->now_ms, &silent->has_news, &outcome, problem);
    return status == STATUS_OK && outcome == BATCH_STALE
               ? problem_set(problem, STATUS_CONFLICT, "", "owners moved")
               : status;
}

enum status silent_load(struct silent *silent, struct id workspace_id, struct event **events,
                        size_t count, struct problem *problem)
{
    randombytes_buf(silent->context.random, sizeof(silent->context.random));
    enum status status = unique_events(silent, workspace_id, events, count);
    if (status != STATUS_OK) {
        return status;
    }
    struct batch *batch = &silent->batch;
    batch->is_open = silent->is_open;
    silent->has_news = false;
    silent->decision = decision_create(silent->arena, &silent->context, batch->event_count);
    if (silent->decision == NULL) {
        return STATUS_LIMIT;
    }
    status = batch_load(batch, silent->decision, problem);
    return status == STATUS_OK ? plan_and_lock(silent, problem) : status;
}

/* As intake does: a profile behind the rules is brought up where its history is
 * short, and decided by the rules it stands at where it is long. */
static enum status bring_up_short(const struct silent *silent, struct problem *problem)
{
    const struct bring_up bring_up = {
        .pg = silent->pg,
        .arena = silent->arena,
        .decision = silent->decision,
        .context = &silent->context,
        .now_ms = silent->now_ms,
        .facts_max = LIMIT_HOT_HISTORY_FACTS,
    };
    return bring_up_profiles(&bring_up, NULL, problem);
}

enum status silent_decide(struct silent *silent, int64_t *out_applied, struct problem *problem)
{
    const struct batch *batch = &silent->batch;
    *out_applied = 0;
    if (!silent->has_news) {
        return STATUS_OK;
    }
    enum status status = bring_up_short(silent, problem);
    for (size_t i = 0; i < batch->event_count && status == STATUS_OK; i++) {
        if (batch->is_duplicate[i] || batch->is_known[i]) {
            continue;
        }
        enum decide_outcome outcome = DECIDE_APPLIED;
        status = decide_event(silent->decision, silent->events[i], silent->now_ms, &outcome);
        if (status == STATUS_OK && outcome == DECIDE_STATE_FULL) {
            return problem_set(problem, STATUS_INVALID, "limit-reached",
                               "the profile cannot hold what this record says");
        }
        *out_applied += 1;
    }
    return status;
}

enum status silent_save(struct silent *silent, const struct batch_save *save,
                        struct problem *problem)
{
    struct decision_rows rows = { 0 };
    enum status status = batch_restore_extremes(&silent->batch, problem);
    if (status == STATUS_OK) {
        status = decision_finish(silent->decision, clock_now_ms(), &rows);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct batch_save what = *save;
    struct delivery *deliveries = NULL;
    size_t delivery_count = 0;
    what.rows = &rows;
    return batch_save(&silent->batch, &what, &deliveries, &delivery_count, problem);
}

enum status silent_commit(struct silent *silent, struct problem *problem)
{
    const struct batch_save save = { .stays_open = false };
    return silent->has_news ? silent_save(silent, &save, problem)
                            : pg_run(silent->pg, silent->arena, &pg_commit, NULL, NULL, problem);
}

void silent_pause(unsigned turn)
{
    uint32_t base_ms = 4U << (turn < 8 ? turn : 8);
    uint32_t wait_ms = base_ms + randombytes_uniform(base_ms);
    const struct timespec pause = { .tv_sec = wait_ms / 1000,
                                    .tv_nsec = (long)(wait_ms % 1000) * 1000000L };
    nanosleep(&pause, NULL);
}
