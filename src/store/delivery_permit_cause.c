#include "base/instant.h"
#include "core/event/event.h"
#include "store/delivery_permit.h"

/*
 * Which trigger rang a notification, and by which fact about the world, if it was one:
 * from the envelope that is kept with it, as what else it told of is (delivery_permit.c).
 */

static const struct pg_statement delivery_permit_cause = {
    "delivery_permit_cause",
    "SELECT u.n, m.body #>> '{data,trigger,name}', f.id, f.source_id, f.type, f.occurred_at,"
    " f.recorded_at, f.product_id, f.properties, (SELECT s.name FROM source s"
    " WHERE s.workspace_id = $1 AND s.id = f.source_id)"
    " FROM unnest($2::timestamptz[], $3::uuid[]) WITH ORDINALITY AS u (made_at, told, n)"
    " CROSS JOIN LATERAL (SELECT body::json AS body FROM notification WHERE workspace_id = $1"
    " AND created_at = u.made_at AND id = u.told OFFSET 0) m"
    " LEFT JOIN LATERAL (SELECT e.id, e.source_id, e.type, e.occurred_at, e.recorded_at,"
    " e.product_id, e.properties FROM universal_event e WHERE e.workspace_id = $1"
    " AND e.id = (m.body #>> '{cause,event_id}')::uuid OFFSET 0) f ON true"
    " WHERE m.body #> '{data,trigger}' IS NOT NULL",
};

static const struct event *fact_of(struct arena *arena, const struct pg_result *result, size_t row)
{
    struct event *event = ARENA_NEW(arena, struct event);
    if (event != NULL) {
        *event = (struct event){
            .id = pg_get_id(result, row, 2),
            .source_id = pg_get_id(result, row, 3),
            .type = EVENT_CUSTOM,
            .name = pg_get_text(result, row, 4),
            .occurred_at_ms = pg_get_instant(result, row, 5),
            .received_at_ms = pg_get_instant(result, row, 6),
            .product_id = pg_get_text(result, row, 7),
            .properties_json = pg_get_jsonb(result, row, 8),
        };
    }
    return event;
}

enum status delivery_permit_causes(struct pg *pg, struct arena *arena, struct id workspace_id,
                                   struct cause_question *questions, size_t count,
                                   struct problem *problem)
{
    struct pg_params params;
    struct pg_array instants;
    struct pg_array ids;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_array_begin(&instants, &params, PG_INSTANT, count);
    pg_array_begin(&ids, &params, PG_UUID, count);
    for (size_t i = 0; i < count; i++) {
        pg_array_instant(&instants, questions[i].notification_created_at_ms);
        pg_array_id(&ids, questions[i].notification_id);
    }
    pg_array_end(&instants);
    pg_array_end(&ids);
    enum status status = pg_run(pg, arena, &delivery_permit_cause, &params, &result, problem);
    for (size_t row = 0; status == STATUS_OK && row < pg_row_count(result); row++) {
        struct cause_question *question = &questions[(size_t)pg_get_i64(result, row, 0) - 1];
        question->trigger = pg_get_text(result, row, 1);
        if (!pg_is_null(result, row, 2)) {
            question->fact = fact_of(arena, result, row);
            question->source = pg_get_text(result, row, 9);
            status = question->fact != NULL ? STATUS_OK : STATUS_LIMIT;
        }
    }
    return status;
}
