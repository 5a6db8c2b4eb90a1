#include "base/instant.h"
#include "base/limits.h"
#include "core/event/event.h"
#include "resource_priv.h"
#include "schema/schema.h"
#include "store/schema_store.h"
#include "store/source_store.h"

/*
 * Tracking plans: list, show, put, delete.
 *
 * A schema is compiled before it is saved, under the same bounds as where events
 * come in, so what is saved is what is used. A save of what is there already
 * changes nothing.
 */

static const char *const MODES[] = { "reject", "quarantine", "count" };

/* --- which ----------------------------------------------------------------- */

static enum status find_source(const struct resource_request *request, struct source_row *out,
                               struct problem *problem)
{
    enum status status = source_find(request->pg, request->arena, request->principal->workspace_id,
                                     request->name, request->now_ms, out, problem);
    return resource_missing(status, "source", request->name, problem);
}

/* STATUS_MISSING, without words, when the source has none for the type. */
static enum status find(const struct resource_request *request, struct source_row *out_source,
                        struct schema_row *out_row, struct problem *problem)
{
    enum status status = find_source(request, out_source, problem);
    if (status != STATUS_OK) {
        return status;
    }
    status = schema_find(request->pg, request->arena, request->principal->workspace_id,
                         out_source->id, request->part, request->now_ms, out_row, problem);
    return resource_missing(status, "schema for", request->part, problem);
}

/* --- answering ------------------------------------------------------------- */

static void write_row(struct jsonw *json, const struct schema_row *row, bool with_body)
{
    jsonw_open(json);
    jsonw_put_str(json, "source", row->source);
    jsonw_put_str(json, "event_type", row->event_type);
    jsonw_put_str(json, "mode", row->mode);
    if (with_body) {
        jsonw_put_raw(json, "schema", row->body);
    }
    jsonw_put_i64(json, "checked_24h", row->checked_24h);
    jsonw_put_i64(json, "violations_24h", row->violated_24h);
    jsonw_put_i64(json, "checked", row->checked);
    jsonw_put_i64(json, "violations", row->violated);
    jsonw_put_instant(json, "last_violated_at", row->last_violated_at_ms);
    jsonw_put_raw(json, "last_violations",
                  row->last_violations_json.size > 0 ? row->last_violations_json : STR("[]"));
    jsonw_put_i64(json, "version", row->version);
    jsonw_put_instant(json, "created_at", row->created_at_ms);
    jsonw_put_instant(json, "updated_at", row->updated_at_ms);
    jsonw_close(json);
}

static enum status answer(const struct resource_request *request, const struct schema_row *row,
                          enum resource_effect effect, struct resource_answer *out_answer,
                          struct problem *problem)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, request->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    write_row(&json, row, true);
    return resource_answer_set(&buf, effect, row->version, out_answer, problem);
}

enum status resource_schema_list(const struct resource_request *request,
                                 struct resource_answer *out_answer, struct problem *problem)
{
    struct page page;
    struct schema_row *rows = NULL;
    size_t count = 0;
    enum status status = page_open(&page, request, "schemas", STR(""), problem);
    if (status == STATUS_OK) {
        status = schema_list(request->pg, request->arena, request->principal->workspace_id,
                             request->now_ms, &rows, &count, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    for (size_t i = 0; i < count; i++) {
        write_row(&page.json, &rows[i], false);
    }
    return page_close(&page, (struct str){ NULL, 0 }, -1, true, out_answer, problem);
}

enum status resource_schema_show(const struct resource_request *request,
                                 struct resource_answer *out_answer, struct problem *problem)
{
    struct source_row source;
    struct schema_row row;
    enum status status = find(request, &source, &row, problem);
    return status == STATUS_OK ? answer(request, &row, RESOURCE_SHOWN, out_answer, problem)
                               : status;
}

/* --- put ------------------------------------------------------------------- */

static bool is_mode(struct str mode)
{
    for (size_t i = 0; i < ARRAY_COUNT(MODES); i++) {
        if (str_equal_z(mode, MODES[i])) {
            return true;
        }
    }
    return false;
}

static enum status check_event_type(struct str name, struct problem *problem)
{
    if (event_type_from_name(name) == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-field",
                           "\"%.*s\" is no type of events; custom ones are called custom.<name>",
                           STR_ARG(str_take_text(name, 80)));
    }
    return STATUS_OK;
}

static enum status read_plan(const struct resource_request *request, struct schema_row *row,
                             struct problem *problem)
{
    static const char *const fields[] = { "mode", "schema" };
    struct document CLEANUP(document_close) document = { .root = NULL };
    struct schema *compiled = NULL;
    struct problem fault = { .type = "" };
    enum status status = document_open(&document, request->arena, request->body, problem);
    if (status != STATUS_OK) {
        return status;
    }
    document_allow(&document, fields, ARRAY_COUNT(fields));
    document_need(&document, "mode");
    document_need(&document, "schema");
    row->mode = document_text(&document, "mode", LIMIT_NAME_BYTES);
    row->body = document_object(&document, "schema");
    if (document.status == STATUS_OK && !is_mode(row->mode)) {
        document_fail(&document, "mode", "invalid-field", "mode is reject, quarantine or count");
    }
    if (document.status != STATUS_OK) {
        return document.status;
    }
    status = schema_compile(row->body, &compiled, &fault);
    if (status == STATUS_OK) {
        schema_release(compiled);
    } else if (status == STATUS_INVALID) {
        document_fail(&document, "schema", fault.type, "%s", fault.detail);
    }
    return status;
}

struct putting {
    struct schema_row row;
    bool is_new;
};

static enum status save(const struct resource_request *request, const void *what,
                        struct problem *problem)
{
    const struct putting *putting = what;
    const struct schema_row *row = &putting->row;
    int64_t count = 0;
    if (!putting->is_new) {
        return schema_update(request->pg, request->arena, row, problem);
    }
    enum status status =
        schema_count(request->pg, request->arena, row->workspace_id, &count, problem);
    if (status == STATUS_OK) {
        status = resource_room(count, LIMIT_SCHEMAS, "schemas a workspace", problem);
    }
    return status == STATUS_OK ? schema_insert(request->pg, request->arena, row, problem) : status;
}

/* What is there, or what a new one begins with. */
static enum status begin_put(const struct resource_request *request, struct putting *putting,
                             struct problem *problem)
{
    struct source_row source;
    struct schema_row *row = &putting->row;
    enum status status = find_source(request, &source, problem);
    if (status == STATUS_OK) {
        status = check_event_type(request->part, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct problem unseen = { .type = "" };
    status = schema_find(request->pg, request->arena, source.workspace_id, source.id, request->part,
                         request->now_ms, row, &unseen);
    putting->is_new = status == STATUS_MISSING;
    if (putting->is_new) {
        *row = (struct schema_row){
            .workspace_id = source.workspace_id,
            .source_id = source.id,
            .source = source.name,
            .event_type = request->part,
            .id = id_create(),
            .created_at_ms = request->now_ms,
            .last_violated_at_ms = INSTANT_NONE,
        };
        status = STATUS_OK;
    }
    return status == STATUS_OK ? resource_match(request, row->version, problem) : status;
}

enum status resource_schema_put(const struct resource_request *request,
                                struct resource_answer *out_answer, struct problem *problem)
{
    struct putting putting = { .is_new = false };
    enum status status = begin_put(request, &putting, problem);
    struct str former_mode = putting.row.mode;
    struct str former_body = putting.row.body;
    if (status == STATUS_OK) {
        status = read_plan(request, &putting.row, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    bool is_same = !putting.is_new && str_equal(former_mode, putting.row.mode) &&
                   str_equal(former_body, putting.row.body);
    if (is_same || request->validate_only) {
        return answer(request, &putting.row, RESOURCE_SHOWN, out_answer, problem);
    }
    putting.row.updated_at_ms = request->now_ms;
    status = resource_transact(request, putting.row.workspace_id, save, &putting, problem);
    if (status != STATUS_OK) {
        return resource_changed_meanwhile(status, problem);
    }
    putting.row.version++;
    status = answer(request, &putting.row, putting.is_new ? RESOURCE_CREATED : RESOURCE_CHANGED,
                    out_answer, problem);
    if (status == STATUS_OK && putting.is_new) {
        out_answer->location =
            str_printf(request->arena, "/v1/schemas/%.*s/%.*s", STR_ARG(putting.row.source),
                       STR_ARG(putting.row.event_type));
    }
    return status;
}

/* --- delete ---------------------------------------------------------------- */

static enum status delete_row(const struct resource_request *request, const void *what,
                              struct problem *problem)
{
    return schema_delete(request->pg, request->arena, what, problem);
}

enum status resource_schema_delete(const struct resource_request *request,
                                   struct resource_answer *out_answer, struct problem *problem)
{
    struct source_row source;
    struct schema_row row;
    enum status status = find(request, &source, &row, problem);
    if (status == STATUS_OK) {
        status = resource_match(request, row.version, problem);
    }
    if (status == STATUS_OK && !request->validate_only) {
        status = resource_transact(request, row.workspace_id, delete_row, &row, problem);
        status = resource_changed_meanwhile(status, problem);
    }
    if (status == STATUS_OK) {
        *out_answer = (struct resource_answer){ .effect = RESOURCE_DELETED };
    }
    return status;
}
