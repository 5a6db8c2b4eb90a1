#ifndef API_PROFILE_PRIV_H
#define API_PROFILE_PRIV_H

/*
 * Shared by the files that answer for profiles.
 */

#include "resource_priv.h"
#include "store/profile_read.h"
#include "store/workspace.h"

/* One profile with what its answer needs. */
struct profile_whole {
    struct profile_view view;
    const struct id *origins; /* itself first */
    size_t origin_count;
    const struct identity_view *identities;
    size_t identity_count;
    struct id requested_id; /* zero, or the one that was merged into this */
    bool history_complete;
};

bool profile_is_masked(const struct resource_request *request);
/* The workspace's currency. */
NODISCARD enum status profile_currency(const struct resource_request *request,
                                       struct str *out_currency, struct problem *problem);
/* request->name to the survivor and its origins. */
NODISCARD enum status profile_resolve(const struct resource_request *request, struct str text,
                                      struct id *out_requested, struct id *out_canonical,
                                      struct id **out_origins, size_t *out_count,
                                      struct problem *problem);

/* The list's form: without identities, memberships and links. */
void profile_write_summary(struct jsonw *json, const struct resource_request *request,
                           const struct profile_view *view, struct str currency);
/* The whole of contract 5. */
void profile_write_json(struct jsonw *json, const struct resource_request *request,
                        const struct profile_whole *whole, struct str currency);

#endif
