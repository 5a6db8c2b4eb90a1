#include <string.h>

#include "feature_priv.h"

/*
 * What the forms are made of: the mark of what was thrown away, sums that are
 * exact in any order (the rest of them is in the header), lists of instants.
 */

/* --- what was thrown away ----------------------------------------------------- */

void feature_lost_note(struct feature_lost *lost, int64_t at_ms)
{
    /* One that is certainly thrown away at this instant makes it exact. */
    if (at_ms >= lost->at_ms) {
        *lost = (struct feature_lost){ .at_ms = at_ms };
    }
}

void feature_lost_prune(struct feature_lost *lost, int64_t floor_ms)
{
    if (lost->at_ms <= floor_ms) {
        *lost = (struct feature_lost){ .at_ms = INSTANT_NONE };
    }
}

bool feature_lost_remove(struct feature_lost *lost, int64_t at_ms)
{
    if (lost->at_ms == INSTANT_NONE || at_ms > lost->at_ms) {
        return false;
    }
    lost->is_loose = lost->is_loose || at_ms == lost->at_ms;
    return true;
}

void feature_lost_absorb(struct feature_lost *lost, struct feature_lost other)
{
    if (other.at_ms > lost->at_ms) {
        *lost = other;
    } else if (other.at_ms == lost->at_ms) {
        lost->is_loose = lost->is_loose && other.is_loose;
    }
}

/* --- sums --------------------------------------------------------------------- */

void feature_sum_subtract(struct feature_sum *sum, int64_t value)
{
    uint64_t borrow = sum->low < (uint64_t)value ? 1 : 0;
    uint64_t high = value < 0 ? UINT64_MAX : 0;
    sum->low -= (uint64_t)value;
    sum->high = (int64_t)((uint64_t)sum->high - high - borrow);
}

/* --- lists of instants -------------------------------------------------------- */

bool feature_times_reserve(struct arena *arena, struct feature_times *times, size_t capacity)
{
    if (capacity <= times->capacity) {
        return true;
    }
    int64_t *items = ARENA_NEW_ARRAY(arena, capacity, int64_t);
    if (items == NULL) {
        return false;
    }
    if (times->count > 0) {
        memcpy(items, times->items, times->count * sizeof(*items));
    }
    times->items = items;
    times->capacity = capacity;
    return true;
}

/* The index behind the last instant that is not after `at_ms`. New ones are
 * mostly the newest, so it looks from the end. */
static size_t times_place(const struct feature_times *times, int64_t at_ms)
{
    size_t place = times->count;
    while (place > 0 && times->items[place - 1] > at_ms) {
        place--;
    }
    return place;
}

bool feature_times_add(struct arena *arena, struct feature_times *times, size_t keep, int64_t at_ms,
                       struct feature_lost *lost)
{
    size_t place = times_place(times, at_ms);
    if (times->count >= keep) {
        if (place == 0) {
            feature_lost_note(lost, at_ms);
            return true;
        }
        feature_lost_note(lost, times->items[0]);
        memmove(times->items, times->items + 1, (place - 1) * sizeof(*times->items));
        times->items[place - 1] = at_ms;
        return true;
    }
    size_t capacity = times->count < times->capacity ? times->capacity : times->count * 2 + 2;
    if (!feature_times_reserve(arena, times, capacity)) {
        return false;
    }
    memmove(times->items + place + 1, times->items + place,
            (times->count - place) * sizeof(*times->items));
    times->items[place] = at_ms;
    times->count++;
    return true;
}

bool feature_times_remove(struct feature_times *times, int64_t at_ms)
{
    size_t place = times_place(times, at_ms);
    if (place == 0 || times->items[place - 1] != at_ms) {
        return false;
    }
    memmove(times->items + place - 1, times->items + place,
            (times->count - place) * sizeof(*times->items));
    times->count--;
    return true;
}

/* The oldest. */
static void times_drop(struct feature_times *times, size_t count)
{
    if (count > 0) {
        memmove(times->items, times->items + count, (times->count - count) * sizeof(*times->items));
        times->count -= count;
    }
}

void feature_times_prune(struct feature_times *times, int64_t floor_ms)
{
    size_t count = 0;
    while (count < times->count && times->items[count] <= floor_ms) {
        count++;
    }
    times_drop(times, count);
}

void feature_times_trim(struct feature_times *times, size_t keep, struct feature_lost *lost)
{
    if (times->count > keep) {
        size_t count = times->count - keep;
        feature_lost_note(lost, times->items[count - 1]);
        times_drop(times, count);
    }
}

void feature_times_range(const struct feature_times *times, int64_t low_ms, int64_t high_ms,
                         size_t *out_begin, size_t *out_end)
{
    size_t end = times_place(times, high_ms);
    size_t begin = end;
    while (begin > 0 && times->items[begin - 1] > low_ms) {
        begin--;
    }
    *out_begin = begin;
    *out_end = end;
}
