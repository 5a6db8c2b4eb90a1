#include <time.h>

#include <jansson.h>

#include "app/commands.h"
#include "app/instant_option.h"
#include "app/resource_command.h"
#include "base/jsonw.h"
#include "base/limits.h"
#include "sweep/delivery_replay.h"

/*
 * shopbell delivery: what waits to be sent, and sending again.
 *
 * A replay of many is a job. A server has it in hand within a second; where none
 * runs, this command does the work itself, and either way it waits for the end.
 */

enum {
    BODY_BYTES = 16 * 1024,
    WAIT_MS = 200,
    STEP_ARENA_BYTES = 16 * 1024 * 1024,
};

enum status command_delivery_list(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = {
        .run = resource_delivery_list,
        .columns = "subscription,status,topic,attempts,due_at,last_attempt.error,notification_id",
    };
    struct api api;
    struct principal principal;
    struct resource_request request;
    const struct arguments *arguments = cli->arguments;
    enum status status = resource_open(cli, false, &api, &principal, &request, problem);
    if (status != STATUS_OK) {
        return status;
    }
    request.subscription = str_from_z(arguments_value(arguments, "subscription"));
    request.topic = str_from_z(arguments_value(arguments, "topic"));
    request.profile = str_from_z(arguments_value(arguments, "profile"));
    request.state = str_from_z(arguments_value(arguments, "status"));
    return resource_pages(cli, &command, &request, problem);
}

/* --- replay ---------------------------------------------------------------------- */

static enum status write_body(const struct cli *cli, bool is_one, struct str *out_body,
                              struct problem *problem)
{
    struct buf buf;
    struct jsonw json;
    const char *status_name = arguments_value(cli->arguments, "status");
    const char *subscription = arguments_value(cli->arguments, "subscription");
    enum status status = STATUS_OK;
    buf_init(&buf, cli->arena, BODY_BYTES);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    if (is_one && subscription != NULL) {
        jsonw_put_z(&json, "subscription", subscription);
    }
    if (!is_one && status_name != NULL) {
        jsonw_put_z(&json, "status", status_name);
    }
    if (!is_one) {
        status = instant_option_write(cli, &json, "since", problem);
    }
    if (!is_one && status == STATUS_OK) {
        status = instant_option_write(cli, &json, "until", problem);
    }
    jsonw_close(&json);
    *out_body = buf_str(&buf);
    return status;
}

static struct id id_in(struct str json)
{
    struct id id = ID_ZERO;
    json_t *root = json_loadb(json.data, json.size, 0, NULL);
    const char *text = json_string_value(json_object_get(root, "id"));
    (void)(text != NULL && id_parse(str_from_z(text), &id));
    json_decref(root);
    return id;
}

static void rest(void)
{
    const struct timespec pause = { .tv_nsec = WAIT_MS * 1000000L };
    nanosleep(&pause, NULL);
}

static enum status await_end(struct cli *cli, struct id workspace_id, struct id job_id,
                             struct job *out_job, struct problem *problem)
{
    CLEANUP(arena_destroy_at) struct arena *work = arena_create(STEP_ARENA_BYTES);
    struct delivery_replay replay = { .instance_id = id_create(), .pg = cli->pg, .arena = work };
    if (work == NULL) {
        return problem_set(problem, STATUS_LIMIT, "internal", "no memory");
    }
    for (;;) {
        bool worked = false;
        enum status status = job_find(cli->pg, cli->arena, workspace_id, job_id, out_job, problem);
        if (status != STATUS_OK || out_job->status > JOB_RUNNING) {
            return status;
        }
        status = delivery_replay_step(&replay, &worked, problem);
        if (status != STATUS_OK && status != STATUS_RETRY && status != STATUS_CONFLICT) {
            return status;
        }
        if (!worked) {
            rest();
        }
    }
}

static enum status show_job(struct cli *cli, struct resource_request *request, struct id job_id,
                            struct problem *problem)
{
    struct job job;
    struct resource_answer answer = { .effect = RESOURCE_SHOWN };
    char id[ID_TEXT_SIZE];
    enum status status = await_end(cli, request->principal->workspace_id, job_id, &job, problem);
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

enum status command_delivery_replay(struct cli *cli, struct problem *problem)
{
    struct api api;
    struct principal principal;
    struct resource_request request;
    struct resource_answer answer = { .effect = RESOURCE_SHOWN };
    const char *one = arguments_positional(cli->arguments, 0);
    const char *subscription = arguments_value(cli->arguments, "subscription");
    if (one == NULL && (subscription == NULL || !arguments_has(cli->arguments, "since"))) {
        return problem_set(problem, STATUS_INVALID, "usage",
                           "which? A notification's ID, or --subscription NAME --since "
                           "INSTANT|DURATION");
    }
    enum status status = resource_open(cli, false, &api, &principal, &request, problem);
    if (status == STATUS_OK) {
        request.name = str_from_z(one != NULL ? one : subscription);
        status = write_body(cli, one != NULL, &request.body, problem);
    }
    if (status == STATUS_OK) {
        resource_fn *ask =
            one != NULL ? resource_notification_replay : resource_subscription_replay;
        status = ask(&request, &answer, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    return one != NULL ? resource_show(cli, answer.json, NULL, problem)
                       : show_job(cli, &request, id_in(answer.json), problem);
}
