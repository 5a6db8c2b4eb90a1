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
 * A CSV's header is turned into a table of columns once: by the asker's map,
 * then by the format's own names, without regard to case. A column that
 * nothing is made of is no fault (an export has eighty); a needed one that is
 * missing refuses the file before anything is written.
 *
 * Shopify writes one row per line item and repeats the order's name: rows that
 * follow each other with the same name are one order. So the end of an order
 * is seen only in the row after it.
 */

enum {
    ROWS_FIRST = 8,
    MAP_ENTRIES_MAX = 128,
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

/* Names for maps. The order is that of the enum. */
static const char *const FIELD_NAMES[FIELD_COUNT] = {
    "",
    "order_id",
    "number",
    "status",
    "fulfilment_status",
    "currency",
    "total",
    "subtotal",
    "discount",
    "shipping",
    "tax",
    "coupon",
    "refunded",
    "placed_at",
    "paid_at",
    "fulfilled_at",
    "cancelled_at",
    "updated_at",
    "channel",
    "location",
    "email",
    "phone",
    "customer_id",
    "first_name",
    "last_name",
    "country",
    "region",
    "city",
    "postal_code",
    "accepts_email",
    "accepts_sms",
    "products.name",
    "products.sku",
    "products.brand",
    "products.quantity",
    "products.price",
    "products.packed",
    "products.packed_list",
};

/* What each format is made with. needed: fields without which it is another file. */
static const struct native {
    const char *format;
    const struct import_column *columns;
    import_build_fn *build;
    enum import_field group;
    enum import_field needed[6]; /* FIELD_NONE ends */
} NATIVES[] = {
    { "shopify-orders",
      import_shopify_order_columns,
      import_shopify_order,
      FIELD_NUMBER,
      { FIELD_NUMBER, FIELD_ORDER_ID, FIELD_TOTAL, FIELD_PLACED_AT, FIELD_STATUS, FIELD_NONE } },
    { "shopify-customers",
      import_shopify_customer_columns,
      import_shopify_customer,
      FIELD_NONE,
      { FIELD_CUSTOMER_ID, FIELD_EMAIL, FIELD_NONE } },
    { "woocommerce-orders",
      import_woocommerce_order_columns,
      import_woocommerce_order,
      FIELD_NONE,
      { FIELD_ORDER_ID, FIELD_TOTAL, FIELD_PLACED_AT, FIELD_STATUS, FIELD_NONE } },
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
        column > 0 ? rows->reader->headers[column - 1] : str_from_z(FIELD_NAMES[field]);
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

/* --- headers -------------------------------------------------------------- */

struct map_entry {
    struct str column;
    struct str field;
    bool is_used;
};

struct map {
    struct map_entry entries[MAP_ENTRIES_MAX];
    size_t count;
};

static enum status map_parse(struct str text, struct map *out_map, struct problem *problem)
{
    out_map->count = 0;
    while (text.size > 0) {
        struct str entry = text;
        struct str rest = { NULL, 0 };
        (void)str_split(text, ',', &entry, &rest);
        struct str column = { NULL, 0 };
        struct str field = { NULL, 0 };
        if (!str_split(entry, '=', &column, &field) || str_trim(column).size == 0) {
            return problem_set(problem, STATUS_INVALID, "invalid-field",
                               "map: \"%.*s\" is not COLUMN=FIELD",
                               STR_ARG(str_take_text(entry, 80)));
        }
        if (out_map->count == MAP_ENTRIES_MAX) {
            return problem_set(problem, STATUS_LIMIT, "limit-reached", "map: more than %d columns",
                               MAP_ENTRIES_MAX);
        }
        out_map->entries[out_map->count++] =
            (struct map_entry){ .column = str_trim(column), .field = str_trim(field) };
        text = rest;
    }
    return STATUS_OK;
}

static struct map_entry *map_find(struct map *map, struct str header)
{
    for (size_t i = 0; i < map->count; i++) {
        if (str_equal_nocase(map->entries[i].column, header)) {
            map->entries[i].is_used = true;
            return &map->entries[i];
        }
    }
    return NULL;
}

static enum status map_is_used(const struct map *map, const struct import_reader *reader,
                               struct arena *arena, struct problem *problem)
{
    for (size_t i = 0; i < map->count; i++) {
        if (map->entries[i].is_used) {
            continue;
        }
        const char **names = ARENA_NEW_ARRAY(arena, reader->header_count + 1, const char *);
        if (names == NULL) {
            return STATUS_LIMIT;
        }
        for (size_t k = 0; k < reader->header_count; k++) {
            names[k] = str_dup_z(arena, reader->headers[k]);
        }
        problem_set(problem, STATUS_INVALID, "invalid-field",
                    "map: the file has no column \"%.*s\"",
                    STR_ARG(str_take_text(map->entries[i].column, 60)));
        problem_suggest(problem, str_nearest(map->entries[i].column, names, reader->header_count));
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

/* FIELD_NONE when there is none. */
static enum import_field field_find(struct str name)
{
    for (int field = 1; field < FIELD_COUNT; field++) {
        if (str_equal_z(name, FIELD_NAMES[field])) {
            return (enum import_field)field;
        }
    }
    return FIELD_NONE;
}

static enum import_field column_find(const struct import_column *columns, struct str header)
{
    for (; columns->header != NULL; columns++) {
        struct str name = str_from_z(columns->header);
        bool is_family = str_ends_with(name, STR("*"));
        if (is_family ? str_starts_with(header, str_take(name, name.size - 1))
                      : str_equal_nocase(header, name)) {
            return columns->field;
        }
    }
    return FIELD_NONE;
}

static enum status field_unknown(struct str field, struct problem *problem)
{
    problem_set(problem, STATUS_INVALID, "invalid-field", "map: no field is called \"%.*s\"",
                STR_ARG(str_take_text(field, 60)));
    problem_suggest(problem, str_nearest(field, FIELD_NAMES + 1, FIELD_COUNT - 1));
    return STATUS_INVALID;
}

/* A mapped column comes before one that only has the right name. */
static enum status bind_native(struct import_reader *reader, const struct native *native,
                               struct map *map, struct problem *problem)
{
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < reader->header_count; i++) {
            struct map_entry *mapped = map_find(map, reader->headers[i]);
            if ((mapped != NULL) != (pass == 0)) {
                continue;
            }
            enum import_field field = mapped != NULL
                                          ? field_find(mapped->field)
                                          : column_find(native->columns, reader->headers[i]);
            if (mapped != NULL && field == FIELD_NONE && mapped->field.size > 0) {
                return field_unknown(mapped->field, problem);
            }
            bool is_many = field == FIELD_LINE_ITEM;
            if (field != FIELD_NONE && (reader->column_of[field] == 0 || is_many)) {
                reader->fields[i] = field;
                reader->column_of[field] = i + 1;
            }
        }
    }
    for (const enum import_field *needed = native->needed; *needed != FIELD_NONE; needed++) {
        if (reader->column_of[*needed] == 0) {
            return problem_set(problem, STATUS_INVALID, "invalid-field",
                               "no column of the file is the %s; if one is, map it: NAME=%s",
                               FIELD_NAMES[*needed], FIELD_NAMES[*needed]);
        }
    }
    reader->group_column = reader->column_of[native->group];
    reader->group_id_column = reader->column_of[FIELD_ORDER_ID];
    reader->build = native->build;
    return STATUS_OK;
}

static enum status bind_canonical(struct import_reader *reader, struct arena *arena,
                                  struct map *map, struct problem *problem)
{
    bool is_catalogue = reader->options.kind == IMPORT_PRODUCTS;
    bool has_products = false;
    bool has_any = false;
    for (size_t i = 0; i < reader->header_count; i++) {
        const struct map_entry *mapped = map_find(map, reader->headers[i]);
        struct str name = mapped != NULL ? mapped->field : reader->headers[i];
        struct import_path path = import_canonical_path(arena, reader->options.kind, name);
        if (mapped != NULL && path.place == PLACE_NOWHERE && name.size > 0) {
            return problem_set(problem, STATUS_INVALID, "invalid-field",
                               "map: nothing of %s is called \"%.*s\"; your own are called "
                               "properties.NAME or traits.NAME",
                               import_kind_name(reader->options.kind),
                               STR_ARG(str_take_text(name, 60)));
        }
        for (size_t k = 0; k < i && path.place != PLACE_NOWHERE; k++) {
            if (reader->paths[k].place == path.place && str_equal(reader->paths[k].key, path.key)) {
                return problem_set(problem, STATUS_INVALID, "invalid-field",
                                   "two columns of the file are the %.*s",
                                   STR_ARG(str_take_text(name, 60)));
            }
        }
        reader->paths[i] = path;
        has_any = has_any || path.place != PLACE_NOWHERE;
        has_products = has_products || path.place == PLACE_PRODUCT;
        if (path.place == PLACE_PROPERTY &&
            str_equal_z(path.key, is_catalogue ? "product_id" : "order_id")) {
            reader->group_column = i + 1;
        }
    }
    if (!has_any) {
        return problem_set(problem, STATUS_INVALID, "invalid-field",
                           "no column of the file has a name that %s know; map them: "
                           "\"E-mail=email,Amount=total\"",
                           import_kind_name(reader->options.kind));
    }
    if (!has_products) {
        reader->group_column = 0;
    } else if (is_catalogue) {
        import_canonical_give_variants(reader->paths, reader->header_count);
    }
    reader->build = import_canonical_rows;
    return STATUS_OK;
}

static void list_unused(struct import_reader *reader, struct arena *arena)
{
    struct buf buf;
    buf_init(&buf, arena, CSV_RECORD_BYTES_MAX);
    for (size_t i = 0; i < reader->header_count; i++) {
        bool is_used = reader->fields != NULL ? reader->fields[i] != FIELD_NONE
                                              : reader->paths[i].place != PLACE_NOWHERE;
        if (!is_used) {
            buf_add_z(&buf, buf.size > 0 ? ", " : "");
            buf_add_str(&buf, reader->headers[i]);
        }
    }
    reader->unused = buf_str(&buf);
}

static enum status bind_header(struct import_reader *reader, struct arena *arena,
                               struct problem *problem)
{
    struct map *map = ARENA_NEW(arena, struct map);
    size_t count = reader->header_count + 1;
    reader->fields = ARENA_NEW_ARRAY(arena, count, enum import_field);
    reader->paths = ARENA_NEW_ARRAY(arena, count, struct import_path);
    if (map == NULL || reader->fields == NULL || reader->paths == NULL) {
        return problem_set(problem, STATUS_LIMIT, "internal", "no memory");
    }
    enum status status = map_parse(reader->options.map, map, problem);
    if (status != STATUS_OK) {
        return status;
    }
    const struct native *native = NULL;
    for (size_t i = 0; i < ARRAY_COUNT(NATIVES); i++) {
        native =
            strcmp(NATIVES[i].format, reader->options.format->name) == 0 ? &NATIVES[i] : native;
    }
    if (native != NULL) {
        reader->paths = NULL;
        status = bind_native(reader, native, map, problem);
    } else {
        reader->fields = NULL;
        status = bind_canonical(reader, arena, map, problem);
    }
    list_unused(reader, arena);
    return status == STATUS_OK ? map_is_used(map, reader, arena, problem) : status;
}

static enum status read_header(struct import_reader *reader, struct arena *arena, struct str head,
                               bool is_whole, size_t *out_used, size_t *out_lines,
                               struct problem *problem)
{
    size_t mark = csv_mark_bytes(head);
    struct csv_record record = { .used = 0 };
    reader->separator = csv_separator(str_drop(head, mark));
    enum csv_verdict verdict =
        csv_next(arena, str_drop(head, mark), reader->separator, is_whole, &record);
    if (verdict == CSV_BAD) {
        return problem_set(problem, STATUS_INVALID, "invalid-field",
                           "the header of the CSV does not read: field %zu: %s", record.column,
                           record.reason);
    }
    if (verdict != CSV_RECORD) {
        return problem_set(problem, STATUS_INVALID, "invalid-field",
                           "the file does not begin with the header of a CSV");
    }
    reader->headers = ARENA_NEW_ARRAY(arena, record.field_count, struct str);
    if (reader->headers == NULL) {
        return problem_set(problem, STATUS_LIMIT, "internal", "no memory");
    }
    for (size_t i = 0; i < record.field_count; i++) {
        reader->headers[i] = str_dup(arena, str_trim(record.fields[i]));
    }
    reader->header_count = record.field_count;
    *out_used = mark + record.used;
    *out_lines = record.line_count;
    return bind_header(reader, arena, problem);
}

enum status import_open(struct arena *arena, const struct import_options *options, struct str head,
                        bool is_whole, struct import_reader **out_reader, size_t *out_used,
                        size_t *out_lines, struct problem *problem)
{
    struct import_reader *reader = ARENA_NEW(arena, struct import_reader);
    if (reader == NULL) {
        return problem_set(problem, STATUS_LIMIT, "internal", "no memory");
    }
    size_t used = csv_mark_bytes(head);
    size_t lines = 0;
    reader->options = *options;
    if (options->format->kind != 0 && options->kind != options->format->kind) {
        return problem_set(problem, STATUS_INVALID, "invalid-field", "%s holds %s, not %s",
                           options->format->title, import_kind_name(options->format->kind),
                           import_kind_name(options->kind));
    }
    if (options->format->is_csv) {
        enum status status = read_header(reader, arena, head, is_whole, &used, &lines, problem);
        if (status != STATUS_OK) {
            return status;
        }
    } else if (options->map.size > 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-field",
                           "a map names columns, and NDJSON has none");
    }
    *out_reader = reader;
    *out_used = used;
    *out_lines = lines;
    return STATUS_OK;
}

struct str import_unused_columns(const struct import_reader *reader)
{
    return reader->unused;
}

/* --- which file is it? ---------------------------------------------------- */

static bool header_has(const struct csv_record *record, const char *name)
{
    for (size_t i = 0; i < record->field_count; i++) {
        if (str_equal_nocase_z(str_trim(record->fields[i]), name)) {
            return true;
        }
    }
    return false;
}

static const struct import_format *detect_csv(const struct csv_record *record,
                                              enum import_kind *out_kind)
{
    const char *name = "csv";
    if (header_has(record, "Financial Status") && header_has(record, "Lineitem name")) {
        name = "shopify-orders";
    } else if (header_has(record, "Customer ID") && header_has(record, "Accepts Email Marketing")) {
        name = "shopify-customers";
    } else if (header_has(record, "order_id") && header_has(record, "billing_email")) {
        name = "woocommerce-orders";
    } else if (header_has(record, "type") && header_has(record, "occurred_at")) {
        *out_kind = IMPORT_EVENTS;
    } else if (header_has(record, "order_id") && header_has(record, "total")) {
        *out_kind = IMPORT_ORDERS;
    }
    const struct import_format *format = import_format_find(str_from_z(name), NULL);
    if (format->kind != 0) {
        *out_kind = format->kind;
    }
    return format;
}

const struct import_format *import_detect(struct str head, enum import_kind *out_kind)
{
    struct str text = str_drop(head, csv_mark_bytes(head));
    if (str_starts_with(str_trim(text), STR("{"))) {
        return import_format_find(STR("ndjson"), NULL);
    }
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create((size_t)4 * IMPORT_HEAD_BYTES);
    struct csv_record record = { .used = 0 };
    if (arena == NULL || csv_next(arena, text, csv_separator(text), true, &record) != CSV_RECORD ||
        record.field_count < 2) {
        return NULL;
    }
    return detect_csv(&record, out_kind);
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
