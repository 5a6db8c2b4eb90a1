#ifndef DELIVER_SENDER_H
#define DELIVER_SENDER_H

/*
 * The sender: a thread around a libcurl multi handle that takes deliveries
 * (handed over in memory by intake after its commit, or claimed from the
 * queue), signs and sends them; and two beside it, the ledger that claims and the
 * settler that settles in batches, so that sending never waits for a commit.
 *
 * It knows no database: what it needs of the store comes through
 * struct sender_ops, which app wires. One endpoint never delays another: each
 * has its own waiting list and concurrency. A delivery whose lease may run out
 * during an attempt is dropped here, since another instance may own it
 * (correctness 18).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "core/trigger/delivery.h"
#include "core/trigger/native.h"

struct sender;

enum signature_scheme {
    SIGNATURE_V1,  /* HMAC-SHA256 */
    SIGNATURE_V1A, /* Ed25519 */
};

struct endpoint_secret {
    enum signature_scheme scheme;
    uint8_t key[64];
    size_t key_size;
};

/* Four of each scheme: who rotates a fourth time within the overlap of the first
 * is refused (contract 9), so that every live one signs. */
enum {
    ENDPOINT_SECRETS_PER_SCHEME = 4,
    ENDPOINT_SECRETS_MAX = 2 * ENDPOINT_SECRETS_PER_SCHEME,
};

/* Reads "whsec_..." (v1) or "whsk_..." (v1a). False when it is neither. */
bool endpoint_secret_read(struct str text, struct endpoint_secret *out_secret);

/* Where a subscription's messages go, as of now. Text lives in the arena given
 * to ops.endpoint. */
struct endpoint {
    struct str url;
    struct endpoint_secret secrets[ENDPOINT_SECRETS_MAX]; /* and former ones that overlap */
    size_t secret_count;
    const struct str *header_lines; /* "X-Account: 8841" */
    size_t header_count;
    enum native_format format; /* an ESP's own: its header lines stand above, nothing is signed */
    uint32_t concurrency;
    uint32_t rate_count; /* this instance's share; 0: as fast as it goes */
    int64_t rate_per_ms;
    int64_t timeout_ms;
    int64_t max_age_ms; /* 0: the schedule's end */
    bool asks_first;    /* ops.permit is asked before each attempt */
    bool active;        /* paused, disabled, gone: do not send, drop the copy */
};

/* May this notification still go to this endpoint? */
struct permit_request {
    struct id workspace_id;
    struct id subscription_id;
    struct id profile_id;
    struct id notification_id;
    int64_t notification_created_at_ms;
};

/* What of an endpoint a claim must know. Any thread. */
struct sender_gate {
    size_t (*room)(void *context, struct id subscription_id); /* 0: bring nothing */
    void *context;
};

/* claim and renew are called on the ledger's thread, never two at a time: they may
 * share a connection of their own and may take their time. settle is called on the
 * settler's thread and permit on the checker's, and each needs another connection.
 * endpoint and observe are called on the sending thread, while one of the others
 * may be running: they must not use those connections, nor wait for them. */
struct sender_ops {
    /* False when the subscription is unknown. Must not block for long. */
    bool (*endpoint)(void *app, struct arena *arena, struct id workspace_id,
                     struct id subscription_id, struct endpoint *out_endpoint);
    /* Claims about `limit` due notifications, alone or in batches, for this instance
     * (leased), for each endpoint no more messages than its gate has room for; bodies
     * live in the arena. Called when the queue has room, at most every poll interval; at
     * once again when *out_more says that there may be. */
    enum status (*claim)(void *app, struct arena *arena, const struct sender_gate *gate,
                         size_t limit, struct delivery **out_deliveries, size_t *out_count,
                         bool *out_more);
    /* Settles attempts in one transaction. STATUS_RETRY: kept and tried again.
     * Other failures: tried one by one, and what then fails alone is dropped.
     * *out_next are deliveries whose turn came with it, leased; they live until the next
     * call. */
    enum status (*settle)(void *app, const struct settlement *settlements, size_t count,
                          struct delivery **out_next, size_t *out_next_count);
    /* Reads what is true now; out_reasons[i] (static text) stays empty where the
     * notification may go. Only asked for endpoints that ask first; may be NULL if there
     * are none. On failure nothing is sent, and all comes again. */
    enum status (*permit)(void *app, const struct permit_request *requests, size_t count,
                          struct str *out_reasons);
    /* Renews leases of what is waiting here. With lease_until_ms = now it gives
     * back what was claimed but did not fit, and what a stop left unstarted. */
    enum status (*renew)(void *app, const struct delivery *deliveries, size_t count,
                         int64_t lease_until_ms);
    /* Every attempt, for the metrics; may be NULL. */
    void (*observe)(void *app, enum attempt_outcome outcome, int64_t duration_ms);
    void *app;
};

struct sender_config {
    struct sender_ops ops;
    const char *allow_networks; /* CIDR blocks that may be reached although private; NULL */
    const char *allow_ports;    /* NULL: see port_rule.c */
    bool allow_http;            /* plain http:// endpoints */
    const char *ca_file;        /* NULL: the system's */
    const char *proxy;          /* "http://host:port"; NULL: none, whatever the environment says */
    int64_t poll_ms;            /* claim interval when idle: 250 */
};

NODISCARD enum status sender_start(const struct sender_config *config, struct sender **out_sender,
                                   struct problem *problem);
/* Takes deliveries leased to this instance: copies them and wakes the thread.
 * Returns how many of the first were taken; the rest did not fit and stays in the queue (the
 * caller releases their leases, or lets them run out). Any thread. */
size_t sender_hand_over(struct sender *sender, const struct delivery *deliveries, size_t count);
/* How many more would fit: asked before the commit, to decide on leases. */
size_t sender_room(struct sender *sender);
/* Lets running transfers end until the deadline (an instant of
 * clock_monotonic_ms), settles them, stops. What was not started is given back.
 * One thread; a second call does nothing. */
void sender_stop(struct sender *sender, int64_t deadline_ms);
void sender_destroy(struct sender *sender); /* stops at once if need be; NULL is fine */

/* One signed POST, blocking (the subscription challenge and test message).
 * `answer` gets at most LIMIT_DELIVERY_ANSWER_BYTES in the arena. */
struct sender_answer {
    int32_t status; /* 0: none came, see error */
    bool is_whole;  /* the body ended within what was asked for */
    struct str body;
    struct str error;
};
NODISCARD enum status sender_post_once(const struct sender_config *config, struct arena *arena,
                                       const struct endpoint *endpoint, struct str webhook_id,
                                       struct str body, struct sender_answer *out_answer);

/* The same with the header lines of its own that a message may have. */
struct rendition;
NODISCARD enum status sender_post_rendition(const struct sender_config *config, struct arena *arena,
                                            const struct endpoint *endpoint, struct str webhook_id,
                                            const struct rendition *message,
                                            struct sender_answer *out_answer);

/* One call to an ESP with the endpoint's header lines, blocking: a POST of the body,
 * or a GET when that is empty. For endpoints of a native format. */
NODISCARD enum status sender_call_once(const struct sender_config *config, struct arena *arena,
                                       const struct endpoint *endpoint, struct str body,
                                       struct sender_answer *out_answer);

/* One GET, blocking, by the same rules: a key that a sender publishes, an address
 * that it asks to be visited. At most body_bytes_max of the answer are kept; more
 * is an error. */
NODISCARD enum status sender_get_once(const struct sender_config *config, struct arena *arena,
                                      struct str url, size_t body_bytes_max,
                                      struct sender_answer *out_answer);

/* Is this a URL we would ever call? Scheme, port, no userinfo or fragment;
 * literal private addresses are refused here already. Of the config only who may
 * be called counts; NULL is the strictest. Problem type "url-not-allowed". */
NODISCARD enum status endpoint_url_check(struct str url, const struct sender_config *config,
                                         struct problem *problem);

#endif
