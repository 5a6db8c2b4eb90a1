"""Stock that comes and goes, looks, orders and merges in random order, while fan-outs run:
whom each fact rings is what a naive oracle says. Who waits all the time that a fact is told
is rung once, who waits at no time never, and who changes meanwhile at most once; and when
nothing changes meanwhile, exactly those are rung who wait and were not rung lately.

SHOPBELL_SEED says which history it is: each run draws another.
"""

import os
import random
import threading
import time

import shopbell
from shopbell import wait_for

SEED = os.environ.get("SHOPBELL_SEED", str(random.randrange(1, 1 << 30)))
ROUNDS = 12
CUSTOMERS = 40
PRODUCTS = ["shoe", "boot", "lamp"]
CATEGORY = {"shoe": ["Shoes"], "boot": ["Shoes"], "lamp": ["Light"]}


class World:
    """A shop, and the oracle: when each customer last saw each product sold out, and bought
    it or something of its category. Its clock goes ten seconds at a time."""

    def __init__(self, api, draw):
        self.api, self.draw = api, draw
        self.now = time.time() - 50000
        self.number = 0
        self.stock = dict.fromkeys(PRODUCTS, 0)
        self.seen, self.bought, self.rung = {}, {}, {}
        self.lock = threading.Lock()

    def tick(self):
        with self.lock:
            self.now += 10
            self.number += 1
            return self.now, self.number

    @staticmethod
    def stamp(at):
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))

    def send(self, kind, at, number, who, **properties):
        self.api.call("POST", "/v1/events", {
            "id": f"e{number}", "type": kind, "occurred_at": self.stamp(at),
            "identities": who, "properties": properties}, 200)

    @staticmethod
    def identities(customer):
        return {"email": f"p{customer}@x.de", "anonymous_id": f"a{customer}"}

    def look(self, customer, product):
        at, number = self.tick()
        self.send("product.viewed", at, number, self.identities(customer), product_id=product,
                  in_stock=False)
        self.seen[customer, product] = at

    def buy(self, customer, product):
        at, number = self.tick()
        self.send("order.completed", at, number, self.identities(customer), order_id=f"O{number}",
                  total=10, currency="EUR",
                  products=[{"product_id": product, "price": 10, "quantity": 1}])
        for other in PRODUCTS:
            if CATEGORY[other] == CATEGORY[product]:
                self.bought[customer, other] = at

    def waits(self, customer, product):
        seen = self.seen.get((customer, product))
        return seen is not None and self.bought.get((customer, product), 0) < seen

    def act(self, customer):
        """Something that a customer does."""
        act = self.draw.choice([self.look, self.look, self.buy])
        act(customer, self.draw.choice(PRODUCTS))

    def level(self, product, stock):
        at, _ = self.tick()
        self.api.call("POST", "/v1/events", {
            "type": "inventory.updated", "occurred_at": self.stamp(at),
            "properties": {"product_id": product, "stock": stock}}, 200)
        self.stock[product] = stock


def rung_since(cluster, workspace, known):
    rows = cluster.query("SELECT n.id, p.email FROM notification n JOIN profile o ON"
                         " o.workspace_id = n.workspace_id AND o.id = n.profile_id JOIN profile p"
                         " ON p.workspace_id = n.workspace_id AND p.id = coalesce(o.merged_into,"
                         " o.id) WHERE n.workspace_id = %s", workspace)
    new = [int(email[1:-5]) for i, email in rows if i not in known]
    known.update(i for i, _ in rows)
    return sorted(new)


def begin(api):
    api.call("PATCH", f"/v1/workspaces/{api.workspace}", {"catalogue": {"quiet": "0s"}}, 200)
    api.call("PUT", "/v1/triggers/back", {
        "when": {"universal": "product.back_in_stock"}, "audience": "interest.waiting",
        "mode": "live"}, 201)
    api.post("/v1/subscriptions", {"name": "esp", "url": "http://127.0.0.1:9999/in",
                                   "topics": ["trigger.back"]}, expect=201)


def test_whom_facts_ring_whatever_happens_meanwhile(tmp_path):
    draw = random.Random(SEED)
    cluster = shopbell.Cluster()
    server = shopbell.Server(cluster, str(tmp_path)).migrate().start()
    try:
        api = shopbell.make_workspace(server, "world")
        workspace = cluster.query("SELECT id FROM workspace WHERE name = 'world'")[0][0]
        begin(api)
        cluster.query("UPDATE subscription SET status = 'active'")
        world = World(api, draw)
        for product in PRODUCTS:
            api.call("PUT", f"/v1/sources/api/products/{product}", {
                "name": product, "currency": "EUR", "category": CATEGORY[product], "stock": 0,
                "updated_at": world.stamp(world.now)}, 200)
        cluster.query("UPDATE workspace SET config_version = config_version + 1")
        time.sleep(0.6)
        known, facts = set(), 0
        for number in range(ROUNDS):
            for _ in range(draw.randrange(20, 60)):
                world.act(draw.randrange(CUSTOMERS))
            product = draw.choice(PRODUCTS)
            if world.stock[product] > 0:
                world.level(product, 0)
            races = number % 3 > 0
            moving = set(draw.sample(range(CUSTOMERS), 8)) if races else set()
            still = [c for c in range(CUSTOMERS) if c not in moving]
            wanted = [c for c in still if world.waits(c, product)]
            facts += 1
            acts = [draw.choice(sorted(moving)) for _ in range(12)] if races else []
            racing = threading.Thread(target=lambda: [world.act(c) for c in acts])
            racing.start()
            world.level(product, 5)
            racing.join()
            wait_for(lambda: cluster.query(
                "SELECT count(*) FROM job WHERE kind = 'fan_out' AND status = 'succeeded'")
                == [(facts,)], 20, what=f"fan-out {facts} (seed {SEED})")
            rung = rung_since(cluster, workspace, known)
            assert len(rung) == len(set(rung)), f"twice: {rung} (seed {SEED})"
            assert [c for c in rung if c not in moving] == wanted, \
                f"round {number}, {product}: seed {SEED}"
    finally:
        server.stop()
        cluster.remove()
