#include "core/rule/property.h"

#include <assert.h>
#include <string.h>

#include "base/instant.h"
#include "base/money.h"
#include "scan_priv.h"

/*
 * Facts seen through their property names.
 *
 * Most rules ask for a column (the amount, the product, the category) and the
 * JSON is never looked at. The first other question scans the top object once
 * into a table of members that borrow from the text; a value is read from its
 * member when it is asked for.
 *
 * Invariant: the text is one that our adapters wrote, so the scan tells
 * members apart and judges nothing. It never leaves the text: what is cut off
 * or out of place ends it, and what came before stands.
 *
 * A path is walked a step at a time over a list of values, not by recursion:
 * an object gives its member, an array the members of its items. Once an array
 * was passed, the answer is a list, and a list of nothing is null.
 */

enum {
    MEMBERS_FIRST = 16,
    /* A hostile payload of 64 KiB has 10,000 members; a real one forty. */
    MEMBERS_MAX = 512,
};

struct property {
    struct str key; /* between its quotes; unescaped */
    struct str value_json;
};

/* Without the quotes, and without escapes where there are any. */
static struct str key_text(struct arena *arena, struct str quoted)
{
    struct str inside = str_take(str_drop(quoted, 1), quoted.size - 2);
    if (str_find(inside, '\\', 0) < 0) {
        return inside;
    }
    struct rule_value value = rule_value_from_json(arena, quoted);
    return value.type == RULE_TEXT ? value.text : inside;
}

static bool find_member(struct arena *arena, struct str object, struct str key,
                        struct str *out_value)
{
    struct str rest = str_drop(object, 1);
    struct str quoted = { 0 };
    struct str value = { 0 };
    while (scan_next_member(&rest, &quoted, &value)) {
        if (str_equal(key_text(arena, quoted), key)) {
            *out_value = value;
            return true;
        }
    }
    return false;
}

/* --- the table -------------------------------------------------------------- */

static bool table_grow(struct arena *arena, struct property_view *view, size_t *capacity)
{
    size_t wanted = *capacity == 0 ? MEMBERS_FIRST : *capacity * 2;
    struct property *properties = ARENA_NEW_ARRAY(arena, wanted, struct property);
    if (properties == NULL) {
        return false;
    }
    for (size_t i = 0; i < view->property_count; i++) {
        properties[i] = view->properties[i];
    }
    view->properties = properties;
    *capacity = wanted;
    return true;
}

static void scan(struct arena *arena, struct property_view *view)
{
    view->is_scanned = true;
    struct str object = scan_space(view->properties_json);
    if (!scan_is_object(object)) {
        return;
    }
    struct str rest = str_drop(object, 1);
    struct str quoted = { 0 };
    struct str value = { 0 };
    size_t capacity = 0;
    while (view->property_count < MEMBERS_MAX && scan_next_member(&rest, &quoted, &value)) {
        if (view->property_count == capacity && !table_grow(arena, view, &capacity)) {
            return;
        }
        view->properties[view->property_count++] =
            (struct property){ key_text(arena, quoted), value };
    }
}

static bool table_find(struct arena *arena, struct property_view *view, struct str key,
                       struct str *out_value)
{
    if (!view->is_scanned) {
        scan(arena, view);
    }
    for (size_t i = 0; i < view->property_count; i++) {
        if (str_equal(view->properties[i].key, key)) {
            *out_value = view->properties[i].value_json;
            return true;
        }
    }
    return false;
}

/* --- paths ------------------------------------------------------------------ */

/* The values that a path has reached, in the order of the text. */
struct trail {
    struct arena *arena;
    struct str *values; /* RULE_LIST_ITEMS_MAX; the rest is left out */
    size_t count;
    bool is_list; /* an array was passed */
};

static void trail_add(struct trail *trail, struct str value)
{
    if (trail->count < RULE_LIST_ITEMS_MAX) {
        trail->values[trail->count++] = value;
    }
}

static bool trail_begin(struct trail *trail, struct arena *arena, bool is_list)
{
    *trail = (struct trail){ .arena = arena, .is_list = is_list };
    trail->values = ARENA_NEW_ARRAY(arena, RULE_LIST_ITEMS_MAX, struct str);
    return trail->values != NULL;
}

static void step_object(struct trail *to, struct str object, struct str key)
{
    struct str value = { 0 };
    if (find_member(to->arena, object, key, &value)) {
        trail_add(to, value);
    }
}

static void step_array(struct trail *to, struct str array, struct str key)
{
    struct str rest = str_drop(array, 1);
    struct str item = { 0 };
    to->is_list = true;
    while (scan_next_value(&rest, &item)) {
        if (scan_is_object(item)) {
            step_object(to, item, key);
        }
    }
}

static void step(const struct trail *from, struct trail *to, struct str key)
{
    for (size_t i = 0; i < from->count; i++) {
        if (scan_is_object(from->values[i])) {
            step_object(to, from->values[i], key);
        } else if (scan_is_array(from->values[i])) {
            step_array(to, from->values[i], key);
        }
    }
}

static bool is_scalar(struct rule_value value)
{
    return value.type != RULE_NULL && value.type != RULE_LIST;
}

static void append_scalars(struct rule_value *items, size_t *count, struct rule_value value)
{
    if (is_scalar(value) && *count < RULE_LIST_ITEMS_MAX) {
        items[(*count)++] = value;
    }
    for (size_t i = 0; value.type == RULE_LIST && i < value.list.count; i++) {
        if (is_scalar(value.list.items[i]) && *count < RULE_LIST_ITEMS_MAX) {
            items[(*count)++] = value.list.items[i];
        }
    }
}

static struct rule_value trail_list(const struct trail *trail)
{
    struct rule_value *items =
        ARENA_NEW_ARRAY(trail->arena, RULE_LIST_ITEMS_MAX, struct rule_value);
    if (items == NULL) {
        return RULE_VALUE_NULL;
    }
    size_t count = 0;
    for (size_t i = 0; i < trail->count; i++) {
        append_scalars(items, &count, rule_value_from_json(trail->arena, trail->values[i]));
    }
    if (count == 0) {
        return RULE_VALUE_NULL;
    }
    return (struct rule_value){ .type = RULE_LIST, .list = { items, count } };
}

/* The value that `path` leads to from `json`. */
static struct rule_value walk(struct arena *arena, struct str json, struct str path)
{
    if (path.size == 0) {
        return rule_value_from_json(arena, json);
    }
    struct trail trail;
    if (!trail_begin(&trail, arena, false)) {
        return RULE_VALUE_NULL;
    }
    trail_add(&trail, json);
    while (path.size > 0) {
        struct str key = path;
        struct str rest = { 0 };
        (void)str_split(path, '.', &key, &rest);
        struct trail next;
        if (!trail_begin(&next, arena, trail.is_list)) {
            return RULE_VALUE_NULL;
        }
        step(&trail, &next, key);
        trail = next;
        path = rest;
    }
    if (trail.is_list) {
        return trail_list(&trail);
    }
    return trail.count > 0 ? rule_value_from_json(arena, trail.values[0]) : RULE_VALUE_NULL;
}

/* --- columns ---------------------------------------------------------------- */

static struct rule_value money_value(const struct property_view *view, int64_t minor)
{
    int64_t number = 0;
    if (!rule_number_from_minor(minor, (int)money_decimals(view->currency), &number)) {
        return RULE_VALUE_NULL;
    }
    return (struct rule_value){ .type = RULE_NUMBER, .number = number };
}

static struct rule_value net_value(const struct property_view *view)
{
    int64_t net = 0;
    if (!view->has_amount ||
        __builtin_sub_overflow(view->amount_minor, view->refunded_minor, &net)) {
        return RULE_VALUE_NULL;
    }
    return money_value(view, net);
}

static struct rule_value text_value(struct str text)
{
    return (struct rule_value){ .type = RULE_TEXT, .text = text };
}

/* What the columns say; false: they say nothing, ask the properties. */
static bool column_get(const struct property_view *view, struct str path,
                       struct rule_value *out_value)
{
    struct str text = { 0 };
    if (str_equal(path, STR("total")) || str_equal(path, STR("revenue"))) {
        /* An order without an amount is one in a foreign currency: the number
         * in its body is not the workspace's money. */
        bool is_order = view->type == EVENT_ORDER_COMPLETED;
        *out_value = view->has_amount ? money_value(view, view->amount_minor) : RULE_VALUE_NULL;
        return view->has_amount || is_order;
    }
    if (str_equal(path, STR("net"))) {
        *out_value = net_value(view);
        return true;
    }
    if (str_equal(path, STR("occurred_at"))) {
        *out_value = (struct rule_value){ .type = RULE_INSTANT, .ms = view->at_ms };
        return true;
    }
    if (str_equal(path, STR("product_id"))) {
        text = view->product_id;
    } else if (str_equal(path, STR("category"))) {
        text = view->category;
    } else if (str_equal(path, STR("currency"))) {
        text = view->currency;
    }
    *out_value = text_value(text);
    return text.size > 0;
}

struct rule_value property_get(struct arena *arena, struct property_view *view, struct str path)
{
    struct rule_value value = RULE_VALUE_NULL;
    struct str head = path;
    struct str rest = { 0 };
    bool has_rest = str_split(path, '.', &head, &rest);
    if (!has_rest && column_get(view, path, &value)) {
        return value;
    }
    if (has_rest && str_equal(head, STR("context"))) {
        return walk(arena, scan_space(view->context_json), rest);
    }
    struct str json = { 0 };
    if (table_find(arena, view, head, &json)) {
        return walk(arena, json, rest);
    }
    if (str_equal(path, STR("order_id")) && view->order_ref.size > 0) {
        return text_value(view->order_ref);
    }
    return RULE_VALUE_NULL;
}

bool property_json(struct arena *arena, struct property_view *view, struct str path,
                   struct str *out_json)
{
    struct str head = path;
    struct str rest = { 0 };
    struct str json = { 0 };
    bool has_rest = str_split(path, '.', &head, &rest);
    if (has_rest && str_equal(head, STR("context"))) {
        json = scan_space(view->context_json);
    } else if (!table_find(arena, view, head, &json)) {
        return false;
    }
    while (rest.size > 0) {
        struct str tail = { 0 };
        head = rest;
        (void)str_split(rest, '.', &head, &tail);
        if (!scan_is_object(json) || !find_member(arena, json, head, &json)) {
            return false;
        }
        rest = tail;
    }
    *out_json = json;
    return json.size > 0;
}

struct str rule_property_path(struct str name)
{
    struct str prefix = STR("event.");
    return str_starts_with(name, prefix) ? str_drop(name, prefix.size) : name;
}

void property_view_event(struct property_view *view, const struct event *event)
{
    const struct order_document *order = event->order;
    *view = (struct property_view){
        .type = event->type,
        .name = event->name,
        .id = event->id,
        .at_ms = event->occurred_at_ms,
        .currency = event->currency,
        .has_amount = event->has_amount,
        .amount_minor = event->amount_minor,
        .product_id = event->product_id,
        .category = event->category,
        .properties_json = event->properties_json,
        .context_json = event->context_json,
    };
    if (order != NULL) {
        view->order_ref = order->order_ref;
        view->refunded_minor = order->refunded_minor;
        /* The adapters leave the order's own properties in its body. */
        view->properties_json =
            event->properties_json.size > 0 ? event->properties_json : order->body_json;
    }
}

void property_view_order(struct property_view *view, const struct order *order)
{
    *view = (struct property_view){
        .type = EVENT_ORDER_COMPLETED,
        .name = STR("order.completed"),
        .id = event_id(order->source_id, STR("order"), order->order_ref),
        .at_ms = order->placed_at_ms,
        .currency = order->currency,
        .has_amount = order->contribution.counted && !order->contribution.foreign,
        .amount_minor = order->contribution.gross_minor,
        .refunded_minor = order->contribution.refunded_minor,
        .properties_json = order->body_json,
        .order_ref = order->order_ref,
    };
}
