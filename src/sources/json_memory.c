#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <jansson.h>

#include "json_memory_priv.h"
#include "sources/json_border.h"

/*
 * Where jansson's trees lie while they are read.
 *
 * Problem: an order of 1,300 bytes becomes some two hundred nodes, which live for
 * a moment and die together. malloc and free of them were a tenth of an HTTP
 * thread's time.
 *
 * Invariant: each thread that parses has one region, in which the nodes of a parse
 * lie one behind the other; it starts over when the last of them is freed. What
 * does not fit, and what is made beside a parse, is malloc's, and a pointer's
 * place says which of the two it is. A tree stays on the thread that parsed it:
 * none leaves the call that made it.
 *
 * Rejected: the request's arena (a tree is freed long before the request, and
 * jansson has no place to hand one down), and to let go of all nodes with the
 * root (adapters keep single ones by json_incref).
 */

enum {
    REGION_BYTES = 128 * 1024, /* an order of 5,000 bytes takes 60 KiB */
    REGION_ALIGNMENT = _Alignof(max_align_t),
};

/* AddressSanitizer would not see a node used after its end. */
#ifdef __SANITIZE_ADDRESS__
enum {
    IS_SANITIZED = 1
};
#else
enum {
    IS_SANITIZED = 0
};
#endif

struct region {
    size_t used_bytes;
    size_t live; /* nodes, and what they point to */
    bool is_parsing;
    _Alignas(max_align_t) uint8_t bytes[REGION_BYTES];
};

static pthread_key_t region_key;
static bool has_regions;
static _Thread_local struct region *region;

static void *region_alloc(size_t size)
{
    if (region == NULL || !region->is_parsing || size > REGION_BYTES) {
        return malloc(size);
    }
    size_t rounded = (size + REGION_ALIGNMENT - 1) & ~(size_t)(REGION_ALIGNMENT - 1);
    if (rounded > REGION_BYTES - region->used_bytes) {
        return malloc(size);
    }
    uint8_t *bytes = region->bytes + region->used_bytes;
    region->used_bytes += rounded;
    region->live++;
    return bytes;
}

static void region_free(void *pointer)
{
    uintptr_t at = (uintptr_t)pointer;
    uintptr_t begin = region != NULL ? (uintptr_t)region->bytes : 0;
    if (region == NULL || at < begin || at >= begin + REGION_BYTES) {
        free(pointer);
        return;
    }
    region->live--;
    if (region->live == 0) {
        region->used_bytes = 0;
    }
}

void border_begin(void)
{
    if (!IS_SANITIZED && !has_regions && pthread_key_create(&region_key, free) == 0) {
        has_regions = true;
        json_set_alloc_funcs(region_alloc, region_free);
    }
}

json_t *border_load(const char *bytes, size_t size, size_t flags, json_error_t *error)
{
    if (has_regions && region == NULL) {
        region = malloc(sizeof(*region));
        if (region != NULL) {
            region->used_bytes = 0;
            region->live = 0;
            (void)pthread_setspecific(region_key, region); /* else it stays with the process */
        }
    }
    if (region != NULL) {
        region->is_parsing = true;
    }
    json_t *root = json_loadb(bytes, size, flags, error);
    if (region != NULL) {
        region->is_parsing = false;
    }
    return root;
}
