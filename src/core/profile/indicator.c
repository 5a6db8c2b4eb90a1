#include "core/profile/indicator.h"

#include "indicator_priv.h"

/*
 * The fold of indicators: sets of the newest, by a total order.
 *
 * Problem: what is shown must not depend on the order of arrival, and a merge
 * must give what one profile with all facts would have. So an act is kept iff
 * it is among the 64 newest by (instant, id), an order iff among the 32 newest
 * by (instant, reference), and adding one is a merge with a list of one.
 *
 * An order may be taken away again, and then the 33rd is needed, which is gone.
 * Invariant: every order newer than `dropped_order_ms` is kept. So a list that
 * lost one knows what it lacks: what arrives at or before that instant cannot
 * be ranked against what was thrown away and is thrown away too, and once 32
 * orders after that instant are kept the list is whole again. Until then it is
 * incomplete, and the profile is hydrated.
 *
 * Rejected: counters per weekday, hour and channel (they never forget, and a
 * cancelled order must be found again anyway).
 */

void indicators_init(struct indicators *indicators)
{
    *indicators = (struct indicators){
        .last_opened_at_ms = INSTANT_NONE,
        .last_clicked_at_ms = INSTANT_NONE,
        .dropped_order_ms = INSTANT_NONE,
    };
}

static int compare_keys(int64_t a_ms, int64_t b_ms, uint64_t a, uint64_t b)
{
    if (a_ms != b_ms) {
        return a_ms > b_ms ? -1 : 1;
    }
    return (a < b) - (a > b);
}

int indicator_act_compare(const struct indicator_act *a, const struct indicator_act *b)
{
    return compare_keys(a->at_ms, b->at_ms, a->id, b->id);
}

int indicator_order_compare(const struct indicator_order *a, const struct indicator_order *b)
{
    return compare_keys(a->at_ms, b->at_ms, a->ref_hash, b->ref_hash);
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b; /* INSTANT_NONE is the least there is */
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* ---- acts ---- */

static bool merge_acts(struct arena *arena, struct indicators *into,
                       const struct indicator_act *added, size_t added_count)
{
    size_t capacity = smaller(into->act_count + added_count, INDICATOR_ACTS_MAX);
    struct indicator_act *acts = ARENA_NEW_ARRAY(arena, capacity, struct indicator_act);
    if (acts == NULL) {
        return false;
    }
    size_t count = 0;
    size_t i = 0;
    size_t j = 0;
    while (count < capacity && (i < into->act_count || j < added_count)) {
        int order = 0;
        if (i == into->act_count || j == added_count) {
            order = j == added_count ? -1 : 1;
        } else {
            order = indicator_act_compare(&into->acts[i], &added[j]);
        }
        acts[count++] = order <= 0 ? into->acts[i] : added[j];
        i += order <= 0;
        j += order >= 0;
    }
    into->acts = acts;
    into->act_count = count;
    return true;
}

static uint64_t act_id(struct id id)
{
    uint64_t value = 0;
    for (size_t i = 0; i < sizeof(value); i++) {
        value = value << 8 | id.bytes[i];
    }
    return value;
}

/* Would it stand among those kept, and is it not there yet? */
static bool act_is_news(const struct indicators *indicators, const struct indicator_act *act)
{
    for (size_t i = 0; i < indicators->act_count; i++) {
        int order = indicator_act_compare(act, &indicators->acts[i]);
        if (order <= 0) {
            return order < 0;
        }
    }
    return indicators->act_count < INDICATOR_ACTS_MAX;
}

/* What a machine did (a prefetched image, a scanner that follows links) is no
 * act of the customer: adapters mark it so. */
bool indicators_add_event(struct arena *arena, struct indicators *indicators,
                          const struct event *event, bool *out_failed)
{
    bool is_click = event->type == EVENT_EMAIL_CLICKED;
    bool is_mail = is_click || event->type == EVENT_EMAIL_OPENED;
    int64_t at_ms = event->occurred_at_ms;
    if (!is_mail || !event->act || at_ms < INDICATOR_AT_MIN || at_ms > INDICATOR_AT_MAX) {
        return false;
    }
    struct indicator_act act = { .at_ms = at_ms, .id = act_id(event->id), .is_click = is_click };
    bool is_news = act_is_news(indicators, &act);
    if (is_news && !merge_acts(arena, indicators, &act, 1)) {
        *out_failed = true;
        return false;
    }
    int64_t *last_ms = is_click ? &indicators->last_clicked_at_ms : &indicators->last_opened_at_ms;
    bool is_later = at_ms > *last_ms;
    *last_ms = later(*last_ms, at_ms);
    return is_news || is_later;
}

/* ---- orders ---- */

/* Keeps the newest of a sorted list, by the invariant above. */
static void keep_orders(struct indicators *indicators, struct indicator_order *orders, size_t count)
{
    if (indicators->is_incomplete) {
        while (count > 0 && orders[count - 1].at_ms <= indicators->dropped_order_ms) {
            count--;
        }
    }
    if (count > INDICATOR_ORDERS_MAX) {
        indicators->dropped_order_ms =
            later(indicators->dropped_order_ms, orders[INDICATOR_ORDERS_MAX].at_ms);
        count = INDICATOR_ORDERS_MAX;
    }
    indicators->is_incomplete = indicators->is_incomplete && count < INDICATOR_ORDERS_MAX;
    indicators->orders = orders;
    indicators->order_count = count;
}

static bool merge_orders(struct arena *arena, struct indicators *into,
                         const struct indicator_order *added, size_t added_count)
{
    size_t capacity = into->order_count + added_count;
    struct indicator_order *orders = ARENA_NEW_ARRAY(arena, capacity, struct indicator_order);
    if (orders == NULL) {
        return false;
    }
    size_t count = 0;
    size_t i = 0;
    size_t j = 0;
    while (i < into->order_count || j < added_count) {
        int order = 0;
        if (i == into->order_count || j == added_count) {
            order = j == added_count ? -1 : 1;
        } else {
            order = indicator_order_compare(&into->orders[i], &added[j]);
        }
        orders[count++] = order <= 0 ? into->orders[i] : added[j];
        i += order <= 0;
        j += order >= 0;
    }
    keep_orders(into, orders, count);
    return true;
}

static bool is_placed(const struct order *order)
{
    return order->placed_at_ms >= INDICATOR_AT_MIN && order->placed_at_ms <= INDICATOR_AT_MAX;
}

bool indicators_add_order(struct arena *arena, struct indicators *indicators,
                          const struct order *order)
{
    if (!is_placed(order)) {
        return true;
    }
    struct indicator_order added = { 0 };
    return indicator_order_of(arena, order, &added) && merge_orders(arena, indicators, &added, 1);
}

bool indicators_remove_order(struct arena *arena, struct indicators *indicators,
                             const struct order *order)
{
    if (!is_placed(order)) {
        return true;
    }
    struct indicator_order removed = { .at_ms = order->placed_at_ms,
                                       .ref_hash = indicator_ref_hash(order) };
    size_t found = 0;
    while (found < indicators->order_count &&
           indicator_order_compare(&indicators->orders[found], &removed) != 0) {
        found++;
    }
    if (found == indicators->order_count) {
        return true; /* it was thrown away before */
    }
    size_t count = indicators->order_count - 1;
    struct indicator_order *orders = ARENA_NEW_ARRAY(arena, count + 1, struct indicator_order);
    if (orders == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        orders[i] = indicators->orders[i < found ? i : i + 1];
    }
    indicators->orders = orders;
    indicators->order_count = count;
    indicators->is_incomplete =
        indicators->is_incomplete || indicators->dropped_order_ms != INSTANT_NONE;
    return true;
}

bool indicators_absorb(struct arena *arena, struct indicators *indicators,
                       const struct indicators *loser)
{
    struct indicators merged = *indicators;
    merged.last_opened_at_ms = later(merged.last_opened_at_ms, loser->last_opened_at_ms);
    merged.last_clicked_at_ms = later(merged.last_clicked_at_ms, loser->last_clicked_at_ms);
    merged.dropped_order_ms = later(merged.dropped_order_ms, loser->dropped_order_ms);
    merged.is_incomplete = merged.is_incomplete || loser->is_incomplete;
    if (loser->act_count > 0 && !merge_acts(arena, &merged, loser->acts, loser->act_count)) {
        return false;
    }
    bool has_orders = loser->order_count > 0 || merged.order_count > 0;
    if (has_orders && !merge_orders(arena, &merged, loser->orders, loser->order_count)) {
        return false;
    }
    *indicators = merged;
    return true;
}
