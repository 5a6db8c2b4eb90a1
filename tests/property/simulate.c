#undef NDEBUG

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "core/decide.h"
#include "core/profile/hydrate.h"

/*
 * Ninety days of a shop on a virtual clock: simulate <customers> <seed> <events>
 * <transitions>. Writes what happened (NDJSON, in order of arrival) and every
 * transition that the engine committed, for oracle.py to say the same again.
 *
 * The shell is as small as it can be: one row per customer, profile and orders
 * through their codecs at every commit. Events of one customer that arrive in
 * the same millisecond are one commit. The sweep runs at every instant that
 * falls due, in order, but for two days on which it is down. Who loses sight of its
 * history, since an order went whose forerunner was thrown away, gets it back before
 * the rules are asked.
 */

enum {
    DAYS = 90,
    ORDERS_MAX = 12,
    EVENTS_MAX = 90,
    BATCH_MAX = 16,
};

#define START_MS INT64_C(1780315200000)
#define END_MS (START_MS + DAYS * INSTANT_DAY_MS)
#define DOWN_FROM_MS (START_MS + 40 * INSTANT_DAY_MS)
#define DOWN_UNTIL_MS (START_MS + 42 * INSTANT_DAY_MS)
#define TEXT(literal)                   \
    {                                   \
        "" literal, sizeof(literal) - 1 \
    }

static const struct rule_case lifecycle_cases[] = {
    { TEXT("churned"), TEXT("age(last_seen_at) > 60d") },
    { TEXT("lapsed"), TEXT("age(last_seen_at) > 20d") },
    { TEXT("new"), TEXT("age(first_seen_at) < 14d and orders.count < 2") },
    { TEXT("active"), TEXT("true") },
};

static const struct rule_case spend_cases[] = {
    { TEXT("high"), TEXT("sum(order.completed.total within 30d) > 300") },
    { TEXT("mid"), TEXT("sum(order.completed.total within 30d) > 100") },
    { TEXT("low"), TEXT("orders.count >= 1") },
};

static const struct {
    const char *name;
    const char *when;
} segments[] = {
    { "frequent_buyer", "count(order.completed within 30d) >= 3" },
    { "abandoned_cart", "cart.items_count > 0 and age(cart.updated_at) >= 1h"
                        " and age(cart.updated_at) < 7d" },
    { "three_shoes", "count(product.viewed where category = \"Shoes\" within 24h) >= 3" },
    { "three_of_any", "max_count(product.viewed by category within 24h) >= 3" },
    { "fourth_order", "orders.count = 4" },
    { "net_spender", "sum(order.completed.net) >= 250" },
    { "premium", "age(orders.last_at) <= 10d and \"premium\" in preferences.interests and"
                 " orders.average_value >= percentile(orders.average_value, 66.7)" },
    { "win_back",
      "lifecycle = \"lapsed\" and tiers.spend is set and consent.email = \"subscribed\"" },
    { "reader", "count(email.opened within 15d) >= 3 and count(email.clicked within 15d) = 0" },
    { "engaged", "engagement.score >= 3" },
    { "browsing", "distinct(product.viewed.category within 3d) >= 3" },
    { "dear_things", "max(product.viewed.price within 5d) > 110" },
    { "cheap_things", "avg(product.viewed.price within 5d) < 40" },
    { "back_again", "count(product.viewed within 10d after last(order.completed)) >= 2" },
    { "not_paris", "count(custom.quiz where score >= 8) >= 1 and not traits.city = \"Paris\"" },
    { "coupons", "orders.count >= 2 and"
                 " count(order.completed where coupon is set) * 2 >= orders.count" },
    { "best", "\"frequent_buyer\" in segments and lifecycle = \"active\"" },
    { "hats", "last(product.viewed.category) = \"Hats\"" },
    { "small_orders", "min(order.completed.total within 40d) < 30" },
};

enum act {
    ACT_VIEW,
    ACT_CART,
    ACT_ORDER,
    ACT_REFUND,
    ACT_CANCEL,
    ACT_OPEN,
    ACT_CLICK,
    ACT_INTERESTS,
    ACT_CONSENT,
    ACT_CITY,
    ACT_QUIZ,
    ACT_DELIVERED,
};

struct happening {
    int64_t at_ms;
    int64_t received_ms;
    uint32_t customer;
    uint32_t number; /* of the customer's */
    enum act act;
    uint32_t order;
    uint32_t value;
    enum event_type recorded; /* what it stands on the timeline as */
};

struct customer {
    struct identity_row identity;
    struct profile profile; /* what has columns */
    char *state;
    size_t state_size;
    struct order *orders[ORDERS_MAX];
    size_t order_count;
    const struct happening *past[EVENTS_MAX];
    size_t past_count;
};

struct due {
    int64_t at_ms;
    uint32_t customer;
};

struct shop {
    struct arena *kept;    /* rules, texts of orders and carts */
    struct arena *scratch; /* of one commit */
    struct decide_context context;
    const struct ruleset *ruleset;
    struct customer *customers;
    size_t customer_count;
    struct happening *happenings;
    size_t happening_count;
    struct due *heap;
    size_t heap_size;
    size_t heap_capacity;
    uint64_t state; /* of the generator */
    uint64_t commits;
    size_t transition_count;
    FILE *transitions;
};

/* --- what happens ----------------------------------------------------------- */

static uint32_t draw(struct shop *shop, uint32_t below)
{
    shop->state ^= shop->state << 13;
    shop->state ^= shop->state >> 7;
    shop->state ^= shop->state << 17;
    return (uint32_t)((shop->state >> 16) % below);
}

static enum act draw_act(struct shop *shop, uint32_t order_count)
{
    uint32_t roll = draw(shop, 100);
    if (roll < 46) {
        return ACT_VIEW;
    }
    if (roll < 56) {
        return ACT_CART;
    }
    if (roll < 64) {
        return ACT_ORDER;
    }
    if (roll < 68) {
        return order_count == 0 ? ACT_VIEW : draw(shop, 3) == 0 ? ACT_CANCEL : ACT_REFUND;
    }
    if (roll < 82) {
        return ACT_OPEN;
    }
    if (roll < 86) {
        return ACT_CLICK;
    }
    static const enum act others[] = { ACT_INTERESTS, ACT_CONSENT, ACT_CITY, ACT_QUIZ,
                                       ACT_DELIVERED };
    return others[draw(shop, ARRAY_COUNT(others))];
}

static int compare_received(const void *a, const void *b)
{
    const struct happening *one = a;
    const struct happening *other = b;
    if (one->received_ms != other->received_ms) {
        return one->received_ms < other->received_ms ? -1 : 1;
    }
    if (one->customer != other->customer) {
        return one->customer < other->customer ? -1 : 1;
    }
    return (one->number > other->number) - (one->number < other->number);
}

/* Mostly in time; some of it hours late, some days; some with the one before. */
static int64_t draw_arrival(struct shop *shop, int64_t at_ms, int64_t before_ms)
{
    uint32_t roll = draw(shop, 40);
    if (roll == 0) {
        return at_ms + draw(shop, 12 * 24 * 60) * INSTANT_MINUTE_MS;
    }
    if (roll < 4) {
        return at_ms + draw(shop, 6 * 3600) * INSTANT_SECOND_MS;
    }
    if (roll < 10 && before_ms > at_ms) {
        return before_ms;
    }
    return at_ms + draw(shop, 3) * draw(shop, 2000);
}

/* Visits: a few acts within the hour, then days of nothing. */
static void draw_customer(struct shop *shop, uint32_t customer)
{
    int64_t at_ms = START_MS + draw(shop, 60 * 24 * 60) * INSTANT_MINUTE_MS + draw(shop, 60000);
    int64_t before_ms = 0;
    uint32_t orders = 0;
    uint32_t count = 8 + draw(shop, EVENTS_MAX - 8 - 20);
    for (uint32_t number = 0; number < count && at_ms < END_MS; number++) {
        struct happening *it = &shop->happenings[shop->happening_count++];
        it->at_ms = at_ms;
        it->received_ms = draw_arrival(shop, at_ms, before_ms);
        it->customer = customer;
        it->number = number;
        it->act = draw_act(shop, orders);
        if (it->act == ACT_ORDER && orders == ORDERS_MAX) {
            it->act = ACT_VIEW;
        }
        it->order = it->act == ACT_ORDER ? orders++ : orders > 0 ? draw(shop, orders) : 0;
        it->value = draw(shop, 1u << 30);
        before_ms = it->received_ms;
        uint32_t pause = draw(shop, 10);
        at_ms += 1 + (pause < 6   ? draw(shop, 20 * 60000)
                      : pause < 9 ? draw(shop, 2 * 24 * 3600) * INSTANT_SECOND_MS
                                  : draw(shop, 25 * 24 * 3600) * INSTANT_SECOND_MS);
    }
}

static void draw_shop(struct shop *shop)
{
    shop->happenings = calloc(shop->customer_count * EVENTS_MAX + 1, sizeof(struct happening));
    assert(shop->happenings != NULL);
    for (uint32_t i = 0; i < shop->customer_count; i++) {
        draw_customer(shop, i);
    }
    qsort(shop->happenings, shop->happening_count, sizeof(struct happening), compare_received);
}

/* --- as events, and as lines -------------------------------------------------- */

static const char *const categories[] = { "Shoes", "Hats", "Coats", "Bags" };
static const char *const interest_lists[] = { "[\"premium\",\"running\"]", "[\"running\"]", "[]" };
static const char *const consents[] = { "subscribed", "unsubscribed", "pending" };
static const char *const cities[] = { "Paris", "Lyon", "Rome" };

static struct str pick(const char *const *texts, uint32_t count, uint32_t value)
{
    return str_from_z(texts[value % count]);
}

static uint32_t price_of(const struct happening *it)
{
    return (it->value >> 4) % 125;
}

static int64_t total_of(const struct happening *it)
{
    return 1000 + (int64_t)((it->value >> 3) % 15000);
}

static int64_t refund_of(const struct happening *it)
{
    return 100 + (int64_t)((it->value >> 3) % 4000);
}

static bool has_coupon(const struct happening *it)
{
    return it->value % 3 == 0;
}

static void write_happening(FILE *file, const struct happening *it)
{
    fprintf(file, "{\"c\":%u,\"n\":%u,\"at\":%lld,\"received\":%lld,", it->customer, it->number,
            (long long)it->at_ms, (long long)it->received_ms);
    switch (it->act) {
    case ACT_VIEW:
        fprintf(file, "\"type\":\"view\",\"category\":\"%s\",\"price\":%u}\n",
                categories[it->value % 4], price_of(it));
        return;
    case ACT_CART:
        fprintf(file, "\"type\":\"cart\",\"items\":%u}\n", it->value % 4);
        return;
    case ACT_ORDER:
        fprintf(file, "\"type\":\"order\",\"order\":%u,\"total\":%lld,\"coupon\":%s}\n", it->order,
                (long long)total_of(it), has_coupon(it) ? "true" : "false");
        return;
    case ACT_REFUND:
        fprintf(file, "\"type\":\"refund\",\"order\":%u,\"amount\":%lld}\n", it->order,
                (long long)refund_of(it));
        return;
    case ACT_CANCEL:
        fprintf(file, "\"type\":\"cancel\",\"order\":%u}\n", it->order);
        return;
    case ACT_INTERESTS:
        fprintf(file, "\"type\":\"interests\",\"value\":%s}\n", interest_lists[it->value % 3]);
        return;
    case ACT_CONSENT:
        fprintf(file, "\"type\":\"consent\",\"value\":\"%s\"}\n", consents[it->value % 3]);
        return;
    case ACT_CITY:
        fprintf(file, "\"type\":\"city\",\"value\":\"%s\"}\n", cities[it->value % 3]);
        return;
    case ACT_QUIZ:
        fprintf(file, "\"type\":\"quiz\",\"score\":%u}\n", it->value % 11);
        return;
    case ACT_OPEN:
        fprintf(file, "\"type\":\"open\"}\n");
        return;
    case ACT_CLICK:
        fprintf(file, "\"type\":\"click\"}\n");
        return;
    case ACT_DELIVERED:
        fprintf(file, "\"type\":\"delivered\"}\n");
        return;
    }
}

static void set_type(struct event *event, enum event_type type)
{
    event->type = type;
    event->name =
        type == EVENT_CUSTOM ? STR("custom.quiz") : str_from_z(event_type_info(type)->name);
    event->act = event_type_info(type)->act;
}

static void say(struct arena *arena, struct event *event, enum fact_kind kind, struct str key,
                struct str value_json)
{
    event->facts = ARENA_NEW(arena, struct event_fact);
    assert(event->facts != NULL);
    *event->facts = (struct event_fact){ kind, key, value_json };
    event->fact_count = 1;
}

static void make_order(struct shop *shop, struct event *event, const struct happening *it)
{
    struct arena *arena = shop->kept;
    struct order_document *document = ARENA_NEW(arena, struct order_document);
    assert(document != NULL);
    document->order_ref = str_printf(arena, "o%u-%u", it->customer, it->order);
    document->at_ms = it->at_ms;
    event->order = document;
    event->identifiers[event->identifier_count++] = (struct identifier){
        .kind = IDENTITY_ORDER, .source_id = event->source_id, .value = document->order_ref
    };
    if (it->act == ACT_CANCEL) {
        document->kind = ORDER_CANCELLATION;
        set_type(event, EVENT_ORDER_CANCELLED);
    } else if (it->act == ACT_REFUND) {
        document->kind = ORDER_REFUND;
        document->document_ref = str_printf(arena, "r%u", it->number);
        document->amount_minor = refund_of(it);
        set_type(event, EVENT_ORDER_REFUNDED);
    } else {
        document->kind = ORDER_BODY;
        document->rank = ORDER_PAID;
        document->counts = true;
        document->version_ms = it->at_ms;
        document->placed_at_ms = it->at_ms;
        document->currency = STR("EUR");
        document->total_minor = total_of(it);
        document->body_json = has_coupon(it) ? STR("{\"coupon\":\"SPRING\"}") : STR("{}");
        set_type(event, EVENT_ORDER_COMPLETED);
    }
}

static void fill_event(struct shop *shop, struct event *event, const struct happening *it)
{
    struct arena *arena = shop->scratch;
    switch (it->act) {
    case ACT_VIEW:
        set_type(event, EVENT_PRODUCT_VIEWED);
        event->category = pick(categories, 4, it->value);
        event->properties_json = str_printf(arena, "{\"price\":%u}", price_of(it));
        break;
    case ACT_CART:
        set_type(event, EVENT_CART_UPDATED);
        event->cart_json = str_printf(shop->kept, "{\"items_count\":%u}", it->value % 4);
        break;
    case ACT_ORDER:
    case ACT_REFUND:
    case ACT_CANCEL:
        make_order(shop, event, it);
        break;
    case ACT_OPEN:
        set_type(event, EVENT_EMAIL_OPENED);
        break;
    case ACT_CLICK:
        set_type(event, EVENT_EMAIL_CLICKED);
        break;
    case ACT_INTERESTS:
        set_type(event, EVENT_PREFERENCE_UPDATED);
        say(arena, event, FACT_PREFERENCE, STR("interests"), pick(interest_lists, 3, it->value));
        break;
    case ACT_CONSENT:
        set_type(event, EVENT_CONSENT_UPDATED);
        say(arena, event, FACT_CONSENT, STR("email"),
            str_printf(arena, "\"%s\"", consents[it->value % 3]));
        break;
    case ACT_CITY:
        set_type(event, EVENT_CUSTOMER_UPDATED);
        say(arena, event, FACT_TRAIT, STR("city"),
            str_printf(arena, "\"%s\"", cities[it->value % 3]));
        break;
    case ACT_QUIZ:
        set_type(event, EVENT_CUSTOM);
        event->properties_json = str_printf(arena, "{\"score\":%u}", it->value % 11);
        break;
    case ACT_DELIVERED:
        set_type(event, EVENT_EMAIL_DELIVERED);
        break;
    }
}

static struct event *make_event(struct shop *shop, const struct happening *it)
{
    struct event *event = ARENA_NEW(shop->scratch, struct event);
    struct identifier *identifiers = ARENA_NEW_ARRAY(shop->scratch, 2, struct identifier);
    assert(event != NULL);
    assert(identifiers != NULL);
    event->source_id = shop->context.sources[0].id;
    event->dedup_key = str_printf(shop->scratch, "%u-%u", it->customer, it->number);
    event->id = event_id(event->source_id, event->dedup_key, STR("0"));
    event->trust = TRUST_SIGNED;
    event->occurred_at_ms = it->at_ms;
    event->claimed_at_ms = it->at_ms;
    event->received_at_ms = it->received_ms;
    event->identifiers = identifiers;
    event->identifiers[event->identifier_count++] =
        (struct identifier){ .kind = IDENTITY_CUSTOMER_ID,
                             .source_id = event->source_id,
                             .value = str_printf(shop->scratch, "c%u", it->customer) };
    fill_event(shop, event, it);
    return event;
}

/* --- rows --------------------------------------------------------------------- */

static void push_due(struct shop *shop, struct due due)
{
    if (shop->heap_size == shop->heap_capacity) {
        shop->heap_capacity = shop->heap_capacity * 2 + 1024;
        shop->heap = realloc(shop->heap, shop->heap_capacity * sizeof(struct due));
        assert(shop->heap != NULL);
    }
    size_t i = shop->heap_size++;
    for (; i > 0 && shop->heap[(i - 1) / 2].at_ms > due.at_ms; i = (i - 1) / 2) {
        shop->heap[i] = shop->heap[(i - 1) / 2];
    }
    shop->heap[i] = due;
}

static void pop_due(struct shop *shop)
{
    struct due last = shop->heap[--shop->heap_size];
    size_t i = 0;
    for (size_t child = 1; child < shop->heap_size; child = 2 * i + 1) {
        if (child + 1 < shop->heap_size && shop->heap[child + 1].at_ms < shop->heap[child].at_ms) {
            child++;
        }
        if (shop->heap[child].at_ms >= last.at_ms) {
            break;
        }
        shop->heap[i] = shop->heap[child];
        i = child;
    }
    shop->heap[i] = last;
}

/* The least instant at which somebody is due; what moved since is dropped. */
static int64_t next_due(struct shop *shop)
{
    while (shop->heap_size > 0 &&
           shop->customers[shop->heap[0].customer].profile.due_at_ms != shop->heap[0].at_ms) {
        pop_due(shop);
    }
    return shop->heap_size > 0 ? shop->heap[0].at_ms : INSTANT_NEVER;
}

static struct profile *load_profile(struct shop *shop, const struct customer *customer)
{
    struct profile *profile = ARENA_NEW(shop->scratch, struct profile);
    assert(profile != NULL);
    *profile = customer->profile;
    bool decoded = profile_state_decode(
        shop->scratch, (struct str){ customer->state, customer->state_size }, profile);
    assert(decoded);
    return profile;
}

static void save_profile(struct shop *shop, uint32_t number, const struct profile *profile)
{
    struct customer *customer = &shop->customers[number];
    struct str bytes = { 0 };
    bool encoded = profile_state_encode(shop->scratch, profile, &bytes);
    assert(encoded);
    customer->state = realloc(customer->state, bytes.size);
    assert(customer->state != NULL);
    memcpy(customer->state, bytes.data, bytes.size);
    customer->state_size = bytes.size;
    bool due_moved = customer->profile.due_at_ms != profile->due_at_ms || profile->is_new;
    struct profile *stored = &customer->profile;
    *stored = *profile;
    stored->cart_json =
        profile->cart_json.size > 0 ? str_dup(shop->kept, profile->cart_json) : (struct str){ 0 };
    stored->facts = NULL;
    stored->fact_count = 0;
    stored->exclusives = NULL;
    stored->exclusive_count = 0;
    memset(stored->identity_counts, 0, sizeof(stored->identity_counts));
    stored->touched = NULL;
    stored->changed_parts = 0;
    stored->is_new = false;
    stored->is_dirty = false;
    stored->due_moved = false;
    stored->is_judged = false;
    stored->is_recalled = false;
    stored->has_labels = false;
    stored->facts_changed = false;
    if (due_moved && stored->due_at_ms != INSTANT_NEVER) {
        push_due(shop, (struct due){ stored->due_at_ms, number });
    }
}

static struct order *find_order(struct customer *customer, struct str order_ref)
{
    for (size_t i = 0; i < customer->order_count; i++) {
        if (str_equal(customer->orders[i]->order_ref, order_ref)) {
            return customer->orders[i];
        }
    }
    return NULL;
}

static void save_order(struct shop *shop, struct customer *customer, const struct order *order)
{
    struct order *stored = find_order(customer, order->order_ref);
    if (stored == NULL) {
        stored = ARENA_NEW(shop->kept, struct order);
        assert(customer->order_count < ORDERS_MAX);
        customer->orders[customer->order_count++] = stored;
    }
    struct str bytes = { 0 };
    bool encoded = order_documents_encode(shop->kept, order, &bytes);
    assert(encoded);
    *stored = *order;
    stored->order_ref = str_dup(shop->kept, order->order_ref);
    stored->currency = str_dup(shop->kept, order->currency);
    stored->body_json = str_dup(shop->kept, order->body_json);
    bool decoded = order_documents_decode(shop->kept, bytes, stored);
    assert(decoded);
}

/* --- a commit ------------------------------------------------------------------ */

static const char *cause_name(enum cause_kind cause)
{
    return cause == CAUSE_EVENT ? "event" : cause == CAUSE_TIME ? "time" : "rule";
}

static void write_value(FILE *file, const char *key, bool has, struct str value)
{
    if (has) {
        fprintf(file, "\"%s\":\"%.*s\",", key, STR_ARG(value.size > 0 ? value : STR("in")));
    } else {
        fprintf(file, "\"%s\":null,", key);
    }
}

static void write_transition(struct shop *shop, uint32_t customer, const struct transition_row *row)
{
    FILE *file = shop->transitions;
    fprintf(file, "{\"c\":%u,\"rule\":\"%.*s\",", customer, STR_ARG(row->rule->definition.name));
    write_value(file, "from", row->had, row->from);
    write_value(file, "to", row->has, row->to);
    fprintf(file, "\"at\":%lld,\"cause\":\"%s\"}\n", (long long)row->at_ms, cause_name(row->cause));
    shop->transition_count++;
}

static struct decision *begin(struct shop *shop)
{
    shop->commits++;
    for (size_t i = 0; i < 8; i++) {
        shop->context.random[i] = (uint8_t)(shop->commits >> (8 * i));
    }
    struct decision *decision = decision_create(shop->scratch, &shop->context, BATCH_MAX);
    assert(decision != NULL);
    return decision;
}

static void supply_extremes(const struct customer *customer, const struct decision *decision,
                            struct order *const *dirty, size_t dirty_count)
{
    struct profile **shrunk = NULL;
    if (decision_shrunk_profiles(decision, &shrunk) == 0) {
        return;
    }
    struct profile_orders *orders = &shrunk[0]->orders;
    orders->first_at_ms = INSTANT_NONE;
    orders->last_at_ms = INSTANT_NONE;
    orders->largest_minor = 0;
    for (size_t i = 0; i < customer->order_count; i++) {
        const struct order *order = customer->orders[i];
        for (size_t j = 0; j < dirty_count; j++) {
            order = str_equal(dirty[j]->order_ref, order->order_ref) ? dirty[j] : order;
        }
        if (order->contribution.counted) {
            if (orders->first_at_ms == INSTANT_NONE || order->placed_at_ms < orders->first_at_ms) {
                orders->first_at_ms = order->placed_at_ms;
            }
            if (order->placed_at_ms > orders->last_at_ms) {
                orders->last_at_ms = order->placed_at_ms;
            }
            if (order->contribution.gross_minor > orders->largest_minor) {
                orders->largest_minor = order->contribution.gross_minor;
            }
        }
    }
}

static struct history history_of(struct shop *shop, const struct customer *customer, int64_t now_ms)
{
    struct event *events = ARENA_NEW_ARRAY(shop->scratch, customer->past_count + 1, struct event);
    assert(events != NULL);
    for (size_t i = 0; i < customer->past_count; i++) {
        const struct happening *it = customer->past[i];
        events[i] = *make_event(shop, it);
        set_type(&events[i], it->recorded);
        events[i].order = NULL;
        events[i].cart_json = (struct str){ 0 };
        events[i].identifiers = NULL;
        events[i].identifier_count = 0;
    }
    return (struct history){ .events = events,
                             .event_count = customer->past_count,
                             .orders = customer->orders,
                             .order_count = customer->order_count,
                             .identifiers = &customer->identity.identifier,
                             .identifier_count = 1,
                             .ruleset = shop->ruleset,
                             .now_ms = now_ms };
}

/* Whoever lost sight of a history with the last event gets it back. */
static void recall(struct shop *shop, const struct customer *customer, struct decision *decision,
                   int64_t now_ms)
{
    struct profile **losing = NULL;
    if (decision_losing_sight(decision, &losing) > 0) {
        const struct history history = history_of(shop, customer, now_ms);
        enum status status = decision_recall(decision, losing[0], &history);
        assert(status == STATUS_OK);
    }
}

static void record(struct customer *customer, const struct decision_rows *rows,
                   struct happening *happenings, struct event *const *events, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert(rows->interaction_count == count);
        assert(id_equal(rows->interactions[i].event->id, events[i]->id));
        happenings[i].recorded = rows->interactions[i].event->type;
        assert(customer->past_count < EVENTS_MAX);
        customer->past[customer->past_count++] = &happenings[i];
    }
}

static void save(struct shop *shop, uint32_t number, const struct decision_rows *saved)
{
    const struct decision_rows rows = *saved;
    assert(rows.profile_count + rows.woken_count <= 1);
    for (size_t i = 0; i < rows.order_count; i++) {
        save_order(shop, &shop->customers[number], rows.orders[i]);
    }
    if (rows.profile_count == 1) {
        save_profile(shop, number, rows.profiles[0]);
    } else if (rows.woken_count == 1) {
        struct profile *stored = &shop->customers[number].profile;
        stored->due_at_ms = rows.woken[0]->due_at_ms;
        if (stored->due_at_ms != INSTANT_NEVER) {
            push_due(shop, (struct due){ stored->due_at_ms, number });
        }
    }
    for (size_t i = 0; i < rows.transition_count; i++) {
        write_transition(shop, number, &rows.transitions[i]);
    }
}

static void finish(struct shop *shop, uint32_t number, struct decision *decision, int64_t now_ms)
{
    struct decision_rows rows = { 0 };
    enum status status = decision_finish(decision, now_ms, &rows);
    assert(status == STATUS_OK);
    save(shop, number, &rows);
    arena_reset(shop->scratch);
}

static void finish_events(struct shop *shop, struct decision *decision,
                          struct happening *happenings, struct event *const *events, size_t count)
{
    uint32_t number = happenings[0].customer;
    int64_t now_ms = happenings[0].received_ms;
    struct decision_rows rows = { 0 };
    enum status status = decision_finish(decision, now_ms, &rows);
    assert(status == STATUS_OK);
    record(&shop->customers[number], &rows, happenings, events, count);
    save(shop, number, &rows);
    arena_reset(shop->scratch);
    assert(!shop->customers[number].profile.needs_history);
}

/* The orders that the batch names, in the working set. */
static size_t load_orders(struct shop *shop, struct decision *decision, struct customer *customer,
                          struct event *const *events, size_t count, struct order **loaded)
{
    size_t loaded_count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct order *stored =
            events[i]->order != NULL ? find_order(customer, events[i]->order->order_ref) : NULL;
        bool repeated = false;
        for (size_t j = 0; stored != NULL && j < loaded_count; j++) {
            repeated = repeated || str_equal(loaded[j]->order_ref, stored->order_ref);
        }
        if (stored != NULL && !repeated) {
            struct order *copy = ARENA_NEW(shop->scratch, struct order);
            assert(copy != NULL);
            *copy = *stored;
            loaded[loaded_count++] = copy;
            decision_put_order(decision, copy);
        }
    }
    return loaded_count;
}

static void commit(struct shop *shop, struct happening *happenings, size_t count)
{
    uint32_t number = happenings[0].customer;
    int64_t now_ms = happenings[0].received_ms;
    struct customer *customer = &shop->customers[number];
    struct decision *decision = begin(shop);
    struct event *events[BATCH_MAX];
    struct order *orders[BATCH_MAX * 2];
    for (size_t i = 0; i < count; i++) {
        events[i] = make_event(shop, &happenings[i]);
    }
    bool is_known = customer->state != NULL;
    if (is_known) {
        struct identity_row *row = ARENA_NEW(shop->scratch, struct identity_row);
        assert(row != NULL);
        *row = customer->identity;
        decision_put_identity(decision, row);
    }
    size_t order_count = load_orders(shop, decision, customer, events, count, orders);
    enum status status = decision_plan(decision, events, count, now_ms);
    assert(status == STATUS_OK);
    struct identity_row **new_rows = NULL;
    if (decision_new_identities(decision, &new_rows) > 0) {
        customer->identity = *new_rows[0];
        customer->identity.is_new = false;
        customer->identity.identifier.value = str_dup(shop->kept, new_rows[0]->identifier.value);
    }
    struct order **new_orders = NULL;
    size_t new_count = decision_new_orders(decision, &new_orders);
    for (size_t i = 0; i < new_count; i++) {
        save_order(shop, customer, new_orders[i]);
        orders[order_count++] = new_orders[i];
    }
    if (is_known) {
        decision_put_profile(decision, load_profile(shop, customer));
    }
    for (size_t i = 0; i < count; i++) {
        enum decide_outcome outcome = DECIDE_NOBODY;
        status = decide_event(decision, events[i], now_ms, &outcome);
        assert(status == STATUS_OK);
        assert(outcome == DECIDE_APPLIED);
        recall(shop, customer, decision, now_ms);
    }
    supply_extremes(customer, decision, orders, order_count);
    finish_events(shop, decision, happenings, events, count);
}

static void wake(struct shop *shop, uint32_t number, int64_t now_ms)
{
    struct decision *decision = begin(shop);
    struct profile *profile = load_profile(shop, &shop->customers[number]);
    decision_put_profile(decision, profile);
    enum status status = decide_due(decision, profile, now_ms);
    assert(status == STATUS_OK);
    finish(shop, number, decision, now_ms);
}

/* --- ninety days ----------------------------------------------------------------- */

/* Everything that falls due up to `until_ms`, but for the days it is down. */
static void sweep(struct shop *shop, int64_t until_ms)
{
    for (int64_t due_ms = next_due(shop); due_ms <= until_ms; due_ms = next_due(shop)) {
        int64_t now_ms = due_ms;
        if (due_ms >= DOWN_FROM_MS && due_ms < DOWN_UNTIL_MS) {
            if (until_ms < DOWN_UNTIL_MS) {
                return;
            }
            now_ms = DOWN_UNTIL_MS;
        }
        wake(shop, shop->heap[0].customer, now_ms);
    }
}

/* What takes an order back stands alone: its history may be asked for next. */
static bool takes_back(const struct happening *it)
{
    return it->act == ACT_CANCEL || it->act == ACT_REFUND;
}

static void run(struct shop *shop)
{
    for (size_t i = 0; i < shop->happening_count;) {
        struct happening *first = &shop->happenings[i];
        size_t count = 1;
        while (!takes_back(first) && !takes_back(&first[count]) && count < BATCH_MAX &&
               i + count < shop->happening_count && first[count].customer == first->customer &&
               first[count].received_ms == first->received_ms) {
            count++;
        }
        sweep(shop, first->received_ms - 1);
        commit(shop, first, count);
        i += count;
    }
    sweep(shop, END_MS + 90 * INSTANT_DAY_MS);
}

static void build_rules(struct shop *shop)
{
    struct rule_definition definitions[ARRAY_COUNT(segments) + 2] = {
        { .name = TEXT("lifecycle"),
          .kind = RULE_KIND_LIFECYCLE,
          .cases = lifecycle_cases,
          .case_count = ARRAY_COUNT(lifecycle_cases) },
        { .name = TEXT("spend"),
          .kind = RULE_KIND_TIER,
          .cases = spend_cases,
          .case_count = ARRAY_COUNT(spend_cases) },
    };
    struct rule_case *cases = ARENA_NEW_ARRAY(shop->kept, ARRAY_COUNT(segments), struct rule_case);
    assert(cases != NULL);
    for (size_t i = 0; i < ARRAY_COUNT(segments); i++) {
        cases[i].when = str_from_z(segments[i].when);
        definitions[i + 2] = (struct rule_definition){ .name = str_from_z(segments[i].name),
                                                       .kind = RULE_KIND_SEGMENT,
                                                       .cases = &cases[i],
                                                       .case_count = 1 };
    }
    for (size_t i = 0; i < ARRAY_COUNT(definitions); i++) {
        definitions[i].id.bytes[0] = (uint8_t)(i + 1);
        definitions[i].slot = (uint32_t)i + 1;
        definitions[i].version = 1;
        definitions[i].since_version = 1;
        definitions[i].enabled = true;
    }
    uint32_t next_number = 1;
    struct ruleset *ruleset = NULL;
    struct ruleset_error error = { 0 };
    struct rule_definition *kept =
        ARENA_NEW_ARRAY(shop->kept, ARRAY_COUNT(definitions), struct rule_definition);
    assert(kept != NULL);
    memcpy(kept, definitions, sizeof(definitions));
    enum status status = ruleset_build(shop->kept, 1, kept, ARRAY_COUNT(definitions), NULL, 0,
                                       &next_number, &ruleset, &error);
    if (status != STATUS_OK) {
        fprintf(stderr, "rule %zu: %s\n", error.rule, error.error.detail);
    }
    assert(status == STATUS_OK);
    shop->ruleset = ruleset;
}

static void open_shop(struct shop *shop)
{
    static const int64_t percents[] = { 66700000 };
    static const int64_t thresholds[] = { 80000000 };
    static const struct statistic average = { RULE_ORDERS_AVERAGE_VALUE, 1000, percents, thresholds,
                                              1 };
    static const struct statistics statistics = { 1, &average, 1 };
    static const struct source_name source = { { { 1 } }, TEXT("shop") };
    shop->kept = arena_create((size_t)2 << 30);
    shop->scratch = arena_create((size_t)64 << 20);
    shop->customers = calloc(shop->customer_count, sizeof(struct customer));
    assert(shop->kept != NULL);
    assert(shop->scratch != NULL);
    assert(shop->customers != NULL);
    build_rules(shop);
    shop->context = (struct decide_context){
        .workspace_id = { { 9 } },
        .workspace_name = STR("shop"),
        .currency = STR("EUR"),
        .sources = &source,
        .source_count = 1,
        .rulesets = &shop->ruleset,
        .ruleset_count = 1,
        .statistics = &statistics,
    };
}

int main(int argc, char **argv)
{
    assert(argc == 5);
    struct shop *shop = calloc(1, sizeof(*shop));
    assert(shop != NULL);
    shop->customer_count = strtoull(argv[1], NULL, 10);
    shop->state = strtoull(argv[2], NULL, 10) * 0x9e3779b97f4a7c15u + 1;
    FILE *events = fopen(argv[3], "w");
    shop->transitions = fopen(argv[4], "w");
    assert(shop->customer_count > 0);
    assert(events != NULL);
    assert(shop->transitions != NULL);
    open_shop(shop);
    draw_shop(shop);
    for (size_t i = 0; i < shop->happening_count; i++) {
        write_happening(events, &shop->happenings[i]);
    }
    run(shop);
    int closed = fclose(events) | fclose(shop->transitions);
    assert(closed == 0);
    printf("%zu customers, %zu events, %llu commits, %zu transitions\n", shop->customer_count,
           shop->happening_count, (unsigned long long)shop->commits, shop->transition_count);
    for (size_t i = 0; i < shop->customer_count; i++) {
        free(shop->customers[i].state);
    }
    free(shop->customers);
    free(shop->happenings);
    free(shop->heap);
    arena_destroy(shop->scratch);
    arena_destroy(shop->kept);
    free(shop);
    return 0;
}
