"""The snippet's way in: what a page is told of its visitor, and of nobody else; what
it can do to customers whom the shop knows; forms and preferences."""


import pytest
from shopbell import shopify_order, wait_for
from test_sdk_routes import SHOP, Page


@pytest.fixture
def page(api):
    page = Page(api)
    for name, when in {"gold": 'traits.loyalty_tier = "gold"', "buyer": "orders.count >= 1",
                       "looker": "count(product.viewed within 7d) >= 1"}.items():
        page.api.call("PUT", f"/v1/rules/{name}", {"kind": "segment", "title": name, "when": when,
                                                   "expose": ["storefront"]}, 201)
    page.api.call("PUT", "/v1/rules/hidden", {"kind": "segment", "title": "hidden",
                                              "when": "orders.count >= 0"}, 201)
    return page


def collect(page, expect=200, origin=SHOP, **message):
    answer = page.post("/v1/collect", {"batch": [{"type": "page", **message}]}, basic=False,
                       headers={"Origin": origin})
    assert answer.status == expect, answer.body
    return answer.json.get("rules")


def trusted(page, **event):
    page.api.post("/v1/events", {"type": "custom.login", **event}, expect=200)


def make_gold(page, **identities):
    trusted(page, identities=identities, traits={"loyalty_tier": "gold"})


def test_a_visitor_hears_of_their_own_exposed_rules(page):
    assert collect(page, anonymousId="v-1") == []
    assert collect(page, anonymousId="v-1", type="track", event="Product Viewed") == ["looker"]
    # The shop's server says on login whose browser this is: then the page may know.
    make_gold(page, external_id="u-1")
    trusted(page, identities={"external_id": "u-1", "anonymous_id": "v-1"})
    assert collect(page, anonymousId="v-1") == ["gold", "looker"]
    assert collect(page, anonymousId="v-1", userId="u-1", origin="null") == ["gold", "looker"]
    # Never what is not exposed, nor to another source.
    other = Page(page.api, "other")
    assert collect(other, anonymousId="v-1") == []
    page.api.call("PUT", "/v1/rules/gold", {"kind": "segment", "title": "gold",
                                            "when": 'traits.loyalty_tier = "gold"'}, 200)
    wait_for(lambda: collect(page, anonymousId="v-1") == ["looker"], 5, 0.1, "gold is hidden")


def test_nobody_hears_of_another_visitor(page):
    make_gold(page, external_id="victim", email="victim@example.com")
    trusted(page, identities={"external_id": "victim", "anonymous_id": "victims-browser"})
    make_gold(page, email="guest@example.com")

    def asks(**claim):
        claim = {"anonymousId": "attacker", **claim}
        return collect(page, **claim) + collect(page, anonymousId=claim["anonymousId"])
    # By a number or an address, in any kind of message, with or without an id of one's own.
    assert asks(userId="victim") == []
    assert asks(type="identify", userId="victim", traits={"email": "victim@example.com"}) == []
    assert asks(type="identify", traits={"email": "guest@example.com"}, anonymousId="second") == []
    assert asks(type="alias", previousId="third", userId="victim", anonymousId="third") == []
    assert collect(page, userId="victim") == []
    assert collect(page, userId="victim", context={"traits": {"email": "victim@example.com"}}) == []
    form = {"type": "track", "event": "Form Submitted",
            "properties": {"fields": {"email": "victim@example.com"}}}
    assert asks(**form, anonymousId="fourth") == []
    # Two visitors in one request: neither is told of.
    answer = page.post("/v1/collect", {"batch": [{"type": "page", "anonymousId": "attacker"},
                                                 {"type": "page", "anonymousId": "victims-browser"}]},
                       basic=False)
    assert answer.json["rules"] == []
    # An address claimed before its owner is known: what comes of it later stays untold.
    assert asks(type="identify", traits={"email": "later@example.com"}, anonymousId="early") == []
    make_gold(page, email="later@example.com")
    assert asks(anonymousId="early") == []
    # The browser's own bearer is told, also after all that.
    assert collect(page, anonymousId="victims-browser") == ["gold"]
    # A browser that a page moves to somebody else is nobody's until the shop says so.
    make_gold(page, external_id="second-user")
    assert collect(page, anonymousId="victims-browser", type="identify", userId="second-user") == []
    assert collect(page, anonymousId="victims-browser") == []
    trusted(page, identities={"external_id": "second-user", "anonymous_id": "victims-browser"})
    assert collect(page, anonymousId="victims-browser") == ["gold"]


def test_a_vouched_browser_survives_merges_and_their_undoing(page):
    make_gold(page, email="m1@example.com")
    trusted(page, identities={"email": "m1@example.com", "anonymous_id": "m-browser"})
    trusted(page, identities={"external_id": "m-2"})
    trusted(page, identities={"external_id": "m-2", "email": "m1@example.com"})
    assert collect(page, anonymousId="m-browser") == ["gold"]
    profile = page.profile("external_id", "m-2")
    merge = page.api.get(f"/v1/profiles/{profile['id']}/merges")["data"][0]
    page.api.post(f"/v1/profiles/{profile['id']}/unmerge", {"merge_id": merge["id"]}, expect=200)
    assert page.profile("anonymous_id", "m-browser")["email"] == "m1@example.com"
    assert collect(page, anonymousId="m-browser") == ["gold"]


def test_a_page_changes_no_known_customer(page, shopify):
    order = shopify_order(5001, 9001, "jane@example.com")
    assert shopify.send("orders/create", order).status == 200
    trusted(page, identities={"email": "jane@example.com"}, traits={"first_name": "Jane"},
            consent={"email": "subscribed"}, preferences={"interests": ["premium"]})
    trusted(page, identities={"external_id": "other"})
    collect(page, anonymousId="p-1", userId="other", type="identify",
            traits={"email": "jane@example.com", "firstName": "Eve"})
    jane = page.profile("email", "jane@example.com")
    other = page.profile("external_id", "other")
    assert jane["id"] != other["id"], "a page merged two known customers"
    assert jane["orders"]["count"] == 1 and other["orders"]["count"] == 0
    collect(page, anonymousId="p-2", type="identify",
            traits={"email": "jane@example.com", "firstName": "Eve", "city": "Paris"})
    collect(page, anonymousId="p-2", type="track", event="Preference Updated",
            properties={"interests": ["none"], "frequency": "weekly"})
    jane = page.profile("email", "jane@example.com")
    assert jane["traits"]["first_name"] == "Jane" and jane["traits"]["city"] == "Paris"
    assert jane["preferences"] == {"interests": ["premium"], "frequency": "weekly"}
    for state, expected in (("never", "subscribed"), ("unsubscribed", "unsubscribed"),
                            ("subscribed", "unsubscribed")):
        collect(page, anonymousId="p-2", type="track", event="Consent Updated",
                properties={"email": state, "sms": state})
        consent = page.profile("email", "jane@example.com")["consent"]
        assert consent["email"] == expected and consent["sms"] != "subscribed"
    # Nor does it touch another customer's order, though it may guess the number.
    def order(person, total, number):
        return {"type": "track", "event": "Order Completed", "userId": person, "messageId": number,
                "anonymousId": None, "properties": {"order_id": "77", "total": total}}
    collect(page, **order("buyer", 40, "o-1"))
    collect(page, **order("stranger", 4000, "o-2"))
    page.post("/v1/collect", {"batch": [{**order(None, 1, "o-3"), "event": "Order Cancelled"}]}, basic=False)
    buyer = page.profile("external_id", "buyer")["orders"]
    assert (buyer["count"], buyer["revenue"]) == (1, 40)
    assert page.profile("external_id", "stranger")["orders"]["count"] == 0
    # An anonymous visitor becomes known, with what they looked at before.
    collect(page, anonymousId="p-3", type="track", event="Product Viewed")
    collect(page, anonymousId="p-3", type="identify", traits={"email": "new@example.com"})
    assert "product.viewed" in [r["type"] for r in page.timeline("email", "new@example.com")]


def test_answers_of_forms_are_preferences_with_source_and_time(page):
    rule = {"kind": "segment", "title": "premium", "when": '"premium" in preferences.interests'}
    page.api.call("PUT", "/v1/rules/premium", rule, 201)
    collect(page, anonymousId="f-1", type="track", event="Form Submitted",
            timestamp="2026-01-02T03:04:05.000Z", properties={
                "form_name": "welcome", "fields": {"email": "f@example.com", "size": "42",
                                                   "interests": ["premium", "running"]}})
    profile = page.profile("email", "f@example.com")
    assert profile["preferences"] == {"interests": ["premium", "running"], "size": "42"}
    assert "premium" in profile["segments"]
    row = [r for r in page.timeline("email", "f@example.com") if r["type"] == "form.submitted"][0]
    assert row["source"] == "storefront" and row["occurred_at"].startswith("2026-01-02T03:04:05")
    # A preference centre behind the shop's own key: newer, and from a better source.
    page.api.post("/v1/events", {"type": "preference.updated", "identities": {"email": "f@example.com"},
                                 "preferences": {"interests": ["running"]}}, expect=200)
    page.api.post("/v1/events", {"type": "form.submitted", "identities": {"email": "f@example.com"},
                                 "preferences": {"survey": 9}}, expect=200)
    profile = page.profile("email", "f@example.com")
    assert profile["preferences"] == {"interests": ["running"], "size": "42", "survey": 9}
    assert "premium" not in profile["segments"]
    # Late answers do not undo newer ones.
    page.api.post("/v1/events", {"type": "preference.updated", "occurred_at": "2026-01-01T00:00:00Z",
                                 "identities": {"email": "f@example.com"},
                                 "preferences": {"interests": ["premium"], "survey": None}}, expect=200)
    assert page.profile("email", "f@example.com")["preferences"] == profile["preferences"]


def test_global_privacy_control_is_a_refusal_of_sale(page):
    answer = page.post("/v1/t", {"event": "X", "anonymousId": "g-1"}, basic=False,
                       headers={"Sec-GPC": "1"})
    assert answer.status == 200
    assert page.profile("anonymous_id", "g-1")["consent"]["sale"] == "unsubscribed"
    page.api.call("PATCH", "/v1/sources/storefront", {"settings": {"respect_gpc": False}}, 200)
    page.post("/v1/t", {"event": "X", "anonymousId": "g-2"}, basic=False, headers={"Sec-GPC": "1"})
    assert page.profile("anonymous_id", "g-2")["consent"]["sale"] == "never"


def test_the_snippet_is_small_and_says_where_to_send(page):
    script = page.server.request("GET", "/v1/collect.js")
    assert script.status == 200 and len(script.body) < 3 * 1024
    assert script.getheader("Content-Type").startswith("text/javascript")
    assert "max-age" in script.getheader("Cache-Control")
    paste = page.api.get("/v1/sources/storefront/snippet")["paste"]
    assert page.key in paste and f":{page.server.port}/v1/collect.js" in paste
    pixel = page.api.get("/v1/sources/storefront/snippet?way=shopify_pixel")["paste"]
    assert f'"{page.key}"' in pixel and f':{page.server.port}/v1/collect"' in pixel
    for event in ("product_viewed", "collection_viewed", "search_submitted", "product_added_to_cart",
                  "product_removed_from_cart", "checkout_started"):
        assert event in pixel
    assert page.api.call("GET", "/v1/sources/storefront/snippet?way=carrier_pigeon").status == 422
    assert page.api.call("GET", "/v1/sources/api/snippet").status == 422
