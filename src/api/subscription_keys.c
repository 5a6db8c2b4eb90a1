#include <sodium.h>

#include "base/instant.h"
#include "subscription_priv.h"

/*
 * What a subscription signs with.
 *
 * A secret's text says its scheme ("whsec_" for v1, "whsk_" for v1a) and lies
 * sealed in one column, so nothing beside it can disagree with it. The public half
 * of a v1a key is the end of the secret one: what is published is read out of what
 * signs. Invariant: the live secrets are of exactly the schemes that the
 * subscription's `signature` names; whoever changes one changes the other in the
 * same transaction.
 *
 * Public keys are shown to who may see the subscription. Rejected: a route without
 * a key. Names are unique in a workspace only, and it is the key that says which;
 * who set the subscription up has one.
 */

static void wipe(struct str plain)
{
    void *left = NULL;
    memcpy(&left, &plain.data, sizeof(left)); /* the arena is ours to wipe */
    sodium_memzero(left, plain.size);
}

static enum status open_one(const struct resource_request *request,
                            const struct subscription_secret_row *row,
                            struct endpoint_secret *out_secret, struct problem *problem)
{
    struct str plain = { NULL, 0 };
    enum status status = seal_open(request->api->seal, request->arena, "subscription_secret",
                                   row->id, row->sealed, &plain);
    bool is_sound = status == STATUS_OK && endpoint_secret_read(plain, out_secret);
    if (status == STATUS_OK) {
        wipe(plain);
    }
    return is_sound ? STATUS_OK
                    : problem_set(problem, STATUS_BROKEN, "internal",
                                  "a secret was sealed under another master key");
}

enum status subscription_keys_open(const struct resource_request *request, const struct id *ids,
                                   size_t id_count, struct subscription_keys *out_keys,
                                   struct problem *problem)
{
    struct subscription_keys keys = { .count = 0 };
    enum status status =
        subscription_secret_list(request->pg, request->arena, request->principal->workspace_id, ids,
                                 id_count, request->now_ms, &keys.rows, &keys.count, problem);
    if (status != STATUS_OK) {
        return status;
    }
    keys.secrets = ARENA_NEW_ARRAY(request->arena, keys.count + 1, struct endpoint_secret);
    if (keys.secrets == NULL) {
        return problem_set(problem, STATUS_LIMIT, "limit-reached", "too many secrets at once");
    }
    for (size_t i = 0; i < keys.count && status == STATUS_OK; i++) {
        status = open_one(request, &keys.rows[i], &keys.secrets[i], problem);
    }
    if (status != STATUS_OK) {
        subscription_keys_wipe(&keys);
        return status;
    }
    *out_keys = keys;
    return STATUS_OK;
}

void subscription_keys_wipe(struct subscription_keys *keys)
{
    if (keys->count > 0) {
        sodium_memzero(keys->secrets, keys->count * sizeof(*keys->secrets));
    }
    keys->count = 0;
}

size_t subscription_keys_of_scheme(const struct subscription_keys *keys,
                                   enum signature_scheme scheme)
{
    size_t count = 0;
    for (size_t i = 0; i < keys->count; i++) {
        count += keys->secrets[i].scheme == scheme ? 1 : 0;
    }
    return count;
}

static void put_public_key(struct jsonw *json, const struct endpoint_secret *secret)
{
    const uint8_t *public_key =
        secret->key + sizeof(secret->key) - crypto_sign_ed25519_PUBLICKEYBYTES;
    char text[64] = "whpk_";
    sodium_bin2base64(text + 5, sizeof(text) - 5, public_key, crypto_sign_ed25519_PUBLICKEYBYTES,
                      sodium_base64_VARIANT_ORIGINAL);
    jsonw_put_z(json, "key", text);
}

void subscription_keys_write(struct jsonw *json, const struct subscription_keys *keys,
                             struct id subscription_id)
{
    jsonw_open_array(json);
    for (size_t i = 0; i < keys->count; i++) {
        if (keys->secrets[i].scheme != SIGNATURE_V1A ||
            !id_equal(keys->rows[i].subscription_id, subscription_id)) {
            continue;
        }
        jsonw_open(json);
        put_public_key(json, &keys->secrets[i]);
        jsonw_put_z(json, "algorithm", "ed25519");
        jsonw_put_instant(json, "created_at", keys->rows[i].created_at_ms);
        jsonw_put_instant(json, "expires_at", keys->rows[i].expires_at_ms);
        jsonw_close(json);
    }
    jsonw_close_array(json);
}
