#ifndef STORE_SUBSCRIPTION_STORE_H
#define STORE_SUBSCRIPTION_STORE_H

/*
 * Subscriptions, their sealed secrets and what became of their messages, as
 * rows. Values borrow from the arena given; functions open no transaction.
 * STATUS_MISSING and STATUS_CONFLICT come without words.
 *
 * `owner` narrows every read to the subscriptions that one key made; the zero
 * id sees all.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/status.h"
#include "base/str.h"
#include "core/rule/expression.h"
#include "store/pg.h"

struct subscription_row {
    struct id workspace_id;
    struct id id;
    struct str name;
    struct str title;
    struct str url;
    const struct str *topics;
    size_t topic_count;
    struct str filter; /* empty: none */
    struct str fields; /* default thin full changed, or a JSON array of names */
    struct str format;
    struct str channel; /* empty: none */
    struct str headers_json;
    struct str map_json;      /* an object */
    struct str settings_json; /* an object: what a native format needs to know */
    struct str ordering;      /* none profile */
    int32_t batch_max;        /* 0: no batches */
    int64_t batch_wait_ms;
    int32_t rate_count; /* 0: as fast as it goes */
    int64_t rate_per_ms;
    bool recheck;
    const struct str *signature; /* v1 v1a */
    size_t signature_count;
    bool is_masked; /* made by a key that may not see persons */
    int32_t concurrency;
    int64_t timeout_ms;
    int64_t max_age_ms; /* 0: until the schedule ends */
    struct str status;  /* pending active paused disabled */
    struct str status_reason;
    struct str challenge;
    int64_t challenge_expires_at_ms;
    struct id owner_key_id;
    int64_t version;
    int64_t created_at_ms;
    int64_t updated_at_ms;
    int64_t rules_version; /* not stored: that its choice was checked against; 0: it names none */
};

struct subscription_stats {
    int64_t pending;
    int64_t oldest_pending_at_ms;
    int64_t attempts; /* of the last 24 h, the newest ones only */
    int64_t delivered;
    int64_t p99_ms;
};

NODISCARD enum status subscription_insert(struct pg *pg, struct arena *arena,
                                          const struct subscription_row *subscription,
                                          struct problem *problem);
NODISCARD enum status subscription_find(struct pg *pg, struct arena *arena, struct id workspace_id,
                                        struct id owner, struct str name_or_id,
                                        struct subscription_row *out_subscription,
                                        struct problem *problem);
NODISCARD enum status subscription_list(struct pg *pg, struct arena *arena, struct id workspace_id,
                                        struct id owner, struct str after, size_t limit,
                                        struct subscription_row **out_subscriptions,
                                        size_t *out_count, struct problem *problem);
NODISCARD enum status subscription_count(struct pg *pg, struct arena *arena, struct id workspace_id,
                                         struct id owner, int64_t *out_count,
                                         struct problem *problem);
/* Everything that may change, if the row still has subscription->version; else
 * STATUS_CONFLICT. The version grows by one. */
NODISCARD enum status subscription_update(struct pg *pg, struct arena *arena,
                                          const struct subscription_row *subscription,
                                          struct problem *problem);
/* With its secrets and what still waits to be sent to it. */
NODISCARD enum status subscription_delete(struct pg *pg, struct arena *arena,
                                          struct id workspace_id, struct id subscription_id,
                                          struct problem *problem);

/* All of them. */
NODISCARD enum status subscription_secret_clear(struct pg *pg, struct arena *arena,
                                                struct id workspace_id, struct id subscription_id,
                                                struct problem *problem);
NODISCARD enum status subscription_secret_insert(struct pg *pg, struct arena *arena,
                                                 struct id workspace_id, struct id subscription_id,
                                                 struct id secret_id, struct str sealed,
                                                 int64_t created_at_ms, struct problem *problem);
struct subscription_secret_row {
    struct id subscription_id;
    struct id id;
    struct str sealed;
    int64_t created_at_ms;
    int64_t expires_at_ms; /* INSTANT_NONE: none is set */
};
/* Gets an end, or an earlier one. */
NODISCARD enum status subscription_secret_expire(struct pg *pg, struct arena *arena,
                                                 struct id workspace_id,
                                                 const struct subscription_secret_row *secret,
                                                 int64_t expires_at_ms, struct problem *problem);
/* Those that ended are gone. */
NODISCARD enum status subscription_secret_purge(struct pg *pg, struct arena *arena,
                                                struct id workspace_id, struct id subscription_id,
                                                int64_t now_ms, struct problem *problem);
/* Live at `now_ms`: those of ids[0] first, the newest of each first. */
NODISCARD enum status subscription_secret_list(struct pg *pg, struct arena *arena,
                                               struct id workspace_id, const struct id *ids,
                                               size_t id_count, int64_t now_ms,
                                               struct subscription_secret_row **out_secrets,
                                               size_t *out_count, struct problem *problem);

/* Within a transaction: keeps the workspace's rules from changing until its end.
 * STATUS_RETRY when they are not those of `version` any more. */
NODISCARD enum status subscription_hold_rules(struct pg *pg, struct arena *arena,
                                              struct id workspace_id, int64_t version,
                                              struct problem *problem);
/* Names of rules before a save and after it, in the context of filters. */
struct subscription_rules {
    struct id workspace_id;
    struct rule_vocabulary before;
    struct rule_vocabulary after;
};
/* Names of the subscriptions whose filter or fields compile before and not after. */
NODISCARD enum status subscription_find_broken(struct pg *pg, struct arena *arena,
                                               const struct subscription_rules *rules,
                                               struct str **out_names, size_t *out_count,
                                               struct problem *problem);

/* For each of `ids`, in their order; looks at no more than `sample` attempts
 * of each. */
NODISCARD enum status subscription_stats_read(struct pg *pg, struct arena *arena,
                                              struct id workspace_id, const struct id *ids,
                                              size_t count, int64_t now_ms, int32_t sample,
                                              struct subscription_stats **out_stats,
                                              struct problem *problem);

#endif
