#include <jansson.h>

#include "api/mask.h"
#include "base/clock.h"
#include "base/instant.h"
#include "candidate_priv.h"
#include "core/profile/hydrate.h"
#include "core/rule/verdict.h"
#include "rule_priv.h"
#include "store/history.h"
#include "store/profile_filter.h"

/*
 * How many would a rule take in, before it is saved?
 *
 * Three ways, the cheapest that can answer: counted by the database where all of
 * it are columns; decided here from the state of profiles, all of them or a
 * sample; or, where it counts what no rule keeps yet, decided over a sample
 * whose histories are folded for it. A sample takes profiles by the random tail
 * of their ids, so it is drawn anew for nobody and costs no sort; its share is
 * told with the bound within which the true one lies, 95 times of 100.
 *
 * Nobody waits longer than PREVIEW_MS for histories: those folded by then are
 * the sample. They are taken in the order of their tails, so that a sample cut
 * short is no less random.
 */

enum {
    PREVIEW_ALL = 20000,    /* so few are all decided */
    PREVIEW_STATES = 10000, /* of more */
    PREVIEW_HISTORIES = 400,
    PREVIEW_HISTORY_FACTS = 5000,
    PREVIEW_CHUNK = 500,
    PREVIEW_HISTORY_CHUNK = 16,
    PREVIEW_MS = 2000,
    PREVIEW_SHOWN = 10,
    PREVIEW_TAILS = 65536,
    SCRATCH_BYTES = 256 * 1024 * 1024,
    MILLION = 1000000,
};

struct shown {
    struct id id;
    struct str email;
    struct str value;
    int64_t since_ms;
    int64_t until_ms;
};

struct preview {
    const struct resource_request *request;
    const struct profile_reader *reader;
    const struct rule *rule;
    struct rule_subject subject; /* but for the profile */
    struct arena *scratch;
    int64_t all;     /* profiles there are */
    int64_t looked;  /* at */
    int64_t matched; /* of these */
    int64_t by_case[RULE_CASES_MAX];
    bool is_exact;
    struct shown shown[PREVIEW_SHOWN];
    size_t shown_count;
};

/* --- deciding ----------------------------------------------------------------- */

static void show(struct preview *preview, const struct profile_view *view,
                 const struct profile *profile, struct str value, int64_t until_ms)
{
    struct arena *arena = preview->request->arena;
    const struct verdict *held = verdict_find(&profile->verdicts, preview->rule->definition.slot);
    bool is_held = held != NULL && str_equal(held->value, value);
    preview->shown[preview->shown_count++] = (struct shown){
        .id = view->id,
        .email = view->email.size > 0 ? mask_email(arena, view->email) : (struct str){ NULL, 0 },
        .value = value,
        .since_ms = is_held ? held->since_ms : INSTANT_NONE,
        .until_ms = until_ms,
    };
}

static void decide(struct preview *preview, const struct profile_view *view,
                   const struct profile *profile)
{
    struct rule_subject subject = preview->subject;
    const struct rule_definition *definition = &preview->rule->definition;
    struct str value = { NULL, 0 };
    int64_t until_ms = INSTANT_NEVER;
    bool is_shown = preview->shown_count < PREVIEW_SHOWN;
    subject.profile = profile;
    preview->looked++;
    if (!rule_verdict(preview->scratch, preview->rule, &subject, preview->request->now_ms, &value,
                      is_shown ? &until_ms : NULL)) {
        return;
    }
    preview->matched++;
    for (size_t i = 0; i < definition->case_count; i++) {
        preview->by_case[i] += str_equal(definition->cases[i].value, value) ? 1 : 0;
    }
    if (is_shown) {
        show(preview, view, profile, value, until_ms);
    }
}

/* --- by the database ------------------------------------------------------------ */

static enum status show_some(struct preview *preview, const struct rule_sql *sql,
                             struct problem *problem)
{
    const struct resource_request *request = preview->request;
    const struct profile_query query = { .workspace_id = request->principal->workspace_id,
                                         .identified = -1,
                                         .updated_since_ms = INSTANT_NONE,
                                         .limit = PREVIEW_SHOWN };
    struct profile_view *rows = NULL;
    size_t count = 0;
    struct profile_edge edge;
    enum status status = profile_filter_page(request->pg, preview->scratch, &query, sql,
                                             PREVIEW_ALL, &rows, &count, &edge, problem);
    struct preview aside = *preview;
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        const struct profile *profile = profile_of_view(preview->scratch, &rows[i]);
        if (profile != NULL) {
            decide(&aside, &rows[i], profile);
        }
    }
    for (size_t i = 0; i < aside.shown_count; i++) {
        preview->shown[i] = aside.shown[i];
    }
    preview->shown_count = aside.shown_count;
    return status;
}

static enum status by_database(struct preview *preview, const struct rule_sql *sql,
                               struct problem *problem)
{
    const struct resource_request *request = preview->request;
    struct profile_tally tally;
    enum status status = profile_filter_tally(
        request->pg, preview->scratch, request->principal->workspace_id, sql, &tally, problem);
    if (status != STATUS_OK) {
        return status;
    }
    preview->all = tally.all;
    preview->looked = tally.all;
    preview->matched = tally.matching;
    return tally.matching > 0 ? show_some(preview, sql, problem) : STATUS_OK;
}

/* --- by state --------------------------------------------------------------------- */

static enum status count_all(struct preview *preview, struct problem *problem)
{
    const struct resource_request *request = preview->request;
    const struct rule_sql every = { .text = STR("true") };
    struct profile_tally tally;
    enum status status = profile_filter_tally(
        request->pg, preview->scratch, request->principal->workspace_id, &every, &tally, problem);
    if (status == STATUS_OK) {
        preview->all = tally.all;
    }
    return status;
}

static int64_t threshold_for(const struct preview *preview, int64_t wanted)
{
    if (preview->all <= wanted) {
        return PREVIEW_TAILS;
    }
    int64_t threshold = PREVIEW_TAILS * wanted / preview->all;
    return threshold > 0 ? threshold : 1;
}

static enum status by_state(struct preview *preview, struct problem *problem)
{
    const struct resource_request *request = preview->request;
    int64_t threshold =
        preview->all <= PREVIEW_ALL ? PREVIEW_TAILS : threshold_for(preview, PREVIEW_STATES);
    struct id after = ID_ZERO;
    size_t count = PREVIEW_CHUNK;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && count == PREVIEW_CHUNK) {
        struct profile_view *rows = NULL;
        arena_reset(preview->scratch);
        status = profile_sample(request->pg, preview->scratch, request->principal->workspace_id,
                                threshold, after, PREVIEW_CHUNK, &rows, &count, problem);
        for (size_t i = 0; status == STATUS_OK && i < count; i++) {
            const struct profile *profile = profile_of_view(preview->scratch, &rows[i]);
            if (profile != NULL) {
                decide(preview, &rows[i], profile);
            }
            after = rows[i].id;
        }
    }
    preview->is_exact = preview->is_exact && threshold == PREVIEW_TAILS;
    return status;
}

/* --- by history ------------------------------------------------------------------- */

static bool has_lesser_tail(struct id a, struct id b)
{
    for (size_t i = ID_SIZE; i > 0; i--) {
        if (a.bytes[i - 1] != b.bytes[i - 1]) {
            return a.bytes[i - 1] < b.bytes[i - 1];
        }
    }
    return false;
}

/* A few hundred: by insertion. */
static void sort_by_tail(struct profile_view *rows, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct profile_view row = rows[i];
        size_t at = i;
        for (; at > 0 && has_lesser_tail(row.id, rows[at - 1].id); at--) {
            rows[at] = rows[at - 1];
        }
        rows[at] = row;
    }
}

static enum status read_sides(struct preview *preview, const struct profile_view *rows,
                              size_t count, struct history_side **out_sides,
                              struct problem *problem)
{
    const struct resource_request *request = preview->request;
    struct id ids[PREVIEW_HISTORY_CHUNK];
    struct history_origin *origins = NULL;
    size_t origin_count = 0;
    for (size_t i = 0; i < count; i++) {
        ids[i] = rows[i].id;
    }
    enum status status =
        history_origins(request->pg, preview->scratch, request->principal->workspace_id, ids, count,
                        &origins, &origin_count, problem);
    if (status != STATUS_OK) {
        return status;
    }
    const struct history_request what = {
        .workspace_id = request->principal->workspace_id,
        .origins = origins,
        .origin_count = origin_count,
        .side_count = count,
        .facts_max = PREVIEW_HISTORY_FACTS,
    };
    return history_read(request->pg, preview->scratch, &what, out_sides, problem);
}

/* Without a fact it stays as it is: it has no feature of any rule. */
static bool fold(struct preview *preview, struct profile *profile, const struct history_side *side)
{
    const struct history history =
        history_of_side(side, preview->subject.ruleset, preview->request->now_ms);
    return !side->is_cut &&
           (history_is_empty(&history) || profile_hydrate(preview->scratch, profile, &history));
}

static enum status fold_chunk(struct preview *preview, const struct profile_view *rows,
                              size_t count, struct problem *problem)
{
    struct history_side *sides = NULL;
    arena_reset(preview->scratch);
    enum status status = read_sides(preview, rows, count, &sides, problem);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        struct profile *profile = profile_of_view(preview->scratch, &rows[i]);
        if (profile != NULL && fold(preview, profile, &sides[i])) {
            decide(preview, &rows[i], profile);
        }
    }
    return status;
}

static enum status by_history(struct preview *preview, struct problem *problem)
{
    const struct resource_request *request = preview->request;
    struct profile_view *rows = NULL;
    size_t count = 0;
    int64_t until_ms = clock_monotonic_ms() + PREVIEW_MS;
    enum status status =
        profile_sample(request->pg, request->arena, request->principal->workspace_id,
                       threshold_for(preview, PREVIEW_HISTORIES), ID_ZERO, 2 * PREVIEW_HISTORIES,
                       &rows, &count, problem);
    if (status != STATUS_OK) {
        return status;
    }
    sort_by_tail(rows, count);
    for (size_t i = 0; status == STATUS_OK && i < count && clock_monotonic_ms() < until_ms;
         i += PREVIEW_HISTORY_CHUNK) {
        size_t left = count - i;
        status = fold_chunk(preview, &rows[i],
                            left < PREVIEW_HISTORY_CHUNK ? left : PREVIEW_HISTORY_CHUNK, problem);
    }
    preview->is_exact = preview->is_exact && preview->looked == preview->all;
    return status;
}

/* --- the answer --------------------------------------------------------------------- */

static int64_t square_root(int64_t value)
{
    int64_t root = 0;
    for (int64_t bit = INT64_C(1) << 31; bit > 0; bit /= 2) {
        if ((root + bit) * (root + bit) <= value) {
            root += bit;
        }
    }
    return root;
}

static int64_t share_of(int64_t part, int64_t whole)
{
    return whole > 0 ? (part * MILLION + whole / 2) / whole : 0;
}

/* Half the width of the interval that holds the true share 95 times of 100, in
 * millionths; of none or all found, the rule of three. */
static int64_t error_bound(const struct preview *preview)
{
    int64_t n = preview->looked;
    if (preview->is_exact || preview->looked == preview->all) {
        return 0;
    }
    if (n == 0) {
        return MILLION;
    }
    int64_t share = share_of(preview->matched, n);
    int64_t bound = square_root(share * (MILLION - share) / n) * 196 / 100;
    int64_t least = 3 * (int64_t)MILLION / n;
    bound = preview->matched == 0 || preview->matched == n ? least : bound;
    return bound < MILLION ? bound : MILLION;
}

static int64_t scaled(const struct preview *preview, int64_t part)
{
    return preview->looked == 0 ? 0 : (part * preview->all + preview->looked / 2) / preview->looked;
}

static void put_share(struct jsonw *json, const char *key, int64_t millionths)
{
    char text[24];
    jsonw_put_raw(json, key, (struct str){ text, rule_number_format(millionths, text) });
}

static bool has_cases(const struct rule *rule)
{
    return rule->definition.kind == RULE_KIND_LIFECYCLE || rule->definition.kind == RULE_KIND_TIER;
}

static void write_values(struct jsonw *json, const struct preview *preview)
{
    const struct rule_definition *definition = &preview->rule->definition;
    jsonw_key(json, "values");
    if (!has_cases(preview->rule)) {
        jsonw_null(json);
        return;
    }
    jsonw_open_array(json);
    for (size_t i = 0; i < definition->case_count; i++) {
        jsonw_open(json);
        jsonw_put_str(json, "value", definition->cases[i].value);
        jsonw_put_i64(json, "count", scaled(preview, preview->by_case[i]));
        jsonw_close(json);
    }
    jsonw_close_array(json);
}

static void write_sample(struct jsonw *json, const struct preview *preview)
{
    jsonw_key(json, "sample");
    jsonw_open_array(json);
    for (size_t i = 0; i < preview->shown_count; i++) {
        const struct shown *shown = &preview->shown[i];
        jsonw_open(json);
        jsonw_put_id(json, "id", shown->id);
        jsonw_put_str_or_null(json, "email", shown->email);
        if (has_cases(preview->rule)) {
            jsonw_put_str(json, "value", shown->value);
        }
        jsonw_put_instant(json, "since", shown->since_ms);
        jsonw_put_instant(json, "until",
                          shown->until_ms == INSTANT_NEVER ? INSTANT_NONE : shown->until_ms);
        jsonw_close(json);
    }
    jsonw_close_array(json);
}

/* A count of nobody for want of a threshold looks like one of nobody. */
static void write_warnings(struct jsonw *json, const struct preview *preview)
{
    struct arena *arena = preview->request->arena;
    const struct ruleset *ruleset = preview->subject.ruleset;
    enum rule_attribute *untold =
        ARENA_NEW_ARRAY(arena, ruleset->percent_count + 1, enum rule_attribute);
    size_t count =
        untold != NULL ? ruleset_untold(ruleset, preview->subject.statistics, untold) : 0;
    jsonw_key(json, "warnings");
    jsonw_open_array(json);
    for (size_t i = 0; i < count; i++) {
        jsonw_str(json, str_printf(arena,
                                   "the percentiles of %s that this asks for are not known, and"
                                   " nothing compares with them: they are computed at night, for"
                                   " what saved rules ask, of at least %d",
                                   rule_name_info(untold[i])->path, STATISTIC_COUNT_MIN));
    }
    jsonw_close_array(json);
}

static enum status answer_with(const struct preview *preview, struct resource_answer *out_answer,
                               struct problem *problem)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, preview->request->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    jsonw_put_i64(&json, "count", scaled(preview, preview->matched));
    put_share(&json, "share", share_of(preview->matched, preview->looked));
    jsonw_put_bool(&json, "exact", preview->is_exact);
    put_share(&json, "error_bound", error_bound(preview));
    jsonw_put_i64(&json, "looked_at", preview->looked);
    jsonw_put_i64(&json, "profiles", preview->all);
    jsonw_put_instant(&json, "as_of", preview->request->now_ms);
    write_values(&json, preview);
    write_sample(&json, preview);
    write_warnings(&json, preview);
    jsonw_close(&json);
    return resource_answer_set(&buf, RESOURCE_SHOWN, 0, out_answer, problem);
}

static enum status count_with(struct preview *preview, const struct rule_candidate *made,
                              struct problem *problem)
{
    struct problem pushing = { .type = "" };
    struct rule_sql sql;
    if (!has_cases(made->rule) &&
        candidate_sql(preview->request->arena, made->rule->trees[0], preview->reader,
                      preview->request->now_ms, &sql, &pushing) == STATUS_OK) {
        return by_database(preview, &sql, problem);
    }
    enum status status = count_all(preview, problem);
    if (status != STATUS_OK) {
        return status;
    }
    return made->missing.size > 0 ? by_history(preview, problem) : by_state(preview, problem);
}

/* Profiles that wait to be brought to the newest rules are counted by what they
 * have: then nothing is exact. */
static enum status is_settled(const struct resource_request *request, bool *out_settled,
                              struct problem *problem)
{
    struct job job;
    enum status status = job_open_of(request->pg, request->arena, request->principal->workspace_id,
                                     STR("hydrate"), &job, problem);
    *out_settled = status == STATUS_MISSING;
    return status == STATUS_MISSING ? STATUS_OK : status;
}

static enum status preview_with(const struct resource_request *request,
                                const struct profile_reader *reader,
                                const struct rule_candidate *made,
                                struct resource_answer *out_answer, struct problem *problem)
{
    struct arena *CLEANUP(arena_destroy_at) scratch = arena_create(SCRATCH_BYTES);
    struct preview preview = {
        .request = request,
        .reader = reader,
        .rule = made->rule,
        .subject = { .ruleset = made->ruleset,
                     .statistics = reader->workspace->statistics,
                     .currency = reader->workspace->currency },
        .scratch = scratch,
    };
    if (scratch == NULL) {
        return problem_set(problem, STATUS_BROKEN, "internal", "no memory");
    }
    enum status status = is_settled(request, &preview.is_exact, problem);
    if (status == STATUS_OK) {
        status = count_with(&preview, made, problem);
    }
    return status == STATUS_OK ? answer_with(&preview, out_answer, problem) : status;
}

/* --- the question ------------------------------------------------------------------- */

enum status candidate_read(const struct resource_request *request,
                           const struct profile_reader *reader, struct json_t *root_taken,
                           struct rule_change *out_change, struct problem *problem)
{
    const char *named = json_string_value(json_object_get(root_taken, "name"));
    struct rule_reading reading = { .root_taken = root_taken, .prefix = "" };
    reading.name = named != NULL ? str_dup(request->arena, str_from_z(named))
                                 : candidate_name(request->arena, reader);
    if (json_object_get(root_taken, "kind") == NULL) {
        (void)json_object_set_new(root_taken, "kind", json_string("segment"));
    }
    return rule_read(request, &reading, out_change, problem);
}

static enum status read_body(const struct resource_request *request, json_t **out_root,
                             struct problem *problem)
{
    struct document CLEANUP(document_close) document = { .root = NULL };
    enum status status = document_open(&document, request->arena, request->body, problem);
    if (status == STATUS_OK) {
        *out_root = json_incref(document.root);
    }
    return status;
}

enum status candidate_open_change(const struct resource_request *request,
                                  const struct profile_reader *reader,
                                  const struct rule_change *change, struct candidate *out_candidate,
                                  struct resource_answer *out_answer, struct problem *problem)
{
    struct rule_fault fault = { .rule = change->wanted.definition.name };
    enum status status =
        candidate_open(reader, &change->wanted.definition, out_candidate, &fault.error, problem);
    if (status == STATUS_INVALID && fault.error.type[0] != '\0') {
        rule_fault_write(request, change, &fault, false, out_answer, problem);
    }
    return status;
}

static enum status preview_read(const struct resource_request *request,
                                const struct profile_reader *reader,
                                struct resource_answer *out_answer, struct problem *problem)
{
    json_t *root = NULL;
    struct rule_change change;
    struct candidate CLEANUP(candidate_close) candidate = { .arena = NULL };
    enum status status = read_body(request, &root, problem);
    if (status == STATUS_OK) {
        status = candidate_read(request, reader, root, &change, problem);
    }
    if (status == STATUS_OK) {
        status = candidate_open_change(request, reader, &change, &candidate, out_answer, problem);
    }
    return status == STATUS_OK ? preview_with(request, reader, &candidate.made, out_answer, problem)
                               : status;
}

enum status resource_rule_preview(const struct resource_request *request,
                                  struct resource_answer *out_answer, struct problem *problem)
{
    struct profile_reader reader;
    enum status status = profile_reader_open(request, &reader, problem);
    if (status == STATUS_OK) {
        status = preview_read(request, &reader, out_answer, problem);
        profile_reader_close(&reader);
    }
    return status;
}
