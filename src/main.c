#include <stdio.h>
#include <unistd.h>

#include "app/arguments.h"
#include "app/cli.h"
#include "app/commands.h"
#include "app/environment.h"
#include "base/arena.h"
#include "base/buf.h"
#include "sources/json_border.h"

/*
 * argv -> command -> exit code.
 *
 * Results have gone to stdout by the time a command returns; what went wrong is
 * said here, once, on stderr. The codes are for scripts (contract 15): 2 means
 * "mend the call", 75 "the same call may work later", as in sysexits.h.
 */

enum {
    HELP_BYTES_MAX = 64 * 1024
};

enum exit_code {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_NOT_FOUND = 3,
    EXIT_NOT_CONFIRMED = 4,
    EXIT_TEMPORARY = 75,
};

extern char **environ;

static enum exit_code exit_code_of(enum status status, const struct problem *problem)
{
    switch (status) {
    case STATUS_OK:
        return EXIT_DONE;
    case STATUS_INVALID:
        return EXIT_USAGE;
    case STATUS_MISSING:
        return EXIT_NOT_FOUND;
    case STATUS_DENIED:
        return str_equal_z(STR("not-confirmed"), problem->type) ? EXIT_NOT_CONFIRMED : EXIT_FAILED;
    case STATUS_RETRY:
        return EXIT_TEMPORARY;
    case STATUS_CONFLICT:
    case STATUS_LIMIT:
    case STATUS_BROKEN:
        return EXIT_FAILED;
    }
    return EXIT_FAILED;
}

static void problem_say(enum status status, const struct problem *problem)
{
    const char *detail = problem->detail[0] != '\0' ? problem->detail : status_name(status);
    const char *pointer = problem->pointer;
    (void)fprintf(stderr, "shopbell: %s%s%s\n", pointer, pointer[0] != '\0' ? ": " : "", detail);
    if (status == STATUS_RETRY) {
        (void)fprintf(stderr, "shopbell: this may pass; try again later\n");
    }
}

static enum exit_code help_print(const char *topic, FILE *stream)
{
    struct buf text;
    buf_init(&text, NULL, HELP_BYTES_MAX);
    arguments_help(&shopbell_commands, topic, &text);
    struct str shown = buf_str(&text);
    (void)fwrite(shown.data, 1, shown.size, stream);
    buf_finish(&text);
    return EXIT_DONE;
}

static enum exit_code refuse(const struct arguments_answer *answer, const struct problem *problem)
{
    (void)fprintf(stderr, "shopbell: %s\nshopbell: \"shopbell%s%s --help\" shows how\n",
                  problem->detail, answer->topic[0] != '\0' ? " " : "", answer->topic);
    return EXIT_USAGE;
}

static enum exit_code run(const struct arguments *arguments)
{
    struct problem problem = { .detail = "" };
    const char *no_color = environment_value("NO_COLOR");
    struct cli cli = {
        .table = &shopbell_commands,
        .arguments = arguments,
        .environment = environ,
        .arena = arena_create(CLI_ARENA_BYTES),
        .is_json = arguments_has(arguments, "json"),
        .is_quiet = arguments_has(arguments, "quiet"),
        .has_color = isatty(1) == 1 && (no_color == NULL || no_color[0] == '\0'),
    };
    if (cli.arena == NULL) {
        (void)fprintf(stderr, "shopbell: no memory\n");
        return EXIT_FAILED;
    }
    enum status status = arguments->command->run(&cli, &problem);
    cli_close(&cli);
    arena_destroy(cli.arena);
    if (status != STATUS_OK) {
        problem_say(status, &problem);
    }
    return exit_code_of(status, &problem);
}

int main(int argc, char **argv)
{
    struct arguments_answer answer;
    struct problem problem = { .detail = "" };
    enum exit_code code = EXIT_DONE;
    border_begin();
    arguments_parse(&shopbell_commands, argc, argv, &answer, &problem);
    switch (answer.verdict) {
    case ARGUMENTS_RUN:
        code = run(&answer.arguments);
        break;
    case ARGUMENTS_HELP:
        code = help_print(answer.topic, stdout);
        break;
    case ARGUMENTS_WRONG:
        code = refuse(&answer, &problem);
        break;
    }
    /* A result that did not reach its reader is a failure. */
    if (fflush(stdout) != 0 && code == EXIT_DONE) {
        (void)fprintf(stderr, "shopbell: the result could not be written\n");
        return EXIT_FAILED;
    }
    return (int)code;
}
