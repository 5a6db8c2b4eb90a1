#include "base/form.h"
#include "base/instant.h"
#include "base/limits.h"
#include "engagement_priv.h"
#include "platform_priv.h"
#include "sources/json_border.h"

/*
 * Mailchimp Marketing: the webhooks of an audience.
 *
 * A form: type, fired_at, data[...]. Nobody signs by default, so the address holds
 * a secret. Mailchimp may sign (since 2026, each webhook for itself); then
 * settings.signed makes the signature the only way in, rather than one of two,
 * which would leave the weaker one open.
 *
 * fired_at has no zone and none is documented; it is read as UTC unless
 * settings.time_zone says otherwise. The address is asked for by GET before a
 * webhook is saved.
 *
 * Opens and clicks are no webhooks here. What happens on the list is: who was
 * added, left, was cleaned off it, changed the address or the name.
 */

enum {
    FIELDS_MAX = 256,
    TOLERANCE_S = 300,
    EMAILS_MAX = 2,
};

struct form {
    const struct form_field *fields;
    size_t count;
};

static struct str field(const struct form *form, const char *name)
{
    return str_trim(form_find(form->fields, form->count, name));
}

static const struct engagement_word WORDS[] = {
    { "subscribe", ENGAGEMENT_LISTED }, { "unsubscribe", ENGAGEMENT_UNSUBSCRIBED },
    { "cleaned", ENGAGEMENT_BOUNCED },  { "campaign", ENGAGEMENT_NOTHING },
    { NULL, ENGAGEMENT_UNKNOWN },
};

/* Who was deleted from the list did not do it; "abuse" is a complaint. */
static enum engagement_kind kind_of(const struct form *form)
{
    enum engagement_kind kind = engagement_kind_of(WORDS, field(form, "type"));
    struct str reason = field(form, "data[reason]");
    bool has_left = kind == ENGAGEMENT_UNSUBSCRIBED || kind == ENGAGEMENT_BOUNCED;
    if (has_left && str_equal(reason, STR("abuse"))) {
        return ENGAGEMENT_COMPLAINED;
    }
    if (kind == ENGAGEMENT_UNSUBSCRIBED && str_equal(field(form, "data[action]"), STR("delete"))) {
        return ENGAGEMENT_UNLISTED;
    }
    return kind == ENGAGEMENT_BOUNCED && str_equal(reason, STR("hard")) ? ENGAGEMENT_BOUNCED_HARD
                                                                        : kind;
}

static int64_t fired_at(const struct source *source, const struct form *form)
{
    int64_t local_ms = INSTANT_NONE;
    int64_t at_ms = INSTANT_NONE;
    bool had_offset = false;
    if (!instant_parse(field(form, "fired_at"), false, &local_ms, &had_offset)) {
        return INSTANT_NONE;
    }
    bool is_read = !had_offset && source->time_zone.size > 0 &&
                   instant_from_local(local_ms, source->time_zone.data, &at_ms);
    return is_read ? at_ms : local_ms;
}

/* profile and upemail: who has both addresses is one customer, and the new one
 * is theirs now. */
static void change_event(struct draft *draft, const struct form *form, int64_t at_ms)
{
    static const char *const EMAILS[EMAILS_MAX] = { "data[old_email]", "data[new_email]" };
    struct event *event =
        draft_event(draft, EVENT_CUSTOMER_UPDATED, STR(""), STR("customer"), at_ms);
    bool is_named = draft_identify(draft, event, IDENTITY_EMAIL, field(form, "data[email]"));
    for (size_t i = 0; i < EMAILS_MAX; i++) {
        is_named = draft_identify(draft, event, IDENTITY_EMAIL, field(form, EMAILS[i])) || is_named;
    }
    if (event == NULL || !is_named) {
        draft->event_count = 0;
        return;
    }
    struct str now = { NULL, 0 };
    if (identity_normalise(draft->arena, IDENTITY_EMAIL, field(form, "data[new_email]"), &now)) {
        draft_trait(draft, event, "email", now);
    }
    draft_trait(draft, event, "first_name", field(form, "data[merges][FNAME]"));
    draft_trait(draft, event, "last_name", field(form, "data[merges][LNAME]"));
}

static void list_event(struct draft *draft, const struct form *form, enum engagement_kind kind,
                       int64_t at_ms)
{
    struct engagement said = {
        .kind = kind,
        .email = field(form, "data[email]"),
        .at_ms = at_ms,
        .campaign_id = field(form, "data[campaign_id]"),
        .reason = field(form, "data[reason]"),
        .group = field(form, "data[list_id]"),
    };
    (void)engagement_draft(draft, &said);
}

static enum normalise_verdict take(struct draft *draft, const struct form *form,
                                   struct normalised *out_normalised, struct problem *problem)
{
    struct str type = field(form, "type");
    enum engagement_kind kind = kind_of(form);
    int64_t at_ms = fired_at(draft->source, form);
    out_normalised->topic = draft_cut(type);
    if (type.size == 0) {
        problem_set(problem, STATUS_INVALID, "invalid-event", "the form has no type");
        return NORMALISE_UNREADABLE;
    }
    if (str_equal(type, STR("profile")) || str_equal(type, STR("upemail"))) {
        change_event(draft, form, at_ms);
    } else if (kind != ENGAGEMENT_UNKNOWN && kind != ENGAGEMENT_NOTHING) {
        list_event(draft, form, kind, at_ms);
    } else {
        return NORMALISE_IGNORED;
    }
    if (draft->event_count == 0 && !arena_is_full(draft->arena)) {
        problem_set(problem, STATUS_INVALID, "invalid-event", "no event names an address");
        return NORMALISE_UNREADABLE;
    }
    return draft_finish(draft, out_normalised);
}

static enum normalise_verdict normalise(struct arena *arena, const struct source *source,
                                        const struct inbound *inbound,
                                        struct normalised *out_normalised, struct problem *problem)
{
    struct form form = { .count = 0 };
    if (form_parse(arena, inbound->body, FIELDS_MAX, &form.fields, &form.count) != FORM_OK) {
        problem_set(problem, STATUS_INVALID, "invalid-event", "the body is no form");
        return NORMALISE_UNREADABLE;
    }
    for (size_t i = 0; i < form.count; i++) {
        if (!str_is_text(form.fields[i].name) || !str_is_text(form.fields[i].value)) {
            problem_set(problem, STATUS_INVALID, "invalid-event", "the form is not UTF-8");
            return NORMALISE_UNREADABLE;
        }
    }
    struct draft draft;
    draft_init(&draft, arena, source, platform_mailchimp.trust, inbound->received_at_ms,
               draft_dedup_key(arena, STR(""), field(&form, "type"), inbound->body), 1);
    draft.provenance = source->signature != NULL ? PROVENANCE_FULL : platform_mailchimp.provenance;
    return take(&draft, &form, out_normalised, problem);
}

static bool greet(struct arena *arena, const struct source *source, const struct inbound *inbound,
                  struct handshake *out_handshake)
{
    (void)arena;
    (void)source;
    (void)out_handshake;
    return inbound->is_get;
}

/* --- settings ------------------------------------------------------------- */

static const struct signature_spec SIGNED = {
    .algorithm = SIGNATURE_HMAC_SHA256,
    .encoding = SIGNATURE_HEX,
    .key_form = SIGNATURE_KEY_TEXT,
    .syntax = SIGNATURE_PAIRS,
    .mark = "v1",
    .content = "{timestamp}.{body}",
    .headers = { { .signature = "x-mailchimp-signature" } },
    .tolerance_ms = TOLERANCE_S * INSTANT_SECOND_MS,
};

static enum status parse_settings(struct arena *arena, struct str settings_json,
                                  struct source *source, struct problem *problem)
{
    (void)arena;
    json_t *settings CLEANUP(border_free_at) =
        border_parse(settings_json.size > 0 ? settings_json : STR("{}"), problem);
    const json_t *is_signed = json_object_get(settings, "signed");
    if (is_signed != NULL && !json_is_boolean(is_signed) && !json_is_null(is_signed)) {
        problem_set(problem, STATUS_INVALID, "invalid-field", "true or false is needed");
        problem_point(problem, "#/settings/signed");
        return STATUS_INVALID;
    }
    source->signature = json_is_true(is_signed) ? &SIGNED : NULL;
    if (border_text(settings, "time_zone").size == 0) {
        source->time_zone = STR("UTC");
    }
    return STATUS_OK;
}

static const char *const STEPS[] = {
    "Mailchimp > Audience > All contacts > Settings > Webhooks > Create new webhook: Callback "
    "URL = webhook_url as it is shown above, once (its last part is the secret), the events "
    "under topics, changes by subscribers, admins and the API",
    "Or, where Mailchimp signs: PATCH /v1/sources/%s {\"settings\":{\"signed\":true}}, create "
    "the webhook by its API, and POST /v1/sources/%s/secrets {\"secret\":\"<the "
    "signing_secret of the answer>\"}; then the URL is webhook_url without the last part",
    "Subscribe a test address, then GET /v1/sources/%s: status is active",
    NULL,
};
static const struct setup_way WAYS[] = { { .way = "dashboard", .steps = STEPS }, { .way = NULL } };
static const char *const WARNINGS[] = {
    "Unsigned, whoever knows the URL may speak, and events carry provenance \"none\".",
    "Mailchimp writes times without a zone and does not say which: they are read as UTC "
    "unless settings.time_zone says otherwise.",
    "Being on one audience again counts as a grant, leaving one as a refusal of e-mail.",
    NULL,
};

static const char *const TOPICS[] = { "subscribe", "unsubscribe", "cleaned",
                                      "upemail",   "profile",     NULL };

static const char *const SETTINGS[] = { "time_zone", "signed", "allowed_addresses", NULL };

const struct platform platform_mailchimp = {
    .name = "mailchimp",
    .title = "Mailchimp",
    .signature = ENGAGEMENT_BY_SECRET,
    .trust = TRUST_KEYED,
    .provenance = PROVENANCE_NONE,
    .makes_secret = true,
    .answer_ms = LIMIT_ANSWER_MS,
    .dedup_horizon_ms = INSTANT_DAY_MS,
    .expected_silence_ms = 24 * INSTANT_HOUR_MS,
    .topics = TOPICS,
    .order_statuses = platform_no_statuses,
    .settings = SETTINGS,
    .greet = greet,
    .normalise = normalise,
    .parse_settings = parse_settings,
    .setup = { WAYS, ENGAGEMENT_NO_ECHO, WARNINGS },
};
