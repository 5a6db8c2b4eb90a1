#include <jansson.h>
#include <sodium.h>

#include "api/topic_message.h"
#include "base/clock.h"
#include "base/instant.h"
#include "base/limits.h"
#include "core/trigger/delivery.h"
#include "core/trigger/subscription.h"
#include "store/care_store.h"
#include "store/trigger_store.h"
#include "subscription_priv.h"

/*
 * What can be done with a subscription: verify, test, pause, resume, rotate.
 *
 * Verify and test call the endpoint while the asker waits, outside of any
 * transaction and past the sender's queue. The challenge is accepted as the
 * body's whole text or as {"challenge": "..."}; who cannot echo copies the
 * value out of the log into a second request. An ESP in its own format is not asked
 * for an echo, but whether it knows the key.
 */

static enum status read_keys(const struct resource_request *request,
                             const struct subscription_row *row, struct endpoint *endpoint,
                             struct problem *problem)
{
    struct subscription_keys keys CLEANUP(subscription_keys_wipe) = { .count = 0 };
    enum status status = subscription_keys_open(request, &row->id, 1, &keys, problem);
    for (size_t i = 0; status == STATUS_OK && i < keys.count && i < ENDPOINT_SECRETS_MAX; i++) {
        endpoint->secrets[endpoint->secret_count++] = keys.secrets[i];
    }
    if (status == STATUS_OK && endpoint->secret_count == 0) {
        return problem_set(problem, STATUS_BROKEN, "internal",
                           "no secret to sign with: sealed under another master key?");
    }
    return status;
}

static void read_header_lines(struct arena *arena, struct str headers_json,
                              struct endpoint *endpoint)
{
    json_t *headers = json_loadb(headers_json.data, headers_json.size, 0, NULL);
    struct str *lines = ARENA_NEW_ARRAY(arena, json_object_size(headers) + 1, struct str);
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(headers, key, value)
    {
        if (lines != NULL && json_is_string(value)) {
            lines[endpoint->header_count++] =
                str_printf(arena, "%s: %s", key, json_string_value(value));
        }
    }
    endpoint->header_lines = lines;
    json_decref(headers);
}

/* One signed POST now. */
static enum status call_endpoint(const struct resource_request *request,
                                 const struct subscription_row *row, struct id message_id,
                                 const struct rendition *message, struct sender_answer *out_answer,
                                 struct problem *problem)
{
    const struct sender_config *config = request->api->sender_config;
    if (config == NULL) {
        return problem_set(problem, STATUS_BROKEN, "internal", "this process sends nothing");
    }
    struct endpoint endpoint = {
        .url = row->url,
        .concurrency = 1,
        .timeout_ms = row->timeout_ms,
        .active = true,
    };
    read_header_lines(request->arena, row->headers_json, &endpoint);
    enum status status = subscription_is_native(row)
                             ? subscription_endpoint_native(request, row, &endpoint, problem)
                             : read_keys(request, row, &endpoint, problem);
    if (status != STATUS_OK) {
        return status;
    }
    char id[ID_TEXT_SIZE];
    id_format(message_id, id);
    status = sender_post_rendition(config, request->arena, &endpoint, str_from_z(id), message,
                                   out_answer);
    sodium_memzero(endpoint.secrets, sizeof(endpoint.secrets));
    if (status != STATUS_OK) {
        return problem_set(problem, status, "internal", "the request could not be made");
    }
    return STATUS_OK;
}

static struct str challenge_body(const struct resource_request *request,
                                 const struct subscription_row *row, struct id message_id)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, request->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    jsonw_put_id(&json, "id", message_id);
    jsonw_put_z(&json, "type", "subscription.challenge");
    jsonw_put_instant(&json, "timestamp", request->now_ms);
    jsonw_put_str(&json, "workspace", request->principal->workspace_name);
    jsonw_put_bool(&json, "test", true);
    jsonw_key(&json, "data");
    jsonw_open(&json);
    jsonw_key(&json, "subscription");
    jsonw_open(&json);
    jsonw_put_str(&json, "name", row->name);
    jsonw_close(&json);
    jsonw_put_str(&json, "challenge", row->challenge);
    jsonw_close(&json);
    jsonw_close(&json);
    return buf_str(&buf);
}

static bool is_echo(struct str answer, struct str challenge)
{
    struct str text = str_trim(answer);
    if (str_equal(text, challenge)) {
        return true;
    }
    if (!document_is_shallow(text)) {
        return false;
    }
    json_t *root = json_loadb(text.data, text.size, JSON_DECODE_ANY, NULL);
    const json_t *value = json_is_string(root) ? root : json_object_get(root, "challenge");
    struct str echoed = { json_string_value(value), json_string_length(value) };
    bool same = echoed.data != NULL && str_equal(echoed, challenge);
    json_decref(root);
    return same;
}

static enum status send_challenge(const struct resource_request *request,
                                  struct subscription_row *row, struct problem *problem)
{
    struct id message_id = id_create();
    struct sender_answer answer = { .status = 0 };
    const struct rendition message = { .body = challenge_body(request, row, message_id) };
    enum status status = call_endpoint(request, row, message_id, &message, &answer, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (answer.status == 0) {
        return problem_set(problem, STATUS_INVALID, "challenge-failed",
                           "the endpoint did not answer: %.*s",
                           STR_ARG(str_take_text(answer.error, 200)));
    }
    if (answer.status < 200 || answer.status > 299) {
        return problem_set(problem, STATUS_INVALID, "challenge-failed",
                           "the endpoint answered %d; 2xx with the challenge is needed",
                           (int)answer.status);
    }
    if (!is_echo(answer.body, row->challenge)) {
        return problem_set(problem, STATUS_INVALID, "challenge-failed",
                           "the endpoint answered %d without the challenge: echo it, or confirm it "
                           "with POST .../verify {\"challenge\":\"...\"}",
                           (int)answer.status);
    }
    return STATUS_OK;
}

static enum status check_confirmation(const struct resource_request *request,
                                      const struct subscription_row *row, struct str value,
                                      struct problem *problem)
{
    bool is_live = row->challenge.size > 0 && row->challenge_expires_at_ms > request->now_ms;
    if (!is_live || value.size != row->challenge.size ||
        sodium_memcmp(value.data, row->challenge.data, value.size) != 0) {
        enum status status = problem_set(problem, STATUS_INVALID, "challenge-failed",
                                         is_live ? "this is not the challenge"
                                                 : "the challenge has expired; send a new one with "
                                                   "POST .../verify without a body");
        problem_point(problem, "#/challenge");
        return status;
    }
    return STATUS_OK;
}

/* What failed before is forgotten: it is another endpoint, or was mended. */
static enum status forgive(const struct resource_request *request, const void *what,
                           struct problem *problem)
{
    const struct subscription_row *row = what;
    return care_forgive(request->pg, request->arena, row->workspace_id, row->id, request->now_ms,
                        problem);
}

enum status resource_subscription_verify(const struct resource_request *request,
                                         struct resource_answer *out_answer,
                                         struct problem *problem)
{
    static const char *const fields[] = { "challenge" };
    struct subscription_row row;
    struct document CLEANUP(document_close) document = { .root = NULL };
    enum status status = subscription_load(request, &row, problem);
    if (status == STATUS_OK) {
        status = document_open(&document, request->arena, request->body, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    document_allow(&document, fields, ARRAY_COUNT(fields));
    struct str value = document_text(&document, "challenge", 64);
    status = document.status;
    if (status == STATUS_OK && subscription_is_native(&row)) {
        status = subscription_probe(request, &row, problem);
    } else if (status == STATUS_OK && value.size > 0) {
        status = check_confirmation(request, &row, value, problem);
    } else if (status == STATUS_OK) {
        if (row.challenge.size == 0 || row.challenge_expires_at_ms <= request->now_ms) {
            subscription_make_challenge(request, &row);
            status = subscription_save(request, &row, problem);
        }
        if (status == STATUS_OK) {
            status = send_challenge(request, &row, problem);
        }
    }
    bool is_confirmed = status == STATUS_OK && str_equal(row.status, STR("pending"));
    if (is_confirmed) {
        status = resource_transact(request, row.workspace_id, forgive, &row, problem);
    }
    if (status == STATUS_OK && is_confirmed) {
        row.status = STR("active");
        row.status_reason = (struct str){ NULL, 0 };
        row.challenge = (struct str){ NULL, 0 };
        row.challenge_expires_at_ms = INSTANT_NONE;
        status = subscription_save(request, &row, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    return subscription_answer(request, &row, (struct str){ NULL, 0 }, RESOURCE_CHANGED, out_answer,
                               problem);
}

/* Nothing but the challenge goes to a URL that nobody has confirmed. */
static enum status refuse_pending(const struct subscription_row *row, struct problem *problem)
{
    if (!str_equal(row->status, STR("pending"))) {
        return STATUS_OK;
    }
    return problem_set(problem, STATUS_INVALID, "invalid-field",
                       "the subscription is not verified yet: POST "
                       "/v1/subscriptions/%.*s/verify",
                       STR_ARG(row->name));
}

/* In the subscription's own form, where it has one: alarms have none. */
static enum status write_test(const struct resource_request *request, struct subscription_row *row,
                              struct str topic, const struct topic_example *example,
                              struct rendition *out_rendition, struct problem *problem)
{
    struct topic_message made;
    struct choice choice;
    struct resource_answer unused = { .effect = RESOURCE_SHOWN };
    enum status status = subscription_check_choice(request, row, &choice, &unused, problem);
    if (status != STATUS_OK) {
        return status;
    }
    *out_rendition =
        (struct rendition){ .body = topic_example_write(request->arena, topic, example) };
    bool is_rendered = choice.projection != NULL || example->trigger != NULL;
    if (!is_rendered || !topic_message_init(&made, topic, example)) {
        return STATUS_OK;
    }
    return projection_render(request->arena, choice.projection, &made.message, out_rendition)
               ? STATUS_OK
               : problem_set(problem, STATUS_LIMIT, "limit-reached", "the message is too large");
}

struct test_call {
    struct id id;
    struct str topic;
    struct rendition message;
    int64_t duration_ms;
    struct sender_answer answer;
};

static enum status answer_test(const struct resource_request *request,
                               const struct subscription_row *row, const struct test_call *call,
                               struct resource_answer *out_answer, struct problem *problem)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, request->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    jsonw_put_bool(&json, "delivered", call->answer.status >= 200 && call->answer.status < 300);
    jsonw_put_id(&json, "notification_id", call->id);
    jsonw_put_str(&json, "topic", call->topic);
    jsonw_put_i64(&json, "duration_ms", call->duration_ms);
    jsonw_key(&json, "request");
    jsonw_open(&json);
    jsonw_put_str(&json, "url", row->url);
    jsonw_put_i64(&json, "body_bytes", (int64_t)call->message.body.size);
    jsonw_close(&json);
    jsonw_key(&json, "response");
    if (call->answer.status == 0) {
        jsonw_null(&json);
    } else {
        jsonw_open(&json);
        jsonw_put_i64(&json, "status", call->answer.status);
        jsonw_put_str(&json, "body", str_is_text(call->answer.body) ? call->answer.body : STR(""));
        jsonw_close(&json);
    }
    jsonw_put_str_or_null(&json, "error", call->answer.error);
    jsonw_close(&json);
    return resource_answer_set(&buf, RESOURCE_SHOWN, 0, out_answer, problem);
}

/* Where an ESP gets it, or why it does not. */
static enum status aim_native(const struct resource_request *request, struct subscription_row *row,
                              const struct test_call *call, struct problem *problem)
{
    if (!subscription_is_native(row)) {
        return STATUS_OK;
    }
    if (topic_is_of_service(call->topic)) {
        return problem_set(problem, STATUS_INVALID, "invalid-field",
                           "\"%.*s\" is about the service, and an ESP takes events of customers",
                           STR_ARG(call->topic));
    }
    if (!native_is_call(call->message.body)) {
        return problem_set(problem, STATUS_INVALID, "invalid-field", "%.*s",
                           STR_ARG(str_take_text(call->message.body, 200)));
    }
    if (call->message.target.size > 0) {
        row->url = str_printf(request->arena, "%.*s%.*s", STR_ARG(native_url_origin(row->url)),
                              STR_ARG(call->message.target));
    }
    return STATUS_OK;
}

enum status resource_subscription_test(const struct resource_request *request,
                                       struct resource_answer *out_answer, struct problem *problem)
{
    static const char *const fields[] = { "topic" };
    struct subscription_row row;
    struct document CLEANUP(document_close) document = { .root = NULL };
    enum status status = subscription_load(request, &row, problem);
    if (status == STATUS_OK) {
        status = refuse_pending(&row, problem);
    }
    if (status == STATUS_OK) {
        status = document_open(&document, request->arena, request->body, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    document_allow(&document, fields, ARRAY_COUNT(fields));
    struct str topic = document_text(&document, "topic", LIMIT_NAME_BYTES);
    if (document.status == STATUS_OK && topic.size == 0) {
        topic = STR("lifecycle.changed");
    }
    struct topic_example example = {
        .id = id_create(),
        .at_ms = request->now_ms,
        .expires_at_ms = delivery_expires_at_ms(request->now_ms, 0, row.max_age_ms),
        .workspace = request->principal->workspace_name,
        .test = true,
    };
    struct test_call call = { .id = example.id, .topic = topic };
    struct trigger_row trigger;
    if (document.status == STATUS_OK && !topic_is_built_in(topic)) {
        status = trigger_store_of_topic(request->pg, request->arena,
                                        request->principal->workspace_id, topic, &trigger, problem);
        example.trigger = status == STATUS_OK ? &trigger.definition : NULL;
        status = status == STATUS_MISSING ? STATUS_OK : status;
    }
    if (document.status == STATUS_OK && status == STATUS_OK) {
        status = write_test(request, &row, topic, &example, &call.message, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (document.status == STATUS_OK && call.message.body.size == 0) {
        document_fail(&document, "topic", "invalid-field",
                      "no topic is called \"%.*s\"; see GET /v1/topics", STR_ARG(topic));
    }
    if (document.status != STATUS_OK) {
        return document.status;
    }
    status = aim_native(request, &row, &call, problem);
    if (status != STATUS_OK) {
        return status;
    }
    int64_t begun_ms = clock_monotonic_ms();
    status = call_endpoint(request, &row, example.id, &call.message, &call.answer, problem);
    call.duration_ms = clock_monotonic_ms() - begun_ms;
    if (status != STATUS_OK) {
        return status;
    }
    return answer_test(request, &row, &call, out_answer, problem);
}

/* Moves to `to` when the status is one of `from`; already there is fine. */
static enum status move_to(const struct resource_request *request, struct str to, struct str reason,
                           struct resource_answer *out_answer, struct problem *problem)
{
    struct subscription_row row;
    enum status status = subscription_load(request, &row, problem);
    if (status == STATUS_OK) {
        status = resource_match(request, row.version, problem);
    }
    if (status == STATUS_OK) {
        status = refuse_pending(&row, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (!str_equal(row.status, to) && !request->validate_only) {
        row.status = to;
        row.status_reason = reason;
        status = subscription_save(request, &row, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    return subscription_answer(request, &row, (struct str){ NULL, 0 }, RESOURCE_CHANGED, out_answer,
                               problem);
}

enum status resource_subscription_pause(const struct resource_request *request,
                                        struct resource_answer *out_answer, struct problem *problem)
{
    return move_to(request, STR("paused"), STR("operator"), out_answer, problem);
}

enum status resource_subscription_resume(const struct resource_request *request,
                                         struct resource_answer *out_answer,
                                         struct problem *problem)
{
    struct subscription_row row;
    enum status status = subscription_load(request, &row, problem);
    if (status == STATUS_OK) {
        status = resource_match(request, row.version, problem);
    }
    bool is_stopped = status == STATUS_OK &&
                      (str_equal_z(row.status, "paused") || str_equal_z(row.status, "disabled"));
    if (is_stopped && !request->validate_only) {
        status = resource_transact(request, row.workspace_id, forgive, &row, problem);
    }
    return status == STATUS_OK
               ? move_to(request, STR("active"), (struct str){ NULL, 0 }, out_answer, problem)
               : status;
}

struct rotation {
    const struct subscription_row *row;
    const struct subscription_keys *former;
    const struct subscription_secrets_new *secrets;
    int64_t former_until_ms;
};

static enum status rotate_secret(const struct resource_request *request, const void *what,
                                 struct problem *problem)
{
    const struct rotation *rotation = what;
    const struct subscription_row *row = rotation->row;
    /* Its version grows, so that no change of the schemes comes between. */
    enum status status = resource_changed_meanwhile(
        subscription_update(request->pg, request->arena, row, problem), problem);
    if (status == STATUS_OK) {
        status = subscription_secret_purge(request->pg, request->arena, row->workspace_id, row->id,
                                           request->now_ms, problem);
    }
    for (size_t i = 0; status == STATUS_OK && i < rotation->former->count; i++) {
        status = subscription_secret_expire(request->pg, request->arena, row->workspace_id,
                                            &rotation->former->rows[i], rotation->former_until_ms,
                                            problem);
    }
    return status == STATUS_OK
               ? subscription_secrets_insert(request, row, rotation->secrets, problem)
               : status;
}

/* Every live secret signs, so there can be only so many (contract 9: what was
 * promised to overlap does). */
static enum status check_room(const struct subscription_keys *former, int64_t overlap_ms,
                              struct problem *problem)
{
    size_t counts[2] = { 0, 0 };
    for (size_t i = 0; i < former->count; i++) {
        counts[former->secrets[i].scheme == SIGNATURE_V1A]++;
    }
    if (overlap_ms > 0 &&
        (counts[0] >= ENDPOINT_SECRETS_PER_SCHEME || counts[1] >= ENDPOINT_SECRETS_PER_SCHEME)) {
        return problem_set(problem, STATUS_INVALID, "limit-reached",
                           "%d secrets sign already: wait until one ends, or end them all now with "
                           "{\"overlap\":\"0s\"}",
                           ENDPOINT_SECRETS_PER_SCHEME);
    }
    return STATUS_OK;
}

static enum status rotate(const struct resource_request *request, struct subscription_row *row,
                          int64_t overlap_ms, struct str *out_shown, struct problem *problem)
{
    struct subscription_secrets_new secrets = { .count = 0 };
    struct subscription_keys former CLEANUP(subscription_keys_wipe) = { .count = 0 };
    enum status status = subscription_keys_open(request, &row->id, 1, &former, problem);
    if (status == STATUS_OK) {
        status = check_room(&former, overlap_ms, problem);
    }
    if (status != STATUS_OK || request->validate_only) {
        return status;
    }
    status =
        subscription_secrets_make(request, row->signature, row->signature_count, &secrets, problem);
    if (status == STATUS_OK) {
        struct rotation rotation = {
            .row = row,
            .former = &former,
            .secrets = &secrets,
            .former_until_ms = request->now_ms + overlap_ms,
        };
        row->updated_at_ms = request->now_ms;
        status = resource_transact(request, row->workspace_id, rotate_secret, &rotation, problem);
    }
    if (status == STATUS_OK) {
        row->version++;
        *out_shown = secrets.shown;
    }
    return status;
}

enum status resource_subscription_rotate_secret(const struct resource_request *request,
                                                struct resource_answer *out_answer,
                                                struct problem *problem)
{
    static const char *const fields[] = { "overlap" };
    struct subscription_row row;
    struct str shown = { NULL, 0 };
    struct document CLEANUP(document_close) document = { .root = NULL };
    enum status status = subscription_load(request, &row, problem);
    if (status == STATUS_OK) {
        status = document_open(&document, request->arena, request->body, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (subscription_is_native(&row)) {
        return problem_set(problem, STATUS_INVALID, "invalid-field",
                           "nothing is signed for the format \"%.*s\": give a new key with PATCH "
                           "{\"auth\":\"...\"}",
                           STR_ARG(row.format));
    }
    document_allow(&document, fields, ARRAY_COUNT(fields));
    int64_t overlap_ms =
        document_duration(&document, "overlap", INSTANT_DAY_MS, 0, 7 * INSTANT_DAY_MS);
    status = document.status;
    if (status == STATUS_OK) {
        status = rotate(request, &row, overlap_ms, &shown, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    return subscription_answer(request, &row, shown, RESOURCE_CHANGED, out_answer, problem);
}

enum status resource_subscription_public_keys(const struct resource_request *request,
                                              struct resource_answer *out_answer,
                                              struct problem *problem)
{
    struct subscription_row row;
    struct subscription_keys keys CLEANUP(subscription_keys_wipe) = { .count = 0 };
    enum status status = subscription_load(request, &row, problem);
    if (status == STATUS_OK) {
        status = subscription_keys_open(request, &row.id, 1, &keys, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, request->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    jsonw_key(&json, "data");
    subscription_keys_write(&json, &keys, row.id);
    jsonw_put_null(&json, "next_page_token");
    jsonw_close(&json);
    return resource_answer_set(&buf, RESOURCE_SHOWN, 0, out_answer, problem);
}
