#ifndef APP_CONFIG_H
#define APP_CONFIG_H

/*
 * The configuration (contract 16): flags over environment over file over
 * default, each key in one table with its name in all three.
 *
 * A plain value; text lives in the arena given. Reads the file, nothing else;
 * the environment is an argument. All faults are reported at once, each with
 * its place, so that a file is mended in one go.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

enum config_origin {
    CONFIG_FROM_DEFAULT,
    CONFIG_FROM_FILE,
    CONFIG_FROM_ENVIRONMENT,
    CONFIG_FROM_FLAG,
};

/* In the order of the file. */
enum config_key_index {
    CONFIG_PUBLIC_URL,
    CONFIG_LISTEN,
    CONFIG_ADMIN_LISTEN,
    CONFIG_TRUSTED_PROXIES,
    CONFIG_TLS_CERT,
    CONFIG_TLS_KEY,
    CONFIG_DATABASE_URL,
    CONFIG_READ_URL,
    CONFIG_WRITERS,
    CONFIG_MASTER_KEY_FILE,
    CONFIG_HOOK_BODY,
    CONFIG_IN_FLIGHT,
    CONFIG_RETENTION_WEBHOOK,
    CONFIG_RETENTION_INTERACTION,
    CONFIG_RETENTION_ATTEMPT,
    CONFIG_RETENTION_NOTIFICATION,
    CONFIG_ALLOW_NETWORKS,
    CONFIG_ALLOW_PORTS,
    CONFIG_ALLOW_HTTP,
    CONFIG_CA_FILE,
    CONFIG_PROXY,
    CONFIG_KEY_COUNT,
};

enum config_kind {
    CONFIG_KIND_TEXT,
    CONFIG_KIND_URL,      /* http or https, no path; the slash at the end goes */
    CONFIG_KIND_LISTEN,   /* host:port, unix:/path, fd:3 */
    CONFIG_KIND_NETWORKS, /* CIDR blocks and addresses, comma separated, "unix" */
    CONFIG_KIND_PORTS,    /* ports and ranges, comma separated */
    CONFIG_KIND_PROXY,    /* http or https, may hold a password */
    CONFIG_KIND_PATH,     /* absolute */
    CONFIG_KIND_COUNT,
    CONFIG_KIND_SIZE,     /* "5MiB" */
    CONFIG_KIND_DURATION, /* "30d", "25mo", 0 */
    CONFIG_KIND_SWITCH,   /* yes or no */
};

struct config_key {
    const char *section;
    const char *name;
    const char *flag;       /* "database-url" */
    const char *value_name; /* "URL"; NULL for a switch that stands alone */
    enum config_kind kind;
    const char *initial; /* "" is unset */
    const char *help;
    int64_t least; /* for counts, sizes and durations */
    int64_t most;
};

struct config {
    /* The text of each key as given, "" when unset, and where it came from. */
    const char *texts[CONFIG_KEY_COUNT];
    enum config_origin origins[CONFIG_KEY_COUNT];
    /* Counts, bytes, milliseconds, or 0 and 1, by kind. */
    int64_t numbers[CONFIG_KEY_COUNT];
};

struct config_flag {
    enum config_key_index key;
    const char *value;
};

struct config_input {
    const char *file;         /* NULL: none */
    char *const *environment; /* NULL-terminated "NAME=value" */
    const struct config_flag *flags;
    size_t flag_count;
};

enum {
    CONFIG_FAULTS_MAX = 16,
    CONFIG_FAULT_SIZE = 320,
    CONFIG_FILE_BYTES_MAX = 64 * 1024
};

struct config_faults {
    size_t error_count;
    size_t warning_count; /* names in the environment that look like ours but are not */
    char errors[CONFIG_FAULTS_MAX][CONFIG_FAULT_SIZE];
    char warnings[CONFIG_FAULTS_MAX][CONFIG_FAULT_SIZE];
};

const struct config_key *config_key_at(enum config_key_index index);

/* STATUS_MISSING when the file is not there, STATUS_INVALID when anything in
 * it, the environment or the flags is wrong. */
NODISCARD enum status config_load(struct arena *arena, const struct config_input *input,
                                  struct config *out_config, struct config_faults *faults);

/* NULL when unset. */
const char *config_text(const struct config *config, enum config_key_index key);
const char *config_origin_name(enum config_origin origin);

/* "5MiB", "64KiB", "1GiB", "512B". False on anything else. */
bool config_size_parse(const char *text, int64_t *out_bytes);

#endif
