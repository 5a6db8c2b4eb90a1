#ifndef CORE_TRIGGER_BATCH_H
#define CORE_TRIGGER_BATCH_H

/*
 * notification.batch (contract 4): several notifications in one signed message.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/str.h"
#include "core/trigger/delivery.h"

#define BATCH_TOPIC "notification.batch"

/* v8, of the members in their order. */
struct id batch_id(struct id subscription_id, const struct delivery_member *members, size_t count);

/* How many bytes the envelope adds for so many members, at most. */
size_t batch_overhead(size_t member_count);

/* The same bytes whenever it is called with the same. False when the arena is full. */
struct batch_envelope {
    struct id id;
    int64_t frozen_at_ms;
    struct str workspace;
};
bool batch_body(struct arena *arena, const struct batch_envelope *envelope,
                const struct str *bodies, size_t count, struct str *out_body);

#endif
