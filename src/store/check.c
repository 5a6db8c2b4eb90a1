#include "store/check.h"

#include <sodium.h>

#include "base/clock.h"
#include "batch_priv.h"
#include "check_priv.h"
#include "core/profile/hydrate.h"
#include "store/bring_up.h"
#include "store/history.h"
#include "store/interest_read.h"
#include "store/interest_rebuild.h"
#include "store/profile_base.h"

/*
 * A page of ids, their rows and histories in one repeatable read, then pure
 * comparison. Verdicts are asked for as of the instant they were decided at,
 * under the rules they were decided by: what time has changed since is the
 * sweep's business, and whether it knows is what due_at says.
 *
 * Repairing marks the profile as one that wants its history and lets the code
 * fold that serves every such profile. Memberships are written as a difference
 * from what the state says they were, so those of a profile under repair are
 * taken out first.
 */

enum {
    PAGE_PROFILES = 64,
};

#define LABELS_BYTES_MAX ((size_t)1024 * 1024)

static const struct pg_statement check_begin = {
    "check_begin",
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
};

static const struct pg_statement check_page = {
    "check_page",
    "SELECT id FROM profile WHERE workspace_id = $1 AND id > $2 AND merged_into IS NULL"
    " ORDER BY id LIMIT $3",
};

static const struct pg_statement check_sample = {
    "check_sample",
    "SELECT id FROM profile WHERE workspace_id = $1 AND merged_into IS NULL"
    " ORDER BY random() LIMIT $2",
};

/* The labels in one text, as label_text writes them. */
static const struct pg_statement check_rows = {
    "check_rows",
    "SELECT r.* FROM unnest($2::uuid[]) AS u (id) CROSS JOIN LATERAL"
    " (SELECT " BATCH_PROFILE_COLUMNS ", COALESCE(lifecycle, '') || ' | '"
    " || array_to_string(tags, ' ') || ' | ' || array_to_string(segments, ' ') || ' | '"
    " || COALESCE((SELECT string_agg(t.key || '=' || t.value, ' ' ORDER BY t.key COLLATE \"C\")"
    " FROM jsonb_each_text(tiers) t), '')"
    " FROM profile WHERE workspace_id = $1 AND id = u.id AND COALESCE(merged_into, id) = id) r",
};

static const struct pg_statement check_members = {
    "check_members",
    "SELECT p.n, k.slot, m.value, m.since FROM unnest($2::uuid[]) WITH ORDINALITY AS p (id, n)"
    " CROSS JOIN unnest($3::uuid[], $4::text[], $5::int8[]) AS k (rule_id, value, slot)"
    " CROSS JOIN LATERAL (SELECT value, since FROM membership WHERE workspace_id = $1"
    " AND rule_id = k.rule_id AND value = k.value AND profile_id = p.id OFFSET 0) m"
    " ORDER BY p.n, k.slot",
};

static const struct pg_statement check_members_gone = {
    "check_members_gone",
    "DELETE FROM membership m USING (SELECT $1::uuid AS workspace_id, k.rule_id, k.value, p.id"
    " FROM unnest($2::uuid[]) AS p (id), unnest($3::uuid[], $4::text[]) AS k (rule_id, value)"
    " OFFSET 0) u WHERE m.workspace_id = u.workspace_id AND m.rule_id = u.rule_id"
    " AND m.value = u.value AND m.profile_id = u.id",
};

struct check_run {
    struct pg *pg;
    struct arena *arena;
    const struct check_options *options;
    struct check_counts counts;
    struct problem *problem;
    /* Of the page. */
    struct id ids[PAGE_PROFILES];
    size_t id_count;
    struct id differing[PAGE_PROFILES];
    size_t differing_count;
    struct profile *profiles[PAGE_PROFILES]; /* as stored */
    struct str labels[PAGE_PROFILES];
    size_t profile_count;
    struct history_side *sides;
    const struct pg_result *members;
    struct interest_stored *interests; /* of all of them, by index */
    size_t interest_count;
    int64_t folded_before_ms; /* facts before may be gone */
};

/* One profile being compared. */
struct comparison {
    struct check_run *run;
    const struct profile *stored;
    struct profile folded;
    const struct ruleset *ruleset;
    bool differs;
};

static void differ(struct comparison *comparison, struct str what, struct str stored,
                   struct str computed)
{
    const struct check_options *options = comparison->run->options;
    const struct check_difference difference = { comparison->stored->id, what, stored, computed };
    comparison->differs = true;
    options->report(options->user, &difference);
}

/* --- what is compared ----------------------------------------------------- */

static void compare_i64(struct comparison *comparison, const char *what, int64_t stored,
                        int64_t computed)
{
    if (stored != computed) {
        struct arena *arena = comparison->run->arena;
        differ(comparison, str_from_z(what), str_printf(arena, "%lld", (long long)stored),
               str_printf(arena, "%lld", (long long)computed));
    }
}

static struct str instant_text(struct arena *arena, int64_t at_ms)
{
    char text[INSTANT_TEXT_SIZE];
    if (at_ms == INSTANT_NONE || at_ms == INSTANT_NEVER) {
        return STR("none");
    }
    instant_format(at_ms, text);
    return str_dup(arena, str_from_z(text));
}

static void differ_in_instant(struct comparison *comparison, const char *what, int64_t stored_ms,
                              int64_t computed_ms)
{
    struct arena *arena = comparison->run->arena;
    differ(comparison, str_from_z(what), instant_text(arena, stored_ms),
           instant_text(arena, computed_ms));
}

static void compare_instant(struct comparison *comparison, const char *what, int64_t stored_ms,
                            int64_t computed_ms)
{
    if (stored_ms != computed_ms) {
        differ_in_instant(comparison, what, stored_ms, computed_ms);
    }
}

static void compare_sums(struct comparison *comparison)
{
    const struct profile *stored = comparison->stored;
    const struct profile *folded = &comparison->folded;
    compare_instant(comparison, "first_seen_at", stored->first_seen_at_ms,
                    folded->first_seen_at_ms);
    compare_instant(comparison, "last_seen_at", stored->last_seen_at_ms, folded->last_seen_at_ms);
    compare_instant(comparison, "page_seen_at", stored->page_seen_at_ms, folded->page_seen_at_ms);
    compare_instant(comparison, "signed_up_at", stored->signed_up_at_ms, folded->signed_up_at_ms);
    compare_i64(comparison, "identified", stored->identified, folded->identified);
    compare_i64(comparison, "orders.count", stored->orders.count, folded->orders.count);
    compare_i64(comparison, "orders.foreign_count", stored->orders.foreign_count,
                folded->orders.foreign_count);
    compare_i64(comparison, "orders.revenue (minor)", stored->orders.gross_minor,
                folded->orders.gross_minor);
    compare_i64(comparison, "orders.refunded (minor)", stored->orders.refunded_minor,
                folded->orders.refunded_minor);
    compare_i64(comparison, "orders.largest_value (minor)", stored->orders.largest_minor,
                folded->orders.largest_minor);
    compare_instant(comparison, "orders.first_at", stored->orders.first_at_ms,
                    folded->orders.first_at_ms);
    compare_instant(comparison, "orders.last_at", stored->orders.last_at_ms,
                    folded->orders.last_at_ms);
}

/* A key that was told to be forgotten is kept as null, for its stamp. */
static struct str fact_value(const struct profile *profile, const struct profile_fact *like)
{
    for (size_t i = 0; i < profile->fact_count; i++) {
        const struct profile_fact *fact = &profile->facts[i];
        if (fact->kind == like->kind && str_equal(fact->key, like->key)) {
            return fact->value_json;
        }
    }
    return (struct str){ 0 };
}

static void compare_facts(struct comparison *comparison)
{
    const struct profile *stored = comparison->stored;
    const struct profile *folded = &comparison->folded;
    struct arena *arena = comparison->run->arena;
    for (size_t i = 0; i < stored->fact_count; i++) {
        const struct profile_fact *fact = &stored->facts[i];
        struct str computed = fact_value(folded, fact);
        if (!str_equal(fact->value_json, computed)) {
            differ(comparison, str_printf(arena, "fact %.*s", STR_ARG(fact->key)), fact->value_json,
                   computed);
        }
    }
    for (size_t i = 0; i < folded->fact_count; i++) {
        const struct profile_fact *fact = &folded->facts[i];
        if (fact_value(stored, fact).size == 0) {
            differ(comparison, str_printf(arena, "fact %.*s", STR_ARG(fact->key)),
                   (struct str){ 0 }, fact->value_json);
        }
    }
}

/* How many orders were thrown away is no knowledge of the customer. */
static struct str indicator_bytes(struct arena *arena, const struct profile *profile)
{
    struct indicators indicators = profile->indicators;
    struct buf buf;
    indicators.dropped_order_ms = INSTANT_NONE;
    buf_init(&buf, arena, 64 * 1024);
    return indicators_encode(&indicators, &buf) ? buf_str(&buf) : (struct str){ 0 };
}

static void compare_indicators(struct comparison *comparison)
{
    struct arena *arena = comparison->run->arena;
    struct str stored = indicator_bytes(arena, comparison->stored);
    struct str computed = indicator_bytes(arena, &comparison->folded);
    if (!str_equal(stored, computed)) {
        const struct indicators *a = &comparison->stored->indicators;
        const struct indicators *b = &comparison->folded.indicators;
        differ(comparison, STR("indicators"),
               str_printf(arena, "%zu mails, %zu orders", a->act_count, a->order_count),
               str_printf(arena, "%zu mails, %zu orders", b->act_count, b->order_count));
    }
}

static void compare_features(struct comparison *comparison)
{
    struct arena *arena = comparison->run->arena;
    int64_t at_ms = comparison->stored->decided_at_ms;
    for (size_t i = 0; i < comparison->ruleset->feature_count; i++) {
        const struct feature *feature = &comparison->ruleset->features[i];
        const struct feature_state *stored =
            feature_find(&comparison->stored->features, feature->number);
        const struct feature_state *computed =
            feature_find(&comparison->folded.features, feature->number);
        if (!feature_equal(arena, feature, stored, computed, at_ms)) {
            differ(comparison, str_printf(arena, "feature %.*s", STR_ARG(feature->text)),
                   stored != NULL ? STR("other entries") : STR("nothing"),
                   computed != NULL ? STR("other entries") : STR("nothing"));
        }
    }
}

/* --- verdicts ------------------------------------------------------------- */

static struct str verdict_text(struct arena *arena, bool holds, struct str value)
{
    if (!holds) {
        return STR("no");
    }
    return value.size > 0 ? str_dup(arena, value) : STR("yes");
}

static void compare_verdicts(struct comparison *comparison)
{
    const struct registry_workspace *workspace = comparison->run->options->workspace;
    const struct profile *stored = comparison->stored;
    struct arena *arena = comparison->run->arena;
    const struct rule_subject subject = { .profile = &comparison->folded,
                                          .ruleset = comparison->ruleset,
                                          .statistics = workspace->statistics,
                                          .currency = workspace->currency };
    int64_t due_at_ms = INSTANT_NEVER;
    for (size_t i = 0; i < comparison->ruleset->rule_count; i++) {
        const struct rule *rule = &comparison->ruleset->rules[i];
        const struct verdict *verdict = verdict_find(&stored->verdicts, rule->definition.slot);
        struct str value = { 0 };
        int64_t until_ms = INSTANT_NEVER;
        bool holds = rule_verdict(arena, rule, &subject, stored->decided_at_ms, &value, &until_ms);
        due_at_ms = until_ms < due_at_ms ? until_ms : due_at_ms;
        if (holds != (verdict != NULL) || (holds && !str_equal(value, verdict->value))) {
            differ(comparison, str_printf(arena, "rule %.*s", STR_ARG(rule->definition.name)),
                   verdict_text(arena, verdict != NULL,
                                verdict != NULL ? verdict->value : (struct str){ 0 }),
                   verdict_text(arena, holds, value));
        }
    }
    if (stored->due_at_ms > due_at_ms) {
        differ_in_instant(comparison, "due_at", stored->due_at_ms, due_at_ms);
    }
}

static void add_names(struct buf *buf, const struct str *names, size_t count)
{
    buf_add_z(buf, " | ");
    for (size_t i = 0; i < count; i++) {
        buf_printf(buf, "%s%.*s", i > 0 ? " " : "", STR_ARG(names[i]));
    }
}

static struct str label_text(struct arena *arena, const struct profile_labels *labels)
{
    struct buf buf;
    buf_init(&buf, arena, LABELS_BYTES_MAX);
    buf_add_str(&buf, labels->lifecycle);
    add_names(&buf, labels->tags, labels->tag_count);
    add_names(&buf, labels->segments, labels->segment_count);
    buf_add_z(&buf, " | ");
    for (size_t i = 0; i < labels->tier_count; i++) {
        buf_printf(&buf, "%s%.*s=%.*s", i > 0 ? " " : "", STR_ARG(labels->tiers[i].name),
                   STR_ARG(labels->tiers[i].value));
    }
    return buf_str(&buf);
}

/* What stands for readers, against the verdicts as stored. */
static void compare_labels(struct comparison *comparison, struct str stored)
{
    struct arena *arena = comparison->run->arena;
    struct profile_labels labels = { 0 };
    if (!profile_labels_of(arena, comparison->stored, comparison->ruleset, &labels)) {
        return; /* the arena is full, which is said elsewhere */
    }
    struct str computed = label_text(arena, &labels);
    if (!str_equal(stored, computed)) {
        differ(comparison, STR("labels"), stored, computed);
    }
}

static void add_member(struct buf *buf, struct str name, struct str value, int64_t since_ms)
{
    char since[INSTANT_TEXT_SIZE];
    instant_format(since_ms, since);
    buf_printf(buf, "%s%.*s=%.*s since %s", buf->size > 0 ? ", " : "", STR_ARG(name),
               STR_ARG(value), since);
}

static void compare_members(struct comparison *comparison, size_t index)
{
    struct arena *arena = comparison->run->arena;
    const struct pg_result *members = comparison->run->members;
    struct buf stored;
    struct buf computed;
    buf_init(&stored, arena, LABELS_BYTES_MAX);
    buf_init(&computed, arena, LABELS_BYTES_MAX);
    for (size_t row = 0; row < pg_row_count(members); row++) {
        const struct rule *rule =
            ruleset_rule_by_slot(comparison->ruleset, (uint32_t)pg_get_i64(members, row, 1));
        if ((size_t)pg_get_i64(members, row, 0) == index + 1 && rule != NULL) {
            add_member(&stored, rule->definition.name, pg_get_text(members, row, 2),
                       pg_get_instant(members, row, 3));
        }
    }
    const struct verdict_set *verdicts = &comparison->stored->verdicts;
    for (size_t i = 0; i < verdicts->count; i++) {
        const struct rule *rule =
            ruleset_rule_by_slot(comparison->ruleset, verdicts->items[i].slot);
        if (rule != NULL) {
            add_member(&computed, rule->definition.name, verdicts->items[i].value,
                       verdicts->items[i].since_ms);
        }
    }
    if (!str_equal(buf_str(&stored), buf_str(&computed))) {
        differ(comparison, STR("memberships"), buf_str(&stored), buf_str(&computed));
    }
}

/* --- interests ------------------------------------------------------------- */

static void differ_in_interest(void *user, struct str what, struct str stored, struct str computed)
{
    differ(user, what, stored, computed);
}

static void compare_interests(struct comparison *comparison, size_t index)
{
    struct check_run *run = comparison->run;
    size_t first = 0;
    while (first < run->interest_count && run->interests[first].group < index) {
        first++;
    }
    size_t end = first;
    while (end < run->interest_count && run->interests[end].group == index) {
        end++;
    }
    const struct check_interests check = {
        .arena = run->arena,
        .stored = run->interests + first,
        .stored_count = end - first,
        .side = &run->sides[index],
        .folded_before_ms = run->folded_before_ms,
        .differ = differ_in_interest,
        .user = comparison,
    };
    check_interests(&check);
}

/* --- one profile ---------------------------------------------------------- */

static const struct ruleset *ruleset_of(const struct check_run *run, const struct profile *profile)
{
    const struct registry_workspace *workspace = run->options->workspace;
    for (size_t i = 0; i < workspace->ruleset_count && !profile->needs_history; i++) {
        if (workspace->rulesets[i]->version == profile->ruleset_version) {
            return workspace->rulesets[i];
        }
    }
    return NULL;
}

static bool fold(struct comparison *comparison, const struct history_side *side)
{
    const struct history history =
        history_of_side(side, comparison->ruleset, comparison->stored->decided_at_ms);
    comparison->folded = *comparison->stored;
    /* A stray that only has a name has nothing to fold. */
    return history_is_empty(&history) ||
           profile_hydrate(comparison->run->arena, &comparison->folded, &history);
}

static enum status check_one(struct check_run *run, size_t index)
{
    struct comparison comparison = { .run = run,
                                     .stored = run->profiles[index],
                                     .ruleset = ruleset_of(run, run->profiles[index]) };
    if (comparison.ruleset == NULL) {
        run->counts.waiting++;
        return STATUS_OK;
    }
    if (run->sides[index].is_cut) {
        run->counts.too_long++;
        return STATUS_OK;
    }
    run->counts.checked++;
    if (!fold(&comparison, &run->sides[index])) {
        return problem_set(run->problem, STATUS_LIMIT, "internal", "no memory");
    }
    compare_sums(&comparison);
    compare_facts(&comparison);
    compare_indicators(&comparison);
    compare_features(&comparison);
    compare_verdicts(&comparison);
    compare_labels(&comparison, run->labels[index]);
    compare_members(&comparison, index);
    compare_interests(&comparison, index);
    if (comparison.differs) {
        run->counts.differing++;
        run->differing[run->differing_count++] = comparison.stored->id;
    }
    return arena_is_full(run->arena)
               ? problem_set(run->problem, STATUS_LIMIT, "internal", "no memory")
               : STATUS_OK;
}

/* --- a page ---------------------------------------------------------------- */

/* The profiles of the page, and every list that one may stand on. */
static void put_lists(struct check_run *run, struct pg_params *params, const struct id *ids,
                      size_t id_count, bool with_slots)
{
    const struct registry_workspace *workspace = run->options->workspace;
    const struct ruleset *newest = workspace->rulesets[workspace->ruleset_count - 1];
    size_t count = 0;
    for (size_t i = 0; i < newest->rule_count; i++) {
        count += newest->rules[i].definition.case_count;
    }
    struct pg_array rules;
    struct pg_array values;
    struct pg_array slots;
    pg_params_init(params, run->arena);
    pg_put_id(params, workspace->id);
    pg_put_ids(params, ids, id_count);
    pg_array_begin(&rules, params, PG_UUID, count);
    pg_array_begin(&values, params, PG_TEXT, count);
    if (with_slots) {
        pg_array_begin(&slots, params, PG_INT8, count);
    }
    for (size_t i = 0; i < newest->rule_count; i++) {
        const struct rule_definition *rule = &newest->rules[i].definition;
        for (size_t j = 0; j < rule->case_count; j++) {
            pg_array_id(&rules, rule->id);
            pg_array_text(&values, rule->cases[j].value);
            if (with_slots) {
                pg_array_i64(&slots, rule->slot);
            }
        }
    }
    pg_array_end(&rules);
    pg_array_end(&values);
    if (with_slots) {
        pg_array_end(&slots);
    }
}

static enum status read_rows(struct check_run *run)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, run->arena);
    pg_put_id(&params, run->options->workspace->id);
    pg_put_ids(&params, run->ids, run->id_count);
    enum status status = pg_run(run->pg, run->arena, &check_rows, &params, &result, run->problem);
    if (status != STATUS_OK) {
        return status;
    }
    run->profile_count = 0;
    for (size_t row = 0; row < pg_row_count(result); row++) {
        struct profile *profile = NULL;
        struct problem unreadable = { 0 };
        status = batch_profile_decode(run->arena, result, row, &profile, &unreadable);
        if (status == STATUS_LIMIT) {
            return status;
        }
        if (status != STATUS_OK) {
            const struct check_difference difference = { pg_get_id(result, row, 0), STR("state"),
                                                         STR("does not decode"), STR("a profile") };
            run->counts.checked++;
            run->counts.differing++;
            run->options->report(run->options->user, &difference);
            continue;
        }
        run->labels[run->profile_count] = pg_get_text(result, row, 22);
        run->profiles[run->profile_count++] = profile;
    }
    return STATUS_OK;
}

static enum status read_interests(struct check_run *run, const struct history_origin *origins,
                                  size_t count)
{
    struct id workspace_id = run->options->workspace->id;
    struct id *ids = ARENA_NEW_ARRAY(run->arena, count + 1, struct id);
    size_t *groups = ARENA_NEW_ARRAY(run->arena, count + 1, size_t);
    if (ids == NULL || groups == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        ids[i] = origins[i].id;
        groups[i] = origins[i].side;
    }
    enum status status = interest_stored_read(run->pg, run->arena, workspace_id, ids, groups, count,
                                              &run->interests, &run->interest_count, run->problem);
    return status == STATUS_OK ? base_folded_before(run->pg, run->arena, workspace_id,
                                                    &run->folded_before_ms, run->problem)
                               : status;
}

static enum status read_histories(struct check_run *run)
{
    struct id ids[PAGE_PROFILES];
    struct history_origin *origins = NULL;
    size_t origin_count = 0;
    struct id workspace_id = run->options->workspace->id;
    for (size_t i = 0; i < run->profile_count; i++) {
        ids[i] = run->profiles[i]->id;
    }
    enum status status = history_origins(run->pg, run->arena, workspace_id, ids, run->profile_count,
                                         &origins, &origin_count, run->problem);
    if (status != STATUS_OK) {
        return status;
    }
    const struct history_request request = { .workspace_id = workspace_id,
                                             .origins = origins,
                                             .origin_count = origin_count,
                                             .side_count = run->profile_count,
                                             .facts_max = CHECK_FACTS_MAX };
    status = history_read(run->pg, run->arena, &request, &run->sides, run->problem);
    if (status != STATUS_OK) {
        return status;
    }
    status = read_interests(run, origins, origin_count);
    if (status != STATUS_OK) {
        return status;
    }
    struct pg_params params;
    struct pg_result *members = NULL;
    put_lists(run, &params, ids, run->profile_count, true);
    status = pg_run(run->pg, run->arena, &check_members, &params, &members, run->problem);
    run->members = members;
    return status;
}

static enum status check_snapshot(struct check_run *run)
{
    enum status status = pg_run(run->pg, run->arena, &check_begin, NULL, NULL, run->problem);
    if (status == STATUS_OK) {
        status = read_rows(run);
    }
    if (status == STATUS_OK && run->profile_count > 0) {
        status = read_histories(run);
    }
    for (size_t i = 0; i < run->profile_count && status == STATUS_OK; i++) {
        status = check_one(run, i);
    }
    pg_reset(run->pg);
    return status;
}

/* --- repair ---------------------------------------------------------------- */

static enum status fold_claimed(struct check_run *run, struct batch *batch,
                                const struct decide_context *context,
                                struct profile *const *profiles, size_t count)
{
    /* Not where the verdicts stand, so that all labels and lists are written. */
    static const struct verdict nothing = { 0 };
    for (size_t i = 0; i < count; i++) {
        profiles[i]->needs_history = true;
        profiles[i]->stored = (struct verdict_set){ &nothing, 0 };
        decision_put_profile(batch->decision, profiles[i]);
    }
    const struct bring_up bring_up = {
        .pg = run->pg,
        .arena = run->arena,
        .decision = batch->decision,
        .context = context,
        .now_ms = clock_now_ms(),
        .facts_max = CHECK_FACTS_MAX,
        .cause = CAUSE_MANUAL,
    };
    struct decision_rows rows = { 0 };
    struct delivery *deliveries = NULL;
    size_t delivery_count = 0;
    enum status status = bring_up_profiles(&bring_up, NULL, run->problem);
    if (status == STATUS_OK) {
        status = decision_finish(batch->decision, clock_now_ms(), &rows);
    }
    const struct batch_save what = { .rows = &rows, .raises_due = true, .stays_open = true };
    return status == STATUS_OK
               ? batch_save(batch, &what, &deliveries, &delivery_count, run->problem)
               : status;
}

static enum status rebuild_interests(struct check_run *run, const struct id *ids, size_t count)
{
    struct id workspace_id = run->options->workspace->id;
    struct history_origin *origins = NULL;
    size_t origin_count = 0;
    enum status status = history_origins(run->pg, run->arena, workspace_id, ids, count, &origins,
                                         &origin_count, run->problem);
    struct id *origin_ids = ARENA_NEW_ARRAY(run->arena, origin_count + 1, struct id);
    if (status == STATUS_OK && origin_ids == NULL) {
        return STATUS_LIMIT;
    }
    for (size_t i = 0; i < origin_count; i++) {
        origin_ids[i] = origins[i].id;
    }
    return status == STATUS_OK ? interest_rebuild(run->pg, run->arena, workspace_id, origin_ids,
                                                  origin_count, run->problem)
                               : status;
}

static enum status repair(struct check_run *run)
{
    struct decide_context context;
    struct batch batch;
    struct profile **profiles = NULL;
    size_t count = 0;
    registry_decide_context(run->options->workspace, &context);
    randombytes_buf(context.random, sizeof(context.random));
    enum status status =
        batch_init(&batch, run->pg, run->arena, run->options->workspace->id, NULL, 0);
    if (status != STATUS_OK) {
        return status;
    }
    batch.decision = decision_create(run->arena, &context, PAGE_PROFILES);
    if (batch.decision == NULL) {
        return problem_set(run->problem, STATUS_LIMIT, "internal", "no memory");
    }
    status = batch_claim_ids(&batch, run->differing, run->differing_count, &profiles, &count,
                             run->problem);
    struct id claimed[PAGE_PROFILES];
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        claimed[i] = profiles[i]->id;
    }
    if (status == STATUS_OK && count > 0) {
        struct pg_params params;
        put_lists(run, &params, claimed, count, false);
        status = pg_run(run->pg, run->arena, &check_members_gone, &params, NULL, run->problem);
    }
    if (status == STATUS_OK && count > 0) {
        status = fold_claimed(run, &batch, &context, profiles, count);
    }
    if (status == STATUS_OK && count > 0) {
        status = rebuild_interests(run, claimed, count);
    }
    if (status == STATUS_OK) {
        status = pg_run(run->pg, run->arena, &pg_commit, NULL, NULL, run->problem);
    }
    if (status == STATUS_OK) {
        run->counts.repaired += (int64_t)count;
    }
    pg_reset(run->pg);
    return status;
}

static enum status check_ids(struct check_run *run)
{
    run->differing_count = 0;
    run->profile_count = 0;
    enum status status = check_snapshot(run);
    if (status == STATUS_OK && run->options->repair && run->differing_count > 0) {
        status = repair(run);
    }
    arena_reset(run->arena);
    return status;
}

/* --- which profiles -------------------------------------------------------- */

static enum status check_all(struct check_run *run)
{
    enum status status = STATUS_OK;
    struct id after = ID_ZERO;
    run->id_count = PAGE_PROFILES;
    while (status == STATUS_OK && run->id_count == PAGE_PROFILES) {
        struct pg_params params;
        struct pg_result *result = NULL;
        pg_params_init(&params, run->arena);
        pg_put_id(&params, run->options->workspace->id);
        pg_put_id(&params, after);
        pg_put_i64(&params, PAGE_PROFILES);
        status = pg_run(run->pg, run->arena, &check_page, &params, &result, run->problem);
        run->id_count = status == STATUS_OK ? pg_row_count(result) : 0;
        for (size_t i = 0; i < run->id_count; i++) {
            run->ids[i] = pg_get_id(result, i, 0);
            after = run->ids[i];
        }
        if (run->id_count > 0) {
            status = check_ids(run);
        }
    }
    return status;
}

static enum status check_drawn(struct check_run *run)
{
    struct arena *lasting CLEANUP(arena_destroy_at) = arena_create((size_t)256 * 1024 * 1024);
    struct pg_params params;
    struct pg_result *result = NULL;
    if (lasting == NULL) {
        return problem_set(run->problem, STATUS_LIMIT, "internal", "no memory");
    }
    pg_params_init(&params, lasting);
    pg_put_id(&params, run->options->workspace->id);
    pg_put_i64(&params, run->options->sample);
    enum status status = pg_run(run->pg, lasting, &check_sample, &params, &result, run->problem);
    size_t count = status == STATUS_OK ? pg_row_count(result) : 0;
    for (size_t done = 0; done < count && status == STATUS_OK; done += run->id_count) {
        run->id_count = count - done < PAGE_PROFILES ? count - done : PAGE_PROFILES;
        for (size_t i = 0; i < run->id_count; i++) {
            run->ids[i] = pg_get_id(result, done + i, 0);
        }
        status = check_ids(run);
    }
    return status;
}

enum status check_profiles(struct pg *pg, struct arena *arena, const struct check_options *options,
                           struct check_counts *out_counts, struct problem *problem)
{
    struct check_run run = { .pg = pg, .arena = arena, .options = options, .problem = problem };
    if (options->workspace->ruleset_count == 0) {
        return problem_set(problem, STATUS_CONFLICT, "no-rules",
                           "the workspace has no rules yet; run shopbell migrate");
    }
    enum status status = options->sample > 0 ? check_drawn(&run) : check_all(&run);
    if (status == STATUS_OK) {
        *out_counts = run.counts;
    }
    return status;
}
