/*
 * The first-party snippet: what a shop's pages say to Shopbell.
 *
 *   <script async src="https://bell.example/v1/collect.js" data-key="sbw_..."></script>
 *   shopbell.push(["product", {product_id: "1", category: "Shoes"}])
 *
 * data-consent="required": nothing is tracked before shopbell.consent({tracking: true}).
 * data-rules: the page view asks which exposed rules hold for this visitor; the event
 * "shopbell:rules" on document tells. data-auto="off": no page view by itself.
 * data-gpc="off": Global Privacy Control is not heeded.
 *
 * Who is not tracked (refused, not asked yet, or GPC) has no stored id and no views;
 * what they hand in themselves (a form, preferences, a consent) is sent under an id
 * that lives as long as the page. A stored id is a random number that only this
 * browser has: whoever bears it is the visitor.
 *
 * Served shrunk (shrink_script.py); a test holds it below 3 KB.
 */
(function (w, d, n) {
    var data = d.currentScript.dataset, url = d.currentScript.src.replace(/\.js[^/]*$/, ""),
        waiting = w.shopbell || [], memory = {};

    // One object: id, user, consent.
    function state(change) {
        try { Object.assign(memory, JSON.parse(localStorage.shopbell)); } catch (e) { }
        if (change) {
            Object.assign(memory, change);
            try { localStorage.shopbell = JSON.stringify(tracked() ? memory : { c: memory.c }); } catch (e) { }
        }
        return memory;
    }
    function tracked() {
        var said = (memory.c || {}).tracking;
        return said == null
            ? data.consent != "required" && !(n.globalPrivacyControl && data.gpc != "off") : said;
    }
    function random() { return crypto.getRandomValues(new Uint32Array(4)).join("-"); }
    function send(type, more, done) {
        var now = new Date(), query = new URLSearchParams(location.search), utm = {}, body;
        ["source", "medium", "campaign"].forEach(function (k) {
            utm[k == "campaign" ? "name" : k] = query.get("utm_" + k);
        });
        if (!state().id) state({ id: random() });
        body = JSON.stringify({
            writeKey: data.key, sentAt: now, batch: [Object.assign({
                type: type, messageId: random(), anonymousId: memory.id, userId: memory.user, timestamp: now,
                context: {
                    page: { url: location.href, referrer: d.referrer }, locale: n.language, campaign: utm
                }
            }, more)]
        });
        if (done || !n.sendBeacon || !n.sendBeacon(url, body))
            fetch(url, { method: "POST", body: body, keepalive: true }).then(function (r) {
                return r.json();
            }).then(function (a) { if (done) done(a.rules); }).catch(function () { });
    }
    function own(event, properties) { send("track", { event: event, properties: properties }); }
    function view(type, more, done) { if (tracked()) send(type, more, done); }

    state();
    var api = w.shopbell = {
        track: function (event, properties, done) { view("track", { event: event, properties: properties }, done); },
        page: function (properties, done) { view("page", { name: d.title, properties: properties }, done); },
        identify: function (id, traits) {
            if (tracked()) state({ user: id });
            view("identify", { traits: traits });
        },
        form: function (form, name) {
            var fields = {};
            new FormData(form).forEach(function (value, key) {
                if (!/password|hidden|file/.test((form.elements[key] || {}).type))
                    fields[key] = key in fields ? [].concat(fields[key], value) : value;
            });
            own("Form Submitted", { form_name: name, fields: fields });
        },
        preferences: function (answers) { own("Preference Updated", { preferences: answers }); },
        consent: function (said) {
            state({ c: Object.assign(state().c || {}, said) });
            own("Consent Updated", { consent: said });
        },
        reset: function () { state({ id: 0, user: 0 }); },
        push: function (call) { api[call[0]].apply(null, call.slice(1)); }
    }, names = {
        product: "Product Viewed", list: "Product List Viewed", search: "Products Searched", cart: "Cart Viewed",
        add: "Product Added", remove: "Product Removed", checkout: "Checkout Started",
        wish: "Product Added to Wishlist", unwish: "Product Removed from Wishlist"
    };
    Object.keys(names).forEach(function (k) { api[k] = api.track.bind(null, names[k]); });
    d.addEventListener("submit", function (e) {
        if (e.target.dataset.shopbell) api.form(e.target, e.target.dataset.shopbell);
    }, true);
    if (data.auto != "off") api.page({}, data.rules != null && function (rules) {
        d.dispatchEvent(new CustomEvent("shopbell:rules", { detail: rules }));
    });
    waiting.forEach(api.push);
})(window, document, navigator);
