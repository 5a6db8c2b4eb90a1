#include "base/instant.h"
#include "query_priv.h"
#include "subscription_priv.h"

/*
 * Faults of a query are told where they are: which parameter, what was found,
 * what was expected.
 */

enum status query_one_of(struct str value, const char *name, const char *const *known, size_t count,
                         struct problem *problem)
{
    for (size_t i = 0; i < count; i++) {
        if (value.size == 0 || str_equal_z(value, known[i])) {
            return STATUS_OK;
        }
    }
    enum status status =
        problem_set(problem, STATUS_INVALID, "invalid-field", "no %s is called \"%.*s\"", name,
                    STR_ARG(str_take_text(value, 63)));
    problem_suggest(problem, str_nearest(value, known, count));
    problem_point(problem, "#/query/%s", name);
    return status;
}

enum status query_instant(struct str text, const char *name, int64_t *out_ms,
                          struct problem *problem)
{
    if (text.size == 0 || instant_parse(text, true, out_ms, NULL)) {
        return STATUS_OK;
    }
    enum status status = problem_set(problem, STATUS_INVALID, "invalid-field",
                                     "%s is an instant with an offset, like"
                                     " \"2026-11-22T14:03:07Z\"",
                                     name);
    problem_point(problem, "#/query/%s", name);
    return status;
}

enum status query_subscription(const struct resource_request *request,
                               struct id *out_subscription_id, struct problem *problem)
{
    struct subscription_row row;
    if (request->subscription.size == 0) {
        *out_subscription_id = ID_ZERO;
        return STATUS_OK;
    }
    struct id owner = resource_may(request, SCOPE_READ) ? ID_ZERO : subscription_owner(request);
    enum status status =
        subscription_find(request->pg, request->arena, request->principal->workspace_id, owner,
                          request->subscription, &row, problem);
    if (status == STATUS_OK) {
        *out_subscription_id = row.id;
    }
    return resource_missing(status, "subscription", request->subscription, problem);
}

void query_place(const struct page *page, int64_t to_ms, int64_t *out_ms, struct id *out_id)
{
    cursor_place(page, out_ms, out_id);
    if (page->cursor.size == 0 && to_ms != INSTANT_NONE) {
        *out_ms = to_ms;
        *out_id = ID_ZERO;
    }
}
