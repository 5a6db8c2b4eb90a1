#include "app/resource_command.h"

#include <assert.h>

#include <jansson.h>

#include "app/file.h"
#include "app/render.h"
#include "base/clock.h"
#include "base/jsonw.h"
#include "base/limits.h"
#include "deliver/sender.h"
#include "store/workspace.h"

/*
 * A command line that says other things than the API drifts away from it. So
 * there is one function for each thing that can be done to a resource, the
 * handlers and the commands both call it, and a command adds only how its
 * options are spelled. Validation, defaults, limits and secrets shown once are
 * the resource's.
 */

enum {
    BODY_BYTES_MAX = 256 * 1024,
    TEXT_BYTES_MAX = 16 * 1024 * 1024,
    ALL_SCOPES = 0xff
};

enum status resource_open(struct cli *cli, bool is_of_instance, struct api *api,
                          struct principal *principal, struct resource_request *out_request,
                          struct problem *problem)
{
    struct sender_config *sender = ARENA_NEW(cli->arena, struct sender_config);
    if (sender == NULL) {
        return problem_set(problem, STATUS_LIMIT, "internal", "no memory");
    }
    enum status status =
        cli_open(cli, CLI_NEEDS_DATABASE | CLI_NEEDS_SCHEMA | CLI_NEEDS_SEAL, problem);
    if (status != STATUS_OK) {
        return status;
    }
    cli_sender_config(cli, sender);
    *api = (struct api){
        .seal = cli->seal,
        .sender_config = sender,
        .public_url = cli->public_url,
    };
    *principal = (struct principal){ .scopes = ALL_SCOPES, .key_name = STR("command line") };
    if (!is_of_instance) {
        struct workspace workspace;
        status = cli_workspace(cli, &workspace, problem);
        if (status != STATUS_OK) {
            return status;
        }
        principal->workspace_id = workspace.id;
        principal->workspace_name = workspace.name;
        principal->scopes = ALL_SCOPES & ~(uint32_t)SCOPE_INSTANCE;
    }
    *out_request = (struct resource_request){
        .api = api,
        .pg = cli->pg,
        .arena = cli->arena,
        .principal = principal,
        .page_size = LIMIT_PAGE_MAX,
        .now_ms = clock_now_ms(),
    };
    return STATUS_OK;
}

static enum status write_count(struct jsonw *json, const char *option, const char *value,
                               struct problem *problem)
{
    int64_t number = 0;
    if (!str_to_i64(str_from_z(value), &number)) {
        return problem_set(problem, STATUS_INVALID, "usage", "--%s %.60s: a number is wanted",
                           option, value);
    }
    jsonw_i64(json, number);
    return STATUS_OK;
}

static void write_list(struct jsonw *json, const struct arguments *arguments, const char *option)
{
    size_t index = 0;
    jsonw_open_array(json);
    for (const char *value = arguments_next(arguments, option, &index); value != NULL;
         value = arguments_next(arguments, option, &index)) {
        struct str rest = str_from_z(value);
        struct str item = { NULL, 0 };
        while (str_split(rest, ',', &item, &rest)) {
            jsonw_str(json, str_trim(item));
        }
        jsonw_str(json, str_trim(rest));
    }
    jsonw_close_array(json);
}

static enum status write_pairs(struct jsonw *json, const struct arguments *arguments,
                               const char *option, struct problem *problem)
{
    size_t index = 0;
    for (const char *value = arguments_next(arguments, option, &index); value != NULL;
         value = arguments_next(arguments, option, &index)) {
        struct str name = { NULL, 0 };
        struct str text = { NULL, 0 };
        if (!str_split(str_from_z(value), '=', &name, &text) || name.size == 0) {
            return problem_set(problem, STATUS_INVALID, "usage", "--%s %.60s: NAME=VALUE is wanted",
                               option, value);
        }
        jsonw_key_str(json, name);
        jsonw_str(json, text);
    }
    return STATUS_OK;
}

static enum status write_file(struct jsonw *json, struct cli *cli, const char *option,
                              struct problem *problem)
{
    struct str secret = { NULL, 0 };
    enum status status = cli_secret(cli, option, &secret, problem);
    jsonw_str(json, secret);
    return status;
}

static enum status write_value(struct jsonw *json, struct cli *cli,
                               const struct command_field *field, struct problem *problem)
{
    const struct arguments *arguments = cli->arguments;
    const char *value = arguments_value(arguments, field->option);
    switch (field->kind) {
    case FIELD_TEXT:
        jsonw_z(json, value);
        return STATUS_OK;
    case FIELD_LIST:
        write_list(json, arguments, field->option);
        return STATUS_OK;
    case FIELD_COUNT:
        return write_count(json, field->option, value, problem);
    case FIELD_SWITCH:
    case FIELD_SWITCH_OFF:
        jsonw_bool(json, field->kind == FIELD_SWITCH);
        return STATUS_OK;
    case FIELD_FILE:
        return write_file(json, cli, field->option, problem);
    case FIELD_JSON:
        jsonw_raw(json, str_from_z(value));
        return STATUS_OK;
    case FIELD_PAIRS:
        break; /* written as members */
    }
    return STATUS_OK;
}

/* The members of one object: fields named "parent.member", or those without a
 * parent when it is empty. */
static enum status write_members(struct jsonw *json, struct cli *cli,
                                 const struct command_field *fields, struct str parent,
                                 struct problem *problem)
{
    const struct arguments *arguments = cli->arguments;
    enum status status = STATUS_OK;
    for (size_t i = 0; fields[i].option != NULL && status == STATUS_OK; i++) {
        struct str head = { NULL, 0 };
        struct str member = str_from_z(fields[i].member);
        (void)str_split(member, '.', &head, &member);
        if (!arguments_has(arguments, fields[i].option) || !str_equal(head, parent)) {
            continue;
        }
        if (fields[i].kind == FIELD_PAIRS) {
            status = write_pairs(json, arguments, fields[i].option, problem);
            continue;
        }
        jsonw_key_str(json, member);
        status = write_value(json, cli, &fields[i], problem);
    }
    return status;
}

/* Each parent once, where its first option stands. */
static enum status write_parents(struct jsonw *json, struct cli *cli,
                                 const struct command_field *fields, struct problem *problem)
{
    struct str done[FIELDS_MAX];
    size_t done_count = 0;
    enum status status = STATUS_OK;
    for (size_t i = 0; fields[i].option != NULL && status == STATUS_OK; i++) {
        struct str head = { NULL, 0 };
        struct str member = { NULL, 0 };
        bool is_new = arguments_has(cli->arguments, fields[i].option) &&
                      str_split(str_from_z(fields[i].member), '.', &head, &member);
        for (size_t n = 0; n < done_count && is_new; n++) {
            is_new = !str_equal(done[n], head);
        }
        if (!is_new) {
            continue;
        }
        assert(done_count < FIELDS_MAX);
        done[done_count++] = head;
        jsonw_key_str(json, head);
        jsonw_open(json);
        status = write_members(json, cli, fields, head, problem);
        jsonw_close(json);
    }
    return status;
}

/* The options of `body` go over the document: a member of both is the option's, objects
 * are joined. What it means is the resource's to judge. */
static enum status lay_over(struct cli *cli, const char *path, struct str *body,
                            struct problem *problem)
{
    struct str text = { NULL, 0 };
    json_error_t error;
    enum status status = file_read_or_stdin(cli->arena, path, BODY_BYTES_MAX, &text, problem);
    if (status != STATUS_OK) {
        return status;
    }
    json_t *document = json_loadb(text.data, text.size, JSON_REJECT_DUPLICATES, &error);
    if (document == NULL) {
        return problem_set(problem, STATUS_INVALID, "usage",
                           "--document %.100s: line %d, column %d: %s", path, error.line,
                           error.column, error.text);
    }
    json_t *options = json_loadb(body->data, body->size, 0, NULL);
    char *joined = NULL;
    if (json_is_object(document) && json_object_update_recursive(document, options) == 0) {
        joined = json_dumps(document, JSON_COMPACT);
    }
    if (joined != NULL) {
        *body = str_dup(cli->arena, str_from_z(joined));
    } else {
        status = problem_set(problem, STATUS_INVALID, "usage",
                             "--document %.100s: an object is wanted", path);
    }
    free(joined);
    json_decref(options);
    json_decref(document);
    return status;
}

enum status resource_body(struct cli *cli, const struct command_field *fields,
                          const char *name_member, struct str *out_body, struct problem *problem)
{
    struct buf body;
    struct jsonw json;
    buf_init(&body, cli->arena, BODY_BYTES_MAX);
    jsonw_begin(&json, &body);
    jsonw_open(&json);
    if (name_member != NULL) {
        jsonw_put_z(&json, name_member, arguments_positional(cli->arguments, 0));
    }
    enum status status = STATUS_OK;
    if (fields != NULL) {
        status = write_members(&json, cli, fields, (struct str){ NULL, 0 }, problem);
    }
    if (status == STATUS_OK && fields != NULL) {
        status = write_parents(&json, cli, fields, problem);
    }
    jsonw_close(&json);
    if (status != STATUS_OK) {
        return status;
    }
    if (body.failed) {
        return problem_set(problem, STATUS_LIMIT, "usage", "too much of everything");
    }
    *out_body = buf_str(&body);
    const char *document = arguments_value(cli->arguments, "document");
    return document == NULL ? STATUS_OK : lay_over(cli, document, out_body, problem);
}

enum status resource_show(const struct cli *cli, struct str json, const char *columns,
                          struct problem *problem)
{
    if (cli->is_json) {
        cli_print_str(json);
        cli_print("\n");
        return STATUS_OK;
    }
    struct buf text;
    buf_init(&text, cli->arena, TEXT_BYTES_MAX);
    if (columns != NULL) {
        render_table(json, columns, cli->has_color, &text);
    } else {
        render_object(json, cli->has_color, &text);
    }
    if (text.failed) {
        return problem_set(problem, STATUS_LIMIT, "internal", "too long to show; try --json");
    }
    cli_print_str(buf_str(&text));
    return STATUS_OK;
}

/* The token of the next page, out of our own JSON; empty at the end. */
static struct str next_page_token(struct str json)
{
    static const char token_member[] = "\"next_page_token\":\"";
    const char *found = NULL;
    for (size_t i = 0; i + sizeof(token_member) <= json.size && found == NULL; i++) {
        found = memcmp(json.data + i, token_member, sizeof(token_member) - 1) == 0 ? json.data + i
                                                                                   : NULL;
    }
    if (found == NULL) {
        return (struct str){ NULL, 0 };
    }
    const char *start = found + sizeof(token_member) - 1;
    const char *end = memchr(start, '"', (size_t)(json.data + json.size - start));
    return (struct str){ start, end != NULL ? (size_t)(end - start) : 0 };
}

enum status resource_pages(const struct cli *cli, const struct resource_command *command,
                           struct resource_request *request, struct problem *problem)
{
    for (;;) {
        struct resource_answer answer = { .effect = RESOURCE_SHOWN };
        enum status status = command->run(request, &answer, problem);
        if (status == STATUS_OK) {
            status = resource_show(cli, answer.json, command->columns, problem);
        }
        if (status != STATUS_OK) {
            return status;
        }
        request->page_token = next_page_token(answer.json);
        if (request->page_token.size == 0) {
            return STATUS_OK;
        }
    }
}

static enum status show_one(const struct cli *cli, const struct resource_command *command,
                            const struct resource_request *request, struct problem *problem)
{
    struct resource_answer answer = { .effect = RESOURCE_SHOWN };
    enum status status = command->run(request, &answer, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (command->done != NULL) {
        cli_say(cli, "shopbell: %.*s %s", STR_ARG(request->name), command->done);
    }
    return answer.json.size > 0 ? resource_show(cli, answer.json, NULL, problem) : STATUS_OK;
}

enum status resource_command(struct cli *cli, const struct resource_command *command,
                             struct problem *problem)
{
    struct api api;
    struct principal principal;
    struct resource_request request;
    struct str body = { NULL, 0 };
    bool is_of_instance = command->is_of_instance || arguments_has(cli->arguments, "instance");
    const char *name = arguments_positional(cli->arguments, 0);
    enum status status = STATUS_OK;
    if (command->file_bytes_max > 0) { /* before a database is looked for */
        status = file_read_or_stdin(cli->arena, arguments_positional(cli->arguments, 1),
                                    command->file_bytes_max, &body, problem);
    }
    if (status == STATUS_OK) {
        status = resource_open(cli, is_of_instance, &api, &principal, &request, problem);
    }
    if (status == STATUS_OK && command->confirm != NULL) {
        status = cli_confirm(cli, command->confirm, name, problem);
    }
    if (status == STATUS_OK && (command->fields != NULL || command->name_member != NULL)) {
        status = resource_body(cli, command->fields, command->name_member, &body, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    request.body = body;
    request.validate_only = arguments_has(cli->arguments, "dry-run");
    if (command->name_member == NULL && name != NULL) {
        request.name = str_from_z(name);
    }
    if (command->has_part) {
        request.part = str_from_z(arguments_positional(cli->arguments, 1));
    }
    return command->columns != NULL ? resource_pages(cli, command, &request, problem)
                                    : show_one(cli, command, &request, problem);
}
