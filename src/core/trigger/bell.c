#include "base/instant.h"
#include "decision_priv.h"

/*
 * Who hears a bell, under which id, and whether it still should ring.
 *
 * A bell that nobody asked for costs nothing: no id, no snapshot, no row. The
 * id is the hash of the cause (correctness 4): the event, or by time alone the
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

static struct id bell_id(const struct decision *decision, const struct bell *bell)
{
    struct id_hash hash;
    id_hash_begin(&hash, "notification");
    id_hash_add_id(&hash, decision->context->workspace_id);
    id_hash_add(&hash, bell->topic);
    id_hash_add_id(&hash, bell->profile->id);
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

static size_t find_listeners(const struct decision *decision, struct str topic, struct id **out_ids)
{
    const struct decide_context *context = decision->context;
    size_t count = 0;
    for (size_t i = 0; i < context->interest_count; i++) {
        count += subscription_wants(&context->interests[i], topic) ? 1 : 0;
    }
    if (count == 0) {
        return 0;
    }
    struct id *ids = ARENA_NEW_ARRAY(decision->arena, count, struct id);
    if (ids == NULL) {
        return 0;
    }
    count = 0;
    for (size_t i = 0; i < context->interest_count; i++) {
        if (subscription_wants(&context->interests[i], topic)) {
            ids[count++] = context->interests[i].subscription_id;
        }
    }
    *out_ids = ids;
    return count;
}

/* The instant of the cause. */
static int64_t created_at_ms(const struct bell *bell)
{
    if (bell->backfill != NULL) {
        return bell->backfill->saved_at_ms;
    }
    return bell->event != NULL ? bell->event->received_at_ms : bell->at_ms;
}

void bell_ring(struct decision *decision, const struct bell *bell, int64_t now_ms)
{
    if (bell->event != NULL && decision->context->is_import) {
        return;
    }
    struct id *listeners = NULL;
    size_t listener_count = find_listeners(decision, bell->topic, &listeners);
    if (listener_count == 0) {
        return;
    }
    int64_t heard_at_ms = bell->event != NULL ? bell->event->received_at_ms : now_ms;
    if (bell->cause_at_ms < heard_at_ms - BELL_AGE_MS_MAX) {
        decision->stale_count++;
        return;
    }
    struct pending_bell *pending = ARENA_NEW(decision->arena, struct pending_bell);
    if (pending == NULL) {
        return;
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
        .ruleset = judge_ruleset(decision, bell->profile),
        .row = {
            .id = bell_id(decision, bell),
            .created_at_ms = created_at_ms(bell),
            .profile_id = bell->profile->id,
            .event_id = bell->event != NULL ? bell->event->id : ID_ZERO,
            .topic = bell->topic,
            .sequence = bell->profile->sequence,
            .subscription_ids = listeners,
            .subscription_count = listener_count,
            .is_backfill = bell->backfill != NULL,
        },
    };
    list_add(decision->arena, &decision->bells, pending);
}
