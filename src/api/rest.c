#include "base/clock.h"
#include "base/codec.h"
#include "base/limits.h"
#include "rest_idempotency_priv.h"
#include "rest_priv.h"

/*
 * The thin layer between HTTP and the resources.
 *
 * Every handler is one line: which function, and what its query may hold. So
 * paging, validation, ETags, Location and idempotency are done in one place
 * and cannot differ from route to route. A read that met a connection which
 * had died while idle is run once more; a write is not (it may have happened).
 */

/* Verification waits 30 s at most for the endpoint, and a little for us. */
#define REST_CALL_OUT_MS 35000

static const struct {
    const char *name;
    unsigned flags; /* allowed where one of these is set */
} PARAMETERS[] = {
    { "page_size", REST_PAGE },
    { "page_token", REST_PAGE },
    { "fields", REST_PAGE },
    { "include", REST_TOTAL },
    { "order_by", REST_PROFILES },
    { "lifecycle", REST_PROFILES },
    { "identified", REST_PROFILES },
    { "updated_since", REST_PROFILES },
    { "source", REST_SOURCE | REST_PRODUCTS | REST_UNIVERSAL | REST_INTERESTS },
    { "product_id", REST_PRODUCTS | REST_UNIVERSAL | REST_INTERESTS },
    { "type", REST_UNIVERSAL },
    { "sku", REST_PRODUCTS },
    { "topic", REST_TOPIC },
    { "profile", REST_PROFILE },
    { "subscription", REST_SUBSCRIPTION },
    { "rule", REST_TRANSITIONS | REST_EXPLAIN },
    { "as_of", REST_AS_OF | REST_EXPLAIN },
    { "kind", REST_TRANSITIONS | REST_JOBS },
    { "filter", REST_PROFILES | REST_VALUE },
    { "cause", REST_TRANSITIONS },
    { "from", REST_TRANSITIONS | REST_RANGE },
    { "to", REST_TRANSITIONS | REST_RANGE },
    { "value", REST_VALUE },
    { "status", REST_JOBS | REST_STATUS },
    { "outcome", REST_OUTCOME },
    { "context", REST_CONTEXT },
    { "way", REST_WAY },
    { "validate_only", REST_WRITE },
};

static void reply_parameter(struct http_exchange *x, const char *name, const char *detail)
{
    struct problem problem;
    (void)problem_set(&problem, STATUS_INVALID, "invalid-field", "%s", detail);
    problem_point(&problem, "#/query/%s", name);
    http_reply_problem(x, &problem);
}

static bool refuse_unknown(struct http_exchange *x, unsigned flags)
{
    const char *known[ARRAY_COUNT(PARAMETERS)];
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_COUNT(PARAMETERS); i++) {
        if ((PARAMETERS[i].flags & flags) != 0) {
            known[count++] = PARAMETERS[i].name;
        }
    }
    struct str unknown = http_query_unknown(x, known, count);
    if (unknown.size == 0) {
        return true;
    }
    struct problem problem;
    (void)problem_set(&problem, STATUS_INVALID, "unknown-field", "no parameter is called so");
    problem_suggest(&problem, str_nearest(unknown, known, count));
    problem_point(&problem, "#/query/%.*s", STR_ARG(str_take_text(unknown, 60)));
    http_reply_problem(x, &problem);
    return false;
}

static bool read_bool(struct http_exchange *x, const char *name, bool *out_value)
{
    struct str text = http_query(x, name);
    if (text.size > 0 && !str_equal(text, STR("true")) && !str_equal(text, STR("false"))) {
        reply_parameter(x, name, "true or false is expected");
        return false;
    }
    *out_value = str_equal(text, STR("true"));
    return true;
}

static bool read_page(struct http_exchange *x, struct resource_request *request)
{
    struct str size = http_query(x, "page_size");
    uint64_t number = LIMIT_PAGE_DEFAULT;
    if (size.size > 0 && (!str_to_u64(size, &number) || number == 0)) {
        reply_parameter(x, "page_size", "page_size is a number from 1 on");
        return false;
    }
    request->page_size = number > LIMIT_PAGE_MAX ? LIMIT_PAGE_MAX : (size_t)number;
    request->page_token = http_query(x, "page_token");
    struct str include = http_query(x, "include");
    request->want_total = str_equal(include, STR("total"));
    if (include.size > 0 && !request->want_total) {
        reply_parameter(x, "include", "include is \"total\"");
        return false;
    }
    return true;
}

/* The object is {name} or, of what has no name, {id}; behind a name, {id} is a
 * part of it. A tracking plan is of a {source}, for an {event_type}. */
static void read_path(struct http_exchange *x, struct resource_request *request)
{
    struct str name = http_path_param(x, "name");
    struct str id = http_path_param(x, "id");
    name = name.size > 0 ? name : http_path_param(x, "source");
    id = id.size > 0 ? id : http_path_param(x, "event_type");
    request->name = name.size > 0 ? name : id;
    request->part = name.size > 0 ? id : (struct str){ NULL, 0 };
}

static bool read_request(struct http_exchange *x, const struct api *api, unsigned flags,
                         struct resource_request *request)
{
    *request = (struct resource_request){
        .api = api,
        .pg = (flags & REST_INLINE) != 0 ? NULL : http_worker_context(x),
        .arena = http_arena(x),
        .principal = http_principal(x),
        .body = http_body(x),
        .if_match = http_header(x, "if-match"),
        .order_by = http_query(x, "order_by"),
        .lifecycle = http_query(x, "lifecycle"),
        .identified = http_query(x, "identified"),
        .updated_since = http_query(x, "updated_since"),
        .source = http_query(x, "source"),
        .product_id = http_query(x, "product_id"),
        .sku = http_query(x, "sku"),
        .topic = http_query(x, "topic"),
        .type = http_query(x, "type"),
        .profile = http_query(x, "profile"),
        .subscription = http_query(x, "subscription"),
        .rule = http_query(x, "rule"),
        .kind = http_query(x, "kind"),
        .cause = http_query(x, "cause"),
        .value = http_query(x, "value"),
        .from = http_query(x, "from"),
        .to = http_query(x, "to"),
        .state = http_query(x, "status"),
        .outcome = http_query(x, "outcome"),
        .context = http_query(x, "context"),
        .way = http_query(x, "way"),
        .as_of = http_query(x, "as_of"),
        .filter = http_query(x, "filter"),
        .fields = http_query(x, "fields"),
        .now_ms = clock_now_ms(),
    };
    read_path(x, request);
    return refuse_unknown(x, flags) && read_bool(x, "validate_only", &request->validate_only) &&
           read_page(x, request);
}

static void reply_answer(struct http_exchange *x, const struct resource_answer *answer)
{
    switch (answer->effect) {
    case RESOURCE_DELETED:
        http_reply(x, 204, NULL, STR(""));
        return;
    case RESOURCE_CREATED:
        http_reply_json(x, 201, answer->json);
        break;
    case RESOURCE_ACCEPTED:
        http_reply_json(x, 202, answer->json);
        break;
    case RESOURCE_SHOWN:
    case RESOURCE_CHANGED:
        http_reply_json(x, 200, answer->json);
        break;
    }
    if (answer->location.size > 0) {
        http_reply_header(x, "Location", answer->location);
    }
    if (answer->version > 0) {
        http_reply_header(x, "ETag",
                          str_printf(http_arena(x), "\"%lld\"", (long long)answer->version));
    }
}

static bool is_read(unsigned flags)
{
    return (flags & (REST_WRITE | REST_CALLS_OUT | REST_CREATE)) == 0;
}

enum http_outcome rest_run(struct http_exchange *x, void *app, resource_fn *resource,
                           unsigned flags)
{
    struct resource_request request;
    if ((flags & REST_CREATE) != 0) {
        flags |= REST_WRITE;
    }
    if (!read_request(x, app, flags, &request)) {
        return HTTP_DONE;
    }
    if ((flags & REST_CALLS_OUT) != 0) {
        http_set_answer_deadline(x, REST_CALL_OUT_MS);
    }
    struct rest_idempotency once = { .active = false };
    if ((flags & REST_CREATE) != 0 && !request.validate_only &&
        !rest_idempotency_begin(x, &request, &once)) {
        return HTTP_DONE;
    }
    struct resource_answer answer = { .version = 0 };
    struct problem problem = { .type = "" };
    enum status status = resource(&request, &answer, &problem);
    if (status == STATUS_RETRY && is_read(flags)) {
        problem = (struct problem){ .type = "" };
        status = resource(&request, &answer, &problem);
    }
    if (status == STATUS_OK) {
        reply_answer(x, &answer);
    } else if (answer.errors_json.size > 0) {
        http_reply_problem_with(x, &problem, answer.errors_json);
    } else {
        http_reply_status(x, status, &problem);
    }
    rest_idempotency_end(&request, &once, status, &answer);
    return HTTP_DONE;
}
