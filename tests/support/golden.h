#ifndef TESTS_SUPPORT_GOLDEN_H
#define TESTS_SUPPORT_GOLDEN_H

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

/*
 * Golden files are written by the programs that read them, when they are told:
 * SHOPBELL_GOLDEN_WRITE is the name of one without its end, or "all".
 */

static inline bool golden_is_wanted(const char *path)
{
    const char *wanted = getenv("SHOPBELL_GOLDEN_WRITE");
    const char *slash = strrchr(path, '/');
    const char *file = slash == NULL ? path : slash + 1;
    struct str stem = { file, strcspn(file, ".") };
    return wanted != NULL && (strcmp(wanted, "all") == 0 || str_equal_z(stem, wanted));
}

/* True: the file is to say this from now on, and does. */
static inline bool golden_rewrite(const char *path, struct str text)
{
    if (!golden_is_wanted(path)) {
        return false;
    }
    FILE *file = fopen(path, "wb");
    assert(file != NULL);
    size_t written = fwrite(text.data, 1, text.size, file);
    int closed = fclose(file);
    assert(written == text.size && closed == 0);
    printf("%s: written\n", path);
    return true;
}

#endif
