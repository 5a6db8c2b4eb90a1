#ifndef CORE_TRIGGER_DELIVERY_H
#define CORE_TRIGGER_DELIVERY_H

/*
 * A notification on its way to one subscription: the values that pass between
 * the store (rows), intake (hand-over after commit) and the sender, and the
 * pure question "what now?" after an attempt.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/id.h"
#include "base/str.h"

/* One notification of a batch. */
struct delivery_member {
    struct id delivery_id;
    struct id notification_id;
    struct id profile_id;
    int64_t notification_created_at_ms;
    int64_t expires_at_ms;  /* not above 0: the schedule's end */
    int64_t replayed_at_ms; /* not above 0: never */
    uint32_t attempt;       /* how many were made before, alone and in batches */
    uint32_t body_bytes;
    bool is_ordered;
};

/* A notification, or a frozen batch of them: then the id and the notification's id
 * are both the batch's, the profile's is zero, and the body is the batch's. */
struct delivery {
    struct id workspace_id;
    struct id id; /* hash(notification, subscription) */
    struct id notification_id;
    int64_t notification_created_at_ms;
    struct id subscription_id;
    struct id profile_id; /* whom the notification is about, whoever survived them since */
    int64_t sequence;
    uint32_t rank;          /* among those of one commit: the order of decision */
    bool is_ordered;        /* not before what is smaller by (sequence, rank, id) is settled */
    int64_t expires_at_ms;  /* not above 0: the schedule's end */
    int64_t replayed_at_ms; /* max_age counts from it; not above 0: from the notification */
    uint32_t attempt;       /* how many were made before */
    int64_t due_at_ms;
    int64_t lease_until_ms;
    struct str topic;
    struct str target; /* header lines of this message, or an ESP's path: see struct rendition */
    struct str body;   /* borrowed from whoever made the struct; the sender copies */
    const struct delivery_member *members; /* of a batch, in order */
    size_t member_count;                   /* 0: no batch */
};

enum attempt_outcome {
    ATTEMPT_DELIVERED = 1,
    ATTEMPT_RETRY,   /* will be tried again */
    ATTEMPT_GAVE_UP, /* the schedule is at its end */
    ATTEMPT_GONE,    /* 410: the subscription is disabled */
    ATTEMPT_ABORTED, /* webhook-delivery: abort-message */
    ATTEMPT_DROPPED, /* nothing was sent: it is not true, or not allowed, any more */
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
    struct id batch_id; /* zero: sent alone */
    uint32_t number;    /* 1 for the first */
    enum attempt_outcome outcome;
    int32_t response_status; /* 0: none came */
    int64_t duration_ms;
    int64_t next_at_ms; /* INSTANT_NONE when settled */
    uint32_t body_bytes;
    struct str error;    /* empty or curl's words, without addresses inside the network */
    struct str response; /* first bytes of the answer, text only */
};

/* What becomes of one member after an attempt of its batch. */
enum member_fate {
    MEMBER_KEPT = 1, /* stays in the batch, which comes again as it is */
    MEMBER_SETTLED,  /* is over */
    MEMBER_AGAIN,    /* rejected: comes again in another batch, at next_at_ms */
    MEMBER_FREED,    /* was not sent: free for another batch at once, and nothing is logged */
};

struct member_end {
    struct delivery_member member;
    enum member_fate fate;
    enum attempt_outcome outcome;
    int64_t next_at_ms;
    struct str error; /* the receiver's reason, or ours */
};

/* What is to be written after an attempt. Of a batch: `attempt` has its id as the
 * delivery's and the number of the batch's attempt; what is logged is one attempt
 * for each member that is not freed. */
struct settlement {
    struct attempt attempt;
    bool settled;              /* delete it; else put it off to attempt.next_at_ms */
    bool disable_subscription; /* 410 */
    bool is_ordered;           /* what waits behind it may go on when it is settled */
    const struct member_end *members;
    size_t member_count;
};

struct id delivery_id(struct id notification_id, struct id subscription_id);

/* After this instant nobody is told any more: by what the message is worth
 * (expires_at_ms, not above 0: as long as the schedule lasts) and by how old one may be
 * for who is told (max_age_ms, 0: likewise). INSTANT_NEVER: the schedule's end. */
int64_t delivery_expires_at_ms(int64_t created_at_ms, int64_t expires_at_ms, int64_t max_age_ms);

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
