#undef NDEBUG

#include "draw.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * What shops do to an engine, in proportion to what it may break: looks and
 * mail and carts, orders that change, are refunded, cancelled, found to have
 * been placed at another time; cookies that turn out to be somebody.
 */

enum {
    RULES_MIN = 8
};

#define SPAN_MINUTES (100u * 24 * 60)

static const char *const pool[] = {
    "count(page.viewed within 24h) >= 2",
    "count(page.viewed within 1d) < 3",
    "count(product.viewed where category = \"Shoes\" within 10d) >= 3",
    "count(product.viewed where price > 50 within 30d) = 2",
    "count(product.viewed) > 4",
    "count(product.viewed within 90d) > 70",
    "sum(product.viewed.price within 30d) > 200",
    "sum(product.viewed.price within 6d) > 50",
    "sum(product.viewed.price) > 300",
    "avg(product.viewed.price within 40d) >= 50",
    "avg(product.viewed.price) < 60",
    "min(product.viewed.price within 40d) < 20",
    "max(product.viewed.price within 60d) > 90",
    "distinct(product.viewed.category within 30d) >= 2",
    "distinct(product.viewed.category) = 3",
    "distinct(product.viewed.product_id where category = \"Hats\" within 50d) >= 2",
    "max_count(product.viewed by category within 20d) >= 2",
    "max_count(product.viewed by product_id) >= 4",
    "first(product.viewed) < 2026-06-20",
    "last(product.viewed where category = \"Hats\") > 2026-08-20",
    "last(product.viewed.price) > 50",
    "first(product.viewed.price) > 50",
    "last(product.viewed.category) = \"Shoes\"",
    "first(order.completed.total) >= 15",
    "last(order.completed.net) >= 15",
    "last(order.completed.coupon) = \"SPRING\"",
    "count(order.completed within 90d) >= 2",
    "count(order.completed within 40d) = 1",
    "count(order.completed where total > 15 within 200d) >= 2",
    "count(order.completed where net < total) >= 1",
    "sum(order.completed.total within 90d) > 30",
    "sum(order.completed.net) > 30",
    "avg(order.completed.total) > 15",
    "max(order.completed.net within 60d) > 10",
    "min(order.completed.total within 100d) < 15",
    "distinct(order.completed.coupon within 90d) >= 2",
    "max_count(order.completed by coupon within 90d) >= 2",
    "last(order.completed) > 2026-08-10T12:00:00Z",
    "first(order.completed) < 2026-07-10",
    "count(product.viewed after last(order.completed)) >= 2",
    "count(page.viewed within 20d after last(product.viewed)) >= 1",
    "sum(product.viewed.price within 50d after cart.updated_at) > 40",
    "count(email.opened within 30d) >= 2 and count(email.clicked within 30d) = 0",
    "engagement.score >= 5",
    "engagement.level = \"medium\" or engagement.last_clicked_at is set",
    "orders.count >= 2 and orders.average_value > 20",
    "orders.largest_value > 25 or orders.refunded > 3",
    "age(orders.first_at) > 40d and age(orders.last_at) < 60d",
    "orders.cycle_stage = \"overdue\" or orders.next_expected_at is set",
    "habits.top_weekday in (\"monday\", \"friday\") or habits.top_channel = \"online\"",
    "cart.items_count > 0 and age(cart.updated_at) >= 1h and age(cart.updated_at) < 20d",
    "cart.updated_at is set",
    "traits.city = \"a\" or traits.loyalty_tier is set",
    "consent.email = \"subscribed\" and not consent.sms = \"unsubscribed\"",
    "\"premium\" in preferences.interests",
    "identified and email is set and not phone is set",
    "signed_up_at is set or age(first_seen_at) > 70d",
    "age(last_seen_at) > 9d",
    "count(custom.quiz where score >= 5 within 60d) >= 1",
    "sum(custom.quiz.score) > 10",
    "count(order.refunded within 60d) >= 1 or count(order.cancelled) >= 1",
    "count(cart.updated within 3d) >= 1",
};

struct generator *generator_open(struct world *world, uint64_t seed)
{
    struct generator *generator = ARENA_NEW(world->arena, struct generator);
    assert(generator != NULL);
    generator->seed = seed;
    generator->state = seed * 0x9e3779b97f4a7c15u + 1;
    generator->world = world;
    return generator;
}

uint32_t draw(struct generator *generator, uint32_t below)
{
    generator->state ^= generator->state << 13;
    generator->state ^= generator->state >> 7;
    generator->state ^= generator->state << 17;
    return (uint32_t)((generator->state >> 16) % below);
}

/* --- rules ---------------------------------------------------------------- */

void draw_rules(struct generator *generator)
{
    struct rule_definition rules[ARRAY_COUNT(pool)];
    struct rule_case cases[ARRAY_COUNT(pool)];
    size_t count = 0;
    size_t wanted = RULES_MIN + draw(generator, (uint32_t)ARRAY_COUNT(pool) - RULES_MIN);
    for (size_t i = 0; i < ARRAY_COUNT(pool); i++) {
        if (draw(generator, (uint32_t)ARRAY_COUNT(pool)) >= wanted && count > 0) {
            continue;
        }
        cases[count] = (struct rule_case){ .when = str_from_z(pool[i]) };
        rules[count] = (struct rule_definition){
            .name = str_printf(generator->world->arena, "rule_%zu", i),
            .kind = i % 3 == 0 ? RULE_KIND_TAG : RULE_KIND_SEGMENT,
            .cases = &cases[count],
            .case_count = 1,
        };
        count++;
    }
    struct rule_definition *kept =
        ARENA_NEW_ARRAY(generator->world->arena, count, struct rule_definition);
    struct rule_case *kept_cases =
        ARENA_NEW_ARRAY(generator->world->arena, count, struct rule_case);
    for (size_t i = 0; i < count; i++) {
        kept_cases[i] = cases[i];
        kept[i] = rules[i];
        kept[i].cases = &kept_cases[i];
    }
    world_set_rules(generator->world, kept, count);
}

/* --- events --------------------------------------------------------------- */

static void set_type(struct event *event, enum event_type type)
{
    event->type = type;
    event->name =
        type == EVENT_CUSTOM ? STR("custom.quiz") : str_from_z(event_type_info(type)->name);
    event->act = event_type_info(type)->act;
}

/* Facts come in time, or up to twenty days late. */
static void set_instants(struct generator *generator, struct event *event, int64_t occurred_at_ms)
{
    int64_t late_ms =
        draw(generator, 6) == 0 ? draw(generator, 20 * 24 * 60) * INSTANT_MINUTE_MS : 0;
    event->occurred_at_ms = occurred_at_ms;
    event->claimed_at_ms = occurred_at_ms;
    event->received_at_ms = occurred_at_ms + late_ms;
}

static int64_t draw_instant(struct generator *generator)
{
    return WORLD_START_MS + draw(generator, SPAN_MINUTES) * INSTANT_MINUTE_MS;
}

static struct event *look(struct generator *generator, struct event *event)
{
    static const char *const categories[] = { "Shoes", "Hats", "Coats" };
    struct arena *arena = generator->world->arena;
    set_type(event, EVENT_PRODUCT_VIEWED);
    event->product_id = str_printf(arena, "p%u", draw(generator, 6));
    event->category = str_from_z(categories[draw(generator, 3)]);
    event->properties_json =
        draw(generator, 5) == 0
            ? (struct str){ 0 }
            : str_printf(arena, "{\"price\":%u.5,\"category\":\"%.*s\",\"product_id\":\"%.*s\"}",
                         draw(generator, 100), STR_ARG(event->category),
                         STR_ARG(event->product_id));
    return event;
}

static void say(struct generator *generator, struct event *event, enum fact_kind kind,
                const char *key, const char *value)
{
    event->facts = ARENA_NEW(generator->world->arena, struct event_fact);
    assert(event->facts != NULL);
    *event->facts = (struct event_fact){ kind, str_from_z(key), str_from_z(value) };
    event->fact_count = 1;
}

static void tell(struct generator *generator, struct event *event)
{
    static const char *const values[] = { "\"a\"", "\"b\"", "null", "12" };
    static const char *const states[] = { "\"subscribed\"", "\"unsubscribed\"", "\"pending\"" };
    static const char *const interests[] = { "[\"premium\",\"x\"]", "[]", "null" };
    static const char *const keys[] = { "city", "loyalty_tier" };
    switch (draw(generator, 3)) {
    case 0:
        set_type(event, EVENT_CUSTOMER_UPDATED);
        say(generator, event, FACT_TRAIT, keys[draw(generator, 2)], values[draw(generator, 4)]);
        break;
    case 1:
        set_type(event, EVENT_CONSENT_UPDATED);
        say(generator, event, FACT_CONSENT, draw(generator, 2) == 0 ? "email" : "sms",
            states[draw(generator, 3)]);
        break;
    default:
        set_type(event, EVENT_PREFERENCE_UPDATED);
        say(generator, event, FACT_PREFERENCE, "interests", interests[draw(generator, 3)]);
        break;
    }
}

static struct event *customer_event(struct generator *generator, uint32_t customer)
{
    static const char *const carts[] = { "{\"items_count\":1}", "{\"items_count\":2}", "null" };
    struct world *world = generator->world;
    char spec[64];
    /* The cookie's visits are nobody's until one names the customer. */
    uint32_t voice = generator->is_plain ? 2 : draw(generator, 6);
    snprintf(spec, sizeof(spec),
             voice == 0   ? "P a%u"
             : voice == 1 ? "P c%u a%u"
                          : "S c%u e%u",
             customer, customer);
    struct event *event = world_event(world, spec);
    set_instants(generator, event, draw_instant(generator));
    switch (draw(generator, 10)) {
    case 0:
    case 1:
    case 2:
    case 3:
        return look(generator, event);
    case 4:
        set_type(event, draw(generator, 3) > 0 ? EVENT_EMAIL_OPENED : EVENT_EMAIL_CLICKED);
        break;
    case 5:
        set_type(event, EVENT_CART_UPDATED);
        event->cart_json = str_from_z(carts[draw(generator, 3)]);
        break;
    case 6:
        tell(generator, event);
        break;
    case 7:
        set_type(event, EVENT_CUSTOM);
        event->properties_json = str_printf(world->arena, "{\"score\":%u}", draw(generator, 10));
        break;
    case 8:
        set_type(event, draw(generator, 6) == 0 ? EVENT_CUSTOMER_CREATED : EVENT_EMAIL_DELIVERED);
        break;
    default:
        set_type(event, EVENT_PAGE_VIEWED);
        break;
    }
    return event;
}

static struct event *order_event(struct generator *generator, uint32_t number)
{
    static const char *const coupons[] = { "", "SPRING", "FALL" };
    static const char *const channels[] = { "online", "pos" };
    struct arena *arena = generator->world->arena;
    uint32_t customer = number % DRAW_CUSTOMERS;
    char spec[64];
    snprintf(spec, sizeof(spec), "S c%u e%u o%u", customer, customer, number);
    struct event *event = world_event(generator->world, spec);
    int64_t base_ms = WORLD_START_MS + (int64_t)number * 8 * INSTANT_DAY_MS;
    int64_t changed_ms = base_ms + draw(generator, 10 * 24 * 60) * INSTANT_MINUTE_MS;
    struct order_document *document = ARENA_NEW(arena, struct order_document);
    /* One order is found, five days on, to have been placed a day earlier. It
     * always counts: what only a body that was overruled said is nowhere kept. */
    bool moves = number == 3;
    bool is_moved = moves && changed_ms > base_ms + 5 * INSTANT_DAY_MS;
    *document = (struct order_document){
        .kind = ORDER_BODY,
        .order_ref = str_printf(arena, "o%u", number),
        .version_ms = changed_ms,
        .rank = !moves && draw(generator, 10) == 0 ? ORDER_CANCELLED : ORDER_PAID,
        .counts = changed_ms > base_ms + INSTANT_DAY_MS, /* a draft for a day */
        .placed_at_ms = base_ms - (is_moved ? INSTANT_DAY_MS : 0),
        .currency = draw(generator, 10) == 0 ? STR("USD") : STR("EUR"),
        .total_minor = 1000 + draw(generator, 5) * 500,
        .refunded_minor = draw(generator, 6) == 0 ? 200 : 0,
        .body_json = str_printf(arena, "{\"coupon\":\"%s\",\"channel\":\"%s\"}",
                                coupons[draw(generator, 3)], channels[draw(generator, 2)]),
    };
    event->order = document;
    set_type(event, draw(generator, 2) == 0 ? EVENT_ORDER_COMPLETED : EVENT_ORDER_UPDATED);
    event->act = false;
    set_instants(generator, event, changed_ms);
    return event;
}

static struct event *part_event(struct generator *generator, uint32_t number)
{
    struct arena *arena = generator->world->arena;
    bool cancels = number != 3 && draw(generator, 5) == 0;
    char spec[64];
    snprintf(spec, sizeof(spec), "S o%u", number);
    struct event *event = world_event(generator->world, spec);
    struct order_document *document = ARENA_NEW(arena, struct order_document);
    int64_t at_ms = WORLD_START_MS + (int64_t)number * 8 * INSTANT_DAY_MS +
                    draw(generator, 40 * 24 * 60) * INSTANT_MINUTE_MS;
    *document = (struct order_document){
        .kind = cancels ? ORDER_CANCELLATION : ORDER_REFUND,
        .order_ref = str_printf(arena, "o%u", number),
        .document_ref = str_printf(arena, "part%u", draw(generator, 3)),
        .at_ms = at_ms,
        .amount_minor = draw(generator, 4) * 250,
    };
    event->order = document;
    set_type(event, cancels ? EVENT_ORDER_CANCELLED : EVENT_ORDER_REFUNDED);
    set_instants(generator, event, at_ms);
    return event;
}

static int compare_arrivals(const void *a, const void *b)
{
    const struct event *one = *(struct event *const *)a;
    const struct event *other = *(struct event *const *)b;
    if (one->received_at_ms != other->received_at_ms) {
        return one->received_at_ms < other->received_at_ms ? -1 : 1;
    }
    return id_compare(one->id, other->id);
}

void draw_events(struct generator *generator)
{
    for (uint32_t i = 0; i < DRAW_EVENTS; i++) {
        uint32_t kind = draw(generator, 10);
        struct event *event = kind < 7 ? customer_event(generator, draw(generator, DRAW_CUSTOMERS))
                              : kind < 9 ? order_event(generator, draw(generator, DRAW_ORDERS))
                                         : part_event(generator, draw(generator, DRAW_ORDERS));
        generator->events[generator->count++] = event;
    }
    for (uint32_t i = 0; i < DRAW_ORDERS && generator->is_plain; i++) {
        generator->events[i] = order_event(generator, i);
    }
    /* Now and then one customer looks at more than a window keeps exactly. */
    uint32_t more = draw(generator, 3) == 0 ? 250 : 0;
    for (uint32_t i = 0; i < more; i++) {
        struct event *event = world_event(generator->world, "S c0 e0");
        set_instants(generator, event, draw_instant(generator));
        generator->events[generator->count++] = look(generator, event);
    }
    for (uint32_t i = 0; i < DRAW_EVENTS / 10; i++) {
        generator->events[generator->count] = generator->events[draw(generator, DRAW_EVENTS)];
        generator->count++;
    }
    assert(generator->count <= DRAW_EVENTS_MAX);
    qsort(generator->events, generator->count, sizeof(struct event *), compare_arrivals);
}
