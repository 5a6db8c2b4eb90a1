#include "core/profile/base.h"

#include "base/instant.h"
#include "binary_priv.h"
#include "core/profile/hydrate.h"
#include "core/rule/ruleset.h"

/*
 * The fold is the one that hydrate has, and the bytes are those of a profile's
 * state, with the seen times before them that a profile has in columns.
 *
 * Pruned to the last instant at which its facts may have happened, not to now:
 * whoever asks for that one or any later needs what was in a window then.
 *
 * A base belongs to an origin, as its facts did, so that a merge is still an
 * edge and can be taken back. Rejected: one base a profile, which could not be
 * divided again. Rejected: folding orders too; their rows are kept, and may
 * still change.
 *
 * A feature that comes after its facts were folded starts from what is kept.
 * The steps say which those are: a staircase, since a step below an earlier one
 * says nothing new. Sixteen are enough for years of edited rules; where they are
 * not, the two oldest become one, which claims less than is known.
 */

enum {
    BASE_VERSION = 1
};

void base_init(struct profile_base *base, struct id origin_id)
{
    *base = (struct profile_base){ .origin_id = origin_id,
                                   .before_ms = INSTANT_NONE,
                                   .received_ms = INSTANT_NONE };
    profile_init(&base->facts, origin_id, 0);
}

static void add_step(struct profile_base *base, struct base_step step)
{
    size_t place = 0;
    while (place < base->step_count && base->steps[place].ruleset_version < step.ruleset_version) {
        place++;
    }
    if (place > 0 && base->steps[place - 1].before_ms >= step.before_ms) {
        return;
    }
    /* Those of the same rules and later ones that reach no further go. */
    size_t end = place;
    while (end < base->step_count && base->steps[end].before_ms <= step.before_ms) {
        end++;
    }
    if (end < base->step_count && base->steps[end].ruleset_version == step.ruleset_version) {
        return;
    }
    struct base_step steps[BASE_STEPS_MAX + 1];
    size_t count = 0;
    for (size_t i = 0; i < place; i++) {
        steps[count++] = base->steps[i];
    }
    steps[count++] = step;
    for (size_t i = end; i < base->step_count; i++) {
        steps[count++] = base->steps[i];
    }
    size_t first = count > BASE_STEPS_MAX ? 1 : 0;
    if (first > 0) {
        steps[1].ruleset_version = steps[0].ruleset_version;
    }
    base->step_count = count - first;
    for (size_t i = 0; i < base->step_count; i++) {
        base->steps[i] = steps[first + i];
    }
}

static bool has_id(const struct id *ids, size_t count, struct id id)
{
    for (size_t i = 0; i < count; i++) {
        if (id_equal(ids[i], id)) {
            return true;
        }
    }
    return false;
}

bool bases_own_cart(const struct profile_base *bases, size_t count, struct id event_id)
{
    for (size_t i = 0; i < count; i++) {
        if (has_id(bases[i].cart_event_ids, bases[i].cart_count, event_id)) {
            return true;
        }
    }
    return false;
}

static bool note_carts(struct arena *arena, struct profile_base *base,
                       const struct base_facts *facts)
{
    struct id *ids = ARENA_NEW_ARRAY(arena, base->cart_count + facts->cart_count + 1, struct id);
    size_t count = 0;
    if (ids == NULL) {
        return false;
    }
    /* Only those that still stand. */
    for (size_t i = 0; i < base->cart_count; i++) {
        if (has_id(facts->cart_event_ids, facts->cart_count, base->cart_event_ids[i])) {
            ids[count++] = base->cart_event_ids[i];
        }
    }
    for (size_t i = 0; i < facts->event_count; i++) {
        struct id id = facts->events[i].id;
        if (has_id(facts->cart_event_ids, facts->cart_count, id) && !has_id(ids, count, id)) {
            ids[count++] = id;
        }
    }
    base->cart_event_ids = ids;
    base->cart_count = count;
    return true;
}

static void note_events(struct profile_base *base, const struct base_facts *facts)
{
    for (size_t i = 0; i < facts->event_count; i++) {
        int64_t received_ms = facts->events[i].received_at_ms;
        base->received_ms = received_ms > base->received_ms ? received_ms : base->received_ms;
    }
    base->fact_count += (int64_t)facts->event_count;
}

bool base_fold(struct arena *arena, struct profile_base *base, const struct base_facts *facts)
{
    if (facts->event_count == 0) {
        return true;
    }
    if (facts->before_ms > base->before_ms) {
        base->before_ms = facts->before_ms;
    }
    const struct history history = { .events = facts->events,
                                     .event_count = facts->event_count,
                                     .ruleset = facts->ruleset,
                                     .now_ms = base->before_ms - 1 };
    const struct ruleset *ruleset = facts->ruleset;
    feature_set_keep(&base->facts.features, ruleset->features, ruleset->feature_count);
    feature_set_prune(&base->facts.features, ruleset->features, ruleset->feature_count,
                      history.now_ms);
    if (!hydrate_fold(arena, &base->facts, &history) || !note_carts(arena, base, facts)) {
        return false;
    }
    base->facts.touched = NULL;
    note_events(base, facts);
    add_step(base, (struct base_step){ ruleset->version, facts->before_ms });
    return true;
}

/* --- bytes --------------------------------------------------------------------- */

enum {
    BASE_BYTES_MAX = 4 * 1024 * 1024,
    STEP_SIZE_MIN = 2,
};

bool base_encode(struct arena *arena, const struct profile_base *base, struct str *out_bytes)
{
    struct buf buf;
    struct str state = { 0 };
    if (!profile_state_encode(arena, &base->facts, &state)) {
        return false;
    }
    buf_init(&buf, arena, BASE_BYTES_MAX);
    buf_add_char(&buf, BASE_VERSION);
    binary_put_i64(&buf, base->before_ms);
    binary_put_i64(&buf, base->received_ms);
    binary_put_i64(&buf, base->fact_count);
    binary_put_i64(&buf, base->facts.first_seen_at_ms);
    binary_put_i64(&buf, base->facts.last_seen_at_ms);
    binary_put_i64(&buf, base->facts.signed_up_at_ms);
    binary_put_u64(&buf, base->step_count);
    for (size_t i = 0; i < base->step_count; i++) {
        binary_put_i64(&buf, base->steps[i].ruleset_version);
        binary_put_i64(&buf, base->steps[i].before_ms);
    }
    binary_put_u64(&buf, base->cart_count);
    for (size_t i = 0; i < base->cart_count; i++) {
        binary_put_id(&buf, base->cart_event_ids[i]);
    }
    buf_add_str(&buf, state);
    if (buf.failed) {
        return false;
    }
    *out_bytes = buf_str(&buf);
    return true;
}

static void get_steps(struct binary_reader *reader, struct profile_base *base)
{
    base->step_count = binary_get_count(reader, STEP_SIZE_MIN);
    if (base->step_count > BASE_STEPS_MAX) {
        reader->failed = true;
        return;
    }
    for (size_t i = 0; i < base->step_count; i++) {
        struct base_step *step = &base->steps[i];
        step->ruleset_version = binary_get_i64(reader);
        step->before_ms = binary_get_i64(reader);
        bool ascends = i == 0 || (step->ruleset_version > step[-1].ruleset_version &&
                                  step->before_ms > step[-1].before_ms);
        reader->failed = reader->failed || !ascends;
    }
}

static void get_carts(struct arena *arena, struct binary_reader *reader, struct profile_base *base)
{
    base->cart_count = binary_get_count(reader, ID_SIZE);
    base->cart_event_ids =
        base->cart_count > 0 ? ARENA_NEW_ARRAY(arena, base->cart_count, struct id) : NULL;
    if (base->cart_count > 0 && base->cart_event_ids == NULL) {
        base->cart_count = 0;
        reader->failed = true;
    }
    for (size_t i = 0; i < base->cart_count; i++) {
        base->cart_event_ids[i] = binary_get_id(reader);
    }
}

bool base_decode(struct arena *arena, struct str bytes, struct profile_base *base)
{
    if (bytes.size == 0 || bytes.data[0] != BASE_VERSION) {
        return false;
    }
    struct binary_reader reader = { .rest = str_drop(bytes, 1) };
    struct profile_base decoded;
    base_init(&decoded, base->origin_id);
    decoded.before_ms = binary_get_i64(&reader);
    decoded.received_ms = binary_get_i64(&reader);
    decoded.fact_count = binary_get_i64(&reader);
    decoded.facts.first_seen_at_ms = binary_get_i64(&reader);
    decoded.facts.last_seen_at_ms = binary_get_i64(&reader);
    decoded.facts.signed_up_at_ms = binary_get_i64(&reader);
    get_steps(&reader, &decoded);
    get_carts(arena, &reader, &decoded);
    if (reader.failed || decoded.fact_count < 0 ||
        !profile_state_decode(arena, reader.rest, &decoded.facts)) {
        return false;
    }
    *base = decoded;
    return true;
}

/* --- what it can tell ----------------------------------------------------------- */

int64_t bases_before(const struct profile_base *bases, size_t count)
{
    int64_t before_ms = INSTANT_NONE;
    for (size_t i = 0; i < count; i++) {
        before_ms = bases[i].before_ms > before_ms ? bases[i].before_ms : before_ms;
    }
    return before_ms;
}

int64_t bases_complete_since(const struct profile_base *bases, size_t count,
                             const struct feature *feature)
{
    int64_t since_ms = INSTANT_NONE;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < bases[i].step_count; k++) {
            const struct base_step *step = &bases[i].steps[k];
            if (step->ruleset_version < (int64_t)feature->version && step->before_ms > since_ms) {
                since_ms = step->before_ms;
            }
        }
    }
    return since_ms;
}
