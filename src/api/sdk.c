#include "sources/sdk.h"

#include <string.h>

#include "base/buf.h"
#include "base/codec.h"
#include "base/jsonw.h"
#include "base/limits.h"
#include "core/decide.h"
#include "handlers_priv.h"
#include "http/inflate.h"
#include "inbound_priv.h"
#include "ingest_priv.h"
#include "sources/platform.h"
#include "sources/write_key.h"

/*
 * The analytics SDKs' routes: POST /v1/{track,identify,...} and the browser's
 * /v1/{t,i,...}, and the settings that make the browser SDK post here.
 *
 * Whose events these are is said by a write key: as the user of Basic, or, from
 * browsers, within the body. A source's own key (sbw_) is public and makes
 * TRUST_PUBLIC events; an API key with scope ingest (sbk_) is a server's secret
 * and makes the workspace's `api` source speak, TRUST_KEYED. That one is refused
 * from a page, where it would be everybody's.
 *
 * The SDKs repeat whatever is not a 400, for hours, so what will never work is a
 * 400, whatever HTTP would call it; what may work later is 429 or 503 with
 * Retry-After.
 *
 * POST /v1/collect is our own snippet's way in. Its answer names the exposed rules
 * that hold for the page's visitor, and only theirs: see core/expose.c. A request
 * that speaks of several visitors is told nothing.
 *
 * Origins: the browser adds Origin, a page cannot. It does not keep anyone from
 * sending by other means; it keeps a key that was copied into another site's
 * page from filling this shop's profiles with that site's visitors. "null" is
 * let in: Shopify runs custom pixels in a sandboxed frame, which has no other.
 */

enum {
    CREDENTIALS_BYTES_MAX = 256,
    HEADERS_MAX = 6,
    ANSWER_BYTES_MAX = 1024 * 1024,
};

static void refuse(struct http_exchange *x, const char *type, const char *detail)
{
    struct problem problem;
    (void)problem_set(&problem, STATUS_INVALID, type, "%s", detail);
    http_reply_problem(x, &problem);
}

/* --- whose ---------------------------------------------------------------- */

/* The user of Authorization: Basic, in the arena; empty when there is none. */
static struct str basic_user(struct http_exchange *x)
{
    static const struct str scheme = { "Basic ", 6 };
    uint8_t bytes[CREDENTIALS_BYTES_MAX];
    size_t size = 0;
    struct str header = http_header(x, "authorization");
    if (!str_equal_nocase(str_take(header, scheme.size), scheme) ||
        !base64_decode(str_trim(str_drop(header, scheme.size)), bytes, sizeof(bytes), &size)) {
        return (struct str){ NULL, 0 };
    }
    struct str user = { (const char *)bytes, size };
    struct str password = { NULL, 0 };
    (void)str_split(user, ':', &user, &password);
    return str_dup(http_arena(x), user);
}

/* NULL when the key opens nothing. */
static const struct source *source_of_key(struct http_exchange *x, struct api *api,
                                          const struct registry_snapshot *snapshot, struct str key)
{
    struct id id = ID_ZERO;
    if (write_key_parse(key, &id)) {
        const struct source *source = snapshot_source(snapshot, id);
        const struct platform *platform = source != NULL ? platform_find(source->platform) : NULL;
        bool is_page = platform != NULL && platform->trust == TRUST_PUBLIC && !source->deleted;
        return is_page ? source : NULL;
    }
    struct principal principal = { .scopes = 0 };
    if (api_authenticate(api, http_arena(x), key, &principal) != HTTP_AUTH_OK ||
        (principal.scopes & SCOPE_INGEST) == 0) {
        return NULL;
    }
    return ingest_source(snapshot, principal.workspace_id, STR("api"));
}

static bool origin_is_listed(const struct source *source, struct str origin)
{
    for (size_t i = 0; i < source->allowed_origin_count; i++) {
        if (str_equal_nocase(source->allowed_origins[i], origin)) {
            return true;
        }
    }
    return false;
}

static bool is_public(const struct source *source)
{
    const struct platform *platform = platform_find(source->platform);
    return platform != NULL && platform->trust == TRUST_PUBLIC;
}

bool api_allow_origin(void *app, struct str origin)
{
    const struct api *api = app;
    if (str_equal(origin, STR("null"))) {
        return true;
    }
    const struct registry_snapshot *snapshot = registry_hold(api->registry);
    const struct registry_workspace *workspace = NULL;
    bool listed = false;
    for (size_t w = 0; !listed && (workspace = snapshot_workspace_at(snapshot, w)) != NULL; w++) {
        for (size_t i = 0; !listed && i < workspace->source_count; i++) {
            const struct source *source = &workspace->sources[i];
            listed = !source->deleted && origin_is_listed(source, origin);
        }
    }
    registry_release(api->registry, snapshot);
    return listed;
}

/* May this page speak for the source? Then it may read the answer, too. */
static bool origin_is_good(struct http_exchange *x, const struct source *source)
{
    struct str origin = http_header(x, "origin");
    if (http_header_count(x, "origin") == 0) {
        return true; /* a server, or a page of this very host */
    }
    http_reply_header(x, "Vary", STR("Origin"));
    bool is_null = str_equal(origin, STR("null"));
    if (http_header_count(x, "origin") > 1 || !is_public(source) ||
        !(is_null || origin_is_listed(source, origin))) {
        refuse(x, "origin-not-allowed",
               is_public(source) ? "the source does not list this origin"
                                 : "this key is a secret and has no place in a page");
        return false;
    }
    http_reply_header(x, "Access-Control-Allow-Origin", origin);
    http_reply_header(x, "Access-Control-Expose-Headers", STR("Retry-After, X-RateLimit-Reset"));
    return true;
}

/* --- what ----------------------------------------------------------------- */

/* The body as text, inflated where it came compressed; else answered. */
static bool read_body(struct http_exchange *x, struct str *out_body)
{
    struct str coding = http_header(x, "content-encoding");
    struct str body = http_body(x);
    if (coding.size == 0 || str_equal_nocase(coding, STR("identity"))) {
        *out_body = body;
        return true;
    }
    if (!str_equal_nocase(coding, STR("gzip"))) {
        refuse(x, "malformed-request", "Content-Encoding is gzip or none");
        return false;
    }
    switch (http_inflate(http_arena(x), body, LIMIT_SDK_INFLATED_BYTES, out_body)) {
    case INFLATE_OK:
        return true;
    case INFLATE_MALFORMED:
        refuse(x, "malformed-request", "the body is not gzip");
        return false;
    case INFLATE_TOO_LARGE:
        refuse(x, "malformed-request", "the body inflates beyond 4 MiB, or a hundredfold");
        return false;
    case INFLATE_NO_MEMORY:
        break;
    }
    http_reply_status(x, STATUS_RETRY, NULL);
    return false;
}

/* The route's last word: "track", "t", "batch", "collect". */
static struct str kind_of(struct http_exchange *x)
{
    struct str path = http_path(x);
    struct str kind = path;
    for (size_t i = 0; i < path.size; i++) {
        kind = path.data[i] == '/' ? str_drop(path, i + 1) : kind;
    }
    return kind;
}

static bool is_collect(struct str kind)
{
    return str_equal(kind, STR("collect"));
}

static void keep_header(struct inbound_header *headers, size_t *count, const char *name,
                        struct str value)
{
    if (value.size > 0) {
        headers[(*count)++] = (struct inbound_header){ .name = str_from_z(name), .value = value };
    }
}

/* What of the request its reading depends on, under the names that are kept. Of a
 * server neither address nor agent is the visitor's. */
static bool inbound_fill(struct http_exchange *x, struct str body, struct inbound *inbound)
{
    struct inbound_header *headers =
        ARENA_NEW_ARRAY(http_arena(x), HEADERS_MAX, struct inbound_header);
    size_t count = 0;
    if (headers == NULL) {
        return false;
    }
    struct str kind = kind_of(x);
    bool is_page = kind.size == 1 || is_collect(kind) || http_header_count(x, "origin") > 0;
    keep_header(headers, &count, SDK_HEADER_KIND, kind);
    keep_header(headers, &count, "origin", http_header(x, "origin"));
    keep_header(headers, &count, "sec-gpc", http_header(x, "sec-gpc"));
    if (is_page) {
        keep_header(headers, &count, "user-agent", http_header(x, "user-agent"));
        keep_header(headers, &count, SDK_HEADER_ADDRESS,
                    sdk_network(http_arena(x), http_client_address(x)));
    }
    *inbound = (struct inbound){ .headers = headers,
                                 .header_count = count,
                                 .body = body,
                                 .received_at_ms = http_received_at_ms(x) };
    return true;
}

/* --- the answer ----------------------------------------------------------- */

/* The rules that this page may be told of, for intake to answer. */
static void ask_rules(struct ingest *ingest, const struct source *source)
{
    const struct registry_workspace *workspace =
        snapshot_workspace(ingest->snapshot, source->workspace_id);
    struct str *rules = ARENA_NEW_ARRAY(ingest->delivery.arena, DECISION_TOLD_MAX, struct str);
    size_t count = 0;
    for (size_t i = 0; rules != NULL && workspace != NULL && i < workspace->exposure_count; i++) {
        const struct registry_exposure *exposure = &workspace->exposures[i];
        if (str_equal(exposure->source, source->name) && count < DECISION_TOLD_MAX) {
            rules[count++] = exposure->rule;
        }
    }
    ingest->delivery.told_rules = rules;
    ingest->delivery.told_rule_count = count;
}

static struct str visitor_of(const struct event *event)
{
    for (size_t i = 0; i < event->identifier_count; i++) {
        if (event->identifiers[i].kind == IDENTITY_ANONYMOUS_ID) {
            return event->identifiers[i].value;
        }
    }
    return (struct str){ NULL, 0 };
}

/* What the newest event of one and the same visitor was told. */
static uint64_t told_of(const struct intake_delivery *delivery)
{
    uint64_t told = 0;
    for (size_t i = 0; i < delivery->event_count && delivery->details != NULL; i++) {
        struct str first = visitor_of(&delivery->events[0]);
        if (!str_equal(visitor_of(&delivery->events[i]), first)) {
            return 0;
        }
        if (delivery->results[i] == EVENT_RESULT_APPLIED) {
            told = delivery->details[i].told;
        }
    }
    return told;
}

static void write_rules(struct jsonw *json, const struct intake_delivery *delivery)
{
    uint64_t told = told_of(delivery);
    jsonw_key(json, "rules");
    jsonw_open_array(json);
    for (size_t i = 0; i < delivery->told_rule_count; i++) {
        if ((told >> i & 1) != 0) {
            jsonw_str(json, delivery->told_rules[i]);
        }
    }
    jsonw_close_array(json);
}

static void answer(struct ingest *ingest)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, ingest->delivery.arena, ANSWER_BYTES_MAX);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    jsonw_put_bool(&json, "success", true);
    if (is_collect(ingest->delivery.topic)) {
        write_rules(&json, &ingest->delivery);
    }
    if (ingest->rejected_count > 0) {
        jsonw_put_raw(&json, "rejected", ingest->rejected_json);
    }
    jsonw_close(&json);
    /* It was committed: an answer that leaves something out is true. */
    http_reply_json(ingest->x, 200, buf.failed ? STR("{\"success\":true}") : buf_str(&buf));
}

static enum http_outcome take(struct http_exchange *x, const struct api *api,
                              const struct registry_snapshot *snapshot, const struct source *source,
                              const struct inbound *inbound, bool *out_released)
{
    struct arena *arena = http_arena(x);
    struct canonical_batch batch = { .event_count = 0 };
    struct problem problem = { .type = "" };
    enum status status = sdk_read(arena, source, inbound, &batch, &problem);
    if (status != STATUS_OK) {
        http_reply_status(x, arena_is_full(arena) ? STATUS_RETRY : status, &problem);
        return HTTP_DONE;
    }
    struct ingest *ingest = ingest_create(x, api, snapshot, source);
    if (ingest == NULL) {
        http_reply_status(x, STATUS_RETRY, NULL);
        return HTTP_DONE;
    }
    char receipt[ID_TEXT_SIZE];
    id_format(ingest->delivery.receipt_id, receipt);
    ingest->delivery.topic = inbound_header(inbound, SDK_HEADER_KIND);
    ingest->delivery.dedup_key = str_dup(arena, str_from_z(receipt));
    ingest->delivery.headers_json =
        inbound_headers_json(arena, platform_find(source->platform), source, inbound);
    ingest->delivery.body = inbound->body;
    ingest->delivery.events = batch.events;
    ingest->delivery.event_count = batch.event_count;
    ingest->rejected_json = batch.errors_json;
    ingest->rejected_count = batch.error_count;
    ingest->answer = answer;
    if (is_collect(ingest->delivery.topic) && is_public(source)) {
        ask_rules(ingest, source);
    }
    *out_released = true;
    return ingest_submit(ingest);
}

static enum http_outcome receive(struct http_exchange *x, struct api *api,
                                 const struct registry_snapshot *snapshot, bool *out_released)
{
    struct str body = { NULL, 0 };
    if (!read_body(x, &body)) {
        return HTTP_DONE;
    }
    struct str key = basic_user(x);
    key = key.size > 0 ? key : sdk_body_key(http_arena(x), body);
    const struct source *source = source_of_key(x, api, snapshot, key);
    if (source == NULL) {
        refuse(x, "write-key-invalid",
               key.size > 0 ? "no source has this write key"
                            : "the write key is the user of Basic, or writeKey in the body");
        return HTTP_DONE;
    }
    struct inbound inbound;
    if (!origin_is_good(x, source)) {
        return HTTP_DONE;
    }
    if (!inbound_fill(x, body, &inbound)) {
        http_reply_status(x, STATUS_RETRY, NULL);
        return HTTP_DONE;
    }
    return take(x, api, snapshot, source, &inbound, out_released);
}

enum http_outcome handle_sdk(struct http_exchange *x, void *app)
{
    struct api *api = app;
    const struct registry_snapshot *snapshot = registry_hold(api->registry);
    bool released = false;
    enum http_outcome outcome = receive(x, api, snapshot, &released);
    if (!released) {
        registry_release(api->registry, snapshot);
    }
    return outcome;
}

/* --- the browser SDK's settings ------------------------------------------- */

/* "https://bell.example" -> "https" and "bell.example/v1", as that SDK joins them. */
static void write_settings(struct jsonw *json, const struct api *api, struct arena *arena,
                           struct str key)
{
    struct str scheme = STR("https");
    struct str host = str_from_z(api->public_url);
    if (str_split(host, ':', &scheme, &host)) {
        host = str_drop(host, 2);
    }
    host = str_printf(arena, "%.*s/v1", STR_ARG(host));
    jsonw_open(json);
    jsonw_key(json, "integrations");
    jsonw_open(json);
    jsonw_key(json, "Segment.io");
    jsonw_open(json);
    jsonw_put_str(json, "apiKey", key);
    jsonw_put_str(json, "apiHost", host);
    jsonw_put_str(json, "protocol", scheme);
    jsonw_put_z(json, "type", "browser");
    jsonw_close(json);
    jsonw_close(json);
    jsonw_close(json);
}

enum http_outcome handle_sdk_settings(struct http_exchange *x, void *app)
{
    struct api *api = app;
    struct str key = http_path_param(x, "write_key");
    const struct registry_snapshot *snapshot = registry_hold(api->registry);
    const struct source *source = source_of_key(x, api, snapshot, key);
    bool found = source != NULL && is_public(source);
    if (!found) {
        refuse(x, "write-key-invalid", "no source has this write key");
    } else if (origin_is_good(x, source)) {
        struct buf buf;
        struct jsonw json;
        buf_init(&buf, http_arena(x), ANSWER_BYTES_MAX);
        jsonw_begin(&json, &buf);
        write_settings(&json, api, http_arena(x), key);
        http_reply_json(x, 200, buf_str(&buf));
        http_reply_header(x, "Cache-Control", STR("public, max-age=300"));
    }
    registry_release(api->registry, snapshot);
    return HTTP_DONE;
}
