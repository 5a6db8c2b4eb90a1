#include <string.h>

#include "api/page.h"
#include "base/instant.h"
#include "candidate_priv.h"
#include "core/rule/verdict.h"
#include "rule_priv.h"
#include "store/profile_filter.h"

/*
 * Lists narrowed by an expression of the rule language.
 *
 * What is a column is compared by the database. The rest (windows, scores,
 * shares of others) is evaluated here on decoded rows, by the program that
 * rules run, and only over features that some rule keeps: a list cannot fold
 * histories. Either way a page looks at a bounded number of profiles; it may
 * come back short, and its token goes on behind the last one looked at.
 */

enum {
    SQL_SCAN_MAX = 100000,
    SCAN_MAX = 20000,
    SCAN_CHUNK = 256,
    SCRATCH_BYTES = 128 * 1024 * 1024,
};

/* --- errors ----------------------------------------------------------------- */

static const char *pointer_of(const struct resource_request *request)
{
    return request->body.size > 0 ? "#/filter" : "#/query/filter";
}

static enum status refuse_missing(const struct resource_request *request, struct str missing,
                                  struct problem *problem)
{
    (void)problem_set(problem, STATUS_INVALID, "invalid-expression",
                      "no rule keeps %.*s: a list reads only what rules keep, so save it in a rule"
                      " first",
                      STR_ARG(str_take_text(missing, 160)));
    problem_point(problem, "%s", pointer_of(request));
    return STATUS_INVALID;
}

/* --- opening ------------------------------------------------------------------ */

static enum status parse(const struct resource_request *request,
                         const struct profile_reader *reader, struct rule_node **out_root,
                         struct rule_error *out_error)
{
    struct rule_vocabulary vocabulary;
    if (!ruleset_vocabulary(request->arena, reader->newest, RULE_CONTEXT_RULE, &vocabulary)) {
        return STATUS_LIMIT;
    }
    return rule_parse(request->arena, request->filter, &vocabulary, out_root, out_error);
}

static enum status open_program(const struct resource_request *request,
                                const struct profile_reader *reader, struct filter *filter,
                                struct resource_answer *out_answer, struct problem *problem)
{
    const struct rule_case only = { .when = request->filter };
    const struct rule_definition definition = {
        .name = candidate_name(request->arena, reader),
        .kind = RULE_KIND_SEGMENT,
        .cases = &only,
        .case_count = 1,
    };
    struct ruleset_error error;
    enum status status = candidate_open(reader, &definition, &filter->candidate, &error, problem);
    if (status == STATUS_INVALID && error.type[0] != '\0') {
        return rule_error_refuse(request, str_from_z(pointer_of(request)), &error.error, error.type,
                                 out_answer, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (filter->candidate.made.missing.size > 0) {
        status = refuse_missing(request, filter->candidate.made.missing, problem);
        candidate_close(&filter->candidate);
        return status;
    }
    filter->subject = (struct rule_subject){ .ruleset = filter->candidate.made.ruleset,
                                             .statistics = reader->workspace->statistics,
                                             .currency = reader->workspace->currency };
    return STATUS_OK;
}

enum status filter_open(const struct resource_request *request, const struct profile_reader *reader,
                        struct filter *out_filter, struct resource_answer *out_answer,
                        struct problem *problem)
{
    struct filter filter = { .at_ms = request->now_ms };
    struct rule_node *root = NULL;
    struct rule_error error = { .line = 0 };
    struct problem pushing = { .type = "" };
    enum status status = parse(request, reader, &root, &error);
    if (status == STATUS_INVALID) {
        return rule_error_refuse(request, str_from_z(pointer_of(request)), &error,
                                 "invalid-expression", out_answer, problem);
    }
    if (status != STATUS_OK) {
        return problem_set(problem, STATUS_INVALID, "limit-reached", "the filter is too large");
    }
    filter.is_sql = candidate_sql(request->arena, root, reader, request->now_ms, &filter.sql,
                                  &pushing) == STATUS_OK;
    if (!filter.is_sql) {
        status = open_program(request, reader, &filter, out_answer, problem);
    }
    if (status == STATUS_OK) {
        *out_filter = filter;
    }
    return status;
}

void filter_close(struct filter *filter)
{
    candidate_close(&filter->candidate);
}

/* For those that are not SQL. */
static bool filter_takes(struct arena *arena, const struct filter *filter,
                         const struct profile *profile)
{
    struct rule_subject subject = filter->subject;
    struct str value = { NULL, 0 };
    subject.profile = profile;
    return rule_verdict(arena, filter->candidate.made.rule, &subject, filter->at_ms, &value, NULL);
}

enum status filter_choose(struct pg *pg, struct arena *scratch, struct id workspace_id,
                          const struct filter *filter, const struct id *ids, size_t count,
                          bool *out_taken, struct problem *problem)
{
    const struct rule_sql every = { .text = STR("true") };
    struct profile_view *rows = NULL;
    size_t row_count = 0;
    enum status status =
        profile_filter_among(pg, scratch, workspace_id, ids, count,
                             filter->is_sql ? &filter->sql : &every, &rows, &row_count, problem);
    memset(out_taken, 0, count * sizeof(*out_taken));
    for (size_t i = 0; status == STATUS_OK && i < row_count; i++) {
        const struct profile *profile = filter->is_sql ? NULL : profile_of_view(scratch, &rows[i]);
        bool is_taken =
            filter->is_sql || (profile != NULL && filter_takes(scratch, filter, profile));
        for (size_t k = 0; k < count && is_taken; k++) {
            out_taken[k] = out_taken[k] || id_equal(ids[k], rows[i].id);
        }
    }
    return status;
}

enum status filter_refuse_total(const struct resource_request *request, struct problem *problem)
{
    (void)problem_set(problem, STATUS_INVALID, "invalid-field",
                      "what this filter matches is not counted: ask POST /v1/rules/preview");
    problem_point(problem, request->body.size > 0 ? "#/include" : "#/query/include");
    return STATUS_INVALID;
}

/* --- pages ---------------------------------------------------------------------- */

static struct str cursor_of(struct arena *arena, const struct profile_query *query, struct id id,
                            int64_t last_seen_at_ms)
{
    return cursor_format(arena, query->order == PROFILE_BY_LAST_SEEN ? last_seen_at_ms : 0, id);
}

static enum status write_sql_page(struct page *page, const struct profile_query *asked,
                                  const struct profile_reader *reader, const struct filter *filter,
                                  struct str *out_next, struct problem *problem)
{
    const struct resource_request *request = page->request;
    struct profile_query query = *asked;
    struct profile_edge edge = { .is_cut = false };
    struct profile_view *rows = NULL;
    size_t count = 0;
    query.limit = page->size + 1;
    enum status status = profile_filter_page(request->pg, request->arena, &query, &filter->sql,
                                             SQL_SCAN_MAX, &rows, &count, &edge, problem);
    if (status != STATUS_OK) {
        return status;
    }
    size_t shown = count < page->size ? count : page->size;
    for (size_t i = 0; i < shown; i++) {
        profile_write_summary(&page->json, request, &rows[i], reader);
    }
    if (count > page->size) {
        *out_next =
            cursor_of(request->arena, &query, rows[shown - 1].id, rows[shown - 1].last_seen_at_ms);
    } else if (edge.is_cut) {
        *out_next = cursor_of(request->arena, &query, edge.id, edge.at_ms);
    }
    return STATUS_OK;
}

struct walk {
    struct page *page;
    struct profile_query query;
    const struct profile_reader *reader;
    const struct filter *filter;
    struct arena *scratch;
    size_t scanned;
    size_t written;
    bool is_end;
};

static enum status walk_chunk(struct walk *walk, struct problem *problem)
{
    struct resource_request request = *walk->page->request;
    struct profile_view *rows = NULL;
    size_t count = 0;
    request.arena = walk->scratch;
    arena_reset(walk->scratch);
    enum status status =
        profile_page(request.pg, walk->scratch, &walk->query, &rows, &count, problem);
    for (size_t i = 0; status == STATUS_OK && i < count && walk->written < walk->page->size; i++) {
        const struct profile *profile = profile_of_view(walk->scratch, &rows[i]);
        if (profile != NULL && filter_takes(walk->scratch, walk->filter, profile)) {
            profile_write_summary(&walk->page->json, &request, &rows[i], walk->reader);
            walk->written++;
        }
        walk->query.after_id = rows[i].id;
        walk->query.after_ms = rows[i].last_seen_at_ms;
        walk->scanned++;
        walk->is_end = i + 1 == count && count < walk->query.limit;
    }
    walk->is_end = walk->is_end || count == 0;
    return status;
}

static enum status write_walked_page(struct page *page, const struct profile_query *query,
                                     const struct profile_reader *reader,
                                     const struct filter *filter, struct str *out_next,
                                     struct problem *problem)
{
    struct arena *CLEANUP(arena_destroy_at) scratch = arena_create(SCRATCH_BYTES);
    struct walk walk = {
        .page = page, .query = *query, .reader = reader, .filter = filter, .scratch = scratch
    };
    enum status status = STATUS_OK;
    walk.query.limit = SCAN_CHUNK;
    if (scratch == NULL) {
        return problem_set(problem, STATUS_BROKEN, "internal", "no memory");
    }
    while (status == STATUS_OK && !walk.is_end && walk.written < page->size &&
           walk.scanned < SCAN_MAX) {
        status = walk_chunk(&walk, problem);
    }
    if (status == STATUS_OK && !walk.is_end) {
        *out_next =
            cursor_of(page->request->arena, &walk.query, walk.query.after_id, walk.query.after_ms);
    }
    return status;
}

enum status filter_write_page(struct page *page, const struct profile_query *query,
                              const struct profile_reader *reader, const struct filter *filter,
                              struct str *out_next, struct problem *problem)
{
    return filter->is_sql ? write_sql_page(page, query, reader, filter, out_next, problem)
                          : write_walked_page(page, query, reader, filter, out_next, problem);
}
