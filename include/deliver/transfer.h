#ifndef DELIVER_TRANSFER_H
#define DELIVER_TRANSFER_H

/*
 * One POST (or a single GET) after another on one libcurl easy handle, with every option that
 * keeps a stranger's URL from harming us.
 *
 * A transfer is reused: what depends on the destination is set when that
 * changes, what depends on the message is borrowed from it. One thread; the
 * owner drives the easy handle (a multi handle, or curl_easy_perform).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <curl/curl.h>

#include "base/status.h"
#include "base/str.h"
#include "core/trigger/projection.h"

struct address_guard;
struct destination;
struct port_rule;
struct transfer;

/* Webhook ids are UUIDs; a challenge or test message may have its own. */
enum {
    TRANSFER_ID_BYTES_MAX = 128
};

struct transfer_rules {
    const struct address_guard *guard; /* borrowed; outlives all transfers */
    const struct port_rule *ports;     /* as well */
    bool allow_http;
    const char *ca_file; /* NULL: the system's */
    const char *proxy;   /* NULL: none */
};

struct transfer_result {
    int32_t status;         /* 0: no answer came */
    int64_t retry_after_ms; /* 0: not asked for */
    bool aborted;           /* webhook-delivery: abort-message */
    bool late;              /* nothing was sent: it could not be in time */
    struct str body;        /* as it came, up to the capacity; borrowed from the transfer */
    const char *error;      /* static text without addresses, or NULL */
};

/* `answer_capacity` bytes of the answer are kept. NULL when the system has no
 * memory. `owner` comes back as CURLINFO_PRIVATE. */
struct transfer *transfer_create(const struct transfer_rules *rules, size_t answer_capacity,
                                 void *owner);
void transfer_destroy(struct transfer *transfer); /* NULL is fine */

/* Makes the next message ready: signed at now_ms. Holds the destination and
 * borrows the body until transfer_finish. STATUS_INVALID for an id, header lines or a
 * path that cannot be sent. */
NODISCARD enum status transfer_begin(struct transfer *transfer, struct destination *destination,
                                     struct str webhook_id, const struct rendition *message,
                                     int64_t now_ms);
/* Sends nothing after this instant (clock_monotonic_us): a connection that took longer
 * to come about is given up before the first byte. 0: whenever. Between begin and the
 * driving. */
void transfer_start_by(struct transfer *transfer, int64_t start_by_us);
/* A GET instead, unsigned; with the destination's header lines if it is of a native
 * format. */
NODISCARD enum status transfer_begin_get(struct transfer *transfer,
                                         struct destination *destination);
CURL *transfer_handle(struct transfer *transfer);
/* What came of it, once libcurl is done (and the handle out of its multi). */
void transfer_finish(struct transfer *transfer, CURLcode code, int64_t now_ms,
                     struct transfer_result *out_result);

#endif
