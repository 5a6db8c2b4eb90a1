#include "core/profile/profile.h"
#include "fact_priv.h"

/*
 * A profile as others see it: the paths of contract 5 are names in rules,
 * filters and columns, so there is one writer for each shape and no second
 * spelling.
 *
 * Unknown is null, empty is [] or {}. Averages are computed here, in minor
 * units, rounded half away from zero: nothing rounded is ever stored. A masked
 * profile shows that an address exists and enough of it for two people to
 * agree which one they mean, and no name.
 */

static const char *const channels[] = { "email", "sms", "push", "tracking", "sale" };

/* Traits that name or place a person; null when masked. */
static const char *const personal_traits[] = {
    "first_name", "last_name", "name",       "full_name",   "middle_name", "nickname",
    "birth_date", "address",   "street",     "address_1",   "address_2",   "company",
    "username",   "avatar",    "avatar_url", "postal_code", "tax_id",      "note",
};

static bool is_column_trait(struct str key)
{
    for (size_t i = 0; i < FACT_IDENTITY_COUNT; i++) {
        if (str_equal_z(key, fact_identities[i].key)) {
            return true;
        }
    }
    return false;
}

static bool is_personal(struct str key)
{
    for (size_t i = 0; i < ARRAY_COUNT(personal_traits); i++) {
        if (str_equal_z(key, personal_traits[i])) {
            return true;
        }
    }
    return false;
}

static void write_consent(struct jsonw *json, const struct profile *profile)
{
    jsonw_open(json);
    for (size_t i = 0; i < ARRAY_COUNT(channels); i++) {
        struct str state = profile_fact_value(profile, FACT_CONSENT, channels[i]);
        bool unknown = state.size == 0 || str_equal(state, STR("null"));
        jsonw_put_raw(json, channels[i], unknown ? STR("\"never\"") : state);
    }
    jsonw_close(json);
}

static void write_members(struct jsonw *json, const struct profile *profile, enum fact_kind kind,
                          bool masked)
{
    jsonw_open(json);
    for (size_t i = 0; i < profile->fact_count; i++) {
        const struct profile_fact *fact = &profile->facts[i];
        if (fact->kind != kind || (kind == FACT_TRAIT && is_column_trait(fact->key))) {
            continue;
        }
        jsonw_key_str(json, fact->key);
        bool hidden = masked && kind == FACT_TRAIT && is_personal(fact->key);
        jsonw_raw(json, hidden ? STR("null") : fact->value_json);
    }
    jsonw_close(json);
}

void profile_write_facts(struct jsonw *json, const struct profile *profile, enum fact_kind kind)
{
    if (kind == FACT_CONSENT) {
        write_consent(json, profile);
    } else {
        write_members(json, profile, kind, false);
    }
}

static void put_trait(struct jsonw *json, const struct profile *profile, const char *key)
{
    jsonw_put_raw(json, key, profile_fact_value(profile, FACT_TRAIT, key));
}

/* The trait, else the identity itself. */
static void put_external_id(struct jsonw *json, const struct profile *profile)
{
    struct str value = profile_fact_value(profile, FACT_TRAIT, "external_id");
    if (value.size > 0) {
        jsonw_put_raw(json, "external_id", value);
        return;
    }
    struct str identity = { 0 };
    for (size_t i = 0; i < profile->exclusive_count; i++) {
        if (profile->exclusives[i].kind == IDENTITY_EXTERNAL_ID) {
            identity = profile->exclusives[i].value;
        }
    }
    jsonw_put_str_or_null(json, "external_id", identity);
}

/* Of orders in the workspace's currency; false when there is none. */
static bool average_minor(const struct profile_orders *orders, int64_t *out_minor)
{
    int64_t count = orders->count - orders->foreign_count;
    if (count <= 0) {
        return false;
    }
    int64_t whole = orders->gross_minor / count;
    int64_t rest = orders->gross_minor % count;
    int64_t magnitude = rest < 0 ? -rest : rest;
    int64_t up = rest < 0 ? -1 : 1;
    *out_minor = whole + (magnitude >= count - magnitude ? up : 0);
    return true;
}

static void put_average(struct jsonw *json, const struct profile_orders *orders,
                        struct str currency)
{
    int64_t minor = 0;
    if (average_minor(orders, &minor)) {
        jsonw_put_money(json, "average_value", minor, currency);
    } else {
        jsonw_put_null(json, "average_value");
    }
}

static void write_labels(struct jsonw *json, const struct profile *profile)
{
    const char *stage = lifecycle_name(profile->lifecycle);
    jsonw_put_z(json, "lifecycle", stage);
    jsonw_key(json, "tags");
    jsonw_open_array(json);
    jsonw_close_array(json);
    jsonw_key(json, "segments");
    jsonw_open_array(json);
    jsonw_close_array(json);
    jsonw_key(json, "tiers");
    jsonw_open(json);
    jsonw_close(json);
}

void profile_write_default(struct jsonw *json, const struct profile *profile, struct str currency)
{
    jsonw_open(json);
    jsonw_put_id(json, "id", profile->id);
    put_trait(json, profile, "email");
    put_trait(json, profile, "phone");
    put_external_id(json, profile);
    put_trait(json, profile, "first_name");
    put_trait(json, profile, "last_name");
    put_trait(json, profile, "locale");
    put_trait(json, profile, "time_zone");
    write_labels(json, profile);
    jsonw_key(json, "orders");
    jsonw_open(json);
    jsonw_put_i64(json, "count", profile->orders.count);
    jsonw_put_money(json, "revenue", profile->orders.gross_minor, currency);
    put_average(json, &profile->orders, currency);
    jsonw_put_str(json, "currency", currency);
    jsonw_put_instant(json, "last_at", profile->orders.last_at_ms);
    jsonw_close(json);
    jsonw_key(json, "consent");
    write_consent(json, profile);
    jsonw_close(json);
}

/* The text of a JSON string without its quotes; false for null and others. */
static bool unquote(struct str json, struct str *out_text)
{
    if (json.size < 2 || json.data[0] != '"') {
        return false;
    }
    *out_text = str_take(str_drop(json, 1), json.size - 2);
    return true;
}

static void append(char *text, size_t *size, struct str part)
{
    for (size_t i = 0; i < part.size; i++) {
        text[(*size)++] = part.data[i];
    }
}

/* First character, if it stands alone: neither an escape nor part of UTF-8. */
static struct str initial(struct str text)
{
    bool plain = text.data[0] > ' ' && text.data[0] < 0x7f && text.data[0] != '\\';
    return plain ? str_take(text, 1) : (struct str){ 0 };
}

static struct str last_label(struct str domain)
{
    size_t dot = domain.size;
    for (size_t i = 0; i < domain.size; i++) {
        dot = domain.data[i] == '.' ? i : dot;
    }
    return str_drop(domain, dot);
}

/* "jane@example.com" -> "j***@e***.com"; what is not of the form shows
 * nothing. */
static void put_masked_email(struct jsonw *json, struct str value)
{
    enum {
        ENDING_SIZE_MAX = 24
    };
    struct str address = { 0 };
    struct str local = { 0 };
    struct str domain = { 0 };
    if (!unquote(value, &address)) {
        jsonw_put_null(json, "email");
        return;
    }
    if (!str_split(address, '@', &local, &domain) || local.size == 0 || domain.size == 0) {
        jsonw_put_z(json, "email", "***");
        return;
    }
    char text[ENDING_SIZE_MAX + 16];
    size_t size = 0;
    append(text, &size, initial(local));
    append(text, &size, STR("***@"));
    append(text, &size, initial(domain));
    append(text, &size, STR("***"));
    append(text, &size, str_take(last_label(domain), ENDING_SIZE_MAX));
    jsonw_put_str(json, "email", (struct str){ text, size });
}

/* "+33612345678" -> "+336*****78". */
static void put_masked_phone(struct jsonw *json, struct str value)
{
    enum {
        SHOWN_FIRST = 4,
        SHOWN_LAST = 2,
        PHONE_SIZE_MIN = 9
    };
    struct str phone = { 0 };
    if (!unquote(value, &phone)) {
        jsonw_put_null(json, "phone");
        return;
    }
    if (phone.size < PHONE_SIZE_MIN || phone.data[0] != '+') {
        jsonw_put_z(json, "phone", "***");
        return;
    }
    char text[SHOWN_FIRST + SHOWN_LAST + 8];
    size_t size = 0;
    append(text, &size, str_take(phone, SHOWN_FIRST));
    append(text, &size, STR("*****"));
    append(text, &size, str_drop(phone, phone.size - SHOWN_LAST));
    jsonw_put_str(json, "phone", (struct str){ text, size });
}

static void write_addresses(struct jsonw *json, const struct profile *profile, bool masked)
{
    if (masked) {
        put_masked_email(json, profile_fact_value(profile, FACT_TRAIT, "email"));
        put_masked_phone(json, profile_fact_value(profile, FACT_TRAIT, "phone"));
    } else {
        put_trait(json, profile, "email");
        put_trait(json, profile, "phone");
    }
    put_external_id(json, profile);
}

static void write_orders(struct jsonw *json, const struct profile_orders *orders,
                         struct str currency)
{
    jsonw_key(json, "orders");
    jsonw_open(json);
    jsonw_put_i64(json, "count", orders->count);
    jsonw_put_money(json, "revenue", orders->gross_minor, currency);
    put_average(json, orders, currency);
    if (orders->count > orders->foreign_count) {
        jsonw_put_money(json, "largest_value", orders->largest_minor, currency);
    } else {
        jsonw_put_null(json, "largest_value");
    }
    jsonw_put_money(json, "refunded", orders->refunded_minor, currency);
    jsonw_put_str(json, "currency", currency);
    jsonw_put_instant(json, "first_at", orders->first_at_ms);
    jsonw_put_instant(json, "last_at", orders->last_at_ms);
    jsonw_put_i64(json, "foreign_count", orders->foreign_count);
    jsonw_close(json);
}

void profile_write_full(struct jsonw *json, const struct profile *profile, struct str currency,
                        int64_t as_of_ms, bool masked)
{
    jsonw_open(json);
    jsonw_put_id(json, "id", profile->id);
    jsonw_put_i64(json, "sequence", profile->sequence);
    jsonw_put_instant(json, "as_of", as_of_ms);
    jsonw_put_bool(json, "masked", masked);
    jsonw_put_bool(json, "identified", profile->identified);
    write_addresses(json, profile, masked);
    jsonw_put_instant(json, "created_at", profile->created_at_ms);
    jsonw_put_instant(json, "updated_at", profile->updated_at_ms);
    jsonw_put_instant(json, "first_seen_at", profile->first_seen_at_ms);
    jsonw_put_instant(json, "last_seen_at", profile->last_seen_at_ms);
    jsonw_put_instant(json, "signed_up_at", profile->signed_up_at_ms);
    write_labels(json, profile);
    write_orders(json, &profile->orders, currency);
    jsonw_put_raw(json, "cart", profile->cart_json);
    jsonw_key(json, "traits");
    write_members(json, profile, FACT_TRAIT, masked);
    jsonw_key(json, "preferences");
    write_members(json, profile, FACT_PREFERENCE, masked);
    jsonw_key(json, "consent");
    write_consent(json, profile);
}
