#include "sources/sdk.h"

#include "base/instant.h"
#include "base/limits.h"
#include "draft_priv.h"
#include "platform_priv.h"
#include "sdk_priv.h"
#include "sources/json_border.h"
#include "sources/write_key.h"

/*
 * Pages: the analytics SDKs' wire format, from the official libraries or our own
 * snippet, under a write key that every visitor can read.
 *
 * So nothing here is believed further than TRUST_PUBLIC: the core lets such an
 * event attach an anonymous visitor and withdraw a consent, and no more. What a
 * browser sends and what a server sends with the same key differ only in what
 * is known of the sender: the address and the browser's name are the
 * visitor's in the one case and nobody's in the other.
 *
 * Rejected: believing calls from servers more. The key is the same, and it is
 * public; a server that is to be believed has an API key and POST /v1/events.
 */

enum {
    NETWORK_BYTES_MAX = 64
};

static const char *const TOPICS[] = { "track", "identify", "page",  "screen",
                                      "group", "alias",    "batch", NULL };

static const char *const SETTINGS[] = { "allowed_origins", "respect_gpc", "count_orders",
                                        "time_zone",       "currency",    NULL };

static bool is_page(const struct inbound *inbound)
{
    struct str kind = inbound_header(inbound, SDK_HEADER_KIND);
    return kind.size == 1 || str_equal(kind, STR("collect")) ||
           inbound_header(inbound, "origin").size > 0;
}

/* The route's word; the browser's routes have its first letter. */
static struct str kind_of(const struct inbound *inbound)
{
    struct str word = inbound_header(inbound, SDK_HEADER_KIND);
    for (size_t i = 0; TOPICS[i] != NULL && word.size == 1; i++) {
        if (TOPICS[i][0] == word.data[0]) {
            return str_from_z(TOPICS[i]);
        }
    }
    return word;
}

static bool refuses_sale(const struct source *source, const struct inbound *inbound)
{
    return source->respects_gpc && str_equal(inbound_header(inbound, "sec-gpc"), STR("1"));
}

static int64_t sent_at(const json_t *root)
{
    int64_t ms = INSTANT_NONE;
    struct str text = border_text(root, "sentAt");
    return text.size > 0 && instant_parse(text, true, &ms, NULL) ? ms : INSTANT_NONE;
}

/* One item for each message, null where there was none to make. */
static json_t *read_items(struct sdk_request *request, const json_t *root, const char **out_why)
{
    json_t *items = json_array();
    const json_t *batch = json_object_get(root, "batch");
    size_t count = json_is_array(batch) ? json_array_size(batch) : 1;
    for (size_t i = 0; i < count; i++) {
        const json_t *message = json_is_array(batch) ? json_array_get(batch, i) : root;
        const char *why = NULL;
        request->ordinal = i;
        json_t *item = sdk_item(request, message, &why);
        *out_why = item == NULL && *out_why == NULL ? why : *out_why;
        json_array_append_new(items, item != NULL ? item : json_null());
    }
    return items;
}

static enum status nothing_good(const char *why, const struct canonical_batch *batch,
                                struct problem *problem)
{
    if (why == NULL && batch->error_count > 0) {
        why =
            "whose event is it? a message needs userId, anonymousId, or an email among its traits";
    }
    return problem_set(problem, STATUS_INVALID, "invalid-message", "%s",
                       why != NULL ? why : "the batch is empty");
}

enum status sdk_read(struct arena *arena, const struct source *source,
                     const struct inbound *inbound, struct canonical_batch *out_batch,
                     struct problem *problem)
{
    json_t *root CLEANUP(border_free_at) = border_parse(inbound->body, problem);
    if (root == NULL) {
        return STATUS_INVALID;
    }
    struct sdk_request request = {
        .arena = arena,
        .source = source,
        .received_at_ms = inbound->received_at_ms,
        .sent_at_ms = sent_at(root),
        .kind = kind_of(inbound),
        .is_page = is_page(inbound),
        .refuses_sale = refuses_sale(source, inbound),
        .address = inbound_header(inbound, SDK_HEADER_ADDRESS),
        .defaults = json_is_object(root) ? root : NULL,
    };
    request.user_agent =
        request.is_page ? inbound_header(inbound, "user-agent") : (struct str){ NULL, 0 };
    const char *why = NULL;
    json_t *items CLEANUP(border_free_at) = read_items(&request, root, &why);
    struct canonical_batch batch = { .event_count = 0 };
    enum status status =
        canonical_take(arena, source, items, inbound->received_at_ms, true, &batch, problem);
    if (status == STATUS_OK && batch.event_count == 0) {
        status = nothing_good(why, &batch, problem);
    }
    if (status == STATUS_OK) {
        *out_batch = batch;
    }
    return status;
}

struct str sdk_network(struct arena *arena, struct str address)
{
    return draft_network(arena, address);
}

struct str sdk_body_key(struct arena *arena, struct str body)
{
    json_t *root CLEANUP(border_free_at) = border_parse(body, NULL);
    struct str key = border_text(root, "writeKey");
    const json_t *first = json_array_get(border_array(root, "batch"), 0);
    return str_dup(arena, key.size > 0 ? key : border_text(first, "writeKey"));
}

static enum normalise_verdict normalise(struct arena *arena, const struct source *source,
                                        const struct inbound *inbound,
                                        struct normalised *out_normalised, struct problem *problem)
{
    struct canonical_batch batch = { .event_count = 0 };
    *out_normalised = (struct normalised){ .topic = str_dup(arena, kind_of(inbound)) };
    enum status status = sdk_read(arena, source, inbound, &batch, problem);
    if (arena_is_full(arena)) {
        return NORMALISE_FULL;
    }
    if (status != STATUS_OK) {
        return NORMALISE_UNREADABLE;
    }
    out_normalised->events = batch.events;
    out_normalised->event_count = batch.event_count;
    return NORMALISE_EVENTS;
}

/* --- setup ---------------------------------------------------------------- */

static void write_browser_line(struct buf *paste, const struct source *source,
                               struct str webhook_url, struct str secret)
{
    char key[WRITE_KEY_SIZE + 1];
    (void)webhook_url;
    (void)secret;
    write_key_format(source->id, key);
    buf_printf(paste,
               "AnalyticsBrowser.load({ writeKey: \"%s\", cdnURL: \"https://<this server>\" })",
               key);
}

static void write_node_line(struct buf *paste, const struct source *source, struct str webhook_url,
                            struct str secret)
{
    char key[WRITE_KEY_SIZE + 1];
    (void)webhook_url;
    (void)secret;
    write_key_format(source->id, key);
    buf_printf(paste, "new Analytics({ writeKey: \"%s\", host: \"https://<this server>\" })", key);
}

static const char *const SCRIPT[] = {
    "Name the shop's origin: PATCH /v1/sources/%s {\"settings\":{\"allowed_origins\":"
    "[\"https://shop.example\"]}}",
    "GET /v1/sources/%s/snippet?way=script, paste it into the theme before </head>",
    "Open the shop, then GET /v1/sources/%s: counts_24h.applied grows",
    NULL,
};
static const char *const PIXEL[] = {
    "GET /v1/sources/%s/snippet?way=shopify_pixel",
    "Shopify admin > Settings > Customer events > Add custom pixel, paste, Connect",
    NULL,
};
static const char *const BROWSER[] = {
    "Keep the official browser SDK and let it fetch its settings from this server",
    NULL,
};
static const char *const NODE[] = {
    "Keep the official Node SDK and change its host",
    NULL,
};
static const struct setup_way WAYS[] = {
    { .way = "script", .steps = SCRIPT },
    { .way = "shopify_pixel", .steps = PIXEL },
    { .way = "browser_sdk", .steps = BROWSER, .write_paste = write_browser_line },
    { .way = "node_sdk", .steps = NODE, .write_paste = write_node_line },
    { .way = NULL },
};
static const struct setup_gap GAPS[] = {
    { "whose visitor it is, so that rules may be told to the page",
      "on login POST /v1/events from your server, with the anonymous_id and the "
      "external_id or email in identities" },
    { NULL, NULL },
};
static const char *const WARNINGS[] = {
    "The write key is public: anyone can send events under it. They never merge two "
    "known customers, grant a consent, or overrule what the shop said.",
    "If the shop's webhooks tell of its orders, set count_orders to false, or an "
    "order that the page reports too counts twice.",
    NULL,
};

static const char *const HEADERS[] = { SDK_HEADER_KIND, SDK_HEADER_ADDRESS, "origin", "sec-gpc",
                                       NULL };

const struct platform platform_sdk = {
    .name = "sdk",
    .title = "Analytics SDK",
    .trust = TRUST_PUBLIC,
    .provenance = PROVENANCE_NONE,
    .headers = HEADERS,
    .answer_ms = LIMIT_ANSWER_MS,
    /* The browser keeps what it could not send until the next visit. */
    .dedup_horizon_ms = 7 * INSTANT_DAY_MS,
    .expected_silence_ms = 6 * INSTANT_HOUR_MS,
    .topics = TOPICS,
    .order_statuses = platform_no_statuses,
    .settings = SETTINGS,
    .normalise = normalise,
    .setup = { WAYS, GAPS, WARNINGS },
};
