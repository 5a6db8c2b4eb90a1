#ifndef API_PLAN_PRIV_H
#define API_PLAN_PRIV_H

/*
 * Tracking plans where events come in: each event's properties against the schema
 * of its source and type, if there is one.
 */

#include "api/api.h"
#include "base/buf.h"
#include "base/jsonw.h"
#include "core/event/event.h"
#include "store/registry.h"

struct plan_check {
    /* Set by the caller. */
    struct arena *arena;
    const struct registry_workspace *workspace; /* NULL: nothing is checked */
    struct id source_id;
    struct event *events;
    size_t event_count;
    int64_t now_ms;
    bool may_reject;     /* the sender reads answers; else `reject` quarantines */
    bool only_validate;  /* nothing is counted */
    const size_t *items; /* of events, for pointers; or NULL: the same number */
    bool is_list;

    /* Filled in. */
    const char **reasons; /* to be quarantined; one per event, or NULL */
    bool *rejected;       /* one per event, or NULL */
    size_t rejected_count;
    struct str errors_json; /* of those; empty: none */
};

/* STATUS_LIMIT: the arena is full. Does nothing where no schema is. */
NODISCARD enum status plan_apply(struct plan_check *check);

#endif
