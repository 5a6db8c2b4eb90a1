#include "base/jsonw.h"
#include "base/limits.h"
#include "core/trigger/envelope.h"
#include "decision_priv.h"

/*
 * The body of a notification: contract 3's envelope around contract 4's data.
 *
 * `data` is one object named by the first half of the type, and the profile as
 * it was at that moment. What an event says is its properties, which the
 * adapters wrote in canonical names, so nothing is translated here.
 *
 * A body over the limit is written again, thin: ids only, and `truncated`. The
 * receiver that wants the rest asks for it by id; a message that is refused by
 * every proxy on the way would help nobody.
 */

/* A body is built in one buffer; beyond this even the thin form is hopeless. */
#define RENDER_BYTES_MAX ((size_t)8 * 1024 * 1024)
/* Envelope and profile; reserved at once, for growing copies. */
#define RENDER_BYTES_TYPICAL 1536u

static struct str source_name(const struct decide_context *context, struct id source_id)
{
    for (size_t i = 0; i < context->source_count; i++) {
        if (id_equal(context->sources[i].id, source_id)) {
            return context->sources[i].name;
        }
    }
    return (struct str){ 0 };
}

static struct str event_name(const struct event *event)
{
    return event->type == EVENT_CUSTOM ? event->name
                                       : str_from_z(event_type_info(event->type)->name);
}

static void write_cause(struct jsonw *json, const struct decide_context *context,
                        const struct pending_bell *bell)
{
    jsonw_key(json, "cause");
    jsonw_open(json);
    if (bell->backfill != NULL) {
        const struct rule_definition *rule = &bell->transition->rule->definition;
        jsonw_put_z(json, "kind", "rule");
        jsonw_put_str(json, "rule", rule->name);
        jsonw_put_i64(json, "rule_version", rule->version);
        jsonw_put_instant(json, "saved_at", bell->backfill->saved_at_ms);
    } else if (bell->event == NULL) {
        jsonw_put_z(json, "kind", "time");
        jsonw_put_instant(json, "due_at", bell->at_ms);
    } else {
        jsonw_put_z(json, "kind", "event");
        jsonw_put_id(json, "event_id", bell->event->id);
        jsonw_put_str(json, "event_type", event_name(bell->event));
        jsonw_put_str_or_null(json, "source", source_name(context, bell->event->source_id));
        jsonw_put_instant(json, "occurred_at", bell->event->occurred_at_ms);
    }
    jsonw_close(json);
}

static void put_text_or_null(struct jsonw *json, const char *key, bool has, struct str text)
{
    if (has) {
        jsonw_put_str(json, key, text);
    } else {
        jsonw_put_null(json, key);
    }
}

/* "lifecycle", "tier", "tag" or "segment": the rule and what it says now. */
static void write_transition(struct jsonw *json, const struct pending_bell *bell)
{
    const struct transition_row *row = bell->transition;
    const struct rule_definition *rule = &row->rule->definition;
    bool has_values = rule->kind == RULE_KIND_LIFECYCLE || rule->kind == RULE_KIND_TIER;
    jsonw_key(json, rule_kind_name(rule->kind));
    jsonw_open(json);
    if (rule->kind != RULE_KIND_LIFECYCLE) {
        jsonw_put_str(json, "name", rule->name);
        jsonw_put_str(json, "title", rule->title);
    }
    if (has_values) {
        put_text_or_null(json, "from", row->had, row->from);
        put_text_or_null(json, "to", row->has, row->to);
    }
    jsonw_put_i64(json, "rule_version", rule->version);
    jsonw_put_instant(json, "since", row->at_ms);
    jsonw_put_instant(json, "until", row->has ? bell->until_ms : INSTANT_NEVER);
    if (row->had || has_values) {
        jsonw_put_instant(json, "previous_since", bell->previous_since_ms);
    }
    jsonw_close(json);
}

static void write_merge(struct jsonw *json, const struct identity_decision_row *merge)
{
    jsonw_key(json, "merge");
    jsonw_open(json);
    jsonw_put_id(json, "id", merge->id);
    jsonw_put_id(json, "from_id", merge->from_id);
    jsonw_put_id(json, "into_id", merge->into_id);
    jsonw_key(json, "because");
    jsonw_open(json);
    jsonw_put_z(json, "kind", identity_kind_name(merge->because));
    jsonw_close(json);
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

static void write_event_object(struct jsonw *json, const struct pending_bell *bell, bool thin)
{
    struct str object = { 0 };
    struct str action = { 0 };
    if (!str_split(bell->topic, '.', &object, &action)) {
        object = bell->topic;
    }
    jsonw_key_str(json, object);
    if (thin) {
        write_object_ids(json, bell->event);
        return;
    }
    struct str properties = bell->event->properties_json;
    if (properties.size == 0 && bell->event->order != NULL) {
        properties = bell->event->order->body_json;
    }
    jsonw_raw(json, properties.size > 0 ? properties : STR("{}"));
}

/* Thin without labels. */
static void write_data(struct jsonw *json, const struct decide_context *context,
                       const struct pending_bell *bell, const struct profile_labels *labels)
{
    bool thin = labels == NULL;
    jsonw_key(json, "data");
    jsonw_open(json);
    bool is_of_profile = str_starts_with(bell->topic, STR("profile."));
    if (bell->transition != NULL) {
        write_transition(json, bell);
    } else if (bell->merge != NULL) {
        write_merge(json, bell->merge);
    } else if (!is_of_profile) {
        write_event_object(json, bell, thin);
    }
    jsonw_key(json, "profile");
    if (thin) {
        jsonw_open(json);
        jsonw_put_id(json, "id", bell->profile.id);
        jsonw_close(json);
    } else {
        profile_write_default(json, &bell->profile, labels, context->currency);
    }
    jsonw_close(json);
}

static void write_body(struct buf *buf, const struct decide_context *context,
                       const struct pending_bell *bell, int64_t recorded_at_ms,
                       const struct profile_labels *labels)
{
    struct jsonw json;
    jsonw_begin(&json, buf);
    envelope_open(&json, &(struct envelope){ .id = bell->row.id,
                                             .type = bell->topic,
                                             .at_ms = bell->at_ms,
                                             .recorded_at_ms = recorded_at_ms,
                                             .workspace = context->workspace_name,
                                             .sequence = bell->row.sequence });
    if (labels == NULL) {
        jsonw_put_bool(&json, "truncated", true);
    }
    write_cause(&json, context, bell);
    write_data(&json, context, bell, labels);
    jsonw_close(&json);
}

/* First, last and largest order after one went away are known only when the
 * shell has looked at the orders that remain. */
static struct pending_bell with_extremes(const struct pending_bell *bell)
{
    struct pending_bell whole = *bell;
    if (whole.profile.orders_shrunk && whole.live->orders.count > 0) {
        whole.profile.orders.first_at_ms = whole.live->orders.first_at_ms;
        whole.profile.orders.last_at_ms = whole.live->orders.last_at_ms;
        whole.profile.orders.largest_minor = whole.live->orders.largest_minor;
    }
    return whole;
}

static size_t object_size(const struct pending_bell *bell)
{
    bool has_object = bell->event != NULL && bell->transition == NULL && bell->merge == NULL &&
                      !str_starts_with(bell->topic, STR("profile."));
    return has_object ? bell->event->properties_json.size : 0;
}

bool render_body(struct arena *arena, const struct decide_context *context,
                 const struct pending_bell *bell, int64_t recorded_at_ms, struct str *out_body)
{
    struct pending_bell whole = with_extremes(bell);
    struct buf buf;
    buf_init(&buf, arena, RENDER_BYTES_MAX);
    buf_reserve(&buf, RENDER_BYTES_TYPICAL + object_size(&whole));
    struct profile_labels labels;
    if (!profile_labels_of(arena, &whole.profile, bell->ruleset, &labels)) {
        return false;
    }
    write_body(&buf, context, &whole, recorded_at_ms, &labels);
    if (!buf.failed && buf.size > (size_t)LIMIT_DELIVERY_BODY_BYTES) {
        buf_reset(&buf);
        write_body(&buf, context, &whole, recorded_at_ms, NULL);
    }
    if (buf.failed) {
        return false;
    }
    *out_body = buf_str(&buf);
    return true;
}
