"""The parts of the benchmark that measure the profile engine: what rules cost,
how late a verdict is that changes by time alone, how fast history becomes
profiles. tests/bench/run calls them; each gets the bench.
"""

import concurrent.futures
import contextlib
import csv
import http.client
import json
import os
import random
import re
import statistics
import subprocess
import threading
import time

import payloads

TEMPLATE_CUSTOMER = 9182736  # the first of those that copies are made of
WINDOW_S = 900  # of the segment that is left by time

SIZES = {
    "full": {
        "senders_s": 1.0,
        "core_events": 400000, "rules": 1000, "rules_requests": 20000, "rules_round": 8000,
        "rules_rounds": 5, "hydrate": 30000, "hydrate_ingest_s": 15, "preview": 1000000,
        "preview_rounds": 5, "due": 100000, "due_s": 60, "due_make_per_s": 3000,
        "drain_ingest_s": 20, "import": 200000,
    },
    "quick": {
        "senders_s": 0.3,
        "core_events": 100000, "rules": 1000, "rules_requests": 4000, "rules_round": 3000,
        "rules_rounds": 3, "hydrate": 4000, "hydrate_ingest_s": 5, "preview": 50000,
        "preview_rounds": 3, "due": 10000, "due_s": 6, "due_make_per_s": 3000,
        "drain_ingest_s": 5, "import": 20000,
    },
    "tiny": {
        "senders_s": 0.05,
        "core_events": 20000, "rules": 1000, "rules_requests": 600, "rules_round": 600,
        "rules_rounds": 1, "hydrate": 300, "hydrate_ingest_s": 2, "preview": 3000,
        "preview_rounds": 1, "due": 1000, "due_s": 2, "due_make_per_s": 300,
        "drain_ingest_s": 2, "import": 2000,
    },
}

TARGETS = {
    "adapter_worst_vs_shopify_per_byte": ("<=", 3),
    "fold_events_per_s_core_100_rules": (">=", 1000000),
    "fold_with_codec_events_per_s_core": (">=", 300000),
    "state_bytes_mean_100_rules": ("<=", 600),
    "ingest_1000_rules_vs_10": (">=", 0.8),
    "ingest_history_100k_vs_10": (">=", 0.83),
    "hydrate_profiles_per_min_core": (">=", 80000),
    "hydrate_ingest_p99_ratio": ("<=", 2),
    "preview_1m_s": ("<=", 3),
    "lateness_p99_ms_100k_per_minute": ("<=", 250),
    "drain_s_100k_same_instant": ("<=", 15),
    "drain_ingest_p99_ratio": ("<=", 2),
    "import_lines_per_s": (">=", 20000),
}


# --- the rules of a shop ----------------------------------------------------------


def segment(when):
    return {"kind": "segment", "when": when}


def rules_about_views():
    """Most of what makes a thousand rules: one for each part of the catalogue."""
    for category in range(payloads.CATEGORIES):
        for window in ("1h", "24h", "7d", "30d"):
            for least in (2, 3, 5):
                yield segment(f'count(product.viewed where category = "C{category}" '
                              f"within {window}) >= {least}")
        yield segment(f'count(product.viewed where category = "C{category}" within 7d) >= 3'
                      f' and traits.country = "FR"')
        for more in ('lifecycle = "active"', "orders.count = 0", 'consent.email = "subscribed"',
                     '"frequent_buyer" in tags', "orders.average_value > 80",
                     'traits.city = "Paris"', "engagement.score > 5"):
            yield segment(f'count(product.viewed where category = "C{category}" within 24h) >= 2'
                          f" and {more}")
    for window in ("1h", "24h", "7d"):
        yield segment(f"max_count(product.viewed by category within {window}) >= 3")


def rules_about_orders():
    """The longer the window, the more it asks for: a customer is in a few of
    them, not in all from the first order on."""
    for days in (7, 14, 30, 60, 90, 120, 180, 365):
        for more in (0, 1, 2, 4):
            yield segment(f"count(order.completed within {days}d) >= {2 + days // 60 + more}")
    for days in (30, 60, 90, 180, 365):
        for times in (10, 15, 20, 30, 50):
            yield segment(f"sum(order.completed.total within {days}d) > {300 + days * times}")
    for days in (30, 90, 180, 365):
        yield segment(f"count(order.completed where discount > 0 within {days}d) >= 2")
        yield segment(f"max(order.completed.total within {days}d) > {400 + days}")


def rules_about_mail():
    for topic in ("email.opened", "email.clicked"):
        for days in (1, 2, 3, 5, 7, 10, 14, 21, 30, 45, 60, 75, 90, 120, 180):
            for more in (2, 4):
                yield segment(f"count({topic} within {days}d) >= {more + days // 10}")


def rules_about_carts():
    for days in (1, 2, 3, 7, 14, 30):
        yield segment(f"count(cart.updated within {days}d) >= 3")
        yield segment(f"cart.items_count > {days} and age(cart.updated_at) < {days}d")


def rules_about_traits():
    for country in ("FR", "BE", "DE", "ES", "IT", "NL", "PT", "AT"):
        for city in ("Paris", "Lyon", "Lille", "Nantes"):
            yield segment(f'traits.country = "{country}" and traits.city = "{city}"')
        for orders in (1, 3, 5):
            yield segment(f'traits.country = "{country}" and orders.count >= {orders}')


def rules_about_profiles():
    for stage in ("new", "active", "lapsed", "churned"):
        for revenue in (100, 500, 1000):
            yield segment(f'lifecycle = "{stage}" and orders.revenue > {revenue}')
        yield segment(f'lifecycle = "{stage}" and "frequent_buyer" in tags')
        yield segment(f'lifecycle = "{stage}" and consent.email = "subscribed"')
    for days in (3, 10, 20, 45, 75, 100):
        yield segment(f"age(last_seen_at) > {days}d")
    for revenue in (200, 500):
        yield {"kind": "tier", "cases": [
            {"value": "high", "when": f"orders.revenue > {revenue * 2}"},
            {"value": "mid", "when": f"orders.revenue > {revenue}"},
            {"value": "low", "when": "orders.count >= 1"}]}


def shop_rules(count):
    """So many rules with the shipped seven, of each sort in its proportion."""
    every = [rule for sort in (rules_about_views, rules_about_orders, rules_about_mail,
                               rules_about_carts, rules_about_traits, rules_about_profiles)
             for rule in sort()]
    wanted = count - 7
    if wanted > len(every):
        raise SystemExit(f"bench: {len(every)} rules are written, {wanted} are wanted")
    return [{"name": f"bench_{i}", "title": "Benchmark", **every[i * len(every) // wanted]}
            for i in range(wanted)]


def apply_rules(bench, server, rules):
    path = os.path.join(bench.home, "rules.json")
    with open(path, "w") as f:
        json.dump(rules, f)
    server.command("rule", "apply", path, "--workspace", "bench")
    time.sleep(1)  # instances look for a new configuration four times a second
    wait_for_jobs(bench, server)


def feature_count(bench, server):
    return int(bench.cluster.sql(
        server.database, "SELECT jsonb_array_length(features) FROM ruleset ORDER BY version DESC "
        "LIMIT 1")[0][0])


def wait_for_jobs(bench, server, seconds=600):
    """Until nothing is being brought up to a rule."""
    query = "SELECT count(*) FROM job WHERE status IN ('queued', 'running')"
    bench.wait_for(lambda: bench.cluster.sql(server.database, query) == [["0"]], seconds,
                   "the jobs ended")


# --- the core alone -----------------------------------------------------------------


def core(bench):
    found = json.loads(bench.quietly([bench.core_program, str(bench.sizes["core_events"])]))
    text = (f"{found['events']:,} events, {found['rules']} rules, {found['features']} features, "
            "one core, processor time")
    bench.figure("fold_events_per_s_core_100_rules", found["fold_events_per_s_core_100_rules"],
                 f"state decoded; {text}")
    bench.figure("fold_with_codec_events_per_s_core", found["fold_with_codec_events_per_s_core"],
                 f"state decoded and encoded around each event; {text}")
    bench.figure("state_bytes_mean_100_rules", found["state_bytes_mean_100_rules"],
                 "of the profiles of that run")


# --- ingest and the number of rules ----------------------------------------------------


def rules(bench):
    """Two servers in turns, the same customers and the same events, of which half
    are views, a quarter orders, the rest mail and carts: what an order or a view
    of one category costs must not depend on the rules about other things."""
    few, many = 10, bench.sizes["rules"]
    rounds, size, warm = (bench.sizes[x] for x in ("rules_rounds", "rules_round",
                                                   "rules_requests"))
    rates = {few: [], many: []}
    features = {}
    with contextlib.ExitStack() as stack:
        sides = []
        for count in (few, many):
            server = stack.enter_context(bench.server("rules"))
            apply_rules(bench, server, shop_rules(count))
            features[count] = feature_count(bench, server)
            sides.append((count, server, bench.payload_file(
                warm + rounds * size, bench.body_bytes, "new:20", mix_key=server.key)))
        for _, server, file in sides:
            server.load(file, 512, count=warm)
        for number in range(rounds):
            for count, server, file in sides if number % 2 == 0 else reversed(sides):
                result = server.load(file, 512, count=size, offset=warm + number * size)
                rates[count].append(result["per_second"])
            bench.say(f"round {number + 1}: " + ", ".join(
                f"{count} rules {rates[count][-1]:,.0f}/s" for count in rates))
        changes = {count: int(bench.cluster.sql(server.database, "SELECT count(*) FROM transition")
                              [0][0]) / (warm + rounds * size) for count, server, _ in sides}
    bench.ratio("ingest_1000_rules_vs_10", rates[many], rates[few],
                f"{many:,} rules with {features[many]} features {{0:,.0f}}/s "
                f"({changes[many]:.2f} transitions a request), {few} rules with {features[few]} "
                f"{{1:,.0f}}/s ({changes[few]:.2f}); 512 connections, {rounds} rounds of {size:,} "
                f"requests (views 50 %, orders 25 %, mail, carts; 20 % new customers) after "
                f"{warm:,}")


def history(bench):
    """As `history`, beside a hundred rules; the ratio is of throughputs."""
    rates, text = bench.history_rates(shop_rules(100))
    text = text.replace("{1:", "{long:").replace("{0:", "{1:").replace("{long:", "{0:")
    bench.ratio("ingest_history_100k_vs_10", rates["long"], rates["short"], "100 rules; " + text)


# --- events by the thousand ------------------------------------------------------------


def canonical(number, kind, at, customer, **properties):
    """One event of /v1/events; `at` in seconds."""
    whole, milliseconds = divmod(round(at * 1000), 1000)
    return {"id": f"e{number}", "type": kind,
            "occurred_at": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
            + f".{milliseconds:03d}Z",
            "identities": {"email": f"buyer{customer:0{payloads.CUSTOMER_DIGITS}d}@bench.example"},
            "properties": properties}


def post_events(bench, server, events, each=500, connections=4):
    """All of them through the front door, `each` in a request."""
    chunks = [events[i:i + each] for i in range(0, len(events), each)]
    local = threading.local()

    def post(chunk):
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        local.connection.request("POST", "/v1/events", json.dumps(chunk), {
            "Authorization": f"Bearer {server.key}", "Content-Type": "application/json"})
        answer = local.connection.getresponse()
        body = answer.read()
        bench.must(answer.status == 200 and json.loads(body)["events"]["applied"] == len(chunk),
                   f"POST /v1/events: {answer.status} {body[:500]}")

    with concurrent.futures.ThreadPoolExecutor(connections) as pool:
        list(pool.map(post, chunks))


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class OpenLoop:
    """1,000 webhooks a second beside something else; who asks afterwards gets the
    latencies of those that were due within an interval."""

    def __init__(self, bench, server, file, offset, seconds):
        self.bench = bench
        self.count = 1000 * seconds
        self.seconds = seconds
        self.trace = os.path.join(bench.home, f"trace-{offset}-{server.port}")
        command = [bench.load_program, file, "--port", str(server.port), "--source",
                   server.source, "--connections", "64", "--offset", str(offset), "--count",
                   str(self.count), "--rate", "1000", "--seconds", str(seconds + 60), "--trace",
                   self.trace]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.bench.stop_process(self.process)

    def finish(self):
        output, _ = self.process.communicate(timeout=self.seconds + 120)
        result = json.loads(output)
        self.bench.check(result, self.count)
        return result["ack_ms"]["p99"]

    def p99_ms(self, begin, end):
        """Of the requests due from `begin` to `end`, seconds since the epoch."""
        shift = time.time() - time.clock_gettime(time.CLOCK_MONOTONIC)
        with open(self.trace) as f:
            rows = [tuple(map(int, line.split())) for line in f]
        found = [ack / 1e6 for start, ack in rows if begin <= start / 1e9 + shift <= end]
        self.bench.must(found, "no webhook was due meanwhile")
        return percentile(found, 0.99), len(found)


# --- lateness -----------------------------------------------------------------------------


class Watcher:
    """When could a reader first see a transaction? Asks for the snapshot in force
    every five milliseconds and keeps each with the time at which its answer was
    here. A commit counts from the first snapshot that shows it, which includes
    what the disk took and up to five milliseconds of our own."""

    def __init__(self, bench, database):
        self.psql = subprocess.Popen(
            [f"{bench.cluster.bin}/psql", "-h", bench.cluster.home, "-U", "shopbell", "-d",
             database, "-AtqX"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.seen = []  # (time, the snapshot's text), ascending
        self.stops = False
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def watch(self):
        last = None
        while not self.stops:
            self.psql.stdin.write("SELECT pg_current_snapshot();\n")
            self.psql.stdin.flush()
            text = self.psql.stdout.readline().strip()
            if text != last:
                self.seen.append((time.time(), text))
                last = text
            time.sleep(0.005)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stops = True
        self.thread.join(10)
        self.psql.stdin.close()
        self.psql.wait()

    def visible_at(self, transactions):
        """{transaction: when it was first seen to be committed}"""
        found, waiting = {}, sorted(transactions)
        for at, text in self.seen:
            least, next_one, running = text.split(":")
            running = set(map(int, filter(None, running.split(","))))
            while_running = []
            for number, transaction in enumerate(waiting):
                if transaction >= int(next_one):
                    while_running += waiting[number:]
                    break
                if transaction < int(least) or transaction not in running:
                    found[transaction] = at
                else:
                    while_running.append(transaction)
            waiting = while_running
        return found


def make_due(bench, server, number, first_due, spread_s, count):
    """Customers who leave the segment at first_due and evenly for spread_s after:
    each viewed something WINDOW_S before, and the event came by /v1/events like
    any other, only that late. Nothing in the database is written by hand."""
    events = [canonical(number + i, "product.viewed",
                        first_due + spread_s * i / count - WINDOW_S, number + i,
                        product_id="P1", category="C1")
              for i in range(count)]
    random.Random(number).shuffle(events)
    post_events(bench, server, events)
    # As autovacuum does within a minute, which a table filled in seconds has not seen.
    bench.cluster.sql(server.database, "ANALYZE")
    # What the kernel has not written after 30 s it writes at once, and every commit waits.
    os.sync()
    bench.must(time.time() < first_due, f"making {count:,} customers took longer than was "
               "planned; the first fell due meanwhile")


def leaves(bench, server, since, watcher):
    """(due, visible) of everyone who left the segment since; the due instant is
    computed here, from the view, and must be the transition's own. By hash: the
    transitions are newer than the statistics, which promise a loop that nothing
    is in, and it would take an hour."""
    rows = bench.cluster.sql(server.database, f"""
        SET enable_nestloop = off;
        SELECT extract(epoch FROM i.occurred_at) + {WINDOW_S}, extract(epoch FROM t.occurred_at),
               t.xmin FROM transition t JOIN interaction i ON i.origin_id = t.profile_id
        WHERE t.rule = 'viewing' AND t.cause = 'time' AND t.occurred_at >= to_timestamp({since})
        AND i.type = 'product.viewed'""")
    wrong = [row for row in rows if abs(float(row[0]) - float(row[1])) > 0.0005]
    bench.must(not wrong, f"{len(wrong)} left at another instant than they had to: {wrong[:3]}")
    visible = watcher.visible_at({int(row[2]) for row in rows})
    return [(float(row[1]), visible[int(row[2])]) for row in rows if int(row[2]) in visible]


def all_left(bench, server, since, count):
    query = ("SELECT count(*) FROM transition WHERE rule = 'viewing' AND cause = 'time' AND "
             f"occurred_at >= to_timestamp({since})")
    bench.wait_for(lambda: bench.cluster.sql(server.database, query) == [[str(count)]], 120,
                   f"{count:,} customers left", 0.25)


def wait_until(instant):
    time.sleep(max(0.0, instant - time.time()))


def lateness(bench):
    count, spread, ingest_s = (bench.sizes[x] for x in ("due", "due_s", "drain_ingest_s"))
    make_s = count / bench.sizes["due_make_per_s"] + 10
    warm = bench.sizes["open_warm"]
    file = bench.payload_file(warm + 1000 * (spread + 2 * ingest_s), bench.body_bytes, "new:80")
    with bench.server("late") as server:
        rules_there = [{"name": "viewing", **segment(
            f'count(product.viewed where category = "C1" within {WINDOW_S}s) >= 1')}]
        apply_rules(bench, server, rules_there + shop_rules(9))
        # Before, since the shop's first hundred orders make its first statistics.
        server.load(file, 64, count=warm)
        first_due = time.time() + make_s
        made_at = time.time()
        make_due(bench, server, 1000000, first_due, spread, count)
        bench.say(f"{count:,} customers made in {time.time() - made_at:.0f} s; the first is due "
                  f"in {first_due - time.time():.0f} s")
        wait_for_jobs(bench, server)
        wait_until(first_due - 0.5)
        with Watcher(bench, server.database) as watcher, \
                OpenLoop(bench, server, file, warm, spread) as beside:
            p99 = beside.finish()
            all_left(bench, server, first_due - 0.001, count)
            time.sleep(0.1)
        found = leaves(bench, server, first_due - 0.001, watcher)
        bench.must(len(found) == count, f"{len(found):,} of {count:,} left")
        late = [(seen - due) * 1000 for due, seen in found]
        bench.figure("lateness_p99_ms_100k_per_minute", percentile(late, 0.99),
                     f"{count:,} left a segment of {WINDOW_S} s evenly within {spread} s, beside "
                     f"1,000 webhooks/s (p99 {p99:.1f} ms); from the due instant until a reader "
                     f"sees the transition; p50 {percentile(late, 0.5):.0f}, "
                     f"max {max(late):.0f} ms")
        drain(bench, server, file, warm + 1000 * spread)


def drain(bench, server, file, offset):
    """All due at one instant. p99 with: of the webhooks that were due from that
    instant to the end of the drain; without: of a run right before."""
    count, ingest_s = bench.sizes["due"], bench.sizes["drain_ingest_s"]
    due = round(time.time() + count / bench.sizes["due_make_per_s"] + 10 + ingest_s)
    make_due(bench, server, 3000000, due, 0, count)
    with OpenLoop(bench, server, file, offset, ingest_s) as before:
        normal = before.finish()
    bench.must(time.time() < due - 2, "there was no time left before the drain")
    wait_until(due - 1)
    with Watcher(bench, server.database) as watcher, \
            OpenLoop(bench, server, file, offset + 1000 * ingest_s, ingest_s) as beside:
        beside.finish()
        all_left(bench, server, due - 0.001, count)
        time.sleep(0.1)
    found = leaves(bench, server, due - 0.001, watcher)
    bench.must(len(found) == count, f"{len(found):,} of {count:,} left")
    end = max(seen for _, seen in found)
    during, asked = beside.p99_ms(due, min(end, due + ingest_s - 1))
    bench.figure("drain_s_100k_same_instant", end - due,
                 f"{count:,} left a segment at one instant; until a reader sees the last of them")
    bench.figure("drain_ingest_p99_ratio", during / normal,
                 f"webhooks at 1,000/s meanwhile ({asked:,}): p99 {during:.1f} ms, without "
                 f"{normal:.1f} ms")


# --- hydration ----------------------------------------------------------------------------


def template_history(bench, server, customer, views, mails, carts, at):
    """One real customer with so many interactions."""
    chance = random.Random(customer)
    events = []
    for i in range(views + mails + carts):
        moment = at - chance.randrange(20 * 86400) - 3600
        number = customer * 1000 + i
        if i < views:
            events.append(canonical(number, "product.viewed", moment, customer,
                                    product_id=f"P{chance.randrange(500)}", price=19.9,
                                    category=f"C{chance.randrange(payloads.CATEGORIES)}"))
        elif i < views + mails:
            events.append(canonical(number, chance.choice(["email.opened", "email.clicked"]),
                                    moment, customer, campaign="spring"))
        else:
            events.append(canonical(number, "cart.updated", moment, customer))
    post_events(bench, server, events, connections=1)


def processor_s(bench, server):
    """Of the server and of every process of its PostgreSQL, so far."""
    ticks = os.sysconf("SC_CLK_TCK")

    def used(pid, with_ended=False):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/stat") as f:
                fields = f.read().rsplit(")", 1)[1].split()
            return sum(map(int, fields[11:15 if with_ended else 13])) / ticks
        return 0.0

    postmaster = bench.cluster.process.pid
    with open(f"/proc/{postmaster}/task/{postmaster}/children") as f:
        children = f.read().split()
    return used(server.process.pid) + used(postmaster, True) + sum(map(used, children))


def last_job(bench, server):
    """(status, begun, ended) of the newest hydration; seconds since the epoch."""
    rows = bench.cluster.sql(
        server.database, "SELECT status, extract(epoch FROM started_at), extract(epoch FROM "
        "finished_at) FROM job WHERE kind = 'hydrate' ORDER BY created_at DESC LIMIT 1")
    bench.must(rows, "no job was made for the new rule")
    status, begun, ended = rows[0]
    return status, float(begun or 0), float(ended or 0)


def hydrate_for(bench, server, name, days):
    """A rule with a feature nobody had; (seconds, processor seconds, begun, ended)."""
    before = processor_s(bench, server)
    server.put(f"/v1/rules/{name}", segment(
        f'count(product.viewed where price > 10 within {days}d) >= 3'))
    bench.wait_for(lambda: last_job(bench, server)[0] not in ("queued", "running"), 600,
                   "the hydration ended", 0.25)
    used = processor_s(bench, server) - before
    status, begun, ended = last_job(bench, server)
    bench.must(status == "succeeded", f"the hydration {status}")
    return ended - begun, used, begun, ended


def hydrate(bench):
    count, ingest_s = bench.sizes["hydrate"], bench.sizes["hydrate_ingest_s"]
    warm = bench.sizes["open_warm"]
    # The second job runs beside; the loop goes on until it ended.
    beside_s = ingest_s + max(5, count // 600)
    file = bench.payload_file(warm + 1000 * (ingest_s + beside_s), bench.body_bytes, "new:80")
    with bench.server("hydrate") as server:
        apply_rules(bench, server, shop_rules(100))
        template_history(bench, server, TEMPLATE_CUSTOMER, 40, 8, 2, time.time())
        bench.copy_profiles(server.database, count, events_only=True)
        bench.say(f"{count:,} profiles of 50 interactions are there")
        seconds, used, _, _ = hydrate_for(bench, server, "bench_new", 20)
        members = int(bench.cluster.sql(
            server.database, "SELECT count(*) FROM profile WHERE 'bench_new' = ANY (segments)"
            )[0][0])
        bench.must(members == count + 1, f"{members:,} of {count + 1:,} are in the new segment")
        cores = used / seconds
        bench.figure("hydrate_profiles_per_min_core", count * 60 / seconds / max(1.0, cores),
                     f"{count:,} profiles of 50 interactions (views, mail, carts), 100 rules and "
                     f"a new one: {seconds:.1f} s on {cores:.2f} cores (server and PostgreSQL; "
                     "never counted as less than one)")
        hydrate_beside(bench, server, file, warm, ingest_s, beside_s)


def hydrate_beside(bench, server, file, warm, ingest_s, beside_s):
    server.load(file, 64, count=warm)
    with OpenLoop(bench, server, file, warm, ingest_s) as before:
        normal = before.finish()
    with OpenLoop(bench, server, file, warm + 1000 * ingest_s, beside_s) as beside:
        time.sleep(1)
        seconds, _, begun, ended = hydrate_for(bench, server, "bench_newer", 21)
        beside.finish()
    during, asked = beside.p99_ms(begun, ended)
    bench.figure("hydrate_ingest_p99_ratio", during / normal,
                 f"webhooks at 1,000/s while a hydration of {seconds:.1f} s ran ({asked:,}): "
                 f"p99 {during:.1f} ms, without {normal:.1f} ms")


# --- preview ------------------------------------------------------------------------------


def preview(bench):
    count, rounds = bench.sizes["preview"], bench.sizes["preview_rounds"]
    with bench.server("preview") as server:
        status, _ = server.request("POST", "/v1/rules/preview",
                                   segment('lifecycle = "new"'))
        if status in (404, 405):
            bench.note("preview_1m_s", "left out: this server has no /v1/rules/preview")
            return
        apply_rules(bench, server, shop_rules(10) + [{"name": "bench_views", **segment(
            "count(product.viewed within 30d) >= 2")}])
        for number, views in enumerate((1, 2, 3)):
            template_history(bench, server, TEMPLATE_CUSTOMER + number, views, 0, 0, time.time())
        bench.copy_profiles(server.database, count // 3, events_only=True)
        bench.say(f"{count // 3 * 3:,} profiles are there")
        found = {"exact": [], "sampled": [], "columns": []}
        answers = {}
        for _ in range(rounds):
            for name, when in (("exact", "count(product.viewed within 30d) >= 2"),
                               ("columns", "age(first_seen_at) < 30d and orders.count < 2"),
                               ("sampled", "count(product.viewed where price > 10 within 25d)"
                                " >= 2")):
                started = time.monotonic()
                answers[name] = server.post("/v1/rules/preview", segment(when))
                found[name].append(time.monotonic() - started)
        texts = []
        for name, times in found.items():
            answer = answers[name]
            error = "" if answer["exact"] else f" within {answer['error_bound']}"
            texts.append(f"{name} {statistics.median(times):.2f} s (share "
                         f"{answer['share']:.3f}{error})")
        bench.figure("preview_1m_s", max(statistics.median(times) for times in found.values()),
                     f"{count // 3 * 3:,} profiles; the slowest of: {', '.join(texts)}; "
                     f"median of {rounds}")


# --- import -------------------------------------------------------------------------------

IMPORT_COLUMNS = ["Name", "Email", "Financial Status", "Paid at", "Fulfillment Status", "Currency",
                  "Subtotal", "Total", "Created at", "Lineitem quantity", "Lineitem name",
                  "Lineitem price", "Lineitem sku", "Billing Country", "Billing Zip", "Cancelled at",
                  "Refunded Amount", "Id"]


def write_import(path, lines):
    """Shopify's export of orders: a line for each product, two to an order on
    average, five orders to a customer on average and ten at most."""
    chance = random.Random(1)
    begin = time.time() - 3 * 365 * 86400
    customers, orders, written = 0, 0, 0
    left = 0
    with open(path, "w", newline="") as f:
        out = csv.DictWriter(f, IMPORT_COLUMNS, lineterminator="\r\n")
        out.writeheader()
        while written < lines:
            if left == 0:
                customers += 1
                left = chance.randrange(1, 10)
            left -= 1
            orders += 1
            at = time.strftime("%Y-%m-%d %H:%M:%S +0000",
                               time.gmtime(begin + chance.randrange(3 * 365 * 86400)))
            first = {"Name": f"#{orders}", "Email": f"c{customers}@bench.example",
                     "Financial Status": "paid", "Paid at": at, "Currency": "EUR",
                     "Fulfillment Status": "fulfilled", "Created at": at,
                     "Subtotal": "59.80", "Total": f"{chance.randrange(1000, 20000) / 100:.2f}",
                     "Lineitem quantity": "1", "Lineitem name": "Trail runner",
                     "Lineitem price": "49.90", "Lineitem sku": "TR-42", "Billing Country": "FR",
                     "Billing Zip": "75011", "Refunded Amount": "0.00",
                     "Id": str(7000000000000 + orders)}
            more = {"Name": first["Name"], "Email": first["Email"], "Created at": at,
                    "Lineitem quantity": "2", "Lineitem name": "Cap", "Lineitem price": "9.90"}
            rows = [first] + [more] * chance.choice([0, 1, 2])
            out.writerows(rows)
            written += len(rows)
    return written, orders, customers


def imports(bench):
    """Until every profile stands at the rules in force: the file's end and the
    end of the hydration count, whichever is later."""
    with bench.server("import") as server:
        usage = subprocess.run([bench.shopbell, "import", "--help"], env=server.environment,
                               stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if usage.returncode != 0:
            bench.note("import_lines_per_s", "left out: this shopbell has no import")
            return
        path = os.path.join(bench.home, "orders_export.csv")
        lines, orders, customers = write_import(path, bench.sizes["import"])
        apply_rules(bench, server, shop_rules(100))
        started = time.monotonic()
        done = json.loads(server.command("import", path, "--source", "shop", "--workspace",
                                         "bench", "--json", timeout=600))
        read_s = time.monotonic() - started
        behind = ("SELECT count(*) FROM profile WHERE merged_into IS NULL AND ruleset_version < "
                  "(SELECT max(version) FROM ruleset)")
        bench.wait_for(lambda: bench.cluster.sql(server.database, behind) == [["0"]], 600,
                       "the imported profiles were hydrated")
        all_s = time.monotonic() - started
        bench.must(done["rejected"] == 0, f"lines were rejected: {done}")
        found = bench.cluster.sql(server.database, "SELECT count(*), sum(orders_count) FROM "
                                  "profile WHERE merged_into IS NULL")[0]
        bench.must(found == [str(customers), str(orders)],
                   f"customers and orders {found}, the file says {customers}, {orders}")
        os.remove(path)
    bench.figure("import_lines_per_s", lines / all_s,
                 f"{lines:,} lines, {orders:,} orders, {customers:,} customers, 100 rules; the "
                 f"file in {read_s:.1f} s, everyone hydrated after {all_s:.1f} s; server and "
                 "import on one machine")


# --- senders ----------------------------------------------------------------------------


def senders(bench):
    """Each signature scheme, and each adapter over its platform's real payloads beside
    Shopify's in the same run. Without the shared payloads the adapters are left out."""
    found = json.loads(bench.quietly([bench.senders_program, str(bench.sizes["senders_s"])]))
    for name, rate in found["verified_per_s"].items():
        bench.figure(f"verified_per_s_{name}", rate, "bodies of 1,300 bytes, one core")
    costs = found["adapter_ns_per_byte"]
    if "shopify" in costs:
        worst = max(costs, key=costs.get)
        bench.figure("adapter_worst_vs_shopify_per_byte", costs[worst] / costs["shopify"],
                     f"{worst} {costs[worst]:.1f} ns a byte, shopify {costs['shopify']:.1f}; "
                     f"{len(costs)} adapters over their real payloads")


PARTS = {
    "core": core,
    "senders": senders,
    "rules": rules,
    "rules_history": history,
    "hydrate": hydrate,
    "preview": preview,
    "lateness": lateness,
    "import": imports,
}
