#ifndef CORE_TRIGGER_DELIVERY_H
#define CORE_TRIGGER_DELIVERY_H

/*
 * A notification on its way to one subscription: the values that pass between
 * the store (rows), intake (hand-over after commit) and the sender, and the
 * pure question "what now?" after an attempt.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/id.h"
#include "base/str.h"

struct delivery {
    struct id workspace_id;
    struct id id; /* hash(notification, subscription) */
    struct id notification_id;
    int64_t notification_created_at_ms;
    struct id subscription_id;
    struct id profile_id;
    int64_t sequence;
    uint32_t attempt; /* how many were made before */
    int64_t due_at_ms;
    int64_t lease_until_ms;
    struct str topic;
    struct str target; /* header lines of this message, or an ESP's path: see struct rendition */
    struct str body;   /* borrowed from whoever made the struct; the sender copies */
};

enum attempt_outcome {
    ATTEMPT_DELIVERED = 1,
    ATTEMPT_RETRY,   /* will be tried again */
    ATTEMPT_GAVE_UP, /* the schedule is at its end */
    ATTEMPT_GONE,    /* 410: the subscription is disabled */
    ATTEMPT_ABORTED, /* webhook-delivery: abort-message */
};

struct attempt {
    struct id workspace_id;
    struct id id;
    int64_t at_ms;
    struct id delivery_id;
    struct id notification_id;
    struct id subscription_id;
    struct id profile_id;
    int64_t notification_created_at_ms;
    uint32_t number; /* 1 for the first */
    enum attempt_outcome outcome;
    int32_t response_status; /* 0: none came */
    int64_t duration_ms;
    int64_t next_at_ms; /* INSTANT_NONE when settled */
    uint32_t body_bytes;
    struct str error;    /* empty or curl's words, without addresses inside the network */
    struct str response; /* first bytes of the answer, text only */
};

struct id delivery_id(struct id notification_id, struct id subscription_id);

/* What an HTTP answer means, and when to ask again. `attempt_number` is 1 for
 * the attempt just made; status 0 is a transport failure or silence;
 * retry_after_ms is 0 when not given; `jitter` is any random number. The
 * schedule (Standard Webhooks): 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h,
 * 24 h, each +-10 %, then ATTEMPT_GAVE_UP. *out_wait_ms is written for
 * ATTEMPT_RETRY only. */
enum attempt_outcome delivery_next(int32_t response_status, uint32_t attempt_number,
                                   int64_t retry_after_ms, bool aborted, uint32_t jitter,
                                   int64_t *out_wait_ms);
const char *attempt_outcome_name(enum attempt_outcome outcome);

#endif
