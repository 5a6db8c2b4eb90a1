#ifndef CORE_TRIGGER_NATIVE_PRIV_H
#define CORE_TRIGGER_NATIVE_PRIV_H

/*
 * Shared by the files that write native events.
 */

#include "base/jsonw.h"
#include "core/trigger/native.h"
#include "core/trigger/projection.h"

/* What projection_render makes for an ESP: of a message whose `data` is written
 * already. False when the arena is full. */
bool native_write(struct arena *arena, const struct projection *projection,
                  const struct message *message, struct str data, struct rendition *out_rendition);

/* What an ESP takes of an event's properties. Sizes are bytes, where its own
 * documentation counts characters: never more than it takes. */
struct native_limits {
    size_t properties_max;
    size_t name_bytes_max; /* of a property */
    size_t text_bytes_max; /* of one text */
    size_t bytes_max;      /* names and values of all */
    bool plain_names;      /* a-z, 0-9, underscores, a letter first */
    bool texts_only;       /* each value is a text, and there are no lists */
    bool decimals_as_text; /* its schema knows whole numbers only */
};

/* Writes the members of an open object: the notification's own, then `data` made
 * flat. `only` (comma-separated names, empty: all) leaves out the others. */
void native_write_properties(struct arena *arena, struct jsonw *json,
                             const struct native_limits *limits, struct str only,
                             const struct native_notification *notification);

/* A text between its quotes, without escapes. */
struct str native_text(struct arena *arena, struct str quoted);
/* The first member of that name of an object. */
bool native_find(struct arena *arena, struct str object, const char *key, struct str *out_value);

/* A property's or an event's name in the narrow alphabet of some ESPs: what is not a
 * letter, digit, dash or underscore becomes one underscore. */
struct str native_plain_name(struct arena *arena, struct str name, size_t bytes_max);

#endif
