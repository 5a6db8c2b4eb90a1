#include "verify/key_ring.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/*
 * A small table under a mutex: a shop uses one or two keys for months, so a
 * walk over 64 addresses costs less than the signature that follows. Documents are
 * kept, not keys: what a document is (PEM, a certificate, a key set) is for
 * public_key.c to say, which keeps those that it has read.
 */

struct published_key {
    char *url; /* NULL: free */
    size_t url_size;
    char *document;
    size_t document_size;
    int64_t fetched_at_ms;
};

struct key_ring {
    pthread_mutex_t mutex;
    struct published_key keys[KEY_RING_KEYS_MAX];
};

struct key_ring *key_ring_create(void)
{
    struct key_ring *ring = calloc(1, sizeof(*ring));
    if (ring != NULL) {
        pthread_mutex_init(&ring->mutex, NULL);
    }
    return ring;
}

static void forget(struct published_key *key)
{
    free(key->url);
    free(key->document);
    *key = (struct published_key){ .url = NULL };
}

void key_ring_destroy(struct key_ring *ring)
{
    if (ring == NULL) {
        return;
    }
    for (size_t i = 0; i < KEY_RING_KEYS_MAX; i++) {
        forget(&ring->keys[i]);
    }
    pthread_mutex_destroy(&ring->mutex);
    free(ring);
}

static struct published_key *find(struct key_ring *ring, struct str url)
{
    for (size_t i = 0; i < KEY_RING_KEYS_MAX; i++) {
        struct published_key *key = &ring->keys[i];
        if (key->url != NULL && str_equal((struct str){ key->url, key->url_size }, url)) {
            return key;
        }
    }
    return NULL;
}

bool key_ring_find(struct key_ring *ring, struct arena *arena, struct str url, int64_t now_ms,
                   struct str *out_document, int64_t *out_age_ms)
{
    bool found = false;
    pthread_mutex_lock(&ring->mutex);
    const struct published_key *key = find(ring, url);
    if (key != NULL && now_ms - key->fetched_at_ms < KEY_RING_FRESH_MS) {
        *out_document = str_dup(arena, (struct str){ key->document, key->document_size });
        *out_age_ms = now_ms - key->fetched_at_ms;
        found = out_document->size > 0;
    }
    pthread_mutex_unlock(&ring->mutex);
    return found;
}

static char *copy(struct str text)
{
    char *bytes = malloc(text.size + 1);
    if (bytes != NULL) {
        memcpy(bytes, text.size > 0 ? text.data : "", text.size);
        bytes[text.size] = '\0';
    }
    return bytes;
}

/* The place of this address, a free one, or the oldest one's. */
static struct published_key *room(struct key_ring *ring, struct str url)
{
    struct published_key *place = find(ring, url);
    for (size_t i = 0; place == NULL && i < KEY_RING_KEYS_MAX; i++) {
        place = ring->keys[i].url == NULL ? &ring->keys[i] : NULL;
    }
    if (place == NULL) {
        place = &ring->keys[0];
        for (size_t i = 1; i < KEY_RING_KEYS_MAX; i++) {
            place = ring->keys[i].fetched_at_ms < place->fetched_at_ms ? &ring->keys[i] : place;
        }
    }
    return place;
}

enum status key_ring_put(struct key_ring *ring, struct str url, struct str document, int64_t now_ms)
{
    if (document.size == 0 || document.size > KEY_RING_DOCUMENT_BYTES_MAX) {
        return STATUS_LIMIT;
    }
    struct published_key new = {
        .url = copy(url),
        .url_size = url.size,
        .document = copy(document),
        .document_size = document.size,
        .fetched_at_ms = now_ms,
    };
    if (new.url == NULL || new.document == NULL) {
        forget(&new);
        return STATUS_LIMIT;
    }
    pthread_mutex_lock(&ring->mutex);
    struct published_key *place = room(ring, url);
    forget(place);
    *place = new;
    pthread_mutex_unlock(&ring->mutex);
    return STATUS_OK;
}
