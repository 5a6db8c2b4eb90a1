#ifndef CORE_EVENT_EVENT_H
#define CORE_EVENT_EVENT_H

/*
 * One canonical fact out of a payload. Plain values: adapters fill them,
 * decide reads them, nobody owns anything; all text lives in the arena of the
 * delivery that brought the event.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/id.h"
#include "base/instant.h"
#include "base/str.h"

/* How far a source is to be believed. Ordered. */
enum trust {
    TRUST_PUBLIC = 1, /* anyone with the page's write key */
    TRUST_KEYED,      /* an API key of the shop */
    TRUST_SIGNED,     /* a verified signature */
};

/* Contract 2. The order is that of the table in event_type.c. */
enum event_type {
    EVENT_SESSION_STARTED = 1,
    EVENT_PAGE_VIEWED,
    EVENT_PRODUCT_VIEWED,
    EVENT_PRODUCT_REVIEWED,
    EVENT_PRODUCT_SEARCHED,
    EVENT_PRODUCT_LIST_VIEWED,
    EVENT_CART_PRODUCT_ADDED,
    EVENT_CART_PRODUCT_REMOVED,
    EVENT_CART_UPDATED,
    EVENT_WISHLIST_PRODUCT_ADDED,
    EVENT_WISHLIST_PRODUCT_REMOVED,
    EVENT_CHECKOUT_STARTED,
    EVENT_CHECKOUT_UPDATED,
    EVENT_ORDER_COMPLETED,
    EVENT_ORDER_UPDATED,
    EVENT_ORDER_CANCELLED,
    EVENT_ORDER_REFUNDED,
    EVENT_ORDER_FULFILLED,
    EVENT_CUSTOMER_CREATED,
    EVENT_CUSTOMER_UPDATED,
    EVENT_CUSTOMER_DELETED,
    EVENT_CONSENT_UPDATED,
    EVENT_PREFERENCE_UPDATED,
    EVENT_FORM_SUBMITTED,
    EVENT_EMAIL_CLICKED,
    EVENT_EMAIL_OPENED,
    EVENT_EMAIL_UNSUBSCRIBED,
    EVENT_EMAIL_COMPLAINED,
    EVENT_EMAIL_DELIVERED,
    EVENT_EMAIL_BOUNCED,
    EVENT_PRODUCT_UPDATED, /* from here to INVENTORY_UPDATED: universal */
    EVENT_PRODUCT_DELETED,
    EVENT_INVENTORY_UPDATED,
    EVENT_CUSTOM, /* custom.<name>; the name is in event.name */
    EVENT_TYPE_COUNT,
};

struct event_type_info {
    const char *name;
    bool act;          /* the customer's own act: moves last_seen_at */
    bool universal;    /* about the world, not about a customer */
    const char *title; /* one line for GET /v1/topics */
};

static inline bool event_type_is_of_order(enum event_type type)
{
    return type >= EVENT_ORDER_COMPLETED && type <= EVENT_ORDER_FULFILLED;
}

/* Static; type must be valid. EVENT_CUSTOM's name is "custom.*". */
const struct event_type_info *event_type_info(enum event_type type);
/* 0 when there is none. "custom.x" gives EVENT_CUSTOM when x is a valid name. */
enum event_type event_type_from_name(struct str name);
/* What may stand behind "custom." and "universal.". */
bool event_own_name_is_valid(struct str name);

/* Ranked: a smaller number is a stronger identifier (correctness 3).
 * Exclusive: external_id, customer_id. Strong: email, phone. Weak: the rest. */
enum identity_kind {
    IDENTITY_EXTERNAL_ID = 1,
    IDENTITY_CUSTOMER_ID, /* of one source */
    IDENTITY_EMAIL,
    IDENTITY_PHONE,
    IDENTITY_ANONYMOUS_ID,
    IDENTITY_CART_TOKEN, /* of one source */
    IDENTITY_ORDER,      /* of one source; never stored as an identity row: the order row is it */
    IDENTITY_KIND_COUNT,
};

struct identifier {
    enum identity_kind kind;
    struct id source_id; /* zero for kinds that are not of one source */
    struct str value;    /* normalised: see identity_normalise */
};

/* What a payload says about the customer: one key, one value, as JSON text.
 * Value "null" forgets the key. Traits use the names of contract 5 (email,
 * phone, first_name, ... are traits too); consent keys are channels and its
 * values the JSON strings of contract 2. */
enum fact_kind {
    FACT_TRAIT = 1,
    FACT_PREFERENCE,
    FACT_CONSENT
};

struct event_fact {
    enum fact_kind kind;
    struct str key;
    struct str value_json;
};

/* A document of an order (correctness 5). */
enum order_document_kind {
    ORDER_BODY = 1,
    ORDER_REFUND,
    ORDER_CANCELLATION,
    ORDER_FULFILMENT,
    ORDER_DELETION,
};

enum order_rank {
    ORDER_OPEN,
    ORDER_PAID,
    ORDER_FULFILLED,
    ORDER_CANCELLED
};

struct order_document {
    enum order_document_kind kind;
    struct str order_ref;    /* the shop's order id */
    struct str document_ref; /* the refund's or fulfilment's own id; empty for a body */
    int64_t at_ms;           /* when the document says it happened */
    /* Of a body only: */
    int64_t version_ms; /* the source's own modification time, or occurred_at */
    enum order_rank rank;
    bool counts; /* by the platform's table: this status makes an order count */
    int64_t placed_at_ms;
    struct str number;
    struct str status; /* the platform's own word */
    struct str currency;
    int64_t total_minor;
    int64_t refunded_minor; /* the body's own figure, 0 if it has none */
    struct str body_json;   /* canonical properties of the order (contract 2), JSON object */
    /* Of a refund: */
    int64_t amount_minor;
};

struct event {
    struct id id; /* hash(source, dedup_key, part): interaction and receipt */
    struct id source_id;
    struct str dedup_key; /* of the delivery */
    struct str part;      /* the fact's own id within the delivery, or its ordinal */
    enum event_type type;
    struct str name; /* dotted name; for EVENT_CUSTOM the full custom.<name> */
    enum trust trust;
    bool is_thin;           /* names a resource of the shop and says nothing of what is in it */
    bool act;               /* moves last_seen_at: the type's default, or as declared for custom */
    int64_t occurred_at_ms; /* in [2000-01-01, received_at] */
    int64_t claimed_at_ms;  /* what the payload said, unclamped */
    int64_t received_at_ms;

    struct identifier *identifiers; /* sorted by kind, no duplicates */
    size_t identifier_count;
    /* The platform itself says that the customer_ids it names are one customer. */
    bool unites_customers;
    struct event_fact *facts;
    size_t fact_count;
    int64_t facts_at_ms;                /* when they were said, if not at occurred_at_ms; else 0 */
    const struct order_document *order; /* NULL when the event is not about an order */
    struct str
        cart_json; /* the whole cart of contract 5 (JSON object) or empty; "null" clears it */

    /* Columns that analysts group by; empty or INSTANT_NONE when not there. */
    struct str product_id;
    struct str category;
    struct str currency;
    int64_t amount_minor;
    bool has_amount;

    struct str properties_json; /* JSON object, canonical names; empty means {} */
    struct str context_json;    /* JSON object or empty */
};

/* The id of an event: promise 2 hangs on it. */
struct id event_id(struct id source_id, struct str dedup_key, struct str part);

/* Clamps claimed time into [2000-01-01, received_at] (correctness 10, 13). */
int64_t event_clamp_instant(int64_t claimed_ms, int64_t received_at_ms);

/* Lower-cases and trims emails, brings phones to E.164 where they are
 * international already ("+33 6 12" -> "+33612"), trims the rest. False when
 * the value identifies nobody: empty, blocked ("null", "undefined", "0",
 * "guest", "anonymous", "unknown", "test@test.com", ...), over
 * LIMIT_TEXT_BYTES, or not of the kind's form. Used by every adapter. */
bool identity_normalise(struct arena *arena, enum identity_kind kind, struct str value,
                        struct str *out_value);
bool identity_kind_is_exclusive(enum identity_kind kind);
bool identity_kind_is_strong(enum identity_kind kind); /* exclusive kinds too */
bool identity_kind_is_of_source(enum identity_kind kind);
const char *identity_kind_name(enum identity_kind kind);
enum identity_kind identity_kind_from_name(struct str name); /* 0 when there is none */

#endif
