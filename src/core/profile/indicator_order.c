#include "base/id.h"
#include "core/rule/property.h"
#include "indicator_priv.h"

/*
 * Where an order was placed, out of its body: the properties "channel",
 * "platform" and "location" (contract 2), texts or numbers. A text longer than
 * is kept is cut between characters, so that the same place always has the
 * same name.
 */

static struct str read_text(struct arena *arena, struct property_view *view, struct str path)
{
    struct rule_value value = property_get(arena, view, path);
    value = rule_value_as(arena, value, RULE_TEXT);
    return value.type == RULE_TEXT ? str_take_text(value.text, INDICATOR_TEXT_BYTES_MAX)
                                   : (struct str){ 0 };
}

uint64_t indicator_ref_hash(const struct order *order)
{
    struct str source = { (const char *)order->source_id.bytes, ID_SIZE };
    return hash64(order->order_ref, hash64(source, 0));
}

bool indicator_order_of(struct arena *arena, const struct order *order,
                        struct indicator_order *out_order)
{
    struct property_view view = { 0 };
    property_view_order(&view, order);
    struct indicator_order kept = {
        .at_ms = order->placed_at_ms,
        .ref_hash = indicator_ref_hash(order),
        .channel = read_text(arena, &view, STR("channel")),
        .platform = read_text(arena, &view, STR("platform")),
        .place = read_text(arena, &view, STR("location")),
    };
    if (arena_is_full(arena)) {
        return false; /* not known is not the same as not there */
    }
    *out_order = kept;
    return true;
}
