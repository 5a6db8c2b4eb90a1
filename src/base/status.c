#include "base/status.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

/*
 * Reports of a fixed size.
 *
 * Invariant: after any write a field is NUL-terminated and well-formed UTF-8
 * if what went in was, because the text ends up in a JSON answer; a cut in
 * the middle of a character would make that answer unreadable. Rejected:
 * growing the text on the heap, which can fail while a failure is reported.
 */

/* Removes the incomplete character that a cut may have left at the end. */
static void trim_partial(char *text, size_t length)
{
    size_t begin = length;
    while (begin > 0 && ((uint8_t)text[begin - 1] & 0xc0) == 0x80) {
        begin--;
    }
    if (begin == 0) {
        return;
    }
    uint8_t lead = (uint8_t)text[begin - 1];
    size_t needed = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (length - (begin - 1) < needed) {
        text[begin - 1] = '\0';
    }
}

static void PRINTF_LIKE(3, 0) format_cut(char *text, size_t size, const char *format, va_list list)
{
    int length = vsnprintf(text, size, format, list);
    if (length < 0) {
        text[0] = '\0';
        return;
    }
    if ((size_t)length >= size) {
        trim_partial(text, size - 1);
    }
}

enum status problem_set(struct problem *problem, enum status status, const char *type,
                        const char *format, ...)
{
    assert(type != NULL);
    assert(format != NULL);
    if (problem == NULL) {
        return status;
    }
    /* The text may be made of the report's own words, so it is built aside. */
    char detail[PROBLEM_DETAIL_SIZE];
    va_list list;
    va_start(list, format);
    format_cut(detail, sizeof(detail), format, list);
    va_end(list);
    memcpy(problem->detail, detail, sizeof(detail));
    snprintf(problem->type, sizeof(problem->type), "%s", type);
    problem->pointer[0] = '\0';
    return status;
}

void problem_suggest(struct problem *problem, const char *nearest)
{
    if (problem == NULL || nearest == NULL) {
        return;
    }
    size_t size = strlen(problem->detail);
    size_t left = sizeof(problem->detail) - size;
    int length = snprintf(problem->detail + size, left, "; did you mean \"%s\"?", nearest);
    if (length < 0 || (size_t)length >= left) {
        problem->detail[size] = '\0'; /* half a suggestion is none */
    }
}

void problem_point(struct problem *problem, const char *format, ...)
{
    assert(format != NULL);
    if (problem == NULL) {
        return;
    }
    va_list list;
    va_start(list, format);
    format_cut(problem->pointer, sizeof(problem->pointer), format, list);
    va_end(list);
}

const char *status_name(enum status status)
{
    switch (status) {
    case STATUS_OK:
        return "ok";
    case STATUS_INVALID:
        return "invalid";
    case STATUS_DENIED:
        return "denied";
    case STATUS_MISSING:
        return "missing";
    case STATUS_CONFLICT:
        return "conflict";
    case STATUS_LIMIT:
        return "limit";
    case STATUS_RETRY:
        return "retry";
    case STATUS_BROKEN:
        return "broken";
    }
    return "unknown";
}
