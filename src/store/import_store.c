#include "store/import_store.h"

#include <assert.h>
#include <string.h>

#include "base/limits.h"
#include "silent_priv.h"

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
    struct silent silent;
    const struct import_chunk *chunk;
    struct import_counts before; /* of parts that were committed on their own */
};

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
    pg_params_init(&params, attempt->silent.arena);
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
    return pg_run(attempt->silent.pg, attempt->silent.arena, &import_reject_insert, &params, NULL,
                  problem);
}

/* Within the transaction that is open. *out_is_new: nobody had written it. */
static enum status insert_chunk(const struct chunk_attempt *attempt,
                                const struct import_counts *counts, bool *out_is_new,
                                struct problem *problem)
{
    const struct import_chunk *chunk = attempt->chunk;
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, attempt->silent.arena);
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
    enum status status = pg_run(attempt->silent.pg, attempt->silent.arena, &import_chunk_insert,
                                &params, &result, problem);
    if (status == STATUS_OK) {
        *out_is_new = pg_affected(result) > 0;
        status = insert_rejects(attempt, problem);
    }
    return status;
}

/* Writes a range; with `is_whole` the chunk's row too. */
static enum status write_range(struct chunk_attempt *attempt, struct event_range range,
                               bool is_whole, struct import_counts *out_counts,
                               struct problem *problem)
{
    struct import_counts counts = { 0 };
    bool is_new = true;
    arena_reset(attempt->silent.arena);
    *problem = (struct problem){ 0 };
    enum status status = silent_load(&attempt->silent, attempt->chunk->workspace_id,
                                     attempt->chunk->events + range.first, range.count, problem);
    if (status == STATUS_OK) {
        status = silent_decide(&attempt->silent, &counts.applied, problem);
    }
    counts.duplicate = (int64_t)range.count - counts.applied;
    if (status == STATUS_OK && is_whole) {
        status = insert_chunk(attempt, &counts, &is_new, problem);
    }
    if (status == STATUS_OK && is_new) {
        status = silent_commit(&attempt->silent, problem);
    }
    if (status != STATUS_OK || !is_new) {
        pg_reset(attempt->silent.pg);
    }
    if (status == STATUS_OK) {
        *out_counts = counts;
    }
    return status;
}

/* --- retry and bisect --------------------------------------------------------- */

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
        silent_pause(turn);
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
        .silent = { .pg = pg, .arena = arena, .context = *context },
        .chunk = chunk,
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
