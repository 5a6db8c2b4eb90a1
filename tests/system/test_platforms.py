"""One delivery of each platform over HTTP: created, set up, signed by another hand
than ours, taken once, refused with a wrong secret.

To add a platform: a row of SENDERS. A row says how to create the source, how its
sender signs, and one body.
"""

import base64
import hashlib
import hmac
import itertools
import json
import os
import re
import time
import types

import pytest
from shopbell import ROOT, wait_for

HEALTH_S = 5  # counts are written once a second


def mac(key, *pieces, digest=hashlib.sha256):
    key = key if isinstance(key, bytes) else key.encode()
    text = b"".join(p if isinstance(p, bytes) else str(p).encode() for p in pieces)
    return hmac.new(key, text, digest)


def base64_mac(key, *pieces):
    return base64.b64encode(mac(key, *pieces).digest()).decode()


def standard_webhooks(key):
    def sign(secret, body, url):
        now, number = int(time.time()), "msg_" + hashlib.sha256(body).hexdigest()[:16]
        return {"webhook-id": number, "webhook-timestamp": str(now),
                "webhook-signature": "v1," + base64_mac(key(secret), f"{number}.{now}.", body)}
    return sign


def square(secret, body, url):
    return {"x-square-hmacsha256-signature": base64_mac(secret, url, body)}


def stripe(secret, body, url):
    now = int(time.time())
    return {"Stripe-Signature": f"t={now},v1={mac(secret, f'{now}.', body).hexdigest()},v0=00"}


def ecwid(secret, body, url):
    event = json.loads(body)
    signed = f"{event['eventCreated']}.{event['eventId']}"
    return {"X-Ecwid-Webhook-Signature": base64_mac(secret, signed)}


def squarespace(secret, body, url):
    return {"Squarespace-Signature": mac(bytes.fromhex(secret), body).hexdigest()}


def whsec(secret):
    return base64.b64decode(secret.removeprefix("whsec_"))


NOW = int(time.time()) - 60
STAMP = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW))

BIGCOMMERCE_ORDER = {"scope": "store/order/created", "store_id": "1", "hash": "dd70c0976e06",
                     "created_at": NOW, "producer": "stores/abc",
                     "data": {"type": "order", "id": 250}}

SENDERS = [
    types.SimpleNamespace(
        name="bigcommerce", secret="9a7ce1-client-secret", other="9a7ce2-client-secret",
        sign=standard_webhooks(lambda secret: secret), body=BIGCOMMERCE_ORDER, thin=True),
    types.SimpleNamespace(
        name="bigcommerce", settings={"signing": "header"}, secret="a" * 32, other="b" * 32,
        sign=lambda secret, body, url: {"X-Shopbell-Secret": secret},
        body=BIGCOMMERCE_ORDER, thin=True),
    types.SimpleNamespace(
        name="square", secret="signature-key", other="signature-kez", sign=square,
        body={"merchant_id": "M", "type": "payment.updated", "event_id": "e1", "created_at": STAMP,
              "data": {"type": "payment", "id": "p1", "object": {"payment": {
                  "id": "p1", "order_id": "o1", "status": "COMPLETED", "customer_id": "C1",
                  "buyer_email_address": "square@example.com", "created_at": STAMP,
                  "updated_at": STAMP, "total_money": {"amount": 4990, "currency": "EUR"}}}}},
        email="square@example.com", revenue=49.90),
    types.SimpleNamespace(
        name="stripe", secret="whsec_stripe_is_verbatim", other="whsec_stripe_is_verbatin",
        sign=stripe,
        body={"id": "evt_1", "type": "charge.succeeded", "created": NOW, "livemode": True,
              "data": {"object": {"id": "ch_1", "payment_intent": "pi_1", "amount": 4990,
                                  "currency": "eur", "created": NOW, "status": "succeeded",
                                  "captured": True, "customer": "cus_1",
                                  "billing_details": {"email": "stripe@example.com"}}}},
        email="stripe@example.com", revenue=49.90),
    types.SimpleNamespace(
        name="ecwid", secret="ecwid-client-secret", other="ecwid-client-secreu", sign=ecwid,
        body={"eventId": "80aece08", "eventCreated": NOW, "storeId": 1003, "entityId": 1,
              "eventType": "order.created", "data": {"orderId": "XJ12H"}}, thin=True),
    types.SimpleNamespace(
        name="squarespace", secret="00112233445566778899aabbccddeeff",
        other="00112233445566778899aabbccddeefe", sign=squarespace,
        body={"id": "n1", "websiteId": "w1", "topic": "order.create", "createdOn": STAMP,
              "data": {"orderId": "585d498f"}}, thin=True),
    types.SimpleNamespace(
        name="etsy", secret="whsec_MTIzNDU2Nzg5MDEyMzQ1Ng==", other="whsec_MTIzNDU2Nzg5MDEyMzQ1Nw==",
        sign=standard_webhooks(whsec),
        body={"event_type": "order.paid", "shop_id": 42, "resource_url":
              "https://openapi.etsy.com/v3/application/shops/42/receipts/54321"}, thin=True),
]


def name_of(sender):
    return sender.name + ("_header" if getattr(sender, "settings", None) else "")


class Sender:
    """A source of a row, and its sender."""

    def __init__(self, api, row):
        self.api, self.row = api, row
        self.source = api.post("/v1/sources", {
            "name": "shop", "platform": row.name, "settings": getattr(row, "settings", {})},
            expect=201)
        self.url = self.source["webhook_url"]

    def store_secret(self):
        self.api.post("/v1/sources/shop/secrets", {"secret": self.row.secret, "label": "it"},
                      expect=201)

    def send(self, body=None, secret=None):
        data = json.dumps(body or self.row.body).encode()
        headers = self.row.sign(secret or self.row.secret, data, self.url)
        answer = self.api.server.request("POST", "/v1/hooks/" + self.source["id"], data,
                                         {"Content-Type": "application/json", **headers})
        answer.json = json.loads(answer.body)
        return answer

    def health(self):
        return self.api.get("/v1/sources/shop")["health"]


@pytest.mark.parametrize("row", SENDERS, ids=name_of)
def test_a_delivery_of_each_platform(api, row):
    sender = Sender(api, row)
    assert sender.source["status"] == "waiting_for_secret"
    setup = sender.source["setup"]
    assert setup["ways"] and all(way["steps"] for way in setup["ways"]) and setup["topics"]
    assert not [s for way in setup["ways"] for s in way["steps"] if "%" in s]
    assert sender.send().status == 401, "there is no secret yet"
    sender.store_secret()

    assert sender.send(secret=row.other).status == 401
    answer = sender.send()
    assert (answer.status, answer.json["status"]) == (200, "applied"), answer.body
    repeat = sender.send()
    assert (repeat.status, repeat.json["status"]) == (200, "duplicate"), repeat.body

    health = wait_for(lambda: (h := sender.health())["counts_24h"]["duplicate"] == 1 and h,
                      HEALTH_S, 0.1)
    assert health["counts_24h"]["applied"] == 1 and health["counts_24h"]["refused"] == 2
    assert health["last_failure"]["reason"] == "signature_mismatch"
    if getattr(row, "thin", False):
        assert health["thin"]["events_24h"] == 1, "a duplicate is none"
    else:
        assert health["thin"] is None
    if hasattr(row, "email"):
        found = api.call("POST", "/v1/profiles/lookup", {"kind": "email", "value": row.email})
        assert found.json["orders"]["count"] == 1
        assert found.json["orders"]["revenue"] == row.revenue


def test_each_platform_has_a_corpus_to_be_fuzzed_from(api):
    names = {one["name"] for one in api.get("/v1/platforms")["data"]}
    own_target = {"api", "custom", "sdk"}  # of which fuzz_canonical is the API's
    corpus = os.path.join(ROOT, "tests/fuzz/corpus/platform")
    assert names - own_target == set(os.listdir(corpus))


def test_another_shop_of_the_same_app_is_refused_and_not_kept(api, cluster):
    """One app's key signs for every shop that installed it."""
    row = types.SimpleNamespace(**{**vars(SENDERS[0]), "settings": {"shop_id": "abc"}})
    sender = Sender(api, row)
    sender.store_secret()
    assert sender.send().status == 200
    assert sender.send({**row.body, "producer": "stores/other"}).status == 401
    health = wait_for(lambda: (h := sender.health())["last_failure"] and h, HEALTH_S, 0.1)
    assert health["last_failure"]["reason"] == "shop_mismatch"
    assert cluster.query("SELECT count(*) FROM webhook WHERE source_id = %s",
                         sender.source["id"])[0][0] == 1


def test_thin_events_are_facts_whose_bodies_are_kept(api, cluster):
    """What reads the resource back one day finds its name."""
    sender = Sender(api, SENDERS[0])
    sender.store_secret()
    subscriber = {**SENDERS[0].body, "scope": "store/subscriber/created",
                  "data": {"type": "subscriber", "id": 5}}
    assert sender.send().json["status"] == "applied"
    assert sender.send(subscriber).json["status"] == "ignored", "a number that names nobody"
    wait_for(lambda: (sender.health()["thin"] or {}).get("events_24h") == 2, HEALTH_S, 0.1)
    bodies = [json.loads(bytes(row[0])) for row in cluster.query(
        "SELECT body FROM webhook WHERE source_id = %s ORDER BY received_at",
        sender.source["id"])]
    assert [body["data"]["id"] for body in bodies] == [250, 5]
    context = cluster.query("SELECT type, context FROM interaction WHERE source_id = %s",
                            sender.source["id"])
    assert context == [("order.updated", {"thin": True})]

def readme_custom_settings():
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
        blocks = re.findall(r"```json\n(.*?)```", f.read(), flags=re.S)
    return next(found for found in map(json.loads, blocks) if "signature" in found)


def test_the_readmes_custom_source_takes_what_it_says(api):
    source = api.post("/v1/sources", {"name": "shop", "platform": "custom",
                                      "settings": readme_custom_settings()}, expect=201)
    api.post("/v1/sources/shop/secrets", {"secret": "a-custom-secret"}, expect=201)

    def send(order, secret="a-custom-secret"):
        body, now = json.dumps({"event": "order.paid", "order": order}).encode(), int(time.time())
        answer = api.server.request("POST", "/v1/hooks/" + source["id"], body, {
            "Content-Type": "application/json", "X-Shop-Time": str(now),
            "X-Shop-Signature": mac(secret, f"{now}.", body).hexdigest()})
        return answer.status, json.loads(answer.body).get("status")

    order = {"id": "1001", "paid_at": STAMP, "total": 49.9,
             "customer": {"email": "custom@example.com"},
             "lines": [{"ref": "p1", "qty": 2, "price": 24.95}]}
    assert send(order, "another-secret")[0] == 401
    assert send(order) == (200, "applied")
    found = api.post("/v1/profiles/lookup", {"kind": "email", "value": "custom@example.com"},
                     expect=200)
    assert found["orders"]["revenue"] == 49.9
    assert send({**order, "id": "1002", "paid_at": "soon"}) == (200, "quarantined")
    assert "#/0/occurred_at" in api.get("/v1/quarantine")["data"][0]["reason"]


class Shopware:
    """A Shopware shop with our app's manifest."""

    APP_SECRET = "app-secret-of-the-manifest-0123456789"

    def __init__(self, api, **settings):
        self.api, self.secret = api, None
        self.source = api.post("/v1/sources", {"name": "shop", "platform": "shopware",
                                               "settings": settings}, expect=201)
        api.post("/v1/sources/shop/secrets", {"secret": self.APP_SECRET, "label": "app"},
                 expect=201)
        self.path = "/v1/hooks/" + self.source["id"]

    def register(self, shop_id="shop1", app_secret=APP_SECRET, previous=None, at=None):
        query = (f"shop-id={shop_id}&shop-url=https%3A%2F%2Fshop.example"
                 f"&timestamp={at or int(time.time())}")
        headers = {"shopware-app-signature": mac(app_secret, query).hexdigest()}
        if previous:
            headers["shopware-shop-signature"] = mac(previous, query).hexdigest()
        answer = self.api.server.request("GET", f"{self.path}?{query}", None, headers)
        return answer.status, json.loads(answer.body)

    def confirm(self, offer, previous=None, secret=None):
        body = json.dumps({"apiKey": "k", "secretKey": "s", "shopId": "shop1",
                           "shopUrl": "https://shop.example",
                           "timestamp": str(int(time.time()))}).encode()
        headers = {"Content-Type": "application/json",
                   "shopware-shop-signature": mac(secret or offer["secret"], body).hexdigest()}
        if previous:
            headers["shopware-shop-signature-previous"] = mac(previous, body).hexdigest()
        path = "/v1/hooks/" + offer["confirmation_url"].split("/v1/hooks/")[1]
        return self.api.server.request("POST", path, body, headers).status

    def send(self, event, payload, secret, event_id):
        body = json.dumps({"data": {"event": event, "payload": payload},
                           "source": {"url": "https://shop.example", "appVersion": "1.0.0",
                                      "shopId": "shop1", "eventId": event_id},
                           "timestamp": int(time.time())}).encode()
        answer = self.api.server.request("POST", self.path, body, {
            "Content-Type": "application/json",
            "shopware-shop-signature": mac(secret, body).hexdigest()})
        return answer.status, json.loads(answer.body).get("status")

    def labels(self):
        return sorted(s["label"] for s in self.api.get("/v1/sources/shop")["secrets"])


ORDER = {"id": "018f", "orderNumber": "10001", "amountTotal": 119.5, "shippingTotal": 5,
         "orderDateTime": STAMP, "createdAt": STAMP, "currency": {"isoCode": "EUR"},
         "stateMachineState": {"technicalName": "open"},
         "transactions": [{"stateMachineState": {"technicalName": "paid"}}],
         "orderCustomer": {"customerId": "c1", "email": "shopware@example.com",
                           "firstName": "Jane", "lastName": "Doe"},
         "lineItems": [{"productId": "p1", "label": "Shoe", "quantity": 1, "unitPrice": 119.5,
                        "payload": {"productNumber": "SW1"}}]}


def test_a_shopware_shop_registers_sells_and_registers_again(api):
    shop = Shopware(api)
    assert shop.register(app_secret="another-secret-0123456789")[0] == 401
    assert shop.register(at=int(time.time()) - 3600)[0] == 400, "a registration of an hour ago"
    status, offer = shop.register()
    assert status == 200 and 64 <= len(offer["secret"]) <= 255
    assert offer["proof"] == mac(Shopware.APP_SECRET, "shop1https://shop.exampleShopbell").hexdigest()
    assert shop.labels() == ["app", "shop pending"]

    first = offer["secret"]
    assert shop.send("checkout.order.placed", {"order": ORDER}, first, "e0")[0] == 401, "unconfirmed"
    assert shop.send("checkout.order.placed", {"order": ORDER}, Shopware.APP_SECRET, "e0")[0] == 401
    assert shop.confirm(offer, secret=Shopware.APP_SECRET) == 401
    assert shop.confirm(offer) == 200
    assert shop.labels() == ["app", "shop"]

    assert shop.send("checkout.order.placed", {"order": ORDER}, first, "e1") == (200, "applied")
    assert shop.send("checkout.order.placed", {"order": ORDER}, first, "e1") == (200, "duplicate")
    written = [{"entity": "product", "operation": "update", "primaryKey": "p1",
                "updatedFields": ["stock"]}]
    assert shop.send("product.written", written, first, "e2") == (200, "applied")
    found = api.call("POST", "/v1/profiles/lookup", {"kind": "email",
                                                     "value": "shopware@example.com"}).json
    assert found["orders"]["count"] == 1 and found["orders"]["revenue"] == 119.5

    # Whoever has the manifest is not yet the shop that we know.
    assert shop.register()[0] == 401
    assert shop.register(previous="not-the-shop-s-secret")[0] == 401
    status, again = shop.register(previous=first)
    assert status == 200 and again["secret"] != first
    assert shop.confirm(again) == 401, "the confirmation needs both signatures as well"
    assert shop.confirm(again, previous="not-the-shop-s-secret") == 401
    assert shop.confirm(again, previous=first) == 200
    second = again["secret"]
    assert shop.send("product.written", written, second, "e3") == (200, "applied")
    secrets = {s["label"]: s for s in api.get("/v1/sources/shop")["secrets"] if s["expires_at"]}
    assert list(secrets) == ["shop"], "the one replaced goes within a day"
    assert shop.send("product.written", written, first, "e4") == (200, "applied")


def test_a_shopware_source_may_take_one_shop_only(api):
    shop = Shopware(api, shop_id="shop1", app_name="Bell")
    assert shop.register(shop_id="shop2")[0] == 400
    status, offer = shop.register()
    assert status == 200
    assert offer["proof"] == mac(Shopware.APP_SECRET, "shop1https://shop.exampleBell").hexdigest()


@pytest.mark.parametrize("prefix", ["X-Shopify-", "shopify-"], ids=["webhooks", "events"])
def test_shopifys_privacy_requests_wait_for_an_operator(api, shopify, prefix):
    """Both families of headers; 401 for a wrong signature is what Shopify's review asks."""
    def send(topic, body, secret=shopify.secret):
        data = json.dumps(body).encode()
        answer = api.server.request("POST", shopify.path, data, {
            "Content-Type": "application/json", f"{prefix}Topic": topic,
            f"{prefix}Hmac-Sha256": base64_mac(secret, data),
            f"{prefix}Webhook-Id": hashlib.sha256(data + topic.encode()).hexdigest()})
        return answer.status, json.loads(answer.body).get("status")
    subject = {"shop_domain": "aurora.myshopify.com",
               "customer": {"id": 191167, "email": "john@example.com"}}
    asked = {"customers/redact": {**subject, "orders_to_redact": [299938]},
             "customers/data_request": {**subject, "data_request": {"id": 9999}},
             "shop/redact": {"shop_domain": "aurora.myshopify.com"}}
    for topic, body in asked.items():
        assert send(topic, body, "another-secret")[0] == 401
        assert send(topic, body) == (200, "quarantined")
    health = wait_for(lambda: (h := api.get("/v1/sources/shopify_main")["health"])
                      ["privacy_requests"] == 3 and h["last_failure"] and h, HEALTH_S, 0.1)
    assert health["last_failure"]["reason"] == "signature_mismatch"
    kept = api.get("/v1/quarantine")["data"]
    assert sorted(item["topic"] for item in kept) == sorted(asked)
    assert all(item["reason"].startswith("privacy request") for item in kept)


# --- sequences ---------------------------------------------------------------

def square_story(number):
    """An order paid, then partly refunded, and told of thrice."""
    def event(kind, seconds, **objects):
        return {"merchant_id": "M", "type": kind, "event_id": f"{number}-{kind}-{seconds}",
                "created_at": at(seconds), "data": {"object": objects}}

    def at(seconds):
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW - 600 + seconds))

    def payment(seconds, status, refunded=0):
        return event("payment.updated", seconds, payment={
            "id": f"p{number}", "order_id": f"o{number}", "status": status,
            "buyer_email_address": f"square{number}@example.com", "created_at": at(0),
            "updated_at": at(seconds), "total_money": {"amount": 5000, "currency": "EUR"},
            "refunded_money": {"amount": refunded, "currency": "EUR"}})
    refund = event("refund.updated", 30, refund={
        "id": f"r{number}", "order_id": f"o{number}", "status": "COMPLETED", "created_at": at(30),
        "updated_at": at(30), "amount_money": {"amount": 1500, "currency": "EUR"}})
    return [payment(1, "APPROVED"), payment(20, "COMPLETED"), refund,
            payment(31, "COMPLETED", refunded=1500)]


def stripe_story(number):
    def event(kind, seconds, **thing):
        return {"id": f"evt_{number}_{kind}", "type": kind, "created": NOW - 600 + seconds,
                "livemode": True, "data": {"object": thing}}
    charge = {"id": f"ch_{number}", "payment_intent": f"pi_{number}", "amount": 5000,
              "currency": "eur", "created": NOW - 600, "status": "succeeded", "captured": True,
              "billing_details": {"email": f"stripe{number}@example.com"}}
    session = {"id": f"cs_{number}", "mode": "payment", "payment_intent": f"pi_{number}",
               "payment_status": "paid", "amount_total": 5000, "currency": "eur",
               "customer_details": {"email": f"stripe{number}@example.com"},
               "total_details": {"amount_discount": 500}}
    refund = {"id": f"re_{number}", "payment_intent": f"pi_{number}", "amount": 1500,
              "currency": "eur", "created": NOW - 570, "status": "succeeded"}
    return [event("charge.succeeded", 0, **charge),
            event("checkout.session.completed", 0, **session),
            event("refund.created", 30, **refund),
            event("charge.refunded", 30, **charge, amount_refunded=1500)]


@pytest.mark.parametrize("name,story", [("square", square_story), ("stripe", stripe_story)])
def test_any_order_of_arrival_and_every_repeat_gives_the_same_orders(api, cluster, name, story):
    row = next(s for s in SENDERS if s.name == name)
    sender = Sender(api, row)
    sender.store_secret()
    for number, order in enumerate(itertools.permutations(range(4))):
        events = story(number)
        for at in order:
            assert sender.send(events[at]).status == 200
        late = sender.send(events[order[0]])
        assert late.json["status"] == "duplicate", "a repeat that comes last undoes nothing"
        orders = api.call("POST", "/v1/profiles/lookup", {
            "kind": "email", "value": f"{name}{number}@example.com"}).json["orders"]
        assert (orders["count"], orders["revenue"], orders["refunded"]) == (1, 50.0, 15.0), order
    stated = cluster.query("SELECT DISTINCT status, total_minor, refunded_minor, version_at,"
                           " body->>'discount' FROM orders WHERE source_id = %s",
                           sender.source["id"])
    assert len(stated) == 1, f"one body won, whichever came last: {stated}"
    assert stated[0][4] == ("5.00" if name == "stripe" else None), "a session says more"


def test_a_deletion_stays_whatever_comes_late(api):
    """A tombstone, and a repeat of what was before it."""
    shop = Shopware(api)
    offer = shop.register()[1]
    assert shop.confirm(offer) == 200
    secret = offer["secret"]
    assert shop.send("checkout.order.placed", {"order": ORDER}, secret, "a1")[0] == 200
    gone = [{"entity": "order", "operation": "delete", "primaryKey": ORDER["id"]}]
    assert shop.send("order.deleted", gone, secret, "a2") == (200, "applied")

    def orders():
        return api.call("POST", "/v1/profiles/lookup", {
            "kind": "email", "value": "shopware@example.com"}).json["orders"]
    assert orders()["count"] == 0
    assert shop.send("checkout.order.placed", {"order": ORDER}, secret, "a1") == (200, "duplicate")
    assert shop.send("state_enter.order_transaction.state.paid", {"order": ORDER}, secret,
                     "a3")[0] == 200
    assert orders()["count"] == 0
