#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/instant.h"
#include "interest_priv.h"
#include "store/interest_read.h"

/*
 * Who is interested in a product, page by page.
 *
 * Problem: a million customers may be interested in one product, a tenth of whom waits for
 * it, and merges go on while they are walked.
 *
 * The walk is in steps (correctness 14): the rows, by ranges of the primary key, as they
 * stand side by side; then who of their origins is, or was, merged, which few are; of those
 * alone, by probes of whole keys, the rows of all their origins. So a page costs a read of
 * its range and a probe for each origin, and one in the middle what the first one costs.
 * What a customer bought instead is a question of its own, for those whom nothing else
 * leaves out: it takes as long as all the rest.
 *
 * Measured: with each of 100,000 origins probed for its owner, its rows and its substitutes,
 * these statements took 25 us an origin. In steps, with a tenth asked for substitutes, the
 * fan-out to them went from 6.1 to 3.4 s, all told.
 */

static const struct pg_statement page_rows = {
    "interest_page_rows",
    "SELECT k.* FROM unnest($2::uuid[], $3::text[]) AS s (source_id, variant_id)"
    " CROSS JOIN LATERAL (SELECT i.origin_id, i.viewed_at, i.view_count,"
    " i.out_of_stock_seen_at, i.price_seen_at, i.price_minor, i.currency, i.carted_at,"
    " i.wished_at, i.unwished_at, i.bought_at FROM interest i WHERE i.workspace_id = $1"
    " AND i.source_id = s.source_id AND i.product_id = $4 AND i.variant_id = s.variant_id"
    " AND i.origin_id > $5 ORDER BY i.origin_id LIMIT $6) k",
};

/* Those of the origins that are not just a customer of their own: merged, merged into, or
 * no more. */
static const struct pg_statement page_odd = {
    "interest_page_odd",
    "SELECT o.id FROM unnest($2::uuid[]) AS o (id)"
    " LEFT JOIN LATERAL (SELECT p.id, p.merged_into FROM profile p WHERE p.workspace_id = $1"
    " AND p.id = o.id OFFSET 0) p ON true"
    " LEFT JOIN LATERAL (SELECT true AS is_there FROM profile m WHERE m.workspace_id = $1"
    " AND m.merged_into = o.id LIMIT 1) m ON true"
    " WHERE p.id IS NULL OR p.merged_into IS NOT NULL OR m.is_there",
};

/* Whose some origins are, and all origins of those. */
static const struct pg_statement page_owners = {
    "interest_page_owners",
    "SELECT c.id, m.id FROM (SELECT DISTINCT r.id FROM unnest($2::uuid[]) AS o (id)"
    " CROSS JOIN LATERAL (SELECT COALESCE(p.merged_into, p.id) AS id FROM profile p"
    " WHERE p.workspace_id = $1 AND p.id = o.id OFFSET 0) r) c"
    " CROSS JOIN LATERAL (SELECT c.id UNION ALL SELECT p.id FROM profile p"
    " WHERE p.workspace_id = $1 AND p.merged_into = c.id) m (id) ORDER BY c.id, m.id",
};

/* clang-format off */
/* By the whole key, or by the origin and then a filter, as the planner's statistics
 * have it: a customer's rows at most. A row comparison would allow the primary key
 * alone, but reads on from there to the end of the workspace. */
static const struct pg_statement page_facts = {
    "interest_page_facts",
    "SELECT w.profile_id, bool_or(i.origin_id <= $7), " INTEREST_JOINED
    " FROM unnest($2::uuid[], $3::uuid[]) AS w (profile_id, origin_id)"
    " CROSS JOIN unnest($4::uuid[], $5::text[]) AS s (source_id, variant_id)"
    " CROSS JOIN LATERAL (SELECT n.origin_id, n.viewed_at, n.view_count,"
    " n.out_of_stock_seen_at, n.price_seen_at, n.price_minor, n.currency, n.carted_at,"
    " n.wished_at, n.unwished_at, n.bought_at FROM interest n"
    " WHERE n.workspace_id = $1 AND n.source_id = s.source_id AND n.product_id = $6"
    " AND n.variant_id = s.variant_id AND n.origin_id = w.origin_id OFFSET 0) i"
    " GROUP BY w.profile_id ORDER BY w.profile_id",
};

static const struct pg_statement page_substitutes = {
    "interest_page_substitutes",
    "SELECT w.profile_id, max(b.bought_at)"
    " FROM unnest($2::uuid[], $3::uuid[]) AS w (profile_id, origin_id)"
    " CROSS JOIN LATERAL (SELECT n.source_id, n.product_id, n.variant_id, n.bought_at"
    " FROM interest n WHERE n.workspace_id = $1 AND n.origin_id = w.origin_id"
    " AND n.bought_at IS NOT NULL OFFSET 0) b"
    " WHERE " IS_SUBSTITUTE("$4", "$5", "$6::text[]", "$7::text[]", "b.source_id, $8")
    " GROUP BY w.profile_id ORDER BY w.profile_id",
};

/* clang-format on */

/* Profiles and their origins, side by side, ascending. */
struct owners {
    struct id *profile_ids;
    struct id *origin_ids;
    size_t count;
};

struct page_run {
    struct pg *pg;
    struct arena *arena;
    const struct interest_target *target;
    struct problem *problem;
    struct owners owners;
    struct pg_result *facts;
};

static void begin(const struct page_run *run, struct pg_params *params)
{
    pg_params_init(params, run->arena);
    pg_put_id(params, run->target->workspace_id);
}

static enum status read_owners(struct page_run *run, const struct id *ids, size_t count)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    begin(run, &params);
    pg_put_ids(&params, ids, count);
    enum status status = pg_run(run->pg, run->arena, &page_owners, &params, &result, run->problem);
    if (status != STATUS_OK) {
        return status;
    }
    struct owners *owners = &run->owners;
    owners->count = pg_row_count(result);
    owners->profile_ids = ARENA_NEW_ARRAY(run->arena, owners->count + 1, struct id);
    owners->origin_ids = ARENA_NEW_ARRAY(run->arena, owners->count + 1, struct id);
    if (owners->profile_ids == NULL || owners->origin_ids == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t row = 0; row < owners->count; row++) {
        owners->profile_ids[row] = pg_get_id(result, row, 0);
        owners->origin_ids[row] = pg_get_id(result, row, 1);
    }
    return STATUS_OK;
}

static void put_owners(const struct page_run *run, struct pg_params *params)
{
    begin(run, params);
    pg_put_ids(params, run->owners.profile_ids, run->owners.count);
    pg_put_ids(params, run->owners.origin_ids, run->owners.count);
}

/* What the owners' rows say. */
static enum status read_facts(struct page_run *run, struct id after_id)
{
    const struct interest_target *target = run->target;
    struct pg_params params;
    put_owners(run, &params);
    pg_put_ids(&params, target->side_source_ids, target->side_count);
    pg_put_text_array(&params, target->side_variant_ids, target->side_count);
    pg_put_text(&params, target->product_id);
    pg_put_id(&params, after_id);
    return pg_run(run->pg, run->arena, &page_facts, &params, &run->facts, run->problem);
}

/* --- the rows of a page ------------------------------------------------------- */

static enum status read_rows(const struct page_run *run, struct id after_id, size_t limit,
                             struct pg_result **out_result)
{
    const struct interest_target *target = run->target;
    struct pg_params params;
    begin(run, &params);
    pg_put_ids(&params, target->side_source_ids, target->side_count);
    pg_put_text_array(&params, target->side_variant_ids, target->side_count);
    pg_put_text(&params, target->product_id);
    pg_put_id(&params, after_id);
    pg_put_i64(&params, (int64_t)limit);
    return pg_run(run->pg, run->arena, &page_rows, &params, out_result, run->problem);
}

static int compare_interested(const void *a, const void *b)
{
    const struct interested *left = a;
    const struct interested *right = b;
    return id_compare(left->profile_id, right->profile_id);
}

/* One item an origin, as if each were a customer: the rows of all sides joined. Each side
 * gave the first `limit`, so of all together the first `limit` are complete. */
static enum status join_rows(struct page_run *run, const struct pg_result *rows, size_t limit,
                             struct interest_page *page)
{
    size_t count = pg_row_count(rows);
    page->items = ARENA_NEW_ARRAY(run->arena, count + 1, struct interested);
    if (page->items == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t row = 0; row < count; row++) {
        page->items[row] = (struct interested){ .profile_id = pg_get_id(rows, row, 0),
                                                .interest = interest_decode(rows, row, 1) };
    }
    if (run->target->side_count > 1 && count > 0) {
        qsort(page->items, count, sizeof(*page->items), compare_interested);
    }
    for (size_t row = 0; row < count; row++) {
        struct interested *last = page->walked > 0 ? &page->items[page->walked - 1] : NULL;
        if (last != NULL && id_equal(last->profile_id, page->items[row].profile_id)) {
            interest_join(&last->interest, &page->items[row].interest);
        } else if (page->walked < limit) {
            page->items[page->walked++] = page->items[row];
        } else {
            break;
        }
    }
    page->count = page->walked;
    return STATUS_OK;
}

/* Takes those out that are not just a customer of their own; their ids, ascending. */
static enum status take_out_odd(struct page_run *run, struct interest_page *page,
                                struct id **out_ids, size_t *out_count)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    struct id *ids = ARENA_NEW_ARRAY(run->arena, page->count + 1, struct id);
    if (ids == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < page->count; i++) {
        ids[i] = page->items[i].profile_id;
    }
    begin(run, &params);
    pg_put_ids(&params, ids, page->count);
    enum status status = pg_run(run->pg, run->arena, &page_odd, &params, &result, run->problem);
    size_t odd = status == STATUS_OK ? pg_row_count(result) : 0;
    for (size_t row = 0; row < odd; row++) {
        ids[row] = pg_get_id(result, row, 0);
    }
    odd = id_sort_unique(ids, odd);
    size_t kept = 0;
    for (size_t i = 0, at = 0; i < page->count; i++) {
        while (at < odd && id_compare(ids[at], page->items[i].profile_id) < 0) {
            at++;
        }
        bool is_odd = at < odd && id_equal(ids[at], page->items[i].profile_id);
        if (!is_odd && interest_newest_ms(&page->items[i].interest) != INSTANT_NONE) {
            page->items[kept++] = page->items[i];
        }
    }
    page->count = kept;
    *out_ids = ids;
    *out_count = odd;
    return status;
}

/* Customers of several origins, whole. There is room: each stands for one that was taken out. */
static void take_facts(struct page_run *run, struct interest_page *page)
{
    for (size_t row = 0; row < pg_row_count(run->facts); row++) {
        struct interested item = { .profile_id = pg_get_id(run->facts, row, 0),
                                   .interest = interest_decode(run->facts, row, 2) };
        bool was_there = pg_get_bool(run->facts, row, 1);
        if (!was_there && interest_newest_ms(&item.interest) != INSTANT_NONE) {
            page->items[page->count++] = item;
        }
    }
}

static enum status add_odd(struct page_run *run, struct id after_id, const struct id *ids,
                           size_t count, struct interest_page *page)
{
    enum status status = read_owners(run, ids, count);
    if (status == STATUS_OK) {
        status = read_facts(run, after_id);
    }
    if (status == STATUS_OK) {
        take_facts(run, page);
        qsort(page->items, page->count, sizeof(*page->items), compare_interested);
    }
    return status;
}

enum status interest_page_read(struct pg *pg, struct arena *arena,
                               const struct interest_target *target, struct id after_id,
                               size_t limit, struct interest_page *out_page,
                               struct problem *problem)
{
    struct page_run run = { .pg = pg, .arena = arena, .target = target, .problem = problem };
    struct interest_page page = { .last_id = after_id };
    struct pg_result *rows = NULL;
    struct id *odd = NULL;
    size_t odd_count = 0;
    assert(limit > 0);
    enum status status = read_rows(&run, after_id, limit, &rows);
    if (status == STATUS_OK) {
        status = join_rows(&run, rows, limit, &page);
    }
    page.is_end = page.walked < limit;
    if (status != STATUS_OK || page.walked == 0) {
        *out_page = page;
        return status;
    }
    page.last_id = page.items[page.walked - 1].profile_id;
    status = take_out_odd(&run, &page, &odd, &odd_count);
    if (status == STATUS_OK && odd_count > 0) {
        status = add_odd(&run, after_id, odd, odd_count, &page);
    }
    if (status == STATUS_OK) {
        *out_page = page;
    }
    return status;
}

/* --- what was bought instead ------------------------------------------------------ */

static enum status read_substitutes(struct page_run *run, struct pg_result **out_result)
{
    const struct interest_target *target = run->target;
    struct pg_params params;
    put_owners(run, &params);
    pg_put_text(&params, target->product_id);
    pg_put_text(&params, target->variant_id);
    pg_put_text_array(&params, target->substitutes, target->substitute_count);
    pg_put_text_array(&params, target->product.category, target->product.category_count);
    pg_put_id(&params, target->source_id);
    return pg_run(run->pg, run->arena, &page_substitutes, &params, out_result, run->problem);
}

enum status interest_substitutes_read(struct pg *pg, struct arena *arena,
                                      const struct interest_target *target,
                                      const struct id *profile_ids, struct interest *interests,
                                      size_t count, struct problem *problem)
{
    struct page_run run = { .pg = pg, .arena = arena, .target = target, .problem = problem };
    struct pg_result *result = NULL;
    enum status status = count > 0 ? read_owners(&run, profile_ids, count) : STATUS_OK;
    if (status == STATUS_OK && count > 0) {
        status = read_substitutes(&run, &result);
    }
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        for (size_t low = 0, high = pg_row_count(result); low < high;) {
            size_t middle = low + (high - low) / 2;
            int order = id_compare(pg_get_id(result, middle, 0), profile_ids[i]);
            if (order == 0) {
                interests[i].substitute_bought_at_ms = pg_get_instant(result, middle, 1);
                break;
            }
            low = order < 0 ? middle + 1 : low;
            high = order < 0 ? high : middle;
        }
    }
    return status;
}

enum status interest_of_profiles(struct pg *pg, struct arena *arena,
                                 const struct interest_target *target, const struct id *profile_ids,
                                 size_t count, struct interest *out_interests,
                                 struct problem *problem)
{
    struct page_run run = { .pg = pg, .arena = arena, .target = target, .problem = problem };
    struct interest_page page = { .count = 0 };
    enum status status = read_owners(&run, profile_ids, count);
    if (status == STATUS_OK) {
        status = read_facts(&run, ID_ZERO);
    }
    if (status == STATUS_OK) {
        page.items = ARENA_NEW_ARRAY(arena, pg_row_count(run.facts) + 1, struct interested);
        status = page.items != NULL ? STATUS_OK : STATUS_LIMIT;
    }
    if (status == STATUS_OK) {
        take_facts(&run, &page);
    }
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        const struct interested wanted = { .profile_id = profile_ids[i] };
        const struct interested *found =
            page.count > 0
                ? bsearch(&wanted, page.items, page.count, sizeof(*page.items), compare_interested)
                : NULL;
        interest_init(&out_interests[i]);
        if (found != NULL) {
            out_interests[i] = found->interest;
        }
    }
    return status == STATUS_OK ? interest_substitutes_read(pg, arena, target, profile_ids,
                                                           out_interests, count, problem)
                               : status;
}
