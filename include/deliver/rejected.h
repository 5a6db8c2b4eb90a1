#ifndef DELIVER_REJECTED_H
#define DELIVER_REJECTED_H

/*
 * Which members of a batch its receiver did not take (contract 4):
 * {"rejected": [{"id": "...", "retry": true, "reason": "contact is locked"}]}
 */

#include <stdbool.h>

#include "base/id.h"
#include "base/str.h"
#include "core/trigger/delivery.h"
#include "core/trigger/native.h"

struct rejected;

struct rejection {
    struct id id; /* of the notification */
    bool retry;   /* unless it says false */
    struct str reason;
};

/* NULL: the answer says nothing of the kind, and all were taken. */
struct rejected *rejected_read(struct str answer);
/* As an ESP says it of a list: by the place, and for good. */
struct rejected *rejected_read_places(struct str answer, const struct native_bulk *bulk,
                                      const struct delivery_member *members, size_t count);
void rejected_destroy(struct rejected *rejected); /* NULL is fine */
const struct rejection *rejected_find(const struct rejected *rejected, struct id id);

#endif
