"""The main job: a signed webhook in, rows committed, 200, an ESP rung, a profile read."""

import json
import time
import uuid

import pytest
import shopbell
from shopbell import SLOW, shopify_order, wait_for


def lookup(api, kind, value, expect=200):
    return api.post("/v1/profiles/lookup", {"kind": kind, "value": value}, expect=expect)


def iso(offset_s=0):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + offset_s))


def test_order_becomes_profile_interaction_order_stage_and_bell(api, shopify, esp):
    esp.subscribe(api, ["order.*", "profile.*", "lifecycle.changed"])
    order = shopify_order(820982911946154508, 207119551, "jane@example.com", "124.90",
                          at=iso(-60))
    sent = time.monotonic()
    answer = shopify.send("orders/create", order)
    assert answer.status == 200, answer.body
    body = json.loads(answer.body)
    assert body["status"] == "applied" and body["events"]["applied"] == 1
    uuid.UUID(body["receipt_id"])

    esp.wait_types(["order.completed", "profile.created", "profile.identified",
                    "lifecycle.changed"])
    assert esp.bad_signatures == 0
    rung = [m for m in esp.messages if m[2]["type"] == "order.completed"][0]
    assert rung[3] - sent < 2.0 * SLOW
    message = rung[2]
    assert list(message) == ["id", "type", "timestamp", "recorded_at", "expires_at", "workspace",
                             "sequence", "test", "cause", "data"]
    assert message["cause"]["kind"] == "event"
    assert message["cause"]["source"] == "shopify_main"
    assert message["data"]["order"]["order_id"] == "820982911946154508"
    assert message["data"]["order"]["total"] == 124.90
    assert message["data"]["profile"]["email"] == "jane@example.com"
    assert message["data"]["profile"]["orders"]["count"] == 1
    changed = esp.of_type("lifecycle.changed")[0]["data"]["lifecycle"]
    assert (changed["from"], changed["to"]) == (None, "new")

    profile = lookup(api, "email", "JANE@example.com ")
    assert profile["lifecycle"] == "new"
    assert profile["orders"]["count"] == 1 and profile["orders"]["revenue"] == 124.90
    assert profile["traits"]["first_name"] == "Jane"
    assert {(i["kind"], i["value"]) for i in profile["identities"]} >= {
        ("email", "jane@example.com"), ("customer_id", "207119551")}
    assert api.get("/v1/profiles/" + profile["id"])["id"] == profile["id"]

    orders = api.get(f"/v1/profiles/{profile['id']}/orders")["data"]
    assert [o["order_id"] for o in orders] == ["820982911946154508"]
    timeline = api.get(f"/v1/profiles/{profile['id']}/timeline")["data"]
    assert "order.completed" in [t.get("type") for t in timeline]


def test_repeat_is_duplicate_and_changes_nothing(api, shopify, esp):
    esp.subscribe(api, ["*"])
    order = shopify_order(1001, 5, "rep@example.com")
    webhook_id = str(uuid.uuid4())
    assert json.loads(shopify.send("orders/create", order, webhook_id).body)["status"] == "applied"
    wait_for(lambda: esp.of_type("order.completed"), what="first bell")
    before = lookup(api, "email", "rep@example.com")
    for _ in range(5):
        answer = json.loads(shopify.send("orders/create", order, webhook_id).body)
        assert answer["status"] == "duplicate" and answer["events"]["duplicate"] == 1
    after = lookup(api, "email", "rep@example.com")
    assert after["sequence"] == before["sequence"]
    time.sleep(0.3)
    assert len(esp.of_type("order.completed")) == 1


def test_create_paid_updated_is_one_completed_order(api, shopify, esp):
    esp.subscribe(api, ["order.*"])
    at = iso(-30)
    for topic in ["orders/create", "orders/paid", "orders/updated", "orders/updated"]:
        assert shopify.send(topic, shopify_order(2001, 6, "one@example.com", at=at)).status == 200
    wait_for(lambda: esp.of_type("order.completed"))
    time.sleep(0.3)
    assert len(esp.of_type("order.completed")) == 1
    assert lookup(api, "email", "one@example.com")["orders"]["count"] == 1


def test_refund_before_order_and_cancellation(api, shopify):
    refund = {"id": 890088186047892319, "order_id": 3001, "created_at": iso(-10),
              "processed_at": iso(-10), "note": None,
              "transactions": [{"id": 1, "kind": "refund", "status": "success",
                                "amount": "20.00", "currency": "EUR"}],
              "refund_line_items": [], "order_adjustments": []}
    assert shopify.send("refunds/create", refund).status == 200
    assert shopify.send("orders/create",
                        shopify_order(3001, 7, "ref@example.com", "100.00")).status == 200
    profile = lookup(api, "email", "ref@example.com")
    assert profile["orders"]["count"] == 1
    assert profile["orders"]["revenue"] == 100.00 and profile["orders"]["refunded"] == 20.00
    cancelled = shopify_order(3001, 7, "ref@example.com", "100.00", updated=iso(5),
                              cancelled_at=iso(-1))
    assert shopify.send("orders/cancelled", cancelled).status == 200
    profile = lookup(api, "email", "ref@example.com")
    assert profile["orders"]["count"] == 0 and profile["orders"]["revenue"] == 0


def test_cart_token_joins_the_checkout(api, shopify):
    token = "c1-f880804cdbfc39c683dc9fad79ab940a"
    cart = {"id": token, "token": token, "note": "", "created_at": iso(-90), "updated_at": iso(-60),
            "line_items": [{"id": 1, "quantity": 1, "variant_id": 44, "product_id": 82,
                            "title": "Trail runner", "price": "89.90", "line_price": "89.90",
                            "sku": "TR", "properties": None}]}
    assert shopify.send("carts/update", cart).status == 200
    checkout = {"id": 77, "token": "ck77", "cart_token": token, "email": "cart@example.com",
                "created_at": iso(-30), "updated_at": iso(-30), "completed_at": None,
                "currency": "EUR", "total_price": "89.90", "subtotal_price": "89.90",
                "abandoned_checkout_url": "https://aurora.example/recover/77",
                "line_items": cart["line_items"], "customer": None}
    assert shopify.send("checkouts/create", checkout).status == 200
    profile = lookup(api, "email", "cart@example.com")
    assert profile["cart"]["items_count"] == 1
    types = [t.get("type") for t in api.get(f"/v1/profiles/{profile['id']}/timeline")["data"]]
    assert "cart.updated" in types and "checkout.started" in types


def test_woocommerce_over_http_1_0(api, woo):
    order = {"id": 727, "number": "727", "status": "processing", "currency": "EUR",
             "date_created": "2026-11-20T16:28:02", "date_created_gmt": "2026-11-20T15:28:02",
             "date_modified": "2026-11-20T16:28:08", "date_modified_gmt": "2026-11-20T15:28:08",
             "total": "29.35", "total_tax": "1.35", "discount_total": "0.00",
             "shipping_total": "10.00", "customer_id": 0,
             "billing": {"first_name": "John", "last_name": "Doe", "email": "John.Doe@example.com",
                         "phone": "(555) 555-5555", "country": "US", "city": "SF",
                         "postcode": "94103", "state": "CA"},
             "line_items": [{"id": 1, "name": "Single", "product_id": 93, "variation_id": 0,
                             "quantity": 2, "total": "18.00", "price": 9, "sku": ""}],
             "refunds": []}
    status, answer = woo.send("order.created", order)
    assert status == 200 and answer["status"] == "applied", answer
    status, answer = woo.send("order.created", order)
    assert status == 200 and answer["status"] == "duplicate"
    assert lookup(api, "email", "john.doe@example.com")["orders"]["revenue"] == 29.35


def test_woocommerce_ping_is_200_and_does_nothing(api, woo):
    request = (f"POST {woo.path} HTTP/1.0\r\nHost: x\r\nContent-Length: 14\r\n"
               "Content-Type: application/x-www-form-urlencoded\r\n\r\nwebhook_id=123")
    status, _, _ = shopbell.raw_exchange(woo.server.port, request.encode())
    assert status == 200
    assert api.get("/v1/profiles")["data"] == []


def test_events_api_answers_with_representation(api, esp):
    esp.subscribe(api, ["order.completed"])
    event = {"id": "crm-1", "type": "order.completed", "occurred_at": iso(-20),
             "identities": {"email": "api@example.com", "external_id": "u_1001"},
             "properties": {"order_id": "9001", "total": 132.50, "currency": "EUR",
                            "channel": "pos",
                            "products": [{"product_id": "1", "name": "Trail runner",
                                          "category": ["Shoes"], "quantity": 1, "price": 132.50}]}}
    answer = api.call("POST", "/v1/events", event, 200,
                      headers={"Prefer": "return=representation"}).json
    assert answer["status"] == "applied"
    assert answer["profiles"][0]["created"] is True
    assert answer["profiles"][0]["notifications"][0]["type"] == "order.completed"
    wait_for(lambda: esp.of_type("order.completed"))
    assert api.post("/v1/events", event, 200)["status"] == "duplicate"


def test_events_array_is_all_or_nothing(api):
    good = {"id": "a1", "type": "page.viewed", "occurred_at": iso(-5),
            "identities": {"email": "all@example.com"}, "properties": {"url": "https://x/"}}
    bad = {**good, "id": "a2", "occurred_at": "2026-11-20T10:00:00"}
    answer = api.call("POST", "/v1/events", [good, bad], 422)
    assert answer.json["errors"][0]["pointer"].startswith("#/1")
    lookup(api, "email", "all@example.com", expect=404)
    answer = api.call("POST", "/v1/events?on_error=skip", [good, bad], 200).json
    assert answer["events"]["applied"] == 1 and len(answer["rejected"]) == 1


def test_standard_webhooks_source_with_the_official_signature(api):
    source = api.post("/v1/sources", {"name": "pos", "platform": "standard_webhooks",
                                      "settings": {}}, expect=201)
    secret = source["secrets"][0]["secret"]
    import base64
    import hashlib
    import hmac
    event = {"type": "custom.visit", "occurred_at": iso(-1), "identities": {"email": "sw@example.com"},
             "properties": {}}
    body = json.dumps({"type": "custom.visit", "timestamp": iso(-1), "data": event}).encode()
    key = base64.b64decode(secret.removeprefix("whsec_"))
    now = str(int(time.time()))
    mac = base64.b64encode(hmac.new(key, f"msg_1.{now}.".encode() + body, hashlib.sha256).digest())
    headers = {"webhook-id": "msg_1", "webhook-timestamp": now, "Content-Type": "application/json",
               "webhook-signature": "v1," + mac.decode()}
    answer = api.server.request("POST", "/v1/hooks/" + source["id"], body, headers)
    assert answer.status == 200 and json.loads(answer.body)["status"] == "applied", answer.body
    old = {**headers, "webhook-timestamp": str(int(time.time()) - 3600)}
    assert api.server.request("POST", "/v1/hooks/" + source["id"], body, old).status == 401


def test_wrong_signatures_write_nothing_and_health_says_why(api, shopify):
    order = shopify_order(4001, 8, "bad@example.com")
    answers = {shopify.send("orders/create", order, secret="wrong-secret-wrong").body}
    body = json.dumps(order).encode()
    headers = shopify.headers("orders/create", body)
    del headers["X-Shopify-Hmac-Sha256"]
    response = api.server.request("POST", shopify.path, body, headers)
    assert response.status == 401
    answers.add(response.body)
    truncated = shopify.headers("orders/create", body)
    assert api.server.request("POST", shopify.path, body[:-20], truncated).status == 401
    shapes = {json.dumps({k: v for k, v in json.loads(a).items() if k != "request_id"})
              for a in answers}
    assert len(shapes) == 1, "one fixed body, whatever the reason"
    lookup(api, "email", "bad@example.com", expect=404)
    health = wait_for(lambda: (api.get("/v1/sources/shopify_main")["health"] or {})
                      if api.get("/v1/sources/shopify_main")["health"].get("last_failure") else None,
                      5, 0.1)
    assert health["last_failure"]["reason"] in ("signature_mismatch", "header_missing")
    assert shopify.send("orders/create", order).status == 200


def test_secret_rotation_has_two_live_secrets(api, shopify):
    api.post("/v1/sources/shopify_main/secrets", {"secret": "second-secret-value", "label": "new"},
             expect=201)
    assert shopify.send("orders/create", shopify_order(5001, 9, "rot@example.com")).status == 200
    assert shopify.send("orders/create", shopify_order(5002, 9, "rot@example.com"),
                        secret="second-secret-value").status == 200


def test_unknown_topic_is_ignored_and_signed_rubbish_quarantined(api, shopify):
    answer = shopify.send("themes/publish", {"id": 1})
    assert answer.status == 200 and json.loads(answer.body)["status"] == "ignored"
    answer = shopify.send("orders/create", b'{"id": 1, "id": 2}')
    assert answer.status == 200 and json.loads(answer.body)["status"] == "quarantined"
    listed = api.get("/v1/quarantine")["data"]
    assert len(listed) == 1 and listed[0]["topic"] == "orders/create"


@pytest.mark.parametrize("body", [
    b'{"id":1,"email":"a\\u0000b@example.com"}', b'{"id":1,"email":"\xff\xfe"}',
    b'{"id":' + b"[" * 10000 + b"]" * 10000 + b"}", b"", b"null", b"[]", b'"x"', b"{"])
def test_nonsense_that_is_signed_never_kills(api, shopify, body):
    answer = shopify.send("orders/create", body)
    assert answer.status == 200, answer.body
    assert json.loads(answer.body)["status"] in ("quarantined", "ignored")
    assert shopify.send("orders/create",
                        shopify_order(6001, 10, "after@example.com")).status == 200


def test_merge_of_two_shops_by_email(api, shopify, woo, esp):
    esp.subscribe(api, ["profile.merged"])
    shopify.send("customers/create", {"id": 71, "email": None, "phone": "+33612345678",
                                      "first_name": "M", "last_name": "N",
                                      "created_at": iso(-50), "updated_at": iso(-50)})
    woo.send("customer.created", {"id": 88, "email": "merge@example.com", "first_name": "M",
                                  "last_name": "N", "date_created_gmt": "2026-11-01T10:00:00",
                                  "date_modified_gmt": "2026-11-01T10:00:00",
                                  "billing": {"email": "merge@example.com"}})
    first = lookup(api, "phone", "+33612345678")
    second = lookup(api, "email", "merge@example.com")
    assert first["id"] != second["id"]
    shopify.send("customers/update", {"id": 71, "email": "merge@example.com",
                                      "phone": "+33612345678", "first_name": "M", "last_name": "N",
                                      "created_at": iso(-50), "updated_at": iso(-5)})
    merged = lookup(api, "email", "merge@example.com")
    assert merged["id"] == min(first["id"], second["id"])
    loser = max(first["id"], second["id"])
    through_loser = api.get("/v1/profiles/" + loser)
    assert through_loser["id"] == merged["id"] and through_loser["requested_id"] == loser
    wait_for(lambda: esp.of_type("profile.merged"))
    merge = esp.of_type("profile.merged")[0]["data"]["merge"]
    assert {merge["from_id"], merge["into_id"]} == {first["id"], second["id"]}


def test_unmerge_gives_both_back(api, shopify, woo):
    shopify.send("orders/create", shopify_order(7101, 171, None, "10.00"))
    woo.send("customer.created", {"id": 188, "email": "un@example.com", "first_name": "U",
                                  "last_name": "N", "date_created_gmt": "2026-11-01T10:00:00",
                                  "date_modified_gmt": "2026-11-01T10:00:00",
                                  "billing": {"email": "un@example.com"}})
    shopify.send("customers/update", {"id": 171, "email": "un@example.com", "first_name": "U",
                                      "last_name": "N", "created_at": iso(-50),
                                      "updated_at": iso(-5)})
    merged = lookup(api, "email", "un@example.com")
    assert merged["orders"]["count"] == 1
    edges = api.get(f"/v1/profiles/{merged['id']}/merges")["data"]
    edge = [e for e in edges if e.get("kind", "merged") == "merged"][0]
    api.post(f"/v1/profiles/{merged['id']}/unmerge", {"merge_id": edge["id"]}, expect=200)
    a = lookup(api, "email", "un@example.com")
    b = [p for p in api.get("/v1/profiles")["data"] if p["id"] != a["id"]]
    assert len(b) == 1
    assert sorted([a["orders"]["count"], b[0]["orders"]["count"]]) == [0, 1]


def test_family_tablet_keeps_two_customers_apart(api):
    def event(n, identities):
        api.post("/v1/events", {"id": f"t{n}", "type": "page.viewed", "occurred_at": iso(-30 + n),
                                "identities": identities, "properties": {}}, expect=200)
    event(1, {"anonymous_id": "tablet", "external_id": "user-1", "email": "one@home.example"})
    event(2, {"anonymous_id": "tablet", "external_id": "user-2", "email": "two@home.example"})
    event(3, {"anonymous_id": "tablet"})
    one = lookup(api, "email", "one@home.example")
    two = lookup(api, "email", "two@home.example")
    assert one["id"] != two["id"]
    assert lookup(api, "anonymous_id", "tablet")["id"] == two["id"]
