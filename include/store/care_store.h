#ifndef STORE_CARE_STORE_H
#define STORE_CARE_STORE_H

/*
 * Which subscriptions fail, since when, and that it was told, once. Values borrow
 * from the arena given; no function opens a transaction.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "base/str.h"
#include "store/pg.h"

/* One that has something new to say: it failed, it failed and was called again,
 * or it is disabled and nobody was told. */
struct care_row {
    struct id subscription_id;
    struct str name;
    struct str reason;
    bool is_disabled;
    int64_t disabled_at_ms;
    int64_t failing_since_ms; /* INSTANT_NONE: not failing so far */
    int32_t told;             /* the stage */
    int64_t seen_ms;
    int64_t called_at_ms; /* the newest call */
    bool went_well;
};
/* Calls up to now_ms; of those not failing so far, of the last ten minutes. */
NODISCARD enum status care_list(struct pg *pg, struct arena *arena, struct id workspace_id,
                                int64_t now_ms, struct care_row **out_rows, size_t *out_count,
                                struct problem *problem);

/* Of each row, among the calls since the last look: the newest that went well, and the
 * first that failed after it. INSTANT_NONE: there is none. */
struct care_calls {
    int64_t well_at_ms;
    int64_t failed_at_ms;
};
NODISCARD enum status care_calls(struct pg *pg, struct arena *arena, struct id workspace_id,
                                 const struct care_row *rows, size_t count, int64_t now_ms,
                                 struct care_calls *out_calls, struct problem *problem);

/* Writes down failing_since_ms, told and called_at_ms of those that are active. */
NODISCARD enum status care_mark(struct pg *pg, struct arena *arena, struct id workspace_id,
                                const struct care_row *const *rows, size_t count,
                                struct problem *problem);

struct care_telling {
    struct id workspace_id;
    struct id subscription_id;
    int32_t stage;
    struct str disable; /* the reason; empty: it is left as it is */
    struct id id;       /* of the notification */
    int64_t created_at_ms;
    struct str topic;
    struct str body;
    const struct id *listener_ids; /* may be none */
    size_t listener_count;
};
/* Disables (if asked to), says that it was told, and rings: all of it, or nothing
 * when somebody else was first. *out_told says which. */
NODISCARD enum status care_tell(struct pg *pg, struct arena *arena,
                                const struct care_telling *telling, int64_t now_ms, bool *out_told,
                                struct problem *problem);

/* An operator resumes it: what failed before now_ms is forgiven. */
NODISCARD enum status care_forgive(struct pg *pg, struct arena *arena, struct id workspace_id,
                                   struct id subscription_id, int64_t now_ms,
                                   struct problem *problem);

#endif
