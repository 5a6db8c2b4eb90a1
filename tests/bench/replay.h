#ifndef BENCH_REPLAY_H
#define BENCH_REPLAY_H

/*
 * Statements with their parameters, in the order in which the intake sent
 * them, and sending them again with libpq alone.
 *
 * A tape is what one connection sends. Its steps are copies; nothing is
 * released before the program ends.
 */

#include <stdbool.h>
#include <stddef.h>

#include "store/pg.h"

struct replay_step {
    const struct pg_statement *statement; /* NULL: the end of a round trip */
    int count;
    unsigned *types;
    char **values;
    int *lengths;
    struct replay_step *next;
};

struct replay_tape {
    struct replay_step *first;
    struct replay_step **last; /* where the next step goes */
    size_t statement_count;
    size_t round_trip_count;
};

void replay_tape_init(struct replay_tape *tape);
/* params may be NULL. Ends the program when memory is out. */
void replay_add(struct replay_tape *tape, const struct pg_statement *statement,
                const struct pg_params *params);
void replay_add_sync(struct replay_tape *tape);

struct replay_setting { /* of the session, as the store sets them */
    const char *name;
    const char *value;
};

/* Connects and prepares, then sends all tapes at once, one thread and
 * connection each. Only the sending, to the last commit's answer, is timed.
 * NULL, or what went wrong. */
const char *replay_run(const char *url, const struct replay_setting *settings, size_t setting_count,
                       const struct replay_tape *tapes, size_t tape_count, double *out_seconds);

#endif
