#include "base/instant.h"
#include "decision_priv.h"
#include "message_priv.h"

/*
 * Who hears a bell, under which id, and whether it still should ring.
 *
 * A bell that nobody asked for costs nothing: no id, no snapshot, no row. Whether
 * somebody did is first a question of topics, then of filters, which are asked
 * about the customer at the instant at which the rules were. A customer who just
 * lost an order is the exception: which order is now the last is known only when
 * the batch ends, so his filters wait until then. Measured: a filter of one or two
 * names takes 0.05 to 0.2 us a bell, one that looks through the event's products 12.
 *
 * The id is the hash of the cause (correctness 4): the event, or by time alone the
 * exact instant and both stages, so that an entry, an exit and a second entry
 * are three messages, and a decision made again is the same one. Of a rule's
 * save the cause is the rule, its version and the direction, whenever whoever
 * brings the customer up. A cause older than a day is news to nobody: counted as
 * stale.
 *
 * The profile is kept as it was by copying the struct (its arrays are replaced,
 * never changed), and rendered when the batch ends: one body per id, whatever
 * the next event of the batch does to the customer (correctness 19).
 */

#define BELL_AGE_MS_MAX (24 * INSTANT_HOUR_MS)

struct id bell_id(const struct decision *decision, const struct bell *bell)
{
    struct id_hash hash;
    id_hash_begin(&hash, "notification");
    id_hash_add_id(&hash, decision->context->workspace_id);
    id_hash_add(&hash, bell->topic);
    id_hash_add_id(&hash, bell->profile->id);
    if (bell->trigger != NULL) {
        id_hash_add_id(&hash, bell->trigger->id);
    }
    if (bell->backfill != NULL) {
        id_hash_add_id(&hash, bell->backfill->rule_id);
        id_hash_add_i64(&hash, bell->backfill->version);
        id_hash_add_i64(&hash, bell->transition->has);
        return id_hash_end(&hash);
    }
    if (bell->event != NULL) {
        id_hash_add_id(&hash, bell->event->id);
    } else {
        id_hash_add_i64(&hash, bell->at_ms);
    }
    if (bell->transition != NULL) {
        id_hash_add_id(&hash, bell->transition->rule->definition.id);
        id_hash_add_i64(&hash, bell->transition->has);
        id_hash_add(&hash, bell->transition->from);
        id_hash_add(&hash, bell->transition->to);
    }
    if (bell->merge != NULL) {
        id_hash_add_id(&hash, bell->merge->from_id);
    }
    return id_hash_end(&hash);
}

/* --- who hears it ------------------------------------------------------------ */

static struct str source_name(const struct decide_context *context, struct id source_id)
{
    for (size_t i = 0; i < context->source_count; i++) {
        if (id_equal(context->sources[i].id, source_id)) {
            return context->sources[i].name;
        }
    }
    return (struct str){ 0 };
}

struct rule_subject bell_subject(const struct decision *decision, const struct profile *profile,
                                 const struct event *event, struct property_view *fact)
{
    struct rule_subject subject = {
        .profile = profile,
        .ruleset = judge_ruleset(decision, profile),
        .statistics = decision->context->statistics,
        .currency = decision->context->currency,
    };
    if (event != NULL) {
        property_view_event(fact, event);
        subject.fact = fact;
        subject.source = source_name(decision->context, event->source_id);
    }
    return subject;
}

/* Keeps those whose filter holds of `profile`. */
static void ask_filters(const struct decision *decision, struct hearing *hearing,
                        const struct profile *profile, const struct event *event,
                        const struct transition_row *row)
{
    struct property_view fact = { .is_scanned = false };
    struct rule_subject subject = bell_subject(decision, profile, event, &fact);
    struct rule_transition transition = message_transition(row);
    size_t kept = 0;
    subject.transition = row != NULL ? &transition : NULL;
    for (size_t i = 0; i < hearing->count; i++) {
        const struct rule_program *filter = hearing->listeners[i]->filter;
        if (filter == NULL ||
            rule_evaluate(decision->arena, filter, &subject, hearing->decided_at_ms, NULL)) {
            hearing->listeners[kept++] = hearing->listeners[i];
        }
    }
    hearing->count = kept;
}

bool bell_settle(struct decision *decision, struct pending_bell *bell)
{
    if (bell->hearing.filters_wait) {
        ask_filters(decision, &bell->hearing, &bell->profile, bell->event, bell->transition);
    }
    return bell->hearing.count > 0;
}

static bool may_hear(const struct subscription_interest *interest, struct str topic)
{
    return !interest->is_closed && subscription_wants(interest, topic);
}

/* By topic. */
static struct hearing find_listeners(const struct decision *decision, struct str topic)
{
    const struct decide_context *context = decision->context;
    struct hearing hearing = { .listeners = NULL };
    size_t count = 0;
    for (size_t i = 0; i < context->interest_count; i++) {
        count += may_hear(&context->interests[i], topic) ? 1 : 0;
    }
    if (count == 0) {
        return hearing;
    }
    hearing.listeners =
        ARENA_NEW_ARRAY(decision->arena, count, const struct subscription_interest *);
    for (size_t i = 0; hearing.listeners != NULL && i < context->interest_count; i++) {
        const struct subscription_interest *interest = &context->interests[i];
        if (may_hear(interest, topic)) {
            hearing.listeners[hearing.count++] = interest;
            hearing.has_filter = hearing.has_filter || interest->filter != NULL;
        }
    }
    return hearing;
}

/* The instant of the cause. */
static int64_t created_at_ms(const struct bell *bell)
{
    if (bell->backfill != NULL) {
        return bell->backfill->saved_at_ms;
    }
    return bell->event != NULL ? bell->event->received_at_ms : bell->at_ms;
}

bool bell_is_stale(const struct bell *bell, int64_t now_ms)
{
    int64_t heard_at_ms = bell->event != NULL ? bell->event->received_at_ms : now_ms;
    return bell->cause_at_ms < heard_at_ms - BELL_AGE_MS_MAX;
}

int64_t bell_asked_at_ms(const struct bell *bell, int64_t now_ms)
{
    bool is_timed = bell->event == NULL && bell->backfill == NULL;
    return is_timed ? bell->at_ms : now_ms;
}

static void ask_now_or_later(const struct decision *decision, const struct bell *bell,
                             int64_t now_ms, struct hearing *hearing)
{
    hearing->decided_at_ms = bell_asked_at_ms(bell, now_ms);
    hearing->filters_wait = hearing->has_filter && bell->profile->orders_shrunk;
    if (hearing->has_filter && !hearing->filters_wait) {
        ask_filters(decision, hearing, bell->profile, bell->event, bell->transition);
    }
}

struct hearing bell_hear(const struct decision *decision, const struct bell *bell, int64_t now_ms)
{
    struct hearing hearing = find_listeners(decision, bell->topic);
    ask_now_or_later(decision, bell, now_ms, &hearing);
    return hearing;
}

struct pending_bell *bell_keep(struct decision *decision, const struct bell *bell,
                               const struct hearing *hearing)
{
    struct pending_bell *pending = ARENA_NEW(decision->arena, struct pending_bell);
    if (pending == NULL) {
        return NULL;
    }
    *pending = (struct pending_bell){
        .topic = bell->topic,
        .profile = *bell->profile,
        .live = bell->profile,
        .event = bell->event,
        .at_ms = bell->at_ms,
        .transition = bell->transition,
        .until_ms = bell->until_ms,
        .previous_since_ms = bell->previous_since_ms,
        .merge = bell->merge,
        .backfill = bell->backfill,
        .trigger = bell->trigger,
        .ruleset = judge_ruleset(decision, bell->profile),
        .hearing = *hearing,
        .row = {
            .id = bell_id(decision, bell),
            .created_at_ms = created_at_ms(bell),
            .profile_id = bell->profile->id,
            .event_id = bell->event != NULL ? bell->event->id : ID_ZERO,
            .topic = bell->topic,
            .sequence = bell->profile->sequence,
            .is_backfill = bell->backfill != NULL,
        },
    };
    list_add(decision->arena, &decision->bells, pending);
    return pending;
}

void bell_ring(struct decision *decision, const struct bell *bell, int64_t now_ms)
{
    if (bell->event != NULL && decision->context->is_import) {
        return;
    }
    struct hearing hearing = find_listeners(decision, bell->topic);
    if (hearing.count == 0) {
        return;
    }
    if (bell_is_stale(bell, now_ms)) {
        decision->stale_count++;
        return;
    }
    ask_now_or_later(decision, bell, now_ms, &hearing);
    if (hearing.count > 0) {
        (void)bell_keep(decision, bell, &hearing);
    }
}
