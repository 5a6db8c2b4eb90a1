#ifndef BASE_ARENA_H
#define BASE_ARENA_H

/*
 * One bounded arena per unit of work: a request, a batch, a migration run.
 *
 * Invariant: everything a unit of work allocates is released in the one place
 * that destroys its arena, and the sum never exceeds the limit stated at
 * creation. A request that does not fit returns NULL and marks the arena full
 * for good (Varnish's workspace overflow), so a builder may be checked once
 * at its end. Rejected: a free list (nothing is freed early) and realloc in
 * place (buf.h grows by copying; blocks double, so that costs at most as much
 * again). Under AddressSanitizer each allocation is its own malloc, so every
 * overrun is seen.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/status.h"

struct arena;

/* NULL when the system has no memory. Not thread-safe: an arena belongs to
 * one thread at a time. */
struct arena *arena_create(size_t limit_bytes);
void arena_destroy(struct arena *arena);
void arena_destroy_at(struct arena **arena); /* for CLEANUP() */

/* Zeroed, aligned for any type. NULL once the limit is reached. */
void *arena_alloc(struct arena *arena, size_t size);
/* The same, not zeroed: for bytes that are written before they are read. */
void *arena_alloc_bytes(struct arena *arena, size_t size);
void *arena_alloc_array(struct arena *arena, size_t count, size_t size);

bool arena_is_full(const struct arena *arena);
size_t arena_used_bytes(const struct arena *arena);

/* Forgets everything but keeps a few MiB of blocks, for loops that reuse one
 * arena per turn. */
void arena_reset(struct arena *arena);

#define ARENA_NEW(arena, type) ((type *)arena_alloc(arena, sizeof(type)))
#define ARENA_NEW_ARRAY(arena, count, type) ((type *)arena_alloc_array(arena, count, sizeof(type)))

#endif
