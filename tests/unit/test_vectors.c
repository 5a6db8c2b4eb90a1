#include "payload.h"
#include "verify/verify.h"

/*
 * Known answers of the vendors' own SDKs and documentation (vectors.json),
 * through the spec that the platform itself declares. To add a platform: a row.
 */

enum {
    HEADERS_MAX = 8,
};

static const struct {
    const char *scheme; /* what the vector's scheme begins with */
    const char *platform;
    size_t count;      /* of its vectors; all must be there */
    const char *label; /* of the secret, where the platform looks at it */
} SCHEMES[] = {
    { "shopify:", "shopify", 3, "" },      { "standard-webhooks v1:", "standard_webhooks", 2, "" },
    { "square:", "square", 3, "" },        { "stripe", "stripe", 6, "" },
    { "shopware", "shopware", 2, "shop" },
};

struct vector {
    const json_t *tree;
    const char *name;
    struct inbound inbound;
    struct inbound_header headers[HEADERS_MAX];
    struct source source;
    struct source_secret secret;
};

static struct str text_of(const struct vector *vector, const char *key)
{
    const json_t *value = json_object_get(vector->tree, key);
    return (struct str){ json_string_value(value), json_string_length(value) };
}

/* A method and an address, where the vector says them. */
static void read_url(struct vector *vector)
{
    struct str path = { NULL, 0 };
    vector->inbound.url = text_of(vector, "notification_url");
    vector->inbound.is_get = str_equal(text_of(vector, "method"), STR("GET"));
    (void)str_split(text_of(vector, "url"), '?', &path, &vector->inbound.query);
}

static void read_vector(struct arena *arena, const json_t *tree, struct vector *vector)
{
    *vector = (struct vector){ .tree = tree };
    vector->name = str_dup_z(arena, text_of(vector, "name"));
    const char *name = NULL;
    json_t *value = NULL;
    size_t count = 0;
    json_object_foreach(json_object_get(tree, "headers"), name, value)
    {
        assert_true(count < HEADERS_MAX);
        vector->headers[count++] =
            (struct inbound_header){ str_from_z(name),
                                     { json_string_value(value), json_string_length(value) } };
    }
    int64_t now_s = 0;
    struct str file = text_of(vector, "body_file");
    bool has_now = border_integer(tree, "now", &now_s);
    vector->inbound = (struct inbound){
        .headers = vector->headers,
        .header_count = count,
        .body =
            file.size > 0 ? payload_read(arena, str_dup_z(arena, file)) : text_of(vector, "body"),
        .received_at_ms = has_now ? now_s * 1000 : PAYLOAD_NOW_MS,
    };
    read_url(vector);
    vector->secret = (struct source_secret){ .value = text_of(vector, "secret"),
                                             .expires_at_ms = INSTANT_NEVER };
    vector->source = (struct source){ .secrets = &vector->secret, .secret_count = 1 };
}

static enum signature_verdict judge(struct arena *arena, const char *platform,
                                    const struct vector *vector)
{
    const struct platform *own = platform_find(str_from_z(platform));
    assert_non_null(own);
    return verify_inbound(platform_signature(own, &vector->source), &vector->source,
                          &vector->inbound, arena, NULL)
        .verdict;
}

static void agrees_with_the_vendors(void **state)
{
    (void)state;
    struct arena *arena = arena_create(16u * 1024 * 1024);
    struct problem problem;
    json_t *root = border_parse(payload_read(arena, "vectors.json"), &problem);
    assert_non_null(root);
    for (size_t i = 0; i < ARRAY_COUNT(SCHEMES); i++) {
        size_t checked = 0;
        size_t j = 0;
        const json_t *tree = NULL;
        json_array_foreach(json_object_get(root, "vectors"), j, tree)
        {
            struct vector vector;
            if (!str_starts_with(border_text(tree, "scheme"), str_from_z(SCHEMES[i].scheme))) {
                continue;
            }
            read_vector(arena, tree, &vector);
            vector.secret.label = str_from_z(SCHEMES[i].label);
            enum signature_verdict verdict = judge(arena, SCHEMES[i].platform, &vector);
            assert_row((verdict == SIGNATURE_VALID) == border_is_true(tree, "expect_valid"),
                       vector.name);
            checked++;
            /* One byte more, and it is no longer what was signed. */
            vector.inbound.body = str_printf(arena, "%.*s ", STR_ARG(vector.inbound.body));
            vector.inbound.query = str_printf(arena, "%.*s+", STR_ARG(vector.inbound.query));
            assert_row(judge(arena, SCHEMES[i].platform, &vector) != SIGNATURE_VALID, vector.name);
        }
        assert_row(checked == SCHEMES[i].count, SCHEMES[i].scheme);
    }
    border_free(root);
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(agrees_with_the_vendors) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
