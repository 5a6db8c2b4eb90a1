#ifndef SOURCES_SDK_PRIV_H
#define SOURCES_SDK_PRIV_H

/*
 * The analytics SDKs' wire format: messages (track, identify, page, screen,
 * group, alias) and what they are called here.
 */

#include <jansson.h>

#include "base/arena.h"
#include "core/event/event.h"
#include "core/source.h"

/* What a request says of all its messages. */
struct sdk_request {
    struct arena *arena;
    const struct source *source;
    int64_t received_at_ms;
    int64_t sent_at_ms;     /* by the sender's clock; INSTANT_NONE: not said */
    struct str kind;        /* of messages that do not say theirs: "track", ... */
    bool is_page;           /* came from a browser */
    bool refuses_sale;      /* Global Privacy Control, where it is heeded */
    struct str address;     /* of the browser, else empty */
    struct str user_agent;  /* likewise */
    const json_t *defaults; /* members of the batch that its messages share, or NULL */
    size_t ordinal;         /* of the message at hand */
};

/* The message as an item of contract 8, or NULL: it is none, and *out_why (static
 * text) says what is wrong. A new reference. */
json_t *sdk_item(const struct sdk_request *request, const json_t *message, const char **out_why);

/* --- names (sdk_names.c) -------------------------------------------------- */

/* "Order Completed", "orderCompleted" -> "order_completed", at most 63 bytes,
 * beginning with a letter; empty when nothing of the kind is left. */
struct str sdk_snake(struct arena *arena, struct str name);
/* What we call an event that its sender calls so (in snake case); 0: not one of
 * the ecommerce specification or of ours. */
enum event_type sdk_event_type(struct str snake);
/* Our name of a trait (contract 5), NULL when it has no other than its own. */
const char *sdk_trait_name(struct str snake);

#endif
