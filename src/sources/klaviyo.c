#include "base/instant.h"
#include "base/limits.h"
#include "engagement_priv.h"
#include "platform_priv.h"
#include "sources/json_border.h"

/*
 * Klaviyo's system webhooks.
 *
 * Signed over the body and then the text of a timestamp header, in that order.
 * That header has been seen as an HTTP date hours ahead of the truth and as ISO
 * time; the body carries the same instant as meta.timestamp, which is signed
 * with it, so the window is of that one. The webhook's id stands in a header and
 * in the body and must agree.
 *
 * Up to a thousand events in data[], each with the resource that Klaviyo's Get
 * Event call would give: who it was stands beside it in `included`, as a
 * profile, or among the event's properties. Klaviyo's id of the profile becomes
 * a customer_id of this source.
 *
 * Not written anywhere official, and read only where it is there: the names of
 * the event's properties (subject, link, bounce type, what a machine did). A
 * bounce without a type says nothing of the address.
 */

#define ATTRIBUTES "payload/data/attributes/"
#define PROPERTIES ATTRIBUTES "event_properties/"

static const struct engagement_word WORDS[] = {
    { "event:klaviyo.received_email", ENGAGEMENT_DELIVERED },
    { "event:klaviyo.opened_email", ENGAGEMENT_OPENED },
    { "event:klaviyo.clicked_email", ENGAGEMENT_CLICKED },
    { "event:klaviyo.bounced_email", ENGAGEMENT_BOUNCED },
    { "event:klaviyo.dropped_email", ENGAGEMENT_DROPPED },
    { "event:klaviyo.marked_email_as_spam", ENGAGEMENT_COMPLAINED },
    { "event:klaviyo.unsubscribed_from_email_marketing", ENGAGEMENT_UNSUBSCRIBED },
    { "event:klaviyo.manually_suppressed_from_email_marketing", ENGAGEMENT_UNLISTED },
    { "event:klaviyo.manually_unsuppressed_from_email_marketing", ENGAGEMENT_NOTHING },
    { "event:klaviyo.updated_email_preferences", ENGAGEMENT_NOTHING },
    { "event:klaviyo.subscribed_to_email_marketing", ENGAGEMENT_LISTED },
    { "event:klaviyo.subscribed_to_sms_marketing", ENGAGEMENT_SMS_LISTED },
    { "event:klaviyo.unsubscribed_from_sms_marketing", ENGAGEMENT_SMS_UNLISTED },
    { NULL, ENGAGEMENT_UNKNOWN },
};

static const struct engagement_word BOUNCES[] = {
    { "Hard", ENGAGEMENT_BOUNCED_HARD },
    { "Soft", ENGAGEMENT_BOUNCED_SOFT },
    { NULL, ENGAGEMENT_UNKNOWN },
};

static struct str included_email(struct arena *arena, const json_t *item)
{
    size_t i = 0;
    const json_t *one = NULL;
    json_array_foreach(engagement_at(item, "payload/included"), i, one)
    {
        if (str_equal(border_text(one, "type"), STR("profile"))) {
            return engagement_text_at(arena, one, "attributes/email");
        }
    }
    return (struct str){ NULL, 0 };
}

static void refine(struct arena *arena, const json_t *item, struct engagement *said)
{
    struct str email = included_email(arena, item);
    if (email.size > 0) {
        said->email = email;
    }
    if (said->kind == ENGAGEMENT_BOUNCED) {
        enum engagement_kind kind =
            engagement_kind_of(BOUNCES, engagement_text_at(arena, item, PROPERTIES "Bounce Type"));
        said->kind = kind != ENGAGEMENT_UNKNOWN ? kind : ENGAGEMENT_BOUNCED;
    }
}

static const struct engagement_shape SHAPE = {
    .words = WORDS,
    .word = "topic",
    .email = PROPERTIES "Recipient Email Address|" PROPERTIES "email",
    .customer_id = "payload/data/relationships/profile/data/id",
    .at = ATTRIBUTES "datetime|" ATTRIBUTES "timestamp",
    .key = "external_id",
    .message_id = PROPERTIES "$message",
    .campaign = PROPERTIES "Campaign Name",
    .subject = PROPERTIES "Subject",
    .url = PROPERTIES "URL",
    .machine = PROPERTIES "machine_open|" PROPERTIES "Bot Click",
    .echo = ATTRIBUTES "event_properties",
    .refine = refine,
};

static enum signature_verdict read_claim(struct arena *arena, const struct source *source,
                                         const struct inbound *inbound,
                                         struct signature_claim *claim)
{
    struct problem problem;
    (void)source;
    enum signature_verdict verdict =
        inbound_header_single(inbound, "klaviyo-signature", &claim->signatures[0].text);
    if (verdict == SIGNATURE_VALID) {
        verdict = inbound_header_single(inbound, "klaviyo-timestamp", &claim->pieces[1]);
    }
    if (verdict != SIGNATURE_VALID) {
        return verdict;
    }
    json_t *root CLEANUP(border_free_at) = border_parse(inbound->body, &problem);
    const json_t *meta = border_object(root, "meta");
    claim->signature_count = 1;
    claim->pieces[0] = inbound->body;
    claim->piece_count = 2;
    claim->timestamp_ms = border_instant(meta, "timestamp", NULL);
    struct str webhook_id = border_id(arena, meta, "klaviyo_webhook_id");
    struct str header_id = str_trim(inbound_header(inbound, "klaviyo-webhook-id"));
    if (header_id.size > 0 && webhook_id.size > 0 && !str_equal(header_id, webhook_id)) {
        return SIGNATURE_MISMATCH;
    }
    return claim->timestamp_ms != INSTANT_NONE ? SIGNATURE_VALID : SIGNATURE_HEADER_MALFORMED;
}

static enum normalise_verdict normalise(struct arena *arena, const struct source *source,
                                        const struct inbound *inbound,
                                        struct normalised *out_normalised, struct problem *problem)
{
    struct engagement_delivery delivery =
        engagement_deliver(&platform_klaviyo, arena, source, inbound);
    json_t *root CLEANUP(border_free_at) = border_parse(inbound->body, problem);
    const json_t *data = json_object_get(root, "data");
    if (root == NULL) {
        return NORMALISE_UNREADABLE;
    }
    if (!json_is_array(data)) {
        problem_set(problem, STATUS_INVALID, "invalid-event", "no list of events in it");
        return NORMALISE_UNREADABLE;
    }
    return engagement_take(&SHAPE, &delivery, data, out_normalised, problem);
}

static const char *const STEPS[] = {
    "POST https://a.klaviyo.com/api/webhooks (Advanced KDP and app partners), or Klaviyo > "
    "Integrations > Developers > Webhooks: endpoint_url = webhook_url, secret_key = the secret "
    "above (shown once), webhook-topics as under topics",
    ENGAGEMENT_LOOK_STEP,
    NULL,
};
static const struct setup_way WAYS[] = { { .way = "dashboard", .steps = STEPS }, { .way = NULL } };
static const char *const WARNINGS[] = {
    "The webhook action of a flow is not signed and is not what this source takes.",
    NULL,
};

static const char *const HEADERS[] = { "klaviyo-webhook-id", NULL };

static const char *const TOPICS[] = {
    "event:klaviyo.received_email",
    "event:klaviyo.opened_email",
    "event:klaviyo.clicked_email",
    "event:klaviyo.bounced_email",
    "event:klaviyo.dropped_email",
    "event:klaviyo.marked_email_as_spam",
    "event:klaviyo.subscribed_to_email_marketing",
    "event:klaviyo.unsubscribed_from_email_marketing",
    "event:klaviyo.manually_suppressed_from_email_marketing",
    "event:klaviyo.subscribed_to_sms_marketing",
    "event:klaviyo.unsubscribed_from_sms_marketing",
    NULL,
};

const struct platform platform_klaviyo = {
    .name = "klaviyo",
    .title = "Klaviyo",
    .signature = {
        .algorithm = SIGNATURE_HMAC_SHA256,
        .encoding = SIGNATURE_HEX,
        .key_form = SIGNATURE_KEY_TEXT,
        .headers = { { .signature = "klaviyo-signature", .timestamp = "klaviyo-timestamp" } },
        .tolerance_ms = INSTANT_DAY_MS,
        .read_claim = read_claim,
    },
    .trust = TRUST_SIGNED,
    .provenance = PROVENANCE_FULL,
    .makes_secret = true,
    .headers = HEADERS,
    .answer_ms = LIMIT_ANSWER_MS,
    .dedup_horizon_ms = 3 * INSTANT_DAY_MS,
    .expected_silence_ms = 24 * INSTANT_HOUR_MS,
    .topics = TOPICS,
    .order_statuses = platform_no_statuses,
    .settings = ENGAGEMENT_SETTINGS,
    .normalise = normalise,
    .setup = { WAYS, ENGAGEMENT_NO_ECHO, WARNINGS },
};
