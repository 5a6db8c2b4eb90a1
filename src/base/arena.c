#include "base/arena.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/*
 * The arena of normal builds: a pointer that moves through blocks.
 *
 * Invariant: [free_begin, free_end) is unused and inside the newest shared
 * block; used_bytes is the sum of the rounded sizes handed out and never
 * exceeds limit_bytes. The first block is part of the arena itself, so most
 * requests cost one malloc: a webhook of 1.3 KB wants 10 KiB (with a first block
 * of 8, 512 in flight held 47 MiB, not 42). Later blocks double from 12 KiB to
 * 1.5 MiB: at most as much again is reserved as used, in a logarithmic number of
 * mallocs. What is larger than the next block gets one of its own and leaves the
 * current block in use. Rejected: a single mapping of the limit per request,
 * which costs two system calls and page faults for a few kilobytes.
 *
 * A loop's next turn mostly wants what this one had: a reset keeps the shared
 * blocks, in the order in which they will be asked for, up to 4 MiB. Given back
 * to the system and faulted in again they were a tenth of a writer's time.
 */

enum {
    ARENA_ALIGNMENT = _Alignof(max_align_t),
    ARENA_BLOCK_BYTES_MIN = 12 * 1024,
    ARENA_BLOCK_BYTES_MAX = 1024 * 1024,
    ARENA_KEPT_BYTES_MAX = 4 * 1024 * 1024,
};

struct arena_block {
    struct arena_block *next;
    size_t bytes_size;
    bool is_shared;
    _Alignas(max_align_t) uint8_t bytes[];
};

struct arena {
    size_t limit_bytes;
    size_t used_bytes;
    size_t block_bytes; /* of the next block */
    uint8_t *free_begin;
    uint8_t *free_end;
    struct arena_block *blocks; /* all but the first; the newest first */
    struct arena_block *kept;   /* shared ones of the turns before; the oldest first */
    bool full;
    _Alignas(max_align_t) uint8_t first[ARENA_BLOCK_BYTES_MIN];
};

static void start_over(struct arena *arena)
{
    arena->used_bytes = 0;
    arena->block_bytes = ARENA_BLOCK_BYTES_MIN;
    arena->free_begin = arena->first;
    arena->free_end = arena->first + sizeof(arena->first);
    arena->blocks = NULL;
    arena->full = false;
}

static void release_blocks(struct arena_block *block)
{
    while (block != NULL) {
        struct arena_block *next = block->next;
        free(block);
        block = next;
    }
}

/* Shared blocks go before those that were kept and not asked for, the oldest
 * first: the sizes then stand as the next turn asks for them. */
static void keep_blocks(struct arena *arena)
{
    while (arena->blocks != NULL) {
        struct arena_block *block = arena->blocks;
        arena->blocks = block->next;
        if (block->is_shared) {
            block->next = arena->kept;
            arena->kept = block;
        } else {
            free(block);
        }
    }
    size_t kept_bytes = 0;
    struct arena_block **end = &arena->kept;
    while (*end != NULL && kept_bytes + (*end)->bytes_size <= ARENA_KEPT_BYTES_MAX) {
        kept_bytes += (*end)->bytes_size;
        end = &(*end)->next;
    }
    release_blocks(*end);
    *end = NULL;
}

static uint8_t *add_block(struct arena *arena, size_t bytes, bool is_shared)
{
    size_t size = 0;
    struct arena_block *block = NULL;
    if (is_shared && arena->kept != NULL) {
        block = arena->kept;
        assert(block->bytes_size == bytes);
        arena->kept = block->next;
    } else if (size_add(bytes, sizeof(struct arena_block), &size)) {
        block = malloc(size);
    }
    if (block == NULL) {
        return NULL;
    }
    block->bytes_size = bytes;
    block->is_shared = is_shared;
    block->next = arena->blocks;
    arena->blocks = block;
    return block->bytes;
}

/* `size` is rounded; NULL when the system has no memory. */
static uint8_t *take(struct arena *arena, size_t size)
{
    if (size > arena->block_bytes) {
        return add_block(arena, size, false);
    }
    if ((size_t)(arena->free_end - arena->free_begin) < size) {
        uint8_t *bytes = add_block(arena, arena->block_bytes, true);
        if (bytes == NULL) {
            return NULL;
        }
        arena->free_begin = bytes;
        arena->free_end = bytes + arena->block_bytes;
        if (arena->block_bytes < ARENA_BLOCK_BYTES_MAX) {
            arena->block_bytes *= 2;
        }
    }
    uint8_t *taken = arena->free_begin;
    arena->free_begin += size;
    return taken;
}

struct arena *arena_create(size_t limit_bytes)
{
    struct arena *arena = malloc(sizeof(*arena));
    if (arena == NULL) {
        return NULL;
    }
    arena->limit_bytes = limit_bytes;
    arena->kept = NULL;
    start_over(arena);
    return arena;
}

void arena_destroy(struct arena *arena)
{
    if (arena == NULL) {
        return;
    }
    release_blocks(arena->blocks);
    release_blocks(arena->kept);
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
    uint8_t *taken = take(arena, rounded);
    if (taken == NULL) {
        arena->full = true;
        return NULL;
    }
    arena->used_bytes += rounded;
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
    keep_blocks(arena);
    start_over(arena);
}
