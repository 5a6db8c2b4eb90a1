#include <jansson.h>

#include "base/buf.h"
#include "base/jsonw.h"
#include "base/limits.h"
#include "universal_priv.h"

/*
 * Selectors.
 *
 * A customer is concerned who fits every kind of member that is named, and of a
 * list any entry; regions and postal prefixes both say where, so either will do.
 * A selector that names nobody is refused: what is meant for all says so
 * ("everyone": true), since a feed that lost its regions must not wake a country.
 */

enum {
    PLACES_MAX = 1000, /* the departments of a large country ten times over */
    POSTAL_PREFIX_BYTES_MAX = 16,
    TRAITS_MAX = 10,
    TRAIT_VALUES_MAX = 100,
    SEGMENTS_MAX = 50,
    PRODUCTS_MAX = 1000,
    CATEGORIES_MAX = 100,
    SELECTOR_BYTES_MAX = 64 * 1024,
};

struct selector {
    struct document document;
    struct jsonw json;
    bool names_somebody;
};

typedef bool form_fn(struct str text);

static bool is_text(struct str text)
{
    return text.size > 0;
}

static bool is_short(struct str text)
{
    return text.size > 0 && text.size <= LIMIT_NAME_BYTES;
}

static bool is_postal_prefix(struct str text)
{
    return text.size > 0 && text.size <= POSTAL_PREFIX_BYTES_MAX;
}

/* A list of texts of one form, copied out if it is not empty. */
static void take_list(struct selector *selector, const char *name, size_t count_max,
                      form_fn *has_form, const char *expected)
{
    struct document *document = &selector->document;
    struct str *texts = NULL;
    size_t count = document_texts(document, name, count_max, &texts);
    for (size_t i = 0; i < count; i++) {
        if (!has_form(texts[i])) {
            document_fail(document, name, "invalid-field", "%s[%zu] is not %s", name, i, expected);
            return;
        }
    }
    if (count == 0) {
        return;
    }
    selector->names_somebody = true;
    jsonw_key(&selector->json, name);
    jsonw_open_array(&selector->json);
    for (size_t i = 0; i < count; i++) {
        jsonw_str(&selector->json, texts[i]);
    }
    jsonw_close_array(&selector->json);
}

/* {"loyalty_tier": ["gold", "silver"]}: of each trait any of the values. */
static void take_traits(struct selector *selector)
{
    struct selector inner = { .json = selector->json };
    const char *name = NULL;
    json_t *values = NULL;
    if (!document_open_member(&selector->document, "traits", &inner.document)) {
        return;
    }
    if (json_object_size(inner.document.root) > TRAITS_MAX) {
        document_fail(&selector->document, "traits", "invalid-field",
                      "traits has at most %d members", TRAITS_MAX);
    } else if (json_object_size(inner.document.root) > 0) {
        jsonw_key(&inner.json, "traits");
        jsonw_open(&inner.json);
        json_object_foreach(inner.document.root, name, values)
        {
            if (!is_short(str_from_z(name)) || json_array_size(values) == 0) {
                document_fail(&inner.document, name, "invalid-field",
                              "a trait's name of at most %u bytes, and a list of its values",
                              LIMIT_NAME_BYTES);
            }
            take_list(&inner, name, TRAIT_VALUES_MAX, is_text, "a value");
        }
        jsonw_close(&inner.json);
        selector->json = inner.json;
        selector->names_somebody = true;
    }
    document_close_member(&selector->document, "traits", &inner.document);
}

static void take_everyone(struct selector *selector)
{
    struct document *document = &selector->document;
    if (!document_bool(document, "everyone", false)) {
        return;
    }
    if (selector->names_somebody) {
        document_fail(document, "everyone", "invalid-field",
                      "everyone is named, so nobody else can be");
        return;
    }
    selector->names_somebody = true;
    jsonw_put_bool(&selector->json, "everyone", true);
}

struct str universal_read_selector(struct document *document)
{
    static const char *const members[] = { "regions",  "postal_prefixes", "traits",  "segments",
                                           "products", "categories",      "everyone" };
    struct selector selector = { .names_somebody = false };
    struct buf buf;
    document_need(document, "selector");
    if (!document_open_member(document, "selector", &selector.document)) {
        return STR("{}");
    }
    buf_init(&buf, document->arena, SELECTOR_BYTES_MAX);
    jsonw_begin(&selector.json, &buf);
    jsonw_open(&selector.json);
    document_allow(&selector.document, members, ARRAY_COUNT(members));
    take_list(&selector, "regions", PLACES_MAX, is_short, "a region, as in \"FR-75\"");
    take_list(&selector, "postal_prefixes", PLACES_MAX, is_postal_prefix,
              "the first characters of a postal code, at most 16");
    take_traits(&selector);
    take_list(&selector, "segments", SEGMENTS_MAX, is_short, "a segment's name");
    take_list(&selector, "products", PRODUCTS_MAX, is_text, "a product's id");
    take_list(&selector, "categories", CATEGORIES_MAX, is_text, "a category");
    take_everyone(&selector);
    jsonw_close(&selector.json);
    document_close_member(document, "selector", &selector.document);
    if (document->status == STATUS_OK && !selector.names_somebody) {
        document_fail(document, "selector", "invalid-field",
                      "selector names nobody; \"everyone\": true concerns all");
    }
    if (document->status == STATUS_OK && buf.failed) {
        document_fail(document, "selector", "invalid-field", "selector has at most %d bytes",
                      SELECTOR_BYTES_MAX);
    }
    return buf.failed ? STR("{}") : buf_str(&buf);
}
