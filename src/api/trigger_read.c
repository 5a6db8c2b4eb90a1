#include <jansson.h>

#include "base/instant.h"
#include "base/limits.h"
#include "trigger_priv.h"

/*
 * A trigger from JSON and into it.
 *
 * What an answer carries may come back (a trigger is kept in git as `trigger show`
 * printed it), so members that only answers have are taken and ignored. What this
 * version cannot honour is refused with words: a member that was accepted and did
 * nothing would be found out by customers.
 */

static const char *const FIELDS[] = {
    "title",
    "topic",
    "when",
    "audience",
    "if",
    "wait",
    "recheck",
    "channel",
    "once",
    "cooldown",
    "cap_per_profile",
    "cap_total",
    "priority",
    "expires",
    "quiet_hours",
    "holdout",
    "require_history",
    "mode",
    "fields",
    /* Of answers only. */
    "id",
    "name",
    "version",
    "paused_at",
    "created_at",
    "updated_at",
};

static const char *const CHANNELS[] = { "email", "sms", "push", "tracking", "sale" };
static const char *const MODES[] = { "draft", "test", "live" };
static const char *const PERS[] = { "profile", "product", "variant" };
static const char *const THENS[] = { "defer", "drop" };

enum {
    PRIORITY_MAX = 1000,
    CLOCK_BYTES = 5, /* "21:30" */
};
#define DURATION_MS_MAX (366 * INSTANT_DAY_MS)

/* --- members of members -------------------------------------------------------- */

/* One of the words; the empty string when absent. */
static struct str read_word(struct document *document, const char *name, const char *const *words,
                            size_t count)
{
    struct str text = document_text(document, name, LIMIT_TEXT_BYTES);
    bool is_known = text.size == 0;
    char list[80] = "";
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        is_known = is_known || str_equal_z(text, words[i]);
        int added = snprintf(list + size, sizeof(list) - size, "%s%s", i > 0 ? ", " : "", words[i]);
        size += added > 0 ? (size_t)added : 0;
    }
    if (document->status == STATUS_OK && !is_known) {
        struct str shown = str_take_text(text, 60);
        const char *nearest = str_nearest(shown, words, count);
        document_fail(document, name, "invalid-field",
                      nearest != NULL ? "\"%.*s\" is none of %s; did you mean \"%s\"?"
                                      : "\"%.*s\" is none of %s",
                      STR_ARG(shown), list, nearest);
    }
    return text;
}

static void refuse(struct document *document, const char *name, const char *words)
{
    if (document_has(document, name)) {
        document_fail(document, name, "invalid-field", "%s", words);
    }
}

/* --- when -------------------------------------------------------------------------- */

static void read_change(struct document *when, struct trigger *trigger)
{
    trigger->from = document_text(when, "from", LIMIT_NAME_BYTES);
    trigger->to = document_text(when, "to", LIMIT_NAME_BYTES);
    if (trigger->when != TRIGGER_CHANGES &&
        (document_has(when, "from") || document_has(when, "to"))) {
        document_fail(when, document_has(when, "from") ? "from" : "to", "invalid-field",
                      "from and to are said of \"changes\", a lifecycle's or tier's");
    }
}

static void read_when(struct document *document, struct trigger *trigger)
{
    static const char *const members[] = { "event", "enters",    "leaves",   "changes",
                                           "from",  "universal", "schedule", "to" };
    struct document when;
    size_t count = 0;
    document_need(document, "when");
    if (!document_open_member(document, "when", &when)) {
        return;
    }
    document_allow(&when, members, ARRAY_COUNT(members));
    refuse(&when, "schedule", "scheduled triggers are not available yet");
    for (int kind = TRIGGER_EVENT; kind <= TRIGGER_UNIVERSAL; kind++) {
        const char *name = trigger_when_name((enum trigger_when)kind);
        if (document_has(&when, name)) {
            trigger->when = (enum trigger_when)kind;
            trigger->what = document_text(&when, name, LIMIT_TEXT_BYTES);
            count++;
        }
    }
    read_change(&when, trigger);
    document_close_member(document, "when", &when);
    if (document->status == STATUS_OK && (count != 1 || trigger->what.size == 0)) {
        document_fail(document, "when", "invalid-field",
                      "when is one of event, enters, leaves, changes and universal, with a name");
    }
}

/* --- gates ------------------------------------------------------------------------- */

static void read_cooldown(struct document *document, struct trigger *trigger)
{
    static const char *const members[] = { "for", "per" };
    struct document inner;
    trigger->cooldown_per = TRIGGER_PER_PROFILE;
    if (!document_open_member(document, "cooldown", &inner)) {
        return;
    }
    document_allow(&inner, members, ARRAY_COUNT(members));
    document_need(&inner, "for");
    trigger->cooldown_ms = document_duration(&inner, "for", 0, INSTANT_SECOND_MS, DURATION_MS_MAX);
    struct str per = read_word(&inner, "per", PERS, ARRAY_COUNT(PERS));
    if (per.size > 0 && inner.status == STATUS_OK) {
        trigger->cooldown_per = trigger_per_from_name(per);
    }
    document_close_member(document, "cooldown", &inner);
}

static struct trigger_cap read_cap(struct document *document, const char *name, int64_t most)
{
    static const char *const members[] = { "count", "per" };
    struct trigger_cap cap = { .count = 0 };
    struct document inner;
    if (!document_open_member(document, name, &inner)) {
        return cap;
    }
    document_allow(&inner, members, ARRAY_COUNT(members));
    document_need(&inner, "count");
    document_need(&inner, "per");
    cap.count = document_i64(&inner, "count", 0, 1, most);
    cap.per_ms = document_duration(&inner, "per", 0, INSTANT_SECOND_MS, DURATION_MS_MAX);
    document_close_member(document, name, &inner);
    return cap;
}

/* "21:30" as minutes of the day. */
static int32_t read_clock(struct document *document, const char *name)
{
    document_need(document, name);
    struct str text = document_text(document, name, LIMIT_NAME_BYTES);
    uint64_t hours = 0;
    uint64_t minutes = 0;
    bool is_clock = text.size == CLOCK_BYTES && text.data[2] == ':' &&
                    str_to_u64(str_take(text, 2), &hours) &&
                    str_to_u64(str_drop(text, 3), &minutes) && hours < 24 && minutes < 60;
    if (document->status == STATUS_OK && !is_clock) {
        document_fail(document, name, "invalid-field", "%s is a time of day like \"21:30\"", name);
    }
    return (int32_t)(hours * 60 + minutes);
}

static struct str read_zone(struct document *document)
{
    struct str zone = document_text(document, "zone", LIMIT_NAME_BYTES);
    const char *zone_z = str_dup_z(document->arena, zone);
    bool is_profile = zone.size == 0 || str_equal(zone, STR("profile"));
    if (document->status == STATUS_OK && !is_profile &&
        (zone_z == NULL || !instant_zone_exists(zone_z))) {
        document_fail(document, "zone", "invalid-field",
                      "zone is \"profile\" or an IANA name like \"Europe/Paris\"");
    }
    return is_profile ? STR("profile") : zone;
}

static void read_quiet(struct document *document, struct trigger *trigger)
{
    static const char *const members[] = { "from", "to", "zone", "then" };
    struct document inner;
    if (!document_open_member(document, "quiet_hours", &inner)) {
        return;
    }
    document_allow(&inner, members, ARRAY_COUNT(members));
    trigger->quiet = (struct trigger_quiet){ .is_set = true,
                                             .from_minute = read_clock(&inner, "from"),
                                             .to_minute = read_clock(&inner, "to"),
                                             .zone = read_zone(&inner) };
    trigger->quiet.drops =
        str_equal(read_word(&inner, "then", THENS, ARRAY_COUNT(THENS)), STR("drop"));
    if (inner.status == STATUS_OK && trigger->quiet.from_minute == trigger->quiet.to_minute) {
        document_fail(&inner, "to", "invalid-field",
                      "quiet hours that end when they begin are none, or the whole day");
    }
    document_close_member(document, "quiet_hours", &inner);
}

/* 0.05 as millionths. */
static void read_holdout(struct document *document, struct trigger *trigger)
{
    const json_t *value = json_object_get(document->root, "holdout");
    if (document->status != STATUS_OK || !document_has(document, "holdout")) {
        return;
    }
    double number = json_is_number(value) ? json_number_value(value) : -1.0;
    if (number >= 0.0 && number <= 0.5) {
        trigger->holdout = (int64_t)(number * 1e6 + 0.5);
    } else {
        document_fail(document, "holdout", "invalid-field",
                      "holdout is a number from 0 to 0.5, like 0.05");
    }
}

static void read_topic(struct document *document, struct trigger *trigger)
{
    struct str topic = document_text(document, "topic", LIMIT_TEXT_BYTES);
    trigger->topic = topic.size > 0
                         ? topic
                         : str_printf(document->arena, "trigger.%.*s", STR_ARG(trigger->name));
    if (document->status == STATUS_OK && !trigger_topic_is_free(trigger->name, trigger->topic)) {
        document_fail(document, "topic", "topic-reserved",
                      "\"%.*s\" is not free: a trigger's topic is trigger.%.*s, or an object.action"
                      " in lower case that nothing else rings with",
                      STR_ARG(str_take_text(topic, 60)), STR_ARG(trigger->name));
    }
}

static void read_gates(struct document *document, struct trigger *trigger)
{
    trigger->channel = read_word(document, "channel", CHANNELS, ARRAY_COUNT(CHANNELS));
    trigger->once = document_bool(document, "once", false);
    read_cooldown(document, trigger);
    trigger->profile_cap = read_cap(document, "cap_per_profile", TRIGGER_CAP_MAX);
    trigger->total_cap = read_cap(document, "cap_total", TRIGGER_TOTAL_CAP_MAX);
    trigger->priority = (int32_t)document_i64(document, "priority", 0, -PRIORITY_MAX, PRIORITY_MAX);
    trigger->expires_ms =
        document_duration(document, "expires", 0, INSTANT_SECOND_MS, 30 * INSTANT_DAY_MS);
    read_quiet(document, trigger);
    read_holdout(document, trigger);
    trigger->require_history = document_bool(document, "require_history", false);
}

enum status trigger_read(const struct resource_request *request, struct trigger_row *row,
                         struct problem *problem)
{
    struct document CLEANUP(document_close) document = { .root = NULL };
    enum status status = document_open(&document, request->arena, request->body, problem);
    if (status != STATUS_OK) {
        return status;
    }
    const struct trigger former = row->definition;
    struct trigger *trigger = &row->definition;
    *trigger = (struct trigger){ .id = former.id,
                                 .name = former.name,
                                 .version = former.version,
                                 .is_paused = former.is_paused };
    document_allow(&document, FIELDS, ARRAY_COUNT(FIELDS));
    if (document_has(&document, "name") &&
        !str_equal(document_text(&document, "name", LIMIT_TEXT_BYTES), trigger->name)) {
        document_fail(&document, "name", "invalid-field", "a trigger's name never changes");
    }
    trigger->title = document_text(&document, "title", LIMIT_TEXT_BYTES);
    read_when(&document, trigger);
    read_topic(&document, trigger);
    trigger->audience = str_trim(document_text(&document, "audience", RULE_TEXT_BYTES_MAX));
    if (trigger->when != TRIGGER_UNIVERSAL && trigger->audience.size > 0) {
        refuse(&document, "audience",
               "an audience is chosen for a universal event; what holds of the customer whose event"
               " or change fires it belongs into \"if\"");
    }
    trigger->condition = str_trim(document_text(&document, "if", RULE_TEXT_BYTES_MAX));
    trigger->recheck = document_bool(&document, "recheck", false);
    trigger->wait_ms =
        document_duration(&document, "wait", 0, INSTANT_SECOND_MS, 90 * INSTANT_DAY_MS);
    refuse(&document, "fields",
           "fields of a trigger are not available yet: a subscription chooses its own");
    read_gates(&document, trigger);
    struct str mode = read_word(&document, "mode", MODES, ARRAY_COUNT(MODES));
    trigger->mode = mode.size > 0 ? trigger_mode_from_name(mode) : TRIGGER_DRAFT;
    return document.status;
}

/* --- writing ------------------------------------------------------------------------ */

static void put_duration_or_null(struct jsonw *json, const char *name, int64_t ms)
{
    char text[32];
    if (ms == 0) {
        jsonw_put_null(json, name);
        return;
    }
    duration_format(ms, text);
    jsonw_put_z(json, name, text);
}

static void put_millionths(struct jsonw *json, const char *name, int64_t millionths)
{
    char text[24];
    size_t size = rule_number_format(millionths, text);
    jsonw_put_raw(json, name, (struct str){ text, size });
}

static void write_cap(struct jsonw *json, const char *name, struct trigger_cap cap)
{
    if (cap.count == 0) {
        jsonw_put_null(json, name);
        return;
    }
    jsonw_key(json, name);
    jsonw_open(json);
    jsonw_put_i64(json, "count", cap.count);
    put_duration_or_null(json, "per", cap.per_ms);
    jsonw_close(json);
}

static void put_clock(struct jsonw *json, const char *name, int32_t minute)
{
    char text[16];
    (void)snprintf(text, sizeof(text), "%02d:%02d", (int)(minute / 60), (int)(minute % 60));
    jsonw_put_z(json, name, text);
}

static void write_quiet(struct jsonw *json, const struct trigger_quiet *quiet)
{
    if (!quiet->is_set) {
        jsonw_put_null(json, "quiet_hours");
        return;
    }
    jsonw_key(json, "quiet_hours");
    jsonw_open(json);
    put_clock(json, "from", quiet->from_minute);
    put_clock(json, "to", quiet->to_minute);
    jsonw_put_str(json, "zone", quiet->zone);
    jsonw_put_z(json, "then", quiet->drops ? "drop" : "defer");
    jsonw_close(json);
}

static void write_when(struct jsonw *json, const struct trigger *trigger)
{
    jsonw_key(json, "when");
    jsonw_open(json);
    jsonw_put_str(json, trigger_when_name(trigger->when), trigger->what);
    if (trigger->from.size > 0) {
        jsonw_put_str(json, "from", trigger->from);
    }
    if (trigger->to.size > 0) {
        jsonw_put_str(json, "to", trigger->to);
    }
    jsonw_close(json);
}

static void write_cooldown(struct jsonw *json, const struct trigger *trigger)
{
    if (trigger->cooldown_ms == 0) {
        jsonw_put_null(json, "cooldown");
        return;
    }
    jsonw_key(json, "cooldown");
    jsonw_open(json);
    put_duration_or_null(json, "for", trigger->cooldown_ms);
    jsonw_put_z(json, "per", trigger_per_name(trigger->cooldown_per));
    jsonw_close(json);
}

void trigger_write_json(struct jsonw *json, const struct trigger_row *row)
{
    const struct trigger *trigger = &row->definition;
    jsonw_open(json);
    jsonw_put_id(json, "id", trigger->id);
    jsonw_put_str(json, "name", trigger->name);
    jsonw_put_str(json, "title", trigger->title);
    jsonw_put_str(json, "topic", trigger->topic);
    write_when(json, trigger);
    if (trigger->when == TRIGGER_UNIVERSAL) {
        jsonw_put_str_or_null(json, "audience", trigger->audience);
    }
    jsonw_put_str_or_null(json, "if", trigger->condition);
    put_duration_or_null(json, "wait", trigger->wait_ms);
    jsonw_put_bool(json, "recheck", trigger->recheck);
    jsonw_put_str_or_null(json, "channel", trigger->channel);
    jsonw_put_bool(json, "once", trigger->once);
    write_cooldown(json, trigger);
    write_cap(json, "cap_per_profile", trigger->profile_cap);
    write_cap(json, "cap_total", trigger->total_cap);
    jsonw_put_i64(json, "priority", trigger->priority);
    put_duration_or_null(json, "expires", trigger->expires_ms);
    write_quiet(json, &trigger->quiet);
    put_millionths(json, "holdout", trigger->holdout);
    jsonw_put_bool(json, "require_history", trigger->require_history);
    jsonw_put_z(json, "mode", trigger_mode_name(trigger->mode));
    jsonw_put_instant(json, "paused_at", row->paused_at_ms);
    jsonw_put_i64(json, "version", trigger->version);
    jsonw_put_instant(json, "created_at", row->created_at_ms);
    jsonw_put_instant(json, "updated_at", row->updated_at_ms);
    jsonw_close(json);
}
