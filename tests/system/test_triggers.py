"""Triggers: the sentences marketers say (contract 11), told by what arrives.

Each story waits for what rang, and for the count of what did not: a cause has one
outcome, so when all are counted nothing more can come.
"""

import time

import pytest
import shopbell
from shopbell import Server, wait_for
from test_correctness import (Brand, at_ms, brand, event, in_background, iso, now_ms,
                              order_event)
from test_engine_traps import hydrated, instant_ms, put, view

assert brand  # a fixture


def trigger(brand, name, expect=(200, 201), **body):
    answer = brand.api.call("PUT", f"/v1/triggers/{name}", {"mode": "live", **body})
    assert answer.status in expect, answer.body
    return answer.json


def outcomes(brand, name):
    counts = brand.api.get(f"/v1/triggers/{name}/outcomes")
    return {k: v for k, v in counts.items() if v and not isinstance(v, dict)}


def counted(brand, name, **expected):
    wait_for(lambda: outcomes(brand, name) == expected, 10,
             what=f"{expected} of {name}; have {outcomes(brand, name)}")


def who(esp, kind):
    return [m["data"]["profile"]["email"] for m in esp.of_type(kind)]


def order(number, email, total="50.00", **more):
    return order_event(f"e{number}", email, number, total, **more)


def subscribed(number, email):
    return event(number, email, "consent.updated", consent={"email": "subscribed"})


# --- the definition ---------------------------------------------------------------

FAULTS = [
    ({"when": {"event": "order.complete"}}, "#/when/event", 'did you mean "order.completed"?'),
    ({"when": {"event": "product.updated"}}, "#/when/event", "about the world"),
    ({"when": {"universal": "weather.chnged"}}, "#/when/universal",
     'did you mean "weather.changed"?'),
    ({"when": {"universal": "product.back_in_stock"}, "audience": "interest.wating"}, "#/audience",
     "interest.waiting"),
    ({"when": {"universal": "product.back_in_stock"}, "if": "product.prise > 1"}, "#/if",
     "product.price"),
    ({"when": {"schedule": {"every": "day"}}}, "#/when/schedule", "not available yet"),
    ({"when": {"enters": "at_rsk"}}, "#/when/enters", 'did you mean "at_risk"?'),
    ({"when": {"enters": "lifecycle"}}, "#/when/enters", "is a lifecycle"),
    ({"when": {"changes": "at_risk"}}, "#/when/changes", "is a tag"),
    ({"when": {"changes": "lifecycle", "to": "lapse"}}, "#/when/to", 'did you mean "lapsed"?'),
    ({"when": {"enters": "at_risk", "to": "x"}}, "#/when/to", "said of \"changes\""),
    ({"when": {"event": "order.completed", "enters": "at_risk"}}, "#/when", "one of"),
    ({"when": {}}, "#/when", "one of"),
    ({"when": "order.completed"}, "#/when", "object"),
    ({"when": {"evnt": "order.completed"}}, "#/when/evnt", 'did you mean "event"?'),
    ({"if": "orders.cuont > 1"}, "#/if", "orders.count"),
    ({"if": "interest.viewed_at is set"}, "#/if", "a \"wait\""),
    ({"audience": "true"}, "#/audience", "universal"),
    ({"recheck": True, "when": {"changes": "lifecycle"}, "if": 'transition.to = "lapsed"'},
     "#/recheck", "transition.*"),
    ({"fields": "thin"}, "#/fields", "not available yet"),
    ({"topic": "order.completed"}, "#/topic", "not free"),
    ({"topic": "trigger.other"}, "#/topic", "not free"),
    ({"topic": "ops.mine"}, "#/topic", "not free"),
    ({"topic": "Offer.Made"}, "#/topic", "not free"),
    ({"channel": "emial"}, "#/channel", 'did you mean "email"?'),
    ({"cooldown": {"per": "profile"}}, "#/cooldown/for", "needed"),
    ({"cooldown": {"for": "1d", "per": "prodct"}}, "#/cooldown/per", 'did you mean "product"?'),
    ({"cap_per_profile": {"count": 51, "per": "1d"}}, "#/cap_per_profile/count", "1 to 50"),
    ({"cap_total": {"count": 5}}, "#/cap_total/per", "needed"),
    ({"holdout": 0.6}, "#/holdout", "0 to 0.5"),
    ({"priority": 1001}, "#/priority", "1000"),
    ({"expires": "31d"}, "#/expires", "30d"),
    ({"quiet_hours": {"from": "9pm", "to": "08:00"}}, "#/quiet_hours/from", "21:30"),
    ({"quiet_hours": {"from": "21:00", "to": "08:00", "zone": "Paris"}}, "#/quiet_hours/zone",
     "IANA"),
    ({"quiet_hours": {"from": "08:00", "to": "08:00"}}, "#/quiet_hours/to", "none"),
    ({"mode": "on"}, "#/mode", "draft, test, live"),
    ({"onse": True}, "#/onse", 'did you mean "once"?'),
]


@pytest.fixture(scope="module")
def shared(cluster, server):
    return Brand(cluster, server)


@pytest.mark.parametrize("more, pointer, words", FAULTS, ids=[str(f[0]) for f in FAULTS])
def test_a_fault_says_where_and_what(shared, more, pointer, words):
    body = {"when": {"event": "order.completed"}, **more}
    problem = shared.api.call("PUT", "/v1/triggers/faulty", body, 422).json
    assert problem["errors"][0]["pointer"] == pointer, problem
    assert words in problem["detail"], problem


def test_what_was_put_is_shown_and_may_come_back(brand):
    body = {"title": "Tenth order", "topic": "offer.tenth", "when": {"event": "order.completed"},
            "if": "orders.count >= 10", "channel": "email", "once": True,
            "cooldown": {"for": "7d", "per": "product"}, "cap_per_profile": {"count": 1, "per": "1d"},
            "cap_total": {"count": 20000, "per": "1h"}, "priority": 5, "expires": "1d",
            "quiet_hours": {"from": "21:00", "to": "08:30", "zone": "Europe/Paris", "then": "drop"},
            "holdout": 0.05, "require_history": True, "mode": "test", "recheck": True}
    made = brand.api.call("PUT", "/v1/triggers/tenth", body, 201)
    assert {k: made.json[k] for k in body} == body
    assert made.headers["location"] == "/v1/triggers/tenth" and made.headers["etag"] == '"1"'
    shown = brand.api.get("/v1/triggers/tenth")
    assert shown == made.json
    again = brand.api.call("PUT", "/v1/triggers/tenth", shown, 200, headers={"If-Match": '"1"'})
    assert again.json["version"] == 2
    brand.api.call("PUT", "/v1/triggers/tenth", shown, 412, headers={"If-Match": '"1"'})
    assert brand.api.get(f"/v1/triggers/{shown['id']}")["name"] == "tenth"
    assert [t["name"] for t in brand.api.get("/v1/triggers?page_size=1")["data"]] == ["tenth"]
    paused = brand.api.post("/v1/triggers/tenth/pause", expect=200)
    assert paused["paused_at"] and brand.api.post("/v1/triggers/tenth/resume")["paused_at"] is None
    brand.api.call("DELETE", "/v1/triggers/tenth", expect=204)
    brand.api.get("/v1/triggers/tenth", expect=404)


def test_all_triggers_of_a_topic_have_the_same_kind_of_when(brand):
    trigger(brand, "one", topic="offer.made", when={"event": "order.completed"})
    trigger(brand, "two", topic="offer.made", when={"event": "product.viewed"})
    problem = trigger(brand, "three", (422,), topic="offer.made", when={"enters": "at_risk"})
    assert "same kind of when" in problem["detail"]
    made = brand.api.post("/v1/subscriptions", {"name": "e", "url": "http://127.0.0.1:9999/x",
                                                "topics": ["offer.made", "trigger.later"]},
                          expect=201)
    assert made["topics"] == ["offer.made", "trigger.later"]
    problem = brand.api.post("/v1/subscriptions", {"name": "f", "url": "http://127.0.0.1:9999/x",
                                                   "topics": ["offer.mad"]}, expect=422)
    assert "offer.mad" in problem["detail"]


def test_a_rule_that_a_trigger_names_stays(brand):
    put(brand, "keen", "orders.count >= 3")
    trigger(brand, "entering", when={"enters": "keen"})
    put(brand, "vip", "orders.count >= 9", "tag")
    trigger(brand, "asking", when={"event": "order.completed"}, **{"if": '"vip" in tags'})
    for rule, user in (("keen", "trigger:entering"), ("vip", "trigger:asking")):
        assert brand.api.get(f"/v1/rules/{rule}")["used_by"] == [user]
        problem = brand.api.call("DELETE", f"/v1/rules/{rule}", expect=409).json
        assert problem["type"].endswith("rule-in-use")
        assert problem["errors"][0]["used_by"] == user
    brand.api.call("DELETE", "/v1/triggers/entering", expect=204)
    brand.api.call("DELETE", "/v1/rules/keen", expect=204)


# --- what rings --------------------------------------------------------------------

def test_post_purchase_by_tier_counts_the_very_order(brand, esp):
    brand.api.call("PUT", "/v1/rules/basket", {"kind": "tier", "cases": [
        {"value": "high", "when": "orders.average_value >= 100"},
        {"value": "low", "when": "orders.count >= 1"}]}, 200)
    esp.subscribe(brand.api, ["trigger.*"])
    trigger(brand, "post_purchase", title="After the purchase", when={"event": "order.completed"},
            channel="email", cooldown={"for": "1d", "per": "profile"},
            **{"if": "tiers.basket is set"})
    brand.send([subscribed("c1", "ann@example.com"),
                order("o1", "ann@example.com", "124.90"),
                order("o2", "ann@example.com", "99.00"),
                order("o3", "bob@example.com", "12.00")])
    counted(brand, "post_purchase", notified=1, cooled_down=1, no_consent=1)
    esp.wait_types(["trigger.post_purchase"])
    message, = esp.of_type("trigger.post_purchase")
    data = message["data"]
    assert data["trigger"] == {"name": "post_purchase", "title": "After the purchase", "version": 1}
    assert data["profile"]["tiers"]["basket"] == "high" and data["profile"]["orders"]["count"] == 1
    assert data["event"]["type"] == "order.completed"
    assert data["event"]["properties"]["order_id"] == "o1"
    assert message["cause"]["kind"] == "event" and message["test"] is False
    assert esp.bad_signatures == 0


def test_tenth_order_once_survives_a_merge_and_a_refund(brand, esp):
    esp.subscribe(brand.api, ["trigger.tenth"])
    trigger(brand, "tenth", when={"event": "order.completed"}, once=True,
            **{"if": "orders.count >= 3"})
    brand.send([order(n, "ann@example.com") for n in range(1, 4)])
    brand.send([event("r", "ann@example.com", "order.refunded", properties={
        "order_id": "1", "refund_id": "r1", "total": "50.00", "currency": "EUR"})])
    brand.send([order(n, "ann@example.com") for n in range(4, 6)])
    counted(brand, "tenth", filtered=2, notified=1, cooled_down=2)
    # Another customer with a record of her own turns out to be Ann.
    phone = {"identities": {"phone": "+33612345678"}}
    brand.send([order(f"b{n}", None, **phone) for n in range(3)])
    counted(brand, "tenth", filtered=4, notified=2, cooled_down=2)
    brand.send([order("m1", None, identities={"email": "ann@example.com",
                                              "phone": "+33612345678"})])
    assert brand.count("profile", "merged_into IS NOT NULL") == 1
    brand.send([order("m2", "ann@example.com")])
    counted(brand, "tenth", filtered=4, notified=2, cooled_down=4)
    esp.wait_types(["trigger.tenth"])
    assert len(esp.of_type("trigger.tenth")) == 2


def test_greeting_a_member_who_comes_in(brand, esp):
    esp.subscribe(brand.api, ["trigger.greet"])
    trigger(brand, "greet", when={"event": "session.started"}, expires="5m",
            cooldown={"for": "1d", "per": "profile"}, **{"if": "traits.loyalty_tier is set"})
    brand.send([event("s1", "ann@example.com", "session.started",
                      traits={"loyalty_tier": "gold"}),
                event("s2", "bob@example.com", "session.started")])
    counted(brand, "greet", notified=1, filtered=1)
    esp.wait_types(["trigger.greet"])
    assert who(esp, "trigger.greet") == ["ann@example.com"]


def test_a_trigger_s_topic_is_listed_and_can_be_tried(brand, esp):
    trigger(brand, "tenth", title="Tenth order", topic="offer.tenth",
            when={"event": "order.completed"})
    trigger(brand, "other", topic="offer.tenth", when={"event": "order.completed"})
    topics = [t for t in brand.api.get("/v1/topics")["data"] if t["topic"] == "offer.tenth"]
    assert len(topics) == 1 and topics[0]["kind"] == "trigger", topics
    assert set(topics[0]["example"]["data"]) >= {"event", "trigger", "profile"}
    esp.subscribe(brand.api, ["offer.*"], fields=["profile.email", "trigger.name"])
    answer = brand.api.post("/v1/subscriptions/mailhouse/test", {"topic": "offer.tenth"})
    assert answer["delivered"], answer
    message, = esp.of_type("offer.tenth")
    assert message["test"] and message["data"]["trigger"]["name"] == "other", message
    brand.api.post("/v1/subscriptions/mailhouse/test", {"topic": "offer.nth"}, expect=422)


def cart(number, email, products):
    return event(f"cart{number}", email, "cart.updated", iso(0), properties={
        "cart_id": "k", "currency": "EUR", "products": products})


def test_an_abandoned_cart_is_dropped_when_the_order_came_while_the_message_waited(brand, esp):
    """What a trigger with recheck asks is asked again before the attempt: the rule that was
    entered, and its condition."""
    put(brand, "left_cart", "cart.items_count > 0 and age(cart.updated_at) >= 1s", "tag")
    trigger(brand, "cart", when={"enters": "left_cart"}, recheck=True,
            **{"if": "not traits.vip = true"})
    trigger(brand, "plain", when={"enters": "left_cart"})
    esp.subscribe(brand.api, ["trigger.cart", "trigger.plain"])
    lines = [{"product_id": "P", "price": 10, "quantity": 1}]
    people = ["orders@x.de", "stays@x.de", "changes@x.de"]
    brand.api.post("/v1/subscriptions/mailhouse/pause", expect=200)
    brand.send([cart(n, p, lines) for n, p in enumerate(people)])
    counted(brand, "cart", notified=3)
    brand.send([cart(9, "orders@x.de", []), event("vip", "changes@x.de", "customer.updated",
                                                  traits={"vip": True})])
    brand.api.post("/v1/subscriptions/mailhouse/resume", expect=200)
    wait_for(lambda: who(esp, "trigger.cart") == ["stays@x.de"], what="who still has a cart")
    wait_for(lambda: sorted(who(esp, "trigger.plain")) == sorted(people),
             what="what is not asked again")
    path = "/v1/attempts?subscription=mailhouse&outcome=dropped"
    wait_for(lambda: len(brand.api.get(path)["data"]) == 2, what="those dropped")
    dropped = brand.api.get(path)["data"]
    assert [a["error"] for a in dropped] == ["what its trigger asks holds no longer"] * 2
    counted(brand, "cart", notified=3, undone=2)
    why = brand.api.get(f"/v1/notifications/{dropped[0]['notification_id']}/explain")
    assert "recheck" in [g["gate"] for g in why["gates"]]
    gates = {g["gate"]: g for g in why["subscriptions"][0]["gates"]}
    assert not gates["recheck"]["passed"], gates


def test_a_cart_that_is_abandoned_rings_by_time_alone(brand, esp):
    esp.subscribe(brand.api, ["trigger.cart"])
    put(brand, "left_cart", "cart.items_count > 0 and age(cart.updated_at) >= 2s", "tag")
    trigger(brand, "cart", when={"enters": "left_cart"}, expires="24h",
            cooldown={"for": "7d", "per": "profile"},
            **{"if": '"Activewear" in cart.categories and transition.rule = "left_cart"'})
    for n, (email, category) in enumerate([("ann@example.com", "Activewear"),
                                           ("bob@example.com", "Shoes")]):
        brand.send([event(f"c{n}", email, "cart.updated", iso(0), properties={
            "cart_id": f"k{n}", "currency": "EUR", "products": [
                {"product_id": "p1", "name": "Top", "category": [category], "quantity": 1,
                 "price": 20}]})])
    counted(brand, "cart", notified=1, filtered=1)
    esp.wait_types(["trigger.cart"])
    message, = esp.of_type("trigger.cart")
    assert message["cause"]["kind"] == "time"
    assert message["data"]["tag"]["name"] == "left_cart"
    assert message["data"]["profile"]["email"] == "ann@example.com"


def test_lapsed_of_a_tier(brand, esp):
    brand.stages("0s", "2s", "100d")
    brand.api.call("PUT", "/v1/rules/basket", {"kind": "tier", "cases": [
        {"value": "high", "when": "orders.average_value >= 100"},
        {"value": "low", "when": "orders.count >= 1"}]}, 200)
    esp.subscribe(brand.api, ["trigger.lapsed"])
    trigger(brand, "lapsed", when={"changes": "lifecycle", "to": "lapsed"},
            **{"if": 'tiers.basket = "high"'})
    trigger(brand, "back", when={"changes": "lifecycle", "from": "lapsed", "to": "active"})
    brand.send([order("o1", "ann@example.com", "200.00", at=iso(0)),
                order("o2", "bob@example.com", "9.00", at=iso(0))])
    counted(brand, "lapsed", notified=1, filtered=1)
    brand.send([view("v", "ann@example.com", iso(0))])
    counted(brand, "back", unheard=1)
    assert who(esp, "trigger.lapsed") == ["ann@example.com"]


def test_caps_and_priority(brand, esp):
    esp.subscribe(brand.api, ["trigger.*"])
    trigger(brand, "often", when={"event": "product.viewed"},
            cap_per_profile={"count": 2, "per": "1d"})
    trigger(brand, "few", when={"event": "product.viewed"}, cap_total={"count": 3, "per": "1h"})
    brand.send([view(f"a{n}", "ann@example.com") for n in range(4)])
    brand.send([view("b", "bob@example.com")])
    counted(brand, "often", notified=3, capped=2)
    counted(brand, "few", notified=3, capped=2)


def test_a_cooldown_per_product(brand, esp):
    esp.subscribe(brand.api, ["trigger.*"])
    trigger(brand, "seen", when={"event": "product.viewed"},
            cooldown={"for": "1d", "per": "product"})
    brand.send([view("a", "ann@example.com", product_id="p1"),
                view("b", "ann@example.com", product_id="p2"),
                view("c", "ann@example.com", product_id="p1")])
    brand.send([view("d", "ann@example.com", product_id="p2")])
    counted(brand, "seen", notified=2, cooled_down=2)


def test_a_draft_counts_and_a_test_says_so(brand, esp):
    esp.subscribe(brand.api, ["trigger.*"])
    trigger(brand, "draft", when={"event": "product.viewed"}, mode="draft", once=True)
    trigger(brand, "trial", when={"event": "product.viewed"}, mode="test", once=True)
    brand.send([view("a", "ann@example.com"), view("b", "ann@example.com")])
    wait_for(lambda: len(esp.of_type("trigger.trial")) == 2, what="both tests")
    assert all(m["test"] for m in esp.of_type("trigger.trial"))
    assert esp.of_type("trigger.draft") == []
    counts = brand.api.get("/v1/triggers/draft/outcomes")
    assert counts["notified"] == 0
    assert (counts["draft"]["notified"], counts["draft"]["cooled_down"]) == (1, 1)
    trigger(brand, "draft", when={"event": "product.viewed"}, once=True)
    brand.send([view("c", "ann@example.com")])
    counted(brand, "draft", notified=1)  # what the draft would have rung is not counted against it
    assert brand.count("rung") == 2
    brand.api.call("DELETE", "/v1/triggers/draft", expect=204)
    assert brand.count("rung") == 0 == brand.count("trigger_outcome", "mode <> 'test'")


def test_what_is_old_is_counted_as_stale(brand, esp):
    esp.subscribe(brand.api, ["trigger.*"])
    trigger(brand, "late", when={"event": "product.viewed"}, expires="1h")
    brand.send([view("a", "ann@example.com", at_ms(now_ms() - 2 * 86400000)),
                view("b", "ann@example.com", at_ms(now_ms() - 2 * 3600000)),
                view("c", "ann@example.com")])
    counted(brand, "late", stale=1, expired=1, notified=1)


def test_history_that_is_not_known_keeps_quiet(brand, esp):
    esp.subscribe(brand.api, ["trigger.*"])
    trigger(brand, "known", when={"event": "product.viewed"}, require_history=True)
    brand.send([view("a", "ann@example.com")])
    counted(brand, "known", filtered=1)
    for source in brand.api.get("/v1/sources")["data"]:
        brand.api.call("PATCH", f"/v1/sources/{source['name']}", {"history": {"complete": True}},
                       200)
    brand.send([view("b", "ann@example.com")])
    counted(brand, "known", filtered=1, notified=1)


def test_who_is_held_out_can_be_computed(brand, esp):
    esp.subscribe(brand.api, ["trigger.*"])
    made = trigger(brand, "half", when={"event": "product.viewed"}, holdout=0.5, once=True)
    people = [f"p{n}@example.com" for n in range(60)]
    brand.send([view(f"a{p}", p) for p in people])
    held = brand.sql(
        "SELECT email FROM profile WHERE workspace_id = {ws} AND ('x' || left(md5({ws} || '/' ||"
        " %s || '/' || id::text), 8))::bit(32)::bigint < 0.5 * 4294967296", made["id"])
    counted(brand, "half", notified=60 - len(held), held_out=len(held))
    wait_for(lambda: len(who(esp, "trigger.half")) == 60 - len(held), what="the rest")
    assert not set(who(esp, "trigger.half")) & {row[0] for row in held}
    brand.send([view(f"b{p}", p) for p in people])
    counted(brand, "half", notified=60 - len(held), held_out=len(held), cooled_down=60)


def test_a_condition_may_count(brand, esp):
    for n in range(2):
        brand.send([view(f"h{n}", "ann@example.com", category="Shoes")])
    esp.subscribe(brand.api, ["trigger.*"])
    trigger(brand, "keen", when={"event": "product.viewed"}, once=True,
            **{"if": 'count(product.viewed where category = "Shoes" within 24h) >= 3'})
    hydrated(brand)
    brand.send([view("a", "ann@example.com", category="Shoes"),
                view("b", "bob@example.com", category="Shoes")])
    counted(brand, "keen", notified=1, filtered=1)
    version = brand.sql("SELECT max(version) FROM ruleset WHERE workspace_id = {ws}")[0][0]
    put(brand, "other", "orders.count > 5")
    brand.send([view("c", "bob@example.com", category="Shoes"),
                view("d", "bob@example.com", category="Shoes")])
    counted(brand, "keen", notified=2, filtered=2)
    brand.api.call("DELETE", "/v1/triggers/keen", expect=204)
    assert brand.sql("SELECT max(version) FROM ruleset WHERE workspace_id = {ws}")[0][0] == version + 2


# --- what waits --------------------------------------------------------------------

def test_looked_and_did_not_buy(brand, esp):
    put(brand, "bought", "age(orders.last_at) <= 1h", "tag")
    esp.subscribe(brand.api, ["trigger.reviews"])
    trigger(brand, "reviews", when={"event": "product.viewed"}, wait="2s", expires="12h",
            cooldown={"for": "14d", "per": "product"},
            **{"if": 'not "bought" in tags and event.product_id = "p1"'})
    hydrated(brand)
    began = now_ms()
    brand.send([view("a", "ann@example.com", iso(0), product_id="p1"),
                view("b", "bob@example.com", iso(0), product_id="p1"),
                view("c", "cat@example.com", iso(0), product_id="p2")])
    brand.send([order("o1", "bob@example.com")])
    assert brand.count("trigger_waiting") == 3 and outcomes(brand, "reviews") == {}
    counted(brand, "reviews", notified=1, filtered=2)
    assert now_ms() - began >= 2000 and brand.count("trigger_waiting") == 0
    esp.wait_types(["trigger.reviews"])
    message, = esp.of_type("trigger.reviews")
    assert message["data"]["profile"]["email"] == "ann@example.com"
    assert message["data"]["event"]["properties"]["product_id"] == "p1"
    assert message["cause"]["event_type"] == "product.viewed"
    assert abs(instant_ms(message["timestamp"]) - began - 2000) < 1000


def test_who_waits_and_is_merged_is_rung_as_who_he_is_then(brand, esp):
    esp.subscribe(brand.api, ["trigger.later"])
    trigger(brand, "later", (422,), when={"enters": "keen"})
    put(brand, "keen", "orders.count >= 1")
    trigger(brand, "later", when={"enters": "keen"}, wait="2s", once=True)
    brand.send([order("o1", "ann@example.com", at=iso(0))])
    brand.send([order("o2", None, at=iso(0), identities={"phone": "+33612345678"})])
    brand.send([event("m", identities={"email": "ann@example.com", "phone": "+33612345678"})])
    assert brand.count("profile", "merged_into IS NOT NULL") == 1
    counted(brand, "later", notified=1, cooled_down=1)
    esp.wait_types(["trigger.later"])
    message, = esp.of_type("trigger.later")
    assert message["data"]["segment"]["name"] == "keen"
    assert message["data"]["profile"]["orders"]["count"] == 2


def clock(offset_s):
    return time.strftime("%H:%M", time.gmtime(time.time() + offset_s))


def test_quiet_hours_drop_or_defer(brand, esp):
    esp.subscribe(brand.api, ["trigger.*"])
    hours = {"from": clock(-3600), "to": clock(7200), "zone": "UTC"}
    trigger(brand, "dropped", when={"event": "product.viewed"},
            quiet_hours={**hours, "then": "drop"})
    trigger(brand, "deferred", when={"event": "product.viewed"}, quiet_hours=hours)
    trigger(brand, "awake", when={"event": "product.viewed"},
            quiet_hours={"from": clock(7200), "to": clock(14400), "zone": "UTC"})
    brand.send([view("a", "ann@example.com")])
    counted(brand, "dropped", quiet=1)
    counted(brand, "awake", notified=1)
    due, = brand.sql("SELECT to_char(due_at AT TIME ZONE 'UTC', 'HH24:MI:SS') FROM trigger_waiting"
                     " WHERE workspace_id = {ws}")[0]
    assert due == f"{hours['to']}:00" and outcomes(brand, "deferred") == {}
    brand.sql("UPDATE trigger SET quiet_from = NULL WHERE workspace_id = {ws}")
    brand.sql("UPDATE workspace SET config_version = config_version + 1 WHERE id = {ws}")
    time.sleep(0.5)  # the poll of the configuration
    brand.sql("UPDATE trigger_waiting SET due_at = date_trunc('milliseconds', now())"
              " WHERE workspace_id = {ws}")
    counted(brand, "deferred", notified=1)


def test_an_order_rings_once_though_the_server_is_killed(own_place, esp):
    brand = own_place
    esp.subscribe(brand.api, ["trigger.*"])
    trigger(brand, "bought", topic="trigger.bought", when={"event": "order.completed"}, once=True)
    trigger(brand, "soon", when={"event": "order.completed"}, wait="2s")
    people = [f"p{n}@example.com" for n in range(40)]
    for person in people[:20]:
        brand.send([order(f"o{person}", person, at=iso(0))])
    brand.server.kill()
    brand.server.start()
    for person in people:  # the sender repeats what it got no answer for
        brand.send([order(f"o{person}", person, at=iso(0))])
    counted(brand, "bought", notified=40)
    counted(brand, "soon", notified=40)
    brand.sql("UPDATE delivery SET lease_until = now() WHERE workspace_id = {ws}"
              " AND lease_until IS NOT NULL AND attempt = 0")
    for kind in ("trigger.bought", "trigger.soon"):
        wait_for(lambda k=kind: set(who(esp, k)) == set(people), 90, what=kind)
        ids = {m["id"] for m in esp.of_type(kind)}
        assert len(ids) == 40
    assert brand.count("trigger_waiting") == 0


@pytest.fixture
def own_place(tmp_path):
    cluster = shopbell.Cluster()
    server = Server(cluster, str(tmp_path)).migrate().start()
    yield Brand(cluster, server)
    server.stop()
    cluster.remove()


def test_a_customer_is_rung_on_a_channel_no_more_often_than_the_workspace_says(brand, esp):
    name = brand.name
    shown = brand.api.call("PATCH", f"/v1/workspaces/{name}",
                           {"caps": {"email": {"count": 2, "per": "1d"}}}, 200).json
    assert shown["caps"] == brand.api.get(f"/v1/workspaces/{name}")["caps"] == {
        "email": {"count": 2, "per": "1d"}}
    problem = brand.api.call("PATCH", f"/v1/workspaces/{name}",
                             {"caps": {"email": {"count": 0, "per": "1d"}}}, 422).json
    assert problem["errors"][0]["pointer"] == "#/caps/email/count"
    esp.subscribe(brand.api, ["trigger.*"])
    for trigger_name, priority in (("minor", 0), ("major", 10)):
        trigger(brand, trigger_name, when={"event": "product.viewed"}, channel="email",
                priority=priority)
    trigger(brand, "other", when={"event": "product.viewed"})
    brand.send([subscribed("c", "ann@example.com")])
    brand.send([view("a", "ann@example.com"), view("b", "ann@example.com")])
    counted(brand, "major", notified=2)
    counted(brand, "minor", capped=2)
    counted(brand, "other", notified=2)


def test_a_notification_knows_its_trigger(brand, esp):
    esp.subscribe(brand.api, ["trigger.*"], fields=["trigger.name", "trigger.version",
                                                    "event.product_id", "profile.email"])
    trigger(brand, "seen", title="Seen", when={"event": "product.viewed"}, once=True,
            **{"if": 'event.type = "product.viewed"'})
    brand.send([view("a", "ann@example.com", product_id="p7")])
    esp.wait_types(["trigger.seen"])
    message, = esp.of_type("trigger.seen")
    assert message["data"]["trigger"] == {"name": "seen", "version": 1}
    assert message["data"]["event"] == {"product_id": "p7"}
    why = brand.api.get(f"/v1/notifications/{message['id']}/explain")
    assert why["trigger"] == {"name": "seen", "title": "Seen", "version": 1, "is_current": True, "audience": None,
                              "if": 'event.type = "product.viewed"'}
    assert [g["gate"] for g in why["gates"]] == ["age", "if", "cooldown"]
    assert why["event"]["type"] == "product.viewed"
    names = brand.api.get("/v1/names?context=trigger")["names"]
    assert {"transition.to", "event.type"} <= {n["name"] for n in names}


def test_concurrent_causes_never_pass_a_gate_together(brand, esp):
    """Writers on several lanes, one record: of a customer it is guarded by his lock, of
    everybody by its own."""
    esp.subscribe(brand.api, ["trigger.*"])
    trigger(brand, "once", when={"event": "product.viewed"}, once=True)
    trigger(brand, "total", when={"event": "product.viewed"}, cap_total={"count": 25, "per": "1h"})
    people = [f"p{n}@example.com" for n in range(20)]
    senders = [in_background(lambda s=s: [brand.send([view(f"{s}-{p}", p)]) for p in people])
               for s in range(6)]
    for sender in senders:
        sender.outcome()
    counted(brand, "once", notified=20, cooled_down=100)
    counted(brand, "total", notified=25, capped=95)
    wait_for(lambda: len(esp.of_type("trigger.once")) == 20 and
             len(esp.of_type("trigger.total")) == 25, 20, what="all that rang")


def test_the_command_line_says_the_same(brand, tmp_path):
    def run(*arguments, **more):
        return brand.server.command(*arguments, "--workspace", brand.name, **more)

    file = tmp_path / "tenth.json"
    file.write_text('{"when": {"event": "order.completed"}, "if": "orders.count >= 10"}')
    run("trigger", "set", "tenth", str(file), "--dry-run")
    brand.api.get("/v1/triggers/tenth", expect=404)
    run("trigger", "set", "tenth", str(file))
    shown = run("trigger", "show", "tenth", "--json").stdout
    run("trigger", "set", "tenth", "-", stdin=shown)  # what was shown may come back
    assert brand.api.get("/v1/triggers/tenth")["version"] == 2
    run("trigger", "pause", "tenth")
    assert "tenth" in run("trigger", "list").stdout
    assert brand.api.get("/v1/triggers/tenth")["paused_at"]
    run("trigger", "resume", "tenth")
    assert '"notified":0' in run("trigger", "outcomes", "tenth", "--json").stdout
    run("trigger", "delete", "tenth", "--yes")
    refused = run("trigger", "show", "tenth", check=False)
    assert refused.returncode == 3
