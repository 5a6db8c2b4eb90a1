#include <sodium.h>

#include "core/decide.h"
#include "resource_priv.h"
#include "store/unmerge.h"

/*
 * Undoing a merge by hand: the way out when two people shared an address. It
 * changes facts' owners, so it asks for the scope that configures, not the one
 * that reads.
 */

static enum status read_merge_id(const struct resource_request *request, struct id *out_merge_id,
                                 struct problem *problem)
{
    static const char *const fields[] = { "merge_id" };
    struct document CLEANUP(document_close) document = { .root = NULL };
    enum status status = document_open(&document, request->arena, request->body, problem);
    if (status != STATUS_OK) {
        return status;
    }
    document_allow(&document, fields, ARRAY_COUNT(fields));
    document_need(&document, "merge_id");
    struct str text = document_text(&document, "merge_id", ID_TEXT_SIZE);
    if (document.status != STATUS_OK) {
        return document.status;
    }
    if (!id_parse(text, out_merge_id)) {
        problem_set(problem, STATUS_INVALID, "invalid-field",
                    "merge_id is the id of an entry of /merges");
        problem_point(problem, "#/merge_id");
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

static enum status run_unmerge(const struct resource_request *request,
                               const struct registry_workspace *workspace, struct id profile_id,
                               struct id merge_id, struct unmerged *out_unmerged,
                               struct problem *problem)
{
    if (workspace == NULL) {
        return problem_set(problem, STATUS_RETRY, "overloaded", "the workspace is not known yet");
    }
    struct decide_context context;
    registry_decide_context(workspace, &context);
    context.interest_count = 0; /* an un-merge is silent */
    randombytes_buf(context.random, sizeof(context.random));
    return unmerge(request->pg, request->arena, &context, profile_id, merge_id, request->now_ms,
                   out_unmerged, problem);
}

enum status resource_profile_unmerge(const struct resource_request *request,
                                     struct resource_answer *out_answer, struct problem *problem)
{
    struct id profile_id = ID_ZERO;
    struct id merge_id = ID_ZERO;
    struct unmerged done = { .survivor_id = ID_ZERO };
    if (!id_parse(request->name, &profile_id)) {
        return problem_set(problem, STATUS_MISSING, "profile-not-found", "no profile has this id");
    }
    enum status status = read_merge_id(request, &merge_id, problem);
    if (status != STATUS_OK) {
        return status;
    }
    struct registry *registry = request->api->registry;
    const struct registry_snapshot *snapshot = registry_hold(registry);
    status = run_unmerge(request, snapshot_workspace(snapshot, request->principal->workspace_id),
                         profile_id, merge_id, &done, problem);
    registry_release(registry, snapshot);
    if (status != STATUS_OK) {
        return status;
    }
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, request->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    jsonw_put_id(&json, "merge_id", merge_id);
    jsonw_put_id(&json, "profile_id", done.survivor_id);
    jsonw_put_id(&json, "restored_id", done.restored_id);
    jsonw_close(&json);
    return resource_answer_set(&buf, RESOURCE_CHANGED, 0, out_answer, problem);
}
