#ifndef INTAKE_INTAKE_H
#define INTAKE_INTAKE_H

/*
 * The shell around the core: lanes, load, decide, save, commit, answer.
 *
 * A delivery (one HTTP request that brought events) is submitted from any
 * thread and answered through its callback when the last of its events has
 * committed, or failed for good. In between it belongs to intake; everything it
 * points to must stay valid until then.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "core/event/event.h"
#include "core/trigger/delivery.h"
#include "store/registry.h"

struct intake;

enum event_result {
    EVENT_RESULT_PENDING,
    EVENT_RESULT_APPLIED,
    EVENT_RESULT_DUPLICATE,
    EVENT_RESULT_QUARANTINED,
    EVENT_RESULT_NOBODY, /* named no customer: taken, kept raw, no effect */
};

/* What became of one event, for `Prefer: return=representation`. Filled only
 * when want_details is set; text lives in the delivery's arena. */
struct event_change {
    struct str rule;
    enum rule_kind kind;
    bool had;
    bool has;
    struct str from; /* empty for a tag or segment */
    struct str to;
};

struct event_detail {
    uint64_t told; /* of told_rules, those that hold for the event's visitor */
    struct id profile_id;
    bool profile_created;
    int64_t sequence;
    struct event_change *changes; /* of rules, by this event */
    size_t change_count;
    struct id notification_ids[8];
    struct str notification_topics[8];
    size_t notification_count;
};

struct intake_delivery {
    /* Set by the submitter. */
    struct arena *arena; /* details are written here, by one thread at a time */
    struct id workspace_id;
    struct id source_id;
    struct id receipt_id; /* v7: the webhook row and the answer */
    int64_t received_at_ms;
    struct event *events;
    size_t event_count;
    bool keep_raw; /* write the webhook row when anything new was in it */
    struct str topic;
    struct str dedup_key;
    struct str headers_json;
    struct str body;
    const char *quarantine_reason; /* non-NULL: nothing readable in it; quarantine the body whole */
    /* Events that are to be quarantined alone, and why; one per event, NULL for the
     * others. NULL: none. */
    const char *const *quarantine_reasons;
    bool want_details;
    const struct str *told_rules; /* of which the visitor's page may hear; may be NULL */
    size_t told_rule_count;       /* at most DECISION_TOLD_MAX */
    int64_t hold_until_ms; /* monotonic: while the database is away, keep trying until then */
    void (*done)(struct intake_delivery *delivery, void *user); /* on a writer's thread */
    void *user;

    /* Filled by intake before `done`. */
    enum status status;           /* OK: all events settled; RETRY or BROKEN: answer 503 */
    enum event_result *results;   /* one per event; in the arena */
    struct event_detail *details; /* one per event when wanted */

    /* Intake's own. */
    atomic_size_t pending;
    atomic_bool raw_written;
    atomic_size_t quarantined_bytes; /* of the body, kept once with each quarantined event */
    atomic_int worst_status;
    struct intake_item *items;
};

struct intake_config {
    const char *database_url;
    unsigned writers;
    struct registry *registry;
    struct id instance_id; /* lease owner */
    /* Hand-over to the sender; may be NULL (no sender in this process). */
    size_t (*room)(void *app);
    size_t (*hand_over)(void *app, const struct delivery *deliveries, size_t count);
    /* A due instant was stored: wakes the due sweep if it is the earliest. */
    void (*due_hint)(void *app, int64_t due_at_ms);
    void (*fan_out_hint)(void *app); /* the catalogue may have something to tell */
    /* One committed (or failed) batch, for metrics. */
    void (*observe)(void *app, size_t events, int64_t duration_us, enum status status);
    void *app;
};

NODISCARD enum status intake_start(const struct intake_config *config, struct intake **out_intake,
                                   struct problem *problem);

/* STATUS_OK: taken; `done` will be called exactly once. STATUS_LIMIT: the queue
 * is full; STATUS_RETRY: draining or database away; nothing was taken. */
NODISCARD enum status intake_submit(struct intake *intake, struct intake_delivery *delivery);

/* Events waiting or in work. */
size_t intake_backlog(const struct intake *intake);
/* Is the last thing the database said an error that is ours? (readiness) */
bool intake_is_healthy(const struct intake *intake);

/* Finishes what was taken (until the deadline, then answers STATUS_RETRY),
 * refuses new. */
void intake_drain(struct intake *intake, int64_t deadline_ms);
void intake_destroy(struct intake *intake);

#endif
