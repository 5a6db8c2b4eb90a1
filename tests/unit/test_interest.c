#undef NDEBUG

#include <stdlib.h>

#include "base/arena.h"
#include "base/instant.h"
#include "core/interest/interest.h"
#include "core/rule/expression.h"
#include "core/rule/program.h"
#include "unit.h"

/* 2026-11-22T14:03:07Z */
#define NOW_MS INT64_C(1795356187000)
#define NONE INSTANT_NONE

static struct arena *arena;

static int set_up(void **state)
{
    (void)state;
    arena = arena_create((size_t)64 * 1024 * 1024);
    return arena == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_destroy(arena);
    return 0;
}

static struct id id_of(uint8_t number)
{
    return (struct id){ { [0] = 1, [15] = number } };
}

static struct event event_of(enum event_type type, int64_t at_ms, const char *properties)
{
    return (struct event){
        .type = type,
        .source_id = id_of(1),
        .occurred_at_ms = at_ms,
        .currency = STR("EUR"),
        .properties_json = str_from_z(properties),
    };
}

static struct interest_list list_of(const struct event *events, size_t count)
{
    struct interest_list list = { .arena = arena };
    for (size_t i = 0; i < count; i++) {
        interest_add_event(&list, id_of(9), &events[i]);
    }
    interest_fold(&list);
    return list;
}

/* --- what each event says -------------------------------------------------- */

static void each_event_says_its_part(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        enum event_type type;
        const char *properties;
        size_t rows;
        struct interest_row expected; /* of the first */
    } rows[] = {
        { "a look",
          EVENT_PRODUCT_VIEWED,
          "{\"product_id\":\"p\",\"price\":12.5,\"in_stock\":true}",
          1,
          { .facts = { 5, 1, NONE, 5, 1250, { "EUR", 3 }, NONE, NONE, NONE, NONE, NONE },
            .asked_at_ms = NONE } },
        { "sold out",
          EVENT_PRODUCT_VIEWED,
          "{\"product_id\":\"p\",\"in_stock\":\"false\"}",
          1,
          { .facts = { 5, 1, 5, NONE, 0, { "", 0 }, NONE, NONE, NONE, NONE, NONE },
            .asked_at_ms = NONE } },
        { "in_stock is believed before available",
          EVENT_PRODUCT_VIEWED,
          "{\"available\":false,\"in_stock\":true,\"product_id\":\"p\"}",
          1,
          { .facts = { 5, 1, NONE, NONE, 0, { "", 0 }, NONE, NONE, NONE, NONE, NONE },
            .asked_at_ms = NONE } },
        { "nothing said of stock",
          EVENT_PRODUCT_VIEWED,
          "{\"product_id\":\"p\",\"stock\":null}",
          1,
          { .facts = { 5, 1, NONE, NONE, 0, { "", 0 }, NONE, NONE, NONE, NONE, NONE },
            .asked_at_ms = 5 } },
        { "a price that is none",
          EVENT_PRODUCT_VIEWED,
          "{\"product_id\":\"p\",\"price\":\"ask us\",\"stock\":4}",
          1,
          { .facts = { 5, 1, NONE, NONE, 0, { "", 0 }, NONE, NONE, NONE, NONE, NONE },
            .asked_at_ms = NONE } },
        { "a wish",
          EVENT_WISHLIST_PRODUCT_ADDED,
          "{\"product_id\":\"p\",\"stock\":-2}",
          1,
          { .facts = { NONE, 0, 5, NONE, 0, { "", 0 }, NONE, 5, NONE, NONE, NONE },
            .asked_at_ms = NONE } },
        { "a wish taken back",
          EVENT_WISHLIST_PRODUCT_REMOVED,
          "{\"product_id\":\"p\"}",
          1,
          { .facts = { NONE, 0, NONE, NONE, 0, { "", 0 }, NONE, NONE, 5, NONE, NONE },
            .asked_at_ms = NONE } },
        { "a cart's lines",
          EVENT_CART_UPDATED,
          "{\"products\":[{\"product_id\":\"p\"},{\"product_id\":7,\"quantity\":0},"
          "{\"product_id\":\"q\",\"quantity\":2},\"x\",{\"sku\":\"r\"}]}",
          2,
          { .facts = { NONE, 0, NONE, NONE, 0, { "", 0 }, 5, NONE, NONE, NONE, NONE },
            .asked_at_ms = NONE } },
        { "taken out of a cart",
          EVENT_CART_PRODUCT_REMOVED,
          "{\"product_id\":\"p\"}",
          0,
          { .asked_at_ms = 0 } },
        { "a list of products",
          EVENT_PRODUCT_LIST_VIEWED,
          "{\"products\":[{\"product_id\":\"p\"}]}",
          0,
          { .asked_at_ms = 0 } },
        { "an order's own event",
          EVENT_ORDER_COMPLETED,
          "{\"products\":[{\"product_id\":\"p\"}]}",
          0,
          { .asked_at_ms = 0 } },
        { "nothing named", EVENT_PRODUCT_VIEWED, "{\"name\":\"x\"}", 0, { .asked_at_ms = 0 } },
        { "no id", EVENT_PRODUCT_VIEWED, "{\"product_id\":{\"a\":1}}", 0, { .asked_at_ms = 0 } },
        { "no properties", EVENT_PRODUCT_VIEWED, "", 0, { .asked_at_ms = 0 } },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct event event = event_of(rows[i].type, 5, rows[i].properties);
        struct interest_list list = list_of(&event, 1);
        assert_row(list.count == rows[i].rows, rows[i].why);
        if (list.count == 0) {
            continue;
        }
        const struct interest *is = &list.rows[0]->facts;
        const struct interest *should = &rows[i].expected.facts;
        assert_row(str_equal_z(list.rows[0]->key.product_id, "p"), rows[i].why);
        assert_row(is->viewed_at_ms == should->viewed_at_ms, rows[i].why);
        assert_row(is->view_count == should->view_count, rows[i].why);
        assert_row(is->out_of_stock_seen_at_ms == should->out_of_stock_seen_at_ms, rows[i].why);
        assert_row(is->price_seen_at_ms == should->price_seen_at_ms, rows[i].why);
        assert_row(is->price_minor == should->price_minor, rows[i].why);
        assert_row(str_equal(is->currency, should->currency), rows[i].why);
        assert_row(is->carted_at_ms == should->carted_at_ms, rows[i].why);
        assert_row(is->wished_at_ms == should->wished_at_ms, rows[i].why);
        assert_row(is->unwished_at_ms == should->unwished_at_ms, rows[i].why);
        assert_row(list.rows[0]->asked_at_ms == rows[i].expected.asked_at_ms, rows[i].why);
    }
}

static void ids_and_lines_have_limits(void **state)
{
    (void)state;
    for (int past = 0; past < 2; past++) {
        char *id = arena_alloc(arena, INTEREST_ID_BYTES_MAX + 2);
        for (int i = 0; i < INTEREST_ID_BYTES_MAX + past; i++) {
            id[i] = 'x';
        }
        struct str json = str_printf(arena, "{\"product_id\":\"%s\"}", id);
        struct event event = event_of(EVENT_PRODUCT_VIEWED, 5, str_dup_z(arena, json));
        assert_int_equal(list_of(&event, 1).count, 1 - past);
    }
    struct str lines = STR("");
    for (int i = 0; i < INTEREST_LINES_MAX + 1; i++) {
        lines = str_printf(arena, "%.*s%s{\"product_id\":%d}", STR_ARG(lines), i > 0 ? "," : "", i);
    }
    struct str json = str_printf(arena, "{\"products\":[%.*s]}", STR_ARG(lines));
    struct event event = event_of(EVENT_CART_UPDATED, 5, str_dup_z(arena, json));
    assert_int_equal(list_of(&event, 1).count, INTEREST_LINES_MAX);
    /* A number beyond what the language can count with is an id all the same. */
    event = event_of(EVENT_PRODUCT_VIEWED, 5, "{\"product_id\":44901482850001}");
    assert_str_equal(list_of(&event, 1).rows[0]->key.product_id, STR("44901482850001"));
}

static void orders_say_it_while_they_count(void **state)
{
    (void)state;
    struct order order = {
        .source_id = id_of(1),
        .origin_id = id_of(9),
        .placed_at_ms = 7,
        .body_json = STR("{\"total\": 5, \"products\": [{\"product_id\": \"p\", \"quantity\": 1},"
                         " {\"product_id\": \"p\", \"variant_id\": \"2\"}]}"),
        .contribution = { .counted = true },
    };
    struct interest_list list = { .arena = arena };
    interest_add_order(&list, &order);
    interest_fold(&list);
    assert_int_equal(list.count, 2);
    assert_int_equal(list.rows[1]->facts.bought_at_ms, 7);
    assert_str_equal(list.rows[1]->key.variant_id, STR("2"));
    order.contribution.counted = false;
    list = (struct interest_list){ .arena = arena };
    interest_add_order(&list, &order);
    assert_int_equal(list.count, 0);
}

/* --- the fold --------------------------------------------------------------- */

enum {
    FACTS = 40,
    ORDERS = 200
};

/* Few instants and prices, so that many tie. */
static struct event drawn(unsigned *seed)
{
    static const enum event_type types[] = { EVENT_PRODUCT_VIEWED, EVENT_PRODUCT_VIEWED,
                                             EVENT_CART_PRODUCT_ADDED, EVENT_WISHLIST_PRODUCT_ADDED,
                                             EVENT_WISHLIST_PRODUCT_REMOVED };
    unsigned draw[5];
    for (size_t i = 0; i < ARRAY_COUNT(draw); i++) {
        *seed = *seed * 1103515245u + 12345u;
        draw[i] = (*seed >> 16) & 0x7fff;
    }
    struct str json = str_printf(arena, "{\"product_id\":\"%c\",\"price\":%u%s}",
                                 'a' + (int)(draw[1] % 3), draw[2] % 4,
                                 draw[3] % 3 == 0   ? ",\"in_stock\":false"
                                 : draw[3] % 3 == 1 ? ",\"in_stock\":true"
                                                    : "");
    return event_of(types[draw[0] % ARRAY_COUNT(types)], 1 + draw[4] % 6, str_dup_z(arena, json));
}

static bool same(const struct interest_list *a, const struct interest_list *b)
{
    bool is_same = a->count == b->count;
    for (size_t i = 0; is_same && i < a->count; i++) {
        const struct interest *x = &a->rows[i]->facts;
        const struct interest *y = &b->rows[i]->facts;
        is_same = interest_key_compare(&a->rows[i]->key, &b->rows[i]->key) == 0 &&
                  x->viewed_at_ms == y->viewed_at_ms && x->view_count == y->view_count &&
                  x->out_of_stock_seen_at_ms == y->out_of_stock_seen_at_ms &&
                  x->price_minor == y->price_minor && x->price_seen_at_ms == y->price_seen_at_ms &&
                  x->carted_at_ms == y->carted_at_ms && x->wished_at_ms == y->wished_at_ms &&
                  x->unwished_at_ms == y->unwished_at_ms &&
                  a->rows[i]->asked_at_ms == b->rows[i]->asked_at_ms;
    }
    return is_same;
}

/* However they are shuffled and cut into batches. */
static void any_order_and_any_batches_give_the_same(void **state)
{
    (void)state;
    unsigned seed = 42;
    struct event events[FACTS];
    for (size_t i = 0; i < FACTS; i++) {
        events[i] = drawn(&seed);
    }
    struct interest_list whole = list_of(events, FACTS);
    for (int turn = 0; turn < ORDERS; turn++) {
        for (size_t i = FACTS - 1; i > 0; i--) {
            seed = seed * 1103515245u + 12345u;
            size_t other = (seed >> 16) % (i + 1);
            struct event event = events[i];
            events[i] = events[other];
            events[other] = event;
        }
        struct interest_list joined = { .arena = arena };
        for (size_t at = 0; at < FACTS; at += 7) {
            struct interest_list part = list_of(events + at, at + 7 < FACTS ? 7 : FACTS - at);
            for (size_t i = 0; i < part.count; i++) {
                interest_add_row(&joined, part.rows[i]);
            }
            interest_fold(&joined);
        }
        assert_true(same(&whole, &joined));
    }
    const struct interest_key *key = &whole.rows[1]->key;
    assert_ptr_equal(interest_find(&whole, key), whole.rows[1]);
}

/* --- what it means ----------------------------------------------------------- */

static void who_waits(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        int64_t seen_ms, bought_ms, substitute_ms;
        bool waits;
    } rows[] = {
        { "saw it sold out", 5, NONE, NONE, true },
        { "never saw it so", NONE, NONE, NONE, false },
        { "bought before", 5, 4, 4, true },
        { "bought since", 5, 6, NONE, false },
        { "bought in that millisecond", 5, 5, NONE, false },
        { "bought another since", 5, 1, 5, false },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct interest interest;
        interest_init(&interest);
        interest.out_of_stock_seen_at_ms = rows[i].seen_ms;
        interest.bought_at_ms = rows[i].bought_ms;
        interest.substitute_bought_at_ms = rows[i].substitute_ms;
        assert_row(interest_is_waiting(&interest) == rows[i].waits, rows[i].why);
    }
}

static const struct rule_program *compile(const char *text)
{
    const struct rule_vocabulary vocabulary = { .context = RULE_CONTEXT_TRIGGER };
    struct rule_node *root = NULL;
    struct rule_error error = { 0 };
    const struct rule_program *program = NULL;
    assert_row(rule_parse(arena, str_from_z(text), &vocabulary, &root, &error) == STATUS_OK, text);
    assert_row(rule_compile(arena, root, NULL, &program) == STATUS_OK, text);
    return program;
}

static void names_say_what_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool with; /* what is told */
        bool without;
    } rows[] = {
        { "interest.waiting", true, false },
        { "not interest.waiting", false, true },
        { "interest.out_of_stock_seen_at is set and not interest.bought_at >="
          " interest.out_of_stock_seen_at and not interest.substitute_bought_at >="
          " interest.out_of_stock_seen_at",
          true, false },
        { "interest.view_count >= 3", true, false },
        { "interest.viewed_at = interest.out_of_stock_seen_at", true, false },
        { "interest.carted_at is set", false, false },
        { "interest.wished_at is set", false, false }, /* taken back */
        { "interest.bought_at is set", true, false },
        { "interest.substitute_bought_at is not set", true, true },
        { "interest.price_seen = 749.95", true, false },
        { "product.price < interest.price_seen", true, false },
        { "product.price <= interest.price_seen * 0.9", true, false },
        { "product.compare_at_price is set", false, false },
        { "product.product_id = \"77\" and product.variant_id = \"1\"", true, false },
        { "product.sku = \"LIQ\" and product.name starts_with \"Liq\"", true, false },
        { "\"Snowboards\" in product.category", true, false },
        { "\"Skis\" in product.category", false, false },
        { "product.brand is set", false, false },
        { "product.currency = \"EUR\" and product.stock >= 12", true, false },
    };
    static const struct str category[] = { { "Sports", 6 }, { "Snowboards", 10 } };
    struct interest interest;
    interest_init(&interest);
    interest.viewed_at_ms = NOW_MS - INSTANT_DAY_MS;
    interest.view_count = 3;
    interest.out_of_stock_seen_at_ms = NOW_MS - INSTANT_DAY_MS;
    interest.price_seen_at_ms = 1;
    interest.price_minor = 74995;
    interest.currency = STR("EUR");
    interest.wished_at_ms = 3;
    interest.unwished_at_ms = 4;
    interest.bought_at_ms = 1;
    struct rule_product product = {
        .product_id = STR("77"),
        .variant_id = STR("1"),
        .sku = STR("LIQ"),
        .name = STR("Liquid"),
        .category = category,
        .category_count = 2,
        .currency = STR("EUR"),
        .has_price = true,
        .price_minor = 59900,
        .has_stock = true,
        .stock = 12,
    };
    const struct rule_subject told = { .interest = &interest, .product = &product };
    const struct rule_subject nothing = { .currency = STR("EUR") };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const struct rule_program *program = compile(rows[i].text);
        assert_row(rule_evaluate(arena, program, &told, NOW_MS, NULL) == rows[i].with,
                   rows[i].text);
        assert_row(rule_evaluate(arena, program, &nothing, NOW_MS, NULL) == rows[i].without,
                   rows[i].text);
        assert_row(rule_program_reads(program)->parts == 1u << RULE_PART_INTEREST, rows[i].text);
    }
    /* A price seen in other money is not compared. */
    product.currency = STR("USD");
    assert_false(rule_evaluate(arena, compile("interest.price_seen is set"), &told, NOW_MS, NULL));
}

static void an_age_knows_when_it_turns(void **state)
{
    (void)state;
    struct interest interest;
    interest_init(&interest);
    interest.out_of_stock_seen_at_ms = NOW_MS - INSTANT_DAY_MS;
    const struct rule_subject told = { .interest = &interest };
    int64_t until_ms = 0;
    assert_true(rule_evaluate(
        arena, compile("interest.waiting and age(interest.out_of_stock_seen_at) <= 90d"), &told,
        NOW_MS, &until_ms));
    assert_int_equal(until_ms, NOW_MS + 89 * INSTANT_DAY_MS + 1);
    assert_true(rule_evaluate(arena, compile("interest.waiting"), &told, NOW_MS, &until_ms));
    assert_true(until_ms == INSTANT_NEVER);
}

int main(void)
{
#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(each_event_says_its_part),
        CASE(ids_and_lines_have_limits),
        CASE(orders_say_it_while_they_count),
        CASE(any_order_and_any_batches_give_the_same),
        CASE(who_waits),
        CASE(names_say_what_is_told),
        CASE(an_age_knows_when_it_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
