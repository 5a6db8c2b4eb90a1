#include "core/trigger/care.h"

#include "core/trigger/envelope.h"

/*
 * When an endpoint is given up.
 *
 * One failure is a deploy, a day of them a broken firewall; after five days of
 * nothing else nobody is mending it, and every message costs ten calls. Before
 * that its operator hears of it three times.
 *
 * The time counted lies between calls, not before a clock: an endpoint that got
 * one message on Monday and none since has not failed for five days on Saturday.
 *
 * What is told is a bell like others: its id is the hash of the cause, which is
 * the subscription, since when it fails, and the stage; of one that was disabled
 * by a single answer, the instant of that.
 */

enum {
    BODY_BYTES_MAX = 4096
};

static const int32_t stages[] = { CARE_DISABLE, 90, 70, 50 };

int32_t care_stage(int64_t failing_since_ms, int64_t failed_at_ms)
{
    int64_t failing_ms = failed_at_ms - failing_since_ms;
    for (size_t i = 0; i < ARRAY_COUNT(stages); i++) {
        if (failing_ms >= CARE_PATIENCE_MS / 100 * stages[i]) {
            return stages[i];
        }
    }
    return 0;
}

struct str care_topic(const struct care_notice *notice)
{
    return notice->stage == CARE_DISABLE ? STR(CARE_DISABLED_TOPIC) : STR(CARE_FAILING_TOPIC);
}

struct id care_id(const struct care_notice *notice)
{
    bool is_by_time = notice->failing_since_ms != INSTANT_NONE;
    struct id_hash hash;
    id_hash_begin(&hash, "notification");
    id_hash_add_id(&hash, notice->workspace_id);
    id_hash_add(&hash, care_topic(notice));
    id_hash_add_id(&hash, notice->subscription_id);
    id_hash_add_i64(&hash, is_by_time ? notice->failing_since_ms : notice->at_ms);
    id_hash_add_i64(&hash, notice->stage);
    return id_hash_end(&hash);
}

static void write_subscription(struct jsonw *json, const struct care_notice *notice)
{
    bool is_disabled = notice->stage == CARE_DISABLE;
    bool is_by_time = notice->failing_since_ms != INSTANT_NONE;
    jsonw_key(json, "subscription");
    jsonw_open(json);
    jsonw_put_id(json, "id", notice->subscription_id);
    jsonw_put_str(json, "name", notice->name);
    jsonw_put_z(json, "status", is_disabled ? "disabled" : "active");
    jsonw_put_str_or_null(json, "reason", notice->reason);
    jsonw_put_instant(json, "failing_since", notice->failing_since_ms);
    if (is_disabled) {
        jsonw_put_null(json, "failing_percent");
        jsonw_put_null(json, "disabled_from");
    } else {
        jsonw_put_i64(json, "failing_percent", notice->stage);
        jsonw_put_instant(json, "disabled_from",
                          is_by_time ? notice->failing_since_ms + CARE_PATIENCE_MS : INSTANT_NONE);
    }
    jsonw_close(json);
}

bool care_body(struct arena *arena, const struct care_notice *notice, int64_t now_ms,
               struct str *out_body)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, arena, BODY_BYTES_MAX);
    jsonw_begin(&json, &buf);
    envelope_open(&json, &(struct envelope){ .id = care_id(notice),
                                             .type = care_topic(notice),
                                             .at_ms = notice->at_ms,
                                             .recorded_at_ms = now_ms,
                                             .workspace = notice->workspace_name });
    jsonw_key(&json, "cause");
    jsonw_open(&json);
    jsonw_put_z(&json, "kind", "time");
    jsonw_put_instant(&json, "due_at", notice->at_ms);
    jsonw_close(&json);
    jsonw_key(&json, "data");
    jsonw_open(&json);
    write_subscription(&json, notice);
    jsonw_close(&json);
    jsonw_close(&json);
    *out_body = buf_str(&buf);
    return !buf.failed;
}
