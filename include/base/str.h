#ifndef BASE_STR_H
#define BASE_STR_H

/*
 * Borrowed bytes with their length. NUL-terminated only at the borders of
 * libraries, where str_dup_z makes a copy that is.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/banned.h"
#include "base/compiler.h"

struct arena;

struct str {
    const char *data; /* NULL only when size is 0 */
    size_t size;
};

#define STR(literal) ((struct str){ "" literal, sizeof(literal) - 1 })
/* For printf: "%.*s", STR_ARG(s). Cuts at INT_MAX. */
#define STR_ARG(s) (int)(s).size, (s).size > 0 ? (s).data : ""

struct str str_from_z(const char *text); /* NULL gives the empty string */
bool str_equal(struct str a, struct str b);
bool str_equal_z(struct str a, const char *b);
bool str_equal_nocase(struct str a, struct str b); /* ASCII only */
bool str_equal_nocase_z(struct str a, const char *b);
int str_compare(struct str a, struct str b); /* by bytes, as in PostgreSQL's "C" */
bool str_starts_with(struct str s, struct str prefix);
bool str_ends_with(struct str s, struct str suffix);
struct str str_trim(struct str s); /* ASCII white space, both ends */
struct str str_drop(struct str s, size_t count);
struct str str_take(struct str s, size_t count);
/* At most so many bytes, cut between characters: of text that is shown or stored. */
struct str str_take_text(struct str s, size_t size_max);

/* Index of the first `needle` at or after `from`, or -1. */
ptrdiff_t str_find(struct str s, char needle, size_t from);

/* Splits at the first `separator`: *out_head before it, *out_tail after it.
 * False (outputs untouched) when it does not occur. */
bool str_split(struct str s, char separator, struct str *out_head, struct str *out_tail);

/* Decimal digits only, no sign, no space. False on anything else or overflow. */
bool str_to_u64(struct str s, uint64_t *out_value);
bool str_to_i64(struct str s, int64_t *out_value); /* one leading '-' allowed */

/* Well-formed UTF-8 (RFC 3629) without U+0000, which PostgreSQL refuses. */
bool str_is_text(struct str s);

/* Copies that live as long as the arena. NULL data with size 0 when it is
 * full (the arena remembers). The _z form is NUL-terminated beyond its size. */
struct str str_dup(struct arena *arena, struct str s);
const char *str_dup_z(struct arena *arena, struct str s); /* NULL when full */
struct str str_lower(struct arena *arena, struct str s);  /* ASCII only */
struct str str_printf(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);

/* The candidate nearest to `word` (edit distance at most 3 and less than half
 * its length), or NULL: for "did you mean". */
const char *str_nearest(struct str word, const char *const *candidates, size_t count);

#endif
