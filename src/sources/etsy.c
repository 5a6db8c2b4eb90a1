#include <string.h>

#include "base/instant.h"
#include "base/limits.h"
#include "delivery_priv.h"
#include "platform_priv.h"
#include "sources/json_border.h"

/*
 * Etsy.
 *
 * One event, "order.paid", signed as Standard Webhooks: a shop and the address of
 * a receipt. The number of the receipt is the order's; of the address no more is
 * believed than that, and it is kept only when its host is Etsy's, so that
 * whoever reads it back later asks nobody else.
 */

enum {
    TOLERANCE_S = 300
};

static void read_head(struct delivery *delivery)
{
    const json_t *root = delivery->root;
    delivery->topic = border_text(root, "event_type");
    delivery->id = str_trim(inbound_header(delivery->inbound, "webhook-id"));
    delivery->shop_id = border_id(delivery->arena, root, "shop_id");
}

static bool is_etsy(struct str url)
{
    return str_starts_with(url, STR("https://openapi.etsy.com/")) ||
           str_starts_with(url, STR("https://api.etsy.com/"));
}

/* ".../receipts/54321" -> "54321" */
static struct str receipt_of(struct str url)
{
    struct str last = url;
    struct str head = { NULL, 0 };
    bool is_receipt = false;
    uint64_t number = 0;
    while (str_split(last, '/', &head, &last)) {
        is_receipt = str_equal(head, STR("receipts"));
    }
    return is_receipt && str_to_u64(last, &number) ? last : STR("");
}

static enum status take_paid(const struct delivery *delivery, const struct delivery_topic *topic,
                             struct draft *draft, struct problem *problem)
{
    struct str url = border_text(delivery->root, "resource_url");
    struct str order_ref = receipt_of(url);
    if (order_ref.size == 0 || !is_etsy(url)) {
        return problem_set(problem, STATUS_INVALID, "invalid-event",
                           "resource_url is not the address of a receipt at Etsy");
    }
    struct event *event = delivery_thin_event(delivery, topic, draft, "order");
    if (event == NULL) {
        return STATUS_OK;
    }
    struct buf buf;
    struct jsonw json;
    draft_object_open(&buf, &json, delivery->arena, 256);
    jsonw_put_str(&json, "order_id", order_ref);
    jsonw_put_z(&json, "status", "paid");
    draft_put_text(&json, "resource_url", url);
    jsonw_close(&json);
    event->properties_json = buf_str(&buf);
    draft_identify(draft, event, IDENTITY_ORDER, order_ref);
    return STATUS_OK;
}

static const struct delivery_topic TOPICS[] = {
    { "order.paid", take_paid, EVENT_ORDER_UPDATED, NULL, NULL },
    { NULL, NULL, 0, NULL, NULL },
};
static const struct delivery_form FORM = { .topics = TOPICS, .read_head = read_head };

static const char *const SETUP_TOPICS[] = { "order.paid", NULL };

static const char *const STEPS[] = {
    "etsy.com/developers > your commercial app > Webhooks: add an endpoint, URL = webhook_url, "
    "event order.paid",
    "POST /v1/sources/%s/secrets {\"secret\":\"<the signing secret, "
    "whsec_...>\",\"label\":\"app\"}",
    "When more than one shop uses the app: settings.shop_id = the shop's number",
    NULL,
};
static const struct setup_way WAYS[] = { { .way = "app", .steps = STEPS }, { .way = NULL } };
static const struct setup_gap GAPS[] = {
    { "what is in an order and who bought it: Etsy sends the receipt's address only",
      "send order.completed to POST /v1/events" },
    { "customers, carts, views, stock: Etsy has no webhook for them", "import them" },
    { NULL, NULL },
};
static const char *const WARNINGS[] = { "Webhooks are for Etsy's commercial apps only.", NULL };

const struct platform platform_etsy = {
    .name = "etsy",
    .title = "Etsy",
    .signature = {
        .algorithm = SIGNATURE_HMAC_SHA256,
        .encoding = SIGNATURE_BASE64,
        .key_form = SIGNATURE_KEY_WHSEC,
        .syntax = SIGNATURE_LIST,
        .content = "{id}.{timestamp}.{body}",
        .headers = { { "webhook-signature", "webhook-id", "webhook-timestamp" } },
        .tolerance_ms = TOLERANCE_S * INSTANT_SECOND_MS,
    },
    .trust = TRUST_SIGNED,
    .provenance = PROVENANCE_FULL,
    .answer_ms = LIMIT_ANSWER_MS,
    /* "Automatic" is all that is said of its repeats: as long as anybody's. */
    .dedup_horizon_ms = 7 * INSTANT_DAY_MS,
    .expected_silence_ms = 7 * INSTANT_DAY_MS,
    .topics = SETUP_TOPICS,
    .order_statuses = platform_no_statuses,
    .settings = delivery_settings,
    .default_order_completed_when = "[]",
    .parse_settings = delivery_parse_settings,
    .delivery = &FORM,
    .setup = { WAYS, GAPS, WARNINGS },
};
