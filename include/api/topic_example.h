#ifndef API_TOPIC_EXAMPLE_H
#define API_TOPIC_EXAMPLE_H

/*
 * One message of each topic, as a subscriber would get it: shown by GET
 * /v1/topics and sent by a subscription's test. Pure.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/str.h"
#include "core/trigger/trigger.h"

struct topic_example {
    struct id id;
    int64_t at_ms;
    int64_t expires_at_ms; /* 0: the schedule's end */
    struct str workspace;
    bool test;
    const struct trigger *trigger; /* that rings with it: topic_message.h alone tells of it */
};

/* The body, or the empty string when there is no such topic or the arena is
 * full. */
struct str topic_example_write(struct arena *arena, struct str topic,
                               const struct topic_example *example);

#endif
