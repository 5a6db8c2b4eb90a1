#ifndef API_MASK_H
#define API_MASK_H

/*
 * What a key without the scope pii sees of personal data. Pure.
 *
 * Masked text still tells "is there one?" and "is it the one I have in mind?"
 * and no more: "j***@example.com", "+33*******78", "J***".
 */

#include <stdbool.h>

#include "base/arena.h"
#include "base/str.h"

struct str mask_email(struct arena *arena, struct str email);
struct str mask_phone(struct arena *arena, struct str phone);
struct str mask_word(struct arena *arena, struct str word);
/* By the name of the identity kind: email and phone, else unchanged. */
struct str mask_identity(struct arena *arena, struct str kind, struct str value);
/* A JSON document with the members that hold personal data masked, wherever
 * they lie, and every text that looks like an address. "null" when it is not
 * JSON. */
struct str mask_json(struct arena *arena, struct str json);

#endif
