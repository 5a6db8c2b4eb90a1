#include <sodium.h>

#include "api/key_format.h"
#include "base/clock.h"
#include "base/instant.h"
#include "source_stats_priv.h"

/*
 * Whose key is this?
 *
 * Runs on epoll threads, so it asks the registry's snapshot and nothing else.
 * A key that was misspelt fails its own checksum before anything is looked up;
 * one that is known is compared by its keyed hash in constant time.
 */

enum http_auth api_authenticate(void *app, struct arena *arena, struct str key,
                                struct principal *out_principal)
{
    const struct api *api = app;
    struct str prefix = { NULL, 0 };
    if (!key_format_check(key, &prefix)) {
        return HTTP_AUTH_UNKNOWN;
    }
    const struct registry_snapshot *snapshot = registry_hold(api->registry);
    const struct registry_key *known = snapshot_key(snapshot, prefix);
    enum http_auth verdict = HTTP_AUTH_UNKNOWN;
    int64_t now_ms = clock_now_ms();
    if (known != NULL) {
        uint8_t hash[SEAL_HASH_SIZE];
        seal_key_hash(api->seal, key, hash);
        if (sodium_memcmp(hash, known->secret_hash, sizeof(hash)) == 0) {
            bool is_expired =
                known->expires_at_ms != INSTANT_NONE && known->expires_at_ms <= now_ms;
            verdict = is_expired ? HTTP_AUTH_EXPIRED : HTTP_AUTH_OK;
        }
    }
    if (verdict == HTTP_AUTH_OK) {
        struct principal principal = known->principal;
        principal.workspace_name = str_dup(arena, principal.workspace_name);
        principal.key_name = str_dup(arena, principal.key_name);
        *out_principal = principal;
        source_stats_key_used(api->source_stats, principal.workspace_id, principal.key_id, now_ms);
    }
    registry_release(api->registry, snapshot);
    return verdict;
}
