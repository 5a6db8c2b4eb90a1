#include "core/event/event.h"

/*
 * The id of a fact and the clamp of its time.
 *
 * An event's id is a hash of where it came from and what its sender calls it,
 * never of when it was computed: the same webhook seen again in a month, by
 * another process, is the same event (correctness 4 and 6). A random id was
 * rejected because only a receipt would then stand against a second effect,
 * and receipts are deleted in time.
 */

struct id event_id(struct id source_id, struct str dedup_key, struct str part)
{
    struct id_hash hash;
    id_hash_begin(&hash, "event");
    id_hash_add_id(&hash, source_id);
    id_hash_add(&hash, dedup_key);
    id_hash_add(&hash, part);
    return id_hash_end(&hash);
}

int64_t event_clamp_instant(int64_t claimed_ms, int64_t received_at_ms)
{
    if (claimed_ms > received_at_ms) {
        claimed_ms = received_at_ms;
    }
    return claimed_ms < INSTANT_FIRST_MS ? INSTANT_FIRST_MS : claimed_ms;
}
