#include "candidate_priv.h"
#include "store/profile_filter.h"

/*
 * In an arena of its own: compiling a thousand rules takes more than an answer
 * may hold.
 */

enum {
    CANDIDATE_ARENA_BYTES = 256 * 1024 * 1024,
};

struct str candidate_name(struct arena *arena, const struct profile_reader *reader)
{
    struct str name = STR("candidate");
    while (reader->newest != NULL && ruleset_rule(reader->newest, name) != NULL) {
        name = str_printf(arena, "%.*s_", STR_ARG(name));
    }
    return name;
}

enum status candidate_open(const struct profile_reader *reader,
                           const struct rule_definition *definition,
                           struct candidate *out_candidate, struct ruleset_error *out_error,
                           struct problem *problem)
{
    struct candidate candidate = { .arena = arena_create(CANDIDATE_ARENA_BYTES) };
    if (candidate.arena == NULL) {
        return problem_set(problem, STATUS_BROKEN, "internal", "no memory");
    }
    *out_error = (struct ruleset_error){ .type = "" };
    enum status status = reader->newest != NULL
                             ? rule_candidate_build(candidate.arena, reader->newest, definition,
                                                    &candidate.made, out_error)
                             : problem_set(problem, STATUS_RETRY, "overloaded",
                                           "the rules of the workspace are not known yet");
    if (status == STATUS_INVALID) {
        status =
            problem_set(problem, STATUS_INVALID, out_error->type, "%s", out_error->error.detail);
    } else if (status == STATUS_LIMIT) {
        status = problem_set(problem, STATUS_INVALID, "limit-reached", "the rule is too large");
    }
    if (status != STATUS_OK) {
        candidate_close(&candidate);
        return status;
    }
    *out_candidate = candidate;
    return STATUS_OK;
}

void candidate_close(struct candidate *candidate)
{
    arena_destroy(candidate->arena);
    *candidate = (struct candidate){ .arena = NULL };
}

enum status candidate_sql(struct arena *arena, const struct rule_node *root,
                          const struct profile_reader *reader, int64_t at_ms,
                          struct rule_sql *out_sql, struct problem *problem)
{
    const struct rule_sql_options options = {
        .currency = reader->workspace->currency,
        .at_ms = at_ms,
        .first_parameter = PROFILE_FILTER_PARAMETER,
    };
    struct rule_sql sql;
    enum status status = rule_sql(arena, root, &options, &sql, problem);
    if (status == STATUS_OK && sql.parameter_count > PROFILE_FILTER_PARAMETERS_MAX) {
        return problem_set(problem, STATUS_INVALID, "invalid-expression",
                           "this many values cannot be pushed down");
    }
    if (status == STATUS_OK) {
        *out_sql = sql;
    }
    return status;
}
