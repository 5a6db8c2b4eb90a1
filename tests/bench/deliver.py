"""The parts of the benchmark that measure delivery: how fast a backlog is sent and
settled, how soon an event is at the ESP, what sick endpoints cost the healthy ones,
what a claim costs over a million. tests/bench/run calls them; each gets the bench.

A backlog is rows as the server writes them, copied in the database from one that it
wrote: what is measured begins when they are there. The other end is receiver.c.
"""

import collections
import concurrent.futures
import http.client
import json
import os
import random
import re
import statistics
import subprocess
import threading
import time

import engine

ENDPOINTS = 20
BATCH_MAX = 100
SICK_WORKSPACES = 10
# Events that need no properties, so many that each rings a twentieth of the endpoints.
TOPICS = ["page.viewed", "product.viewed", "product.reviewed", "product.searched",
          "product_list.viewed", "cart.product_added", "cart.product_removed", "cart.updated",
          "wishlist.product_added", "wishlist.product_removed", "checkout.started",
          "checkout.updated", "customer.updated", "preference.updated", "form.submitted",
          "email.clicked", "email.opened", "email.delivered", "email.bounced",
          "session.started"]

SIZES = {
    "full": {
        "deliver_single": 100000, "deliver_rounds": 3, "deliver_batched": 200000,
        "deliver_open_s": 30, "sick_endpoints": 10000, "sick_warm_s": 15, "sick_well_s": 25,
        "sick_s": 60, "sick_events_per_s": 10, "claim_pending": 1000000, "claim_s": 60,
    },
    "quick": {
        "deliver_single": 10000, "deliver_rounds": 2, "deliver_batched": 40000,
        "deliver_open_s": 5, "sick_endpoints": 2000, "sick_warm_s": 3, "sick_well_s": 5,
        "sick_s": 10, "sick_events_per_s": 20, "claim_pending": 100000, "claim_s": 8,
    },
    "tiny": {
        "deliver_single": 1000, "deliver_rounds": 1, "deliver_batched": 2000,
        "deliver_open_s": 2, "sick_endpoints": 400, "sick_warm_s": 2, "sick_well_s": 2,
        "sick_s": 4, "sick_events_per_s": 10, "claim_pending": 5000, "claim_s": 3,
    },
}

TARGETS = {
    "deliver_single_per_s": (">=", 4000),
    "deliver_batched_per_s": (">=", 30000),
    "event_to_received_p99_ms_500": ("<=", 30),
    "sick_endpoints_p99_ratio": ("<=", 2),
    "claim_p99_ms_1m_pending": ("<=", 10),
    "rss_mib_delivery": ("<=", 128),
}


class Receiver:
    """The ESPs; see receiver.c. `ports` by kind: well, hang, refuse."""

    def __init__(self, bench, ports):
        words = [word for kind, port in ports.items() for word in (f"--{kind}", str(port))]
        self.ports = ports
        self.process = subprocess.Popen([bench.receiver_program, *words], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        bench.must(self.process.stdout.readline() == "ready\n", "the receiver did not start")

    def say(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def count(self):
        return json.loads(self.say("count"))

    def url(self, kind="well"):
        return f"http://127.0.0.1:{self.ports[kind]}/in"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


class Asker:
    """One session of psql, for figures that are asked for again and again."""

    def __init__(self, bench, database):
        self.psql = subprocess.Popen(
            [f"{bench.cluster.bin}/psql", "-h", bench.cluster.home, "-U", "shopbell", "-d",
             database, "-AtqX"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, query):
        """The one value of the one row."""
        self.psql.stdin.write(query + ";\n")
        self.psql.stdin.flush()
        return self.psql.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.psql.stdin.close()
        self.psql.wait(30)
        self.psql.stdout.close()


def keep_rss(bench, server):
    bench.delivery_rss_mib = max(getattr(bench, "delivery_rss_mib", 0.0), server.rss_mib)
    bench.figure("rss_mib_delivery", bench.delivery_rss_mib,
                 "greatest resident memory of the server in the parts of delivery so far")


# --- a backlog --------------------------------------------------------------------------


def subscribe(server, receiver, name, topics, **more):
    server.post("/v1/subscriptions", {"name": name, "url": receiver.url(), "topics": topics,
                                      **more})
    server.post(f"/v1/subscriptions/{name}/verify", {})


def ring_once(bench, server, receiver):
    """One real notification, settled: what backlogs are copied from."""
    time.sleep(1)  # instances look for a new configuration four times a second
    before = receiver.count()["distinct"]
    engine.post_events(bench, server, [engine.canonical(
        1, "product.viewed", time.time(), 1, product_id="P1", price=19.9, category="C1",
        name="Trail runner", url="https://bench.example/p/1")])
    bench.wait_for(lambda: receiver.count()["distinct"] > before, 10, "the template rang")
    bench.wait_for(lambda: bench.cluster.sql(server.database, "SELECT count(*) FROM delivery")
                   == [["0"]], 20, "the template is settled")


def make_backlog(bench, server, seed, count, like, span_s, each=1):
    """`count` deliveries of count / each notifications, for the subscriptions whose names
    are `like` that in turn; due one after the other through the last `span_s`."""
    columns = [name for name, in bench.cluster.sql(
        server.database, "SELECT column_name FROM information_schema.columns WHERE table_schema "
        "= 'public' AND table_name = 'notification' ORDER BY ordinal_position")]
    new = {"id": "s.id", "created_at": "t.created_at",
           "body": "replace(t.body, t.id::text, s.id::text)"}
    values = ", ".join(new.get(name, f"t.{name}") for name in columns)
    bench.cluster.sql(
        server.database,
        # In one transaction, so that none is sent before all are there.
        "CREATE TEMP TABLE template ON COMMIT DROP AS SELECT * FROM notification "
        "ORDER BY created_at LIMIT 1;"
        "CREATE TEMP TABLE backlog ON COMMIT DROP AS SELECT n, "
        f"md5('{seed}-' || n)::uuid AS id FROM generate_series(0, {count // each - 1}) AS g (n);"
        "CREATE TEMP TABLE listener ON COMMIT DROP AS SELECT id, row_number() OVER (ORDER BY name)"
        f" - 1 AS n FROM subscription WHERE name LIKE '{like}';"
        f"INSERT INTO notification ({', '.join(columns)}) SELECT {values} FROM template t, "
        "backlog s;"
        "INSERT INTO delivery (workspace_id, id, notification_id, notification_created_at, "
        "subscription_id, profile_id, sequence, due_at) SELECT t.workspace_id, "
        f"md5('{seed}d' || d.n)::uuid, s.id, t.created_at, l.id, t.profile_id, t.sequence, "
        f"date_trunc('milliseconds', now() - ({count} - d.n) * interval '1 second' * {span_s} / "
        f"{count}) FROM generate_series(0, {count - 1}) AS d (n) JOIN backlog s ON s.n = d.n / "
        f"{each} JOIN listener l ON l.n = d.n % (SELECT count(*) FROM listener) CROSS JOIN "
        "template t ORDER BY d.n")


def drain(bench, server, receiver, seed, count, like):
    """Seconds from the rows being there until none is left."""
    receiver.say("reset")
    with Asker(bench, server.database) as asker:
        make_backlog(bench, server, seed, count, like, 1)
        started = time.monotonic()
        deadline = started + 300
        while left := int(asker.ask("SELECT count(*) FROM delivery")):
            bench.must(time.monotonic() < deadline, f"{left:,} of {count:,} were not settled")
            time.sleep(0.25 if left > count / 10 else 0.01)
        seconds = time.monotonic() - started
    found = receiver.count()
    bench.must(found["distinct"] == count and found["mismatched"] == 0,
               f"{count:,} notifications, and the receiver says {found}")
    return seconds, found


def single(bench, server, receiver):
    count, rates = bench.sizes["deliver_single"], []
    for number in range(bench.sizes["deliver_rounds"]):
        seconds, found = drain(bench, server, receiver, f"single{number}", count, "single%")
        rates.append(count / seconds)
        bench.say(f"singles, round {number + 1}: {rates[-1]:,.0f}/s")
    settled = bench.cluster.sql(
        server.database, "SELECT count(*) FROM attempt WHERE outcome = 'delivered'")[0][0]
    bench.must(int(settled) >= count * len(rates), f"{settled} attempts are on record")
    bench.figure("deliver_single_per_s", statistics.median(rates),
                 f"{count:,} notifications of {found['bytes'] // found['requests']:,} B with "
                 f"headers to {ENDPOINTS} endpoints, plain HTTP, claimed, sent and settled; "
                 f"median of {len(rates)}")


def batched(bench, server, receiver):
    count, rates = bench.sizes["deliver_batched"], []
    for number in range(ENDPOINTS):
        subscribe(server, receiver, f"batch_{number}", ["email.clicked"],
                  batch={"max": BATCH_MAX, "wait": "1s"})
    time.sleep(1)
    for number in range(bench.sizes["deliver_rounds"]):
        seconds, found = drain(bench, server, receiver, f"batch{number}", count, "batch%")
        rates.append(count / seconds)
        bench.say(f"batches, round {number + 1}: {rates[-1]:,.0f}/s in {found['requests']:,} "
                  "requests")
    bench.figure("deliver_batched_per_s", statistics.median(rates),
                 f"{count:,} notifications to {ENDPOINTS} endpoints in batches of at most "
                 f"{BATCH_MAX}: {found['requests']:,} requests; median of {len(rates)}")


def open_loop(bench):
    """As the part `open`, at half its rate."""
    seconds, warm = bench.sizes["deliver_open_s"], bench.sizes["open_warm"]
    count = 500 * seconds
    file = bench.payload_file(warm + count, bench.body_bytes, "new:80")
    with bench.server("deliver_open") as server:
        server.load(file, 64, count=warm)
        result = bench.open_once(server, file, warm, count, seconds, rate=500)
        keep_rss(bench, server)
    to_esp = result["to_esp_ms"]
    bench.figure("event_to_received_p99_ms_500", to_esp["p99"],
                 f"{result['notified']:,} orders at 500/s, from when each was due to the last "
                 f"byte at the ESP; p50 {to_esp['p50']:.2f}, max {to_esp['max']:.1f} ms")


def deliver(bench):
    with Receiver(bench, {"well": bench.free_port()}) as receiver, \
            bench.server("deliver") as server:
        for number in range(ENDPOINTS):
            subscribe(server, receiver, f"single_{number}", ["product.viewed"])
        ring_once(bench, server, receiver)
        single(bench, server, receiver)
        batched(bench, server, receiver)
        keep_rss(bench, server)
    open_loop(bench)


# --- sick endpoints ---------------------------------------------------------------------


def make_workspaces(server):
    """{name: key}; the first is the server's own."""
    keys = {"bench": server.key}
    for number in range(1, SICK_WORKSPACES):
        name = f"bench_{number}"
        server.command("workspace", "create", name, "--currency", "EUR", "--time-zone", "UTC")
        made = server.command("key", "create", "bench", "--workspace", name, "--scope", "ingest",
                              "--json")
        keys[name] = json.loads(made)["key"]
    return keys


def make_endpoints(bench, server, receiver, count, keys):
    """So many subscriptions, evenly over workspaces and topics, each a copy of one that
    was made and verified; of each ten one at a port that will hang, and one at one that
    will refuse. A secret is sealed for its own row, not for the subscription's."""
    subscribe(server, receiver, "template", ["session.started"])
    each = count // SICK_WORKSPACES
    kind = f"((e.n / {len(TOPICS)} + e.n) % 10)"
    url = (f"CASE {kind} WHEN 8 THEN '{receiver.url('hang')}' WHEN 9 THEN "
           f"'{receiver.url('refuse')}' ELSE '{receiver.url('well')}' END || '/' || e.n")
    topics = "ARRAY[" + ", ".join(f"'{topic}'" for topic in TOPICS) + "]"
    new_id = "md5(w.name || e.n)::uuid"
    new = {"workspace_id": "w.id", "id": new_id, "name": "'esp_' || e.n", "url": url,
           "topics": f"ARRAY[({topics})[e.n % {len(TOPICS)} + 1]]"}
    for table, changed in (("subscription", new),
                           ("subscription_secret", {"workspace_id": "w.id",
                                                    "subscription_id": new_id})):
        columns = [name for name, in bench.cluster.sql(
            server.database, "SELECT column_name FROM information_schema.columns WHERE "
            f"table_schema = 'public' AND table_name = '{table}' ORDER BY ordinal_position")]
        bench.cluster.sql(
            server.database, f"INSERT INTO {table} ({', '.join(columns)}) SELECT "
            + ", ".join(changed.get(name, f"t.{name}") for name in columns)
            + f" FROM {table} t, workspace w, generate_series(0, {each - 1}) AS e (n) "
            f"WHERE w.name IN ({', '.join(map(repr, keys))})")
    server.request("DELETE", "/v1/subscriptions/template")
    bench.cluster.sql(server.database, "UPDATE workspace SET config_version = config_version + 1")
    time.sleep(2)


class Events:
    """Events at a steady rate, each to a workspace and of a topic drawn evenly; its
    `occurred_at` is when it was due, so that a late request makes a late message."""

    def __init__(self, bench, server, keys, per_s, seed):
        self.bench, self.server, self.keys = bench, server, keys
        self.per_s, self.chance = per_s, random.Random(seed)
        self.failures = collections.Counter()
        self.connections = threading.local()
        self.number = seed * 1000000

    def post(self, key, event):
        connection = getattr(self.connections, "open", None)
        if connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
            self.connections.open = connection
        connection.request("POST", "/v1/events", json.dumps([event]), {
            "Authorization": f"Bearer {key}", "Content-Type": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200 or json.loads(body)["events"]["applied"] != 1:
            self.failures[f"{answer.status} {body[:200]}"] += 1

    def run(self, seconds):
        """The topics of those events."""
        topics = []
        begin = time.time() + 0.1
        names = sorted(self.keys)
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            for i in range(int(seconds * self.per_s)):
                due = begin + i / self.per_s
                time.sleep(max(0.0, due - time.time()))
                self.number += 1
                topics.append(self.chance.choice(TOPICS))
                event = engine.canonical(self.number, topics[-1], due,
                                         self.chance.randrange(1000))
                pool.submit(self.post, self.keys[self.chance.choice(names)], event)
        self.bench.must(not self.failures, f"events were not applied: {self.failures}")
        return topics


def is_well(number):
    """As make_endpoints has it."""
    return (number // len(TOPICS) + number) % 10 < 8


def healthy(topics, count):
    """How many messages to healthy endpoints these topics of events are."""
    each = {topic: sum(is_well(n) for n in range(place, count // SICK_WORKSPACES, len(TOPICS)))
            for place, topic in enumerate(TOPICS)}
    return sum(each[topic] for topic in topics)


def ages(bench, receiver, events, seconds, count):
    """What the healthy ones heard of events in so many seconds: all of it, however late,
    or a slow message would be missing where it counts."""
    receiver.say("reset")
    wanted = healthy(events.run(seconds), count)
    deadline = time.monotonic() + 60
    while (found := receiver.count())["aged"] < wanted and time.monotonic() < deadline:
        time.sleep(0.25)
    bench.must(found["aged"] >= wanted * 0.99 and wanted > 0,
               f"{wanted:,} were for healthy endpoints, a minute later they say {found}")
    bench.say(f"p50 {found['p50_ms']:.1f}, p99 {found['p99_ms']:.1f}, max {found['max_ms']:.1f} "
              f"ms; {found['aged']:,} of {wanted:,}")
    return found, wanted


def sick(bench):
    count, per_s = bench.sizes["sick_endpoints"], bench.sizes["sick_events_per_s"]
    ports = {kind: bench.free_port() for kind in ("well", "hang", "refuse")}
    with Receiver(bench, ports) as receiver, bench.server("sick") as server:
        keys = make_workspaces(server)
        make_endpoints(bench, server, receiver, count, keys)
        events = Events(bench, server, keys, per_s, 1)
        events.run(bench.sizes["sick_warm_s"])
        time.sleep(1)
        well, _ = ages(bench, receiver, events, bench.sizes["sick_well_s"], count)
        receiver.say("sick")
        ill, wanted = ages(bench, receiver, events, bench.sizes["sick_s"], count)
        keep_rss(bench, server)
    # Ages are whole milliseconds: under one there is nothing to compare.
    bench.figure("sick_endpoints_p99_ratio", ill["p99_ms"] / max(well["p99_ms"], 1.0),
                 f"{count:,} endpoints in {SICK_WORKSPACES} workspaces; a tenth hang, each request "
                 f"until its timeout, a tenth refuse, from one moment on. {wanted:,} notifications "
                 f"to the healthy in {bench.sizes['sick_s']} s from it: p99 {ill['p99_ms']:.1f} ms "
                 f"(p50 {ill['p50_ms']:.1f}, max {ill['max_ms']:.0f}); with all well "
                 f"{well['p99_ms']:.1f} ms (p50 {well['p50_ms']:.1f}, max {well['max_ms']:.0f})")


# --- claims -----------------------------------------------------------------------------

ANALYSES = [
    # What was told of when; what is pending of which topic; how late each endpoint is.
    "SELECT topic, date_trunc('minute', created_at), count(*), count(DISTINCT profile_id), "
    "sum(length(body)) FROM notification GROUP BY 1, 2",
    "SELECT d.subscription_id, n.topic, count(*), max(now() - d.due_at) FROM delivery d JOIN "
    "notification n ON n.workspace_id = d.workspace_id AND n.created_at = "
    "d.notification_created_at AND n.id = d.notification_id GROUP BY 1, 2",
    "SELECT subscription_id, count(*), percentile_disc(0.99) WITHIN GROUP (ORDER BY now() - "
    "due_at) FROM delivery GROUP BY 1",
]


class Analysts:
    """Each asks one thing again and again; the last within one snapshot all the while,
    which keeps every dead row of the queue where it is."""

    def __init__(self, bench, database):
        self.bench, self.database = bench, database
        self.stops = False
        self.asked = 0
        self.threads = [threading.Thread(target=self.run, args=(number,), daemon=True)
                        for number in range(len(ANALYSES))]

    def run(self, number):
        with Asker(self.bench, self.database) as asker:
            if number == len(ANALYSES) - 1:
                asker.ask("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
            while not self.stops:
                asker.ask(f"SELECT count(*) FROM ({ANALYSES[number]}) a")
                self.asked += 1

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stops = True
        for thread in self.threads:
            thread.join(60)


def claim_times(path, begin):
    """Milliseconds that PostgreSQL spent on each claim since that byte of its log: binding
    and executing the statement, and the commit that follows it in the same session."""
    pattern = re.compile(r"\[(\d+)\] LOG:  duration: ([0-9.]+) ms  (bind|execute) "
                         r"(delivery_claim|pg_commit):")
    running, found = {}, []
    with open(path, errors="replace") as log:
        log.seek(begin)
        for line in log:
            match = pattern.search(line)
            if not match:
                continue
            pid, took, step, name = match.groups()
            if name == "delivery_claim":
                running[pid] = float(took) + (running.get(pid, 0.0) if step == "execute" else 0.0)
            elif pid in running:
                running[pid] += float(took)
                if step == "execute":
                    found.append(running.pop(pid))
    return found


class Others:
    """What the machine makes of statements that touch no queue, in the same run beside the
    same analysts: the least there is, and one that computes as long as a claim takes
    alone. What these wait for, no claim can do without."""

    LEAST = "SELECT 1 AS least"
    COMPUTES = "SELECT count(*) AS computes FROM generate_series(1, {})"

    def __init__(self, bench, database, log, as_long_ms):
        self.bench, self.database, self.log = bench, database, log
        self.stops = False
        begin = os.path.getsize(log)
        with Asker(bench, database) as asker:
            for _ in range(50):
                asker.ask(self.COMPUTES.format(10000))
        one_ms = engine.percentile(self.times(begin, "computes"), 0.1)
        self.computes = self.COMPUTES.format(round(10000 * as_long_ms / one_ms))
        self.thread = threading.Thread(target=self.run, daemon=True)

    def times(self, begin, name):
        pattern = re.compile(r"duration: ([0-9.]+) ms  statement: SELECT \S+ AS " + name)
        with open(self.log, errors="replace") as log:
            log.seek(begin)
            return [float(match.group(1)) for match in map(pattern.search, log) if match]

    def run(self):
        with Asker(self.bench, self.database) as asker:
            while not self.stops:
                asker.ask(self.LEAST)
                asker.ask(self.computes)
                time.sleep(0.005)

    def __enter__(self):
        self.begin = os.path.getsize(self.log)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stops = True
        self.thread.join(60)

    def report(self):
        for name, figure, what in (
                ("least", "select_1_p99_ms_beside_analysts", "SELECT 1"),
                ("computes", "computing_p99_ms_beside_analysts",
                 "a statement that only computes, as long as a claim takes alone")):
            found = self.times(self.begin, name)
            self.bench.figure(figure, engine.percentile(found, 0.99),
                              f"{what}, of a session that is idle before it, {len(found):,} times "
                              f"beside the same analysts: p50 {statistics.median(found):.2f}, max "
                              f"{max(found):.1f} ms")


def claims_of(path, seconds):
    begin = os.path.getsize(path)
    time.sleep(seconds)
    return claim_times(path, begin)


def claims(bench):
    """While a million is pending the server claims, sends and settles as fast as it can;
    what its claims take is what PostgreSQL writes of them into its log."""
    count, seconds = bench.sizes["claim_pending"], bench.sizes["claim_s"]
    log = os.path.join(bench.home, "postgres.log")
    with Receiver(bench, {"well": bench.free_port()}) as receiver, \
            bench.cluster.database("claims") as database:
        for setting in ("log_min_duration_statement = 0", "log_parameter_max_length = 0"):
            bench.cluster.sql("postgres", f"ALTER DATABASE {database} SET {setting}")
        with bench.shopbell_on(database) as server:
            for number in range(ENDPOINTS):
                subscribe(server, receiver, f"claim_{number}", ["product.viewed"])
            ring_once(bench, server, receiver)
            server.stop()
            make_backlog(bench, server, "claim", count, "claim%", 3600, each=ENDPOINTS)
            bench.say(f"{count:,} deliveries are pending")
            server.launch()
            time.sleep(2)
            alone = claims_of(log, seconds / 4)
            with Analysts(bench, database) as analysts:
                time.sleep(1)
                with Others(bench, database, log,
                            engine.percentile(alone, 0.1)) as others:
                    found = claims_of(log, seconds)
            left = int(bench.cluster.sql(database, "SELECT count(*) FROM delivery")[0][0])
            keep_rss(bench, server)
    bench.must(alone and found, "the server claimed nothing")
    bench.figure("claim_p99_ms_1m_pending", engine.percentile(found, 0.99),
                 f"{count:,} pending, {left:,} in the end; {len(found):,} claims in {seconds} s, "
                 f"p50 {statistics.median(found):.2f}, max {max(found):.1f} ms, while three "
                 f"analysts had {analysts.asked} answers, one of them all within one snapshot; "
                 f"before they came p99 {engine.percentile(alone, 0.99):.2f} ms (p50 "
                 f"{statistics.median(alone):.2f}, max {max(alone):.1f})")
    others.report()


PARTS = {
    "deliver": deliver,
    "sick": sick,
    "claims": claims,
}
