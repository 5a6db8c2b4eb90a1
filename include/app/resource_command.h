#ifndef APP_RESOURCE_COMMAND_H
#define APP_RESOURCE_COMMAND_H

/*
 * Commands that mirror REST: options become the JSON body, the resource's own
 * function does the work, its JSON is shown. What differs from command to
 * command is a value of this struct.
 *
 * Where a command has them, --document FILE is the body that the options are laid
 * over, and --dry-run is REST's validate_only.
 */

#include <stdbool.h>

#include "api/resource.h"
#include "app/cli.h"

struct jsonw;

enum field_kind {
    FIELD_TEXT,
    FIELD_LIST, /* repeated, or comma separated */
    FIELD_COUNT,
    FIELD_SWITCH,
    FIELD_SWITCH_OFF, /* false: what another option switches on */
    FIELD_PAIRS,      /* repeated NAME=VALUE: members of an object */
    FIELD_JSON,       /* JSON as it is */
    FIELD_FILE,       /* what must not stand in a command line: the text of a file; - is stdin */
};

struct command_field {
    const char *option;
    const char *member; /* "settings.currency": within an object */
    enum field_kind kind;
};

enum {
    FIELDS_MAX = 24
};

struct resource_command {
    resource_fn *run;
    const struct command_field *fields; /* option NULL ends; may be NULL */
    const char *name_member; /* create: the first positional is this member, not an address */
    const char *columns;     /* lists: what the table shows */
    const char *confirm;     /* "deletes the source and its secrets" */
    const char *done;        /* said on stderr afterwards: "deleted" */
    bool is_of_instance;     /* no workspace is needed */
    bool has_part;           /* the second positional is part of the address */
    size_t file_bytes_max;   /* it is a file that is the body, - is stdin; 0: it is not */
};

NODISCARD enum status resource_command(struct cli *cli, const struct resource_command *command,
                                       struct problem *problem);

/* The steps, for commands that do more than one thing. */
NODISCARD enum status resource_open(struct cli *cli, bool is_of_instance, struct api *api,
                                    struct principal *principal,
                                    struct resource_request *out_request, struct problem *problem);
NODISCARD enum status resource_body(struct cli *cli, const struct command_field *fields,
                                    const char *name_member, struct str *out_body,
                                    struct problem *problem);
NODISCARD enum status resource_show(const struct cli *cli, struct str json, const char *columns,
                                    struct problem *problem);
/* All pages of a list, one after the other. */
NODISCARD enum status resource_pages(const struct cli *cli, const struct resource_command *command,
                                     struct resource_request *request, struct problem *problem);

#endif
