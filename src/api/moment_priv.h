#ifndef API_MOMENT_PRIV_H
#define API_MOMENT_PRIV_H

/*
 * A profile at a moment: now as it stands, or earlier as its facts make it.
 */

#include "core/profile/profile.h"
#include "profile_priv.h"
#include "store/history.h"

/* Of one profile; longer histories are not folded for an answer. */
#define MOMENT_FACTS_MAX 20000

struct moment {
    struct profile_whole whole; /* view: of that moment */
    struct profile *profile;
    const struct ruleset *ruleset; /* that decides; NULL: there is none yet */
    const struct statistics *statistics;
    int64_t at_ms;
    bool is_past;
    bool is_stale; /* newer rules are on their way to it */
    /* Newest first, up to at_ms, at most MOMENT_TRANSITIONS_MAX. */
    const struct transition_view *transitions;
    size_t transition_count;
};

enum {
    MOMENT_TRANSITIONS_MAX = 1000
};

/* request->name at request->as_of, or now when that is empty. `reader` is open.
 * The errors of profiles, and "invalid-field" for an instant that cannot be
 * answered for. */
NODISCARD enum status moment_open(const struct resource_request *request,
                                  const struct profile_reader *reader, struct moment *out_moment,
                                  struct problem *problem);

/* When the rule's verdict began, as it was decided; INSTANT_NONE: not known.
 * `value` is what it says: empty for a tag or segment that is worn. */
int64_t moment_since(const struct moment *moment, const struct rule *rule, bool holds,
                     struct str value);

#endif
