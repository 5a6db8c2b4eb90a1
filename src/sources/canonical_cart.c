#include "draft_priv.h"
#include "platform_priv.h"
#include "sources/json_border.h"

/*
 * The whole cart out of a cart.updated that lists its products (contract 5).
 *
 * What the profile keeps is the cart as last restated, so an empty list empties it,
 * and an event that lists nothing says nothing of it. The amounts are the sender's
 * where it gives them, else the sum of the lines.
 */

enum {
    QUANTITY_MAX = 9000 /* times the largest amount there is: within 63 bits */
};

struct cart {
    int64_t value_minor;
    int64_t items_count;
};

static void add_category(struct str *categories, size_t *count, struct str category)
{
    for (size_t i = 0; i < *count; i++) {
        if (str_equal(categories[i], category)) {
            return;
        }
    }
    if (category.size > 0) {
        categories[(*count)++] = category;
    }
}

static struct str text_of(const json_t *value)
{
    return json_is_string(value)
               ? (struct str){ json_string_value(value), json_string_length(value) }
               : (struct str){ NULL, 0 };
}

/* A product's first category; empty when it has none. */
static struct str category_of(const json_t *product)
{
    const json_t *category = json_object_get(product, "category");
    return draft_cut(text_of(json_is_array(category) ? json_array_get(category, 0) : category));
}

static int64_t quantity_of(const json_t *product)
{
    int64_t quantity = 1;
    if (!json_is_object(product)) {
        return 0;
    }
    if (!border_integer(product, "quantity", &quantity) || quantity < 0) {
        return 1;
    }
    return quantity < QUANTITY_MAX ? quantity : QUANTITY_MAX;
}

static void write_item(struct jsonw *json, struct arena *arena, const struct source *source,
                       const json_t *product, struct str currency)
{
    static const char *const ids[] = { "product_id", "variant_id", "sku" };
    struct str category = category_of(product);
    jsonw_open(json);
    jsonw_put_str(json, "source", source->name);
    for (size_t i = 0; i < ARRAY_COUNT(ids); i++) {
        draft_put_member(json, arena, ids[i], product, ids[i]);
    }
    draft_put_text(json, "name", draft_cut(border_text(product, "name")));
    jsonw_key(json, "category");
    jsonw_open_array(json);
    if (category.size > 0) {
        jsonw_str(json, category);
    }
    jsonw_close_array(json);
    jsonw_put_i64(json, "quantity", quantity_of(product));
    draft_put_money(json, "price", product, "price", currency);
    jsonw_close(json);
}

static struct cart add_up(const json_t *properties, const json_t *products, struct str currency)
{
    struct cart cart = { 0 };
    size_t i = 0;
    json_t *product = NULL;
    json_array_foreach(products, i, product)
    {
        int64_t price_minor = 0;
        int64_t quantity = quantity_of(product);
        (void)border_money(product, "price", currency, &price_minor);
        cart.items_count += quantity;
        cart.value_minor = border_money_add(cart.value_minor, quantity * price_minor);
    }
    (void)(border_money(properties, "value", currency, &cart.value_minor) ||
           border_money(properties, "total", currency, &cart.value_minor));
    return cart;
}

struct str canonical_cart(struct arena *arena, const struct source *source,
                          const json_t *properties, struct str currency, int64_t at_ms)
{
    json_t *products = json_object_get(properties, "products");
    if (!json_is_array(products)) {
        return (struct str){ NULL, 0 };
    }
    struct cart cart = add_up(properties, products, currency);
    struct str *categories = ARENA_NEW_ARRAY(arena, json_array_size(products) + 1, struct str);
    if (cart.items_count == 0 || categories == NULL) {
        return STR("null");
    }
    struct buf buf;
    struct jsonw json;
    size_t category_count = 0;
    draft_object_open(&buf, &json, arena, 768);
    jsonw_put_instant(&json, "updated_at", at_ms);
    jsonw_put_money(&json, "value", cart.value_minor, currency);
    jsonw_put_str(&json, "currency", currency);
    jsonw_put_i64(&json, "items_count", cart.items_count);
    jsonw_put_str_or_null(&json, "recovery_url",
                          draft_cut(border_text(properties, "recovery_url")));
    jsonw_key(&json, "items");
    jsonw_open_array(&json);
    for (size_t i = 0; i < json_array_size(products) && buf.size < DRAFT_PRODUCTS_BYTES; i++) {
        const json_t *product = json_array_get(products, i);
        if (!json_is_object(product)) {
            continue;
        }
        add_category(categories, &category_count, category_of(product));
        write_item(&json, arena, source, product, currency);
    }
    jsonw_close_array(&json);
    jsonw_key(&json, "categories");
    jsonw_open_array(&json);
    for (size_t i = 0; i < category_count; i++) {
        jsonw_str(&json, categories[i]);
    }
    jsonw_close_array(&json);
    jsonw_close(&json);
    return buf_str(&buf);
}
