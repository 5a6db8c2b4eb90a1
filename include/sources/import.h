#ifndef SOURCES_IMPORT_H
#define SOURCES_IMPORT_H

/*
 * Files of history: bytes in, canonical events out, record by record.
 *
 * A reader is made from the beginning of a file (it must see the header of a
 * CSV) and then asked for one record after the other. It keeps no position:
 * the caller holds the bytes, so a resumed import reads the beginning again and
 * goes on at the byte where it had stopped.
 *
 * Invariant: an event's id follows from its record alone (the shop's id of the
 * fact, or the hash of what the record says), so a file that is imported twice
 * brings the same events. A record gives events or one rejection, never both.
 *
 * Memory: the reader lives in the arena that it was opened with, records in
 * the one given with each call; they may borrow from the input. A reader is
 * only read after import_open: several threads may share it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"
#include "core/event/event.h"
#include "core/source.h"

/* A record (an order with all its lines) and what is needed to see its end. */
#define IMPORT_RECORD_BYTES_MAX (4u * 1024 * 1024)
/* What import_detect and import_open want to see of a file, if it is as long. */
#define IMPORT_HEAD_BYTES (64u * 1024)

enum import_kind {
    IMPORT_CUSTOMERS = 1,
    IMPORT_ORDERS,
    IMPORT_EVENTS,
    IMPORT_EMAIL, /* what became of mails: delivered, opened, clicked, ... */
    IMPORT_PRODUCTS,
};

const char *import_kind_name(enum import_kind kind);
/* 0 with a problem: no such kind. */
enum import_kind import_kind_find(struct str name, struct problem *problem);

struct import_format {
    const char *name;      /* "shopify-orders" */
    const char *title;     /* for people */
    enum import_kind kind; /* of a platform's own format; 0: the asker says */
    bool is_csv;
};

const struct import_format *import_format_at(size_t index); /* NULL past the end */
/* NULL with a problem naming the nearest one. */
const struct import_format *import_format_find(struct str name, struct problem *problem);

/* What a file is, by its beginning. *out_kind is left alone when that does not
 * say it. NULL: cannot be told. */
const struct import_format *import_detect(struct str head, enum import_kind *out_kind);

struct import_options {
    const struct source *source;
    const struct import_format *format;
    enum import_kind kind;
    struct str map;         /* "Column=field,Column=field": before the format's own; may be empty */
    int64_t exported_at_ms; /* when the file was made: the time of what has none of its own */
    int64_t received_at_ms; /* of every event; kept with the job, so that a resumed one repeats */
};

struct import_reader; /* opaque */

/* `head` is the beginning of the file, whole when is_whole. *out_used: where
 * the first record begins; *out_lines: the lines before it. STATUS_INVALID:
 * the file is not of this format, or the map names what does not exist. */
NODISCARD enum status import_open(struct arena *arena, const struct import_options *options,
                                  struct str head, bool is_whole, struct import_reader **out_reader,
                                  size_t *out_used, size_t *out_lines, struct problem *problem);

/* Columns of the header that nothing is made of, with commas; may be empty. */
struct str import_unused_columns(const struct import_reader *reader);

enum import_verdict {
    IMPORT_RECORD,   /* events */
    IMPORT_REJECTED, /* line, column and reason */
    IMPORT_SKIPPED,  /* an empty line */
    IMPORT_MORE,     /* the record goes on beyond the input */
    IMPORT_END,
    IMPORT_FULL, /* the arena is full */
};

struct import_record {
    size_t used;       /* bytes of the input */
    size_t line_count; /* lines of the file that it took */
    struct event *events;
    size_t event_count;
    /* IMPORT_REJECTED: */
    size_t line;       /* within the record, from 0 */
    struct str column; /* name of the column or member; may be empty */
    struct str reason;
};

/* The record at the start of `input`. is_last: no byte follows the input. An
 * input of IMPORT_RECORD_BYTES_MAX is never answered by IMPORT_MORE. */
enum import_verdict import_next(const struct import_reader *reader, struct arena *arena,
                                struct str input, bool is_last, struct import_record *out_record);

#endif
