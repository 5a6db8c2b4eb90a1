"""kill -9 of the server while it rings those whom a fact concerns, again and again, and of
the database: at the end each of them was told, and of nobody are there two."""

import os
import random
import time

import pytest
from shopbell import Receiver, Server, make_workspace, wait_for

CYCLES = int(os.environ.get("SHOPBELL_CRASH_CYCLES", "8"))
CUSTOMERS = 3000


def iso(offset_s=0.0):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + offset_s))


def make(api):
    """A product that is sold out, and who waits for it."""
    api.call("PUT", "/v1/triggers/back", {
        "mode": "live", "topic": "offer.back", "audience": "interest.waiting",
        "when": {"universal": "product.back_in_stock"},
        "cooldown": {"for": "7d", "per": "variant"}}, 201)
    api.call("PUT", "/v1/sources/api/products/shoe",
             {"name": "Shoe", "currency": "EUR", "updated_at": iso(-900), "stock": 0}, 200)
    for begin in range(0, CUSTOMERS, 500):
        api.call("POST", "/v1/events", [
            {"id": f"v{n}", "type": "product.viewed", "occurred_at": iso(-600),
             "identities": {"email": f"p{n}@x.de"},
             "properties": {"product_id": "shoe", "in_stock": False}}
            for n in range(begin, begin + 500)], 200)


def release(cluster, table):
    cluster.query(f"UPDATE {table} SET lease_until = now() - interval '1 ms'"
                  " WHERE lease_until IS NOT NULL")


@pytest.mark.parametrize("victim", ["server", "database"])
def test_a_fan_out_that_is_killed_goes_on_where_it_stood(own_cluster, tmp_path, victim):
    chance = random.Random(victim)
    server = Server(own_cluster, str(tmp_path)).migrate().start()
    esp = Receiver()
    try:
        api = make_workspace(server, f"fan_{victim}")
        make(api)
        esp.subscribe(api, ["offer.back"])
        api.call("POST", "/v1/events", {
            "type": "inventory.updated", "occurred_at": iso(-300),
            "properties": {"product_id": "shoe", "stock": 5}}, 200)
        for _ in range(CYCLES):
            time.sleep(chance.uniform(0.0, 0.25))
            if victim == "server":
                server.kill()
            else:
                own_cluster.stop("immediate")
                server.kill()
                own_cluster.start()
            # As it would be when the leases of the dead one have run out.
            wait_for(lambda: not own_cluster.query(
                "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'shopbell%%'"
                " AND datname = current_database()"), 10, 0.01, "nothing of the dead one is left")
            release(own_cluster, "job")
            release(own_cluster, "delivery")
            server.start()
        wait_for(lambda: own_cluster.query("SELECT status FROM job WHERE kind = 'fan_out'")
                 == [("succeeded",)], 60, what="the job's end")
        rung = own_cluster.query("SELECT count(*), count(DISTINCT profile_id) FROM notification")
        assert rung == [(CUSTOMERS, CUSTOMERS)]
        result, = own_cluster.query("SELECT result->'outcomes' FROM job WHERE kind = 'fan_out'")
        assert result[0] == {"notified": CUSTOMERS}
        counted = own_cluster.query("SELECT outcome, sum(count)::int FROM trigger_outcome"
                                    " GROUP BY 1")
        assert counted == [("notified", CUSTOMERS)]
        wait_for(lambda: own_cluster.query("SELECT count(*) FROM delivery")[0][0] == 0, 60,
                 what="all is settled")
        ids = {}
        for message in esp.of_type("offer.back"):
            ids.setdefault(message["data"]["profile"]["email"], set()).add(message["id"])
        assert len(ids) == CUSTOMERS and all(len(i) == 1 for i in ids.values())
    finally:
        esp.close()
        server.stop()
