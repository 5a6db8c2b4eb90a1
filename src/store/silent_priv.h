#ifndef STORE_SILENT_PRIV_H
#define STORE_SILENT_PRIV_H

/*
 * A range of events as history: load, lock, bring up, decide, save, as intake
 * does it, and nothing rings. What imports and replays have in common.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/decide.h"
#include "store/batch.h"

struct silent {
    struct pg *pg;
    struct arena *arena;
    struct decide_context context; /* is_import */
    bool is_open;                  /* the caller began the transaction */
    /* Filled by silent_load: */
    struct batch batch;
    struct decision *decision;
    struct event **events; /* unique */
    size_t event_count;
    bool has_news; /* some of them have no receipt */
    int64_t now_ms;
};

/* The transaction is left open. STATUS_CONFLICT: owners moved, begin anew. */
NODISCARD enum status silent_load(struct silent *silent, struct id workspace_id,
                                  struct event **events, size_t count, struct problem *problem);
/* `out_applied`: how many were new. */
NODISCARD enum status silent_decide(struct silent *silent, int64_t *out_applied,
                                    struct problem *problem);
NODISCARD enum status silent_save(struct silent *silent, const struct batch_save *save,
                                  struct problem *problem);
/* Saves what there is and commits. */
NODISCARD enum status silent_commit(struct silent *silent, struct problem *problem);

/* Longer from turn to turn, and never twice the same. */
void silent_pause(unsigned turn);

#endif
