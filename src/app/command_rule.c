#include "app/commands.h"
#include "app/file.h"
#include "app/resource_command.h"

/*
 * shopbell rule: tags, segments, the lifecycle, tiers.
 *
 * Rules are kept as JSON files, in the form that `rule show --json` prints, so
 * that they can live in git. `apply` takes all files together: they become one
 * new version, or none if one of them is wrong; rules may refer to each other
 * in any order, and the customers are gone through once.
 */

enum {
    FILE_BYTES_MAX = 16 * 1024 * 1024,
    APPLY_BYTES_MAX = 32 * 1024 * 1024
};

enum status command_rule_list(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = {
        .run = resource_rule_list,
        .columns = "name,kind,version,enabled,shipped,members.count,title",
    };
    return resource_command(cli, &command, problem);
}

enum status command_rule_show(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = { .run = resource_rule_show };
    return resource_command(cli, &command, problem);
}

enum status command_rule_delete(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = {
        .run = resource_rule_delete,
        .confirm = "deletes the rule; whoever was a member is none any more, and nobody is told",
        .done = "deleted",
    };
    return resource_command(cli, &command, problem);
}

static enum status open_request(struct cli *cli, struct api *api, struct principal *principal,
                                struct resource_request *request, struct problem *problem)
{
    enum status status = resource_open(cli, false, api, principal, request, problem);
    if (status == STATUS_OK) {
        request->validate_only = arguments_has(cli->arguments, "dry-run");
    }
    return status;
}

enum status command_rule_set(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = {
        .run = resource_rule_put,
        .file_bytes_max = FILE_BYTES_MAX,
    };
    return resource_command(cli, &command, problem);
}

/* One rule, or a list of them. */
static void add_file(struct buf *body, struct str text)
{
    text = str_trim(text);
    if (text.size >= 2 && text.data[0] == '[' && text.data[text.size - 1] == ']') {
        text = str_trim(str_take(str_drop(text, 1), text.size - 2));
    }
    if (text.size > 0 && body->size > 0 && body->data[body->size - 1] != '[') {
        buf_add_char(body, ',');
    }
    buf_add_str(body, text);
}

static enum status apply_body(struct cli *cli, struct str *out_body, struct problem *problem)
{
    struct buf body;
    buf_init(&body, cli->arena, APPLY_BYTES_MAX);
    buf_add_z(&body, "{\"rules\":[");
    for (size_t i = 0; i < cli->arguments->positional_count; i++) {
        struct str text = { NULL, 0 };
        enum status status = file_read_or_stdin(cli->arena, arguments_positional(cli->arguments, i),
                                                FILE_BYTES_MAX, &text, problem);
        if (status != STATUS_OK) {
            return status;
        }
        add_file(&body, text);
    }
    buf_add_z(&body, "]}");
    if (body.failed) {
        return problem_set(problem, STATUS_LIMIT, "usage", "too many rules at once");
    }
    *out_body = buf_str(&body);
    return STATUS_OK;
}

enum status command_rule_apply(struct cli *cli, struct problem *problem)
{
    struct api api;
    struct principal principal;
    struct resource_request request;
    struct resource_answer answer = { .effect = RESOURCE_SHOWN };
    struct str body = { NULL, 0 };
    enum status status = apply_body(cli, &body, problem);
    if (status == STATUS_OK) {
        status = open_request(cli, &api, &principal, &request, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    request.body = body;
    status = resource_rule_apply(&request, &answer, problem);
    return status == STATUS_OK
               ? resource_show(cli, answer.json, "name,kind,effect,version", problem)
               : status;
}

enum status command_rule_members(struct cli *cli, struct problem *problem)
{
    struct api api;
    struct principal principal;
    struct resource_request request;
    const char *value = arguments_value(cli->arguments, "value");
    enum status status = open_request(cli, &api, &principal, &request, problem);
    if (status != STATUS_OK) {
        return status;
    }
    request.name = str_from_z(arguments_positional(cli->arguments, 0));
    request.value = str_from_z(value);
    static const struct resource_command command = {
        .run = resource_rule_members,
        .columns = "id,email,external_id,value,since",
    };
    return resource_pages(cli, &command, &request, problem);
}

enum status command_rule_restore(struct cli *cli, struct problem *problem)
{
    struct api api;
    struct principal principal;
    struct resource_request request;
    struct resource_answer answer = { .effect = RESOURCE_SHOWN };
    const char *name = arguments_positional(cli->arguments, 0);
    enum status status = open_request(cli, &api, &principal, &request, problem);
    if (status == STATUS_OK && !request.validate_only) {
        status = cli_confirm(cli,
                             name != NULL ? "replaces what you made of the rule"
                                          : "replaces what you made of all shipped rules",
                             name != NULL ? name : "all", problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    request.name = str_from_z(name);
    status = resource_rule_restore(&request, &answer, problem);
    return status == STATUS_OK
               ? resource_show(cli, answer.json, name == NULL ? "name,kind,effect,version" : NULL,
                               problem)
               : status;
}

enum status command_job_list(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = {
        .run = resource_job_list,
        .columns = "id,kind,status,progress.done,progress.total,created_at,finished_at",
    };
    return resource_command(cli, &command, problem);
}

enum status command_job_show(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = { .run = resource_job_show };
    return resource_command(cli, &command, problem);
}

enum status command_job_cancel(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = { .run = resource_job_cancel };
    return resource_command(cli, &command, problem);
}
