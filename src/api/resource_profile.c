#include <assert.h>

#include "api/fields.h"
#include "base/instant.h"
#include "base/limits.h"
#include "candidate_priv.h"
#include "core/event/event.h"
#include "moment_priv.h"
#include "store/explain_read.h"
#include "store/profile_filter.h"
#include "store/source_store.h"

/*
 * Profiles: one, whose is this identity, and the list.
 *
 * A merged profile answers with its survivor. Search is the list with its
 * parameters in a body, so that none stands in a URL and its logs. An expression
 * as filter: filter.c.
 */

enum {
    PROFILE_TOTAL_MAX = 10000,
};

enum status profile_reader_open(const struct resource_request *request,
                                struct profile_reader *out_reader, struct problem *problem)
{
    struct profile_reader reader = { .registry = request->api->registry };
    reader.snapshot = registry_hold(reader.registry);
    reader.workspace = snapshot_workspace(reader.snapshot, request->principal->workspace_id);
    if (reader.workspace == NULL) {
        profile_reader_close(&reader);
        return problem_set(problem, STATUS_RETRY, "overloaded", "the workspace is not known yet");
    }
    size_t count = reader.workspace->ruleset_count;
    reader.newest = count > 0 ? reader.workspace->rulesets[count - 1] : NULL;
    *out_reader = reader;
    return STATUS_OK;
}

void profile_reader_close(struct profile_reader *reader)
{
    if (reader->snapshot != NULL) {
        registry_release(reader->registry, reader->snapshot);
        reader->snapshot = NULL;
    }
}

const struct ruleset *profile_reader_ruleset(const struct profile_reader *reader, int64_t version)
{
    const struct registry_workspace *workspace = reader->workspace;
    for (size_t i = 0; i < workspace->ruleset_count; i++) {
        if (workspace->rulesets[i]->version == version) {
            return workspace->rulesets[i];
        }
    }
    return NULL;
}

static enum status no_profile(enum status status, struct problem *problem)
{
    if (status == STATUS_MISSING) {
        return problem_set(problem, STATUS_MISSING, "profile-not-found",
                           "no profile of this workspace is called so");
    }
    return status;
}

enum status profile_resolve(const struct resource_request *request, struct str text,
                            struct id *out_requested, struct id *out_canonical,
                            struct id **out_origins, size_t *out_count, struct problem *problem)
{
    struct id workspace_id = request->principal->workspace_id;
    struct id requested = ID_ZERO;
    if (!id_parse(text, &requested)) {
        return no_profile(STATUS_MISSING, problem);
    }
    enum status status = profile_canonical(request->pg, request->arena, workspace_id, requested,
                                           out_canonical, problem);
    if (status == STATUS_OK) {
        status = profile_origins(request->pg, request->arena, workspace_id, *out_canonical,
                                 out_origins, out_count, problem);
    }
    if (status == STATUS_OK) {
        *out_requested = requested;
    }
    return no_profile(status, problem);
}

static enum status answer_with(const struct resource_request *request, struct str id_text,
                               struct resource_answer *out_answer, struct problem *problem)
{
    struct profile_whole whole = { .origin_count = 0 };
    struct id workspace_id = request->principal->workspace_id;
    struct id canonical = ID_ZERO;
    struct id *origins = NULL;
    struct identity_view *identities = NULL;
    enum status status = profile_resolve(request, id_text, &whole.requested_id, &canonical,
                                         &origins, &whole.origin_count, problem);
    if (status == STATUS_OK) {
        status = profile_read(request->pg, request->arena, workspace_id, canonical, &whole.view,
                              problem);
    }
    if (status == STATUS_OK) {
        status =
            profile_identities(request->pg, request->arena, workspace_id, origins,
                               whole.origin_count, &identities, &whole.identity_count, problem);
    }
    if (status != STATUS_OK) {
        return no_profile(status, problem);
    }
    status = history_is_complete(request->pg, request->arena, workspace_id, &whole.history_complete,
                                 problem);
    if (status != STATUS_OK) {
        return status;
    }
    whole.origins = origins;
    whole.identities = identities;
    if (id_equal(whole.requested_id, canonical)) {
        whole.requested_id = ID_ZERO;
    }
    struct profile_reader reader = { .snapshot = NULL };
    status = profile_reader_open(request, &reader, problem);
    if (status != STATUS_OK) {
        return status;
    }
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, request->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    profile_write_json(&json, request, &whole, &reader);
    profile_reader_close(&reader);
    return resource_answer_set(&buf, RESOURCE_SHOWN, whole.view.sequence, out_answer, problem);
}

/* The same, with the clock and the statistics of then. */
static enum status write_moment(const struct resource_request *request,
                                const struct profile_reader *reader,
                                struct resource_answer *out_answer, struct problem *problem)
{
    struct moment moment;
    enum status status = moment_open(request, reader, &moment, problem);
    if (status != STATUS_OK) {
        return status;
    }
    struct resource_request then = *request;
    struct profile_reader reader_then = *reader;
    assert(reader->workspace != NULL); /* profile_reader_open */
    struct registry_workspace workspace = *reader->workspace;
    then.now_ms = moment.at_ms;
    workspace.statistics = moment.statistics;
    reader_then.workspace = &workspace;
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, request->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    profile_write_json(&json, &then, &moment.whole, &reader_then);
    return resource_answer_set(&buf, RESOURCE_SHOWN, 0, out_answer, problem);
}

enum status resource_profile_show(const struct resource_request *request,
                                  struct resource_answer *out_answer, struct problem *problem)
{
    struct profile_reader reader = { .snapshot = NULL };
    if (request->as_of.size == 0) {
        return answer_with(request, request->name, out_answer, problem);
    }
    enum status status = profile_reader_open(request, &reader, problem);
    if (status == STATUS_OK) {
        status = write_moment(request, &reader, out_answer, problem);
        profile_reader_close(&reader);
    }
    return status;
}

/* Which source a customer_id or cart_token is of. */
static enum status lookup_source(const struct resource_request *request, struct document *document,
                                 enum identity_kind kind, struct id *out_source_id,
                                 struct problem *problem)
{
    if (!identity_kind_is_of_source(kind)) {
        return document->status;
    }
    document_need(document, "source");
    struct str name = document_text(document, "source", LIMIT_NAME_BYTES);
    if (document->status != STATUS_OK) {
        return document->status;
    }
    struct source_row row;
    enum status status = source_find(request->pg, request->arena, request->principal->workspace_id,
                                     name, request->now_ms, &row, problem);
    if (status == STATUS_OK) {
        *out_source_id = row.id;
    }
    return resource_missing(status, "source", name, problem);
}

enum status resource_profile_lookup(const struct resource_request *request,
                                    struct resource_answer *out_answer, struct problem *problem)
{
    static const char *const fields[] = { "kind", "value", "source" };
    struct document CLEANUP(document_close) document = { .root = NULL };
    enum status status = document_open(&document, request->arena, request->body, problem);
    if (status != STATUS_OK) {
        return status;
    }
    document_allow(&document, fields, ARRAY_COUNT(fields));
    document_need(&document, "kind");
    document_need(&document, "value");
    struct str kind_name = document_text(&document, "kind", LIMIT_NAME_BYTES);
    struct str text = document_text(&document, "value", LIMIT_TEXT_BYTES);
    enum identity_kind kind = identity_kind_from_name(kind_name);
    if (document.status == STATUS_OK && (kind == 0 || kind == IDENTITY_ORDER)) {
        document_fail(&document, "kind", "invalid-field",
                      "kind is one of external_id, customer_id, email, phone, anonymous_id, "
                      "cart_token");
    }
    struct str value = { NULL, 0 };
    if (document.status == STATUS_OK && !identity_normalise(request->arena, kind, text, &value)) {
        document_fail(&document, "value", "invalid-field", "this value identifies nobody");
    }
    struct id source_id = ID_ZERO;
    struct id profile_id = ID_ZERO;
    status = document.status;
    if (status == STATUS_OK) {
        status = lookup_source(request, &document, kind, &source_id, problem);
    }
    if (status == STATUS_OK) {
        status = profile_lookup(request->pg, request->arena, request->principal->workspace_id,
                                kind_name, source_id, value, &profile_id, problem);
        status = no_profile(status, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    char id[ID_TEXT_SIZE];
    id_format(profile_id, id);
    return answer_with(request, str_from_z(id), out_answer, problem);
}

/* --- the list ------------------------------------------------------------- */

static enum status bad_field(struct problem *problem, const char *name, const char *detail)
{
    (void)problem_set(problem, STATUS_INVALID, "invalid-field", "%s", detail);
    problem_point(problem, "#/%s", name);
    return STATUS_INVALID;
}

static enum status read_order(struct str text, struct profile_query *query, struct problem *problem)
{
    struct str field = str_trim(text);
    struct str direction = { NULL, 0 };
    (void)str_split(str_trim(text), ' ', &field, &direction);
    direction = str_trim(direction);
    if (field.size == 0 || str_equal(field, STR("created_at"))) {
        query->order = PROFILE_BY_CREATION;
    } else if (str_equal(field, STR("last_seen_at"))) {
        query->order = PROFILE_BY_LAST_SEEN;
    } else {
        return bad_field(problem, "order_by", "order_by is created_at or last_seen_at");
    }
    query->descending = str_equal(direction, STR("desc"));
    if (direction.size > 0 && !query->descending && !str_equal(direction, STR("asc"))) {
        return bad_field(problem, "order_by", "behind the field comes asc or desc");
    }
    return STATUS_OK;
}

static enum status read_query(const struct resource_request *request, struct profile_query *query,
                              struct problem *problem)
{
    *query = (struct profile_query){
        .workspace_id = request->principal->workspace_id,
        .lifecycle = request->lifecycle,
        .identified = -1,
        .updated_since_ms = INSTANT_NONE,
    };
    if (request->identified.size > 0) {
        query->identified = str_equal(request->identified, STR("true")) ? 1 : 0;
        if (query->identified == 0 && !str_equal(request->identified, STR("false"))) {
            return bad_field(problem, "identified", "identified is true or false");
        }
    }
    if (request->updated_since.size > 0 &&
        !instant_parse(request->updated_since, true, &query->updated_since_ms, NULL)) {
        return bad_field(problem, "updated_since", "updated_since is an instant with an offset");
    }
    return read_order(request->order_by, query, problem);
}

static enum status read_total(const struct resource_request *request,
                              const struct profile_query *query, int64_t *out_total,
                              bool *out_exact, struct problem *problem)
{
    if (!request->want_total) {
        return STATUS_OK;
    }
    int64_t total = 0;
    enum status status =
        profile_count(request->pg, request->arena, query, PROFILE_TOTAL_MAX + 1, &total, problem);
    if (status == STATUS_OK) {
        *out_exact = total <= PROFILE_TOTAL_MAX;
        *out_total = *out_exact ? total : PROFILE_TOTAL_MAX;
    }
    return status;
}

static enum status filtered_total(const struct resource_request *request,
                                  const struct profile_query *query, const struct filter *filter,
                                  int64_t *out_total, bool *out_exact, struct problem *problem)
{
    int64_t total = 0;
    if (!request->want_total) {
        return STATUS_OK;
    }
    if (!filter->is_sql) {
        return filter_refuse_total(request, problem);
    }
    enum status status = profile_filter_count(request->pg, request->arena, query, &filter->sql,
                                              PROFILE_TOTAL_MAX + 1, &total, problem);
    if (status == STATUS_OK) {
        *out_exact = total <= PROFILE_TOTAL_MAX;
        *out_total = *out_exact ? total : PROFILE_TOTAL_MAX;
    }
    return status;
}

static enum status list_with(const struct resource_request *request, struct profile_query *query,
                             const struct profile_reader *reader, struct str filters,
                             struct resource_answer *out_answer, struct problem *problem)
{
    struct page page;
    struct filter CLEANUP(filter_close) filter = { .is_sql = false };
    struct str next = { NULL, 0 };
    int64_t total = -1;
    bool exact = true;
    enum status status = filter_open(request, reader, &filter, out_answer, problem);
    if (status == STATUS_OK) {
        status = page_open(&page, request, "profiles", filters, problem);
    }
    if (status == STATUS_OK) {
        (void)cursor_parse(page.cursor, &query->after_ms, &query->after_id);
        status = filter_write_page(&page, query, reader, &filter, &next, problem);
    }
    if (status == STATUS_OK) {
        status = filtered_total(request, query, &filter, &total, &exact, problem);
    }
    return status == STATUS_OK ? page_close(&page, next, total, exact, out_answer, problem)
                               : status;
}

static enum status list_filtered(const struct resource_request *request,
                                 struct profile_query *query, struct str filters,
                                 struct resource_answer *out_answer, struct problem *problem)
{
    struct profile_reader reader = { .snapshot = NULL };
    enum status status = profile_reader_open(request, &reader, problem);
    if (status == STATUS_OK) {
        status = list_with(request, query, &reader, filters, out_answer, problem);
        profile_reader_close(&reader);
    }
    return status;
}

enum status resource_profile_list(const struct resource_request *request,
                                  struct resource_answer *out_answer, struct problem *problem)
{
    struct profile_query query;
    struct page page;
    enum status status = read_query(request, &query, problem);
    if (status != STATUS_OK) {
        return status;
    }
    struct str filters =
        str_printf(request->arena, "%.*s|%.*s|%.*s|%d|%d|%.*s", STR_ARG(request->lifecycle),
                   STR_ARG(request->identified), STR_ARG(request->updated_since), query.order,
                   query.descending, STR_ARG(request->filter));
    if (request->filter.size > 0) {
        return list_filtered(request, &query, filters, out_answer, problem);
    }
    struct profile_reader reader = { .snapshot = NULL };
    struct profile_view *rows = NULL;
    size_t count = 0;
    int64_t total = -1;
    bool exact = true;
    status = page_open(&page, request, "profiles", filters, problem);
    if (status == STATUS_OK) {
        (void)cursor_parse(page.cursor, &query.after_ms, &query.after_id);
        query.limit = page.size + 1;
        status = profile_page(request->pg, request->arena, &query, &rows, &count, problem);
    }
    if (status == STATUS_OK) {
        status = read_total(request, &query, &total, &exact, problem);
    }
    if (status == STATUS_OK) {
        status = profile_reader_open(request, &reader, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct str next = { NULL, 0 };
    for (size_t i = 0; i < count && i < page.size; i++) {
        profile_write_summary(&page.json, request, &rows[i], &reader);
        if (i + 1 == page.size && count > page.size) {
            int64_t at_ms = query.order == PROFILE_BY_LAST_SEEN ? rows[i].last_seen_at_ms : 0;
            next = cursor_format(request->arena, at_ms, rows[i].id);
        }
    }
    profile_reader_close(&reader);
    return page_close(&page, next, total, exact, out_answer, problem);
}

/* A list of texts as the query of a GET has them. */
static struct str joined(struct document *document, const char *name)
{
    struct str *texts = NULL;
    size_t count = document_texts(document, name, FIELDS_MAX, &texts);
    struct str all = { NULL, 0 };
    for (size_t i = 0; i < count; i++) {
        all = str_printf(document->arena, "%.*s%s%.*s", STR_ARG(all), i > 0 ? "," : "",
                         STR_ARG(texts[i]));
    }
    return all;
}

enum status resource_profile_search(const struct resource_request *request,
                                    struct resource_answer *out_answer, struct problem *problem)
{
    static const char *const fields[] = { "filter",        "lifecycle", "identified",
                                          "updated_since", "order_by",  "page_size",
                                          "page_token",    "include",   "fields" };
    struct document CLEANUP(document_close) document = { .root = NULL };
    enum status status = document_open(&document, request->arena, request->body, problem);
    if (status != STATUS_OK) {
        return status;
    }
    document_allow(&document, fields, ARRAY_COUNT(fields));
    struct resource_request query = *request;
    query.filter = document_text(&document, "filter", RULE_TEXT_BYTES_MAX);
    query.lifecycle = document_text(&document, "lifecycle", LIMIT_NAME_BYTES);
    query.updated_since = document_text(&document, "updated_since", LIMIT_NAME_BYTES);
    query.order_by = document_text(&document, "order_by", LIMIT_NAME_BYTES);
    query.page_token = document_text(&document, "page_token", 2048);
    query.page_size =
        (size_t)document_i64(&document, "page_size", LIMIT_PAGE_DEFAULT, 1, LIMIT_PAGE_MAX);
    if (document_has(&document, "identified")) {
        query.identified =
            document_bool(&document, "identified", false) ? STR("true") : STR("false");
    }
    query.fields = joined(&document, "fields");
    struct str include = document_text(&document, "include", LIMIT_NAME_BYTES);
    query.want_total = str_equal(include, STR("total"));
    if (include.size > 0 && !query.want_total) {
        document_fail(&document, "include", "invalid-field", "include is \"total\"");
    }
    if (document.status != STATUS_OK) {
        return document.status;
    }
    return resource_profile_list(&query, out_answer, problem);
}
