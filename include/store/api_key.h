#ifndef STORE_API_KEY_H
#define STORE_API_KEY_H

/*
 * API keys as rows: the public half, the keyed hash of the whole, and what the
 * key may. Values borrow from the arena given; functions open no transaction.
 * Keys of the instance stand under the zero workspace.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "base/str.h"
#include "store/pg.h"

struct api_key {
    struct id workspace_id;
    struct id id;
    struct str name;
    struct str prefix;
    struct str secret_hash; /* write only: never read back here */
    const struct str *scopes;
    size_t scope_count;
    const struct str *max_topics;
    size_t max_topic_count;
    struct str max_fields; /* empty: no limit */
    int64_t created_at_ms;
    int64_t expires_at_ms; /* INSTANT_NONE: does not expire */
    int64_t last_used_at_ms;
};

NODISCARD enum status api_key_insert(struct pg *pg, struct arena *arena, const struct api_key *key,
                                     struct problem *problem);
NODISCARD enum status api_key_find(struct pg *pg, struct arena *arena, struct id workspace_id,
                                   struct str name_or_id, struct api_key *out_key,
                                   struct problem *problem);
NODISCARD enum status api_key_list(struct pg *pg, struct arena *arena, struct id workspace_id,
                                   struct str after, size_t limit, struct api_key **out_keys,
                                   size_t *out_count, struct problem *problem);
NODISCARD enum status api_key_count(struct pg *pg, struct arena *arena, struct id workspace_id,
                                    int64_t *out_count, struct problem *problem);
/* STATUS_MISSING when it was not there. */
NODISCARD enum status api_key_delete(struct pg *pg, struct arena *arena, struct id workspace_id,
                                     struct id key_id, struct problem *problem);

struct api_key_use {
    struct id workspace_id;
    struct id key_id;
    int64_t at_ms;
};
NODISCARD enum status api_key_touch(struct pg *pg, struct arena *arena,
                                    const struct api_key_use *uses, size_t count,
                                    struct problem *problem);

#endif
