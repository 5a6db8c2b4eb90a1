#include "app/commands.h"
#include "app/file.h"
#include "app/resource_command.h"
#include "base/codec.h"
#include "base/jsonw.h"
#include "base/limits.h"

/*
 * shopbell source: the senders of webhooks and their secrets. A secret comes
 * by file or stdin, never as an argument: arguments stand in the process list
 * and in the shell's history.
 */

enum {
    BODY_BYTES_MAX = 16 * 1024 * 1024
};

static const struct command_field create_fields[] = {
    { "platform", "platform", FIELD_TEXT },
    { "settings", "settings", FIELD_JSON },
    { "shop-domain", "settings.shop_domain", FIELD_TEXT },
    { "site-url", "settings.site_url", FIELD_TEXT },
    { "time-zone", "settings.time_zone", FIELD_TEXT },
    { "currency", "settings.currency", FIELD_TEXT },
    { "set", "settings.*", FIELD_PAIRS },
    { NULL, NULL, FIELD_TEXT },
};

static enum status settings_check(const struct cli *cli, struct problem *problem)
{
    static const char *const single[] = { "shop-domain", "site-url", "time-zone", "currency",
                                          "set" };
    for (size_t i = 0; i < ARRAY_COUNT(single); i++) {
        if (arguments_has(cli->arguments, "settings") && arguments_has(cli->arguments, single[i])) {
            return problem_set(problem, STATUS_INVALID, "usage",
                               "--settings says it all: leave --%s out", single[i]);
        }
    }
    return STATUS_OK;
}

/* {"secret":"...","label":"..."} out of --secret-file or stdin. Without a
 * secret the source makes one, where its platform lets us. */
static enum status secret_body(struct cli *cli, bool is_needed, struct str *out_body,
                               struct problem *problem)
{
    struct str secret = { NULL, 0 };
    if (is_needed) {
        enum status status = cli_secret(cli, "secret-file", &secret, problem);
        if (status != STATUS_OK) {
            return status;
        }
    }
    struct buf body;
    struct jsonw json;
    const char *label = arguments_value(cli->arguments, "label");
    buf_init(&body, cli->arena, (size_t)4 * CLI_SECRET_BYTES_MAX);
    jsonw_begin(&json, &body);
    jsonw_open(&json);
    if (secret.size > 0) {
        jsonw_put_str(&json, "secret", secret);
    }
    jsonw_put_z(&json, "label", label != NULL ? label : "command line");
    if (arguments_has(cli->arguments, "shadow")) {
        jsonw_put_bool(&json, "shadow", true);
    }
    if (arguments_has(cli->arguments, "expires-at")) {
        jsonw_put_z(&json, "expires_at", arguments_value(cli->arguments, "expires-at"));
    }
    jsonw_close(&json);
    *out_body = buf_str(&body);
    return STATUS_OK;
}

static enum status create_with_secret(struct cli *cli, struct problem *problem)
{
    struct api api;
    struct principal principal;
    struct resource_request request;
    struct resource_answer answer = { .effect = RESOURCE_SHOWN };
    struct str secret = { NULL, 0 };
    /* Read first: a source without its secret would be half of what was asked. */
    enum status status = secret_body(cli, true, &secret, problem);
    if (status == STATUS_OK) {
        status = resource_open(cli, false, &api, &principal, &request, problem);
    }
    if (status == STATUS_OK) {
        status = resource_body(cli, create_fields, "name", &request.body, problem);
    }
    if (status == STATUS_OK) {
        status = resource_source_create(&request, &answer, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    request.name = str_from_z(arguments_positional(cli->arguments, 0));
    request.body = secret;
    status = resource_source_secret_add(&request, &answer, problem);
    if (status != STATUS_OK) {
        cli_say(cli,
                "shopbell: the source %.*s is made, but has no secret yet: shopbell source "
                "secret add %.*s --secret-file FILE",
                STR_ARG(request.name), STR_ARG(request.name));
    } else {
        request.body = (struct str){ NULL, 0 };
        status = resource_source_show(&request, &answer, problem);
    }
    return status == STATUS_OK ? resource_show(cli, answer.json, NULL, problem) : status;
}

enum status command_source_create(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = {
        .run = resource_source_create,
        .fields = create_fields,
        .name_member = "name",
    };
    enum status status = settings_check(cli, problem);
    if (status == STATUS_OK && !arguments_has(cli->arguments, "platform")) {
        status = problem_set(problem, STATUS_INVALID, "usage",
                             "which platform? --platform shopify, woocommerce or "
                             "standard_webhooks");
    }
    if (status != STATUS_OK) {
        return status;
    }
    return arguments_has(cli->arguments, "secret-file") ? create_with_secret(cli, problem)
                                                        : resource_command(cli, &command, problem);
}

enum status command_source_list(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = {
        .run = resource_source_list,
        .columns = "name,platform,status,health.state,health.last_delivery_at,webhook_url",
    };
    return resource_command(cli, &command, problem);
}

enum status command_source_show(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = { .run = resource_source_show };
    return resource_command(cli, &command, problem);
}

enum status command_source_update(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = {
        .run = resource_source_update,
        .fields = create_fields,
    };
    enum status status = settings_check(cli, problem);
    return status == STATUS_OK ? resource_command(cli, &command, problem) : status;
}

enum status command_source_delete(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = {
        .run = resource_source_delete,
        .confirm = "deletes the source and forgets its secrets; its webhooks are refused from "
                   "then on",
        .done = "deleted",
    };
    return resource_command(cli, &command, problem);
}

/* "Name: value" as curl writes it. */
static enum status write_headers(struct jsonw *json, const struct arguments *arguments,
                                 struct problem *problem)
{
    size_t index = 0;
    jsonw_key(json, "headers");
    jsonw_open(json);
    for (const char *line = arguments_next(arguments, "header", &index); line != NULL;
         line = arguments_next(arguments, "header", &index)) {
        struct str name = { NULL, 0 };
        struct str value = { NULL, 0 };
        if (!str_split(str_from_z(line), ':', &name, &value)) {
            return problem_set(problem, STATUS_INVALID, "usage",
                               "--header %.60s: \"Name: value\" is wanted", line);
        }
        jsonw_key_str(json, str_trim(name));
        jsonw_str(json, str_trim(value));
    }
    jsonw_close(json);
    return STATUS_OK;
}

static enum status verify_body(struct cli *cli, struct str *out_body, struct problem *problem)
{
    const char *path = arguments_value(cli->arguments, "body-file");
    const size_t body_bytes_max = (size_t)LIMIT_HOOK_BODY_BYTES;
    struct str raw = { NULL, 0 };
    enum status status =
        path != NULL && strcmp(path, "-") != 0
            ? file_read(cli->arena, path, body_bytes_max, &raw, problem)
            : file_read_from(cli->arena, 0, "stdin", body_bytes_max, &raw, problem);
    if (status != STATUS_OK) {
        return status;
    }
    struct buf body;
    struct jsonw json;
    buf_init(&body, cli->arena, BODY_BYTES_MAX);
    jsonw_begin(&json, &body);
    jsonw_open(&json);
    jsonw_put_str(&json, "body", base64_encode(cli->arena, (const uint8_t *)raw.data, raw.size));
    status = write_headers(&json, cli->arguments, problem);
    jsonw_close(&json);
    *out_body = buf_str(&body);
    return status;
}

enum status command_source_verify(struct cli *cli, struct problem *problem)
{
    struct api api;
    struct principal principal;
    struct resource_request request;
    struct resource_answer answer = { .effect = RESOURCE_SHOWN };
    struct str body = { NULL, 0 };
    enum status status = verify_body(cli, &body, problem);
    if (status == STATUS_OK) {
        status = resource_open(cli, false, &api, &principal, &request, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    request.name = str_from_z(arguments_positional(cli->arguments, 0));
    request.body = body;
    status = resource_source_verify(&request, &answer, problem);
    return status == STATUS_OK ? resource_show(cli, answer.json, NULL, problem) : status;
}

enum status command_source_secret_add(struct cli *cli, struct problem *problem)
{
    struct api api;
    struct principal principal;
    struct resource_request request;
    struct resource_answer answer = { .effect = RESOURCE_SHOWN };
    struct str body = { NULL, 0 };
    enum status status =
        secret_body(cli, !arguments_has(cli->arguments, "generate"), &body, problem);
    if (status == STATUS_OK) {
        status = resource_open(cli, false, &api, &principal, &request, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    request.name = str_from_z(arguments_positional(cli->arguments, 0));
    request.body = body;
    status = resource_source_secret_add(&request, &answer, problem);
    return status == STATUS_OK ? resource_show(cli, answer.json, NULL, problem) : status;
}

enum status command_source_secret_list(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = {
        .run = resource_source_secret_list,
        .columns = "id,label,shadow,created_at,last_used_at,expires_at",
    };
    return resource_command(cli, &command, problem);
}

enum status command_source_secret_delete(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = {
        .run = resource_source_secret_delete,
        .confirm = "deletes a secret; webhooks signed with it are refused from then on",
        .done = "has one secret less",
        .has_part = true,
    };
    return resource_command(cli, &command, problem);
}
