#include "app/cli.h"

#include <assert.h>
#include <errno.h>
#include <grp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "app/embedded.h"
#include "app/environment.h"
#include "app/file.h"
#include "app/master_key.h"
#include "base/clock.h"
#include "deliver/sender.h"
#include "store/migrate.h"
#include "store/pg.h"
#include "store/seal.h"
#include "store/workspace.h"

/*
 * Commands talk to the database directly: the first key cannot come from an
 * API that needs a key, and what an operator does must work while the server
 * is down. A running server notices by the configuration's version.
 *
 * Every command finds its database the way the server does (one configuration,
 * one order of precedence), so "it works in serve but not in key create"
 * cannot happen. With --embedded it joins the PostgreSQL of the running
 * server, or starts one for as long as the command lasts.
 */

enum {
    JOIN_MS_MAX = 30000
};

static const char default_config_file[] = "/etc/shopbell/shopbell.ini";

const struct command_option cli_common_options[] = {
    { "workspace", "NAME", "which brand (or SHOPBELL_WORKSPACE); may be left out if there is one" },
    { "config", "FILE", "configuration (or SHOPBELL_CONFIG); /etc/shopbell/shopbell.ini" },
    { "embedded", "DIR", "the private PostgreSQL under DIR" },
    { "dev", NULL, "subscribers on this machine, over plain http, are fine" },
    { "json", NULL, "results as JSON" },
    { "yes", NULL, "do not ask" },
    { "quiet", NULL, "no talk on stderr" },
    { "help", NULL, "this" },
    { NULL, NULL, NULL },
};

#define SETTING(flag, value, help) \
    {                              \
        flag, value, help          \
    }

/* The flags of config.c's table; main's start-up asserts that they agree. */
const struct command_option cli_setting_options[CONFIG_KEY_COUNT + 1] = {
    SETTING("public-url", "URL", "how the world reaches this server"),
    SETTING("listen", "ADDRESS", "host:port or unix:/path (127.0.0.1:8080)"),
    SETTING("admin-listen", "ADDRESS", "for /metrics and the detail of /readyz"),
    SETTING("trusted-proxies", "NETWORKS", "whose X-Forwarded-For counts: unix, 10.0.0.0/8"),
    SETTING("tls-cert", "FILE", "certificate chain, PEM; read again on SIGHUP"),
    SETTING("tls-key", "FILE", "its private key, PEM"),
    SETTING("database-url", "URL", "PostgreSQL 15 or later"),
    SETTING("database-read-url", "URL", "a replica for reading; taken, not used yet"),
    SETTING("database-writers", "COUNT", "connections that commit webhooks (2)"),
    SETTING("master-key-file", "FILE", "seals all secrets"),
    SETTING("limit-hook-body", "SIZE", "largest webhook taken (5MiB)"),
    SETTING("limit-in-flight", "SIZE", "all bodies in work together (256MiB)"),
    SETTING("retention-webhook", "DURATION", "raw webhooks (30d); 0 keeps none"),
    SETTING("retention-interaction", "DURATION", "timelines of customers (25mo); 0 keeps all"),
    SETTING("retention-attempt", "DURATION", "the log of calls to subscribers (30d)"),
    SETTING("retention-notification", "DURATION", "what was sent (30d)"),
    SETTING("deliver-allow-networks", "NETWORKS", "private networks subscribers may live in"),
    SETTING("deliver-allow-ports", "PORTS", "ports that may be called: 443, 8000-8999"),
    SETTING("deliver-allow-http", NULL, "subscribers without TLS, too"),
    SETTING("deliver-ca-file", "FILE", "authorities to trust; empty: the system's"),
    SETTING("deliver-proxy", "URL", "all calls go through it, and it judges their addresses"),
    { NULL, NULL, NULL },
};

void cli_say(const struct cli *cli, const char *format, ...)
{
    if (cli->is_quiet) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fputc('\n', stderr);
}

void cli_print(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vfprintf(stdout, format, arguments);
    va_end(arguments);
}

void cli_print_str(struct str text)
{
    (void)fwrite(text.data, 1, text.size, stdout);
}

/* The file to read, or NULL: named ones must exist, the others may. */
static const char *file_choose(struct cli *cli)
{
    const char *named = arguments_value(cli->arguments, "config");
    if (named == NULL) {
        named = environment_value("SHOPBELL_CONFIG");
    }
    if (named != NULL && named[0] != '\0') {
        return named;
    }
    if (cli->embedded_directory != NULL) {
        struct str beside = str_printf(cli->arena, "%s/shopbell.ini", cli->embedded_directory);
        return beside.data != NULL && access(beside.data, F_OK) == 0 ? beside.data : NULL;
    }
    /* One that may not be read is no reason to go on without. */
    bool is_there = access(default_config_file, F_OK) == 0 || errno == EACCES;
    return is_there ? default_config_file : NULL;
}

static size_t flags_collect(const struct cli *cli, struct config_flag flags[CONFIG_KEY_COUNT])
{
    size_t count = 0;
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        const struct config_key *key = config_key_at((enum config_key_index)i);
        assert(strcmp(key->flag, cli_setting_options[i].name) == 0);
        if (arguments_has(cli->arguments, key->flag)) {
            const char *value = arguments_value(cli->arguments, key->flag);
            flags[count].key = (enum config_key_index)i;
            flags[count].value = value != NULL ? value : "yes";
            count++;
        }
    }
    return count;
}

static enum status configure(struct cli *cli, char *const *environment, struct problem *problem)
{
    struct config_flag flags[CONFIG_KEY_COUNT];
    struct config_input input = {
        .file = cli->config_file,
        .environment = environment,
        .flags = flags,
        .flag_count = flags_collect(cli, flags),
    };
    struct config_faults *faults = ARENA_NEW(cli->arena, struct config_faults);
    if (faults == NULL) {
        return problem_set(problem, STATUS_BROKEN, "config", "no memory");
    }
    enum status status = config_load(cli->arena, &input, &cli->config, faults);
    for (size_t i = 0; i < faults->warning_count; i++) {
        cli_say(cli, "shopbell: %s", faults->warnings[i]);
    }
    if (status == STATUS_OK) {
        cli->database_url = config_text(&cli->config, CONFIG_DATABASE_URL);
        cli->public_url = config_text(&cli->config, CONFIG_PUBLIC_URL);
        return STATUS_OK;
    }
    for (size_t i = 0; i + 1 < faults->error_count; i++) {
        (void)fprintf(stderr, "shopbell: %s\n", faults->errors[i]);
    }
    return problem_set(problem, status, "config", "%s",
                       faults->error_count > 0 ? faults->errors[faults->error_count - 1]
                                               : "the configuration cannot be read");
}

enum status cli_configure(struct cli *cli, struct problem *problem)
{
    cli->embedded_directory = arguments_value(cli->arguments, "embedded");
    cli->config_file = file_choose(cli);
    return configure(cli, cli->environment, problem);
}

enum status cli_configure_flags(struct cli *cli, struct problem *problem)
{
    return configure(cli, NULL, problem);
}

/* Root is nobody to PostgreSQL. Whoever owns the master key is the account the
 * service runs as, and so the one that its database lets in. */
static enum status owner_become(const char *key_path, struct problem *problem)
{
    struct stat found;
    if (geteuid() != 0 || stat(key_path, &found) != 0 || found.st_uid == 0) {
        return STATUS_OK;
    }
    if (setgroups(0, NULL) != 0 || setgid(found.st_gid) != 0 || setuid(found.st_uid) != 0) {
        return problem_set(problem, STATUS_BROKEN, "cli", "cannot become the owner of %.200s",
                           key_path);
    }
    return STATUS_OK;
}

static void report_embedded(void *context, const char *message)
{
    cli_say(context, "shopbell: %s", message);
}

enum status cli_join(struct cli *cli, struct problem *problem)
{
    struct embedded_config config = {
        .directory = cli->embedded_directory,
        .may_join = true,
        .report = report_embedded,
        .context = cli,
    };
    if (access(cli->embedded_directory, F_OK) != 0) {
        return problem_set(problem, STATUS_MISSING, "embedded",
                           "there is nothing under %.160s: start \"shopbell serve --embedded "
                           "%.60s\" first",
                           cli->embedded_directory, cli->embedded_directory);
    }
    enum status status = embedded_start(&config, &cli->embedded, problem);
    if (status != STATUS_OK) {
        return status;
    }
    cli->embedded_directory = embedded_directory(cli->embedded);
    return STATUS_OK;
}

/* The server says in DIR/public_url what it calls itself. */
static void public_url_find(struct cli *cli)
{
    struct str text = { NULL, 0 };
    if (cli->public_url == NULL && cli->embedded_directory != NULL) {
        struct str path = str_printf(cli->arena, "%s/public_url", cli->embedded_directory);
        if (path.data != NULL && file_read(cli->arena, path.data, 1024, &text, NULL) == STATUS_OK) {
            cli->public_url = str_dup_z(cli->arena, str_trim(text));
        }
    }
    if (cli->public_url == NULL) {
        const char *listen = config_text(&cli->config, CONFIG_LISTEN);
        struct str made =
            str_printf(cli->arena, "http://%s", listen != NULL ? listen : "127.0.0.1");
        cli->public_url = made.data;
    }
}

/* Who joins a server that has just been started waits for its PostgreSQL. */
static enum status database_connect(struct cli *cli, struct problem *problem)
{
    int64_t deadline_ms = clock_monotonic_ms() + (cli->embedded != NULL ? JOIN_MS_MAX : 0);
    for (;;) {
        enum status status = pg_connect(cli->pg, problem);
        if (status != STATUS_RETRY || clock_monotonic_ms() >= deadline_ms) {
            return status;
        }
        (void)nanosleep(&(struct timespec){ .tv_nsec = 100000000L }, NULL);
    }
}

static enum status database_open(struct cli *cli, bool needs_schema, struct problem *problem)
{
    if (cli->pg != NULL) {
        return STATUS_OK;
    }
    enum status status = pg_open(cli->database_url, false, &cli->pg);
    if (status != STATUS_OK) {
        return problem_set(problem, status, "database", "no memory for a connection");
    }
    status = database_connect(cli, problem);
    if (status == STATUS_OK && needs_schema) {
        status = migrate_check(cli->pg, problem);
    }
    return status;
}

static enum status seal_open_for(struct cli *cli, const char *key_path, struct problem *problem)
{
    /* A new embedded directory has no key yet; everywhere else its absence is
     * a mistake that a fresh key would only bury. */
    if (cli->embedded != NULL && access(key_path, F_OK) != 0) {
        enum status status = master_key_create(key_path, 0600, problem);
        if (status != STATUS_OK && status != STATUS_CONFLICT) {
            return status;
        }
    }
    return master_key_open(key_path, &cli->seal, problem);
}

enum status cli_open(struct cli *cli, unsigned needs, struct problem *problem)
{
    enum status status = cli_configure(cli, problem);
    if (status == STATUS_OK && cli->embedded_directory != NULL) {
        status = cli_join(cli, problem);
    }
    return status == STATUS_OK ? cli_open_configured(cli, needs, problem) : status;
}

enum status cli_open_configured(struct cli *cli, unsigned needs, struct problem *problem)
{
    enum status status = STATUS_OK;
    if (cli->embedded != NULL) {
        cli->database_url = embedded_database_url(cli->embedded);
    }
    public_url_find(cli);
    char key_path[MASTER_KEY_PATH_SIZE] = "";
    struct problem key_problem;
    enum status key_status =
        master_key_find(&cli->config, cli->embedded_directory, key_path, &key_problem);
    if (key_status == STATUS_OK && cli->embedded == NULL) {
        status = owner_become(key_path, problem);
    }
    if (status == STATUS_OK && (needs & CLI_NEEDS_SEAL) != 0 && cli->seal == NULL) {
        if (key_status != STATUS_OK) {
            *problem = key_problem;
            return key_status;
        }
        status = seal_open_for(cli, key_path, problem);
    }
    if (status == STATUS_OK && (needs & (CLI_NEEDS_DATABASE | CLI_NEEDS_SCHEMA)) != 0) {
        status = database_open(cli, (needs & CLI_NEEDS_SCHEMA) != 0, problem);
    }
    return status;
}

void cli_sender_config(const struct cli *cli, struct sender_config *out_config)
{
    const struct config *config = &cli->config;
    bool is_dev = arguments_has(cli->arguments, "dev");
    *out_config = (struct sender_config){
        .allow_networks = config_text(config, CONFIG_ALLOW_NETWORKS),
        .allow_ports = config_text(config, CONFIG_ALLOW_PORTS),
        .allow_http = config->numbers[CONFIG_ALLOW_HTTP] == 1 || is_dev,
        .ca_file = config_text(config, CONFIG_CA_FILE),
        .proxy = config_text(config, CONFIG_PROXY),
    };
    if (is_dev && out_config->allow_networks == NULL) {
        out_config->allow_networks = "127.0.0.0/8,::1/128";
    }
}

void cli_close(struct cli *cli)
{
    pg_close(cli->pg);
    cli->pg = NULL;
    seal_destroy(cli->seal);
    cli->seal = NULL;
    embedded_stop(cli->embedded);
    cli->embedded = NULL;
}

static enum status workspace_only(struct cli *cli, struct workspace *out_workspace,
                                  struct problem *problem)
{
    struct workspace *found = NULL;
    size_t count = 0;
    enum status status =
        workspace_list(cli->pg, cli->arena, (struct str){ NULL, 0 }, 2, &found, &count, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (count == 0) {
        return problem_set(problem, STATUS_MISSING, "object-not-found",
                           "there is no workspace yet: shopbell workspace create NAME");
    }
    if (count > 1) {
        return problem_set(problem, STATUS_INVALID, "usage",
                           "which workspace? --workspace NAME, for example %.*s",
                           STR_ARG(found[0].name));
    }
    *out_workspace = found[0];
    return STATUS_OK;
}

enum status cli_workspace(struct cli *cli, struct workspace *out_workspace, struct problem *problem)
{
    const char *name = arguments_value(cli->arguments, "workspace");
    if (name == NULL) {
        name = environment_value("SHOPBELL_WORKSPACE");
    }
    if (name == NULL || name[0] == '\0') {
        return workspace_only(cli, out_workspace, problem);
    }
    enum status status =
        workspace_find(cli->pg, cli->arena, str_from_z(name), out_workspace, problem);
    if (status == STATUS_MISSING) {
        return problem_set(problem, STATUS_MISSING, "object-not-found",
                           "there is no workspace \"%.60s\"", name);
    }
    return status;
}

enum status cli_confirm(struct cli *cli, const char *what, const char *name,
                        struct problem *problem)
{
    if (arguments_has(cli->arguments, "yes")) {
        return STATUS_OK;
    }
    char typed[128] = "";
    if (isatty(0) == 1 && isatty(2) == 1) {
        (void)fprintf(stderr, "This %s. Type %s to go on: ", what, name);
        if (fgets(typed, sizeof(typed), stdin) != NULL &&
            str_equal_z(str_trim(str_from_z(typed)), name)) {
            return STATUS_OK;
        }
    }
    return problem_set(problem, STATUS_DENIED, "not-confirmed",
                       "this %s: not done, since it was not confirmed (--yes)", what);
}

enum status cli_secret(struct cli *cli, const char *option, struct str *out_secret,
                       struct problem *problem)
{
    const char *path = arguments_value(cli->arguments, option);
    struct str text = { NULL, 0 };
    enum status status = STATUS_OK;
    if (path != NULL && strcmp(path, "-") != 0) {
        status = file_read(cli->arena, path, CLI_SECRET_BYTES_MAX, &text, problem);
    } else {
        if (isatty(0) == 1) {
            return problem_set(problem, STATUS_MISSING, "usage",
                               "the secret comes from --%s FILE, or from stdin", option);
        }
        status = file_read_from(cli->arena, 0, "stdin", CLI_SECRET_BYTES_MAX, &text, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    text = str_trim(text);
    if (text.size == 0) {
        return problem_set(problem, STATUS_INVALID, "usage", "the secret is empty");
    }
    *out_secret = text;
    return STATUS_OK;
}
