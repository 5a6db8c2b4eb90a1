#include <assert.h>

#include "program_priv.h"

/*
 * Which programs say nothing of a profile that keeps none of their features?
 *
 * A workspace has hundreds of segments of "this customer viewed that at least
 * twice", and a customer has to do with a few of them. Where many rules are to be
 * asked at once (a new customer, a wake-up, a new version of the rules) asking
 * each cost more than all else the decision does; but "at least twice" is false
 * of who never did, whatever else the rule asks, and stays so until the feature
 * has something. Such rules need not be asked: ruleset_leave_silent.
 *
 * Found once, when the ruleset is built, by a run over the steps in which an
 * operand is only known to be false for ever or not known at all. What this does
 * not see (windows after an instant, texts) is asked as before.
 */

struct silence {
    bool is_false[RULE_STACK_MAX + 1]; /* and stays so while no feature has a state */
    size_t count;
};

static bool is_false_of_nothing(struct arena *arena, const struct rule_step *step)
{
    bool verdict = true;
    int64_t until_ms = INSTANT_NONE;
    if (step->code != STEP_FUSED_FEATURE || !step_is_usual(step) ||
        !feature_compare(arena, step->feature, NULL, INSTANT_NONE, step->op, step->constant, 0,
                         &verdict, &until_ms)) {
        return false;
    }
    return !verdict && until_ms == INSTANT_NEVER;
}

static void take_step(struct arena *arena, const struct rule_step *step, struct silence *silence)
{
    if (step_is_test(step)) {
        return;
    }
    size_t taken = step_takes(step);
    assert(silence->count >= taken);
    silence->count -= taken;
    const bool *operands = &silence->is_false[silence->count];
    bool is_false = is_false_of_nothing(arena, step);
    if (step->code == STEP_AND) {
        is_false = operands[0] || operands[1];
    } else if (step->code == STEP_OR) {
        is_false = operands[0] && operands[1];
    }
    silence->is_false[silence->count++] = is_false;
}

bool program_is_silent(struct arena *arena, const struct rule_program *program)
{
    struct silence silence = { .count = 0 };
    for (uint32_t i = 0; i < program->fused_count; i++) {
        take_step(arena, &program->fused[i], &silence);
    }
    assert(silence.count == 1);
    return silence.is_false[0];
}
