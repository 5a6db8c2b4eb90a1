#ifndef SOURCES_SHOPIFY_PRIV_H
#define SOURCES_SHOPIFY_PRIV_H

/*
 * What the parts of the Shopify adapter share: shopify.c (topics, customers),
 * shopify_order.c, shopify_cart.c and shopify_world.c.
 */

#include <jansson.h>

#include "base/arena.h"
#include "base/jsonw.h"
#include "core/source.h"
#include "draft_priv.h"
#include "sources/platform.h"

struct shopify_delivery {
    struct arena *arena;
    const struct source *source;
    const json_t *root;
    struct str topic;
    struct str dedup_key;
    int64_t received_at_ms;
    /* X-Shopify-Triggered-At, for bodies that hold no time; INSTANT_NONE when
     * it is missing. Unsigned, and therefore never preferred. */
    int64_t triggered_at_ms;
};

/* Makes the delivery's events. STATUS_INVALID: the body is not what its topic
 * promises. */
typedef enum status shopify_take_fn(const struct shopify_delivery *delivery, struct draft *draft,
                                    struct problem *problem);

enum status shopify_take_order(const struct shopify_delivery *delivery, struct draft *draft,
                               struct problem *problem);
enum status shopify_take_order_deleted(const struct shopify_delivery *delivery, struct draft *draft,
                                       struct problem *problem);
enum status shopify_take_order_edited(const struct shopify_delivery *delivery, struct draft *draft,
                                      struct problem *problem);
enum status shopify_take_refund(const struct shopify_delivery *delivery, struct draft *draft,
                                struct problem *problem);
enum status shopify_take_fulfilment(const struct shopify_delivery *delivery, struct draft *draft,
                                    struct problem *problem);
enum status shopify_take_cart(const struct shopify_delivery *delivery, struct draft *draft,
                              struct problem *problem);
enum status shopify_take_checkout(const struct shopify_delivery *delivery, struct draft *draft,
                                  struct problem *problem);
enum status shopify_take_checkout_deleted(const struct shopify_delivery *delivery,
                                          struct draft *draft, struct problem *problem);

enum status shopify_take_product(const struct shopify_delivery *delivery, struct draft *draft,
                                 struct problem *problem);
enum status shopify_take_inventory(const struct shopify_delivery *delivery, struct draft *draft,
                                   struct problem *problem);
enum status shopify_take_transaction(const struct shopify_delivery *delivery, struct draft *draft,
                                     struct problem *problem);
enum status shopify_take_dispute(const struct shopify_delivery *delivery, struct draft *draft,
                                 struct problem *problem);

extern const struct order_status_rule shopify_order_statuses[];

void shopify_draft_init(const struct shopify_delivery *delivery, struct draft *draft,
                        size_t capacity);
/* The first of two members that is an instant, else when it was triggered. */
int64_t shopify_instant(const struct shopify_delivery *delivery, const json_t *object,
                        const char *first, const char *second);
/* The object's own currency, else the source's. */
struct str shopify_currency(const struct shopify_delivery *delivery, const json_t *object,
                            const char *key);
/* Identifiers and traits of a customer object (may be NULL). */
void shopify_identify_customer(const struct shopify_delivery *delivery, struct draft *draft,
                               struct event *event, const json_t *customer);
void shopify_describe_customer(const struct shopify_delivery *delivery, struct draft *draft,
                               struct event *event, const json_t *customer, const json_t *address);
/* A cart token names a cart; what follows a "?" is the key to open it, and no
 * business of ours. */
void shopify_identify_cart(struct draft *draft, struct event *event, struct str token);
void shopify_identify_checkout(struct draft *draft, struct event *event, struct str token);

/* Members of one line item, into an open object. */
void shopify_write_line(struct jsonw *json, struct arena *arena, const json_t *line,
                        struct str currency);

#endif
