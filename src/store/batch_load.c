#include <assert.h>
#include <stdlib.h>

#include "batch_priv.h"
#include "store/batch.h"

/*
 * Load and lock: what a batch reads before it may decide.
 *
 * Problem: two writers that see one new e-mail, a merge that commits between
 * resolving and locking, and a planner that filters where it should seek, each
 * made a first version wrong or slow (correctness 2 and 14).
 *
 * Invariant: locks are taken in one order, each set sorted by key: receipts,
 * missing identities, canonical profiles, orders. Owners that were found are read
 * again in the statement after the locks; if one is not among the locked, the batch
 * rolls back and loads again. So it does when a missing identity was inserted by
 * another, or an order appeared: what the batch inserted itself nobody else can have
 * changed, and reading it again took a twelfth of PostgreSQL's time for a webhook of
 * a new customer. Multi-row reads are LATERAL over a sorted unnest, so
 * that every row is one index probe whatever the statistics say. FOR UPDATE or
 * OFFSET 0 must stand inside: without either the planner flattens the subquery
 * and, on a table it believes empty, reads the whole workspace.
 */

static const struct pg_statement batch_receipt_insert = {
    "batch_receipt_insert",
    "INSERT INTO receipt (workspace_id, event_id, source_id, received_at)"
    " SELECT $1, u.event_id, u.source_id, u.received_at"
    " FROM unnest($2::uuid[], $3::uuid[], $4::timestamptz[]) AS u (event_id, source_id, "
    "received_at)"
    " ORDER BY u.event_id"
    " ON CONFLICT (workspace_id, event_id) DO NOTHING RETURNING event_id",
};

static const struct pg_statement batch_identity_read = {
    "batch_identity_read",
    "SELECT u.n, COALESCE(p.merged_into, i.profile_id), i.origin_id, i.trust, i.first_seen_at,"
    " i.vouched"
    " FROM unnest($2::text[], $3::uuid[], $4::text[]) WITH ORDINALITY AS u (kind, source_id, "
    "value, n)"
    " CROSS JOIN LATERAL (SELECT profile_id, origin_id, trust, first_seen_at, vouched FROM identity"
    " WHERE workspace_id = $1 AND kind = u.kind AND source_id = u.source_id AND value = u.value"
    " OFFSET 0) i LEFT JOIN LATERAL (SELECT merged_into FROM profile"
    " WHERE workspace_id = $1 AND id = i.profile_id OFFSET 0) p ON true",
};

static const struct pg_statement batch_order_owner_read = {
    "batch_order_owner_read",
    "SELECT u.n, COALESCE(p.merged_into, o.profile_id), o.origin_id"
    " FROM unnest($2::uuid[], $3::text[]) WITH ORDINALITY AS u (source_id, order_ref, n)"
    " CROSS JOIN LATERAL (SELECT profile_id, origin_id FROM orders"
    " WHERE workspace_id = $1 AND source_id = u.source_id AND order_ref = u.order_ref OFFSET 0) o"
    " LEFT JOIN LATERAL (SELECT merged_into FROM profile"
    " WHERE workspace_id = $1 AND id = o.profile_id OFFSET 0) p ON true",
};

static const struct pg_statement batch_identity_insert = {
    "batch_identity_insert",
    "INSERT INTO identity (workspace_id, kind, source_id, value, profile_id, origin_id, trust,"
    " first_seen_at)"
    " SELECT $1, u.kind, u.source_id, u.value, u.profile_id, u.origin_id, u.trust, u.first_seen_at"
    " FROM unnest($2::text[], $3::uuid[], $4::text[], $5::uuid[], $6::uuid[], $7::smallint[],"
    " $8::timestamptz[])"
    " AS u (kind, source_id, value, profile_id, origin_id, trust, first_seen_at)"
    " ORDER BY u.kind, u.source_id, u.value"
    " ON CONFLICT (workspace_id, kind, source_id, value) DO NOTHING",
};

static const struct pg_statement batch_profile_lock = {
    "batch_profile_lock",
    "SELECT " BATCH_PROFILE_COLUMNS " FROM (SELECT k FROM unnest($2::uuid[]) AS k ORDER BY k) u"
    " CROSS JOIN LATERAL (SELECT " BATCH_PROFILE_COLUMNS " FROM profile"
    " WHERE workspace_id = $1 AND id = u.k FOR UPDATE) r",
};

static const struct pg_statement batch_order_lock = {
    "batch_order_lock",
    "SELECT u.n, " BATCH_ORDER_COLUMNS
    " FROM (SELECT s, k, n FROM unnest($2::uuid[], $3::text[]) WITH ORDINALITY AS t (s, k, n)"
    " ORDER BY s, k) u"
    " CROSS JOIN LATERAL (SELECT " BATCH_ORDER_COLUMNS " FROM orders"
    " WHERE workspace_id = $1 AND source_id = u.s AND order_ref = u.k FOR UPDATE) r",
};

static const struct pg_statement batch_interaction_known = {
    "batch_interaction_known",
    "SELECT u.n FROM unnest($2::uuid[], $3::timestamptz[], $4::uuid[]) WITH ORDINALITY"
    " AS u (origin_id, occurred_at, event, n)"
    " CROSS JOIN LATERAL ((SELECT 1 FROM interaction WHERE workspace_id = $1"
    " AND origin_id = u.origin_id AND occurred_at = u.occurred_at AND id = u.event)"
    " UNION ALL (SELECT 1 FROM folded WHERE workspace_id = $1 AND origin_id = u.origin_id"
    " AND month = date_trunc('month', u.occurred_at AT TIME ZONE 'UTC')::date"
    " AND position(substr(uuid_send(u.event), 1, 8) IN names) > 0)) i",
};

/* --- the identifiers a batch names -------------------------------------- */

static uint64_t owner_hash(const struct identifier *identifier)
{
    struct str source = { (const char *)identifier->source_id.bytes, ID_SIZE };
    return hash64(identifier->value, hash64(source, (uint64_t)identifier->kind));
}

static bool identifier_equal(const struct identifier *a, const struct identifier *b)
{
    return a->kind == b->kind && id_equal(a->source_id, b->source_id) &&
           str_equal(a->value, b->value);
}

static struct batch_owner **owner_slot(const struct batch *batch,
                                       const struct identifier *identifier)
{
    size_t mask = batch->owner_table_size - 1;
    size_t slot = (size_t)owner_hash(identifier) & mask;
    while (batch->owner_table[slot] != NULL &&
           !identifier_equal(&batch->owner_table[slot]->identifier, identifier)) {
        slot = (slot + 1) & mask;
    }
    return &batch->owner_table[slot];
}

const struct order *batch_find_order(const struct batch *batch, struct id source_id,
                                     struct str order_ref)
{
    const struct identifier identifier = { .kind = IDENTITY_ORDER,
                                           .source_id = source_id,
                                           .value = order_ref };
    const struct batch_owner *owner = *owner_slot(batch, &identifier);
    return owner != NULL ? owner->order : NULL;
}

static bool owner_add(struct batch *batch, const struct identifier *identifier)
{
    struct batch_owner **slot = owner_slot(batch, identifier);
    if (*slot != NULL) {
        return true;
    }
    struct batch_owner *owner = ARENA_NEW(batch->arena, struct batch_owner);
    if (owner == NULL) {
        return false;
    }
    owner->identifier = *identifier;
    owner->next = batch->owners;
    batch->owners = owner;
    batch->owner_count++;
    *slot = owner;
    return true;
}

static struct identifier order_identifier(const struct event *event)
{
    return (struct identifier){ .kind = IDENTITY_ORDER,
                                .source_id = event->source_id,
                                .value = event->order->order_ref };
}

enum status batch_init(struct batch *batch, struct pg *pg, struct arena *arena,
                       struct id workspace_id, struct event **events, size_t event_count)
{
    *batch = (struct batch){ .pg = pg,
                             .arena = arena,
                             .workspace_id = workspace_id,
                             .events = events,
                             .event_count = event_count };
    size_t identifiers = 0;
    for (size_t i = 0; i < event_count; i++) {
        identifiers += events[i]->identifier_count + 1;
    }
    size_t table_size = 64;
    while (table_size < identifiers * 2) {
        table_size *= 2;
    }
    batch->owner_table_size = table_size;
    batch->owner_table = ARENA_NEW_ARRAY(arena, table_size, struct batch_owner *);
    batch->is_duplicate = ARENA_NEW_ARRAY(arena, event_count + 1, bool);
    batch->is_known = ARENA_NEW_ARRAY(arena, event_count + 1, bool);
    if (batch->owner_table == NULL || batch->is_duplicate == NULL || batch->is_known == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < event_count; i++) {
        const struct event *event = events[i];
        for (size_t k = 0; k < event->identifier_count; k++) {
            if (!owner_add(batch, &event->identifiers[k])) {
                return STATUS_LIMIT;
            }
        }
        if (event->order != NULL) {
            struct identifier order = order_identifier(event);
            if (!owner_add(batch, &order)) {
                return STATUS_LIMIT;
            }
        }
    }
    return STATUS_OK;
}

/* The owners of one class as unnest columns, and back from an ordinal. */
struct owner_set {
    struct batch_owner **rows;
    size_t count;
};

enum owner_class {
    OWNER_IDENTITY = 1,
    OWNER_ORDER,
};

/* Of a class, those of interest to `wants`; NULL: all. */
static bool owner_select(const struct batch *batch, enum owner_class class,
                         bool (*wants)(const struct batch_owner *), struct owner_set *out_set)
{
    struct batch_owner **rows =
        ARENA_NEW_ARRAY(batch->arena, batch->owner_count + 1, struct batch_owner *);
    if (rows == NULL) {
        return false;
    }
    size_t count = 0;
    for (struct batch_owner *owner = batch->owners; owner != NULL; owner = owner->next) {
        bool is_order = owner->identifier.kind == IDENTITY_ORDER;
        if (is_order == (class == OWNER_ORDER) && (wants == NULL || wants(owner))) {
            rows[count++] = owner;
        }
    }
    *out_set = (struct owner_set){ rows, count };
    return true;
}

static void put_identity_keys(const struct batch *batch, struct pg_params *params,
                              const struct owner_set *set)
{
    struct pg_array kinds;
    struct pg_array sources;
    struct pg_array values;
    pg_params_init(params, batch->arena);
    pg_put_id(params, batch->workspace_id);
    pg_array_begin(&kinds, params, PG_TEXT, set->count);
    pg_array_begin(&sources, params, PG_UUID, set->count);
    pg_array_begin(&values, params, PG_TEXT, set->count);
    for (size_t i = 0; i < set->count; i++) {
        const struct identifier *identifier = &set->rows[i]->identifier;
        pg_array_text(&kinds, str_from_z(identity_kind_name(identifier->kind)));
        pg_array_id(&sources, identifier->source_id);
        pg_array_text(&values, identifier->value);
    }
    pg_array_end(&kinds);
    pg_array_end(&sources);
    pg_array_end(&values);
}

static void put_order_keys(const struct batch *batch, struct pg_params *params,
                           const struct owner_set *set)
{
    struct pg_array sources;
    struct pg_array refs;
    pg_params_init(params, batch->arena);
    pg_put_id(params, batch->workspace_id);
    pg_array_begin(&sources, params, PG_UUID, set->count);
    pg_array_begin(&refs, params, PG_TEXT, set->count);
    for (size_t i = 0; i < set->count; i++) {
        pg_array_id(&sources, set->rows[i]->identifier.source_id);
        pg_array_text(&refs, set->rows[i]->identifier.value);
    }
    pg_array_end(&sources);
    pg_array_end(&refs);
}

/* Which result of the round trip is whose; a statement about nothing is not sent. */
enum {
    NOT_SENT = -1
};

struct owner_slots {
    int identities;
    int orders;
};

static enum status queue_owner_reads(const struct batch *batch, const struct owner_set *identities,
                                     const struct owner_set *orders, struct owner_slots *slots)
{
    struct pg_params *params = ARENA_NEW_ARRAY(batch->arena, 2, struct pg_params);
    enum status status = params != NULL ? STATUS_OK : STATUS_LIMIT;
    *slots = (struct owner_slots){ NOT_SENT, NOT_SENT };
    if (status == STATUS_OK && identities->count > 0) {
        slots->identities = (int)pg_queued(batch->pg);
        put_identity_keys(batch, &params[0], identities);
        status = pg_queue(batch->pg, &batch_identity_read, &params[0]);
    }
    if (status == STATUS_OK && orders->count > 0) {
        slots->orders = (int)pg_queued(batch->pg);
        put_order_keys(batch, &params[1], orders);
        status = pg_queue(batch->pg, &batch_order_owner_read, &params[1]);
    }
    return status;
}

/* --- round trip 1 ------------------------------------------------------- */

static enum status queue_receipts(const struct batch *batch)
{
    struct pg_params params;
    struct pg_array ids;
    struct pg_array sources;
    struct pg_array instants;
    pg_params_init(&params, batch->arena);
    pg_put_id(&params, batch->workspace_id);
    pg_array_begin(&ids, &params, PG_UUID, batch->event_count);
    pg_array_begin(&sources, &params, PG_UUID, batch->event_count);
    pg_array_begin(&instants, &params, PG_INSTANT, batch->event_count);
    for (size_t i = 0; i < batch->event_count; i++) {
        pg_array_id(&ids, batch->events[i]->id);
        pg_array_id(&sources, batch->events[i]->source_id);
        pg_array_instant(&instants, batch->events[i]->received_at_ms);
    }
    pg_array_end(&ids);
    pg_array_end(&sources);
    pg_array_end(&instants);
    return pg_queue(batch->pg, &batch_receipt_insert, &params);
}

static int compare_event_index(const void *a, const void *b)
{
    const struct batch_event_key *left = a;
    const struct batch_event_key *right = b;
    return id_compare(left->id, right->id);
}

/* Receipts that came back are new; all others were there. */
static enum status mark_duplicates(struct batch *batch, const struct pg_result *receipts)
{
    struct batch_event_key *keys =
        ARENA_NEW_ARRAY(batch->arena, batch->event_count + 1, struct batch_event_key);
    if (keys == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < batch->event_count; i++) {
        keys[i] = (struct batch_event_key){ batch->events[i]->id, i };
        batch->is_duplicate[i] = true;
    }
    qsort(keys, batch->event_count, sizeof(*keys), compare_event_index);
    for (size_t row = 0; row < pg_row_count(receipts); row++) {
        struct batch_event_key wanted = { pg_get_id(receipts, row, 0), 0 };
        struct batch_event_key *found =
            bsearch(&wanted, keys, batch->event_count, sizeof(*keys), compare_event_index);
        assert(found != NULL);
        batch->is_duplicate[found->index] = false;
    }
    return STATUS_OK;
}

static enum status put_identities(struct batch *batch, const struct owner_set *set,
                                  const struct pg_result *result)
{
    for (size_t row = 0; row < pg_row_count(result); row++) {
        size_t index = (size_t)pg_get_i64(result, row, 0) - 1;
        assert(index < set->count);
        struct batch_owner *owner = set->rows[index];
        struct identity_row *identity = ARENA_NEW(batch->arena, struct identity_row);
        if (identity == NULL) {
            return STATUS_LIMIT;
        }
        *identity = (struct identity_row){
            .identifier = owner->identifier,
            .profile_id = pg_get_id(result, row, 1),
            .origin_id = pg_get_id(result, row, 2),
            .trust = (enum trust)pg_get_i64(result, row, 3),
            .first_seen_at_ms = pg_get_instant(result, row, 4),
            .is_vouched = pg_get_bool(result, row, 5),
        };
        owner->profile_id = identity->profile_id;
        owner->origin_id = identity->origin_id;
        decision_put_identity(batch->decision, identity);
    }
    return STATUS_OK;
}

static enum status put_order_owners(struct batch *batch, const struct owner_set *set,
                                    const struct pg_result *result)
{
    for (size_t row = 0; row < pg_row_count(result); row++) {
        size_t index = (size_t)pg_get_i64(result, row, 0) - 1;
        assert(index < set->count);
        struct batch_owner *owner = set->rows[index];
        struct order *order = ARENA_NEW(batch->arena, struct order);
        if (order == NULL) {
            return STATUS_LIMIT;
        }
        order->source_id = owner->identifier.source_id;
        order->order_ref = owner->identifier.value;
        order->profile_id = pg_get_id(result, row, 1);
        order->origin_id = pg_get_id(result, row, 2);
        order->placed_at_ms = INSTANT_NONE;
        order->cancelled_at_ms = INSTANT_NONE;
        order->deleted_at_ms = INSTANT_NONE;
        owner->order = order;
        owner->profile_id = order->profile_id;
        owner->origin_id = order->origin_id;
        decision_put_order(batch->decision, order);
    }
    return STATUS_OK;
}

enum status batch_load(struct batch *batch, struct decision *decision, struct problem *problem)
{
    struct owner_set identities;
    struct owner_set orders;
    batch->decision = decision;
    if (!owner_select(batch, OWNER_IDENTITY, NULL, &identities) ||
        !owner_select(batch, OWNER_ORDER, NULL, &orders)) {
        return STATUS_LIMIT;
    }
    struct owner_slots slots = { NOT_SENT, NOT_SENT };
    enum status status = batch->is_open ? STATUS_OK : pg_queue(batch->pg, &pg_begin, NULL);
    size_t receipts = pg_queued(batch->pg);
    if (status == STATUS_OK) {
        status = queue_receipts(batch);
    }
    if (status == STATUS_OK) {
        status = queue_owner_reads(batch, &identities, &orders, &slots);
    }
    struct pg_result *results[4] = { NULL };
    if (status == STATUS_OK) {
        status = pg_sync(batch->pg, batch->arena, results, pg_queued(batch->pg), problem);
    }
    if (status == STATUS_OK) {
        status = mark_duplicates(batch, results[receipts]);
    }
    if (status == STATUS_OK && slots.identities != NOT_SENT) {
        status = put_identities(batch, &identities, results[slots.identities]);
    }
    if (status == STATUS_OK && slots.orders != NOT_SENT) {
        status = put_order_owners(batch, &orders, results[slots.orders]);
    }
    return status;
}

/* --- round trip 2 ------------------------------------------------------- */

static enum status queue_new_identities(const struct batch *batch, struct identity_row **rows,
                                        size_t count)
{
    struct pg_params params;
    struct pg_array columns[7];
    static const enum pg_type types[7] = { PG_TEXT, PG_UUID, PG_TEXT,   PG_UUID,
                                           PG_UUID, PG_INT2, PG_INSTANT };
    pg_params_init(&params, batch->arena);
    pg_put_id(&params, batch->workspace_id);
    pg_columns_begin(columns, &params, types, ARRAY_COUNT(columns), count);
    for (size_t i = 0; i < count; i++) {
        const struct identity_row *row = rows[i];
        pg_array_text(&columns[0], str_from_z(identity_kind_name(row->identifier.kind)));
        pg_array_id(&columns[1], row->identifier.source_id);
        pg_array_text(&columns[2], row->identifier.value);
        pg_array_id(&columns[3], row->profile_id);
        pg_array_id(&columns[4], row->origin_id);
        pg_array_i16(&columns[5], (int16_t)row->trust);
        pg_array_instant(&columns[6], row->first_seen_at_ms);
    }
    pg_columns_end(columns, ARRAY_COUNT(columns));
    return pg_queue(batch->pg, &batch_identity_insert, &params);
}

static enum status queue_profile_lock(const struct batch *batch, const struct id *ids, size_t count)
{
    struct pg_params params;
    pg_params_init(&params, batch->arena);
    pg_put_id(&params, batch->workspace_id);
    pg_put_ids(&params, ids, count);
    return pg_queue(batch->pg, &batch_profile_lock, &params);
}

static enum status queue_order_lock(const struct batch *batch, const struct owner_set *orders)
{
    struct pg_params params;
    put_order_keys(batch, &params, orders);
    return pg_queue(batch->pg, &batch_order_lock, &params);
}

/* An interaction that an old event may have left behind, or the name that
 * retention left of it. */
struct late_event {
    size_t index;
    struct id origin_id;
    int64_t occurred_at_ms;
};

/* The events so old that their receipt may be gone are looked up by interaction
 * instead: at their own instant, and at the order's, where a body that made its
 * order count is recorded. */
static size_t late_events(const struct batch *batch, int64_t now_ms, struct late_event *late)
{
    size_t count = 0;
    for (size_t i = 0; i < batch->event_count; i++) {
        const struct event *event = batch->events[i];
        if (batch->is_duplicate[i] || event->occurred_at_ms >= now_ms - BATCH_RECEIPT_HORIZON_MS) {
            continue;
        }
        struct id origin_id = decision_event_origin(batch->decision, event);
        if (id_is_zero(origin_id)) {
            continue;
        }
        late[count++] = (struct late_event){ i, origin_id, event->occurred_at_ms };
        if (event->order != NULL && event->order->kind == ORDER_BODY) {
            late[count++] = (struct late_event){
                i, origin_id, event_clamp_instant(event->order->placed_at_ms, event->received_at_ms)
            };
        }
    }
    return count;
}

static enum status queue_known(const struct batch *batch, const struct late_event *late,
                               size_t count)
{
    struct pg_params params;
    struct pg_array columns[3];
    pg_params_init(&params, batch->arena);
    pg_put_id(&params, batch->workspace_id);
    pg_array_begin(&columns[0], &params, PG_UUID, count);
    pg_array_begin(&columns[1], &params, PG_INSTANT, count);
    pg_array_begin(&columns[2], &params, PG_UUID, count);
    for (size_t i = 0; i < count; i++) {
        pg_array_id(&columns[0], late[i].origin_id);
        pg_array_instant(&columns[1], late[i].occurred_at_ms);
        pg_array_id(&columns[2], batch->events[late[i].index]->id);
    }
    pg_columns_end(columns, ARRAY_COUNT(columns));
    return pg_queue(batch->pg, &batch_interaction_known, &params);
}

static bool is_not_inserted(const struct batch_owner *owner)
{
    return !owner->is_inserted;
}

static bool is_known_order(const struct batch_owner *owner)
{
    return owner->order != NULL;
}

/* Every owner read after the locks must be the one the plan was made with: the
 * locks were taken for those. */
static bool owners_hold(const struct owner_set *set, const struct pg_result *result)
{
    for (size_t row = 0; row < pg_row_count(result); row++) {
        const struct batch_owner *owner = set->rows[(size_t)pg_get_i64(result, row, 0) - 1];
        if (!id_equal(owner->profile_id, pg_get_id(result, row, 1))) {
            return false;
        }
    }
    return true;
}

static enum status put_profiles(const struct batch *batch, const struct pg_result *result,
                                struct problem *problem)
{
    for (size_t row = 0; row < pg_row_count(result); row++) {
        struct profile *profile = NULL;
        enum status status = batch_profile_decode(batch->arena, result, row, &profile, problem);
        if (status != STATUS_OK) {
            return status;
        }
        decision_put_profile(batch->decision, profile);
    }
    return STATUS_OK;
}

static bool orders_are_known(const struct owner_set *orders, const struct pg_result *result)
{
    for (size_t row = 0; row < pg_row_count(result); row++) {
        if (!is_known_order(orders->rows[(size_t)pg_get_i64(result, row, 0) - 1])) {
            return false;
        }
    }
    return true;
}

static enum status fill_orders(const struct batch *batch, const struct owner_set *orders,
                               const struct pg_result *result, struct problem *problem)
{
    for (size_t row = 0; row < pg_row_count(result); row++) {
        struct batch_owner *owner = orders->rows[(size_t)pg_get_i64(result, row, 0) - 1];
        enum status status =
            batch_order_decode(batch->arena, result, row, 3, owner->order, problem);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

struct lock_plan {
    struct owner_set orders;
    struct owner_set read_again; /* identities */
    struct owner_set orders_read_again;
    struct identity_row **new_identities;
    size_t new_identity_count;
    const struct id *profile_ids;
    size_t profile_count;
    struct late_event *late;
    size_t late_count;
    struct owner_slots owner_slots;
    int identity_slot;
    int profile_slot;
    int order_slot;
    int late_slot;
};

/* Who is locked, and whose owner is read again. */
static bool plan_lock(struct batch *batch, struct lock_plan *plan)
{
    plan->new_identity_count = decision_new_identities(batch->decision, &plan->new_identities);
    plan->profile_count = decision_profile_ids_to_lock(batch->decision, &plan->profile_ids);
    for (size_t i = 0; i < plan->new_identity_count; i++) {
        (*owner_slot(batch, &plan->new_identities[i]->identifier))->is_inserted = true;
    }
    return owner_select(batch, OWNER_ORDER, NULL, &plan->orders) &&
           owner_select(batch, OWNER_IDENTITY, is_not_inserted, &plan->read_again) &&
           owner_select(batch, OWNER_ORDER, is_known_order, &plan->orders_read_again);
}

static enum status queue_lock(struct batch *batch, struct lock_plan *plan, int64_t now_ms)
{
    plan->identity_slot = plan->profile_slot = plan->order_slot = plan->late_slot = NOT_SENT;
    plan->late = ARENA_NEW_ARRAY(batch->arena, batch->event_count * 2 + 1, struct late_event);
    if (plan->late == NULL) {
        return STATUS_LIMIT;
    }
    plan->late_count = late_events(batch, now_ms, plan->late);
    enum status status = STATUS_OK;
    if (plan->new_identity_count > 0) {
        plan->identity_slot = (int)pg_queued(batch->pg);
        status = queue_new_identities(batch, plan->new_identities, plan->new_identity_count);
    }
    if (status == STATUS_OK && plan->profile_count > 0) {
        plan->profile_slot = (int)pg_queued(batch->pg);
        status = queue_profile_lock(batch, plan->profile_ids, plan->profile_count);
    }
    if (status == STATUS_OK) {
        status = queue_owner_reads(batch, &plan->read_again, &plan->orders_read_again,
                                   &plan->owner_slots);
    }
    if (status == STATUS_OK && plan->orders.count > 0) {
        plan->order_slot = (int)pg_queued(batch->pg);
        status = queue_order_lock(batch, &plan->orders);
    }
    if (status == STATUS_OK && plan->late_count > 0) {
        plan->late_slot = (int)pg_queued(batch->pg);
        status = queue_known(batch, plan->late, plan->late_count);
    }
    return status;
}

static void mark_known(struct batch *batch, const struct lock_plan *plan,
                       const struct pg_result *result)
{
    for (size_t row = 0; row < pg_row_count(result); row++) {
        batch->is_known[plan->late[(size_t)pg_get_i64(result, row, 0) - 1].index] = true;
    }
}

static bool plan_holds(const struct lock_plan *plan, struct pg_result *const *results)
{
    const struct owner_slots *slots = &plan->owner_slots;
    return (plan->identity_slot == NOT_SENT ||
            pg_affected(results[plan->identity_slot]) == plan->new_identity_count) &&
           (slots->identities == NOT_SENT ||
            owners_hold(&plan->read_again, results[slots->identities])) &&
           (slots->orders == NOT_SENT ||
            owners_hold(&plan->orders_read_again, results[slots->orders])) &&
           (plan->order_slot == NOT_SENT ||
            orders_are_known(&plan->orders, results[plan->order_slot]));
}

static enum status lock(struct batch *batch, int64_t now_ms, enum batch_lock_outcome *out_outcome,
                        struct problem *problem)
{
    struct lock_plan plan = { 0 };
    if (!plan_lock(batch, &plan)) {
        return STATUS_LIMIT;
    }
    enum status status = queue_lock(batch, &plan, now_ms);
    struct pg_result *results[6] = { NULL };
    if (status == STATUS_OK && pg_queued(batch->pg) > 0) {
        status = pg_sync(batch->pg, batch->arena, results, pg_queued(batch->pg), problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (!plan_holds(&plan, results)) {
        *out_outcome = BATCH_STALE;
        return STATUS_OK;
    }
    if (plan.profile_slot != NOT_SENT) {
        status = put_profiles(batch, results[plan.profile_slot], problem);
    }
    if (status == STATUS_OK && plan.order_slot != NOT_SENT) {
        status = fill_orders(batch, &plan.orders, results[plan.order_slot], problem);
    }
    if (status == STATUS_OK && plan.late_slot != NOT_SENT) {
        mark_known(batch, &plan, results[plan.late_slot]);
    }
    if (status == STATUS_OK) {
        *out_outcome = BATCH_LOCKED;
    }
    return status;
}

enum status batch_plan_and_lock(struct batch *batch, int64_t now_ms, bool *out_has_news,
                                enum batch_lock_outcome *out_outcome, struct problem *problem)
{
    struct event **fresh = ARENA_NEW_ARRAY(batch->arena, batch->event_count + 1, struct event *);
    if (fresh == NULL) {
        return STATUS_LIMIT;
    }
    size_t fresh_count = 0;
    for (size_t i = 0; i < batch->event_count; i++) {
        if (!batch->is_duplicate[i]) {
            fresh[fresh_count++] = batch->events[i];
        }
    }
    *out_has_news = fresh_count > 0;
    if (fresh_count == 0) {
        return STATUS_OK;
    }
    enum status status = decision_plan(batch->decision, fresh, fresh_count, now_ms);
    return status == STATUS_OK ? lock(batch, now_ms, out_outcome, problem) : status;
}
