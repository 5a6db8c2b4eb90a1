"""Tracking plans: what the schema of a source and event type does to what comes in,
by /v1/events and by a hook, in its three modes; and what a schema may not be."""

import json

import pytest
from shopbell import shopify_order, wait_for

COUNTS_S = 5  # counts are written once a second
PRICE = {"type": "object", "required": ["price"],
         "properties": {"price": {"type": "number", "minimum": 0}, "colour": {"type": "string"}}}


def view(number, **properties):
    return {"type": "product.viewed", "identities": {"external_id": f"c{number}"},
            "properties": {"product_id": "p1", **properties}, "id": f"view-{number}"}


def put(api, mode, schema=None, source="api", event_type="product.viewed", **more):
    return api.call("PUT", f"/v1/schemas/{source}/{event_type}",
                    {"mode": mode, "schema": PRICE if schema is None else schema}, **more)


def shown(api, source="api", event_type="product.viewed"):
    return api.get(f"/v1/schemas/{source}/{event_type}")


def send(api, events, query=""):
    return api.call("POST", "/v1/events" + query, events)


def events_of(answer):
    return json.loads(answer.body)["events"]


@pytest.fixture
def good(api):
    """What passes without a schema: the shape of these tests is not the schema's matter."""
    answer = send(api, [view(1, price=1)])
    assert answer.status == 200 and events_of(answer)["applied"] == 1, answer.json
    return api


def test_reject_answers_422_with_pointers_and_stores_nothing(good):
    api = good
    put(api, "reject", expect=201)
    answer = send(api, [view(2, price=2), view(3, price=-1), view(4)])
    assert answer.status == 422, answer.json
    assert {e["pointer"] for e in answer.json["errors"]} == {"#/1/properties/price",
                                                           "#/2/properties"}
    again = send(api, view(2, price=-2))
    assert again.json["errors"][0]["pointer"] == "#/properties/price"
    assert events_of(send(api, [view(2, price=2)]))["applied"] == 1

    skipped = send(api, query="?on_error=skip", events=[view(5), {"type": "no.such"}, view(6, price=6)])
    assert skipped.status == 200 and events_of(skipped)["applied"] == 1, skipped.json
    assert {e["pointer"].split("/")[1] for e in skipped.json["rejected"]} == {"0", "1"}

    tried = send(api, query="?validate_only=true", events=[view(7)])
    assert tried.status == 422
    counted = wait_for(lambda: shown(api)["checked"] >= 7 and shown(api), COUNTS_S, 0.1)
    # 3 + 1 + 1 + 2: what was only tried counts not, nor what is no event.
    assert (counted["checked"], counted["violations"], counted["violations_24h"]) == (7, 4, 4)
    assert counted["last_violations"][0]["pointer"] == "", counted
    assert counted["last_violated_at"]


def test_quarantine_takes_the_others(good):
    api = good
    put(api, "quarantine", expect=201)
    answer = send(api, [view(2), view(3, price=3), view(4, price=4, colour=7)])
    assert answer.status == 200, answer.json
    assert events_of(answer) == {"applied": 1, "duplicate": 0, "ignored": 0, "quarantined": 2}
    rows = api.get("/v1/quarantine")["data"]
    assert len(rows) == 2 and all("schema of product.viewed" in r["reason"] for r in rows)
    assert any("#/properties/colour" in r["reason"] for r in rows), rows
    assert all(r["body_bytes"] > 0 for r in rows), rows  # for a replay


def test_count_only_counts(good):
    api = good
    put(api, "count", expect=201)
    assert events_of(send(api, [view(2), view(3, price=3)]))["applied"] == 2
    counted = wait_for(lambda: shown(api)["checked"] == 2 and shown(api), COUNTS_S, 0.1)
    assert counted["violations"] == 1
    assert api.get("/v1/quarantine")["data"] == []
    # An edit keeps what was counted; another schema in its place begins anew.
    put(api, "count", {"type": "object"}, expect=200)
    assert events_of(send(api, [view(4)]))["applied"] == 1
    counted = wait_for(lambda: shown(api)["checked"] == 3 and shown(api), COUNTS_S, 0.1)
    assert counted["violations"] == 1
    api.call("DELETE", "/v1/schemas/api/product.viewed", expect=204)
    put(api, "count", expect=201)
    assert (shown(api)["checked"], shown(api)["checked_24h"]) == (0, 0)


def test_a_hook_is_never_refused(api, shopify):
    put(api, "reject", {"required": ["gift_message"]}, "shopify_main", "order.completed",
        expect=201)
    answer = shopify.send("orders/create", shopify_order(9301, 9301, "plan@example.com"))
    assert answer.status == 200 and events_of(answer)["quarantined"] == 1, answer.body
    reason = api.get("/v1/quarantine")["data"][0]["reason"]
    assert "gift_message" in reason, reason
    put(api, "reject", {"type": "object"}, "shopify_main", "order.completed", expect=200)
    answer = shopify.send("orders/create", shopify_order(9302, 9302, "plan@example.com"))
    assert events_of(answer)["applied"] >= 1 and events_of(answer)["quarantined"] == 0


def test_put_names_what_is_wrong(api):
    def refused(body, path="/v1/schemas/api/product.viewed"):
        answer = api.call("PUT", path, body)
        return answer.status, answer.json.get("errors", [{}])[0].get("pointer"), answer.json

    assert refused({"mode": "reject", "schema": {"type": 7}})[:2] == (422, "#/schema")
    assert refused({"mode": "reject", "schema": {"allOf": [{"$ref": "#"}]}})[:2] == (422, "#/schema")
    assert refused({"mode": "maybe", "schema": {}})[:2] == (422, "#/mode")
    assert refused({"mode": "count"})[:2] == (422, "#/schema")
    assert refused({"mode": "count", "schema": {}, "x": 1})[0] == 422
    large = {"mode": "count", "schema": {"title": "a" * 65536}}
    assert refused(large)[:2] == (422, "#/schema")
    assert refused({"mode": "count", "schema": {}}, "/v1/schemas/nobody/product.viewed")[0] == 404
    assert refused({"mode": "count", "schema": {}}, "/v1/schemas/api/no.such")[0] == 422
    assert api.call("GET", "/v1/schemas/api/product.viewed").status == 404
    assert api.get("/v1/schemas")["data"] == []


def test_etag_guards_a_change(api):
    first = put(api, "count", expect=201)
    tag = first.headers["ETag"]
    assert first.headers["Location"] == "/v1/schemas/api/product.viewed"
    same = put(api, "count", expect=200)
    assert same.headers["ETag"] == tag
    put(api, "reject", expect=412, headers={"If-Match": '"99"'})
    second = put(api, "reject", expect=200, headers={"If-Match": tag})
    assert second.headers["ETag"] != tag
    put(api, "count", expect=412, headers={"If-Match": tag})
    assert shown(api)["mode"] == "reject" and shown(api)["schema"] == PRICE
    listed = api.get("/v1/schemas")["data"]
    assert [(s["source"], s["event_type"], s["mode"]) for s in listed] == [
        ("api", "product.viewed", "reject")]
    assert "schema" not in listed[0]
    api.call("DELETE", "/v1/schemas/api/product.viewed", expect=412, headers={"If-Match": tag})
    api.call("DELETE", "/v1/schemas/api/product.viewed", expect=204)


def test_a_source_takes_its_schemas_along(api, cluster):
    """Those of a source that is gone are in no list, and counted towards the limit for ever."""
    source = api.post("/v1/sources", {"name": "popup", "platform": "shopify", "settings": {}},
                      expect=201)
    put(api, "count", source="popup", expect=201)
    put(api, "count", expect=201)
    schema = cluster.query("INSERT INTO event_schema_hour SELECT workspace_id, id, 0, now(), 1, 0"
                           " FROM event_schema WHERE source_id = %s RETURNING schema_id",
                           source["id"])[0][0]
    api.call("DELETE", "/v1/sources/popup", expect=204)
    left = cluster.query("SELECT (SELECT count(*) FROM event_schema WHERE source_id = %s),"
                         " (SELECT count(*) FROM event_schema_hour WHERE schema_id = %s)",
                         source["id"], schema)
    assert left == [(0, 0)]
    assert [s["source"] for s in api.get("/v1/schemas")["data"]] == ["api"]


@pytest.mark.parametrize("shift", range(3))
def test_a_reason_is_cut_between_characters(good, shift):
    api = good
    put(api, "quarantine", {"additionalProperties": False, "properties": {"product_id": {}}},
        expect=201)
    name = "x" * shift + "\u20ac" * 150
    answer = send(api, [view(2, **{name: 1}), view(3)])
    assert answer.status == 200, answer.json
    assert events_of(answer)["quarantined"] == 1 and events_of(answer)["applied"] == 1
    assert "\u20ac" in api.get("/v1/quarantine")["data"][0]["reason"]
