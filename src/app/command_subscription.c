#include "app/commands.h"
#include "app/resource_command.h"

/*
 * shopbell subscription: who is told of what. What an option may say is the reader's to
 * judge, as over REST; the key of an ESP comes by file or stdin, as any secret.
 */

static const struct command_field subscription_fields[] = {
    { "url", "url", FIELD_TEXT },
    { "topic", "topics", FIELD_LIST },
    { "title", "title", FIELD_TEXT },
    { "filter", "filter", FIELD_TEXT },
    { "fields", "fields", FIELD_TEXT },
    { "field", "fields", FIELD_LIST },
    { "map", "map.*", FIELD_PAIRS },
    { "format", "format", FIELD_TEXT },
    { "auth-file", "auth", FIELD_FILE },
    { "set", "settings.*", FIELD_PAIRS },
    { "channel", "channel", FIELD_TEXT },
    { "recheck", "recheck", FIELD_SWITCH },
    { "no-recheck", "recheck", FIELD_SWITCH_OFF },
    { "ordering", "ordering", FIELD_TEXT },
    { "batch-max", "batch.max", FIELD_COUNT },
    { "batch-wait", "batch.wait", FIELD_TEXT },
    { "rate-limit", "rate_limit.count", FIELD_COUNT },
    { "rate-per", "rate_limit.per", FIELD_TEXT },
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

/* Two options of one member would make a body that says it twice. */
static enum status check_alternatives(const struct cli *cli, struct problem *problem)
{
    static const char *const pairs[][2] = { { "fields", "field" }, { "recheck", "no-recheck" } };
    for (size_t i = 0; i < ARRAY_COUNT(pairs); i++) {
        if (arguments_has(cli->arguments, pairs[i][0]) &&
            arguments_has(cli->arguments, pairs[i][1])) {
            return problem_set(problem, STATUS_INVALID, "usage", "--%s or --%s, not both",
                               pairs[i][0], pairs[i][1]);
        }
    }
    return STATUS_OK;
}

/* Before a database is looked for; an ESP's url follows from its format. */
static enum status check_asks_enough(const struct cli *cli, struct problem *problem)
{
    const struct arguments *arguments = cli->arguments;
    bool has_document = arguments_has(arguments, "document");
    bool has_place = arguments_has(arguments, "url") || arguments_has(arguments, "format");
    if (has_document || (has_place && arguments_has(arguments, "topic"))) {
        return STATUS_OK;
    }
    return problem_set(problem, STATUS_INVALID, "usage",
                       "where to and of what? --url https://... --topic order.completed");
}

enum status command_subscription_create(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = {
        .run = resource_subscription_create,
        .fields = subscription_fields,
        .name_member = "name",
    };
    enum status status = check_asks_enough(cli, problem);
    if (status == STATUS_OK) {
        status = check_alternatives(cli, problem);
    }
    return status == STATUS_OK ? resource_command(cli, &command, problem) : status;
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
    enum status status = check_alternatives(cli, problem);
    return status == STATUS_OK ? resource_command(cli, &command, problem) : status;
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
