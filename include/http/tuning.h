#ifndef HTTP_TUNING_H
#define HTTP_TUNING_H

/*
 * The edge's clocks, so that tests need not wait for the real ones. Everybody
 * else calls http_server_start, which uses the values of base/limits.h.
 */

#include <stdint.h>

#include "http/server.h"

struct http_tuning {
    int64_t headers_ms; /* the head must be complete */
    int64_t body_ms;    /* the body, plus body_ms_per_64k of what has arrived */
    int64_t body_ms_per_64k;
    int64_t linger_ms;            /* a refused body is read and thrown away */
    int64_t answer_ms;            /* a suspended request is answered 503 */
    int64_t write_ms;             /* the answer must be taken, plus body_ms_per_64k of it */
    unsigned idle_s;              /* libmicrohttpd's inactivity limit */
    int64_t tick_ms;              /* how often deadlines are looked at */
    size_t worker_queue_requests; /* waiting for a worker */
};

struct http_tuning http_tuning_default(void);

NODISCARD enum status http_server_start_tuned(const struct http_config *config,
                                              const struct http_tuning *tuning,
                                              struct http_server **out_server,
                                              struct problem *problem);

#endif
