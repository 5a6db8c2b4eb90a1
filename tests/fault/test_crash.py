"""kill -9 of the server and `pg_ctl stop -m immediate` at random points while a
shop sends: every acknowledged webhook is there, once; every notification
reaches the ESP; repeats carry the same id and body.
"""

import http.client
import json
import os
import random
import threading
import time

from shopbell import Cluster, Receiver, Server, Shopify, make_workspace, shopify_order, wait_for

CYCLES = int(os.environ.get("SHOPBELL_CRASH_CYCLES", "30"))


class Sender:
    """Sends new orders for ever; what was not acknowledged is repeated under the
    same webhook id, as Shopify does. Remembers what was."""

    def __init__(self, shop, server, number):
        self.shop, self.server, self.number = shop, server, number
        self.acked = []
        self.unexpected = []
        self.stopping = False
        self.thread = threading.Thread(target=self.run)

    def run(self):
        n = 0
        while not self.stopping:
            n += 1
            order = shopify_order(self.number * 1_000_000 + n, self.number * 1000 + n % 7,
                                  f"c{self.number}-{n % 7}@example.com", "10.00",
                                  at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
            body = json.dumps(order).encode()
            headers = self.shop.headers("orders/create", body, f"crash-{self.number}-{n}")
            while not self.deliver(body, headers):
                if self.stopping:
                    return
                time.sleep(0.02)
            self.acked.append(str(order["id"]))

    def deliver(self, body, headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=10)
        try:
            connection.request("POST", self.shop.path, body, headers)
            response = connection.getresponse()
            answer = response.read()
            if response.status not in (200, 503):
                self.unexpected.append((response.status, answer[:200]))
            return response.status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def test_nothing_acknowledged_is_lost(tmp_path):
    seed = int(os.environ.get("SHOPBELL_SEED", random.randrange(1 << 30)))
    print("seed", seed)
    chance = random.Random(seed)
    cluster = Cluster()
    esp = Receiver()
    server = Server(cluster, str(tmp_path)).migrate().start()
    senders = []
    kills = {"server": 0, "postgres": 0}
    try:
        api = make_workspace(server, "crash")
        shop = Shopify(api)
        esp.subscribe(api, ["order.completed"])
        senders = [Sender(shop, server, n) for n in range(1, 9)]
        for sender in senders:
            sender.thread.start()
        for _ in range(CYCLES):
            time.sleep(chance.uniform(0.2, 0.9))
            if chance.random() < 0.5:
                kills["server"] += 1
                server.kill()
                server.start(ready=False)
            else:
                kills["postgres"] += 1
                cluster.stop("immediate")
                cluster.start()
            wait_for(server.is_ready, 30, 0.02, "ready again")
        time.sleep(0.5)
        for sender in senders:
            sender.stopping = True
        for sender in senders:
            sender.thread.join()
        acked = [ref for sender in senders for ref in sender.acked]
        print("cycles", kills, "acknowledged", len(acked))
        assert not [u for s in senders for u in s.unexpected]
        assert len(acked) > CYCLES * 10

        completed = [r for r, in cluster.query(
            "SELECT order_ref FROM interaction WHERE type = 'order.completed'")]
        assert len(completed) == len(set(completed)), "an effect happened twice"
        missing = set(acked) - set(completed)
        assert not missing, (len(missing), list(missing)[:5])
        counted = cluster.query("SELECT sum(orders_count) FROM profile WHERE merged_into IS NULL")
        assert counted[0][0] == len(completed)

        rung = {str(i) for i, in cluster.query("SELECT id FROM notification")}
        assert len(rung) == len(completed)
        wait_for(lambda: {m[2]["id"] for m in esp.messages} >= rung, 90, 0.2,
                 "every notification reached the ESP")
        bodies = {}
        for headers, body, parsed, _ in list(esp.messages):
            assert headers["webhook-id"] == parsed["id"]
            assert bodies.setdefault(parsed["id"], body) == body
        assert set(bodies) == rung
        print("received", len(esp.messages), "of", len(rung), "distinct; repeats",
              len(esp.messages) - len(rung))
        assert esp.bad_signatures == 0
    finally:
        for sender in senders:
            sender.stopping = True
        esp.close()
        server.stop()
        cluster.remove()
