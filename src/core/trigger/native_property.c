#include "base/id.h"
#include "base/money.h"
#include "core/rule/value.h"
#include "native_priv.h"
#include "scan_priv.h"

/*
 * A notification's data as an event's properties.
 *
 * ESPs segment by top-level properties and show them by name in a template, so
 * {"segment": {"name": "vip"}} becomes segment_name. A few levels are made flat;
 * what lies deeper stays JSON where the ESP takes it. Lists stay lists, or become
 * one text.
 *
 * Invariants:
 * - Who the customer is stands in the identifiers and nowhere else: email, phone,
 *   external id and names are not copied into properties, where they would
 *   outlive the ESP's own erasure.
 * - What does not fit is left out whole or cut between characters, and then
 *   `shopbell_truncated` says so. A delivery that an ESP refuses for its size
 *   would help nobody; the order of members is that of the envelope, so what names
 *   the event comes first.
 * - Null says nothing and is left out. No name is written twice.
 *
 * Nothing recurses: the open objects lie on a small stack.
 */

enum {
    LEVELS_MAX = 4,
    NAME_BYTES_MAX = 256,
    SEEN_MAX = 400, /* Klaviyo's most */
    LIST_TEXT_BYTES_MAX = 4096,
};

static const char truncated_name[] = "shopbell_truncated";

struct level {
    struct str rest; /* of the object's inside */
    size_t prefix_size;
    bool is_profile;
};

struct flat {
    struct arena *arena;
    struct jsonw *json;
    const struct native_limits *limits;
    struct str only;
    size_t count;
    size_t bytes;
    bool is_truncated;
    uint64_t seen[SEEN_MAX];
};

struct str native_text(struct arena *arena, struct str quoted)
{
    struct str inside = str_take(str_drop(quoted, 1), quoted.size - 2);
    if (str_find(inside, '\\', 0) < 0) {
        return inside;
    }
    struct rule_value value = rule_value_from_json(arena, quoted);
    return value.type == RULE_TEXT ? value.text : inside;
}

bool native_find(struct arena *arena, struct str object, const char *key, struct str *out_value)
{
    struct str rest = str_drop(object, 1);
    struct str quoted = { NULL, 0 };
    struct str value = { NULL, 0 };
    while (scan_is_object(object) && scan_next_member(&rest, &quoted, &value)) {
        if (str_equal_z(native_text(arena, quoted), key)) {
            *out_value = value;
            return true;
        }
    }
    return false;
}

static bool is_wanted(struct str only, struct str name)
{
    if (only.size == 0) {
        return true;
    }
    struct str rest = only;
    struct str one = { NULL, 0 };
    while (str_split(rest, ',', &one, &rest)) {
        if (str_equal(str_trim(one), name)) {
            return true;
        }
    }
    return str_equal(str_trim(rest), name);
}

static bool is_new(struct flat *flat, struct str name)
{
    uint64_t hash = hash64(name, 0);
    for (size_t i = 0; i < flat->count; i++) {
        if (flat->seen[i] == hash) {
            return false;
        }
    }
    flat->seen[flat->count] = hash;
    return true;
}

/* Room for one more of this size? The last place is kept for the remark that
 * something is missing. */
static bool admit(struct flat *flat, struct str name, size_t value_size)
{
    size_t properties_max =
        flat->limits->properties_max < SEEN_MAX ? flat->limits->properties_max : SEEN_MAX;
    size_t kept = sizeof(truncated_name) + 4;
    if (!is_wanted(flat->only, name)) {
        return false;
    }
    if (name.size > flat->limits->name_bytes_max || flat->count + 1 >= properties_max ||
        flat->bytes + name.size + value_size + kept > flat->limits->bytes_max) {
        flat->is_truncated = true;
        return false;
    }
    if (!is_new(flat, name)) {
        return false;
    }
    flat->count++;
    flat->bytes += name.size + value_size;
    return true;
}

static void put_text(struct flat *flat, struct str name, struct str text)
{
    struct str cut = str_take_text(text, flat->limits->text_bytes_max);
    flat->is_truncated |= cut.size < text.size;
    if (admit(flat, name, cut.size)) {
        jsonw_key_str(flat->json, name);
        jsonw_str(flat->json, cut);
    }
}

static void put_raw(struct flat *flat, struct str name, struct str value)
{
    if (admit(flat, name, value.size)) {
        jsonw_key_str(flat->json, name);
        jsonw_raw(flat->json, value);
    }
}

static bool is_whole_number(struct str number)
{
    for (size_t i = number.data[0] == '-' ? 1 : 0; i < number.size; i++) {
        if (number.data[i] < '0' || number.data[i] > '9') {
            return false;
        }
    }
    return true;
}

static bool is_number(struct str value)
{
    return value.data[0] == '-' || (value.data[0] >= '0' && value.data[0] <= '9');
}

static void put_scalar(struct flat *flat, struct str name, struct str value)
{
    bool as_text = flat->limits->texts_only ||
                   (flat->limits->decimals_as_text && is_number(value) && !is_whole_number(value));
    if (value.data[0] == '"') {
        put_text(flat, name, native_text(flat->arena, value));
    } else if (as_text) {
        put_text(flat, name, value);
    } else {
        put_raw(flat, name, value);
    }
}

/* "frequent_buyer, vip": the scalars of a list. */
static void put_list_text(struct flat *flat, struct str name, struct str list)
{
    struct buf buf;
    struct str rest = str_drop(list, 1);
    struct str item = { NULL, 0 };
    buf_init(&buf, flat->arena, LIST_TEXT_BYTES_MAX);
    while (scan_next_value(&rest, &item)) {
        if (scan_is_object(item) || scan_is_array(item)) {
            continue;
        }
        if (buf.size > 0) {
            buf_add_z(&buf, ", ");
        }
        buf_add_str(&buf, item.data[0] == '"' ? native_text(flat->arena, item) : item);
    }
    if (buf.failed) {
        flat->is_truncated = true;
    } else if (buf.size > 0) {
        put_text(flat, name, buf_str(&buf));
    }
}

static void put_value(struct flat *flat, struct str name, struct str value)
{
    bool is_nested = scan_is_object(value) || scan_is_array(value);
    if (str_equal(value, STR("null"))) {
        return;
    }
    if (!is_nested) {
        put_scalar(flat, name, value);
    } else if (!flat->limits->texts_only) {
        put_raw(flat, name, value);
    } else if (scan_is_array(value)) {
        put_list_text(flat, name, value);
    } else {
        flat->is_truncated = true;
    }
}

/* Stands in the identifiers already. */
static bool is_who(struct str key)
{
    static const char *const keys[] = { "email",     "phone",  "external_id", "first_name",
                                        "last_name", "locale", "time_zone" };
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        if (str_equal_z(key, keys[i])) {
            return true;
        }
    }
    return false;
}

/* "segment" and "name" make segment_name; "order" and "order_id" stay order_id. */
static size_t join_name(char *name, size_t prefix_size, struct str key)
{
    struct str prefix = { name, prefix_size };
    bool says_it =
        key.size > prefix_size && str_starts_with(key, prefix) && key.data[prefix_size] == '_';
    size_t size = says_it ? 0 : prefix_size;
    if (size > 0 && size < NAME_BYTES_MAX) {
        name[size++] = '_';
    }
    for (size_t i = 0; i < key.size && size < NAME_BYTES_MAX; i++) {
        name[size++] = key.data[i];
    }
    return size;
}

/* HubSpot's properties: a-z, 0-9 and underscores. */
static struct str final_name(struct flat *flat, char *name, size_t size)
{
    if (!flat->limits->plain_names) {
        return (struct str){ name, size };
    }
    for (size_t i = 0; i < size; i++) {
        if (name[i] == '-') {
            name[i] = '_';
        }
    }
    struct str plain =
        native_plain_name(flat->arena, (struct str){ name, size }, flat->limits->name_bytes_max);
    return str_lower(flat->arena, plain);
}

static void flatten(struct flat *flat, struct str data)
{
    char name[NAME_BYTES_MAX] = "";
    struct level levels[LEVELS_MAX] = { { .rest = str_drop(data, 1) } };
    size_t depth = 1;
    while (depth > 0) {
        struct level *level = &levels[depth - 1];
        struct str quoted = { NULL, 0 };
        struct str value = { NULL, 0 };
        if (!scan_next_member(&level->rest, &quoted, &value)) {
            depth--;
            continue;
        }
        struct str key = native_text(flat->arena, quoted);
        if (level->is_profile && is_who(key)) {
            continue;
        }
        size_t size = join_name(name, level->prefix_size, key);
        if (scan_is_object(value) && depth < LEVELS_MAX) {
            levels[depth] = (struct level){
                .rest = str_drop(value, 1),
                .prefix_size = size,
                .is_profile = depth == 1 && str_equal(key, STR("profile")),
            };
            depth++;
            continue;
        }
        put_value(flat, final_name(flat, name, size), value);
    }
}

void native_write_properties(struct arena *arena, struct jsonw *json,
                             const struct native_limits *limits, struct str only,
                             const struct native_notification *notification)
{
    char id[ID_TEXT_SIZE];
    struct flat flat = { .arena = arena, .json = json, .limits = limits, .only = only };
    id_format(notification->id, id);
    put_text(&flat, STR("shopbell_notification_id"), str_from_z(id));
    put_text(&flat, STR("shopbell_topic"), notification->topic);
    if (notification->is_test) {
        put_scalar(&flat, STR("shopbell_test"), STR("true"));
    }
    if (notification->has_value) {
        char amount[MONEY_TEXT_SIZE];
        money_format(notification->value_minor, notification->currency, amount);
        put_scalar(&flat, STR("value"), str_from_z(amount));
        put_text(&flat, STR("currency"), notification->currency);
    }
    struct str data = scan_space(notification->data_json);
    if (scan_is_object(data)) {
        flatten(&flat, data);
    }
    if (flat.is_truncated && is_wanted(only, STR("shopbell_truncated"))) {
        jsonw_key(json, truncated_name);
        jsonw_raw(json, limits->texts_only ? STR("\"true\"") : STR("true"));
    }
}

struct str native_plain_name(struct arena *arena, struct str name, size_t bytes_max)
{
    struct buf buf;
    buf_init(&buf, arena, name.size + 1);
    for (size_t i = 0; i < name.size && buf.size < bytes_max; i++) {
        char c = name.data[i];
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || c == '-' || c == '_';
        bool is_repeat = buf.size > 0 && buf.data[buf.size - 1] == '_';
        if (is_plain) {
            buf_add_char(&buf, c);
        } else if (!is_repeat) {
            buf_add_char(&buf, '_');
        }
    }
    return buf_str(&buf);
}
