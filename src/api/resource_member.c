#include "api/mask.h"
#include "base/instant.h"
#include "candidate_priv.h"
#include "rule_priv.h"
#include "store/member_read.h"

/*
 * Who is in a segment, wears a tag, has a tier's value.
 *
 * In the order of value and id, which is the order of the index: a page costs
 * a page wherever it lies. People added meanwhile may or may not be on later
 * pages; nobody is on two.
 */

static bool is_plain(const struct rule_row *rule)
{
    return rule->definition.kind == RULE_KIND_TAG || rule->definition.kind == RULE_KIND_SEGMENT;
}

static enum status read_value(const struct resource_request *request, const struct rule_row *rule,
                              struct member_query *query, struct problem *problem)
{
    if (request->value.size == 0) {
        return STATUS_OK;
    }
    query->has_value = true;
    query->value = request->value;
    if (is_plain(rule) && str_equal(request->value, STR("true"))) {
        query->value = STR("");
        return STATUS_OK;
    }
    for (size_t i = 0; i < rule->definition.case_count && !is_plain(rule); i++) {
        if (str_equal(rule->definition.cases[i].value, request->value)) {
            return STATUS_OK;
        }
    }
    enum status status =
        problem_set(problem, STATUS_INVALID, "invalid-field", "\"%.*s\" has no value \"%.*s\"",
                    STR_ARG(rule->definition.name), STR_ARG(str_take_text(request->value, 63)));
    problem_point(problem, "#/query/value");
    return status;
}

static struct str masked(const struct resource_request *request,
                         struct str (*mask)(struct arena *arena, struct str text), struct str text)
{
    return profile_is_masked(request) && text.size > 0 ? mask(request->arena, text) : text;
}

static void write_member(struct jsonw *json, const struct resource_request *request,
                         const struct rule_row *rule, const struct member_view *row)
{
    jsonw_open(json);
    jsonw_put_id(json, "id", row->profile_id);
    jsonw_put_bool(json, "masked", profile_is_masked(request));
    jsonw_put_bool(json, "identified", row->identified);
    jsonw_put_str_or_null(json, "email", masked(request, mask_email, row->email));
    jsonw_put_str_or_null(json, "phone", masked(request, mask_phone, row->phone));
    jsonw_put_str_or_null(json, "external_id", row->external_id);
    jsonw_put_str_or_null(json, "lifecycle", row->lifecycle);
    jsonw_put_instant(json, "last_seen_at", row->last_seen_at_ms);
    if (is_plain(rule)) {
        jsonw_put_bool(json, "value", true);
    } else {
        jsonw_put_str(json, "value", row->value);
    }
    jsonw_put_instant(json, "since", row->since_ms);
    jsonw_close(json);
}

/* "<id>:<value>": a value has no colon, but this way it could. */
static void read_cursor(const struct page *page, struct member_query *query)
{
    struct str id = { NULL, 0 };
    if (str_split(page->cursor, ':', &id, &query->after_value)) {
        (void)id_parse(id, &query->after_id);
    }
}

static struct str write_cursor(struct arena *arena, const struct member_view *row)
{
    char id[ID_TEXT_SIZE];
    id_format(row->profile_id, id);
    return str_printf(arena, "%s:%.*s", id, STR_ARG(row->value));
}

static enum status read_total(const struct resource_request *request,
                              const struct member_query *query, int64_t *out_total, bool *out_exact,
                              struct problem *problem)
{
    if (!request->want_total) {
        return STATUS_OK;
    }
    int64_t count = 0;
    enum status status =
        member_count(request->pg, request->arena, query, RULE_MEMBERS_MAX + 1, &count, problem);
    *out_exact = count <= RULE_MEMBERS_MAX;
    *out_total = *out_exact ? count : RULE_MEMBERS_MAX;
    return status;
}

/* --- narrowed by a filter ---------------------------------------------------- */

enum {
    SCAN_MAX = 20000,
    SCAN_CHUNK = 256,
    SCRATCH_BYTES = 128 * 1024 * 1024,
};

struct member_walk {
    struct page *page;
    const struct rule_row *rule;
    const struct filter *filter;
    struct member_query query;
    struct arena *scratch;
    size_t scanned;
    size_t written;
    bool is_end;
};

static enum status walk_chunk(struct member_walk *walk, struct problem *problem)
{
    const struct resource_request *request = walk->page->request;
    struct member_view *rows = NULL;
    struct id ids[SCAN_CHUNK];
    bool is_taken[SCAN_CHUNK];
    size_t count = 0;
    arena_reset(walk->scratch);
    enum status status =
        member_page(request->pg, walk->scratch, &walk->query, &rows, &count, problem);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        ids[i] = rows[i].profile_id;
    }
    if (status == STATUS_OK) {
        status = filter_choose(request->pg, walk->scratch, walk->query.workspace_id, walk->filter,
                               ids, count, is_taken, problem);
    }
    size_t looked = 0;
    while (status == STATUS_OK && looked < count && walk->written < walk->page->size) {
        if (is_taken[looked]) {
            write_member(&walk->page->json, request, walk->rule, &rows[looked]);
            walk->written++;
        }
        walk->query.after_id = rows[looked].profile_id;
        walk->query.after_value = str_dup(request->arena, rows[looked].value);
        looked++;
    }
    walk->scanned += looked;
    walk->is_end = looked == count && count < walk->query.limit;
    return status;
}

/* A page may come back short: it looks at a bounded number of members. */
static enum status write_filtered(struct member_walk *walk, struct str *out_next,
                                  struct problem *problem)
{
    struct arena *CLEANUP(arena_destroy_at) scratch = arena_create(SCRATCH_BYTES);
    enum status status = STATUS_OK;
    walk->scratch = scratch;
    walk->query.limit = SCAN_CHUNK;
    if (scratch == NULL) {
        return problem_set(problem, STATUS_BROKEN, "internal", "no memory");
    }
    while (status == STATUS_OK && !walk->is_end && walk->written < walk->page->size &&
           walk->scanned < SCAN_MAX) {
        status = walk_chunk(walk, problem);
    }
    if (status == STATUS_OK && !walk->is_end) {
        const struct member_view last = { .profile_id = walk->query.after_id,
                                          .value = walk->query.after_value };
        *out_next = write_cursor(walk->page->request->arena, &last);
    }
    return status;
}

static enum status list_filtered(struct page *page, const struct rule_row *rule,
                                 const struct member_query *query,
                                 struct resource_answer *out_answer, struct problem *problem)
{
    const struct resource_request *request = page->request;
    struct profile_reader reader = { .snapshot = NULL };
    struct filter CLEANUP(filter_close) filter = { .is_sql = false };
    struct member_walk walk = { .page = page, .rule = rule, .filter = &filter, .query = *query };
    struct str next = { NULL, 0 };
    if (request->want_total) {
        return filter_refuse_total(request, problem);
    }
    enum status status = profile_reader_open(request, &reader, problem);
    if (status == STATUS_OK) {
        status = filter_open(request, &reader, &filter, out_answer, problem);
    }
    if (status == STATUS_OK) {
        status = write_filtered(&walk, &next, problem);
    }
    profile_reader_close(&reader);
    return status == STATUS_OK ? page_close(page, next, -1, true, out_answer, problem) : status;
}

/* --- the list ----------------------------------------------------------------- */

enum status resource_rule_members(const struct resource_request *request,
                                  struct resource_answer *out_answer, struct problem *problem)
{
    struct page page;
    struct rule_row rule;
    struct member_query query = { .workspace_id = request->principal->workspace_id };
    struct member_view *rows = NULL;
    size_t count = 0;
    int64_t total = -1;
    bool exact = true;
    enum status status = rule_store_find(request->pg, request->arena, query.workspace_id,
                                         request->name, &rule, problem);
    if (status != STATUS_OK) {
        return resource_missing(status, "rule", request->name, problem);
    }
    query.rule_id = rule.definition.id;
    status = read_value(request, &rule, &query, problem);
    if (status == STATUS_OK) {
        struct str filters =
            str_printf(request->arena, "%.*s|%.*s|%.*s", STR_ARG(rule.definition.name),
                       STR_ARG(request->value), STR_ARG(request->filter));
        status = page_open(&page, request, "members", filters, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    read_cursor(&page, &query);
    if (request->filter.size > 0) {
        return list_filtered(&page, &rule, &query, out_answer, problem);
    }
    query.limit = page.size + 1;
    status = member_page(request->pg, request->arena, &query, &rows, &count, problem);
    if (status == STATUS_OK) {
        status = read_total(request, &query, &total, &exact, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    size_t shown = count < page.size ? count : page.size;
    for (size_t i = 0; i < shown; i++) {
        write_member(&page.json, request, &rule, &rows[i]);
    }
    struct str next = count > page.size ? write_cursor(request->arena, &rows[shown - 1]) : STR("");
    return page_close(&page, next, total, exact, out_answer, problem);
}
