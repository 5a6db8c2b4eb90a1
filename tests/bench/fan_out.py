"""The parts of the benchmark that measure fan-outs: how fast a fact about the world rings
a crowd, what live traffic pays for it, and what a fact costs that concerns few among many.
tests/bench/run calls them; each gets the bench.

The crowd is rows as the server writes them, copied in the database from those of ten real
customers, one of whom waits for the product.
"""

import json
import statistics
import threading
import time

import deliver
import engine

TEMPLATES = 10  # of whom one waits
FEW = 100

SIZES = {
    "full": {"fanout": 1000000, "fanout_ingest_s": 30, "fanout_warm": 5000,
             "universal_many": 10000000, "universal_few": 10000, "universal_facts": 25},
    "quick": {"fanout": 100000, "fanout_ingest_s": 8, "fanout_warm": 2000,
              "universal_many": 1000000, "universal_few": 10000, "universal_facts": 15},
    "tiny": {"fanout": 2000, "fanout_ingest_s": 3, "fanout_warm": 500,
             "universal_many": 20000, "universal_few": 2000, "universal_facts": 5},
}

TARGETS = {
    "fanout_1m_interest_100k_match_s": ("<=", 15),
    "fanout_ingest_p99_ratio": ("<=", 2),
    "fanout_first_ring_ms": ("<=", 100),
    "universal_100_cost_ratio_10m_vs_10k": ("<=", 1.3),
}


def stamp(at):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + ".%03dZ" % (at % 1 * 1000)


def document(server, ref, stock):
    """Sold out, ten minutes ago."""
    status, body = server.request("PUT", f"/v1/sources/api/products/{ref}", {
        "name": ref, "currency": "EUR", "price": 80, "stock": stock,
        "updated_at": stamp(time.time() - 600)})
    assert status == 200, body


def back(server, ref):
    """It is there again; the instant at which the shop had its answer."""
    status, body = server.request("POST", "/v1/events", {
        "type": "inventory.updated", "occurred_at": stamp(time.time()),
        "properties": {"product_id": ref, "stock": 5}})
    assert status == 200, body
    return time.time()


def interested(bench, server, refs, count):
    """So many customers who looked at each product, of whom every tenth waits for it."""
    now = time.time()
    engine.post_events(bench, server, [
        engine.canonical(n * 1000 + i, "product.viewed", now - 300, engine.TEMPLATE_CUSTOMER + n,
                         product_id=ref, price=100, currency="EUR", in_stock=n > 0)
        for n in range(TEMPLATES) for i, ref in enumerate(refs)], connections=1)
    bench.copy_profiles(server.database, count // TEMPLATES, events_only=True, interests=True)


def trigger(server):
    status, body = server.request("PUT", "/v1/triggers/back", {
        "when": {"universal": "product.back_in_stock"}, "audience": "interest.waiting",
        "cooldown": {"for": "7d", "per": "variant"}, "mode": "live"})
    assert status == 201, body


def first_heard(receiver, before, found):
    while receiver.count()["distinct"] == before:
        time.sleep(0.001)
    found.append(time.time())


def fan_out(bench):
    count, ingest_s, warm = (bench.sizes[x] for x in ("fanout", "fanout_ingest_s", "fanout_warm"))
    matched = count // TEMPLATES + 1  # and the one that they are copies of
    file = bench.payload_file(warm + 2000 * ingest_s, bench.body_bytes, "new:80")
    with deliver.Receiver(bench, {"well": bench.free_port()}) as receiver, \
            bench.server("fanout") as server:
        engine.apply_rules(bench, server, engine.shop_rules(10))
        document(server, "shoe", 0)
        interested(bench, server, ["shoe"], count)
        trigger(server)
        deliver.subscribe(server, receiver, "esp", ["trigger.back"])
        bench.say(f"{count:,} interested are there")
        server.load(file, 64, count=warm)
        engine.wait_for_jobs(bench, server)
        with engine.OpenLoop(bench, server, file, warm, ingest_s) as before:
            normal = before.finish()
        heard = []
        with engine.OpenLoop(bench, server, file, warm + 1000 * ingest_s, ingest_s) as beside, \
                deliver.Asker(bench, server.database) as asker:
            time.sleep(2)
            first = threading.Thread(target=first_heard,
                                     args=(receiver, receiver.count()["distinct"], heard))
            first.start()
            begun = back(server, "shoe")
            ask = "SELECT count(*) FROM job WHERE kind = 'fan_out' AND status = 'succeeded'"
            bench.wait_for(lambda: asker.ask(ask) == "1", 600, "the fan-out's end", 0.02)
            ended = time.time()
            rss = server.rss_now()
            beside.finish()
            first.join()
        told = bench.cluster.sql(server.database, "SELECT result->'outcomes' FROM job"
                                 " WHERE kind = 'fan_out'")[0][0]
        outcomes = json.loads(told)
        bench.must(outcomes == {"notified": matched}, f"{outcomes}, not {matched:,} notified")
        during, asked = beside.p99_ms(begun, min(ended, begun + ingest_s - 3))
        bench.figure("fanout_1m_interest_100k_match_s", ended - begun,
                     f"{count:,} interested, {matched:,} rung: from the shop's 200 until a reader "
                     f"sees the job's end, beside 1,000 webhooks/s and the sending; the server "
                     f"{rss:.0f} MiB")
        bench.figure("fanout_ingest_p99_ratio", during / normal,
                     f"webhooks at 1,000/s meanwhile ({asked:,}): p99 {during:.1f} ms, without "
                     f"{normal:.1f} ms")
        bench.figure("fanout_first_ring_ms", (heard[0] - begun) * 1000,
                     "from the shop's 200 until the receiver has the first")


def few_among(bench, many):
    """Milliseconds for each of some facts that concern FEW, beside so many rows."""
    facts = bench.sizes["universal_facts"]
    refs = [f"few{n}" for n in range(facts)]
    with bench.server("universal") as server:
        for ref in refs:
            document(server, ref, 0)
        interested(bench, server, refs, FEW)
        trigger(server)
        bench.cluster.sql(
            server.database, "INSERT INTO interest (workspace_id, source_id, product_id,"
            " variant_id, origin_id, viewed_at, view_count) SELECT i.workspace_id, i.source_id,"
            " 'many' || g % 10000, '', md5(g::text)::uuid, now(), 1"
            f" FROM generate_series(1, {many}) g CROSS JOIN (SELECT workspace_id, source_id"
            " FROM interest LIMIT 1) i")
        bench.cluster.sql(server.database, "VACUUM ANALYZE")
        time.sleep(1)  # instances look for a new configuration four times a second
        for ref in refs:
            back(server, ref)
            bench.wait_for(lambda: bench.cluster.sql(
                server.database, "SELECT count(*) FROM job WHERE kind = 'fan_out'"
                " AND status <> 'succeeded'") == [["0"]], 60, "its end", 0.05)
        rows = bench.cluster.sql(
            server.database, "SELECT extract(epoch FROM finished_at - started_at) * 1000 FROM job"
            " WHERE kind = 'fan_out' ORDER BY created_at")
        bench.must(len(rows) == facts, f"{len(rows)} jobs of {facts} facts")
        return [float(row[0]) for row in rows[3:]] or [float(row[0]) for row in rows]


def universal(bench):
    many, few = bench.sizes["universal_many"], bench.sizes["universal_few"]
    small = statistics.median(few_among(bench, few))
    large = statistics.median(few_among(bench, many))
    bench.figure("universal_100_cost_ratio_10m_vs_10k", large / small,
                 f"a fact that concerns {FEW}: {large:.1f} ms with {many:,} rows of interest, "
                 f"{small:.1f} ms with {few:,}; medians of {bench.sizes['universal_facts']} facts")


PARTS = {"fan_out": fan_out, "universal": universal}
