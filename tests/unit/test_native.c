#include <jansson.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/instant.h"
#include "core/trigger/native.h"
#include "unit.h"

/* What tests/golden/native does not show: addresses, keys, answers, limits. */

enum {
    AT_MS = 1000
};

struct address_row {
    const char *format;
    const char *settings;
    const char *url;
    const char *probe;
    const char *line; /* the first, for the key "s3cr3t" */
};

static const struct address_row address_rows[] = {
    { "klaviyo", "{}", "https://a.klaviyo.com/api/events", "https://a.klaviyo.com/api/accounts",
      "Authorization: Klaviyo-API-Key s3cr3t" },
    { "customerio", "{\"site_id\":\"s1\"}", "https://track.customer.io/api/v2/entity",
      "https://track.customer.io/api/v1/accounts/region",
      "Authorization: Basic czE6czNjcjN0" /* s1:s3cr3t */ },
    { "customerio", "{\"site_id\":\"s1\",\"region\":\"eu\"}",
      "https://track-eu.customer.io/api/v2/entity",
      "https://track-eu.customer.io/api/v1/accounts/region", "Authorization: Basic czE6czNjcjN0" },
    { "braze", "{\"cluster\":\"fra-02\"}", "https://rest.fra-02.braze.eu/users/track",
      "https://rest.fra-02.braze.eu/users/track", "Authorization: Bearer s3cr3t" },
    { "braze", "{\"cluster\":\"us-10\"}", "https://rest.us-10.braze.com/users/track",
      "https://rest.us-10.braze.com/users/track", "Authorization: Bearer s3cr3t" },
    { "mailchimp", "{\"data_center\":\"us6\",\"list\":\"a1\"}",
      "https://us6.api.mailchimp.com/3.0/lists/a1/members",
      "https://us6.api.mailchimp.com/3.0/lists/a1?fields=id",
      "Authorization: Basic c2hvcGJlbGw6czNjcjN0" /* shopbell:s3cr3t */ },
    { "brevo", "{}", "https://api.brevo.com/v3/events", "https://api.brevo.com/v3/account",
      "api-key: s3cr3t" },
    { "iterable", "{}", "https://api.iterable.com/api/events/track",
      "https://api.iterable.com/api/lists", "Api-Key: s3cr3t" },
    { "iterable", "{\"region\":\"eu\"}", "https://api.eu.iterable.com/api/events/track",
      "https://api.eu.iterable.com/api/lists", "Api-Key: s3cr3t" },
    { "hubspot", "{\"event\":\"pe1_x\"}", "https://api.hubapi.com/events/v3/send",
      "https://api.hubapi.com/account-info/v3/details", "Authorization: Bearer s3cr3t" },
    /* Development: the host alone is another. */
    { "klaviyo", "{\"base_url\":\"http://127.0.0.1:8080/\"}", "http://127.0.0.1:8080/api/events",
      "http://127.0.0.1:8080/api/accounts", "Authorization: Klaviyo-API-Key s3cr3t" },
};

static void each_esp_has_its_address_and_shows_the_key(void **state)
{
    (void)state;
    struct arena *arena = arena_create(1 << 16);
    for (size_t i = 0; i < ARRAY_COUNT(address_rows); i++) {
        const struct address_row *row = &address_rows[i];
        enum native_format format = native_from_name(str_from_z(row->format));
        struct str settings = str_from_z(row->settings);
        struct str lines[NATIVE_LINES_MAX];
        assert_row(format != NATIVE_NONE, row->format);
        assert_str_equal(native_url(arena, format, settings), str_from_z(row->url));
        assert_str_equal(native_probe(arena, format, settings).url, str_from_z(row->probe));
        assert_row(native_lines(arena, format, settings, STR("s3cr3t"), lines) >= 1, row->format);
        assert_str_equal(lines[0], str_from_z(row->line));
    }
    arena_destroy(arena);
}

static void klaviyo_says_its_revision(void **state)
{
    (void)state;
    struct arena *arena = arena_create(1 << 16);
    struct str lines[NATIVE_LINES_MAX];
    assert_int_equal(native_lines(arena, NATIVE_KLAVIYO, STR("{}"), STR("k"), lines), 2);
    assert_str_equal(lines[1], STR("revision: 2026-07-15"));
    (void)native_lines(arena, NATIVE_KLAVIYO, STR("{\"revision\":\"2026-10-15\"}"), STR("k"),
                       lines);
    assert_str_equal(lines[1], STR("revision: 2026-10-15"));
    arena_destroy(arena);
}

static void a_target_is_of_the_same_host(void **state)
{
    (void)state;
    assert_str_equal(native_url_origin(STR("https://us6.api.mailchimp.com/3.0/lists/a1/members")),
                     STR("https://us6.api.mailchimp.com"));
    assert_str_equal(native_url_origin(STR("http://h:1")), STR("http://h:1"));
    assert_str_equal(native_url_origin(STR("http://h:1/")), STR("http://h:1"));
}

static void only_esps_have_a_name_here(void **state)
{
    (void)state;
    assert_int_equal(native_from_name(STR("shopbell")), NATIVE_NONE);
    assert_int_equal(native_from_name(STR("cloudevents")), NATIVE_NONE);
    assert_int_equal(native_from_name(STR("")), NATIVE_NONE);
    assert_null(native_info(NATIVE_NONE));
    for (int format = NATIVE_NONE + 1; format < NATIVE_COUNT; format++) {
        const struct native_info *info = native_info((enum native_format)format);
        assert_non_null(info);
        assert_int_equal(native_from_name(str_from_z(info->name)), format);
        assert_true(info->concurrency >= 1);
    }
}

struct setting_row {
    enum native_format format;
    const char *name;
    const char *value;
    bool is_valid;
};

static const struct setting_row setting_rows[] = {
    { NATIVE_BRAZE, "cluster", "fra-02", true },
    { NATIVE_BRAZE, "cluster", "evil.example/", false },
    { NATIVE_BRAZE, "cluster", "x@evil-1", false },
    { NATIVE_BRAZE, "cluster", "fra-02.evil", false },
    { NATIVE_BRAZE, "cluster", "", false },
    { NATIVE_MAILCHIMP, "data_center", "us6", true },
    { NATIVE_MAILCHIMP, "data_center", "us123", true },
    { NATIVE_MAILCHIMP, "data_center", "us", false },
    { NATIVE_MAILCHIMP, "data_center", "us6.evil", false },
    { NATIVE_MAILCHIMP, "data_center", "6us", false },
    { NATIVE_MAILCHIMP, "list", "a1b2c3d4e5", true },
    { NATIVE_MAILCHIMP, "list", "../members", false },
    { NATIVE_MAILCHIMP, "list", "a?x=1", false },
    { NATIVE_KLAVIYO, "revision", "2026-07-15", true },
    { NATIVE_KLAVIYO, "revision", "2026-07-15\r\nx: y", false },
    { NATIVE_KLAVIYO, "identifier", "phone", true },
    { NATIVE_KLAVIYO, "identifier", "name", false },
    { NATIVE_ITERABLE, "identifier", "phone", false },
    { NATIVE_CUSTOMERIO, "region", "eu", true },
    { NATIVE_CUSTOMERIO, "region", "EU", false },
    { NATIVE_HUBSPOT, "event", "pe1234567_order", true },
    { NATIVE_HUBSPOT, "event", "pe_order", false },
    { NATIVE_HUBSPOT, "event", "pe1_", false },
    { NATIVE_HUBSPOT, "event", "pe1_Order", false },
    { NATIVE_HUBSPOT, "properties", "tag_name, value", true },
    { NATIVE_HUBSPOT, "properties", "Tag", false },
};

static void settings_hold_nothing_that_leads_elsewhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(setting_rows); i++) {
        const struct setting_row *row = &setting_rows[i];
        const struct native_setting *found = NULL;
        for (size_t n = 0; native_setting(row->format, n) != NULL; n++) {
            if (strcmp(native_setting(row->format, n)->name, row->name) == 0) {
                found = native_setting(row->format, n);
            }
        }
        assert_non_null(found);
        assert_row(found->is_valid(str_from_z(row->value)) == row->is_valid, row->value);
    }
}

static void a_key_is_one_word(void **state)
{
    (void)state;
    char longest[NATIVE_AUTH_BYTES_MAX + 2];
    memset(longest, 'k', sizeof(longest));
    assert_true(native_auth_is_valid(STR("pk_0123456789abcdef")));
    assert_true(native_auth_is_valid((struct str){ longest, NATIVE_AUTH_BYTES_MAX }));
    assert_false(native_auth_is_valid((struct str){ longest, NATIVE_AUTH_BYTES_MAX + 1 }));
    assert_false(native_auth_is_valid(STR("")));
    assert_false(native_auth_is_valid(STR("two words")));
    assert_false(native_auth_is_valid(STR("line\r\nX: y")));
    assert_false(native_auth_is_valid(STR("k\xc3\xa9")));
}

struct answer_row {
    const char *why;
    enum native_format format;
    int32_t status;
    enum native_meaning meaning;
};

static const struct answer_row answer_rows[] = {
    { "a body that is malformed stays so", NATIVE_KLAVIYO, 400, NATIVE_FINAL },
    { "too large", NATIVE_BRAZE, 413, NATIVE_FINAL },
    { "understood and refused", NATIVE_BREVO, 422, NATIVE_FINAL },
    { "a key is replaced within hours", NATIVE_KLAVIYO, 401, NATIVE_AS_USUAL },
    { "Mailchimp throttles so", NATIVE_MAILCHIMP, 403, NATIVE_AS_USUAL },
    { "no such member", NATIVE_MAILCHIMP, 404, NATIVE_FINAL },
    { "no such key", NATIVE_BRAZE, 404, NATIVE_AS_USUAL },
    { "busy", NATIVE_KLAVIYO, 429, NATIVE_AS_USUAL },
    { "out of order", NATIVE_ITERABLE, 500, NATIVE_AS_USUAL },
    { "silence", NATIVE_ITERABLE, 0, NATIVE_AS_USUAL },
    { "queued", NATIVE_KLAVIYO, 202, NATIVE_AS_USUAL },
    { "gone", NATIVE_KLAVIYO, 410, NATIVE_AS_USUAL },
    { "it has this id", NATIVE_HUBSPOT, 409, NATIVE_REPEATED },
    { "a conflict elsewhere", NATIVE_ITERABLE, 409, NATIVE_AS_USUAL },
    { "not an ESP: all is repaired some day", NATIVE_NONE, 400, NATIVE_AS_USUAL },
    { "not an ESP", NATIVE_NONE, 422, NATIVE_AS_USUAL },
};

static void answers_mean_what_each_esp_means(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(answer_rows); i++) {
        const struct answer_row *row = &answer_rows[i];
        assert_row(native_meaning(row->format, row->status) == row->meaning, row->why);
    }
}

static void a_probe_tells_a_bad_key_from_a_bad_day(void **state)
{
    (void)state;
    const char *words = NULL;
    assert_true(native_probe_passes(NATIVE_KLAVIYO, 200, &words));
    assert_null(words);
    assert_false(native_probe_passes(NATIVE_KLAVIYO, 401, &words));
    assert_non_null(words);
    assert_false(native_probe_passes(NATIVE_KLAVIYO, 403, &words));
    assert_non_null(strstr(words, "accounts:read"));
    assert_false(native_probe_passes(NATIVE_KLAVIYO, 503, &words));
    assert_null(words);
    assert_false(native_probe_passes(NATIVE_MAILCHIMP, 404, &words));
    assert_non_null(strstr(words, "settings.list"));
    /* Braze is asked with an empty call: refused as empty, the key was taken. */
    assert_true(native_probe_passes(NATIVE_BRAZE, 400, &words));
    assert_false(native_probe_passes(NATIVE_BRAZE, 401, &words));
    assert_false(native_probe_passes(NATIVE_KLAVIYO, 400, &words));
}

/* --- limits ----------------------------------------------------------------- */

/* {"product": {"a": "xxx...", "b": 1}} with a text of `size` */
static struct str data_with_text(struct arena *arena, size_t size)
{
    struct buf buf;
    buf_init(&buf, arena, size + 256);
    buf_add_z(&buf, "{\"product\":{\"a\":\"");
    for (size_t i = 0; i < size; i++) {
        buf_add_char(&buf, 'x');
    }
    buf_add_z(&buf, "\",\"b\":1}}");
    return buf_str(&buf);
}

static struct str data_with_members(struct arena *arena, unsigned count)
{
    struct buf buf;
    buf_init(&buf, arena, 1 << 20);
    buf_add_z(&buf, "{\"product\":{");
    for (unsigned i = 0; i < count; i++) {
        buf_printf(&buf, "%s\"m%u\":%u", i > 0 ? "," : "", i, i);
    }
    buf_add_z(&buf, "}}");
    return buf_str(&buf);
}

static json_t *render(struct arena *arena, enum native_format format, const char *settings,
                      struct str data, size_t *out_size)
{
    struct native_notification notification = {
        .topic = STR("product.viewed"),
        .at_ms = AT_MS,
        .email = STR("jane@example.com"),
        .data_json = data,
    };
    struct native_rendition rendition;
    assert_true(id_parse(STR("5f0c2f5e-8a51-8c1e-9b0e-2f8f6b1f4a77"), &notification.id));
    assert_int_equal(native_render(arena, format, str_from_z(settings), &notification, &rendition),
                     NATIVE_RENDERED);
    json_t *body =
        json_loadb(rendition.body.data, rendition.body.size, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(body);
    *out_size = rendition.body.size;
    return body;
}

static json_t *klaviyo_properties(json_t *body)
{
    json_t *attributes = json_object_get(json_object_get(body, "data"), "attributes");
    return json_object_get(attributes, "properties");
}

static void klaviyo_takes_texts_of_100_kb(void **state)
{
    (void)state;
    struct arena *arena = arena_create((size_t)16 << 20);
    size_t size = 0;
    json_t *body = render(arena, NATIVE_KLAVIYO, "{}", data_with_text(arena, 100000), &size);
    json_t *properties = klaviyo_properties(body);
    assert_int_equal(json_string_length(json_object_get(properties, "product_a")), 100000);
    assert_null(json_object_get(properties, "shopbell_truncated"));
    json_decref(body);

    body = render(arena, NATIVE_KLAVIYO, "{}", data_with_text(arena, 100001), &size);
    properties = klaviyo_properties(body);
    assert_int_equal(json_string_length(json_object_get(properties, "product_a")), 100000);
    assert_true(json_is_true(json_object_get(properties, "shopbell_truncated")));
    assert_int_equal(json_integer_value(json_object_get(properties, "product_b")), 1);
    json_decref(body);
    arena_destroy(arena);
}

static void klaviyo_takes_400_properties(void **state)
{
    (void)state;
    struct arena *arena = arena_create((size_t)16 << 20);
    size_t size = 0;
    /* Two are ours; the last place is kept for the remark. */
    json_t *body = render(arena, NATIVE_KLAVIYO, "{}", data_with_members(arena, 397), &size);
    assert_int_equal(json_object_size(klaviyo_properties(body)), 399);
    assert_null(json_object_get(klaviyo_properties(body), "shopbell_truncated"));
    json_decref(body);
    body = render(arena, NATIVE_KLAVIYO, "{}", data_with_members(arena, 5000), &size);
    assert_int_equal(json_object_size(klaviyo_properties(body)), 400);
    assert_true(json_is_true(json_object_get(klaviyo_properties(body), "shopbell_truncated")));
    json_decref(body);
    arena_destroy(arena);
}

static void hubspot_takes_50_properties(void **state)
{
    (void)state;
    struct arena *arena = arena_create((size_t)16 << 20);
    size_t size = 0;
    json_t *body = render(arena, NATIVE_HUBSPOT, "{\"event\":\"pe1_x\"}",
                          data_with_members(arena, 200), &size);
    assert_int_equal(json_object_size(json_object_get(body, "properties")), 50);
    json_decref(body);
    arena_destroy(arena);
}

static void customerio_takes_requests_under_32_kb(void **state)
{
    (void)state;
    struct arena *arena = arena_create((size_t)16 << 20);
    size_t size = 0;
    json_t *body = render(arena, NATIVE_CUSTOMERIO, "{\"site_id\":\"s\"}",
                          data_with_members(arena, 5000), &size);
    assert_true(size < 32000);
    json_decref(body);
    body = render(arena, NATIVE_CUSTOMERIO, "{\"site_id\":\"s\"}", data_with_text(arena, 200000),
                  &size);
    assert_true(size < 32000);
    json_decref(body);
    arena_destroy(arena);
}

static void mailchimp_takes_about_a_thousand_characters(void **state)
{
    (void)state;
    struct arena *arena = arena_create((size_t)16 << 20);
    size_t size = 0;
    json_t *body = render(arena, NATIVE_MAILCHIMP, "{\"data_center\":\"us6\",\"list\":\"a1\"}",
                          data_with_members(arena, 400), &size);
    size_t characters = 0;
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(json_object_get(body, "properties"), key, value)
    {
        assert_true(json_is_string(value));
        characters += strlen(key) + json_string_length(value);
    }
    assert_true(characters <= 1000);
    json_decref(body);
    arena_destroy(arena);
}

static void deep_and_broken_data_is_survived(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",         "null",    "[1,2]",    "{",
        "{\"a\"",   "{\"a\":", "{\"a\":}", "{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":{\"f\":1}}}}}}",
        "\"text\"",
    };
    struct arena *arena = arena_create((size_t)16 << 20);
    for (int format = NATIVE_NONE + 1; format < NATIVE_COUNT; format++) {
        for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
            size_t size = 0;
            json_t *body = render(arena, (enum native_format)format,
                                  "{\"event\":\"pe1_x\",\"list\":\"a1\",\"data_center\":\"us6\"}",
                                  str_from_z(rows[i]), &size);
            json_decref(body);
        }
    }
    arena_destroy(arena);
}

/* What is in a list is what is sent alone, whose bytes are not touched. */
static void a_list_holds_what_is_sent_alone(void **state)
{
    (void)state;
    struct arena *arena = arena_create(1 << 20);
    struct native_rendition call = { .target = STR("untouched") };
    const struct str braze[] = { STR("{\"events\":[{\"name\":\"a]}\"}]}"),
                                 STR("{\"events\":[{\"name\":\"b\"}]}") };
    const struct str customerio[] = { STR("{\"type\":\"person\"}"), STR("{\"n\":2}") };
    assert_true(native_join(arena, native_bulk(NATIVE_BRAZE), braze, 2, &call));
    assert_str_equal(call.target, STR(""));
    assert_str_equal(call.body, STR("{\"events\":[{\"name\":\"a]}\"},{\"name\":\"b\"}]}"));
    assert_true(native_join(arena, native_bulk(NATIVE_BRAZE), braze, 1, &call));
    assert_str_equal(call.body, braze[0]);
    assert_true(native_join(arena, native_bulk(NATIVE_CUSTOMERIO), customerio, 2, &call));
    assert_str_equal(call.target, STR("/api/v2/batch"));
    assert_str_equal(call.body, STR("{\"batch\":[{\"type\":\"person\"},{\"n\":2}]}"));
    for (int format = NATIVE_NONE; format < NATIVE_COUNT; format++) {
        bool has_lists = format == NATIVE_BRAZE || format == NATIVE_CUSTOMERIO;
        assert_int_equal(native_bulk((enum native_format)format) != NULL, has_lists);
    }
    struct arena *small = arena_create(32);
    assert_false(native_join(small, native_bulk(NATIVE_CUSTOMERIO), customerio, 2, &call));
    arena_destroy(small);
    arena_destroy(arena);
}

static void a_full_arena_renders_nothing(void **state)
{
    (void)state;
    struct arena *scratch = arena_create(1 << 20);
    struct str data = data_with_text(scratch, 100000);
    struct native_rendition rendition = { .target = STR("untouched") };
    struct native_notification notification = { .topic = STR("x.y"),
                                                .email = STR("a@b.c"),
                                                .data_json = data };
    struct arena *arena = arena_create(4096);
    assert_int_equal(native_render(arena, NATIVE_KLAVIYO, STR("{}"), &notification, &rendition),
                     NATIVE_NO_MEMORY);
    assert_str_equal(rendition.target, STR("untouched"));
    arena_destroy(arena);
    arena_destroy(scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_esp_has_its_address_and_shows_the_key),
        cmocka_unit_test(klaviyo_says_its_revision),
        cmocka_unit_test(a_target_is_of_the_same_host),
        cmocka_unit_test(only_esps_have_a_name_here),
        cmocka_unit_test(settings_hold_nothing_that_leads_elsewhere),
        cmocka_unit_test(a_key_is_one_word),
        cmocka_unit_test(answers_mean_what_each_esp_means),
        cmocka_unit_test(a_probe_tells_a_bad_key_from_a_bad_day),
        cmocka_unit_test(klaviyo_takes_texts_of_100_kb),
        cmocka_unit_test(klaviyo_takes_400_properties),
        cmocka_unit_test(hubspot_takes_50_properties),
        cmocka_unit_test(customerio_takes_requests_under_32_kb),
        cmocka_unit_test(mailchimp_takes_about_a_thousand_characters),
        cmocka_unit_test(deep_and_broken_data_is_survived),
        cmocka_unit_test(a_list_holds_what_is_sent_alone),
        cmocka_unit_test(a_full_arena_renders_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
