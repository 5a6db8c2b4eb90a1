/*
 * A Shopify custom pixel: the store's own customer events, told to Shopbell.
 *
 * Shopify runs it in a sandboxed frame whose origin is "null", and asks the visitor
 * for consent itself: nothing is sent while analyticsProcessingAllowed is false.
 * Orders are left to the store's signed webhooks.
 */
var key = "%KEY%", url = "%URL%", privacy = init.customerPrivacy || {};

// What the visitor decided since the page was loaded.
var consents = typeof customerPrivacy != "undefined" ? customerPrivacy
    : typeof api != "undefined" ? api.customerPrivacy : null;
if (consents) consents.subscribe("visitorConsentCollected", function (event) {
    privacy = event.customerPrivacy;
    if (privacy.saleOfDataAllowed === false)
        send(event, { type: "track", event: "Consent Updated", properties: { sale: "unsubscribed" } });
});

function product(variant, quantity) {
    if (!variant) return {};
    var of = variant.product || {}, price = variant.price || {}, image = variant.image || {};
    return {
        product_id: of.id, variant_id: variant.id, sku: variant.sku, name: of.title, variant: variant.title,
        category: of.type, brand: of.vendor, url: of.url, image_url: image.src,
        price: price.amount, currency: price.currencyCode, quantity: quantity
    };
}
function line(of) { return of ? product(of.merchandise || of.variant, of.quantity) : {}; }
function lines(all) { return (all || []).map(line); }

function send(event, message) {
    var page = (event.context || {}).document || {}, customer = (init.data || {}).customer || {};
    message.messageId = event.id;
    message.timestamp = event.timestamp;
    message.anonymousId = event.clientId;
    message.context = {
        page: { url: (page.location || {}).href, referrer: page.referrer },
        locale: ((event.context || {}).navigator || {}).language,
        traits: customer.email ? { email: customer.email } : {},
        library: { name: "analytics.js" }
    };
    fetch(url, {
        method: "POST", keepalive: true, headers: { "Content-Type": "text/plain" },
        body: JSON.stringify({ writeKey: key, sentAt: new Date(), batch: [message] })
    }).catch(function () { });
}

function on(name, called, properties) {
    analytics.subscribe(name, function (event) {
        if (privacy.analyticsProcessingAllowed === false) return;
        var message = { type: called ? "track" : "page", properties: properties(event.data || {}, event) };
        if (called) message.event = called;
        send(event, message);
    });
}

on("page_viewed", "", function (data, event) {
    return { name: ((event.context || {}).document || {}).title };
});
on("product_viewed", "Product Viewed", function (data) { return product(data.productVariant); });
on("collection_viewed", "Product List Viewed", function (data) {
    var list = data.collection || {};
    return { list_id: list.id, category: list.title, products: (list.productVariants || []).map(function (v) { return product(v); }) };
});
on("search_submitted", "Products Searched", function (data) { return { query: (data.searchResult || {}).query }; });
on("product_added_to_cart", "Product Added", function (data) { return line(data.cartLine); });
on("product_removed_from_cart", "Product Removed", function (data) { return line(data.cartLine); });
on("cart_viewed", "Cart Viewed", function (data) {
    var cart = data.cart || {}, total = (cart.cost || {}).totalAmount || {};
    return { cart_id: cart.id, value: total.amount, currency: total.currencyCode, products: lines(cart.lines) };
});
function checkout(data) {
    var of = data.checkout || {};
    return {
        checkout_id: of.token, value: (of.totalPrice || {}).amount, currency: of.currencyCode,
        products: lines(of.lineItems)
    };
}
on("checkout_started", "Checkout Started", checkout);
on("checkout_contact_info_submitted", "Checkout Updated", checkout);
on("payment_info_submitted", "Payment Info Entered", checkout);
