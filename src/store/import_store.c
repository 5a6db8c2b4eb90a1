#include "store/import_store.h"

#include <assert.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/limits.h"
#include "store/batch.h"
#include "store/bring_up.h"

/*
 * A chunk of a file: load, lock, decide, save, as intake does it, and nothing
 * rings.
 *
 * Problem: history is a thousand times what arrives in an hour, must give the
 * very profiles that webhooks would have given, and the process that reads it
 * may be killed at any moment.
 *
 * Invariant: the events of a chunk and the row that says so commit together. A
 * chunk whose row is there already was committed by a COMMIT whose answer was
 * lost, and is left alone. All else that may be there already (the same event
 * by webhook, or an earlier import) is found by receipts and interactions, as
 * always, so a chunk may be written any number of times.
 *
 * The context says that this is an import, so no event rings and rules are
 * decided once. What fell due by time alone for somebody who is known already is
 * told as ever; the server's sender finds it. What the database refuses for the
 * data's own sake is bisected down to the event, whose line is then rejected; the
 * halves that are good commit on their own, and the chunk's row last.
 */

struct event_range {
    size_t first;
    size_t count;
};

static const struct pg_statement import_chunk_insert = {
    "import_chunk_insert",
    "INSERT INTO import_chunk (workspace_id, job_id, first_byte, lane, lanes, end_byte, first_line,"
    " line_count, record_count, applied, duplicate, rejected)"
    " VALUES ($1, $2, $3, $4::integer, $5, $6, $7, $8, $9, $10, $11, $12)"
    " ON CONFLICT (workspace_id, job_id, first_byte, lane) DO NOTHING",
};

static const struct pg_statement import_reject_insert = {
    "import_reject_insert",
    "INSERT INTO job_reject (workspace_id, job_id, line, field, reason)"
    " SELECT $1, $2, u.line, u.field, u.reason"
    " FROM unnest($3::bigint[], $4::text[], $5::text[]) AS u (line, field, reason)"
    " ON CONFLICT (workspace_id, job_id, line) DO NOTHING",
};

static const struct pg_statement import_chunk_list = {
    "import_chunk_list",
    "SELECT first_byte, end_byte, first_line, line_count, lanes, bit_or(1 << lane),"
    " sum(record_count)::bigint, sum(applied)::bigint, sum(duplicate)::bigint,"
    " sum(rejected)::bigint FROM import_chunk WHERE workspace_id = $1 AND job_id = $2"
    " GROUP BY first_byte, end_byte, first_line, line_count, lanes ORDER BY first_byte",
};

/* --- one attempt ------------------------------------------------------------ */

struct chunk_attempt {
    struct pg *pg;
    struct arena *arena;
    struct decide_context context;
    const struct import_chunk *chunk;
    struct batch batch;
    struct decision *decision;
    struct event **events; /* unique */
    size_t event_count;
    int64_t now_ms;
    struct import_counts before; /* of parts that were committed on their own */
};

/* The same event twice in one range counts as one that is there already. */
static enum status unique_events(struct chunk_attempt *attempt, struct event_range range)
{
    size_t table_size = 64;
    while (table_size < range.count * 2) {
        table_size *= 2;
    }
    struct event **table = ARENA_NEW_ARRAY(attempt->arena, table_size, struct event *);
    attempt->events = ARENA_NEW_ARRAY(attempt->arena, range.count + 1, struct event *);
    if (table == NULL || attempt->events == NULL) {
        return STATUS_LIMIT;
    }
    attempt->event_count = 0;
    for (size_t i = 0; i < range.count; i++) {
        struct event *event = attempt->chunk->events[range.first + i];
        uint64_t hash = 0;
        memcpy(&hash, event->id.bytes, sizeof(hash));
        size_t slot = (size_t)hash & (table_size - 1);
        while (table[slot] != NULL && !id_equal(table[slot]->id, event->id)) {
            slot = (slot + 1) & (table_size - 1);
        }
        if (table[slot] == NULL) {
            table[slot] = event;
            attempt->events[attempt->event_count++] = event;
        }
    }
    return batch_init(&attempt->batch, attempt->pg, attempt->arena, attempt->chunk->workspace_id,
                      attempt->events, attempt->event_count);
}

/* Events without a receipt, planned and locked. *out_any: there are some. */
static enum status load_and_lock(struct chunk_attempt *attempt, struct event_range range,
                                 bool *out_any, struct problem *problem)
{
    enum status status = unique_events(attempt, range);
    if (status != STATUS_OK) {
        return status;
    }
    struct batch *batch = &attempt->batch;
    attempt->decision = decision_create(attempt->arena, &attempt->context, batch->event_count);
    struct event **fresh = ARENA_NEW_ARRAY(attempt->arena, batch->event_count + 1, struct event *);
    if (attempt->decision == NULL || fresh == NULL) {
        return STATUS_LIMIT;
    }
    status = batch_load(batch, attempt->decision, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t fresh_count = 0;
    for (size_t i = 0; i < batch->event_count; i++) {
        if (!batch->is_duplicate[i]) {
            fresh[fresh_count++] = batch->events[i];
        }
    }
    *out_any = fresh_count > 0;
    if (fresh_count == 0) {
        return STATUS_OK;
    }
    attempt->now_ms = clock_now_ms();
    status = decision_plan(attempt->decision, fresh, fresh_count, attempt->now_ms);
    enum batch_lock_outcome outcome = BATCH_LOCKED;
    if (status == STATUS_OK) {
        status = batch_lock(batch, attempt->now_ms, &outcome, problem);
    }
    if (status == STATUS_OK && outcome == BATCH_STALE) {
        status = problem_set(problem, STATUS_CONFLICT, "", "owners moved");
    }
    return status;
}

/* As intake does: a profile behind the rules is brought up where its history is
 * short, and decided by the rules it stands at where it is long. */
static enum status bring_up_short(const struct chunk_attempt *attempt, struct problem *problem)
{
    const struct bring_up bring_up = {
        .pg = attempt->pg,
        .arena = attempt->arena,
        .decision = attempt->decision,
        .context = &attempt->context,
        .now_ms = attempt->now_ms,
        .facts_max = LIMIT_HOT_HISTORY_FACTS,
    };
    return bring_up_profiles(&bring_up, NULL, problem);
}

static enum status decide_all(struct chunk_attempt *attempt, struct import_counts *counts,
                              struct problem *problem)
{
    const struct batch *batch = &attempt->batch;
    for (size_t i = 0; i < batch->event_count; i++) {
        if (batch->is_duplicate[i] || batch->is_known[i]) {
            counts->duplicate++;
            continue;
        }
        enum decide_outcome outcome = DECIDE_APPLIED;
        enum status status =
            decide_event(attempt->decision, attempt->events[i], attempt->now_ms, &outcome);
        if (status != STATUS_OK) {
            return status;
        }
        if (outcome == DECIDE_STATE_FULL) {
            return problem_set(problem, STATUS_INVALID, "limit-reached",
                               "the profile cannot hold what this record says");
        }
        counts->applied++;
    }
    return STATUS_OK;
}

static enum status insert_rejects(const struct chunk_attempt *attempt, struct problem *problem)
{
    const struct import_chunk *chunk = attempt->chunk;
    size_t count =
        chunk->reject_count < chunk->reject_room ? chunk->reject_count : chunk->reject_room;
    if (count == 0) {
        return STATUS_OK;
    }
    struct pg_params params;
    struct pg_array columns[3];
    pg_params_init(&params, attempt->arena);
    pg_put_id(&params, chunk->workspace_id);
    pg_put_id(&params, chunk->job_id);
    pg_array_begin(&columns[0], &params, PG_INT8, count);
    pg_array_begin(&columns[1], &params, PG_TEXT, count);
    pg_array_begin(&columns[2], &params, PG_TEXT, count);
    for (size_t i = 0; i < count; i++) {
        pg_array_i64(&columns[0], chunk->rejects[i].line);
        pg_array_text(&columns[1], chunk->rejects[i].column);
        pg_array_text(&columns[2], chunk->rejects[i].reason);
    }
    for (size_t i = 0; i < ARRAY_COUNT(columns); i++) {
        pg_array_end(&columns[i]);
    }
    return pg_run(attempt->pg, attempt->arena, &import_reject_insert, &params, NULL, problem);
}

/* Within the transaction that is open. *out_is_new: nobody had written it. */
static enum status insert_chunk(const struct chunk_attempt *attempt,
                                const struct import_counts *counts, bool *out_is_new,
                                struct problem *problem)
{
    const struct import_chunk *chunk = attempt->chunk;
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, attempt->arena);
    pg_put_id(&params, chunk->workspace_id);
    pg_put_id(&params, chunk->job_id);
    pg_put_i64(&params, chunk->first_byte);
    pg_put_i32(&params, (int32_t)chunk->lane);
    pg_put_i32(&params, (int32_t)chunk->lanes);
    pg_put_i64(&params, chunk->end_byte);
    pg_put_i64(&params, chunk->first_line);
    pg_put_i64(&params, chunk->line_count);
    pg_put_i64(&params, chunk->record_count);
    pg_put_i64(&params, attempt->before.applied + counts->applied);
    pg_put_i64(&params, attempt->before.duplicate + counts->duplicate);
    pg_put_i64(&params, (int64_t)chunk->reject_count);
    enum status status =
        pg_run(attempt->pg, attempt->arena, &import_chunk_insert, &params, &result, problem);
    if (status == STATUS_OK) {
        *out_is_new = pg_affected(result) > 0;
        status = insert_rejects(attempt, problem);
    }
    return status;
}

static enum status save(struct chunk_attempt *attempt, struct problem *problem)
{
    struct decision_rows rows = { 0 };
    enum status status = batch_restore_extremes(&attempt->batch, problem);
    if (status == STATUS_OK) {
        status = decision_finish(attempt->decision, clock_now_ms(), &rows);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct batch_save what = { .rows = &rows };
    struct delivery *deliveries = NULL;
    size_t delivery_count = 0;
    return batch_save(&attempt->batch, &what, &deliveries, &delivery_count, problem);
}

/* Writes a range; with `is_whole` the chunk's row too. */
static enum status write_range(struct chunk_attempt *attempt, struct event_range range,
                               bool is_whole, struct import_counts *out_counts,
                               struct problem *problem)
{
    struct import_counts counts = { 0 };
    bool any = false;
    bool is_new = true;
    arena_reset(attempt->arena);
    *problem = (struct problem){ 0 };
    randombytes_buf(attempt->context.random, sizeof(attempt->context.random));
    enum status status = load_and_lock(attempt, range, &any, problem);
    if (status == STATUS_OK && any) {
        status = bring_up_short(attempt, problem);
    }
    if (status == STATUS_OK && any) {
        status = decide_all(attempt, &counts, problem);
    }
    counts.duplicate = (int64_t)range.count - counts.applied;
    if (status == STATUS_OK && is_whole) {
        status = insert_chunk(attempt, &counts, &is_new, problem);
    }
    if (status == STATUS_OK && is_new) {
        status = any ? save(attempt, problem)
                     : pg_run(attempt->pg, attempt->arena, &pg_commit, NULL, NULL, problem);
    }
    if (status != STATUS_OK || !is_new) {
        pg_reset(attempt->pg);
    }
    if (status == STATUS_OK) {
        *out_counts = counts;
    }
    return status;
}

/* --- retry and bisect --------------------------------------------------------- */

static void pause_jittered(unsigned turn)
{
    uint32_t base_ms = 4U << (turn < 8 ? turn : 8);
    uint32_t wait_ms = base_ms + randombytes_uniform(base_ms);
    const struct timespec pause = { .tv_sec = wait_ms / 1000,
                                    .tv_nsec = (long)(wait_ms % 1000) * 1000000L };
    nanosleep(&pause, NULL);
}

/* Until it is written, or fails for good. A range whose owners keep moving under
 * it is cut in two, as if its data were at fault. */
static enum status try_range(struct chunk_attempt *attempt, struct event_range range, bool is_whole,
                             struct import_counts *out_counts, struct problem *problem)
{
    enum status status = STATUS_RETRY;
    for (unsigned turn = 0; turn < LIMIT_BATCH_RETRIES; turn++) {
        status = write_range(attempt, range, is_whole, out_counts, problem);
        if (status != STATUS_RETRY && status != STATUS_CONFLICT) {
            return status;
        }
        pause_jittered(turn);
    }
    return status == STATUS_CONFLICT && range.count > 1 ? STATUS_LIMIT : STATUS_RETRY;
}

static bool is_of_data(enum status status)
{
    return status == STATUS_INVALID || status == STATUS_LIMIT;
}

/* Halves until each half commits or is one event, which is refused. */
static enum status bisect(struct chunk_attempt *attempt, struct arena *kept,
                          struct import_outcome *outcome, struct problem *problem)
{
    struct event_range stack[40];
    size_t depth = 0;
    stack[depth++] = (struct event_range){ 0, attempt->chunk->event_count };
    while (depth > 0) {
        struct event_range range = stack[--depth];
        struct import_counts counts = { 0 };
        enum status status = try_range(attempt, range, false, &counts, problem);
        if (status == STATUS_OK) {
            outcome->counts.applied += counts.applied;
            outcome->counts.duplicate += counts.duplicate;
        } else if (!is_of_data(status)) {
            return status;
        } else if (range.count <= 1) {
            outcome->refused[outcome->refused_count++] = (struct import_reject){
                .line = attempt->chunk->event_lines[range.first],
                .reason = str_dup(kept, str_from_z(problem->detail)),
            };
        } else {
            size_t half = range.count / 2;
            assert(depth + 2 <= ARRAY_COUNT(stack));
            stack[depth++] = (struct event_range){ range.first + half, range.count - half };
            stack[depth++] = (struct event_range){ range.first, half };
        }
    }
    return STATUS_OK;
}

/* The good halves are in; now the chunk's row, with those that are not. */
static enum status write_in_parts(struct chunk_attempt *attempt, struct arena *kept,
                                  struct import_outcome *outcome, struct problem *problem)
{
    const struct import_chunk *chunk = attempt->chunk;
    outcome->refused = ARENA_NEW_ARRAY(kept, chunk->event_count + 1, struct import_reject);
    struct import_reject *rejects =
        ARENA_NEW_ARRAY(kept, chunk->reject_count + chunk->event_count + 1, struct import_reject);
    if (outcome->refused == NULL || rejects == NULL) {
        return problem_set(problem, STATUS_BROKEN, "internal", "no memory for a chunk's faults");
    }
    enum status status = bisect(attempt, kept, outcome, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (chunk->reject_count > 0) {
        memcpy(rejects, chunk->rejects, chunk->reject_count * sizeof(*rejects));
    }
    memcpy(rejects + chunk->reject_count, outcome->refused,
           outcome->refused_count * sizeof(*rejects));
    struct import_chunk rest = *chunk;
    struct import_counts none = { 0 };
    rest.rejects = rejects;
    rest.reject_count = chunk->reject_count + outcome->refused_count;
    rest.reject_room += chunk->reject_room == chunk->reject_count ? outcome->refused_count : 0;
    struct chunk_attempt last = *attempt;
    last.chunk = &rest;
    last.before = outcome->counts;
    return try_range(&last, (struct event_range){ 0, 0 }, true, &none, problem);
}

enum status import_store_chunk(struct pg *pg, struct arena *arena, struct arena *kept,
                               const struct decide_context *context,
                               const struct import_chunk *chunk, struct import_outcome *out_outcome,
                               struct problem *problem)
{
    struct chunk_attempt attempt = {
        .pg = pg, .arena = arena, .context = *context, .chunk = chunk
    };
    struct import_outcome outcome = { .refused_count = 0 };
    enum status status = try_range(&attempt, (struct event_range){ 0, chunk->event_count }, true,
                                   &outcome.counts, problem);
    if (is_of_data(status) && chunk->event_count > 0) {
        status = write_in_parts(&attempt, kept, &outcome, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    outcome.counts.lines = chunk->lane == 0 ? chunk->line_count : 0;
    outcome.counts.records = chunk->record_count;
    outcome.counts.rejected = (int64_t)(chunk->reject_count + outcome.refused_count);
    *out_outcome = outcome;
    return STATUS_OK;
}

/* --- what is in ------------------------------------------------------------- */

enum status import_store_ranges(struct pg *pg, struct arena *arena, struct id workspace_id,
                                struct id job_id, struct import_range **out_ranges,
                                size_t *out_count, struct import_counts *out_counts,
                                struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, arena);
    pg_put_id(&params, workspace_id);
    pg_put_id(&params, job_id);
    enum status status = pg_run(pg, arena, &import_chunk_list, &params, &result, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t count = pg_row_count(result);
    struct import_counts counts = { 0 };
    struct import_range *ranges = ARENA_NEW_ARRAY(arena, count + 1, struct import_range);
    if (ranges == NULL) {
        return problem_set(problem, STATUS_LIMIT, "internal", "no memory for the chunks");
    }
    for (size_t row = 0; row < count; row++) {
        ranges[row] = (struct import_range){
            .first_byte = pg_get_i64(result, row, 0),
            .end_byte = pg_get_i64(result, row, 1),
            .first_line = pg_get_i64(result, row, 2),
            .line_count = pg_get_i64(result, row, 3),
            .lanes = (unsigned)pg_get_i64(result, row, 4),
            .lanes_done = (unsigned)pg_get_i64(result, row, 5),
        };
        /* What concerns the whole chunk comes with its first lane. */
        counts.lines += (ranges[row].lanes_done & 1U) != 0 ? ranges[row].line_count : 0;
        counts.records += pg_get_i64(result, row, 6);
        counts.applied += pg_get_i64(result, row, 7);
        counts.duplicate += pg_get_i64(result, row, 8);
        counts.rejected += pg_get_i64(result, row, 9);
    }
    *out_ranges = ranges;
    *out_count = count;
    *out_counts = counts;
    return STATUS_OK;
}
