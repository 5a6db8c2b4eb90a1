#ifndef CORE_RULE_PROPERTY_H
#define CORE_RULE_PROPERTY_H

/*
 * An event, or an order as it stands, seen through its property names.
 *
 * The properties' JSON was written by our adapters, so it is scanned, not
 * validated; on malformed text a scan ends early and the rest is null. It is
 * scanned at most once per fact, and only if some rule asks. A path goes
 * through objects ("context.campaign.source", "products.category": of an
 * array of objects, the list of their members).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "core/event/event.h"
#include "core/order/order.h"
#include "core/rule/value.h"

struct property; /* one member of the top object */

struct property_view {
    enum event_type type;
    struct str name; /* dotted event name */
    struct id id;
    int64_t at_ms; /* occurred_at, or the order's placed_at */
    struct str currency;
    bool has_amount;
    int64_t amount_minor;   /* order.completed: gross */
    int64_t refunded_minor; /* order.completed: for `net` */
    struct str product_id;
    struct str category;
    struct str properties_json;
    struct str context_json;
    struct str order_ref;
    /* Filled on first use. */
    struct property *properties;
    size_t property_count;
    bool is_scanned;
};

void property_view_event(struct property_view *view, const struct event *event);
/* The order's contribution as counted: total is gross, net is less refunds; an
 * order in a foreign currency has no amounts. */
void property_view_order(struct property_view *view, const struct order *order);

/* Null when it is not there. Texts may be borrowed from the JSON. `total` and
 * `revenue` are the amount, `net` the amount less refunds, `context.*` looks in
 * the context. */
struct rule_value property_get(struct arena *arena, struct property_view *view, struct str path);
/* The same as its JSON stands, objects and arrays too; false when a path leads to
 * none, or through an array. Columns are not asked. */
bool property_json(struct arena *arena, struct property_view *view, struct str path,
                   struct str *out_json);
/* The path that a name of an expression says: without "event." */
struct str rule_property_path(struct str name);

#endif
