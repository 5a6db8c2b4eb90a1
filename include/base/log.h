#ifndef BASE_LOG_H
#define BASE_LOG_H

/*
 * One line per event: JSON for machines, text when stderr is a terminal.
 * Only app, http, intake and deliver log; the others return. Values are ids,
 * counts and names: never a payload, a secret, an address or a name of a
 * person. Each line is one write(2), so lines of threads do not mix.
 */

#include <stdint.h>

#include "base/id.h"
#include "base/str.h"

enum log_level {
    LOG_DEBUG,
    LOG_INFO,
    LOG_WARN,
    LOG_ERROR
};
enum log_format {
    LOG_FORMAT_AUTO,
    LOG_FORMAT_JSON,
    LOG_FORMAT_TEXT
};

/* Call once before threads start. */
void log_setup(enum log_level least, enum log_format format);

struct log_field {
    const char *key;
    enum {
        LOG_FIELD_STR,
        LOG_FIELD_I64,
        LOG_FIELD_ID
    } kind;
    struct str text;
    int64_t number;
    struct id id;
};

#define LOG_STR(k, v) ((struct log_field){ .key = (k), .kind = LOG_FIELD_STR, .text = (v) })
#define LOG_Z(k, v) LOG_STR(k, str_from_z(v))
#define LOG_I64(k, v) ((struct log_field){ .key = (k), .kind = LOG_FIELD_I64, .number = (v) })
#define LOG_ID(k, v) ((struct log_field){ .key = (k), .kind = LOG_FIELD_ID, .id = (v) })

void log_write(enum log_level level, const char *message, const struct log_field *fields,
               size_t field_count);

#define log_event(level, message, ...)                                   \
    log_write(level, message, (const struct log_field[]){ __VA_ARGS__ }, \
              sizeof((const struct log_field[]){ __VA_ARGS__ }) / sizeof(struct log_field))

#endif
