#include <stdlib.h>
#include <string.h>

#include "base/instant.h"
#include "import_priv.h"
#include "platform_priv.h"
#include "sources/json_border.h"

/*
 * History in our own form: a line of NDJSON is an event of contract 8, a row of
 * CSV is written as one. Both then go through the one reader of such events,
 * so that a file is judged exactly as POST /v1/events would judge it.
 *
 * What a file may leave out: the type, where the kind of file says it; the time
 * of an order (when it was placed) and of a customer (when the file was made);
 * the id, which is then the hash of what the line says, with its members
 * sorted. The time when the file was made is no part of that hash: the same
 * customer in tomorrow's export is the same statement.
 *
 * In a CSV the path within the event is the header: identities.email,
 * properties.total, products.sku, traits.first_name, consent.email; the usual
 * ones may stand alone (email, total, first_name). All values of a CSV are
 * text: one that looks like a number or a boolean is one, but for those that
 * the table says are text.
 */

static const char *const IDENTITIES[] = { "email", "phone", "external_id", "anonymous_id",
                                          "customer_id" };
static const char *const ORDER_PROPERTIES[] = {
    "order_id", "number", "status",   "total",   "subtotal", "discount",  "shipping",  "tax",
    "revenue",  "coupon", "currency", "channel", "location", "placed_at", "refund_id", "refunded",
};
static const char *const EVENT_PROPERTIES[] = {
    "product_id", "variant_id",  "sku",      "name",     "category",  "brand",
    "price",      "quantity",    "currency", "url",      "image_url", "in_stock",
    "query",      "value",       "order_id", "total",    "cart_id",   "compare_at_price",
    "number",     "checkout_id", "channel",  "location", "status",
};
static const char *const EMAIL_PROPERTIES[] = { "campaign", "campaign_id", "subject",
                                                "url",      "message_id",  "machine" };
static const char *const PRODUCT_PROPERTIES[] = {
    "product_id", "name",  "category", "brand",       "url",   "image_url",
    "currency",   "price", "sku",      "substitutes", "stock", "compare_at_price",
};
static const char *const TRAITS[] = {
    "first_name", "last_name", "birth_date", "gender", "locale",
    "time_zone",  "country",   "region",     "city",   "postal_code",
};
static const char *const TEXTS[] = {
    "order_id",   "number",      "product_id",
    "variant_id", "sku",         "name",
    "coupon",     "location",    "channel",
    "status",     "refund_id",   "brand",
    "category",   "cart_id",     "query",
    "first_name", "last_name",   "postal_code",
    "city",       "checkout_id", "campaign_id",
    "subject",    "message_id",  "birth_date",
    "campaign",   "url",         "inventory_item_id",
    "image_url",  "substitutes",
};
static const struct {
    const char *prefix;
    enum import_place place;
} PREFIXES[] = {
    { "identities.", PLACE_IDENTITY },    { "properties.", PLACE_PROPERTY },
    { "products.", PLACE_PRODUCT },       { "variants.", PLACE_PRODUCT },
    { "context.", PLACE_CONTEXT },        { "traits.", PLACE_TRAIT },
    { "preferences.", PLACE_PREFERENCE }, { "consent.", PLACE_CONSENT },
};

static bool is_one_of(struct str word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal_z(word, words[i])) {
            return true;
        }
    }
    return false;
}

#define IS_ONE_OF(word, words) is_one_of(word, words, ARRAY_COUNT(words))

/* --- where a header goes ---------------------------------------------------- */

static enum import_place plain_place(enum import_kind kind, struct str name)
{
    static const char *const tops[] = { "id", "type", "occurred_at" };
    if (IS_ONE_OF(name, tops)) {
        return PLACE_TOP;
    }
    if (IS_ONE_OF(name, IDENTITIES)) {
        return PLACE_IDENTITY;
    }
    switch (kind) {
    case IMPORT_ORDERS:
        return str_equal(name, STR("updated_at"))  ? PLACE_TOP
               : IS_ONE_OF(name, ORDER_PROPERTIES) ? PLACE_PROPERTY
                                                   : PLACE_NOWHERE;
    case IMPORT_CUSTOMERS:
        return str_equal(name, STR("updated_at")) || str_equal(name, STR("created_at")) ? PLACE_TOP
               : IS_ONE_OF(name, TRAITS) ? PLACE_TRAIT
                                         : PLACE_NOWHERE;
    case IMPORT_EVENTS:
        return IS_ONE_OF(name, EVENT_PROPERTIES) ? PLACE_PROPERTY : PLACE_NOWHERE;
    case IMPORT_EMAIL:
        return IS_ONE_OF(name, EMAIL_PROPERTIES) ? PLACE_PROPERTY : PLACE_NOWHERE;
    case IMPORT_PRODUCTS:
        return str_equal(name, STR("updated_at"))   ? PLACE_TOP
               : str_equal(name, STR("variant_id")) ? PLACE_PRODUCT
               : IS_ONE_OF(name, PRODUCT_PROPERTIES) || str_equal(name, STR("inventory_item_id"))
                   ? PLACE_PROPERTY
                   : PLACE_NOWHERE;
    }
    return PLACE_NOWHERE;
}

/* In a file of variants these are a variant's, whatever a product may have too. */
void import_canonical_give_variants(struct import_path *paths, size_t count)
{
    static const char *const keys[] = { "sku", "price", "compare_at_price", "stock",
                                        "inventory_item_id" };
    for (size_t i = 0; i < count; i++) {
        if (paths[i].place == PLACE_PROPERTY && IS_ONE_OF(paths[i].key, keys)) {
            paths[i].place = PLACE_PRODUCT;
        }
    }
}

struct import_path import_canonical_path(struct arena *arena, enum import_kind kind,
                                         struct str header)
{
    struct str name = str_lower(arena, header);
    struct import_path path = { .place = PLACE_NOWHERE };
    for (size_t i = 0; i < ARRAY_COUNT(PREFIXES); i++) {
        struct str prefix = str_from_z(PREFIXES[i].prefix);
        if (str_starts_with(name, prefix) && header.size > prefix.size) {
            path.place = PREFIXES[i].place;
            path.key = str_drop(header, prefix.size);
            path.is_text = IS_ONE_OF(path.key, TEXTS) || path.place == PLACE_CONSENT ||
                           path.place == PLACE_IDENTITY || path.place == PLACE_CONTEXT;
            return path;
        }
    }
    path.place = plain_place(kind, name);
    path.key = name;
    path.is_text =
        IS_ONE_OF(name, TEXTS) || path.place == PLACE_TOP || path.place == PLACE_IDENTITY;
    return path;
}

/* --- types ---------------------------------------------------------------- */

/* Which types a kind of file may hold, and the one it means by saying none. */
static const struct kind_types {
    enum import_kind kind;
    const char *fallback;
    const char *prefixes[4];
    const char *refusal;
} KIND_TYPES[] = {
    { IMPORT_CUSTOMERS,
      "customer.updated",
      { "customer.", "consent.", "preference.", NULL },
      "among customers only customer.*, consent.updated and preference.updated are expected; other "
      "events are imported as events" },
    { IMPORT_ORDERS,
      "order.completed",
      { "order.", NULL, NULL, NULL },
      "among orders only order.* is expected; other events are imported as events" },
    { IMPORT_EVENTS, "", { "", NULL, NULL, NULL }, "" },
    { IMPORT_EMAIL,
      "",
      { "email.", NULL, NULL, NULL },
      "what becomes of a mail is email.delivered, opened, clicked, bounced, unsubscribed or "
      "complained" },
    { IMPORT_PRODUCTS,
      "product.updated",
      { "product.updated", "product.deleted", "inventory.updated", NULL },
      "among products only product.updated, product.deleted and inventory.updated are expected" },
};

static const struct kind_types *types_of(enum import_kind kind)
{
    for (size_t i = 0; i < ARRAY_COUNT(KIND_TYPES); i++) {
        if (KIND_TYPES[i].kind == kind) {
            return &KIND_TYPES[i];
        }
    }
    return &KIND_TYPES[0];
}

static bool type_fits(const struct kind_types *types, struct str type)
{
    for (size_t i = 0; i < ARRAY_COUNT(types->prefixes) && types->prefixes[i] != NULL; i++) {
        if (str_starts_with(type, str_from_z(types->prefixes[i]))) {
            return true;
        }
    }
    return false;
}

/* --- reading an item -------------------------------------------------------- */

/* "#/1/properties/total" as "properties.total". */
static struct str path_of_pointer(struct arena *arena, const char *pointer)
{
    struct str rest = str_from_z(pointer);
    rest = str_starts_with(rest, STR("#/")) ? str_drop(rest, 2) : str_drop(rest, 1);
    struct str head = { NULL, 0 };
    struct str tail = { NULL, 0 };
    uint64_t index = 0;
    if (str_to_u64(rest, &index)) {
        return (struct str){ NULL, 0 };
    }
    if (str_split(rest, '/', &head, &tail) && str_to_u64(head, &index)) {
        rest = tail;
    }
    char *path = arena_alloc(arena, rest.size + 1);
    for (size_t i = 0; i < rest.size && path != NULL; i++) {
        path[i] = rest.data[i];
        if (path[i] == '/') {
            path[i] = '.';
        }
    }
    return (struct str){ path, path != NULL ? rest.size : 0 };
}

static bool refuse(struct import_record *out_record, const char *column, const char *reason)
{
    out_record->column = str_from_z(column);
    out_record->reason = str_from_z(reason);
    return false;
}

static bool take_items(const struct import_reader *reader, struct arena *arena, struct str json,
                       struct import_record *out_record)
{
    struct problem problem = { .type = "" };
    struct canonical_batch batch = { .event_count = 0 };
    enum status status = canonical_parse(arena, reader->options.source, json,
                                         reader->options.received_at_ms, false, &batch, &problem);
    if (status == STATUS_OK && batch.event_count > 0 && reader->options.kind != IMPORT_PRODUCTS &&
        event_type_info(batch.events[0].type)->universal) {
        return refuse(out_record, "type",
                      "what happens to products belongs to no customer: import it as products");
    }
    if (status == STATUS_OK) {
        out_record->events = batch.events;
        out_record->event_count = batch.event_count;
        return true;
    }
    /* The detail begins with a count and the pointer: what is wrong comes last. */
    struct str detail = str_from_z(problem.detail);
    struct str head = { NULL, 0 };
    if (str_split(detail, ';', &head, &detail)) {
        (void)str_split(detail, ':', &head, &detail);
    }
    out_record->column = path_of_pointer(arena, problem.pointer);
    out_record->reason = str_dup(arena, str_trim(detail));
    return false;
}

static struct str content_key(struct arena *arena, struct str content)
{
    struct id_hash hash;
    id_hash_begin(&hash, "import");
    id_hash_add(&hash, content);
    char text[ID_TEXT_SIZE];
    id_format(id_hash_end(&hash), text);
    return str_printf(arena, "import/%s", text);
}

/* --- NDJSON --------------------------------------------------------------- */

static bool add_key(struct buf *buf, struct arena *arena, json_t *root)
{
    char *sorted = json_dumps(root, JSON_SORT_KEYS | JSON_COMPACT | JSON_REAL_PRECISION(15));
    if (sorted == NULL) {
        return false;
    }
    struct str key = content_key(arena, str_from_z(sorted));
    free(sorted);
    buf_printf(buf, ",\"id\":\"%.*s\"", STR_ARG(key));
    return true;
}

static bool is_missing(const json_t *root, const char *key)
{
    const json_t *value = json_object_get(root, key);
    return value == NULL || json_is_null(value);
}

/* The time that the kind of file stands in with; INSTANT_NONE: none. */
static int64_t fallback_instant(const struct import_reader *reader, const json_t *root)
{
    int64_t at_ms = INSTANT_NONE;
    switch (reader->options.kind) {
    case IMPORT_ORDERS:
        return border_instant(border_object(root, "properties"), "placed_at", NULL);
    case IMPORT_CUSTOMERS:
    case IMPORT_PRODUCTS:
        return reader->options.exported_at_ms;
    case IMPORT_EVENTS:
    case IMPORT_EMAIL:
        break;
    }
    return at_ms;
}

/* What the line leaves out, as members to put at its end. */
static bool add_missing(const struct import_reader *reader, struct arena *arena, json_t *root,
                        struct buf *buf, struct import_record *out_record)
{
    const struct kind_types *types = types_of(reader->options.kind);
    if (is_missing(root, "type")) {
        if (types->fallback[0] == '\0') {
            return refuse(out_record, "type", "needed: the name of what happened");
        }
        buf_printf(buf, ",\"type\":\"%s\"", types->fallback);
    } else if (!type_fits(types, border_text(root, "type"))) {
        return refuse(out_record, "type", types->refusal);
    }
    if (is_missing(root, "occurred_at")) {
        int64_t at_ms = fallback_instant(reader, root);
        char text[INSTANT_TEXT_SIZE];
        if (at_ms == INSTANT_NONE) {
            return refuse(out_record, "occurred_at",
                          "history needs its time: an instant with its offset");
        }
        instant_format(at_ms, text);
        buf_printf(buf, ",\"occurred_at\":\"%s\"", text);
    }
    return !is_missing(root, "id") || add_key(buf, arena, root) ||
           refuse(out_record, "", "not JSON that can be written again");
}

bool import_canonical_line(const struct import_reader *reader, struct arena *arena, struct str line,
                           struct import_record *out_record)
{
    struct problem problem = { .type = "" };
    json_t *root CLEANUP(border_free_at) = border_parse(line, &problem);
    if (root == NULL) {
        out_record->reason = str_dup(arena, str_from_z(problem.detail));
        return false;
    }
    if (!json_is_object(root)) {
        return refuse(out_record, "", "an event is a JSON object");
    }
    if (reader->options.kind == IMPORT_PRODUCTS && json_object_get(root, "properties") == NULL) {
        line = product_line_event(arena, root, (struct str){ NULL, 0 });
        border_free(root);
        root = border_parse(line, &problem);
        if (root == NULL) {
            return refuse(out_record, "", "larger than 2 MiB");
        }
    }
    struct buf missing;
    buf_init(&missing, arena, 1024);
    if (!add_missing(reader, arena, root, &missing, out_record)) {
        return false;
    }
    if (missing.size == 0) {
        return take_items(reader, arena, line, out_record);
    }
    /* A null that we replace must go, or the member stands there twice. */
    static const char *const replaced[] = { "id", "type", "occurred_at" };
    for (size_t i = 0; i < ARRAY_COUNT(replaced); i++) {
        if (is_missing(root, replaced[i])) {
            json_object_del(root, replaced[i]);
        }
    }
    struct str item = border_dump(arena, root, 2 * CSV_RECORD_BYTES_MAX);
    if (item.size < 2) {
        return refuse(out_record, "", "larger than 2 MiB");
    }
    bool is_empty = json_object_size(root) == 0;
    struct str tail = buf_str(&missing);
    item = str_printf(arena, "%.*s%.*s}", STR_ARG(str_take(item, item.size - 1)),
                      STR_ARG(str_drop(tail, is_empty ? 1 : 0)));
    return take_items(reader, arena, item, out_record);
}

/* --- CSV ------------------------------------------------------------------ */

/* A decimal number that is written the one way JSON writes it. */
static bool is_number(struct str text)
{
    size_t at = text.size > 0 && text.data[0] == '-' ? 1 : 0;
    size_t digits = 0;
    size_t whole = at;
    while (at < text.size && text.data[at] >= '0' && text.data[at] <= '9') {
        at++;
        digits++;
    }
    if (digits == 0 || (digits > 1 && text.data[whole] == '0')) {
        return false;
    }
    if (at < text.size && text.data[at] == '.') {
        size_t fraction = ++at;
        while (at < text.size && text.data[at] >= '0' && text.data[at] <= '9') {
            at++;
        }
        digits += at - fraction;
        if (at == fraction) {
            return false;
        }
    }
    return at == text.size && digits <= 15;
}

static void put_value(struct jsonw *json, struct str value, bool is_text)
{
    if (!is_text &&
        (is_number(value) || str_equal(value, STR("true")) || str_equal(value, STR("false")))) {
        jsonw_raw(json, value);
    } else {
        jsonw_str(json, value);
    }
}

static struct str value_at(const struct import_rows *rows, size_t row, size_t column)
{
    return str_trim(rows->rows[row].fields[column]);
}

/* The column of a path, from 1; 0: the file has none. */
static size_t column_of_path(const struct import_reader *reader, enum import_place place,
                             const char *key)
{
    for (size_t i = 0; i < reader->header_count; i++) {
        if (reader->paths[i].place == place && str_equal_z(reader->paths[i].key, key)) {
            return i + 1;
        }
    }
    return 0;
}

static struct str path_value(const struct import_rows *rows, enum import_place place,
                             const char *key)
{
    size_t column = column_of_path(rows->reader, place, key);
    return column == 0 ? (struct str){ NULL, 0 } : value_at(rows, 0, column - 1);
}

/* In a file of variants a row without one is the product's own. */
static bool is_variant(const struct import_rows *rows, size_t row)
{
    size_t column = column_of_path(rows->reader, PLACE_PRODUCT, "variant_id");
    return rows->reader->options.kind == IMPORT_PRODUCTS && column > 0 &&
           value_at(rows, row, column - 1).size > 0;
}

static bool is_line(const struct import_rows *rows, size_t row)
{
    return rows->reader->options.kind != IMPORT_PRODUCTS || is_variant(rows, row);
}

static bool is_property(const struct import_rows *rows, size_t column)
{
    enum import_place place = rows->reader->paths[column].place;
    return place == PLACE_PROPERTY || (place == PLACE_PRODUCT && !is_line(rows, 0));
}

/* Members of one place, as an object under `key` when there are any. */
static void put_place(const struct import_rows *rows, struct jsonw *json, enum import_place place,
                      const char *key)
{
    const struct import_reader *reader = rows->reader;
    bool is_open = false;
    for (size_t i = 0; i < reader->header_count; i++) {
        struct str value = value_at(rows, 0, i);
        if (reader->paths[i].place != place || value.size == 0) {
            continue;
        }
        if (!is_open) {
            jsonw_key(json, key);
            jsonw_open(json);
            is_open = true;
        }
        jsonw_key_str(json, reader->paths[i].key);
        put_value(json, value, reader->paths[i].is_text);
    }
    if (is_open) {
        jsonw_close(json);
    }
}

static void put_products(const struct import_rows *rows, struct jsonw *json)
{
    const struct import_reader *reader = rows->reader;
    bool is_list_open = false;
    for (size_t row = 0; row < rows->count; row++) {
        bool is_open = false;
        for (size_t i = 0; i < reader->header_count; i++) {
            struct str value = value_at(rows, row, i);
            if (reader->paths[i].place != PLACE_PRODUCT || value.size == 0 || !is_line(rows, row)) {
                continue;
            }
            if (!is_list_open) {
                jsonw_key(json, reader->options.kind == IMPORT_PRODUCTS ? "variants" : "products");
                jsonw_open_array(json);
                is_list_open = true;
            }
            if (!is_open) {
                jsonw_open(json);
                is_open = true;
            }
            jsonw_key_str(json, reader->paths[i].key);
            put_value(json, value, reader->paths[i].is_text);
        }
        if (is_open) {
            jsonw_close(json);
        }
    }
    if (is_list_open) {
        jsonw_close_array(json);
    }
}

static bool is_instant_key(struct str key)
{
    return str_equal(key, STR("placed_at"));
}

static void put_properties(const struct import_rows *rows, struct jsonw *json, int64_t placed_at_ms)
{
    const struct import_reader *reader = rows->reader;
    jsonw_key(json, "properties");
    jsonw_open(json);
    for (size_t i = 0; i < reader->header_count; i++) {
        struct str value = value_at(rows, 0, i);
        if (is_property(rows, i) && value.size > 0 && !is_instant_key(reader->paths[i].key)) {
            jsonw_key_str(json, reader->paths[i].key);
            put_value(json, value, reader->paths[i].is_text);
        }
    }
    if (placed_at_ms != INSTANT_NONE) {
        jsonw_put_instant(json, "placed_at", placed_at_ms);
    }
    put_products(rows, json);
    jsonw_close(json);
}

static bool path_instant(struct import_rows *rows, enum import_place place, const char *key,
                         int64_t *out_ms)
{
    if (import_instant(rows->reader, path_value(rows, place, key), false, out_ms)) {
        return true;
    }
    rows->bad_column = rows->reader->headers[column_of_path(rows->reader, place, key) - 1];
    rows->bad_reason = STR("not an instant, as in 2026-11-22T14:10:00+01:00");
    return false;
}

struct row_instants {
    int64_t occurred_at_ms;
    int64_t updated_at_ms;
    int64_t created_at_ms;
    int64_t placed_at_ms;
};

static bool read_instants(struct import_rows *rows, struct row_instants *out)
{
    return path_instant(rows, PLACE_TOP, "occurred_at", &out->occurred_at_ms) &&
           path_instant(rows, PLACE_TOP, "updated_at", &out->updated_at_ms) &&
           path_instant(rows, PLACE_TOP, "created_at", &out->created_at_ms) &&
           path_instant(rows, PLACE_PROPERTY, "placed_at", &out->placed_at_ms);
}

/* Of the types that the row may name: "opened" is email.opened. */
static bool row_type(struct import_rows *rows, const char **out_prefix, struct str *out_type)
{
    const struct kind_types *types = types_of(rows->reader->options.kind);
    struct str type = path_value(rows, PLACE_TOP, "type");
    *out_prefix = "";
    if (type.size == 0) {
        type = str_from_z(types->fallback);
    } else if (types->kind == IMPORT_EMAIL && str_find(type, '.', 0) < 0) {
        *out_prefix = "email.";
    } else if (!type_fits(types, type)) {
        rows->bad_column = STR("type");
        rows->bad_reason = str_from_z(types->refusal);
        return false;
    }
    if (type.size == 0) {
        rows->bad_column = STR("type");
        rows->bad_reason = STR("needed: the name of what happened");
        return false;
    }
    *out_type = type;
    return true;
}

/* Own time of the row, else what stands in; INSTANT_NONE: there is none. */
static int64_t row_instant(const struct import_rows *rows, const struct row_instants *instants,
                           bool *out_is_own)
{
    const int64_t own[] = { instants->occurred_at_ms, instants->updated_at_ms,
                            instants->placed_at_ms };
    for (size_t i = 0; i < ARRAY_COUNT(own); i++) {
        if (own[i] != INSTANT_NONE) {
            *out_is_own = true;
            return own[i];
        }
    }
    *out_is_own = false;
    enum import_kind kind = rows->reader->options.kind;
    return kind == IMPORT_CUSTOMERS || kind == IMPORT_PRODUCTS
               ? rows->reader->options.exported_at_ms
               : INSTANT_NONE;
}

/* Closes the item with its key: the row's own id, or the hash of the rest. */
static void close_item(const struct import_rows *rows, struct jsonw *json, size_t begin,
                       int64_t at_ms, bool is_own, const char *what)
{
    struct str id = path_value(rows, PLACE_TOP, "id");
    if (is_own) {
        jsonw_put_instant(json, "occurred_at", at_ms);
    }
    struct str content = str_drop(buf_str(json->buf), begin);
    struct str key = content_key(rows->arena, content);
    if (id.size > 0) {
        key = what[0] == '\0' ? id : str_printf(rows->arena, "%.*s/%s", STR_ARG(id), what);
    }
    if (!is_own) {
        jsonw_put_instant(json, "occurred_at", at_ms);
    }
    jsonw_put_str(json, "id", key);
    jsonw_close(json);
}

/* A customer who says when they came came then, and is described as of now. */
static void put_created(const struct import_rows *rows, struct jsonw *json, int64_t created_at_ms)
{
    size_t begin = json->buf->size;
    jsonw_open(json);
    jsonw_put_z(json, "type", "customer.created");
    put_place(rows, json, PLACE_IDENTITY, "identities");
    close_item(rows, json, begin, created_at_ms, true, "created");
}

static void put_item(const struct import_rows *rows, struct jsonw *json,
                     const struct row_instants *instants, struct str type, int64_t at_ms,
                     bool is_own)
{
    size_t begin = json->buf->size;
    jsonw_open(json);
    jsonw_put_str(json, "type", type);
    put_place(rows, json, PLACE_IDENTITY, "identities");
    put_properties(rows, json, instants->placed_at_ms);
    put_place(rows, json, PLACE_CONTEXT, "context");
    put_place(rows, json, PLACE_TRAIT, "traits");
    put_place(rows, json, PLACE_PREFERENCE, "preferences");
    put_place(rows, json, PLACE_CONSENT, "consent");
    close_item(rows, json, begin, at_ms, is_own, "");
}

/* "properties.total" is said of the column that the file calls "Amount". */
static struct str header_of(const struct import_reader *reader, struct str path)
{
    for (size_t i = 0; i < reader->header_count; i++) {
        struct str key = reader->paths[i].key;
        if (reader->paths[i].place == PLACE_NOWHERE || !str_ends_with(path, key)) {
            continue;
        }
        struct str before = str_take(path, path.size - key.size);
        if (before.size == 0 || str_ends_with(before, STR("."))) {
            return reader->headers[i];
        }
    }
    return path;
}

bool import_canonical_rows(struct import_rows *rows, struct import_record *out_record)
{
    const char *prefix = "";
    struct str type = { NULL, 0 };
    struct row_instants instants;
    if (!read_instants(rows, &instants) || !row_type(rows, &prefix, &type)) {
        return false;
    }
    bool is_own = false;
    int64_t at_ms = row_instant(rows, &instants, &is_own);
    if (at_ms == INSTANT_NONE) {
        rows->bad_column =
            rows->reader->options.kind == IMPORT_ORDERS ? STR("placed_at") : STR("occurred_at");
        rows->bad_reason = STR("history needs its time");
        return false;
    }
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, rows->arena, 2 * IMPORT_RECORD_BYTES_MAX);
    buf_reserve(&buf, 512);
    jsonw_begin(&json, &buf);
    jsonw_open_array(&json);
    if (instants.created_at_ms != INSTANT_NONE) {
        put_created(rows, &json, instants.created_at_ms);
    }
    type = prefix[0] == '\0' ? type : str_printf(rows->arena, "%s%.*s", prefix, STR_ARG(type));
    put_item(rows, &json, &instants, type, at_ms, is_own);
    jsonw_close_array(&json);
    if (take_items(rows->reader, rows->arena, buf_str(&buf), out_record)) {
        return true;
    }
    rows->bad_column = header_of(rows->reader, out_record->column);
    rows->bad_reason = out_record->reason;
    return false;
}
