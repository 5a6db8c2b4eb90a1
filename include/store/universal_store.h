#ifndef STORE_UNIVERSAL_STORE_H
#define STORE_UNIVERSAL_STORE_H

/*
 * Universal events as rows: posted here, told by the catalogue (catalogue.h),
 * read in pages, and whom one concerns by its selector. Values borrow from the
 * arena.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "base/str.h"
#include "store/pg.h"

struct universal_event {
    struct id id;
    struct str type;
    struct id source_id;
    struct str source;    /* its name; read only */
    struct str posted_id; /* empty: the catalogue's */
    struct str product_id;
    struct str variant_id;
    struct str sku;
    int64_t occurred_at_ms;
    int64_t recorded_at_ms;
    int64_t expires_at_ms; /* INSTANT_NONE: never */
    struct str selector_json;
    struct str properties_json;
};

/* A trigger that rings by it, for whom it concerns, has begun. */
struct universal_job {
    struct id id;
    struct str trigger; /* its name */
};

struct universal_posted {
    bool is_new; /* it was not there, and not earlier among those posted */
    struct universal_job *jobs;
    size_t job_count;
};

/* One statement for all, the jobs included. All are of one source and recorded at one
 * instant. */
NODISCARD enum status universal_insert(struct pg *pg, struct arena *arena, struct id workspace_id,
                                       const struct universal_event *events, size_t count,
                                       struct universal_posted *out_posted,
                                       struct problem *problem);

/* Newest first, before the place given. */
struct universal_query {
    struct id workspace_id;
    struct str type;       /* empty: all */
    struct id source_id;   /* zero: all */
    struct str product_id; /* empty: all */
    int64_t from_ms;
    int64_t before_ms;
    struct id before_id;
    size_t limit;
    size_t scan_limit; /* rows looked at */
};
struct universal_page {
    struct universal_event *rows;
    size_t count;
    /* So many were looked at without filling the page: go on from here. */
    bool is_cut;
    int64_t cut_ms;
    struct id cut_id;
};
NODISCARD enum status universal_page(struct pg *pg, struct arena *arena,
                                     const struct universal_query *query,
                                     struct universal_page *out_page, struct problem *problem);
/* STATUS_MISSING without words. */
NODISCARD enum status universal_find(struct pg *pg, struct arena *arena, struct id workspace_id,
                                     struct id id, struct universal_event *out_event,
                                     struct problem *problem);

#endif
