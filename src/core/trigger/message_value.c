#include <assert.h>

#include "base/instant.h"
#include "base/money.h"
#include "core/mask.h"
#include "message_priv.h"
#include "program_priv.h"
#include "scan_priv.h"

/*
 * What the names of a message's parts say.
 *
 * What rules can read is read by the rules' own code, so a filter and a field
 * never differ; what is JSON already (traits, preferences, properties) is told as
 * it stands.
 *
 * Masking is done here, where the value is still known by its name: renamed, it
 * would not be found again.
 */

/* JSON text as it stands, or a value of the rules' language. */
struct told {
    struct str json; /* empty: see value */
    struct rule_value value;
    int decimals; /* of a number: at least so many */
};

static struct told told_text(struct str text)
{
    struct told told = { .value = RULE_VALUE_NULL };
    if (text.size > 0) {
        told.value = (struct rule_value){ .type = RULE_TEXT, .text = text };
    }
    return told;
}

static struct told told_id(struct arena *arena, struct id id)
{
    char text[ID_TEXT_SIZE];
    if (id_is_zero(id)) {
        return told_text((struct str){ NULL, 0 });
    }
    id_format(id, text);
    return told_text(str_dup(arena, str_from_z(text)));
}

static struct told told_instant(int64_t ms)
{
    struct told told = { .value = RULE_VALUE_NULL };
    if (ms != INSTANT_NONE && ms != INSTANT_NEVER) {
        told.value = (struct rule_value){ .type = RULE_INSTANT, .ms = ms };
    }
    return told;
}

static struct told told_count(int64_t count)
{
    struct told told = { .value = RULE_VALUE_NULL };
    int64_t number = 0;
    if (!__builtin_mul_overflow(count, RULE_NUMBER_ONE, &number)) {
        told.value = (struct rule_value){ .type = RULE_NUMBER, .number = number };
    }
    return told;
}

/* A JSON value, masked by the name it is known by. */
static struct told told_json(struct arena *arena, const struct message *message, struct str key,
                             struct str json)
{
    struct str shown = message->is_masked && json.size > 0 ? mask_value(arena, key, json) : json;
    if (shown.size == 0 || str_equal(shown, STR("null"))) {
        return told_text((struct str){ NULL, 0 });
    }
    return (struct told){ .json = shown };
}

typedef void write_part_fn(struct jsonw *json, const struct message *message);

static void write_tiers(struct jsonw *json, const struct message *message)
{
    jsonw_open(json);
    for (size_t i = 0; i < message->labels->tier_count; i++) {
        jsonw_key_str(json, message->labels->tiers[i].name);
        jsonw_str(json, message->labels->tiers[i].value);
    }
    jsonw_close(json);
}

static void write_traits(struct jsonw *json, const struct message *message)
{
    profile_write_facts(json, message->profile, FACT_TRAIT);
}

static void write_preferences(struct jsonw *json, const struct message *message)
{
    profile_write_facts(json, message->profile, FACT_PREFERENCE);
}

static void write_consent(struct jsonw *json, const struct message *message)
{
    profile_write_facts(json, message->profile, FACT_CONSENT);
}

enum {
    PART_BYTES_MAX = 4 * 1024 * 1024
};

static struct told told_part(struct arena *arena, const struct message *message, const char *key,
                             write_part_fn *write)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, arena, PART_BYTES_MAX);
    jsonw_begin(&json, &buf);
    write(&json, message);
    return told_json(arena, message, str_from_z(key), buf_str(&buf));
}

static struct told profile_member(struct arena *arena, const struct message *message,
                                  enum profile_member member)
{
    switch (member) {
    case PROFILE_ID:
        return told_id(arena, message->profile->id);
    case PROFILE_SEQUENCE:
        return told_count(message->sequence);
    case PROFILE_CURRENCY:
        return told_text(message->currency);
    case PROFILE_TIERS:
        return told_part(arena, message, "tiers", write_tiers);
    case PROFILE_TRAITS:
        return told_part(arena, message, "traits", write_traits);
    case PROFILE_PREFERENCES:
        return told_part(arena, message, "preferences", write_preferences);
    case PROFILE_CONSENT:
        return told_part(arena, message, "consent", write_consent);
    case PROFILE_CART:
        return told_json(arena, message, STR("cart"), message->profile->cart_json);
    }
    assert(false);
    return told_text((struct str){ NULL, 0 });
}

/* Facts keep their JSON: a trait may be a list or an object. */
static bool fact_json(const struct message *message, const struct rule_name *rule,
                      struct str *out_key, struct str *out_json)
{
    enum fact_kind kind = FACT_TRAIT;
    struct str key = rule->key;
    switch ((int)rule->attribute) {
    case RULE_EMAIL:
        key = STR("email");
        break;
    case RULE_PHONE:
        key = STR("phone");
        break;
    case RULE_TRAIT:
        break;
    case RULE_PREFERENCE:
        kind = FACT_PREFERENCE;
        break;
    default:
        return false;
    }
    const struct profile_fact *fact = attribute_fact(message->profile, kind, key);
    *out_key = key;
    *out_json = fact != NULL ? fact->value_json : (struct str){ NULL, 0 };
    return true;
}

static int decimals_of(const struct message *message, enum rule_attribute attribute)
{
    switch ((int)attribute) {
    case RULE_ORDERS_REVENUE:
    case RULE_ORDERS_NET:
    case RULE_ORDERS_AVERAGE_VALUE:
    case RULE_ORDERS_LARGEST_VALUE:
    case RULE_ORDERS_REFUNDED:
    case RULE_CART_VALUE:
        return (int)money_decimals(message->currency);
    default:
        return 0;
    }
}

/* By name already: the verdicts of that moment. */
static bool told_label(struct arena *arena, const struct message *message,
                       const struct rule_name *rule, struct told *out_told)
{
    const struct profile_labels *labels = message->labels;
    const struct str *names = rule->attribute == RULE_TAGS ? labels->tags : labels->segments;
    size_t count = rule->attribute == RULE_TAGS ? labels->tag_count : labels->segment_count;
    *out_told = told_text((struct str){ NULL, 0 });
    switch ((int)rule->attribute) {
    case RULE_LIFECYCLE:
        *out_told = told_text(labels->lifecycle);
        return true;
    case RULE_TIER:
        for (size_t i = 0; i < labels->tier_count; i++) {
            if (str_equal(labels->tiers[i].name, rule->key)) {
                *out_told = told_text(labels->tiers[i].value);
            }
        }
        return true;
    case RULE_TAGS:
    case RULE_SEGMENTS:
        break;
    default:
        return false;
    }
    struct rule_value *items = ARENA_NEW_ARRAY(arena, count + 1, struct rule_value);
    for (size_t i = 0; items != NULL && i < count; i++) {
        items[i] = (struct rule_value){ .type = RULE_TEXT, .text = names[i] };
    }
    out_told->value =
        (struct rule_value){ .type = RULE_LIST, .list = { items, items != NULL ? count : 0 } };
    return true;
}

static struct told told_profile(struct arena *arena, const struct message *message,
                                const struct message_name *name)
{
    struct str key = { NULL, 0 };
    struct str json = { NULL, 0 };
    int64_t until_ms = INSTANT_NEVER;
    if (name->rule.attribute == RULE_ATTRIBUTE_NONE) {
        return profile_member(arena, message, (enum profile_member)name->member);
    }
    if (fact_json(message, &name->rule, &key, &json)) {
        return told_json(arena, message, key, json);
    }
    struct told told;
    if (told_label(arena, message, &name->rule, &told)) {
        return told;
    }
    return (struct told){
        .value = attribute_read(arena, &message->subject, &name->rule, message->at_ms, &until_ms),
        .decimals = decimals_of(message, name->rule.attribute),
    };
}

static struct told told_event(struct arena *arena, const struct message *message,
                              const struct message_name *name)
{
    static const struct rule_name type = { .attribute = RULE_EVENT_TYPE };
    const struct event *event = message->event;
    struct str json = { NULL, 0 };
    int64_t until_ms = INSTANT_NEVER;
    if (event == NULL) {
        return told_text(json);
    }
    switch ((enum event_member)name->member) {
    case EVENT_ALL:
        json = message->fact->properties_json;
        return told_json(arena, message, json, json.size > 0 ? json : STR("{}"));
    case EVENT_ID:
        return told_id(arena, event->id);
    case EVENT_TYPE:
        return (struct told){ .value = attribute_read(arena, &message->subject, &type,
                                                      message->at_ms, &until_ms) };
    case EVENT_SOURCE:
        return told_text(message->source);
    case EVENT_OCCURRED_AT:
        return told_instant(event->occurred_at_ms);
    case EVENT_PROPERTY:
        break;
    }
    struct str last = name->steps[name->step_count - 1];
    struct str path = str_printf(arena, "%.*s", STR_ARG(name->steps[1]));
    for (size_t i = 2; i < name->step_count; i++) {
        path = str_printf(arena, "%.*s.%.*s", STR_ARG(path), STR_ARG(name->steps[i]));
    }
    if (property_json(arena, message->fact, path, &json)) {
        return told_json(arena, message, last, json);
    }
    struct rule_value value = property_get(arena, message->fact, path);
    bool is_personal = message->is_masked && mask_kind_of(last) != MASK_NOT;
    return (struct told){ .value = is_personal ? RULE_VALUE_NULL : value };
}

/* Of a tag or segment that holds: "true", as in GET /v1/transitions. */
static struct str verdict_text(bool holds, struct str value)
{
    if (!holds) {
        return (struct str){ NULL, 0 };
    }
    return value.size > 0 ? value : STR("true");
}

struct rule_transition message_transition(const struct transition_row *row)
{
    if (row == NULL) {
        return (struct rule_transition){ .rule = { NULL, 0 } };
    }
    return (struct rule_transition){
        .rule = row->rule->definition.name,
        .kind = str_from_z(rule_kind_name(row->rule->definition.kind)),
        .from = verdict_text(row->had, row->from),
        .to = verdict_text(row->has, row->to),
    };
}

static struct told told_transition(const struct message *message, const struct message_name *name)
{
    const struct rule_transition told = message_transition(message->transition);
    switch ((enum transition_member)name->member) {
    case TRANSITION_RULE:
        return told_text(told.rule);
    case TRANSITION_KIND:
        return told_text(told.kind);
    case TRANSITION_FROM:
        return told_text(told.from);
    case TRANSITION_TO:
        return told_text(told.to);
    }
    assert(false);
    return told_text((struct str){ NULL, 0 });
}

static struct told told_rule(const struct message *message, const struct message_name *name)
{
    const struct transition_row *row = message->transition;
    if (row == NULL || row->rule->definition.kind != name->kind) {
        return told_text((struct str){ NULL, 0 });
    }
    bool has_values = name->kind == RULE_KIND_LIFECYCLE || name->kind == RULE_KIND_TIER;
    switch ((enum rule_member)name->member) {
    case RULE_NAME:
        return told_text(row->rule->definition.name);
    case RULE_TITLE:
        return told_text(row->rule->definition.title);
    case RULE_FROM:
        return has_values && row->had ? told_text(row->from) : told_text((struct str){ NULL, 0 });
    case RULE_TO:
        return has_values && row->has ? told_text(row->to) : told_text((struct str){ NULL, 0 });
    case RULE_VERSION:
        return told_count(row->rule->definition.version);
    case RULE_SINCE:
        return told_instant(row->at_ms);
    case RULE_UNTIL:
        return told_instant(row->has ? message->until_ms : INSTANT_NEVER);
    case RULE_PREVIOUS_SINCE:
        return told_instant(row->had ? message->previous_since_ms : INSTANT_NONE);
    }
    assert(false);
    return told_text((struct str){ NULL, 0 });
}

static struct told told_merge(struct arena *arena, const struct message *message,
                              const struct message_name *name)
{
    if (message->merge == NULL) {
        return told_text((struct str){ NULL, 0 });
    }
    switch ((enum merge_member)name->member) {
    case MERGE_ID:
        return told_id(arena, message->merge->id);
    case MERGE_FROM_ID:
        return told_id(arena, message->merge->from_id);
    case MERGE_INTO_ID:
        return told_id(arena, message->merge->into_id);
    }
    assert(false);
    return told_text((struct str){ NULL, 0 });
}

static struct told told_trigger(const struct message *message, const struct message_name *name)
{
    const struct trigger *trigger = message->trigger;
    if (trigger == NULL) {
        return told_text((struct str){ NULL, 0 });
    }
    switch ((enum trigger_member)name->member) {
    case TRIGGER_NAME:
        return told_text(trigger->name);
    case TRIGGER_TITLE:
        return told_text(trigger->title);
    case TRIGGER_VERSION:
        return told_count(trigger->version);
    }
    assert(false);
    return told_text((struct str){ NULL, 0 });
}

static struct told told_notification(struct arena *arena, const struct message *message,
                                     const struct message_name *name)
{
    switch ((enum notification_member)name->member) {
    case NOTIFICATION_ID:
        return told_id(arena, message->id);
    case NOTIFICATION_TYPE:
        return told_text(message->topic);
    case NOTIFICATION_TIMESTAMP:
        return told_instant(message->at_ms);
    case NOTIFICATION_RECORDED_AT:
        return told_instant(message->recorded_at_ms);
    case NOTIFICATION_EXPIRES_AT:
        return told_instant(message->expires_at_ms > 0 ? message->expires_at_ms : INSTANT_NONE);
    case NOTIFICATION_SEQUENCE:
        return told_count(message->sequence);
    case NOTIFICATION_WORKSPACE:
        return told_text(message->workspace);
    case NOTIFICATION_CAUSE:
        return told_text(message->backfill != NULL ? STR("rule")
                         : message->event != NULL  ? STR("event")
                                                   : STR("time"));
    }
    assert(false);
    return told_text((struct str){ NULL, 0 });
}

static struct told read_name(struct arena *arena, const struct message *message,
                             const struct message_name *name)
{
    switch (name->object) {
    case MESSAGE_PROFILE:
        return told_profile(arena, message, name);
    case MESSAGE_EVENT:
        return told_event(arena, message, name);
    case MESSAGE_TRANSITION:
        return told_transition(message, name);
    case MESSAGE_RULE:
        return told_rule(message, name);
    case MESSAGE_MERGE:
        return told_merge(arena, message, name);
    case MESSAGE_TRIGGER:
        return told_trigger(message, name);
    case MESSAGE_NOTIFICATION:
        return told_notification(arena, message, name);
    }
    assert(false);
    return told_text((struct str){ NULL, 0 });
}

/* --- writing --------------------------------------------------------------- */

enum {
    SCALAR_SIZE = 40 /* the longest number, or an instant */
};
_Static_assert((int)SCALAR_SIZE >= (int)INSTANT_TEXT_SIZE, "an instant fits");

/* 1124.9 with two decimals is 1124.90, as money is written everywhere. */
static struct str number_text(int64_t number, int decimals, char *text)
{
    size_t size = rule_number_format(number, text);
    ptrdiff_t point = str_find((struct str){ text, size }, '.', 0);
    int has = point < 0 ? 0 : (int)(size - (size_t)point - 1);
    if (point < 0 && decimals > 0) {
        text[size++] = '.';
    }
    for (; has < decimals && size < SCALAR_SIZE; has++) {
        text[size++] = '0';
    }
    return (struct str){ text, size };
}

static struct str scalar_text(const struct rule_value *value, int decimals, char *text)
{
    switch (value->type) {
    case RULE_BOOL:
        return value->boolean ? STR("true") : STR("false");
    case RULE_NUMBER:
        return number_text(value->number, decimals, text);
    case RULE_TEXT:
        return value->text;
    case RULE_INSTANT:
        instant_format(value->ms, text);
        return str_from_z(text);
    case RULE_DATE: {
        instant_format(value->days * INSTANT_DAY_MS, text);
        return str_take(str_from_z(text), STR("2026-11-22").size);
    }
    case RULE_NULL:
    case RULE_DURATION:
    case RULE_LIST:
        break;
    }
    return (struct str){ NULL, 0 };
}

static void write_scalar(struct jsonw *json, const struct rule_value *value, int decimals)
{
    char text[SCALAR_SIZE];
    struct str shown = scalar_text(value, decimals, text);
    if (value->type == RULE_BOOL || value->type == RULE_NUMBER) {
        jsonw_raw(json, shown);
    } else if (shown.data == NULL) {
        jsonw_null(json);
    } else {
        jsonw_str(json, shown);
    }
}

void message_write_value(struct arena *arena, struct jsonw *json, const struct message *message,
                         const struct message_name *name)
{
    struct told told = read_name(arena, message, name);
    if (told.json.size > 0) {
        jsonw_raw(json, told.json);
        return;
    }
    if (told.value.type != RULE_LIST) {
        write_scalar(json, &told.value, told.decimals);
        return;
    }
    jsonw_open_array(json);
    for (size_t i = 0; i < told.value.list.count; i++) {
        write_scalar(json, &told.value.list.items[i], 0);
    }
    jsonw_close_array(json);
}

static void add_scalar(struct buf *buf, const struct rule_value *value, int decimals)
{
    char text[SCALAR_SIZE];
    buf_add_str(buf, scalar_text(value, decimals, text));
}

void message_add_text(struct arena *arena, struct buf *buf, const struct message *message,
                      const struct message_name *name)
{
    struct told told = read_name(arena, message, name);
    if (told.json.size > 0) {
        bool is_plain = told.json.data[0] != '"' && !scan_is_array(told.json);
        if (is_plain) { /* a number as it was told, or an object */
            buf_add_str(buf, told.json);
            return;
        }
        told.value = rule_value_from_json(arena, told.json);
    }
    if (told.value.type != RULE_LIST) {
        add_scalar(buf, &told.value, told.decimals);
        return;
    }
    for (size_t i = 0; i < told.value.list.count; i++) {
        buf_add_z(buf, i > 0 ? ", " : "");
        add_scalar(buf, &told.value.list.items[i], 0);
    }
}
