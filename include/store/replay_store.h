#ifndef STORE_REPLAY_STORE_H
#define STORE_REPLAY_STORE_H

/*
 * Stored raw webhooks, and what they had become, replaced by what they become
 * today (correctness 6).
 *
 * All facts of a delivery carry its source and its instant of receipt, so a source
 * and a set of instants name exactly what is to be replaced. An order is a fold of
 * its documents: the set is closed when it holds every delivery that ever told of
 * each of its orders.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/decide.h"
#include "store/batch.h"
#include "store/pg.h"

struct webhook_walk {
    struct id workspace_id;
    struct id source_id;
    struct str topic; /* empty: any */
    int64_t after_ms; /* received later than this */
    int64_t until_ms; /* not included */
};
/* The instant of the next delivery; STATUS_MISSING: there is none. */
NODISCARD enum status webhook_next(struct pg *pg, struct arena *arena,
                                   const struct webhook_walk *walk, int64_t *out_at_ms,
                                   struct problem *problem);
NODISCARD enum status webhook_count(struct pg *pg, struct arena *arena,
                                    const struct webhook_walk *walk, int64_t *out_count,
                                    struct problem *problem);
/* All of the source that came at these instants, oldest first. */
NODISCARD enum status webhook_at(struct pg *pg, struct arena *arena, struct id workspace_id,
                                 struct id source_id, const int64_t *instants, size_t count,
                                 struct batch_webhook **out_rows, size_t *out_count,
                                 struct problem *problem);

struct replay_set {
    struct id workspace_id;
    struct id source_id;
    const int64_t *instants;
    size_t instant_count;
    const struct str *orders; /* that its events name; those of its facts come on top */
    size_t order_count;
    struct event **events; /* in the order in which they came */
    size_t event_count;
    bool is_dry; /* the transaction is rolled back whatever it brought */
};

struct replay_reach {
    struct str *orders; /* the set's, those of its facts among them */
    size_t order_count;
    int64_t *instants; /* at which they were told of */
    size_t instant_count;
    bool is_folded; /* retention may have taken some of their facts */
};
NODISCARD enum status replay_reach(struct pg *pg, struct arena *arena, const struct replay_set *set,
                                   struct replay_reach *out_reach, struct problem *problem);

struct replay_outcome {
    bool is_changed; /* else it says today what it said then: nothing was written */
    int64_t applied; /* events */
};
/* One transaction. The arena is reset. STATUS_INVALID, STATUS_LIMIT: the data's own
 * error, nothing has changed. */
NODISCARD enum status replay_replace(struct pg *pg, struct arena *arena,
                                     const struct decide_context *context,
                                     const struct replay_set *set,
                                     struct replay_outcome *out_outcome, struct problem *problem);

#endif
