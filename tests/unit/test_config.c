#include <fcntl.h>
#include <unistd.h>

#include "app/config.h"
#include "base/instant.h"
#include "unit.h"

/* One file, variables and flags in; the value and where it came from, or the
 * words of the refusal, out. */

static const char *file_write(const char *text)
{
    static char path[64];
    (void)snprintf(path, sizeof(path), "/tmp/test_config.XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
    return path;
}

static enum status load(struct arena *arena, const char *text, char *const *environment,
                        const struct config_flag *flags, size_t flag_count,
                        struct config *out_config, struct config_faults *faults)
{
    const char *path = text != NULL ? file_write(text) : NULL;
    struct config_input input = {
        .file = path,
        .environment = environment,
        .flags = flags,
        .flag_count = flag_count,
    };
    enum status status = config_load(arena, &input, out_config, faults);
    if (path != NULL) {
        assert_int_equal(unlink(path), 0);
    }
    return status;
}

static void flags_over_environment_over_file(void **state)
{
    (void)state;
    static char writers[] = "SHOPBELL_DATABASE_WRITERS=6";
    static char listen[] = "SHOPBELL_LISTEN=127.0.0.1:81";
    char *const environment[] = { writers, listen, NULL };
    const struct config_flag flags[] = { { CONFIG_WRITERS, "7" } };
    const char *file = "[server]\nlisten = 127.0.0.1:80\n[database]\nwriters = 5\n"
                       "[limits]\nhook_body = 1MiB ; inline\n";
    struct arena *arena = arena_create(1 << 20);
    struct config config;
    struct config_faults faults;
    assert_int_equal(load(arena, file, environment, flags, 1, &config, &faults), STATUS_OK);
    assert_int_equal(config.numbers[CONFIG_WRITERS], 7);
    assert_int_equal(config.origins[CONFIG_WRITERS], CONFIG_FROM_FLAG);
    assert_string_equal(config.texts[CONFIG_LISTEN], "127.0.0.1:81");
    assert_int_equal(config.origins[CONFIG_LISTEN], CONFIG_FROM_ENVIRONMENT);
    assert_int_equal(config.numbers[CONFIG_HOOK_BODY], 1 << 20);
    assert_int_equal(config.origins[CONFIG_HOOK_BODY], CONFIG_FROM_FILE);
    assert_int_equal(config.origins[CONFIG_IN_FLIGHT], CONFIG_FROM_DEFAULT);
    assert_int_equal(config.numbers[CONFIG_IN_FLIGHT], 256 << 20);
    assert_null(config_text(&config, CONFIG_PUBLIC_URL));
    arena_destroy(arena);
}

static void the_file_of_the_contract(void **state)
{
    (void)state;
    const char *file =
        "; /etc/shopbell/shopbell.ini\n[server]\n"
        "public_url      = https://bell.aurora.example/  ; required outside --embedded\n"
        "listen          = unix:/run/shopbell/http.sock  ; or 127.0.0.1:8080\n"
        "admin_listen    = 127.0.0.1:9091\ntrusted_proxies = unix\n"
        "[database]\nurl = postgresql:///shopbell?host=/run/postgresql\nread_url =\nwriters = 4\n"
        "[secrets]\nmaster_key_file = /etc/shopbell/master.key\n"
        "[limits]\nhook_body = 5MiB\nin_flight = 256MiB\n"
        "[retention]\nwebhook = 0\ninteraction = 25mo\nattempt = 30d\n"
        "[deliver]\nallow_networks = 10.0.0.0/8, 127.0.0.1\nallow_http = yes\nca_file =\n"
        "allow_ports = 443, 8000-8999\nproxy = http://user:word@proxy.example:3128\n";
    struct arena *arena = arena_create(1 << 20);
    struct config config;
    struct config_faults faults;
    assert_int_equal(load(arena, file, NULL, NULL, 0, &config, &faults), STATUS_OK);
    assert_string_equal(config.texts[CONFIG_PUBLIC_URL], "https://bell.aurora.example");
    assert_int_equal(config.numbers[CONFIG_RETENTION_WEBHOOK], 0);
    assert_int_equal(config.numbers[CONFIG_RETENTION_INTERACTION], 750 * INSTANT_DAY_MS);
    assert_int_equal(config.numbers[CONFIG_ALLOW_HTTP], 1);
    assert_null(config_text(&config, CONFIG_READ_URL));
    arena_destroy(arena);
}

static void faults_name_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        const char *fault; /* a part of it */
    } ROWS[] = {
        { "[server]\n\nlisen = x\n", "line 3: there is no key \"lisen\" in [server]; did you mean "
                                     "\"listen\"?" },
        { "[sever]\nlisten = x\n", "line 2: listen belongs into section [server]" },
        { "[sever]\nlsn = x\n", "line 2: there is no section [sever]; did you mean [server]?" },
        { "writers = 3\n", "line 1: writers belongs into section [database]" },
        { "[database]\nwriters = many\n", "line 2: \"many\" will not do for database.writers: a "
                                          "number is wanted" },
        { "[database]\nwriters = 0\n", "database.writers is 0; it must be from 1 to 32" },
        { "[database]\nwriters = 33\n", "database.writers is 33; it must be from 1 to 32" },
        { "[database]\nwriters =\n", "line 2: \"\" will not do for database.writers" },
        { "[limits]\nhook_body = 5MB\n", "a size such as 5MiB" },
        { "[limits]\nhook_body = 65MiB\n", "it must be from 1KiB to 64MiB" },
        { "[limits]\nhook_body = 2MiB\nin_flight = 1MiB\n", "is smaller than one body" },
        { "[retention]\nattempt = 0\n", "it must be from" },
        { "[retention]\nattempt = 30 days\n", "a duration such as 30d" },
        { "[server]\npublic_url = bell.example\n", "an address such as https://" },
        { "[server]\npublic_url = https://a.example/path\n", "an address such as https://" },
        { "[server]\nlisten = 8080\n", "127.0.0.1:8080 or unix:" },
        { "[server]\nlisten = 127.0.0.1:65536\n", "127.0.0.1:8080 or unix:" },
        { "[server]\nlisten = unix:relative\n", "127.0.0.1:8080 or unix:" },
        { "[server]\ntrusted_proxies = everyone\n", "networks such as" },
        { "[server]\ntls_cert = /a.pem\n", "tls_cert and server.tls_key go together" },
        { "[server]\ntls_cert = a.pem\ntls_key = /b\n", "a path from the root" },
        { "[deliver]\nallow_http = maybe\n", "yes or no is wanted" },
        { "[deliver]\nallow_ports = https\n", "ports and ranges such as 443, 8000-8999" },
        { "[deliver]\nproxy = proxy.example:3128\n", "http://host:port or https://host:port" },
        { "[deliver]\nproxy = socks5://proxy.example:1080\n", "http://host:port" },
        { "[deliver]\nproxy = http://proxy.example\n", "http://host:port" },
        { "[deliver]\nproxy = http://proxy.example:3128/x\n", "http://host:port" },
        { "[deliver]\nproxy = http://u:p@ss@proxy.example:3128\n",
          "\"...\" will not do for deliver.proxy" },
        { "[server]\nlisten = :80\n", "127.0.0.1:8080 or unix:" },
        { "[server]\nlisten = a:1\nlisten = a:2\n", "line 3: server.listen was already given in "
                                                    "line 2" },
        { "[server]\nlisten = a:1\n  admin_listen = a:2\n", "line 3: keys start at the beginning" },
        { "[server\nlisten = a:1\n", "line 1: neither [section] nor key = value" },
        { "[server]\nnonsense\n", "line 2: neither [section] nor key = value" },
        { "[server]\nlisten = \xff\n", "not a text in UTF-8" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(ROWS); i++) {
        struct arena *arena = arena_create(1 << 20);
        struct config config;
        struct config_faults faults;
        enum status status = load(arena, ROWS[i].file, NULL, NULL, 0, &config, &faults);
        assert_row(status == STATUS_INVALID, ROWS[i].file);
        assert_row(faults.error_count > 0, ROWS[i].file);
        bool is_named = false;
        for (size_t n = 0; n < faults.error_count; n++) {
            is_named = is_named || strstr(faults.errors[n], ROWS[i].fault) != NULL;
        }
        if (!is_named) {
            fail_msg("\"%s\" does not say \"%s\"", faults.errors[0], ROWS[i].fault);
        }
        arena_destroy(arena);
    }
}

static void all_faults_at_once(void **state)
{
    (void)state;
    struct arena *arena = arena_create(1 << 20);
    struct config config;
    struct config_faults faults;
    const char *file = "[server]\nlisen = x\n[database]\nwriters = 0\n[limits]\nhook_body = 1\n";
    assert_int_equal(load(arena, file, NULL, NULL, 0, &config, &faults), STATUS_INVALID);
    assert_int_equal(faults.error_count, 3);
    arena_destroy(arena);
}

static void a_long_line_is_not_cut_in_two(void **state)
{
    (void)state;
    char file[9000];
    int size = snprintf(file, sizeof(file), "[database]\nurl = ");
    memset(file + size, 'x', 8000);
    (void)snprintf(file + size + 8000, 64, "\nwriters = 3\n");
    struct arena *arena = arena_create(1 << 20);
    struct config config;
    struct config_faults faults;
    assert_int_equal(load(arena, file, NULL, NULL, 0, &config, &faults), STATUS_INVALID);
    assert_int_equal(faults.error_count, 1);
    assert_non_null(strstr(faults.errors[0], "line 2: longer than"));
    arena_destroy(arena);
}

static void a_strange_variable_warns(void **state)
{
    (void)state;
    static char strange[] = "SHOPBELL_DATABASE_ULR=x";
    static char foreign[] = "SHOPBELL_WORKSPACE=aurora";
    char *const environment[] = { strange, foreign, NULL };
    struct arena *arena = arena_create(1 << 20);
    struct config config;
    struct config_faults faults;
    assert_int_equal(load(arena, NULL, environment, NULL, 0, &config, &faults), STATUS_OK);
    assert_int_equal(faults.warning_count, 1);
    assert_non_null(strstr(faults.warnings[0], "did you mean SHOPBELL_DATABASE_URL?"));
    arena_destroy(arena);
}

static void a_missing_file_is_named(void **state)
{
    (void)state;
    struct arena *arena = arena_create(1 << 20);
    struct config_input input = { .file = "/nonexistent/shopbell.ini" };
    struct config config;
    struct config_faults faults;
    assert_int_equal(config_load(arena, &input, &config, &faults), STATUS_MISSING);
    assert_non_null(strstr(faults.errors[0], "/nonexistent/shopbell.ini"));
    arena_destroy(arena);
}

static void sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t bytes; /* -1: refused */
    } ROWS[] = {
        { "0B", 0 },          { "512B", 512 },
        { "64KiB", 65536 },   { "5MiB", 5 << 20 },
        { "5 MiB", 5 << 20 }, { "1GiB", 1 << 30 },
        { "5", -1 },          { "5MB", -1 },
        { "MiB", -1 },        { "-1B", -1 },
        { "1.5MiB", -1 },     { "5MiBs", -1 },
        { "", -1 },           { "9223372036854775807GiB", -1 },
    };
    for (size_t i = 0; i < ARRAY_COUNT(ROWS); i++) {
        int64_t bytes = -1;
        assert_row(config_size_parse(ROWS[i].text, &bytes) == (ROWS[i].bytes >= 0), ROWS[i].text);
        assert_row(bytes == ROWS[i].bytes, ROWS[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_over_environment_over_file),
        cmocka_unit_test(the_file_of_the_contract),
        cmocka_unit_test(faults_name_their_place),
        cmocka_unit_test(all_faults_at_once),
        cmocka_unit_test(a_long_line_is_not_cut_in_two),
        cmocka_unit_test(a_strange_variable_warns),
        cmocka_unit_test(a_missing_file_is_named),
        cmocka_unit_test(sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
