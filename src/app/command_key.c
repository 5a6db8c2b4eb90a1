#include "app/commands.h"
#include "app/resource_command.h"
#include "base/jsonw.h"

/*
 * shopbell key: the first key can come from nowhere else, since the API asks
 * for one. A key of the instance (workspaces) is made here only.
 */

static const struct command_field create_fields[] = {
    { "scope", "scopes", FIELD_LIST },
    { "max-topic", "max_topics", FIELD_LIST },
    { "max-fields", "max_fields", FIELD_TEXT },
    { "expires-at", "expires_at", FIELD_TEXT },
    { NULL, NULL, FIELD_TEXT },
};

static enum status create_for_instance(struct cli *cli, struct problem *problem)
{
    struct api api;
    struct principal principal;
    struct resource_request request;
    struct resource_answer answer = { .effect = RESOURCE_SHOWN };
    if (arguments_has(cli->arguments, "scope")) {
        return problem_set(problem, STATUS_INVALID, "usage",
                           "a key of the instance has no other scope: leave --scope out");
    }
    enum status status = resource_open(cli, true, &api, &principal, &request, problem);
    if (status != STATUS_OK) {
        return status;
    }
    struct buf body;
    struct jsonw json;
    buf_init(&body, cli->arena, 4096);
    jsonw_begin(&json, &body);
    jsonw_open(&json);
    jsonw_put_z(&json, "name", arguments_positional(cli->arguments, 0));
    jsonw_put_raw(&json, "scopes", STR("[\"instance\"]"));
    if (arguments_has(cli->arguments, "expires-at")) {
        jsonw_put_z(&json, "expires_at", arguments_value(cli->arguments, "expires-at"));
    }
    jsonw_close(&json);
    request.body = buf_str(&body);
    status = resource_key_create(&request, &answer, problem);
    return status == STATUS_OK ? resource_show(cli, answer.json, NULL, problem) : status;
}

enum status command_key_create(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = {
        .run = resource_key_create,
        .fields = create_fields,
        .name_member = "name",
    };
    if (arguments_has(cli->arguments, "instance")) {
        return create_for_instance(cli, problem);
    }
    if (!arguments_has(cli->arguments, "scope")) {
        return problem_set(problem, STATUS_INVALID, "usage",
                           "what may the key do? --scope ingest, read, pii, configure, subscribe, "
                           "privacy or admin");
    }
    return resource_command(cli, &command, problem);
}

enum status command_key_list(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = {
        .run = resource_key_list,
        .columns = "name,prefix,scopes,last_used_at,expires_at",
    };
    return resource_command(cli, &command, problem);
}

enum status command_key_show(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = { .run = resource_key_show };
    return resource_command(cli, &command, problem);
}

enum status command_key_delete(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = {
        .run = resource_key_revoke,
        .confirm = "revokes the key; who uses it is locked out at once",
        .done = "revoked",
    };
    return resource_command(cli, &command, problem);
}
