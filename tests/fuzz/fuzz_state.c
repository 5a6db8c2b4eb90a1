#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "core/order/order.h"
#include "core/profile/profile.h"

/*
 * Any bytes as a state, documents or facts column, by the first byte. A column
 * is ours, but it may have been written by another version, by a restore, or
 * by a bug: decoding must never read or allocate beyond what is there. What it
 * accepts must come out again to the byte, for one value has one form, and
 * what it refuses must leave the output alone.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

/* What is written now is read as itself. */
static bool is_settled(struct arena *arena, struct str bytes)
{
    struct profile profile;
    struct str again = { 0 };
    profile_init(&profile, ID_ZERO, 0);
    return profile_state_decode(arena, bytes, &profile) &&
           profile_state_encode(arena, &profile, &again) && str_equal(again, bytes);
}

static void fuzz_profile(struct arena *arena, struct str bytes)
{
    struct profile profile;
    profile_init(&profile, ID_ZERO, 0);
    if (!profile_state_decode(arena, bytes, &profile)) {
        must(profile.fact_count == 0 && profile.exclusive_count == 0);
        return;
    }
    /* The facts written anew, not as the bytes they came in as. Version 1 has
     * another form, and so have features before version 3 (which is for
     * fuzz_feature_state to tell). */
    struct str again = { 0 };
    struct str anew = { 0 };
    must(profile_state_encode(arena, &profile, &again));
    profile.facts_bytes = (struct str){ 0 };
    must(profile_state_encode(arena, &profile, &anew));
    must(str_equal(again, anew));
    must(str_equal(again, bytes) || bytes.data[0] == 1 || profile.features.count > 0);
    must(is_settled(arena, again));
    for (size_t i = 0; i < profile.fact_count; i++) {
        must(profile.facts[i].value_json.size > 0);
    }
}

static void fuzz_order(struct arena *arena, struct str bytes)
{
    struct order order = { 0 };
    if (!order_documents_decode(arena, bytes, &order)) {
        must(order.refund_count == 0 && order.fulfilment_count == 0);
        return;
    }
    struct str again = { 0 };
    must(order_documents_encode(arena, &order, &again));
    must(str_equal(again, bytes));
    (void)order_refunded_minor(&order);
}

static void fuzz_facts(struct arena *arena, struct str bytes)
{
    struct event_fact *facts = NULL;
    size_t count = 0;
    int64_t at_ms = 0;
    if (!profile_facts_decode(arena, bytes, &facts, &count, &at_ms)) {
        must(facts == NULL && count == 0);
        return;
    }
    /* What was read can be folded, and stored as facts again. */
    struct event event = {
        .facts = facts, .fact_count = count, .facts_at_ms = at_ms, .trust = TRUST_SIGNED
    };
    struct profile profile;
    profile_init(&profile, ID_ZERO, 0);
    (void)profile_fold_event(arena, &profile, &event);
    struct str again = { 0 };
    must(profile_facts_encode(arena, &event, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 64u * 1024) {
        return 0;
    }
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(16u * 1024 * 1024);
    must(arena != NULL);
    struct str bytes = { (const char *)data + 1, size - 1 };
    switch (data[0] % 3) {
    case 0:
        fuzz_profile(arena, bytes);
        break;
    case 1:
        fuzz_order(arena, bytes);
        break;
    default:
        fuzz_facts(arena, bytes);
        break;
    }
    must(!arena_is_full(arena));
    return 0;
}
