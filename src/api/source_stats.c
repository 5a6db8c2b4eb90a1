#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/source_lag.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/instant.h"
#include "base/jsonw.h"
#include "base/limits.h"
#include "source_stats_priv.h"
#include "store/api_key.h"

/*
 * The health of sources, counted in memory.
 *
 * Problem: every request of every epoll thread counts. One lock would be the
 * busiest of the process, so sources are spread over stripes by the hash of
 * their id; two threads meet only on the same stripe, for a few stores. Once a
 * second what was counted is taken out and added to the rows; if that fails it
 * is put back, and nothing is lost but what a crash takes: a second of counts,
 * never a fact.
 *
 * The table holds what exists: a source is counted only after the registry
 * knew it, so a stranger's requests cannot fill it. Entries stay for the life
 * of the process; a stripe that is full counts no further sources.
 */

enum {
    STRIPE_COUNT = 16,
    ENTRIES_PER_STRIPE = 4096,
    KEYS_MAX = 4096,
    FLUSH_MAX = 1024, /* rows a statement */
    TOPIC_SIZE = 64,
};

#define USE_INTERVAL_MS INSTANT_MINUTE_MS

struct secret_use {
    struct id id;
    int64_t seen_ms; /* tried or used */
    int64_t at_ms;
    int64_t stored_ms;
    /* Of a shadow, since the last flush. */
    int64_t tried;
    int64_t matches;
    int64_t tried_ms;
    int64_t missed_ms;
};

struct entry {
    struct id workspace_id;
    struct id source_id;
    struct source_counts counts;
    int64_t last_delivery_at_ms;
    int64_t last_applied_at_ms;
    int64_t last_accepted_at_ms;
    int64_t shed_from_ms;
    int64_t shed_to_ms;
    uint32_t lag[SOURCE_LAG_BUCKETS];
    bool dirty;
    bool failed;
    int64_t failed_at_ms;
    enum signature_verdict verdict;
    char topic[TOPIC_SIZE];
    size_t topic_size;
    size_t secrets_tried;
    size_t body_bytes;
    struct secret_use uses[LIMIT_SECRETS_PER_SOURCE];
};

struct stripe {
    pthread_mutex_t mutex;
    size_t count;
    struct entry *entries[ENTRIES_PER_STRIPE]; /* open addressing by source id */
};

struct key_use {
    struct id workspace_id;
    struct id id;
    int64_t at_ms;
    int64_t stored_ms;
};

struct source_stats {
    struct stripe stripes[STRIPE_COUNT];
    pthread_mutex_t key_mutex;
    struct key_use keys[KEYS_MAX];
    int64_t beat_ms; /* flushing thread only */
};

struct source_stats *source_stats_create(void)
{
    struct source_stats *stats = calloc(1, sizeof(*stats));
    if (stats == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < STRIPE_COUNT; i++) {
        pthread_mutex_init(&stats->stripes[i].mutex, NULL);
    }
    pthread_mutex_init(&stats->key_mutex, NULL);
    return stats;
}

void source_stats_destroy(struct source_stats *stats)
{
    if (stats == NULL) {
        return;
    }
    for (size_t i = 0; i < STRIPE_COUNT; i++) {
        for (size_t j = 0; j < ENTRIES_PER_STRIPE; j++) {
            free(stats->stripes[i].entries[j]);
        }
        pthread_mutex_destroy(&stats->stripes[i].mutex);
    }
    pthread_mutex_destroy(&stats->key_mutex);
    free(stats);
}

static uint64_t hash_of(struct id id)
{
    return id_hash64(id, 0);
}

/* Under the stripe's lock. NULL when the stripe or the memory is full. */
static struct entry *entry_of(struct stripe *stripe, uint64_t hash, struct id workspace_id,
                              struct id source_id)
{
    size_t at = (size_t)(hash / STRIPE_COUNT) % ENTRIES_PER_STRIPE;
    while (stripe->entries[at] != NULL) {
        if (id_equal(stripe->entries[at]->source_id, source_id)) {
            return stripe->entries[at];
        }
        at = (at + 1) % ENTRIES_PER_STRIPE;
    }
    if (stripe->count >= ENTRIES_PER_STRIPE / 2) {
        return NULL;
    }
    struct entry *entry = calloc(1, sizeof(*entry));
    if (entry == NULL) {
        return NULL;
    }
    entry->workspace_id = workspace_id;
    entry->source_id = source_id;
    entry->last_delivery_at_ms = INSTANT_NONE;
    entry->last_applied_at_ms = INSTANT_NONE;
    entry->last_accepted_at_ms = INSTANT_NONE;
    entry->shed_from_ms = INSTANT_NONE;
    entry->shed_to_ms = INSTANT_NONE;
    stripe->entries[at] = entry;
    stripe->count++;
    return entry;
}

static void add_counts(struct source_counts *sum, const struct source_counts *counts)
{
    sum->applied += counts->applied;
    sum->duplicate += counts->duplicate;
    sum->ignored += counts->ignored;
    sum->quarantined += counts->quarantined;
    sum->refused += counts->refused;
    sum->shed += counts->shed;
    sum->thin += counts->thin;
}

static void advance(int64_t *instant_ms, int64_t at_ms)
{
    if (at_ms > *instant_ms) {
        *instant_ms = at_ms;
    }
}

/* Under the stripe's lock. */
static void note_shed(struct entry *entry, int64_t from_ms, int64_t to_ms)
{
    if (entry->shed_from_ms == INSTANT_NONE || from_ms < entry->shed_from_ms) {
        entry->shed_from_ms = from_ms;
    }
    advance(&entry->shed_to_ms, to_ms);
}

void source_stats_count(struct source_stats *stats, struct id workspace_id, struct id source_id,
                        const struct source_counts *counts, int64_t at_ms)
{
    uint64_t hash = hash_of(source_id);
    struct stripe *stripe = &stats->stripes[hash % STRIPE_COUNT];
    pthread_mutex_lock(&stripe->mutex);
    struct entry *entry = entry_of(stripe, hash, workspace_id, source_id);
    if (entry != NULL) {
        add_counts(&entry->counts, counts);
        entry->dirty = true;
        advance(&entry->last_delivery_at_ms, at_ms);
        if (counts->applied > 0) {
            advance(&entry->last_applied_at_ms, at_ms);
        }
        if (counts->applied + counts->duplicate + counts->ignored + counts->quarantined > 0) {
            advance(&entry->last_accepted_at_ms, at_ms);
        }
        if (counts->shed > 0) {
            note_shed(entry, at_ms, at_ms);
        }
    }
    pthread_mutex_unlock(&stripe->mutex);
}

void source_stats_lag(struct source_stats *stats, struct id workspace_id, struct id source_id,
                      int64_t lag_ms)
{
    uint64_t hash = hash_of(source_id);
    struct stripe *stripe = &stats->stripes[hash % STRIPE_COUNT];
    pthread_mutex_lock(&stripe->mutex);
    struct entry *entry = entry_of(stripe, hash, workspace_id, source_id);
    if (entry != NULL) {
        entry->lag[source_lag_bucket(lag_ms)]++;
        entry->dirty = true;
    }
    pthread_mutex_unlock(&stripe->mutex);
}

void source_stats_fail(struct source_stats *stats, struct id workspace_id, struct id source_id,
                       const struct source_failure *failure, int64_t at_ms)
{
    struct source_counts refused = { .refused = 1 };
    source_stats_count(stats, workspace_id, source_id, &refused, at_ms);
    uint64_t hash = hash_of(source_id);
    struct stripe *stripe = &stats->stripes[hash % STRIPE_COUNT];
    pthread_mutex_lock(&stripe->mutex);
    struct entry *entry = entry_of(stripe, hash, workspace_id, source_id);
    if (entry != NULL) {
        struct str topic = str_take_text(failure->topic, TOPIC_SIZE);
        entry->failed = true;
        entry->failed_at_ms = at_ms;
        entry->verdict = failure->verdict;
        entry->topic_size = str_is_text(topic) ? topic.size : 0;
        if (entry->topic_size > 0) {
            memcpy(entry->topic, topic.data, entry->topic_size);
        }
        entry->secrets_tried = failure->secrets_tried;
        entry->body_bytes = failure->body_bytes;
    }
    pthread_mutex_unlock(&stripe->mutex);
}

/* Under the stripe's lock. Secrets come and go, so the one not seen for longest
 * makes room: a source has no more live ones than there are places. */
static struct secret_use *use_of(struct entry *entry, struct id secret_id, int64_t at_ms)
{
    struct secret_use *oldest = &entry->uses[0];
    for (size_t i = 0; i < ARRAY_COUNT(entry->uses); i++) {
        struct secret_use *use = &entry->uses[i];
        if (id_equal(use->id, secret_id)) {
            use->seen_ms = at_ms;
            return use;
        }
        oldest = use->seen_ms < oldest->seen_ms ? use : oldest;
    }
    *oldest = (struct secret_use){ .id = secret_id, .seen_ms = at_ms };
    return oldest;
}

void source_stats_secret_used(struct source_stats *stats, struct id workspace_id,
                              struct id source_id, struct id secret_id, int64_t at_ms)
{
    uint64_t hash = hash_of(source_id);
    struct stripe *stripe = &stats->stripes[hash % STRIPE_COUNT];
    pthread_mutex_lock(&stripe->mutex);
    struct entry *entry = entry_of(stripe, hash, workspace_id, source_id);
    if (entry != NULL) {
        use_of(entry, secret_id, at_ms)->at_ms = at_ms;
    }
    pthread_mutex_unlock(&stripe->mutex);
}

void source_stats_shadow(struct source_stats *stats, struct id workspace_id, struct id source_id,
                         struct id secret_id, bool matches, int64_t at_ms)
{
    uint64_t hash = hash_of(source_id);
    struct stripe *stripe = &stats->stripes[hash % STRIPE_COUNT];
    pthread_mutex_lock(&stripe->mutex);
    struct entry *entry = entry_of(stripe, hash, workspace_id, source_id);
    if (entry != NULL) {
        struct secret_use *use = use_of(entry, secret_id, at_ms);
        use->tried_ms = use->tried == 0 ? at_ms : use->tried_ms;
        use->tried++;
        use->matches += matches ? 1 : 0;
        use->missed_ms = matches ? use->missed_ms : at_ms;
    }
    pthread_mutex_unlock(&stripe->mutex);
}

void source_stats_key_used(struct source_stats *stats, struct id workspace_id, struct id key_id,
                           int64_t at_ms)
{
    size_t at = (size_t)hash_of(key_id) % KEYS_MAX;
    pthread_mutex_lock(&stats->key_mutex);
    for (size_t tries = 0; tries < 32; tries++) {
        struct key_use *use = &stats->keys[(at + tries) % KEYS_MAX];
        if (id_is_zero(use->id) || id_equal(use->id, key_id)) {
            use->workspace_id = workspace_id;
            use->id = key_id;
            use->at_ms = at_ms;
            break;
        }
    }
    pthread_mutex_unlock(&stats->key_mutex);
}

/* --- flushing ------------------------------------------------------------- */

static struct str failure_json(struct arena *arena, const struct entry *entry)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, arena, 4096);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    jsonw_put_instant(&json, "at", entry->failed_at_ms);
    jsonw_put_z(&json, "reason", signature_verdict_name(entry->verdict));
    jsonw_put_str_or_null(&json, "topic", (struct str){ entry->topic, entry->topic_size });
    jsonw_put_i64(&json, "secrets_tried", (int64_t)entry->secrets_tried);
    jsonw_put_i64(&json, "body_bytes", (int64_t)entry->body_bytes);
    jsonw_put_z(&json, "hint", signature_verdict_hint(entry->verdict));
    jsonw_close(&json);
    return buf_str(&buf);
}

struct taken {
    struct source_health_delta *deltas;
    size_t delta_count;
    struct source_secret_use *uses;
    size_t use_count;
    struct source_shadow_delta *shadows;
    size_t shadow_count;
};

static void take_shadow(struct entry *entry, struct secret_use *use, struct taken *taken)
{
    if (use->tried == 0 || taken->shadow_count == FLUSH_MAX) {
        return;
    }
    taken->shadows[taken->shadow_count++] = (struct source_shadow_delta){
        .workspace_id = entry->workspace_id,
        .source_id = entry->source_id,
        .secret_id = use->id,
        .tried = use->tried,
        .matches = use->matches,
        .at_ms = use->tried_ms,
        .missed_at_ms = use->missed_ms != 0 ? use->missed_ms : INSTANT_NONE,
    };
    use->tried = 0;
    use->matches = 0;
    use->missed_ms = 0;
}

static void take_uses(struct entry *entry, struct taken *taken)
{
    for (size_t i = 0; i < ARRAY_COUNT(entry->uses); i++) {
        struct secret_use *use = &entry->uses[i];
        take_shadow(entry, use, taken);
        if (use->at_ms - use->stored_ms >= USE_INTERVAL_MS && taken->use_count < FLUSH_MAX) {
            use->stored_ms = use->at_ms;
            taken->uses[taken->use_count++] = (struct source_secret_use){
                .workspace_id = entry->workspace_id,
                .source_id = entry->source_id,
                .secret_id = use->id,
                .at_ms = use->at_ms,
            };
        }
    }
}

static void take_stripe(struct stripe *stripe, struct arena *arena, struct taken *taken)
{
    pthread_mutex_lock(&stripe->mutex);
    for (size_t i = 0; stripe->count > 0 && i < ENTRIES_PER_STRIPE; i++) {
        struct entry *entry = stripe->entries[i];
        if (entry == NULL) {
            continue;
        }
        take_uses(entry, taken);
        if (!entry->dirty || taken->delta_count == FLUSH_MAX) {
            continue;
        }
        uint32_t *lag = ARENA_NEW_ARRAY(arena, SOURCE_LAG_BUCKETS, uint32_t);
        if (lag != NULL) {
            memcpy(lag, entry->lag, sizeof(entry->lag));
        }
        taken->deltas[taken->delta_count++] = (struct source_health_delta){
            .workspace_id = entry->workspace_id,
            .source_id = entry->source_id,
            .counts = entry->counts,
            .last_delivery_at_ms = entry->last_delivery_at_ms,
            .last_applied_at_ms = entry->last_applied_at_ms,
            .last_accepted_at_ms = entry->last_accepted_at_ms,
            .last_failure_json =
                entry->failed ? failure_json(arena, entry) : (struct str){ NULL, 0 },
            .shed_from_ms = entry->shed_from_ms,
            .shed_to_ms = entry->shed_to_ms,
            .lag = lag,
        };
        entry->counts = (struct source_counts){ 0 };
        entry->shed_from_ms = INSTANT_NONE;
        entry->shed_to_ms = INSTANT_NONE;
        memset(entry->lag, 0, sizeof(entry->lag));
        entry->dirty = false;
        entry->failed = false;
    }
    pthread_mutex_unlock(&stripe->mutex);
}

static int delta_compare(const void *a, const void *b)
{
    const struct source_health_delta *left = a;
    const struct source_health_delta *right = b;
    int order = id_compare(left->workspace_id, right->workspace_id);
    return order != 0 ? order : id_compare(left->source_id, right->source_id);
}

static int shadow_compare(const void *a, const void *b)
{
    const struct source_shadow_delta *left = a;
    const struct source_shadow_delta *right = b;
    return id_compare(left->secret_id, right->secret_id);
}

static void put_back(struct source_stats *stats, const struct taken *taken)
{
    for (size_t i = 0; i < taken->delta_count; i++) {
        const struct source_health_delta *delta = &taken->deltas[i];
        uint64_t hash = hash_of(delta->source_id);
        struct stripe *stripe = &stats->stripes[hash % STRIPE_COUNT];
        pthread_mutex_lock(&stripe->mutex);
        struct entry *entry = entry_of(stripe, hash, delta->workspace_id, delta->source_id);
        if (entry != NULL) {
            add_counts(&entry->counts, &delta->counts);
            entry->dirty = true;
            if (delta->counts.shed > 0) {
                note_shed(entry, delta->shed_from_ms, delta->shed_to_ms);
            }
            for (size_t b = 0; delta->lag != NULL && b < SOURCE_LAG_BUCKETS; b++) {
                entry->lag[b] += delta->lag[b];
            }
            entry->failed = entry->failed || delta->last_failure_json.size > 0;
        }
        pthread_mutex_unlock(&stripe->mutex);
    }
}

/* We live, and reach the database: what is missing here is a gap later. */
static void beat(struct source_stats *stats, struct pg *pg, struct arena *arena)
{
    int64_t now_ms = clock_now_ms();
    struct problem unseen = { .type = "" };
    if (now_ms - stats->beat_ms < LIMIT_UPTIME_BEAT_MS && now_ms >= stats->beat_ms) {
        return;
    }
    if (source_uptime_beat(pg, arena, now_ms, &unseen) == STATUS_OK) {
        stats->beat_ms = now_ms;
    } else {
        pg_reset(pg);
    }
}

static void flush_keys(struct source_stats *stats, struct pg *pg, struct arena *arena)
{
    struct api_key_use *uses = ARENA_NEW_ARRAY(arena, FLUSH_MAX, struct api_key_use);
    size_t count = 0;
    pthread_mutex_lock(&stats->key_mutex);
    for (size_t i = 0; uses != NULL && i < KEYS_MAX && count < FLUSH_MAX; i++) {
        struct key_use *use = &stats->keys[i];
        if (use->at_ms - use->stored_ms >= USE_INTERVAL_MS) {
            use->stored_ms = use->at_ms;
            uses[count++] = (struct api_key_use){ .workspace_id = use->workspace_id,
                                                  .key_id = use->id,
                                                  .at_ms = use->at_ms };
        }
    }
    pthread_mutex_unlock(&stats->key_mutex);
    struct problem unseen = { .type = "" };
    /* "Last used" is a courtesy: a failure costs a minute of it. */
    if (count > 0 && api_key_touch(pg, arena, uses, count, &unseen) != STATUS_OK) {
        pg_reset(pg);
    }
}

void source_stats_flush(struct source_stats *stats, struct pg *pg)
{
    struct arena *arena CLEANUP(arena_destroy_at) = arena_create(8u * 1024 * 1024);
    if (arena == NULL) {
        return;
    }
    struct taken taken = {
        .deltas = ARENA_NEW_ARRAY(arena, FLUSH_MAX, struct source_health_delta),
        .uses = ARENA_NEW_ARRAY(arena, FLUSH_MAX, struct source_secret_use),
        .shadows = ARENA_NEW_ARRAY(arena, FLUSH_MAX, struct source_shadow_delta),
    };
    if (taken.deltas == NULL || taken.uses == NULL || taken.shadows == NULL) {
        return;
    }
    for (size_t i = 0; i < STRIPE_COUNT; i++) {
        take_stripe(&stats->stripes[i], arena, &taken);
    }
    beat(stats, pg, arena);
    struct problem unseen = { .type = "" };
    qsort(taken.deltas, taken.delta_count, sizeof(*taken.deltas), delta_compare);
    if (taken.delta_count > 0 && source_health_add(pg, arena, clock_now_ms(), taken.deltas,
                                                   taken.delta_count, &unseen) != STATUS_OK) {
        put_back(stats, &taken);
    }
    if (taken.use_count > 0 &&
        source_secret_touch(pg, arena, taken.uses, taken.use_count, &unseen) != STATUS_OK) {
        pg_reset(pg);
    }
    /* Sorted, so that two instances never wait for each other; a failure costs a
     * second of what is a sample anyway. */
    qsort(taken.shadows, taken.shadow_count, sizeof(*taken.shadows), shadow_compare);
    if (taken.shadow_count > 0 &&
        source_shadow_add(pg, arena, taken.shadows, taken.shadow_count, &unseen) != STATUS_OK) {
        pg_reset(pg);
    }
    flush_keys(stats, pg, arena);
}
