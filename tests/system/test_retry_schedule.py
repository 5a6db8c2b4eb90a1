"""Seventy-six hours of the retry schedule, of the real server on a clock that the test
moves: an endpoint may come back at any point, and gets its message once; one that never
does is given up after the tenth attempt. No attempt is early, all of them carry the same
id and body, and a kill in the middle changes nothing of this.
"""

import mmap
import os
import random
import struct
import time

import pytest
from shopbell import (Receiver, Server, Shopify, make_workspace, preloaded, shopify_order,
                      verify_standard_webhook, wait_for)

WAITS_S = [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]
HOUR = 3600
ENDPOINTS = 30
EARLY_S = 1.5  # before the first is due


class Clock:
    """The server's wall clock; see tests/support/virtual_clock.c."""

    def __init__(self, home):
        self.path = os.path.join(home, "clock")
        with open(self.path, "wb") as f:
            f.write(bytes(8))
        with open(self.path, "r+b") as f:
            self.offset = mmap.mmap(f.fileno(), 8)

    def now(self):
        return time.time() + struct.unpack("<q", self.offset[:8])[0] / 1000

    def move_to(self, instant):
        """Never back."""
        ahead = instant - time.time()
        if instant > self.now():
            self.offset[:8] = struct.pack("<q", round(ahead * 1000))

    def environment(self):
        return {**preloaded("virtual_clock"), "SHOPBELL_VIRTUAL_CLOCK": self.path}


class Endpoint:
    def __init__(self, number, back_after_s, chance):
        self.number = number
        self.back_after_s = back_after_s  # None: never
        self.back_at = None
        self.chance = chance
        self.secret = None
        self.receipts = []  # (virtual time, status, id, body)

    def answer(self, now):
        if self.back_at is not None and now >= self.back_at:
            return 200
        return self.chance.choice([500, 503, 404, 401, 302, 429, None])


class Endpoints(Receiver):
    """One port, told apart by a header of the subscription's own."""

    def __init__(self, clock, chance):
        super().__init__()
        self.clock, self.chance = clock, chance
        self.all = {}
        self.wrong = []
        self.at_receipt = None
        self.answer = self.take_one
        self.http.handle_error = lambda *_: None

    def take_one(self, headers, body):
        now = self.clock.now()
        endpoint = self.all[int(headers["x-endpoint"])]
        status = endpoint.answer(now)
        if not verify_standard_webhook(endpoint.secret, headers, body, tolerance=1 << 40):
            self.wrong.append("signature")
        if abs(int(headers["webhook-timestamp"]) - now) > 5:
            self.wrong.append((headers["webhook-timestamp"], now))
        if self.at_receipt:
            self.at_receipt()
            status = None
        endpoint.receipts.append((now, status, headers["webhook-id"], body))
        if status is None:
            raise ConnectionError("hangs up")
        return status, {"location": "http://127.0.0.1:9/"} if status == 302 else {}, b"no"

    def receipt_count(self):
        return sum(len(endpoint.receipts) for endpoint in self.all.values())

    def wait_for_rest(self):
        """Until half a second passes without a receipt."""
        count = -1
        while count != self.receipt_count():
            count = self.receipt_count()
            time.sleep(0.5)


def draw_endpoints(esps, chance):
    """As many by every wait of the schedule, and some that never come back."""
    for number in range(ENDPOINTS):
        back = None if number % 6 == 5 else chance.uniform(0, chance.choice([0.1, 1, 10, 76])) * HOUR
        esps.all[number] = Endpoint(number, back, chance)


def waves(cluster, workspace):
    """[(attempts made, first due, last due)] of what is pending, in seconds."""
    return cluster.query(
        "SELECT attempt, extract(epoch FROM min(due_at))::float8, "
        "extract(epoch FROM max(due_at))::float8 FROM delivery WHERE workspace_id = %s "
        "GROUP BY attempt ORDER BY attempt", workspace)


def check_endpoint(endpoint, attempts):
    ids = {receipt[2] for receipt in endpoint.receipts}
    assert len(ids) == 1 and len({receipt[3] for receipt in endpoint.receipts}) == 1
    assert [number for number, *_ in attempts] == list(range(1, len(attempts) + 1))
    *earlier, last = attempts
    for (number, outcome, at, next_at), following in zip(earlier, attempts[1:]):
        wait = WAITS_S[number - 1]
        assert outcome == "retry"
        assert 0.9 * wait <= next_at - at <= 1.1 * wait + 2, (number, next_at - at)
        assert following[2] >= next_at, "an attempt was early"
    accepted = [receipt for receipt in endpoint.receipts if receipt[1] == 200]
    if last[1] == "gave_up":
        assert len(attempts) == 10 and not accepted
        assert 0.9 * sum(WAITS_S) <= last[2] - attempts[0][2] <= 1.15 * sum(WAITS_S)
        assert endpoint.back_at is None or endpoint.back_at > last[2] - 1
    else:
        assert last[1] == "delivered" and len(accepted) == 1, "delivered, once"
        assert endpoint.receipts[-1] is accepted[0], "and nothing came after"
    assert last[3] is None


@pytest.mark.parametrize("killed", [False, True], ids=["undisturbed", "killed"])
def test_who_comes_back_gets_it_once(cluster, tmp_path, killed):
    seed = int(os.environ.get("SHOPBELL_SEED", random.randrange(1 << 30)))
    print("seed", seed)
    chance = random.Random(seed)
    clock = Clock(str(tmp_path))
    esps = Endpoints(clock, chance)
    draw_endpoints(esps, chance)
    server = Server(cluster, str(tmp_path), **clock.environment()).migrate().start()
    kill_in = chance.sample(range(1, 9), 2) if killed else []
    try:
        api = make_workspace(server, f"schedule_{'killed' if killed else 'undisturbed'}")
        workspace = cluster.query("SELECT id FROM workspace WHERE name = %s", api.workspace)[0][0]
        for number, endpoint in esps.all.items():
            endpoint.secret = api.post("/v1/subscriptions", {
                "name": f"esp_{number}", "url": esps.url, "topics": ["order.completed"],
                "headers": {"X-Endpoint": str(number)}}, expect=201)["secret"]
            api.post(f"/v1/subscriptions/esp_{number}/verify", expect=200)
        wait_for(lambda: all(s["status"] == "active" for s in
                             api.get("/v1/subscriptions?page_size=100")["data"]), 5)
        begin = clock.now()
        for endpoint in esps.all.values():
            endpoint.back_at = endpoint.back_after_s and begin + endpoint.back_after_s
        shop = Shopify(api)
        assert shop.send("orders/create", shopify_order(1, 1, "jane@example.com")).status == 200

        def wave():
            return (waves(cluster, workspace) or [(None, 0, 0)])[0]
        wait_for(lambda: wave()[0] != 0, 20, what="the first attempt at everybody")
        while (now := wave())[0] is not None:
            attempt, first, last = now
            heard = esps.receipt_count()
            clock.move_to(first - EARLY_S)
            time.sleep(0.6)  # two polls
            assert esps.receipt_count() == heard, "an attempt was early"
            if attempt in kill_in:
                esps.at_receipt = server.process.kill
            clock.move_to(last + 0.01)
            if attempt in kill_in:
                wait_for(lambda: server.process.poll() is not None, 20, what="the kill")
                server.process = None
                esps.wait_for_rest()  # what the dead one had sent is not answered either
                esps.at_receipt = None
                clock.move_to(clock.now() + 61)  # the leases of the dead run out
                server.start(ready=False)  # its clock is not the database's: never ready
            wait_for(lambda: wave()[0] != attempt, 30, what=f"attempt {attempt + 1} at all")
        print(f"{(clock.now() - begin) / HOUR:.1f} hours, {esps.receipt_count()} requests")
        for number, endpoint in esps.all.items():
            check_endpoint(endpoint, cluster.query(
                "SELECT a.number, a.outcome, extract(epoch FROM a.at)::float8, "
                "extract(epoch FROM a.next_at)::float8 FROM attempt a JOIN subscription s ON "
                "s.workspace_id = a.workspace_id AND s.id = a.subscription_id WHERE "
                "a.workspace_id = %s AND s.name = %s ORDER BY a.number", workspace,
                f"esp_{number}"))
        assert not esps.wrong, esps.wrong[:3]
        given_up = [e for e in esps.all.values() if e.receipts[-1][1] != 200]
        assert len(given_up) >= ENDPOINTS // 6
    finally:
        esps.close()
        server.stop()
