#include "binary_priv.h"
#include "indicator_priv.h"

/*
 * The stored form of indicators, a part of the profile's `state`.
 *
 *   version | flags | acts | orders | [last opened] [last clicked] [dropped]
 *
 * Newest first, so that instants become short steps back from the one before;
 * a click is the step's lowest bit. A text is written where it first occurs and
 * named by its number afterwards: most customers have one channel. The last
 * open and the last click are those of the list unless it has none of the kind.
 * So one value has one form, which tests compare byte for byte, and bytes that
 * are not such a form are refused: empty, 4 bytes; 10 opens and 5 orders, some
 * 200; never more than 7 KB.
 */

enum {
    INDICATORS_VERSION = 1,
    HAS_LAST_OPENED = 1,
    HAS_LAST_CLICKED = 2,
    HAS_DROPPED = 4,
    IS_INCOMPLETE = 8,
    FLAGS_MAX = 15,
    KEY_SIZE = 8,
    ACT_SIZE_MIN = 1 + KEY_SIZE,
    ORDER_SIZE_MIN = 1 + KEY_SIZE + 3,
    TEXTS_MAX = 3 * INDICATOR_ORDERS_MAX,
};

struct text_table {
    struct str items[TEXTS_MAX];
    size_t count;
};

/* ---- writing ---- */

static void put_key(struct buf *buf, uint64_t key)
{
    for (int shift = 56; shift >= 0; shift -= 8) {
        buf_add_char(buf, (char)(key >> shift & 0xff));
    }
}

/* 0: none; 1 to count: one of the table; count + 1: a new one, which follows. */
static void put_text(struct buf *buf, struct text_table *table, struct str text)
{
    size_t number = 0;
    if (text.size > 0) {
        while (number < table->count && !str_equal(table->items[number], text)) {
            number++;
        }
        number++;
    }
    binary_put_u64(buf, number);
    if (number > table->count) {
        binary_put_str(buf, text);
        table->items[table->count++] = text;
    }
}

/* The newest of the list; INSTANT_NONE when it has none of the kind. */
static int64_t newest_kept(const struct indicators *indicators, bool is_click)
{
    for (size_t i = 0; i < indicators->act_count; i++) {
        if (indicators->acts[i].is_click == is_click) {
            return indicators->acts[i].at_ms;
        }
    }
    return INSTANT_NONE;
}

static uint64_t flags_of(const struct indicators *indicators)
{
    uint64_t flags = indicators->is_incomplete ? IS_INCOMPLETE : 0;
    if (indicators->last_opened_at_ms != newest_kept(indicators, false)) {
        flags |= HAS_LAST_OPENED;
    }
    if (indicators->last_clicked_at_ms != newest_kept(indicators, true)) {
        flags |= HAS_LAST_CLICKED;
    }
    if (indicators->dropped_order_ms != INSTANT_NONE) {
        flags |= HAS_DROPPED;
    }
    return flags;
}

bool indicators_encode(const struct indicators *indicators, struct buf *buf)
{
    uint64_t flags = flags_of(indicators);
    buf_add_char(buf, INDICATORS_VERSION);
    binary_put_u64(buf, flags);
    int64_t before_ms = INDICATOR_AT_MAX;
    binary_put_u64(buf, indicators->act_count);
    for (size_t i = 0; i < indicators->act_count; i++) {
        const struct indicator_act *act = &indicators->acts[i];
        binary_put_u64(buf, (uint64_t)(before_ms - act->at_ms) << 1 | act->is_click);
        put_key(buf, act->id);
        before_ms = act->at_ms;
    }
    struct text_table table = { .count = 0 };
    before_ms = INDICATOR_AT_MAX;
    binary_put_u64(buf, indicators->order_count);
    for (size_t i = 0; i < indicators->order_count; i++) {
        const struct indicator_order *order = &indicators->orders[i];
        binary_put_u64(buf, (uint64_t)(before_ms - order->at_ms));
        put_key(buf, order->ref_hash);
        put_text(buf, &table, order->channel);
        put_text(buf, &table, order->platform);
        put_text(buf, &table, order->place);
        before_ms = order->at_ms;
    }
    if ((flags & HAS_LAST_OPENED) != 0) {
        binary_put_i64(buf, indicators->last_opened_at_ms);
    }
    if ((flags & HAS_LAST_CLICKED) != 0) {
        binary_put_i64(buf, indicators->last_clicked_at_ms);
    }
    if ((flags & HAS_DROPPED) != 0) {
        binary_put_i64(buf, indicators->dropped_order_ms);
    }
    return !buf->failed;
}

/* ---- reading ---- */

static uint64_t get_key(struct binary_reader *reader)
{
    uint64_t key = 0;
    if (reader->rest.size < KEY_SIZE) {
        reader->failed = true;
        return 0;
    }
    for (size_t i = 0; i < KEY_SIZE; i++) {
        key = key << 8 | (uint8_t)reader->rest.data[i];
    }
    reader->rest = str_drop(reader->rest, KEY_SIZE);
    return key;
}

static int64_t get_step_back(struct binary_reader *reader, int64_t before_ms, bool *out_is_click)
{
    uint64_t most = (uint64_t)(before_ms - INDICATOR_AT_MIN);
    uint64_t step = binary_get_below(reader, out_is_click != NULL ? most << 1 | 1 : most);
    if (out_is_click != NULL) {
        *out_is_click = (step & 1) != 0;
        step >>= 1;
    }
    return before_ms - (int64_t)step;
}

static int64_t get_instant(struct binary_reader *reader)
{
    int64_t at_ms = binary_get_i64(reader);
    if (at_ms < INDICATOR_AT_MIN || at_ms > INDICATOR_AT_MAX) {
        reader->failed = true;
    }
    return at_ms;
}

static struct str get_text(struct binary_reader *reader, struct text_table *table)
{
    size_t number = (size_t)binary_get_below(reader, table->count + 1);
    if (number <= table->count) {
        return number == 0 ? ((struct str){ 0 }) : table->items[number - 1];
    }
    struct str text = binary_get_str(reader);
    bool is_known = false;
    for (size_t i = 0; i < table->count; i++) {
        is_known = is_known || str_equal(table->items[i], text);
    }
    if (is_known || text.size == 0 || text.size > INDICATOR_TEXT_BYTES_MAX) {
        reader->failed = true;
        return (struct str){ 0 };
    }
    table->items[table->count++] = text;
    return text;
}

static void get_acts(struct arena *arena, struct binary_reader *reader,
                     struct indicators *indicators)
{
    size_t count = binary_get_count(reader, ACT_SIZE_MIN);
    if (count == 0) {
        return;
    }
    struct indicator_act *acts =
        count <= INDICATOR_ACTS_MAX ? ARENA_NEW_ARRAY(arena, count, struct indicator_act) : NULL;
    if (acts == NULL) {
        reader->failed = true;
        return;
    }
    int64_t before_ms = INDICATOR_AT_MAX;
    for (size_t i = 0; i < count && !reader->failed; i++) {
        acts[i].at_ms = get_step_back(reader, before_ms, &acts[i].is_click);
        acts[i].id = get_key(reader);
        before_ms = acts[i].at_ms;
        if (i > 0 && indicator_act_compare(&acts[i - 1], &acts[i]) >= 0) {
            reader->failed = true;
        }
    }
    indicators->acts = acts;
    indicators->act_count = count;
}

static void get_orders(struct arena *arena, struct binary_reader *reader,
                       struct indicators *indicators)
{
    size_t count = binary_get_count(reader, ORDER_SIZE_MIN);
    if (count == 0) {
        return;
    }
    struct indicator_order *orders = count <= INDICATOR_ORDERS_MAX
                                         ? ARENA_NEW_ARRAY(arena, count, struct indicator_order)
                                         : NULL;
    if (orders == NULL) {
        reader->failed = true;
        return;
    }
    struct text_table table = { .count = 0 };
    int64_t before_ms = INDICATOR_AT_MAX;
    for (size_t i = 0; i < count && !reader->failed; i++) {
        orders[i].at_ms = get_step_back(reader, before_ms, NULL);
        orders[i].ref_hash = get_key(reader);
        orders[i].channel = get_text(reader, &table);
        orders[i].platform = get_text(reader, &table);
        orders[i].place = get_text(reader, &table);
        before_ms = orders[i].at_ms;
        if (i > 0 && indicator_order_compare(&orders[i - 1], &orders[i]) >= 0) {
            reader->failed = true;
        }
    }
    indicators->orders = orders;
    indicators->order_count = count;
}

/* An instant stands behind only where the list cannot say it: a full list that
 * has none of the kind, since all of them are older than what is kept. */
static int64_t get_last(struct binary_reader *reader, const struct indicators *indicators,
                        bool is_stored, bool is_click)
{
    int64_t kept_ms = newest_kept(indicators, is_click);
    if (!is_stored) {
        return kept_ms;
    }
    int64_t at_ms = get_instant(reader);
    if (kept_ms != INSTANT_NONE || indicators->act_count < INDICATOR_ACTS_MAX ||
        at_ms > indicators->acts[indicators->act_count - 1].at_ms) {
        reader->failed = true;
    }
    return at_ms;
}

/* One was thrown away: the list is full, or it is incomplete, and nothing kept is
 * older. */
static void check_dropped(struct binary_reader *reader, const struct indicators *indicators)
{
    bool has_dropped = indicators->dropped_order_ms != INSTANT_NONE;
    size_t count = indicators->order_count;
    bool is_known = has_dropped ? indicators->is_incomplete || count == INDICATOR_ORDERS_MAX
                                : !indicators->is_incomplete;
    bool is_oldest = !has_dropped || count == 0 ||
                     indicators->orders[count - 1].at_ms >= indicators->dropped_order_ms;
    if (!is_known || !is_oldest) {
        reader->failed = true;
    }
}

bool indicators_decode(struct arena *arena, struct str *rest, struct indicators *out_indicators)
{
    if (rest->size == 0 || rest->data[0] != INDICATORS_VERSION) {
        return false;
    }
    struct binary_reader reader = { .rest = str_drop(*rest, 1) };
    struct indicators decoded;
    indicators_init(&decoded);
    uint64_t flags = binary_get_below(&reader, FLAGS_MAX);
    get_acts(arena, &reader, &decoded);
    if (reader.failed) {
        return false;
    }
    get_orders(arena, &reader, &decoded);
    if (reader.failed) {
        return false;
    }
    decoded.is_incomplete = (flags & IS_INCOMPLETE) != 0;
    decoded.last_opened_at_ms = get_last(&reader, &decoded, (flags & HAS_LAST_OPENED) != 0, false);
    decoded.last_clicked_at_ms = get_last(&reader, &decoded, (flags & HAS_LAST_CLICKED) != 0, true);
    if ((flags & HAS_DROPPED) != 0) {
        decoded.dropped_order_ms = get_instant(&reader);
    }
    check_dropped(&reader, &decoded);
    if (reader.failed) {
        return false;
    }
    *rest = reader.rest;
    *out_indicators = decoded;
    return true;
}
