#include "api/embedded.h"
#include "handlers_priv.h"
#include "source_priv.h"
#include "sources/write_key.h"

/*
 * What a shop pastes into its pages, and the script that it loads from there.
 *
 * The script is the same for everybody, so that browsers and proxies may keep it;
 * what differs from source to source stands in the tag that loads it. A Shopify
 * custom pixel cannot load anything, so it is handed out whole.
 */

#define SNIPPET_BYTES_MAX (64u * 1024)

enum http_outcome handle_collect_script(struct http_exchange *x, void *app)
{
    (void)app;
    http_reply(x, 200, "text/javascript; charset=utf-8",
               (struct str){ (const char *)embedded_collect, embedded_collect_size });
    http_reply_header(x, "Cache-Control", STR("public, max-age=3600"));
    return HTTP_DONE;
}

/* "%KEY%" and "%URL%" are the only percent signs of a template. */
static void fill(struct buf *buf, struct str template, struct str key, struct str url)
{
    struct str head = template;
    struct str rest = template;
    while (str_split(rest, '%', &head, &rest)) {
        buf_add_str(buf, head);
        struct str name = rest;
        if (!str_split(rest, '%', &name, &rest)) {
            break;
        }
        buf_add_str(buf, str_equal(name, STR("KEY")) ? key : url);
    }
    buf_add_str(buf, rest);
}

static bool write_paste(struct buf *buf, const struct resource_request *request, struct str key)
{
    struct str base = str_from_z(request->api->public_url);
    if (str_equal(request->way, STR("shopify_pixel"))) {
        struct str url = str_printf(request->arena, "%.*s/v1/collect", STR_ARG(base));
        fill(buf, (struct str){ (const char *)embedded_pixel, embedded_pixel_size }, key, url);
        return true;
    }
    if (request->way.size == 0 || str_equal(request->way, STR("script"))) {
        fill(buf, STR("<script async src=\"%URL%/v1/collect.js\" data-key=\"%KEY%\"></script>\n"),
             key, base);
        return true;
    }
    return false;
}

enum status resource_source_snippet(const struct resource_request *request,
                                    struct resource_answer *out_answer, struct problem *problem)
{
    struct source_full source;
    char key[WRITE_KEY_SIZE + 1];
    enum status status = source_load(request, &source, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (source.platform->trust != TRUST_PUBLIC) {
        return problem_set(problem, STATUS_INVALID, "invalid-field",
                           "only a source of platform sdk takes events from pages");
    }
    struct buf paste;
    struct buf buf;
    struct jsonw json;
    write_key_format(source.row.id, key);
    buf_init(&paste, request->arena, SNIPPET_BYTES_MAX);
    if (!write_paste(&paste, request, str_from_z(key))) {
        problem_set(problem, STATUS_INVALID, "invalid-field",
                    "the ways are \"script\" and \"shopify_pixel\"");
        problem_point(problem, "#/query/way");
        return STATUS_INVALID;
    }
    buf_init(&buf, request->arena, 2 * SNIPPET_BYTES_MAX);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    jsonw_put_str(&json, "way", request->way.size > 0 ? request->way : STR("script"));
    jsonw_put_str(&json, "paste", buf_str(&paste));
    jsonw_close(&json);
    return resource_answer_set(&buf, RESOURCE_SHOWN, source.row.version, out_answer, problem);
}
