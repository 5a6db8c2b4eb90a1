#ifndef API_FIELDS_H
#define API_FIELDS_H

/* `fields` of a list (contract 1): which members of its items are wanted. */

#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"

enum {
    FIELDS_MAX = 64, /* of one query */
    FIELDS_KNOWN_MAX = 64,
    FIELD_NAME_BYTES = 63,
};

/* `items` is what stands between the brackets of a JSON array of objects that we wrote
 * ourselves; the same with the named members only is added to `out`. STATUS_INVALID
 * where a name is empty, or the first item has no such member; the caller points at
 * the place. Pure. */
NODISCARD enum status fields_select(struct str items, struct str fields, struct buf *out,
                                    struct problem *problem);

#endif
