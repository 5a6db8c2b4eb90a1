#include "registry_priv.h"
#include "trigger_store_priv.h"

/*
 * Triggers of a snapshot, compiled once per load beside the rules in force.
 *
 * One that does not compile (a newer program saved it) fires nothing: what it would
 * ring otherwise is what it was told not to ring. It is counted and told like a
 * filter that does not. A workspace without triggers costs nothing here and one
 * pointer in a decision.
 */

const struct pg_statement registry_triggers_sql = {
    "registry_triggers",
    "SELECT " TRIGGER_COLUMNS " FROM trigger ORDER BY workspace_id, id",
};

const struct pg_statement registry_channel_caps_sql = {
    "registry_channel_caps",
    "SELECT workspace_id, channel, count, per_ms FROM channel_cap ORDER BY workspace_id, channel",
};

static enum status add_trigger(struct registry_snapshot *snapshot,
                               struct registry_workspace *workspace, struct trigger *trigger,
                               const struct trigger_row *row)
{
    size_t count = workspace->ruleset_count;
    const struct ruleset *newest = count > 0 ? workspace->rulesets[count - 1] : NULL;
    struct trigger_error unseen;
    *trigger = row->definition;
    enum status status = trigger_compile(snapshot->arena, newest, trigger, &unseen);
    if (status == STATUS_INVALID) {
        snapshot->unreadable_trigger_count++;
        return STATUS_OK;
    }
    if (workspace->trigger_count++ == 0) {
        workspace->triggers = trigger;
    }
    return status;
}

static bool hears_rechecked(const struct registry_workspace *workspace,
                            const struct subscription_interest *interest)
{
    for (size_t i = 0; i < workspace->trigger_count; i++) {
        const struct trigger *trigger = &workspace->triggers[i];
        if (trigger->recheck && subscription_wants(interest, trigger->topic)) {
            return true;
        }
    }
    return false;
}

/* So that what no such trigger rings is sent without being asked about. Interests stand in
 * the order of their subscriptions, so the cursor only goes forward. */
static void mark_subscriptions(struct registry_snapshot *snapshot,
                               const struct registry_workspace *workspace, size_t *cursor)
{
    for (size_t i = 0; i < workspace->interest_count; i++) {
        const struct subscription_interest *interest = &workspace->interests[i];
        while (*cursor < snapshot->subscription_count &&
               !id_equal(snapshot->subscriptions[*cursor].id, interest->subscription_id)) {
            *cursor += 1;
        }
        if (*cursor < snapshot->subscription_count) {
            snapshot->subscriptions[*cursor].hears_rechecked = hears_rechecked(workspace, interest);
        }
    }
}

static enum status index_triggers(struct registry_snapshot *snapshot)
{
    size_t cursor = 0;
    for (size_t i = 0; i < snapshot->workspace_count; i++) {
        struct registry_workspace *workspace = &snapshot->workspaces[i];
        if (workspace->trigger_count == 0) {
            continue;
        }
        workspace->trigger_set =
            trigger_set_create(snapshot->arena, workspace->triggers, workspace->trigger_count);
        if (workspace->trigger_set == NULL) {
            return STATUS_LIMIT;
        }
        mark_subscriptions(snapshot, workspace, &cursor);
    }
    return STATUS_OK;
}

enum status registry_triggers_load(const struct pg_result *rows, struct registry_snapshot *snapshot)
{
    size_t count = pg_row_count(rows);
    size_t cursor = 0;
    size_t used = 0;
    struct trigger *triggers = ARENA_NEW_ARRAY(snapshot->arena, count + 1, struct trigger);
    if (triggers == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        struct registry_workspace *workspace =
            registry_workspace_of(snapshot, &cursor, pg_get_id(rows, i, 0));
        if (workspace == NULL) {
            continue;
        }
        struct trigger_row row = trigger_row_read(rows, i);
        size_t before = workspace->trigger_count;
        enum status status = add_trigger(snapshot, workspace, &triggers[used], &row);
        if (status != STATUS_OK) {
            return status;
        }
        used += workspace->trigger_count - before;
    }
    return index_triggers(snapshot);
}

enum status registry_channel_caps_load(const struct pg_result *rows,
                                       struct registry_snapshot *snapshot)
{
    size_t count = pg_row_count(rows);
    size_t cursor = 0;
    struct channel_cap *caps = ARENA_NEW_ARRAY(snapshot->arena, count + 1, struct channel_cap);
    if (caps == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        struct registry_workspace *workspace =
            registry_workspace_of(snapshot, &cursor, pg_get_id(rows, i, 0));
        caps[i] = (struct channel_cap){ .channel = pg_get_text(rows, i, 1),
                                        .cap = { pg_get_i64(rows, i, 2), pg_get_i64(rows, i, 3) } };
        if (workspace != NULL && workspace->channel_cap_count++ == 0) {
            workspace->channel_caps = &caps[i];
        }
    }
    return STATUS_OK;
}
