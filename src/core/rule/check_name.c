#include <string.h>

#include "check_priv.h"
#include "core/event/event.h"

/*
 * Which names exist where a rule, a filter or a `where` stands, and what is said of
 * one that does not: the nearest there is, or how what it means is written.
 *
 * Within "where" names are properties of the counted event and nothing else is
 * known; outside of it a filter knows the event and the change of a verdict that it
 * is asked about, and all know the profile.
 */

/* --- saying it ------------------------------------------------------------- */

enum {
    SHOWN_BYTES_MAX = 80
};

struct str check_shown(const struct check *check, const struct rule_node *node)
{
    return rule_quoted(check->parser, rule_node_span(node), SHOWN_BYTES_MAX);
}

bool check_fail(struct check *check, const struct rule_node *node, struct str detail,
                const char *expected, const char *suggestion)
{
    return rule_fail(check->parser, rule_node_span(node), detail, expected, suggestion);
}

bool check_fail_unknown(struct check *check, struct rule_span span, const char *expected,
                        struct str name, const char *nearest)
{
    struct arena *arena = check->parser->arena;
    struct str kind = STR("event");
    if (!str_equal_z(STR("an event type"), expected)) {
        kind = str_drop(str_from_z(expected), STR("a ").size);
    }
    struct str detail =
        str_printf(arena, "no %.*s is called \"%.*s\"", STR_ARG(kind), STR_ARG(name));
    if (nearest != NULL) {
        bool is_quoted = str_find(str_from_z(nearest), '"', 0) >= 0;
        detail =
            str_printf(arena, is_quoted ? "%.*s; did you mean %s?" : "%.*s; did you mean \"%s\"?",
                       STR_ARG(detail), nearest);
    }
    return rule_fail(check->parser, span, detail, expected, nearest);
}

/* --- rules by name --------------------------------------------------------- */

const struct rule_known *check_known(const struct check *check, struct str name,
                                     enum rule_kind kind)
{
    const struct rule_vocabulary *vocabulary = check->parser->vocabulary;
    for (size_t i = 0; i < vocabulary->rule_count; i++) {
        const struct rule_known *known = &vocabulary->rules[i];
        if ((kind == 0 || known->kind == kind) && str_equal(known->name, name)) {
            return known;
        }
    }
    return NULL;
}

/* The nearest rule of a kind; the better of two at a time, for there may be
 * thousands and the arena is for the tree. */
const char *check_known_nearest(const struct check *check, struct str name, enum rule_kind kind)
{
    const struct rule_vocabulary *vocabulary = check->parser->vocabulary;
    char best[64] = "";
    char next[64] = "";
    for (size_t i = 0; i < vocabulary->rule_count; i++) {
        const struct rule_known *known = &vocabulary->rules[i];
        if (known->kind != kind || known->name.size >= sizeof(next)) {
            continue;
        }
        memcpy(next, known->name.data, known->name.size);
        next[known->name.size] = '\0';
        const char *const pair[] = { best, next };
        if (str_nearest(name, pair, ARRAY_COUNT(pair)) == next) {
            memcpy(best, next, sizeof(best));
        }
    }
    return best[0] == '\0' ? NULL : str_dup_z(check->parser->arena, str_from_z(best));
}

/* --- names ----------------------------------------------------------------- */

static bool is_event_name(struct str path)
{
    return event_type_from_name(path) != 0;
}

/* What a name that does not exist was probably meant to be: NULL or text. */
static const char *name_meant(const struct check *check, struct str path, const char *nearest)
{
    struct arena *arena = check->parser->arena;
    if (is_event_name(path)) {
        return str_dup_z(arena, str_printf(arena, "count(%.*s)", STR_ARG(path)));
    }
    const struct rule_known *known = check_known(check, path, 0);
    if (known != NULL && known->kind == RULE_KIND_TIER) {
        return str_dup_z(arena, str_printf(arena, "tiers.%.*s", STR_ARG(path)));
    }
    if (known != NULL && known->kind != RULE_KIND_LIFECYCLE) {
        return str_dup_z(arena, str_printf(arena, "\"%.*s\" in %ss", STR_ARG(path),
                                           rule_kind_name(known->kind)));
    }
    ptrdiff_t open = nearest == NULL ? -1 : str_find(str_from_z(nearest), '<', 0);
    ptrdiff_t dot = str_find(path, '.', 0);
    if (open < 0 || dot < 0) {
        return nearest;
    }
    return str_dup_z(arena, str_printf(arena, "%.*s%.*s", (int)open, nearest,
                                       STR_ARG(str_drop(path, (size_t)dot + 1))));
}

static bool check_property(struct check *check, struct rule_node *node, struct str property)
{
    (void)check;
    node->name = (struct rule_name){ RULE_PROPERTY, property };
    node->type = rule_property_type(property);
    return true;
}

static bool check_where_name(struct check *check, struct rule_node *node)
{
    struct str path = node->name.key;
    if (str_starts_with(path, STR("event."))) {
        return check_fail(
            check, node,
            STR("within \"where\", names are properties of the counted event; event.* "
                "cannot be used there yet"),
            "a property of the counted event", NULL);
    }
    if (str_starts_with(path, STR("profile."))) {
        return check_fail(
            check, node,
            STR("within \"where\", names are properties of the counted event; compare "
                "the profile outside of it"),
            "a property of the counted event", NULL);
    }
    return check_property(check, node, path);
}

typedef bool resolve_fn(struct str path, struct rule_name *out_name, const char **out_nearest);

static bool check_fixed_name(struct check *check, struct rule_node *node, resolve_fn *resolve)
{
    const char *nearest = NULL;
    struct str path = node->name.key;
    if (!resolve(path, &node->name, &nearest)) {
        return check_fail_unknown(check, rule_node_span(node), "a name", check_shown(check, node),
                                  nearest);
    }
    node->type = rule_name_info(node->name.attribute)->type;
    return true;
}

/* event.type, event.source and transition.*: of filters alone. */
static bool is_told_name(const struct check *check, struct str path)
{
    struct rule_name name;
    const char *nearest = NULL;
    return check->parser->vocabulary->context != RULE_CONTEXT_RULE &&
           (str_starts_with(path, STR("transition.")) ||
            rule_name_resolve_told(path, &name, &nearest));
}

/* interest.* and product.*: of triggers alone. An event's name is none. */
static bool is_interest_name(struct str path)
{
    return (str_starts_with(path, STR("interest.")) || str_starts_with(path, STR("product."))) &&
           !is_event_name(path);
}

static bool refuse_interest_name(struct check *check, const struct rule_node *node, bool is_rule)
{
    struct str family = str_take(node->name.key, (size_t)str_find(node->name.key, '.', 0) + 1);
    return check_fail(check, node,
                      str_printf(check->parser->arena,
                                 is_rule ? "%.*s* exists only in triggers"
                                         : "%.*s* exists only in triggers; a filter is asked about "
                                           "a customer, whatever the message is of",
                                 STR_ARG(family)),
                      is_rule ? "a name of the profile" : "a name of the profile or the event",
                      NULL);
}

/* Names of filters and triggers. */
static bool check_outer_name(struct check *check, struct rule_node *node, bool *out_is_outer)
{
    struct str path = node->name.key;
    enum rule_context context = check->parser->vocabulary->context;
    bool is_rule = context == RULE_CONTEXT_RULE;
    *out_is_outer = true;
    if (is_told_name(check, path)) {
        return check_fixed_name(check, node, rule_name_resolve_told);
    }
    if (is_interest_name(path)) {
        return context == RULE_CONTEXT_TRIGGER
                   ? check_fixed_name(check, node, rule_name_resolve_interest)
                   : refuse_interest_name(check, node, is_rule);
    }
    if (str_starts_with(path, STR("event."))) {
        return is_rule
                   ? check_fail(check, node,
                                STR("event.* exists only in filters and triggers; a rule counts "
                                    "events, as in count(product.viewed within 24h)"),
                                "a name of the profile", NULL)
                   : check_property(check, node, str_drop(path, STR("event.").size));
    }
    if (str_starts_with(path, STR("transition."))) {
        return check_fail(check, node,
                          is_rule ? STR("transition.* exists only in triggers")
                                  : STR("transition.* cannot be used here yet"),
                          is_rule ? "a name of the profile" : "a name of the profile or the event",
                          NULL);
    }
    *out_is_outer = false;
    return true;
}

bool check_name(struct check *check, struct rule_node *node)
{
    bool is_outer = false;
    if (check->in_where) {
        return check_where_name(check, node);
    }
    if (!check_outer_name(check, node, &is_outer) || is_outer) {
        return is_outer && !check->parser->has_failed;
    }
    struct str path = node->name.key;
    const char *nearest = NULL;
    if (!rule_name_resolve(path, &node->name, &nearest)) {
        return check_fail_unknown(check, rule_node_span(node), "a name", check_shown(check, node),
                                  name_meant(check, path, nearest));
    }
    node->type = rule_name_info(node->name.attribute)->type;
    if (node->name.attribute == RULE_TIER &&
        check_known(check, node->name.key, RULE_KIND_TIER) == NULL) {
        return check_fail_unknown(check, rule_span_of(check->parser, node->name.key), "a tier",
                                  node->name.key,
                                  check_known_nearest(check, node->name.key, RULE_KIND_TIER));
    }
    return true;
}
