#include "base/limits.h"
#include "sdk_priv.h"

/*
 * What the analytics ecommerce specification calls things, and what we do.
 *
 * Names are compared in snake case, so that "Product Viewed", "product_viewed"
 * and "productViewed" are one. What only shows interest in a product without
 * being one of our facts (a promotion, a click on a list, a coupon) is not
 * bent into one: it stays custom.<name>, and rules may use it as that.
 */

static const struct {
    const char *name;
    enum event_type type;
} EVENTS[] = {
    { "page_viewed", EVENT_PAGE_VIEWED },
    { "screen_viewed", EVENT_PAGE_VIEWED },
    { "products_searched", EVENT_PRODUCT_SEARCHED },
    { "product_list_viewed", EVENT_PRODUCT_LIST_VIEWED },
    { "product_list_filtered", EVENT_PRODUCT_LIST_VIEWED },
    { "product_viewed", EVENT_PRODUCT_VIEWED },
    { "product_reviewed", EVENT_PRODUCT_REVIEWED },
    { "product_added", EVENT_CART_PRODUCT_ADDED },
    { "wishlist_product_added_to_cart", EVENT_CART_PRODUCT_ADDED },
    { "product_removed", EVENT_CART_PRODUCT_REMOVED },
    { "cart_viewed", EVENT_CART_UPDATED },
    { "cart_updated", EVENT_CART_UPDATED },
    { "product_added_to_wishlist", EVENT_WISHLIST_PRODUCT_ADDED },
    { "product_removed_from_wishlist", EVENT_WISHLIST_PRODUCT_REMOVED },
    { "checkout_started", EVENT_CHECKOUT_STARTED },
    { "checkout_step_completed", EVENT_CHECKOUT_UPDATED },
    { "checkout_updated", EVENT_CHECKOUT_UPDATED },
    { "payment_info_entered", EVENT_CHECKOUT_UPDATED },
    { "order_completed", EVENT_ORDER_COMPLETED },
    { "order_updated", EVENT_ORDER_UPDATED },
    { "order_cancelled", EVENT_ORDER_CANCELLED },
    { "order_canceled", EVENT_ORDER_CANCELLED },
    { "order_refunded", EVENT_ORDER_REFUNDED },
    { "order_fulfilled", EVENT_ORDER_FULFILLED },
    { "order_shipped", EVENT_ORDER_FULFILLED },
    { "signed_up", EVENT_CUSTOMER_CREATED },
    { "account_created", EVENT_CUSTOMER_CREATED },
    { "user_registered", EVENT_CUSTOMER_CREATED },
    { "account_deleted", EVENT_CUSTOMER_DELETED },
    { "consent_updated", EVENT_CONSENT_UPDATED },
    { "preference_updated", EVENT_PREFERENCE_UPDATED },
    { "preferences_updated", EVENT_PREFERENCE_UPDATED },
    { "form_submitted", EVENT_FORM_SUBMITTED },
    { "email_link_clicked", EVENT_EMAIL_CLICKED },
    { "email_opened", EVENT_EMAIL_OPENED },
    { "email_delivered", EVENT_EMAIL_DELIVERED },
    { "email_bounced", EVENT_EMAIL_BOUNCED },
    { "email_marked_as_spam", EVENT_EMAIL_COMPLAINED },
    { "unsubscribed", EVENT_EMAIL_UNSUBSCRIBED },
    { "email_unsubscribed", EVENT_EMAIL_UNSUBSCRIBED },
};

/* In snake case already, so that only other words stand here. */
static const struct {
    const char *theirs;
    const char *ours;
} TRAITS[] = {
    { "firstname", "first_name" }, { "given_name", "first_name" },
    { "lastname", "last_name" },   { "family_name", "last_name" },
    { "birthday", "birth_date" },  { "date_of_birth", "birth_date" },
    { "timezone", "time_zone" },   { "language", "locale" },
    { "state", "region" },         { "zip", "postal_code" },
    { "postcode", "postal_code" },
};

enum {
    NAME_BYTES_MAX = LIMIT_NAME_BYTES
};

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static char lower(char c)
{
    if (is_upper(c)) {
        return (char)(c - 'A' + 'a');
    }
    return c;
}

/* The capital within camelCase. */
static bool is_hump(struct str name, size_t at)
{
    return at > 0 && is_upper(name.data[at]) && is_lower_or_digit(name.data[at - 1]);
}

struct str sdk_snake(struct arena *arena, struct str name)
{
    char text[NAME_BYTES_MAX + 1];
    size_t size = 0;
    bool gap = false;
    for (size_t i = 0; i < name.size && size < NAME_BYTES_MAX; i++) {
        char c = name.data[i];
        if (!is_upper(c) && !is_lower_or_digit(c)) {
            gap = true;
            continue;
        }
        bool first = size == 0;
        if (first && c >= '0' && c <= '9') {
            continue;
        }
        if (!first && (gap || is_hump(name, i))) {
            text[size++] = '_';
        }
        if (size < NAME_BYTES_MAX) {
            text[size++] = lower(c);
        }
        gap = false;
    }
    return str_dup(arena, (struct str){ text, size });
}

enum event_type sdk_event_type(struct str snake)
{
    for (size_t i = 0; i < ARRAY_COUNT(EVENTS); i++) {
        if (str_equal_z(snake, EVENTS[i].name)) {
            return EVENTS[i].type;
        }
    }
    return 0;
}

const char *sdk_trait_name(struct str snake)
{
    for (size_t i = 0; i < ARRAY_COUNT(TRAITS); i++) {
        if (str_equal_z(snake, TRAITS[i].theirs)) {
            return TRAITS[i].ours;
        }
    }
    return NULL;
}
