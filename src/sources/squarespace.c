#include <string.h>

#include "base/instant.h"
#include "base/limits.h"
#include "delivery_priv.h"
#include "platform_priv.h"
#include "sources/json_border.h"

/*
 * Squarespace.
 *
 * The secret is shown as hex, and the key is the bytes that it spells. Orders
 * are named and not told, and the words of data.update differ between accounts,
 * so they are kept as they are. Its times may lack seconds ("2020-04-22T22:18+00:00").
 */

/* With the seconds that it may lack. */
static int64_t created_on(const struct delivery *delivery)
{
    enum {
        MINUTE_SIZE = sizeof("2020-04-22T22:18") - 1
    };
    struct str text = border_text(delivery->root, "createdOn");
    int64_t at_ms = INSTANT_NONE;
    if (text.size > MINUTE_SIZE && text.size <= LIMIT_NAME_BYTES && text.data[MINUTE_SIZE] != ':') {
        text = str_printf(delivery->arena, "%.*s:00%.*s", MINUTE_SIZE, text.data,
                          STR_ARG(str_drop(text, MINUTE_SIZE)));
    }
    return instant_parse(text, false, &at_ms, NULL) ? at_ms : INSTANT_NONE;
}

static void read_head(struct delivery *delivery)
{
    const json_t *root = delivery->root;
    delivery->topic = border_text(root, "topic");
    delivery->id = border_text(root, "id");
    delivery->shop_id = border_text(root, "websiteId");
    delivery->at_ms = created_on(delivery);
}

static enum status take_order(const struct delivery *delivery, const struct delivery_topic *topic,
                              struct draft *draft, struct problem *problem)
{
    struct arena *arena = delivery->arena;
    const json_t *data = border_object(delivery->root, "data");
    struct str order_ref = border_id(arena, data, "orderId");
    if (order_ref.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event",
                           "an order event without data.orderId");
    }
    struct event *event = delivery_thin_event(delivery, topic, draft, "order");
    if (event == NULL) {
        return STATUS_OK;
    }
    struct buf buf;
    struct jsonw json;
    draft_object_open(&buf, &json, arena, 128);
    jsonw_put_str(&json, "order_id", order_ref);
    draft_put_text(&json, "update", border_scalar(arena, data, "update"));
    jsonw_close(&json);
    event->properties_json = buf_str(&buf);
    draft_identify(draft, event, IDENTITY_ORDER, order_ref);
    return STATUS_OK;
}

static const struct delivery_topic TOPICS[] = {
    { "order.create", take_order, EVENT_ORDER_UPDATED, NULL, NULL },
    { "order.update", take_order, EVENT_ORDER_UPDATED, NULL, NULL },
    { NULL, NULL, 0, NULL, NULL },
};
static const struct delivery_form FORM = { .topics = TOPICS, .read_head = read_head };

static const char *const SETUP_TOPICS[] = { "order.create", "order.update", NULL };

static const char *const STEPS[] = {
    "An OAuth token of the site with the scope website.orders.read",
    "POST https://api.squarespace.com/1.0/webhook_subscriptions "
    "{\"endpointUrl\":\"<webhook_url>\",\"topics\":[\"order.create\",\"order.update\"]}",
    "POST /v1/sources/%s/secrets {\"secret\":\"<secret of the answer, hex>\","
    "\"label\":\"subscription\"}",
    "Send a test notification, then GET /v1/sources/%s",
    NULL,
};
static const struct setup_way WAYS[] = { { .way = "api", .steps = STEPS }, { .way = NULL } };
static const struct setup_gap GAPS[] = {
    { "what is in an order and who bought it: Squarespace sends its id only",
      "import orders (shopbell import), send new ones to POST /v1/events" },
    { "customers, carts, views, stock", "import them, or send them from your own pages" },
    { NULL, NULL },
};
static const char *const WARNINGS[] = {
    "The secret is shown when a subscription is made or its secret rotated, and never again.",
    "Squarespace repeats for 48 hours and may then delete the subscription.",
    NULL,
};

const struct platform platform_squarespace = {
    .name = "squarespace",
    .title = "Squarespace",
    .signature = {
        .algorithm = SIGNATURE_HMAC_SHA256,
        .encoding = SIGNATURE_HEX,
        .key_form = SIGNATURE_KEY_HEX,
        .syntax = SIGNATURE_ALONE,
        .headers = { { .signature = "squarespace-signature" } },
    },
    .trust = TRUST_SIGNED,
    .provenance = PROVENANCE_FULL,
    .answer_ms = LIMIT_ANSWER_MS,
    .dedup_horizon_ms = 3 * INSTANT_DAY_MS,
    .expected_silence_ms = 7 * INSTANT_DAY_MS,
    .topics = SETUP_TOPICS,
    .order_statuses = platform_no_statuses,
    .settings = delivery_settings,
    .default_order_completed_when = "[]",
    .parse_settings = delivery_parse_settings,
    .delivery = &FORM,
    .setup = { WAYS, GAPS, WARNINGS },
};
