#ifndef API_SECRET_MASK_H
#define API_SECRET_MASK_H

/*
 * What a call to a subscriber is shown with: nothing that would let the reader
 * make it himself. Pure.
 */

#include <stdbool.h>

#include "base/arena.h"
#include "base/str.h"

/* Is a header or parameter of this name a secret by its name? */
bool secret_is_named(struct str name);
/* Values of query parameters that are secrets become "***". */
struct str secret_mask_url(struct arena *arena, struct str url);
/* The same of an object of header values. */
struct str secret_mask_headers(struct arena *arena, struct str headers_json);
/* What an endpoint echoed of the secret values among these headers becomes "***". */
struct str secret_mask_echo(struct arena *arena, struct str text, struct str headers_json);

#endif
