#include "store/universal_audience.h"

#include <string.h>

/*
 * Whom a place concerns, without looking at anybody else.
 *
 * Problem: a storm over two departments concerns a hundredth of the customers, and
 * the walk to them is cut into chunks between which profiles merge and move. A walk in
 * the order of ids over "region in (...)" reads everyone; one over an index by
 * postal prefix, sorted by id, reads the whole prefix again for each chunk.
 *
 * Invariant: one place after the other, each a range of one index in that index's own
 * order, (value, id), from where the last page ended: a page reads what it returns. A
 * region has one value, a prefix many; so a range is what is left of the value where
 * the cursor stands, then the values behind it. Two steps (correctness 14): ids by the
 * index, then each one's canonical profile by its key, which must fit all of the
 * selector. In the range of a prefix those are left out whom a region named already.
 *
 * By traits and segments alone everyone is walked, in the order of ids. Rejected:
 * the index of a segment's members, whose rows a merge moves behind the cursor.
 */

static const struct pg_statement universal_places_sql = {
    "universal_places",
    "SELECT ARRAY(SELECT DISTINCT r FROM jsonb_array_elements_text($1::jsonb->'regions') r"
    " ORDER BY r), ARRAY(SELECT DISTINCT p FROM jsonb_array_elements_text($1->'postal_prefixes') p"
    " WHERE NOT EXISTS (SELECT 1 FROM jsonb_array_elements_text($1->'postal_prefixes') o"
    "  WHERE o <> p AND starts_with(p, o)) ORDER BY p), $1 ?| '{traits,segments,everyone}'",
};

/* $2 is the selector; what is null does not fit. */
#define FITS                                                                       \
    "(NOT $2::jsonb ?| '{regions,postal_prefixes}'"                                \
    " OR coalesce($2->'regions' ? (p.traits->>'region'), false)"                   \
    " OR EXISTS (SELECT 1 FROM jsonb_array_elements_text($2->'postal_prefixes') x" \
    "  WHERE starts_with(p.traits->>'postal_code', x)))"                           \
    " AND NOT EXISTS (SELECT 1 FROM jsonb_each($2->'traits') x"                    \
    "  WHERE NOT coalesce(x.value ? (p.traits->>x.key), false))"                   \
    " AND (NOT $2 ? 'segments' OR EXISTS ("                                        \
    "  SELECT 1 FROM jsonb_array_elements_text($2->'segments') x"                  \
    "  WHERE x = ANY (p.segments)))"

#define RESOLVED                                                               \
    " LEFT JOIN LATERAL (SELECT p.id FROM profile p WHERE p.workspace_id = $1" \
    " AND p.id = coalesce(o.merged_into, o.id) AND " FITS " OFFSET 0) c ON true"

/* From (value $3, id $4) on, as far as $5, at most $6. */
#define PLACE_RANGE(key, narrow)                                                         \
    "SELECT o.value, o.id, c.id FROM (SELECT u.value, u.id, u.merged_into FROM"          \
    " ((SELECT p.traits->>'" key "' AS value, p.id, p.merged_into FROM profile p"        \
    "  WHERE p.workspace_id = $1 AND p.traits ? '" key "'"                               \
    "  AND p.traits->>'" key "' = $3 AND p.id > $4" narrow "  ORDER BY p.traits->>'" key \
    "' USING ~<~, p.id LIMIT $6)"                                                        \
    " UNION ALL (SELECT p.traits->>'" key "' AS value, p.id, p.merged_into"              \
    "  FROM profile p WHERE p.workspace_id = $1 AND p.traits ? '" key "'"                \
    "  AND p.traits->>'" key "' ~>~ $3 AND p.traits->>'" key "' ~<=~ $5" narrow          \
    "  ORDER BY p.traits->>'" key "' USING ~<~, p.id LIMIT $6)) u"                       \
    " ORDER BY u.value USING ~<~, u.id LIMIT $6) o" RESOLVED " ORDER BY o.value USING ~<~, o.id"

static const struct pg_statement universal_region_sql = {
    "universal_region",
    PLACE_RANGE("region", ""),
};

static const struct pg_statement universal_postal_sql = {
    "universal_postal",
    PLACE_RANGE("postal_code",
                " AND NOT coalesce($2::jsonb->'regions' ? (p.traits->>'region'), false)"),
};

static const struct pg_statement universal_everyone_sql = {
    "universal_everyone",
    "SELECT NULL::text, o.id, c.id FROM (SELECT p.id, p.merged_into FROM profile p"
    " WHERE p.workspace_id = $1 AND p.id > $3 ORDER BY p.id LIMIT $4) o" RESOLVED " ORDER BY o.id",
};

static const struct pg_statement universal_fitting_sql = {
    "universal_fitting",
    "SELECT c.id FROM unnest($3::uuid[]) AS o (id) CROSS JOIN LATERAL (SELECT p.id FROM profile p"
    " WHERE p.workspace_id = $1 AND p.id = o.id AND " FITS " OFFSET 0) c ORDER BY c.id",
};

/* Behind every code that begins with the prefix. */
#define LAST_CHARACTER "\xf4\x8f\xbf\xbf"

enum {
    EMPTY_PLACES_MAX = 64 /* passed in one page */
};

struct places {
    struct str *regions;
    size_t region_count;
    struct str *prefixes;
    size_t prefix_count;
    bool names_people;
};

static enum status read_places(struct pg *pg, struct arena *arena, struct str selector_json,
                               struct places *places, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_jsonb(&params, selector_json);
    enum status status = pg_run(pg, arena, &universal_places_sql, &params, &result, problem);
    if (status == STATUS_OK) {
        places->region_count = pg_get_text_array(result, arena, 0, 0, &places->regions);
        places->prefix_count = pg_get_text_array(result, arena, 0, 1, &places->prefixes);
        places->names_people = pg_get_bool(result, 0, 2);
    }
    return status;
}

static enum status run_place(struct pg *pg, struct arena *arena, struct pg_params *params,
                             const struct places *places, const struct universal_cursor *cursor,
                             size_t limit, struct pg_result **out_result, struct problem *problem)
{
    bool is_region = cursor->place < places->region_count;
    struct str place = is_region ? places->regions[cursor->place]
                                 : places->prefixes[cursor->place - places->region_count];
    pg_put_text(params, cursor->value.size > 0 ? cursor->value : place);
    pg_put_id(params, cursor->id);
    pg_put_text(params,
                is_region ? place : str_printf(arena, "%.*s" LAST_CHARACTER, STR_ARG(place)));
    pg_put_i64(params, (int64_t)limit);
    return pg_run(pg, arena, is_region ? &universal_region_sql : &universal_postal_sql, params,
                  out_result, problem);
}

/* The canonical ids of a result, each once, and the cursor behind its last row. */
static enum status take_rows(struct arena *arena, const struct pg_result *result, size_t limit,
                             struct universal_audience *audience)
{
    size_t count = pg_row_count(result);
    struct id *ids = ARENA_NEW_ARRAY(arena, count + 1, struct id);
    if (ids == NULL) {
        return STATUS_LIMIT;
    }
    audience->profile_ids = ids;
    for (size_t row = 0; row < count; row++) {
        if (!pg_is_null(result, row, 2)) {
            ids[audience->count++] = pg_get_id(result, row, 2);
        }
    }
    audience->count = id_sort_unique(ids, audience->count);
    if (count == limit) {
        audience->next.value = pg_get_text(result, count - 1, 0);
        audience->next.id = pg_get_id(result, count - 1, 1);
    } else {
        audience->next = (struct universal_cursor){ .place = audience->next.place + 1 };
    }
    return STATUS_OK;
}

static enum status read_page(struct pg *pg, struct arena *arena, struct id workspace_id,
                             struct str selector_json, const struct places *places, size_t limit,
                             struct universal_audience *audience, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    enum status status = STATUS_OK;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_jsonb(&params, selector_json);
    if (places->region_count + places->prefix_count > 0) {
        status = run_place(pg, arena, &params, places, &audience->next, limit, &result, problem);
    } else {
        pg_put_id(&params, audience->next.id);
        pg_put_i64(&params, (int64_t)limit);
        status = pg_run(pg, arena, &universal_everyone_sql, &params, &result, problem);
    }
    return status == STATUS_OK ? take_rows(arena, result, limit, audience) : status;
}

enum status universal_audience(struct pg *pg, struct arena *arena, struct id workspace_id,
                               struct str selector_json, const struct universal_cursor *cursor,
                               size_t limit, struct universal_audience *out_audience,
                               struct problem *problem)
{
    struct places places = { .region_count = 0 };
    struct universal_audience audience = { .next = *cursor };
    enum status status = read_places(pg, arena, selector_json, &places, problem);
    size_t ranges = places.region_count + places.prefix_count;
    if (ranges == 0 && places.names_people) {
        ranges = 1; /* everyone */
    }
    for (size_t i = 0; status == STATUS_OK && audience.count == 0 && audience.next.place < ranges &&
                       i < EMPTY_PLACES_MAX;
         i++) {
        status =
            read_page(pg, arena, workspace_id, selector_json, &places, limit, &audience, problem);
    }
    if (status == STATUS_OK) {
        audience.is_end = audience.next.place >= ranges;
        *out_audience = audience;
    }
    return status;
}

enum status universal_fitting(struct pg *pg, struct arena *arena, struct id workspace_id,
                              struct str selector_json, struct id *ids, size_t *io_count,
                              struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_jsonb(&params, selector_json);
    pg_put_ids(&params, ids, *io_count);
    enum status status = pg_run(pg, arena, &universal_fitting_sql, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    *io_count = pg_row_count(result);
    for (size_t row = 0; row < *io_count; row++) {
        ids[row] = pg_get_id(result, row, 0);
    }
    return STATUS_OK;
}
