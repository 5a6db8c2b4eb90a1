"""What was not understood, or wrongly, is read again when the mapping is mended:
once, silently, and as if the mapping had been right from the start.
"""

import hashlib
import hmac
import json
import subprocess
import time

import pytest
from shopbell import binary, make_workspace, wait_for

SECRET = "a-secret-of-the-atelier"


def settings(total="/order/sum", email="/order/mail", kind="order.completed",
             seen="product.viewed"):
    return {
        "currency": "EUR",
        "signature": {"algorithm": "sha256", "encoding": "hex", "header": "X-Shop-Signature"},
        "topic": {"pointer": "/event"},
        "id": {"header": "X-Shop-Id"},
        "events": [
            {"topic": "order", "type": kind, "id": "/fact", "occurred_at": "/order/at",
             "identities": {"email": email},
             "traits": {"first_name": "/order/name"},
             "properties": {"order_id": "/order/id", "total": total, "currency": "=EUR",
                            "status": "=paid"}},
            {"topic": "view", "type": seen, "id": "/id", "occurred_at": "/at",
             "identities": {"email": "/mail"}, "properties": {"product_id": "/ref"}},
        ]}


class Atelier:
    """A home-grown shop: signs as its settings say."""

    def __init__(self, api, name="atelier", **more):
        self.api = api
        self.name = name
        self.source = api.post("/v1/sources", {"name": name, "platform": "custom",
                                               "settings": settings(**more)}, expect=201)
        api.post(f"/v1/sources/{name}/secrets", {"secret": SECRET, "label": "shop"}, expect=201)

    def send(self, body, delivery):
        data = json.dumps(body).encode()
        digest = hmac.new(SECRET.encode(), data, hashlib.sha256).hexdigest()
        answer = self.api.server.request(
            "POST", "/v1/hooks/" + self.source["id"], data,
            {"Content-Type": "application/json", "X-Shop-Signature": digest, "X-Shop-Id": delivery})
        assert answer.status == 200, answer.body
        time.sleep(0.002)  # the order of arrival is known to the millisecond
        return json.loads(answer.body)["status"]

    def order(self, n, mail="jane@example.com", total=None, name="Jane"):
        return self.send({"event": "order", "fact": f"f{n}", "order": {
            "id": f"o{n}", "sum": total or f"{n}.50", "net": f"{n}.00", "mail": mail, "name": name,
            "payer": "payer-" + mail, "at": f"2026-11-{n % 28 + 1:02d}T10:00:00Z"}}, f"d{n}")

    def mend(self, **more):
        self.api.call("PATCH", f"/v1/sources/{self.name}", {"settings": settings(**more)},
                      expect=200)


def make_shop(api, server, **more):
    made = Atelier(api, **more)
    made.workspace = api.workspace
    made.workspace_id = server.cluster.query(
        "SELECT id FROM workspace WHERE name = %s", api.workspace)[0][0]
    made.rows = lambda sql: server.cluster.query(sql, made.workspace_id)
    return made


@pytest.fixture
def shop(api, server):
    return make_shop(api, server, total="/order/summ")


def ended(api, job):
    return wait_for(lambda: (lambda j: j if j["status"] in ("succeeded", "failed", "cancelled")
                             else None)(api.get(f"/v1/jobs/{job['id']}")), 30, 0.1, "the job's end")


def replayed(api, path="/v1/quarantine/replay", body=None):
    job = api.post(path, body or {}, expect=202)
    assert job["kind"] == "replay"
    job = ended(api, job)
    assert job["status"] == "succeeded", job
    return job["result"]


TABLES = {
    "profile": "id", "identity": "kind, source_id, value", "orders": "source_id, order_ref",
    "interaction": "occurred_at, id", "receipt": "event_id", "transition": "id",
    "membership": "rule_id, profile_id", "notification": "id", "quarantine": "id",
    "webhook": "received_at, id", "identity_decision": "id",
}


def everything(shop):
    return {table: shop.rows(f"SELECT t::text FROM {table} t WHERE workspace_id = %s"
                             f" ORDER BY {order}") for table, order in TABLES.items()}


def settled(shop):
    """Nobody waits for his history any more."""
    wait_for(lambda: shop.rows("SELECT count(*) FROM profile WHERE workspace_id = %s"
                               " AND ruleset_version <= 0")[0][0] == 0, 20, 0.1, "hydration")


def test_a_mended_mapping_empties_the_quarantine_once(shop, esp):
    api = shop.api
    esp.subscribe(api, ["*"])
    assert [shop.order(n) for n in (3, 4, 5)] == ["quarantined"] * 3
    assert len(api.get("/v1/quarantine?source=atelier")["data"]) == 3
    # As wrong as before: they stay, and nothing changes but nothing.
    before = everything(shop)
    still = replayed(api)
    assert (still["deliveries"], still["unreadable"], still["replayed"]) == (3, 3, 0)
    assert everything(shop) == before
    shop.mend()
    dry = replayed(api, body={"source": "atelier", "dry_run": True})
    assert (dry["deliveries"], dry["replayed"], dry["applied"]) == (3, 3, 0)
    assert [row["events"] for row in dry["rows"]] == [["order.completed"]] * 3
    assert everything(shop) == before
    assert replayed(api, body={"topic": "view"})["deliveries"] == 0
    assert replayed(api, body={"until": "2026-01-01T00:00:00Z"})["deliveries"] == 0
    first = before["quarantine"] and api.get("/v1/quarantine")["data"][-1]
    one = replayed(api, f"/v1/quarantine/{first['id']}/replay")
    assert (one["deliveries"], one["replayed"], one["applied"]) == (1, 1, 1)
    api.call("GET", f"/v1/quarantine/{first['id']}", expect=404)
    api.call("POST", f"/v1/quarantine/{first['id']}/replay", {}, expect=404)
    rest = replayed(api, body={"source": "atelier", "since": "2026-01-01T00:00:00Z"})
    assert (rest["deliveries"], rest["replayed"], rest["applied"]) == (2, 2, 2)
    assert api.get("/v1/quarantine")["data"] == []
    profile = api.get("/v1/profiles")["data"][0]
    assert profile["orders"]["count"] == 3 and profile["traits"]["first_name"] == "Jane"
    assert shop.rows("SELECT sum(orders_gross_minor) FROM profile WHERE workspace_id = %s"
                     )[0][0] == 1350
    # The facts stand at the instant of their receipt, and their bodies with the raw ones.
    assert shop.rows("SELECT count(*) FROM interaction i JOIN webhook w USING (workspace_id,"
                     " received_at) WHERE workspace_id = %s")[0][0] == 3
    known = everything(shop)
    assert replayed(api)["deliveries"] == 0
    assert everything(shop) == known
    assert shop.rows("SELECT count(*) FROM notification WHERE workspace_id = %s")[0][0] == 0
    # The sender's own repeat finds the receipts.
    assert shop.order(3) == "duplicate"


def test_the_command_says_the_same(shop):
    api = shop.api
    shop.order(7)
    listed = api.server.command("quarantine", "list", "--workspace", shop.workspace, "--json")
    row = json.loads(listed.stdout)["data"][0]
    shown = api.server.command("quarantine", "show", row["id"], "--workspace", shop.workspace,
                               "--json")
    assert json.loads(json.loads(shown.stdout)["body"])["order"]["id"] == "o7"
    shop.mend()
    done = api.server.command("quarantine", "replay", "--workspace", shop.workspace, "--source",
                              "atelier", "--since", "7d", "--json")
    assert json.loads(done.stdout)["result"]["replayed"] == 1
    assert shop.rows("SELECT count(*) FROM quarantine WHERE workspace_id = %s")[0][0] == 0
    gone = api.server.command("quarantine", "replay", row["id"], "--workspace", shop.workspace,
                              check=False)
    assert gone.returncode == 3


# --- raw webhooks -----------------------------------------------------------------


def facts(shop):
    """All that the workspace knows, without ids and times of ours."""
    return {
        "profiles": shop.rows(
            "SELECT email, orders_count, orders_gross_minor, orders_largest_minor, first_seen_at,"
            " last_seen_at, orders_first_at, orders_last_at, lifecycle, tags, segments,"
            " traits::text FROM profile WHERE workspace_id = %s ORDER BY email"),
        "orders": shop.rows(
            "SELECT order_ref, status, rank, total_minor, placed_at, counted, completed,"
            " counted_gross_minor, body::text FROM orders WHERE workspace_id = %s ORDER BY 1"),
        "timeline": shop.rows(
            "SELECT type, occurred_at, product_id, currency, amount_minor, order_ref,"
            " properties::text FROM interaction WHERE workspace_id = %s ORDER BY 1, 2, 7"),
        "members": shop.rows(
            "SELECT r.name, p.email FROM membership m JOIN rule r ON r.id = m.rule_id"
            " JOIN profile p ON p.id = m.profile_id WHERE m.workspace_id = %s ORDER BY 1, 2"),
    }


def live(shop, orders=6):
    """Orders, each told of twice, and looks at products."""
    for n in range(1, orders + 1):
        mail = f"c{n % 3}@example.com"
        shop.order(n, mail)
        body = {"id": f"o{n}", "sum": f"{n}.75", "net": f"{n}.25", "mail": mail, "name": "Ann",
                "payer": "payer-" + mail, "at": f"2026-11-{n % 28 + 1:02d}T11:00:00Z"}
        shop.send({"event": "order", "fact": f"again-{n}", "order": body}, f"again-{n}")
        shop.send({"event": "view", "id": f"v{n}", "mail": mail, "ref": f"p{n}",
                   "at": f"2026-11-{n % 28 + 1:02d}T09:00:00Z"}, f"view-{n}")


WRONG = {"total": "/order/net", "seen": "custom.looked"}


def replay(shop, *more, check=True):
    done = shop.api.server.command("replay", "--workspace", shop.workspace, "--source", shop.name,
                                   "--since", "1d", "--json", *more, check=check)
    return json.loads(done.stdout)["result"]


def check_is_clean(shop):
    done = shop.api.server.command("check", "--workspace", shop.workspace, "--json", check=False)
    assert done.returncode == 0, done.stdout


def test_a_replay_gives_what_the_right_mapping_would_have(api, server, esp):
    wrong = make_shop(api, server, **WRONG)
    esp.subscribe(api, ["*"])
    right = make_shop(make_workspace(server, "righteous"), server)
    live(wrong)
    live(right)
    settled(right)
    assert facts(wrong) != facts(right)
    before = everything(wrong)
    # As the mapping still is, nothing is to be replaced.
    same = replay(wrong)
    assert (same["replayed"], same["unchanged"]) == (0, same["deliveries"])
    assert everything(wrong) == before
    wrong.mend()
    dry = replay(wrong, "--dry-run")
    assert dry["replayed"] > 0 and dry["unreadable"] == 0
    assert everything(wrong) == before
    done = replay(wrong)
    assert done["replayed"] > 0 and done["refused"] == 0 and done["unreadable"] == 0
    settled(wrong)
    assert facts(wrong) == facts(right)
    check_is_clean(wrong)
    known = everything(wrong)
    assert known["notification"] == before["notification"]
    again = replay(wrong)
    assert (again["replayed"], again["unchanged"]) == (0, again["deliveries"])
    assert everything(wrong) == known


def test_interests_are_those_of_the_right_mapping(api, server):
    shop = make_shop(api, server, seen="wishlist.product_added")

    def interests(mail="jane@example.com"):
        profile = api.post("/v1/profiles/lookup", {"kind": "email", "value": mail}, expect=200)
        return {r["product_id"]: (r["view_count"], r["wished_at"] is not None)
                for r in api.get(f"/v1/profiles/{profile['id']}/interests")["data"]}

    for n in range(3):
        shop.send({"event": "view", "id": f"v{n}", "mail": "jane@example.com", "ref": f"p{n % 2}",
                   "at": "2026-11-02T10:00:00Z"}, f"d{n}")
    assert interests() == {"p0": (0, True), "p1": (0, True)}
    shop.mend(seen="product.viewed")
    for _ in range(2):  # once, for good
        replayed(api, "/v1/sources/atelier/replay", {})
        assert interests() == {"p0": (2, False), "p1": (1, False)}
    settled(shop)
    assert server.command("check", "--workspace", api.workspace, check=False).returncode == 0
    shop.mend(seen="page.viewed")
    replayed(api, "/v1/sources/atelier/replay", {})
    assert interests() == {}


def test_what_was_another_customers_moves(api, server):
    wrong = make_shop(api, server, email="/order/payer")
    for n in (1, 2):
        assert wrong.send({"event": "order", "fact": f"f{n}", "order": {
            "id": f"o{n}", "sum": "5.00", "mail": "jane@example.com", "name": "Jane",
            "payer": "pay@example.com", "at": f"2026-11-0{n}T10:00:00Z"}}, f"d{n}") == "applied"
    wrong.mend()
    assert replay(wrong)["replayed"] > 0
    settled(wrong)
    found = dict(wrong.rows("SELECT email, orders_count FROM profile WHERE workspace_id = %s"))
    # Whom the wrong mapping had made is left, and nothing is known of him.
    assert found == {"jane@example.com": 2, None: 0}
    check_is_clean(wrong)


def test_an_order_of_which_not_all_is_stored_stays(api, server):
    wrong = make_shop(api, server, **WRONG)
    live(wrong, 2)
    wrong.rows("DELETE FROM webhook WHERE workspace_id = %s AND dedup_key = 'd1'")
    before = facts(wrong)
    wrong.mend()
    done = replay(wrong)
    assert done["unreadable"] == 1
    assert any("gone" in (row["reason"] or "") for row in done["rows"])
    settled(wrong)
    after = facts(wrong)
    assert [o for o in after["orders"] if o[0] == "o1"] == [o for o in before["orders"]
                                                            if o[0] == "o1"]
    assert [o for o in after["orders"] if o[0] == "o2"][0][3] == 275


def test_a_killed_replay_is_gone_on_with(api, server):
    wrong = make_shop(api, server, **WRONG)
    right = make_shop(make_workspace(server, "unhurt"), server)
    live(wrong, 40)
    live(right, 40)
    wrong.mend()
    command = subprocess.Popen(
        [binary(), "replay", "--workspace", wrong.workspace, "--source", wrong.name, "--since",
         "1d", "--json"], env=server.environment, stdout=subprocess.PIPE)
    wait_for(lambda: wrong.rows("SELECT 1 FROM job WHERE workspace_id = %s AND kind = 'replay'"
                                " AND done > 5"), 20, 0.005, "half of it")
    command.kill()
    command.wait()
    done, status = wrong.rows("SELECT done, status FROM job WHERE workspace_id = %s"
                              " AND kind = 'replay'")[0]
    assert status == "running" and done < 120
    # Its lease would run out in half a minute.
    wrong.rows("UPDATE job SET lease_until = now() WHERE workspace_id = %s AND kind = 'replay'")
    wait_for(lambda: wrong.rows("SELECT 1 FROM job WHERE workspace_id = %s AND kind = 'replay'"
                                " AND status = 'succeeded'"), 60, 0.1, "the server's going on")
    settled(wrong)
    settled(right)
    assert facts(wrong) == facts(right)
    check_is_clean(wrong)


# --- what still stands in the way ------------------------------------------------------


PLAN = {"mode": "quarantine", "schema": {"properties": {"total": {"enum": [1.5, 2.5]}}}}


def plan(shop, **more):
    shop.api.call("PUT", f"/v1/schemas/{shop.name}/order.completed", {**PLAN, **more})


def test_a_replay_is_no_way_around_a_plan(api, server):
    shop = make_shop(api, server)
    plan(shop)
    assert shop.order(1) == "applied"
    assert shop.order(2, total="2.75") == "quarantined"
    done = replayed(api)
    assert (done["unreadable"], done["replayed"]) == (1, 0), done
    assert "schema of order.completed: #/properties/total" in done["rows"][0]["reason"]
    assert "schema of" in api.get("/v1/quarantine")["data"][0]["reason"]
    # A plan that came later takes nothing away: what it speaks against stays as it is.
    before = facts(shop)
    shop.mend(total="/order/net")
    done = replay(shop)
    assert (done["replayed"], done["unreadable"]) == (0, 1), done
    assert facts(shop) == before
    plan(shop, mode="count")
    shop.mend()
    assert replayed(api)["replayed"] == 1
    assert api.get("/v1/quarantine")["data"] == []
    orders = facts(shop)["orders"]
    assert [(o[0], o[3]) for o in orders] == [("o1", 150), ("o2", 275)]
    check_is_clean(shop)


def test_what_the_database_refused_is_taken_when_it_does_no_longer(api, server):
    """One event among others that bisection singled out, of a shop and of the API."""
    shop = make_shop(api, server)
    server.cluster.query("ALTER TABLE profile ADD CONSTRAINT refused"
                         " CHECK (email <> 'refused@example.com')")
    try:
        assert shop.order(1, mail="refused@example.com") == "quarantined"
        posted = api.post("/v1/events", [
            {"id": f"e{n}", "type": "product.viewed", "identities": {"email": mail},
             "properties": {"product_id": "p"}}
            for n, mail in enumerate(["refused@example.com", "jane@example.com"])], expect=200)
        assert posted["events"]["quarantined"] == 1 and posted["events"]["applied"] == 1
        done = replayed(api)
        assert (done["refused"], done["replayed"]) == (2, 0), done
    finally:
        server.cluster.query("ALTER TABLE profile DROP CONSTRAINT refused")
    done = replayed(api)
    assert (done["replayed"], done["applied"]) == (2, 2), done
    assert api.get("/v1/quarantine")["data"] == []
    found = dict(shop.rows("SELECT email, orders_count FROM profile WHERE workspace_id = %s"))
    assert found == {"refused@example.com": 1, "jane@example.com": 0}
    timeline = shop.rows("SELECT type, count(*) FROM interaction WHERE workspace_id = %s"
                         " GROUP BY 1 ORDER BY 1")
    assert ("product.viewed", 2) in timeline and ("order.completed", 1) in timeline
    settled(shop)
    check_is_clean(shop)
