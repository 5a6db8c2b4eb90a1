#include "indicator_priv.h"

/*
 * Buying habits and the purchase cycle, out of the newest 32 counted orders.
 *
 * The cycle is the median interval, so that one long pause does not stretch it;
 * of an even number of intervals, the mean of the middle two, cut to whole
 * milliseconds. Orders that all came in one instant (an import that knows days
 * only may do that) have no cycle: due at once and for ever says nothing.
 */

enum {
    WEEKDAY_COUNT = 7,
    HOUR_COUNT = 24,
    CYCLE_ORDERS_MIN = 3,
    /* Tenths of the median: where early ends, and where overdue begins. */
    CYCLE_DUE_TENTHS = 8,
    CYCLE_OVERDUE_TENTHS = 15,
};

/* ---- cycle ---- */

bool cycle_median(const struct indicators *indicators, int64_t *out_ms)
{
    if (indicators->order_count < CYCLE_ORDERS_MIN) {
        return false;
    }
    int64_t sorted_ms[INDICATOR_ORDERS_MAX] = { 0 };
    size_t count = 0;
    for (size_t i = 1; i < indicators->order_count && count < INDICATOR_ORDERS_MAX; i++) {
        int64_t interval_ms = indicators->orders[i - 1].at_ms - indicators->orders[i].at_ms;
        size_t place = count++;
        for (; place > 0 && sorted_ms[place - 1] > interval_ms; place--) {
            sorted_ms[place] = sorted_ms[place - 1];
        }
        sorted_ms[place] = interval_ms;
    }
    int64_t median_ms = (sorted_ms[(count - 1) / 2] + sorted_ms[count / 2]) / 2;
    if (median_ms == 0) {
        return false;
    }
    *out_ms = median_ms;
    return true;
}

/* due from 0.8 of the median on, the edge itself included; overdue when more
 * than 1.5 have passed. In whole milliseconds: the first with 10 * elapsed >= 8 *
 * median, and the first with 10 * elapsed > 15 * median. */
const char *cycle_stage(const struct indicators *indicators, int64_t at_ms, int64_t *out_until_ms)
{
    int64_t median_ms = 0;
    int64_t until_ms = INSTANT_NEVER;
    const char *stage = NULL;
    if (cycle_median(indicators, &median_ms)) {
        int64_t last_ms = indicators->orders[0].at_ms;
        int64_t due_ms = last_ms + (CYCLE_DUE_TENTHS * median_ms + 9) / 10;
        int64_t overdue_ms = last_ms + CYCLE_OVERDUE_TENTHS * median_ms / 10 + 1;
        if (at_ms < due_ms) {
            stage = "early";
            until_ms = due_ms;
        } else if (at_ms < overdue_ms) {
            stage = "due";
            until_ms = overdue_ms;
        } else {
            stage = "overdue";
        }
    }
    if (out_until_ms != NULL) {
        *out_until_ms = until_ms;
    }
    return stage;
}

/* ---- habits ---- */

/* The index with the greatest count; of several, the one that stands first in
 * `order_of`: that of the newest order. */
static int top_of(const int *counts, const int *order_of, size_t count)
{
    int top = order_of[0];
    for (size_t i = 1; i < count; i++) {
        if (counts[order_of[i]] > counts[top]) {
            top = order_of[i];
        }
    }
    return top;
}

static void find_time(const struct indicators *indicators, const struct zone *zone,
                      struct habits *habits)
{
    static const char *const WEEKDAYS[WEEKDAY_COUNT] = {
        "thursday", "friday", "saturday", "sunday", "monday", "tuesday", "wednesday",
    };
    int weekday_counts[WEEKDAY_COUNT] = { 0 };
    int hour_counts[HOUR_COUNT] = { 0 };
    int weekdays[INDICATOR_ORDERS_MAX] = { 0 };
    int hours[INDICATOR_ORDERS_MAX] = { 0 };
    size_t count = indicators->order_count;
    for (size_t i = 0; i < count; i++) {
        int64_t at_ms = indicators->orders[i].at_ms;
        int64_t local_ms = at_ms + instant_zone_offset_ms(zone, at_ms);
        int64_t day = local_ms / INSTANT_DAY_MS - (local_ms % INSTANT_DAY_MS < 0);
        hours[i] = (int)((local_ms - day * INSTANT_DAY_MS) / INSTANT_HOUR_MS);
        weekdays[i] = (int)((day % WEEKDAY_COUNT + WEEKDAY_COUNT) % WEEKDAY_COUNT);
        hour_counts[hours[i]]++;
        weekday_counts[weekdays[i]]++;
    }
    habits->top_weekday = WEEKDAYS[top_of(weekday_counts, weekdays, count)];
    habits->top_hour = top_of(hour_counts, hours, count);
}

typedef struct str order_text_fn(const struct indicator_order *order);

static struct str platform_of(const struct indicator_order *order)
{
    return order->platform;
}

static struct str channel_of(const struct indicator_order *order)
{
    return order->channel;
}

static struct str place_of(const struct indicator_order *order)
{
    return order->place;
}

/* Orders of which it is not known do not vote. */
static struct str top_text(const struct indicators *indicators, order_text_fn *text_of)
{
    struct str top = { 0 };
    size_t most = 0;
    for (size_t i = 0; i < indicators->order_count; i++) {
        struct str text = text_of(&indicators->orders[i]);
        size_t votes = 0;
        for (size_t j = i; text.size > 0 && j < indicators->order_count; j++) {
            votes += str_equal(text_of(&indicators->orders[j]), text);
        }
        if (votes > most) {
            most = votes;
            top = text;
        }
    }
    return top;
}

void habits_of(const struct indicators *indicators, const struct zone *zone,
               struct habits *out_habits)
{
    struct habits habits = { .top_hour = -1 };
    if (indicators->order_count > 0) {
        find_time(indicators, zone, &habits);
        habits.top_platform = top_text(indicators, platform_of);
        habits.top_channel = top_text(indicators, channel_of);
        habits.top_place = top_text(indicators, place_of);
    }
    *out_habits = habits;
}
