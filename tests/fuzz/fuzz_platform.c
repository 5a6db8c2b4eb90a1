#include "adapter.h"

/*
 * Any bytes as a delivery of any platform of the table: the first line is its name,
 * the second the topic, the rest the body. Without a libFuzzer that keeps to one
 * platform by itself, SHOPBELL_FUZZ_PLATFORM names it, and the first line is not
 * looked at. Claims and greetings are read before anybody has vouched for the bytes,
 * so they get the same.
 */

/* Of the platforms that know them: with these an adapter reads what it otherwise
 * leaves alone. */
static const struct {
    const char *name;
    const char *json;
} SETTINGS[] = {
    { "site_url", "\"https://shop.example\"" },
    { "topic_arns", "[\"arn:aws:sns:eu-west-1:1:t\"]" },
    { "app_name", "\"Bell\"" },
    { "client_id", "\"client\"" },
    { "notification_url", "\"https://bell.example/v1/hooks/1\"" },
};

static bool knows(const struct platform *platform, const char *setting)
{
    for (size_t i = 0; platform_setting_at(platform, i) != NULL; i++) {
        if (str_equal_z(str_from_z(setting), platform_setting_at(platform, i))) {
            return true;
        }
    }
    return false;
}

static void settle(struct arena *arena, const struct platform *platform, struct source *source)
{
    struct problem problem;
    struct str json = STR("{");
    for (size_t i = 0; i < ARRAY_COUNT(SETTINGS); i++) {
        if (knows(platform, SETTINGS[i].name)) {
            json = str_printf(arena, "%.*s%s\"%s\":%s", STR_ARG(json), json.size > 1 ? "," : "",
                              SETTINGS[i].name, SETTINGS[i].json);
        }
    }
    json = str_printf(arena, "%.*s}", STR_ARG(json));
    enum status status = platform_parse_settings(arena, platform, json, source, &problem);
    must(status == STATUS_OK || status == STATUS_INVALID); /* some need more than these */
}

static void try_unproven(struct arena *arena, const struct platform *platform,
                         const struct source *source, struct inbound *inbound)
{
    struct signature_claim claim = { .timestamp_ms = INSTANT_NONE };
    struct handshake handshake = { 0 };
    if (platform->signature.read_claim != NULL &&
        platform->signature.read_claim(arena, source, inbound, &claim) == SIGNATURE_VALID) {
        must(claim.signature_count > 0 && claim.piece_count > 0);
        must(claim.piece_count <= SIGNATURE_PIECES_MAX);
    }
    if (platform->greet != NULL) {
        (void)platform->greet(arena, source, inbound, &handshake);
    }
}

static void try_delivery(const struct platform *platform, struct str topic, struct str body)
{
    struct arena *arena = arena_create((size_t)64 * 1024 * 1024);
    must(arena != NULL);
    struct source source = adapter_source(platform->name);
    settle(arena, platform, &source);
    struct inbound_header headers[2 + 2 * SIGNATURE_FAMILIES_MAX] = {
        { STR("webhook-id"), STR("msg_1") },
        { str_from_z(platform->topic_headers != NULL ? platform->topic_headers[0] : "x-topic"),
          topic },
    };
    size_t count = 2;
    for (size_t i = 0; i < SIGNATURE_FAMILIES_MAX; i++) {
        const struct signature_headers *family = &platform->signature.headers[i];
        if (family->signature == NULL) {
            break;
        }
        headers[count++] = (struct inbound_header){ str_from_z(family->signature), topic };
        if (family->timestamp != NULL) {
            headers[count++] =
                (struct inbound_header){ str_from_z(family->timestamp), str_take(body, 10) };
        }
    }
    struct inbound inbound = {
        .headers = headers,
        .header_count = count,
        .body = body,
        .query = topic,
        .is_get = body.size == 0,
        .received_at_ms = ADAPTER_NOW_MS,
        .url = STR("https://bell.example/v1/hooks/1"),
    };
    adapter_try(arena, platform, &source, &inbound);
    try_unproven(arena, platform, &source, &inbound);
    arena_destroy(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str body = { (const char *)data, size };
    struct str name = { NULL, 0 };
    struct str topic = { NULL, 0 };
    const char *chosen = getenv("SHOPBELL_FUZZ_PLATFORM");
    if (!str_split(body, '\n', &name, &body)) {
        return 0;
    }
    const struct platform *platform = platform_find(chosen != NULL ? str_from_z(chosen) : name);
    must(chosen == NULL || platform != NULL);
    if (platform == NULL || platform->signature.algorithm == 0 ||
        !str_split(body, '\n', &topic, &body)) {
        return 0;
    }
    try_delivery(platform, topic, body);
    return 0;
}
