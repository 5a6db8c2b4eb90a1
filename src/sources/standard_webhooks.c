#include "base/instant.h"
#include "base/limits.h"
#include "platform_priv.h"

/*
 * Standard Webhooks carrying our own events: the way in for everything that
 * has no adapter (a till, an ERP, Medusa's subscribers, a cron job), and the
 * plain API, which is the same without a signature.
 *
 * `webhook-id` is signed here, unlike the headers of shops, so it is a safe
 * dedup key; a retry keeps it and renews webhook-timestamp, which therefore
 * says nothing about when the fact happened.
 */

enum {
    TOLERANCE_S = 300
}; /* what the reference libraries allow, both ways */

static const char *const TOPICS[] = { "*", NULL };

static void write_example(struct buf *paste, const struct source *source, struct str webhook_url,
                          struct str secret)
{
    (void)source;
    buf_printf(paste, "secret='%.*s'\n",
               STR_ARG(secret.size > 0 ? secret : STR("whsec_<the secret>")));
    buf_add_z(paste,
              "body='{\"type\":\"page.viewed\",\"timestamp\":\"'$(date -u +%Y-%m-%dT%H:%M:%SZ)'\","
              "\"data\":{\"identities\":{\"email\":\"jane@example.com\"},\"properties\":{\"url\":"
              "\"https://shop.example/shoes\"}}}'\n"
              "id=msg_$(openssl rand -hex 12); at=$(date +%s)\n"
              "key=$(printf %s \"${secret#whsec_}\" | base64 -d | od -An -v -tx1 | tr -d ' \\n')\n"
              "signature=$(printf %s \"$id.$at.$body\" |\n"
              "  openssl dgst -sha256 -mac HMAC -macopt \"hexkey:$key\" -binary | base64)\n");
    buf_printf(paste,
               "curl -i '%.*s' -H 'content-type: application/json' \\\n"
               "  -H \"webhook-id: $id\" -H \"webhook-timestamp: $at\" \\\n"
               "  -H \"webhook-signature: v1,$signature\" -d \"$body\"\n",
               STR_ARG(webhook_url));
}

static const char *const SDK_STEPS[] = {
    "Sign with any Standard Webhooks library (standardwebhooks.com) and the secret above "
    "(shown once)",
    "POST {\"type\", \"timestamp\", \"data\"}: data is one event of POST /v1/events, or send "
    "such events without envelope, one, an array, or a line each",
    "GET /v1/topics lists the types; GET /v1/sources/%s shows what arrived",
    NULL,
};
static const char *const SHELL_STEPS[] = { "Run where openssl and curl are installed", NULL };
static const struct setup_way WAYS[] = {
    { .way = "sdk", .steps = SDK_STEPS },
    { .way = "shell", .steps = SHELL_STEPS, .write_paste = write_example },
    { .way = NULL },
};
static const char *const WARNINGS[] = {
    "The sender's clock must be right to 300 s: the signature covers the time.",
    NULL,
};

static const char *const API_STEPS[] = {
    "Create an API key with scope ingest",
    "POST /v1/events with Authorization: Bearer <the key>",
    "GET /v1/sources/%s shows what arrived",
    NULL,
};
static const struct setup_way API_WAYS[] = { { .way = "api", .steps = API_STEPS },
                                             { .way = NULL } };

static const char *const SETTINGS[] = { "time_zone", "currency", "allowed_addresses", NULL };
static const char *const API_SETTINGS[] = { "time_zone", "currency", NULL };

const struct platform platform_standard_webhooks = {
    .name = "standard_webhooks",
    .title = "Standard Webhooks",
    .signature = {
        .algorithm = SIGNATURE_HMAC_SHA256,
        .encoding = SIGNATURE_BASE64,
        .key_form = SIGNATURE_KEY_WHSEC,
        .syntax = SIGNATURE_LIST,
        .content = "{id}.{timestamp}.{body}",
        .headers = { { "webhook-signature", "webhook-id", "webhook-timestamp" },
                     { "svix-signature", "svix-id", "svix-timestamp" } },
        .tolerance_ms = TOLERANCE_S * INSTANT_SECOND_MS,
    },
    .trust = TRUST_SIGNED,
    .provenance = PROVENANCE_FULL,
    .makes_secret = true,
    .answer_ms = LIMIT_ANSWER_MS,
    /* The standard's own schedule ends after three and a half days; some keep
     * trying for a week. */
    .dedup_horizon_ms = 7 * INSTANT_DAY_MS,
    .expected_silence_ms = 24 * INSTANT_HOUR_MS,
    .topics = TOPICS,
    .order_statuses = platform_no_statuses,
    .settings = SETTINGS,
    .default_order_completed_when = "[\"order.completed\"]",
    .normalise = canonical_normalise,
    .setup = { .ways = WAYS, .warnings = WARNINGS },
};

const struct platform platform_api = {
    .name = "api",
    .title = "API",
    .trust = TRUST_KEYED,
    .provenance = PROVENANCE_FULL,
    .answer_ms = LIMIT_ANSWER_MS,
    .dedup_horizon_ms = 7 * INSTANT_DAY_MS,
    .expected_silence_ms = 24 * INSTANT_HOUR_MS,
    .topics = TOPICS,
    .order_statuses = platform_no_statuses,
    .settings = API_SETTINGS,
    .default_order_completed_when = "[\"order.completed\"]",
    .normalise = canonical_normalise,
    .setup = { .ways = API_WAYS },
};
