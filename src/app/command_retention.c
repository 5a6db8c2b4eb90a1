#include <time.h>

#include "app/app.h"
#include "app/cli.h"
#include "app/commands.h"
#include "base/clock.h"
#include "base/instant.h"
#include "base/jsonw.h"
#include "base/limits.h"
#include "store/job_store.h"
#include "store/migrate.h"
#include "store/profile_base.h"
#include "sweep/retain.h"

/*
 * shopbell retention run: what a server does every hour, now. Of the whole
 * installation, since a day or a month is of all workspaces at once.
 *
 * The folding is a job a workspace, here as there: where a server has taken it,
 * this waits for it to end.
 */

enum {
    RETENTION_JSON_BYTES = 4 * 1024 * 1024,
    RETENTION_PAUSE_MS = 100,
};

struct retention {
    struct cli *cli;
    struct registry *registry;
    struct jsonw json;
    int64_t now_ms;
    int64_t keep_ms;   /* of interactions */
    int64_t before_ms; /* the month they are kept from; INSTANT_NONE: for ever */
};

/* --- saying --------------------------------------------------------------------- */

static void say_day(struct retention *retention, struct str name)
{
    if (retention->cli->is_json) {
        jsonw_str(&retention->json, name);
    } else {
        cli_print("%.*s\n", STR_ARG(name));
    }
}

static void say_expiring(void *user, struct str name)
{
    say_day(user, name);
}

static void say_left(struct retention *retention, const struct registry_workspace *workspace,
                     const char *what, const struct base_left *left)
{
    char before[INSTANT_TEXT_SIZE];
    instant_format(retention->before_ms, before);
    if (retention->cli->is_json) {
        jsonw_open(&retention->json);
        jsonw_put_str(&retention->json, "workspace", workspace->name);
        jsonw_put_instant(&retention->json, "before", retention->before_ms);
        jsonw_put_i64(&retention->json, "interactions", left->facts);
        jsonw_put_i64(&retention->json, "profiles", left->origins);
        jsonw_close(&retention->json);
    } else {
        cli_print("%.*s: %lld interactions of %lld profiles before %.10s %s\n",
                  STR_ARG(workspace->name), (long long)left->facts, (long long)left->origins,
                  before, what);
    }
}

/* --- interactions ---------------------------------------------------------------- */

static enum status count_all(struct retention *retention, const struct registry_snapshot *snapshot,
                             struct base_left *lefts, struct problem *problem)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK; i++) {
        const struct registry_workspace *workspace = snapshot_workspace_at(snapshot, i);
        if (workspace == NULL) {
            break;
        }
        status = base_count_left(retention->cli->pg, retention->cli->arena, workspace->id,
                                 retention->before_ms, &lefts[i], problem);
    }
    return status;
}

static void pause_ms(long ms)
{
    const struct timespec pause = { ms / 1000, ms % 1000 * 1000000 };
    (void)nanosleep(&pause, NULL);
}

static enum status count_open(struct retention *retention, const struct registry_snapshot *snapshot,
                              size_t *out_open, struct problem *problem)
{
    enum status status = STATUS_OK;
    *out_open = 0;
    for (size_t i = 0; status == STATUS_OK; i++) {
        const struct registry_workspace *workspace = snapshot_workspace_at(snapshot, i);
        struct job job;
        if (workspace == NULL) {
            break;
        }
        status = job_open_of(retention->cli->pg, retention->cli->arena, workspace->id,
                             STR("retention"), &job, problem);
        *out_open += status == STATUS_OK ? 1 : 0;
        status = status == STATUS_MISSING ? STATUS_OK : status;
    }
    return status;
}

static enum status fold_all(struct retention *retention, struct retain *retain,
                            const struct registry_snapshot *snapshot, struct problem *problem)
{
    size_t open = 0;
    enum status status = retain_look(retain, &open, problem);
    if (status == STATUS_OK) {
        status = count_open(retention, snapshot, &open, problem);
    }
    while (status == STATUS_OK && open > 0) {
        bool worked = false;
        retain->idle_until_ms = 0;
        status = retain_step(retain, &worked, problem);
        if (status == STATUS_OK && !worked) {
            pause_ms(RETENTION_PAUSE_MS);
            arena_reset(retain->arena);
            status = count_open(retention, snapshot, &open, problem);
        }
    }
    return status;
}

static enum status fold(struct retention *retention, const struct registry_snapshot *snapshot,
                        struct problem *problem)
{
    struct retain retain = { .registry = retention->registry,
                             .instance_id = id_create(),
                             .arena = arena_create(LIMIT_ARENA_BATCH_BYTES),
                             .keep_ms = retention->keep_ms };
    if (retain.arena == NULL ||
        pg_open(retention->cli->database_url, true, &retain.pg) != STATUS_OK) {
        arena_destroy(retain.arena);
        return problem_set(problem, STATUS_LIMIT, "internal", "no memory");
    }
    enum status status = fold_all(retention, &retain, snapshot, problem);
    size_t merged = 0;
    if (status == STATUS_OK) {
        status = partition_merge_history(retain.pg, retention->before_ms, &merged, problem);
    }
    pg_close(retain.pg);
    arena_destroy(retain.arena);
    return status;
}

static enum status run_interactions(struct retention *retention,
                                    const struct registry_snapshot *snapshot, bool is_dry,
                                    struct problem *problem)
{
    size_t count = 0;
    while (snapshot_workspace_at(snapshot, count) != NULL) {
        count++;
    }
    struct base_left *before = ARENA_NEW_ARRAY(retention->cli->arena, count + 1, struct base_left);
    struct base_left *after = ARENA_NEW_ARRAY(retention->cli->arena, count + 1, struct base_left);
    if (before == NULL || after == NULL) {
        return problem_set(problem, STATUS_LIMIT, "internal", "no memory");
    }
    enum status status = count_all(retention, snapshot, before, problem);
    if (status == STATUS_OK && !is_dry) {
        status = fold(retention, snapshot, problem);
    }
    if (status == STATUS_OK && !is_dry) {
        status = count_all(retention, snapshot, after, problem);
    }
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        const struct base_left gone = { .facts = before[i].facts - after[i].facts,
                                        .origins = before[i].origins - after[i].origins };
        const struct registry_workspace *workspace = snapshot_workspace_at(snapshot, i);
        say_left(retention, workspace, is_dry ? "would be folded" : "are folded", &gone);
        if (!is_dry && after[i].facts > 0 && !retention->cli->is_json) {
            cli_print(
                "%.*s: %lld are left: their customers are in use or not at the newest rules\n",
                STR_ARG(workspace->name), (long long)after[i].facts);
        }
    }
    return status;
}

/* --- both -------------------------------------------------------------------------- */

static enum status run_days(struct retention *retention, bool is_dry, struct problem *problem)
{
    const struct config *config = &retention->cli->config;
    const struct partition_keep keep = {
        .now_ms = retention->now_ms,
        .webhook_ms = config->numbers[CONFIG_RETENTION_WEBHOOK],
        .attempt_ms = config->numbers[CONFIG_RETENTION_ATTEMPT],
        .notification_ms = config->numbers[CONFIG_RETENTION_NOTIFICATION],
    };
    enum status status = partition_expiring(retention->cli->pg, retention->cli->arena, &keep,
                                            say_expiring, retention, problem);
    return status == STATUS_OK && !is_dry ? partition_expire(retention->cli->pg, &keep, problem)
                                          : status;
}

static enum status run(struct retention *retention, struct problem *problem)
{
    struct buf buf;
    bool is_dry = arguments_has(retention->cli->arguments, "dry-run");
    enum status status = registry_refresh(retention->registry, true, problem);
    if (status != STATUS_OK) {
        return status;
    }
    const struct registry_snapshot *snapshot = registry_hold(retention->registry);
    buf_init(&buf, retention->cli->arena, RETENTION_JSON_BYTES);
    jsonw_begin(&retention->json, &buf);
    jsonw_open(&retention->json);
    jsonw_put_bool(&retention->json, "dry_run", is_dry);
    jsonw_key(&retention->json, "workspaces");
    jsonw_open_array(&retention->json);
    if (retention->keep_ms > 0) {
        status = run_interactions(retention, snapshot, is_dry, problem);
    }
    jsonw_close_array(&retention->json);
    jsonw_key(&retention->json, "partitions");
    jsonw_open_array(&retention->json);
    if (status == STATUS_OK) {
        status = run_days(retention, is_dry, problem);
    }
    jsonw_close_array(&retention->json);
    jsonw_close(&retention->json);
    registry_release(retention->registry, snapshot);
    if (status == STATUS_OK && retention->cli->is_json) {
        cli_print_str(buf_str(&buf));
        cli_print("\n");
    }
    return status;
}

enum status command_retention_run(struct cli *cli, struct problem *problem)
{
    struct retention retention = { .cli = cli, .now_ms = clock_now_ms() };
    enum status status =
        cli_open(cli, CLI_NEEDS_DATABASE | CLI_NEEDS_SCHEMA | CLI_NEEDS_SEAL, problem);
    if (status == STATUS_OK) {
        status =
            registry_create(cli->database_url, cli->seal, app_parse_source, &retention.registry);
    }
    if (status == STATUS_OK) {
        retention.keep_ms = cli->config.numbers[CONFIG_RETENTION_INTERACTION];
        retention.before_ms = retain_before(retention.now_ms, retention.keep_ms);
        status = run(&retention, problem);
    }
    registry_destroy(retention.registry);
    return status;
}
