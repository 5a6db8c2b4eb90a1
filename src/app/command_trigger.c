#include "app/commands.h"
#include "app/file.h"
#include "app/resource_command.h"

/*
 * shopbell trigger: what rings, when, and what came of it.
 *
 * A trigger is kept as a JSON file, in the form that `trigger show --json` prints, so
 * that it can live in git beside the rules it rests on.
 */

enum {
    FILE_BYTES_MAX = 1024 * 1024
};

enum status command_trigger_list(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = {
        .run = resource_trigger_list,
        .columns = "name,mode,topic,paused_at,version,title",
    };
    return resource_command(cli, &command, problem);
}

enum status command_trigger_show(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = { .run = resource_trigger_show };
    return resource_command(cli, &command, problem);
}

enum status command_trigger_delete(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = {
        .run = resource_trigger_delete,
        .confirm = "deletes the trigger, what was counted of it, and whom it has rung",
        .done = "deleted",
    };
    return resource_command(cli, &command, problem);
}

enum status command_trigger_pause(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = { .run = resource_trigger_pause };
    return resource_command(cli, &command, problem);
}

enum status command_trigger_resume(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = { .run = resource_trigger_resume };
    return resource_command(cli, &command, problem);
}

enum status command_trigger_outcomes(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = { .run = resource_trigger_outcomes };
    return resource_command(cli, &command, problem);
}

enum status command_trigger_set(struct cli *cli, struct problem *problem)
{
    struct api api;
    struct principal principal;
    struct resource_request request;
    struct resource_answer answer = { .effect = RESOURCE_SHOWN };
    struct str body = { NULL, 0 };
    enum status status = file_read_or_stdin(cli->arena, arguments_positional(cli->arguments, 1),
                                            FILE_BYTES_MAX, &body, problem);
    if (status == STATUS_OK) {
        status = resource_open(cli, false, &api, &principal, &request, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    request.validate_only = arguments_has(cli->arguments, "dry-run");
    request.name = str_from_z(arguments_positional(cli->arguments, 0));
    request.body = body;
    status = resource_trigger_put(&request, &answer, problem);
    return status == STATUS_OK ? resource_show(cli, answer.json, NULL, problem) : status;
}
