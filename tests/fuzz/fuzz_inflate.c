#include <stdint.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/limits.h"
#include "http/inflate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Any bytes as a compressed body: what comes out is within its bounds. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_create(64u * 1024 * 1024);
    struct str body = { NULL, 0 };
    if (arena == NULL) {
        abort();
    }
    enum inflate_verdict verdict = http_inflate(arena, (struct str){ (const char *)data, size },
                                                LIMIT_SDK_INFLATED_BYTES, &body);
    bool is_bounded =
        body.size <= LIMIT_SDK_INFLATED_BYTES &&
        (body.size <= LIMIT_INFLATE_FREE_BYTES || body.size / LIMIT_INFLATE_RATIO <= size);
    if (!is_bounded || (verdict != INFLATE_OK && body.size > 0)) {
        abort();
    }
    arena_destroy(arena);
    return 0;
}
