#include <assert.h>
#include <string.h>

#include "base/instant.h"
#include "core/profile/profile.h"
#include "core/rule/verdict.h"
#include "program_priv.h"

/*
 * Runs the steps of a program over a small stack. Each operand carries its value
 * and until when it is sure to stay so; a step combines both.
 *
 * Two-valued (correctness 23): every comparison ends in true or false, null is
 * false, and what is not a bool counts as false where one is wanted.
 *
 * A false conjunction stays false as long as any false side does, a true
 * disjunction as long as any true side: so the side that decides is not enough
 * where "until" is wanted, and the other is run too, unless the first stands for
 * ever. Where only the verdict is wanted the second side is jumped over.
 *
 * Rejected: one function per tree node. It costs a call and a branch on the type
 * per node either way, and explain could not run a part by itself.
 */

struct slot {
    struct rule_value value;
    int64_t until_ms;
    bool at_least;
    bool is_threshold; /* of a percentile */
};

struct evaluation {
    struct arena *arena;
    const struct rule_subject *subject;
    int64_t at_ms;
    int64_t hysteresis;
    bool wants_until;
    uint32_t next; /* the step after this one */
    struct slot *top;
    struct slot slots[RULE_STACK_MAX + 1]; /* the first is below the bottom */
};

typedef void step_fn(struct evaluation *evaluation, const struct rule_step *step);

static int64_t sooner(int64_t a_ms, int64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

static int64_t later(int64_t a_ms, int64_t b_ms)
{
    return a_ms > b_ms ? a_ms : b_ms;
}

static bool is_true(const struct slot *slot)
{
    return slot->value.type == RULE_BOOL && slot->value.boolean;
}

static void push(struct evaluation *evaluation, struct rule_value value, int64_t until_ms)
{
    evaluation->top++;
    *evaluation->top = (struct slot){ .value = value, .until_ms = until_ms };
}

/* Field by field, here and where a verdict is made: a struct that was just put
 * together from small pieces is read back as a whole only after they have left
 * the processor's store queue, which took a quarter of the time of a rule. */
static void set_bool(struct slot *slot, bool verdict)
{
    slot->value.type = RULE_BOOL;
    slot->value.boolean = verdict;
}

static void push_bool(struct evaluation *evaluation, bool verdict, int64_t until_ms)
{
    struct slot *slot = ++evaluation->top;
    set_bool(slot, verdict);
    slot->until_ms = until_ms;
    slot->at_least = false;
    slot->is_threshold = false;
}

/* By reference: the slot stays as it is until the next push. */
static const struct slot *pop(struct evaluation *evaluation)
{
    assert(evaluation->top > evaluation->slots); /* compile.c counts what each step takes */
    return evaluation->top--;
}

/* --- comparing two values -------------------------------------------------- */

/* Brings an open side, or a day beside an instant, to the other side's type. */
static void meet(struct evaluation *evaluation, bool left_is_open, bool right_is_open,
                 struct rule_value *left, struct rule_value *right)
{
    if (left->type == right->type || left->type == RULE_NULL || right->type == RULE_NULL) {
        return;
    }
    if (left_is_open) {
        *left = rule_value_as(evaluation->arena, *left, right->type);
    } else if (right_is_open) {
        *right = rule_value_as(evaluation->arena, *right, left->type);
    } else if (left->type == RULE_INSTANT && right->type == RULE_DATE) {
        *right = rule_value_as(evaluation->arena, *right, RULE_INSTANT);
    } else if (left->type == RULE_DATE && right->type == RULE_INSTANT) {
        *left = rule_value_as(evaluation->arena, *left, RULE_INSTANT);
    }
}

static bool text_contains(struct str text, struct str part)
{
    if (part.size == 0) {
        return true;
    }
    for (size_t i = 0; i + part.size <= text.size; i++) {
        if (memcmp(text.data + i, part.data, part.size) == 0) {
            return true;
        }
    }
    return false;
}

/* Is `item` one of `list`? What is not a list is a list of one: a shop that has
 * one interest to tell tells it without brackets. */
static bool list_has(struct evaluation *evaluation, const struct rule_step *step,
                     struct rule_value list, struct rule_value item, bool list_is_left)
{
    bool list_is_open = list_is_left ? step->left_is_open : step->right_is_open;
    bool item_is_open = list_is_left ? step->right_is_open : step->left_is_open;
    const struct rule_value *items = list.type == RULE_LIST ? list.list.items : &list;
    size_t count = list.type == RULE_LIST ? list.list.count : 1;
    for (size_t i = 0; i < count; i++) {
        struct rule_value a = items[i];
        struct rule_value b = item;
        meet(evaluation, list_is_open, item_is_open, &a, &b);
        if (rule_value_equal(a, b)) {
            return true;
        }
    }
    return false;
}

static bool order_holds(enum rule_op op, int order)
{
    switch ((int)op) {
    case RULE_OP_LT:
        return order < 0;
    case RULE_OP_LE:
        return order <= 0;
    case RULE_OP_GT:
        return order > 0;
    default:
        assert(op == RULE_OP_GE);
        return order >= 0;
    }
}

static bool contains(struct evaluation *evaluation, const struct rule_step *step,
                     struct rule_value left, struct rule_value right)
{
    if (left.type == RULE_LIST) {
        return list_has(evaluation, step, left, right, true);
    }
    meet(evaluation, step->left_is_open, step->right_is_open, &left, &right);
    return left.type == RULE_TEXT && right.type == RULE_TEXT &&
           text_contains(left.text, right.text);
}

/* One side is null: only "!=" can hold, when the side it is written behind is
 * set. */
static bool null_holds(const struct rule_step *step, struct rule_value left,
                       struct rule_value right)
{
    struct rule_value first = step->is_mirrored ? right : left;
    return step->op == RULE_OP_NE && first.type != RULE_NULL;
}

static bool values_hold(struct evaluation *evaluation, const struct rule_step *step,
                        struct rule_value left, struct rule_value right)
{
    if (left.type == RULE_NULL || right.type == RULE_NULL) {
        return null_holds(step, left, right);
    }
    if (step->op == RULE_OP_IN) {
        return list_has(evaluation, step, right, left, false);
    }
    if (step->op == RULE_OP_CONTAINS) {
        return contains(evaluation, step, left, right);
    }
    meet(evaluation, step->left_is_open, step->right_is_open, &left, &right);
    bool are_texts = left.type == RULE_TEXT && right.type == RULE_TEXT;
    int order = 0;
    switch ((int)step->op) {
    case RULE_OP_EQ:
        return rule_value_equal(left, right);
    case RULE_OP_NE:
        return !rule_value_equal(left, right);
    case RULE_OP_LIKE:
        return are_texts && str_equal_nocase(left.text, right.text);
    case RULE_OP_STARTS_WITH:
        return are_texts && str_starts_with(left.text, right.text);
    default:
        return rule_value_compare(left, right, &order) && order_holds(step->op, order);
    }
}

/* A tier that is held: its threshold, less the share. */
static struct rule_value eased(const struct evaluation *evaluation, const struct slot *slot)
{
    struct rule_value value = slot->value;
    int64_t threshold = 0;
    if (evaluation->hysteresis > 0 && slot->is_threshold && value.type == RULE_NUMBER &&
        turn_multiply(value.number, RULE_NUMBER_ONE - evaluation->hysteresis, &threshold)) {
        value.number = threshold;
    }
    return value;
}

static bool is_above(enum rule_op op)
{
    return op == RULE_OP_GT || op == RULE_OP_GE;
}

static bool is_below(enum rule_op op)
{
    return op == RULE_OP_LT || op == RULE_OP_LE;
}

static void step_compare(struct evaluation *evaluation, const struct rule_step *step)
{
    const struct slot *right = pop(evaluation);
    const struct slot *left = pop(evaluation);
    struct rule_value a = is_below(step->op) ? eased(evaluation, left) : left->value;
    struct rule_value b = is_above(step->op) ? eased(evaluation, right) : right->value;
    int64_t until_ms = sooner(left->until_ms, right->until_ms);
    push_bool(evaluation, values_hold(evaluation, step, a, b), until_ms);
}

/* --- ages, years, days ------------------------------------------------------ */

static struct rule_value as_instant(struct evaluation *evaluation, struct rule_value value)
{
    return rule_value_as(evaluation->arena, value, RULE_INSTANT);
}

/* A calendar day if it is one, an instant's day in UTC else. */
static struct rule_value as_day(struct evaluation *evaluation, struct rule_value value)
{
    struct rule_value day = rule_value_as(evaluation->arena, value, RULE_DATE);
    if (day.type == RULE_DATE) {
        return day;
    }
    struct rule_value instant = as_instant(evaluation, value);
    if (instant.type == RULE_NULL) {
        return instant;
    }
    int64_t days = instant.ms / INSTANT_DAY_MS - (instant.ms % INSTANT_DAY_MS < 0);
    return (struct rule_value){ .type = RULE_DATE, .days = days };
}

static struct rule_value as_day_or_instant(struct evaluation *evaluation, struct rule_value value)
{
    struct rule_value day = rule_value_as(evaluation->arena, value, RULE_DATE);
    return day.type == RULE_DATE ? day : as_instant(evaluation, value);
}

static void compare_age(struct evaluation *evaluation, const struct rule_step *step,
                        const struct rule_value *since, const struct rule_value *duration,
                        int64_t until_ms)
{
    bool verdict = false;
    if (since->type == RULE_INSTANT && duration->type == RULE_DURATION) {
        verdict = turn_age(step->op, since->ms, duration->ms, evaluation->at_ms, &until_ms);
        push_bool(evaluation, verdict, until_ms);
        return;
    }
    struct rule_value instant = as_instant(evaluation, *since);
    if (instant.type == RULE_NULL || duration->type != RULE_DURATION) {
        verdict = null_holds(step, instant, *duration);
    } else {
        verdict = turn_age(step->op, instant.ms, duration->ms, evaluation->at_ms, &until_ms);
    }
    push_bool(evaluation, verdict, until_ms);
}

static void step_compare_age(struct evaluation *evaluation, const struct rule_step *step)
{
    const struct slot *duration = pop(evaluation);
    const struct slot *since = pop(evaluation);
    struct rule_value from = since->value; /* the slot is the verdict's */
    struct rule_value lasting = duration->value;
    compare_age(evaluation, step, &from, &lasting, sooner(since->until_ms, duration->until_ms));
}

static struct rule_value as_number(struct evaluation *evaluation, const struct slot *slot)
{
    return rule_value_as(evaluation->arena, slot->value, RULE_NUMBER);
}

static void step_compare_years(struct evaluation *evaluation, const struct rule_step *step)
{
    const struct slot *still = pop(evaluation);
    const struct slot *since = pop(evaluation);
    struct rule_value day = as_day(evaluation, since->value);
    struct rule_value constant = as_number(evaluation, still);
    int64_t until_ms = sooner(since->until_ms, still->until_ms);
    bool verdict = false;
    if (day.type == RULE_NULL || constant.type == RULE_NULL) {
        verdict = null_holds(step, day, still->value);
    } else {
        verdict =
            turn_years_compare(step->op, day.days, constant.number, evaluation->at_ms, &until_ms);
    }
    push_bool(evaluation, verdict, until_ms);
}

static void step_compare_days(struct evaluation *evaluation, const struct rule_step *step)
{
    const struct slot *still = pop(evaluation);
    const struct slot *target = pop(evaluation);
    struct rule_value value = as_day_or_instant(evaluation, target->value);
    struct rule_value constant = as_number(evaluation, still);
    int64_t until_ms = sooner(target->until_ms, still->until_ms);
    bool verdict = false;
    if (value.type == RULE_NULL || constant.type == RULE_NULL) {
        verdict = null_holds(step, value, still->value);
    } else {
        verdict = turn_days_compare(step->op, value, constant.number, evaluation->at_ms, &until_ms);
    }
    push_bool(evaluation, verdict, until_ms);
}

static void step_age(struct evaluation *evaluation, const struct rule_step *step)
{
    (void)step;
    const struct slot *since = pop(evaluation);
    struct rule_value instant = as_instant(evaluation, since->value);
    int64_t until_ms = since->until_ms;
    int64_t age_ms = 0;
    if (instant.type == RULE_NULL ||
        __builtin_sub_overflow(evaluation->at_ms, instant.ms, &age_ms)) {
        push(evaluation, RULE_VALUE_NULL, until_ms);
        return;
    }
    push(evaluation, (struct rule_value){ .type = RULE_DURATION, .ms = age_ms },
         sooner(until_ms, turn_add(evaluation->at_ms, 1)));
}

static struct rule_value whole_number(int64_t whole)
{
    return (struct rule_value){ .type = RULE_NUMBER, .number = whole * RULE_NUMBER_ONE };
}

static void step_years(struct evaluation *evaluation, const struct rule_step *step)
{
    (void)step;
    const struct slot *since = pop(evaluation);
    struct rule_value day = as_day(evaluation, since->value);
    int64_t until_ms = since->until_ms;
    if (day.type != RULE_NULL) {
        day = whole_number(turn_years(day.days, evaluation->at_ms, &until_ms));
    }
    push(evaluation, day, until_ms);
}

static void step_days(struct evaluation *evaluation, const struct rule_step *step)
{
    (void)step;
    const struct slot *target = pop(evaluation);
    struct rule_value value = as_day_or_instant(evaluation, target->value);
    int64_t until_ms = target->until_ms;
    if (value.type != RULE_NULL) {
        value = whole_number(turn_days(value, evaluation->at_ms, &until_ms));
    }
    push(evaluation, value, until_ms);
}

/* --- indicators ------------------------------------------------------------- */

/* The score only falls without new mail, so it passes the constant once; "=" and
 * "!=" may turn where it comes to the constant and where it leaves it. */
static int64_t score_until(const struct indicators *indicators, enum rule_op op, int64_t at_ms,
                           int64_t threshold)
{
    if (is_above(op) || is_below(op)) {
        bool or_equal = op == RULE_OP_GE || op == RULE_OP_LT;
        return engagement_crossing(indicators, at_ms, threshold, or_equal);
    }
    return sooner(engagement_crossing(indicators, at_ms, threshold, true),
                  engagement_crossing(indicators, at_ms, threshold, false));
}

static void step_compare_score(struct evaluation *evaluation, const struct rule_step *step)
{
    const struct slot *still = pop(evaluation);
    const struct profile *profile = evaluation->subject->profile;
    int64_t until_ms = still->until_ms;
    struct rule_value constant = is_above(step->op) ? eased(evaluation, still) : still->value;
    struct rule_value score = RULE_VALUE_NULL;
    int64_t number = 0;
    if (profile != NULL && engagement_score(&profile->indicators, evaluation->at_ms, &number)) {
        score = (struct rule_value){ .type = RULE_NUMBER, .number = number };
    }
    bool verdict = values_hold(evaluation, step, score, constant);
    constant = rule_value_as(evaluation->arena, constant, RULE_NUMBER);
    if (evaluation->wants_until && score.type != RULE_NULL && constant.type != RULE_NULL) {
        until_ms = sooner(until_ms, score_until(&profile->indicators, step->op, evaluation->at_ms,
                                                constant.number));
    }
    push_bool(evaluation, verdict, until_ms);
}

/* From stage to stage until the verdict is another one. */
static void step_compare_stage(struct evaluation *evaluation, const struct rule_step *step)
{
    enum {
        STAGES_MAX = 4
    };
    const struct slot *still = pop(evaluation);
    struct rule_value constant = still->value;
    int64_t still_until_ms = still->until_ms;
    int64_t until_ms = INSTANT_NEVER;
    struct rule_value stage = attribute_read(evaluation->arena, evaluation->subject, &step->name,
                                             evaluation->at_ms, &until_ms);
    bool verdict = values_hold(evaluation, step, stage, constant);
    for (int i = 0; i < STAGES_MAX && evaluation->wants_until && until_ms != INSTANT_NEVER; i++) {
        int64_t next_ms = INSTANT_NEVER;
        stage =
            attribute_read(evaluation->arena, evaluation->subject, &step->name, until_ms, &next_ms);
        if (values_hold(evaluation, step, stage, constant) != verdict) {
            break;
        }
        until_ms = next_ms;
    }
    push_bool(evaluation, verdict, sooner(until_ms, still_until_ms));
}

/* --- features --------------------------------------------------------------- */

static const struct feature_state *state_of(const struct evaluation *evaluation,
                                            const struct feature *feature)
{
    const struct profile *profile = evaluation->subject->profile;
    return profile == NULL ? NULL : feature_find(&profile->features, feature->number);
}

/* Nothing is after an unknown instant. */
static struct rule_value nothing(const struct feature *feature)
{
    switch (feature->function) {
    case RULE_COUNT:
    case RULE_SUM:
    case RULE_DISTINCT:
    case RULE_MAX_COUNT:
        return whole_number(0);
    case RULE_AVG:
    case RULE_MIN:
    case RULE_MAX:
    case RULE_FIRST:
    case RULE_LAST:
        break;
    }
    return RULE_VALUE_NULL;
}

static struct slot read_feature(struct evaluation *evaluation, const struct feature *feature,
                                struct rule_value after)
{
    struct slot slot = { .value = nothing(feature), .until_ms = INSTANT_NEVER };
    if (after.type != RULE_INSTANT) {
        return slot;
    }
    struct feature_reading reading = { .until_ms = INSTANT_NEVER };
    if (feature_read(evaluation->arena, feature, state_of(evaluation, feature), after.ms,
                     evaluation->at_ms, &reading)) {
        slot.value = reading.value;
        slot.until_ms = reading.until_ms;
        slot.at_least = reading.at_least;
    }
    return slot;
}

/* The instant on the stack, or the beginning of time. */
static struct rule_value pop_after(struct evaluation *evaluation, const struct rule_step *step,
                                   int64_t *until_ms)
{
    if (!step->has_after) {
        return (struct rule_value){ .type = RULE_INSTANT, .ms = INSTANT_NONE };
    }
    const struct slot *after = pop(evaluation);
    *until_ms = sooner(*until_ms, after->until_ms);
    return as_instant(evaluation, after->value);
}

static void step_feature(struct evaluation *evaluation, const struct rule_step *step)
{
    int64_t until_ms = INSTANT_NEVER;
    struct rule_value after = pop_after(evaluation, step, &until_ms);
    struct slot slot = read_feature(evaluation, step->feature, after);
    slot.until_ms = sooner(slot.until_ms, until_ms);
    *++evaluation->top = slot;
}

static bool compare_state(struct evaluation *evaluation, const struct rule_step *step,
                          const struct rule_value *constant, int64_t after_ms, int64_t *out_turn_ms)
{
    bool verdict = false;
    if (!feature_compare(evaluation->arena, step->feature, state_of(evaluation, step->feature),
                         after_ms, step->op, *constant, evaluation->at_ms, &verdict, out_turn_ms)) {
        return false;
    }
    return verdict;
}

/* `after` is an instant or null. */
static void compare_feature(struct evaluation *evaluation, const struct rule_step *step,
                            const struct rule_value *still, const struct rule_value *after,
                            int64_t until_ms)
{
    struct rule_value constant = *still;
    if (step->right_is_open && step->type != RULE_NULL) {
        constant = rule_value_as(evaluation->arena, constant, step->type);
    }
    bool asks_constant = step->op == RULE_OP_NE && step->is_mirrored;
    bool is_plain = step->type == RULE_NULL || constant.type != step->type ||
                    after->type != RULE_INSTANT ||
                    (asks_constant && nothing(step->feature).type == RULE_NULL);
    bool verdict = false;
    int64_t turn_ms = INSTANT_NEVER;
    if (is_plain) {
        struct slot slot = read_feature(evaluation, step->feature, *after);
        verdict = values_hold(evaluation, step, slot.value, *still);
        turn_ms = slot.until_ms;
    } else {
        verdict = compare_state(evaluation, step, &constant, after->ms, &turn_ms);
    }
    push_bool(evaluation, verdict, sooner(turn_ms, until_ms));
}

static void step_compare_feature(struct evaluation *evaluation, const struct rule_step *step)
{
    const struct slot *still = pop(evaluation);
    struct rule_value value = still->value;
    int64_t until_ms = still->until_ms;
    struct rule_value after = pop_after(evaluation, step, &until_ms);
    compare_feature(evaluation, step, &value, &after, until_ms);
}

/* --- the rest ---------------------------------------------------------------- */

static void step_literal(struct evaluation *evaluation, const struct rule_step *step)
{
    push(evaluation, step->literal, INSTANT_NEVER);
}

static struct rule_value read_name(struct evaluation *evaluation, const struct rule_step *step,
                                   int64_t *until_ms)
{
    struct rule_value value = attribute_read(evaluation->arena, evaluation->subject, &step->name,
                                             evaluation->at_ms, until_ms);
    if (step->type != RULE_NULL && value.type != step->type) {
        value = rule_value_as(evaluation->arena, value, step->type);
    }
    return value;
}

static void step_name(struct evaluation *evaluation, const struct rule_step *step)
{
    int64_t until_ms = INSTANT_NEVER;
    struct rule_value value = read_name(evaluation, step, &until_ms);
    push(evaluation, value, until_ms);
}

static void step_member(struct evaluation *evaluation, const struct rule_step *step)
{
    push_bool(evaluation, attribute_is_member(evaluation->subject, &step->name), INSTANT_NEVER);
}

static void test(struct evaluation *evaluation, const struct rule_step *step, bool deciding)
{
    struct slot *left = evaluation->top;
    bool verdict = is_true(left);
    set_bool(left, verdict);
    if (verdict == deciding && (!evaluation->wants_until || left->until_ms == INSTANT_NEVER)) {
        evaluation->next = step->jump;
    }
}

static void step_and_test(struct evaluation *evaluation, const struct rule_step *step)
{
    test(evaluation, step, false);
}

static void step_or_test(struct evaluation *evaluation, const struct rule_step *step)
{
    test(evaluation, step, true);
}

/* `deciding`: the verdict that one side alone decides. */
static void combine(struct evaluation *evaluation, bool deciding)
{
    const struct slot *right = pop(evaluation);
    const struct slot *left = pop(evaluation);
    bool left_decides = is_true(left) == deciding;
    bool right_decides = is_true(right) == deciding;
    int64_t until_ms = sooner(left->until_ms, right->until_ms);
    if (left_decides && right_decides) {
        until_ms = later(left->until_ms, right->until_ms);
    } else if (left_decides) {
        until_ms = left->until_ms;
    } else if (right_decides) {
        until_ms = right->until_ms;
    }
    push_bool(evaluation, left_decides || right_decides ? deciding : !deciding, until_ms);
}

static void step_and(struct evaluation *evaluation, const struct rule_step *step)
{
    (void)step;
    combine(evaluation, false);
}

static void step_or(struct evaluation *evaluation, const struct rule_step *step)
{
    (void)step;
    combine(evaluation, true);
}

static void step_not(struct evaluation *evaluation, const struct rule_step *step)
{
    (void)step;
    const struct slot *operand = pop(evaluation);
    push_bool(evaluation, !is_true(operand), operand->until_ms);
}

static void step_is_set(struct evaluation *evaluation, const struct rule_step *step)
{
    (void)step;
    const struct slot *operand = pop(evaluation);
    push_bool(evaluation, operand->value.type != RULE_NULL, operand->until_ms);
}

static void step_percentile(struct evaluation *evaluation, const struct rule_step *step)
{
    int64_t threshold = 0;
    struct rule_value value = RULE_VALUE_NULL;
    const struct rule_name_info *info = rule_name_info(step->percentile.attribute);
    if (statistics_percentile(evaluation->subject->statistics, step->percentile.attribute,
                              step->percentile.percent, &threshold)) {
        value = info->type == RULE_INSTANT
                    ? (struct rule_value){ .type = RULE_INSTANT, .ms = threshold }
                    : (struct rule_value){ .type = RULE_NUMBER, .number = threshold };
    }
    push(evaluation, value, INSTANT_NEVER);
    evaluation->top->is_threshold = true;
}

static bool calculate(enum rule_op op, int64_t left, int64_t right, int64_t *out_result)
{
    switch ((int)op) {
    case RULE_OP_ADD:
        return !__builtin_add_overflow(left, right, out_result);
    case RULE_OP_SUBTRACT:
        return !__builtin_sub_overflow(left, right, out_result);
    case RULE_OP_MULTIPLY:
        return turn_multiply(left, right, out_result);
    default:
        assert(op == RULE_OP_DIVIDE);
        return rule_number_ratio(left, right, out_result);
    }
}

static void step_arithmetic(struct evaluation *evaluation, const struct rule_step *step)
{
    const struct slot *right = pop(evaluation);
    const struct slot *left = pop(evaluation);
    struct rule_value a = as_number(evaluation, left);
    struct rule_value b = as_number(evaluation, right);
    int64_t until_ms = sooner(left->until_ms, right->until_ms);
    struct rule_value result = RULE_VALUE_NULL;
    int64_t number = 0;
    if (a.type == RULE_NUMBER && b.type == RULE_NUMBER &&
        calculate(step->op, a.number, b.number, &number)) {
        result = (struct rule_value){ .type = RULE_NUMBER, .number = number };
    }
    push(evaluation, result, until_ms);
}

static void step_negate(struct evaluation *evaluation, const struct rule_step *step)
{
    (void)step;
    const struct slot *operand = pop(evaluation);
    struct rule_value value = as_number(evaluation, operand);
    if (value.type == RULE_NUMBER && __builtin_sub_overflow(0, value.number, &value.number)) {
        value = RULE_VALUE_NULL;
    }
    push(evaluation, value, operand->until_ms);
}

/* --- several in one: fuse.c --------------------------------------------------- */

static void step_fused_age(struct evaluation *evaluation, const struct rule_step *step)
{
    int64_t until_ms = INSTANT_NEVER;
    struct rule_value since = read_name(evaluation, step, &until_ms);
    compare_age(evaluation, step, &since, &step->constant, until_ms);
}

/* The usual comparisons without moving the values about. */
static bool holds_constant(struct evaluation *evaluation, const struct rule_step *step,
                           const struct rule_value *value)
{
    const struct rule_value *constant = &step->constant;
    bool is_same = value->type == constant->type;
    if (is_same && value->type == RULE_NUMBER && (is_above(step->op) || is_below(step->op))) {
        return order_holds(step->op,
                           (value->number > constant->number) - (value->number < constant->number));
    }
    if (is_same && value->type == RULE_TEXT && step->op == RULE_OP_EQ) {
        return str_equal(value->text, constant->text);
    }
    return values_hold(evaluation, step, *value, *constant);
}

static void step_fused_compare(struct evaluation *evaluation, const struct rule_step *step)
{
    int64_t until_ms = INSTANT_NEVER;
    struct rule_value value = read_name(evaluation, step, &until_ms);
    push_bool(evaluation, holds_constant(evaluation, step, &value), until_ms);
}

static void step_fused_is_set(struct evaluation *evaluation, const struct rule_step *step)
{
    int64_t until_ms = INSTANT_NEVER;
    struct rule_value value = read_name(evaluation, step, &until_ms);
    push_bool(evaluation, value.type != RULE_NULL, until_ms);
}

static void step_fused_feature(struct evaluation *evaluation, const struct rule_step *step)
{
    static const struct rule_value always = { .type = RULE_INSTANT, .ms = INSTANT_NONE };
    if (step_is_usual(step)) {
        int64_t turn_ms = INSTANT_NEVER;
        bool verdict = compare_state(evaluation, step, &step->constant, INSTANT_NONE, &turn_ms);
        push_bool(evaluation, verdict, turn_ms);
        return;
    }
    compare_feature(evaluation, step, &step->constant, &always, INSTANT_NEVER);
}

/* --- running ----------------------------------------------------------------- */

static step_fn *const step_functions[STEP_CODE_COUNT] = {
    [STEP_LITERAL] = step_literal,
    [STEP_NAME] = step_name,
    [STEP_MEMBER] = step_member,
    [STEP_AND_TEST] = step_and_test,
    [STEP_AND] = step_and,
    [STEP_OR_TEST] = step_or_test,
    [STEP_OR] = step_or,
    [STEP_NOT] = step_not,
    [STEP_IS_SET] = step_is_set,
    [STEP_COMPARE] = step_compare,
    [STEP_COMPARE_AGE] = step_compare_age,
    [STEP_COMPARE_YEARS] = step_compare_years,
    [STEP_COMPARE_DAYS] = step_compare_days,
    [STEP_COMPARE_SCORE] = step_compare_score,
    [STEP_COMPARE_STAGE] = step_compare_stage,
    [STEP_COMPARE_FEATURE] = step_compare_feature,
    [STEP_ARITHMETIC] = step_arithmetic,
    [STEP_NEGATE] = step_negate,
    [STEP_AGE] = step_age,
    [STEP_YEARS] = step_years,
    [STEP_DAYS] = step_days,
    [STEP_PERCENTILE] = step_percentile,
    [STEP_FEATURE] = step_feature,
    [STEP_FUSED_AGE] = step_fused_age,
    [STEP_FUSED_COMPARE] = step_fused_compare,
    [STEP_FUSED_IS_SET] = step_fused_is_set,
    [STEP_FUSED_FEATURE] = step_fused_feature,
};

/* The steps of most rules are called by name, so that they are one function;
 * the others by the table. */
static void take_step(struct evaluation *evaluation, const struct rule_step *step)
{
    switch ((int)step->code) {
    case STEP_FUSED_AGE:
        step_fused_age(evaluation, step);
        return;
    case STEP_FUSED_FEATURE:
        step_fused_feature(evaluation, step);
        return;
    case STEP_FUSED_COMPARE:
        step_fused_compare(evaluation, step);
        return;
    case STEP_FUSED_IS_SET:
        step_fused_is_set(evaluation, step);
        return;
    case STEP_AND_TEST:
        step_and_test(evaluation, step);
        return;
    case STEP_AND:
        step_and(evaluation, step);
        return;
    case STEP_OR_TEST:
        step_or_test(evaluation, step);
        return;
    case STEP_OR:
        step_or(evaluation, step);
        return;
    case STEP_NOT:
        step_not(evaluation, step);
        return;
    case STEP_LITERAL:
        step_literal(evaluation, step);
        return;
    default:
        step_functions[step->code](evaluation, step);
        return;
    }
}

/* Leaves one slot: the value of the steps [from, to). An instant that has passed
 * is no "until": whoever waits for it would not come forward. */
static const struct slot *run(struct evaluation *evaluation, const struct rule_step *steps,
                              uint32_t from, uint32_t to)
{
    evaluation->slots[0] = (struct slot){ .until_ms = INSTANT_NEVER };
    evaluation->top = &evaluation->slots[0];
    evaluation->next = from;
    for (uint32_t i = from; i < to; i = evaluation->next) {
        evaluation->next = i + 1;
        take_step(evaluation, &steps[i]);
    }
    assert(evaluation->top == &evaluation->slots[1]);
    struct slot *result = evaluation->top;
    result->until_ms = later(result->until_ms, turn_add(evaluation->at_ms, 1));
    return result;
}

static void begin(struct evaluation *evaluation, struct arena *arena,
                  const struct rule_subject *subject, int64_t at_ms, bool wants_until)
{
    /* The slots stay as they are: each is written before it is read. */
    evaluation->arena = arena;
    evaluation->subject = subject;
    evaluation->at_ms = at_ms;
    evaluation->wants_until = wants_until;
    evaluation->hysteresis = 0;
    evaluation->next = 0;
}

bool program_evaluate(struct arena *arena, const struct rule_program *program,
                      const struct rule_subject *subject, int64_t at_ms, int64_t hysteresis,
                      int64_t *out_until_ms)
{
    struct evaluation evaluation;
    begin(&evaluation, arena, subject, at_ms, out_until_ms != NULL);
    evaluation.hysteresis = hysteresis;
    const struct slot *result = run(&evaluation, program->fused, 0, program->fused_count);
    if (out_until_ms != NULL) {
        *out_until_ms = result->until_ms;
    }
    return is_true(result);
}

bool rule_evaluate(struct arena *arena, const struct rule_program *program,
                   const struct rule_subject *subject, int64_t at_ms, int64_t *out_until_ms)
{
    return program_evaluate(arena, program, subject, at_ms, 0, out_until_ms);
}

static const struct step_range *range_of(const struct rule_program *program,
                                         const struct rule_node *node)
{
    for (size_t i = 0; i < program->range_count; i++) {
        if (program->ranges[i].node == node) {
            return &program->ranges[i];
        }
    }
    return NULL;
}

struct rule_value rule_evaluate_node(struct arena *arena, const struct rule_program *program,
                                     const struct rule_node *node,
                                     const struct rule_subject *subject, int64_t at_ms,
                                     int64_t *out_until_ms, bool *out_at_least)
{
    struct rule_value value = RULE_VALUE_NULL;
    int64_t until_ms = INSTANT_NEVER;
    bool at_least = false;
    const struct step_range *range = range_of(program, node);
    if (range != NULL) {
        struct evaluation evaluation;
        begin(&evaluation, arena, subject, at_ms, out_until_ms != NULL);
        const struct slot *result = run(&evaluation, program->steps, range->from, range->to);
        value = result->value;
        until_ms = result->until_ms;
        at_least = result->at_least;
    }
    if (out_until_ms != NULL) {
        *out_until_ms = until_ms;
    }
    if (out_at_least != NULL) {
        *out_at_least = at_least;
    }
    return value;
}
