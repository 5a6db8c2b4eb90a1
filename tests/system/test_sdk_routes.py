"""The analytics SDKs' wire format over HTTP: whose key, from which page, in which
form, and what a page may say."""

import base64
import gzip
import json
import re
import threading
import time
import uuid

import pytest
from shopbell import Cluster, Server, make_workspace, wait_for

SHOP = "https://aurora.example"


class Page:
    """A page's source, and what its scripts send."""

    def __init__(self, api, name="storefront", **settings):
        self.api = api
        self.server = api.server
        self.source = api.post("/v1/sources", {
            "name": name, "platform": "sdk",
            "settings": {"allowed_origins": [SHOP], **settings}}, expect=201)
        self.key = self.source["write_key"]

    def post(self, path, message, key=None, basic=True, headers=None, raw=None):
        key = key or self.key
        body = raw
        if raw is None:
            message = dict(message)
            if not basic:
                message["writeKey"] = key
            body = json.dumps(message).encode()
        head = {"Content-Type": "application/json" if basic else "text/plain", **(headers or {})}
        if basic:
            head["Authorization"] = "Basic " + base64.b64encode(f"{key}:".encode()).decode()
        answer = self.server.request("POST", path, body, head)
        answer.json = json.loads(answer.body) if answer.body else None
        return answer

    def take(self, path, message, **more):
        answer = self.post(path, message, **more)
        assert (answer.status, answer.json) == (200, {"success": True}), answer.body
        return answer

    def profile(self, kind, value, expect=200):
        return self.api.post("/v1/profiles/lookup", {"kind": kind, "value": value}, expect=expect)

    def timeline(self, kind, value):
        profile = self.profile(kind, value)
        rows = self.api.get(f"/v1/profiles/{profile['id']}/timeline?page_size=200")["data"]
        return [row for row in rows if row["kind"] == "event"]


@pytest.fixture
def page(api):
    return Page(api)


def test_a_source_shows_its_key_and_how_to_use_it(page):
    assert re.fullmatch(r"sbw_[0-9A-Za-z]{24}", page.key)
    source = page.api.get("/v1/sources/storefront")
    assert (source["trust"], source["webhook_url"], source["write_key"]) == ("public", None, page.key)
    assert source["status"] == "active" and source["secrets"] == []
    ways = {way["way"]: way for way in source["setup"]["ways"]}
    assert set(ways) == {"script", "shopify_pixel", "browser_sdk", "node_sdk"}
    assert page.key in ways["node_sdk"]["paste"]
    # It takes no webhooks, and no other kind of source has a write key.
    assert page.server.request("POST", "/v1/hooks/" + source["id"], b"{}").status == 404
    assert page.api.get("/v1/sources/api")["write_key"] is None


def test_every_route_takes_its_message(page):
    anonymous = str(uuid.uuid4())
    page.take("/v1/track", {"event": "Product Viewed", "anonymousId": anonymous,
                            "properties": {"product_id": "p1", "category": "Shoes", "price": 80}})
    page.take("/v1/page", {"name": "Home", "anonymousId": anonymous})
    page.take("/v1/screen", {"name": "Cart", "anonymousId": anonymous})
    page.take("/v1/group", {"groupId": "g1", "anonymousId": anonymous, "traits": {"plan": "b2b"}})
    page.take("/v1/identify", {"anonymousId": anonymous, "userId": "u-1",
                               "traits": {"firstName": "Jane", "email": "jane@example.com"}})
    page.take("/v1/alias", {"previousId": "older-visitor", "userId": "u-1"})
    page.take("/v1/batch", {"batch": [{"type": "track", "event": "Coupon Applied", "userId": "u-1"},
                                      {"type": "page", "userId": "u-1"}]})
    for letter, more in {"t": {"event": "Product Added"}, "p": {}, "s": {}, "g": {"groupId": "g"},
                         "i": {}, "a": {"previousId": "x"}}.items():
        page.take(f"/v1/{letter}", {"userId": "u-1", **more}, basic=False)
    page.take("/v1/b", {"batch": [{"type": "page", "userId": "u-1"}]}, basic=False)
    types = [row["type"] for row in page.timeline("external_id", "u-1")]
    for wanted in ("product.viewed", "page.viewed", "custom.group", "customer.updated",
                   "custom.coupon_applied", "cart.product_added"):
        assert wanted in types, types
    profile = page.profile("external_id", "u-1")
    assert profile["email"] == "jane@example.com" and profile["traits"]["first_name"] == "Jane"
    assert {"older-visitor", anonymous} <= {i["value"] for i in profile["identities"]}


def test_a_message_counts_once_however_it_comes(page):
    message = {"type": "track", "event": "Product Viewed", "userId": "u-2", "messageId": "m-1"}
    page.take("/v1/track", message)
    page.take("/v1/t", message, basic=False)
    page.take("/v1/batch", {"batch": [message, message]})
    packed = gzip.compress(json.dumps({"batch": [message]}).encode())
    page.take("/v1/batch", {}, raw=packed, headers={"Content-Encoding": "gzip"})
    rows = [r for r in page.timeline("external_id", "u-2") if r["type"] == "product.viewed"]
    assert len(rows) == 1


def test_what_never_works_is_a_400(page):
    def refused(path, message, **more):
        answer = page.post(path, message, **more)
        assert answer.status == 400, (answer.status, answer.body)
        return answer.json["type"].removeprefix("/problems/")

    good = {"event": "X", "userId": "u"}
    assert refused("/v1/track", {"event": "X"}) == "invalid-message"
    assert refused("/v1/track", {"userId": "u"}) == "invalid-message"
    assert refused("/v1/batch", {"batch": []}) == "invalid-message"
    assert refused("/v1/track", {}, raw=b"{") == "malformed-json"
    assert refused("/v1/track", {}, raw=b'{"a":1,"a":2}') == "malformed-json"
    assert refused("/v1/track", good, key="sbw_" + "0" * 24) == "write-key-invalid"
    assert refused("/v1/track", good, key="sbk_" + "0" * 51) == "write-key-invalid"
    assert refused("/v1/t", {}, basic=False, raw=json.dumps(good).encode()) == "write-key-invalid"
    coded = {"Content-Encoding": "gzip"}
    assert refused("/v1/batch", {}, raw=b"not gzip", headers=coded) == "malformed-request"
    bomb = gzip.compress(b" " * 30_000_000)
    started = time.monotonic()
    assert refused("/v1/batch", {}, raw=bomb, headers=coded) == "malformed-request"
    assert time.monotonic() - started < 5
    assert refused("/v1/batch", {}, raw=b"x", headers={"Content-Encoding": "br"}) == "malformed-request"
    # Some good, some bad: the good ones are kept, and the answer says which were not.
    answer = page.post("/v1/batch", {"batch": [{"type": "page", "userId": "u"}, {"type": "page"}]})
    assert answer.status == 200 and answer.json["success"] is True
    assert [r["pointer"] for r in answer.json["rejected"]] == ["#/1/identities"]
    # A deleted source's key opens nothing.
    page.api.call("DELETE", "/v1/sources/storefront", expect=204)
    assert refused("/v1/track", good) == "write-key-invalid"


def test_pages_of_the_shop_may_and_others_may_not(page):
    message = {"event": "X", "anonymousId": "a-cors"}
    for origin in (SHOP, "null"):
        answer = page.post("/v1/t", message, basic=False, headers={"Origin": origin})
        assert answer.status == 200
        assert answer.getheader("Access-Control-Allow-Origin") == origin
        assert answer.getheader("Access-Control-Allow-Credentials") is None
        assert "Origin" in answer.getheader("Vary")
    for origin in ("https://evil.example", SHOP + ".evil.example", "https://aurora.example:8443"):
        answer = page.post("/v1/t", message, basic=False, headers={"Origin": origin})
        assert (answer.status, answer.json["type"]) == (403, "/problems/origin-not-allowed")
        assert answer.getheader("Access-Control-Allow-Origin") is None

    def preflight(path, origin):
        return page.server.request("OPTIONS", path, None, {
            "Origin": origin, "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type"})
    for path in ("/v1/t", "/v1/batch", f"/v1/projects/{page.key}/settings"):
        for origin in (SHOP, "null"):
            answer = preflight(path, origin)
            assert answer.status == 204
            assert answer.getheader("Access-Control-Allow-Origin") == origin
            assert "Authorization" in answer.getheader("Access-Control-Allow-Headers")
            assert "POST" in answer.getheader("Access-Control-Allow-Methods")
        assert preflight(path, "https://evil.example").getheader("Access-Control-Allow-Origin") is None
    # No other route is open to pages.
    assert preflight("/v1/events", SHOP).getheader("Access-Control-Allow-Origin") is None
    assert preflight("/v1/sources", "null").getheader("Access-Control-Allow-Origin") is None


def test_settings_lead_the_browser_sdk_here_and_the_key_stays_out_of_the_log(page):
    path = f"/v1/projects/{page.key}/settings"
    answer = page.server.request("GET", path, headers={"Origin": SHOP})
    assert answer.status == 200 and answer.getheader("Access-Control-Allow-Origin") == SHOP
    integration = json.loads(answer.body)["integrations"]["Segment.io"]
    assert integration["apiKey"] == page.key and integration["protocol"] == "http"
    assert integration["apiHost"] == f"127.0.0.1:{page.server.port}/v1"
    assert page.server.request("GET", path[:-9] + "x/settings").status == 400
    page.take("/v1/t", {"event": "X", "userId": "u"}, basic=False)
    assert page.key not in page.server.log()
    assert "/v1/projects/{write_key}/settings" in page.server.log()


def test_a_servers_secret_key_is_believed_more_but_not_from_a_page(page):
    message = {"event": "Consent Updated", "userId": "u-k", "properties": {"email": "subscribed"}}
    page.take("/v1/track", message)
    assert page.profile("external_id", "u-k")["consent"]["email"] == "never"
    page.take("/v1/track", message, key=page.api.key)
    assert page.profile("external_id", "u-k")["consent"]["email"] == "subscribed"
    answer = page.post("/v1/track", message, key=page.api.key, headers={"Origin": SHOP})
    assert (answer.status, answer.json["type"]) == (403, "/problems/origin-not-allowed")


def test_an_order_of_a_page_counts_unless_told_not_to(page):
    order = {"event": "Order Completed", "userId": "u-o", "messageId": "o-1",
             "properties": {"order_id": "1001", "revenue": 40, "currency": "EUR"}}
    page.take("/v1/track", order)
    page.take("/v1/track", {**order, "messageId": "o-2"})
    assert page.profile("external_id", "u-o")["orders"]["count"] == 1
    page.api.call("PATCH", "/v1/sources/storefront", {"settings": {"count_orders": False}}, 200)
    page.take("/v1/track", {**order, "messageId": "o-3", "properties": {"order_id": "7", "total": 1}})
    assert page.profile("external_id", "u-o")["orders"]["count"] == 1


def iso(seconds):
    now = time.time() + seconds
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z"


def test_a_visit_rings_once_and_its_history_folds_the_same(server, esp):
    page = Page(make_workspace(server, "visits"))
    esp.subscribe(page.api, ["session.started"])
    view = {"event": "Product Viewed", "anonymousId": "a-visit"}
    for number, ago in enumerate((5000, 4000, 3999, 30, 20)):
        page.take("/v1/track", {**view, "messageId": f"v-{number}", "timestamp": iso(-ago),
                                "sentAt": iso(0)})
    page.take("/v1/track", {**view, "messageId": "v-3", "timestamp": iso(-30), "sentAt": iso(0)})
    starts = [r for r in page.timeline("anonymous_id", "a-visit") if r["type"] == "session.started"]
    assert len(starts) == 2, starts
    wait_for(lambda: len(esp.of_type("session.started")) >= 2, 10, 0.05, "both visits rang")
    done = server.command("check", "--workspace", "visits", "--json")
    assert json.loads(done.stdout)["differing"] == 0, done.stdout
    assert len(esp.of_type("session.started")) == 2


def test_a_full_queue_is_429_and_says_when(server, cluster):
    """Batches fill the queue while the database holds still."""
    page = Page(make_workspace(server, "crowded"))
    bystander = Page(make_workspace(server, "bystander"))
    batch = {"batch": [{"type": "page", "anonymousId": f"crowd-{i}"} for i in range(9000)]}
    blocker = cluster.connect()
    blocker.autocommit = False
    answers = []
    try:
        # Most often in one flush: a source that takes, and one that sheds.
        bystander.take("/v1/track", {"event": "X", "userId": "u"})
        blocker.cursor().execute("LOCK TABLE receipt IN ACCESS EXCLUSIVE MODE")
        threads = [threading.Thread(target=lambda: answers.append((page.post("/v1/batch", batch),
                                                                   time.time())))
                   for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        blocker.rollback()
        blocker.close()
    statuses = sorted(answer.status for answer, _ in answers)
    assert set(statuses) <= {429, 503} and 429 in statuses, statuses
    for answer, at in answers:
        if answer.status == 429:
            assert 1 <= int(answer.getheader("Retry-After")) <= 5
            assert -1 <= int(answer.getheader("X-RateLimit-Reset")) - at <= 6
    wait_for(lambda: page.post("/v1/t", {"event": "X", "userId": "u"}, basic=False).status == 200,
             30, 0.2, "it takes events again")


def test_when_the_database_is_away_the_sdk_is_told_when_to_come_back(tmp_path):
    cluster = Cluster()
    server = Server(cluster, str(tmp_path)).migrate().start()
    try:
        page = Page(make_workspace(server))
        cluster.stop("immediate")
        answer = page.post("/v1/t", {"event": "X", "userId": "u"}, basic=False)
        assert answer.status == 503
        assert 1 <= int(answer.getheader("Retry-After")) <= 5
        assert -1 <= int(answer.getheader("X-RateLimit-Reset")) - time.time() <= 6
        cluster.start()
        wait_for(lambda: page.post("/v1/t", {"event": "X", "userId": "u"},
                                   basic=False).status == 200, 20, 0.2, "it takes events again")
    finally:
        server.stop()
        cluster.remove()


def test_the_command_line_makes_one(server):
    make_workspace(server, "stores")
    done = server.command("source", "create", "storefront", "--workspace", "stores", "--platform", "sdk",
                          "--settings", '{"allowed_origins": ["https://aurora.example"]}', "--json")
    source = json.loads(done.stdout)
    assert source["write_key"].startswith("sbw_")
    assert source["settings"]["allowed_origins"] == ["https://aurora.example"]
