#include "base/instant.h"
#include "base/limits.h"
#include "engagement_priv.h"
#include "platform_priv.h"
#include "sources/json_border.h"

/*
 * Resend, which signs by Standard Webhooks under Svix's header names.
 *
 * Its events have no id of their own; svix-id is signed and kept through repeats.
 * A mail to several people is told as one: then nobody knows who opened it, and
 * the event is left out rather than laid at the first one's door.
 *
 * An unsubscribe comes as contact.updated with "unsubscribed": true; false is
 * what every other change of a contact says, too, and grants nothing.
 */

enum {
    TOLERANCE_S = 300
};

static const struct engagement_word WORDS[] = {
    { "email.sent", ENGAGEMENT_NOTHING },
    { "email.scheduled", ENGAGEMENT_NOTHING },
    { "email.delivery_delayed", ENGAGEMENT_NOTHING },
    { "email.failed", ENGAGEMENT_NOTHING },
    { "email.received", ENGAGEMENT_NOTHING },
    { "email.delivered", ENGAGEMENT_DELIVERED },
    { "email.opened", ENGAGEMENT_OPENED },
    { "email.clicked", ENGAGEMENT_CLICKED },
    { "email.bounced", ENGAGEMENT_BOUNCED_HARD },
    { "email.suppressed", ENGAGEMENT_DROPPED },
    { "email.complained", ENGAGEMENT_COMPLAINED },
    { "contact.updated", ENGAGEMENT_UNLISTED },
    { NULL, ENGAGEMENT_UNKNOWN },
};

/* data.bounce.type; without one it is Resend's plain "bounced": for good. */
static const struct engagement_word BOUNCES[] = {
    { "Transient", ENGAGEMENT_BOUNCED_SOFT },
    { "Undetermined", ENGAGEMENT_BOUNCED },
    { NULL, ENGAGEMENT_UNKNOWN },
};

static void refine(struct arena *arena, const json_t *item, struct engagement *said)
{
    enum engagement_kind kind =
        engagement_kind_of(BOUNCES, engagement_text_at(arena, item, "data/bounce/type"));
    if (said->kind == ENGAGEMENT_BOUNCED_HARD && kind != ENGAGEMENT_UNKNOWN) {
        said->kind = kind;
    }
    if (said->kind == ENGAGEMENT_UNLISTED) {
        bool has_left = json_is_true(engagement_at(item, "data/unsubscribed"));
        said->kind = has_left ? said->kind : ENGAGEMENT_NOTHING;
    } else if (json_array_size(engagement_at(item, "data/to")) > 1) {
        said->kind = ENGAGEMENT_NOTHING;
    }
}

static const struct engagement_shape SHAPE = {
    .words = WORDS,
    .word = "type",
    .email = "data/to|data/email",
    .at = "created_at",
    .message_id = "data/email_id",
    .campaign_id = "data/broadcast_id",
    .subject = "data/subject",
    .url = "data/click/link",
    .reason = "data/bounce/message",
    .echo = "data/tags|data/headers",
    .refine = refine,
};

static enum normalise_verdict normalise(struct arena *arena, const struct source *source,
                                        const struct inbound *inbound,
                                        struct normalised *out_normalised, struct problem *problem)
{
    struct engagement_delivery delivery =
        engagement_deliver(&platform_resend, arena, source, inbound);
    delivery.key = str_trim(inbound_header(inbound, "svix-id"));
    return engagement_take_body(&SHAPE, &delivery, out_normalised, problem);
}

static const char *const STEPS[] = {
    "Resend > Webhooks > Add webhook: endpoint = webhook_url, the events under topics",
    "Copy its signing secret (whsec_...)",
    "POST /v1/sources/%s/secrets {\"secret\":\"<the signing secret>\"}",
    ENGAGEMENT_LOOK_STEP,
    NULL,
};
static const struct setup_way WAYS[] = { { .way = "dashboard", .steps = STEPS }, { .way = NULL } };
static const struct setup_gap GAPS[] = {
    { ENGAGEMENT_ECHO, "send it as the tag shopbell_notification_id" },
    { NULL, NULL },
};
static const char *const WARNINGS[] = {
    "A mail to several people is told as one, and nobody knows who opened it: send each "
    "customer a mail of their own.",
    NULL,
};

static const char *const TOPICS[] = {
    "email.delivered",  "email.opened",     "email.clicked",   "email.bounced",
    "email.complained", "email.suppressed", "contact.updated", NULL,
};

const struct platform platform_resend = {
    .name = "resend",
    .title = "Resend",
    .signature = {
        .algorithm = SIGNATURE_HMAC_SHA256,
        .encoding = SIGNATURE_BASE64,
        .key_form = SIGNATURE_KEY_WHSEC,
        .syntax = SIGNATURE_LIST,
        .content = "{id}.{timestamp}.{body}",
        .headers = { { "svix-signature", "svix-id", "svix-timestamp" },
                     { "webhook-signature", "webhook-id", "webhook-timestamp" } },
        .tolerance_ms = TOLERANCE_S * INSTANT_SECOND_MS,
    },
    .trust = TRUST_SIGNED,
    .provenance = PROVENANCE_FULL,
    .answer_ms = LIMIT_ANSWER_MS,
    .dedup_horizon_ms = 3 * INSTANT_DAY_MS,
    .expected_silence_ms = 24 * INSTANT_HOUR_MS,
    .topics = TOPICS,
    .order_statuses = platform_no_statuses,
    .settings = ENGAGEMENT_SETTINGS,
    .normalise = normalise,
    .setup = { WAYS, GAPS, WARNINGS },
};
