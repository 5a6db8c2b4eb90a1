#include "api/document.h"

#include <stdarg.h>

#include <jansson.h>

#include "base/instant.h"
#include "base/limits.h"

/*
 * Request documents.
 *
 * Problem: every field of every request must be checked for its type and
 * range, unknown ones refused with a suggestion, and the answer must point at
 * the place. Checked one by one that is five lines of error handling a field.
 * So a document remembers its first fault, and a reader reads on as if nothing
 * had happened: the rest of a faulty document is read as absent. Depth is
 * limited before jansson sees the text, since its parser recurses.
 */

/* 0.07 * 100 is not 7: what a double adds to a number of two decimals is less. */
#define HUNDREDTH_NOISE 1e-6

bool document_is_shallow(struct str body)
{
    size_t depth = 0;
    bool in_text = false;
    for (size_t i = 0; i < body.size; i++) {
        char c = body.data[i];
        if (in_text) {
            if (c == '\\') {
                i++;
            } else if (c == '"') {
                in_text = false;
            }
        } else if (c == '"') {
            in_text = true;
        } else if (c == '{' || c == '[') {
            depth++;
            if (depth > LIMIT_JSON_DEPTH) {
                return false;
            }
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return true;
}

struct json_t *document_parse(struct str body, struct problem *problem)
{
    if (!document_is_shallow(body)) {
        (void)problem_set(problem, STATUS_INVALID, "malformed-json",
                          "the document is nested more than %u deep", LIMIT_JSON_DEPTH);
        return NULL;
    }
    json_error_t error;
    json_t *root = json_loadb(body.data, body.size, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        (void)problem_set(problem, STATUS_INVALID, "malformed-json", "line %d, column %d: %s",
                          error.line, error.column, error.text);
    }
    return root;
}

static json_t *tree_of(struct str body, struct problem *problem)
{
    json_t *root = document_parse(body, problem);
    if (root != NULL && !json_is_object(root)) {
        (void)problem_set(problem, STATUS_INVALID, "malformed-json", "a JSON object is expected");
        json_decref(root);
        return NULL;
    }
    return root;
}

enum status document_open(struct document *document, struct arena *arena, struct str body,
                          struct problem *problem)
{
    json_t *root = str_trim(body).size == 0 ? json_object() : tree_of(body, problem);
    if (root == NULL) {
        return STATUS_INVALID;
    }
    document_wrap(document, arena, root, problem);
    return STATUS_OK;
}

void document_wrap(struct document *document, struct arena *arena, struct json_t *root_taken,
                   struct problem *problem)
{
    *document = (struct document){
        .root = root_taken, .arena = arena, .problem = problem, .status = STATUS_OK
    };
}

void document_close(struct document *document)
{
    json_decref(document->root);
    document->root = NULL;
}

static json_t *member(const struct document *document, const char *name)
{
    if (document->status != STATUS_OK) {
        return NULL;
    }
    json_t *value = json_object_get(document->root, name);
    return json_is_null(value) ? NULL : value;
}

bool document_open_member(struct document *document, const char *name, struct document *out_member)
{
    json_t *value = member(document, name);
    if (value == NULL) {
        return false;
    }
    if (!json_is_object(value)) {
        document_fail(document, name, "invalid-field", "%s is an object", name);
        return false;
    }
    document_wrap(out_member, document->arena, json_incref(value), document->problem);
    return true;
}

void document_close_member(struct document *document, const char *name, struct document *member)
{
    if (document->status == STATUS_OK && member->status != STATUS_OK) {
        char within[PROBLEM_POINTER_SIZE];
        document->status = member->status;
        (void)snprintf(within, sizeof(within), "%s", document->problem->pointer);
        problem_point(document->problem, "#/%s%s", name, within[0] != '\0' ? within + 1 : "");
    }
    document_close(member);
}

void document_fail(struct document *document, const char *name, const char *type,
                   const char *format, ...)
{
    if (document->status != STATUS_OK) {
        return;
    }
    char detail[PROBLEM_DETAIL_SIZE];
    va_list list;
    va_start(list, format);
    int size = vsnprintf(detail, sizeof(detail), format, list);
    va_end(list);
    document->status =
        problem_set(document->problem, STATUS_INVALID, type, "%s", size >= 0 ? detail : "");
    problem_point(document->problem, "#/%s", name);
}

void document_allow(struct document *document, const char *const *names, size_t count)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(document->root, key, value)
    {
        bool known = false;
        for (size_t i = 0; i < count && !known; i++) {
            known = str_equal_z(str_from_z(key), names[i]);
        }
        if (!known) {
            const char *nearest = str_nearest(str_from_z(key), names, count);
            document_fail(document, key, "unknown-field",
                          nearest != NULL ? "no field is called \"%.60s\"; did you mean \"%s\"?"
                                          : "no field is called \"%.60s\"",
                          key, nearest);
            return;
        }
    }
}

bool document_has(const struct document *document, const char *name)
{
    return member(document, name) != NULL;
}

void document_need(struct document *document, const char *name)
{
    if (document->status == STATUS_OK && !document_has(document, name)) {
        document_fail(document, name, "invalid-field", "%s is needed", name);
    }
}

static struct str text_of(struct document *document, const json_t *value)
{
    struct str text = { json_string_value(value), json_string_length(value) };
    struct str copy = str_dup(document->arena, text);
    if (copy.data == NULL && text.size > 0) {
        document->status = problem_set(document->problem, STATUS_LIMIT, "limit-reached",
                                       "the document is too big");
    }
    return copy;
}

struct str document_text(struct document *document, const char *name, size_t bytes_max)
{
    const json_t *value = member(document, name);
    if (value == NULL) {
        return (struct str){ NULL, 0 };
    }
    if (!json_is_string(value)) {
        document_fail(document, name, "invalid-field", "%s is a string", name);
    } else if (json_string_length(value) > bytes_max) {
        document_fail(document, name, "invalid-field", "%s has at most %zu bytes", name, bytes_max);
    } else {
        return text_of(document, value);
    }
    return (struct str){ NULL, 0 };
}

bool document_bool(struct document *document, const char *name, bool otherwise)
{
    const json_t *value = member(document, name);
    if (value == NULL) {
        return otherwise;
    }
    if (!json_is_boolean(value)) {
        document_fail(document, name, "invalid-field", "%s is true or false", name);
        return otherwise;
    }
    return json_is_true(value);
}

int64_t document_i64(struct document *document, const char *name, int64_t otherwise, int64_t least,
                     int64_t most)
{
    const json_t *value = member(document, name);
    if (value == NULL) {
        return otherwise;
    }
    int64_t number = json_is_integer(value) ? json_integer_value(value) : least - 1;
    if (!json_is_integer(value) || number < least || number > most) {
        document_fail(document, name, "invalid-field", "%s is a whole number from %lld to %lld",
                      name, (long long)least, (long long)most);
        return otherwise;
    }
    return number;
}

int64_t document_hundredths(struct document *document, const char *name, int64_t otherwise,
                            int64_t most)
{
    const json_t *value = member(document, name);
    if (value == NULL) {
        return otherwise;
    }
    double scaled = json_is_number(value) ? json_number_value(value) * 100 : -1;
    if (scaled < 0 || scaled > (double)most ||
        scaled - (double)(int64_t)(scaled + 0.5) > HUNDREDTH_NOISE ||
        (double)(int64_t)(scaled + 0.5) - scaled > HUNDREDTH_NOISE) {
        document_fail(document, name, "invalid-field",
                      "%s is a number from 0 to %lld with at most two decimals", name,
                      (long long)most / 100);
        return otherwise;
    }
    return (int64_t)(scaled + 0.5);
}

int64_t document_duration(struct document *document, const char *name, int64_t otherwise,
                          int64_t least, int64_t most)
{
    if (!document_has(document, name)) {
        return otherwise;
    }
    struct str text = document_text(document, name, 24);
    if (document->status != STATUS_OK) {
        return otherwise;
    }
    int64_t ms = 0;
    if (!duration_parse(text, false, &ms)) {
        document_fail(document, name, "invalid-field",
                      "%s is a duration like \"90s\", \"30m\", \"24h\" or \"7d\"", name);
        return otherwise;
    }
    if (ms < least || ms > most) {
        char low[32];
        char high[32];
        duration_format(least, low);
        duration_format(most, high);
        document_fail(document, name, "invalid-field", "%s lies between %s and %s", name, low,
                      high);
        return otherwise;
    }
    return ms;
}

int64_t document_instant(struct document *document, const char *name)
{
    if (!document_has(document, name)) {
        return INSTANT_NONE;
    }
    struct str text = document_text(document, name, 64);
    int64_t ms = INSTANT_NONE;
    if (document->status == STATUS_OK && !instant_parse(text, true, &ms, NULL)) {
        document_fail(document, name, "invalid-field",
                      "%s is an instant with an offset, like \"2026-11-22T14:03:07Z\"", name);
        return INSTANT_NONE;
    }
    return ms;
}

size_t document_texts(struct document *document, const char *name, size_t count_max,
                      struct str **out_texts)
{
    const json_t *value = member(document, name);
    if (value == NULL) {
        return 0;
    }
    if (!json_is_array(value) || json_array_size(value) > count_max) {
        document_fail(document, name, "invalid-field", "%s is a list of at most %zu strings", name,
                      count_max);
        return 0;
    }
    size_t count = json_array_size(value);
    struct str *texts = ARENA_NEW_ARRAY(document->arena, count, struct str);
    for (size_t i = 0; texts != NULL && i < count; i++) {
        const json_t *item = json_array_get(value, i);
        if (!json_is_string(item) || json_string_length(item) > LIMIT_TEXT_BYTES) {
            document_fail(document, name, "invalid-field", "%s[%zu] is not a string", name, i);
            return 0;
        }
        texts[i] = text_of(document, item);
    }
    *out_texts = texts;
    return texts != NULL ? count : 0;
}

static struct str dump(struct arena *arena, const json_t *value)
{
    size_t flags = JSON_COMPACT | JSON_ENCODE_ANY;
    size_t size = json_dumpb(value, NULL, 0, flags);
    char *text = arena_alloc(arena, size);
    if (text == NULL || size == 0) {
        return (struct str){ NULL, 0 };
    }
    (void)json_dumpb(value, text, size, flags);
    return (struct str){ text, size };
}

struct str document_object(struct document *document, const char *name)
{
    const json_t *value = member(document, name);
    if (value == NULL) {
        return STR("{}");
    }
    if (!json_is_object(value)) {
        document_fail(document, name, "invalid-field", "%s is an object", name);
        return STR("{}");
    }
    return dump(document->arena, value);
}

struct str document_name(struct document *document, const char *name)
{
    document_need(document, name);
    struct str text = document_text(document, name, LIMIT_NAME_BYTES);
    if (document->status != STATUS_OK) {
        return text;
    }
    bool valid = text.size > 0 && text.data[0] >= 'a' && text.data[0] <= 'z';
    for (size_t i = 0; valid && i < text.size; i++) {
        char c = text.data[i];
        valid = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    }
    if (!valid) {
        document_fail(document, name, "invalid-field",
                      "%s begins with a letter and has lower-case letters, digits and _ only",
                      name);
    }
    return text;
}

/* RFC 7396, section 2. Depth is bounded by document_is_shallow. */
static void patch_object(json_t *target, json_t *patch)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(patch, key, value)
    {
        if (json_is_null(value)) {
            json_object_del(target, key);
        } else if (json_is_object(value)) {
            json_t *inner = json_object_get(target, key);
            if (!json_is_object(inner)) {
                json_object_set_new(target, key, json_object());
                inner = json_object_get(target, key);
            }
            patch_object(inner, value);
        } else {
            json_object_set(target, key, value);
        }
    }
}

enum status document_merge_patch(struct arena *arena, struct str target, struct str patch,
                                 struct str *out_json, struct problem *problem)
{
    struct document CLEANUP(document_close) to = { .root = NULL };
    struct document CLEANUP(document_close) by = { .root = NULL };
    enum status status = document_open(&by, arena, patch, problem);
    if (status == STATUS_OK) {
        status = document_open(&to, arena, target, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    patch_object(to.root, by.root);
    struct str json = dump(arena, to.root);
    if (json.data == NULL) {
        return problem_set(problem, STATUS_LIMIT, "limit-reached", "the document is too big");
    }
    *out_json = json;
    return STATUS_OK;
}
