#ifndef CORE_INTEREST_INTEREST_H
#define CORE_INTEREST_INTEREST_H

/*
 * What somebody has to do with a product: looked, put into the cart, wished for,
 * bought, at which price and whether it was sold out.
 *
 * A fold like any other (promise 4): instants are maxima, the price is that of
 * the newest look that named one, looks are counted once each, and what was
 * bought follows from the orders that count. Rows lie under the origin of the
 * fact (correctness 8); whoever reads a customer joins those of all origins.
 *
 * Values borrow from the events and orders they were made of. A full arena is
 * sticky: check it once at the end.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/str.h"
#include "core/event/event.h"
#include "core/order/order.h"

/* Instants are INSTANT_NONE where there was none. */
struct interest {
    int64_t viewed_at_ms; /* last */
    int64_t view_count;
    int64_t out_of_stock_seen_at_ms; /* last */
    int64_t price_seen_at_ms;        /* of the look that told the price */
    int64_t price_minor;
    struct str currency; /* of the price; empty: none was seen */
    int64_t carted_at_ms;
    int64_t wished_at_ms;
    int64_t unwished_at_ms;
    int64_t bought_at_ms; /* by an order that counts */
    /* Something else that serves the same end; known to readers only. */
    int64_t substitute_bought_at_ms;
};

void interest_init(struct interest *interest);
/* The fold: of what two sets of facts say, what both together do. */
void interest_join(struct interest *interest, const struct interest *other);
/* Of its facts. INSTANT_NONE: an order was cancelled, and there was nothing else. */
int64_t interest_newest_ms(const struct interest *interest);
/* When it was wished for, unless the wish was taken back since. */
int64_t interest_wished_at_ms(const struct interest *interest);
/* Saw it sold out, and bought neither it nor anything in its place since. */
bool interest_is_waiting(const struct interest *interest);

/* variant_id is empty where the fact named no variant. */
struct interest_key {
    struct id source_id;
    struct str product_id;
    struct str variant_id;
    struct id origin_id;
};
/* The order of the table's key. */
int interest_key_compare(const struct interest_key *a, const struct interest_key *b);

struct interest_row {
    struct interest_key key;
    struct interest facts;
    /* The newest look of which nothing said whether it was in stock: the catalogue
     * may know. INSTANT_NONE: none. */
    int64_t asked_at_ms;
};

/* Rows under construction; zeroed but for the arena. */
struct interest_list {
    struct arena *arena;
    struct interest_row **rows;
    size_t count;
    size_t capacity;
};

/* What an event says, if anything. Orders' events say nothing: their order does. */
void interest_add_event(struct interest_list *list, struct id origin_id, const struct event *event);
/* What an order says: that its lines were bought, if it counts. */
void interest_add_order(struct interest_list *list, const struct order *order);
/* Copied; its texts are borrowed. */
void interest_add_row(struct interest_list *list, const struct interest_row *row);
/* Each key once, ascending. */
void interest_fold(struct interest_list *list);
/* In a list that was folded; NULL: nothing. */
const struct interest_row *interest_find(const struct interest_list *list,
                                         const struct interest_key *key);

enum {
    /* Of one event or order. A cart of more is a machine's or a wholesaler's; each
     * line is a row to write. */
    INTEREST_LINES_MAX = 100,
    /* An id of a shop; those of real ones have at most 64 bytes, and two of them
     * with three uuids must fit an index. */
    INTEREST_ID_BYTES_MAX = 255
};

#endif
