#ifndef CORE_SCAN_PRIV_H
#define CORE_SCAN_PRIV_H

/*
 * Where the values of JSON text begin and end, without a tree: for text that our
 * adapters or the database wrote. Texts borrow from what they were found in.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

bool scan_is_object(struct str json);
bool scan_is_array(struct str json);
struct str scan_space(struct str json); /* without the white space at its front */
/* The size of the string at the front, quotes included; 0 when it has no end. */
size_t scan_string_size(struct str json);
/* The size of the value at the front; 0 when there is none. */
size_t scan_value_size(struct str json);
/* Takes the next value off the front of a container's inside, and the comma behind
 * it. False at the end, whatever the end is. */
bool scan_next_value(struct str *rest, struct str *out_value);
/* The same for a member; the key keeps its quotes. */
bool scan_next_member(struct str *rest, struct str *out_key, struct str *out_value);

#endif
