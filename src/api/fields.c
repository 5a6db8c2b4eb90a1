#include "api/fields.h"

#include <string.h>

#include "base/buf.h"

/*
 * The members that a list's `fields` names, cut out of the text of its items.
 *
 * Problem: twenty resources write their items each in its own way, and none should
 * ask at every member whether it is wanted. So the whole page is written and the
 * wanted members are copied from it, byte by byte: read and written again, 124.90
 * would be 124.9. The text is our own, so it is well-formed.
 */

/* The index behind the value that begins at `at`. */
static size_t value_end(struct str json, size_t at)
{
    size_t depth = 0;
    bool in_text = false;
    for (; at < json.size; at++) {
        char c = json.data[at];
        if (in_text) {
            in_text = c != '"';
            at += c == '\\' ? 1 : 0;
        } else if (c == '"') {
            in_text = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (depth == 0 && (c == ',' || c == '}' || c == ']')) {
            return at;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return at;
}

struct member {
    struct str key;  /* without quotes */
    struct str text; /* "key":value */
};

/* The next member of an object, of which `rest` is what comes after '{' or ','. */
static bool next_member(struct str *rest, struct member *out_member)
{
    if (rest->size == 0 || rest->data[0] != '"') {
        return false;
    }
    ptrdiff_t quote = str_find(*rest, '"', 1); /* our keys need no escapes */
    size_t end = value_end(*rest, (size_t)quote + 2);
    out_member->key = str_take(str_drop(*rest, 1), (size_t)quote - 1);
    out_member->text = str_take(*rest, end);
    *rest = str_drop(*rest, end < rest->size && rest->data[end] == ',' ? end + 1 : end);
    return true;
}

static bool is_among(struct str key, const struct str *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal(key, names[i])) {
            return true;
        }
    }
    return false;
}

static enum status fail_unknown(struct str name, struct str item, struct problem *problem)
{
    const char *known[FIELDS_KNOWN_MAX];
    char texts[FIELDS_KNOWN_MAX][FIELD_NAME_BYTES + 1];
    size_t count = 0;
    struct str rest = str_drop(item, 1);
    for (struct member member; count < FIELDS_KNOWN_MAX && next_member(&rest, &member);) {
        if (member.key.size <= FIELD_NAME_BYTES) {
            memcpy(texts[count], member.key.data, member.key.size);
            texts[count][member.key.size] = '\0';
            known[count] = texts[count];
            count++;
        }
    }
    problem_set(problem, STATUS_INVALID, "unknown-field", "no member is called \"%.*s\"",
                STR_ARG(str_take_text(name, FIELD_NAME_BYTES)));
    problem_suggest(problem, str_nearest(name, known, count));
    return STATUS_INVALID;
}

/* Every item has every member, so the first shows which there are. */
static enum status check_names(struct str item, const struct str *names, size_t count,
                               struct problem *problem)
{
    for (size_t i = 0; i < count; i++) {
        struct str rest = str_drop(item, 1);
        bool is_there = false;
        for (struct member member; !is_there && next_member(&rest, &member);) {
            is_there = str_equal(member.key, names[i]);
        }
        if (!is_there) {
            return fail_unknown(names[i], item, problem);
        }
    }
    return STATUS_OK;
}

static enum status split_names(struct str fields, struct str *names, size_t *out_count,
                               struct problem *problem)
{
    *out_count = 0;
    for (bool more = true; more;) {
        struct str name = fields;
        more = str_split(fields, ',', &name, &fields);
        name = str_trim(name);
        if (name.size == 0 || *out_count == FIELDS_MAX) {
            problem_set(problem, STATUS_INVALID, "invalid-field",
                        "fields is up to %d names of members, parted by commas", FIELDS_MAX);
            return STATUS_INVALID;
        }
        names[(*out_count)++] = name;
    }
    return STATUS_OK;
}

static void copy_item(struct buf *buf, struct str item, const struct str *names, size_t count)
{
    struct str rest = str_drop(item, 1);
    bool is_first = true;
    buf_add_char(buf, '{');
    for (struct member member; next_member(&rest, &member);) {
        if (is_among(member.key, names, count)) {
            buf_add_str(buf, is_first ? STR("") : STR(","));
            buf_add_str(buf, member.text);
            is_first = false;
        }
    }
    buf_add_char(buf, '}');
}

enum status fields_select(struct str items, struct str fields, struct buf *out,
                          struct problem *problem)
{
    struct str names[FIELDS_MAX];
    size_t count = 0;
    enum status status = split_names(fields, names, &count, problem);
    for (bool is_first = true; status == STATUS_OK && items.size > 0; is_first = false) {
        size_t end = value_end(items, 0);
        struct str item = str_take(items, end);
        if (is_first) {
            status = check_names(item, names, count, problem);
        } else {
            buf_add_char(out, ',');
        }
        copy_item(out, item, names, count);
        items = str_drop(items, end + 1);
    }
    return status;
}
