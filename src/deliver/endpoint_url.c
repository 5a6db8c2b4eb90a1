#include <curl/curl.h>

#include "base/limits.h"
#include "deliver/address_guard.h"
#include "deliver/port_rule.h"
#include "deliver/sender.h"

/*
 * Is this a URL that we would ever call?
 *
 * A courtesy, not the wall: the wall is address_guard at connect time. It says
 * early, to the person who types it, what would fail later. Invariant: there is
 * one parser, libcurl's, for the check and for the call, so the two cannot
 * disagree on where the host ends; what it is known to be lenient about (white
 * space, backslashes, bytes beyond ASCII, an empty authority) is refused before
 * it. Rejected: a list of bad names, which is never complete.
 */

/* Browsers and proxies agree on 2,000-odd; a longer one carries data that
 * belongs in the body. */
#define URL_BYTES_MAX 2048u

struct url_parts {
    CURLU *handle;
    char *scheme;
    char *host;
    char *port;
    char *user;
    char *password;
    char *fragment;
    char *zone;
};

static void url_parts_finish(struct url_parts *parts)
{
    curl_free(parts->scheme);
    curl_free(parts->host);
    curl_free(parts->port);
    curl_free(parts->user);
    curl_free(parts->password);
    curl_free(parts->fragment);
    curl_free(parts->zone);
    curl_url_cleanup(parts->handle);
}

static bool url_parts_read(struct url_parts *parts, const char *url)
{
    parts->handle = curl_url();
    if (parts->handle == NULL ||
        curl_url_set(parts->handle, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK) {
        return false;
    }
    /* Parts that are not there leave their pointer NULL. */
    curl_url_get(parts->handle, CURLUPART_USER, &parts->user, 0);
    curl_url_get(parts->handle, CURLUPART_PASSWORD, &parts->password, 0);
    curl_url_get(parts->handle, CURLUPART_FRAGMENT, &parts->fragment, 0);
    curl_url_get(parts->handle, CURLUPART_ZONEID, &parts->zone, 0);
    curl_url_get(parts->handle, CURLUPART_PORT, &parts->port, CURLU_DEFAULT_PORT);
    return curl_url_get(parts->handle, CURLUPART_SCHEME, &parts->scheme, 0) == CURLUE_OK &&
           curl_url_get(parts->handle, CURLUPART_HOST, &parts->host, 0) == CURLUE_OK;
}

static enum status refuse(struct problem *problem, const char *why)
{
    enum status status = problem_set(problem, STATUS_INVALID, "url-not-allowed", "%s", why);
    problem_point(problem, "#/url");
    return status;
}

static bool text_is_plain(struct str url)
{
    for (size_t i = 0; i < url.size; i++) {
        unsigned char c = (unsigned char)url.data[i];
        if (c <= 0x20 || c >= 0x7f || c == '\\' || c == '"' || c == '<' || c == '>') {
            return false;
        }
    }
    return true;
}

static enum status port_check(const char *text, const struct port_rule *rule,
                              struct problem *problem)
{
    uint64_t port = 0;
    if (text != NULL && str_to_u64(str_from_z(text), &port) && port_rule_allows(rule, port)) {
        return STATUS_OK;
    }
    if (rule->is_listed) {
        return refuse(problem, "the port is not among those that the operator allows with "
                               "allow_ports");
    }
    if (port >= 1024 && port <= UINT16_MAX) {
        return refuse(problem, "the port is at home in another service than a web server; an "
                               "operator may allow it with allow_ports");
    }
    return refuse(problem, rule->allow_http ? "the port must be 443, 80, or 1024 and above"
                                            : "the port must be 443, or 1024 and above");
}

static bool label_is_name(struct str label)
{
    if (label.size == 0 || label.size > 63 || label.data[0] == '-') {
        return false;
    }
    for (size_t i = 0; i < label.size; i++) {
        char c = label.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '-' && c != '_') {
            return false;
        }
    }
    return true;
}

/* Some resolver reads a number in each of these: 127.1, 0x7f.1, 1.2.3.4.5. What
 * libcurl did not make four decimals of is no name that we would look up. */
static bool label_is_number(struct str label)
{
    if (label.size >= 2 && label.data[0] == '0' && (label.data[1] | 0x20) == 'x') {
        return true;
    }
    for (size_t i = 0; i < label.size; i++) {
        if (label.data[i] < '0' || label.data[i] > '9') {
            return false;
        }
    }
    return true;
}

static bool host_is_name(struct str host)
{
    if (str_ends_with(host, STR("."))) {
        host = str_take(host, host.size - 1);
    }
    if (host.size == 0 || host.size > 253) {
        return false;
    }
    struct str rest = host;
    struct str label = { NULL, 0 };
    while (str_split(rest, '.', &label, &rest)) {
        if (!label_is_name(label)) {
            return false;
        }
    }
    return label_is_name(rest) && !label_is_number(rest);
}

static enum status host_check(struct str host, const struct address_guard *guard,
                              struct problem *problem)
{
    bool bracketed = host.size >= 2 && host.data[0] == '[';
    if (bracketed) {
        host = str_take(str_drop(host, 1), host.size - 2);
    }
    if (address_text_is_literal(host)) {
        return address_guard_allows_text(guard, host)
                   ? STATUS_OK
                   : refuse(problem, "the address is not a public one; an operator may allow its "
                                     "network with allow_networks");
    }
    if (bracketed || !host_is_name(host)) {
        return refuse(problem, "the host is not a name (write international names in their "
                               "xn-- form)");
    }
    struct str name = str_ends_with(host, STR(".")) ? str_take(host, host.size - 1) : host;
    bool local =
        str_equal_nocase(name, STR("localhost")) ||
        (name.size > 10 && str_equal_nocase(str_drop(name, name.size - 10), STR(".localhost")));
    if (local && !address_guard_allows_text(guard, STR("127.0.0.1")) &&
        !address_guard_allows_text(guard, STR("::1"))) {
        return refuse(problem, "localhost is not a public address");
    }
    return STATUS_OK;
}

static enum status parts_check(const struct url_parts *parts, const struct port_rule *ports,
                               const struct address_guard *guard, struct problem *problem)
{
    bool is_http = strcmp(parts->scheme, "http") == 0;
    if (strcmp(parts->scheme, "https") != 0 && !(is_http && ports->allow_http)) {
        return refuse(problem, ports->allow_http ? "only https:// and http:// are called"
                                                 : "only https:// is called");
    }
    if (parts->user != NULL || parts->password != NULL) {
        return refuse(problem, "a URL with a user name or password is not called; use headers");
    }
    if (parts->fragment != NULL || parts->zone != NULL) {
        return refuse(problem, "a fragment or zone is not sent to anyone; leave it out");
    }
    enum status status = port_check(parts->port, ports, problem);
    return status == STATUS_OK ? host_check(str_from_z(parts->host), guard, problem) : status;
}

/* Before the parser: what it would forgive. */
static enum status text_check(struct str url, struct problem *problem)
{
    if (url.size == 0 || url.size > URL_BYTES_MAX) {
        return refuse(problem, "a URL has 1 to 2048 bytes");
    }
    if (!text_is_plain(url)) {
        return refuse(problem, "a URL is visible ASCII without quotes and backslashes");
    }
    ptrdiff_t colon = str_find(url, ':', 0);
    struct str behind = str_drop(url, colon < 0 ? url.size : (size_t)colon);
    if (!str_starts_with(behind, STR("://")) || str_starts_with(behind, STR(":///")) ||
        str_find(url, '#', 0) >= 0) {
        return refuse(problem, "a URL is https://host/path, without a fragment");
    }
    return STATUS_OK;
}

enum status endpoint_url_check(struct str url, const struct sender_config *config,
                               struct problem *problem)
{
    const struct sender_config strictest = { .allow_networks = NULL };
    struct address_guard guard;
    struct port_rule ports;
    config = config != NULL ? config : &strictest;
    enum status status = address_guard_init(&guard, config->allow_networks, problem);
    if (status == STATUS_OK) {
        status = port_rule_init(&ports, config->allow_ports, config->allow_http, problem);
    }
    if (status == STATUS_OK) {
        status = text_check(url, problem);
    }
    if (status != STATUS_OK) {
        return status;
    }
    char text[URL_BYTES_MAX + 1];
    memcpy(text, url.data, url.size);
    text[url.size] = '\0';
    struct url_parts parts CLEANUP(url_parts_finish) = { .handle = NULL };
    if (!url_parts_read(&parts, text)) {
        return refuse(problem, "this is not a URL");
    }
    return parts_check(&parts, &ports, &guard, problem);
}
