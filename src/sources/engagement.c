#include <string.h>

#include "base/instant.h"
#include "base/limits.h"
#include "engagement_priv.h"
#include "platform_priv.h"
#include "sources/json_border.h"

/*
 * What became of a mail, as email service providers tell it.
 *
 * Invariant: what an event does to a profile follows from its kind alone (KINDS),
 * never from which provider sent it. A refusal is always taken: an unsubscribe
 * from one list of the provider, a complaint, and a hard bounce each make the
 * channel unusable, since being wrong in that direction costs one mail. A grant
 * is taken only where the provider says that the address is on the list again,
 * and both are facts with a time, so that an older "accepts marketing" of a shop
 * undoes neither (correctness 7).
 *
 * What a machine did (a prefetched image, a scanner that follows links) is kept,
 * marked, and is no act of the customer: it breaks no silence and counts for no
 * engagement.
 *
 * Providers batch, and a repeated batch may be cut otherwise. So an event's key
 * is its own id where it has one, else a hash of what it says, never the
 * delivery's place for it.
 *
 * Rejected: guessing machines from the user agent (Gmail's image proxy fetches
 * when a person opens), and reading an SMTP text for whether a bounce is hard.
 */

#define ECHO_NAME "shopbell_notification_id"

enum {
    ECHO_GAP_MAX = 8, /* quotes, colons, and the like between the name and the id */
    PROPERTIES_HINT = 256,
};

/* Numbers from here on are milliseconds: as seconds, this is the year 5138. */
#define SECONDS_MAX INT64_C(100000000000)

static const struct {
    enum event_type type; /* 0: nothing is kept */
    const char *channel;  /* whose consent it settles; NULL: none's */
    const char *state;
    const char *bounce;
    bool is_act;
} KINDS[ENGAGEMENT_KIND_COUNT] = {
    [ENGAGEMENT_DELIVERED] = { .type = EVENT_EMAIL_DELIVERED },
    [ENGAGEMENT_OPENED] = { .type = EVENT_EMAIL_OPENED, .is_act = true },
    [ENGAGEMENT_OPENED_BY_MACHINE] = { .type = EVENT_EMAIL_OPENED },
    [ENGAGEMENT_CLICKED] = { .type = EVENT_EMAIL_CLICKED, .is_act = true },
    [ENGAGEMENT_BOUNCED_HARD] = { EVENT_EMAIL_BOUNCED, "email", "invalid", "hard", false },
    [ENGAGEMENT_BOUNCED_SOFT] = { .type = EVENT_EMAIL_BOUNCED, .bounce = "soft" },
    [ENGAGEMENT_BOUNCED] = { .type = EVENT_EMAIL_BOUNCED },
    [ENGAGEMENT_DROPPED] = { .type = EVENT_EMAIL_BOUNCED, .bounce = "dropped" },
    [ENGAGEMENT_COMPLAINED] = { EVENT_EMAIL_COMPLAINED, "email", "unsubscribed", NULL, true },
    [ENGAGEMENT_UNSUBSCRIBED] = { EVENT_EMAIL_UNSUBSCRIBED, "email", "unsubscribed", NULL, true },
    [ENGAGEMENT_LISTED] = { EVENT_CONSENT_UPDATED, "email", "subscribed", NULL, false },
    [ENGAGEMENT_UNLISTED] = { EVENT_CONSENT_UPDATED, "email", "unsubscribed", NULL, false },
    [ENGAGEMENT_INVALID] = { EVENT_CONSENT_UPDATED, "email", "invalid", NULL, false },
    [ENGAGEMENT_SMS_LISTED] = { EVENT_CONSENT_UPDATED, "sms", "subscribed", NULL, false },
    [ENGAGEMENT_SMS_UNLISTED] = { EVENT_CONSENT_UPDATED, "sms", "unsubscribed", NULL, false },
    [ENGAGEMENT_GROUP_JOINED] = { .type = EVENT_PREFERENCE_UPDATED },
};

const char *const ENGAGEMENT_SETTINGS[] = { "time_zone", "allowed_addresses", NULL };

/* --- places --------------------------------------------------------------- */

static const json_t *at_path(const json_t *item, struct str path)
{
    if (str_equal(path, STR("."))) {
        return item;
    }
    for (bool more = true; more && item != NULL;) {
        struct str name = path;
        more = str_split(path, '/', &name, &path);
        item = json_object_getn(item, name.data, name.size);
    }
    return item;
}

/* The next of several places; false when there is none. */
static bool next_place(struct str *places, struct str *out_place)
{
    if (places->size == 0) {
        return false;
    }
    *out_place = *places;
    struct str rest = { NULL, 0 };
    (void)str_split(*places, '|', out_place, &rest);
    *places = rest;
    return true;
}

static bool says_something(const json_t *value)
{
    return value != NULL && !json_is_null(value) &&
           !(json_is_string(value) && json_string_length(value) == 0);
}

const json_t *engagement_at(const json_t *item, const char *place)
{
    struct str places = str_from_z(place);
    struct str path = { NULL, 0 };
    while (next_place(&places, &path)) {
        const json_t *value = at_path(item, path);
        if (says_something(value)) {
            return value;
        }
    }
    return NULL;
}

/* A list of one is that one. */
static struct str text_of(struct arena *arena, const json_t *value)
{
    if (json_array_size(value) == 1) {
        value = json_array_get(value, 0);
    }
    if (json_is_string(value)) {
        return str_trim((struct str){ json_string_value(value), json_string_length(value) });
    }
    return border_id_of(arena, value);
}

struct str engagement_text_at(struct arena *arena, const json_t *item, const char *place)
{
    return text_of(arena, engagement_at(item, place));
}

/* --- what stands there ---------------------------------------------------- */

static int64_t instant_of_number(double number)
{
    if (!(number > 0 && number < (double)SECONDS_MAX * 1000)) {
        return INSTANT_NONE;
    }
    return (int64_t)(number < (double)SECONDS_MAX ? number * 1000 : number);
}

static int64_t instant_at(const struct source *source, const json_t *item, const char *place)
{
    const json_t *value = engagement_at(item, place);
    uint64_t number = 0;
    if (json_is_number(value)) {
        return instant_of_number(json_number_value(value));
    }
    if (json_is_string(value) &&
        str_to_u64((struct str){ json_string_value(value), json_string_length(value) }, &number)) {
        return instant_of_number((double)number);
    }
    struct str zone = source->time_zone;
    return border_instant_of(value, zone.size > 0 ? zone.data : NULL);
}

static bool is_machine(const json_t *item, const char *place)
{
    struct str places = str_from_z(place);
    struct str path = { NULL, 0 };
    bool found = false;
    while (next_place(&places, &path)) {
        const json_t *value = at_path(item, path);
        found = found || json_is_true(value) || (json_is_string(value) && says_something(value));
    }
    return found;
}

/* The id behind our name in a text of any form: JSON within JSON, "name:id". */
static bool echo_in_text(struct str text, struct id *out_id)
{
    size_t size = sizeof(ECHO_NAME) - 1;
    for (ptrdiff_t at = str_find(text, ECHO_NAME[0], 0); at >= 0;
         at = str_find(text, ECHO_NAME[0], (size_t)at + 1)) {
        struct str rest = str_drop(text, (size_t)at);
        if (!str_starts_with(rest, STR(ECHO_NAME))) {
            continue;
        }
        for (size_t gap = 0; gap <= ECHO_GAP_MAX; gap++) {
            if (id_parse(str_take(str_drop(rest, size + gap), ID_TEXT_SIZE - 1), out_id)) {
                return true;
            }
        }
    }
    return false;
}

static bool echo_of(const json_t *value, struct id *out_id)
{
    size_t i = 0;
    const json_t *one = NULL;
    struct str text = { NULL, 0 };
    if (json_is_object(value)) {
        return id_parse(border_text(value, ECHO_NAME), out_id);
    }
    if (json_is_string(value)) {
        text = (struct str){ json_string_value(value), json_string_length(value) };
        return echo_in_text(text, out_id);
    }
    json_array_foreach(value, i, one)
    {
        text = (struct str){ json_string_value(one), json_string_length(one) };
        if ((json_is_string(one) && echo_in_text(text, out_id)) ||
            (str_equal_nocase(border_text(one, "name"), STR(ECHO_NAME)) &&
             id_parse(border_text(one, "value"), out_id))) {
            return true;
        }
    }
    return false;
}

static struct id echo_at(const json_t *item, const char *place)
{
    struct str places = str_from_z(place);
    struct str path = { NULL, 0 };
    struct id id = ID_ZERO;
    while (next_place(&places, &path)) {
        if (echo_of(at_path(item, path), &id)) {
            return id;
        }
    }
    return ID_ZERO;
}

/* "Jane Doe <jane@example.com>" */
static struct str address_of(struct str text)
{
    struct str head = { NULL, 0 };
    struct str inner = text;
    struct str tail = { NULL, 0 };
    if (str_split(text, '<', &head, &inner) && str_split(inner, '>', &inner, &tail)) {
        return str_trim(inner);
    }
    return text;
}

enum engagement_kind engagement_kind_of(const struct engagement_word *words, struct str word)
{
    for (; words->word != NULL; words++) {
        if (str_equal_z(word, words->word)) {
            return words->kind;
        }
    }
    return ENGAGEMENT_UNKNOWN;
}

static void read_item(const struct engagement_shape *shape,
                      const struct engagement_delivery *delivery, const json_t *item,
                      struct engagement *said)
{
    struct arena *arena = delivery->arena;
    struct str word = engagement_text_at(arena, item, shape->word);
    *said = (struct engagement){ .word = word, .kind = engagement_kind_of(shape->words, word) };
    if (said->kind == ENGAGEMENT_UNKNOWN || said->kind == ENGAGEMENT_NOTHING) {
        return;
    }
    said->email = address_of(engagement_text_at(arena, item, shape->email));
    said->customer_id = engagement_text_at(arena, item, shape->customer_id);
    said->at_ms = instant_at(delivery->source, item, shape->at);
    said->key = engagement_text_at(arena, item, shape->key);
    said->message_id = engagement_text_at(arena, item, shape->message_id);
    said->campaign_id = engagement_text_at(arena, item, shape->campaign_id);
    said->campaign = engagement_text_at(arena, item, shape->campaign);
    said->subject = engagement_text_at(arena, item, shape->subject);
    said->url = engagement_text_at(arena, item, shape->url);
    said->reason = engagement_text_at(arena, item, shape->reason);
    said->group = engagement_text_at(arena, item, shape->group);
    said->notification_id = echo_at(item, shape->echo);
    said->is_machine =
        said->kind == ENGAGEMENT_OPENED_BY_MACHINE || is_machine(item, shape->machine);
    if (shape->refine != NULL) {
        shape->refine(arena, item, said);
    }
}

/* --- into the draft ------------------------------------------------------- */

static struct str properties_of(struct arena *arena, const struct engagement *said)
{
    struct buf buf;
    struct jsonw json;
    draft_object_open(&buf, &json, arena, PROPERTIES_HINT);
    if (KINDS[said->kind].type == EVENT_CONSENT_UPDATED) {
        jsonw_put_z(&json, "channel", KINDS[said->kind].channel);
        jsonw_put_z(&json, "state", KINDS[said->kind].state);
    }
    draft_put_text(&json, "message_id", said->message_id);
    draft_put_text(&json, "campaign_id", said->campaign_id);
    draft_put_text(&json, "campaign", said->campaign);
    draft_put_text(&json, "subject", said->subject);
    draft_put_text(&json, "url", said->url);
    draft_put_text(&json, "bounce", str_from_z(KINDS[said->kind].bounce));
    draft_put_text(&json, "reason", said->reason);
    draft_put_text(&json, "group", said->group);
    if (!id_is_zero(said->notification_id)) {
        jsonw_put_id(&json, "notification_id", said->notification_id);
    }
    if (said->is_machine) {
        jsonw_put_bool(&json, "machine", true);
    }
    jsonw_close(&json);
    return buf_str(&buf);
}

/* Two events of one mail, one instant and one address differ in kind (which is the
 * part) or link. What tells no time is only as new as its delivery. */
static struct str key_of(const struct draft *draft, const struct engagement *said)
{
    struct arena *arena = draft->arena;
    if (said->key.size > 0) {
        return str_dup(arena, said->key);
    }
    bool has_time = said->at_ms != INSTANT_NONE;
    struct id_hash hash;
    char text[ID_TEXT_SIZE];
    id_hash_begin(&hash, "engagement");
    id_hash_add(&hash, said->message_id);
    id_hash_add(&hash, said->email);
    id_hash_add(&hash, said->customer_id);
    id_hash_add_i64(&hash, said->at_ms);
    id_hash_add(&hash, has_time ? STR("") : draft->dedup_key);
    id_hash_add(&hash, said->url);
    id_hash_add(&hash, said->campaign_id);
    id_hash_add(&hash, said->group);
    id_format(id_hash_end(&hash), text);
    return str_printf(arena, "event/%s", text);
}

struct event *engagement_draft(struct draft *draft, const struct engagement *said)
{
    struct arena *arena = draft->arena;
    enum event_type type = KINDS[said->kind].type;
    /* The kind, not the word: a "first open" is the open that it is the first of. */
    struct str part = str_from_z(event_type_info(type)->name);
    struct event *event = draft_event(draft, type, key_of(draft, said), part, said->at_ms);
    if (event == NULL) {
        return NULL;
    }
    draft_identify(draft, event, IDENTITY_EMAIL, said->email);
    draft_identify(draft, event, IDENTITY_CUSTOMER_ID, said->customer_id);
    if (event->identifier_count == 0) {
        draft->event_count--;
        return NULL;
    }
    event->act = KINDS[said->kind].is_act && !said->is_machine;
    if (KINDS[said->kind].channel != NULL) {
        draft_fact_json(draft, event, FACT_CONSENT, str_from_z(KINDS[said->kind].channel),
                        str_printf(arena, "\"%s\"", KINDS[said->kind].state));
    }
    event->properties_json = properties_of(arena, said);
    return event;
}

/* --- deliveries ----------------------------------------------------------- */

struct engagement_delivery engagement_deliver(const struct platform *platform, struct arena *arena,
                                              const struct source *source,
                                              const struct inbound *inbound)
{
    return (struct engagement_delivery){
        .arena = arena,
        .source = source,
        .trust = platform->trust,
        .provenance = platform->provenance,
        .received_at_ms = inbound->received_at_ms,
        .body = inbound->body,
    };
}

/* What was found among the elements of one delivery. */
struct tally {
    size_t items;  /* that were not empty wrappers */
    size_t words;  /* of them, that say what happened */
    size_t wanted; /* of them, of a kind that is kept */
};

static void take_item(const struct engagement_shape *shape,
                      const struct engagement_delivery *delivery, struct draft *draft,
                      const json_t *element, struct tally *tally)
{
    struct engagement said;
    const json_t *item = shape->unwrap != NULL ? shape->unwrap(element) : element;
    if (item == NULL) {
        return;
    }
    tally->items++;
    read_item(shape, delivery, item, &said);
    tally->words += said.word.size > 0;
    if (KINDS[said.kind].type == 0) {
        return;
    }
    tally->wanted++;
    if (said.key.size == 0) {
        said.key = delivery->key;
    }
    (void)engagement_draft(draft, &said);
}

static enum normalise_verdict unreadable(struct problem *problem, const char *why)
{
    (void)problem_set(problem, STATUS_INVALID, "invalid-event", "%s", why);
    return NORMALISE_UNREADABLE;
}

enum normalise_verdict engagement_take(const struct engagement_shape *shape,
                                       const struct engagement_delivery *delivery,
                                       const json_t *elements, struct normalised *out_normalised,
                                       struct problem *problem)
{
    struct arena *arena = delivery->arena;
    bool is_list = json_is_array(elements);
    size_t count = is_list ? json_array_size(elements) : 1;
    const json_t *first = is_list ? json_array_get(elements, 0) : elements;
    if (count > LIMIT_EVENTS_PER_REQUEST) {
        return unreadable(problem, "more events in one delivery than are taken");
    }
    if (shape->unwrap != NULL) {
        first = shape->unwrap(first);
    }
    struct draft draft;
    struct tally tally = { .items = 0 };
    struct str topic = str_dup(arena, draft_cut(engagement_text_at(arena, first, shape->word)));
    draft_init(&draft, arena, delivery->source, delivery->trust, delivery->received_at_ms,
               draft_dedup_key(arena, delivery->key, topic, delivery->body), count + 1);
    draft.provenance = delivery->provenance;
    for (size_t i = 0; i < count && !arena_is_full(arena); i++) {
        take_item(shape, delivery, &draft, is_list ? json_array_get(elements, i) : elements,
                  &tally);
    }
    out_normalised->topic = topic;
    if (tally.items > 0 && tally.words == 0) {
        return unreadable(problem, "no element says what happened");
    }
    if (tally.wanted == 0) {
        return NORMALISE_IGNORED;
    }
    if (draft.event_count == 0 && !arena_is_full(arena)) {
        return unreadable(problem, "no event names an address");
    }
    return draft_finish(&draft, out_normalised);
}

enum normalise_verdict engagement_take_body(const struct engagement_shape *shape,
                                            const struct engagement_delivery *delivery,
                                            struct normalised *out_normalised,
                                            struct problem *problem)
{
    json_t *root CLEANUP(border_free_at) = border_parse(delivery->body, problem);
    return root == NULL ? NORMALISE_UNREADABLE
                        : engagement_take(shape, delivery, root, out_normalised, problem);
}

/* --- setup ---------------------------------------------------------------- */

const struct setup_gap ENGAGEMENT_NO_ECHO[] = {
    { ENGAGEMENT_ECHO, "this sender gives nothing back that was handed over with a mail" },
    { NULL, NULL },
};
