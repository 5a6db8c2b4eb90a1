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

/* Whose words they are: ours, or an ESP's of its list. */
struct tongue {
    const struct native_bulk *bulk; /* NULL: ours */
    const struct delivery_member *members;
    size_t member_count;
};

static bool whom_read(json_t *object, const struct tongue *tongue, struct id *out_id)
{
    if (tongue->bulk == NULL) {
        json_t *id = json_object_get(object, "id");
        return json_is_string(id) &&
               id_parse((struct str){ json_string_value(id), json_string_length(id) }, out_id);
    }
    json_t *place = json_object_get(object, tongue->bulk->place_member);
    json_int_t index = json_is_integer(place) ? json_integer_value(place) : -1;
    if (index < 0 || (size_t)index >= tongue->member_count) {
        return false;
    }
    *out_id = tongue->members[index].notification_id;
    return true;
}

static bool entry_read(json_t *object, const struct tongue *tongue, struct entry *out_entry)
{
    if (!whom_read(object, tongue, &out_entry->rejection.id)) {
        return false;
    }
    bool is_ours = tongue->bulk == NULL;
    json_t *reason = json_object_get(object, is_ours ? "reason" : tongue->bulk->words_member);
    struct str text = { json_string_value(reason), json_string_length(reason) };
    size_t size = json_is_string(reason)
                      ? answer_text_clean(text, out_entry->reason, sizeof(out_entry->reason))
                      : 0;
    out_entry->rejection.reason.size = size;
    out_entry->rejection.retry = is_ours && !json_is_false(json_object_get(object, "retry"));
    return true;
}

static struct rejected *read_array(json_t *array, const struct tongue *tongue)
{
    size_t size = json_array_size(array);
    struct rejected *rejected = calloc(1, sizeof(*rejected) + size * sizeof(struct entry));
    for (size_t i = 0; rejected != NULL && i < size; i++) {
        if (entry_read(json_array_get(array, i), tongue, &rejected->entries[rejected->count])) {
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

static struct rejected *read_answer(struct str answer, const char *list,
                                    const struct tongue *tongue)
{
    json_t *json = json_loadb(answer.data, answer.size, 0, NULL);
    json_t *array = json_object_get(json, list);
    struct rejected *rejected = json_array_size(array) > 0 ? read_array(array, tongue) : NULL;
    json_decref(json);
    return rejected;
}

struct rejected *rejected_read(struct str answer)
{
    const struct tongue ours = { .bulk = NULL };
    return read_answer(answer, "rejected", &ours);
}

struct rejected *rejected_read_places(struct str answer, const struct native_bulk *bulk,
                                      const struct delivery_member *members, size_t count)
{
    const struct tongue tongue = { .bulk = bulk, .members = members, .member_count = count };
    return read_answer(answer, "errors", &tongue);
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
