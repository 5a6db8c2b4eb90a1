#ifndef SOURCES_CANONICAL_PRIV_H
#define SOURCES_CANONICAL_PRIV_H

/* Shared by what reads one canonical item and what reads the bodies of many. */

#include <jansson.h>

#include "base/buf.h"
#include "base/jsonw.h"
#include "draft_priv.h"

/* A body as read so far: its events are in the draft, its faults in errors_json. */
struct reading {
    struct arena *arena;
    const struct source *source;
    struct draft draft;
    struct buf errors;
    struct jsonw errors_json;
    size_t *items; /* which item each event was */
    size_t error_count;
    size_t item_index;
    bool is_list; /* pointers start with the item's index */
    /* A page reads no pointers: what is wrong with a detail leaves that detail
     * out, not the event. */
    bool forgives;
    char first_pointer[PROBLEM_POINTER_SIZE];
    char first_detail[PROBLEM_DETAIL_SIZE];
    /* What a Standard Webhooks envelope says about its one item. */
    struct str default_type;
    int64_t default_at_ms;
    struct str default_key;
};

/* The step of a fault that is about the item itself. */
#define NO_KEY ((struct str){ NULL, 0 })

/* One more fault. `where` is a pointer within the item ("/properties"), `key` one more
 * step that the sender chose; suggestion may be NULL. */
void canonical_fault(struct reading *reading, const char *where, struct str key,
                     const char *suggestion, const char *detail);
/* The next item: exactly one event more, or at least one fault. */
void canonical_item(struct reading *reading, json_t *root);

#endif
