#include "base/instant.h"
#include "base/limits.h"
#include "engagement_priv.h"
#include "platform_priv.h"
#include "sources/json_border.h"

/*
 * Mailgun.
 *
 * The signature stands in the body and covers a time and a token, not the event:
 * who sees one delivery could tell anything under its signature. So the token
 * counts once (it is the dedup key, and outlives the window in which its time is
 * accepted), and what is told carries provenance "partial".
 *
 * Repeats go on for eight hours; it is not written whether they keep their token.
 * One that does not is a new event here, of which an open too many is the price;
 * the other way round, with the event's own id as the key, a captured signature
 * could bring any number of events.
 *
 * Left out: the form-encoded webhooks of before 2018.
 */

enum {
    TIME_DIGITS_MAX = 12
};

static const struct engagement_word WORDS[] = {
    { "accepted", ENGAGEMENT_NOTHING },          { "stored", ENGAGEMENT_NOTHING },
    { "delivered", ENGAGEMENT_DELIVERED },       { "opened", ENGAGEMENT_OPENED },
    { "clicked", ENGAGEMENT_CLICKED },           { "failed", ENGAGEMENT_BOUNCED },
    { "rejected", ENGAGEMENT_DROPPED },          { "complained", ENGAGEMENT_COMPLAINED },
    { "unsubscribed", ENGAGEMENT_UNSUBSCRIBED }, { NULL, ENGAGEMENT_UNKNOWN },
};

/* "permanent" says that this mail is given up; only reason "bounce" says that
 * the address is why. "suppress-..." was not even tried. */
static void refine(struct arena *arena, const json_t *item, struct engagement *said)
{
    struct str reason = engagement_text_at(arena, item, "reason");
    if (said->kind != ENGAGEMENT_BOUNCED) {
        return;
    }
    if (str_equal(engagement_text_at(arena, item, "severity"), STR("temporary"))) {
        said->kind = ENGAGEMENT_BOUNCED_SOFT;
    } else if (str_starts_with(reason, STR("suppress-"))) {
        said->kind = ENGAGEMENT_DROPPED;
    } else if (str_equal(reason, STR("bounce"))) {
        said->kind = ENGAGEMENT_BOUNCED_HARD;
    }
}

static const struct engagement_shape SHAPE = {
    .words = WORDS,
    .word = "event",
    .email = "recipient",
    .at = "timestamp",
    .message_id = "message/headers/message-id",
    .subject = "message/headers/subject",
    .url = "url",
    .reason = "delivery-status/description|delivery-status/message|reject/reason",
    .machine = "client-info/bot",
    .echo = "user-variables",
    .refine = refine,
};

static enum signature_verdict read_claim(struct arena *arena, const struct source *source,
                                         const struct inbound *inbound,
                                         struct signature_claim *claim)
{
    struct problem problem;
    uint64_t seconds = 0;
    (void)source;
    json_t *root CLEANUP(border_free_at) = border_parse(inbound->body, &problem);
    const json_t *signature = border_object(root, "signature");
    if (signature == NULL) {
        return SIGNATURE_HEADER_MISSING;
    }
    struct str timestamp = border_text(signature, "timestamp");
    struct str token = border_text(signature, "token");
    struct str text = border_text(signature, "signature");
    if (token.size == 0 || text.size == 0 || timestamp.size > TIME_DIGITS_MAX ||
        !str_to_u64(timestamp, &seconds)) {
        return SIGNATURE_HEADER_MALFORMED;
    }
    claim->signatures[0].text = str_dup(arena, text);
    claim->signature_count = 1;
    claim->pieces[0] = str_dup(arena, timestamp);
    claim->pieces[1] = str_dup(arena, token);
    claim->piece_count = 2;
    claim->timestamp_ms = (int64_t)seconds * INSTANT_SECOND_MS;
    return SIGNATURE_VALID;
}

static enum normalise_verdict normalise(struct arena *arena, const struct source *source,
                                        const struct inbound *inbound,
                                        struct normalised *out_normalised, struct problem *problem)
{
    struct engagement_delivery delivery =
        engagement_deliver(&platform_mailgun, arena, source, inbound);
    json_t *root CLEANUP(border_free_at) = border_parse(inbound->body, problem);
    const json_t *event = border_object(root, "event-data");
    if (root == NULL) {
        return NORMALISE_UNREADABLE;
    }
    if (event == NULL) {
        problem_set(problem, STATUS_INVALID, "invalid-event", "no event-data in it");
        return NORMALISE_UNREADABLE;
    }
    delivery.key = str_dup(arena, border_text(border_object(root, "signature"), "token"));
    return engagement_take(&SHAPE, &delivery, event, out_normalised, problem);
}

static const char *const STEPS[] = {
    ("Mailgun > Send > Sending > Webhooks, of the sending domain: add webhook_url for each of "
     "topics"),
    "Mailgun > API Security: copy the HTTP webhook signing key (it is not the API key)",
    "POST /v1/sources/%s/secrets {\"secret\":\"<the signing key>\"}",
    "Test webhook, then GET /v1/sources/%s: status is active",
    NULL,
};
static const struct setup_way WAYS[] = { { .way = "dashboard", .steps = STEPS }, { .way = NULL } };
static const struct setup_gap GAPS[] = {
    { ENGAGEMENT_ECHO, "send it as the variable v:shopbell_notification_id" },
    { NULL, NULL },
};
static const char *const WARNINGS[] = {
    "Mailgun signs a time and a token, not the event: each token is taken once, and the "
    "events carry provenance \"partial\".",
    NULL,
};

static const char *const TOPICS[] = { "delivered",      "opened",
                                      "clicked",        "permanent_fail",
                                      "temporary_fail", "complained",
                                      "unsubscribed",   NULL };

const struct platform platform_mailgun = {
    .name = "mailgun",
    .title = "Mailgun",
    .signature = {
        .algorithm = SIGNATURE_HMAC_SHA256,
        .encoding = SIGNATURE_HEX,
        .key_form = SIGNATURE_KEY_TEXT,
        .tolerance_ms = 12 * INSTANT_HOUR_MS,
        .read_claim = read_claim,
    },
    .trust = TRUST_SIGNED,
    .provenance = PROVENANCE_PARTIAL,
    .answer_ms = LIMIT_ANSWER_MS,
    .dedup_horizon_ms = 2 * INSTANT_DAY_MS,
    .expected_silence_ms = 24 * INSTANT_HOUR_MS,
    .topics = TOPICS,
    .order_statuses = platform_no_statuses,
    .settings = ENGAGEMENT_SETTINGS,
    .normalise = normalise,
    .setup = { WAYS, GAPS, WARNINGS },
};
