#include "sweep/backtest.h"

#include <jansson.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/instant.h"
#include "base/jsonw.h"
#include "base/limits.h"
#include "core/rule/verdict.h"
#include "store/explain_read.h"
#include "store/history.h"
#include "store/job_store.h"
#include "store/profile_filter.h"
#include "store/rule_store.h"

/*
 * A step takes the next profiles, reads their histories once, folds each as of
 * the end of every day and compares neighbours. On a day without a new fact the
 * fold of the day before is decided again, which is most of the days of most
 * profiles.
 *
 * Days are compared at their ends: who enters and leaves within one day is not
 * seen. Of more than BACKTEST_PROFILES a random sample is folded and the counts
 * are scaled. The cursor holds the counts, so a crash repeats one step.
 */

#define BACKTEST_STEP_MS 50
#define BACKTEST_IDLE_MS 1000
#define BACKTEST_LEASE_MS 30000
#define BACKTEST_PROFILES 20000
#define BACKTEST_FACTS_MAX 1000
#define BACKTEST_BATCH_FIRST 8
#define BACKTEST_BATCH_MAX 128
#define BACKTEST_TAILS 65536

bool backtest_init(struct backtest *backtest)
{
    backtest->arena = arena_create(LIMIT_ARENA_BATCH_BYTES);
    backtest->scratch = arena_create(LIMIT_ARENA_BATCH_BYTES);
    backtest->lasting = arena_create(LIMIT_ARENA_BATCH_BYTES);
    return backtest->arena != NULL && backtest->scratch != NULL && backtest->lasting != NULL;
}

static void drop_job(struct backtest *backtest)
{
    if (backtest->snapshot != NULL) {
        registry_release(backtest->registry, backtest->snapshot);
    }
    backtest->snapshot = NULL;
    backtest->job_id = ID_ZERO;
}

void backtest_close(struct backtest *backtest)
{
    drop_job(backtest);
    arena_destroy(backtest->arena);
    arena_destroy(backtest->scratch);
    arena_destroy(backtest->lasting);
}

/* --- the cursor ------------------------------------------------------------- */

static void write_counts(struct jsonw *json, const char *key, const int64_t *counts, size_t count)
{
    jsonw_key(json, key);
    jsonw_open_array(json);
    for (size_t i = 0; i < count; i++) {
        jsonw_i64(json, counts[i]);
    }
    jsonw_close_array(json);
}

static struct str write_cursor(struct backtest *backtest, const struct backtest_count *count)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, backtest->arena, 64 * 1024);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    jsonw_put_id(&json, "after", count->after_id);
    jsonw_put_i64(&json, "looked_at", count->looked_at);
    jsonw_put_i64(&json, "left_out", count->left_out);
    jsonw_put_i64(&json, "profiles", count->profiles);
    jsonw_put_i64(&json, "twice_or_more", count->twice_or_more);
    jsonw_put_i64(&json, "first_ms", count->first_ms);
    write_counts(&json, "entered", count->entered, backtest->day_count);
    write_counts(&json, "left", count->left, backtest->day_count);
    jsonw_close(&json);
    return buf_str(&buf);
}

static void read_cursor(struct backtest *backtest, struct str cursor_json)
{
    struct backtest_count count = { .first_ms = INSTANT_NEVER };
    json_t *root = json_loadb(cursor_json.data, cursor_json.size, 0, NULL);
    const char *after = json_string_value(json_object_get(root, "after"));
    if (after != NULL && id_parse(str_from_z(after), &count.after_id)) {
        count.looked_at = json_integer_value(json_object_get(root, "looked_at"));
        count.left_out = json_integer_value(json_object_get(root, "left_out"));
        count.profiles = json_integer_value(json_object_get(root, "profiles"));
        count.twice_or_more = json_integer_value(json_object_get(root, "twice_or_more"));
        count.first_ms = json_integer_value(json_object_get(root, "first_ms"));
        for (size_t i = 0; i < backtest->day_count; i++) {
            count.entered[i] =
                json_integer_value(json_array_get(json_object_get(root, "entered"), i));
            count.left[i] = json_integer_value(json_array_get(json_object_get(root, "left"), i));
        }
    }
    json_decref(root);
    backtest->count = count;
}

/* --- the result --------------------------------------------------------------- */

static void write_day(struct jsonw *json, const char *key, int64_t at_ms)
{
    char text[INSTANT_TEXT_SIZE];
    instant_format(at_ms, text);
    text[sizeof("2026-10-01") - 1] = '\0';
    jsonw_put_z(json, key, text);
}

static int64_t scaled(const struct backtest *backtest, int64_t part)
{
    int64_t n = backtest->count.looked_at;
    return n == 0 ? 0 : (part * backtest->all + n / 2) / n;
}

/* The first day that can be answered for: facts were there, and the percentiles
 * that the rule asks for. INSTANT_NEVER: none. */
static int64_t first_day_ms(const struct backtest *backtest)
{
    int64_t first_ms = backtest->count.first_ms;
    return first_ms > backtest->told_from_ms ? first_ms : backtest->told_from_ms;
}

static struct str write_result(struct backtest *backtest)
{
    int64_t first_ms = first_day_ms(backtest);
    const struct backtest_count *count = &backtest->count;
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, backtest->arena, 64 * 1024);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    jsonw_key(&json, "days");
    jsonw_open_array(&json);
    for (size_t i = 0; i < backtest->day_count; i++) {
        jsonw_open(&json);
        write_day(&json, "day", backtest->days[i].at_ms + 1);
        jsonw_put_i64(&json, "entered", scaled(backtest, count->entered[i]));
        jsonw_put_i64(&json, "left", scaled(backtest, count->left[i]));
        jsonw_close(&json);
    }
    jsonw_close_array(&json);
    jsonw_put_i64(&json, "profiles", scaled(backtest, count->profiles));
    jsonw_put_i64(&json, "twice_or_more", scaled(backtest, count->twice_or_more));
    if (first_ms == INSTANT_NEVER) {
        jsonw_put_null(&json, "first_day");
    } else {
        write_day(&json, "first_day", first_ms);
    }
    jsonw_put_bool(&json, "exact", count->looked_at == backtest->all);
    jsonw_put_i64(&json, "looked_at", count->looked_at);
    jsonw_put_i64(&json, "of", backtest->all);
    jsonw_put_i64(&json, "left_out", count->left_out);
    jsonw_close(&json);
    return buf_str(&buf);
}

static enum status end_job(struct backtest *backtest, enum job_status ending, const char *error,
                           struct problem *problem)
{
    const struct job_end end = {
        .workspace_id = backtest->workspace_id,
        .job_id = backtest->job_id,
        .owner = backtest->instance_id,
        .status = ending,
        .result_json = ending == JOB_SUCCEEDED ? write_result(backtest) : (struct str){ NULL, 0 },
        .error = str_from_z(error),
        .at_ms = clock_now_ms(),
    };
    enum status status = job_finish(backtest->pg, backtest->arena, &end, problem);
    drop_job(backtest);
    return status;
}

/* --- one profile ------------------------------------------------------------------ */

/* Was it in at the end of each day? False when the arena is full. */
static bool fold_days(struct backtest *backtest, struct id id, const struct history *whole,
                      bool *out_in)
{
    struct profile profile;
    size_t folded = 0;
    for (size_t i = 0; i <= backtest->day_count; i++) {
        const struct as_of *day = &backtest->days[i];
        size_t facts = as_of_fact_count(whole, day);
        bool is_done = true;
        if (facts == 0) {
            out_in[i] = false;
            continue;
        }
        if (facts != folded) {
            profile_init(&profile, id, day->at_ms);
            is_done = profile_as_of(backtest->scratch, &profile, whole, day);
        } else {
            is_done = profile_decide_as_of(backtest->scratch, &profile, whole->ruleset, day);
        }
        if (arena_is_full(backtest->scratch)) {
            return false;
        }
        /* Orders alone make no customer: nothing had happened by then. */
        folded = is_done ? facts : 0;
        out_in[i] = is_done && verdict_find(&profile.verdicts,
                                            backtest->candidate.rule->definition.slot) != NULL;
    }
    return true;
}

static void count_profile(struct backtest_count *count, const bool *in, size_t day_count)
{
    size_t entries = 0;
    for (size_t i = 0; i < day_count; i++) {
        bool enters = !in[i] && in[i + 1];
        count->entered[i] += enters ? 1 : 0;
        count->left[i] += in[i] && !in[i + 1] ? 1 : 0;
        entries += enters ? 1 : 0;
    }
    count->profiles += entries > 0 ? 1 : 0;
    count->twice_or_more += entries > 1 ? 1 : 0;
}

static enum status take_side(struct backtest *backtest, struct id id,
                             const struct history_side *side, struct backtest_count *count)
{
    bool in[BACKTEST_DAYS_MAX + 1] = { false };
    const struct history whole = history_of_side(side, backtest->candidate.ruleset, 0);
    /* Folded since the job was queued, or received later than it happened. */
    if (side->is_cut || !as_of_can_tell(&whole, &backtest->days[0])) {
        count->left_out++;
        return STATUS_OK;
    }
    arena_reset(backtest->scratch);
    if (!fold_days(backtest, id, &whole, in)) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < side->event_count; i++) {
        if (side->events[i].received_at_ms < count->first_ms) {
            count->first_ms = side->events[i].received_at_ms;
        }
    }
    count->looked_at++;
    count_profile(count, in, backtest->day_count);
    return STATUS_OK;
}

/* --- a step ------------------------------------------------------------------------- */

static enum status read_sides(struct backtest *backtest, const struct profile_view *rows,
                              size_t row_count, struct history_side **out_sides,
                              struct problem *problem)
{
    struct id ids[BACKTEST_BATCH_MAX];
    struct history_origin *origins = NULL;
    size_t origin_count = 0;
    for (size_t i = 0; i < row_count; i++) {
        ids[i] = rows[i].id;
    }
    enum status status = history_origins(backtest->pg, backtest->arena, backtest->workspace_id, ids,
                                         row_count, &origins, &origin_count, problem);
    if (status != STATUS_OK) {
        return status;
    }
    const struct history_request request = {
        .workspace_id = backtest->workspace_id,
        .origins = origins,
        .origin_count = origin_count,
        .side_count = row_count,
        .facts_max = BACKTEST_FACTS_MAX,
    };
    return history_read(backtest->pg, backtest->arena, &request, out_sides, problem);
}

static enum status progress(struct backtest *backtest, const struct backtest_count *count,
                            bool *out_cancel, struct problem *problem)
{
    int64_t total = backtest->threshold < BACKTEST_TAILS
                        ? backtest->all * backtest->threshold / BACKTEST_TAILS
                        : backtest->all;
    int64_t done = count->looked_at + count->left_out;
    const struct job_progress row = {
        .workspace_id = backtest->workspace_id,
        .job_id = backtest->job_id,
        .owner = backtest->instance_id,
        .cursor_json = write_cursor(backtest, count),
        .done = done,
        .total = total > done ? total : done,
        .lease_until_ms = clock_now_ms() + BACKTEST_LEASE_MS,
    };
    return job_progress(backtest->pg, backtest->arena, &row, out_cancel, problem);
}

static void adapt(struct backtest *backtest, size_t found, int64_t took_ms)
{
    if (took_ms > BACKTEST_STEP_MS && backtest->batch_size > 1) {
        backtest->batch_size /= 2;
    } else if (took_ms < BACKTEST_STEP_MS / 2 && found == backtest->batch_size &&
               backtest->batch_size < BACKTEST_BATCH_MAX) {
        backtest->batch_size *= 2;
    }
}

static enum status job_step(struct backtest *backtest, struct problem *problem)
{
    struct backtest_count count = backtest->count;
    struct profile_view *rows = NULL;
    struct history_side *sides = NULL;
    size_t found = 0;
    bool cancel = false;
    int64_t started_ms = clock_monotonic_ms();
    arena_reset(backtest->arena);
    enum status status =
        profile_sample(backtest->pg, backtest->arena, backtest->workspace_id, backtest->threshold,
                       count.after_id, backtest->batch_size, &rows, &found, problem);
    if (status == STATUS_OK && found > 0) {
        status = read_sides(backtest, rows, found, &sides, problem);
    }
    for (size_t i = 0; status == STATUS_OK && i < found; i++) {
        status = take_side(backtest, rows[i].id, &sides[i], &count);
        count.after_id = rows[i].id;
    }
    if (status == STATUS_OK) {
        status = progress(backtest, &count, &cancel, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    bool is_end = found < backtest->batch_size;
    backtest->count = count;
    adapt(backtest, found, clock_monotonic_ms() - started_ms);
    if (cancel) {
        return end_job(backtest, JOB_CANCELLED, NULL, problem);
    }
    return is_end ? end_job(backtest, JOB_SUCCEEDED, NULL, problem) : STATUS_OK;
}

/* --- a job ---------------------------------------------------------------------------- */

static bool read_day(const json_t *root, const char *name, int64_t *out_ms)
{
    const char *text = json_string_value(json_object_get(root, name));
    bool had_offset = false;
    struct str instant = { NULL, 0 };
    char whole[INSTANT_TEXT_SIZE + 1];
    if (text == NULL || str_from_z(text).size != sizeof("2026-10-01") - 1) {
        return false;
    }
    instant.size = (size_t)snprintf(whole, sizeof(whole), "%sT00:00:00Z", text);
    instant.data = whole;
    return instant_parse(instant, true, out_ms, &had_offset);
}

static bool read_parameters(struct backtest *backtest, struct str json,
                            struct rule_definition *out_definition, int64_t *out_from_ms)
{
    struct rule_case *only = ARENA_NEW(backtest->lasting, struct rule_case);
    json_t *root = json_loadb(json.data, json.size, 0, NULL);
    const char *name = json_string_value(json_object_get(root, "name"));
    const char *when = json_string_value(json_object_get(root, "when"));
    int64_t to_ms = 0;
    bool is_read = only != NULL && name != NULL && when != NULL &&
                   read_day(root, "from", out_from_ms) && read_day(root, "to", &to_ms) &&
                   to_ms > *out_from_ms &&
                   to_ms - *out_from_ms <= BACKTEST_DAYS_MAX * INSTANT_DAY_MS;
    if (is_read) {
        only->when = str_dup(backtest->lasting, str_from_z(when));
        *out_definition =
            (struct rule_definition){ .name = str_dup(backtest->lasting, str_from_z(name)),
                                      .kind = RULE_KIND_SEGMENT,
                                      .cases = only,
                                      .case_count = 1 };
        backtest->day_count = (size_t)((to_ms - *out_from_ms) / INSTANT_DAY_MS);
    }
    json_decref(root);
    return is_read;
}

/* The last millisecond before the first day, and of each day. */
static enum status prepare_days(struct backtest *backtest, int64_t from_ms, struct str currency,
                                struct problem *problem)
{
    int64_t former = -1;
    struct statistics *statistics = NULL;
    backtest->days = ARENA_NEW_ARRAY(backtest->lasting, backtest->day_count + 1, struct as_of);
    enum status status = backtest->days != NULL ? STATUS_OK : STATUS_LIMIT;
    for (size_t i = 0; status == STATUS_OK && i <= backtest->day_count; i++) {
        int64_t at_ms = from_ms + (int64_t)i * INSTANT_DAY_MS - 1;
        int64_t version = 0;
        status = statistic_version_at(backtest->pg, backtest->arena, backtest->workspace_id, at_ms,
                                      &version, problem);
        if (status == STATUS_OK && version != former) {
            statistics = ARENA_NEW(backtest->lasting, struct statistics);
            status = statistics == NULL ? STATUS_LIMIT : STATUS_OK;
        }
        if (status == STATUS_OK && version != former && version > 0) {
            status = statistic_store_load(backtest->pg, backtest->lasting, backtest->workspace_id,
                                          version, statistics, problem);
        }
        former = version;
        backtest->days[i] = (struct as_of){
            .at_ms = at_ms, .known_at_ms = at_ms, .statistics = statistics, .currency = currency
        };
    }
    return status;
}

/* From which day on were all percentiles known that the rule asks for, at its end
 * and at that of the day before? */
static enum status find_told(struct backtest *backtest)
{
    const struct ruleset *ruleset = backtest->candidate.ruleset;
    enum rule_attribute *untold =
        ARENA_NEW_ARRAY(backtest->arena, ruleset->percent_count + 1, enum rule_attribute);
    if (untold == NULL) {
        return STATUS_LIMIT;
    }
    backtest->told_from_ms = ruleset->percent_count == 0 ? INSTANT_NONE : INSTANT_NEVER;
    for (size_t i = backtest->day_count + 1; ruleset->percent_count > 0 && i > 0; i--) {
        const struct as_of *day = &backtest->days[i - 1];
        if (ruleset_untold(ruleset, day->statistics, untold) > 0) {
            break;
        }
        backtest->told_from_ms = day->at_ms + 1;
    }
    return STATUS_OK;
}

static enum status count_all(struct backtest *backtest, struct problem *problem)
{
    const struct rule_sql every = { .text = STR("true") };
    struct profile_tally tally;
    enum status status = profile_filter_tally(backtest->pg, backtest->arena, backtest->workspace_id,
                                              &every, &tally, problem);
    if (status == STATUS_OK) {
        backtest->all = tally.all;
        backtest->threshold = tally.all <= BACKTEST_PROFILES
                                  ? BACKTEST_TAILS
                                  : BACKTEST_TAILS * INT64_C(1) * BACKTEST_PROFILES / tally.all;
        backtest->threshold = backtest->threshold > 0 ? backtest->threshold : 1;
    }
    return status;
}

static enum status adopt_job(struct backtest *backtest, const struct job *job,
                             struct problem *problem)
{
    struct rule_definition definition;
    struct ruleset_error error = { .type = "" };
    int64_t from_ms = 0;
    arena_reset(backtest->lasting);
    backtest->job_id = job->id;
    backtest->workspace_id = job->workspace_id;
    backtest->batch_size = BACKTEST_BATCH_FIRST;
    backtest->snapshot = registry_hold(backtest->registry);
    const struct registry_workspace *workspace =
        snapshot_workspace(backtest->snapshot, job->workspace_id);
    if (workspace == NULL || workspace->ruleset_count == 0) {
        drop_job(backtest); /* its lease runs out, then it is claimed again */
        return STATUS_OK;
    }
    if (!read_parameters(backtest, job->parameters_json, &definition, &from_ms)) {
        return end_job(backtest, JOB_FAILED, "the job's parameters are not understood", problem);
    }
    enum status status =
        rule_candidate_build(backtest->lasting, workspace->rulesets[workspace->ruleset_count - 1],
                             &definition, &backtest->candidate, &error);
    if (status == STATUS_INVALID) {
        return end_job(backtest, JOB_FAILED, error.error.detail, problem);
    }
    if (status == STATUS_OK) {
        status = prepare_days(backtest, from_ms, workspace->currency, problem);
    }
    if (status == STATUS_OK) {
        status = find_told(backtest);
    }
    if (status == STATUS_OK) {
        status = count_all(backtest, problem);
    }
    if (status == STATUS_OK) {
        read_cursor(backtest, job->cursor_json);
    }
    return status;
}

static enum status find_job(struct backtest *backtest, struct problem *problem)
{
    struct id *workspace_ids = NULL;
    size_t count = 0;
    struct job job;
    int64_t now_ms = clock_now_ms();
    arena_reset(backtest->arena);
    enum status status = job_waiting(backtest->pg, backtest->arena, STR("backtest"), now_ms, 1,
                                     &workspace_ids, &count, problem);
    if (status != STATUS_OK || count == 0) {
        return status;
    }
    status = job_claim(backtest->pg, backtest->arena, workspace_ids[0], STR("backtest"),
                       backtest->instance_id, now_ms, now_ms + BACKTEST_LEASE_MS, &job, problem);
    if (status == STATUS_OK) {
        status = adopt_job(backtest, &job, problem);
    }
    return status == STATUS_MISSING ? STATUS_OK : status;
}

enum status backtest_step(struct backtest *backtest, bool *out_worked, struct problem *problem)
{
    *out_worked = false;
    if (id_is_zero(backtest->job_id) && clock_monotonic_ms() < backtest->idle_until_ms) {
        return STATUS_OK;
    }
    enum status status =
        id_is_zero(backtest->job_id) ? find_job(backtest, problem) : job_step(backtest, problem);
    *out_worked = status == STATUS_OK && !id_is_zero(backtest->job_id);
    if (status == STATUS_LIMIT && !id_is_zero(backtest->job_id)) {
        return end_job(backtest, JOB_FAILED, "the histories are too large for a backtest", problem);
    }
    if (status != STATUS_OK) {
        pg_reset(backtest->pg);
        drop_job(backtest); /* its lease runs out, then it goes on from its cursor */
    }
    if (id_is_zero(backtest->job_id)) {
        backtest->idle_until_ms = clock_monotonic_ms() + BACKTEST_IDLE_MS;
    }
    return status;
}
