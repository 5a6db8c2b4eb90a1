#include "sources/csv.h"

#include <string.h>

#include "base/buf.h"

/*
 * RFC 4180 as a state machine, one record a call.
 *
 *            separator            separator
 *   START ------------> START <------------- PLAIN, CLOSED
 *     | quote             | else                ^
 *     v                   +---------------------+ (PLAIN)
 *   QUOTED --quote--> CLOSED --quote--> QUOTED   (a doubled quote)
 *
 * A line end (CR, LF or both) ends the record in every state but QUOTED.
 *
 * Invariant: a call takes at least one byte, or says that it needs more; a bad
 * record costs its first line only. After a quote that is never closed the
 * whole rest of the file would be one field: so the reader gives up at 1 MiB
 * and goes on at the line after the one where the record began. Rejected: an
 * incremental machine that is fed any bytes (its state would have to be stored
 * with the cursor of a resumed import; an offset is enough here).
 */

enum csv_state {
    CSV_AT_START,
    CSV_IN_PLAIN,
    CSV_IN_QUOTED,
    CSV_AT_CLOSED,
};

struct csv_scan {
    struct arena *arena;
    struct str input;
    size_t at;
    enum csv_state state;
    size_t begin;    /* of the field's content */
    size_t end;      /* of a quoted field's content */
    bool has_quotes; /* doubled ones, within */
    struct str *fields;
    size_t field_count;
    size_t line_count;
};

char csv_separator(struct str header)
{
    static const char candidates[] = { ',', ';', '\t' };
    size_t counts[sizeof(candidates)] = { 0 };
    bool is_quoted = false;
    for (size_t i = 0; i < header.size; i++) {
        if (header.data[i] == '"') {
            is_quoted = !is_quoted;
        } else if (!is_quoted && (header.data[i] == '\n' || header.data[i] == '\r')) {
            break;
        }
        for (size_t k = 0; k < sizeof(candidates) && !is_quoted; k++) {
            counts[k] += header.data[i] == candidates[k] ? 1 : 0;
        }
    }
    size_t best = 0;
    for (size_t k = 1; k < sizeof(candidates); k++) {
        best = counts[k] > counts[best] ? k : best;
    }
    return candidates[best];
}

size_t csv_mark_bytes(struct str input)
{
    return str_starts_with(input, STR("\xEF\xBB\xBF")) ? 3 : 0;
}

/* Every second quote of a pair goes. */
static struct str unescape(struct arena *arena, struct str text)
{
    char *copy = arena_alloc(arena, text.size + 1);
    size_t size = 0;
    if (copy == NULL) {
        return (struct str){ NULL, 0 };
    }
    for (size_t i = 0; i < text.size; i++) {
        copy[size++] = text.data[i];
        i += text.data[i] == '"' ? 1 : 0;
    }
    return (struct str){ copy, size };
}

static const char *take_field(struct csv_scan *scan)
{
    size_t end = scan->state == CSV_AT_CLOSED ? scan->end : scan->at;
    struct str field = { scan->input.data + scan->begin, end - scan->begin };
    if (scan->field_count == CSV_FIELDS_MAX) {
        return "more than 512 fields in one record";
    }
    if (scan->has_quotes) {
        field = unescape(scan->arena, field);
    }
    scan->fields[scan->field_count++] = field;
    return str_is_text(field) ? NULL : "not UTF-8 text";
}

static void next_field(struct csv_scan *scan)
{
    scan->state = CSV_AT_START;
    scan->begin = scan->at + 1;
    scan->has_quotes = false;
}

/* Bytes of the line end at `at`: 0 when there is none. A CR at the very end of
 * the input may be half of one. */
static size_t line_end(const struct csv_scan *scan, bool is_last, bool *out_unsure)
{
    char c = scan->input.data[scan->at];
    if (c == '\n') {
        return 1;
    }
    if (c != '\r') {
        return 0;
    }
    *out_unsure = scan->at + 1 == scan->input.size && !is_last;
    bool is_pair = scan->at + 1 < scan->input.size && scan->input.data[scan->at + 1] == '\n';
    return is_pair ? 2 : 1;
}

/* 0 when no line ends within the input for sure. */
static size_t first_line_bytes(struct str input)
{
    for (size_t i = 0; i < input.size; i++) {
        if (input.data[i] == '\n') {
            return i + 1;
        }
        if (input.data[i] == '\r' && i + 1 < input.size) {
            return input.data[i + 1] == '\n' ? i + 2 : i + 1;
        }
    }
    return 0;
}

static enum csv_verdict bad(const struct csv_scan *scan, const char *reason, bool is_last,
                            struct csv_record *out_record)
{
    size_t used = first_line_bytes(scan->input);
    if (used == 0 && !is_last && scan->input.size < CSV_RECORD_BYTES_MAX) {
        return CSV_MORE;
    }
    *out_record = (struct csv_record){
        .used = used > 0 ? used : scan->input.size,
        .line_count = 1,
        .column = scan->field_count,
        .reason = reason,
    };
    return CSV_BAD;
}

static enum csv_verdict finish(struct csv_scan *scan, size_t end_bytes, bool is_last,
                               struct csv_record *out_record)
{
    bool is_blank = scan->field_count == 0 && scan->state == CSV_AT_START;
    const char *fault = take_field(scan);
    if (fault != NULL) {
        return bad(scan, fault, is_last, out_record);
    }
    *out_record = (struct csv_record){
        .fields = scan->fields,
        .field_count = scan->field_count,
        .used = scan->at + end_bytes,
        .line_count = scan->line_count + 1,
    };
    return is_blank ? CSV_BLANK : CSV_RECORD;
}

/* One byte that ends neither field nor record. NULL, or what is wrong with it. */
static const char *step(struct csv_scan *scan, char c)
{
    switch (scan->state) {
    case CSV_AT_START:
        if (c == '"') {
            scan->state = CSV_IN_QUOTED;
            scan->begin = scan->at + 1;
        } else {
            scan->state = CSV_IN_PLAIN;
        }
        return NULL;
    case CSV_IN_PLAIN:
        return c == '"' ? "a quote within a field that does not begin with one" : NULL;
    case CSV_IN_QUOTED:
        if (c == '"') {
            scan->state = CSV_AT_CLOSED;
            scan->end = scan->at;
        }
        scan->line_count += c == '\n' ? 1 : 0;
        return NULL;
    case CSV_AT_CLOSED:
        if (c != '"') {
            return "text after the quote that closed the field";
        }
        scan->state = CSV_IN_QUOTED;
        scan->has_quotes = true;
        return NULL;
    }
    return NULL;
}

/* Within a quoted field nothing but a quote or a line end matters. */
static void skip_quoted(struct csv_scan *scan)
{
    while (scan->at < scan->input.size && scan->input.data[scan->at] != '"') {
        scan->line_count += scan->input.data[scan->at] == '\n' ? 1 : 0;
        scan->at++;
    }
}

static enum csv_verdict scan_record(struct csv_scan *scan, char separator, bool is_last,
                                    struct csv_record *out_record)
{
    for (; scan->at < scan->input.size; scan->at++) {
        if (scan->state == CSV_IN_QUOTED) {
            skip_quoted(scan);
            if (scan->at == scan->input.size) {
                break;
            }
        }
        if (scan->at >= CSV_RECORD_BYTES_MAX) {
            scan->field_count++;
            return bad(scan, "the record is longer than 1 MiB: is a quote never closed?", is_last,
                       out_record);
        }
        char c = scan->input.data[scan->at];
        bool is_unsure = false;
        size_t end_bytes = scan->state == CSV_IN_QUOTED ? 0 : line_end(scan, is_last, &is_unsure);
        if (is_unsure) {
            return CSV_MORE;
        }
        if (end_bytes > 0) {
            return finish(scan, end_bytes, is_last, out_record);
        }
        const char *fault = NULL;
        if (c == separator && scan->state != CSV_IN_QUOTED) {
            fault = take_field(scan);
            next_field(scan);
        } else {
            fault = step(scan, c);
            scan->field_count += fault != NULL ? 1 : 0;
        }
        if (fault != NULL) {
            return bad(scan, fault, is_last, out_record);
        }
    }
    if (scan->input.size >= CSV_RECORD_BYTES_MAX || (is_last && scan->state == CSV_IN_QUOTED)) {
        scan->field_count++;
        return bad(scan, "a quote is never closed", is_last, out_record);
    }
    return is_last ? finish(scan, 0, is_last, out_record) : CSV_MORE;
}

enum csv_verdict csv_next(struct arena *arena, struct str input, char separator, bool is_last,
                          struct csv_record *out_record)
{
    if (input.size == 0) {
        return is_last ? CSV_END : CSV_MORE;
    }
    struct str fields[CSV_FIELDS_MAX];
    struct csv_scan scan = { .arena = arena, .input = input, .fields = fields };
    struct csv_record record = { .used = 0 };
    enum csv_verdict verdict = scan_record(&scan, separator, is_last, &record);
    if (verdict == CSV_RECORD) {
        record.fields = ARENA_NEW_ARRAY(arena, record.field_count, struct str);
        if (record.fields != NULL) {
            /* cppcheck-suppress uninitvar; so many of them were filled */
            memcpy(record.fields, fields, record.field_count * sizeof(*fields));
        }
    }
    if (arena_is_full(arena)) {
        return CSV_FULL;
    }
    *out_record = record;
    return verdict;
}

void csv_write_field(struct buf *buf, struct str field)
{
    bool needs_quotes = false;
    for (size_t i = 0; i < field.size && !needs_quotes; i++) {
        needs_quotes = field.data[i] == '"' || field.data[i] == ',' || field.data[i] == '\n' ||
                       field.data[i] == '\r';
    }
    if (!needs_quotes) {
        buf_add_str(buf, field);
        return;
    }
    buf_add_char(buf, '"');
    for (size_t i = 0; i < field.size; i++) {
        if (field.data[i] == '"') {
            buf_add_char(buf, '"');
        }
        buf_add_char(buf, field.data[i]);
    }
    buf_add_char(buf, '"');
}
