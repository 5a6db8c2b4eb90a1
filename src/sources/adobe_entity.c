#include <string.h>

#include "adobe_priv.h"
#include "base/instant.h"
#include "order_form_priv.h"
#include "platform_priv.h"
#include "sources/json_border.h"

/*
 * Orders, customers, products and credit memos as Adobe Commerce (Magento) keeps
 * them.
 *
 * Which fields an event carries is the merchant's configuration, and values are
 * text or numbers by the observer that sends them; so every field is read in both
 * forms, and only what an entity is nothing without is asked for. Times have no
 * offset and are UTC, as the database has them.
 */

const struct order_status_rule adobe_order_statuses[] = {
    { "new", ORDER_OPEN, false },
    { "pending", ORDER_OPEN, false },
    { "pending_payment", ORDER_OPEN, false },
    { "payment_review", ORDER_OPEN, false },
    { "holded", ORDER_OPEN, false },
    { "processing", ORDER_PAID, true },
    { "complete", ORDER_FULFILLED, true },
    { "closed", ORDER_FULFILLED, true }, /* refunded whole */
    { "canceled", ORDER_CANCELLED, false },
    { NULL, ORDER_OPEN, false },
};
const char adobe_completed_when[] = "[\"processing\",\"complete\",\"closed\"]";

typedef enum status take_fn(struct draft *draft, const json_t *value, bool is_deleted,
                            struct problem *problem);

struct adobe_entity {
    const char *word;   /* in an event's name */
    const char *member; /* in a webhook's body */
    take_fn *take;
};

static int64_t changed_at(const json_t *value)
{
    int64_t at_ms = border_instant(value, "updated_at", NULL);
    return at_ms != INSTANT_NONE ? at_ms : border_instant(value, "created_at", NULL);
}

/* "2.0000" or 2 */
static void whole_number(const json_t *object, const char *key, int64_t *out_value)
{
    struct str text = border_text(object, key);
    struct str whole = text;
    struct str rest = { NULL, 0 };
    if (border_integer(object, key, out_value)) {
        return;
    }
    (void)str_split(text, '.', &whole, &rest);
    if (!str_to_i64(whole, out_value)) {
        const json_t *value = json_object_get(object, key);
        *out_value = json_is_real(value) ? (int64_t)json_real_value(value) : 0;
    }
}

static void describe(struct draft *draft, struct event *event, const json_t *person,
                     const json_t *address)
{
    const json_t *named = border_text(person, "firstname").size > 0 ? person : address;
    struct str country = border_text(address, "country_id");
    if (country.size == 0) {
        country = border_text(address, "country");
    }
    draft_trait(draft, event, "first_name", border_text(named, "firstname"));
    draft_trait(draft, event, "last_name", border_text(named, "lastname"));
    draft_trait(draft, event, "country", country);
    draft_trait(draft, event, "region",
                draft_region(draft->arena, country, border_text(address, "region_code")));
    draft_trait(draft, event, "city", border_text(address, "city"));
    draft_trait(draft, event, "postal_code", border_text(address, "postcode"));
}

/* --- orders ------------------------------------------------------------------- */

static void read_lines(struct draft *draft, const json_t *order, struct order_form *form)
{
    const json_t *items = border_array(order, "items");
    struct order_form_line *lines = order_form_lines(draft, json_array_size(items));
    for (size_t i = 0; lines != NULL && i < json_array_size(items); i++) {
        const json_t *item = json_array_get(items, i);
        lines[i].product_id = border_id(draft->arena, item, "product_id");
        lines[i].sku = border_text(item, "sku");
        lines[i].name = border_text(item, "name");
        whole_number(item, "qty_ordered", &lines[i].quantity);
        border_money(item, "price", form->currency, &lines[i].price_minor);
    }
    form->lines = lines;
    form->line_count = json_array_size(items);
}

static struct str order_ref_of(struct arena *arena, const json_t *order)
{
    struct str ref = border_id(arena, order, "entity_id");
    return ref.size > 0 ? ref : border_id(arena, order, "order_id");
}

/* The state is one of nine; the status is the merchant's own word for it. */
static struct str state_of(const json_t *order)
{
    struct str state = border_text(order, "state");
    return state.size > 0 ? state : border_text(order, "status");
}

static enum status take_order(struct draft *draft, const json_t *order, bool is_deleted,
                              struct problem *problem)
{
    struct arena *arena = draft->arena;
    struct order_form form;
    (void)is_deleted; /* Commerce deletes no orders */
    order_form_init(&form);
    form.order_ref = order_ref_of(arena, order);
    form.number = border_scalar(arena, order, "increment_id");
    form.status = state_of(order);
    form.currency = border_text(order, "order_currency_code");
    form.coupon = border_text(order, "coupon_code");
    form.placed_at_ms = border_instant(order, "created_at", NULL);
    form.changed_at_ms = changed_at(order);
    form.customer_ref = border_id(arena, order, "customer_id");
    form.email = border_text(order, "customer_email");
    form.phone = border_text(border_object(order, "billing_address"), "telephone");
    border_money(order, "subtotal", form.currency, &form.subtotal_minor);
    border_money(order, "shipping_amount", form.currency, &form.shipping_minor);
    border_money(order, "tax_amount", form.currency, &form.tax_minor);
    border_money(order, "total_refunded", form.currency, &form.refunded_minor);
    if (border_money(order, "discount_amount", form.currency, &form.discount_minor) &&
        form.discount_minor < 0) {
        form.discount_minor = -form.discount_minor;
    }
    if (form.order_ref.size == 0 || form.status.size == 0 ||
        !border_money(order, "grand_total", form.currency, &form.total_minor)) {
        return problem_set(problem, STATUS_INVALID, "invalid-event",
                           "an order without entity_id, state or grand_total: add these fields to "
                           "the event's configuration");
    }
    read_lines(draft, order, &form);
    struct event *event = order_form_event(draft, &form, adobe_order_statuses);
    if (event != NULL) {
        const json_t *address = border_object(order, "billing_address");
        describe(draft, event, address, address);
        draft_trait(draft, event, "first_name", border_text(order, "customer_firstname"));
        draft_trait(draft, event, "last_name", border_text(order, "customer_lastname"));
    }
    if (event != NULL && str_equal(form.status, STR("canceled"))) {
        order_form_cancelled(draft, form.order_ref, event, form.changed_at_ms);
    }
    return STATUS_OK;
}

static enum status take_creditmemo(struct draft *draft, const json_t *memo, bool is_deleted,
                                   struct problem *problem)
{
    struct arena *arena = draft->arena;
    struct str order_ref = border_id(arena, memo, "order_id");
    struct str refund_ref = border_id(arena, memo, "entity_id");
    struct str currency = border_text(memo, "order_currency_code");
    int64_t amount_minor = 0;
    (void)is_deleted;
    if (order_ref.size == 0 || refund_ref.size == 0 ||
        !border_money(memo, "grand_total", currency, &amount_minor)) {
        return problem_set(problem, STATUS_INVALID, "invalid-event",
                           "a credit memo without entity_id, order_id or grand_total: add these "
                           "fields to the event's configuration");
    }
    const struct order_form_refund refund = {
        .order_ref = order_ref,
        .refund_ref = refund_ref,
        .currency = currency,
        .amount_minor = amount_minor,
        .at_ms = changed_at(memo),
    };
    order_form_refunded(draft, &refund, NULL);
    return STATUS_OK;
}

/* --- customers, products ------------------------------------------------------- */

static enum status take_customer(struct draft *draft, const json_t *customer, bool is_deleted,
                                 struct problem *problem)
{
    struct arena *arena = draft->arena;
    struct str ref = border_id(arena, customer, "entity_id");
    ref = ref.size > 0 ? ref : border_id(arena, customer, "id");
    if (ref.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event",
                           "a customer without id: add it to the event's configuration");
    }
    struct event *event =
        draft_event(draft, is_deleted ? EVENT_CUSTOMER_DELETED : EVENT_CUSTOMER_UPDATED, STR(""),
                    STR("customer"), changed_at(customer));
    if (event == NULL) {
        return STATUS_OK;
    }
    draft_identify(draft, event, IDENTITY_CUSTOMER_ID, ref);
    draft_identify(draft, event, IDENTITY_EMAIL, border_text(customer, "email"));
    describe(draft, event, customer, NULL);
    draft_trait(draft, event, "birth_date", border_text(customer, "dob"));
    event->properties_json =
        str_printf(arena, "{\"customer_id\":%.*s}", STR_ARG(draft_json_text(arena, ref)));
    return STATUS_OK;
}

static enum status take_product(struct draft *draft, const json_t *product, bool is_deleted,
                                struct problem *problem)
{
    struct arena *arena = draft->arena;
    struct str sku = border_text(product, "sku");
    struct str ref = border_id(arena, product, "entity_id");
    ref = ref.size > 0 ? ref : str_dup(arena, sku);
    if (ref.size == 0) {
        return problem_set(problem, STATUS_INVALID, "invalid-event",
                           "a product without entity_id or sku");
    }
    struct event *event =
        draft_event(draft, is_deleted ? EVENT_PRODUCT_DELETED : EVENT_PRODUCT_UPDATED, STR(""),
                    STR("product"), changed_at(product));
    if (event == NULL) {
        return STATUS_OK;
    }
    struct buf buf;
    struct jsonw json;
    struct str currency = draft->source->currency;
    int64_t stock = 0;
    draft_object_open(&buf, &json, arena, 256);
    jsonw_put_str(&json, "product_id", ref);
    draft_put_text(&json, "sku", sku);
    draft_put_text(&json, "name", border_text(product, "name"));
    if (draft_put_money(&json, "price", product, "price", currency)) {
        draft_put_text(&json, "currency", currency);
    }
    const json_t *stock_data = border_object(product, "stock_data");
    if (json_object_get(stock_data, "qty") != NULL) {
        whole_number(stock_data, "qty", &stock);
        jsonw_put_i64(&json, "stock", stock);
    }
    jsonw_close(&json);
    event->properties_json = buf_str(&buf);
    event->product_id = ref;
    return STATUS_OK;
}

/* The longest word first: a credit memo's event names the order, too. */
static const struct adobe_entity ENTITIES[] = {
    { "sales_order_creditmemo", "creditmemo", take_creditmemo },
    { "sales_order", "order", take_order },
    { "catalog_product", "product", take_product },
    { "customer", "customer", take_customer },
};

/* Parts of an order or a customer, which say too little to be one. */
static const char *const PARTS[] = { "_item",           "_address", "_payment",
                                     "_status_history", "_grid",    "_group" };

static bool contains(struct str text, const char *word)
{
    size_t size = strlen(word);
    for (size_t i = 0; i + size <= text.size; i++) {
        if (memcmp(text.data + i, word, size) == 0) {
            return true;
        }
    }
    return false;
}

const struct adobe_entity *adobe_entity_of(struct str event_name)
{
    for (size_t i = 0; i < ARRAY_COUNT(PARTS); i++) {
        if (contains(event_name, PARTS[i])) {
            return NULL;
        }
    }
    for (size_t i = 0; i < ARRAY_COUNT(ENTITIES); i++) {
        if (contains(event_name, ENTITIES[i].word)) {
            return &ENTITIES[i];
        }
    }
    return NULL;
}

const struct adobe_entity *adobe_entity_in(const json_t *root, const json_t **out_value)
{
    for (size_t i = 0; i < ARRAY_COUNT(ENTITIES); i++) {
        const json_t *value = border_object(root, ENTITIES[i].member);
        if (value != NULL) {
            *out_value = value;
            return &ENTITIES[i];
        }
    }
    return NULL;
}

enum status adobe_take(struct draft *draft, const struct adobe_entity *entity, const json_t *value,
                       bool is_deleted, struct problem *problem)
{
    return entity->take(draft, value, is_deleted, problem);
}
