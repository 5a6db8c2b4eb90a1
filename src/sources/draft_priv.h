#ifndef SOURCES_DRAFT_PRIV_H
#define SOURCES_DRAFT_PRIV_H

/*
 * Events in the making: what every adapter needs to turn a tree of JSON into
 * struct event, so that an adapter says only what its platform says. All
 * memory is the arena's; a full arena sticks, and draft_finish reports it.
 */

#include <jansson.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/jsonw.h"
#include "base/limits.h"
#include "core/event/event.h"
#include "core/signature.h"
#include "core/source.h"
#include "sources/platform.h"

struct draft {
    struct arena *arena;
    const struct source *source;
    enum trust trust;
    enum provenance provenance; /* full, unless the adapter says otherwise */
    int64_t received_at_ms;
    struct str dedup_key; /* of the delivery */
    struct event *events;
    size_t event_count;
    size_t event_capacity;
};

/* Room for `capacity` events: each adapter knows its most beforehand. */
void draft_init(struct draft *draft, struct arena *arena, const struct source *source,
                enum trust trust, int64_t received_at_ms, struct str dedup_key, size_t capacity);

/* The next event, with id, times, source and type filled in. An empty
 * `dedup_key` is the delivery's. A claim of INSTANT_NONE is "when received".
 * NULL when the arena is full. */
struct event *draft_event(struct draft *draft, enum event_type type, struct str dedup_key,
                          struct str part, int64_t claimed_at_ms);

/* NORMALISE_EVENTS, or NORMALISE_FULL; hands the events over. What is not wholly
 * vouched for, and what is thin, says so in its context. */
enum normalise_verdict draft_finish(struct draft *draft, struct normalised *out_normalised);

/* The delivery's key when the sender gave `given` (may be empty) for a body on
 * a topic: the given one where it fits LIMIT_DEDUP_KEY_BYTES, else a hash. */
struct str draft_dedup_key(struct arena *arena, struct str given, struct str topic,
                           struct str body);

/* Identifiers: normalised, sorted by kind, without repeats. One that names
 * nobody is left out; false then. */
bool draft_identify(struct draft *draft, struct event *event, enum identity_kind kind,
                    struct str value);
/* Lets `event` name the same people as `other`, by sharing its array. */
void draft_identify_as(struct event *event, const struct event *other);

/* Facts. Empty text is no statement and adds nothing; text is cut at
 * LIMIT_TEXT_BYTES. The traits email, phone and external_id follow from the
 * identifiers, in the core. */
void draft_trait(struct draft *draft, struct event *event, const char *key, struct str text);
void draft_fact_json(struct draft *draft, struct event *event, enum fact_kind kind, struct str key,
                     struct str value_json);

/* "This customer may be written to", by a shop that does not say since when: any
 * refusal with a date is newer. A fact of its own, since what else is said of the
 * customer is as of the event. */
void draft_undated_consent(struct draft *draft, const struct event *customer, const char *channel);

/* Text as a JSON string in the arena. */
struct str draft_json_text(struct arena *arena, struct str text);
/* At most LIMIT_TEXT_BYTES of it, cut between characters. */
struct str draft_cut(struct str text);

/* An open JSON object of at most LIMIT_PROPERTIES_BYTES in the arena, with room
 * for a first `size_hint`. */
void draft_object_open(struct buf *buf, struct jsonw *json, struct arena *arena, size_t size_hint);

/* Writes a member only when there is something to say. */
void draft_put_text(struct jsonw *json, const char *key, struct str text);
void draft_put_member(struct jsonw *json, struct arena *arena, const char *key,
                      const json_t *object, const char *name); /* a string or an id */
bool draft_put_money(struct jsonw *json, const char *key, const json_t *object, const char *name,
                     struct str currency);

/* "channel" in the shop's own word, and the "platform" that it means (contract
 * 2: web ios android pos api), where it means one. */
void draft_put_channel(struct jsonw *json, struct str word);
/* Is it one of contract 2's? */
bool draft_is_platform(struct str word);

/* "FR" + "75" -> "FR-75"; "FR-75" stays; what is no code stays as it is. */
struct str draft_region(struct arena *arena, struct str country, struct str region);

/* Contract 2: an address is kept to /24 or /48, so it is cut before anything is
 * stored. Empty for text that is no address. */
struct str draft_network(struct arena *arena, struct str address);

/* A list of products may take this much of an order's properties; the rest of
 * a thousand-line order is left out and "products_cut" says so. */
#define DRAFT_PRODUCTS_BYTES (LIMIT_PROPERTIES_BYTES - 8 * 1024)

/* Does this status make an order count? By settings.order_completed_when, a
 * list of the platform's words or "created"; empty: by the platform's table. */
bool draft_status_counts(const struct source *source, const struct order_status_rule *rules,
                         struct str status);
enum order_rank draft_status_rank(const struct order_status_rule *rules, struct str status);

#endif
