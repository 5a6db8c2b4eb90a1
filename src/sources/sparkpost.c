#include "base/instant.h"
#include "base/limits.h"
#include "engagement_priv.h"
#include "platform_priv.h"
#include "sources/json_border.h"

/*
 * SparkPost.
 *
 * Signs nothing (its OAuth 2.0 is a Bearer token to us). An array of events, each
 * wrapped twice: {"msys": {"<class>": {...}}}; an empty msys is a ping. Ids and
 * times are numbers as text.
 *
 * A mail with both pixels tells of one open as initial_open and as open; only the
 * latter is taken, or each would count twice.
 */

static const struct engagement_word WORDS[] = {
    { "injection", ENGAGEMENT_NOTHING },
    { "delay", ENGAGEMENT_NOTHING },
    { "initial_open", ENGAGEMENT_NOTHING },
    { "amp_initial_open", ENGAGEMENT_NOTHING },
    { "generation_failure", ENGAGEMENT_NOTHING },
    { "delivery", ENGAGEMENT_DELIVERED },
    { "open", ENGAGEMENT_OPENED },
    { "amp_open", ENGAGEMENT_OPENED },
    { "click", ENGAGEMENT_CLICKED },
    { "amp_click", ENGAGEMENT_CLICKED },
    { "bounce", ENGAGEMENT_BOUNCED },
    { "out_of_band", ENGAGEMENT_BOUNCED },
    { "policy_rejection", ENGAGEMENT_DROPPED },
    { "generation_rejection", ENGAGEMENT_DROPPED },
    { "spam_complaint", ENGAGEMENT_COMPLAINED },
    { "list_unsubscribe", ENGAGEMENT_UNSUBSCRIBED },
    { "link_unsubscribe", ENGAGEMENT_UNSUBSCRIBED },
    { NULL, ENGAGEMENT_UNKNOWN },
};

/* bounce_class; others are blocks, which say nothing of the address. */
static const struct engagement_word CLASSES[] = {
    { "10", ENGAGEMENT_BOUNCED_HARD }, /* no such recipient */
    { "30", ENGAGEMENT_BOUNCED_HARD }, /* no RCPT */
    { "20", ENGAGEMENT_BOUNCED_SOFT }, { "21", ENGAGEMENT_BOUNCED_SOFT },
    { "22", ENGAGEMENT_BOUNCED_SOFT }, { "23", ENGAGEMENT_BOUNCED_SOFT },
    { "24", ENGAGEMENT_BOUNCED_SOFT }, { "40", ENGAGEMENT_BOUNCED_SOFT },
    { "70", ENGAGEMENT_BOUNCED_SOFT }, { "60", ENGAGEMENT_NOTHING }, /* an automatic answer */
    { "80", ENGAGEMENT_NOTHING },      { "90", ENGAGEMENT_UNSUBSCRIBED },
    { "100", ENGAGEMENT_NOTHING },     { NULL, ENGAGEMENT_UNKNOWN },
};

static const json_t *unwrap(const json_t *element)
{
    json_t *classes = border_object(element, "msys");
    void *first = json_object_iter(classes);
    return first != NULL ? json_object_iter_value(first) : NULL;
}

static void refine(struct arena *arena, const json_t *item, struct engagement *said)
{
    enum engagement_kind kind =
        engagement_kind_of(CLASSES, engagement_text_at(arena, item, "bounce_class"));
    if (said->kind == ENGAGEMENT_BOUNCED && kind != ENGAGEMENT_UNKNOWN) {
        said->kind = kind;
    }
}

static const struct engagement_shape SHAPE = {
    .words = WORDS,
    .word = "type",
    .email = "rcpt_to|raw_rcpt_to",
    .at = "timestamp",
    .key = "event_id",
    .message_id = "message_id",
    .campaign = "campaign_id",
    .subject = "subject",
    .url = "target_link_url",
    .reason = "raw_reason|reason",
    .machine = "user_agent_parsed/is_prefetched",
    .echo = "rcpt_meta",
    .unwrap = unwrap,
    .refine = refine,
};

static const char *const STEPS[] = {
    "SparkPost > Configuration > Webhooks > Create webhook",
    ENGAGEMENT_SECRET_STEP,
    "Choose the events under topics (open, not initial_open: one open must not count twice)",
    "Test, then GET /v1/sources/%s: status is active",
    NULL,
};
static const struct setup_way WAYS[] = { { .way = "dashboard", .steps = STEPS }, { .way = NULL } };
static const struct setup_gap GAPS[] = {
    { ENGAGEMENT_ECHO, "send it as the recipient metadata shopbell_notification_id" },
    { NULL, NULL },
};
static const char *const WARNINGS[] = { ENGAGEMENT_SECRET_WARNING, NULL };

static const char *const TOPICS[] = {
    "delivery",
    "open",
    "click",
    "bounce",
    "out_of_band",
    "spam_complaint",
    "policy_rejection",
    "list_unsubscribe",
    "link_unsubscribe",
    NULL,
};

const struct platform platform_sparkpost = {
    .name = "sparkpost",
    .title = "SparkPost",
    .signature = ENGAGEMENT_BY_SECRET,
    .trust = TRUST_KEYED,
    .provenance = PROVENANCE_NONE,
    .makes_secret = true,
    .answer_ms = LIMIT_ANSWER_MS,
    .dedup_horizon_ms = 2 * INSTANT_DAY_MS,
    .expected_silence_ms = 24 * INSTANT_HOUR_MS,
    .topics = TOPICS,
    .order_statuses = platform_no_statuses,
    .settings = ENGAGEMENT_SETTINGS,
    .engagement = &SHAPE,
    .setup = { WAYS, GAPS, WARNINGS },
};
