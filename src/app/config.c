#include "app/config.h"

#include <assert.h>
#include <ctype.h>
#include <ini.h>
#include <stdarg.h>

#include "app/file.h"
#include "base/instant.h"
#include "base/str.h"
#include "deliver/port_rule.h"
#include "http/proxies.h"

/*
 * Problem: a server that starts on half of what its owner wrote. A key with a
 * typing error that is silently ignored is a retention that never happens or
 * a proxy that is never trusted.
 *
 * Invariant: either every line, variable and flag was understood, or nothing
 * starts and all faults are listed with their places. Variables of the
 * environment are the exception: a name that merely begins like ours may
 * belong to someone else (Kubernetes sets SHOPBELL_SERVER_PORT for a service
 * of that name), so it is only a warning.
 *
 * libinih reads lines through a reader of ours, for two reasons: Debian's
 * build tells the handler no line numbers, and it would cut lines longer than
 * its buffer in two without a word.
 */

#define KIB INT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

static const struct config_key key_table[CONFIG_KEY_COUNT] = {
    [CONFIG_PUBLIC_URL] = { "server", "public_url", "public-url", "URL", CONFIG_KIND_URL, "",
                            "how the world reaches this server; in every webhook_url", 0, 0 },
    [CONFIG_LISTEN] = { "server", "listen", "listen", "ADDRESS", CONFIG_KIND_LISTEN,
                        "127.0.0.1:8080", "host:port or unix:/path", 0, 0 },
    [CONFIG_ADMIN_LISTEN] = { "server", "admin_listen", "admin-listen", "ADDRESS",
                              CONFIG_KIND_LISTEN, "", "for /metrics and the detail of /readyz", 0,
                              0 },
    [CONFIG_TRUSTED_PROXIES] = { "server", "trusted_proxies", "trusted-proxies", "NETWORKS",
                                 CONFIG_KIND_NETWORKS, "",
                                 "whose X-Forwarded-For counts: unix, 10.0.0.0/8", 0, 0 },
    [CONFIG_TLS_CERT] = { "server", "tls_cert", "tls-cert", "FILE", CONFIG_KIND_PATH, "",
                          "certificate chain, PEM; read again on SIGHUP", 0, 0 },
    [CONFIG_TLS_KEY] = { "server", "tls_key", "tls-key", "FILE", CONFIG_KIND_PATH, "",
                         "its private key, PEM", 0, 0 },
    [CONFIG_DATABASE_URL] = { "database", "url", "database-url", "URL", CONFIG_KIND_TEXT,
                              "postgresql:///shopbell?host=/run/postgresql",
                              "PostgreSQL 15 or later", 0, 0 },
    [CONFIG_READ_URL] = { "database", "read_url", "database-read-url", "URL", CONFIG_KIND_TEXT, "",
                          "a replica for reading; taken, not used yet", 0, 0 },
    [CONFIG_WRITERS] = { "database", "writers", "database-writers", "COUNT", CONFIG_KIND_COUNT, "2",
                         "connections that commit webhooks; one per core of the database", 1, 32 },
    [CONFIG_MASTER_KEY_FILE] = { "secrets", "master_key_file", "master-key-file", "FILE",
                                 CONFIG_KIND_PATH, "",
                                 "seals all secrets; or the systemd credential master.key", 0, 0 },
    [CONFIG_HOOK_BODY] = { "limits", "hook_body", "limit-hook-body", "SIZE", CONFIG_KIND_SIZE,
                           "5MiB", "largest webhook taken", KIB, 64 * MIB },
    [CONFIG_IN_FLIGHT] = { "limits", "in_flight", "limit-in-flight", "SIZE", CONFIG_KIND_SIZE,
                           "256MiB", "all bodies in work together", MIB, 64 * GIB },
    [CONFIG_RETENTION_WEBHOOK] = { "retention", "webhook", "retention-webhook", "DURATION",
                                   CONFIG_KIND_DURATION, "30d", "raw webhooks; 0 keeps none", 0,
                                   3650 * INSTANT_DAY_MS },
    [CONFIG_RETENTION_INTERACTION] = { "retention", "interaction", "retention-interaction",
                                       "DURATION", CONFIG_KIND_DURATION, "25mo",
                                       "timelines; what is older stays as the profile; 0 keeps all",
                                       0, 36500 * INSTANT_DAY_MS },
    [CONFIG_RETENTION_ATTEMPT] = { "retention", "attempt", "retention-attempt", "DURATION",
                                   CONFIG_KIND_DURATION, "30d", "the log of calls to subscribers",
                                   INSTANT_DAY_MS, 3650 * INSTANT_DAY_MS },
    [CONFIG_RETENTION_NOTIFICATION] = { "retention", "notification", "retention-notification",
                                        "DURATION", CONFIG_KIND_DURATION, "30d",
                                        "what was sent; a pending delivery keeps its own",
                                        INSTANT_DAY_MS, 3650 * INSTANT_DAY_MS },
    [CONFIG_ALLOW_NETWORKS] = { "deliver", "allow_networks", "deliver-allow-networks", "NETWORKS",
                                CONFIG_KIND_NETWORKS, "",
                                "private networks that subscribers may live in", 0, 0 },
    [CONFIG_ALLOW_PORTS] = { "deliver", "allow_ports", "deliver-allow-ports", "PORTS",
                             CONFIG_KIND_PORTS, "",
                             "443, 8000-8999; empty: 443 and 1024 up, without databases and such",
                             0, 0 },
    [CONFIG_ALLOW_HTTP] = { "deliver", "allow_http", "deliver-allow-http", NULL, CONFIG_KIND_SWITCH,
                            "no", "subscribers without TLS, too", 0, 0 },
    [CONFIG_CA_FILE] = { "deliver", "ca_file", "deliver-ca-file", "FILE", CONFIG_KIND_PATH, "",
                         "authorities to trust; empty: the system's", 0, 0 },
    [CONFIG_PROXY] = { "deliver", "proxy", "deliver-proxy", "URL", CONFIG_KIND_PROXY, "",
                       "all calls go through it, and it judges their addresses", 0, 0 },
};

struct loader {
    struct arena *arena;
    struct config *config;
    struct config_faults *faults;
    const char *file;
    struct str rest; /* of the file */
    int line;
    bool line_is_indented;
    int given_at[CONFIG_KEY_COUNT]; /* line of the file, 0: not yet */
};

static void fault_add(struct config_faults *faults, const char *format, ...) PRINTF_LIKE(2, 3);

static void fault_add(struct config_faults *faults, const char *format, ...)
{
    if (faults->error_count == CONFIG_FAULTS_MAX) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(faults->errors[faults->error_count++], CONFIG_FAULT_SIZE, format, arguments);
    va_end(arguments);
}

static void warning_add(struct config_faults *faults, const char *name, const char *nearest)
{
    if (faults->warning_count == CONFIG_FAULTS_MAX) {
        return;
    }
    (void)snprintf(faults->warnings[faults->warning_count++], CONFIG_FAULT_SIZE,
                   "environment: %.120s is no setting and is ignored%s%s%s", name,
                   nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
                   nearest != NULL ? "?" : "");
}

bool config_size_parse(const char *text, int64_t *out_bytes)
{
    static const struct {
        const char *unit;
        int64_t bytes;
    } size_units[] = { { "GiB", GIB }, { "MiB", MIB }, { "KiB", KIB }, { "B", 1 } };
    size_t digits = strspn(text, "0123456789");
    int64_t count = 0;
    if (digits == 0 || !str_to_i64((struct str){ text, digits }, &count)) {
        return false;
    }
    const char *unit = text + digits + strspn(text + digits, " ");
    for (size_t i = 0; i < ARRAY_COUNT(size_units); i++) {
        int64_t bytes = 0;
        if (strcmp(unit, size_units[i].unit) == 0) {
            bool is_sane = !__builtin_mul_overflow(count, size_units[i].bytes, &bytes);
            *out_bytes = is_sane ? bytes : *out_bytes;
            return is_sane;
        }
    }
    return false;
}

static bool switch_parse(const char *text, int64_t *out_number)
{
    static const struct {
        const char *word;
        int64_t number;
    } switch_words[] = { { "yes", 1 }, { "no", 0 },  { "true", 1 }, { "false", 0 },
                         { "on", 1 },  { "off", 0 }, { "1", 1 },    { "0", 0 } };
    for (size_t i = 0; i < ARRAY_COUNT(switch_words); i++) {
        if (strcmp(text, switch_words[i].word) == 0) {
            *out_number = switch_words[i].number;
            return true;
        }
    }
    return false;
}

static bool listen_is_sound(const char *text)
{
    struct str address = str_from_z(text);
    if (str_starts_with(address, STR("unix:"))) {
        return address.size > 6 && address.data[5] == '/';
    }
    uint64_t number = 0;
    if (str_starts_with(address, STR("fd:"))) {
        return str_to_u64(str_drop(address, 3), &number) && number >= 3 && number < 1024;
    }
    const char *colon = strrchr(text, ':');
    return colon != NULL && colon != text && str_to_u64(str_from_z(colon + 1), &number) &&
           number <= 65535;
}

/* "http://user:password@proxy.example:3128" */
static bool proxy_is_sound(const char *text)
{
    size_t scheme = strncmp(text, "https://", 8) == 0  ? 8
                    : strncmp(text, "http://", 7) == 0 ? 7
                                                       : 0;
    const char *at = strchr(text, '@');
    const char *host = at != NULL ? at + 1 : text + scheme;
    const char *colon = strrchr(host, ':');
    uint64_t port = 0;
    return scheme > 0 && colon != NULL && colon != host &&
           str_to_u64(str_from_z(colon + 1), &port) && port > 0 && port <= 65535 &&
           strpbrk(host, "/ \t?#@") == NULL;
}

static bool url_is_sound(struct str url)
{
    struct str host = { NULL, 0 };
    if (str_starts_with(url, STR("https://"))) {
        host = str_drop(url, 8);
    } else if (str_starts_with(url, STR("http://"))) {
        host = str_drop(url, 7);
    }
    if (host.size == 0 || host.size > 255) {
        return false;
    }
    for (size_t i = 0; i < host.size; i++) {
        if (!isalnum((unsigned char)host.data[i]) && strchr(".-:[]_", host.data[i]) == NULL) {
            return false;
        }
    }
    return true;
}

/* Of those kinds that have one. NULL: *out_number is it. */
static const char *number_fault(enum config_kind kind, const char *text, int64_t *out_number)
{
    if (kind == CONFIG_KIND_COUNT) {
        return str_to_i64(str_from_z(text), out_number) ? NULL : "a number is wanted";
    }
    if (kind == CONFIG_KIND_SIZE) {
        return config_size_parse(text, out_number) ? NULL
                                                   : "a size such as 5MiB or 64KiB is wanted";
    }
    if (kind == CONFIG_KIND_SWITCH) {
        return switch_parse(text, out_number) ? NULL : "yes or no is wanted";
    }
    if (strcmp(text, "0") == 0) {
        *out_number = 0;
        return NULL;
    }
    return duration_parse(str_from_z(text), true, out_number)
               ? NULL
               : "a duration such as 30d or 25mo is wanted";
}

/* What is wrong with the text, or NULL. Writes the number for kinds that have
 * one. */
static const char *value_fault(const struct config_key *key, const char *text, int64_t *out_number)
{
    struct proxies unused_proxies;
    struct port_rule unused_rule;
    struct str value = str_from_z(text);
    switch (key->kind) {
    case CONFIG_KIND_TEXT:
        return NULL;
    case CONFIG_KIND_PATH:
        return text[0] == '/' ? NULL : "a path from the root is wanted, such as /etc/shopbell/file";
    case CONFIG_KIND_URL:
        return url_is_sound(value) ? NULL : "an address such as https://bell.example.com is wanted";
    case CONFIG_KIND_LISTEN:
        return listen_is_sound(text) ? NULL
                                     : "127.0.0.1:8080 or unix:/run/shopbell/http.sock "
                                       "is wanted";
    case CONFIG_KIND_NETWORKS:
        return proxies_parse(text, &unused_proxies, NULL) == STATUS_OK
                   ? NULL
                   : "networks such as 10.0.0.0/8, 127.0.0.1 are wanted";
    case CONFIG_KIND_PORTS:
        return port_rule_init(&unused_rule, text, false, NULL) == STATUS_OK
                   ? NULL
                   : "up to 32 ports and ranges such as 443, 8000-8999 are wanted";
    case CONFIG_KIND_PROXY:
        return proxy_is_sound(text) ? NULL
                                    : "http://host:port or https://host:port is wanted, with "
                                      "user:password@ if need be";
    case CONFIG_KIND_COUNT:
    case CONFIG_KIND_SIZE:
    case CONFIG_KIND_DURATION:
    case CONFIG_KIND_SWITCH:
        return number_fault(key->kind, text, out_number);
    }
    return "unknown kind";
}

static void range_format(const struct config_key *key, int64_t bound, char text[32])
{
    if (key->kind == CONFIG_KIND_DURATION) {
        duration_format(bound, text);
    } else if (key->kind == CONFIG_KIND_SIZE && bound >= MIB) {
        (void)snprintf(text, 32, "%lldMiB", (long long)(bound / MIB));
    } else if (key->kind == CONFIG_KIND_SIZE) {
        (void)snprintf(text, 32, "%lldKiB", (long long)(bound / KIB));
    } else {
        (void)snprintf(text, 32, "%lld", (long long)bound);
    }
}

static void value_set(struct loader *loader, enum config_key_index index, const char *given,
                      enum config_origin origin, const char *place)
{
    const struct config_key *key = &key_table[index];
    struct str text = str_trim(str_from_z(given));
    if (key->kind == CONFIG_KIND_URL && str_ends_with(text, STR("/"))) {
        text.size--;
    }
    const char *value = str_dup_z(loader->arena, text);
    if (value == NULL) {
        fault_add(loader->faults, "%s: no memory for its value", place);
        return;
    }
    int64_t number = 0;
    const char *fault = value[0] != '\0' ? value_fault(key, value, &number) : NULL;
    /* Who types a path stands in a directory; a file does not. */
    if (key->kind == CONFIG_KIND_PATH && origin == CONFIG_FROM_FLAG) {
        fault = NULL;
    }
    bool needs_value = key->kind >= CONFIG_KIND_COUNT;
    if (fault == NULL && value[0] == '\0' && needs_value) {
        fault = "a value is wanted";
    }
    if (fault != NULL) {
        bool is_private = key->kind == CONFIG_KIND_TEXT || key->kind == CONFIG_KIND_PROXY;
        fault_add(loader->faults, "%s: \"%.80s\" will not do for %s.%s: %s", place,
                  is_private ? "..." : value, key->section, key->name, fault);
        return;
    }
    if (key->most > 0 && (number < key->least || number > key->most)) {
        char least[32];
        char most[32];
        range_format(key, key->least, least);
        range_format(key, key->most, most);
        fault_add(loader->faults, "%s: %s.%s is %.40s; it must be from %s to %s", place,
                  key->section, key->name, value, least, most);
        return;
    }
    loader->config->texts[index] = value;
    loader->config->numbers[index] = number;
    loader->config->origins[index] = origin;
}

/* libinih's reader: one line of the file, and its number. */
static char *read_line(char *line, int capacity, void *stream)
{
    struct loader *loader = stream;
    assert(capacity > 2);
    if (loader->rest.size == 0) {
        return NULL;
    }
    ptrdiff_t end = str_find(loader->rest, '\n', 0);
    struct str whole = end >= 0 ? str_take(loader->rest, (size_t)end) : loader->rest;
    loader->rest = str_drop(loader->rest, end >= 0 ? (size_t)end + 1 : whole.size);
    loader->line++;
    loader->line_is_indented = whole.size > 0 && (whole.data[0] == ' ' || whole.data[0] == '\t');
    size_t room = (size_t)capacity - 2;
    if (whole.size > room) {
        fault_add(loader->faults, "%s, line %d: longer than %zu characters", loader->file,
                  loader->line, room);
        whole.size = room;
    }
    memcpy(line, whole.data, whole.size);
    line[whole.size] = '\n';
    line[whole.size + 1] = '\0';
    return line;
}

static void refuse_section(struct loader *loader, const char *section, const char *place)
{
    static const char *const sections[] = { "server", "database",  "secrets",
                                            "limits", "retention", "deliver" };
    const char *nearest = str_nearest(str_from_z(section), sections, ARRAY_COUNT(sections));
    if (section[0] == '\0') {
        fault_add(loader->faults, "%s: this stands before the first [section]", place);
    } else if (nearest != NULL) {
        fault_add(loader->faults, "%s: there is no section [%.40s]; did you mean [%s]?", place,
                  section, nearest);
    } else {
        fault_add(loader->faults, "%s: there is no section [%.40s]", place, section);
    }
}

static void refuse_key(struct loader *loader, const char *section, const char *name,
                       const char *place)
{
    const char *names[CONFIG_KEY_COUNT];
    size_t count = 0;
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        if (strcmp(key_table[i].section, section) == 0) {
            names[count++] = key_table[i].name;
        } else if (strcmp(key_table[i].name, name) == 0) {
            fault_add(loader->faults, "%s: %.40s belongs into section [%s]", place, name,
                      key_table[i].section);
            return;
        }
    }
    if (count == 0) {
        refuse_section(loader, section, place);
        return;
    }
    const char *nearest = str_nearest(str_from_z(name), names, count);
    if (nearest != NULL) {
        fault_add(loader->faults, "%s: there is no key \"%.40s\" in [%s]; did you mean \"%s\"?",
                  place, name, section, nearest);
    } else {
        fault_add(loader->faults, "%s: there is no key \"%.40s\" in [%s]", place, name, section);
    }
}

static bool key_find(const char *section, const char *name, enum config_key_index *out_index)
{
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        if (strcmp(key_table[i].section, section) == 0 && strcmp(key_table[i].name, name) == 0) {
            *out_index = (enum config_key_index)i;
            return true;
        }
    }
    return false;
}

/* libinih's handler. Always 1: it collects faults itself and goes on. */
static int take_pair(void *user, const char *section, const char *name, const char *value)
{
    struct loader *loader = user;
    char place[160];
    (void)snprintf(place, sizeof(place), "%.120s, line %d", loader->file, loader->line);
    enum config_key_index index = CONFIG_PUBLIC_URL;
    if (loader->line_is_indented) {
        fault_add(loader->faults, "%s: keys start at the beginning of the line", place);
        return 1;
    }
    if (!key_find(section, name, &index)) {
        refuse_key(loader, section, name, place);
        return 1;
    }
    if (loader->given_at[index] > 0) {
        fault_add(loader->faults, "%s: %s.%s was already given in line %d", place, section, name,
                  loader->given_at[index]);
        return 1;
    }
    loader->given_at[index] = loader->line;
    value_set(loader, index, value, CONFIG_FROM_FILE, place);
    return 1;
}

static enum status file_load(struct loader *loader)
{
    struct problem problem;
    struct str text = { NULL, 0 };
    enum status status =
        file_read(loader->arena, loader->file, CONFIG_FILE_BYTES_MAX, &text, &problem);
    if (status != STATUS_OK) {
        fault_add(loader->faults, "%s", problem.detail);
        return status;
    }
    if (!str_is_text(text)) {
        fault_add(loader->faults, "%s: not a text in UTF-8", loader->file);
        return STATUS_INVALID;
    }
    loader->rest = text;
    int line = ini_parse_stream(read_line, loader, take_pair, loader);
    if (line != 0) {
        fault_add(loader->faults, "%s, line %d: neither [section] nor key = value", loader->file,
                  line);
    }
    return STATUS_OK;
}

/* SHOPBELL_DATABASE_URL; keys of [server] also without their section. */
static void variable_name(const struct config_key *key, bool is_short, char name[64])
{
    int size = is_short ? snprintf(name, 64, "SHOPBELL_%s", key->name)
                        : snprintf(name, 64, "SHOPBELL_%s_%s", key->section, key->name);
    for (int i = 0; i < size; i++) {
        name[i] = (char)toupper((unsigned char)name[i]);
    }
}

static const char *variable_value(const char *entry, const char *name)
{
    size_t size = strlen(name);
    return strncmp(entry, name, size) == 0 && entry[size] == '=' ? entry + size + 1 : NULL;
}

static bool variable_take_as(struct loader *loader, const char *entry, enum config_key_index index,
                             bool is_short)
{
    char name[64];
    char place[96];
    variable_name(&key_table[index], is_short, name);
    const char *value = variable_value(entry, name);
    if (value == NULL) {
        return false;
    }
    (void)snprintf(place, sizeof(place), "environment, %s", name);
    value_set(loader, index, value, CONFIG_FROM_ENVIRONMENT, place);
    return true;
}

static bool variable_take(struct loader *loader, const char *entry)
{
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        enum config_key_index index = (enum config_key_index)i;
        bool has_short = strcmp(key_table[i].section, "server") == 0;
        if (variable_take_as(loader, entry, index, false) ||
            (has_short && variable_take_as(loader, entry, index, true))) {
            return true;
        }
    }
    return false;
}

static void variable_doubt(struct loader *loader, const char *entry)
{
    char names[CONFIG_KEY_COUNT][64];
    const char *candidates[CONFIG_KEY_COUNT];
    bool has_section = false;
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        variable_name(&key_table[i], false, names[i]);
        candidates[i] = names[i];
        size_t size = strlen("SHOPBELL_") + strlen(key_table[i].section) + 1;
        has_section = has_section || strncmp(entry, names[i], size) == 0;
    }
    if (has_section) {
        char name[121] = "";
        (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(entry, "="), entry);
        warning_add(loader->faults, name,
                    str_nearest(str_from_z(name), candidates, CONFIG_KEY_COUNT));
    }
}

static void environment_load(struct loader *loader, char *const *environment)
{
    for (size_t i = 0; environment != NULL && environment[i] != NULL; i++) {
        if (strncmp(environment[i], "SHOPBELL_", strlen("SHOPBELL_")) == 0 &&
            !variable_take(loader, environment[i])) {
            variable_doubt(loader, environment[i]);
        }
    }
}

static void relations_check(const struct config *config, struct config_faults *faults)
{
    bool has_cert = config->texts[CONFIG_TLS_CERT][0] != '\0';
    bool has_key = config->texts[CONFIG_TLS_KEY][0] != '\0';
    if (has_cert != has_key) {
        fault_add(faults, "server.tls_cert and server.tls_key go together: only %s is set",
                  has_cert ? "tls_cert" : "tls_key");
    }
    if (config->numbers[CONFIG_IN_FLIGHT] < config->numbers[CONFIG_HOOK_BODY]) {
        fault_add(faults, "limits.in_flight (%s) is smaller than one body (%s)",
                  config->texts[CONFIG_IN_FLIGHT], config->texts[CONFIG_HOOK_BODY]);
    }
}

const struct config_key *config_key_at(enum config_key_index index)
{
    assert(index < CONFIG_KEY_COUNT);
    return &key_table[index];
}

enum status config_load(struct arena *arena, const struct config_input *input,
                        struct config *out_config, struct config_faults *faults)
{
    struct config config = { 0 };
    *faults = (struct config_faults){ 0 };
    struct loader loader = {
        .arena = arena,
        .config = &config,
        .faults = faults,
        .file = input->file,
    };
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        value_set(&loader, (enum config_key_index)i, key_table[i].initial, CONFIG_FROM_DEFAULT,
                  "default");
    }
    enum status status = input->file != NULL ? file_load(&loader) : STATUS_OK;
    environment_load(&loader, input->environment);
    for (size_t i = 0; i < input->flag_count; i++) {
        char place[64];
        (void)snprintf(place, sizeof(place), "--%s", key_table[input->flags[i].key].flag);
        value_set(&loader, input->flags[i].key, input->flags[i].value, CONFIG_FROM_FLAG, place);
    }
    if (faults->error_count == 0) {
        relations_check(&config, faults);
    }
    if (status != STATUS_OK || faults->error_count > 0) {
        return status != STATUS_OK ? status : STATUS_INVALID;
    }
    *out_config = config;
    return STATUS_OK;
}

const char *config_text(const struct config *config, enum config_key_index key)
{
    return config->texts[key][0] != '\0' ? config->texts[key] : NULL;
}

const char *config_origin_name(enum config_origin origin)
{
    switch (origin) {
    case CONFIG_FROM_DEFAULT:
        return "default";
    case CONFIG_FROM_FILE:
        return "file";
    case CONFIG_FROM_ENVIRONMENT:
        return "environment";
    case CONFIG_FROM_FLAG:
        return "flag";
    }
    return "unknown";
}
