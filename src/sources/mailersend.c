#include "base/instant.h"
#include "base/limits.h"
#include "engagement_priv.h"
#include "platform_priv.h"

/*
 * MailerSend.
 *
 * One activity a delivery, its body signed whole (hex, in the header
 * "Signature"); no time is signed, so the activity's id tells a repeat. It gives
 * back no metadata, but the mail's tags: "shopbell_notification_id:<the id>" is
 * such a tag.
 *
 * The "unique" activities tell the first open and click a second time, and are
 * left out.
 */

static const struct engagement_word WORDS[] = {
    { "activity.sent", ENGAGEMENT_NOTHING },
    { "activity.deferred", ENGAGEMENT_NOTHING },
    { "activity.opened_unique", ENGAGEMENT_NOTHING },
    { "activity.clicked_unique", ENGAGEMENT_NOTHING },
    { "activity.delivered", ENGAGEMENT_DELIVERED },
    { "activity.opened", ENGAGEMENT_OPENED },
    { "activity.clicked", ENGAGEMENT_CLICKED },
    { "activity.hard_bounced", ENGAGEMENT_BOUNCED_HARD },
    { "activity.soft_bounced", ENGAGEMENT_BOUNCED_SOFT },
    { "activity.spam_complaint", ENGAGEMENT_COMPLAINED },
    { "activity.unsubscribed", ENGAGEMENT_UNSUBSCRIBED },
    { NULL, ENGAGEMENT_UNKNOWN },
};

static const struct engagement_shape SHAPE = {
    .words = WORDS,
    .word = "type",
    .email = "data/email/recipient/email",
    .at = "data/created_at|created_at",
    .key = "data/id",
    .message_id = "data/email/message/id",
    .subject = "data/email/subject",
    .url = "data/morph/url",
    .reason = "data/morph/readable_reason|data/morph/reason",
    .echo = "data/email/tags",
};

static const char *const STEPS[] = {
    "MailerSend > Domains > the domain > Webhooks > Create webhook",
    "Endpoint URL = webhook_url; choose the events under topics; copy the signing secret",
    "POST /v1/sources/%s/secrets {\"secret\":\"<the signing secret>\"}",
    ENGAGEMENT_LOOK_STEP,
    NULL,
};
static const struct setup_way WAYS[] = { { .way = "dashboard", .steps = STEPS }, { .way = NULL } };
static const struct setup_gap GAPS[] = {
    { ENGAGEMENT_ECHO, "give the mail the tag shopbell_notification_id:<the id>" },
    { NULL, NULL },
};
static const char *const WARNINGS[] = {
    "MailerSend signs no time: a captured delivery is told from a new one by its activity's "
    "id, for a week.",
    NULL,
};

static const char *const TOPICS[] = {
    "activity.delivered",      "activity.opened",
    "activity.clicked",        "activity.hard_bounced",
    "activity.soft_bounced",   "activity.unsubscribed",
    "activity.spam_complaint", NULL,
};

const struct platform platform_mailersend = {
    .name = "mailersend",
    .title = "MailerSend",
    .signature = {
        .algorithm = SIGNATURE_HMAC_SHA256,
        .encoding = SIGNATURE_HEX,
        .key_form = SIGNATURE_KEY_TEXT,
        .syntax = SIGNATURE_ALONE,
        .headers = { { .signature = "signature" } },
    },
    .trust = TRUST_SIGNED,
    .provenance = PROVENANCE_FULL,
    .answer_ms = LIMIT_ANSWER_MS,
    .dedup_horizon_ms = 7 * INSTANT_DAY_MS,
    .expected_silence_ms = 24 * INSTANT_HOUR_MS,
    .topics = TOPICS,
    .order_statuses = platform_no_statuses,
    .settings = ENGAGEMENT_SETTINGS,
    .engagement = &SHAPE,
    .setup = { WAYS, GAPS, WARNINGS },
};
