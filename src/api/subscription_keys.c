#include <assert.h>

#include <sodium.h>

#include "base/codec.h"
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

enum {
    V1_KEY_SIZE = 32
};

static void wipe(struct str plain)
{
    void *left = NULL;
    memcpy(&left, &plain.data, sizeof(left)); /* the arena is ours to wipe */
    sodium_memzero(left, plain.size);
}

static bool open_one(const struct resource_request *request,
                     const struct subscription_secret_row *row, struct endpoint_secret *out_secret)
{
    struct str plain = { NULL, 0 };
    if (seal_open(request->api->seal, request->arena, SUBSCRIPTION_SECRET_TABLE, row->id,
                  row->sealed, &plain) != STATUS_OK) {
        return false;
    }
    bool is_sound = endpoint_secret_read(plain, out_secret);
    wipe(plain);
    return is_sound;
}

enum status subscription_keys_open(const struct resource_request *request, const struct id *ids,
                                   size_t id_count, struct subscription_keys *out_keys,
                                   struct problem *problem)
{
    struct subscription_keys keys = { .count = 0 };
    size_t count = 0;
    enum status status =
        subscription_secret_list(request->pg, request->arena, request->principal->workspace_id, ids,
                                 id_count, request->now_ms, &keys.rows, &count, problem);
    if (status != STATUS_OK) {
        return status;
    }
    keys.secrets = ARENA_NEW_ARRAY(request->arena, count + 1, struct endpoint_secret);
    if (keys.secrets == NULL) {
        return problem_set(problem, STATUS_LIMIT, "limit-reached", "too many secrets at once");
    }
    for (size_t i = 0; i < count; i++) {
        if (open_one(request, &keys.rows[i], &keys.secrets[keys.count])) {
            keys.rows[keys.count++] = keys.rows[i];
        }
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

static void put_public_key(struct jsonw *json, const struct endpoint_secret *secret)
{
    const uint8_t *public_key = secret->key + sizeof(secret->key) - crypto_sign_PUBLICKEYBYTES;
    char text[64] = "whpk_";
    sodium_bin2base64(text + 5, sizeof(text) - 5, public_key, crypto_sign_PUBLICKEYBYTES,
                      sodium_base64_VARIANT_ORIGINAL);
    jsonw_put_z(json, "key", text);
}

/* "whsec_" or "whsk_" and base64. */
static struct str secret_text(const struct resource_request *request, bool is_v1a)
{
    uint8_t key[crypto_sign_SECRETKEYBYTES];
    uint8_t public_key[crypto_sign_PUBLICKEYBYTES];
    size_t size = is_v1a ? sizeof(key) : V1_KEY_SIZE;
    if (is_v1a) {
        crypto_sign_keypair(public_key, key);
    } else {
        randombytes_buf(key, size);
    }
    struct str text = base64_encode(request->arena, key, size);
    sodium_memzero(key, sizeof(key));
    struct str secret =
        str_printf(request->arena, "%s_%.*s", is_v1a ? "whsk" : "whsec", STR_ARG(text));
    if (text.size > 0) {
        wipe(text);
    }
    return secret;
}

enum status subscription_secrets_make(const struct resource_request *request,
                                      const struct str *schemes, size_t scheme_count,
                                      struct subscription_secrets_new *out_secrets,
                                      struct problem *problem)
{
    struct subscription_secrets_new secrets = { .count = 0 };
    assert(scheme_count <= ARRAY_COUNT(secrets.items));
    for (size_t i = 0; i < scheme_count; i++) {
        bool is_v1a = str_equal_z(schemes[i], "v1a");
        struct str text = secret_text(request, is_v1a);
        struct id id = id_create();
        struct str sealed = { NULL, 0 };
        if (text.size == 0 ||
            seal_close(request->api->seal, request->arena, SUBSCRIPTION_SECRET_TABLE, id, text,
                       &sealed) != STATUS_OK) {
            return problem_set(problem, STATUS_BROKEN, "internal",
                               "the secret could not be sealed");
        }
        if (is_v1a) {
            wipe(text);
        } else {
            secrets.shown = text;
        }
        secrets.items[secrets.count].id = id;
        secrets.items[secrets.count++].sealed = sealed;
    }
    *out_secrets = secrets;
    return STATUS_OK;
}

enum status subscription_secrets_insert(const struct resource_request *request,
                                        const struct subscription_row *row,
                                        const struct subscription_secrets_new *secrets,
                                        struct problem *problem)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < secrets->count; i++) {
        status = subscription_secret_insert(request->pg, request->arena, row->workspace_id, row->id,
                                            secrets->items[i].id, secrets->items[i].sealed,
                                            request->now_ms, problem);
    }
    return status;
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
