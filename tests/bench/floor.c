#include <assert.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <sodium.h>

#include "base/clock.h"
#include "base/jsonw.h"
#include "base/limits.h"
#include "core/decide.h"
#include "payload_file.h"
#include "replay.h"
#include "shipped_rules.h"
#include "sources/platform.h"
#include "store/batch.h"
#include "store/migrate.h"
#include "store/statistic_store.h"

/*
 * The floor: how fast could the same rows be written by these statements, if
 * HTTP, signatures, parsing and deciding cost nothing?
 *
 * Problem: the statements' parameters depend on what the ones before returned,
 * so they cannot be made without a database. Therefore two databases and two
 * passes. The first pass takes the webhooks through the very functions of the
 * intake (batch_load, batch_plan_and_lock, decide_event, batch_save) in
 * one database; a layer put by the linker (--wrap) between them and pg_queue
 * keeps a copy of every statement with its parameters, and of where a round
 * trip ended. The second pass sends the copies to the other, empty database
 * with libpq alone, and only that is timed. It writes the same rows, ids and
 * all; tests/bench/run counts them.
 *
 * A shop's first statistics give everybody a tier, and from then on each new
 * customer one more transition and membership. So the first webhooks are not
 * timed, statistics are computed from them as the server does, and what is timed
 * is decided by those, on both sides.
 *
 * Like the intake's lanes, a customer's webhooks all go to one connection, so
 * that connections do not wait for each other's locks and a row is inserted
 * before it is updated.
 *
 * Rejected: timing only the statements of the first pass (with two connections
 * on two cores one decides while the other writes, and what is then "only"?),
 * and COPY (does not write what the intake writes: it knows no ON CONFLICT,
 * locks nothing, reads nothing).
 */

enum {
    CONNECTIONS_MAX = 64,
    HEADERS_MAX = 32,
    SETTINGS_MAX = 64,
};

struct options {
    const char *file;
    const char *record_url;
    const char *url;
    const char *topic; /* of one subscription; NULL: none */
    uint64_t count;
    uint64_t warm; /* of them, before the clock */
    size_t batch;
    size_t connections;
};

struct floor {
    struct options options;
    struct payload_file payloads;
    const struct platform *platform;
    struct source source;
    struct decide_context context;
    struct arena *rules_arena;
    const struct ruleset *rulesets[1];
    struct source_name source_name;
    struct subscription_interest interest;
    struct str topic;
    struct pg *pg;
    struct arena *arena;
    struct replay_tape warm_tapes[CONNECTIONS_MAX];
    struct replay_tape tapes[CONNECTIONS_MAX];
    uint8_t *lanes; /* per webhook: its connection */
    size_t event_count;
};

/* What --wrap's functions write to; they have no argument of ours. */
static struct replay_tape *recording;

enum status __real_pg_queue(struct pg *pg, const struct pg_statement *statement,
                            struct pg_params *params);
enum status __real_pg_sync(struct pg *pg, struct arena *arena, struct pg_result **out_results,
                           size_t result_count, struct problem *problem);
enum status __wrap_pg_queue(struct pg *pg, const struct pg_statement *statement,
                            struct pg_params *params);
enum status __wrap_pg_sync(struct pg *pg, struct arena *arena, struct pg_result **out_results,
                           size_t result_count, struct problem *problem);

enum status __wrap_pg_queue(struct pg *pg, const struct pg_statement *statement,
                            struct pg_params *params)
{
    if (recording != NULL) {
        replay_add(recording, statement, params);
    }
    return __real_pg_queue(pg, statement, params);
}

enum status __wrap_pg_sync(struct pg *pg, struct arena *arena, struct pg_result **out_results,
                           size_t result_count, struct problem *problem)
{
    if (recording != NULL) {
        replay_add_sync(recording);
    }
    return __real_pg_sync(pg, arena, out_results, result_count, problem);
}

static _Noreturn void fail(const char *what, const struct problem *problem)
{
    (void)fprintf(stderr, "floor: %s: %s\n", what, problem != NULL ? problem->detail : "");
    exit(1);
}

static void check(enum status status, const char *what, const struct problem *problem)
{
    if (status != STATUS_OK) {
        fail(what, problem);
    }
}

/* --- a webhook as the intake gets it ---------------------------------------- */

struct webhook {
    struct inbound inbound;
    struct inbound_header headers[HEADERS_MAX];
    struct normalised normalised;
    struct str headers_json;
};

static void headers_parse(struct webhook *webhook, struct str head)
{
    struct str line = { NULL, 0 };
    struct str rest = head;
    while (str_split(rest, '\n', &line, &rest) && webhook->inbound.header_count < HEADERS_MAX) {
        struct inbound_header *header = &webhook->headers[webhook->inbound.header_count];
        if (str_split(line, ':', &header->name, &header->value)) {
            header->value = str_trim(header->value);
            webhook->inbound.header_count++;
        }
    }
    webhook->inbound.headers = webhook->headers;
}

/* The headers that the raw webhook's row keeps, as src/api/hooks.c lists them. */
static bool header_is_kept(struct str name)
{
    return str_equal_nocase(name, STR("content-type")) ||
           str_equal_nocase(name, STR("user-agent")) ||
           (name.size > 10 && strncasecmp(name.data, "x-shopify-", 10) == 0);
}

static struct str headers_write(struct arena *arena, const struct inbound *inbound)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, arena, LIMIT_PROPERTIES_BYTES);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    for (size_t i = 0; i < inbound->header_count; i++) {
        if (header_is_kept(inbound->headers[i].name)) {
            jsonw_key_str(&json, str_lower(arena, inbound->headers[i].name));
            jsonw_str(&json, inbound->headers[i].value);
        }
    }
    jsonw_close(&json);
    return buf_str(&buf);
}

static void webhook_read(const struct floor *floor, uint64_t index, struct webhook *out_webhook)
{
    const struct payload_request *request = &floor->payloads.requests[index];
    struct problem problem = { 0 };
    *out_webhook = (struct webhook){ .inbound = { .received_at_ms = clock_now_ms() } };
    headers_parse(out_webhook, (struct str){ request->data, request->body_offset });
    out_webhook->inbound.body =
        (struct str){ request->data + request->body_offset, request->size - request->body_offset };
    if (platform_normalise(floor->platform, floor->arena, &floor->source, &out_webhook->inbound,
                           &out_webhook->normalised, &problem) != NORMALISE_EVENTS) {
        fail("a payload is not understood", &problem);
    }
    out_webhook->headers_json = headers_write(floor->arena, &out_webhook->inbound);
}

/* As the intake does: by the strongest identifier. */
static void lanes_assign(struct floor *floor)
{
    floor->lanes = calloc(floor->options.count, 1);
    if (floor->lanes == NULL) {
        fail("memory", NULL);
    }
    for (uint64_t i = 0; i < floor->options.count; i++) {
        struct webhook webhook;
        arena_reset(floor->arena);
        webhook_read(floor, i, &webhook);
        const struct identifier *first = webhook.normalised.events[0].identifiers;
        floor->lanes[i] =
            (uint8_t)(hash64(first->value, (uint64_t)first->kind) % floor->options.connections);
    }
}

/* --- the first pass --------------------------------------------------------- */

struct work { /* one batch */
    struct event **events;
    size_t event_count;
    struct batch_webhook *webhooks;
    size_t webhook_count;
};

static void work_add(const struct floor *floor, struct work *work, uint64_t index)
{
    struct webhook *webhook = ARENA_NEW(floor->arena, struct webhook);
    if (webhook == NULL) {
        fail("the arena is full", NULL);
    }
    webhook_read(floor, index, webhook);
    for (size_t i = 0; i < webhook->normalised.event_count; i++) {
        assert(work->event_count < 4 * floor->options.batch);
        work->events[work->event_count++] = &webhook->normalised.events[i];
    }
    work->webhooks[work->webhook_count++] = (struct batch_webhook){
        .id = id_create(),
        .source_id = floor->source.id,
        .received_at_ms = webhook->inbound.received_at_ms,
        .topic = webhook->normalised.topic,
        .dedup_key = webhook->normalised.dedup_key,
        .headers_json = webhook->headers_json,
        .body = webhook->inbound.body,
    };
}

static void work_write(struct floor *floor, const struct work *work)
{
    struct problem problem = { 0 };
    struct batch batch;
    int64_t now_ms = clock_now_ms();
    randombytes_buf(floor->context.random, sizeof(floor->context.random));
    check(batch_init(&batch, floor->pg, floor->arena, floor->context.workspace_id, work->events,
                     work->event_count),
          "batch_init", &problem);
    struct decision *decision = decision_create(floor->arena, &floor->context, work->event_count);
    if (decision == NULL) {
        fail("the arena is full", NULL);
    }
    check(batch_load(&batch, decision, &problem), "batch_load", &problem);
    enum batch_lock_outcome locked = BATCH_STALE;
    bool has_news = false;
    check(batch_plan_and_lock(&batch, now_ms, &has_news, &locked, &problem), "batch_plan_and_lock",
          &problem);
    assert(has_news && locked == BATCH_LOCKED);
    for (size_t i = 0; i < work->event_count; i++) {
        enum decide_outcome outcome = DECIDE_NOBODY;
        assert(!batch.is_duplicate[i]);
        check(decide_event(decision, work->events[i], now_ms, &outcome), "decide_event", &problem);
        assert(outcome == DECIDE_APPLIED);
    }
    struct decision_rows rows;
    struct delivery *deliveries = NULL;
    size_t delivery_count = 0;
    check(decision_finish(decision, clock_now_ms(), &rows), "decision_finish", &problem);
    struct batch_save save = {
        .rows = &rows,
        .webhooks = work->webhooks,
        .webhook_count = work->webhook_count,
    };
    check(batch_save(&batch, &save, &deliveries, &delivery_count, &problem), "batch_save",
          &problem);
}

/* The next webhooks of a lane, from `index` to `end`; returns where it stopped. */
static uint64_t work_fill(const struct floor *floor, size_t lane, uint64_t index, uint64_t end,
                          struct work *out_work)
{
    size_t batch_size = floor->options.batch;
    *out_work = (struct work){
        .events = ARENA_NEW_ARRAY(floor->arena, 4 * batch_size, struct event *),
        .webhooks = ARENA_NEW_ARRAY(floor->arena, batch_size, struct batch_webhook),
    };
    if (out_work->events == NULL || out_work->webhooks == NULL) {
        fail("the arena is full", NULL);
    }
    for (; index < end && out_work->webhook_count < batch_size; index++) {
        if (floor->lanes[index] == lane) {
            work_add(floor, out_work, index);
        }
    }
    return index;
}

static void record_lane(struct floor *floor, size_t lane, struct replay_tape *tape, uint64_t begin,
                        uint64_t end)
{
    replay_tape_init(tape);
    recording = tape;
    for (uint64_t index = begin; index < end;) {
        struct work work;
        arena_reset(floor->arena);
        index = work_fill(floor, lane, index, end, &work);
        if (work.webhook_count > 0) {
            work_write(floor, &work);
            floor->event_count += work.event_count;
        }
    }
    recording = NULL;
}

static void record(struct floor *floor, struct replay_tape *tapes, uint64_t begin, uint64_t end)
{
    floor->event_count = 0;
    for (size_t lane = 0; lane < floor->options.connections; lane++) {
        record_lane(floor, lane, &tapes[lane], begin, end);
    }
}

/* As sweep/statistics.c asks for them, from what the recording database holds. */
static void statistics_compute(struct floor *floor)
{
    struct problem problem = { 0 };
    struct statistics *statistics = NULL;
    struct statistic_shares shares;
    const struct statistic_task task = {
        .workspace_id = floor->context.workspace_id,
        .currency = floor->context.currency,
        .now_ms = clock_now_ms(),
        .attributes = floor->rulesets[0]->percent_attributes,
        .percents = floor->rulesets[0]->percents,
        .percent_count = floor->rulesets[0]->percent_count,
    };
    check(statistic_store_compute(floor->pg, floor->rules_arena, &task, &statistics, &shares,
                                  &problem),
          "statistics", &problem);
    statistics->version = 1;
    floor->context.statistics = statistics;
}

/* --- before and after ------------------------------------------------------- */

static void database_prepare(const char *url)
{
    struct problem problem = { 0 };
    struct pg *pg = NULL;
    size_t applied = 0;
    check(pg_open(url, false, &pg), "pg_open", &problem);
    check(migrate_apply(pg, &applied, NULL, NULL, &problem), "migrate", &problem);
    check(partition_ensure(pg, clock_now_ms(), &problem), "partitions", &problem);
    pg_close(pg);
}

/* What the store's session sets: the second pass plans as the first did. */
static size_t session_settings(struct floor *floor, struct replay_setting *out_settings)
{
    static const struct pg_statement list = {
        .name = "bench_session_settings",
        .sql = "SELECT name, setting FROM pg_settings WHERE source = 'session'",
    };
    struct problem problem = { 0 };
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, floor->arena);
    check(pg_run(floor->pg, floor->arena, &list, &params, &result, &problem), "settings", &problem);
    size_t count = pg_row_count(result);
    assert(count > 0 && count <= SETTINGS_MAX);
    for (size_t i = 0; i < count; i++) {
        out_settings[i].name = str_dup_z(floor->arena, pg_get_text(result, i, 0));
        out_settings[i].value = str_dup_z(floor->arena, pg_get_text(result, i, 1));
    }
    return count;
}

static void floor_prepare(struct floor *floor)
{
    struct problem problem = { 0 };
    static const char SOURCE[] = "0199d2a4-6c11-7e0b-8f0e-3a2b1c0d9e8f";
    const char *fault = payload_file_open(floor->options.file, SOURCE, &floor->payloads);
    if (fault != NULL) {
        fail(fault, NULL);
    }
    if (floor->options.count == 0 || floor->options.count > floor->payloads.count) {
        floor->options.count = floor->payloads.count;
    }
    if (floor->options.warm >= floor->options.count) {
        fail("nothing is left to be timed", NULL);
    }
    floor->arena = arena_create(LIMIT_ARENA_BATCH_BYTES);
    floor->platform = platform_find(STR("shopify"));
    if (floor->arena == NULL || floor->platform == NULL) {
        fail("memory", NULL);
    }
    floor->source = (struct source){
        .workspace_id = id_create(),
        .name = STR("shop"),
        .platform = STR("shopify"),
        .workspace_name = STR("bench"),
        .currency = STR("EUR"),
        .time_zone = STR("UTC"),
        .settings_json = STR("{}"),
    };
    (void)id_parse(str_from_z(SOURCE), &floor->source.id);
    floor->source_name = (struct source_name){ floor->source.id, floor->source.name };
    floor->topic = str_from_z(floor->options.topic);
    floor->interest = (struct subscription_interest){
        .subscription_id = id_create(),
        .topics = &floor->topic,
        .topic_count = 1,
    };
    floor->context = (struct decide_context){
        .workspace_id = floor->source.workspace_id,
        .workspace_name = STR("bench"),
        .currency = STR("EUR"),
        .interests = &floor->interest,
        .interest_count = floor->topic.size > 0 ? 1 : 0,
        .sources = &floor->source_name,
        .source_count = 1,
    };
    /* The rules that the server decides by: else the floor writes no transitions. */
    floor->rules_arena = arena_create((size_t)64 * 1024 * 1024);
    floor->rulesets[0] = rules_with(floor->rules_arena, 1, NULL, 0);
    floor->context.rulesets = floor->rulesets;
    floor->context.ruleset_count = 1;
    database_prepare(floor->options.record_url);
    database_prepare(floor->options.url);
    check(pg_open(floor->options.record_url, true, &floor->pg), "pg_open", &problem);
}

static void floor_measure(struct floor *floor)
{
    struct replay_setting settings[SETTINGS_MAX];
    double seconds = 0;
    size_t statements = 0;
    size_t round_trips = 0;
    arena_reset(floor->arena);
    size_t setting_count = session_settings(floor, settings);
    uint64_t count = floor->options.count - floor->options.warm;
    const char *fault = replay_run(floor->options.url, settings, setting_count, floor->warm_tapes,
                                   floor->options.connections, &seconds);
    if (fault == NULL) {
        fault = replay_run(floor->options.url, settings, setting_count, floor->tapes,
                           floor->options.connections, &seconds);
    }
    if (fault != NULL) {
        (void)fprintf(stderr, "floor: %s\n", fault);
        exit(1);
    }
    for (size_t i = 0; i < floor->options.connections; i++) {
        statements += floor->tapes[i].statement_count;
        round_trips += floor->tapes[i].round_trip_count;
    }
    printf("{\"webhooks\": %llu, \"events\": %zu, \"body_bytes\": %llu, \"batch\": %zu, "
           "\"connections\": %zu, \"statements\": %zu, \"round_trips\": %zu, \"seconds\": %.6f, "
           "\"per_second\": %.1f}\n",
           (unsigned long long)count, floor->event_count,
           (unsigned long long)floor->payloads.body_bytes, floor->options.batch,
           floor->options.connections, statements, round_trips, seconds, (double)count / seconds);
}

static void options_read(struct options *options, int argc, char **argv)
{
    static const struct option LONG[] = {
        { "record-url", required_argument, NULL, 'r' },
        { "url", required_argument, NULL, 'u' },
        { "count", required_argument, NULL, 'n' },
        { "warm", required_argument, NULL, 'w' },
        { "batch", required_argument, NULL, 'b' },
        { "connections", required_argument, NULL, 'c' },
        { "topic", required_argument, NULL, 't' },
        { NULL, 0, NULL, 0 },
    };
    *options = (struct options){ .batch = 256, .connections = 2 };
    for (int key = 0; (key = getopt_long(argc, argv, "", LONG, NULL)) != -1;) {
        switch (key) {
        case 'r':
            options->record_url = optarg;
            break;
        case 'u':
            options->url = optarg;
            break;
        case 'n':
            options->count = strtoull(optarg, NULL, 10);
            break;
        case 'w':
            options->warm = strtoull(optarg, NULL, 10);
            break;
        case 'b':
            options->batch = strtoull(optarg, NULL, 10);
            break;
        case 'c':
            options->connections = strtoull(optarg, NULL, 10);
            break;
        case 't':
            options->topic = optarg;
            break;
        default:
            exit(2);
        }
    }
    options->file = optind < argc ? argv[optind] : NULL;
}

int main(int argc, char **argv)
{
    static struct floor floor;
    options_read(&floor.options, argc, argv);
    if (floor.options.file == NULL || floor.options.record_url == NULL ||
        floor.options.url == NULL || floor.options.batch == 0 || floor.options.connections == 0 ||
        floor.options.connections > CONNECTIONS_MAX || sodium_init() < 0) {
        (void)fprintf(stderr, "usage: floor FILE --record-url URL --url URL [--count N]\n"
                              "       [--warm N] [--batch N] [--connections N] [--topic TOPIC]\n"
                              "Both databases are empty ones.\n");
        return 2;
    }
    floor_prepare(&floor);
    lanes_assign(&floor);
    record(&floor, floor.warm_tapes, 0, floor.options.warm);
    statistics_compute(&floor);
    record(&floor, floor.tapes, floor.options.warm, floor.options.count);
    floor_measure(&floor);
    pg_close(floor.pg);
    arena_destroy(floor.arena);
    return 0;
}
