#ifndef CORE_TRIGGER_GATES_H
#define CORE_TRIGGER_GATES_H

/*
 * What stands between a cause and its notification: pure questions, each asked
 * once, in one order. The first that says no gives the cause its one outcome.
 *
 *   facts    stale? filtered by `if`, or by a history that is not known? does anybody
 *            listen? consent? expired? quiet?
 *   record   has it rung (once)? too lately (cooldown)? too often (caps)? held out?
 *
 * The first half rests on the customer, the second on what was rung before, which
 * is why it is asked of rows that are locked.
 *
 * Who is held out goes through all other gates and is recorded as if he had been
 * rung, so that both groups are chosen alike; only what is counted for everybody or
 * for the channel is not spent on him.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/instant.h"
#include "base/str.h"
#include "core/trigger/trigger.h"

enum trigger_outcome {
    OUTCOME_OPEN,    /* all gates so far were passed */
    OUTCOME_WAITING, /* asked again when it is due; not counted */
    OUTCOME_NOTIFIED,
    OUTCOME_FILTERED,
    OUTCOME_UNHEARD, /* nobody subscribes to it, or their filters say no */
    OUTCOME_NO_CONSENT,
    OUTCOME_EXPIRED,
    OUTCOME_QUIET,
    OUTCOME_COOLED_DOWN,
    OUTCOME_CAPPED,
    OUTCOME_HELD_OUT,
    OUTCOME_STALE,
    OUTCOME_UNDONE, /* after it was notified: a message that recheck dropped */
    OUTCOME_COUNT,
};
const char *trigger_outcome_name(enum trigger_outcome outcome); /* "no_consent" */

/* --- facts ------------------------------------------------------------------- */

/* When quiet hours end, for an instant within them; INSTANT_NONE: it is not. By the
 * local clock: a clock that is put forward over the end ends them, one that is put
 * back has the first of two. */
int64_t gates_quiet_until_ms(const struct trigger_quiet *quiet, const struct zone *zone,
                             int64_t at_ms);

/* Is the customer among those that are held out? The same for ever, and by anyone:
 * the first 32 bits of md5("<workspace>/<trigger>/<profile>") as a share of 2^32. */
bool gates_holds_out(const struct trigger *trigger, struct id workspace_id, struct id profile_id);

/* --- what was rung ------------------------------------------------------------- */

/* One row: of a customer; of one of his products (part); with the zero profile of
 * everybody; with the zero trigger, of a channel (part). */
struct rung_key {
    struct id trigger_id;
    struct id profile_id;
    struct str part;
};

struct rung {
    int64_t last_at_ms; /* INSTANT_NONE: never */
    int64_t count;
    int64_t window_at_ms; /* of total caps */
    int64_t window_count;
    const int64_t *recent; /* of other caps: the newest, ascending; replaced, never changed */
    size_t recent_count;
};

/* Whose record a trigger's is: a draft has one of its own, which ends when it does. */
struct id rung_trigger_id(struct id trigger_id, enum trigger_mode mode);

struct rung rung_none(void);
/* What two customers were rung who are one now. False when the arena is full. */
bool rung_join(struct arena *arena, struct rung *rung, const struct rung *other);
/* One more, remembering the newest `keep`, and the window of `per_ms`. */
bool rung_add(struct arena *arena, struct rung *rung, int64_t at_ms, size_t keep,
              int64_t window_ms);
/* Are there `cap.count` of them in (at - per, at]? */
bool rung_is_full(const struct rung *rung, struct trigger_cap cap, int64_t at_ms);
/* The same for everybody: windows begin with the first ring after the one before. */
bool rung_window_is_full(const struct rung *rung, struct trigger_cap cap, int64_t at_ms);

/* What the second half is asked of: each is what was rung, joined over whoever was
 * merged. NULL: the trigger does not ask for it. */
struct gates_record {
    const struct rung *profile;
    const struct rung *part;
    const struct rung *total;
    const struct rung *channel;
    struct trigger_cap channel_cap;
};
enum trigger_outcome gates_ask(const struct trigger *trigger, const struct gates_record *record,
                               int64_t at_ms, bool is_held_out);

#endif
