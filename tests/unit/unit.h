#ifndef TESTS_UNIT_UNIT_H
#define TESTS_UNIT_UNIT_H

/*
 * What every unit test includes first. cmocka.h wants these headers before
 * it, in this order, which sorting would undo; asserts are always compiled in.
 */

#undef NDEBUG

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "base/compiler.h"
#include "base/str.h"

/* Prints the row's reason before failing, so that a table says which row. */
#define assert_row(condition, why)           \
    do {                                     \
        if (!(condition)) {                  \
            print_error("row: %s\n", (why)); \
        }                                    \
        assert_true(condition);              \
    } while (0)

#define assert_str_equal(actual, expected)                                        \
    do {                                                                          \
        struct str seen = (actual);                                               \
        struct str wanted = (expected);                                           \
        if (!str_equal(seen, wanted)) {                                           \
            fail_msg("\"%.*s\" is not \"%.*s\"", STR_ARG(seen), STR_ARG(wanted)); \
        }                                                                         \
    } while (0)

#endif
