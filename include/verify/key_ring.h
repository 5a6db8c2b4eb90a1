#ifndef VERIFY_KEY_RING_H
#define VERIFY_KEY_RING_H

/*
 * Public keys that senders publish, by address.
 *
 * SNS, Adobe and Saleor sign with keys that stand at an address of theirs. The
 * hot path must not wait for another server, so it asks this ring; what is not
 * there (SIGNATURE_KEY_WANTED) somebody who may block fetches and puts in.
 * Which addresses are believed is not decided here: a platform's read_claim has
 * pinned the host before an address comes this far.
 *
 * Bounded: the oldest key makes room. A key is believed for KEY_RING_FRESH_MS;
 * a set of keys that lacks the id asked for counts as missing once it is older
 * than KEY_RING_RETRY_MS, so that a rotated key is found and an invented id does
 * not make us fetch for ever. Thread-safe.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"

enum {
    KEY_RING_KEYS_MAX = 64,
    KEY_RING_DOCUMENT_BYTES_MAX = 64 * 1024,
    KEY_RING_FRESH_MS = 24 * 3600 * 1000, /* Adobe: at most a day */
    KEY_RING_RETRY_MS = 60 * 1000,
};

struct key_ring;

NODISCARD struct key_ring *key_ring_create(void); /* NULL: no memory */
void key_ring_destroy(struct key_ring *ring);

/* A copy in the arena of the document that stands at `url`; false when it is not
 * here or too old. *out_age_ms: since it was fetched. */
bool key_ring_find(struct key_ring *ring, struct arena *arena, struct str url, int64_t now_ms,
                   struct str *out_document, int64_t *out_age_ms);

/* Replaces what was there. STATUS_LIMIT when it is too large. */
NODISCARD enum status key_ring_put(struct key_ring *ring, struct str url, struct str document,
                                   int64_t now_ms);

#endif
