#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "batch_priv.h"
#include "core/trigger/projection.h"
#include "store/batch.h"
#include "store/catalogue.h"
#include "store/interest_save.h"

/*
 * Save: what was decided, one unnest statement per table, in the round trip
 * that also commits.
 *
 * Invariant: deliveries are inserted only for notifications whose rows were
 * really inserted (correctness 4), which one statement decides by itself. A
 * write only lowers profile.due_at (correctness 16): raising it touches an
 * index, and the sweep does that when it wakes for nothing. Rejected: an upsert
 * for profiles, since whether a profile is new is known, and the two plain
 * statements cost less.
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

#define SAVE_PROFILE_UNNEST                                                                 \
    "unnest($2::uuid[], $3::uuid[], $4::bigint[], $5::timestamptz[], $6::timestamptz[],"    \
    " $7::timestamptz[], $8::timestamptz[], $9::timestamptz[], $10::date[],"                \
    " $11::timestamptz[], $12::boolean[], $13::jsonb[], $14::jsonb[], $15::jsonb[],"        \
    " $16::text[], $17::timestamptz[], $18::timestamptz[], $19::bigint[], $20::bigint[],"   \
    " $21::bigint[], $22::bigint[], $23::bigint[], $24::timestamptz[], $25::timestamptz[]," \
    " $26::jsonb[], $27::jsonb[], $28::jsonb[], $29::jsonb[], $30::bytea[], $31::text[],"   \
    " $32::text[], $33::jsonb[], $34::boolean[], $35::bigint[], $36::bigint[])"             \
    " AS u (id, merged_into, sequence, created_at, updated_at, decided_at, first_seen_at,"  \
    " last_seen_at, last_seen_day, signed_up_at, identified, email, phone, external_id,"    \
    " lifecycle, lifecycle_since, due_at, orders_count, orders_foreign_count,"              \
    " orders_gross_minor, orders_refunded_minor, orders_largest_minor, orders_first_at,"    \
    " orders_last_at, traits, preferences, consent, cart, state, tags, segments, tiers,"    \
    " has_labels, ruleset_version, statistics_version)"

static const struct pg_statement save_profile_insert = {
    "save_profile_insert",
    "INSERT INTO profile (workspace_id, id, merged_into, sequence, created_at, updated_at,"
    " decided_at, first_seen_at, last_seen_at, last_seen_day, signed_up_at, identified, email,"
    " phone, external_id, lifecycle, lifecycle_since, due_at, orders_count,"
    " orders_foreign_count, orders_gross_minor, orders_refunded_minor, orders_largest_minor,"
    " orders_first_at, orders_last_at, traits, preferences, consent, cart, state, tags,"
    " segments, tiers, ruleset_version, statistics_version)"
    " SELECT $1, u.id, u.merged_into, u.sequence, u.created_at, u.updated_at, u.decided_at,"
    " u.first_seen_at, u.last_seen_at, u.last_seen_day, u.signed_up_at, u.identified,"
    " u.email #>> '{}', u.phone #>> '{}', u.external_id #>> '{}', u.lifecycle,"
    " u.lifecycle_since, u.due_at, u.orders_count, u.orders_foreign_count,"
    " u.orders_gross_minor, u.orders_refunded_minor, u.orders_largest_minor,"
    " u.orders_first_at, u.orders_last_at, u.traits, u.preferences, u.consent, u.cart, u.state,"
    " u.tags::text[], u.segments::text[], u.tiers, u.ruleset_version, u.statistics_version"
    " FROM " SAVE_PROFILE_UNNEST,
};

/* $37: the sweep raises due_at, a write only lowers it. Facts and labels are not
 * written when they did not change. */
static const struct pg_statement save_profile_update = {
    "save_profile_update",
    "UPDATE profile AS p SET merged_into = u.merged_into, sequence = u.sequence,"
    " updated_at = u.updated_at, decided_at = u.decided_at, first_seen_at = u.first_seen_at,"
    " last_seen_at = u.last_seen_at, last_seen_day = u.last_seen_day,"
    " signed_up_at = u.signed_up_at, identified = u.identified, email = u.email #>> '{}',"
    " phone = u.phone #>> '{}', external_id = u.external_id #>> '{}',"
    " lifecycle = CASE WHEN u.has_labels THEN u.lifecycle ELSE p.lifecycle END,"
    " lifecycle_since = CASE WHEN u.has_labels THEN u.lifecycle_since"
    " ELSE p.lifecycle_since END,"
    " tags = CASE WHEN u.has_labels THEN u.tags::text[] ELSE p.tags END,"
    " segments = CASE WHEN u.has_labels THEN u.segments::text[] ELSE p.segments END,"
    " tiers = CASE WHEN u.has_labels THEN u.tiers ELSE p.tiers END,"
    " ruleset_version = u.ruleset_version, statistics_version = u.statistics_version,"
    " due_at = CASE WHEN $37 OR u.merged_into IS NOT NULL THEN u.due_at"
    " ELSE LEAST(p.due_at, u.due_at) END,"
    " orders_count = u.orders_count, orders_foreign_count = u.orders_foreign_count,"
    " orders_gross_minor = u.orders_gross_minor,"
    " orders_refunded_minor = u.orders_refunded_minor,"
    " orders_largest_minor = u.orders_largest_minor, orders_first_at = u.orders_first_at,"
    " orders_last_at = u.orders_last_at, traits = COALESCE(u.traits, p.traits),"
    " preferences = COALESCE(u.preferences, p.preferences),"
    " consent = COALESCE(u.consent, p.consent), cart = u.cart, state = u.state"
    " FROM (SELECT $1::uuid AS workspace_id, u.* FROM " SAVE_PROFILE_UNNEST " OFFSET 0) u"
    " WHERE p.workspace_id = u.workspace_id AND p.id = u.id",
};

/* Who was merged into a loser before now follows it to the survivor, so that
 * merged_into always names the canonical profile. Each loser comes once, with the
 * one whom all its merges of this commit end at. */
static const struct pg_statement save_merged_follow = {
    "save_merged_follow",
    "UPDATE profile AS p SET merged_into = u.into_id"
    " FROM (SELECT $1::uuid AS workspace_id, u.* FROM unnest($2::uuid[], $3::uuid[])"
    " AS u (from_id, into_id) OFFSET 0) u"
    " WHERE p.workspace_id = u.workspace_id AND p.merged_into = u.from_id",
};

/* What is pending of a loser and ordered waits from now on among the survivor's: its
 * sequence is not above the survivor's, which goes on behind the greater of the two
 * (identity/resolve.c), so the order of both is kept and what rings now is behind them.
 * One probe of delivery_order a merge, whatever is pending of others. Notifications keep
 * whom they were about; what is in the air is waited for.
 *
 * In the order of turns: whoever settles a head goes on to its follower. Two endpoints'
 * heads settled together are locked in the order of their ids, which may be the other
 * way round: 40P01, and one of the two tries again. */
static const struct pg_statement save_delivery_follow = {
    "save_delivery_follow",
    "UPDATE delivery AS d SET profile_id = k.into_id"
    " FROM (SELECT $1::uuid AS workspace_id, r.id, u.into_id"
    " FROM unnest($2::uuid[], $3::uuid[]) AS u (from_id, into_id)"
    " CROSS JOIN LATERAL (SELECT c.id FROM delivery c WHERE c.workspace_id = $1"
    " AND c.profile_id = u.from_id AND c.is_ordered"
    " ORDER BY c.subscription_id, c.sequence, c.rank, c.id FOR UPDATE) r OFFSET 0) k"
    " WHERE d.workspace_id = k.workspace_id AND d.id = k.id",
};

static const struct pg_statement save_identity_move = {
    "save_identity_move",
    "UPDATE identity AS i SET profile_id = u.profile_id, origin_id = u.origin_id,"
    " vouched = u.vouched"
    " FROM (SELECT $1::uuid AS workspace_id, u.* FROM unnest($2::text[], $3::uuid[], $4::text[],"
    " $5::uuid[], $6::uuid[], $7::boolean[])"
    " AS u (kind, source_id, value, profile_id, origin_id, vouched) OFFSET 0) u"
    " WHERE i.workspace_id = u.workspace_id AND i.kind = u.kind AND i.source_id = u.source_id"
    " AND i.value = u.value",
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

static const struct pg_statement save_notification = {
    "save_notification",
    "WITH rung AS (INSERT INTO notification (workspace_id, created_at, id, profile_id, topic,"
    " sequence, rank, body)"
    " SELECT $1, u.* FROM unnest($2::timestamptz[], $3::uuid[], $4::uuid[], $5::text[],"
    " $6::bigint[], $7::integer[], $8::text[]) AS u"
    " ON CONFLICT (workspace_id, created_at, id) DO NOTHING RETURNING id)"
    " INSERT INTO delivery (workspace_id, id, notification_id, notification_created_at,"
    " subscription_id, profile_id, sequence, rank, is_ordered, expires_at, due_at, lease_owner,"
    " lease_until)"
    " SELECT $1, d.id, d.notification_id, d.created_at, d.subscription_id, d.profile_id,"
    " d.sequence, d.rank, d.is_ordered, d.expires_at, $19,"
    " CASE WHEN d.at_once THEN $20::uuid END, CASE WHEN d.at_once THEN $21::timestamptz END"
    /* Sent at once only if nothing earlier about this customer is still unsettled. */
    " FROM (SELECT u.id, u.notification_id, u.created_at, u.subscription_id, u.profile_id,"
    " u.sequence, u.rank, u.is_ordered, u.expires_at,"
    " u.at_once AND NOT (u.is_ordered AND EXISTS (SELECT 1 FROM delivery e"
    " WHERE e.workspace_id = $1 AND e.subscription_id = u.subscription_id"
    " AND e.profile_id = u.profile_id AND e.is_ordered"
    " AND (e.sequence, e.rank, e.id) < (u.sequence, u.rank, u.id))) AS at_once"
    " FROM unnest($9::uuid[], $10::uuid[], $11::timestamptz[], $12::uuid[], $13::uuid[],"
    " $14::bigint[], $15::integer[], $16::boolean[], $17::timestamptz[], $18::boolean[])"
    " AS u (id, notification_id, created_at, subscription_id, profile_id, sequence, rank,"
    " is_ordered, expires_at, at_once)) d"
    /* IS TRUE keeps it a hashed subplan: as a join it would be nested, since hash
     * joins are off here. */
    " WHERE (d.notification_id IN (SELECT id FROM rung)) IS TRUE"
    " ON CONFLICT (workspace_id, id) DO NOTHING RETURNING id, lease_owner IS NOT NULL",
};

/* What some are sent instead of the body. Of a notification that was there before,
 * the first stays: it may be on its way. */
static const struct pg_statement save_rendition = {
    "save_rendition",
    "INSERT INTO rendition (workspace_id, created_at, notification_id, subscription_id, target,"
    " body)"
    " SELECT $1, u.* FROM unnest($2::timestamptz[], $3::uuid[], $4::uuid[], $5::text[],"
    " $6::text[]) AS u"
    " ON CONFLICT (workspace_id, created_at, notification_id, subscription_id) DO NOTHING",
};

enum {
    SAVE_STATEMENTS_MAX = 24 + INTEREST_STATEMENTS_MAX + CATALOGUE_STATEMENTS_MAX
};

/* --- columns ------------------------------------------------------------ */

struct columns {
    struct pg_array column[36];
    size_t count;
};

static void columns_begin(struct columns *columns, struct pg_params *params,
                          const enum pg_type *types, size_t type_count, size_t rows)
{
    columns->count = type_count;
    for (size_t i = 0; i < type_count; i++) {
        pg_array_begin(&columns->column[i], params, types[i], rows);
    }
}

static void columns_end(struct columns *columns)
{
    for (size_t i = 0; i < columns->count; i++) {
        pg_array_end(&columns->column[i]);
    }
}

static struct pg_params *params_new(const struct batch *batch)
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
    struct columns columns;
    struct pg_params *params = params_new(batch);
    if (params == NULL) {
        return STATUS_LIMIT;
    }
    columns_begin(&columns, params, types, ARRAY_COUNT(types), save->webhook_count);
    for (size_t i = 0; i < save->webhook_count; i++) {
        const struct batch_webhook *webhook = &save->webhooks[i];
        pg_array_instant(&columns.column[0], webhook->received_at_ms);
        pg_array_id(&columns.column[1], webhook->id);
        pg_array_id(&columns.column[2], webhook->source_id);
        pg_array_text(&columns.column[3], webhook->topic);
        pg_array_text(&columns.column[4], webhook->dedup_key);
        pg_array_text(&columns.column[5], webhook->headers_json);
        pg_array_bytes(&columns.column[6], webhook->body);
    }
    columns_end(&columns);
    return pg_queue(batch->pg, &save_webhook, params);
}

static struct str facts_json(struct arena *arena, const struct profile *profile,
                             enum fact_kind kind)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, arena, (size_t)LIMIT_TRAITS_PER_PROFILE * 2 * LIMIT_TEXT_BYTES);
    jsonw_begin(&json, &buf);
    profile_write_facts(&json, profile, kind);
    return buf_str(&buf);
}

static void put_profile_facts(struct columns *columns, struct arena *arena,
                              const struct profile *profile)
{
    bool changed = profile->facts_changed || profile->is_new;
    static const enum fact_kind kinds[] = { FACT_TRAIT, FACT_PREFERENCE, FACT_CONSENT };
    for (size_t k = 0; k < ARRAY_COUNT(kinds); k++) {
        struct str json = { 0 };
        if (changed) {
            json = facts_json(arena, profile, kinds[k]);
        }
        pg_array_jsonb_or_null(&columns->column[24 + k], json);
    }
}

/* Names are of [a-z0-9_], so an array literal needs no quotes. */
static struct str name_array(struct arena *arena, const struct str *names, size_t count)
{
    struct buf buf;
    buf_init(&buf, arena, (size_t)RULESET_RULES_MAX * (LIMIT_NAME_BYTES + 1) + 2);
    buf_add_char(&buf, '{');
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            buf_add_char(&buf, ',');
        }
        buf_add_str(&buf, names[i]);
    }
    buf_add_char(&buf, '}');
    return buf_str(&buf);
}

static struct str tiers_json(struct arena *arena, const struct profile_labels *labels)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, arena, (size_t)RULESET_RULES_MAX * (LIMIT_NAME_BYTES + 1) * 2);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    for (size_t i = 0; i < labels->tier_count; i++) {
        jsonw_key_str(&json, labels->tiers[i].name);
        jsonw_str(&json, labels->tiers[i].value);
    }
    jsonw_close(&json);
    return buf_str(&buf);
}

/* A negative version: it stands there, but wants to be hydrated. */
static void put_labels(struct columns *columns, struct arena *arena, const struct profile *p)
{
    struct pg_array *c = columns->column;
    struct str tags = STR("{}");
    struct str segments = STR("{}");
    struct str tiers = STR("{}");
    if (p->has_labels) {
        tags = name_array(arena, p->labels.tags, p->labels.tag_count);
        segments = name_array(arena, p->labels.segments, p->labels.segment_count);
        tiers = tiers_json(arena, &p->labels);
    }
    pg_array_text(&c[29], tags);
    pg_array_text(&c[30], segments);
    pg_array_jsonb_or_null(&c[31], tiers);
    pg_array_bool(&c[32], p->has_labels);
    pg_array_i64(&c[33], p->needs_history ? -p->ruleset_version : p->ruleset_version);
    pg_array_i64(&c[34], p->statistics_version);
}

static bool put_profile(struct columns *columns, struct arena *arena, const struct profile *p)
{
    struct str state = { 0 };
    if (!profile_state_encode(arena, p, &state)) {
        return false;
    }
    struct pg_array *c = columns->column;
    pg_array_id(&c[0], p->id);
    pg_array_id_or_null(&c[1], p->merged_into);
    pg_array_i64(&c[2], p->sequence);
    pg_array_instant(&c[3], p->created_at_ms);
    pg_array_instant(&c[4], p->updated_at_ms);
    pg_array_instant(&c[5], p->decided_at_ms);
    pg_array_instant(&c[6], p->first_seen_at_ms);
    pg_array_instant(&c[7], p->last_seen_at_ms);
    pg_array_day(&c[8], p->last_seen_at_ms);
    pg_array_instant(&c[9], p->signed_up_at_ms);
    pg_array_bool(&c[10], p->identified);
    pg_array_jsonb_or_null(&c[11], profile_fact_value(p, FACT_TRAIT, "email"));
    pg_array_jsonb_or_null(&c[12], profile_fact_value(p, FACT_TRAIT, "phone"));
    pg_array_jsonb_or_null(&c[13], profile_fact_value(p, FACT_TRAIT, "external_id"));
    pg_array_text_or_null(&c[14], p->labels.lifecycle);
    pg_array_instant(&c[15], p->labels.lifecycle_since_ms);
    pg_array_instant(&c[16], p->due_at_ms);
    pg_array_i64(&c[17], p->orders.count);
    pg_array_i64(&c[18], p->orders.foreign_count);
    pg_array_i64(&c[19], p->orders.gross_minor);
    pg_array_i64(&c[20], p->orders.refunded_minor);
    pg_array_i64(&c[21], p->orders.largest_minor);
    pg_array_instant(&c[22], p->orders.first_at_ms);
    pg_array_instant(&c[23], p->orders.last_at_ms);
    put_profile_facts(columns, arena, p);
    pg_array_jsonb_or_null(&c[27], p->cart_json);
    pg_array_bytes(&c[28], state);
    put_labels(columns, arena, p);
    return true;
}

static enum status queue_profiles(struct batch *batch, const struct batch_save *save, bool is_new)
{
    static const enum pg_type types[] = {
        PG_UUID,    PG_UUID,    PG_INT8,    PG_INSTANT, PG_INSTANT, PG_INSTANT, PG_INSTANT,
        PG_INSTANT, PG_DATE,    PG_INSTANT, PG_BOOL,    PG_JSONB,   PG_JSONB,   PG_JSONB,
        PG_TEXT,    PG_INSTANT, PG_INSTANT, PG_INT8,    PG_INT8,    PG_INT8,    PG_INT8,
        PG_INT8,    PG_INSTANT, PG_INSTANT, PG_JSONB,   PG_JSONB,   PG_JSONB,   PG_JSONB,
        PG_BYTEA,   PG_TEXT,    PG_TEXT,    PG_JSONB,   PG_BOOL,    PG_INT8,    PG_INT8,
    };
    size_t count = 0;
    for (size_t i = 0; i < save->rows->profile_count; i++) {
        count += save->rows->profiles[i]->is_new == is_new ? 1 : 0;
    }
    if (count == 0) {
        return STATUS_OK;
    }
    struct columns columns;
    struct pg_params *params = params_new(batch);
    if (params == NULL) {
        return STATUS_LIMIT;
    }
    columns_begin(&columns, params, types, ARRAY_COUNT(types), count);
    for (size_t i = 0; i < save->rows->profile_count; i++) {
        const struct profile *profile = save->rows->profiles[i];
        if (profile->is_new == is_new && !put_profile(&columns, batch->arena, profile)) {
            return STATUS_LIMIT;
        }
    }
    columns_end(&columns);
    if (is_new) {
        return pg_queue(batch->pg, &save_profile_insert, params);
    }
    pg_put_bool(params, save->raises_due);
    return pg_queue(batch->pg, &save_profile_update, params);
}

/* A wake-up that changed nothing: one indexed column. */
static const struct pg_statement save_profile_woken = {
    "save_profile_woken",
    "UPDATE profile AS p SET due_at = u.due_at FROM (SELECT $1::uuid AS workspace_id, u.* FROM"
    " unnest($2::uuid[], $3::timestamptz[]) AS u (id, due_at) OFFSET 0) u"
    " WHERE p.workspace_id = u.workspace_id AND p.id = u.id",
};

static enum status queue_woken(struct batch *batch, const struct decision_rows *rows)
{
    if (rows->woken_count == 0) {
        return STATUS_OK;
    }
    static const enum pg_type types[] = { PG_UUID, PG_INSTANT };
    struct columns columns;
    struct pg_params *params = params_new(batch);
    if (params == NULL) {
        return STATUS_LIMIT;
    }
    columns_begin(&columns, params, types, ARRAY_COUNT(types), rows->woken_count);
    for (size_t i = 0; i < rows->woken_count; i++) {
        pg_array_id(&columns.column[0], rows->woken[i]->id);
        pg_array_instant(&columns.column[1], rows->woken[i]->due_at_ms);
    }
    columns_end(&columns);
    return pg_queue(batch->pg, &save_profile_woken, params);
}

/* Who is there when the merges of this commit are done. */
static struct id survivor_of(const struct decision_rows *rows, struct id profile_id)
{
    for (size_t i = 0; i < rows->identity_decision_count; i++) {
        const struct identity_decision_row *row = &rows->identity_decisions[i];
        if (row->kind == IDENTITY_MERGED && id_equal(row->from_id, profile_id)) {
            profile_id = row->into_id;
        }
    }
    return profile_id;
}

static enum status queue_merges(struct batch *batch, const struct decision_rows *rows)
{
    size_t count = 0;
    for (size_t i = 0; i < rows->identity_decision_count; i++) {
        count += rows->identity_decisions[i].kind == IDENTITY_MERGED ? 1 : 0;
    }
    if (count == 0) {
        return STATUS_OK;
    }
    static const enum pg_type types[] = { PG_UUID, PG_UUID };
    struct columns columns;
    struct pg_params *params = params_new(batch);
    if (params == NULL) {
        return STATUS_LIMIT;
    }
    columns_begin(&columns, params, types, ARRAY_COUNT(types), count);
    for (size_t i = 0; i < rows->identity_decision_count; i++) {
        const struct identity_decision_row *row = &rows->identity_decisions[i];
        if (row->kind == IDENTITY_MERGED) {
            pg_array_id(&columns.column[0], row->from_id);
            pg_array_id(&columns.column[1], survivor_of(rows, row->into_id));
        }
    }
    columns_end(&columns);
    enum status status = pg_queue(batch->pg, &save_merged_follow, params);
    return status == STATUS_OK ? pg_queue(batch->pg, &save_delivery_follow, params) : status;
}

static enum status queue_moves(struct batch *batch, const struct decision_rows *rows)
{
    if (rows->moved_identity_count == 0) {
        return STATUS_OK;
    }
    static const enum pg_type types[] = { PG_TEXT, PG_UUID, PG_TEXT, PG_UUID, PG_UUID, PG_BOOL };
    struct columns columns;
    struct pg_params *params = params_new(batch);
    if (params == NULL) {
        return STATUS_LIMIT;
    }
    columns_begin(&columns, params, types, ARRAY_COUNT(types), rows->moved_identity_count);
    for (size_t i = 0; i < rows->moved_identity_count; i++) {
        const struct identity_row *row = rows->moved_identities[i];
        pg_array_text(&columns.column[0], str_from_z(identity_kind_name(row->identifier.kind)));
        pg_array_id(&columns.column[1], row->identifier.source_id);
        pg_array_text(&columns.column[2], row->identifier.value);
        pg_array_id(&columns.column[3], row->profile_id);
        pg_array_id(&columns.column[4], row->origin_id);
        pg_array_bool(&columns.column[5], row->is_vouched);
    }
    columns_end(&columns);
    return pg_queue(batch->pg, &save_identity_move, params);
}

/* --- orders ------------------------------------------------------------- */

static bool put_order(struct columns *columns, struct arena *arena, const struct order *o)
{
    struct str documents = { 0 };
    if (!order_documents_encode(arena, o, &documents)) {
        return false;
    }
    struct pg_array *c = columns->column;
    pg_array_id(&c[0], o->source_id);
    pg_array_text(&c[1], o->order_ref);
    pg_array_id(&c[2], o->origin_id);
    pg_array_id(&c[3], o->profile_id);
    pg_array_bool(&c[4], o->has_body);
    pg_array_instant(&c[5], o->has_body ? o->version_ms : INSTANT_NONE);
    pg_array_text(&c[6], str_from_z(order_rank_name(o->rank)));
    pg_array_bool(&c[7], o->counts);
    pg_array_instant(&c[8], o->placed_at_ms);
    pg_array_text(&c[9], o->number);
    pg_array_text(&c[10], o->status);
    pg_array_text(&c[11], o->currency);
    pg_array_i64(&c[12], o->total_minor);
    pg_array_i64(&c[13], order_refunded_minor(o));
    pg_array_instant(&c[14], o->cancelled_at_ms);
    pg_array_bool(&c[15], order_is_deleted(o));
    pg_array_bool(&c[16], o->completed);
    pg_array_bool(&c[17], o->contribution.counted);
    pg_array_bool(&c[18], o->contribution.foreign);
    pg_array_i64(&c[19], o->contribution.gross_minor);
    pg_array_i64(&c[20], o->contribution.refunded_minor);
    pg_array_bytes(&c[21], documents);
    pg_array_jsonb_or_null(&c[22], o->body_json);
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
    struct columns columns;
    struct pg_params *params = params_new(batch);
    if (params == NULL) {
        return STATUS_LIMIT;
    }
    columns_begin(&columns, params, types, ARRAY_COUNT(types), count);
    for (size_t i = 0; i < count; i++) {
        if (!put_order(&columns, batch->arena, orders[i])) {
            return STATUS_LIMIT;
        }
    }
    columns_end(&columns);
    return pg_queue(batch->pg, stored ? &save_order_update : &save_order_insert, params);
}

/* --- facts and decisions ------------------------------------------------ */

static bool put_interaction(struct columns *columns, struct arena *arena,
                            const struct interaction_row *row)
{
    const struct event *event = row->event;
    struct str facts = { 0 };
    /* What the identifiers say too: hydrate has no other place to read it. */
    if (!profile_facts_encode(arena, event, &facts)) {
        return false;
    }
    struct pg_array *c = columns->column;
    pg_array_id(&c[0], row->origin_id);
    pg_array_instant(&c[1], event->occurred_at_ms);
    pg_array_id(&c[2], event->id);
    pg_array_instant(&c[3], event->received_at_ms);
    pg_array_id(&c[4], event->source_id);
    pg_array_text(&c[5], event->name);
    pg_array_i16(&c[6], (int16_t)event->trust);
    pg_array_text_or_null(&c[7], event->product_id);
    pg_array_text_or_null(&c[8], event->category);
    pg_array_text_or_null(&c[9], event->currency);
    if (event->has_amount) {
        pg_array_i64(&c[10], event->amount_minor);
    } else {
        pg_array_null(&c[10]);
    }
    pg_array_text_or_null(&c[11],
                          event->order != NULL ? event->order->order_ref : (struct str){ 0 });
    pg_array_bytes_or_null(&c[12], facts);
    pg_array_jsonb_or_null(&c[13], event->properties_json);
    pg_array_jsonb_or_null(&c[14], event->context_json);
    if (event->act == event_type_info(event->type)->act) {
        pg_array_null(&c[15]);
    } else {
        pg_array_bool(&c[15], event->act);
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
    struct columns columns;
    struct pg_params *params = params_new(batch);
    if (params == NULL) {
        return STATUS_LIMIT;
    }
    columns_begin(&columns, params, types, ARRAY_COUNT(types), rows->interaction_count);
    for (size_t i = 0; i < rows->interaction_count; i++) {
        if (!put_interaction(&columns, batch->arena, &rows->interactions[i])) {
            return STATUS_LIMIT;
        }
    }
    columns_end(&columns);
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
    struct columns columns;
    struct pg_params *params = params_new(batch);
    if (params == NULL) {
        return STATUS_LIMIT;
    }
    columns_begin(&columns, params, types, ARRAY_COUNT(types), rows->identity_decision_count);
    for (size_t i = 0; i < rows->identity_decision_count; i++) {
        const struct identity_decision_row *row = &rows->identity_decisions[i];
        struct pg_array *c = columns.column;
        pg_array_id(&c[0], row->id);
        pg_array_text(&c[1], str_from_z(identity_decision_name(row->kind)));
        pg_array_id(&c[2], row->event_id);
        pg_array_id(&c[3], row->from_id);
        pg_array_id(&c[4], row->into_id);
        pg_array_text(&c[5], str_from_z(identity_kind_name(row->because)));
        pg_array_instant(&c[6], row->at_ms);
    }
    columns_end(&columns);
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
    struct columns columns;
    struct pg_params *params = params_new(batch);
    if (params == NULL) {
        return STATUS_LIMIT;
    }
    columns_begin(&columns, params, types, ARRAY_COUNT(types), rows->transition_count);
    for (size_t i = 0; i < rows->transition_count; i++) {
        const struct transition_row *row = &rows->transitions[i];
        struct pg_array *c = columns.column;
        pg_array_instant(&c[0], row->at_ms);
        pg_array_id(&c[1], row->id);
        pg_array_id(&c[2], row->profile_id);
        const struct rule_definition *rule = &row->rule->definition;
        pg_array_text(&c[3], rule->name);
        pg_array_text_or_null(&c[4], transition_value(row->had, row->from));
        pg_array_text_or_null(&c[5], transition_value(row->has, row->to));
        pg_array_text(&c[6], str_from_z(cause_name(row->cause)));
        pg_array_id_or_null(&c[7], row->event_id);
        pg_array_instant(&c[8], row->decided_at_ms);
        pg_array_text(&c[9], str_from_z(rule_kind_name(rule->kind)));
        pg_array_i64(&c[10], rule->version);
        pg_array_i64(&c[11], row->ruleset_version);
    }
    columns_end(&columns);
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
    struct columns columns;
    struct pg_params *params = params_new(batch);
    if (params == NULL) {
        return STATUS_LIMIT;
    }
    columns_begin(&columns, params, types, come ? 4 : 3, count);
    for (size_t i = 0; i < count; i++) {
        struct pg_array *c = columns.column;
        pg_array_id(&c[0], rows[i].rule_id);
        pg_array_text(&c[1], rows[i].value);
        pg_array_id(&c[2], rows[i].profile_id);
        if (come) {
            pg_array_instant(&c[3], rows[i].since_ms);
        }
    }
    columns_end(&columns);
    return pg_queue(batch->pg, come ? &save_membership_come : &save_membership_gone, params);
}

/* --- notifications and their deliveries --------------------------------- */

/* NULL: the notification's own body. */
static const struct rendition *rendition_of(const struct notification_row *row, size_t index)
{
    bool has_own = row->renditions != NULL && row->renditions[index].body.size > 0;
    return has_own ? &row->renditions[index] : NULL;
}

/* The deliveries of a commit, under whom each waits its turn, and which of them may
 * leave at once. */
struct made_deliveries {
    struct delivery *rows;
    struct id *turns;
    bool *at_once;
    size_t count;
};

struct turn {
    struct id subscription_id;
    struct id profile_id;
    size_t index;
};

static int compare_turn(const void *a, const void *b)
{
    const struct turn *left = a;
    const struct turn *right = b;
    int order = id_compare(left->subscription_id, right->subscription_id);
    if (order == 0) {
        order = id_compare(left->profile_id, right->profile_id);
    }
    return order != 0 ? order : (left->index < right->index ? -1 : left->index > right->index);
}

/* Of those that are ordered only the first about its customer: the statement cannot
 * see the others of its own commit. */
static enum status keep_first_in_turn(struct arena *arena, struct made_deliveries *made)
{
    size_t count = 0;
    struct turn *turns = ARENA_NEW_ARRAY(arena, made->count + 1, struct turn);
    if (turns == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < made->count; i++) {
        if (made->rows[i].is_ordered) {
            turns[count++] = (struct turn){ made->rows[i].subscription_id, made->turns[i], i };
        }
    }
    qsort(turns, count, sizeof(*turns), compare_turn);
    for (size_t i = 1; i < count; i++) {
        if (id_equal(turns[i].subscription_id, turns[i - 1].subscription_id) &&
            id_equal(turns[i].profile_id, turns[i - 1].profile_id)) {
            made->at_once[turns[i].index] = false;
        }
    }
    return STATUS_OK;
}

static enum status make_deliveries(struct batch *batch, const struct batch_save *save,
                                   struct made_deliveries *out_made)
{
    size_t count = 0;
    for (size_t i = 0; i < save->rows->notification_count; i++) {
        count += save->rows->notifications[i].subscription_count;
    }
    struct delivery *deliveries = ARENA_NEW_ARRAY(batch->arena, count + 1, struct delivery);
    struct id *turns = ARENA_NEW_ARRAY(batch->arena, count + 1, struct id);
    bool *at_once = ARENA_NEW_ARRAY(batch->arena, count + 1, bool);
    if (deliveries == NULL || turns == NULL || at_once == NULL) {
        return STATUS_LIMIT;
    }
    size_t filled = 0;
    for (size_t i = 0; i < save->rows->notification_count; i++) {
        const struct notification_row *row = &save->rows->notifications[i];
        struct id turn = survivor_of(save->rows, row->profile_id);
        for (size_t k = 0; k < row->subscription_count; k++) {
            const struct rendition *own = rendition_of(row, k);
            struct delivery_way way = { .is_ordered = false };
            if (row->subscription_ways != NULL) {
                way = row->subscription_ways[k];
            }
            at_once[filled] = !way.is_batched;
            turns[filled] = turn;
            deliveries[filled++] = (struct delivery){
                .workspace_id = batch->workspace_id,
                .id = delivery_id(row->id, row->subscription_ids[k]),
                .notification_id = row->id,
                .notification_created_at_ms = row->created_at_ms,
                .subscription_id = row->subscription_ids[k],
                .profile_id = row->profile_id,
                .sequence = row->sequence,
                .rank = (uint32_t)i,
                .is_ordered = way.is_ordered,
                .expires_at_ms =
                    delivery_expires_at_ms(row->created_at_ms, row->expires_at_ms, way.max_age_ms),
                .due_at_ms = row->created_at_ms,
                .lease_until_ms = save->lease_until_ms,
                .topic = row->topic,
                .target = own != NULL ? own->target : (struct str){ NULL, 0 },
                .body = own != NULL ? own->body : row->body,
            };
        }
    }
    *out_made = (struct made_deliveries){
        .rows = deliveries, .turns = turns, .at_once = at_once, .count = count
    };
    return keep_first_in_turn(batch->arena, out_made);
}

static void put_notifications(struct pg_params *params, const struct decision_rows *rows)
{
    static const enum pg_type types[] = { PG_INSTANT, PG_UUID, PG_UUID, PG_TEXT,
                                          PG_INT8,    PG_INT4, PG_TEXT };
    struct columns columns;
    columns_begin(&columns, params, types, ARRAY_COUNT(types), rows->notification_count);
    for (size_t i = 0; i < rows->notification_count; i++) {
        const struct notification_row *row = &rows->notifications[i];
        struct pg_array *c = columns.column;
        pg_array_instant(&c[0], row->created_at_ms);
        pg_array_id(&c[1], row->id);
        pg_array_id(&c[2], row->profile_id);
        pg_array_text(&c[3], row->topic);
        pg_array_i64(&c[4], row->sequence);
        pg_array_i32(&c[5], (int32_t)i);
        pg_array_text(&c[6], row->body);
    }
    columns_end(&columns);
}

static void put_deliveries(struct pg_params *params, const struct made_deliveries *made)
{
    static const enum pg_type types[] = { PG_UUID, PG_UUID, PG_INSTANT, PG_UUID,    PG_UUID,
                                          PG_INT8, PG_INT4, PG_BOOL,    PG_INSTANT, PG_BOOL };
    const struct delivery *deliveries = made->rows;
    struct columns columns;
    columns_begin(&columns, params, types, ARRAY_COUNT(types), made->count);
    for (size_t i = 0; i < made->count; i++) {
        struct pg_array *c = columns.column;
        pg_array_id(&c[0], deliveries[i].id);
        pg_array_id(&c[1], deliveries[i].notification_id);
        pg_array_instant(&c[2], deliveries[i].notification_created_at_ms);
        pg_array_id(&c[3], deliveries[i].subscription_id);
        pg_array_id(&c[4], made->turns[i]);
        pg_array_i64(&c[5], deliveries[i].sequence);
        pg_array_i32(&c[6], (int32_t)deliveries[i].rank);
        pg_array_bool(&c[7], deliveries[i].is_ordered);
        pg_array_instant(&c[8], deliveries[i].expires_at_ms);
        pg_array_bool(&c[9], made->at_once[i]);
    }
    columns_end(&columns);
}

static enum status queue_notifications(struct batch *batch, const struct batch_save *save,
                                       const struct made_deliveries *made)
{
    struct pg_params *params = params_new(batch);
    if (params == NULL) {
        return STATUS_LIMIT;
    }
    put_notifications(params, save->rows);
    put_deliveries(params, made);
    /* Due now: the instant of the cause may be the past of a late event, which the
     * floors of claims have left behind. */
    int64_t due_at_ms = clock_now_ms();
    for (size_t i = 0; i < save->rows->notification_count; i++) {
        int64_t created = save->rows->notifications[i].created_at_ms;
        due_at_ms = created > due_at_ms ? created : due_at_ms;
    }
    pg_put_instant(params, due_at_ms);
    pg_put_id_or_null(params, save->lease_owner);
    pg_put_instant(params, id_is_zero(save->lease_owner) ? INSTANT_NONE : save->lease_until_ms);
    return pg_queue(batch->pg, &save_notification, params);
}

static size_t count_renditions(const struct decision_rows *rows)
{
    size_t count = 0;
    for (size_t i = 0; i < rows->notification_count; i++) {
        const struct notification_row *row = &rows->notifications[i];
        for (size_t k = 0; row->renditions != NULL && k < row->subscription_count; k++) {
            count += rendition_of(row, k) != NULL ? 1 : 0;
        }
    }
    return count;
}

static void put_rendition(struct columns *columns, const struct notification_row *row, size_t index)
{
    const struct rendition *own = rendition_of(row, index);
    struct pg_array *c = columns->column;
    if (own == NULL) {
        return;
    }
    pg_array_instant(&c[0], row->created_at_ms);
    pg_array_id(&c[1], row->id);
    pg_array_id(&c[2], row->subscription_ids[index]);
    pg_array_text(&c[3], own->target);
    pg_array_text(&c[4], own->body);
}

/* Nothing is said to the database when all want the default. */
static enum status queue_renditions(struct batch *batch, const struct decision_rows *rows)
{
    static const enum pg_type types[] = { PG_INSTANT, PG_UUID, PG_UUID, PG_TEXT, PG_TEXT };
    size_t count = count_renditions(rows);
    struct columns columns;
    if (count == 0) {
        return STATUS_OK;
    }
    struct pg_params *params = params_new(batch);
    if (params == NULL) {
        return STATUS_LIMIT;
    }
    columns_begin(&columns, params, types, ARRAY_COUNT(types), count);
    for (size_t i = 0; i < rows->notification_count; i++) {
        const struct notification_row *row = &rows->notifications[i];
        for (size_t k = 0; row->renditions != NULL && k < row->subscription_count; k++) {
            put_rendition(&columns, row, k);
        }
    }
    columns_end(&columns);
    return pg_queue(batch->pg, &save_rendition, params);
}

static int compare_id(const void *a, const void *b)
{
    const struct id *left = a;
    const struct id *right = b;
    return id_compare(*left, *right);
}

/* Keeps the deliveries whose rows the statement returned, of those that were to be
 * leased only the ones that are. */
static enum status keep_inserted(struct batch *batch, const struct pg_result *result,
                                 bool only_leased, struct made_deliveries *made)
{
    size_t inserted = pg_row_count(result);
    struct id *ids = ARENA_NEW_ARRAY(batch->arena, inserted + 1, struct id);
    if (ids == NULL) {
        return STATUS_LIMIT;
    }
    size_t wanted = 0;
    for (size_t row = 0; row < inserted; row++) {
        if (!only_leased || pg_get_bool(result, row, 1)) {
            ids[wanted++] = pg_get_id(result, row, 0);
        }
    }
    qsort(ids, wanted, sizeof(*ids), compare_id);
    size_t kept = 0;
    for (size_t i = 0; i < made->count; i++) {
        if (bsearch(&made->rows[i].id, ids, wanted, sizeof(*ids), compare_id) != NULL) {
            made->rows[kept++] = made->rows[i];
        }
    }
    made->count = kept;
    return STATUS_OK;
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
        status = queue_profiles(batch, save, true);
    }
    if (status == STATUS_OK) {
        status = queue_profiles(batch, save, false);
    }
    if (status == STATUS_OK) {
        status = queue_woken(batch, rows);
    }
    if (status == STATUS_OK) {
        status = queue_merges(batch, rows);
    }
    if (status == STATUS_OK) {
        status = queue_moves(batch, rows);
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
    struct made_deliveries made = { .count = 0 };
    size_t statements = 0;
    enum status status = queue_rows(batch, save, &statements);
    if (status == STATUS_OK) {
        status = make_deliveries(batch, save, &made);
    }
    bool rings = save->rows->notification_count > 0;
    if (status == STATUS_OK && rings) {
        status = queue_notifications(batch, save, &made);
    }
    if (status == STATUS_OK && rings) {
        status = queue_renditions(batch, save->rows);
    }
    if (status == STATUS_OK && !save->stays_open) {
        status = pg_queue(batch->pg, &pg_commit, NULL);
    }
    struct pg_result *results[SAVE_STATEMENTS_MAX] = { NULL };
    if (status == STATUS_OK) {
        status = pg_sync(batch->pg, batch->arena, results, pg_queued(batch->pg), problem);
    }
    if (status == STATUS_OK && rings) {
        status = keep_inserted(batch, results[statements], !id_is_zero(save->lease_owner), &made);
    }
    if (status != STATUS_OK) {
        return status;
    }
    *out_deliveries = made.rows;
    *out_delivery_count = rings ? made.count : 0;
    return STATUS_OK;
}
