#include "app/cli.h"
#include "app/commands.h"
#include "app/file.h"
#include "app/master_key.h"
#include "base/jsonw.h"

/*
 * shopbell config init|check: a file to begin with, and what is in force.
 *
 * The file is written from the same table that reads it, so it cannot name a
 * key that does not exist. It never replaces one: what an operator wrote is
 * worth more than a default. The password of a database URL is not shown.
 */

enum {
    FILE_BYTES_MAX = 64 * 1024,
    SHOWN_MAX = 512
};

/* "postgresql://user:secret@host" and "password=secret": without the secret. */
static void password_mask(const char *url, char shown[SHOWN_MAX])
{
    (void)snprintf(shown, SHOWN_MAX, "%s", url);
    char *password = strstr(shown, "password=");
    char *scheme = strstr(shown, "://");
    char *at = scheme != NULL ? strchr(scheme + 3, '@') : NULL;
    char *colon = at != NULL ? strchr(scheme + 3, ':') : NULL;
    if (colon != NULL && colon < at) {
        for (char *c = colon + 1; c < at; c++) {
            *c = '*';
        }
    }
    if (password != NULL) {
        for (char *c = password + strlen("password="); *c != '\0' && *c != '&' && *c != ' '; c++) {
            *c = '*';
        }
    }
}

static void check_line(const struct cli *cli, struct jsonw *json, enum config_key_index index)
{
    const struct config_key *key = config_key_at(index);
    const char *origin = config_origin_name(cli->config.origins[index]);
    char shown[SHOWN_MAX];
    password_mask(cli->config.texts[index], shown);
    if (!cli->is_json) {
        char name[64];
        (void)snprintf(name, sizeof(name), "%s.%s", key->section, key->name);
        cli_print("%-24s %-12s %s\n", name, origin, shown[0] != '\0' ? shown : "-");
        return;
    }
    jsonw_open(json);
    jsonw_put_z(json, "section", key->section);
    jsonw_put_z(json, "key", key->name);
    jsonw_put_z(json, "value", shown);
    jsonw_put_z(json, "origin", origin);
    jsonw_close(json);
}

enum status command_config_check(struct cli *cli, struct problem *problem)
{
    enum status status = cli_configure(cli, problem);
    if (status != STATUS_OK) {
        return status;
    }
    struct buf text;
    struct jsonw json;
    buf_init(&text, cli->arena, FILE_BYTES_MAX);
    jsonw_begin(&json, &text);
    jsonw_open_array(&json);
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        check_line(cli, &json, (enum config_key_index)i);
    }
    jsonw_close_array(&json);
    if (cli->is_json) {
        cli_print_str(buf_str(&text));
        cli_print("\n");
    }
    if (config_text(&cli->config, CONFIG_READ_URL) != NULL &&
        config_text(&cli->config, CONFIG_READ_URL)[0] != '\0') {
        cli_say(cli,
                "shopbell: database.read_url has no effect yet: all is read from database.url");
    }
    cli_say(cli, "shopbell: %s is sound",
            cli->config_file != NULL ? cli->config_file : "the configuration (no file)");
    return STATUS_OK;
}

static void init_write(const struct cli *cli, struct buf *text)
{
    const char *section = "";
    buf_add_z(text, "; Shopbell. Flags win over the environment (SHOPBELL_<SECTION>_<KEY>), that "
                    "over this file.\n; \"shopbell config check\" says what is in force.\n");
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        const struct config_key *key = config_key_at((enum config_key_index)i);
        const char *given = arguments_value(cli->arguments, key->flag);
        if (given == NULL && arguments_has(cli->arguments, key->flag)) {
            given = "yes";
        }
        const char *value = given != NULL ? given : key->initial;
        if (strcmp(section, key->section) != 0) {
            section = key->section;
            buf_printf(text, "\n[%s]\n", section);
        }
        /* An unset key stands there as a comment, to be found. */
        buf_printf(text, "; %s\n%s%s = %s\n", key->help, value[0] == '\0' ? ";" : "", key->name,
                   value);
    }
}

static enum status init_into(const struct cli *cli, const char *directory, struct problem *problem)
{
    char file[MASTER_KEY_PATH_SIZE];
    char key[MASTER_KEY_PATH_SIZE];
    (void)snprintf(file, sizeof(file), "%s/shopbell.ini", directory);
    (void)snprintf(key, sizeof(key), "%s/master.key", directory);
    struct buf text;
    buf_init(&text, cli->arena, FILE_BYTES_MAX);
    init_write(cli, &text);
    enum status status = file_make_directory(directory, 0755, problem);
    if (status == STATUS_OK) {
        status = file_create(file, 0644, buf_str(&text), problem);
        if (status == STATUS_CONFLICT) {
            cli_say(cli, "shopbell: %s is there already and stays as it is", file);
            status = STATUS_OK;
        }
    }
    if (status == STATUS_OK) {
        status = master_key_create(key, 0400, problem);
        if (status == STATUS_CONFLICT) {
            cli_say(cli, "shopbell: %s is there already and stays as it is", key);
            status = STATUS_OK;
        }
    }
    if (status != STATUS_OK) {
        return status;
    }
    cli_print("%s\n%s\n", file, key);
    cli_say(cli, "shopbell: keep a copy of %s elsewhere: without it no stored secret opens", key);
    return STATUS_OK;
}

/* The values given as flags must be sound before they are written down. */
enum status command_config_init(struct cli *cli, struct problem *problem)
{
    const char *directory = arguments_positional(cli->arguments, 0);
    enum status status = cli_configure_flags(cli, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (directory != NULL) {
        return init_into(cli, directory, problem);
    }
    struct buf text;
    buf_init(&text, cli->arena, FILE_BYTES_MAX);
    init_write(cli, &text);
    cli_print_str(buf_str(&text));
    return STATUS_OK;
}
