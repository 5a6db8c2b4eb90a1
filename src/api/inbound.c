#include <string.h>

#include "base/buf.h"
#include "base/jsonw.h"
#include "inbound_priv.h"

/*
 * A hook's request as verify and sources see it, and what of it is kept.
 *
 * All headers are handed on, since what a source signs with is its platform's
 * and its settings' business; those that are stored with the raw body are a short
 * list, for they come from strangers and live for a month. What proves the sender
 * by itself (a Bearer token, a password) is never among them.
 */

static const char *const KEPT[] = { "content-type", "user-agent", "content-encoding" };

bool inbound_collect(struct http_exchange *x, const char *public_url, struct str token,
                     struct inbound *out_inbound)
{
    struct arena *arena = http_arena(x);
    size_t count = http_header_total(x);
    struct inbound_header *headers = ARENA_NEW_ARRAY(arena, count + 1, struct inbound_header);
    if (headers == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        http_header_at(x, i, &headers[i].name, &headers[i].value);
    }
    *out_inbound = (struct inbound){
        .headers = headers,
        .header_count = count,
        .body = http_body(x),
        .received_at_ms = http_received_at_ms(x),
        .is_get = http_method_of(x) == HTTP_GET,
        .query = http_query_text(x),
        .token = token,
        .url = str_printf(arena, "%s/v1/hooks/%.*s", public_url,
                          STR_ARG(http_path_param(x, "source_id"))),
        .client = http_client_address(x),
    };
    return !arena_is_full(arena);
}

static bool is_among(struct str name, const char *const *names)
{
    for (; names != NULL && *names != NULL; names++) {
        if (str_equal_nocase_z(name, *names)) {
            return true;
        }
    }
    return false;
}

static bool is_of_signature(struct str name, const struct signature_spec *spec)
{
    for (size_t i = 0; i < SIGNATURE_FAMILIES_MAX && spec->headers[i].signature != NULL; i++) {
        const struct signature_headers *family = &spec->headers[i];
        if (str_equal_nocase_z(name, family->signature) ||
            (family->id != NULL && str_equal_nocase_z(name, family->id)) ||
            (family->timestamp != NULL && str_equal_nocase_z(name, family->timestamp))) {
            return true;
        }
    }
    return false;
}

static bool is_kept(const struct platform *platform, const struct source *source, struct str name)
{
    const struct signature_spec *spec = platform_signature(platform, source);
    for (size_t i = 0; i < ARRAY_COUNT(KEPT); i++) {
        if (str_equal_nocase_z(name, KEPT[i])) {
            return true;
        }
    }
    return is_among(name, platform->headers) || is_among(name, source->kept_headers) ||
           (spec->algorithm != SIGNATURE_BEARER && is_of_signature(name, spec));
}

static bool is_first(const struct inbound *inbound, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (str_equal_nocase(inbound->headers[i].name, inbound->headers[index].name)) {
            return false;
        }
    }
    return true;
}

struct str inbound_headers_json(struct arena *arena, const struct platform *platform,
                                const struct source *source, const struct inbound *inbound)
{
    struct buf buf;
    struct jsonw json;
    buf_init(&buf, arena, 64u * 1024);
    jsonw_begin(&json, &buf);
    jsonw_open(&json);
    for (size_t i = 0; i < inbound->header_count; i++) {
        struct inbound_header header = inbound->headers[i];
        if (is_kept(platform, source, header.name) && is_first(inbound, i) &&
            str_is_text(header.value)) {
            jsonw_key_str(&json, str_lower(arena, header.name));
            jsonw_str(&json, header.value);
        }
    }
    jsonw_close(&json);
    return buf.failed ? STR("{}") : buf_str(&buf);
}

struct str inbound_topic(const struct platform *platform, const struct inbound *inbound)
{
    const char *const *names = platform->topic_headers;
    for (; names != NULL && *names != NULL; names++) {
        struct str topic = inbound_header(inbound, *names);
        if (topic.size > 0) {
            return topic;
        }
    }
    return (struct str){ NULL, 0 };
}

bool inbound_address_is_allowed(const struct source *source, const struct inbound *inbound)
{
    uint8_t bytes[16];
    if (source->allowed_address_count == 0) {
        return true;
    }
    if (!address_parse(inbound->client, bytes)) {
        return false;
    }
    for (size_t i = 0; i < source->allowed_address_count; i++) {
        if (address_block_contains(&source->allowed_addresses[i], bytes)) {
            return true;
        }
    }
    return false;
}
