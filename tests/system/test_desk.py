"""The operator's desk: what was sent, what waits, sending again, the brake, endpoints
that fail, and why somebody was told."""

import json
import os
import re
import subprocess
import sys
import threading
import time

import pytest
import shopbell
from shopbell import Receiver, Server, Shopify, make_workspace, shopify_order, wait_for


@pytest.fixture
def shop(api):
    return Shopify(api)


def order(shop, number, email="jane@example.com", customer=1, **more):
    answer = shop.send("orders/create", shopify_order(number, customer, email, **more))
    assert answer.status == 200, answer.body


def pages(api, path):
    """All items of a list, and that no token goes in a circle."""
    token, items, seen = None, [], set()
    while True:
        more = f"{'&' if '?' in path else '?'}page_token={token}" if token else ""
        page = api.get(path + more)
        items += page["data"]
        token = page["next_page_token"]
        if not token:
            return items
        assert token not in seen
        seen.add(token)


def attempts_of(api, name="mailhouse", more=""):
    return pages(api, f"/v1/attempts?subscription={name}{more}")


def pending_of(api, name="mailhouse", more=""):
    return pages(api, f"/v1/deliveries?subscription={name}{more}")


def subscribe_key(api, name="esp"):
    made = api.post("/v1/keys", {"name": name, "scopes": ["subscribe", "pii"]}, expect=201)
    key = shopbell.Api(api.server, made["key"])
    wait_for(lambda: key.call("GET", "/v1/subscriptions").status == 200, 5, 0.05)
    return key


def finished(api, job_id, seconds=40):
    return wait_for(lambda: (job := api.get(f"/v1/jobs/{job_id}"))["finished_at"] and job, seconds,
                    0.05, "the job has ended")


def fail_all(esp, status=500):
    """No retry for an hour, but those that a test asks for: a first one, five seconds later,
    would meet a test that is slow."""
    esp.answer = lambda *_: (status, {"Retry-After": "3600"}, b"")


def give_up(cluster, name):
    """As if the schedule were at its end: the next failure is the last."""
    cluster.query("UPDATE delivery d SET attempt = 9, due_at = now() FROM subscription s"
                  " WHERE s.name = %s AND d.subscription_id = s.id", name)


def settled_one(server, esp):
    """A workspace in which one notification was sent; see fill_log."""
    api = make_workspace(server, "aurora")
    esp.subscribe(api, ["order.completed"])
    order(Shopify(api), 1)
    wait_for(lambda: attempts_of(api), 10, 0.05)
    return api


def is_held(server, name):
    metrics = server.request("GET", "/metrics", port=server.admin_port).body.decode()
    return f'shopbell_workspace_held{{workspace="{name}"}} 1' in metrics


# --- lists ------------------------------------------------------------------------


def test_attempts_show_the_call_without_its_secrets(api, shop, esp):
    secret = "tok-0123456789abcdef"
    esp.subscribe(api, ["order.completed"], url=esp.url + "?account=8841&api_key=" + secret,
                  headers={"X-Api-Token": "Bearer " + secret, "X-Account": "8841"})
    # An endpoint that answers with the request.
    esp.answer = lambda headers, _: (422, {}, ("bad: " + headers["x-api-token"]).encode())
    order(shop, 11)
    esp.wait_types(["order.completed"])
    [attempt] = wait_for(lambda: attempts_of(api), 5, 0.05)
    assert attempt["request"] == {
        "method": "POST", "url": esp.url + "?account=8841&api_key=***",
        "headers": {"X-Account": "8841", "X-Api-Token": "***"},
        "body_bytes": attempt["request"]["body_bytes"]}
    assert attempt["response"]["status"] == 422 and attempt["topic"] == "order.completed"
    for path in ("/v1/attempts", f"/v1/notifications/{attempt['notification_id']}/attempts",
                 "/v1/deliveries"):
        assert secret not in json.dumps(api.get(path)), path
    [waiting] = pending_of(api)
    assert waiting["status"] == "retrying" and waiting["attempts"] == 1
    assert waiting["last_attempt"]["response_status"] == 422
    assert waiting["notification_id"] == attempt["notification_id"]


def test_lists_are_narrowed_and_paged(api, shop, esp):
    esp.subscribe(api, ["order.completed", "customer.created"])
    other = Receiver()
    other.subscribe(api, ["order.completed"], "other")
    fail_all(other)
    for n in range(12):
        order(shop, 20 + n, f"c{n}@example.com", 20 + n)
    wait_for(lambda: len(esp.of_type("order.completed")) == 12
             and len(other.of_type("order.completed")) == 12, 10, 0.05)
    wait_for(lambda: len(attempts_of(api, "other")) == 12, 5, 0.05)
    wait_for(lambda: len(attempts_of(api)) == len(esp.messages), 5, 0.05)
    assert {a["subscription"] for a in attempts_of(api, "other")} == {"other"}
    assert {a["outcome"] for a in attempts_of(api, "other")} == {"retry"}
    assert attempts_of(api, "other", "&outcome=delivered") == []
    assert len(pages(api, "/v1/attempts?outcome=retry&page_size=5")) == 12
    some = attempts_of(api, more="&topic=order.completed&page_size=5")
    assert len(some) == 12 and {a["topic"] for a in some} == {"order.completed"}
    profile = some[0]["profile_id"]
    assert len(pages(api, f"/v1/attempts?profile={profile}&topic=order.completed")) == 2
    assert len(pages(api, f"/v1/notifications?profile={profile}&topic=order.completed")) == 1
    assert len(pages(api, "/v1/notifications?topic=order.completed&page_size=5")) == 12
    assert len(pages(api, "/v1/notifications?subscription=other&page_size=5")) == 12
    assert len(pages(api, "/v1/notifications?subscription=mailhouse")) == len(esp.messages)
    waiting = pending_of(api, "other", "&page_size=5")
    assert len(waiting) == 12 and len({d["id"] for d in waiting}) == 12
    assert [d["due_at"] for d in waiting] == sorted(d["due_at"] for d in waiting)
    assert pending_of(api) == []
    assert len(pages(api, f"/v1/deliveries?profile={profile}")) == 1
    assert pages(api, "/v1/deliveries?topic=customer.created") == []
    assert len(pages(api, "/v1/deliveries?status=retrying&page_size=5")) == 12
    assert pages(api, "/v1/deliveries?status=held") == []
    counted = api.get("/v1/deliveries?include=total&page_size=1&fields=id,status")
    assert counted["total"] == {"count": 12, "exact": True}
    assert set(counted["data"][0]) == {"id", "status"}
    middle = some[6]["at"]
    older = attempts_of(api, more=f"&topic=order.completed&to={middle}")
    newer = attempts_of(api, more=f"&topic=order.completed&from={middle}")
    assert len(older) + len(newer) == 12 and all(a["at"] < middle for a in older)
    made = pages(api, "/v1/notifications?topic=order.completed")
    cut = made[5]["created_at"]
    assert {n["id"] for n in pages(api, f"/v1/notifications?topic=order.completed&from={cut}")} == {
        n["id"] for n in made if n["created_at"] >= cut}
    other.close()


@pytest.mark.parametrize("query,parameter,says", [
    ("attempts?outcome=deliverd", "outcome", "delivered"),
    ("deliveries?status=retryng", "status", "retrying"),
    ("deliveries?from=yesterday", "from", "instant"),
    ("notifications?to=2026", "to", "instant"),
    ("deliveries?topic=a.b&include=total", "include", "total"),
    ("attempts?sort=at", "sort", "no parameter"),
    ("attempts?profile=0199d2b1-0c2d-7a44-9a55-0b7f3f1e2d10&subscription=x", "profile", "both"),
])
def test_a_wrong_query_is_told_precisely(api, query, parameter, says):
    problem = api.get("/v1/" + query, 422)
    assert problem["errors"][0]["pointer"] == f"#/query/{parameter}", problem
    assert says in json.dumps(problem)


def test_a_subscribe_key_sees_its_own_only(api, shop, esp):
    key = subscribe_key(api)
    mine = Receiver()
    mine.subscribe(key, ["order.completed"], "mine")
    esp.subscribe(api, ["order.completed"])
    fail_all(esp)
    fail_all(mine)
    order(shop, 41)
    wait_for(lambda: len(attempts_of(api, "mine")) == 1 and len(attempts_of(api)) == 1, 5, 0.05)
    assert {a["subscription"] for a in pages(key, "/v1/attempts")} == {"mine"}
    assert {d["subscription"] for d in pages(key, "/v1/deliveries")} == {"mine"}
    assert len(pages(api, "/v1/deliveries")) == 2
    for path in ("attempts?subscription=mailhouse", "deliveries?subscription=mailhouse",
                 "subscriptions/mailhouse/stats"):
        key.get("/v1/" + path, 404)
    assert key.get("/v1/subscriptions/mine/stats")["subscription"] == "mine"
    notification = pages(key, "/v1/attempts")[0]["notification_id"]
    for path in (f"notifications/{notification}/explain", "notifications"):
        assert key.call("GET", "/v1/" + path).status == 403
    replayed = key.post(f"/v1/notifications/{notification}/replay", expect=202)
    assert [d["subscription"] for d in replayed["deliveries"]] == ["mine"]
    key.post("/v1/subscriptions/mailhouse/replay", {"since": "2026-01-01T00:00:00Z"}, expect=404)
    mine.close()


BIG = ("attempt", "notification", "delivery")
DESK_FILES = ("src/store/attempt_read.c", "src/store/delivery_read.c", "src/store/care_store.c",
              "src/store/delivery_replay.c", "src/store/notification_read.c",
              "src/store/endpoint_hour.c", "src/store/delivery_hold.c")
# A queue is counted whole, up to a limit; one notification's pending delivery is
# looked for in a table that is small by design.
WHOLE = {"delivery_count", "delivery_count_subscription", "notification_pending",
         "notification_deliveries"}


def test_the_desk_reads_by_indexes(cluster):
    """With the generic plans of a busy month: no scan of a table that grows."""
    sys.path.insert(0, os.path.join(shopbell.ROOT, "tests", "lint"))
    from test_sql import statements
    connection = cluster.connect()
    workspace = "44444444-4444-7444-8444-444444444444"
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(
            "INSERT INTO notification SELECT %s, now() - g %% 3 * interval '1 day', md5(g::text)::uuid,"
            " md5((g %% 900)::text)::uuid, 'order.completed', 1, '{}' FROM generate_series(1, 30000) g",
            (workspace,))
        cursor.execute(
            "INSERT INTO attempt (workspace_id, at, id, notification_id, subscription_id, profile_id,"
            " number, outcome, response_status, duration_ms, body_bytes, error, response,"
            " notification_created_at) SELECT workspace_id, created_at + interval '1 s',"
            " md5('a' || id)::uuid, id, md5((sequence + ascii(id::text)) ::text)::uuid, profile_id, 1,"
            " 'delivered', 200, 5, 1, '', '', created_at FROM notification WHERE workspace_id = %s",
            (workspace,))
        cursor.execute(
            "INSERT INTO delivery (workspace_id, id, notification_id, notification_created_at,"
            " subscription_id, profile_id, sequence, due_at) SELECT workspace_id, md5('d' || id)::uuid,"
            " id, created_at, md5(ascii(id::text)::text)::uuid, profile_id, 1, now() FROM notification"
            " WHERE workspace_id = %s", (workspace,))
        cursor.execute("ANALYZE attempt, notification, delivery")
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        cursor.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND reltuples > 1000")
        filled = {row[0] for row in cursor.fetchall()}
        seen, faults = 0, []
        for path, name, sql in statements():
            if path not in DESK_FILES or not sql.startswith(("SELECT", "WITH", "DELETE")):
                continue
            seen += 1
            count = max(int(n) for n in re.findall(r"\$(\d+)", sql))
            cursor.execute("DEALLOCATE ALL")
            cursor.execute(f"PREPARE s AS {sql.replace('%', '%%')}")
            cursor.execute(f"EXPLAIN (FORMAT JSON) EXECUTE s({', '.join(['NULL'] * count)})")
            faults += [f"{name}: sequential scan of {node['Relation Name']}"
                       for node in walk(cursor.fetchone()[0][0]["Plan"])
                       if node["Node Type"] == "Seq Scan" and node["Relation Name"] in filled
                       and name.removesuffix("_sql") not in WHOLE]
        cursor.execute("ROLLBACK")
    connection.close()
    assert seen > 20 and not faults, "\n".join(faults)


def walk(plan):
    yield plan
    for child in plan.get("Plans", []):
        yield from walk(child)


# --- replay -----------------------------------------------------------------------


def test_one_notification_is_sent_again_as_it_was(api, shop, esp):
    esp.subscribe(api, ["order.completed"])
    order(shop, 51)
    esp.wait_types(["order.completed"])
    first = esp.messages[-1]
    wait_for(lambda: attempts_of(api), 5, 0.05)
    path = f"/v1/notifications/{first[2]['id']}/replay"
    checked = api.post(path + "?validate_only=true", expect=200)
    assert [d["result"] for d in checked["deliveries"]] == ["queued"]
    again = api.post(path, {"subscription": "mailhouse"}, expect=202)
    assert again["deliveries"] == [{"subscription": "mailhouse", "subscription_status": "active",
                                    "result": "queued"}]
    wait_for(lambda: len(esp.of_type("order.completed")) == 2, 5, 0.02)
    time.sleep(0.6)
    assert len(esp.of_type("order.completed")) == 2, "validate_only queued nothing"
    second = esp.messages[-1]
    assert second[1] == first[1] and second[0]["webhook-id"] == first[0]["webhook-id"]
    assert esp.bad_signatures == 0
    # What is pending already is not doubled.
    fail_all(esp)
    assert api.post(path, expect=202)["deliveries"][0]["result"] == "queued"
    wait_for(lambda: pending_of(api, more="&status=retrying"), 5, 0.05)
    assert api.post(path, expect=202)["deliveries"][0]["result"] == "pending"
    assert len(pending_of(api)) == 1


def test_a_replay_refuses_what_it_cannot_do(api, shop, esp, cluster):
    esp.subscribe(api, ["order.completed"])
    other = Receiver()
    other.subscribe(api, ["customer.created"], "other")
    order(shop, 61)
    esp.wait_types(["order.completed"])
    wait_for(lambda: attempts_of(api), 5, 0.05)
    made = esp.of_type("order.completed")[0]["id"]
    path = f"/v1/notifications/{made}/replay"
    refused = api.post(path, {"subscription": "other"}, expect=422)
    assert refused["errors"][0]["pointer"] == "#/subscription" and "other" in refused["detail"]
    unknown = api.post(path, {"subscripton": "other"}, expect=422)
    assert "subscription" in json.dumps(unknown["errors"])
    api.post("/v1/notifications/0199d2b1-0c2d-7a44-9a55-0b7f3f1e2d10/replay", expect=404)
    api.post("/v1/notifications/nonsense/replay", expect=404)
    for body, pointer in (({}, "#/since"), ({"since": "yesterday"}, "#/since"),
                          ({"since": "2026-01-01T00:00:00Z", "status": "broken"}, "#/status"),
                          ({"since": "2020-01-02T00:00:00Z", "until": "2020-01-01T00:00:00Z"},
                           "#/since")):
        problem = api.post("/v1/subscriptions/mailhouse/replay", body, expect=422)
        assert problem["errors"][0]["pointer"] == pointer, problem
    other.close()


def test_whoever_asks_for_it_again_knows_how_old_it_is(api, shop, esp, cluster):
    """max_age counts from the replay: an endpoint that was down for longer misses nothing."""
    esp.subscribe(api, ["order.completed"], max_age="1m")
    order(shop, 62)
    esp.wait_types(["order.completed"])
    wait_for(lambda: attempts_of(api), 5, 0.05)
    made = esp.of_type("order.completed")[0]["id"]
    cluster.query("UPDATE notification SET created_at = created_at - interval '2 minutes'"
                  " WHERE id = %s", made)
    again = api.post(f"/v1/notifications/{made}/replay", expect=202)
    assert again["deliveries"][0]["result"] == "queued"
    wait_for(lambda: len(esp.of_type("order.completed")) == 2, 5)
    wait_for(lambda: len(attempts_of(api, more="&outcome=delivered")) == 2, 5, 0.05)


def test_a_replay_keeps_the_order_about_a_customer(api, shop, esp, cluster):
    """By sequence, within a commit by the order of decision, and before what is newer."""
    topics = ["order.completed", "customer.created", "profile.created", "lifecycle.changed"]
    esp.subscribe(api, topics, ordering="profile")
    began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 60))
    for n in range(6):
        order(shop, 90 + n, "ordered@example.com", 90)
    wait_for(lambda: pending_of(api) == [] and len(esp.messages) > 6, 10, 0.05)
    first = [m[2]["id"] for m in esp.messages]
    assert len({m[2]["sequence"] for m in esp.messages}) < len(first), "some are of one commit"
    # One was sent again since: its place is the one it had.
    api.post(f"/v1/notifications/{first[1]}/replay", expect=202)
    wait_for(lambda: pending_of(api) == [] and len(esp.messages) > len(first), 10, 0.05)
    api.post("/v1/subscriptions/mailhouse/pause", expect=200)
    order(shop, 99, "ordered@example.com", 90)
    job = api.post("/v1/subscriptions/mailhouse/replay", {"since": began, "status": "all"},
                   expect=202)
    assert finished(api, job["id"])["result"]["queued"] == len(first)
    before = len(esp.messages)
    api.post("/v1/subscriptions/mailhouse/resume", expect=200)
    wait_for(lambda: pending_of(api) == [], 30, 0.1)
    again = [m[2] for m in esp.messages[before:]]
    assert [m["id"] for m in again[:len(first)]] == first
    assert again[len(first):] and all(m["sequence"] > again[len(first) - 1]["sequence"]
                                      for m in again[len(first):])


def test_all_that_failed_since_is_sent_again(api, shop, esp, cluster):
    esp.subscribe(api, ["order.completed"])
    began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 60))
    for n in range(5):
        order(shop, 70 + n, f"ok{n}@example.com", 70 + n)
    wait_for(lambda: len(attempts_of(api, more="&outcome=delivered")) == 5, 5, 0.05)
    fail_all(esp)
    for n in range(7):
        order(shop, 80 + n, f"no{n}@example.com", 80 + n)
    wait_for(lambda: len(attempts_of(api, more="&outcome=retry")) == 7, 5, 0.05)
    give_up(cluster, "mailhouse")
    wait_for(lambda: len(attempts_of(api, more="&outcome=gave_up")) == 7, 10, 0.05)
    assert pending_of(api) == []
    failed = {a["notification_id"] for a in attempts_of(api, more="&outcome=gave_up")}
    esp.answer = None
    before = len(esp.messages)
    job = api.post("/v1/subscriptions/mailhouse/replay", {"since": began}, expect=202)
    assert job["kind"] == "delivery_replay" and job["parameters"]["status"] == "failed"
    done = finished(api, job["id"])
    assert done["status"] == "succeeded" and done["result"] == {
        "queued": 7, "pending": 0, "missing": 0}
    wait_for(lambda: len(esp.messages) == before + 7, 10, 0.05)
    assert {m[2]["id"] for m in esp.messages[before:]} == failed
    # Now they are delivered: nothing is left that failed, and all are twelve.
    wait_for(lambda: pending_of(api) == [], 5, 0.05)
    job = api.post("/v1/subscriptions/mailhouse/replay", {"since": began}, expect=202)
    assert finished(api, job["id"])["result"]["queued"] == 0
    job = api.post("/v1/subscriptions/mailhouse/replay", {"since": began, "status": "all"},
                   expect=202)
    assert finished(api, job["id"])["result"]["queued"] == 12
    wait_for(lambda: len(esp.messages) == before + 7 + 12, 10, 0.05)


def test_a_replay_beside_the_sender_neither_doubles_nor_loses(api, shop, esp):
    """Replays asked for while the same deliveries are settled."""
    esp.subscribe(api, ["order.completed"])
    for n in range(20):
        order(shop, 300 + n, f"r{n}@example.com", 300 + n)
    wait_for(lambda: len(attempts_of(api)) == 20, 10, 0.05)
    ids = [m[2]["id"] for m in esp.messages]
    results = []

    def ask(notification):
        for _ in range(6):
            answer = api.post(f"/v1/notifications/{notification}/replay", expect=202)
            results.append(answer["deliveries"][0]["result"])

    threads = [threading.Thread(target=ask, args=(one,)) for one in ids for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    queued = results.count("queued")
    assert len(results) == 20 * 12 and set(results) <= {"queued", "pending"}
    wait_for(lambda: pending_of(api) == [], 20, 0.1, "all is settled")
    wait_for(lambda: len(attempts_of(api)) == 20 + queued, 10, 0.1)
    assert len(esp.messages) == 20 + queued


def fill_log(cluster, name, count, outcome="gave_up"):
    """Copies of one settled notification, as if so many had failed."""
    cluster.query(
        "WITH s AS (SELECT * FROM subscription WHERE name = %s), n AS (SELECT n.* FROM notification n"
        " JOIN s ON s.workspace_id = n.workspace_id LIMIT 1), c AS (INSERT INTO notification"
        " SELECT n.workspace_id, n.created_at, gen_random_uuid(), n.profile_id, n.topic, n.sequence,"
        " n.body FROM n, generate_series(1, %s) RETURNING *)"
        " INSERT INTO attempt (workspace_id, at, id, notification_id, subscription_id, profile_id,"
        " number, outcome, response_status, duration_ms, body_bytes, error, response,"
        " notification_created_at) SELECT c.workspace_id, c.created_at"
        " - (row_number() OVER ()) * interval '1 ms', gen_random_uuid(), c.id, s.id, c.profile_id, 10, %s,"
        " 500, 3, 1, '', '', c.created_at FROM c, s", name, count, outcome)
    cluster.query("ANALYZE attempt, notification")  # as autovacuum would, in time


def test_a_replay_survives_kill_9(own_cluster, tmp_path, esp):
    cluster = own_cluster
    server = Server(cluster, str(tmp_path)).migrate().start()
    try:
        api = settled_one(server, esp)
        api.post("/v1/subscriptions/mailhouse/pause", expect=200)
        fill_log(cluster, "mailhouse", 6000)
        job = api.post("/v1/subscriptions/mailhouse/replay",
                       {"since": "2026-01-01T00:00:00Z"}, expect=202)
        kills = 0
        for _ in range(3):
            wait_for(lambda: cluster.query("SELECT count(*) FROM delivery")[0][0] > kills * 400, 30,
                     0.002)
            server.kill()
            kills += 1
            # The lease of the dead one is not waited for.
            cluster.query("UPDATE job SET lease_until = now()")
            queued = cluster.query("SELECT count(*) FROM delivery")[0][0]
            cursor = cluster.query("SELECT cursor FROM job WHERE kind = 'delivery_replay'")[0][0]
            assert queued == cursor.get("queued", 0), "the cursor says what is queued"
            server.start()
        done = finished(api, job["id"])
        assert done["result"] == {"queued": 6000, "pending": 0, "missing": 0}
        assert cluster.query("SELECT count(*), count(DISTINCT notification_id) FROM delivery")[0] == (
            6000, 6000)
        # Asked for again, all of it waits already.
        job = api.post("/v1/subscriptions/mailhouse/replay",
                       {"since": "2026-01-01T00:00:00Z"}, expect=202)
        assert finished(api, job["id"])["result"]["pending"] == 6000
        # A cancelled one leaves what it has done.
        cluster.query("DELETE FROM delivery")
        fill_log(cluster, "mailhouse", 20000)
        job = api.post("/v1/subscriptions/mailhouse/replay",
                       {"since": "2026-01-01T00:00:00Z"}, expect=202)
        wait_for(lambda: cluster.query("SELECT count(*) FROM delivery")[0][0] > 0, 10, 0.005)
        api.post(f"/v1/jobs/{job['id']}/cancel", expect=200)
        done = finished(api, job["id"])
        assert done["status"] == "cancelled" and 0 < done["result"]["queued"] < 26000
        assert cluster.query("SELECT count(*) FROM delivery")[0][0] == done["result"]["queued"]
    finally:
        server.process and server.kill()


# --- pause, hold, release ------------------------------------------------------------


def test_a_pause_acts_at_once_and_resume_sends_what_waited(api, shop, esp):
    esp.subscribe(api, ["order.completed"])
    slow = threading.Event()
    esp.answer = lambda *_: (slow.wait(0.05), (200, {}, b""))[1]
    for n in range(40):
        order(shop, 400 + n, f"p{n}@example.com", 400 + n)
    api.post("/v1/subscriptions/mailhouse/pause", expect=200)
    paused = time.monotonic()
    time.sleep(0.4)
    late = [m for m in esp.messages if m[3] > paused + 0.02 * shopbell.SLOW + 0.05]
    assert not late, [m[3] - paused for m in late]
    count = len(esp.messages)
    order(shop, 499, "p99@example.com", 499)
    time.sleep(0.5)
    assert len(esp.messages) == count
    assert {d["status"] for d in pending_of(api)} == {"paused"}
    esp.answer = None
    api.post("/v1/subscriptions/mailhouse/resume", expect=200)
    resumed = time.monotonic()
    wait_for(lambda: len({m[2]["id"] for m in esp.messages}) == 41, 10, 0.02)
    print("resumed within", round(time.monotonic() - resumed, 2), "s")
    assert time.monotonic() - resumed < 4 * shopbell.SLOW
    assert len(esp.messages) == 41, "each once"


def test_the_brake(api, shop, esp, server):
    esp.subscribe(api, ["order.completed"])
    order(shop, 500)
    esp.wait_types(["order.completed"])
    name = api.workspace
    held = api.post(f"/v1/workspaces/{name}/hold", {"reason": "wrong prices"}, expect=200)
    assert held["held_at"] and held["held_reason"] == "wrong prices"
    time.sleep(0.05)  # an endpoint's settings are believed for 20 ms
    assert api.get(f"/v1/workspaces/{name}")["held_reason"] == "wrong prices"
    for n in range(5):
        order(shop, 501 + n, f"h{n}@example.com", 501 + n)  # accepted all the same
    time.sleep(1.0)
    assert len(esp.messages) == 1
    assert {d["status"] for d in pending_of(api)} <= {"held", "sending"}
    wait_for(lambda: {d["status"] for d in pending_of(api)} == {"held"}, 5, 0.05)
    assert len(pending_of(api)) == 5
    assert api.get("/v1/subscriptions/mailhouse/stats")["pending"]["held"] is True
    assert is_held(server, name)
    status = json.loads(server.command("status", "--workspace", name, "--json").stdout)
    assert status["workspaces"][0]["held"] and (
        status["workspaces"][0]["held_reason"] == "wrong prices")
    again = api.post(f"/v1/workspaces/{name}/hold", {"reason": "still"}, expect=200)
    assert again["held_at"] == held["held_at"] and again["held_reason"] == "still"
    released = api.post(f"/v1/workspaces/{name}/release", expect=200)
    assert released["held_at"] is None and released["dropped_deliveries"] == 0
    wait_for(lambda: len(esp.messages) == 6, 5, 0.02, "what waited is sent")
    assert len({m[2]["id"] for m in esp.messages}) == 6
    wait_for(lambda: pending_of(api) == [], 5, 0.05)


def test_the_brake_refuses_nonsense(api):
    path = f"/v1/workspaces/{api.workspace}"
    unknown = api.post(path + "/hold", {"raeson": "x"}, expect=422)
    assert "reason" in json.dumps(unknown["errors"])
    wrong = api.post(path + "/release", {"drop_older_than": "2h"}, expect=422)
    assert wrong["errors"][0]["pointer"] == "#/drop_older_than" and "not held" in wrong["detail"]
    api.post(path + "/hold", expect=200)
    api.post(path + "/release", {"drop_older_than": "2 hours"}, expect=422)
    assert api.get(path)["held_at"]
    api.post("/v1/workspaces/nobody/hold", expect=404)
    key = subscribe_key(api, "few")
    assert key.call("POST", path + "/release", {}).status == 403
    api.post(path + "/release", expect=200)


def test_release_drops_what_grew_old(api, shop, esp, cluster):
    esp.subscribe(api, ["order.completed"])
    path = f"/v1/workspaces/{api.workspace}"
    api.post(path + "/hold", expect=200)
    time.sleep(0.05)
    for n in range(6):
        order(shop, 520 + n, f"d{n}@example.com", 520 + n)
    wait_for(lambda: len(pending_of(api, more="&status=held")) == 6, 5, 0.05)
    old = [d["id"] for d in pending_of(api)][:4]
    # Made three hours ago: the notification and its delivery.
    cluster.query("UPDATE notification n SET created_at = n.created_at - interval '3 hours'"
                  " FROM delivery d WHERE d.id = ANY (%s::uuid[]) AND n.id = d.notification_id", old)
    cluster.query("UPDATE delivery SET notification_created_at = notification_created_at"
                  " - interval '3 hours' WHERE id = ANY (%s::uuid[])", old)
    released = api.post(path + "/release", {"drop_older_than": "2h"}, expect=200)
    assert released["dropped_deliveries"] == 4 and released["held_at"] is None
    wait_for(lambda: pending_of(api) == [], 5, 0.05)
    assert len(esp.messages) == 2
    dropped = attempts_of(api, more="&outcome=dropped")
    assert len(dropped) == 4 and "too old" in dropped[0]["error"]
    stats = api.get("/v1/subscriptions/mailhouse/stats")["windows"]["1h"]
    assert stats["attempts"] == 2, "what was dropped was no call"
    # They are not lost: "all" brings them back.
    job = api.post("/v1/subscriptions/mailhouse/replay",
                   {"since": "2026-01-01T00:00:00Z", "status": "failed"}, expect=202)
    assert finished(api, job["id"])["result"]["queued"] == 0
    job = api.post("/v1/subscriptions/mailhouse/replay",
                   {"since": "2026-01-01T00:00:00Z", "status": "all"}, expect=202)
    assert finished(api, job["id"])["result"]["queued"] == 6
    wait_for(lambda: len(esp.messages) == 8, 5, 0.05)


def test_nothing_starts_after_a_hold_on_any_instance(own_cluster, tmp_path, esp):
    """1,000 wait; two instances send; the brake holds on both, and through a restart."""
    cluster = own_cluster
    first = Server(cluster, str(tmp_path)).migrate().start()
    second = Server(cluster, str(tmp_path)).start()
    try:
        api = settled_one(first, esp)
        esp.answer = lambda *_: (time.sleep(0.02), (200, {}, b""))[1]
        fill_log(cluster, "mailhouse", 1000)
        job = api.post("/v1/subscriptions/mailhouse/replay", {"since": "2026-01-01T00:00:00Z"},
                       expect=202)
        assert finished(api, job["id"])["result"]["queued"] == 1000
        wait_for(lambda: len(esp.messages) > 100, 20, 0.005)
        api.post("/v1/workspaces/aurora/hold", {"reason": "stop"}, expect=200)
        held = time.monotonic()
        time.sleep(1.5)
        # This instance at once; the other within its poll.
        late = [m[3] - held for m in esp.messages if m[3] > held]
        print("started after the answer:", len(late), "the last after",
              round(max(late, default=0) * 1000), "ms")
        assert max(late, default=0) < 0.35 * shopbell.SLOW, late
        count = len(esp.messages)
        assert count < 1001
        first.stop()
        first.start()
        time.sleep(1.0)
        assert len(esp.messages) == count, "the brake survives a restart"
        wait_for(lambda: cluster.query("SELECT count(*) FROM delivery")[0][0] == 1001 - count, 5)
        esp.answer = None
        api.post("/v1/workspaces/aurora/release", expect=200)
        released = time.monotonic()
        wait_for(lambda: len({m[0]["webhook-id"] for m in esp.messages}) == 1001, 30, 0.05)
        print("all sent", round(time.monotonic() - released, 1), "s after the release")
        assert len(esp.messages) == 1001, "each once"
    finally:
        for server in (first, second):
            server.process and server.stop()


# --- care ------------------------------------------------------------------------------


FAILING, DISABLED = "ops.subscription_failing", "ops.subscription_disabled"


def set_back(cluster, name, hours):
    cluster.query("UPDATE subscription SET failing_since = failing_since - %s * interval '1 hour'"
                  " WHERE name = %s", hours, name)


def again(api, cluster, esp, name="sick"):
    """One more attempt of what fails, now."""
    count = len(esp.messages)
    cluster.query("UPDATE delivery d SET due_at = now(), attempt = 1 FROM subscription s WHERE"
                  " s.name = %s AND d.subscription_id = s.id", name)
    wait_for(lambda: len(esp.messages) > count, 10, 0.02, "it was called again")


def test_five_days_of_failures(api, shop, esp, cluster):
    topics = {t["topic"]: t for t in api.get("/v1/topics")["data"]}
    for topic in (FAILING, DISABLED):
        assert topics[topic]["kind"] == "operational"
        assert topics[topic]["example"]["data"]["subscription"]["name"] == "mailhouse"
        assert topics[topic]["schema"]["properties"]["data"]["required"] == ["subscription"]
    assert topics[DISABLED]["example"]["data"]["subscription"]["status"] == "disabled"
    sick = Receiver()
    sick.subscribe(api, ["order.completed"], "sick")
    esp.subscribe(api, ["ops.*"])
    fail_all(sick)
    order(shop, 600)
    sick.wait_types(["order.completed"])

    def stats():
        return api.get("/v1/subscriptions/sick/stats")

    wait_for(lambda: stats()["failing_since"], 6, 0.1, "it is seen to fail")
    for hours, percent in ((61, 50), (24, 70), (24, 90)):
        set_back(cluster, "sick", hours)
        again(api, cluster, sick)
        wait_for(lambda: len(esp.messages) and esp.messages[-1][2]["data"]["subscription"][
            "failing_percent"] == percent, 8, 0.1, f"{percent} % is told")
    assert [m[2]["type"] for m in esp.messages] == [FAILING] * 3
    told = esp.messages[-1][2]["data"]["subscription"]
    assert told["name"] == "sick" and told["status"] == "active" and told["failing_since"]
    set_back(cluster, "sick", 12)
    again(api, cluster, sick)
    esp.wait_types([DISABLED])
    gone = esp.of_type(DISABLED)[0]["data"]["subscription"]
    assert gone["status"] == "disabled" and gone["reason"] == "failing_5d"
    shown = api.get("/v1/subscriptions/sick")
    assert (shown["status"], shown["status_reason"]) == ("disabled", "failing_5d")
    assert {d["status"] for d in pending_of(api, "sick")} == {"paused"}
    time.sleep(4.5)  # two more looks
    assert len(esp.messages) == 4 and len({m[2]["id"] for m in esp.messages}) == 4
    # Resumed, it begins anew, and what waited is sent.
    sick.answer = None
    count = len(sick.messages)
    cluster.query("UPDATE delivery d SET due_at = now() FROM subscription s WHERE s.name = 'sick'"
                  " AND d.subscription_id = s.id")
    api.post("/v1/subscriptions/sick/resume", expect=200)
    wait_for(lambda: len(sick.messages) > count, 10, 0.05)
    assert stats()["failing_since"] is None and stats()["failing_told_percent"] == 0
    time.sleep(2.5)
    assert api.get("/v1/subscriptions/sick")["status"] == "active"
    sick.close()


def test_a_success_resets(api, shop, esp, cluster):
    sick = Receiver()
    sick.subscribe(api, ["order.completed"], "sick")
    esp.subscribe(api, ["ops.*"])
    fail_all(sick)
    order(shop, 620)
    sick.wait_types(["order.completed"])
    wait_for(lambda: api.get("/v1/subscriptions/sick/stats")["failing_since"], 6, 0.1)
    set_back(cluster, "sick", 90)
    sick.answer = None
    order(shop, 621, "well@example.com", 621)
    wait_for(lambda: api.get("/v1/subscriptions/sick/stats")["failing_since"] is None, 6, 0.1)
    fail_all(sick)
    again(api, cluster, sick)
    wait_for(lambda: api.get("/v1/subscriptions/sick/stats")["failing_since"], 6, 0.1)
    time.sleep(2.5)
    assert esp.messages == [], "the time before the success does not count"
    sick.close()


def test_410_is_told_once(api, shop, esp):
    gone = Receiver()
    gone.subscribe(api, ["order.completed"], "gone")
    esp.subscribe(api, ["ops.*"])
    fail_all(gone, 410)
    order(shop, 640)
    esp.wait_types([DISABLED])
    told = esp.of_type(DISABLED)[0]["data"]["subscription"]
    assert told["reason"] == "gone_410" and told["failing_since"] is None
    time.sleep(4.5)
    assert len(esp.messages) == 1
    gone.close()


# --- statistics, explain, the command line -----------------------------------------------


def test_statistics_of_an_endpoint(api, shop, esp, server):
    esp.subscribe(api, ["order.completed"])
    esp.answer = lambda *_: (time.sleep(0.03), (200, {}, b""))[1]
    for n in range(9):
        order(shop, 700 + n, f"s{n}@example.com", 700 + n)
    wait_for(lambda: len(esp.messages) == 9, 10, 0.05)
    fail_all(esp)
    order(shop, 710, "s10@example.com", 710)
    wait_for(lambda: api.get("/v1/subscriptions/mailhouse/stats")["windows"]["7d"]["attempts"] == 10,
             5, 0.1)
    stats = api.get("/v1/subscriptions/mailhouse/stats")
    for window in ("1h", "24h", "7d"):
        one = stats["windows"][window]
        assert one["attempts"] == 10 and one["success_rate"] == 0.9, (window, one)
        assert one["outcomes"]["delivered"] == 9 and one["outcomes"]["retry"] == 1
        assert 20 <= one["p50_ms"] <= one["p95_ms"] <= one["p99_ms"] < 5000
    pending = stats["pending"]
    assert (pending["count"], pending["retrying"], pending["exact"]) == (1, 1, True)
    assert pending["oldest_at"] and not pending["held"] and not pending["paused"]
    metrics = server.request("GET", "/metrics", port=server.admin_port).body.decode()
    label = f'workspace="{api.workspace}",subscription="mailhouse"'
    assert f'shopbell_subscription_attempts_total{{{label},outcome="delivered"}} 9' in metrics
    families = [line.split("{")[0].split(" ")[0] for line in metrics.splitlines()
                if line.startswith("shopbell_subscription_")]
    assert families == sorted(families, key=families.index), "each family stands together"
    shown = json.loads(server.command("subscription", "stats", "mailhouse", "--workspace",
                                      api.workspace, "--json").stdout)
    assert shown["windows"]["24h"]["attempts"] == 10


def test_why_somebody_was_told(api, shop, esp):
    api.call("PUT", "/v1/rules/vip", {"kind": "tag", "title": "VIP",
                                      "when": "orders.count >= 2"}, expect=201)
    esp.subscribe(api, ["tag.added"])
    other = Receiver()
    other.subscribe(api, ["order.cancelled"], "other")
    order(shop, 801, "vip@example.com", 800)
    order(shop, 802, "vip@example.com", 800)
    wait_for(lambda: [m for m in esp.of_type("tag.added") if m["data"]["tag"]["name"] == "vip"], 10)
    made = [m for m in esp.of_type("tag.added") if m["data"]["tag"]["name"] == "vip"][0]
    wait_for(lambda: api.get(f"/v1/notifications/{made['id']}/attempts")["data"], 5, 0.05)
    later = Receiver()
    later.subscribe(api, ["tag.*"], "later")
    why = api.get(f"/v1/notifications/{made['id']}/explain")
    assert why["type"] == "tag.added" and why["cause"]["event_id"] == made["cause"]["event_id"]
    assert why["event"]["id"] == made["cause"]["event_id"]
    assert why["event"]["source"] == "shopify_main"
    assert why["transition"]["rule"] == "vip" and why["transition"]["kind"] == "tag"
    assert why["transition"]["rule_version"] == made["data"]["tag"]["rule_version"]
    verdict = why["verdict"]
    assert verdict["value"] is True and verdict["rule"]["name"] == "vip"
    assert verdict["tree"]["args"][0]["value"] == 2, "the value then"
    assert why["rule_changed_since"] is False
    told = {s["name"]: s for s in why["subscriptions"]}
    assert told["mailhouse"]["told"] and told["mailhouse"]["attempts"][0]["outcome"] == "delivered"
    assert not told["other"]["told"]
    assert [g["gate"] for g in told["other"]["gates"] if not g["passed"]] == ["topic"]
    assert [g["gate"] for g in told["later"]["gates"] if not g["passed"]] == ["since"]
    # A third order does not change what was true then; another rule is said to be another.
    order(shop, 803, "vip@example.com", 800,
          at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 20)))
    api.call("PUT", "/v1/rules/vip", {"kind": "tag", "title": "VIP",
                                      "when": "orders.count >= 1"}, expect=200)
    why = api.get(f"/v1/notifications/{made['id']}/explain")
    assert why["verdict"]["tree"]["args"][0]["value"] == 2
    assert why["rule_changed_since"] is True
    api.get("/v1/notifications/0199d2b1-0c2d-7a44-9a55-0b7f3f1e2d10/explain", 404)
    later.close()
    other.close()


def test_the_command_line(api, shop, esp, server, cluster):
    where = ("--workspace", api.workspace)
    esp.subscribe(api, ["order.completed"])
    held = json.loads(server.command("hold", *where, "--reason", "check", "--json").stdout)
    assert held["held_reason"] == "check"
    wait_for(lambda: is_held(server, api.workspace), 5, 0.02, "the server has seen it")
    time.sleep(0.05)  # an endpoint's settings are believed for 20 ms
    for n in range(3):
        order(shop, 900 + n, f"cli{n}@example.com", 900 + n)
    listed = server.command("delivery", "list", *where, "--subscription", "mailhouse").stdout
    assert listed.count("order.completed") == 3
    refused = server.command("release", *where, "--drop-older-than", "2h", check=False)
    assert refused.returncode == 4, "not confirmed"
    wait_for(lambda: len(pending_of(api, more="&status=held")) == 3, 5, 0.05)
    released = server.command("release", *where, "--drop-older-than", "2h", "--yes", "--json")
    assert json.loads(released.stdout)["dropped_deliveries"] == 0
    wait_for(lambda: len(esp.messages) == 3, 5, 0.05)
    wait_for(lambda: len(attempts_of(api)) == 3, 5, 0.05)
    one = esp.messages[0][2]["id"]
    again_one = json.loads(server.command("delivery", "replay", one, *where, "--json").stdout)
    assert again_one["deliveries"][0]["result"] == "queued"
    wait_for(lambda: len(esp.messages) == 4, 5, 0.05)
    wait_for(lambda: pending_of(api) == [], 5, 0.05)
    job = json.loads(server.command("delivery", "replay", *where, "--subscription", "mailhouse",
                                    "--since", "1d", "--status", "all", "--json").stdout)
    assert job["status"] == "succeeded" and job["result"]["queued"] == 3
    assert server.command("delivery", "replay", *where, check=False).returncode == 2
    for words in (("hold",), ("release",), ("delivery", "list"), ("delivery", "replay"),
                  ("subscription", "stats")):
        help_text = server.command(*words, "--help").stdout
        assert help_text.index("shopbell " + " ".join(words)) < 400, "examples first"
    script = server.command("completion", "bash").stdout
    assert "delivery" in script and "--drop-older-than" in script
    done = subprocess.run(["bash", "-n"], input=script, text=True)
    assert done.returncode == 0
