#include "adapter.h"

/*
 * Any bytes as a delivery of a shop: the first line is the platform's name, and where
 * its topic stands in a header the second is that. A claim that is read from the body before
 * anybody has vouched for it gets the same bytes.
 */

static const char *const PLATFORMS[] = {
    "adobe_commerce",
    "adobe_io_events",
    "amazon_sns",
    "bigcommerce",
    "commercetools",
    "ecwid",
    "etsy",
    "saleor",
    "ses",
    "shopware",
    "square",
    "squarespace",
    "stripe",
    "wix",
};

/* Of the platforms that have such: whose topics and clients are ours. */
static const char SETTINGS[] = "{\"site_url\":\"https://shop.example\"}";
static const char SNS_SETTINGS[] = "{\"topic_arns\":[\"arn:aws:sns:eu-west-1:1:t\"]}";

static void read_claim(const struct platform *platform, struct str body)
{
    struct arena *arena = arena_create((size_t)16 * 1024 * 1024);
    must(arena != NULL);
    struct source source = { .id = { { 1 } } };
    bool is_sns = str_starts_with(body, STR("{\"Type\""));
    /* A platform that does not know them takes none. */
    enum status status = platform_parse_settings(
        arena, platform, str_from_z(is_sns ? SNS_SETTINGS : SETTINGS), &source, NULL);
    must(status == STATUS_OK || status == STATUS_INVALID);
    struct inbound_header headers[] = {
        { STR("x-adobe-digital-signature-1"), STR("AAAA") },
        { STR("x-adobe-public-key1-path"), str_take(body, 64) },
        { STR("saleor-signature"), str_take(body, 512) },
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
            if (platform->topic_headers != NULL) {
                adapter_try(PLATFORMS[i], platform->topic_headers[0], body);
            } else {
                adapter_try(PLATFORMS[i], "x-none", input);
            }
            if (platform->signature.read_claim != NULL) {
                read_claim(platform, body);
            }
        }
    }
    return 0;
}
