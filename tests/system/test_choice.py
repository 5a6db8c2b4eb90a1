"""What a subscription chooses to hear, and in which form: filters, fields, renames,
CloudEvents, masking. Real webhooks in, a real receiver out.
"""

import time
import uuid

import pytest
from shopbell import (Api, Receiver, Server, make_workspace, shopify_order,
                      verify_standard_webhook, wait_for)

PERSON = {"email": "jane@example.com", "phone": "+33612345678"}


class Esp(Receiver):
    def add(self, api, name, topics=("order.completed",), **choice):
        return self.subscribe(api, list(topics), name, **choice)

    def bodies(self):
        with self.lock:
            return [m[2] for m in self.messages]

    def wait(self, count, seconds=10):
        wait_for(lambda: len(self.messages) >= count, seconds, 0.01, f"{count} messages arrived")
        return self.bodies()


@pytest.fixture
def desk():
    made = Esp()
    yield made
    made.close()


@pytest.fixture
def other():
    made = Esp()
    yield made
    made.close()


def order(api, total=120.5, email="jane@example.com", **more):
    made = str(uuid.uuid4())
    event = {"id": made, "type": "order.completed", "identities": {"email": email, **more},
             "properties": {"order_id": made[:8], "total": total, "currency": "EUR",
                            "products": [{"product_id": "p1", "sku": "TR-42", "quantity": 1,
                                          "price": total}]}}
    api.post("/v1/events", event, expect=200)
    return made[:8]


def put_tag(api, name="big", when="orders.revenue >= 1000"):
    assert api.call("PUT", f"/v1/rules/{name}", {"kind": "tag", "title": name, "when": when}
                    ).status in (200, 201)


def refused(api, expect=422, **choice):
    answer = api.call("POST", "/v1/subscriptions", {"name": "x", "url": "http://127.0.0.1:9999/",
                                                    "topics": ["order.*"], **choice}, expect)
    return answer.json


# --- filters -----------------------------------------------------------------


def test_a_filter_lets_through_what_it_says_and_costs_no_row_otherwise(api, cluster, desk):
    desk.add(api, "large", filter='event.total >= 100 and event.source = "api"')
    order(api, total=99)
    order(api, total=100)
    assert [m["data"]["order"]["total"] for m in desk.wait(1)] == [100]
    rows = cluster.query("SELECT count(*) FROM notification n JOIN workspace w"
                         " ON w.id = n.workspace_id WHERE w.name = %s AND topic = %s",
                         api.workspace, "order.completed")
    assert rows[0][0] == 1


def test_each_subscription_has_its_own_filter(api, desk, other):
    desk.add(api, "large", filter="event.total >= 100")
    other.add(api, "all")
    order(api, total=99)
    order(api, total=101)
    assert len(other.wait(2)) == 2
    assert len(desk.wait(1)) == 1


def test_a_filter_reads_the_customer_and_the_verdict(api, desk):
    put_tag(api)
    desk.add(api, "vip", topics=["tag.added", "order.completed"],
             filter='"big" in tags and (transition.rule = "big" or not transition.rule is set)')
    order(api, total=10)
    order(api, total=2000)
    got = desk.wait(2)
    assert sorted(m["type"] for m in got) == ["order.completed", "tag.added"]
    assert [m["data"]["tag"]["name"] for m in got if m["type"] == "tag.added"] == ["big"]


def test_a_filter_that_is_wrong_says_where_and_what_was_meant(api):
    error = refused(api, filter='orders.coun > 3')
    assert error["type"] == "/problems/invalid-expression"
    assert error["errors"][0] | {"detail": ""} == {
        "pointer": "#/filter", "detail": "", "line": 1, "column": 1, "length": 11,
        "found": "orders.coun", "expected": "a name", "suggestion": "orders.count"}
    error = refused(api, filter="count(order.completed within 30d) > 1")
    assert 'save it as a segment and filter by "<its name>" in segments' in error["detail"]
    assert "tag" in refused(api, filter='"nosuch" in tags')["detail"]
    assert refused(api, filter="transition.ruler is set")["errors"][0]["suggestion"] == \
        "transition.rule"


def test_a_rule_that_a_filter_names_cannot_go(api, desk):
    put_tag(api)
    desk.add(api, "vip", filter='"big" in tags')
    assert api.get("/v1/rules/big")["used_by"] == ["subscription:vip"]
    answer = api.call("DELETE", "/v1/rules/big", expect=409).json
    assert answer["type"] == "/problems/rule-in-use"
    assert answer["errors"][0]["used_by"] == "subscription:vip"
    # Nor be switched off, nor become another kind.
    off = {"kind": "tag", "title": "big", "when": "orders.revenue >= 1000", "enabled": False}
    assert api.call("PUT", "/v1/rules/big", off).status == 409
    kind = {"kind": "segment", "title": "big", "when": "orders.revenue >= 1000"}
    assert api.call("PUT", "/v1/rules/big", kind).status in (409, 422)
    api.call("PATCH", "/v1/subscriptions/vip", {"filter": None}, expect=200)
    api.call("DELETE", "/v1/rules/big", expect=204)


def test_a_cancelled_order_is_judged_by_the_orders_that_remain(api, shopify, desk):
    desk.add(api, "small", topics=["order.cancelled"], filter="orders.largest_value < 100")
    first = shopify_order(1001, 7001, "ann@example.com", total="50.00")
    second = shopify_order(1002, 7001, "ann@example.com", total="500.00")
    shopify.send("orders/create", first)
    shopify.send("orders/create", second)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    shopify.send("orders/cancelled", {**second, "cancelled_at": now, "updated_at": now})
    assert desk.wait(1)[0]["type"] == "order.cancelled"


# --- fields and renames ------------------------------------------------------


def test_fields_say_how_much_is_told(api, desk):
    for fields in ("default", "thin", "full", "changed"):
        desk.add(api, fields, topics=["lifecycle.changed"], fields=fields)
    order(api)
    got = {}
    for m in desk.wait(4):
        data = m["data"]
        kind = ("changed" if "changed" in data else "full" if "traits" in data["profile"]
                else "default" if "email" in data["profile"] else "thin")
        got[kind] = data
    assert set(got) == {"default", "thin", "full", "changed"}
    assert got["thin"] == {"lifecycle": {"from": None, "to": "new"},
                           "profile": {"id": got["default"]["profile"]["id"]}}
    assert got["changed"] == {**got["thin"], "changed": {"lifecycle": {"from": None, "to": "new"}}}
    full, default = got["full"]["profile"], got["default"]["profile"]
    for name in ("id", "email", "phone", "external_id", "lifecycle", "tags", "segments", "tiers",
                 "consent"):
        assert full[name] == default[name], name
    for name, value in default["orders"].items():
        assert full["orders"][name] == value, name
    shown = api.get(f"/v1/profiles/{full['id']}")
    missing = {"as_of", "masked", "updated_at", "identities", "memberships", "merged_from",
               "rules", "links"}
    assert set(full) == set(shown) - missing
    assert full["traits"] == shown["traits"]
    assert full["habits"] == {k: shown["habits"][k] for k in full["habits"]}
    assert set(shown["orders"]) - set(full["orders"]) == {"history_complete"}


def test_an_event_tells_what_it_changed(api, desk):
    put_tag(api)
    desk.add(api, "changes", fields="changed")
    order(api, total=5000)
    changed = desk.wait(1)[0]["data"]["changed"]
    assert changed["tags.big"] == {"from": False, "to": True}
    assert changed["lifecycle"] == {"from": None, "to": "new"}


def test_a_list_of_names_stands_where_the_profile_has_them(api, desk):
    desk.add(api, "few", fields=["orders.count", "profile.email", "event.total", "segment.name",
                                 "consent.email", "first_name"])
    order(api)
    data = desk.wait(1)[0]["data"]
    uuid.UUID(data["profile"].pop("id"))
    assert data == {"event": {"total": 120.5}, "segment": {"name": None},
                    "profile": {"email": "jane@example.com", "first_name": None,
                                "consent": {"email": "never"}, "orders": {"count": 1}}}


def test_a_map_adds_members_and_alone_is_all(api, desk, other):
    desk.add(api, "more", fields="thin", map={"mail": "{profile.email}", "n": "{orders.count}",
                                              "line": "{event.order_id}: {event.total} {{EUR}"})
    other.add(api, "alone", fields=[], map={"profile": "{profile.email}"})
    number = order(api)
    data = desk.wait(1)[0]["data"]
    assert data["mail"] == "jane@example.com" and data["n"] == 1
    assert data["line"] == f"{number}: 120.50 {{EUR}}"
    assert set(data) == {"order", "profile", "mail", "n", "line"}
    assert other.wait(1)[0]["data"] == {"profile": "jane@example.com"}
    left = api.call("PATCH", "/v1/subscriptions/more", {"map": {"n": None, "line": None}}, 200)
    assert left.json["map"] == {"mail": "{profile.email}"}


def test_names_and_templates_are_checked(api):
    error = refused(api, fields=["orders.count", "profile.emial"])
    assert error["errors"][0]["suggestion"] == "email"
    error = refused(api, map={"x": "Hi {profile.firstname}"})
    assert error["errors"][0]["pointer"] == "#/map/x" and error["errors"][0]["column"] == 5
    assert "already" in refused(api, map={"profile": "{profile.email}"})["detail"]
    assert "empty" in refused(api, fields=[])["detail"]
    assert "tiers.nosuch" in refused(api, fields=["tiers.nosuch"])["detail"]
    assert "thin" in refused(api, fields="thn")["detail"]


# --- the frozen body ---------------------------------------------------------


def test_retries_are_the_same_bytes_whatever_is_changed_meanwhile(api, desk):
    desk.add(api, "steady", fields="thin", format="cloudevents_binary")
    desk.answer = lambda headers, body: (500 if len(desk.messages) == 1 else 200, {}, b"")
    order(api)
    desk.wait(1)
    api.call("PATCH", "/v1/subscriptions/steady", {"fields": "full", "format": "shopbell"},
             expect=200)
    order(api)
    desk.wait(3, 20)
    same = [m for m in desk.messages if m[0]["webhook-id"] == desk.messages[0][0]["webhook-id"]]
    assert len(same) == 2
    assert same[0][1] == same[1][1]
    for name, value in same[0][0].items():
        if name not in ("webhook-timestamp", "webhook-signature", "traceparent"):
            assert same[1][0][name] == value
    assert same[1][0]["ce-type"] == "shopbell.order.completed"
    newer = [m for m in desk.messages if m[0]["webhook-id"] != same[0][0]["webhook-id"]]
    assert "traits" in newer[0][2]["data"]["profile"]
    assert "ce-type" not in newer[0][0]
    # Nor is what is sent again another message.
    wait_for(lambda: api.get("/v1/subscriptions/steady")["stats"]["pending"] == 0, 5)
    api.post(f"/v1/notifications/{same[0][0]['webhook-id']}/replay", expect=202)
    desk.wait(4)
    assert desk.messages[3][1] == same[0][1]
    assert desk.messages[3][0]["ce-type"] == "shopbell.order.completed"


def test_what_is_claimed_after_a_restart_is_what_was_frozen(own_cluster, tmp_path, desk):
    server = Server(own_cluster, str(tmp_path)).migrate().start()
    try:
        api = make_workspace(server, "frozen")
        desk.add(api, "thin", fields="thin", format="cloudevents")
        desk.add(api, "usual")
        desk.answer = lambda headers, body: (503, {}, b"")
        order(api)
        desk.wait(2)
        server.kill()
        before = {m[1] for m in desk.messages}
        desk.messages.clear()
        desk.answer = None
        own_cluster.query("UPDATE delivery SET due_at = now(), lease_owner = NULL, lease_until = NULL")
        server.start()
        desk.wait(2, 20)
        assert {m[1] for m in desk.messages} == before
        assert {m[0]["content-type"] for m in desk.messages} == {
            "application/json", "application/cloudevents+json"}
    finally:
        server.stop()


def test_no_row_is_written_for_the_default(api, cluster, desk):
    desk.add(api, "usual")
    order(api)
    desk.wait(1)
    rows = cluster.query("SELECT count(*) FROM rendition r JOIN workspace w"
                         " ON w.id = r.workspace_id WHERE w.name = %s", api.workspace)
    assert rows[0][0] == 0


# --- CloudEvents -------------------------------------------------------------


def test_cloudevents_structured(api, desk):
    desk.add(api, "ce", format="cloudevents")
    order(api)
    desk.wait(1)
    headers, body, event, _ = desk.messages[0]
    assert headers["content-type"] == "application/cloudevents+json"
    assert verify_standard_webhook(desk.secret, headers, body)
    assert event["specversion"] == "1.0" and event["id"] == headers["webhook-id"]
    assert event["source"] == f"/workspaces/{api.workspace}"
    assert event["type"] == "shopbell.order.completed"
    assert event["subject"] == event["data"]["profile"]["id"]
    assert len(event["sequence"]) == 19 and int(event["sequence"]) >= 1
    assert set(event) == {"specversion", "id", "source", "type", "subject", "time",
                          "datacontenttype", "sequence", "data"}


def test_cloudevents_binary(api, desk):
    desk.add(api, "ce", format="cloudevents_binary", fields="thin")
    order(api)
    desk.wait(1)
    headers, body, data, _ = desk.messages[0]
    assert headers["content-type"] == "application/json"
    assert verify_standard_webhook(desk.secret, headers, body)
    assert set(data) == {"order", "profile"}
    assert headers["ce-specversion"] == "1.0" and headers["ce-id"] == headers["webhook-id"]
    assert headers["ce-subject"] == data["profile"]["id"]
    assert headers["ce-source"] == f"/workspaces/{api.workspace}"
    assert headers["ce-type"] == "shopbell.order.completed"
    assert headers["ce-time"].endswith("Z") and int(headers["ce-sequence"]) >= 1


def test_a_test_message_comes_in_the_same_form(api, desk):
    desk.add(api, "ce", format="cloudevents_binary", fields=["orders.count", "tier.to"],
             map={"who": "{first_name}"})
    assert api.post("/v1/subscriptions/ce/test", {"topic": "tier.changed"})["delivered"]
    headers, body, data, _ = desk.messages[0]
    assert headers["ce-type"] == "shopbell.tier.changed"
    assert verify_standard_webhook(desk.secret, headers, body)
    assert data["tier"] == {"to": "high"} and data["who"] == "Jane"
    assert data["profile"]["orders"] == {"count": 9}


# --- keys --------------------------------------------------------------------


def key(api, *scopes, **more):
    made = api.post("/v1/keys", {"name": f"k{uuid.uuid4().hex[:8]}", "scopes": list(scopes),
                                 **more}, expect=201)
    return Api(api.server, made["key"])


def test_without_pii_addresses_come_masked(api, desk, other):
    partner = key(api, "subscribe")
    made = desk.add(partner, "partner", map={"who": "{profile.email}/{first_name}"})
    assert made["masked"] is True
    other.add(api, "own")
    api.post("/v1/events", {"type": "customer.updated", "id": "c1", "identities": PERSON,
                            "properties": {}, "traits": {"first_name": "Jane"}})
    order(api)
    data = desk.wait(1)[0]["data"]
    assert data["profile"]["email"] == "j***@example.com"
    assert data["profile"]["first_name"] is None
    assert data["who"] == "j***@example.com/"
    assert b"jane" not in desk.messages[0][1].lower()
    assert data["profile"]["consent"]["email"] == "never"
    assert other.wait(1)[0]["data"]["profile"]["email"] == "jane@example.com"
    # An administrator's edit does not unmask it.
    assert api.call("PATCH", "/v1/subscriptions/partner", {"title": "P"}, 200).json["masked"]
    assert refused(partner, 403, filter='email = "jane@example.com"')
    assert refused(partner, 403, filter='event.phone starts_with "+33"')
    partner.post("/v1/subscriptions?validate_only=true", {
        "name": "y", "url": desk.url, "topics": ["order.*"], "filter": "email is set"})


def test_a_key_asks_for_no_more_than_its_fields(api, desk):
    partner = key(api, "subscribe", "pii", max_fields="default")
    for choice in ({"fields": "full"}, {"fields": ["traits.city"]},
                   {"map": {"x": "{engagement.score}"}}):
        assert refused(partner, 403, **choice)["type"] == "/problems/scope-insufficient"
    desk.add(partner, "few", fields=["orders.count", "event.total"], map={"x": "{tags}"})


def test_filters_have_names_of_their_own(api):
    def names(context):
        return {n["name"] for n in api.get(f"/v1/names?context={context}")["names"]}
    assert names("filter") - names("rule") == {
        "event.<property>", "event.type", "event.source", "transition.rule", "transition.kind",
        "transition.from", "transition.to"}
    assert {n.split(".")[0] for n in names("trigger") - names("filter")} == {"interest", "product"}
    assert names("filter") < names("trigger")
