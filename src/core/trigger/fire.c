#include <stdlib.h>

#include "base/instant.h"
#include "decision_priv.h"
#include "message_priv.h"

/*
 * Triggers within a decision.
 *
 * A cause fires a trigger where the same event or change rings its own bell: after
 * the event was folded and the rules were asked, so the very order that fires a
 * trigger counts already. What the customer's facts decide (`if`, filters, consent,
 * quiet hours) is asked at once, of the customer as he stands then; what was rung
 * before is asked at the end of the batch, when the shell has locked those rows, all
 * of them in one round trip and only if there is anybody left to ask for.
 *
 * Of several that compete for what a cap leaves the one with the greater priority
 * goes first, then the one decided first.
 *
 * Each cause has one outcome, which is counted, whatever it is: who asks why nobody
 * was told finds a number.
 *
 * Costs: a batch whose events and changes no trigger names looks into one array an
 * event, and takes no memory.
 */

/* --- the customer's gates ------------------------------------------------------ */

/* A condition on what the customer's state does not keep, or lost sight of, cannot be
 * said to hold. */
static bool knows_enough(const struct rule_program *program, const struct profile *profile,
                         const struct ruleset *ruleset)
{
    const struct rule_reads *reads = rule_program_reads(program);
    for (size_t i = 0; i < reads->feature_count; i++) {
        const struct feature_state *state = feature_find(&profile->features, reads->features[i]);
        if (ruleset == NULL || ruleset_feature(ruleset, reads->features[i]) == NULL ||
            (state != NULL && state->is_incomplete)) {
            return false;
        }
    }
    return true;
}

static bool program_holds(const struct decision *decision, const struct rule_program *program,
                          const struct bell *bell, const struct profile *profile, int64_t now_ms)
{
    struct property_view fact = { .is_scanned = false };
    if (program == NULL) {
        return true;
    }
    struct rule_subject subject = bell_subject(decision, profile, bell->event, &fact);
    struct rule_transition transition = message_transition(bell->transition);
    subject.transition = bell->transition != NULL ? &transition : NULL;
    if (bell->concern != NULL) {
        subject.product = bell->concern->product;
        subject.interest = bell->concern->interest;
    }
    return knows_enough(program, profile, subject.ruleset) &&
           rule_evaluate(decision->arena, program, &subject, bell_asked_at_ms(bell, now_ms), NULL);
}

static bool condition_holds(const struct decision *decision, const struct firing *firing,
                            const struct profile *profile)
{
    const struct trigger *trigger = firing->trigger;
    if (trigger->require_history && !decision->context->knows_history) {
        return false;
    }
    /* Of a fact that was put off the audience is asked once more. */
    return program_holds(decision, trigger->audience_program, firing->bell, profile,
                         firing->now_ms) &&
           program_holds(decision, trigger->program, firing->bell, profile, firing->now_ms);
}

static bool has_consent(const struct trigger *trigger, const struct profile *profile,
                        struct arena *arena)
{
    const char *channel = trigger->channel.size > 0 ? str_dup_z(arena, trigger->channel) : NULL;
    return channel == NULL ||
           str_equal(profile_fact_value(profile, FACT_CONSENT, channel), STR("\"subscribed\""));
}

static const struct zone *zone_of(const struct decision *decision, const struct trigger *trigger,
                                  const struct profile *profile)
{
    const struct decide_context *context = decision->context;
    struct str name = trigger->quiet.zone;
    if (context->find_zone == NULL) {
        return NULL;
    }
    if (str_equal(name, STR("profile"))) {
        struct str trait = profile_fact_value(profile, FACT_TRAIT, "time_zone");
        name = trait.size > 2 && trait.data[0] == '"' ? str_take(str_drop(trait, 1), trait.size - 2)
                                                      : context->time_zone;
    }
    const char *name_z = str_dup_z(decision->arena, name);
    const struct zone *zone = name_z != NULL ? context->find_zone(name_z) : NULL;
    const char *own_z = zone == NULL ? str_dup_z(decision->arena, context->time_zone) : NULL;
    return own_z != NULL ? context->find_zone(own_z) : zone;
}

/* All but the condition. */
static enum trigger_outcome ask_facts(struct decision *decision, struct firing *firing,
                                      const struct profile *profile)
{
    const struct trigger *trigger = firing->trigger;
    if (firing->pending == NULL) {
        return OUTCOME_UNHEARD;
    }
    if (!has_consent(trigger, profile, decision->arena)) {
        return OUTCOME_NO_CONSENT;
    }
    if (trigger->expires_ms > 0 && firing->now_ms >= firing->bell->at_ms + trigger->expires_ms) {
        return OUTCOME_EXPIRED;
    }
    const struct zone *zone = trigger->quiet.is_set ? zone_of(decision, trigger, profile) : NULL;
    int64_t until_ms = gates_quiet_until_ms(&trigger->quiet, zone, firing->now_ms);
    if (until_ms != INSTANT_NONE && !trigger->quiet.drops) {
        firing->due_at_ms = until_ms;
        return OUTCOME_WAITING;
    }
    return until_ms != INSTANT_NONE ? OUTCOME_QUIET : OUTCOME_OPEN;
}

static void stop(struct firing *firing, enum trigger_outcome outcome)
{
    firing->outcome = outcome;
    if (firing->pending != NULL) {
        firing->pending->is_silent = true;
    }
}

/* Who is not stopped keeps his place among the bells, in the order of decision. */
static void ask(struct decision *decision, struct firing *firing, const struct profile *profile)
{
    enum trigger_outcome outcome = ask_facts(decision, firing, profile);
    if (outcome != OUTCOME_OPEN) {
        stop(firing, outcome);
    }
}

/* --- firing ------------------------------------------------------------------ */

static struct firing *firing_create(struct decision *decision, const struct trigger *trigger,
                                    const struct bell *of, int64_t now_ms)
{
    struct firing *firing = ARENA_NEW(decision->arena, struct firing);
    struct bell *bell = ARENA_NEW(decision->arena, struct bell);
    if (firing == NULL || bell == NULL) {
        return NULL;
    }
    *bell = *of;
    bell->topic = trigger->topic;
    bell->trigger = trigger;
    *firing = (struct firing){ .trigger = trigger,
                               .bell = bell,
                               .profile = of->profile,
                               .now_ms = now_ms,
                               .id = bell_id(decision, bell),
                               .asks_late = of->profile->orders_shrunk };
    list_add(decision->arena, &decision->firings, firing);
    return firing;
}

static void ask_all(struct decision *decision, struct firing *firing)
{
    const struct trigger *trigger = firing->trigger;
    const struct bell *bell = firing->bell;
    if (!firing->asks_late && !condition_holds(decision, firing, bell->profile)) {
        firing->outcome = OUTCOME_FILTERED;
        return;
    }
    struct hearing hearing = bell_hear(decision, bell, firing->now_ms);
    firing->pending = hearing.count > 0 ? bell_keep(decision, bell, &hearing) : NULL;
    if (firing->pending != NULL) {
        firing->pending->row.id = firing->id;
        firing->pending->row.expires_at_ms =
            trigger->expires_ms > 0 ? bell->at_ms + trigger->expires_ms : 0;
    }
    if (!firing->asks_late) {
        ask(decision, firing, bell->profile);
    }
}

/* NULL: the arena is full, which is said elsewhere. */
static struct firing *fire(struct decision *decision, const struct trigger *trigger,
                           const struct bell *of, int64_t now_ms)
{
    struct firing *firing = firing_create(decision, trigger, of, now_ms);
    if (firing == NULL) {
        return NULL;
    }
    const struct bell *bell = firing->bell;
    if ((bell->event != NULL && decision->context->is_import) || bell_is_stale(bell, now_ms)) {
        firing->outcome = OUTCOME_STALE;
    } else if (trigger->wait_ms > 0) {
        firing->outcome = OUTCOME_WAITING;
        firing->due_at_ms = bell->at_ms + trigger->wait_ms;
    } else {
        ask_all(decision, firing);
    }
    return firing;
}

void fire_event(struct decision *decision, const struct bell *bell, int64_t now_ms)
{
    const struct trigger_set *set = decision->context->triggers;
    if (set == NULL) {
        return;
    }
    enum event_type type = bell->event->type;
    for (size_t i = 0; i < set->by_event_count[type]; i++) {
        const struct trigger *trigger = set->by_event[type][i];
        if (type != EVENT_CUSTOM || str_equal(trigger->what, bell->event->name)) {
            (void)fire(decision, trigger, bell, now_ms);
        }
    }
}

static bool is_meant(const struct trigger *trigger, const struct transition_row *row)
{
    switch (trigger->when) {
    case TRIGGER_EVENT:
    case TRIGGER_UNIVERSAL:
        return false;
    case TRIGGER_ENTERS:
        return row->has;
    case TRIGGER_LEAVES:
        return !row->has;
    case TRIGGER_CHANGES:
        break;
    }
    return (trigger->from.size == 0 || str_equal(trigger->from, row->from)) &&
           (trigger->to.size == 0 || str_equal(trigger->to, row->to));
}

void fire_transition(struct decision *decision, const struct bell *bell, int64_t now_ms)
{
    const struct trigger_set *set = decision->context->triggers;
    if (set == NULL) {
        return;
    }
    size_t count = 0;
    const struct trigger *const *triggers =
        trigger_set_of_rule(set, bell->transition->rule->definition.slot, &count);
    for (size_t i = 0; i < count; i++) {
        if (is_meant(triggers[i], bell->transition)) {
            (void)fire(decision, triggers[i], bell, now_ms);
        }
    }
}

/* --- facts about the world ----------------------------------------------------- */

struct id decide_universal_id(struct id workspace_id, const struct trigger *trigger,
                              struct id fact_id, struct id profile_id)
{
    const struct decide_context context = { .workspace_id = workspace_id };
    const struct decision decision = { .context = &context };
    struct profile profile = { .id = profile_id };
    const struct event fact = { .id = fact_id };
    const struct bell bell = {
        .topic = trigger->topic, .profile = &profile, .event = &fact, .trigger = trigger
    };
    return bell_id(&decision, &bell);
}

enum status decide_universal(struct decision *decision, struct profile *profile,
                             const struct trigger *trigger, const struct event *fact,
                             const struct concern *concern, int64_t expires_at_ms, int64_t now_ms,
                             bool *out_is_concerned)
{
    const struct bell bell = {
        .profile = profile,
        .event = fact,
        .cause_at_ms = fact->occurred_at_ms,
        .at_ms = fact->received_at_ms,
        .concern = concern,
    };
    decide_step(decision, profile, now_ms);
    *out_is_concerned = program_holds(decision, trigger->audience_program, &bell, profile, now_ms);
    struct firing *firing = *out_is_concerned ? fire(decision, trigger, &bell, now_ms) : NULL;
    if (firing != NULL && firing->pending != NULL && expires_at_ms > 0) {
        int64_t own_ms = firing->pending->row.expires_at_ms;
        firing->pending->row.expires_at_ms =
            own_ms > 0 && own_ms < expires_at_ms ? own_ms : expires_at_ms;
    }
    return arena_is_full(decision->arena) ? STATUS_LIMIT : STATUS_OK;
}

/* --- what waited ------------------------------------------------------------- */

/* The change as it was; NULL: its rule is no more, or the arena is full. */
static const struct transition_row *change_of(struct decision *decision,
                                              const struct profile *profile,
                                              const struct waiting_row *waiting)
{
    const struct ruleset *ruleset = judge_ruleset(decision, profile);
    ruleset = ruleset != NULL ? ruleset : judge_newest(decision);
    const struct rule *rule =
        ruleset != NULL ? ruleset_rule_by_slot(ruleset, waiting->rule_slot) : NULL;
    struct transition_row *row =
        rule != NULL ? ARENA_NEW(decision->arena, struct transition_row) : NULL;
    if (row != NULL) {
        *row = (struct transition_row){
            .profile_id = profile->id,
            .rule = rule,
            .had = waiting->had,
            .has = waiting->has,
            .from = waiting->from,
            .to = waiting->to,
            .cause = waiting->event != NULL ? CAUSE_EVENT : CAUSE_TIME,
            .event_id = waiting->event != NULL ? waiting->event->id : ID_ZERO,
            .at_ms = waiting->at_ms,
        };
    }
    return row;
}

/* The bell of a cause that waited is of the instant at which it was due: a repeat
 * meets the same key, and the customer is as he is then. */
static void fire_waited(struct decision *decision, const struct trigger *trigger,
                        struct profile *profile, const struct waiting_row *waiting, int64_t now_ms)
{
    const struct bell bell = {
        .profile = profile,
        .event = waiting->event,
        .cause_at_ms = waiting->due_at_ms,
        .at_ms = waiting->due_at_ms,
        .transition = waiting->is_change ? change_of(decision, profile, waiting) : NULL,
        .until_ms = INSTANT_NEVER,
        .previous_since_ms = waiting->previous_since_ms,
        .concern = waiting->concern,
    };
    if (waiting->is_change && bell.transition == NULL) {
        return;
    }
    struct firing *firing = firing_create(decision, trigger, &bell, now_ms);
    if (firing == NULL) {
        return; /* the arena is full, which is said elsewhere */
    }
    firing->id = waiting->id;
    if (waiting->due_at_ms < now_ms - INSTANT_DAY_MS) {
        firing->outcome = OUTCOME_STALE;
        return;
    }
    ask_all(decision, firing);
    if (firing->pending != NULL) {
        firing->pending->row.created_at_ms = waiting->due_at_ms;
    }
}

enum status decide_waiting(struct decision *decision, struct profile *profile,
                           const struct waiting_row *waiting, int64_t now_ms)
{
    const struct trigger_set *set = decision->context->triggers;
    const struct trigger *trigger = set != NULL ? trigger_set_find(set, waiting->trigger_id) : NULL;
    struct waiting_row *done = ARENA_NEW(decision->arena, struct waiting_row);
    if (done == NULL) {
        return STATUS_LIMIT;
    }
    *done = *waiting;
    list_add(decision->arena, &decision->waited, done);
    decide_step(decision, profile, now_ms);
    if (trigger != NULL) { /* else it was deleted, or rests */
        fire_waited(decision, trigger, profile, waiting, now_ms);
    }
    return arena_is_full(decision->arena) ? STATUS_LIMIT : STATUS_OK;
}

/* --- the record's gates --------------------------------------------------------- */

enum record {
    RECORD_PROFILE,
    RECORD_PART,
    RECORD_TOTAL,
    RECORD_CHANNEL,
    RECORD_COUNT,
};

static const struct trigger_cap *channel_cap(const struct decision *decision, struct str channel)
{
    const struct decide_context *context = decision->context;
    for (size_t i = 0; i < context->channel_cap_count; i++) {
        if (str_equal(context->channel_caps[i].channel, channel)) {
            return &context->channel_caps[i].cap;
        }
    }
    return NULL;
}

/* Which of the customer's things a cooldown is about: "<source>/<id>"; of a cause
 * without one, all of them. */
static struct str part_of(const struct decision *decision, const struct firing *firing)
{
    const struct event *event = firing->bell->event;
    struct property_view fact = { .is_scanned = false };
    struct rule_value id = { .type = RULE_NULL };
    char source[ID_TEXT_SIZE];
    if (event == NULL) {
        return STR("");
    }
    property_view_event(&fact, event);
    if (firing->trigger->cooldown_per == TRIGGER_PER_VARIANT) {
        id = property_get(decision->arena, &fact, STR("variant_id"));
    }
    struct str text = id.type == RULE_TEXT ? id.text : event->product_id;
    id_format(event->source_id, source);
    return text.size > 0
               ? str_printf(decision->arena, "%s/%.*s", source, STR_ARG(str_take_text(text, 200)))
               : STR("");
}

/* The keys that the trigger's gates ask: of a test none. */
static bool key_of(const struct decision *decision, const struct firing *firing, enum record record,
                   struct rung_key *out_key)
{
    const struct trigger *trigger = firing->trigger;
    struct id profile_id = decision_canonical_id(decision, firing->profile->id);
    *out_key = (struct rung_key){ .trigger_id = rung_trigger_id(trigger->id, trigger->mode),
                                  .profile_id = profile_id };
    if (trigger->mode == TRIGGER_TEST) {
        return false;
    }
    switch (record) {
    case RECORD_PROFILE:
        return trigger->once || trigger->profile_cap.count > 0 ||
               (trigger->cooldown_ms > 0 && trigger->cooldown_per == TRIGGER_PER_PROFILE);
    case RECORD_PART:
        out_key->part = part_of(decision, firing);
        return trigger->cooldown_ms > 0 && trigger->cooldown_per != TRIGGER_PER_PROFILE;
    case RECORD_TOTAL:
        out_key->profile_id = ID_ZERO;
        return trigger->total_cap.count > 0;
    case RECORD_CHANNEL:
        out_key->trigger_id = ID_ZERO;
        out_key->part = trigger->channel;
        return trigger->channel.size > 0 && channel_cap(decision, trigger->channel) != NULL;
    case RECORD_COUNT:
        break;
    }
    return false;
}

/* An order went: what the customer's gates say of those that remain. */
static void ask_late(struct decision *decision, struct firing *firing)
{
    if (firing->pending != NULL) {
        render_extremes(firing->pending);
    }
    if (!condition_holds(decision, firing, firing->profile)) {
        stop(firing, OUTCOME_FILTERED);
    } else if (firing->pending != NULL && !bell_settle(decision, firing->pending)) {
        stop(firing, OUTCOME_UNHEARD);
    } else {
        ask(decision, firing, firing->profile);
    }
}

static void want_record(struct decision *decision, const struct firing *firing)
{
    for (int record = 0; record < RECORD_COUNT; record++) {
        struct rung_key key;
        if (key_of(decision, firing, (enum record)record, &key)) {
            (void)decision_add_rung(decision, &key);
        }
    }
}

void fire_close(struct decision *decision)
{
    for (size_t i = 0; i < decision->firings.count; i++) {
        struct firing *firing = decision->firings.items[i];
        if (firing->asks_late && firing->outcome == OUTCOME_OPEN) {
            ask_late(decision, firing);
        }
        if (firing->outcome == OUTCOME_OPEN) {
            want_record(decision, firing);
        }
    }
}

static int compare_key(const void *a, const void *b)
{
    const struct rung_slot *left = *(const struct rung_slot *const *)a;
    const struct rung_slot *right = *(const struct rung_slot *const *)b;
    int order = id_compare(left->key.trigger_id, right->key.trigger_id);
    order = order != 0 ? order : id_compare(left->key.profile_id, right->key.profile_id);
    return order != 0 ? order : str_compare(left->key.part, right->key.part);
}

enum status decision_rung_keys(struct decision *decision, const struct rung_key **out_keys,
                               size_t *out_count)
{
    enum status status = decision_close(decision);
    size_t count = decision->rungs.count;
    struct rung_key *keys =
        status == STATUS_OK ? ARENA_NEW_ARRAY(decision->arena, count + 1, struct rung_key) : NULL;
    if (keys == NULL) {
        return status == STATUS_OK ? STATUS_LIMIT : status;
    }
    if (count > 0) {
        /* Pointers are what is sorted. NOLINTNEXTLINE(bugprone-sizeof-expression) */
        qsort(decision->rungs.items, count, sizeof(void *), compare_key);
    }
    for (size_t i = 0; i < count; i++) {
        keys[i] = ((const struct rung_slot *)decision->rungs.items[i])->key;
    }
    decision->knows_rungs = true;
    *out_keys = keys;
    *out_count = count;
    return STATUS_OK;
}

bool decision_put_rung(struct decision *decision, size_t index, struct id profile_id,
                       const struct rung *rung)
{
    struct rung_slot *slot = decision->rungs.items[index];
    if (id_equal(profile_id, slot->key.profile_id)) {
        slot->own = *rung;
        slot->seen.window_at_ms = rung->window_at_ms;
        slot->seen.window_count = rung->window_count;
    }
    return rung_join(decision->arena, &slot->seen, rung);
}

static bool spend(struct decision *decision, struct rung_slot *slot, const struct firing *firing,
                  size_t keep, int64_t window_ms)
{
    slot->is_dirty = true;
    return rung_add(decision->arena, &slot->own, firing->now_ms, keep, window_ms) &&
           rung_add(decision->arena, &slot->seen, firing->now_ms, keep, window_ms);
}

/* What the gates ask, by record; those that the trigger does not ask stay NULL. */
static void find_record(const struct decision *decision, const struct firing *firing,
                        struct rung_slot **slots)
{
    for (int record = 0; record < RECORD_COUNT; record++) {
        struct rung_key key;
        slots[record] = key_of(decision, firing, (enum record)record, &key)
                            ? decision_find_rung(decision, &key)
                            : NULL;
    }
}

static const struct rung *seen_of(const struct rung_slot *slot)
{
    return slot != NULL ? &slot->seen : NULL;
}

/* Who is held out is recorded as if he had been rung; a draft spends nothing of what
 * others may use. */
static void spend_all(struct decision *decision, const struct firing *firing,
                      struct rung_slot *const *slots, size_t channel_keep)
{
    const struct trigger *trigger = firing->trigger;
    bool is_heard = firing->outcome == OUTCOME_NOTIFIED;
    bool is_recorded = is_heard || firing->outcome == OUTCOME_HELD_OUT;
    const struct {
        bool spends;
        size_t keep;
        int64_t window_ms;
    } how[RECORD_COUNT] = {
        [RECORD_PROFILE] = { is_recorded, (size_t)trigger->profile_cap.count, 0 },
        [RECORD_PART] = { is_recorded, 0, 0 },
        [RECORD_TOTAL] = { is_heard, 0, trigger->total_cap.per_ms },
        [RECORD_CHANNEL] = { is_heard && trigger->mode != TRIGGER_DRAFT, channel_keep, 0 },
    };
    for (int i = 0; i < RECORD_COUNT; i++) {
        if (slots[i] != NULL && how[i].spends &&
            !spend(decision, slots[i], firing, how[i].keep, how[i].window_ms)) {
            return; /* the arena is full, which is said elsewhere */
        }
    }
}

static void settle_firing(struct decision *decision, struct firing *firing)
{
    const struct trigger *trigger = firing->trigger;
    struct rung_slot *slots[RECORD_COUNT];
    const struct trigger_cap *cap = channel_cap(decision, trigger->channel);
    find_record(decision, firing, slots);
    const struct gates_record record = {
        .profile = seen_of(slots[RECORD_PROFILE]),
        .part = seen_of(slots[RECORD_PART]),
        .total = seen_of(slots[RECORD_TOTAL]),
        .channel = seen_of(slots[RECORD_CHANNEL]),
        .channel_cap = cap != NULL ? *cap : (struct trigger_cap){ 0 },
    };
    struct id profile_id = decision_canonical_id(decision, firing->profile->id);
    bool is_held_out = trigger->mode != TRIGGER_TEST &&
                       gates_holds_out(trigger, decision->context->workspace_id, profile_id);
    firing->outcome = gates_ask(trigger, &record, firing->now_ms, is_held_out);
    spend_all(decision, firing, slots, (size_t)record.channel_cap.count);
    firing->pending->is_silent =
        firing->outcome != OUTCOME_NOTIFIED || trigger->mode == TRIGGER_DRAFT;
}

static int compare_priority(const void *a, const void *b)
{
    const struct firing *const *left = a;
    const struct firing *const *right = b;
    if ((*left)->trigger->priority != (*right)->trigger->priority) {
        return (*left)->trigger->priority > (*right)->trigger->priority ? -1 : 1;
    }
    return (*left)->order < (*right)->order ? -1 : 1;
}

void fire_settle(struct decision *decision)
{
    size_t count = decision->firings.count;
    struct firing **open =
        count > 0 ? ARENA_NEW_ARRAY(decision->arena, count, struct firing *) : NULL;
    size_t filled = 0;
    for (size_t i = 0; open != NULL && i < count; i++) {
        struct firing *firing = decision->firings.items[i];
        firing->order = i;
        if (firing->outcome == OUTCOME_OPEN) {
            open[filled++] = firing;
        }
    }
    if (filled > 1) {
        /* Pointers are what is sorted. NOLINTNEXTLINE(bugprone-sizeof-expression) */
        qsort(open, filled, sizeof(*open), compare_priority);
    }
    for (size_t i = 0; i < filled; i++) {
        settle_firing(decision, open[i]);
    }
}

/* --- rows -------------------------------------------------------------------- */

static void count_outcome(struct decision_rows *rows, const struct firing *firing, int64_t at_ms)
{
    for (size_t i = 0; i < rows->outcome_count; i++) {
        struct outcome_row *row = &rows->outcomes[i];
        if (row->outcome == firing->outcome && id_equal(row->trigger_id, firing->trigger->id)) {
            row->count++;
            return;
        }
    }
    rows->outcomes[rows->outcome_count++] = (struct outcome_row){
        .trigger_id = firing->trigger->id,
        .at_ms = at_ms,
        .mode = firing->trigger->mode,
        .outcome = firing->outcome,
        .count = 1,
    };
}

static void add_waiting(struct decision *decision, struct decision_rows *rows,
                        const struct firing *firing)
{
    const struct bell *bell = firing->bell;
    const struct transition_row *change = bell->transition;
    struct waiting_row *row = &rows->waitings[rows->waiting_count++];
    *row = (struct waiting_row){
        .id = firing->id,
        .due_at_ms = firing->due_at_ms,
        .trigger_id = firing->trigger->id,
        .profile_id = decision_canonical_id(decision, firing->profile->id),
        .at_ms = bell->at_ms,
        .event = bell->event,
        .is_change = change != NULL,
        .previous_since_ms = bell->previous_since_ms,
    };
    if (change != NULL) {
        row->at_ms = change->at_ms;
        row->rule_slot = change->rule->definition.slot;
        row->had = change->had;
        row->has = change->has;
        row->from = change->from;
        row->to = change->to;
    }
}

static bool finish_waiting(struct decision *decision, struct decision_rows *rows)
{
    size_t waited = decision->waited.count;
    rows->waitings =
        ARENA_NEW_ARRAY(decision->arena, decision->firings.count + 1, struct waiting_row);
    rows->waited = ARENA_NEW_ARRAY(decision->arena, waited + 1, struct waiting_row);
    if (rows->waitings == NULL || rows->waited == NULL) {
        return false;
    }
    for (size_t i = 0; i < decision->firings.count; i++) {
        const struct firing *firing = decision->firings.items[i];
        if (firing->outcome == OUTCOME_WAITING) {
            add_waiting(decision, rows, firing);
        }
    }
    for (size_t i = 0; i < waited; i++) {
        rows->waited[rows->waited_count++] = *(const struct waiting_row *)decision->waited.items[i];
    }
    return true;
}

bool fire_finish(struct decision *decision, int64_t recorded_at_ms, struct decision_rows *rows)
{
    if (decision->firings.count == 0 && decision->waited.count == 0) {
        return true;
    }
    rows->outcomes =
        ARENA_NEW_ARRAY(decision->arena, decision->firings.count + 1, struct outcome_row);
    rows->rungs = ARENA_NEW_ARRAY(decision->arena, decision->rungs.count + 1, struct rung_row);
    if (rows->outcomes == NULL || rows->rungs == NULL || !finish_waiting(decision, rows)) {
        return false;
    }
    for (size_t i = 0; i < decision->firings.count; i++) {
        const struct firing *firing = decision->firings.items[i];
        if (firing->outcome != OUTCOME_WAITING) {
            count_outcome(rows, firing, recorded_at_ms);
        }
    }
    for (size_t i = 0; i < decision->rungs.count; i++) {
        const struct rung_slot *slot = decision->rungs.items[i];
        if (slot->is_dirty) {
            rows->rungs[rows->rung_count++] =
                (struct rung_row){ .key = slot->key, .rung = slot->own };
        }
    }
    return true;
}
