#ifndef STORE_SCHEMA_STORE_H
#define STORE_SCHEMA_STORE_H

/*
 * Tracking plans: one JSON Schema per source and event type. Values borrow from
 * the arena.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "base/str.h"
#include "store/pg.h"

struct schema_row {
    struct id workspace_id;
    struct id source_id;
    struct str source; /* its name */
    struct str event_type;
    struct id id;
    struct str mode;
    struct str body;
    int64_t version;
    int64_t created_at_ms;
    int64_t updated_at_ms;
    int64_t checked;
    int64_t violated;
    int64_t checked_24h;
    int64_t violated_24h;
    int64_t last_violated_at_ms;
    struct str last_violations_json; /* empty: none */
};

NODISCARD enum status schema_find(struct pg *pg, struct arena *arena, struct id workspace_id,
                                  struct id source_id, struct str event_type, int64_t now_ms,
                                  struct schema_row *out_row, struct problem *problem);
/* By source and event type; sources that were deleted are left out. */
NODISCARD enum status schema_list(struct pg *pg, struct arena *arena, struct id workspace_id,
                                  int64_t now_ms, struct schema_row **out_rows, size_t *out_count,
                                  struct problem *problem);
NODISCARD enum status schema_count(struct pg *pg, struct arena *arena, struct id workspace_id,
                                   int64_t *out_count, struct problem *problem);
/* STATUS_CONFLICT: somebody was faster. */
NODISCARD enum status schema_insert(struct pg *pg, struct arena *arena,
                                    const struct schema_row *row, struct problem *problem);
NODISCARD enum status schema_update(struct pg *pg, struct arena *arena,
                                    const struct schema_row *row, struct problem *problem);
NODISCARD enum status schema_delete(struct pg *pg, struct arena *arena,
                                    const struct schema_row *row, struct problem *problem);

/* What was counted since the last time; additive, so instances share rows. */
struct schema_delta {
    struct id workspace_id;
    struct id schema_id;
    int64_t checked;
    int64_t violated;
    int64_t last_violated_at_ms;
    struct str last_violations_json; /* empty: nothing new */
};
NODISCARD enum status schema_add(struct pg *pg, struct arena *arena, int64_t now_ms,
                                 const struct schema_delta *delta, struct problem *problem);

#endif
