#include "deliver/queue.h"

#include <assert.h>
#include <stdlib.h>

#include "base/limits.h"

/*
 * One endpoint never delays another.
 *
 * Each subscription has a lane. A lane stands in a ring exactly if it has
 * something waiting and may start it; the ring's head starts one and goes to
 * the tail. So an endpoint with a million messages gets one turn in n, like the
 * one with a single message.
 *
 *            add, end                      start, sweep
 *   RESTING ----------> READY (in ring) ----------------> RESTING
 *
 * Two things are shared and could be eaten up by endpoints that do not answer.
 * Memory: a lane keeps at most lane_waiting_max; the rest stays in the database
 * until its lease runs out. Transfers: an endpoint that never answered yet, or
 * was silent when last asked, is a suspect; suspects stand in a ring of their
 * own and have at most half of all transfers together, so hundreds of dead
 * endpoints leave the other half to the living. And a lane's own share,
 * `allowed`, begins at ALLOWED_FIRST, falls to one after silence and doubles with
 * each answer up to its concurrency, so a dead endpoint holds one slot, not
 * eight.
 *
 * Invariants: in_ring == (waiting > 0 && active < allowed), made so by
 * lane_place alone; a ring's `active` is the sum over its lanes.
 *
 * Rejected: one list in order of due time, where the head is always the
 * endpoint that is down.
 */

#define BUCKET_COUNT 1024u
/* Two, not one, so that one slow answer does not hold up a new endpoint. */
#define ALLOWED_FIRST 2u

enum lane_trust {
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
    uint32_t active;
    uint32_t allowed;     /* now */
    uint32_t concurrency; /* at most */
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

struct queued *queued_create(const struct delivery *delivery)
{
    size_t name_size = 0;
    size_t text_size = 0;
    size_t size = 0;
    if (!size_add(delivery->topic.size, delivery->target.size, &name_size) ||
        !size_add(name_size, delivery->body.size, &text_size) ||
        !size_add(text_size, sizeof(struct queued), &size)) {
        return NULL;
    }
    struct queued *queued = malloc(size);
    if (queued == NULL) {
        return NULL;
    }
    *queued = (struct queued){ .delivery = *delivery, .size_bytes = size };
    char *text = (char *)(queued + 1);
    text = keep_text(text, &queued->delivery.topic);
    text = keep_text(text, &queued->delivery.target);
    (void)keep_text(text, &queued->delivery.body);
    return queued;
}

void queued_destroy(struct queued *queued)
{
    free(queued);
}

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

static void lane_place(struct queue *queue, struct lane *lane)
{
    bool ready = lane->waiting > 0 && lane->active < lane->allowed;
    if (ready && !lane->in_ring) {
        ring_add_last(queue, lane);
    } else if (!ready && lane->in_ring) {
        ring_remove(queue, lane);
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
    struct lane *lane = calloc(1, sizeof(*lane));
    if (lane != NULL) {
        lane->subscription_id = subscription_id;
        lane->concurrency = LIMIT_ENDPOINT_CONCURRENCY;
        lane->allowed = ALLOWED_FIRST;
        lane->bucket_next = *bucket;
        *bucket = lane;
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
    if (lane->data != NULL) {
        queue->rules.lane_finish(lane->data);
    }
    while (lane->first != NULL) {
        struct queued *queued = lane->first;
        lane->first = queued->next;
        queued_destroy(queued);
    }
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
    free(queue);
}

bool queue_add(struct queue *queue, struct queued *queued, int64_t now_ms)
{
    struct lane *lane = lane_of(queue, queued->delivery.subscription_id);
    if (lane == NULL || lane->waiting >= queue->rules.lane_waiting_max) {
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
    lane_place(queue, lane);
    return true;
}

static struct lane *lane_whose_turn_it_is(struct queue *queue)
{
    if (queue_active(queue) >= queue->rules.active_max) {
        return NULL;
    }
    queue->turn = queue->turn == LANE_TRUSTED ? LANE_SUSPECT : LANE_TRUSTED;
    struct lane *suspect = queue->rings[LANE_SUSPECT].head;
    struct lane *trusted = queue->rings[LANE_TRUSTED].head;
    if (queue->rings[LANE_SUSPECT].active >= queue->rules.active_max / 2) {
        suspect = NULL;
    }
    if (suspect == NULL || trusted == NULL) {
        return suspect == NULL ? trusted : suspect;
    }
    return queue->turn == LANE_TRUSTED ? trusted : suspect;
}

struct queued *queue_start(struct queue *queue, struct lane **out_lane)
{
    struct lane *lane = lane_whose_turn_it_is(queue);
    if (lane == NULL) {
        return NULL;
    }
    assert(lane->first != NULL);
    assert(lane->active < lane->allowed);
    ring_remove(queue, lane);
    struct queued *queued = lane->first;
    lane->first = queued->next;
    queued->next = NULL;
    lane->waiting--;
    queue->waiting--;
    lane->active++;
    queue->rings[lane->trust].active++;
    lane_place(queue, lane);
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

void queue_end(struct queue *queue, struct lane *lane, enum lane_news news, int64_t now_ms)
{
    assert(lane->active > 0);
    assert(queue->rings[lane->trust].active > 0);
    lane->active--;
    queue->rings[lane->trust].active--;
    lane->used_at_ms = now_ms;
    switch (news) {
    case LANE_UNTRIED:
        break;
    case LANE_HEARD:
        lane->allowed =
            lane->allowed > lane->concurrency / 2 ? lane->concurrency : lane->allowed * 2;
        lane_set_trust(queue, lane, LANE_TRUSTED);
        break;
    case LANE_SILENT:
        lane->allowed = 1;
        lane_set_trust(queue, lane, LANE_SUSPECT);
        break;
    }
    lane_place(queue, lane);
}

void queue_set_concurrency(struct queue *queue, struct lane *lane, uint32_t concurrency)
{
    assert(concurrency > 0);
    lane->concurrency = concurrency;
    if (lane->allowed > concurrency) {
        lane->allowed = concurrency;
    }
    lane_place(queue, lane);
}

void queue_sweep_lane(struct queue *queue, struct lane *lane, queue_keep_fn *keep, void *context)
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
    lane_place(queue, lane);
}

void queue_sweep(struct queue *queue, queue_keep_fn *keep, void *context)
{
    for (size_t i = 0; i < BUCKET_COUNT; i++) {
        for (struct lane *lane = queue->buckets[i]; lane != NULL; lane = lane->bucket_next) {
            queue_sweep_lane(queue, lane, keep, context);
        }
    }
}

static void bucket_retire(struct queue *queue, struct lane **link, int64_t unused_since_ms)
{
    while (*link != NULL) {
        struct lane *lane = *link;
        if (lane->active == 0 && lane->waiting == 0 && lane->used_at_ms < unused_since_ms) {
            *link = lane->bucket_next;
            lane_destroy(queue, lane);
        } else {
            link = &lane->bucket_next;
        }
    }
}

void queue_retire(struct queue *queue, int64_t unused_since_ms)
{
    for (size_t i = 0; i < BUCKET_COUNT; i++) {
        bucket_retire(queue, &queue->buckets[i], unused_since_ms);
    }
}

size_t queue_waiting(const struct queue *queue)
{
    return queue->waiting;
}

size_t queue_active(const struct queue *queue)
{
    return queue->rings[LANE_SUSPECT].active + queue->rings[LANE_TRUSTED].active;
}

void *lane_data(const struct lane *lane)
{
    return lane->data;
}

void lane_set_data(struct lane *lane, void *data)
{
    lane->data = data;
}
