#include "base/instant.h"
#include "base/money.h"
#include "delivery_priv.h"
#include "order_form_priv.h"

/*
 * One order form for all shops that need no more.
 *
 * What is about the order but not the order itself (a refund, a fulfilment, a
 * cancellation) is keyed by its own id, so that it has one effect whether it comes
 * by its own webhook, inside a later order, or both.
 */

void order_form_init(struct order_form *form)
{
    *form = (struct order_form){
        .placed_at_ms = INSTANT_NONE,
        .changed_at_ms = INSTANT_NONE,
        .subtotal_minor = ORDER_FORM_UNSAID,
        .discount_minor = ORDER_FORM_UNSAID,
        .shipping_minor = ORDER_FORM_UNSAID,
        .tax_minor = ORDER_FORM_UNSAID,
    };
}

struct order_form_line *order_form_lines(struct draft *draft, size_t count)
{
    struct order_form_line *lines =
        ARENA_NEW_ARRAY(draft->arena, count + 1, struct order_form_line);
    for (size_t i = 0; lines != NULL && i < count; i++) {
        lines[i].price_minor = ORDER_FORM_UNSAID;
    }
    return lines;
}

static void put_money(struct jsonw *json, const char *key, int64_t minor, struct str currency)
{
    if (minor != ORDER_FORM_UNSAID) {
        jsonw_put_money(json, key, minor, currency);
    }
}

static void write_line(struct jsonw *json, const struct order_form_line *line, struct str currency)
{
    jsonw_open(json);
    draft_put_text(json, "product_id", line->product_id);
    draft_put_text(json, "variant_id", line->variant_id);
    draft_put_text(json, "sku", line->sku);
    draft_put_text(json, "name", line->name);
    draft_put_text(json, "brand", line->brand);
    draft_put_text(json, "category", line->category);
    if (line->quantity != 0) {
        jsonw_put_i64(json, "quantity", line->quantity);
    }
    put_money(json, "price", line->price_minor, currency);
    draft_put_text(json, "image_url", line->image_url);
    jsonw_close(json);
}

static void write_lines(struct jsonw *json, const struct order_form *form, struct str currency)
{
    bool cut = false;
    jsonw_key(json, "products");
    jsonw_open_array(json);
    for (size_t i = 0; form->lines != NULL && i < form->line_count && !cut; i++) {
        cut = json->buf->size > DRAFT_PRODUCTS_BYTES;
        if (!cut) {
            write_line(json, &form->lines[i], currency);
        }
    }
    jsonw_close_array(json);
    if (cut) {
        jsonw_put_bool(json, "products_cut", true);
    }
}

static struct str write_properties(const struct draft *draft, const struct order_form *form,
                                   struct str currency)
{
    struct buf buf;
    struct jsonw json;
    draft_object_open(&buf, &json, draft->arena, 1024);
    jsonw_put_str(&json, "order_id", form->order_ref);
    draft_put_text(&json, "number", form->number);
    draft_put_text(&json, "status", form->status);
    jsonw_put_money(&json, "total", form->total_minor, currency);
    put_money(&json, "subtotal", form->subtotal_minor, currency);
    put_money(&json, "discount", form->discount_minor, currency);
    put_money(&json, "shipping", form->shipping_minor, currency);
    put_money(&json, "tax", form->tax_minor, currency);
    draft_put_text(&json, "currency", currency);
    draft_put_text(&json, "coupon", form->coupon);
    if (form->channel.size > 0) {
        draft_put_channel(&json, form->channel);
    }
    write_lines(&json, form, currency);
    jsonw_close(&json);
    return buf_str(&buf);
}

static void identify(struct draft *draft, struct event *event, const struct order_form *form)
{
    draft_identify(draft, event, IDENTITY_CUSTOMER_ID, form->customer_ref);
    draft_identify(draft, event, IDENTITY_EMAIL, form->email);
    draft_identify(draft, event, IDENTITY_PHONE, form->phone);
    draft_identify(draft, event, IDENTITY_CART_TOKEN, form->cart_token);
    draft_identify(draft, event, IDENTITY_ORDER, form->order_ref);
}

struct event *order_form_event(struct draft *draft, const struct order_form *form,
                               const struct order_status_rule *statuses)
{
    struct arena *arena = draft->arena;
    struct event *event =
        draft_event(draft, EVENT_ORDER_UPDATED, STR(""), STR("order"), form->changed_at_ms);
    struct order_document *document = ARENA_NEW(arena, struct order_document);
    if (event == NULL || document == NULL) {
        return NULL;
    }
    struct str currency = money_currency_is_valid(form->currency) ? str_dup(arena, form->currency)
                                                                  : draft->source->currency;
    int64_t placed_at_ms =
        form->placed_at_ms != INSTANT_NONE ? form->placed_at_ms : event->claimed_at_ms;
    *document = (struct order_document){
        .kind = ORDER_BODY,
        .order_ref = str_dup(arena, form->order_ref),
        .at_ms = event->occurred_at_ms,
        /* Unsaid, it is that of an order just placed: arriving late makes nothing new. */
        .version_ms = form->changed_at_ms != INSTANT_NONE ? form->changed_at_ms : placed_at_ms,
        .rank = draft_status_rank(statuses, form->status),
        .counts = draft_status_counts(draft->source, statuses, form->status),
        .placed_at_ms = event_clamp_instant(placed_at_ms, draft->received_at_ms),
        .number = str_dup(arena, draft_cut(form->number)),
        .status = str_dup(arena, draft_cut(form->status)),
        .currency = currency,
        .total_minor = form->total_minor,
        .refunded_minor = form->refunded_minor,
        .body_json = write_properties(draft, form, currency),
    };
    event->order = document;
    event->currency = currency;
    event->amount_minor = document->total_minor;
    event->has_amount = true;
    event->properties_json = document->body_json;
    identify(draft, event, form);
    return event;
}

static struct event *about_order(struct draft *draft, enum event_type type, struct str key,
                                 struct str order_ref, const struct event *named, int64_t at_ms)
{
    struct event *event = draft_event(draft, type, key, key, at_ms);
    if (event == NULL) {
        return NULL;
    }
    if (named != NULL) {
        draft_identify_as(event, named);
    } else {
        draft_identify(draft, event, IDENTITY_ORDER, order_ref);
    }
    return event;
}

static struct order_document *attach(struct draft *draft, struct event *event,
                                     enum order_document_kind kind, struct str order_ref,
                                     struct str document_ref)
{
    struct order_document *document = ARENA_NEW(draft->arena, struct order_document);
    if (event == NULL || document == NULL) {
        return NULL;
    }
    document->kind = kind;
    document->order_ref = str_dup(draft->arena, order_ref);
    document->document_ref = str_dup(draft->arena, document_ref);
    document->at_ms = event->occurred_at_ms;
    event->order = document;
    return document;
}

static struct str cancelled_key(const struct draft *draft, struct str order_ref)
{
    return str_printf(draft->arena, "order/%.*s/cancelled", STR_ARG(order_ref));
}

void order_form_cancellation_told(struct draft *draft, struct str order_ref,
                                  const struct event *body, int64_t at_ms)
{
    struct event *event = draft_event(draft, EVENT_ORDER_CANCELLED, cancelled_key(draft, order_ref),
                                      STR("cancelled"), at_ms);
    if (event != NULL) {
        event->properties_json = delivery_named(draft->arena, "order_id", order_ref);
        draft_identify_as(event, body);
    }
}

struct event *order_form_cancelled(struct draft *draft, struct str order_ref,
                                   const struct event *named, int64_t at_ms)
{
    struct event *event = about_order(draft, EVENT_ORDER_CANCELLED, cancelled_key(draft, order_ref),
                                      order_ref, named, at_ms);
    if (attach(draft, event, ORDER_CANCELLATION, order_ref, STR("")) == NULL) {
        return NULL;
    }
    event->properties_json = delivery_named(draft->arena, "order_id", order_ref);
    return event;
}

struct event *order_form_refunded(struct draft *draft, const struct order_form_refund *refund,
                                  const struct event *named)
{
    struct arena *arena = draft->arena;
    struct str key = str_printf(arena, "refund/%.*s", STR_ARG(refund->refund_ref));
    struct event *event =
        about_order(draft, EVENT_ORDER_REFUNDED, key, refund->order_ref, named, refund->at_ms);
    struct order_document *document =
        attach(draft, event, ORDER_REFUND, refund->order_ref, refund->refund_ref);
    if (document == NULL) {
        return NULL;
    }
    event->currency = money_currency_is_valid(refund->currency) ? str_dup(arena, refund->currency)
                                                                : draft->source->currency;
    event->amount_minor = refund->amount_minor < 0 ? -refund->amount_minor : refund->amount_minor;
    event->has_amount = true;
    document->currency = event->currency;
    document->amount_minor = event->amount_minor;
    struct buf buf;
    struct jsonw json;
    draft_object_open(&buf, &json, arena, 256);
    jsonw_put_str(&json, "order_id", refund->order_ref);
    jsonw_put_str(&json, "refund_id", refund->refund_ref);
    jsonw_put_money(&json, "total", event->amount_minor, event->currency);
    draft_put_text(&json, "currency", event->currency);
    draft_put_text(&json, "reason", refund->reason);
    jsonw_close(&json);
    event->properties_json = buf_str(&buf);
    return event;
}

struct event *order_form_fulfilled(struct draft *draft, struct str order_ref,
                                   struct str fulfilment_ref, const struct event *named,
                                   int64_t at_ms)
{
    struct arena *arena = draft->arena;
    struct str key = str_printf(arena, "fulfilment/%.*s", STR_ARG(fulfilment_ref));
    struct event *event = about_order(draft, EVENT_ORDER_FULFILLED, key, order_ref, named, at_ms);
    if (attach(draft, event, ORDER_FULFILMENT, order_ref, fulfilment_ref) == NULL) {
        return NULL;
    }
    event->properties_json = str_printf(arena, "{\"order_id\":%.*s,\"fulfilment_id\":%.*s}",
                                        STR_ARG(draft_json_text(arena, order_ref)),
                                        STR_ARG(draft_json_text(arena, fulfilment_ref)));
    return event;
}
