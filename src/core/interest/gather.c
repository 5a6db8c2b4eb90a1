#include "core/interest/interest.h"
#include "decision_priv.h"

/*
 * What a batch's facts and orders add to interests, and what an order takes back.
 *
 * Facts only add, so what they say is folded and written. An order may lose a line,
 * its date, its owner, or stop to count; then when its lines were last bought is
 * known to the customer's other orders alone. Such losses are rare and are asked of
 * them by one more statement, in the same round trip. Of an order that is told of
 * again only what is new is written: mostly nothing.
 */

void interest_remember(struct decision *decision, struct order_slot *slot)
{
    if (slot->loaded != NULL || slot->is_planned || !slot->order->contribution.counted) {
        return;
    }
    struct order *loaded = ARENA_NEW(decision->arena, struct order);
    if (loaded != NULL) {
        *loaded = *slot->order;
        slot->loaded = loaded;
    }
}

/* The same lines, bought at the same time by the same? */
static bool is_same(const struct order *a, const struct order *b)
{
    return a->contribution.counted == b->contribution.counted &&
           a->placed_at_ms == b->placed_at_ms && id_equal(a->origin_id, b->origin_id) &&
           str_equal(a->body_json, b->body_json);
}

struct losses {
    struct interest_loss *items;
    size_t count;
    size_t capacity;
};

static void add_loss(struct decision *decision, struct losses *losses, struct interest_loss loss)
{
    if (losses->count == losses->capacity) {
        size_t capacity = losses->capacity == 0 ? INTEREST_LINES_MAX : losses->capacity * 2;
        struct interest_loss *grown =
            ARENA_NEW_ARRAY(decision->arena, capacity, struct interest_loss);
        if (grown == NULL) {
            return;
        }
        for (size_t i = 0; i < losses->count; i++) {
            grown[i] = losses->items[i];
        }
        losses->items = grown;
        losses->capacity = capacity;
    }
    losses->items[losses->count++] = loss;
}

static bool says_no_more(const struct interest_list *list, const struct interest_row *row)
{
    const struct interest_row *same = interest_find(list, &row->key);
    return same == NULL || same->facts.bought_at_ms < row->facts.bought_at_ms;
}

/* What the order as it is adds to the order as it was, and what it lost. Whoever had
 * it then has the other orders that may know. */
static void compare_lines(struct decision *decision, const struct order_slot *slot,
                          struct interest_list *list, struct losses *losses)
{
    struct interest_list was = { .arena = decision->arena };
    struct interest_list is = { .arena = decision->arena };
    interest_add_order(&was, slot->loaded);
    interest_add_order(&is, slot->order);
    interest_fold(&was);
    interest_fold(&is);
    for (size_t i = 0; i < is.count; i++) {
        if (says_no_more(&was, is.rows[i])) {
            interest_add_row(list, is.rows[i]);
        }
    }
    for (size_t i = 0; i < was.count; i++) {
        if (says_no_more(&is, was.rows[i])) {
            add_loss(decision, losses,
                     (struct interest_loss){
                         .key = was.rows[i]->key,
                         .profile_id = decision_canonical_id(decision, slot->loaded->profile_id) });
        }
    }
}

static void gather_order(struct decision *decision, const struct order_slot *slot,
                         struct interest_list *list, struct losses *losses)
{
    if (!slot->is_dirty) {
        return;
    }
    if (slot->loaded == NULL) {
        interest_add_order(list, slot->order);
    } else if (!is_same(slot->loaded, slot->order)) {
        compare_lines(decision, slot, list, losses);
    }
}

bool interest_gather(struct decision *decision, struct decision_rows *rows)
{
    struct interest_list list = { .arena = decision->arena };
    struct losses losses = { .count = 0 };
    for (size_t i = 0; i < rows->interaction_count; i++) {
        const struct interaction_row *row = &rows->interactions[i];
        interest_add_event(&list, row->origin_id, row->event);
    }
    for (size_t i = 0; i < decision->orders.count; i++) {
        gather_order(decision, decision->orders.items[i], &list, &losses);
    }
    interest_fold(&list);
    rows->interests = list.rows;
    rows->interest_count = list.count;
    rows->interest_losses = losses.items;
    rows->interest_loss_count = losses.count;
    return !arena_is_full(decision->arena);
}
