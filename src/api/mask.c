#include "api/mask.h"

#include <jansson.h>

/*
 * Masking of documents that came from outside.
 *
 * A tree is made of it first, since nobody has said yet that it is JSON: what
 * is not becomes null. Which members are personal is core/mask.c's table.
 */

static json_t *text_node(struct str text)
{
    json_t *node = json_stringn(text.data != NULL ? text.data : "", text.size);
    return node != NULL ? node : json_null();
}

static json_t *masked_text(struct arena *arena, json_t *value, enum mask_kind kind)
{
    struct str text = { json_string_value(value), json_string_length(value) };
    switch (kind) {
    case MASK_NAME:
    case MASK_WORD:
        return text_node(mask_word(arena, text));
    case MASK_PHONE:
        return text_node(mask_phone(arena, text));
    case MASK_EMAIL:
        return text_node(mask_email(arena, text));
    case MASK_GONE:
        return json_null();
    case MASK_NOT:
        break;
    }
    return str_find(text, '@', 0) >= 0 ? text_node(mask_email(arena, text)) : NULL;
}

static void mask_children(struct arena *arena, json_t *node);

/* A new node to stand in its place, or NULL to leave it. */
static json_t *masked(struct arena *arena, json_t *value, enum mask_kind kind)
{
    if (json_is_string(value)) {
        return masked_text(arena, value, kind);
    }
    if (kind != MASK_NOT) {
        return json_null();
    }
    mask_children(arena, value);
    return NULL;
}

/* Depth is LIMIT_JSON_DEPTH at most: what is stored came through the border. */
static void mask_children(struct arena *arena, json_t *node)
{
    const char *key = NULL;
    void *next = NULL;
    json_t *value = NULL;
    json_object_foreach_safe(node, next, key, value)
    {
        json_t *instead = masked(arena, value, mask_kind_of(str_from_z(key)));
        if (instead != NULL) {
            json_object_set_new(node, key, instead);
        }
    }
    for (size_t i = 0; i < json_array_size(node); i++) {
        json_t *instead = masked(arena, json_array_get(node, i), MASK_NOT);
        if (instead != NULL) {
            json_array_set_new(node, i, instead);
        }
    }
}

struct str mask_json(struct arena *arena, struct str json)
{
    json_t *root = json_loadb(json.data, json.size, JSON_DECODE_ANY, NULL);
    if (root == NULL) {
        return STR("null");
    }
    mask_children(arena, root);
    size_t flags = JSON_COMPACT | JSON_ENCODE_ANY;
    size_t size = json_dumpb(root, NULL, 0, flags);
    char *text = arena_alloc(arena, size + 1);
    struct str result = STR("null");
    if (text != NULL && size > 0) {
        (void)json_dumpb(root, text, size, flags);
        result = (struct str){ text, size };
    }
    json_decref(root);
    return result;
}
