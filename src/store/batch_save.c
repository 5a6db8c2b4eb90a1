#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "batch_priv.h"
#include "store/batch.h"
#include "store/catalogue.h"
#include "store/interest_save.h"

/*
 * Save: what was decided, one unnest statement per table, in the round trip
 * that also commits.
 *
 * Customers are written by batch_profile.c, notifications with their deliveries by
 * batch_notify.c, which triggers rang by batch_fire.c and batch_wait.c; all others here.
 */

static const struct pg_statement save_webhook = {
    "save_webhook",
    "INSERT INTO webhook (workspace_id, received_at, id, source_id, topic, dedup_key, headers, "
    "body)"
    " SELECT $1, u.received_at, u.id, u.source_id, u.topic, u.dedup_key, u.headers, u.body"
    " FROM unnest($2::timestamptz[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[],"
    " $8::bytea[]) AS u (received_at, id, source_id, topic, dedup_key, headers, body)"
    " ON CONFLICT (workspace_id, source_id, received_at, id) DO NOTHING",
};

#define SAVE_ORDER_UNNEST                                                               \
    "unnest($2::uuid[], $3::text[], $4::uuid[], $5::uuid[], $6::boolean[],"             \
    " $7::timestamptz[], $8::text[], $9::boolean[], $10::timestamptz[], $11::text[],"   \
    " $12::text[], $13::text[], $14::bigint[], $15::bigint[], $16::timestamptz[],"      \
    " $17::boolean[], $18::boolean[], $19::boolean[], $20::boolean[], $21::bigint[],"   \
    " $22::bigint[], $23::bytea[], $24::jsonb[])"                                       \
    " AS u (source_id, order_ref, origin_id, profile_id, has_body, version_at, rank,"   \
    " counts, placed_at, number, status, currency, total_minor, refunded_minor,"        \
    " cancelled_at, deleted, completed, counted, counted_foreign, counted_gross_minor," \
    " counted_refunded_minor, documents, body)"

static const struct pg_statement save_order_insert = {
    "save_order_insert",
    "INSERT INTO orders (workspace_id, source_id, order_ref, origin_id, profile_id, has_body,"
    " version_at, rank, counts, placed_at, number, status, currency, total_minor,"
    " refunded_minor, cancelled_at, deleted, completed, counted, counted_foreign,"
    " counted_gross_minor, counted_refunded_minor, documents, body)"
    " SELECT $1, u.* FROM " SAVE_ORDER_UNNEST " ORDER BY u.source_id, u.order_ref",
};

static const struct pg_statement save_order_update = {
    "save_order_update",
    "UPDATE orders AS o SET origin_id = u.origin_id, profile_id = u.profile_id,"
    " has_body = u.has_body,"
    " version_at = u.version_at, rank = u.rank, counts = u.counts, placed_at = u.placed_at,"
    " number = u.number, status = u.status, currency = u.currency,"
    " total_minor = u.total_minor, refunded_minor = u.refunded_minor,"
    " cancelled_at = u.cancelled_at, deleted = u.deleted, completed = u.completed,"
    " counted = u.counted, counted_foreign = u.counted_foreign,"
    " counted_gross_minor = u.counted_gross_minor,"
    " counted_refunded_minor = u.counted_refunded_minor, documents = u.documents, body = u.body"
    " FROM (SELECT $1::uuid AS workspace_id, u.* FROM " SAVE_ORDER_UNNEST " OFFSET 0) u"
    " WHERE o.workspace_id = u.workspace_id AND o.source_id = u.source_id AND o.order_ref = "
    "u.order_ref",
};

static const struct pg_statement save_interaction = {
    "save_interaction",
    "INSERT INTO interaction (workspace_id, origin_id, occurred_at, id, received_at, source_id,"
    " type, trust, product_id, category, currency, amount_minor, order_ref, facts, properties,"
    " context, act)"
    " SELECT $1, u.* FROM unnest($2::uuid[], $3::timestamptz[], $4::uuid[], $5::timestamptz[],"
    " $6::uuid[], $7::text[], $8::smallint[], $9::text[], $10::text[], $11::text[],"
    " $12::bigint[], $13::text[], $14::bytea[], $15::jsonb[], $16::jsonb[], $17::boolean[]) AS u"
    " ON CONFLICT (workspace_id, origin_id, occurred_at, id) DO NOTHING",
};

static const struct pg_statement save_identity_decision = {
    "save_identity_decision",
    "INSERT INTO identity_decision (workspace_id, id, kind, event_id, from_id, into_id, because, "
    "at)"
    " SELECT $1, u.* FROM unnest($2::uuid[], $3::text[], $4::uuid[], $5::uuid[], $6::uuid[],"
    " $7::text[], $8::timestamptz[]) AS u",
};

static const struct pg_statement save_transition = {
    "save_transition",
    "INSERT INTO transition (workspace_id, occurred_at, id, profile_id, rule, from_value, to_value,"
    " cause, event_id, decided_at, kind, rule_version, ruleset_version)"
    " SELECT $1, u.* FROM unnest($2::timestamptz[], $3::uuid[], $4::uuid[], $5::text[],"
    " $6::text[], $7::text[], $8::text[], $9::uuid[], $10::timestamptz[], $11::text[],"
    " $12::bigint[], $13::bigint[]) AS u"
    " ON CONFLICT (workspace_id, occurred_at, id) DO NOTHING",
};

enum {
    SAVE_STATEMENTS_MAX = 24 + INTEREST_STATEMENTS_MAX + CATALOGUE_STATEMENTS_MAX
};

struct pg_params *batch_params(const struct batch *batch)
{
    struct pg_params *params = ARENA_NEW(batch->arena, struct pg_params);
    if (params != NULL) {
        pg_params_init(params, batch->arena);
        pg_put_id(params, batch->workspace_id);
    }
    return params;
}

static enum status queue_webhooks(struct batch *batch, const struct batch_save *save)
{
    static const enum pg_type types[] = { PG_INSTANT, PG_UUID, PG_UUID, PG_TEXT,
                                          PG_TEXT,    PG_TEXT, PG_BYTEA };
    struct pg_array columns[ARRAY_COUNT(types)];
    struct pg_params *params = batch_params(batch);
    if (params == NULL) {
        return STATUS_LIMIT;
    }
    pg_columns_begin(columns, params, types, ARRAY_COUNT(types), save->webhook_count);
    for (size_t i = 0; i < save->webhook_count; i++) {
        const struct batch_webhook *webhook = &save->webhooks[i];
        pg_array_instant(&columns[0], webhook->received_at_ms);
        pg_array_id(&columns[1], webhook->id);
        pg_array_id(&columns[2], webhook->source_id);
        pg_array_text(&columns[3], webhook->topic);
        pg_array_text(&columns[4], webhook->dedup_key);
        pg_array_text(&columns[5], webhook->headers_json);
        pg_array_bytes(&columns[6], webhook->body);
    }
    pg_columns_end(columns, ARRAY_COUNT(types));
    return pg_queue(batch->pg, &save_webhook, params);
}

/* --- orders ------------------------------------------------------------- */

static bool put_order(struct pg_array *columns, struct arena *arena, const struct order *o)
{
    struct str documents = { 0 };
    if (!order_documents_encode(arena, o, &documents)) {
        return false;
    }
    pg_array_id(&columns[0], o->source_id);
    pg_array_text(&columns[1], o->order_ref);
    pg_array_id(&columns[2], o->origin_id);
    pg_array_id(&columns[3], o->profile_id);
    pg_array_bool(&columns[4], o->has_body);
    pg_array_instant(&columns[5], o->has_body ? o->version_ms : INSTANT_NONE);
    pg_array_text(&columns[6], str_from_z(order_rank_name(o->rank)));
    pg_array_bool(&columns[7], o->counts);
    pg_array_instant(&columns[8], o->placed_at_ms);
    pg_array_text(&columns[9], o->number);
    pg_array_text(&columns[10], o->status);
    pg_array_text(&columns[11], o->currency);
    pg_array_i64(&columns[12], o->total_minor);
    pg_array_i64(&columns[13], order_refunded_minor(o));
    pg_array_instant(&columns[14], o->cancelled_at_ms);
    pg_array_bool(&columns[15], order_is_deleted(o));
    pg_array_bool(&columns[16], o->completed);
    pg_array_bool(&columns[17], o->contribution.counted);
    pg_array_bool(&columns[18], o->contribution.foreign);
    pg_array_i64(&columns[19], o->contribution.gross_minor);
    pg_array_i64(&columns[20], o->contribution.refunded_minor);
    pg_array_bytes(&columns[21], documents);
    pg_array_jsonb_or_null(&columns[22], o->body_json);
    return true;
}

static bool order_is_stored(const struct batch *batch, const struct order *order)
{
    return batch_find_order(batch, order->source_id, order->order_ref) == order;
}

static enum status queue_orders(struct batch *batch, const struct batch_save *save, bool stored)
{
    static const enum pg_type types[] = {
        PG_UUID,    PG_TEXT, PG_UUID, PG_UUID, PG_BOOL, PG_INSTANT, PG_TEXT,    PG_BOOL,
        PG_INSTANT, PG_TEXT, PG_TEXT, PG_TEXT, PG_INT8, PG_INT8,    PG_INSTANT, PG_BOOL,
        PG_BOOL,    PG_BOOL, PG_BOOL, PG_INT8, PG_INT8, PG_BYTEA,   PG_JSONB,
    };
    const struct decision_rows *rows = save->rows;
    struct order **orders = ARENA_NEW_ARRAY(batch->arena, rows->order_count + 1, struct order *);
    if (orders == NULL) {
        return STATUS_LIMIT;
    }
    size_t count = 0;
    for (size_t i = 0; i < rows->order_count; i++) {
        bool is_stored = save->orders_are_stored || order_is_stored(batch, rows->orders[i]);
        if (is_stored == stored) {
            orders[count++] = rows->orders[i];
        }
    }
    if (count == 0) {
        return STATUS_OK;
    }
    struct pg_array columns[ARRAY_COUNT(types)];
    struct pg_params *params = batch_params(batch);
    if (params == NULL) {
        return STATUS_LIMIT;
    }
    pg_columns_begin(columns, params, types, ARRAY_COUNT(types), count);
    for (size_t i = 0; i < count; i++) {
        if (!put_order(columns, batch->arena, orders[i])) {
            return STATUS_LIMIT;
        }
    }
    pg_columns_end(columns, ARRAY_COUNT(types));
    return pg_queue(batch->pg, stored ? &save_order_update : &save_order_insert, params);
}

/* --- facts and decisions ------------------------------------------------ */

static bool put_interaction(struct pg_array *columns, struct arena *arena,
                            const struct interaction_row *row)
{
    const struct event *event = row->event;
    struct str facts = { 0 };
    /* What the identifiers say too: hydrate has no other place to read it. */
    if (!profile_facts_encode(arena, event, &facts)) {
        return false;
    }
    pg_array_id(&columns[0], row->origin_id);
    pg_array_instant(&columns[1], event->occurred_at_ms);
    pg_array_id(&columns[2], event->id);
    pg_array_instant(&columns[3], event->received_at_ms);
    pg_array_id(&columns[4], event->source_id);
    pg_array_text(&columns[5], event->name);
    pg_array_i16(&columns[6], (int16_t)event->trust);
    pg_array_text_or_null(&columns[7], event->product_id);
    pg_array_text_or_null(&columns[8], event->category);
    pg_array_text_or_null(&columns[9], event->currency);
    if (event->has_amount) {
        pg_array_i64(&columns[10], event->amount_minor);
    } else {
        pg_array_null(&columns[10]);
    }
    pg_array_text_or_null(&columns[11],
                          event->order != NULL ? event->order->order_ref : (struct str){ 0 });
    pg_array_bytes_or_null(&columns[12], facts);
    pg_array_jsonb_or_null(&columns[13], event->properties_json);
    pg_array_jsonb_or_null(&columns[14], event->context_json);
    if (event->act == event_type_info(event->type)->act) {
        pg_array_null(&columns[15]);
    } else {
        pg_array_bool(&columns[15], event->act);
    }
    return true;
}

static enum status queue_interactions(struct batch *batch, const struct decision_rows *rows)
{
    if (rows->interaction_count == 0) {
        return STATUS_OK;
    }
    static const enum pg_type types[] = {
        PG_UUID, PG_INSTANT, PG_UUID, PG_INSTANT, PG_UUID,  PG_TEXT,  PG_INT2,  PG_TEXT,
        PG_TEXT, PG_TEXT,    PG_INT8, PG_TEXT,    PG_BYTEA, PG_JSONB, PG_JSONB, PG_BOOL,
    };
    struct pg_array columns[ARRAY_COUNT(types)];
    struct pg_params *params = batch_params(batch);
    if (params == NULL) {
        return STATUS_LIMIT;
    }
    pg_columns_begin(columns, params, types, ARRAY_COUNT(types), rows->interaction_count);
    for (size_t i = 0; i < rows->interaction_count; i++) {
        if (!put_interaction(columns, batch->arena, &rows->interactions[i])) {
            return STATUS_LIMIT;
        }
    }
    pg_columns_end(columns, ARRAY_COUNT(types));
    return pg_queue(batch->pg, &save_interaction, params);
}

static const char *identity_decision_name(enum identity_decision_kind kind)
{
    switch (kind) {
    case IDENTITY_MERGED:
        return "merged";
    case IDENTITY_CONFLICT:
        return "conflict";
    case IDENTITY_MOVED:
        return "moved";
    }
    return "";
}

static enum status queue_identity_decisions(struct batch *batch, const struct decision_rows *rows)
{
    if (rows->identity_decision_count == 0) {
        return STATUS_OK;
    }
    static const enum pg_type types[] = { PG_UUID, PG_TEXT, PG_UUID,   PG_UUID,
                                          PG_UUID, PG_TEXT, PG_INSTANT };
    struct pg_array columns[ARRAY_COUNT(types)];
    struct pg_params *params = batch_params(batch);
    if (params == NULL) {
        return STATUS_LIMIT;
    }
    pg_columns_begin(columns, params, types, ARRAY_COUNT(types), rows->identity_decision_count);
    for (size_t i = 0; i < rows->identity_decision_count; i++) {
        const struct identity_decision_row *row = &rows->identity_decisions[i];
        pg_array_id(&columns[0], row->id);
        pg_array_text(&columns[1], str_from_z(identity_decision_name(row->kind)));
        pg_array_id(&columns[2], row->event_id);
        pg_array_id(&columns[3], row->from_id);
        pg_array_id(&columns[4], row->into_id);
        pg_array_text(&columns[5], str_from_z(identity_kind_name(row->because)));
        pg_array_instant(&columns[6], row->at_ms);
    }
    pg_columns_end(columns, ARRAY_COUNT(types));
    return pg_queue(batch->pg, &save_identity_decision, params);
}

static const char *cause_name(enum cause_kind cause)
{
    switch (cause) {
    case CAUSE_EVENT:
        return "event";
    case CAUSE_TIME:
        return "time";
    case CAUSE_MERGE:
        return "merge";
    case CAUSE_IMPORT:
        return "import";
    case CAUSE_MANUAL:
        return "manual";
    case CAUSE_RULE:
        return "rule";
    case CAUSE_STATISTIC:
        return "statistic";
    }
    return "";
}

/* A tag or segment that holds has no value: "true". */
static struct str transition_value(bool holds, struct str value)
{
    if (!holds) {
        return (struct str){ 0 };
    }
    return value.size > 0 ? value : STR("true");
}

static enum status queue_transitions(struct batch *batch, const struct decision_rows *rows)
{
    if (rows->transition_count == 0) {
        return STATUS_OK;
    }
    static const enum pg_type types[] = { PG_INSTANT, PG_UUID, PG_UUID, PG_TEXT,
                                          PG_TEXT,    PG_TEXT, PG_TEXT, PG_UUID,
                                          PG_INSTANT, PG_TEXT, PG_INT8, PG_INT8 };
    struct pg_array columns[ARRAY_COUNT(types)];
    struct pg_params *params = batch_params(batch);
    if (params == NULL) {
        return STATUS_LIMIT;
    }
    pg_columns_begin(columns, params, types, ARRAY_COUNT(types), rows->transition_count);
    for (size_t i = 0; i < rows->transition_count; i++) {
        const struct transition_row *row = &rows->transitions[i];
        pg_array_instant(&columns[0], row->at_ms);
        pg_array_id(&columns[1], row->id);
        pg_array_id(&columns[2], row->profile_id);
        const struct rule_definition *rule = &row->rule->definition;
        pg_array_text(&columns[3], rule->name);
        pg_array_text_or_null(&columns[4], transition_value(row->had, row->from));
        pg_array_text_or_null(&columns[5], transition_value(row->has, row->to));
        pg_array_text(&columns[6], str_from_z(cause_name(row->cause)));
        pg_array_id_or_null(&columns[7], row->event_id);
        pg_array_instant(&columns[8], row->decided_at_ms);
        pg_array_text(&columns[9], str_from_z(rule_kind_name(rule->kind)));
        pg_array_i64(&columns[10], rule->version);
        pg_array_i64(&columns[11], row->ruleset_version);
    }
    pg_columns_end(columns, ARRAY_COUNT(types));
    return pg_queue(batch->pg, &save_transition, params);
}

/* --- memberships -------------------------------------------------------- */

static const struct pg_statement save_membership_gone = {
    "save_membership_gone",
    "DELETE FROM membership AS m USING (SELECT $1::uuid AS workspace_id, u.* FROM"
    " unnest($2::uuid[], $3::text[], $4::uuid[]) AS u (rule_id, value, profile_id) OFFSET 0) u"
    " WHERE m.workspace_id = u.workspace_id AND m.rule_id = u.rule_id AND m.value = u.value"
    " AND m.profile_id = u.profile_id",
};

static const struct pg_statement save_membership_come = {
    "save_membership_come",
    "INSERT INTO membership (workspace_id, rule_id, value, profile_id, since)"
    " SELECT $1, u.* FROM unnest($2::uuid[], $3::text[], $4::uuid[], $5::timestamptz[])"
    /* In the order of the index: a batch puts several into one page of it. */
    " AS u (rule_id, value, profile_id, since) ORDER BY u.rule_id, u.value, u.profile_id"
    " ON CONFLICT (workspace_id, rule_id, value, profile_id) DO UPDATE SET since = EXCLUDED.since",
};

static enum status queue_memberships(struct batch *batch, const struct membership_row *rows,
                                     size_t count, bool come)
{
    if (count == 0) {
        return STATUS_OK;
    }
    static const enum pg_type types[] = { PG_UUID, PG_TEXT, PG_UUID, PG_INSTANT };
    struct pg_array columns[ARRAY_COUNT(types)];
    struct pg_params *params = batch_params(batch);
    if (params == NULL) {
        return STATUS_LIMIT;
    }
    size_t column_count = come ? 4 : 3;
    pg_columns_begin(columns, params, types, column_count, count);
    for (size_t i = 0; i < count; i++) {
        pg_array_id(&columns[0], rows[i].rule_id);
        pg_array_text(&columns[1], rows[i].value);
        pg_array_id(&columns[2], rows[i].profile_id);
        if (come) {
            pg_array_instant(&columns[3], rows[i].since_ms);
        }
    }
    pg_columns_end(columns, column_count);
    return pg_queue(batch->pg, come ? &save_membership_come : &save_membership_gone, params);
}

/* --- the whole ---------------------------------------------------------- */

static enum status queue_rows(struct batch *batch, const struct batch_save *save,
                              size_t *statement_count)
{
    const struct decision_rows *rows = save->rows;
    size_t before = pg_queued(batch->pg);
    enum status status = STATUS_OK;
    if (save->webhook_count > 0) {
        status = queue_webhooks(batch, save);
    }
    if (status == STATUS_OK) {
        status = batch_queue_profiles(batch, save, true);
    }
    if (status == STATUS_OK) {
        status = batch_queue_profiles(batch, save, false);
    }
    if (status == STATUS_OK) {
        status = batch_queue_woken(batch, rows);
    }
    if (status == STATUS_OK) {
        status = batch_queue_merges(batch, rows);
    }
    if (status == STATUS_OK) {
        status = batch_queue_moves(batch, rows);
    }
    if (status == STATUS_OK) {
        status = queue_orders(batch, save, false);
    }
    if (status == STATUS_OK) {
        status = queue_orders(batch, save, true);
    }
    if (status == STATUS_OK) {
        status = queue_interactions(batch, rows);
    }
    if (status == STATUS_OK) {
        status = queue_identity_decisions(batch, rows);
    }
    if (status == STATUS_OK) {
        status = queue_transitions(batch, rows);
    }
    if (status == STATUS_OK) {
        status =
            queue_memberships(batch, rows->memberships_gone, rows->membership_gone_count, false);
    }
    if (status == STATUS_OK) {
        status =
            queue_memberships(batch, rows->memberships_come, rows->membership_come_count, true);
    }
    if (status == STATUS_OK && !save->leaves_interests) {
        status = interest_queue(batch, rows);
    }
    if (status == STATUS_OK) {
        status = batch_queue_rungs(batch, rows);
    }
    if (status == STATUS_OK) {
        status = batch_queue_outcomes(batch, rows);
    }
    if (status == STATUS_OK) {
        status = batch_queue_waiting(batch, rows);
    }
    if (status == STATUS_OK) {
        status = catalogue_queue(batch, save->tells_world);
    }
    *statement_count = pg_queued(batch->pg) - before;
    return status;
}

enum status batch_save(struct batch *batch, const struct batch_save *save,
                       struct delivery **out_deliveries, size_t *out_delivery_count,
                       struct problem *problem)
{
    struct batch_deliveries made = { .count = 0 };
    size_t statements = 0;
    enum status status = queue_rows(batch, save, &statements);
    bool rings = save->rows->notification_count > 0;
    if (status == STATUS_OK) {
        status = batch_queue_notifications(batch, save, &made);
    }
    if (status == STATUS_OK && save->may_lag) {
        status = pg_queue(batch->pg, &pg_async_commit, NULL);
    }
    if (status == STATUS_OK && !save->stays_open) {
        status = pg_queue(batch->pg, &pg_commit, NULL);
    }
    struct pg_result *results[SAVE_STATEMENTS_MAX] = { NULL };
    if (status == STATUS_OK) {
        status = pg_sync(batch->pg, batch->arena, results, pg_queued(batch->pg), problem);
    }
    if (status == STATUS_OK && rings) {
        status =
            batch_keep_inserted(batch, results[statements], !id_is_zero(save->lease_owner), &made);
    }
    if (status != STATUS_OK) {
        return status;
    }
    *out_deliveries = made.rows;
    *out_delivery_count = made.count;
    return STATUS_OK;
}
