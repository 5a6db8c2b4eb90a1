#ifndef CORE_RULE_NAME_H
#define CORE_RULE_NAME_H

/*
 * Which names exist, of what type, and what a change of them touches.
 *
 * One table: the path in the profile's JSON is the name in a rule (contract 5),
 * with "profile." before it or not. GET /v1/names lists the table. Each name
 * belongs to one part of the profile; when an event changes a part, the rules
 * that read it are decided again and no others.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "core/rule/value.h"

/* What a write can change, a bit each in a mask. */
enum rule_part {
    RULE_PART_SEEN,        /* first_seen_at last_seen_at signed_up_at */
    RULE_PART_IDENTITY,    /* identified email phone external_id */
    RULE_PART_ORDERS,      /* orders.* */
    RULE_PART_CART,        /* cart.* */
    RULE_PART_TRAITS,      /* traits.* */
    RULE_PART_PREFERENCES, /* preferences.* */
    RULE_PART_CONSENT,     /* consent.* */
    RULE_PART_ENGAGEMENT,  /* engagement.* */
    RULE_PART_HABITS,      /* habits.*, cycle and rfm read ORDERS too */
    RULE_PART_VERDICTS,    /* lifecycle tags segments tiers.*: by other rules' verdicts */
    RULE_PART_EVENT,       /* event.*: told with a message, no part of the profile */
    RULE_PART_TRANSITION,  /* transition.*: likewise */
    RULE_PART_INTEREST, /* likewise the product that a trigger is about, and the interest in it */
    RULE_PART_COUNT,
};
#define RULE_PARTS_TOLD \
    (1u << RULE_PART_EVENT | 1u << RULE_PART_TRANSITION | 1u << RULE_PART_INTEREST)

enum rule_attribute {
    RULE_ATTRIBUTE_NONE, /* not a fixed name: see `key` */
    RULE_EMAIL,
    RULE_PHONE,
    RULE_EXTERNAL_ID,
    RULE_IDENTIFIED,
    RULE_CREATED_AT,
    RULE_FIRST_SEEN_AT,
    RULE_LAST_SEEN_AT,
    RULE_SIGNED_UP_AT,
    RULE_LIFECYCLE,
    RULE_TAGS,
    RULE_SEGMENTS,
    RULE_TIER, /* tiers.<key> */
    RULE_RFM_RECENCY,
    RULE_RFM_FREQUENCY,
    RULE_RFM_MONETARY,
    RULE_ORDERS_COUNT,
    RULE_ORDERS_REVENUE,
    RULE_ORDERS_NET,
    RULE_ORDERS_AVERAGE_VALUE,
    RULE_ORDERS_LARGEST_VALUE,
    RULE_ORDERS_REFUNDED,
    RULE_ORDERS_FOREIGN_COUNT,
    RULE_ORDERS_FIRST_AT,
    RULE_ORDERS_LAST_AT,
    RULE_ORDERS_CYCLE_DAYS,
    RULE_ORDERS_CYCLE_STAGE,
    RULE_ORDERS_NEXT_EXPECTED_AT,
    RULE_CART_UPDATED_AT,
    RULE_CART_VALUE,
    RULE_CART_ITEMS_COUNT,
    RULE_CART_CATEGORIES,
    RULE_CART_PRODUCT_IDS,
    RULE_ENGAGEMENT_SCORE,
    RULE_ENGAGEMENT_LEVEL,
    RULE_ENGAGEMENT_LAST_OPENED_AT,
    RULE_ENGAGEMENT_LAST_CLICKED_AT,
    RULE_HABITS_TOP_WEEKDAY,
    RULE_HABITS_TOP_HOUR,
    RULE_HABITS_TOP_PLATFORM,
    RULE_HABITS_TOP_CHANNEL,
    RULE_TRAIT,      /* traits.<key>: open */
    RULE_PREFERENCE, /* preferences.<key>: open */
    RULE_CONSENT,    /* consent.<channel> */
    RULE_PROPERTY,   /* in where, or event.<key>: open but for the typed core */
    RULE_EVENT_TYPE, /* in filters, as those of transitions */
    RULE_EVENT_SOURCE,
    RULE_TRANSITION_RULE,
    RULE_TRANSITION_KIND,
    RULE_TRANSITION_FROM,
    RULE_TRANSITION_TO,
    RULE_INTEREST_VIEWED_AT, /* in triggers, as all that follow */
    RULE_INTEREST_VIEW_COUNT,
    RULE_INTEREST_OUT_OF_STOCK_SEEN_AT,
    RULE_INTEREST_PRICE_SEEN,
    RULE_INTEREST_CARTED_AT,
    RULE_INTEREST_WISHED_AT,
    RULE_INTEREST_BOUGHT_AT,
    RULE_INTEREST_SUBSTITUTE_BOUGHT_AT,
    RULE_INTEREST_WAITING,
    RULE_PRODUCT_PRODUCT_ID,
    RULE_PRODUCT_VARIANT_ID,
    RULE_PRODUCT_SKU,
    RULE_PRODUCT_NAME,
    RULE_PRODUCT_CATEGORY,
    RULE_PRODUCT_BRAND,
    RULE_PRODUCT_PRICE,
    RULE_PRODUCT_COMPARE_AT_PRICE,
    RULE_PRODUCT_CURRENCY,
    RULE_PRODUCT_STOCK,
    RULE_ATTRIBUTE_COUNT,
};

struct rule_name {
    enum rule_attribute attribute;
    struct str key; /* of RULE_TIER, RULE_TRAIT, RULE_PREFERENCE, RULE_CONSENT, RULE_PROPERTY */
};

/* A rule of the workspace, as others may refer to it. */
enum rule_kind {
    RULE_KIND_TAG = 1,
    RULE_KIND_SEGMENT,
    RULE_KIND_LIFECYCLE,
    RULE_KIND_TIER,
};

struct rule_known {
    struct str name;
    enum rule_kind kind;
};

const char *rule_kind_name(enum rule_kind kind);     /* tag segment lifecycle tier */
enum rule_kind rule_kind_from_name(struct str name); /* 0 when there is none */

struct rule_name_info {
    const char *path;  /* "orders.count"; of open names with their pattern: "traits.<key>" */
    const char *title; /* one line for GET /v1/names */
    enum rule_attribute attribute;
    enum rule_type type; /* RULE_NULL: open */
    enum rule_part part;
    bool has_percentile; /* percentile(name, p) is kept as a statistic */
    bool time_moves;     /* its value changes by time alone (rfm.recency, engagement.score) */
};

const struct rule_name_info *rule_name_info(enum rule_attribute attribute); /* NULL: NONE */
const struct rule_name_info *rule_name_at(size_t index); /* the table; NULL past the end */

/* "orders.count", "profile.orders.count", "traits.loyalty_tier": false when no
 * such name exists; then *out_nearest is the nearest path or NULL. The key of
 * consent.* must be a channel. */
bool rule_name_resolve(struct str path, struct rule_name *out_name, const char **out_nearest);
/* Those of what is told to a subscriber: event.type, event.source, transition.*;
 * they are no part of a profile. */
bool rule_name_resolve_told(struct str path, struct rule_name *out_name, const char **out_nearest);
/* And of what a trigger is about: interest.*, product.*. */
bool rule_name_resolve_interest(struct str path, struct rule_name *out_name,
                                const char **out_nearest);

/* The typed core of properties (contract 2): price is a number, category a
 * text, product_id a text, ...; RULE_NULL for all others. */
enum rule_type rule_property_type(struct str property);

#endif
