"""What a source's health says: how late deliveries come, when none could be
taken, and that a stranger who knows the URL cannot change its state."""

import json
import time

import pytest
import shopbell
from shopbell import Cluster, Server, Shopify, WooCommerce, make_workspace, shopify_order, wait_for

HEALTH_S = 5  # counts are written once a second


def health_of(api, name="shopify_main"):
    return api.get(f"/v1/sources/{name}")["health"]


def iso(offset_s):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + offset_s))


@pytest.fixture
def own(tmp_path):
    """A cluster and a server that may be stopped."""
    cluster = Cluster()
    server = Server(cluster, str(tmp_path)).migrate().start()
    yield cluster, server
    try:
        server.stop()
    finally:
        cluster.remove()


def test_lag_is_from_the_newest_claim_to_the_arrival(api, shopify):
    assert health_of(api)["lag"] is None and health_of(api)["gaps"] == []
    for number in range(20):
        late = 600 if number == 0 else 30
        order = shopify_order(9000 + number, 9000 + number, f"lag{number}@example.com",
                              at=iso(-3600), updated=iso(-late))
        assert shopify.send("orders/create", order).status == 200
    lag = wait_for(lambda: health_of(api)["counts_24h"]["applied"] >= 20 and health_of(api)["lag"],
                   HEALTH_S, 0.1)
    assert 29_000 <= lag["p50_ms"] <= 40_000 * 1.25, lag
    assert 599_000 <= lag["p99_ms"] <= 610_000 * 1.25, lag
    listed = {s["name"]: s["health"] for s in api.get("/v1/sources")["data"]}
    assert listed["shopify_main"]["lag"] == lag


def test_a_forged_request_changes_no_state(api, shopify, cluster):
    order = shopify_order(9101, 9101, "forged@example.com")
    assert shopify.send("orders/create", order, secret="not-the-secret").status == 401
    wait_for(lambda: health_of(api)["state"] == "failing", HEALTH_S, 0.1,
             "being set up, a wrong secret shows at once")
    assert shopify.send("orders/create", order).status == 200
    wait_for(lambda: health_of(api)["state"] == "healthy", HEALTH_S, 0.1)

    for _ in range(30):
        assert shopify.send("orders/create", order, secret="forged").status == 401
    wait_for(lambda: health_of(api)["counts_24h"]["refused"] == 31, HEALTH_S, 0.1)
    health = health_of(api)
    assert health["state"] == "healthy" and health["last_failure"]["reason"] == "signature_mismatch"

    # The secret was changed at the shop: what came is refused, and nothing else comes.
    def heard(minutes):
        cluster.query("UPDATE source_health SET last_accepted_at = now() - %s * interval '1 minute'"
                      " WHERE source_id = %s", minutes, shopify.source["id"])

    def busy(applied):
        cluster.query("UPDATE source_hour SET applied = %s WHERE source_id = %s", applied,
                      shopify.source["id"])
    busy(1000)
    heard(10)
    assert health_of(api)["state"] == "healthy"
    heard(20)
    assert health_of(api)["state"] == "failing", "a thousand a day, and none for 20 minutes"
    busy(48)
    assert health_of(api)["state"] == "healthy", "one each half an hour: 20 minutes are nothing"
    heard(3 * 60)
    assert health_of(api)["state"] == "failing"
    busy(1)
    assert health_of(api)["state"] == "healthy"
    heard(6 * 60 + 1)
    assert health_of(api)["state"] == "failing"
    cluster.query("UPDATE source_health SET last_failure = NULL, last_delivery_at = now()"
                  " WHERE source_id = %s", shopify.source["id"])
    assert health_of(api)["state"] == "silent", "a request that was not believed is no sign of life"


def test_gaps_are_when_we_were_down_and_what_was_answered_503(own):
    cluster, server = own
    api = make_workspace(server, "gaps")
    woo = WooCommerce(api)
    customer = {"id": 5, "email": "gap@example.com", "date_created_gmt": iso(-60)[:19],
                "date_modified_gmt": iso(-60)[:19], "billing": {"email": "gap@example.com"}}
    assert woo.send("customer.created", customer)[0] == 200
    wait_for(lambda: cluster.query("SELECT count(*) FROM uptime")[0][0] == 1, HEALTH_S, 0.1)
    server.stop()
    server.start()
    time.sleep(1.5)
    assert cluster.query("SELECT count(*) FROM uptime")[0][0] == 1, "a restart of a second is none"
    assert health_of(api, "woo_outlet")["gaps"] == []
    server.stop()
    # As if it had been an hour.
    for table, columns in (("uptime", ("begun_at", "ended_at")), ("source", ("created_at",))):
        cluster.query(f"UPDATE {table} SET " + ", ".join(
            f"{c} = {c} - interval '1 hour'" for c in columns))
    server.start()
    gaps = wait_for(lambda: health_of(api, "woo_outlet")["gaps"], HEALTH_S, 0.1)
    assert [g["because"] for g in gaps] == ["down"] and gaps[0]["shed"] == 0
    down = cluster.query("SELECT extract(epoch FROM %s::timestamptz - %s::timestamptz)",
                         gaps[0]["to"], gaps[0]["from"])[0][0]
    assert 3590 < down < 3660
    beats = cluster.query("SELECT max(ended_at) FROM uptime")[0][0]
    wait_for(lambda: cluster.query("SELECT max(ended_at) FROM uptime")[0][0] > beats, 8, 0.2,
             "the end of our life moves")
    assert len(health_of(api, "woo_outlet")["gaps"]) == 1

    cluster.query("ALTER TABLE interaction RENAME TO interaction_gone")
    try:
        for number in range(3):
            customer["id"] = 50 + number
            assert woo.send("customer.created", customer)[0] == 503
            time.sleep(0.6)
    finally:
        cluster.query("ALTER TABLE interaction_gone RENAME TO interaction")
    gaps = wait_for(lambda: (g := health_of(api, "woo_outlet")["gaps"])
                    and g[0]["shed"] == 3 and g, HEALTH_S, 0.1, "503s are shown")
    assert [g["because"] for g in gaps] == ["answered_503", "down"]
    assert gaps[0]["from"] < gaps[0]["to"]
    shop = Shopify(api)
    assert [g["because"] for g in health_of(api)["gaps"]] == [], "not of before it was made"
    assert json.loads(shop.send("themes/publish", {"id": 1}).body)["status"] == "ignored"
    wait_for(lambda: health_of(api)["state"] == "healthy", HEALTH_S, 0.1,
             "what is ignored was believed")


def secrets_of(api, label):
    return next(s for s in api.get("/v1/sources/shopify_main/secrets")["data"]
                if s["label"] == label)


def test_a_shadow_is_checked_beside_what_comes_and_then_made_live(api, shopify):
    for label, secret in (("new", "the-new-one"), ("typo", "the-new-onf")):
        made = api.post("/v1/sources/shopify_main/secrets",
                        {"secret": secret, "label": label, "shadow": True}, expect=201)
        assert (made["shadow_tried"], made["shadow_matches"], made["shadow_since"]) == (0, 0, None)

    def send(number, **more):
        return shopify.send("orders/create", shopify_order(number, 1, "s@example.com"),
                            **more).status

    def checked(label):
        secret = secrets_of(api, label)
        return secret["shadow_tried"], secret["shadow_matches"]

    assert [send(9300 + n) for n in range(3)] == [200] * 3
    wait_for(lambda: checked("new") == (3, 0) and checked("typo") == (3, 0), HEALTH_S, 0.1,
             "what the live one proves is tried with both")
    missed = secrets_of(api, "new")["shadow_missed_at"]
    assert missed is not None
    # The shop has changed over: the live one refuses, the right shadow says so.
    assert [send(9310 + n, secret="the-new-one") for n in range(4)] == [401] * 4
    for number in range(20):  # a stranger spoils nothing
        assert send(9320 + number, secret="forged") == 401
    wait_for(lambda: health_of(api)["counts_24h"]["refused"] == 24, HEALTH_S, 0.1)
    wait_for(lambda: checked("new") == (7, 4) and checked("typo") == (7, 0), HEALTH_S, 0.1)
    new = secrets_of(api, "new")
    assert new["shadow_since"] < new["shadow_missed_at"] and new["last_used_at"] is None

    route = f"/v1/sources/shopify_main/secrets/{new['id']}"
    assert api.call("PATCH", route, {"secret": "another"}).status == 422
    assert api.call("PATCH", route + "?validate_only=true", {"shadow": False}).status == 200
    assert send(9350, secret="the-new-one") == 401
    live = json.loads(api.call("PATCH", route, {"shadow": False}, expect=200).body)
    assert (live["shadow"], live["shadow_matches"], live["label"]) == (False, 4, "new")
    assert send(9351, secret="the-new-one") == 200
    wait_for(lambda: secrets_of(api, "new")["last_used_at"], HEALTH_S, 0.1)
    again = json.loads(api.call("PATCH", route, {"shadow": True}, expect=200).body)
    assert (again["shadow_tried"], again["shadow_since"]) == (0, None), "checked anew"
    assert send(9352, secret="the-new-one") == 401
    assert api.call("PATCH", f"/v1/sources/shopify_main/secrets/{shopify.source['id']}",
                    {"shadow": True}).status == 404


def test_a_source_has_its_own_silence(api, shopify, cluster):
    assert health_of(api)["expected_silence"] == "6h", "the platform's"
    names = next(p for p in api.get("/v1/platforms")["data"] if p["name"] == "shopify")["settings"]
    assert "expected_silence" in names
    for wrong in ("soon", "0s", "400d", 6, ""):
        status = api.call("PATCH", "/v1/sources/shopify_main",
                          {"settings": {"expected_silence": wrong}}).status
        assert status == (200 if wrong == "" else 422), wrong
    api.call("PATCH", "/v1/sources/shopify_main", {"settings": {"expected_silence": "2s"}}, expect=200)
    assert api.get("/v1/sources/shopify_main")["settings"]["expected_silence"] == "2s"
    assert shopify.send("orders/create", shopify_order(9401, 1, "q@example.com")).status == 200
    wait_for(lambda: health_of(api)["state"] == "healthy", HEALTH_S, 0.05)
    wait_for(lambda: health_of(api)["state"] == "silent", HEALTH_S, 0.1)
    rates = health_of(api)["per_minute"]
    assert rates == {"accepted": 0.0, "refused": 0.0}
    cluster.query("UPDATE source_hour SET applied = 600, refused = 90 WHERE source_id = %s",
                  shopify.source["id"])
    rates = health_of(api)["per_minute"]
    assert rates == {"accepted": 10.0, "refused": 1.5}
    api.call("PATCH", "/v1/sources/shopify_main", {"settings": {"expected_silence": None}},
             expect=200)
    assert health_of(api)["expected_silence"] == "6h"


def test_a_silence_rings_once_and_the_next_one_again(api, shopify, cluster, esp):
    alarms = "ops.source_silent"
    listed = next(t for t in api.get("/v1/topics")["data"] if t["topic"] == alarms)
    assert listed["kind"] == "operational" and "profile" not in listed["example"]["data"]
    assert listed["schema"]["properties"]["data"]["required"] == ["source"]
    few = api.post("/v1/keys", {"name": "few", "scopes": ["subscribe", "pii"]}, expect=201)
    refused = shopbell.Api(api.server, few["key"]).call(
        "POST", "/v1/subscriptions", {"name": "no", "url": esp.url, "topics": ["ops.*"]})
    assert refused.status == 403 and b"admin" in refused.body

    def send(number):
        assert shopify.send("orders/create",
                            shopify_order(number, 1, "hush@example.com")).status == 200

    esp.subscribe(api, ["ops.*"])
    everything = shopbell.Receiver()
    everything.subscribe(api, ["*"], "everything")
    api.call("PATCH", "/v1/sources/shopify_main", {"settings": {"expected_silence": "2s"}},
             expect=200)
    send(9501)
    sent = time.monotonic()
    esp.wait_types([alarms])
    assert 2.0 < time.monotonic() - sent < 6.0
    time.sleep(3.5)  # three more looks
    # Nothing but expected_silence changes: the silence is the same one.
    api.call("PATCH", "/v1/sources/shopify_main", {"settings": {"expected_silence": "3s"}},
             expect=200)
    time.sleep(2.5)
    assert len(esp.of_type(alarms)) == 1
    first = esp.of_type(alarms)[0]
    source = api.get("/v1/sources/shopify_main")
    assert first["data"] == {"source": {
        "id": source["id"], "name": "shopify_main", "platform": "shopify",
        "last_accepted_at": first["data"]["source"]["last_accepted_at"], "expected_silence": "2s"}}
    assert first["cause"] == {"kind": "time", "due_at": first["timestamp"]}
    assert source["health"]["state"] == "silent"

    send(9502)
    wait_for(lambda: len(esp.of_type(alarms)) == 2, 9, 0.1, "the second silence rings")
    time.sleep(2.5)
    second = esp.of_type(alarms)[1]
    assert len(esp.of_type(alarms)) == 2 and first["id"] != second["id"]
    assert second["data"]["source"]["last_accepted_at"] > first["timestamp"]
    assert esp.bad_signatures == 0 and [m[2]["type"] for m in esp.messages] == [alarms] * 2
    assert everything.of_type("order.completed") and not everything.of_type(alarms)
    everything.close()

    shown = api.get(f"/v1/notifications/{second['id']}")
    assert shown["profile_id"] is None and shown["body"] == second and shown["pending"] == []
    assert [n["id"] for n in api.get(f"/v1/notifications?topic={alarms}")["data"]] == [
        second["id"], first["id"]]
    attempts = api.get(f"/v1/notifications/{second['id']}/attempts")["data"]
    assert [a["outcome"] for a in attempts] == ["delivered"]
    assert cluster.query("SELECT count(*) FROM profile WHERE id = %s",
                         "00000000-0000-0000-0000-000000000000")[0][0] == 0


def test_a_silence_while_we_were_away_is_ours(own, esp):
    cluster, server = own
    api = make_workspace(server, "away")
    shop = Shopify(api, expected_silence="4s")
    esp.subscribe(api, ["ops.source_silent"])
    assert shop.send("orders/create", shopify_order(1, 1, "away@example.com")).status == 200
    wait_for(lambda: health_of(api)["state"] == "healthy", HEALTH_S, 0.05)
    server.stop()
    # As if it had been ten minutes.
    for table, columns in (("uptime", ("begun_at", "ended_at")),
                           ("source_health", ("last_accepted_at",))):
        cluster.query(f"UPDATE {table} SET " + ", ".join(
            f"{c} = {c} - interval '10 minutes'" for c in columns))
    server.start()
    begun = time.monotonic()
    esp.wait_types(["ops.source_silent"])
    assert time.monotonic() - begun > 2.0, "the shop had no chance to be heard before"


def blocks_read(cluster, table, call):
    """Pages of the table's partitions and their indexes that a call looks at."""
    def so_far():
        return cluster.query(
            "SELECT sum(heap_blks_read + heap_blks_hit + coalesce(idx_blks_read, 0)"
            " + coalesce(idx_blks_hit, 0))::bigint FROM pg_statio_user_tables"
            " WHERE relname ~ %s", f"^{table}_")[0][0]
    cluster.query("SELECT pg_stat_force_next_flush()")  # what our own connection has read
    for _ in range(10):  # by then the statement has its plan
        call()
    time.sleep(1.2)  # a connection reports at most once a second
    call()
    before = so_far()
    time.sleep(1.2)
    call()
    time.sleep(1.2)
    call()
    time.sleep(0.2)
    return so_far() - before


def test_a_quiet_source_beside_a_busy_one(own):
    cluster, server = own
    api = make_workspace(server, "busy")
    quiet, busy = Shopify(api, "quiet"), Shopify(api, "busy")
    for number in range(3):
        assert quiet.send("orders/create", shopify_order(number + 1, 1, "q@example.com")).status == 200
    cluster.query(
        "INSERT INTO webhook SELECT w.workspace_id, w.received_at + g * interval '1 ms',"
        " gen_random_uuid(), %s, w.topic, g::text, w.headers, w.body FROM (SELECT * FROM webhook"
        " WHERE source_id = %s LIMIT 1) w, generate_series(1, 20000) g",
        busy.source["id"], quiet.source["id"])
    cluster.query("ANALYZE webhook")

    def deliveries(name="quiet"):
        return api.get(f"/v1/sources/{name}/deliveries")["data"]
    assert [d["topic"] for d in deliveries()] == ["orders/create"] * 3
    times = [d["received_at"] for d in deliveries("busy")]
    assert len(times) == 50 and times == sorted(times, reverse=True)
    read = blocks_read(cluster, "webhook", deliveries)
    print("pages for 3 deliveries beside 20,000:", read)
    assert read < 400


def test_a_notification_is_found_by_its_id(own, esp):
    cluster, server = own
    api = make_workspace(server, "found")
    esp.subscribe(api, ["order.completed"])
    shop = Shopify(api)
    esp.answer = lambda headers, body: (500, {}, b"")
    assert shop.send("orders/create", shopify_order(1, 1, "found@example.com")).status == 200
    esp.wait_types(["order.completed"])
    made = esp.of_type("order.completed")[0]["id"]
    cluster.query(
        "INSERT INTO notification SELECT n.workspace_id, n.created_at - g * interval '1 second',"
        " gen_random_uuid(), n.profile_id, n.topic, n.sequence, n.body FROM notification n,"
        " generate_series(1, 20000) g")
    cluster.query("ANALYZE notification")

    def show():
        return api.get(f"/v1/notifications/{made}")
    wait_for(lambda: api.get(f"/v1/notifications/{made}/attempts")["data"], 5, 0.1)
    assert show()["type"] == "order.completed" and len(show()["pending"]) == 1
    cluster.query("UPDATE delivery SET due_at = now() + interval '1 hour'")
    cluster.query("CREATE TABLE kept AS SELECT * FROM attempt")
    cluster.query("DELETE FROM attempt")
    pending = blocks_read(cluster, "notification", show)
    cluster.query("INSERT INTO attempt SELECT * FROM kept")
    cluster.query("DELETE FROM delivery")
    assert show()["pending"] == []
    attempted = blocks_read(cluster, "notification", show)
    print("pages for one among 20,000: pending", pending, "attempted", attempted)
    assert pending < 300 and attempted < 400
    cluster.query("UPDATE attempt SET at = at + interval '3 days'")
    assert show()["id"] == made, "attempted late"
    cluster.query("DELETE FROM attempt")
    assert show()["id"] == made, "looked for everywhere"
    api.get("/v1/notifications/0199d2b1-0c2d-7a44-9a55-0b7f3f1e2d10", 404)
