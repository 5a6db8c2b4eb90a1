#include "base/instant.h"
#include "base/limits.h"
#include "engagement_priv.h"
#include "platform_priv.h"

/*
 * SendGrid's Event Webhook.
 *
 * Signed with a private key of SendGrid's (ECDSA, P-256) over the timestamp
 * header and the body with its line ends, so the bytes are never touched; the
 * secret stored here is the public key that the dashboard shows, base64 of its
 * DER. An array of events; what the sender of the mail gave as custom arguments
 * stands among the event's own members.
 *
 * It repeats for a day, and it is not written whether a repeat is signed anew:
 * so the window is a day too. Within it sg_event_id tells a repeat.
 *
 * Leaving a group is a refusal; joining it again takes back none, since SendGrid
 * may still hold a refusal of everything.
 */

static const struct engagement_word WORDS[] = {
    { "processed", ENGAGEMENT_NOTHING },
    { "deferred", ENGAGEMENT_NOTHING },
    { "delivered", ENGAGEMENT_DELIVERED },
    { "open", ENGAGEMENT_OPENED },
    { "click", ENGAGEMENT_CLICKED },
    { "bounce", ENGAGEMENT_BOUNCED_HARD },
    { "dropped", ENGAGEMENT_DROPPED },
    { "spamreport", ENGAGEMENT_COMPLAINED },
    { "unsubscribe", ENGAGEMENT_UNSUBSCRIBED },
    { "group_unsubscribe", ENGAGEMENT_UNSUBSCRIBED },
    { "group_resubscribe", ENGAGEMENT_GROUP_JOINED },
    { NULL, ENGAGEMENT_UNKNOWN },
};

/* A "blocked" bounce is of this mail, not of the address. */
static void refine(struct arena *arena, const json_t *item, struct engagement *said)
{
    if (said->kind == ENGAGEMENT_BOUNCED_HARD &&
        str_equal(engagement_text_at(arena, item, "type"), STR("blocked"))) {
        said->kind = ENGAGEMENT_BOUNCED_SOFT;
    }
}

static const struct engagement_shape SHAPE = {
    .words = WORDS,
    .word = "event",
    .email = "email",
    .at = "timestamp",
    .key = "sg_event_id",
    .message_id = "sg_message_id",
    .campaign_id = "marketing_campaign_id|singlesend_id",
    .campaign = "marketing_campaign_name|singlesend_name",
    .subject = "subject",
    .url = "url",
    .reason = "reason|response",
    .group = "asm_group_id",
    .machine = "sg_machine_open",
    .echo = ".",
    .refine = refine,
};

static const char *const STEPS[] = {
    "SendGrid > Settings > Mail Settings > Event Webhook > Create new webhook",
    "Post URL = webhook_url; choose the actions under topics",
    "Enable Signed Event Webhook, save, and copy the verification key",
    "POST /v1/sources/%s/secrets {\"secret\":\"<the verification key>\"}",
    "Test your integration, then GET /v1/sources/%s: status is active",
    NULL,
};
static const struct setup_way WAYS[] = { { .way = "dashboard", .steps = STEPS }, { .way = NULL } };
static const struct setup_gap GAPS[] = {
    { ENGAGEMENT_ECHO, "send it as the custom argument shopbell_notification_id" },
    { NULL, NULL },
};
static const char *const WARNINGS[] = {
    "Leaving one unsubscribe group counts as a refusal of e-mail, since a refusal is always "
    "taken; joining the group again does not take it back.",
    NULL,
};

static const char *const TOPICS[] = {
    "delivered",         "open",       "click",       "bounce",
    "dropped",           "spamreport", "unsubscribe", "group_unsubscribe",
    "group_resubscribe", NULL
};

const struct platform platform_sendgrid = {
    .name = "sendgrid",
    .title = "SendGrid",
    .signature = {
        .algorithm = SIGNATURE_ECDSA_SHA256,
        .encoding = SIGNATURE_BASE64,
        .key_form = SIGNATURE_KEY_PUBLIC,
        .syntax = SIGNATURE_ALONE,
        .content = "{timestamp}{body}",
        .headers = { { .signature = "x-twilio-email-event-webhook-signature",
                       .timestamp = "x-twilio-email-event-webhook-timestamp" } },
        .tolerance_ms = 25 * INSTANT_HOUR_MS,
    },
    .trust = TRUST_SIGNED,
    .provenance = PROVENANCE_FULL,
    .answer_ms = LIMIT_ANSWER_MS,
    .dedup_horizon_ms = 3 * INSTANT_DAY_MS,
    .expected_silence_ms = 24 * INSTANT_HOUR_MS,
    .topics = TOPICS,
    .order_statuses = platform_no_statuses,
    .settings = ENGAGEMENT_SETTINGS,
    .engagement = &SHAPE,
    .setup = { WAYS, GAPS, WARNINGS },
};
