#ifndef CORE_BINARY_PRIV_H
#define CORE_BINARY_PRIV_H

/*
 * The bytes of the `state`, `documents` and `facts` columns. Writers add to a
 * buf and check it once; a reader that met anything impossible has failed for
 * good and gives zeros from then on, so it too is checked once.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/str.h"

void binary_put_u64(struct buf *buf, uint64_t value);
void binary_put_i64(struct buf *buf, int64_t value);
void binary_put_str(struct buf *buf, struct str value);
void binary_put_id(struct buf *buf, struct id value);

struct binary_reader {
    struct str rest; /* what is not yet read; texts read borrow from it */
    bool failed;
};

uint64_t binary_get_u64(struct binary_reader *reader);
int64_t binary_get_i64(struct binary_reader *reader);
struct str binary_get_str(struct binary_reader *reader);
struct id binary_get_id(struct binary_reader *reader);
bool binary_get_bool(struct binary_reader *reader); /* only 0 and 1 are */
/* A number of at most `max`. */
uint64_t binary_get_below(struct binary_reader *reader, uint64_t max);
/* How many items follow, each at least `item_size_min` bytes: never more than
 * can be there, so that a claimed count cannot make us allocate. */
size_t binary_get_count(struct binary_reader *reader, size_t item_size_min);
/* Everything read, nothing left over, nothing impossible. */
bool binary_is_done(const struct binary_reader *reader);

#endif
