#include "base/compiler.h"
#include "message_priv.h"

/*
 * The names of a message's parts.
 *
 * One rule: the path in `data` is the name (contract 5). What rules can read is
 * resolved by the rules' own table; the rest, which they have no use for, stands
 * here.
 */

/* Names that no table of rules has. */
static const struct fixed {
    const char *path;
    enum message_object object;
    uint8_t member;
    enum rule_kind kind;
    bool is_default;
} fixed[] = {
    { "profile.id", MESSAGE_PROFILE, PROFILE_ID, 0, true },
    { "profile.sequence", MESSAGE_PROFILE, PROFILE_SEQUENCE, 0, true },
    { "profile.orders.currency", MESSAGE_PROFILE, PROFILE_CURRENCY, 0, true },
    { "profile.tiers", MESSAGE_PROFILE, PROFILE_TIERS, 0, true },
    { "profile.traits", MESSAGE_PROFILE, PROFILE_TRAITS, 0, false },
    { "profile.preferences", MESSAGE_PROFILE, PROFILE_PREFERENCES, 0, false },
    { "profile.consent", MESSAGE_PROFILE, PROFILE_CONSENT, 0, true },
    { "profile.cart", MESSAGE_PROFILE, PROFILE_CART, 0, false },
    { "event", MESSAGE_EVENT, EVENT_ALL, 0, true },
    { "event.id", MESSAGE_EVENT, EVENT_ID, 0, true },
    { "event.type", MESSAGE_EVENT, EVENT_TYPE, 0, true },
    { "event.source", MESSAGE_EVENT, EVENT_SOURCE, 0, true },
    { "event.occurred_at", MESSAGE_EVENT, EVENT_OCCURRED_AT, 0, true },
    { "transition.rule", MESSAGE_TRANSITION, TRANSITION_RULE, 0, true },
    { "transition.kind", MESSAGE_TRANSITION, TRANSITION_KIND, 0, true },
    { "transition.from", MESSAGE_TRANSITION, TRANSITION_FROM, 0, true },
    { "transition.to", MESSAGE_TRANSITION, TRANSITION_TO, 0, true },
    { "merge.id", MESSAGE_MERGE, MERGE_ID, 0, true },
    { "merge.from_id", MESSAGE_MERGE, MERGE_FROM_ID, 0, true },
    { "merge.into_id", MESSAGE_MERGE, MERGE_INTO_ID, 0, true },
    { "trigger.name", MESSAGE_TRIGGER, TRIGGER_NAME, 0, true },
    { "trigger.title", MESSAGE_TRIGGER, TRIGGER_TITLE, 0, true },
    { "trigger.version", MESSAGE_TRIGGER, TRIGGER_VERSION, 0, true },
    { "notification.id", MESSAGE_NOTIFICATION, NOTIFICATION_ID, 0, true },
    { "notification.type", MESSAGE_NOTIFICATION, NOTIFICATION_TYPE, 0, true },
    { "notification.timestamp", MESSAGE_NOTIFICATION, NOTIFICATION_TIMESTAMP, 0, true },
    { "notification.recorded_at", MESSAGE_NOTIFICATION, NOTIFICATION_RECORDED_AT, 0, true },
    { "notification.expires_at", MESSAGE_NOTIFICATION, NOTIFICATION_EXPIRES_AT, 0, true },
    { "notification.sequence", MESSAGE_NOTIFICATION, NOTIFICATION_SEQUENCE, 0, true },
    { "notification.workspace", MESSAGE_NOTIFICATION, NOTIFICATION_WORKSPACE, 0, true },
    { "notification.cause", MESSAGE_NOTIFICATION, NOTIFICATION_CAUSE, 0, true },
#define OF_KIND(name, kind)                                                   \
    { name ".name", MESSAGE_RULE, RULE_NAME, kind, true },                    \
        { name ".title", MESSAGE_RULE, RULE_TITLE, kind, true },              \
        { name ".from", MESSAGE_RULE, RULE_FROM, kind, true },                \
        { name ".to", MESSAGE_RULE, RULE_TO, kind, true },                    \
        { name ".rule_version", MESSAGE_RULE, RULE_VERSION, kind, true },     \
        { name ".since", MESSAGE_RULE, RULE_SINCE, kind, true },              \
        { name ".until", MESSAGE_RULE, RULE_UNTIL, kind, true },              \
    {                                                                         \
        name ".previous_since", MESSAGE_RULE, RULE_PREVIOUS_SINCE, kind, true \
    }
    OF_KIND("segment", RULE_KIND_SEGMENT),
    OF_KIND("tag", RULE_KIND_TAG),
    OF_KIND("tier", RULE_KIND_TIER),
    OF_KIND("lifecycle", RULE_KIND_LIFECYCLE),
};

/* Traits that stand flat in the profile of a notification (contract 4). */
static const char *const flat_traits[] = { "first_name", "last_name", "locale", "time_zone" };

/* --- resolving ------------------------------------------------------------- */

static bool split_steps(struct str path, struct message_name *name)
{
    struct str rest = path;
    while (rest.size > 0) {
        struct str head = rest;
        struct str tail = { NULL, 0 };
        bool has_more = str_split(rest, '.', &head, &tail);
        if (name->step_count == MESSAGE_STEPS_MAX || head.size == 0 ||
            (has_more && tail.size == 0)) {
            return false;
        }
        name->steps[name->step_count++] = head;
        rest = tail;
    }
    return name->step_count > 0;
}

static bool resolve_fixed(struct str path, struct message_name *out_name)
{
    struct str bare = str_starts_with(path, STR("profile.")) ? str_drop(path, 8) : path;
    for (size_t i = 0; i < ARRAY_COUNT(fixed); i++) {
        struct str known = str_from_z(fixed[i].path);
        bool is_of_profile = fixed[i].object == MESSAGE_PROFILE;
        bool is_id = fixed[i].member == PROFILE_ID || fixed[i].member == PROFILE_SEQUENCE;
        bool is_found = str_equal(path, known) ||
                        (is_of_profile && !is_id && str_equal(bare, str_drop(known, 8)));
        if (is_found) {
            *out_name = (struct message_name){ .object = fixed[i].object,
                                               .member = fixed[i].member,
                                               .kind = fixed[i].kind,
                                               .is_default = fixed[i].is_default };
            return split_steps(known, out_name);
        }
    }
    return false;
}

static bool is_told_by_default(const struct rule_name *rule)
{
    switch ((int)rule->attribute) {
    case RULE_EMAIL:
    case RULE_PHONE:
    case RULE_EXTERNAL_ID:
    case RULE_LIFECYCLE:
    case RULE_TAGS:
    case RULE_SEGMENTS:
    case RULE_TIER:
    case RULE_ORDERS_COUNT:
    case RULE_ORDERS_REVENUE:
    case RULE_ORDERS_AVERAGE_VALUE:
    case RULE_ORDERS_LAST_AT:
    case RULE_CONSENT:
        return true;
    case RULE_TRAIT:
        for (size_t i = 0; i < ARRAY_COUNT(flat_traits); i++) {
            if (str_equal_z(rule->key, flat_traits[i])) {
                return true;
            }
        }
        return false;
    default:
        return false;
    }
}

static bool resolve_flat(struct str bare, struct message_name *out_name)
{
    for (size_t i = 0; i < ARRAY_COUNT(flat_traits); i++) {
        if (str_equal_z(bare, flat_traits[i])) {
            *out_name = (struct message_name){
                .object = MESSAGE_PROFILE,
                .steps = { STR("profile"), bare },
                .step_count = 2,
                .rule = { RULE_TRAIT, bare },
                .is_default = true,
            };
            return true;
        }
    }
    return false;
}

/* "traits.a.b" is the trait "a.b": its key is one step. */
static bool put_steps(struct str bare, struct message_name *name)
{
    struct message_name steps = { .steps = { STR("profile") }, .step_count = 1 };
    struct str key = name->rule.key;
    if (key.size == 0) {
        if (!split_steps(bare, &steps)) {
            return false;
        }
    } else {
        steps.steps[steps.step_count++] = str_take(bare, bare.size - key.size - 1);
        steps.steps[steps.step_count++] = key;
    }
    for (size_t i = 0; i < steps.step_count; i++) {
        name->steps[i] = steps.steps[i];
    }
    name->step_count = steps.step_count;
    return true;
}

static bool tier_exists(const struct rule_vocabulary *names, const struct rule_name *rule,
                        const char **out_nearest)
{
    if (names == NULL || rule->attribute != RULE_TIER) {
        return true;
    }
    for (size_t i = 0; i < names->rule_count; i++) {
        if (names->rules[i].kind == RULE_KIND_TIER && str_equal(names->rules[i].name, rule->key)) {
            return true;
        }
    }
    *out_nearest = NULL;
    return false;
}

static bool resolve_rule(struct str path, const struct rule_vocabulary *names,
                         struct message_name *out_name, const char **out_nearest)
{
    struct message_name name = { .object = MESSAGE_PROFILE };
    struct str bare = str_starts_with(path, STR("profile.")) ? str_drop(path, 8) : path;
    if (!rule_name_resolve(path, &name.rule, out_nearest) ||
        !tier_exists(names, &name.rule, out_nearest) || !put_steps(bare, &name)) {
        return false;
    }
    name.is_default = is_told_by_default(&name.rule);
    *out_name = name;
    return true;
}

static const char *nearest_fixed(struct str path)
{
    const char *paths[ARRAY_COUNT(fixed)];
    for (size_t i = 0; i < ARRAY_COUNT(fixed); i++) {
        paths[i] = fixed[i].path;
    }
    return str_nearest(path, paths, ARRAY_COUNT(fixed));
}

bool message_name_resolve(struct str path, const struct rule_vocabulary *names,
                          struct message_name *out_name, const char **out_nearest)
{
    struct str bare = str_starts_with(path, STR("profile.")) ? str_drop(path, 8) : path;
    *out_nearest = NULL;
    if (resolve_fixed(path, out_name) || resolve_flat(bare, out_name)) {
        return true;
    }
    if (str_starts_with(path, STR("event."))) {
        struct message_name name = { .object = MESSAGE_EVENT,
                                     .member = EVENT_PROPERTY,
                                     .is_default = true };
        if (split_steps(path, &name)) {
            *out_name = name;
            return true;
        }
        return false;
    }
    if (resolve_rule(path, names, out_name, out_nearest)) {
        return true;
    }
    const char *nearest = nearest_fixed(path);
    *out_nearest = nearest != NULL ? nearest : *out_nearest;
    return false;
}
