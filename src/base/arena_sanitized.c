#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

/*
 * The arena under AddressSanitizer: each allocation is a malloc of exactly
 * its size, so that one byte too far is an error at that byte and not a
 * neighbour quietly changed.
 *
 * Invariant: it counts and refuses exactly as arena.c does (rounded sizes
 * against the limit), so a test of a limit means the same in both.
 */

enum {
    ARENA_ALIGNMENT = _Alignof(max_align_t),
    UNWRITTEN = 0xa5, /* whoever reads it before it is written finds no zero by luck */
};

struct arena_piece {
    struct arena_piece *next;
    void *bytes;
};

struct arena {
    size_t limit_bytes;
    size_t used_bytes;
    struct arena_piece *pieces;
    bool full;
};

static void *take(struct arena *arena, size_t size)
{
    struct arena_piece *piece = malloc(sizeof(*piece));
    if (piece == NULL) {
        return NULL;
    }
    /* malloc(0) may be NULL, which here would mean "full". */
    piece->bytes = malloc(size > 0 ? size : 1);
    if (piece->bytes == NULL) {
        free(piece);
        return NULL;
    }
    piece->next = arena->pieces;
    arena->pieces = piece;
    return piece->bytes;
}

struct arena *arena_create(size_t limit_bytes)
{
    struct arena *arena = calloc(1, sizeof(*arena));
    if (arena != NULL) {
        arena->limit_bytes = limit_bytes;
    }
    return arena;
}

void arena_destroy(struct arena *arena)
{
    if (arena == NULL) {
        return;
    }
    arena_reset(arena);
    free(arena);
}

void arena_destroy_at(struct arena **arena)
{
    arena_destroy(*arena);
    *arena = NULL;
}

void *arena_alloc_bytes(struct arena *arena, size_t size)
{
    assert(arena != NULL);
    size_t rounded = 0;
    if (arena->full || !size_add(size, ARENA_ALIGNMENT - 1, &rounded)) {
        arena->full = true;
        return NULL;
    }
    rounded &= ~(size_t)(ARENA_ALIGNMENT - 1);
    if (rounded > arena->limit_bytes - arena->used_bytes) {
        arena->full = true;
        return NULL;
    }
    void *taken = take(arena, size);
    if (taken == NULL) {
        arena->full = true;
        return NULL;
    }
    arena->used_bytes += rounded;
    memset(taken, UNWRITTEN, size);
    return taken;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    void *taken = arena_alloc_bytes(arena, size);
    if (taken != NULL) {
        memset(taken, 0, size);
    }
    return taken;
}

void *arena_alloc_array(struct arena *arena, size_t count, size_t size)
{
    size_t total = 0;
    return arena_alloc(arena, size_mul(count, size, &total) ? total : SIZE_MAX);
}

bool arena_is_full(const struct arena *arena)
{
    return arena->full;
}

size_t arena_used_bytes(const struct arena *arena)
{
    return arena->used_bytes;
}

void arena_reset(struct arena *arena)
{
    struct arena_piece *piece = arena->pieces;
    while (piece != NULL) {
        struct arena_piece *next = piece->next;
        free(piece->bytes);
        free(piece);
        piece = next;
    }
    arena->pieces = NULL;
    arena->used_bytes = 0;
    arena->full = false;
}
