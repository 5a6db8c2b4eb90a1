#include "app/commands.h"
#include "app/resource_command.h"

/*
 * shopbell workspace: the brands of this instance. Deleting one is erasure,
 * with its own rules, and not a command of this version.
 */

static const struct command_field create_fields[] = {
    { "title", "title", FIELD_TEXT },
    { "currency", "currency", FIELD_TEXT },
    { "time-zone", "time_zone", FIELD_TEXT },
    { NULL, NULL, FIELD_TEXT },
};

static const struct command_field update_fields[] = {
    { "title", "title", FIELD_TEXT },
    { "time-zone", "time_zone", FIELD_TEXT },
    { "back-in-stock-min", "catalogue.back_in_stock_min", FIELD_COUNT },
    { "price-change-percent", "catalogue.price_change_percent", FIELD_JSON },
    { "price-change-amount", "catalogue.price_change_amount", FIELD_JSON },
    { "catalogue-quiet", "catalogue.quiet", FIELD_TEXT },
    { NULL, NULL, FIELD_TEXT },
};

enum status command_workspace_create(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = {
        .run = resource_workspace_create,
        .fields = create_fields,
        .name_member = "name",
        .is_of_instance = true,
    };
    return resource_command(cli, &command, problem);
}

enum status command_workspace_list(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = {
        .run = resource_workspace_list,
        .columns = "name,title,currency,time_zone,created_at",
        .is_of_instance = true,
    };
    return resource_command(cli, &command, problem);
}

enum status command_workspace_show(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = {
        .run = resource_workspace_show,
        .is_of_instance = true,
    };
    return resource_command(cli, &command, problem);
}

enum status command_workspace_update(struct cli *cli, struct problem *problem)
{
    static const struct resource_command command = {
        .run = resource_workspace_update,
        .fields = update_fields,
        .is_of_instance = true,
    };
    return resource_command(cli, &command, problem);
}
