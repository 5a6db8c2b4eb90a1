#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "api/source_lag.h"
#include "base/instant.h"
#include "base/limits.h"
#include "core/signature.h"
#include "source_priv.h"
#include "sources/write_key.h"

/*
 * A source as contract 7 shows it.
 *
 * Its state is derived, never stored: a source waits for a secret when no live
 * one is there, and for a delivery until one has passed. A stored state would
 * have to be kept true by every path that changes any of these.
 *
 * Anyone who knows a source's URL can make it refuse requests, so refusals by
 * themselves say nothing of the shop, and neither does a request that was not
 * believed show that the shop is not silent. What a stranger cannot do is keep
 * the shop's own deliveries away. So a source that was heard before fails when
 * its last request was refused and none has been accepted for much longer than
 * is usual for it: four times the mean of the last day, between a quarter of an
 * hour and its expected silence.
 */

static void put_texts(struct jsonw *json, const char *key, const char *const *texts)
{
    jsonw_key(json, key);
    jsonw_open_array(json);
    for (; texts != NULL && *texts != NULL; texts++) {
        jsonw_z(json, *texts);
    }
    jsonw_close_array(json);
}

static bool has_live_secret(const struct source_full *source, int64_t now_ms)
{
    for (size_t i = 0; i < source->secret_count; i++) {
        const struct source_secret_row *secret = &source->secrets[i];
        if (!secret->shadow &&
            (secret->expires_at_ms == INSTANT_NONE || secret->expires_at_ms > now_ms)) {
            return true;
        }
    }
    return false;
}

static bool takes_webhooks(const struct source_full *source)
{
    return platform_signature(source->platform, &source->core)->algorithm != 0;
}

/* Keys that the sender publishes need no secret here. */
static bool needs_secret(const struct source_full *source)
{
    return takes_webhooks(source) &&
           platform_signature(source->platform, &source->core)->key_form != SIGNATURE_KEY_FETCHED &&
           !platform_signature(source->platform, &source->core)->may_lack_secret;
}

static const char *status_of(const struct source_full *source, int64_t now_ms)
{
    if (needs_secret(source) && !has_live_secret(source, now_ms)) {
        return "waiting_for_secret";
    }
    if (takes_webhooks(source) && source->row.last_applied_at_ms == INSTANT_NONE) {
        return "waiting_for_delivery";
    }
    return "active";
}

static int64_t failure_at(struct str failure_json)
{
    int64_t ms = INSTANT_NONE;
    json_t *failure = json_loadb(failure_json.data, failure_json.size, 0, NULL);
    const char *at = json_string_value(json_object_get(failure, "at"));
    if (at != NULL && !instant_parse(str_from_z(at), true, &ms, NULL)) {
        ms = INSTANT_NONE;
    }
    json_decref(failure);
    return ms;
}

/* How long without an accepted delivery is no longer usual. */
static int64_t patience_of(const struct source_full *source)
{
    const struct source_counts *counts = &source->row.counts_24h;
    int64_t accepted = counts->applied + counts->duplicate + counts->ignored + counts->quarantined;
    int64_t most_ms = source->core.expected_silence_ms;
    int64_t usual_ms = accepted > 0 ? 4 * INSTANT_DAY_MS / accepted : most_ms;
    if (usual_ms < LIMIT_FAILING_AFTER_MS) {
        usual_ms = LIMIT_FAILING_AFTER_MS;
    }
    return usual_ms < most_ms ? usual_ms : most_ms;
}

static const char *health_of(const struct source_full *source, int64_t now_ms)
{
    const struct source_row *row = &source->row;
    int64_t failed_ms = failure_at(row->last_failure_json);
    int64_t accepted_ms = row->last_accepted_at_ms;
    if (row->last_delivery_at_ms == INSTANT_NONE) {
        return "never_seen";
    }
    if (accepted_ms == INSTANT_NONE) {
        /* Being set up: what came so far was refused, and that is worth knowing. */
        return failed_ms != INSTANT_NONE ? "failing" : "never_seen";
    }
    if (failed_ms > accepted_ms && now_ms - accepted_ms > patience_of(source)) {
        return "failing";
    }
    if (now_ms - accepted_ms > source->core.expected_silence_ms) {
        return "silent";
    }
    return "healthy";
}

static void write_lag(struct jsonw *json, const struct source_service *service)
{
    int64_t half_ms = service != NULL ? source_lag_percentile_ms(service->lag, 500) : -1;
    if (half_ms < 0) {
        jsonw_put_null(json, "lag");
        return;
    }
    jsonw_key(json, "lag");
    jsonw_open(json);
    jsonw_put_i64(json, "p50_ms", half_ms);
    jsonw_put_i64(json, "p99_ms", source_lag_percentile_ms(service->lag, 990));
    jsonw_close(json);
}

static void write_gaps(struct jsonw *json, const struct source_service *service)
{
    jsonw_key(json, "gaps");
    jsonw_open_array(json);
    for (size_t i = 0; service != NULL && i < service->gap_count; i++) {
        const struct source_gap *gap = &service->gaps[i];
        jsonw_open(json);
        jsonw_put_instant(json, "from", gap->from_ms);
        jsonw_put_instant(json, "to", gap->to_ms);
        jsonw_put_z(json, "because", gap->shed > 0 ? "answered_503" : "down");
        jsonw_put_i64(json, "shed", gap->shed);
        jsonw_close(json);
    }
    jsonw_close_array(json);
}

/* What a shop told by name only. Nobody has read it yet. */
static void write_thin(struct jsonw *json, int64_t events)
{
    if (events == 0) {
        jsonw_put_null(json, "thin");
        return;
    }
    jsonw_key(json, "thin");
    jsonw_open(json);
    jsonw_put_i64(json, "events_24h", events);
    jsonw_put_z(json, "hint",
                "These events name an order, a cart, a customer or a product and say nothing of "
                "what is in it; the resource itself was not read. setup.not_covered says how to "
                "send it.");
    jsonw_close(json);
}

/* In tenths, so that a quiet source is not "0 a minute". */
static void put_per_minute(struct jsonw *json, const char *key, int64_t an_hour)
{
    int64_t tenths = (an_hour * 10 + 30) / 60;
    char text[32];
    int size = snprintf(text, sizeof(text), "%lld.%lld", (long long)(tenths / 10),
                        (long long)(tenths % 10));
    jsonw_put_raw(json, key, (struct str){ text, (size_t)size });
}

static void write_rates(struct jsonw *json, const struct source_row *row, int64_t now_ms)
{
    const struct source_hours *hours = &row->hours;
    jsonw_key(json, "per_minute");
    jsonw_open(json);
    put_per_minute(json, "accepted",
                   source_last_hour(hours->accepted, hours->accepted_before, now_ms));
    put_per_minute(json, "refused",
                   source_last_hour(hours->refused, hours->refused_before, now_ms));
    jsonw_close(json);
}

static void write_health(struct jsonw *json, const struct source_full *source, int64_t now_ms)
{
    const struct source_row *row = &source->row;
    const struct source_counts *counts = &row->counts_24h;
    char silence[32];
    duration_format(source->core.expected_silence_ms, silence);
    jsonw_key(json, "health");
    jsonw_open(json);
    jsonw_put_z(json, "state", health_of(source, now_ms));
    jsonw_put_instant(json, "last_delivery_at", row->last_delivery_at_ms);
    jsonw_put_instant(json, "last_applied_at", row->last_applied_at_ms);
    jsonw_put_raw(json, "last_failure", row->last_failure_json);
    jsonw_key(json, "counts_24h");
    jsonw_open(json);
    jsonw_put_i64(json, "applied", counts->applied);
    jsonw_put_i64(json, "duplicate", counts->duplicate);
    jsonw_put_i64(json, "ignored", counts->ignored);
    jsonw_put_i64(json, "quarantined", counts->quarantined);
    jsonw_put_i64(json, "refused", counts->refused);
    jsonw_put_i64(json, "shed", counts->shed);
    jsonw_close(json);
    write_rates(json, row, now_ms);
    write_lag(json, source->service);
    write_gaps(json, source->service);
    write_thin(json, counts->thin);
    jsonw_put_i64(json, "privacy_requests",
                  source->service != NULL ? source->service->privacy_requests : 0);
    jsonw_put_z(json, "expected_silence", silence);
    jsonw_close(json);
}

/* What a shadow would have said, beside what the live secrets did. */
static void write_shadow(struct jsonw *json, const struct source_shadow_check *check)
{
    jsonw_put_i64(json, "shadow_tried", check->tried);
    jsonw_put_i64(json, "shadow_matches", check->matches);
    jsonw_put_instant(json, "shadow_since", check->since_ms);
    jsonw_put_instant(json, "shadow_missed_at", check->missed_at_ms);
}

void source_secret_write_json(struct jsonw *json, const struct source_secret_row *secret,
                              struct str shown)
{
    jsonw_open(json);
    jsonw_put_id(json, "id", secret->id);
    jsonw_put_str(json, "label", secret->label);
    if (shown.size > 0) {
        jsonw_put_str(json, "secret", shown);
        jsonw_put_bool(json, "secret_shown_once", true);
    }
    jsonw_put_bool(json, "shadow", secret->shadow);
    jsonw_put_instant(json, "created_at", secret->created_at_ms);
    jsonw_put_instant(json, "expires_at", secret->expires_at_ms);
    jsonw_put_instant(json, "last_used_at", secret->last_used_at_ms);
    write_shadow(json, &secret->check);
    jsonw_close(json);
}

static void write_secrets(struct jsonw *json, const struct source_full *source)
{
    jsonw_key(json, "secrets");
    jsonw_open_array(json);
    for (size_t i = 0; i < source->secret_count; i++) {
        bool is_shown = id_equal(source->secrets[i].id, source->shown_id);
        source_secret_write_json(json, &source->secrets[i],
                                 is_shown ? source->shown_secret : (struct str){ NULL, 0 });
    }
    jsonw_close_array(json);
}

/* Stored settings, with the default filled in that most people want to see. */
static void write_settings(struct jsonw *json, const struct source_full *source)
{
    jsonw_key(json, "settings");
    jsonw_open(json);
    json_t *settings =
        json_loadb(source->row.settings_json.data, source->row.settings_json.size, 0, NULL);
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(settings, key, value)
    {
        char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        jsonw_put_raw(json, key, str_from_z(text));
        free(text);
    }
    const char *otherwise = source->platform->default_order_completed_when;
    if (otherwise != NULL && json_object_get(settings, "order_completed_when") == NULL) {
        jsonw_put_raw(json, "order_completed_when", str_from_z(otherwise));
    }
    json_decref(settings);
    jsonw_close(json);
}

static const char *rank_name(enum order_rank rank)
{
    switch (rank) {
    case ORDER_OPEN:
        return "open";
    case ORDER_PAID:
        return "paid";
    case ORDER_FULFILLED:
        return "fulfilled";
    case ORDER_CANCELLED:
        return "cancelled";
    }
    return "open";
}

static bool counts_here(const struct source *source, const struct order_status_rule *rule)
{
    if (source->order_completed_when_count == 0) {
        return rule->counts;
    }
    for (size_t i = 0; i < source->order_completed_when_count; i++) {
        if (str_equal(source->order_completed_when[i], STR("created")) ||
            str_equal_z(source->order_completed_when[i], rule->status)) {
            return true;
        }
    }
    return false;
}

/* Which of the shop's statuses makes an order count here. */
static void write_order_statuses(struct jsonw *json, const struct source_full *source)
{
    jsonw_key(json, "order_statuses");
    jsonw_open_array(json);
    const struct order_status_rule *rule = source->platform->order_statuses;
    for (; rule != NULL && rule->status != NULL; rule++) {
        jsonw_open(json);
        jsonw_put_z(json, "status", rule->status);
        jsonw_put_z(json, "rank", rank_name(rule->rank));
        jsonw_put_bool(json, "counts", counts_here(&source->core, rule));
        jsonw_close(json);
    }
    jsonw_close_array(json);
}

static const char *trust_name(enum trust trust)
{
    switch (trust) {
    case TRUST_PUBLIC:
        return "public";
    case TRUST_KEYED:
        return "keyed";
    case TRUST_SIGNED:
        return "signed";
    }
    return "public";
}

/* The page's way in; it is not a secret. */
static void write_key(struct jsonw *json, const struct source_full *source)
{
    char key[WRITE_KEY_SIZE + 1];
    write_key_format(source->row.id, key);
    bool is_public = source->platform->trust == TRUST_PUBLIC;
    jsonw_put_str_or_null(json, "write_key", is_public ? str_from_z(key) : STR(""));
}

void source_write_json(struct jsonw *json, const struct resource_request *request,
                       const struct source_full *source)
{
    const struct source_row *row = &source->row;
    char id[ID_TEXT_SIZE];
    id_format(row->id, id);
    struct str url = { NULL, 0 };
    if (takes_webhooks(source)) {
        url = str_printf(request->arena, "%s/v1/hooks/%s", request->api->public_url, id);
    }
    /* Who signs nothing is known by the address: shown once, as every secret. */
    if (source->shown_secret.size > 0 &&
        platform_signature(source->platform, &source->core)->algorithm == SIGNATURE_BEARER) {
        url = str_printf(request->arena, "%.*s/%.*s", STR_ARG(url), STR_ARG(source->shown_secret));
    }
    jsonw_open(json);
    jsonw_put_id(json, "id", row->id);
    jsonw_put_str(json, "name", row->name);
    jsonw_put_str(json, "platform", row->platform);
    jsonw_put_z(json, "status", status_of(source, request->now_ms));
    jsonw_put_z(json, "trust", trust_name(source->platform->trust));
    jsonw_put_str_or_null(json, "webhook_url", url);
    write_key(json, source);
    write_settings(json, source);
    write_order_statuses(json, source);
    write_secrets(json, source);
    jsonw_key(json, "setup");
    jsonw_open(json);
    platform_write_setup(source->platform, json, &source->core, url, source->shown_secret);
    jsonw_close(json);
    jsonw_key(json, "history");
    jsonw_open(json);
    jsonw_put_bool(json, "complete", row->history_complete);
    jsonw_put_instant(json, "since", row->history_since_ms);
    jsonw_close(json);
    write_health(json, source, request->now_ms);
    jsonw_put_instant(json, "created_at", row->created_at_ms);
    jsonw_put_instant(json, "updated_at", row->updated_at_ms);
    jsonw_close(json);
}

static void write_setting_names(struct jsonw *json, const struct platform *platform)
{
    jsonw_key(json, "settings");
    jsonw_open_array(json);
    for (size_t i = 0; platform_setting_at(platform, i) != NULL; i++) {
        jsonw_z(json, platform_setting_at(platform, i));
    }
    jsonw_close_array(json);
}

enum status resource_platform_list(const struct resource_request *request,
                                   struct resource_answer *out_answer, struct problem *problem)
{
    struct page page;
    enum status status = page_open(&page, request, "platforms", STR(""), problem);
    if (status != STATUS_OK) {
        return status;
    }
    struct jsonw *json = &page.json;
    for (size_t i = 0; platform_at(i) != NULL; i++) {
        const struct platform *platform = platform_at(i);
        jsonw_open(json);
        jsonw_put_z(json, "name", platform->name);
        jsonw_put_z(json, "title", platform->title);
        jsonw_put_z(json, "trust", trust_name(platform->trust));
        jsonw_put_z(json, "provenance", provenance_name(platform->provenance));
        jsonw_put_bool(json, "makes_secret", platform->makes_secret);
        jsonw_put_i64(json, "answer_within_ms", platform->answer_ms);
        put_texts(json, "topics", platform->topics);
        write_setting_names(json, platform);
        struct source_full whole = { .platform = platform };
        write_order_statuses(json, &whole);
        jsonw_close(json);
    }
    return page_close(&page, (struct str){ NULL, 0 }, -1, true, out_answer, problem);
}
