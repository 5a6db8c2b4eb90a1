"""A key with scope subscribe is an ESP's: it sees its own subscriptions and what was
sent to them, asks only for what it may have, and can do nothing else. The routes come
from openapi/shopbell.yaml, so that one that is added is asked, too.
"""

import os
import re
import time
import uuid

import pytest
import shopbell
import yaml
from shopbell import Api, shopify_order, wait_for

with open(os.path.join(shopbell.ROOT, "openapi/shopbell.yaml"), encoding="utf-8") as f:
    PATHS = yaml.safe_load(f)["paths"]
METHODS = ("get", "post", "put", "patch", "delete")
OPERATIONS = [(method.upper(), path, item[method]["x-scopes"]) for path, item in PATHS.items()
              for method in METHODS if item.get(method, {}).get("x-scopes")]
# Asked with names and ids of another.
OF_ONE_SUBSCRIPTION = [(method, path) for method, path, scopes in OPERATIONS
                       if "subscribe" in scopes and "{" in path and "/subscriptions/" in path]
OF_OTHERS = [(method, path) for method, path, scopes in OPERATIONS if "subscribe" not in scopes]
LISTS = [path for method, path, scopes in OPERATIONS
         if method == "GET" and "subscribe" in scopes and "{" not in path]


def key_of(api, name, scopes, **more):
    made = api.post("/v1/keys", {"name": name, "scopes": scopes, **more}, expect=201)
    return Api(api.server, made["key"])


@pytest.fixture
def two(api, shopify, esp):
    """Two ESPs beside each other; each got a message."""
    mine = key_of(api, "mine", ["subscribe", "pii"])
    theirs = key_of(api, "theirs", ["subscribe", "pii"])
    esp.subscribe(mine, ["order.completed"], "mine_sub")
    other = esp.subscribe(theirs, ["order.completed", "profile.created"], "their_sub")
    shopify.send("orders/create", shopify_order(
        1, 1, "jane@example.com", at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())))
    wait_for(lambda: len(api.get("/v1/attempts")["data"]) >= 3, what="all was tried")
    return mine, theirs, other


def test_there_are_routes_to_ask():
    assert len(OF_ONE_SUBSCRIPTION) >= 9 and len(OF_OTHERS) >= 50 and "/v1/attempts" in LISTS


def test_what_is_anothers_does_not_exist(two):
    mine, theirs, other = two
    before = theirs.get("/v1/subscriptions/their_sub")
    for method, path in OF_ONE_SUBSCRIPTION:
        for name in ("their_sub", other["id"]):
            body = None if method in ("GET", "DELETE") else {}
            answer = mine.call(method, path.replace("{name}", name), body)
            assert answer.status == 404, (method, path, answer.status, answer.body)
            none = mine.call(method, path.replace("{name}", "no_such"), body)
            same = {k: v for k, v in answer.json.items() if k not in ("request_id", "instance")}
            same["detail"] = same["detail"].replace(name, "no_such")
            assert same == {k: v for k, v in none.json.items()
                            if k not in ("request_id", "instance")}, "nor is it told apart"
    after = theirs.get("/v1/subscriptions/their_sub")
    assert after == before, "and nothing happened to it"


def test_lists_show_what_is_ones_own(two):
    mine, theirs, other = two
    for path in LISTS:
        text = mine.call("GET", path, expect=200).body.decode()
        assert "their_sub" not in text and other["id"] not in text, path
    assert {row["subscription"] for row in mine.get("/v1/attempts")["data"]} == {"mine_sub"}
    assert {row["subscription"] for row in theirs.get("/v1/attempts")["data"]} == {"their_sub"}
    assert [row["name"] for row in mine.get("/v1/subscriptions?include=total")["data"]] == ["mine_sub"]
    assert mine.get("/v1/subscriptions?include=total")["total"]["count"] == 1
    for name in ("their_sub", other["id"]):
        answer = mine.call("GET", f"/v1/attempts?subscription={name}")
        assert answer.status == 404, answer.body


def test_attempts_of_anothers_notification_are_none(two, api):
    mine, theirs, _ = two
    ids = {row["notification_id"] for row in theirs.get("/v1/attempts")["data"]}
    own = {row["notification_id"] for row in mine.get("/v1/attempts")["data"]}
    assert len(ids - own) == 1, "one message went to the other only"
    for notification_id in ids - own:
        foreign = mine.call("GET", f"/v1/notifications/{notification_id}/attempts")
        unknown = mine.call("GET", f"/v1/notifications/{uuid.uuid4()}/attempts")
        assert foreign.status == unknown.status
        assert foreign.json.get("data", []) == unknown.json.get("data", []) == []
    # Of one that both got, each sees its own half.
    shared = (ids & own).pop()
    for key, name in ((mine, "mine_sub"), (theirs, "their_sub")):
        rows = key.get(f"/v1/notifications/{shared}/attempts")["data"]
        assert {row["subscription"] for row in rows} == {name}


def test_every_other_route_is_closed(two):
    mine, _, _ = two
    open_ = []
    for method, path in OF_OTHERS:
        path = re.sub(r"\{(\w+)\}", "x", path)
        answer = mine.call(method, path, None if method in ("GET", "DELETE") else {})
        # pii unmasks, and opens nothing by itself.
        if answer.status != 403 or answer.json["type"] != "/problems/scope-insufficient":
            open_.append((method, path, answer.status))
    assert not open_, open_


def test_the_page_of_another_is_no_page_of_mine(two, esp):
    mine, theirs, _ = two
    esp.subscribe(theirs, ["order.completed"], "their_sub2")
    token = theirs.get("/v1/subscriptions?page_size=1")["next_page_token"]
    assert token
    answer = mine.call("GET", f"/v1/subscriptions?page_size=1&page_token={token}")
    assert b"their_sub" not in answer.body


TOPICS = [
    # what the key may, what is asked for, is it given
    (["order.*"], ["order.completed"], True),
    (["order.*"], ["order.*"], True),
    (["order.completed"], ["order.completed"], True),
    (["order.completed", "segment.*"], ["segment.entered", "order.completed"], True),
    (["*"], ["*"], True),
    (["order.completed"], ["order.*"], False),
    (["order.*"], ["*"], False),
    (["order.*"], ["orders.completed"], None),
    (["order.*"], ["segment.entered"], False),
    (["order.*"], ["order.completed", "segment.entered"], False),
    (["segment.entered"], ["segment.left"], False),
]


@pytest.mark.parametrize("most, wanted, given", TOPICS, ids=lambda v: str(v))
def test_only_its_topics(api, esp, most, wanted, given):
    key = key_of(api, "mail", ["subscribe", "pii"], max_topics=most)
    body = {"name": "m", "url": esp.url, "topics": wanted}
    answer = key.call("POST", "/v1/subscriptions", body)
    if given:
        assert answer.status == 201, answer.body
        return
    assert answer.status == (403 if given is False else 422), answer.body
    if given is False:
        assert answer.json["type"] == "/problems/scope-insufficient"
        assert "max_topics" in answer.json["detail"]
        # Nor by a patch of one that it has.
        key.post("/v1/subscriptions", {**body, "topics": [most[0]]}, expect=201)
        answer = key.call("PATCH", "/v1/subscriptions/m", {"topics": wanted})
        assert answer.status == 403, answer.body
        assert key.get("/v1/subscriptions/m")["topics"] == [most[0]]


def test_nothing_of_the_service(api, esp):
    key = key_of(api, "mail", ["subscribe", "pii"])
    for topic in ("ops.*", "ops.subscription_disabled"):
        answer = key.call("POST", "/v1/subscriptions", {"name": "m", "url": esp.url,
                                                        "topics": [topic]})
        assert answer.status in (403, 422), answer.body


def test_a_revoked_key_opens_nothing(api, esp):
    made = api.post("/v1/keys", {"name": "gone", "scopes": ["subscribe", "pii"]}, expect=201)
    key = Api(api.server, made["key"])
    key.get("/v1/subscriptions")
    api.call("DELETE", f"/v1/keys/{made['id']}", expect=204)
    assert key.call("GET", "/v1/subscriptions").status == 401


def test_headers_that_would_be_dropped_are_refused(api, esp):
    """What frames or signs the message, what hides a secret unsealed, what is no header."""
    taken = {"X-Account": "8841", "X-A": "a: b", "Accept": "text/plain"}
    api.post("/v1/subscriptions", {"name": "good", "url": esp.url, "topics": ["*"],
                                   "headers": taken}, expect=201)
    assert api.get("/v1/subscriptions/good")["headers"] == taken
    bad = [("Host", "x"), ("hOsT", "x"), ("Content-Length", "0"), ("Content-Type", "x"),
           ("Content-Encoding", "gzip"), ("Transfer-Encoding", "chunked"), ("Connection", "close"),
           ("Keep-Alive", "x"), ("Expect", "100-continue"), ("Upgrade", "h2c"), ("TE", "x"),
           ("Trailer", "x"), ("User-Agent", "x"), ("Traceparent", "x"), ("Accept-Encoding", "gzip"),
           ("Authorization", "Bearer x"), ("Proxy-Authorization", "x"), ("Proxy-Connection", "x"),
           ("Cookie", "a=b"), ("Webhook-Id", "x"), ("webhook-signature", "v1,x"),
           ("Webhook-Anything", "x"), ("", "x"), ("X A", "x"), ("X-A:", "x"), ("X-A\r\nB", "x"),
           ("X-A", "a\r\nB: c"), ("X-A", "a\nb"), ("X-A", "a\x00b"), ("X-A", ""), ("X-A", "  "),
           ("X-A", "zoë"), ("X" * 65, "x"), ("X-A", "x" * 5000), ("X-A", 7), ("X-A", None),
           ("X-A", ["a"])]
    for name, value in bad:
        answer = api.call("POST", "/v1/subscriptions",
                          {"name": "bad", "url": esp.url, "topics": ["*"], "headers": {name: value}})
        assert answer.status in (400, 422), (name, value, answer.status)
