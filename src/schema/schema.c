#include "schema/schema.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/limits.h"
#include "shim_priv.h"

/*
 * The C side of the shim: our texts, arenas and problems, and who still holds a
 * compiled schema. Snapshots of the configuration share them, so that a refresh
 * compiles only what changed.
 */

enum {
    WHY_BYTES = 256
};

struct schema {
    struct shim *shim;
    atomic_size_t references;
};

static const struct shim_limits limits = {
    .depth = LIMIT_JSON_DEPTH,
    .visits = LIMIT_SCHEMA_VISITS,
    .stack = LIMIT_SCHEMA_STACK,
    .pattern_bytes = LIMIT_SCHEMA_PATTERN_BYTES,
    .subject_bytes = LIMIT_SCHEMA_SUBJECT_BYTES,
    .name_bytes = LIMIT_SCHEMA_NAME_BYTES,
    .unique_items = LIMIT_SCHEMA_UNIQUE_ITEMS,
    .enum_values = LIMIT_SCHEMA_ENUM_VALUES,
};

struct compiling {
    struct str json;
    char why[WHY_BYTES];
    struct shim *shim;
};

static void *compile(void *argument)
{
    struct compiling *compiling = argument;
    compiling->shim = shim_compile(compiling->json.data, compiling->json.size, &limits,
                                   compiling->why, sizeof(compiling->why));
    return NULL;
}

/* On a stack of its own: valijson recurses along references while it reads them. */
static bool compile_apart(struct compiling *compiling)
{
    pthread_attr_t attributes;
    pthread_t thread;
    if (pthread_attr_init(&attributes) != 0) {
        return false;
    }
    bool is_started =
        pthread_attr_setstacksize(&attributes, LIMIT_SCHEMA_COMPILE_STACK_BYTES) == 0 &&
        pthread_create(&thread, &attributes, compile, compiling) == 0;
    pthread_attr_destroy(&attributes);
    if (is_started) {
        pthread_join(thread, NULL);
    }
    return is_started;
}

enum status schema_compile(struct str json, struct schema **out_schema, struct problem *problem)
{
    struct compiling compiling = { .json = json };
    if (json.size > LIMIT_SCHEMA_BYTES) {
        return problem_set(problem, STATUS_INVALID, "limit-reached",
                           "a schema has at most %u bytes", LIMIT_SCHEMA_BYTES);
    }
    struct schema *schema = calloc(1, sizeof(*schema));
    if (schema == NULL || !compile_apart(&compiling)) {
        free(schema);
        return problem_set(problem, STATUS_BROKEN, "internal", "no memory for a schema");
    }
    schema->shim = compiling.shim;
    if (schema->shim == NULL) {
        free(schema);
        return problem_set(problem, STATUS_INVALID, "invalid-field",
                           "not a schema of draft 7 that can be used: %s", compiling.why);
    }
    atomic_init(&schema->references, 1);
    *out_schema = schema;
    return STATUS_OK;
}

struct schema *schema_hold(struct schema *schema)
{
    atomic_fetch_add(&schema->references, 1);
    return schema;
}

void schema_release(struct schema *schema)
{
    if (schema != NULL && atomic_fetch_sub(&schema->references, 1) == 1) {
        shim_free(schema->shim);
        free(schema);
    }
}

struct telling {
    struct arena *arena;
    struct schema_report *report;
};

static int tell(void *user, const char *pointer, size_t pointer_size, const char *what,
                size_t what_size)
{
    const struct telling *telling = user;
    struct schema_report *report = telling->report;
    if (report->count == 0) {
        report->violations =
            ARENA_NEW_ARRAY(telling->arena, LIMIT_SCHEMA_VIOLATIONS, struct schema_violation);
    }
    if (report->violations == NULL) {
        return 0;
    }
    report->violations[report->count++] = (struct schema_violation){
        .pointer = str_dup(telling->arena, (struct str){ pointer, pointer_size }),
        .what = str_dup(telling->arena, (struct str){ what, what_size }),
    };
    return report->count < LIMIT_SCHEMA_VIOLATIONS;
}

enum status schema_check(const struct schema *schema, struct str json, struct arena *arena,
                         struct schema_report *out_report)
{
    *out_report = (struct schema_report){ .count = 0 };
    struct telling telling = { .arena = arena, .report = out_report };
    enum shim_verdict verdict = shim_check(schema->shim, json.data, json.size, tell, &telling);
    if (verdict == SHIM_FAILED) {
        return STATUS_INVALID;
    }
    out_report->is_valid = verdict == SHIM_VALID;
    return arena_is_full(arena) ? STATUS_LIMIT : STATUS_OK;
}
