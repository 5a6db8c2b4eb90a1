#include "base/arena.h"
#include "base/instant.h"
#include "core/order/order.h"
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

static struct order empty_order(void)
{
    return (struct order){
        .order_ref = STR("o1"),
        .placed_at_ms = INSTANT_NONE,
        .cancelled_at_ms = INSTANT_NONE,
        .deleted_at_ms = INSTANT_NONE,
    };
}

static struct order_document body(int64_t version_ms, enum order_rank rank, int64_t total_minor)
{
    return (struct order_document){
        .kind = ORDER_BODY,
        .order_ref = STR("o1"),
        .version_ms = version_ms,
        .rank = rank,
        .counts = rank == ORDER_PAID || rank == ORDER_FULFILLED,
        .placed_at_ms = T0,
        .currency = STR("EUR"),
        .total_minor = total_minor,
        .body_json = STR("{}"),
    };
}

static struct order_document part(enum order_document_kind kind, struct str ref,
                                  int64_t amount_minor)
{
    return (struct order_document){
        .kind = kind,
        .order_ref = STR("o1"),
        .document_ref = ref,
        .at_ms = T0 + 5,
        .amount_minor = amount_minor,
    };
}

static void fold_all(struct arena *arena, struct order *order,
                     const struct order_document *documents, const size_t *places, size_t count)
{
    *order = empty_order();
    for (size_t i = 0; i < count; i++) {
        order_fold(arena, order, &documents[places[i]]);
    }
}

static void assert_same(struct arena *arena, const struct order *a, const struct order *b)
{
    struct str a_bytes = { 0 };
    struct str b_bytes = { 0 };
    assert_true(order_documents_encode(arena, a, &a_bytes));
    assert_true(order_documents_encode(arena, b, &b_bytes));
    assert_str_equal(a_bytes, b_bytes);
    assert_int_equal(a->rank, b->rank);
    assert_int_equal(a->total_minor, b->total_minor);
    assert_int_equal(a->counts, b->counts);
    assert_int_equal(a->version_ms, b->version_ms);
    assert_int_equal(a->cancelled_at_ms, b->cancelled_at_ms);
    assert_int_equal(a->deleted_at_ms, b->deleted_at_ms);
    assert_str_equal(a->body_json, b->body_json);
    assert_int_equal(order_refunded_minor(a), order_refunded_minor(b));
}

/* All 720 orders of arrival of six documents of one checkout, of which three
 * carry the same second (correctness 5). */
static void any_arrival_gives_the_same(void **state)
{
    struct arena *arena = *state;
    struct order_document documents[] = {
        body(T0, ORDER_OPEN, 10000),          body(T0, ORDER_PAID, 10000),
        body(T0, ORDER_PAID, 9900), /* ties with the one before but for its hash */
        part(ORDER_REFUND, STR("r1"), 2500),  part(ORDER_REFUND, STR("r1"), 2500), /* repeated */
        part(ORDER_CANCELLATION, STR(""), 0),
    };
    enum {
        COUNT = 6,
        PERMUTATIONS = 720
    };
    struct order first;
    size_t in_order[COUNT] = { 0, 1, 2, 3, 4, 5 };
    fold_all(arena, &first, documents, in_order, COUNT);
    assert_int_equal(first.rank, ORDER_PAID);
    for (size_t permutation = 0; permutation < PERMUTATIONS; permutation++) {
        size_t places[COUNT] = { 0, 1, 2, 3, 4, 5 };
        size_t rest = permutation;
        for (size_t i = COUNT; i > 1; i--) {
            size_t j = rest % i;
            rest /= i;
            size_t swapped = places[i - 1];
            places[i - 1] = places[j];
            places[j] = swapped;
        }
        struct order order;
        fold_all(arena, &order, documents, places, COUNT);
        assert_same(arena, &order, &first);
    }
}

static void the_greatest_body_wins(void **state)
{
    struct arena *arena = *state;
    struct order_document refunded = body(T0, ORDER_PAID, 100);
    refunded.refunded_minor = 10;
    const struct {
        struct order_document held;
        struct order_document next;
        bool wins;
        const char *why;
    } rows[] = {
        { body(T0, ORDER_PAID, 100), body(T0 + 1000, ORDER_OPEN, 200), true, "a newer version" },
        { body(T0 + 1000, ORDER_OPEN, 100), body(T0, ORDER_CANCELLED, 200), false, "an older" },
        { body(T0, ORDER_OPEN, 100), body(T0, ORDER_PAID, 200), true, "tie: paid after open" },
        { body(T0, ORDER_FULFILLED, 100), body(T0, ORDER_PAID, 200), false, "tie: not back" },
        { body(T0, ORDER_FULFILLED, 100), body(T0, ORDER_CANCELLED, 200), true, "tie: cancelled" },
        { body(T0, ORDER_PAID, 100), refunded, true, "tie: more refunded" },
        { refunded, body(T0, ORDER_PAID, 100), false, "tie: less refunded" },
        { body(T0, ORDER_PAID, 100), body(T0, ORDER_PAID, 100), false, "the same again" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct order order = empty_order();
        bool held = order_fold(arena, &order, &rows[i].held);
        bool wins = order_fold(arena, &order, &rows[i].next);
        assert_row(held, rows[i].why);
        assert_row(wins == rows[i].wins, rows[i].why);
        int64_t total_minor = rows[i].wins ? rows[i].next.total_minor : rows[i].held.total_minor;
        assert_row(order.total_minor == total_minor, rows[i].why);
    }
}

static void refunds_count_once(void **state)
{
    struct arena *arena = *state;
    struct order order = empty_order();
    struct order_document first = part(ORDER_REFUND, STR("r2"), 300);
    struct order_document second = part(ORDER_REFUND, STR("r1"), 200);
    assert_true(order_fold(arena, &order, &first));
    assert_false(order_fold(arena, &order, &first));
    assert_true(order_fold(arena, &order, &second));
    assert_int_equal(order_refunded_minor(&order), 500); /* no body yet: no total to cap it */
    struct order_document paid = body(T0, ORDER_PAID, 450);
    order_fold(arena, &order, &paid);
    assert_int_equal(order_refunded_minor(&order), 450);
    struct order_document later = body(T0 + 1, ORDER_PAID, 1000);
    later.refunded_minor = 700;
    order_fold(arena, &order, &later);
    assert_int_equal(order_refunded_minor(&order), 700); /* the body knows of more */
    struct order_document corrected = part(ORDER_REFUND, STR("r1"), 600);
    corrected.at_ms += 1;
    assert_true(order_fold(arena, &order, &corrected));
    assert_int_equal(order_refunded_minor(&order), 900);
    assert_int_equal(order.refund_count, 2);
    assert_str_equal(order.refunds[0].ref, STR("r1"));
}

static void refunds_saturate(void **state)
{
    struct arena *arena = *state;
    struct order order = empty_order();
    struct order_document first = part(ORDER_REFUND, STR("r1"), INT64_MAX);
    struct order_document second = part(ORDER_REFUND, STR("r2"), INT64_MAX);
    order_fold(arena, &order, &first);
    order_fold(arena, &order, &second);
    assert_int_equal(order_refunded_minor(&order), INT64_MAX);
}

static void contributes(void **state)
{
    struct arena *arena = *state;
    static const struct {
        enum order_rank rank;
        const char *currency;
        bool cancelled;
        bool deleted;
        struct order_contribution expected;
        const char *why;
    } rows[] = {
        { ORDER_PAID, "EUR", false, false, { true, false, 1000, 100 }, "paid" },
        { ORDER_OPEN, "EUR", false, false, { false, false, 0, 0 }, "does not count yet" },
        { ORDER_CANCELLED, "EUR", false, false, { false, false, 0, 0 }, "cancelled by its body" },
        { ORDER_PAID, "EUR", true, false, { false, false, 0, 0 }, "cancelled by a document" },
        { ORDER_PAID, "EUR", false, true, { false, false, 0, 0 }, "deleted" },
        { ORDER_PAID, "USD", false, false, { true, true, 0, 0 }, "counted, but not summed" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct order order = empty_order();
        struct order_document document = body(T0, rows[i].rank, 1000);
        document.currency = str_from_z(rows[i].currency);
        document.refunded_minor = 100;
        order_fold(arena, &order, &document);
        struct order_document other = part(ORDER_CANCELLATION, STR(""), 0);
        if (rows[i].cancelled) {
            order_fold(arena, &order, &other);
        }
        other.kind = ORDER_DELETION;
        other.at_ms = T0;
        if (rows[i].deleted) {
            order_fold(arena, &order, &other);
        }
        struct order_contribution seen = order_contribution_now(&order, STR("EUR"));
        assert_row(seen.counted == rows[i].expected.counted, rows[i].why);
        assert_row(seen.foreign == rows[i].expected.foreign, rows[i].why);
        assert_row(seen.gross_minor == rows[i].expected.gross_minor, rows[i].why);
        assert_row(seen.refunded_minor == rows[i].expected.refunded_minor, rows[i].why);
    }
    struct order nothing = empty_order();
    assert_false(order_contribution_now(&nothing, STR("EUR")).counted);
}

static void restored_counts_again(void **state)
{
    struct arena *arena = *state;
    struct order order = empty_order();
    struct order_document before = body(T0, ORDER_PAID, 1000);
    struct order_document deletion = part(ORDER_DELETION, STR(""), 0);
    struct order_document after = body(T0 + 2, ORDER_PAID, 1000);
    deletion.at_ms = T0 + 1;
    order_fold(arena, &order, &deletion);
    order_fold(arena, &order, &before);
    assert_true(order_is_deleted(&order));
    order_fold(arena, &order, &after);
    assert_false(order_is_deleted(&order));
    assert_true(order_contribution_now(&order, STR("EUR")).counted);
}

static void parts_are_limited(void **state)
{
    struct arena *arena = *state;
    struct order order = empty_order();
    for (size_t i = 0; i < 1000; i++) {
        struct order_document document = part(ORDER_REFUND, str_printf(arena, "r%zu", i), 1);
        assert_true(order_fold(arena, &order, &document));
    }
    struct order_document more = part(ORDER_REFUND, STR("one more"), 1);
    assert_false(order_fold(arena, &order, &more));
    assert_int_equal(order_refunded_minor(&order), 1000);
}

static void documents_survive_the_codec(void **state)
{
    struct arena *arena = *state;
    struct order order = empty_order();
    struct order_document paid = body(T0, ORDER_PAID, 1000);
    struct order_document refund = part(ORDER_REFUND, STR("r1"), -5);
    struct order_document fulfilment = part(ORDER_FULFILMENT, STR("f\xc3\xa9"), 0);
    paid.refunded_minor = 77;
    order_fold(arena, &order, &paid);
    order_fold(arena, &order, &refund);
    order_fold(arena, &order, &fulfilment);
    struct str bytes = { 0 };
    assert_true(order_documents_encode(arena, &order, &bytes));
    struct order decoded = empty_order();
    assert_true(order_documents_decode(arena, bytes, &decoded));
    assert_true(id_equal(decoded.body_hash, order.body_hash));
    assert_int_equal(decoded.body_refunded_minor, 77);
    assert_int_equal(decoded.refund_count, 1);
    assert_int_equal(decoded.refunds[0].amount_minor, -5);
    assert_int_equal(decoded.fulfilments[0].at_ms, T0 + 5);
    /* Every cut, and every version but ours, is refused and changes nothing. */
    for (size_t size = 0; size < bytes.size; size++) {
        struct order untouched = empty_order();
        assert_false(order_documents_decode(arena, str_take(bytes, size), &untouched));
        assert_int_equal(untouched.refund_count, 0);
    }
    char *other = (char *)arena_alloc(arena, bytes.size + 1);
    memcpy(other, bytes.data, bytes.size);
    assert_false(order_documents_decode(arena, (struct str){ other, bytes.size + 1 }, &decoded));
    other[0] = 2;
    assert_false(order_documents_decode(arena, (struct str){ other, bytes.size }, &decoded));
}

static void ranks_have_names(void **state)
{
    (void)state;
    assert_string_equal(order_rank_name(ORDER_OPEN), "open");
    assert_string_equal(order_rank_name(ORDER_PAID), "paid");
    assert_string_equal(order_rank_name(ORDER_FULFILLED), "fulfilled");
    assert_string_equal(order_rank_name(ORDER_CANCELLED), "cancelled");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(any_arrival_gives_the_same, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(the_greatest_body_wins, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(refunds_count_once, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(refunds_saturate, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(contributes, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(restored_counts_again, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(parts_are_limited, open_arena, close_arena),
        cmocka_unit_test_setup_teardown(documents_survive_the_codec, open_arena, close_arena),
        cmocka_unit_test(ranks_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
