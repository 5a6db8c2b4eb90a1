#include "replay.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libpq-fe.h>

/*
 * The floor itself: nothing between the recorded bytes and the socket but
 * libpq in pipeline mode. Answers are received and looked at for errors only.
 * Sending and receiving are polled together, as libpq asks for pipelines:
 * otherwise both sides can stand with full buffers.
 */

enum {
    PARAMETERS_MAX = PG_PARAMETERS_MAX,
    FAULT_SIZE = 256,
};

/* --- the tape ------------------------------------------------------------- */

static void *allocate(size_t size)
{
    void *memory = malloc(size > 0 ? size : 1);
    if (memory == NULL) {
        (void)fputs("floor: no memory\n", stderr);
        exit(1);
    }
    return memory;
}

void replay_tape_init(struct replay_tape *tape)
{
    *tape = (struct replay_tape){ .last = &tape->first };
}

static void append(struct replay_tape *tape, struct replay_step *step)
{
    *tape->last = step;
    tape->last = &step->next;
}

void replay_add(struct replay_tape *tape, const struct pg_statement *statement,
                const struct pg_params *params)
{
    struct replay_step *step = allocate(sizeof(*step));
    *step = (struct replay_step){ .statement = statement };
    size_t count = params != NULL ? (size_t)params->count : 0;
    step->count = (int)count;
    step->types = allocate(count * sizeof(*step->types));
    step->values = allocate(count * sizeof(*step->values));
    step->lengths = allocate(count * sizeof(*step->lengths));
    for (size_t i = 0; i < count; i++) {
        step->types[i] = params->types[i];
        step->lengths[i] = params->lengths[i];
        step->values[i] = NULL;
        if (params->values[i] != NULL) {
            step->values[i] = allocate((size_t)params->lengths[i]);
            memcpy(step->values[i], params->values[i], (size_t)params->lengths[i]);
        }
    }
    append(tape, step);
    tape->statement_count++;
}

void replay_add_sync(struct replay_tape *tape)
{
    struct replay_step *step = allocate(sizeof(*step));
    *step = (struct replay_step){ .statement = NULL };
    append(tape, step);
    tape->round_trip_count++;
}

/* --- one connection ------------------------------------------------------- */

struct player {
    pthread_t thread;
    pthread_barrier_t *barrier;
    const struct replay_tape *tape;
    PGconn *connection;
    char fault[FAULT_SIZE];
};

static bool refuse(struct player *player, const char *what)
{
    (void)snprintf(player->fault, sizeof(player->fault), "%s: %s", what,
                   PQerrorMessage(player->connection));
    return false;
}

static bool is_done(PGresult *result, ExecStatusType wanted)
{
    bool done = PQresultStatus(result) == wanted;
    PQclear(result);
    return done;
}

static bool prepare_all(struct player *player)
{
    /* A dozen statements: compared with each one before. */
    for (const struct replay_step *step = player->tape->first; step != NULL; step = step->next) {
        if (step->statement == NULL) {
            continue;
        }
        const struct replay_step *before = player->tape->first;
        while (before->statement != step->statement) {
            before = before->next;
        }
        if (before == step && !is_done(PQprepare(player->connection, step->statement->name,
                                                 step->statement->sql, step->count, step->types),
                                       PGRES_COMMAND_OK)) {
            return refuse(player, step->statement->name);
        }
    }
    return true;
}

static bool player_open(struct player *player, const char *url,
                        const struct replay_setting *settings, size_t setting_count)
{
    player->connection = PQconnectdb(url);
    if (PQstatus(player->connection) != CONNECTION_OK) {
        return refuse(player, "connect");
    }
    for (size_t i = 0; i < setting_count; i++) {
        const char *const values[] = { settings[i].name, settings[i].value };
        if (!is_done(PQexecParams(player->connection, "SELECT set_config($1, $2, false)", 2, NULL,
                                  values, NULL, NULL, 0),
                     PGRES_TUPLES_OK)) {
            return refuse(player, settings[i].name);
        }
    }
    if (!prepare_all(player)) {
        return false;
    }
    if (PQsetnonblocking(player->connection, 1) != 0 ||
        PQenterPipelineMode(player->connection) != 1) {
        return refuse(player, "pipeline mode");
    }
    return true;
}

static bool send_step(struct player *player, const struct replay_step *step)
{
    static int formats[PARAMETERS_MAX] = {
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    };
    return PQsendQueryPrepared(player->connection, step->statement->name, step->count,
                               (const char *const *)step->values, step->lengths, formats, 1) == 1 ||
           refuse(player, step->statement->name);
}

static bool wait_readable(struct player *player)
{
    while (PQisBusy(player->connection)) {
        int unsent = PQflush(player->connection);
        struct pollfd watched = {
            .fd = PQsocket(player->connection),
            .events = (short)(POLLIN | (unsent > 0 ? POLLOUT : 0)),
        };
        if (unsent < 0 || poll(&watched, 1, 60000) <= 0) {
            return refuse(player, "no answer");
        }
        if ((watched.revents & ~POLLOUT) != 0 && !PQconsumeInput(player->connection)) {
            return refuse(player, "lost");
        }
    }
    return true;
}

/* All results up to the sync. */
static bool receive(struct player *player)
{
    for (;;) {
        if (!wait_readable(player)) {
            return false;
        }
        PGresult *result = PQgetResult(player->connection);
        if (result == NULL) {
            continue; /* the end of one statement's results */
        }
        ExecStatusType status = PQresultStatus(result);
        if (status != PGRES_PIPELINE_SYNC && status != PGRES_COMMAND_OK &&
            status != PGRES_TUPLES_OK) {
            (void)snprintf(player->fault, sizeof(player->fault), "%s",
                           PQresultErrorMessage(result));
            PQclear(result);
            return false;
        }
        PQclear(result);
        if (status == PGRES_PIPELINE_SYNC) {
            return true;
        }
    }
}

static bool play_step(struct player *player, const struct replay_step *step)
{
    if (step->statement != NULL) {
        return send_step(player, step);
    }
    return PQpipelineSync(player->connection) == 1 ? receive(player) : refuse(player, "sync");
}

static void *play(void *argument)
{
    struct player *player = argument;
    const struct replay_step *step = player->tape->first;
    (void)pthread_barrier_wait(player->barrier);
    while (step != NULL && play_step(player, step)) {
        step = step->next;
    }
    return NULL;
}

static double seconds_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

const char *replay_run(const char *url, const struct replay_setting *settings, size_t setting_count,
                       const struct replay_tape *tapes, size_t tape_count, double *out_seconds)
{
    struct player *players = allocate(tape_count * sizeof(*players));
    pthread_barrier_t barrier;
    (void)pthread_barrier_init(&barrier, NULL, (unsigned)tape_count + 1);
    for (size_t i = 0; i < tape_count; i++) {
        players[i] = (struct player){ .barrier = &barrier, .tape = &tapes[i] };
        if (!player_open(&players[i], url, settings, setting_count)) {
            return players[i].fault;
        }
    }
    for (size_t i = 0; i < tape_count; i++) {
        if (pthread_create(&players[i].thread, NULL, play, &players[i]) != 0) {
            return "no thread";
        }
    }
    (void)pthread_barrier_wait(&barrier);
    double begin = seconds_now();
    for (size_t i = 0; i < tape_count; i++) {
        (void)pthread_join(players[i].thread, NULL);
    }
    *out_seconds = seconds_now() - begin;
    const char *fault = NULL;
    for (size_t i = 0; i < tape_count; i++) {
        PQfinish(players[i].connection);
        fault = players[i].fault[0] != '\0' ? players[i].fault : fault;
    }
    return fault;
}
