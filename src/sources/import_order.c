#include "base/instant.h"
#include "base/limits.h"
#include "base/money.h"
#include "import_priv.h"

/*
 * What the orders of all platforms' exports have in common: an id, amounts in
 * one currency, instants, and the document that they become.
 *
 * Invariant: an export names no time of change, so an order's version is the
 * latest time it does name. Which times those are is the format's to say: not
 * every column of a map is one that the platform fills.
 */

bool import_order_read(struct import_rows *rows, struct import_order *order)
{
    order->order_ref = import_text(rows, 0, FIELD_ORDER_ID);
    order->status = import_value(rows, 0, FIELD_STATUS);
    if (order->order_ref.size == 0 || order->order_ref.size > LIMIT_TEXT_BYTES) {
        return import_reject(rows, 0, FIELD_ORDER_ID, "an order needs its id");
    }
    return true;
}

bool import_order_total(struct import_rows *rows, struct import_order *order)
{
    bool is_there = false;
    order->currency = import_value(rows, 0, FIELD_CURRENCY);
    if (order->currency.size > 0 && !money_currency_is_valid(order->currency)) {
        return import_reject(rows, 0, FIELD_CURRENCY, "not an ISO 4217 code, as in EUR");
    }
    if (order->currency.size == 0) {
        order->currency = rows->reader->options.source->currency;
    }
    if (!import_money(import_value(rows, 0, FIELD_TOTAL), order->currency, &is_there,
                      &order->total_minor) ||
        !is_there) {
        return import_reject(rows, 0, FIELD_TOTAL, "not an amount");
    }
    return true;
}

bool import_order_instants(struct import_rows *rows, const enum import_field *fields, size_t count,
                           bool american_dates, struct import_order *order)
{
    order->version_ms = INSTANT_NONE;
    for (size_t i = 0; i < count; i++) {
        int64_t at_ms = INSTANT_NONE;
        if (!import_instant(rows->reader, import_value(rows, 0, fields[i]), american_dates,
                            &at_ms)) {
            return import_reject(rows, 0, fields[i], "not an instant");
        }
        order->version_ms = at_ms > order->version_ms ? at_ms : order->version_ms;
        order->placed_at_ms = fields[i] == FIELD_PLACED_AT ? at_ms : order->placed_at_ms;
        order->cancelled_at_ms = fields[i] == FIELD_CANCELLED_AT ? at_ms : order->cancelled_at_ms;
    }
    if (order->placed_at_ms == INSTANT_NONE) {
        return import_reject(rows, 0, FIELD_PLACED_AT, "an order needs the time it was placed");
    }
    return true;
}

bool import_put_money(struct import_rows *rows, struct jsonw *json, size_t row,
                      enum import_field field, const char *key, struct str currency)
{
    bool is_there = false;
    int64_t minor = 0;
    if (!import_money(import_value(rows, row, field), currency, &is_there, &minor)) {
        return import_reject(rows, row, field, "not an amount");
    }
    if (is_there) {
        jsonw_put_money(json, key, minor, currency);
    }
    return true;
}

bool import_order_put_amounts(struct import_rows *rows, struct jsonw *json,
                              const struct import_order *order)
{
    static const struct {
        enum import_field field;
        const char *key;
    } amounts[] = {
        { FIELD_SUBTOTAL, "subtotal" },
        { FIELD_DISCOUNT, "discount" },
        { FIELD_SHIPPING, "shipping" },
        { FIELD_TAX, "tax" },
    };
    jsonw_put_money(json, "total", order->total_minor, order->currency);
    for (size_t i = 0; i < ARRAY_COUNT(amounts); i++) {
        if (!import_put_money(rows, json, 0, amounts[i].field, amounts[i].key, order->currency)) {
            return false;
        }
    }
    draft_put_text(json, "currency", order->currency);
    draft_put_text(json, "coupon", import_value(rows, 0, FIELD_COUPON));
    draft_put_channel(json, import_value(rows, 0, FIELD_CHANNEL));
    return true;
}

struct event *import_order_event(struct draft *draft, const struct import_rows *rows,
                                 const struct import_order *order, enum order_rank rank,
                                 const struct order_status_rule *statuses, struct str body_json)
{
    struct order_document *document = ARENA_NEW(rows->arena, struct order_document);
    struct event *event =
        draft_event(draft, EVENT_ORDER_UPDATED, STR(""), STR("order"), order->version_ms);
    if (event == NULL || document == NULL) {
        return NULL;
    }
    *document = (struct order_document){
        .kind = ORDER_BODY,
        .order_ref = order->order_ref,
        .at_ms = event->occurred_at_ms,
        .version_ms = event->claimed_at_ms,
        .rank = rank,
        .counts = draft_status_counts(draft->source, statuses, order->status),
        .placed_at_ms = event_clamp_instant(order->placed_at_ms, draft->received_at_ms),
        .number = import_value(rows, 0, FIELD_NUMBER),
        .status = order->status,
        .currency = order->currency,
        .total_minor = order->total_minor,
        .refunded_minor = order->refunded_minor,
        .body_json = body_json,
    };
    event->order = document;
    event->currency = order->currency;
    event->amount_minor = order->total_minor;
    event->has_amount = true;
    event->properties_json = body_json;
    return event;
}
