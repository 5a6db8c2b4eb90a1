#include "app/commands.h"
#include "app/render.h"
#include "app/resource_command.h"
#include "app/version.h"
#include "base/clock.h"
#include "base/instant.h"
#include "base/jsonw.h"
#include "base/limits.h"
#include "store/pg.h"
#include "store/workspace.h"

/*
 * shopbell status: one screen that answers "is it ringing?": each workspace
 * with its senders and subscribers, and what waits to be delivered.
 *
 * It reads the database, so it works beside a server as well as without; what
 * only a process knows (its backlog in memory) is in that process's /metrics.
 */

enum {
    STATUS_BYTES_MAX = 8 * 1024 * 1024,
    WORKSPACES_SHOWN = 50
};

static const struct pg_statement pending_read = {
    .name = "status_pending",
    .sql = "SELECT count(*), count(*) FILTER (WHERE due_at < $2), min(due_at) FROM delivery "
           "WHERE workspace_id = $1",
};

struct pending {
    int64_t count;
    int64_t late_count; /* due for more than a minute */
    int64_t oldest_due_ms;
};

static enum status pending_of(struct cli *cli, struct id workspace_id, struct pending *out_pending,
                              struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, cli->arena);
    pg_put_id(&params, workspace_id);
    pg_put_instant(&params, clock_now_ms() - INSTANT_MINUTE_MS);
    enum status status = pg_run(cli->pg, cli->arena, &pending_read, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    *out_pending = (struct pending){
        .count = pg_get_i64(result, 0, 0),
        .late_count = pg_get_i64(result, 0, 1),
        .oldest_due_ms = pg_get_instant(result, 0, 2),
    };
    return STATUS_OK;
}

static enum status list_of(struct resource_request *request, resource_fn *run, struct str *out_json,
                           struct problem *problem)
{
    struct resource_answer answer = { .effect = RESOURCE_SHOWN };
    enum status status = run(request, &answer, problem);
    if (status == STATUS_OK) {
        *out_json = answer.json;
    }
    return status;
}

static void write_workspace(const struct cli *cli, struct jsonw *json, struct buf *text,
                            const struct workspace *workspace, const struct pending *pending,
                            struct str sources, struct str subscriptions)
{
    if (cli->is_json) {
        jsonw_open(json);
        jsonw_put_str(json, "name", workspace->name);
        jsonw_put_bool(json, "held", workspace->held_at_ms != INSTANT_NONE);
        jsonw_put_instant(json, "held_at", workspace->held_at_ms);
        jsonw_put_str_or_null(json, "held_reason", workspace->held_reason);
        jsonw_put_i64(json, "pending_deliveries", pending->count);
        jsonw_put_i64(json, "late_deliveries", pending->late_count);
        jsonw_put_instant(json, "oldest_due_at", pending->oldest_due_ms);
        jsonw_put_raw(json, "sources", sources);
        jsonw_put_raw(json, "subscriptions", subscriptions);
        jsonw_close(json);
        return;
    }
    bool is_held = workspace->held_at_ms != INSTANT_NONE;
    bool has_reason = workspace->held_reason.size > 0;
    buf_printf(text, "\n%s%.*s%s%s%s%.*s%s  %lld waiting to be delivered, %lld of them late\n\n",
               cli->has_color ? "\033[1m" : "", STR_ARG(workspace->name),
               cli->has_color ? "\033[0m" : "", is_held ? " (held" : "", has_reason ? ": " : "",
               STR_ARG(workspace->held_reason), is_held ? ")" : "", (long long)pending->count,
               (long long)pending->late_count);
    render_table(sources, "name,platform,status,health.state,health.last_delivery_at",
                 cli->has_color, text);
    buf_add_char(text, '\n');
    render_table(subscriptions, "name,status,topics,stats.pending,stats.success_24h",
                 cli->has_color, text);
}

static enum status add_workspace(struct cli *cli, struct resource_request *request,
                                 const struct workspace *workspace, struct jsonw *json,
                                 struct buf *text, struct problem *problem)
{
    struct principal principal = *request->principal;
    struct pending pending = { 0 };
    struct str sources = { NULL, 0 };
    struct str subscriptions = { NULL, 0 };
    struct resource_request narrowed = *request;
    principal.workspace_id = workspace->id;
    principal.workspace_name = workspace->name;
    principal.scopes &= ~(uint32_t)SCOPE_INSTANCE;
    narrowed.principal = &principal;
    enum status status = pending_of(cli, workspace->id, &pending, problem);
    if (status == STATUS_OK) {
        status = list_of(&narrowed, resource_source_list, &sources, problem);
    }
    if (status == STATUS_OK) {
        status = list_of(&narrowed, resource_subscription_list, &subscriptions, problem);
    }
    if (status == STATUS_OK) {
        write_workspace(cli, json, text, workspace, &pending, sources, subscriptions);
    }
    return status;
}

/* All of them, or the one that --workspace names. */
static enum status workspaces_choose(struct cli *cli, struct workspace **out_workspaces,
                                     size_t *out_count, struct problem *problem)
{
    if (!arguments_has(cli->arguments, "workspace")) {
        return workspace_list(cli->pg, cli->arena, (struct str){ NULL, 0 }, WORKSPACES_SHOWN,
                              out_workspaces, out_count, problem);
    }
    struct workspace *workspace = ARENA_NEW(cli->arena, struct workspace);
    enum status status = workspace != NULL ? cli_workspace(cli, workspace, problem) : STATUS_LIMIT;
    if (status == STATUS_OK) {
        *out_workspaces = workspace;
        *out_count = 1;
    }
    return status;
}

enum status command_status(struct cli *cli, struct problem *problem)
{
    struct api api;
    struct principal principal;
    struct resource_request request;
    struct workspace *workspaces = NULL;
    size_t count = 0;
    enum status status = resource_open(cli, true, &api, &principal, &request, problem);
    if (status == STATUS_OK) {
        status = workspaces_choose(cli, &workspaces, &count, problem);
    }
    struct buf text;
    struct jsonw json;
    buf_init(&text, cli->arena, STATUS_BYTES_MAX);
    jsonw_begin(&json, &text);
    if (cli->is_json) {
        jsonw_open(&json);
        jsonw_put_z(&json, "version", SHOPBELL_VERSION);
        jsonw_put_z(&json, "public_url", cli->public_url);
        jsonw_key(&json, "workspaces");
        jsonw_open_array(&json);
    } else {
        buf_printf(&text, "shopbell %s at %s, %zu workspace%s\n", SHOPBELL_VERSION,
                   cli->public_url != NULL ? cli->public_url : "-", count, count == 1 ? "" : "s");
    }
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        status = add_workspace(cli, &request, &workspaces[i], &json, &text, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (cli->is_json) {
        jsonw_close_array(&json);
        jsonw_close(&json);
        buf_add_char(&text, '\n');
    } else if (count == 0) {
        buf_add_z(&text, "\nNothing yet: shopbell workspace create NAME --currency EUR\n");
    }
    cli_print_str(buf_str(&text));
    return STATUS_OK;
}
