#ifndef HTTP_ROUTE_H
#define HTTP_ROUTE_H

/*
 * The route table: patterns with {parameters}, cut into segments once at
 * start. Literal segments win over parameters, from the left, so
 * "/v1/profiles/lookup" stands beside "/v1/profiles/{id}".
 *
 * Immutable after creation, so any thread may read it. The routes given are
 * borrowed for the table's life.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "http/server.h"

struct arena;
struct route_table;

enum {
    ROUTE_SEGMENTS_MAX = 12,
    ROUTE_PARAMETERS_MAX = 6
};

struct route_match {
    const struct http_route *route;
    size_t parameter_count;
    struct str names[ROUTE_PARAMETERS_MAX];  /* borrowed from the pattern */
    struct str values[ROUTE_PARAMETERS_MAX]; /* borrowed from the path, still encoded */
};

enum route_verdict {
    ROUTE_FOUND,
    ROUTE_UNKNOWN,          /* no pattern fits the path: 404 */
    ROUTE_METHOD_NOT_KNOWN, /* a pattern fits with another method: 405 */
};

/* STATUS_INVALID when a pattern is malformed or stands there twice. */
NODISCARD enum status route_table_create(const struct http_route *routes, size_t route_count,
                                         struct route_table **out_table, struct problem *problem);
void route_table_destroy(struct route_table *table);

/* HEAD is looked up as GET. `admin` says which listener asks. *out_match is
 * untouched unless the verdict is ROUTE_FOUND. */
enum route_verdict route_find(const struct route_table *table, bool admin, enum http_method method,
                              struct str path, struct route_match *out_match);

/* "GET, HEAD, OPTIONS, POST" for the path ("*" for all of the table); empty
 * when no pattern fits. In the arena. */
struct str route_allowed(const struct route_table *table, bool admin, struct str path,
                         struct arena *arena);

/* Is there a route for scripts of other origins at the path? */
bool route_is_for_pages(const struct route_table *table, bool admin, struct str path);

/* The path the asker may have meant, or the empty string. In the arena. */
struct str route_nearest(const struct route_table *table, bool admin, struct str path,
                         struct arena *arena);

#endif
