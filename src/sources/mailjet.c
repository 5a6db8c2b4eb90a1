#include "base/instant.h"
#include "base/limits.h"
#include "engagement_priv.h"
#include "platform_priv.h"
#include "sources/json_border.h"

/*
 * Mailjet's Event API.
 *
 * Signs nothing. One event, or an array of them where events are grouped; they
 * have no id. What the sender of the mail gave comes back as text ("Payload" of
 * X-MJ-EventPayload, "CustomID"), which is searched for our name.
 */

static const struct engagement_word WORDS[] = {
    { "sent", ENGAGEMENT_DELIVERED }, /* the receiving server took it */
    { "open", ENGAGEMENT_OPENED },         { "click", ENGAGEMENT_CLICKED },
    { "bounce", ENGAGEMENT_BOUNCED_SOFT }, { "blocked", ENGAGEMENT_DROPPED },
    { "spam", ENGAGEMENT_COMPLAINED },     { "unsub", ENGAGEMENT_UNSUBSCRIBED },
    { NULL, ENGAGEMENT_UNKNOWN },
};

static void refine(struct arena *arena, const json_t *item, struct engagement *said)
{
    (void)arena;
    if (said->kind == ENGAGEMENT_BOUNCED_SOFT && border_is_true(item, "hard_bounce")) {
        said->kind = ENGAGEMENT_BOUNCED_HARD;
    }
}

static const struct engagement_shape SHAPE = {
    .words = WORDS,
    .word = "event",
    .email = "email",
    .at = "time",
    .message_id = "MessageID",
    .campaign_id = "mj_campaign_id",
    .campaign = "customcampaign",
    .url = "url",
    .reason = "comment|error",
    .group = "mj_list_id",
    .echo = "Payload|CustomID",
    .refine = refine,
};

static const char *const STEPS[] = {
    "Mailjet > Account settings > Event notifications (webhooks)",
    ENGAGEMENT_SECRET_STEP,
    "The same URL for each of topics; grouped events are fine",
    ENGAGEMENT_LOOK_STEP,
    NULL,
};
static const struct setup_way WAYS[] = { { .way = "dashboard", .steps = STEPS }, { .way = NULL } };
static const struct setup_gap GAPS[] = {
    { ENGAGEMENT_ECHO,
      "send the header X-MJ-EventPayload: {\"shopbell_notification_id\": \"<the id>\"}" },
    { NULL, NULL },
};
static const char *const WARNINGS[] = { ENGAGEMENT_SECRET_WARNING, NULL };

static const char *const TOPICS[] = { "sent",    "open", "click", "bounce",
                                      "blocked", "spam", "unsub", NULL };

const struct platform platform_mailjet = {
    .name = "mailjet",
    .title = "Mailjet",
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
