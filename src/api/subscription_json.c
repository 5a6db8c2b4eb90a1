#include "base/instant.h"
#include "subscription_priv.h"

/*
 * A subscription as contract 9 shows it. All members are there, those without a
 * value as null or with their neutral one.
 */

static void put_texts(struct jsonw *json, const char *key, const struct str *texts, size_t count)
{
    jsonw_key(json, key);
    jsonw_open_array(json);
    for (size_t i = 0; i < count; i++) {
        jsonw_str(json, texts[i]);
    }
    jsonw_close_array(json);
}

static void put_duration(struct jsonw *json, const char *key, int64_t ms)
{
    char text[32];
    if (ms == 0) {
        jsonw_put_null(json, key);
        return;
    }
    duration_format(ms, text);
    jsonw_put_z(json, key, text);
}

/* So many a duration; null when there are none. */
struct pair {
    const char *count_name;
    int64_t count;
    const char *duration_name;
    int64_t ms;
};

static void put_pair(struct jsonw *json, const char *key, const struct pair *pair)
{
    if (pair->count == 0) {
        jsonw_put_null(json, key);
        return;
    }
    jsonw_key(json, key);
    jsonw_open(json);
    jsonw_put_i64(json, pair->count_name, pair->count);
    put_duration(json, pair->duration_name, pair->ms);
    jsonw_close(json);
}

/* With `url`: that of a native format is ours, and no patch may touch it. */
static void put_settable(struct jsonw *json, const struct subscription_row *row, bool with_url)
{
    jsonw_put_str(json, "title", row->title);
    if (with_url) {
        jsonw_put_str(json, "url", row->url);
    }
    put_texts(json, "topics", row->topics, row->topic_count);
    jsonw_put_str_or_null(json, "filter", row->filter);
    if (row->fields.size > 0 && row->fields.data[0] == '[') {
        jsonw_put_raw(json, "fields", row->fields);
    } else {
        jsonw_put_str(json, "fields", row->fields);
    }
    jsonw_put_str(json, "format", row->format);
    jsonw_put_raw(json, "map", row->map_json);
    jsonw_put_raw(json, "settings", row->settings_json);
    jsonw_put_str_or_null(json, "channel", row->channel);
    jsonw_put_raw(json, "headers", row->headers_json);
    jsonw_put_str(json, "ordering", row->ordering);
    put_pair(json, "batch", &(struct pair){ "max", row->batch_max, "wait", row->batch_wait_ms });
    put_pair(json, "rate_limit",
             &(struct pair){ "count", row->rate_count, "per", row->rate_per_ms });
    jsonw_put_i64(json, "concurrency", row->concurrency);
    put_duration(json, "timeout", row->timeout_ms);
    put_duration(json, "max_age", row->max_age_ms);
    jsonw_put_bool(json, "recheck", row->recheck);
    put_texts(json, "signature", row->signature, row->signature_count);
}

struct str subscription_settable_json(struct arena *arena, const struct subscription_row *row)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    put_settable(&json, row, !subscription_is_native(row));
    jsonw_close(&json);
    return buf_str(&buf);
}

/* That there is a key, and nothing of it. */
static void put_auth(struct jsonw *json, const struct subscription_row *row)
{
    if (!subscription_is_native(row)) {
        jsonw_put_null(json, "auth");
        return;
    }
    jsonw_key(json, "auth");
    jsonw_open(json);
    jsonw_put_bool(json, "set", true);
    jsonw_close(json);
}

static void put_verification(struct jsonw *json, const struct subscription_row *row)
{
    jsonw_key(json, "verification");
    if (!str_equal(row->status, STR("pending"))) {
        jsonw_null(json);
        return;
    }
    jsonw_open(json);
    jsonw_key(json, "how");
    jsonw_open_array(json);
    if (subscription_is_native(row)) {
        jsonw_z(json, "call");
    } else {
        jsonw_z(json, "echo");
        jsonw_z(json, "confirm");
    }
    jsonw_close_array(json);
    char next[128];
    int size =
        snprintf(next, sizeof(next), "POST /v1/subscriptions/%.*s/verify", STR_ARG(row->name));
    jsonw_put_str(json, "next", (struct str){ next, size > 0 ? (size_t)size : 0 });
    jsonw_put_instant(json, "expires_at", row->challenge_expires_at_ms);
    jsonw_close(json);
}

/* Without a float in sight. */
void subscription_put_share(struct jsonw *json, const char *key, int64_t part, int64_t whole)
{
    if (whole == 0) {
        jsonw_put_null(json, key);
        return;
    }
    int64_t share = part * 10000 / whole;
    char text[32];
    int size = snprintf(text, sizeof(text), "%lld.%04lld", (long long)(share / 10000),
                        (long long)(share % 10000));
    jsonw_put_raw(json, key, (struct str){ text, size > 0 ? (size_t)size : 0 });
}

static void put_stats(struct jsonw *json, const struct subscription_stats *stats)
{
    jsonw_key(json, "stats");
    jsonw_open(json);
    jsonw_put_i64(json, "pending", stats->pending);
    jsonw_put_instant(json, "oldest_pending_at", stats->oldest_pending_at_ms);
    subscription_put_share(json, "success_24h", stats->delivered, stats->attempts);
    if (stats->attempts > 0) {
        jsonw_put_i64(json, "p99_ms_24h", stats->p99_ms);
    } else {
        jsonw_put_null(json, "p99_ms_24h");
    }
    jsonw_close(json);
}

void subscription_write_json(struct jsonw *json, const struct subscription_row *row,
                             const struct subscription_stats *stats,
                             const struct subscription_keys *keys, struct str shown_secret)
{
    jsonw_open(json);
    jsonw_put_id(json, "id", row->id);
    jsonw_put_str(json, "name", row->name);
    put_settable(json, row, true);
    put_auth(json, row);
    jsonw_put_bool(json, "masked", row->is_masked);
    jsonw_put_str(json, "status", row->status);
    jsonw_put_str_or_null(json, "status_reason", row->status_reason);
    if (shown_secret.size > 0) {
        jsonw_put_str(json, "secret", shown_secret);
        jsonw_put_bool(json, "secret_shown_once", true);
    }
    jsonw_key(json, "public_keys");
    subscription_keys_write(json, keys, row->id);
    put_verification(json, row);
    put_stats(json, stats);
    jsonw_put_instant(json, "created_at", row->created_at_ms);
    jsonw_put_instant(json, "updated_at", row->updated_at_ms);
    jsonw_close(json);
}

enum status subscription_answer(const struct resource_request *request,
                                const struct subscription_row *row, struct str shown,
                                enum resource_effect effect, struct resource_answer *out_answer,
                                struct problem *problem)
{
    struct subscription_stats *stats = NULL;
    struct subscription_keys keys CLEANUP(subscription_keys_wipe) = { .count = 0 };
    enum status status =
        subscription_stats_read(request->pg, request->arena, row->workspace_id, &row->id, 1,
                                request->now_ms, 10000, &stats, problem);
    if (status == STATUS_OK) {
        status = subscription_keys_open(request, &row->id, 1, &keys, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, request->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    subscription_write_json(&json, row, stats, &keys, shown);
    return resource_answer_set(&buf, effect, row->version, out_answer, problem);
}
