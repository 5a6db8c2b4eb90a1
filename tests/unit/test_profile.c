#include "base/arena.h"
#include "base/instant.h"
#include "base/limits.h"
#include "core/profile/profile.h"
#include "unit.h"

#define T0 INT64_C(1780315200000)

static int open_arena(void **state)
{
    *state = arena_create(64u * 1024 * 1024);
    return *state == NULL;
}

static int close_arena(void **state)
{
    arena_destroy(*state);
    return 0;
}

static struct event make_event(uint8_t id, int64_t occurred_at_ms)
{
    return (struct event){
        .id = { { id } },
        .type = EVENT_CUSTOMER_UPDATED,
        .trust = TRUST_SIGNED,
        .occurred_at_ms = occurred_at_ms,
        .received_at_ms = T0 + INSTANT_DAY_MS,
    };
}

/* One event that says one thing. */
static struct event saying(struct arena *arena, uint8_t id, int64_t occurred_at_ms,
                           enum fact_kind kind, const char *key, const char *value)
{
    struct event event = make_event(id, occurred_at_ms);
    event.facts = ARENA_NEW(arena, struct event_fact);
    event.facts[0] = (struct event_fact){ kind, str_from_z(key), str_from_z(value) };
    event.fact_count = 1;
    return event;
}

static void the_greatest_stamp_wins(void **state)
{
    struct arena *arena = *state;
    enum {
        P = TRUST_PUBLIC,
        K = TRUST_KEYED,
        S = TRUST_SIGNED
    };
    static const struct {
        struct {
            int64_t at_ms;
            int64_t received_ms;
            uint8_t id;
            int trust;
            const char *value;
        } a, b;
        enum fact_kind kind;
        const char *expected;
        const char *why;
    } rows[] = {
        { { 1, 9, 1, S, "1" }, { 2, 9, 1, S, "2" }, FACT_TRAIT, "2", "later" },
        { { 1, 9, 1, S, "1" }, { 1, 10, 1, S, "2" }, FACT_TRAIT, "2", "heard later" },
        { { 1, 9, 1, S, "1" }, { 1, 9, 2, S, "2" }, FACT_TRAIT, "2", "greater id" },
        { { 9, 9, 1, P, "1" }, { 1, 9, 1, S, "2" }, FACT_TRAIT, "2", "a page never overrules" },
        { { 9, 9, 1, K, "1" }, { 1, 9, 1, S, "2" }, FACT_TRAIT, "1", "a key is as good" },
        { { 1, 9, 1, S, "\"unsubscribed\"" },
          { 1, 99, 9, S, "\"subscribed\"" },
          FACT_CONSENT,
          "\"unsubscribed\"",
          "a consent tie is a refusal" },
        { { 1, 9, 1, S, "\"unsubscribed\"" },
          { 2, 9, 1, S, "\"subscribed\"" },
          FACT_CONSENT,
          "\"subscribed\"",
          "a later consent is not" },
        { { 1, 9, 1, S, "\"unsubscribed\"" },
          { 2, 9, 1, P, "\"subscribed\"" },
          FACT_CONSENT,
          "\"unsubscribed\"",
          "a page grants nothing" },
        { { 1, 9, 1, S, "\"pending\"" },
          { 1, 9, 2, S, "\"subscribed\"" },
          FACT_CONSENT,
          "\"subscribed\"",
          "a tie of others goes by id" },
        { { 1, 9, 1, S, "1" }, { 2, 9, 1, S, "null" }, FACT_PREFERENCE, "null", "forgotten" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct event a =
            saying(arena, rows[i].a.id, rows[i].a.at_ms, rows[i].kind, "key", rows[i].a.value);
        struct event b =
            saying(arena, rows[i].b.id, rows[i].b.at_ms, rows[i].kind, "key", rows[i].b.value);
        a.received_at_ms = rows[i].a.received_ms;
        b.received_at_ms = rows[i].b.received_ms;
        a.trust = (enum trust)rows[i].a.trust;
        b.trust = (enum trust)rows[i].b.trust;
        for (int turn = 0; turn < 2; turn++) { /* in either order of arrival */
            struct profile profile;
            profile_init(&profile, ID_ZERO, T0);
            assert_true(profile_fold_event(arena, &profile, turn == 0 ? &a : &b));
            assert_true(profile_fold_event(arena, &profile, turn == 0 ? &b : &a));
            struct str value = profile_fact_value(&profile, rows[i].kind, "key");
            assert_row(str_equal_z(value, rows[i].expected), rows[i].why);
            assert_row(profile.fact_count == 1, rows[i].why);
        }
    }
}

static void a_page_alone_grants_no_consent(void **state)
{
    struct arena *arena = *state;
    struct profile profile;
    profile_init(&profile, ID_ZERO, T0);
    struct event grant = saying(arena, 1, T0, FACT_CONSENT, "email", "\"subscribed\"");
    grant.trust = TRUST_PUBLIC;
    assert_true(profile_fold_event(arena, &profile, &grant));
    assert_int_equal(profile.fact_count, 0);
    struct event refusal = saying(arena, 2, T0, FACT_CONSENT, "email", "\"unsubscribed\"");
    refusal.trust = TRUST_PUBLIC;
    assert_true(profile_fold_event(arena, &profile, &refusal));
    assert_int_equal(profile.fact_count, 1);
}

static void identities_show_as_traits(void **state)
{
    struct arena *arena = *state;
    struct identifier identifiers[] = {
        { IDENTITY_EXTERNAL_ID, ID_ZERO, STR("u\"1") },
        { IDENTITY_EMAIL, ID_ZERO, STR("jane@example.com") },
        { IDENTITY_ANONYMOUS_ID, ID_ZERO, STR("cookie") },
    };
    struct event event = make_event(1, T0);
    event.identifiers = identifiers;
    event.identifier_count = 3;
    struct profile profile;
    profile_init(&profile, ID_ZERO, T0);
    assert_true(profile_fold_event(arena, &profile, &event));
    assert_int_equal(profile.fact_count, 2);
    assert_str_equal(profile_fact_value(&profile, FACT_TRAIT, "email"),
                     STR("\"jane@example.com\""));
    assert_str_equal(profile_fact_value(&profile, FACT_TRAIT, "external_id"), STR("\"u\\\"1\""));
    struct event explicit_one = saying(arena, 2, T0 + 1, FACT_TRAIT, "email", "null");
    explicit_one.identifiers = identifiers;
    explicit_one.identifier_count = 3;
    assert_true(profile_fold_event(arena, &profile, &explicit_one));
    assert_str_equal(profile_fact_value(&profile, FACT_TRAIT, "email"), STR("null"));
}

static void only_acts_are_seen(void **state)
{
    struct arena *arena = *state;
    struct profile profile;
    profile_init(&profile, ID_ZERO, T0);
    struct event edit = make_event(1, T0 + 50);
    assert_true(profile_fold_event(arena, &profile, &edit));
    assert_int_equal(profile.first_seen_at_ms, T0 + 50);
    assert_int_equal(profile.last_seen_at_ms, INSTANT_NONE);
    struct event visit = make_event(2, T0 + 40);
    visit.act = true;
    visit.type = EVENT_CUSTOMER_CREATED;
    assert_true(profile_fold_event(arena, &profile, &visit));
    assert_int_equal(profile.first_seen_at_ms, T0 + 40);
    assert_int_equal(profile.last_seen_at_ms, T0 + 40);
    assert_int_equal(profile.signed_up_at_ms, T0 + 40);
}

static void placing_an_order_is_an_act(void **state)
{
    struct arena *arena = *state;
    static const struct {
        enum order_rank rank;
        bool counts;
        bool acts;
        const char *why;
    } rows[] = {
        { ORDER_PAID, true, true, "placed" },
        { ORDER_OPEN, false, false, "a draft" },
        { ORDER_CANCELLED, false, true, "cancelled when first heard of: it was placed before" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct profile profile;
        profile_init(&profile, ID_ZERO, T0);
        struct event cart = make_event(1, T0);
        cart.cart_json = STR("{\"items_count\":1}");
        assert_true(profile_fold_event(arena, &profile, &cart));
        const struct order_document document = {
            .kind = ORDER_BODY,
            .rank = rows[i].rank,
            .counts = rows[i].counts,
            .placed_at_ms = T0 + 1,
        };
        struct event event = make_event(2, T0 + 100);
        event.order = &document;
        event.act = true; /* when the shop wrote is no act */
        assert_true(profile_fold_event(arena, &profile, &event));
        int64_t expected_ms = rows[i].acts ? T0 + 1 : INSTANT_NONE;
        assert_row(profile.last_seen_at_ms == expected_ms, rows[i].why);
        assert_row((profile.cart_json.size == 0) == rows[i].acts, rows[i].why);
        /* The same cart, late: it was emptied by then. */
        profile.cart_at_ms = rows[i].acts ? T0 + 1 : T0;
        assert_true(profile_fold_event(arena, &profile, &cart));
        assert_row((profile.cart_json.size == 0) == rows[i].acts, rows[i].why);
    }
}

static void the_newest_cart_stays(void **state)
{
    struct arena *arena = *state;
    struct profile profile;
    profile_init(&profile, ID_ZERO, T0);
    static const struct {
        int64_t at_ms;
        uint8_t id;
        const char *cart;
        const char *expected;
        const char *why;
    } rows[] = {
        { 10, 5, "{\"n\":1}", "{\"n\":1}", "the first" },
        { 9, 9, "{\"n\":2}", "{\"n\":1}", "a late one" },
        { 10, 4, "{\"n\":3}", "{\"n\":1}", "a tie with a smaller id" },
        { 10, 6, "{\"n\":4}", "{\"n\":4}", "a tie with a greater id" },
        { 11, 1, "null", "", "emptied" },
        { 10, 9, "{\"n\":5}", "", "late again" },
        { 12, 1, "{\"n\":6}", "{\"n\":6}", "filled again" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct event event = make_event(rows[i].id, T0 + rows[i].at_ms);
        event.cart_json = str_from_z(rows[i].cart);
        assert_true(profile_fold_event(arena, &profile, &event));
        assert_row(str_equal_z(profile.cart_json, rows[i].expected), rows[i].why);
    }
}

static void orders_cancel_exactly(void **state)
{
    (void)state;
    struct profile profile;
    profile_init(&profile, ID_ZERO, T0);
    const struct order_contribution none = { 0 };
    const struct order_contribution small = { true, false, 1000, 0 };
    const struct order_contribution large = { true, false, 3000, 500 };
    const struct order_contribution foreign = { true, true, 0, 0 };
    profile_count_order(&profile, &none, &small, T0 + 2);
    profile_count_order(&profile, &none, &large, T0 + 1);
    profile_count_order(&profile, &none, &foreign, T0 + 3);
    assert_int_equal(profile.orders.count, 3);
    assert_int_equal(profile.orders.foreign_count, 1);
    assert_int_equal(profile.orders.gross_minor, 4000);
    assert_int_equal(profile.orders.refunded_minor, 500);
    assert_int_equal(profile.orders.largest_minor, 3000);
    assert_int_equal(profile.orders.first_at_ms, T0 + 1);
    assert_int_equal(profile.orders.last_at_ms, T0 + 3);
    assert_false(profile.orders_shrunk);
    /* A refund changes the sums in place: no extreme moves. */
    const struct order_contribution refunded = { true, false, 3000, 700 };
    profile_count_order(&profile, &large, &refunded, T0 + 1);
    assert_int_equal(profile.orders.refunded_minor, 700);
    assert_false(profile.orders_shrunk);
    /* An order in the middle of everything goes: none moves either. */
    profile_count_order(&profile, &small, &none, T0 + 2);
    assert_false(profile.orders_shrunk);
    /* The largest goes: the orders must be asked. */
    profile_count_order(&profile, &refunded, &none, T0 + 1);
    assert_true(profile.orders_shrunk);
    assert_int_equal(profile.orders.gross_minor, 0);
    /* The last goes: nothing is left to ask. */
    profile_count_order(&profile, &foreign, &none, T0 + 3);
    assert_false(profile.orders_shrunk);
    assert_int_equal(profile.orders.count, 0);
    assert_int_equal(profile.orders.largest_minor, 0);
    assert_int_equal(profile.orders.last_at_ms, INSTANT_NONE);
}

static void absorbs(void **state)
{
    struct arena *arena = *state;
    struct profile survivor;
    struct profile loser;
    profile_init(&survivor, (struct id){ { 1 } }, T0 + 9);
    profile_init(&loser, (struct id){ { 2 } }, T0);
    struct event ours = saying(arena, 1, T0 + 5, FACT_TRAIT, "city", "\"Paris\"");
    struct event theirs = saying(arena, 2, T0 + 6, FACT_TRAIT, "city", "\"Lyon\"");
    theirs.act = true;
    theirs.cart_json = STR("{\"n\":1}");
    struct event more = saying(arena, 3, T0 + 1, FACT_TRAIT, "first_name", "\"Jane\"");
    assert_true(profile_fold_event(arena, &survivor, &ours));
    assert_true(profile_fold_event(arena, &loser, &theirs));
    assert_true(profile_fold_event(arena, &loser, &more));
    loser.identified = true;
    loser.merge_count = 2;
    loser.identity_counts[IDENTITY_EMAIL] = 3;
    struct profile_identity exclusive = { IDENTITY_CUSTOMER_ID, { { 7 } }, STR("c1") };
    loser.exclusives = &exclusive;
    loser.exclusive_count = 1;
    const struct order_contribution none = { 0 };
    const struct order_contribution order = { true, false, 1000, 0 };
    profile_count_order(&survivor, &none, &order, T0 + 2);
    profile_count_order(&loser, &none, &order, T0 + 1);
    assert_true(profile_absorb(arena, &survivor, &loser));
    assert_str_equal(profile_fact_value(&survivor, FACT_TRAIT, "city"), STR("\"Lyon\""));
    assert_str_equal(profile_fact_value(&survivor, FACT_TRAIT, "first_name"), STR("\"Jane\""));
    assert_int_equal(survivor.first_seen_at_ms, T0 + 1);
    assert_int_equal(survivor.last_seen_at_ms, T0 + 6);
    assert_int_equal(survivor.created_at_ms, T0);
    assert_int_equal(survivor.merge_count, 3);
    assert_int_equal(survivor.identity_counts[IDENTITY_EMAIL], 3);
    assert_int_equal(survivor.exclusive_count, 1);
    assert_true(survivor.identified);
    assert_int_equal(survivor.orders.count, 2);
    assert_int_equal(survivor.orders.first_at_ms, T0 + 1);
    assert_str_equal(survivor.cart_json, STR("{\"n\":1}"));
}

/* Full: what is known changes, what is new is left out. */
static void facts_are_limited(void **state)
{
    struct arena *arena = *state;
    struct profile profile;
    profile_init(&profile, ID_ZERO, T0);
    for (size_t i = 0; i < LIMIT_TRAITS_PER_PROFILE; i++) {
        const char *key = str_printf(arena, "key%03zu", i).data;
        struct event event = saying(arena, 1, T0, FACT_TRAIT, key, "1");
        event.facts[0].key = str_printf(arena, "key%03zu", i);
        assert_true(profile_fold_event(arena, &profile, &event));
    }
    struct event more = saying(arena, 2, T0 + 1, FACT_TRAIT, "one_more", "1");
    assert_false(profile_fold_event(arena, &profile, &more));
    assert_int_equal(profile.fact_count, LIMIT_TRAITS_PER_PROFILE);
    struct event known = saying(arena, 3, T0 + 1, FACT_TRAIT, "key007", "2");
    assert_true(profile_fold_event(arena, &profile, &known));
    assert_str_equal(profile_fact_value(&profile, FACT_TRAIT, "key007"), STR("2"));
    assert_false(arena_is_full(arena));
}

static struct profile full_profile(struct arena *arena)
{
    struct profile profile;
    profile_init(&profile, (struct id){ { 3 } }, T0);
    struct event event = make_event(5, T0);
    struct event_fact facts[] = {
        { FACT_TRAIT, STR("email"), STR("\"jane@example.com\"") },
        { FACT_TRAIT, STR("phone"), STR("\"+33612345678\"") },
        { FACT_TRAIT, STR("first_name"), STR("\"Jane\"") },
        { FACT_TRAIT, STR("city"), STR("\"Paris\"") },
        { FACT_PREFERENCE, STR("interests"), STR("[\"premium\"]") },
        { FACT_CONSENT, STR("email"), STR("\"subscribed\"") },
    };
    event.facts = facts;
    event.fact_count = ARRAY_COUNT(facts);
    event.act = true;
    event.cart_json = STR("{\"items_count\":1}");
    bool folded = profile_fold_event(arena, &profile, &event);
    assert_true(folded);
    struct profile_identity *exclusive = ARENA_NEW(arena, struct profile_identity);
    *exclusive = (struct profile_identity){ IDENTITY_EXTERNAL_ID, ID_ZERO, STR("u_1001") };
    profile.exclusives = exclusive;
    profile.exclusive_count = 1;
    profile.identity_counts[IDENTITY_EMAIL] = 2;
    profile.merge_count = 4;
    profile.sequence = 418;
    profile.identified = true;
    profile.orders = (struct profile_orders){
        .count = 9,
        .gross_minor = 112491,
        .largest_minor = 31000,
        .first_at_ms = T0,
        .last_at_ms = T0,
    };
    return profile;
}

static void state_survives_the_codec(void **state)
{
    struct arena *arena = *state;
    struct profile profile = full_profile(arena);
    struct str bytes = { 0 };
    assert_true(profile_state_encode(arena, &profile, &bytes));
    assert_true(bytes.size < 600); /* design 7: typically */
    struct profile decoded;
    profile_init(&decoded, profile.id, T0);
    assert_true(profile_state_decode(arena, bytes, &decoded));
    assert_int_equal(decoded.fact_count, profile.fact_count);
    assert_int_equal(decoded.merge_count, 4);
    assert_int_equal(decoded.identity_counts[IDENTITY_EMAIL], 2);
    assert_str_equal(decoded.exclusives[0].value, STR("u_1001"));
    assert_int_equal(decoded.cart_at_ms, T0);
    struct str again = { 0 };
    assert_true(profile_state_encode(arena, &decoded, &again));
    assert_str_equal(again, bytes);
    for (size_t size = 0; size < bytes.size; size++) {
        assert_false(profile_state_decode(arena, str_take(bytes, size), &decoded));
    }
    char *other = (char *)arena_alloc(arena, bytes.size + 1);
    memcpy(other, bytes.data, bytes.size);
    assert_false(profile_state_decode(arena, (struct str){ other, bytes.size + 1 }, &decoded));
    for (char version = 0; version < 6; version++) {
        other[0] = version;
        bool is_known = profile_state_decode(arena, (struct str){ other, bytes.size }, &decoded);
        assert_int_equal(is_known, version == 3);
    }
}

static void assert_same_facts(const struct profile *a, const struct profile *b)
{
    assert_int_equal(a->fact_count, b->fact_count);
    for (size_t i = 0; i < a->fact_count; i++) {
        assert_int_equal(a->facts[i].kind, b->facts[i].kind);
        assert_str_equal(a->facts[i].key, b->facts[i].key);
        assert_str_equal(a->facts[i].value_json, b->facts[i].value_json);
        assert_int_equal(a->facts[i].trust, b->facts[i].trust);
        assert_int_equal(a->facts[i].occurred_at_ms, b->facts[i].occurred_at_ms);
        assert_int_equal(a->facts[i].received_at_ms, b->facts[i].received_at_ms);
        assert_true(id_equal(a->facts[i].event_id, b->facts[i].event_id));
    }
}

/* Of several events, with stamps that differ in one part only; and what changes
 * after it was loaded is stored as it is then. */
static void each_fact_keeps_its_stamp(void **state)
{
    struct arena *arena = *state;
    struct profile profile = full_profile(arena);
    struct profile decoded;
    struct str bytes = { 0 };
    static const struct {
        uint8_t id;
        int64_t at_ms;
        int64_t received_ms;
        enum trust trust;
        const char *key;
    } events[] = {
        { 7, T0 + 3, T0 + 4, TRUST_SIGNED, "city" },
        { 8, T0 + 3, T0 + 4, TRUST_SIGNED, "a" },
        { 8, T0 + 3, T0 + 5, TRUST_SIGNED, "b" },
        { 8, T0 + 3, T0 + 4, TRUST_PUBLIC, "c" },
        { 8, INT64_MIN, INT64_MAX, TRUST_SIGNED, "d" },
        { 8, INT64_MAX, INT64_MIN, TRUST_KEYED, "e" },
        { 9, T0 + 9, T0 + 9, TRUST_SIGNED, "first_name" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(events); i++) {
        struct event event =
            saying(arena, events[i].id, events[i].at_ms, FACT_TRAIT, events[i].key, "\"other\"");
        event.received_at_ms = events[i].received_ms;
        event.trust = events[i].trust;
        assert_true(profile_fold_event(arena, &profile, &event));
        assert_true(profile_state_encode(arena, &profile, &bytes));
        profile_init(&decoded, profile.id, T0);
        assert_true(profile_state_decode(arena, bytes, &decoded));
        assert_same_facts(&decoded, &profile);
        profile = decoded;
    }
    assert_str_equal(profile_fact_value(&profile, FACT_TRAIT, "city"), STR("\"other\""));
    for (size_t size = 0; size < bytes.size; size++) {
        assert_false(profile_state_decode(arena, str_take(bytes, size), &decoded));
    }
}

/* The only form of the first release. */
static void the_first_version_is_read(void **state)
{
    struct arena *arena = *state;
    static const char bytes[] = "\x01\x04\x08\0\0\0\x02\0\0\0\0" /* merges, identities */
                                "\x01\x01"
                                "0123456789abcdef\x03u_1" /* one exclusive */
                                "\x02"
                                "0123456789abcdef" /* the cart's stamp */
                                "\x01\x01\x03\x04"
                                "city\x07"
                                "\"Paris\"" /* one fact */
                                "\x0a\x0c"
                                "fedcba9876543210";
    struct profile profile;
    profile_init(&profile, ID_ZERO, T0);
    assert_true(profile_state_decode(arena, (struct str){ bytes, sizeof(bytes) - 1 }, &profile));
    assert_int_equal(profile.merge_count, 4);
    assert_int_equal(profile.identity_counts[IDENTITY_EMAIL], 2);
    assert_int_equal(profile.exclusive_count, 1);
    assert_str_equal(profile.exclusives[0].value, STR("u_1"));
    assert_memory_equal(profile.exclusives[0].source_id.bytes, "0123456789abcdef", ID_SIZE);
    assert_int_equal(profile.cart_at_ms, 1);
    assert_int_equal(profile.fact_count, 1);
    assert_str_equal(profile.facts[0].key, STR("city"));
    assert_int_equal(profile.facts[0].occurred_at_ms, 5);
    assert_int_equal(profile.facts[0].received_at_ms, 6);
    struct str again = { 0 };
    struct profile decoded;
    profile_init(&decoded, ID_ZERO, T0);
    assert_true(profile_state_encode(arena, &profile, &again));
    assert_true(profile_state_decode(arena, again, &decoded));
    assert_same_facts(&decoded, &profile);
}

static void facts_survive_the_codec(void **state)
{
    struct arena *arena = *state;
    struct event event = saying(arena, 1, T0, FACT_CONSENT, "sms", "\"pending\"");
    struct identifier identifier = { IDENTITY_EMAIL, ID_ZERO, STR("jane@example.com") };
    event.identifiers = &identifier;
    event.identifier_count = 1;
    struct str bytes = { 0 };
    assert_true(profile_facts_encode(arena, &event, &bytes));
    struct event_fact *facts = NULL;
    size_t count = 0;
    int64_t at_ms = 7;
    assert_true(profile_facts_decode(arena, bytes, &facts, &count, &at_ms));
    assert_int_equal(at_ms, 0);
    assert_int_equal(count, 2); /* what an identity implies is a fact, too */
    assert_str_equal(facts[0].key, STR("email"));
    assert_str_equal(facts[1].value_json, STR("\"pending\""));
    for (size_t size = 0; size < bytes.size; size++) {
        assert_false(profile_facts_decode(arena, str_take(bytes, size), &facts, &count, &at_ms));
    }
    event.facts_at_ms = T0 + 5; /* said by the body of an order that was placed before */
    assert_true(profile_facts_encode(arena, &event, &bytes));
    assert_true(profile_facts_decode(arena, bytes, &facts, &count, &at_ms));
    assert_int_equal(at_ms, T0 + 5);
    for (size_t size = 0; size < bytes.size; size++) {
        assert_false(profile_facts_decode(arena, str_take(bytes, size), &facts, &count, &at_ms));
    }
    struct event silent = make_event(2, T0);
    assert_true(profile_facts_encode(arena, &silent, &bytes));
    assert_int_equal(bytes.size, 0);
}

static struct str written(struct arena *arena, const struct profile *profile,
                          const struct profile_labels *labels)
{
    struct buf *buf = ARENA_NEW(arena, struct buf);
    struct jsonw json;
    buf_init(buf, arena, 64u * 1024);
    jsonw_begin(&json, buf);
    profile_write_default(&json, profile, labels, STR("EUR"));
    return buf_str(buf);
}

static void writes_the_default_shape(void **state)
{
    struct arena *arena = *state;
    struct profile profile = full_profile(arena);
    struct str tags[] = { STR("at_risk"), STR("frequent_buyer") };
    struct profile_tier tier = { STR("basket"), STR("high") };
    const struct profile_labels labels = {
        .lifecycle = STR("active"), .tags = tags, .tag_count = 2, .tiers = &tier, .tier_count = 1
    };
    const struct profile_labels none = { 0 };
    assert_str_equal(
        written(arena, &profile, &labels),
        STR("{\"id\":\"03000000-0000-0000-0000-000000000000\",\"email\":\"jane@example.com\","
            "\"phone\":\"+33612345678\",\"external_id\":\"u_1001\",\"first_name\":\"Jane\","
            "\"last_name\":null,\"locale\":null,\"time_zone\":null,\"lifecycle\":\"active\","
            "\"tags\":[\"at_risk\",\"frequent_buyer\"],\"segments\":[],"
            "\"tiers\":{\"basket\":\"high\"},\"orders\":{\"count\":9,"
            "\"revenue\":1124.91,\"average_value\":124.99,\"currency\":\"EUR\","
            "\"last_at\":\"2026-06-01T12:00:00.000Z\"},\"consent\":{\"email\":\"subscribed\","
            "\"sms\":\"never\",\"push\":\"never\",\"tracking\":\"never\",\"sale\":\"never\"}}"));
    struct profile nobody;
    profile_init(&nobody, (struct id){ { 3 } }, T0);
    assert_str_equal(
        written(arena, &nobody, &none),
        STR("{\"id\":\"03000000-0000-0000-0000-000000000000\",\"email\":null,\"phone\":null,"
            "\"external_id\":null,\"first_name\":null,\"last_name\":null,\"locale\":null,"
            "\"time_zone\":null,\"lifecycle\":null,\"tags\":[],\"segments\":[],\"tiers\":{},"
            "\"orders\":{\"count\":0,\"revenue\":0.00,\"average_value\":null,"
            "\"currency\":\"EUR\",\"last_at\":null},\"consent\":{\"email\":\"never\","
            "\"sms\":\"never\",\"push\":\"never\",\"tracking\":\"never\",\"sale\":\"never\"}}"));
}

static bool contains(struct str text, const char *part)
{
    for (size_t i = 0; i < text.size; i++) {
        if (str_starts_with(str_drop(text, i), str_from_z(part))) {
            return true;
        }
    }
    return false;
}

static void averages_round_half_away(void **state)
{
    struct arena *arena = *state;
    static const struct {
        int64_t gross_minor;
        int64_t count;
        int64_t foreign_count;
        const char *expected;
        const char *why;
    } rows[] = {
        { 100, 3, 0, "\"average_value\":0.33", "down" },
        { 200, 3, 0, "\"average_value\":0.67", "up" },
        { 5, 2, 0, "\"average_value\":0.03", "half away from zero" },
        { 100, 3, 1, "\"average_value\":0.50", "foreign orders are not in it" },
        { 0, 2, 2, "\"average_value\":null", "only foreign orders" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct profile profile = full_profile(arena);
        const struct profile_labels none = { 0 };
        profile.orders.gross_minor = rows[i].gross_minor;
        profile.orders.count = rows[i].count;
        profile.orders.foreign_count = rows[i].foreign_count;
        assert_row(contains(written(arena, &profile, &none), rows[i].expected), rows[i].why);
    }
}

#define WITH_ARENA(test) cmocka_unit_test_setup_teardown(test, open_arena, close_arena)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ARENA(the_greatest_stamp_wins),    WITH_ARENA(a_page_alone_grants_no_consent),
        WITH_ARENA(identities_show_as_traits),  WITH_ARENA(only_acts_are_seen),
        WITH_ARENA(placing_an_order_is_an_act), WITH_ARENA(the_newest_cart_stays),
        WITH_ARENA(orders_cancel_exactly),      WITH_ARENA(absorbs),
        WITH_ARENA(facts_are_limited),          WITH_ARENA(state_survives_the_codec),
        WITH_ARENA(each_fact_keeps_its_stamp),  WITH_ARENA(the_first_version_is_read),
        WITH_ARENA(facts_survive_the_codec),    WITH_ARENA(writes_the_default_shape),
        WITH_ARENA(averages_round_half_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
