#include "store/rule_seen.h"

#include "base/buf.h"
#include "base/instant.h"

/*
 * A bounded look at what comes in.
 *
 * Problem: "never seen in 30 days" asks for all events of 30 days, and there is
 * no index by type: each would be one more write per event. Invariant: at most
 * 100 customers with 50 events and 20 orders each are looked at, through
 * indexes, whatever the size of the shop. So the answer is about a sample, and
 * the warning says so. Orders count as order.completed, whose properties are
 * the order's own.
 *
 * jsonpath is lax: "products.category" goes through the array.
 */

enum {
    PATH_BYTES_MAX = 1024,
    SEEN_ORDERS = 20
};

static const struct pg_statement rule_seen_sql = {
    "rule_seen",
    "WITH people AS MATERIALIZED (SELECT p.id FROM profile p WHERE p.workspace_id = $1"
    "  AND p.merged_into IS NULL AND p.last_seen_day >= ($2::timestamptz AT TIME ZONE 'UTC')::date"
    "  ORDER BY p.last_seen_day DESC, p.id DESC LIMIT $3),"
    " facts AS MATERIALIZED (SELECT i.type, i.properties, i.context FROM people p"
    "  CROSS JOIN LATERAL (SELECT n.type, n.properties, n.context FROM interaction n"
    "   WHERE n.workspace_id = $1 AND n.origin_id = p.id AND n.occurred_at > $2"
    "   ORDER BY n.occurred_at DESC LIMIT $4) i"
    "  UNION ALL SELECT 'order.completed', o.body, NULL FROM people p"
    "  CROSS JOIN LATERAL (SELECT r.body FROM orders r WHERE r.workspace_id = $1"
    "   AND r.profile_id = p.id AND r.has_body AND r.placed_at > $2"
    "   ORDER BY r.placed_at DESC LIMIT $5) o)"
    " SELECT (SELECT count(*) FROM facts),"
    " EXISTS (SELECT 1 FROM facts f WHERE f.type = w.event),"
    " EXISTS (SELECT 1 FROM facts f WHERE f.type = w.event"
    "  AND CASE WHEN w.in_context THEN f.context ELSE f.properties END @? w.path::jsonpath)"
    " FROM unnest($6::text[], $7::boolean[], $8::text[])"
    " WITH ORDINALITY AS w(event, in_context, path, place) ORDER BY w.place",
};

/* $."products"."category"; words have neither quotes nor backslashes. */
static struct str path_of(struct arena *arena, struct str property)
{
    struct buf path;
    struct str word = { NULL, 0 };
    buf_init(&path, arena, PATH_BYTES_MAX);
    buf_add_char(&path, '$');
    while (property.size > 0) {
        if (!str_split(property, '.', &word, &property)) {
            word = property;
            property = (struct str){ NULL, 0 };
        }
        buf_printf(&path, ".\"%.*s\"", STR_ARG(word));
    }
    return buf_str(&path);
}

static void put_questions(struct pg_params *params, const struct rule_seen_question *questions,
                          size_t count)
{
    struct str context = STR("context.");
    struct pg_array array;
    pg_array_begin(&array, params, PG_TEXT, count);
    for (size_t i = 0; i < count; i++) {
        pg_array_text(&array, questions[i].event);
    }
    pg_array_end(&array);
    pg_array_begin(&array, params, PG_BOOL, count);
    for (size_t i = 0; i < count; i++) {
        pg_array_bool(&array, str_starts_with(questions[i].property, context));
    }
    pg_array_end(&array);
    pg_array_begin(&array, params, PG_TEXT, count);
    for (size_t i = 0; i < count; i++) {
        struct str property = questions[i].property;
        bool in_context = str_starts_with(property, context);
        pg_array_text(&array, path_of(params->arena,
                                      in_context ? str_drop(property, context.size) : property));
    }
    pg_array_end(&array);
}

enum status rule_seen(struct pg *pg, struct arena *arena, struct id workspace_id,
                      const struct rule_seen_question *questions, size_t count, int64_t now_ms,
                      struct rule_seen_answer **out_answers, int64_t *out_sample,
                      struct problem *problem)
{
    struct pg_params params;
    struct pg_result *rows = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_instant(&params, now_ms - RULE_SEEN_DAYS * INSTANT_DAY_MS);
    pg_put_i64(&params, RULE_SEEN_PEOPLE);
    pg_put_i64(&params, RULE_SEEN_EVENTS);
    pg_put_i64(&params, SEEN_ORDERS);
    put_questions(&params, questions, count);
    enum status status = pg_run(pg, arena, &rule_seen_sql, &params, &rows, problem);
    if (status != STATUS_OK) {
        return status;
    }
    struct rule_seen_answer *answers = ARENA_NEW_ARRAY(arena, count, struct rule_seen_answer);
    if (answers == NULL) {
        return problem_set(problem, STATUS_LIMIT, "limit-reached", "the request is too big");
    }
    int64_t sample = 0;
    for (size_t i = 0; i < count; i++) {
        sample = pg_get_i64(rows, i, 0);
        answers[i] = (struct rule_seen_answer){ .event = pg_get_bool(rows, i, 1),
                                                .property = pg_get_bool(rows, i, 2) };
    }
    *out_answers = answers;
    *out_sample = sample;
    return STATUS_OK;
}
