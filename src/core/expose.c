#include "decision_priv.h"

/*
 * What a page may be told of its visitor.
 *
 * Problem: the page asks under a key that everybody has, so whoever asks may be
 * asking about somebody else: an e-mail typed into the call, a customer number
 * guessed, an address claimed before its owner ever bought. Invariant: an answer
 * is about the bearer of an anonymous id, a random number that only their browser
 * has, and never reaches further than what is theirs on a trusted word. An
 * anonymous profile is all theirs. A known customer's is theirs only when a
 * trusted source named that id and the customer in one event (a login, told by the
 * shop's server); a page's own identify links the two as well, but tells nothing.
 *
 * Rejected: an answer to whoever knows the e-mail (it is no secret), and one
 * that follows the link a page made (anyone can make it, then ask).
 */

static const struct identifier *only_anonymous_id(const struct event *event)
{
    const struct identifier *found = NULL;
    for (size_t i = 0; i < event->identifier_count; i++) {
        if (event->identifiers[i].kind != IDENTITY_ANONYMOUS_ID) {
            continue;
        }
        if (found != NULL) {
            return NULL;
        }
        found = &event->identifiers[i];
    }
    return found;
}

static bool is_theirs(const struct decision *decision, const struct event *event,
                      const struct profile *profile)
{
    const struct identifier *visitor = only_anonymous_id(event);
    const struct identity_slot *slot =
        visitor != NULL ? decision_find_identity(decision, visitor) : NULL;
    if (slot == NULL ||
        !id_equal(decision_canonical_id(decision, slot->row->profile_id), profile->id)) {
        return false;
    }
    return !profile->identified || slot->row->is_vouched;
}

uint64_t decision_tells_visitor(const struct decision *decision, const struct event *event,
                                const struct str *rules, size_t count)
{
    const struct profile *profile = decision_event_profile(decision, event->id);
    const struct ruleset *ruleset = profile != NULL ? judge_ruleset(decision, profile) : NULL;
    uint64_t holding = 0;
    if (ruleset == NULL || !is_theirs(decision, event, profile)) {
        return 0;
    }
    for (size_t i = 0; i < count && i < DECISION_TOLD_MAX; i++) {
        const struct rule *rule = ruleset_rule(ruleset, rules[i]);
        if (rule != NULL && verdict_find(&profile->verdicts, rule->definition.slot) != NULL) {
            holding |= UINT64_C(1) << i;
        }
    }
    return holding;
}
