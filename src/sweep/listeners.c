#include "sweep/listeners.h"

/*
 * Counted, then collected: most workspaces have none, and cost a comparison.
 */

size_t listeners_find(const struct registry_workspace *workspace, struct str topic,
                      struct arena *arena, struct id **out_ids)
{
    size_t count = 0;
    for (size_t i = 0; i < workspace->interest_count; i++) {
        count += subscription_wants(&workspace->interests[i], topic) ? 1 : 0;
    }
    struct id *ids = count > 0 ? ARENA_NEW_ARRAY(arena, count, struct id) : NULL;
    if (ids == NULL) {
        return 0;
    }
    count = 0;
    for (size_t i = 0; i < workspace->interest_count; i++) {
        if (subscription_wants(&workspace->interests[i], topic)) {
            ids[count++] = workspace->interests[i].subscription_id;
        }
    }
    *out_ids = ids;
    return count;
}
