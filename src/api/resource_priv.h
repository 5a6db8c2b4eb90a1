#ifndef API_RESOURCE_PRIV_H
#define API_RESOURCE_PRIV_H

/*
 * What the resources share: changing configuration in one transaction, the
 * usual refusals, and finishing an answer.
 */

#include "api/document.h"
#include "api/page.h"
#include "api/resource.h"
#include "base/buf.h"
#include "base/jsonw.h"

/* One object's JSON is at most this: profiles hold 256 traits of 1 KiB. */
#define RESOURCE_BYTES_MAX (2u * 1024 * 1024)

typedef enum status resource_change_fn(const struct resource_request *request, const void *what,
                                       struct problem *problem);

/* Begin, change, raise config_version, commit, refresh. Nothing stays open on
 * failure. `workspace_id` is whose version is raised. */
NODISCARD enum status resource_transact(const struct resource_request *request,
                                        struct id workspace_id, resource_change_fn *change,
                                        const void *what, struct problem *problem);

/* Are there fewer than `limit` already? */
NODISCARD enum status resource_room(int64_t count, unsigned limit, const char *what,
                                    struct problem *problem);
/* Words for a status that the store gave without any. */
enum status resource_missing(enum status status, const char *what, struct str name,
                             struct problem *problem);
enum status resource_name_taken(enum status status, const char *what, struct str name,
                                struct problem *problem);
NODISCARD enum status resource_match(const struct resource_request *request, int64_t version,
                                     struct problem *problem);
enum status resource_changed_meanwhile(enum status status, struct problem *problem);

/* The answer from what was written; STATUS_LIMIT when it did not fit. */
NODISCARD enum status resource_answer_set(struct buf *buf, enum resource_effect effect,
                                          int64_t version, struct resource_answer *out_answer,
                                          struct problem *problem);

/* Is it a topic or a pattern of some that there are, triggers' own ones too? */
NODISCARD enum status resource_topic_exists(const struct resource_request *request,
                                            struct str pattern, bool *out_exists,
                                            struct problem *problem);

bool resource_may(const struct resource_request *request, uint32_t scopes_any);

#endif
