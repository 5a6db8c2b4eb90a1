#ifndef APP_DELIVERY_PERMIT_H
#define APP_DELIVERY_PERMIT_H

/*
 * May what is about to be sent still be sent (correctness 19)? Consent for the
 * endpoint's channel, always; its filter, if it rechecks and the filter may say
 * something else by now. On a connection of its own; the checker's thread only.
 */

#include "base/status.h"
#include "deliver/sender.h"
#include "store/registry.h"

struct delivery_permit;

NODISCARD enum status delivery_permit_create(const char *database_url, struct registry *registry,
                                             struct delivery_permit **out_permit);
void delivery_permit_destroy(struct delivery_permit *permit); /* NULL is fine */

/* Must be asked at all? */
bool delivery_permit_is_needed(const struct registry_subscription *subscription);
/* Can it be asked? A filter that a newer program saved may not compile here: what waits
 * for it is left to who knows it. */
bool delivery_permit_can_ask(const struct registry_subscription *subscription);

/* sender_ops.permit. */
NODISCARD enum status delivery_permit_run(struct delivery_permit *permit,
                                          const struct permit_request *requests, size_t count,
                                          struct str *out_reasons);

#endif
