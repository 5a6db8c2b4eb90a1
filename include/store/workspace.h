#ifndef STORE_WORKSPACE_H
#define STORE_WORKSPACE_H

/*
 * Workspaces as rows. Values borrow from the arena given. No function here
 * opens a transaction: the caller does when several must hold together.
 * STATUS_MISSING and STATUS_CONFLICT come without words; the caller knows
 * which object it asked for.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "base/str.h"
#include "store/pg.h"

/* When a difference in the catalogue is worth telling. */
struct catalogue_settings {
    int64_t back_in_stock_min;
    int64_t price_percent_hundredths; /* both must be reached */
    int64_t price_amount_hundredths;  /* of a major unit of the product's currency */
    int64_t quiet_ms;                 /* the same is not told of a variant again */
};

enum {
    WORKSPACE_CAPS_MAX = 5 /* channels */
};

struct workspace_cap { /* of what triggers ring for a customer on a channel */
    struct str channel;
    int64_t count;
    int64_t per_ms;
};

struct workspace {
    struct id id;
    struct str name;
    struct str title;
    struct str currency;
    struct str time_zone;
    int64_t created_at_ms;
    int64_t updated_at_ms;
    int64_t held_at_ms; /* INSTANT_NONE: not held */
    struct str held_reason;
    struct catalogue_settings catalogue;
    struct workspace_cap caps[WORKSPACE_CAPS_MAX]; /* ascending by channel */
    size_t cap_count;
};

NODISCARD enum status workspace_insert(struct pg *pg, struct arena *arena,
                                       const struct workspace *workspace, struct problem *problem);
/* By name or by id. */
NODISCARD enum status workspace_find(struct pg *pg, struct arena *arena, struct str name_or_id,
                                     struct workspace *out_workspace, struct problem *problem);
/* In the order of names, those after `after` (empty: from the start). */
NODISCARD enum status workspace_list(struct pg *pg, struct arena *arena, struct str after,
                                     size_t limit, struct workspace **out_workspaces,
                                     size_t *out_count, struct problem *problem);
NODISCARD enum status workspace_count(struct pg *pg, struct arena *arena, int64_t *out_count,
                                      struct problem *problem);
/* Title, time zone, the catalogue's settings and updated_at. */
NODISCARD enum status workspace_update(struct pg *pg, struct arena *arena,
                                       const struct workspace *workspace, struct problem *problem);

/* Its caps, replaced as a whole. */
NODISCARD enum status workspace_set_caps(struct pg *pg, struct arena *arena,
                                         const struct workspace *workspace,
                                         struct problem *problem);

/* The brake: nothing is sent while it is held. */
NODISCARD enum status workspace_hold(struct pg *pg, struct arena *arena, struct id workspace_id,
                                     struct str reason, int64_t now_ms, struct problem *problem);
NODISCARD enum status workspace_release(struct pg *pg, struct arena *arena, struct id workspace_id,
                                        int64_t now_ms, struct problem *problem);

/* Makes every instance load the configuration anew: belongs into the
 * transaction that changed it. The zero id (keys of the instance) bumps the
 * first workspace there is. */
NODISCARD enum status workspace_touch(struct pg *pg, struct arena *arena, struct id workspace_id,
                                      struct problem *problem);

#endif
