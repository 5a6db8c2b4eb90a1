#include <stdarg.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "app/app.h"
#include "app/cli.h"
#include "app/commands.h"
#include "app/embedded.h"
#include "app/master_key.h"
#include "app/memory.h"
#include "base/clock.h"
#include "base/instant.h"
#include "base/jsonw.h"
#include "store/migrate.h"
#include "store/pg.h"
#include "store/seal.h"

/*
 * shopbell doctor: what will hurt later, said now, each with its remedy.
 *
 * A check looks and never repairs, so it may run beside a live server as often
 * as one likes. It says "fail" only for what breaks a promise (a lost webhook,
 * a server that will not start, secrets that do not open), "warn" for what
 * will cost an evening one day. Checks that need the database say nothing when
 * there is none: one cause, one line.
 */

enum {
    REPORT_BYTES_MAX = 64 * 1024,
    CONNECTIONS_BESIDE_WRITERS = 13
};
#define DISK_LEAST_BYTES (INT64_C(2) * 1024 * 1024 * 1024)
#define OPEN_FILES_WANTED 16384

enum finding {
    FINDING_OK,
    FINDING_WARN,
    FINDING_FAIL
};

struct doctor {
    struct cli *cli;
    struct jsonw json;
    struct buf text;
    bool has_database;
    size_t warn_count;
    size_t fail_count;
};

static void find(struct doctor *doctor, enum finding finding, const char *check, const char *format,
                 ...) PRINTF_LIKE(4, 5);

static void find(struct doctor *doctor, enum finding finding, const char *check, const char *format,
                 ...)
{
    static const char *const names[] = { "ok", "warn", "fail" };
    static const char *const colors[] = { "\033[32m", "\033[33m", "\033[31m" };
    char detail[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(detail, sizeof(detail), format, arguments);
    va_end(arguments);
    for (char *c = detail; *c != '\0'; c++) {
        *c = (char)((unsigned char)*c < ' ' ? ' ' : *c); /* libpq writes two lines */
    }
    doctor->warn_count += finding == FINDING_WARN ? 1 : 0;
    doctor->fail_count += finding == FINDING_FAIL ? 1 : 0;
    if (!doctor->cli->is_json) {
        bool has_color = doctor->cli->has_color;
        cli_print("%s%-4s%s  %-18s %s\n", has_color ? colors[finding] : "", names[finding],
                  has_color ? "\033[0m" : "", check, detail);
        return;
    }
    jsonw_open(&doctor->json);
    jsonw_put_z(&doctor->json, "check", check);
    jsonw_put_z(&doctor->json, "finding", names[finding]);
    jsonw_put_z(&doctor->json, "detail", detail);
    jsonw_close(&doctor->json);
}

/* One row of one text column, or the empty string. */
static struct str ask(struct doctor *doctor, const struct pg_statement *statement)
{
    struct pg_result *result = NULL;
    struct problem problem;
    enum status status =
        pg_run(doctor->cli->pg, doctor->cli->arena, statement, NULL, &result, &problem);
    if (status != STATUS_OK || pg_row_count(result) == 0) {
        return (struct str){ NULL, 0 };
    }
    return pg_get_text(result, 0, 0);
}

static void check_master_key(struct doctor *doctor)
{
    char path[MASTER_KEY_PATH_SIZE];
    struct problem problem = { .detail = "" };
    uint8_t key[SEAL_MASTER_KEY_SIZE];
    enum status status =
        master_key_find(&doctor->cli->config, doctor->cli->embedded_directory, path, &problem);
    if (status == STATUS_OK) {
        status = master_key_read(path, key, &problem);
        memset(key, 0, sizeof(key));
    }
    if (status == STATUS_OK) {
        find(doctor, FINDING_OK, "master key", "%s", path);
    } else {
        find(doctor, FINDING_FAIL, "master key", "%s", problem.detail);
    }
}

/* Settings of the contract that nothing reads yet: better said than silent. */
static void check_unused(struct doctor *doctor)
{
    const char *read_url = config_text(&doctor->cli->config, CONFIG_READ_URL);
    if (read_url != NULL && read_url[0] != '\0') {
        find(doctor, FINDING_WARN, "read_url", "set, but nothing reads from it yet");
    }
}

static void check_public_url(struct doctor *doctor)
{
    const char *url = config_text(&doctor->cli->config, CONFIG_PUBLIC_URL);
    if (url == NULL && doctor->cli->embedded_directory != NULL) {
        find(doctor, FINDING_OK, "public_url", "%s, as the server on this machine calls itself",
             doctor->cli->public_url);
    } else if (url == NULL) {
        find(doctor, FINDING_FAIL, "public_url",
             "not set: shops cannot be told where to send; set server.public_url");
    } else if (strncmp(url, "https://", 8) != 0) {
        find(doctor, FINDING_WARN, "public_url",
             "%s is not https: shops refuse such addresses, and secrets travel in the clear", url);
    } else {
        find(doctor, FINDING_OK, "public_url", "%s", url);
    }
}

static void check_proxies(struct doctor *doctor)
{
    const struct config *config = &doctor->cli->config;
    const char *listen = config_text(config, CONFIG_LISTEN);
    const char *proxies = config_text(config, CONFIG_TRUSTED_PROXIES);
    const char *url = config_text(config, CONFIG_PUBLIC_URL);
    bool is_unix = listen != NULL && strncmp(listen, "unix:", 5) == 0;
    bool has_tls = config_text(config, CONFIG_TLS_CERT) != NULL;
    bool is_https = url != NULL && strncmp(url, "https://", 8) == 0;
    if (is_unix && (proxies == NULL || strstr(proxies, "unix") == NULL)) {
        find(doctor, FINDING_WARN, "trusted_proxies",
             "listening on a Unix socket, but its peer is not trusted: all senders look like one; "
             "set server.trusted_proxies = unix");
    } else if (is_https && !has_tls && proxies == NULL) {
        find(doctor, FINDING_WARN, "trusted_proxies",
             "public_url is https and nobody here speaks TLS: name the proxy in "
             "server.trusted_proxies, or set tls_cert and tls_key");
    } else {
        find(doctor, FINDING_OK, "trusted_proxies", "%s", proxies != NULL ? proxies : "none");
    }
}

static void check_open_files(struct doctor *doctor)
{
    struct rlimit files = { 0, 0 };
    (void)getrlimit(RLIMIT_NOFILE, &files);
    bool is_enough = files.rlim_max == RLIM_INFINITY || files.rlim_max >= OPEN_FILES_WANTED;
    find(doctor, is_enough ? FINDING_OK : FINDING_WARN, "open files", "at most %llu%s",
         (unsigned long long)files.rlim_max,
         is_enough ? "" : ": few connections fit; LimitNOFILE=65536 in the unit, or ulimit -n");
}

static void check_disk(struct doctor *doctor)
{
    static const struct pg_statement statement = {
        .name = "doctor_data_directory",
        .sql = "SELECT current_setting('data_directory')",
    };
    struct str directory = doctor->has_database ? ask(doctor, &statement) : STR("");
    const char *path = doctor->cli->embedded_directory != NULL
                           ? doctor->cli->embedded_directory
                           : str_dup_z(doctor->cli->arena, directory);
    struct statvfs disk;
    if (path == NULL || path[0] == '\0' || statvfs(path, &disk) != 0) {
        find(doctor, FINDING_OK, "disk", "the database's is not in sight of this account");
        return;
    }
    int64_t free_bytes = (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
    bool is_enough = free_bytes >= DISK_LEAST_BYTES;
    find(doctor, is_enough ? FINDING_OK : FINDING_WARN, "disk", "%lld MiB free under %s%s",
         (long long)(free_bytes >> 20), path,
         is_enough ? "" : ": PostgreSQL stops when it is full");
}

static void check_version(struct doctor *doctor)
{
    static const struct pg_statement statement = {
        .name = "doctor_version",
        .sql = "SELECT current_setting('server_version_num')",
    };
    int64_t version = 0;
    (void)str_to_i64(ask(doctor, &statement), &version);
    find(doctor, version >= 150000 ? FINDING_OK : FINDING_FAIL, "PostgreSQL", "version %lld.%lld%s",
         (long long)(version / 10000), (long long)(version % 10000),
         version >= 150000 ? "" : ": 15 or later is needed");
}

static void check_durability(struct doctor *doctor)
{
    static const struct pg_statement statement = {
        .name = "doctor_durability",
        .sql = "SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM pg_settings "
               "WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') "
               "AND setting = 'off'",
    };
    struct str off = ask(doctor, &statement);
    if (off.size > 0) {
        find(doctor, FINDING_FAIL, "durability",
             "%.*s: a power cut loses webhooks that were acknowledged; turn it on", STR_ARG(off));
    } else {
        find(doctor, FINDING_OK, "durability", "fsync, full_page_writes, synchronous_commit");
    }
}

/* A new file of the log is filled with zeros while every commit waits for it. A
 * file that is used again is not, so this ends once there are enough of them. */
static void check_log_files(struct doctor *doctor)
{
    static const struct pg_statement statement = {
        .name = "doctor_log_files",
        .sql = "SELECT (current_setting('wal_init_zero') = 'on' AND setting::bigint < 1024)::text "
               "FROM pg_settings WHERE name = 'min_wal_size'", /* in MiB */
    };
    bool is_slow = str_equal_z(ask(doctor, &statement), "true");
    find(doctor, is_slow ? FINDING_WARN : FINDING_OK, "log files",
         is_slow ? "every new one stalls all commits while it is filled, 50 ms on a small disk; "
                   "in postgresql.conf: wal_init_zero = off, min_wal_size = 1GB"
                 : "none is filled with zeros while commits wait");
}

static void check_connections(struct doctor *doctor)
{
    static const struct pg_statement statement = {
        .name = "doctor_connections",
        .sql = "SELECT current_setting('max_connections')",
    };
    int64_t most = 0;
    (void)str_to_i64(ask(doctor, &statement), &most);
    int64_t needed = doctor->cli->config.numbers[CONFIG_WRITERS] + CONNECTIONS_BESIDE_WRITERS;
    find(doctor, most >= 2 * needed ? FINDING_OK : FINDING_WARN, "max_connections",
         "%lld; an instance uses up to %lld", (long long)most, (long long)needed);
}

/* Profiles and identities are read at random: what does not fit is read again and
 * again. Half of the advice is near enough. Elsewhere than here the machine's memory
 * is not in sight; what nobody has set there is. */
static void check_buffers(struct doctor *doctor)
{
    static const struct pg_statement statement = {
        .name = "doctor_buffers",
        .sql = "SELECT (setting::bigint * 8 / 1024)::text FROM pg_settings "
               "WHERE name = 'shared_buffers'", /* in pages of 8 KiB */
    };
    static const struct pg_statement place = {
        .name = "doctor_place",
        .sql = "SELECT (inet_server_addr() IS NULL)::text",
    };
    int64_t mib = 0;
    (void)str_to_i64(ask(doctor, &statement), &mib);
    int64_t advised_mib = memory_shared_buffers_mib(memory_available(""));
    bool is_here = str_equal_z(ask(doctor, &place), "true");
    if (is_here ? mib * 2 >= advised_mib : mib > 128) {
        find(doctor, FINDING_OK, "shared_buffers", "%lld MiB", (long long)mib);
    } else if (is_here) {
        find(doctor, FINDING_WARN, "shared_buffers",
             "%lld MiB: with many profiles most are read from outside; on this machine "
             "shared_buffers = %lldMB in postgresql.conf",
             (long long)mib, (long long)advised_mib);
    } else {
        find(doctor, FINDING_WARN, "shared_buffers",
             "%lld MiB, PostgreSQL's default: with many profiles most are read from outside; "
             "a quarter of that machine's memory, in postgresql.conf",
             (long long)mib);
    }
}

static void check_schema(struct doctor *doctor)
{
    struct problem problem = { .detail = "" };
    enum status status = migrate_check(doctor->cli->pg, &problem);
    if (status == STATUS_OK) {
        find(doctor, FINDING_OK, "schema", "all migrations are applied");
    } else {
        find(doctor, FINDING_FAIL, "schema", "%s (shopbell migrate)", problem.detail);
    }
}

static void check_partitions(struct doctor *doctor)
{
    static const struct pg_statement statement = {
        .name = "doctor_partitions",
        .sql = "SELECT least(8, floor(extract(epoch FROM min(reach) - now()) / 86400))::bigint "
               "::text FROM (SELECT max((regexp_match(pg_get_expr(part.relpartbound, part.oid), "
               "'TO \\(''([^'']+)''\\)'))[1]::timestamptz) AS reach FROM pg_inherits edge "
               "JOIN pg_class part ON part.oid = edge.inhrelid "
               "JOIN pg_class parent ON parent.oid = edge.inhparent "
               "WHERE parent.relkind = 'p' AND parent.relname IN ('webhook', 'notification', "
               "'attempt', 'interaction', 'transition') GROUP BY parent.oid) AS reaches",
    };
    int64_t days = -1;
    if (!str_to_i64(ask(doctor, &statement), &days) || days < 1) {
        find(doctor, FINDING_FAIL, "partitions",
             "less than a day ahead: writes will fail; shopbell migrate makes them");
    } else if (days < 7) {
        find(doctor, FINDING_WARN, "partitions",
             "%lld days ahead: has no server run lately? shopbell migrate makes them",
             (long long)days);
    } else {
        find(doctor, FINDING_OK, "partitions", "a week ahead or more");
    }
}

static void check_clock(struct doctor *doctor)
{
    static const struct pg_statement statement = {
        .name = "doctor_clock",
        .sql = "SELECT clock_timestamp()",
    };
    struct pg_result *result = NULL;
    struct problem problem;
    int64_t before_ms = clock_now_ms();
    enum status status =
        pg_run(doctor->cli->pg, doctor->cli->arena, &statement, NULL, &result, &problem);
    int64_t after_ms = clock_now_ms();
    if (status != STATUS_OK || pg_row_count(result) != 1) {
        find(doctor, FINDING_WARN, "clock", "cannot be compared with the database's");
        return;
    }
    int64_t offset_ms = pg_get_instant(result, 0, 0) - (before_ms + (after_ms - before_ms) / 2);
    bool is_close = llabs(offset_ms) <= 250;
    find(doctor, is_close ? FINDING_OK : FINDING_FAIL, "clock", "%+lld ms off the database's%s",
         (long long)offset_ms,
         is_close ? "" : ": above 250 ms the server is not ready; check NTP on both");
}

/* Do the stored secrets open under this master key? The registry tells. */
static void check_secrets(struct doctor *doctor)
{
    struct registry *registry = NULL;
    struct problem problem = { .detail = "" };
    if (doctor->cli->seal == NULL || registry_create(doctor->cli->database_url, doctor->cli->seal,
                                                     app_parse_source, &registry) != STATUS_OK) {
        return;
    }
    enum status status = registry_refresh(registry, true, &problem);
    if (status == STATUS_OK && problem.detail[0] == '\0') {
        find(doctor, FINDING_OK, "stored secrets", "all open under this master key");
    } else {
        find(doctor, FINDING_FAIL, "stored secrets", "%s", problem.detail);
    }
    registry_destroy(registry);
}

static void check_database(struct doctor *doctor)
{
    struct problem problem = { .detail = "" };
    enum status status = cli_open_configured(doctor->cli, CLI_NEEDS_DATABASE, &problem);
    if (status != STATUS_OK) {
        find(doctor, FINDING_FAIL, "database", "%s", problem.detail);
        return;
    }
    doctor->has_database = true;
    check_version(doctor);
    check_durability(doctor);
    check_log_files(doctor);
    check_connections(doctor);
    check_buffers(doctor);
    check_clock(doctor);
    check_schema(doctor);
    check_partitions(doctor);
}

static enum status examine(struct doctor *doctor, struct problem *problem)
{
    struct cli *cli = doctor->cli;
    find(doctor, FINDING_OK, "configuration", "%s",
         cli->config_file != NULL ? cli->config_file : "defaults, environment and flags");
    check_public_url(doctor);
    check_unused(doctor);
    check_proxies(doctor);
    check_open_files(doctor);
    check_database(doctor);
    check_disk(doctor);
    check_master_key(doctor);
    if (doctor->has_database && cli_open_configured(cli, CLI_NEEDS_SEAL, problem) == STATUS_OK) {
        check_secrets(doctor);
    }
    if (doctor->fail_count > 0) {
        return problem_set(problem, STATUS_BROKEN, "doctor", "%zu of the checks failed",
                           doctor->fail_count);
    }
    cli_say(cli, "shopbell: %s",
            doctor->warn_count > 0 ? "nothing is broken; see the warnings" : "all is well");
    return STATUS_OK;
}

enum status command_doctor(struct cli *cli, struct problem *problem)
{
    struct doctor doctor = { .cli = cli };
    enum status status = cli_configure(cli, problem);
    if (status == STATUS_OK && cli->embedded_directory != NULL) {
        status = cli_join(cli, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    buf_init(&doctor.text, cli->arena, REPORT_BYTES_MAX);
    jsonw_begin(&doctor.json, &doctor.text);
    jsonw_open_array(&doctor.json);
    status = examine(&doctor, problem);
    jsonw_close_array(&doctor.json);
    if (cli->is_json) {
        cli_print_str(buf_str(&doctor.text));
        cli_print("\n");
    }
    return status;
}
