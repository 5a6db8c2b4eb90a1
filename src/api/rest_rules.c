#include "handlers_priv.h"
#include "rest_priv.h"

/*
 * Routes of rules and triggers, of what came of them, and of the jobs that bring it about.
 */

enum http_outcome handle_rule_create(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_rule_create, REST_CREATE);
}

enum http_outcome handle_rule_list(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_rule_list, REST_PAGE | REST_TOTAL);
}

enum http_outcome handle_rule_show(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_rule_show, 0);
}

enum http_outcome handle_rule_put(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_rule_put, REST_WRITE);
}

enum http_outcome handle_rule_delete(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_rule_delete, REST_WRITE);
}

enum http_outcome handle_rule_members(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_rule_members, REST_PAGE | REST_TOTAL | REST_VALUE);
}

enum http_outcome handle_rule_preview(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_rule_preview, 0);
}

enum http_outcome handle_rule_backtest(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_rule_backtest, REST_CREATE);
}

enum http_outcome handle_rule_restore(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_rule_restore, REST_WRITE);
}

enum http_outcome handle_trigger_list(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_trigger_list, REST_PAGE | REST_TOTAL);
}

enum http_outcome handle_trigger_show(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_trigger_show, 0);
}

enum http_outcome handle_trigger_put(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_trigger_put, REST_WRITE);
}

enum http_outcome handle_trigger_delete(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_trigger_delete, REST_WRITE);
}

enum http_outcome handle_trigger_pause(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_trigger_pause, REST_WRITE);
}

enum http_outcome handle_trigger_resume(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_trigger_resume, REST_WRITE);
}

enum http_outcome handle_trigger_outcomes(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_trigger_outcomes, REST_RANGE);
}

enum http_outcome handle_name_list(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_name_list, REST_CONTEXT);
}

enum http_outcome handle_transition_list(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_transition_list, REST_PAGE | REST_TRANSITIONS);
}

enum http_outcome handle_job_list(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_job_list, REST_PAGE | REST_JOBS);
}

enum http_outcome handle_job_show(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_job_show, 0);
}

enum http_outcome handle_job_cancel(struct http_exchange *x, void *app)
{
    return rest_run(x, app, resource_job_cancel, REST_WRITE);
}
