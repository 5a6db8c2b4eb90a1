#include "api/api.h"
#include "base/limits.h"
#include "handlers_priv.h"

/*
 * Every route, with who may take it. tests/lint/test_openapi_routes.py reads this
 * table and compares it with openapi/shopbell.yaml, so a route is one line:
 * method, pattern, handler, scopes, flags, limit of the body.
 *
 * A scope set is "one of these"; 0 is open to all, and then the handler
 * verifies (hooks) or has nothing to hide. What a key sees beyond that (its own
 * subscriptions, masked persons) is the resource's business.
 */

#define ANY_KEY                                                                                  \
    (SCOPE_INGEST | SCOPE_READ | SCOPE_PII | SCOPE_CONFIGURE | SCOPE_SUBSCRIBE | SCOPE_PRIVACY | \
     SCOPE_ADMIN | SCOPE_INSTANCE)
#define WORKSPACE_KEY (ANY_KEY & ~(uint32_t)SCOPE_INSTANCE)
#define SEE_SETUP (SCOPE_CONFIGURE | SCOPE_READ)
#define BRAKE (SCOPE_INSTANCE | SCOPE_ADMIN | SCOPE_CONFIGURE)
#define SUBSCRIBER (SCOPE_SUBSCRIBE | SCOPE_ADMIN)
#define SEE_ATTEMPTS (SCOPE_READ | SCOPE_SUBSCRIBE | SCOPE_ADMIN)
/* The body of `source verify` is a hook's body in base64. */
#define VERIFY_BODY_BYTES (2u * LIMIT_HOOK_BODY_BYTES)

/* Text or JSON from pages of other origins, under a key of its own. */
#define FROM_PAGES (HTTP_ANY_BODY | HTTP_BODY_NEEDED | HTTP_PAGES)

/* clang-format off */
const struct http_route api_routes[] = {
    { HTTP_POST, "/v1/hooks/{source_id}", handle_hook, 0, HTTP_ANY_BODY, LIMIT_HOOK_BODY_BYTES },
    { HTTP_POST, "/v1/hooks/{source_id}/{token}", handle_hook, 0, HTTP_ANY_BODY | HTTP_RAW_TOKEN, LIMIT_HOOK_BODY_BYTES },
    { HTTP_GET, "/v1/hooks/{source_id}", handle_hook, 0, 0, 0 },
    { HTTP_GET, "/v1/hooks/{source_id}/{token}", handle_hook, 0, HTTP_RAW_TOKEN, 0 },
    { HTTP_POST, "/v1/events", handle_events, SCOPE_INGEST, HTTP_ANY_BODY | HTTP_BODY_NEEDED, LIMIT_EVENTS_BODY_BYTES },

    { HTTP_POST, "/v1/track", handle_sdk, 0, FROM_PAGES, LIMIT_SDK_BODY_BYTES },
    { HTTP_POST, "/v1/identify", handle_sdk, 0, FROM_PAGES, LIMIT_SDK_BODY_BYTES },
    { HTTP_POST, "/v1/page", handle_sdk, 0, FROM_PAGES, LIMIT_SDK_BODY_BYTES },
    { HTTP_POST, "/v1/screen", handle_sdk, 0, FROM_PAGES, LIMIT_SDK_BODY_BYTES },
    { HTTP_POST, "/v1/group", handle_sdk, 0, FROM_PAGES, LIMIT_SDK_BODY_BYTES },
    { HTTP_POST, "/v1/alias", handle_sdk, 0, FROM_PAGES, LIMIT_SDK_BODY_BYTES },
    { HTTP_POST, "/v1/batch", handle_sdk, 0, FROM_PAGES, LIMIT_SDK_BODY_BYTES },
    { HTTP_POST, "/v1/t", handle_sdk, 0, FROM_PAGES, LIMIT_SDK_BODY_BYTES },
    { HTTP_POST, "/v1/i", handle_sdk, 0, FROM_PAGES, LIMIT_SDK_BODY_BYTES },
    { HTTP_POST, "/v1/p", handle_sdk, 0, FROM_PAGES, LIMIT_SDK_BODY_BYTES },
    { HTTP_POST, "/v1/s", handle_sdk, 0, FROM_PAGES, LIMIT_SDK_BODY_BYTES },
    { HTTP_POST, "/v1/g", handle_sdk, 0, FROM_PAGES, LIMIT_SDK_BODY_BYTES },
    { HTTP_POST, "/v1/a", handle_sdk, 0, FROM_PAGES, LIMIT_SDK_BODY_BYTES },
    { HTTP_POST, "/v1/b", handle_sdk, 0, FROM_PAGES, LIMIT_SDK_BODY_BYTES },
    { HTTP_POST, "/v1/collect", handle_sdk, 0, FROM_PAGES, LIMIT_SDK_BODY_BYTES },
    { HTTP_GET, "/v1/collect.js", handle_collect_script, 0, HTTP_PAGES, 0 },
    { HTTP_GET, "/v1/projects/{write_key}/settings", handle_sdk_settings, 0, HTTP_RAW_TOKEN | HTTP_PAGES, 0 },

    { HTTP_POST, "/v1/workspaces", handle_workspace_create, SCOPE_INSTANCE, HTTP_WORKER | HTTP_BODY_NEEDED, 0 },
    { HTTP_GET, "/v1/workspaces", handle_workspace_list, SCOPE_INSTANCE, HTTP_WORKER, 0 },
    { HTTP_GET, "/v1/workspaces/{name}", handle_workspace_show, ANY_KEY, HTTP_WORKER, 0 },
    { HTTP_PATCH, "/v1/workspaces/{name}", handle_workspace_update, SCOPE_INSTANCE | SCOPE_CONFIGURE, HTTP_WORKER, 0 },
    { HTTP_POST, "/v1/workspaces/{name}/hold", handle_workspace_hold, BRAKE, HTTP_WORKER, 0 },
    { HTTP_POST, "/v1/workspaces/{name}/release", handle_workspace_release, BRAKE, HTTP_WORKER, 0 },

    { HTTP_POST, "/v1/sources", handle_source_create, SCOPE_CONFIGURE, HTTP_WORKER | HTTP_BODY_NEEDED, 0 },
    { HTTP_GET, "/v1/sources", handle_source_list, SEE_SETUP, HTTP_WORKER, 0 },
    { HTTP_GET, "/v1/sources/{name}", handle_source_show, SEE_SETUP, HTTP_WORKER, 0 },
    { HTTP_PATCH, "/v1/sources/{name}", handle_source_update, SCOPE_CONFIGURE, HTTP_WORKER, 0 },
    { HTTP_DELETE, "/v1/sources/{name}", handle_source_delete, SCOPE_CONFIGURE, HTTP_WORKER, 0 },
    { HTTP_GET, "/v1/sources/{name}/deliveries", handle_source_deliveries, SEE_SETUP, HTTP_WORKER, 0 },
    { HTTP_GET, "/v1/sources/{name}/snippet", handle_source_snippet, SEE_SETUP, HTTP_WORKER, 0 },
    { HTTP_POST, "/v1/sources/{name}/verify", handle_source_verify, SCOPE_CONFIGURE, HTTP_WORKER | HTTP_BODY_NEEDED, VERIFY_BODY_BYTES },
    { HTTP_POST, "/v1/sources/{name}/secrets", handle_source_secret_add, SCOPE_CONFIGURE, HTTP_WORKER, 0 },
    { HTTP_GET, "/v1/sources/{name}/secrets", handle_source_secret_list, SCOPE_CONFIGURE, HTTP_WORKER, 0 },
    { HTTP_PATCH, "/v1/sources/{name}/secrets/{id}", handle_source_secret_update, SCOPE_CONFIGURE, HTTP_WORKER | HTTP_BODY_NEEDED, 0 },
    { HTTP_DELETE, "/v1/sources/{name}/secrets/{id}", handle_source_secret_delete, SCOPE_CONFIGURE, HTTP_WORKER, 0 },

    { HTTP_GET, "/v1/schemas", handle_schema_list, SEE_SETUP, HTTP_WORKER, 0 },
    { HTTP_GET, "/v1/schemas/{source}/{event_type}", handle_schema_show, SEE_SETUP, HTTP_WORKER, 0 },
    { HTTP_PUT, "/v1/schemas/{source}/{event_type}", handle_schema_put, SCOPE_CONFIGURE, HTTP_WORKER | HTTP_BODY_NEEDED, 0 },
    { HTTP_DELETE, "/v1/schemas/{source}/{event_type}", handle_schema_delete, SCOPE_CONFIGURE, HTTP_WORKER, 0 },

    { HTTP_POST, "/v1/keys", handle_key_create, SCOPE_ADMIN, HTTP_WORKER | HTTP_BODY_NEEDED, 0 },
    { HTTP_GET, "/v1/keys", handle_key_list, SCOPE_ADMIN, HTTP_WORKER, 0 },
    { HTTP_GET, "/v1/keys/{id}", handle_key_show, SCOPE_ADMIN, HTTP_WORKER, 0 },
    { HTTP_DELETE, "/v1/keys/{id}", handle_key_revoke, SCOPE_ADMIN, HTTP_WORKER, 0 },

    { HTTP_POST, "/v1/subscriptions", handle_subscription_create, SUBSCRIBER, HTTP_WORKER | HTTP_BODY_NEEDED, 0 },
    { HTTP_GET, "/v1/subscriptions", handle_subscription_list, SUBSCRIBER, HTTP_WORKER, 0 },
    { HTTP_GET, "/v1/subscriptions/{name}", handle_subscription_show, SUBSCRIBER, HTTP_WORKER, 0 },
    { HTTP_PATCH, "/v1/subscriptions/{name}", handle_subscription_update, SUBSCRIBER, HTTP_WORKER, 0 },
    { HTTP_DELETE, "/v1/subscriptions/{name}", handle_subscription_delete, SUBSCRIBER, HTTP_WORKER, 0 },
    { HTTP_POST, "/v1/subscriptions/{name}/verify", handle_subscription_verify, SUBSCRIBER, HTTP_WORKER, 0 },
    { HTTP_POST, "/v1/subscriptions/{name}/test", handle_subscription_test, SUBSCRIBER, HTTP_WORKER, 0 },
    { HTTP_POST, "/v1/subscriptions/{name}/pause", handle_subscription_pause, SUBSCRIBER, HTTP_WORKER, 0 },
    { HTTP_POST, "/v1/subscriptions/{name}/resume", handle_subscription_resume, SUBSCRIBER, HTTP_WORKER, 0 },
    { HTTP_GET, "/v1/subscriptions/{name}/public-keys", handle_subscription_public_keys, SUBSCRIBER, HTTP_WORKER, 0 },
    { HTTP_GET, "/v1/subscriptions/{name}/stats", handle_subscription_stats, SUBSCRIBER, HTTP_WORKER, 0 },
    { HTTP_POST, "/v1/subscriptions/{name}/replay", handle_subscription_replay, SUBSCRIBER, HTTP_WORKER | HTTP_BODY_NEEDED, 0 },
    { HTTP_POST, "/v1/subscriptions/{name}/rotate-secret", handle_subscription_rotate_secret, SUBSCRIBER, HTTP_WORKER, 0 },

    { HTTP_POST, "/v1/rules", handle_rule_create, SCOPE_CONFIGURE, HTTP_WORKER | HTTP_BODY_NEEDED, 0 },
    { HTTP_GET, "/v1/rules", handle_rule_list, SEE_SETUP, HTTP_WORKER, 0 },
    { HTTP_POST, "/v1/rules/preview", handle_rule_preview, SEE_SETUP, HTTP_WORKER | HTTP_BODY_NEEDED, 0 },
    { HTTP_POST, "/v1/rules/backtest", handle_rule_backtest, SCOPE_CONFIGURE, HTTP_WORKER | HTTP_BODY_NEEDED, 0 },
    { HTTP_GET, "/v1/rules/{name}", handle_rule_show, SEE_SETUP, HTTP_WORKER, 0 },
    { HTTP_PUT, "/v1/rules/{name}", handle_rule_put, SCOPE_CONFIGURE, HTTP_WORKER | HTTP_BODY_NEEDED, 0 },
    { HTTP_DELETE, "/v1/rules/{name}", handle_rule_delete, SCOPE_CONFIGURE, HTTP_WORKER, 0 },
    { HTTP_GET, "/v1/rules/{name}/members", handle_rule_members, SCOPE_READ, HTTP_WORKER, 0 },
    { HTTP_POST, "/v1/rules/{name}/restore", handle_rule_restore, SCOPE_CONFIGURE, HTTP_WORKER, 0 },

    { HTTP_GET, "/v1/triggers", handle_trigger_list, SEE_SETUP, HTTP_WORKER, 0 },
    { HTTP_GET, "/v1/triggers/{name}", handle_trigger_show, SEE_SETUP, HTTP_WORKER, 0 },
    { HTTP_PUT, "/v1/triggers/{name}", handle_trigger_put, SCOPE_CONFIGURE, HTTP_WORKER | HTTP_BODY_NEEDED, 0 },
    { HTTP_DELETE, "/v1/triggers/{name}", handle_trigger_delete, SCOPE_CONFIGURE, HTTP_WORKER, 0 },
    { HTTP_POST, "/v1/triggers/{name}/pause", handle_trigger_pause, SCOPE_CONFIGURE, HTTP_WORKER, 0 },
    { HTTP_POST, "/v1/triggers/{name}/resume", handle_trigger_resume, SCOPE_CONFIGURE, HTTP_WORKER, 0 },
    { HTTP_GET, "/v1/triggers/{name}/outcomes", handle_trigger_outcomes, SEE_SETUP, HTTP_WORKER, 0 },

    { HTTP_GET, "/v1/names", handle_name_list, SEE_SETUP | SCOPE_SUBSCRIBE, HTTP_WORKER, 0 },
    { HTTP_GET, "/v1/transitions", handle_transition_list, SCOPE_READ, HTTP_WORKER, 0 },

    { HTTP_POST, "/v1/imports", handle_import_create, SCOPE_CONFIGURE, HTTP_WORKER | HTTP_ANY_BODY | HTTP_BODY_NEEDED, LIMIT_EVENTS_BODY_BYTES },
    { HTTP_GET, "/v1/jobs/{id}/rejects", handle_import_rejects, SEE_SETUP, HTTP_WORKER, 0 },
    { HTTP_GET, "/v1/jobs", handle_job_list, SEE_SETUP, HTTP_WORKER, 0 },
    { HTTP_GET, "/v1/jobs/{id}", handle_job_show, SEE_SETUP, HTTP_WORKER, 0 },
    { HTTP_POST, "/v1/jobs/{id}/cancel", handle_job_cancel, SCOPE_CONFIGURE, HTTP_WORKER, 0 },

    { HTTP_GET, "/v1/profiles", handle_profile_list, SCOPE_READ, HTTP_WORKER, 0 },
    { HTTP_POST, "/v1/profiles/search", handle_profile_search, SCOPE_READ, HTTP_WORKER, 0 },
    { HTTP_POST, "/v1/profiles/lookup", handle_profile_lookup, SCOPE_READ, HTTP_WORKER | HTTP_BODY_NEEDED, 0 },
    { HTTP_GET, "/v1/profiles/{id}", handle_profile_show, SCOPE_READ, HTTP_WORKER, 0 },
    { HTTP_GET, "/v1/profiles/{id}/explain", handle_profile_explain, SCOPE_READ, HTTP_WORKER, 0 },
    { HTTP_GET, "/v1/profiles/{id}/timeline", handle_profile_timeline, SCOPE_READ, HTTP_WORKER, 0 },
    { HTTP_GET, "/v1/profiles/{id}/orders", handle_profile_orders, SCOPE_READ, HTTP_WORKER, 0 },
    { HTTP_GET, "/v1/profiles/{id}/interests", handle_profile_interests, SCOPE_READ, HTTP_WORKER, 0 },
    { HTTP_GET, "/v1/profiles/{id}/merges", handle_profile_merges, SCOPE_READ, HTTP_WORKER, 0 },
    { HTTP_POST, "/v1/profiles/{id}/unmerge", handle_profile_unmerge, SCOPE_CONFIGURE, HTTP_WORKER | HTTP_BODY_NEEDED, 0 },

    { HTTP_GET, "/v1/notifications", handle_notification_list, SCOPE_READ | SCOPE_ADMIN, HTTP_WORKER, 0 },
    { HTTP_GET, "/v1/notifications/{id}", handle_notification_show, SCOPE_READ | SCOPE_ADMIN, HTTP_WORKER, 0 },
    { HTTP_GET, "/v1/notifications/{id}/attempts", handle_notification_attempts, SEE_ATTEMPTS, HTTP_WORKER, 0 },
    { HTTP_GET, "/v1/notifications/{id}/explain", handle_notification_explain, SCOPE_READ, HTTP_WORKER, 0 },
    { HTTP_POST, "/v1/notifications/{id}/replay", handle_notification_replay, SUBSCRIBER, HTTP_WORKER, 0 },
    { HTTP_GET, "/v1/deliveries", handle_delivery_list, SEE_ATTEMPTS, HTTP_WORKER, 0 },
    { HTTP_GET, "/v1/attempts", handle_attempt_list, SEE_ATTEMPTS, HTTP_WORKER, 0 },

    { HTTP_GET, "/v1/products", handle_product_list, SCOPE_READ | SCOPE_INGEST, HTTP_WORKER, 0 },
    { HTTP_POST, "/v1/products/bulk", handle_product_bulk, SCOPE_INGEST, HTTP_ANY_BODY | HTTP_BODY_NEEDED, LIMIT_EVENTS_BODY_BYTES },
    { HTTP_PUT, "/v1/sources/{name}/products/{product_id}", handle_product_put, SCOPE_INGEST, HTTP_BODY_NEEDED, 0 },

    { HTTP_POST, "/v1/universal-events", handle_universal_post, SCOPE_INGEST, HTTP_WORKER | HTTP_BODY_NEEDED, 0 },
    { HTTP_GET, "/v1/universal-events", handle_universal_list, SCOPE_READ | SCOPE_INGEST, HTTP_WORKER, 0 },
    { HTTP_GET, "/v1/universal-events/{id}", handle_universal_show, SCOPE_READ | SCOPE_INGEST, HTTP_WORKER, 0 },

    { HTTP_GET, "/v1/quarantine", handle_quarantine_list, SEE_SETUP, HTTP_WORKER, 0 },
    { HTTP_GET, "/v1/quarantine/{id}", handle_quarantine_show, SEE_SETUP, HTTP_WORKER, 0 },
    { HTTP_POST, "/v1/sources/{name}/replay", handle_source_replay, SCOPE_CONFIGURE, HTTP_WORKER, 0 },
    { HTTP_POST, "/v1/quarantine/replay", handle_quarantine_replay, SCOPE_CONFIGURE, HTTP_WORKER, 0 },
    { HTTP_POST, "/v1/quarantine/{id}/replay", handle_quarantine_replay, SCOPE_CONFIGURE, HTTP_WORKER, 0 },

    { HTTP_GET, "/v1/topics", handle_topic_list, WORKSPACE_KEY, HTTP_WORKER, 0 },
    { HTTP_GET, "/v1/platforms", handle_platform_list, ANY_KEY, 0, 0 },

    { HTTP_GET, "/healthz", handle_healthz, 0, HTTP_BOTH, 0 },
    { HTTP_GET, "/readyz", handle_readyz, 0, HTTP_BOTH, 0 },
    { HTTP_GET, "/readyz/detail", handle_readyz_detail, 0, HTTP_ADMIN, 0 },
    { HTTP_GET, "/metrics", handle_metrics, 0, HTTP_ADMIN, 0 },
    { HTTP_GET, "/openapi.yaml", handle_openapi, 0, 0, 0 },
    { HTTP_GET, "/docs", handle_docs, 0, 0, 0 },
};
/* clang-format on */

const size_t api_route_count = ARRAY_COUNT(api_routes);
