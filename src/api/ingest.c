#include <stdlib.h>

#include <sodium.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/jsonw.h"
#include "ingest_priv.h"
#include "plan_priv.h"

/*
 * From the request to intake and back.
 *
 * Invariant: after intake_submit said yes, the exchange belongs to the
 * callback, which may already have run on another thread; nothing here touches
 * it any more. What was not taken is answered at once, with a Retry-After
 * between 1 and 5 s so that the senders do not come back in step.
 */

/* Answers with details of 10,000 events have 10,000 profiles at most. */
#define INGEST_ANSWER_BYTES_MAX (8u * 1024 * 1024)

struct ingest *ingest_create(struct http_exchange *x, const struct api *api,
                             const struct registry_snapshot *snapshot, const struct source *source)
{
    struct arena *arena = http_arena(x);
    struct ingest *ingest = ARENA_NEW(arena, struct ingest);
    if (ingest == NULL) {
        return NULL;
    }
    ingest->x = x;
    ingest->api = api;
    ingest->snapshot = snapshot;
    ingest->delivery.arena = arena;
    ingest->delivery.workspace_id = source->workspace_id;
    ingest->delivery.source_id = source->id;
    ingest->delivery.receipt_id = id_create();
    ingest->delivery.received_at_ms = http_received_at_ms(x);
    ingest->delivery.keep_raw = true;
    ingest->delivery.body = http_body(x);
    ingest->delivery.headers_json = STR("{}");
    return ingest;
}

const struct source *ingest_source(const struct registry_snapshot *snapshot, struct id workspace_id,
                                   struct str name)
{
    const struct registry_workspace *workspace = snapshot_workspace(snapshot, workspace_id);
    struct id id = ID_ZERO;
    (void)id_parse(name, &id);
    for (size_t i = 0; workspace != NULL && i < workspace->source_count; i++) {
        const struct source *source = &workspace->sources[i];
        if (!source->deleted && (str_equal(source->name, name) || id_equal(source->id, id))) {
            return source;
        }
    }
    return NULL;
}

static struct source_counts count_results(const struct intake_delivery *delivery)
{
    struct source_counts counts = { .applied = 0 };
    if (delivery->quarantine_reason != NULL) {
        counts.quarantined = 1;
        return counts;
    }
    for (size_t i = 0; i < delivery->event_count; i++) {
        const int64_t is_thin = delivery->events[i].is_thin ? 1 : 0;
        switch (delivery->results[i]) {
        case EVENT_RESULT_APPLIED:
            counts.applied++;
            counts.thin += is_thin;
            break;
        case EVENT_RESULT_DUPLICATE:
            counts.duplicate++;
            break;
        case EVENT_RESULT_QUARANTINED:
            counts.quarantined++;
            break;
        case EVENT_RESULT_NOBODY:
        case EVENT_RESULT_PENDING:
            counts.ignored++;
            counts.thin += is_thin;
            break;
        }
    }
    return counts;
}

static void write_counts(struct jsonw *json, const struct source_counts *counts)
{
    const char *status = counts->applied > 0       ? "applied"
                         : counts->quarantined > 0 ? "quarantined"
                         : counts->duplicate > 0   ? "duplicate"
                                                   : "ignored";
    jsonw_put_z(json, "status", status);
    jsonw_key(json, "events");
    jsonw_open(json);
    jsonw_put_i64(json, "applied", counts->applied);
    jsonw_put_i64(json, "duplicate", counts->duplicate);
    jsonw_put_i64(json, "ignored", counts->ignored);
    jsonw_put_i64(json, "quarantined", counts->quarantined);
    jsonw_close(json);
}

/* --- what changed, profile by profile ------------------------------------- */

static int detail_compare(const void *a, const void *b)
{
    const struct event_detail *const *left = a;
    const struct event_detail *const *right = b;
    int order = id_compare((*left)->profile_id, (*right)->profile_id);
    /* Within a profile as they came: details lie in one array. */
    return order != 0 ? order : (*left < *right ? -1 : *left > *right);
}

static void write_notifications(struct jsonw *json, const struct event_detail *const *details,
                                size_t count)
{
    jsonw_key(json, "notifications");
    jsonw_open_array(json);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < details[i]->notification_count; j++) {
            jsonw_open(json);
            jsonw_put_id(json, "id", details[i]->notification_ids[j]);
            jsonw_put_str(json, "type", details[i]->notification_topics[j]);
            jsonw_close(json);
        }
    }
    jsonw_close_array(json);
}

static bool change_shows(const struct event_change *change, enum rule_kind kind, bool comes)
{
    return change->kind == kind && change->had != comes && change->has == comes;
}

static void write_change(struct jsonw *json, const struct event_change *change)
{
    jsonw_open(json);
    jsonw_put_str_or_null(json, "from", change->from);
    jsonw_put_str_or_null(json, "to", change->to);
    jsonw_close(json);
}

static void write_names_changed(struct jsonw *json, const char *key,
                                const struct event_change *changes, size_t count,
                                enum rule_kind kind, bool comes)
{
    jsonw_key(json, key);
    jsonw_open_array(json);
    for (size_t i = 0; i < count; i++) {
        if (change_shows(&changes[i], kind, comes)) {
            jsonw_str(json, changes[i].rule);
        }
    }
    jsonw_close_array(json);
}

static void write_changes(struct jsonw *json, const struct event_change *changes, size_t count)
{
    const struct event_change *stage = NULL;
    for (size_t i = 0; i < count; i++) {
        stage = changes[i].kind == RULE_KIND_LIFECYCLE ? &changes[i] : stage;
    }
    jsonw_key(json, "changed");
    jsonw_open(json);
    jsonw_key(json, "lifecycle");
    if (stage == NULL) {
        jsonw_null(json);
    } else {
        write_change(json, stage);
    }
    write_names_changed(json, "tags_added", changes, count, RULE_KIND_TAG, true);
    write_names_changed(json, "tags_removed", changes, count, RULE_KIND_TAG, false);
    write_names_changed(json, "segments_entered", changes, count, RULE_KIND_SEGMENT, true);
    write_names_changed(json, "segments_left", changes, count, RULE_KIND_SEGMENT, false);
    jsonw_key(json, "tiers");
    jsonw_open(json);
    for (size_t i = 0; i < count; i++) {
        if (changes[i].kind == RULE_KIND_TIER) {
            jsonw_key_str(json, changes[i].rule);
            write_change(json, &changes[i]);
        }
    }
    jsonw_close(json);
    jsonw_close(json);
}

/* Each rule once: what was before the first event, what is after the last. */
static size_t fold_changes(const struct event_detail *const *details, size_t count,
                           struct event_change *out_changes)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < details[i]->change_count; k++) {
            const struct event_change *change = &details[i]->changes[k];
            size_t at = 0;
            while (at < size && !str_equal(out_changes[at].rule, change->rule)) {
                at++;
            }
            if (at == size) {
                out_changes[size++] = *change;
            }
            out_changes[at].has = change->has;
            out_changes[at].to = change->to;
        }
    }
    return size;
}

/* One profile's details, in order. */
static void write_profile(struct jsonw *json, struct arena *arena,
                          const struct event_detail *const *details, size_t count)
{
    bool created = false;
    size_t change_count = 0;
    for (size_t i = 0; i < count; i++) {
        created = created || details[i]->profile_created;
        change_count += details[i]->change_count;
    }
    struct event_change *changes = ARENA_NEW_ARRAY(arena, change_count + 1, struct event_change);
    change_count = changes != NULL ? fold_changes(details, count, changes) : 0;
    jsonw_open(json);
    jsonw_put_id(json, "id", details[0]->profile_id);
    jsonw_put_bool(json, "created", created);
    jsonw_put_i64(json, "sequence", details[count - 1]->sequence);
    write_changes(json, changes, change_count);
    write_notifications(json, details, count);
    jsonw_close(json);
}

static void write_profiles(struct jsonw *json, const struct intake_delivery *delivery)
{
    const struct event_detail **details =
        ARENA_NEW_ARRAY(delivery->arena, delivery->event_count + 1, const struct event_detail *);
    size_t count = 0;
    for (size_t i = 0; details != NULL && i < delivery->event_count; i++) {
        if (!id_is_zero(delivery->details[i].profile_id)) {
            details[count++] = &delivery->details[i];
        }
    }
    jsonw_key(json, "profiles");
    jsonw_open_array(json);
    if (count > 0) {
        qsort(details, count, sizeof(const struct event_detail *), detail_compare);
    }
    for (size_t begin = 0; begin < count;) {
        size_t end = begin + 1;
        while (end < count && id_equal(details[end]->profile_id, details[begin]->profile_id)) {
            end++;
        }
        write_profile(json, delivery->arena, details + begin, end - begin);
        begin = end;
    }
    jsonw_close_array(json);
}

/* --- answering ------------------------------------------------------------ */

static void answer_settled(struct ingest *ingest, const struct source_counts *counts)
{
    const struct intake_delivery *delivery = &ingest->delivery;
    if (ingest->accepted_json.size > 0) {
        http_reply_json(ingest->x, 200, ingest->accepted_json);
        return;
    }
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, delivery->arena, INGEST_ANSWER_BYTES_MAX);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    write_counts(&json, counts);
    jsonw_put_id(&json, "receipt_id", delivery->receipt_id);
    if (delivery->want_details && delivery->details != NULL) {
        write_profiles(&json, delivery);
    }
    if (ingest->rejected_count > 0) {
        jsonw_put_raw(&json, "rejected", ingest->rejected_json);
    }
    jsonw_close(&json);
    if (buf.failed) {
        /* It was committed: an answer without details is true, an error is not. */
        http_reply_json(ingest->x, 200, STR("{\"status\":\"applied\"}"));
    } else {
        http_reply_json(ingest->x, 200, buf_str(&buf));
    }
}

static void answer_later(const struct ingest *ingest, const char *type, const char *detail)
{
    struct http_exchange *x = ingest->x;
    struct arena *arena = http_arena(x);
    struct problem problem;
    (void)problem_set(&problem, STATUS_RETRY, type, "%s", detail);
    http_reply_problem(x, &problem);
    unsigned seconds = 1 + randombytes_uniform(5);
    struct str value = str_printf(arena, "%u", seconds);
    http_reply_header(x, "Retry-After", value.size > 0 ? value : STR("3"));
    if (ingest->answer != NULL) { /* an SDK: it may read an instant only */
        struct str at = str_printf(arena, "%lld", (long long)clock_now_ms() / 1000 + seconds);
        http_reply_header(x, "X-RateLimit-Reset", at.size > 0 ? at : STR("0"));
    }
}

static void count(const struct ingest *ingest, const struct source_counts *counts)
{
    source_stats_count(ingest->api->source_stats, ingest->delivery.workspace_id,
                       ingest->delivery.source_id, counts, ingest->delivery.received_at_ms);
}

/* From the newest of what the delivery says happened, to its arrival. Events
 * that claim no time of their own were given that of the arrival. */
static void count_lag(const struct ingest *ingest)
{
    const struct intake_delivery *delivery = &ingest->delivery;
    int64_t newest_ms = INSTANT_NONE;
    for (size_t i = 0; i < delivery->event_count; i++) {
        int64_t claimed_ms = delivery->events[i].claimed_at_ms;
        if (claimed_ms != delivery->received_at_ms && claimed_ms > newest_ms) {
            newest_ms = claimed_ms;
        }
    }
    if (newest_ms != INSTANT_NONE) {
        source_stats_lag(ingest->api->source_stats, delivery->workspace_id, delivery->source_id,
                         delivery->received_at_ms - newest_ms);
    }
}

static void ingest_done(struct intake_delivery *delivery, void *user)
{
    struct ingest *ingest = user;
    struct source_counts counts = { .shed = 1 };
    if (delivery->status == STATUS_OK) {
        counts = count_results(delivery);
        if (ingest->answer != NULL) {
            ingest->answer(ingest);
        } else {
            answer_settled(ingest, &counts);
        }
        if (counts.applied > 0) {
            count_lag(ingest);
        }
    } else {
        answer_later(ingest, "database-unavailable", "the events could not be committed");
    }
    count(ingest, &counts);
    registry_release(ingest->api->registry, ingest->snapshot);
    http_complete(ingest->x);
}

/* Of hooks and SDKs, whose senders do not read what is wrong. */
static enum status follow_plans(struct ingest *ingest)
{
    struct intake_delivery *delivery = &ingest->delivery;
    struct plan_check check = {
        .arena = delivery->arena,
        .workspace = snapshot_workspace(ingest->snapshot, delivery->workspace_id),
        .source_id = delivery->source_id,
        .events = delivery->events,
        .event_count = delivery->event_count,
        .now_ms = delivery->received_at_ms,
    };
    enum status status = plan_apply(&check);
    delivery->quarantine_reasons = check.reasons;
    return status;
}

enum http_outcome ingest_submit(struct ingest *ingest)
{
    ingest->delivery.done = ingest_done;
    ingest->delivery.user = ingest;
    enum status status = ingest->has_followed_plans ? STATUS_OK : follow_plans(ingest);
    if (status == STATUS_OK) {
        status = intake_submit(ingest->api->intake, &ingest->delivery);
    }
    if (status == STATUS_OK) {
        return HTTP_PENDING;
    }
    struct source_counts shed = { .shed = 1 };
    count(ingest, &shed);
    if (status == STATUS_LIMIT) {
        answer_later(ingest, ingest->answer != NULL ? "rate-limited" : "overloaded",
                     "too many events are waiting");
    } else {
        answer_later(ingest, "database-unavailable", "the database cannot be reached");
    }
    registry_release(ingest->api->registry, ingest->snapshot);
    return HTTP_DONE;
}

void ingest_answer_ignored(struct http_exchange *x, int64_t ignored)
{
    struct buf buf;
    struct jsonw json;
    struct source_counts counts = { .ignored = ignored };
    buf_init(&buf, http_arena(x), 1024);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    write_counts(&json, &counts);
    jsonw_put_null(&json, "receipt_id");
    jsonw_close(&json);
    http_reply_json(x, 200, buf.failed ? STR("{\"status\":\"ignored\"}") : buf_str(&buf));
}
