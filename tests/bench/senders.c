#include <dirent.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/codec.h"
#include "base/instant.h"
#include "shared_payload.h"
#include "sources/platform.h"
#include "verify/verify.h"

/*
 * What a sender costs: its signature over a body of 1,300 bytes, a second, and its
 * payloads through its adapter, in nanoseconds a byte.
 *
 * One core, processor time, no HTTP and no database. Each signature is made here and
 * must be valid. Adapters read the real payloads of $SHOPBELL_SHARED, each platform
 * its own, as bodies of their usual topics; what it prints is JSON for
 * tests/bench/engine.py. A payload that an adapter ignores by its topic header is
 * still parsed where the topic stands in the body; so the figure is per byte given.
 */

enum {
    BODY_BYTES = 1300,
    HEADERS_MAX = 6,
    FILES_MAX = 256,
};

#define NOW_MS INT64_C(1795000000000)
#define NOW_S "1795000000"

static void must(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "senders: %s\n", what);
        exit(1);
    }
}

static double processor_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* --- schemes ---------------------------------------------------------------------- */

struct scheme {
    const char *name;
    const char *platform;
    const char *secret;
    const char *header; /* where the signature goes */
    const char *format; /* around the encoded signature */
    const char *before; /* signed before the body */
    const struct {
        const char *name;
        const char *value;
    } more[2];
    bool is_hex;
};

static const struct scheme SCHEMES[] = {
    { "hmac_sha256_base64",
      "shopify",
      "correct-horse-battery",
      "x-shopify-hmac-sha256",
      "%s",
      "",
      { { NULL, NULL } },
      false },
    { "hmac_sha256_hex_pairs",
      "stripe",
      "whsec_correct_horse",
      "stripe-signature",
      "t=" NOW_S ",v1=%s",
      NOW_S ".",
      { { NULL, NULL } },
      true },
    { "standard_webhooks",
      "standard_webhooks",
      "whsec_Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5LXN0YXBsZQ==",
      "webhook-signature",
      "v1,%s",
      "msg_1." NOW_S ".",
      { { "webhook-id", "msg_1" }, { "webhook-timestamp", NOW_S } },
      false },
};

static struct str sign_mac(struct arena *arena, const struct scheme *scheme, struct str body)
{
    uint8_t key[64];
    size_t key_size = strlen(scheme->secret);
    uint8_t mac[crypto_auth_hmacsha256_BYTES];
    memcpy(key, scheme->secret, key_size);
    if (strcmp(scheme->name, "standard_webhooks") == 0) {
        must(base64_decode(str_drop(str_from_z(scheme->secret), 6), key, sizeof(key), &key_size),
             "the key");
    }
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, key, key_size);
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)scheme->before, strlen(scheme->before));
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)body.data, body.size);
    crypto_auth_hmacsha256_final(&state, mac);
    struct str text = scheme->is_hex ? hex_encode(arena, mac, sizeof(mac))
                                     : base64_encode(arena, mac, sizeof(mac));
    ptrdiff_t place = str_find(str_from_z(scheme->format), '%', 0);
    return str_printf(arena, "%.*s%.*s", (int)place, scheme->format, STR_ARG(text));
}

static void measure(const char *name, const struct signature_spec *spec,
                    const struct source *source, const struct inbound *inbound, double seconds,
                    bool is_first)
{
    struct arena *arena = arena_create((size_t)1024 * 1024);
    must(arena != NULL, "memory");
    double start = processor_s();
    double took = 0;
    int64_t count = 0;
    for (; took < seconds; took = processor_s() - start) {
        for (int i = 0; i < 200; i++) {
            struct verify_result result = verify_inbound(spec, source, inbound, arena, NULL);
            must(result.verdict == SIGNATURE_VALID, name);
            arena_reset(arena);
        }
        count += 200;
    }
    arena_destroy(arena);
    printf("%s\"%s\": %.0f", is_first ? "" : ", ", name, (double)count / took);
}

static void measure_scheme(const struct scheme *scheme, struct str body, double seconds,
                           bool is_first)
{
    struct arena *arena = arena_create((size_t)1024 * 1024);
    const struct platform *platform = platform_find(str_from_z(scheme->platform));
    must(arena != NULL && platform != NULL, scheme->platform);
    struct inbound_header headers[HEADERS_MAX] = {
        { str_from_z(scheme->header), sign_mac(arena, scheme, body) },
    };
    size_t count = 1;
    for (size_t i = 0; i < 2 && scheme->more[i].name != NULL; i++) {
        headers[count++] = (struct inbound_header){ str_from_z(scheme->more[i].name),
                                                    str_from_z(scheme->more[i].value) };
    }
    struct source_secret secret = { .value = str_from_z(scheme->secret),
                                    .expires_at_ms = INSTANT_NEVER };
    struct source source = { .secrets = &secret, .secret_count = 1 };
    struct inbound inbound = {
        .headers = headers, .header_count = count, .body = body, .received_at_ms = NOW_MS
    };
    measure(scheme->name, &platform->signature, &source, &inbound, seconds, is_first);
    arena_destroy(arena);
}

/* A key pair made here; the public half as PEM. */
static struct str make_key(struct arena *arena, EVP_PKEY *key)
{
    char *text = NULL;
    BIO *bio = BIO_new(BIO_s_mem());
    must(bio != NULL && PEM_write_bio_PUBKEY(bio, key) == 1, "a key");
    long size = BIO_get_mem_data(bio, &text);
    struct str pem = str_dup(arena, (struct str){ text, (size_t)size });
    BIO_free(bio);
    return pem;
}

static struct str sign_with(struct arena *arena, EVP_PKEY *key, struct str data)
{
    uint8_t bytes[1024];
    size_t size = sizeof(bytes);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    must(context != NULL && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
             EVP_DigestSign(context, bytes, &size, (const uint8_t *)data.data, data.size) == 1,
         "signing");
    EVP_MD_CTX_free(context);
    return base64_encode(arena, bytes, size);
}

static void measure_public(const char *name, enum signature_algorithm algorithm, EVP_PKEY *key,
                           struct str body, double seconds)
{
    struct arena *arena = arena_create((size_t)1024 * 1024);
    must(arena != NULL && key != NULL, name);
    struct signature_spec spec = { .algorithm = algorithm,
                                   .encoding = SIGNATURE_BASE64,
                                   .key_form = SIGNATURE_KEY_PUBLIC,
                                   .syntax = SIGNATURE_ALONE,
                                   .headers = { { .signature = "signature" } } };
    struct inbound_header header = { STR("signature"), sign_with(arena, key, body) };
    struct source_secret secret = { .value = make_key(arena, key), .expires_at_ms = INSTANT_NEVER };
    struct source source = { .secrets = &secret, .secret_count = 1 };
    struct inbound inbound = {
        .headers = &header, .header_count = 1, .body = body, .received_at_ms = NOW_MS
    };
    measure(name, &spec, &source, &inbound, seconds, false);
    EVP_PKEY_free(key);
    arena_destroy(arena);
}

static void measure_bearer(struct str body, double seconds)
{
    struct signature_spec spec = { .algorithm = SIGNATURE_BEARER, .key_form = SIGNATURE_KEY_TEXT };
    struct source_secret secret = { .value = STR("0123456789abcdef0123456789abcdef"),
                                    .expires_at_ms = INSTANT_NEVER };
    struct source source = { .secrets = &secret, .secret_count = 1 };
    struct inbound inbound = { .body = body, .received_at_ms = NOW_MS, .token = secret.value };
    measure("secret_in_the_address", &spec, &source, &inbound, seconds, false);
}

/* --- adapters ---------------------------------------------------------------------- */

struct payloads {
    struct str bodies[FILES_MAX];
    size_t count;
    size_t bytes;
};

static bool read_payloads(struct arena *arena, const char *folder, struct payloads *payloads)
{
    char path[SHARED_PATH_SIZE];
    shared_payload_path(folder, path);
    DIR *files = opendir(path);
    *payloads = (struct payloads){ .count = 0 };
    for (struct dirent *entry = files != NULL ? readdir(files) : NULL; entry != NULL;
         entry = readdir(files)) {
        char file[SHARED_PATH_SIZE + 300];
        struct str name = str_from_z(entry->d_name);
        if (!str_ends_with(name, STR(".json")) || payloads->count == FILES_MAX) {
            continue;
        }
        snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
        struct str *body = &payloads->bodies[payloads->count];
        if (shared_file_read(arena, file, body)) {
            payloads->bytes += body->size;
            payloads->count++;
        }
    }
    if (files != NULL) {
        closedir(files);
    }
    return payloads->bytes > 0;
}

static const struct {
    const char *platform;
    const char *folder;
    const char *header; /* of the topic, where it is a header */
    const char *topic;
} ADAPTERS[] = {
    { "shopify", "shopify", "x-shopify-topic", "orders/updated" },
    { "woocommerce", "woocommerce", "x-wc-webhook-topic", "order.updated" },
    { "bigcommerce", "bigcommerce", NULL, NULL },
    { "square", "square", NULL, NULL },
    { "stripe", "stripe", NULL, NULL },
    { "shopware", "shopware", NULL, NULL },
    { "saleor", "saleor", "saleor-event", "notify_user" },
    { "adobe_commerce", "adobe_commerce", NULL, NULL },
    { "etsy", "etsy", NULL, NULL },
    { "sendgrid", "sendgrid", NULL, NULL },
    { "mailgun", "mailgun", NULL, NULL },
    { "postmark", "postmark", NULL, NULL },
    { "brevo", "brevo", NULL, NULL },
    { "sparkpost", "sparkpost", NULL, NULL },
    { "customerio", "customerio", NULL, NULL },
    { "mailjet", "mailjet", NULL, NULL },
    { "mailersend", "mailersend", NULL, NULL },
    { "resend", "resend", NULL, NULL },
};

/* Nanoseconds a byte; 0 without payloads. */
static double adapter_cost(size_t index, double seconds)
{
    struct arena *files = arena_create((size_t)64 * 1024 * 1024);
    struct arena *arena = arena_create((size_t)64 * 1024 * 1024);
    const struct platform *platform = platform_find(str_from_z(ADAPTERS[index].platform));
    struct payloads payloads;
    struct problem problem;
    struct source source = { .id = { { 1 } },
                             .name = STR("main"),
                             .platform = str_from_z(ADAPTERS[index].platform),
                             .currency = STR("EUR"),
                             .time_zone = STR("UTC") };
    if (platform == NULL || files == NULL || arena == NULL ||
        !read_payloads(files, ADAPTERS[index].folder, &payloads) ||
        platform_parse_settings(files, platform, STR("{}"), &source, &problem) != STATUS_OK) {
        arena_destroy(files);
        arena_destroy(arena);
        return 0;
    }
    struct inbound_header header = { str_from_z(ADAPTERS[index].header),
                                     str_from_z(ADAPTERS[index].topic) };
    double start = processor_s();
    double took = 0;
    double bytes = 0;
    for (; took < seconds; took = processor_s() - start) {
        for (size_t i = 0; i < payloads.count; i++) {
            struct normalised normalised = { .event_count = 0 };
            struct inbound inbound = { .headers = &header,
                                       .header_count = ADAPTERS[index].header != NULL,
                                       .body = payloads.bodies[i],
                                       .received_at_ms = NOW_MS };
            (void)platform_normalise(platform, arena, &source, &inbound, &normalised, &problem);
            arena_reset(arena);
        }
        bytes += (double)payloads.bytes;
    }
    arena_destroy(files);
    arena_destroy(arena);
    return took * 1e9 / bytes;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 0.5;
    static char bytes[BODY_BYTES];
    must(sodium_init() >= 0, "libsodium");
    memset(bytes, 'a', sizeof(bytes));
    struct str body = { bytes, sizeof(bytes) };
    printf("{\"verified_per_s\": {");
    for (size_t i = 0; i < sizeof(SCHEMES) / sizeof(SCHEMES[0]); i++) {
        measure_scheme(&SCHEMES[i], body, seconds, i == 0);
    }
    measure_bearer(body, seconds);
    measure_public("rsa_2048_sha256", SIGNATURE_RSA_SHA256, EVP_RSA_gen(2048), body, seconds);
    measure_public("ecdsa_p256_sha256", SIGNATURE_ECDSA_SHA256, EVP_EC_gen("P-256"), body, seconds);
    printf("}, \"adapter_ns_per_byte\": {");
    bool is_first = true;
    for (size_t i = 0; i < sizeof(ADAPTERS) / sizeof(ADAPTERS[0]); i++) {
        double cost = adapter_cost(i, seconds);
        if (cost > 0) {
            printf("%s\"%s\": %.1f", is_first ? "" : ", ", ADAPTERS[i].platform, cost);
            is_first = false;
        }
    }
    printf("}}\n");
    return 0;
}
