"""The connection to the database breaks exactly around a COMMIT: before it got
there, or after it was carried out and before its answer came back. The server
cannot know which; the shop is answered 200 all the same, the effect is there
once, and the notification does not wait for its lease to run out.
"""

import json
import os
import shutil
import socket
import struct
import tempfile
import threading
import time

import pytest
from shopbell import SLOW, Receiver, Server, Shopify, make_workspace, shopify_order, wait_for

LEASE_S = 60


class Wire:
    """PostgreSQL's socket with a cut in it. Armed, it cuts the next transaction
    that saves a notification: `before` its COMMIT reaches the database, or
    `after` the database said COMMIT and before the server hears it."""

    def __init__(self, cluster):
        self.home = tempfile.mkdtemp(prefix="sbt-", dir="/tmp")
        self.target = os.path.join(cluster.home, ".s.PGSQL.5432")
        self.mode = None
        self.cuts = 0
        self.at_cut = None  # called with the connection cut on our side only
        self.lock = threading.Lock()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(os.path.join(self.home, ".s.PGSQL.5432"))
        self.listener.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def url(self):
        return f"postgresql://shopbell@/shopbell?host={self.home}"

    def take_mode(self, mode):
        """True for the one connection that is cut."""
        with self.lock:
            if self.mode != mode:
                return False
            self.mode = None
            self.cuts += 1
            return True

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            back = socket.socket(socket.AF_UNIX)
            back.connect(self.target)
            state = {"saves": False}
            for run in (self.to_database, self.to_server):
                threading.Thread(target=run, args=(client, back, state), daemon=True).start()

    @staticmethod
    def end(*sockets):
        for s in sockets:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def to_database(self, client, back, state):
        try:
            while data := client.recv(1 << 20):
                if b"save_notification" in data:
                    if self.take_mode("before"):
                        break
                    state["saves"] = True
                back.sendall(data)
        except OSError:
            pass
        self.end(client, back)

    def to_server(self, client, back, state):
        """Whole messages only: a type, a length that counts itself, the rest."""
        rest = b""
        try:
            while data := back.recv(1 << 20):
                rest += data
                good = 0
                while len(rest) >= good + 5:
                    size = 1 + struct.unpack("!I", rest[good + 1:good + 5])[0]
                    message = rest[good:good + size]
                    if len(message) < size:
                        break
                    if message[:1] == b"C" and message[5:] == b"COMMIT\0" and state["saves"]:
                        state["saves"] = False
                        if self.take_mode("after"):
                            if self.at_cut:
                                self.at_cut()
                            return
                    good += size
                client.sendall(rest[:good])
                rest = rest[good:]
        except OSError:
            pass
        finally:
            self.end(client, back)

    def close(self):
        self.listener.close()
        shutil.rmtree(self.home, ignore_errors=True)


@pytest.mark.parametrize("mode, status", [("before", "applied"), ("after", "duplicate")])
def test_a_lost_answer_to_commit_costs_nobody_anything(cluster, tmp_path, mode, status):
    wire = Wire(cluster)
    server = Server(cluster, str(tmp_path), SHOPBELL_DATABASE_URL=wire.url)
    esp = Receiver()
    try:
        server.migrate().start()
        name = f"commit_{mode}"
        api = make_workspace(server, name)
        workspace = cluster.query("SELECT id FROM workspace WHERE name = %s", name)[0][0]
        shop = Shopify(api)
        esp.subscribe(api, ["order.completed"])
        assert shop.send("orders/create", shopify_order(1, 1, "first@example.com")).status == 200
        esp.wait_types(["order.completed"])

        def rows(table, where="true"):
            return cluster.query(f"SELECT * FROM {table} WHERE workspace_id = %s AND {where}",
                                 workspace)
        wait_for(lambda: not rows("delivery"), 5, what="the first is settled")
        for order_id in (2, 3, 4):
            leased = []
            wire.at_cut = lambda leased=leased: leased.extend(rows(
                "delivery", "lease_owner IS NOT NULL AND lease_until > now() + interval '30 s'"))
            wire.mode = mode
            sent = time.monotonic()
            email = f"c{order_id}@example.com"
            response = shop.send("orders/create", shopify_order(order_id, order_id, email))
            assert response.status == 200, response.body
            assert json.loads(response.body)["status"] == status
            assert wire.mode is None, "the cut was made"

            def heard(email=email):
                return [m for m in esp.messages if m[2]["data"]["profile"]["email"] == email]
            wait_for(heard, 5, what="the ESP hears of it long before the lease ends")
            took = heard()[0][3] - sent
            assert took < 5 * SLOW < LEASE_S
            if mode == "after":
                assert len(leased) == 1, "committed, leased, and in nobody's memory"
            wait_for(lambda: not rows("delivery"), 5)
            time.sleep(0.3)
            assert len({(m[0]["webhook-id"], m[1]) for m in heard()}) == 1, "one id, one body"
            assert len(rows("interaction", f"order_ref = '{order_id}' AND type ="
                            " 'order.completed'")) == 1
            assert len(rows("orders", f"order_ref = '{order_id}'")) == 1
            assert api.post("/v1/profiles/lookup", {"kind": "email", "value": email},
                            200)["orders"]["count"] == 1
        assert wire.cuts == 3
        assert len(rows("notification")) == 4
        assert esp.bad_signatures == 0
    finally:
        esp.close()
        server.stop()
        wire.close()
