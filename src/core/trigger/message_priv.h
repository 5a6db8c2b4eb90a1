#ifndef CORE_TRIGGER_MESSAGE_PRIV_H
#define CORE_TRIGGER_MESSAGE_PRIV_H

/*
 * The pieces of a body, between those who write them and the formats that put
 * them together; and the names, between who resolves and who reads them.
 */

#include "core/trigger/projection.h"

/* --- message_name.c: message_name.member, by object --------------------------- */

enum profile_member {
    PROFILE_ID = 1,
    PROFILE_SEQUENCE,
    PROFILE_CURRENCY,
    PROFILE_TIERS,
    PROFILE_TRAITS,
    PROFILE_PREFERENCES,
    PROFILE_CONSENT,
    PROFILE_CART,
};

enum event_member {
    EVENT_ALL = 1,
    EVENT_ID,
    EVENT_TYPE,
    EVENT_SOURCE,
    EVENT_OCCURRED_AT,
    EVENT_PROPERTY,
};

enum transition_member {
    TRANSITION_RULE = 1,
    TRANSITION_KIND,
    TRANSITION_FROM,
    TRANSITION_TO,
};

enum rule_member {
    RULE_NAME = 1,
    RULE_TITLE,
    RULE_FROM,
    RULE_TO,
    RULE_VERSION,
    RULE_SINCE,
    RULE_UNTIL,
    RULE_PREVIOUS_SINCE,
};

enum merge_member {
    MERGE_ID = 1,
    MERGE_FROM_ID,
    MERGE_INTO_ID,
};

enum trigger_member {
    TRIGGER_NAME = 1,
    TRIGGER_TITLE,
    TRIGGER_VERSION,
};

enum notification_member {
    NOTIFICATION_ID = 1,
    NOTIFICATION_TYPE,
    NOTIFICATION_TIMESTAMP,
    NOTIFICATION_RECORDED_AT,
    NOTIFICATION_EXPIRES_AT,
    NOTIFICATION_SEQUENCE,
    NOTIFICATION_WORKSPACE,
    NOTIFICATION_CAUSE,
};

/* --- message_value.c ----------------------------------------------------------- */

/* As filters and fields name it; of NULL all is null. */
struct rule_transition message_transition(const struct transition_row *row);

/* --- message_body.c ------------------------------------------------------------ */

/* "cause": why it rings. */
void message_write_cause(struct jsonw *json, const struct message *message);
/* The members of an open `data`; a truncated one is thin and has no others. */
void message_write_data(struct arena *arena, struct jsonw *json,
                        const struct projection *projection, const struct message *message,
                        bool is_truncated);

#endif
