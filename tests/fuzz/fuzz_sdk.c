#include "adapter.h"
#include "sources/sdk.h"

/* The first line is the route's word, the rest the body of a page's request. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str body = { (const char *)data, size };
    struct str kind = { NULL, 0 };
    (void)str_split(body, '\n', &kind, &body);
    struct arena *arena = arena_create((size_t)64 * 1024 * 1024);
    must(arena != NULL);
    struct source source = adapter_source("sdk");
    struct inbound_header header = { STR(SDK_HEADER_KIND), kind };
    struct inbound inbound = {
        .headers = &header,
        .header_count = 1,
        .body = body,
        .received_at_ms = ADAPTER_NOW_MS,
    };
    adapter_try(arena, platform_find(STR("sdk")), &source, &inbound);
    arena_destroy(arena);
    return 0;
}
