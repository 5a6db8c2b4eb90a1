#ifndef SOURCES_CUSTOM_PRIV_H
#define SOURCES_CUSTOM_PRIV_H

/*
 * A custom source's settings, compiled: how it signs, and what of a body becomes
 * which event. Lives in the registry's arena with the source; immutable.
 */

#include <jansson.h>

#include "platform_priv.h"

/* One value of an event: where it stands in the body, or what it always is. */
struct custom_value {
    struct str pointer; /* RFC 6901; empty: literal */
    struct str literal;
    const struct custom_word *words; /* other words for it ("4" is "paid"); NULL ends nothing */
    size_t word_count;
    struct str otherwise; /* when it is absent, or not among the words; empty: left out */
};

struct custom_word {
    struct str from;
    struct str to;
};

/* "name": value */
struct custom_member {
    const char *name;
    struct custom_value value;
};

struct custom_members {
    const struct custom_member *members;
    size_t count;
};

/* Where one word of a delivery stands. */
struct custom_place {
    const char *header; /* NULL: the pointer */
    struct str pointer; /* empty: nowhere */
};

struct custom_event {
    struct str topic; /* empty: every topic */
    const char *type; /* canonical */
    struct str each;  /* an array: an event for each of its items; empty: one for the body */
    struct custom_value id;
    struct custom_value occurred_at;
    struct custom_members identities;
    struct custom_members properties;
    struct custom_members traits;
    struct custom_members preferences;
    struct custom_members consent;
    struct str products_each; /* empty: no products */
    struct custom_members product;
};

struct custom_mapping {
    struct custom_place topic;
    struct custom_place id;
    const struct custom_event *events;
    size_t event_count;
};

/* custom_settings.c: fills source->signature, source->adapter and
 * source->kept_headers. */
enum status custom_parse_settings(struct arena *arena, struct str settings_json,
                                  struct source *source, struct problem *problem);

/* The value at an RFC 6901 pointer ("" is the whole); NULL when there is none. */
json_t *custom_at(json_t *root, struct str pointer);

#endif
