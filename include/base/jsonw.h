#ifndef BASE_JSONW_H
#define BASE_JSONW_H

/*
 * Writing JSON, without a tree: the core renders notifications with it and
 * the API its answers. Reading is jansson's business, at the borders only.
 *
 * The writer keeps one bit of state per level (is a comma due?), so calls
 * read like the document. Misuse (a value where a key is due) is not detected;
 * the contract tests parse what is written. Depth is limited to 63.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/str.h"

struct jsonw {
    struct buf *buf; /* borrowed; its failure is the writer's failure */
    uint64_t comma;  /* bit n: level n already has a member */
    unsigned depth;
    bool after_key;
};

void jsonw_begin(struct jsonw *json, struct buf *buf);
void jsonw_open(struct jsonw *json);  /* { */
void jsonw_close(struct jsonw *json); /* } */
void jsonw_open_array(struct jsonw *json);
void jsonw_close_array(struct jsonw *json);
void jsonw_key(struct jsonw *json, const char *key);
void jsonw_key_str(struct jsonw *json, struct str key);

void jsonw_null(struct jsonw *json);
void jsonw_bool(struct jsonw *json, bool value);
void jsonw_i64(struct jsonw *json, int64_t value);
void jsonw_str(struct jsonw *json, struct str value); /* escaped */
void jsonw_z(struct jsonw *json, const char *value);  /* NULL writes null */
void jsonw_raw(struct jsonw *json, struct str value); /* is JSON already; empty writes null */
void jsonw_id(struct jsonw *json, struct id value);   /* the zero id writes null */
void jsonw_instant(struct jsonw *json, int64_t ms);   /* INSTANT_NONE, INSTANT_NEVER: null */
/* Minor units in the currency's decimals: 12490 EUR is 124.90. */
void jsonw_money(struct jsonw *json, int64_t minor, struct str currency);

/* Key and value in one call, for the common cases. */
void jsonw_put_str(struct jsonw *json, const char *key, struct str value);
void jsonw_put_str_or_null(struct jsonw *json, const char *key, struct str value); /* "" is null */
void jsonw_put_z(struct jsonw *json, const char *key, const char *value);
void jsonw_put_i64(struct jsonw *json, const char *key, int64_t value);
void jsonw_put_bool(struct jsonw *json, const char *key, bool value);
void jsonw_put_id(struct jsonw *json, const char *key, struct id value);
void jsonw_put_id_or_null(struct jsonw *json, const char *key, struct id value); /* zero is null */
void jsonw_put_instant(struct jsonw *json, const char *key, int64_t ms);
void jsonw_put_money(struct jsonw *json, const char *key, int64_t minor, struct str currency);
void jsonw_put_raw(struct jsonw *json, const char *key, struct str value);
void jsonw_put_null(struct jsonw *json, const char *key);

#endif
