#include <stdio.h>

#include "base/buf.h"
#include "base/instant.h"
#include "core/profile/as_of.h"
#include "moment_priv.h"
#include "store/explain_read.h"
#include "store/rule_store.h"

/*
 * Time travel: the facts up to an instant, folded anew and decided by the rules
 * of today with the statistics of then (correctness 7).
 *
 * Who is one customer is what is known today (correctness 3: identity decisions
 * are replayed, not made again): an identity's first_seen_at is that of the event
 * that came first, not of the earliest, so it cannot cut them.
 *
 * What we decided then is a log, not a fold: so `since` is looked up among the
 * transitions, and is null where none is of that verdict. What cannot be told
 * is said, not guessed: no instant before the first fact that is kept, or before
 * those that retention folded had all happened, none in the future, no history
 * longer than MOMENT_FACTS_MAX.
 */

static enum status bad_instant(struct problem *problem, const char *detail)
{
    (void)problem_set(problem, STATUS_INVALID, "invalid-field", "%s", detail);
    problem_point(problem, "#/query/as_of");
    return STATUS_INVALID;
}

/* What retention folded into the profile is not told apart any more. */
static enum status too_early(struct problem *problem, int64_t before_ms)
{
    char since[INSTANT_TEXT_SIZE];
    char detail[160];
    instant_format(before_ms, since);
    (void)snprintf(detail, sizeof(detail),
                   "of this profile's facts before %.10s only their sum is kept:"
                   " as_of answers from %s on",
                   since, since);
    return bad_instant(problem, detail);
}

static enum status no_memory(struct problem *problem)
{
    (void)problem_set(problem, STATUS_LIMIT, "limit-reached",
                      "this profile is too large to be answered for");
    return STATUS_LIMIT; /* in words that an analyzer reads */
}

/* --- the profile as it is ------------------------------------------------- */

static enum status read_whole(const struct resource_request *request, struct moment *moment,
                              struct problem *problem)
{
    struct profile_whole *whole = &moment->whole;
    struct id workspace_id = request->principal->workspace_id;
    struct id canonical = ID_ZERO;
    struct id *origins = NULL;
    struct identity_view *identities = NULL;
    enum status status = profile_resolve(request, request->name, &whole->requested_id, &canonical,
                                         &origins, &whole->origin_count, problem);
    if (status == STATUS_OK) {
        status = profile_read(request->pg, request->arena, workspace_id, canonical, &whole->view,
                              problem);
    }
    if (status == STATUS_OK) {
        status =
            profile_identities(request->pg, request->arena, workspace_id, origins,
                               whole->origin_count, &identities, &whole->identity_count, problem);
    }
    if (status == STATUS_OK) {
        status = history_is_complete(request->pg, request->arena, workspace_id,
                                     &whole->history_complete, problem);
    }
    whole->origins = origins;
    whole->identities = identities;
    if (status == STATUS_OK && id_equal(whole->requested_id, canonical)) {
        whole->requested_id = ID_ZERO;
    }
    return status == STATUS_MISSING ? problem_set(problem, STATUS_MISSING, "profile-not-found",
                                                  "no profile of this workspace is called so")
                                    : status;
}

static enum status read_transitions(const struct resource_request *request, struct moment *moment,
                                    struct problem *problem)
{
    struct history_place place = { .before_ms = moment->at_ms + 1 };
    struct transition_view *rows = NULL;
    enum status status =
        profile_transitions(request->pg, request->arena, request->principal->workspace_id,
                            moment->whole.origins, moment->whole.origin_count, place,
                            MOMENT_TRANSITIONS_MAX, &rows, &moment->transition_count, problem);
    moment->transitions = rows;
    return status;
}

/* --- the profile as it was -------------------------------------------------- */

static enum status read_history(const struct resource_request *request, const struct moment *moment,
                                struct history_side **out_side, struct problem *problem)
{
    size_t count = moment->whole.origin_count;
    struct history_origin *origins = ARENA_NEW_ARRAY(request->arena, count, struct history_origin);
    if (origins == NULL) {
        return no_memory(problem);
    }
    for (size_t i = 0; i < count; i++) {
        origins[i].id = moment->whole.origins[i];
    }
    const struct history_request what = {
        .workspace_id = request->principal->workspace_id,
        .origins = origins,
        .origin_count = count,
        .side_count = 1,
        .facts_max = MOMENT_FACTS_MAX,
    };
    enum status status = history_read(request->pg, request->arena, &what, out_side, problem);
    if (status == STATUS_LIMIT || (status == STATUS_OK && (*out_side)->is_cut)) {
        return problem_set(problem, STATUS_INVALID, "limit-reached",
                           "as_of folds at most %d facts, and this profile has more",
                           MOMENT_FACTS_MAX);
    }
    return status;
}

static int64_t first_fact_ms(const struct history_side *side)
{
    int64_t first_ms = INSTANT_NEVER;
    for (size_t i = 0; i < side->event_count; i++) {
        if (side->events[i].occurred_at_ms < first_ms) {
            first_ms = side->events[i].occurred_at_ms;
        }
    }
    return first_ms;
}

static enum status read_statistics(const struct resource_request *request, struct moment *moment,
                                   struct problem *problem)
{
    struct id workspace_id = request->principal->workspace_id;
    struct statistics *statistics = ARENA_NEW(request->arena, struct statistics);
    int64_t version = 0;
    if (statistics == NULL) {
        return no_memory(problem);
    }
    enum status status = statistic_version_at(request->pg, request->arena, workspace_id,
                                              moment->at_ms, &version, problem);
    if (status == STATUS_OK && version > 0) {
        status = statistic_store_load(request->pg, request->arena, workspace_id, version,
                                      statistics, problem);
    }
    moment->statistics = statistics;
    return status;
}

static bool put_since(struct arena *arena, struct moment *moment)
{
    const struct verdict_set decided = moment->profile->verdicts;
    for (size_t i = 0; i < decided.count; i++) {
        struct verdict verdict = decided.items[i];
        const struct rule *rule = ruleset_rule_by_slot(moment->ruleset, verdict.slot);
        verdict.since_ms = moment_since(moment, rule, true, verdict.value);
        if (!verdict_put(arena, &moment->profile->verdicts, verdict.slot, &verdict)) {
            return false;
        }
    }
    return true;
}

/* --- a view of it, as of a row ---------------------------------------------- */

static struct str facts_json(struct arena *arena, const struct profile *profile,
                             enum fact_kind kind)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    profile_write_facts(&json, profile, kind);
    return buf_str(&buf);
}

static struct str trait_text(struct arena *arena, const struct profile *profile, const char *key)
{
    struct str json = profile_fact_value(profile, FACT_TRAIT, key);
    struct rule_value value = json.size > 0 ? rule_value_from_json(arena, json) : RULE_VALUE_NULL;
    value = rule_value_as(arena, value, RULE_TEXT);
    return value.type == RULE_TEXT ? value.text : (struct str){ NULL, 0 };
}

static struct str tiers_json(struct arena *arena, const struct profile_labels *labels)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    for (size_t i = 0; i < labels->tier_count; i++) {
        jsonw_key_str(&json, labels->tiers[i].name);
        jsonw_str(&json, labels->tiers[i].value);
    }
    jsonw_close(&json);
    return buf_str(&buf);
}

static void view_orders(struct profile_view *view, const struct profile *profile)
{
    view->orders_count = profile->orders.count;
    view->orders_foreign_count = profile->orders.foreign_count;
    view->orders_gross_minor = profile->orders.gross_minor;
    view->orders_refunded_minor = profile->orders.refunded_minor;
    view->orders_largest_minor = profile->orders.largest_minor;
    view->orders_first_at_ms = profile->orders.first_at_ms;
    view->orders_last_at_ms = profile->orders.last_at_ms;
}

static bool view_profile(struct arena *arena, const struct moment *moment,
                         struct profile_view *view)
{
    const struct profile *profile = moment->profile;
    struct profile_labels labels;
    if (!profile_labels_of(arena, profile, moment->ruleset, &labels) ||
        !profile_state_encode(arena, profile, &view->state)) {
        return false;
    }
    view->first_seen_at_ms = profile->first_seen_at_ms;
    view->last_seen_at_ms = profile->last_seen_at_ms;
    view->signed_up_at_ms = profile->signed_up_at_ms;
    view->identified = profile->identified;
    view->email = trait_text(arena, profile, "email");
    view->phone = trait_text(arena, profile, "phone");
    view->external_id = trait_text(arena, profile, "external_id");
    view_orders(view, profile);
    view->traits_json = facts_json(arena, profile, FACT_TRAIT);
    view->preferences_json = facts_json(arena, profile, FACT_PREFERENCE);
    view->consent_json = facts_json(arena, profile, FACT_CONSENT);
    view->cart_json = profile->cart_json;
    view->lifecycle = labels.lifecycle;
    view->lifecycle_since_ms = labels.lifecycle_since_ms;
    view->tags = labels.tags;
    view->tag_count = labels.tag_count;
    view->segments = labels.segments;
    view->segment_count = labels.segment_count;
    view->tiers_json = tiers_json(arena, &labels);
    view->ruleset_version = profile->ruleset_version;
    view->statistics_version = profile->statistics_version;
    return true;
}

static enum status travel(const struct resource_request *request,
                          const struct profile_reader *reader, struct moment *moment,
                          struct problem *problem)
{
    struct history_side *side = NULL;
    enum status status = read_history(request, moment, &side, problem);
    if (status != STATUS_OK) {
        return status;
    }
    int64_t before_ms = bases_before(side->bases, side->base_count);
    if (moment->at_ms + 1 < before_ms) {
        return too_early(problem, before_ms);
    }
    if (before_ms == INSTANT_NONE && first_fact_ms(side) > moment->at_ms) {
        return bad_instant(problem, "no fact of this profile that early is kept");
    }
    status = read_statistics(request, moment, problem);
    if (status != STATUS_OK) {
        return status;
    }
    moment->ruleset = reader->newest;
    moment->is_stale = false;
    const struct history whole = history_of_side(side, reader->newest, 0);
    const struct as_of as_of = { .at_ms = moment->at_ms,
                                 .known_at_ms = INSTANT_NEVER,
                                 .statistics = moment->statistics,
                                 .currency = reader->workspace->currency };
    if (!profile_as_of(request->arena, moment->profile, &whole, &as_of) ||
        !put_since(request->arena, moment) ||
        !view_profile(request->arena, moment, &moment->whole.view)) {
        return no_memory(problem);
    }
    return STATUS_OK;
}

/* --- both ------------------------------------------------------------------- */

int64_t moment_since(const struct moment *moment, const struct rule *rule, bool holds,
                     struct str value)
{
    bool has_value =
        rule->definition.kind == RULE_KIND_LIFECYCLE || rule->definition.kind == RULE_KIND_TIER;
    if (!moment->is_past && holds) {
        const struct verdict *verdict =
            verdict_find(&moment->profile->verdicts, rule->definition.slot);
        return verdict != NULL && str_equal(verdict->value, value) ? verdict->since_ms
                                                                   : INSTANT_NONE;
    }
    for (size_t i = 0; i < moment->transition_count; i++) {
        const struct transition_view *row = &moment->transitions[i];
        if (!str_equal(row->rule, rule->definition.name)) {
            continue;
        }
        bool same = holds
                        ? row->to_value.size > 0 && (!has_value || str_equal(row->to_value, value))
                        : row->to_value.size == 0;
        return same ? row->occurred_at_ms : INSTANT_NONE;
    }
    return INSTANT_NONE;
}

static enum status read_instant(const struct resource_request *request, struct moment *moment,
                                struct problem *problem)
{
    moment->at_ms = request->now_ms;
    if (request->as_of.size == 0) {
        return STATUS_OK;
    }
    moment->is_past = true;
    if (!instant_parse(request->as_of, true, &moment->at_ms, NULL)) {
        return bad_instant(problem, "as_of is an instant with an offset");
    }
    return moment->at_ms > request->now_ms ? bad_instant(problem, "as_of is in the future")
                                           : STATUS_OK;
}

enum status moment_open(const struct resource_request *request, const struct profile_reader *reader,
                        struct moment *out_moment, struct problem *problem)
{
    struct moment moment = { .statistics = reader->workspace->statistics };
    enum status status = read_instant(request, &moment, problem);
    if (status == STATUS_OK) {
        status = read_whole(request, &moment, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    moment.profile = profile_of_view(request->arena, &moment.whole.view);
    if (moment.profile == NULL) {
        return no_memory(problem);
    }
    int64_t newest = reader->newest != NULL ? reader->newest->version : 0;
    moment.ruleset = profile_reader_ruleset(reader, moment.profile->ruleset_version);
    moment.ruleset = moment.ruleset != NULL ? moment.ruleset : reader->newest;
    moment.is_stale = moment.whole.view.ruleset_version < newest;
    status = read_transitions(request, &moment, problem);
    if (status == STATUS_OK && moment.is_past) {
        status = travel(request, reader, &moment, problem);
    }
    if (status == STATUS_OK) {
        *out_moment = moment;
    }
    return status;
}
