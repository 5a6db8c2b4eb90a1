#include "app/commands.h"
#include "app/resource_command.h"

/*
 * shopbell hold, release: the brake. The workspace is --workspace's, as
 * everywhere, so that the words are as short as the moment asks for.
 */

static const struct command_field hold_fields[] = {
    { "reason", "reason", FIELD_TEXT },
    { NULL, NULL, FIELD_TEXT },
};

static const struct command_field release_fields[] = {
    { "drop-older-than", "drop_older_than", FIELD_TEXT },
    { NULL, NULL, FIELD_TEXT },
};

static enum status move_brake(struct cli *cli, resource_fn *run, const struct command_field *fields,
                              struct problem *problem)
{
    struct api api;
    struct principal principal;
    struct resource_request request;
    struct resource_answer answer = { .effect = RESOURCE_SHOWN };
    enum status status = resource_open(cli, false, &api, &principal, &request, problem);
    if (status == STATUS_OK) {
        request.name = principal.workspace_name;
        status = resource_body(cli, fields, NULL, &request.body, problem);
    }
    if (status == STATUS_OK) {
        status = run(&request, &answer, problem);
    }
    return status == STATUS_OK ? resource_show(cli, answer.json, NULL, problem) : status;
}

enum status command_hold(struct cli *cli, struct problem *problem)
{
    return move_brake(cli, resource_workspace_hold, hold_fields, problem);
}

enum status command_release(struct cli *cli, struct problem *problem)
{
    const char *age = arguments_value(cli->arguments, "drop-older-than");
    if (age != NULL) {
        enum status status =
            cli_confirm(cli, "drops what waits for longer than that", age, problem);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return move_brake(cli, resource_workspace_release, release_fields, problem);
}
