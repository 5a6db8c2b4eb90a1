#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "deliver/answer_text.h"
#include "deliver/destination.h"
#include "sender_priv.h"

/*
 * Attempts under way: a transfer, the copy that it borrows its bytes from, and the
 * lane whose place it takes.
 *
 * Transfers that are not in use stay with their endpoint, since one that was
 * configured for it costs a quarter of a new one; at most IDLE_MAX of all, since
 * ten thousand endpoints with eight of ten kilobytes each would be too many.
 */

#define IDLE_MAX 512u
/* How often permission may be asked for anew because connecting took longer than it
 * lasts; then that is the endpoint's failure. */
#define ASKS_MAX 3u

static void flight_destroy(struct flight *flight)
{
    transfer_destroy(flight->transfer);
    free(flight);
}

void flights_forget_idle(struct outlet *outlet)
{
    while (outlet->idle != NULL) {
        struct flight *flight = outlet->idle;
        outlet->idle = flight->next;
        (*outlet->idle_count)--;
        flight_destroy(flight);
    }
}

static struct flight *flight_create(struct sender *sender, bool is_of_batch)
{
    struct flight *flight = calloc(1, sizeof(*flight));
    if (flight == NULL) {
        return NULL;
    }
    flight->is_of_batch = is_of_batch;
    flight->transfer = transfer_create(
        &sender->rules, is_of_batch ? LIMIT_DELIVERY_BATCH_ANSWER_BYTES : ANSWER_TEXT_BYTES_MAX,
        flight);
    if (flight->transfer == NULL) {
        free(flight);
        return NULL;
    }
    return flight;
}

static struct flight *flight_of(struct sender *sender, struct outlet *outlet, bool is_of_batch)
{
    for (struct flight **link = &outlet->idle; *link != NULL; link = &(*link)->next) {
        struct flight *flight = *link;
        if (flight->is_of_batch == is_of_batch) {
            *link = flight->next;
            sender->idle_count--;
            return flight;
        }
    }
    return flight_create(sender, is_of_batch);
}

static void flight_to_idle(struct sender *sender, struct outlet *outlet, struct flight *flight)
{
    flight->queued = NULL;
    if (sender->idle_count >= IDLE_MAX) {
        flight_destroy(flight);
        return;
    }
    flight->next = outlet->idle;
    outlet->idle = flight;
    sender->idle_count++;
}

static void air_add(struct sender *sender, struct flight *flight)
{
    flight->air_before = NULL;
    flight->air_next = sender->air;
    if (sender->air != NULL) {
        sender->air->air_before = flight;
    }
    sender->air = flight;
}

static void air_remove(struct sender *sender, struct flight *flight)
{
    if (flight->air_before == NULL) {
        sender->air = flight->air_next;
    } else {
        flight->air_before->air_next = flight->air_next;
    }
    if (flight->air_next != NULL) {
        flight->air_next->air_before = flight->air_before;
    }
}

bool flight_start(struct sender *sender, struct lane *lane, struct queued *queued,
                  int64_t start_by_us)
{
    struct outlet *outlet = lane_data(lane);
    const struct delivery *delivery = &queued->delivery;
    struct flight *flight = flight_of(sender, outlet, delivery->member_count > 0);
    if (flight == NULL) {
        return false;
    }
    char webhook_id[ID_TEXT_SIZE];
    int64_t now_ms = clock_now_ms();
    id_format(delivery->notification_id, webhook_id);
    const struct rendition message = { delivery->target, delivery->body };
    if (transfer_begin(flight->transfer, outlet->destination, str_from_z(webhook_id), &message,
                       now_ms) != STATUS_OK) {
        flight_destroy(flight);
        return false;
    }
    transfer_start_by(flight->transfer, start_by_us);
    flight->lane = lane;
    flight->queued = queued;
    flight->format = destination_format(outlet->destination);
    flight->at_ms = now_ms;
    flight->started_us = clock_monotonic_us();
    if (!engine_add(sender->engine, transfer_handle(flight->transfer))) {
        flight_destroy(flight);
        return false;
    }
    air_add(sender, flight);
    return true;
}

void flight_end(struct sender *sender, struct flight *flight, CURLcode code)
{
    struct lane *lane = flight->lane;
    struct outlet *outlet = lane_data(lane);
    struct queued *queued = flight->queued;
    int64_t now_ms = clock_now_ms();
    engine_remove(sender->engine, transfer_handle(flight->transfer));
    air_remove(sender, flight);

    struct transfer_result result;
    transfer_finish(flight->transfer, code, now_ms, &result);
    if (result.late && queued->asks < ASKS_MAX) {
        queued->asks++;
        flight_to_idle(sender, outlet, flight);
        turn_ask(sender, lane, queued);
        return;
    }
    struct lane_report report = verdict_of_flight(sender, flight, &result, now_ms);
    copy_drop(sender, queued);
    flight_to_idle(sender, outlet, flight);
    queue_end(sender->queue, lane, &report, clock_monotonic_ms());
    outlet_publish(sender, lane, outlet);
}

void flight_abort(struct sender *sender, struct flight *flight)
{
    struct transfer_result result;
    engine_remove(sender->engine, transfer_handle(flight->transfer));
    air_remove(sender, flight);
    transfer_finish(flight->transfer, CURLE_ABORTED_BY_CALLBACK, clock_now_ms(), &result);
    copy_drop(sender, flight->queued);
    turn_pass(sender, flight->lane);
    flight_destroy(flight);
}
