#ifndef API_DOCUMENT_H
#define API_DOCUMENT_H

/*
 * Reading a request's JSON object, member by member.
 *
 * The first fault sticks: later reads return their defaults, and the caller
 * checks `status` once at the end, where `problem` names the member. Text lives
 * in the arena; jansson's tree is released by document_close.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"

struct json_t;

struct document {
    struct json_t *root;
    struct arena *arena;
    struct problem *problem;
    enum status status;
};

/* An empty body is an empty object. STATUS_INVALID with "malformed-json". */
NODISCARD enum status document_open(struct document *document, struct arena *arena, struct str body,
                                    struct problem *problem);
/* An object or an array, for who takes either; the caller's to release. NULL with
 * "malformed-json". */
struct json_t *document_parse(struct str body, struct problem *problem);
/* Takes the tree over. */
void document_wrap(struct document *document, struct arena *arena, struct json_t *root_taken,
                   struct problem *problem);
void document_close(struct document *document); /* for CLEANUP() */
/* The member `name` as a document of its own. False: absent, or not an object. */
bool document_open_member(struct document *document, const char *name, struct document *out_member);
/* Ends the reading of the member `name` as a document of its own: its fault becomes the
 * whole's, and points into the member. */
void document_close_member(struct document *document, const char *name, struct document *member);

/* Refuses every other member, with a suggestion. */
void document_allow(struct document *document, const char *const *names, size_t count);
/* Is it there and not null? */
bool document_has(const struct document *document, const char *name);
void document_need(struct document *document, const char *name);
/* Marks a fault at a member. */
void document_fail(struct document *document, const char *name, const char *type,
                   const char *format, ...) PRINTF_LIKE(4, 5);

/* Absent and null give the empty string, `otherwise`, or INSTANT_NONE. */
struct str document_text(struct document *document, const char *name, size_t bytes_max);
bool document_bool(struct document *document, const char *name, bool otherwise);
int64_t document_i64(struct document *document, const char *name, int64_t otherwise, int64_t least,
                     int64_t most);
/* A number of two decimals, in hundredths; from 0 to `most` of them. */
int64_t document_hundredths(struct document *document, const char *name, int64_t otherwise,
                            int64_t most);
int64_t document_duration(struct document *document, const char *name, int64_t otherwise,
                          int64_t least, int64_t most);
int64_t document_instant(struct document *document, const char *name);
size_t document_texts(struct document *document, const char *name, size_t count_max,
                      struct str **out_texts);
/* A member that must be an object, as JSON text; "{}" when absent. */
struct str document_object(struct document *document, const char *name);
/* A lower-case name of contract 1. */
struct str document_name(struct document *document, const char *name);

/* JSON Merge Patch (RFC 7396) over JSON texts: both objects. The result lives
 * in the arena. */
NODISCARD enum status document_merge_patch(struct arena *arena, struct str target, struct str patch,
                                           struct str *out_json, struct problem *problem);

/* No deeper than LIMIT_JSON_DEPTH? Looks at brackets outside of strings. */
bool document_is_shallow(struct str body);

#endif
