#include <string.h>

#include "base/buf.h"
#include "base/jsonw.h"
#include "handlers_priv.h"
#include "ingest_priv.h"
#include "sources/platform.h"
#include "verify/verify.h"

/*
 * POST /v1/hooks/{source_id}: a shop tells us something.
 *
 * Runs whole on an epoll thread: look up, verify the raw bytes, normalise,
 * hand to intake, suspend. Nothing is parsed before the signature holds, and
 * the one answer to a bad one says nothing of why: the reason is for the
 * source's owner, in its health.
 *
 * An id the registry does not know yet is a 404. Creating a source refreshes
 * the registry before its 201, so no shop can have such an id in good faith
 * but in the quarter second until other instances have polled.
 */

/* What is worth keeping of a webhook's headers, and what adapters read. */
static const char *const KEPT[] = {
    "content-type",
    "user-agent",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "svix-id",
    "svix-timestamp",
    "svix-signature",
    "x-shopify-hmac-sha256",
    "x-shopify-topic",
    "x-shopify-shop-domain",
    "x-shopify-webhook-id",
    "x-shopify-event-id",
    "x-shopify-triggered-at",
    "x-shopify-api-version",
    "x-shopify-test",
    "shopify-hmac-sha256",
    "shopify-topic",
    "shopify-shop-domain",
    "shopify-webhook-id",
    "shopify-event-id",
    "shopify-triggered-at",
    "shopify-api-version",
    "x-wc-webhook-source",
    "x-wc-webhook-topic",
    "x-wc-webhook-resource",
    "x-wc-webhook-event",
    "x-wc-webhook-signature",
    "x-wc-webhook-id",
    "x-wc-webhook-delivery-id",
};

/* A header twice stays twice: a second signature is no signature. */
enum {
    KEPT_REPEATS_MAX = 2
};

static bool inbound_collect(struct http_exchange *x, struct inbound *inbound)
{
    struct inbound_header *headers =
        ARENA_NEW_ARRAY(http_arena(x), ARRAY_COUNT(KEPT) * KEPT_REPEATS_MAX, struct inbound_header);
    if (headers == NULL) {
        return false;
    }
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_COUNT(KEPT); i++) {
        size_t repeats = http_header_count(x, KEPT[i]);
        for (size_t j = 0; j < repeats && j < KEPT_REPEATS_MAX; j++) {
            headers[count++] = (struct inbound_header){ .name = str_from_z(KEPT[i]),
                                                        .value = http_header(x, KEPT[i]) };
        }
    }
    *inbound = (struct inbound){
        .headers = headers,
        .header_count = count,
        .body = http_body(x),
        .received_at_ms = http_received_at_ms(x),
    };
    return true;
}

static void reply_problem(struct http_exchange *x, enum status status, const char *type,
                          const char *detail)
{
    struct problem problem;
    (void)problem_set(&problem, status, type, "%s", detail);
    http_reply_problem(x, &problem);
}

/* The topic that the headers claim, for the failure's report only. */
static struct str claimed_topic(const struct inbound *inbound)
{
    static const char *const NAMES[] = { "x-shopify-topic", "shopify-topic", "x-wc-webhook-topic" };
    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++) {
        struct str topic = inbound_header(inbound, NAMES[i]);
        if (topic.size > 0) {
            return topic;
        }
    }
    return (struct str){ NULL, 0 };
}

/* True when signed by a live secret and of this very shop; else answered. */
static bool verify_or_refuse(struct http_exchange *x, const struct api *api,
                             const struct source *source, const struct platform *platform,
                             const struct inbound *inbound)
{
    struct verify_result result = verify_inbound(&platform->signature, source, inbound);
    if (result.verdict == SIGNATURE_VALID && platform->is_own_shop != NULL &&
        !platform->is_own_shop(source, inbound)) {
        result.verdict = SIGNATURE_SHOP_MISMATCH;
    }
    if (result.verdict == SIGNATURE_VALID) {
        source_stats_secret_used(api->source_stats, source->workspace_id, source->id,
                                 source->secrets[result.secret_index].id, inbound->received_at_ms);
        return true;
    }
    struct source_failure failure = {
        .verdict = result.verdict,
        .topic = claimed_topic(inbound),
        .secrets_tried = result.secrets_tried,
        .body_bytes = inbound->body.size,
    };
    source_stats_fail(api->source_stats, source->workspace_id, source->id, &failure,
                      inbound->received_at_ms);
    reply_problem(x, STATUS_DENIED, "signature-invalid", "the signature is not valid");
    return false;
}

static void count_ignored(const struct api *api, const struct source *source, int64_t at_ms)
{
    struct source_counts ignored = { .ignored = 1 };
    source_stats_count(api->source_stats, source->workspace_id, source->id, &ignored, at_ms);
}

/* Reads the body and hands it on. HTTP_PENDING: the snapshot went along. */
static enum http_outcome take_verified(struct http_exchange *x, const struct api *api,
                                       const struct registry_snapshot *snapshot,
                                       const struct source *source, const struct platform *platform,
                                       const struct inbound *inbound, bool *out_released)
{
    struct arena *arena = http_arena(x);
    struct normalised normalised = { .event_count = 0 };
    struct problem why = { .type = "" };
    enum normalise_verdict verdict = platform->normalise(arena, source, inbound, &normalised, &why);
    if (verdict == NORMALISE_IGNORED || verdict == NORMALISE_PING ||
        (verdict == NORMALISE_EVENTS && normalised.event_count == 0)) {
        count_ignored(api, source, inbound->received_at_ms);
        ingest_answer_ignored(x, 1);
        return HTTP_DONE;
    }
    struct ingest *ingest = ingest_create(x, api, snapshot, source);
    if (ingest == NULL || verdict == NORMALISE_FULL) {
        reply_problem(x, STATUS_RETRY, "overloaded", "no memory for this request");
        return HTTP_DONE;
    }
    struct intake_delivery *delivery = &ingest->delivery;
    char receipt[ID_TEXT_SIZE];
    id_format(delivery->receipt_id, receipt);
    delivery->topic = normalised.topic.size > 0 ? normalised.topic : claimed_topic(inbound);
    delivery->dedup_key =
        normalised.dedup_key.size > 0 ? normalised.dedup_key : str_dup(arena, str_from_z(receipt));
    delivery->headers_json = ingest_headers_json(arena, inbound);
    if (verdict == NORMALISE_UNREADABLE) {
        const char *reason = str_dup_z(arena, str_from_z(why.detail));
        delivery->quarantine_reason = reason != NULL ? reason : "unreadable";
    } else {
        delivery->events = normalised.events;
        delivery->event_count = normalised.event_count;
    }
    http_set_answer_deadline(x, platform->answer_ms);
    *out_released = true;
    return ingest_submit(ingest);
}

static enum http_outcome receive(struct http_exchange *x, const struct api *api,
                                 const struct registry_snapshot *snapshot, bool *out_released)
{
    struct id source_id = ID_ZERO;
    const struct source *source = NULL;
    if (id_parse(http_path_param(x, "source_id"), &source_id)) {
        source = snapshot_source(snapshot, source_id);
    }
    const struct platform *platform = source != NULL ? platform_find(source->platform) : NULL;
    if (source == NULL || platform == NULL || platform->trust != TRUST_SIGNED) {
        reply_problem(x, STATUS_MISSING, "object-not-found", "no source takes webhooks here");
        return HTTP_DONE;
    }
    if (source->deleted) {
        reply_problem(x, STATUS_MISSING, "source-deleted", "the source was deleted");
        return HTTP_DONE;
    }
    struct inbound inbound;
    if (!inbound_collect(x, &inbound)) {
        reply_problem(x, STATUS_RETRY, "overloaded", "no memory for this request");
        return HTTP_DONE;
    }
    if (platform->is_ping != NULL && platform->is_ping(&inbound)) {
        ingest_answer_ignored(x, 1);
        return HTTP_DONE;
    }
    if (!verify_or_refuse(x, api, source, platform, &inbound)) {
        return HTTP_DONE;
    }
    return take_verified(x, api, snapshot, source, platform, &inbound, out_released);
}

enum http_outcome handle_hook(struct http_exchange *x, void *app)
{
    const struct api *api = app;
    const struct registry_snapshot *snapshot = registry_hold(api->registry);
    bool released = false;
    enum http_outcome outcome = receive(x, api, snapshot, &released);
    if (!released) {
        registry_release(api->registry, snapshot);
    }
    return outcome;
}
