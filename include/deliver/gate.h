#ifndef DELIVER_GATE_H
#define DELIVER_GATE_H

/*
 * How much more may be claimed for an endpoint? Written by the sending thread and by
 * whoever hands over, read by the ledger's: any thread; a lock is held for a counter.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/id.h"

struct gate;

/* An endpoint that nothing was said of holds `held_max` copies. NULL: no memory. */
struct gate *gate_create(size_t held_max);
void gate_destroy(struct gate *gate); /* NULL is fine */

/* A copy came into memory, or left it. */
void gate_add(struct gate *gate, struct id subscription_id);
void gate_remove(struct gate *gate, struct id subscription_id);
/* Hold at most so many, and nothing before the instant (monotonic; 0: at once). */
void gate_set(struct gate *gate, struct id subscription_id, size_t held_max,
              int64_t closed_until_ms);
void gate_forget(struct gate *gate, struct id subscription_id);
size_t gate_room(struct gate *gate, struct id subscription_id, int64_t now_ms);

#endif
