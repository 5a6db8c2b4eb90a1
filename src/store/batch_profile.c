#include "base/buf.h"
#include "base/limits.h"
#include "batch_priv.h"

/*
 * Save, customers: their rows, who was merged into whom, and what follows a merge.
 *
 * Invariant: a write only lowers profile.due_at (correctness 16): raising it touches an
 * index, and the sweep does that when it wakes for nothing. Rejected: an upsert, since
 * whether a profile is new is known, and the two plain statements cost less.
 */

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

static void put_profile_facts(struct pg_array *columns, struct arena *arena,
                              const struct profile *profile)
{
    bool changed = profile->facts_changed || profile->is_new;
    static const enum fact_kind kinds[] = { FACT_TRAIT, FACT_PREFERENCE, FACT_CONSENT };
    for (size_t k = 0; k < ARRAY_COUNT(kinds); k++) {
        struct str json = { 0 };
        if (changed) {
            json = facts_json(arena, profile, kinds[k]);
        }
        pg_array_jsonb_or_null(&columns[24 + k], json);
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
static void put_labels(struct pg_array *columns, struct arena *arena, const struct profile *p)
{
    struct str tags = STR("{}");
    struct str segments = STR("{}");
    struct str tiers = STR("{}");
    if (p->has_labels) {
        tags = name_array(arena, p->labels.tags, p->labels.tag_count);
        segments = name_array(arena, p->labels.segments, p->labels.segment_count);
        tiers = tiers_json(arena, &p->labels);
    }
    pg_array_text(&columns[29], tags);
    pg_array_text(&columns[30], segments);
    pg_array_jsonb_or_null(&columns[31], tiers);
    pg_array_bool(&columns[32], p->has_labels);
    pg_array_i64(&columns[33], p->needs_history ? -p->ruleset_version : p->ruleset_version);
    pg_array_i64(&columns[34], p->statistics_version);
}

static bool put_profile(struct pg_array *columns, struct arena *arena, const struct profile *p)
{
    struct str state = { 0 };
    if (!profile_state_encode(arena, p, &state)) {
        return false;
    }
    pg_array_id(&columns[0], p->id);
    pg_array_id_or_null(&columns[1], p->merged_into);
    pg_array_i64(&columns[2], p->sequence);
    pg_array_instant(&columns[3], p->created_at_ms);
    pg_array_instant(&columns[4], p->updated_at_ms);
    pg_array_instant(&columns[5], p->decided_at_ms);
    pg_array_instant(&columns[6], p->first_seen_at_ms);
    pg_array_instant(&columns[7], p->last_seen_at_ms);
    pg_array_day(&columns[8], p->last_seen_at_ms);
    pg_array_instant(&columns[9], p->signed_up_at_ms);
    pg_array_bool(&columns[10], p->identified);
    pg_array_jsonb_or_null(&columns[11], profile_fact_value(p, FACT_TRAIT, "email"));
    pg_array_jsonb_or_null(&columns[12], profile_fact_value(p, FACT_TRAIT, "phone"));
    pg_array_jsonb_or_null(&columns[13], profile_fact_value(p, FACT_TRAIT, "external_id"));
    pg_array_text_or_null(&columns[14], p->labels.lifecycle);
    pg_array_instant(&columns[15], p->labels.lifecycle_since_ms);
    pg_array_instant(&columns[16], p->due_at_ms);
    pg_array_i64(&columns[17], p->orders.count);
    pg_array_i64(&columns[18], p->orders.foreign_count);
    pg_array_i64(&columns[19], p->orders.gross_minor);
    pg_array_i64(&columns[20], p->orders.refunded_minor);
    pg_array_i64(&columns[21], p->orders.largest_minor);
    pg_array_instant(&columns[22], p->orders.first_at_ms);
    pg_array_instant(&columns[23], p->orders.last_at_ms);
    put_profile_facts(columns, arena, p);
    pg_array_jsonb_or_null(&columns[27], p->cart_json);
    pg_array_bytes(&columns[28], state);
    put_labels(columns, arena, p);
    return true;
}

enum status batch_queue_profiles(struct batch *batch, const struct batch_save *save, bool is_new)
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
    struct pg_array columns[ARRAY_COUNT(types)];
    struct pg_params *params = batch_params(batch);
    if (params == NULL) {
        return STATUS_LIMIT;
    }
    pg_columns_begin(columns, params, types, ARRAY_COUNT(types), count);
    for (size_t i = 0; i < save->rows->profile_count; i++) {
        const struct profile *profile = save->rows->profiles[i];
        if (profile->is_new == is_new && !put_profile(columns, batch->arena, profile)) {
            return STATUS_LIMIT;
        }
    }
    pg_columns_end(columns, ARRAY_COUNT(types));
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

enum status batch_queue_woken(struct batch *batch, const struct decision_rows *rows)
{
    if (rows->woken_count == 0) {
        return STATUS_OK;
    }
    static const enum pg_type types[] = { PG_UUID, PG_INSTANT };
    struct pg_array columns[ARRAY_COUNT(types)];
    struct pg_params *params = batch_params(batch);
    if (params == NULL) {
        return STATUS_LIMIT;
    }
    pg_columns_begin(columns, params, types, ARRAY_COUNT(types), rows->woken_count);
    for (size_t i = 0; i < rows->woken_count; i++) {
        pg_array_id(&columns[0], rows->woken[i]->id);
        pg_array_instant(&columns[1], rows->woken[i]->due_at_ms);
    }
    pg_columns_end(columns, ARRAY_COUNT(types));
    return pg_queue(batch->pg, &save_profile_woken, params);
}

struct id batch_survivor(const struct decision_rows *rows, struct id profile_id)
{
    for (size_t i = 0; i < rows->identity_decision_count; i++) {
        const struct identity_decision_row *row = &rows->identity_decisions[i];
        if (row->kind == IDENTITY_MERGED && id_equal(row->from_id, profile_id)) {
            profile_id = row->into_id;
        }
    }
    return profile_id;
}

enum status batch_queue_merges(struct batch *batch, const struct decision_rows *rows)
{
    size_t count = 0;
    for (size_t i = 0; i < rows->identity_decision_count; i++) {
        count += rows->identity_decisions[i].kind == IDENTITY_MERGED ? 1 : 0;
    }
    if (count == 0) {
        return STATUS_OK;
    }
    static const enum pg_type types[] = { PG_UUID, PG_UUID };
    struct pg_array columns[ARRAY_COUNT(types)];
    struct pg_params *params = batch_params(batch);
    if (params == NULL) {
        return STATUS_LIMIT;
    }
    pg_columns_begin(columns, params, types, ARRAY_COUNT(types), count);
    for (size_t i = 0; i < rows->identity_decision_count; i++) {
        const struct identity_decision_row *row = &rows->identity_decisions[i];
        if (row->kind == IDENTITY_MERGED) {
            pg_array_id(&columns[0], row->from_id);
            pg_array_id(&columns[1], batch_survivor(rows, row->into_id));
        }
    }
    pg_columns_end(columns, ARRAY_COUNT(types));
    enum status status = pg_queue(batch->pg, &save_merged_follow, params);
    return status == STATUS_OK ? pg_queue(batch->pg, &save_delivery_follow, params) : status;
}

enum status batch_queue_moves(struct batch *batch, const struct decision_rows *rows)
{
    if (rows->moved_identity_count == 0) {
        return STATUS_OK;
    }
    static const enum pg_type types[] = { PG_TEXT, PG_UUID, PG_TEXT, PG_UUID, PG_UUID, PG_BOOL };
    struct pg_array columns[ARRAY_COUNT(types)];
    struct pg_params *params = batch_params(batch);
    if (params == NULL) {
        return STATUS_LIMIT;
    }
    pg_columns_begin(columns, params, types, ARRAY_COUNT(types), rows->moved_identity_count);
    for (size_t i = 0; i < rows->moved_identity_count; i++) {
        const struct identity_row *row = rows->moved_identities[i];
        pg_array_text(&columns[0], str_from_z(identity_kind_name(row->identifier.kind)));
        pg_array_id(&columns[1], row->identifier.source_id);
        pg_array_text(&columns[2], row->identifier.value);
        pg_array_id(&columns[3], row->profile_id);
        pg_array_id(&columns[4], row->origin_id);
        pg_array_bool(&columns[5], row->is_vouched);
    }
    pg_columns_end(columns, ARRAY_COUNT(types));
    return pg_queue(batch->pg, &save_identity_move, params);
}
