#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/instant.h"
#include "base/jsonw.h"

/*
 * One event, one line, one write(2).
 *
 * Invariant: logging allocates nothing, takes no lock and never fails its
 * caller. The line is built on the stack in a buffer that cannot grow; what
 * does not fit is replaced by the event without its fields, and a value that
 * is not text by a note of its size, so that every line is valid JSON. Below
 * PIPE_BUF (4096) a write to a pipe is not interleaved with others, hence the
 * size. Rejected: stdio, which locks and may split a line; syslog(3).
 *
 * The two settings are the process's only ones outside struct app: they are
 * written once before threads start, and a logger that has to be handed down
 * everywhere would be handed to layers that must not log.
 */

enum {
    LOG_LINE_BYTES = 4096,
    LOG_VALUE_BYTES_MAX = 512,
};

static enum log_level least_level = LOG_INFO;
static bool writes_text = false;

static const char *level_name(enum log_level level)
{
    switch (level) {
    case LOG_DEBUG:
        return "debug";
    case LOG_INFO:
        return "info";
    case LOG_WARN:
        return "warn";
    case LOG_ERROR:
        return "error";
    }
    return "error";
}

void log_setup(enum log_level least, enum log_format format)
{
    least_level = least;
    writes_text = format == LOG_FORMAT_TEXT || (format == LOG_FORMAT_AUTO && isatty(2) == 1);
}

static void write_text_value(struct jsonw *json, struct str text)
{
    struct str shown = str_take_text(text, LOG_VALUE_BYTES_MAX);
    jsonw_str(json, str_is_text(shown) ? shown : STR("(not text)"));
}

static void write_value(struct jsonw *json, const struct log_field *field)
{
    switch (field->kind) {
    case LOG_FIELD_STR:
        write_text_value(json, field->text);
        break;
    case LOG_FIELD_I64:
        jsonw_i64(json, field->number);
        break;
    case LOG_FIELD_ID:
        jsonw_id(json, field->id);
        break;
    }
}

static void build_json(struct buf *line, enum log_level level, const char *message,
                       const struct log_field *fields, size_t field_count)
{
    struct jsonw json;
    jsonw_begin(&json, line);
    jsonw_open(&json);
    jsonw_put_instant(&json, "at", clock_now_ms());
    jsonw_put_z(&json, "level", level_name(level));
    jsonw_key(&json, "msg");
    write_text_value(&json, str_from_z(message));
    for (size_t i = 0; i < field_count; i++) {
        jsonw_key(&json, fields[i].key);
        write_value(&json, &fields[i]);
    }
    jsonw_close(&json);
    buf_add_char(line, '\n');
}

/* A value that a shell's eye would misread is quoted as in JSON. */
static bool is_plain(struct str text)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if ((unsigned char)c <= ' ' || c == '"' || c == '\\' || c == '=' || c == 0x7f) {
            return false;
        }
    }
    return text.size > 0 && text.size <= LOG_VALUE_BYTES_MAX && str_is_text(text);
}

static void build_text(struct buf *line, enum log_level level, const char *message,
                       const struct log_field *fields, size_t field_count)
{
    char at[INSTANT_TEXT_SIZE];
    instant_format(clock_now_ms(), at);
    buf_printf(line, "%s %-5s ", at, level_name(level));
    buf_add_str(line, str_take_text(str_from_z(message), LOG_VALUE_BYTES_MAX));
    for (size_t i = 0; i < field_count; i++) {
        buf_printf(line, " %s=", fields[i].key);
        if (fields[i].kind == LOG_FIELD_STR && is_plain(fields[i].text)) {
            buf_add_str(line, fields[i].text);
            continue;
        }
        struct jsonw json;
        jsonw_begin(&json, line);
        write_value(&json, &fields[i]);
    }
    buf_add_char(line, '\n');
}

void log_write(enum log_level level, const char *message, const struct log_field *fields,
               size_t field_count)
{
    if (level < least_level) {
        return;
    }
    /* buf.h keeps one byte beyond the capacity for vsnprintf. As large as
     * its maximum, the buffer never grows and so never allocates. */
    /* cppcheck-suppress unassignedVariable; it is written through the buffer */
    char storage[LOG_LINE_BYTES + 1];
    struct buf line = { .data = storage, .capacity = LOG_LINE_BYTES, .max_bytes = LOG_LINE_BYTES };
    void (*build)(struct buf *, enum log_level, const char *, const struct log_field *, size_t) =
        writes_text ? build_text : build_json;
    int saved_errno = errno;
    build(&line, level, message, fields, field_count);
    if (line.failed) {
        buf_reset(&line);
        const struct log_field note = LOG_I64("fields_left_out", (int64_t)field_count);
        build(&line, level, message, &note, 1);
    }
    struct str text = buf_str(&line);
    ssize_t written = 0;
    do {
        written = write(2, text.data, text.size);
    } while (written < 0 && errno == EINTR);
    errno = saved_errno;
}
