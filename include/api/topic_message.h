#ifndef API_TOPIC_MESSAGE_H
#define API_TOPIC_MESSAGE_H

/*
 * The example of a topic as a message, for a test in a subscription's own form. Pure.
 */

#include <stdbool.h>

#include "api/topic_example.h"
#include "core/profile/profile.h"
#include "core/rule/ruleset.h"
#include "core/trigger/message.h"

struct topic_message { /* holds what `message` borrows: it must not be copied */
    struct message message;
    struct profile profile;
    struct profile_labels labels;
    struct event event;
    struct property_view fact;
    struct rule rule;
    struct transition_row transition;
    struct identity_decision_row merge;
};

/* False when there is no such topic, or it is about the service itself. */
bool topic_message_init(struct topic_message *message, struct str topic,
                        const struct topic_example *example);

#endif
