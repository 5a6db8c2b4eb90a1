#include <string.h>

#include "base/instant.h"
#include "base/limits.h"
#include "base/money.h"
#include "shopify_priv.h"
#include "sources/json_border.h"

/*
 * Shopify's carts and checkouts.
 *
 * A cart names no customer, only its token; the checkout that grows out of it
 * names both. The checkout and the order carry the cart's token as cart_token,
 * so whoever had the cart becomes known the moment an address is typed. The
 * checkout's own token is a second one of the same kind, under "checkout:",
 * for shops whose carts are not subscribed to.
 *
 * Invariant: the whole cart is restated each time (contract 5), and an empty
 * or completed one is "null", which clears it; so carts need no fold but "the
 * latest wins".
 */

/* What of a cart differs between the two payloads. */
struct cart {
    struct str token;
    struct str currency;
    struct str recovery_url;
    int64_t updated_at_ms;
    int64_t value_minor;
    int64_t items_count;
};

/* Carts say what a line costs with its discounts; a checkout without
 * subtotal_price does too. */
static void cart_sum(struct cart *cart, const json_t *root)
{
    size_t i = 0;
    const json_t *line = NULL;
    int64_t value_minor = 0;
    json_array_foreach(border_array(root, "line_items"), i, line)
    {
        int64_t price_minor = 0;
        int64_t quantity = 0;
        border_money(line, "line_price", cart->currency, &price_minor);
        value_minor = border_money_add(value_minor, price_minor);
        if (border_integer(line, "quantity", &quantity) && quantity > 0 && quantity <= UINT32_MAX) {
            cart->items_count += quantity;
        }
    }
    if (!border_money(root, "subtotal_price", cart->currency, &cart->value_minor)) {
        cart->value_minor = value_minor;
    }
}

static struct str cart_currency(const struct shopify_delivery *delivery)
{
    const json_t *line = json_array_get(border_array(delivery->root, "line_items"), 0);
    const json_t *money = border_object(border_object(line, "price_set"), "shop_money");
    struct str code = border_text(money, "currency_code");
    if (money_currency_is_valid(code)) {
        return str_dup(delivery->arena, code);
    }
    return shopify_currency(delivery, delivery->root, "currency");
}

static void write_items(struct jsonw *json, const struct shopify_delivery *delivery,
                        const struct cart *cart, bool with_source)
{
    size_t i = 0;
    const json_t *line = NULL;
    jsonw_open_array(json);
    json_array_foreach(border_array(delivery->root, "line_items"), i, line)
    {
        if (json->buf->size > DRAFT_PRODUCTS_BYTES) {
            break;
        }
        jsonw_open(json);
        if (with_source) {
            jsonw_put_str(json, "source", delivery->source->name);
            jsonw_key(json, "category");
            jsonw_open_array(json);
            jsonw_close_array(json);
        }
        shopify_write_line(json, delivery->arena, line, cart->currency);
        jsonw_close(json);
    }
    jsonw_close_array(json);
}

/* The cart as the profile keeps it. Shopify's carts know no categories. */
static struct str cart_json(const struct shopify_delivery *delivery, const struct cart *cart)
{
    struct buf buf;
    struct jsonw json;
    draft_object_open(&buf, &json, delivery->arena, 768);
    jsonw_put_instant(&json, "updated_at", cart->updated_at_ms);
    jsonw_put_money(&json, "value", cart->value_minor, cart->currency);
    jsonw_put_str(&json, "currency", cart->currency);
    jsonw_put_i64(&json, "items_count", cart->items_count);
    jsonw_key(&json, "categories");
    jsonw_open_array(&json);
    jsonw_close_array(&json);
    jsonw_put_str_or_null(&json, "recovery_url", cart->recovery_url);
    jsonw_key(&json, "items");
    write_items(&json, delivery, cart, true);
    jsonw_close(&json);
    return buf_str(&buf);
}

static struct str cart_properties(const struct shopify_delivery *delivery, const struct cart *cart,
                                  const char *token_key)
{
    struct buf buf;
    struct jsonw json;
    draft_object_open(&buf, &json, delivery->arena, 768);
    draft_put_text(&json, token_key, cart->token);
    jsonw_put_money(&json, "total", cart->value_minor, cart->currency);
    jsonw_put_str(&json, "currency", cart->currency);
    draft_put_text(&json, "recovery_url", cart->recovery_url);
    draft_put_text(&json, "channel", border_text(delivery->root, "source_name"));
    jsonw_key(&json, "products");
    write_items(&json, delivery, cart, false);
    jsonw_close(&json);
    return buf_str(&buf);
}

static void take_cart_into(const struct shopify_delivery *delivery, struct event *event,
                           struct cart *cart, const char *token_key, bool is_over)
{
    cart->currency = cart_currency(delivery);
    cart->updated_at_ms = event->occurred_at_ms;
    cart_sum(cart, delivery->root);
    event->currency = cart->currency;
    event->amount_minor = cart->value_minor;
    event->has_amount = true;
    event->cart_json = is_over || cart->items_count == 0 ? STR("null") : cart_json(delivery, cart);
    event->properties_json = cart_properties(delivery, cart, token_key);
}

/* The token without the key that opens the cart. */
static struct str token_name(struct str token)
{
    ptrdiff_t at = str_find(token, '?', 0);
    return at < 0 ? token : str_take(token, (size_t)at);
}

void shopify_identify_cart(struct draft *draft, struct event *event, struct str token)
{
    draft_identify(draft, event, IDENTITY_CART_TOKEN, token_name(token));
}

void shopify_identify_checkout(struct draft *draft, struct event *event, struct str token)
{
    if (event != NULL && token.size > 0 && token.size < LIMIT_TEXT_BYTES / 2) {
        draft_identify(draft, event, IDENTITY_CART_TOKEN,
                       str_printf(draft->arena, "checkout:%.*s", STR_ARG(token)));
    }
}

enum status shopify_take_cart(const struct shopify_delivery *delivery, struct draft *draft,
                              struct problem *problem)
{
    struct cart cart = { .token = token_name(border_text(delivery->root, "token")) };
    if (cart.token.size == 0) {
        cart.token = token_name(border_text(delivery->root, "id"));
    }
    if (cart.token.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event", "a cart without token");
    }
    shopify_draft_init(delivery, draft, 1);
    int64_t at_ms = shopify_instant(delivery, delivery->root, "updated_at", "created_at");
    struct event *event = draft_event(draft, EVENT_CART_UPDATED, STR(""), STR("cart"), at_ms);
    if (event != NULL) {
        shopify_identify_cart(draft, event, cart.token);
        take_cart_into(delivery, event, &cart, "cart_id", false);
    }
    return STATUS_OK;
}

static void identify_checkout_buyer(const struct shopify_delivery *delivery, struct draft *draft,
                                    struct event *event)
{
    const json_t *root = delivery->root;
    const json_t *customer = border_object(root, "customer");
    shopify_identify_customer(delivery, draft, event, customer);
    if (!draft_identify(draft, event, IDENTITY_EMAIL, border_text(root, "email"))) {
        draft_identify(draft, event, IDENTITY_EMAIL, border_text(customer, "email"));
    }
    if (!draft_identify(draft, event, IDENTITY_PHONE, border_text(root, "phone"))) {
        draft_identify(draft, event, IDENTITY_PHONE, border_text(customer, "phone"));
    }
    shopify_identify_cart(draft, event, border_text(root, "cart_token"));
    shopify_identify_checkout(draft, event, border_text(root, "token"));
    const json_t *address = border_object(customer, "default_address");
    if (address == NULL) {
        address = border_object(root, "billing_address");
    }
    shopify_describe_customer(delivery, draft, event, customer, address);
    draft_trait(draft, event, "locale", border_text(root, "customer_locale"));
}

enum status shopify_take_checkout(const struct shopify_delivery *delivery, struct draft *draft,
                                  struct problem *problem)
{
    const json_t *root = delivery->root;
    struct cart cart = {
        .token = border_text(root, "token"),
        .recovery_url = draft_cut(border_text(root, "abandoned_checkout_url")),
    };
    if (cart.token.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event", "a checkout without token");
    }
    shopify_draft_init(delivery, draft, 1);
    bool is_new = str_equal(delivery->topic, STR("checkouts/create"));
    int64_t at_ms = is_new ? shopify_instant(delivery, root, "created_at", "updated_at")
                           : shopify_instant(delivery, root, "updated_at", "created_at");
    struct event *event =
        draft_event(draft, is_new ? EVENT_CHECKOUT_STARTED : EVENT_CHECKOUT_UPDATED, STR(""),
                    STR("checkout"), at_ms);
    if (event != NULL) {
        identify_checkout_buyer(delivery, draft, event);
        take_cart_into(delivery, event, &cart, "checkout_id",
                       border_text(root, "completed_at").size > 0);
    }
    return STATUS_OK;
}

/* Most deletions say only a numeric id, which no cart is known by; there is
 * nothing to do then. */
enum status shopify_take_checkout_deleted(const struct shopify_delivery *delivery,
                                          struct draft *draft, struct problem *problem)
{
    (void)problem;
    struct str token = border_text(delivery->root, "token");
    struct str cart_token = border_text(delivery->root, "cart_token");
    shopify_draft_init(delivery, draft, 1);
    if (token.size == 0 && cart_token.size == 0) {
        return STATUS_OK;
    }
    struct event *event = draft_event(draft, EVENT_CHECKOUT_UPDATED, STR(""), STR("checkout"),
                                      delivery->triggered_at_ms);
    if (event != NULL) {
        event->act = false; /* the shop's housekeeping */
        event->cart_json = STR("null");
        event->properties_json = STR("{\"deleted\":true}");
        shopify_identify_cart(draft, event, cart_token);
        shopify_identify_checkout(draft, event, token);
    }
    return STATUS_OK;
}
