"""kill -9 of the server around the moments of a delivery: between the commit of a
notification and its sending, between the receiver's having it and the settlement, and
at random. Every notification reaches the receiver; what comes again has the same id and
the same body; in order, where order was asked for.
"""

import http.client
import os
import random
import threading
import time

from shopbell import Receiver, Server, Shopify, make_workspace, shopify_order, wait_for
from test_crash import Sender

CYCLES = int(os.environ.get("SHOPBELL_DELIVERY_CRASH_CYCLES", "50"))
HELD = 4  # orders of one cycle, of which the receiver gets the first


class Esp(Receiver):
    """Holds its answers while the gate is shut; `at_receipt` is called when a message is
    here and not answered, `at_answer` when its answer was written."""

    def __init__(self):
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.at_receipt = None
        self.answer = self.hold
        self.http.handle_error = lambda *_: None  # who was killed hears no answer

    def hold(self, headers, body):
        if self.at_receipt:
            self.at_receipt()
        self.gate.wait(60)
        return 200, {}, b""

    def ids(self):
        with self.lock:
            return {m[2]["id"] for m in self.messages}


class Scene:
    """A server that is killed, a shop that repeats what was not acknowledged, and an ESP
    for each ordering there is."""

    def __init__(self, cluster, home):
        self.cluster = cluster
        self.server = Server(cluster, home).migrate().start()
        self.api = make_workspace(self.server, os.path.basename(home))
        self.workspace = cluster.query("SELECT id FROM workspace WHERE name = %s",
                                       self.api.workspace)[0][0]
        self.shop = Shopify(self.api)
        self.orders = 0
        self.esps = {"none": Esp(), "profile": Esp()}
        for ordering in list(self.esps):
            self.subscribe(ordering)

    def subscribe(self, ordering):
        """One request at a time, so that the second message of a cycle waits for the first."""
        self.esps[ordering].subscribe(self.api, ["order.completed"], f"in_{ordering}",
                                      concurrency=1, ordering=ordering)

    def pending(self):
        return self.cluster.query("SELECT count(*) FROM delivery WHERE workspace_id = %s",
                                  self.workspace)[0][0]

    def rung(self):
        return {str(i) for i, in self.cluster.query(
            "SELECT id FROM notification WHERE workspace_id = %s", self.workspace)}

    def order(self, customer):
        """A call that sends a new order, the same webhook each time."""
        self.orders += 1
        number = 9_000_000_000 + self.orders
        payload = shopify_order(number, 5000 + customer, f"held{customer}@example.com",
                                at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
        return lambda: self.shop.send("orders/create", payload, webhook_id=f"held-{number}",
                                      timeout=5).status

    def kill(self):
        """SIGKILL now, from any thread."""
        if self.server.process:
            self.server.process.kill()

    def start_again(self):
        """As it would be a minute later, when the leases of the dead one have run out."""
        if self.server.process:
            self.server.process.wait(10)
            self.server.process = None
        # What it had sent to PostgreSQL is still done: a claim may commit after its death.
        wait_for(lambda: not self.cluster.query(
            "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'shopbell%%'"
            " AND datname = current_database()"), 10, 0.005, "nothing of the dead one is left")
        self.cluster.query("UPDATE delivery SET lease_until = now() - interval '1 ms' WHERE "
                           "workspace_id = %s AND lease_owner IS NOT NULL", self.workspace)
        self.server.start()

    def all_heard(self):
        wanted = self.rung()
        for ordering, esp in self.esps.items():
            wait_for(lambda: esp.ids() >= wanted, 30, 0.02,
                     f"all reached the ESP with ordering {ordering}")
        wait_for(lambda: self.pending() == 0, 30, 0.02, "all is settled")

    def close(self):
        for esp in self.esps.values():
            esp.gate.set()
            esp.close()
        self.server.stop()


def try_to(send):
    try:
        return send() == 200
    except (OSError, http.client.HTTPException):
        return False


def kill_before_sending(scene, chance):
    """The receiver has the first of some messages and does not answer; the others are
    committed, acknowledged, and wait behind it. Then the server dies."""
    before = {name: len(esp.messages) for name, esp in scene.esps.items()}
    for esp in scene.esps.values():
        esp.gate.clear()
    customer = chance.randrange(5)
    for _ in range(HELD):
        assert try_to(scene.order(customer))
    for name, esp in scene.esps.items():
        wait_for(lambda: len(esp.messages) > before[name], 10, 0.005, "the first is at the ESP")
    time.sleep(chance.uniform(0, 0.02))
    scene.kill()
    scene.server.process.wait(10)
    for name, esp in scene.esps.items():
        assert len(esp.messages) == before[name] + 1, "the others had not been sent"
    assert scene.pending() == HELD * len(scene.esps), "and are not lost"
    for esp in scene.esps.values():
        esp.gate.set()
    scene.start_again()


def kill_before_settling(scene, chance):
    """The receiver has it, has answered it or has not, and the server dies before it can
    write so: an answer waits up to 20 ms to be settled with others."""
    killer = threading.Event()

    def strike():
        if not killer.is_set():
            killer.set()
            threading.Timer(chance.choice([0, 0, 0.002, 0.01]), scene.kill).start()

    for esp in scene.esps.values():
        esp.at_receipt = strike
    sends = [scene.order(chance.randrange(5)) for _ in range(3)]
    acked = [try_to(send) for send in sends]
    wait_for(killer.is_set, 10, 0.002, "the ESP has it")
    scene.server.process.wait(10)
    for esp in scene.esps.values():
        esp.at_receipt = None
    scene.start_again()
    for send, done in zip(sends, acked):
        assert done or try_to(send), "Shopify repeats what was not acknowledged"


def kill_at_random(scene, chance, cycles):
    senders = [Sender(scene.shop, scene.server, n) for n in range(1, 5)]
    for sender in senders:
        sender.thread.start()
    try:
        for _ in range(cycles):
            time.sleep(chance.uniform(0.05, 0.5))
            scene.kill()
            scene.server.process.wait(10)
            scene.server.process = None
            scene.server.start()
    finally:
        for sender in senders:
            sender.stopping = True
        for sender in senders:
            sender.thread.join()
    assert not [wrong for sender in senders for wrong in sender.unexpected]
    acked = [ref for sender in senders for ref in sender.acked]
    assert len(acked) > cycles
    scene.kill()
    scene.start_again()
    return acked


def check_messages(ordering, esp, rung):
    """One body an id, and with order the first receipts of a customer ascend."""
    bodies, last = {}, {}
    for headers, body, parsed, _ in list(esp.messages):
        assert headers["webhook-id"] == parsed["id"]
        is_first = parsed["id"] not in bodies
        assert bodies.setdefault(parsed["id"], body) == body, "one id, one body"
        customer = parsed["data"]["profile"]["id"]
        if is_first and ordering == "profile":
            assert parsed["sequence"] > last.get(customer, 0), "an earlier message came later"
            last[customer] = parsed["sequence"]
    assert set(bodies) == rung, "no message that nobody committed, none lost"
    assert esp.bad_signatures == 0
    print(ordering, "received", len(esp.messages), "of", len(rung), "distinct")


def test_a_delivery_survives_every_kill(cluster, tmp_path):
    seed = int(os.environ.get("SHOPBELL_SEED", random.randrange(1 << 30)))
    print("seed", seed)
    chance = random.Random(seed)
    scene = Scene(cluster, str(tmp_path))
    try:
        for _ in range(max(1, CYCLES // 4)):
            kill_before_sending(scene, chance)
            scene.all_heard()
        for _ in range(max(1, CYCLES // 4)):
            kill_before_settling(scene, chance)
            scene.all_heard()
        acked = kill_at_random(scene, chance, max(1, CYCLES - 2 * max(1, CYCLES // 4)))
        scene.all_heard()
        completed = [r for r, in cluster.query(
            "SELECT order_ref FROM interaction WHERE type = 'order.completed' AND "
            "workspace_id = %s", scene.workspace)]
        assert len(completed) == len(set(completed)), "an effect happened twice"
        assert set(acked) <= set(completed)
        rung = scene.rung()
        assert len(rung) == len(completed)
        for ordering, esp in scene.esps.items():
            check_messages(ordering, esp, rung)
    finally:
        scene.close()
