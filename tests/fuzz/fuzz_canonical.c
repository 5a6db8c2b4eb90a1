#include "adapter.h"

/* Any bytes as a request of POST /v1/events. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = { (const char *)data, size };
    struct arena *arena = arena_create(64u * 1024 * 1024);
    struct source source = { .id = { { 1 } }, .platform = STR("api"), .currency = STR("EUR") };
    struct canonical_batch batch = { 0 };
    struct problem problem;
    must(arena != NULL);
    if (canonical_parse(arena, &source, input, ADAPTER_NOW_MS, true, &batch, &problem) ==
        STATUS_OK) {
        must((batch.error_count == 0) == (batch.errors_json.size == 0));
        for (size_t i = 0; i < batch.event_count; i++) {
            must_be_event(&batch.events[i]);
        }
        if (batch.errors_json.size > 0) {
            json_t *errors = border_parse(batch.errors_json, &problem);
            must(json_is_array(errors));
            border_free(errors);
        }
    }
    arena_destroy(arena);
    return 0;
}
