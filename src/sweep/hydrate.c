#include "sweep/hydrate.h"

#include <jansson.h>
#include <sodium.h>

#include "base/clock.h"
#include "base/instant.h"
#include "base/limits.h"
#include "core/decide.h"
#include "store/batch.h"
#include "store/bring_up.h"
#include "store/bring_up_long.h"
#include "store/job_store.h"
#include "store/member_read.h"
#include "store/rule_store.h"
#include "store/workspace.h"

/*
 * A step: claim the next profiles, step each through the instants that fell due
 * (under the rules it stands at), fold its history if its features need it,
 * decide all rules once, at now, save. One transaction, in which the job's
 * cursor moves too, so that a crash repeats nothing and skips nothing.
 *
 * Whoever another writer holds is skipped, and a profile made by an instance
 * that had not heard of the new rules yet may lie behind the cursor: so a walk
 * that met anyone behind is followed by another, and the job ends with one that
 * met nobody.
 *
 * A rule's save may ask that those it concerns be told. Who brings a profile up
 * rings, in the transaction that does so: nobody is missed and nobody told twice,
 * whatever crashes. The bells of a job have a limit, for an expression with a slip
 * in it must not write to everybody. At the limit the save is silenced, for the
 * job and for ingest.
 */

#define HYDRATE_STEP_MS 50
#define HYDRATE_BATCH_FIRST 64
#define HYDRATE_BATCH_MAX 512
#define HYDRATE_WALK 4096
#define HYDRATE_IDLE_MS 1000
#define HYDRATE_ORPHANS 2000
#define HYDRATE_LEASE_MS 30000
/* What an ESP takes in minutes, and more than anybody means who did not look at a
 * preview first. */
#define HYDRATE_BELLS_MAX 100000
/* Of one origin within a batch; longer histories are folded page by page. */
#define HYDRATE_FACTS_MAX 2000

struct hydrate_run {
    struct hydrate *hydrate;
    const struct registry_workspace *workspace;
    const struct ruleset *newest;
    struct decide_context context;
    struct decision *decision;
    struct batch batch;
    struct batch_behind_found found;
    struct bring_up_left left;
    int64_t now_ms;
    size_t bells_max; /* of rules whose save asked for them */
    size_t bells_rung;
    size_t bells_held; /* beyond the limit: changed silently */
};

/* Those that need no history are brought up by stepping them. */
static enum status decide_found(struct hydrate_run *run, struct problem *problem)
{
    for (size_t i = 0; i < run->found.profile_count; i++) {
        decision_put_profile(run->decision, run->found.profiles[i]);
    }
    enum status status = registry_catch_up(run->hydrate->registry, run->decision, problem);
    for (size_t i = 0; i < run->found.profile_count && status == STATUS_OK; i++) {
        status = decide_due(run->decision, run->found.profiles[i], run->now_ms);
    }
    const struct bring_up bring_up = {
        .pg = run->hydrate->pg,
        .arena = run->hydrate->arena,
        .decision = run->decision,
        .context = &run->context,
        .now_ms = run->now_ms,
        .facts_max = HYDRATE_FACTS_MAX,
    };
    return status == STATUS_OK ? bring_up_profiles(&bring_up, &run->left, problem) : status;
}

static void count_bells(struct hydrate_run *run, size_t rung, size_t held)
{
    run->bells_rung += rung;
    run->bells_held += held;
    run->context.backfill_bells_max -= rung;
}

/* After the batch: the long histories, each in a transaction of its own. */
static enum status serve_left(struct hydrate_run *run, struct problem *problem)
{
    struct hydrate *hydrate = run->hydrate;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < run->left.count && status == STATUS_OK; i++) {
        const struct bring_up_long one = {
            .pg = hydrate->pg,
            .lasting = hydrate->arena,
            .page = hydrate->page,
            .context = &run->context,
            .profile_id = run->left.ids[i],
            .now_ms = clock_now_ms(),
        };
        struct bring_up_bells bells = { 0 };
        status = bring_up_long(&one, &bells, problem);
        count_bells(run, bells.rung, bells.held);
    }
    return status;
}

static enum status save(struct hydrate_run *run, struct problem *problem)
{
    struct decision_rows rows = { 0 };
    struct delivery *deliveries = NULL;
    size_t delivery_count = 0;
    enum status status = batch_fire(&run->batch, problem);
    if (status == STATUS_OK) {
        status = decision_finish(run->decision, clock_now_ms(), &rows);
    }
    const struct batch_save what = { .rows = &rows, .raises_due = true };
    if (status == STATUS_OK) {
        status = batch_save(&run->batch, &what, &deliveries, &delivery_count, problem);
    }
    count_bells(run, decision_backfill_count(run->decision),
                decision_backfill_held_count(run->decision));
    return status;
}

/* Claims and decides; the transaction is left open for the cursor. */
static enum status claim_and_decide(struct hydrate_run *run, const struct batch_behind *behind,
                                    struct problem *problem)
{
    struct hydrate *hydrate = run->hydrate;
    registry_decide_context(run->workspace, &run->context);
    run->context.backfill_bells_max = run->bells_max;
    randombytes_buf(run->context.random, sizeof(run->context.random));
    run->decision = decision_create(hydrate->arena, &run->context, HYDRATE_BATCH_MAX);
    if (run->decision == NULL) {
        return STATUS_LIMIT;
    }
    run->now_ms = clock_now_ms();
    enum status status =
        batch_init(&run->batch, hydrate->pg, hydrate->arena, run->workspace->id, NULL, 0);
    run->batch.decision = run->decision;
    if (status == STATUS_OK) {
        status = batch_claim_behind(&run->batch, behind, &run->found, problem);
    }
    if (status == STATUS_OK && run->found.profile_count > 0) {
        status = decide_found(run, problem);
    }
    return status;
}

static bool run_begin(struct hydrate *hydrate, const struct registry_snapshot *snapshot,
                      struct id workspace_id, struct hydrate_run *out_run)
{
    *out_run = (struct hydrate_run){ .hydrate = hydrate, .bells_max = SIZE_MAX };
    out_run->workspace = snapshot_workspace(snapshot, workspace_id);
    if (out_run->workspace == NULL || out_run->workspace->ruleset_count == 0) {
        return false;
    }
    out_run->newest = out_run->workspace->rulesets[out_run->workspace->ruleset_count - 1];
    return true;
}

/* --- those that wait for their history ---------------------------------- */

static enum status serve_marked(struct hydrate *hydrate, const struct registry_snapshot *snapshot,
                                struct id workspace_id, bool *worked, struct problem *problem)
{
    struct hydrate_run run;
    if (!run_begin(hydrate, snapshot, workspace_id, &run)) {
        return STATUS_OK;
    }
    arena_reset(hydrate->arena);
    const struct batch_behind behind = { .version = run.newest->version,
                                         .only_marked = true,
                                         .limit = hydrate->batch_size };
    enum status status = claim_and_decide(&run, &behind, problem);
    if (status == STATUS_OK && run.found.profile_count > 0) {
        status = save(&run, problem);
        *worked = true;
        if (status == STATUS_OK) {
            status = serve_left(&run, problem);
        }
    }
    if (status != STATUS_OK || run.found.profile_count == 0) {
        pg_reset(hydrate->pg);
    }
    return status;
}

/* --- the walk of a job -------------------------------------------------- */

static struct hydrate_walk walk_read(struct str cursor_json)
{
    struct hydrate_walk walk = { .round = 1 };
    json_t *root = json_loadb(cursor_json.data, cursor_json.size, 0, NULL);
    const char *after = json_string_value(json_object_get(root, "after"));
    if (after != NULL && id_parse(str_from_z(after), &walk.after_id)) {
        walk.met = json_integer_value(json_object_get(root, "met"));
        walk.done = json_integer_value(json_object_get(root, "done"));
        walk.round = json_integer_value(json_object_get(root, "round"));
        walk.rung = json_integer_value(json_object_get(root, "rung"));
    }
    json_decref(root);
    return walk;
}

static struct str walk_write(struct arena *arena, const struct hydrate_walk *walk)
{
    char after[ID_TEXT_SIZE];
    id_format(walk->after_id, after);
    return str_printf(
        arena, "{\"after\":\"%s\",\"met\":%lld,\"done\":%lld,\"round\":%lld,\"rung\":%lld}", after,
        (long long)walk->met, (long long)walk->done, (long long)walk->round, (long long)walk->rung);
}

static void adapt(struct hydrate *hydrate, size_t found, int64_t took_ms)
{
    if (took_ms > hydrate->step_ms && hydrate->batch_size > 8) {
        hydrate->batch_size /= 2;
    } else if (took_ms < hydrate->step_ms / 2 && found == hydrate->batch_size &&
               hydrate->batch_size < HYDRATE_BATCH_MAX) {
        hydrate->batch_size *= 2;
    }
}

static enum status end_job(struct hydrate *hydrate, enum job_status ending, struct problem *problem)
{
    const struct job_end end = {
        .workspace_id = hydrate->job_workspace_id,
        .job_id = hydrate->job_id,
        .owner = hydrate->instance_id,
        .status = ending,
        .result_json = str_printf(hydrate->arena, "{\"walks\":%lld,\"rung\":%lld,\"limit\":%s}",
                                  (long long)hydrate->walk.round, (long long)hydrate->walk.rung,
                                  hydrate->walk.rung >= HYDRATE_BELLS_MAX ? "true" : "false"),
        .at_ms = clock_now_ms(),
    };
    hydrate->job_id = ID_ZERO;
    return job_finish(hydrate->pg, hydrate->arena, &end, problem);
}

static enum status progress(struct hydrate *hydrate, const struct hydrate_walk *walk,
                            bool *out_cancel, struct problem *problem)
{
    hydrate->job_total = hydrate->job_total > walk->done ? hydrate->job_total : walk->done;
    const struct job_progress row = {
        .workspace_id = hydrate->job_workspace_id,
        .job_id = hydrate->job_id,
        .owner = hydrate->instance_id,
        .cursor_json = walk_write(hydrate->arena, walk),
        .done = walk->round == 1 ? walk->done : hydrate->job_total,
        .total = hydrate->job_total,
        .lease_until_ms = clock_now_ms() + HYDRATE_LEASE_MS,
    };
    return job_progress(hydrate->pg, hydrate->arena, &row, out_cancel, problem);
}

typedef enum status change_fn(struct hydrate *hydrate, struct problem *problem);

/* A transaction after which all instances read the configuration anew. */
static enum status configure(struct hydrate *hydrate, change_fn *change, struct problem *problem)
{
    enum status status = pg_run(hydrate->pg, hydrate->arena, &pg_begin, NULL, NULL, problem);
    if (status == STATUS_OK) {
        status = change(hydrate, problem);
    }
    if (status == STATUS_OK) {
        status = workspace_touch(hydrate->pg, hydrate->arena, hydrate->job_workspace_id, problem);
    }
    if (status == STATUS_OK) {
        status = pg_run(hydrate->pg, hydrate->arena, &pg_commit, NULL, NULL, problem);
    }
    return status;
}

static enum status silence(struct hydrate *hydrate, struct problem *problem)
{
    return rule_store_silence(hydrate->pg, hydrate->arena, hydrate->job_workspace_id,
                              hydrate->job_version, problem);
}

/* Everyone stands at the version: older ones may be forgotten, and there is nobody
 * left to be told. */
static enum status settle_version(struct hydrate *hydrate, struct problem *problem)
{
    enum status status = rule_store_settle(hydrate->pg, hydrate->arena, hydrate->job_workspace_id,
                                           hydrate->job_version, clock_now_ms(), problem);
    return status == STATUS_OK ? silence(hydrate, problem) : status;
}

/* Lists of rules that are no more, a bounded number of rows a time. True when
 * none are left. */
static enum status drop_orphans(struct hydrate *hydrate, bool *out_done, struct problem *problem)
{
    size_t dropped = 0;
    enum status status = member_drop_orphans(hydrate->pg, hydrate->arena, hydrate->job_workspace_id,
                                             HYDRATE_ORPHANS, &dropped, problem);
    *out_done = dropped < HYDRATE_ORPHANS;
    return status;
}

static enum status end_walk(struct hydrate *hydrate, struct problem *problem)
{
    bool done = false;
    enum status status = drop_orphans(hydrate, &done, problem);
    if (status != STATUS_OK || !done) {
        return status; /* the next step walks to the end again, and goes on here */
    }
    status = configure(hydrate, settle_version, problem);
    return status == STATUS_OK ? end_job(hydrate, JOB_SUCCEEDED, problem) : status;
}

static enum status job_step(struct hydrate_run *run, struct problem *problem)
{
    struct hydrate *hydrate = run->hydrate;
    struct hydrate_walk walk = hydrate->walk;
    int64_t before = walk.rung;
    const struct batch_behind behind = { .after_id = walk.after_id,
                                         .version = run->newest->version,
                                         .limit = hydrate->batch_size,
                                         .walk_limit = HYDRATE_WALK };
    int64_t started_ms = clock_monotonic_ms();
    run->bells_max = walk.rung < HYDRATE_BELLS_MAX ? (size_t)(HYDRATE_BELLS_MAX - walk.rung) : 0;
    arena_reset(hydrate->arena);
    enum status status = claim_and_decide(run, &behind, problem);
    if (status != STATUS_OK) {
        return status;
    }
    walk.after_id = run->found.last_id;
    walk.met += (int64_t)run->found.behind_count;
    walk.done += (int64_t)run->found.walked;
    bool walked_all = run->found.is_end && walk.met == 0;
    if (run->found.is_end && walk.met > 0) {
        walk = (struct hydrate_walk){ .round = walk.round + 1, .rung = walk.rung };
    }
    walk.rung += (int64_t)decision_backfill_count(run->decision);
    bool cancel = false;
    status = progress(hydrate, &walk, &cancel, problem);
    if (status == STATUS_OK && run->found.is_open) {
        status = save(run, problem);
        if (status == STATUS_OK) {
            status = serve_left(run, problem);
        }
    }
    if (status != STATUS_OK) {
        return status;
    }
    hydrate->walk = walk;
    hydrate->walk.rung = before + (int64_t)run->bells_rung; /* those of long histories too */
    adapt(hydrate, run->found.behind_count, clock_monotonic_ms() - started_ms);
    if (run->bells_held > 0) {
        status = configure(hydrate, silence, problem);
    }
    if (status == STATUS_OK && cancel) {
        return end_job(hydrate, JOB_CANCELLED, problem);
    }
    return status == STATUS_OK && walked_all ? end_walk(hydrate, problem) : status;
}

static void adopt_job(struct hydrate *hydrate, const struct job *job)
{
    json_t *root = json_loadb(job->parameters_json.data, job->parameters_json.size, 0, NULL);
    hydrate->job_id = job->id;
    hydrate->job_workspace_id = job->workspace_id;
    hydrate->job_version = json_integer_value(json_object_get(root, "ruleset_version"));
    hydrate->job_total = job->total;
    hydrate->walk = walk_read(job->cursor_json);
    json_decref(root);
}

static enum status find_job(struct hydrate *hydrate, struct problem *problem)
{
    struct id *workspace_ids = NULL;
    size_t count = 0;
    int64_t now_ms = clock_now_ms();
    arena_reset(hydrate->arena);
    enum status status = job_waiting(hydrate->pg, hydrate->arena, STR("hydrate"), now_ms, 1,
                                     &workspace_ids, &count, problem);
    if (status != STATUS_OK || count == 0) {
        return status;
    }
    struct job job;
    status = job_claim(hydrate->pg, hydrate->arena, workspace_ids[0], STR("hydrate"),
                       hydrate->instance_id, now_ms, now_ms + HYDRATE_LEASE_MS, &job, problem);
    if (status == STATUS_OK) {
        adopt_job(hydrate, &job);
    }
    return status == STATUS_MISSING ? STATUS_OK : status;
}

static enum status serve_job(struct hydrate *hydrate, const struct registry_snapshot *snapshot,
                             bool *worked, struct problem *problem)
{
    if (id_is_zero(hydrate->job_id)) {
        enum status status = find_job(hydrate, problem);
        if (status != STATUS_OK) {
            return status;
        }
    }
    struct hydrate_run run;
    if (id_is_zero(hydrate->job_id) ||
        !run_begin(hydrate, snapshot, hydrate->job_workspace_id, &run) ||
        run.newest->version < hydrate->job_version) {
        return STATUS_OK; /* nothing to do, or this instance has yet to hear of it */
    }
    *worked = true;
    enum status status = job_step(&run, problem);
    if (status != STATUS_OK) {
        pg_reset(hydrate->pg);
        hydrate->job_id = ID_ZERO; /* its lease runs out, then it is claimed again */
    }
    return status;
}

/* --- a step ------------------------------------------------------------- */

static enum status step(struct hydrate *hydrate, const struct registry_snapshot *snapshot,
                        bool *worked, struct problem *problem)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && !*worked; i++) {
        const struct registry_workspace *workspace = snapshot_workspace_at(snapshot, i);
        if (workspace == NULL) {
            break;
        }
        status = serve_marked(hydrate, snapshot, workspace->id, worked, problem);
    }
    if (status == STATUS_OK && !*worked) {
        status = serve_job(hydrate, snapshot, worked, problem);
    }
    return status;
}

enum status hydrate_step(struct hydrate *hydrate, bool *out_worked, struct problem *problem)
{
    *out_worked = false;
    if (hydrate->batch_size == 0) {
        hydrate->batch_size = HYDRATE_BATCH_FIRST;
    }
    if (hydrate->step_ms == 0) {
        hydrate->step_ms = HYDRATE_STEP_MS;
    }
    if (clock_monotonic_ms() < hydrate->idle_until_ms) {
        return STATUS_OK;
    }
    const struct registry_snapshot *snapshot = registry_hold(hydrate->registry);
    enum status status = step(hydrate, snapshot, out_worked, problem);
    registry_release(hydrate->registry, snapshot);
    if (status != STATUS_OK) {
        pg_reset(hydrate->pg);
    }
    if (status != STATUS_OK || !*out_worked) {
        hydrate->idle_until_ms = clock_monotonic_ms() + HYDRATE_IDLE_MS;
        *out_worked = false;
    }
    return status;
}
