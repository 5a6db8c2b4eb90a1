#ifndef STORE_PG_PRIV_H
#define STORE_PG_PRIV_H

/*
 * What pg.c, pg_params.c and pg_result.c share: the OIDs of the types we speak
 * (fixed by PostgreSQL's catalogue), integers in network order, and the copy
 * of a result.
 */

#include <stdint.h>

#include <libpq-fe.h>

#include "store/pg.h"

enum pg_oid {
    PG_OID_BOOL = 16,
    PG_OID_BYTEA = 17,
    PG_OID_INT8 = 20,
    PG_OID_INT2 = 21,
    PG_OID_INT4 = 23,
    PG_OID_TEXT = 25,
    PG_OID_BOOL_ARRAY = 1000,
    PG_OID_BYTEA_ARRAY = 1001,
    PG_OID_INT2_ARRAY = 1005,
    PG_OID_INT4_ARRAY = 1007,
    PG_OID_TEXT_ARRAY = 1009,
    PG_OID_INT8_ARRAY = 1016,
    PG_OID_DATE = 1082,
    PG_OID_DATE_ARRAY = 1182,
    PG_OID_TIMESTAMPTZ = 1184,
    PG_OID_TIMESTAMPTZ_ARRAY = 1185,
    PG_OID_UUID = 2950,
    PG_OID_UUID_ARRAY = 2951,
    PG_OID_JSONB = 3802,
    PG_OID_JSONB_ARRAY = 3807,
};

/* PostgreSQL counts from 2000-01-01. */
#define PG_EPOCH_DAYS INT64_C(10957)
#define PG_EPOCH_MS (PG_EPOCH_DAYS * 86400 * 1000)
/* jsonb's binary form begins with this. */
#define PG_JSONB_VERSION 1

static inline void pg_write_u16(char *at, uint16_t value)
{
    at[0] = (char)(value >> 8);
    at[1] = (char)value;
}

static inline void pg_write_u32(char *at, uint32_t value)
{
    pg_write_u16(at, (uint16_t)(value >> 16));
    pg_write_u16(at + 2, (uint16_t)value);
}

static inline void pg_write_u64(char *at, uint64_t value)
{
    pg_write_u32(at, (uint32_t)(value >> 32));
    pg_write_u32(at + 4, (uint32_t)value);
}

static inline uint16_t pg_read_u16(const char *at)
{
    return (uint16_t)((unsigned)(uint8_t)at[0] << 8 | (uint8_t)at[1]);
}

static inline uint32_t pg_read_u32(const char *at)
{
    return (uint32_t)pg_read_u16(at) << 16 | pg_read_u16(at + 2);
}

static inline uint64_t pg_read_u64(const char *at)
{
    return (uint64_t)pg_read_u32(at) << 32 | pg_read_u32(at + 4);
}

/* NULL when the arena is full. Only reads the rows; libpq's face is not const. */
struct pg_result *pg_result_copy(struct arena *arena, PGresult *rows);

#endif
