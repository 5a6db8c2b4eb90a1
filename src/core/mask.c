#include "core/mask.h"

#include "base/buf.h"
#include "base/jsonw.h"
#include "core/rule/value.h"
#include "scan_priv.h"

/*
 * Masking, and the one table of what is personal.
 *
 * A document is gone through member by member: shops put addresses and names
 * into properties of any depth. Known members are masked by their kind, links
 * that act as keys go, and any text with an @ in it is treated as an address.
 * Rejected: a list of allowed members per event type, which would hide what
 * analysts may see and still miss the rest.
 *
 * Here the text is our own, so it is scanned once and copied, without a tree;
 * api/mask.c does the same to what came from outside as it came.
 */

enum {
    DEPTH_MAX = 60 /* deeper than any document that passed the border */
};

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

enum mask_kind mask_kind_of(struct str key)
{
    static const struct {
        const char *key;
        enum mask_kind kind;
    } KINDS[] = {
        { "email", MASK_EMAIL },
        { "phone", MASK_PHONE },
        { "mobile", MASK_PHONE },
        { "first_name", MASK_NAME },
        { "last_name", MASK_NAME },
        { "full_name", MASK_NAME },
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
        if (str_equal_nocase_z(key, KINDS[i].key)) {
            return KINDS[i].kind;
        }
    }
    return MASK_NOT;
}

/* --- documents ---------------------------------------------------------------- */

struct masking {
    struct arena *arena;
    struct buf *buf;
    uint64_t objects; /* bit n: level n is an object */
    unsigned depth;
    struct str rest;
    struct str key; /* of the value that comes; empty: of an array's item */
};

static void add_text(const struct masking *masking, struct str text)
{
    struct jsonw json;
    jsonw_begin(&json, masking->buf);
    jsonw_str(&json, text);
}

static void add_masked_string(const struct masking *masking, struct str quoted, enum mask_kind kind)
{
    struct arena *arena = masking->arena;
    struct rule_value value = rule_value_from_json(arena, quoted);
    struct str text = value.type == RULE_TEXT ? value.text : STR("");
    switch (kind) {
    case MASK_NAME:
    case MASK_GONE:
        buf_add_z(masking->buf, "null");
        return;
    case MASK_WORD:
        add_text(masking, mask_word(arena, text));
        return;
    case MASK_PHONE:
        add_text(masking, mask_phone(arena, text));
        return;
    case MASK_EMAIL:
        add_text(masking, mask_email(arena, text));
        return;
    case MASK_NOT:
        break;
    }
    if (str_find(text, '@', 0) >= 0) {
        add_text(masking, mask_email(arena, text));
    } else {
        buf_add_str(masking->buf, quoted);
    }
}

static bool is_in_object(const struct masking *masking)
{
    return masking->depth > 0 && (masking->objects >> masking->depth & 1) != 0;
}

static void enter(struct masking *masking, bool is_object)
{
    masking->depth++;
    masking->objects &= ~(UINT64_C(1) << masking->depth);
    masking->objects |= (uint64_t)is_object << masking->depth;
    buf_add_char(masking->buf, is_object ? '{' : '[');
    masking->rest = str_drop(masking->rest, 1);
}

/* The value at the front: entered, or written and passed. False at a broken end. */
static bool take_value(struct masking *masking)
{
    struct str rest = masking->rest;
    enum mask_kind kind = mask_kind_of(masking->key);
    size_t size = scan_value_size(rest);
    bool is_container = scan_is_object(rest) || scan_is_array(rest);
    if (size == 0) {
        return false;
    }
    bool is_told = str_equal(masking->key, STR("consent"));
    bool is_deep = masking->depth >= DEPTH_MAX;
    if (is_container && kind == MASK_NOT && !is_told && !is_deep) {
        enter(masking, scan_is_object(rest));
        return true;
    }
    struct str value = str_take(rest, size);
    masking->rest = str_drop(rest, size);
    if (value.data[0] == '"') {
        add_masked_string(masking, value, kind);
    } else if (!is_told && (kind != MASK_NOT || is_container)) {
        buf_add_z(masking->buf, "null");
    } else {
        buf_add_str(masking->buf, value);
    }
    return true;
}

static bool take_key(struct masking *masking)
{
    size_t size = masking->rest.size > 0 && masking->rest.data[0] == '"'
                      ? scan_string_size(masking->rest)
                      : 0;
    if (size == 0) {
        return false;
    }
    struct str quoted = str_take(masking->rest, size);
    struct str rest = scan_space(str_drop(masking->rest, size));
    if (!str_starts_with(rest, STR(":"))) {
        return false;
    }
    masking->key = str_take(str_drop(quoted, 1), size - 2);
    masking->rest = scan_space(str_drop(rest, 1));
    buf_add_str(masking->buf, quoted);
    buf_add_char(masking->buf, ':');
    return true;
}

/* Brackets and commas up to the next key or value. False at the end. */
static bool pass_marks(struct masking *masking)
{
    masking->rest = scan_space(masking->rest);
    while (masking->rest.size > 0 && masking->depth > 0) {
        char c = masking->rest.data[0];
        bool is_end = c == '}' || c == ']';
        if (!is_end && c != ',') {
            return true;
        }
        buf_add_z(masking->buf, !is_end ? "," : is_in_object(masking) ? "}" : "]");
        masking->depth -= is_end ? 1 : 0;
        masking->rest = scan_space(str_drop(masking->rest, 1));
    }
    return false;
}

struct str mask_value(struct arena *arena, struct str key, struct str json)
{
    struct buf buf;
    /* A mask is longer than what it hides by three characters at most. */
    buf_init(&buf, arena, json.size * 4 + 16);
    struct masking masking = { .arena = arena, .buf = &buf, .rest = scan_space(json), .key = key };
    bool is_whole = take_value(&masking);
    while (is_whole && pass_marks(&masking)) {
        masking.key = (struct str){ NULL, 0 };
        is_whole = (!is_in_object(&masking) || take_key(&masking)) && take_value(&masking);
    }
    return is_whole && masking.depth == 0 && !buf.failed ? buf_str(&buf) : STR("null");
}
