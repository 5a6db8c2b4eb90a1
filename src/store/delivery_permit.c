#include "store/delivery_permit.h"

#include "batch_priv.h"
#include "history_priv.h"

/*
 * Customers as they stand in the rows that every change of them is written to, not as
 * a snapshot in memory remembers them: the promise is "read at most a second before",
 * and the change may have been another instance's.
 *
 * What a message told of is read back from where it was written down: which event it
 * was from the envelope that is kept with the notification, the event itself from the
 * timeline, where it lies under the customer or whoever was merged into him; the
 * transition from its log, by the instant and the rule that the body names. Of the
 * properties only those come along that a filter asks for: a reading that took most of
 * its second would not be worth anything. An event
 * about an order whose properties were left in the order's body reads them, and what
 * was refunded, in the order as it stands, as rules do (correctness 5).
 * Rejected: keeping with each delivery what its filter asked. An edited filter asks for
 * something else, and a replay would have lost it.
 */

static const struct pg_statement delivery_permit_consent = {
    "delivery_permit_consent",
    "SELECT u.n, r.state FROM unnest($2::uuid[], $3::text[]) WITH ORDINALITY"
    " AS u (profile_id, channel, n)"
    " CROSS JOIN LATERAL (SELECT COALESCE(s.consent, p.consent) ->> u.channel AS state"
    " FROM profile p LEFT JOIN LATERAL (SELECT m.consent FROM profile m"
    " WHERE m.workspace_id = $1 AND m.id = p.merged_into OFFSET 0) s ON true"
    " WHERE p.workspace_id = $1 AND p.id = u.profile_id OFFSET 0) r",
};

static const struct pg_statement delivery_permit_profile = {
    "delivery_permit_profile",
    "SELECT " BATCH_PROFILE_COLUMNS ", u.n"
    " FROM unnest($2::uuid[]) WITH ORDINALITY AS u (told_of, n)"
    " CROSS JOIN LATERAL (SELECT COALESCE(merged_into, id) AS canonical FROM profile"
    " WHERE workspace_id = $1 AND id = u.told_of OFFSET 0) c"
    " CROSS JOIN LATERAL (SELECT " BATCH_PROFILE_COLUMNS " FROM profile"
    " WHERE workspace_id = $1 AND id = c.canonical OFFSET 0) r",
};

enum {
    PROFILE_ORDINAL_COLUMN = 22, /* behind BATCH_PROFILE_COLUMNS */
};

static const struct pg_statement delivery_permit_event = {
    "delivery_permit_event",
    "SELECT u.n, e.id, e.source_id, e.type, e.trust, e.occurred_at, e.received_at, e.product_id,"
    " e.category, e.currency, e.amount_minor, e.order_ref, NULL::bytea,"
    " (SELECT jsonb_object_agg(k, v) FROM (SELECT k, e.properties -> k AS v"
    " FROM unnest($4::text[]) AS k OFFSET 0) x WHERE v IS NOT NULL), CASE WHEN 'context' = ANY "
    "($4) THEN e.context END, e.act,"
    " c.event_id, c.source, d.refunded_minor,"
    " (SELECT jsonb_object_agg(k, v) FROM (SELECT k, d.body -> k AS v"
    " FROM unnest($4::text[]) AS k OFFSET 0) x WHERE v IS NOT NULL)"
    " FROM unnest($2::timestamptz[], $3::uuid[]) WITH ORDINALITY AS u (made_at, told, n)"
    " CROSS JOIN LATERAL (SELECT profile_id AS told_of, body::json -> 'cause' AS cause"
    " FROM notification WHERE workspace_id = $1 AND created_at = u.made_at AND id = u.told"
    " OFFSET 0) m"
    " CROSS JOIN LATERAL json_to_record(m.cause)"
    " AS c (event_id uuid, source text, occurred_at timestamptz)"
    " CROSS JOIN LATERAL (SELECT COALESCE(merged_into, id) AS canonical FROM profile"
    " WHERE workspace_id = $1 AND id = m.told_of OFFSET 0) s"
    " LEFT JOIN LATERAL (SELECT i.* FROM (SELECT s.canonical AS origin UNION ALL"
    " (SELECT id FROM profile WHERE workspace_id = $1 AND merged_into = s.canonical)) o"
    " CROSS JOIN LATERAL (SELECT " HISTORY_EVENT_COLUMNS " FROM interaction"
    " WHERE workspace_id = $1 AND origin_id = o.origin AND occurred_at = c.occurred_at"
    " AND id = c.event_id OFFSET 0) i LIMIT 1) e ON true"
    " LEFT JOIN LATERAL (SELECT refunded_minor, CASE WHEN e.properties IS NULL THEN body END"
    " AS body FROM orders WHERE workspace_id = $1 AND source_id = e.source_id"
    " AND order_ref = e.order_ref OFFSET 0) d ON true",
};

enum {
    EVENT_ORDER_REF_COLUMN = 11,
    EVENT_CAUSE_COLUMN = 16, /* behind HISTORY_EVENT_COLUMNS */
    EVENT_SOURCE_COLUMN,
    EVENT_REFUNDED_COLUMN,
    EVENT_BODY_COLUMN,
};

static const struct pg_statement delivery_permit_transition = {
    "delivery_permit_transition",
    "SELECT u.n, m.is_of_rule, t.rule, t.kind, t.from_value, t.to_value"
    " FROM unnest($2::timestamptz[], $3::uuid[]) WITH ORDINALITY AS u (made_at, told, n)"
    " CROSS JOIN LATERAL (SELECT profile_id AS told_of, topic, body::json AS body,"
    " split_part(topic, '.', 1) AS object, split_part(topic, '.', 1)"
    " IN ('tag', 'segment', 'tier', 'lifecycle') AS is_of_rule FROM notification"
    " WHERE workspace_id = $1 AND created_at = u.made_at AND id = u.told OFFSET 0) m"
    " CROSS JOIN LATERAL json_to_record(CASE WHEN m.is_of_rule"
    " THEN m.body -> 'data' -> m.object END) AS c (name text, \"from\" text, \"to\" text)"
    " LEFT JOIN LATERAL (SELECT rule, kind, from_value, to_value FROM transition"
    " WHERE workspace_id = $1 AND profile_id = m.told_of"
    " AND occurred_at = (m.body ->> 'timestamp')::timestamptz AND kind = m.object"
    " AND (c.name IS NULL OR rule = c.name)" /* there is one lifecycle, and it is not named */
    " AND CASE WHEN m.object IN ('tag', 'segment')"
    " THEN (to_value IS NOT NULL) = (m.topic IN ('tag.added', 'segment.entered'))"
    " ELSE from_value IS NOT DISTINCT FROM c.\"from\" AND to_value IS NOT DISTINCT FROM c.\"to\" "
    "END"
    " LIMIT 1) t ON true",
};

/* --- asking ------------------------------------------------------------------ */

/* Of the rechecks, those that want what a statement reads. */
struct wanting {
    struct recheck_question **items;
    size_t count;
};

struct reading {
    struct pg *pg;
    struct arena *arena;
    struct id workspace_id;
    const struct permit_questions *questions;
    struct wanting events;
    struct wanting transitions;
};

static enum status queue_consents(const struct reading *reading)
{
    const struct permit_questions *questions = reading->questions;
    struct pg_params params;
    struct pg_array profiles;
    struct pg_array channels;
    pg_params_init(&params, reading->arena);
    pg_put_id(&params, reading->workspace_id);
    pg_array_begin(&profiles, &params, PG_UUID, questions->consent_count);
    pg_array_begin(&channels, &params, PG_TEXT, questions->consent_count);
    for (size_t i = 0; i < questions->consent_count; i++) {
        pg_array_id(&profiles, questions->consents[i].profile_id);
        pg_array_text(&channels, questions->consents[i].channel);
    }
    pg_array_end(&profiles);
    pg_array_end(&channels);
    return pg_queue(reading->pg, &delivery_permit_consent, &params);
}

static enum status queue_profiles(const struct reading *reading)
{
    const struct permit_questions *questions = reading->questions;
    struct pg_params params;
    struct pg_array profiles;
    pg_params_init(&params, reading->arena);
    pg_put_id(&params, reading->workspace_id);
    pg_array_begin(&profiles, &params, PG_UUID, questions->recheck_count);
    for (size_t i = 0; i < questions->recheck_count; i++) {
        pg_array_id(&profiles, questions->rechecks[i].profile_id);
    }
    pg_array_end(&profiles);
    return pg_queue(reading->pg, &delivery_permit_profile, &params);
}

static void put_told(struct pg_params *params, const struct reading *reading,
                     const struct wanting *wanting)
{
    struct pg_array instants;
    struct pg_array ids;
    pg_params_init(params, reading->arena);
    pg_put_id(params, reading->workspace_id);
    pg_array_begin(&instants, params, PG_INSTANT, wanting->count);
    pg_array_begin(&ids, params, PG_UUID, wanting->count);
    for (size_t i = 0; i < wanting->count; i++) {
        pg_array_instant(&instants, wanting->items[i]->notification_created_at_ms);
        pg_array_id(&ids, wanting->items[i]->notification_id);
    }
    pg_array_end(&instants);
    pg_array_end(&ids);
}

static size_t add_words(struct str *words, size_t count, const struct recheck_question *question)
{
    for (size_t i = 0; i < question->property_count; i++) {
        size_t known = 0;
        while (known < count && !str_equal(words[known], question->properties[i])) {
            known++;
        }
        words[known] = question->properties[i];
        count += known == count ? 1 : 0;
    }
    return count;
}

/* What any of them asks for. Questions of one filter are neighbours mostly. */
static enum status put_properties(struct pg_params *params, const struct reading *reading)
{
    const struct wanting *events = &reading->events;
    size_t most = 0;
    for (size_t i = 0; i < events->count; i++) {
        most += events->items[i]->property_count;
    }
    struct str *words = ARENA_NEW_ARRAY(reading->arena, most + 1, struct str);
    size_t count = 0;
    if (words == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < events->count; i++) {
        bool is_same = i > 0 && events->items[i]->properties == events->items[i - 1]->properties;
        count = is_same ? count : add_words(words, count, events->items[i]);
    }
    pg_put_text_array(params, words, count);
    return STATUS_OK;
}

static enum status queue_events(const struct reading *reading)
{
    struct pg_params params;
    put_told(&params, reading, &reading->events);
    enum status status = put_properties(&params, reading);
    return status == STATUS_OK ? pg_queue(reading->pg, &delivery_permit_event, &params) : status;
}

static enum status queue_transitions(const struct reading *reading)
{
    struct pg_params params;
    put_told(&params, reading, &reading->transitions);
    return pg_queue(reading->pg, &delivery_permit_transition, &params);
}

static bool find_wanting(struct reading *reading)
{
    const struct permit_questions *questions = reading->questions;
    size_t count = questions->recheck_count;
    reading->events.items = ARENA_NEW_ARRAY(reading->arena, count + 1, struct recheck_question *);
    reading->transitions.items =
        ARENA_NEW_ARRAY(reading->arena, count + 1, struct recheck_question *);
    if (reading->events.items == NULL || reading->transitions.items == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        struct recheck_question *question = &questions->rechecks[i];
        if (question->asks_event) {
            reading->events.items[reading->events.count++] = question;
        }
        if (question->asks_transition) {
            reading->transitions.items[reading->transitions.count++] = question;
        }
    }
    return true;
}

/* --- answers ----------------------------------------------------------------- */

static enum status take_consents(const struct reading *reading, const struct pg_result *result)
{
    for (size_t row = 0; row < pg_row_count(result); row++) {
        struct consent_question *question =
            &reading->questions->consents[(size_t)pg_get_i64(result, row, 0) - 1];
        question->is_known = true;
        question->state = pg_is_null(result, row, 1) ? STR("never") : pg_get_text(result, row, 1);
    }
    return STATUS_OK;
}

/* One that does not decode must not keep the others from being sent. */
static enum status take_profiles(const struct reading *reading, const struct pg_result *result)
{
    for (size_t row = 0; row < pg_row_count(result); row++) {
        size_t index = (size_t)pg_get_i64(result, row, PROFILE_ORDINAL_COLUMN) - 1;
        struct recheck_question *question = &reading->questions->rechecks[index];
        struct problem unreadable = { .detail = "" };
        enum status status =
            batch_profile_decode(reading->arena, result, row, &question->profile, &unreadable);
        if (status != STATUS_OK && status != STATUS_BROKEN) {
            return status;
        }
        question->is_known = true;
    }
    return STATUS_OK;
}

static enum status take_order(const struct reading *reading, const struct pg_result *result,
                              size_t row, struct event *event)
{
    if (pg_is_null(result, row, EVENT_ORDER_REF_COLUMN)) {
        return STATUS_OK;
    }
    struct order_document *order = ARENA_NEW(reading->arena, struct order_document);
    if (order == NULL) {
        return STATUS_LIMIT;
    }
    *order = (struct order_document){
        .order_ref = pg_get_text(result, row, EVENT_ORDER_REF_COLUMN),
        .refunded_minor = pg_get_i64(result, row, EVENT_REFUNDED_COLUMN),
        .body_json = pg_get_jsonb(result, row, EVENT_BODY_COLUMN),
    };
    event->order = order;
    return STATUS_OK;
}

static enum status take_event(const struct reading *reading, const struct pg_result *result,
                              size_t row, struct recheck_question *question)
{
    struct event *event = ARENA_NEW(reading->arena, struct event);
    struct problem unreadable = { .detail = "" };
    if (event == NULL) {
        return STATUS_LIMIT;
    }
    enum status status = history_event(reading->arena, result, row, event, &unreadable);
    if (status == STATUS_BROKEN) {
        return STATUS_OK; /* as if it were not kept */
    }
    if (status == STATUS_OK) {
        status = take_order(reading, result, row, event);
    }
    question->has_event = status == STATUS_OK;
    question->told.event = event;
    question->told.source = pg_get_text(result, row, EVENT_SOURCE_COLUMN);
    return status;
}

static enum status take_events(const struct reading *reading, const struct pg_result *result)
{
    enum status status = STATUS_OK;
    for (size_t row = 0; row < pg_row_count(result) && status == STATUS_OK; row++) {
        struct recheck_question *question =
            reading->events.items[(size_t)pg_get_i64(result, row, 0) - 1];
        bool is_kept = !pg_is_null(result, row, 1);
        question->has_event = pg_is_null(result, row, EVENT_CAUSE_COLUMN);
        if (is_kept) {
            status = take_event(reading, result, row, question);
        }
    }
    return status;
}

static enum status take_transitions(const struct reading *reading, const struct pg_result *result)
{
    for (size_t row = 0; row < pg_row_count(result); row++) {
        struct recheck_question *question =
            reading->transitions.items[(size_t)pg_get_i64(result, row, 0) - 1];
        bool is_kept = !pg_is_null(result, row, 2);
        question->has_transition = is_kept || !pg_get_bool(result, row, 1);
        if (!is_kept) {
            continue;
        }
        struct rule_transition *transition = ARENA_NEW(reading->arena, struct rule_transition);
        if (transition == NULL) {
            return STATUS_LIMIT;
        }
        *transition = (struct rule_transition){
            .rule = pg_get_text(result, row, 2),
            .kind = pg_get_text(result, row, 3),
            .from = pg_get_text(result, row, 4),
            .to = pg_get_text(result, row, 5),
        };
        question->told.transition = transition;
    }
    return STATUS_OK;
}

typedef enum status take_fn(const struct reading *reading, const struct pg_result *result);

enum status delivery_permit_read(struct pg *pg, struct arena *arena, struct id workspace_id,
                                 const struct permit_questions *questions, struct problem *problem)
{
    struct reading reading = {
        .pg = pg, .arena = arena, .workspace_id = workspace_id, .questions = questions
    };
    struct pg_result *results[4] = { NULL };
    take_fn *takes[ARRAY_COUNT(results)] = { NULL };
    size_t count = 0;
    enum status status = find_wanting(&reading) ? STATUS_OK : STATUS_LIMIT;
    if (status == STATUS_OK && questions->consent_count > 0) {
        takes[count++] = take_consents;
        status = queue_consents(&reading);
    }
    if (status == STATUS_OK && questions->recheck_count > 0) {
        takes[count++] = take_profiles;
        status = queue_profiles(&reading);
    }
    if (status == STATUS_OK && reading.events.count > 0) {
        takes[count++] = take_events;
        status = queue_events(&reading);
    }
    if (status == STATUS_OK && reading.transitions.count > 0) {
        takes[count++] = take_transitions;
        status = queue_transitions(&reading);
    }
    if (status != STATUS_OK) {
        pg_reset(pg); /* nothing of it may stay queued */
        return status;
    }
    status = count > 0 ? pg_sync(pg, arena, results, count, problem) : STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        status = takes[i](&reading, results[i]);
    }
    return status;
}
