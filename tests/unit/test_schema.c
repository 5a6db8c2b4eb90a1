#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/limits.h"
#include "schema/schema.h"
#include "unit.h"

/*
 * The official test suite of draft 7, and what a schema may not do to us.
 *
 * Every test of the suite is run, but for references to other documents. What
 * the engine gets wrong is listed here by name with the reason, and the list is
 * exact both ways: a test that fails and is not listed fails, and so does a group
 * that is listed and compiles.
 */

#define SUITE "/usr/share/json-schema-test-suite/tests/draft7"

struct exception {
    const char *file;
    const char *group;
    const char *why;
};

static const struct exception exceptions[] = {
    { "definitions.json", "valid definition", "the draft's own schema, by its address" },
    { "definitions.json", "invalid definition", "the draft's own schema, by its address" },
    { "ref.json", "remote ref, containing refs itself", "the draft's own schema, by its address" },
    { "ref.json", "Recursive references between schemas",
      "refers to its own parts by absolute $id, which valijson takes for other documents" },
};

struct tally {
    size_t passed;
    size_t excepted;
    size_t wrong;
};

static bool is_exception(const char *file, const char *group)
{
    for (size_t i = 0; i < ARRAY_COUNT(exceptions); i++) {
        const struct exception *one = &exceptions[i];
        if (strcmp(one->file, file) == 0 && strcmp(one->group, group) == 0) {
            return true;
        }
    }
    return false;
}

static struct str dump(struct arena *arena, const json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    assert_non_null(text);
    struct str copy = str_dup(arena, str_from_z(text));
    free(text);
    return copy;
}

static void run_one(const struct schema *schema, const char *file, const char *group,
                    const json_t *test, struct tally *tally)
{
    struct arena *arena CLEANUP(arena_destroy_at) = arena_create(1024 * 1024);
    const char *name = json_string_value(json_object_get(test, "description"));
    bool expected = json_is_true(json_object_get(test, "valid"));
    struct schema_report report = { .count = 0 };
    struct str data = dump(arena, json_object_get(test, "data"));
    bool is_right = schema != NULL && schema_check(schema, data, arena, &report) == STATUS_OK &&
                    report.is_valid == expected && report.is_valid == (report.count == 0);
    bool is_excepted = is_exception(file, group);
    if (is_excepted ? schema != NULL : !is_right) {
        print_error("%s / %s / %s: %s\n", file, group, name,
                    is_excepted ? "listed, and compiles" : "fails");
        tally->wrong++;
    }
    tally->passed += is_right && !is_excepted ? 1 : 0;
    tally->excepted += is_excepted ? 1 : 0;
}

static void run_file(const char *folder, const char *file, struct tally *tally)
{
    char path[512];
    size_t i = 0;
    json_t *group = NULL;
    (void)snprintf(path, sizeof(path), "%s/%s", folder, file);
    json_t *groups = json_load_file(path, 0, NULL);
    assert_non_null(groups);
    json_array_foreach(groups, i, group)
    {
        struct arena *arena CLEANUP(arena_destroy_at) = arena_create(1024 * 1024);
        const char *name = json_string_value(json_object_get(group, "description"));
        struct schema *schema = NULL;
        struct problem problem = { .type = "" };
        size_t j = 0;
        json_t *test = NULL;
        if (schema_compile(dump(arena, json_object_get(group, "schema")), &schema, &problem) !=
            STATUS_OK) {
            schema = NULL;
        }
        json_array_foreach(json_object_get(group, "tests"), j, test)
        {
            run_one(schema, file, name, test, tally);
        }
        schema_release(schema);
    }
    json_decref(groups);
}

static void test_official_suite(void **state)
{
    (void)state;
    struct tally tally = { .passed = 0 };
    DIR *folder = opendir(SUITE);
    if (folder == NULL) {
        skip(); /* Debian: json-schema-test-suite */
    }
    /* Nothing else reads this stream. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        const char *dot = strrchr(entry->d_name, '.');
        if (dot != NULL && strcmp(dot, ".json") == 0 &&
            strcmp(entry->d_name, "refRemote.json") != 0) {
            run_file(SUITE, entry->d_name, &tally);
        }
    }
    closedir(folder);
    print_message("draft 7: %zu passed, %zu excepted\n", tally.passed, tally.excepted);
    assert_int_equal(tally.wrong, 0);
    assert_true(tally.passed >= 400);
}

/* --- what a schema may not do to us ---------------------------------------- */

static enum status compile(const char *json, struct problem *problem)
{
    struct schema *schema = NULL;
    enum status status = schema_compile(str_from_z(json), &schema, problem);
    if (status == STATUS_OK) {
        schema_release(schema);
    }
    return status;
}

static void test_unbounded_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        const char *json;
    } rows[] = {
        { "not JSON", "{" },
        { "no schema", "[]" },
        { "a type that is none", "{\"type\":7}" },
        { "itself", "{\"$ref\":\"#\"}" },
        { "itself, by allOf", "{\"allOf\":[{\"$ref\":\"#\"}]}" },
        { "a circle of two", "{\"definitions\":{\"a\":{\"$ref\":\"#/definitions/"
                             "b\"},\"b\":{\"$ref\":\"#/definitions/a\"}},"
                             "\"allOf\":[{\"$ref\":\"#/definitions/a\"}]}" },
        { "nothing there", "{\"$ref\":\"#/definitions/x\"}" },
        { "itself, as another document", "{\"$ref\":\"order.json\"}" },
        { "itself, as a part of another document",
          "{\"definitions\":{\"a\":{\"$ref\":\"b\"}},\"$ref\":\"order.json#/definitions/a\"}" },
        { "itself, by a number written otherwise",
          "{\"$ref\":\"#/x/0\",\"x\":[{\"$ref\":\"#/x/00\"}]}" },
        { "itself, by a space written otherwise",
          "{\"$ref\":\"#/a b\",\"a b\":{\"$ref\":\"#/a+b\"}}" },
        { "itself, by half an escape", "{\"$ref\":\"#/~\",\"~\":{\"$ref\":\"#/~\"}}" },
        { "another document", "{\"$ref\":\"https://example.com/schema.json\"}" },
        { "twice the work with every level",
          "{\"properties\":{\"x\":{\"allOf\":[{\"$ref\":\"#\"},{\"$ref\":\"#\"}]}}}" },
        { "no pattern", "{\"pattern\":\"(\"}" },
        { "a back reference", "{\"pattern\":\"(a*)\\\\1\"}" },
        { "a thousand times a thousand", "{\"pattern\":\"(a{1000}){1000}\"}" },
        { "a repeated group of names", "{\"patternProperties\":{\"(a+)+$\":{}}}" },
        { "three repetitions of names", "{\"patternProperties\":{\"a*a*a*$\":{}}}" },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct problem problem = { .type = "" };
        assert_row(compile(rows[i].json, &problem) == STATUS_INVALID, rows[i].why);
        assert_row(problem.detail[0] != '\0', rows[i].why);
    }
}

static void test_size_and_depth_are_bounded(void **state)
{
    (void)state;
    static char json[LIMIT_SCHEMA_BYTES + 64];
    struct problem problem = { .type = "" };
    int head = snprintf(json, sizeof(json), "{\"title\":\"");
    memset(json + head, 'a', LIMIT_SCHEMA_BYTES - (size_t)head - 2);
    memcpy(json + LIMIT_SCHEMA_BYTES - 2, "\"}", 3);
    assert_int_equal(compile(json, &problem), STATUS_OK);
    memcpy(json + LIMIT_SCHEMA_BYTES - 2, "a\"}", 4);
    assert_int_equal(compile(json, &problem), STATUS_INVALID);
    assert_string_equal(problem.type, "limit-reached");

    struct buf buf;
    struct arena *arena CLEANUP(arena_destroy_at) = arena_create(1024 * 1024);
    for (size_t depth = LIMIT_JSON_DEPTH; depth <= LIMIT_JSON_DEPTH + 1; depth++) {
        buf_init(&buf, arena, 64 * 1024);
        for (size_t i = 1; i < depth; i++) {
            buf_add_z(&buf, "{\"not\":");
        }
        buf_add_z(&buf, "{}");
        for (size_t i = 1; i < depth; i++) {
            buf_add_z(&buf, "}");
        }
        assert_int_equal(compile(str_dup_z(arena, buf_str(&buf)), &problem),
                         depth <= LIMIT_JSON_DEPTH ? STATUS_OK : STATUS_INVALID);
    }
}

/* Backtracking would take 2^60 steps here, and recursion a stack of its length. */
static void test_patterns_take_bounded_time(void **state)
{
    (void)state;
    struct schema *schema = NULL;
    struct problem problem;
    struct schema_report report;
    struct arena *arena CLEANUP(arena_destroy_at) = arena_create(1024 * 1024);
    assert_int_equal(schema_compile(STR("{\"properties\":{\"x\":{\"pattern\":\"^(a+)+$\"}}}"),
                                    &schema, &problem),
                     STATUS_OK);
    char text[LIMIT_SCHEMA_SUBJECT_BYTES + 32];
    for (size_t size = LIMIT_SCHEMA_SUBJECT_BYTES; size <= LIMIT_SCHEMA_SUBJECT_BYTES + 1; size++) {
        memcpy(text, "{\"x\":\"", 6);
        memset(text + 6, 'a', size - 1);
        memcpy(text + 6 + size - 1, "b\"}", 4);
        assert_int_equal(schema_check(schema, str_from_z(text), arena, &report), STATUS_OK);
        assert_false(report.is_valid);
        assert_str_equal(report.violations[0].pointer, STR("/x"));
        assert_int_equal(str_starts_with(report.violations[0].what, STR("The text is too long")),
                         size > LIMIT_SCHEMA_SUBJECT_BYTES);
    }
    schema_release(schema);
}

/* Alternatives go back and try again as repetitions do: 2^40 times here. */
static void test_patterns_of_names_take_bounded_time(void **state)
{
    (void)state;
    struct schema *schema = NULL;
    struct problem problem;
    struct schema_report report;
    struct buf buf;
    struct arena *arena CLEANUP(arena_destroy_at) = arena_create(1024 * 1024);
    buf_init(&buf, arena, 4096);
    buf_add_z(&buf, "{\"patternProperties\":{\"^");
    for (size_t i = 0; i < 40; i++) {
        buf_add_z(&buf, "(a|a)");
    }
    buf_add_z(&buf, "$\":{\"type\":\"string\"}}}");
    assert_int_equal(schema_compile(buf_str(&buf), &schema, &problem), STATUS_OK);
    static const struct {
        const char *behind;
        bool is_valid;
    } rows[] = { { "b", true }, { "", false } };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct str json =
            str_printf(arena, "{\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa%s\":1}", rows[i].behind);
        assert_int_equal(schema_check(schema, json, arena, &report), STATUS_OK);
        assert_int_equal(report.is_valid, rows[i].is_valid);
    }
    schema_release(schema);
}

/* {"definitions":{"d0":{"allOf":[{"$ref":"#/definitions/d1"}]},...}} */
static struct str chain(struct arena *arena, size_t length)
{
    struct buf buf;
    buf_init(&buf, arena, 1024 * 1024);
    buf_add_z(&buf, "{\"definitions\":{");
    for (size_t i = 0; i < length; i++) {
        buf_printf(&buf, "\"d%zu\":{\"allOf\":[{\"$ref\":\"#/definitions/d%zu\"}]},", i, i + 1);
    }
    buf_printf(&buf,
               "\"d%zu\":{\"pattern\":\"^(a+)+$\"}},\"allOf\":[{\"$ref\":\"#/definitions/d0\"}]}",
               length);
    return buf_str(&buf);
}

static void *check_on_small_stack(void *schema)
{
    struct schema_report report = { .is_valid = true };
    struct arena *arena CLEANUP(arena_destroy_at) = arena_create(1024 * 1024);
    enum status status = schema_check(schema, STR("\"aaab\""), arena, &report);
    return status == STATUS_OK && !report.is_valid ? schema : NULL;
}

/* A thread that takes webhooks has 1 MiB, and is some way into it. */
static void *run_on_small_stack(void *(*check)(void *schema), struct schema *schema)
{
    pthread_attr_t attributes;
    pthread_t thread;
    void *result = NULL;
    pthread_attr_init(&attributes);
    assert_int_equal(pthread_attr_setstacksize(&attributes, 768 * 1024), 0);
    assert_int_equal(pthread_create(&thread, &attributes, check, schema), 0);
    pthread_join(thread, &result);
    pthread_attr_destroy(&attributes);
    return result;
}

static void test_the_deepest_fits_the_stack(void **state)
{
    (void)state;
    struct problem problem;
    struct schema *schema = NULL;
    struct arena *arena CLEANUP(arena_destroy_at) = arena_create(4 * 1024 * 1024);
    /* The root, the d's, and what each refers to. */
    size_t length = LIMIT_SCHEMA_STACK - 2;
    assert_int_equal(schema_compile(chain(arena, length), &schema, &problem), STATUS_OK);
    assert_ptr_equal(run_on_small_stack(check_on_small_stack, schema), schema);
    schema_release(schema);
    assert_int_equal(schema_compile(chain(arena, length + 1), &schema, &problem), STATUS_INVALID);
    /* As long as it can be: the compiler's own stack. */
    assert_int_equal(schema_compile(chain(arena, 1300), &schema, &problem), STATUS_INVALID);
    assert_null(strstr(problem.detail, "bytes"));
}

static void test_formats(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        const char *schema;
        const char *json;
        bool is_valid;
    } rows[] = {
        { "a date", "{\"format\":\"date\"}", "\"2024-02-29\"", true },
        { "no such day", "{\"format\":\"date\"}", "\"2024-02-30\"", false },
        { "no such month", "{\"format\":\"date\"}", "\"2024-13-01\"", false },
        { "the thirty-first of a month with thirty", "{\"format\":\"date\"}", "\"2024-09-31\"",
          false },
        { "a digit is missing", "{\"format\":\"date\"}", "\"2024-2-29\"", false },
        { "more behind it", "{\"format\":\"date\"}", "\"2024-02-29 \"", false },
        { "nothing", "{\"format\":\"date\"}", "\"\"", false },
        { "not a text", "{\"format\":\"date\"}", "20240229", true },
        { "null, which the type allows", "{\"type\":[\"string\",\"null\"],\"format\":\"date\"}",
          "null", true },
        { "a time", "{\"format\":\"time\"}", "\"23:59:60.123+02:00\"", true },
        { "a time without offset", "{\"format\":\"time\"}", "\"23:59:59\"", false },
        { "a time with half a fraction", "{\"format\":\"time\"}", "\"23:59:59.Z\"", false },
        { "a time of no hour", "{\"format\":\"time\"}", "\"24:00:00Z\"", false },
        { "an instant", "{\"format\":\"date-time\"}", "\"2024-02-29T00:00:00Z\"", true },
        { "an instant in small letters", "{\"format\":\"date-time\"}", "\"2024-02-29t00:00:00z\"",
          true },
        { "a date is no instant", "{\"format\":\"date-time\"}", "\"2024-02-29\"", false },
        { "a format that is not known", "{\"format\":\"email\"}", "\"nobody\"", true },
        { "a name", "{\"propertyNames\":{\"format\":\"date\"}}", "{\"2024-02-29\":1}", true },
        { "another name", "{\"propertyNames\":{\"format\":\"date\"}}", "{\"today\":1}", false },
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct arena *arena CLEANUP(arena_destroy_at) = arena_create(1024 * 1024);
        struct schema *schema = NULL;
        struct problem problem;
        struct schema_report report = { .count = 0 };
        assert_int_equal(schema_compile(str_from_z(rows[i].schema), &schema, &problem), STATUS_OK);
        assert_int_equal(schema_check(schema, str_from_z(rows[i].json), arena, &report), STATUS_OK);
        assert_row(report.is_valid == rows[i].is_valid, rows[i].why);
        schema_release(schema);
    }
}

static void *check_long_date(void *schema)
{
    static char json[LIMIT_PROPERTIES_BYTES];
    struct schema_report report = { .is_valid = true };
    struct arena *arena CLEANUP(arena_destroy_at) = arena_create(1024 * 1024);
    memset(json, '1', sizeof(json));
    json[0] = '"';
    json[sizeof(json) - 1] = '"';
    enum status status = schema_check(schema, (struct str){ json, sizeof(json) }, arena, &report);
    return status == STATUS_OK && !report.is_valid ? schema : NULL;
}

/* Anyone can send it to a source of pages. */
static void test_a_long_date_fits_the_stack(void **state)
{
    (void)state;
    struct problem problem;
    struct schema *schema = NULL;
    assert_int_equal(schema_compile(STR("{\"format\":\"date\"}"), &schema, &problem), STATUS_OK);
    assert_ptr_equal(run_on_small_stack(check_long_date, schema), schema);
    schema_release(schema);
}

static void test_violations_have_pointers(void **state)
{
    (void)state;
    struct schema *schema = NULL;
    struct problem problem;
    struct schema_report report;
    struct arena *arena CLEANUP(arena_destroy_at) = arena_create(1024 * 1024);
    assert_int_equal(
        schema_compile(
            STR("{\"required\":[\"sku\"],\"properties\":{\"a/b~c\":{\"type\":\"string\"},"
                "\"items\":{\"items\":{\"properties\":{\"price\":{\"minimum\":0}}}}}}"),
            &schema, &problem),
        STATUS_OK);
    struct str bad = STR("{\"a/b~c\":1,\"items\":[{\"price\":1},{\"price\":-1}]}");
    assert_int_equal(schema_check(schema, bad, arena, &report), STATUS_OK);
    static const char *const pointers[] = { "/a~1b~0c", "/items/1/price", "" };
    assert_false(report.is_valid);
    assert_int_equal(report.count, ARRAY_COUNT(pointers));
    for (size_t i = 0; i < ARRAY_COUNT(pointers); i++) {
        bool found = false;
        for (size_t j = 0; j < report.count; j++) {
            found = found || str_equal_z(report.violations[j].pointer, pointers[i]);
        }
        assert_row(found, pointers[i]);
    }
    assert_int_equal(schema_check(schema, STR("{\"sku\":"), arena, &report), STATUS_INVALID);
    schema_release(schema);
}

static void test_violations_are_counted_out(void **state)
{
    (void)state;
    struct schema *schema = NULL;
    struct problem problem;
    struct schema_report report;
    struct buf buf;
    struct arena *arena CLEANUP(arena_destroy_at) = arena_create(1024 * 1024);
    assert_int_equal(schema_compile(STR("{\"items\":{\"type\":\"string\"}}"), &schema, &problem),
                     STATUS_OK);
    buf_init(&buf, arena, 64 * 1024);
    for (size_t i = 0; i < 100; i++) {
        buf_add_z(&buf, i == 0 ? "[1" : ",1");
    }
    buf_add_z(&buf, "]");
    assert_int_equal(schema_check(schema, buf_str(&buf), arena, &report), STATUS_OK);
    assert_int_equal(report.count, LIMIT_SCHEMA_VIOLATIONS);
    schema_release(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_official_suite),
        cmocka_unit_test(test_unbounded_is_refused),
        cmocka_unit_test(test_size_and_depth_are_bounded),
        cmocka_unit_test(test_patterns_take_bounded_time),
        cmocka_unit_test(test_patterns_of_names_take_bounded_time),
        cmocka_unit_test(test_the_deepest_fits_the_stack),
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_a_long_date_fits_the_stack),
        cmocka_unit_test(test_violations_have_pointers),
        cmocka_unit_test(test_violations_are_counted_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
