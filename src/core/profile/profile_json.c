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

static bool is_column_trait(struct str key)
{
    for (size_t i = 0; i < FACT_IDENTITY_COUNT; i++) {
        if (str_equal_z(key, fact_identities[i].key)) {
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

static void write_members(struct jsonw *json, const struct profile *profile, enum fact_kind kind)
{
    jsonw_open(json);
    for (size_t i = 0; i < profile->fact_count; i++) {
        const struct profile_fact *fact = &profile->facts[i];
        if (fact->kind != kind || (kind == FACT_TRAIT && is_column_trait(fact->key))) {
            continue;
        }
        jsonw_key_str(json, fact->key);
        jsonw_raw(json, fact->value_json);
    }
    jsonw_close(json);
}

void profile_write_facts(struct jsonw *json, const struct profile *profile, enum fact_kind kind)
{
    if (kind == FACT_CONSENT) {
        write_consent(json, profile);
    } else {
        write_members(json, profile, kind);
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

static void write_names(struct jsonw *json, const char *key, const struct str *names, size_t count)
{
    jsonw_key(json, key);
    jsonw_open_array(json);
    for (size_t i = 0; i < count; i++) {
        jsonw_str(json, names[i]);
    }
    jsonw_close_array(json);
}

void profile_write_labels(struct jsonw *json, const struct profile_labels *labels)
{
    jsonw_put_str_or_null(json, "lifecycle", labels->lifecycle);
    write_names(json, "tags", labels->tags, labels->tag_count);
    write_names(json, "segments", labels->segments, labels->segment_count);
    jsonw_key(json, "tiers");
    jsonw_open(json);
    for (size_t i = 0; i < labels->tier_count; i++) {
        jsonw_key_str(json, labels->tiers[i].name);
        jsonw_str(json, labels->tiers[i].value);
    }
    jsonw_close(json);
}

void profile_write_default(struct jsonw *json, const struct profile *profile,
                           const struct profile_labels *labels, struct str currency)
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
    profile_write_labels(json, labels);
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
