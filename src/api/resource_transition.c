#include "base/instant.h"
#include "query_priv.h"
#include "resource_priv.h"
#include "store/transition_read.h"

/*
 * Changes of verdicts, newest first. A filter may leave a page short, or
 * empty, with a token all the same: a page looks at so many rows and no more.
 */

enum {
    SCAN_ROWS = 20000
};

static const char *const CAUSES[] = {
    "event", "time", "universal", "rule", "statistic", "import", "merge", "manual", "erase",
};
static const char *const KINDS[] = { "tag", "segment", "lifecycle", "tier" };

static enum status read_query(const struct resource_request *request,
                              struct transition_query *query, int64_t *out_to_ms,
                              struct problem *problem)
{
    *query = (struct transition_query){
        .workspace_id = request->principal->workspace_id,
        .rule = request->rule,
        .kind = request->kind,
        .cause = request->cause,
        .from_ms = 0,
        .scan_limit = SCAN_ROWS,
    };
    enum status status =
        query_one_of(request->cause, "cause", CAUSES, ARRAY_COUNT(CAUSES), problem);
    if (status == STATUS_OK) {
        status = query_one_of(request->kind, "kind", KINDS, ARRAY_COUNT(KINDS), problem);
    }
    if (status == STATUS_OK) {
        status = query_instant(request->from, "from", &query->from_ms, problem);
    }
    if (status == STATUS_OK) {
        status = query_instant(request->to, "to", out_to_ms, problem);
    }
    return status;
}

static void write_transition(struct jsonw *json, const struct transition_entry *row)
{
    jsonw_open(json);
    jsonw_put_id(json, "id", row->id);
    jsonw_put_id(json, "profile_id", row->profile_id);
    jsonw_put_str(json, "rule", row->rule);
    jsonw_put_str(json, "kind", row->kind);
    jsonw_put_i64(json, "rule_version", row->rule_version);
    jsonw_put_str_or_null(json, "from", row->from_value);
    jsonw_put_str_or_null(json, "to", row->to_value);
    jsonw_put_instant(json, "occurred_at", row->occurred_at_ms);
    jsonw_put_instant(json, "decided_at", row->decided_at_ms);
    jsonw_key(json, "cause");
    jsonw_open(json);
    jsonw_put_str(json, "kind", row->cause);
    jsonw_put_id(json, "event_id", row->event_id);
    jsonw_close(json);
    jsonw_close(json);
}

enum status resource_transition_list(const struct resource_request *request,
                                     struct resource_answer *out_answer, struct problem *problem)
{
    struct page page;
    struct transition_query query;
    struct transition_page found = { .count = 0 };
    int64_t to_ms = INSTANT_NONE;
    enum status status = read_query(request, &query, &to_ms, problem);
    if (status == STATUS_OK) {
        struct str filters =
            str_printf(request->arena, "%.*s|%.*s|%.*s|%.*s|%.*s", STR_ARG(request->rule),
                       STR_ARG(request->kind), STR_ARG(request->cause), STR_ARG(request->from),
                       STR_ARG(request->to));
        status = page_open(&page, request, "transitions", filters, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    query_place(&page, to_ms, &query.before_ms, &query.before_id);
    query.limit = page.size + 1;
    status = transition_page(request->pg, request->arena, &query, &found, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t shown = found.count < page.size ? found.count : page.size;
    for (size_t i = 0; i < shown; i++) {
        write_transition(&page.json, &found.rows[i]);
    }
    struct str next = { NULL, 0 };
    if (found.count > page.size) {
        const struct transition_entry *last = &found.rows[shown - 1];
        next = cursor_format(request->arena, last->occurred_at_ms, last->id);
    } else if (found.is_cut) {
        next = cursor_format(request->arena, found.cut_ms, found.cut_id);
    }
    return page_close(&page, next, -1, true, out_answer, problem);
}
