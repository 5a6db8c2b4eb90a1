#include "deliver/queue.h"

#include <assert.h>
#include <stdlib.h>

#include "base/limits.h"
#include "deliver/pace.h"

/*
 * One endpoint never delays another.
 *
 * Each subscription has a lane. A lane stands in a ring exactly if it has
 * something waiting and may start it now; the ring's head starts one and goes to
 * the tail. So an endpoint with a million messages gets one turn in n, like the
 * one with a single message. A lane that may start only later (its rate is used up,
 * it asked for a rest, its breaker is open) stands in a heap by that instant.
 *
 *            add, end                      start, sweep
 *   RESTING ----------> READY (in a ring) ---------------> RESTING
 *      |  ^                 ^
 *      v  | sweep           | its instant
 *     LATER (in the heap) --'
 *
 * Two things are shared and could be eaten up by endpoints that do not answer.
 * Memory: a lane keeps at most lane_waiting_max, of a lane that never answered or is
 * silent only UNPROVEN_WAITING_MAX are worth keeping; the rest stays in the database.
 * Transfers: an endpoint that was silent when last asked is a suspect, suspects stand
 * in a ring of their own and have at most a quarter of all transfers together;
 * endpoints that never answered yet have another ring and at most half, so a thousand
 * that hang at first sight neither stop those that answer nor, with the total of 2048,
 * the other new ones. Rejected: new ones and suspects in one ring, where after a
 * restart every healthy endpoint waited for the timeouts of the dead.
 *
 * A lane's own share, `allowed`, is one at first and after silence, doubles with each
 * answer up to what last was too much (`ceiling`), and from there grows by one for
 * each round of answers (AIMD, as TCP); "too many requests" halves it, once for all
 * that was under way, and the rate with it.
 *
 * Invariants: a lane is in its ring, in the heap, or in neither, as lane_place alone
 * decides; a ring's `active` is the sum over its lanes.
 *
 * Rejected: one list in order of due time, where the head is always the
 * endpoint that is down.
 */

#define BUCKET_COUNT 4096u
#define UNPROVEN_WAITING_MAX 32u
/* What a rate lets go in this time is worth keeping. */
#define RATED_KEEP_MS 30000
/* A lane that is closed for less keeps what it has in memory. */
#define SHORT_REST_MS 5000
#define REST_MS_MAX (60 * 60 * INT64_C(1000))
#define NOT_IN_HEAP SIZE_MAX

enum lane_trust {
    LANE_NEW,
    LANE_SUSPECT,
    LANE_TRUSTED,
    LANE_TRUST_COUNT,
};

struct lane {
    struct lane *bucket_next;
    struct lane *ring_next;
    struct lane *ring_before;
    struct id subscription_id;
    enum lane_trust trust;
    bool in_ring;
    size_t heap_index;
    int64_t ready_ms; /* while in the heap */
    uint32_t active;
    uint32_t allowed;     /* now */
    uint32_t ceiling;     /* doubles up to here */
    uint32_t credit;      /* answers since it last grew by one */
    uint32_t concurrency; /* at most */
    int64_t halved_at_ms;
    int64_t rest_until_ms;
    struct breaker breaker;
    struct pace pace;
    size_t waiting;
    struct queued *first;
    struct queued *last;
    int64_t used_at_ms;
    void *data;
};

struct ring {
    struct lane *head; /* whose turn is next; circular */
    size_t active;     /* in all lanes of this trust, in the ring or not */
};

struct queue {
    struct queue_rules rules;
    size_t waiting;
    struct ring rings[LANE_TRUST_COUNT];
    enum lane_trust turn; /* of which ring */
    size_t lane_count;
    struct lane **heap; /* the least ready_ms first; room for all lanes */
    size_t heap_count;
    size_t heap_capacity;
    struct lane *buckets[BUCKET_COUNT];
};

/* Copies to `room` what is borrowed, and returns what is left of the room. */
static char *keep_text(char *room, struct str *text)
{
    if (text->size > 0) {
        memcpy(room, text->data, text->size);
    }
    text->data = room;
    return room + text->size;
}

/* Members first, for their alignment. */
struct queued *queued_create(const struct delivery *delivery)
{
    size_t member_size = 0;
    size_t name_size = 0;
    size_t text_size = 0;
    size_t size = 0;
    if (!size_mul(delivery->member_count, sizeof(*delivery->members), &member_size) ||
        !size_add(delivery->topic.size, delivery->target.size, &name_size) ||
        !size_add(name_size, delivery->body.size, &text_size) ||
        !size_add(text_size, member_size, &text_size) ||
        !size_add(text_size, sizeof(struct queued), &size)) {
        return NULL;
    }
    struct queued *queued = malloc(size);
    if (queued == NULL) {
        return NULL;
    }
    *queued = (struct queued){ .delivery = *delivery, .size_bytes = size };
    char *text = (char *)(queued + 1);
    queued->delivery.members = NULL;
    if (member_size > 0) {
        queued->delivery.members = memcpy(queued + 1, delivery->members, member_size);
        text += member_size;
    }
    text = keep_text(text, &queued->delivery.topic);
    text = keep_text(text, &queued->delivery.target);
    (void)keep_text(text, &queued->delivery.body);
    return queued;
}

void queued_destroy(struct queued *queued)
{
    free(queued);
}

/* --- the heap ------------------------------------------------------------- */

static void heap_put(struct queue *queue, size_t index, struct lane *lane)
{
    queue->heap[index] = lane;
    lane->heap_index = index;
}

static void heap_rise(struct queue *queue, struct lane *lane)
{
    size_t index = lane->heap_index;
    while (index > 0 && queue->heap[(index - 1) / 2]->ready_ms > lane->ready_ms) {
        heap_put(queue, index, queue->heap[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    heap_put(queue, index, lane);
}

static void heap_sink(struct queue *queue, struct lane *lane)
{
    size_t index = lane->heap_index;
    for (;;) {
        size_t child = 2 * index + 1;
        if (child + 1 < queue->heap_count &&
            queue->heap[child + 1]->ready_ms < queue->heap[child]->ready_ms) {
            child++;
        }
        if (child >= queue->heap_count || queue->heap[child]->ready_ms >= lane->ready_ms) {
            break;
        }
        heap_put(queue, index, queue->heap[child]);
        index = child;
    }
    heap_put(queue, index, lane);
}

static void heap_remove(struct queue *queue, struct lane *lane)
{
    size_t index = lane->heap_index;
    struct lane *last = queue->heap[--queue->heap_count];
    lane->heap_index = NOT_IN_HEAP;
    if (last != lane) {
        heap_put(queue, index, last);
        heap_sink(queue, last);
        heap_rise(queue, last);
    }
}

static void heap_set(struct queue *queue, struct lane *lane, int64_t ready_ms)
{
    if (lane->heap_index != NOT_IN_HEAP) {
        heap_remove(queue, lane);
    }
    lane->ready_ms = ready_ms;
    assert(queue->heap_count < queue->heap_capacity);
    heap_put(queue, queue->heap_count++, lane);
    heap_rise(queue, lane);
}

static bool heap_reserve(struct queue *queue, size_t count)
{
    if (count <= queue->heap_capacity) {
        return true;
    }
    size_t capacity = queue->heap_capacity == 0 ? 64 : queue->heap_capacity * 2;
    struct lane **heap = realloc(queue->heap, capacity * sizeof(struct lane *));
    if (heap == NULL) {
        return false;
    }
    queue->heap = heap;
    queue->heap_capacity = capacity;
    return true;
}

/* --- rings ---------------------------------------------------------------- */

static void ring_remove(struct queue *queue, struct lane *lane)
{
    struct ring *ring = &queue->rings[lane->trust];
    if (lane->ring_next == lane) {
        ring->head = NULL;
    } else {
        lane->ring_before->ring_next = lane->ring_next;
        lane->ring_next->ring_before = lane->ring_before;
        if (ring->head == lane) {
            ring->head = lane->ring_next;
        }
    }
    lane->in_ring = false;
}

static void ring_add_last(struct queue *queue, struct lane *lane)
{
    struct ring *ring = &queue->rings[lane->trust];
    if (ring->head == NULL) {
        lane->ring_next = lane;
        lane->ring_before = lane;
        ring->head = lane;
    } else {
        struct lane *head = ring->head;
        lane->ring_next = head;
        lane->ring_before = head->ring_before;
        head->ring_before->ring_next = lane;
        head->ring_before = lane;
    }
    lane->in_ring = true;
}

/* --- lanes ---------------------------------------------------------------- */

static uint32_t allowed_now(const struct lane *lane, int64_t now_ms)
{
    return breaker_state(&lane->breaker, now_ms) == BREAKER_CLOSED ? lane->allowed : 1;
}

static int64_t ready_ms(const struct lane *lane, int64_t now_ms)
{
    int64_t at_ms = pace_ready_ms(&lane->pace, now_ms);
    if (breaker_state(&lane->breaker, now_ms) == BREAKER_OPEN &&
        lane->breaker.open_until_ms > at_ms) {
        at_ms = lane->breaker.open_until_ms;
    }
    return lane->rest_until_ms > at_ms ? lane->rest_until_ms : at_ms;
}

static void lane_place(struct queue *queue, struct lane *lane, int64_t now_ms)
{
    bool wants = lane->waiting > 0 && lane->active < allowed_now(lane, now_ms);
    int64_t at_ms = wants ? ready_ms(lane, now_ms) : INT64_MAX;
    if (lane->in_ring && at_ms > now_ms) {
        ring_remove(queue, lane);
    }
    if (wants && at_ms > now_ms) {
        heap_set(queue, lane, at_ms);
    } else if (lane->heap_index != NOT_IN_HEAP) {
        heap_remove(queue, lane);
    }
    if (at_ms <= now_ms && !lane->in_ring) {
        ring_add_last(queue, lane);
    }
}

static struct lane **bucket_of(struct queue *queue, struct id subscription_id)
{
    struct str bytes = { (const char *)subscription_id.bytes, sizeof(subscription_id.bytes) };
    return &queue->buckets[hash64(bytes, 0) % BUCKET_COUNT];
}

static struct lane *lane_of(struct queue *queue, struct id subscription_id)
{
    struct lane **bucket = bucket_of(queue, subscription_id);
    for (struct lane *lane = *bucket; lane != NULL; lane = lane->bucket_next) {
        if (id_equal(lane->subscription_id, subscription_id)) {
            return lane;
        }
    }
    struct lane *lane =
        heap_reserve(queue, queue->lane_count + 1) ? calloc(1, sizeof(*lane)) : NULL;
    if (lane != NULL) {
        lane->subscription_id = subscription_id;
        lane->concurrency = LIMIT_ENDPOINT_CONCURRENCY;
        lane->ceiling = LIMIT_ENDPOINT_CONCURRENCY;
        lane->allowed = 1;
        lane->heap_index = NOT_IN_HEAP;
        lane->bucket_next = *bucket;
        *bucket = lane;
        queue->lane_count++;
    }
    return lane;
}

struct queue *queue_create(const struct queue_rules *rules)
{
    struct queue *queue = calloc(1, sizeof(*queue));
    if (queue != NULL) {
        queue->rules = *rules;
    }
    return queue;
}

static void lane_destroy(struct queue *queue, struct lane *lane)
{
    assert(lane->active == 0);
    if (lane->in_ring) {
        ring_remove(queue, lane);
    }
    if (lane->heap_index != NOT_IN_HEAP) {
        heap_remove(queue, lane);
    }
    if (lane->data != NULL) {
        queue->rules.lane_finish(lane->data);
    }
    while (lane->first != NULL) {
        struct queued *queued = lane->first;
        lane->first = queued->next;
        queued_destroy(queued);
    }
    pace_finish(&lane->pace);
    queue->lane_count--;
    free(lane);
}

void queue_destroy(struct queue *queue)
{
    if (queue == NULL) {
        return;
    }
    for (size_t i = 0; i < BUCKET_COUNT; i++) {
        while (queue->buckets[i] != NULL) {
            struct lane *lane = queue->buckets[i];
            queue->buckets[i] = lane->bucket_next;
            lane_destroy(queue, lane);
        }
    }
    free(queue->heap);
    free(queue);
}

bool queue_add(struct queue *queue, struct queued *queued, int64_t now_ms)
{
    struct lane *lane = lane_of(queue, queued->delivery.subscription_id);
    int64_t closed_until_ms = 0;
    if (lane == NULL || lane->waiting >= queue->rules.lane_waiting_max) {
        return false;
    }
    size_t worth = lane_worth_keeping(queue, lane, now_ms, &closed_until_ms);
    if (worth == 0 || (lane->trust == LANE_SUSPECT && lane->waiting >= worth)) {
        return false;
    }
    queued->next = NULL;
    if (lane->first == NULL) {
        lane->first = queued;
    } else {
        lane->last->next = queued;
    }
    lane->last = queued;
    lane->waiting++;
    lane->used_at_ms = now_ms;
    queue->waiting++;
    lane_place(queue, lane, now_ms);
    return true;
}

static bool has_transfers_left(const struct queue *queue, enum lane_trust trust)
{
    size_t active = queue->rings[trust].active;
    switch (trust) {
    case LANE_NEW:
        return active < queue->rules.active_max / 2;
    case LANE_SUSPECT:
        return active < queue->rules.active_max / 4;
    case LANE_TRUSTED:
    case LANE_TRUST_COUNT:
        break;
    }
    return true;
}

static struct lane *lane_whose_turn_it_is(struct queue *queue)
{
    if (queue_active(queue) >= queue->rules.active_max) {
        return NULL;
    }
    for (size_t i = 0; i < LANE_TRUST_COUNT; i++) {
        queue->turn = (queue->turn + 1) % LANE_TRUST_COUNT;
        if (queue->rings[queue->turn].head != NULL && has_transfers_left(queue, queue->turn)) {
            return queue->rings[queue->turn].head;
        }
    }
    return NULL;
}

struct queued *queue_start(struct queue *queue, int64_t now_ms, struct lane **out_lane)
{
    while (queue->heap_count > 0 && queue->heap[0]->ready_ms <= now_ms) {
        lane_place(queue, queue->heap[0], now_ms);
    }
    struct lane *lane = lane_whose_turn_it_is(queue);
    if (lane == NULL) {
        return NULL;
    }
    assert(lane->first != NULL);
    ring_remove(queue, lane);
    struct queued *queued = lane->first;
    lane->first = queued->next;
    queued->next = NULL;
    lane->waiting--;
    queue->waiting--;
    lane->active++;
    queue->rings[lane->trust].active++;
    pace_start(&lane->pace, now_ms);
    lane_place(queue, lane, now_ms);
    *out_lane = lane;
    return queued;
}

static void lane_set_trust(struct queue *queue, struct lane *lane, enum lane_trust trust)
{
    if (lane->trust == trust) {
        return;
    }
    if (lane->in_ring) {
        ring_remove(queue, lane);
    }
    queue->rings[lane->trust].active -= lane->active;
    lane->trust = trust;
    queue->rings[trust].active += lane->active;
}

static void lane_grow(struct lane *lane)
{
    uint32_t most = lane->ceiling < lane->concurrency ? lane->ceiling : lane->concurrency;
    if (lane->allowed < most) {
        lane->allowed = lane->allowed > most / 2 ? most : lane->allowed * 2;
        return;
    }
    lane->credit++;
    if (lane->credit >= lane->allowed) {
        lane->credit = 0;
        lane->allowed += lane->allowed < lane->concurrency ? 1 : 0;
        lane->ceiling = lane->allowed;
        pace_recover(&lane->pace);
    }
}

static void lane_slow_down(struct lane *lane, const struct lane_report *report, int64_t now_ms)
{
    int64_t rest_ms = report->rest_ms < REST_MS_MAX ? report->rest_ms : REST_MS_MAX;
    if (now_ms + rest_ms > lane->rest_until_ms) {
        lane->rest_until_ms = now_ms + rest_ms;
    }
    if (report->started_ms < lane->halved_at_ms) {
        return; /* was under way when it was halved */
    }
    lane->halved_at_ms = now_ms;
    lane->allowed = lane->allowed > 1 ? lane->allowed / 2 : 1;
    lane->ceiling = lane->allowed;
    lane->credit = 0;
    pace_halve(&lane->pace);
}

static void lane_learn(struct queue *queue, struct lane *lane, const struct lane_report *report,
                       int64_t now_ms)
{
    switch (report->news) {
    case LANE_UNTRIED:
        return;
    case LANE_HEARD:
        breaker_heal(&lane->breaker);
        lane_grow(lane);
        lane_set_trust(queue, lane, LANE_TRUSTED);
        return;
    case LANE_THROTTLED:
        breaker_heal(&lane->breaker);
        lane_slow_down(lane, report, now_ms);
        lane_set_trust(queue, lane, LANE_TRUSTED);
        return;
    case LANE_FAILED:
        lane_set_trust(queue, lane, LANE_TRUSTED);
        break;
    case LANE_SILENT:
        lane->allowed = 1;
        lane_set_trust(queue, lane, LANE_SUSPECT);
        break;
    }
    breaker_fail(&lane->breaker,
                 report->news == LANE_SILENT ? BREAKER_WEIGHT_SILENT : BREAKER_WEIGHT_FAILED,
                 now_ms, report->jitter);
    if (breaker_state(&lane->breaker, now_ms) != BREAKER_CLOSED) {
        lane->allowed = 1;
        lane_set_trust(queue, lane, LANE_SUSPECT);
    }
}

void queue_end(struct queue *queue, struct lane *lane, const struct lane_report *report,
               int64_t now_ms)
{
    assert(lane->active > 0);
    assert(queue->rings[lane->trust].active > 0);
    lane->active--;
    queue->rings[lane->trust].active--;
    lane->used_at_ms = now_ms;
    lane_learn(queue, lane, report, now_ms);
    lane_place(queue, lane, now_ms);
}

void queue_set_limits(struct queue *queue, struct lane *lane, const struct lane_limits *limits,
                      int64_t now_ms)
{
    assert(limits->concurrency > 0);
    if (lane->ceiling == lane->concurrency || lane->ceiling > limits->concurrency) {
        lane->ceiling = limits->concurrency;
    }
    lane->concurrency = limits->concurrency;
    if (lane->allowed > limits->concurrency) {
        lane->allowed = limits->concurrency;
    }
    bool is_other =
        lane->pace.count != limits->rate_count || lane->pace.per_ms != limits->rate_per_ms;
    /* Without memory it is as fast as it goes, within its concurrency. */
    (void)pace_set(&lane->pace, limits->rate_count, limits->rate_per_ms);
    for (uint32_t i = 0; is_other && i < lane->active; i++) {
        pace_start(&lane->pace, now_ms); /* what is under way counts */
    }
    lane_place(queue, lane, now_ms);
}

int64_t queue_wake_ms(const struct queue *queue)
{
    return queue->heap_count == 0 ? INT64_MAX : queue->heap[0]->ready_ms;
}

void queue_sweep_lane(struct queue *queue, struct lane *lane, int64_t now_ms, queue_keep_fn *keep,
                      void *context)
{
    struct queued **link = &lane->first;
    lane->last = NULL;
    while (*link != NULL) {
        struct queued *queued = *link;
        struct queued *next = queued->next;
        if (keep(context, queued)) {
            lane->last = queued;
            link = &queued->next;
        } else {
            *link = next;
            lane->waiting--;
            queue->waiting--;
        }
    }
    lane_place(queue, lane, now_ms);
}

void queue_sweep(struct queue *queue, int64_t now_ms, queue_keep_fn *keep, void *context)
{
    for (size_t i = 0; i < BUCKET_COUNT; i++) {
        for (struct lane *lane = queue->buckets[i]; lane != NULL; lane = lane->bucket_next) {
            if (lane->waiting > 0) {
                queue_sweep_lane(queue, lane, now_ms, keep, context);
            }
        }
    }
}

static bool is_unwell(const struct lane *lane)
{
    return lane->trust == LANE_SUSPECT || lane->ceiling < lane->concurrency;
}

static bool may_retire(const struct lane *lane, int64_t unused_since_ms)
{
    int64_t since_ms = is_unwell(lane) ? unused_since_ms - QUEUE_UNWELL_MS : unused_since_ms;
    return lane->active == 0 && lane->waiting == 0 && lane->used_at_ms < since_ms &&
           lane->rest_until_ms < unused_since_ms;
}

void queue_retire(struct queue *queue, int64_t unused_since_ms, queue_retired_fn *retired,
                  void *context)
{
    for (size_t i = 0; i < BUCKET_COUNT; i++) {
        struct lane **link = &queue->buckets[i];
        while (*link != NULL) {
            struct lane *lane = *link;
            if (!may_retire(lane, unused_since_ms)) {
                link = &lane->bucket_next;
                continue;
            }
            *link = lane->bucket_next;
            retired(context, lane->subscription_id);
            lane_destroy(queue, lane);
        }
    }
}

size_t queue_waiting(const struct queue *queue)
{
    return queue->waiting;
}

size_t queue_active(const struct queue *queue)
{
    size_t active = 0;
    for (size_t i = 0; i < LANE_TRUST_COUNT; i++) {
        active += queue->rings[i].active;
    }
    return active;
}

struct id lane_subscription(const struct lane *lane)
{
    return lane->subscription_id;
}

size_t lane_worth_keeping(const struct queue *queue, const struct lane *lane, int64_t now_ms,
                          int64_t *out_closed_until_ms)
{
    int64_t closed_ms = lane->rest_until_ms;
    size_t most = queue->rules.lane_waiting_max;
    *out_closed_until_ms = 0;
    switch (breaker_state(&lane->breaker, now_ms)) {
    case BREAKER_CLOSED:
        break;
    case BREAKER_OPEN:
        *out_closed_until_ms = lane->breaker.open_until_ms;
        return 0;
    case BREAKER_HALF_OPEN:
        return 1;
    }
    if (closed_ms > now_ms + SHORT_REST_MS) {
        *out_closed_until_ms = closed_ms - SHORT_REST_MS / 2;
        return 0;
    }
    if (lane->pace.count > 0) {
        int64_t rated = lane->pace.count * RATED_KEEP_MS / lane->pace.per_ms + lane->concurrency;
        most = (size_t)rated < most ? (size_t)rated : most;
    }
    return lane->trust == LANE_TRUSTED || most < UNPROVEN_WAITING_MAX ? most : UNPROVEN_WAITING_MAX;
}

void *lane_data(const struct lane *lane)
{
    return lane->data;
}

void lane_set_data(struct lane *lane, void *data)
{
    lane->data = data;
}
