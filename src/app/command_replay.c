#include "app/app.h"
#include "app/commands.h"
#include "app/instant_option.h"
#include "app/replay_run.h"
#include "app/replay_wait.h"
#include "app/resource_command.h"
#include "base/clock.h"
#include "base/instant.h"
#include "base/jsonw.h"

/*
 * shopbell quarantine, and replays of webhooks, which are jobs.
 */

enum {
    BODY_BYTES = 16 * 1024,
    JOB_ARENA_BYTES = 1024 * 1024,
};

enum status command_quarantine_list(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = {
        .run = resource_quarantine_list,
        .columns = "id,received_at,source,topic,body_bytes,reason",
    };
    struct api api;
    struct principal principal;
    struct resource_request request;
    enum status status = resource_open(cli, false, &api, &principal, &request, problem);
    if (status != STATUS_OK) {
        return status;
    }
    request.source = str_from_z(arguments_value(cli->arguments, "source"));
    return resource_pages(cli, &command, &request, problem);
}

enum status command_quarantine_show(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = { .run = resource_quarantine_show };
    return resource_command(cli, &command, problem);
}

/* --- what is asked for ------------------------------------------------------------ */

static enum status write_body(const struct cli *cli, bool names_source, struct str *out_body,
                              struct problem *problem)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, cli->arena, BODY_BYTES);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    jsonw_put_bool(&json, "dry_run", arguments_has(cli->arguments, "dry-run"));
    if (names_source && arguments_has(cli->arguments, "source")) {
        jsonw_put_z(&json, "source", arguments_value(cli->arguments, "source"));
    }
    if (arguments_has(cli->arguments, "topic")) {
        jsonw_put_z(&json, "topic", arguments_value(cli->arguments, "topic"));
    }
    enum status status = instant_option_write(cli, &json, "since", problem);
    if (status == STATUS_OK) {
        status = instant_option_write(cli, &json, "until", problem);
    }
    jsonw_close(&json);
    *out_body = buf_str(&buf);
    return status;
}

/* --- working on it, and waiting --------------------------------------------------- */

struct working {
    struct replay_config config;
    struct arena *arena;
    struct id workspace_id;
};

static enum status step(void *context, bool *out_worked, struct problem *problem)
{
    const struct working *working = context;
    const struct replay_config *config = &working->config;
    struct job job;
    int64_t now_ms = clock_now_ms();
    arena_reset(working->arena);
    enum status status = job_claim(config->pg, working->arena, working->workspace_id, REPLAY_JOB,
                                   config->owner, now_ms, now_ms + REPLAY_LEASE_MS, &job, problem);
    if (status == STATUS_OK) {
        *out_worked = true;
        return replay_run(config, &job, problem);
    }
    return status == STATUS_MISSING ? STATUS_OK : status;
}

static enum status work_and_wait(struct cli *cli, struct resource_request *request, struct str made,
                                 struct problem *problem)
{
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(JOB_ARENA_BYTES);
    struct registry *registry = NULL;
    if (arena == NULL) {
        return problem_set(problem, STATUS_LIMIT, "internal", "no memory");
    }
    enum status status = registry_create(cli->database_url, cli->seal, app_parse_source, &registry);
    if (status == STATUS_OK) {
        status = registry_refresh(registry, true, problem);
    }
    if (status == STATUS_OK) {
        struct working working = {
            .config = { .database_url = cli->database_url,
                        .registry = registry,
                        .owner = id_create(),
                        .pg = cli->pg },
            .arena = arena,
            .workspace_id = request->principal->workspace_id,
        };
        status = replay_wait(cli, request, made, step, &working, problem);
    }
    registry_destroy(registry);
    return status;
}

static enum status replay(struct cli *cli, resource_fn *ask, bool names_source, const char *name,
                          struct problem *problem)
{
    struct api api;
    struct principal principal;
    struct resource_request request;
    struct resource_answer answer = { .effect = RESOURCE_SHOWN };
    enum status status = resource_open(cli, false, &api, &principal, &request, problem);
    if (status == STATUS_OK) {
        request.name = str_from_z(name);
        status = write_body(cli, names_source, &request.body, problem);
    }
    if (status == STATUS_OK) {
        status = ask(&request, &answer, problem);
    }
    return status == STATUS_OK ? work_and_wait(cli, &request, answer.json, problem) : status;
}

enum status command_quarantine_replay(struct cli *cli, struct problem *problem)
{
    const char *id = arguments_positional(cli->arguments, 0);
    return replay(cli, resource_quarantine_replay, true, id, problem);
}

enum status command_replay(struct cli *cli, struct problem *problem)
{
    const char *source = arguments_value(cli->arguments, "source");
    if (source == NULL || !arguments_has(cli->arguments, "since")) {
        return problem_set(problem, STATUS_INVALID, "usage",
                           "which webhooks? --source NAME --since INSTANT|DURATION");
    }
    return replay(cli, resource_source_replay, false, source, problem);
}
