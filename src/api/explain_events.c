#include "base/instant.h"
#include "core/rule/property.h"
#include "explain_priv.h"

/*
 * Which facts an aggregate counted.
 *
 * A feature keeps instants, not ids, so the facts are looked up again in the
 * history: from the newest back to the start of the window, through the same
 * `where`. A long window over a busy timeline would be read without end, so the
 * answer looks at EXPLAIN_FACTS_MAX facts in all and says when that was not
 * enough. Orders are counted as they stand, not by the events that told of
 * them: they are read as orders, and only their event's id is looked up.
 */

enum {
    FACTS_PAGE = 500
};

static void fail(struct explain *explain, enum status status)
{
    if (explain->status == STATUS_OK) {
        explain->status = status;
    }
}

static void read_page(struct explain *explain)
{
    const struct resource_request *request = explain->request;
    const struct moment *moment = explain->moment;
    struct explain_facts *facts = &explain->facts;
    struct history_place place = { .before_ms = moment->at_ms + 1 };
    struct interaction_view *rows = NULL;
    size_t count = 0;
    if (facts->rows == NULL) {
        facts->rows = ARENA_NEW_ARRAY(request->arena, EXPLAIN_FACTS_MAX + FACTS_PAGE,
                                      const struct interaction_view *);
    }
    if (facts->rows == NULL) {
        fail(explain, STATUS_LIMIT);
        return;
    }
    if (facts->count > 0) {
        place.before_ms = facts->rows[facts->count - 1]->occurred_at_ms;
        place.before_id = facts->rows[facts->count - 1]->id;
    }
    enum status status = profile_interactions(
        request->pg, request->arena, request->principal->workspace_id, moment->whole.origins,
        moment->whole.origin_count, place, FACTS_PAGE, &rows, &count, explain->problem);
    if (status != STATUS_OK) {
        fail(explain, status);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        facts->rows[facts->count++] = &rows[i];
    }
    facts->is_end = count < FACTS_PAGE;
}

/* NULL: there are no more, or not within what is looked at. */
static const struct interaction_view *fact_at(struct explain *explain, size_t index)
{
    struct explain_facts *facts = &explain->facts;
    if (index == facts->count && !facts->is_end && explain->status == STATUS_OK) {
        if (index >= EXPLAIN_FACTS_MAX) {
            facts->is_cut = true;
            return NULL;
        }
        read_page(explain);
    }
    return index < facts->count ? facts->rows[index] : NULL;
}

void explain_read_beside(struct explain *explain)
{
    const struct moment *moment = explain->moment;
    struct arena *arena = explain->request->arena;
    size_t count = moment->whole.origin_count;
    struct history_origin *origins = ARENA_NEW_ARRAY(arena, count, struct history_origin);
    struct history_side *side = NULL;
    if (explain->facts.has_beside) {
        return;
    }
    explain->facts.has_beside = true;
    if (origins == NULL) {
        fail(explain, STATUS_LIMIT);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        origins[i].id = moment->whole.origins[i];
    }
    /* The events of this history are not looked at. */
    const struct history_request what = {
        .workspace_id = explain->request->principal->workspace_id,
        .origins = origins,
        .origin_count = count,
        .side_count = 1,
    };
    enum status status = history_read(explain->request->pg, arena, &what, &side, explain->problem);
    if (status != STATUS_OK) {
        fail(explain, status);
        return;
    }
    explain->facts.bases = side->bases;
    explain->facts.base_count = side->base_count;
    explain->facts.orders = side->orders;
    explain->facts.order_count = side->order_count;
}

/* --- one list --------------------------------------------------------------- */

struct listing {
    struct explain *explain;
    struct jsonw *json;
    const struct rule_aggregation *what;
    const struct rule_program *where; /* NULL: all */
    int64_t after_ms;
    size_t shown;
};

static bool matches(const struct listing *listing, struct property_view *view)
{
    const struct rule_subject subject = { .fact = view };
    return listing->where == NULL || rule_evaluate(listing->explain->request->arena, listing->where,
                                                   &subject, listing->explain->moment->at_ms, NULL);
}

static void write_event(struct listing *listing, struct id id, int64_t at_ms, struct str source)
{
    jsonw_open(listing->json);
    jsonw_put_id(listing->json, "id", id);
    jsonw_put_instant(listing->json, "occurred_at", at_ms);
    jsonw_put_str_or_null(listing->json, "source", source);
    jsonw_close(listing->json);
    listing->shown++;
}

static void list_interactions(struct listing *listing)
{
    const struct interaction_view *row = NULL;
    for (size_t i = 0; listing->shown < EXPLAIN_EVENTS_MAX; i++) {
        row = fact_at(listing->explain, i);
        if (row == NULL || row->occurred_at_ms <= listing->after_ms) {
            return;
        }
        if (!str_equal(row->type, listing->what->event_name)) {
            continue;
        }
        const struct event event = {
            .id = row->id,
            .type = listing->what->event_type,
            .name = row->type,
            .occurred_at_ms = row->occurred_at_ms,
            .product_id = row->product_id,
            .category = row->category,
            .currency = row->currency,
            .has_amount = row->has_amount,
            .amount_minor = row->amount_minor,
            .properties_json = row->properties_json,
            .context_json = row->context_json,
        };
        struct property_view view;
        property_view_event(&view, &event);
        if (matches(listing, &view)) {
            write_event(listing, row->id, row->occurred_at_ms, row->source);
        }
    }
}

/* The newest order before `before`, by (placed_at, ref). */
static const struct order *next_order(const struct explain *explain, const struct order *before)
{
    const struct order *next = NULL;
    for (size_t i = 0; i < explain->facts.order_count; i++) {
        const struct order *order = explain->facts.orders[i];
        bool is_behind = before == NULL || order->placed_at_ms < before->placed_at_ms ||
                         (order->placed_at_ms == before->placed_at_ms &&
                          str_compare(order->order_ref, before->order_ref) < 0);
        bool is_newer = next == NULL || order->placed_at_ms > next->placed_at_ms ||
                        (order->placed_at_ms == next->placed_at_ms &&
                         str_compare(order->order_ref, next->order_ref) > 0);
        if (order->contribution.counted && order->placed_at_ms <= explain->moment->at_ms &&
            is_behind && is_newer) {
            next = order;
        }
    }
    return next;
}

static struct str source_name(const struct explain *explain, struct id source_id)
{
    const struct registry_workspace *workspace = explain->reader->workspace;
    for (size_t i = 0; i < workspace->source_count; i++) {
        if (id_equal(workspace->sources[i].id, source_id)) {
            return workspace->sources[i].name;
        }
    }
    return (struct str){ NULL, 0 };
}

/* The event that told of the order first; zero when it is not among the facts
 * looked at. */
static struct id order_event(struct explain *explain, const struct order *order, struct str source)
{
    const struct interaction_view *row = NULL;
    for (size_t i = 0; (row = fact_at(explain, i)) != NULL; i++) {
        if (row->occurred_at_ms < order->placed_at_ms) {
            break;
        }
        if (str_equal(row->type, STR("order.completed")) &&
            str_equal(row->order_ref, order->order_ref) && str_equal(row->source, source)) {
            return row->id;
        }
    }
    return ID_ZERO;
}

static void list_orders(struct listing *listing)
{
    struct explain *explain = listing->explain;
    explain_read_beside(explain);
    const struct order *order = NULL;
    while (listing->shown < EXPLAIN_EVENTS_MAX && (order = next_order(explain, order)) != NULL &&
           order->placed_at_ms > listing->after_ms) {
        struct property_view view;
        property_view_order(&view, order);
        if (matches(listing, &view)) {
            struct str source = source_name(explain, order->source_id);
            write_event(listing, order_event(explain, order, source), order->placed_at_ms, source);
        }
    }
}

void explain_write_events(struct jsonw *json, struct explain *explain,
                          const struct rule_aggregation *what, int64_t after_ms)
{
    struct listing listing = {
        .explain = explain, .json = json, .what = what, .after_ms = after_ms
    };
    if (what->where != NULL) {
        enum status status =
            rule_compile(explain->request->arena, what->where, NULL, &listing.where);
        if (status != STATUS_OK) {
            fail(explain, status);
        }
    }
    bool was_cut = explain->facts.is_cut;
    explain->facts.is_cut = false;
    jsonw_key(json, "events");
    jsonw_open_array(json);
    if (explain->status == STATUS_OK && what->event_type == EVENT_ORDER_COMPLETED) {
        list_orders(&listing);
    } else if (explain->status == STATUS_OK) {
        list_interactions(&listing);
    }
    jsonw_close_array(json);
    jsonw_put_bool(json, "events_cut",
                   explain->facts.is_cut || listing.shown == EXPLAIN_EVENTS_MAX);
    explain->facts.is_cut = explain->facts.is_cut || was_cut;
}
