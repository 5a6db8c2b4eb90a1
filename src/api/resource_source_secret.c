#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "base/codec.h"
#include "base/instant.h"
#include "base/limits.h"
#include "inbound_priv.h"
#include "source_priv.h"
#include "verify/verify.h"

/*
 * A source's secrets, and "why does this request not verify?".
 *
 * Several secrets may be live at once, so that rotating one needs no moment in
 * which both ends change together. Verification answers from the very
 * functions of the hot path over the very bytes given, and stores nothing.
 */

struct secret_change {
    const struct source_row *source;
    const struct source_secret_row *secret;
};

static enum status insert_secret(const struct resource_request *request, const void *what,
                                 struct problem *problem)
{
    const struct secret_change *change = what;
    return source_secret_insert(request->pg, request->arena, change->source->workspace_id,
                                change->source->id, change->secret, problem);
}

static enum status read_secret(const struct resource_request *request,
                               const struct source_full *source, struct source_secret_row *secret,
                               struct str *plain, bool *out_is_made, struct problem *problem)
{
    static const char *const fields[] = { "secret", "label", "shadow", "expires_at" };
    struct document CLEANUP(document_close) document = { .root = NULL };
    enum status status = document_open(&document, request->arena, request->body, problem);
    if (status != STATUS_OK) {
        return status;
    }
    document_allow(&document, fields, ARRAY_COUNT(fields));
    *plain = document_text(&document, "secret", LIMIT_TEXT_BYTES);
    secret->label = document_text(&document, "label", LIMIT_TEXT_BYTES);
    secret->shadow = document_bool(&document, "shadow", false);
    secret->expires_at_ms = document_instant(&document, "expires_at");
    if (secret->expires_at_ms != INSTANT_NONE && secret->expires_at_ms <= request->now_ms) {
        document_fail(&document, "expires_at", "invalid-field", "expires_at lies in the future");
    }
    *out_is_made = plain->size == 0 && source->platform->makes_secret;
    if (*out_is_made) {
        *plain = source_make_secret(request->arena, source);
    } else {
        document_need(&document, "secret");
    }
    const char *reason = "it is empty";
    if (document.status == STATUS_OK &&
        !verify_secret_is_usable(platform_signature(source->platform, &source->core), *plain,
                                 &reason)) {
        document_fail(&document, "secret", "invalid-field", "the secret cannot be used: %s",
                      reason);
    }
    return document.status;
}

enum status resource_source_secret_add(const struct resource_request *request,
                                       struct resource_answer *out_answer, struct problem *problem)
{
    struct source_full source;
    enum status status = source_load(request, &source, problem);
    if (status != STATUS_OK) {
        return status;
    }
    const struct signature_spec *spec = platform_signature(source.platform, &source.core);
    if (spec->algorithm == 0 || spec->key_form == SIGNATURE_KEY_FETCHED) {
        return problem_set(problem, STATUS_INVALID, "invalid-field", "a %s source has no secrets",
                           source.platform->title);
    }
    struct source_secret_row secret = { .id = id_create(),
                                        .created_at_ms = request->now_ms,
                                        .last_used_at_ms = INSTANT_NONE,
                                        .check = { .since_ms = INSTANT_NONE,
                                                   .missed_at_ms = INSTANT_NONE } };
    struct str plain = { NULL, 0 };
    bool is_made = false;
    status = resource_room((int64_t)source.secret_count, LIMIT_SECRETS_PER_SOURCE,
                           "secrets a source", problem);
    if (status == STATUS_OK) {
        status = read_secret(request, &source, &secret, &plain, &is_made, problem);
    }
    if (status == STATUS_OK) {
        status = source_seal_secret(request, plain, &secret, problem);
    }
    if (status == STATUS_OK && !request->validate_only) {
        struct secret_change change = { .source = &source.row, .secret = &secret };
        status =
            resource_transact(request, source.row.workspace_id, insert_secret, &change, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, request->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    bool is_shown = is_made && !request->validate_only;
    source_secret_write_json(&json, &secret, is_shown ? plain : (struct str){ NULL, 0 });
    status = resource_answer_set(&buf, request->validate_only ? RESOURCE_SHOWN : RESOURCE_CREATED,
                                 0, out_answer, problem);
    if (status == STATUS_OK) {
        char id[ID_TEXT_SIZE];
        id_format(secret.id, id);
        out_answer->location =
            str_printf(request->arena, "/v1/sources/%.*s/secrets/%s", STR_ARG(source.row.name), id);
    }
    return status;
}

enum status resource_source_secret_list(const struct resource_request *request,
                                        struct resource_answer *out_answer, struct problem *problem)
{
    struct source_full source;
    struct page page;
    enum status status = source_load(request, &source, problem);
    if (status == STATUS_OK) {
        status = page_open(&page, request, "secrets", source.row.name, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    for (size_t i = 0; i < source.secret_count; i++) {
        source_secret_write_json(&page.json, &source.secrets[i], (struct str){ NULL, 0 });
    }
    return page_close(&page, (struct str){ NULL, 0 }, -1, true, out_answer, problem);
}

static enum status update_secret(const struct resource_request *request, const void *what,
                                 struct problem *problem)
{
    const struct secret_change *change = what;
    return source_secret_update(request->pg, request->arena, change->source->workspace_id,
                                change->source->id, change->secret, problem);
}

/* Its value never changes: that would be another secret. */
static enum status read_secret_patch(const struct resource_request *request,
                                     struct source_secret_row *secret, struct problem *problem)
{
    static const char *const fields[] = { "label", "shadow", "expires_at" };
    struct document CLEANUP(document_close) document = { .root = NULL };
    enum status status = document_open(&document, request->arena, request->body, problem);
    if (status != STATUS_OK) {
        return status;
    }
    document_allow(&document, fields, ARRAY_COUNT(fields));
    if (document_has(&document, "label")) {
        secret->label = document_text(&document, "label", LIMIT_TEXT_BYTES);
    }
    bool was_shadow = secret->shadow;
    secret->shadow = document_bool(&document, "shadow", was_shadow);
    if (secret->shadow && !was_shadow) {
        secret->check =
            (struct source_shadow_check){ .since_ms = INSTANT_NONE, .missed_at_ms = INSTANT_NONE };
    }
    if (json_object_get(document.root, "expires_at") != NULL) {
        secret->expires_at_ms = document_instant(&document, "expires_at");
        if (secret->expires_at_ms != INSTANT_NONE && secret->expires_at_ms <= request->now_ms) {
            document_fail(&document, "expires_at", "invalid-field",
                          "expires_at lies in the future; delete the secret to end it now");
        }
    }
    return document.status;
}

static enum status find_secret(const struct resource_request *request,
                               const struct source_full *source,
                               struct source_secret_row *out_secret, struct problem *problem)
{
    struct id id = ID_ZERO;
    bool is_id = id_parse(request->part, &id);
    for (size_t i = 0; is_id && i < source->secret_count; i++) {
        if (id_equal(source->secrets[i].id, id)) {
            *out_secret = source->secrets[i];
            return STATUS_OK;
        }
    }
    return resource_missing(STATUS_MISSING, "secret", request->part, problem);
}

enum status resource_source_secret_update(const struct resource_request *request,
                                          struct resource_answer *out_answer,
                                          struct problem *problem)
{
    struct source_full source;
    struct source_secret_row secret = { .shadow = false };
    enum status status = source_load(request, &source, problem);
    if (status == STATUS_OK) {
        status = find_secret(request, &source, &secret, problem);
    }
    if (status == STATUS_OK) {
        status = read_secret_patch(request, &secret, problem);
    }
    if (status == STATUS_OK && !request->validate_only) {
        struct secret_change change = { .source = &source.row, .secret = &secret };
        status =
            resource_transact(request, source.row.workspace_id, update_secret, &change, problem);
        status = resource_missing(status, "secret", request->part, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, request->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    source_secret_write_json(&json, &secret, (struct str){ NULL, 0 });
    return resource_answer_set(&buf, RESOURCE_CHANGED, 0, out_answer, problem);
}

static enum status delete_secret(const struct resource_request *request, const void *what,
                                 struct problem *problem)
{
    const struct secret_change *change = what;
    return source_secret_delete(request->pg, request->arena, change->source->workspace_id,
                                change->source->id, change->secret->id, problem);
}

enum status resource_source_secret_delete(const struct resource_request *request,
                                          struct resource_answer *out_answer,
                                          struct problem *problem)
{
    struct source_row row;
    struct source_secret_row secret = { .shadow = false };
    enum status status = source_find(request->pg, request->arena, request->principal->workspace_id,
                                     request->name, request->now_ms, &row, problem);
    if (status != STATUS_OK) {
        return resource_missing(status, "source", request->name, problem);
    }
    status = STATUS_MISSING;
    if (id_parse(request->part, &secret.id)) {
        struct secret_change change = { .source = &row, .secret = &secret };
        status = request->validate_only ? STATUS_OK
                                        : resource_transact(request, row.workspace_id,
                                                            delete_secret, &change, problem);
    }
    if (status == STATUS_OK) {
        *out_answer = (struct resource_answer){ .effect = RESOURCE_DELETED };
    }
    return resource_missing(status, "secret", request->part, problem);
}

/* --- verify --------------------------------------------------------------- */

/* The body's base64 and the headers, as the hot path would see them. */
static enum status read_inbound(const struct resource_request *request, const struct source *source,
                                struct inbound *inbound, struct problem *problem)
{
    static const char *const fields[] = {
        "body", "headers", "method", "query", "token", "address"
    };
    struct arena *arena = request->arena;
    struct document CLEANUP(document_close) document = { .root = NULL };
    enum status status = document_open(&document, arena, request->body, problem);
    if (status != STATUS_OK) {
        return status;
    }
    document_allow(&document, fields, ARRAY_COUNT(fields));
    document_need(&document, "body");
    document_need(&document, "headers");
    struct str text = document_text(&document, "body", request->body.size);
    size_t size = 0;
    uint8_t *bytes = arena_alloc(arena, text.size + 1);
    if (bytes == NULL) {
        return problem_set(problem, STATUS_LIMIT, "limit-reached", "the request is too big");
    }
    if (document.status == STATUS_OK && !base64_decode(text, bytes, text.size + 1, &size)) {
        document_fail(&document, "body", "invalid-field", "body is the raw body in base64");
    }
    (void)document_object(&document, "headers");
    if (document.status != STATUS_OK) {
        return document.status;
    }
    json_t *object = json_object_get(document.root, "headers");
    struct inbound_header *headers =
        ARENA_NEW_ARRAY(arena, json_object_size(object) + 1, struct inbound_header);
    const char *key = NULL;
    json_t *value = NULL;
    size_t count = 0;
    json_object_foreach(object, key, value)
    {
        if (!json_is_string(value)) {
            document_fail(&document, "headers", "invalid-field", "every header is a string");
        } else if (headers != NULL) {
            headers[count++] = (struct inbound_header){
                .name = str_dup(arena, str_from_z(key)),
                .value = str_dup(
                    arena, (struct str){ json_string_value(value), json_string_length(value) }),
            };
        }
    }
    char id[ID_TEXT_SIZE];
    id_format(source->id, id);
    *inbound = (struct inbound){
        .headers = headers,
        .header_count = count,
        .body = { (const char *)bytes, size },
        .received_at_ms = request->now_ms,
        .is_get = str_equal(document_text(&document, "method", 16), STR("GET")),
        .query = document_text(&document, "query", LIMIT_TEXT_BYTES),
        .token = document_text(&document, "token", LIMIT_TEXT_BYTES),
        .client = document_text(&document, "address", LIMIT_TEXT_BYTES),
        .url = source->notification_url.size > 0
                   ? source->notification_url
                   : str_printf(arena, "%s/v1/hooks/%s", request->api->public_url, id),
    };
    return document.status;
}

static void write_outcome(struct jsonw *json, const struct resource_request *request,
                          const struct source_full *source, const struct inbound *inbound)
{
    struct normalised normalised = { .event_count = 0 };
    struct problem why = { .type = "" };
    enum normalise_verdict verdict = platform_normalise(source->platform, request->arena,
                                                        &source->core, inbound, &normalised, &why);
    static const char *const NAMES[] = { "events",     "ignored",   "handshake",
                                         "unreadable", "too_large", "foreign" };
    jsonw_put_z(json, "outcome", NAMES[verdict]);
    jsonw_put_str_or_null(json, "topic", normalised.topic);
    jsonw_put_str_or_null(json, "dedup_key", normalised.dedup_key);
    jsonw_put_z(json, "outcome_reason", why.detail[0] != '\0' ? why.detail : NULL);
    jsonw_key(json, "events");
    jsonw_open_array(json);
    for (size_t i = 0; verdict == NORMALISE_EVENTS && i < normalised.event_count; i++) {
        const struct event *event = &normalised.events[i];
        jsonw_open(json);
        jsonw_put_id(json, "id", event->id);
        jsonw_put_str(json, "type", event->name);
        jsonw_put_instant(json, "occurred_at", event->occurred_at_ms);
        jsonw_put_i64(json, "identifiers", (int64_t)event->identifier_count);
        jsonw_close(json);
    }
    jsonw_close_array(json);
}

static void write_verdict(struct jsonw *json, const struct resource_request *request,
                          const struct source_full *source, const struct inbound *inbound)
{
    const struct platform *platform = source->platform;
    struct verify_result result =
        verify_inbound(platform_signature(platform, &source->core), &source->core, inbound,
                       request->arena, request->api->key_ring);
    enum signature_verdict verdict = result.verdict;
    if (verdict == SIGNATURE_VALID && platform->is_own_shop != NULL &&
        !platform->is_own_shop(&source->core, inbound)) {
        verdict = SIGNATURE_SHOP_MISMATCH;
    }
    if (verdict == SIGNATURE_VALID && inbound->client.size > 0 &&
        !inbound_address_is_allowed(&source->core, inbound)) {
        verdict = SIGNATURE_ADDRESS_NOT_ALLOWED;
    }
    bool is_valid = verdict == SIGNATURE_VALID;
    struct handshake handshake = { .http_status = 0 };
    bool is_ping = platform->greet != NULL &&
                   platform->greet(request->arena, &source->core, inbound, &handshake);
    jsonw_open(json);
    jsonw_put_bool(json, "valid", is_valid);
    jsonw_put_z(json, "reason", is_valid ? NULL : signature_verdict_name(verdict));
    jsonw_put_z(json, "hint", is_valid ? NULL : signature_verdict_hint(verdict));
    jsonw_put_bool(json, "is_ping", is_ping);
    jsonw_put_i64(json, "secrets_tried", (int64_t)result.secrets_tried);
    jsonw_put_i64(json, "shadow_matches", __builtin_popcount(result.shadows_matched));
    jsonw_key(json, "secret");
    if (result.verdict == SIGNATURE_VALID && result.secret_index < source->secret_count) {
        jsonw_open(json);
        jsonw_put_id(json, "id", source->secrets[result.secret_index].id);
        jsonw_put_str(json, "label", source->secrets[result.secret_index].label);
        jsonw_close(json);
    } else {
        jsonw_null(json);
    }
    jsonw_put_i64(json, "body_bytes", (int64_t)inbound->body.size);
    write_outcome(json, request, source, inbound);
    jsonw_close(json);
}

enum status resource_source_verify(const struct resource_request *request,
                                   struct resource_answer *out_answer, struct problem *problem)
{
    struct source_full source;
    struct inbound inbound = { .header_count = 0 };
    enum status status = source_load(request, &source, problem);
    if (status == STATUS_OK) {
        status = source_open_secrets(request, &source, problem);
    }
    if (status == STATUS_OK) {
        status = read_inbound(request, &source.core, &inbound, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, request->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    write_verdict(&json, request, &source, &inbound);
    return resource_answer_set(&buf, RESOURCE_SHOWN, 0, out_answer, problem);
}
