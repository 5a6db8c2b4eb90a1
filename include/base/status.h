#ifndef BASE_STATUS_H
#define BASE_STATUS_H

/*
 * The three endings of a function, and the words that go with the second.
 *
 * An expected outcome of a total function is an enum of its own. A broken
 * promise of our own code is an assertion. What remains is a status: something
 * a caller up the stack must react to by class. The text is written once,
 * where the fault is found, into a struct problem that callers pass upward
 * unchanged; one switch in http/reply.c makes HTTP of it, one in main.c an
 * exit code. Rejected: errno values (no text) and allocated error chains
 * (one more thing that can fail while failing).
 */

#include "base/compiler.h"

enum status {
    STATUS_OK,
    STATUS_INVALID,  /* the asker's fault: asking again will not change it */
    STATUS_DENIED,   /* may not */
    STATUS_MISSING,  /* no such object */
    STATUS_CONFLICT, /* clashes with what is there */
    STATUS_LIMIT,    /* a documented limit was reached */
    STATUS_RETRY,    /* passing: serialization, deadlock, lost connection */
    STATUS_BROKEN,   /* ours: a bug, a full disk, a missing partition */
};

enum {
    PROBLEM_TYPE_SIZE = 40,
    PROBLEM_DETAIL_SIZE = 320,
    PROBLEM_POINTER_SIZE = 128,
};

/* A report with a fixed size, so that reporting never allocates. `type` is a
 * slug of contract 17 ("invalid-field"); `pointer` a JSON pointer as a URI
 * fragment ("#/when") or empty. All NUL-terminated. */
struct problem {
    char type[PROBLEM_TYPE_SIZE];
    char detail[PROBLEM_DETAIL_SIZE];
    char pointer[PROBLEM_POINTER_SIZE];
};

/* Writes the report (problem may be NULL) and returns `status`, so that a
 * failing function ends with `return problem_set(...)`. */
enum status problem_set(struct problem *problem, enum status status, const char *type,
                        const char *format, ...) PRINTF_LIKE(4, 5);

/* Adds "; did you mean "x"?" to what is said; nothing for NULL (see str_nearest). */
void problem_suggest(struct problem *problem, const char *nearest);

/* Names the place within the document; call it after problem_set, which clears
 * the pointer. Text beyond a fixed size is cut between characters. */
void problem_point(struct problem *problem, const char *format, ...) PRINTF_LIKE(2, 3);

/* "ok", "invalid", ... for logs. Static text. */
const char *status_name(enum status status);

#endif
