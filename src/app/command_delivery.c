#include "app/commands.h"
#include "app/instant_option.h"
#include "app/replay_wait.h"
#include "app/resource_command.h"
#include "base/jsonw.h"
#include "base/limits.h"
#include "sweep/delivery_replay.h"

/*
 * shopbell delivery: what waits to be sent, and sending again.
 *
 * A replay of many is a job, which a server has in hand within a second.
 */

enum {
    BODY_BYTES = 16 * 1024,
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

/* A step that another worker or a lost connection stopped is done anew. */
static enum status step(void *context, bool *out_worked, struct problem *problem)
{
    enum status status = delivery_replay_step(context, out_worked, problem);
    return status == STATUS_RETRY || status == STATUS_CONFLICT ? STATUS_OK : status;
}

static enum status work_and_wait(struct cli *cli, struct resource_request *request, struct str made,
                                 struct problem *problem)
{
    CLEANUP(arena_destroy_at) struct arena *work = arena_create(STEP_ARENA_BYTES);
    struct delivery_replay replay = { .instance_id = id_create(), .pg = cli->pg, .arena = work };
    if (work == NULL) {
        return problem_set(problem, STATUS_LIMIT, "internal", "no memory");
    }
    return replay_wait(cli, request, made, step, &replay, problem);
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
                       : work_and_wait(cli, &request, answer.json, problem);
}
