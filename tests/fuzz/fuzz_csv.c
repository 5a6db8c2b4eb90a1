#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "sources/csv.h"
#include "sources/import.h"

/* Any bytes as a CSV: each call takes at least one byte and no more than there
 * are; lines never run backwards; what was read reads the same again once it is
 * written. And the same bytes as each format of a file of history: records take
 * bytes, and a record is either events or a rejection with a reason. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(condition)                                             \
    do {                                                            \
        if (!(condition)) {                                         \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition); \
            abort();                                                \
        }                                                           \
    } while (0)

static void reads_again(struct arena *arena, const struct csv_record *record)
{
    struct buf buf;
    struct csv_record again = { .used = 0 };
    buf_init(&buf, arena, 16u * 1024 * 1024);
    for (size_t i = 0; i < record->field_count; i++) {
        if (i > 0) {
            buf_add_char(&buf, ',');
        }
        csv_write_field(&buf, record->fields[i]);
    }
    buf_add_char(&buf, '\n');
    enum csv_verdict verdict = csv_next(arena, buf_str(&buf), ',', true, &again);
    bool is_blank = record->field_count == 1 && record->fields[0].size == 0;
    must(verdict == (is_blank ? CSV_BLANK : CSV_RECORD));
    must(again.field_count == record->field_count || is_blank);
    for (size_t i = 0; i < record->field_count && !is_blank; i++) {
        must(str_equal(again.fields[i], record->fields[i]));
    }
}

static void read_csv(struct str input)
{
    struct arena *arena = arena_create(256u * 1024 * 1024);
    must(arena != NULL);
    for (;;) {
        struct csv_record record = { .used = 0 };
        enum csv_verdict verdict = csv_next(arena, input, ',', true, &record);
        if (verdict == CSV_END || verdict == CSV_FULL) {
            break;
        }
        must(verdict != CSV_MORE);
        must(record.used > 0 && record.used <= input.size);
        must(verdict != CSV_BAD || record.reason != NULL);
        if (verdict == CSV_RECORD) {
            reads_again(arena, &record);
        }
        input = str_drop(input, record.used);
    }
    arena_destroy(arena);
}

static void read_file(struct str input, const struct import_format *format, enum import_kind kind)
{
    struct arena *arena = arena_create(256u * 1024 * 1024);
    struct source source = { .platform = STR("api"),
                             .currency = STR("EUR"),
                             .time_zone = STR("UTC") };
    struct import_options options = {
        .source = &source,
        .format = format,
        .kind = kind,
        .exported_at_ms = INT64_C(1700000000000),
        .received_at_ms = INT64_C(1795356000000),
    };
    struct import_reader *reader = NULL;
    size_t used = 0;
    size_t lines = 0;
    struct problem problem;
    must(arena != NULL);
    if (import_open(arena, &options, input, true, &reader, &used, &lines, &problem) == STATUS_OK) {
        must(used <= input.size);
        input = str_drop(input, used);
        for (;;) {
            struct import_record record = { .used = 0 };
            enum import_verdict verdict = import_next(reader, arena, input, true, &record);
            if (verdict == IMPORT_END || verdict == IMPORT_FULL) {
                break;
            }
            must(verdict != IMPORT_MORE);
            must(record.used > 0 && record.used <= input.size);
            must(verdict != IMPORT_RECORD || record.event_count > 0);
            must(verdict != IMPORT_REJECTED || record.reason.size > 0);
            input = str_drop(input, record.used);
        }
    }
    arena_destroy(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = { (const char *)data, size };
    read_csv(input);
    for (size_t i = 0; import_format_at(i) != NULL; i++) {
        const struct import_format *format = import_format_at(i);
        enum import_kind kind = format->kind;
        if (kind == 0) {
            kind = size > 0 ? (enum import_kind)(IMPORT_CUSTOMERS + data[0] % 4) : IMPORT_EVENTS;
        }
        read_file(input, format, kind);
    }
    return 0;
}
