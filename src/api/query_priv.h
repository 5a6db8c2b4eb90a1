#ifndef API_QUERY_PRIV_H
#define API_QUERY_PRIV_H

/*
 * Reading the parameters that narrow a list.
 */

#include <stddef.h>
#include <stdint.h>

#include "api/page.h"
#include "base/status.h"
#include "base/str.h"

/* Empty, or one of the known; else "invalid-field" with a suggestion. */
NODISCARD enum status query_one_of(struct str value, const char *name, const char *const *known,
                                   size_t count, struct problem *problem);
/* Empty leaves *out_ms as it is. */
NODISCARD enum status query_instant(struct str text, const char *name, int64_t *out_ms,
                                    struct problem *problem);

/* request->subscription, by name or id, to its id; zero when it is empty. A key
 * that sees only its own finds no others. */
NODISCARD enum status query_subscription(const struct resource_request *request,
                                         struct id *out_subscription_id, struct problem *problem);
/* Whose subscriptions a list may speak of: zero means all. */
struct id query_owner(const struct resource_request *request);
/* request->profile to the ids under which its rows lie; empty leaves them as they are. */
NODISCARD enum status query_profile(const struct resource_request *request,
                                    const struct id **out_profiles, size_t *out_count,
                                    struct problem *problem);
/* Before the cursor, else before `to` (which is not included), else all. */
void query_place(const struct page *page, int64_t to_ms, int64_t *out_ms, struct id *out_id);

#endif
