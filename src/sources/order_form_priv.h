#ifndef SOURCES_ORDER_FORM_PRIV_H
#define SOURCES_ORDER_FORM_PRIV_H

/*
 * An order as most shops tell it: an adapter fills in the form from its payload,
 * and the form becomes the event, its document of the fold (correctness 5) and its
 * canonical properties. Shopify and WooCommerce say more than fits here and write
 * theirs themselves.
 *
 * Everything is borrowed for the call; the events live in the draft's arena.
 */

#include "draft_priv.h"

/* Money that the shop did not state. */
#define ORDER_FORM_UNSAID INT64_MIN

struct order_form_line {
    struct str product_id;
    struct str variant_id;
    struct str sku;
    struct str name;
    struct str brand;
    struct str category;
    struct str image_url;
    int64_t quantity;    /* 0: not stated */
    int64_t price_minor; /* of one; ORDER_FORM_UNSAID */
};

struct order_form {
    struct str order_ref; /* needed */
    struct str number;
    struct str status;   /* the platform's own word: decides whether the order counts */
    struct str currency; /* empty or no currency: the source's */
    struct str coupon;
    struct str channel;
    int64_t placed_at_ms;  /* INSTANT_NONE: when changed */
    int64_t changed_at_ms; /* its version; INSTANT_NONE: as when placed */
    int64_t total_minor;   /* needed */
    int64_t subtotal_minor;
    int64_t discount_minor;
    int64_t shipping_minor;
    int64_t tax_minor;
    int64_t refunded_minor; /* by the body's own account; 0 */
    struct str customer_ref;
    struct str email;
    struct str phone;
    struct str cart_token;
    const struct order_form_line *lines;
    size_t line_count;
};

/* All money unsaid, all instants INSTANT_NONE. */
void order_form_init(struct order_form *form);

/* Room for `count` lines; NULL when the arena is full (then the order has none). */
struct order_form_line *order_form_lines(struct draft *draft, size_t count);

/* The order as it stands now. "counts" and rank come from the platform's table and
 * the source's settings. NULL when the arena is full. */
struct event *order_form_event(struct draft *draft, const struct order_form *form,
                               const struct order_status_rule *statuses);

/* It was cancelled, says the order's body, which may say otherwise tomorrow: told once
 * under an id of its own, and folded into nothing. `body` is the body's event. */
void order_form_cancellation_told(struct draft *draft, struct str order_ref,
                                  const struct event *body, int64_t at_ms);

/* It was cancelled: one fact, whichever delivery says so. `named` is an event of
 * the order whose identifiers it shares, or NULL: then it is known by order_ref. */
struct event *order_form_cancelled(struct draft *draft, struct str order_ref,
                                   const struct event *named, int64_t at_ms);

/* Money went back, under the refund's own id. */
struct order_form_refund {
    struct str order_ref;
    struct str refund_ref;
    struct str currency;  /* empty or no currency: the source's */
    struct str reason;    /* may be empty */
    int64_t amount_minor; /* of either sign */
    int64_t at_ms;        /* INSTANT_NONE: when received */
};
struct event *order_form_refunded(struct draft *draft, const struct order_form_refund *refund,
                                  const struct event *named);

/* It is on its way, under the fulfilment's own id. */
struct event *order_form_fulfilled(struct draft *draft, struct str order_ref,
                                   struct str fulfilment_ref, const struct event *named,
                                   int64_t at_ms);

#endif
