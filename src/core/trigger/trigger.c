#include "core/trigger/trigger.h"

#include <stdlib.h>
#include <string.h>

#include "core/event/universal.h"
#include "core/trigger/subscription.h"
#include "feature_table_priv.h"
#include "program_priv.h"

/*
 * Definitions of triggers: their words, what they name, and their index.
 *
 * A condition is a rule's expression that may also ask about the event or the
 * change that fires it. What it counts is kept by the workspace's ruleset, which a
 * save of the trigger makes know it (store/trigger_store.c): here its aggregates are
 * only found again among the ruleset's features. One that is not there yet is not
 * guessed: a customer whose state does not keep it is not rung.
 */

struct word {
    int value;
    const char *name;
};

static const struct word whens[] = {
    { TRIGGER_EVENT, "event" },         { TRIGGER_ENTERS, "enters" },
    { TRIGGER_LEAVES, "leaves" },       { TRIGGER_CHANGES, "changes" },
    { TRIGGER_UNIVERSAL, "universal" },
};

static const struct word modes[] = {
    { TRIGGER_DRAFT, "draft" },
    { TRIGGER_TEST, "test" },
    { TRIGGER_LIVE, "live" },
};

static const struct word pers[] = {
    { TRIGGER_PER_PROFILE, "profile" },
    { TRIGGER_PER_PRODUCT, "product" },
    { TRIGGER_PER_VARIANT, "variant" },
};

static const char *name_of(const struct word *words, size_t count, int value)
{
    for (size_t i = 0; i < count; i++) {
        if (words[i].value == value) {
            return words[i].name;
        }
    }
    return "";
}

static int value_of(const struct word *words, size_t count, struct str name)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal_z(name, words[i].name)) {
            return words[i].value;
        }
    }
    return 0;
}

const char *trigger_when_name(enum trigger_when when)
{
    return name_of(whens, ARRAY_COUNT(whens), (int)when);
}

enum trigger_when trigger_when_from_name(struct str name)
{
    return (enum trigger_when)value_of(whens, ARRAY_COUNT(whens), name);
}

const char *trigger_mode_name(enum trigger_mode mode)
{
    return name_of(modes, ARRAY_COUNT(modes), (int)mode);
}

enum trigger_mode trigger_mode_from_name(struct str name)
{
    return (enum trigger_mode)value_of(modes, ARRAY_COUNT(modes), name);
}

const char *trigger_per_name(enum trigger_per per)
{
    return name_of(pers, ARRAY_COUNT(pers), (int)per);
}

enum trigger_per trigger_per_from_name(struct str name)
{
    return (enum trigger_per)value_of(pers, ARRAY_COUNT(pers), name);
}

/* --- what is wrong ----------------------------------------------------------- */

static enum status refuse(struct trigger_error *error, const char *member, struct str detail,
                          const char *suggestion)
{
    *error = (struct trigger_error){ .member = member };
    size_t size =
        detail.size < sizeof(error->error.detail) ? detail.size : sizeof(error->error.detail) - 1;
    memcpy(error->error.detail, detail.data, size);
    if (suggestion != NULL && strlen(suggestion) < sizeof(error->error.suggestion)) {
        memcpy(error->error.suggestion, suggestion, strlen(suggestion));
    }
    return STATUS_INVALID;
}

/* "no <kind> is called "<name>"", and what is nearest. */
static enum status refuse_unknown(struct arena *arena, struct trigger_error *error,
                                  const char *member, const char *kind, struct str name,
                                  const char *nearest)
{
    struct str shown = str_take_text(name, 80);
    struct str detail = nearest != NULL
                            ? str_printf(arena, "no %s is called \"%.*s\"; did you mean \"%s\"?",
                                         kind, STR_ARG(shown), nearest)
                            : str_printf(arena, "no %s is called \"%.*s\"", kind, STR_ARG(shown));
    return detail.data == NULL ? STATUS_LIMIT : refuse(error, member, detail, nearest);
}

/* --- when -------------------------------------------------------------------- */

static const char *nearest_event(struct str name)
{
    const char *names[EVENT_TYPE_COUNT];
    size_t count = 0;
    for (int type = EVENT_SESSION_STARTED; type < EVENT_TYPE_COUNT; type++) {
        if (!event_type_info((enum event_type)type)->universal) {
            names[count++] = event_type_info((enum event_type)type)->name;
        }
    }
    return str_nearest(name, names, count);
}

static enum status resolve_event(struct arena *arena, struct trigger *trigger,
                                 struct trigger_error *out_error)
{
    enum event_type type = event_type_from_name(trigger->what);
    if (type == 0) {
        return refuse_unknown(arena, out_error, "when/event", "event", trigger->what,
                              nearest_event(trigger->what));
    }
    if (event_type_info(type)->universal) {
        return refuse(out_error, "when/event",
                      STR("it is about the world, not about one customer: what its differences "
                          "tell is {\"universal\": \"product.back_in_stock\"} and the like"),
                      NULL);
    }
    trigger->event_type = type;
    return STATUS_OK;
}

static enum status resolve_universal(struct arena *arena, const struct trigger *trigger,
                                     struct trigger_error *out_error)
{
    const char *names[UNIVERSAL_TYPES_MAX];
    size_t count = 0;
    if (universal_type_is_known(trigger->what)) {
        return STATUS_OK;
    }
    while (count < UNIVERSAL_TYPES_MAX && universal_type_name(count) != NULL) {
        names[count] = universal_type_name(count);
        count++;
    }
    return refuse_unknown(arena, out_error, "when/universal", "fact about the world", trigger->what,
                          str_nearest(trigger->what, names, count));
}

static bool fires_by(enum trigger_when when, enum rule_kind kind)
{
    bool has_values = kind == RULE_KIND_LIFECYCLE || kind == RULE_KIND_TIER;
    return has_values == (when == TRIGGER_CHANGES);
}

static const char *nearest_rule(struct arena *arena, const struct ruleset *ruleset,
                                const struct trigger *trigger)
{
    size_t count = ruleset != NULL ? ruleset->rule_count : 0;
    const char **names = ARENA_NEW_ARRAY(arena, count + 1, const char *);
    size_t taken = 0;
    for (size_t i = 0; names != NULL && i < count; i++) {
        const struct rule_definition *rule = &ruleset->rules[i].definition;
        const char *name =
            fires_by(trigger->when, rule->kind) ? str_dup_z(arena, rule->name) : NULL;
        if (name != NULL) {
            names[taken++] = name;
        }
    }
    return names != NULL ? str_nearest(trigger->what, names, taken) : NULL;
}

/* from and to are values that the rule can have. */
static enum status check_value(struct arena *arena, const struct rule *rule, struct str value,
                               const char *member, struct trigger_error *out_error)
{
    const char *names[RULE_CASES_MAX];
    for (size_t i = 0; i < rule->definition.case_count; i++) {
        struct str known = rule->definition.cases[i].value;
        if (value.size == 0 || str_equal(known, value)) {
            return STATUS_OK;
        }
        names[i] = str_dup_z(arena, known);
        if (names[i] == NULL) {
            return STATUS_LIMIT;
        }
    }
    return refuse_unknown(arena, out_error, member, "value of that rule", value,
                          str_nearest(value, names, rule->definition.case_count));
}

static enum status resolve_rule(struct arena *arena, const struct ruleset *ruleset,
                                struct trigger *trigger, struct trigger_error *out_error)
{
    static const char *const members[] = { [TRIGGER_ENTERS] = "when/enters",
                                           [TRIGGER_LEAVES] = "when/leaves",
                                           [TRIGGER_CHANGES] = "when/changes" };
    const char *member = members[trigger->when];
    const struct rule *rule = ruleset != NULL ? ruleset_rule(ruleset, trigger->what) : NULL;
    const char *wanted = trigger->when == TRIGGER_CHANGES ? "lifecycle or tier" : "tag or segment";
    if (rule == NULL) {
        return refuse_unknown(arena, out_error, member, wanted, trigger->what,
                              nearest_rule(arena, ruleset, trigger));
    }
    if (!fires_by(trigger->when, rule->definition.kind)) {
        struct str detail = str_printf(
            arena, "\"%.*s\" is a %s, and %s is said of a %s", STR_ARG(trigger->what),
            rule_kind_name(rule->definition.kind), trigger_when_name(trigger->when), wanted);
        return detail.data == NULL ? STATUS_LIMIT : refuse(out_error, member, detail, NULL);
    }
    trigger->rule_slot = rule->definition.slot;
    enum status status = check_value(arena, rule, trigger->from, "when/from", out_error);
    return status == STATUS_OK ? check_value(arena, rule, trigger->to, "when/to", out_error)
                               : status;
}

/* --- the condition ------------------------------------------------------------ */

/* The ruleset's numbers of what the condition counts; what it does not keep has none. */
static size_t numbers_of(const struct ruleset *ruleset, const struct rule_program *program,
                         struct feature_number *numbers)
{
    size_t found = 0;
    for (size_t i = 0; i < program->reads.feature_count; i++) {
        for (size_t k = 0; ruleset != NULL && k < ruleset->feature_count; k++) {
            const struct feature *feature = &ruleset->features[k];
            if (str_equal(feature->key, program->features[i]->key)) {
                numbers[found++] = (struct feature_number){ .key = feature->key,
                                                            .number = feature->number,
                                                            .version = feature->version,
                                                            .keep = feature->keep };
            }
        }
    }
    return found;
}

/* interest.* and product.* are read with the fact that a job fans out, and when a wait is
 * over; an event fires at once, before anybody looks. */
static bool knows_interest(const struct trigger *trigger)
{
    return trigger->when == TRIGGER_UNIVERSAL ||
           (trigger->when == TRIGGER_EVENT && trigger->wait_ms > 0);
}

static enum status number_features(struct arena *arena, const struct ruleset *ruleset,
                                   struct feature_table *table, const struct rule_program *program)
{
    uint32_t next = UINT32_MAX / 2; /* of what no profile keeps yet */
    const struct feature *features = NULL;
    size_t count = feature_table_count(table);
    struct feature_number *known = ARENA_NEW_ARRAY(arena, count + 1, struct feature_number);
    if (known == NULL || !feature_table_finish(table, 0, known, numbers_of(ruleset, program, known),
                                               &next, &features, &count)) {
        return STATUS_LIMIT;
    }
    program_number_features(program);
    return STATUS_OK;
}

static enum status compile_text(struct arena *arena, const struct ruleset *ruleset,
                                const struct trigger *trigger, struct str text, const char *member,
                                const struct rule_node **out_root,
                                const struct rule_program **out_program,
                                struct trigger_error *out_error)
{
    struct rule_vocabulary names;
    struct rule_node *root = NULL;
    struct trigger_error error = { .member = member, .is_expression = true };
    if (!ruleset_vocabulary(arena, ruleset, RULE_CONTEXT_TRIGGER, &names)) {
        return STATUS_LIMIT;
    }
    enum status status = rule_parse(arena, text, &names, &root, &error.error);
    if (status == STATUS_INVALID) {
        *out_error = error;
    }
    struct feature_table *table = feature_table_create(arena);
    if (status == STATUS_OK) {
        status = table != NULL ? rule_compile(arena, root, table, out_program) : STATUS_LIMIT;
    }
    if (status != STATUS_OK) {
        return status;
    }
    if ((rule_program_reads(*out_program)->parts & 1u << RULE_PART_INTEREST) != 0 &&
        !knows_interest(trigger)) {
        return refuse(out_error, member,
                      STR("interest.* and product.* exist where the trigger's \"when\" is "
                          "universal, or an event with a \"wait\""),
                      NULL);
    }
    *out_root = root;
    return number_features(arena, ruleset, table, *out_program);
}

/* What the rows of interest and the fact alone can answer costs no profile. */
static bool asks_profile(const struct rule_program *program)
{
    const struct rule_reads *reads = rule_program_reads(program);
    return (reads->parts & ~(uint32_t)RULE_PARTS_TOLD) != 0 || reads->feature_count > 0 ||
           reads->rule_count > 0 || program->percentile_count > 0;
}

static enum status compile_audience(struct arena *arena, const struct ruleset *ruleset,
                                    struct trigger *trigger, struct trigger_error *out_error)
{
    const struct rule_node *root = NULL;
    enum status status = compile_text(arena, ruleset, trigger, trigger->audience, "audience", &root,
                                      &trigger->audience_program, out_error);
    if (status == STATUS_OK) {
        trigger->audience_asks_profile = asks_profile(trigger->audience_program);
    }
    return status;
}

static bool asks_transition(const struct rule_program *program)
{
    return program != NULL &&
           (rule_program_reads(program)->parts & 1u << RULE_PART_TRANSITION) != 0;
}

enum status trigger_compile(struct arena *arena, const struct ruleset *ruleset,
                            struct trigger *trigger, struct trigger_error *out_error)
{
    enum status status = trigger->when == TRIGGER_EVENT ? resolve_event(arena, trigger, out_error)
                         : trigger->when == TRIGGER_UNIVERSAL
                             ? resolve_universal(arena, trigger, out_error)
                             : resolve_rule(arena, ruleset, trigger, out_error);
    if (status == STATUS_OK && trigger->audience.size > 0) {
        status = compile_audience(arena, ruleset, trigger, out_error);
    }
    if (status == STATUS_OK && trigger->condition.size > 0) {
        status = compile_text(arena, ruleset, trigger, trigger->condition, "if", &trigger->root,
                              &trigger->program, out_error);
    }
    if (status == STATUS_OK && trigger->recheck && asks_transition(trigger->program)) {
        status = refuse(out_error, "recheck",
                        STR("transition.* is of the instant of the change, which is over when an "
                            "attempt is made; whether the rule still says so is asked anyway"),
                        NULL);
    }
    return status;
}

static bool counts(const struct rule_program *program)
{
    return program != NULL && (program->reads.feature_count > 0 || program->percentile_count > 0);
}

bool trigger_keeps(const struct trigger *trigger)
{
    return counts(trigger->program) || counts(trigger->audience_program);
}

static bool names_rule(const struct rule_program *program, struct str rule)
{
    const struct rule_reads *reads = program != NULL ? rule_program_reads(program) : NULL;
    for (size_t i = 0; reads != NULL && i < reads->rule_count; i++) {
        if (str_equal(reads->rules[i], rule)) {
            return true;
        }
    }
    return false;
}

static bool is_of_rule(const struct trigger *trigger)
{
    return trigger->when != TRIGGER_EVENT && trigger->when != TRIGGER_UNIVERSAL;
}

bool trigger_uses_rule(const struct trigger *trigger, struct str rule)
{
    return (is_of_rule(trigger) && str_equal(trigger->what, rule)) ||
           names_rule(trigger->program, rule) || names_rule(trigger->audience_program, rule);
}

/* --- topics ------------------------------------------------------------------ */

bool trigger_topic_is_free(struct str name, struct str topic)
{
    struct str object = { NULL, 0 };
    struct str action = { NULL, 0 };
    if (!str_split(topic, '.', &object, &action)) {
        return false;
    }
    if (str_equal(object, STR("trigger"))) {
        return str_equal(action, name);
    }
    return topic_is_well_formed(topic) && !topic_is_built_in(topic);
}

/* --- many of them ------------------------------------------------------------ */

static int compare_slot(const void *a, const void *b)
{
    const struct trigger *left = *(const struct trigger *const *)a;
    const struct trigger *right = *(const struct trigger *const *)b;
    if (left->rule_slot != right->rule_slot) {
        return left->rule_slot < right->rule_slot ? -1 : 1;
    }
    return id_compare(left->id, right->id);
}

const struct trigger_set *trigger_set_create(struct arena *arena, const struct trigger *triggers,
                                             size_t count)
{
    struct trigger_set *set = ARENA_NEW(arena, struct trigger_set);
    const struct trigger **places = ARENA_NEW_ARRAY(arena, count + 1, const struct trigger *);
    size_t filled = 0;
    if (set == NULL || places == NULL) {
        return NULL;
    }
    for (int type = EVENT_SESSION_STARTED; type < EVENT_TYPE_COUNT; type++) {
        set->by_event[type] = &places[filled];
        for (size_t i = 0; i < count; i++) {
            bool is_it = triggers[i].when == TRIGGER_EVENT && !triggers[i].is_paused &&
                         (int)triggers[i].event_type == type;
            if (is_it) {
                places[filled++] = &triggers[i];
            }
        }
        set->by_event_count[type] = (size_t)(&places[filled] - set->by_event[type]);
    }
    const struct trigger **by_rule = &places[filled];
    for (size_t i = 0; i < count; i++) {
        if (is_of_rule(&triggers[i]) && !triggers[i].is_paused) {
            by_rule[set->by_rule_count++] = &triggers[i];
        }
    }
    const struct trigger **universal = &by_rule[set->by_rule_count];
    for (size_t i = 0; i < count; i++) {
        if (triggers[i].when == TRIGGER_UNIVERSAL && !triggers[i].is_paused) {
            universal[set->universal_count++] = &triggers[i];
        }
    }
    set->universal = universal;
    /* Pointers are what is sorted. NOLINTNEXTLINE(bugprone-sizeof-expression) */
    qsort(by_rule, set->by_rule_count, sizeof(*by_rule), compare_slot);
    set->by_rule = by_rule;
    return set;
}

const struct trigger *const *trigger_set_of_rule(const struct trigger_set *set, uint32_t slot,
                                                 size_t *out_count)
{
    size_t low = 0;
    size_t high = set->by_rule_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set->by_rule[middle]->rule_slot < slot) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    size_t end = low;
    while (end < set->by_rule_count && set->by_rule[end]->rule_slot == slot) {
        end++;
    }
    *out_count = end - low;
    return &set->by_rule[low];
}

static const struct trigger *find_among(const struct trigger *const *triggers, size_t count,
                                        struct id id)
{
    for (size_t i = 0; i < count; i++) {
        if (id_equal(triggers[i]->id, id)) {
            return triggers[i];
        }
    }
    return NULL;
}

const struct trigger *trigger_set_find(const struct trigger_set *set, struct id id)
{
    const struct trigger *found = NULL;
    for (int type = EVENT_SESSION_STARTED; type < EVENT_TYPE_COUNT && found == NULL; type++) {
        found = find_among(set->by_event[type], set->by_event_count[type], id);
    }
    if (found == NULL) {
        found = find_among(set->by_rule, set->by_rule_count, id);
    }
    return found != NULL ? found : find_among(set->universal, set->universal_count, id);
}
