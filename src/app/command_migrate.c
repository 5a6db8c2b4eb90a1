#include "app/cli.h"
#include "app/commands.h"
#include "base/clock.h"
#include "store/migrate.h"
#include "store/rule_store.h"

/*
 * shopbell migrate: brings the database to this program's schema, makes the
 * partitions of the coming days, and gives workspaces that have no rules yet
 * the shipped ones. Safe beside running instances and beside
 * another migrate: an advisory lock lets one at a time.
 */

static void say_step(void *context, const struct migration *step)
{
    cli_say(context, "shopbell: applying %04d-%s", step->number, step->slug);
}

enum status command_migrate(struct cli *cli, struct problem *problem)
{
    size_t applied = 0;
    size_t shipped = 0;
    enum status status = cli_open(cli, CLI_NEEDS_DATABASE, problem);
    if (status == STATUS_OK && arguments_has(cli->arguments, "check")) {
        status = migrate_check(cli->pg, problem);
    } else if (status == STATUS_OK) {
        status = migrate_apply(cli->pg, &applied, say_step, cli, problem);
        if (status == STATUS_OK) {
            status = partition_ensure(cli->pg, clock_now_ms(), problem);
        }
        if (status == STATUS_OK) {
            status = rule_store_ship_all(cli->pg, clock_now_ms(), &shipped, problem);
        }
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (cli->is_json) {
        cli_print("{\"applied\":%zu}\n", applied);
    } else if (applied > 0) {
        cli_print("%zu applied\n", applied);
    } else {
        cli_print("up to date\n");
    }
    return STATUS_OK;
}
