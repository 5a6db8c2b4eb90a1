#include "handlers_priv.h"
#include "rest_priv.h"

/*
 * Routes of what people read. Topics and platforms are the program's own
 * knowledge, so they are answered where they are asked, without a database.
 */

enum http_outcome handle_profile_list(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_profile_list, REST_PAGE | REST_TOTAL | REST_PROFILES);
}

enum http_outcome handle_profile_search(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_profile_search, 0);
}

enum http_outcome handle_profile_show(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_profile_show, REST_AS_OF);
}

enum http_outcome handle_profile_explain(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_profile_explain, REST_EXPLAIN);
}

enum http_outcome handle_profile_lookup(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_profile_lookup, 0);
}

enum http_outcome handle_profile_timeline(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_profile_timeline, REST_PAGE);
}

enum http_outcome handle_profile_orders(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_profile_orders, REST_PAGE);
}

enum http_outcome handle_profile_interests(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_profile_interests, REST_PAGE | REST_INTERESTS);
}

enum http_outcome handle_profile_merges(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_profile_merges, REST_PAGE);
}

enum http_outcome handle_profile_unmerge(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_profile_unmerge, 0);
}

enum http_outcome handle_notification_list(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_notification_list,
                    REST_PAGE | REST_PROFILE | REST_TOPIC | REST_SUBSCRIPTION | REST_RANGE);
}

enum http_outcome handle_notification_show(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_notification_show, 0);
}

enum http_outcome handle_notification_attempts(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_notification_attempts, REST_PAGE);
}

enum http_outcome handle_attempt_list(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_attempt_list,
                    REST_PAGE | REST_PROFILE | REST_TOPIC | REST_SUBSCRIPTION | REST_RANGE |
                        REST_OUTCOME);
}

enum http_outcome handle_delivery_list(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_delivery_list,
                    REST_PAGE | REST_TOTAL | REST_PROFILE | REST_TOPIC | REST_SUBSCRIPTION |
                        REST_RANGE | REST_STATUS);
}

enum http_outcome handle_notification_explain(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_notification_explain, 0);
}

enum http_outcome handle_notification_replay(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_notification_replay, REST_WRITE);
}

enum http_outcome handle_product_list(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_product_list, REST_PAGE | REST_TOTAL | REST_PRODUCTS);
}

enum http_outcome handle_universal_post(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_universal_post, REST_CREATE | REST_SOURCE);
}

enum http_outcome handle_universal_list(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_universal_list, REST_PAGE | REST_RANGE | REST_UNIVERSAL);
}

enum http_outcome handle_universal_show(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_universal_show, 0);
}

enum http_outcome handle_quarantine_list(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_quarantine_list, REST_PAGE | REST_SOURCE);
}

enum http_outcome handle_quarantine_show(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_quarantine_show, 0);
}

enum http_outcome handle_quarantine_replay(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_quarantine_replay, REST_CREATE);
}

enum http_outcome handle_source_replay(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_source_replay, REST_CREATE);
}

enum http_outcome handle_topic_list(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_topic_list, 0);
}

enum http_outcome handle_platform_list(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_platform_list, REST_INLINE);
}
