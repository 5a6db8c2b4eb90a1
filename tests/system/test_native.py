"""ESPs in their own formats, end to end: a shop's webhook in, an ESP's event call out."""

import hashlib
import json

import pytest
from native_esp import FORMATS, NativeEsp
from shopbell import Api, shopify_order, wait_for


@pytest.fixture
def esps():
    made = []

    def make(name):
        made.append(NativeEsp(name))
        return made[-1]
    yield make
    for esp in made:
        esp.close()


def attempts(api, name):
    return api.get(f"/v1/attempts?subscription={name}")["data"]


def refused(api, body, pointer, words, status=422):
    answer = api.call("POST", "/v1/subscriptions", body, expect=status).json
    assert answer["errors"][0]["pointer"] == pointer, answer
    assert words in answer["detail"], answer


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_esp_gets_its_own_call(api, shopify, esps, name):
    esp = esps(name)
    made = esp.subscribe(api)
    assert made["url"].startswith(esp.base_url) and made["auth"] == {"set": True}
    assert "secret" not in made and esp.key not in json.dumps(made)
    assert made["verification"]["how"] == ["call"]
    probe = esp.calls[0]
    assert probe[1] == esp.probe_path and probe[2][esp.shown[0]] == esp.shown[1]

    shopify.send("orders/create", shopify_order(1, 1, "Jane@Example.com"))
    path, headers, body = esp.wait_events(1)[0]
    assert path.startswith(esp.events_path)
    assert headers[esp.shown[0]] == esp.shown[1]
    assert not [h for h in headers if h.startswith("webhook-") or h == "traceparent"]
    kind = "application/vnd.api+json" if name == "klaviyo" else "application/json"
    assert headers["content-type"] == kind
    assert "jane@example.com" in json.dumps(body) or name == "mailchimp"
    assert "order" in json.dumps(body)
    attempt = wait_for(lambda: attempts(api, name), 5)[0]
    assert attempt["outcome"] == "delivered" and attempt["response"]["status"] == 202
    assert esp.key not in json.dumps(attempt)


def test_klaviyo(api, shopify, esps):
    klaviyo = esps("klaviyo")
    made = klaviyo.subscribe(api, topics=["order.completed", "tag.added", "lifecycle.changed"],
                             map={"metric": "Shop: {notification.type}",
                                  "greeting": "Dear {profile.first_name}"})
    assert made["rate_limit"] == {"count": 58, "per": "1s"}
    assert made["concurrency"] == 8
    own = {"rate_limit": {"count": 5, "per": "1s"}, "concurrency": 2}
    changed = api.call("PATCH", "/v1/subscriptions/klaviyo", own, expect=200).json
    assert {name: changed[name] for name in own} == own
    shopify.send("orders/create", shopify_order(7, 7, "zoe@example.com", total="132.50"))
    klaviyo.wait_events(1)
    _, headers, body = [e for e in klaviyo.events() if "order.completed" in json.dumps(e[2])][0]
    assert headers["revision"] == "2026-07-15"
    attributes = body["data"]["attributes"]
    assert attributes["metric"]["data"]["attributes"] == {"name": "Shop: order.completed"}
    assert attributes["profile"]["data"]["attributes"]["email"] == "zoe@example.com"
    assert attributes["value"] == 132.5 and attributes["value_currency"] == "EUR"
    assert attributes["properties"]["greeting"] == "Dear Jane"
    assert attributes["properties"]["shopbell_notification_id"] == attributes["unique_id"]
    # What somebody became by buying is not worth the purchase once more.
    assert all("value" not in e[2]["data"]["attributes"] for e in klaviyo.events()
               if "order.completed" not in json.dumps(e[2]))
    # Our id is the one under which it stands with us.
    assert api.get(f"/v1/notifications/{attributes['unique_id']}")["type"] == "order.completed"


def test_mailchimp_has_a_path_for_each_member(api, shopify, esps):
    mailchimp = esps("mailchimp")
    mailchimp.subscribe(api)
    for number, email in enumerate(["one@example.com", "TWO@example.com"], 1):
        shopify.send("orders/create", shopify_order(number, number, email))
    paths = {e[0] for e in mailchimp.wait_events(2)}
    assert paths == {
        "/3.0/lists/a1b2c3d4e5/members/" + hashlib.md5(email).hexdigest() + "/events"
        for email in (b"one@example.com", b"two@example.com")}
    for _, _, body in mailchimp.events():
        assert body["name"] == "order_completed"
        assert all(isinstance(value, str) for value in body["properties"].values())


def test_who_has_no_address_is_not_sent_and_it_is_told(api, shopify, esps):
    mailchimp = esps("mailchimp")
    mailchimp.subscribe(api)
    shopify.send("orders/create", shopify_order(5, 5, None))
    attempt = wait_for(lambda: attempts(api, "mailchimp"), 10)[0]
    assert attempt["outcome"] == "gave_up"
    assert "Mailchimp finds people by email" in attempt["error"]
    assert mailchimp.events() == []


def test_what_an_esp_calls_malformed_is_over(api, shopify, esps):
    klaviyo = esps("klaviyo")
    klaviyo.subscribe(api)
    klaviyo.answer = lambda *_: (400, {}, b'{"errors":[{"detail":"no"}]}')
    shopify.send("orders/create", shopify_order(1, 1, "jane@example.com"))
    attempt = wait_for(lambda: attempts(api, "klaviyo"), 10)[0]
    assert attempt["outcome"] == "gave_up" and attempt["next_at"] is None
    assert attempt["response"]["status"] == 400
    assert api.get("/v1/subscriptions/klaviyo")["stats"]["pending"] == 0
    klaviyo.answer = None
    api.post(f"/v1/notifications/{attempt['notification_id']}/replay", expect=202)
    first, second = klaviyo.wait_events(2)
    assert first[2] == second[2], "and can be sent again"


@pytest.mark.parametrize("status,more", [(429, {"Retry-After": "1"}), (500, {}), (401, {}),
                                         (403, {})])
def test_what_may_pass_is_tried_again(api, shopify, esps, status, more):
    klaviyo = esps("klaviyo")
    klaviyo.subscribe(api)
    answers = [(status, more, b"{}")]
    klaviyo.answer = lambda *_: answers.pop() if answers else (202, {}, b"")
    shopify.send("orders/create", shopify_order(1, 1, "jane@example.com"))
    first, second = klaviyo.wait_events(2, 20)
    assert first[2] == second[2], "the same bytes, the same id"
    wait_for(lambda: [a["outcome"] for a in attempts(api, "klaviyo")] == ["delivered", "retry"], 5)


def test_a_key_that_is_not_known(api, esps):
    klaviyo = esps("klaviyo")
    body = klaviyo.body()
    body["auth"] = "pk_other"
    api.post("/v1/subscriptions", body, expect=201)
    answer = api.call("POST", "/v1/subscriptions/klaviyo/verify", {}, expect=422).json
    assert answer["detail"] == "Klaviyo answered 401: it does not know the key in auth"
    assert api.get("/v1/subscriptions/klaviyo")["status"] == "pending"
    api.call("PATCH", "/v1/subscriptions/klaviyo", {"auth": klaviyo.key}, expect=200)
    api.post("/v1/subscriptions/klaviyo/verify", expect=200)
    assert api.get("/v1/subscriptions/klaviyo")["status"] == "active"
    klaviyo.answer = lambda *_: (403, {}, b"{}")
    answer = api.call("POST", "/v1/subscriptions/klaviyo/verify", {}, expect=422).json
    assert "accounts:read" in answer["detail"]
    klaviyo.answer = lambda *_: (503, {}, b"")
    answer = api.call("POST", "/v1/subscriptions/klaviyo/verify", {}, expect=422).json
    assert "says nothing of the key" in answer["detail"]


@pytest.mark.parametrize("name", ["braze", "customerio"])
def test_a_list_in_one_call(api, shopify, esps, name):
    """One call for several, its answer by places; who cannot be found is no part of it."""
    esp = esps(name)
    is_braze = name == "braze"

    def answer(_path, _headers, body):
        places = [i for i, e in enumerate(body["events" if is_braze else "batch"])
                  if "odd@example.com" in json.dumps(e)]
        errors = [{"index": i, "input_array": "events", "type": "odd"} if is_braze
                  else {"batch_index": i, "reason": "invalid", "message": "odd"} for i in places]
        return (201 if is_braze else 207), {}, json.dumps({"errors": errors}).encode()

    esp.subscribe(api, batch={"max": 3, "wait": "1s"}, settings={"identifier": "email"})
    esp.answer = answer
    for number, email in enumerate(["a@example.com", "odd@example.com", None, "b@example.com"]):
        shopify.send("orders/create", shopify_order(number + 1, number + 1, email))
    wait_for(lambda: len(attempts(api, name)) == 4, 15, 0.05)
    calls = esp.events()
    assert {c[0] for c in calls} == {"/users/track" if is_braze else "/api/v2/batch"}
    told = [e for c in calls for e in c[2]["events" if is_braze else "batch"]]
    assert len(told) == 3 and len(calls) < 3
    ended = sorted(a["error"] for a in attempts(api, name) if a["outcome"] == "gave_up")
    assert len(ended) == 2 and ended[0].startswith("not sent: ") and ended[1] == "odd"
    assert len([a for a in attempts(api, name) if a["outcome"] == "delivered"]) == 2
    assert api.get(f"/v1/deliveries?subscription={name}")["data"] == []


def test_a_new_key_is_used_at_once(api, shopify, esps):
    brevo = esps("brevo")
    brevo.subscribe(api)
    brevo.shown = ("api-key", "xkeysib-2")
    api.call("PATCH", "/v1/subscriptions/brevo", {"auth": "xkeysib-2"}, expect=200)
    shopify.send("orders/create", shopify_order(1, 1, "jane@example.com"))
    wait_for(lambda: [a for a in attempts(api, "brevo") if a["outcome"] == "delivered"], 15)


def test_keys_are_sealed(api, esps, cluster):
    klaviyo = esps("klaviyo")
    made = klaviyo.subscribe(api)
    rows = cluster.query("SELECT sealed FROM subscription_secret WHERE subscription_id = %s",
                         made["id"])
    assert len(rows) == 1 and klaviyo.key.encode() not in bytes(rows[0][0])
    assert klaviyo.key not in api.server.log()


def test_what_cannot_be_meant(api, esps):
    klaviyo, braze, mailchimp = esps("klaviyo"), esps("braze"), esps("mailchimp")
    refused(api, {**klaviyo.body(), "url": "https://a.klaviyo.com/api/events"}, "#/url",
            "made from format and settings")
    refused(api, {**klaviyo.body(), "auth": None}, "#/auth", "needs a key")
    refused(api, {**klaviyo.body(), "auth": "two words"}, "#/auth", "printable ASCII")
    refused(api, {**klaviyo.body(), "batch": {"max": 10}}, "#/batch", "once for each")
    refused(api, {**braze.body(), "batch": {"max": 76}}, "#/batch", "at most 75")
    refused(api, {"name": "own", "url": "https://a.example", "topics": ["order.*"],
                  "format": "cloudevents", "batch": {"max": 10}}, "#/batch", "takes lists")
    refused(api, klaviyo.body(settings={"revision": "newest"}), "#/settings/revision", "a date")
    refused(api, klaviyo.body(settings={"revison": "2026-07-15"}), "#/settings/revison",
            "revision")
    refused(api, klaviyo.body(settings={"base_url": "ftp://x"}), "#/url", "")
    refused(api, braze.body(settings={"cluster": None}), "#/settings/cluster", "is needed")
    refused(api, braze.body(settings={"cluster": "evil.example/"}), "#/settings/cluster", "fra-02")
    refused(api, mailchimp.body(settings={"list": "../x"}), "#/settings/list", "audience")
    refused(api, klaviyo.body(topics=["ops.source_silent"]), "#/topics", "events of customers")
    refused(api, klaviyo.body(map={"metric": "{segment.titel}"}), "#/map/metric", "title")
    refused(api, {"name": "own", "url": klaviyo.base_url, "topics": ["*"], "auth": "k"}, "#/auth",
            "needs none")
    refused(api, {"name": "own", "url": klaviyo.base_url, "topics": ["*"],
                  "settings": {"list": "x"}}, "#/settings", "ESPs")
    assert api.get("/v1/subscriptions")["data"] == []


def test_who_may_not_see_people_sends_none_to_an_esp(api, esps):
    made = api.post("/v1/keys", {"name": "few", "scopes": ["subscribe"]}, expect=201)
    answer = Api(api.server, made["key"]).call("POST", "/v1/subscriptions",
                                               esps("klaviyo").body(), expect=403).json
    assert answer["type"] == "/problems/scope-insufficient" and "pii" in answer["detail"]


def test_a_subscription_keeps_its_esp(api, esp, esps):
    """Its key would be shown to another, and what was frozen for it sent there."""
    klaviyo, brevo = esps("klaviyo"), esps("brevo")
    klaviyo.subscribe(api)
    for change in ({"format": "brevo", "auth": brevo.key,
                    "settings": {"base_url": brevo.base_url}},
                   {"format": "shopbell", "url": esp.url, "settings": None, "rate_limit": None}):
        answer = api.call("PATCH", "/v1/subscriptions/klaviyo", change, expect=422)
        assert "keeps its ESP" in answer.json["detail"]
    esp.subscribe(api, ["order.completed"])
    answer = api.call("PATCH", "/v1/subscriptions/mailhouse",
                      {"format": "klaviyo", "url": None, "auth": "k"}, expect=422)
    assert "keeps its ESP" in answer.json["detail"]
    assert brevo.calls == []


def test_other_settings_are_verified_anew(api, esps):
    mailchimp = esps("mailchimp")
    mailchimp.subscribe(api)
    shown = api.call("PATCH", "/v1/subscriptions/mailchimp", {"settings": {"list": "ffff"}},
                     expect=200).json
    assert shown["status"] == "pending" and shown["url"].endswith("/3.0/lists/ffff/members")
    api.call("PATCH", "/v1/subscriptions/mailchimp", {"title": "no other url"}, expect=200)
    mailchimp.answer = lambda *_: (404, {}, b"{}")
    answer = api.call("POST", "/v1/subscriptions/mailchimp/verify", {}, expect=422).json
    assert "no audience" in answer["detail"]


def test_a_test_message(api, esps):
    mailchimp = esps("mailchimp")
    mailchimp.subscribe(api)
    done = api.post("/v1/subscriptions/mailchimp/test", {"topic": "lifecycle.changed"}, expect=200)
    assert done["delivered"] is True
    path, _, body = mailchimp.events()[0]
    audience = api.get("/v1/subscriptions/mailchimp")["settings"]["list"]
    assert f"/lists/{audience}/members/" in path
    assert done["request"]["url"].endswith(path) and path.endswith("/events")
    assert body["properties"]["shopbell_test"] == "true"
    assert body["properties"]["shopbell_notification_id"] == done["notification_id"]
    answer = api.call("POST", "/v1/subscriptions/mailchimp/rotate-secret", {}, expect=422).json
    assert "nothing is signed" in answer["detail"]
