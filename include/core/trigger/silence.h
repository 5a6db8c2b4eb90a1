#ifndef CORE_TRIGGER_SILENCE_H
#define CORE_TRIGGER_SILENCE_H

/*
 * ops.source_silent: a source that was heard before has said nothing for longer
 * than is expected of it. When it is due, under which id, and what is sent.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "core/source.h"

#define SILENCE_TOPIC "ops.source_silent"

struct silence {
    const struct source *source;
    int64_t last_accepted_at_ms; /* the cause, with the source */
    int64_t due_at_ms;
};

/* The instant at which silence since then is longer than expected. What was sent
 * while nobody of us listened cannot be missed, so it begins no earlier than our own
 * life. */
int64_t silence_due_ms(const struct source *source, int64_t last_accepted_at_ms,
                       int64_t alive_since_ms);
struct id silence_id(const struct silence *silence);
/* False when the arena is full. */
bool silence_body(struct arena *arena, const struct silence *silence, int64_t now_ms,
                  struct str *out_body);

#endif
