#include <assert.h>

#include "core/event/event.h"

/*
 * The table of contract 2: one dotted name per fact.
 *
 * `act` marks what the customer does themselves; only that moves last_seen_at
 * (correctness 13: a merchant's fulfilment must not wake a churned customer).
 * A form, a consent or a preference counts as an act unless the adapter says
 * that someone else made the change.
 *
 * Names are looked up by a linear walk: 34 entries of which most differ in the
 * first bytes cost less than hashing the name would.
 */

static const struct event_type_info types[EVENT_TYPE_COUNT] = {
    [EVENT_SESSION_STARTED] = { "session.started", true, false, "A visit began" },
    [EVENT_PAGE_VIEWED] = { "page.viewed", true, false, "A page was viewed" },
    [EVENT_PRODUCT_VIEWED] = { "product.viewed", true, false, "A product was viewed" },
    [EVENT_PRODUCT_REVIEWED] = { "product.reviewed", true, false, "A product was reviewed" },
    [EVENT_PRODUCT_SEARCHED] = { "product.searched", true, false, "Products were searched" },
    [EVENT_PRODUCT_LIST_VIEWED] = { "product_list.viewed", true, false,
                                    "A collection or category was viewed" },
    [EVENT_CART_PRODUCT_ADDED] = { "cart.product_added", true, false,
                                   "A product was put into the cart" },
    [EVENT_CART_PRODUCT_REMOVED] = { "cart.product_removed", true, false,
                                     "A product was taken out of the cart" },
    [EVENT_CART_UPDATED] = { "cart.updated", true, false, "The cart changed" },
    [EVENT_WISHLIST_PRODUCT_ADDED] = { "wishlist.product_added", true, false,
                                       "A product was put on the wish list" },
    [EVENT_WISHLIST_PRODUCT_REMOVED] = { "wishlist.product_removed", true, false,
                                         "A product was taken off the wish list" },
    [EVENT_CHECKOUT_STARTED] = { "checkout.started", true, false, "A checkout was started" },
    [EVENT_CHECKOUT_UPDATED] = { "checkout.updated", true, false, "A checkout changed" },
    [EVENT_ORDER_COMPLETED] = { "order.completed", true, false,
                                "An order counted for the first time" },
    [EVENT_ORDER_UPDATED] = { "order.updated", false, false, "An order changed" },
    [EVENT_ORDER_CANCELLED] = { "order.cancelled", false, false, "An order was cancelled" },
    [EVENT_ORDER_REFUNDED] = { "order.refunded", false, false,
                               "An order was refunded, in part or whole" },
    [EVENT_ORDER_FULFILLED] = { "order.fulfilled", false, false, "An order was fulfilled" },
    [EVENT_CUSTOMER_CREATED] = { "customer.created", true, false,
                                 "A customer account was created" },
    [EVENT_CUSTOMER_UPDATED] = { "customer.updated", false, false, "A customer account changed" },
    [EVENT_CUSTOMER_DELETED] = { "customer.deleted", false, false,
                                 "A customer account was deleted" },
    [EVENT_CONSENT_UPDATED] = { "consent.updated", true, false,
                                "Permission for a channel was given or taken back" },
    [EVENT_PREFERENCE_UPDATED] = { "preference.updated", true, false,
                                   "A declared preference changed" },
    [EVENT_FORM_SUBMITTED] = { "form.submitted", true, false, "A form was submitted" },
    [EVENT_EMAIL_CLICKED] = { "email.clicked", true, false, "A link in an email was clicked" },
    [EVENT_EMAIL_OPENED] = { "email.opened", true, false, "An email was opened by a person" },
    [EVENT_EMAIL_UNSUBSCRIBED] = { "email.unsubscribed", true, false,
                                   "The customer unsubscribed from emails" },
    [EVENT_EMAIL_COMPLAINED] = { "email.complained", true, false,
                                 "The customer reported an email as spam" },
    [EVENT_EMAIL_DELIVERED] = { "email.delivered", false, false, "An email was delivered" },
    [EVENT_EMAIL_BOUNCED] = { "email.bounced", false, false, "An email bounced" },
    [EVENT_PRODUCT_UPDATED] = { "product.updated", false, true, "A product of the shop changed" },
    [EVENT_PRODUCT_DELETED] = { "product.deleted", false, true, "A product left the shop" },
    [EVENT_INVENTORY_UPDATED] = { "inventory.updated", false, true, "A stock level changed" },
    [EVENT_CUSTOM] = { "custom.*", false, false, "An event of your own: custom.<name>" },
};

const struct event_type_info *event_type_info(enum event_type type)
{
    assert(type >= EVENT_SESSION_STARTED);
    assert(type < EVENT_TYPE_COUNT);
    return &types[type];
}

/* The same form as any configured name (contract 1): ^[a-z][a-z0-9_]{0,62}$. */
bool event_own_name_is_valid(struct str name)
{
    if (name.size == 0 || name.size > 63 || name.data[0] < 'a' || name.data[0] > 'z') {
        return false;
    }
    for (size_t i = 1; i < name.size; i++) {
        char c = name.data[i];
        bool allowed = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
        if (!allowed) {
            return false;
        }
    }
    return true;
}

enum event_type event_type_from_name(struct str name)
{
    struct str prefix = STR("custom.");
    if (str_starts_with(name, prefix)) {
        return event_own_name_is_valid(str_drop(name, prefix.size)) ? EVENT_CUSTOM : 0;
    }
    for (int type = EVENT_SESSION_STARTED; type < EVENT_CUSTOM; type++) {
        if (str_equal_z(name, types[type].name)) {
            return (enum event_type)type;
        }
    }
    return 0;
}
