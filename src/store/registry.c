#include "store/registry.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "registry_priv.h"

/*
 * Who holds which snapshot.
 *
 * Invariant: `current` has one reference of its own, so a snapshot lives as
 * long as it is current or somebody reads it, and is destroyed by whoever
 * lets go last, outside the lock. Two locks, never taken the other way round:
 * `refreshing` for the whole of a refresh (the connection belongs to it), and
 * `lock` for a pointer and a counter. Rejected: read-copy-update (a library),
 * and a lone atomic pointer, between the load of which and the increment the
 * snapshot may be gone.
 */

enum {
    NUMBER_ARENA_BYTES = 64 * 1024
};

struct registry {
    pthread_mutex_t refreshing;
    struct pg *pg; /* guarded by refreshing */
    const struct seal *seal;
    registry_parse_source_fn *parse_source;

    pthread_mutex_t lock;
    struct registry_snapshot *current; /* guarded by lock; NULL before the first refresh */
};

enum status registry_create(const char *database_url, const struct seal *seal,
                            registry_parse_source_fn *parse_source, struct registry **out_registry)
{
    struct registry *registry = calloc(1, sizeof(*registry));
    if (registry == NULL) {
        return STATUS_BROKEN;
    }
    enum status status = pg_open(database_url, false, &registry->pg);
    if (status != STATUS_OK) {
        free(registry);
        return status;
    }
    pthread_mutex_init(&registry->refreshing, NULL);
    pthread_mutex_init(&registry->lock, NULL);
    registry->seal = seal;
    registry->parse_source = parse_source;
    *out_registry = registry;
    return STATUS_OK;
}

void registry_destroy(struct registry *registry)
{
    if (registry == NULL) {
        return;
    }
    if (registry->current != NULL) {
        assert(registry->current->reference_count == 1);
        registry_snapshot_destroy(registry->current);
    }
    pg_close(registry->pg);
    pthread_mutex_destroy(&registry->refreshing);
    pthread_mutex_destroy(&registry->lock);
    free(registry);
}

/* --- refreshing ----------------------------------------------------------- */

static bool number_equal(const struct registry_number *a, const struct registry_number *b)
{
    return a->version_sum == b->version_sum && a->workspace_count == b->workspace_count &&
           a->instance_key_sum == b->instance_key_sum;
}

/* Only a refresh replaces `current`, so under `refreshing` it may be read. */
static enum status is_current(struct registry *registry, int64_t now_ms, bool *out_current,
                              struct problem *problem)
{
    const struct registry_snapshot *current = registry->current;
    if (current == NULL || now_ms >= current->stale_at_ms) {
        *out_current = false;
        return STATUS_OK;
    }
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(NUMBER_ARENA_BYTES);
    if (arena == NULL) {
        return problem_set(problem, STATUS_BROKEN, "internal", "no memory");
    }
    struct registry_number number;
    enum status status = registry_number_read(registry->pg, arena, &number, problem);
    if (status == STATUS_OK) {
        *out_current = number_equal(&number, &current->number);
    }
    return status;
}

static void publish(struct registry *registry, struct registry_snapshot *snapshot)
{
    pthread_mutex_lock(&registry->lock);
    struct registry_snapshot *former = registry->current;
    registry->current = snapshot;
    pthread_mutex_unlock(&registry->lock);
    if (former != NULL) {
        registry_release(registry, former);
    }
}

static enum status refresh(struct registry *registry, bool force, struct problem *problem)
{
    int64_t now_ms = clock_now_ms();
    bool current = false;
    if (!force) {
        enum status status = is_current(registry, now_ms, &current, problem);
        if (status != STATUS_OK || current) {
            return status;
        }
    }
    struct registry_snapshot *snapshot = NULL;
    struct registry_inputs from = {
        .pg = registry->pg,
        .seal = registry->seal,
        .parse_source = registry->parse_source,
        .former = registry->current,
    };
    enum status status = registry_load(&from, now_ms, &snapshot, problem);
    if (status != STATUS_OK) {
        return status;
    }
    bool is_first = registry->current == NULL;
    size_t secret_count = snapshot->unreadable_secret_count;
    size_t source_count = snapshot->unreadable_source_count;
    size_t ruleset_count = snapshot->unreadable_ruleset_count;
    size_t choice_count = snapshot->unreadable_choice_count;
    size_t trigger_count = snapshot->unreadable_trigger_count;
    publish(registry, snapshot);
    if (is_first &&
        secret_count + source_count + ruleset_count + choice_count + trigger_count > 0) {
        return problem_set(
            problem, STATUS_OK, "internal",
            "%zu secrets do not open under this master key, the settings of"
            " %zu sources do not parse, %zu versions of rules do not compile, nor do"
            " the filters or fields of %zu subscriptions, nor %zu triggers; they are left"
            " out",
            secret_count, source_count, ruleset_count, choice_count, trigger_count);
    }
    return STATUS_OK;
}

enum status registry_refresh(struct registry *registry, bool force, struct problem *problem)
{
    pthread_mutex_lock(&registry->refreshing);
    enum status status = refresh(registry, force, problem);
    pthread_mutex_unlock(&registry->refreshing);
    return status;
}

/* --- holding -------------------------------------------------------------- */

const struct registry_snapshot *registry_hold(struct registry *registry)
{
    pthread_mutex_lock(&registry->lock);
    struct registry_snapshot *snapshot = registry->current;
    if (snapshot != NULL) {
        snapshot->reference_count++;
    }
    pthread_mutex_unlock(&registry->lock);
    return snapshot;
}

void registry_release(struct registry *registry, const struct registry_snapshot *snapshot)
{
    if (snapshot == NULL) {
        return;
    }
    struct registry_snapshot *own = snapshot->self;
    pthread_mutex_lock(&registry->lock);
    assert(own->reference_count > 0);
    bool is_last = --own->reference_count == 0;
    pthread_mutex_unlock(&registry->lock);
    if (is_last) {
        registry_snapshot_destroy(own);
    }
}

/* --- looking up ----------------------------------------------------------- */

static uint64_t hash_of_id(struct id id)
{
    return hash64((struct str){ (const char *)id.bytes, ID_SIZE }, 0);
}

const struct registry_workspace *snapshot_workspace(const struct registry_snapshot *snapshot,
                                                    struct id workspace_id)
{
    const struct registry_table *table = &snapshot->workspace_table;
    size_t i = hash_of_id(workspace_id) & table->mask;
    for (; table->slots[i] != NULL; i = (i + 1) & table->mask) {
        const struct registry_workspace *workspace = table->slots[i];
        if (id_equal(workspace->id, workspace_id)) {
            return workspace;
        }
    }
    return NULL;
}

const struct registry_workspace *snapshot_workspace_at(const struct registry_snapshot *snapshot,
                                                       size_t index)
{
    return index < snapshot->workspace_count ? &snapshot->workspaces[index] : NULL;
}

const struct source *snapshot_source(const struct registry_snapshot *snapshot, struct id source_id)
{
    const struct registry_table *table = &snapshot->source_table;
    size_t i = hash_of_id(source_id) & table->mask;
    for (; table->slots[i] != NULL; i = (i + 1) & table->mask) {
        const struct source *source = table->slots[i];
        if (id_equal(source->id, source_id)) {
            return source;
        }
    }
    return NULL;
}

const struct registry_subscription *snapshot_subscription(const struct registry_snapshot *snapshot,
                                                          struct id subscription_id)
{
    const struct registry_table *table = &snapshot->subscription_table;
    size_t i = hash_of_id(subscription_id) & table->mask;
    for (; table->slots[i] != NULL; i = (i + 1) & table->mask) {
        const struct registry_subscription *subscription = table->slots[i];
        if (id_equal(subscription->id, subscription_id)) {
            return subscription;
        }
    }
    return NULL;
}

const struct registry_key *snapshot_key(const struct registry_snapshot *snapshot, struct str prefix)
{
    const struct registry_table *table = &snapshot->key_table;
    size_t i = hash64(prefix, 0) & table->mask;
    for (; table->slots[i] != NULL; i = (i + 1) & table->mask) {
        const struct registry_key *key = table->slots[i];
        if (str_equal(key->prefix, prefix)) {
            return key;
        }
    }
    return NULL;
}

void registry_decide_context(const struct registry_workspace *workspace,
                             struct decide_context *out_context)
{
    *out_context = (struct decide_context){
        .workspace_id = workspace->id,
        .workspace_name = workspace->name,
        .currency = workspace->currency,
        .interests = workspace->interests,
        .interest_count = workspace->interest_count,
        .rulesets = workspace->rulesets,
        .ruleset_count = workspace->ruleset_count,
        .statistics = workspace->statistics,
        .backfills = workspace->backfills,
        .backfill_count = workspace->backfill_count,
        .backfill_bells_max = SIZE_MAX,
        .triggers = workspace->trigger_set,
        .channel_caps = workspace->channel_caps,
        .channel_cap_count = workspace->channel_cap_count,
        .knows_history = workspace->knows_history,
        .time_zone = workspace->time_zone,
        .find_zone = instant_zone,
    };
}

enum status registry_catch_up(struct registry *registry, const struct decision *decision,
                              struct problem *problem)
{
    if (!decision_is_ahead(decision)) {
        return STATUS_OK;
    }
    struct problem ignored = { 0 };
    enum status status = registry_refresh(registry, false, &ignored);
    (void)status; /* the next attempt holds the new snapshot, or asks again */
    return problem_set(problem, STATUS_RETRY, "overloaded", "newer rules are in force");
}
