#ifndef API_API_H
#define API_API_H

/*
 * The REST face: one file per resource, thin handlers (parse, call, reply),
 * one route table. Handlers get the struct api below as `app`; worker routes
 * get their database connection (struct pg) from http_worker_context.
 */

#include "base/id.h"
#include "deliver/sender.h"
#include "http/server.h"
#include "intake/intake.h"
#include "store/registry.h"
#include "store/seal.h"

struct buf;
struct key_ring;
struct source_stats;

struct api {
    struct registry *registry;
    struct intake *intake;
    struct seal *seal;
    struct source_stats *source_stats;
    struct key_ring *key_ring;                 /* keys that senders publish */
    const struct sender_config *sender_config; /* for challenges and tests */
    const char *public_url;                    /* without trailing slash */
    struct id instance_id;
    /* Metrics text and readiness detail, written by app. */
    void (*write_metrics)(void *app, struct buf *buf);
    /* True when ready; fills a JSON object of checks. */
    bool (*readiness)(void *app, struct buf *json);
    void *app;
};

/* All routes of both listeners. Static. */
extern const struct http_route api_routes[];
extern const size_t api_route_count;

/* http_authenticate_fn over the registry. */
enum http_auth api_authenticate(void *app, struct arena *arena, struct str key,
                                struct principal *out_principal);

/* http_allow_origin_fn: some source takes events from pages of this origin. */
bool api_allow_origin(void *app, struct str origin);

/* Health of sources: counted in memory on the hot path, flushed by the
 * background thread in one statement (additive, so instances share rows). */
struct source_stats *source_stats_create(void);
void source_stats_destroy(struct source_stats *stats);
void source_stats_flush(struct source_stats *stats, struct pg *pg);
/* The same of tracking plans. */
void plan_counts_flush(struct registry *registry, struct pg *pg);

#endif
