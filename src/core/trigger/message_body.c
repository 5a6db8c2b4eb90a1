#include "base/instant.h"
#include "core/mask.h"
#include "message_priv.h"

/*
 * What a body says: contract 3's cause and contract 4's data.
 *
 * `data` is one object named by the first half of the type, and the profile as
 * it was at that moment. What an event says is its properties, which the
 * adapters wrote in canonical names, so nothing is translated here.
 *
 * Two things in it are JSON of other hands and may hold anything: an event's
 * properties and the customer's facts. For who may not see people they are masked
 * as a whole, after they were written.
 */

void message_write_cause(struct jsonw *json, const struct message *message)
{
    jsonw_key(json, "cause");
    jsonw_open(json);
    if (message->backfill != NULL) {
        const struct rule_definition *rule = &message->transition->rule->definition;
        jsonw_put_z(json, "kind", "rule");
        jsonw_put_str(json, "rule", rule->name);
        jsonw_put_i64(json, "rule_version", rule->version);
        jsonw_put_instant(json, "saved_at", message->backfill->saved_at_ms);
    } else if (message->event == NULL) {
        jsonw_put_z(json, "kind", "time");
        jsonw_put_instant(json, "due_at", message->at_ms);
    } else {
        const struct event *event = message->event;
        jsonw_put_z(json, "kind", "event");
        jsonw_put_id(json, "event_id", event->id);
        jsonw_put_str(json, "event_type",
                      event->type == EVENT_CUSTOM ? event->name
                                                  : str_from_z(event_type_info(event->type)->name));
        jsonw_put_str_or_null(json, "source", message->source);
        jsonw_put_instant(json, "occurred_at", event->occurred_at_ms);
    }
    jsonw_close(json);
}

/* --- the object -------------------------------------------------------------- */

static void put_text_or_null(struct jsonw *json, const char *key, bool has, struct str text)
{
    if (has) {
        jsonw_put_str(json, key, text);
    } else {
        jsonw_put_null(json, key);
    }
}

/* "lifecycle", "tier", "tag" or "segment": the rule and what it says now. */
static void write_transition(struct jsonw *json, const struct message *message, bool is_thin)
{
    const struct transition_row *row = message->transition;
    const struct rule_definition *rule = &row->rule->definition;
    bool has_values = rule->kind == RULE_KIND_LIFECYCLE || rule->kind == RULE_KIND_TIER;
    jsonw_key(json, rule_kind_name(rule->kind));
    jsonw_open(json);
    if (rule->kind != RULE_KIND_LIFECYCLE) {
        jsonw_put_str(json, "name", rule->name);
    }
    if (rule->kind != RULE_KIND_LIFECYCLE && !is_thin) {
        jsonw_put_str(json, "title", rule->title);
    }
    if (has_values) {
        put_text_or_null(json, "from", row->had, row->from);
        put_text_or_null(json, "to", row->has, row->to);
    }
    if (!is_thin) {
        jsonw_put_i64(json, "rule_version", rule->version);
        jsonw_put_instant(json, "since", row->at_ms);
        jsonw_put_instant(json, "until", row->has ? message->until_ms : INSTANT_NEVER);
    }
    if (!is_thin && (row->had || has_values)) {
        jsonw_put_instant(json, "previous_since", message->previous_since_ms);
    }
    jsonw_close(json);
}

static void write_merge(struct jsonw *json, const struct identity_decision_row *merge, bool is_thin)
{
    jsonw_key(json, "merge");
    jsonw_open(json);
    jsonw_put_id(json, "id", merge->id);
    jsonw_put_id(json, "from_id", merge->from_id);
    jsonw_put_id(json, "into_id", merge->into_id);
    if (!is_thin) {
        jsonw_key(json, "because");
        jsonw_open(json);
        jsonw_put_z(json, "kind", identity_kind_name(merge->because));
        jsonw_close(json);
    }
    jsonw_close(json);
}

/* Ids of the event's object, for a thin body. */
static void write_object_ids(struct jsonw *json, const struct event *event)
{
    jsonw_open(json);
    if (event->order != NULL) {
        jsonw_put_str(json, "order_id", event->order->order_ref);
    }
    if (event->product_id.size > 0) {
        jsonw_put_str(json, "product_id", event->product_id);
    }
    jsonw_close(json);
}

static void write_properties(struct arena *arena, struct jsonw *json, const struct message *message,
                             bool is_thin)
{
    if (is_thin) {
        write_object_ids(json, message->event);
        return;
    }
    struct str properties = message->event->properties_json;
    if (properties.size == 0 && message->event->order != NULL) {
        properties = message->event->order->body_json;
    }
    if (message->is_masked && properties.size > 0) {
        properties = mask_value(arena, (struct str){ NULL, 0 }, properties);
    }
    jsonw_raw(json, properties.size > 0 ? properties : STR("{}"));
}

static void write_event_object(struct arena *arena, struct jsonw *json,
                               const struct message *message, bool is_thin)
{
    struct str object = { 0 };
    struct str action = { 0 };
    if (!str_split(message->topic, '.', &object, &action)) {
        object = message->topic;
    }
    jsonw_key_str(json, object);
    write_properties(arena, json, message, is_thin);
}

/* The event under its own name: the topic's first half is the trigger's. */
static void write_causing_event(struct arena *arena, struct jsonw *json,
                                const struct message *message, bool is_thin)
{
    const struct event *event = message->event;
    jsonw_key(json, "event");
    jsonw_open(json);
    jsonw_put_id(json, "id", event->id);
    jsonw_put_str(json, "type", event->name);
    if (!is_thin) {
        jsonw_put_str_or_null(json, "source", message->source);
        jsonw_put_instant(json, "occurred_at", event->occurred_at_ms);
    }
    jsonw_key(json, "properties");
    write_properties(arena, json, message, is_thin);
    jsonw_close(json);
}

static void write_trigger(struct arena *arena, struct jsonw *json, const struct message *message,
                          bool is_thin)
{
    const struct trigger *trigger = message->trigger;
    jsonw_key(json, "trigger");
    jsonw_open(json);
    jsonw_put_str(json, "name", trigger->name);
    if (!is_thin) {
        jsonw_put_str(json, "title", trigger->title);
    }
    jsonw_put_i64(json, "version", trigger->version);
    jsonw_close(json);
    if (message->transition != NULL) {
        write_transition(json, message, is_thin);
    } else {
        write_causing_event(arena, json, message, is_thin);
    }
}

static bool is_of_profile(const struct message *message)
{
    return str_starts_with(message->topic, STR("profile."));
}

static void write_object(struct arena *arena, struct jsonw *json, const struct message *message,
                         bool is_thin)
{
    if (message->trigger != NULL) {
        write_trigger(arena, json, message, is_thin);
    } else if (message->transition != NULL) {
        write_transition(json, message, is_thin);
    } else if (message->merge != NULL) {
        write_merge(json, message->merge, is_thin);
    } else if (!is_of_profile(message)) {
        write_event_object(arena, json, message, is_thin);
    }
}

/* --- the profile ------------------------------------------------------------- */

enum {
    PROFILE_BYTES_MAX = 1024 * 1024
};

static void write_profile(struct arena *arena, struct jsonw *json, const struct message *message)
{
    jsonw_key(json, "profile");
    if (!message->is_masked) {
        profile_write_default(json, message->profile, message->labels, message->currency);
        return;
    }
    struct buf buf;
    struct jsonw own;
    buf_init(&buf, arena, PROFILE_BYTES_MAX);
    jsonw_begin(&own, &buf);
    profile_write_default(&own, message->profile, message->labels, message->currency);
    jsonw_raw(json, mask_value(arena, (struct str){ NULL, 0 }, buf_str(&buf)));
}

static void write_profile_id(struct jsonw *json, const struct message *message)
{
    jsonw_key(json, "profile");
    jsonw_open(json);
    jsonw_put_id(json, "id", message->profile->id);
    jsonw_close(json);
}

/* Names in an order that keeps those of one object together. */
static void write_names(struct arena *arena, struct jsonw *json,
                        const struct projection *projection, const struct message *message)
{
    const struct message_name *last = NULL;
    size_t open = 0;
    for (size_t i = 0; i < projection->name_count; i++) {
        const struct message_name *name = &projection->names[i];
        size_t shared = 0;
        while (last != NULL && shared < open && shared + 1 < name->step_count &&
               str_equal(last->steps[shared], name->steps[shared])) {
            shared++;
        }
        for (; open > shared; open--) {
            jsonw_close(json);
        }
        for (; open + 1 < name->step_count; open++) {
            jsonw_key_str(json, name->steps[open]);
            jsonw_open(json);
        }
        jsonw_key_str(json, name->steps[open]);
        message_write_value(arena, json, message, name);
        last = name;
    }
    for (; open > 0; open--) {
        jsonw_close(json);
    }
}

/* --- what changed ------------------------------------------------------------ */

/* By the name that a rule would ask: "tiers.basket", "lifecycle"; a tag or segment
 * by its name in the list, which it is in or not. */
static void write_change(struct arena *arena, struct jsonw *json, const struct transition_row *row)
{
    static const char *const families[] = {
        [RULE_KIND_TAG] = "tags",
        [RULE_KIND_SEGMENT] = "segments",
        [RULE_KIND_TIER] = "tiers",
    };
    const struct rule_definition *rule = &row->rule->definition;
    bool has_values = rule->kind == RULE_KIND_LIFECYCLE || rule->kind == RULE_KIND_TIER;
    if (rule->kind == RULE_KIND_LIFECYCLE) {
        jsonw_key(json, "lifecycle");
    } else {
        jsonw_key_str(json,
                      str_printf(arena, "%s.%.*s", families[rule->kind], STR_ARG(rule->name)));
    }
    jsonw_open(json);
    if (has_values) {
        put_text_or_null(json, "from", row->had, row->from);
        put_text_or_null(json, "to", row->has, row->to);
    } else {
        jsonw_put_bool(json, "from", row->had);
        jsonw_put_bool(json, "to", row->has);
    }
    jsonw_close(json);
}

static void write_changed(struct arena *arena, struct jsonw *json, const struct message *message)
{
    jsonw_key(json, "changed");
    jsonw_open(json);
    if (message->transition != NULL) {
        write_change(arena, json, message->transition);
    }
    for (size_t i = 0; message->transition == NULL && i < message->change_count; i++) {
        write_change(arena, json, message->changes[i]);
    }
    jsonw_close(json);
}

/* --- data -------------------------------------------------------------------- */

static void write_fields(struct arena *arena, struct jsonw *json,
                         const struct projection *projection, const struct message *message)
{
    switch (projection->fields) {
    case PROJECTION_DEFAULT:
        write_object(arena, json, message, false);
        write_profile(arena, json, message);
        break;
    case PROJECTION_THIN:
        write_object(arena, json, message, true);
        write_profile_id(json, message);
        break;
    case PROJECTION_FULL:
        write_object(arena, json, message, false);
        write_names(arena, json, projection, message);
        break;
    case PROJECTION_CHANGED:
        write_object(arena, json, message, true);
        write_profile_id(json, message);
        write_changed(arena, json, message);
        break;
    case PROJECTION_LIST:
        write_names(arena, json, projection, message);
        break;
    }
}

void message_write_data(struct arena *arena, struct jsonw *json,
                        const struct projection *projection, const struct message *message,
                        bool is_truncated)
{
    if (is_truncated) {
        write_object(arena, json, message, true);
        write_profile_id(json, message);
        return;
    }
    write_fields(arena, json, projection, message);
    for (size_t i = 0; i < projection->member_count; i++) {
        jsonw_key_str(json, projection->members[i].key);
        template_write(arena, json, &projection->members[i].value, message);
    }
}
