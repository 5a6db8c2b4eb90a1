#ifndef TESTS_FUZZ_ADAPTER_H
#define TESTS_FUZZ_ADAPTER_H

/*
 * What a normaliser makes of any bytes: whatever comes out must keep the promises of
 * event.h and be JSON where it says so, and the same bytes must give the same events.
 */

#include <stdint.h>
#include <stdlib.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/instant.h"
#include "base/limits.h"
#include "core/event/event.h"
#include "sources/json_border.h"
#include "sources/platform.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ADAPTER_NOW_MS INT64_C(1795000000000)

static inline void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

static inline void must_be_object(struct str text)
{
    struct problem problem;
    if (text.size == 0) {
        return;
    }
    json_t *tree = border_parse(text, &problem);
    must(json_is_object(tree));
    border_free(tree);
}

static inline void must_be_value(struct str text)
{
    must(text.size > 0);
    json_t *tree = json_loadb(text.data, text.size, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    must(tree != NULL);
    json_decref(tree);
}

static inline void must_be_order(const struct event *event)
{
    const struct order_document *order = event->order;
    if (order == NULL) {
        return;
    }
    must(order->kind >= ORDER_BODY && order->kind <= ORDER_DELETION);
    must(order->order_ref.size > 0 && order->order_ref.size <= LIMIT_TEXT_BYTES);
    must(order->at_ms >= INSTANT_FIRST_MS && order->at_ms <= ADAPTER_NOW_MS);
    must(order->amount_minor <= BORDER_MONEY_MINOR_MAX);
    must(order->total_minor <= BORDER_MONEY_MINOR_MAX);
    must(order->refunded_minor <= BORDER_MONEY_MINOR_MAX);
    if (order->kind == ORDER_BODY) {
        must(order->placed_at_ms >= INSTANT_FIRST_MS && order->placed_at_ms <= ADAPTER_NOW_MS);
        must_be_object(order->body_json);
    }
}

static inline void must_be_event(const struct event *event)
{
    must(event->type >= EVENT_SESSION_STARTED && event->type < EVENT_TYPE_COUNT);
    must(event->occurred_at_ms >= INSTANT_FIRST_MS && event->occurred_at_ms <= ADAPTER_NOW_MS);
    must(event->dedup_key.size > 0 && event->dedup_key.size <= LIMIT_DEDUP_KEY_BYTES);
    must(str_is_text(event->dedup_key));
    must(event->identifier_count <= LIMIT_IDENTIFIERS_PER_EVENT);
    for (size_t i = 0; i < event->identifier_count; i++) {
        const struct identifier *identifier = &event->identifiers[i];
        must(identifier->value.size > 0 && str_is_text(identifier->value));
        must(i == 0 || event->identifiers[i - 1].kind <= identifier->kind);
    }
    for (size_t i = 0; i < event->fact_count; i++) {
        must(event->facts[i].key.size > 0);
        must_be_value(event->facts[i].value_json);
    }
    must_be_object(event->properties_json);
    must(event->properties_json.size <= LIMIT_PROPERTIES_BYTES);
    must_be_object(event->context_json);
    must(str_equal(event->cart_json, STR("null")) || event->cart_json.size == 0 ||
         event->cart_json.data[0] == '{');
    if (!str_equal(event->cart_json, STR("null"))) {
        must_be_object(event->cart_json);
    }
    must_be_order(event);
}

static inline struct source adapter_source(const char *platform_name)
{
    return (struct source){
        .id = { { 1 } },
        .name = STR("main"),
        .platform = str_from_z(platform_name),
        .currency = STR("EUR"),
        .time_zone = STR("UTC"),
    };
}

static inline void adapter_try(struct arena *arena, const struct platform *platform,
                               const struct source *source, const struct inbound *inbound)
{
    struct normalised first = { 0 };
    struct normalised second = { 0 };
    struct problem problem;
    enum normalise_verdict verdict =
        platform_normalise(platform, arena, source, inbound, &first, &problem);
    must(verdict == platform_normalise(platform, arena, source, inbound, &second, &problem));
    if (verdict == NORMALISE_EVENTS) {
        must(first.event_count == second.event_count);
        for (size_t i = 0; i < first.event_count; i++) {
            must_be_event(&first.events[i]);
            must(id_equal(first.events[i].id, second.events[i].id));
            must(str_equal(first.events[i].properties_json, second.events[i].properties_json));
        }
    }
}

#endif
