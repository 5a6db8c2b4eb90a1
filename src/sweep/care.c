#include "sweep/care.h"

#include "core/trigger/care.h"
#include "store/care_store.h"
#include "sweep/listeners.h"

/*
 * The care of endpoints, from the log of what became of calls.
 *
 *   healthy --fails--> failing --50, 70, 90 %: told--> failing --100 %--> disabled
 *      ^                  |
 *      +-- goes well -----+
 *
 * The state is three columns of the subscription, written only here (and by an
 * operator who resumes it); a turn reads what is new in the log and moves it. It
 * may be repeated, by any instance: the same log gives the same state, and what
 * is told has an id of its cause.
 *
 * As with silences, a turn looks at a bounded number of workspaces.
 */

enum {
    WORKSPACES_A_TURN = 64
};

struct turn {
    struct pg *pg;
    struct arena *arena;
    const struct registry_workspace *workspace;
    int64_t now_ms;
};

static enum status tell(const struct turn *turn, const struct care_row *row, int32_t stage,
                        struct problem *problem)
{
    const struct registry_workspace *workspace = turn->workspace;
    bool disables = stage == CARE_DISABLE && !row->is_disabled;
    struct care_notice notice = {
        .workspace_id = workspace->id,
        .workspace_name = workspace->name,
        .subscription_id = row->subscription_id,
        .name = row->name,
        .reason = disables ? STR(CARE_REASON) : row->reason,
        .stage = stage,
        .failing_since_ms = row->is_disabled ? INSTANT_NONE : row->failing_since_ms,
        .at_ms = row->is_disabled ? row->disabled_at_ms : row->called_at_ms,
    };
    struct id *listeners = NULL;
    struct care_telling telling = {
        .workspace_id = workspace->id,
        .subscription_id = row->subscription_id,
        .stage = stage,
        .disable = disables ? STR(CARE_REASON) : STR(""),
        .id = care_id(&notice),
        .created_at_ms = notice.at_ms,
        .topic = care_topic(&notice),
    };
    bool is_told = false;
    telling.listener_count = listeners_find(workspace, telling.topic, turn->arena, &listeners);
    telling.listener_ids = listeners;
    return care_body(turn->arena, &notice, turn->now_ms, &telling.body)
               ? care_tell(turn->pg, turn->arena, &telling, turn->now_ms, &is_told, problem)
               : STATUS_LIMIT;
}

/* One success ends it, whatever came after; what failed then begins it anew. */
static bool move_since(struct care_row *row, const struct care_calls *calls)
{
    bool is_failing = row->failing_since_ms != INSTANT_NONE;
    bool is_over = is_failing && calls->well_at_ms >= row->failing_since_ms;
    if (is_failing && !is_over) {
        return false;
    }
    row->failing_since_ms = calls->failed_at_ms;
    row->told = 0;
    return is_over || row->failing_since_ms != INSTANT_NONE;
}

/* Moves every row to what its calls since the last look say, and writes down what is
 * new: one statement each for all. */
static enum status move_all(const struct turn *turn, struct care_row *rows, size_t count,
                            struct problem *problem)
{
    struct care_calls *calls = ARENA_NEW_ARRAY(turn->arena, count, struct care_calls);
    const struct care_row **moved = ARENA_NEW_ARRAY(turn->arena, count, const struct care_row *);
    size_t moved_count = 0;
    if (calls == NULL || moved == NULL) {
        return STATUS_LIMIT;
    }
    enum status status = care_calls(turn->pg, turn->arena, turn->workspace->id, rows, count,
                                    turn->now_ms, calls, problem);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        struct care_row *row = &rows[i];
        bool is_moved = !row->is_disabled && move_since(row, &calls[i]);
        bool is_seen = row->seen_ms != INSTANT_NONE && row->called_at_ms <= row->seen_ms;
        if (is_moved || (!row->is_disabled && !is_seen)) {
            moved[moved_count++] = row;
        }
    }
    return status != STATUS_OK || moved_count == 0
               ? status
               : care_mark(turn->pg, turn->arena, turn->workspace->id, moved, moved_count, problem);
}

static bool is_to_be_told(const struct care_row *row, int32_t *out_stage)
{
    bool is_failing = row->failing_since_ms != INSTANT_NONE && !row->went_well;
    *out_stage = row->is_disabled ? CARE_DISABLE
                 : is_failing     ? care_stage(row->failing_since_ms, row->called_at_ms)
                                  : 0;
    return *out_stage > row->told;
}

static enum status look_at_all(const struct turn *turn, struct problem *problem)
{
    struct care_row *rows = NULL;
    size_t count = 0;
    int32_t stage = 0;
    enum status status =
        care_list(turn->pg, turn->arena, turn->workspace->id, turn->now_ms, &rows, &count, problem);
    if (status == STATUS_OK && count > 0) {
        status = move_all(turn, rows, count, problem);
    }
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        if (is_to_be_told(&rows[i], &stage)) {
            status = tell(turn, &rows[i], stage, problem);
        }
    }
    return status;
}

enum status care_watch_turn(struct care_watch *watch, struct pg *pg, struct arena *arena,
                            int64_t now_ms, struct problem *problem)
{
    const struct registry_snapshot *snapshot = registry_hold(watch->registry);
    struct turn turn = { .pg = pg, .arena = arena, .now_ms = now_ms };
    enum status status = STATUS_OK;
    for (size_t looked = 0; status == STATUS_OK && snapshot != NULL && looked < WORKSPACES_A_TURN;
         looked++) {
        turn.workspace = snapshot_workspace_at(snapshot, watch->next_workspace++);
        if (turn.workspace == NULL) {
            watch->next_workspace = 0;
            break;
        }
        status = look_at_all(&turn, problem);
    }
    registry_release(watch->registry, snapshot);
    return status;
}
