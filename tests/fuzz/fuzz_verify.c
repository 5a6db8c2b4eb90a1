#include <stdlib.h>

#include "base/instant.h"
#include "core/signature.h"
#include "core/source.h"
#include "deliver/sign.h"
#include "verify/verify.h"

/*
 * Any bytes as a secret, the signature headers and a body, a line each. What
 * was not signed with a secret must not be valid, and what was must be: the
 * valid case is made here as we sign ourselves, from the same bytes.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct signature_spec SPECS[] = {
    {
        .algorithm = SIGNATURE_HMAC_SHA256,
        .encoding = SIGNATURE_BASE64,
        .key_form = SIGNATURE_KEY_HTML_DECODED,
        .syntax = SIGNATURE_ALONE,
        .headers = { { .signature = "signature" } },
    },
    {
        .algorithm = SIGNATURE_HMAC_SHA1,
        .encoding = SIGNATURE_HEX,
        .key_form = SIGNATURE_KEY_TEXT,
        .syntax = SIGNATURE_PAIRS,
        .mark = "v1",
        .content = "{timestamp}.{body}",
        .headers = { { .signature = "signature" } },
        .tolerance_ms = 300000,
    },
    {
        .algorithm = SIGNATURE_HMAC_SHA256,
        .encoding = SIGNATURE_BASE64,
        .key_form = SIGNATURE_KEY_WHSEC,
        .syntax = SIGNATURE_LIST,
        .content = "{id}.{timestamp}.{body}",
        .headers = { { "webhook-signature", "webhook-id", "webhook-timestamp" } },
        .tolerance_ms = 300000,
    },
    {
        .algorithm = SIGNATURE_RSA_SHA256,
        .encoding = SIGNATURE_BASE64URL,
        .key_form = SIGNATURE_KEY_PUBLIC,
        .syntax = SIGNATURE_ALONE,
        .content = "{body_base64}{url}{header:webhook-id}",
        .headers = { { .signature = "signature" } },
    },
};

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

static struct str next_line(struct str *rest)
{
    struct str line = *rest;
    struct str tail = { NULL, 0 };
    (void)str_split(*rest, '\n', &line, &tail);
    *rest = tail;
    return line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = { (const char *)data, size };
    struct source_secret secret = { .value = next_line(&rest), .expires_at_ms = INSTANT_NEVER };
    struct str signature = next_line(&rest);
    struct inbound_header headers[] = {
        { STR("Signature"), signature },
        { STR("Webhook-Signature"), signature },
        { STR("webhook-id"), next_line(&rest) },
        { STR("webhook-timestamp"), next_line(&rest) },
    };
    struct source source = { .secrets = &secret, .secret_count = 1 };
    struct inbound inbound = { .headers = headers,
                               .header_count = 4,
                               .body = rest,
                               .received_at_ms = INT64_C(1795000000000) };
    struct arena *arena = arena_create((size_t)1024 * 1024);
    must(arena != NULL);
    for (size_t i = 0; i < sizeof(SPECS) / sizeof(SPECS[0]); i++) {
        const char *reason = NULL;
        struct verify_result result = verify_inbound(&SPECS[i], &source, &inbound, arena, NULL);
        /* A MAC by chance is not to be expected before the sun burns out. */
        must(result.verdict != SIGNATURE_VALID);
        must(result.secrets_tried <= 1);
        (void)verify_secret_is_usable(&SPECS[i], secret.value, &reason);
        (void)signature_content_fault(secret.value, &SPECS[i].headers[0]);
    }

    char text[SIGN_V1_TEXT_SIZE];
    uint8_t key[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };
    sign_v1(key, sizeof(key), STR("msg"), STR("1795000000"), rest, text);
    secret.value = STR("whsec_AQIDBAUGBwgJCgsMDQ4PEA==");
    headers[1].value = str_from_z(text);
    headers[2].value = STR("msg");
    headers[3].value = STR("1795000000");
    must(verify_inbound(&SPECS[2], &source, &inbound, arena, NULL).verdict == SIGNATURE_VALID);
    arena_destroy(arena);
    return 0;
}
