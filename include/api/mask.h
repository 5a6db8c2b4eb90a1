#ifndef API_MASK_H
#define API_MASK_H

/*
 * What a key without the scope pii sees of documents as they came: core/mask.h,
 * for JSON that nobody has looked at yet. Pure.
 */

#include "base/arena.h"
#include "base/str.h"
#include "core/mask.h"

/* A JSON document with the members that hold personal data masked, wherever
 * they lie, and every text that looks like an address. "null" when it is not
 * JSON. */
struct str mask_json(struct arena *arena, struct str json);

#endif
