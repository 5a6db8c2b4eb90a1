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
/* The workspace as configured, held while profiles are written. */
struct profile_reader {
    struct registry *registry;
    const struct registry_snapshot *snapshot;
    const struct registry_workspace *workspace;
    const struct ruleset *newest; /* NULL: no rules yet */
};
NODISCARD enum status profile_reader_open(const struct resource_request *request,
                                          struct profile_reader *out_reader,
                                          struct problem *problem);
void profile_reader_close(struct profile_reader *reader);
/* The rules of that version; NULL when they are not kept any more. */
const struct ruleset *profile_reader_ruleset(const struct profile_reader *reader, int64_t version);
/* request->name to the survivor and its origins. */
NODISCARD enum status profile_resolve(const struct resource_request *request, struct str text,
                                      struct id *out_requested, struct id *out_canonical,
                                      struct id **out_origins, size_t *out_count,
                                      struct problem *problem);

/* The list's form: without identities, memberships and links. */
void profile_write_summary(struct jsonw *json, const struct resource_request *request,
                           const struct profile_view *view, const struct profile_reader *reader);
/* The whole of contract 5. */
void profile_write_json(struct jsonw *json, const struct resource_request *request,
                        const struct profile_whole *whole, const struct profile_reader *reader);

/* --- profile_insight.c --------------------------------------------------- */

/* A view as the core knows it: what rules and indicators read. NULL when the
 * arena is full or its state does not decode. */
struct profile *profile_of_view(struct arena *arena, const struct profile_view *view);

/* What is evaluated, not stored, at the moment of asking. `profile` may be NULL:
 * then null. Members of an open object. */
void insight_write_rfm(struct jsonw *json, const struct profile *profile,
                       const struct profile_reader *reader);
void insight_write_cycle(struct jsonw *json, const struct profile *profile, int64_t now_ms);
void insight_write_engagement(struct jsonw *json, const struct profile *profile, int64_t now_ms);
void insight_write_habits(struct jsonw *json, const struct profile *profile,
                          const struct profile_reader *reader);
void insight_write_memberships(struct jsonw *json, struct arena *arena,
                               const struct profile *profile, const struct profile_reader *reader,
                               int64_t now_ms);

#endif
