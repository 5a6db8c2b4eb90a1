#include "app/commands.h"
#include "app/resource_command.h"

/*
 * shopbell subscription: who is told of what.
 */

static const struct command_field subscription_fields[] = {
    { "url", "url", FIELD_TEXT },
    { "topic", "topics", FIELD_LIST },
    { "title", "title", FIELD_TEXT },
    { "fields", "fields", FIELD_TEXT },
    { "header", "headers.*", FIELD_PAIRS },
    { "concurrency", "concurrency", FIELD_COUNT },
    { "timeout", "timeout", FIELD_TEXT },
    { "max-age", "max_age", FIELD_TEXT },
    { "signature", "signature", FIELD_LIST },
    { NULL, NULL, FIELD_TEXT },
};

static const struct command_field verify_fields[] = {
    { "challenge", "challenge", FIELD_TEXT },
    { NULL, NULL, FIELD_TEXT },
};

static const struct command_field rotate_fields[] = {
    { "overlap", "overlap", FIELD_TEXT },
    { NULL, NULL, FIELD_TEXT },
};

enum status command_subscription_create(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = {
        .run = resource_subscription_create,
        .fields = subscription_fields,
        .name_member = "name",
    };
    if (!arguments_has(cli->arguments, "url") || !arguments_has(cli->arguments, "topic")) {
        return problem_set(problem, STATUS_INVALID, "usage",
                           "where to and of what? --url https://... --topic order.completed");
    }
    return resource_command(cli, &command, problem);
}

enum status command_subscription_list(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = {
        .run = resource_subscription_list,
        .columns = "name,status,topics,stats.pending,stats.success_24h,url",
    };
    return resource_command(cli, &command, problem);
}

enum status command_subscription_show(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = { .run = resource_subscription_show };
    return resource_command(cli, &command, problem);
}

enum status command_subscription_update(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = {
        .run = resource_subscription_update,
        .fields = subscription_fields,
    };
    return resource_command(cli, &command, problem);
}

enum status command_subscription_delete(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = {
        .run = resource_subscription_delete,
        .confirm = "deletes the subscription and what still waits to be sent to it",
        .done = "deleted",
    };
    return resource_command(cli, &command, problem);
}

enum status command_subscription_verify(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = {
        .run = resource_subscription_verify,
        .fields = verify_fields,
    };
    return resource_command(cli, &command, problem);
}

enum status command_subscription_test(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = { .run = resource_subscription_test };
    return resource_command(cli, &command, problem);
}

enum status command_subscription_pause(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = { .run = resource_subscription_pause };
    return resource_command(cli, &command, problem);
}

enum status command_subscription_resume(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = { .run = resource_subscription_resume };
    return resource_command(cli, &command, problem);
}

enum status command_subscription_rotate_secret(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = {
        .run = resource_subscription_rotate_secret,
        .fields = rotate_fields,
        .confirm = "replaces the signing secret",
    };
    return resource_command(cli, &command, problem);
}

enum status command_subscription_stats(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = { .run = resource_subscription_stats };
    return resource_command(cli, &command, problem);
}
