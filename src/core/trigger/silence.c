#include "core/trigger/silence.h"

#include "base/instant.h"
#include "core/trigger/envelope.h"

/*
 * A silence by its cause: the source, and the last delivery before it. Whoever
 * finds it, and however often, it has one id; the next silence has another, since
 * something was heard in between.
 */

enum {
    BODY_BYTES_MAX = 4096
};

int64_t silence_due_ms(const struct source *source, int64_t last_accepted_at_ms,
                       int64_t alive_since_ms)
{
    int64_t since_ms = last_accepted_at_ms > alive_since_ms ? last_accepted_at_ms : alive_since_ms;
    return since_ms + source->expected_silence_ms + 1;
}

struct id silence_id(const struct silence *silence)
{
    struct id_hash hash;
    id_hash_begin(&hash, "notification");
    id_hash_add_id(&hash, silence->source->workspace_id);
    id_hash_add(&hash, STR(SILENCE_TOPIC));
    id_hash_add_id(&hash, silence->source->id);
    id_hash_add_i64(&hash, silence->last_accepted_at_ms);
    return id_hash_end(&hash);
}

static void write_source(struct jsonw *json, const struct silence *silence)
{
    char expected[32];
    duration_format(silence->source->expected_silence_ms, expected);
    jsonw_key(json, "source");
    jsonw_open(json);
    jsonw_put_id(json, "id", silence->source->id);
    jsonw_put_str(json, "name", silence->source->name);
    jsonw_put_str(json, "platform", silence->source->platform);
    jsonw_put_instant(json, "last_accepted_at", silence->last_accepted_at_ms);
    jsonw_put_z(json, "expected_silence", expected);
    jsonw_close(json);
}

bool silence_body(struct arena *arena, const struct silence *silence, int64_t now_ms,
                  struct str *out_body)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, arena, BODY_BYTES_MAX);
    jsonw_begin(&json, &buf);
    envelope_open(&json, &(struct envelope){ .id = silence_id(silence),
                                             .type = STR(SILENCE_TOPIC),
                                             .at_ms = silence->due_at_ms,
                                             .recorded_at_ms = now_ms,
                                             .workspace = silence->source->workspace_name });
    jsonw_key(&json, "cause");
    jsonw_open(&json);
    jsonw_put_z(&json, "kind", "time");
    jsonw_put_instant(&json, "due_at", silence->due_at_ms);
    jsonw_close(&json);
    jsonw_key(&json, "data");
    jsonw_open(&json);
    write_source(&json, silence);
    jsonw_close(&json);
    jsonw_close(&json);
    *out_body = buf_str(&buf);
    return !buf.failed;
}
