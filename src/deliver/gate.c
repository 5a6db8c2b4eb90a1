#include "deliver/gate.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/str.h"

/*
 * Claims must not bring what cannot be sent: copies for an endpoint that rests would
 * fill the memory of all, be given back, and be claimed again. The lanes are the
 * sending thread's own; this is what the ledger's may know of them.
 *
 * An entry lives while it holds copies or says something that is not the default.
 */

#define BUCKET_COUNT 4096u

struct entry {
    struct entry *next;
    struct id subscription_id;
    size_t held;
    size_t held_max; /* 0: the default */
    int64_t closed_until_ms;
};

struct gate {
    pthread_mutex_t lock;
    size_t held_max;
    struct entry *buckets[BUCKET_COUNT];
};

struct gate *gate_create(size_t held_max)
{
    struct gate *gate = calloc(1, sizeof(*gate));
    if (gate != NULL) {
        pthread_mutex_init(&gate->lock, NULL);
        gate->held_max = held_max;
    }
    return gate;
}

void gate_destroy(struct gate *gate)
{
    if (gate == NULL) {
        return;
    }
    for (size_t i = 0; i < BUCKET_COUNT; i++) {
        while (gate->buckets[i] != NULL) {
            struct entry *entry = gate->buckets[i];
            gate->buckets[i] = entry->next;
            free(entry);
        }
    }
    pthread_mutex_destroy(&gate->lock);
    free(gate);
}

/* The link to the entry, or to where it would be. */
static struct entry **find(struct gate *gate, struct id subscription_id)
{
    struct str bytes = { (const char *)subscription_id.bytes, sizeof(subscription_id.bytes) };
    struct entry **link = &gate->buckets[hash64(bytes, 0) % BUCKET_COUNT];
    while (*link != NULL && !id_equal((*link)->subscription_id, subscription_id)) {
        link = &(*link)->next;
    }
    return link;
}

/* Without memory nothing is known of an endpoint, which only costs work. */
static struct entry *find_or_add(struct gate *gate, struct id subscription_id)
{
    struct entry **link = find(gate, subscription_id);
    if (*link == NULL) {
        *link = calloc(1, sizeof(**link));
        if (*link != NULL) {
            (*link)->subscription_id = subscription_id;
        }
    }
    return *link;
}

static void drop_default(struct entry **link)
{
    struct entry *entry = *link;
    if (entry->held == 0 && entry->held_max == 0 && entry->closed_until_ms == 0) {
        *link = entry->next;
        free(entry);
    }
}

void gate_add(struct gate *gate, struct id subscription_id)
{
    pthread_mutex_lock(&gate->lock);
    struct entry *entry = find_or_add(gate, subscription_id);
    if (entry != NULL) {
        entry->held++;
    }
    pthread_mutex_unlock(&gate->lock);
}

void gate_remove(struct gate *gate, struct id subscription_id)
{
    pthread_mutex_lock(&gate->lock);
    struct entry **link = find(gate, subscription_id);
    if (*link != NULL) {
        (*link)->held -= (*link)->held > 0 ? 1 : 0;
        drop_default(link);
    }
    pthread_mutex_unlock(&gate->lock);
}

void gate_set(struct gate *gate, struct id subscription_id, size_t held_max,
              int64_t closed_until_ms)
{
    pthread_mutex_lock(&gate->lock);
    struct entry *entry = find_or_add(gate, subscription_id);
    if (entry != NULL) {
        entry->held_max = held_max == gate->held_max ? 0 : held_max;
        entry->closed_until_ms = closed_until_ms;
    }
    pthread_mutex_unlock(&gate->lock);
}

void gate_forget(struct gate *gate, struct id subscription_id)
{
    pthread_mutex_lock(&gate->lock);
    struct entry **link = find(gate, subscription_id);
    if (*link != NULL) {
        (*link)->held_max = 0;
        (*link)->closed_until_ms = 0;
        drop_default(link);
    }
    pthread_mutex_unlock(&gate->lock);
}

size_t gate_room(struct gate *gate, struct id subscription_id, int64_t now_ms)
{
    size_t room = gate->held_max;
    pthread_mutex_lock(&gate->lock);
    const struct entry *entry = *find(gate, subscription_id);
    if (entry != NULL) {
        size_t most = entry->held_max == 0 ? gate->held_max : entry->held_max;
        bool is_closed = now_ms < entry->closed_until_ms;
        room = is_closed || entry->held >= most ? 0 : most - entry->held;
    }
    pthread_mutex_unlock(&gate->lock);
    return room;
}
