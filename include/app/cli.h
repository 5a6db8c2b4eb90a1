#ifndef APP_CLI_H
#define APP_CLI_H

/*
 * What a command has at hand: its arguments, the configuration, the database,
 * the seal, and the two ways to speak (results on stdout, talk on stderr).
 *
 * A struct cli lives for one command, in one thread; cli_close releases what
 * was opened. Everything read is in its arena.
 */

#include <stdbool.h>

#include "app/arguments.h"
#include "app/config.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"

struct embedded;
struct pg;
struct seal;
struct sender_config;
struct workspace;

enum {
    CLI_ARENA_BYTES = 64 * 1024 * 1024,
    CLI_SECRET_BYTES_MAX = 4096
};

struct cli {
    const struct command_table *table;
    const struct arguments *arguments;
    char *const *environment;
    struct arena *arena;
    bool is_json;
    bool is_quiet;
    bool has_color; /* stdout is a terminal, and NO_COLOR is not set */

    /* After cli_configure. */
    struct config config;
    const char *config_file; /* NULL: none was read */
    const char *embedded_directory;

    /* After cli_open. */
    struct embedded *embedded;
    struct pg *pg;
    struct seal *seal;
    const char *database_url;
    const char *public_url;
};

/* Options that every command takes, and one for each setting. */
extern const struct command_option cli_common_options[];
extern const struct command_option cli_setting_options[];

/* Reads file, environment and flags; all faults go to stderr. */
NODISCARD enum status cli_configure(struct cli *cli, struct problem *problem);

/* The same from defaults and flags alone. */
NODISCARD enum status cli_configure_flags(struct cli *cli, struct problem *problem);

enum cli_need {
    CLI_NEEDS_DATABASE = 1 << 0,
    CLI_NEEDS_SCHEMA = 1 << 1, /* and its migrations are applied */
    CLI_NEEDS_SEAL = 1 << 2,
};
/* Configures and opens. Run by root, it first becomes the owner of the master
 * key: the account that the database knows. */
NODISCARD enum status cli_open(struct cli *cli, unsigned needs, struct problem *problem);
/* Joins the embedded PostgreSQL, or starts it for as long as the command lasts. */
NODISCARD enum status cli_join(struct cli *cli, struct problem *problem);
/* The same after cli_configure, with the embedded PostgreSQL started if it is
 * to be the caller's. */
NODISCARD enum status cli_open_configured(struct cli *cli, unsigned needs, struct problem *problem);
void cli_close(struct cli *cli);

/* How subscribers may be reached, by the configuration; ops stay empty. */
void cli_sender_config(const struct cli *cli, struct sender_config *out_config);

/* --workspace, else SHOPBELL_WORKSPACE, else the only one there is. */
NODISCARD enum status cli_workspace(struct cli *cli, struct workspace *out_workspace,
                                    struct problem *problem);

/* --yes, or the name typed on a terminal; else STATUS_DENIED "not-confirmed". */
NODISCARD enum status cli_confirm(struct cli *cli, const char *what, const char *name,
                                  struct problem *problem);

/* The secret from the file that the option names, or from stdin; white space at its end
 * goes. STATUS_MISSING when neither was given and stdin is a terminal. */
NODISCARD enum status cli_secret(struct cli *cli, const char *option, struct str *out_secret,
                                 struct problem *problem);

/* Talk, on stderr; silent with --quiet. */
void cli_say(const struct cli *cli, const char *format, ...) PRINTF_LIKE(2, 3);
/* A result, on stdout. */
void cli_print(const char *format, ...) PRINTF_LIKE(1, 2);
void cli_print_str(struct str text);

#endif
