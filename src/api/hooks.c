#include <string.h>

#include "base/instant.h"
#include "base/limits.h"
#include "handlers_priv.h"
#include "inbound_priv.h"
#include "ingest_priv.h"
#include "source_priv.h"
#include "verify/verify.h"

/*
 * POST /v1/hooks/{source_id}[/{token}]: a shop tells us something. GET is the
 * handshake of those that ask first.
 *
 * Runs whole on an epoll thread: look up, verify the raw bytes, normalise,
 * hand to intake, suspend. Nothing is parsed before the signature holds (but what
 * a claim inside the body takes), and the one answer to a bad one says nothing of
 * why: the reason is for the source's owner, in its health.
 *
 * Three things may block, and go on on a worker: fetching a key that the sender
 * publishes (then the request is judged again from the start), visiting the
 * address that a handshake names, and storing the secret that one establishes.
 *
 * An id the registry does not know yet is a 404. Creating a source refreshes
 * the registry before its 201, so no shop can have such an id in good faith
 * but in the quarter second until other instances have polled.
 */

enum {
    KEYS_TRIED_MAX = 2, /* Adobe signs with two */
};

/* One request under way; in its exchange's arena. */
struct hook {
    struct http_exchange *x;
    const struct api *api;
    const struct registry_snapshot *snapshot; /* held until the answer, or until intake has it */
    const struct source *source;
    const struct platform *platform;
    struct inbound inbound;
    struct str key_url; /* to be fetched */
    unsigned keys_tried;
    struct handshake handshake;
};

static void reply_problem(struct http_exchange *x, enum status status, const char *type,
                          const char *detail)
{
    struct problem problem;
    (void)problem_set(&problem, status, type, "%s", detail);
    http_reply_problem(x, &problem);
}

static enum http_outcome done(struct hook *hook)
{
    registry_release(hook->api->registry, hook->snapshot);
    return HTTP_DONE;
}

/* --- refusals ------------------------------------------------------------- */

static enum http_outcome refuse(struct hook *hook, enum signature_verdict verdict,
                                size_t secrets_tried)
{
    const struct source *source = hook->source;
    struct source_failure failure = {
        .verdict = verdict,
        .topic = inbound_topic(hook->platform, &hook->inbound),
        .secrets_tried = secrets_tried,
        .body_bytes = hook->inbound.body.size,
    };
    source_stats_fail(hook->api->source_stats, source->workspace_id, source->id, &failure,
                      hook->inbound.received_at_ms);
    if (verdict == SIGNATURE_ADDRESS_NOT_ALLOWED) {
        reply_problem(hook->x, STATUS_DENIED, "address-not-allowed",
                      "this source takes requests from certain addresses only");
    } else if (verdict == SIGNATURE_KEY_WANTED) {
        /* Not the sender's fault: it shall come again. */
        reply_problem(hook->x, STATUS_RETRY, "overloaded", "the signing key cannot be fetched");
    } else {
        reply_problem(hook->x, STATUS_DENIED, "signature-invalid", "the signature is not valid");
    }
    return done(hook);
}

/* --- handshakes ----------------------------------------------------------- */

static void count_ignored(const struct hook *hook)
{
    struct source_counts ignored = { .ignored = 1 };
    source_stats_count(hook->api->source_stats, hook->source->workspace_id, hook->source->id,
                       &ignored, hook->inbound.received_at_ms);
}

static void reply_handshake(struct hook *hook)
{
    const struct handshake *handshake = &hook->handshake;
    if (handshake->http_status == 0) {
        ingest_answer_ignored(hook->x, 1);
    } else {
        http_reply(hook->x, handshake->http_status, handshake->content_type, handshake->body);
    }
}

struct new_secret {
    const struct source *source;
    struct source_secret_row row;
    struct str drops_label; /* empty: none */
};

/* A registration that never came to an end leaves one that nobody used; one that
 * is replaced lives on for a while, for who has not heard of the new one. */
static enum status retire_secret(const struct resource_request *request,
                                 const struct new_secret *new, const struct source_secret_row *row,
                                 size_t *kept, struct problem *problem)
{
    bool is_final = new->drops_label.size > 0;
    bool is_same = str_equal(row->label, new->row.label);
    if ((is_final && str_equal(row->label, new->drops_label)) ||
        (!is_final && is_same && row->last_used_at_ms == INSTANT_NONE)) {
        (*kept)--;
        return source_secret_delete(request->pg, request->arena, new->source->workspace_id,
                                    new->source->id, row->id, problem);
    }
    return is_final && is_same
               ? source_secret_expire(request->pg, request->arena, new->source->workspace_id,
                                      new->source->id, row->id,
                                      request->now_ms + LIMIT_SECRET_OVERLAP_MS, problem)
               : STATUS_OK;
}

static enum status insert_secret(const struct resource_request *request, const void *what,
                                 struct problem *problem)
{
    const struct new_secret *new = what;
    struct source_secret_row *rows = NULL;
    size_t count = 0;
    enum status status = source_secret_list(request->pg, request->arena, new->source->workspace_id,
                                            new->source->id, &rows, &count, problem);
    size_t kept = count;
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        status = retire_secret(request, new, &rows[i], &kept, problem);
    }
    if (status == STATUS_OK) {
        status =
            resource_room((int64_t)kept, LIMIT_SECRETS_PER_SOURCE, "secrets a source", problem);
    }
    return status == STATUS_OK
               ? source_secret_insert(request->pg, request->arena, new->source->workspace_id,
                                      new->source->id, &new->row, problem)
               : status;
}

static enum status store_secret(struct hook *hook, struct problem *problem)
{
    struct resource_request request = {
        .api = hook->api,
        .pg = http_worker_context(hook->x),
        .arena = http_arena(hook->x),
        .now_ms = hook->inbound.received_at_ms,
    };
    struct new_secret new = {
        .source = hook->source,
        .drops_label = str_from_z(hook->handshake.drops_label),
        .row = { .id = id_create(),
                 .label = str_from_z(hook->handshake.new_secret_label),
                 .created_at_ms = request.now_ms,
                 .expires_at_ms = hook->handshake.new_secret_lives_ms > 0
                                      ? request.now_ms + hook->handshake.new_secret_lives_ms
                                      : INSTANT_NONE,
                 .last_used_at_ms = INSTANT_NONE },
    };
    enum status status =
        source_seal_secret(&request, hook->handshake.new_secret, &new.row, problem);
    return status == STATUS_OK ? resource_transact(&request, hook->source->workspace_id,
                                                   insert_secret, &new, problem)
                               : status;
}

static bool visit(struct hook *hook)
{
    struct sender_answer answer = { .status = 0 };
    enum status status =
        sender_get_once(hook->api->sender_config, http_arena(hook->x), hook->handshake.visit_url,
                        LIMIT_DELIVERY_ANSWER_BYTES, &answer);
    return status == STATUS_OK && answer.status >= 200 && answer.status < 300;
}

static enum http_outcome finish_handshake(struct http_exchange *x, void *app)
{
    (void)app;
    struct hook *hook = http_user_data(x);
    struct problem problem;
    enum status status = STATUS_OK;
    if (hook->handshake.new_secret.size > 0) {
        status = store_secret(hook, &problem);
    }
    if (status != STATUS_OK) {
        http_reply_status(x, status, &problem);
    } else if (hook->handshake.visit_url.size > 0 && !visit(hook)) {
        reply_problem(x, STATUS_RETRY, "overloaded", "the address to confirm does not answer");
    } else {
        reply_handshake(hook);
    }
    return done(hook);
}

/* HTTP_DONE from the queue's refusal leaves the snapshot to us. */
static enum http_outcome go_on(struct hook *hook, http_continue_fn *next)
{
    enum http_outcome outcome = http_continue_on_worker(hook->x, next);
    return outcome == HTTP_DONE ? done(hook) : outcome;
}

static enum http_outcome shake_hands(struct hook *hook)
{
    count_ignored(hook);
    if (hook->handshake.visit_url.size > 0 || hook->handshake.new_secret.size > 0) {
        return go_on(hook, finish_handshake);
    }
    reply_handshake(hook);
    return done(hook);
}

/* --- deliveries ----------------------------------------------------------- */

static void describe(struct hook *hook, struct intake_delivery *delivery,
                     const struct normalised *normalised)
{
    struct arena *arena = http_arena(hook->x);
    char receipt[ID_TEXT_SIZE];
    id_format(delivery->receipt_id, receipt);
    delivery->topic = normalised->topic.size > 0 ? normalised->topic
                                                 : inbound_topic(hook->platform, &hook->inbound);
    delivery->dedup_key = normalised->dedup_key.size > 0 ? normalised->dedup_key
                                                         : str_dup(arena, str_from_z(receipt));
    delivery->headers_json =
        inbound_headers_json(arena, hook->platform, hook->source, &hook->inbound);
}

/* Signed: reads the body and hands it on. */
static enum http_outcome take_verified(struct hook *hook)
{
    struct arena *arena = http_arena(hook->x);
    struct normalised normalised = { .event_count = 0 };
    struct problem why = { .type = "" };
    enum normalise_verdict verdict =
        platform_normalise(hook->platform, arena, hook->source, &hook->inbound, &normalised, &why);
    if (verdict == NORMALISE_FOREIGN) {
        return refuse(hook, SIGNATURE_SHOP_MISMATCH, 0);
    }
    if (verdict == NORMALISE_HANDSHAKE) {
        hook->handshake = normalised.handshake;
        return shake_hands(hook);
    }
    if (verdict == NORMALISE_IGNORED ||
        (verdict == NORMALISE_EVENTS && normalised.event_count == 0)) {
        count_ignored(hook);
        ingest_answer_ignored(hook->x, 1);
        return done(hook);
    }
    struct ingest *ingest = ingest_create(hook->x, hook->api, hook->snapshot, hook->source);
    if (ingest == NULL || verdict == NORMALISE_FULL) {
        reply_problem(hook->x, STATUS_RETRY, "overloaded", "no memory for this request");
        return done(hook);
    }
    struct intake_delivery *delivery = &ingest->delivery;
    ingest->accepted_json = str_from_z(hook->platform->accepted_json);
    describe(hook, delivery, &normalised);
    if (verdict == NORMALISE_UNREADABLE) {
        const char *reason = str_dup_z(arena, str_from_z(why.detail));
        delivery->quarantine_reason = reason != NULL ? reason : "unreadable";
    } else {
        delivery->events = normalised.events;
        delivery->event_count = normalised.event_count;
    }
    http_set_answer_deadline(hook->x, hook->platform->answer_ms);
    return ingest_submit(ingest);
}

static enum http_outcome judge(struct hook *hook);

static enum http_outcome fetch_key(struct http_exchange *x, void *app)
{
    (void)app;
    struct hook *hook = http_user_data(x);
    struct sender_answer answer = { .status = 0 };
    enum status status = sender_get_once(hook->api->sender_config, http_arena(x), hook->key_url,
                                         KEY_RING_DOCUMENT_BYTES_MAX, &answer);
    if (status == STATUS_OK && answer.status == 200 && answer.is_whole &&
        key_ring_put(hook->api->key_ring, hook->key_url, answer.body,
                     hook->inbound.received_at_ms) == STATUS_OK) {
        return judge(hook);
    }
    return refuse(hook, SIGNATURE_KEY_WANTED, 0);
}

/* Counted only where a secret of the source proves the request, live or shadow:
 * else anyone who knows the URL could make a good secret look bad. */
static void count_shadows(const struct hook *hook, const struct verify_result *result)
{
    const struct source *source = hook->source;
    if (result->verdict != SIGNATURE_VALID && result->shadows_matched == 0) {
        return;
    }
    for (size_t i = 0; i < source->secret_count && result->shadows_tried >> i != 0; i++) {
        if ((result->shadows_tried >> i & 1) != 0) {
            source_stats_shadow(hook->api->source_stats, source->workspace_id, source->id,
                                source->secrets[i].id, (result->shadows_matched >> i & 1) != 0,
                                hook->inbound.received_at_ms);
        }
    }
}

static enum http_outcome judge(struct hook *hook)
{
    const struct source *source = hook->source;
    const struct platform *platform = hook->platform;
    struct verify_result result =
        verify_inbound(platform_signature(platform, source), source, &hook->inbound,
                       http_arena(hook->x), hook->api->key_ring);
    if (result.verdict == SIGNATURE_KEY_WANTED && hook->keys_tried < KEYS_TRIED_MAX) {
        hook->keys_tried++;
        hook->key_url = result.key_url;
        return go_on(hook, fetch_key);
    }
    count_shadows(hook, &result);
    if (result.verdict == SIGNATURE_VALID && platform->is_own_shop != NULL &&
        !platform->is_own_shop(source, &hook->inbound)) {
        result.verdict = SIGNATURE_SHOP_MISMATCH;
    }
    if (result.verdict != SIGNATURE_VALID) {
        return refuse(hook, result.verdict, result.secrets_tried);
    }
    if (result.secret_index != VERIFY_NO_SECRET) {
        source_stats_secret_used(hook->api->source_stats, source->workspace_id, source->id,
                                 source->secrets[result.secret_index].id,
                                 hook->inbound.received_at_ms);
    }
    return take_verified(hook);
}

static enum http_outcome receive(struct hook *hook)
{
    struct http_exchange *x = hook->x;
    struct id source_id = ID_ZERO;
    if (id_parse(http_path_param(x, "source_id"), &source_id)) {
        hook->source = snapshot_source(hook->snapshot, source_id);
    }
    hook->platform = hook->source != NULL ? platform_find(hook->source->platform) : NULL;
    if (hook->platform == NULL ||
        platform_signature(hook->platform, hook->source)->algorithm == 0) {
        reply_problem(x, STATUS_MISSING, "object-not-found", "no source takes webhooks here");
        return done(hook);
    }
    if (hook->source->deleted) {
        reply_problem(x, STATUS_MISSING, "source-deleted", "the source was deleted");
        return done(hook);
    }
    if (!inbound_collect(x, hook->api->public_url, http_path_param(x, "token"), &hook->inbound)) {
        reply_problem(x, STATUS_RETRY, "overloaded", "no memory for this request");
        return done(hook);
    }
    if (hook->source->notification_url.size > 0) {
        hook->inbound.url = hook->source->notification_url;
    }
    if (!inbound_address_is_allowed(hook->source, &hook->inbound)) {
        return refuse(hook, SIGNATURE_ADDRESS_NOT_ALLOWED, 0);
    }
    if (hook->platform->greet != NULL &&
        hook->platform->greet(http_arena(x), hook->source, &hook->inbound, &hook->handshake)) {
        reply_handshake(hook);
        return done(hook);
    }
    if (hook->inbound.is_get && !hook->platform->takes_get) {
        reply_problem(x, STATUS_INVALID, "method-not-allowed", "webhooks come by POST");
        return done(hook);
    }
    return judge(hook);
}

enum http_outcome handle_hook(struct http_exchange *x, void *app)
{
    const struct api *api = app;
    struct hook *hook = ARENA_NEW(http_arena(x), struct hook);
    if (hook == NULL) {
        reply_problem(x, STATUS_RETRY, "overloaded", "no memory for this request");
        return HTTP_DONE;
    }
    *hook = (struct hook){ .x = x, .api = api, .snapshot = registry_hold(api->registry) };
    http_set_user_data(x, hook);
    return receive(hook);
}
