#include <string.h>

#include "import_priv.h"

/*
 * What the head of a file says: which format it is, and which column is what.
 *
 * A CSV's header is turned into a table of columns once: by the asker's map,
 * then by the format's own names, without regard to case. A column that
 * nothing is made of is no fault (an export has eighty); a needed one that is
 * missing refuses the file before anything is written.
 */

enum {
    MAP_ENTRIES_MAX = 128,
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

const char *import_field_name(enum import_field field)
{
    return FIELD_NAMES[field];
}

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
