#include "adobe_priv.h"
#include "base/instant.h"
#include "base/limits.h"
#include "platform_priv.h"
#include "sources/json_border.h"

/*
 * Adobe I/O Events: the shop's events by way of Adobe, repeated for a day.
 *
 * Two signatures by two keys, of which either will do, so that one may be in
 * rotation. The keys stand at one host of Adobe's; a header brings the path only,
 * and a path that is not plain is refused. All of Adobe's customers are signed for
 * with these keys: whose event it is says recipient_client_id inside, and a source
 * without its own client_id believes none.
 *
 * The address is proven by a challenge that comes unsigned and is echoed: it could
 * only echo what the asker brought.
 */

#define KEY_HOST "https://static.adobeioevents.com"

enum {
    CHALLENGE_BYTES_MAX = 256,
};

struct adapter {
    struct str client_id;
};

/* --- the signature -------------------------------------------------------------- */

/* "/prod/keys/pub-key-1.pem": letters, digits, and "/._-" without "..". */
static bool is_plain_path(struct str path)
{
    bool was_dot = false;
    for (size_t i = 0; i < path.size; i++) {
        char c = path.data[i];
        bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_word && c != '/' && c != '.' && c != '_' && c != '-') {
            return false;
        }
        if (c == '.' && was_dot) {
            return false;
        }
        was_dot = c == '.';
    }
    return path.size > 1 && path.size <= 128 && path.data[0] == '/';
}

static enum signature_verdict read_claim(struct arena *arena, const struct source *source,
                                         const struct inbound *inbound,
                                         struct signature_claim *claim)
{
    static const struct {
        const char *signature;
        const char *path;
    } PAIRS[] = {
        { "x-adobe-digital-signature-1", "x-adobe-public-key1-path" },
        { "x-adobe-digital-signature-2", "x-adobe-public-key2-path" },
    };
    (void)source;
    bool is_there = false;
    for (size_t i = 0; i < ARRAY_COUNT(PAIRS); i++) {
        struct str text = str_trim(inbound_header(inbound, PAIRS[i].signature));
        struct str path = str_trim(inbound_header(inbound, PAIRS[i].path));
        is_there = is_there || text.size > 0;
        if (text.size > 0 && is_plain_path(path)) {
            claim->signatures[claim->signature_count++] = (struct signature_text){
                .text = text,
                .key_url = str_printf(arena, KEY_HOST "%.*s", STR_ARG(path)),
            };
        }
    }
    claim->pieces[0] = inbound->body;
    claim->piece_count = 1;
    if (claim->signature_count == 0) {
        return is_there ? SIGNATURE_HEADER_MALFORMED : SIGNATURE_HEADER_MISSING;
    }
    return SIGNATURE_VALID;
}

static bool is_own_shop(const struct source *source, const struct inbound *inbound)
{
    const struct adapter *adapter = source->adapter;
    json_t *root CLEANUP(border_free_at) = border_parse(inbound->body, NULL);
    struct str client = border_text(root, "recipient_client_id");
    if (client.size == 0) {
        client = border_text(root, "recipientclientid");
    }
    return adapter != NULL && adapter->client_id.size > 0 && str_equal(client, adapter->client_id);
}

static enum status parse_settings(struct arena *arena, struct str settings_json,
                                  struct source *source, struct problem *problem)
{
    json_t *settings CLEANUP(border_free_at) = border_parse(settings_json, NULL);
    struct adapter *adapter = ARENA_NEW(arena, struct adapter);
    const json_t *value = json_object_get(settings, "client_id");
    if (adapter == NULL || (value != NULL && !json_is_null(value) && !json_is_string(value)) ||
        json_string_length(value) > LIMIT_TEXT_BYTES) {
        problem_set(problem, STATUS_INVALID, "invalid-field",
                    "the client id of the project's OAuth credential is needed");
        problem_point(problem, "#/settings/client_id");
        return STATUS_INVALID;
    }
    adapter->client_id = str_dup(arena, border_text(settings, "client_id"));
    source->adapter = adapter;
    return STATUS_OK;
}

/* --- the challenge --------------------------------------------------------------- */

/* GET ?challenge=<text>: the text comes back as it is. Only plain text is echoed, so
 * that no browser can be made to see more in it. */
static bool greet(struct arena *arena, const struct source *source, const struct inbound *inbound,
                  struct handshake *out_handshake)
{
    (void)source;
    struct str value = inbound_parameter(arena, inbound, "challenge");
    if (!inbound->is_get || value.size == 0 || value.size > CHALLENGE_BYTES_MAX) {
        return false;
    }
    *out_handshake = (struct handshake){
        .http_status = 200,
        .content_type = "text/plain; charset=utf-8",
        .body = value,
    };
    return true;
}

/* --- events ----------------------------------------------------------------------- */

static bool is_deletion(struct str name)
{
    return str_ends_with(name, STR("_delete_commit_after")) ||
           str_ends_with(name, STR("_delete_after"));
}

static enum normalise_verdict normalise(struct arena *arena, const struct source *source,
                                        const struct inbound *inbound,
                                        struct normalised *out_normalised, struct problem *problem)
{
    json_t *root CLEANUP(border_free_at) = border_parse(inbound->body, problem);
    if (root == NULL) {
        return NORMALISE_UNREADABLE;
    }
    /* CloudEvents, or the older envelope around the same. */
    const json_t *event =
        border_object(root, "event") != NULL ? border_object(root, "event") : root;
    struct str id = str_trim(inbound_header(inbound, "x-adobe-event-id"));
    id = id.size > 0 ? id : border_text(root, "event_id");
    struct str name = border_text(event, "type");
    name = name.size > 0 ? name : str_trim(inbound_header(inbound, "x-adobe-event-code"));
    *out_normalised = (struct normalised){
        .topic = str_dup(arena, draft_cut(name)),
        .dedup_key = draft_dedup_key(arena, id, STR(""), inbound->body),
    };
    const json_t *value = border_object(border_object(event, "data"), "value");
    const struct adobe_entity *entity = adobe_entity_of(name);
    if (entity == NULL || value == NULL) {
        return NORMALISE_IGNORED;
    }
    struct draft draft;
    draft_init(&draft, arena, source, TRUST_SIGNED, inbound->received_at_ms,
               out_normalised->dedup_key, 2);
    if (adobe_take(&draft, entity, value, is_deletion(name), problem) != STATUS_OK) {
        return arena_is_full(arena) ? NORMALISE_FULL : NORMALISE_UNREADABLE;
    }
    return draft_finish(&draft, out_normalised);
}

/* --- setup ------------------------------------------------------------------------- */

static const char *const TOPICS[] = {
    "com.adobe.commerce.observer.sales_order_save_commit_after",
    "com.adobe.commerce.observer.sales_order_creditmemo_save_commit_after",
    "com.adobe.commerce.observer.customer_save_commit_after",
    "com.adobe.commerce.observer.customer_delete_commit_after",
    "com.adobe.commerce.observer.catalog_product_save_commit_after",
    "com.adobe.commerce.observer.catalog_product_delete_commit_after",
    NULL,
};

static const char *const STEPS[] = {
    "Adobe Developer Console > your project > Add event > Commerce: subscribe to topics, with "
    "the fields entity_id, updated_at, created_at and those of each entity (orders: "
    "increment_id, state, grand_total, order_currency_code, customer_id, customer_email, "
    "items)",
    "PATCH /v1/sources/%s {\"settings\":{\"client_id\":\"<the credential's client id>\"}}: "
    "Adobe's keys sign for all its customers, this says which events are yours",
    "Event delivery: Webhook, URL = webhook_url, one event a call (no batch); the challenge is "
    "answered by itself",
    NULL,
};
static const struct setup_way WAYS[] = {
    { .way = "console", .steps = STEPS },
    { .way = NULL },
};
static const struct setup_gap GAPS[] = {
    { "events of a day or more ago that this server missed",
      "Adobe's journaling API keeps them for seven days" },
    { NULL, NULL },
};
static const char *const WARNINGS[] = {
    "This server must be able to call " KEY_HOST ", where Adobe publishes its keys.",
    NULL,
};

static const char *const SETTINGS[] = { "client_id",         "time_zone",
                                        "currency",          "order_completed_when",
                                        "allowed_addresses", NULL };
static const char *const HEADERS[] = {
    "x-adobe-event-id",
    "x-adobe-delivery-id",
    "x-adobe-event-code",
    "x-adobe-provider",
    "x-adobe-digital-signature-1",
    "x-adobe-digital-signature-2",
    "x-adobe-retry-count",
    "x-adobe-public-key1-path",
    "x-adobe-public-key2-path",
    NULL,
};
static const char *const TOPIC_HEADERS[] = { "x-adobe-event-code", NULL };

const struct platform platform_adobe_io_events = {
    .name = "adobe_io_events",
    .title = "Adobe I/O Events",
    .signature = {
        .algorithm = SIGNATURE_RSA_SHA256,
        .encoding = SIGNATURE_BASE64,
        .key_form = SIGNATURE_KEY_FETCHED,
        .syntax = SIGNATURE_ALONE,
        .read_claim = read_claim,
    },
    .trust = TRUST_SIGNED,
    .provenance = PROVENANCE_FULL,
    .answer_ms = LIMIT_ANSWER_MS,
    .dedup_horizon_ms = 2 * INSTANT_DAY_MS,
    .expected_silence_ms = 24 * INSTANT_HOUR_MS,
    .headers = HEADERS,
    .topic_headers = TOPIC_HEADERS,
    .topics = TOPICS,
    .order_statuses = adobe_order_statuses,
    .settings = SETTINGS,
    .default_order_completed_when = adobe_completed_when,
    .parse_settings = parse_settings,
    .greet = greet,
    .is_own_shop = is_own_shop,
    .normalise = normalise,
    .setup = { WAYS, GAPS, WARNINGS },
};
