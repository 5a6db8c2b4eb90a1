#include "base/instant.h"
#include "base/money.h"
#include "core/interest/interest.h"
#include "program_priv.h"

/*
 * What interest.* and product.* say: of the product that a trigger is about, and of
 * what the customer has to do with it.
 *
 * Prices are in the product's own currency, on both sides: one that was seen in
 * another currency is null rather than compared with what it cannot be compared
 * with. Nothing here changes by time alone; age(interest.viewed_at) does, and that
 * comparison knows when.
 */

static struct rule_value instant_of(int64_t ms)
{
    return ms == INSTANT_NONE ? RULE_VALUE_NULL
                              : (struct rule_value){ .type = RULE_INSTANT, .ms = ms };
}

static struct rule_value text_of(struct str text)
{
    return text.size == 0 ? RULE_VALUE_NULL
                          : (struct rule_value){ .type = RULE_TEXT, .text = text };
}

static struct rule_value whole_of(int64_t whole)
{
    int64_t number = 0;
    if (__builtin_mul_overflow(whole, RULE_NUMBER_ONE, &number)) {
        return RULE_VALUE_NULL;
    }
    return (struct rule_value){ .type = RULE_NUMBER, .number = number };
}

static struct rule_value money_of(bool is_there, int64_t minor, struct str currency)
{
    int64_t number = 0;
    if (!is_there || !rule_number_from_minor(minor, (int)money_decimals(currency), &number)) {
        return RULE_VALUE_NULL;
    }
    return (struct rule_value){ .type = RULE_NUMBER, .number = number };
}

static struct rule_value price_seen(const struct interest *interest,
                                    const struct rule_product *product)
{
    bool is_foreign = product != NULL && product->currency.size > 0 &&
                      !str_equal(product->currency, interest->currency);
    return money_of(interest->price_seen_at_ms != INSTANT_NONE && !is_foreign,
                    interest->price_minor, interest->currency);
}

static struct rule_value read_interest(const struct rule_subject *subject,
                                       enum rule_attribute attribute)
{
    const struct interest *interest = subject->interest;
    switch ((int)attribute) {
    case RULE_INTEREST_VIEWED_AT:
        return instant_of(interest->viewed_at_ms);
    case RULE_INTEREST_VIEW_COUNT:
        return whole_of(interest->view_count);
    case RULE_INTEREST_OUT_OF_STOCK_SEEN_AT:
        return instant_of(interest->out_of_stock_seen_at_ms);
    case RULE_INTEREST_PRICE_SEEN:
        return price_seen(interest, subject->product);
    case RULE_INTEREST_CARTED_AT:
        return instant_of(interest->carted_at_ms);
    case RULE_INTEREST_WISHED_AT:
        return instant_of(interest_wished_at_ms(interest));
    case RULE_INTEREST_BOUGHT_AT:
        return instant_of(interest->bought_at_ms);
    case RULE_INTEREST_SUBSTITUTE_BOUGHT_AT:
        return instant_of(interest->substitute_bought_at_ms);
    default:
        return (struct rule_value){ .type = RULE_BOOL, .boolean = interest_is_waiting(interest) };
    }
}

static struct rule_value category_of(struct arena *arena, const struct rule_product *product)
{
    struct rule_value *items =
        ARENA_NEW_ARRAY(arena, product->category_count + 1, struct rule_value);
    if (items == NULL || product->category_count == 0) {
        return RULE_VALUE_NULL;
    }
    for (size_t i = 0; i < product->category_count; i++) {
        items[i] = text_of(product->category[i]);
    }
    return (struct rule_value){ .type = RULE_LIST, .list = { items, product->category_count } };
}

static struct rule_value read_product(struct arena *arena, const struct rule_product *product,
                                      enum rule_attribute attribute)
{
    switch ((int)attribute) {
    case RULE_PRODUCT_PRODUCT_ID:
        return text_of(product->product_id);
    case RULE_PRODUCT_VARIANT_ID:
        return text_of(product->variant_id);
    case RULE_PRODUCT_SKU:
        return text_of(product->sku);
    case RULE_PRODUCT_NAME:
        return text_of(product->name);
    case RULE_PRODUCT_CATEGORY:
        return category_of(arena, product);
    case RULE_PRODUCT_BRAND:
        return text_of(product->brand);
    case RULE_PRODUCT_PRICE:
        return money_of(product->has_price, product->price_minor, product->currency);
    case RULE_PRODUCT_COMPARE_AT_PRICE:
        return money_of(product->has_compare_at, product->compare_at_minor, product->currency);
    case RULE_PRODUCT_CURRENCY:
        return text_of(product->currency);
    default:
        return product->has_stock ? whole_of(product->stock) : RULE_VALUE_NULL;
    }
}

struct rule_value attribute_of_interest(struct arena *arena, const struct rule_subject *subject,
                                        enum rule_attribute attribute)
{
    if (attribute >= RULE_PRODUCT_PRODUCT_ID) {
        return subject->product != NULL ? read_product(arena, subject->product, attribute)
                                        : RULE_VALUE_NULL;
    }
    return subject->interest != NULL ? read_interest(subject, attribute) : RULE_VALUE_NULL;
}
