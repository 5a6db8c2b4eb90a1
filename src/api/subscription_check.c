#include "rule_priv.h"
#include "subscription_priv.h"

/*
 * A subscription's filter, fields and templates, checked when they are saved: what
 * is wrong is told with its place and the nearest name, as of a rule, and what is
 * saved compiles for as long as it stands. The rules are read from the database:
 * the command line has no other, and what this instance knows may be a moment old.
 */

enum {
    RULES_ARENA_BYTES = 128 * 1024 * 1024, /* 2,000 rules of the largest size */
};

static struct str pointer_of(struct arena *arena, const struct projection_error *error)
{
    if (error->name.size == 0) {
        return str_printf(arena, "#/%s", error->member);
    }
    return str_printf(arena, "#/%s/%.*s", error->member, STR_ARG(str_take_text(error->name, 60)));
}

static enum status refuse(const struct resource_request *request,
                          const struct projection_error *failed, struct resource_answer *out_answer,
                          struct problem *problem)
{
    bool is_expression = str_equal_z(STR("filter"), failed->member);
    return rule_error_refuse(request, pointer_of(request->arena, failed), &failed->error,
                             is_expression ? "invalid-expression" : "invalid-field", out_answer,
                             problem);
}

static enum status check(const struct resource_request *request, const struct ruleset *newest,
                         const struct subscription_row *row, struct choice *out_choice,
                         struct projection_error *out_error)
{
    const struct choice_text text = { .filter = row->filter,
                                      .fields = row->fields,
                                      .format = row->format,
                                      .map_json = row->map_json,
                                      .settings_json = row->settings_json,
                                      .is_masked = row->is_masked };
    struct rule_vocabulary names;
    if (!choice_vocabulary(request->arena, newest, &names)) {
        return STATUS_LIMIT;
    }
    return choice_parse(request->arena, &text, &names, out_choice, out_error);
}

/* Nothing to look up: the rules need not be known, nor stay. */
static bool names_nothing(const struct subscription_row *row)
{
    return row->filter.size == 0 && row->fields.data[0] != '[' &&
           str_equal(row->map_json, STR("{}"));
}

enum status subscription_check_choice(const struct resource_request *request,
                                      struct subscription_row *row, struct choice *out_choice,
                                      struct resource_answer *out_answer, struct problem *problem)
{
    struct projection_error error = { .member = "" };
    CLEANUP(arena_destroy_at) struct arena *arena = NULL;
    struct ruleset *rules = NULL;
    struct choice choice = { .root = NULL };
    enum status status = STATUS_OK;
    if (!names_nothing(row)) {
        arena = arena_create(RULES_ARENA_BYTES);
        status = arena != NULL
                     ? rule_store_compile(request->pg, arena, row->workspace_id, &rules, problem)
                     : problem_set(problem, STATUS_BROKEN, "internal", "no memory");
    }
    if (status != STATUS_OK && status != STATUS_MISSING) {
        return status; /* missing: not one rule yet */
    }
    row->rules_version = rules != NULL ? rules->version : 0;
    status = check(request, rules, row, &choice, &error);
    if (status == STATUS_INVALID) {
        return refuse(request, &error, out_answer, problem);
    }
    if (status != STATUS_OK) {
        return problem_set(problem, STATUS_INVALID, "limit-reached",
                           "the filter, fields and map are too large together");
    }
    if (row->is_masked && choice_asks_person(&choice)) {
        (void)problem_set(problem, STATUS_DENIED, "scope-insufficient",
                          "a filter that compares addresses, numbers or names needs the scope pii");
        problem_point(problem, "#/filter");
        return STATUS_DENIED;
    }
    *out_choice = choice;
    return STATUS_OK;
}
