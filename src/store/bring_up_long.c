#include "store/bring_up_long.h"

#include "base/instant.h"
#include "core/profile/hydrate.h"
#include "store/batch.h"
#include "store/history.h"

/*
 * A profile's sequence grows with every write, so an unchanged one says that
 * the pages read are still all there is; and retention, which moves facts into
 * bases without a word, leaves bases of more facts. Between pages the fresh state passes
 * through its codec: what a page's texts lent to it is copied, and the page's
 * arena can be used again.
 */

#define LONG_PAGE 20000
#define LONG_TRIES 3

struct long_run {
    const struct bring_up_long *bring_up;
    const struct ruleset *newest;
    struct profile *profile;
    struct profile fresh;
    struct history_origin *origins;
    size_t origin_count;
    int64_t folded; /* facts in the bases that were taken in */
    bool owns_cart;
    struct bring_up_bells bells;
};

/* Copies the fresh state out of the page's arena. */
static enum status keep_fresh(struct long_run *run)
{
    struct str bytes = { 0 };
    struct arena *page = run->bring_up->page;
    if (!profile_state_encode(page, &run->fresh, &bytes)) {
        return STATUS_LIMIT;
    }
    bytes = str_dup(run->bring_up->lasting, bytes);
    struct verdict_set verdicts = run->fresh.verdicts;
    struct verdict_set stored = run->fresh.stored;
    if (bytes.size == 0 || !profile_state_decode(run->bring_up->lasting, bytes, &run->fresh)) {
        return STATUS_LIMIT;
    }
    run->fresh.verdicts = verdicts; /* of the lasting arena already */
    run->fresh.stored = stored;
    run->fresh.touched = NULL;
    run->fresh.cart_json = (struct str){ 0 };
    return STATUS_OK;
}

static enum status fold_origin(struct long_run *run, struct id origin_id, struct problem *problem)
{
    const struct bring_up_long *bring_up = run->bring_up;
    struct history_place_after place = { .after_ms = 0 };
    size_t count = LONG_PAGE;
    while (count == LONG_PAGE) {
        struct event *events = NULL;
        arena_reset(bring_up->page);
        enum status status =
            history_page(bring_up->pg, bring_up->page, bring_up->context->workspace_id, origin_id,
                         place, LONG_PAGE, &events, &count, problem);
        if (status != STATUS_OK || count == 0) {
            return status;
        }
        const struct history history = { .events = events,
                                         .event_count = count,
                                         .ruleset = run->newest,
                                         .now_ms = bring_up->now_ms };
        run->owns_cart = run->owns_cart || hydrate_owns(&history, run->profile->cart_event_id);
        place =
            (struct history_place_after){ events[count - 1].occurred_at_ms, events[count - 1].id };
        status =
            hydrate_fold(bring_up->page, &run->fresh, &history) ? keep_fresh(run) : STATUS_LIMIT;
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

/* All but the events: bases, orders, identities. */
static enum status read_beside(struct long_run *run, struct history_side **out_side,
                               struct problem *problem)
{
    const struct bring_up_long *bring_up = run->bring_up;
    const struct history_request request = {
        .workspace_id = bring_up->context->workspace_id,
        .origins = run->origins,
        .origin_count = run->origin_count,
        .side_count = 1,
        .facts_max = 0,
    };
    return history_read(bring_up->pg, bring_up->lasting, &request, out_side, problem);
}

static int64_t folded_facts(const struct history_side *side)
{
    int64_t count = 0;
    for (size_t i = 0; i < side->base_count; i++) {
        count += side->bases[i].fact_count;
    }
    return count;
}

static enum status fold_bases(struct long_run *run, struct problem *problem)
{
    struct history_side *side = NULL;
    enum status status = read_beside(run, &side, problem);
    if (status != STATUS_OK) {
        return status;
    }
    const struct history history = history_of_side(side, run->newest, run->bring_up->now_ms);
    run->folded = folded_facts(side);
    run->owns_cart = hydrate_owns(&history, run->profile->cart_event_id);
    return hydrate_bases(run->bring_up->lasting, &run->fresh, &history) ? STATUS_OK : STATUS_LIMIT;
}

static enum status fold_events(struct long_run *run, struct problem *problem)
{
    const struct bring_up_long *bring_up = run->bring_up;
    hydrate_begin(&run->fresh, run->profile);
    enum status status =
        history_origins(bring_up->pg, bring_up->lasting, bring_up->context->workspace_id,
                        &bring_up->profile_id, 1, &run->origins, &run->origin_count, problem);
    if (status == STATUS_OK) {
        status = fold_bases(run, problem);
    }
    for (size_t i = 0; i < run->origin_count && status == STATUS_OK; i++) {
        status = fold_origin(run, run->origins[i].id, problem);
    }
    return status;
}

/* Orders and identities, under the lock; then decides and saves. */
static enum status finish(struct long_run *run, struct batch *batch,
                          const struct history_side *side, struct problem *problem)
{
    const struct bring_up_long *bring_up = run->bring_up;
    const struct history history = history_of_side(side, run->newest, bring_up->now_ms);
    struct profile *profile = run->profile;
    enum cause_kind cause = profile->ruleset_version == 0 ? CAUSE_IMPORT : CAUSE_RULE;
    decision_put_profile(batch->decision, profile);
    if (decision_is_ahead(batch->decision)) {
        return problem_set(problem, STATUS_RETRY, "overloaded", "newer rules are in force");
    }
    enum status status = decide_due(batch->decision, profile, bring_up->now_ms);
    run->fresh.verdicts = profile->verdicts;
    run->fresh.stored = profile->stored;
    run->fresh.stood_at_version = profile->stood_at_version;
    run->fresh.sequence = profile->sequence;
    run->fresh.decided_at_ms = profile->decided_at_ms;
    if (status == STATUS_OK &&
        !hydrate_end(bring_up->lasting, &run->fresh, profile, &history, run->owns_cart)) {
        status = STATUS_LIMIT;
    }
    if (status == STATUS_OK) {
        status = decide_silently(batch->decision, profile, bring_up->now_ms, cause);
    }
    struct decision_rows rows = { 0 };
    if (status == STATUS_OK) {
        status = batch_fire(batch, problem);
    }
    if (status == STATUS_OK) {
        status = decision_finish(batch->decision, bring_up->now_ms, &rows);
    }
    const struct batch_save save = { .rows = &rows, .raises_due = true };
    struct delivery *deliveries = NULL;
    size_t delivery_count = 0;
    run->bells.rung = decision_backfill_count(batch->decision);
    run->bells.held = decision_backfill_held_count(batch->decision);
    return status == STATUS_OK ? batch_save(batch, &save, &deliveries, &delivery_count, problem)
                               : status;
}

static enum status lock(struct long_run *run, struct batch *batch, bool *out_locked,
                        struct problem *problem)
{
    const struct bring_up_long *bring_up = run->bring_up;
    struct profile **profiles = NULL;
    size_t count = 0;
    enum status status = batch_init(batch, bring_up->pg, bring_up->lasting,
                                    bring_up->context->workspace_id, NULL, 0);
    batch->decision = decision_create(bring_up->lasting, bring_up->context, 1);
    if (status == STATUS_OK && batch->decision == NULL) {
        status = STATUS_LIMIT;
    }
    if (status == STATUS_OK) {
        status = batch_claim_ids(batch, &bring_up->profile_id, 1, &profiles, &count, problem);
    }
    *out_locked = status == STATUS_OK && count == 1;
    if (*out_locked) {
        run->profile = profiles[0];
    }
    return status;
}

/* Folds, then locks and looks whether anybody wrote meanwhile. */
static enum status try_unlocked(struct long_run *run, bool *out_done, struct problem *problem)
{
    const struct bring_up_long *bring_up = run->bring_up;
    struct batch batch;
    bool locked = false;
    struct history_side *side = NULL;
    enum status status =
        batch_read_profile(bring_up->pg, bring_up->lasting, bring_up->context->workspace_id,
                           bring_up->profile_id, &run->profile, problem);
    if (status != STATUS_OK || run->profile == NULL) {
        *out_done = true;
        return status;
    }
    int64_t sequence = run->profile->sequence;
    status = fold_events(run, problem);
    if (status == STATUS_OK) {
        status = lock(run, &batch, &locked, problem);
    }
    if (status == STATUS_OK && locked && run->profile->sequence == sequence) {
        status = read_beside(run, &side, problem);
    }
    if (status == STATUS_OK && side != NULL && folded_facts(side) == run->folded) {
        *out_done = true;
        return finish(run, &batch, side, problem);
    }
    pg_reset(bring_up->pg);
    return status;
}

static enum status try_locked(struct long_run *run, struct problem *problem)
{
    struct batch batch;
    bool locked = false;
    enum status status = lock(run, &batch, &locked, problem);
    if (status == STATUS_OK && locked) {
        struct history_side *side = NULL;
        status = fold_events(run, problem);
        if (status == STATUS_OK) {
            status = read_beside(run, &side, problem);
        }
        return status == STATUS_OK ? finish(run, &batch, side, problem) : status;
    }
    pg_reset(run->bring_up->pg);
    return status;
}

enum status bring_up_long(const struct bring_up_long *bring_up, struct bring_up_bells *out_bells,
                          struct problem *problem)
{
    const struct decide_context *context = bring_up->context;
    struct long_run run = { .bring_up = bring_up,
                            .newest = context->rulesets[context->ruleset_count - 1] };
    bool done = false;
    enum status status = STATUS_OK;
    for (int turn = 0; turn < LONG_TRIES && status == STATUS_OK && !done; turn++) {
        status = try_unlocked(&run, &done, problem);
    }
    if (status == STATUS_OK && !done) {
        status = try_locked(&run, problem);
    }
    if (status != STATUS_OK) {
        pg_reset(bring_up->pg);
    }
    *out_bells = status == STATUS_OK ? run.bells : (struct bring_up_bells){ 0 };
    return status;
}
