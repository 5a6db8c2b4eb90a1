#undef NDEBUG

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/instant.h"
#include "core/rule/feature.h"
#include "seeds.h"

/*
 * A feature against an oracle that keeps every fact and counts anew.
 *
 * Facts arrive in order, late, and shuffled; some are removed, some removed
 * and added again with another value, as orders are; some go to a second
 * profile that is merged. What must hold:
 *   - the state does not depend on the order of arrival, nor on being encoded
 *     and decoded in between, nor on which profile the facts came to;
 *   - a state that does not say "incomplete" is the one that hydrating gives;
 *   - a value that is not "at least" is the oracle's, and one that is, is not
 *     more; a comparison with what the feature was made for is always right;
 *   - a verdict holds until `until` and not at it.
 */

enum {
    FACTS_MAX = 900,
    SEEDS = 60,
    PROBES = 12,
};

#define START_MS (INSTANT_FIRST_MS + 9000 * INSTANT_DAY_MS)
#define TICK_MS (10 * INSTANT_MINUTE_MS)

struct fact {
    struct id id;
    int64_t at_ms;
    int64_t price; /* whole units; INT64_MIN: none */
    uint32_t key;
    uint32_t side; /* of a merge */
    bool is_gone;
};

struct plan {
    struct feature feature;
    uint32_t keys;
    uint32_t facts_max;
    int64_t span_ms; /* facts are that old at most */
};

struct trial {
    uint64_t seed;
    uint64_t state;
    struct arena *arena;
    const struct plan *plan;
    const struct feature *feature;
    struct fact facts[FACTS_MAX];
    size_t count;
    int64_t now_ms;
    size_t incomplete_count;
    size_t at_least_count;
};

#define DAYS(n) ((n)*INSTANT_DAY_MS)
#define TEXT(literal)                \
    {                                \
        literal, sizeof(literal) - 1 \
    }
#define PLAN(a_form, a_function, a_property, a_by, a_within, a_keep, a_keys, a_facts, a_span) \
    {                                                                                         \
        .feature = { .number = 7,                                                             \
                     .form = (a_form),                                                        \
                     .function = (a_function),                                                \
                     .event_type = EVENT_PRODUCT_VIEWED,                                      \
                     .property = TEXT(a_property),                                            \
                     .by = TEXT(a_by),                                                        \
                     .within_ms = (a_within),                                                 \
                     .keep = (a_keep) },                                                      \
        .keys = (a_keys), .facts_max = (a_facts), .span_ms = (a_span),                        \
    }

static const struct plan plans[] = {
    PLAN(FEATURE_NEWEST, RULE_COUNT, "", "", DAYS(1), 4, 5, 20, DAYS(2)),
    PLAN(FEATURE_NEWEST, RULE_COUNT, "price", "", DAYS(1), 2, 5, 8, DAYS(2)),
    PLAN(FEATURE_NEWEST, RULE_COUNT, "", "", 0, 3, 5, 12, DAYS(9)),
    PLAN(FEATURE_NEWEST, RULE_COUNT, "", "", DAYS(7), 65, 5, 200, DAYS(9)),
    PLAN(FEATURE_NEWEST, RULE_COUNT, "", "", DAYS(1), 1, 5, 6, DAYS(2)),
    PLAN(FEATURE_DISTINCT, RULE_DISTINCT, "category", "", DAYS(2), 3, 6, 20, DAYS(3)),
    PLAN(FEATURE_DISTINCT, RULE_DISTINCT, "category", "", 0, 4, 6, 20, DAYS(3)),
    PLAN(FEATURE_DISTINCT, RULE_DISTINCT, "category", "", DAYS(7), 65, 90, 300, DAYS(8)),
    PLAN(FEATURE_KEYED, RULE_MAX_COUNT, "", "category", DAYS(1), 4, 4, 24, DAYS(2)),
    PLAN(FEATURE_KEYED, RULE_MAX_COUNT, "", "category", DAYS(3), 3, 90, 400, DAYS(4)),
    PLAN(FEATURE_KEYED, RULE_MAX_COUNT, "price", "category", 0, 5, 70, 200, DAYS(4)),
    PLAN(FEATURE_WINDOW, RULE_SUM, "price", "", DAYS(1), 0, 4, 30, DAYS(2)),
    PLAN(FEATURE_WINDOW, RULE_SUM, "price", "", DAYS(7), 0, 4, 850, DAYS(8)),
    PLAN(FEATURE_WINDOW, RULE_AVG, "price", "", DAYS(2), 0, 4, 150, DAYS(3)),
    PLAN(FEATURE_WINDOW, RULE_MIN, "price", "", DAYS(30), 0, 4, 150, DAYS(34)),
    PLAN(FEATURE_WINDOW, RULE_MAX, "price", "", DAYS(2), 0, 4, 80, DAYS(3)),
    PLAN(FEATURE_WINDOW, RULE_COUNT, "", "", DAYS(300), 0, 4, 400, DAYS(310)),
    PLAN(FEATURE_WINDOW, RULE_SUM, "price", "", 0, 0, 4, 300, DAYS(200)),
    PLAN(FEATURE_TOTAL, RULE_COUNT, "", "", 0, 0, 4, 30, DAYS(30)),
    PLAN(FEATURE_TOTAL, RULE_SUM, "price", "", 0, 0, 4, 30, DAYS(30)),
    PLAN(FEATURE_TOTAL, RULE_AVG, "price", "", 0, 0, 4, 30, DAYS(30)),
    PLAN(FEATURE_TOTAL, RULE_MIN, "price", "", 0, 0, 4, 9, DAYS(30)),
    PLAN(FEATURE_TOTAL, RULE_MAX, "price", "", 0, 0, 4, 9, DAYS(30)),
    PLAN(FEATURE_EDGE, RULE_FIRST, "", "", 0, 0, 4, 9, DAYS(1)),
    PLAN(FEATURE_EDGE, RULE_LAST, "price", "", 0, 0, 4, 9, DAYS(1)),
    PLAN(FEATURE_EDGE, RULE_LAST, "category", "", DAYS(1), 0, 4, 9, DAYS(2)),
    PLAN(FEATURE_EDGE, RULE_FIRST, "category", "", DAYS(1), 0, 4, 9, DAYS(2)),
};

static uint32_t draw(struct trial *trial, uint32_t below)
{
    trial->state ^= trial->state << 13;
    trial->state ^= trial->state >> 7;
    trial->state ^= trial->state << 17;
    return (uint32_t)((trial->state >> 16) % below);
}

static void fail_trial(const struct trial *trial, const char *why)
{
    printf("seed %llu, plan %zu: %s\n", (unsigned long long)trial->seed,
           (size_t)(trial->plan - plans), why);
    exit(1);
}

/* --- facts -------------------------------------------------------------------- */

static void view_of(const struct trial *trial, const struct fact *fact, struct property_view *view)
{
    struct str json = fact->price == INT64_MIN
                          ? str_printf(trial->arena, "{\"category\":\"c%u\"}", fact->key)
                          : str_printf(trial->arena, "{\"price\":%lld,\"category\":\"c%u\"}",
                                       (long long)fact->price, fact->key);
    *view = (struct property_view){
        .type = EVENT_PRODUCT_VIEWED,
        .name = STR("product.viewed"),
        .id = fact->id,
        .at_ms = fact->at_ms,
        .properties_json = json,
    };
}

static void generate(struct trial *trial)
{
    trial->count = 1 + draw(trial, trial->plan->facts_max);
    uint32_t ticks = (uint32_t)(trial->plan->span_ms / TICK_MS);
    for (size_t i = 0; i < trial->count; i++) {
        struct fact *fact = &trial->facts[i];
        *fact = (struct fact){
            .at_ms = START_MS - draw(trial, ticks) * TICK_MS,
            .price = draw(trial, 12) == 0 ? INT64_MIN : (int64_t)draw(trial, 40) - 5,
            .key = draw(trial, trial->plan->keys),
            .side = draw(trial, 2),
        };
        if (draw(trial, 3) == 0) {
            fact->at_ms -= draw(trial, (uint32_t)TICK_MS);
        } else if (draw(trial, 12) == 0) {
            fact->at_ms = START_MS;
        }
        for (size_t j = 0; j < 4; j++) {
            fact->id.bytes[j] = (uint8_t)draw(trial, 256);
        }
        fact->id.bytes[15] = (uint8_t)i;
        fact->id.bytes[14] = (uint8_t)(i >> 8);
    }
    trial->now_ms = START_MS + draw(trial, 3) * TICK_MS;
}

static void shuffle(struct trial *trial, size_t *order, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t j = draw(trial, (uint32_t)i);
        size_t swapped = order[i - 1];
        order[i - 1] = order[j];
        order[j] = swapped;
    }
}

static int compare_facts(const struct fact *a, const struct fact *b)
{
    if (a->at_ms != b->at_ms) {
        return a->at_ms < b->at_ms ? -1 : 1;
    }
    return id_compare(a->id, b->id);
}

static void sort_by_time(const struct trial *trial, size_t *order, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        size_t moved = order[i];
        size_t j = i;
        while (j > 0 && compare_facts(&trial->facts[moved], &trial->facts[order[j - 1]]) < 0) {
            order[j] = order[j - 1];
            j--;
        }
        order[j] = moved;
    }
}

/* --- the oracle --------------------------------------------------------------- */

struct question {
    int64_t after_ms;
    int64_t at_ms;   /* facts after it do not count */
    int64_t edge_ms; /* the instant of the window's upper end */
};

static bool counts(const struct trial *trial, const struct fact *fact, struct question question)
{
    const struct feature *feature = trial->feature;
    bool needs_price = str_equal(feature->property, STR("price"));
    return !fact->is_gone && fact->at_ms > question.after_ms && fact->at_ms <= question.at_ms &&
           (feature->within_ms == 0 || fact->at_ms > question.edge_ms - feature->within_ms) &&
           (!needs_price || fact->price != INT64_MIN);
}

struct tally {
    int64_t count;
    int64_t sum;
    int64_t least;
    int64_t greatest;
    int64_t keys[100];
    const struct fact *first;
    const struct fact *last;
};

static void tally_up(const struct trial *trial, struct question question, struct tally *tally)
{
    *tally = (struct tally){ .least = INT64_MAX, .greatest = INT64_MIN };
    for (size_t i = 0; i < trial->count; i++) {
        const struct fact *fact = &trial->facts[i];
        if (!counts(trial, fact, question)) {
            continue;
        }
        tally->count++;
        tally->keys[fact->key]++;
        if (fact->price != INT64_MIN) {
            tally->sum += fact->price;
            tally->least = fact->price < tally->least ? fact->price : tally->least;
            tally->greatest = fact->price > tally->greatest ? fact->price : tally->greatest;
        }
        bool is_first = tally->first == NULL || compare_facts(fact, tally->first) < 0;
        bool is_last = tally->last == NULL || compare_facts(fact, tally->last) > 0;
        tally->first = is_first ? fact : tally->first;
        tally->last = is_last ? fact : tally->last;
    }
}

static struct rule_value number(int64_t units)
{
    return (struct rule_value){ .type = RULE_NUMBER, .number = units * RULE_NUMBER_ONE };
}

static struct rule_value value_of_fact(const struct trial *trial, const struct fact *fact)
{
    if (fact == NULL) {
        return RULE_VALUE_NULL;
    }
    if (trial->feature->property.size == 0) {
        return (struct rule_value){ .type = RULE_INSTANT, .ms = fact->at_ms };
    }
    if (str_equal(trial->feature->property, STR("price"))) {
        return number(fact->price);
    }
    return (struct rule_value){ .type = RULE_TEXT,
                                .text = str_printf(trial->arena, "c%u", fact->key) };
}

static struct rule_value key_value(const struct trial *trial, const struct tally *tally)
{
    int64_t distinct = 0;
    int64_t most = 0;
    for (size_t i = 0; i < ARRAY_COUNT(tally->keys); i++) {
        distinct += tally->keys[i] > 0 ? 1 : 0;
        most = tally->keys[i] > most ? tally->keys[i] : most;
    }
    return number(trial->feature->function == RULE_DISTINCT ? distinct : most);
}

static struct rule_value oracle(const struct trial *trial, struct question question)
{
    struct tally tally;
    tally_up(trial, question, &tally);
    struct rule_value average = { .type = RULE_NUMBER };
    switch (trial->feature->function) {
    case RULE_COUNT:
        return number(tally.count);
    case RULE_SUM:
        return number(tally.sum);
    case RULE_AVG:
        return rule_number_ratio(tally.sum, tally.count, &average.number) ? average
                                                                          : RULE_VALUE_NULL;
    case RULE_MIN:
        return tally.count > 0 ? number(tally.least) : RULE_VALUE_NULL;
    case RULE_MAX:
        return tally.count > 0 ? number(tally.greatest) : RULE_VALUE_NULL;
    case RULE_FIRST:
        return value_of_fact(trial, tally.first);
    case RULE_LAST:
        return value_of_fact(trial, tally.last);
    case RULE_DISTINCT:
    case RULE_MAX_COUNT:
        return key_value(trial, &tally);
    }
    return RULE_VALUE_NULL;
}

/* --- folding ------------------------------------------------------------------ */

static void add(struct trial *trial, struct feature_set *set, const struct fact *fact,
                int64_t now_ms)
{
    struct property_view view;
    view_of(trial, fact, &view);
    assert(feature_matches(trial->arena, trial->feature, &view));
    assert(feature_add(trial->arena, set, trial->feature, &view, now_ms));
}

static void take(struct trial *trial, struct feature_set *set, const struct fact *fact,
                 int64_t now_ms)
{
    struct property_view view;
    view_of(trial, fact, &view);
    assert(feature_remove(trial->arena, set, trial->feature, &view, now_ms));
}

/* As if the profile had been stored and loaded. */
static void store(struct trial *trial, struct feature_set *set)
{
    struct buf buf;
    struct buf again;
    struct feature_set loaded;
    buf_init(&buf, trial->arena, 65536);
    buf_init(&again, trial->arena, 65536);
    assert(feature_set_encode(trial->arena, set, &buf));
    if (buf_str(&buf).size > feature_bytes_max(trial->feature) + 1) {
        fail_trial(trial, "larger than it can be");
    }
    assert(feature_set_decode(trial->arena, buf_str(&buf), &loaded));
    assert(feature_set_encode(trial->arena, &loaded, &again));
    assert(str_equal(buf_str(&buf), buf_str(&again)));
    *set = loaded;
}

/* All at once, at the end: what hydrating does. */
static struct feature_set hydrated(struct trial *trial)
{
    struct feature_set set = { 0 };
    for (size_t i = 0; i < trial->count; i++) {
        if (!trial->facts[i].is_gone) {
            add(trial, &set, &trial->facts[i], trial->now_ms);
        }
    }
    return set;
}

static void must_equal(struct trial *trial, const struct feature_set *a,
                       const struct feature_set *b, const char *why)
{
    if (!feature_equal(trial->arena, trial->feature, feature_find(a, trial->feature->number),
                       feature_find(b, trial->feature->number), trial->now_ms)) {
        fail_trial(trial, why);
    }
}

static bool is_incomplete(const struct trial *trial, const struct feature_set *set)
{
    const struct feature_state *state = feature_find(set, trial->feature->number);
    return state != NULL && state->is_incomplete;
}

/* Each arrives some time after it happened, and the clock goes on. */
static struct feature_set arrive(struct trial *trial, size_t *order, bool is_stored)
{
    struct feature_set set = { 0 };
    int64_t now_ms = INSTANT_FIRST_MS;
    for (size_t i = 0; i < trial->count; i++) {
        const struct fact *fact = &trial->facts[order[i]];
        now_ms = fact->at_ms > now_ms ? fact->at_ms : now_ms;
        add(trial, &set, fact, now_ms);
        if (is_stored && draw(trial, 5) == 0) {
            store(trial, &set);
        }
    }
    return set;
}

/* The first of a window has left it, and the next is only known by hydrating. */
static bool knows_its_first(struct trial *trial, const struct feature_set *set)
{
    struct feature_reading reading;
    if (trial->feature->function != RULE_FIRST || trial->feature->within_ms == 0) {
        return true;
    }
    assert(feature_read(trial->arena, trial->feature, feature_find(set, trial->feature->number),
                        INSTANT_NONE, trial->now_ms, &reading));
    return !reading.at_least;
}

static void check_order(struct trial *trial)
{
    size_t order[FACTS_MAX];
    for (size_t i = 0; i < trial->count; i++) {
        order[i] = i;
    }
    sort_by_time(trial, order, trial->count);
    struct feature_set in_order = arrive(trial, order, false);
    struct feature_set at_once = hydrated(trial);
    if (knows_its_first(trial, &in_order)) {
        must_equal(trial, &in_order, &at_once, "folded in order and hydrated differ");
    }
    /* Some late, by some places. */
    for (size_t i = 0; i < trial->count / 4; i++) {
        size_t from = draw(trial, (uint32_t)trial->count);
        size_t to = from + draw(trial, 30);
        size_t moved = order[from];
        while (from < to && from + 1 < trial->count) {
            order[from] = order[from + 1];
            from++;
        }
        order[from] = moved;
    }
    struct feature_set late = arrive(trial, order, true);
    if (knows_its_first(trial, &late)) {
        must_equal(trial, &late, &at_once, "late arrivals make a difference");
    }
    shuffle(trial, order, trial->count);
    struct feature_set shuffled = arrive(trial, order, true);
    if (knows_its_first(trial, &shuffled)) {
        must_equal(trial, &shuffled, &at_once, "the order of arrival makes a difference");
    }
}

static void check_merge(struct trial *trial)
{
    struct feature_set sides[2] = { { 0 }, { 0 } };
    struct feature_set all = hydrated(trial);
    for (size_t i = 0; i < trial->count; i++) {
        if (!trial->facts[i].is_gone) {
            add(trial, &sides[trial->facts[i].side], &trial->facts[i], trial->now_ms);
        }
    }
    if (draw(trial, 2) == 0) {
        store(trial, &sides[1]);
    }
    assert(feature_absorb(trial->arena, &sides[0], trial->feature, &sides[1], trial->now_ms));
    must_equal(trial, &sides[0], &all, "merged and hydrated differ");
}

/* Orders are cancelled, and change. */
static void check_removal(struct trial *trial, struct feature_set *set)
{
    *set = hydrated(trial);
    for (size_t i = 0; i < trial->count; i++) {
        struct fact *fact = &trial->facts[i];
        uint32_t fate = draw(trial, 12);
        if (fate > 1 || (fate == 0 && trial->count > 60 && draw(trial, 20) > 0)) {
            continue;
        }
        take(trial, set, fact, trial->now_ms);
        if (draw(trial, 3) == 0) {
            store(trial, set);
        }
        fact->is_gone = fate == 0;
        if (fate == 1) {
            fact->price += fact->price != INT64_MIN ? draw(trial, 3) : 0;
            add(trial, set, fact, trial->now_ms);
        }
        if (is_incomplete(trial, set)) {
            trial->incomplete_count++;
            continue;
        }
        struct feature_set fresh = hydrated(trial);
        must_equal(trial, set, &fresh, "complete after a removal, but not as hydrated");
    }
}

/* --- asking ------------------------------------------------------------------- */

static bool compare(struct rule_value value, enum rule_op op, struct rule_value constant)
{
    int order = 0;
    if (value.type == RULE_NULL) {
        return false;
    }
    if (op == RULE_OP_EQ || op == RULE_OP_NE) {
        return rule_value_equal(value, constant) == (op == RULE_OP_EQ);
    }
    assert(rule_value_compare(value, constant, &order));
    return op == RULE_OP_LT   ? order < 0
           : op == RULE_OP_LE ? order <= 0
           : op == RULE_OP_GT ? order > 0
                              : order >= 0;
}

static bool is_counted(const struct feature *feature)
{
    return feature->form == FEATURE_NEWEST || feature->form == FEATURE_DISTINCT ||
           feature->form == FEATURE_KEYED;
}

static void check_reading(struct trial *trial, const struct feature_state *state,
                          struct question question, struct feature_reading *reading)
{
    struct rule_value expected = oracle(trial, question);
    assert(feature_read(trial->arena, trial->feature, state, question.after_ms, question.at_ms,
                        reading));
    bool is_equal = rule_value_equal(reading->value, expected) ||
                    (reading->value.type == RULE_NULL && expected.type == RULE_NULL);
    if (!reading->at_least && !is_equal) {
        fail_trial(trial, "another value than the oracle's");
    }
    if (reading->at_least && is_counted(trial->feature) && !state->is_incomplete &&
        reading->value.number > expected.number) {
        fail_trial(trial, "at least more than there are");
    }
    trial->at_least_count += reading->at_least ? 1 : 0;
}

/* A constant near the value, within what the feature was made for. */
static struct rule_value constant_for(struct trial *trial, struct rule_value value)
{
    const struct feature *feature = trial->feature;
    if (is_counted(feature)) {
        struct rule_value constant = number(draw(trial, feature->keep));
        constant.number -= draw(trial, 4) == 0 ? RULE_NUMBER_ONE / 2 : 0;
        return constant;
    }
    if (value.type == RULE_NUMBER) {
        value.number += ((int64_t)draw(trial, 7) - 3) * RULE_NUMBER_ONE;
    } else if (value.type == RULE_INSTANT) {
        value.ms += (int64_t)draw(trial, 3) - 1;
    } else if (value.type == RULE_NULL) {
        value = number(draw(trial, 5));
    }
    return value;
}

/* May the feature be held to the oracle's verdict? */
static bool is_exact(const struct trial *trial, const struct feature_state *state,
                     const struct feature_reading *reading, struct question question)
{
    struct tally tally;
    tally_up(trial, question, &tally);
    if (state != NULL && state->is_incomplete) {
        return false;
    }
    switch (trial->feature->form) {
    case FEATURE_NEWEST:
    case FEATURE_DISTINCT:
        /* As of the past the newest are not those that were the newest then. */
        return !reading->at_least || question.at_ms >= trial->now_ms;
    case FEATURE_KEYED:
        return !reading->at_least || trial->plan->keys < FEATURE_KEYS_MAX;
    case FEATURE_WINDOW:
        return !reading->at_least && tally.count <= FEATURE_EXACT_MAX;
    case FEATURE_TOTAL:
    case FEATURE_EDGE:
        return !reading->at_least;
    }
    return false;
}

static bool is_exact_at_until(const struct trial *trial)
{
    return trial->feature->form != FEATURE_EDGE || trial->feature->function != RULE_FIRST;
}

static void check_comparison(struct trial *trial, const struct feature_state *state,
                             struct question question, const struct feature_reading *reading)
{
    static const enum rule_op ops[] = { RULE_OP_EQ, RULE_OP_NE, RULE_OP_LT,
                                        RULE_OP_LE, RULE_OP_GT, RULE_OP_GE };
    enum rule_op op = ops[draw(trial, ARRAY_COUNT(ops))];
    struct rule_value constant = constant_for(trial, reading->value);
    bool verdict = false;
    int64_t until_ms = 0;
    assert(feature_compare(trial->arena, trial->feature, state, question.after_ms, op, constant,
                           question.at_ms, &verdict, &until_ms));
    if (until_ms <= question.at_ms) {
        fail_trial(trial, "until has passed");
    }
    if (!is_exact(trial, state, reading, question)) {
        return;
    }
    int64_t end_ms = until_ms < INSTANT_NEVER ? until_ms : question.at_ms + DAYS(400);
    for (int i = 0; i < PROBES; i++) {
        struct question later = question;
        uint32_t minutes = (uint32_t)((end_ms - question.at_ms) / INSTANT_MINUTE_MS) + 1;
        later.edge_ms = i == 0   ? question.at_ms
                        : i == 1 ? end_ms - 1
                                 : question.at_ms + draw(trial, minutes) * INSTANT_MINUTE_MS;
        if (later.edge_ms < end_ms && compare(oracle(trial, later), op, constant) != verdict) {
            fail_trial(trial, "the oracle has another verdict before until");
        }
    }
    struct question then = question;
    then.edge_ms = until_ms;
    if (until_ms < INSTANT_NEVER && is_exact_at_until(trial) &&
        compare(oracle(trial, then), op, constant) == verdict) {
        fail_trial(trial, "the oracle has the same verdict at until");
    }
}

/* What the state itself says later is what it said it would say. */
static void check_until(struct trial *trial, const struct feature_state *state, int64_t at_ms)
{
    struct feature_reading reading;
    bool verdict = false;
    bool later = false;
    int64_t until_ms = 0;
    int64_t ignored_ms = 0;
    assert(feature_read(trial->arena, trial->feature, state, INSTANT_NONE, at_ms, &reading));
    struct rule_value constant = constant_for(trial, reading.value);
    assert(feature_compare(trial->arena, trial->feature, state, INSTANT_NONE, RULE_OP_GT, constant,
                           at_ms, &verdict, &until_ms));
    if (until_ms == INSTANT_NEVER || !is_exact_at_until(trial)) {
        return;
    }
    assert(feature_compare(trial->arena, trial->feature, state, INSTANT_NONE, RULE_OP_GT, constant,
                           until_ms - 1, &later, &ignored_ms));
    if (later != verdict) {
        fail_trial(trial, "turned before until");
    }
    assert(feature_compare(trial->arena, trial->feature, state, INSTANT_NONE, RULE_OP_GT, constant,
                           until_ms, &later, &ignored_ms));
    if (later == verdict) {
        fail_trial(trial, "did not turn at until");
    }
}

static void check_answers(struct trial *trial, const struct feature_set *set)
{
    const struct feature_state *state = feature_find(set, trial->feature->number);
    uint32_t ticks = (uint32_t)(trial->plan->span_ms / TICK_MS);
    for (int i = 0; i < PROBES; i++) {
        struct question question = { .after_ms = INSTANT_NONE };
        question.at_ms = trial->now_ms + draw(trial, ticks) * TICK_MS;
        if (trial->feature->within_ms == 0 && trial->feature->form != FEATURE_TOTAL &&
            draw(trial, 3) == 0) {
            /* As of an instant of the past, at the edge of a fact. */
            question.at_ms = trial->facts[draw(trial, (uint32_t)trial->count)].at_ms;
            question.at_ms -= draw(trial, 2);
        }
        bool has_after = trial->feature->form != FEATURE_TOTAL && draw(trial, 3) == 0;
        if (has_after) {
            question.after_ms = START_MS - draw(trial, ticks) * TICK_MS;
        }
        question.edge_ms = question.at_ms;
        struct feature_reading reading;
        check_reading(trial, state, question, &reading);
        check_comparison(trial, state, question, &reading);
        check_until(trial, state, question.at_ms);
    }
}

/* --- the run ------------------------------------------------------------------ */

static void run(uint64_t seed, size_t *incomplete, size_t *at_least)
{
    static struct trial trial;
    for (size_t i = 0; i < ARRAY_COUNT(plans); i++) {
        CLEANUP(arena_destroy_at) struct arena *arena = arena_create(512u * 1024 * 1024);
        trial = (struct trial){
            .seed = seed,
            .state = seed * 0x9e3779b97f4a7c15u + i + 1,
            .arena = arena,
            .plan = &plans[i],
            .feature = &plans[i].feature,
        };
        generate(&trial);
        check_order(&trial);
        check_merge(&trial);
        struct feature_set set = hydrated(&trial);
        check_answers(&trial, &set);
        check_removal(&trial, &set);
        check_answers(&trial, &set);
        assert(!arena_is_full(arena));
        incomplete[i] += trial.incomplete_count;
        at_least[i] += trial.at_least_count;
    }
}

int main(void)
{
    const struct seeds seeds = seeds_of(SEEDS);
    size_t incomplete[ARRAY_COUNT(plans)] = { 0 };
    size_t at_least[ARRAY_COUNT(plans)] = { 0 };
    for (uint64_t seed = seeds.first; seed <= seeds.last; seed += seeds.step) {
        run(seed, incomplete, at_least);
    }
    for (size_t i = 0; i < ARRAY_COUNT(plans); i++) {
        printf("plan %zu: %zu times incomplete, %zu times at least\n", i, incomplete[i],
               at_least[i]);
    }
    return 0;
}
