#ifndef APP_APP_H
#define APP_APP_H

/*
 * Everything a running server is made of, in one struct that `serve` owns: the
 * process has no other state.
 *
 * Threading: members are set by the main thread before the threads that read
 * them start, and cleared after those have ended; what changes in between is
 * atomic. The wiring between layers that must not know each other (sender and
 * store, intake and sender, HTTP and metrics) is in wiring.c.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "api/api.h"
#include "app/cli.h"
#include "base/id.h"
#include "core/source.h"
#include "deliver/sender.h"
#include "http/server.h"
#include "intake/intake.h"
#include "store/registry.h"
#include "sweep/background.h"
#include "sweep/due.h"
#include "sweep/fan_out.h"
#include "sweep/nightly.h"

struct delivery_queue;
struct endpoint_tally;
struct import_worker;
struct metrics;

enum {
    APP_URL_SIZE = 512
};

struct app {
    struct cli *cli; /* configuration, seal, embedded PostgreSQL */
    struct id instance_id;
    int64_t started_at_ms;
    char public_url[APP_URL_SIZE];
    char listen[APP_URL_SIZE];
    char admin_listen[APP_URL_SIZE];

    struct metrics *metrics;
    struct registry *registry;
    struct source_stats *source_stats;
    struct endpoint_tally *tally;
    struct key_ring *key_ring;
    struct delivery_queue *queue;
    struct sender_config sender_config;
    struct sender *sender;
    struct due_sweep *due;
    struct fan_out *fan_out;
    struct intake *intake;
    struct background *background;
    struct import_worker *imports;
    struct nightly *nightly;
    struct api api;
    struct http_server *http;

    atomic_bool is_draining;
    atomic_bool schema_matches;
    atomic_int_fast64_t ingested;         /* events that were committed */
    atomic_int_fast64_t database_seen_ms; /* monotonic: when it last answered */
    atomic_int_fast64_t clock_offset_ms;  /* the database's clock minus ours */
    int64_t schema_checked_ms;            /* monotonic; background thread only */
};

/* --- wiring.c: callbacks; `app` is the struct app ------------------------- */

enum status app_parse_source(struct arena *arena, struct source *source);
size_t app_sender_room(void *app);
size_t app_hand_over(void *app, const struct delivery *deliveries, size_t count);
void app_due_hint(void *app, int64_t due_at_ms);
void app_fan_out_hint(void *app);
int64_t app_ingested(void *app);
void app_observe_batch(void *app, size_t events, int64_t duration_us, enum status status);
void app_observe_due(void *app, size_t profiles, int64_t lag_ms);
void app_observe_attempt(void *app, enum attempt_outcome outcome, int64_t duration_ms);
void app_flush(void *app, struct pg *pg);
void app_clock_offset(void *app, int64_t offset_ms);
void app_report_work(void *app, const char *work, const struct problem *problem);
void app_write_metrics(void *app, struct buf *text);
bool app_readiness(void *app, struct buf *json);

/* HTTP's callbacks get the struct api, whose `app` is ours. */
void app_observe_request(void *api, const char *pattern, unsigned http_status, int64_t duration_us);
void *app_worker_open(void *api);
void app_worker_close(void *api, void *context);

#endif
