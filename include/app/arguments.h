#ifndef APP_ARGUMENTS_H
#define APP_ARGUMENTS_H

/*
 * argv against a table of commands: which one is meant, with which options,
 * and what to say when it is none of them.
 *
 * Pure: no output, no environment, nothing allocated but in the arena given.
 * Everything parsed borrows from argv and the table.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/status.h"

struct cli;

enum {
    ARGUMENTS_POSITIONALS_MAX = 256, /* files that a shell found */
    ARGUMENTS_OPTIONS_MAX = 64
};

struct command_option {
    const char *name;  /* without dashes; NULL ends a list */
    const char *value; /* "FILE"; NULL for a switch */
    const char *help;
};

typedef enum status command_fn(struct cli *cli, struct problem *problem);

struct command {
    const char *path;    /* "source secret add" */
    const char *usage;   /* "NAME --platform PLATFORM" */
    const char *summary; /* one line */
    const char *examples;
    const struct command_option *options; /* its own; may be NULL */
    size_t positional_min;
    size_t positional_max;
    command_fn *run;
};

struct command_table {
    const char *program;
    const char *summary;
    const char *examples;
    const struct command *commands;
    size_t command_count;
    const struct command_option *common;   /* taken and shown everywhere */
    const struct command_option *settings; /* taken everywhere, shown where settings_of says */
    const char *settings_of;               /* path of the command whose help lists them */
};

struct arguments {
    const struct command *command;
    const char *positionals[ARGUMENTS_POSITIONALS_MAX];
    size_t positional_count;
    struct {
        const char *name;
        const char *value; /* NULL for a switch */
    } options[ARGUMENTS_OPTIONS_MAX];
    size_t option_count;
};

enum arguments_verdict {
    ARGUMENTS_RUN,
    ARGUMENTS_HELP,  /* help was asked for: print arguments_help of `topic` */
    ARGUMENTS_WRONG, /* the problem says what, with a suggestion */
};

struct arguments_answer {
    enum arguments_verdict verdict;
    struct arguments arguments; /* for ARGUMENTS_RUN */
    char topic[80];             /* the words understood: "source secret", or "" */
};

void arguments_parse(const struct command_table *table, int argc, char *const *argv,
                     struct arguments_answer *out_answer, struct problem *problem);

/* Help for a command or a group of them: examples first. */
void arguments_help(const struct command_table *table, const char *topic, struct buf *out_text);

/* The value of the last such option, or NULL. */
const char *arguments_value(const struct arguments *arguments, const char *name);
bool arguments_has(const struct arguments *arguments, const char *name);
/* Values of an option that may be repeated: pass *index = 0 first. NULL ends. */
const char *arguments_next(const struct arguments *arguments, const char *name, size_t *index);
/* The positional at `index`, or NULL. */
const char *arguments_positional(const struct arguments *arguments, size_t index);

#endif
