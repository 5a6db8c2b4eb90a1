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

enum status recheck_filter(struct decision *decision, struct profile *profile,
                           const struct rule_program *filter, const struct recheck_told *told,
                           int64_t now_ms, bool *out_holds)
{
    struct property_view fact = { .is_scanned = false };
    assert(decision->context->interest_count == 0);
    enum status status = decide_due(decision, profile, now_ms);
    if (status != STATUS_OK) {
        return status;
    }
    struct rule_subject subject = bell_subject(decision, profile, told->event, &fact);
    subject.source = told->source;
    subject.transition = told->transition;
    int64_t at_ms = profile->decided_at_ms > now_ms ? profile->decided_at_ms : now_ms;
    bool holds = rule_evaluate(decision->arena, filter, &subject, at_ms, NULL);
    if (arena_is_full(decision->arena)) {
        return STATUS_LIMIT;
    }
    *out_holds = holds;
    return STATUS_OK;
}
