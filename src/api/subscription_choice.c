#include <jansson.h>

#include "base/instant.h"
#include "base/limits.h"
#include "subscription_priv.h"

/*
 * What of a message a subscription wants, in which form, when, and how much at
 * once: the members that choose, as they are given and kept.
 *
 * Here stands what each may look like; what it may name (a property, a tag, a
 * field of the profile) is asked of the rule language where that is known. A
 * member that is absent has its neutral value, so that a subscription without
 * any of them gets every message at once in the default form.
 */

enum {
    FILTER_BYTES_MAX = 4096, /* as a rule's text */
    FIELD_NAMES_MAX = 64,
    MAP_MEMBERS_MAX = 64,
    SETTINGS_MEMBERS_MAX = 16,
    BATCH_MAX = 1000,
    RATE_MAX = 100000,
    SIGNATURES_MAX = 2,
};

static const char *const FORMATS[] = {
    "shopbell",  "cloudevents", "cloudevents_binary", "klaviyo", "customerio", "braze",
    "mailchimp", "brevo",       "iterable",           "hubspot",
};

static const char *const CHANNELS[] = { "email", "sms", "push", "tracking", "sale" };
static const char *const ORDERINGS[] = { "none", "profile" };
static const char *const FIELD_SETS[] = { "default", "thin", "full", "changed" };
static const char *const SCHEMES[] = { "v1", "v1a" };

static bool is_one_of(struct str text, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal_z(text, words[i])) {
            return true;
        }
    }
    return false;
}

static void fail_word(struct document *document, const char *name, struct str text,
                      const char *const *words, size_t count)
{
    struct str shown = str_take_text(text, 60);
    const char *nearest = str_nearest(shown, words, count);
    char list[160] = "";
    size_t size = 0;
    for (size_t i = 0; i < count && size < sizeof(list); i++) {
        int added = snprintf(list + size, sizeof(list) - size, "%s%s", i > 0 ? ", " : "", words[i]);
        size += added > 0 ? (size_t)added : 0;
    }
    document_fail(document, name, "invalid-field",
                  nearest != NULL ? "\"%.*s\" is none of %s; did you mean \"%s\"?"
                                  : "\"%.*s\" is none of %s",
                  STR_ARG(shown), list, nearest);
}

/* One of the words; `otherwise` when absent. */
static struct str read_word(struct document *document, const char *name, struct str otherwise,
                            const char *const *words, size_t count)
{
    if (!document_has(document, name)) {
        return otherwise;
    }
    struct str text = document_text(document, name, LIMIT_TEXT_BYTES);
    if (document->status == STATUS_OK && !is_one_of(text, words, count)) {
        fail_word(document, name, text, words, count);
    }
    return text;
}

static struct str read_fields(struct document *document)
{
    const json_t *value = json_object_get(document->root, "fields");
    if (!json_is_array(value)) {
        return read_word(document, "fields", STR("default"), FIELD_SETS, ARRAY_COUNT(FIELD_SETS));
    }
    struct str *names = NULL;
    size_t count = document_texts(document, "fields", FIELD_NAMES_MAX, &names);
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, document->arena, RESOURCE_BYTES_MAX);
    jsonw_begin(&json, &buf);
    jsonw_open_array(&json);
    for (size_t i = 0; i < count; i++) {
        jsonw_str(&json, names[i]);
    }
    jsonw_close_array(&json);
    return buf_str(&buf);
}

static struct str read_members(struct document *document, const char *name, size_t count_max)
{
    struct str object = document_object(document, name);
    if (document->status == STATUS_OK &&
        json_object_size(json_object_get(document->root, name)) > count_max) {
        document_fail(document, name, "invalid-field", "%s has at most %zu members", name,
                      count_max);
    }
    return object;
}

static void read_batch(struct document *document, struct subscription_row *row)
{
    static const char *const members[] = { "max", "wait" };
    struct document inner;
    row->batch_max = 0;
    row->batch_wait_ms = 0;
    if (!document_open_member(document, "batch", &inner)) {
        return;
    }
    document_allow(&inner, members, ARRAY_COUNT(members));
    document_need(&inner, "max");
    row->batch_max = (int32_t)document_i64(&inner, "max", 1, 2, BATCH_MAX);
    row->batch_wait_ms =
        document_duration(&inner, "wait", INSTANT_SECOND_MS, INSTANT_SECOND_MS, INSTANT_DAY_MS);
    document_close_member(document, "batch", &inner);
}

static void read_rate(struct document *document, struct subscription_row *row)
{
    static const char *const members[] = { "count", "per" };
    struct document inner;
    row->rate_count = 0;
    row->rate_per_ms = 0;
    if (!document_open_member(document, "rate_limit", &inner)) {
        return;
    }
    document_allow(&inner, members, ARRAY_COUNT(members));
    document_need(&inner, "count");
    row->rate_count = (int32_t)document_i64(&inner, "count", 1, 1, RATE_MAX);
    row->rate_per_ms =
        document_duration(&inner, "per", INSTANT_SECOND_MS, INSTANT_SECOND_MS, INSTANT_DAY_MS);
    document_close_member(document, "rate_limit", &inner);
}

static void read_signature(struct document *document, struct subscription_row *row)
{
    static const struct str v1[] = { { "v1", 2 } };
    row->signature = v1;
    row->signature_count = ARRAY_COUNT(v1);
    if (!document_has(document, "signature")) {
        return;
    }
    struct str *schemes = NULL;
    size_t count = document_texts(document, "signature", SIGNATURES_MAX, &schemes);
    for (size_t i = 0; i < count; i++) {
        if (!is_one_of(schemes[i], SCHEMES, ARRAY_COUNT(SCHEMES))) {
            fail_word(document, "signature", schemes[i], SCHEMES, ARRAY_COUNT(SCHEMES));
        }
    }
    bool is_twice = count == SIGNATURES_MAX && str_equal(schemes[0], schemes[1]);
    if (document->status == STATUS_OK && (count == 0 || is_twice)) {
        document_fail(document, "signature", "invalid-field",
                      "signature is [\"v1\"], [\"v1a\"] or both");
    }
    row->signature = schemes;
    row->signature_count = count;
}

void subscription_read_choice(struct document *document, struct subscription_row *row)
{
    row->filter = str_trim(document_text(document, "filter", FILTER_BYTES_MAX));
    row->fields = read_fields(document);
    row->format = read_word(document, "format", STR("shopbell"), FORMATS, ARRAY_COUNT(FORMATS));
    row->map_json = read_members(document, "map", MAP_MEMBERS_MAX);
    row->settings_json = read_members(document, "settings", SETTINGS_MEMBERS_MAX);
    row->channel =
        read_word(document, "channel", (struct str){ NULL, 0 }, CHANNELS, ARRAY_COUNT(CHANNELS));
    row->ordering = read_word(document, "ordering", STR("none"), ORDERINGS, ARRAY_COUNT(ORDERINGS));
    read_batch(document, row);
    read_rate(document, row);
    row->recheck = document_bool(document, "recheck", false);
    read_signature(document, row);
}
