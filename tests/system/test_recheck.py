"""A filter is asked again before each attempt (contract 9, correctness 19), and the envelope says
until when it is sent (contract 3): what an ESP sees of both."""

import time

import pytest

from shopbell import Receiver, make_workspace, wait_for

GONE = "the filter holds no longer"
UNTOLD = "what the filter asks of the event or transition is not kept any more"


@pytest.fixture
def shop(server, request):
    """A workspace of this test's own."""
    return make_workspace(server, "re_" + request.node.name[5:40].strip("_[]"))


def iso(seconds=0):
    moment = time.time() + seconds
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + ".%03dZ" % (moment % 1 * 1000)


def event(api, kind, customer=None, category=None, **more):
    event.count += 1
    identities = more.pop("identities", {"email": f"{customer}@example.com"})
    api.call("POST", "/v1/events", {
        "id": f"r{event.count}", "type": kind, "occurred_at": iso(), "identities": identities,
        "properties": {"category": category} if category else {}, **more}, 200)


event.count = 0


def view(api, customer=None, category="Shoes", **more):
    event(api, "product.viewed", customer, category, **more)


def say(api, customer, **traits):
    """What the customer says of themselves, in an event that nobody here listens to."""
    event(api, "product.searched", customer, traits=traits)


def rule(api, name, when, kind="segment"):
    api.call("PUT", f"/v1/rules/{name}", {"kind": kind, "when": when}, 201)


def subscribe(api, esp, topics, text, **more):
    return esp.subscribe(api, topics, "esp", filter=text, recheck=True, **more)


def emails(esp):
    with esp.lock:
        return [m[2]["data"]["profile"]["email"].split("@")[0] for m in esp.messages]


def dropped(api):
    """Why, by customer."""
    found = {}
    for attempt in api.get("/v1/attempts?subscription=esp&outcome=dropped")["data"]:
        profile = api.call("GET", f"/v1/profiles/{attempt['profile_id']}").json
        found[(profile.get("email") or "?").split("@")[0]] = attempt["error"]
    return found


def pause(api):
    api.post("/v1/subscriptions/esp/pause", expect=200)


def resume(api):
    api.post("/v1/subscriptions/esp/resume", expect=200)
    wait_for(lambda: api.get("/v1/subscriptions/esp")["stats"]["pending"] == 0, 15,
             what="all is settled")


def test_who_left_the_segment_meanwhile_is_not_told(shop, esp):
    rule(shop, "glance", 'count(product.viewed where category = "Hats" within 2s) >= 1')
    rule(shop, "interest", 'count(product.viewed where category = "Shoes" within 1h) >= 1')
    esp.answer = lambda _headers, _body: (500 if len(esp.messages) <= 2 else 200, {}, b"")
    subscribe(shop, esp, ["segment.entered"],
              '"glance" in segments or transition.rule = "interest" and "interest" in segments')
    view(shop, "gone", "Hats")
    view(shop, "here", "Shoes")
    wait_for(lambda: sorted(emails(esp)) == ["gone", "here"], 5)
    # The first attempts failed; when the second are due, a window has slid past one.
    wait_for(lambda: dropped(shop) == {"gone": GONE}, 10)
    wait_for(lambda: len(emails(esp)) == 3, 10)
    time.sleep(0.3)
    assert emails(esp)[2:] == ["here"]
    assert esp.messages[2][1] in (esp.messages[0][1], esp.messages[1][1]), "the same bytes"
    wait_for(lambda: shop.get("/v1/subscriptions/esp")["stats"]["pending"] == 0, 5)
    # The log, the list and explain say the same.
    (attempt,) = shop.get("/v1/attempts?subscription=esp&outcome=dropped")["data"]
    assert attempt["number"] == 2 and attempt["response"] is None and attempt["next_at"] is None
    path = f"/v1/notifications/{attempt['notification_id']}"
    tried = shop.get(path + "/attempts")["data"]
    assert sorted((a["number"], a["outcome"]) for a in tried) == [(1, "retry"), (2, "dropped")]
    (told,) = shop.get(path + "/explain")["subscriptions"]
    gates = {g["gate"]: (g["passed"], g["why"]) for g in told["gates"]}
    assert gates["filter"] == (True, "its filter was true")
    assert gates["recheck"] == (False, GONE)
    other = next(a for a in shop.get("/v1/attempts?subscription=esp&outcome=delivered")["data"])
    (told,) = shop.get(f"/v1/notifications/{other['notification_id']}/explain")["subscriptions"]
    assert {g["gate"]: g["passed"] for g in told["gates"]}["recheck"]


def test_the_event_stays_what_it_was(shop, esp, cluster):
    subscribe(shop, esp, ["product.viewed"],
              'event.category = "Shoes" and event.source is set and traits.mood = "good"')
    for customer in ("stays", "changes", "leaves", "lost"):
        say(shop, customer, mood="good")
    pause(shop)
    for customer in ("stays", "changes", "leaves", "lost"):
        view(shop, customer)
        view(shop, customer, "Hats")  # let in by no filter
    say(shop, "changes", mood="bad")
    of = ("(SELECT id FROM profile WHERE email = %s AND workspace_id ="
          " (SELECT id FROM workspace WHERE name = %s))")
    cluster.query("DELETE FROM interaction WHERE type = 'product.viewed' AND origin_id IN " + of,
                  "lost@example.com", shop.workspace)
    cluster.query("DELETE FROM profile WHERE id IN " + of, "leaves@example.com", shop.workspace)
    resume(shop)
    assert emails(esp) == ["stays"]
    assert dropped(shop) == {"changes": GONE, "lost": UNTOLD, "?": "the customer was erased"}


def test_what_cannot_change_is_not_asked_again(shop, esp, cluster):
    subscribe(shop, esp, ["product.viewed"], 'event.category = "Shoes"')
    pause(shop)
    view(shop, "anybody")
    cluster.query("DELETE FROM interaction WHERE workspace_id ="
                  " (SELECT id FROM workspace WHERE name = %s)", shop.workspace)
    resume(shop)
    assert emails(esp) == ["anybody"] and dropped(shop) == {}


def test_an_order_is_asked_about_as_it_stands(shop, esp):
    subscribe(shop, esp, ["order.completed"], "event.net >= 100 and orders.count >= 1")
    pause(shop)
    for customer in ("keeps", "returns"):
        event(shop, "order.completed", customer, properties={
            "order_id": customer, "total": 150, "currency": "EUR", "products": []})
    event(shop, "order.refunded", "returns", properties={
        "order_id": "returns", "refund_id": "1", "total": 80, "currency": "EUR"})
    resume(shop)
    assert emails(esp) == ["keeps"] and dropped(shop) == {"returns": GONE}


def test_the_transition_stays_what_it_was(shop, esp):
    rule(shop, "vip", 'traits.level = "gold"', "tag")
    subscribe(shop, esp, ["tag.*", "lifecycle.changed"],
              'transition.kind = "tag" and transition.to is set and traits.mood = "good"'
              ' or transition.rule = "lifecycle" and transition.from is not set'
              ' and traits.mood = "good"')
    for customer in ("stays", "changes"):
        say(shop, customer, mood="bad")  # here: their first lifecycle, which is let in by none
    pause(shop)
    for customer in ("stays", "changes", "new"):
        say(shop, customer, mood="good", level="gold")
        say(shop, customer, level="none")  # the tag is taken off: let in by none
    say(shop, "changes", mood="bad")
    resume(shop)
    told = sorted((m[2]["type"], m[2]["data"]["profile"]["email"].split("@")[0])
                  for m in esp.messages)
    assert told == [("lifecycle.changed", "new"), ("tag.added", "new"), ("tag.added", "stays")]
    assert dropped(shop) == {"changes": GONE}


def test_the_survivor_is_asked(shop, esp):
    subscribe(shop, esp, ["product.viewed"],
              'event.category = "Shoes" and traits.mood is not set')
    say(shop, "cross", mood="bad")
    say(shop, "calm")
    pause(shop)
    for page in ("p1", "p2"):
        view(shop, identities={"anonymous_id": page})
    for page, customer in (("p1", "cross"), ("p2", "calm")):
        event(shop, "product.searched", identities={"anonymous_id": page,
                                                    "email": f"{customer}@example.com"})
    resume(shop)
    (message,) = esp.messages  # about the visitor that he was
    assert message[2]["data"]["profile"]["email"] is None
    merged = shop.get(f"/v1/profiles/{message[2]['data']['profile']['id']}")
    assert merged["email"] == "calm@example.com" and merged["requested_id"]
    assert dropped(shop) == {"cross": GONE}


def test_the_filter_of_now_is_asked(shop, esp):
    subscribe(shop, esp, ["product.viewed"], "identified")
    pause(shop)
    view(shop, "walker", "Shoes")
    view(shop, "hatter", "Hats")
    shop.call("PATCH", "/v1/subscriptions/esp",
              {"filter": 'identified and event.category = "Hats"'}, 200)
    resume(shop)
    assert emails(esp) == ["hatter"] and dropped(shop) == {"walker": GONE}
    pause(shop)
    view(shop, "hatter", "Hats")
    say(shop, "hatter", mood="bad")
    shop.call("PATCH", "/v1/subscriptions/esp",
              {"filter": "traits.mood is not set", "recheck": False}, 200)
    resume(shop)
    assert emails(esp) == ["hatter", "hatter"], "not asked any more"


def test_a_rule_of_now_is_asked(shop, esp):
    rule(shop, "vip", "orders.count >= 0", "tag")
    subscribe(shop, esp, ["product.viewed"], '"vip" in tags')
    pause(shop)
    view(shop, "jane")
    shop.call("PUT", "/v1/rules/vip", {"kind": "tag", "when": "orders.count >= 1"}, 200)
    resume(shop)
    assert emails(esp) == [] and dropped(shop) == {"jane": GONE}


def test_a_member_leaves_its_batch(shop, esp):
    subscribe(shop, esp, ["product.viewed"], "traits.mood is not set",
              batch={"max": 3, "wait": "1d"}, ordering="profile")
    pause(shop)
    for customer in ("a", "b", "c"):
        view(shop, customer)
    say(shop, "b", mood="bad")
    shop.post("/v1/subscriptions/esp/resume", expect=200)
    wait_for(lambda: dropped(shop) == {"b": GONE}, 10)
    assert not esp.messages, "two are free for another batch"
    view(shop, "d")
    wait_for(lambda: esp.messages, 10)
    (batch,) = [m[2] for m in esp.messages]
    members = batch["data"]["notifications"]
    assert sorted(m["data"]["profile"]["email"][0] for m in members) == ["a", "c", "d"]


def events(api, kind, count, properties, **more):
    for start in range(0, count, 100):
        api.call("POST", "/v1/events", [{
            "id": f"{kind}{n}", "type": kind, "occurred_at": iso(),
            "identities": {"email": f"c{n % 40}@example.com"}, "properties": properties, **more}
            for n in range(start, min(start + 100, count))], 200)


def test_more_than_fits_is_asked_in_parts(shop, esp):
    """A thousand questions about large customers; failing for want of room, it would fail for ever."""
    subscribe(shop, esp, ["custom.*"], "traits.mood is not set", batch={"max": 1000, "wait": "1d"},
              fields=["event.mark"])
    events(shop, "product.searched", 40, {},
           traits={f"t{n}": f"{n}" * 100 for n in range(60)})
    pause(shop)
    events(shop, "custom.small", 1000, {"mark": 1})
    shop.post("/v1/subscriptions/esp/resume", expect=200)
    wait_for(lambda: sum(m[2]["data"]["count"] for m in esp.messages) == 1000, 20)
    assert dropped(shop) == {}


def test_a_replay_is_asked_and_a_test_is_not(shop, esp):
    subscribe(shop, esp, ["product.viewed"], 'traits.mood is not set')
    pause(shop)
    view(shop, "jane")
    say(shop, "jane", mood="bad")
    resume(shop)
    assert dropped(shop) == {"jane": GONE}
    answer = shop.post("/v1/subscriptions/esp/test", {"topic": "product.viewed"}, expect=200)
    assert answer["delivered"] and len(esp.messages) == 1
    (attempt,) = shop.get("/v1/attempts?subscription=esp&outcome=dropped")["data"]
    path = f"/v1/notifications/{attempt['notification_id']}/replay"
    shop.post(path, expect=202)
    wait_for(lambda: len(shop.get("/v1/attempts?subscription=esp&outcome=dropped")["data"]) == 2,
             10)
    assert len(esp.messages) == 1
    say(shop, "jane", mood=None)
    shop.post(path, expect=202)
    wait_for(lambda: len(esp.messages) == 2, 10)
    assert emails(esp)[1] == "jane"


def test_consent_and_filter_are_asked_together(shop, esp):
    subscribe(shop, esp, ["product.viewed"], "traits.mood is not set", channel="email")
    pause(shop)
    for customer in ("yes", "no", "cross"):
        view(shop, customer, consent={"email": "subscribed" if customer != "no" else "never"})
    say(shop, "cross", mood="bad")
    resume(shop)
    assert emails(esp) == ["yes"]
    assert dropped(shop) == {"no": "the customer never consented to the channel", "cross": GONE}


# --- expires_at -------------------------------------------------------------------


def test_the_envelope_says_until_when(shop, esp, cluster):
    other = Receiver()
    esp.answer = lambda _headers, _body: (500 if len(esp.messages) == 1 else 200, {}, b"")
    esp.subscribe(shop, ["product.viewed"], "esp", max_age="2h")
    other.subscribe(shop, ["product.viewed"], "other")
    view(shop, "jane")
    wait_for(lambda: esp.messages and other.messages, 5)
    body, plain = esp.messages[0][2], other.messages[0][2]
    ((created, kept),) = cluster.query(
        "SELECT notification_created_at, expires_at FROM delivery WHERE notification_id = %s"
        " AND expires_at IS NOT NULL",
        body["id"])
    assert (kept - created).total_seconds() == 7200
    assert body["expires_at"] == kept.strftime("%Y-%m-%dT%H:%M:%S.") + \
        "%03dZ" % (kept.microsecond // 1000)
    assert plain["expires_at"] is None
    assert {**body, "expires_at": None} == plain, "but for that it is the same message"
    # A retry is the same bytes, whatever was changed meanwhile, and sent no longer than it says.
    shop.call("PATCH", "/v1/subscriptions/esp", {"max_age": "72h"}, 200)
    wait_for(lambda: len(esp.messages) == 2, 10)
    assert esp.messages[1][1] == esp.messages[0][1]
    view(shop, "jane", "Hats")
    wait_for(lambda: len(esp.messages) == 3, 5)
    assert esp.messages[2][2]["expires_at"] > body["expires_at"]
    test = shop.post("/v1/subscriptions/esp/test", {"topic": "product.viewed"}, expect=200)
    assert test["delivered"] and esp.messages[3][2]["expires_at"] is not None
    assert esp.bad_signatures == other.bad_signatures == 0
    other.close()


def test_what_it_said_outlives_no_change(shop, esp, cluster):
    """A longer max_age does not make a lie of what was frozen."""
    esp.subscribe(shop, ["product.viewed"], "esp", max_age="1m")
    pause(shop)
    view(shop, "jane")
    cluster.query("UPDATE delivery SET expires_at = now() - interval '1 second'"
                  " WHERE workspace_id = (SELECT id FROM workspace WHERE name = %s)",
                  shop.workspace)
    shop.call("PATCH", "/v1/subscriptions/esp", {"max_age": None}, 200)
    resume(shop)
    assert not esp.messages
    (attempt,) = shop.get("/v1/attempts?subscription=esp")["data"]
    assert (attempt["outcome"], attempt["error"]) == ("gave_up", "expired before it could be sent")


def test_other_forms_say_it_where_they_are_told_to(shop, esp):
    esp.subscribe(shop, ["product.viewed"], "esp", max_age="2h", format="cloudevents",
                  map={"until": "{notification.expires_at}"})
    view(shop, "jane")
    wait_for(lambda: esp.messages, 5)
    message = esp.messages[0][2]
    assert message["specversion"] == "1.0" and "expires_at" not in message
    assert message["data"]["until"] > iso(7000)
