#include <assert.h>

#include <curl/curl.h>
#include <sodium.h>

#include "base/clock.h"
#include "base/limits.h"
#include "deliver/address_guard.h"
#include "deliver/destination.h"
#include "deliver/key_vault.h"
#include "deliver/port_rule.h"
#include "deliver/sender.h"
#include "deliver/transfer.h"

/*
 * One call while somebody waits for the outcome: the challenge and the test
 * message of a subscription; a key that a sender publishes.
 *
 * The same transfer, the same rules as the sender's; only the driving differs.
 * No queue and no retry: whoever waits can ask again. Rejected: sending it
 * through the sender's queue, where it would stand behind real messages.
 */

enum {
    GET_TIMEOUT_MS = 3000, /* less than the 4 s that most senders give us */
};

/* What a single call is made with. */
struct call {
    struct address_guard guard;
    struct port_rule ports;
    struct key_vault *vault;
    struct destination *destination;
    struct transfer *transfer;
    bool has_library;
};

static void call_close(struct call *call)
{
    transfer_destroy(call->transfer);
    destination_release(call->destination);
    key_vault_destroy(call->vault);
    if (call->has_library) {
        curl_global_cleanup();
    }
}

static enum status call_open(struct call *call, const struct sender_config *config,
                             const struct endpoint *endpoint, size_t answer_capacity)
{
    enum status status = address_guard_init(&call->guard, config->allow_networks, NULL);
    if (status == STATUS_OK) {
        status = port_rule_init(&call->ports, config->allow_ports, config->allow_http, NULL);
    }
    if (status != STATUS_OK) {
        return status;
    }
    call->has_library = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    if (!call->has_library || sodium_init() < 0) {
        return STATUS_BROKEN;
    }
    struct transfer_rules rules = {
        .guard = &call->guard,
        .ports = &call->ports,
        .allow_http = config->allow_http,
        .ca_file = config->ca_file,
        .proxy = config->proxy,
    };
    call->vault = key_vault_create();
    call->destination = call->vault != NULL ? destination_create(call->vault, endpoint) : NULL;
    call->transfer = transfer_create(&rules, answer_capacity, NULL);
    return call->destination != NULL && call->transfer != NULL ? STATUS_OK : STATUS_BROKEN;
}

static enum status call_perform(struct call *call, struct arena *arena,
                                struct sender_answer *out_answer)
{
    CURLcode code = curl_easy_perform(transfer_handle(call->transfer));
    struct transfer_result result;
    transfer_finish(call->transfer, code, clock_now_ms(), &result);
    struct sender_answer answer = {
        .status = result.status,
        .is_whole = code == CURLE_OK,
        .body = str_dup(arena, result.body),
        .error = str_from_z(result.error), /* static text */
    };
    if (arena_is_full(arena)) {
        return STATUS_LIMIT;
    }
    *out_answer = answer;
    return STATUS_OK;
}

enum status sender_post_once(const struct sender_config *config, struct arena *arena,
                             const struct endpoint *endpoint, struct str webhook_id,
                             struct str body, struct sender_answer *out_answer)
{
    const struct rendition message = { .body = body };
    return sender_post_rendition(config, arena, endpoint, webhook_id, &message, out_answer);
}

enum status sender_post_rendition(const struct sender_config *config, struct arena *arena,
                                  const struct endpoint *endpoint, struct str webhook_id,
                                  const struct rendition *message, struct sender_answer *out_answer)
{
    struct call call CLEANUP(call_close) = { .destination = NULL };
    enum status status = call_open(&call, config, endpoint, LIMIT_DELIVERY_ANSWER_BYTES);
    if (status == STATUS_OK) {
        status =
            transfer_begin(call.transfer, call.destination, webhook_id, message, clock_now_ms());
    }
    return status == STATUS_OK ? call_perform(&call, arena, out_answer) : status;
}

enum status sender_call_once(const struct sender_config *config, struct arena *arena,
                             const struct endpoint *endpoint, struct str body,
                             struct sender_answer *out_answer)
{
    assert(endpoint->format != NATIVE_NONE);
    struct call call CLEANUP(call_close) = { .destination = NULL };
    enum status status = call_open(&call, config, endpoint, LIMIT_DELIVERY_ANSWER_BYTES);
    if (status == STATUS_OK && body.size > 0) {
        const struct rendition message = { .body = body };
        status =
            transfer_begin(call.transfer, call.destination, STR("call"), &message, clock_now_ms());
    } else if (status == STATUS_OK) {
        status = transfer_begin_get(call.transfer, call.destination);
    }
    return status == STATUS_OK ? call_perform(&call, arena, out_answer) : status;
}

enum status sender_get_once(const struct sender_config *config, struct arena *arena, struct str url,
                            size_t body_bytes_max, struct sender_answer *out_answer)
{
    struct endpoint endpoint = { .url = url, .timeout_ms = GET_TIMEOUT_MS, .active = true };
    struct call call CLEANUP(call_close) = { .destination = NULL };
    enum status status = endpoint_url_check(url, config, NULL);
    if (status == STATUS_OK) {
        status = call_open(&call, config, &endpoint, body_bytes_max);
    }
    if (status == STATUS_OK) {
        status = transfer_begin_get(call.transfer, call.destination);
    }
    return status == STATUS_OK ? call_perform(&call, arena, out_answer) : status;
}
