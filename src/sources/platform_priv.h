#ifndef SOURCES_PLATFORM_PRIV_H
#define SOURCES_PLATFORM_PRIV_H

/*
 * The platforms that platform.c's table holds, and what several of them share.
 */

#include <jansson.h>

#include "base/jsonw.h"
#include "sources/platform.h"

extern const struct platform platform_shopify;
extern const struct platform platform_woocommerce;
extern const struct platform platform_bigcommerce;
extern const struct platform platform_shopware;
extern const struct platform platform_square;
extern const struct platform platform_stripe;
extern const struct platform platform_adobe_commerce;
extern const struct platform platform_adobe_io_events;
extern const struct platform platform_saleor;
extern const struct platform platform_wix;
extern const struct platform platform_commercetools;
extern const struct platform platform_amazon_sns;
extern const struct platform platform_ecwid;
extern const struct platform platform_squarespace;
extern const struct platform platform_etsy;
extern const struct platform platform_custom;
extern const struct platform platform_standard_webhooks;
extern const struct platform platform_api;
extern const struct platform platform_sdk;
extern const struct platform platform_klaviyo;
extern const struct platform platform_sendgrid;
extern const struct platform platform_mailgun;
extern const struct platform platform_postmark;
extern const struct platform platform_brevo;
extern const struct platform platform_sparkpost;
extern const struct platform platform_customerio;
extern const struct platform platform_mailchimp;
extern const struct platform platform_mandrill;
extern const struct platform platform_mailjet;
extern const struct platform platform_mailersend;
extern const struct platform platform_resend;
extern const struct platform platform_ses;

/* Of platforms whose orders have no status that we read. */
extern const struct order_status_rule platform_no_statuses[];

/* Items of contract 8 in a Standard Webhooks delivery or a request: see
 * canonical_body.c. */
enum normalise_verdict canonical_normalise(struct arena *arena, const struct source *source,
                                           const struct inbound *inbound,
                                           struct normalised *out_normalised,
                                           struct problem *problem);
/* The cart that a cart.updated restates, "null" for an empty one; empty when its
 * properties list no products. */
struct str canonical_cart(struct arena *arena, const struct source *source,
                          const json_t *properties, struct str currency, int64_t at_ms);
/* Items already read (an array). `forgives`, of a page: what is wrong with a detail
 * leaves it out, and of the items the good ones are kept, the bad ones listed. Else
 * one fault refuses them all. The trust is that of the source's platform. */
NODISCARD enum status canonical_take(struct arena *arena, const struct source *source,
                                     json_t *items, int64_t received_at_ms, bool forgives,
                                     struct canonical_batch *out_batch, struct problem *problem);

#endif
