#include "base/clock.h"
#include "base/limits.h"
#include "sender_priv.h"

/*
 * Copies of deliveries in memory, from the hand-over to their destruction.
 *
 * Invariant: held_count and held_bytes are exactly what lies between the two, and so
 * are the gate's counts for each endpoint, so memory is bounded whatever the database
 * holds. What comes for a lane that is closed or full is given back at once: its lease
 * would keep it from everybody for a minute.
 */

/* At 1.4 KiB a message the count is reached first; this is for the large ones. */
#define HELD_BYTES_MAX ((size_t)32 * 1024 * 1024)

void copy_drop(struct sender *sender, struct queued *queued)
{
    atomic_fetch_sub(&sender->held_count, 1);
    atomic_fetch_sub(&sender->held_bytes, queued->size_bytes);
    gate_remove(sender->gate, queued->delivery.subscription_id);
    queued_destroy(queued);
}

void copy_give_back(struct sender *sender, struct queued *queued)
{
    ledger_give_back(sender->ledger, &queued->delivery);
    copy_drop(sender, queued);
}

bool copy_keep_none(void *context, struct queued *queued)
{
    copy_drop(context, queued);
    return false;
}

bool copy_keep_none_leased(void *context, struct queued *queued)
{
    copy_give_back(context, queued);
    return false;
}

size_t sender_room(struct sender *sender)
{
    size_t held = atomic_load(&sender->held_count);
    if (atomic_load(&sender->stopping) || held >= LIMIT_DELIVERY_QUEUE ||
        atomic_load(&sender->held_bytes) >= HELD_BYTES_MAX) {
        return 0;
    }
    return LIMIT_DELIVERY_QUEUE - held;
}

/* Reserves before it copies, so that two callers cannot both take the last
 * place. */
static bool inbox_reserve(struct sender *sender)
{
    if (atomic_load(&sender->stopping) || atomic_load(&sender->held_bytes) >= HELD_BYTES_MAX) {
        return false;
    }
    if (atomic_fetch_add(&sender->held_count, 1) >= LIMIT_DELIVERY_QUEUE) {
        atomic_fetch_sub(&sender->held_count, 1);
        return false;
    }
    return true;
}

size_t sender_hand_over(struct sender *sender, const struct delivery *deliveries, size_t count)
{
    struct queued *first = NULL;
    struct queued *last = NULL;
    size_t taken = 0;
    while (taken < count && inbox_reserve(sender)) {
        struct queued *queued = queued_create(&deliveries[taken]);
        if (queued == NULL) {
            atomic_fetch_sub(&sender->held_count, 1);
            break;
        }
        atomic_fetch_add(&sender->held_bytes, queued->size_bytes);
        gate_add(sender->gate, queued->delivery.subscription_id);
        if (last == NULL) {
            first = queued;
        } else {
            last->next = queued;
        }
        last = queued;
        taken++;
    }
    if (taken == 0) {
        return 0;
    }
    pthread_mutex_lock(&sender->inbox_lock);
    bool was_empty = sender->inbox_first == NULL;
    if (was_empty) {
        sender->inbox_first = first;
    } else {
        sender->inbox_last->next = first;
    }
    sender->inbox_last = last;
    pthread_mutex_unlock(&sender->inbox_lock);
    if (was_empty) {
        engine_wake(sender->engine);
    }
    return taken;
}

void inbox_empty(struct sender *sender)
{
    pthread_mutex_lock(&sender->inbox_lock);
    struct queued *queued = sender->inbox_first;
    sender->inbox_first = NULL;
    sender->inbox_last = NULL;
    pthread_mutex_unlock(&sender->inbox_lock);
    int64_t now_ms = queued == NULL ? 0 : clock_monotonic_ms();
    while (queued != NULL) {
        struct queued *next = queued->next;
        if (!queue_add(sender->queue, queued, now_ms)) {
            copy_give_back(sender, queued);
        }
        queued = next;
    }
}
