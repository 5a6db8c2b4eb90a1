#include "core/trigger/native.h"

#include <assert.h>

#include "base/buf.h"
#include "base/codec.h"
#include "native_priv.h"
#include "scan_priv.h"

/*
 * The ESPs we speak to by their own event calls.
 *
 * One table says what differs: where, how the key is shown, what a subscription
 * must set, how fast we may call, and which answers end a delivery. Everything
 * else (queue, retries, leases, breaker) is the same as for any endpoint.
 *
 * The addresses are ours, never a subscriber's: a key for Klaviyo goes to
 * Klaviyo. `base_url` replaces the host in development only, and passes the same
 * guard as any URL (the API refuses it elsewhere).
 *
 * Answers. 2xx is delivered for all, though most only mean "queued". An ESP that
 * calls a body malformed (400, 413, 422) will say so again in three days, so that is the
 * end, and the delivery may be replayed when the cause is mended. 401 and 403 are
 * retried: a key is replaced within hours, and Mailchimp throttles by a bare 403. 404
 * is "no such member" for Mailchimp and "no such key" for Braze, so it is final for
 * the first only. HubSpot rejects an id it has seen within a year; that it does so by 409
 * is not documented, and costs nothing if it does not.
 *
 * Rates, where they are published (2026): Klaviyo 350 a second and 3,500 a minute,
 * of which the minute binds; Customer.io asks for 100 a second; Braze 3,000 in three
 * seconds; Brevo 10 a second for POST /v3/events; Iterable 2,000 a second for
 * events/track is not confirmed, so a quarter is taken; HubSpot 100 in ten seconds for
 * the smallest of its plans. Mailchimp counts connections: ten for a whole account, of
 * which we take half.
 */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_date(struct str value)
{
    if (value.size != 10) {
        return false;
    }
    for (size_t i = 0; i < value.size; i++) {
        bool is_dash = i == 4 || i == 7;
        if (is_dash ? value.data[i] != '-' : !is_digit(value.data[i])) {
            return false;
        }
    }
    return true;
}

static bool is_region(struct str value)
{
    return str_equal(value, STR("us")) || str_equal(value, STR("eu"));
}

static bool is_token(struct str value)
{
    for (size_t i = 0; i < value.size; i++) {
        char c = value.data[i];
        if (!is_digit(c) && !is_lower(c) && !(c >= 'A' && c <= 'Z') && c != '_' && c != '-') {
            return false;
        }
    }
    return value.size > 0 && value.size <= 128;
}

/* "fra-02", "us-10": part of a host name. */
static bool is_cluster(struct str value)
{
    for (size_t i = 0; i < value.size; i++) {
        if (!is_digit(value.data[i]) && !is_lower(value.data[i]) && value.data[i] != '-') {
            return false;
        }
    }
    return value.size >= 4 && value.size <= 16 && is_lower(value.data[0]) &&
           is_digit(value.data[value.size - 1]);
}

/* "us6" */
static bool is_data_center(struct str value)
{
    size_t letters = 0;
    while (letters < value.size && is_lower(value.data[letters])) {
        letters++;
    }
    for (size_t i = letters; i < value.size; i++) {
        if (!is_digit(value.data[i])) {
            return false;
        }
    }
    return letters >= 2 && letters <= 3 && value.size > letters && value.size <= letters + 3;
}

/* "pe1234567_order_completed" */
static bool is_event_name(struct str value)
{
    if (!str_starts_with(value, STR("pe")) || value.size > 128) {
        return false;
    }
    size_t at = 2;
    while (at < value.size && is_digit(value.data[at])) {
        at++;
    }
    if (at == 2 || at + 1 >= value.size || value.data[at] != '_') {
        return false;
    }
    for (; at < value.size; at++) {
        char c = value.data[at];
        if (!is_digit(c) && !is_lower(c) && c != '_') {
            return false;
        }
    }
    return true;
}

static bool is_name_list(struct str value)
{
    for (size_t i = 0; i < value.size; i++) {
        char c = value.data[i];
        if (!is_digit(c) && !is_lower(c) && c != '_' && c != ',' && c != ' ') {
            return false;
        }
    }
    return value.size > 0 && value.size <= 2048;
}

static bool is_identifier(struct str value)
{
    return str_equal(value, STR("email")) || str_equal(value, STR("external_id")) ||
           str_equal(value, STR("phone"));
}

static bool is_email_or_id(struct str value)
{
    return str_equal(value, STR("email")) || str_equal(value, STR("external_id"));
}

#define IDENTIFIER_SETTING                                                  \
    {                                                                       \
        "identifier", false, NULL,                                          \
            "\"email\", \"external_id\" or \"phone\"; left out: the first " \
            "of these that is known",                                       \
            is_identifier                                                   \
    }
#define EMAIL_OR_ID_SETTING                                                             \
    {                                                                                   \
        "identifier", false, NULL,                                                      \
            "\"email\" or \"external_id\"; left out: the first of these that is known", \
            is_email_or_id                                                              \
    }

static const struct native_setting klaviyo_settings[] = {
    { "revision", false, "2026-07-15", "a revision of Klaviyo's API, a date such as 2026-07-15",
      is_date },
    IDENTIFIER_SETTING,
    { .name = NULL },
};
static const struct native_setting customerio_settings[] = {
    { "site_id", true, NULL, "the site id that belongs to the key", is_token },
    { "region", false, "us", "\"us\" or \"eu\"", is_region },
    EMAIL_OR_ID_SETTING,
    { .name = NULL },
};
static const struct native_setting braze_settings[] = {
    { "cluster", true, NULL, "your instance as in its REST endpoint, such as \"fra-02\"",
      is_cluster },
    IDENTIFIER_SETTING,
    { .name = NULL },
};
static const struct native_setting mailchimp_settings[] = {
    { "data_center", true, NULL, "the end of the key and of the address of your dashboard: \"us6\"",
      is_data_center },
    { "list", true, NULL, "the audience's id, such as \"a1b2c3d4e5\"", is_token },
    { .name = NULL },
};
static const struct native_setting brevo_settings[] = {
    IDENTIFIER_SETTING,
    { .name = NULL },
};
static const struct native_setting iterable_settings[] = {
    { "region", false, "us", "\"us\" or \"eu\"", is_region },
    EMAIL_OR_ID_SETTING,
    { .name = NULL },
};
static const struct native_setting hubspot_settings[] = {
    { "event", true, NULL, "the event's fully qualified name, such as \"pe1234567_shopbell\"",
      is_event_name },
    { "properties", false, NULL,
      "names of properties that the event defines, parted by commas; left out: all are sent",
      is_name_list },
    { .name = NULL },
};

static const struct native_setting *const settings[NATIVE_COUNT] = {
    [NATIVE_KLAVIYO] = klaviyo_settings, [NATIVE_CUSTOMERIO] = customerio_settings,
    [NATIVE_BRAZE] = braze_settings,     [NATIVE_MAILCHIMP] = mailchimp_settings,
    [NATIVE_BREVO] = brevo_settings,     [NATIVE_ITERABLE] = iterable_settings,
    [NATIVE_HUBSPOT] = hubspot_settings,
};

#define JSON_TYPE "application/json"

static const struct native_info infos[NATIVE_COUNT] = {
    [NATIVE_KLAVIYO] = { "klaviyo", "Klaviyo", "application/vnd.api+json", 8, 58, 1000 },
    [NATIVE_CUSTOMERIO] = { "customerio", "Customer.io", JSON_TYPE, 8, 100, 1000 },
    [NATIVE_BRAZE] = { "braze", "Braze", JSON_TYPE, 8, 3000, 3000 },
    [NATIVE_MAILCHIMP] = { "mailchimp", "Mailchimp", JSON_TYPE, 5, 0, 0 },
    [NATIVE_BREVO] = { "brevo", "Brevo", JSON_TYPE, 4, 10, 1000 },
    [NATIVE_ITERABLE] = { "iterable", "Iterable", JSON_TYPE, 8, 500, 1000 },
    [NATIVE_HUBSPOT] = { "hubspot", "HubSpot", JSON_TYPE, 8, 100, 10000 },
};

const struct native_info *native_info(enum native_format format)
{
    return format > NATIVE_NONE && format < NATIVE_COUNT ? &infos[format] : NULL;
}

enum native_format native_from_name(struct str name)
{
    for (int format = NATIVE_NONE + 1; format < NATIVE_COUNT; format++) {
        if (str_equal_z(name, infos[format].name)) {
            return (enum native_format)format;
        }
    }
    return NATIVE_NONE;
}

const struct native_setting *native_setting(enum native_format format, size_t index)
{
    assert(format > NATIVE_NONE && format < NATIVE_COUNT);
    const struct native_setting *list = settings[format];
    for (size_t i = 0; list[i].name != NULL; i++) {
        if (i == index) {
            return &list[i];
        }
    }
    return NULL;
}

/* Of any name: base_url is none of the table's. */
static struct str setting_text(struct arena *arena, struct str settings_json, const char *name)
{
    struct str object = scan_space(settings_json);
    struct str value = { NULL, 0 };
    if (!native_find(arena, object, name, &value) || value.data[0] != '"') {
        return (struct str){ NULL, 0 };
    }
    return native_text(arena, value);
}

struct str native_setting_value(struct arena *arena, enum native_format format,
                                struct str settings_json, const char *name)
{
    struct str value = setting_text(arena, settings_json, name);
    for (size_t i = 0; value.size == 0 && native_setting(format, i) != NULL; i++) {
        const struct native_setting *setting = native_setting(format, i);
        if (str_equal_z(str_from_z(name), setting->name)) {
            value = str_from_z(setting->fallback);
        }
    }
    return value;
}

static struct str host_of(struct arena *arena, enum native_format format, struct str settings_json)
{
    struct str region = native_setting_value(arena, format, settings_json, "region");
    bool is_eu = str_equal(region, STR("eu"));
    switch (format) {
    case NATIVE_KLAVIYO:
        return STR("https://a.klaviyo.com");
    case NATIVE_CUSTOMERIO:
        return is_eu ? STR("https://track-eu.customer.io") : STR("https://track.customer.io");
    case NATIVE_BRAZE: {
        struct str cluster = native_setting_value(arena, format, settings_json, "cluster");
        /* Braze's European instances have a domain of their own. */
        const char *domain = str_starts_with(cluster, STR("fra-")) ? "braze.eu" : "braze.com";
        return str_printf(arena, "https://rest.%.*s.%s", STR_ARG(cluster), domain);
    }
    case NATIVE_MAILCHIMP:
        return str_printf(
            arena, "https://%.*s.api.mailchimp.com",
            STR_ARG(native_setting_value(arena, format, settings_json, "data_center")));
    case NATIVE_BREVO:
        return STR("https://api.brevo.com");
    case NATIVE_ITERABLE:
        return is_eu ? STR("https://api.eu.iterable.com") : STR("https://api.iterable.com");
    case NATIVE_HUBSPOT:
        return STR("https://api.hubapi.com");
    case NATIVE_NONE:
    case NATIVE_COUNT:
        break;
    }
    assert(false);
    return (struct str){ NULL, 0 };
}

static struct str base_url(struct arena *arena, enum native_format format, struct str settings_json)
{
    struct str given = setting_text(arena, settings_json, "base_url");
    if (given.size == 0) {
        return host_of(arena, format, settings_json);
    }
    return str_ends_with(given, STR("/")) ? str_take(given, given.size - 1) : given;
}

static struct str path_of(struct arena *arena, enum native_format format, struct str settings_json)
{
    switch (format) {
    case NATIVE_KLAVIYO:
        return STR("/api/events");
    case NATIVE_CUSTOMERIO:
        return STR("/api/v2/entity");
    case NATIVE_BRAZE:
        return STR("/users/track");
    case NATIVE_MAILCHIMP:
        return str_printf(arena, "/3.0/lists/%.*s/members",
                          STR_ARG(native_setting_value(arena, format, settings_json, "list")));
    case NATIVE_BREVO:
        return STR("/v3/events");
    case NATIVE_ITERABLE:
        return STR("/api/events/track");
    case NATIVE_HUBSPOT:
        return STR("/events/v3/send");
    case NATIVE_NONE:
    case NATIVE_COUNT:
        break;
    }
    assert(false);
    return (struct str){ NULL, 0 };
}

static struct str join(struct arena *arena, struct str head, struct str tail)
{
    return str_printf(arena, "%.*s%.*s", STR_ARG(head), STR_ARG(tail));
}

struct str native_url(struct arena *arena, enum native_format format, struct str settings_json)
{
    return join(arena, base_url(arena, format, settings_json),
                path_of(arena, format, settings_json));
}

struct str native_url_origin(struct str url)
{
    const struct str mark = STR("://");
    ptrdiff_t colon = str_find(url, ':', 0);
    ptrdiff_t slash = colon < 0 ? -1 : str_find(url, '/', (size_t)colon + mark.size);
    return slash < 0 ? url : str_take(url, (size_t)slash);
}

bool native_auth_is_valid(struct str auth)
{
    for (size_t i = 0; i < auth.size; i++) {
        if (auth.data[i] <= 0x20 || auth.data[i] >= 0x7f) {
            return false;
        }
    }
    return auth.size > 0 && auth.size <= NATIVE_AUTH_BYTES_MAX;
}

static struct str basic_line(struct arena *arena, struct str user, struct str auth)
{
    struct str pair = str_printf(arena, "%.*s:%.*s", STR_ARG(user), STR_ARG(auth));
    struct str text = base64_encode(arena, (const uint8_t *)pair.data, pair.size);
    return str_printf(arena, "Authorization: Basic %.*s", STR_ARG(text));
}

static struct str auth_line(struct arena *arena, enum native_format format,
                            struct str settings_json, struct str auth)
{
    switch (format) {
    case NATIVE_KLAVIYO:
        return str_printf(arena, "Authorization: Klaviyo-API-Key %.*s", STR_ARG(auth));
    case NATIVE_CUSTOMERIO:
        return basic_line(arena, native_setting_value(arena, format, settings_json, "site_id"),
                          auth);
    case NATIVE_MAILCHIMP:
        return basic_line(arena, STR("shopbell"), auth); /* any name will do */
    case NATIVE_BRAZE:
    case NATIVE_HUBSPOT:
        return str_printf(arena, "Authorization: Bearer %.*s", STR_ARG(auth));
    case NATIVE_BREVO:
        return str_printf(arena, "api-key: %.*s", STR_ARG(auth));
    case NATIVE_ITERABLE:
        return str_printf(arena, "Api-Key: %.*s", STR_ARG(auth));
    case NATIVE_NONE:
    case NATIVE_COUNT:
        break;
    }
    assert(false);
    return (struct str){ NULL, 0 };
}

size_t native_lines(struct arena *arena, enum native_format format, struct str settings_json,
                    struct str auth, struct str lines[NATIVE_LINES_MAX])
{
    size_t count = 0;
    lines[count++] = auth_line(arena, format, settings_json, auth);
    if (format == NATIVE_KLAVIYO) {
        struct str revision = native_setting_value(arena, format, settings_json, "revision");
        lines[count++] = str_printf(arena, "revision: %.*s", STR_ARG(revision));
    }
    return count;
}

/*
 * The cheapest question that only the key's owner gets an answer to. Braze's keys
 * have permissions one by one, and the one that is needed, users.track, opens nothing
 * to read: an empty call is made instead, which Braze refuses as empty (400) to who
 * may make it, and as unknown (401) to others.
 */
static struct str probe_path(struct arena *arena, enum native_format format,
                             struct str settings_json)
{
    switch (format) {
    case NATIVE_KLAVIYO:
        return STR("/api/accounts");
    case NATIVE_CUSTOMERIO:
        return STR("/api/v1/accounts/region");
    case NATIVE_BRAZE:
        return STR("/users/track");
    case NATIVE_MAILCHIMP:
        return str_printf(arena, "/3.0/lists/%.*s?fields=id",
                          STR_ARG(native_setting_value(arena, format, settings_json, "list")));
    case NATIVE_BREVO:
        return STR("/v3/account");
    case NATIVE_ITERABLE:
        return STR("/api/lists");
    case NATIVE_HUBSPOT:
        return STR("/account-info/v3/details");
    case NATIVE_NONE:
    case NATIVE_COUNT:
        break;
    }
    assert(false);
    return (struct str){ NULL, 0 };
}

struct native_probe native_probe(struct arena *arena, enum native_format format,
                                 struct str settings_json)
{
    struct str path = probe_path(arena, format, settings_json);
    return (struct native_probe){
        .url = join(arena, base_url(arena, format, settings_json), path),
        .body = format == NATIVE_BRAZE ? STR("{\"events\":[]}") : (struct str){ NULL, 0 },
    };
}

bool native_probe_passes(enum native_format format, int32_t status, const char **out_words)
{
    *out_words = NULL;
    if ((status >= 200 && status < 300) || (format == NATIVE_BRAZE && status == 400)) {
        return true;
    }
    if (status == 401 || (format == NATIVE_BRAZE && status == 404)) {
        *out_words = "it does not know the key in auth";
    } else if (status == 403 && format == NATIVE_KLAVIYO) {
        *out_words = "it knows the key, but the key may not read the account: it needs the scopes "
                     "accounts:read and events:write";
    } else if (status == 403) {
        *out_words = "it knows the key, but the key may not do this";
    } else if (status == 404 && format == NATIVE_MAILCHIMP) {
        *out_words = "it has no audience with the id in settings.list";
    }
    return false;
}

enum native_meaning native_meaning(enum native_format format, int32_t status)
{
    if (format == NATIVE_NONE) {
        return NATIVE_AS_USUAL;
    }
    switch (status) {
    case 400:
    case 413:
    case 422:
        return NATIVE_FINAL;
    case 404:
        return format == NATIVE_MAILCHIMP ? NATIVE_FINAL : NATIVE_AS_USUAL;
    case 409:
        return format == NATIVE_HUBSPOT ? NATIVE_REPEATED : NATIVE_AS_USUAL;
    default:
        return NATIVE_AS_USUAL;
    }
}
