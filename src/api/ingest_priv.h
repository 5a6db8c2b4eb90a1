#ifndef API_INGEST_PRIV_H
#define API_INGEST_PRIV_H

/*
 * What the two ways in (hooks, events) share: handing a delivery to intake and
 * answering when it has settled.
 */

#include "api/api.h"
#include "core/signature.h"
#include "http/exchange.h"
#include "source_stats_priv.h"

struct ingest {
    struct http_exchange *x;
    const struct api *api;
    /* Events may borrow from the source, so the snapshot is kept until the
     * answer. */
    const struct registry_snapshot *snapshot;
    struct intake_delivery delivery;
    struct str rejected_json; /* of /v1/events?on_error=skip, and of the SDKs */
    size_t rejected_count;
    /* Answers when all has settled, in place of contract 8's shape; then a full
     * queue is 429, as the SDKs expect. NULL: the usual. */
    void (*answer)(struct ingest *ingest);
    bool has_followed_plans;  /* the tracking plans were looked at already */
    struct str accepted_json; /* the whole 200, instead of contract 8's; empty: that */
};

/* Fills the delivery's constant part; lives in the exchange's arena. NULL when
 * that is full. Takes the reference to the snapshot over only on ingest_submit. */
struct ingest *ingest_create(struct http_exchange *x, const struct api *api,
                             const struct registry_snapshot *snapshot, const struct source *source);
/* Hands it on; the answer is written when intake calls back, or here when it
 * was not taken. Releases the snapshot in every case. */
enum http_outcome ingest_submit(struct ingest *ingest);

/* A source of the workspace by name or id; NULL when there is none. */
const struct source *ingest_source(const struct registry_snapshot *snapshot, struct id workspace_id,
                                   struct str name);

/* The answer of contract 8 without events: all of them ignored. */
void ingest_answer_ignored(struct http_exchange *x, int64_t ignored);

#endif
