#ifndef TESTS_SUPPORT_SHARED_PAYLOAD_H
#define TESTS_SUPPORT_SHARED_PAYLOAD_H

/*
 * Real payloads, when they are there. They are not ours to copy: they are read
 * from $SHOPBELL_SHARED, else from `shared` beside the checkout.
 */

#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"

enum {
    SHARED_PATH_SIZE = 1024
};

/* Where "shopify/refunds_create.json" would be. */
static inline void shared_payload_path(const char *name, char path[SHARED_PATH_SIZE])
{
    const char *shared = getenv("SHOPBELL_SHARED");
    if (shared != NULL) {
        (void)snprintf(path, SHARED_PATH_SIZE, "%s/payloads/%s", shared, name);
        return;
    }
    struct str here = str_from_z(__FILE__);
    while (here.size > 0 && here.data[here.size - 1] != '/') {
        here.size--;
    }
    (void)snprintf(path, SHARED_PATH_SIZE, "%.*s../../../shared/payloads/%s", STR_ARG(here), name);
}

/* A whole file, in the arena; false when it cannot be read. */
static inline bool shared_file_read(struct arena *arena, const char *path, struct str *out_bytes)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return false;
    }
    struct buf buf;
    char chunk[4096];
    buf_init(&buf, arena, 16u * 1024 * 1024);
    for (size_t got = fread(chunk, 1, sizeof(chunk), file); got > 0;
         got = fread(chunk, 1, sizeof(chunk), file)) {
        buf_add(&buf, chunk, got);
    }
    (void)fclose(file);
    *out_bytes = buf_str(&buf);
    return !buf.failed;
}

#endif
