#include "core/trigger/subscription.h"

#include "core/event/event.h"

/*
 * Topics and the patterns that name them.
 *
 * A topic is `object.action`. A pattern is a topic, a whole first segment
 * ("order.*") or "*". What watches the service itself (ops.*, subscription.*)
 * is never meant by "*": an ESP that wants all customers' news must not be
 * woken by our alarms.
 */

enum {
    TOPIC_BYTES_MAX = 127 /* two names and the dot */
};

static const struct topic_info derived[] = {
    { "profile.created", "A profile came into being", NULL },
    { "profile.identified", "A profile got its first exclusive or strong identity", NULL },
    { "profile.merged", "Two profiles turned out to be one customer", "merge" },
    { "lifecycle.changed", "The lifecycle stage changed", "lifecycle" },
    { "tag.added", "A customer got a tag", "tag" },
    { "tag.removed", "A customer lost a tag", "tag" },
    { "segment.entered", "A customer entered a segment", "segment" },
    { "segment.left", "A customer left a segment, at the instant the window slid past", "segment" },
    { "tier.changed", "A customer moved to another tier", "tier" },
    { "ops.source_silent", "A source said nothing for longer than is expected of it", "source" },
    { "ops.subscription_failing",
      "Every call to a subscriber has failed for half of five days, 70 %"
      " or 90 % of them",
      "subscription" },
    { "ops.subscription_disabled", "A subscriber is called no more: five days of failures, or 410",
      "subscription" },
};

static bool is_segment(struct str text)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')) {
            return false;
        }
    }
    return text.size > 0;
}

bool topic_is_of_service(struct str topic)
{
    return str_starts_with(topic, STR("ops.")) || str_starts_with(topic, STR("subscription."));
}

bool topic_matches(struct str pattern, struct str topic)
{
    if (str_equal(pattern, STR("*"))) {
        return !topic_is_of_service(topic);
    }
    if (str_ends_with(pattern, STR(".*"))) {
        return str_starts_with(topic, str_take(pattern, pattern.size - 1));
    }
    return str_equal(pattern, topic);
}

bool subscription_wants(const struct subscription_interest *interest, struct str topic)
{
    for (size_t i = 0; i < interest->topic_count; i++) {
        if (topic_matches(interest->topics[i], topic)) {
            return true;
        }
    }
    return false;
}

const struct topic_info *topic_derived(size_t index)
{
    return index < ARRAY_COUNT(derived) ? &derived[index] : NULL;
}

/* An event of a customer, or a derived topic. */
static bool is_known_topic(struct str topic)
{
    for (size_t i = 0; i < ARRAY_COUNT(derived); i++) {
        if (str_equal_z(topic, derived[i].name)) {
            return true;
        }
    }
    enum event_type type = event_type_from_name(topic);
    return type != 0 && !event_type_info(type)->universal;
}

bool topic_is_well_formed(struct str topic)
{
    struct str object = { NULL, 0 };
    struct str action = { NULL, 0 };
    return topic.size <= TOPIC_BYTES_MAX && str_split(topic, '.', &object, &action) &&
           is_segment(object) && is_segment(action);
}

bool topic_is_built_in(struct str topic)
{
    static const char *const kept[] = { "trigger.", "ops.",    "subscription.", "notification.",
                                        "profile.", "custom.", "universal." };
    for (size_t i = 0; i < ARRAY_COUNT(kept); i++) {
        if (str_starts_with(topic, str_from_z(kept[i]))) {
            return true;
        }
    }
    return is_known_topic(topic) || event_type_from_name(topic) != 0;
}

/* trigger.<name>: whether there is such a trigger may come later. */
static bool is_of_trigger(struct str topic)
{
    return str_starts_with(topic, STR("trigger.")) && topic_is_well_formed(topic);
}

/* Does any topic begin with this segment? */
static bool is_known_segment(struct str prefix)
{
    if (str_equal(prefix, STR("trigger."))) {
        return true;
    }
    for (size_t i = 0; i < ARRAY_COUNT(derived); i++) {
        if (str_starts_with(str_from_z(derived[i].name), prefix)) {
            return true;
        }
    }
    for (int type = EVENT_SESSION_STARTED; type < EVENT_TYPE_COUNT; type++) {
        const struct event_type_info *info = event_type_info((enum event_type)type);
        if (!info->universal && str_starts_with(str_from_z(info->name), prefix)) {
            return true;
        }
    }
    return false;
}

bool topic_pattern_is_valid(struct str pattern)
{
    if (str_equal(pattern, STR("*"))) {
        return true;
    }
    if (str_ends_with(pattern, STR(".*"))) {
        struct str segment = str_take(pattern, pattern.size - 2);
        return is_segment(segment) && is_known_segment(str_take(pattern, pattern.size - 1));
    }
    return is_known_topic(pattern) || is_of_trigger(pattern);
}
