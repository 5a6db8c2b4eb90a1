#include "store/history.h"

#include "batch_priv.h"
#include "history_priv.h"

/*
 * Reads whole histories, many profiles at a time: three statements in one round
 * trip, each LATERAL over the origins so that a stranger's row is never looked
 * at. An interaction is an event again, with everything that a rule may read;
 * what the order documents said is in the orders.
 *
 * Invariant: bases and events are of one snapshot, so they come out of one
 * statement: else a reader without the profile's lock could see what retention
 * folds meanwhile twice or never. A row without a type is a base.
 */

static const struct pg_statement history_origins_sql = {
    "history_origins",
    "SELECT u.n, o.id FROM unnest($2::uuid[]) WITH ORDINALITY AS u (id, n)"
    " CROSS JOIN LATERAL (SELECT u.id UNION ALL (SELECT p.id FROM profile p"
    " WHERE p.workspace_id = $1 AND p.merged_into = u.id)) o",
};

static const struct pg_statement history_events_sql = {
    "history_events",
    "SELECT o.n, i.id, i.source_id, i.type, i.trust, i.occurred_at, i.received_at, i.product_id,"
    " i.category, i.currency, i.amount_minor, i.order_ref, i.facts, i.properties, i.context, i.act"
    " FROM unnest($2::uuid[]) WITH ORDINALITY AS o (id, n) CROSS JOIN LATERAL"
    " ((SELECT origin_id AS id, NULL::uuid AS source_id, NULL AS type, NULL::smallint AS trust,"
    " NULL::timestamptz AS occurred_at, NULL::timestamptz AS received_at, NULL AS product_id,"
    " NULL AS category, NULL AS currency, NULL::bigint AS amount_minor, NULL AS order_ref,"
    " bytes AS facts, NULL::jsonb AS properties, NULL::jsonb AS context, NULL::boolean AS act"
    " FROM profile_base WHERE workspace_id = $1 AND origin_id = o.id)"
    " UNION ALL"
    " (SELECT " HISTORY_EVENT_COLUMNS
    " FROM interaction WHERE workspace_id = $1 AND origin_id = o.id AND occurred_at < $4"
    " ORDER BY occurred_at, id LIMIT $3)) i",
};

static const struct pg_statement history_page_sql = {
    "history_page",
    "SELECT 1::bigint, " HISTORY_EVENT_COLUMNS " FROM interaction"
    " WHERE workspace_id = $1 AND origin_id = $2 AND (occurred_at, id) > ($3, $4)"
    " ORDER BY occurred_at, id LIMIT $5",
};

static const struct pg_statement history_orders_sql = {
    "history_orders",
    "SELECT o.n, r.source_id, r.order_ref, " BATCH_ORDER_COLUMNS
    " FROM unnest($2::uuid[]) WITH ORDINALITY AS o (id, n) CROSS JOIN LATERAL (SELECT source_id, "
    "order_ref, " BATCH_ORDER_COLUMNS " FROM orders WHERE workspace_id = $1 AND profile_id = o.id"
    " OFFSET 0) r",
};

static const struct pg_statement history_identities_sql = {
    "history_identities",
    "SELECT o.n, r.kind, r.source_id, r.value, r.origin_id"
    " FROM unnest($2::uuid[]) WITH ORDINALITY AS o (id, n) CROSS JOIN LATERAL"
    " (SELECT kind, source_id, value, origin_id FROM identity"
    " WHERE workspace_id = $1 AND profile_id = o.id OFFSET 0) r",
};

struct history_run {
    struct arena *arena;
    const struct history_request *request;
    struct history_side *sides;
    struct problem *problem;
};

static struct pg_params *ids_params(struct arena *arena, struct id workspace_id,
                                    const struct history_origin *origins, size_t count)
{
    struct pg_params *params = ARENA_NEW(arena, struct pg_params);
    if (params == NULL) {
        return NULL;
    }
    struct pg_array array;
    pg_params_init(params, arena);
    pg_put_id(params, workspace_id);
    pg_array_begin(&array, params, PG_UUID, count);
    for (size_t i = 0; i < count; i++) {
        pg_array_id(&array, origins[i].id);
    }
    pg_array_end(&array);
    return params;
}

static const struct history_origin *origin_of_row(const struct history_run *run,
                                                  const struct pg_result *result, size_t row)
{
    return &run->request->origins[(size_t)pg_get_i64(result, row, 0) - 1];
}

/* Whose it is: the side of the origin named, or of the profile it is on. */
static size_t side_of(const struct history_run *run, const struct pg_result *result, size_t row,
                      struct id origin_id)
{
    const struct history_request *request = run->request;
    for (size_t i = 0; request->by_origin && i < request->origin_count; i++) {
        if (id_equal(request->origins[i].id, origin_id)) {
            return request->origins[i].side;
        }
    }
    return origin_of_row(run, result, row)->side;
}

/* --- events ------------------------------------------------------------- */

enum status history_event(struct arena *arena, const struct pg_result *result, size_t row,
                          struct event *event, struct problem *problem)
{
    event->id = pg_get_id(result, row, 1);
    event->source_id = pg_get_id(result, row, 2);
    event->name = pg_get_text(result, row, 3);
    event->type = event_type_from_name(event->name);
    event->trust = (enum trust)pg_get_i64(result, row, 4);
    event->occurred_at_ms = pg_get_instant(result, row, 5);
    event->claimed_at_ms = event->occurred_at_ms;
    event->received_at_ms = pg_get_instant(result, row, 6);
    event->act = pg_is_null(result, row, 15) ? event->type != 0 && event_type_info(event->type)->act
                                             : pg_get_bool(result, row, 15);
    event->product_id = pg_get_text(result, row, 7);
    event->category = pg_get_text(result, row, 8);
    event->currency = pg_get_text(result, row, 9);
    event->has_amount = !pg_is_null(result, row, 10);
    event->amount_minor = pg_get_i64(result, row, 10);
    event->properties_json = pg_get_jsonb(result, row, 13);
    event->context_json = pg_get_jsonb(result, row, 14);
    if (!pg_is_null(result, row, 12) &&
        !profile_facts_decode(arena, pg_get_bytes(result, row, 12), &event->facts,
                              &event->fact_count, &event->facts_at_ms)) {
        return problem_set(problem, STATUS_BROKEN, "internal", "a stored fact does not decode");
    }
    return STATUS_OK;
}

static bool is_base(const struct pg_result *result, size_t row)
{
    return pg_is_null(result, row, 3);
}

static enum status take_base(const struct history_run *run, const struct pg_result *result,
                             size_t row, struct history_side *side)
{
    if (side->bases == NULL) {
        side->bases = ARENA_NEW_ARRAY(run->arena, run->request->origin_count, struct profile_base);
    }
    if (side->bases == NULL) {
        return STATUS_LIMIT;
    }
    struct profile_base *base = &side->bases[side->base_count++];
    base->origin_id = pg_get_id(result, row, 1);
    return base_decode(run->arena, pg_get_bytes(result, row, 12), base)
               ? STATUS_OK
               : problem_set(run->problem, STATUS_BROKEN, "internal",
                             "a stored base does not decode");
}

static enum status take_events(const struct history_run *run, const struct pg_result *result)
{
    const struct history_request *request = run->request;
    size_t *counts = ARENA_NEW_ARRAY(run->arena, request->side_count + 1, size_t);
    size_t *per_origin = ARENA_NEW_ARRAY(run->arena, request->origin_count + 1, size_t);
    if (counts == NULL || per_origin == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t row = 0; row < pg_row_count(result); row++) {
        counts[origin_of_row(run, result, row)->side]++;
    }
    for (size_t side = 0; side < request->side_count; side++) {
        run->sides[side].events = ARENA_NEW_ARRAY(run->arena, counts[side] + 1, struct event);
        if (run->sides[side].events == NULL) {
            return STATUS_LIMIT;
        }
    }
    for (size_t row = 0; row < pg_row_count(result); row++) {
        size_t origin = (size_t)pg_get_i64(result, row, 0) - 1;
        struct history_side *side = &run->sides[request->origins[origin].side];
        if (is_base(result, row)) {
            enum status status = take_base(run, result, row, side);
            if (status != STATUS_OK) {
                return status;
            }
            continue;
        }
        if (++per_origin[origin] > request->facts_max) {
            side->is_cut = true;
            continue;
        }
        enum status status = history_event(run->arena, result, row,
                                           &side->events[side->event_count++], run->problem);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

/* --- orders and identities ---------------------------------------------- */

static enum status take_orders(const struct history_run *run, const struct pg_result *result)
{
    size_t count = pg_row_count(result);
    for (size_t side = 0; side < run->request->side_count && count > 0; side++) {
        run->sides[side].orders = ARENA_NEW_ARRAY(run->arena, count, struct order *);
        if (run->sides[side].orders == NULL) {
            return STATUS_LIMIT;
        }
    }
    for (size_t row = 0; row < count; row++) {
        struct order *order = ARENA_NEW(run->arena, struct order);
        if (order == NULL) {
            return STATUS_LIMIT;
        }
        order->source_id = pg_get_id(result, row, 1);
        order->order_ref = pg_get_text(result, row, 2);
        order->profile_id = pg_get_id(result, row, 3);
        order->origin_id = pg_get_id(result, row, 4);
        enum status status = batch_order_decode(run->arena, result, row, 5, order, run->problem);
        if (status != STATUS_OK) {
            return status;
        }
        struct history_side *side = &run->sides[side_of(run, result, row, order->origin_id)];
        side->orders[side->order_count++] = order;
    }
    return STATUS_OK;
}

static enum status take_identities(const struct history_run *run, const struct pg_result *result)
{
    size_t count = pg_row_count(result);
    for (size_t side = 0; side < run->request->side_count && count > 0; side++) {
        run->sides[side].identifiers = ARENA_NEW_ARRAY(run->arena, count, struct identifier);
        if (run->sides[side].identifiers == NULL) {
            return STATUS_LIMIT;
        }
    }
    for (size_t row = 0; row < count; row++) {
        struct history_side *side =
            &run->sides[side_of(run, result, row, pg_get_id(result, row, 4))];
        side->identifiers[side->identifier_count++] =
            (struct identifier){ .kind = identity_kind_from_name(pg_get_text(result, row, 1)),
                                 .source_id = pg_get_id(result, row, 2),
                                 .value = pg_get_text(result, row, 3) };
    }
    return STATUS_OK;
}

enum status history_page(struct pg *pg, struct arena *arena, struct id workspace_id,
                         struct id origin_id, struct history_place_after place, size_t limit,
                         struct event **out_events, size_t *out_count, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, origin_id);
    pg_put_instant(&params, place.after_ms);
    pg_put_id(&params, place.after_id);
    pg_put_i64(&params, (int64_t)limit);
    enum status status = pg_run(pg, arena, &history_page_sql, &params, &result, problem);
    size_t count = status == STATUS_OK ? pg_row_count(result) : 0;
    struct event *events = ARENA_NEW_ARRAY(arena, count + 1, struct event);
    if (status == STATUS_OK && events == NULL) {
        status = STATUS_LIMIT;
    }
    for (size_t row = 0; row < count && status == STATUS_OK; row++) {
        status = history_event(arena, result, row, &events[row], problem);
    }
    if (status == STATUS_OK) {
        *out_events = events;
        *out_count = count;
    }
    return status;
}

/* --- the whole ---------------------------------------------------------- */

enum status history_read(struct pg *pg, struct arena *arena, const struct history_request *request,
                         struct history_side **out_sides, struct problem *problem)
{
    struct history_run run = { .arena = arena, .request = request, .problem = problem };
    run.sides = ARENA_NEW_ARRAY(arena, request->side_count + 1, struct history_side);
    struct pg_params *ids =
        ids_params(arena, request->workspace_id, request->origins, request->origin_count);
    struct pg_params *limited =
        ids_params(arena, request->workspace_id, request->origins, request->origin_count);
    if (run.sides == NULL || ids == NULL || limited == NULL) {
        return STATUS_LIMIT;
    }
    pg_put_i64(limited, (int64_t)request->facts_max + 1);
    pg_put_instant(limited, request->before_ms != 0 ? request->before_ms : INSTANT_LAST_MS);
    struct pg_result *results[3] = { NULL };
    bool has_beside = !request->only_events;
    enum status status = pg_queue(pg, &history_events_sql, limited);
    if (status == STATUS_OK && has_beside) {
        status = pg_queue(pg, &history_orders_sql, ids);
    }
    if (status == STATUS_OK && has_beside) {
        status = pg_queue(pg, &history_identities_sql, ids);
    }
    if (status == STATUS_OK) {
        status = pg_sync(pg, arena, results, has_beside ? ARRAY_COUNT(results) : 1, problem);
    }
    if (status == STATUS_OK) {
        status = take_events(&run, results[0]);
    }
    if (status == STATUS_OK && has_beside) {
        status = take_orders(&run, results[1]);
    }
    if (status == STATUS_OK && has_beside) {
        status = take_identities(&run, results[2]);
    }
    if (status == STATUS_OK) {
        *out_sides = run.sides;
    }
    return status;
}

enum status history_origins(struct pg *pg, struct arena *arena, struct id workspace_id,
                            const struct id *profiles, size_t profile_count,
                            struct history_origin **out_origins, size_t *out_count,
                            struct problem *problem)
{
    struct history_origin *asked = ARENA_NEW_ARRAY(arena, profile_count + 1, struct history_origin);
    for (size_t i = 0; asked != NULL && i < profile_count; i++) {
        asked[i].id = profiles[i];
    }
    struct pg_params *params =
        asked != NULL ? ids_params(arena, workspace_id, asked, profile_count) : NULL;
    struct pg_result *result = NULL;
    if (params == NULL) {
        return STATUS_LIMIT;
    }
    enum status status = pg_run(pg, arena, &history_origins_sql, params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = pg_row_count(result);
    struct history_origin *origins = ARENA_NEW_ARRAY(arena, count + 1, struct history_origin);
    if (origins == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t row = 0; row < count; row++) {
        origins[row] = (struct history_origin){ .id = pg_get_id(result, row, 1),
                                                .side = (size_t)pg_get_i64(result, row, 0) - 1 };
    }
    *out_origins = origins;
    *out_count = count;
    return STATUS_OK;
}
