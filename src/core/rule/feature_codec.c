#include <assert.h>

#include "binary_priv.h"
#include "feature_priv.h"

/*
 * The stored form of one feature's state: a head byte (form, flags), the instant
 * lost if any, and its lists, the newest first: instants as the difference to the
 * one before, counts only where the end does not tell. Three views of an afternoon
 * take some 14 bytes.
 *
 * Invariant: one state has one form. What is decoded is checked as far as
 * encoding could have written it (order, limits, what must be together), so
 * decoding and encoding again gives the same bytes; anything else is refused.
 */

enum {
    HEAD_FORM = 7,
    HEAD_LOST = 8,
    HEAD_BROKEN = 16,
    HEAD_EXTRA = 32, /* KEYED: something trimmed; EDGE: an entry */
    HEAD_ALL = 63,
    HASH_BYTES = 8,
    /* Twice the greatest difference of two instants. */
    DELTA_BITS_MAX = 54,
};

/* --- parts -------------------------------------------------------------------- */

/* An instant and a mark in its lowest bit. */
static void put_moment(struct buf *buf, int64_t at_ms, bool mark)
{
    binary_put_i64(buf, (at_ms - INSTANT_FIRST_MS) * 2 + (mark ? 1 : 0));
}

static int64_t get_moment(struct binary_reader *reader, bool *out_mark)
{
    int64_t folded = binary_get_i64(reader);
    int64_t mark = folded & 1;
    int64_t at_ms = (folded - mark) / 2;
    if (!feature_instant_is_valid(at_ms)) {
        reader->failed = true;
        return 0;
    }
    *out_mark = mark != 0;
    return at_ms + INSTANT_FIRST_MS;
}

static void put_instant(struct buf *buf, int64_t at_ms)
{
    binary_put_i64(buf, at_ms - INSTANT_FIRST_MS);
}

static int64_t get_instant(struct binary_reader *reader)
{
    int64_t at_ms = binary_get_i64(reader);
    if (!feature_instant_is_valid(at_ms)) {
        reader->failed = true;
        return 0;
    }
    return at_ms + INSTANT_FIRST_MS;
}

/* The next older one. */
static int64_t get_older(struct binary_reader *reader, int64_t at_ms)
{
    uint64_t delta = binary_get_below(reader, UINT64_C(1) << DELTA_BITS_MAX);
    int64_t older_ms = at_ms - (int64_t)delta;
    if (!feature_instant_is_valid(older_ms - INSTANT_FIRST_MS)) {
        reader->failed = true;
        return 0;
    }
    return older_ms;
}

static void put_hash(struct buf *buf, uint64_t hash)
{
    char bytes[HASH_BYTES];
    for (size_t i = 0; i < HASH_BYTES; i++) {
        bytes[i] = (char)(hash >> (8 * i));
    }
    buf_add(buf, bytes, sizeof(bytes));
}

static uint64_t get_hash(struct binary_reader *reader)
{
    uint64_t hash = 0;
    if (reader->rest.size < HASH_BYTES) {
        reader->failed = true;
        return 0;
    }
    for (size_t i = 0; i < HASH_BYTES; i++) {
        hash |= (uint64_t)(uint8_t)reader->rest.data[i] << (8 * i);
    }
    reader->rest = str_drop(reader->rest, HASH_BYTES);
    return hash;
}

static void put_sum(struct buf *buf, struct feature_sum sum)
{
    int64_t low = (int64_t)sum.low;
    binary_put_i64(buf, low);
    binary_put_i64(buf, (int64_t)((uint64_t)sum.high + (low < 0 ? 1 : 0)));
}

static struct feature_sum get_sum(struct binary_reader *reader)
{
    int64_t low = binary_get_i64(reader);
    int64_t high = binary_get_i64(reader);
    return (struct feature_sum){ (uint64_t)low, (int64_t)((uint64_t)high - (low < 0 ? 1 : 0)) };
}

static bool more(const struct binary_reader *reader)
{
    return !reader->failed && reader->rest.size > 0;
}

static void must(struct binary_reader *reader, bool condition)
{
    reader->failed = reader->failed || !condition;
}

/* --- NEWEST ------------------------------------------------------------------- */

/* The newest was written; the rest as differences. */
static void put_older_times(struct buf *buf, const struct feature_times *times)
{
    for (size_t i = times->count - 1; i > 0; i--) {
        binary_put_u64(buf, (uint64_t)(times->items[i] - times->items[i - 1]));
    }
}

static void encode_newest(const struct feature_memory *memory, struct buf *buf)
{
    if (memory->newest.count > 0) {
        put_instant(buf, memory->newest.items[memory->newest.count - 1]);
        put_older_times(buf, &memory->newest);
    }
}

/* Room for a fact more, so that the first that comes allocates nothing. */
static void decode_newest(struct arena *arena, struct binary_reader *reader,
                          struct feature_memory *memory)
{
    int64_t items[FEATURE_KEEP_MAX];
    size_t count = 0;
    int64_t at_ms = 0;
    while (more(reader) && count < FEATURE_KEEP_MAX) {
        at_ms = count == 0 ? get_instant(reader) : get_older(reader, at_ms);
        items[count++] = at_ms;
    }
    must(reader, count == 0 || at_ms >= memory->lost.at_ms);
    must(reader, count > 0 || memory->is_broken || memory->lost.at_ms != INSTANT_NONE);
    if (reader->failed || !feature_times_reserve(arena, &memory->newest, count + 1)) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        memory->newest.items[i] = items[count - 1 - i];
    }
    memory->newest.count = count;
}

/* --- DISTINCT ----------------------------------------------------------------- */

static void encode_distinct(const struct feature_memory *memory, struct buf *buf)
{
    const struct feature_distinct *distinct = &memory->distinct;
    for (size_t i = distinct->count; i > 0; i--) {
        const struct feature_distinct_value *item = &distinct->items[i - 1];
        if (i == distinct->count) {
            put_moment(buf, item->at_ms, item->is_loose);
        } else {
            uint64_t delta = (uint64_t)(distinct->items[i].at_ms - item->at_ms);
            binary_put_u64(buf, delta << 1 | (item->is_loose ? 1 : 0));
        }
        put_hash(buf, item->hash);
    }
}

static struct feature_distinct_value get_distinct(struct binary_reader *reader, size_t index,
                                                  int64_t newer_ms)
{
    struct feature_distinct_value item = { 0 };
    if (index == 0) {
        item.at_ms = get_moment(reader, &item.is_loose);
    } else {
        uint64_t folded = binary_get_below(reader, UINT64_C(2) << DELTA_BITS_MAX);
        item.is_loose = (folded & 1) != 0;
        item.at_ms = newer_ms - (int64_t)(folded >> 1);
        must(reader, feature_instant_is_valid(item.at_ms - INSTANT_FIRST_MS));
    }
    item.hash = get_hash(reader);
    return item;
}

static bool distinct_has(const struct feature_distinct_value *items, size_t count, uint64_t hash)
{
    for (size_t i = 0; i < count; i++) {
        if (items[i].hash == hash) {
            return true;
        }
    }
    return false;
}

static void decode_distinct(struct arena *arena, struct binary_reader *reader,
                            struct feature_memory *memory)
{
    struct feature_distinct_value items[FEATURE_KEEP_MAX];
    size_t count = 0;
    int64_t at_ms = 0;
    while (more(reader) && count < FEATURE_KEEP_MAX) {
        struct feature_distinct_value item = get_distinct(reader, count, at_ms);
        must(reader, count == 0 || item.at_ms < at_ms || item.hash < items[count - 1].hash);
        must(reader, !distinct_has(items, count, item.hash));
        at_ms = item.at_ms;
        items[count++] = item;
    }
    must(reader, count == 0 || at_ms >= memory->lost.at_ms);
    must(reader, count > 0 || memory->is_broken || memory->lost.at_ms != INSTANT_NONE);
    struct feature_distinct *distinct = &memory->distinct;
    distinct->capacity = count + 1;
    distinct->items = ARENA_NEW_ARRAY(arena, count + 1, struct feature_distinct_value);
    if (reader->failed || distinct->items == NULL) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        distinct->items[i] = items[count - 1 - i];
    }
    distinct->count = count;
}

/* --- KEYED -------------------------------------------------------------------- */

static int64_t last_of(const struct feature_key *key)
{
    return key->times.items[key->times.count - 1];
}

static void encode_keyed(const struct feature_memory *memory, struct buf *buf)
{
    const struct feature_keyed *keyed = &memory->keyed;
    if (keyed->trimmed.at_ms != INSTANT_NONE) {
        put_moment(buf, keyed->trimmed.at_ms, keyed->trimmed.is_loose);
    }
    for (size_t i = keyed->count; i > 0; i--) {
        const struct feature_key *key = &keyed->keys[i - 1];
        if (i == keyed->count) {
            put_instant(buf, last_of(key));
        } else {
            binary_put_u64(buf, (uint64_t)(last_of(&keyed->keys[i]) - last_of(key)));
        }
        put_hash(buf, key->hash);
        binary_put_u64(buf, key->times.count);
        put_older_times(buf, &key->times);
    }
}

/* One key whose last instant is known. */
static void decode_key(struct arena *arena, struct binary_reader *reader, int64_t at_ms,
                       int64_t lost_ms, struct feature_key *key)
{
    key->hash = get_hash(reader);
    size_t count = (size_t)binary_get_below(reader, FEATURE_KEEP_MAX);
    must(reader, count > 0 && count - 1 <= reader->rest.size);
    if (reader->failed || !feature_times_reserve(arena, &key->times, count)) {
        reader->failed = true;
        return;
    }
    key->times.count = count;
    for (size_t i = count; i > 0; i--) {
        key->times.items[i - 1] = at_ms;
        at_ms = i > 1 ? get_older(reader, at_ms) : at_ms;
    }
    must(reader, at_ms > lost_ms);
}

static bool keyed_has(const struct feature_key *keys, size_t count, uint64_t hash)
{
    for (size_t i = 0; i < count; i++) {
        if (keys[i].hash == hash) {
            return true;
        }
    }
    return false;
}

static void decode_keyed(struct arena *arena, struct binary_reader *reader,
                         struct feature_memory *memory, bool has_trimmed)
{
    struct feature_keyed *keyed = &memory->keyed;
    struct feature_key keys[FEATURE_KEYS_MAX];
    size_t count = 0;
    int64_t at_ms = 0;
    keyed->trimmed.at_ms = INSTANT_NONE;
    if (has_trimmed) {
        keyed->trimmed.at_ms = get_moment(reader, &keyed->trimmed.is_loose);
        must(reader, keyed->trimmed.at_ms > memory->lost.at_ms);
    }
    while (more(reader) && count < FEATURE_KEYS_MAX) {
        int64_t newer_ms = at_ms;
        keys[count] = (struct feature_key){ 0 };
        at_ms = count == 0 ? get_instant(reader) : get_older(reader, at_ms);
        decode_key(arena, reader, at_ms, memory->lost.at_ms, &keys[count]);
        must(reader, count == 0 || at_ms < newer_ms || keys[count].hash < keys[count - 1].hash);
        must(reader, !keyed_has(keys, count, keys[count].hash));
        count++;
    }
    must(reader,
         count > 0 || memory->is_broken || has_trimmed || memory->lost.at_ms != INSTANT_NONE);
    keyed->capacity = count + 1;
    keyed->keys = ARENA_NEW_ARRAY(arena, count + 1, struct feature_key);
    if (reader->failed || keyed->keys == NULL) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        keyed->keys[i] = keys[count - 1 - i];
    }
    keyed->count = count;
}

/* --- WINDOW ------------------------------------------------------------------- */

static bool has_sum(const struct feature *feature)
{
    return feature->function == RULE_SUM || feature->function == RULE_AVG;
}

static bool has_extreme(const struct feature *feature)
{
    return feature->function == RULE_MIN || feature->function == RULE_MAX;
}

static void encode_window(const struct feature *feature, const struct feature_memory *memory,
                          struct buf *buf)
{
    const struct feature_window *window = &memory->window;
    int64_t size_ms = feature_cell_ms(feature);
    binary_put_u64(buf, window->count);
    for (size_t i = window->count; i > 0; i--) {
        const struct feature_entry *entry = &window->entries[i - 1];
        if (i == window->count) {
            put_instant(buf, entry->at_ms);
        } else {
            binary_put_u64(buf, (uint64_t)(window->entries[i].at_ms - entry->at_ms));
        }
        if (feature->function != RULE_COUNT) {
            binary_put_i64(buf, entry->value);
        }
    }
    for (size_t i = window->cell_count; i > 0; i--) {
        const struct feature_cell *cell = &window->cells[i - 1];
        if (i == window->cell_count) {
            binary_put_i64(buf, cell->start_ms / size_ms);
        } else {
            binary_put_u64(buf, (uint64_t)((window->cells[i].start_ms - cell->start_ms) / size_ms));
        }
        binary_put_u64(buf, (uint64_t)(cell->newest_ms - cell->start_ms));
        binary_put_u64(buf, (uint64_t)cell->count);
        if (has_sum(feature)) {
            put_sum(buf, cell->sum);
        } else if (has_extreme(feature)) {
            binary_put_i64(buf, cell->extreme);
        }
    }
}

static void decode_entries(struct arena *arena, const struct feature *feature,
                           struct binary_reader *reader, struct feature_window *window)
{
    size_t count = (size_t)binary_get_below(reader, FEATURE_EXACT_MAX);
    must(reader, count <= reader->rest.size);
    window->capacity = count + 1;
    window->entries =
        reader->failed ? NULL : ARENA_NEW_ARRAY(arena, count + 1, struct feature_entry);
    if (window->entries == NULL) {
        reader->failed = true;
        return;
    }
    window->count = count;
    int64_t at_ms = 0;
    for (size_t i = count; i > 0; i--) {
        struct feature_entry *entry = &window->entries[i - 1];
        at_ms = i == count ? get_instant(reader) : get_older(reader, at_ms);
        entry->at_ms = at_ms;
        entry->value = feature->function != RULE_COUNT ? binary_get_i64(reader) : 0;
        must(reader, i == count || at_ms < entry[1].at_ms || entry->value <= entry[1].value);
    }
}

static struct feature_cell get_cell(const struct feature *feature, struct binary_reader *reader,
                                    bool is_first, int64_t newer_start_ms)
{
    struct feature_cell cell = { 0 };
    int64_t size_ms = feature_cell_ms(feature);
    int64_t index_max = FEATURE_INSTANT_LIMIT_MS / size_ms;
    int64_t index = 0;
    if (is_first) {
        index = binary_get_i64(reader);
    } else {
        uint64_t delta = binary_get_below(reader, (uint64_t)index_max * 2);
        must(reader, delta > 0);
        index = newer_start_ms / size_ms - (int64_t)delta;
    }
    if (index <= -index_max || index >= index_max) {
        reader->failed = true;
        return cell;
    }
    cell.start_ms = index * size_ms;
    cell.newest_ms = cell.start_ms + (int64_t)binary_get_below(reader, (uint64_t)size_ms - 1);
    cell.count = (int64_t)binary_get_below(reader, FEATURE_COUNT_MAX);
    must(reader, cell.count > 0);
    if (has_sum(feature)) {
        cell.sum = get_sum(reader);
    } else if (has_extreme(feature)) {
        cell.extreme = binary_get_i64(reader);
    }
    return cell;
}

static void decode_window(struct arena *arena, const struct feature *feature,
                          struct binary_reader *reader, struct feature_memory *memory)
{
    struct feature_window *window = &memory->window;
    struct feature_cell cells[FEATURE_CELLS_MAX];
    size_t count = 0;
    decode_entries(arena, feature, reader, window);
    while (more(reader) && count < FEATURE_CELLS_MAX) {
        cells[count] =
            get_cell(feature, reader, count == 0, count == 0 ? 0 : cells[count - 1].start_ms);
        count++;
    }
    if (reader->failed) {
        return;
    }
    int64_t oldest_ms = window->count > 0 ? window->entries[0].at_ms : INT64_MAX;
    must(reader, memory->lost.at_ms <= oldest_ms);
    must(reader, count == 0 || cells[0].newest_ms <= oldest_ms);
    must(reader, count == 0 || memory->lost.at_ms < cells[count - 1].start_ms);
    must(reader,
         window->count > 0 || count > 0 || memory->is_broken || memory->lost.at_ms != INSTANT_NONE);
    window->cell_capacity = count;
    window->cells = ARENA_NEW_ARRAY(arena, count, struct feature_cell);
    if (reader->failed || window->cells == NULL) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        window->cells[i] = cells[count - 1 - i];
    }
    window->cell_count = count;
}

/* --- TOTAL and EDGE ----------------------------------------------------------- */

static void encode_total(const struct feature *feature, const struct feature_memory *memory,
                         struct buf *buf)
{
    const struct feature_total *total = &memory->total;
    binary_put_u64(buf, (uint64_t)total->count);
    if (total->count == 0) {
        return;
    }
    if (has_sum(feature)) {
        put_sum(buf, total->sum);
    } else if (has_extreme(feature)) {
        binary_put_i64(buf, total->extreme);
        binary_put_u64(buf, (uint64_t)total->ties);
    }
}

static void decode_total(const struct feature *feature, struct binary_reader *reader,
                         struct feature_memory *memory)
{
    struct feature_total *total = &memory->total;
    total->count = (int64_t)binary_get_below(reader, FEATURE_COUNT_MAX);
    must(reader, memory->lost.at_ms == INSTANT_NONE);
    must(reader, total->count > 0 || memory->is_broken);
    if (total->count == 0) {
        return;
    }
    if (has_sum(feature)) {
        total->sum = get_sum(reader);
    } else if (has_extreme(feature)) {
        total->extreme = binary_get_i64(reader);
        total->ties = (int64_t)binary_get_below(reader, (uint64_t)total->count);
    }
}

/* The values that an edge keeps, as they are stored. */
enum {
    EDGE_NULL,
    EDGE_FALSE,
    EDGE_TRUE,
    EDGE_NUMBER,
    EDGE_TEXT,
    EDGE_INSTANT,
};

static void put_value(struct buf *buf, struct rule_value value)
{
    switch (value.type) {
    case RULE_BOOL:
        binary_put_u64(buf, value.boolean ? EDGE_TRUE : EDGE_FALSE);
        break;
    case RULE_NUMBER:
        binary_put_u64(buf, EDGE_NUMBER);
        binary_put_i64(buf, value.number);
        break;
    case RULE_TEXT:
        binary_put_u64(buf, EDGE_TEXT);
        binary_put_str(buf, value.text);
        break;
    case RULE_INSTANT:
        binary_put_u64(buf, EDGE_INSTANT);
        binary_put_i64(buf, value.ms);
        break;
    case RULE_NULL:
    case RULE_DURATION:
    case RULE_DATE:
    case RULE_LIST:
        binary_put_u64(buf, EDGE_NULL);
        break;
    }
}

static struct rule_value get_value(struct binary_reader *reader)
{
    struct rule_value value = RULE_VALUE_NULL;
    uint64_t tag = binary_get_below(reader, EDGE_INSTANT);
    switch (tag) {
    case EDGE_FALSE:
    case EDGE_TRUE:
        value.type = RULE_BOOL;
        value.boolean = tag == EDGE_TRUE;
        return value;
    case EDGE_NUMBER:
        value.type = RULE_NUMBER;
        value.number = binary_get_i64(reader);
        return value;
    case EDGE_TEXT:
        value.type = RULE_TEXT;
        value.text = binary_get_str(reader);
        must(reader, value.text.size <= FEATURE_EDGE_TEXT_BYTES_MAX);
        return value;
    case EDGE_INSTANT:
        value.type = RULE_INSTANT;
        value.ms = binary_get_i64(reader);
        return value;
    default:
        return value;
    }
}

static void encode_edge(const struct feature *feature, const struct feature_memory *memory,
                        struct buf *buf)
{
    const struct feature_edge *edge = &memory->edge;
    if (!edge->has_entry) {
        return;
    }
    put_moment(buf, edge->at_ms, edge->is_loose);
    binary_put_id(buf, edge->id);
    if (feature->property.size > 0 && !edge->is_loose) {
        put_value(buf, edge->value);
    }
}

static void decode_edge(const struct feature *feature, struct binary_reader *reader,
                        struct feature_memory *memory, bool has_entry)
{
    struct feature_edge *edge = &memory->edge;
    edge->has_entry = has_entry;
    if (!has_entry) {
        must(reader, memory->is_broken || memory->lost.at_ms != INSTANT_NONE);
        return;
    }
    edge->at_ms = get_moment(reader, &edge->is_loose);
    edge->id = binary_get_id(reader);
    if (feature->property.size > 0 && !edge->is_loose) {
        edge->value = get_value(reader);
    }
    must(reader, !edge->is_loose || memory->lost.at_ms != INSTANT_NONE);
}

/* --- a state ------------------------------------------------------------------ */

struct feature_memory *feature_memory_create(struct arena *arena, const struct feature *feature)
{
    struct feature_memory *memory = ARENA_NEW(arena, struct feature_memory);
    if (memory == NULL) {
        return NULL;
    }
    memory->feature = feature;
    memory->lost.at_ms = INSTANT_NONE;
    if (feature->form == FEATURE_KEYED) {
        memory->keyed.trimmed.at_ms = INSTANT_NONE;
    }
    return memory;
}

bool feature_memory_is_empty(const struct feature *feature, const struct feature_memory *memory)
{
    return !memory->is_broken && memory->lost.at_ms == INSTANT_NONE &&
           feature_form_of(feature)->is_empty(memory);
}

static bool has_extra(const struct feature *feature, const struct feature_memory *memory)
{
    if (feature->form == FEATURE_KEYED) {
        return memory->keyed.trimmed.at_ms != INSTANT_NONE;
    }
    return feature->form == FEATURE_EDGE && memory->edge.has_entry;
}

bool feature_memory_encode(const struct feature *feature, const struct feature_memory *memory,
                           struct buf *buf)
{
    bool has_lost = memory->lost.at_ms != INSTANT_NONE;
    int head = (int)feature->form | (has_lost ? HEAD_LOST : 0) |
               (memory->is_broken ? HEAD_BROKEN : 0) |
               (has_extra(feature, memory) ? HEAD_EXTRA : 0);
    buf_add_char(buf, (char)head);
    if (has_lost) {
        put_moment(buf, memory->lost.at_ms, memory->lost.is_loose);
    }
    switch (feature->form) {
    case FEATURE_TOTAL:
        encode_total(feature, memory, buf);
        break;
    case FEATURE_NEWEST:
        encode_newest(memory, buf);
        break;
    case FEATURE_WINDOW:
        encode_window(feature, memory, buf);
        break;
    case FEATURE_DISTINCT:
        encode_distinct(memory, buf);
        break;
    case FEATURE_KEYED:
        encode_keyed(memory, buf);
        break;
    case FEATURE_EDGE:
        encode_edge(feature, memory, buf);
        break;
    }
    return !buf->failed;
}

static void decode_form(struct arena *arena, const struct feature *feature,
                        struct binary_reader *reader, struct feature_memory *memory, bool extra)
{
    switch (feature->form) {
    case FEATURE_TOTAL:
        decode_total(feature, reader, memory);
        break;
    case FEATURE_NEWEST:
        decode_newest(arena, reader, memory);
        break;
    case FEATURE_WINDOW:
        decode_window(arena, feature, reader, memory);
        break;
    case FEATURE_DISTINCT:
        decode_distinct(arena, reader, memory);
        break;
    case FEATURE_KEYED:
        decode_keyed(arena, reader, memory, extra);
        break;
    case FEATURE_EDGE:
        decode_edge(feature, reader, memory, extra);
        break;
    }
}

struct feature_memory *feature_memory_decode(struct arena *arena, const struct feature *feature,
                                             struct str bytes)
{
    struct feature_memory *memory = feature_memory_create(arena, feature);
    if (memory == NULL || bytes.size == 0) {
        return NULL;
    }
    struct binary_reader reader = { .rest = str_drop(bytes, 1) };
    int head = (uint8_t)bytes.data[0];
    bool extra = (head & HEAD_EXTRA) != 0;
    must(&reader, head <= HEAD_ALL && (head & HEAD_FORM) == (int)feature->form);
    must(&reader, !extra || feature->form == FEATURE_KEYED || feature->form == FEATURE_EDGE);
    memory->is_broken = (head & HEAD_BROKEN) != 0;
    if ((head & HEAD_LOST) != 0) {
        memory->lost.at_ms = get_moment(&reader, &memory->lost.is_loose);
    }
    if (reader.failed) {
        return NULL;
    }
    decode_form(arena, feature, &reader, memory, extra);
    return binary_is_done(&reader) && !arena_is_full(arena) ? memory : NULL;
}

/* --- what has passed ------------------------------------------------------------ */

/* The newest instant that bytes speak of, without decoding them. */
static bool newest_instant(const struct feature *feature, struct str bytes, int64_t *out_at_ms)
{
    bool mark = false;
    struct binary_reader reader = { .rest = str_drop(bytes, 1) };
    int head = (uint8_t)bytes.data[0];
    if ((head & HEAD_FORM) != (int)feature->form || (head & HEAD_BROKEN) != 0) {
        return false;
    }
    int64_t newest_ms = (head & HEAD_LOST) != 0 ? get_moment(&reader, &mark) : INSTANT_NONE;
    bool has_entries = reader.rest.size > 0;
    if (feature->form == FEATURE_WINDOW) {
        has_entries = binary_get_u64(&reader) > 0;
        must(&reader, has_entries || reader.rest.size == 0); /* cells alone: not told apart */
    } else if (feature->form == FEATURE_KEYED && (head & HEAD_EXTRA) != 0) {
        (void)get_moment(&reader, &mark); /* trimmed: of a key that has a newer one */
        has_entries = reader.rest.size > 0;
        must(&reader, has_entries);
    }
    bool is_marked = feature->form == FEATURE_DISTINCT || feature->form == FEATURE_EDGE;
    if (has_entries) {
        int64_t at_ms = is_marked ? get_moment(&reader, &mark) : get_instant(&reader);
        newest_ms = at_ms > newest_ms ? at_ms : newest_ms;
    }
    *out_at_ms = newest_ms;
    return !reader.failed && feature->form != FEATURE_TOTAL;
}

bool feature_state_has_passed(const struct feature *feature, const struct feature_state *state,
                              int64_t now_ms)
{
    int64_t newest_ms = 0;
    return feature->within_ms > 0 && state->decoded == NULL && !state->is_incomplete &&
           newest_instant(feature, state->bytes, &newest_ms) &&
           newest_ms <= feature_floor_ms(feature, now_ms);
}

/* --- how large it can get ------------------------------------------------------- */

enum {
    VARINT_BYTES_MAX = 10,
    MOMENT_BYTES = 7, /* with a mark, to the year 2278 */
    NUMBER_BYTES = 10,
    COUNT_BYTES = 6,
    SUM_BYTES = NUMBER_BYTES + 3, /* of fewer facts than 2^20 times the greatest value */
};

/* The span of lifetimes: as long as customers will be known. */
#define SPAN_MS_MAX (INT64_C(1) << 42)

/* The most bytes of `count` differences that sum up to `span`: of b + 1 bytes
 * and more there are at most span / 2^7b. */
static size_t deltas_bytes_max(size_t count, int64_t span)
{
    size_t bytes = count;
    for (unsigned bits = 7; bits < 63; bits += 7) {
        uint64_t longer = (uint64_t)span >> bits;
        bytes += longer < count ? (size_t)longer : count;
    }
    return bytes;
}

static size_t window_bytes_max(const struct feature *feature, int64_t span_ms)
{
    int64_t size_ms = feature_cell_ms(feature);
    size_t value_bytes = feature->function == RULE_COUNT ? 0 : NUMBER_BYTES;
    size_t cell_bytes = COUNT_BYTES;
    cell_bytes += has_sum(feature) ? SUM_BYTES : value_bytes;
    return 1 + MOMENT_BYTES + deltas_bytes_max(FEATURE_EXACT_MAX, span_ms) +
           FEATURE_EXACT_MAX * value_bytes + FEATURE_CELLS_MAX * cell_bytes +
           deltas_bytes_max(FEATURE_CELLS_MAX, span_ms / size_ms) +
           deltas_bytes_max(FEATURE_CELLS_MAX, FEATURE_CELLS_MAX * size_ms);
}

/* Of a key: its hash, its count, its instants. The keys' own order costs a
 * difference each. */
static size_t keyed_bytes_max(const struct feature *feature, int64_t span_ms)
{
    size_t older = FEATURE_KEYS_MAX * (feature->keep - 1);
    size_t count_bytes = 1;
    return 2 * MOMENT_BYTES + FEATURE_KEYS_MAX * (HASH_BYTES + count_bytes) +
           deltas_bytes_max(FEATURE_KEYS_MAX, span_ms) +
           deltas_bytes_max(older, FEATURE_KEYS_MAX * span_ms);
}

size_t feature_bytes_max(const struct feature *feature)
{
    int64_t span_ms = feature->within_ms > 0 ? feature->within_ms : SPAN_MS_MAX;
    /* Number and size in the set, head, what was lost. */
    size_t bytes = COUNT_BYTES + 3 + 1 + MOMENT_BYTES;
    switch (feature->form) {
    case FEATURE_TOTAL:
        return bytes + VARINT_BYTES_MAX + NUMBER_BYTES + VARINT_BYTES_MAX;
    case FEATURE_NEWEST:
        return bytes + MOMENT_BYTES + deltas_bytes_max(feature->keep, span_ms);
    case FEATURE_WINDOW:
        return bytes + window_bytes_max(feature, span_ms);
    case FEATURE_DISTINCT:
        return bytes + MOMENT_BYTES + deltas_bytes_max(feature->keep, span_ms * 2) +
               feature->keep * HASH_BYTES;
    case FEATURE_KEYED:
        return bytes + MOMENT_BYTES + keyed_bytes_max(feature, span_ms);
    case FEATURE_EDGE:
        return bytes + MOMENT_BYTES + ID_SIZE + 2 + FEATURE_EDGE_TEXT_BYTES_MAX;
    }
    assert(false); /* a form of the table */
    return 0;
}
