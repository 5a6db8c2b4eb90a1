#include "handlers_priv.h"
#include "rest_priv.h"

/*
 * Routes of what people configure: which resource function, and what its query
 * may hold. The rest is rest_run's.
 */

enum http_outcome handle_workspace_create(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_workspace_create, REST_CREATE);
}

enum http_outcome handle_workspace_list(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_workspace_list, REST_PAGE | REST_TOTAL);
}

enum http_outcome handle_workspace_show(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_workspace_show, 0);
}

enum http_outcome handle_workspace_update(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_workspace_update, REST_WRITE);
}

enum http_outcome handle_source_create(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_source_create, REST_CREATE);
}

enum http_outcome handle_source_list(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_source_list, REST_PAGE | REST_TOTAL);
}

enum http_outcome handle_source_show(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_source_show, 0);
}

enum http_outcome handle_source_update(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_source_update, REST_WRITE);
}

enum http_outcome handle_source_delete(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_source_delete, REST_WRITE);
}

enum http_outcome handle_source_deliveries(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_source_deliveries, REST_PAGE);
}

enum http_outcome handle_source_snippet(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_source_snippet, REST_WAY);
}

enum http_outcome handle_source_secret_add(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_source_secret_add, REST_CREATE);
}

enum http_outcome handle_source_secret_list(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_source_secret_list, 0);
}

enum http_outcome handle_source_secret_update(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_source_secret_update, REST_WRITE);
}

enum http_outcome handle_source_secret_delete(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_source_secret_delete, REST_WRITE);
}

enum http_outcome handle_source_verify(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_source_verify, 0);
}

enum http_outcome handle_schema_list(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_schema_list, 0);
}

enum http_outcome handle_schema_show(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_schema_show, 0);
}

enum http_outcome handle_schema_put(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_schema_put, REST_WRITE);
}

enum http_outcome handle_schema_delete(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_schema_delete, REST_WRITE);
}

enum http_outcome handle_key_create(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_key_create, REST_CREATE);
}

enum http_outcome handle_key_list(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_key_list, REST_PAGE | REST_TOTAL);
}

enum http_outcome handle_key_show(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_key_show, 0);
}

enum http_outcome handle_key_revoke(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_key_revoke, REST_WRITE);
}

enum http_outcome handle_subscription_create(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_subscription_create, REST_CREATE);
}

enum http_outcome handle_subscription_list(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_subscription_list, REST_PAGE | REST_TOTAL);
}

enum http_outcome handle_subscription_show(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_subscription_show, 0);
}

enum http_outcome handle_subscription_update(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_subscription_update, REST_WRITE);
}

enum http_outcome handle_subscription_delete(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_subscription_delete, REST_WRITE);
}

enum http_outcome handle_subscription_verify(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_subscription_verify, REST_CALLS_OUT);
}

enum http_outcome handle_subscription_test(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_subscription_test, REST_CALLS_OUT);
}

enum http_outcome handle_subscription_pause(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_subscription_pause, REST_WRITE);
}

enum http_outcome handle_subscription_resume(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_subscription_resume, REST_WRITE);
}

enum http_outcome handle_subscription_public_keys(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_subscription_public_keys, 0);
}

enum http_outcome handle_subscription_rotate_secret(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_subscription_rotate_secret, REST_WRITE);
}

enum http_outcome handle_subscription_stats(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_subscription_stats, 0);
}

enum http_outcome handle_subscription_replay(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_subscription_replay, REST_CREATE);
}

enum http_outcome handle_workspace_hold(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_workspace_hold, REST_WRITE);
}

/* Dropping what grew old may take as long as a call out. */
enum http_outcome handle_workspace_release(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_workspace_release, REST_WRITE | REST_CALLS_OUT);
}
