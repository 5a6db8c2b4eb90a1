#ifndef SCHEMA_SCHEMA_H
#define SCHEMA_SCHEMA_H

/*
 * JSON Schema (draft 7): bytes in, violations out. Pure but for the memory of
 * what was compiled. Within a document only: nothing is fetched.
 */

#include <stddef.h>

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"

struct schema;

struct schema_violation {
    struct str pointer; /* into what was checked: "/items/0/price"; empty: all of it */
    struct str what;
};

struct schema_report {
    struct schema_violation *violations; /* the first ones */
    size_t count;
    bool is_valid;
};

/* STATUS_INVALID: not a schema, or one that no bound can be given for (a circle,
 * a pattern); problem->detail says which. One reference is the caller's. */
NODISCARD enum status schema_compile(struct str json, struct schema **out_schema,
                                     struct problem *problem);
struct schema *schema_hold(struct schema *schema);
void schema_release(struct schema *schema); /* NULL is fine */

/* Any number of threads at once. STATUS_INVALID: `json` is not JSON, or too deep;
 * STATUS_LIMIT: the arena is full. */
NODISCARD enum status schema_check(const struct schema *schema, struct str json,
                                   struct arena *arena, struct schema_report *out_report);

#endif
