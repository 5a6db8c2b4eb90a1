#ifndef SOURCES_CSV_H
#define SOURCES_CSV_H

/*
 * RFC 4180, one record at a time, out of a buffer that the caller fills.
 *
 * Pure: a function of the bytes given. A field without doubled quotes is
 * borrowed from the input, the others are unescaped into the arena, so a record
 * lives as long as both. Thread-safe.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/str.h"

/* A record beyond this is no record: somebody's quote was never closed. */
#define CSV_RECORD_BYTES_MAX (1024u * 1024)
/* Shopify's order export has some 80 columns, exports with metafields more. */
#define CSV_FIELDS_MAX 512u

enum csv_verdict {
    CSV_RECORD,
    CSV_BLANK, /* an empty line */
    CSV_BAD,   /* not RFC 4180: reason and column; used bytes lead past its first line */
    CSV_MORE,  /* the record goes on beyond the input */
    CSV_END,   /* nothing is left */
    CSV_FULL,  /* the arena is full */
};

struct csv_record {
    struct str *fields;
    size_t field_count;
    size_t used;        /* bytes of the input that this record took, its line end included */
    size_t line_count;  /* line ends among them: quoted fields may hold some */
    size_t column;      /* CSV_BAD: which, from 1 */
    const char *reason; /* CSV_BAD: static text */
};

/* The record at the start of `input`. is_last: no byte follows the input. */
enum csv_verdict csv_next(struct arena *arena, struct str input, char separator, bool is_last,
                          struct csv_record *out_record);

/* What separates the fields of a header line: the most frequent of comma,
 * semicolon and tab outside quotes; a comma when there is none. */
char csv_separator(struct str header);

/* Without the mark that some programs begin UTF-8 with. */
size_t csv_mark_bytes(struct str input);

/* The field as CSV writes it: quoted when it must be. */
struct buf;
void csv_write_field(struct buf *buf, struct str field);

#endif
