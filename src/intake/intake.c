#include "intake/intake.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/thread.h"
#include "intake_priv.h"

/*
 * The queue between the HTTP threads and the writers.
 *
 *   submitted -> waiting (lanes) -> in work (a writer's batch) -> settled -> done
 *                    ^                     |
 *                    +-- database away ----+   while the sender still waits
 *
 * Invariant: a delivery's `done` is called exactly once, when the last of its
 * items is settled. The number of items waiting and in work never exceeds
 * LIMIT_QUEUE_EVENTS: what does not fit is refused at the door, before anything
 * of it was taken.
 */

/* --- settling ----------------------------------------------------------- */

void item_settle(struct intake_item *item, enum event_result result, enum status status)
{
    struct intake_delivery *delivery = item->delivery;
    if (item->event_index != INTAKE_ITEM_QUARANTINE) {
        delivery->results[item->event_index] = result;
    }
    if (status != STATUS_OK) {
        atomic_store(&delivery->worst_status, (int)status);
    }
    if (atomic_fetch_sub(&delivery->pending, 1) == 1) {
        delivery->status = (enum status)atomic_load(&delivery->worst_status);
        delivery->done(delivery, delivery->user);
    }
}

/* --- submitting --------------------------------------------------------- */

static uint32_t event_lane(const struct event *event)
{
    if (event->identifier_count > 0) {
        return (uint32_t)hash64(event->identifiers[0].value, (uint64_t)event->identifiers[0].kind);
    }
    if (event->order != NULL) {
        return (uint32_t)hash64(event->order->order_ref, IDENTITY_ORDER);
    }
    return (uint32_t)hash64(event->part, 0);
}

static size_t event_size(const struct event *event)
{
    return sizeof(*event) + event->properties_json.size + event->cart_json.size +
           (event->order != NULL ? event->order->body_json.size : 0) +
           event->fact_count * sizeof(struct event_fact);
}

static enum status delivery_prepare(struct intake_delivery *delivery, size_t item_count)
{
    delivery->items = ARENA_NEW_ARRAY(delivery->arena, item_count, struct intake_item);
    delivery->results =
        ARENA_NEW_ARRAY(delivery->arena, delivery->event_count + 1, enum event_result);
    if (delivery->items == NULL || delivery->results == NULL) {
        return STATUS_LIMIT;
    }
    if (delivery->want_details || delivery->told_rule_count > 0) {
        delivery->details =
            ARENA_NEW_ARRAY(delivery->arena, delivery->event_count + 1, struct event_detail);
        if (delivery->details == NULL) {
            return STATUS_LIMIT;
        }
    }
    atomic_init(&delivery->pending, item_count);
    atomic_init(&delivery->raw_written, false);
    atomic_init(&delivery->quarantined_bytes, 0);
    atomic_init(&delivery->worst_status, STATUS_OK);
    for (size_t i = 0; i < item_count; i++) {
        struct intake_item *item = &delivery->items[i];
        item->delivery = delivery;
        if (delivery->quarantine_reason != NULL) {
            item->event_index = INTAKE_ITEM_QUARANTINE;
            item->size_bytes = delivery->body.size;
            item->lane = (uint32_t)hash64(delivery->dedup_key, 0);
        } else {
            item->event_index = (int64_t)i;
            item->size_bytes = event_size(&delivery->events[i]) +
                               (i == 0 && delivery->keep_raw ? delivery->body.size : 0);
            item->lane = event_lane(&delivery->events[i]);
        }
    }
    return STATUS_OK;
}

enum status intake_submit(struct intake *intake, struct intake_delivery *delivery)
{
    size_t item_count = delivery->quarantine_reason != NULL ? 1 : delivery->event_count;
    assert(item_count > 0);
    enum status status = delivery_prepare(delivery, item_count);
    if (status != STATUS_OK) {
        return status;
    }
    pthread_mutex_lock(&intake->lock);
    if (intake->state != INTAKE_RUNNING) {
        status = STATUS_RETRY;
    } else if (lanes_count(intake->lanes) + intake->in_work + item_count > LIMIT_QUEUE_EVENTS) {
        status = STATUS_LIMIT;
    } else {
        for (size_t i = 0; i < item_count && status == STATUS_OK; i++) {
            if (!lanes_add(intake->lanes, delivery->workspace_id, &delivery->items[i])) {
                /* Only the first can fail: the workspace's queue exists after it. */
                status = STATUS_LIMIT;
            }
        }
        if (status != STATUS_OK || lanes_are_ready(intake->lanes, delivery->workspace_id)) {
            pthread_cond_signal(&intake->work);
        }
    }
    pthread_mutex_unlock(&intake->lock);
    return status;
}

/* --- writers ------------------------------------------------------------ */

static bool writer_wait(struct intake *intake, struct lane_batch *out_batch)
{
    bool is_taken = false;
    pthread_mutex_lock(&intake->lock);
    for (;;) {
        if (intake->state == INTAKE_STOPPED) {
            break;
        }
        is_taken = lanes_take(intake->lanes, out_batch);
        if (is_taken) {
            break;
        }
        pthread_cond_wait(&intake->work, &intake->lock);
    }
    if (is_taken) {
        intake->in_work += out_batch->count;
        if (lanes_count(intake->lanes) > 0) {
            pthread_cond_signal(&intake->work);
        }
    }
    pthread_mutex_unlock(&intake->lock);
    return is_taken;
}

static void writer_give_back(struct intake *intake, const struct lane_batch *batch,
                             struct intake_item *unfinished)
{
    pthread_mutex_lock(&intake->lock);
    lanes_return(intake->lanes, batch, unfinished);
    intake->in_work -= batch->count;
    if (lanes_count(intake->lanes) == 0) {
        if (intake->in_work == 0) {
            pthread_cond_broadcast(&intake->quiet);
        }
    } else if (unfinished != NULL) {
        pthread_cond_signal(&intake->work); /* this writer pauses; else it looks itself */
    }
    pthread_mutex_unlock(&intake->lock);
}

static void *writer_run(void *argument)
{
    struct writer *writer = argument;
    struct lane_batch batch;
    while (writer_wait(writer->intake, &batch)) {
        struct intake_item *unfinished = NULL;
        writer_process(writer, &batch, &unfinished);
        writer_give_back(writer->intake, &batch, unfinished);
        if (unfinished != NULL) {
            /* The database is away: look again soon, not at once. */
            const struct timespec pause = { .tv_nsec = 100 * 1000000L };
            nanosleep(&pause, NULL);
        }
    }
    return NULL;
}

static enum status writer_start(struct intake *intake, struct writer *writer)
{
    writer->intake = intake;
    writer->arena = arena_create(LIMIT_ARENA_BATCH_BYTES);
    if (writer->arena == NULL ||
        pg_open(intake->config.database_url, true, &writer->pg) != STATUS_OK ||
        !thread_start(&writer->thread, writer_run, writer)) {
        return STATUS_BROKEN;
    }
    writer->is_started = true;
    return STATUS_OK;
}

enum status intake_start(const struct intake_config *config, struct intake **out_intake,
                         struct problem *problem)
{
    assert(config->writers > 0 && config->writers <= LANES_MAX);
    struct intake *intake = calloc(1, sizeof(*intake));
    if (intake == NULL) {
        return problem_set(problem, STATUS_BROKEN, "internal", "no memory for intake");
    }
    intake->config = *config;
    intake->writer_count = config->writers;
    atomic_init(&intake->is_healthy, true);
    pthread_mutex_init(&intake->lock, NULL);
    pthread_mutex_init(&intake->details_lock, NULL);
    pthread_cond_init(&intake->work, NULL);
    pthread_cond_init(&intake->quiet, NULL);
    intake->lanes = lanes_create(config->writers);
    enum status status = intake->lanes != NULL ? STATUS_OK : STATUS_BROKEN;
    for (unsigned i = 0; i < config->writers && status == STATUS_OK; i++) {
        status = writer_start(intake, &intake->writer[i]);
    }
    if (status != STATUS_OK) {
        intake_destroy(intake);
        return problem_set(problem, STATUS_BROKEN, "internal", "the writers do not start");
    }
    *out_intake = intake;
    return STATUS_OK;
}

size_t intake_backlog(const struct intake *intake)
{
    /* The lock is no part of the value. NOLINTNEXTLINE(performance-no-int-to-ptr) */
    struct intake *mutable_intake = (struct intake *)(uintptr_t)intake;
    pthread_mutex_lock(&mutable_intake->lock);
    size_t backlog = lanes_count(intake->lanes) + intake->in_work;
    pthread_mutex_unlock(&mutable_intake->lock);
    return backlog;
}

bool intake_is_healthy(const struct intake *intake)
{
    return atomic_load(&intake->is_healthy);
}

/* --- the end ------------------------------------------------------------ */

void intake_drain(struct intake *intake, int64_t deadline_ms)
{
    struct timespec until = thread_deadline(deadline_ms);
    pthread_mutex_lock(&intake->lock);
    intake->state = INTAKE_DRAINING;
    while (lanes_count(intake->lanes) + intake->in_work > 0) {
        if (pthread_cond_timedwait(&intake->quiet, &intake->lock, &until) == ETIMEDOUT) {
            break;
        }
    }
    intake->state = INTAKE_STOPPED;
    pthread_cond_broadcast(&intake->work);
    pthread_mutex_unlock(&intake->lock);
}

/* Whoever still waits when the writers are gone is told to come back. */
static void refuse_waiting(struct intake *intake)
{
    struct lane_batch batch;
    while (lanes_take(intake->lanes, &batch)) {
        struct intake_item *item = batch.items;
        while (item != NULL) {
            struct intake_item *next = item->next;
            item_settle(item, EVENT_RESULT_PENDING, STATUS_RETRY);
            item = next;
        }
        lanes_return(intake->lanes, &batch, NULL);
    }
}

void intake_destroy(struct intake *intake)
{
    if (intake == NULL) {
        return;
    }
    pthread_mutex_lock(&intake->lock);
    intake->state = INTAKE_STOPPED;
    pthread_cond_broadcast(&intake->work);
    pthread_mutex_unlock(&intake->lock);
    for (unsigned i = 0; i < intake->writer_count; i++) {
        struct writer *writer = &intake->writer[i];
        if (writer->is_started) {
            pthread_join(writer->thread, NULL);
        }
        pg_close(writer->pg);
        arena_destroy(writer->arena);
        free(writer->unknown_ids);
    }
    if (intake->lanes != NULL) {
        refuse_waiting(intake);
        lanes_destroy(intake->lanes);
    }
    pthread_cond_destroy(&intake->quiet);
    pthread_cond_destroy(&intake->work);
    pthread_mutex_destroy(&intake->lock);
    pthread_mutex_destroy(&intake->details_lock);
    free(intake);
}
