#include <jansson.h>

#include "base/instant.h"
#include "base/limits.h"
#include "core/trigger/subscription.h"
#include "deliver/destination.h"
#include "store/api_key.h"
#include "subscription_priv.h"

/*
 * Reading what somebody wants to subscribe to.
 *
 * A member of the contract that this version cannot honour is refused with
 * words, never accepted and ignored: who asked for a filter would otherwise
 * get messages about people who did not agree to any.
 */

static const char *const FIELDS[] = {
    "name",    "title",   "url",        "topics",   "filter",    "fields",      "format",
    "auth",    "map",     "channel",    "settings", "headers",   "ordering",    "batch",
    "timeout", "max_age", "rate_limit", "recheck",  "signature", "concurrency",
};

static void refuse_batch(struct document *document, const struct subscription_row *row)
{
    bool is_single = !str_equal(row->format, STR("shopbell")) && !subscription_is_native(row);
    if (document->status == STATUS_OK && is_single && row->batch_max > 0) {
        document_fail(document, "batch", "invalid-field",
                      "batches are of the format \"shopbell\", or an ESP's that takes lists;"
                      " leave batch out");
    }
}

static const char *nearest_topic(struct str word)
{
    const char *names[EVENT_TYPE_COUNT + 32];
    size_t count = 0;
    for (int type = 1; type < EVENT_TYPE_COUNT; type++) {
        if (!event_type_info((enum event_type)type)->universal) {
            names[count++] = event_type_info((enum event_type)type)->name;
        }
    }
    for (size_t i = 0; topic_derived(i) != NULL && count < ARRAY_COUNT(names); i++) {
        names[count++] = topic_derived(i)->name;
    }
    return str_nearest(word, names, count);
}

/* An alarm of ours is no event of a customer. */
static void refuse_service(struct document *document, const struct subscription_row *row)
{
    for (size_t i = 0; subscription_is_native(row) && i < row->topic_count; i++) {
        if (topic_is_of_service(row->topics[i])) {
            document_fail(document, "topics", "invalid-field",
                          "\"%.*s\" is about the service, and an ESP takes events of customers",
                          STR_ARG(row->topics[i]));
        }
    }
}

static void read_topics(const struct resource_request *request, struct document *document,
                        struct subscription_row *row)
{
    struct str *topics = NULL;
    document_need(document, "topics");
    row->topic_count = document_texts(document, "topics", LIMIT_TOPICS_PER_SUBSCRIPTION, &topics);
    row->topics = topics;
    if (document->status == STATUS_OK && row->topic_count == 0) {
        document_fail(document, "topics", "invalid-field", "at least one topic is needed");
    }
    for (size_t i = 0; document->status == STATUS_OK && i < row->topic_count; i++) {
        bool exists = false;
        document->status = resource_topic_exists(request, topics[i], &exists, document->problem);
        if (document->status == STATUS_OK && !exists) {
            struct str shown = str_take_text(topics[i], 60);
            const char *nearest = nearest_topic(shown);
            document_fail(document, "topics", "invalid-field",
                          nearest != NULL ? "no topic is called \"%.*s\"; did you mean \"%s\"?"
                                          : "no topic is called \"%.*s\"; see GET /v1/topics",
                          STR_ARG(shown), nearest);
            return;
        }
    }
}

/* Is every message that `pattern` matches allowed by `most`? */
static bool topic_within(struct str pattern, struct str most)
{
    if (str_equal(most, STR("*")) || str_equal(most, pattern)) {
        return true;
    }
    return str_ends_with(most, STR(".*")) &&
           str_starts_with(pattern, str_take(most, most.size - 1));
}

/* What the key itself may ask for (contract 6). */
static enum status check_key(const struct resource_request *request,
                             const struct subscription_row *row, const struct choice *choice,
                             struct problem *problem)
{
    const struct principal *principal = request->principal;
    if (id_is_zero(principal->key_id)) {
        return STATUS_OK;
    }
    for (size_t i = 0; i < row->topic_count; i++) {
        if (topic_is_of_service(row->topics[i]) && !resource_may(request, SCOPE_ADMIN)) {
            return problem_set(
                problem, STATUS_DENIED, "scope-insufficient",
                "\"%.*s\" is about the service itself: the key needs the scope admin",
                STR_ARG(row->topics[i]));
        }
    }
    struct api_key key;
    char id[ID_TEXT_SIZE];
    id_format(principal->key_id, id);
    enum status status = api_key_find(request->pg, request->arena, principal->workspace_id,
                                      str_from_z(id), &key, problem);
    if (status != STATUS_OK) {
        return resource_missing(status, "key", str_from_z(id), problem);
    }
    for (size_t i = 0; i < row->topic_count && key.max_topic_count > 0; i++) {
        bool allowed = false;
        for (size_t j = 0; j < key.max_topic_count && !allowed; j++) {
            allowed = topic_within(row->topics[i], key.max_topics[j]);
        }
        if (!allowed) {
            return problem_set(problem, STATUS_DENIED, "scope-insufficient",
                               "the key may not subscribe to \"%.*s\": see its max_topics",
                               STR_ARG(row->topics[i]));
        }
    }
    if (str_equal(key.max_fields, STR("default")) && choice->projection != NULL &&
        !projection_is_within_default(choice->projection)) {
        return problem_set(problem, STATUS_DENIED, "scope-insufficient",
                           "the key may ask for no more than \"fields\": \"default\" tells: see "
                           "its max_fields");
    }
    return STATUS_OK;
}

static bool is_token(struct str name)
{
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_')) {
            return false;
        }
    }
    return name.size > 0 && name.size <= 64;
}

/* Headers that we write ourselves, that frame the message, or that hold what
 * would then lie unsealed in the database. */
static bool is_reserved(struct arena *arena, struct str name)
{
    static const char *const RESERVED[] = {
        "host",       "content-type", "content-length", "transfer-encoding",   "connection",
        "user-agent", "traceparent",  "expect",         "authorization",       "cookie",
        "te",         "trailer",      "upgrade",        "proxy-authorization",
    };
    struct str lower = str_lower(arena, name);
    for (size_t i = 0; i < ARRAY_COUNT(RESERVED); i++) {
        if (str_equal_z(lower, RESERVED[i])) {
            return true;
        }
    }
    return str_starts_with(lower, STR("webhook-"));
}

static bool is_header_value(const json_t *value)
{
    const char *text = json_string_value(value);
    for (size_t i = 0; text != NULL && i < json_string_length(value); i++) {
        if (text[i] < 0x20 || text[i] > 0x7e) {
            return false;
        }
    }
    return text != NULL && json_string_length(value) <= LIMIT_TEXT_BYTES;
}

static void read_headers(struct document *document, struct subscription_row *row)
{
    row->headers_json = document_object(document, "headers");
    if (document->status != STATUS_OK) {
        return;
    }
    json_t *headers = json_object_get(document->root, "headers");
    if (json_object_size(headers) > 16) {
        document_fail(document, "headers", "invalid-field", "at most 16 headers");
    }
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(headers, key, value)
    {
        struct str name = str_from_z(key);
        if (!is_token(name) || !is_header_value(value)) {
            document_fail(document, "headers", "invalid-field",
                          "\"%.60s\" is no header: letters, digits and dashes, and a value of "
                          "printable ASCII",
                          key);
        } else if (is_reserved(document->arena, name) ||
                   !endpoint_header_is_allowed(
                       str_printf(document->arena, "%s: %s", key, json_string_value(value)))) {
            document_fail(document, "headers", "invalid-field",
                          "\"%.60s\" is not free, or it is empty; our signature tells you who "
                          "calls",
                          key);
        }
    }
}

static void refuse_settings(struct document *document)
{
    if (document->status == STATUS_OK &&
        json_object_size(json_object_get(document->root, "settings")) > 0) {
        document_fail(document, "settings", "invalid-field",
                      "settings belong to the formats of ESPs, such as \"klaviyo\"");
    }
}

static void read_url(const struct resource_request *request, struct document *document,
                     struct subscription_row *row)
{
    if (subscription_is_native(row)) {
        subscription_read_native(request, document, row);
    } else {
        document_need(document, "url");
        row->url = document_text(document, "url", 2048);
        refuse_settings(document);
    }
    if (document->status != STATUS_OK) {
        return;
    }
    struct problem why = { .type = "" };
    if (endpoint_url_check(row->url, request->api->sender_config, &why) != STATUS_OK) {
        document_fail(document, "url", why.type[0] != '\0' ? why.type : "url-not-allowed", "%s",
                      why.detail);
    }
}

enum status subscription_read(const struct resource_request *request, struct str body, bool is_new,
                              struct subscription_row *row, struct resource_answer *out_answer,
                              struct problem *problem)
{
    struct document CLEANUP(document_close) document = { .root = NULL };
    enum status status = document_open(&document, request->arena, body, problem);
    if (status != STATUS_OK) {
        return status;
    }
    document_allow(&document, FIELDS, ARRAY_COUNT(FIELDS));
    if (is_new) {
        row->name = document_name(&document, "name");
    } else if (document_has(&document, "name")) {
        document_fail(&document, "name", "invalid-field", "a subscription's name never changes");
    }
    row->title = document_text(&document, "title", LIMIT_TEXT_BYTES);
    subscription_read_choice(&document, row);
    const struct native_info *native = native_info(native_from_name(row->format));
    read_url(request, &document, row);
    read_topics(request, &document, row);
    refuse_service(&document, row);
    refuse_batch(&document, row);
    read_headers(&document, row);
    row->concurrency = (int32_t)document_i64(
        &document, "concurrency",
        native != NULL ? native->concurrency : (int32_t)LIMIT_ENDPOINT_CONCURRENCY, 1, 64);
    row->timeout_ms = document_duration(&document, "timeout", LIMIT_DELIVERY_TIMEOUT_MS,
                                        INSTANT_SECOND_MS, 30 * INSTANT_SECOND_MS);
    row->max_age_ms =
        document_duration(&document, "max_age", 0, INSTANT_MINUTE_MS, 30 * INSTANT_DAY_MS);
    if (document.status != STATUS_OK) {
        return document.status;
    }
    /* Once masked, always: who may see people makes a subscription of his own. */
    bool is_of_key = !id_is_zero(request->principal->key_id);
    row->is_masked =
        row->is_masked || (is_of_key && !resource_may(request, SCOPE_PII | SCOPE_ADMIN));
    if (native != NULL && row->is_masked) {
        return problem_set(problem, STATUS_DENIED, "scope-insufficient",
                           "%s finds people by their address: the key needs the scope pii",
                           native->title);
    }
    struct choice choice;
    status = subscription_check_choice(request, row, &choice, out_answer, problem);
    return status == STATUS_OK ? check_key(request, row, &choice, problem) : status;
}
