#include "adobe_priv.h"
#include "base/instant.h"
#include "base/limits.h"
#include "platform_priv.h"
#include "sources/json_border.h"

/*
 * Adobe Commerce webhooks: calls that the shop makes and waits for.
 *
 * The shop stands still until we answer, and reads the answer as an operation, so
 * a delivery that was taken is answered with "success": go on, change nothing. The
 * signature is RSA over the base64 of the body (the documentation's prose says
 * HMAC; its sample verifies with a public key). Nothing in the request names the
 * event: what a body is follows from the member that it holds.
 *
 * A body that asks about something in the making (a tax quote, a cart total) has
 * neither and is ignored.
 */

static enum normalise_verdict normalise(struct arena *arena, const struct source *source,
                                        const struct inbound *inbound,
                                        struct normalised *out_normalised, struct problem *problem)
{
    struct str id = str_trim(inbound_header(inbound, "x-adobe-commerce-request-id"));
    *out_normalised = (struct normalised){
        .topic = STR("webhook"),
        .dedup_key = draft_dedup_key(arena, id, STR(""), inbound->body),
    };
    json_t *root CLEANUP(border_free_at) = border_parse(inbound->body, problem);
    if (root == NULL) {
        return NORMALISE_UNREADABLE;
    }
    const json_t *value = NULL;
    const struct adobe_entity *entity = adobe_entity_in(root, &value);
    /* A tax quote holds its customer beside the order that it is about. */
    if (entity == NULL || json_object_get(root, "order_id") != NULL) {
        return NORMALISE_IGNORED;
    }
    struct draft draft;
    draft_init(&draft, arena, source, TRUST_SIGNED, inbound->received_at_ms,
               out_normalised->dedup_key, 2);
    if (adobe_take(&draft, entity, value, false, problem) != STATUS_OK) {
        return arena_is_full(arena) ? NORMALISE_FULL : NORMALISE_UNREADABLE;
    }
    return draft_finish(&draft, out_normalised);
}

static const char *const TOPICS[] = { "observer.sales_order_save_commit_after",
                                      "observer.customer_save_commit_after",
                                      "observer.catalog_product_save_commit_after", NULL };

static const char *const STEPS[] = {
    "Admin > System > Webhooks > Digital Signature Configuration: regenerate the key pair, "
    "enable signing, copy the public key",
    "POST /v1/sources/%s/secrets {\"secret\":\"<the public key, PEM>\",\"label\":\"webhooks\"}",
    "Admin > System > Webhooks Subscriptions: one for each of topics, URL = webhook_url, type "
    "after, timeout 5000 ms, required: optional, so that the shop sells on without us",
    "Fields: order (entity_id, increment_id, state, grand_total, order_currency_code, "
    "customer_id, customer_email, created_at, updated_at, items), customer (id, email, "
    "firstname, lastname), product (entity_id, sku, name, price, updated_at)",
    NULL,
};
static const struct setup_way WAYS[] = {
    { .way = "admin", .steps = STEPS },
    { .way = NULL },
};
static const struct setup_gap GAPS[] = {
    { "what is not lost when this server is away",
      "a source of platform adobe_io_events: it repeats for a day" },
    { NULL, NULL },
};
static const char *const WARNINGS[] = {
    "The shop waits for each of these calls and never repeats one.",
    NULL,
};

static const char *const SETTINGS[] = { "time_zone", "currency", "order_completed_when",
                                        "allowed_addresses", NULL };
static const char *const HEADERS[] = { "x-adobe-commerce-request-id", NULL };

const struct platform platform_adobe_commerce = {
    .name = "adobe_commerce",
    .title = "Adobe Commerce",
    .signature = {
        .algorithm = SIGNATURE_RSA_SHA256,
        .encoding = SIGNATURE_BASE64,
        .key_form = SIGNATURE_KEY_PUBLIC,
        .syntax = SIGNATURE_ALONE,
        .content = "{body_base64}",
        .headers = { { .signature = "x-adobe-commerce-webhook-signature" } },
    },
    .trust = TRUST_SIGNED,
    .provenance = PROVENANCE_FULL,
    .answer_ms = LIMIT_ANSWER_MS,
    .dedup_horizon_ms = 2 * INSTANT_DAY_MS,
    .expected_silence_ms = 24 * INSTANT_HOUR_MS,
    .headers = HEADERS,
    .topics = TOPICS,
    .order_statuses = adobe_order_statuses,
    .settings = SETTINGS,
    .default_order_completed_when = adobe_completed_when,
    .accepted_json = "[{\"op\":\"success\"}]",
    .normalise = normalise,
    .setup = { WAYS, GAPS, WARNINGS },
};
