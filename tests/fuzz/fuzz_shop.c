#include "adapter.h"

/*
 * Any bytes as a delivery of a shop whose body says for itself what it is: the
 * first line is the platform's name. A claim that is read from the body before
 * anybody has vouched for it gets the same bytes.
 */

static const char *const PLATFORMS[] = {
    "bigcommerce", "ecwid", "etsy", "shopware", "square", "squarespace", "stripe",
};

static void read_claim(const struct platform *platform, struct str body)
{
    struct arena *arena = arena_create((size_t)1024 * 1024);
    const struct source source = { .id = { { 1 } } };
    struct inbound_header headers[] = {
        { STR("x-ecwid-webhook-signature"), STR("AAAA") },
        { STR("shopware-app-signature"), STR("00") },
        { STR("shopware-shop-signature"), STR("00") },
    };
    struct inbound inbound = {
        .headers = headers,
        .header_count = ARRAY_COUNT(headers),
        .body = body,
        .query = body,
        .is_get = body.size % 2 == 1,
        .received_at_ms = ADAPTER_NOW_MS,
    };
    struct signature_claim claim = { .timestamp_ms = INSTANT_NONE };
    must(arena != NULL);
    if (platform->signature.read_claim(arena, &source, &inbound, &claim) == SIGNATURE_VALID) {
        must(claim.signature_count > 0 && claim.piece_count > 0);
    }
    arena_destroy(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = { (const char *)data, size };
    struct str name = { NULL, 0 };
    struct str body = { NULL, 0 };
    if (!str_split(input, '\n', &name, &body)) {
        return 0;
    }
    for (size_t i = 0; i < ARRAY_COUNT(PLATFORMS); i++) {
        if (str_equal_z(name, PLATFORMS[i])) {
            const struct platform *platform = platform_find(name);
            adapter_try(PLATFORMS[i], "x-none", input);
            if (platform->signature.read_claim != NULL) {
                read_claim(platform, body);
            }
        }
    }
    return 0;
}
