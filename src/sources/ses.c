#include <string.h>

#include "base/instant.h"
#include "base/limits.h"
#include "engagement_priv.h"
#include "sns_priv.h"
#include "sources/json_border.h"

/*
 * Amazon SES, by way of SNS: event publishing of a configuration set (eventType), and
 * the older notifications of an identity (notificationType).
 *
 * One message may be about several recipients. Those whom it concerns stand under
 * bouncedRecipients, complainedRecipients or delivery.recipients, else under
 * mail.destination; each becomes an element of its own, keyed by the message and the
 * address, for a mail's events are the customer's, not the mail's.
 *
 * SES marks no machine opens, so none is marked here.
 */

enum {
    RECIPIENTS_MAX = 200, /* SES sends a mail to fifty at most */
};

static const struct engagement_word WORDS[] = {
    { "Send", ENGAGEMENT_NOTHING },
    { "DeliveryDelay", ENGAGEMENT_NOTHING },
    { "Rendering Failure", ENGAGEMENT_NOTHING },
    { "Delivery", ENGAGEMENT_DELIVERED },
    { "Open", ENGAGEMENT_OPENED },
    { "Click", ENGAGEMENT_CLICKED },
    { "Bounce", ENGAGEMENT_BOUNCED },
    { "Complaint", ENGAGEMENT_COMPLAINED },
    { "Reject", ENGAGEMENT_DROPPED },
    { "Subscription", ENGAGEMENT_UNSUBSCRIBED },
    { NULL, ENGAGEMENT_UNKNOWN },
};

static const struct engagement_word BOUNCES[] = {
    { "Permanent", ENGAGEMENT_BOUNCED_HARD },
    { "Transient", ENGAGEMENT_BOUNCED_SOFT },
    { "Undetermined", ENGAGEMENT_BOUNCED },
    { NULL, ENGAGEMENT_UNKNOWN },
};

static void refine(struct arena *arena, const json_t *item, struct engagement *said)
{
    enum engagement_kind bounce =
        engagement_kind_of(BOUNCES, engagement_text_at(arena, item, "said/bounce/bounceType"));
    if (said->kind == ENGAGEMENT_BOUNCED && bounce != ENGAGEMENT_UNKNOWN) {
        said->kind = bounce;
    }
    /* What somebody's mail program reports as no spam is no complaint. */
    if (said->kind == ENGAGEMENT_COMPLAINED &&
        str_equal(engagement_text_at(arena, item, "said/complaint/complaintFeedbackType"),
                  STR("not-spam"))) {
        said->kind = ENGAGEMENT_NOTHING;
    }
    /* Of a topic alone: all of the list's mail is not refused. */
    const json_t *wishes = engagement_at(item, "said/subscription/newTopicPreferences");
    if (said->kind == ENGAGEMENT_UNSUBSCRIBED && !border_is_true(wishes, "unsubscribeAll")) {
        said->kind = ENGAGEMENT_NOTHING;
    }
}

/* {"said": the message, "email": ..., "key": ..., "reason": ...} */
static const struct engagement_shape SHAPE = {
    .words = WORDS,
    .word = "said/eventType|said/notificationType",
    .email = "email",
    .at = "said/bounce/timestamp|said/complaint/timestamp|said/delivery/timestamp|"
          "said/open/timestamp|said/click/timestamp|said/subscription/timestamp|"
          "said/mail/timestamp",
    .key = "key",
    .message_id = "said/mail/messageId",
    .campaign = "said/mail/tags/campaign",
    .subject = "said/mail/commonHeaders/subject",
    .url = "said/click/link",
    .reason = "reason|said/bounce/bounceSubType|said/complaint/complaintFeedbackType|"
              "said/reject/reason",
    .echo = "said/mail/tags|said/mail/tags/shopbell_notification_id|said/mail/headers",
    .refine = refine,
};

static void add(json_t *elements, json_t *message, struct str dedup_key, const json_t *email,
                const json_t *reason)
{
    struct str address = { json_string_value(email), json_string_length(email) };
    json_t *element = json_object();
    if (address.size == 0 || json_array_size(elements) == RECIPIENTS_MAX) {
        json_decref(element);
        return;
    }
    json_object_set(element, "said", message);
    json_object_set_new(element, "email", json_stringn(address.data, address.size));
    json_object_set_new(element, "key",
                        json_sprintf("%.*s/%.*s", (int)dedup_key.size, dedup_key.data,
                                     (int)address.size, address.data));
    if (json_is_string(reason)) {
        json_object_set_new(element, "reason", json_string(json_string_value(reason)));
    }
    json_array_append_new(elements, element);
}

/* Those whom the message concerns. */
static json_t *elements_of(json_t *message, struct str dedup_key)
{
    static const char *const LISTS[] = { "bounce/bouncedRecipients",
                                         "complaint/complainedRecipients", "delivery/recipients",
                                         "mail/destination" };
    json_t *elements = json_array();
    for (size_t i = 0; i < ARRAY_COUNT(LISTS) && json_array_size(elements) == 0; i++) {
        const json_t *list = engagement_at(message, LISTS[i]);
        for (size_t k = 0; k < json_array_size(list); k++) {
            const json_t *one = json_array_get(list, k);
            bool is_text = json_is_string(one);
            add(elements, message, dedup_key, is_text ? one : json_object_get(one, "emailAddress"),
                is_text ? NULL : json_object_get(one, "diagnosticCode"));
        }
    }
    return elements;
}

static enum normalise_verdict normalise(struct arena *arena, const struct source *source,
                                        const struct inbound *inbound,
                                        struct normalised *out_normalised, struct problem *problem)
{
    struct sns_message text = { .at_ms = INSTANT_NONE };
    enum normalise_verdict verdict = sns_open(arena, inbound, out_normalised, &text, problem);
    if (verdict != NORMALISE_EVENTS) {
        return verdict;
    }
    json_t *message CLEANUP(border_free_at) = border_parse(text.text, problem);
    if (message == NULL) {
        /* SES says in plain words that a topic was set up. */
        return str_starts_with(text.text, STR("Successfully validated SNS topic"))
                   ? NORMALISE_IGNORED
                   : NORMALISE_UNREADABLE;
    }
    struct str key = out_normalised->dedup_key;
    json_t *elements CLEANUP(border_free_at) = elements_of(message, key);
    struct engagement_delivery delivery = engagement_deliver(&platform_ses, arena, source, inbound);
    delivery.key = key;
    return engagement_take(&SHAPE, &delivery, elements, out_normalised, problem);
}

static const char *const TOPICS[] = { "Delivery",  "Open",   "Click",        "Bounce",
                                      "Complaint", "Reject", "Subscription", NULL };

static const char *const STEPS[] = {
    "SES > Configuration sets > your set > Event destinations: Amazon SNS, with the "
    "events under topics; and let your mails be sent with this set",
    SNS_STEPS,
    NULL,
};
static const struct setup_way WAYS[] = {
    { .way = "sns", .steps = STEPS, .write_paste = sns_write_paste },
    { .way = NULL },
};
static const struct setup_gap GAPS[] = {
    { ENGAGEMENT_ECHO, "send it as the message tag shopbell_notification_id" },
    { NULL, NULL },
};

static const char *const SETTINGS[] = { "topic_arns", "time_zone", "allowed_addresses", NULL };

const struct platform platform_ses = {
    .name = "ses",
    .title = "Amazon SES (SNS)",
    .signature = SNS_SIGNATURE,
    .trust = TRUST_SIGNED,
    .provenance = PROVENANCE_FULL,
    .answer_ms = LIMIT_ANSWER_MS,
    .dedup_horizon_ms = 2 * INSTANT_DAY_MS,
    .expected_silence_ms = 24 * INSTANT_HOUR_MS,
    .headers = sns_headers,
    .topics = TOPICS,
    .order_statuses = platform_no_statuses,
    .settings = SETTINGS,
    .parse_settings = sns_parse_settings,
    .normalise = normalise,
    .setup = { WAYS, GAPS, sns_warnings },
};
