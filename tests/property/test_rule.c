#undef NDEBUG

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/instant.h"
#include "core/profile/profile.h"
#include "core/rule/feature.h"
#include "core/rule/program.h"
#include "core/rule/property.h"
#include "core/rule/ruleset.h"
#include "core/rule/verdict.h"

/*
 * A compiled program says what the tree says, and says it for as long as it
 * promised.
 *
 * The oracle below walks the tree by recursion and answers from the raw facts:
 * a list of events, a few attributes, half of them missing. It knows no steps,
 * no features and no "until". Against it, for random trees and profiles:
 *
 *   - the verdict, and the value of every node, at several instants;
 *   - that the oracle gives the same verdict at every instant tried before
 *     "until", the last millisecond among them;
 *   - that it gives another one at "until" itself for the comparisons whose edge
 *     is documented to be exact;
 *   - de Morgan's laws, with their untils;
 *   - a rule that need not be asked of who keeps none of its features is false of
 *     them, for ever.
 */

enum {
    SEEDS = 400,
    TREES = 60,
    RULESETS = 4,
    EVENTS_MAX = 30,
    INSTANTS = 12,
    DEPTH_MAX = 5,
};

#define NOW_MS INT64_C(1795356300000) /* 2026-11-22T14:05:00Z */

/* --- random things ----------------------------------------------------------- */

static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 16) % below);
}

#define PICK(array) ((array)[draw((uint32_t)ARRAY_COUNT(array))])

static const int64_t durations[] = {
    INSTANT_HOUR_MS,     INSTANT_DAY_MS,      2 * INSTANT_DAY_MS,  7 * INSTANT_DAY_MS,
    30 * INSTANT_DAY_MS, 60 * INSTANT_DAY_MS, 90 * INSTANT_DAY_MS, 180 * INSTANT_DAY_MS,
};

/* Windows and ages asked for: mostly longer, so that there is something to leave. */
static int64_t draw_span(void)
{
    return draw(3) > 0 ? PICK(durations) + PICK(durations) : PICK(durations);
}

/* In the past, so that edges of the durations above fall near NOW. */
static int64_t draw_past(void)
{
    int64_t ms = NOW_MS - PICK(durations) + (int64_t)draw(3) - 1;
    ms -= (int64_t)draw(4) * INSTANT_HOUR_MS;
    return ms < NOW_MS ? ms : NOW_MS - 1;
}

/* --- the world of one profile -------------------------------------------------- */

struct fact {
    enum event_type type;
    int64_t at_ms;
    bool has_price;
    int64_t price;        /* millionths */
    const char *category; /* NULL: none */
    struct event event;
};

static struct arena *arena;
static struct arena *scratch;
static struct fact facts[EVENTS_MAX];
static size_t fact_count;
static struct profile profile;
static struct rule_subject subject;
static struct statistics statistics;

static const char *const categories[] = { "Shoes", "Hats", "Coats" };

static void make_event(struct fact *fact, size_t number)
{
    static const enum event_type types[] = { EVENT_PRODUCT_VIEWED, EVENT_CART_PRODUCT_ADDED };
    *fact = (struct fact){
        .type = draw(3) > 0 ? types[0] : types[1],
        .at_ms = draw_past(),
        .has_price = draw(3) > 0,
        .price = (int64_t)draw(40) * (RULE_NUMBER_ONE / 2),
        .category = draw(4) > 0 ? PICK(categories) : NULL,
    };
    char price[40] = "";
    if (fact->has_price) {
        snprintf(price, sizeof(price), "\"price\":%d.%d,", (int)(fact->price / RULE_NUMBER_ONE),
                 (int)(fact->price % RULE_NUMBER_ONE / 100000));
    }
    struct str category = STR("null");
    if (fact->category != NULL) {
        category = str_printf(arena, "\"%s\"", fact->category);
    }
    fact->event = (struct event){
        .type = fact->type,
        .name = str_from_z(event_type_info(fact->type)->name),
        .occurred_at_ms = fact->at_ms,
        .received_at_ms = NOW_MS,
        .category = fact->category == NULL ? (struct str){ 0 } : str_from_z(fact->category),
        .properties_json =
            str_printf(arena, "{%s\"category\":%.*s,\"n\":%zu}", price, STR_ARG(category), number),
    };
    fact->event.id.bytes[0] = (uint8_t)(number + 1);
}

static const char *const trait_keys[] = { "a", "b", "c", "d" };
static const char *const trait_values[] = {
    "null",
    "\"Shoes\"",
    "\"hats\"",
    "7",
    "7.5",
    "true",
    "\"7\"",
    "[\"Shoes\",\"x\"]",
    "\"1990-02-28\"",
    "\"2026-11-20T14:05:00Z\"",
    "\"\"",
};

static void make_facts_of_profile(void)
{
    struct profile_fact *list =
        ARENA_NEW_ARRAY(arena, ARRAY_COUNT(trait_keys) + 1, struct profile_fact);
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_COUNT(trait_keys); i++) {
        if (draw(4) > 0) {
            list[count++] = (struct profile_fact){
                .kind = FACT_TRAIT,
                .key = str_from_z(trait_keys[i]),
                .value_json = str_from_z(PICK(trait_values)),
            };
        }
    }
    if (draw(2) == 0) {
        list[count++] = (struct profile_fact){ .kind = FACT_CONSENT,
                                               .key = STR("email"),
                                               .value_json = STR("\"subscribed\"") };
    }
    profile.facts = list;
    profile.fact_count = count;
}

static void make_profile(void)
{
    struct id id = { { 1 } };
    profile_init(&profile, id, draw_past());
    profile.first_seen_at_ms = draw_past();
    profile.last_seen_at_ms = draw(3) > 0 ? draw_past() : INSTANT_NONE;
    profile.signed_up_at_ms = draw(2) > 0 ? draw_past() : INSTANT_NONE;
    profile.identified = draw(2) > 0;
    profile.orders = (struct profile_orders){
        .first_at_ms = INSTANT_NONE,
        .last_at_ms = INSTANT_NONE,
    };
    if (draw(2) > 0) {
        profile.orders.count = 1 + draw(5);
        profile.orders.foreign_count = draw(2);
        profile.orders.gross_minor = draw(50000);
        profile.orders.last_at_ms = draw_past();
        profile.orders.first_at_ms = profile.orders.last_at_ms;
    }
    make_facts_of_profile();
    fact_count = draw(4) > 0 ? EVENTS_MAX - draw(10) : draw(EVENTS_MAX);
    for (size_t i = 0; i < fact_count; i++) {
        make_event(&facts[i], i);
    }
    indicators_init(&profile.indicators);
    for (uint32_t i = draw(6); i > 0; i--) {
        struct event mail = {
            .type = draw(2) > 0 ? EVENT_EMAIL_OPENED : EVENT_EMAIL_CLICKED,
            .occurred_at_ms = draw_past(),
            .properties_json = STR("{}"),
        };
        mail.name = str_from_z(event_type_info(mail.type)->name);
        mail.id.bytes[0] = (uint8_t)i;
        bool failed = false;
        indicators_add_event(arena, &profile.indicators, &mail, &failed);
        assert(!failed);
    }
}

/* --- random trees ---------------------------------------------------------------- */

static struct rule_node *node_of(enum rule_op op, enum rule_type type, struct rule_node *left,
                                 struct rule_node *right)
{
    struct rule_node *node = ARENA_NEW(arena, struct rule_node);
    assert(node != NULL);
    node->op = op;
    node->type = type;
    node->left = left;
    node->right = right;
    return node;
}

static struct rule_node *literal_of(struct rule_value value)
{
    struct rule_node *node = node_of(RULE_OP_LITERAL, value.type, NULL, NULL);
    node->literal = value;
    return node;
}

static struct rule_node *number_literal(int64_t number)
{
    return literal_of((struct rule_value){ .type = RULE_NUMBER, .number = number });
}

static struct rule_node *bool_literal(void)
{
    return literal_of((struct rule_value){ .type = RULE_BOOL, .boolean = draw(2) > 0 });
}

static struct rule_node *text_literal(const char *text)
{
    return literal_of((struct rule_value){ .type = RULE_TEXT, .text = str_from_z(text) });
}

static struct rule_node *name_of(enum rule_attribute attribute, enum rule_type type,
                                 const char *key)
{
    struct rule_node *node = node_of(RULE_OP_NAME, type, NULL, NULL);
    node->name = (struct rule_name){ attribute, str_from_z(key) };
    return node;
}

static struct rule_node *random_instant_name(void)
{
    static const enum rule_attribute names[] = {
        RULE_FIRST_SEEN_AT, RULE_LAST_SEEN_AT,   RULE_SIGNED_UP_AT,
        RULE_CREATED_AT,    RULE_ORDERS_LAST_AT,
    };
    return name_of(PICK(names), RULE_INSTANT, "");
}

static struct rule_node *random_trait(void)
{
    return name_of(RULE_TRAIT, RULE_NULL, PICK(trait_keys));
}

static struct rule_node *random_where(void)
{
    struct rule_node *category = name_of(RULE_PROPERTY, RULE_TEXT, "category");
    struct rule_node *price = name_of(RULE_PROPERTY, RULE_NUMBER, "price");
    struct rule_node *is_shoes =
        node_of(RULE_OP_EQ, RULE_BOOL, category, text_literal(PICK(categories)));
    struct rule_node *is_dear =
        node_of(RULE_OP_GT, RULE_BOOL, price, number_literal((int64_t)draw(20) * RULE_NUMBER_ONE));
    switch (draw(10)) {
    case 0:
        return is_shoes;
    case 1:
        return is_dear;
    case 2:
        return node_of(RULE_OP_AND, RULE_BOOL, is_shoes, is_dear);
    case 3:
        return node_of(RULE_OP_NOT, RULE_BOOL, node_of(RULE_OP_IS_SET, RULE_BOOL, price, NULL),
                       NULL);
    default:
        return NULL;
    }
}

static struct rule_node *aggregate_of(enum rule_aggregate function, enum rule_type type)
{
    struct rule_node *node = node_of(RULE_OP_AGGREGATE, type, NULL, NULL);
    struct rule_aggregation *aggregation = ARENA_NEW(arena, struct rule_aggregation);
    aggregation->function = function;
    aggregation->event_type = draw(3) > 0 ? EVENT_PRODUCT_VIEWED : EVENT_CART_PRODUCT_ADDED;
    aggregation->event_name = str_from_z(event_type_info(aggregation->event_type)->name);
    aggregation->where = random_where();
    aggregation->within_ms = draw(4) > 0 ? draw_span() : 0;
    node->aggregation = aggregation;
    return node;
}

static struct rule_node *random_after(void)
{
    if (draw(2) > 0) {
        return random_instant_name();
    }
    struct rule_node *last = aggregate_of(RULE_LAST, RULE_INSTANT);
    last->aggregation->within_ms = 0;
    return last;
}

static struct rule_node *random_count(void)
{
    struct rule_node *node = aggregate_of(RULE_COUNT, RULE_NUMBER);
    if (draw(4) == 0) {
        node->aggregation->after = random_after();
    }
    return node;
}

static struct rule_node *random_number_aggregate(void)
{
    static const enum rule_aggregate functions[] = { RULE_SUM, RULE_AVG,      RULE_MIN,
                                                     RULE_MAX, RULE_DISTINCT, RULE_MAX_COUNT };
    enum rule_aggregate function = PICK(functions);
    struct rule_node *node = aggregate_of(function, RULE_NUMBER);
    if (function == RULE_DISTINCT) {
        node->aggregation->property = STR("category");
    } else if (function == RULE_MAX_COUNT) {
        node->aggregation->by = STR("category");
    } else {
        node->aggregation->property = STR("price");
    }
    return node;
}

static struct rule_node *random_number_name(void)
{
    static const enum rule_attribute names[] = { RULE_ORDERS_COUNT, RULE_ORDERS_REVENUE,
                                                 RULE_ORDERS_AVERAGE_VALUE };
    return name_of(PICK(names), RULE_NUMBER, "");
}

static struct rule_node *random_date_node(enum rule_op op)
{
    struct rule_node *operand = draw(2) > 0 ? random_instant_name() : random_trait();
    return node_of(op, RULE_NUMBER, operand, NULL);
}

static struct rule_node *random_percentile(void)
{
    struct rule_node *node = node_of(RULE_OP_PERCENTILE, RULE_NUMBER,
                                     name_of(RULE_ORDERS_REVENUE, RULE_NUMBER, ""), NULL);
    node->percent = (draw(2) > 0 ? 50 : 60) * RULE_NUMBER_ONE; /* 60 was never computed */
    return node;
}

static struct rule_node *random_constant(void)
{
    static const int64_t small[] = { 0, 100000, 500000, 1000000, 2000000, 3000000 };
    if (draw(2) > 0) {
        return number_literal(PICK(small));
    }
    static const int64_t numbers[] = { 0,        1000000,   2000000,  2500000,  3000000,
                                       5000000,  7000000,   10000000, 18000000, -1000000,
                                       36000000, 300000000, 90000000 };
    return number_literal(PICK(numbers));
}

static struct rule_node *random_number(int depth)
{
    static const enum rule_op operations[] = { RULE_OP_ADD, RULE_OP_SUBTRACT, RULE_OP_MULTIPLY,
                                               RULE_OP_DIVIDE };
    switch (draw(depth > 0 ? 11 : 9)) {
    case 0:
        return random_constant();
    case 1:
        return random_number_name();
    case 2:
        return random_count();
    case 3:
        return random_number_aggregate();
    case 4:
        return random_date_node(RULE_OP_AGE_YEARS);
    case 5:
        return random_date_node(RULE_OP_DAYS_UNTIL);
    case 6:
        return name_of(RULE_ENGAGEMENT_SCORE, RULE_NUMBER, "");
    case 7:
        return random_trait();
    case 8:
        return random_percentile();
    case 9:
        return node_of(RULE_OP_NEGATE, RULE_NUMBER, random_number(depth - 1), NULL);
    default:
        return node_of(PICK(operations), RULE_NUMBER, random_number(depth - 1),
                       random_number(depth - 1));
    }
}

static const enum rule_op orders[] = { RULE_OP_EQ, RULE_OP_NE, RULE_OP_LT,
                                       RULE_OP_LE, RULE_OP_GT, RULE_OP_GE };

static struct rule_node *random_age(void)
{
    struct rule_node *age = node_of(RULE_OP_AGE, RULE_DURATION,
                                    draw(5) > 0 ? random_instant_name() : random_trait(), NULL);
    struct rule_node *duration =
        literal_of((struct rule_value){ .type = RULE_DURATION, .ms = draw_span() });
    return draw(4) > 0 ? node_of(PICK(orders), RULE_BOOL, age, duration)
                       : node_of(PICK(orders), RULE_BOOL, duration, age);
}

static struct rule_node *random_list(void)
{
    struct rule_value *items = ARENA_NEW_ARRAY(arena, 3, struct rule_value);
    items[0] = (struct rule_value){ .type = RULE_TEXT, .text = STR("Shoes") };
    items[1] = (struct rule_value){ .type = RULE_TEXT, .text = STR("7") };
    items[2] = (struct rule_value){ .type = RULE_TEXT, .text = STR("x") };
    if (draw(3) == 0) {
        items[0] = (struct rule_value){ .type = RULE_NUMBER, .number = 7500000 };
        items[1] = (struct rule_value){ .type = RULE_NUMBER, .number = 7000000 };
        items[2] = (struct rule_value){ .type = RULE_NUMBER, .number = -1 };
    }
    struct rule_value list = { .type = RULE_LIST };
    list.list.items = items;
    list.list.count = 1 + draw(3);
    return literal_of(list);
}

static struct rule_node *random_text_comparison(void)
{
    static const char *const words[] = { "Shoes", "shoes", "hats", "7", "", "x", "subscribed" };
    static const enum rule_op texts[] = { RULE_OP_EQ,          RULE_OP_NE,       RULE_OP_LIKE,
                                          RULE_OP_STARTS_WITH, RULE_OP_CONTAINS, RULE_OP_LT };
    struct rule_node *word = text_literal(PICK(words));
    switch (draw(5)) {
    case 0:
        return node_of(RULE_OP_IN, RULE_BOOL, random_trait(), random_list());
    case 1:
        return node_of(RULE_OP_IN, RULE_BOOL, word, random_trait());
    case 2:
        return node_of(RULE_OP_EQ, RULE_BOOL, name_of(RULE_CONSENT, RULE_TEXT, "email"), word);
    case 3:
        return node_of(PICK(orders), RULE_BOOL, random_trait(), random_trait());
    default:
        return node_of(PICK(texts), RULE_BOOL, random_trait(), word);
    }
}

static struct rule_node *random_stage(void)
{
    static const char *const levels[] = { "low", "medium", "high" };
    return node_of(draw(3) > 0 ? RULE_OP_EQ : RULE_OP_NE, RULE_BOOL,
                   name_of(RULE_ENGAGEMENT_LEVEL, RULE_TEXT, ""), text_literal(PICK(levels)));
}

/* What is documented to turn exactly at "until". */
static struct rule_node *random_exact(void)
{
    struct rule_node *moving = NULL;
    switch (draw(8)) {
    case 0:
        return random_age();
    case 1:
        moving = random_date_node(RULE_OP_AGE_YEARS);
        break;
    case 2:
        moving = random_date_node(RULE_OP_DAYS_UNTIL);
        break;
    case 3:
        return random_stage();
    case 4: {
        static const enum rule_op halves[] = { RULE_OP_LT, RULE_OP_LE, RULE_OP_GT, RULE_OP_GE };
        return node_of(PICK(halves), RULE_BOOL, name_of(RULE_ENGAGEMENT_SCORE, RULE_NUMBER, ""),
                       random_constant());
    }
    default:
        moving = random_count();
        return node_of(PICK(orders), RULE_BOOL, moving, number_literal(draw(8) * RULE_NUMBER_ONE));
    }
    return node_of(PICK(orders), RULE_BOOL, moving, random_constant());
}

static struct rule_node *random_bool(int depth)
{
    switch (draw(depth > 0 ? 10 : 6)) {
    case 0:
        return random_exact();
    case 1:
        return random_text_comparison();
    case 2:
        return node_of(RULE_OP_IS_SET, RULE_BOOL,
                       draw(2) > 0 ? random_trait() : random_instant_name(), NULL);
    case 3:
        return node_of(PICK(orders), RULE_BOOL, random_instant_name(), random_instant_name());
    case 4:
        return draw(2) > 0 ? name_of(RULE_IDENTIFIED, RULE_BOOL, "")
                           : node_of(RULE_OP_EQ, RULE_BOOL, random_trait(), bool_literal());
    case 5:
        return node_of(PICK(orders), RULE_BOOL, random_number(depth), random_number(depth));
    case 6:
        return node_of(RULE_OP_NOT, RULE_BOOL, random_bool(depth - 1), NULL);
    case 7:
        return node_of(RULE_OP_OR, RULE_BOOL, random_bool(depth - 1), random_bool(depth - 1));
    default:
        return node_of(RULE_OP_AND, RULE_BOOL, random_bool(depth - 1), random_bool(depth - 1));
    }
}

/* --- the oracle -------------------------------------------------------------------- */

static struct rule_value walk(const struct rule_node *node, int64_t at_ms, const struct fact *fact);

static struct rule_value bool_value(bool boolean)
{
    return (struct rule_value){ .type = RULE_BOOL, .boolean = boolean };
}

static struct rule_value number_value(int64_t number)
{
    return (struct rule_value){ .type = RULE_NUMBER, .number = number };
}

static struct rule_value instant_value(int64_t ms)
{
    return ms == INSTANT_NONE ? RULE_VALUE_NULL
                              : (struct rule_value){ .type = RULE_INSTANT, .ms = ms };
}

static bool walk_bool(const struct rule_node *node, int64_t at_ms, const struct fact *fact)
{
    struct rule_value value = walk(node, at_ms, fact);
    return value.type == RULE_BOOL && value.boolean;
}

static struct rule_value fact_json(enum fact_kind kind, struct str key)
{
    for (size_t i = 0; i < profile.fact_count; i++) {
        if (profile.facts[i].kind == kind && str_equal(profile.facts[i].key, key)) {
            return rule_value_from_json(scratch, profile.facts[i].value_json);
        }
    }
    return RULE_VALUE_NULL;
}

static struct rule_value walk_average(void)
{
    int64_t count = profile.orders.count - profile.orders.foreign_count;
    if (count == 0) {
        return RULE_VALUE_NULL;
    }
    int64_t minor = (2 * profile.orders.gross_minor + count) / (2 * count);
    return number_value(minor * 10000);
}

static struct rule_value walk_name(const struct rule_name *name, int64_t at_ms,
                                   const struct fact *fact)
{
    int64_t number = 0;
    int64_t until_ms = 0;
    switch ((int)name->attribute) {
    case RULE_PROPERTY:
        if (str_equal(name->key, STR("price"))) {
            return fact->has_price ? number_value(fact->price) : RULE_VALUE_NULL;
        }
        return fact->category == NULL
                   ? RULE_VALUE_NULL
                   : (struct rule_value){ .type = RULE_TEXT, .text = str_from_z(fact->category) };
    case RULE_IDENTIFIED:
        return bool_value(profile.identified);
    case RULE_CREATED_AT:
        return instant_value(profile.created_at_ms);
    case RULE_FIRST_SEEN_AT:
        return instant_value(profile.first_seen_at_ms);
    case RULE_LAST_SEEN_AT:
        return instant_value(profile.last_seen_at_ms);
    case RULE_SIGNED_UP_AT:
        return instant_value(profile.signed_up_at_ms);
    case RULE_ORDERS_LAST_AT:
        return instant_value(profile.orders.last_at_ms);
    case RULE_ORDERS_COUNT:
        return number_value(profile.orders.count * RULE_NUMBER_ONE);
    case RULE_ORDERS_REVENUE:
        return number_value(profile.orders.gross_minor * 10000);
    case RULE_ORDERS_AVERAGE_VALUE:
        return walk_average();
    case RULE_TRAIT:
        return fact_json(FACT_TRAIT, name->key);
    case RULE_CONSENT: {
        struct rule_value value = fact_json(FACT_CONSENT, name->key);
        return value.type == RULE_NULL
                   ? (struct rule_value){ .type = RULE_TEXT, .text = STR("never") }
                   : value;
    }
    case RULE_ENGAGEMENT_SCORE:
        return engagement_score(&profile.indicators, at_ms, &number) ? number_value(number)
                                                                     : RULE_VALUE_NULL;
    case RULE_ENGAGEMENT_LEVEL: {
        const char *level = engagement_level(&profile.indicators, at_ms, &until_ms);
        return level == NULL ? RULE_VALUE_NULL
                             : (struct rule_value){ .type = RULE_TEXT, .text = str_from_z(level) };
    }
    default:
        assert(false); /* the generator knows no other */
        return RULE_VALUE_NULL;
    }
}

/* The facts an aggregate is over, oldest first. */
static size_t walk_facts(const struct rule_aggregation *aggregation, int64_t at_ms,
                         const struct fact **list)
{
    int64_t after_ms = INSTANT_NONE;
    if (aggregation->after != NULL) {
        struct rule_value after = walk(aggregation->after, at_ms, NULL);
        if (after.type != RULE_INSTANT) {
            return 0;
        }
        after_ms = after.ms;
    }
    size_t count = 0;
    for (size_t i = 0; i < fact_count; i++) {
        const struct fact *fact = &facts[i];
        bool is_in =
            fact->type == aggregation->event_type && fact->at_ms <= at_ms &&
            fact->at_ms > after_ms &&
            (aggregation->within_ms == 0 || fact->at_ms > at_ms - aggregation->within_ms) &&
            (aggregation->where == NULL || walk_bool(aggregation->where, at_ms, fact));
        if (is_in) {
            size_t place = count++;
            for (; place > 0 && list[place - 1]->at_ms > fact->at_ms; place--) {
                list[place] = list[place - 1];
            }
            list[place] = fact;
        }
    }
    return count;
}

static int64_t count_by_category(const struct fact **list, size_t count, bool wants_most)
{
    int64_t distinct = 0;
    int64_t most = 0;
    for (size_t k = 0; k < ARRAY_COUNT(categories); k++) {
        int64_t of_key = 0;
        for (size_t i = 0; i < count; i++) {
            of_key += list[i]->category != NULL && strcmp(list[i]->category, categories[k]) == 0;
        }
        distinct += of_key > 0;
        most = of_key > most ? of_key : most;
    }
    return wants_most ? most : distinct;
}

static struct rule_value walk_prices(enum rule_aggregate function, const struct fact **list,
                                     size_t count)
{
    int64_t sum = 0;
    int64_t n = 0;
    int64_t least = INT64_MAX;
    int64_t most = INT64_MIN;
    for (size_t i = 0; i < count; i++) {
        if (list[i]->has_price) {
            sum += list[i]->price;
            n++;
            least = list[i]->price < least ? list[i]->price : least;
            most = list[i]->price > most ? list[i]->price : most;
        }
    }
    if (function == RULE_SUM) {
        return number_value(sum);
    }
    if (n == 0) {
        return RULE_VALUE_NULL;
    }
    if (function == RULE_AVG) {
        return number_value((2 * sum + n) / (2 * n));
    }
    return number_value(function == RULE_MIN ? least : most);
}

static struct rule_value walk_aggregate(const struct rule_aggregation *aggregation, int64_t at_ms)
{
    const struct fact *list[EVENTS_MAX];
    size_t count = walk_facts(aggregation, at_ms, list);
    switch (aggregation->function) {
    case RULE_COUNT:
        return number_value((int64_t)count * RULE_NUMBER_ONE);
    case RULE_DISTINCT:
        return number_value(count_by_category(list, count, false) * RULE_NUMBER_ONE);
    case RULE_MAX_COUNT:
        return number_value(count_by_category(list, count, true) * RULE_NUMBER_ONE);
    case RULE_FIRST:
        return instant_value(count == 0 ? INSTANT_NONE : list[0]->at_ms);
    case RULE_LAST:
        return instant_value(count == 0 ? INSTANT_NONE : list[count - 1]->at_ms);
    case RULE_SUM:
    case RULE_AVG:
    case RULE_MIN:
    case RULE_MAX:
        return walk_prices(aggregation->function, list, count);
    }
    return RULE_VALUE_NULL;
}

/* Day by day, from the calendar. */
static struct rule_value walk_years(struct rule_value operand, int64_t at_ms)
{
    struct rule_value date = rule_value_as(scratch, operand, RULE_DATE);
    struct rule_value instant = rule_value_as(scratch, operand, RULE_INSTANT);
    if (date.type == RULE_NULL && instant.type == RULE_NULL) {
        return RULE_VALUE_NULL;
    }
    int64_t days = date.type == RULE_DATE ? date.days : instant.ms / INSTANT_DAY_MS;
    int from[3];
    int to[3];
    instant_civil_from_days(days, &from[0], &from[1], &from[2]);
    instant_civil_from_days(at_ms / INSTANT_DAY_MS, &to[0], &to[1], &to[2]);
    bool is_before = to[1] < from[1] || (to[1] == from[1] && to[2] < from[2]);
    return number_value((to[0] - from[0] - is_before) * RULE_NUMBER_ONE);
}

static struct rule_value walk_days_until(struct rule_value operand, int64_t at_ms)
{
    struct rule_value date = rule_value_as(scratch, operand, RULE_DATE);
    struct rule_value instant = rule_value_as(scratch, operand, RULE_INSTANT);
    if (date.type != RULE_DATE) {
        if (instant.type == RULE_NULL) {
            return RULE_VALUE_NULL;
        }
        int64_t days = 0;
        while (at_ms + days * INSTANT_DAY_MS < instant.ms) {
            days++;
        }
        while (at_ms + (days - 1) * INSTANT_DAY_MS >= instant.ms) {
            days--;
        }
        return number_value(days * RULE_NUMBER_ONE);
    }
    int month = 0;
    int day = 0;
    int year = 0;
    instant_civil_from_days(date.days, &year, &month, &day);
    for (int64_t days = 0;; days++) {
        int to[3];
        instant_civil_from_days(at_ms / INSTANT_DAY_MS + days, &to[0], &to[1], &to[2]);
        if (to[1] == month && to[2] == day) {
            return number_value(days * RULE_NUMBER_ONE);
        }
    }
}

static struct rule_value walk_arithmetic(enum rule_op op, struct rule_value a, struct rule_value b)
{
    a = rule_value_as(scratch, a, RULE_NUMBER);
    b = rule_value_as(scratch, b, RULE_NUMBER);
    if (a.type == RULE_NULL || b.type == RULE_NULL) {
        return RULE_VALUE_NULL;
    }
    __extension__ typedef __int128 wide;
    wide numerator = 0;
    wide denominator = 1;
    if (op == RULE_OP_ADD || op == RULE_OP_SUBTRACT) {
        numerator = op == RULE_OP_ADD ? (wide)a.number + b.number : (wide)a.number - b.number;
    } else if (op == RULE_OP_MULTIPLY) {
        numerator = (wide)a.number * b.number;
        denominator = RULE_NUMBER_ONE;
    } else {
        if (b.number == 0) {
            return RULE_VALUE_NULL;
        }
        numerator = (wide)a.number * RULE_NUMBER_ONE * (b.number < 0 ? -1 : 1);
        denominator = b.number < 0 ? -(wide)b.number : b.number;
    }
    wide magnitude = numerator < 0 ? -numerator : numerator;
    wide rounded = (2 * magnitude + denominator) / (2 * denominator);
    rounded = numerator < 0 ? -rounded : rounded;
    return rounded > INT64_MAX || rounded < INT64_MIN ? RULE_VALUE_NULL
                                                      : number_value((int64_t)rounded);
}

static bool walk_in(struct rule_value item, struct rule_value list, bool item_is_open,
                    bool list_is_open)
{
    if (list.type != RULE_LIST) {
        if (list_is_open && !item_is_open) {
            list = rule_value_as(scratch, list, item.type);
        }
        return rule_value_equal(item, list);
    }
    for (size_t i = 0; i < list.list.count; i++) {
        struct rule_value of_list = list.list.items[i];
        struct rule_value tried = item;
        if (item_is_open && !list_is_open) {
            tried = rule_value_as(scratch, item, of_list.type);
        } else if (list_is_open && !item_is_open) {
            of_list = rule_value_as(scratch, of_list, item.type);
        }
        if (rule_value_equal(tried, of_list)) {
            return true;
        }
    }
    return false;
}

static bool walk_comparison(const struct rule_node *node, struct rule_value a, struct rule_value b)
{
    bool a_is_open = node->left->type == RULE_NULL;
    bool b_is_open = node->right->type == RULE_NULL;
    if (node->op == RULE_OP_NE) {
        struct rule_node equal = *node;
        equal.op = RULE_OP_EQ;
        return a.type != RULE_NULL && !walk_comparison(&equal, a, b);
    }
    if (a.type == RULE_NULL || b.type == RULE_NULL) {
        return false;
    }
    if (node->op == RULE_OP_IN) {
        return walk_in(a, b, a_is_open, b_is_open);
    }
    if (node->op == RULE_OP_CONTAINS && a.type == RULE_LIST) {
        return walk_in(b, a, b_is_open, a_is_open);
    }
    if (a_is_open && !b_is_open) {
        a = rule_value_as(scratch, a, b.type);
    } else if (b_is_open && !a_is_open) {
        b = rule_value_as(scratch, b, a.type);
    }
    if (node->op == RULE_OP_EQ) {
        return rule_value_equal(a, b);
    }
    if (node->op == RULE_OP_LIKE || node->op == RULE_OP_STARTS_WITH ||
        node->op == RULE_OP_CONTAINS) {
        if (a.type != RULE_TEXT || b.type != RULE_TEXT) {
            return false;
        }
        if (node->op == RULE_OP_CONTAINS) {
            return strstr(str_dup_z(scratch, a.text), str_dup_z(scratch, b.text)) != NULL;
        }
        return node->op == RULE_OP_LIKE ? str_equal_nocase(a.text, b.text)
                                        : str_starts_with(a.text, b.text);
    }
    int order = 0;
    if (!rule_value_compare(a, b, &order)) {
        return false;
    }
    return node->op == RULE_OP_LT   ? order < 0
           : node->op == RULE_OP_LE ? order <= 0
           : node->op == RULE_OP_GT ? order > 0
                                    : order >= 0;
}

static struct rule_value walk_age(struct rule_value operand, int64_t at_ms)
{
    struct rule_value instant = rule_value_as(scratch, operand, RULE_INSTANT);
    return instant.type == RULE_NULL
               ? instant
               : (struct rule_value){ .type = RULE_DURATION, .ms = at_ms - instant.ms };
}

static struct rule_value walk_function(const struct rule_node *node, int64_t at_ms,
                                       const struct fact *fact)
{
    struct rule_value operand = walk(node->left, at_ms, fact);
    switch ((int)node->op) {
    case RULE_OP_IS_SET:
        return bool_value(operand.type != RULE_NULL);
    case RULE_OP_NEGATE:
        return walk_arithmetic(RULE_OP_SUBTRACT, number_value(0), operand);
    case RULE_OP_AGE:
        return walk_age(operand, at_ms);
    case RULE_OP_AGE_YEARS:
        return walk_years(operand, at_ms);
    default:
        return walk_days_until(operand, at_ms);
    }
}

static struct rule_value walk(const struct rule_node *node, int64_t at_ms, const struct fact *fact)
{
    switch ((int)node->op) {
    case RULE_OP_LITERAL:
        return node->literal;
    case RULE_OP_NAME:
        return walk_name(&node->name, at_ms, fact);
    case RULE_OP_PERCENTILE:
        return node->percent == 50 * RULE_NUMBER_ONE ? number_value(100 * RULE_NUMBER_ONE)
                                                     : RULE_VALUE_NULL;
    case RULE_OP_AGGREGATE:
        return walk_aggregate(node->aggregation, at_ms);
    case RULE_OP_AND:
        return bool_value(walk_bool(node->left, at_ms, fact) &&
                          walk_bool(node->right, at_ms, fact));
    case RULE_OP_OR:
        return bool_value(walk_bool(node->left, at_ms, fact) ||
                          walk_bool(node->right, at_ms, fact));
    case RULE_OP_NOT:
        return bool_value(!walk_bool(node->left, at_ms, fact));
    case RULE_OP_ADD:
    case RULE_OP_SUBTRACT:
    case RULE_OP_MULTIPLY:
    case RULE_OP_DIVIDE:
        return walk_arithmetic(node->op, walk(node->left, at_ms, fact),
                               walk(node->right, at_ms, fact));
    case RULE_OP_IS_SET:
    case RULE_OP_NEGATE:
    case RULE_OP_AGE:
    case RULE_OP_AGE_YEARS:
    case RULE_OP_DAYS_UNTIL:
        return walk_function(node, at_ms, fact);
    default:
        return bool_value(
            walk_comparison(node, walk(node->left, at_ms, fact), walk(node->right, at_ms, fact)));
    }
}

/* --- the properties ------------------------------------------------------------------ */

static uint64_t current_seed;
static const struct rule_node *current_tree;

static void check(bool holds, const char *what, int64_t at_ms)
{
    if (!holds) {
        struct str text =
            current_tree == NULL ? STR("a ruleset") : rule_format(arena, current_tree);
        fprintf(stderr, "\nseed %llu at NOW + %lld ms: not so: %s\n%.*s\n",
                (unsigned long long)current_seed, (long long)(at_ms - NOW_MS), what, STR_ARG(text));
        abort();
    }
}

struct counts {
    size_t trees;
    size_t refused;
    size_t verdicts;
    size_t bounded;
    size_t turned;
    size_t silent;
    size_t rulesets;
    size_t circles;
};
static struct counts counts;

static void feed(const struct feature *features, size_t count)
{
    profile.features = (struct feature_set){ 0 };
    for (size_t f = 0; f < count; f++) {
        for (size_t i = 0; i < fact_count; i++) {
            struct property_view view;
            property_view_event(&view, &facts[i].event);
            if (features[f].event_type == facts[i].type &&
                feature_matches(arena, &features[f], &view)) {
                bool added = feature_add(arena, &profile.features, &features[f], &view, NOW_MS);
                assert(added);
            }
        }
    }
}

struct compiled {
    const struct rule_node *tree; /* as read back from the text */
    const struct rule_program *program;
};

/* Through the text, as a rule comes to us; false when it is refused: too deep, too
 * much to keep, or of types that do not meet. */
static bool compile(const struct rule_node *tree, struct compiled *out_compiled)
{
    struct rule_case only = { .when = rule_format(arena, tree) };
    struct rule_definition definition = {
        .name = STR("one"),
        .kind = RULE_KIND_SEGMENT,
        .cases = &only,
        .case_count = 1,
        .enabled = true,
    };
    struct ruleset *built = NULL;
    struct ruleset_error error = { 0 };
    uint32_t next = 1;
    current_tree = tree;
    counts.trees++;
    enum status status = ruleset_build(arena, 1, &definition, 1, NULL, 0, &next, &built, &error);
    if (status != STATUS_OK) {
        check(status == STATUS_INVALID, "the arena has room", NOW_MS);
        counts.refused++;
        return false;
    }
    subject.ruleset = built;
    feed(built->features, built->feature_count);
    *out_compiled = (struct compiled){
        .tree = built->rules[0].trees[0],
        .program = built->rules[0].programs[0],
    };
    return true;
}

static bool same_value(struct rule_value a, struct rule_value b)
{
    return (a.type == RULE_NULL && b.type == RULE_NULL) || rule_value_equal(a, b);
}

/* A list of unlimited counts is at least its lower bound where it is not exact. */
static void check_nodes(const struct rule_program *program, const struct rule_node *tree,
                        int64_t at_ms)
{
    const struct rule_node *open[RULE_NODES_MAX] = { tree };
    size_t count = 1;
    while (count > 0) {
        const struct rule_node *node = open[--count];
        int64_t until_ms = 0;
        bool at_least = false;
        struct rule_value value =
            rule_evaluate_node(scratch, program, node, &subject, at_ms, &until_ms, &at_least);
        struct rule_value expected = walk(node, at_ms, NULL);
        bool is_list = node->op == RULE_OP_NAME && value.type == RULE_LIST;
        bool holds =
            at_least ? value.number <= expected.number : is_list || same_value(value, expected);
        if (!holds) {
            struct str text = rule_format(arena, node);
            fprintf(stderr, "\n%.*s: type %d %lld, expected type %d %lld\n", STR_ARG(text),
                    (int)value.type, (long long)value.number, (int)expected.type,
                    (long long)expected.number);
        }
        check(holds, "the value of the node is the oracle's", at_ms);
        check(until_ms > at_ms, "until is later", at_ms);
        if (node->left != NULL) {
            open[count++] = node->left;
        }
        if (node->right != NULL) {
            open[count++] = node->right;
        }
    }
}

static int64_t draw_between(int64_t from_ms, int64_t to_ms)
{
    int64_t span = to_ms - from_ms;
    span = span > 800 * INSTANT_DAY_MS ? 800 * INSTANT_DAY_MS : span;
    uint64_t wide = (uint64_t)draw(1u << 30) << 30 | draw(1u << 30);
    return from_ms + (int64_t)(wide % (uint64_t)span);
}

static void check_promise(const struct rule_node *tree, const struct rule_program *program,
                          int64_t at_ms, bool is_exact)
{
    int64_t until_ms = 0;
    bool verdict = rule_evaluate(scratch, program, &subject, at_ms, &until_ms);
    counts.verdicts++;
    check(verdict == walk_bool(tree, at_ms, NULL), "the verdict is the oracle's", at_ms);
    check(verdict == rule_evaluate(scratch, program, &subject, at_ms, NULL),
          "the verdict is the same without until", at_ms);
    for (int i = 0; i < INSTANTS; i++) {
        int64_t t_ms = draw_between(at_ms, until_ms);
        check(walk_bool(tree, t_ms, NULL) == verdict, "the verdict stands before until", t_ms);
    }
    if (until_ms != INSTANT_NEVER) {
        counts.bounded++;
        check(walk_bool(tree, until_ms - 1, NULL) == verdict,
              "the verdict stands in the last millisecond", until_ms - 1);
        bool turns = walk_bool(tree, until_ms, NULL) != verdict;
        counts.turned += turns;
        check(turns || !is_exact, "the verdict turns at until", until_ms);
    }
}

/* The same profile without what it did. */
static void check_silence(const struct rule_program *program, int64_t at_ms)
{
    struct feature_set kept = profile.features;
    int64_t until_ms = 0;
    uint64_t words[1] = { 1 };
    uint64_t spare[1] = { 0 };
    const struct verdict_set nothing = { 0 };
    profile.features.count = 0;
    ruleset_leave_silent(subject.ruleset, &profile.features, &nothing, words, spare);
    if (words[0] == 0) {
        counts.silent++;
        bool verdict = rule_evaluate(scratch, program, &subject, at_ms, &until_ms);
        check(!verdict, "who is not asked is not in it", at_ms);
        check(until_ms == INSTANT_NEVER, "who is not asked is never in it", at_ms);
    }
    profile.features = kept;
}

static void check_tree(const struct rule_node *tree, bool is_exact)
{
    struct compiled compiled;
    if (!compile(tree, &compiled)) {
        return;
    }
    const struct rule_program *program = compiled.program;
    tree = compiled.tree;
    int64_t at_ms = NOW_MS;
    for (int i = 0; i < 4; i++) {
        check_promise(tree, program, at_ms, is_exact);
        check_nodes(program, tree, at_ms);
        check_silence(program, at_ms);
        int64_t until_ms = 0;
        (void)rule_evaluate(scratch, program, &subject, at_ms, &until_ms);
        at_ms = until_ms == INSTANT_NEVER ? at_ms + PICK(durations) : until_ms;
        arena_reset(scratch);
    }
}

/* not (a and b) = not a or not b, with the same until. */
static void check_laws(void)
{
    struct rule_node *a = random_bool(2);
    struct rule_node *b = random_bool(2);
    struct rule_node *left =
        node_of(RULE_OP_NOT, RULE_BOOL, node_of(RULE_OP_AND, RULE_BOOL, a, b), NULL);
    struct rule_node *right =
        node_of(RULE_OP_OR, RULE_BOOL, node_of(RULE_OP_NOT, RULE_BOOL, a, NULL),
                node_of(RULE_OP_NOT, RULE_BOOL, b, NULL));
    struct rule_node *both = node_of(RULE_OP_AND, RULE_BOOL, left, right);
    struct compiled compiled;
    if (!compile(both, &compiled)) {
        return;
    }
    const struct rule_program *program = compiled.program;
    left = compiled.tree->left;
    right = compiled.tree->right;
    int64_t left_until_ms = 0;
    int64_t right_until_ms = 0;
    struct rule_value left_value =
        rule_evaluate_node(scratch, program, left, &subject, NOW_MS, &left_until_ms, NULL);
    struct rule_value right_value =
        rule_evaluate_node(scratch, program, right, &subject, NOW_MS, &right_until_ms, NULL);
    check(left_value.boolean == right_value.boolean, "de Morgan's verdicts", NOW_MS);
    check(left_until_ms == right_until_ms, "de Morgan's untils", NOW_MS);
}

/* --- rules upon rules ------------------------------------------------------------------ */

enum {
    RULES = 12
};

static struct rule_definition random_rules[RULES];
static bool refers[RULES][RULES];

/* "traits.a = 7 and not "r3" in tags or ...": a fact, and other rules. */
static void make_rule(size_t index, uint32_t links)
{
    struct str when =
        str_printf(arena, "%s%s is set", draw(2) > 0 ? "not traits." : "traits.", PICK(trait_keys));
    for (uint32_t i = draw(links); i > 0; i--) {
        uint32_t other = draw(RULES);
        refers[index][other] = true;
        const char *glue = draw(2) > 0 ? "or" : "and";
        if (random_rules[other].kind == RULE_KIND_TIER) {
            when = str_printf(arena, "%.*s %s tiers.r%u = \"on\"", STR_ARG(when), glue, other);
        } else {
            when = str_printf(arena, "%.*s %s %s\"r%u\" in tags", STR_ARG(when), glue,
                              draw(2) > 0 ? "not " : "", other);
        }
    }
    struct rule_case *cases = ARENA_NEW_ARRAY(arena, 2, struct rule_case);
    bool is_tier = random_rules[index].kind == RULE_KIND_TIER;
    cases[0] = (struct rule_case){ .value = is_tier ? STR("on") : STR(""), .when = when };
    cases[1] = (struct rule_case){ .value = STR("off"), .when = STR("identified") };
    random_rules[index].cases = cases;
    random_rules[index].case_count = is_tier ? 2 : 1;
}

static bool has_circle(void)
{
    bool reach[RULES][RULES];
    memcpy(reach, refers, sizeof(reach));
    for (size_t k = 0; k < RULES; k++) {
        for (size_t i = 0; i < RULES; i++) {
            for (size_t j = 0; j < RULES; j++) {
                reach[i][j] = reach[i][j] || (reach[i][k] && reach[k][j]);
            }
        }
    }
    for (size_t i = 0; i < RULES; i++) {
        if (reach[i][i]) {
            return true;
        }
    }
    return false;
}

/* True when the rule's verdict is another one than it was. */
static bool decide_rule(const struct rule *rule)
{
    struct verdict verdict = { .since_ms = NOW_MS };
    uint32_t slot = rule->definition.slot;
    const struct verdict *before = verdict_find(&profile.verdicts, slot);
    bool holds = rule_verdict(arena, rule, &subject, NOW_MS, &verdict.value, NULL);
    bool differs = holds != (before != NULL) || (holds && !str_equal(before->value, verdict.value));
    bool put = verdict_put(arena, &profile.verdicts, slot, holds ? &verdict : NULL);
    assert(put);
    return differs;
}

/* One pass in order of dependence gives what deciding all rules over and over, in
 * any order, ends in; and a circle is refused exactly when there is one. */
static void check_rules(void)
{
    memset(refers, 0, sizeof(refers));
    for (size_t i = 0; i < RULES; i++) {
        random_rules[i] = (struct rule_definition){
            .name = str_printf(arena, "r%zu", i),
            .kind = draw(3) == 0 ? RULE_KIND_TIER : RULE_KIND_TAG,
            .slot = (uint32_t)(RULES - i),
            .enabled = true,
        };
    }
    uint32_t links = 1 + draw(3);
    for (size_t i = 0; i < RULES; i++) {
        make_rule(i, links);
    }
    struct ruleset *built = NULL;
    struct ruleset_error error = { 0 };
    uint32_t next = 1;
    enum status status =
        ruleset_build(arena, 1, random_rules, RULES, NULL, 0, &next, &built, &error);
    check((status == STATUS_INVALID) == has_circle(), "a circle is refused, nothing else", NOW_MS);
    counts.circles += status == STATUS_INVALID;
    if (status != STATUS_OK) {
        return;
    }
    counts.rulesets++;
    subject.ruleset = built;
    profile.verdicts = (struct verdict_set){ 0 };
    for (size_t i = 0; i < built->rule_count; i++) {
        decide_rule(&built->rules[i]);
    }
    for (size_t i = 0; i < built->rule_count; i++) {
        check(!decide_rule(&built->rules[i]), "one pass in order is enough", NOW_MS);
    }
    struct verdict_set once = profile.verdicts;
    profile.verdicts = (struct verdict_set){ 0 };
    for (size_t pass = 0; pass < 10 * RULES * RULES; pass++) {
        decide_rule(&built->rules[draw(RULES)]);
    }
    check(once.count == profile.verdicts.count, "any order ends in the same", NOW_MS);
    for (size_t i = 0; i < once.count; i++) {
        check(once.items[i].slot == profile.verdicts.items[i].slot &&
                  str_equal(once.items[i].value, profile.verdicts.items[i].value),
              "any order ends in the same", NOW_MS);
    }
    profile.verdicts = (struct verdict_set){ 0 };
}

static void run_seed(uint64_t seed)
{
    current_seed = seed;
    random_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    arena = arena_create((size_t)256 << 20);
    scratch = arena_create((size_t)64 << 20);
    assert(arena != NULL);
    assert(scratch != NULL);
    make_profile();
    static const int64_t percents[] = { 50 * RULE_NUMBER_ONE };
    static const int64_t thresholds[] = { 100 * RULE_NUMBER_ONE };
    static const struct statistic items[] = {
        { .attribute = RULE_ORDERS_REVENUE,
          .n = 100,
          .percents = percents,
          .thresholds = thresholds,
          .count = 1 },
    };
    statistics = (struct statistics){ .version = 1, .items = items, .count = 1 };
    subject = (struct rule_subject){
        .profile = &profile,
        .statistics = &statistics,
        .currency = STR("EUR"),
    };
    for (int i = 0; i < TREES; i++) {
        check_tree(random_bool((int)draw(DEPTH_MAX)), false);
        check_tree(random_exact(), true);
        check_laws();
    }
    for (int i = 0; i < RULESETS; i++) {
        current_tree = NULL;
        check_rules();
    }
    arena_destroy(scratch);
    arena_destroy(arena);
}

int main(void)
{
    const char *chosen = getenv("SHOPBELL_SEED");
    if (chosen != NULL) {
        printf("seed %s\n", chosen);
        run_seed(strtoull(chosen, NULL, 10));
        return 0;
    }
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        run_seed(seed);
    }
    printf("%zu trees, %zu refused; %zu verdicts, %zu with an until, %zu of them turned there\n",
           counts.trees, counts.refused, counts.verdicts, counts.bounded, counts.turned);
    printf("%zu times nothing was to be asked\n", counts.silent);
    printf("%zu rulesets, %zu more with a circle\n", counts.rulesets, counts.circles);
    assert(counts.refused * 2 < counts.trees);
    assert(counts.rulesets > counts.circles / 4);
    assert(counts.silent > counts.trees / 20);
    assert(counts.turned * 2 > counts.bounded);
    return 0;
}
