#include "app/endpoint_tally.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/instant.h"
#include "base/log.h"
#include "store/endpoint_hour.h"

/*
 * Problem: statistics of endpoints must cost a settlement nothing and grow with
 * nothing but the number of endpoints.
 *
 * So they are added up in memory, and once a second what is new goes into the row
 * of its hour, one upsert for all subscriptions of a workspace that were called. A crash loses a
 * second of counts, never a fact: the log of attempts has them.
 *
 * The table is open addressing over subscriptions. It is emptied when it is three
 * quarters full, which costs Prometheus its counters (a reset, which it
 * understands) and nobody else anything. It shows at most SHOWN_MAX of them, those
 * that were called first: series are what a Prometheus dies of.
 */

enum {
    SLOTS = 16384,
    FILLED_MAX = SLOTS / 4 * 3,
    SHOWN_MAX = 200,
    FLUSH_ARENA_BYTES = 4 * 1024 * 1024,
    FLUSHED_AT_ONCE = 2048,
};

struct slot {
    struct id workspace_id;
    struct id subscription_id; /* zero: free */
    int64_t hour_ms;
    bool is_new; /* `since_flush` holds something */
    struct endpoint_counts since_flush;
    struct endpoint_counts total; /* of this process */
    int64_t duration_ms;
    size_t rank; /* the how manieth to come */
};

struct endpoint_tally {
    pthread_mutex_t lock;
    size_t filled;
    struct slot slots[SLOTS];
};

struct endpoint_tally *endpoint_tally_create(void)
{
    struct endpoint_tally *tally = calloc(1, sizeof(*tally));
    if (tally != NULL) {
        pthread_mutex_init(&tally->lock, NULL);
    }
    return tally;
}

void endpoint_tally_destroy(struct endpoint_tally *tally)
{
    if (tally != NULL) {
        pthread_mutex_destroy(&tally->lock);
        free(tally);
    }
}

/* Under the lock. What was not flushed yet is lost with the rest: three quarters
 * of the table in one second does not happen. */
static void make_room(struct endpoint_tally *tally)
{
    if (tally->filled < FILLED_MAX) {
        return;
    }
    for (size_t i = 0; i < SLOTS; i++) {
        tally->slots[i] = (struct slot){ .hour_ms = 0 };
    }
    tally->filled = 0;
}

static struct slot *slot_of(struct endpoint_tally *tally, const struct attempt *attempt)
{
    make_room(tally);
    size_t at = (size_t)id_hash64(attempt->subscription_id, 0) % SLOTS;
    while (!id_is_zero(tally->slots[at].subscription_id)) {
        if (id_equal(tally->slots[at].subscription_id, attempt->subscription_id)) {
            return &tally->slots[at];
        }
        at = (at + 1) % SLOTS;
    }
    tally->slots[at].workspace_id = attempt->workspace_id;
    tally->slots[at].subscription_id = attempt->subscription_id;
    tally->slots[at].rank = tally->filled++;
    return &tally->slots[at];
}

/* NULL: it was no call. */
static int64_t *count_of(struct endpoint_counts *counts, enum attempt_outcome outcome)
{
    switch (outcome) {
    case ATTEMPT_DELIVERED:
        return &counts->delivered;
    case ATTEMPT_RETRY:
        return &counts->retry;
    case ATTEMPT_GAVE_UP:
        return &counts->gave_up;
    case ATTEMPT_GONE:
        return &counts->gone;
    case ATTEMPT_ABORTED:
        return &counts->aborted;
    case ATTEMPT_DROPPED:
        break;
    }
    return NULL;
}

static void count(struct endpoint_counts *counts, const struct attempt *attempt)
{
    int64_t *counter = count_of(counts, attempt->outcome);
    if (counter != NULL) {
        (*counter)++;
        counts->durations[latency_class(attempt->duration_ms)]++;
    }
}

void endpoint_tally_add(struct endpoint_tally *tally, const struct attempt *attempt)
{
    if (tally == NULL) {
        return;
    }
    pthread_mutex_lock(&tally->lock);
    struct slot *slot = slot_of(tally, attempt);
    int64_t hour_ms = attempt->at_ms / INSTANT_HOUR_MS * INSTANT_HOUR_MS;
    if (!slot->is_new || hour_ms > slot->hour_ms) {
        slot->hour_ms = hour_ms; /* at the turn, a second goes to the hour that begins */
    }
    slot->is_new = true;
    count(&slot->since_flush, attempt);
    count(&slot->total, attempt);
    slot->duration_ms += attempt->duration_ms;
    pthread_mutex_unlock(&tally->lock);
}

/* --- into the rows --------------------------------------------------------------- */

static size_t take(struct endpoint_tally *tally, struct endpoint_hour *deltas, size_t *cursor)
{
    size_t taken = 0;
    pthread_mutex_lock(&tally->lock);
    for (; *cursor < SLOTS && taken < FLUSHED_AT_ONCE; (*cursor)++) {
        struct slot *slot = &tally->slots[*cursor];
        if (!slot->is_new) {
            continue;
        }
        deltas[taken++] = (struct endpoint_hour){ .workspace_id = slot->workspace_id,
                                                  .subscription_id = slot->subscription_id,
                                                  .hour_ms = slot->hour_ms,
                                                  .counts = slot->since_flush };
        slot->since_flush = (struct endpoint_counts){ .delivered = 0 };
        slot->is_new = false;
    }
    pthread_mutex_unlock(&tally->lock);
    return taken;
}

static void put_back(struct endpoint_tally *tally, const struct endpoint_hour *delta)
{
    const struct attempt key = { .workspace_id = delta->workspace_id,
                                 .subscription_id = delta->subscription_id };
    pthread_mutex_lock(&tally->lock);
    struct slot *slot = slot_of(tally, &key);
    struct endpoint_counts *counts = &slot->since_flush;
    counts->delivered += delta->counts.delivered;
    counts->retry += delta->counts.retry;
    counts->gave_up += delta->counts.gave_up;
    counts->gone += delta->counts.gone;
    counts->aborted += delta->counts.aborted;
    for (size_t i = 0; i < LATENCY_CLASSES; i++) {
        counts->durations[i] += delta->counts.durations[i];
    }
    slot->hour_ms = slot->hour_ms > delta->hour_ms ? slot->hour_ms : delta->hour_ms;
    slot->is_new = true;
    pthread_mutex_unlock(&tally->lock);
}

static int compare_delta(const void *a, const void *b)
{
    const struct endpoint_hour *left = a;
    const struct endpoint_hour *right = b;
    int order = id_compare(left->workspace_id, right->workspace_id);
    return order != 0 ? order : id_compare(left->subscription_id, right->subscription_id);
}

/* One statement for each workspace. */
static void flush_some(struct endpoint_tally *tally, struct pg *pg, struct arena *arena,
                       struct endpoint_hour *deltas, size_t count)
{
    struct problem problem = { .detail = "" };
    enum status status = STATUS_OK;
    qsort(deltas, count, sizeof(*deltas), compare_delta);
    for (size_t from = 0; from < count;) {
        size_t to = from + 1;
        while (to < count && id_equal(deltas[to].workspace_id, deltas[from].workspace_id)) {
            to++;
        }
        if (status == STATUS_OK) {
            arena_reset(arena);
            status = endpoint_hour_add(pg, arena, &deltas[from], to - from, &problem);
        }
        for (; from < to; from++) {
            if (status != STATUS_OK) {
                put_back(tally, &deltas[from]);
            }
        }
    }
    if (status != STATUS_OK && status != STATUS_RETRY) {
        log_event(LOG_WARN, "statistics of endpoints not written", LOG_Z("detail", problem.detail));
    }
}

void endpoint_tally_flush(struct endpoint_tally *tally, struct pg *pg)
{
    struct endpoint_hour *deltas = calloc(FLUSHED_AT_ONCE, sizeof(*deltas));
    struct arena *arena = arena_create(FLUSH_ARENA_BYTES);
    size_t cursor = 0;
    if (deltas != NULL && arena != NULL) {
        for (size_t count = take(tally, deltas, &cursor); count > 0;
             count = take(tally, deltas, &cursor)) {
            flush_some(tally, pg, arena, deltas, count);
        }
    }
    arena_destroy(arena);
    free(deltas);
}

/* --- for Prometheus ---------------------------------------------------------------- */

typedef void write_slot_fn(struct buf *text, const char *label, const struct slot *slot);

static void write_attempts(struct buf *text, const char *label, const struct slot *slot)
{
    const struct {
        const char *outcome;
        int64_t count;
    } outcomes[] = {
        { "delivered", slot->total.delivered }, { "retry", slot->total.retry },
        { "gave_up", slot->total.gave_up },     { "gone", slot->total.gone },
        { "aborted", slot->total.aborted },
    };
    for (size_t i = 0; i < ARRAY_COUNT(outcomes); i++) {
        buf_printf(text, "shopbell_subscription_attempts_total{%s,outcome=\"%s\"} %lld\n", label,
                   outcomes[i].outcome, (long long)outcomes[i].count);
    }
}

static void write_seconds(struct buf *text, const char *label, const struct slot *slot)
{
    buf_printf(text, "shopbell_subscription_attempt_seconds_total{%s} %.9g\n", label,
               (double)slot->duration_ms / 1000.0);
}

static void write_family(struct endpoint_tally *tally, const struct registry_snapshot *snapshot,
                         struct buf *text, write_slot_fn *write_slot)
{
    pthread_mutex_lock(&tally->lock);
    for (size_t i = 0; i < SLOTS; i++) {
        const struct slot *slot = &tally->slots[i];
        bool is_shown = !id_is_zero(slot->subscription_id) && slot->rank < SHOWN_MAX;
        const struct registry_subscription *subscription =
            is_shown ? snapshot_subscription(snapshot, slot->subscription_id) : NULL;
        const struct registry_workspace *workspace =
            subscription != NULL ? snapshot_workspace(snapshot, slot->workspace_id) : NULL;
        char label[192];
        if (workspace != NULL) {
            (void)snprintf(label, sizeof(label), "workspace=\"%.*s\",subscription=\"%.*s\"",
                           STR_ARG(workspace->name), STR_ARG(subscription->name));
            write_slot(text, label, slot);
        }
    }
    pthread_mutex_unlock(&tally->lock);
}

void endpoint_tally_write(struct endpoint_tally *tally, const struct registry_snapshot *snapshot,
                          struct buf *text)
{
    buf_add_z(text, "# HELP shopbell_subscription_attempts_total Calls to one subscriber.\n"
                    "# TYPE shopbell_subscription_attempts_total counter\n");
    write_family(tally, snapshot, text, write_attempts);
    buf_add_z(text, "# HELP shopbell_subscription_attempt_seconds_total Time they took.\n"
                    "# TYPE shopbell_subscription_attempt_seconds_total counter\n");
    write_family(tally, snapshot, text, write_seconds);
    buf_add_z(text, "# HELP shopbell_workspace_held 1 while nothing is sent for it.\n"
                    "# TYPE shopbell_workspace_held gauge\n");
    for (size_t i = 0; snapshot_workspace_at(snapshot, i) != NULL; i++) {
        const struct registry_workspace *workspace = snapshot_workspace_at(snapshot, i);
        if (workspace->held) {
            buf_printf(text, "shopbell_workspace_held{workspace=\"%.*s\"} 1\n",
                       STR_ARG(workspace->name));
        }
    }
}
