#include "http/route.h"

#include <assert.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"

/*
 * From method and path to a handler.
 *
 * Problem: sixty-odd patterns, two listeners, and answers that help (404 with
 * the nearest route, 405 with Allow, OPTIONS). Invariant: at most one route
 * wins, the one whose literal segments stand furthest left, whatever the order
 * of the table; the weight of a pattern is its literals as a bit mask, highest
 * bit first, so "furthest left" is a comparison of two integers.
 *
 * Rejected: a trie. A linear pass over patterns already cut and filtered by
 * their number of segments costs well under a microsecond for this table.
 */

struct pattern {
    const struct http_route *route;
    size_t segment_count;
    struct str segments[ROUTE_SEGMENTS_MAX]; /* a parameter's segment is its name */
    bool is_parameter[ROUTE_SEGMENTS_MAX];
    uint32_t weight;
};

struct route_table {
    size_t count;
    struct pattern patterns[];
};

static bool cut(struct str path, struct str *segments, size_t *out_count)
{
    if (path.size == 0 || path.data[0] != '/') {
        return false;
    }
    size_t count = 0;
    struct str rest = str_drop(path, 1);
    for (;;) {
        if (count == ROUTE_SEGMENTS_MAX) {
            return false;
        }
        struct str head = rest;
        struct str tail = { NULL, 0 };
        bool more = str_split(rest, '/', &head, &tail);
        segments[count] = head;
        count++;
        if (!more) {
            break;
        }
        rest = tail;
    }
    *out_count = count;
    return true;
}

static bool pattern_read(const struct http_route *route, struct pattern *pattern)
{
    *pattern = (struct pattern){ .route = route };
    if (!cut(str_from_z(route->pattern), pattern->segments, &pattern->segment_count)) {
        return false;
    }
    size_t parameters = 0;
    for (size_t i = 0; i < pattern->segment_count; i++) {
        struct str segment = pattern->segments[i];
        if (segment.size >= 3 && segment.data[0] == '{' && segment.data[segment.size - 1] == '}') {
            pattern->is_parameter[i] = true;
            pattern->segments[i] = (struct str){ segment.data + 1, segment.size - 2 };
            parameters++;
        } else {
            pattern->weight |= UINT32_C(1) << (31 - i);
        }
    }
    return parameters <= ROUTE_PARAMETERS_MAX;
}

static bool listener_fits(const struct http_route *route, bool admin)
{
    if ((route->flags & HTTP_BOTH) != 0) {
        return true;
    }
    return ((route->flags & HTTP_ADMIN) != 0) == admin;
}

static bool segments_fit(const struct pattern *pattern, const struct str *segments, size_t count)
{
    if (pattern->segment_count != count) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (pattern->is_parameter[i] ? segments[i].size == 0
                                     : !str_equal(pattern->segments[i], segments[i])) {
            return false;
        }
    }
    return true;
}

/* Same method, and no path could tell them apart. */
static bool clashes(const struct pattern *a, const struct pattern *b)
{
    if (a->route->method != b->route->method || a->weight != b->weight ||
        a->segment_count != b->segment_count) {
        return false;
    }
    for (size_t i = 0; i < a->segment_count; i++) {
        if (!a->is_parameter[i] && !str_equal(a->segments[i], b->segments[i])) {
            return false;
        }
    }
    return true;
}

static bool is_twice(const struct route_table *table, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (clashes(&table->patterns[i], &table->patterns[index])) {
            return true;
        }
    }
    return false;
}

static enum status table_fill(struct route_table *table, const struct http_route *routes,
                              size_t route_count, struct problem *problem)
{
    for (size_t i = 0; i < route_count; i++) {
        if (!pattern_read(&routes[i], &table->patterns[i])) {
            return problem_set(problem, STATUS_INVALID, "internal", "route pattern \"%s\"",
                               routes[i].pattern);
        }
        if (is_twice(table, i)) {
            return problem_set(problem, STATUS_INVALID, "internal", "two routes are called \"%s\"",
                               routes[i].pattern);
        }
        table->count++;
    }
    return STATUS_OK;
}

enum status route_table_create(const struct http_route *routes, size_t route_count,
                               struct route_table **out_table, struct problem *problem)
{
    size_t size = 0;
    if (!size_mul(route_count, sizeof(struct pattern), &size) ||
        !size_add(size, sizeof(struct route_table), &size)) {
        return problem_set(problem, STATUS_INVALID, "internal", "too many routes");
    }
    struct route_table *table = calloc(1, size);
    if (table == NULL) {
        return problem_set(problem, STATUS_BROKEN, "internal", "no memory for the routes");
    }
    enum status status = table_fill(table, routes, route_count, problem);
    if (status != STATUS_OK) {
        route_table_destroy(table);
        return status;
    }
    *out_table = table;
    return STATUS_OK;
}

void route_table_destroy(struct route_table *table)
{
    free(table);
}

static void match_fill(const struct pattern *pattern, const struct str *segments,
                       struct route_match *match)
{
    *match = (struct route_match){ .route = pattern->route };
    for (size_t i = 0; i < pattern->segment_count; i++) {
        if (pattern->is_parameter[i]) {
            match->names[match->parameter_count] = pattern->segments[i];
            match->values[match->parameter_count] = segments[i];
            match->parameter_count++;
        }
    }
}

enum route_verdict route_find(const struct route_table *table, bool admin, enum http_method method,
                              struct str path, struct route_match *out_match)
{
    struct str segments[ROUTE_SEGMENTS_MAX];
    size_t count = 0;
    if (!cut(path, segments, &count)) {
        return ROUTE_UNKNOWN;
    }
    enum http_method wanted = method == HTTP_HEAD ? HTTP_GET : method;
    enum route_verdict verdict = ROUTE_UNKNOWN;
    const struct pattern *best = NULL;
    for (size_t i = 0; i < table->count; i++) {
        const struct pattern *pattern = &table->patterns[i];
        if (!segments_fit(pattern, segments, count) || !listener_fits(pattern->route, admin)) {
            continue;
        }
        if (pattern->route->method != wanted) {
            verdict = ROUTE_METHOD_NOT_KNOWN;
        } else if (best == NULL || pattern->weight > best->weight) {
            best = pattern;
        }
    }
    if (best == NULL) {
        return verdict;
    }
    match_fill(best, segments, out_match);
    return ROUTE_FOUND;
}

static unsigned methods_at(const struct route_table *table, bool admin, struct str path)
{
    struct str segments[ROUTE_SEGMENTS_MAX];
    size_t count = 0;
    bool all = str_equal(path, STR("*"));
    unsigned methods = 0;
    if (!all && !cut(path, segments, &count)) {
        return 0;
    }
    for (size_t i = 0; i < table->count; i++) {
        const struct pattern *pattern = &table->patterns[i];
        if (listener_fits(pattern->route, admin) &&
            (all || segments_fit(pattern, segments, count))) {
            methods |= 1u << pattern->route->method;
        }
    }
    return methods;
}

bool route_is_for_pages(const struct route_table *table, bool admin, struct str path)
{
    struct str segments[ROUTE_SEGMENTS_MAX];
    size_t count = 0;
    if (!cut(path, segments, &count)) {
        return false;
    }
    for (size_t i = 0; i < table->count; i++) {
        const struct pattern *pattern = &table->patterns[i];
        if ((pattern->route->flags & HTTP_PAGES) != 0 && listener_fits(pattern->route, admin) &&
            segments_fit(pattern, segments, count)) {
            return true;
        }
    }
    return false;
}

struct str route_allowed(const struct route_table *table, bool admin, struct str path,
                         struct arena *arena)
{
    static const struct {
        enum http_method method;
        const char *name;
    } names[] = {
        { HTTP_GET, "GET" },       { HTTP_HEAD, "HEAD" }, { HTTP_OPTIONS, "OPTIONS" },
        { HTTP_POST, "POST" },     { HTTP_PUT, "PUT" },   { HTTP_PATCH, "PATCH" },
        { HTTP_DELETE, "DELETE" },
    };
    unsigned methods = methods_at(table, admin, path);
    if (methods == 0) {
        return (struct str){ NULL, 0 };
    }
    methods |= 1u << HTTP_OPTIONS;
    if ((methods & (1u << HTTP_GET)) != 0) {
        methods |= 1u << HTTP_HEAD;
    }
    struct buf buf;
    buf_init(&buf, arena, 128);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if ((methods & (1u << names[i].method)) != 0) {
            buf_add_z(&buf, buf.size > 0 ? ", " : "");
            buf_add_z(&buf, names[i].name);
        }
    }
    return buf_str(&buf);
}

/* The pattern with the asker's own segments where it has parameters, so that
 * the distance counts only what could be misspelt. */
static const char *pattern_as_path(const struct pattern *pattern, const struct str *segments,
                                   size_t count, struct arena *arena)
{
    if (pattern->segment_count != count) {
        return NULL;
    }
    struct buf buf;
    buf_init(&buf, arena, 256);
    for (size_t i = 0; i < count; i++) {
        buf_add_char(&buf, '/');
        buf_add_str(&buf, pattern->is_parameter[i] ? segments[i] : pattern->segments[i]);
    }
    buf_add_char(&buf, '\0');
    return buf.failed ? NULL : buf.data;
}

struct str route_nearest(const struct route_table *table, bool admin, struct str path,
                         struct arena *arena)
{
    enum {
        PATH_SIZE_MAX = 96
    };
    struct str segments[ROUTE_SEGMENTS_MAX];
    size_t count = 0;
    const char **candidates = ARENA_NEW_ARRAY(arena, table->count + 1, const char *);
    if (candidates == NULL || path.size > PATH_SIZE_MAX || !cut(path, segments, &count)) {
        return (struct str){ NULL, 0 };
    }
    size_t candidate_count = 0;
    for (size_t i = 0; i < table->count; i++) {
        const struct pattern *pattern = &table->patterns[i];
        if (!listener_fits(pattern->route, admin) ||
            (pattern->route->flags & HTTP_RAW_TOKEN) != 0) {
            continue;
        }
        const char *candidate = pattern_as_path(pattern, segments, count, arena);
        if (candidate != NULL) {
            candidates[candidate_count] = candidate;
            candidate_count++;
        }
    }
    return str_from_z(str_nearest(path, candidates, candidate_count));
}
