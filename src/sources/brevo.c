#include "base/instant.h"
#include "base/limits.h"
#include "engagement_priv.h"
#include "platform_priv.h"

/*
 * Brevo, transactional and marketing webhooks alike.
 *
 * Signs nothing. One event a delivery, without an id. Its times without a zone
 * are the account's or Paris's, depending on the member; the numbers are not, so
 * only they are read. What the sender of the mail gave comes back as text of its
 * own making ("X-Mailin-custom"), which is searched for our name.
 */

static const struct engagement_word WORDS[] = {
    { "request", ENGAGEMENT_NOTHING },
    { "sent", ENGAGEMENT_NOTHING },
    { "deferred", ENGAGEMENT_NOTHING },
    { "error", ENGAGEMENT_NOTHING },
    { "list_addition", ENGAGEMENT_NOTHING },
    { "contact_updated", ENGAGEMENT_NOTHING },
    { "contact_deleted", ENGAGEMENT_NOTHING },
    { "delivered", ENGAGEMENT_DELIVERED },
    { "opened", ENGAGEMENT_OPENED },
    { "unique_opened", ENGAGEMENT_OPENED },
    { "proxy_open", ENGAGEMENT_OPENED_BY_MACHINE },
    { "unique_proxy_open", ENGAGEMENT_OPENED_BY_MACHINE },
    { "click", ENGAGEMENT_CLICKED },
    { "hard_bounce", ENGAGEMENT_BOUNCED_HARD },
    { "invalid_email", ENGAGEMENT_BOUNCED_HARD },
    { "soft_bounce", ENGAGEMENT_BOUNCED_SOFT },
    { "blocked", ENGAGEMENT_DROPPED },
    { "spam", ENGAGEMENT_COMPLAINED },
    { "complaint", ENGAGEMENT_COMPLAINED },
    { "unsubscribe", ENGAGEMENT_UNSUBSCRIBED },
    { "unsubscribed", ENGAGEMENT_UNSUBSCRIBED },
    { NULL, ENGAGEMENT_UNKNOWN },
};

static const struct engagement_shape SHAPE = {
    .words = WORDS,
    .word = "event",
    .email = "email",
    .at = "ts_epoch|ts_event|ts",
    .message_id = "message-id",
    .campaign_id = "camp_id",
    .campaign = "campaign name",
    .subject = "subject",
    .url = "link|URL",
    .reason = "reason",
    .echo = "X-Mailin-custom|tags|tag",
};

static const char *const STEPS[] = {
    "Brevo > Transactional > Settings > Webhook, and Campaigns > Settings > Webhook: add a new "
    "webhook in each that you use",
    ENGAGEMENT_SECRET_STEP,
    "Choose the events under topics: opened rather than first opening",
    ENGAGEMENT_LOOK_STEP,
    NULL,
};
static const struct setup_way WAYS[] = { { .way = "dashboard", .steps = STEPS }, { .way = NULL } };
static const struct setup_gap GAPS[] = {
    { ENGAGEMENT_ECHO,
      "send the header X-Mailin-custom: {\"shopbell_notification_id\": \"<the id>\"}" },
    { NULL, NULL },
};
static const char *const WARNINGS[] = {
    ENGAGEMENT_SECRET_WARNING,
    "Brevo names the networks it sends from; to take no others: PATCH /v1/sources/%s "
    "{\"settings\":{\"allowed_addresses\":[\"185.107.232.0/24\",\"1.179.112.0/20\"]}} (as of "
    "2024: compare with Brevo's page).",
    NULL,
};

static const char *const TOPICS[] = { "delivered",   "opened",       "proxy_open", "click",
                                      "hard_bounce", "soft_bounce",  "blocked",    "invalid_email",
                                      "spam",        "unsubscribed", NULL };

const struct platform platform_brevo = {
    .name = "brevo",
    .title = "Brevo",
    .signature = ENGAGEMENT_BY_SECRET,
    .trust = TRUST_KEYED,
    .provenance = PROVENANCE_NONE,
    .makes_secret = true,
    .answer_ms = LIMIT_ANSWER_MS,
    .dedup_horizon_ms = 3 * INSTANT_DAY_MS,
    .expected_silence_ms = 24 * INSTANT_HOUR_MS,
    .topics = TOPICS,
    .order_statuses = platform_no_statuses,
    .settings = ENGAGEMENT_SETTINGS,
    .engagement = &SHAPE,
    .setup = { WAYS, GAPS, WARNINGS },
};
