#include "base/instant.h"
#include "base/limits.h"
#include "engagement_priv.h"
#include "platform_priv.h"

/*
 * Customer.io's Reporting Webhooks.
 *
 * One event a delivery, signed with its time as "v0:<time>:<body>". It waits four
 * seconds, and a delivery that fails holds up all later ones for as long as it
 * is repeated, up to seven days: so whatever is authentic is answered 200, also
 * what is not understood. The window is those seven days, since it is not
 * written whether a repeat is signed anew; event_id tells one.
 *
 * "unsubscribed" is told of the mail (the customer's act) and of the person (the
 * attribute changed, by whomever); the latter is only a fact about consent. A
 * bounce does not say whether it is for good.
 *
 * Left out: sms, push and the other channels, and subscription preferences by
 * topic.
 */

enum {
    ANSWER_MS = 3500 /* of the four seconds */
};

static const struct engagement_word WORDS[] = {
    { "drafted", ENGAGEMENT_NOTHING },
    { "attempted", ENGAGEMENT_NOTHING },
    { "sent", ENGAGEMENT_NOTHING },
    { "converted", ENGAGEMENT_NOTHING },
    { "failed", ENGAGEMENT_NOTHING },
    { "undeliverable", ENGAGEMENT_NOTHING },
    { "cio_subscription_preferences_changed", ENGAGEMENT_NOTHING },
    { "delivered", ENGAGEMENT_DELIVERED },
    { "opened", ENGAGEMENT_OPENED },
    { "clicked", ENGAGEMENT_CLICKED },
    { "bounced", ENGAGEMENT_BOUNCED },
    { "dropped", ENGAGEMENT_DROPPED },
    { "spammed", ENGAGEMENT_COMPLAINED },
    { "unsubscribed", ENGAGEMENT_UNSUBSCRIBED },
    { "subscribed", ENGAGEMENT_LISTED },
    { NULL, ENGAGEMENT_UNKNOWN },
};

static void refine(struct arena *arena, const json_t *item, struct engagement *said)
{
    struct str object = engagement_text_at(arena, item, "object_type");
    if (str_equal(object, STR("customer"))) {
        said->kind = said->kind == ENGAGEMENT_UNSUBSCRIBED ? ENGAGEMENT_UNLISTED : said->kind;
    } else if (!str_equal(object, STR("email"))) {
        said->kind = ENGAGEMENT_NOTHING;
    }
}

static const struct engagement_shape SHAPE = {
    .words = WORDS,
    .word = "metric",
    .email = "data/recipient|data/identifiers/email|data/email_address",
    .customer_id = "data/identifiers/id",
    .at = "timestamp",
    .key = "event_id",
    .message_id = "data/delivery_id",
    .campaign_id = "data/campaign_id|data/broadcast_id|data/newsletter_id",
    .subject = "data/subject",
    .url = "data/href",
    .reason = "data/failure_message",
    .machine = "data/prefetched|data/machine",
    .refine = refine,
};

static const char *const STEPS[] = {
    "Customer.io > Data & Integrations > Integrations > Reporting Webhooks > Add",
    ("Webhook endpoint = webhook_url; choose the e-mail and customer events under topics; send "
     "frequency: every time"),
    "Copy the signing key of the webhook",
    "POST /v1/sources/%s/secrets {\"secret\":\"<the signing key>\"}",
    "Send test, then GET /v1/sources/%s: status is active",
    NULL,
};
static const struct setup_way WAYS[] = { { .way = "dashboard", .steps = STEPS }, { .way = NULL } };
static const char *const WARNINGS[] = {
    "Customer.io holds back all later deliveries while one is refused: store the signing key "
    "before the webhook is enabled.",
    "The id of a person there becomes a customer_id of this source; it is not taken for the "
    "shop's own.",
    NULL,
};

static const char *const TOPICS[] = {
    "email delivered",     "email opened",
    "email clicked",       "email bounced",
    "email dropped",       "email spammed",
    "email unsubscribed",  "customer unsubscribed",
    "customer subscribed", NULL,
};

const struct platform platform_customerio = {
    .name = "customerio",
    .title = "Customer.io",
    .signature = {
        .algorithm = SIGNATURE_HMAC_SHA256,
        .encoding = SIGNATURE_HEX,
        .key_form = SIGNATURE_KEY_TEXT,
        .syntax = SIGNATURE_ALONE,
        .content = "v0:{timestamp}:{body}",
        .headers = { { .signature = "x-cio-signature", .timestamp = "x-cio-timestamp" } },
        .tolerance_ms = 7 * INSTANT_DAY_MS + INSTANT_HOUR_MS,
    },
    .trust = TRUST_SIGNED,
    .provenance = PROVENANCE_FULL,
    .answer_ms = ANSWER_MS,
    .dedup_horizon_ms = 9 * INSTANT_DAY_MS,
    .expected_silence_ms = 24 * INSTANT_HOUR_MS,
    .topics = TOPICS,
    .order_statuses = platform_no_statuses,
    .settings = ENGAGEMENT_SETTINGS,
    .engagement = &SHAPE,
    .setup = { WAYS, ENGAGEMENT_NO_ECHO, WARNINGS },
};
