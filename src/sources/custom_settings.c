#include <string.h>

#include "base/instant.h"
#include "base/limits.h"
#include "custom_priv.h"
#include "sources/json_border.h"

/*
 * The settings of a custom source, checked when they are written and compiled once,
 * so that a webhook walks pointers and nothing else.
 *
 * A value is a JSON pointer ("/customer/email"), a constant ("=EUR"), or an object
 * that says more: {"pointer":"/state","words":{"4":"paid"},"default":"pending"}.
 * What is wrong is said with a pointer into the settings.
 */

enum {
    EVENTS_MAX = 64,
    MEMBERS_MAX = 64,
    WORDS_MAX = 64,
    POINTER_BYTES_MAX = 256,
    TOLERANCE_MAX_MS = 3600 * 1000,
};

struct reading {
    struct arena *arena;
    struct problem *problem;
    enum status status;
};

static void fail(struct reading *reading, const char *path, const char *detail)
{
    if (reading->status == STATUS_OK) {
        reading->status =
            problem_set(reading->problem, STATUS_INVALID, "invalid-field", "%s", detail);
        problem_point(reading->problem, "#/settings%s", path);
    }
}

/* A place within the settings; "" when the arena is full. */
static const char *join(struct reading *reading, const char *path, const char *key)
{
    const char *joined = str_dup_z(reading->arena, str_printf(reading->arena, "%s/%s", path, key));
    return joined != NULL ? joined : "";
}

static void fail_unknown(struct reading *reading, const char *path, const char *key,
                         const char *const *known, size_t known_count)
{
    struct str name = str_take_text(str_from_z(key), LIMIT_NAME_BYTES);
    if (reading->status == STATUS_OK) {
        reading->status = problem_set(reading->problem, STATUS_INVALID, "unknown-field",
                                      "\"%.*s\" is not known here", STR_ARG(name));
        problem_suggest(reading->problem, str_nearest(name, known, known_count));
        problem_point(reading->problem, "#/settings%s/%.*s", path, STR_ARG(name));
    }
}

static void allow(struct reading *reading, json_t *object, const char *path,
                  const char *const *known, size_t known_count)
{
    const char *key = NULL;
    json_t *value = NULL;
    if (!json_is_object(object)) {
        fail(reading, path, "an object is needed");
        return;
    }
    json_object_foreach(object, key, value)
    {
        bool is_known = false;
        for (size_t i = 0; i < known_count; i++) {
            is_known = is_known || strcmp(known[i], key) == 0;
        }
        if (!is_known) {
            fail_unknown(reading, path, key, known, known_count);
        }
    }
}

static struct str take_text(struct reading *reading, const json_t *object, const char *path,
                            const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (value == NULL || json_is_null(value)) {
        return STR("");
    }
    if (!json_is_string(value) || json_string_length(value) > LIMIT_TEXT_BYTES) {
        fail(reading, join(reading, path, key), "text is needed");
        return STR("");
    }
    return str_dup(reading->arena,
                   (struct str){ json_string_value(value), json_string_length(value) });
}

static bool is_pointer(struct str text)
{
    return text.size <= POINTER_BYTES_MAX && (text.size == 0 || text.data[0] == '/');
}

static struct str take_pointer(struct reading *reading, const json_t *object, const char *path,
                               const char *key)
{
    struct str text = take_text(reading, object, path, key);
    if (!is_pointer(text)) {
        fail(reading, join(reading, path, key), "a JSON pointer is needed, as in /customer/email");
    }
    return text;
}

/* --- how it signs -------------------------------------------------------------- */

static const struct {
    const char *word;
    enum signature_algorithm algorithm;
} ALGORITHMS[] = {
    { "sha256", SIGNATURE_HMAC_SHA256 },
    { "sha1", SIGNATURE_HMAC_SHA1 },
    { "sha512", SIGNATURE_HMAC_SHA512 },
    { "none", SIGNATURE_BEARER },
};

static const char *header_name(struct reading *reading, const json_t *object, const char *path,
                               const char *key)
{
    struct str text = take_text(reading, object, path, key);
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_';
        if (!is_word || text.size > LIMIT_NAME_BYTES) {
            fail(reading, join(reading, path, key),
                 "the name of a header is needed, as in X-Signature");
            return NULL;
        }
    }
    return text.size > 0 ? str_dup_z(reading->arena, text) : NULL;
}

static void take_tolerance(struct reading *reading, const json_t *object,
                           struct signature_spec *spec)
{
    struct str text = take_text(reading, object, "/signature", "tolerance");
    int64_t ms = 0;
    bool signs_time = spec->headers[0].timestamp != NULL;
    if (text.size == 0) {
        spec->tolerance_ms = signs_time ? 5 * INSTANT_MINUTE_MS : 0;
    } else if (!signs_time || !duration_parse(text, false, &ms) || ms <= 0 ||
               ms > TOLERANCE_MAX_MS) {
        fail(reading, "/signature/tolerance",
             "a duration of at most 1h is needed, beside timestamp_header");
    } else {
        spec->tolerance_ms = ms;
    }
}

static void take_algorithm(struct reading *reading, const json_t *object,
                           struct signature_spec *spec)
{
    struct str algorithm = take_text(reading, object, "/signature", "algorithm");
    struct str encoding = take_text(reading, object, "/signature", "encoding");
    for (size_t i = 0; i < ARRAY_COUNT(ALGORITHMS); i++) {
        if (str_equal_z(algorithm, ALGORITHMS[i].word)) {
            spec->algorithm = ALGORITHMS[i].algorithm;
        }
    }
    if (algorithm.size > 0 && spec->algorithm == 0) {
        fail(reading, "/signature/algorithm", "sha256, sha1, sha512 or none is needed");
    }
    if (spec->algorithm == 0) {
        spec->algorithm = SIGNATURE_HMAC_SHA256;
    }
    spec->encoding = str_equal(encoding, STR("base64")) ? SIGNATURE_BASE64 : SIGNATURE_HEX;
    if (encoding.size > 0 && !str_equal(encoding, STR("base64")) &&
        !str_equal(encoding, STR("hex"))) {
        fail(reading, "/signature/encoding", "hex or base64 is needed");
    }
}

static void take_content(struct reading *reading, const json_t *object, struct signature_spec *spec)
{
    struct str content = take_text(reading, object, "/signature", "content");
    const char *fault = signature_content_fault(content, &spec->headers[0]);
    if (fault != NULL) {
        fail(reading, "/signature/content", fault);
    }
    spec->content = content.size > 0 ? str_dup_z(reading->arena, content) : NULL;
}

static const struct signature_spec *take_signature(struct reading *reading, json_t *settings)
{
    static const char *const KNOWN[] = {
        "algorithm", "encoding",  "header",           "prefix",
        "content",   "id_header", "timestamp_header", "tolerance"
    };
    json_t *object = json_object_get(settings, "signature");
    struct signature_spec *spec = ARENA_NEW(reading->arena, struct signature_spec);
    if (spec == NULL || object == NULL || json_is_null(object)) {
        return NULL; /* the platform's own: X-Signature, hex */
    }
    allow(reading, object, "/signature", KNOWN, ARRAY_COUNT(KNOWN));
    *spec = (struct signature_spec){ .key_form = SIGNATURE_KEY_TEXT, .syntax = SIGNATURE_ALONE };
    take_algorithm(reading, object, spec);
    spec->headers[0] = (struct signature_headers){
        .signature = header_name(reading, object, "/signature", "header"),
        .id = header_name(reading, object, "/signature", "id_header"),
        .timestamp = header_name(reading, object, "/signature", "timestamp_header"),
    };
    if (spec->algorithm != SIGNATURE_BEARER && spec->headers[0].signature == NULL) {
        fail(reading, "/signature/header", "the header that holds the signature is needed");
    }
    struct str prefix = take_text(reading, object, "/signature", "prefix");
    spec->mark = prefix.size > 0 ? str_dup_z(reading->arena, prefix) : NULL;
    take_tolerance(reading, object, spec);
    take_content(reading, object, spec);
    return spec;
}

/* --- values ---------------------------------------------------------------------- */

static void take_words(struct reading *reading, json_t *words, const char *path,
                       struct custom_value *out_value)
{
    struct custom_word *list =
        ARENA_NEW_ARRAY(reading->arena, json_object_size(words) + 1, struct custom_word);
    const char *key = NULL;
    json_t *value = NULL;
    if (list == NULL || !json_is_object(words) || json_object_size(words) > WORDS_MAX) {
        fail(reading, path, "words is an object of at most 64 texts");
        return;
    }
    json_object_foreach(words, key, value)
    {
        if (!json_is_string(value)) {
            fail(reading, path, "words is an object of at most 64 texts");
            return;
        }
        list[out_value->word_count++] = (struct custom_word){
            .from = str_dup(reading->arena, str_from_z(key)),
            .to = str_dup(reading->arena, str_from_z(json_string_value(value))),
        };
    }
    out_value->words = list;
}

static struct custom_value take_value(struct reading *reading, json_t *value, const char *path)
{
    static const char *const KNOWN[] = { "pointer", "words", "default" };
    struct custom_value out = { .word_count = 0 };
    if (json_is_object(value)) {
        allow(reading, value, path, KNOWN, ARRAY_COUNT(KNOWN));
        out.pointer = take_pointer(reading, value, path, "pointer");
        out.otherwise = take_text(reading, value, path, "default");
        if (json_object_get(value, "words") != NULL) {
            take_words(reading, json_object_get(value, "words"), path, &out);
        }
        return out;
    }
    struct str text = { json_is_string(value) ? json_string_value(value) : "",
                        json_is_string(value) ? json_string_length(value) : 0 };
    if (text.size > 1 && text.data[0] == '=') {
        out.literal = str_dup(reading->arena, str_drop(text, 1));
    } else if (text.size > 1 && is_pointer(text)) {
        out.pointer = str_dup(reading->arena, text);
    } else {
        fail(reading, path,
             "a JSON pointer (\"/customer/email\"), a constant (\"=EUR\") or an object with "
             "pointer, words and default is needed");
    }
    return out;
}

/* {"email": value, ...}; `known` NULL: any name. */
static struct custom_members take_members(struct reading *reading, const json_t *event,
                                          const char *path, const char *key,
                                          const char *const *known, size_t known_count)
{
    struct custom_members out = { .count = 0 };
    json_t *object = json_object_get(event, key);
    const char *where = join(reading, path, key);
    if (object == NULL || json_is_null(object)) {
        return out;
    }
    struct custom_member *members =
        ARENA_NEW_ARRAY(reading->arena, json_object_size(object) + 1, struct custom_member);
    if (members == NULL || !json_is_object(object) || json_object_size(object) > MEMBERS_MAX) {
        fail(reading, where, "an object of at most 64 values is needed");
        return out;
    }
    if (known != NULL) {
        allow(reading, object, where, known, known_count);
    }
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(object, name, value)
    {
        members[out.count++] = (struct custom_member){
            .name = str_dup_z(reading->arena, str_from_z(name)),
            .value = take_value(reading, value, join(reading, where, name)),
        };
    }
    out.members = members;
    return out;
}

/* --- events ----------------------------------------------------------------------- */

static const char *const IDENTITIES[] = { "email", "phone", "external_id", "anonymous_id",
                                          "customer_id" };
static const char *const CHANNELS[] = { "email", "sms", "push", "tracking", "sale" };

static void take_products(struct reading *reading, const json_t *event, const char *path,
                          struct custom_event *out)
{
    static const char *const KNOWN[] = { "each", "properties" };
    json_t *products = json_object_get(event, "products");
    const char *where = join(reading, path, "products");
    if (products == NULL || json_is_null(products)) {
        return;
    }
    allow(reading, products, where, KNOWN, ARRAY_COUNT(KNOWN));
    out->products_each = take_pointer(reading, products, where, "each");
    out->product = take_members(reading, products, where, "properties", NULL, 0);
    if (out->products_each.size == 0) {
        fail(reading, where, "each is the pointer to the list of products");
    }
}

static void take_event(struct reading *reading, json_t *event, const char *path,
                       struct custom_event *out)
{
    static const char *const KNOWN[] = { "topic",       "type",       "each",    "id",
                                         "occurred_at", "identities", "traits",  "preferences",
                                         "consent",     "properties", "products" };
    allow(reading, event, path, KNOWN, ARRAY_COUNT(KNOWN));
    struct str type = take_text(reading, event, path, "type");
    if (event_type_from_name(type) == 0) {
        fail(reading, join(reading, path, "type"),
             "an event type is needed, as in order.completed or custom.<name>; GET /v1/topics "
             "lists them");
    }
    *out = (struct custom_event){
        .topic = take_text(reading, event, path, "topic"),
        .type = str_dup_z(reading->arena, type),
        .each = take_pointer(reading, event, path, "each"),
        .identities =
            take_members(reading, event, path, "identities", IDENTITIES, ARRAY_COUNT(IDENTITIES)),
        .properties = take_members(reading, event, path, "properties", NULL, 0),
        .traits = take_members(reading, event, path, "traits", NULL, 0),
        .preferences = take_members(reading, event, path, "preferences", NULL, 0),
        .consent = take_members(reading, event, path, "consent", CHANNELS, ARRAY_COUNT(CHANNELS)),
    };
    static const struct {
        const char *key;
        size_t offset;
    } VALUES[] = { { "id", offsetof(struct custom_event, id) },
                   { "occurred_at", offsetof(struct custom_event, occurred_at) } };
    for (size_t i = 0; i < ARRAY_COUNT(VALUES); i++) {
        json_t *value = json_object_get(event, VALUES[i].key);
        if (value != NULL && !json_is_null(value)) {
            struct custom_value taken =
                take_value(reading, value, join(reading, path, VALUES[i].key));
            memcpy((char *)out + VALUES[i].offset, &taken, sizeof(taken));
        }
    }
    take_products(reading, event, path, out);
}

static struct custom_place take_place(struct reading *reading, json_t *settings, const char *key)
{
    static const char *const KNOWN[] = { "header", "pointer" };
    struct custom_place place = { .header = NULL };
    json_t *object = json_object_get(settings, key);
    const char *path = join(reading, "", key);
    if (object == NULL || json_is_null(object)) {
        return place;
    }
    allow(reading, object, path, KNOWN, ARRAY_COUNT(KNOWN));
    place.header = header_name(reading, object, path, "header");
    place.pointer = take_pointer(reading, object, path, "pointer");
    if ((place.header != NULL) == (place.pointer.size > 0)) {
        fail(reading, path, "either header or pointer is needed");
    }
    return place;
}

static const struct custom_mapping *take_mapping(struct reading *reading, json_t *settings)
{
    json_t *list = json_object_get(settings, "events");
    struct custom_mapping *mapping = ARENA_NEW(reading->arena, struct custom_mapping);
    struct custom_event *events =
        ARENA_NEW_ARRAY(reading->arena, json_array_size(list) + 1, struct custom_event);
    if (mapping == NULL || events == NULL || (list != NULL && !json_is_array(list)) ||
        json_array_size(list) > EVENTS_MAX) {
        fail(reading, "/events", "a list of at most 64 events is needed");
        return NULL;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        char index[24];
        snprintf(index, sizeof(index), "%zu", i);
        take_event(reading, json_array_get(list, i), join(reading, "/events", index), &events[i]);
    }
    *mapping = (struct custom_mapping){
        .topic = take_place(reading, settings, "topic"),
        .id = take_place(reading, settings, "id"),
        .events = events,
        .event_count = json_array_size(list),
    };
    return mapping;
}

enum status custom_parse_settings(struct arena *arena, struct str settings_json,
                                  struct source *source, struct problem *problem)
{
    json_t *settings CLEANUP(border_free_at) = border_parse(settings_json, problem);
    struct reading reading = { .arena = arena, .problem = problem, .status = STATUS_OK };
    const struct signature_spec *spec = take_signature(&reading, settings);
    const struct custom_mapping *mapping = take_mapping(&reading, settings);
    const char **kept = ARENA_NEW_ARRAY(arena, 3, const char *);
    if (reading.status == STATUS_OK && (arena_is_full(arena) || kept == NULL)) {
        return problem_set(problem, STATUS_LIMIT, "limit-reached", "no memory for the settings");
    }
    if (reading.status == STATUS_OK) {
        size_t count = 0;
        if (mapping->topic.header != NULL) {
            kept[count++] = mapping->topic.header;
        }
        if (mapping->id.header != NULL) {
            kept[count++] = mapping->id.header;
        }
        source->signature = spec;
        source->adapter = mapping;
        source->kept_headers = kept;
    }
    return reading.status;
}
