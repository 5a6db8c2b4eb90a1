#include "core/interest/interest.h"

#include <stdlib.h>
#include <string.h>

#include "base/instant.h"
#include "base/money.h"
#include "core/rule/property.h"
#include "scan_priv.h"

/*
 * Which events and orders say what of which product.
 *
 * A look, a wish and a line of a cart speak of a product and, where the page
 * knows it, of a variant. A fact without a variant lies under variant '' and says
 * something of every variant of the product: who looked at a shoe and chose no
 * size waits for any size, so readers of a variant join its own rows with those
 * of ''. Who looked at size XL alone has no row under M or '', and is nobody's
 * who asks for M. Not the other way round: a row of a variant says nothing of the
 * product's other variants, and '' is not kept beside each variant, which would
 * double every write to save a reader one probe.
 *
 * A cart that is restated says of each of its lines that it is in the cart now;
 * taking a line out says nothing: who put it in was interested. A wish can be
 * taken back, and of the two the later holds, whichever was heard of first.
 *
 * What was bought is read from orders as they stand and not from their events: a
 * cancelled one leaves no trace. So `bought_at` is no maximum of facts that only
 * grow, and whoever takes a line away asks the orders that remain
 * (core/finish.c, store/interest_save.c).
 *
 * How many interests a customer may have is not limited: each is the trace of a
 * fact on the timeline, smaller than the fact itself, and leaves with it
 * (store/profile_base.c). To keep the newest few hundred would make a write as
 * dear as the customer's history is long, and the outcome one of arrival.
 */

static int64_t later(int64_t a_ms, int64_t b_ms)
{
    return a_ms > b_ms ? a_ms : b_ms;
}

void interest_init(struct interest *interest)
{
    *interest = (struct interest){
        .viewed_at_ms = INSTANT_NONE,
        .out_of_stock_seen_at_ms = INSTANT_NONE,
        .price_seen_at_ms = INSTANT_NONE,
        .carted_at_ms = INSTANT_NONE,
        .wished_at_ms = INSTANT_NONE,
        .unwished_at_ms = INSTANT_NONE,
        .bought_at_ms = INSTANT_NONE,
        .substitute_bought_at_ms = INSTANT_NONE,
    };
}

/* Of two looks in one millisecond the greater price holds, as in SQL. */
static bool price_is_newer(const struct interest *a, const struct interest *b)
{
    if (a->price_seen_at_ms != b->price_seen_at_ms) {
        return a->price_seen_at_ms > b->price_seen_at_ms;
    }
    if (a->price_minor != b->price_minor) {
        return a->price_minor > b->price_minor;
    }
    return str_compare(a->currency, b->currency) > 0;
}

void interest_join(struct interest *interest, const struct interest *other)
{
    if (price_is_newer(other, interest)) {
        interest->price_seen_at_ms = other->price_seen_at_ms;
        interest->price_minor = other->price_minor;
        interest->currency = other->currency;
    }
    interest->viewed_at_ms = later(interest->viewed_at_ms, other->viewed_at_ms);
    interest->view_count += other->view_count;
    interest->out_of_stock_seen_at_ms =
        later(interest->out_of_stock_seen_at_ms, other->out_of_stock_seen_at_ms);
    interest->carted_at_ms = later(interest->carted_at_ms, other->carted_at_ms);
    interest->wished_at_ms = later(interest->wished_at_ms, other->wished_at_ms);
    interest->unwished_at_ms = later(interest->unwished_at_ms, other->unwished_at_ms);
    interest->bought_at_ms = later(interest->bought_at_ms, other->bought_at_ms);
    interest->substitute_bought_at_ms =
        later(interest->substitute_bought_at_ms, other->substitute_bought_at_ms);
}

int64_t interest_newest_ms(const struct interest *interest)
{
    int64_t newest_ms = later(interest->viewed_at_ms, interest->carted_at_ms);
    newest_ms = later(newest_ms, later(interest->wished_at_ms, interest->unwished_at_ms));
    return later(newest_ms, interest->bought_at_ms);
}

int64_t interest_wished_at_ms(const struct interest *interest)
{
    return interest->unwished_at_ms > interest->wished_at_ms ? INSTANT_NONE
                                                             : interest->wished_at_ms;
}

bool interest_is_waiting(const struct interest *interest)
{
    int64_t seen_ms = interest->out_of_stock_seen_at_ms;
    return seen_ms != INSTANT_NONE && interest->bought_at_ms < seen_ms &&
           interest->substitute_bought_at_ms < seen_ms;
}

int interest_key_compare(const struct interest_key *a, const struct interest_key *b)
{
    int order = id_compare(a->source_id, b->source_id);
    order = order != 0 ? order : str_compare(a->product_id, b->product_id);
    order = order != 0 ? order : str_compare(a->variant_id, b->variant_id);
    return order != 0 ? order : id_compare(a->origin_id, b->origin_id);
}

/* --- rows ------------------------------------------------------------------ */

enum {
    ROWS_FIRST = 8
};

void interest_add_row(struct interest_list *list, const struct interest_row *row)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? ROWS_FIRST : list->capacity * 2;
        struct interest_row **grown = ARENA_NEW_ARRAY(list->arena, capacity, struct interest_row *);
        if (grown == NULL) {
            return;
        }
        if (list->count > 0) {
            memcpy(grown, list->rows, list->count * sizeof(struct interest_row *));
        }
        list->rows = grown;
        list->capacity = capacity;
    }
    struct interest_row *copy = ARENA_NEW(list->arena, struct interest_row);
    if (copy != NULL) {
        *copy = *row;
        list->rows[list->count++] = copy;
    }
}

static int compare_rows(const void *a, const void *b)
{
    const struct interest_row *const *left = a;
    const struct interest_row *const *right = b;
    return interest_key_compare(&(*left)->key, &(*right)->key);
}

void interest_fold(struct interest_list *list)
{
    size_t kept = 0;
    if (list->count > 1) {
        /* Pointers are what is sorted. NOLINTNEXTLINE(bugprone-sizeof-expression) */
        qsort(list->rows, list->count, sizeof(*list->rows), compare_rows);
    }
    for (size_t i = 0; i < list->count; i++) {
        struct interest_row *row = list->rows[i];
        if (kept > 0 && interest_key_compare(&list->rows[kept - 1]->key, &row->key) == 0) {
            struct interest_row *same = list->rows[kept - 1];
            interest_join(&same->facts, &row->facts);
            same->asked_at_ms = later(same->asked_at_ms, row->asked_at_ms);
        } else {
            list->rows[kept++] = row;
        }
    }
    list->count = kept;
}

const struct interest_row *interest_find(const struct interest_list *list,
                                         const struct interest_key *key)
{
    size_t low = 0;
    size_t high = list->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = interest_key_compare(&list->rows[middle]->key, key);
        if (order == 0) {
            return list->rows[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

/* --- lines ----------------------------------------------------------------- */

/* What one product says of itself, as JSON; empty: nothing. */
struct line {
    struct str product_id;
    struct str variant_id;
    struct str quantity;
    struct str price;
    struct str in_stock; /* true, false */
    struct str available;
    struct str availability;
    struct str stock;
};

static bool take_member(struct line *line, struct str key, struct str value)
{
    const struct {
        struct str name; /* with its quotes */
        struct str *value;
    } members[] = {
        { STR("\"product_id\""), &line->product_id },
        { STR("\"variant_id\""), &line->variant_id },
        { STR("\"quantity\""), &line->quantity },
        { STR("\"price\""), &line->price },
        { STR("\"in_stock\""), &line->in_stock },
        { STR("\"available\""), &line->available },
        { STR("\"availability\""), &line->availability },
        { STR("\"stock\""), &line->stock },
    };
    for (size_t i = 0; i < ARRAY_COUNT(members); i++) {
        if (str_equal(key, members[i].name)) {
            *members[i].value = value;
            return true;
        }
    }
    return false;
}

/* A text, or the digits of a number; empty when it is neither, or no id. */
static struct str id_text(struct arena *arena, struct str json)
{
    uint64_t digits = 0;
    struct str text = { NULL, 0 };
    if (json.size > 0 && json.data[0] == '"') {
        text = rule_value_from_json(arena, json).text;
    } else if (str_to_u64(json, &digits)) {
        text = json;
    }
    return text.size <= INTEREST_ID_BYTES_MAX ? text : (struct str){ NULL, 0 };
}

static struct str without_quotes(struct str json)
{
    bool is_text = json.size >= 2 && json.data[0] == '"';
    return is_text ? str_take(str_drop(json, 1), json.size - 2) : json;
}

static bool line_key(struct arena *arena, const struct line *line, struct interest_key *key)
{
    if (str_equal(without_quotes(line->quantity), STR("0"))) {
        return false; /* restated as gone */
    }
    key->product_id = id_text(arena, line->product_id);
    key->variant_id = id_text(arena, line->variant_id);
    return key->product_id.size > 0;
}

/* "OutOfStock", "out of stock", "https://schema.org/SoldOut". */
static bool says_sold_out(struct str availability)
{
    static const char *const words[] = { "outofstock", "soldout", "unavailable", "discontinued" };
    char plain[64];
    size_t size = 0;
    for (size_t i = 0; i < availability.size && size < sizeof(plain); i++) {
        char c = availability.data[i];
        bool is_upper = c >= 'A' && c <= 'Z';
        if (is_upper || (c >= 'a' && c <= 'z') || c == '/') {
            plain[size++] = (char)(is_upper ? c - 'A' + 'a' : c);
        }
    }
    struct str text = { plain, size };
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        if (str_ends_with(text, str_from_z(words[i]))) {
            return true;
        }
    }
    return false;
}

static bool is_word(struct str text)
{
    return str_equal(text, STR("true")) || str_equal(text, STR("false"));
}

/* Did the customer see it, and was it sold out? What nothing was said of is left
 * to the catalogue. */
static void see_stock(struct interest_row *row, const struct line *line, int64_t at_ms)
{
    struct str in_stock = without_quotes(line->in_stock);
    in_stock = is_word(in_stock) ? in_stock : without_quotes(line->available);
    struct str stock = without_quotes(line->stock);
    struct str availability = without_quotes(line->availability);
    bool is_out = false;
    if (is_word(in_stock)) {
        is_out = str_equal(in_stock, STR("false"));
    } else if (availability.size > 0 && !str_equal(availability, STR("null"))) {
        is_out = says_sold_out(availability);
    } else if (stock.size > 0 && !str_equal(stock, STR("null"))) {
        is_out = str_equal(stock, STR("0")) || str_starts_with(stock, STR("-"));
    } else {
        row->asked_at_ms = at_ms;
        return;
    }
    row->facts.out_of_stock_seen_at_ms = is_out ? at_ms : INSTANT_NONE;
}

static void see_price(struct interest *facts, const struct event *event, struct str price)
{
    int64_t minor = 0;
    if (event->currency.size > 0 && money_parse(without_quotes(price), event->currency, &minor)) {
        facts->price_seen_at_ms = event->occurred_at_ms;
        facts->price_minor = minor;
        facts->currency = event->currency;
    }
}

static void take_line(struct interest_row *row, const struct event *event, const struct line *line)
{
    struct interest *facts = &row->facts;
    int64_t at_ms = event->occurred_at_ms;
    switch ((int)event->type) {
    case EVENT_PRODUCT_VIEWED:
        facts->viewed_at_ms = at_ms;
        facts->view_count = 1;
        see_stock(row, line, at_ms);
        see_price(facts, event, line->price);
        break;
    case EVENT_WISHLIST_PRODUCT_ADDED:
        facts->wished_at_ms = at_ms;
        see_stock(row, line, at_ms);
        break;
    case EVENT_WISHLIST_PRODUCT_REMOVED:
        facts->unwished_at_ms = at_ms;
        break;
    default:
        facts->carted_at_ms = at_ms;
        break;
    }
}

/* --- facts ----------------------------------------------------------------- */

static bool is_of_interest(enum event_type type)
{
    switch ((int)type) {
    case EVENT_PRODUCT_VIEWED:
    case EVENT_CART_PRODUCT_ADDED:
    case EVENT_CART_UPDATED:
    case EVENT_CHECKOUT_STARTED:
    case EVENT_CHECKOUT_UPDATED:
    case EVENT_WISHLIST_PRODUCT_ADDED:
    case EVENT_WISHLIST_PRODUCT_REMOVED:
        return true;
    default:
        return false;
    }
}

static struct line read_line(struct str object, struct str *out_products)
{
    struct line line = { .product_id = { NULL, 0 } };
    struct str rest = scan_is_object(object) ? str_drop(object, 1) : (struct str){ NULL, 0 };
    struct str key = { NULL, 0 };
    struct str value = { NULL, 0 };
    while (scan_next_member(&rest, &key, &value)) {
        if (!take_member(&line, key, value) && out_products != NULL &&
            str_equal(key, STR("\"products\""))) {
            *out_products = value;
        }
    }
    return line;
}

struct adding {
    struct interest_list *list;
    struct interest_key key;   /* but for the product */
    const struct event *event; /* or */
    const struct order *order;
};

static void add_line(const struct adding *adding, const struct line *line)
{
    struct interest_row row = { .key = adding->key, .asked_at_ms = INSTANT_NONE };
    interest_init(&row.facts);
    if (!line_key(adding->list->arena, line, &row.key)) {
        return;
    }
    if (adding->order != NULL) {
        row.facts.bought_at_ms = adding->order->placed_at_ms;
    } else {
        take_line(&row, adding->event, line);
    }
    interest_add_row(adding->list, &row);
}

static void add_lines(const struct adding *adding, struct str products)
{
    struct str rest = scan_is_array(products) ? str_drop(products, 1) : (struct str){ NULL, 0 };
    struct str item = { NULL, 0 };
    for (size_t i = 0; i < INTEREST_LINES_MAX && scan_next_value(&rest, &item); i++) {
        struct line line = read_line(item, NULL);
        add_line(adding, &line);
    }
}

void interest_add_event(struct interest_list *list, struct id origin_id, const struct event *event)
{
    struct str products = { NULL, 0 };
    if (!is_of_interest(event->type)) {
        return;
    }
    const struct adding adding = {
        .list = list,
        .key = { .source_id = event->source_id, .origin_id = origin_id },
        .event = event,
    };
    struct line line = read_line(scan_space(event->properties_json), &products);
    add_line(&adding, &line);
    add_lines(&adding, products);
}

void interest_add_order(struct interest_list *list, const struct order *order)
{
    struct str products = { NULL, 0 };
    if (!order->contribution.counted || order->placed_at_ms == INSTANT_NONE) {
        return;
    }
    const struct adding adding = {
        .list = list,
        .key = { .source_id = order->source_id, .origin_id = order->origin_id },
        .order = order,
    };
    (void)read_line(scan_space(order->body_json), &products);
    add_lines(&adding, products);
}
