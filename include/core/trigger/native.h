#ifndef CORE_TRIGGER_NATIVE_H
#define CORE_TRIGGER_NATIVE_H

/*
 * Notifications as an ESP's own event call: which ESPs we speak to, where they
 * listen and what they want to know, and the body of one notification as each
 * wants it.
 *
 * Pure. Texts live in the arena given or are static; the secret (`auth`) is only
 * ever read by native_lines. `settings_json` is a subscription's settings as
 * they were checked when it was saved: one object of texts.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/id.h"
#include "base/str.h"

enum native_format {
    NATIVE_NONE, /* not an ESP's: Shopbell's own JSON, CloudEvents */
    NATIVE_KLAVIYO,
    NATIVE_CUSTOMERIO,
    NATIVE_BRAZE,
    NATIVE_MAILCHIMP,
    NATIVE_BREVO,
    NATIVE_ITERABLE,
    NATIVE_HUBSPOT,
    NATIVE_COUNT,
};

enum {
    NATIVE_AUTH_BYTES_MAX = 512, /* HubSpot's OAuth tokens have some 300 */
    NATIVE_LINES_MAX = 2,
};

/* In front of a key where signing secrets stand, too: "whsec_..." is one to sign with,
 * "auth_..." one to show. */
#define NATIVE_AUTH_PREFIX "auth_"

/* What a subscription to this ESP gets where it says nothing else. */
struct native_info {
    const char *name;  /* in JSON: "klaviyo" */
    const char *title; /* for people: "Klaviyo" */
    const char *content_type;
    int32_t concurrency;
    int32_t rate_count; /* requests per rate_per_ms; 0: no rate is published */
    int64_t rate_per_ms;
};
const struct native_info *native_info(enum native_format format); /* NULL for NATIVE_NONE */
enum native_format native_from_name(struct str name);             /* NATIVE_NONE: no such ESP */

/* One member of `settings`. */
struct native_setting {
    const char *name;
    bool is_required;
    const char *fallback; /* NULL: none */
    const char *words;    /* what a value looks like, for an error */
    bool (*is_valid)(struct str value);
};
/* NULL past the end. */
const struct native_setting *native_setting(enum native_format format, size_t index);
/* As set, else the fallback, else empty. */
struct str native_setting_value(struct arena *arena, enum native_format format,
                                struct str settings_json, const char *name);

/* Where the events go: "https://a.klaviyo.com/api/events". A notification with a
 * target goes to the target on the same host. Empty when the arena is full. */
struct str native_url(struct arena *arena, enum native_format format, struct str settings_json);
/* "https://a.klaviyo.com" of a URL. */
struct str native_url_origin(struct str url);

/* Could this be a key at all? Printable ASCII without spaces. */
bool native_auth_is_valid(struct str auth);
/* "Authorization: ..." and what else each call needs; their number. */
size_t native_lines(struct arena *arena, enum native_format format, struct str settings_json,
                    struct str auth, struct str lines[NATIVE_LINES_MAX]);

/* A call that proves the key and changes nothing. */
struct native_probe {
    struct str url;
    struct str body; /* empty: a GET */
};
struct native_probe native_probe(struct arena *arena, enum native_format format,
                                 struct str settings_json);
/* Is the key good? *out_words says for people what is wrong with it, when the ESP
 * refused it; NULL otherwise (out of order, busy). */
bool native_probe_passes(enum native_format format, int32_t status, const char **out_words);

/* What an answer means to this ESP, beyond what it means to everybody. */
enum native_meaning {
    NATIVE_AS_USUAL,
    NATIVE_FINAL,   /* asking again would not change it */
    NATIVE_REPEATED /* it has this event already: delivered */
};
enum native_meaning native_meaning(enum native_format format, int32_t status);

/* One notification, ready but for its form. */
struct native_notification {
    struct id id;
    struct str topic;
    int64_t at_ms;
    struct str email; /* of the profile, whatever the projection says; empty: unknown */
    struct str phone;
    struct str external_id;
    struct str metric;    /* as the subscription's map names the event; empty: the topic */
    struct str data_json; /* `data` as projected: one object */
    bool is_test;
    bool has_value; /* an order's amount */
    int64_t value_minor;
    struct str currency;
};

struct native_rendition {
    struct str target; /* the request's path, where it depends on the customer; else empty */
    struct str body;
};

enum native_verdict {
    NATIVE_RENDERED,
    NATIVE_NOBODY,    /* nothing is known of the customer that the ESP finds people by */
    NATIVE_NO_MEMORY, /* the arena is full */
};
enum native_verdict native_render(struct arena *arena, enum native_format format,
                                  struct str settings_json,
                                  const struct native_notification *notification,
                                  struct native_rendition *out_rendition);
/* Why nobody was found, in words. They are frozen in the body's place, so that the
 * delivery ends with them at its turn, once and without a call. */
struct str native_nobody_words(struct arena *arena, enum native_format format,
                               struct str settings_json);
/* Is it a body, rather than words? */
bool native_is_call(struct str body);

/* How several go in one call, to who takes a list and says whom of it he did not take. */
struct native_bulk {
    size_t members_max;
    size_t bytes_max;
    const char *target; /* as of a rendition */
    const char *list_head;
    const char *list_tail;
    const char *alone_head; /* of a body that is sent alone, and not of a list's */
    const char *alone_tail;
    const char *place_member; /* in an entry of the answer's "errors": which of the list */
    const char *words_member; /* and why */
};
/* NULL: one by one. */
const struct native_bulk *native_bulk(enum native_format format);
/* The same bytes whenever it is called with the same. False when the arena is full. */
bool native_join(struct arena *arena, const struct native_bulk *bulk, const struct str *bodies,
                 size_t count, struct native_rendition *out_call);

#endif
