#include <jansson.h>
#include <sodium.h>

#include "base/limits.h"
#include "core/trigger/native.h"
#include "subscription_priv.h"

/*
 * Subscriptions of an ESP's own format: what they must say, their key, and the
 * call that proves it.
 *
 * The url is made from format and settings and cannot be given, so that the key
 * goes to no one but the ESP; `settings.base_url` names another host where plain
 * http is allowed (development), and passes the guard of any url. A subscription
 * keeps its ESP: with another, the first one's key would be shown to the second, and
 * what was frozen for the first sent to it.
 *
 * The key is sealed as signing secrets are, and beside them; it is never shown.
 * There is no challenge, since nobody has to be asked whether he wants to be
 * called: who has the key may. Instead the ESP is called once, changing nothing.
 */

enum {
    SETTING_BYTES_MAX = 2048,
};

static enum native_format format_of(const struct subscription_row *row)
{
    return native_from_name(row->format);
}

bool subscription_is_native(const struct subscription_row *row)
{
    return format_of(row) != NATIVE_NONE;
}

/* --- reading ---------------------------------------------------------------- */

static void check_setting(struct document *settings, const struct native_setting *setting)
{
    struct str value = document_text(settings, setting->name, SETTING_BYTES_MAX);
    if (settings->status != STATUS_OK) {
        return;
    }
    if (value.size == 0 && setting->is_required) {
        document_fail(settings, setting->name, "invalid-field", "%s is needed: %s", setting->name,
                      setting->words);
    } else if (value.size > 0 && !setting->is_valid(value)) {
        document_fail(settings, setting->name, "invalid-field", "%s is %s", setting->name,
                      setting->words);
    }
}

/* Of another host in development: its url is checked as any. */
static void check_base_url(const struct resource_request *request, struct document *settings)
{
    const struct sender_config *config = request->api->sender_config;
    if (document_has(settings, "base_url") && (config == NULL || !config->allow_http)) {
        document_fail(settings, "base_url", "invalid-field",
                      "base_url is for development: it needs deliver.allow_http");
    }
    (void)document_text(settings, "base_url", SETTING_BYTES_MAX);
}

static void check_settings(const struct resource_request *request, struct document *document,
                           enum native_format format)
{
    const char *names[8] = { "base_url" };
    size_t count = 1;
    struct document settings;
    json_t *value = json_object_get(document->root, "settings");
    for (size_t i = 0; native_setting(format, i) != NULL && count < ARRAY_COUNT(names); i++) {
        names[count++] = native_setting(format, i)->name;
    }
    document_wrap(&settings, document->arena,
                  json_is_object(value) ? json_incref(value) : json_object(), document->problem);
    document_allow(&settings, names, count);
    for (size_t i = 0; native_setting(format, i) != NULL; i++) {
        check_setting(&settings, native_setting(format, i));
    }
    check_base_url(request, &settings);
    document_close_member(document, "settings", &settings);
}

void subscription_read_native(const struct resource_request *request, struct document *document,
                              struct subscription_row *row)
{
    enum native_format format = format_of(row);
    if (document->status != STATUS_OK) {
        return;
    }
    if (document_has(document, "url")) {
        document_fail(document, "url", "invalid-field",
                      "the url of %s is made from format and settings; leave it out, or null",
                      native_info(format)->title);
    }
    const struct native_bulk *bulk = native_bulk(format);
    if (row->batch_max > 0 && bulk == NULL) {
        document_fail(document, "batch", "invalid-field",
                      "%s is called once for each message; leave batch out",
                      native_info(format)->title);
    } else if (row->batch_max > 0 && (size_t)row->batch_max > bulk->members_max) {
        document_fail(document, "batch", "invalid-field", "%s takes at most %zu in one call",
                      native_info(format)->title, bulk->members_max);
    }
    check_settings(request, document, format);
    if (document->status != STATUS_OK) {
        return;
    }
    row->url = native_url(request->arena, format, row->settings_json);
    if (row->rate_count == 0) {
        row->rate_count = native_info(format)->rate_count;
        row->rate_per_ms = native_info(format)->rate_per_ms;
    }
}

enum status subscription_read_auth(const struct resource_request *request, struct str body,
                                   struct str former_format, const struct subscription_row *row,
                                   struct str *out_auth, struct problem *problem)
{
    struct document CLEANUP(document_close) document = { .root = NULL };
    enum status status = document_open(&document, request->arena, body, problem);
    if (status != STATUS_OK) {
        return status;
    }
    struct str auth = document_text(&document, "auth", NATIVE_AUTH_BYTES_MAX);
    bool is_native = subscription_is_native(row);
    bool is_new = former_format.size == 0;
    bool has_moved = !is_new && !str_equal(former_format, row->format);
    if (has_moved && (is_native || native_from_name(former_format) != NATIVE_NONE)) {
        document_fail(&document, "format", "invalid-field",
                      "a subscription keeps its ESP; make another one for \"%.*s\"",
                      STR_ARG(row->format));
    } else if (!is_native && auth.size > 0) {
        document_fail(&document, "auth", "invalid-field",
                      "auth is the key of an ESP; the format \"%.*s\" needs none",
                      STR_ARG(row->format));
    } else if (is_native && is_new && auth.size == 0) {
        document_fail(&document, "auth", "invalid-field", "%s needs a key in auth",
                      native_info(format_of(row))->title);
    } else if (auth.size > 0 && !native_auth_is_valid(auth)) {
        document_fail(&document, "auth", "invalid-field",
                      "a key is printable ASCII without blanks");
    }
    if (document.status == STATUS_OK) {
        *out_auth = auth;
    }
    return document.status;
}

/* --- the key ------------------------------------------------------------------ */

enum status subscription_seal_auth(const struct resource_request *request, struct str auth,
                                   struct subscription_secrets_new *out_secrets,
                                   struct problem *problem)
{
    struct subscription_secrets_new secrets = { .items[0].id = id_create(), .count = 1 };
    struct str plain = str_printf(request->arena, NATIVE_AUTH_PREFIX "%.*s", STR_ARG(auth));
    if (plain.size == 0 ||
        seal_close(request->api->seal, request->arena, SUBSCRIPTION_SECRET_TABLE,
                   secrets.items[0].id, plain, &secrets.items[0].sealed) != STATUS_OK) {
        return problem_set(problem, STATUS_BROKEN, "internal", "the key could not be sealed");
    }
    *out_secrets = secrets;
    return STATUS_OK;
}

static enum status open_auth(const struct resource_request *request,
                             const struct subscription_row *row, struct str *out_auth,
                             struct problem *problem)
{
    const struct str prefix = STR(NATIVE_AUTH_PREFIX);
    struct subscription_secret_row *secrets = NULL;
    size_t count = 0;
    enum status status =
        subscription_secret_list(request->pg, request->arena, row->workspace_id, &row->id, 1,
                                 request->now_ms, &secrets, &count, problem);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        struct str plain = { NULL, 0 };
        if (seal_open(request->api->seal, request->arena, SUBSCRIPTION_SECRET_TABLE, secrets[i].id,
                      secrets[i].sealed, &plain) == STATUS_OK &&
            str_starts_with(plain, prefix)) {
            *out_auth = str_drop(plain, prefix.size);
            return STATUS_OK;
        }
    }
    return status != STATUS_OK ? status
                               : problem_set(problem, STATUS_BROKEN, "internal",
                                             "the key was sealed under another master key");
}

enum status subscription_endpoint_native(const struct resource_request *request,
                                         const struct subscription_row *row,
                                         struct endpoint *endpoint, struct problem *problem)
{
    struct str auth = { NULL, 0 };
    enum status status = open_auth(request, row, &auth, problem);
    if (status != STATUS_OK) {
        return status;
    }
    struct str own[NATIVE_LINES_MAX];
    size_t own_count = native_lines(request->arena, format_of(row), row->settings_json, auth, own);
    struct str *lines =
        ARENA_NEW_ARRAY(request->arena, endpoint->header_count + own_count, struct str);
    if (lines == NULL) {
        return problem_set(problem, STATUS_LIMIT, "limit-reached", "too many headers");
    }
    for (size_t i = 0; i < endpoint->header_count; i++) {
        lines[i] = endpoint->header_lines[i];
    }
    for (size_t i = 0; i < own_count; i++) {
        lines[endpoint->header_count + i] = own[i];
    }
    endpoint->header_lines = lines;
    endpoint->header_count += own_count;
    endpoint->format = format_of(row);
    return STATUS_OK;
}

/* --- calls -------------------------------------------------------------------- */

static enum status probe_failed(const struct subscription_row *row,
                                const struct sender_answer *answer, const char *words,
                                struct problem *problem)
{
    const char *title = native_info(format_of(row))->title;
    if (answer->status == 0) {
        return problem_set(problem, STATUS_INVALID, "challenge-failed", "%s did not answer: %.*s",
                           title, STR_ARG(str_take_text(answer->error, 200)));
    }
    if (words != NULL) {
        return problem_set(problem, STATUS_INVALID, "challenge-failed", "%s answered %d: %s", title,
                           (int)answer->status, words);
    }
    return problem_set(problem, STATUS_INVALID, "challenge-failed",
                       "%s answered %d, which says nothing of the key: try again", title,
                       (int)answer->status);
}

enum status subscription_probe(const struct resource_request *request,
                               const struct subscription_row *row, struct problem *problem)
{
    const struct sender_config *config = request->api->sender_config;
    struct native_probe probe = native_probe(request->arena, format_of(row), row->settings_json);
    struct endpoint endpoint = { .url = probe.url, .timeout_ms = row->timeout_ms, .active = true };
    struct sender_answer answer = { .status = 0 };
    const char *words = NULL;
    if (config == NULL) {
        return problem_set(problem, STATUS_BROKEN, "internal", "this process sends nothing");
    }
    enum status status = subscription_endpoint_native(request, row, &endpoint, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (sender_call_once(config, request->arena, &endpoint, probe.body, &answer) != STATUS_OK) {
        return problem_set(problem, STATUS_BROKEN, "internal", "the request could not be made");
    }
    return native_probe_passes(format_of(row), answer.status, &words)
               ? STATUS_OK
               : probe_failed(row, &answer, words, problem);
}
