#include "api/mask.h"

#include <jansson.h>

/*
 * Masking.
 *
 * Problem: personal data is not only in columns; shops put addresses and names
 * into properties of any depth. So a document is walked whole: members of known
 * names are masked by kind, links that act as keys go, and any text with an @
 * in it is treated as an address. Rejected: a list of allowed members per
 * event type, which would hide what analysts may see and still miss the rest.
 */

/* The first character, whole. */
static struct str first_character(struct str word)
{
    size_t size = word.size > 0 ? 1 : 0;
    while (size < word.size && ((unsigned char)word.data[size] & 0xc0) == 0x80) {
        size++;
    }
    return str_take(word, size);
}

struct str mask_email(struct arena *arena, struct str email)
{
    ptrdiff_t at = str_find(email, '@', 0);
    if (at < 1) {
        return mask_word(arena, email);
    }
    return str_printf(arena, "%.*s***%.*s", STR_ARG(first_character(email)),
                      STR_ARG(str_drop(email, (size_t)at)));
}

struct str mask_phone(struct arena *arena, struct str phone)
{
    if (phone.size < 8) {
        return mask_word(arena, phone);
    }
    return str_printf(arena, "%.3s*****%.2s", phone.data, phone.data + phone.size - 2);
}

struct str mask_word(struct arena *arena, struct str word)
{
    if (word.size == 0) {
        return word;
    }
    return str_printf(arena, "%.*s***", STR_ARG(first_character(word)));
}

struct str mask_identity(struct arena *arena, struct str kind, struct str value)
{
    if (str_equal(kind, STR("email"))) {
        return mask_email(arena, value);
    }
    return str_equal(kind, STR("phone")) ? mask_phone(arena, value) : value;
}

enum mask_kind {
    MASK_NOT,
    MASK_WORD,
    MASK_PHONE,
    MASK_EMAIL,
    MASK_GONE
};

static enum mask_kind kind_of(const char *key)
{
    static const struct {
        const char *key;
        enum mask_kind kind;
    } KINDS[] = {
        { "email", MASK_EMAIL },
        { "phone", MASK_PHONE },
        { "mobile", MASK_PHONE },
        { "first_name", MASK_WORD },
        { "last_name", MASK_WORD },
        { "full_name", MASK_WORD },
        { "birth_date", MASK_GONE },
        { "address", MASK_GONE },
        { "address1", MASK_GONE },
        { "address2", MASK_GONE },
        { "street", MASK_GONE },
        { "billing_address", MASK_GONE },
        { "shipping_address", MASK_GONE },
        { "postal_code", MASK_WORD },
        { "zip", MASK_WORD },
        { "company", MASK_WORD },
        { "ip", MASK_GONE },
        { "user_agent", MASK_GONE },
        { "recovery_url", MASK_GONE },
        { "note", MASK_GONE },
        { "latitude", MASK_GONE },
        { "longitude", MASK_GONE },
    };
    for (size_t i = 0; i < ARRAY_COUNT(KINDS); i++) {
        if (str_equal_nocase_z(str_from_z(key), KINDS[i].key)) {
            return KINDS[i].kind;
        }
    }
    return MASK_NOT;
}

static json_t *text_node(struct str text)
{
    json_t *node = json_stringn(text.data != NULL ? text.data : "", text.size);
    return node != NULL ? node : json_null();
}

static json_t *masked_text(struct arena *arena, json_t *value, enum mask_kind kind)
{
    struct str text = { json_string_value(value), json_string_length(value) };
    switch (kind) {
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
        json_t *instead = masked(arena, value, kind_of(key));
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
