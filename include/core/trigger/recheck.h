#ifndef CORE_TRIGGER_RECHECK_H
#define CORE_TRIGGER_RECHECK_H

/*
 * Does a subscription's filter still hold, by the time a message about it is to leave
 * (correctness 19)? Pure.
 *
 * The event and the transition are what they were when the bell was rung: facts. The
 * customer is who he is now, whose verdicts and ages are those of this instant. The
 * filter is the one that the subscription has now.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"
#include "core/decide.h"
#include "core/rule/program.h"

/* Why a message is not sent, as its attempt says it. */
#define RECHECK_FALSE "the filter holds no longer"
#define RECHECK_TRIGGER "what its trigger asks holds no longer"
#define RECHECK_UNTOLD "what the filter asks of the event or transition is not kept any more"

/* What the message told of beside the customer. Borrowed. */
struct recheck_told {
    const struct event *event;                /* NULL: none caused it */
    struct str source;                        /* the event's, by name; empty: not known */
    const struct rule_transition *transition; /* NULL: no rule's verdict changed */
    const struct concern *concern;            /* with what the trigger is about; NULL: nothing */
};

/* Can it say something else than at the commit? Not if it asks the event and the
 * transition alone, and not how old they are. */
bool recheck_is_needed(const struct rule_program *filter);
bool recheck_asks_event(const struct rule_program *filter);
bool recheck_asks_transition(const struct rule_program *filter);

/* `profile` is a copy of what is stored, put into a decision of which nothing is saved
 * and whose context has no interests: it is brought to now as a sweep would, so that no
 * verdict is older than the answer. STATUS_LIMIT when the arena is full. */
NODISCARD enum status recheck_filter(struct decision *decision, struct profile *profile,
                                     const struct rule_program *filter,
                                     const struct recheck_told *told, int64_t now_ms,
                                     bool *out_holds);

/* The same of what a trigger asks: the audience, the condition, and of a rule that was
 * entered, left or changed whether it still says so. */
NODISCARD enum status recheck_trigger(struct decision *decision, struct profile *profile,
                                      const struct trigger *trigger,
                                      const struct recheck_told *told, int64_t now_ms,
                                      bool *out_holds);

#endif
