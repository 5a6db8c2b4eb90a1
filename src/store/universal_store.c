#include "store/universal_store.h"

#include "base/instant.h"
#include "fan_out_priv.h"

/*
 * Universal events.
 *
 * Lists run along an instant, by the narrowest index there is for what was asked:
 * a product's, a type's, all. What the index does not say (the source, mostly) is
 * looked for in so many rows and no more; a page may then be short and go on.
 */

#define UNIVERSAL_COLUMNS                                                        \
    "e.id, e.type, e.source_id, e.posted_id, e.product_id, e.variant_id, e.sku," \
    " e.occurred_at, e.recorded_at, e.expires_at, e.selector, e.properties"
#define UNIVERSAL_SELECT                                         \
    "SELECT " UNIVERSAL_COLUMNS ", (SELECT s.name FROM source s" \
    " WHERE s.workspace_id = $1 AND s.id = e.source_id)"

/* $2 is the product, the type, or nothing. */
#define UNIVERSAL_RANGE                                                         \
    " FROM universal_event e WHERE e.workspace_id = $1 AND e.occurred_at >= $3" \
    " AND e.occurred_at <= $4 AND (e.occurred_at, e.id) < ($4, $5)"
#define UNIVERSAL_ORDER " ORDER BY e.occurred_at DESC, e.id DESC"
#define UNIVERSAL_PAGE(narrow)                                                                 \
    UNIVERSAL_SELECT " FROM (SELECT " UNIVERSAL_COLUMNS UNIVERSAL_RANGE narrow UNIVERSAL_ORDER \
                     " LIMIT $6) e WHERE ($7::text IS NULL OR e.type = $7)"                    \
                     " AND ($8::uuid IS NULL OR e.source_id = $8)" UNIVERSAL_ORDER " LIMIT $9"
#define UNIVERSAL_CUT(narrow) \
    "SELECT e.occurred_at, e.id" UNIVERSAL_RANGE narrow UNIVERSAL_ORDER " OFFSET $6 LIMIT 1"
#define OF_PRODUCT " AND e.product_id = $2"
#define OF_TYPE " AND e.type = $2"
#define OF_ALL " AND $2::text IS NULL"

static const struct pg_statement page_product = { "universal_page_product",
                                                  UNIVERSAL_PAGE(OF_PRODUCT) };
static const struct pg_statement page_type = { "universal_page_type", UNIVERSAL_PAGE(OF_TYPE) };
static const struct pg_statement page_time = { "universal_page_time", UNIVERSAL_PAGE(OF_ALL) };
static const struct pg_statement cut_product = { "universal_cut_product",
                                                 UNIVERSAL_CUT(OF_PRODUCT) };
static const struct pg_statement cut_type = { "universal_cut_type", UNIVERSAL_CUT(OF_TYPE) };
static const struct pg_statement cut_time = { "universal_cut_time", UNIVERSAL_CUT(OF_ALL) };

/* By the narrowest index first. */
enum universal_index {
    BY_PRODUCT,
    BY_TYPE,
    BY_TIME,
};
static const struct pg_statement *const pages[] = { &page_product, &page_type, &page_time };
static const struct pg_statement *const cuts[] = { &cut_product, &cut_type, &cut_time };

static const struct pg_statement universal_find_sql = {
    "universal_find",
    UNIVERSAL_SELECT " FROM universal_event e WHERE e.workspace_id = $1 AND e.id = $2",
};

static const struct pg_statement universal_insert_sql = {
    "universal_insert",
    "WITH told AS (INSERT INTO universal_event (workspace_id, id, type, source_id, posted_id,"
    " occurred_at, recorded_at, expires_at, selector, properties)"
    " SELECT $1, u.id, u.type, $2, u.posted_id, u.occurred_at, $3, u.expires_at, u.selector,"
    " u.properties FROM unnest($4::uuid[], $5::text[], $6::text[], $7::timestamptz[],"
    " $8::timestamptz[], $9::jsonb[], $10::jsonb[]) WITH ORDINALITY"
    " AS u (id, type, posted_id, occurred_at, expires_at, selector, properties, place)"
    " ORDER BY u.id, u.place ON CONFLICT (workspace_id, id) DO NOTHING"
    " RETURNING id, type, recorded_at), begun AS (" FAN_OUT_JOBS " RETURNING id, parameters)"
    " SELECT t.id, b.id, b.parameters->>'trigger' FROM told t"
    " LEFT JOIN begun b ON (b.parameters->>'event_id')::uuid = t.id ORDER BY 3",
};

/* --- writing ---------------------------------------------------------------- */

static void put_events(struct pg_params *params, const struct universal_event *events, size_t count)
{
    static const enum pg_type types[] = { PG_UUID,    PG_TEXT,  PG_TEXT, PG_INSTANT,
                                          PG_INSTANT, PG_JSONB, PG_JSONB };
    struct pg_array c[ARRAY_COUNT(types)];
    pg_columns_begin(c, params, types, ARRAY_COUNT(types), count);
    for (size_t i = 0; i < count; i++) {
        pg_array_id(&c[0], events[i].id);
        pg_array_text(&c[1], events[i].type);
        pg_array_text(&c[2], events[i].posted_id);
        pg_array_instant(&c[3], events[i].occurred_at_ms);
        pg_array_instant(&c[4], events[i].expires_at_ms);
        pg_array_jsonb_or_null(&c[5], events[i].selector_json);
        pg_array_jsonb_or_null(&c[6], events[i].properties_json);
    }
    pg_columns_end(c, ARRAY_COUNT(types));
}

/* Of two with one id the first is the new one. */
static bool is_first(const struct universal_event *events, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (id_equal(events[i].id, events[index].id)) {
            return false;
        }
    }
    return true;
}

/* Which of the result's rows are of an event. */
static size_t rows_of(const struct pg_result *result, struct id id, size_t *rows)
{
    size_t count = 0;
    for (size_t row = 0; row < pg_row_count(result); row++) {
        if (id_equal(pg_get_id(result, row, 0), id)) {
            rows[count++] = row;
        }
    }
    return count;
}

/* One row without a job, or one for each. */
static bool take_posted(struct arena *arena, const struct pg_result *result,
                        struct universal_posted *posted, struct id id)
{
    size_t *rows = ARENA_NEW_ARRAY(arena, pg_row_count(result) + 1, size_t);
    if (rows == NULL) {
        return false;
    }
    size_t count = rows_of(result, id, rows);
    *posted = (struct universal_posted){ .is_new = count > 0 };
    posted->jobs = ARENA_NEW_ARRAY(arena, count + 1, struct universal_job);
    for (size_t i = 0; posted->jobs != NULL && i < count; i++) {
        if (!pg_is_null(result, rows[i], 1)) {
            posted->jobs[posted->job_count++] =
                (struct universal_job){ .id = pg_get_id(result, rows[i], 1),
                                        .trigger = pg_get_text(result, rows[i], 2) };
        }
    }
    return posted->jobs != NULL;
}

enum status universal_insert(struct pg *pg, struct arena *arena, struct id workspace_id,
                             const struct universal_event *events, size_t count,
                             struct universal_posted *out_posted, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, events[0].source_id);
    pg_put_instant(&params, events[0].recorded_at_ms);
    put_events(&params, events, count);
    enum status status = pg_run(pg, arena, &universal_insert_sql, &params, &result, problem);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        out_posted[i] = (struct universal_posted){ .is_new = false };
        if (is_first(events, i) && !take_posted(arena, result, &out_posted[i], events[i].id)) {
            status = STATUS_LIMIT;
        }
    }
    return status;
}

/* --- reading ---------------------------------------------------------------- */

static struct universal_event read_row(const struct pg_result *rows, size_t row)
{
    return (struct universal_event){
        .id = pg_get_id(rows, row, 0),
        .type = pg_get_text(rows, row, 1),
        .source_id = pg_get_id(rows, row, 2),
        .posted_id = pg_get_text(rows, row, 3),
        .product_id = pg_get_text(rows, row, 4),
        .variant_id = pg_get_text(rows, row, 5),
        .sku = pg_get_text(rows, row, 6),
        .occurred_at_ms = pg_get_instant(rows, row, 7),
        .recorded_at_ms = pg_get_instant(rows, row, 8),
        .expires_at_ms = pg_get_instant(rows, row, 9),
        .selector_json = pg_get_jsonb(rows, row, 10),
        .properties_json = pg_get_jsonb(rows, row, 11),
        .source = pg_get_text(rows, row, 12),
    };
}

static enum universal_index index_for(const struct universal_query *query)
{
    return query->product_id.size > 0 ? BY_PRODUCT : query->type.size > 0 ? BY_TYPE : BY_TIME;
}

static void put_range(struct pg_params *params, struct arena *arena,
                      const struct universal_query *query)
{
    enum universal_index by = index_for(query);
    pg_params_init(params, arena);
    pg_put_id(params, query->workspace_id);
    pg_put_text_or_null(params, by == BY_PRODUCT ? query->product_id
                                : by == BY_TYPE  ? query->type
                                                 : (struct str){ NULL, 0 });
    pg_put_instant(params, query->from_ms);
    pg_put_instant(params, query->before_ms);
    pg_put_id(params, query->before_id);
}

/* The last row that was looked at, if it was the last that may be. */
static enum status find_cut(struct pg *pg, struct arena *arena, const struct universal_query *query,
                            struct universal_page *page, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    put_range(&params, arena, query);
    pg_put_i64(&params, (int64_t)query->scan_limit - 1);
    enum status status = pg_run(pg, arena, cuts[index_for(query)], &params, &result, problem);
    if (status == STATUS_OK && pg_row_count(result) > 0) {
        page->is_cut = true;
        page->cut_ms = pg_get_instant(result, 0, 0);
        page->cut_id = pg_get_id(result, 0, 1);
    }
    return status;
}

enum status universal_page(struct pg *pg, struct arena *arena, const struct universal_query *query,
                           struct universal_page *out_page, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    put_range(&params, arena, query);
    pg_put_i64(&params, (int64_t)query->scan_limit);
    pg_put_text_or_null(&params, query->type);
    pg_put_id_or_null(&params, query->source_id);
    pg_put_i64(&params, (int64_t)query->limit);
    enum status status = pg_run(pg, arena, pages[index_for(query)], &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    struct universal_page page = { .count = pg_row_count(result) };
    page.rows = ARENA_NEW_ARRAY(arena, page.count + 1, struct universal_event);
    if (page.rows == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < page.count; i++) {
        page.rows[i] = read_row(result, i);
    }
    if (page.count < query->limit) {
        status = find_cut(pg, arena, query, &page, problem);
    }
    if (status == STATUS_OK) {
        *out_page = page;
    }
    return status;
}

enum status universal_find(struct pg *pg, struct arena *arena, struct id workspace_id, struct id id,
                           struct universal_event *out_event, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, id);
    enum status status = pg_run(pg, arena, &universal_find_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (pg_row_count(result) == 0) {
        return STATUS_MISSING;
    }
    *out_event = read_row(result, 0);
    return STATUS_OK;
}
