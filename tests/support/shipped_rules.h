#ifndef TESTS_SUPPORT_SHIPPED_RULES_H
#define TESTS_SUPPORT_SHIPPED_RULES_H

/*
 * The shipped rules compiled as version 1, for tests of decide without a
 * database: what rule_store_ship gives a new workspace. Ids follow from names.
 */

#include <assert.h>

#include "base/arena.h"
#include "core/rule/ruleset.h"

/* With more rules of the test's own behind the shipped ones. */
static inline struct ruleset *rules_with(struct arena *arena, int64_t version,
                                         const struct rule_definition *more, size_t more_count)
{
    size_t shipped_count = 0;
    while (rule_shipped(shipped_count) != NULL) {
        shipped_count++;
    }
    size_t count = shipped_count + more_count;
    struct rule_definition *definitions = ARENA_NEW_ARRAY(arena, count, struct rule_definition);
    for (size_t i = 0; i < count; i++) {
        definitions[i] = i < shipped_count ? *rule_shipped(i) : more[i - shipped_count];
        struct id_hash hash;
        id_hash_begin(&hash, "test rule");
        id_hash_add(&hash, definitions[i].name);
        definitions[i].id = id_hash_end(&hash);
        definitions[i].slot = (uint32_t)i + 1;
        definitions[i].version = 1;
        definitions[i].since_version = version;
        definitions[i].enabled = true;
    }
    uint32_t next_number = 1;
    struct ruleset *ruleset = NULL;
    struct ruleset_error error;
    enum status status =
        ruleset_build(arena, version, definitions, count, NULL, 0, &next_number, &ruleset, &error);
    assert(status == STATUS_OK);
    return ruleset;
}

#endif
