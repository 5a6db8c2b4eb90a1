#include "api/mask.h"
#include "base/instant.h"
#include "core/event/event.h"
#include "profile_priv.h"

/*
 * What happened to a profile: its timeline, its orders, its merges.
 *
 * The timeline is two histories (events, transitions) merged by their instant,
 * newest first. Each is asked for one page more than is shown, so that cutting
 * the merged list at the page's size never leaves out a row that belongs
 * before the cut.
 */

struct history {
    struct page page;
    struct id *origins;
    size_t origin_count;
    struct history_place place;
};

static enum status history_open(const struct resource_request *request, const char *list,
                                struct history *history, struct problem *problem)
{
    struct id requested = ID_ZERO;
    struct id canonical = ID_ZERO;
    enum status status = profile_resolve(request, request->name, &requested, &canonical,
                                         &history->origins, &history->origin_count, problem);
    if (status != STATUS_OK) {
        return status;
    }
    char id[ID_TEXT_SIZE];
    id_format(canonical, id);
    status =
        page_open(&history->page, request, list, str_printf(request->arena, "%s", id), problem);
    if (status == STATUS_OK) {
        cursor_place(&history->page, &history->place.before_ms, &history->place.before_id);
    }
    return status;
}

static const char *trust_name(int64_t trust)
{
    return trust >= TRUST_SIGNED ? "signed" : trust == TRUST_KEYED ? "keyed" : "public";
}

static struct str open_json(const struct resource_request *request, struct str json)
{
    if (json.size == 0 || !profile_is_masked(request)) {
        return json;
    }
    return mask_json(request->arena, json);
}

static void write_interaction(struct jsonw *json, const struct resource_request *request,
                              const struct interaction_view *row)
{
    jsonw_open(json);
    jsonw_put_z(json, "kind", "event");
    jsonw_put_id(json, "id", row->id);
    jsonw_put_str(json, "type", row->type);
    jsonw_put_instant(json, "occurred_at", row->occurred_at_ms);
    jsonw_put_instant(json, "received_at", row->received_at_ms);
    jsonw_put_str_or_null(json, "source", row->source);
    jsonw_put_z(json, "trust", trust_name(row->trust));
    jsonw_put_id(json, "origin_profile_id", row->origin_id);
    jsonw_put_str_or_null(json, "product_id", row->product_id);
    jsonw_put_str_or_null(json, "category", row->category);
    jsonw_put_str_or_null(json, "order_id", row->order_ref);
    if (row->has_amount) {
        jsonw_put_money(json, "amount", row->amount_minor, row->currency);
    } else {
        jsonw_put_null(json, "amount");
    }
    jsonw_put_str_or_null(json, "currency", row->currency);
    struct str properties = open_json(request, row->properties_json);
    jsonw_put_raw(json, "properties", properties.size > 0 ? properties : STR("{}"));
    jsonw_put_raw(json, "context", open_json(request, row->context_json));
    jsonw_close(json);
}

static void write_transition(struct jsonw *json, const struct transition_view *row)
{
    jsonw_open(json);
    jsonw_put_z(json, "kind", "transition");
    jsonw_put_id(json, "id", row->id);
    jsonw_put_str(json, "rule", row->rule);
    jsonw_put_str(json, "rule_kind", row->rule_kind);
    jsonw_put_i64(json, "rule_version", row->rule_version);
    jsonw_put_str_or_null(json, "from", row->from_value);
    jsonw_put_str_or_null(json, "to", row->to_value);
    jsonw_put_instant(json, "occurred_at", row->occurred_at_ms);
    jsonw_put_instant(json, "decided_at", row->decided_at_ms);
    jsonw_key(json, "cause");
    jsonw_open(json);
    jsonw_put_str(json, "kind", row->cause);
    jsonw_put_id(json, "event_id", row->event_id);
    jsonw_close(json);
    jsonw_close(json);
}

/* Does (a_ms, a) come before (b_ms, b) on the page? */
static bool is_newer(int64_t a_ms, struct id a, int64_t b_ms, struct id b)
{
    return a_ms != b_ms ? a_ms > b_ms : id_compare(a, b) > 0;
}

struct timeline {
    struct interaction_view *events;
    size_t event_count;
    struct transition_view *transitions;
    size_t transition_count;
};

/* Writes one page; the cursor of the next, or the empty string. */
static struct str write_timeline(struct history *history, const struct timeline *timeline)
{
    struct page *page = &history->page;
    size_t event = 0;
    size_t transition = 0;
    int64_t last_ms = 0;
    struct id last_id = ID_ZERO;
    while (event + transition < page->size &&
           (event < timeline->event_count || transition < timeline->transition_count)) {
        const struct interaction_view *e = &timeline->events[event];
        const struct transition_view *t = &timeline->transitions[transition];
        bool take_event = transition == timeline->transition_count ||
                          (event < timeline->event_count &&
                           is_newer(e->occurred_at_ms, e->id, t->occurred_at_ms, t->id));
        if (take_event) {
            write_interaction(&page->json, page->request, e);
            last_ms = e->occurred_at_ms;
            last_id = e->id;
            event++;
        } else {
            write_transition(&page->json, t);
            last_ms = t->occurred_at_ms;
            last_id = t->id;
            transition++;
        }
    }
    bool more = event < timeline->event_count || transition < timeline->transition_count;
    return more ? cursor_format(page->request->arena, last_ms, last_id) : (struct str){ NULL, 0 };
}

enum status resource_profile_timeline(const struct resource_request *request,
                                      struct resource_answer *out_answer, struct problem *problem)
{
    struct history history = { .origin_count = 0 };
    struct timeline timeline = { .event_count = 0 };
    struct id workspace_id = request->principal->workspace_id;
    enum status status = history_open(request, "timeline", &history, problem);
    if (status == STATUS_OK) {
        status = profile_interactions(request->pg, request->arena, workspace_id, history.origins,
                                      history.origin_count, history.place, history.page.size + 1,
                                      &timeline.events, &timeline.event_count, problem);
    }
    if (status == STATUS_OK) {
        status = profile_transitions(request->pg, request->arena, workspace_id, history.origins,
                                     history.origin_count, history.place, history.page.size + 1,
                                     &timeline.transitions, &timeline.transition_count, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct str next = write_timeline(&history, &timeline);
    return page_close(&history.page, next, -1, true, out_answer, problem);
}

/* --- orders --------------------------------------------------------------- */

static void write_order(struct jsonw *json, const struct resource_request *request,
                        const struct order_view *row)
{
    jsonw_open(json);
    jsonw_put_str_or_null(json, "source", row->source);
    jsonw_put_str(json, "order_id", row->order_ref);
    jsonw_put_str(json, "number", row->number);
    jsonw_put_str(json, "status", row->status);
    jsonw_put_str(json, "rank", row->rank);
    jsonw_put_bool(json, "counted", row->counted);
    jsonw_put_bool(json, "foreign", row->counted_foreign);
    jsonw_put_bool(json, "completed", row->completed);
    jsonw_put_bool(json, "deleted", row->deleted);
    jsonw_put_instant(json, "placed_at", row->placed_at_ms);
    jsonw_put_instant(json, "cancelled_at", row->cancelled_at_ms);
    jsonw_put_money(json, "total", row->total_minor, row->currency);
    jsonw_put_money(json, "refunded", row->refunded_minor, row->currency);
    jsonw_put_money(json, "net", row->total_minor - row->refunded_minor, row->currency);
    jsonw_put_str(json, "currency", row->currency);
    struct str body = open_json(request, row->body_json);
    jsonw_put_raw(json, "properties", body.size > 0 ? body : STR("{}"));
    jsonw_close(json);
}

/* "<ms>:<source id>:<order_ref>" */
static void read_order_place(const struct page *page, struct order_place *place)
{
    struct str head = { NULL, 0 };
    struct str rest = { NULL, 0 };
    struct str source = { NULL, 0 };
    *place = (struct order_place){ .before_ref = STR("") };
    cursor_place(page, &place->before_ms, &place->before_source_id);
    if (str_split(page->cursor, ':', &head, &rest) &&
        str_split(rest, ':', &source, &place->before_ref)) {
        (void)str_to_i64(head, &place->before_ms);
        (void)id_parse(source, &place->before_source_id);
    }
}

enum status resource_profile_orders(const struct resource_request *request,
                                    struct resource_answer *out_answer, struct problem *problem)
{
    struct history history = { .origin_count = 0 };
    struct order_view *rows = NULL;
    size_t count = 0;
    enum status status = history_open(request, "orders", &history, problem);
    if (status != STATUS_OK) {
        return status;
    }
    struct page *page = &history.page;
    struct order_place place;
    read_order_place(page, &place);
    status = profile_orders_read(request->pg, request->arena, request->principal->workspace_id,
                                 history.origins, history.origin_count, place, page->size + 1,
                                 &rows, &count, problem);
    if (status != STATUS_OK) {
        return status;
    }
    struct str next = { NULL, 0 };
    for (size_t i = 0; i < count && i < page->size; i++) {
        write_order(&page->json, request, &rows[i]);
        if (i + 1 == page->size && count > page->size) {
            struct str head =
                cursor_format(request->arena, rows[i].placed_at_ms, rows[i].source_id);
            next =
                str_printf(request->arena, "%.*s:%.*s", STR_ARG(head), STR_ARG(rows[i].order_ref));
        }
    }
    return page_close(page, next, -1, true, out_answer, problem);
}

/* --- merges --------------------------------------------------------------- */

static void write_merge(struct jsonw *json, const struct merge_view *row)
{
    jsonw_open(json);
    jsonw_put_id(json, "id", row->id);
    jsonw_put_str(json, "kind", row->kind);
    jsonw_put_id(json, "from_id", row->from_id);
    jsonw_put_id(json, "into_id", row->into_id);
    jsonw_key(json, "because");
    jsonw_open(json);
    jsonw_put_str(json, "kind", row->because);
    jsonw_close(json);
    jsonw_put_id(json, "event_id", row->event_id);
    jsonw_put_instant(json, "at", row->at_ms);
    jsonw_put_instant(json, "undone_at", row->undone_at_ms);
    jsonw_close(json);
}

enum status resource_profile_merges(const struct resource_request *request,
                                    struct resource_answer *out_answer, struct problem *problem)
{
    struct history history = { .origin_count = 0 };
    struct merge_view *rows = NULL;
    size_t count = 0;
    enum status status = history_open(request, "merges", &history, problem);
    if (status == STATUS_OK) {
        status = profile_merges(request->pg, request->arena, request->principal->workspace_id,
                                history.origins, history.origin_count, history.place,
                                history.page.size + 1, &rows, &count, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct page *page = &history.page;
    struct str next = { NULL, 0 };
    for (size_t i = 0; i < count && i < page->size; i++) {
        write_merge(&page->json, &rows[i]);
        if (i + 1 == page->size && count > page->size) {
            next = cursor_format(request->arena, rows[i].at_ms, rows[i].id);
        }
    }
    return page_close(page, next, -1, true, out_answer, problem);
}
