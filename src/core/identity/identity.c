#include <assert.h>

#include "base/arena.h"
#include "base/limits.h"
#include "core/event/event.h"

/*
 * What names a customer, and what only looks as if it did.
 *
 * Every shop has a checkout that once sent "null" or "guest" as a customer id;
 * a value like that would join all its customers into one. So a value must
 * have its kind's form and stand on no list before it may identify anyone.
 * Too strict costs an unlinked event, too lax costs strangers joined: when in
 * doubt a value is refused.
 *
 * Phones are taken only when they are international already. A national
 * number could be completed by the shop's country, but a wrong guess is a
 * stranger's phone, so that is left to adapters which know better.
 */

enum {
    EMAIL_BYTES_MAX = 254, /* RFC 5321, less the angle brackets */
    EMAIL_LOCAL_BYTES_MAX = 64,
    PHONE_DIGITS_MIN = 5,
    PHONE_DIGITS_MAX = 15, /* E.164 */
};

struct kind_info {
    const char *name;
    bool exclusive;
    bool strong;
    bool of_source;
};

static const struct kind_info kinds[IDENTITY_KIND_COUNT] = {
    [IDENTITY_EXTERNAL_ID] = { "external_id", true, true, false },
    [IDENTITY_CUSTOMER_ID] = { "customer_id", true, true, true },
    [IDENTITY_EMAIL] = { "email", false, true, false },
    [IDENTITY_PHONE] = { "phone", false, true, false },
    [IDENTITY_ANONYMOUS_ID] = { "anonymous_id", false, false, false },
    [IDENTITY_CART_TOKEN] = { "cart_token", false, false, true },
    [IDENTITY_ORDER] = { "order", false, false, true },
};

/* Seen in real traffic of shops, plugins and SDKs; compared without case. */
static const char *const blocked[] = {
    "null",
    "nil",
    "none",
    "undefined",
    "nan",
    "n/a",
    "na",
    "-",
    "0",
    "-1",
    "true",
    "false",
    "guest",
    "anonymous",
    "anon",
    "unknown",
    "unidentified",
    "not set",
    "(not set)",
    "(none)",
    "test",
    "user",
    "user_id",
    "userid",
    "customer",
    "customer_id",
    "id",
    "email",
    "[object object]",
    "{}",
    "[]",
    "\"\"",
    "''",
    "00000000-0000-0000-0000-000000000000",
    "null@null.com",
    "none@none.com",
    "no@email.com",
    "noemail@noemail.com",
    "no-email@no-email.com",
    "guest@guest.com",
    "anonymous@anonymous.com",
    "unknown@unknown.com",
    "undefined@undefined.com",
    "test@test.com",
    "a@a.com",
    "email@email.com",
    "user@user.com",
    "noreply@noreply.com",
    "no-reply@no-reply.com",
};

static const struct kind_info *kind_info(enum identity_kind kind)
{
    assert(kind >= IDENTITY_EXTERNAL_ID);
    assert(kind < IDENTITY_KIND_COUNT);
    return &kinds[kind];
}

static bool is_blocked(struct str value)
{
    for (size_t i = 0; i < ARRAY_COUNT(blocked); i++) {
        if (str_equal_nocase_z(value, blocked[i])) {
            return true;
        }
    }
    return false;
}

/* Control characters are never part of a name, and hide differences. */
static bool has_control(struct str value)
{
    for (size_t i = 0; i < value.size; i++) {
        unsigned char c = (unsigned char)value.data[i];
        if (c < 0x20 || c == 0x7f) {
            return true;
        }
    }
    return false;
}

static bool domain_is_plausible(struct str domain)
{
    ptrdiff_t dot = str_find(domain, '.', 0);
    if (dot <= 0 || domain.data[domain.size - 1] == '.') {
        return false;
    }
    for (size_t i = 0; i < domain.size; i++) {
        char c = domain.data[i];
        bool doubled = c == '.' && i + 1 < domain.size && domain.data[i + 1] == '.';
        if (c == ' ' || c == '@' || c == ',' || c == ';' || doubled) {
            return false;
        }
    }
    return true;
}

static bool normalise_email(struct arena *arena, struct str value, struct str *out_value)
{
    struct str local = { 0 };
    struct str domain = { 0 };
    if (value.size > EMAIL_BYTES_MAX || !str_split(value, '@', &local, &domain)) {
        return false;
    }
    bool local_is_plausible = local.size > 0 && local.size <= EMAIL_LOCAL_BYTES_MAX &&
                              str_find(local, ' ', 0) < 0 && str_find(local, ',', 0) < 0;
    if (!local_is_plausible || !domain_is_plausible(domain)) {
        return false;
    }
    *out_value = str_lower(arena, value);
    return out_value->size > 0;
}

static bool is_phone_separator(char c)
{
    return c == ' ' || c == '-' || c == '.' || c == '(' || c == ')' || c == '/';
}

/* "+44 (0)20 79" and "0033 6" are both common; the trunk zero is not dialled
 * from abroad. */
static bool normalise_phone(struct arena *arena, struct str value, struct str *out_value)
{
    char text[PHONE_DIGITS_MAX + 1] = "+";
    size_t size = 1;
    if (str_starts_with(value, STR("+"))) {
        value = str_drop(value, 1);
    } else if (str_starts_with(value, STR("00"))) {
        value = str_drop(value, 2);
    } else {
        return false;
    }
    for (size_t i = 0; i < value.size; i++) {
        char c = value.data[i];
        if (str_starts_with(str_drop(value, i), STR("(0)")) && size > 1) {
            i += 2;
            continue;
        }
        if (is_phone_separator(c)) {
            continue;
        }
        if (c < '0' || c > '9' || size == sizeof(text)) {
            return false;
        }
        text[size++] = c;
    }
    if (size < PHONE_DIGITS_MIN + 1 || text[1] == '0') {
        return false;
    }
    bool all_the_same = true;
    for (size_t i = 2; i < size; i++) {
        all_the_same = all_the_same && text[i] == text[1];
    }
    if (all_the_same) {
        return false;
    }
    *out_value = str_dup(arena, (struct str){ text, size });
    return out_value->size > 0;
}

bool identity_normalise(struct arena *arena, enum identity_kind kind, struct str value,
                        struct str *out_value)
{
    kind_info(kind);
    value = str_trim(value);
    if (value.size == 0 || value.size > LIMIT_TEXT_BYTES || !str_is_text(value) ||
        has_control(value) || is_blocked(value)) {
        return false;
    }
    struct str normal = { 0 };
    bool well_formed = false;
    if (kind == IDENTITY_EMAIL) {
        well_formed = normalise_email(arena, value, &normal);
    } else if (kind == IDENTITY_PHONE) {
        well_formed = normalise_phone(arena, value, &normal);
    } else {
        normal = str_dup(arena, value);
        well_formed = normal.size > 0;
    }
    if (!well_formed) {
        return false;
    }
    *out_value = normal;
    return true;
}

bool identity_kind_is_exclusive(enum identity_kind kind)
{
    return kind_info(kind)->exclusive;
}

bool identity_kind_is_strong(enum identity_kind kind)
{
    return kind_info(kind)->strong;
}

bool identity_kind_is_of_source(enum identity_kind kind)
{
    return kind_info(kind)->of_source;
}

const char *identity_kind_name(enum identity_kind kind)
{
    return kind_info(kind)->name;
}

enum identity_kind identity_kind_from_name(struct str name)
{
    for (int kind = IDENTITY_EXTERNAL_ID; kind < IDENTITY_KIND_COUNT; kind++) {
        if (str_equal_z(name, kinds[kind].name)) {
            return (enum identity_kind)kind;
        }
    }
    return 0;
}
