#include <assert.h>

#include "decision_priv.h"

/*
 * Rules within a decision: which are asked, what changes, who is told.
 *
 * A rule is asked again only if something it reads changed: a part of the
 * profile, a feature, another rule's verdict, or time. Rules stand in order of
 * dependence, so one pass over a bit set is enough; a changed verdict sets the
 * bits of the rules that read it, which all lie ahead.
 *
 * Invariant: due_at is never later than the first instant at which any verdict
 * can change by time. A rule that is asked lowers it to its own; only a
 * wake-up, which asks all timed rules, or a full judgement raises it
 * (correctness 17). So no `until` is stored.
 *
 * A profile that stands at older rules is decided by those (correctness 11)
 * until somebody can bring it up: here, when the newer rules keep nothing that
 * the older did not; by the background sweep, when history must be read. Rules
 * that read a feature that lost sight of its history keep their old verdict
 * meanwhile.
 */

/* --- which rules -------------------------------------------------------- */

static const struct ruleset *find_ruleset(const struct decide_context *context, int64_t version)
{
    for (size_t i = context->ruleset_count; i > 0; i--) {
        if (context->rulesets[i - 1]->version == version) {
            return context->rulesets[i - 1];
        }
    }
    return NULL;
}

const struct ruleset *judge_ruleset(const struct decision *decision, const struct profile *profile)
{
    return find_ruleset(decision->context, profile->ruleset_version);
}

const struct ruleset *judge_newest(const struct decision *decision)
{
    const struct decide_context *context = decision->context;
    return context->ruleset_count > 0 ? context->rulesets[context->ruleset_count - 1] : NULL;
}

static int64_t statistics_version(const struct decision *decision)
{
    const struct statistics *statistics = decision->context->statistics;
    return statistics != NULL ? statistics->version : 0;
}

void judge_welcome(const struct decision *decision, struct profile *profile)
{
    const struct ruleset *newest = judge_newest(decision);
    profile->ruleset_version = newest != NULL ? newest->version : 0;
    profile->stood_at_version = profile->ruleset_version;
    profile->statistics_version = statistics_version(decision);
}

/* --- one rule ----------------------------------------------------------- */

struct judging {
    struct decision *decision;
    struct profile *profile;
    const struct ruleset *ruleset;
    const struct occasion *occasion;
    struct rule_subject subject;
    struct judgement *judgement;
    int64_t least_until_ms;
};

/* A feature it reads has lost sight of its history: the old verdict stays. */
static bool is_blocked(const struct judging *judging, const struct rule *rule)
{
    if (!judging->profile->needs_history) {
        return false;
    }
    for (size_t i = 0; i < rule->feature_count; i++) {
        const struct feature_state *state =
            feature_find(&judging->profile->features, rule->features[i]);
        if (state != NULL && state->is_incomplete) {
            return true;
        }
    }
    return false;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static struct id transition_id(const struct transition_row *row)
{
    struct id_hash hash;
    id_hash_begin(&hash, "transition");
    id_hash_add_id(&hash, row->rule->definition.id);
    id_hash_add_id(&hash, row->profile_id);
    id_hash_add_i64(&hash, row->had);
    id_hash_add(&hash, row->from);
    id_hash_add_i64(&hash, row->has);
    id_hash_add(&hash, row->to);
    id_hash_add_i64(&hash, row->cause);
    id_hash_add_id(&hash, row->event_id);
    id_hash_add_i64(&hash, row->at_ms);
    return id_hash_end(&hash);
}

static void add_change(struct judging *judging, const struct rule *rule,
                       const struct verdict *before, const struct verdict *after, int64_t until_ms)
{
    struct decision *decision = judging->decision;
    struct transition_row *row = ARENA_NEW(decision->arena, struct transition_row);
    struct verdict_change *change = ARENA_NEW(decision->arena, struct verdict_change);
    if (row == NULL || change == NULL) {
        return;
    }
    const struct occasion *occasion = judging->occasion;
    *row = (struct transition_row){
        .profile_id = judging->profile->id,
        .rule = rule,
        .ruleset_version = judging->ruleset->version,
        .had = before != NULL,
        .has = after != NULL,
        .from = before != NULL ? before->value : (struct str){ 0 },
        .to = after != NULL ? after->value : (struct str){ 0 },
        .cause = occasion->cause,
        .event_id = occasion->event != NULL ? occasion->event->id : ID_ZERO,
        /* A late event ends nothing before it began, and begins nothing before that. */
        .at_ms =
            before != NULL ? later(occasion->true_at_ms, before->since_ms) : occasion->true_at_ms,
        .decided_at_ms = occasion->at_ms,
    };
    row->id = transition_id(row);
    *change = (struct verdict_change){
        .transition = row,
        .until_ms = until_ms,
        .previous_since_ms = before != NULL ? before->since_ms : INSTANT_NONE,
    };
    list_add(decision->arena, &decision->transitions, row);
    list_add(decision->arena, &judging->judgement->changes, change);
}

/* True when the verdict changed. */
static bool judge_rule(struct judging *judging, const struct rule *rule)
{
    struct profile *profile = judging->profile;
    struct arena *arena = judging->decision->arena;
    struct str value = { 0 };
    int64_t until_ms = INSTANT_NEVER;
    bool holds =
        rule_verdict(arena, rule, &judging->subject, judging->occasion->at_ms, &value, &until_ms);
    assert(until_ms > judging->occasion->at_ms);
    if (until_ms < judging->least_until_ms) {
        judging->least_until_ms = until_ms;
    }
    const struct verdict *before = verdict_find(&profile->verdicts, rule->definition.slot);
    if (before == NULL ? !holds : holds && str_equal(before->value, value)) {
        return false;
    }
    struct verdict former = before != NULL ? *before : (struct verdict){ 0 };
    int64_t true_at_ms = judging->occasion->true_at_ms;
    const struct verdict after = { .slot = rule->definition.slot,
                                   .value = value,
                                   .since_ms = before != NULL ? later(true_at_ms, before->since_ms)
                                                              : true_at_ms };
    add_change(judging, rule, before != NULL ? &former : NULL, holds ? &after : NULL, until_ms);
    if (!verdict_put(arena, &profile->verdicts, rule->definition.slot, holds ? &after : NULL)) {
        return false; /* the arena is full, which is said elsewhere */
    }
    return true;
}

/* What the losers of a merge held of a rule, since the earliest of them; NULL: none
 * of them that. `value` NULL: any. */
static const struct verdict *find_inherited(const struct profile *profile, uint32_t slot,
                                            const struct str *value)
{
    const struct verdict *earliest = NULL;
    for (const struct inherited *from = profile->inherited; from != NULL; from = from->next) {
        const struct verdict *verdict = verdict_find(&from->verdicts, slot);
        bool is_it = verdict != NULL && (value == NULL || str_equal(verdict->value, *value)) &&
                     (earliest == NULL || verdict->since_ms < earliest->since_ms);
        earliest = is_it ? verdict : earliest;
    }
    return earliest;
}

/* A rule that cannot be asked until history is read: the old verdict stays, and
 * after a merge that is the loser's too. */
static bool keep_rule(struct judging *judging, const struct rule *rule)
{
    struct profile *profile = judging->profile;
    uint32_t slot = rule->definition.slot;
    const struct verdict *verdict =
        verdict_find(&profile->verdicts, slot) == NULL ? find_inherited(profile, slot, NULL) : NULL;
    if (verdict == NULL) {
        return false;
    }
    add_change(judging, rule, NULL, verdict, INSTANT_NEVER);
    return verdict_put(judging->decision->arena, &profile->verdicts, slot, verdict);
}

/* --- a set of rules ----------------------------------------------------- */

static uint64_t *new_words(struct decision *decision, const struct ruleset *ruleset)
{
    return ARENA_NEW_ARRAY(decision->arena, ruleset->word_count + 1, uint64_t);
}

static void add_bits(uint64_t *words, const struct ruleset *ruleset, struct rule_bits bits)
{
    for (size_t i = 0; i < ruleset->word_count; i++) {
        words[i] |= bits.words[i];
    }
}

/* When many are to be asked, most are about what this customer never did. */
static void leave_silent(const struct judging *judging, uint64_t *words)
{
    enum {
        FEW = 16 /* are asked before it is known which need not be */
    };
    const struct ruleset *ruleset = judging->ruleset;
    size_t count = 0;
    for (size_t w = 0; w < ruleset->word_count; w++) {
        for (uint64_t word = words[w]; word != 0 && count <= FEW; word &= word - 1) {
            count++;
        }
    }
    uint64_t *spare = count > FEW ? new_words(judging->decision, ruleset) : NULL;
    if (spare != NULL) {
        ruleset_leave_silent(ruleset, &judging->profile->features, &judging->profile->verdicts,
                             words, spare);
    }
}

static void judge_words(struct judging *judging, uint64_t *words)
{
    const struct ruleset *ruleset = judging->ruleset;
    for (size_t w = 0; w < ruleset->word_count; w++) {
        uint64_t done = 0;
        while ((words[w] & ~done) != 0) {
            unsigned bit = (unsigned)__builtin_ctzll(words[w] & ~done);
            done |= UINT64_C(1) << bit;
            size_t index = w * 64 + bit;
            const struct rule *rule = &ruleset->rules[index];
            bool changed =
                is_blocked(judging, rule) ? keep_rule(judging, rule) : judge_rule(judging, rule);
            if (changed) {
                add_bits(words, ruleset, ruleset->dependents[index]);
            }
        }
    }
}

/* The first decision of a day (UTC) drops what has passed: often enough to keep
 * states small, and seldom enough to cost nothing. */
static bool begins_day(const struct profile *profile, int64_t at_ms)
{
    return at_ms / INSTANT_DAY_MS != profile->decided_at_ms / INSTANT_DAY_MS;
}

/* Decides the rules in `words` (consumed). `all_timed`: the set has every timed
 * rule, so the least of their instants is the profile's. */
static void judge(struct decision *decision, struct profile *profile, const struct ruleset *ruleset,
                  const struct occasion *occasion, uint64_t *words, bool all_timed,
                  struct judgement *judgement)
{
    struct judging judging = {
        .decision = decision,
        .profile = profile,
        .ruleset = ruleset,
        .occasion = occasion,
        .subject = {
            .profile = profile,
            .ruleset = ruleset,
            .statistics = decision->context->statistics,
            .currency = decision->context->currency,
        },
        .judgement = judgement,
        .least_until_ms = INSTANT_NEVER,
    };
    if (begins_day(profile, occasion->at_ms)) {
        feature_set_prune(&profile->features, ruleset->features, ruleset->feature_count,
                          occasion->at_ms);
    }
    leave_silent(&judging, words);
    judge_words(&judging, words);
    if (all_timed || judging.least_until_ms < profile->due_at_ms) {
        profile->due_at_ms = judging.least_until_ms;
    }
    if (profile->decided_at_ms < occasion->at_ms) {
        profile->decided_at_ms = occasion->at_ms;
    }
    /* A wake-up for nothing writes its next instant and nothing else. */
    if (occasion->cause == CAUSE_TIME && judgement->changes.count == 0) {
        profile->due_moved = true;
    } else {
        profile->is_dirty = true;
    }
}

static void forget_touched(struct profile *profile)
{
    profile->changed_parts = 0;
    profile->touched = NULL;
}

void judge_touched(struct decision *decision, struct profile *profile,
                   const struct occasion *occasion, struct judgement *out_judgement)
{
    *out_judgement = (struct judgement){ 0 };
    const struct ruleset *ruleset = judge_ruleset(decision, profile);
    uint64_t *words = profile->touched;
    if (ruleset == NULL) {
        forget_touched(profile);
        return;
    }
    if (words == NULL) {
        words = new_words(decision, ruleset);
    }
    if (words == NULL) {
        return;
    }
    for (unsigned part = 0; part < RULE_PART_COUNT; part++) {
        if ((profile->changed_parts & (1u << part)) != 0) {
            add_bits(words, ruleset, ruleset->by_part[part]);
        }
    }
    forget_touched(profile);
    judge(decision, profile, ruleset, occasion, words, false, out_judgement);
}

void judge_all(struct decision *decision, struct profile *profile, const struct occasion *occasion,
               struct judgement *out_judgement)
{
    *out_judgement = (struct judgement){ 0 };
    forget_touched(profile);
    const struct ruleset *ruleset = judge_ruleset(decision, profile);
    uint64_t *words = ruleset != NULL ? new_words(decision, ruleset) : NULL;
    if (words != NULL) {
        add_bits(words, ruleset, ruleset->all);
        judge(decision, profile, ruleset, occasion, words, true, out_judgement);
        profile->statistics_version = statistics_version(decision);
    }
}

void judge_timed(struct decision *decision, struct profile *profile,
                 const struct occasion *occasion, struct judgement *out_judgement)
{
    *out_judgement = (struct judgement){ 0 };
    const struct ruleset *ruleset = judge_ruleset(decision, profile);
    uint64_t *words = ruleset != NULL ? new_words(decision, ruleset) : NULL;
    if (words == NULL) {
        profile->due_at_ms = INSTANT_NEVER; /* whoever hydrates it knows again */
        profile->due_moved = true;
        return;
    }
    add_bits(words, ruleset, ruleset->timed);
    judge(decision, profile, ruleset, occasion, words, true, out_judgement);
}

/* --- bells -------------------------------------------------------------- */

static struct str change_topic(const struct transition_row *row)
{
    switch (row->rule->definition.kind) {
    case RULE_KIND_TAG:
        return row->has ? STR("tag.added") : STR("tag.removed");
    case RULE_KIND_SEGMENT:
        return row->has ? STR("segment.entered") : STR("segment.left");
    case RULE_KIND_LIFECYCLE:
        return STR("lifecycle.changed");
    case RULE_KIND_TIER:
        break;
    }
    return STR("tier.changed");
}

static struct bell bell_of(struct profile *profile, const struct verdict_change *change)
{
    return (struct bell){
        .topic = change_topic(change->transition),
        .profile = profile,
        .at_ms = change->transition->at_ms,
        .transition = change->transition,
        .until_ms = change->until_ms,
        .previous_since_ms = change->previous_since_ms,
    };
}

void judge_ring(struct decision *decision, struct profile *profile,
                const struct judgement *judgement, const struct event *event, int64_t cause_at_ms,
                int64_t now_ms)
{
    for (size_t i = 0; i < judgement->changes.count; i++) {
        struct bell bell = bell_of(profile, judgement->changes.items[i]);
        bell.event = event;
        bell.cause_at_ms = cause_at_ms;
        bell_ring(decision, &bell, now_ms);
        fire_transition(decision, &bell, now_ms);
    }
}

/* --- behind ------------------------------------------------------------- */

/* Verdicts of rules that are no more. */
static void drop_orphans(struct decision *decision, struct profile *profile,
                         const struct ruleset *ruleset)
{
    for (size_t i = profile->verdicts.count; i > 0; i--) {
        uint32_t slot = profile->verdicts.items[i - 1].slot;
        if (ruleset_rule_by_slot(ruleset, slot) == NULL &&
            !verdict_put(decision->arena, &profile->verdicts, slot, NULL)) {
            return;
        }
    }
}

/* All rules, once, at now. */
static void settle(struct decision *decision, struct profile *profile,
                   const struct ruleset *ruleset, int64_t now_ms, enum cause_kind cause,
                   struct judgement *out_judgement)
{
    const struct occasion occasion = { .at_ms = now_ms, .true_at_ms = now_ms, .cause = cause };
    drop_orphans(decision, profile, ruleset);
    judge_all(decision, profile, &occasion, out_judgement);
}

static const struct rule_backfill *find_backfill(const struct decision *decision,
                                                 const struct profile *profile, struct id rule_id)
{
    const struct decide_context *context = decision->context;
    for (size_t i = 0; i < context->backfill_count; i++) {
        const struct rule_backfill *backfill = &context->backfills[i];
        if (id_equal(backfill->rule_id, rule_id) && profile->stood_at_version < backfill->version) {
            return backfill;
        }
    }
    return NULL;
}

/* Of what newer rules changed, that of rules whose save asked for it. */
static void ring_backfills(struct decision *decision, struct profile *profile,
                           const struct judgement *judgement, enum cause_kind cause, int64_t now_ms)
{
    for (size_t i = 0; cause == CAUSE_RULE && i < judgement->changes.count; i++) {
        const struct verdict_change *change = judgement->changes.items[i];
        struct bell bell = bell_of(profile, change);
        bell.backfill = find_backfill(decision, profile, change->transition->rule->definition.id);
        if (bell.backfill == NULL) {
            continue;
        }
        if (decision->backfill_count >= decision->context->backfill_bells_max) {
            decision->backfill_held_count++;
            continue;
        }
        size_t rung = decision->bells.count;
        bell.cause_at_ms = bell.backfill->saved_at_ms;
        bell_ring(decision, &bell, now_ms);
        decision->backfill_count += decision->bells.count - rung;
    }
    profile->stood_at_version = profile->ruleset_version;
}

static void bring_to_newest(struct decision *decision, struct profile *profile,
                            const struct ruleset *newest, int64_t now_ms, enum cause_kind cause)
{
    struct judgement judgement;
    profile->ruleset_version = newest->version;
    feature_set_keep(&profile->features, newest->features, newest->feature_count);
    settle(decision, profile, newest, now_ms, cause, &judgement);
    if (judgement.changes.count > 0) {
        profile->sequence++;
        profile->updated_at_ms = now_ms;
    }
    ring_backfills(decision, profile, &judgement, cause, now_ms);
}

void judge_settle(struct decision *decision, struct profile *profile, int64_t now_ms,
                  enum cause_kind cause)
{
    const struct ruleset *ruleset = judge_ruleset(decision, profile);
    struct judgement judgement;
    if (ruleset != NULL) {
        settle(decision, profile, ruleset, now_ms, cause, &judgement);
        ring_backfills(decision, profile, &judgement, cause, now_ms);
    }
}

void judge_bring_up(struct decision *decision, struct profile *profile, int64_t now_ms)
{
    const struct ruleset *newest = judge_newest(decision);
    if (newest == NULL || profile->ruleset_version > newest->version) {
        return; /* another instance knows newer rules: see decision_is_ahead */
    }
    if (profile->ruleset_version < newest->version) {
        const struct ruleset *stands_at = judge_ruleset(decision, profile);
        if (stands_at != NULL && !ruleset_needs_history(stands_at, newest)) {
            bring_to_newest(decision, profile, newest, now_ms, CAUSE_RULE);
        }
    } else if (profile->statistics_version != statistics_version(decision)) {
        bring_to_newest(decision, profile, newest, now_ms, CAUSE_STATISTIC);
    }
}

bool decision_is_ahead(const struct decision *decision)
{
    const struct ruleset *newest = judge_newest(decision);
    int64_t version = newest != NULL ? newest->version : 0;
    for (size_t i = 0; i < decision->profiles.count; i++) {
        const struct profile *profile = decision->profiles.items[i];
        if (profile->ruleset_version > version) {
            return true;
        }
    }
    return false;
}

static bool wants_history(const struct decision *decision, const struct ruleset *newest,
                          const struct profile *profile)
{
    if (!id_is_zero(profile->merged_into) || profile->ruleset_version > newest->version) {
        return false;
    }
    const struct ruleset *stands_at = judge_ruleset(decision, profile);
    return profile->needs_history || stands_at == NULL ||
           (stands_at != newest && ruleset_needs_history(stands_at, newest));
}

size_t decision_wanting_history(const struct decision *decision, struct profile ***out_profiles)
{
    const struct ruleset *newest = judge_newest(decision);
    struct profile **wanting = NULL;
    size_t count = 0;
    for (size_t i = 0; newest != NULL && i < decision->profiles.count; i++) {
        struct profile *profile = decision->profiles.items[i];
        if (!wants_history(decision, newest, profile)) {
            continue;
        }
        if (wanting == NULL) {
            wanting = ARENA_NEW_ARRAY(decision->arena, decision->profiles.count, struct profile *);
        }
        if (wanting == NULL) {
            break;
        }
        wanting[count++] = profile;
    }
    *out_profiles = wanting;
    return count;
}

/* --- merges ------------------------------------------------------------- */

void judge_merge(struct decision *decision, struct profile *profile,
                 const struct occasion *occasion)
{
    struct judgement silent;
    judge_all(decision, profile, occasion, &silent);
    const struct verdict_set now = profile->verdicts;
    for (size_t i = 0; i < now.count && profile->inherited != NULL; i++) {
        struct verdict verdict = now.items[i];
        const struct verdict *theirs = find_inherited(profile, verdict.slot, &verdict.value);
        if (theirs != NULL && theirs->since_ms < verdict.since_ms) {
            verdict.since_ms = theirs->since_ms;
            if (!verdict_put(decision->arena, &profile->verdicts, verdict.slot, &verdict)) {
                return; /* the arena is full, which is said elsewhere */
            }
        }
    }
    profile->inherited = NULL;
}

static void inherit(struct decision *decision, struct profile *survivor,
                    const struct profile *loser)
{
    struct inherited *item = ARENA_NEW(decision->arena, struct inherited);
    if (item == NULL) {
        return;
    }
    *item = (struct inherited){ loser->verdicts, survivor->inherited };
    survivor->inherited = item;
    for (const struct inherited *from = loser->inherited; from != NULL; from = from->next) {
        item = ARENA_NEW(decision->arena, struct inherited);
        if (item != NULL) {
            *item = (struct inherited){ from->verdicts, survivor->inherited };
            survivor->inherited = item;
        }
    }
}

void judge_absorb(struct decision *decision, struct profile *survivor, const struct profile *loser,
                  int64_t now_ms)
{
    inherit(decision, survivor, loser);
    const struct ruleset *ruleset = judge_ruleset(decision, survivor);
    survivor->needs_history = survivor->needs_history || loser->needs_history;
    survivor->is_long = survivor->is_long || loser->is_long;
    if (ruleset == NULL || survivor->ruleset_version != loser->ruleset_version) {
        survivor->needs_history = true;
        return;
    }
    for (size_t i = 0; i < loser->features.count; i++) {
        const struct feature *feature = ruleset_feature(ruleset, loser->features.items[i].number);
        if (feature == NULL) {
            continue;
        }
        if (!feature_absorb(decision->arena, &survivor->features, feature, &loser->features,
                            now_ms)) {
            return; /* the arena is full, which is said elsewhere */
        }
        const struct feature_state *state = feature_find(&survivor->features, feature->number);
        survivor->needs_history =
            survivor->needs_history || (state != NULL && state->is_incomplete);
    }
}
