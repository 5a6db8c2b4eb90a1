#include "base/clock.h"
#include "base/instant.h"
#include "base/limits.h"
#include "store/delivery_hold.h"
#include "workspace_priv.h"

/*
 * The brake: one request and nothing is sent for a workspace any more, whatever is
 * in its queue, until it is released.
 *
 *   sending --hold--> held --release--> sending
 *                       \--release with drop_older_than: the old ones go first
 *
 * It is configuration, a column of the workspace: it survives a restart, and every
 * instance has it within its poll (this one before the answer). Webhooks are taken as
 * before and fill the queue.
 *
 * What is dropped is dropped while the brake still holds, so that no old message
 * slips out between; who is interrupted in it asks again. What was in the air when
 * it was pulled ends as it ends: no protocol recalls it.
 */

/* Inside the deadline of a request that waits (rest.c). */
#define DROP_MS_MAX 20000
enum {
    DROP_ROWS = 2000, /* a statement: some 50 ms */
};

struct brake {
    struct id workspace_id;
    struct str reason;
    bool is_held;
};

static enum status move_brake(const struct resource_request *request, const void *what,
                              struct problem *problem)
{
    const struct brake *brake = what;
    return brake->is_held ? workspace_hold(request->pg, request->arena, brake->workspace_id,
                                           brake->reason, request->now_ms, problem)
                          : workspace_release(request->pg, request->arena, brake->workspace_id,
                                              request->now_ms, problem);
}

static enum status answer(const struct resource_request *request, int64_t dropped,
                          struct resource_answer *out_answer, struct problem *problem)
{
    struct workspace workspace = { 0 };
    struct buf buf;
    struct jsonw json;
    enum status status = workspace_find_visible(request, &workspace, problem);
    if (status != STATUS_OK) {
        return status;
    }
    buf_init(&buf, request->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    workspace_write_members(&json, &workspace);
    if (dropped >= 0) {
        jsonw_put_i64(&json, "dropped_deliveries", dropped);
    }
    jsonw_close(&json);
    return resource_answer_set(&buf, RESOURCE_CHANGED, 0, out_answer, problem);
}

/* Moves it, and answers with the workspace as it then is. `dropped` below 0: nothing
 * is said of it. */
static enum status move_and_answer(const struct resource_request *request,
                                   const struct brake *brake, int64_t dropped,
                                   struct resource_answer *out_answer, struct problem *problem)
{
    enum status status = STATUS_OK;
    if (!request->validate_only) {
        status = resource_transact(request, brake->workspace_id, move_brake, brake, problem);
    }
    return status == STATUS_OK ? answer(request, dropped, out_answer, problem) : status;
}

enum status resource_workspace_hold(const struct resource_request *request,
                                    struct resource_answer *out_answer, struct problem *problem)
{
    static const char *const members[] = { "reason" };
    struct workspace workspace = { 0 };
    struct document CLEANUP(document_close) document = { .root = NULL };
    enum status status = workspace_find_visible(request, &workspace, problem);
    if (status == STATUS_OK) {
        status = document_open(&document, request->arena, request->body, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    document_allow(&document, members, ARRAY_COUNT(members));
    struct brake brake = { .workspace_id = workspace.id, .is_held = true };
    brake.reason = document_text(&document, "reason", LIMIT_TEXT_BYTES);
    status = document.status;
    return status == STATUS_OK ? move_and_answer(request, &brake, -1, out_answer, problem) : status;
}

static enum status drop_old(const struct resource_request *request, struct id workspace_id,
                            int64_t before_ms, int64_t *out_dropped, struct problem *problem)
{
    struct drop_walk walk = { .dropped = 0 };
    int64_t until_ms = clock_monotonic_ms() + DROP_MS_MAX;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && !walk.is_end && clock_monotonic_ms() < until_ms) {
        status = delivery_drop_old(request->pg, request->arena, workspace_id, before_ms,
                                   clock_now_ms(), DROP_ROWS, &walk, problem);
    }
    if (status == STATUS_OK && !walk.is_end) {
        return problem_set(problem, STATUS_RETRY, "overloaded",
                           "%lld deliveries were dropped and there are more; the workspace is still"
                           " held: ask again",
                           (long long)walk.dropped);
    }
    *out_dropped = walk.dropped;
    return status;
}

static enum status refuse_unheld(const struct workspace *workspace, struct problem *problem)
{
    if (workspace->held_at_ms != INSTANT_NONE) {
        return STATUS_OK;
    }
    enum status status = problem_set(problem, STATUS_INVALID, "invalid-field",
                                     "only what was held is dropped, and \"%.*s\" is not held",
                                     STR_ARG(workspace->name));
    problem_point(problem, "#/drop_older_than");
    return status;
}

enum status resource_workspace_release(const struct resource_request *request,
                                       struct resource_answer *out_answer, struct problem *problem)
{
    static const char *const members[] = { "drop_older_than" };
    struct workspace workspace = { 0 };
    struct document CLEANUP(document_close) document = { .root = NULL };
    int64_t dropped = 0;
    enum status status = workspace_find_visible(request, &workspace, problem);
    if (status == STATUS_OK) {
        status = document_open(&document, request->arena, request->body, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    document_allow(&document, members, ARRAY_COUNT(members));
    bool drops = document_has(&document, "drop_older_than");
    int64_t older_ms = document_duration(&document, "drop_older_than", 0, 0, 3660 * INSTANT_DAY_MS);
    status = document.status;
    if (status == STATUS_OK && drops) {
        status = refuse_unheld(&workspace, problem);
    }
    if (status == STATUS_OK && drops && !request->validate_only) {
        status = drop_old(request, workspace.id, request->now_ms - older_ms, &dropped, problem);
    }
    const struct brake brake = { .workspace_id = workspace.id };
    return status == STATUS_OK ? move_and_answer(request, &brake, dropped, out_answer, problem)
                               : status;
}
