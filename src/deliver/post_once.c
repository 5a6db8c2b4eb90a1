#include <curl/curl.h>
#include <sodium.h>

#include "base/clock.h"
#include "base/limits.h"
#include "deliver/address_guard.h"
#include "deliver/destination.h"
#include "deliver/sender.h"
#include "deliver/transfer.h"

/*
 * One message while somebody waits for the outcome: the challenge and the test
 * message of a subscription.
 *
 * The same transfer, the same rules as the sender's; only the driving differs.
 * No queue and no retry: whoever waits can ask again. Rejected: sending it
 * through the sender's queue, where it would stand behind real messages.
 */

static void destination_release_at(struct destination **destination)
{
    destination_release(*destination);
}

static void transfer_destroy_at(struct transfer **transfer)
{
    transfer_destroy(*transfer);
}

static void library_finish(const bool *started)
{
    if (*started) {
        curl_global_cleanup();
    }
}

enum status sender_post_once(const struct sender_config *config, struct arena *arena,
                             const struct endpoint *endpoint, struct str webhook_id,
                             struct str body, struct sender_answer *out_answer)
{
    struct address_guard guard;
    enum status status = address_guard_init(&guard, config->allow_networks, NULL);
    if (status != STATUS_OK) {
        return status;
    }
    bool library CLEANUP(library_finish) = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    if (!library || sodium_init() < 0) {
        return STATUS_BROKEN;
    }
    struct transfer_rules rules = {
        .guard = &guard,
        .allow_http = config->allow_http,
        .ca_file = config->ca_file,
    };
    struct destination *destination CLEANUP(destination_release_at) = destination_create(endpoint);
    struct transfer *transfer CLEANUP(transfer_destroy_at) =
        transfer_create(&rules, LIMIT_DELIVERY_ANSWER_BYTES, NULL);
    if (destination == NULL || transfer == NULL) {
        return STATUS_BROKEN;
    }
    status = transfer_begin(transfer, destination, webhook_id, body, clock_now_ms());
    if (status != STATUS_OK) {
        return status;
    }
    CURLcode code = curl_easy_perform(transfer_handle(transfer));
    struct transfer_result result;
    transfer_finish(transfer, code, clock_now_ms(), &result);
    struct sender_answer answer = {
        .status = result.status,
        .body = str_dup(arena, result.body),
        .error = str_from_z(result.error), /* static text */
    };
    if (arena_is_full(arena)) {
        return STATUS_LIMIT;
    }
    *out_answer = answer;
    return STATUS_OK;
}
