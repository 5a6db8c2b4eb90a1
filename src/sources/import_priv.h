#ifndef SOURCES_IMPORT_PRIV_H
#define SOURCES_IMPORT_PRIV_H

/*
 * What the formats of import.c share: a header as columns of fields, the rows
 * of one record, and how a record is turned down.
 */

#include <jansson.h>

#include "draft_priv.h"
#include "sources/csv.h"
#include "sources/import.h"

/* What a column of a platform's export means. */
enum import_field {
    FIELD_NONE,
    FIELD_ORDER_ID,
    FIELD_NUMBER,
    FIELD_STATUS,
    FIELD_FULFILMENT_STATUS,
    FIELD_CURRENCY,
    FIELD_TOTAL,
    FIELD_SUBTOTAL,
    FIELD_DISCOUNT,
    FIELD_SHIPPING,
    FIELD_TAX,
    FIELD_COUPON,
    FIELD_REFUNDED,
    FIELD_PLACED_AT,
    FIELD_PAID_AT,
    FIELD_FULFILLED_AT,
    FIELD_CANCELLED_AT,
    FIELD_UPDATED_AT,
    FIELD_CHANNEL,
    FIELD_LOCATION,
    FIELD_EMAIL,
    FIELD_PHONE,
    FIELD_CUSTOMER_ID,
    FIELD_FIRST_NAME,
    FIELD_LAST_NAME,
    FIELD_COUNTRY,
    FIELD_REGION,
    FIELD_CITY,
    FIELD_POSTAL_CODE,
    FIELD_ACCEPTS_EMAIL,
    FIELD_ACCEPTS_SMS,
    FIELD_LINE_NAME,
    FIELD_LINE_SKU,
    FIELD_LINE_BRAND,
    FIELD_LINE_QUANTITY,
    FIELD_LINE_PRICE,
    FIELD_LINE_ITEM,  /* a whole line of an order, packed; several columns */
    FIELD_LINE_ITEMS, /* all of them in one column */
    FIELD_COUNT
};

/* As a map uses it. */
const char *import_field_name(enum import_field field);

struct import_column { /* of a platform's export */
    const char *header;
    enum import_field field;
};

/* Where a column of our own CSV goes within an event of contract 8. */
enum import_place {
    PLACE_NOWHERE,
    PLACE_TOP,
    PLACE_IDENTITY,
    PLACE_PROPERTY,
    PLACE_PRODUCT,
    PLACE_CONTEXT,
    PLACE_TRAIT,
    PLACE_PREFERENCE,
    PLACE_CONSENT,
};

struct import_path {
    enum import_place place;
    struct str key;
    bool is_text; /* "0012" is no number here */
};

struct import_rows;

/* Makes the record's events; false when it was turned down (import_reject). */
typedef bool import_build_fn(struct import_rows *rows, struct import_record *out_record);

struct import_reader {
    struct import_options options;
    char separator;
    struct str *headers;
    size_t header_count;
    struct str unused;             /* headers of columns that nothing is made of */
    enum import_field *fields;     /* by column; NULL in our own CSV */
    struct import_path *paths;     /* by column; NULL in a platform's */
    size_t column_of[FIELD_COUNT]; /* from 1; 0: there is none */
    import_build_fn *build;
    /* Rows that follow each other with the same value here are one record;
     * column, from 1; 0: each row is one. */
    size_t group_column;
    size_t group_id_column; /* ... unless both say different things here */
};

struct import_rows {
    const struct import_reader *reader;
    struct arena *arena;
    struct csv_record *rows;
    size_t *lines; /* of each row, from the first */
    size_t count;
    /* Of a record that was turned down: */
    size_t bad_line;
    struct str bad_column;
    struct str bad_reason;
};

/* Trimmed; empty when the file has no such column. */
struct str import_value(const struct import_rows *rows, size_t row, enum import_field field);
/* The same without the apostrophe by which spreadsheets are told "this is
 * text": '75008. */
struct str import_text(const struct import_rows *rows, size_t row, enum import_field field);
/* Says why; returns false, for `return import_reject(...)`. */
bool import_reject(struct import_rows *rows, size_t row, enum import_field field,
                   const char *reason);

/* Empty gives INSTANT_NONE. Takes what shops write: "2025-10-07 09:50:26 +0200",
 * "2025-10-07", and with american_dates "9/6/2016 6:29:00". Without an offset
 * it is local time of the source. False: it is no instant. */
bool import_instant(const struct import_reader *reader, struct str text, bool american_dates,
                    int64_t *out_ms);
/* Empty gives 0 and false in *out_there. False: it is no amount. */
bool import_money(struct str text, struct str currency, bool *out_there, int64_t *out_minor);

/* "import/" and the hash of the rows as they stand: the key of what has no id
 * of its own for this version of it. */
struct str import_rows_key(const struct import_rows *rows, const char *what);

/* Of the record's draft: the events, or a full arena. */
void import_take_draft(struct draft *draft, struct import_record *out_record);

/* --- orders of platforms (import_order.c) ---------------------------------- */

/* What the first row of an order says, checked. */
struct import_order {
    struct str order_ref;
    struct str status;
    struct str currency;
    int64_t total_minor;
    int64_t refunded_minor;
    int64_t placed_at_ms;
    int64_t cancelled_at_ms; /* INSTANT_NONE: it is not */
    int64_t version_ms;
};

/* Each false when the record was turned down. Id and status; then currency and
 * total; then the instants, of which the latest of `fields` is the version. */
bool import_order_read(struct import_rows *rows, struct import_order *order);
bool import_order_total(struct import_rows *rows, struct import_order *order);
bool import_order_instants(struct import_rows *rows, const enum import_field *fields, size_t count,
                           bool american_dates, struct import_order *order);
/* Nothing when the field is empty. */
bool import_put_money(struct import_rows *rows, struct jsonw *json, size_t row,
                      enum import_field field, const char *key, struct str currency);
/* The total and its parts, currency, coupon and channel. */
bool import_order_put_amounts(struct import_rows *rows, struct jsonw *json,
                              const struct import_order *order);
/* With its document, without identities. NULL: the arena is full. */
struct event *import_order_event(struct draft *draft, const struct import_rows *rows,
                                 const struct import_order *order, enum order_rank rank,
                                 const struct order_status_rule *statuses, struct str body_json);

/* --- platforms ------------------------------------------------------------ */

extern const struct import_column import_shopify_order_columns[];
extern const struct import_column import_shopify_customer_columns[];
extern const struct import_column import_woocommerce_order_columns[];
import_build_fn import_shopify_order;
import_build_fn import_shopify_customer;
import_build_fn import_woocommerce_order;

/* --- our own -------------------------------------------------------------- */

/* Where a header of our CSV goes; PLACE_NOWHERE when it is none of ours. */
struct import_path import_canonical_path(struct arena *arena, enum import_kind kind,
                                         struct str header);
void import_canonical_give_variants(struct import_path *paths, size_t count);
import_build_fn import_canonical_rows;
/* A product's members as the event that says them; empty when it is too large. */
struct str product_line_event(struct arena *arena, json_t *product, struct str product_id);
/* One line of NDJSON. False: turned down, with column and reason. */
bool import_canonical_line(const struct import_reader *reader, struct arena *arena, struct str line,
                           struct import_record *out_record);

#endif
