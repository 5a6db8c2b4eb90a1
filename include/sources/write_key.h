#ifndef SOURCES_WRITE_KEY_H
#define SOURCES_WRITE_KEY_H

/*
 * The public write key of a page's source: "sbw_" and 24 characters of base62
 * (contract 6).
 *
 * It is the source's id in another spelling, with a check, not a secret:
 * whoever reads the page has it, and it opens nothing but the way in with
 * TRUST_PUBLIC. So none is stored, and a request finds its source by id. One
 * that is abused is replaced by another source.
 */

#include <stdbool.h>

#include "base/id.h"
#include "base/str.h"

enum {
    WRITE_KEY_SIZE = 28
};

/* Writes WRITE_KEY_SIZE characters and NUL. */
void write_key_format(struct id source_id, char *text);
/* False when it is not one, or misspelt. */
bool write_key_parse(struct str text, struct id *out_source_id);

#endif
