#include <string.h>

#include "api/key_format.h"
#include "base/instant.h"
#include "base/limits.h"
#include "core/trigger/subscription.h"
#include "resource_priv.h"
#include "store/api_key.h"

/*
 * API keys.
 *
 * Invariant: the whole key leaves once, in the answer that made it. Keys of
 * the instance belong to no workspace and can make workspaces only; they come
 * from the command line alone, since no workspace's key may rise above it.
 */

static void put_texts(struct jsonw *json, const char *key, const struct str *texts, size_t count)
{
    jsonw_key(json, key);
    jsonw_open_array(json);
    for (size_t i = 0; i < count; i++) {
        jsonw_str(json, texts[i]);
    }
    jsonw_close_array(json);
}

/* `shown` is the whole key when it was just made, else empty. */
static void key_write_json(struct jsonw *json, const struct api_key *key, struct str shown)
{
    jsonw_open(json);
    jsonw_put_id(json, "id", key->id);
    jsonw_put_str(json, "name", key->name);
    if (shown.size > 0) {
        jsonw_put_str(json, "key", shown);
        jsonw_put_bool(json, "key_shown_once", true);
    }
    jsonw_put_str(json, "prefix", key->prefix);
    put_texts(json, "scopes", key->scopes, key->scope_count);
    if (key->max_topic_count > 0) {
        put_texts(json, "max_topics", key->max_topics, key->max_topic_count);
    } else {
        jsonw_put_null(json, "max_topics");
    }
    jsonw_put_str_or_null(json, "max_fields", key->max_fields);
    jsonw_put_instant(json, "expires_at", key->expires_at_ms);
    jsonw_put_instant(json, "last_used_at", key->last_used_at_ms);
    jsonw_put_instant(json, "created_at", key->created_at_ms);
    jsonw_close(json);
}

static void read_scopes(struct document *document, bool of_instance, struct api_key *key)
{
    struct str *scopes = NULL;
    document_need(document, "scopes");
    key->scope_count = document_texts(document, "scopes", ACCESS_SCOPE_COUNT, &scopes);
    key->scopes = scopes;
    if (document->status == STATUS_OK && key->scope_count == 0) {
        document_fail(document, "scopes", "invalid-field", "a key has at least one scope");
    }
    for (size_t i = 0; document->status == STATUS_OK && i < key->scope_count; i++) {
        uint32_t scope = access_scope_from_name(scopes[i]);
        if (scope == 0) {
            document_fail(document, "scopes", "invalid-field",
                          "no scope is called \"%.*s\"; there are ingest, read, pii, configure, "
                          "subscribe, privacy and admin",
                          STR_ARG(str_take_text(scopes[i], 40)));
        } else if ((scope == SCOPE_INSTANCE) != of_instance) {
            document_fail(document, "scopes", "invalid-field",
                          of_instance ? "a key of the instance has the scope instance only"
                                      : "the scope instance is given by "
                                        "shopbell key create --instance only");
        }
    }
}

static void read_limits(const struct resource_request *request, struct document *document,
                        struct api_key *key)
{
    struct str *topics = NULL;
    key->max_topic_count =
        document_texts(document, "max_topics", LIMIT_TOPICS_PER_SUBSCRIPTION, &topics);
    key->max_topics = topics;
    for (size_t i = 0; document->status == STATUS_OK && i < key->max_topic_count; i++) {
        bool exists = false;
        document->status = resource_topic_exists(request, topics[i], &exists, document->problem);
        if (document->status == STATUS_OK && !exists) {
            document_fail(document, "max_topics", "invalid-field",
                          "\"%.*s\" is not a topic, \"*\" or a whole first segment like "
                          "\"order.*\"",
                          STR_ARG(str_take_text(topics[i], 60)));
        }
    }
    key->max_fields = document_text(document, "max_fields", 16);
    if (key->max_fields.size > 0 && !str_equal(key->max_fields, STR("default"))) {
        document_fail(document, "max_fields", "invalid-field",
                      "max_fields other than \"default\" are not available yet");
    }
    key->expires_at_ms = document_instant(document, "expires_at");
    if (key->expires_at_ms != INSTANT_NONE && key->expires_at_ms <= request->now_ms) {
        document_fail(document, "expires_at", "invalid-field", "expires_at lies in the future");
    }
}

static enum status insert_key(const struct resource_request *request, const void *what,
                              struct problem *problem)
{
    const struct api_key *key = what;
    enum status status = api_key_insert(request->pg, request->arena, key, problem);
    return resource_name_taken(status, "key", key->name, problem);
}

static enum status create_checked(const struct resource_request *request, struct api_key *key,
                                  struct resource_answer *out_answer, struct problem *problem)
{
    char text[API_KEY_SIZE + 1];
    key_format_create(text);
    struct str whole = str_dup(request->arena, (struct str){ text, API_KEY_SIZE });
    uint8_t *hash = ARENA_NEW_ARRAY(request->arena, SEAL_HASH_SIZE, uint8_t);
    if (whole.data == NULL || hash == NULL) {
        return problem_set(problem, STATUS_LIMIT, "limit-reached", "the request is too big");
    }
    key->prefix = str_take(whole, API_KEY_PREFIX_SIZE);
    seal_key_hash(request->api->seal, whole, hash);
    key->secret_hash = (struct str){ (const char *)hash, SEAL_HASH_SIZE };
    enum status status = STATUS_OK;
    if (!request->validate_only) {
        status = resource_transact(request, key->workspace_id, insert_key, key, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, request->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    key_write_json(&json, key, request->validate_only ? (struct str){ NULL, 0 } : whole);
    status = resource_answer_set(&buf, request->validate_only ? RESOURCE_SHOWN : RESOURCE_CREATED,
                                 0, out_answer, problem);
    if (status == STATUS_OK) {
        char id[ID_TEXT_SIZE];
        id_format(key->id, id);
        out_answer->location = str_printf(request->arena, "/v1/keys/%s", id);
    }
    return status;
}

enum status resource_key_create(const struct resource_request *request,
                                struct resource_answer *out_answer, struct problem *problem)
{
    static const char *const fields[] = { "name", "scopes", "max_topics", "max_fields",
                                          "expires_at" };
    struct document CLEANUP(document_close) document = { .root = NULL };
    enum status status = document_open(&document, request->arena, request->body, problem);
    if (status != STATUS_OK) {
        return status;
    }
    struct id workspace_id = request->principal->workspace_id;
    document_allow(&document, fields, ARRAY_COUNT(fields));
    struct api_key key = {
        .workspace_id = workspace_id,
        .id = id_create(),
        .name = document_name(&document, "name"),
        .created_at_ms = request->now_ms,
        .last_used_at_ms = INSTANT_NONE,
    };
    read_scopes(&document, id_is_zero(workspace_id), &key);
    read_limits(request, &document, &key);
    int64_t count = 0;
    status = document.status;
    if (status == STATUS_OK) {
        status = api_key_count(request->pg, request->arena, workspace_id, &count, problem);
    }
    if (status == STATUS_OK) {
        status = resource_room(count, LIMIT_KEYS, "keys", problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    return create_checked(request, &key, out_answer, problem);
}

enum status resource_key_list(const struct resource_request *request,
                              struct resource_answer *out_answer, struct problem *problem)
{
    struct page page;
    struct id workspace_id = request->principal->workspace_id;
    enum status status = page_open(&page, request, "keys", STR(""), problem);
    struct api_key *keys = NULL;
    size_t count = 0;
    int64_t total = -1;
    if (status == STATUS_OK) {
        status = api_key_list(request->pg, request->arena, workspace_id, page.cursor, page.size + 1,
                              &keys, &count, problem);
    }
    if (status == STATUS_OK && request->want_total) {
        status = api_key_count(request->pg, request->arena, workspace_id, &total, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct str next = { NULL, 0 };
    for (size_t i = 0; i < count && i < page.size; i++) {
        key_write_json(&page.json, &keys[i], (struct str){ NULL, 0 });
        next = i + 1 == page.size && count > page.size ? keys[i].name : next;
    }
    return page_close(&page, next, total, true, out_answer, problem);
}

static enum status find_key(const struct resource_request *request, struct api_key *out_key,
                            struct problem *problem)
{
    enum status status = api_key_find(request->pg, request->arena, request->principal->workspace_id,
                                      request->name, out_key, problem);
    return resource_missing(status, "key", request->name, problem);
}

enum status resource_key_show(const struct resource_request *request,
                              struct resource_answer *out_answer, struct problem *problem)
{
    struct api_key key;
    enum status status = find_key(request, &key, problem);
    if (status != STATUS_OK) {
        return status;
    }
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, request->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    key_write_json(&json, &key, (struct str){ NULL, 0 });
    return resource_answer_set(&buf, RESOURCE_SHOWN, 0, out_answer, problem);
}

static enum status delete_key(const struct resource_request *request, const void *what,
                              struct problem *problem)
{
    const struct api_key *key = what;
    enum status status =
        api_key_delete(request->pg, request->arena, key->workspace_id, key->id, problem);
    return resource_missing(status, "key", key->name, problem);
}

enum status resource_key_revoke(const struct resource_request *request,
                                struct resource_answer *out_answer, struct problem *problem)
{
    struct api_key key;
    enum status status = find_key(request, &key, problem);
    if (status == STATUS_OK && !request->validate_only) {
        status = resource_transact(request, key.workspace_id, delete_key, &key, problem);
    }
    if (status == STATUS_OK) {
        *out_answer = (struct resource_answer){ .effect = RESOURCE_DELETED };
    }
    return status;
}
