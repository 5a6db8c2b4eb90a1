#include "api/api.h"
#include "api/embedded.h"
#include "base/buf.h"
#include "handlers_priv.h"
#include "http/exchange.h"

/*
 * What is not JSON about a resource: health, metrics, the description of the
 * interface and its pages.
 *
 * healthz says that the process lives and asks nobody; readyz says whether to
 * send it work. The public one says no more than that: the reasons are the
 * operator's, on the admin listener.
 */

#define METRICS_BYTES_MAX (4u * 1024 * 1024)

enum http_outcome handle_healthz(struct http_exchange *x, void *app)
{
    (void)app;
    http_reply_json(x, 200, STR("{\"status\":\"ok\"}"));
    return HTTP_DONE;
}

enum http_outcome handle_readyz(struct http_exchange *x, void *app)
{
    const struct api *api = app;
    struct buf checks;
    buf_init(&checks, http_arena(x), METRICS_BYTES_MAX);
    bool is_ready = api->readiness != NULL && api->readiness(api->app, &checks);
    http_reply_json(x, is_ready ? 200 : 503,
                    is_ready ? STR("{\"status\":\"ready\"}") : STR("{\"status\":\"not_ready\"}"));
    return HTTP_DONE;
}

enum http_outcome handle_readyz_detail(struct http_exchange *x, void *app)
{
    const struct api *api = app;
    struct buf checks;
    buf_init(&checks, http_arena(x), METRICS_BYTES_MAX);
    bool is_ready = api->readiness != NULL && api->readiness(api->app, &checks);
    struct str text = buf_str(&checks);
    http_reply_json(x, is_ready ? 200 : 503, text.size > 0 ? text : STR("{}"));
    return HTTP_DONE;
}

enum http_outcome handle_metrics(struct http_exchange *x, void *app)
{
    const struct api *api = app;
    struct buf text;
    buf_init(&text, http_arena(x), METRICS_BYTES_MAX);
    if (api->write_metrics != NULL) {
        api->write_metrics(api->app, &text);
    }
    if (text.failed) {
        http_reply_status(x, STATUS_LIMIT, NULL);
        return HTTP_DONE;
    }
    http_reply(x, 200, "text/plain; version=0.0.4; charset=utf-8", buf_str(&text));
    return HTTP_DONE;
}

enum http_outcome handle_openapi(struct http_exchange *x, void *app)
{
    (void)app;
    http_reply(x, 200, "application/yaml; charset=utf-8",
               (struct str){ (const char *)embedded_openapi, embedded_openapi_size });
    return HTTP_DONE;
}

enum http_outcome handle_docs(struct http_exchange *x, void *app)
{
    (void)app;
    http_reply(x, 200, "text/html; charset=utf-8",
               (struct str){ (const char *)embedded_docs, embedded_docs_size });
    return HTTP_DONE;
}
