#include <stdlib.h>
#include <string.h>

#include "base/form.h"
#include "base/instant.h"
#include "base/limits.h"
#include "engagement_priv.h"
#include "platform_priv.h"
#include "sources/json_border.h"

/*
 * Mandrill (Mailchimp Transactional).
 *
 * A form with one field, mandrill_events, which is a JSON array of events. Signed
 * is the address as it was configured there, then each field's name and decoded
 * value in the names' order: so settings.notification_url, or the address we
 * made, must be theirs to the letter.
 *
 * Before a webhook is saved, the address is asked for by HEAD and by a POST of no
 * events, signed with a key that is printed in the documentation. That request is
 * known by its being empty and answered 200 with nothing done, whoever signed it;
 * the public key is accepted for nothing (verify refuses to store it).
 */

enum {
    FIELDS_MAX = 32
};

static const struct engagement_word WORDS[] = {
    { "send", ENGAGEMENT_NOTHING },
    { "deferral", ENGAGEMENT_NOTHING },
    { "whitelist", ENGAGEMENT_NOTHING },
    { "blacklist", ENGAGEMENT_NOTHING },
    { "allowlist", ENGAGEMENT_NOTHING },
    { "denylist", ENGAGEMENT_NOTHING },
    { "inbound", ENGAGEMENT_NOTHING },
    { "delivered", ENGAGEMENT_DELIVERED },
    { "open", ENGAGEMENT_OPENED },
    { "click", ENGAGEMENT_CLICKED },
    { "hard_bounce", ENGAGEMENT_BOUNCED_HARD },
    { "soft_bounce", ENGAGEMENT_BOUNCED_SOFT },
    { "reject", ENGAGEMENT_DROPPED },
    { "spam", ENGAGEMENT_COMPLAINED },
    { "unsub", ENGAGEMENT_UNSUBSCRIBED },
    { NULL, ENGAGEMENT_UNKNOWN },
};

static const struct engagement_shape SHAPE = {
    .words = WORDS,
    .word = "event|type",
    .email = "msg/email",
    .at = "ts",
    .message_id = "_id|msg/_id",
    .subject = "msg/subject",
    .url = "url",
    .reason = "msg/diag|msg/bounce_description",
    .echo = "msg/metadata",
};

static bool read_events(struct arena *arena, struct str body, struct str *out_events)
{
    const struct form_field *fields = NULL;
    size_t count = 0;
    if (form_parse(arena, body, FIELDS_MAX, &fields, &count) != FORM_OK) {
        return false;
    }
    *out_events = str_trim(form_find(fields, count, "mandrill_events"));
    return out_events->size > 0;
}

static bool greet(struct arena *arena, const struct source *source, const struct inbound *inbound,
                  struct handshake *out_handshake)
{
    struct str events = { NULL, 0 };
    (void)source;
    (void)out_handshake;
    return inbound->is_get ||
           (read_events(arena, inbound->body, &events) && str_equal(events, STR("[]")));
}

static int compare_fields(const void *a, const void *b)
{
    const struct form_field *left = a;
    const struct form_field *right = b;
    return str_compare(left->name, right->name);
}

static struct str signed_text(struct arena *arena, struct str url, const struct form_field *fields,
                              size_t count, size_t room)
{
    struct form_field *sorted = ARENA_NEW_ARRAY(arena, count + 1, struct form_field);
    struct buf buf;
    buf_init(&buf, arena, url.size + room + 1);
    buf_reserve(&buf, url.size + room + 1);
    buf_add_str(&buf, url);
    if (sorted != NULL && count > 0) {
        memcpy(sorted, fields, count * sizeof(*fields));
        qsort(sorted, count, sizeof(*sorted), compare_fields);
    }
    for (size_t i = 0; sorted != NULL && i < count; i++) {
        buf_add_str(&buf, sorted[i].name);
        buf_add_str(&buf, sorted[i].value);
    }
    return buf_str(&buf);
}

static enum signature_verdict read_claim(struct arena *arena, const struct source *source,
                                         const struct inbound *inbound,
                                         struct signature_claim *claim)
{
    const struct form_field *fields = NULL;
    size_t count = 0;
    (void)source;
    enum signature_verdict verdict =
        inbound_header_single(inbound, "x-mandrill-signature", &claim->signatures[0].text);
    if (verdict != SIGNATURE_VALID) {
        return verdict;
    }
    if (form_parse(arena, inbound->body, FIELDS_MAX, &fields, &count) != FORM_OK) {
        return SIGNATURE_HEADER_MALFORMED;
    }
    claim->signature_count = 1;
    /* Decoded, a form is never longer than it came. */
    claim->pieces[0] = signed_text(arena, inbound->url, fields, count, inbound->body.size);
    claim->piece_count = 1;
    return SIGNATURE_VALID;
}

static enum normalise_verdict normalise(struct arena *arena, const struct source *source,
                                        const struct inbound *inbound,
                                        struct normalised *out_normalised, struct problem *problem)
{
    struct engagement_delivery delivery =
        engagement_deliver(&platform_mandrill, arena, source, inbound);
    struct str events = { NULL, 0 };
    if (!read_events(arena, inbound->body, &events)) {
        problem_set(problem, STATUS_INVALID, "invalid-event", "no form with mandrill_events");
        return NORMALISE_UNREADABLE;
    }
    delivery.body = events;
    return engagement_take_body(&SHAPE, &delivery, out_normalised, problem);
}

static const char *const STEPS[] = {
    ("Mandrill > Settings > Webhooks > Add a webhook: Post to URL = webhook_url, the events "
     "under topics"),
    "Copy the key of the webhook from the list",
    "POST /v1/sources/%s/secrets {\"secret\":\"<the key>\"}",
    "Send test, then GET /v1/sources/%s: status is active",
    NULL,
};
static const struct setup_way WAYS[] = { { .way = "dashboard", .steps = STEPS }, { .way = NULL } };
static const struct setup_gap GAPS[] = {
    { ENGAGEMENT_ECHO, "send it as the metadata shopbell_notification_id" },
    { NULL, NULL },
};
static const char *const WARNINGS[] = {
    "Mandrill signs the address too: if a proxy gives it another, set notification_url to what "
    "stands at Mandrill, to the letter.",
    NULL,
};

static const char *const TOPICS[] = { "delivered", "open", "click", "hard_bounce", "soft_bounce",
                                      "reject",    "spam", "unsub", NULL };

static const char *const SETTINGS[] = { "time_zone", "notification_url", "allowed_addresses",
                                        NULL };

const struct platform platform_mandrill = {
    .name = "mandrill",
    .title = "Mandrill",
    .signature = {
        .algorithm = SIGNATURE_HMAC_SHA1,
        .encoding = SIGNATURE_BASE64,
        .key_form = SIGNATURE_KEY_TEXT,
        .headers = { { .signature = "x-mandrill-signature" } },
        .read_claim = read_claim,
    },
    .trust = TRUST_SIGNED,
    .provenance = PROVENANCE_FULL,
    .answer_ms = LIMIT_ANSWER_MS,
    .dedup_horizon_ms = 3 * INSTANT_DAY_MS,
    .expected_silence_ms = 24 * INSTANT_HOUR_MS,
    .topics = TOPICS,
    .order_statuses = platform_no_statuses,
    .settings = SETTINGS,
    .greet = greet,
    .normalise = normalise,
    .setup = { WAYS, GAPS, WARNINGS },
};
