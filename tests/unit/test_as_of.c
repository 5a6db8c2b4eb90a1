#include "base/instant.h"
#include "core/profile/as_of.h"
#include "unit.h"

/* An order of 100.00 placed at 10 s; what came of it, and when. */
#define PLACED_MS INT64_C(1780000010000)
#define SECOND(n) (PLACED_MS + ((n)-10) * INSTANT_SECOND_MS)

struct row {
    const char *why;
    int at_s; /* asked for */
    int refunds_at_s[2];
    int64_t body_refunded_minor;
    int version_s;
    int cancelled_s;
    int deleted_s;
    enum order_rank rank;
    bool counts;
    int64_t count;
    int64_t refunded_minor;
};

static const struct row rows[] = {
    { "before it was placed", 9, { 0 }, 0, 10, 0, 0, ORDER_PAID, true, -1, 0 },
    { "when it was placed", 10, { 0 }, 0, 10, 0, 0, ORDER_PAID, true, 1, 0 },
    { "no refund yet", 19, { 20, 30 }, 3000, 30, 0, 0, ORDER_PAID, true, 1, 0 },
    { "one refund", 20, { 20, 30 }, 3000, 30, 0, 0, ORDER_PAID, true, 1, 1000 },
    { "one refund, still", 29, { 20, 30 }, 3000, 30, 0, 0, ORDER_PAID, true, 1, 1000 },
    { "both", 30, { 20, 30 }, 3000, 30, 0, 0, ORDER_PAID, true, 1, 3000 },
    { "a figure that only a later body says", 29, { 0 }, 500, 30, 0, 0, ORDER_PAID, true, 1, 0 },
    { "a figure of a body of then", 30, { 0 }, 500, 30, 0, 0, ORDER_PAID, true, 1, 500 },
    { "not cancelled yet", 39, { 0 }, 0, 40, 40, 0, ORDER_CANCELLED, false, 1, 0 },
    { "cancelled", 40, { 0 }, 0, 40, 40, 0, ORDER_CANCELLED, false, 0, 0 },
    { "cancelled, without a time: as known today",
      39,
      { 0 },
      0,
      40,
      0,
      0,
      ORDER_CANCELLED,
      false,
      0,
      0 },
    { "not deleted yet", 49, { 0 }, 0, 12, 0, 50, ORDER_PAID, true, 1, 0 },
    { "deleted", 50, { 0 }, 0, 12, 0, 50, ORDER_PAID, true, 0, 0 },
};

static int64_t instant_or_none(int second)
{
    return second == 0 ? INSTANT_NONE : SECOND(second);
}

static struct order order_of(const struct row *row, struct order_part *refunds)
{
    struct order order = {
        .source_id = { { 1 } },
        .order_ref = STR("o1"),
        .has_body = true,
        .version_ms = SECOND(row->version_s),
        .rank = row->rank,
        .counts = row->counts,
        .placed_at_ms = PLACED_MS,
        .currency = STR("EUR"),
        .total_minor = 10000,
        .body_refunded_minor = row->body_refunded_minor,
        .body_json = STR("{}"),
        .refunds = refunds,
        .cancelled_at_ms = instant_or_none(row->cancelled_s),
        .deleted_at_ms = instant_or_none(row->deleted_s),
        .completed = true,
    };
    for (size_t i = 0; i < 2 && row->refunds_at_s[i] > 0; i++) {
        refunds[i] = (struct order_part){ .ref = i == 0 ? STR("r1") : STR("r2"),
                                          .at_ms = SECOND(row->refunds_at_s[i]),
                                          .amount_minor = i == 0 ? 1000 : 2000 };
        order.refund_count++;
    }
    order.contribution = order_contribution_now(&order, STR("EUR"));
    return order;
}

static void an_order_is_what_was_said_of_it_by_then(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct arena *arena = arena_create(1024 * 1024);
        struct order_part refunds[2];
        struct order order = order_of(&rows[i], refunds);
        const struct order before = order;
        struct order *orders[] = { &order };
        const struct event first = { .type = EVENT_PAGE_VIEWED,
                                     .name = STR("page.viewed"),
                                     .occurred_at_ms = SECOND(1),
                                     .received_at_ms = SECOND(1) };
        const struct history history = {
            .events = &first, .event_count = 1, .orders = orders, .order_count = 1
        };
        const struct as_of as_of = { .at_ms = SECOND(rows[i].at_s),
                                     .known_at_ms = INSTANT_NEVER,
                                     .currency = STR("EUR") };
        struct profile profile;
        profile_init(&profile, (struct id){ { 7 } }, SECOND(1));
        assert_row(profile_as_of(arena, &profile, &history, &as_of), rows[i].why);
        assert_row(profile.orders.count == (rows[i].count < 0 ? 0 : rows[i].count), rows[i].why);
        assert_row(profile.orders.refunded_minor == rows[i].refunded_minor, rows[i].why);
        assert_row(memcmp(&before, &order, sizeof(order)) == 0, "today's order is left alone");
        arena_destroy(arena);
    }
}

/* A backtest folds anew only where this number moves. */
static void each_document_is_a_fact_of_its_instant(void **state)
{
    (void)state;
    struct order_part refunds[2];
    struct order order = order_of(&rows[3], refunds);
    order.cancelled_at_ms = SECOND(40);
    struct order *orders[] = { &order };
    const struct history history = { .orders = orders, .order_count = 1 };
    size_t last = 0;
    for (int second = 9; second <= 41; second++) {
        const struct as_of as_of = { .at_ms = SECOND(second), .known_at_ms = INSTANT_NEVER };
        size_t count = as_of_fact_count(&history, &as_of);
        bool moves = second == 10 || second == 20 || second == 30 || second == 40;
        assert_int_equal(count > last, moves);
        last = count;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_order_is_what_was_said_of_it_by_then),
        cmocka_unit_test(each_document_is_a_fact_of_its_instant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
