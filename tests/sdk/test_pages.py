"""Shops' pages in a real browser, and the official analytics SDKs: the Node one from a
process, the browser one and our own snippet in headless Chromium, from pages of
another origin than the server's.
"""

import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading

import pytest
from shopbell import wait_for

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../system"))
from test_sdk_routes import Page  # noqa: E402

if not shutil.which("chromium"):
    pytest.skip("no chromium", allow_module_level=True)


class Site:
    """A shop's web server: pages by path, and a folder."""

    def __init__(self, folder):
        self.pages = {}
        site = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def do_GET(self):
                text = site.pages.get(self.path.split("?")[0])
                if text is None:
                    return super().do_GET()
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(text.encode())
                return None

            def log_message(self, *arguments):
                pass

        self.http = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(Handler, directory=folder))
        self.origin = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture(scope="module")
def site(installed):
    made = Site(os.path.join(installed, "node_modules/@segment/analytics-next/dist/umd"))
    yield made
    made.http.shutdown()
    made.http.server_close()


@pytest.fixture(scope="module")
def chromium(installed):
    process = subprocess.Popen(["node", "browser.mjs"], cwd=installed, text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def visit(url, script="", context="visitor", **more):
        process.stdin.write(json.dumps({"url": url, "script": script, "context": context, **more}) + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        assert "error" not in answer, answer
        return answer
    yield visit
    process.stdin.close()
    process.wait(20)


@pytest.fixture
def page(api, site):
    return Page(api, allowed_origins=[site.origin])


def types_of(page, kind, value, wanted):
    """All types on the timeline, once the wanted ones are there."""
    def look():
        answer = page.api.call("POST", "/v1/profiles/lookup", {"kind": kind, "value": value})
        types = [r["type"] for r in page.timeline(kind, value)] if answer.status == 200 else []
        return set(wanted) <= set(types) and types
    return wait_for(look, 10, 0.1, f"{wanted} of {kind} {value}")


def origins_of(page):
    """From which pages the browser said that these deliveries came."""
    rows = page.api.get("/v1/sources/storefront/deliveries")["data"]
    return {row["headers"]["origin"] for row in rows}


# --- the official SDKs ---------------------------------------------------------

def node_sdk(installed, page, calls, **more):
    argument = {"host": f"http://127.0.0.1:{page.server.port}", "writeKey": page.key, "calls": calls, **more}
    done = subprocess.run(["node", "analytics.mjs", json.dumps(argument)], cwd=installed, text=True,
                          capture_output=True, timeout=60, check=True)
    return json.loads(done.stdout)


def test_the_node_sdk(installed, page):
    who = {"userId": "node-1"}
    failed = node_sdk(installed, page, [
        ["identify", {**who, "traits": {"email": "node@example.com", "firstName": "Nora",
                                        "address": {"city": "Paris", "country": "FR"}}}],
        ["track", {**who, "event": "Product Viewed", "properties": {"product_id": "p1", "category": "Shoes"}}],
        ["track", {**who, "event": "Order Completed", "properties": {
            "order_id": "1001", "total": 40, "currency": "EUR",
            "products": [{"product_id": "p1", "price": 40, "quantity": 1}]}}],
        ["track", {**who, "event": "Coupon Applied", "timestamp": "2026-01-02T03:04:05Z"}],
        ["page", {**who, "name": "Home"}],
        ["group", {**who, "groupId": "g1"}],
        ["alias", {**who, "previousId": "visitor-before"}],
    ])
    assert failed == []
    profile = page.profile("external_id", "node-1")
    assert (profile["email"], profile["traits"]["first_name"]) == ("node@example.com", "Nora")
    assert profile["traits"]["city"] == "Paris" and profile["orders"]["count"] == 1
    types = types_of(page, "external_id", "node-1",
                     ["product.viewed", "order.completed", "custom.coupon_applied", "page.viewed"])
    assert types.count("order.completed") == 1
    old = [r for r in page.timeline("external_id", "node-1") if r["type"] == "custom.coupon_applied"]
    assert old[0]["occurred_at"].startswith("2026-01-02T03:04:0")
    assert page.profile("anonymous_id", "visitor-before")["id"] == profile["id"]
    # What will never work is given up at once: one request, no repeats.
    page.key = "sbw_" + "0" * 24
    assert node_sdk(installed, page, [["track", {**who, "event": "X"}]], retries=5) != []
    requests = re.findall(r'"route":"/v1/batch","status":400', page.server.log())
    assert len(requests) == 1, requests


BROWSER_SDK = """<!doctype html><title>Shop</title><script src="/index.js"></script><script>
window.done = (async () => {
  const [analytics] = await AnalyticsNext.AnalyticsBrowser.load({writeKey: "%s", cdnURL: "%s"});
  await analytics.page("Home");
  await analytics.track("Product Viewed", {product_id: "p1", category: "Shoes", price: 80});
  await analytics.identify("browser-1", {email: "browser@example.com", firstName: "Bea"});
  await analytics.track("Product Added", {product_id: "p1"});
  return analytics.user().anonymousId();
})();
</script>"""


def test_the_browser_sdk(chromium, site, page):
    server = f"http://127.0.0.1:{page.server.port}"
    site.pages["/sdk"] = BROWSER_SDK % (page.key, server)
    seen = chromium(site.origin + "/sdk?utm_source=letter", "return await window.done;", "browser-sdk")
    assert {r["url"] for r in seen["sent"]} >= {f"{server}/v1/{c}" for c in "pti"}, seen
    types = types_of(page, "external_id", "browser-1",
                     ["page.viewed", "product.viewed", "cart.product_added", "session.started"])
    assert types.count("session.started") == 1
    profile = page.profile("external_id", "browser-1")
    assert profile["email"] == "browser@example.com" and profile["traits"]["first_name"] == "Bea"
    assert page.profile("anonymous_id", seen["value"])["id"] == profile["id"]
    view = [r for r in page.timeline("external_id", "browser-1") if r["type"] == "product.viewed"][0]
    assert view["context"]["platform"] == "web" and view["context"]["ip"] == "127.0.0.0"
    assert view["context"]["page_url"].startswith(site.origin + "/sdk")
    # From a page that is not the shop's, nothing arrives.
    page.api.call("PATCH", "/v1/sources/storefront",
                  {"settings": {"allowed_origins": ["https://aurora.example"]}}, 200)
    foreign = chromium(site.origin + "/sdk", "return await window.done.catch(() => 'refused');", "foreign")
    assert foreign["value"] == "refused"
    assert "blocked by CORS" in " ".join(foreign["logged"])
    assert len(page.timeline("external_id", "browser-1")) == len(types)


# --- our own snippet -------------------------------------------------------------

def shop_page(page, tag="", body=""):
    paste = page.api.get("/v1/sources/storefront/snippet")["paste"]
    return ("<!doctype html><title>Shop</title><script>window.shopbell=window.shopbell||[];"
            "document.addEventListener('shopbell:rules', e => window.rules = e.detail);</script>"
            + paste.replace("data-key", f"{tag} data-key") + body)


def events_of(seen):
    return [(m.get("event") or m["type"], m)
            for r in seen["sent"] if r["url"].endswith("/v1/collect") and r["body"]
            for m in json.loads(r["body"])["batch"]]


def names_of(seen):
    return [name for name, _ in events_of(seen)]


STORED = "return JSON.parse(localStorage.shopbell || 'null');"


def test_the_snippet_tells_what_a_visitor_does(chromium, site, page):
    site.pages["/shop"] = shop_page(page, body="""
      <form data-shopbell="welcome" action="/shop"><input name="email" value="Snip@example.com">
      <input type="checkbox" name="interests" value="premium" checked>
      <input type="checkbox" name="interests" value="running" checked>
      <input type="password" name="pass" value="secret"><input type="hidden" name="token" value="t"></form>
      <script>shopbell.push(["product", {product_id: "p1", category: "Shoes"}]);</script>""")
    seen = chromium(site.origin + "/shop?utm_source=letter&utm_campaign=spring", """
      shopbell.add({product_id: "p1", quantity: 2});
      shopbell.wish({product_id: "p2"});
      shopbell.cart([{product_id: "p1", quantity: 2, price: 10}]);
      shopbell.preferences({frequency: "weekly"});
      document.forms[0].addEventListener("submit", (e) => e.preventDefault());
      document.forms[0].requestSubmit();
      await new Promise((r) => setTimeout(r, 300));
      return [JSON.parse(localStorage.shopbell).id];""", "snippet")
    assert names_of(seen) == ["page", "Product Viewed", "Product Added", "Product Added to Wishlist",
                              "Cart Viewed", "Preference Updated", "Form Submitted"], seen
    visitor = seen["value"][0]
    types_of(page, "email", "snip@example.com", [
        "page.viewed", "product.viewed", "cart.product_added", "wishlist.product_added", "cart.updated",
        "preference.updated", "form.submitted", "session.started"])
    assert origins_of(page) == {site.origin}
    profile = page.profile("anonymous_id", visitor)
    assert profile["email"] == "snip@example.com"
    assert profile["preferences"] == {"interests": ["premium", "running"], "frequency": "weekly"}
    assert "secret" not in json.dumps(seen["sent"])
    first = [r for r in page.timeline("anonymous_id", visitor) if r["type"] == "page.viewed"][0]
    assert first["context"]["campaign"] == {"source": "letter", "name": "spring"}
    # The same visitor next time, somebody else in another browser.
    assert chromium(site.origin + "/shop", "return [JSON.parse(localStorage.shopbell).id];",
                    "snippet")["value"] == [visitor]
    assert chromium(site.origin + "/shop", "return [JSON.parse(localStorage.shopbell).id];",
                    "stranger")["value"] != [visitor]


def test_a_page_greets_its_own_loyalty_member_and_nobody_else(chromium, site, page):
    page.api.call("PUT", "/v1/rules/loyalty_member", {
        "kind": "segment", "title": "Loyalty", "when": "traits.loyalty_tier is set",
        "expose": ["storefront"]}, 201)
    site.pages["/greet"] = shop_page(page, "data-rules")
    ask = """for (let i = 0; i < 50 && !window.rules; i++) await new Promise((r) => setTimeout(r, 50));
             return [window.rules, JSON.parse(localStorage.shopbell).id];"""
    rules, visitor = chromium(site.origin + "/greet", ask, "member")["value"]
    assert rules == []
    page.api.post("/v1/events", {"type": "custom.login", "traits": {"loyalty_tier": "gold"}, "identities": {
        "external_id": "gold-1", "anonymous_id": visitor}}, expect=200)
    assert chromium(site.origin + "/greet", ask, "member")["value"][0] == ["loyalty_member"]
    login = "shopbell.identify('gold-1'); await new Promise((r) => setTimeout(r, 300)); "
    chromium(site.origin + "/greet", login, "thief")
    assert chromium(site.origin + "/greet", ask, "thief")["value"][0] == []


def test_privacy_control_and_consent_are_honoured(chromium, site, page):
    form = '<form data-shopbell="ask"><input name="email" value="%s"></form>'
    hand_in = """document.forms[0].addEventListener("submit", (e) => e.preventDefault());
      shopbell.product({product_id: "p"}); document.forms[0].requestSubmit();
      await new Promise((r) => setTimeout(r, 300)); """ + STORED
    # GPC: no view, no id that stays; what the visitor hands in themselves is taken.
    site.pages["/gpc"] = shop_page(page, body=form % "gpc@example.com")
    seen = chromium(site.origin + "/gpc", hand_in, "gpc", gpc=True)
    assert names_of(seen) == ["Form Submitted"] and not (seen["value"] or {}).get("id"), seen
    # Told not to heed it, the same browser is tracked.
    site.pages["/nogpc"] = shop_page(page, 'data-gpc="off"', form % "nogpc@example.com")
    seen = chromium(site.origin + "/nogpc", hand_in, "gpc-off", gpc=True)
    assert names_of(seen) == ["page", "Product Viewed", "Form Submitted"] and seen["value"]["id"]
    # Opt-in: nothing before the word, everything after it, nothing after it is taken back.
    site.pages["/optin"] = shop_page(page, 'data-consent="required"', form % "optin@example.com")
    seen = chromium(site.origin + "/optin", hand_in, "optin")
    assert names_of(seen) == ["Form Submitted"] and not (seen["value"] or {}).get("id")
    said = "shopbell.consent({tracking: %s%s}); await new Promise((r) => setTimeout(r, 300)); " + STORED
    seen = chromium(site.origin + "/optin", said % ("true", ""), "optin")
    assert names_of(seen) == ["Consent Updated"] and seen["value"]["id"]
    seen = chromium(site.origin + "/optin", hand_in, "optin")
    assert names_of(seen) == ["page", "Product Viewed", "Form Submitted"]
    seen = chromium(site.origin + "/optin", said % ("false", ', email: "unsubscribed"'), "optin")
    assert names_of(seen) == ["page", "Consent Updated"] and "id" not in seen["value"]
    wait_for(lambda: page.profile("email", "optin@example.com")["consent"]["tracking"] == "unsubscribed",
             5, 0.1, "the refusal reached the customer")
    assert page.profile("email", "optin@example.com")["consent"]["email"] == "unsubscribed"
    assert names_of(chromium(site.origin + "/optin", hand_in, "optin")) == ["Form Submitted"]


# --- a Shopify custom pixel ---------------------------------------------------------

SANDBOX = """<!doctype html><script>
const handlers = {};
const analytics = {subscribe: (name, handler) => handlers[name] = handler};
const init = {customerPrivacy: {analyticsProcessingAllowed: true}, data: {customer: null}};
const customerPrivacy = {subscribe: (name, handler) => handlers[name] = handler};
const emit = (name, data) => handlers[name]({
  id: "event-" + name, name, clientId: "shopify-client", timestamp: new Date().toISOString(), data,
  context: {document: {title: "Shop", referrer: "", location: {href: "https://aurora.example/p"}},
            navigator: {language: "fr-FR"}}});
</script><script>%s</script>"""

FIRE = """
const variant = {id: "44901482850001", sku: "TR-42", title: "42", price: {amount: 80, currencyCode: "EUR"},
  product: {id: "8213868347001", title: "Trail runner", type: "Shoes", vendor: "Aurora", url: "/p"}};
const line = {merchandise: variant, quantity: 2};
emit("page_viewed", {});
emit("product_viewed", {productVariant: variant});
emit("collection_viewed", {collection: {id: "c1", title: "Shoes", productVariants: [variant]}});
emit("search_submitted", {searchResult: {query: "trail"}});
emit("product_added_to_cart", {cartLine: line});
emit("product_removed_from_cart", {cartLine: line});
emit("cart_viewed", {cart: {id: "k1", lines: [line], cost: {totalAmount: {amount: 160, currencyCode: "EUR"}}}});
emit("checkout_started", {checkout: {token: "t1", currencyCode: "EUR", totalPrice: {amount: 160},
  lineItems: [{variant, quantity: 2}]}});
handlers.visitorConsentCollected({id: "event-consent", clientId: "shopify-client",
  timestamp: new Date().toISOString(), customerPrivacy: {analyticsProcessingAllowed: false, saleOfDataAllowed: false}});
emit("payment_info_submitted", {checkout: {}});
await new Promise((r) => setTimeout(r, 500));
return location.origin + " " + self.origin;
"""


def test_the_shopify_pixel_works_from_a_frame_without_origin(chromium, site, page):
    pixel = page.api.get("/v1/sources/storefront/snippet?way=shopify_pixel")["paste"]
    frame = (SANDBOX % pixel).replace("&", "&amp;").replace('"', "&quot;")
    site.pages["/store"] = f'<!doctype html><iframe sandbox="allow-scripts" srcdoc="{frame}"></iframe>'
    seen = chromium(site.origin + "/store", FIRE, "pixel", frame=True)
    assert seen["value"].endswith("null"), seen["value"]
    types = types_of(page, "anonymous_id", "shopify-client", [
        "page.viewed", "product.viewed", "product_list.viewed", "product.searched", "cart.product_added",
        "cart.product_removed", "cart.updated", "checkout.started", "consent.updated"])
    assert "checkout.updated" not in types and types.count("session.started") == 1
    assert origins_of(page) == {"null"}
    rows = {r["type"]: r for r in page.timeline("anonymous_id", "shopify-client")}
    viewed = rows["product.viewed"]["properties"]
    assert (viewed["product_id"], viewed["variant_id"]) == ("8213868347001", "44901482850001")
    assert viewed["category"] == "Shoes" and viewed["price"] == 80
    assert rows["checkout.started"]["properties"]["value"] == 160
    assert page.profile("anonymous_id", "shopify-client")["consent"]["sale"] == "unsubscribed"
