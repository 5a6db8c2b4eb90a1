#ifndef APP_DELIVERY_QUEUE_H
#define APP_DELIVERY_QUEUE_H

/*
 * What the sender needs of the store (struct sender_ops): claims, settlements
 * and leases on one connection of their own, endpoints out of the registry.
 *
 * Threading: as sender_ops says: claim, settle and renew one at a time; endpoint
 * beside them.
 */

#include "base/id.h"
#include "base/status.h"
#include "deliver/sender.h"
#include "store/registry.h"

struct delivery_queue;
struct endpoint_tally;

struct delivery_queue_config {
    const char *database_url;
    struct registry *registry;
    struct id instance_id;
    struct endpoint_tally *tally; /* what was settled; may be NULL */
    /* Every attempt; may be NULL. */
    void (*observe)(void *app, enum attempt_outcome outcome, int64_t duration_ms);
    void *app;
};

NODISCARD enum status delivery_queue_create(const struct delivery_queue_config *config,
                                            struct delivery_queue **out_queue);
/* After the sender has stopped. NULL is fine. */
void delivery_queue_destroy(struct delivery_queue *queue);

/* `queue` must outlive the sender. */
void delivery_queue_ops(struct delivery_queue *queue, struct sender_ops *out_ops);

#endif
