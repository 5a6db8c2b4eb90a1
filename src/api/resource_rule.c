#include <jansson.h>

#include "base/limits.h"
#include "rule_priv.h"
#include "store/member_read.h"

/*
 * Rules: create, put, show, list, delete, restore, apply.
 *
 * Whatever is asked, it is one list of changes given to one function of the
 * store, which compiles the whole set before it writes; a dry run does the
 * same and rolls back, so it can promise nothing that a save would not keep.
 * A save of what is there already changes nothing and says so by its version.
 */

static struct id workspace_of(const struct resource_request *request)
{
    return request->principal->workspace_id;
}

/* --- saving ----------------------------------------------------------------- */

struct saving {
    const struct rule_change *changes;
    size_t count;
    struct rule_saved *saved;
    struct rule_fault *fault;
};

static enum status save_rules(const struct resource_request *request, const void *what,
                              struct problem *problem)
{
    const struct saving *saving = what;
    *saving->fault = (struct rule_fault){ .change_index = SIZE_MAX };
    return rule_store_save(request->pg, request->arena, workspace_of(request), saving->changes,
                           saving->count, request->now_ms, saving->saved, saving->fault, problem);
}

static enum status try_rules(const struct resource_request *request, const struct saving *saving,
                             struct problem *problem)
{
    enum status status = pg_run(request->pg, request->arena, &pg_begin, NULL, NULL, problem);
    if (status == STATUS_OK) {
        status = save_rules(request, saving, problem);
    }
    pg_reset(request->pg);
    return status;
}

static enum status run_changes(const struct resource_request *request,
                               const struct rule_change *changes, size_t count, bool is_bulk,
                               struct rule_saved *out_saved, struct resource_answer *out_answer,
                               struct problem *problem)
{
    struct rule_fault fault = { .change_index = SIZE_MAX };
    struct saving saving = {
        .changes = changes, .count = count, .saved = out_saved, .fault = &fault
    };
    enum status status = request->validate_only ? try_rules(request, &saving, problem)
                                                : resource_transact(request, workspace_of(request),
                                                                    save_rules, &saving, problem);
    if (status != STATUS_OK) {
        rule_fault_write(request, changes, &fault, is_bulk, out_answer, problem);
    }
    return status;
}

/* `If-Match: "7"` as what the store expects; false: it cannot match anything. */
static enum status read_match(const struct resource_request *request, int64_t *out_expected,
                              struct problem *problem)
{
    struct str tag = str_trim(request->if_match);
    uint64_t version = 0;
    if (tag.size == 0) {
        *out_expected = 0;
        return STATUS_OK;
    }
    if (str_equal(tag, STR("*"))) {
        *out_expected = -1;
        return STATUS_OK;
    }
    if (tag.size > 2 && tag.data[0] == '"' && tag.data[tag.size - 1] == '"' &&
        str_to_u64(str_take(str_drop(tag, 1), tag.size - 2), &version) && version > 0 &&
        version < INT64_MAX) {
        *out_expected = (int64_t)version;
        return STATUS_OK;
    }
    return problem_set(problem, STATUS_CONFLICT, "etag-mismatch",
                       "If-Match is the ETag of an answer, like \"7\"");
}

/* --- answering -------------------------------------------------------------- */

static enum status count_members(const struct resource_request *request, struct id rule_id,
                                 struct rule_members *out_members, struct problem *problem)
{
    struct member_query query = { .workspace_id = workspace_of(request), .rule_id = rule_id };
    int64_t count = 0;
    enum status status =
        member_count(request->pg, request->arena, &query, RULE_MEMBERS_MAX + 1, &count, problem);
    bool exact = count <= RULE_MEMBERS_MAX;
    *out_members =
        (struct rule_members){ .count = exact ? count : RULE_MEMBERS_MAX, .exact = exact };
    return status;
}

static enum status answer_rule(const struct resource_request *request, const struct rule_row *row,
                               const struct rule_view *view, struct str warnings_json,
                               struct resource_answer *answer, struct problem *problem)
{
    struct buf buf;
    struct jsonw json;
    struct rule_members members = { .count = 0 };
    enum status status = count_members(request, row->definition.id, &members, problem);
    if (status != STATUS_OK) {
        return status;
    }
    buf_init(&buf, request->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    rule_write_json(&json, row, view, members, warnings_json);
    return resource_answer_set(&buf, answer->effect, row->definition.version, answer, problem);
}

static enum resource_effect effect_of(const struct resource_request *request,
                                      enum rule_effect effect)
{
    if (request->validate_only) {
        return RESOURCE_SHOWN;
    }
    switch (effect) {
    case RULE_CREATED:
        return RESOURCE_CREATED;
    case RULE_DELETED:
        return RESOURCE_DELETED;
    case RULE_UNCHANGED:
    case RULE_RETITLED:
    case RULE_CHANGED:
        break;
    }
    return RESOURCE_CHANGED;
}

static enum status answer_saved(const struct resource_request *request,
                                const struct rule_saved *saved, struct resource_answer *out_answer,
                                struct problem *problem)
{
    const struct rule_outcome *outcome = &saved->outcomes[0];
    struct rule_view CLEANUP(rule_view_close) view = { .snapshot = NULL };
    struct str warnings = { NULL, 0 };
    struct resource_answer answer = { .effect = effect_of(request, outcome->effect) };
    enum status status = rule_view_open_saved(request, saved->ruleset, &view, problem);
    if (status == STATUS_OK) {
        status = rule_warnings(request, saved->ruleset, outcome->row.definition.name, &warnings,
                               problem);
    }
    if (status == STATUS_OK) {
        status = answer_rule(request, &outcome->row, &view, warnings, &answer, problem);
    }
    if (status == STATUS_OK) {
        *out_answer = answer;
    }
    if (status == STATUS_OK && outcome->effect == RULE_CREATED) {
        out_answer->location =
            str_printf(request->arena, "/v1/rules/%.*s", STR_ARG(outcome->row.definition.name));
    }
    return status;
}

/* --- create and put ----------------------------------------------------------- */

/* The body's tree, for rule_read to take. */
static enum status take_tree(const struct resource_request *request, json_t **out_root,
                             struct problem *problem)
{
    struct document CLEANUP(document_close) document = { .root = NULL };
    enum status status = document_open(&document, request->arena, request->body, problem);
    if (status == STATUS_OK) {
        *out_root = json_incref(document.root);
    }
    return status;
}

enum status resource_rule_create(const struct resource_request *request,
                                 struct resource_answer *out_answer, struct problem *problem)
{
    struct rule_reading reading = { .prefix = "", .is_named = true };
    struct rule_change change;
    struct rule_saved saved;
    enum status status = take_tree(request, &reading.root_taken, problem);
    if (status == STATUS_OK) {
        status = rule_read(request, &reading, &change, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    change.action = RULE_CREATE;
    status = run_changes(request, &change, 1, false, &saved, out_answer, problem);
    return status == STATUS_OK ? answer_saved(request, &saved, out_answer, problem) : status;
}

/* A path may hold the id of a rule that exists; a new one has a name. */
static enum status name_of_path(const struct resource_request *request, struct str *out_name,
                                struct problem *problem)
{
    struct id id = ID_ZERO;
    struct rule_row row;
    if (!id_parse(request->name, &id)) {
        *out_name = request->name;
        return STATUS_OK;
    }
    enum status status = rule_store_find(request->pg, request->arena, workspace_of(request),
                                         request->name, &row, problem);
    if (status == STATUS_OK) {
        *out_name = row.definition.name;
    }
    return resource_missing(status, "rule", request->name, problem);
}

/* The path's name goes through the same check as a body's. */
static enum status check_name(const struct resource_request *request, struct str name,
                              struct problem *problem)
{
    struct document CLEANUP(document_close) document = { .root = NULL };
    json_t *root = json_object();
    (void)json_object_set_new(root, "name", json_stringn(name.data, name.size));
    document_wrap(&document, request->arena, root, problem);
    (void)document_name(&document, "name");
    return document.status;
}

enum status resource_rule_put(const struct resource_request *request,
                              struct resource_answer *out_answer, struct problem *problem)
{
    struct rule_reading reading = { .prefix = "" };
    struct rule_change change;
    struct rule_saved saved;
    int64_t expected = 0;
    enum status status = name_of_path(request, &reading.name, problem);
    if (status == STATUS_OK) {
        status = check_name(request, reading.name, problem);
    }
    if (status == STATUS_OK) {
        status = read_match(request, &expected, problem);
    }
    if (status == STATUS_OK) {
        status = take_tree(request, &reading.root_taken, problem);
    }
    if (status == STATUS_OK) {
        status = rule_read(request, &reading, &change, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    change.expected_version = expected;
    status = run_changes(request, &change, 1, false, &saved, out_answer, problem);
    return status == STATUS_OK ? answer_saved(request, &saved, out_answer, problem) : status;
}

/* --- reading ------------------------------------------------------------------ */

enum status resource_rule_show(const struct resource_request *request,
                               struct resource_answer *out_answer, struct problem *problem)
{
    struct rule_row row;
    struct rule_view CLEANUP(rule_view_close) view = { .snapshot = NULL };
    struct resource_answer answer = { .effect = RESOURCE_SHOWN };
    enum status status = rule_store_find(request->pg, request->arena, workspace_of(request),
                                         request->name, &row, problem);
    if (status != STATUS_OK) {
        return resource_missing(status, "rule", request->name, problem);
    }
    status = rule_view_open(request, &view, problem);
    if (status == STATUS_OK) {
        status = answer_rule(request, &row, &view, STR("[]"), &answer, problem);
    }
    if (status == STATUS_OK) {
        *out_answer = answer;
    }
    return status;
}

/* A page's counts stop at a tenth of one rule's: a page has up to a thousand. */
static enum status page_counts(const struct resource_request *request, const struct rule_row *rows,
                               size_t count, int64_t **out_counts, struct problem *problem)
{
    struct id *ids = ARENA_NEW_ARRAY(request->arena, count, struct id);
    if (ids == NULL) {
        return problem_set(problem, STATUS_LIMIT, "limit-reached", "the page is too large");
    }
    for (size_t i = 0; i < count; i++) {
        ids[i] = rows[i].definition.id;
    }
    return member_counts(request->pg, request->arena, workspace_of(request), ids, count,
                         RULE_MEMBERS_MAX / 10 + 1, out_counts, problem);
}

static enum status write_page(struct page *page, const struct rule_row *rows, size_t count,
                              struct problem *problem)
{
    int64_t *counts = NULL;
    struct rule_view CLEANUP(rule_view_close) view = { .snapshot = NULL };
    enum status status = page_counts(page->request, rows, count, &counts, problem);
    if (status == STATUS_OK) {
        status = rule_view_open(page->request, &view, problem);
    }
    for (size_t i = 0; status == STATUS_OK && counts != NULL && i < count; i++) {
        bool exact = counts[i] <= RULE_MEMBERS_MAX / 10;
        struct rule_members members = { .count = exact ? counts[i] : RULE_MEMBERS_MAX / 10,
                                        .exact = exact };
        rule_write_json(&page->json, &rows[i], &view, members, STR("[]"));
    }
    return status;
}

enum status resource_rule_list(const struct resource_request *request,
                               struct resource_answer *out_answer, struct problem *problem)
{
    struct page page;
    struct rule_row *rows = NULL;
    size_t count = 0;
    int64_t total = -1;
    enum status status = page_open(&page, request, "rules", STR(""), problem);
    if (status == STATUS_OK) {
        status = rule_store_list(request->pg, request->arena, workspace_of(request), page.cursor,
                                 page.size + 1, &rows, &count, problem);
    }
    if (status == STATUS_OK && request->want_total) {
        status =
            rule_store_count(request->pg, request->arena, workspace_of(request), &total, problem);
    }
    size_t shown = count < page.size ? count : page.size;
    if (status == STATUS_OK) {
        status = write_page(&page, rows, shown, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct str next = count > page.size ? rows[shown - 1].definition.name : STR("");
    return page_close(&page, next, total, true, out_answer, problem);
}

/* --- delete and restore ------------------------------------------------------- */

enum status resource_rule_delete(const struct resource_request *request,
                                 struct resource_answer *out_answer, struct problem *problem)
{
    struct rule_change change = { .action = RULE_DELETE };
    struct rule_saved saved;
    enum status status = name_of_path(request, &change.wanted.definition.name, problem);
    if (status == STATUS_OK) {
        status = read_match(request, &change.expected_version, problem);
    }
    if (status == STATUS_OK) {
        status = run_changes(request, &change, 1, false, &saved, out_answer, problem);
    }
    if (status != STATUS_OK) {
        return resource_missing(status, "rule", request->name, problem);
    }
    *out_answer = (struct resource_answer){ .effect = RESOURCE_DELETED };
    return STATUS_OK;
}

/* {"data":[{"name","effect","version"}],"ruleset_version":8,"job_id":null} */
static enum status answer_bulk(const struct resource_request *request,
                               const struct rule_saved *saved, size_t count,
                               struct resource_answer *out_answer, struct problem *problem)
{
    static const char *const effects[] = {
        [RULE_UNCHANGED] = "unchanged", [RULE_CREATED] = "created", [RULE_RETITLED] = "retitled",
        [RULE_CHANGED] = "changed",     [RULE_DELETED] = "deleted",
    };
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, request->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    jsonw_key(&json, "data");
    jsonw_open_array(&json);
    for (size_t i = 0; i < count; i++) {
        const struct rule_definition *definition = &saved->outcomes[i].row.definition;
        jsonw_open(&json);
        jsonw_put_str(&json, "name", definition->name);
        jsonw_put_z(&json, "kind", rule_kind_name(definition->kind));
        jsonw_put_z(&json, "effect", effects[saved->outcomes[i].effect]);
        jsonw_put_i64(&json, "version", definition->version);
        jsonw_close(&json);
    }
    jsonw_close_array(&json);
    jsonw_put_i64(&json, "ruleset_version", saved->ruleset->version);
    jsonw_put_id(&json, "job_id", saved->job_id);
    jsonw_close(&json);
    enum resource_effect effect = request->validate_only ? RESOURCE_SHOWN : RESOURCE_CHANGED;
    return resource_answer_set(&buf, effect, 0, out_answer, problem);
}

static enum status restore_all(const struct resource_request *request,
                               struct resource_answer *out_answer, struct problem *problem)
{
    struct rule_saved saved;
    size_t count = 0;
    while (rule_shipped(count) != NULL) {
        count++;
    }
    struct rule_change *changes = ARENA_NEW_ARRAY(request->arena, count, struct rule_change);
    if (changes == NULL) {
        return problem_set(problem, STATUS_LIMIT, "limit-reached", "the request is too big");
    }
    for (size_t i = 0; i < count; i++) {
        changes[i].action = RULE_PUT;
        enum status found = rule_store_shipped(rule_shipped(i)->name, &changes[i].wanted);
        if (found != STATUS_OK) {
            return found;
        }
    }
    enum status status = run_changes(request, changes, count, true, &saved, out_answer, problem);
    return status == STATUS_OK ? answer_bulk(request, &saved, count, out_answer, problem) : status;
}

enum status resource_rule_restore(const struct resource_request *request,
                                  struct resource_answer *out_answer, struct problem *problem)
{
    if (request->name.size == 0) {
        return restore_all(request, out_answer, problem);
    }
    struct rule_change change = { .action = RULE_PUT };
    struct rule_saved saved;
    struct str name = { NULL, 0 };
    enum status status = name_of_path(request, &name, problem);
    if (status == STATUS_OK) {
        status = rule_store_shipped(name, &change.wanted);
        status = resource_missing(status, "shipped rule", name, problem);
    }
    if (status == STATUS_OK) {
        status = read_match(request, &change.expected_version, problem);
    }
    if (status == STATUS_OK) {
        status = run_changes(request, &change, 1, false, &saved, out_answer, problem);
    }
    return status == STATUS_OK ? answer_saved(request, &saved, out_answer, problem) : status;
}

/* --- apply -------------------------------------------------------------------- */

static enum status check_twice(const struct rule_change *changes, size_t index,
                               struct problem *problem)
{
    struct str name = changes[index].wanted.definition.name;
    for (size_t i = 0; i < index; i++) {
        if (str_equal(changes[i].wanted.definition.name, name)) {
            enum status status = problem_set(problem, STATUS_INVALID, "invalid-field",
                                             "rule \"%.*s\" is there twice", STR_ARG(name));
            problem_point(problem, "#/rules/%zu/name", index);
            return status;
        }
    }
    return STATUS_OK;
}

static enum status read_one_of(const struct resource_request *request, json_t *item, size_t index,
                               struct rule_change *changes, struct problem *problem)
{
    struct str prefix = str_printf(request->arena, "rules/%zu/", index);
    const char *prefix_z = str_dup_z(request->arena, prefix);
    if (!json_is_object(item) || prefix_z == NULL) {
        enum status status = problem_set(problem, STATUS_INVALID, "invalid-field",
                                         "a rule is an object with name, kind and when or cases");
        problem_point(problem, "#/rules/%zu", index);
        return status;
    }
    struct rule_reading reading = { .root_taken = json_incref(item),
                                    .prefix = prefix_z,
                                    .is_named = true };
    enum status status = rule_read(request, &reading, &changes[index], problem);
    return status == STATUS_OK ? check_twice(changes, index, problem) : status;
}

static enum status read_many(const struct resource_request *request, struct rule_change **out,
                             size_t *out_count, struct problem *problem)
{
    static const char *const fields[] = { "rules" };
    struct document CLEANUP(document_close) document = { .root = NULL };
    enum status status = document_open(&document, request->arena, request->body, problem);
    if (status != STATUS_OK) {
        return status;
    }
    document_allow(&document, fields, ARRAY_COUNT(fields));
    json_t *array = json_object_get(document.root, "rules");
    size_t count = json_array_size(array);
    if (document.status == STATUS_OK && (count == 0 || count > RULESET_RULES_MAX)) {
        document_fail(&document, "rules", "invalid-field", "rules is a list of 1 to %d rules",
                      RULESET_RULES_MAX);
    }
    if (document.status != STATUS_OK) {
        return document.status;
    }
    struct rule_change *changes = ARENA_NEW_ARRAY(request->arena, count, struct rule_change);
    if (changes == NULL) {
        return problem_set(problem, STATUS_LIMIT, "limit-reached", "the request is too big");
    }
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        status = read_one_of(request, json_array_get(array, i), i, changes, problem);
    }
    *out = changes;
    *out_count = count;
    return status;
}

enum status resource_rule_apply(const struct resource_request *request,
                                struct resource_answer *out_answer, struct problem *problem)
{
    struct rule_change *changes = NULL;
    struct rule_saved saved;
    size_t count = 0;
    enum status status = read_many(request, &changes, &count, problem);
    if (status == STATUS_OK) {
        status = run_changes(request, changes, count, true, &saved, out_answer, problem);
    }
    return status == STATUS_OK ? answer_bulk(request, &saved, count, out_answer, problem) : status;
}
