#include <string.h>

#include "base/arena.h"
#include "http/route.h"
#include "unit.h"

static enum http_outcome nothing(struct http_exchange *x, void *app)
{
    (void)x;
    (void)app;
    return HTTP_DONE;
}

/* The parameter stands first on purpose: order must not decide. */
static const struct http_route routes[] = {
    { HTTP_GET, "/v1/profiles/{id}", &nothing, 0, 0, 0 },
    { HTTP_POST, "/v1/profiles/{id}", &nothing, 0, 0, 0 },
    { HTTP_POST, "/v1/profiles/lookup", &nothing, 0, 0, 0 },
    { HTTP_GET, "/v1/profiles", &nothing, 0, 0, 0 },
    { HTTP_GET, "/v1/profiles/{id}/timeline", &nothing, 0, 0, 0 },
    { HTTP_PUT, "/v1/sources/{name}/products/{product_id}", &nothing, 0, 0, 0 },
    { HTTP_DELETE, "/v1/sources/{name}", &nothing, 0, 0, 0 },
    { HTTP_GET, "/v1/{thing}/default", &nothing, 0, 0, 0 },
    { HTTP_POST, "/v1/hooks/{token}", &nothing, 0, HTTP_RAW_TOKEN, 0 },
    { HTTP_GET, "/healthz", &nothing, 0, HTTP_BOTH, 0 },
    { HTTP_GET, "/metrics", &nothing, 0, HTTP_ADMIN, 0 },
    { HTTP_GET, "/", &nothing, 0, 0, 0 },
};

struct table {
    struct route_table *routes;
    struct arena *arena;
};

static int open_table(void **state)
{
    static struct table table;
    struct problem problem;
    table.arena = arena_create(1024 * 1024);
    assert_int_equal(route_table_create(routes, ARRAY_COUNT(routes), &table.routes, &problem),
                     STATUS_OK);
    *state = &table;
    return 0;
}

static int close_table(void **state)
{
    struct table *table = *state;
    route_table_destroy(table->routes);
    arena_destroy(table->arena);
    return 0;
}

static void paths_find_their_route(void **state)
{
    const struct table *table = *state;
    static const struct {
        const char *why;
        bool admin;
        enum http_method method;
        const char *path;
        enum route_verdict verdict;
        const char *pattern;
        const char *values; /* joined by '|' */
    } rows[] = {
        { "parameter", false, HTTP_GET, "/v1/profiles/7", ROUTE_FOUND, "/v1/profiles/{id}", "7" },
        { "literal beats parameter", false, HTTP_POST, "/v1/profiles/lookup", ROUTE_FOUND,
          "/v1/profiles/lookup", "" },
        { "the literal has another method", false, HTTP_GET, "/v1/profiles/lookup", ROUTE_FOUND,
          "/v1/profiles/{id}", "lookup" },
        { "the literal further left wins", false, HTTP_GET, "/v1/profiles/default", ROUTE_FOUND,
          "/v1/profiles/{id}", "default" },
        { "else the one further right", false, HTTP_GET, "/v1/rules/default", ROUTE_FOUND,
          "/v1/{thing}/default", "rules" },
        { "two parameters", false, HTTP_PUT, "/v1/sources/a/products/b%2Fc", ROUTE_FOUND,
          "/v1/sources/{name}/products/{product_id}", "a|b%2Fc" },
        { "HEAD is answered by GET", false, HTTP_HEAD, "/v1/profiles", ROUTE_FOUND, "/v1/profiles",
          "" },
        { "root", false, HTTP_GET, "/", ROUTE_FOUND, "/", "" },
        { "a trailing slash is another path", false, HTTP_GET, "/v1/profiles/", ROUTE_UNKNOWN, NULL,
          NULL },
        { "a parameter is never empty", false, HTTP_GET, "/v1/profiles//timeline", ROUTE_UNKNOWN,
          NULL, NULL },
        { "case matters", false, HTTP_GET, "/V1/profiles", ROUTE_UNKNOWN, NULL, NULL },
        { "dots name nothing", false, HTTP_GET, "/v1/../healthz", ROUTE_UNKNOWN, NULL, NULL },
        { "too deep", false, HTTP_GET, "/a/a/a/a/a/a/a/a/a/a/a/a/a", ROUTE_UNKNOWN, NULL, NULL },
        { "wrong method", false, HTTP_DELETE, "/v1/profiles/7", ROUTE_METHOD_NOT_KNOWN, NULL,
          NULL },
        { "admin route on the public listener", false, HTTP_GET, "/metrics", ROUTE_UNKNOWN, NULL,
          NULL },
        { "admin route", true, HTTP_GET, "/metrics", ROUTE_FOUND, "/metrics", "" },
        { "public route on the admin listener", true, HTTP_GET, "/v1/profiles", ROUTE_UNKNOWN, NULL,
          NULL },
        { "both, public", false, HTTP_GET, "/healthz", ROUTE_FOUND, "/healthz", "" },
        { "both, admin", true, HTTP_GET, "/healthz", ROUTE_FOUND, "/healthz", "" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct route_match match = { 0 };
        enum route_verdict verdict = route_find(table->routes, rows[i].admin, rows[i].method,
                                                str_from_z(rows[i].path), &match);
        assert_row(verdict == rows[i].verdict, rows[i].why);
        if (verdict != ROUTE_FOUND) {
            assert_row(match.route == NULL, rows[i].why);
            continue;
        }
        assert_row(strcmp(match.route->pattern, rows[i].pattern) == 0, rows[i].why);
        struct str values = { NULL, 0 };
        for (size_t j = 0; j < match.parameter_count; j++) {
            values = str_printf(table->arena, "%.*s%s%.*s", STR_ARG(values), j > 0 ? "|" : "",
                                STR_ARG(match.values[j]));
        }
        assert_row(str_equal_z(values, rows[i].values), rows[i].why);
    }
}

static void allowed_methods_are_listed(void **state)
{
    const struct table *table = *state;
    static const struct {
        const char *path;
        const char *allowed;
    } rows[] = {
        { "/v1/profiles/7", "GET, HEAD, OPTIONS, POST" },
        { "/v1/sources/a", "OPTIONS, DELETE" },
        { "/v1/hooks/t", "OPTIONS, POST" },
        { "/metrics", "" },
        { "/nowhere", "" },
        { "*", "GET, HEAD, OPTIONS, POST, PUT, DELETE" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct str allowed =
            route_allowed(table->routes, false, str_from_z(rows[i].path), table->arena);
        assert_row(str_equal_z(allowed, rows[i].allowed), rows[i].path);
    }
}

static void misspelt_paths_are_helped(void **state)
{
    const struct table *table = *state;
    static const struct {
        const char *path;
        const char *nearest;
    } rows[] = {
        { "/v1/profile", "/v1/profiles" },
        { "/v1/profles/123/timeline", "/v1/profiles/123/timeline" },
        { "/healtz", "/healthz" },
        { "/metrix", "" },              /* not on this listener */
        { "/v1/hook/secrettoken", "" }, /* never complete a path with a secret */
        { "/something/else/entirely", "" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct str nearest =
            route_nearest(table->routes, false, str_from_z(rows[i].path), table->arena);
        assert_row(str_equal_z(nearest, rows[i].nearest), rows[i].path);
    }
}

static void bad_tables_are_refused(void **state)
{
    (void)state;
    static const struct http_route twice[] = {
        { HTTP_GET, "/v1/a/{id}", &nothing, 0, 0, 0 },
        { HTTP_GET, "/v1/a/{name}", &nothing, 0, 0, 0 },
    };
    static const struct http_route rootless[] = { { HTTP_GET, "v1", &nothing, 0, 0, 0 } };
    struct route_table *table = NULL;
    struct problem problem;
    assert_int_equal(route_table_create(twice, 2, &table, &problem), STATUS_INVALID);
    assert_int_equal(route_table_create(rootless, 1, &table, &problem), STATUS_INVALID);
    assert_null(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(paths_find_their_route, open_table, close_table),
        cmocka_unit_test_setup_teardown(allowed_methods_are_listed, open_table, close_table),
        cmocka_unit_test_setup_teardown(misspelt_paths_are_helped, open_table, close_table),
        cmocka_unit_test(bad_tables_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
