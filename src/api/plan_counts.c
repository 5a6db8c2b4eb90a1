#include "api/api.h"
#include "base/clock.h"
#include "store/registry.h"

/*
 * What tracking plans counted, written once a second by the background thread.
 * Nothing is touched where nothing was checked since.
 */

enum {
    ARENA_BYTES = 1024 * 1024
};

static void flush_workspace(const struct registry_workspace *workspace, struct pg *pg,
                            struct arena *arena)
{
    for (size_t i = 0; i < workspace->schema_count; i++) {
        const struct registry_schema *schema = &workspace->schemas[i];
        struct schema_delta delta = { .workspace_id = workspace->id, .schema_id = schema->id };
        struct problem unseen = { .type = "" };
        arena_reset(arena);
        if (schema_tally_take(schema->tally, arena, &delta) &&
            schema_add(pg, arena, clock_now_ms(), &delta, &unseen) != STATUS_OK) {
            schema_tally_put_back(schema->tally, &delta);
            pg_reset(pg);
        }
    }
}

void plan_counts_flush(struct registry *registry, struct pg *pg)
{
    struct arena *arena CLEANUP(arena_destroy_at) = arena_create(ARENA_BYTES);
    const struct registry_snapshot *snapshot = registry_hold(registry);
    const struct registry_workspace *workspace = NULL;
    for (size_t w = 0; arena != NULL && snapshot != NULL &&
                       (workspace = snapshot_workspace_at(snapshot, w)) != NULL;
         w++) {
        flush_workspace(workspace, pg, arena);
    }
    registry_release(registry, snapshot);
}
