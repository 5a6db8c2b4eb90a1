#include "sources/platform.h"

#include <assert.h>
#include <string.h>

#include "base/instant.h"
#include "base/limits.h"
#include "base/money.h"
#include "delivery_priv.h"
#include "engagement_priv.h"
#include "platform_priv.h"
#include "sources/json_border.h"

/*
 * The table of platforms, and the settings of a source.
 *
 * Everything that differs between platforms is a member of struct platform, so
 * that no code outside its own files asks which platform it is. Settings are
 * checked when they are written, never when a webhook comes: what the hot path
 * reads is already a zone that exists and a currency that is one.
 */

static const struct platform *const PLATFORMS[] = {
    /* clang-format off */
    &platform_shopify,
    &platform_woocommerce,
    &platform_bigcommerce,
    &platform_shopware,
    &platform_square,
    &platform_stripe,
    &platform_ecwid,
    &platform_squarespace,
    &platform_etsy,
    &platform_adobe_commerce,
    &platform_adobe_io_events,
    &platform_saleor,
    &platform_wix,
    &platform_commercetools,
    &platform_amazon_sns,
    &platform_custom,
    &platform_standard_webhooks,
    &platform_api,
    &platform_sdk,
    &platform_klaviyo,
    &platform_sendgrid,
    &platform_mailgun,
    &platform_postmark,
    &platform_brevo,
    &platform_sparkpost,
    &platform_customerio,
    &platform_mailchimp,
    &platform_mandrill,
    &platform_mailjet,
    &platform_mailersend,
    &platform_resend,
    &platform_ses,
    /* clang-format on */
};

const struct order_status_rule platform_no_statuses[] = { { NULL, ORDER_OPEN, false } };

/* Settings of every source, whatever its platform. */
static const char *const COMMON_SETTINGS[] = { "expected_silence", NULL };

enum {
    ALLOWED_ADDRESSES_MAX = 64,
    SETTINGS_MAX = 64,
    STATUSES_MAX = 32,
    ORIGINS_MAX = 50,
};

const struct platform *platform_at(size_t index)
{
    return index < ARRAY_COUNT(PLATFORMS) ? PLATFORMS[index] : NULL;
}

const struct platform *platform_find(struct str name)
{
    for (size_t i = 0; i < ARRAY_COUNT(PLATFORMS); i++) {
        if (str_equal_z(name, PLATFORMS[i]->name)) {
            return PLATFORMS[i];
        }
    }
    return NULL;
}

enum normalise_verdict platform_normalise(const struct platform *platform, struct arena *arena,
                                          const struct source *source,
                                          const struct inbound *inbound,
                                          struct normalised *out_normalised,
                                          struct problem *problem)
{
    if (platform->delivery != NULL) {
        return delivery_normalise(platform->delivery, arena, source, inbound, out_normalised,
                                  problem);
    }
    if (platform->engagement != NULL) {
        struct engagement_delivery delivery = engagement_deliver(platform, arena, source, inbound);
        return engagement_take_body(platform->engagement, &delivery, out_normalised, problem);
    }
    return platform->normalise(arena, source, inbound, out_normalised, problem);
}

const struct signature_spec *platform_signature(const struct platform *platform,
                                                const struct source *source)
{
    return source->signature != NULL ? source->signature : &platform->signature;
}

/* --- settings ------------------------------------------------------------- */

static enum status setting_fault(struct problem *problem, const char *key, const char *detail)
{
    problem_set(problem, STATUS_INVALID, "invalid-field", "%s", detail);
    problem_point(problem, "#/settings/%s", key);
    return STATUS_INVALID;
}

const char *platform_setting_at(const struct platform *platform, size_t index)
{
    size_t own = 0;
    while (platform->settings[own] != NULL) {
        if (own == index) {
            return platform->settings[own];
        }
        own++;
    }
    index -= own;
    return index < ARRAY_COUNT(COMMON_SETTINGS) ? COMMON_SETTINGS[index] : NULL;
}

static bool is_known(const struct platform *platform, const char *key)
{
    for (size_t i = 0; platform_setting_at(platform, i) != NULL; i++) {
        if (strcmp(platform_setting_at(platform, i), key) == 0) {
            return true;
        }
    }
    return false;
}

static enum status refuse_unknown(const struct platform *platform, json_t *settings,
                                  struct problem *problem)
{
    const char *names[SETTINGS_MAX];
    size_t count = 0;
    while (count < SETTINGS_MAX && platform_setting_at(platform, count) != NULL) {
        names[count] = platform_setting_at(platform, count);
        count++;
    }
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(settings, key, value)
    {
        if (is_known(platform, key)) {
            continue;
        }
        struct str name = str_take_text(str_from_z(key), LIMIT_NAME_BYTES);
        problem_set(problem, STATUS_INVALID, "unknown-field", "a %s source has no setting \"%.*s\"",
                    platform->title, STR_ARG(name));
        problem_suggest(problem, str_nearest(name, names, count));
        problem_point(problem, "#/settings/%.*s", STR_ARG(name));
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

/* Absent and null are "not set"; anything but text is a fault. */
static bool setting_text(const json_t *settings, const char *key, struct str *out_text)
{
    const json_t *value = json_object_get(settings, key);
    *out_text = border_text(settings, key);
    return value == NULL || json_is_null(value) || json_is_string(value);
}

static enum status take_zone(struct arena *arena, const json_t *settings, struct source *source,
                             struct problem *problem)
{
    struct str zone = { NULL, 0 };
    if (!setting_text(settings, "time_zone", &zone)) {
        return setting_fault(problem, "time_zone", "must be text");
    }
    if (zone.size > 0) {
        const char *name = str_dup_z(arena, zone);
        if (zone.size > LIMIT_NAME_BYTES || name == NULL || !instant_zone_exists(name)) {
            return setting_fault(problem, "time_zone",
                                 "no time zone of this name; IANA names look like Europe/Paris");
        }
        source->time_zone = (struct str){ name, zone.size };
    } else if (source->time_zone.size == 0) {
        source->time_zone = STR("UTC");
    }
    return STATUS_OK;
}

static enum status take_currency(struct arena *arena, const json_t *settings, struct source *source,
                                 struct problem *problem)
{
    struct str currency = { NULL, 0 };
    if (!setting_text(settings, "currency", &currency) ||
        (currency.size > 0 && !money_currency_is_valid(currency))) {
        return setting_fault(problem, "currency",
                             "an ISO 4217 code is needed: three capital letters, as in EUR");
    }
    if (currency.size > 0) {
        source->currency = str_dup(arena, currency);
    }
    return STATUS_OK;
}

/* A host name with at least one dot, or localhost. */
static bool is_host(struct str host)
{
    bool dotted = str_equal(host, STR("localhost"));
    if (host.size == 0 || host.size > 253 || host.data[0] == '.' || host.data[0] == '-') {
        return false;
    }
    for (size_t i = 0; i < host.size; i++) {
        char c = host.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
        if (!letter && c != '.') {
            return false;
        }
        dotted = dotted || c == '.';
    }
    return dotted;
}

static enum status take_shop(struct arena *arena, const json_t *settings, struct source *source,
                             struct problem *problem)
{
    struct str domain = { NULL, 0 };
    struct str site = { NULL, 0 };
    if (!setting_text(settings, "shop_domain", &domain)) {
        return setting_fault(problem, "shop_domain", "must be text");
    }
    if (!setting_text(settings, "site_url", &site)) {
        return setting_fault(problem, "site_url", "must be text");
    }
    if (domain.size > 0) {
        struct str host = str_lower(arena, domain);
        if (!is_host(host)) {
            return setting_fault(problem, "shop_domain",
                                 "a host name is needed, as in aurora.myshopify.com");
        }
        source->shop_domain = host;
    }
    if (site.size > 0) {
        struct str lower = str_lower(arena, site);
        size_t scheme = str_starts_with(lower, STR("https://"))  ? sizeof("https://") - 1
                        : str_starts_with(lower, STR("http://")) ? sizeof("http://") - 1
                                                                 : 0;
        struct str rest = str_drop(lower, scheme);
        size_t size = 0;
        while (size < rest.size && strchr("/:?#", rest.data[size]) == NULL) {
            size++;
        }
        if (scheme == 0 || !is_host(str_take(rest, size))) {
            return setting_fault(problem, "site_url",
                                 "the shop's address is needed, as in https://outlet.example");
        }
        source->shop_domain = str_take(rest, size);
    }
    return STATUS_OK;
}

/* --- pages ----------------------------------------------------------------- */

/* scheme://host[:port] and nothing behind it, as browsers write it. */
static bool is_origin(struct str origin)
{
    size_t scheme = str_starts_with(origin, STR("https://"))  ? sizeof("https://") - 1
                    : str_starts_with(origin, STR("http://")) ? sizeof("http://") - 1
                                                              : 0;
    struct str host = str_drop(origin, scheme);
    struct str port = STR("1");
    (void)str_split(host, ':', &host, &port);
    uint64_t number = 0;
    return scheme > 0 && is_host(host) && str_to_u64(port, &number) && number > 0 &&
           number <= UINT16_MAX;
}

static enum status take_origins(struct arena *arena, const json_t *settings, struct source *source,
                                struct problem *problem)
{
    const json_t *list = json_object_get(settings, "allowed_origins");
    source->allowed_origins = NULL;
    source->allowed_origin_count = 0;
    if (list == NULL || json_is_null(list)) {
        return STATUS_OK;
    }
    size_t count = json_array_size(list);
    struct str *origins = ARENA_NEW_ARRAY(arena, count + 1, struct str);
    if (!json_is_array(list) || count > ORIGINS_MAX || origins == NULL) {
        return setting_fault(problem, "allowed_origins", "a list of at most 50 origins is needed");
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *one = json_array_get(list, i);
        struct str text = { json_is_string(one) ? json_string_value(one) : "",
                            json_is_string(one) ? json_string_length(one) : 0 };
        origins[i] = str_lower(arena, text);
        if (!is_origin(origins[i])) {
            return setting_fault(problem, "allowed_origins",
                                 "an origin is a scheme and a host, as in https://aurora.example");
        }
    }
    source->allowed_origins = origins;
    source->allowed_origin_count = count;
    return STATUS_OK;
}

static enum status take_flag(const json_t *settings, const char *key, bool otherwise,
                             bool *out_value, struct problem *problem)
{
    const json_t *value = json_object_get(settings, key);
    *out_value = otherwise;
    if (value == NULL || json_is_null(value)) {
        return STATUS_OK;
    }
    if (!json_is_boolean(value)) {
        return setting_fault(problem, key, "true or false is needed");
    }
    *out_value = json_is_true(value);
    return STATUS_OK;
}

static enum status take_pages(struct arena *arena, const json_t *settings, struct source *source,
                              struct problem *problem)
{
    enum status status = take_origins(arena, settings, source, problem);
    if (status == STATUS_OK) {
        status = take_flag(settings, "respect_gpc", true, &source->respects_gpc, problem);
    }
    if (status == STATUS_OK) {
        status = take_flag(settings, "count_orders", true, &source->counts_orders, problem);
    }
    return status;
}

static enum status take_url(struct arena *arena, const json_t *settings, struct source *source,
                            struct problem *problem)
{
    struct str url = { NULL, 0 };
    if (!setting_text(settings, "notification_url", &url) || url.size > LIMIT_TEXT_BYTES ||
        (url.size > 0 && !str_starts_with(url, STR("https://")) &&
         !str_starts_with(url, STR("http://")))) {
        return setting_fault(problem, "notification_url",
                             "the address is needed that the sender was given, to the letter");
    }
    if (url.size > 0) {
        source->notification_url = str_dup(arena, url);
    }
    return STATUS_OK;
}

static enum status take_silence(const struct platform *platform, const json_t *settings,
                                struct source *source, struct problem *problem)
{
    struct str text = { NULL, 0 };
    bool is_text = setting_text(settings, "expected_silence", &text);
    source->expected_silence_ms = platform->expected_silence_ms;
    if (is_text && text.size == 0) {
        return STATUS_OK;
    }
    if (!is_text || !duration_parse(text, false, &source->expected_silence_ms) ||
        source->expected_silence_ms < INSTANT_SECOND_MS ||
        source->expected_silence_ms > LIMIT_SILENCE_MS) {
        return setting_fault(problem, "expected_silence",
                             "a duration between 1s and 366d is needed, as in 6h");
    }
    return STATUS_OK;
}

static enum status take_addresses(struct arena *arena, const json_t *settings,
                                  struct source *source, struct problem *problem)
{
    const json_t *list = json_object_get(settings, "allowed_addresses");
    size_t count = json_array_size(list);
    if (list == NULL || json_is_null(list)) {
        return STATUS_OK;
    }
    struct address_block *blocks = ARENA_NEW_ARRAY(arena, count + 1, struct address_block);
    if (!json_is_array(list) || count > ALLOWED_ADDRESSES_MAX || blocks == NULL) {
        return setting_fault(problem, "allowed_addresses",
                             "a list of at most 64 addresses or networks is needed");
    }
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (text == NULL || !address_block_parse(str_from_z(text), &blocks[i])) {
            problem_set(problem, STATUS_INVALID, "invalid-field",
                        "an address or a network is needed, as in 185.107.232.0/24");
            problem_point(problem, "#/settings/allowed_addresses/%zu", i);
            return STATUS_INVALID;
        }
    }
    source->allowed_addresses = blocks;
    source->allowed_address_count = count;
    return STATUS_OK;
}

/* --- which status makes an order count ------------------------------------ */

/* "created": any status. "paid": money is there. "paid_or_authorized", or
 * nothing: the platform's own table. */
static bool expand_word(struct arena *arena, const struct platform *platform, struct str word,
                        struct str *list, size_t *out_count)
{
    if (str_equal(word, STR("paid_or_authorized"))) {
        *out_count = 0;
        return true;
    }
    if (str_equal(word, STR("created"))) {
        list[0] = STR("created");
        *out_count = 1;
        return true;
    }
    if (!str_equal(word, STR("paid"))) {
        return false;
    }
    size_t count = 0;
    for (const struct order_status_rule *rule = platform->order_statuses; rule->status != NULL;
         rule++) {
        if (rule->counts && rule->rank >= ORDER_PAID && count < STATUSES_MAX) {
            list[count++] = str_dup(arena, str_from_z(rule->status));
        }
    }
    *out_count = count;
    return true;
}

static bool status_exists(const struct platform *platform, struct str status)
{
    for (const struct order_status_rule *rule = platform->order_statuses; rule->status != NULL;
         rule++) {
        if (str_equal_z(status, rule->status)) {
            return true;
        }
    }
    return false;
}

static enum status status_fault(const struct platform *platform, struct str status,
                                struct problem *problem)
{
    const char *names[STATUSES_MAX];
    size_t count = 0;
    for (const struct order_status_rule *rule = platform->order_statuses;
         rule->status != NULL && count < STATUSES_MAX; rule++) {
        names[count++] = rule->status;
    }
    struct str shown = str_take_text(status, LIMIT_NAME_BYTES);
    problem_set(problem, STATUS_INVALID, "invalid-field", "%s has no order status \"%.*s\"",
                platform->title, STR_ARG(shown));
    problem_suggest(problem, str_nearest(status, names, count));
    problem_point(problem, "#/settings/order_completed_when");
    return STATUS_INVALID;
}

static enum status take_word(struct arena *arena, const struct platform *platform,
                             const json_t *settings, struct str *list, size_t *out_count,
                             struct problem *problem)
{
    struct str word = border_text(settings, "order_completed_when");
    if (expand_word(arena, platform, word, list, out_count)) {
        return STATUS_OK;
    }
    return setting_fault(problem, "order_completed_when",
                         "\"paid_or_authorized\", \"created\", \"paid\", or a list of the "
                         "shop's order statuses is needed");
}

static enum status take_list(struct arena *arena, const struct platform *platform,
                             const json_t *value, struct str *list, size_t *out_count,
                             struct problem *problem)
{
    size_t count = json_array_size(value);
    if (count == 0 || count > STATUSES_MAX) {
        return setting_fault(problem, "order_completed_when",
                             "a word or a list of at least one order status is needed");
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *one = json_array_get(value, i);
        struct str status = { json_is_string(one) ? json_string_value(one) : "",
                              json_is_string(one) ? json_string_length(one) : 0 };
        if (!status_exists(platform, status)) {
            return status_fault(platform, status, problem);
        }
        list[i] = str_dup(arena, status);
    }
    *out_count = count;
    return STATUS_OK;
}

static enum status take_completed_when(struct arena *arena, const struct platform *platform,
                                       const json_t *settings, struct source *source,
                                       struct problem *problem)
{
    const json_t *value = json_object_get(settings, "order_completed_when");
    source->order_completed_when = NULL;
    source->order_completed_when_count = 0;
    if (value == NULL || json_is_null(value)) {
        return STATUS_OK;
    }
    struct str *list = ARENA_NEW_ARRAY(arena, STATUSES_MAX, struct str);
    size_t count = 0;
    if (list == NULL) {
        return problem_set(problem, STATUS_LIMIT, "limit-reached", "no memory for the settings");
    }
    enum status status = json_is_string(value)
                             ? take_word(arena, platform, settings, list, &count, problem)
                             : take_list(arena, platform, value, list, &count, problem);
    if (status != STATUS_OK) {
        return status;
    }
    source->order_completed_when = list;
    source->order_completed_when_count = count;
    return STATUS_OK;
}

enum status platform_parse_settings(struct arena *arena, const struct platform *platform,
                                    struct str settings_json, struct source *source,
                                    struct problem *problem)
{
    json_t *settings CLEANUP(border_free_at) =
        border_parse(settings_json.size > 0 ? settings_json : STR("{}"), problem);
    if (settings == NULL || !json_is_object(settings)) {
        problem_set(problem, STATUS_INVALID, "invalid-field", "settings must be a JSON object");
        problem_point(problem, "#/settings");
        return STATUS_INVALID;
    }
    struct source parsed = *source;
    enum status status = refuse_unknown(platform, settings, problem);
    if (status == STATUS_OK) {
        status = take_zone(arena, settings, &parsed, problem);
    }
    if (status == STATUS_OK) {
        status = take_currency(arena, settings, &parsed, problem);
    }
    if (status == STATUS_OK) {
        status = take_shop(arena, settings, &parsed, problem);
    }
    if (status == STATUS_OK) {
        status = take_completed_when(arena, platform, settings, &parsed, problem);
    }
    if (status == STATUS_OK) {
        status = take_pages(arena, settings, &parsed, problem);
    }
    if (status == STATUS_OK) {
        status = take_url(arena, settings, &parsed, problem);
    }
    if (status == STATUS_OK) {
        status = take_addresses(arena, settings, &parsed, problem);
    }
    if (status == STATUS_OK) {
        status = take_silence(platform, settings, &parsed, problem);
    }
    if (status == STATUS_OK && platform->parse_settings != NULL) {
        status = platform->parse_settings(arena, settings_json, &parsed, problem);
    }
    if (status == STATUS_OK && arena_is_full(arena)) {
        status = problem_set(problem, STATUS_LIMIT, "limit-reached", "no memory for the settings");
    }
    if (status == STATUS_OK) {
        *source = parsed;
    }
    return status;
}
