#include "base/buf.h"
#include "base/jsonw.h"
#include "base/limits.h"
#include "fact_priv.h"

/*
 * Which of two claims about one key is believed.
 *
 * Late and repeated webhooks must not undo newer ones, so each claim carries
 * its stamp and the greatest stamp wins: trust first (a page's script never
 * overrules what the shop signed), then when it happened, when we heard it,
 * and the event's id, which makes the order total. For consent a tie in time
 * is a refusal (correctness 7), and a refusal counts as much from a page as from
 * the shop: being wrong in that direction costs one mail. What else a page says of
 * a consent is a grant or waters a refusal down, and yields to anyone's word.
 *
 * Rejected: one updated_at per profile. Two late updates of different keys
 * then erase each other.
 */

const struct fact_identity fact_identities[FACT_IDENTITY_COUNT] = {
    { IDENTITY_EXTERNAL_ID, "external_id" },
    { IDENTITY_EMAIL, "email" },
    { IDENTITY_PHONE, "phone" },
};

int fact_compare_key(const struct profile_fact *a, enum fact_kind kind, struct str key)
{
    if (a->kind != kind) {
        return a->kind < kind ? -1 : 1;
    }
    return str_compare(a->key, key);
}

size_t fact_position(const struct profile_fact *facts, size_t count, enum fact_kind kind,
                     struct str key)
{
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (fact_compare_key(&facts[middle], kind, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static int compare_i64(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static bool is_refusal(const struct profile_fact *fact)
{
    return str_equal(fact->value_json, STR("\"unsubscribed\""));
}

static bool has_weight(const struct profile_fact *fact)
{
    return fact->trust != TRUST_PUBLIC || (fact->kind == FACT_CONSENT && is_refusal(fact));
}

bool fact_wins(const struct profile_fact *a, const struct profile_fact *b)
{
    int order = (int)has_weight(a) - (int)has_weight(b);
    if (order == 0) {
        order = compare_i64(a->occurred_at_ms, b->occurred_at_ms);
    }
    if (order == 0 && a->kind == FACT_CONSENT) {
        order = (int)is_refusal(a) - (int)is_refusal(b);
    }
    if (order == 0) {
        order = compare_i64(a->received_at_ms, b->received_at_ms);
    }
    if (order == 0) {
        order = id_compare(a->event_id, b->event_id);
    }
    if (order == 0) {
        order = str_compare(a->value_json, b->value_json);
    }
    return order > 0;
}

static bool may_say(const struct event *event, enum fact_kind kind, struct str value_json)
{
    bool grants = kind == FACT_CONSENT && str_equal(value_json, STR("\"subscribed\""));
    return !(grants && event->trust == TRUST_PUBLIC);
}

/* Keeps the array sorted and one fact per key. */
static void insert(struct profile_fact *facts, size_t *count, struct profile_fact fact)
{
    size_t position = fact_position(facts, *count, fact.kind, fact.key);
    if (position < *count && fact_compare_key(&facts[position], fact.kind, fact.key) == 0) {
        if (fact_wins(&fact, &facts[position])) {
            facts[position] = fact;
        }
        return;
    }
    for (size_t i = *count; i > position; i--) {
        facts[i] = facts[i - 1];
    }
    facts[position] = fact;
    *count += 1;
}

static struct str json_text(struct arena *arena, struct str value)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, arena, (size_t)8 * LIMIT_TEXT_BYTES);
    jsonw_begin(&json, &buf);
    jsonw_str(&json, value);
    return buf_str(&buf);
}

static bool is_stated(const struct profile_fact *facts, size_t count, enum fact_kind kind,
                      struct str key)
{
    size_t position = fact_position(facts, count, kind, key);
    return position < count && fact_compare_key(&facts[position], kind, key) == 0;
}

/* NULL when the event has none of the kind. */
static const struct identifier *first_of_kind(const struct event *event, enum identity_kind kind)
{
    for (size_t i = 0; i < event->identifier_count; i++) {
        if (event->identifiers[i].kind == kind) {
            return &event->identifiers[i];
        }
    }
    return NULL;
}

static void collect_identities(struct arena *arena, const struct event *event,
                               struct profile_fact stamp, struct profile_fact *facts, size_t *count)
{
    for (size_t i = 0; i < FACT_IDENTITY_COUNT; i++) {
        struct str key = str_from_z(fact_identities[i].key);
        const struct identifier *identifier = first_of_kind(event, fact_identities[i].kind);
        if (identifier != NULL && !is_stated(facts, *count, FACT_TRAIT, key)) {
            stamp.kind = FACT_TRAIT;
            stamp.key = key;
            stamp.value_json = json_text(arena, identifier->value);
            insert(facts, count, stamp);
        }
    }
}

bool fact_collect(struct arena *arena, const struct event *event, struct profile_fact **out_facts,
                  size_t *out_count)
{
    if (event->fact_count == 0 && event->identifier_count == 0) {
        *out_facts = NULL;
        *out_count = 0;
        return true;
    }
    size_t capacity = event->fact_count + FACT_IDENTITY_COUNT;
    struct profile_fact *facts = ARENA_NEW_ARRAY(arena, capacity, struct profile_fact);
    if (facts == NULL) {
        return false;
    }
    struct profile_fact stamp = {
        .trust = event->trust,
        .occurred_at_ms = event->facts_at_ms != 0 ? event->facts_at_ms : event->occurred_at_ms,
        .received_at_ms = event->received_at_ms,
        .event_id = event->id,
    };
    size_t count = 0;
    for (size_t i = 0; i < event->fact_count; i++) {
        const struct event_fact *fact = &event->facts[i];
        if (may_say(event, fact->kind, fact->value_json)) {
            stamp.kind = fact->kind;
            stamp.key = fact->key;
            stamp.value_json = fact->value_json;
            insert(facts, &count, stamp);
        }
    }
    collect_identities(arena, event, stamp, facts, &count);
    *out_facts = facts;
    *out_count = count;
    return !arena_is_full(arena);
}
