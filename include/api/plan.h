#ifndef API_PLAN_H
#define API_PLAN_H

/* Tracking plans, for events that come in once more. */

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "base/str.h"
#include "core/event/event.h"
#include "store/registry.h"

/* What an event's plan finds wrong with it, in one line of the arena; empty: nothing, or
 * the plan only counts, or there is none. Counts nothing. STATUS_LIMIT: the arena is
 * full. Any thread that holds the snapshot. */
NODISCARD enum status plan_fault(struct arena *arena, const struct registry_workspace *workspace,
                                 struct id source_id, const struct event *event,
                                 struct str *out_fault);

#endif
