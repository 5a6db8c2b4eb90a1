#ifndef SCHEMA_SHIM_PRIV_H
#define SCHEMA_SHIM_PRIV_H

/*
 * The border to C++: bytes in, violations out. No exception crosses it, and
 * neither side sees a type of the other.
 */

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct shim;

/* How far a schema and what it judges may go (base/limits.h says why). */
struct shim_limits {
    size_t depth;         /* of nesting, in schemas and in values */
    size_t visits;        /* subschemas that may apply to one value */
    size_t stack;         /* subschemas within each other, down to the deepest value */
    size_t pattern_bytes; /* of one regular expression */
    size_t subject_bytes; /* of a text that one is matched with */
    size_t name_bytes;    /* of a property's name, beside patternProperties */
    size_t unique_items;  /* of an array, beside uniqueItems */
    size_t enum_values;
};

/* NULL: it is no schema, and `why` says so in words that end in NUL. */
struct shim *shim_compile(const char *data, size_t size, const struct shim_limits *limits,
                          char *why, size_t why_size);
void shim_free(struct shim *shim);

/* Both texts are gone when it returns. False: enough. */
typedef int shim_tell_fn(void *user, const char *pointer, size_t pointer_size, const char *what,
                         size_t what_size);

enum shim_verdict {
    SHIM_VALID,
    SHIM_INVALID, /* told at least once */
    SHIM_FAILED   /* not JSON, or no memory */
};

/* Any number of threads at once. */
enum shim_verdict shim_check(const struct shim *shim, const char *data, size_t size,
                             shim_tell_fn *tell, void *user);

#ifdef __cplusplus
}
#endif

#endif
