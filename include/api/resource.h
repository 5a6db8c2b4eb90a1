#ifndef API_RESOURCE_H
#define API_RESOURCE_H

/*
 * What can be asked of each resource, without HTTP: the REST handlers and the
 * commands call the same functions with the same JSON.
 *
 * Every function has one shape: a request (who asks, which object, the body,
 * the page) and an answer (JSON text in the request's arena). Threading: the
 * connection and the arena belong to the caller's thread; `api` is shared and
 * only read. The caller owns no transaction; a function that writes opens its
 * own, raises the workspace's config_version in it, and refreshes the registry
 * (if there is one) before it returns.
 *
 * Errors: a status with a problem whose type is a slug of contract 17.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/api.h"
#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"
#include "core/access.h"
#include "store/pg.h"

struct resource_request {
    /* Needed: seal, public_url; registry and sender_config may be NULL at the
     * command line (then nothing is refreshed, and nothing can be sent). */
    const struct api *api;
    struct pg *pg;
    struct arena *arena;
    /* Never NULL. The command line makes one: zero key_id, the workspace, and
     * every scope; for the instance the zero workspace and SCOPE_INSTANCE. */
    const struct principal *principal;
    struct str name; /* which object, by name or id; empty for create and list */
    struct str part; /* a secret's id */
    struct str body; /* JSON, or empty */
    struct str if_match;
    bool validate_only;
    /* Lists. */
    size_t page_size; /* 0: the default */
    struct str page_token;
    bool want_total;
    struct str order_by;
    /* Filters of lists; empty: any. */
    struct str lifecycle;
    struct str identified; /* "true" or "false" */
    struct str updated_since;
    struct str source;
    struct str product_id;
    struct str sku;
    struct str topic;
    struct str type; /* of a universal event */
    struct str profile;
    struct str subscription;
    struct str rule;
    struct str kind; /* of a rule, or of a job */
    struct str cause;
    struct str value; /* of a membership */
    struct str from;  /* instants */
    struct str to;
    struct str state;   /* of a job or a delivery: the parameter "status" */
    struct str outcome; /* of an attempt */
    struct str context; /* rule, trigger or filter */
    struct str way;     /* of a snippet: script or shopify_pixel */
    struct str as_of;   /* an instant; empty: now */
    struct str filter;  /* an expression */
    struct str fields;  /* of a list's items, parted by commas; empty: all */
    int64_t now_ms;
};

enum resource_effect {
    RESOURCE_SHOWN,
    RESOURCE_CREATED,
    RESOURCE_ACCEPTED, /* jobs do the rest */
    RESOURCE_CHANGED,
    RESOURCE_DELETED
};

struct resource_answer {
    enum resource_effect effect;
    struct str json;     /* empty when deleted */
    struct str location; /* of what was created: a path */
    int64_t version;     /* for the ETag; 0: it has none */
    /* The one member that counts when the function fails: the problem's
     * `errors`, as JSON, where the pointer alone says too little. */
    struct str errors_json;
};

typedef enum status resource_fn(const struct resource_request *request,
                                struct resource_answer *out_answer, struct problem *problem);

resource_fn resource_workspace_create;
resource_fn resource_workspace_list;
resource_fn resource_workspace_show;
resource_fn resource_workspace_update;
/* The brake: body {"reason":"..."}, {"drop_older_than":"2h"}. */
resource_fn resource_workspace_hold;
resource_fn resource_workspace_release;

resource_fn resource_source_create;
resource_fn resource_source_list;
resource_fn resource_source_show;
resource_fn resource_source_update;
resource_fn resource_source_delete;
resource_fn resource_source_deliveries;
resource_fn resource_source_secret_add;
resource_fn resource_source_secret_list;
resource_fn resource_source_secret_update;
resource_fn resource_source_secret_delete;
/* Body {"body":"<base64>","headers":{...}}: the verdict and what it would
 * become. Stores nothing. */
resource_fn resource_source_verify;

/* request->name: the source; request->part: the event type. */
resource_fn resource_schema_list;
resource_fn resource_schema_show;
resource_fn resource_schema_put;
resource_fn resource_schema_delete;

resource_fn resource_key_create;
resource_fn resource_key_list;
resource_fn resource_key_show;
resource_fn resource_key_revoke;

resource_fn resource_source_snippet;
resource_fn resource_trigger_list;
resource_fn resource_trigger_show;
resource_fn resource_trigger_put;
resource_fn resource_trigger_delete;
resource_fn resource_trigger_pause;
resource_fn resource_trigger_resume;
resource_fn resource_trigger_outcomes;

resource_fn resource_subscription_create;
resource_fn resource_subscription_list;
resource_fn resource_subscription_show;
resource_fn resource_subscription_update;
resource_fn resource_subscription_delete;
/* Sends the challenge, or with {"challenge":"..."} confirms it. Calls the
 * endpoint: may take the subscription's timeout. */
resource_fn resource_subscription_verify;
resource_fn resource_subscription_test; /* calls the endpoint, too */
resource_fn resource_subscription_pause;
resource_fn resource_subscription_resume;
resource_fn resource_subscription_rotate_secret;
resource_fn resource_subscription_public_keys;
resource_fn resource_subscription_stats;
/* Queues a job that sends again; body {"since":...,"until":...,"status":"failed"}. */
resource_fn resource_subscription_replay;

resource_fn resource_rule_create;
resource_fn resource_rule_list;
resource_fn resource_rule_show;
resource_fn resource_rule_put;
resource_fn resource_rule_delete;
resource_fn resource_rule_members;
/* How many would it take in? Body as of a rule; nothing is saved. */
resource_fn resource_rule_preview;
/* And what would it have done, day by day? Queues a job. */
resource_fn resource_rule_backtest;
/* Puts a shipped rule back; with an empty name all of them. */
resource_fn resource_rule_restore;
/* Body {"rules":[{"name":...},...]}: all of them as one new version. */
resource_fn resource_rule_apply;
resource_fn resource_name_list;
resource_fn resource_transition_list;

resource_fn resource_job_list;
resource_fn resource_import_rejects;
resource_fn resource_job_show;
resource_fn resource_job_cancel;

resource_fn resource_profile_list;
resource_fn resource_profile_search; /* the list, asked for in a body */
resource_fn resource_profile_show;   /* as of an instant, too */
resource_fn resource_profile_explain;
resource_fn resource_profile_lookup;
resource_fn resource_profile_timeline;
resource_fn resource_profile_orders;
resource_fn resource_profile_merges;
resource_fn resource_profile_interests;
/* Body {"merge_id":"..."}: takes the edge away. Needs the registry. */
resource_fn resource_profile_unmerge;

resource_fn resource_notification_list;
resource_fn resource_notification_show;
resource_fn resource_notification_attempts;
resource_fn resource_notification_explain;
/* Sends one again, to all it was sent to or to {"subscription":"..."}. */
resource_fn resource_notification_replay;
resource_fn resource_attempt_list;
resource_fn resource_delivery_list;

resource_fn resource_product_list;
/* One event or a list of them; request->source: in whose name, "api" if empty. */
resource_fn resource_universal_post;
resource_fn resource_universal_list;
resource_fn resource_universal_show;
resource_fn resource_quarantine_list;
resource_fn resource_quarantine_show;
/* Queues a job for one, or with an empty name for those that the body describes. */
resource_fn resource_quarantine_replay;
/* Queues a job for the source's raw webhooks. */
resource_fn resource_source_replay;

/* These two need no database. */
resource_fn resource_topic_list;
resource_fn resource_platform_list;

#endif
