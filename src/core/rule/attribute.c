#include <assert.h>

#include "base/instant.h"
#include "base/money.h"
#include "core/profile/profile.h"
#include "core/rule/property.h"
#include "core/rule/verdict.h"
#include "profile/fact_priv.h"
#include "program_priv.h"

/*
 * What a name says of a profile at an instant: the path in the profile's JSON is
 * the name in a rule (contract 5), so what is read here is what is shown there,
 * averages rounded to minor units included.
 *
 * Labels (lifecycle, tags, segments, tiers) are the verdicts the profile holds,
 * seen through the ruleset that gives their slots a name: a verdict of a rule
 * that is no more says nothing.
 */

const struct verdict *attribute_verdict(const struct rule_subject *subject, uint32_t slot)
{
    return subject->profile == NULL ? NULL : verdict_find(&subject->profile->verdicts, slot);
}

static const struct rule *rule_named(const struct rule_subject *subject, struct str name,
                                     enum rule_kind kind)
{
    if (subject->ruleset == NULL) {
        return NULL;
    }
    const struct rule *rule = ruleset_rule(subject->ruleset, name);
    return rule != NULL && rule->definition.kind == kind ? rule : NULL;
}

static enum rule_kind label_kind(enum rule_attribute attribute)
{
    return attribute == RULE_TAGS ? RULE_KIND_TAG : RULE_KIND_SEGMENT;
}

bool attribute_is_member(const struct rule_subject *subject, const struct rule_name *name)
{
    const struct rule *rule = rule_named(subject, name->key, label_kind(name->attribute));
    return rule != NULL && attribute_verdict(subject, rule->definition.slot) != NULL;
}

bool attribute_is_timed(enum rule_attribute attribute)
{
    return attribute == RULE_ENGAGEMENT_SCORE || attribute == RULE_ENGAGEMENT_LEVEL ||
           attribute == RULE_ORDERS_CYCLE_STAGE;
}

/* --- values ---------------------------------------------------------------- */

static struct rule_value number_of(int64_t whole)
{
    int64_t number = 0;
    if (__builtin_mul_overflow(whole, RULE_NUMBER_ONE, &number)) {
        return RULE_VALUE_NULL;
    }
    return (struct rule_value){ .type = RULE_NUMBER, .number = number };
}

static struct rule_value money_of(const struct rule_subject *subject, int64_t minor)
{
    int64_t number = 0;
    int decimals = (int)money_decimals(subject->currency);
    if (!rule_number_from_minor(minor, decimals, &number)) {
        return RULE_VALUE_NULL;
    }
    return (struct rule_value){ .type = RULE_NUMBER, .number = number };
}

static struct rule_value instant_of(int64_t ms)
{
    if (ms == INSTANT_NONE || ms == INSTANT_NEVER) {
        return RULE_VALUE_NULL;
    }
    return (struct rule_value){ .type = RULE_INSTANT, .ms = ms };
}

static struct rule_value text_of(struct str text)
{
    if (text.size == 0) {
        return RULE_VALUE_NULL;
    }
    return (struct rule_value){ .type = RULE_TEXT, .text = text };
}

static struct rule_value word_of(const char *word)
{
    return word == NULL ? RULE_VALUE_NULL : text_of(str_from_z(word));
}

/* --- facts ----------------------------------------------------------------- */

enum {
    FACTS_FEW = 24
};

/* Customers have a dozen facts: told by size first, that is one comparison of
 * bytes, where halving takes four. */
const struct profile_fact *attribute_fact(const struct profile *profile, enum fact_kind kind,
                                          struct str key)
{
    if (profile->fact_count <= FACTS_FEW) {
        for (size_t i = 0; i < profile->fact_count; i++) {
            const struct profile_fact *fact = &profile->facts[i];
            if (fact->key.size == key.size && fact->kind == kind && str_equal(fact->key, key)) {
                return fact;
            }
        }
        return NULL;
    }
    size_t position = fact_position(profile->facts, profile->fact_count, kind, key);
    bool is_there = position < profile->fact_count &&
                    fact_compare_key(&profile->facts[position], kind, key) == 0;
    return is_there ? &profile->facts[position] : NULL;
}

static struct rule_value fact_value(struct arena *arena, const struct profile *profile,
                                    enum fact_kind kind, struct str key)
{
    const struct profile_fact *fact = attribute_fact(profile, kind, key);
    return fact != NULL ? rule_value_from_json(arena, fact->value_json) : RULE_VALUE_NULL;
}

static struct rule_value external_id(struct arena *arena, const struct profile *profile)
{
    struct rule_value value = fact_value(arena, profile, FACT_TRAIT, STR("external_id"));
    for (size_t i = 0; i < profile->exclusive_count && value.type == RULE_NULL; i++) {
        if (profile->exclusives[i].kind == IDENTITY_EXTERNAL_ID) {
            value = text_of(profile->exclusives[i].value);
        }
    }
    return value;
}

static struct rule_value consent(struct arena *arena, const struct profile *profile,
                                 struct str channel)
{
    struct rule_value value = fact_value(arena, profile, FACT_CONSENT, channel);
    return value.type == RULE_NULL ? word_of("never") : value;
}

static struct rule_value read_fact(struct arena *arena, const struct profile *profile,
                                   const struct rule_name *name)
{
    switch ((int)name->attribute) {
    case RULE_EMAIL:
        return fact_value(arena, profile, FACT_TRAIT, STR("email"));
    case RULE_PHONE:
        return fact_value(arena, profile, FACT_TRAIT, STR("phone"));
    case RULE_EXTERNAL_ID:
        return external_id(arena, profile);
    case RULE_TRAIT:
        return fact_value(arena, profile, FACT_TRAIT, name->key);
    case RULE_PREFERENCE:
        return fact_value(arena, profile, FACT_PREFERENCE, name->key);
    case RULE_CONSENT:
        return consent(arena, profile, name->key);
    default:
        return RULE_VALUE_NULL;
    }
}

/* --- labels ---------------------------------------------------------------- */

static struct rule_value label_list(struct arena *arena, const struct rule_subject *subject,
                                    enum rule_kind kind)
{
    const struct verdict_set *set = &subject->profile->verdicts;
    struct rule_value *items = ARENA_NEW_ARRAY(arena, set->count + 1, struct rule_value);
    struct rule_value list = { .type = RULE_LIST };
    if (items == NULL || subject->ruleset == NULL) {
        return list;
    }
    size_t count = 0;
    for (size_t i = 0; i < set->count; i++) {
        const struct rule *rule = ruleset_rule_by_slot(subject->ruleset, set->items[i].slot);
        if (rule != NULL && rule->definition.kind == kind) {
            items[count++] = text_of(rule->definition.name);
        }
    }
    list.list.items = items;
    list.list.count = count;
    return list;
}

static struct rule_value verdict_text(const struct rule_subject *subject, const struct rule *rule)
{
    const struct verdict *verdict =
        rule == NULL ? NULL : attribute_verdict(subject, rule->definition.slot);
    return verdict == NULL ? RULE_VALUE_NULL : text_of(verdict->value);
}

static struct rule_value read_label(struct arena *arena, const struct rule_subject *subject,
                                    const struct rule_name *name)
{
    switch ((int)name->attribute) {
    case RULE_LIFECYCLE:
        return verdict_text(subject, subject->ruleset == NULL ? NULL : subject->ruleset->lifecycle);
    case RULE_TIER:
        return verdict_text(subject, rule_named(subject, name->key, RULE_KIND_TIER));
    default:
        return label_list(arena, subject, label_kind(name->attribute));
    }
}

/* --- orders ---------------------------------------------------------------- */

/* As the profile's JSON shows it: minor units, rounded half away from zero. */
static struct rule_value average_value(const struct rule_subject *subject)
{
    const struct profile_orders *orders = &subject->profile->orders;
    int64_t count = orders->count - orders->foreign_count;
    if (count <= 0) {
        return RULE_VALUE_NULL;
    }
    int64_t rest = orders->gross_minor % count;
    int64_t magnitude = rest < 0 ? -rest : rest;
    int64_t up = rest < 0 ? -1 : 1;
    return money_of(subject,
                    orders->gross_minor / count + (magnitude >= count - magnitude ? up : 0));
}

static struct rule_value largest_value(const struct rule_subject *subject)
{
    const struct profile_orders *orders = &subject->profile->orders;
    return orders->count > orders->foreign_count ? money_of(subject, orders->largest_minor)
                                                 : RULE_VALUE_NULL;
}

static struct rule_value quintile(const struct rule_subject *subject, enum rule_attribute attribute,
                                  struct rule_value value)
{
    if (value.type == RULE_NULL || subject->profile->orders.count <= 0) {
        return RULE_VALUE_NULL;
    }
    int64_t scaled = value.type == RULE_INSTANT ? value.ms : value.number;
    int fifth = statistics_quintile(subject->statistics, attribute, scaled);
    return fifth == 0 ? RULE_VALUE_NULL : number_of(fifth);
}

static struct rule_value read_orders(const struct rule_subject *subject,
                                     enum rule_attribute attribute)
{
    const struct profile_orders *orders = &subject->profile->orders;
    switch ((int)attribute) {
    case RULE_ORDERS_COUNT:
        return number_of(orders->count);
    case RULE_ORDERS_FOREIGN_COUNT:
        return number_of(orders->foreign_count);
    case RULE_ORDERS_REVENUE:
        return money_of(subject, orders->gross_minor);
    case RULE_ORDERS_NET:
        return money_of(subject, orders->gross_minor - orders->refunded_minor);
    case RULE_ORDERS_REFUNDED:
        return money_of(subject, orders->refunded_minor);
    case RULE_ORDERS_AVERAGE_VALUE:
        return average_value(subject);
    case RULE_ORDERS_LARGEST_VALUE:
        return largest_value(subject);
    case RULE_ORDERS_FIRST_AT:
        return instant_of(orders->first_at_ms);
    case RULE_ORDERS_LAST_AT:
        return instant_of(orders->last_at_ms);
    case RULE_RFM_RECENCY:
        return quintile(subject, RULE_ORDERS_LAST_AT, instant_of(orders->last_at_ms));
    case RULE_RFM_FREQUENCY:
        return quintile(subject, RULE_ORDERS_COUNT, number_of(orders->count));
    case RULE_RFM_MONETARY:
        return quintile(subject, RULE_ORDERS_REVENUE, money_of(subject, orders->gross_minor));
    default:
        return RULE_VALUE_NULL;
    }
}

/* --- cart ------------------------------------------------------------------ */

static struct rule_value read_cart(struct arena *arena, const struct profile *profile,
                                   enum rule_attribute attribute)
{
    if (profile->cart_json.size == 0 || str_equal(profile->cart_json, STR("null"))) {
        return RULE_VALUE_NULL;
    }
    struct property_view cart = { .properties_json = profile->cart_json };
    switch ((int)attribute) {
    case RULE_CART_UPDATED_AT:
        return instant_of(profile->cart_at_ms);
    case RULE_CART_VALUE:
        return property_get(arena, &cart, STR("value"));
    case RULE_CART_ITEMS_COUNT:
        return property_get(arena, &cart, STR("items_count"));
    case RULE_CART_CATEGORIES:
        return property_get(arena, &cart, STR("categories"));
    case RULE_CART_PRODUCT_IDS:
        return property_get(arena, &cart, STR("items.product_id"));
    default:
        return RULE_VALUE_NULL;
    }
}

/* --- indicators ------------------------------------------------------------ */

static void lower(int64_t *until_ms, int64_t at_ms)
{
    *until_ms = at_ms < *until_ms ? at_ms : *until_ms;
}

static struct rule_value cycle_days(const struct indicators *indicators)
{
    int64_t median_ms = 0;
    int64_t number = 0;
    if (!cycle_median(indicators, &median_ms) ||
        !rule_number_ratio(median_ms, INSTANT_DAY_MS, &number)) {
        return RULE_VALUE_NULL;
    }
    return (struct rule_value){ .type = RULE_NUMBER, .number = number };
}

static struct rule_value next_expected(const struct indicators *indicators)
{
    int64_t median_ms = 0;
    if (!cycle_median(indicators, &median_ms)) {
        return RULE_VALUE_NULL;
    }
    return instant_of(turn_add(indicators->orders[0].at_ms, median_ms));
}

/* A score is another one in the next millisecond; what it is compared with is
 * known only to the comparison. */
static struct rule_value score(const struct indicators *indicators, int64_t at_ms,
                               int64_t *out_until_ms)
{
    int64_t number = 0;
    if (!engagement_score(indicators, at_ms, &number)) {
        return RULE_VALUE_NULL;
    }
    lower(out_until_ms, turn_add(at_ms, 1));
    return (struct rule_value){ .type = RULE_NUMBER, .number = number };
}

static struct rule_value read_indicator(const struct profile *profile,
                                        enum rule_attribute attribute, int64_t at_ms,
                                        int64_t *out_until_ms)
{
    const struct indicators *indicators = &profile->indicators;
    int64_t until_ms = INSTANT_NEVER;
    const char *word = NULL;
    switch ((int)attribute) {
    case RULE_ENGAGEMENT_SCORE:
        return score(indicators, at_ms, out_until_ms);
    case RULE_ENGAGEMENT_LEVEL:
        word = engagement_level(indicators, at_ms, &until_ms);
        break;
    case RULE_ORDERS_CYCLE_STAGE:
        word = cycle_stage(indicators, at_ms, &until_ms);
        break;
    case RULE_ORDERS_CYCLE_DAYS:
        return cycle_days(indicators);
    case RULE_ORDERS_NEXT_EXPECTED_AT:
        return next_expected(indicators);
    case RULE_ENGAGEMENT_LAST_OPENED_AT:
        return instant_of(indicators->last_opened_at_ms);
    case RULE_ENGAGEMENT_LAST_CLICKED_AT:
        return instant_of(indicators->last_clicked_at_ms);
    default:
        break;
    }
    if (word != NULL) {
        lower(out_until_ms, until_ms);
    }
    return word_of(word);
}

static struct rule_value read_habit(const struct rule_subject *subject,
                                    enum rule_attribute attribute)
{
    const struct zone *zone = subject->ruleset != NULL ? subject->ruleset->zone : NULL;
    struct habits habits = { .top_hour = -1 };
    habits_of(&subject->profile->indicators, zone, &habits);
    switch ((int)attribute) {
    case RULE_HABITS_TOP_WEEKDAY:
        return word_of(habits.top_weekday);
    case RULE_HABITS_TOP_HOUR:
        return habits.top_hour < 0 ? RULE_VALUE_NULL : number_of(habits.top_hour);
    case RULE_HABITS_TOP_PLATFORM:
        return text_of(habits.top_platform);
    case RULE_HABITS_TOP_CHANNEL:
        return text_of(habits.top_channel);
    default:
        return RULE_VALUE_NULL;
    }
}

/* --- every name ------------------------------------------------------------- */

static struct rule_value read_property(struct arena *arena, const struct rule_subject *subject,
                                       struct str key)
{
    if (subject->fact == NULL) {
        return RULE_VALUE_NULL;
    }
    return property_get(arena, subject->fact, rule_property_path(key));
}

static struct rule_value event_type_of(const struct property_view *fact)
{
    if (fact == NULL) {
        return RULE_VALUE_NULL;
    }
    return fact->type == EVENT_CUSTOM ? text_of(fact->name)
                                      : word_of(event_type_info(fact->type)->name);
}

/* What is told with a message, whoever it is about. */
static struct rule_value read_told(const struct rule_subject *subject,
                                   enum rule_attribute attribute)
{
    const struct rule_transition none = { .rule = { NULL, 0 } };
    const struct rule_transition *transition =
        subject->transition != NULL ? subject->transition : &none;
    switch ((int)attribute) {
    case RULE_EVENT_TYPE:
        return event_type_of(subject->fact);
    case RULE_EVENT_SOURCE:
        return subject->fact != NULL ? text_of(subject->source) : RULE_VALUE_NULL;
    case RULE_TRANSITION_RULE:
        return text_of(transition->rule);
    case RULE_TRANSITION_KIND:
        return text_of(transition->kind);
    case RULE_TRANSITION_FROM:
        return text_of(transition->from);
    case RULE_TRANSITION_TO:
        return text_of(transition->to);
    default:
        return RULE_VALUE_NULL;
    }
}

static struct rule_value read_seen(const struct profile *profile, enum rule_attribute attribute)
{
    switch ((int)attribute) {
    case RULE_IDENTIFIED:
        return (struct rule_value){ .type = RULE_BOOL, .boolean = profile->identified };
    case RULE_CREATED_AT:
        return instant_of(profile->created_at_ms);
    case RULE_FIRST_SEEN_AT:
        return instant_of(profile->first_seen_at_ms);
    case RULE_LAST_SEEN_AT:
        return instant_of(profile->last_seen_at_ms);
    case RULE_SIGNED_UP_AT:
        return instant_of(profile->signed_up_at_ms);
    default:
        return RULE_VALUE_NULL;
    }
}

/* The groups of the table, so that each switch has one subject. */
struct rule_value attribute_read(struct arena *arena, const struct rule_subject *subject,
                                 const struct rule_name *name, int64_t at_ms, int64_t *out_until_ms)
{
    const struct profile *profile = subject->profile;
    if (name->attribute == RULE_PROPERTY) {
        return read_property(arena, subject, name->key);
    }
    if (name->attribute >= RULE_INTEREST_VIEWED_AT) {
        return attribute_of_interest(arena, subject, name->attribute);
    }
    if (name->attribute >= RULE_EVENT_TYPE) {
        return read_told(subject, name->attribute);
    }
    if (profile == NULL) {
        return RULE_VALUE_NULL;
    }
    switch (name->attribute) {
    case RULE_IDENTIFIED:
    case RULE_CREATED_AT:
    case RULE_FIRST_SEEN_AT:
    case RULE_LAST_SEEN_AT:
    case RULE_SIGNED_UP_AT:
        return read_seen(profile, name->attribute);
    case RULE_EMAIL:
    case RULE_PHONE:
    case RULE_EXTERNAL_ID:
    case RULE_TRAIT:
    case RULE_PREFERENCE:
    case RULE_CONSENT:
        return read_fact(arena, profile, name);
    case RULE_LIFECYCLE:
    case RULE_TAGS:
    case RULE_SEGMENTS:
    case RULE_TIER:
        return read_label(arena, subject, name);
    case RULE_RFM_RECENCY:
    case RULE_RFM_FREQUENCY:
    case RULE_RFM_MONETARY:
    case RULE_ORDERS_COUNT:
    case RULE_ORDERS_REVENUE:
    case RULE_ORDERS_NET:
    case RULE_ORDERS_AVERAGE_VALUE:
    case RULE_ORDERS_LARGEST_VALUE:
    case RULE_ORDERS_REFUNDED:
    case RULE_ORDERS_FOREIGN_COUNT:
    case RULE_ORDERS_FIRST_AT:
    case RULE_ORDERS_LAST_AT:
        return read_orders(subject, name->attribute);
    case RULE_CART_UPDATED_AT:
    case RULE_CART_VALUE:
    case RULE_CART_ITEMS_COUNT:
    case RULE_CART_CATEGORIES:
    case RULE_CART_PRODUCT_IDS:
        return read_cart(arena, profile, name->attribute);
    case RULE_ORDERS_CYCLE_DAYS:
    case RULE_ORDERS_CYCLE_STAGE:
    case RULE_ORDERS_NEXT_EXPECTED_AT:
    case RULE_ENGAGEMENT_SCORE:
    case RULE_ENGAGEMENT_LEVEL:
    case RULE_ENGAGEMENT_LAST_OPENED_AT:
    case RULE_ENGAGEMENT_LAST_CLICKED_AT:
        return read_indicator(profile, name->attribute, at_ms, out_until_ms);
    case RULE_HABITS_TOP_WEEKDAY:
    case RULE_HABITS_TOP_HOUR:
    case RULE_HABITS_TOP_PLATFORM:
    case RULE_HABITS_TOP_CHANNEL:
        return read_habit(subject, name->attribute);
    case RULE_PROPERTY:
    case RULE_EVENT_TYPE:
    case RULE_EVENT_SOURCE:
    case RULE_TRANSITION_RULE:
    case RULE_TRANSITION_KIND:
    case RULE_TRANSITION_FROM:
    case RULE_TRANSITION_TO:
    case RULE_INTEREST_VIEWED_AT:
    case RULE_INTEREST_VIEW_COUNT:
    case RULE_INTEREST_OUT_OF_STOCK_SEEN_AT:
    case RULE_INTEREST_PRICE_SEEN:
    case RULE_INTEREST_CARTED_AT:
    case RULE_INTEREST_WISHED_AT:
    case RULE_INTEREST_BOUGHT_AT:
    case RULE_INTEREST_SUBSTITUTE_BOUGHT_AT:
    case RULE_INTEREST_WAITING:
    case RULE_PRODUCT_PRODUCT_ID:
    case RULE_PRODUCT_VARIANT_ID:
    case RULE_PRODUCT_SKU:
    case RULE_PRODUCT_NAME:
    case RULE_PRODUCT_CATEGORY:
    case RULE_PRODUCT_BRAND:
    case RULE_PRODUCT_PRICE:
    case RULE_PRODUCT_COMPARE_AT_PRICE:
    case RULE_PRODUCT_CURRENCY:
    case RULE_PRODUCT_STOCK:
    case RULE_ATTRIBUTE_NONE:
    case RULE_ATTRIBUTE_COUNT:
        break;
    }
    return RULE_VALUE_NULL;
}
