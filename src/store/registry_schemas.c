#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/instant.h"
#include "registry_priv.h"

/*
 * Tracking plans of a snapshot: compiled once, and counted.
 *
 * Invariant: a version of a schema is compiled once per process and shared by all
 * snapshots that name it. What was counted belongs to the schema, not to one
 * version or snapshot of it: a refresh hands the tally on, so an edit loses
 * nothing. Only the flush takes from a tally, and puts back what it could not
 * write. One that does not compile here is left out: nothing is checked then.
 */

enum {
    LAST_BYTES_MAX = 4096
};

struct schema_tally {
    atomic_size_t references;
    atomic_int_fast64_t checked;
    atomic_int_fast64_t violated;
    pthread_mutex_t lock; /* of what follows */
    int64_t last_at_ms;   /* INSTANT_NONE: nothing new */
    size_t last_size;
    char last[LAST_BYTES_MAX];
};

const struct pg_statement registry_schemas_sql = {
    "registry_schemas",
    "SELECT workspace_id, source_id, event_type, id, version, mode, body FROM event_schema"
    " ORDER BY workspace_id, source_id, event_type",
};

/* --- the tally ------------------------------------------------------------ */

static struct schema_tally *tally_create(void)
{
    struct schema_tally *tally = calloc(1, sizeof(*tally));
    if (tally != NULL) {
        atomic_init(&tally->references, 1);
        pthread_mutex_init(&tally->lock, NULL);
        tally->last_at_ms = INSTANT_NONE;
    }
    return tally;
}

static void tally_release(struct schema_tally *tally)
{
    if (tally != NULL && atomic_fetch_sub(&tally->references, 1) == 1) {
        pthread_mutex_destroy(&tally->lock);
        free(tally);
    }
}

void schema_tally_count(struct schema_tally *tally, bool is_valid, struct str violations_json,
                        int64_t at_ms)
{
    atomic_fetch_add(&tally->checked, 1);
    if (is_valid) {
        return;
    }
    atomic_fetch_add(&tally->violated, 1);
    if (violations_json.size <= LAST_BYTES_MAX) {
        pthread_mutex_lock(&tally->lock);
        memcpy(tally->last, violations_json.data, violations_json.size);
        tally->last_size = violations_json.size;
        tally->last_at_ms = at_ms;
        pthread_mutex_unlock(&tally->lock);
    }
}

bool schema_tally_take(struct schema_tally *tally, struct arena *arena, struct schema_delta *out)
{
    out->checked = atomic_exchange(&tally->checked, 0);
    out->violated = atomic_exchange(&tally->violated, 0);
    out->last_violated_at_ms = INSTANT_NONE;
    out->last_violations_json = (struct str){ NULL, 0 };
    if (out->violated > 0) {
        pthread_mutex_lock(&tally->lock);
        out->last_violated_at_ms = tally->last_at_ms;
        out->last_violations_json = str_dup(arena, (struct str){ tally->last, tally->last_size });
        pthread_mutex_unlock(&tally->lock);
    }
    return out->checked > 0;
}

void schema_tally_put_back(struct schema_tally *tally, const struct schema_delta *delta)
{
    atomic_fetch_add(&tally->checked, delta->checked);
    atomic_fetch_add(&tally->violated, delta->violated);
}

/* --- the snapshot's ------------------------------------------------------- */

static enum schema_mode mode_of(struct str name)
{
    return str_equal_z(name, "reject")       ? SCHEMA_REJECT
           : str_equal_z(name, "quarantine") ? SCHEMA_QUARANTINE
                                             : SCHEMA_COUNT;
}

static const struct registry_schema *former_of(const struct registry_snapshot *former,
                                               struct id workspace_id, struct id schema_id)
{
    const struct registry_workspace *workspace =
        former != NULL ? snapshot_workspace(former, workspace_id) : NULL;
    for (size_t i = 0; workspace != NULL && i < workspace->schema_count; i++) {
        if (id_equal(workspace->schemas[i].id, schema_id)) {
            return &workspace->schemas[i];
        }
    }
    return NULL;
}

static enum status take_over(struct registry_schema *schema, const struct registry_schema *former,
                             struct str body)
{
    struct problem unseen = { .type = "" };
    enum status status = STATUS_OK;
    if (former != NULL) {
        atomic_fetch_add(&former->tally->references, 1);
        schema->tally = former->tally;
    } else {
        schema->tally = tally_create();
    }
    if (former != NULL && former->version == schema->version && former->compiled != NULL) {
        schema->compiled = schema_hold(former->compiled);
    } else {
        status = schema_compile(body, &schema->compiled, &unseen);
    }
    return schema->tally == NULL || status == STATUS_BROKEN ? STATUS_LIMIT : STATUS_OK;
}

enum status registry_schemas_load(const struct pg_result *rows,
                                  const struct registry_snapshot *former,
                                  struct registry_snapshot *snapshot)
{
    size_t count = pg_row_count(rows);
    size_t cursor = 0;
    snapshot->schemas = ARENA_NEW_ARRAY(snapshot->arena, count + 1, struct registry_schema);
    if (snapshot->schemas == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        struct id workspace_id = pg_get_id(rows, i, 0);
        struct registry_workspace *workspace =
            registry_workspace_of(snapshot, &cursor, workspace_id);
        if (workspace == NULL) {
            continue;
        }
        struct registry_schema *schema = &snapshot->schemas[snapshot->schema_count++];
        *schema = (struct registry_schema){
            .id = pg_get_id(rows, i, 3),
            .source_id = pg_get_id(rows, i, 1),
            .event_type = pg_get_text(rows, i, 2),
            .version = pg_get_i64(rows, i, 4),
            .mode = mode_of(pg_get_text(rows, i, 5)),
        };
        if (workspace->schema_count++ == 0) {
            workspace->schemas = schema;
        }
        enum status status =
            take_over(schema, former_of(former, workspace_id, schema->id), pg_get_text(rows, i, 6));
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

void registry_schemas_release(struct registry_snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->schema_count; i++) {
        schema_release(snapshot->schemas[i].compiled);
        tally_release(snapshot->schemas[i].tally);
    }
}

const struct registry_schema *workspace_schema(const struct registry_workspace *workspace,
                                               struct id source_id, struct str event_type)
{
    for (size_t i = 0; i < workspace->schema_count; i++) {
        const struct registry_schema *schema = &workspace->schemas[i];
        if (schema->compiled != NULL && id_equal(schema->source_id, source_id) &&
            str_equal(schema->event_type, event_type)) {
            return schema;
        }
    }
    return NULL;
}
