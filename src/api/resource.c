#include "core/trigger/subscription.h"
#include "resource_priv.h"
#include "store/trigger_store.h"
#include "store/workspace.h"

/*
 * What all resources do alike.
 *
 * Invariant: whoever changed configuration has the new one in the registry
 * before the answer leaves, so that the very next request meets it; other
 * instances see config_version within their poll. A refresh that fails does
 * not undo a committed change: the poll will find it.
 */

static enum status run_plain(const struct resource_request *request,
                             const struct pg_statement *statement, struct problem *problem)
{
    struct pg_params none;
    pg_params_init(&none, request->arena);
    return pg_run(request->pg, request->arena, statement, &none, NULL, problem);
}

static enum status transact_once(const struct resource_request *request, struct id workspace_id,
                                 resource_change_fn *change, const void *what,
                                 struct problem *problem, bool *out_committing)
{
    enum status status = run_plain(request, &pg_begin, problem);
    if (status == STATUS_OK) {
        status = change(request, what, problem);
    }
    if (status == STATUS_OK) {
        status = workspace_touch(request->pg, request->arena, workspace_id, problem);
    }
    if (status == STATUS_OK) {
        *out_committing = true;
        status = run_plain(request, &pg_commit, problem);
    }
    if (status != STATUS_OK) {
        pg_reset(request->pg);
    }
    return status;
}

enum status resource_transact(const struct resource_request *request, struct id workspace_id,
                              resource_change_fn *change, const void *what, struct problem *problem)
{
    bool committing = false;
    enum status status = transact_once(request, workspace_id, change, what, problem, &committing);
    /* A connection that died while idle shows at its first use. Behind COMMIT
     * nobody knows whether it happened, so that is the asker's to look up. */
    if (status == STATUS_RETRY && !committing) {
        status = transact_once(request, workspace_id, change, what, problem, &committing);
    }
    if (status == STATUS_OK && request->api->registry != NULL) {
        struct problem unseen = { .type = "" };
        if (registry_refresh(request->api->registry, true, &unseen) != STATUS_OK) {
            return STATUS_OK;
        }
    }
    return status;
}

enum status resource_room(int64_t count, unsigned limit, const char *what, struct problem *problem)
{
    if (count >= (int64_t)limit) {
        return problem_set(problem, STATUS_INVALID, "limit-reached", "at most %u %s", limit, what);
    }
    return STATUS_OK;
}

enum status resource_missing(enum status status, const char *what, struct str name,
                             struct problem *problem)
{
    if (status == STATUS_MISSING) {
        return problem_set(problem, STATUS_MISSING, "object-not-found", "there is no %s \"%.*s\"",
                           what, STR_ARG(str_take_text(name, 80)));
    }
    return status;
}

enum status resource_name_taken(enum status status, const char *what, struct str name,
                                struct problem *problem)
{
    if (status == STATUS_CONFLICT) {
        status = problem_set(problem, STATUS_CONFLICT, "name-taken",
                             "there is a %s \"%.*s\" already", what, STR_ARG(name));
        problem_point(problem, "#/name");
    }
    return status;
}

enum status resource_match(const struct resource_request *request, int64_t version,
                           struct problem *problem)
{
    struct str wanted = str_trim(request->if_match);
    if (wanted.size == 0 || str_equal(wanted, STR("*"))) {
        return STATUS_OK;
    }
    struct str actual = str_printf(request->arena, "\"%lld\"", (long long)version);
    if (str_equal(wanted, actual)) {
        return STATUS_OK;
    }
    return problem_set(problem, STATUS_CONFLICT, "etag-mismatch", "the object is at version %.*s",
                       STR_ARG(actual));
}

enum status resource_changed_meanwhile(enum status status, struct problem *problem)
{
    if (status == STATUS_CONFLICT) {
        return problem_set(problem, STATUS_CONFLICT, "etag-mismatch",
                           "the object was changed by someone else at this moment");
    }
    return status;
}

enum status resource_answer_set(struct buf *buf, enum resource_effect effect, int64_t version,
                                struct resource_answer *out_answer, struct problem *problem)
{
    if (buf->failed) {
        return problem_set(problem, STATUS_LIMIT, "limit-reached", "the answer is too large");
    }
    *out_answer =
        (struct resource_answer){ .effect = effect, .json = buf_str(buf), .version = version };
    return STATUS_OK;
}

enum status resource_topic_exists(const struct resource_request *request, struct str pattern,
                                  bool *out_exists, struct problem *problem)
{
    *out_exists = topic_pattern_is_valid(pattern);
    return *out_exists
               ? STATUS_OK
               : trigger_store_rings(request->pg, request->arena, request->principal->workspace_id,
                                     pattern, out_exists, problem);
}

bool resource_may(const struct resource_request *request, uint32_t scopes_any)
{
    return (request->principal->scopes & scopes_any) != 0;
}
