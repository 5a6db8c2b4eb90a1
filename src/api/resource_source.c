#include "base/instant.h"
#include "base/limits.h"
#include "source_priv.h"

/*
 * Sources: create, list, show, change, delete.
 *
 * A change goes through the same checks as a creation: the patch is merged
 * into the stored settings and the result is parsed as if it were new.
 * Deleting keeps a tombstone, so that a shop which still sends is told 410 and
 * stops, instead of repeating for days.
 */

static enum status answer_with(const struct resource_request *request,
                               const struct source_full *source, enum resource_effect effect,
                               struct resource_answer *out_answer, struct problem *problem)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, request->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    source_write_json(&json, request, source);
    return resource_answer_set(&buf, effect, source->row.version, out_answer, problem);
}

static void read_history(struct document *document, struct source_row *row, struct arena *arena,
                         struct problem *problem)
{
    static const char *const fields[] = { "complete", "since" };
    if (!document_has(document, "history")) {
        return;
    }
    struct str text = document_object(document, "history");
    struct document CLEANUP(document_close) history = { .root = NULL };
    if (document->status != STATUS_OK ||
        document_open(&history, arena, text, problem) != STATUS_OK) {
        return;
    }
    document_allow(&history, fields, ARRAY_COUNT(fields));
    row->history_complete = document_bool(&history, "complete", row->history_complete);
    if (document_has(&history, "since")) {
        row->history_since_ms = document_instant(&history, "since");
    }
    document->status = history.status;
}

static const struct platform *read_platform(struct document *document)
{
    document_need(document, "platform");
    struct str name = document_text(document, "platform", LIMIT_NAME_BYTES);
    const struct platform *platform = platform_find(name);
    if (document->status == STATUS_OK && platform == NULL) {
        const char *names[64];
        size_t count = 0;
        while (count < ARRAY_COUNT(names) && platform_at(count) != NULL) {
            names[count] = platform_at(count)->name;
            count++;
        }
        const char *nearest = str_nearest(name, names, count);
        document_fail(document, "platform", "invalid-field",
                      nearest != NULL ? "no platform is called \"%.*s\"; did you mean \"%s\"?"
                                      : "no platform is called \"%.*s\"; see GET /v1/platforms",
                      STR_ARG(name), nearest);
    }
    return platform;
}

static enum status insert_source(const struct resource_request *request, const void *what,
                                 struct problem *problem)
{
    const struct source_full *source = what;
    enum status status = source_insert(request->pg, request->arena, &source->row, problem);
    if (status != STATUS_OK) {
        return resource_name_taken(status, "source", source->row.name, problem);
    }
    for (size_t i = 0; status == STATUS_OK && i < source->secret_count; i++) {
        status = source_secret_insert(request->pg, request->arena, source->row.workspace_id,
                                      source->row.id, &source->secrets[i], problem);
    }
    return status;
}

/* WooCommerce and Standard Webhooks have no secret of their own: we make it. */
static enum status make_first_secret(const struct resource_request *request,
                                     struct source_full *source, struct problem *problem)
{
    if (!source->platform->makes_secret) {
        return STATUS_OK;
    }
    struct source_secret_row *secret = ARENA_NEW(request->arena, struct source_secret_row);
    struct str plain = source_make_secret(request->arena, source);
    if (secret == NULL || plain.size == 0) {
        return problem_set(problem, STATUS_LIMIT, "limit-reached", "the request is too big");
    }
    *secret = (struct source_secret_row){
        .id = id_create(),
        .label = STR("first"),
        .created_at_ms = request->now_ms,
        .expires_at_ms = INSTANT_NONE,
        .last_used_at_ms = INSTANT_NONE,
        .check = { .since_ms = INSTANT_NONE, .missed_at_ms = INSTANT_NONE },
    };
    source->secrets = secret;
    source->secret_count = 1;
    source->shown_id = secret->id;
    source->shown_secret = plain;
    return source_seal_secret(request, plain, secret, problem);
}

static enum status read_new(const struct resource_request *request, struct source_full *source,
                            struct problem *problem)
{
    static const char *const fields[] = { "name", "platform", "settings", "history" };
    struct document CLEANUP(document_close) document = { .root = NULL };
    enum status status = document_open(&document, request->arena, request->body, problem);
    if (status != STATUS_OK) {
        return status;
    }
    document_allow(&document, fields, ARRAY_COUNT(fields));
    source->row = (struct source_row){
        .workspace_id = request->principal->workspace_id,
        .id = id_create(),
        .name = document_name(&document, "name"),
        .history_since_ms = INSTANT_NONE,
        .version = 1,
        .created_at_ms = request->now_ms,
        .updated_at_ms = request->now_ms,
        .last_delivery_at_ms = INSTANT_NONE,
        .last_applied_at_ms = INSTANT_NONE,
    };
    source->platform = read_platform(&document);
    source->row.settings_json = document_object(&document, "settings");
    read_history(&document, &source->row, request->arena, problem);
    if (document.status == STATUS_OK) {
        source->row.platform = str_from_z(source->platform->name);
    }
    return document.status;
}

enum status resource_source_create(const struct resource_request *request,
                                   struct resource_answer *out_answer, struct problem *problem)
{
    struct source_full source = { .platform = NULL };
    struct workspace workspace;
    int64_t count = 0;
    enum status status = read_new(request, &source, problem);
    if (status == STATUS_OK) {
        status = source_workspace(request, &workspace, problem);
    }
    if (status == STATUS_OK) {
        status = source_settle(request, &workspace, &source, problem);
    }
    if (status == STATUS_OK) {
        status = source_count(request->pg, request->arena, workspace.id, &count, problem);
    }
    if (status == STATUS_OK) {
        status = resource_room(count, LIMIT_SOURCES, "sources", problem);
    }
    if (status == STATUS_OK && !request->validate_only) {
        status = make_first_secret(request, &source, problem);
    }
    if (status == STATUS_OK && !request->validate_only) {
        status = resource_transact(request, workspace.id, insert_source, &source, problem);
    }
    if (status == STATUS_OK) {
        status = answer_with(request, &source,
                             request->validate_only ? RESOURCE_SHOWN : RESOURCE_CREATED, out_answer,
                             problem);
    }
    if (status == STATUS_OK) {
        out_answer->location =
            str_printf(request->arena, "/v1/sources/%.*s", STR_ARG(source.row.name));
    }
    return status;
}

/* One row of a list, with its secrets: a workspace has at most 200 sources. */
static enum status write_listed(struct page *page, const struct workspace *workspace,
                                const struct source_row *row, struct problem *problem)
{
    const struct resource_request *request = page->request;
    struct source_full source = { .row = *row, .platform = platform_find(row->platform) };
    if (source.platform == NULL) {
        return problem_set(problem, STATUS_BROKEN, "internal",
                           "a source's platform is not known to this version");
    }
    enum status status = source_settle(request, workspace, &source, problem);
    if (status == STATUS_OK) {
        status = source_secret_list(request->pg, request->arena, row->workspace_id, row->id,
                                    &source.secrets, &source.secret_count, problem);
    }
    if (status == STATUS_OK) {
        status = source_load_service(request, &source, problem);
    }
    if (status == STATUS_OK) {
        source_write_json(&page->json, request, &source);
    }
    return status;
}

enum status resource_source_list(const struct resource_request *request,
                                 struct resource_answer *out_answer, struct problem *problem)
{
    struct page page;
    struct workspace workspace;
    struct source_row *rows = NULL;
    size_t count = 0;
    int64_t total = -1;
    enum status status = page_open(&page, request, "sources", STR(""), problem);
    if (status == STATUS_OK) {
        status = source_workspace(request, &workspace, problem);
    }
    if (status == STATUS_OK) {
        status = source_list(request->pg, request->arena, workspace.id, page.cursor, page.size + 1,
                             request->now_ms, &rows, &count, problem);
    }
    if (status == STATUS_OK && request->want_total) {
        status = source_count(request->pg, request->arena, workspace.id, &total, problem);
    }
    struct str next = { NULL, 0 };
    for (size_t i = 0; status == STATUS_OK && i < count && i < page.size; i++) {
        status = write_listed(&page, &workspace, &rows[i], problem);
        next = i + 1 == page.size && count > page.size ? rows[i].name : next;
    }
    if (status != STATUS_OK) {
        return status;
    }
    return page_close(&page, next, total, true, out_answer, problem);
}

enum status resource_source_show(const struct resource_request *request,
                                 struct resource_answer *out_answer, struct problem *problem)
{
    struct source_full source;
    enum status status = source_load(request, &source, problem);
    if (status != STATUS_OK) {
        return status;
    }
    return answer_with(request, &source, RESOURCE_SHOWN, out_answer, problem);
}

static enum status update_source(const struct resource_request *request, const void *what,
                                 struct problem *problem)
{
    const struct source_full *source = what;
    enum status status = source_update(request->pg, request->arena, &source->row, problem);
    return resource_changed_meanwhile(status, problem);
}

static enum status read_patch(const struct resource_request *request, struct source_full *source,
                              struct problem *problem)
{
    static const char *const fields[] = { "settings", "history" };
    struct document CLEANUP(document_close) document = { .root = NULL };
    enum status status = document_open(&document, request->arena, request->body, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (document_has(&document, "name") || document_has(&document, "platform")) {
        document_fail(&document, document_has(&document, "name") ? "name" : "platform",
                      "invalid-field", "a source's name and platform never change");
    }
    document_allow(&document, fields, ARRAY_COUNT(fields));
    read_history(&document, &source->row, request->arena, problem);
    struct str patch = document_object(&document, "settings");
    if (document.status != STATUS_OK) {
        return document.status;
    }
    return document_merge_patch(request->arena, source->row.settings_json, patch,
                                &source->row.settings_json, problem);
}

enum status resource_source_update(const struct resource_request *request,
                                   struct resource_answer *out_answer, struct problem *problem)
{
    struct source_full source;
    struct workspace workspace;
    enum status status = source_load(request, &source, problem);
    if (status == STATUS_OK) {
        status = resource_match(request, source.row.version, problem);
    }
    if (status == STATUS_OK) {
        status = read_patch(request, &source, problem);
    }
    if (status == STATUS_OK) {
        status = source_workspace(request, &workspace, problem);
    }
    if (status == STATUS_OK) {
        status = source_settle(request, &workspace, &source, problem);
    }
    source.row.updated_at_ms = request->now_ms;
    if (status == STATUS_OK && !request->validate_only) {
        status = resource_transact(request, workspace.id, update_source, &source, problem);
        source.row.version++;
    }
    if (status != STATUS_OK) {
        return status;
    }
    return answer_with(request, &source, RESOURCE_CHANGED, out_answer, problem);
}

static enum status delete_source(const struct resource_request *request, const void *what,
                                 struct problem *problem)
{
    const struct source_row *row = what;
    enum status status = source_delete(request->pg, request->arena, row->workspace_id, row->id,
                                       request->now_ms, problem);
    return resource_missing(status, "source", row->name, problem);
}

enum status resource_source_delete(const struct resource_request *request,
                                   struct resource_answer *out_answer, struct problem *problem)
{
    struct source_row row;
    enum status status = source_find(request->pg, request->arena, request->principal->workspace_id,
                                     request->name, request->now_ms, &row, problem);
    if (status != STATUS_OK) {
        return resource_missing(status, "source", request->name, problem);
    }
    if (str_equal(row.name, STR("api"))) {
        return problem_set(problem, STATUS_INVALID, "invalid-field",
                           "the source \"api\" belongs to the workspace and stays");
    }
    status = resource_match(request, row.version, problem);
    if (status == STATUS_OK && !request->validate_only) {
        status = resource_transact(request, row.workspace_id, delete_source, &row, problem);
    }
    if (status == STATUS_OK) {
        *out_answer = (struct resource_answer){ .effect = RESOURCE_DELETED };
    }
    return status;
}

enum status resource_source_deliveries(const struct resource_request *request,
                                       struct resource_answer *out_answer, struct problem *problem)
{
    struct source_row row;
    struct page page;
    enum status status = source_find(request->pg, request->arena, request->principal->workspace_id,
                                     request->name, request->now_ms, &row, problem);
    if (status != STATUS_OK) {
        return resource_missing(status, "source", request->name, problem);
    }
    status = page_open(&page, request, "deliveries", row.name, problem);
    if (status != STATUS_OK) {
        return status;
    }
    struct webhook_row *rows = NULL;
    size_t count = 0;
    int64_t before_ms = 0;
    struct id before_id = ID_ZERO;
    cursor_place(&page, &before_ms, &before_id);
    status = webhook_list(request->pg, request->arena, row.workspace_id, row.id, before_ms,
                          before_id, page.size + 1, &rows, &count, problem);
    if (status != STATUS_OK) {
        return status;
    }
    struct str next = { NULL, 0 };
    for (size_t i = 0; i < count && i < page.size; i++) {
        jsonw_open(&page.json);
        jsonw_put_id(&page.json, "receipt_id", rows[i].id);
        jsonw_put_instant(&page.json, "received_at", rows[i].received_at_ms);
        jsonw_put_str(&page.json, "topic", rows[i].topic);
        jsonw_put_str(&page.json, "dedup_key", rows[i].dedup_key);
        jsonw_put_i64(&page.json, "body_bytes", rows[i].body_bytes);
        jsonw_put_raw(&page.json, "headers", rows[i].headers_json);
        jsonw_close(&page.json);
        if (i + 1 == page.size && count > page.size) {
            next = cursor_format(request->arena, rows[i].received_at_ms, rows[i].id);
        }
    }
    return page_close(&page, next, -1, true, out_answer, problem);
}
