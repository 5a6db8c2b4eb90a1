#ifndef CORE_TRIGGER_PROJECTION_H
#define CORE_TRIGGER_PROJECTION_H

/*
 * What one subscription is sent of a notification: which fields, under which
 * names, in which format, masked or not. Pure: parsed when the configuration is
 * saved or loaded, rendered at commit.
 *
 *   fields   default   contract 4
 *            thin      ids and names
 *            full      the profile of contract 5, as far as a decision has it
 *            changed   ids and what this changed, by name: {"from": .., "to": ..}
 *            a list    those names, where they stand in the profile's JSON, and
 *                      profile.id; an empty list: nothing but what `map` adds
 *   map      members added to `data`, each a template
 *   format   shopbell (the envelope of contract 3), cloudevents (structured),
 *            cloudevents_binary; klaviyo and other ESPs' own calls, where map's
 *            "metric" is the event's name and its other members are properties
 *
 * A body above LIMIT_DELIVERY_BODY_BYTES is written again: thin, without `map`,
 * and `truncated`.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"
#include "core/trigger/message.h"
#include "core/trigger/native.h"
#include "core/trigger/template.h"

enum projection_fields {
    PROJECTION_DEFAULT,
    PROJECTION_THIN,
    PROJECTION_FULL,
    PROJECTION_CHANGED,
    PROJECTION_LIST,
};

enum projection_format {
    PROJECTION_SHOPBELL,
    PROJECTION_CLOUDEVENTS,
    PROJECTION_CLOUDEVENTS_BINARY,
    PROJECTION_NATIVE, /* an ESP's own: core/trigger/native.h */
};

struct projection_member {
    struct str key;
    struct template value;
};

struct projection { /* plain; lives in the arena it was parsed in and borrows the texts */
    enum projection_fields fields;
    enum projection_format format;
    const struct message_name *names; /* of a list and of full, in the order of writing */
    size_t name_count;
    const struct projection_member *members; /* of map */
    size_t member_count;
    bool is_masked;
    /* Of PROJECTION_NATIVE: */
    enum native_format native;
    struct str settings_json;
    struct template metric; /* without parts: the topic */
};

/* As subscriptions store it. */
struct projection_text {
    struct str fields; /* a word, or a JSON array of names */
    struct str format;
    struct str map_json; /* {"name": "template"} */
    struct str settings_json;
    bool is_masked;
    const struct rule_vocabulary *names; /* which tiers exist; NULL: any */
};

struct projection_error {
    const char *member;      /* "fields", "map" or "format" */
    struct str name;         /* of map: whose template; of fields: empty */
    struct rule_error error; /* within that text */
};

/* STATUS_INVALID with *out_error filled; STATUS_LIMIT when the arena is full. */
NODISCARD enum status projection_parse(struct arena *arena, const struct projection_text *text,
                                       struct projection *out_projection,
                                       struct projection_error *out_error);
/* Is it what every notification has anyway? */
bool projection_is_default(const struct projection *projection);
/* Does it tell no more than `fields: default`? */
bool projection_is_within_default(const struct projection *projection);

/* What is sent: frozen at commit, the same in every attempt (correctness 19). */
struct rendition {
    /* Header lines that depend on the message, each ended by "\n": "ce-id: .." and
     * the like. Empty: content-type: application/json and no others. Of an ESP's own
     * format: the path instead of the url's; empty: the url's. */
    struct str target;
    struct str body;
};

/* `projection` NULL: the default. False when the arena is full. */
NODISCARD bool projection_render(struct arena *arena, const struct projection *projection,
                                 const struct message *message, struct rendition *out_rendition);

enum {
    PROJECTION_NAMES_MAX = 64,
    PROJECTION_MEMBERS_MAX = 64,
    PROJECTION_KEY_BYTES_MAX = 100,
};

#endif
