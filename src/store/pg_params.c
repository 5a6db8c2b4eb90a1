#include <assert.h>
#include <string.h>

#include "base/instant.h"
#include "pg_priv.h"
#include "store/pg.h"

/*
 * Parameters in PostgreSQL's binary form.
 *
 * Problem: a batch writes hundreds of rows; text parameters cost escaping, and
 * one statement per row a round trip and, past 65,535 parameters, an error.
 * So each column travels as one array in the server's own wire form: a header
 * (dimensions, has-null, element type, size, lower bound), then each element as
 * length and bytes.
 *
 * Invariant: everything is copied into the arena, so what was put may change
 * or vanish before the statement runs. An array takes its place ($n) when it
 * begins, so the columns of one statement may be filled side by side, row by
 * row. Rejected: text arrays (quoting, float and date formats, half the speed)
 * and COPY (no ON CONFLICT, not in a pipeline).
 */

enum {
    ARRAY_HEADER_SIZE = 20,
    ARRAY_EMPTY_SIZE = 12,
    ARRAY_TEXT_GUESS = 32, /* expected bytes of an element whose size varies */
    ARRAY_EXPECTED_MAX = 1024 * 1024,
};

static const struct {
    enum pg_oid scalar;
    enum pg_oid array;
    uint8_t size; /* 0: varies */
} wire_types[] = {
    [PG_UUID] = { PG_OID_UUID, PG_OID_UUID_ARRAY, ID_SIZE },
    [PG_TEXT] = { PG_OID_TEXT, PG_OID_TEXT_ARRAY, 0 },
    [PG_INT8] = { PG_OID_INT8, PG_OID_INT8_ARRAY, 8 },
    [PG_INT4] = { PG_OID_INT4, PG_OID_INT4_ARRAY, 4 },
    [PG_INT2] = { PG_OID_INT2, PG_OID_INT2_ARRAY, 2 },
    [PG_BOOL] = { PG_OID_BOOL, PG_OID_BOOL_ARRAY, 1 },
    [PG_INSTANT] = { PG_OID_TIMESTAMPTZ, PG_OID_TIMESTAMPTZ_ARRAY, 8 },
    [PG_BYTEA] = { PG_OID_BYTEA, PG_OID_BYTEA_ARRAY, 0 },
    [PG_JSONB] = { PG_OID_JSONB, PG_OID_JSONB_ARRAY, 0 },
    [PG_DATE] = { PG_OID_DATE, PG_OID_DATE_ARRAY, 4 },
};

static uint64_t instant_to_wire(int64_t ms)
{
    int64_t us = 0;
    bool overflowed = __builtin_mul_overflow(ms - PG_EPOCH_MS, 1000, &us);
    assert(!overflowed);
    return (uint64_t)us;
}

static bool instant_is_null(int64_t ms)
{
    return ms == INSTANT_NONE || ms == INSTANT_NEVER;
}

/* --- scalars ------------------------------------------------------------- */

void pg_params_init(struct pg_params *params, struct arena *arena)
{
    assert(arena != NULL);
    *params = (struct pg_params){ .arena = arena };
}

static int take_slot(struct pg_params *params, enum pg_oid oid)
{
    assert(params->count < PG_PARAMETERS_MAX);
    int slot = params->count++;
    params->types[slot] = oid;
    params->values[slot] = NULL;
    params->lengths[slot] = 0;
    return slot;
}

/* One more byte than `size` is allocated: a NULL pointer would mean NULL. */
static char *put_scalar(struct pg_params *params, enum pg_type type, size_t size)
{
    int slot = take_slot(params, wire_types[type].scalar);
    char *value = size < INT32_MAX ? arena_alloc_bytes(params->arena, size + 1) : NULL;
    if (value == NULL) {
        params->failed = true;
        return NULL;
    }
    params->values[slot] = value;
    params->lengths[slot] = (int)size;
    return value;
}

static void put_data(struct pg_params *params, enum pg_type type, struct str value)
{
    char *at = put_scalar(params, type, value.size);
    if (at != NULL && value.size > 0) {
        memcpy(at, value.data, value.size);
    }
}

void pg_put_null(struct pg_params *params, enum pg_type type)
{
    (void)take_slot(params, wire_types[type].scalar);
}

void pg_put_id(struct pg_params *params, struct id value)
{
    put_data(params, PG_UUID, (struct str){ (const char *)value.bytes, ID_SIZE });
}

void pg_put_id_or_null(struct pg_params *params, struct id value)
{
    if (id_is_zero(value)) {
        pg_put_null(params, PG_UUID);
        return;
    }
    pg_put_id(params, value);
}

void pg_put_text(struct pg_params *params, struct str value)
{
    put_data(params, PG_TEXT, value);
}

void pg_put_text_or_null(struct pg_params *params, struct str value)
{
    if (value.size == 0) {
        pg_put_null(params, PG_TEXT);
        return;
    }
    pg_put_text(params, value);
}

void pg_put_i64(struct pg_params *params, int64_t value)
{
    char *at = put_scalar(params, PG_INT8, 8);
    if (at != NULL) {
        pg_write_u64(at, (uint64_t)value);
    }
}

void pg_put_i32(struct pg_params *params, int32_t value)
{
    char *at = put_scalar(params, PG_INT4, 4);
    if (at != NULL) {
        pg_write_u32(at, (uint32_t)value);
    }
}

void pg_put_bool(struct pg_params *params, bool value)
{
    char *at = put_scalar(params, PG_BOOL, 1);
    if (at != NULL) {
        *at = (char)value;
    }
}

void pg_put_instant(struct pg_params *params, int64_t ms)
{
    if (instant_is_null(ms)) {
        pg_put_null(params, PG_INSTANT);
        return;
    }
    char *at = put_scalar(params, PG_INSTANT, 8);
    if (at != NULL) {
        pg_write_u64(at, instant_to_wire(ms));
    }
}

void pg_put_bytes(struct pg_params *params, struct str value)
{
    put_data(params, PG_BYTEA, value);
}

void pg_put_jsonb(struct pg_params *params, struct str value)
{
    char *at = put_scalar(params, PG_JSONB, value.size + 1);
    if (at != NULL) {
        at[0] = PG_JSONB_VERSION;
        if (value.size > 0) {
            memcpy(at + 1, value.data, value.size);
        }
    }
}

void pg_put_text_array(struct pg_params *params, const struct str *values, size_t count)
{
    struct pg_array array;
    pg_array_begin(&array, params, PG_TEXT, count);
    for (size_t i = 0; i < count; i++) {
        pg_array_text(&array, values[i]);
    }
    pg_array_end(&array);
}

void pg_put_ids(struct pg_params *params, const struct id *ids, size_t count)
{
    struct pg_array array;
    pg_array_begin(&array, params, PG_UUID, count);
    for (size_t i = 0; i < count; i++) {
        pg_array_id(&array, ids[i]);
    }
    pg_array_end(&array);
}

/* --- arrays -------------------------------------------------------------- */

void pg_array_begin(struct pg_array *array, struct pg_params *params, enum pg_type type,
                    size_t count)
{
    size_t element_size =
        4u + (wire_types[type].size > 0 ? wire_types[type].size : ARRAY_TEXT_GUESS);
    *array = (struct pg_array){
        .params = params,
        .type = type,
        .count = count,
        .slot = take_slot(params, wire_types[type].array),
    };
    size_t capacity = 0;
    if (count > INT32_MAX || !size_mul(count, element_size, &capacity)) {
        params->failed = true;
        return;
    }
    capacity += ARRAY_HEADER_SIZE;
    array->data = arena_alloc_bytes(params->arena, capacity);
    if (array->data == NULL) {
        params->failed = true;
        return;
    }
    array->capacity = capacity;
    array->size = ARRAY_HEADER_SIZE;
}

/* What all elements need if the rest are like those before, and an eighth more: an
 * arena keeps what was outgrown, and doubling left a batch's bodies in it twice. One
 * element of megabytes foretells nothing of the others. */
static size_t grown_capacity(const struct pg_array *array, size_t needed)
{
    size_t all = needed / array->filled * array->count;
    size_t expected = all + all / 8;
    size_t least = needed > array->capacity * 2 ? needed : array->capacity * 2;
    bool is_modest = expected <= least || expected <= ARRAY_EXPECTED_MAX;
    return expected > needed && is_modest ? expected : least;
}

/* Room for `more` further bytes, or the parameters have failed. */
static bool array_reserve(struct pg_array *array, size_t more)
{
    if (array->params->failed) {
        return false;
    }
    size_t needed = 0;
    if (!size_add(array->size, more, &needed) || needed > INT32_MAX) {
        array->params->failed = true;
        return false;
    }
    if (needed <= array->capacity) {
        return true;
    }
    size_t capacity = grown_capacity(array, needed);
    char *grown = arena_alloc_bytes(array->params->arena, capacity);
    if (grown == NULL) {
        array->params->failed = true;
        return false;
    }
    memcpy(grown, array->data, array->size);
    array->data = grown;
    array->capacity = capacity;
    return true;
}

/* Where to write an element's `size` bytes; NULL when the parameters failed. */
static char *array_element(struct pg_array *array, enum pg_type type, size_t size)
{
    assert(array->type == type);
    assert(array->filled < array->count);
    array->filled++;
    size_t total = 0;
    if (!size_add(size, 4, &total) || !array_reserve(array, total)) {
        array->params->failed = true;
        return NULL;
    }
    char *at = array->data + array->size;
    pg_write_u32(at, (uint32_t)size);
    array->size += total;
    return at + 4;
}

void pg_array_null(struct pg_array *array)
{
    assert(array->filled < array->count);
    array->filled++;
    array->has_null = true;
    if (array_reserve(array, 4)) {
        pg_write_u32(array->data + array->size, UINT32_MAX);
        array->size += 4;
    }
}

static void array_data(struct pg_array *array, enum pg_type type, struct str value)
{
    char *at = array_element(array, type, value.size);
    if (at != NULL && value.size > 0) {
        memcpy(at, value.data, value.size);
    }
}

void pg_array_id(struct pg_array *array, struct id value)
{
    array_data(array, PG_UUID, (struct str){ (const char *)value.bytes, ID_SIZE });
}

void pg_array_id_or_null(struct pg_array *array, struct id value)
{
    if (id_is_zero(value)) {
        pg_array_null(array);
        return;
    }
    pg_array_id(array, value);
}

void pg_array_text(struct pg_array *array, struct str value)
{
    array_data(array, PG_TEXT, value);
}

void pg_array_text_or_null(struct pg_array *array, struct str value)
{
    if (value.size == 0) {
        pg_array_null(array);
        return;
    }
    pg_array_text(array, value);
}

void pg_array_i64(struct pg_array *array, int64_t value)
{
    char *at = array_element(array, PG_INT8, 8);
    if (at != NULL) {
        pg_write_u64(at, (uint64_t)value);
    }
}

void pg_array_i32(struct pg_array *array, int32_t value)
{
    char *at = array_element(array, PG_INT4, 4);
    if (at != NULL) {
        pg_write_u32(at, (uint32_t)value);
    }
}

void pg_array_i16(struct pg_array *array, int16_t value)
{
    char *at = array_element(array, PG_INT2, 2);
    if (at != NULL) {
        pg_write_u16(at, (uint16_t)value);
    }
}

void pg_array_bool(struct pg_array *array, bool value)
{
    char *at = array_element(array, PG_BOOL, 1);
    if (at != NULL) {
        *at = (char)value;
    }
}

void pg_array_instant(struct pg_array *array, int64_t ms)
{
    if (instant_is_null(ms)) {
        pg_array_null(array);
        return;
    }
    char *at = array_element(array, PG_INSTANT, 8);
    if (at != NULL) {
        pg_write_u64(at, instant_to_wire(ms));
    }
}

void pg_array_day(struct pg_array *array, int64_t ms)
{
    if (instant_is_null(ms)) {
        pg_array_null(array);
        return;
    }
    int64_t day = ms / INSTANT_DAY_MS - (ms % INSTANT_DAY_MS < 0 ? 1 : 0);
    char *at = array_element(array, PG_DATE, 4);
    if (at != NULL) {
        pg_write_u32(at, (uint32_t)(day - PG_EPOCH_DAYS));
    }
}

void pg_array_bytes(struct pg_array *array, struct str value)
{
    array_data(array, PG_BYTEA, value);
}

void pg_array_bytes_or_null(struct pg_array *array, struct str value)
{
    if (value.size == 0) {
        pg_array_null(array);
        return;
    }
    pg_array_bytes(array, value);
}

void pg_array_jsonb_or_null(struct pg_array *array, struct str value)
{
    if (value.size == 0) {
        pg_array_null(array);
        return;
    }
    char *at = array_element(array, PG_JSONB, value.size + 1);
    if (at != NULL) {
        at[0] = PG_JSONB_VERSION;
        memcpy(at + 1, value.data, value.size);
    }
}

void pg_array_end(struct pg_array *array)
{
    struct pg_params *params = array->params;
    assert(array->filled == array->count);
    if (params->failed) {
        return;
    }
    bool is_empty = array->count == 0;
    pg_write_u32(array->data, is_empty ? 0 : 1);
    pg_write_u32(array->data + 4, array->has_null);
    pg_write_u32(array->data + 8, wire_types[array->type].scalar);
    pg_write_u32(array->data + 12, (uint32_t)array->count);
    pg_write_u32(array->data + 16, 1);
    params->values[array->slot] = array->data;
    params->lengths[array->slot] = is_empty ? ARRAY_EMPTY_SIZE : (int)array->size;
}

void pg_columns_begin(struct pg_array *columns, struct pg_params *params, const enum pg_type *types,
                      size_t column_count, size_t row_count)
{
    for (size_t i = 0; i < column_count; i++) {
        pg_array_begin(&columns[i], params, types[i], row_count);
    }
}

void pg_columns_end(struct pg_array *columns, size_t column_count)
{
    for (size_t i = 0; i < column_count; i++) {
        pg_array_end(&columns[i]);
    }
}
