#include "sources/import.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/instant.h"
#include "base/money.h"
#include "import_priv.h"
#include "sources/json_border.h"

/*
 * Files of history as records, and which format makes what of them.
 *
 * Problem: a shop's past comes as whatever its platform lets one download, and
 * one bad line in a million must cost that line only, named so that somebody
 * can mend it.
 *
 * Shopify writes one row per line item and repeats the order's name: rows that
 * follow each other with the same name are one order. So the end of an order
 * is seen only in the row after it.
 */

enum {
    ROWS_FIRST = 8,
};

/* --- what there is ---------------------------------------------------------- */

static const struct {
    const char *name;
    enum import_kind kind;
} KINDS[] = {
    { "customers", IMPORT_CUSTOMERS }, { "orders", IMPORT_ORDERS },     { "events", IMPORT_EVENTS },
    { "email", IMPORT_EMAIL },         { "products", IMPORT_PRODUCTS },
};

static const struct import_format FORMATS[] = {
    { "ndjson", "one JSON object per line, as in POST /v1/events", 0, false },
    { "csv", "CSV whose header names fields", 0, true },
    { "shopify-orders", "Shopify's export of orders", IMPORT_ORDERS, true },
    { "shopify-customers", "Shopify's export of customers", IMPORT_CUSTOMERS, true },
    { "woocommerce-orders", "a WooCommerce export of orders", IMPORT_ORDERS, true },
};

const char *import_kind_name(enum import_kind kind)
{
    for (size_t i = 0; i < ARRAY_COUNT(KINDS); i++) {
        if (KINDS[i].kind == kind) {
            return KINDS[i].name;
        }
    }
    return "";
}

enum import_kind import_kind_find(struct str name, struct problem *problem)
{
    const char *names[ARRAY_COUNT(KINDS)];
    for (size_t i = 0; i < ARRAY_COUNT(KINDS); i++) {
        names[i] = KINDS[i].name;
        if (str_equal_z(name, KINDS[i].name)) {
            return KINDS[i].kind;
        }
    }
    problem_set(problem, STATUS_INVALID, "invalid-field",
                "no kind is called \"%.*s\": customers, orders, products, events or email",
                STR_ARG(str_take_text(name, 60)));
    problem_suggest(problem, str_nearest(name, names, ARRAY_COUNT(KINDS)));
    return 0;
}

const struct import_format *import_format_at(size_t index)
{
    return index < ARRAY_COUNT(FORMATS) ? &FORMATS[index] : NULL;
}

const struct import_format *import_format_find(struct str name, struct problem *problem)
{
    const char *names[ARRAY_COUNT(FORMATS)];
    for (size_t i = 0; i < ARRAY_COUNT(FORMATS); i++) {
        names[i] = FORMATS[i].name;
        if (str_equal_z(name, FORMATS[i].name)) {
            return &FORMATS[i];
        }
    }
    problem_set(problem, STATUS_INVALID, "invalid-field",
                "no format is called \"%.*s\": ndjson, csv, shopify-orders, shopify-customers or "
                "woocommerce-orders",
                STR_ARG(str_take_text(name, 60)));
    problem_suggest(problem, str_nearest(name, names, ARRAY_COUNT(FORMATS)));
    return NULL;
}

/* --- values --------------------------------------------------------------- */

struct str import_value(const struct import_rows *rows, size_t row, enum import_field field)
{
    size_t column = rows->reader->column_of[field];
    return column == 0 ? (struct str){ NULL, 0 } : str_trim(rows->rows[row].fields[column - 1]);
}

struct str import_text(const struct import_rows *rows, size_t row, enum import_field field)
{
    struct str text = import_value(rows, row, field);
    return str_starts_with(text, STR("'")) ? str_trim(str_drop(text, 1)) : text;
}

bool import_reject(struct import_rows *rows, size_t row, enum import_field field,
                   const char *reason)
{
    size_t column = rows->reader->column_of[field];
    rows->bad_line = rows->lines[row];
    rows->bad_column =
        column > 0 ? rows->reader->headers[column - 1] : str_from_z(import_field_name(field));
    rows->bad_reason = str_from_z(reason);
    return false;
}

/* Digits of one or two places up to `separator`, which may be 0: up to the end. */
static bool take_number(struct str *rest, char separator, uint64_t *out_value)
{
    struct str head = *rest;
    struct str tail = { NULL, 0 };
    if (separator != '\0' && !str_split(*rest, separator, &head, &tail)) {
        return false;
    }
    *rest = tail;
    return head.size > 0 && str_to_u64(head, out_value);
}

/* "9/6/2016" or "09/06/2016": month first. */
static bool american_date(struct str text, char *out, size_t size)
{
    uint64_t month = 0;
    uint64_t day = 0;
    uint64_t year = 0;
    if (!take_number(&text, '/', &month) || !take_number(&text, '/', &day) ||
        !take_number(&text, '\0', &year) || month > 12 || day > 31 || year < 1000 || year > 9999) {
        return false;
    }
    snprintf(out, size, "%04u-%02u-%02u", (unsigned)year, (unsigned)month, (unsigned)day);
    return true;
}

/* "6:29", "06:29:00" as "06:29:00". */
static bool clock_time(struct str text, char *out, size_t size)
{
    struct str hour = { NULL, 0 };
    struct str rest = { NULL, 0 };
    uint64_t number = 0;
    if (!str_split(text, ':', &hour, &rest) || !str_to_u64(hour, &number) || number > 23 ||
        rest.size < 2 || rest.size > 12) {
        return false;
    }
    snprintf(out, size, "%02u:%.*s%s", (unsigned)number, STR_ARG(rest),
             rest.size == 2 ? ":00" : "");
    return true;
}

/* "+0200" as "+02:00", "UTC" as "Z". */
static bool clock_offset(struct str text, char *out, size_t size)
{
    if (str_equal(text, STR("UTC")) || str_equal(text, STR("Z")) || str_equal(text, STR("GMT"))) {
        snprintf(out, size, "Z");
        return true;
    }
    if (text.size == 5) {
        snprintf(out, size, "%.3s:%.2s", text.data, text.data + 3);
        return true;
    }
    snprintf(out, size, "%.*s", STR_ARG(str_take_text(text, 8)));
    return text.size == 6;
}

bool import_instant(const struct import_reader *reader, struct str text, bool american_dates,
                    int64_t *out_ms)
{
    char date[16] = "";
    char time[24] = "00:00:00";
    char offset[16] = "";
    char whole[64];
    bool had_offset = false;
    *out_ms = INSTANT_NONE;
    if (text.size == 0) {
        return true;
    }
    if (!instant_parse(text, false, out_ms, &had_offset)) {
        struct str day = text;
        struct str rest = { NULL, 0 };
        struct str zone = { NULL, 0 };
        (void)str_split(text, ' ', &day, &rest);
        rest = str_trim(rest);
        (void)str_split(rest, ' ', &rest, &zone);
        if (!american_dates || !american_date(day, date, sizeof(date))) {
            snprintf(date, sizeof(date), "%.*s", STR_ARG(str_take_text(day, 12)));
        }
        if ((rest.size > 0 && !clock_time(rest, time, sizeof(time))) ||
            (zone.size > 0 && !clock_offset(str_trim(zone), offset, sizeof(offset)))) {
            return false;
        }
        snprintf(whole, sizeof(whole), "%sT%s%s", date, time, offset);
        if (!instant_parse(str_from_z(whole), false, out_ms, &had_offset)) {
            *out_ms = INSTANT_NONE;
            return false;
        }
    }
    struct str local = reader->options.source->time_zone;
    int64_t utc_ms = INSTANT_NONE;
    if (!had_offset && local.size > 0 && instant_from_local(*out_ms, local.data, &utc_ms)) {
        *out_ms = utc_ms;
    }
    return true;
}

bool import_money(struct str text, struct str currency, bool *out_there, int64_t *out_minor)
{
    int64_t minor = 0;
    *out_there = text.size > 0;
    if (text.size == 0) {
        *out_minor = 0;
        return true;
    }
    if (!money_parse(text, currency, &minor) || minor > BORDER_MONEY_MINOR_MAX ||
        minor < -BORDER_MONEY_MINOR_MAX) {
        return false;
    }
    *out_minor = minor;
    return true;
}

struct str import_rows_key(const struct import_rows *rows, const char *what)
{
    struct id_hash hash;
    id_hash_begin(&hash, "import");
    id_hash_add(&hash, str_from_z(what));
    for (size_t i = 0; i < rows->count; i++) {
        for (size_t k = 0; k < rows->rows[i].field_count; k++) {
            /* Columns by name and only with a value: an export with one more
             * column, or in another order, brings no new version. */
            if (rows->reader->fields[k] != FIELD_NONE) {
                id_hash_add_i64(&hash, (int64_t)(i * FIELD_COUNT) + rows->reader->fields[k]);
                id_hash_add(&hash, rows->rows[i].fields[k]);
            }
        }
    }
    char text[ID_TEXT_SIZE];
    id_format(id_hash_end(&hash), text);
    return str_printf(rows->arena, "import/%s", text);
}

void import_take_draft(struct draft *draft, struct import_record *out_record)
{
    out_record->events = draft->events;
    out_record->event_count = draft->event_count;
}

/* --- records -------------------------------------------------------------- */

static bool rows_grow(struct import_rows *rows, size_t *capacity)
{
    size_t more = *capacity == 0 ? ROWS_FIRST : *capacity * 2;
    struct csv_record *grown = ARENA_NEW_ARRAY(rows->arena, more, struct csv_record);
    size_t *lines = ARENA_NEW_ARRAY(rows->arena, more, size_t);
    if (grown == NULL || lines == NULL) {
        return false;
    }
    if (rows->count > 0) {
        memcpy(grown, rows->rows, rows->count * sizeof(*grown));
        memcpy(lines, rows->lines, rows->count * sizeof(*lines));
    }
    rows->rows = grown;
    rows->lines = lines;
    *capacity = more;
    return true;
}

/* Does this row go on with the record that the first one began? */
static bool is_same_record(const struct import_rows *rows, const struct csv_record *row)
{
    const struct import_reader *reader = rows->reader;
    const struct csv_record *first = &rows->rows[0];
    struct str key = str_trim(first->fields[reader->group_column - 1]);
    if (row->field_count != reader->header_count || key.size == 0 ||
        !str_equal(key, str_trim(row->fields[reader->group_column - 1]))) {
        return false;
    }
    if (reader->group_id_column == 0) {
        return true;
    }
    struct str id = str_trim(row->fields[reader->group_id_column - 1]);
    return id.size == 0 || str_equal(id, str_trim(first->fields[reader->group_id_column - 1]));
}

static enum import_verdict reject_csv(const struct import_rows *rows,
                                      const struct csv_record *record, const char *reason,
                                      struct import_record *out_record)
{
    const struct import_reader *reader = rows->reader;
    struct str column = { NULL, 0 };
    if (record->column > 0 && record->column <= reader->header_count) {
        column = reader->headers[record->column - 1];
    }
    *out_record = (struct import_record){
        .used = record->used,
        .line_count = record->line_count,
        .column = column,
        .reason = str_from_z(reason),
    };
    return IMPORT_REJECTED;
}

/* The rows of one record. IMPORT_RECORD: rows, used and line_count are filled. */
static enum import_verdict gather_rows(struct import_rows *rows, struct str input, bool is_last,
                                       struct import_record *out_record)
{
    const struct import_reader *reader = rows->reader;
    size_t capacity = 0;
    size_t used = 0;
    size_t lines = 0;
    for (;;) {
        struct csv_record row = { .used = 0 };
        enum csv_verdict verdict =
            csv_next(rows->arena, str_drop(input, used), reader->separator, is_last, &row);
        if (verdict == CSV_FULL) {
            return IMPORT_FULL;
        }
        if (rows->count > 0) {
            if (verdict == CSV_MORE && input.size < IMPORT_RECORD_BYTES_MAX) {
                return IMPORT_MORE;
            }
            if (verdict != CSV_RECORD || !is_same_record(rows, &row)) {
                break;
            }
        } else if (verdict == CSV_MORE) {
            return IMPORT_MORE;
        } else if (verdict == CSV_END) {
            return IMPORT_END;
        } else if (verdict == CSV_BLANK) {
            *out_record = (struct import_record){ .used = row.used, .line_count = row.line_count };
            return IMPORT_SKIPPED;
        } else if (verdict == CSV_BAD) {
            return reject_csv(rows, &row, row.reason, out_record);
        } else if (row.field_count != reader->header_count) {
            struct str reason = str_printf(rows->arena, "%zu fields where the header has %zu",
                                           row.field_count, reader->header_count);
            *out_record = (struct import_record){ .used = row.used,
                                                  .line_count = row.line_count,
                                                  .reason = reason };
            return IMPORT_REJECTED;
        }
        if (rows->count == capacity && !rows_grow(rows, &capacity)) {
            return IMPORT_FULL;
        }
        rows->lines[rows->count] = lines;
        rows->rows[rows->count++] = row;
        used += row.used;
        lines += row.line_count;
        if (reader->group_column == 0) {
            break;
        }
    }
    *out_record = (struct import_record){ .used = used, .line_count = lines };
    return IMPORT_RECORD;
}

static enum import_verdict next_rows(const struct import_reader *reader, struct arena *arena,
                                     struct str input, bool is_last,
                                     struct import_record *out_record)
{
    struct import_rows rows = { .reader = reader, .arena = arena };
    struct import_record record = { .used = 0 };
    enum import_verdict verdict = gather_rows(&rows, input, is_last, &record);
    if (verdict == IMPORT_RECORD && !reader->build(&rows, &record)) {
        record.line = rows.bad_line;
        record.column = rows.bad_column;
        record.reason = rows.bad_reason;
        verdict = IMPORT_REJECTED;
    }
    *out_record = record;
    return verdict;
}

static enum import_verdict next_line(const struct import_reader *reader, struct arena *arena,
                                     struct str input, bool is_last,
                                     struct import_record *out_record)
{
    if (input.size == 0) {
        return is_last ? IMPORT_END : IMPORT_MORE;
    }
    ptrdiff_t end = str_find(input, '\n', 0);
    if (end < 0 && !is_last && input.size < CSV_RECORD_BYTES_MAX) {
        return IMPORT_MORE;
    }
    size_t size = end < 0 ? input.size : (size_t)end;
    *out_record = (struct import_record){
        .used = size + (end < 0 ? 0 : 1),
        .line_count = 1,
    };
    struct str line = str_trim(str_take(input, size));
    if (line.size == 0) {
        return IMPORT_SKIPPED;
    }
    if (size >= CSV_RECORD_BYTES_MAX) {
        out_record->reason = STR("the line is longer than 1 MiB");
        return IMPORT_REJECTED;
    }
    return import_canonical_line(reader, arena, line, out_record) ? IMPORT_RECORD : IMPORT_REJECTED;
}

enum import_verdict import_next(const struct import_reader *reader, struct arena *arena,
                                struct str input, bool is_last, struct import_record *out_record)
{
    assert(input.size > 0 || is_last);
    enum import_verdict verdict = reader->options.format->is_csv
                                      ? next_rows(reader, arena, input, is_last, out_record)
                                      : next_line(reader, arena, input, is_last, out_record);
    return arena_is_full(arena) ? IMPORT_FULL : verdict;
}
