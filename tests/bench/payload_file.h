#ifndef BENCH_PAYLOAD_FILE_H
#define BENCH_PAYLOAD_FILE_H

/*
 * A file of signed webhooks as payloads.py writes it, mapped into memory. The
 * mapping is private: the source's id is written over the placeholder in the
 * request lines, the file stays as it is. Never released: it lives as long as
 * the program.
 */

#include <stddef.h>
#include <stdint.h>

struct payload_request {
    const char *data; /* the whole HTTP request */
    uint32_t size;
    uint32_t body_offset;
};

struct payload_file {
    uint64_t count;
    uint64_t first_order; /* order ids count up by one from here */
    uint64_t body_bytes;
    struct payload_request *requests;
};

/* NULL, or what is wrong. `source` is the text of an id. */
const char *payload_file_open(const char *path, const char *source, struct payload_file *out_file);

#endif
