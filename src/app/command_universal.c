#include "app/commands.h"
#include "app/file.h"
#include "app/instant_option.h"
#include "app/resource_command.h"
#include "base/instant.h"
#include "base/limits.h"

/*
 * shopbell universal: what happens in the world, told and read.
 */

enum status command_universal_post(struct cli *cli, struct problem *problem)
{
    struct api api;
    struct principal principal;
    struct resource_request request;
    struct resource_answer answer = { .effect = RESOURCE_SHOWN };
    struct str body = { NULL, 0 };
    enum status status = file_read_or_stdin(cli->arena, arguments_positional(cli->arguments, 0),
                                            LIMIT_API_BODY_BYTES, &body, problem);
    if (status == STATUS_OK) {
        status = resource_open(cli, false, &api, &principal, &request, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    request.body = body;
    request.source = str_from_z(arguments_value(cli->arguments, "source"));
    request.validate_only = arguments_has(cli->arguments, "dry-run");
    status = resource_universal_post(&request, &answer, problem);
    bool is_list = str_starts_with(answer.json, STR("{\"data\":"));
    return status == STATUS_OK
               ? resource_show(cli, answer.json, is_list ? "event_id,status" : NULL, problem)
               : status;
}

/* As the parameter of a list: an instant's text, or nothing. */
static enum status read_instant(struct cli *cli, const char *option, struct str *out_text,
                                struct problem *problem)
{
    int64_t at_ms = INSTANT_NONE;
    char text[INSTANT_TEXT_SIZE];
    enum status status = instant_option_read(cli, option, &at_ms, problem);
    if (status == STATUS_OK && at_ms != INSTANT_NONE) {
        instant_format(at_ms, text);
        *out_text = str_dup(cli->arena, str_from_z(text));
    }
    return status;
}

enum status command_universal_list(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = {
        .run = resource_universal_list,
        .columns = "occurred_at,type,source,product_id,variant_id,posted_id,expires_at,id",
    };
    struct api api;
    struct principal principal;
    struct resource_request request;
    enum status status = resource_open(cli, false, &api, &principal, &request, problem);
    if (status == STATUS_OK) {
        status = read_instant(cli, "since", &request.from, problem);
    }
    if (status == STATUS_OK) {
        status = read_instant(cli, "until", &request.to, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    request.type = str_from_z(arguments_value(cli->arguments, "type"));
    request.source = str_from_z(arguments_value(cli->arguments, "source"));
    request.product_id = str_from_z(arguments_value(cli->arguments, "product"));
    return resource_pages(cli, &command, &request, problem);
}

enum status command_universal_show(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = { .run = resource_universal_show };
    return resource_command(cli, &command, problem);
}
