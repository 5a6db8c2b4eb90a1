#include "core/trigger/recheck.h"

#include <assert.h>

#include "decision_priv.h"

/*
 * A filter asked again.
 *
 * Stored verdicts may be behind by what the sweep is behind, and by more where it does
 * not run: an entry that ends at noon must not be told of a millisecond later. So the
 * profile first goes through the step that sweep and intake share; what it decides on
 * the way is thrown away, for whoever holds the row's lock decides it for good.
 */

bool recheck_is_needed(const struct rule_program *filter)
{
    const struct rule_reads *reads = rule_program_reads(filter);
    return (reads->parts & ~RULE_PARTS_TOLD) != 0 || reads->is_timed;
}

bool recheck_asks_event(const struct rule_program *filter)
{
    return (rule_program_reads(filter)->parts & 1u << RULE_PART_EVENT) != 0;
}

bool recheck_asks_transition(const struct rule_program *filter)
{
    return (rule_program_reads(filter)->parts & 1u << RULE_PART_TRANSITION) != 0;
}

static bool holds(struct decision *decision, const struct profile *profile,
                  const struct rule_program *program, const struct recheck_told *told,
                  int64_t now_ms)
{
    struct property_view fact = { .is_scanned = false };
    if (program == NULL) {
        return true;
    }
    struct rule_subject subject = bell_subject(decision, profile, told->event, &fact);
    subject.source = told->source;
    subject.transition = told->transition;
    if (told->concern != NULL) {
        subject.product = told->concern->product;
        subject.interest = told->concern->interest;
    }
    int64_t at_ms = profile->decided_at_ms > now_ms ? profile->decided_at_ms : now_ms;
    return rule_evaluate(decision->arena, program, &subject, at_ms, NULL);
}

enum status recheck_filter(struct decision *decision, struct profile *profile,
                           const struct rule_program *filter, const struct recheck_told *told,
                           int64_t now_ms, bool *out_holds)
{
    assert(decision->context->interest_count == 0);
    enum status status = decide_due(decision, profile, now_ms);
    if (status == STATUS_OK) {
        *out_holds = holds(decision, profile, filter, told, now_ms);
        status = arena_is_full(decision->arena) ? STATUS_LIMIT : STATUS_OK;
    }
    return status;
}

/* Does the rule still say what rang it? Of another version's rules nothing is known. */
static bool rule_still_says(const struct decision *decision, const struct profile *profile,
                            const struct trigger *trigger)
{
    const struct ruleset *ruleset = judge_ruleset(decision, profile);
    if (trigger->when == TRIGGER_EVENT || trigger->when == TRIGGER_UNIVERSAL || ruleset == NULL) {
        return true;
    }
    const struct verdict *verdict = verdict_find(&profile->verdicts, trigger->rule_slot);
    if (trigger->when == TRIGGER_CHANGES) {
        return trigger->to.size == 0 || (verdict != NULL && str_equal(verdict->value, trigger->to));
    }
    return (verdict != NULL) == (trigger->when == TRIGGER_ENTERS);
}

enum status recheck_trigger(struct decision *decision, struct profile *profile,
                            const struct trigger *trigger, const struct recheck_told *told,
                            int64_t now_ms, bool *out_holds)
{
    assert(decision->context->interest_count == 0);
    enum status status = decide_due(decision, profile, now_ms);
    if (status == STATUS_OK) {
        *out_holds = rule_still_says(decision, profile, trigger) &&
                     holds(decision, profile, trigger->audience_program, told, now_ms) &&
                     holds(decision, profile, trigger->program, told, now_ms);
        status = arena_is_full(decision->arena) ? STATUS_LIMIT : STATUS_OK;
    }
    return status;
}
