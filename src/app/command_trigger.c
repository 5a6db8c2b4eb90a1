#include "app/commands.h"
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
    static const struct resource_command command = {
        .run = resource_trigger_put,
        .file_bytes_max = FILE_BYTES_MAX,
    };
    return resource_command(cli, &command, problem);
}
