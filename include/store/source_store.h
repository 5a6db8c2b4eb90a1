#ifndef STORE_SOURCE_STORE_H
#define STORE_SOURCE_STORE_H

/*
 * Sources, their sealed secrets, and their health, as rows. Values borrow from
 * the arena given; functions open no transaction. STATUS_MISSING and
 * STATUS_CONFLICT come without words.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "base/str.h"
#include "store/pg.h"

struct source_counts {
    int64_t applied;
    int64_t duplicate;
    int64_t ignored;
    int64_t quarantined;
    int64_t refused;
    int64_t shed;
    int64_t thin; /* of the events: those whose resource was not read */
};

/* Of this hour of the clock and of the one before. */
struct source_hours {
    int64_t accepted;
    int64_t accepted_before;
    int64_t refused;
    int64_t refused_before;
};

struct source_row {
    struct id workspace_id;
    struct id id;
    struct str name;
    struct str platform;
    struct str settings_json;
    bool history_complete;
    int64_t history_since_ms;
    int64_t version;
    int64_t created_at_ms;
    int64_t updated_at_ms;
    /* Health: read only. */
    int64_t last_delivery_at_ms;
    int64_t last_applied_at_ms;
    int64_t last_accepted_at_ms;  /* believed, whatever became of it */
    struct str last_failure_json; /* empty: none */
    struct source_counts counts_24h;
    struct source_hours hours;
};

/* A shadow beside live traffic, since it became one. */
struct source_shadow_check {
    int64_t tried;
    int64_t matches;
    int64_t since_ms;     /* INSTANT_NONE: nothing came yet */
    int64_t missed_at_ms; /* INSTANT_NONE: it always matched */
};

struct source_secret_row {
    struct id id;
    struct str label;
    struct str sealed;
    bool shadow;
    int64_t created_at_ms;
    int64_t expires_at_ms; /* INSTANT_NONE: does not expire */
    int64_t last_used_at_ms;
    struct source_shadow_check check; /* read only */
};

NODISCARD enum status source_insert(struct pg *pg, struct arena *arena,
                                    const struct source_row *source, struct problem *problem);
/* By name or id; deleted ones are missing. Counts are of the 24 h before now. */
NODISCARD enum status source_find(struct pg *pg, struct arena *arena, struct id workspace_id,
                                  struct str name_or_id, int64_t now_ms,
                                  struct source_row *out_source, struct problem *problem);
NODISCARD enum status source_list(struct pg *pg, struct arena *arena, struct id workspace_id,
                                  struct str after, size_t limit, int64_t now_ms,
                                  struct source_row **out_sources, size_t *out_count,
                                  struct problem *problem);
NODISCARD enum status source_count(struct pg *pg, struct arena *arena, struct id workspace_id,
                                   int64_t *out_count, struct problem *problem);
/* Settings and history, if the row still has source->version; else
 * STATUS_CONFLICT. The version grows by one. */
NODISCARD enum status source_update(struct pg *pg, struct arena *arena,
                                    const struct source_row *source, struct problem *problem);
/* Marks it deleted and forgets its secrets and its schemas. */
NODISCARD enum status source_delete(struct pg *pg, struct arena *arena, struct id workspace_id,
                                    struct id source_id, int64_t now_ms, struct problem *problem);

NODISCARD enum status source_secret_insert(struct pg *pg, struct arena *arena,
                                           struct id workspace_id, struct id source_id,
                                           const struct source_secret_row *secret,
                                           struct problem *problem);
/* Oldest first. */
NODISCARD enum status source_secret_list(struct pg *pg, struct arena *arena, struct id workspace_id,
                                         struct id source_id,
                                         struct source_secret_row **out_secrets, size_t *out_count,
                                         struct problem *problem);
/* Label, shadow and expiry. What becomes a shadow begins to be checked anew.
 * STATUS_MISSING when it was not there. */
NODISCARD enum status source_secret_update(struct pg *pg, struct arena *arena,
                                           struct id workspace_id, struct id source_id,
                                           const struct source_secret_row *secret,
                                           struct problem *problem);
/* At the latest then; never later than it would have. */
NODISCARD enum status source_secret_expire(struct pg *pg, struct arena *arena,
                                           struct id workspace_id, struct id source_id,
                                           struct id secret_id, int64_t at_ms,
                                           struct problem *problem);
/* STATUS_MISSING when it was not there. */
NODISCARD enum status source_secret_delete(struct pg *pg, struct arena *arena,
                                           struct id workspace_id, struct id source_id,
                                           struct id secret_id, struct problem *problem);

/* Raw webhooks kept of a source, newest first, before (received_at, id). */
struct webhook_row {
    struct id id;
    int64_t received_at_ms;
    struct str topic;
    struct str dedup_key;
    struct str headers_json;
    int64_t body_bytes;
};
NODISCARD enum status webhook_list(struct pg *pg, struct arena *arena, struct id workspace_id,
                                   struct id source_id, int64_t before_ms, struct id before_id,
                                   size_t limit, struct webhook_row **out_webhooks,
                                   size_t *out_count, struct problem *problem);

/* How it is served. */
enum {
    SOURCE_LAG_BUCKETS = 124, /* see api/source_lag.h */
    SOURCE_GAPS_MAX = 20
};
struct source_gap {
    int64_t from_ms;
    int64_t to_ms;
    int64_t shed; /* answered 503; 0: nobody was there */
};
struct source_service {
    int64_t lag[SOURCE_LAG_BUCKETS];             /* deliveries of the last 24 h */
    struct source_gap gaps[2 * SOURCE_GAPS_MAX]; /* of the last 7 days, newest first */
    size_t gap_count;
    int64_t privacy_requests; /* in quarantine, where an operator finds them */
};
NODISCARD enum status source_service_read(struct pg *pg, struct arena *arena,
                                          const struct source_row *source, int64_t now_ms,
                                          struct source_service *out_service,
                                          struct problem *problem);
/* Some instance lives, at now. */
NODISCARD enum status source_uptime_beat(struct pg *pg, struct arena *arena, int64_t now_ms,
                                         struct problem *problem);

/* What was counted in memory since the last flush, added to the rows. One
 * statement each, sorted by the caller by (workspace, source). */
struct source_health_delta {
    struct id workspace_id;
    struct id source_id;
    struct source_counts counts;
    int64_t last_delivery_at_ms; /* INSTANT_NONE: none */
    int64_t last_applied_at_ms;
    int64_t last_accepted_at_ms;
    struct str last_failure_json;
    int64_t shed_from_ms; /* INSTANT_NONE: none was answered 503 */
    int64_t shed_to_ms;
    const uint32_t *lag; /* SOURCE_LAG_BUCKETS counts, or NULL */
};
NODISCARD enum status source_health_add(struct pg *pg, struct arena *arena, int64_t now_ms,
                                        const struct source_health_delta *deltas, size_t count,
                                        struct problem *problem);
/* Parts of source_health_add, within its transaction. */
NODISCARD enum status source_gaps_add(struct pg *pg, struct arena *arena,
                                      const struct source_health_delta *deltas, size_t count,
                                      struct problem *problem);
NODISCARD enum status source_lags_add(struct pg *pg, struct arena *arena, int64_t now_ms,
                                      const struct source_health_delta *deltas, size_t count,
                                      struct problem *problem);
/* When secrets last matched. */
struct source_secret_use {
    struct id workspace_id;
    struct id source_id;
    struct id secret_id;
    int64_t at_ms;
};
NODISCARD enum status source_secret_touch(struct pg *pg, struct arena *arena,
                                          const struct source_secret_use *uses, size_t count,
                                          struct problem *problem);
/* How shadows did since the last flush. */
struct source_shadow_delta {
    struct id workspace_id;
    struct id source_id;
    struct id secret_id;
    int64_t tried;
    int64_t matches;
    int64_t at_ms;        /* of the first tried */
    int64_t missed_at_ms; /* INSTANT_NONE: not missed */
};
NODISCARD enum status source_shadow_add(struct pg *pg, struct arena *arena,
                                        const struct source_shadow_delta *deltas, size_t count,
                                        struct problem *problem);

#endif
