#ifndef TESTS_UNIT_PAYLOAD_H
#define TESTS_UNIT_PAYLOAD_H

/*
 * What the tests of adapters share: one source, one delivery, its events, and
 * the real payloads when they are there; a test that finds none is skipped.
 */

#include <jansson.h>

#include "base/arena.h"
#include "base/instant.h"
#include "core/event/event.h"
#include "core/signature.h"
#include "core/source.h"
#include "shared_payload.h"
#include "sources/json_border.h"
#include "sources/platform.h"
#include "unit.h"

#define PAYLOAD_NOW_MS INT64_C(1795000000000) /* 2026-11-18T11:06:40Z */

struct payload {
    struct arena *arena;
    struct source source;
    const struct platform *platform;
    struct normalised normalised;
    struct problem problem;
};

static inline void payload_begin(struct payload *payload, const char *platform)
{
    *payload = (struct payload){
        .arena = arena_create(64u * 1024 * 1024),
        .platform = platform_find(str_from_z(platform)),
        .source = {
            .id = { { 1, 2, 3 } },
            .name = STR("main"),
            .platform = str_from_z(platform),
            .currency = STR("EUR"),
            .time_zone = STR("Europe/Paris"),
        },
    };
    assert_non_null(payload->arena);
    assert_non_null(payload->platform);
}

static inline void payload_end(struct payload *payload)
{
    arena_destroy(payload->arena);
}

static inline enum normalise_verdict payload_take(struct payload *payload,
                                                  const struct inbound_header *headers,
                                                  size_t header_count, struct str body)
{
    struct inbound inbound = {
        .headers = headers,
        .header_count = header_count,
        .body = body,
        .received_at_ms = PAYLOAD_NOW_MS,
    };
    payload->normalised = (struct normalised){ 0 };
    payload->problem = (struct problem){ .type = "" };
    return platform_normalise(payload->platform, payload->arena, &payload->source, &inbound,
                              &payload->normalised, &payload->problem);
}

/* The nth event of a type; the test fails when there is none. */
static inline const struct event *payload_event(const struct payload *payload, enum event_type type,
                                                size_t nth)
{
    static const struct order_document no_document = { .kind = ORDER_BODY };
    static const struct event none = { .order = &no_document };
    for (size_t i = 0; i < payload->normalised.event_count; i++) {
        const struct event *event = &payload->normalised.events[i];
        if (event->type == type && nth-- == 0) {
            return event;
        }
    }
    fail_msg("no event %zu of type %d", nth, (int)type);
    return &none;
}

static inline struct str payload_identifier(const struct event *event, enum identity_kind kind,
                                            size_t nth)
{
    for (size_t i = 0; i < event->identifier_count; i++) {
        if (event->identifiers[i].kind == kind && nth-- == 0) {
            return event->identifiers[i].value;
        }
    }
    return STR("");
}

static inline struct str payload_fact(const struct event *event, enum fact_kind kind,
                                      const char *key)
{
    for (size_t i = 0; i < event->fact_count; i++) {
        if (event->facts[i].kind == kind && str_equal_z(event->facts[i].key, key)) {
            return event->facts[i].value_json;
        }
    }
    return STR("");
}

static inline int64_t payload_ms(const char *text)
{
    int64_t ms = 0;
    assert_true(instant_parse(str_from_z(text), true, &ms, NULL));
    return ms;
}

/* What holds for every event, whatever the payload. */
static inline void payload_check_events(const struct payload *payload)
{
    for (size_t i = 0; i < payload->normalised.event_count; i++) {
        const struct event *event = &payload->normalised.events[i];
        struct problem problem;
        assert_true(
            id_equal(event->id, event_id(payload->source.id, event->dedup_key, event->part)));
        assert_true(event->occurred_at_ms >= INSTANT_FIRST_MS);
        assert_true(event->occurred_at_ms <= event->received_at_ms);
        assert_true(event->name.size > 0);
        for (size_t j = 1; j < event->identifier_count; j++) {
            assert_true(event->identifiers[j - 1].kind <= event->identifiers[j].kind);
        }
        const struct str texts[] = { event->properties_json, event->context_json,
                                     event->cart_json };
        for (size_t j = 0; j < ARRAY_COUNT(texts); j++) {
            if (texts[j].size > 0 && !str_equal(texts[j], STR("null"))) {
                json_t *tree = border_parse(texts[j], &problem);
                assert_row(tree != NULL, texts[j].data);
                assert_true(json_is_object(tree));
                border_free(tree);
            }
        }
        for (size_t j = 0; j < i; j++) {
            assert_false(id_equal(event->id, payload->normalised.events[j].id));
        }
    }
}

/* Bytes of a shared payload ("shopify/refunds_create.json"), in the arena;
 * skips the test when there are none. */
static inline struct str payload_read(struct arena *arena, const char *name)
{
    char path[SHARED_PATH_SIZE];
    struct str bytes = { NULL, 0 };
    shared_payload_path(name, path);
    if (!shared_file_read(arena, path, &bytes)) {
        print_message("no %s: skipped\n", name);
        arena_destroy(arena); /* skip() does not come back, and a leak would fail the test. */
        skip();
    }
    assert_true(bytes.size > 0);
    return bytes;
}

/* A member of an event's JSON as compact text ("total", "products"). */
static inline struct str payload_member(struct arena *arena, struct str object, const char *key)
{
    struct problem problem;
    json_t *tree = border_parse(object, &problem);
    assert_non_null(tree);
    struct str text = border_dump(arena, json_object_get(tree, key), 65536);
    border_free(tree);
    return text;
}

#endif
