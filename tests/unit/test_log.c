#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "unit.h"

enum {
    CAPTURE_SIZE = 16384
};

static int saved_stderr = -1;
static int reader = -1;

static void capture_begin(void)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    saved_stderr = dup(2);
    assert_true(saved_stderr >= 0);
    assert_true(dup2(ends[1], 2) == 2);
    close(ends[1]);
    reader = ends[0];
}

/* One read of a pipe gets what one write put there, if nothing else did. */
static struct str capture_end(char *text)
{
    assert_true(dup2(saved_stderr, 2) == 2);
    close(saved_stderr);
    size_t size = 0;
    ssize_t got = 0;
    do {
        got = read(reader, text + size, CAPTURE_SIZE - size);
        size += got > 0 ? (size_t)got : 0;
    } while (got > 0);
    close(reader);
    return (struct str){ text, size };
}

/* Replaces the time, which no test can know, by a check of its form. */
static struct str without_time(struct str line, size_t at)
{
    static const char form[] = "0000-00-00T00:00:00.000Z";
    assert_true(line.size > at + sizeof(form) - 1);
    for (size_t i = 0; i < sizeof(form) - 1; i++) {
        char c = line.data[at + i];
        assert_true(form[i] == '0' ? c >= '0' && c <= '9' : c == form[i]);
    }
    return str_drop(line, at + sizeof(form) - 1);
}

static void writes_json(void **state)
{
    (void)state;
    static char text[CAPTURE_SIZE];
    struct id id = ID_ZERO;
    id.bytes[0] = 0xab;
    log_setup(LOG_INFO, LOG_FORMAT_JSON);
    capture_begin();
    log_event(LOG_WARN, "delivery failed", LOG_ID("delivery", id), LOG_I64("attempt", 3),
              LOG_Z("endpoint", "mail\"house"), LOG_STR("empty", STR("")));
    struct str line = capture_end(text);
    assert_true(str_starts_with(line, STR("{\"at\":\"")));
    assert_str_equal(without_time(line, 7),
                     STR("\",\"level\":\"warn\",\"msg\":\"delivery failed\","
                         "\"delivery\":\"ab000000-0000-0000-0000-000000000000\",\"attempt\":3,"
                         "\"endpoint\":\"mail\\\"house\",\"empty\":\"\"}\n"));
}

static void writes_text(void **state)
{
    (void)state;
    static char text[CAPTURE_SIZE];
    log_setup(LOG_INFO, LOG_FORMAT_TEXT);
    capture_begin();
    log_event(LOG_INFO, "started", LOG_Z("role", "all"), LOG_I64("port", 8080),
              LOG_Z("why", "two words\n"), LOG_Z("none", ""), LOG_Z("pair", "a=b"));
    struct str line = capture_end(text);
    assert_str_equal(without_time(line, 0), STR(" info  started role=all port=8080"
                                                " why=\"two words\\n\" none=\"\" pair=\"a=b\"\n"));
}

/* stderr is a pipe here, so a machine reads it. */
static void chooses_json_for_machines(void **state)
{
    (void)state;
    static char text[CAPTURE_SIZE];
    capture_begin();
    log_setup(LOG_INFO, LOG_FORMAT_AUTO);
    log_write(LOG_INFO, "x", NULL, 0);
    assert_true(str_starts_with(capture_end(text), STR("{\"at\":")));
}

static void leaves_out_the_lesser_levels(void **state)
{
    (void)state;
    static char text[CAPTURE_SIZE];
    for (int least = LOG_DEBUG; least <= LOG_ERROR; least++) {
        log_setup((enum log_level)least, LOG_FORMAT_JSON);
        capture_begin();
        for (int level = LOG_DEBUG; level <= LOG_ERROR; level++) {
            log_write((enum log_level)level, "x", NULL, 0);
        }
        struct str left = capture_end(text);
        struct str line = { 0 };
        int lines = 0;
        while (str_split(left, '\n', &line, &left)) {
            lines++;
        }
        assert_int_equal(lines, LOG_ERROR - least + 1);
    }
}

static void is_always_one_line_of_text(void **state)
{
    (void)state;
    static char text[CAPTURE_SIZE];
    static char large[3000];
    memset(large, 'x', sizeof(large));
    memcpy(large + 511, "\xe2\x82\xac", 3);
    struct str value = { large, sizeof(large) };
    for (int format = LOG_FORMAT_JSON; format <= LOG_FORMAT_TEXT; format++) {
        log_setup(LOG_INFO, (enum log_format)format);

        capture_begin();
        log_event(LOG_INFO, "long", LOG_STR("value", value));
        struct str line = capture_end(text);
        assert_true(str_is_text(line));
        assert_true(line.size > 511 && line.size < 700);
        assert_int_equal(str_find(line, '\n', 0), line.size - 1);

        capture_begin();
        log_event(LOG_INFO, "bad", LOG_STR("value", STR("\xff\xfe")));
        line = capture_end(text);
        assert_true(str_is_text(line));
        assert_int_equal(str_find(line, '\n', 0), line.size - 1);

        struct log_field fields[12];
        for (size_t i = 0; i < ARRAY_COUNT(fields); i++) {
            fields[i] = LOG_STR("value", value);
        }
        capture_begin();
        log_write(LOG_INFO, "too much", fields, ARRAY_COUNT(fields));
        line = capture_end(text);
        assert_int_equal(str_find(line, '\n', 0), line.size - 1);
        struct str end = format == LOG_FORMAT_JSON ? STR("\"fields_left_out\":12}\n")
                                                   : STR("too much fields_left_out=12\n");
        assert_true(str_ends_with(line, end));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_json),
        cmocka_unit_test(writes_text),
        cmocka_unit_test(chooses_json_for_machines),
        cmocka_unit_test(leaves_out_the_lesser_levels),
        cmocka_unit_test(is_always_one_line_of_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
