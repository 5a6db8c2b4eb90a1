"""Silence changes a stage at the exact instant, whoever has the row's lock, and
after downtime every instant in order."""

import itertools
import threading
import time

from shopbell import SLOW, Receiver, Server, make_workspace, wait_for

DAY = 86_400_000


def backdate(cluster, workspace, email, **columns):
    """Moves a profile into the past, as months of silence would have left it."""
    sets = ", ".join(f"{c} = to_timestamp({v} / 1000.0)" for c, v in columns.items())
    cluster.query(
        f"UPDATE profile SET {sets}, last_seen_day = to_timestamp({columns['last_seen_at']}"
        " / 1000.0)::date WHERE workspace_id = (SELECT id FROM workspace WHERE name = %s)"
        " AND email = %s", workspace, email)


def let_lapse(cluster, workspace, email_like, due_ms):
    """All of them at one instant, as months of silence would have left them."""
    cluster.query(
        "UPDATE profile SET first_seen_at = to_timestamp(%s / 1000.0), last_seen_at ="
        " to_timestamp(%s / 1000.0), decided_at = to_timestamp(%s / 1000.0), lifecycle_since ="
        " to_timestamp(%s / 1000.0), due_at = to_timestamp(%s / 1000.0) WHERE workspace_id ="
        " (SELECT id FROM workspace WHERE name = %s) AND email LIKE %s",
        due_ms - 390 * DAY, due_ms - 60 * DAY - 1, due_ms - 60 * DAY - 1, due_ms - 290 * DAY,
        due_ms, workspace, email_like)


def make(api, email, at_ms=None):
    at_ms = at_ms or int(time.time()) * 1000
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_ms // 1000))
    api.post("/v1/events", {"id": email, "type": "page.viewed",
                            "occurred_at": f"{moment}.{at_ms % 1000:03d}Z",
                            "identities": {"email": email}, "properties": {}}, expect=200)


def test_lapses_at_the_instant_with_no_event(cluster, tmp_path):
    server = Server(cluster, str(tmp_path)).migrate().start()
    esp = Receiver()
    try:
        api = make_workspace(server, "due1")
        esp.subscribe(api, ["lifecycle.changed"])
        make(api, "lapse@example.com")
        esp.wait_types(["lifecycle.changed"])
        now = int(time.time() * 1000)
        turn = now + 2500
        backdate(cluster, "due1", "lapse@example.com", first_seen_at=now - 400 * DAY,
                 last_seen_at=turn - 60 * DAY - 1, decided_at=now - 60 * DAY,
                 lifecycle_since=now - 300 * DAY, due_at=turn)
        wait_for(lambda: [m for m in esp.of_type("lifecycle.changed")
                          if m["data"]["lifecycle"]["to"] == "lapsed"], 10)
        arrived = time.time() * 1000
        message = [m for m in esp.of_type("lifecycle.changed")
                   if m["data"]["lifecycle"]["to"] == "lapsed"][0]
        assert message["cause"]["kind"] == "time"
        assert arrived - turn < 1000 * SLOW
        at = cluster.query("SELECT (extract(epoch FROM occurred_at) * 1000)::bigint"
                           " FROM transition WHERE to_value = 'lapsed' AND cause = 'time'")
        assert at[-1][0] == turn
    finally:
        esp.close()
        server.stop()


def test_catch_up_steps_through_every_instant(cluster, tmp_path):
    server = Server(cluster, str(tmp_path)).migrate().start()
    try:
        api = make_workspace(server, "due2")
        api.call("PUT", "/v1/rules/lifecycle", {"kind": "lifecycle", "cases": [
            {"value": "churned", "when": "age(last_seen_at) > 5s"},
            {"value": "lapsed", "when": "age(last_seen_at) > 4s"},
            {"value": "new", "when": "age(first_seen_at) < 3s"},
            {"value": "active", "when": "true"}]}, 200)
        seen = int(time.time() * 1000)
        make(api, "long@example.com", seen)
        server.kill()
        assert time.time() * 1000 < seen + 3000, "down before anything fell due"
        time.sleep(max(0, seen + 5500 - time.time() * 1000) / 1000)
        server.start()
        rows = wait_for(lambda: cluster.query(
            "SELECT from_value, to_value, (extract(epoch FROM occurred_at) * 1000)::bigint"
            " FROM transition t JOIN workspace w ON w.id = t.workspace_id"
            " WHERE w.name = 'due2' AND cause = 'time' ORDER BY occurred_at")
            if len(cluster.query(
                "SELECT 1 FROM transition t JOIN workspace w ON w.id = t.workspace_id"
                " WHERE w.name = 'due2' AND cause = 'time'")) >= 3 else None, 15)
        assert [r[:2] for r in rows] == [("new", "active"), ("active", "lapsed"),
                                         ("lapsed", "churned")]
        assert [r[2] for r in rows] == [seen + 3000, seen + 4001, seen + 5001]
    finally:
        server.stop()


def test_two_sweepers_emit_once(cluster, tmp_path):
    first = Server(cluster, str(tmp_path)).migrate().start()
    second = Server(cluster, str(tmp_path)).start()
    try:
        api = make_workspace(first, "due3")
        for n in range(200):
            make(api, f"p{n}@example.com")
        let_lapse(cluster, "due3", "p%", int(time.time() * 1000) - 10 * DAY + 1)
        wait_for(lambda: cluster.query(
            "SELECT count(*) FROM transition t JOIN workspace w ON w.id = t.workspace_id"
            " WHERE w.name = 'due3' AND to_value = 'lapsed'")[0][0] == 200, 15)
        time.sleep(0.6)
        assert cluster.query(
            "SELECT count(*) FROM transition t JOIN workspace w ON w.id = t.workspace_id"
            " WHERE w.name = 'due3' AND to_value = 'lapsed'")[0][0] == 200
    finally:
        first.stop()
        second.stop()


def crowd(api, letter, count=600):
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    api.post("/v1/events", [
        {"id": f"{letter}{n}", "type": "page.viewed", "occurred_at": moment,
         "identities": {"email": f"{letter}{n}@example.com"}, "properties": {}}
        for n in range(count)], expect=200)


def lapses_of_a_commit(cluster, letter, count=600):
    """How many of the crowd each transaction brought, once all have lapsed."""
    query = ("SELECT count(*) FROM transition t JOIN workspace w ON w.id = t.workspace_id JOIN"
             " profile p ON p.workspace_id = w.id AND p.id = t.profile_id WHERE w.name = 'due4'"
             " AND t.to_value = 'lapsed' AND p.email LIKE %s GROUP BY t.xmin::text")

    def sizes():
        return [row[0] for row in cluster.query(query, f"{letter}%")]

    wait_for(lambda: sum(sizes()) >= count, 30)
    assert sum(sizes()) == count
    return sizes()


def test_a_crowd_due_at_once_makes_room_for_webhooks(cluster, tmp_path):
    server = Server(cluster, str(tmp_path)).migrate().start()
    over = threading.Event()

    def come():
        for n in itertools.count():
            if over.wait(0.1):
                return
            crowd(api, f"live{n}-", 200)

    live = threading.Thread(target=come, daemon=True)
    try:
        api = make_workspace(server, "due4")
        crowd(api, "a")
        crowd(api, "b")
        due = int(time.time() * 1000) - 1000
        live.start()
        time.sleep(2)
        let_lapse(cluster, "due4", "a%", due)
        beside = lapses_of_a_commit(cluster, "a")
        over.set()
        live.join()
        time.sleep(2)
        let_lapse(cluster, "due4", "b%", due)
        alone = lapses_of_a_commit(cluster, "b")
        assert max(beside) <= 128, beside
        assert max(alone) > 128, alone
    finally:
        over.set()
        server.stop()


def test_nobody_waits_for_another_brands_backlog(cluster, tmp_path):
    server = Server(cluster, str(tmp_path)).migrate().start()
    try:
        many = make_workspace(server, "due5")
        one = make_workspace(server, "due6")
        for n in range(8):
            crowd(many, f"m{n}-")
        crowd(one, "o", 1)
        due = int(time.time() * 1000) - 1000
        let_lapse(cluster, "due5", "m%", due)
        wait_for(lambda: lapses(cluster, "due5"), 15, 0.005)
        let_lapse(cluster, "due6", "o%", due)
        wait_for(lambda: len(lapses(cluster, "due5")) == 8 * 600, 60)
        wait_for(lambda: lapses(cluster, "due6"), 15)
        assert max(lapses(cluster, "due6")) < max(lapses(cluster, "due5")), "it came after all"
    finally:
        server.stop()


def lapses(cluster, workspace):
    """The transaction of each."""
    return [row[0] for row in cluster.query(
        "SELECT t.xmin::text::bigint FROM transition t JOIN workspace w ON w.id = t.workspace_id"
        " WHERE w.name = %s AND to_value = 'lapsed'", workspace)]
