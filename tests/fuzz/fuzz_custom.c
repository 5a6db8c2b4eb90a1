#include "adapter.h"

/*
 * Any bytes as the settings of a custom source (the first line), and any as a body
 * under them. Settings that are accepted make of a body events that are events, or
 * say why not.
 */

static const char *const HEADERS[] = { "x-topic", "x-id" };

static enum normalise_verdict read(struct arena *arena, const struct source *source,
                                   struct str body, struct normalised *out_normalised)
{
    struct inbound_header headers[ARRAY_COUNT(HEADERS)];
    struct problem problem;
    for (size_t i = 0; i < ARRAY_COUNT(HEADERS); i++) {
        headers[i] = (struct inbound_header){ str_from_z(HEADERS[i]), str_take(body, 8) };
    }
    struct inbound inbound = {
        .headers = headers,
        .header_count = ARRAY_COUNT(headers),
        .body = body,
        .received_at_ms = ADAPTER_NOW_MS,
    };
    return platform_normalise(platform_find(STR("custom")), arena, source, &inbound, out_normalised,
                              &problem);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = { (const char *)data, size };
    struct str settings = { NULL, 0 };
    struct str body = { NULL, 0 };
    struct problem problem;
    struct source source = adapter_source("custom");
    if (!str_split(input, '\n', &settings, &body)) {
        return 0;
    }
    struct arena *arena = arena_create((size_t)64 * 1024 * 1024);
    must(arena != NULL);
    if (platform_parse_settings(arena, platform_find(STR("custom")), settings, &source, &problem) ==
        STATUS_OK) {
        struct normalised normalised = { .event_count = 0 };
        if (read(arena, &source, body, &normalised) == NORMALISE_EVENTS) {
            for (size_t i = 0; i < normalised.event_count; i++) {
                must_be_event(&normalised.events[i]);
            }
        }
    } else {
        must(problem.detail[0] != '\0');
    }
    arena_destroy(arena);
    return 0;
}
