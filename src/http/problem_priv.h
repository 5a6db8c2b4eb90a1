#ifndef HTTP_PROBLEM_PRIV_H
#define HTTP_PROBLEM_PRIV_H

/*
 * The problem types of the contract, in one table: status, title, and what a
 * page says about them.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/status.h"
#include "base/str.h"

struct problem_type {
    const char *slug;
    unsigned http_status;
    unsigned retry_after_s; /* 0 for none */
    const char *title;
    const char *help; /* what to do about it; one or two sentences */
};

/* NULL when there is no such type. */
const struct problem_type *problem_type_find(struct str slug);

/* A type for a report: its own, or the one of its status. Never NULL. */
const struct problem_type *problem_type_of(enum status status, const struct problem *problem);

struct problem_report {
    const struct problem_type *type;
    unsigned http_status; /* 0 means the type's own */
    struct str detail;
    struct str pointer;     /* one entry of errors[], when errors_json is empty */
    struct str errors_json; /* rendered already, or empty */
    uint32_t needed_scopes; /* 0 leaves "needed" out */
    struct str instance;
    struct id request_id;
};

void problem_render(struct buf *buf, const struct problem_report *report);

/* The page at /problems/{slug}; false when there is no such type. */
bool problem_render_page(struct buf *buf, struct str slug);

#endif
