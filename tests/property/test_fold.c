#undef NDEBUG

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "seeds.h"
#include "world.h"

/*
 * fold(state, event) gives the same state in any order of arrival, given the
 * same identities (design 7), and the same decision whenever it is made.
 *
 * Events of a small town of customers, each with its own customer id and
 * email: visits, carts, changed traits and consent, orders by several bodies,
 * refunds that name the order only, cancellations. They arrive in order,
 * shuffled, in batches of any size, some of them twice. A shuffled refund
 * meets an order that does not exist, so it makes a profile of its own, which
 * the order's customer absorbs later: merging is part of the property.
 */

enum {
    CUSTOMERS = 4,
    ORDERS = 6,
    EVENTS = 90,
    EVENTS_MAX = 200,
    SEEDS = 40,
    SHUFFLES = 3,
};

struct generator {
    uint64_t state;
    struct world *world;
    struct event *events[EVENTS_MAX];
    size_t count;
};

static uint32_t draw(struct generator *generator, uint32_t below)
{
    generator->state ^= generator->state << 13;
    generator->state ^= generator->state >> 7;
    generator->state ^= generator->state << 17;
    return (uint32_t)((generator->state >> 16) % below);
}

static struct event *customer_event(struct generator *generator, uint32_t customer)
{
    static const char *const specs[] = { "S c%u e%u", "K c%u e%u", "P c%u e%u a%u" };
    uint32_t kind = draw(generator, 8);
    const char *spec = specs[kind < 6 ? 0 : kind - 5];
    char text[64];
    if (spec == specs[2]) {
        snprintf(text, sizeof(text), "P c%u e%u a%u", customer, customer, customer);
    } else {
        snprintf(text, sizeof(text), "%c c%u e%u", spec[0], customer, customer);
    }
    struct event *event = world_event(generator->world, text);
    /* Whole minutes within 100 days, so that instants tie now and then. */
    event->occurred_at_ms = WORLD_START_MS - draw(generator, 144000) * INSTANT_MINUTE_MS;
    event->received_at_ms = WORLD_START_MS - draw(generator, 3) * INSTANT_SECOND_MS;
    event->act = draw(generator, 3) == 0;
    return event;
}

static void add_fact(struct generator *generator, struct event *event, enum fact_kind kind,
                     const char *key, const char *value)
{
    struct arena *arena = generator->world->arena;
    struct event_fact *facts = ARENA_NEW_ARRAY(arena, event->fact_count + 1, struct event_fact);
    for (size_t i = 0; i < event->fact_count; i++) {
        facts[i] = event->facts[i];
    }
    facts[event->fact_count++] = (struct event_fact){
        .kind = kind,
        .key = str_from_z(key),
        .value_json = str_from_z(value),
    };
    event->facts = facts;
}

static void add_random_facts(struct generator *generator, struct event *event)
{
    static const char *const keys[] = { "first_name", "city", "loyalty_tier", "email" };
    static const char *const values[] = { "\"a\"", "\"b\"", "null", "12", "true" };
    static const char *const channels[] = { "email", "sms" };
    static const char *const states[] = { "\"subscribed\"", "\"unsubscribed\"", "\"pending\"" };
    for (uint32_t i = draw(generator, 4); i > 0; i--) {
        add_fact(generator, event, FACT_TRAIT, keys[draw(generator, 4)],
                 values[draw(generator, 5)]);
    }
    if (draw(generator, 2) == 0) {
        add_fact(generator, event, FACT_CONSENT, channels[draw(generator, 2)],
                 states[draw(generator, 3)]);
    }
    if (draw(generator, 4) == 0) {
        add_fact(generator, event, FACT_PREFERENCE, "interests", values[draw(generator, 5)]);
    }
    if (draw(generator, 4) == 0) {
        static const char *const carts[] = { "{\"items_count\":1}", "{\"items_count\":2}", "null" };
        event->cart_json = str_from_z(carts[draw(generator, 3)]);
        event->type = EVENT_CART_UPDATED;
        event->name = STR("cart.updated");
    }
    if (draw(generator, 8) == 0) {
        event->type = EVENT_CUSTOMER_CREATED;
        event->name = STR("customer.created");
    }
}

/* Bodies of one order agree on whose it is; a shop may correct when it was
 * placed. */
static struct event *order_body(struct generator *generator, uint32_t number)
{
    struct arena *arena = generator->world->arena;
    uint32_t customer = number % CUSTOMERS;
    char spec[64];
    snprintf(spec, sizeof(spec), "S c%u e%u o%u", customer, customer, number);
    struct event *event = world_event(generator->world, spec);
    struct order_document *document = ARENA_NEW(arena, struct order_document);
    uint32_t rank = draw(generator, 4);
    int64_t base_ms = WORLD_START_MS - (int64_t)(number + 1) * 7 * INSTANT_DAY_MS;
    *document = (struct order_document){
        .kind = ORDER_BODY,
        .order_ref = str_printf(arena, "o%u", number),
        /* Two versions only: ties are common, and decided by rank and hash. */
        .version_ms = base_ms + draw(generator, 2) * INSTANT_SECOND_MS,
        .rank = (enum order_rank)rank,
        .counts = rank != ORDER_CANCELLED && draw(generator, 4) > 0,
        .placed_at_ms = base_ms - draw(generator, 3) * INSTANT_DAY_MS,
        .currency = draw(generator, 6) == 0 ? STR("USD") : STR("EUR"),
        .total_minor = 1000 + draw(generator, 5) * 500,
        .refunded_minor = draw(generator, 3) * 100,
        .body_json = str_printf(arena, "{\"n\":%u}", draw(generator, 5)),
    };
    event->order = document;
    event->type = EVENT_ORDER_UPDATED;
    event->name = STR("order.updated");
    event->act = false;
    event->occurred_at_ms = document->version_ms;
    return event;
}

static struct event *order_part(struct generator *generator, uint32_t number)
{
    struct arena *arena = generator->world->arena;
    char spec[64];
    snprintf(spec, sizeof(spec), "S o%u", number);
    struct event *event = world_event(generator->world, spec);
    struct order_document *document = ARENA_NEW(arena, struct order_document);
    static const enum order_document_kind kinds[] = { ORDER_REFUND, ORDER_REFUND, ORDER_FULFILMENT,
                                                      ORDER_CANCELLATION };
    static const enum event_type types[] = { EVENT_ORDER_REFUNDED, EVENT_ORDER_REFUNDED,
                                             EVENT_ORDER_FULFILLED, EVENT_ORDER_CANCELLED };
    uint32_t kind = draw(generator, 12) == 0 ? 3 : draw(generator, 3);
    *document = (struct order_document){
        .kind = kinds[kind],
        .order_ref = str_printf(arena, "o%u", number),
        .document_ref = str_printf(arena, "part%u", draw(generator, 3)),
        .at_ms = WORLD_START_MS - draw(generator, 100) * INSTANT_HOUR_MS,
        .amount_minor = draw(generator, 4) * 250,
    };
    event->order = document;
    event->type = types[kind];
    event->name = str_from_z(event_type_info(types[kind])->name);
    event->act = false;
    event->occurred_at_ms = document->at_ms;
    return event;
}

static void generate(struct generator *generator, struct world *world, uint64_t seed)
{
    *generator = (struct generator){ .state = seed * 0x9e3779b97f4a7c15u + 1, .world = world };
    /* Each customer and order is met at least once, so that the identities do
     * not depend on what was drawn. */
    for (uint32_t i = 0; i < ORDERS; i++) {
        generator->events[generator->count++] = order_body(generator, i);
    }
    for (uint32_t i = 0; i < EVENTS; i++) {
        uint32_t kind = draw(generator, 3);
        struct event *event = NULL;
        if (kind == 0) {
            event = customer_event(generator, draw(generator, CUSTOMERS));
            add_random_facts(generator, event);
        } else if (kind == 1) {
            event = order_body(generator, draw(generator, ORDERS));
        } else {
            event = order_part(generator, draw(generator, ORDERS));
        }
        generator->events[generator->count++] = event;
    }
    for (uint32_t i = 0; i < EVENTS / 5; i++) {
        struct event *repeated = generator->events[draw(generator, (uint32_t)generator->count)];
        generator->events[generator->count++] = repeated;
    }
}

static void shuffle(struct generator *generator)
{
    for (size_t i = generator->count; i > 1; i--) {
        size_t j = draw(generator, (uint32_t)i);
        struct event *swapped = generator->events[i - 1];
        generator->events[i - 1] = generator->events[j];
        generator->events[j] = swapped;
    }
}

static void apply_in_batches(struct generator *generator, uint32_t batch_max)
{
    struct world *world = generator->world;
    size_t done = 0;
    while (done < generator->count) {
        size_t size = 1 + draw(generator, batch_max);
        if (size > generator->count - done) {
            size = generator->count - done;
        }
        world_apply(world, generator->events + done, size);
        done += size;
        world->now_ms += draw(generator, 10) * INSTANT_SECOND_MS;
    }
    world->now_ms = WORLD_START_MS + INSTANT_DAY_MS;
    world_sweep(world);
}

/* The state after a shuffle: 0 is none. */
static struct str state_after(struct world *world, uint64_t seed, uint32_t shuffles)
{
    struct generator generator;
    generate(&generator, world, seed);
    for (uint32_t i = 0; i < shuffles; i++) {
        shuffle(&generator);
    }
    apply_in_batches(&generator, 1 + shuffles * 5);
    return world_state(world);
}

static void check_any_order(uint64_t seed)
{
    struct world *first = world_open();
    struct str expected = state_after(first, seed, 0);
    assert(expected.size > 1000);
    for (uint32_t i = 1; i <= SHUFFLES; i++) {
        struct world *other = world_open();
        struct str state = state_after(other, seed, i);
        if (!str_equal(state, expected)) {
            printf(
                "seed %llu, shuffle %u: another order of arrival, another state\n%.*s\n---\n%.*s\n",
                (unsigned long long)seed, i, STR_ARG(expected), STR_ARG(state));
            exit(1);
        }
        world_close(other);
    }
    world_close(first);
}

static struct str everything_after(struct world *world, uint64_t seed)
{
    struct generator generator;
    world_subscribe(world, "*");
    world_subscribe(world, "order.*");
    generate(&generator, world, seed);
    shuffle(&generator);
    apply_in_batches(&generator, 7);
    return world_everything(world);
}

/* decide twice == once: ids, bodies and states to the byte. */
static void check_deterministic(uint64_t seed)
{
    struct world *first = world_open();
    struct world *second = world_open();
    struct str once = everything_after(first, seed);
    struct str twice = everything_after(second, seed);
    if (!str_equal(once, twice) || first->notification_count == 0) {
        printf("seed %llu: decided again, decided differently\n", (unsigned long long)seed);
        exit(1);
    }
    world_close(first);
    world_close(second);
}

/* order.completed at most once an order, and exactly once if it counts. */
static void check_completed_once(uint64_t seed)
{
    struct world *world = world_open();
    struct generator generator;
    generate(&generator, world, seed);
    shuffle(&generator);
    apply_in_batches(&generator, 9);
    for (size_t i = 0; i < world->order_count; i++) {
        size_t completed = 0;
        for (size_t j = 0; j < world->interaction_count; j++) {
            const struct event *event = world->interactions[j].event;
            completed += event->type == EVENT_ORDER_COMPLETED &&
                                 str_equal(event->order->order_ref, world->orders[i]->order_ref)
                             ? 1
                             : 0;
        }
        bool right = completed == (world->orders[i]->completed ? 1 : 0) &&
                     (world->orders[i]->completed || !world->orders[i]->contribution.counted);
        if (!right) {
            printf("seed %llu: order %.*s completed %zu times\n", (unsigned long long)seed,
                   STR_ARG(world->orders[i]->order_ref), completed);
            exit(1);
        }
    }
    world_close(world);
}

int main(void)
{
    const struct seeds seeds = seeds_of(SEEDS);
    for (uint64_t seed = seeds.first; seed <= seeds.last; seed += seeds.step) {
        check_any_order(seed);
        check_deterministic(seed);
        check_completed_once(seed);
    }
    printf("%zu seeds\n", seeds.count);
    return 0;
}
