#include <string.h>

#include "base/buf.h"
#include "base/instant.h"
#include "base/limits.h"
#include "base/money.h"
#include "order_form_priv.h"
#include "platform_priv.h"
#include "sns_priv.h"
#include "sources/json_border.h"

/*
 * commercetools, by way of Amazon SNS: it has no webhooks of its own.
 *
 * A subscription publishes messages in one of two formats, its own or CloudEvents
 * around the same; both are read. A message is about one resource and has an id that
 * stays through repeats. Most messages say only what changed (an order's state, a
 * customer's e-mail), so what a message does not hold is not known from it: such an
 * event is thin. A body that was too large for the queue is left out by commercetools
 * (payloadNotIncluded) and is thin, too.
 *
 * Money is in cents with a currency; only "centPrecision" counts, which every total is.
 */

static const struct order_status_rule ORDER_STATUSES[] = {
    { "Open", ORDER_OPEN, true },          { "Confirmed", ORDER_OPEN, true },
    { "Complete", ORDER_FULFILLED, true }, { "Cancelled", ORDER_CANCELLED, false },
    { NULL, ORDER_OPEN, false },
};

/* One message, out of its envelopes. */
struct message {
    struct arena *arena;
    const json_t *root;
    struct str type;
    struct str resource_id;
    int64_t at_ms;
};

static bool cents(const json_t *object, const char *name, int64_t *out_minor)
{
    const json_t *money = border_object(object, name);
    return border_integer(money, "centAmount", out_minor) && *out_minor <= BORDER_MONEY_MINOR_MAX &&
           *out_minor >= -BORDER_MONEY_MINOR_MAX;
}

/* {"en":"Shoes","de":"Schuhe"}: the first. */
static struct str localized(const json_t *object, const char *name)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_t *texts = json_object_get(object, name);
    json_object_foreach(texts, key, value)
    {
        if (json_is_string(value)) {
            return (struct str){ json_string_value(value), json_string_length(value) };
        }
    }
    return (struct str){ NULL, 0 };
}

/* --- orders --------------------------------------------------------------------- */

static void read_lines(struct draft *draft, const json_t *order, struct order_form *form)
{
    const json_t *items = border_array(order, "lineItems");
    struct order_form_line *lines = order_form_lines(draft, json_array_size(items));
    for (size_t i = 0; lines != NULL && i < json_array_size(items); i++) {
        const json_t *item = json_array_get(items, i);
        const json_t *variant = border_object(item, "variant");
        lines[i].product_id = border_id(draft->arena, item, "productId");
        lines[i].variant_id = border_id(draft->arena, variant, "id");
        lines[i].sku = border_text(variant, "sku");
        lines[i].name = localized(item, "name");
        lines[i].image_url = border_text(json_array_get(border_array(variant, "images"), 0), "url");
        border_integer(item, "quantity", &lines[i].quantity);
        cents(border_object(item, "price"), "value", &lines[i].price_minor);
    }
    form->lines = lines;
    form->line_count = json_array_size(items);
}

static void describe(struct draft *draft, struct event *event, const json_t *address)
{
    struct str country = border_text(address, "country");
    draft_trait(draft, event, "first_name", border_text(address, "firstName"));
    draft_trait(draft, event, "last_name", border_text(address, "lastName"));
    draft_trait(draft, event, "country", country);
    draft_trait(draft, event, "region",
                draft_region(draft->arena, country, border_text(address, "region")));
    draft_trait(draft, event, "city", border_text(address, "city"));
    draft_trait(draft, event, "postal_code", border_text(address, "postalCode"));
}

static enum status take_order(const struct message *message, struct draft *draft,
                              struct problem *problem)
{
    struct arena *arena = message->arena;
    const json_t *order = border_object(message->root, "order");
    struct order_form form;
    order_form_init(&form);
    form.order_ref = border_id(arena, order, "id");
    form.number = border_text(order, "orderNumber");
    form.status = border_text(order, "orderState");
    form.currency = border_text(border_object(order, "totalPrice"), "currencyCode");
    form.placed_at_ms = border_instant(order, "createdAt", NULL);
    form.changed_at_ms = border_instant(order, "lastModifiedAt", NULL);
    form.customer_ref = border_id(arena, order, "customerId");
    form.email = border_text(order, "customerEmail");
    form.cart_token = border_id(arena, border_object(order, "cart"), "id");
    const json_t *taxed = border_object(order, "taxedPrice");
    bool has_total = cents(taxed, "totalGross", &form.total_minor) ||
                     cents(order, "totalPrice", &form.total_minor);
    cents(taxed, "totalTax", &form.tax_minor);
    cents(border_object(order, "shippingInfo"), "price", &form.shipping_minor);
    if (form.order_ref.size == 0 || form.status.size == 0 || !has_total) {
        return problem_set(problem, STATUS_INVALID, "invalid-event",
                           "an order without id, orderState or totalPrice");
    }
    read_lines(draft, order, &form);
    struct event *event = order_form_event(draft, &form, ORDER_STATUSES);
    if (event != NULL) {
        draft_identify(draft, event, IDENTITY_ANONYMOUS_ID, border_text(order, "anonymousId"));
        const json_t *address = border_object(order, "billingAddress");
        describe(draft, event, address != NULL ? address : border_object(order, "shippingAddress"));
    }
    return STATUS_OK;
}

/* A state and no order: known by its id. */
static enum status take_order_state(const struct message *message, struct draft *draft,
                                    struct problem *problem)
{
    struct str state = border_text(message->root, "orderState");
    (void)problem;
    if (str_equal(state, STR("Cancelled"))) {
        order_form_cancelled(draft, message->resource_id, NULL, message->at_ms);
        return STATUS_OK;
    }
    struct event *event = draft_event(draft, EVENT_CUSTOM, STR(""), STR("state"), message->at_ms);
    if (event != NULL) {
        event->name = STR("custom.order_state_changed");
        event->act = false;
        event->is_thin = true;
        draft_identify(draft, event, IDENTITY_ORDER, message->resource_id);
        event->properties_json =
            str_printf(message->arena, "{\"order_id\":%.*s,\"status\":%.*s}",
                       STR_ARG(draft_json_text(message->arena, message->resource_id)),
                       STR_ARG(draft_json_text(message->arena, state)));
    }
    return STATUS_OK;
}

static enum status take_shipment(const struct message *message, struct draft *draft,
                                 struct problem *problem)
{
    (void)problem;
    if (str_equal(border_text(message->root, "shipmentState"), STR("Shipped"))) {
        order_form_fulfilled(
            draft, message->resource_id,
            str_printf(message->arena, "%.*s/shipped", STR_ARG(message->resource_id)), NULL,
            message->at_ms);
    }
    return STATUS_OK;
}

/* --- customers, products ---------------------------------------------------------- */

static struct event *customer_event(const struct message *message, struct draft *draft,
                                    enum event_type type)
{
    struct event *event = draft_event(draft, type, STR(""), STR("customer"), message->at_ms);
    if (event != NULL) {
        draft_identify(draft, event, IDENTITY_CUSTOMER_ID, message->resource_id);
        event->properties_json =
            str_printf(message->arena, "{\"customer_id\":%.*s}",
                       STR_ARG(draft_json_text(message->arena, message->resource_id)));
    }
    return event;
}

static enum status take_customer(const struct message *message, struct draft *draft,
                                 struct problem *problem)
{
    (void)problem;
    const json_t *customer = border_object(message->root, "customer");
    struct event *event = customer_event(message, draft, EVENT_CUSTOMER_CREATED);
    if (event != NULL) {
        describe(draft, event, json_array_get(border_array(customer, "addresses"), 0));
        draft_identify(draft, event, IDENTITY_EMAIL, border_text(customer, "email"));
        draft_identify(draft, event, IDENTITY_EXTERNAL_ID, border_text(customer, "externalId"));
        draft_trait(draft, event, "first_name", border_text(customer, "firstName"));
        draft_trait(draft, event, "last_name", border_text(customer, "lastName"));
        draft_trait(draft, event, "birth_date", border_text(customer, "dateOfBirth"));
        draft_trait(draft, event, "locale", border_text(customer, "locale"));
    }
    return STATUS_OK;
}

static enum status take_customer_change(const struct message *message, struct draft *draft,
                                        struct problem *problem)
{
    (void)problem;
    struct event *event = customer_event(message, draft, EVENT_CUSTOMER_UPDATED);
    if (event != NULL) {
        draft_identify(draft, event, IDENTITY_EMAIL, border_text(message->root, "email"));
        draft_trait(draft, event, "first_name", border_text(message->root, "firstName"));
        draft_trait(draft, event, "last_name", border_text(message->root, "lastName"));
        draft_trait(draft, event, "birth_date", border_text(message->root, "dateOfBirth"));
    }
    return STATUS_OK;
}

static enum status take_customer_deleted(const struct message *message, struct draft *draft,
                                         struct problem *problem)
{
    (void)problem;
    customer_event(message, draft, EVENT_CUSTOMER_DELETED);
    return STATUS_OK;
}

static enum status take_product(const struct message *message, struct draft *draft,
                                struct problem *problem)
{
    (void)problem;
    const json_t *product = border_object(message->root, "productProjection");
    bool is_gone = product == NULL;
    struct event *event =
        draft_event(draft, is_gone ? EVENT_PRODUCT_DELETED : EVENT_PRODUCT_UPDATED, STR(""),
                    STR("product"), message->at_ms);
    if (event != NULL) {
        struct buf buf;
        struct jsonw json;
        draft_object_open(&buf, &json, message->arena, 256);
        jsonw_put_str(&json, "product_id", message->resource_id);
        draft_put_text(&json, "name", localized(product, "name"));
        draft_put_text(&json, "sku", border_text(border_object(product, "masterVariant"), "sku"));
        jsonw_close(&json);
        event->properties_json = buf_str(&buf);
        event->product_id = message->resource_id;
    }
    return STATUS_OK;
}

/* --- messages ----------------------------------------------------------------------- */

typedef enum status take_fn(const struct message *message, struct draft *draft,
                            struct problem *problem);

static const struct {
    const char *type;
    take_fn *take;
    const char *needs; /* the member without which there is nothing to read; NULL */
} MESSAGES[] = {
    { "OrderCreated", take_order, "order" },
    { "OrderCreatedFromRecurringOrder", take_order, "order" },
    { "OrderImported", take_order, "order" },
    { "OrderStateChanged", take_order_state, NULL },
    { "OrderShipmentStateChanged", take_shipment, NULL },
    { "CustomerCreated", take_customer, "customer" },
    { "CustomerEmailChanged", take_customer_change, NULL },
    { "CustomerFirstNameSet", take_customer_change, NULL },
    { "CustomerLastNameSet", take_customer_change, NULL },
    { "CustomerDateOfBirthSet", take_customer_change, NULL },
    { "CustomerDeleted", take_customer_deleted, NULL },
    { "ProductPublished", take_product, NULL },
    { "ProductDeleted", take_product, NULL },
};

/* {"payloadNotIncluded":{...}} in place of the order: that there is one, and no more. */
static enum status take_thin(const struct message *message, struct draft *draft)
{
    struct event *event = draft_event(draft, EVENT_CUSTOM, STR(""), STR("thin"), message->at_ms);
    if (event != NULL) {
        bool is_order = str_starts_with(message->type, STR("Order"));
        event->name = is_order ? STR("custom.order_created") : STR("custom.customer_created");
        event->act = false;
        event->is_thin = true;
        draft_identify(draft, event, is_order ? IDENTITY_ORDER : IDENTITY_CUSTOMER_ID,
                       message->resource_id);
        event->properties_json =
            str_printf(message->arena, "{\"id\":%.*s}",
                       STR_ARG(draft_json_text(message->arena, message->resource_id)));
    }
    return STATUS_OK;
}

static enum normalise_verdict take(const struct message *message, struct draft *draft,
                                   struct normalised *out_normalised, struct problem *problem)
{
    for (size_t i = 0; i < ARRAY_COUNT(MESSAGES); i++) {
        if (!str_equal_z(message->type, MESSAGES[i].type)) {
            continue;
        }
        bool is_thin =
            MESSAGES[i].needs != NULL && border_object(message->root, MESSAGES[i].needs) == NULL;
        enum status status =
            is_thin ? take_thin(message, draft) : MESSAGES[i].take(message, draft, problem);
        if (status != STATUS_OK) {
            return arena_is_full(message->arena) ? NORMALISE_FULL : NORMALISE_UNREADABLE;
        }
        return draft_finish(draft, out_normalised);
    }
    return NORMALISE_IGNORED;
}

/* Reads one message of either format. Also what the tests call. */
static enum normalise_verdict read_message(struct arena *arena, const struct source *source,
                                           struct str text, int64_t received_at_ms,
                                           struct normalised *out_normalised,
                                           struct problem *problem)
{
    json_t *root CLEANUP(border_free_at) = border_parse(text, problem);
    if (root == NULL) {
        return NORMALISE_UNREADABLE;
    }
    const json_t *inner =
        json_object_get(root, "specversion") != NULL ? border_object(root, "data") : root;
    struct str id = border_text(inner, "id");
    struct message message = {
        .arena = arena,
        .root = inner,
        .type = border_text(inner, "type"),
        .resource_id = border_id(arena, border_object(inner, "resource"), "id"),
        .at_ms = border_instant(inner, "createdAt", NULL),
    };
    out_normalised->topic = str_dup(arena, draft_cut(message.type));
    if (id.size > 0) {
        out_normalised->dedup_key = draft_dedup_key(arena, id, STR(""), text);
    }
    if (message.type.size == 0 || message.resource_id.size == 0) {
        return NORMALISE_IGNORED; /* a resource was deleted, a container was made */
    }
    struct draft draft;
    draft_init(&draft, arena, source, TRUST_SIGNED, received_at_ms, out_normalised->dedup_key, 2);
    return take(&message, &draft, out_normalised, problem);
}

static enum normalise_verdict normalise(struct arena *arena, const struct source *source,
                                        const struct inbound *inbound,
                                        struct normalised *out_normalised, struct problem *problem)
{
    struct sns_message message = { .at_ms = INSTANT_NONE };
    enum normalise_verdict verdict = sns_open(arena, inbound, out_normalised, &message, problem);
    return verdict == NORMALISE_EVENTS
               ? read_message(arena, source, message.text, inbound->received_at_ms, out_normalised,
                              problem)
               : verdict;
}

/* --- setup ---------------------------------------------------------------------------- */

static const char *const TOPICS[] = { "customer", "order", "product", NULL };

static const char *const STEPS[] = {
    "Create an SNS topic and a subscription of your project to it: POST "
    "/{projectKey}/subscriptions with destination SNS and messages "
    "[{\"resourceTypeId\":\"order\"},{\"resourceTypeId\":\"customer\"},"
    "{\"resourceTypeId\":\"product\"}]",
    SNS_STEPS,
    NULL,
};
static const struct setup_way WAYS[] = {
    { .way = "sns", .steps = STEPS, .write_paste = sns_write_paste },
    { .way = NULL },
};
static const struct setup_gap GAPS[] = {
    { "changes of an order's lines or addresses", "their messages say only the difference" },
    { NULL, NULL },
};

static const char *const SETTINGS[] = { "topic_arns",           "time_zone",         "currency",
                                        "order_completed_when", "allowed_addresses", NULL };

const struct platform platform_commercetools = {
    .name = "commercetools",
    .title = "commercetools (Amazon SNS)",
    .signature = SNS_SIGNATURE,
    .trust = TRUST_SIGNED,
    .provenance = PROVENANCE_FULL,
    .answer_ms = LIMIT_ANSWER_MS,
    .dedup_horizon_ms = 2 * INSTANT_DAY_MS,
    .expected_silence_ms = 24 * INSTANT_HOUR_MS,
    .headers = sns_headers,
    .topics = TOPICS,
    .order_statuses = ORDER_STATUSES,
    .settings = SETTINGS,
    .default_order_completed_when = "[\"Open\",\"Confirmed\",\"Complete\"]",
    .parse_settings = sns_parse_settings,
    .normalise = normalise,
    .setup = { WAYS, GAPS, sns_warnings },
};
