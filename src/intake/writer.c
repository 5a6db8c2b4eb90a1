#include <assert.h>
#include <time.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "intake_priv.h"
#include "store/batch.h"

/*
 * A batch until every item of it is settled or given back: attempts (range.c),
 * and what is done about one that failed.
 *
 * Problem: a batch is many customers' events in one transaction. One that the
 * database refuses for its own sake must not take the others with it, and a
 * fault that is ours must not look like one (correctness 10).
 *
 * Passing faults are tried again, bounded and jittered; the data's own errors are
 * bisected down to the one event, which is quarantined with its receipt;
 * everything else refuses the whole batch with "come back", quarantines nothing,
 * and turns readiness red.
 */

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
