#ifndef CORE_MASK_H
#define CORE_MASK_H

/*
 * What is left of personal data for who may not see it. Pure.
 *
 * Masked text still tells "is there one?" and "is it the one I have in mind?"
 * and no more: "j***@example.com", "+33*****78", "J***".
 */

#include <stdbool.h>

#include "base/arena.h"
#include "base/str.h"

enum mask_kind {
    MASK_NOT,
    MASK_NAME, /* a person's name: a word, or nothing where names are gone */
    MASK_WORD,
    MASK_PHONE,
    MASK_EMAIL,
    MASK_GONE,
};

/* Of what a member of this name holds, wherever it lies. */
enum mask_kind mask_kind_of(struct str key);

struct str mask_email(struct arena *arena, struct str email);
struct str mask_phone(struct arena *arena, struct str phone);
struct str mask_word(struct arena *arena, struct str word);
/* By the name of the identity kind: email and phone, else unchanged. */
struct str mask_identity(struct arena *arena, struct str kind, struct str value);

/* A JSON value that our adapters or our renderers wrote, known by `key` (may be
 * empty): members that hold personal data are masked, people's names are null, and so is
 * every text that looks like an address. Consent is told as it is. */
struct str mask_value(struct arena *arena, struct str key, struct str json);

#endif
