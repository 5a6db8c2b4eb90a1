"""One test for each trap that a first design of this service fell into. Each
provokes the trap for real: a row locked by another session, a server killed in
the middle, a receipt that is gone, a column that somebody renamed.

Numbers are those of the rules; what is missing here belongs to what the
service does not do yet.
"""

import itertools
import json
import random
import threading
import time
import uuid

import pytest
import shopbell
from shopbell import Server, Shopify, make_workspace, shopify_order, wait_for

DAY = 86_400_000


def now_ms():
    return int(time.time() * 1000)


def iso(offset_s=0.0):
    moment = time.time() + offset_s
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + ".%03dZ" % (moment % 1 * 1000)


def at_ms(ms):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1000)) + ".%03dZ" % (ms % 1000)


def event(number, email=None, kind="page.viewed", at=None, identities=None, **more):
    return {"id": str(number), "type": kind, "occurred_at": at or iso(-5),
            "identities": identities or {"email": email}, "properties": {}, **more}


def order_event(number, email, order_id, total, at=None, **more):
    return event(number, email, "order.completed", at,
                 properties={"order_id": str(order_id), "total": total, "currency": "EUR",
                             "products": []}, **more)


def refund(refund_id, order_id, amount, at):
    return {"id": refund_id, "order_id": order_id, "created_at": at, "processed_at": at,
            "note": None, "refund_line_items": [], "order_adjustments": [],
            "transactions": [{"id": refund_id, "kind": "refund", "status": "success",
                              "amount": amount, "currency": "EUR"}]}


class Brand:
    """A workspace of the test's own, seen from outside and from psql."""

    numbers = itertools.count(1)

    def __init__(self, cluster, server):
        self.cluster = cluster
        self.server = server
        self.name = f"rule{next(Brand.numbers)}"
        self.api = make_workspace(server, self.name)
        self.id = cluster.query("SELECT id FROM workspace WHERE name = %s", self.name)[0][0]

    def sql(self, sql, *parameters):
        """`{ws}` in the text is the workspace."""
        return self.cluster.query(sql.replace("{ws}", f"'{self.id}'"), *parameters)

    def count(self, table, where="true", *parameters):
        return self.sql(f"SELECT count(*) FROM {table} WHERE workspace_id = {{ws}} AND ({where})",
                        *parameters)[0][0]

    def send(self, events, expect=200, **more):
        return self.api.call("POST", "/v1/events", events, expect, **more).json

    def profile(self, email, expect=200):
        return self.api.post("/v1/profiles/lookup", {"kind": "email", "value": email},
                             expect=expect)

    def past(self, email, **instants_ms):
        """Puts a profile where months of silence would have left it."""
        sets = ", ".join(f"{c} = to_timestamp({v} / 1000.0)" for c, v in instants_ms.items())
        self.sql(f"UPDATE profile SET {sets} WHERE workspace_id = {{ws}} AND email = %s", email)

    def due_ms(self, email):
        return self.sql("SELECT (extract(epoch FROM due_at) * 1000)::bigint FROM profile"
                        " WHERE workspace_id = {ws} AND email = %s", email)[0][0]

    def transitions(self, email=None):
        """Of the lifecycle, oldest first."""
        return self.sql("SELECT from_value, to_value, cause,"
                        " (extract(epoch FROM occurred_at) * 1000)::bigint FROM transition"
                        " WHERE workspace_id = {ws} AND rule = 'lifecycle' AND (%s::text IS NULL"
                        " OR profile_id IN (SELECT id FROM profile WHERE workspace_id = {ws}"
                        " AND email = %s)) ORDER BY occurred_at, decided_at", email, email)

    def stages(self, new, lapsed, churned):
        """The lifecycle in seconds, so that a test can wait for months of silence."""
        self.api.call("PUT", "/v1/rules/lifecycle", {"kind": "lifecycle", "cases": [
            {"value": "churned", "when": f"age(last_seen_at) > {churned}"},
            {"value": "lapsed", "when": f"age(last_seen_at) > {lapsed}"},
            {"value": "new", "when": f"age(first_seen_at) < {new}"},
            {"value": "active", "when": "true"}]}, 200)

    def hold(self, session, email):
        session.run("SELECT 1 FROM profile WHERE workspace_id = %s AND email = %s FOR UPDATE",
                    self.id, email)


@pytest.fixture
def brand(cluster, server):
    return Brand(cluster, server)


@pytest.fixture(scope="module")
def other_cluster():
    """For what the servers of other tests must not see or take over."""
    made = shopbell.Cluster(settings={"autovacuum": "off"})
    yield made
    made.remove()


@pytest.fixture
def other(other_cluster, tmp_path):
    made = Server(other_cluster, str(tmp_path)).migrate().start()
    yield made
    made.stop()


class Session:
    """A psql that somebody left open."""

    def __init__(self, cluster):
        self.connection = cluster.connect()
        self.connection.autocommit = False
        self.cursor = self.connection.cursor()

    def run(self, sql, *parameters):
        self.cursor.execute(sql, parameters)
        return self.cursor.fetchall() if self.cursor.description else None

    def commit(self):
        self.connection.commit()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()


def in_background(call):
    """Runs call in a thread; .outcome() waits for it."""
    result = {}

    def body():
        try:
            result["value"] = call()
        except Exception as fault:  # noqa: BLE001 - the test looks at it
            result["fault"] = fault
    thread = threading.Thread(target=body)
    thread.start()

    def outcome():
        thread.join(30)
        assert not thread.is_alive()
        if "fault" in result:
            raise result["fault"]
        return result["value"]
    thread.outcome = outcome
    return thread


def waiting(cluster):
    """How many sessions wait for somebody's lock."""
    return cluster.query("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")[0][0]


# --- 1 ------------------------------------------------------------------------

def test_rule_01_a_receipt_is_per_event(brand, other_cluster, other):
    """A receipt per delivery: one lane commits, another fails, and the retry is told `duplicate`."""
    brand.sql("ALTER TABLE profile ADD CONSTRAINT poison CHECK (email <> 'poison@example.com')")
    events = [event("a", "a@example.com"), event("p", "poison@example.com"),
              event("b", "b@example.com")]
    try:
        first = brand.send(events)
        assert first["events"] == {"applied": 2, "duplicate": 0, "ignored": 0, "quarantined": 1}
    finally:
        brand.sql("ALTER TABLE profile DROP CONSTRAINT poison")
    again = brand.send(events)  # a quarantined event has its receipt too
    assert again["events"]["duplicate"] == 3 and again["events"]["applied"] == 0
    assert brand.count("quarantine") == 1 and brand.count("interaction") == 2

    # One webhook, two facts: each has its receipt, and a repeat brings back the one that is missing.
    shop = Shopify(brand.api)
    consent = {"state": "subscribed", "opt_in_level": "single_opt_in", "consent_updated_at": None}
    both = {"customer_id": 77, "email_address": "parts@example.com",
            "email_marketing_consent": consent, "sms_marketing_consent": consent}
    receipts, webhook_id = brand.count("receipt"), str(uuid.uuid4())

    def send_both():
        topic = "customers_email_marketing_consent/update"
        return json.loads(shop.send(topic, both, webhook_id).body)["status"]
    assert send_both() == "applied" and brand.count("receipt") == receipts + 2
    given = brand.profile("parts@example.com")["consent"]
    assert (given["email"], given["sms"]) == ("subscribed", "subscribed")
    lost = brand.sql("DELETE FROM interaction WHERE workspace_id = {ws} AND id = (SELECT min(id::text)"
                     "::uuid FROM interaction WHERE workspace_id = {ws} AND type = 'consent.updated')"
                     " RETURNING id")
    assert len(lost) == 1
    brand.sql("DELETE FROM receipt WHERE workspace_id = {ws} AND event_id = %s", lost[0][0])
    before = brand.count("interaction")
    assert send_both() == "applied" and brand.count("interaction") == before + 1
    assert brand.count("interaction", "id = %s", lost[0][0]) == 1
    assert send_both() == "duplicate" and brand.count("interaction") == before + 1

    # One lane of many stands still, and then the server dies.
    part = Brand(other_cluster, other)
    many = [event(f"m{n}", f"m{n}@example.com") for n in range(200)]
    with Session(other_cluster) as session:
        session.run("INSERT INTO identity VALUES (%s, 'email', %s, 'm7@example.com', %s, %s, 0,"
                    " now())", part.id, uuid.UUID(int=0), uuid.uuid4(), uuid.uuid4())
        sender = in_background(lambda: part.send(many))
        wait_for(lambda: part.count("receipt") > 0 and waiting(other_cluster), 10)
        time.sleep(0.3)
        other.kill()
        with pytest.raises(Exception):
            sender.outcome()
    committed = part.count("receipt")
    assert 0 < committed < 200
    other.start()
    answer = part.send(many)
    assert answer["events"]["duplicate"] == committed
    assert answer["events"]["applied"] == 200 - committed
    assert part.count("interaction") == 200 and part.count("profile") == 200
    assert part.send(many)["events"]["duplicate"] == 200


# --- 2 ------------------------------------------------------------------------

def test_rule_02_owners_are_read_again_after_locking(brand, cluster, tmp_path):
    """A merge commits between resolve and lock; two lanes see one new e-mail; writers deadlock."""
    brand.send([event("a", "older@example.com")])
    brand.send([event("b", "newer@example.com")])
    winner, loser = sorted(brand.profile(f"{w}@example.com")["id"] for w in ("older", "newer"))
    with Session(cluster) as session:
        session.run("SELECT 1 FROM profile WHERE workspace_id = %s AND id IN (%s, %s)"
                    " ORDER BY id FOR UPDATE", brand.id, winner, loser)
        before = waiting(cluster)
        sender = in_background(lambda: brand.send(
            [order_event("o", e, 77, 10.0) for e in ("newer@example.com",)]))
        wait_for(lambda: waiting(cluster) > before, 3, what="the event waits for the merge")
        session.run("UPDATE profile SET merged_into = %s, sequence = sequence + 1"
                    " WHERE workspace_id = %s AND id = %s", winner, brand.id, loser)
        session.commit()
        assert sender.outcome()["events"]["applied"] == 1
    assert brand.count("profile") == 2, "no third profile"
    counts = dict(brand.sql("SELECT id::text, orders_count FROM profile WHERE workspace_id = {ws}"))
    assert counts == {winner: 1, loser: 0}, "not written to what was merged meanwhile"
    assert brand.profile("newer@example.com")["id"] == winner

    second = Server(cluster, str(tmp_path)).start()
    try:
        deadlocks = cluster.query("SELECT sum(deadlocks) FROM pg_stat_database")[0][0]
        servers = [brand.server, second]
        key = {"Authorization": "Bearer " + brand.api.key, "Content-Type": "application/json"}
        wait_for(lambda: second.request("GET", "/v1/sources", headers=key).status == 200, 5)
        for turn in range(6):
            names = [{"email": f"new{turn}@example.com"}, {"external_id": f"new{turn}"},
                     {"email": f"new{turn}@example.com", "external_id": f"new{turn}"},
                     {"phone": f"+3361234567{turn}", "email": f"new{turn}@example.com"}]
            start = threading.Barrier(16)

            def race(n, turn=turn, names=names, start=start):
                body = json.dumps(event(f"r{turn}-{n}", identities=names[n % 4]))
                start.wait()
                return servers[n % 2].request("POST", "/v1/events", body, key).status
            racers = [in_background(lambda n=n: race(n)) for n in range(16)]
            assert {r.outcome() for r in racers} == {200}
            living = brand.sql("SELECT count(DISTINCT COALESCE(p.merged_into, p.id)) FROM identity i"
                               " JOIN profile p ON p.workspace_id = {ws} AND p.id = i.profile_id"
                               " WHERE i.workspace_id = {ws} AND i.value LIKE %s",
                               f"%%{turn}@example.com")[0][0]
            assert living == 1, f"turn {turn}: one e-mail, one profile"
        assert brand.count("identity i", "NOT EXISTS (SELECT 1 FROM profile p WHERE"
                           " p.workspace_id = i.workspace_id AND p.id = i.profile_id)") == 0
        assert brand.count("profile", "merged_into IS NULL") == 1 + 6
        assert brand.count("interaction") == 3 + 6 * 16
        assert cluster.query("SELECT sum(deadlocks) FROM pg_stat_database")[0][0] == deadlocks
    finally:
        second.stop()


# --- 3 ------------------------------------------------------------------------

def test_rule_03_merges_never_join_strangers(brand):
    """A family's tablet, or a shared e-mail, joins two known customers: one's orders for the other."""
    brand.send(event(1, identities={"anonymous_id": "tablet", "external_id": "user-1"}))
    brand.send(event(2, identities={"anonymous_id": "tablet", "external_id": "user-2"}))
    brand.send(event(3, identities={"anonymous_id": "tablet"}))

    def lookup(kind, value):
        return brand.api.post("/v1/profiles/lookup", {"kind": kind, "value": value}, expect=200)
    one, two = lookup("external_id", "user-1"), lookup("external_id", "user-2")
    assert one["id"] != two["id"]
    assert lookup("anonymous_id", "tablet")["id"] == two["id"], "a weak one follows the newcomer"

    shop = Shopify(brand.api)
    for order_id, customer in ((31, 901), (32, 902), (33, 901), (34, 902)):
        assert shop.send("orders/create",
                         shopify_order(order_id, customer, "family@example.com", "10.00")).status == 200
    owners = dict(brand.sql("SELECT order_ref, profile_id FROM orders WHERE workspace_id = {ws}"))
    assert owners["31"] == owners["33"] and owners["32"] == owners["34"]
    assert owners["31"] != owners["32"]
    assert str(owners["31"]) == brand.profile("family@example.com")["id"], "strong ones stay"
    assert brand.count("identity_decision", "kind = 'merged'") == 0
    assert brand.count("identity_decision", "kind = 'conflict'") >= 1, "and it is logged"

    # Two addresses, both known, and a cookie that both have used.
    brand.send(event(4, identities={"anonymous_id": "kitchen", "email": "ann@example.com"}))
    brand.send(event(5, "bob@example.com"))
    brand.send(event(6, identities={"anonymous_id": "kitchen", "email": "bob@example.com"}))
    assert brand.profile("ann@example.com")["id"] != brand.profile("bob@example.com")["id"]
    assert brand.count("identity_decision", "kind = 'merged'") == 0

    # The shop itself says that two of its numbers are one customer, and later that it failed.
    merge = {"admin_graphql_api_customer_kept_id": "gid://shopify/Customer/902",
             "admin_graphql_api_customer_deleted_id": "gid://shopify/Customer/901",
             "admin_graphql_api_job_id": None, "status": "failed", "errors": []}
    assert shop.send("customers/merge", merge).status == 200
    assert brand.count("identity_decision", "kind = 'merged'") == 0
    assert shop.send("customers/merge", {**merge, "status": "completed"}).status == 200
    assert brand.count("identity_decision", "kind = 'merged'") == 1
    joined = brand.profile("family@example.com")
    assert joined["orders"]["count"] == 4 and {str(o) for o in owners.values()} > {joined["id"]}
    assert shop.send("orders/create",
                     shopify_order(35, 901, "family@example.com", "10.00")).status == 200
    assert brand.profile("family@example.com")["orders"]["count"] == 5
    assert brand.count("interaction", "type = 'customer.deleted'") == 0
    assert shop.send("orders/create", shopify_order(36, 903, "family@example.com")).status == 200
    assert brand.profile("family@example.com")["orders"]["count"] == 5, "a third stays a stranger"


# --- 4 ------------------------------------------------------------------------

def test_rule_04_a_notification_id_is_the_hash_of_its_cause(brand, esp):
    """The same cause decided again rings again; a second entry is dropped as a repeat; old bells ring."""
    esp.subscribe(brand.api, ["*"])
    shop = Shopify(brand.api)
    for topic in ("orders/create", "orders/paid", "orders/create", "orders/updated"):
        assert shop.send(topic, shopify_order(41, 941, "cause@example.com", "10.00",
                                              at=iso(-60)[:19] + "Z")).status == 200
    wait_for(lambda: brand.count("delivery") == 0 and esp.of_type("order.completed"), 10)
    assert len(esp.of_type("order.completed")) == 1, "other webhooks, the same cause"

    def lapses():
        return [m for m in esp.of_type("lifecycle.changed")
                if m["data"]["lifecycle"]["to"] == "lapsed"]

    # As after a restored backup: the row as it was before, and decided again.
    columns = ("state", "lifecycle", "lifecycle_since", "due_at", "decided_at", "sequence")
    brand.stages(new="1s", lapsed="1s", churned="30d")
    brand.send(event("w0", "silent@example.com", at=iso()))
    kept = brand.sql(f"SELECT {', '.join(columns)} FROM profile WHERE workspace_id = {{ws}}"
                     " AND email = 'silent@example.com'")[0]
    wait_for(lambda: len(lapses()) == 1, 10)
    wait_for(lambda: brand.count("delivery") == 0, 10)
    brand.sql(f"UPDATE profile SET {', '.join(c + ' = %s' for c in columns)}"
              " WHERE workspace_id = {ws} AND email = 'silent@example.com'", *kept)
    turn = int(kept[3].timestamp() * 1000 + 0.5)
    wait_for(lambda: brand.due_ms("silent@example.com") > turn, 10, what="the sweep passes")
    time.sleep(0.7)
    assert len(lapses()) == 1 and brand.count("delivery") == 0
    assert brand.count("notification", "topic = 'lifecycle.changed' AND created_at ="
                       " to_timestamp(%s / 1000.0)", turn) == 1
    brand.send(event("w1", "silent@example.com", at=iso()))  # entered, left, entered again
    wait_for(lambda: len(lapses()) == 2, 10)
    assert len({m["id"] for m in lapses()}) == 2

    heard = len(esp.messages)
    brand.send(event("old", "old@example.com", at=iso(-25 * 3600)))
    brand.send(event("fresh", "fresh@example.com", at=iso(-23 * 3600)))
    wait_for(lambda: any(m["data"]["profile"]["email"] == "fresh@example.com"
                         for m in esp.of_type("page.viewed")), 10)
    time.sleep(0.3)
    late = [m[2] for m in esp.messages[heard:]]
    assert {m["data"]["profile"]["email"] for m in late} == {"fresh@example.com"}, \
        "nobody is rung for what is older than a day"


# --- 5 ------------------------------------------------------------------------

def test_rule_05_an_order_is_a_fold_of_its_documents(brand):
    """Documents of one second tie, the refund comes first: arrival order decides what is stored."""
    placed, later = iso(-600)[:19] + "Z", iso(-300)[:19] + "Z"
    body = dict(order_id=5001, customer_id=77, at=placed, updated=placed)
    documents = [
        ("orders/create", shopify_order(**body, total="100.00", status="pending")),
        ("orders/paid", shopify_order(**body, total="100.00", status="paid")),
        ("orders/updated", shopify_order(**body, total="110.00", status="paid")),
        ("refunds/create", refund(1, 5001, "20.00", later)),
        ("refunds/create", refund(2, 5001, "5.00", later)),
    ]
    cancelled = ("orders/cancelled", shopify_order(
        **{**body, "updated": later}, total="110.00", status="paid", cancelled_at=later))
    chance = random.Random(5)
    seen = {}
    for number in range(24):
        is_cancelled = number % 3 == 2
        order = documents + [cancelled] if is_cancelled else list(documents)
        chance.shuffle(order)
        shop = Shopify(brand.api, f"shop_{number}")
        for topic, document in order:
            assert shop.send(topic, document).status == 200
        rows = brand.sql(
            "SELECT o.status, o.total_minor, o.refunded_minor, o.placed_at, o.version_at,"
            " o.cancelled_at, o.counted, o.counted_gross_minor, o.counted_refunded_minor,"
            " p.orders_count, p.orders_gross_minor, p.orders_refunded_minor,"
            " p.orders_largest_minor, p.orders_first_at, p.orders_last_at, p.lifecycle"
            " FROM orders o JOIN profile p ON p.workspace_id = {ws} AND p.id = o.profile_id"
            " WHERE o.workspace_id = {ws} AND o.source_id = %s", shop.source["id"])
        assert len(rows) == 1
        seen.setdefault((is_cancelled, rows[0]), []).append([topic for topic, _ in order])
        completed = brand.count("interaction", "type = 'order.completed' AND source_id = %s",
                                shop.source["id"])
        assert completed == 1 or (is_cancelled and completed == 0)
    assert len(seen) == 2, seen
    row = {key[0]: key[1] for key in seen}
    assert row[False][2] == 2500 and row[False][9] == 1 and row[False][11] == 2500
    assert row[True][2] == 2500 and row[True][9:13] == (0, 0, 0, 0)

    # Of one second: paid comes after pending, whichever was sent first.
    for number in range(10):
        body = dict(order_id=5100 + number, customer_id=78, at=placed, updated=placed, total="70.00")
        pair = [("orders/create", shopify_order(**body, status="pending")),
                ("orders/paid", shopify_order(**body, status="paid"))]
        for topic, document in pair[::(-1) ** number]:
            assert shop.send(topic, document).status == 200
    ties = brand.sql("SELECT DISTINCT status, counted FROM orders WHERE workspace_id = {ws}"
                     " AND order_ref LIKE '51%%'")
    assert ties == [("paid", True)], ties


# --- 6 ------------------------------------------------------------------------

def test_rule_06_once_for_good(brand):
    """The receipt has run out, a vendor's console sends it again, and it counts twice."""
    shop = Shopify(brand.api)
    long_ago = iso(-40 * 86400)
    order = shopify_order(61, 961, "once@example.com", "50.00", at=long_ago[:19] + "Z")
    events = [event("e", "once@example.com", at=long_ago),
              order_event("o", "once@example.com", 62, 25.0, at=long_ago)]
    webhook_id = str(uuid.uuid4())
    assert shop.send("orders/create", order, webhook_id).status == 200
    assert brand.send(events)["events"]["applied"] == 2
    before = brand.profile("once@example.com")
    assert before["orders"]["count"] == 2 and before["orders"]["revenue"] == 75.0
    rows = brand.count("interaction")
    for _ in range(2):
        brand.sql("DELETE FROM receipt WHERE workspace_id = {ws}")
        answer = json.loads(shop.send("orders/create", order, webhook_id).body)
        assert answer["status"] == "duplicate"
        assert brand.send(events)["events"]["duplicate"] == 2
    after = brand.profile("once@example.com")
    assert after["orders"] == before["orders"] and after["sequence"] == before["sequence"]
    assert brand.count("interaction") == rows
    assert brand.count("interaction", "id IN (SELECT event_id FROM receipt)") == rows, \
        "the interaction's id follows from the event alone"


# --- 7 ------------------------------------------------------------------------

def test_rule_07_every_fact_has_its_times(brand):
    """Traits and consent as bare current values: a late update wins over a newer one."""
    newer, older = iso(-60), iso(-3600)

    def facts(number, email, at, **more):
        brand.send(event(number, email, "customer.updated", at, **more))
    documents = [(newer, {"traits": {"first_name": "New"}, "consent": {"email": "unsubscribed"}}),
                 (older, {"traits": {"first_name": "Old", "city": "Lyon"},
                          "consent": {"email": "subscribed", "sms": "subscribed"},
                          "preferences": {"size": "M"}})]
    found = set()
    for way, order in enumerate((documents, documents[::-1])):
        email = f"facts{way}@example.com"
        for n, (at, more) in enumerate(order):
            facts(f"f{way}-{n}", email, at, **more)
        found.add(brand.sql("SELECT traits::text, consent::text, preferences::text FROM profile"
                            " WHERE workspace_id = {ws} AND email = %s", email)[0])
    assert len(found) == 1, found
    traits, consent, preferences = (json.loads(text) for text in found.pop())
    assert traits["first_name"] == "New" and traits["city"] == "Lyon"
    assert preferences == {"size": "M"}
    assert "unsubscribed" in json.dumps(consent["email"])

    same = iso(-30)  # a tie of consents is a refusal
    for way, states in enumerate((("subscribed", "unsubscribed"), ("unsubscribed", "subscribed"))):
        email = f"tie{way}@example.com"
        brand.send([event(f"t{way}{s}", email, "consent.updated", same, consent={"email": s})
                    for s in states])
        consent = brand.sql("SELECT consent FROM profile WHERE workspace_id = {ws} AND email = %s",
                            email)[0][0]
        assert "unsubscribed" in json.dumps(consent["email"]), states
    assert brand.count("interaction", "received_at IS NULL OR facts IS NULL") == 0, \
        "each fact stands on the timeline, with both its times"


# --- 8 ------------------------------------------------------------------------

def test_rule_08_a_merge_is_an_edge(brand):
    """A merge that re-keys rows loses the parts; facts that come later have no side."""
    brand.send(event(1, identities={"external_id": "u8", "anonymous_id": "browser"}))
    brand.send([event(2, "edge@example.com"), order_event(3, "edge@example.com", 81, 30.0)])
    a = brand.api.post("/v1/profiles/lookup", {"kind": "external_id", "value": "u8"}, expect=200)
    b = brand.profile("edge@example.com")
    def origins():
        return dict(brand.sql("SELECT id, origin_id::text FROM interaction"
                              " WHERE workspace_id = {ws}"))
    before = origins()
    assert set(before.values()) == {a["id"], b["id"]}
    brand.send(event(4, identities={"external_id": "u8", "email": "edge@example.com"}))
    survivor = min(a["id"], b["id"])
    for kind, value in (("email", "edge@example.com"), ("external_id", "u8"),
                        ("anonymous_id", "browser")):
        found = brand.api.post("/v1/profiles/lookup", {"kind": kind, "value": value}, expect=200)
        assert found["id"] == survivor and found["orders"]["count"] == 1
    after = origins()
    assert {k: after[k] for k in before} == before, "facts keep their origin"
    tombstones = brand.sql("SELECT id::text, merged_into::text FROM profile"
                           " WHERE workspace_id = {ws} AND merged_into IS NOT NULL")
    assert tombstones == [(max(a["id"], b["id"]), survivor)], "nothing is deleted"
    assert brand.count("identity", "origin_id NOT IN (%s, %s)", a["id"], b["id"]) == 0

    brand.send(event(5, "edge@example.com"))
    brand.send(event(6, identities={"anonymous_id": "browser"}))
    new = [origin for key, origin in origins().items() if key not in after]
    assert sorted(new) == sorted([a["id"], b["id"]]), "later facts follow their identifier's origin"
    timeline = brand.api.get(f"/v1/profiles/{survivor}/timeline")["data"]
    assert len([t for t in timeline if t.get("type") == "page.viewed"]) == 5, "readers see one"


# --- 10 -----------------------------------------------------------------------

FAULTS = {
    "a renamed column": (
        "ALTER TABLE interaction RENAME COLUMN properties TO properties_gone",
        "ALTER TABLE interaction RENAME COLUMN properties_gone TO properties"),
    "a read-only failover": (
        "ALTER SYSTEM SET default_transaction_read_only = on",
        "ALTER SYSTEM RESET default_transaction_read_only"),
    "a missing partition": ("interaction", "interaction"),
    "a permission taken": ("ALTER TABLE receipt RENAME TO receipt_gone",
                           "ALTER TABLE receipt_gone RENAME TO receipt"),
}


def break_or_mend(cluster, name, mend):
    sql = FAULTS[name][mend]
    if name == "a missing partition":
        month = time.strftime("interaction_y%Ym%m", time.gmtime())
        first = time.strftime("%Y-%m-01", time.gmtime())
        sql = (f"ALTER TABLE interaction DETACH PARTITION {month}" if not mend else
               f"ALTER TABLE interaction ATTACH PARTITION {month} FOR VALUES FROM"
               f" ('{first} 00:00Z') TO ('{first} 00:00Z'::timestamptz + interval '1 month')")
    with_reload = "SYSTEM" in sql
    connection = cluster.connect()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET default_transaction_read_only = off; SET timezone = 'UTC'")
            cursor.execute(sql)
            if with_reload:
                cursor.execute("SELECT pg_reload_conf()")
    finally:
        connection.close()
    if with_reload:
        time.sleep(0.3)


def test_rule_10_only_the_datas_own_errors_are_quarantined(other_cluster, other):
    """A fault of ours quarantines good events one by one, and answers 200."""
    brand = Brand(other_cluster, other)
    shop = Shopify(brand.api)
    for number, name in enumerate(FAULTS):
        order = shopify_order(1000 + number, 1000 + number, f"c{number}@example.com", "10.00")
        webhook_id = str(uuid.uuid4())
        assert shop.send("orders/create",
                         shopify_order(2000 + number, 1, "warm@example.com")).status == 200
        break_or_mend(other_cluster, name, False)
        try:
            answer = shop.send("orders/create", order, webhook_id)
            assert answer.status == 503, (name, answer.status, answer.body)
            assert int(answer.headers["retry-after"]) > 0
            assert other.request("GET", "/readyz").status == 503, name
        finally:
            break_or_mend(other_cluster, name, True)
        answer = shop.send("orders/create", order, webhook_id)
        assert json.loads(answer.body)["status"] == "applied", (name, answer.body)
        # A background step that met the fault may say so a moment later still.
        wait_for(lambda: other.request("GET", "/readyz").status == 200, 5, what=name)
    assert brand.count("quarantine") == 0

    other_cluster.query("ALTER TABLE profile ADD CONSTRAINT poison"
                        " CHECK (email <> 'poison@example.com')")
    try:
        events = [event(f"q{n}", f"good{n}@example.com") for n in range(9)]
        events.insert(4, event("poison", "poison@example.com"))
        answer = brand.send(events)
        assert answer["events"]["applied"] == 9 and answer["events"]["quarantined"] == 1
        assert other.request("GET", "/readyz").status == 200
    finally:
        other_cluster.query("ALTER TABLE profile DROP CONSTRAINT poison")
    assert brand.count("quarantine") == 1
    assert brand.count("profile", "email LIKE 'good%%'") == 9


def test_rule_10_a_try_that_failed_keeps_no_body(other_cluster, other):
    """Each try counted towards what is kept of a delivery, so rows were written without a body."""
    brand = Brand(other_cluster, other)
    other_cluster.query("""
        ALTER TABLE profile ADD CONSTRAINT poison CHECK (email <> 'poison@example.com');
        CREATE SEQUENCE tries;
        CREATE FUNCTION every_second() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF mod(nextval('tries'), 2) = 1 THEN RAISE SQLSTATE '40001'; END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER every_second BEFORE INSERT ON quarantine FOR EACH ROW
            EXECUTE FUNCTION every_second();
        """)
    events = json.dumps([event(f"k{n}", "poison@example.com") for n in range(4)]).encode()
    body = events + b" " * ((9 << 19) - len(events))  # 4.5 MiB: four are within 16
    try:
        assert brand.send(body)["events"]["quarantined"] == 4
    finally:
        other_cluster.query("DROP FUNCTION every_second CASCADE; DROP SEQUENCE tries;"
                            "ALTER TABLE profile DROP CONSTRAINT poison")
    assert brand.count("quarantine", "length(body) = %s", len(body)) == 4


# --- 12 -----------------------------------------------------------------------

def test_rule_12_one_event_at_a_time_every_due_instant_in_turn(brand, cluster, esp):
    """A verdict at the batch's end never sees orders 1 and 2; 200 silent days go active to churned."""
    esp.subscribe(brand.api, ["*"])
    at = now_ms() - 60_000
    together = [order_event(f"b{n}", "batch@example.com", 1200 + n, 10.0, at=at_ms(at + n))
                for n in range(3)]
    assert brand.send(together)["events"]["applied"] == 3
    for n in range(3):
        brand.send(order_event(f"s{n}", "single@example.com", 1300 + n, 10.0, at=at_ms(at + n)))
    wait_for(lambda: len(esp.of_type("order.completed")) == 6, 10)
    time.sleep(0.2)

    def story(email):
        mine = [m for m in (x[2] for x in esp.messages) if m["data"]["profile"]["email"] == email]
        return sorted((m["sequence"], m["type"], m["data"]["profile"]["orders"]["count"],
                       m["data"]["profile"]["lifecycle"]) for m in mine)
    assert story("batch@example.com") == story("single@example.com")
    counts = [s[2] for s in story("batch@example.com") if s[1] == "order.completed"]
    assert counts == [1, 2, 3], "each bell with the state of its own event"

    # An event wakes a profile whose instants have all passed; whoever has the
    # row's lock, the sweep or the event, the steps are the same.
    brand.stages(new="1s", lapsed="2s", churned="3s")
    seen = now_ms()
    brand.send(event("w0", "wake@example.com", at=at_ms(seen)))
    with Session(cluster) as session:
        brand.hold(session, "wake@example.com")
        assert len(brand.transitions("wake@example.com")) == 1
        time.sleep(max(0, seen + 3300 - now_ms()) / 1000)
        blocked = waiting(cluster)
        sender = in_background(lambda: brand.send(event("w1", "wake@example.com", at=iso())))
        wait_for(lambda: waiting(cluster) > blocked, 3)
        session.commit()
        assert sender.outcome()["events"]["applied"] == 1
    assert brand.transitions("wake@example.com")[1:4] == [
        ("new", "active", "time", seen + 1000), ("active", "lapsed", "time", seen + 2001),
        ("lapsed", "churned", "time", seen + 3001)]
    assert brand.transitions("wake@example.com")[4][:3] == ("churned", "active", "event")


# --- 13 -----------------------------------------------------------------------

def test_rule_13_windows_clocks_and_edges(brand):
    """A browser's clock a year ahead keeps a customer active for a year; a fulfilment wakes one."""
    sent = now_ms()
    brand.send(event("ahead", "ahead@example.com", at=iso(365 * 86400)))
    brand.send(event("ancient", "ancient@example.com", at="1971-01-01T00:00:00Z"))
    rows = dict(brand.sql("SELECT p.email, (extract(epoch FROM i.occurred_at) * 1000)::bigint"
                          " FROM interaction i JOIN profile p ON p.workspace_id = {ws}"
                          " AND p.id = i.origin_id WHERE i.workspace_id = {ws}"))
    assert sent - 1000 <= rows["ahead@example.com"] <= now_ms()
    assert rows["ancient@example.com"] == 946_684_800_000
    seen = brand.sql("SELECT (extract(epoch FROM last_seen_at) * 1000)::bigint FROM profile"
                     " WHERE workspace_id = {ws} AND email = 'ahead@example.com'")[0][0]
    assert seen <= now_ms()

    # Instants are whole milliseconds, the rest is cut off.
    base = now_ms() - 100_000
    fine = at_ms(base)[:-1] + "999Z"
    brand.send(event("fine", "fine@example.com", at=fine))
    stored = brand.sql("SELECT (extract(epoch FROM last_seen_at) * 1000000)::bigint,"
                       " (extract(epoch FROM due_at) * 1000000)::bigint FROM profile"
                       " WHERE workspace_id = {ws} AND email = 'fine@example.com'")[0]
    assert stored[0] == base * 1000
    # `new` while age < 30 d ends at 30 d sharp; `lapsed` at age > 60 d begins a tick later.
    assert stored[1] == (base + 30 * DAY) * 1000
    brand.past("fine@example.com", first_seen_at=base - 100 * DAY, due_at=base)
    assert wait_for(lambda: brand.due_ms("fine@example.com") > base and
                    brand.due_ms("fine@example.com"), 5) == base + 60 * DAY + 1

    # What the merchant does to an order is no sign of life.
    shop = Shopify(brand.api)
    placed = iso(-90 * 86400)[:19] + "Z"
    order = dict(order_id=131, customer_id=913, email="asleep@example.com", at=placed)
    assert shop.send("orders/create", shopify_order(**order)).status == 200
    before = brand.profile("asleep@example.com")
    assert before["lifecycle"] == "lapsed"
    fulfilled = shopify_order(**order, updated=iso(-5)[:19] + "Z", fulfillment_status="fulfilled")
    for topic in ("orders/updated", "orders/fulfilled"):
        assert shop.send(topic, fulfilled).status == 200
    assert shop.send("refunds/create", refund(1, 131, "5.00", iso(-4)[:19] + "Z")).status == 200
    brand.send(event("mail", "asleep@example.com", "email.delivered"))
    after = brand.profile("asleep@example.com")
    assert after["last_seen_at"] == before["last_seen_at"] and after["lifecycle"] == "lapsed"
    brand.send(event("back", "asleep@example.com"))
    assert brand.profile("asleep@example.com")["lifecycle"] == "active"


# --- 14 -----------------------------------------------------------------------

def test_rule_14_cost_does_not_grow_with_the_table(tmp_path):
    """Plans made on an empty table filter where they should seek: all rows read to lock two."""
    cluster = shopbell.Cluster(settings={"autovacuum": "off"})
    server = Server(cluster, str(tmp_path)).migrate().start()
    try:
        brand = Brand(cluster, server)
        for n in range(40):  # every connection has its plans now, made for nothing
            brand.send([event(f"p{n}-{k}", f"p{k}@example.com") for k in range(4)])
            brand.send(order_event(f"po{n}", f"p{n % 4}@example.com", 14000 + n, 10.0))
        columns = [c for c, in cluster.query(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'profile'"
            " AND column_name NOT IN ('id', 'due_at') ORDER BY ordinal_position")]
        names = ", ".join(columns)
        brand.sql(f"INSERT INTO profile (id, {names}) SELECT gen_random_uuid(), {names} FROM"
                  " (SELECT * FROM profile WHERE workspace_id = {ws} LIMIT 1) p,"
                  " generate_series(1, 20000)")
        brand.sql("INSERT INTO identity SELECT workspace_id, 'email', %s, 'x' || id, id, id, 0,"
                  " now() FROM profile WHERE workspace_id = {ws}", uuid.UUID(int=0))
        brand.sql("INSERT INTO receipt SELECT workspace_id, gen_random_uuid(), id, now()"
                  " FROM profile WHERE workspace_id = {ws}")

        def rows_read():
            cluster.query("SELECT pg_stat_force_next_flush()")
            return cluster.query("SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint"
                                 " FROM pg_stat_user_tables WHERE relname ~"
                                 " '^(profile|identity|receipt|orders|interaction|transition)'")[0][0]
        time.sleep(1.2)
        for settle in ("a", "b"):
            brand.send([event(f"{settle}{k}", f"p{k % 4}@example.com") for k in range(4)])
            time.sleep(1.2)
        before = rows_read()
        for n in range(25):
            brand.send([event(f"q{n}-{k}", f"p{k}@example.com") for k in range(4)])
        time.sleep(1.2)
        brand.send(event("flush", "p0@example.com"))
        time.sleep(1.2)
        read = rows_read() - before
        print("rows read for 100 events beside 20,000 customers:", read)
        assert 0 < read < 100 * 40
    finally:
        server.stop()
        cluster.remove()


# --- 16 -----------------------------------------------------------------------

def test_rule_16_the_due_sweep(brand):
    """Every write raises due_at, the costliest update there is; a wake-up for nothing writes a version."""
    base = now_ms() - 60_000
    brand.send(event("a", "due@example.com", at=at_ms(base)))
    brand.past("due@example.com", first_seen_at=base - 100 * DAY, last_seen_at=base - 10 * DAY,
               decided_at=base, due_at=base + 50 * DAY)
    brand.send(event("b", "due@example.com", at=at_ms(base + 1000)))
    computed = base + 1000 + 60 * DAY + 1
    stored = brand.due_ms("due@example.com")
    assert stored == base + 50 * DAY <= computed, "a write only lowers it"

    brand.past("due@example.com", due_at=base + 70 * DAY)
    brand.send(event("c", "due@example.com", at=at_ms(base + 2000)))
    assert brand.due_ms("due@example.com") == base + 2000 + 60 * DAY + 1, "and lowers it it does"

    row = ("SELECT sequence, updated_at, decided_at, lifecycle, lifecycle_since, state FROM profile"
           " WHERE workspace_id = {ws} AND email = 'due@example.com'")
    before = brand.sql(row)
    turns = len(brand.transitions())
    brand.past("due@example.com", due_at=now_ms() + 100)
    wait_for(lambda: brand.due_ms("due@example.com") == base + 2000 + 60 * DAY + 1, 5,
             what="the sweep sets it to what is computed")
    after = brand.sql(row)
    assert [r[:2] + r[3:] for r in after] == [r[:2] + r[3:] for r in before], "and nothing else"
    assert len(brand.transitions()) == turns

    # A row that somebody has locked is come back for.
    turn = now_ms() + 200
    with Session(brand.cluster) as session:
        session.run("UPDATE profile SET last_seen_at = to_timestamp(%s / 1000.0), due_at ="
                    " to_timestamp(%s / 1000.0), decided_at = to_timestamp(%s / 1000.0)"
                    " WHERE workspace_id = %s AND email = 'due@example.com'",
                    turn - 60 * DAY - 1, turn, turn - DAY, brand.id)
        session.commit()
        session.run("SELECT 1 FROM profile WHERE workspace_id = %s FOR UPDATE", brand.id)
        time.sleep(0.8)
        assert len(brand.transitions()) == turns
        session.commit()
    wait_for(lambda: brand.transitions()[-1] == ("active", "lapsed", "time", turn), 5,
             what="the skipped row")


# --- 18 -----------------------------------------------------------------------

def test_rule_18_leases(other_cluster, other, esp, tmp_path):
    """Who dies takes its messages with it; who was overtaken settles what is another's."""
    brand = Brand(other_cluster, other)
    esp.subscribe(brand.api, ["page.viewed"])
    for n in (1, 2):  # who answered twice is asked four at once
        brand.send(event(f"known{n}", "known@example.com"))
        wait_for(lambda n=n: len(esp.messages) == n and brand.count("delivery") == 0, 5)
    esp.messages.clear()
    hold = threading.Event()
    esp.answer = lambda headers, body: (hold.wait(20), (200, {}, b""))[1]
    second = None
    try:
        brand.send([event(n, f"lease{n}@example.com") for n in range(3)])
        wait_for(lambda: len(esp.messages) == 3, 5)
        rows = brand.sql("SELECT lease_owner, lease_until > now() + interval '15 s' FROM delivery"
                         " WHERE workspace_id = {ws}")
        assert len(rows) == 3 and len({owner for owner, _ in rows}) == 1
        assert rows[0][0] is not None and all(outlives for _, outlives in rows)

        # One lease is lost while its call is under way: not ours to settle.
        stolen = brand.sql("UPDATE delivery SET lease_owner = %s WHERE workspace_id = {ws} AND id ="
                           " (SELECT min(id::text)::uuid FROM delivery WHERE workspace_id = {ws})"
                           " RETURNING id", uuid.uuid4())[0][0]
        hold.set()
        wait_for(lambda: brand.count("delivery") == 1, 5)
        time.sleep(0.5)
        assert brand.sql("SELECT id FROM delivery WHERE workspace_id = {ws}") == [(stolen,)]
        brand.sql("DELETE FROM delivery WHERE workspace_id = {ws}")

        hold.clear()
        esp.messages.clear()
        brand.send([event(f"k{n}", f"lease{n}@example.com") for n in range(3)])
        wait_for(lambda: len(esp.messages) == 3, 5)
        other.kill()
        first = {headers["webhook-id"]: body for headers, body, _, _ in esp.messages}
        assert brand.count("delivery") == 3, "nothing is settled that was not answered"
        esp.answer = None
        second = Server(other_cluster, str(tmp_path)).start()
        time.sleep(1.0)
        assert len(esp.messages) == 3, "while the lease lives nobody else sends"
        brand.sql("UPDATE delivery SET lease_until = now() WHERE workspace_id = {ws}")
        wait_for(lambda: brand.count("delivery") == 0, 10, what="the second takes over")
        again = {headers["webhook-id"]: body for headers, body, _, _ in esp.messages[3:]}
        assert again == first
    finally:
        hold.set()
        if second is not None:
            second.stop()


# --- 19 -----------------------------------------------------------------------

def test_rule_19_one_body_per_id(brand, esp):
    """Rendered at send time, one id has several bodies, which an ESP's idempotency refuses."""
    esp.subscribe(brand.api, ["order.completed"])
    answers = iter([500, 503, 429, 200])
    esp.answer = lambda headers, body: (next(answers), {}, b"")
    brand.send(order_event("o", "body@example.com", 1901, 10.0, traits={"first_name": "Ann"}))
    for attempt in range(1, 5):
        wait_for(lambda: len(esp.messages) == attempt, 10, what=f"attempt {attempt}")
        if attempt == 4:
            break
        wait_for(lambda: brand.count("delivery", "attempt = %s AND lease_owner IS NULL", attempt),
                 5)
        brand.send(event(f"t{attempt}", "body@example.com", "customer.updated", iso(-1),
                         traits={"first_name": f"Name{attempt}"},
                         identities={"email": "body@example.com", "phone": f"+3361111111{attempt}"}))
        brand.sql("UPDATE delivery SET due_at = now() WHERE workspace_id = {ws}")
    assert brand.profile("body@example.com")["traits"]["first_name"] == "Name3"
    bodies = {body for _, body, _, _ in esp.messages}
    assert len(bodies) == 1 and b'"Name' not in bodies.pop()
    assert len({headers["webhook-id"] for headers, _, _, _ in esp.messages}) == 1
    assert esp.bad_signatures == 0
    wait_for(lambda: brand.count("delivery") == 0, 5)


# --- 21 -----------------------------------------------------------------------

def test_rule_21_partitions_are_attached_ahead_of_time(other_cluster, other, tmp_path):
    """PARTITION OF waits behind an analyst, and every insert behind it gets a 503."""
    query = other_cluster.query
    assert query("SELECT count(*) FROM pg_partitioned_table WHERE partdefid <> 0")[0][0] == 0
    newest = dict(query(
        "SELECT p.relname::text, max(c.relname::text) FROM pg_inherits i"
        " JOIN pg_class p ON p.oid = i.inhparent JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE p.relkind = 'p' AND c.relname !~ '_history$' GROUP BY 1"))
    assert set(newest) == {"webhook", "interaction", "transition", "notification", "rendition",
                           "attempt"}
    in_days = time.strftime("y%Ym%md%d", time.gmtime(time.time() + 13 * 86400))
    in_months = time.strftime("y%Ym%m", time.gmtime(time.time() + 62 * 86400))
    for table, name in newest.items():
        ahead = in_months if table in ("interaction", "transition") else in_days
        assert name >= f"{table}_{ahead}", name

    brand = Brand(other_cluster, other)
    for table, name in newest.items():
        query(f"DROP TABLE {name}")
    with Session(other_cluster) as analyst:
        for table in newest:
            analyst.run(f"SELECT count(*) FROM {table}")
        second = Server(other_cluster, str(tmp_path)).start(ready=False)
        try:
            started = time.monotonic()
            n = 0
            while time.monotonic() < started + 10:
                n += 1
                sent = time.monotonic()
                brand.send(event(n, f"part{n}@example.com"))
                assert time.monotonic() - sent < 2, "an insert waited behind DDL"
                made = {name for name, in query("SELECT c.relname::text FROM pg_inherits i"
                                                " JOIN pg_class c ON c.oid = i.inhrelid")}
                if set(newest.values()) <= made and n > 20:
                    break
            assert set(newest.values()) <= made, "made while the analyst reads"
            wait_for(second.is_ready, 10)
            assert analyst.run("SELECT 1") == [(1,)]
        finally:
            second.stop()
