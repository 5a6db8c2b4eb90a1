"""The demo: a brand, two shops, an ESP, and one customer's story.

Everything goes the ordinary way: signed webhooks over HTTP in, signed
notifications over HTTP out, answers from the REST API. Nothing is simulated
but the shops and the ESP themselves, and those sign and verify for real.
"""

import argparse
import base64
import datetime
import hashlib
import hmac
import http.client
import http.server
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid

COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ


def paint(code, text):
    return f"\033[{code}m{text}\033[0m" if COLOUR else str(text)


def bold(text):
    return paint("1", text)


def dim(text):
    return paint("2", text)


def green(text):
    return paint("32", text)


def heading(text):
    print("\n" + bold(text))


def fail(text):
    print(paint("31", f"quickstart: {text}"), file=sys.stderr)
    raise SystemExit(1)


def now(minutes=0.0, days=0.0, seconds=0.0):
    at = datetime.datetime.now(datetime.timezone.utc)
    at += datetime.timedelta(minutes=minutes, days=days, seconds=seconds)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def plural(number, noun):
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def of_each(words):
    """a, b, b -> "a, b (2)", in the order of their first appearance."""
    return ", ".join(word if words.count(word) == 1 else f"{word} ({words.count(word)})"
                     for word in dict.fromkeys(words))


# --- the three parties ------------------------------------------------------

class Shopbell:
    """The server as a child process, and its API as a client."""

    def __init__(self, program, directory, port):
        self.program, self.directory, self.port = program, directory, port
        self.key = None
        self.log_path = os.path.join(directory, "server.log")
        self.process = None

    def start(self):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", self.port))
            except OSError as error:
                other = self.port + 1 if 1024 <= self.port < 65535 else 8080
                fail(f"port {self.port} of this machine: {error.strerror.lower()}; "
                     f"choose another one: --port {other}")
        try:
            os.makedirs(self.directory, mode=0o755, exist_ok=True)
            log = open(self.log_path, "ab")
            log_start = log.tell()
        except OSError as error:
            fail(f"{error.filename}: {error.strerror.lower()}; choose another folder: --dir DIR")
        self.process = subprocess.Popen(
            [self.program, "serve", "--embedded", self.directory, "--dev",
             "--listen", f"127.0.0.1:{self.port}"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        for _ in range(600):
            if self.has_ended():
                with open(self.log_path, errors="replace") as f:
                    f.seek(log_start)
                    fail("the server did not start; it said:\n" + "".join(f.readlines()[-15:]))
            try:
                if self.raw("GET", "/readyz")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.1)
        fail(f"the server is not ready after a minute; see {self.log_path}")

    def has_ended(self):
        # Not poll(): a signal that raises inside it leaves its lock taken, and
        # stop() would wait for ever.
        return os.waitid(os.P_PID, self.process.pid,
                         os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def stop(self):
        if self.process and not self.has_ended():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)  # It ends soon, and cleanly.
            self.process.terminate()
            self.process.wait()

    def command(self, *arguments):
        done = subprocess.run([self.program, *arguments, "--embedded", self.directory, "--json"],
                              capture_output=True, text=True)
        if done.returncode:
            fail(f"shopbell {' '.join(arguments)}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def raw(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def call(self, method, path, body=None):
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        status, answer = self.raw(method, path, None if body is None else json.dumps(body), headers)
        if status >= 300:
            fail(f"{method} {path}: {status} {answer.decode(errors='replace')}")
        return json.loads(answer) if answer else None


class Esp:
    """An email service provider: verifies each signature, keeps the messages."""

    def __init__(self, port=0):
        self.secret = None
        self.messages = []
        self.refused = 0
        # What an earlier run of the demo left behind is no part of this story.
        self.since = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
        esp = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                status, text = esp.take(self.headers, body)
                self.send_response(status)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        try:
            self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        except OSError:
            self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/shopbell"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, headers, body):
        message = json.loads(body)
        if message["type"] == "subscription.challenge":
            return 200, message["data"]["challenge"].encode()
        key = base64.b64decode(self.secret.removeprefix("whsec_"))
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        if not any(hmac.compare_digest(expected, s) for s in headers["webhook-signature"].split()):
            self.refused += 1
            return 401, b""
        if message["recorded_at"] >= self.since:
            self.messages.append((message, time.monotonic()))
        return 200, b""

    def wait_for(self, already, types, seconds=15):
        """The messages after the first `already`, once all `types` are among them."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            came = self.messages[already:]
            if sorted(types) == sorted(m["type"] for m, _ in came):
                break
            time.sleep(0.002)
        time.sleep(0.1)  # For what should not come.
        came = self.messages[already:]
        got = sorted(m["type"] for m, _ in came)
        if self.refused or got != sorted(types):
            fail(f"the ESP got {got}, and {sorted(types)} is right; {self.refused} refused")
        # Of one transaction, they arrive in any order.
        return sorted(came, key=lambda m: types.index(m[0]["type"]))


class Shop:
    def __init__(self, shopbell, hook_path):
        self.shopbell, self.path = shopbell, hook_path

    def post(self, headers, payload):
        body = json.dumps(payload).encode()
        mac = base64.b64encode(hmac.new(self.secret.encode(), body, hashlib.sha256).digest())
        headers = {"Content-Type": "application/json", self.header: mac.decode(), **headers}
        started = time.monotonic()
        status, answer = self.shopbell.raw("POST", self.path, body, headers)
        return status, json.loads(answer), started, time.monotonic()


class Shopify(Shop):
    header = "X-Shopify-Hmac-Sha256"
    secret = "demo-client-secret-of-the-shopify-app"

    def send(self, topic, payload, webhook_id=None):
        return self.post({"X-Shopify-Topic": topic,
                          "X-Shopify-Shop-Domain": "aurora.myshopify.com",
                          "X-Shopify-Webhook-Id": webhook_id or str(uuid.uuid4())}, payload)


class WooCommerce(Shop):
    header = "X-WC-Webhook-Signature"

    def send(self, topic, payload):
        return self.post({"X-WC-Webhook-Topic": topic, "X-WC-Webhook-ID": "7",
                          "X-WC-Webhook-Delivery-ID": uuid.uuid4().hex}, payload)


# --- the story --------------------------------------------------------------

LINES = [
    ("Trail runner", "TR-42", 8213868347001, 44901482850001, "89.90"),
    ("Rain jacket", "RJ-M", 8213868347002, 44901482850002, "149.00"),
]


def line(number, quantity=1):
    name, sku, product, variant, price = LINES[number]
    return {"id": secrets.randbits(40), "product_id": product, "variant_id": variant, "title": name,
            "name": name, "sku": sku, "vendor": "Aurora", "quantity": quantity, "price": price,
            "line_price": price, "properties": []}


def story(person):
    """(what happens, shop, topic, payload, what rings), in order."""
    order_id = 5_000_000_000_000_000_000 + secrets.randbits(50)
    number = 1000 + secrets.randbelow(9000)
    customer = {"id": secrets.randbits(50), "email": person["email"], "phone": None,
                "first_name": person["first"], "last_name": person["last"], "tags": "",
                "created_at": now(-8), "updated_at": now(-8),
                "email_marketing_consent": {"state": "subscribed", "opt_in_level": "single_opt_in",
                                            "consent_updated_at": now(-8)},
                "default_address": {"city": "Paris", "country_code": "FR", "zip": "75011",
                                    "province_code": None}}
    cart_token = "c1-" + uuid.uuid4().hex
    order = {"id": order_id, "name": f"#{number}", "order_number": number,
             "email": person["email"], "contact_email": person["email"], "phone": None,
             "created_at": now(-4), "processed_at": now(-4), "updated_at": now(-4),
             "cancelled_at": None, "currency": "EUR", "total_price": "238.90",
             "subtotal_price": "238.90", "total_tax": "39.82", "total_discounts": "0.00",
             "financial_status": "paid", "fulfillment_status": None, "cart_token": cart_token,
             "checkout_token": uuid.uuid4().hex, "source_name": "web", "customer": customer,
             "refunds": [], "fulfillments": [], "discount_codes": [], "note_attributes": [],
             "line_items": [line(0), line(1)]}
    refund = {"id": secrets.randbits(50), "order_id": order_id, "created_at": now(-2),
              "processed_at": now(-2), "note": "too small", "refund_line_items": [],
              "order_adjustments": [],
              "transactions": [{"id": secrets.randbits(50), "kind": "refund", "status": "success",
                                "amount": "149.00", "currency": "EUR"}]}
    return [
        ("Someone fills a cart. Nobody knows who.", "shopify", "carts/create",
         {"id": cart_token, "token": cart_token, "note": "", "created_at": now(-9),
          "updated_at": now(-9), "line_items": [line(0)]},
         ["profile.created", "lifecycle.changed", "cart.updated"]),
        (f"{person['first']} signs up.", "shopify", "customers/create", customer,
         ["profile.created", "profile.identified", "lifecycle.changed", "customer.created",
          "consent.updated"]),
        (f"{person['first']} orders that cart: it was hers, two profiles become one.",
         "shopify", "orders/create", order, ["order.completed", "profile.merged"]),
        ("The order is paid. It stays one order.", "shopify", "orders/paid",
         {**order, "updated_at": now(-3)}, ["order.updated"]),
        ("The jacket comes back.", "shopify", "refunds/create", refund, ["order.refunded"]),
        ("At the outlet she orders as a guest, under the same e-mail in capitals.", "woo",
         "order.created", woo_order(person["first"], person["last"], person["email"].upper(),
                                    now(-1)), ["order.completed", "lifecycle.changed"]),
    ]


def woo_order(first, last, email, at):
    number = secrets.randbits(30)
    return {"id": number, "number": str(number), "status": "processing", "currency": "EUR",
            "date_created_gmt": at[:-1], "date_modified_gmt": at[:-1],
            "total": "35.00", "total_tax": "5.83", "discount_total": "0.00",
            "shipping_total": "4.90", "customer_id": 0, "refunds": [],
            "billing": {"first_name": first, "last_name": last, "email": email, "phone": "",
                        "country": "FR", "city": "Paris", "postcode": "75011", "state": ""},
            "line_items": [{"id": 1, "name": "Wool socks", "product_id": 93, "sku": "WS",
                            "variation_id": 0, "quantity": 2, "total": "30.10", "price": 15.05}]}


def into(shop, topic, answer, milliseconds, paint_answer=green):
    print(f"    {dim('in ')} {shop + ' ' + topic:26} {paint_answer(f'{answer:16}')} "
          f"{milliseconds:6.1f} ms")


def out(message, milliseconds):
    what = message["type"]
    data = message["data"]
    if what == "lifecycle.changed":
        before, after = data["lifecycle"]["from"], data["lifecycle"]["to"]
        extra = f"{before} -> {after}" if before else after
    elif what.startswith("segment."):
        extra = data["segment"]["name"]
    elif what == "profile.merged":
        extra = f"by {data['merge']['because']['kind']}"
    elif what in ("order.completed", "order.updated") and data["order"].get("total") is not None:
        extra = f"{data['order']['total']:.2f} {data['order']['currency']}"
    else:
        extra = ""
    print(f"    {dim('out')} {what:26} {extra:16} {milliseconds:6.1f} ms")


def step(shops, esp, happens, shop, topic, payload, rings, webhook_id=None, expect="applied"):
    """One webhook: what it is answered, and what the ESP hears of it."""
    print("\n  " + happens)
    already = len(esp.messages)
    more = {"webhook_id": webhook_id} if webhook_id else {}
    status, answer, started, ended = shops[shop].send(topic, payload, **more)
    if status != 200 or answer["status"] != expect:
        fail(f"{topic}: {status} {answer}, and {expect} is right")
    into(shop, topic, f"{status} {answer['status']}", (ended - started) * 1000)
    for message, came in esp.wait_for(already, rings):
        out(message, (came - started) * 1000)


def tell(shops, esp, person):
    heading("The story: signed webhooks go in, signed notifications come out")
    print(dim("  Milliseconds since the shop sent its webhook: until it was answered (in), until\n"
              "  the ESP had the notification (out). A 200 says that all of it is committed."))
    for happens, shop, topic, payload, rings in story(person):
        webhook_id = str(uuid.uuid4()) if topic == "orders/create" else None
        if topic == "refunds/create":
            forge(shops, esp)  # Were it the shop's last webhook, `status` would say "failing".
        step(shops, esp, happens, shop, topic, payload, rings, webhook_id)
        if webhook_id:
            step(shops, esp, "Shopify sends that once more, as shops do. Nobody is rung twice.",
                 shop, topic, payload, [], webhook_id, "duplicate")
    fall_silent(shops, esp)


def forge(shops, esp):
    print("\n  A forger does not know the secret. Not a byte of it is parsed.")
    kept, shops["shopify"].secret = shops["shopify"].secret, "a forger's guess"
    status, _, started, ended = shops["shopify"].send("carts/create", {"id": 1, "token": "x"})
    shops["shopify"].secret = kept
    if status != 401:
        fail(f"a forged webhook got {status}, and 401 is right")
    into("shopify", "carts/create", "401 refused", (ended - started) * 1000,
         lambda text: paint("33", text))
    esp.wait_for(len(esp.messages), [])


def fall_silent(shops, esp):
    """An order almost sixty days old: soon, and with no event, Paul is a lapsed customer."""
    print("\n  Paul's last order, imported, is 60 days old, less 3 seconds. Time passes ...")
    already = len(esp.messages)
    email = f"paul.{secrets.token_hex(3)}@example.com"
    status, answer, started, ended = shops["woo"].send(
        "order.created", woo_order("Paul", "Moe", email, now(days=-60, seconds=3)))
    if status != 200 or answer["status"] != "applied":
        fail(f"order.created: {status} {answer}")
    into("woo", "order.created", "200 applied", (ended - started) * 1000)
    (message, _), = esp.wait_for(already, ["lifecycle.changed"])
    due = datetime.datetime.fromisoformat(message["timestamp"])
    committed = datetime.datetime.fromisoformat(message["recorded_at"])
    if message["data"]["lifecycle"]["to"] != "lapsed" or message["cause"]["kind"] != "time":
        fail(f"Paul is not lapsed by time: {json.dumps(message)}")
    out(message, (committed - due).total_seconds() * 1000)
    print(dim("        (no webhook caused that one: milliseconds since the instant it was due)"))


WINDOW_SECONDS = 4


def look_three_times(shopbell, esp, person):
    """A window in seconds: in by the third view, out when the first is too old."""
    print(f"\n  The marketer says: who looks at boards three times within {WINDOW_SECONDS} s is keen."
          " (In earnest: 24 h.)")
    rule = f'count(product.viewed where category = "Boards" within {WINDOW_SECONDS}s) >= 3'
    shopbell.call("PUT", "/v1/rules/keen_on_boards", {
        "kind": "segment", "title": "Keen on boards", "when": rule})
    print(f"    {dim('now')} {rule}")
    already = len(esp.messages)
    for number in range(3):
        started = time.monotonic()
        answer = shopbell.call("POST", "/v1/events", {
            "id": f"view-{person['email']}-{number}", "type": "product.viewed",
            "occurred_at": now(), "identities": {"email": person["email"]},
            "properties": {"product_id": f"board-{number}", "category": "Boards"}})
        into("api", "product.viewed", "200 " + answer["status"],
             (time.monotonic() - started) * 1000)
        first = first_view(esp, already, started) if number == 0 else first
    views = ["product.viewed"] * 3
    *_, (entered, came) = esp.wait_for(already, views + ["segment.entered"])
    out(entered, (came - started) * 1000)
    print(dim(f"        (until {entered['data']['segment']['until'][11:23]}, the first view is"
              f" from {first[11:23]}) ..."))
    *_, (left, _) = esp.wait_for(already, views + ["segment.entered", "segment.left"])
    if left["cause"]["kind"] != "time" or left["timestamp"] != entered["data"]["segment"]["until"]:
        fail(f"the segment was not left when the window slid past: {json.dumps(left)}")
    due, committed = (datetime.datetime.fromisoformat(left[k]) for k in ("timestamp",
                                                                        "recorded_at"))
    out(left, (committed - due).total_seconds() * 1000)
    print(dim("        (no event: milliseconds since the window slid past the first view)"))


def first_view(esp, already, started):
    (message, came), = esp.wait_for(already, ["product.viewed"])
    out(message, (came - started) * 1000)
    return message["timestamp"]


def show(shopbell, person):
    profile = shopbell.call("POST", "/v1/profiles/lookup",
                            {"kind": "email", "value": person["email"]})
    orders = profile["orders"]
    heading("The profile an analyst reads")
    known_as = [f"{i['kind']} at {i['source']}" if i["source"] else i["kind"]
                for i in profile["identities"]]
    rows = [
        ("who", f"{profile['traits']['first_name']} {profile['traits']['last_name']}, "
                f"{profile['email']}"),
        ("lifecycle", bold(profile["lifecycle"])),
        ("orders", f"{orders['count']}, worth {orders['revenue']:.2f} {orders['currency']}; "
                   f"{orders['refunded']:.2f} refunded"),
        ("consent", f"email {profile['consent']['email']}"),
        ("known by", of_each(known_as)),
        ("merged from", plural(len(profile["merged_from"]), "anonymous profile")),
    ]
    for name, value in rows:
        print(f"  {dim(name.ljust(12))}{value}")
    if orders["count"] != 2 or abs(orders["revenue"] - 273.90) > 0.001 \
            or abs(orders["refunded"] - 149.00) > 0.001 or profile["lifecycle"] != "active" \
            or len(profile["merged_from"]) != 1:
        fail(f"the profile is wrong: {json.dumps(profile)}")
    heading("The timeline")
    timeline = shopbell.call("GET", f"/v1/profiles/{profile['id']}/timeline")["data"]
    for entry in reversed(timeline):
        if entry["kind"] == "transition":
            name = entry["rule"]
            extra = f"{entry['from']} -> {entry['to']}" if entry["from"] else entry["to"]
            if entry["rule_kind"] in ("tag", "segment"):
                extra = "entered" if entry["to"] else "left"
        else:
            name = entry["type"]
            extra = ("" if entry["amount"] is None
                     else f"{entry['amount']:.2f} {entry['currency']}")
        print(f"  {dim(entry['occurred_at'][11:19])}  {name:20} {extra:16} "
              f"{dim(entry.get('source') or '')}".rstrip())
    types = [entry["type"] for entry in timeline if entry["kind"] == "event"]
    for wanted in ("cart.updated", "customer.created", "order.updated", "order.refunded"):
        if types.count(wanted) != 1:
            fail(f"the timeline has {types.count(wanted)} {wanted}, and 1 is right")
    if types.count("order.completed") != 2:
        fail(f"the timeline has {types.count('order.completed')} order.completed, and 2 is right")
    return profile


# --- putting it up ----------------------------------------------------------

BRAND = "aurora"


def state_path(shopbell):
    """What the demo must know to go on where it was: key, addresses, secrets."""
    return os.path.join(shopbell.directory, "demo.json")


def state_read(shopbell):
    try:
        with open(state_path(shopbell), encoding="utf-8") as f:
            return json.load(f)
    except FileNotFoundError:
        return None
    except OSError as error:
        fail(f"{error.filename}: {error.strerror.lower()}; choose another folder: --dir DIR")


def state_write(shopbell, state):
    path = state_path(shopbell) + ".new"
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
        json.dump(state, f)
    os.replace(path, state_path(shopbell))


def take_key(shopbell, key):
    """A key made beside the server is known to it a moment later."""
    shopbell.key = key
    for _ in range(100):
        if shopbell.raw("GET", "/v1/sources",
                        headers={"Authorization": f"Bearer {key}"})[0] == 200:
            return
        time.sleep(0.05)
    fail("the server does not know the key of the demo")


def set_up(shopbell, esp):
    """A brand with two shops and an ESP, made by the calls anyone would make."""
    brand = BRAND
    if brand in [w["name"] for w in shopbell.command("workspace", "list")["data"]]:
        brand += "_" + secrets.token_hex(3)  # A first start ended half-way.
    shopbell.command("workspace", "create", brand, "--currency", "EUR",
                     "--time-zone", "Europe/Paris")
    scopes = [w for s in ("ingest", "read", "pii", "configure", "subscribe", "admin")
              for w in ("--scope", s)]
    take_key(shopbell, shopbell.command("key", "create", "demo", "--workspace", brand,
                                        *scopes)["key"])
    main = shopbell.call("POST", "/v1/sources", {
        "name": "shopify_main", "platform": "shopify",
        "settings": {"shop_domain": "aurora.myshopify.com"}})
    shopbell.call("POST", "/v1/sources/shopify_main/secrets",
                  {"secret": Shopify.secret, "label": "app"})
    outlet = shopbell.call("POST", "/v1/sources", {
        "name": "woo_outlet", "platform": "woocommerce",
        "settings": {"site_url": "https://outlet.aurora.example"}})
    made = shopbell.call("POST", "/v1/subscriptions", {
        "name": "mailhouse", "title": "Mailhouse", "url": esp.url, "topics": ["*"]})
    return {"brand": brand, "key": shopbell.key, "shopify": main["id"], "woo": outlet["id"],
            "woo_secret": outlet["secrets"][0]["secret"], "esp_port": esp.port,
            "esp_secret": made["secret"]}


def connect(shopbell, state):
    """The parties of a brand that is there, or of a new one."""
    esp = Esp(state["esp_port"] if state else 0)
    if state:
        take_key(shopbell, state["key"])
        esp.secret = state["esp_secret"]
        if esp.port != state["esp_port"]:
            shopbell.call("PATCH", "/v1/subscriptions/mailhouse", {"url": esp.url})
            state["esp_port"] = esp.port
    else:
        state = set_up(shopbell, esp)
        esp.secret = state["esp_secret"]
    if shopbell.call("GET", "/v1/subscriptions/mailhouse")["status"] != "active":
        shopbell.call("POST", "/v1/subscriptions/mailhouse/verify", {})
    if shopbell.call("GET", "/v1/subscriptions/mailhouse")["status"] != "active":
        fail("the ESP did not confirm its subscription")
    state_write(shopbell, state)
    shops = {"shopify": Shopify(shopbell, "/v1/hooks/" + state["shopify"]),
             "woo": WooCommerce(shopbell, "/v1/hooks/" + state["woo"])}
    shops["woo"].secret = state["woo_secret"]
    return state["brand"], shops, esp


def default_directory():
    base = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    # PostgreSQL runs as its own user under root, who may not enter /root.
    return "/var/lib/shopbell-demo" if os.geteuid() == 0 else os.path.join(base, "shopbell-demo")


def keep_serving(shopbell, profile, program):
    base = f"http://127.0.0.1:{shopbell.port}"
    heading("It keeps serving; Ctrl-C ends it")
    authorization = f"-H 'Authorization: Bearer {shopbell.key}'"
    print(f"""  API reference  {base}/docs
  Her profile    curl -s {authorization} {base}/v1/profiles/{profile['id']}
  All profiles   curl -s {authorization} {base}/v1/profiles
  How it goes    {program} status --embedded {shopbell.directory}
  Live           {program} tail --embedded {shopbell.directory}
  Data, log      {shopbell.directory}, server.log in it; the next start goes on with them
  Remove it all  rm -r {shopbell.directory}""", flush=True)
    while not shopbell.has_ended():
        time.sleep(0.2)
    fail(f"the server ended by itself; see {shopbell.log_path}")


def perform(options, shopbell):
    state = state_read(shopbell)
    print("Starting PostgreSQL and Shopbell ...", flush=True)
    shopbell.start()
    brand, shops, esp = connect(shopbell, state)
    print(f"The brand {bold(brand)} {'is there already' if state else 'is made'}: a Shopify shop "
          "(shopify), a WooCommerce outlet (woo),\nand an ESP that subscribed to everything and "
          "verifies every signature.")
    person = {"first": "Jane", "last": "Doe", "email": f"jane.{secrets.token_hex(3)}@example.com"}
    tell(shops, esp, person)
    look_three_times(shopbell, esp, person)
    profile = show(shopbell, person)
    if options.once:
        print("\n" + green("Everything happened as it should."))
    else:
        program = os.path.relpath(options.shopbell)
        keep_serving(shopbell, profile,
                     options.shopbell if program.startswith("..") else program)


def main():
    parser = argparse.ArgumentParser(prog="deploy/quickstart")
    parser.add_argument("--shopbell", required=True)
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--dir")
    parser.add_argument("--port", type=int, default=8080)
    options = parser.parse_args()
    temporary = None
    if options.once and not options.dir:
        temporary = tempfile.mkdtemp(prefix="shopbell-")
        os.chmod(temporary, 0o755)
    directory = os.path.abspath(options.dir or temporary or default_directory())
    shopbell = Shopbell(options.shopbell, directory, options.port)

    def asked_to_end(number, _):
        raise SystemExit(128 + number if options.once else 0)

    signal.signal(signal.SIGINT, signal.default_int_handler)  # A shell's "&" ignores it.
    signal.signal(signal.SIGTERM, asked_to_end)
    signal.signal(signal.SIGHUP, asked_to_end)
    try:
        perform(options, shopbell)
    except KeyboardInterrupt:
        print("\nStopping ...", file=sys.stderr)
        if options.once:
            raise SystemExit(130) from None
    finally:
        shopbell.stop()
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)


if __name__ == "__main__":
    main()
