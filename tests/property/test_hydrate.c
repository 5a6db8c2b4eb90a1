#undef NDEBUG

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

/*
 * fold = hydrate (design 7): a profile that was brought forward event by event
 * says what the same profile says that is folded anew from what the database
 * keeps: stored interactions, orders as they stand, identities.
 *
 * Worlds are drawn: a few customers who look, open mail, fill carts, order;
 * orders that change, are refunded, cancelled, placed at another time; cookies
 * that turn out to be somebody; facts that come weeks late, twice, many in one
 * commit. The rules are drawn too, from a pool with every aggregate and form.
 * Half of the worlds read no history while they decide, as a customer with a
 * long one is treated, and are hydrated in the end.
 */

enum {
    CUSTOMERS = 5,
    ORDERS = 12,
    EVENTS = 260,
    EVENTS_MAX = 640,
    SEEDS = 300,
    RULES_MIN = 8,
    BATCH_MAX = 6,
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

struct generator {
    uint64_t seed;
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

/* --- rules ---------------------------------------------------------------- */

static void draw_rules(struct generator *generator)
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
    uint32_t voice = draw(generator, 6);
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
    uint32_t customer = number % CUSTOMERS;
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
    set_instants(generator, event, document->placed_at_ms);
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

static void draw_events(struct generator *generator)
{
    for (uint32_t i = 0; i < EVENTS; i++) {
        uint32_t kind = draw(generator, 10);
        struct event *event = kind < 7   ? customer_event(generator, draw(generator, CUSTOMERS))
                              : kind < 9 ? order_event(generator, draw(generator, ORDERS))
                                         : part_event(generator, draw(generator, ORDERS));
        generator->events[generator->count++] = event;
    }
    /* Now and then one customer looks at more than a window keeps exactly. */
    uint32_t more = draw(generator, 3) == 0 ? 250 : 0;
    for (uint32_t i = 0; i < more; i++) {
        struct event *event = world_event(generator->world, "S c0 e0");
        set_instants(generator, event, draw_instant(generator));
        generator->events[generator->count++] = look(generator, event);
    }
    for (uint32_t i = 0; i < EVENTS / 10; i++) {
        generator->events[generator->count] = generator->events[draw(generator, EVENTS)];
        generator->count++;
    }
    assert(generator->count <= EVENTS_MAX);
    qsort(generator->events, generator->count, sizeof(struct event *), compare_arrivals);
}

static void apply(struct generator *generator)
{
    struct world *world = generator->world;
    for (size_t done = 0; done < generator->count;) {
        size_t size = 1 + draw(generator, BATCH_MAX);
        size = size < generator->count - done ? size : generator->count - done;
        world->now_ms = generator->events[done + size - 1]->received_at_ms;
        world_apply(world, generator->events + done, size);
        done += size;
        if (draw(generator, 40) == 0) {
            world_sweep(world);
        }
    }
    world->now_ms += draw(generator, 30) * INSTANT_DAY_MS;
    world_sweep(world);
}

/* --- the comparison -------------------------------------------------------- */

struct comparison {
    struct generator *generator;
    const struct profile *stored;
    const struct profile *folded;
    size_t differences;
};

static void differ(struct comparison *comparison, const char *what, struct str which)
{
    if (comparison->differences == 0) {
        printf("seed %llu: fold and hydrate differ\n",
               (unsigned long long)comparison->generator->seed);
    }
    printf("  %s %.*s\n", what, STR_ARG(which));
    comparison->differences++;
}

static void compare_i64(struct comparison *comparison, const char *what, int64_t stored,
                        int64_t folded)
{
    if (stored != folded) {
        struct arena *arena = comparison->generator->world->arena;
        differ(comparison, what,
               str_printf(arena, "stored %lld, folded %lld", (long long)stored, (long long)folded));
    }
}

static void compare_features(struct comparison *comparison)
{
    struct world *world = comparison->generator->world;
    const struct ruleset *ruleset = world_newest_rules(world);
    for (size_t i = 0; i < ruleset->feature_count; i++) {
        const struct feature *feature = &ruleset->features[i];
        const struct feature_state *a =
            feature_find(&comparison->stored->features, feature->number);
        const struct feature_state *b =
            feature_find(&comparison->folded->features, feature->number);
        if (!feature_equal(world->arena, feature, a, b, world->now_ms)) {
            differ(comparison, "feature", feature->text);
        }
    }
}

static void compare_verdicts(struct comparison *comparison)
{
    const struct ruleset *ruleset = world_newest_rules(comparison->generator->world);
    for (size_t i = 0; i < ruleset->rule_count; i++) {
        const struct rule *rule = &ruleset->rules[i];
        const struct verdict *a =
            verdict_find(&comparison->stored->verdicts, rule->definition.slot);
        const struct verdict *b =
            verdict_find(&comparison->folded->verdicts, rule->definition.slot);
        if ((a == NULL) != (b == NULL) || (a != NULL && !str_equal(a->value, b->value))) {
            differ(comparison, a != NULL ? "only stored holds:" : "only folded holds:",
                   rule->definition.cases[0].when);
        }
    }
    if (comparison->stored->due_at_ms > comparison->folded->due_at_ms) {
        compare_i64(comparison, "due at", comparison->stored->due_at_ms,
                    comparison->folded->due_at_ms);
    }
}

static struct str indicator_bytes(struct world *world, const struct profile *profile)
{
    struct indicators indicators = profile->indicators;
    struct buf buf;
    indicators.dropped_order_ms = INSTANT_NONE; /* what was thrown away, not what is known */
    buf_init(&buf, world->arena, 65536);
    bool encoded = indicators_encode(&indicators, &buf);
    assert(encoded);
    return buf_str(&buf);
}

static void compare_facts(struct comparison *comparison)
{
    const struct profile *a = comparison->stored;
    const struct profile *b = comparison->folded;
    compare_i64(comparison, "facts", (int64_t)a->fact_count, (int64_t)b->fact_count);
    for (size_t i = 0; i < a->fact_count && i < b->fact_count; i++) {
        const struct profile_fact *one = &a->facts[i];
        const struct profile_fact *other = &b->facts[i];
        if (one->kind != other->kind || !str_equal(one->key, other->key) ||
            !str_equal(one->value_json, other->value_json) || one->trust != other->trust ||
            one->occurred_at_ms != other->occurred_at_ms ||
            one->received_at_ms != other->received_at_ms ||
            !id_equal(one->event_id, other->event_id)) {
            differ(comparison, "fact", one->key);
        }
    }
    for (size_t kind = 0; kind < IDENTITY_KIND_COUNT; kind++) {
        compare_i64(comparison, "identities", a->identity_counts[kind], b->identity_counts[kind]);
    }
    compare_i64(comparison, "exclusives", (int64_t)a->exclusive_count, (int64_t)b->exclusive_count);
    compare_i64(comparison, "identified", a->identified, b->identified);
}

static void compare_sums(struct comparison *comparison)
{
    const struct profile *a = comparison->stored;
    const struct profile *b = comparison->folded;
    compare_i64(comparison, "first seen", a->first_seen_at_ms, b->first_seen_at_ms);
    compare_i64(comparison, "last seen", a->last_seen_at_ms, b->last_seen_at_ms);
    compare_i64(comparison, "signed up", a->signed_up_at_ms, b->signed_up_at_ms);
    compare_i64(comparison, "orders", a->orders.count, b->orders.count);
    compare_i64(comparison, "foreign", a->orders.foreign_count, b->orders.foreign_count);
    compare_i64(comparison, "gross", a->orders.gross_minor, b->orders.gross_minor);
    compare_i64(comparison, "refunded", a->orders.refunded_minor, b->orders.refunded_minor);
    compare_i64(comparison, "largest", a->orders.largest_minor, b->orders.largest_minor);
    compare_i64(comparison, "first order", a->orders.first_at_ms, b->orders.first_at_ms);
    compare_i64(comparison, "last order", a->orders.last_at_ms, b->orders.last_at_ms);
    compare_i64(comparison, "cart", a->cart_at_ms, b->cart_at_ms);
    if (!str_equal(a->cart_json, b->cart_json)) {
        differ(comparison, "cart", a->cart_json);
    }
}

static size_t compare(struct generator *generator, const struct profile *stored)
{
    struct world *world = generator->world;
    struct comparison comparison = { .generator = generator,
                                     .stored = stored,
                                     .folded = world_hydrated(world, stored) };
    assert(!stored->needs_history);
    assert(stored->ruleset_version == world_newest_rules(world)->version);
    compare_sums(&comparison);
    compare_facts(&comparison);
    if (!str_equal(indicator_bytes(world, stored), indicator_bytes(world, comparison.folded))) {
        differ(&comparison, "indicators", (struct str){ 0 });
    }
    compare_features(&comparison);
    compare_verdicts(&comparison);
    return comparison.differences;
}

static size_t compare_all(struct generator *generator)
{
    size_t differences = 0;
    for (size_t i = 0; i < generator->world->profile_count; i++) {
        const struct profile *profile = generator->world->profiles[i];
        if (id_is_zero(profile->merged_into)) {
            differences += compare(generator, profile);
        }
    }
    return differences;
}

struct tally {
    size_t differences;
    size_t merges;
    size_t transitions;
    size_t profiles;
};

static void run(uint64_t seed, struct tally *tally)
{
    struct world *world = world_open();
    struct generator *generator = ARENA_NEW(world->arena, struct generator);
    assert(generator != NULL);
    *generator =
        (struct generator){ .seed = seed, .state = seed * 0x9e3779b97f4a7c15u + 1, .world = world };
    draw_rules(generator);
    draw_events(generator);
    world->history_max = seed % 2 == 0 ? 500 : 0;
    apply(generator);
    world_hydrate(world); /* whoever a last event left in want of its history */
    tally->differences += compare_all(generator);
    tally->merges += world_count_decisions(world, IDENTITY_MERGED);
    tally->transitions += world->transition_count;
    tally->profiles += world->profile_count;
    world_close(world);
}

int main(void)
{
    const char *given = getenv("SHOPBELL_SEED");
    uint64_t first = given != NULL ? strtoull(given, NULL, 10) : 1;
    uint64_t last = given != NULL ? first : SEEDS;
    struct tally tally = { 0 };
    for (uint64_t seed = first; seed <= last; seed++) {
        run(seed, &tally);
    }
    printf("%llu seeds, %zu profiles, %zu merges, %zu transitions, %zu differences\n",
           (unsigned long long)(last - first + 1), tally.profiles, tally.merges, tally.transitions,
           tally.differences);
    return tally.differences > 0;
}
