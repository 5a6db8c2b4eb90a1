#include <time.h>

#include <jansson.h>

#include "app/app.h"
#include "app/commands.h"
#include "app/instant_option.h"
#include "app/replay_run.h"
#include "app/resource_command.h"
#include "base/clock.h"
#include "base/instant.h"
#include "base/jsonw.h"

/*
 * shopbell quarantine, and replays.
 *
 * A replay is a job like one asked for by REST, so it can be watched, cancelled and
 * gone on with after a crash. Whoever comes first works on it: a server, or this
 * command, which then needs none. Either way the command waits for its end.
 */

enum {
    BODY_BYTES = 16 * 1024,
    WAIT_MS = 200,
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

static struct id id_in(struct str json)
{
    struct id id = ID_ZERO;
    json_t *root = json_loadb(json.data, json.size, 0, NULL);
    const char *text = json_string_value(json_object_get(root, "id"));
    (void)(text != NULL && id_parse(str_from_z(text), &id));
    json_decref(root);
    return id;
}

static enum status work_once(struct cli *cli, const struct replay_config *config,
                             struct id workspace_id, struct problem *problem)
{
    struct job job;
    int64_t now_ms = clock_now_ms();
    enum status status = job_claim(cli->pg, cli->arena, workspace_id, REPLAY_JOB, config->owner,
                                   now_ms, now_ms + REPLAY_LEASE_MS, &job, problem);
    if (status == STATUS_OK) {
        return replay_run(config, &job, problem);
    }
    const struct timespec pause = { .tv_nsec = WAIT_MS * 1000000L };
    nanosleep(&pause, NULL);
    return status == STATUS_MISSING ? STATUS_OK : status;
}

static enum status await_end(struct cli *cli, struct registry *registry, struct id workspace_id,
                             struct id job_id, struct job *out_job, struct problem *problem)
{
    const struct replay_config config = {
        .database_url = cli->database_url,
        .registry = registry,
        .owner = id_create(),
        .pg = cli->pg,
    };
    for (;;) {
        enum status status = job_find(cli->pg, cli->arena, workspace_id, job_id, out_job, problem);
        if (status != STATUS_OK || out_job->status > JOB_RUNNING) {
            return status;
        }
        status = work_once(cli, &config, workspace_id, problem);
        if (status != STATUS_OK) {
            return status;
        }
    }
}

static enum status work_and_wait(struct cli *cli, struct resource_request *request,
                                 struct id job_id, struct problem *problem)
{
    struct job job;
    struct registry *registry = NULL;
    struct resource_answer answer = { .effect = RESOURCE_SHOWN };
    char id[ID_TEXT_SIZE];
    enum status status = registry_create(cli->database_url, cli->seal, app_parse_source, &registry);
    if (status == STATUS_OK) {
        status = registry_refresh(registry, true, problem);
    }
    if (status == STATUS_OK) {
        status = await_end(cli, registry, request->principal->workspace_id, job_id, &job, problem);
    }
    registry_destroy(registry);
    if (status != STATUS_OK) {
        return status;
    }
    id_format(job_id, id);
    request->name = str_from_z(id);
    status = resource_job_show(request, &answer, problem);
    if (status == STATUS_OK) {
        status = resource_show(cli, answer.json, NULL, problem);
    }
    if (status == STATUS_OK && job.status != JOB_SUCCEEDED) {
        return problem_set(problem, STATUS_BROKEN, "job", "the replay %s%s%.*s",
                           job_status_name(job.status), job.error.size > 0 ? ": " : "",
                           STR_ARG(str_take_text(job.error, 400)));
    }
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
    return status == STATUS_OK ? work_and_wait(cli, &request, id_in(answer.json), problem) : status;
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
