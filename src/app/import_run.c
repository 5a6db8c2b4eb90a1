#include "app/import_run.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/thread.h"
#include "store/pg.h"

/*
 * One thread parses a file into chunks, two write them.
 *
 *   FREE --parse--> FILLED --each lane writes its part--> FREE
 *
 * Problem: a database on two cores is kept busy by two connections, not by one
 * that parses in between; and the file may be larger than the memory. But two
 * transactions that meet the same new customers make each other start anew, and
 * with whole chunks side by side each met the other's at every turn.
 *
 * Invariant: a record goes to the lane that its strongest identifier hashes to,
 * as in intake, so two lanes seldom want the same row. A chunk is a slot: its
 * bytes, its events (which borrow from them) and their arena; there are a few,
 * so memory does not grow with the file. Lanes commit each for itself; the store
 * remembers which lanes of which bytes are in. Rejected: to hand on the position
 * by the order of commits (the later one would hold its locks while it waits,
 * against all lock orders).
 *
 * The first failure stops everybody; what was committed stays.
 *
 * Measured on two cores with everything on them, Shopify's export with two rows
 * an order, six orders a customer, the shipped rules: 25,000 rows a second, 70 us
 * of processor time a row, two thirds of it PostgreSQL's. Rejected: COPY into a
 * staging table. Taking the rows in costs the server 17 % of its time; the rest
 * is indexes and profiles, which COPY would not spare, and stubs of profiles
 * would be written twice.
 */

enum {
    /* A lane's share takes some 200 ms: an intake batch that waits for one of its
     * profiles is far from its deadline. Twice as many take 4 % less time of the
     * processors (a customer is written once a chunk), and twice the wait. */
    CHUNK_EVENTS = 4096,
    CHUNK_RECORDS = 8192, /* most of them rejected, then */
    CHUNK_BYTES = 4 * 1024 * 1024,
    READ_BYTES = 512 * 1024,
    /* What is left unparsed at the end of a chunk and begins the next one. */
    CARRY_BYTES = IMPORT_RECORD_BYTES_MAX + READ_BYTES,
    SLOT_BYTES = CHUNK_BYTES + CARRY_BYTES,
    EVENTS_PER_RECORD_MAX = 16,
    EVENTS_MAX = CHUNK_EVENTS + EVENTS_PER_RECORD_MAX,
    /* Constant, so that a resumed import deals as the first one did. */
    LANES = 2,
    SLOTS = 4,
    PROGRESS_MS = 200,
    REFRESH_MS = 1000,
};

/* What one lane has of a chunk. */
struct share {
    struct slot *next; /* in the lane's queue */
    struct event *events[EVENTS_MAX];
    int64_t event_lines[EVENTS_MAX];
    struct import_chunk chunk;
};

struct slot {
    struct slot *next; /* among the free */
    char *bytes;
    size_t size; /* filled */
    size_t used; /* parsed */
    struct arena *arena;
    size_t event_count;
    unsigned lanes_done; /* bits: by a former run */
    size_t pending;      /* lanes that have not written their share */
    struct share shares[LANES];
    struct import_reject rejects[CHUNK_RECORDS];
    struct import_chunk chunk; /* what all shares have in common */
};

struct run {
    const struct import_run_config *config;

    /* The parsing thread's. */
    int64_t offset; /* of the next record */
    int64_t line;
    char *carry;
    size_t carry_size;
    bool is_eof;
    size_t next_range;
    size_t rejects_kept;
    int64_t refreshed_ms; /* monotonic */

    struct slot *slots;
    pthread_mutex_t lock;
    pthread_cond_t filled_cond;
    pthread_cond_t free_cond;
    struct slot *free;
    struct slot *filled[LANES]; /* waiting for each lane */
    size_t busy;                /* slots that are filled or being written */
    bool is_over;
    enum status status; /* the first failure */
    struct problem fault;
    struct import_counts counts;
    int64_t done_bytes;
};

struct worker {
    struct run *run;
    unsigned lane;
    pthread_t thread;
    bool is_started;
    struct pg *pg;
    struct arena *arena; /* of an attempt */
    struct arena *kept;  /* of a share */
};

/* --- parsing -------------------------------------------------------------- */

static void slot_begin(struct run *run, struct slot *slot)
{
    arena_reset(slot->arena);
    slot->size = run->carry_size;
    slot->used = 0;
    if (run->carry_size > 0) {
        memcpy(slot->bytes, run->carry, run->carry_size);
    }
    run->carry_size = 0;
    slot->chunk = (struct import_chunk){
        .workspace_id = run->config->workspace_id,
        .job_id = run->config->job_id,
        .first_byte = run->offset,
        .first_line = run->line,
        .rejects = slot->rejects,
    };
    slot->event_count = 0;
    for (size_t i = 0; i < LANES; i++) {
        slot->shares[i].chunk.event_count = 0;
    }
}

/* The strongest identifier decides; they are sorted so. */
static unsigned lane_of(const struct event *event)
{
    if (event->identifier_count == 0) {
        return 0;
    }
    const struct identifier *identifier = &event->identifiers[0];
    return (unsigned)(hash64(identifier->value, (uint64_t)identifier->kind) % LANES);
}

static void slot_end(struct run *run, struct slot *slot)
{
    size_t rest = slot->size - slot->used;
    assert(rest <= CARRY_BYTES);
    memcpy(run->carry, slot->bytes + slot->used, rest);
    run->carry_size = rest;
    slot->chunk.end_byte = run->offset;
    slot->chunk.line_count = run->line - slot->chunk.first_line;
    size_t room = IMPORT_REJECTS_MAX - run->rejects_kept;
    slot->chunk.reject_room = slot->chunk.reject_count < room ? slot->chunk.reject_count : room;
    run->rejects_kept += slot->chunk.reject_room;
    slot->chunk.lanes = 1U;
    for (unsigned i = 1; i < LANES; i++) {
        slot->chunk.lanes |= slot->shares[i].chunk.event_count > 0 ? 1U << i : 0;
    }
    for (unsigned i = 0; i < LANES; i++) {
        struct share *share = &slot->shares[i];
        size_t event_count = share->chunk.event_count;
        share->chunk = slot->chunk;
        share->chunk.lane = i;
        share->chunk.events = share->events;
        share->chunk.event_lines = share->event_lines;
        share->chunk.event_count = event_count;
        if (i > 0) {
            share->chunk.reject_count = share->chunk.reject_room = 0;
            share->chunk.record_count = 0;
        }
    }
}

static enum status read_more(struct run *run, struct slot *slot, struct problem *problem)
{
    size_t room = SLOT_BYTES - slot->size;
    int64_t offset = run->offset + (int64_t)(slot->size - slot->used);
    ssize_t got = run->config->read(run->config->user, offset, slot->bytes + slot->size,
                                    room < READ_BYTES ? room : READ_BYTES, problem);
    if (got < 0) {
        return STATUS_BROKEN;
    }
    run->is_eof = got == 0;
    slot->size += (size_t)got;
    return STATUS_OK;
}

static void reject(struct run *run, const struct import_reject *what)
{
    if (run->config->on_reject != NULL) {
        pthread_mutex_lock(&run->lock);
        run->config->on_reject(run->config->user, what);
        pthread_mutex_unlock(&run->lock);
    }
}

static void take_record(struct run *run, struct slot *slot, enum import_verdict verdict,
                        const struct import_record *record)
{
    struct import_chunk *chunk = &slot->chunk;
    if (verdict == IMPORT_RECORD) {
        assert(record->event_count <= EVENTS_PER_RECORD_MAX);
        for (size_t i = 0; i < record->event_count; i++) {
            struct share *share = &slot->shares[lane_of(&record->events[i])];
            share->event_lines[share->chunk.event_count] = run->line;
            share->events[share->chunk.event_count++] = &record->events[i];
        }
        slot->event_count += record->event_count;
    } else if (verdict == IMPORT_REJECTED) {
        struct import_reject *what = &slot->rejects[chunk->reject_count++];
        *what = (struct import_reject){
            .line = run->line + (int64_t)record->line,
            .column = record->column,
            .reason = record->reason,
        };
        reject(run, what);
    }
    chunk->record_count += verdict == IMPORT_SKIPPED ? 0 : 1;
    slot->used += record->used;
    run->offset += (int64_t)record->used;
    run->line += (int64_t)record->line_count;
}

static bool slot_is_full(const struct slot *slot)
{
    return slot->event_count >= CHUNK_EVENTS || slot->chunk.record_count >= CHUNK_RECORDS ||
           slot->used >= CHUNK_BYTES;
}

/* Another version may have dealt out larger chunks: what does not fit is read on
 * as a chunk of its own. */
static bool has_no_room(const struct slot *slot)
{
    return slot->event_count > EVENTS_MAX - EVENTS_PER_RECORD_MAX ||
           slot->chunk.record_count >= CHUNK_RECORDS;
}

/* The chunk of a former run that begins here; NULL: none does. */
static const struct import_range *range_here(const struct run *run)
{
    const struct import_range *range = &run->config->ranges[run->next_range];
    return run->next_range < run->config->range_count && range->first_byte <= run->offset ? range
                                                                                          : NULL;
}

static void skip_range(struct run *run, struct slot *slot)
{
    const struct import_range *range = &run->config->ranges[run->next_range++];
    if (range->end_byte > run->offset) {
        size_t ahead = slot->size - slot->used;
        size_t jump = (size_t)(range->end_byte - run->offset);
        slot->used += jump < ahead ? jump : ahead;
        run->offset = range->end_byte;
        run->line = range->first_line + range->line_count;
        run->is_eof = false;
    }
    if (slot->used == slot->size) {
        slot->used = slot->size = 0;
    }
    slot->chunk.first_byte = run->offset;
    slot->chunk.first_line = run->line;
}

/* *out_is_last: the file ends with this chunk, which may be empty. */
static enum status slot_fill(struct run *run, struct slot *slot, bool *out_is_last,
                             struct problem *problem)
{
    int64_t end_byte = INT64_MAX;
    slot_begin(run, slot);
    slot->lanes_done = 0;
    *out_is_last = false;
    while (run->offset < end_byte && !has_no_room(slot) &&
           !(end_byte == INT64_MAX && slot_is_full(slot))) {
        const struct import_range *range = end_byte == INT64_MAX ? range_here(run) : NULL;
        if (range != NULL && slot->used > 0 && slot->chunk.first_byte < run->offset) {
            break; /* a chunk has no holes */
        }
        if (range != NULL && range->lanes_done == range->lanes) {
            skip_range(run, slot);
            continue;
        }
        if (range != NULL) {
            /* The very same chunk again, for the lanes that had not come to it. */
            slot->lanes_done = range->lanes_done;
            end_byte = range->end_byte;
            run->next_range++;
        }
        struct str input = { slot->bytes + slot->used, slot->size - slot->used };
        struct import_record record = { .used = 0 };
        enum import_verdict verdict = IMPORT_MORE;
        if (input.size > 0 || run->is_eof) {
            verdict = import_next(run->config->reader, slot->arena, input, run->is_eof, &record);
        }
        if (verdict == IMPORT_END) {
            *out_is_last = true;
            break;
        }
        if (verdict == IMPORT_FULL) {
            if (slot->chunk.record_count == 0) {
                return problem_set(problem, STATUS_BROKEN, "internal",
                                   "line %lld needs more memory than a chunk may have",
                                   (long long)run->line);
            }
            break;
        }
        if (verdict != IMPORT_MORE) {
            take_record(run, slot, verdict, &record);
            continue;
        }
        if (slot->size == SLOT_BYTES) {
            break;
        }
        enum status status = read_more(run, slot, problem);
        if (status != STATUS_OK) {
            return status;
        }
    }
    slot_end(run, slot);
    return STATUS_OK;
}

/* --- writing -------------------------------------------------------------- */

static void count_in(struct run *run, const struct import_counts *counts, int64_t bytes)
{
    run->counts.lines += counts->lines;
    run->counts.records += counts->records;
    run->counts.applied += counts->applied;
    run->counts.duplicate += counts->duplicate;
    run->counts.rejected += counts->rejected;
    run->done_bytes += bytes;
}

static void fail(struct run *run, enum status status, const struct problem *problem)
{
    if (run->status == STATUS_OK) {
        run->status = status;
        run->fault = *problem;
    }
}

static struct slot *take_filled(struct run *run, unsigned lane)
{
    pthread_mutex_lock(&run->lock);
    while (run->filled[lane] == NULL && !run->is_over) {
        pthread_cond_wait(&run->filled_cond, &run->lock);
    }
    struct slot *slot = run->status == STATUS_OK ? run->filled[lane] : NULL;
    if (slot != NULL) {
        run->filled[lane] = slot->shares[lane].next;
    }
    pthread_mutex_unlock(&run->lock);
    return slot;
}

static void give_back(struct run *run, struct slot *slot)
{
    slot->next = run->free;
    run->free = slot;
    pthread_cond_signal(&run->free_cond);
}

/* By the rules that are in force now. */
static enum status store_share(const struct worker *worker, const struct import_chunk *chunk,
                               struct import_outcome *out_outcome, struct problem *problem)
{
    struct registry *registry = worker->run->config->registry;
    struct decide_context context;
    const struct registry_snapshot *snapshot = registry_hold(registry);
    const struct registry_workspace *workspace = snapshot_workspace(snapshot, chunk->workspace_id);
    enum status status = STATUS_BROKEN;
    if (workspace == NULL) {
        (void)problem_set(problem, STATUS_BROKEN, "internal", "the workspace is not configured");
    } else {
        registry_decide_context(workspace, &context);
        context.is_import = true;
        status = import_store_chunk(worker->pg, worker->arena, worker->kept, &context, chunk,
                                    out_outcome, problem);
    }
    registry_release(registry, snapshot);
    return status;
}

static void write_share(struct worker *worker, struct slot *slot)
{
    struct run *run = worker->run;
    const struct import_chunk *chunk = &slot->shares[worker->lane].chunk;
    struct import_outcome outcome = { .refused_count = 0 };
    struct problem problem = { .type = "" };
    arena_reset(worker->kept);
    enum status status = store_share(worker, chunk, &outcome, &problem);
    for (size_t i = 0; i < outcome.refused_count; i++) {
        reject(run, &outcome.refused[i]);
    }
    pthread_mutex_lock(&run->lock);
    if (status == STATUS_OK) {
        count_in(run, &outcome.counts, chunk->lane == 0 ? chunk->end_byte - chunk->first_byte : 0);
    } else {
        fail(run, status, &problem);
    }
    slot->pending--;
    if (slot->pending == 0) {
        run->busy--;
        give_back(run, slot);
    }
    pthread_mutex_unlock(&run->lock);
}

static void *worker_run(void *user)
{
    struct worker *worker = user;
    for (struct slot *slot = take_filled(worker->run, worker->lane); slot != NULL;
         slot = take_filled(worker->run, worker->lane)) {
        write_share(worker, slot);
    }
    return NULL;
}

/* --- the whole ------------------------------------------------------------ */

/* Waits a little for a slot, or with `for_all` until none is busy. NULL: not
 * yet, or nothing to wait for. */
static struct slot *await_slot(struct run *run, bool for_all)
{
    struct timespec until = thread_deadline(PROGRESS_MS);
    pthread_mutex_lock(&run->lock);
    bool in_time = true;
    while (in_time && run->status == STATUS_OK && (for_all ? run->busy > 0 : run->free == NULL)) {
        in_time = pthread_cond_timedwait(&run->free_cond, &run->lock, &until) == 0;
    }
    struct slot *slot = NULL;
    if (!for_all && run->status == STATUS_OK && run->free != NULL) {
        slot = run->free;
        run->free = slot->next;
    }
    pthread_mutex_unlock(&run->lock);
    return slot;
}

static void hand_over(struct run *run, struct slot *slot)
{
    unsigned wanted = slot->chunk.lanes & ~slot->lanes_done;
    slot->pending = 0;
    pthread_mutex_lock(&run->lock);
    for (unsigned i = 0; i < LANES; i++) {
        if ((wanted & (1U << i)) == 0) {
            continue;
        }
        struct slot **tail = &run->filled[i];
        while (*tail != NULL) {
            tail = &(*tail)->shares[i].next;
        }
        *tail = slot;
        slot->shares[i].next = NULL;
        slot->pending++;
    }
    run->busy += slot->pending > 0 ? 1 : 0;
    if (slot->pending == 0) {
        give_back(run, slot);
    }
    pthread_cond_broadcast(&run->filled_cond);
    pthread_mutex_unlock(&run->lock);
}

static void put_back(struct run *run, struct slot *slot)
{
    pthread_mutex_lock(&run->lock);
    give_back(run, slot);
    pthread_mutex_unlock(&run->lock);
}

/* A dry run's chunk is counted where the store would have. */
static void count_dry(struct run *run, const struct slot *slot)
{
    const struct import_chunk *chunk = &slot->chunk;
    struct import_counts counts = {
        .lines = chunk->line_count,
        .records = chunk->record_count,
        .applied = (int64_t)slot->event_count,
        .rejected = (int64_t)chunk->reject_count,
    };
    count_in(run, &counts, chunk->end_byte - chunk->first_byte);
}

/* A refresh that fails is tried again; the writers see for themselves whether
 * the database is away. */
static void refresh(struct run *run)
{
    struct problem ignored = { .detail = "" };
    int64_t now_ms = clock_monotonic_ms();
    if (!run->config->is_dry && now_ms - run->refreshed_ms >= REFRESH_MS) {
        run->refreshed_ms = now_ms;
        if (registry_refresh(run->config->registry, false, &ignored) != STATUS_OK) {
            run->refreshed_ms = now_ms - REFRESH_MS / 2;
        }
    }
}

static bool report(struct run *run)
{
    refresh(run);
    pthread_mutex_lock(&run->lock);
    struct import_counts counts = run->counts;
    int64_t done_bytes = run->done_bytes;
    enum status status = run->status;
    pthread_mutex_unlock(&run->lock);
    if (status != STATUS_OK) {
        return false;
    }
    if (run->config->on_progress == NULL ||
        run->config->on_progress(run->config->user, done_bytes, &counts)) {
        return true;
    }
    struct problem problem;
    (void)problem_set(&problem, STATUS_DENIED, "", "stopped");
    pthread_mutex_lock(&run->lock);
    fail(run, STATUS_DENIED, &problem);
    pthread_mutex_unlock(&run->lock);
    return false;
}

static bool is_busy(struct run *run)
{
    pthread_mutex_lock(&run->lock);
    bool busy = run->busy > 0;
    pthread_mutex_unlock(&run->lock);
    return busy;
}

static void feed(struct run *run)
{
    bool is_last = false;
    while (!is_last && report(run)) {
        struct slot *slot = await_slot(run, false);
        if (slot == NULL) {
            continue;
        }
        struct problem problem = { .type = "" };
        enum status status = slot_fill(run, slot, &is_last, &problem);
        if (status != STATUS_OK) {
            pthread_mutex_lock(&run->lock);
            fail(run, status, &problem);
            pthread_mutex_unlock(&run->lock);
        }
        if (status == STATUS_OK && !run->config->is_dry &&
            slot->chunk.end_byte > slot->chunk.first_byte) {
            hand_over(run, slot);
            continue;
        }
        if (status == STATUS_OK && run->config->is_dry) {
            count_dry(run, slot);
        }
        put_back(run, slot);
    }
    while (is_busy(run) && report(run)) {
        (void)await_slot(run, true);
    }
}

static enum status worker_open(struct worker *worker, struct run *run, struct problem *problem)
{
    worker->run = run;
    worker->arena = arena_create(LIMIT_ARENA_BATCH_BYTES);
    worker->kept = arena_create(LIMIT_ARENA_BATCH_BYTES);
    if (worker->arena == NULL || worker->kept == NULL ||
        pg_open(run->config->database_url, true, &worker->pg) != STATUS_OK) {
        return problem_set(problem, STATUS_BROKEN, "internal", "no memory for a connection");
    }
    enum status status = pg_connect(worker->pg, problem);
    /* What is not on disk yet at a power cut is written again by the resumed
     * import: chunk and chunk's row go together. The job's end is synchronous. */
    return status == STATUS_OK ? pg_script(worker->pg, "SET synchronous_commit = off", problem)
                               : status;
}

static bool slots_create(struct run *run)
{
    run->carry = malloc(CARRY_BYTES);
    run->slots = calloc(SLOTS, sizeof(*run->slots));
    bool is_good = run->carry != NULL && run->slots != NULL;
    for (size_t i = 0; i < SLOTS && is_good; i++) {
        struct slot *slot = &run->slots[i];
        slot->bytes = malloc(SLOT_BYTES);
        slot->arena = arena_create(LIMIT_ARENA_REQUEST_BYTES);
        slot->next = run->free;
        run->free = slot;
        is_good = slot->bytes != NULL && slot->arena != NULL;
    }
    return is_good;
}

static void slots_destroy(struct run *run)
{
    for (size_t i = 0; i < SLOTS && run->slots != NULL; i++) {
        free(run->slots[i].bytes);
        arena_destroy(run->slots[i].arena);
    }
    free(run->slots);
    free(run->carry);
}

static void workers_end(struct run *run, struct worker *workers, size_t count)
{
    pthread_mutex_lock(&run->lock);
    run->is_over = true;
    pthread_cond_broadcast(&run->filled_cond);
    pthread_mutex_unlock(&run->lock);
    for (size_t i = 0; i < count; i++) {
        if (workers[i].is_started) {
            pthread_join(workers[i].thread, NULL);
        }
        pg_close(workers[i].pg);
        arena_destroy(workers[i].arena);
        arena_destroy(workers[i].kept);
    }
}

enum status import_run(const struct import_run_config *config, struct import_counts *out_counts,
                       struct problem *problem)
{
    size_t writers = config->is_dry ? 0 : LANES;
    struct worker workers[LANES] = { { .run = NULL } };
    struct run run = {
        .config = config,
        .offset = config->first_byte,
        .line = config->first_line,
        .counts = config->counts,
        .rejects_kept = config->counts.rejected < IMPORT_REJECTS_MAX
                            ? (size_t)config->counts.rejected
                            : IMPORT_REJECTS_MAX,
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .filled_cond = PTHREAD_COND_INITIALIZER,
        .free_cond = PTHREAD_COND_INITIALIZER,
    };
    run.done_bytes = config->first_byte;
    for (size_t i = 0; i < config->range_count; i++) {
        const struct import_range *range = &config->ranges[i];
        run.done_bytes += (range->lanes_done & 1U) != 0 ? range->end_byte - range->first_byte : 0;
    }
    enum status status = STATUS_OK;
    if (!slots_create(&run)) {
        status = problem_set(&run.fault, STATUS_BROKEN, "internal", "no memory for the file");
    }
    for (size_t i = 0; i < writers && status == STATUS_OK; i++) {
        workers[i].lane = (unsigned)i;
        status = worker_open(&workers[i], &run, &run.fault);
        workers[i].is_started =
            status == STATUS_OK && thread_start(&workers[i].thread, worker_run, &workers[i]);
        if (status == STATUS_OK && !workers[i].is_started) {
            status = problem_set(&run.fault, STATUS_BROKEN, "internal", "no thread for a writer");
        }
    }
    if (status == STATUS_OK) {
        feed(&run);
    } else {
        pthread_mutex_lock(&run.lock);
        run.status = status;
        pthread_mutex_unlock(&run.lock);
    }
    workers_end(&run, workers, writers);
    slots_destroy(&run);
    *out_counts = run.counts;
    if (run.status != STATUS_OK && problem != NULL) {
        *problem = run.fault;
    }
    return run.status;
}
