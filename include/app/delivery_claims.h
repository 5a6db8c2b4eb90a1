#ifndef APP_DELIVERY_CLAIMS_H
#define APP_DELIVERY_CLAIMS_H

/*
 * Which endpoints of which workspaces are asked next for what is due. The ledger's
 * thread only.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/status.h"
#include "deliver/sender.h"
#include "store/delivery_store.h"
#include "store/registry.h"

struct delivery_claims;

struct delivery_claims *delivery_claims_create(struct registry *registry, struct id owner);
void delivery_claims_destroy(struct delivery_claims *claims); /* NULL is fine */

/* sender_ops.claim, on this connection. */
NODISCARD enum status delivery_claims_run(struct delivery_claims *claims, struct pg *pg,
                                          struct arena *arena, const struct sender_gate *gate,
                                          size_t limit, struct delivery **out_deliveries,
                                          size_t *out_count, bool *out_more);
/* Something older than its floor is due again. */
void delivery_claims_forget_floor(struct delivery_claims *claims, struct id subscription_id);

#endif
