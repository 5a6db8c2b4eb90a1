#include "store/interest_rebuild.h"

#include "base/instant.h"
#include "batch_priv.h"
#include "interest_priv.h"
#include "store/history.h"

/*
 * An origin at a time, its facts in pages, through the fold that the hot path uses;
 * what a page leaves behind is the interests, not the facts.
 *
 * What was seen of the stock by the catalogue of the moment no fact tells: it stays
 * with its row, and goes where the row has no other fact.
 */

enum {
    REBUILD_PAGE_EVENTS = 1000
};
#define REBUILD_PAGE_BYTES ((size_t)128 * 1024 * 1024)

static const struct pg_statement rebuild_clear = {
    "interest_rebuild_clear",
    "UPDATE interest SET viewed_at = NULL, view_count = 0, price_seen_at = NULL,"
    " price_minor = NULL, currency = NULL, carted_at = NULL, wished_at = NULL,"
    " unwished_at = NULL, bought_at = NULL WHERE workspace_id = $1 AND origin_id = $2"
    " AND NOT EXISTS (SELECT 1 FROM profile_base b WHERE b.workspace_id = $1"
    " AND b.origin_id = $2)",
};

static const struct pg_statement rebuild_orders = {
    "interest_rebuild_orders",
    "SELECT o.source_id, o.placed_at, o.body FROM (SELECT COALESCE(p.merged_into, p.id) AS id"
    " FROM profile p WHERE p.workspace_id = $1 AND p.id = $2 OFFSET 0) c"
    " CROSS JOIN LATERAL (SELECT c.id UNION ALL SELECT p.id FROM profile p"
    " WHERE p.workspace_id = $1 AND p.merged_into = c.id) m (id)"
    " CROSS JOIN LATERAL (SELECT r.source_id, r.placed_at, r.body FROM orders r"
    " WHERE r.workspace_id = $1 AND r.profile_id = m.id AND r.origin_id = $2 AND r.counted"
    " OFFSET 0) o",
};

static const struct pg_statement rebuild_sweep = {
    "interest_rebuild_sweep",
    "DELETE FROM interest WHERE workspace_id = $1 AND origin_id = $2 AND viewed_at IS NULL"
    " AND carted_at IS NULL AND wished_at IS NULL AND unwished_at IS NULL AND bought_at IS NULL",
};

struct rebuilding {
    struct pg *pg;
    struct arena *arena; /* of what is kept */
    struct arena *page;  /* of one page */
    struct id workspace_id;
    struct id origin_id;
    struct interest_list list;
    struct problem *problem;
};

static void begin(const struct rebuilding *run, struct pg_params *params)
{
    pg_params_init(params, run->arena);
    pg_put_id(params, run->workspace_id);
    pg_put_id(params, run->origin_id);
}

/* The page's facts are folded, and what they are is copied out of it. */
static void keep(struct rebuilding *run, struct interest_list *page)
{
    interest_fold(page);
    for (size_t i = 0; i < page->count; i++) {
        struct interest_row row = *page->rows[i];
        row.key.product_id = str_dup(run->arena, row.key.product_id);
        row.key.variant_id = str_dup(run->arena, row.key.variant_id);
        row.facts.currency = str_dup(run->arena, row.facts.currency);
        row.asked_at_ms = INSTANT_NONE;
        interest_add_row(&run->list, &row);
    }
    interest_fold(&run->list);
}

static enum status fold_events(struct rebuilding *run)
{
    struct history_place_after place = { .after_ms = INSTANT_FIRST_MS - 1 };
    size_t count = REBUILD_PAGE_EVENTS;
    while (count == REBUILD_PAGE_EVENTS) {
        struct event *events = NULL;
        struct interest_list page = { .arena = run->page };
        arena_reset(run->page);
        enum status status =
            history_page(run->pg, run->page, run->workspace_id, run->origin_id, place,
                         REBUILD_PAGE_EVENTS, &events, &count, run->problem);
        if (status != STATUS_OK) {
            return status;
        }
        for (size_t i = 0; i < count; i++) {
            interest_add_event(&page, run->origin_id, &events[i]);
            place = (struct history_place_after){ events[i].occurred_at_ms, events[i].id };
        }
        keep(run, &page);
        if (arena_is_full(run->page) || arena_is_full(run->arena)) {
            return STATUS_LIMIT;
        }
    }
    return STATUS_OK;
}

static enum status fold_orders(struct rebuilding *run)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    begin(run, &params);
    enum status status =
        pg_run(run->pg, run->arena, &rebuild_orders, &params, &result, run->problem);
    size_t count = status == STATUS_OK ? pg_row_count(result) : 0;
    for (size_t row = 0; row < count; row++) {
        const struct order order = {
            .source_id = pg_get_id(result, row, 0),
            .origin_id = run->origin_id,
            .placed_at_ms = pg_get_instant(result, row, 1),
            .body_json = pg_is_null(result, row, 2) ? STR("") : pg_get_jsonb(result, row, 2),
            .contribution = { .counted = true },
        };
        interest_add_order(&run->list, &order);
    }
    interest_fold(&run->list);
    return arena_is_full(run->arena) ? STATUS_LIMIT : status;
}

static enum status write(struct rebuilding *run)
{
    struct pg_params params;
    struct pg_result *results[3] = { NULL };
    begin(run, &params);
    enum status status = pg_queue(run->pg, &rebuild_clear, &params);
    if (status == STATUS_OK) {
        status = interest_queue_rows(run->pg, run->arena, run->workspace_id, run->list.rows,
                                     run->list.count, INTEREST_ALL_FACTS);
    }
    if (status == STATUS_OK) {
        status = pg_queue(run->pg, &rebuild_sweep, &params);
    }
    return status == STATUS_OK
               ? pg_sync(run->pg, run->arena, results, pg_queued(run->pg), run->problem)
               : status;
}

enum status interest_rebuild(struct pg *pg, struct arena *arena, struct id workspace_id,
                             const struct id *origins, size_t count, struct problem *problem)
{
    struct arena *page CLEANUP(arena_destroy_at) = arena_create(REBUILD_PAGE_BYTES);
    enum status status = STATUS_OK;
    if (page == NULL) {
        return problem_set(problem, STATUS_LIMIT, "internal", "no memory");
    }
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        struct rebuilding run = { .pg = pg,
                                  .arena = arena,
                                  .page = page,
                                  .workspace_id = workspace_id,
                                  .origin_id = origins[i],
                                  .list = { .arena = arena },
                                  .problem = problem };
        status = fold_events(&run);
        if (status == STATUS_OK) {
            status = fold_orders(&run);
        }
        if (status == STATUS_OK) {
            status = write(&run);
        }
    }
    return status;
}
