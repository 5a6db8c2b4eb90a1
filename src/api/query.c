#include "base/instant.h"
#include "profile_priv.h"
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

struct id query_owner(const struct resource_request *request)
{
    return resource_may(request, SCOPE_READ) ? ID_ZERO : subscription_owner(request);
}

enum status query_subscription(const struct resource_request *request,
                               struct id *out_subscription_id, struct problem *problem)
{
    struct subscription_row row;
    if (request->subscription.size == 0) {
        *out_subscription_id = ID_ZERO;
        return STATUS_OK;
    }
    enum status status =
        subscription_find(request->pg, request->arena, request->principal->workspace_id,
                          query_owner(request), request->subscription, &row, problem);
    if (status == STATUS_OK) {
        *out_subscription_id = row.id;
    }
    return resource_missing(status, "subscription", request->subscription, problem);
}

enum status query_profile(const struct resource_request *request, const struct id **out_profiles,
                          size_t *out_count, struct problem *problem)
{
    struct id requested = ID_ZERO;
    struct id canonical = ID_ZERO;
    struct id *origins = NULL;
    if (request->profile.size == 0) {
        return STATUS_OK;
    }
    enum status status = profile_resolve(request, request->profile, &requested, &canonical,
                                         &origins, out_count, problem);
    if (status == STATUS_OK) {
        *out_profiles = origins;
    }
    return status;
}

void query_place(const struct page *page, int64_t to_ms, int64_t *out_ms, struct id *out_id)
{
    cursor_place(page, out_ms, out_id);
    if (page->cursor.size == 0 && to_ms != INSTANT_NONE) {
        *out_ms = to_ms;
        *out_id = ID_ZERO;
    }
}
