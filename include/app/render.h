#ifndef APP_RENDER_H
#define APP_RENDER_H

/*
 * JSON for people: an object as indented lines, a list as a table. Pure: text
 * in, text out; what is no JSON is passed on as it is.
 */

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"

/* Members in their order; texts of several lines stand below their name. */
void render_object(struct str json, bool has_color, struct buf *out_text);

/* `columns` is "name,platform,health.state": one column for each path. The rows
 * are the objects of `data`. */
void render_table(struct str json, const char *columns, bool has_color, struct buf *out_text);

#endif
