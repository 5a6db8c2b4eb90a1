#include "deliver/rejected.h"

#include <stdlib.h>

#include <jansson.h>

#include "deliver/answer_text.h"

/*
 * A stranger's JSON: what does not have the form of a rejection is none. An entry
 * without "retry" comes again, for a message too many is repaired by its id and one too
 * few by nobody. The reason goes into the log of attempts as text of at most
 * REASON_BYTES_MAX printable bytes.
 */

enum {
    REASON_BYTES_MAX = 200,
};

struct entry {
    struct rejection rejection;
    char reason[REASON_BYTES_MAX];
};

struct rejected {
    size_t count;
    struct entry entries[]; /* by id */
};

static int compare_entry(const void *a, const void *b)
{
    const struct entry *left = a;
    const struct entry *right = b;
    return id_compare(left->rejection.id, right->rejection.id);
}

static bool entry_read(json_t *object, struct entry *out_entry)
{
    json_t *id = json_object_get(object, "id");
    if (!json_is_string(id) ||
        !id_parse((struct str){ json_string_value(id), json_string_length(id) },
                  &out_entry->rejection.id)) {
        return false;
    }
    json_t *reason = json_object_get(object, "reason");
    struct str text = { json_string_value(reason), json_string_length(reason) };
    size_t size = json_is_string(reason)
                      ? answer_text_clean(text, out_entry->reason, sizeof(out_entry->reason))
                      : 0;
    out_entry->rejection.reason.size = size;
    out_entry->rejection.retry = !json_is_false(json_object_get(object, "retry"));
    return true;
}

static struct rejected *read_array(json_t *array)
{
    size_t size = json_array_size(array);
    struct rejected *rejected = calloc(1, sizeof(*rejected) + size * sizeof(struct entry));
    for (size_t i = 0; rejected != NULL && i < size; i++) {
        if (entry_read(json_array_get(array, i), &rejected->entries[rejected->count])) {
            rejected->count++;
        }
    }
    if (rejected != NULL) {
        qsort(rejected->entries, rejected->count, sizeof(struct entry), compare_entry);
        for (size_t i = 0; i < rejected->count; i++) {
            rejected->entries[i].rejection.reason.data = rejected->entries[i].reason;
        }
    }
    return rejected;
}

struct rejected *rejected_read(struct str answer)
{
    json_t *json = json_loadb(answer.data, answer.size, 0, NULL);
    json_t *array = json_object_get(json, "rejected");
    struct rejected *rejected = json_array_size(array) > 0 ? read_array(array) : NULL;
    json_decref(json);
    return rejected;
}

void rejected_destroy(struct rejected *rejected)
{
    free(rejected);
}

const struct rejection *rejected_find(const struct rejected *rejected, struct id id)
{
    if (rejected == NULL) {
        return NULL;
    }
    const struct entry key = { .rejection.id = id };
    const struct entry *entry =
        bsearch(&key, rejected->entries, rejected->count, sizeof(struct entry), compare_entry);
    return entry == NULL ? NULL : &entry->rejection;
}
