#include "base/instant.h"
#include "base/limits.h"
#include "engagement_priv.h"
#include "platform_priv.h"
#include "sources/json_border.h"

/*
 * Postmark.
 *
 * Signs nothing. One event a delivery. A bounce says in `Type` which of a score
 * of things it is, among them unsubscribes and complaints; a hard bounce also
 * brings a SubscriptionChange of the same instant, which is therefore a fact
 * about consent and no second bounce.
 */

static const struct engagement_word WORDS[] = {
    { "Delivery", ENGAGEMENT_DELIVERED },
    { "Open", ENGAGEMENT_OPENED },
    { "Click", ENGAGEMENT_CLICKED },
    { "Bounce", ENGAGEMENT_BOUNCED },
    { "SpamComplaint", ENGAGEMENT_COMPLAINED },
    { "SubscriptionChange", ENGAGEMENT_UNLISTED },
    { "Inbound", ENGAGEMENT_NOTHING },
    { NULL, ENGAGEMENT_UNKNOWN },
};

/* Of RecordType Bounce; other types say nothing of the address. */
static const struct engagement_word BOUNCES[] = {
    { "HardBounce", ENGAGEMENT_BOUNCED_HARD },
    { "BadEmailAddress", ENGAGEMENT_BOUNCED_HARD },
    { "SoftBounce", ENGAGEMENT_BOUNCED_SOFT },
    { "Transient", ENGAGEMENT_BOUNCED_SOFT },
    { "DnsError", ENGAGEMENT_BOUNCED_SOFT },
    { "SpamNotification", ENGAGEMENT_COMPLAINED },
    { "SpamComplaint", ENGAGEMENT_COMPLAINED },
    { "Unsubscribe", ENGAGEMENT_UNSUBSCRIBED },
    { "Subscribe", ENGAGEMENT_NOTHING },
    { "AutoResponder", ENGAGEMENT_NOTHING },
    { "AddressChange", ENGAGEMENT_NOTHING },
    { "ChallengeVerification", ENGAGEMENT_NOTHING },
    { "InboundError", ENGAGEMENT_NOTHING },
    { "ManuallyDeactivated", ENGAGEMENT_DROPPED },
    { NULL, ENGAGEMENT_UNKNOWN },
};

/* Origin is Recipient, Customer (this is us) or Admin (Postmark's own). */
static enum engagement_kind change_of(struct arena *arena, const json_t *item)
{
    struct str why = engagement_text_at(arena, item, "SuppressionReason");
    bool is_own_act = str_equal(engagement_text_at(arena, item, "Origin"), STR("Recipient"));
    if (!border_is_true(item, "SuppressSending")) {
        return is_own_act ? ENGAGEMENT_LISTED : ENGAGEMENT_NOTHING;
    }
    if (str_equal(why, STR("HardBounce"))) {
        return ENGAGEMENT_INVALID;
    }
    return is_own_act && str_equal(why, STR("ManualSuppression")) ? ENGAGEMENT_UNSUBSCRIBED
                                                                  : ENGAGEMENT_UNLISTED;
}

static void refine(struct arena *arena, const json_t *item, struct engagement *said)
{
    if (said->kind == ENGAGEMENT_BOUNCED) {
        enum engagement_kind kind =
            engagement_kind_of(BOUNCES, engagement_text_at(arena, item, "Type"));
        said->kind = kind != ENGAGEMENT_UNKNOWN ? kind : ENGAGEMENT_BOUNCED;
    } else if (said->kind == ENGAGEMENT_UNLISTED) {
        said->kind = change_of(arena, item);
    }
}

static const struct engagement_shape SHAPE = {
    .words = WORDS,
    .word = "RecordType",
    .email = "Recipient|Email",
    .at = "DeliveredAt|BouncedAt|ReceivedAt|ChangedAt",
    .message_id = "MessageID",
    .campaign = "Tag",
    .subject = "Subject",
    .url = "OriginalLink",
    .reason = "Description|SuppressionReason",
    .echo = "Metadata",
    .refine = refine,
};

static const char *const STEPS[] = {
    "Postmark > Servers > the message stream > Webhooks > Add webhook",
    ENGAGEMENT_SECRET_STEP,
    "Choose the events under topics",
    "Send test, then GET /v1/sources/%s: status is active",
    NULL,
};
static const struct setup_way WAYS[] = { { .way = "dashboard", .steps = STEPS }, { .way = NULL } };
static const struct setup_gap GAPS[] = {
    { ENGAGEMENT_ECHO, "send it as the metadata shopbell_notification_id" },
    { NULL, NULL },
};
static const char *const WARNINGS[] = {
    ENGAGEMENT_SECRET_WARNING,
    "Postmark names the addresses it sends from; to take no others: PATCH /v1/sources/%s "
    "{\"settings\":{\"allowed_addresses\":[\"3.134.147.250\",\"50.31.156.6\","
    "\"50.31.156.77\",\"18.217.206.57\"]}} (as of 2026: compare with Postmark's page).",
    NULL,
};

static const char *const TOPICS[] = { "Delivery", "Open",          "Click",
                                      "Bounce",   "SpamComplaint", "SubscriptionChange",
                                      NULL };

const struct platform platform_postmark = {
    .name = "postmark",
    .title = "Postmark",
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
