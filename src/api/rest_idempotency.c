#include "base/codec.h"
#include "rest_idempotency_priv.h"

/*
 * The same creation twice has one effect and one answer.
 *
 * The answer of a creation may show a secret that is shown once, so it is kept
 * sealed, bound to its key, route and body. A request that failed leaves
 * nothing: it had no effect, so the next one is the first. If the answer
 * cannot be kept, the row goes too: a repeat then meets "name-taken", which is
 * the truth.
 */

enum {
    KEY_BYTES_MAX = 255
};

static struct id fingerprint_of(const struct resource_request *request, struct str key,
                                struct str route)
{
    struct id_hash hash;
    id_hash_begin(&hash, "idempotency");
    id_hash_add_id(&hash, request->principal->workspace_id);
    id_hash_add(&hash, key);
    id_hash_add(&hash, route);
    id_hash_add(&hash, request->body);
    return id_hash_end(&hash);
}

static void reply_with(struct http_exchange *x, enum status status, const char *type,
                       const char *detail)
{
    struct problem problem;
    (void)problem_set(&problem, status, type, "%s", detail);
    http_reply_problem(x, &problem);
}

static void reply_stored(struct http_exchange *x, const struct resource_request *request,
                         const struct rest_idempotency *once,
                         const struct idempotency_answer *stored)
{
    struct arena *arena = request->arena;
    struct str plain = { NULL, 0 };
    size_t size = 0;
    uint8_t *sealed = arena_alloc(arena, stored->answer.size + 1);
    if (sealed == NULL || !base64_decode(stored->answer, sealed, stored->answer.size + 1, &size) ||
        seal_open(request->api->seal, arena, "idempotency", once->seal_id,
                  (struct str){ (const char *)sealed, size }, &plain) != STATUS_OK) {
        reply_with(x, STATUS_BROKEN, "internal", "the first answer cannot be read any more");
        return;
    }
    http_reply_json(x, (unsigned)stored->http_status, plain);
    http_reply_header(x, "Idempotency-Replayed", STR("true"));
    if (stored->location.size > 0) {
        http_reply_header(x, "Location", stored->location);
    }
}

bool rest_idempotency_begin(struct http_exchange *x, const struct resource_request *request,
                            struct rest_idempotency *once)
{
    struct str key = http_header(x, "idempotency-key");
    if (key.size == 0) {
        return true;
    }
    if (key.size > KEY_BYTES_MAX || !str_is_text(key)) {
        reply_with(x, STATUS_INVALID, "invalid-field", "Idempotency-Key has at most 255 bytes");
        return false;
    }
    once->seal_id = fingerprint_of(request, key, http_path(x));
    once->key = (struct idempotency_key){
        .workspace_id = request->principal->workspace_id,
        .key = key,
        .route = http_path(x),
        .fingerprint = { (const char *)once->seal_id.bytes, ID_SIZE },
    };
    enum idempotency_verdict verdict = IDEMPOTENCY_FIRST;
    struct idempotency_answer stored = { .http_status = 0 };
    struct problem problem = { .type = "" };
    enum status status = idempotency_begin(request->pg, request->arena, &once->key, request->now_ms,
                                           &verdict, &stored, &problem);
    if (status != STATUS_OK) {
        http_reply_status(x, status, &problem);
        return false;
    }
    switch (verdict) {
    case IDEMPOTENCY_FIRST:
        once->active = true;
        return true;
    case IDEMPOTENCY_REPEAT:
        reply_stored(x, request, once, &stored);
        return false;
    case IDEMPOTENCY_IN_PROGRESS:
        reply_with(x, STATUS_CONFLICT, "idempotency-in-progress",
                   "the first request with this key has not answered yet");
        return false;
    case IDEMPOTENCY_MISMATCH:
        reply_with(x, STATUS_INVALID, "idempotency-mismatch", "this key was used for another body");
        return false;
    }
    return false;
}

static bool keep_answer(const struct resource_request *request, const struct rest_idempotency *once,
                        const struct resource_answer *answer)
{
    struct str sealed = { NULL, 0 };
    struct problem unseen = { .type = "" };
    if (seal_close(request->api->seal, request->arena, "idempotency", once->seal_id, answer->json,
                   &sealed) != STATUS_OK) {
        return false;
    }
    struct idempotency_answer stored = {
        .http_status = answer->effect == RESOURCE_CREATED    ? 201
                       : answer->effect == RESOURCE_ACCEPTED ? 202
                                                             : 200,
        .answer = base64_encode(request->arena, (const uint8_t *)sealed.data, sealed.size),
        .location = answer->location,
    };
    return stored.answer.size > 0 && idempotency_store(request->pg, request->arena, &once->key,
                                                       &stored, &unseen) == STATUS_OK;
}

void rest_idempotency_end(const struct resource_request *request,
                          const struct rest_idempotency *once, enum status status,
                          const struct resource_answer *answer)
{
    if (!once->active || (status == STATUS_OK && keep_answer(request, once, answer))) {
        return;
    }
    struct problem unseen = { .type = "" };
    if (idempotency_forget(request->pg, request->arena, &once->key, &unseen) != STATUS_OK) {
        pg_reset(request->pg);
    }
}
