#include <time.h>

#include "app/cli.h"
#include "app/commands.h"
#include "base/clock.h"
#include "base/instant.h"
#include "base/jsonw.h"
#include "store/pg.h"
#include "store/workspace.h"

/*
 * shopbell tail: what comes in, what is decided, what goes out, as it happens:
 * webhooks, notifications and attempts of one workspace. Ids, topics and
 * outcomes only, so it may be shown to anybody.
 *
 * Rows carry the instant of their decision and become visible at their commit,
 * a little later and not in that order. So each turn looks back two seconds
 * before the newest row it has seen and remembers what it has printed; without
 * the overlap a slow commit would be skipped, without the memory shown twice.
 * Only the leading columns of primary keys are searched, so a tail costs the
 * server three short index scans a turn.
 */

enum {
    TAIL_ARENA_BYTES = 16 * 1024 * 1024,
    TAIL_POLL_MS = 500,
    TAIL_OVERLAP_MS = 2000,
    TAIL_ROWS = 1000,
    TAIL_SEEN = 8192,
    TAIL_LINE_BYTES = 2048,
};

enum stream {
    STREAM_WEBHOOK,
    STREAM_NOTIFICATION,
    STREAM_ATTEMPT,
    STREAM_COUNT
};

/* Columns of each: at, id, what, who (text), subject (id), number, outcome,
 * code, milliseconds. */
static const struct pg_statement stream_statements[STREAM_COUNT] = {
    [STREAM_WEBHOOK] = {
        .name = "tail_webhook",
        .sql = "SELECT r.received_at, r.id, r.topic, s.name, s.id, "
               "octet_length(r.body)::bigint, '', 0::bigint, 0::bigint FROM source s "
               "CROSS JOIN LATERAL (SELECT w.received_at, w.id, w.topic, w.body FROM webhook w "
               "WHERE w.workspace_id = $1 AND w.source_id = s.id AND w.received_at > $2 "
               "ORDER BY w.received_at, w.id LIMIT 1000) r "
               "WHERE s.workspace_id = $1 ORDER BY r.received_at, r.id LIMIT 1000",
    },
    [STREAM_NOTIFICATION] = {
        .name = "tail_notification",
        .sql = "SELECT n.created_at, n.id, n.topic, '', n.profile_id, n.sequence, '', 0::bigint, "
               "0::bigint FROM notification n WHERE n.workspace_id = $1 AND n.created_at > $2 "
               "ORDER BY n.created_at, n.id LIMIT 1000",
    },
    [STREAM_ATTEMPT] = {
        .name = "tail_attempt",
        .sql = "SELECT a.at, a.id, '', coalesce(s.name, ''), a.notification_id, "
               "a.number::bigint, a.outcome, a.response_status::bigint, a.duration_ms "
               "FROM attempt a LEFT JOIN subscription s "
               "ON s.workspace_id = $1 AND s.id = a.subscription_id "
               "WHERE a.workspace_id = $1 AND a.at > $2 ORDER BY a.at, a.id LIMIT 1000",
    },
};

struct tail {
    struct cli *cli;
    struct arena *arena; /* one turn */
    struct id workspace_id;
    int64_t newest_ms[STREAM_COUNT];
    struct id seen[TAIL_SEEN]; /* open addressing by id, the oldest overwritten */
};

/* True the first time. Two ids that share a slot push each other out, which
 * repeats a line at worst. */
static bool is_new(struct tail *tail, struct id id)
{
    struct str bytes = { (const char *)id.bytes, sizeof(id.bytes) };
    struct id *slot = &tail->seen[hash64(bytes, 0) % TAIL_SEEN];
    if (id_equal(*slot, id)) {
        return false;
    }
    *slot = id;
    return true;
}

static void print_text(enum stream stream, const struct pg_result *result, size_t row)
{
    char at[INSTANT_TEXT_SIZE];
    char subject[ID_TEXT_SIZE];
    instant_format(pg_get_instant(result, row, 0), at);
    id_format(pg_get_id(result, row, 4), subject);
    struct str what = pg_get_text(result, row, 2);
    struct str who = pg_get_text(result, row, 3);
    struct str outcome = pg_get_text(result, row, 6);
    switch (stream) {
    case STREAM_WEBHOOK:
        cli_print("%s  in   %-28.*s from %.*s, %lld bytes\n", at + 11, STR_ARG(what), STR_ARG(who),
                  (long long)pg_get_i64(result, row, 5));
        break;
    case STREAM_NOTIFICATION:
        cli_print("%s  ring %-28.*s profile %s\n", at + 11, STR_ARG(what), subject);
        break;
    case STREAM_ATTEMPT:
        cli_print("%s  out  %-28.*s to %.*s, %lld, %lld ms, attempt %lld\n", at + 11,
                  STR_ARG(outcome), STR_ARG(who), (long long)pg_get_i64(result, row, 7),
                  (long long)pg_get_i64(result, row, 8), (long long)pg_get_i64(result, row, 5));
        break;
    case STREAM_COUNT:
        break;
    }
}

static void print_json(enum stream stream, const struct pg_result *result, size_t row)
{
    char storage[TAIL_LINE_BYTES + 1];
    struct buf line = { .data = storage,
                        .capacity = TAIL_LINE_BYTES,
                        .max_bytes = TAIL_LINE_BYTES };
    struct jsonw json;
    jsonw_begin(&json, &line);
    jsonw_open(&json);
    jsonw_put_instant(&json, "at", pg_get_instant(result, row, 0));
    jsonw_put_id(&json, "id", pg_get_id(result, row, 1));
    switch (stream) {
    case STREAM_WEBHOOK:
        jsonw_put_z(&json, "kind", "webhook");
        jsonw_put_str(&json, "topic", pg_get_text(result, row, 2));
        jsonw_put_str(&json, "source", pg_get_text(result, row, 3));
        jsonw_put_i64(&json, "body_bytes", pg_get_i64(result, row, 5));
        break;
    case STREAM_NOTIFICATION:
        jsonw_put_z(&json, "kind", "notification");
        jsonw_put_str(&json, "topic", pg_get_text(result, row, 2));
        jsonw_put_id_or_null(&json, "profile_id", pg_get_id(result, row, 4));
        jsonw_put_i64(&json, "sequence", pg_get_i64(result, row, 5));
        break;
    case STREAM_ATTEMPT:
        jsonw_put_z(&json, "kind", "attempt");
        jsonw_put_str(&json, "subscription", pg_get_text(result, row, 3));
        jsonw_put_id(&json, "notification_id", pg_get_id(result, row, 4));
        jsonw_put_i64(&json, "number", pg_get_i64(result, row, 5));
        jsonw_put_str(&json, "outcome", pg_get_text(result, row, 6));
        jsonw_put_i64(&json, "status", pg_get_i64(result, row, 7));
        jsonw_put_i64(&json, "duration_ms", pg_get_i64(result, row, 8));
        break;
    case STREAM_COUNT:
        break;
    }
    jsonw_close(&json);
    if (!line.failed) {
        cli_print("%.*s\n", STR_ARG(buf_str(&line)));
    }
}

static enum status turn_stream(struct tail *tail, enum stream stream, struct problem *problem)
{
    struct pg_params params;
    struct pg_result *result = NULL;
    pg_params_init(&params, tail->arena);
    pg_put_id(&params, tail->workspace_id);
    pg_put_instant(&params, tail->newest_ms[stream] - TAIL_OVERLAP_MS);
    enum status status =
        pg_run(tail->cli->pg, tail->arena, &stream_statements[stream], &params, &result, problem);
    for (size_t row = 0; status == STATUS_OK && row < pg_row_count(result); row++) {
        int64_t at_ms = pg_get_instant(result, row, 0);
        tail->newest_ms[stream] = at_ms > tail->newest_ms[stream] ? at_ms : tail->newest_ms[stream];
        if (!is_new(tail, pg_get_id(result, row, 1))) {
            continue;
        }
        if (tail->cli->is_json) {
            print_json(stream, result, row);
        } else {
            print_text(stream, result, row);
        }
    }
    return status;
}

static enum status turn(struct tail *tail, struct problem *problem)
{
    arena_reset(tail->arena);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < STREAM_COUNT && status == STATUS_OK; i++) {
        status = turn_stream(tail, (enum stream)i, problem);
    }
    (void)fflush(stdout);
    return status;
}

static enum status tail_since(const struct cli *cli, int64_t *out_since_ms, struct problem *problem)
{
    const char *since = arguments_value(cli->arguments, "since");
    int64_t back_ms = 0;
    if (since != NULL && !duration_parse(str_from_z(since), false, &back_ms)) {
        return problem_set(problem, STATUS_INVALID, "usage",
                           "--since %.40s: a duration such as 10m is wanted", since);
    }
    *out_since_ms = clock_now_ms() - back_ms + (since != NULL ? TAIL_OVERLAP_MS : 0);
    return STATUS_OK;
}

/* A lost connection is waited out: a tail outlives the server's restart. */
static enum status follow(struct tail *tail, struct problem *problem)
{
    bool was_lost = false;
    for (;;) {
        enum status status = turn(tail, problem);
        bool is_lost = status == STATUS_RETRY;
        if ((status != STATUS_OK && !is_lost) || ferror(stdout) != 0) {
            return status;
        }
        if (is_lost && !was_lost) {
            cli_say(tail->cli, "shopbell: the database is away; waiting");
        }
        was_lost = is_lost;
        (void)nanosleep(&(struct timespec){ .tv_nsec = TAIL_POLL_MS * 1000000L }, NULL);
    }
}

enum status command_tail(struct cli *cli, struct problem *problem)
{
    int64_t since_ms = 0;
    struct workspace workspace;
    enum status status = tail_since(cli, &since_ms, problem);
    if (status == STATUS_OK) {
        status = cli_open(cli, CLI_NEEDS_DATABASE | CLI_NEEDS_SCHEMA, problem);
    }
    if (status == STATUS_OK) {
        status = cli_workspace(cli, &workspace, problem);
    }
    struct tail *tail = status == STATUS_OK ? ARENA_NEW(cli->arena, struct tail) : NULL;
    CLEANUP(arena_destroy_at) struct arena *arena = arena_create(TAIL_ARENA_BYTES);
    if (status != STATUS_OK || tail == NULL || arena == NULL) {
        return status != STATUS_OK ? status : STATUS_LIMIT;
    }
    tail->cli = cli;
    tail->arena = arena;
    tail->workspace_id = workspace.id;
    for (size_t i = 0; i < STREAM_COUNT; i++) {
        tail->newest_ms[i] = since_ms;
    }
    bool is_once = arguments_has(cli->arguments, "once");
    return is_once ? turn(tail, problem) : follow(tail, problem);
}
