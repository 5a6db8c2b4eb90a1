#include <assert.h>

#include "feature_priv.h"

/*
 * What a feature says at an instant, and exactly until when.
 *
 * Nothing but leaving facts changes a value while no fact arrives. A number of
 * facts (or of different values, or of the key that has most) can only fall:
 * for it the instant is known at which it falls below any count, and a
 * comparison turns at one of two such instants. A window's sum, average or
 * extreme may turn either way as facts leave, so the instants of leaving are
 * walked in order, over values that were accumulated from the newest back.
 *
 * At an instant of the past (as_of) later facts do not count and do not enter.
 */

/* (low, high] is what counts. */
struct span {
    int64_t low_ms;
    int64_t high_ms;
};

static struct span span_of(const struct feature *feature, int64_t after_ms, int64_t at_ms)
{
    int64_t floor_ms = feature_floor_ms(feature, at_ms);
    return (struct span){ floor_ms > after_ms ? floor_ms : after_ms, at_ms };
}

static bool span_has(struct span span, int64_t at_ms)
{
    return at_ms > span.low_ms && at_ms <= span.high_ms;
}

/* --- counts ------------------------------------------------------------------- */

static int64_t distinct_count(const struct feature_distinct *distinct, struct span span,
                              int64_t nth, int64_t *out_at_ms)
{
    int64_t count = 0;
    for (size_t i = distinct->count; i > 0; i--) {
        const struct feature_distinct_value *item = &distinct->items[i - 1];
        if (!item->is_loose && span_has(span, item->at_ms)) {
            count++;
            *out_at_ms = count == nth ? item->at_ms : *out_at_ms;
        }
    }
    return count;
}

static int64_t times_count(const struct feature_times *times, struct span span, int64_t nth,
                           int64_t *out_at_ms)
{
    size_t begin = 0;
    size_t end = 0;
    feature_times_range(times, span.low_ms, span.high_ms, &begin, &end);
    int64_t count = (int64_t)(end - begin);
    if (nth > 0 && nth <= count) {
        *out_at_ms = times->items[end - (size_t)nth];
    }
    return count;
}

/* Of the key that has most; the nth of the key whose nth is the newest. */
static int64_t keyed_count(const struct feature_keyed *keyed, struct span span, int64_t nth,
                           int64_t *out_at_ms)
{
    int64_t most = 0;
    for (size_t i = 0; i < keyed->count; i++) {
        int64_t nth_ms = INSTANT_NONE;
        int64_t count = times_count(&keyed->keys[i].times, span, nth, &nth_ms);
        most = count > most ? count : most;
        *out_at_ms = nth_ms > *out_at_ms ? nth_ms : *out_at_ms;
    }
    return most;
}

/* How many count, and the instant of the nth newest of them if there are so
 * many: the count falls below n when it leaves. */
static int64_t count_in(const struct feature_memory *memory, struct span span, int64_t nth,
                        int64_t *out_at_ms)
{
    *out_at_ms = INSTANT_NONE;
    switch (memory->feature->form) {
    case FEATURE_NEWEST:
        return times_count(&memory->newest, span, nth, out_at_ms);
    case FEATURE_DISTINCT:
        return distinct_count(&memory->distinct, span, nth, out_at_ms);
    case FEATURE_KEYED:
        return keyed_count(&memory->keyed, span, nth, out_at_ms);
    case FEATURE_TOTAL:
    case FEATURE_WINDOW:
    case FEATURE_EDGE:
        break;
    }
    assert(false); /* a form that counts */
    return 0;
}

/* When the count, now at least `n`, falls below it. */
static int64_t falls_below_ms(const struct feature_memory *memory, struct span span, int64_t n)
{
    int64_t at_ms = INSTANT_NONE;
    if (n <= 0) {
        return INSTANT_NEVER;
    }
    (void)count_in(memory, span, n, &at_ms);
    return feature_leaves_ms(memory->feature, at_ms);
}

static struct rule_value count_value(int64_t count)
{
    struct rule_value value = { .type = RULE_NUMBER };
    if (__builtin_mul_overflow(count, RULE_NUMBER_ONE, &value.number)) {
        return RULE_VALUE_NULL;
    }
    return value;
}

/* Is there anything in the span that may be one more? Of a value only the last
 * instant is known: one that is after the span may have been in it too. */
static bool count_is_partial(const struct feature_memory *memory, struct span span)
{
    if (memory->lost.at_ms > span.low_ms) {
        return true;
    }
    if (memory->feature->form == FEATURE_KEYED) {
        return memory->keyed.trimmed.at_ms > span.low_ms;
    }
    const struct feature_distinct *distinct = &memory->distinct;
    return memory->feature->form == FEATURE_DISTINCT && distinct->count > 0 &&
           distinct->items[distinct->count - 1].at_ms > span.high_ms;
}

static void read_count(const struct feature_memory *memory, struct span span,
                       struct feature_reading *reading)
{
    int64_t at_ms = INSTANT_NONE;
    int64_t count = count_in(memory, span, 0, &at_ms);
    reading->value = count_value(count);
    reading->until_ms = falls_below_ms(memory, span, count);
    reading->at_least = count_is_partial(memory, span);
}

/* --- windows ------------------------------------------------------------------ */

/* What leaves together, and what is left before it does. */
struct stage {
    int64_t leaves_ms;
    int64_t count;
    struct feature_sum sum;
    int64_t extreme;
};

enum {
    STAGES_MAX = FEATURE_EXACT_MAX + FEATURE_CELLS_MAX
};

/* Stages ascend by leaving, each with all that leaves not before it. Cells
 * begin before any entry, so what is walked from the newest back ascends. */
struct stages {
    struct stage *end; /* the array's; it is filled from here down */
    size_t count;
};

static void stages_add(const struct feature *feature, struct stages *stages,
                       const struct stage *more)
{
    const struct stage *newer = stages->end - stages->count;
    bool is_first = stages->count == 0;
    bool is_together = !is_first && newer->leaves_ms == more->leaves_ms;
    stages->count += is_together ? 0 : 1;
    struct stage *stage = stages->end - stages->count;
    if (is_first) {
        *stage = *more;
        return;
    }
    bool is_beaten = feature_beats(feature->function, newer->extreme, more->extreme);
    stage->leaves_ms = more->leaves_ms;
    stage->count = newer->count + more->count;
    stage->extreme = is_beaten ? newer->extreme : more->extreme;
    stage->sum = newer->sum;
    feature_sum_absorb(&stage->sum, more->sum);
}

static void stages_fill(const struct feature_memory *memory, struct span span,
                        struct stages *stages)
{
    const struct feature *feature = memory->feature;
    const struct feature_window *window = &memory->window;
    for (size_t i = window->count; i > 0; i--) {
        const struct feature_entry *entry = &window->entries[i - 1];
        if (span_has(span, entry->at_ms)) {
            struct stage stage = { .leaves_ms = feature_leaves_ms(feature, entry->at_ms),
                                   .count = 1,
                                   .extreme = entry->value };
            feature_sum_add(&stage.sum, entry->value);
            stages_add(feature, stages, &stage);
        }
    }
    for (size_t i = window->cell_count; i > 0; i--) {
        const struct feature_cell *cell = &window->cells[i - 1];
        if (cell->start_ms > span.low_ms && cell->newest_ms <= span.high_ms) {
            struct stage stage = { .leaves_ms = feature_leaves_ms(feature, cell->start_ms),
                                   .count = cell->count,
                                   .sum = cell->sum,
                                   .extreme = cell->extreme };
            stages_add(feature, stages, &stage);
        }
    }
}

/* Is anything in the span that the stages do not count? */
static bool window_is_partial(const struct feature_memory *memory, struct span span)
{
    const struct feature_window *window = &memory->window;
    if (memory->lost.at_ms > span.low_ms) {
        return true;
    }
    for (size_t i = 0; i < window->cell_count; i++) {
        const struct feature_cell *cell = &window->cells[i];
        bool is_whole = cell->start_ms > span.low_ms && cell->newest_ms <= span.high_ms;
        if (!is_whole && cell->newest_ms > span.low_ms && cell->start_ms <= span.high_ms) {
            return true;
        }
    }
    return false;
}

static struct rule_value sum_value(struct feature_sum sum)
{
    struct rule_value value = { .type = RULE_NUMBER };
    return feature_sum_value(sum, &value.number) ? value : RULE_VALUE_NULL;
}

static struct rule_value average_value(struct feature_sum sum, int64_t count)
{
    struct rule_value value = sum_value(sum);
    struct rule_value divisor = count_value(count);
    bool is_number = value.type == RULE_NUMBER && divisor.type == RULE_NUMBER &&
                     rule_number_ratio(value.number, divisor.number, &value.number);
    return is_number ? value : RULE_VALUE_NULL;
}

/* NULL: nothing is left. */
static struct rule_value stage_value(const struct feature *feature, const struct stage *stage)
{
    static const struct stage nothing = { 0 };
    bool is_nothing = stage == NULL;
    stage = is_nothing ? &nothing : stage;
    switch (feature->function) {
    case RULE_COUNT:
        return count_value(stage->count);
    case RULE_SUM:
        return sum_value(stage->sum);
    case RULE_AVG:
        return is_nothing ? RULE_VALUE_NULL : average_value(stage->sum, stage->count);
    case RULE_MIN:
    case RULE_MAX:
        return is_nothing ? RULE_VALUE_NULL
                          : (struct rule_value){ .type = RULE_NUMBER, .number = stage->extreme };
    case RULE_DISTINCT:
    case RULE_FIRST:
    case RULE_LAST:
    case RULE_MAX_COUNT:
        break;
    }
    assert(false); /* a function of values */
    return RULE_VALUE_NULL;
}

static const struct stage *stage_at(const struct stages *stages, size_t index)
{
    return index < stages->count ? stages->end - stages->count + index : NULL;
}

static void read_window(const struct feature_memory *memory, struct span span,
                        struct feature_reading *reading)
{
    struct stage array[STAGES_MAX];
    struct stages stages = { .end = array + STAGES_MAX };
    stages_fill(memory, span, &stages);
    const struct stage *first = stage_at(&stages, 0);
    reading->value = stage_value(memory->feature, first);
    reading->until_ms = first != NULL ? first->leaves_ms : INSTANT_NEVER;
    reading->at_least = window_is_partial(memory, span);
}

/* --- lifetimes and edges ------------------------------------------------------ */

static struct stage stage_of_total(const struct feature_total *total)
{
    return (struct stage){ .leaves_ms = INSTANT_NEVER,
                           .count = total->count,
                           .sum = total->sum,
                           .extreme = total->extreme };
}

static void read_total(const struct feature_memory *memory, struct feature_reading *reading)
{
    struct stage stage = stage_of_total(&memory->total);
    reading->value = stage_value(memory->feature, stage.count > 0 ? &stage : NULL);
}

static void read_edge(const struct feature_memory *memory, struct span span,
                      struct feature_reading *reading)
{
    const struct feature *feature = memory->feature;
    const struct feature_edge *edge = &memory->edge;
    bool is_known = edge->has_entry && !edge->is_loose && span_has(span, edge->at_ms);
    if (is_known) {
        reading->value = feature->property.size > 0
                             ? edge->value
                             : (struct rule_value){ .type = RULE_INSTANT, .ms = edge->at_ms };
        reading->until_ms = feature_leaves_ms(feature, edge->at_ms);
        return;
    }
    /* Another one may be in the span: behind the first, or before the last. */
    bool is_beyond =
        feature->function == RULE_LAST ? edge->at_ms > span.high_ms : edge->at_ms <= span.low_ms;
    reading->at_least =
        edge->has_entry && (is_beyond || edge->is_loose) && memory->lost.at_ms > span.low_ms;
}

bool feature_read(struct arena *arena, const struct feature *feature,
                  const struct feature_state *state, int64_t after_ms, int64_t at_ms,
                  struct feature_reading *out_reading)
{
    const struct feature_memory *memory = feature_memory_of(arena, feature, state);
    if (memory == NULL) {
        return false;
    }
    struct span span = span_of(feature, after_ms, at_ms);
    struct feature_reading reading = { .until_ms = INSTANT_NEVER };
    switch (feature->form) {
    case FEATURE_NEWEST:
    case FEATURE_DISTINCT:
    case FEATURE_KEYED:
        read_count(memory, span, &reading);
        break;
    case FEATURE_WINDOW:
        read_window(memory, span, &reading);
        break;
    case FEATURE_TOTAL:
        read_total(memory, &reading);
        break;
    case FEATURE_EDGE:
        read_edge(memory, span, &reading);
        break;
    }
    bool is_incomplete = memory->is_broken || (state != NULL && state->is_incomplete);
    reading.at_least = reading.at_least || is_incomplete;
    *out_reading = reading;
    return true;
}

/* --- comparisons -------------------------------------------------------------- */

static bool compare_values(struct arena *arena, struct rule_value value, enum rule_op op,
                           struct rule_value constant)
{
    int order = 0;
    value = rule_value_as(arena, value, constant.type);
    if (value.type == RULE_NULL || constant.type == RULE_NULL) {
        return false;
    }
    if (op == RULE_OP_EQ || op == RULE_OP_NE) {
        return rule_value_equal(value, constant) == (op == RULE_OP_EQ);
    }
    if (!rule_value_compare(value, constant, &order)) {
        return false;
    }
    switch (op) {
    case RULE_OP_LT:
        return order < 0;
    case RULE_OP_LE:
        return order <= 0;
    case RULE_OP_GT:
        return order > 0;
    case RULE_OP_GE:
        return order >= 0;
    default:
        assert(false); /* a comparison */
        return false;
    }
}

/* A count against a number: `least` is the least count not below it, `above`
 * the least above it. */
static void compare_count(const struct feature_memory *memory, struct span span, enum rule_op op,
                          int64_t constant, bool *out_verdict, int64_t *out_until_ms)
{
    int64_t at_ms = INSTANT_NONE;
    int64_t count = count_in(memory, span, 0, &at_ms);
    int64_t whole = constant / RULE_NUMBER_ONE;
    int64_t part = constant % RULE_NUMBER_ONE;
    int64_t least = whole + (part > 0 ? 1 : 0);
    int64_t above = whole + (part < 0 ? 0 : 1);
    bool is_least = count >= least;
    bool is_above = count >= above;
    int64_t below_least_ms = is_least ? falls_below_ms(memory, span, least) : INSTANT_NEVER;
    int64_t below_above_ms = is_above ? falls_below_ms(memory, span, above) : INSTANT_NEVER;
    switch (op) {
    case RULE_OP_GE:
    case RULE_OP_LT:
        *out_verdict = is_least == (op == RULE_OP_GE);
        *out_until_ms = below_least_ms;
        return;
    case RULE_OP_GT:
    case RULE_OP_LE:
        *out_verdict = is_above == (op == RULE_OP_GT);
        *out_until_ms = below_above_ms;
        return;
    default:
        break;
    }
    assert(op == RULE_OP_EQ || op == RULE_OP_NE);
    *out_verdict = (is_least && !is_above) == (op == RULE_OP_EQ);
    if (is_above) {
        /* Two that leave together may take the count past the number. */
        *out_until_ms = below_above_ms < below_least_ms ? below_above_ms : INSTANT_NEVER;
    } else {
        *out_until_ms = below_least_ms;
    }
}

static bool compare_numbers(int64_t value, enum rule_op op, int64_t constant)
{
    switch (op) {
    case RULE_OP_EQ:
        return value == constant;
    case RULE_OP_NE:
        return value != constant;
    case RULE_OP_LT:
        return value < constant;
    case RULE_OP_LE:
        return value <= constant;
    case RULE_OP_GT:
        return value > constant;
    default:
        return value >= constant;
    }
}

/* What a window says is a number or null. */
static bool stage_verdict(const struct feature *feature, const struct stage *stage, enum rule_op op,
                          struct rule_value constant)
{
    struct rule_value value = stage_value(feature, stage);
    return value.type == RULE_NUMBER && constant.type == RULE_NUMBER &&
           compare_numbers(value.number, op, constant.number);
}

static bool compare_window(const struct feature_memory *memory, struct span span, enum rule_op op,
                           struct rule_value constant, int64_t *out_until_ms)
{
    struct stage array[STAGES_MAX];
    struct stages stages = { .end = array + STAGES_MAX };
    stages_fill(memory, span, &stages);
    const struct feature *feature = memory->feature;
    bool verdict = stage_verdict(feature, stage_at(&stages, 0), op, constant);
    *out_until_ms = INSTANT_NEVER;
    for (size_t i = 0; i < stages.count && feature->within_ms > 0; i++) {
        const struct stage *next = stage_at(&stages, i + 1);
        if (stage_verdict(feature, next, op, constant) != verdict) {
            *out_until_ms = stage_at(&stages, i)->leaves_ms;
            break;
        }
    }
    return verdict;
}

/* What is there stays until it leaves, and then there is nothing that is known. */
static bool compare_edge(struct arena *arena, const struct feature_memory *memory, struct span span,
                         enum rule_op op, struct rule_value constant, int64_t *out_until_ms)
{
    struct feature_reading reading = { .until_ms = INSTANT_NEVER };
    read_edge(memory, span, &reading);
    bool verdict = compare_values(arena, reading.value, op, constant);
    /* Behind a first that leaves another may come into sight. */
    bool may_turn = verdict || memory->feature->function == RULE_FIRST;
    *out_until_ms = may_turn ? reading.until_ms : INSTANT_NEVER;
    return verdict;
}

/* Nothing is kept: of most rules a profile has nothing, and all of them are asked
 * of a new one. False when the form has no short answer. */
static bool compare_nothing(const struct feature *feature, enum rule_op op,
                            struct rule_value constant, bool *out_verdict)
{
    if (constant.type != RULE_NUMBER) {
        return false;
    }
    switch (feature->form) {
    case FEATURE_NEWEST:
    case FEATURE_DISTINCT:
    case FEATURE_KEYED:
        *out_verdict = compare_numbers(0, op, constant.number);
        return true;
    case FEATURE_WINDOW:
        *out_verdict = stage_verdict(feature, NULL, op, constant);
        return true;
    case FEATURE_TOTAL:
    case FEATURE_EDGE:
        break;
    }
    return false;
}

bool feature_compare(struct arena *arena, const struct feature *feature,
                     const struct feature_state *state, int64_t after_ms, enum rule_op op,
                     struct rule_value constant, int64_t at_ms, bool *out_verdict,
                     int64_t *out_until_ms)
{
    assert(op >= RULE_OP_EQ);
    assert(op <= RULE_OP_GE);
    if (state == NULL && compare_nothing(feature, op, constant, out_verdict)) {
        *out_until_ms = INSTANT_NEVER;
        return true;
    }
    const struct feature_memory *memory = feature_memory_of(arena, feature, state);
    if (memory == NULL) {
        return false;
    }
    struct span span = span_of(feature, after_ms, at_ms);
    struct feature_reading reading = { .until_ms = INSTANT_NEVER };
    bool verdict = false;
    int64_t until_ms = INSTANT_NEVER;
    switch (feature->form) {
    case FEATURE_NEWEST:
    case FEATURE_DISTINCT:
    case FEATURE_KEYED:
        if (constant.type == RULE_NUMBER) {
            compare_count(memory, span, op, constant.number, &verdict, &until_ms);
        } else {
            read_count(memory, span, &reading);
            verdict = compare_values(arena, reading.value, op, constant);
        }
        break;
    case FEATURE_WINDOW:
        verdict = compare_window(memory, span, op, constant, &until_ms);
        break;
    case FEATURE_TOTAL:
        read_total(memory, &reading);
        verdict = compare_values(arena, reading.value, op, constant);
        break;
    case FEATURE_EDGE:
        verdict = compare_edge(arena, memory, span, op, constant, &until_ms);
        break;
    }
    *out_verdict = verdict;
    *out_until_ms = until_ms;
    return true;
}
