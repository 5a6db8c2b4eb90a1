#ifndef CORE_EVENT_UNIVERSAL_H
#define CORE_EVENT_UNIVERSAL_H

/*
 * Universal events: facts about the world that concern customers. Those about
 * products are the catalogue's differences (store/catalogue.h); those about the
 * weather, and universal.<name>, are posted.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/id.h"
#include "base/str.h"

enum {
    UNIVERSAL_TYPES_MAX = 16 /* that are built in */
};

/* The names that are built in; NULL behind the last. */
const char *universal_type_name(size_t index);
/* One of them, or universal.<name>. */
bool universal_type_is_known(struct str type);
/* May it be posted? */
bool universal_type_is_posted(struct str type);

/* The id of what was posted: in whose name, and what its poster calls it. */
struct id universal_posted_id(struct id source_id, struct str posted_id);

#endif
