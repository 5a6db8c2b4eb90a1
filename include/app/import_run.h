#ifndef APP_IMPORT_RUN_H
#define APP_IMPORT_RUN_H

/*
 * A file through the reader into the database: one thread parses, a few write.
 *
 * The command runs one for each of its files, the server one for an upload. The
 * callbacks come on the thread that called import_run, but for on_reject, which
 * may also come from a writer, one at a time.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/status.h"
#include "sources/import.h"
#include "store/import_store.h"
#include "store/registry.h"

struct import_run_config {
    const char *database_url;
    struct registry *registry; /* refreshed once a second: rules may change meanwhile */
    const struct import_reader *reader;
    struct id workspace_id;
    struct id job_id;
    bool is_dry; /* reads and judges, writes nothing, needs no database */

    /* Where the first record begins; lines count from 1. */
    int64_t first_byte;
    int64_t first_line;
    /* What an earlier run of the same job has brought in, by place. */
    const struct import_range *ranges;
    size_t range_count;
    struct import_counts counts;

    /* At most `size` bytes from `offset` on; 0 at the end, -1: problem says why.
     * Offsets go up without a hole, but over ranges that are in. */
    ssize_t (*read)(void *user, int64_t offset, void *bytes, size_t size, struct problem *problem);
    void (*on_reject)(void *user, const struct import_reject *reject);
    /* Several times a second: how far it is. False: stop here. */
    bool (*on_progress)(void *user, int64_t done_bytes, const struct import_counts *counts);
    void *user;
};

/* STATUS_OK: all of the file is in. STATUS_DENIED: stopped by on_progress.
 * Whatever the end, *out_counts says what is in. */
NODISCARD enum status import_run(const struct import_run_config *config,
                                 struct import_counts *out_counts, struct problem *problem);

#endif
