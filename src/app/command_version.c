#include "app/cli.h"
#include "app/commands.h"
#include "app/version.h"
#include "base/jsonw.h"

/*
 * shopbell version.
 */

enum status command_version(struct cli *cli, struct problem *problem)
{
    (void)problem;
    if (!cli->is_json) {
        cli_print("shopbell %s\n", SHOPBELL_VERSION);
        return STATUS_OK;
    }
    struct buf text;
    struct jsonw json;
    buf_init(&text, cli->arena, 256);
    jsonw_begin(&json, &text);
    jsonw_open(&json);
    jsonw_put_z(&json, "version", SHOPBELL_VERSION);
    jsonw_close(&json);
    cli_print("%.*s\n", STR_ARG(buf_str(&text)));
    return STATUS_OK;
}
