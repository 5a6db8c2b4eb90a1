#ifndef STORE_REGISTRY_H
#define STORE_REGISTRY_H

/*
 * The configuration in memory: workspaces, sources with their secrets, keys,
 * subscriptions. The hot path reads it without a lock on the database and
 * without waiting.
 *
 * Invariant: a snapshot never changes. A refresh builds a new one beside it and
 * swaps the pointer; readers hold a reference while they use it. All instances
 * poll one number (the sum of workspace.config_version) four times a second;
 * who changes configuration refreshes at once, before the answer. Rejected:
 * LISTEN/NOTIFY (a database-wide lock at commit) and per-object caches (a miss
 * in the hot path blocks an epoll thread).
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "core/access.h"
#include "core/decide.h"
#include "core/source.h"
#include "core/trigger/subscription.h"
#include "schema/schema.h"
#include "store/pg.h"
#include "store/schema_store.h"
#include "store/seal.h"

struct registry;
struct registry_snapshot;
struct ruleset;
struct statistics;

/* A rule that the pages of a source may be told of. */
struct registry_exposure {
    struct str source;
    struct str rule;
};

enum schema_mode {
    SCHEMA_COUNT,
    SCHEMA_QUARANTINE,
    SCHEMA_REJECT
};

/* Counted on the hot path, any thread; see registry_schemas.c. */
struct schema_tally;

/* What the properties of a source's events must look like. */
struct registry_schema {
    struct id id;
    struct id source_id;
    struct str event_type;
    int64_t version;
    enum schema_mode mode;
    struct schema *compiled; /* NULL: it does not compile here */
    struct schema_tally *tally;
};

struct registry_workspace {
    struct id id;
    struct str name;
    struct str currency;
    struct str time_zone;
    bool held;
    /* Active and paused subscriptions: for whom notifications are made. */
    const struct subscription_interest *interests;
    size_t interest_count;
    const struct source *sources;
    size_t source_count;
    /* Compiled, ascending by version; the last is in force. Older ones stand
     * beside it while profiles may still be at them. None: not seeded yet. */
    const struct ruleset *const *rulesets;
    size_t ruleset_count;
    const struct statistics *statistics;   /* the newest set; NULL: never computed */
    const struct rule_backfill *backfills; /* rules whose save rings */
    size_t backfill_count;
    const struct registry_exposure *exposures; /* ascending by rule */
    size_t exposure_count;
    const struct registry_schema *schemas; /* ascending by source and event type */
    size_t schema_count;
    const struct trigger *triggers; /* those that compile, by id; paused ones too */
    size_t trigger_count;
    const struct trigger_set *trigger_set; /* of those that fire; NULL: none */
    const struct channel_cap *channel_caps;
    size_t channel_cap_count;
    bool knows_history; /* every source's is complete */
};

struct registry_subscription {
    struct id id;
    struct id workspace_id;
    struct str name;
    struct str url;
    struct str status; /* pending active paused disabled */
    const struct str *header_lines;
    size_t header_count;
    uint32_t concurrency;
    int64_t timeout_ms;
    int64_t max_age_ms;
    struct str filter; /* as subscription_row has them */
    struct str fields;
    struct str format;
    struct str channel;
    struct str map_json;
    struct str settings_json;
    struct str ordering;
    int32_t batch_max;
    int64_t batch_wait_ms;
    int32_t rate_count;
    int64_t rate_per_ms;
    bool recheck;
    bool hears_rechecked; /* a trigger that rechecks may ring it */
    const struct str *signature;
    size_t signature_count;
    bool is_masked;
    /* Compiled, of an active one. NULL: everything; the default body. */
    const struct rule_program *filter_program;
    const struct projection *projection;
    /* Plain secrets ("whsec_..."), the newest first, then those that overlap.
     * One that expires is gone with the first refresh after. */
    const struct str *secrets;
    size_t secret_count;
};

struct registry_key {
    struct principal principal;
    struct str prefix;
    uint8_t secret_hash[SEAL_HASH_SIZE];
    int64_t expires_at_ms;
};

/* Fills in what settings_json says (currency, time_zone, shop_domain,
 * order_completed_when); until then the workspace's apply. Texts live in the
 * arena. Settings are the sources' business, which the store does not see. */
typedef enum status registry_parse_source_fn(struct arena *arena, struct source *source);

/* `seal` is borrowed. parse_source may be NULL. */
NODISCARD enum status registry_create(const char *database_url, const struct seal *seal,
                                      registry_parse_source_fn *parse_source,
                                      struct registry **out_registry);
/* Nobody holds a snapshot any more. */
void registry_destroy(struct registry *registry);

/* Reads the number; if it changed (or force, or a secret expired), loads
 * everything anew. One refresh at a time; any thread. Uses a connection of its
 * own. A secret that does not open under this master key, or settings that do
 * not parse, are left out; the first refresh then returns STATUS_OK with words
 * in problem->detail (set it empty before). */
NODISCARD enum status registry_refresh(struct registry *registry, bool force,
                                       struct problem *problem);

/* The current snapshot with a reference; release it. Never NULL after the
 * first successful refresh. Any thread; the lock is held for a counter only. */
const struct registry_snapshot *registry_hold(struct registry *registry);
void registry_release(struct registry *registry, const struct registry_snapshot *snapshot);

const struct registry_workspace *snapshot_workspace(const struct registry_snapshot *snapshot,
                                                    struct id workspace_id);
const struct registry_workspace *snapshot_workspace_at(const struct registry_snapshot *snapshot,
                                                       size_t index); /* NULL past the end */
/* What a decision in this workspace takes as given; sources and random are the
 * caller's. Borrows from the snapshot. */
void registry_decide_context(const struct registry_workspace *workspace,
                             struct decide_context *out_context);
/* STATUS_RETRY, with the configuration loaded anew, when the decision has a
 * profile that newer rules have reached already. */
NODISCARD enum status registry_catch_up(struct registry *registry, const struct decision *decision,
                                        struct problem *problem);
/* NULL: there is none, or none that can be used. */
const struct registry_schema *workspace_schema(const struct registry_workspace *workspace,
                                               struct id source_id, struct str event_type);
/* One event was checked; the violations are JSON, and borrowed. */
void schema_tally_count(struct schema_tally *tally, bool is_valid, struct str violations_json,
                        int64_t at_ms);
/* What was counted since the last time; false: nothing. Fills in all but the ids. */
bool schema_tally_take(struct schema_tally *tally, struct arena *arena,
                       struct schema_delta *out_delta);
void schema_tally_put_back(struct schema_tally *tally, const struct schema_delta *delta);
const struct source *snapshot_source(const struct registry_snapshot *snapshot, struct id source_id);
const struct registry_subscription *snapshot_subscription(const struct registry_snapshot *snapshot,
                                                          struct id subscription_id);
const struct registry_key *snapshot_key(const struct registry_snapshot *snapshot,
                                        struct str prefix);

#endif
