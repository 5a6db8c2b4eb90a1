#include <assert.h>
#include <string.h>

#include "feature_priv.h"

/*
 * WINDOW: values with their instants. A sum over 90 days must forget each
 * value at its own instant, and 4,096 of them are 64 KiB a profile
 * (correctness 17); so the newest 64 are kept one by one and what is older in
 * cells of an hour or a day, at most 128.
 *
 * Invariants, of the facts in the window alone and not of their arrival:
 *   - the entries are the 64 greatest by (instant, value);
 *   - of the rest, a fact is in the cell of its hour or day if all of that cell
 *     is in the window, and the cell is among the newest 128;
 *   - `lost` is the greatest instant among what then remains. No cell, kept or
 *     to come, begins before it: a cell is whole or it is not there.
 * An entry that is pushed out goes where a late fact of its instant would.
 *
 * A cell leaves when the window's edge enters it, all at once: what is counted
 * is then less than what is true by at most one cell, and `lost`, the newest
 * instant that went with it, says until when.
 *
 * After a removal from the 64 there is a hole while anything older is kept or
 * lost; see feature_newest.c for how it is filled.
 */

#define CELL_HOUR_WITHIN_MS (7 * INSTANT_DAY_MS)

int64_t feature_cell_ms(const struct feature *feature)
{
    bool is_short = feature->within_ms > 0 && feature->within_ms <= CELL_HOUR_WITHIN_MS;
    return is_short ? INSTANT_HOUR_MS : INSTANT_DAY_MS;
}

static int64_t cell_start_ms(const struct feature *feature, int64_t at_ms)
{
    int64_t size_ms = feature_cell_ms(feature);
    int64_t part_ms = at_ms % size_ms;
    return at_ms - part_ms - (part_ms < 0 ? size_ms : 0);
}

static bool is_before(struct feature_entry a, struct feature_entry b)
{
    return a.at_ms < b.at_ms || (a.at_ms == b.at_ms && a.value < b.value);
}

/* --- cells -------------------------------------------------------------------- */

static void cell_merge(const struct feature *feature, struct feature_cell *cell,
                       const struct feature_cell *other)
{
    cell->newest_ms = other->newest_ms > cell->newest_ms ? other->newest_ms : cell->newest_ms;
    cell->count = feature_count_add(cell->count, other->count);
    feature_sum_absorb(&cell->sum, other->sum);
    if (feature_beats(feature->function, other->extreme, cell->extreme)) {
        cell->extreme = other->extreme;
    }
}

/* Only what the function reads is filled in, so that equal states have equal
 * bytes. */
static struct feature_cell cell_of(const struct feature *feature, struct feature_entry entry)
{
    struct feature_cell cell = {
        .start_ms = cell_start_ms(feature, entry.at_ms),
        .newest_ms = entry.at_ms,
        .count = 1,
    };
    if (feature->function == RULE_SUM || feature->function == RULE_AVG) {
        feature_sum_add(&cell.sum, entry.value);
    } else if (feature->function == RULE_MIN || feature->function == RULE_MAX) {
        cell.extreme = entry.value;
    }
    return cell;
}

static bool cells_reserve(struct arena *arena, struct feature_window *window)
{
    if (window->cell_count < window->cell_capacity) {
        return true;
    }
    size_t capacity = window->cell_capacity * 2 + 4;
    struct feature_cell *cells = ARENA_NEW_ARRAY(arena, capacity, struct feature_cell);
    if (cells == NULL) {
        return false;
    }
    if (window->cell_count > 0) {
        memcpy(cells, window->cells, window->cell_count * sizeof(*cells));
    }
    window->cells = cells;
    window->cell_capacity = capacity;
    return true;
}

static void cells_drop(struct feature_window *window, size_t index, size_t count)
{
    memmove(window->cells + index, window->cells + index + count,
            (window->cell_count - index - count) * sizeof(*window->cells));
    window->cell_count -= count;
}

/* The index behind the last cell that begins at or before `start_ms`. */
static size_t cell_place(const struct feature_window *window, int64_t start_ms)
{
    size_t place = window->cell_count;
    while (place > 0 && window->cells[place - 1].start_ms > start_ms) {
        place--;
    }
    return place;
}

/* Is the cell that begins at `start_ms` one that may be kept? */
static bool cell_is_whole(const struct feature *feature, const struct feature_memory *memory,
                          int64_t start_ms, int64_t floor_ms)
{
    int64_t lost_ms = memory->lost.at_ms;
    return start_ms > floor_ms &&
           (lost_ms == INSTANT_NONE || start_ms > cell_start_ms(feature, lost_ms));
}

static bool cell_put(struct arena *arena, const struct feature *feature,
                     struct feature_memory *memory, const struct feature_cell *cell,
                     int64_t floor_ms)
{
    struct feature_window *window = &memory->window;
    size_t place = cell_place(window, cell->start_ms);
    if (place > 0 && window->cells[place - 1].start_ms == cell->start_ms) {
        cell_merge(feature, &window->cells[place - 1], cell);
        return true;
    }
    bool is_full = window->cell_count >= FEATURE_CELLS_MAX;
    if (!cell_is_whole(feature, memory, cell->start_ms, floor_ms) || (is_full && place == 0)) {
        feature_lost_note(&memory->lost, cell->newest_ms);
        return true;
    }
    if (is_full) {
        feature_lost_note(&memory->lost, window->cells[0].newest_ms);
        cells_drop(window, 0, 1);
        place--;
    }
    if (!cells_reserve(arena, window)) {
        return false;
    }
    memmove(window->cells + place + 1, window->cells + place,
            (window->cell_count - place) * sizeof(*window->cells));
    window->cells[place] = *cell;
    window->cell_count++;
    return true;
}

/* --- entries ------------------------------------------------------------------ */

static bool entries_reserve(struct arena *arena, struct feature_window *window)
{
    if (window->count < window->capacity) {
        return true;
    }
    size_t capacity = window->capacity * 2 + 2;
    struct feature_entry *entries = ARENA_NEW_ARRAY(arena, capacity, struct feature_entry);
    if (entries == NULL) {
        return false;
    }
    if (window->count > 0) {
        memcpy(entries, window->entries, window->count * sizeof(*entries));
    }
    window->entries = entries;
    window->capacity = capacity;
    return true;
}

static void entries_drop(struct feature_window *window, size_t index, size_t count)
{
    memmove(window->entries + index, window->entries + index + count,
            (window->count - index - count) * sizeof(*window->entries));
    window->count -= count;
}

static bool has_older(const struct feature_memory *memory)
{
    return memory->window.cell_count > 0 || memory->lost.at_ms != INSTANT_NONE;
}

/* The greatest instant that is not among the entries. */
static int64_t older_ms(const struct feature_memory *memory)
{
    const struct feature_window *window = &memory->window;
    int64_t at_ms = memory->lost.at_ms;
    if (window->cell_count > 0 && window->cells[window->cell_count - 1].newest_ms > at_ms) {
        at_ms = window->cells[window->cell_count - 1].newest_ms;
    }
    return at_ms;
}

static bool entry_insert(struct arena *arena, struct feature_window *window,
                         struct feature_entry entry)
{
    if (!entries_reserve(arena, window)) {
        return false;
    }
    size_t place = window->count;
    while (place > 0 && is_before(entry, window->entries[place - 1])) {
        place--;
    }
    memmove(window->entries + place + 1, window->entries + place,
            (window->count - place) * sizeof(*window->entries));
    window->entries[place] = entry;
    window->count++;
    return true;
}

static bool window_put(struct arena *arena, const struct feature *feature,
                       struct feature_memory *memory, struct feature_entry entry, int64_t floor_ms)
{
    struct feature_window *window = &memory->window;
    struct feature_entry pushed = entry;
    if (window->count < FEATURE_EXACT_MAX) {
        if (!has_older(memory) || entry.at_ms > older_ms(memory)) {
            return entry_insert(arena, window, entry);
        }
    } else if (is_before(window->entries[0], entry)) {
        pushed = window->entries[0];
        entries_drop(window, 0, 1);
        if (!entry_insert(arena, window, entry)) {
            return false;
        }
    }
    struct feature_cell cell = cell_of(feature, pushed);
    return cell_put(arena, feature, memory, &cell, floor_ms);
}

static bool window_add(struct arena *arena, const struct feature *feature,
                       struct feature_memory *memory, const struct feature_fact *fact,
                       int64_t floor_ms)
{
    for (size_t i = 0; i < fact->count; i++) {
        struct feature_entry entry = { fact->at_ms, fact->numbers[i] };
        if (!window_put(arena, feature, memory, entry, floor_ms)) {
            return false;
        }
    }
    return true;
}

/* --- removal ------------------------------------------------------------------ */

static bool entry_remove(struct feature_window *window, struct feature_entry entry)
{
    for (size_t i = window->count; i > 0 && !is_before(window->entries[i - 1], entry); i--) {
        if (!is_before(entry, window->entries[i - 1])) {
            entries_drop(window, i - 1, 1);
            return true;
        }
    }
    return false;
}

/* False when the state does not know any more what is true: the cell's newest
 * instant or extreme may have been this one. */
static bool cell_remove(const struct feature *feature, struct feature_window *window,
                        struct feature_entry entry)
{
    int64_t start_ms = cell_start_ms(feature, entry.at_ms);
    size_t place = cell_place(window, start_ms);
    if (place == 0 || window->cells[place - 1].start_ms != start_ms) {
        return false;
    }
    struct feature_cell *cell = &window->cells[place - 1];
    struct feature_cell gone = cell_of(feature, entry);
    bool has_extreme = feature->function == RULE_MIN || feature->function == RULE_MAX;
    if (cell->count == 1) {
        bool is_same = cell->newest_ms == entry.at_ms && cell->extreme == gone.extreme;
        cells_drop(window, place - 1, 1);
        return is_same;
    }
    cell->count--;
    if (feature->function == RULE_SUM || feature->function == RULE_AVG) {
        feature_sum_subtract(&cell->sum, entry.value);
    }
    return entry.at_ms < cell->newest_ms &&
           (!has_extreme || feature_beats(feature->function, cell->extreme, entry.value));
}

static void window_remove(const struct feature *feature, struct feature_memory *memory,
                          const struct feature_fact *fact, int64_t floor_ms)
{
    (void)floor_ms;
    for (size_t i = 0; i < fact->count; i++) {
        struct feature_entry entry = { fact->at_ms, fact->numbers[i] };
        bool is_known = entry_remove(&memory->window, entry);
        if (!is_known && entry.at_ms <= memory->lost.at_ms) {
            is_known = feature_lost_remove(&memory->lost, entry.at_ms);
        } else if (!is_known) {
            is_known = cell_remove(feature, &memory->window, entry);
        }
        memory->is_broken = memory->is_broken || !is_known;
    }
}

/* --- the whole ---------------------------------------------------------------- */

static void window_prune(const struct feature *feature, struct feature_memory *memory,
                         int64_t floor_ms)
{
    (void)feature;
    struct feature_window *window = &memory->window;
    size_t count = 0;
    while (count < window->count && window->entries[count].at_ms <= floor_ms) {
        count++;
    }
    if (count > 0) {
        entries_drop(window, 0, count);
    }
    count = 0;
    while (count < window->cell_count && window->cells[count].start_ms <= floor_ms) {
        feature_lost_note(&memory->lost, window->cells[count].newest_ms);
        count++;
    }
    if (count > 0) {
        cells_drop(window, 0, count);
    }
    feature_lost_prune(&memory->lost, floor_ms);
}

/* Entries first, while nothing says that anything is older; then what is older
 * on either side. */
static bool window_absorb(struct arena *arena, const struct feature *feature,
                          struct feature_memory *memory, const struct feature_memory *loser,
                          int64_t floor_ms)
{
    struct feature_memory merged = {
        .feature = memory->feature,
        .is_broken = memory->is_broken,
        .lost = { .at_ms = INSTANT_NONE },
    };
    const struct feature_memory *sides[] = { memory, loser };
    int64_t older = older_ms(memory) > older_ms(loser) ? older_ms(memory) : older_ms(loser);
    feature_lost_absorb(&merged.lost, memory->lost);
    feature_lost_absorb(&merged.lost, loser->lost);
    for (size_t i = 0; i < ARRAY_COUNT(sides); i++) {
        for (size_t j = 0; j < sides[i]->window.cell_count; j++) {
            if (!cell_put(arena, feature, &merged, &sides[i]->window.cells[j], floor_ms)) {
                return false;
            }
        }
    }
    /* With 64 on the side that has older ones, no entry is pushed to the wrong
     * place; with fewer there is a hole, and it stays one. */
    for (size_t i = 0; i < ARRAY_COUNT(sides); i++) {
        for (size_t j = sides[i]->window.count; j > 0; j--) {
            struct feature_entry entry = sides[i]->window.entries[j - 1];
            struct feature_window *window = &merged.window;
            bool fits = window->count < FEATURE_EXACT_MAX && entry.at_ms >= older;
            if (fits ? !entry_insert(arena, window, entry)
                     : !window_put(arena, feature, &merged, entry, floor_ms)) {
                return false;
            }
        }
    }
    *memory = merged;
    return true;
}

static bool window_is_complete(const struct feature *feature, const struct feature_memory *memory,
                               int64_t floor_ms)
{
    const struct feature_window *window = &memory->window;
    if (window->count < FEATURE_EXACT_MAX && has_older(memory)) {
        return false;
    }
    /* A cell that was emptied while an older one had been thrown away. */
    return window->cell_count >= FEATURE_CELLS_MAX || memory->lost.at_ms == INSTANT_NONE ||
           cell_start_ms(feature, memory->lost.at_ms) <= floor_ms;
}

static bool window_is_empty(const struct feature_memory *memory)
{
    return memory->window.count == 0 && memory->window.cell_count == 0;
}

const struct feature_form_table feature_form_window = {
    .add = window_add,
    .remove = window_remove,
    .prune = window_prune,
    .absorb = window_absorb,
    .is_complete = window_is_complete,
    .is_empty = window_is_empty,
};
