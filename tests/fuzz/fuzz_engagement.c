#include "adapter.h"

/*
 * What email service providers send: the first line names one (or its first
 * byte chooses one), the rest is the body. The claim inside a body is read of
 * bytes that nobody has vouched for, so it is read here, too.
 */

static const char *const PROVIDERS[] = {
    "klaviyo",    "sendgrid",  "mailgun",  "postmark", "brevo",      "sparkpost",
    "customerio", "mailchimp", "mandrill", "mailjet",  "mailersend", "resend",
};

static const char *provider_of(struct str name)
{
    for (size_t i = 0; i < ARRAY_COUNT(PROVIDERS); i++) {
        if (str_equal_z(name, PROVIDERS[i])) {
            return PROVIDERS[i];
        }
    }
    return PROVIDERS[name.size > 0 ? (unsigned char)name.data[0] % ARRAY_COUNT(PROVIDERS) : 0];
}

static void try_unproven(const struct platform *platform, struct str body)
{
    static const struct inbound_header HEADERS[] = {
        { { "klaviyo-signature", 17 }, { "00", 2 } },
        { { "klaviyo-timestamp", 17 }, { "now", 3 } },
        { { "x-mandrill-signature", 20 }, { "AA==", 4 } },
    };
    struct arena *arena = arena_create(64u * 1024 * 1024);
    struct source source = { .id = { { 1 } } };
    struct inbound inbound = { .headers = HEADERS,
                               .header_count = ARRAY_COUNT(HEADERS),
                               .body = body,
                               .received_at_ms = ADAPTER_NOW_MS,
                               .url = STR("https://bell.example/v1/hooks/1") };
    struct signature_claim claim = { .timestamp_ms = INSTANT_NONE };
    struct handshake handshake = { 0 };
    must(arena != NULL);
    if (platform->signature.read_claim != NULL &&
        platform->signature.read_claim(arena, &source, &inbound, &claim) == SIGNATURE_VALID) {
        must(claim.signature_count == 1 && claim.piece_count >= 1);
        must(claim.piece_count <= SIGNATURE_PIECES_MAX);
    }
    if (platform->greet != NULL) {
        (void)platform->greet(arena, &source, &inbound, &handshake);
    }
    arena_destroy(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = { (const char *)data, size };
    struct str name = input;
    struct str body = { NULL, 0 };
    (void)str_split(input, '\n', &name, &body);
    const char *provider = provider_of(name);
    adapter_try(provider, "X-Topic", input);
    try_unproven(platform_find(str_from_z(provider)), body);
    return 0;
}
