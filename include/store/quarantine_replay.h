#ifndef STORE_QUARANTINE_REPLAY_H
#define STORE_QUARANTINE_REPLAY_H

/*
 * Quarantined deliveries, tried again: found one after the other, and taken out
 * once everything of them is in.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/decide.h"
#include "store/pg.h"
#include "store/quarantine_store.h"

struct quarantine_filter {
    struct id workspace_id;
    struct id id;        /* zero: any */
    struct id source_id; /* zero: any */
    struct str topic;    /* empty: any */
    int64_t since_ms;    /* INSTANT_NONE: from the beginning */
    int64_t until_ms;    /* not included */
};

/* The first one behind after_id, with its body; STATUS_MISSING: none is left. */
NODISCARD enum status quarantine_next(struct pg *pg, struct arena *arena,
                                      const struct quarantine_filter *filter, struct id after_id,
                                      struct quarantine_row *out_row, struct problem *problem);
NODISCARD enum status quarantine_count(struct pg *pg, struct arena *arena,
                                       const struct quarantine_filter *filter, int64_t *out_count,
                                       struct problem *problem);

struct quarantine_attempt {
    struct id workspace_id;
    const struct quarantine_row *row;
    struct event **events; /* none: it is ignored nowadays, and only taken out */
    size_t event_count;
};

/* One transaction: the receipt that the quarantine left is taken back, the events
 * are applied silently, the raw body joins the stored ones, the row goes. The
 * arena is reset. STATUS_MISSING: somebody else took the row out. STATUS_INVALID,
 * STATUS_LIMIT: the data's own error, nothing has changed. */
NODISCARD enum status quarantine_apply(struct pg *pg, struct arena *arena,
                                       const struct decide_context *context,
                                       const struct quarantine_attempt *attempt,
                                       int64_t *out_applied, struct problem *problem);
/* It stays: this is why. */
NODISCARD enum status quarantine_explain(struct pg *pg, struct arena *arena, struct id workspace_id,
                                         struct id id, struct str reason, struct problem *problem);

#endif
