"""50,000 signed webhooks, a fifth of them repeated, shuffled, over 64 connections
to two server processes on one database: what the tables say must equal what an
independent oracle, written from the payloads alone, says. Every event has
exactly one effect.
"""

import http.client
import json
import os
import random
import threading
import time

import shopbell
from shopbell import Receiver, Server, Shopify, make_workspace, shopify_order, wait_for

WEBHOOKS = int(os.environ.get("SHOPBELL_ORACLE_WEBHOOKS", "50000"))
CONNECTIONS = 64


SPAN_S = 18 * 3600
START = int(time.time()) - 20 * 3600  # nobody is rung for what is older than a day


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(START + seconds))


class Story:
    """Deliveries, and beside them what they must come to."""

    def __init__(self, seed, count):
        self.random = random.Random(seed)
        self.deliveries = []  # (topic, payload, webhook id)
        self.expected = {}    # email -> {count, gross, refunded}
        self.completed = set()
        order_id = 5_000_000_000_000_000_000
        while len(self.deliveries) < count * 5 // 6:
            order_id += 1
            self.order(order_id)
        repeats = self.random.choices(self.deliveries, k=count - len(self.deliveries))
        self.deliveries += repeats
        self.random.shuffle(self.deliveries)
        self.repeats = len(repeats)

    def add(self, topic, payload):
        self.deliveries.append((topic, payload, f"wh-{len(self.deliveries)}"))

    def order(self, order_id):
        r = self.random
        customer = r.randrange(1, 3000)
        email = f"c{customer}@example.com"
        cents = r.randrange(100, 50000)
        total = "%d.%02d" % divmod(cents, 100)
        placed = r.randrange(0, SPAN_S)
        is_guest = r.random() < 0.2

        def body(status, updated, **more):
            return shopify_order(order_id, None if is_guest else customer, email, total, status,
                                 at=stamp(placed), updated=stamp(placed + updated), **more)
        self.add("orders/create", body("pending" if r.random() < 0.5 else "paid", 0))
        paid, cancelled, refunded = r.random() < 0.9, r.random() < 0.1, 0
        first_paid = self.deliveries[-1][1]["financial_status"] == "paid"
        if paid:
            self.add("orders/paid", body("paid", 10))
        if r.random() < 0.5:
            self.add("orders/updated", body("paid" if paid or first_paid else "pending", 20))
        if r.random() < 0.2:
            refunded = r.randrange(1, cents)
            for n, part in enumerate([refunded // 3, refunded - refunded // 3]):
                if part:
                    self.add("refunds/create", {
                        "id": order_id % 10**12 * 10 + n + 1, "order_id": order_id,
                        "created_at": stamp(placed + 30), "processed_at": stamp(placed + 30),
                        "refund_line_items": [], "order_adjustments": [],
                        "transactions": [{"id": 1, "kind": "refund", "status": "success",
                                          "currency": "EUR",
                                          "amount": "%d.%02d" % divmod(part, 100)}]})
        if cancelled:
            self.add("orders/cancelled", body("paid" if paid or first_paid else "voided", 40,
                                              cancelled_at=stamp(placed + 40)))
        counts = (paid or first_paid) and not cancelled
        entry = self.expected.setdefault(email, {"count": 0, "gross": 0, "refunded": 0})
        if counts:
            entry["count"] += 1
            entry["gross"] += cents
            entry["refunded"] += refunded
            self.completed.add(str(order_id))


def send_all(shop, servers, deliveries):
    """Each connection takes the next delivery until none is left; 503 is tried
    again, as a shop would. Returns counts by status of the answers."""
    lock = threading.Lock()
    queue = iter(deliveries)
    counts, faults = {}, []

    def client(number):
        connection = http.client.HTTPConnection("127.0.0.1", servers[number % len(servers)].port,
                                                timeout=60)
        while True:
            with lock:
                delivery = next(queue, None)
            if delivery is None:
                return
            topic, payload, webhook_id = delivery
            body = json.dumps(payload).encode()
            headers = shop.headers(topic, body, webhook_id)
            for _ in range(50):
                connection.request("POST", shop.path, body, headers)
                response = connection.getresponse()
                answer = response.read()
                if response.status != 503:
                    break
            with lock:
                status = json.loads(answer).get("status")
                counts[status] = counts.get(status, 0) + 1
                if response.status != 200:
                    faults.append((response.status, answer[:300]))
    threads = [threading.Thread(target=client, args=(n,)) for n in range(CONNECTIONS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not faults, faults[:3]
    return counts


def test_state_equals_the_oracle(cluster, tmp_path):
    seed = int(os.environ.get("SHOPBELL_SEED", random.randrange(1 << 30)))
    print("seed", seed)
    home = str(tmp_path)
    first = Server(cluster, home).migrate().start()
    second = Server(cluster, home).start()
    esp = Receiver()
    try:
        api = make_workspace(first, f"oracle{seed}")
        shop = Shopify(api)
        esp.subscribe(api, ["order.completed"])
        story = Story(seed, WEBHOOKS)
        # The other instance knows the source and, a poll later, its secret.
        wait_for(lambda: shop.send("themes/publish", {"id": 1}, server=second).status == 200, 5)
        counts = send_all(shop, [first, second], story.deliveries)
        print("answers", counts, "deliveries", len(story.deliveries), "repeats", story.repeats)
        assert counts["duplicate"] >= story.repeats
        assert sum(counts.values()) == WEBHOOKS

        workspace = cluster.query("SELECT id FROM workspace WHERE name = %s", f"oracle{seed}")[0][0]
        rows = cluster.query(
            "SELECT i.value, p.orders_count, p.orders_gross_minor, p.orders_refunded_minor,"
            " p.merged_into FROM identity i JOIN profile l ON l.workspace_id = i.workspace_id"
            " AND l.id = i.profile_id JOIN profile p ON p.workspace_id = l.workspace_id"
            " AND p.id = COALESCE(l.merged_into, l.id)"
            " WHERE i.workspace_id = %s AND i.kind = 'email'", workspace)
        found = {value: {"count": c, "gross": g, "refunded": r} for value, c, g, r, _ in rows}
        wrong = {e: (found.get(e), x) for e, x in story.expected.items() if found.get(e) != x}
        assert not wrong, (len(wrong), list(wrong.items())[:5])
        assert len(found) == len(story.expected)

        doubled = cluster.query(
            "SELECT id, count(*) FROM interaction WHERE workspace_id = %s GROUP BY id"
            " HAVING count(*) > 1", workspace)
        assert not doubled, doubled[:5]
        receipts = cluster.query("SELECT count(*) FROM receipt WHERE workspace_id = %s",
                                 workspace)[0][0]
        assert receipts >= len({d[2] for d in story.deliveries if d[0] != "refunds/create"})
        completed = cluster.query(
            "SELECT order_ref FROM interaction WHERE workspace_id = %s"
            " AND type = 'order.completed'", workspace)
        assert len(completed) == len({r for r, in completed}), "completed once per order"
        rung = cluster.query("SELECT count(*) FROM notification WHERE workspace_id = %s",
                             workspace)[0][0]
        wait_for(lambda: cluster.query("SELECT count(*) FROM delivery WHERE workspace_id = %s",
                                       workspace)[0][0] == 0, 60, 0.2, "all delivered")
        bodies = {}
        for headers, body, _, _ in esp.messages:
            assert bodies.setdefault(headers["webhook-id"], body) == body
        assert len(bodies) == rung
        assert esp.bad_signatures == 0
    finally:
        esp.close()
        assert first.stop() == 0
        assert second.stop() == 0
