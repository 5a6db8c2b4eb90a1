#ifndef SWEEP_LISTENERS_H
#define SWEEP_LISTENERS_H

/*
 * Who is to hear of the service itself.
 */

#include <stddef.h>

#include "base/arena.h"
#include "store/registry.h"

/* Subscriptions of the workspace that want the topic; ids live in the arena. */
size_t listeners_find(const struct registry_workspace *workspace, struct str topic,
                      struct arena *arena, struct id **out_ids);

#endif
