#include "base/instant.h"
#include "batch_priv.h"

/*
 * Causes of triggers that wait: written with the decision that they come from, and
 * claimed when they are due.
 *
 * Invariant: a row is written and taken away only by who holds its customer's lock, so
 * it is done once, whoever does it; it is read again under that lock. It is kept under
 * the customer of its day: who claims follows the merges since. Whoever skips a
 * customer that somebody else holds meets him at the next look.
 */

static const struct pg_statement wait_save = {
    "wait_save",
    "INSERT INTO trigger_waiting (workspace_id, due_at, id, trigger_id, profile_id, at, rule_slot,"
    " had, has, from_value, to_value, previous_since, event_id, event_name, source_id, occurred_at,"
    " received_at, product_id, category, currency, amount_minor, properties, context)"
    " SELECT $1, u.* FROM unnest($2::timestamptz[], $3::uuid[], $4::uuid[], $5::uuid[],"
    " $6::timestamptz[], $7::integer[], $8::boolean[], $9::boolean[], $10::text[], $11::text[],"
    " $12::timestamptz[], $13::uuid[], $14::text[], $15::uuid[], $16::timestamptz[],"
    " $17::timestamptz[], $18::text[], $19::text[], $20::text[], $21::bigint[], $22::jsonb[],"
    " $23::jsonb[]) AS u"
    " ON CONFLICT (workspace_id, due_at, id) DO NOTHING",
};

static const struct pg_statement wait_done = {
    "wait_done",
    "DELETE FROM trigger_waiting w USING (SELECT $1::uuid AS workspace_id, u.* FROM"
    " unnest($2::timestamptz[], $3::uuid[]) AS u (due_at, id) OFFSET 0) u"
    " WHERE w.workspace_id = u.workspace_id AND w.due_at = u.due_at AND w.id = u.id",
};

static const struct pg_statement wait_look = {
    "wait_look",
    "SELECT w.due_at, w.id, COALESCE(p.merged_into, w.profile_id) FROM (SELECT due_at, id,"
    " profile_id FROM trigger_waiting WHERE workspace_id = $1 AND due_at >= $2 AND due_at <= $3"
    " ORDER BY due_at LIMIT $4) w"
    " LEFT JOIN LATERAL (SELECT merged_into FROM profile WHERE workspace_id = $1"
    " AND id = w.profile_id OFFSET 0) p ON true",
};

static const struct pg_statement wait_read = {
    "wait_read",
    "SELECT u.n, w.due_at, w.id, w.trigger_id, w.at, w.rule_slot, w.had, w.has, w.from_value,"
    " w.to_value, w.previous_since, w.event_id, w.event_name, w.source_id, w.occurred_at,"
    " w.received_at, w.product_id, w.category, w.currency, w.amount_minor, w.properties, w.context"
    " FROM unnest($2::timestamptz[], $3::uuid[]) WITH ORDINALITY AS u (due_at, id, n)"
    " CROSS JOIN LATERAL (SELECT due_at, id, trigger_id, at, rule_slot, had, has, from_value,"
    "  to_value, previous_since, event_id, event_name, source_id, occurred_at, received_at,"
    "  product_id, category, currency, amount_minor, properties, context FROM trigger_waiting"
    "  WHERE workspace_id = $1 AND due_at = u.due_at AND id = u.id OFFSET 0) w ORDER BY u.n",
};

/* --- writing ------------------------------------------------------------------ */

static void put_event(struct pg_array *c, const struct event *event)
{
    static const struct event none = { .occurred_at_ms = INSTANT_NONE,
                                       .received_at_ms = INSTANT_NONE };
    const struct event *e = event != NULL ? event : &none;
    struct property_view view = { .is_scanned = false };
    property_view_event(&view, e);
    pg_array_id_or_null(&c[11], e->id);
    pg_array_text_or_null(&c[12], e->name);
    pg_array_id_or_null(&c[13], e->source_id);
    pg_array_instant(&c[14], e->occurred_at_ms);
    pg_array_instant(&c[15], e->received_at_ms);
    pg_array_text_or_null(&c[16], e->product_id);
    pg_array_text_or_null(&c[17], e->category);
    pg_array_text_or_null(&c[18], e->currency);
    if (e->has_amount) {
        pg_array_i64(&c[19], e->amount_minor);
    } else {
        pg_array_null(&c[19]);
    }
    pg_array_jsonb_or_null(&c[20], view.properties_json);
    pg_array_jsonb_or_null(&c[21], e->context_json);
}

static void put_waiting(struct pg_array *c, const struct waiting_row *row)
{
    pg_array_instant(&c[0], row->due_at_ms);
    pg_array_id(&c[1], row->id);
    pg_array_id(&c[2], row->trigger_id);
    pg_array_id(&c[3], row->profile_id);
    pg_array_instant(&c[4], row->at_ms);
    if (row->is_change) {
        pg_array_i32(&c[5], (int32_t)row->rule_slot);
    } else {
        pg_array_null(&c[5]);
    }
    pg_array_bool(&c[6], row->had);
    pg_array_bool(&c[7], row->has);
    pg_array_text_or_null(&c[8], row->from);
    pg_array_text_or_null(&c[9], row->to);
    pg_array_instant(&c[10], row->is_change ? row->previous_since_ms : INSTANT_NONE);
    put_event(c, row->event);
}

static enum status queue_new(struct batch *batch, const struct decision_rows *rows)
{
    static const enum pg_type types[] = {
        PG_INSTANT, PG_UUID, PG_UUID,    PG_UUID, PG_INSTANT, PG_INT4,  PG_BOOL,    PG_BOOL,
        PG_TEXT,    PG_TEXT, PG_INSTANT, PG_UUID, PG_TEXT,    PG_UUID,  PG_INSTANT, PG_INSTANT,
        PG_TEXT,    PG_TEXT, PG_TEXT,    PG_INT8, PG_JSONB,   PG_JSONB,
    };
    struct pg_array c[ARRAY_COUNT(types)];
    struct pg_params params;
    if (rows->waiting_count == 0) {
        return STATUS_OK;
    }
    pg_params_init(&params, batch->arena);
    pg_put_id(&params, batch->workspace_id);
    pg_columns_begin(c, &params, types, ARRAY_COUNT(types), rows->waiting_count);
    for (size_t i = 0; i < rows->waiting_count; i++) {
        put_waiting(c, &rows->waitings[i]);
    }
    pg_columns_end(c, ARRAY_COUNT(types));
    return pg_queue(batch->pg, &wait_save, &params);
}

static void put_keys(struct pg_params *params, const struct waiting_row *rows, size_t count)
{
    struct pg_array due;
    struct pg_array ids;
    pg_array_begin(&due, params, PG_INSTANT, count);
    pg_array_begin(&ids, params, PG_UUID, count);
    for (size_t i = 0; i < count; i++) {
        pg_array_instant(&due, rows[i].due_at_ms);
        pg_array_id(&ids, rows[i].id);
    }
    pg_array_end(&due);
    pg_array_end(&ids);
}

enum status batch_queue_waiting(struct batch *batch, const struct decision_rows *rows)
{
    enum status status = STATUS_OK;
    if (rows->waited_count > 0) {
        struct pg_params params;
        pg_params_init(&params, batch->arena);
        pg_put_id(&params, batch->workspace_id);
        put_keys(&params, rows->waited, rows->waited_count);
        status = pg_queue(batch->pg, &wait_done, &params);
    }
    return status == STATUS_OK ? queue_new(batch, rows) : status;
}

/* --- claiming ----------------------------------------------------------------- */

/* A fact about the world has no type of its own among a customer's events. */
static enum event_type event_type_of(struct str name)
{
    enum event_type type = event_type_from_name(name);
    return type != 0 ? type : EVENT_CUSTOM;
}

static struct event *read_event(struct arena *arena, const struct pg_result *rows, size_t row)
{
    struct event *event = ARENA_NEW(arena, struct event);
    if (event != NULL) {
        *event = (struct event){
            .id = pg_get_id(rows, row, 11),
            .name = pg_get_text(rows, row, 12),
            .type = event_type_of(pg_get_text(rows, row, 12)),
            .source_id = pg_get_id(rows, row, 13),
            .occurred_at_ms = pg_get_instant(rows, row, 14),
            .received_at_ms = pg_get_instant(rows, row, 15),
            .product_id = pg_get_text(rows, row, 16),
            .category = pg_get_text(rows, row, 17),
            .currency = pg_get_text(rows, row, 18),
            .has_amount = !pg_is_null(rows, row, 19),
            .amount_minor = pg_get_i64(rows, row, 19),
            .properties_json = pg_get_jsonb(rows, row, 20),
            .context_json = pg_get_jsonb(rows, row, 21),
        };
    }
    return event;
}

static bool read_waiting(struct arena *arena, const struct pg_result *rows, size_t row,
                         struct waiting_row *waiting)
{
    bool has_event = !pg_is_null(rows, row, 11);
    struct event *event = has_event ? read_event(arena, rows, row) : NULL;
    *waiting = (struct waiting_row){
        .due_at_ms = pg_get_instant(rows, row, 1),
        .id = pg_get_id(rows, row, 2),
        .trigger_id = pg_get_id(rows, row, 3),
        .profile_id = waiting->profile_id,
        .at_ms = pg_get_instant(rows, row, 4),
        .is_change = !pg_is_null(rows, row, 5),
        .rule_slot = (uint32_t)pg_get_i64(rows, row, 5),
        .had = pg_get_bool(rows, row, 6),
        .has = pg_get_bool(rows, row, 7),
        .from = pg_get_text(rows, row, 8),
        .to = pg_get_text(rows, row, 9),
        .previous_since_ms = pg_get_instant(rows, row, 10),
        .event = event,
    };
    return !has_event || event != NULL;
}

/* Those whose customer is ours, read again now that he is. */
static enum status read_again(struct batch *batch, struct waiting_row *found, size_t count,
                              struct waiting_row *out_rows, size_t *out_count,
                              struct problem *problem)
{
    struct pg_params params;
    struct pg_result *rows = NULL;
    pg_params_init(&params, batch->arena);
    pg_put_id(&params, batch->workspace_id);
    put_keys(&params, found, count);
    enum status status = pg_run(batch->pg, batch->arena, &wait_read, &params, &rows, problem);
    for (size_t i = 0; status == STATUS_OK && i < pg_row_count(rows); i++) {
        struct waiting_row *row = &out_rows[*out_count];
        row->profile_id = found[pg_get_i64(rows, i, 0) - 1].profile_id;
        if (!read_waiting(batch->arena, rows, i, row)) {
            return STATUS_LIMIT;
        }
        *out_count += 1;
    }
    return status;
}

static bool is_among(const struct id *ids, size_t count, struct id id)
{
    for (size_t i = 0; i < count; i++) {
        if (id_equal(ids[i], id)) {
            return true;
        }
    }
    return false;
}

static enum status look(struct batch *batch, const struct batch_due *due,
                        struct waiting_row **out_found, size_t *out_count, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *rows = NULL;
    pg_params_init(&params, batch->arena);
    pg_put_id(&params, batch->workspace_id);
    pg_put_instant(&params, due->floor_ms < 0 ? 0 : due->floor_ms);
    pg_put_instant(&params, due->now_ms);
    pg_put_i64(&params, (int64_t)due->limit);
    enum status status = pg_run(batch->pg, batch->arena, &wait_look, &params, &rows, problem);
    size_t count = status == STATUS_OK ? pg_row_count(rows) : 0;
    struct waiting_row *found = ARENA_NEW_ARRAY(batch->arena, count + 1, struct waiting_row);
    if (status != STATUS_OK || found == NULL) {
        return status != STATUS_OK ? status : STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        found[i] = (struct waiting_row){ .due_at_ms = pg_get_instant(rows, i, 0),
                                         .id = pg_get_id(rows, i, 1),
                                         .profile_id = pg_get_id(rows, i, 2) };
    }
    *out_found = found;
    *out_count = count;
    return STATUS_OK;
}

enum status batch_claim_waiting(struct batch *batch, const struct batch_due *due,
                                struct waiting_row **out_rows, size_t *out_count, size_t *out_found,
                                struct problem *problem)
{
    struct waiting_row *found = NULL;
    struct profile **profiles = NULL;
    size_t found_count = 0;
    size_t profile_count = 0;
    size_t id_count = 0;
    enum status status = look(batch, due, &found, &found_count, problem);
    struct id *ids = ARENA_NEW_ARRAY(batch->arena, found_count + 1, struct id);
    struct waiting_row *rows = ARENA_NEW_ARRAY(batch->arena, found_count + 1, struct waiting_row);
    *out_found = found_count;
    *out_count = 0;
    if (status != STATUS_OK || found_count == 0) {
        return status;
    }
    if (ids == NULL || rows == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < found_count; i++) {
        if (!is_among(ids, id_count, found[i].profile_id)) {
            ids[id_count++] = found[i].profile_id;
        }
    }
    status = batch_claim_ids(batch, ids, id_count, &profiles, &profile_count, problem);
    size_t held = 0;
    for (size_t i = 0; status == STATUS_OK && i < profile_count; i++) {
        decision_put_profile(batch->decision, profiles[i]);
        ids[i] = profiles[i]->id;
    }
    for (size_t i = 0; status == STATUS_OK && i < found_count; i++) {
        if (is_among(ids, profile_count, found[i].profile_id)) {
            found[held++] = found[i];
        }
    }
    if (status == STATUS_OK && held > 0) {
        status = read_again(batch, found, held, rows, out_count, problem);
    }
    *out_rows = rows;
    return status;
}
