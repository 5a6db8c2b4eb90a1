#include "shop_stories.h"

/*
 * Each platform's own words for the same few things: an order of 50.00 is made,
 * paid, changed, and 15.00 of it given back; another is cancelled; another deleted,
 * where shops can. Where a platform says less, the outcome does, and a remark why.
 *
 * Bodies that a shop sends within one second tie, as real ones do.
 */

#define DAY "2026-05-04T"
#define EMAIL "'eve@example.com'"
/* The same day in seconds since 1970. */
#define AT_TEN "1777888800"
#define AT_TEN_AND_A_SECOND "1777888801"
#define AT_TWELVE "1777896000"
#define AT_THIRTEEN "1777899600"

/* --- Shopify ---------------------------------------------------------------- */

static const struct shop SHOPIFY = {
    .platform = "shopify",
    .order_ref = "1001",
    .headers = { "X-Shopify-Topic", "X-Shopify-Webhook-Id", "X-Shopify-Triggered-At" },
};

#define SHOPIFY_ORDER(changed, status, more)                                            \
    "{'id':1001,'name':'#1001','customer':{'id':7},'email':" EMAIL ",'currency':'EUR'," \
    "'total_price':'50.00','created_at':'" DAY "10:00:00Z','updated_at':'" DAY changed  \
    "Z','financial_status':'" status "'" more "}"
#define SHOPIFY_REFUND                                                                          \
    "{'id':9,'order_id':1001,'created_at':'" DAY "12:00:00Z','transactions':[{'kind':'refund'," \
    "'status':'success','amount':'15.00','currency':'EUR'}]}"
#define SHOPIFY_SHIPPED                                                          \
    ",'fulfillment_status':'fulfilled','fulfillments':[{'id':5,'order_id':1001," \
    "'created_at':'" DAY "11:00:00Z','status':'success'}]"
#define SHOPIFY_CANCELLED ",'cancelled_at':'" DAY "11:00:00Z'"

/* --- WooCommerce ------------------------------------------------------------ */

static const struct shop WOOCOMMERCE = {
    .platform = "woocommerce",
    .order_ref = "52",
    .headers = { "X-WC-Webhook-Topic", "X-WC-Webhook-ID" },
};

#define WOO_ORDER(changed, status, more)                                             \
    "{'id':52,'number':'52','status':'" status "','currency':'EUR','total':'50.00'," \
    "'date_created_gmt':'" DAY "10:00:00','date_modified_gmt':'" DAY changed "',"    \
    "'customer_id':0,'billing':{'email':" EMAIL "}" more "}"

/* --- Shopware --------------------------------------------------------------- */

static const struct shop SHOPWARE = { .platform = "shopware", .order_ref = "0c1" };

#define SHOPWARE_SAYS(event, id, sent, payload)                                                 \
    "{'data':{'event':'" event "','payload':" payload "},'source':{'shopId':'s','eventId':'" id \
    "'},'timestamp':" sent "}"
/* updatedAt of an order does not move with its payments. */
#define SHOPWARE_ORDER(event, id, changed, state, payments)                                     \
    SHOPWARE_SAYS(event, id, AT_TEN,                                                            \
                  "{'order':{'id':'0c1','orderNumber':'1','amountTotal':50,'createdAt':'" DAY   \
                  "10:00:00Z','updatedAt':" changed ",'currency':{'isoCode':'EUR'},"            \
                  "'stateMachineState':{'technicalName':'" state "'},'transactions':[" payments \
                  "],'orderCustomer':{'email':" EMAIL "}}}")
#define SHOPWARE_PAYMENT(made, changed, state)               \
    "{'createdAt':'" DAY made "Z','updatedAt':'" DAY changed \
    "Z','stateMachineState':{'technicalName':'" state "'}}"
#define SHOPWARE_FAILED SHOPWARE_PAYMENT("10:00:00", "10:01:00", "failed")
#define SHOPWARE_CHANGE(event, id, operation) \
    SHOPWARE_SAYS(event, id, AT_THIRTEEN,     \
                  "[{'entity':'order','operation':'" operation "','primaryKey':'0c1'}]")
#define SHOPWARE_PLACED                                           \
    SHOPWARE_ORDER("checkout.order.placed", "e1", "null", "open", \
                   SHOPWARE_PAYMENT("10:00:00", "10:00:00", "open"))
#define SHOPWARE_PAID                                                                \
    SHOPWARE_ORDER("state_enter.order_transaction.state.paid", "e2", "null", "open", \
                   SHOPWARE_PAYMENT("10:00:00", "10:01:00", "paid"))

/* --- Adobe ------------------------------------------------------------------ */

static const struct shop ADOBE_COMMERCE = {
    .platform = "adobe_commerce",
    .order_ref = "3",
    .headers = { "x-adobe-commerce-request-id" },
    .dates_by_arrival = true,
};
static const struct shop ADOBE_IO_EVENTS = {
    .platform = "adobe_io_events",
    .order_ref = "3",
    .headers = { "x-adobe-event-id" },
    .settings = "{'client_id':'client'}",
    .dates_by_arrival = true,
};

#define ADOBE_ORDER(changed, state, more)                                                        \
    "{'entity_id':'3','increment_id':'000000003','state':'" state "','grand_total':'50.0000',"   \
    "'order_currency_code':'EUR','customer_email':" EMAIL ",'created_at':'2026-05-04 10:00:00'," \
    "'updated_at':'2026-05-04 " changed "'" more "}"
#define ADOBE_MEMO                                                              \
    "{'entity_id':4,'order_id':3,'order_currency_code':'EUR','grand_total':15," \
    "'created_at':'2026-05-04 12:00:00'}"
#define ADOBE_CALL(member, value) "{'" member "':" value "}"
#define ADOBE_EVENT(entity, value) \
    "{'type':'com.adobe.commerce.observer." entity "_save_commit_after','data':{'value':" value "}}"

/* --- Saleor ----------------------------------------------------------------- */

static const struct shop SALEOR = {
    .platform = "saleor",
    .order_ref = "T3JkZXI6MQ==",
    .headers = { "Saleor-Event" },
    .dates_by_arrival = true,
};

#define SALEOR_ORDER(changed, status, more)                                            \
    "{'order':{'id':'T3JkZXI6MQ==','number':'1','status':'" status "','created':'" DAY \
    "10:00:00Z','updatedAt':'" DAY changed "Z','userEmail':" EMAIL                     \
    ",'total':{'gross':{'amount':50.0,'currency':'EUR'}}" more "}}"
/* Tells no time but that of the order. */
#define SALEOR_MAIL(status)                                                                      \
    "{'notify_event':'order_confirmation','payload':{'order':{'id':'T3JkZXI6MQ==','number':'1'," \
    "'status':'" status "','created':'" DAY "10:00:00Z','email':" EMAIL                          \
    ",'currency':'EUR','total_gross_amount':'50.00'}}}"

/* --- Wix -------------------------------------------------------------------- */

static const struct shop WIX = {
    .platform = "wix",
    .order_ref = "8f1e",
    .envelope = SHOP_TOKEN,
    .dates_by_arrival = true,
};

#define WIX_EVENT(id, slug, changed, holder)                        \
    "{'id':'" id "','entityFqdn':'wix.ecom.v1.order','slug':'" slug \
    "','entityId':'8f1e','eventTime':'" DAY changed "Z'," holder "}"
#define WIX_ORDER(changed, status)                                             \
    "{'number':'1','status':'" status "','currency':'EUR','createdDate':'" DAY \
    "10:00:00Z','updatedDate':'" DAY changed "Z','buyerInfo':{'email':" EMAIL  \
    "},'priceSummary':{'total':{'amount':'50.00'}}}"
#define WIX_CREATED(id, changed, status) \
    WIX_EVENT(id, "created", changed, "'createdEvent':{'entity':" WIX_ORDER(changed, status) "}")
#define WIX_UPDATED(id, changed, status) \
    WIX_EVENT(id, "updated", changed,    \
              "'updatedEvent':{'currentEntity':" WIX_ORDER(changed, status) "}")
#define WIX_ACTION(id, slug, changed, status) \
    WIX_EVENT(id, slug, changed, "'actionEvent':{'body':{'order':" WIX_ORDER(changed, status) "}}")

/* --- commercetools ---------------------------------------------------------- */

static const struct shop COMMERCETOOLS = {
    .platform = "commercetools",
    .order_ref = "c0",
    .envelope = SHOP_SNS,
    .settings = "{'topic_arns':['arn:aws:sns:eu-west-1:1:t']}",
    .dates_by_arrival = true,
};

#define COMMERCETOOLS_SAYS(id, type, at, more) \
    "{'id':'" id "','type':'" type             \
    "','resource':{'typeId':'order','id':'c0'},'createdAt':'" DAY at "Z'," more "}"
#define COMMERCETOOLS_CREATED                                                        \
    COMMERCETOOLS_SAYS(                                                              \
        "m1", "OrderCreated", "10:00:00.100",                                        \
        "'order':{'id':'c0','orderNumber':'1','orderState':'Open','createdAt':'" DAY \
        "10:00:00.100Z','lastModifiedAt':'" DAY "10:00:00.100Z',"                    \
        "'customerEmail':" EMAIL ",'totalPrice':{'centAmount':5000,'currencyCode':'EUR'}}")
#define COMMERCETOOLS_STATE(id, at, state) \
    COMMERCETOOLS_SAYS(id, "OrderStateChanged", at, "'orderState':'" state "'")
#define COMMERCETOOLS_SHIPPED(id, at) \
    COMMERCETOOLS_SAYS(id, "OrderShipmentStateChanged", at, "'shipmentState':'Shipped'")

/* --- Square ----------------------------------------------------------------- */

static const struct shop SQUARE = { .platform = "square", .order_ref = "o1" };

#define SQUARE_EVENT(id, type, at, object)                                           \
    "{'merchant_id':'M','type':'" type "','event_id':'" id "','created_at':'" DAY at \
    "Z','data':{'object':{" object "}}}"
#define SQUARE_ORDER(id, type, member, at, state) \
    SQUARE_EVENT(id, type, at,                    \
                 "'" member "':{'order_id':'o1','state':'" state "','updated_at':'" DAY at "Z'}")
#define SQUARE_PAYMENT(id, type, at, status, refunded)                    \
    SQUARE_EVENT(id, type, at,                                            \
                 "'payment':{'id':'p1','order_id':'o1','status':'" status \
                 "','buyer_email_address':" EMAIL ",'created_at':'" DAY   \
                 "10:00:00.250Z','updated_at':'" DAY at                   \
                 "Z','total_money':{'amount':5000,'currency':'EUR'},"     \
                 "'refunded_money':{'amount':" refunded ",'currency':'EUR'}}")
#define SQUARE_REFUND(id, type, at, status)                                                        \
    SQUARE_EVENT(id, type, at,                                                                     \
                 "'refund':{'id':'r1','order_id':'o1','status':'" status "','updated_at':'" DAY at \
                 "Z','amount_money':{'amount':1500,'currency':'EUR'}}")

/* --- Stripe ----------------------------------------------------------------- */

static const struct shop STRIPE = { .platform = "stripe", .order_ref = "pi_1" };

#define STRIPE_EVENT(id, type, seconds, object)           \
    "{'id':'" id "','type':'" type "','created':" seconds \
    ",'livemode':true,'data':{'object':{" object "}}}"
#define STRIPE_CHARGE(id, type, seconds, status, captured, refunded)                             \
    STRIPE_EVENT(id, type, seconds,                                                              \
                 "'id':'ch_1','payment_intent':'pi_1','amount':5000,'amount_refunded':" refunded \
                 ",'currency':'eur','created':" AT_TEN ",'status':'" status                      \
                 "','captured':" captured ",'billing_details':{'email':" EMAIL "}")
#define STRIPE_SESSION(id, type, seconds, status)                                                 \
    STRIPE_EVENT(id, type, seconds,                                                               \
                 "'id':'cs_1','mode':'payment','payment_intent':'pi_1','payment_status':'" status \
                 "','amount_total':5000,'currency':'eur','customer_details':{'email':" EMAIL "}")
#define STRIPE_REFUND(id, type, seconds, status)                                       \
    STRIPE_EVENT(id, type, seconds,                                                    \
                 "'id':'re_1','payment_intent':'pi_1','amount':1500,'currency':'eur'," \
                 "'created':" AT_TWELVE ",'status':'" status "'")

/* --- our own words, and a shop without a file here -------------------------- */

static const struct shop STANDARD_WEBHOOKS = {
    .platform = "standard_webhooks",
    .order_ref = "o-1",
    .headers = { "webhook-id" },
};

#define STANDARD(type, at, more)                                                        \
    "{'type':'" type "','timestamp':'" DAY at "Z','data':{'identities':{'email':" EMAIL \
    "},'properties':{'order_id':'o-1','currency':'EUR'," more "}}}"

static const struct shop CUSTOM = {
    .platform = "custom",
    .order_ref = "77",
    .settings =
        "{'topic':{'pointer':'/event'},'id':{'pointer':'/id'},'events':["
        "{'topic':'saved','type':'order.updated','occurred_at':'/at','identities':{'email':"
        "'/buyer'},'properties':{'order_id':'/order','total':'/total','currency':'=EUR','status':"
        "{'pointer':'/state','words':{'4':'paid','5':'shipped','6':'cancelled'},"
        "'default':'pending'}}},"
        "{'topic':'given_back','type':'order.refunded','occurred_at':'/at','properties':"
        "{'order_id':'/order','refund_id':'/slip','total':'/sum','currency':'=EUR'}},"
        "{'topic':'cancelled','type':'order.cancelled','occurred_at':'/at','properties':"
        "{'order_id':'/order'}}]}",
};

#define CUSTOM_SAVED(id, at, state)                                                              \
    "{'id':'" id "','event':'saved','order':77,'total':'50.00','buyer':" EMAIL ",'state':" state \
    ",'at':'" DAY at "Z'}"
#define CUSTOM_OF(id, event, at, more) \
    "{'id':'" id "','event':'" event "','order':77,'at':'" DAY at "Z'" more "}"

/* --- shops that send a name and keep the rest ------------------------------- */

static const struct shop BIGCOMMERCE = {
    .platform = "bigcommerce",
    .order_ref = "250",
    .headers = { "webhook-id" },
};
#define BIGCOMMERCE_SAYS(scope, data)                                                  \
    "{'scope':'" scope "','hash':'h','created_at':" AT_TEN ",'producer':'stores/abc'," \
    "'data':{" data "}}"

static const struct shop ECWID = { .platform = "ecwid", .order_ref = "XJ12H" };
#define ECWID_SAYS(id, type)                                                     \
    "{'eventId':'" id "','eventCreated':" AT_TEN ",'storeId':1003,'entityId':1," \
    "'eventType':'" type "','data':{'orderId':'XJ12H','newPaymentStatus':'PAID'}}"

static const struct shop SQUARESPACE = { .platform = "squarespace", .order_ref = "585d" };
#define SQUARESPACE_SAYS(id, topic, update)                                \
    "{'id':'" id "','websiteId':'w','topic':'" topic "','createdOn':'" DAY \
    "10:00+00:00','data':{'orderId':'585d'" update "}}"

static const struct shop ETSY = {
    .platform = "etsy",
    .order_ref = "54321",
    .headers = { "webhook-id" },
};
#define ETSY_PAID                                \
    "{'event_type':'order.paid','resource_url':" \
    "'https://openapi.etsy.com/v3/application/shops/42/receipts/54321','shop_id':42}"

/* --- the stories ------------------------------------------------------------ */

#define TWELVE " of " DAY "12:00:00.000Z"

const struct shop_story shop_stories[] = {
    { &SHOPIFY,
      "given back in part",
      SHOP_COUNTS,
      "1, 5000 less 1500; partially_refunded 5000 less 1500" TWELVE ", 1 shipped",
      { { { "orders/create", "s1" }, SHOPIFY_ORDER("10:00:00", "pending", "") },
        { { "orders/paid", "s2" }, SHOPIFY_ORDER("10:00:00", "paid", "") },
        { { "orders/fulfilled", "s3" }, SHOPIFY_ORDER("11:00:00", "paid", SHOPIFY_SHIPPED) },
        { { "refunds/create", "s4" }, SHOPIFY_REFUND },
        { { "orders/updated", "s5" },
          SHOPIFY_ORDER("12:00:00", "partially_refunded",
                        SHOPIFY_SHIPPED ",'refunds':[" SHOPIFY_REFUND "]") } } },
    { &SHOPIFY,
      "cancelled",
      SHOP_GONE,
      "0, 0 less 0; voided 5000 less 0" TWELVE,
      { { { "orders/create", "s1" }, SHOPIFY_ORDER("10:00:00", "authorized", "") },
        { { "orders/updated", "s2" }, SHOPIFY_ORDER("10:30:00", "authorized", "") },
        { { "orders/cancelled", "s3" },
          SHOPIFY_ORDER("11:00:00", "authorized", SHOPIFY_CANCELLED) },
        { { "orders/updated", "s4" }, SHOPIFY_ORDER("12:00:00", "voided", SHOPIFY_CANCELLED) } } },
    { &SHOPIFY,
      "deleted",
      SHOP_GONE,
      "0, 0 less 0; partially_refunded 5000 less 1500" TWELVE,
      { { { "orders/create", "s1" }, SHOPIFY_ORDER("10:00:00", "paid", "") },
        { { "refunds/create", "s2" }, SHOPIFY_REFUND },
        { { "orders/updated", "s3" },
          SHOPIFY_ORDER("12:00:00", "partially_refunded", ",'refunds':[" SHOPIFY_REFUND "]") },
        { { "orders/delete", "s4", DAY "13:00:00Z" }, "{'id':1001}" } } },

    { &WOOCOMMERCE,
      "given back in part",
      SHOP_COUNTS,
      "1, 5000 less 1500; completed 5000 less 1500" TWELVE,
      { { { "order.created", "1" }, WOO_ORDER("10:00:00", "pending", "") },
        { { "order.updated", "2" }, WOO_ORDER("10:00:00", "processing", "") },
        { { "order.updated", "2" }, WOO_ORDER("11:00:00", "completed", "") },
        { { "order.updated", "2" },
          WOO_ORDER("12:00:00", "completed", ",'refunds':[{'id':60,'total':'-15.00'}]") },
        { { "order.created", "3" }, WOO_ORDER("10:00:00", "pending", "") } } },
    { &WOOCOMMERCE,
      "cancelled",
      SHOP_GONE,
      "0, 0 less 0; cancelled 5000 less 0" TWELVE,
      { { { "order.created", "1" }, WOO_ORDER("10:00:00", "pending", "") },
        { { "order.updated", "2" }, WOO_ORDER("10:00:00", "processing", "") },
        { { "order.updated", "2" }, WOO_ORDER("11:00:00", "cancelled", "") },
        { { "order.updated", "2" }, WOO_ORDER("12:00:00", "cancelled", "") } } },
    { &WOOCOMMERCE,
      "cancelled, and a payment that came late",
      SHOP_COUNTS,
      "1, 5000 less 0; processing 5000 less 0" TWELVE,
      { { { "order.created", "1" }, WOO_ORDER("10:00:00", "pending", "") },
        { { "order.updated", "2" }, WOO_ORDER("11:00:00", "cancelled", "") },
        { { "order.updated", "2" }, WOO_ORDER("12:00:00", "processing", "") } } },
    /* A deletion has no time of its own: it is later than every body that the shop
     * made before it was received. */
    { &WOOCOMMERCE,
      "deleted",
      SHOP_GONE,
      "0, 0 less 0; completed 5000 less 1500" TWELVE,
      { { { "order.created", "1" }, WOO_ORDER("10:00:00", "pending", "") },
        { { "order.updated", "2" }, WOO_ORDER("10:00:00", "processing", "") },
        { { "order.updated", "2" },
          WOO_ORDER("12:00:00", "completed", ",'refunds':[{'id':60,'total':'-15.00'}]") },
        { { "order.deleted", "4" }, "{'id':52}" } } },

    /* How much of it was given back is not told. */
    { &SHOPWARE,
      "paid at the second attempt, given back in part",
      SHOP_COUNTS,
      "1, 5000 less 0; refunded_partially 5000 less 0" TWELVE,
      { { .body = SHOPWARE_PLACED },
        { .body = SHOPWARE_ORDER("state_enter.order_transaction.state.failed", "e3", "null", "open",
                                 SHOPWARE_FAILED) },
        { .body = SHOPWARE_ORDER("state_enter.order_transaction.state.paid", "e4", "null", "open",
                                 SHOPWARE_FAILED
                                 "," SHOPWARE_PAYMENT("10:05:00", "10:06:00", "paid")) },
        { .body = SHOPWARE_CHANGE("order.written", "e5", "update") },
        { .body = SHOPWARE_ORDER("state_enter.order_transaction.state.refunded_partially", "e6",
                                 "null", "open",
                                 SHOPWARE_FAILED "," SHOPWARE_PAYMENT("10:05:00", "12:00:00",
                                                                      "refunded_partially")) } } },
    { &SHOPWARE,
      "given back whole",
      SHOP_COUNTS,
      "1, 5000 less 5000; refunded 5000 less 5000" TWELVE,
      { { .body = SHOPWARE_PLACED },
        { .body = SHOPWARE_PAID },
        { .body =
              SHOPWARE_ORDER("state_enter.order_transaction.state.refunded", "e3", "null", "open",
                             SHOPWARE_PAYMENT("10:00:00", "12:00:00", "refunded")) } } },
    { &SHOPWARE,
      "paid, and cancelled",
      SHOP_GONE,
      "0, 0 less 0; cancelled 5000 less 0" TWELVE,
      { { .body = SHOPWARE_PLACED },
        { .body = SHOPWARE_PAID },
        { .body = SHOPWARE_ORDER("state_enter.order.state.cancelled", "e3", "'" DAY "11:00:00Z'",
                                 "cancelled", SHOPWARE_PAYMENT("10:00:00", "10:01:00", "paid")) },
        { .body = SHOPWARE_ORDER("state_enter.order_transaction.state.cancelled", "e4",
                                 "'" DAY "11:00:00Z'", "cancelled",
                                 SHOPWARE_PAYMENT("10:00:00", "12:00:00", "cancelled")) } } },
    { &SHOPWARE,
      "deleted",
      SHOP_GONE,
      "0, 0 less 0; paid 5000 less 0 of " DAY "10:01:00.000Z",
      { { .body = SHOPWARE_PLACED },
        { .body = SHOPWARE_PAID },
        { .body = SHOPWARE_CHANGE("order.written", "e3", "update") },
        { .body = SHOPWARE_CHANGE("order.deleted", "e4", "delete") } } },

    { &ADOBE_COMMERCE,
      "given back in part",
      SHOP_COUNTS,
      "1, 5000 less 1500; complete 5000 less 1500" TWELVE,
      { { { "r1" }, ADOBE_CALL("order", ADOBE_ORDER("10:00:00", "new", "")) },
        { { "r2" }, ADOBE_CALL("order", ADOBE_ORDER("10:00:00", "processing", "")) },
        { { "r3" }, ADOBE_CALL("order", ADOBE_ORDER("11:00:00", "complete", "")) },
        { { "r4" }, ADOBE_CALL("creditmemo", ADOBE_MEMO) },
        { { "r5" },
          ADOBE_CALL("order",
                     ADOBE_ORDER("12:00:00", "complete", ",'total_refunded':'15.0000'")) } } },
    { &ADOBE_COMMERCE,
      "cancelled",
      SHOP_GONE,
      "0, 0 less 0; canceled 5000 less 0" TWELVE,
      { { { "r1" }, ADOBE_CALL("order", ADOBE_ORDER("10:00:00", "new", "")) },
        { { "r2" }, ADOBE_CALL("order", ADOBE_ORDER("10:00:00", "processing", "")) },
        { { "r3" }, ADOBE_CALL("order", ADOBE_ORDER("11:00:00", "canceled", "")) },
        { { "r4" }, ADOBE_CALL("order", ADOBE_ORDER("12:00:00", "canceled", "")) } } },
    { &ADOBE_IO_EVENTS,
      "given back in part",
      SHOP_COUNTS,
      "1, 5000 less 1500; complete 5000 less 1500" TWELVE,
      { { { "v1" }, ADOBE_EVENT("sales_order", ADOBE_ORDER("10:00:00", "new", "")) },
        { { "v2" }, ADOBE_EVENT("sales_order", ADOBE_ORDER("10:00:00", "processing", "")) },
        { { "v3" }, ADOBE_EVENT("sales_order", ADOBE_ORDER("11:00:00", "complete", "")) },
        { { "v4" }, ADOBE_EVENT("sales_order_creditmemo", ADOBE_MEMO) },
        { { "v5" }, ADOBE_EVENT("sales_order", ADOBE_ORDER("12:00:00", "complete", "")) } } },
    { &ADOBE_IO_EVENTS,
      "cancelled",
      SHOP_GONE,
      "0, 0 less 0; canceled 5000 less 0" TWELVE,
      { { { "v1" }, ADOBE_EVENT("sales_order", ADOBE_ORDER("10:00:00", "new", "")) },
        { { "v2" }, ADOBE_EVENT("sales_order", ADOBE_ORDER("10:00:00", "processing", "")) },
        { { "v3" }, ADOBE_EVENT("sales_order", ADOBE_ORDER("11:00:00", "canceled", "")) },
        { { "v4" }, ADOBE_EVENT("sales_order", ADOBE_ORDER("12:00:00", "canceled", "")) } } },

    { &SALEOR,
      "given back in part",
      SHOP_COUNTS,
      "1, 5000 less 1500; fulfilled 5000 less 1500" TWELVE,
      { { { "order_created" }, SALEOR_ORDER("10:00:00", "UNCONFIRMED", "") },
        { { "notify_user" }, SALEOR_MAIL("unconfirmed") },
        { { "order_fully_paid" }, SALEOR_ORDER("10:01:00", "UNFULFILLED", "") },
        { { "order_fulfilled" }, SALEOR_ORDER("11:00:00", "FULFILLED", "") },
        { { "order_refunded" },
          SALEOR_ORDER("12:00:00", "FULFILLED", ",'totalRefunded':{'amount':15.0}") } } },
    { &SALEOR,
      "cancelled",
      SHOP_GONE,
      "0, 0 less 0; canceled 5000 less 0" TWELVE,
      { { { "order_created" }, SALEOR_ORDER("10:00:00", "UNFULFILLED", "") },
        { { "notify_user" }, SALEOR_MAIL("unfulfilled") },
        { { "order_cancelled" }, SALEOR_ORDER("11:00:00", "CANCELED", "") },
        { { "order_updated" }, SALEOR_ORDER("12:00:00", "CANCELED", "") } } },
    { &SALEOR,
      "known by mails alone",
      SHOP_COUNTS,
      "1, 5000 less 0; fulfilled 5000 less 0 of " DAY "10:00:00.000Z",
      { { { "notify_user" }, SALEOR_MAIL("unconfirmed") },
        { { "notify_user" }, SALEOR_MAIL("unfulfilled") },
        { { "notify_user" }, SALEOR_MAIL("fulfilled") } } },

    /* What was given back is not in what is read of an order. */
    { &WIX,
      "paid",
      SHOP_COUNTS,
      "1, 5000 less 0; APPROVED 5000 less 0" TWELVE,
      { { .body = WIX_CREATED("w1", "10:00:00", "INITIALIZED") },
        { .body = WIX_ACTION("w2", "approved", "10:00:00", "APPROVED") },
        { .body = WIX_ACTION("w3", "payment_status_updated", "10:01:00", "APPROVED") },
        { .body = WIX_UPDATED("w4", "12:00:00", "APPROVED") } } },
    { &WIX,
      "cancelled",
      SHOP_GONE,
      "0, 0 less 0; CANCELED 5000 less 0" TWELVE,
      { { .body = WIX_CREATED("w1", "10:00:00", "INITIALIZED") },
        { .body = WIX_ACTION("w2", "approved", "10:00:00", "APPROVED") },
        { .body = WIX_ACTION("w3", "canceled", "11:00:00", "CANCELED") },
        { .body = WIX_UPDATED("w4", "12:00:00", "CANCELED") } } },

    /* Only the creation is whole: later messages say one word each, and no refund. */
    { &COMMERCETOOLS,
      "shipped",
      SHOP_COUNTS,
      "1, 5000 less 0; Open 5000 less 0 of " DAY "10:00:00.100Z, 1 shipped",
      { { .body = COMMERCETOOLS_CREATED },
        { .body = COMMERCETOOLS_STATE("m2", "10:01:00.000", "Confirmed") },
        { .body = COMMERCETOOLS_SHIPPED("m3", "11:00:00.000") },
        { .body = COMMERCETOOLS_STATE("m4", "12:00:00.000", "Complete") },
        { .body = COMMERCETOOLS_SHIPPED("m5", "12:30:00.000") } } },
    { &COMMERCETOOLS,
      "cancelled",
      SHOP_GONE,
      "0, 0 less 0; Open 5000 less 0 of " DAY "10:00:00.100Z",
      { { .body = COMMERCETOOLS_CREATED },
        { .body = COMMERCETOOLS_STATE("m2", "10:01:00.000", "Confirmed") },
        { .body = COMMERCETOOLS_STATE("m3", "11:00:00.000", "Cancelled") } } },

    { &SQUARE,
      "given back in part",
      SHOP_COUNTS,
      "1, 5000 less 1500; COMPLETED 5000 less 1500 of " DAY "12:00:02.000Z",
      { { .body = SQUARE_ORDER("q1", "order.created", "order_created", "10:00:00.100", "OPEN") },
        { .body = SQUARE_PAYMENT("q2", "payment.created", "10:00:00.250", "APPROVED", "0") },
        { .body = SQUARE_PAYMENT("q3", "payment.updated", "10:00:01.500", "COMPLETED", "0") },
        { .body = SQUARE_REFUND("q4", "refund.created", "12:00:00.000", "PENDING") },
        { .body = SQUARE_REFUND("q5", "refund.updated", "12:00:01.000", "COMPLETED") },
        { .body =
              SQUARE_PAYMENT("q6", "payment.updated", "12:00:02.000", "COMPLETED", "1500") } } },
    { &SQUARE,
      "cancelled",
      SHOP_GONE,
      "0, 0 less 0; CANCELED 5000 less 0 of " DAY "11:00:00.000Z",
      { { .body = SQUARE_ORDER("q1", "order.created", "order_created", "10:00:00.100", "OPEN") },
        { .body = SQUARE_PAYMENT("q2", "payment.created", "10:00:00.250", "APPROVED", "0") },
        { .body = SQUARE_PAYMENT("q3", "payment.updated", "11:00:00.000", "CANCELED", "0") },
        { .body = SQUARE_ORDER("q4", "order.updated", "order_updated", "11:00:01.000",
                               "CANCELED") } } },
    { &SQUARE,
      "an order cancelled whose payment stands",
      SHOP_GONE,
      "0, 0 less 0; COMPLETED 5000 less 0 of " DAY "10:00:01.500Z",
      { { .body = SQUARE_PAYMENT("q1", "payment.created", "10:00:00.250", "APPROVED", "0") },
        { .body = SQUARE_PAYMENT("q2", "payment.updated", "10:00:01.500", "COMPLETED", "0") },
        { .body = SQUARE_ORDER("q3", "order.updated", "order_updated", "11:00:00.000",
                               "CANCELED") } } },

    { &STRIPE,
      "held, captured, given back in part",
      SHOP_COUNTS,
      "1, 5000 less 1500; paid 5000 less 1500 of " DAY "10:00:01.001Z",
      { { .body = STRIPE_CHARGE("t1", "charge.succeeded", AT_TEN, "succeeded", "false", "0") },
        { .body = STRIPE_CHARGE("t2", "charge.captured", AT_TEN, "succeeded", "true", "0") },
        { .body = STRIPE_SESSION("t3", "checkout.session.completed", AT_TEN_AND_A_SECOND, "paid") },
        { .body = STRIPE_REFUND("t4", "refund.created", AT_TWELVE, "pending") },
        { .body = STRIPE_REFUND("t5", "refund.updated", AT_TWELVE, "succeeded") },
        { .body =
              STRIPE_CHARGE("t6", "charge.refunded", AT_TWELVE, "succeeded", "true", "1500") } } },
    /* Stripe cancels no payment that succeeded. */
    { &STRIPE,
      "never paid",
      SHOP_GONE,
      "0, 0 less 0; unpaid 5000 less 0 of " DAY "12:00:00.001Z",
      { { .body =
              STRIPE_SESSION("t1", "checkout.session.completed", AT_TEN_AND_A_SECOND, "unpaid") },
        { .body = STRIPE_CHARGE("t2", "charge.pending", AT_TEN, "pending", "false", "0") },
        { .body = STRIPE_CHARGE("t3", "charge.failed", AT_TWELVE, "failed", "false", "0") },
        { .body = STRIPE_SESSION("t4", "checkout.session.async_payment_failed", AT_TWELVE,
                                 "unpaid") } } },

    { &STANDARD_WEBHOOKS,
      "given back in part",
      SHOP_COUNTS,
      "1, 5000 less 1500; fulfilled 5000 less 1500" TWELVE ", 1 shipped",
      { { { "w1" }, STANDARD("order.updated", "10:00:00", "'total':50,'status':'pending'") },
        { { "w2" }, STANDARD("order.completed", "10:00:00", "'total':50") },
        { { "w3" }, STANDARD("order.fulfilled", "11:00:00", "'fulfilment_id':'f'") },
        { { "w4" }, STANDARD("order.refunded", "12:00:00", "'refund_id':'r','total':15") },
        { { "w5" },
          STANDARD("order.updated", "12:00:00",
                   "'total':50,'status':'fulfilled','refunded':15") } } },
    { &STANDARD_WEBHOOKS,
      "cancelled",
      SHOP_GONE,
      "0, 0 less 0; paid 5000 less 0" TWELVE,
      { { { "w1" }, STANDARD("order.completed", "10:00:00", "'total':50") },
        { { "w2" }, STANDARD("order.cancelled", "11:00:00", "'reason':'changed their mind'") },
        { { "w3" }, STANDARD("order.updated", "10:30:00", "'total':50,'status':'paid'") },
        { { "w4" }, STANDARD("order.updated", "12:00:00", "'total':50,'status':'paid'") } } },
    { &CUSTOM,
      "given back in part",
      SHOP_COUNTS,
      "1, 5000 less 1500; shipped 5000 less 1500 of " DAY "11:00:00.000Z",
      { { .body = CUSTOM_SAVED("k1", "10:00:00", "1") },
        { .body = CUSTOM_SAVED("k2", "10:00:00", "4") },
        { .body = CUSTOM_SAVED("k3", "11:00:00", "5") },
        { .body = CUSTOM_OF("k4", "given_back", "12:00:00", ",'slip':'s','sum':'15.00'") } } },
    { &CUSTOM,
      "cancelled",
      SHOP_GONE,
      "0, 0 less 0; cancelled 5000 less 0 of " DAY "11:00:00.000Z",
      { { .body = CUSTOM_SAVED("k1", "10:00:00", "1") },
        { .body = CUSTOM_SAVED("k2", "10:00:00", "4") },
        { .body = CUSTOM_SAVED("k3", "11:00:00", "6") },
        { .body = CUSTOM_OF("k4", "cancelled", "11:00:00", "") } } },

    /* Of an order they say that something happened to it, each thing once. */
    { &BIGCOMMERCE,
      "shipped, given back",
      SHOP_NAMED,
      "0, 0 less 0; no body, 1 shipped",
      { { { "b1" }, BIGCOMMERCE_SAYS("store/order/created", "'type':'order','id':250") },
        { { "b2" },
          BIGCOMMERCE_SAYS("store/order/statusUpdated",
                           "'type':'order','id':250,'status':{'new_status_id':2}") },
        { { "b3" },
          BIGCOMMERCE_SAYS("store/shipment/created", "'type':'shipment','id':6,'orderId':250") },
        { { "b4" },
          BIGCOMMERCE_SAYS("store/order/refund/created",
                           "'type':'order','id':250,'refund':{'refund_id':2}") },
        { { "b5" }, BIGCOMMERCE_SAYS("store/order/archived", "'type':'order','id':250") } } },
    /* A deletion that nobody vouched for undoes nothing, and a payment does not count. */
    { &ECWID,
      "deleted",
      SHOP_NAMED,
      "0, 0 less 0; no body",
      { { .body = ECWID_SAYS("x1", "order.created") },
        { .body = ECWID_SAYS("x2", "order.updated") },
        { .body = ECWID_SAYS("x3", "order.updated") },
        { .body = ECWID_SAYS("x4", "order.deleted") } } },
    { &SQUARESPACE,
      "shipped",
      SHOP_NAMED,
      "0, 0 less 0; no body",
      { { .body = SQUARESPACE_SAYS("n1", "order.create", "") },
        { .body = SQUARESPACE_SAYS("n2", "order.update", ",'update':'FULFILLED'") },
        { .body = SQUARESPACE_SAYS("n3", "order.update", ",'update':'REFUNDED'") },
        { .body = SQUARESPACE_SAYS("n4", "order.update", ",'update':'CANCELED'") } } },
    { &ETSY,
      "paid, and told so under two ids",
      SHOP_NAMED,
      "0, 0 less 0; no body",
      { { { "msg_1" }, ETSY_PAID }, { { "msg_2" }, ETSY_PAID } } },
};

const size_t shop_story_count = sizeof(shop_stories) / sizeof(shop_stories[0]);
