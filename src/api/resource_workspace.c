#include "base/instant.h"
#include "base/limits.h"
#include "base/money.h"
#include "core/trigger/trigger.h"
#include "store/rule_store.h"
#include "store/source_store.h"
#include "workspace_priv.h"

/*
 * Workspaces.
 *
 * A workspace is born with one source, "api", so that POST /v1/events works
 * without further ado, and with the shipped rules. Its name and currency never change: the name
 * stands in every notification, and sums of money were counted in the currency.
 */

enum {
    CATALOGUE_STOCK_MIN_MAX = 1000000,
    CATALOGUE_PERCENT_HUNDREDTHS_MAX = 100 * 100,
    CATALOGUE_AMOUNT_HUNDREDTHS_MAX = 1000000 * 100,
};

/* A month: longer, and a season's first restocking would not be told. */
#define CATALOGUE_QUIET_MS_MAX (30 * INSTANT_DAY_MS)

static const struct catalogue_settings usual_catalogue = {
    .back_in_stock_min = 1,
    .price_percent_hundredths = 100,
    .quiet_ms = INSTANT_HOUR_MS,
};

static void write_catalogue(struct jsonw *json, const struct catalogue_settings *settings)
{
    char quiet[32];
    duration_format(settings->quiet_ms, quiet);
    jsonw_key(json, "catalogue");
    jsonw_open(json);
    jsonw_put_i64(json, "back_in_stock_min", settings->back_in_stock_min);
    jsonw_put_money(json, "price_change_percent", settings->price_percent_hundredths, STR("EUR"));
    jsonw_put_money(json, "price_change_amount", settings->price_amount_hundredths, STR("EUR"));
    jsonw_put_z(json, "quiet", quiet);
    jsonw_close(json);
}

static const char *const CHANNELS[] = { "email", "push", "sale", "sms", "tracking" };

static void write_caps(struct jsonw *json, const struct workspace *workspace)
{
    jsonw_key(json, "caps");
    jsonw_open(json);
    for (size_t i = 0; i < workspace->cap_count; i++) {
        char per[32];
        duration_format(workspace->caps[i].per_ms, per);
        jsonw_key_str(json, workspace->caps[i].channel);
        jsonw_open(json);
        jsonw_put_i64(json, "count", workspace->caps[i].count);
        jsonw_put_z(json, "per", per);
        jsonw_close(json);
    }
    jsonw_close(json);
}

void workspace_write_members(struct jsonw *json, const struct workspace *workspace)
{
    jsonw_put_id(json, "id", workspace->id);
    jsonw_put_str(json, "name", workspace->name);
    jsonw_put_str(json, "title", workspace->title);
    jsonw_put_str(json, "currency", workspace->currency);
    jsonw_put_str(json, "time_zone", workspace->time_zone);
    write_catalogue(json, &workspace->catalogue);
    write_caps(json, workspace);
    jsonw_put_instant(json, "held_at", workspace->held_at_ms);
    jsonw_put_str_or_null(json, "held_reason", workspace->held_reason);
    jsonw_put_instant(json, "created_at", workspace->created_at_ms);
    jsonw_put_instant(json, "updated_at", workspace->updated_at_ms);
}

static void workspace_write_json(struct jsonw *json, const struct workspace *workspace)
{
    jsonw_open(json);
    workspace_write_members(json, workspace);
    jsonw_close(json);
}

static enum status answer_with(const struct resource_request *request,
                               const struct workspace *workspace, enum resource_effect effect,
                               struct resource_answer *out_answer, struct problem *problem)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, request->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    workspace_write_json(&json, workspace);
    return resource_answer_set(&buf, effect, 0, out_answer, problem);
}

static void read_time_zone(struct document *document, struct arena *arena,
                           struct workspace *workspace)
{
    if (!document_has(document, "time_zone")) {
        return;
    }
    workspace->time_zone = document_text(document, "time_zone", LIMIT_NAME_BYTES);
    const char *zone = str_dup_z(arena, workspace->time_zone);
    if (document->status == STATUS_OK && (zone == NULL || !instant_zone_exists(zone))) {
        document_fail(document, "time_zone", "invalid-field",
                      "time_zone is an IANA name like \"Europe/Paris\"");
    }
}

/* What is not named stays as it is. */
static void read_catalogue(struct document *document, struct catalogue_settings *settings)
{
    static const char *const members[] = { "back_in_stock_min", "price_change_percent",
                                           "price_change_amount", "quiet" };
    struct document inner;
    if (!document_open_member(document, "catalogue", &inner)) {
        return;
    }
    document_allow(&inner, members, ARRAY_COUNT(members));
    settings->back_in_stock_min = document_i64(
        &inner, "back_in_stock_min", settings->back_in_stock_min, 1, CATALOGUE_STOCK_MIN_MAX);
    settings->price_percent_hundredths =
        document_hundredths(&inner, "price_change_percent", settings->price_percent_hundredths,
                            CATALOGUE_PERCENT_HUNDREDTHS_MAX);
    settings->price_amount_hundredths =
        document_hundredths(&inner, "price_change_amount", settings->price_amount_hundredths,
                            CATALOGUE_AMOUNT_HUNDREDTHS_MAX);
    settings->quiet_ms =
        document_duration(&inner, "quiet", settings->quiet_ms, 0, CATALOGUE_QUIET_MS_MAX);
    document_close_member(document, "catalogue", &inner);
}

static enum status insert_workspace(const struct resource_request *request, const void *what,
                                    struct problem *problem)
{
    const struct workspace *workspace = what;
    enum status status = workspace_insert(request->pg, request->arena, workspace, problem);
    if (status != STATUS_OK) {
        return resource_name_taken(status, "workspace", workspace->name, problem);
    }
    struct source_row source = {
        .workspace_id = workspace->id,
        .id = id_create(),
        .name = STR("api"),
        .platform = STR("api"),
        .settings_json = STR("{}"),
        .history_since_ms = INSTANT_NONE,
        .created_at_ms = workspace->created_at_ms,
    };
    status = source_insert(request->pg, request->arena, &source, problem);
    return status == STATUS_OK ? rule_store_ship(request->pg, request->arena, workspace->id,
                                                 request->now_ms, problem)
                               : status;
}

enum status resource_workspace_create(const struct resource_request *request,
                                      struct resource_answer *out_answer, struct problem *problem)
{
    static const char *const fields[] = { "name", "title", "currency", "time_zone", "catalogue" };
    struct document CLEANUP(document_close) document = { .root = NULL };
    enum status status = document_open(&document, request->arena, request->body, problem);
    if (status != STATUS_OK) {
        return status;
    }
    document_allow(&document, fields, ARRAY_COUNT(fields));
    struct workspace workspace = {
        .id = id_create(),
        .name = document_name(&document, "name"),
        .title = document_text(&document, "title", LIMIT_TEXT_BYTES),
        .time_zone = STR("UTC"),
        .created_at_ms = request->now_ms,
        .updated_at_ms = request->now_ms,
        .held_at_ms = INSTANT_NONE,
        .catalogue = usual_catalogue,
    };
    document_need(&document, "currency");
    workspace.currency = document_text(&document, "currency", 3);
    if (document.status == STATUS_OK && !money_currency_is_valid(workspace.currency)) {
        document_fail(&document, "currency", "invalid-field",
                      "currency is an ISO 4217 code like \"EUR\"");
    }
    read_time_zone(&document, request->arena, &workspace);
    read_catalogue(&document, &workspace.catalogue);
    int64_t count = 0;
    status = document.status;
    if (status == STATUS_OK) {
        status = workspace_count(request->pg, request->arena, &count, problem);
    }
    if (status == STATUS_OK) {
        status = resource_room(count, LIMIT_WORKSPACES, "workspaces", problem);
    }
    if (status == STATUS_OK && !request->validate_only) {
        status = resource_transact(request, workspace.id, insert_workspace, &workspace, problem);
    }
    if (status == STATUS_OK) {
        status = answer_with(request, &workspace,
                             request->validate_only ? RESOURCE_SHOWN : RESOURCE_CREATED, out_answer,
                             problem);
    }
    if (status == STATUS_OK) {
        out_answer->location =
            str_printf(request->arena, "/v1/workspaces/%.*s", STR_ARG(workspace.name));
    }
    return status;
}

enum status resource_workspace_list(const struct resource_request *request,
                                    struct resource_answer *out_answer, struct problem *problem)
{
    struct page page;
    enum status status = page_open(&page, request, "workspaces", STR(""), problem);
    struct workspace *workspaces = NULL;
    size_t count = 0;
    int64_t total = -1;
    if (status == STATUS_OK) {
        status = workspace_list(request->pg, request->arena, page.cursor, page.size + 1,
                                &workspaces, &count, problem);
    }
    if (status == STATUS_OK && request->want_total) {
        status = workspace_count(request->pg, request->arena, &total, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct str next = { NULL, 0 };
    for (size_t i = 0; i < count && i < page.size; i++) {
        workspace_write_json(&page.json, &workspaces[i]);
        next = i + 1 == page.size && count > page.size ? workspaces[i].name : next;
    }
    return page_close(&page, next, total, true, out_answer, problem);
}

enum status workspace_find_visible(const struct resource_request *request,
                                   struct workspace *out_workspace, struct problem *problem)
{
    struct workspace workspace = { 0 };
    enum status status =
        workspace_find(request->pg, request->arena, request->name, &workspace, problem);
    if (status == STATUS_OK && !resource_may(request, SCOPE_INSTANCE) &&
        !id_equal(workspace.id, request->principal->workspace_id)) {
        status = STATUS_MISSING;
    }
    if (status != STATUS_OK) {
        return resource_missing(status, "workspace", request->name, problem);
    }
    *out_workspace = workspace;
    return STATUS_OK;
}

enum status resource_workspace_show(const struct resource_request *request,
                                    struct resource_answer *out_answer, struct problem *problem)
{
    struct workspace workspace = { 0 };
    enum status status = workspace_find_visible(request, &workspace, problem);
    if (status != STATUS_OK) {
        return status;
    }
    return answer_with(request, &workspace, RESOURCE_SHOWN, out_answer, problem);
}

static void read_cap(struct document *caps, const char *channel, struct workspace *workspace)
{
    static const char *const members[] = { "count", "per" };
    struct workspace_cap cap = { .channel = str_from_z(channel) };
    struct document inner;
    if (!document_open_member(caps, channel, &inner)) {
        return;
    }
    document_allow(&inner, members, ARRAY_COUNT(members));
    document_need(&inner, "count");
    document_need(&inner, "per");
    cap.count = document_i64(&inner, "count", 1, 1, TRIGGER_CAP_MAX);
    cap.per_ms = document_duration(&inner, "per", 0, INSTANT_SECOND_MS, 366 * INSTANT_DAY_MS);
    document_close_member(caps, channel, &inner);
    workspace->caps[workspace->cap_count++] = cap;
}

/* {"email": {"count": 2, "per": "1d"}} */
static void read_caps(struct document *document, struct workspace *workspace)
{
    struct document caps;
    if (!document_open_member(document, "caps", &caps)) {
        return;
    }
    document_allow(&caps, CHANNELS, ARRAY_COUNT(CHANNELS));
    workspace->cap_count = 0;
    for (size_t i = 0; i < ARRAY_COUNT(CHANNELS); i++) {
        read_cap(&caps, CHANNELS[i], workspace);
    }
    document_close_member(document, "caps", &caps);
}

static enum status update_workspace(const struct resource_request *request, const void *what,
                                    struct problem *problem)
{
    const struct workspace *workspace = what;
    enum status status = workspace_update(request->pg, request->arena, workspace, problem);
    if (status == STATUS_OK) {
        status = workspace_set_caps(request->pg, request->arena, workspace, problem);
    }
    return status == STATUS_OK ? rule_store_ship(request->pg, request->arena, workspace->id,
                                                 request->now_ms, problem)
                               : status;
}

enum status resource_workspace_update(const struct resource_request *request,
                                      struct resource_answer *out_answer, struct problem *problem)
{
    static const char *const fields[] = { "title", "time_zone", "catalogue", "caps" };
    struct workspace workspace = { 0 };
    enum status status = workspace_find_visible(request, &workspace, problem);
    if (status != STATUS_OK) {
        return status;
    }
    struct document CLEANUP(document_close) document = { .root = NULL };
    status = document_open(&document, request->arena, request->body, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (document_has(&document, "name") || document_has(&document, "currency")) {
        document_fail(&document, document_has(&document, "name") ? "name" : "currency",
                      "invalid-field", "a workspace's name and currency never change");
    }
    document_allow(&document, fields, ARRAY_COUNT(fields));
    if (document_has(&document, "title")) {
        workspace.title = document_text(&document, "title", LIMIT_TEXT_BYTES);
    }
    read_time_zone(&document, request->arena, &workspace);
    read_catalogue(&document, &workspace.catalogue);
    read_caps(&document, &workspace);
    workspace.updated_at_ms = request->now_ms;
    status = document.status;
    if (status == STATUS_OK && !request->validate_only) {
        status = resource_transact(request, workspace.id, update_workspace, &workspace, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    return answer_with(request, &workspace, RESOURCE_CHANGED, out_answer, problem);
}
