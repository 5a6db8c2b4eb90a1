#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "feature_table_priv.h"

/*
 * Ten rules that count the same thing keep it once.
 *
 * Two aggregates are one feature when their canonical text is the same, but
 * for `after`, which is an argument of reading, and when they keep the same
 * kind of thing. The form follows from the function and from what the result is
 * compared with: a count that is only asked "at least 3?" keeps four instants,
 * one whose value is computed with keeps cells. Where a form is not the one the
 * text leads to by itself, the key names it.
 *
 * Numbers outlive rulesets, since profiles store them. A feature that must
 * keep more than its number did gets a new number: what was thrown away under
 * the old one has to come from history. One that may keep less stays as it is.
 */

struct feature_table {
    struct arena *arena;
    struct feature **items;
    size_t count;
    size_t capacity;
    uint32_t *slots; /* open addressing: index + 1 of an item; 0 is free */
    size_t slot_count;
};

enum {
    TABLE_CAPACITY_FIRST = 16
};

struct feature_table *feature_table_create(struct arena *arena)
{
    struct feature_table *table = ARENA_NEW(arena, struct feature_table);
    if (table != NULL) {
        table->arena = arena;
    }
    return table;
}

size_t feature_table_count(const struct feature_table *table)
{
    return table->count;
}

/* The slot of `key`, or the free one where it belongs. */
static uint32_t *table_slot(const struct feature_table *table, struct str key)
{
    size_t mask = table->slot_count - 1;
    size_t i = (size_t)hash64(key, 0) & mask;
    while (table->slots[i] != 0 && !str_equal(table->items[table->slots[i] - 1]->key, key)) {
        i = (i + 1) & mask;
    }
    return &table->slots[i];
}

/* At most half of the slots are taken, so that a walk ends soon. */
static bool table_grow(struct feature_table *table)
{
    size_t capacity = table->capacity == 0 ? TABLE_CAPACITY_FIRST : table->capacity * 2;
    struct feature **items = ARENA_NEW_ARRAY(table->arena, capacity, struct feature *);
    uint32_t *slots = ARENA_NEW_ARRAY(table->arena, capacity * 2, uint32_t);
    if (items == NULL || slots == NULL) {
        return false;
    }
    for (size_t i = 0; i < table->count; i++) {
        items[i] = table->items[i];
    }
    table->items = items;
    table->capacity = capacity;
    table->slots = slots;
    table->slot_count = capacity * 2;
    for (size_t i = 0; i < table->count; i++) {
        *table_slot(table, items[i]->key) = (uint32_t)(i + 1);
    }
    return true;
}

static struct feature *table_find(const struct feature_table *table, struct str key)
{
    if (table->slot_count == 0) {
        return NULL;
    }
    uint32_t index = *table_slot(table, key);
    return index == 0 ? NULL : table->items[index - 1];
}

/* --- what an aggregate needs ---------------------------------------------- */

/* Entries that tell a value from the constant on both sides, and one to spare:
 * the least whole number that is not below the constant, and one more. 0: more
 * than is kept one by one. */
static uint32_t keep_for(const struct feature_demand *demand)
{
    if (!demand->has_constant || demand->constant > FEATURE_KEEP_MAX * RULE_NUMBER_ONE) {
        return 0;
    }
    int64_t constant = demand->constant < 0 ? 0 : demand->constant;
    int64_t whole = (constant + RULE_NUMBER_ONE - 1) / RULE_NUMBER_ONE;
    return whole + 1 <= FEATURE_KEEP_MAX ? (uint32_t)(whole + 1) : 0;
}

static enum feature_form count_form(const struct rule_aggregation *aggregation, uint32_t keep)
{
    if (aggregation->within_ms == 0 && aggregation->after == NULL) {
        return FEATURE_TOTAL;
    }
    return keep > 0 ? FEATURE_NEWEST : FEATURE_WINDOW;
}

static enum feature_form form_of(const struct rule_aggregation *aggregation, uint32_t keep)
{
    switch (aggregation->function) {
    case RULE_COUNT:
        return count_form(aggregation, keep);
    case RULE_SUM:
    case RULE_AVG:
    case RULE_MIN:
    case RULE_MAX:
        return aggregation->within_ms > 0 || aggregation->after != NULL ? FEATURE_WINDOW
                                                                        : FEATURE_TOTAL;
    case RULE_DISTINCT:
        return FEATURE_DISTINCT;
    case RULE_MAX_COUNT:
        return FEATURE_KEYED;
    case RULE_FIRST:
    case RULE_LAST:
        return FEATURE_EDGE;
    }
    assert(false); /* an aggregate is one of the above */
    return FEATURE_EDGE;
}

static uint32_t keep_of(enum feature_form form, uint32_t keep)
{
    switch (form) {
    case FEATURE_NEWEST:
    case FEATURE_DISTINCT:
    case FEATURE_KEYED:
        return keep > 0 ? keep : FEATURE_KEEP_MAX;
    case FEATURE_TOTAL:
    case FEATURE_WINDOW:
    case FEATURE_EDGE:
        return 0;
    }
    return 0;
}

/* The canonical text without `after`. */
static struct str text_of(struct arena *arena, const struct rule_node *node)
{
    struct rule_aggregation aggregation = *node->aggregation;
    aggregation.after = NULL;
    struct rule_node plain = *node;
    plain.aggregation = &aggregation;
    return rule_format(arena, &plain);
}

/* What the text alone does not say: the same words kept in another form. */
static const char *form_mark(const struct rule_aggregation *aggregation, enum feature_form form)
{
    bool has_window = aggregation->within_ms > 0;
    if (form == FEATURE_NEWEST) {
        return has_window ? "" : " as newest";
    }
    if (form == FEATURE_WINDOW) {
        return has_window && aggregation->function != RULE_COUNT ? "" : " as window";
    }
    return "";
}

/* The first `property = "text"` that must hold for all of `where` to hold. */
static void find_choice(const struct rule_node *where, struct feature *feature)
{
    const struct rule_node *waiting[RULE_DEPTH_MAX + 1];
    size_t count = 0;
    waiting[count++] = where;
    while (count > 0) {
        const struct rule_node *node = waiting[--count];
        if (node->op == RULE_OP_AND && count + 2 <= ARRAY_COUNT(waiting)) {
            waiting[count++] = node->right;
            waiting[count++] = node->left;
        }
        if (node->op != RULE_OP_EQ) {
            continue;
        }
        bool is_mirrored = node->left->op == RULE_OP_LITERAL;
        const struct rule_node *name = is_mirrored ? node->right : node->left;
        const struct rule_node *literal = is_mirrored ? node->left : node->right;
        if (name->op == RULE_OP_NAME && name->name.attribute == RULE_PROPERTY &&
            (name->type == RULE_NULL || name->type == RULE_TEXT) &&
            literal->op == RULE_OP_LITERAL && literal->literal.type == RULE_TEXT) {
            feature->where_property = rule_property_path(name->name.key);
            feature->where_text = literal->literal.text;
            feature->where_is_only = node == where;
            return;
        }
    }
}

static bool fill(struct arena *arena, const struct rule_aggregation *aggregation,
                 struct feature *feature)
{
    feature->function = aggregation->function;
    feature->event_type = aggregation->event_type;
    feature->event_name = aggregation->event_name;
    feature->property = aggregation->property;
    feature->by = aggregation->by;
    feature->within_ms = aggregation->within_ms;
    if (aggregation->where != NULL) {
        find_choice(aggregation->where, feature);
    }
    return aggregation->where == NULL ||
           rule_compile(arena, aggregation->where, NULL, &feature->where) == STATUS_OK;
}

static struct feature *table_add(struct feature_table *table, struct feature *feature)
{
    if (table->count == table->capacity && !table_grow(table)) {
        return NULL;
    }
    table->items[table->count++] = feature;
    *table_slot(table, feature->key) = (uint32_t)table->count;
    return feature;
}

const struct feature *feature_table_want(struct feature_table *table,
                                         const struct feature_demand *demand)
{
    const struct rule_aggregation *aggregation = demand->node->aggregation;
    uint32_t keep = keep_for(demand);
    enum feature_form form = form_of(aggregation, keep);
    keep = keep_of(form, keep);
    struct str text = text_of(table->arena, demand->node);
    struct str key =
        str_printf(table->arena, "%.*s%s", STR_ARG(text), form_mark(aggregation, form));
    if (arena_is_full(table->arena)) {
        return NULL;
    }
    struct feature *feature = table_find(table, key);
    if (feature != NULL) {
        feature->keep = keep > feature->keep ? keep : feature->keep;
        return feature;
    }
    feature = ARENA_NEW(table->arena, struct feature);
    if (feature == NULL) {
        return NULL;
    }
    feature->key = key;
    feature->text = text;
    feature->form = form;
    feature->keep = keep;
    if (!fill(table->arena, aggregation, feature)) {
        return NULL;
    }
    return table_add(table, feature);
}

/* --- numbers --------------------------------------------------------------- */

static void take_known(const struct feature_table *table, const struct feature_number *known,
                       size_t known_count)
{
    for (size_t i = 0; i < known_count; i++) {
        struct feature *feature = table_find(table, known[i].key);
        if (feature != NULL && feature->number == 0 && known[i].keep >= feature->keep) {
            feature->number = known[i].number;
            feature->version = known[i].version;
            feature->keep = known[i].keep;
        }
    }
}

static int compare_numbers(const void *a, const void *b)
{
    const struct feature *left = a;
    const struct feature *right = b;
    return (left->number > right->number) - (left->number < right->number);
}

bool feature_table_finish(struct feature_table *table, int64_t version,
                          const struct feature_number *known, size_t known_count,
                          uint32_t *next_number, const struct feature **out_features,
                          size_t *out_count)
{
    struct feature *features = ARENA_NEW_ARRAY(table->arena, table->count, struct feature);
    if (features == NULL && table->count > 0) {
        return false;
    }
    take_known(table, known, known_count);
    *next_number = *next_number > 0 ? *next_number : 1; /* 0 says: not yet numbered */
    for (size_t i = 0; i < table->count; i++) {
        struct feature *feature = table->items[i];
        if (feature->number == 0) {
            feature->number = (*next_number)++;
            feature->version = (uint32_t)version;
        }
        if (feature->keep > 0) {
            feature->text = str_printf(table->arena, "%.*s up to %u", STR_ARG(feature->text),
                                       (unsigned)(feature->keep - 1));
        }
        features[i] = *feature;
    }
    qsort(features, table->count, sizeof(*features), compare_numbers);
    *out_features = features;
    *out_count = table->count;
    return !arena_is_full(table->arena);
}
