#ifndef SOURCES_JSON_BORDER_H
#define SOURCES_JSON_BORDER_H

/*
 * The border at which foreign JSON becomes plain values. Strict where a lax
 * reader would disagree with somebody else's (duplicate names, depth, NUL,
 * invalid UTF-8), forgiving where shops are known to vary (null, "", [] and {}
 * all mean "nothing"; ids and money come as text or as numbers).
 *
 * The tree is the caller's (border_free, or CLEANUP(border_free_at)). A struct
 * str that a getter returns is borrowed from the tree unless the getter takes
 * an arena. All getters take a NULL object and then find nothing. Thread-safe.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"

/* Once, before there are threads: trees then lie in a region of their thread, and
 * must be freed on it. Without this call they are malloc's. */
void border_begin(void);

/* NULL with a problem (type "malformed-json") when the bytes are not one JSON
 * object or array, and nothing else. */
json_t *border_parse(struct str bytes, struct problem *problem);
/* The same, when more may follow: *out_used says how many bytes it took. */
json_t *border_parse_first(struct str bytes, size_t *out_used, struct problem *problem);
void border_free(json_t *root);
void border_free_at(json_t **root); /* for CLEANUP() */

/* Nested deeper than LIMIT_JSON_DEPTH? Without recursion: jansson recurses. */
bool border_is_too_deep(struct str bytes);

/* NULL when absent, null, or of another type; an empty object or array is
 * NULL too, because PHP cannot tell them apart and shops send either. */
json_t *border_object(const json_t *object, const char *key);
json_t *border_array(const json_t *object, const char *key);

/* Trimmed text; empty when absent, null, "" or not a string. */
struct str border_text(const json_t *object, const char *key);
/* A string, an integer, or a boolean's word, as text. Reals are no text. */
struct str border_scalar(struct arena *arena, const json_t *object, const char *key);
/* An id: exact to the last digit, from an integer or a string. Empty when
 * absent, null, "", 0, or a real (which has lost digits already). */
struct str border_id(struct arena *arena, const json_t *object, const char *key);
struct str border_id_of(struct arena *arena, const json_t *value);

bool border_is_true(const json_t *object, const char *key);
/* False when there is no whole number (text of digits counts). */
bool border_integer(const json_t *object, const char *key, int64_t *out_value);
/* Money in minor units of `currency`: text or integer exactly; a real is read
 * as the decimal text of at most 15 digits that it came from, then rounded
 * half away from zero to the currency's decimals. */
/* Amounts beyond BORDER_MONEY_MINOR_MAX (ten trillion with cents) are nobody's
 * purchase; refusing them keeps every sum downstream far from overflow. */
#define BORDER_MONEY_MINOR_MAX INT64_C(1000000000000000)
bool border_money(const json_t *object, const char *key, struct str currency, int64_t *out_minor);
bool border_money_of(const json_t *value, struct str currency, int64_t *out_minor);

/* The sum, held within +-BORDER_MONEY_MINOR_MAX. */
int64_t border_money_add(int64_t a_minor, int64_t b_minor);

/* An instant; text without an offset is local time of `zone` (IANA name; NULL
 * is UTC). INSTANT_NONE when absent or unreadable. */
int64_t border_instant(const json_t *object, const char *key, const char *zone);
int64_t border_instant_of(const json_t *value, const char *zone);

/* Compact JSON text of a value, in the arena; empty when it is longer than
 * `max_bytes` or the arena is full. Reals keep 15 digits. */
struct str border_dump(struct arena *arena, const json_t *value, size_t max_bytes);

#endif
