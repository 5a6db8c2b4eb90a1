#include "api/plan.h"

#include <stdio.h>

#include "base/limits.h"
#include "plan_priv.h"

/*
 * Every way in ends here: hooks, SDKs and API alike, so a plan holds whoever the
 * sender is. What a schema sees is the event's canonical `properties`.
 *
 * Invariant: an event has one fate. `reject` is for who reads answers (POST
 * /v1/events); a shop that is refused sends the same again and then stops, so
 * from there it is quarantined. What was checked is counted in memory. A replay asks
 * the same question, or it would be the way around a plan.
 */

enum {
    ERRORS_BYTES_MAX = 1024 * 1024,
    ERRORS_LISTED_MAX = 100,
    REASON_VIOLATIONS = 3, /* told in one line; the schema has the rest */
    VIOLATIONS_BYTES_MAX = 4096,
};

struct judging {
    struct plan_check *check;
    struct buf errors;
    struct jsonw json;
    size_t listed;
};

static struct str violations_json(struct arena *arena, const struct schema_report *report)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, arena, VIOLATIONS_BYTES_MAX);
    jsonw_begin(&json, &buf);
    jsonw_open_array(&json);
    for (size_t i = 0; i < report->count && i < REASON_VIOLATIONS; i++) {
        jsonw_open(&json);
        jsonw_put_str(&json, "pointer", report->violations[i].pointer);
        jsonw_put_str(&json, "detail", report->violations[i].what);
        jsonw_close(&json);
    }
    jsonw_close_array(&json);
    return buf.failed ? STR("[]") : buf_str(&buf);
}

static const char *reason_of(struct arena *arena, const struct registry_schema *schema,
                             const struct schema_report *report)
{
    struct str text =
        str_printf(arena, "schema of %.*s:", STR_ARG(str_take_text(schema->event_type, 80)));
    for (size_t i = 0; i < report->count && i < REASON_VIOLATIONS; i++) {
        text = str_printf(arena, "%.*s%s #/properties%.*s: %.*s", STR_ARG(text), i > 0 ? ";" : "",
                          STR_ARG(str_take_text(report->violations[i].pointer, 200)),
                          STR_ARG(str_take_text(report->violations[i].what, 200)));
    }
    return str_dup_z(arena, text);
}

static void list_errors(struct judging *judging, size_t index, const struct schema_report *report)
{
    const struct plan_check *check = judging->check;
    char item[24] = "";
    if (check->is_list) {
        (void)snprintf(item, sizeof(item), "/%zu",
                       check->items != NULL ? check->items[index] : index);
    }
    for (size_t i = 0; i < report->count && judging->listed < ERRORS_LISTED_MAX; i++) {
        struct str pointer = str_printf(check->arena, "#%s/properties%.*s", item,
                                        STR_ARG(report->violations[i].pointer));
        jsonw_open(&judging->json);
        jsonw_put_str(&judging->json, "pointer", pointer);
        jsonw_put_str(&judging->json, "detail", report->violations[i].what);
        jsonw_close(&judging->json);
        judging->listed++;
    }
}

static enum status set_fate(struct judging *judging, size_t index,
                            const struct registry_schema *schema,
                            const struct schema_report *report)
{
    struct plan_check *check = judging->check;
    if (schema->mode == SCHEMA_COUNT) {
        return STATUS_OK;
    }
    if (schema->mode == SCHEMA_REJECT && check->may_reject) {
        if (check->rejected == NULL) {
            check->rejected = ARENA_NEW_ARRAY(check->arena, check->event_count, bool);
        }
        if (check->rejected == NULL) {
            return STATUS_LIMIT;
        }
        check->rejected[index] = true;
        check->rejected_count++;
        list_errors(judging, index, report);
        return STATUS_OK;
    }
    if (check->reasons == NULL) {
        check->reasons = ARENA_NEW_ARRAY(check->arena, check->event_count, const char *);
    }
    const char *reason = reason_of(check->arena, schema, report);
    if (check->reasons == NULL || reason == NULL) {
        return STATUS_LIMIT;
    }
    check->reasons[index] = reason;
    return STATUS_OK;
}

static enum status compare(struct arena *arena, const struct registry_schema *schema,
                           const struct event *event, struct schema_report *out_report)
{
    static const char UNREADABLE[] = "The properties cannot be read.";
    static struct schema_violation unreadable = { .what = { UNREADABLE, sizeof(UNREADABLE) - 1 } };
    struct str properties = event->properties_json;
    enum status status = schema_check(
        schema->compiled, properties.size > 0 ? properties : STR("{}"), arena, out_report);
    if (status == STATUS_LIMIT) {
        return status;
    }
    if (status != STATUS_OK) {
        *out_report = (struct schema_report){ .violations = &unreadable, .count = 1 };
    }
    return STATUS_OK;
}

static enum status judge(struct judging *judging, size_t index,
                         const struct registry_schema *schema)
{
    struct plan_check *check = judging->check;
    struct schema_report report;
    enum status status = compare(check->arena, schema, &check->events[index], &report);
    if (status != STATUS_OK) {
        return status;
    }
    if (!check->only_validate) {
        schema_tally_count(schema->tally, report.is_valid,
                           report.is_valid ? STR("") : violations_json(check->arena, &report),
                           check->now_ms);
    }
    return report.is_valid ? STATUS_OK : set_fate(judging, index, schema, &report);
}

/* Shops tell of an order, and whether it is completed the order's status says: one
 * that counts is held against the plan of completed orders, where there is one. */
static const struct registry_schema *plan_of(const struct registry_workspace *workspace,
                                             struct id source_id, const struct event *event)
{
    const struct registry_schema *schema = NULL;
    if (event->type == EVENT_ORDER_UPDATED && event->order != NULL &&
        event->order->kind == ORDER_BODY && event->order->counts) {
        schema = workspace_schema(workspace, source_id, STR("order.completed"));
    }
    return schema != NULL ? schema : workspace_schema(workspace, source_id, event->name);
}

enum status plan_apply(struct plan_check *check)
{
    if (check->workspace == NULL || check->workspace->schema_count == 0) {
        return STATUS_OK;
    }
    struct judging judging = { .check = check };
    buf_init(&judging.errors, check->arena, ERRORS_BYTES_MAX);
    jsonw_begin(&judging.json, &judging.errors);
    jsonw_open_array(&judging.json);
    for (size_t i = 0; i < check->event_count; i++) {
        const struct registry_schema *schema =
            plan_of(check->workspace, check->source_id, &check->events[i]);
        enum status status = schema != NULL ? judge(&judging, i, schema) : STATUS_OK;
        if (status != STATUS_OK) {
            return status;
        }
    }
    jsonw_close_array(&judging.json);
    check->errors_json = check->rejected_count > 0 ? buf_str(&judging.errors) : STR("");
    return judging.errors.failed ? STATUS_LIMIT : STATUS_OK;
}

enum status plan_fault(struct arena *arena, const struct registry_workspace *workspace,
                       struct id source_id, const struct event *event, struct str *out_fault)
{
    const struct registry_schema *schema = plan_of(workspace, source_id, event);
    struct schema_report report = { .is_valid = true };
    *out_fault = (struct str){ NULL, 0 };
    if (schema == NULL || schema->mode == SCHEMA_COUNT) {
        return STATUS_OK;
    }
    enum status status = compare(arena, schema, event, &report);
    if (status == STATUS_OK && !report.is_valid) {
        *out_fault = str_from_z(reason_of(arena, schema, &report));
        status = out_fault->size > 0 ? STATUS_OK : STATUS_LIMIT;
    }
    return status;
}
