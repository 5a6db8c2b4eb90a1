#ifndef BASE_COMPILER_H
#define BASE_COMPILER_H

/*
 * The only place that speaks to the compiler beyond C17.
 */

#include <stddef.h>

#define NODISCARD __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_index, first_argument) \
    __attribute__((format(printf, format_index, first_argument)))
#define CLEANUP(release) __attribute__((cleanup(release)))
#define UNUSED __attribute__((unused))
#define NORETURN __attribute__((noreturn))

#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Sizes are computed here and nowhere else. Both return false on overflow
 * and leave *out_size alone. */
NODISCARD static inline _Bool size_mul(size_t a, size_t b, size_t *out_size)
{
    size_t product = 0;
    if (__builtin_mul_overflow(a, b, &product)) {
        return 0;
    }
    *out_size = product;
    return 1;
}

NODISCARD static inline _Bool size_add(size_t a, size_t b, size_t *out_size)
{
    size_t sum = 0;
    if (__builtin_add_overflow(a, b, &sum)) {
        return 0;
    }
    *out_size = sum;
    return 1;
}

#endif
