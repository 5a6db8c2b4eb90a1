#include "sweep/silence.h"

#include "base/clock.h"
#include "base/instant.h"
#include "core/trigger/silence.h"
#include "store/silence_store.h"
#include "sweep/listeners.h"

/*
 * Silence is the one thing that no request tells of, so somebody must look.
 *
 * Only where a subscription listens: a workspace without one costs a comparison in
 * memory. A turn reads the health of a bounded number of workspaces and the next
 * goes on from there, so that a thousand brands which all listen cost a turn what
 * sixty-four do.
 *
 * As with every bell, what became due more than a day ago is news to nobody: who
 * subscribes today is not rung for a shop that closed last month.
 */

enum {
    WORKSPACES_A_TURN = 64
};
#define NOTICE_AGE_MS_MAX INSTANT_DAY_MS

struct turn {
    struct pg *pg;
    struct arena *arena;
    int64_t now_ms;
    int64_t alive_since_ms;
};

static const struct source *source_of(const struct registry_workspace *workspace, struct id id)
{
    for (size_t i = 0; i < workspace->source_count; i++) {
        if (id_equal(workspace->sources[i].id, id) && !workspace->sources[i].deleted) {
            return &workspace->sources[i];
        }
    }
    return NULL;
}

static enum status tell(const struct turn *turn, const struct source *source,
                        const struct silence_row *row, const struct id *listeners,
                        size_t listener_count, struct problem *problem)
{
    struct silence silence = {
        .source = source,
        .last_accepted_at_ms = row->last_accepted_at_ms,
        .due_at_ms = silence_due_ms(source, row->last_accepted_at_ms, turn->alive_since_ms),
    };
    if (silence.due_at_ms > turn->now_ms || silence.due_at_ms < turn->now_ms - NOTICE_AGE_MS_MAX) {
        return STATUS_OK;
    }
    struct silence_notice notice = {
        .workspace_id = source->workspace_id,
        .row = *row,
        .id = silence_id(&silence),
        .created_at_ms = silence.due_at_ms,
        .topic = STR(SILENCE_TOPIC),
        .subscription_ids = listeners,
        .subscription_count = listener_count,
    };
    return silence_body(turn->arena, &silence, turn->now_ms, &notice.body)
               ? silence_tell(turn->pg, turn->arena, &notice, turn->now_ms, problem)
               : STATUS_LIMIT;
}

static enum status look_at(const struct turn *turn, const struct registry_workspace *workspace,
                           const struct id *listeners, size_t listener_count,
                           struct problem *problem)
{
    struct silence_row *rows = NULL;
    size_t count = 0;
    enum status status = silence_list(turn->pg, turn->arena, workspace->id, &rows, &count, problem);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        const struct source *source = source_of(workspace, rows[i].source_id);
        if (source != NULL) {
            status = tell(turn, source, &rows[i], listeners, listener_count, problem);
        }
    }
    return status;
}

/* From the cursor on; at the end of the list the turn is over, and the next begins
 * at its head. */
static enum status run_turn(struct silence_watch *watch, const struct registry_snapshot *snapshot,
                            struct turn *turn, struct problem *problem)
{
    enum status status = STATUS_OK;
    for (size_t looked = 0; status == STATUS_OK && looked < WORKSPACES_A_TURN;) {
        const struct registry_workspace *workspace =
            snapshot_workspace_at(snapshot, watch->next_workspace++);
        if (workspace == NULL) {
            watch->next_workspace = 0;
            break;
        }
        struct id *listeners = NULL;
        size_t count = listeners_find(workspace, STR(SILENCE_TOPIC), turn->arena, &listeners);
        if (count == 0) {
            continue;
        }
        if (looked++ == 0) {
            status = silence_alive_since(turn->pg, turn->arena, &turn->alive_since_ms, problem);
        }
        if (status == STATUS_OK) {
            status = look_at(turn, workspace, listeners, count, problem);
        }
    }
    return status;
}

enum status silence_watch_turn(struct silence_watch *watch, struct pg *pg, struct arena *arena,
                               struct problem *problem)
{
    const struct registry_snapshot *snapshot = registry_hold(watch->registry);
    struct turn turn = { .pg = pg, .arena = arena, .now_ms = clock_now_ms() };
    enum status status = snapshot != NULL ? run_turn(watch, snapshot, &turn, problem) : STATUS_OK;
    registry_release(watch->registry, snapshot);
    return status;
}
