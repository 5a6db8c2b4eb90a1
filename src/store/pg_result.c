#include <assert.h>
#include <string.h>

#include "base/instant.h"
#include "pg_priv.h"
#include "store/pg.h"

/*
 * Rows in binary form, copied out of libpq into the arena at once, so that
 * nothing has to be released and no libpq type leaves this layer.
 *
 * Invariant: one allocation holds the table of cells and all their bytes; the
 * cells point into it. Reading a column as another type than the statement
 * gives is a mistake of ours and asserted, not converted: what C reads must be
 * what SQL says. Rejected: keeping the PGresult until the arena dies (arenas
 * have no destructors) and text results (parsing, and the session's formats).
 */

struct pg_cell {
    const char *data;
    int32_t size; /* -1: NULL */
};

struct pg_result {
    size_t row_count;
    size_t affected;
    int column_count;
    const unsigned *types;
    const struct pg_cell *cells;
};

static size_t affected_of(PGresult *rows)
{
    uint64_t affected = 0;
    return str_to_u64(str_from_z(PQcmdTuples(rows)), &affected) ? (size_t)affected : 0;
}

static bool size_of_copy(const PGresult *rows, size_t *out_cells, size_t *out_size)
{
    size_t row_count = (size_t)PQntuples(rows);
    size_t column_count = (size_t)PQnfields(rows);
    size_t cell_count = 0;
    size_t size = 0;
    if (!size_mul(row_count, column_count, &cell_count) ||
        !size_mul(cell_count, sizeof(struct pg_cell), &size)) {
        return false;
    }
    size += column_count * sizeof(unsigned);
    for (int row = 0; row < PQntuples(rows); row++) {
        for (int column = 0; column < PQnfields(rows); column++) {
            size += (size_t)PQgetlength(rows, row, column);
        }
    }
    *out_cells = cell_count;
    *out_size = size;
    return true;
}

struct pg_result *pg_result_copy(struct arena *arena, PGresult *rows)
{
    size_t cell_count = 0;
    size_t size = 0;
    struct pg_result *result = ARENA_NEW(arena, struct pg_result);
    if (result == NULL || !size_of_copy(rows, &cell_count, &size)) {
        return NULL;
    }
    char *memory = arena_alloc_bytes(arena, size);
    if (memory == NULL) {
        return NULL;
    }
    struct pg_cell *cells = (struct pg_cell *)(void *)memory;
    unsigned *types = (unsigned *)(void *)(cells + cell_count);
    int column_count = PQnfields(rows);
    for (int column = 0; column < column_count; column++) {
        types[column] = PQftype(rows, column);
    }
    char *data = (char *)(types + column_count);
    struct pg_cell *cell = cells;
    for (int row = 0; row < PQntuples(rows); row++) {
        for (int column = 0; column < column_count; column++, cell++) {
            int length = PQgetlength(rows, row, column);
            memcpy(data, PQgetvalue(rows, row, column), (size_t)length);
            cell->data = data;
            cell->size = PQgetisnull(rows, row, column) ? -1 : length;
            data += length;
        }
    }
    *result = (struct pg_result){
        .row_count = (size_t)PQntuples(rows),
        .affected = affected_of(rows),
        .column_count = column_count,
        .types = types,
        .cells = cells,
    };
    return result;
}

size_t pg_row_count(const struct pg_result *result)
{
    return result->row_count;
}

size_t pg_affected(const struct pg_result *result)
{
    return result->affected;
}

static const struct pg_cell *cell_at(const struct pg_result *result, size_t row, int column)
{
    assert(row < result->row_count);
    assert(column >= 0 && column < result->column_count);
    return &result->cells[row * (size_t)result->column_count + (size_t)column];
}

bool pg_is_null(const struct pg_result *result, size_t row, int column)
{
    return cell_at(result, row, column)->size < 0;
}

struct id pg_get_id(const struct pg_result *result, size_t row, int column)
{
    const struct pg_cell *cell = cell_at(result, row, column);
    assert(result->types[column] == PG_OID_UUID);
    struct id id = ID_ZERO;
    if (cell->size == ID_SIZE) {
        memcpy(id.bytes, cell->data, ID_SIZE);
    }
    return id;
}

static bool type_is_binary(unsigned type)
{
    switch (type) {
    case PG_OID_BOOL:
    case PG_OID_BYTEA:
    case PG_OID_INT8:
    case PG_OID_INT2:
    case PG_OID_INT4:
    case PG_OID_DATE:
    case PG_OID_TIMESTAMPTZ:
    case PG_OID_UUID:
    case PG_OID_JSONB:
    case PG_OID_TEXT_ARRAY:
        return true;
    default: /* text, name, varchar, enums, json: their binary form is their text */
        return false;
    }
}

struct str pg_get_text(const struct pg_result *result, size_t row, int column)
{
    const struct pg_cell *cell = cell_at(result, row, column);
    assert(!type_is_binary(result->types[column]));
    return cell->size > 0 ? (struct str){ cell->data, (size_t)cell->size } : (struct str){ 0 };
}

struct str pg_get_bytes(const struct pg_result *result, size_t row, int column)
{
    const struct pg_cell *cell = cell_at(result, row, column);
    assert(result->types[column] == PG_OID_BYTEA);
    return cell->size > 0 ? (struct str){ cell->data, (size_t)cell->size } : (struct str){ 0 };
}

struct str pg_get_jsonb(const struct pg_result *result, size_t row, int column)
{
    const struct pg_cell *cell = cell_at(result, row, column);
    assert(result->types[column] == PG_OID_JSONB);
    if (cell->size < 1) {
        return (struct str){ 0 };
    }
    assert(cell->data[0] == PG_JSONB_VERSION);
    return (struct str){ cell->data + 1, (size_t)cell->size - 1 };
}

int64_t pg_get_i64(const struct pg_result *result, size_t row, int column)
{
    const struct pg_cell *cell = cell_at(result, row, column);
    unsigned type = result->types[column];
    assert(type == PG_OID_INT8 || type == PG_OID_INT4 || type == PG_OID_INT2);
    switch (cell->size) {
    case 8:
        return (int64_t)pg_read_u64(cell->data);
    case 4:
        return (int32_t)pg_read_u32(cell->data);
    case 2:
        return (int16_t)pg_read_u16(cell->data);
    default:
        return 0;
    }
}

bool pg_get_bool(const struct pg_result *result, size_t row, int column)
{
    const struct pg_cell *cell = cell_at(result, row, column);
    assert(result->types[column] == PG_OID_BOOL);
    return cell->size == 1 && cell->data[0] != 0;
}

int64_t pg_get_instant(const struct pg_result *result, size_t row, int column)
{
    const struct pg_cell *cell = cell_at(result, row, column);
    unsigned type = result->types[column];
    assert(type == PG_OID_TIMESTAMPTZ || type == PG_OID_DATE);
    if (cell->size < 0) {
        return INSTANT_NONE;
    }
    if (type == PG_OID_DATE) {
        return ((int32_t)pg_read_u32(cell->data) + PG_EPOCH_DAYS) * INSTANT_DAY_MS;
    }
    int64_t us = (int64_t)pg_read_u64(cell->data);
    if (us == INT64_MAX) {
        return INSTANT_NEVER;
    }
    if (us == INT64_MIN) {
        return INSTANT_NONE;
    }
    /* Towards the past, also before 2000: what is cut is never a later instant. */
    return us / 1000 - (us % 1000 < 0 ? 1 : 0) + PG_EPOCH_MS;
}

size_t pg_get_text_array(const struct pg_result *result, struct arena *arena, size_t row,
                         int column, struct str **out_values)
{
    const struct pg_cell *cell = cell_at(result, row, column);
    assert(result->types[column] == PG_OID_TEXT_ARRAY);
    if (cell->size < 20 || pg_read_u32(cell->data) != 1) {
        *out_values = NULL;
        return 0;
    }
    size_t count = pg_read_u32(cell->data + 12);
    struct str *values = ARENA_NEW_ARRAY(arena, count, struct str);
    if (values == NULL) {
        *out_values = NULL;
        return 0;
    }
    const char *at = cell->data + 20;
    for (size_t i = 0; i < count; i++) {
        uint32_t size = pg_read_u32(at);
        at += 4;
        if (size != UINT32_MAX) {
            values[i] = (struct str){ at, size };
            at += size;
        }
    }
    *out_values = values;
    return count;
}
