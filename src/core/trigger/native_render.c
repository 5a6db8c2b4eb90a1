#include <assert.h>
#include <string.h>

#include "base/buf.h"
#include "base/instant.h"
#include "base/limits.h"
#include "base/md5.h"
#include "native_priv.h"
#include "scan_priv.h"

/*
 * One notification in the words of each ESP.
 *
 * Every ESP wants the same four things and calls them differently: who, what
 * happened, when, and its properties. Where it has a field that makes a repeat
 * harmless, that field is our notification's id, which every retry carries
 * (Klaviyo unique_id, Customer.io id, Iterable id, HubSpot uuid); Braze, Brevo and
 * Mailchimp have none, so a repeat after a lost answer counts twice there, and the id
 * is among the properties for who wants to look.
 *
 * Who: one identifier, the first that is known and that the ESP takes: email,
 * external id, phone. One and not all, since two that belong to two people there would
 * merge them. `identifier` of the settings narrows it to one kind.
 *
 * Customer.io takes ULIDs only. Ours is made of the notification's instant and of 80
 * bits of its id (which is a hash), so it is the same for every attempt and sorts by
 * time, as a ULID should.
 */

enum {
    RENDER_BYTES_MAX = LIMIT_DELIVERY_BODY_BYTES,
    ULID_SIZE = 27,
    SECONDS_SIZE = 26, /* "2026-11-22T14:03:07+00:00" and NUL */
};

enum who_kind {
    WHO_EMAIL,
    WHO_EXTERNAL_ID,
    WHO_PHONE,
    WHO_COUNT,
};

static const char *const who_names[WHO_COUNT] = { "email", "external_id", "phone" };

/* What an ESP calls each identifier; NULL: it finds nobody by it. */
static const char *const who_fields[NATIVE_COUNT][WHO_COUNT] = {
    [NATIVE_KLAVIYO] = { "email", "external_id", "phone_number" },
    [NATIVE_CUSTOMERIO] = { "email", "id", NULL },
    [NATIVE_BRAZE] = { "email", "external_id", "phone" },
    [NATIVE_MAILCHIMP] = { "email", NULL, NULL },
    [NATIVE_BREVO] = { "email_id", "ext_id", "phone_id" },
    [NATIVE_ITERABLE] = { "email", "userId", NULL },
    [NATIVE_HUBSPOT] = { "email", NULL, NULL },
};

/*
 * Klaviyo: 400 properties, texts of 100 KB. Customer.io: 32 KB a request. Braze:
 * texts of 255 characters, properties of 50 KB, names without a leading "$".
 * Mailchimp: texts only; about 1,000 characters for all of it, says its staff. Brevo's
 * and Iterable's limits are not published: 64 KiB and 400 are ours. HubSpot: 50
 * properties, names of 50, texts of 256.
 */
static const struct native_limits limits[NATIVE_COUNT] = {
    [NATIVE_KLAVIYO] = { 400, 128, 100000, 200000, false, false, false },
    [NATIVE_CUSTOMERIO] = { 400, 150, 20000, 28000, false, false, false },
    [NATIVE_BRAZE] = { 400, 255, 255, 49000, false, false, false },
    [NATIVE_MAILCHIMP] = { 100, 100, 255, 1000, false, true, false },
    [NATIVE_BREVO] = { 400, 255, 8192, 65536, false, false, true },
    [NATIVE_ITERABLE] = { 400, 255, 8192, 65536, false, false, false },
    [NATIVE_HUBSPOT] = { 50, 50, 256, 16384, true, true, false },
};

/* How long an event's name may be, and whether it is of the narrow alphabet. */
static const struct {
    size_t bytes_max;
    bool is_plain;
} names[NATIVE_COUNT] = {
    [NATIVE_KLAVIYO] = { 127, false }, [NATIVE_CUSTOMERIO] = { 100, false },
    [NATIVE_BRAZE] = { 255, false },   [NATIVE_MAILCHIMP] = { 30, true },
    [NATIVE_BREVO] = { 255, true },    [NATIVE_ITERABLE] = { 255, false },
    [NATIVE_HUBSPOT] = { 128, true },
};

struct who {
    enum who_kind kind;
    const char *field;
    struct str value;
};

struct call {
    struct arena *arena;
    enum native_format format;
    struct str settings_json;
    const struct native_notification *notification;
    struct who who;
    struct str name;
};

static bool find_who(const struct call *call, struct who *out_who)
{
    const struct native_notification *notification = call->notification;
    const struct str known[WHO_COUNT] = { notification->email, notification->external_id,
                                          notification->phone };
    struct str only =
        native_setting_value(call->arena, call->format, call->settings_json, "identifier");
    for (int kind = 0; kind < WHO_COUNT; kind++) {
        const char *field = who_fields[call->format][kind];
        bool is_meant = only.size == 0 || str_equal_z(only, who_names[kind]);
        if (field != NULL && is_meant && known[kind].size > 0) {
            *out_who = (struct who){ (enum who_kind)kind, field, known[kind] };
            return true;
        }
    }
    return false;
}

struct str native_nobody_words(struct arena *arena, enum native_format format,
                               struct str settings_json)
{
    struct buf buf;
    struct str only = native_setting_value(arena, format, settings_json, "identifier");
    buf_init(&buf, arena, 256);
    buf_add_z(&buf, "not sent: ");
    buf_add_z(&buf, native_info(format)->title);
    buf_add_z(&buf, " finds people by ");
    bool is_first = true;
    for (int kind = 0; kind < WHO_COUNT; kind++) {
        if (who_fields[format][kind] == NULL ||
            (only.size > 0 && !str_equal_z(only, who_names[kind]))) {
            continue;
        }
        buf_add_z(&buf, is_first ? "" : " or ");
        buf_add_z(&buf, who_names[kind]);
        is_first = false;
    }
    buf_add_z(&buf, ", and none is known of this customer");
    return buf_str(&buf);
}

bool native_is_call(struct str body)
{
    return body.size > 0 && body.data[0] == '{';
}

static struct str event_name(const struct call *call)
{
    struct str wanted = str_trim(call->notification->metric);
    struct str topic = call->notification->topic;
    size_t bytes_max = names[call->format].bytes_max;
    if (call->format == NATIVE_HUBSPOT && wanted.size == 0) {
        return native_setting_value(call->arena, call->format, call->settings_json, "event");
    }
    if (!names[call->format].is_plain) {
        return str_take_text(wanted.size > 0 ? wanted : topic, bytes_max);
    }
    struct str plain = native_plain_name(call->arena, wanted, bytes_max);
    /* Mailchimp's names have two characters at least. */
    return plain.size >= 2 ? plain : native_plain_name(call->arena, topic, bytes_max);
}

/* --- forms of id and time --------------------------------------------------- */

static void ulid_format(int64_t at_ms, struct id id, char text[ULID_SIZE])
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    uint8_t bytes[16];
    for (size_t i = 0; i < 6; i++) {
        bytes[i] = (uint8_t)((uint64_t)at_ms >> (8 * (5 - i)));
    }
    /* Without the bytes that hold the UUID's version and variant. */
    memcpy(bytes + 6, id.bytes, 6);
    memcpy(bytes + 12, id.bytes + 12, 4);
    for (size_t i = 0; i < ULID_SIZE - 1; i++) {
        unsigned value = 0;
        for (size_t bit = 5 * i; bit < 5 * i + 5; bit++) {
            /* 130 places for 128 bits: the first two are zero. */
            unsigned one = bit < 2 ? 0 : bytes[(bit - 2) / 8] >> (7 - (bit - 2) % 8) & 1u;
            value = value << 1 | one;
        }
        text[i] = digits[value];
    }
    text[ULID_SIZE - 1] = '\0';
}

static void put_seconds(struct jsonw *json, const char *key, int64_t at_ms)
{
    char text[INSTANT_TEXT_SIZE];
    char seconds[SECONDS_SIZE];
    instant_format(at_ms, text);
    memcpy(seconds, text, SECONDS_SIZE - sizeof("+00:00"));
    memcpy(seconds + SECONDS_SIZE - sizeof("+00:00"), "+00:00", sizeof("+00:00"));
    jsonw_put_z(json, key, seconds);
}

/* --- bodies ------------------------------------------------------------------- */

static void put_properties(struct jsonw *json, const char *key, const struct call *call)
{
    struct str only = { NULL, 0 };
    struct native_notification notification = *call->notification;
    if (call->format == NATIVE_HUBSPOT) {
        only = native_setting_value(call->arena, call->format, call->settings_json, "properties");
    }
    if (call->format == NATIVE_KLAVIYO) {
        notification.has_value = false; /* it has a field of its own */
    }
    jsonw_key(json, key);
    jsonw_open(json);
    native_write_properties(call->arena, json, &limits[call->format], only, &notification);
    jsonw_close(json);
}

static void put_who(struct jsonw *json, const struct call *call)
{
    jsonw_put_str(json, call->who.field, call->who.value);
}

/* A name as the projection shows it; not, when it does not. */
static void put_known(struct jsonw *json, const struct call *call, const char *key)
{
    struct str data = scan_space(call->notification->data_json);
    struct str profile = { NULL, 0 };
    struct str value = { NULL, 0 };
    if (native_find(call->arena, data, "profile", &profile) &&
        native_find(call->arena, profile, key, &value) && value.data[0] == '"') {
        jsonw_put_raw(json, key, value);
    }
}

static void open_resource(struct jsonw *json, const char *key, const char *type)
{
    jsonw_key(json, key);
    jsonw_open(json);
    jsonw_key(json, "data");
    jsonw_open(json);
    jsonw_put_z(json, "type", type);
    jsonw_key(json, "attributes");
    jsonw_open(json);
}

static void close_resource(struct jsonw *json)
{
    jsonw_close(json);
    jsonw_close(json);
    jsonw_close(json);
}

static void write_klaviyo(struct jsonw *json, const struct call *call)
{
    const struct native_notification *notification = call->notification;
    jsonw_key(json, "data");
    jsonw_open(json);
    jsonw_put_z(json, "type", "event");
    jsonw_key(json, "attributes");
    jsonw_open(json);
    open_resource(json, "metric", "metric");
    jsonw_put_str(json, "name", call->name);
    close_resource(json);
    open_resource(json, "profile", "profile");
    put_who(json, call);
    put_known(json, call, "first_name");
    put_known(json, call, "last_name");
    close_resource(json);
    jsonw_put_id(json, "unique_id", notification->id);
    jsonw_put_instant(json, "time", notification->at_ms);
    if (notification->has_value) {
        jsonw_put_money(json, "value", notification->value_minor, notification->currency);
        jsonw_put_str(json, "value_currency", notification->currency);
    }
    put_properties(json, "properties", call);
    jsonw_close(json);
    jsonw_close(json);
}

static void write_customerio(struct jsonw *json, const struct call *call)
{
    char ulid[ULID_SIZE];
    ulid_format(call->notification->at_ms, call->notification->id, ulid);
    jsonw_put_z(json, "type", "person");
    jsonw_key(json, "identifiers");
    jsonw_open(json);
    put_who(json, call);
    jsonw_close(json);
    jsonw_put_z(json, "action", "event");
    jsonw_put_z(json, "id", ulid);
    jsonw_put_str(json, "name", call->name);
    jsonw_put_i64(json, "timestamp", call->notification->at_ms / INSTANT_SECOND_MS);
    put_properties(json, "attributes", call);
}

static void write_braze(struct jsonw *json, const struct call *call)
{
    jsonw_key(json, "events");
    jsonw_open_array(json);
    jsonw_open(json);
    put_who(json, call);
    jsonw_put_str(json, "name", call->name);
    jsonw_put_instant(json, "time", call->notification->at_ms);
    put_properties(json, "properties", call);
    jsonw_close(json);
    jsonw_close_array(json);
}

static void write_mailchimp(struct jsonw *json, const struct call *call)
{
    jsonw_put_str(json, "name", call->name);
    put_seconds(json, "occurred_at", call->notification->at_ms);
    put_properties(json, "properties", call);
}

static void write_brevo(struct jsonw *json, const struct call *call)
{
    jsonw_put_str(json, "event_name", call->name);
    jsonw_put_instant(json, "event_date", call->notification->at_ms);
    jsonw_key(json, "identifiers");
    jsonw_open(json);
    put_who(json, call);
    jsonw_close(json);
    put_properties(json, "event_properties", call);
}

static void write_iterable(struct jsonw *json, const struct call *call)
{
    put_who(json, call);
    jsonw_put_str(json, "eventName", call->name);
    jsonw_put_id(json, "id", call->notification->id);
    jsonw_put_i64(json, "createdAt", call->notification->at_ms / INSTANT_SECOND_MS);
    put_properties(json, "dataFields", call);
}

static void write_hubspot(struct jsonw *json, const struct call *call)
{
    jsonw_put_str(json, "eventName", call->name);
    put_who(json, call);
    jsonw_put_instant(json, "occurredAt", call->notification->at_ms);
    jsonw_put_id(json, "uuid", call->notification->id);
    put_properties(json, "properties", call);
}

static void write_body(struct jsonw *json, const struct call *call)
{
    jsonw_open(json);
    switch (call->format) {
    case NATIVE_KLAVIYO:
        write_klaviyo(json, call);
        break;
    case NATIVE_CUSTOMERIO:
        write_customerio(json, call);
        break;
    case NATIVE_BRAZE:
        write_braze(json, call);
        break;
    case NATIVE_MAILCHIMP:
        write_mailchimp(json, call);
        break;
    case NATIVE_BREVO:
        write_brevo(json, call);
        break;
    case NATIVE_ITERABLE:
        write_iterable(json, call);
        break;
    case NATIVE_HUBSPOT:
        write_hubspot(json, call);
        break;
    case NATIVE_NONE:
    case NATIVE_COUNT:
        assert(false);
        break;
    }
    jsonw_close(json);
}

/* Mailchimp's members are named by a hash of their address. */
static struct str target_of(const struct call *call)
{
    if (call->format != NATIVE_MAILCHIMP) {
        return (struct str){ NULL, 0 };
    }
    char hash[MD5_HEX_SIZE];
    md5_hex(str_lower(call->arena, call->who.value), hash);
    struct str list = native_setting_value(call->arena, call->format, call->settings_json, "list");
    return str_printf(call->arena, "/3.0/lists/%.*s/members/%s/events", STR_ARG(list), hash);
}

enum native_verdict native_render(struct arena *arena, enum native_format format,
                                  struct str settings_json,
                                  const struct native_notification *notification,
                                  struct native_rendition *out_rendition)
{
    assert(native_info(format) != NULL);
    struct call call = {
        .arena = arena,
        .format = format,
        .settings_json = settings_json,
        .notification = notification,
    };
    if (!find_who(&call, &call.who)) {
        return NATIVE_NOBODY;
    }
    struct buf buf;
    struct jsonw json;
    call.name = event_name(&call);
    buf_init(&buf, arena, RENDER_BYTES_MAX);
    jsonw_begin(&json, &buf);
    write_body(&json, &call);
    struct native_rendition rendition = { .target = target_of(&call), .body = buf_str(&buf) };
    if (buf.failed || arena_is_full(arena)) {
        return NATIVE_NO_MEMORY;
    }
    *out_rendition = rendition;
    return NATIVE_RENDERED;
}
