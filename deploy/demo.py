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


def now(minutes=0.0, days=0.0):
    at = datetime.datetime.now(datetime.timezone.utc)
    at += datetime.timedelta(minutes=minutes, days=days)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


# --- the three parties ------------------------------------------------------

class Shopbell:
    """The server as a child process, and its API as a client."""

    def __init__(self, program, directory, port):
        self.program, self.directory, self.port = program, directory, port
        self.key = None
        self.log_path = os.path.join(directory, "server.log")
        self.process = None

    def start(self):
        os.makedirs(self.directory, mode=0o755, exist_ok=True)
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen(
            [self.program, "serve", "--embedded", self.directory, "--dev",
             "--listen", f"127.0.0.1:{self.port}"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        for _ in range(600):
            if self.process.poll() is not None:
                with open(self.log_path, errors="replace") as f:
                    fail("the server did not start:\n" + "".join(f.readlines()[-15:]))
            try:
                if self.raw("GET", "/readyz")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.1)
        fail(f"the server is not ready after a minute; see {self.log_path}")

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)

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

    def __init__(self):
        self.secret = None
        self.messages = []
        self.refused = 0
        esp = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                status, text = esp.take(self.headers, body)
                self.send_response(status)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/shopbell"
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
        self.messages.append((message, time.monotonic()))
        return 200, b""


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
    """(what happens, shop, topic, payload), in order."""
    order_id = 5_000_000_000_000_000_000 + secrets.randbits(50)
    customer = {"id": secrets.randbits(50), "email": person["email"], "phone": None,
                "first_name": person["first"], "last_name": person["last"], "tags": "",
                "created_at": now(-8), "updated_at": now(-8),
                "email_marketing_consent": {"state": "subscribed", "opt_in_level": "single_opt_in",
                                            "consent_updated_at": now(-8)},
                "default_address": {"city": "Paris", "country_code": "FR", "zip": "75011",
                                    "province_code": None}}
    cart_token = "c1-" + uuid.uuid4().hex
    order = {"id": order_id, "name": "#1042", "order_number": 1042, "email": person["email"],
             "contact_email": person["email"], "phone": None, "created_at": now(-4),
             "processed_at": now(-4), "updated_at": now(-4), "cancelled_at": None,
             "currency": "EUR", "total_price": "238.90", "subtotal_price": "238.90",
             "total_tax": "39.82", "total_discounts": "0.00", "financial_status": "paid",
             "fulfillment_status": None, "cart_token": cart_token, "checkout_token": "ck1",
             "source_name": "web", "customer": customer, "refunds": [], "fulfillments": [],
             "discount_codes": [], "note_attributes": [], "line_items": [line(0), line(1)]}
    refund = {"id": secrets.randbits(50), "order_id": order_id, "created_at": now(-2),
              "processed_at": now(-2), "note": "too small", "refund_line_items": [],
              "order_adjustments": [],
              "transactions": [{"id": 1, "kind": "refund", "status": "success",
                                "amount": "149.00", "currency": "EUR"}]}
    woo_id = secrets.randbits(30)
    woo_order = {"id": woo_id, "number": str(woo_id), "status": "processing", "currency": "EUR",
                 "date_created_gmt": now(-1)[:-1], "date_modified_gmt": now(-1)[:-1],
                 "total": "35.00", "total_tax": "5.83", "discount_total": "0.00",
                 "shipping_total": "4.90", "customer_id": 0, "refunds": [],
                 "billing": {"first_name": person["first"], "last_name": person["last"],
                             "email": person["email"].upper(), "phone": "", "country": "FR",
                             "city": "Paris", "postcode": "75011", "state": ""},
                 "line_items": [{"id": 1, "name": "Wool socks", "product_id": 93, "sku": "WS",
                                 "variation_id": 0, "quantity": 2, "total": "30.10", "price": 15.05}]}
    return [
        ("someone fills a cart, nobody knows who", "shopify", "carts/create",
         {"id": cart_token, "token": cart_token, "note": "", "created_at": now(-9),
          "updated_at": now(-9), "line_items": [line(0)]}),
        ("they sign up", "shopify", "customers/create", customer),
        ("they order: the cart was theirs", "shopify", "orders/create", order),
        ("the shop says so again, as shops do", "shopify", "orders/paid",
         {**order, "updated_at": now(-3)}),
        ("the jacket comes back", "shopify", "refunds/create", refund),
        ("a guest order at the outlet, by the same e-mail", "woo", "order.created", woo_order),
    ]


WANTED = ["profile.created", "profile.identified", "profile.merged", "cart.updated",
          "customer.created", "order.completed", "order.refunded", "lifecycle.changed"]


def tell(shopbell, shops, esp, person):
    heading("The story: signed webhooks go in")
    for what, shop, topic, payload in story(person):
        status, answer, started, ended = shops[shop].send(topic, payload)
        if status != 200 or answer["status"] != "applied":
            fail(f"{topic}: {status} {answer}")
        print(f"  {green('200')} {answer['status']:8} {(ended - started) * 1000:5.1f} ms  "
              f"{topic:18} {dim(what)}")
        time.sleep(0.05)
    body = {"id": 1, "token": "x", "line_items": []}
    kept, shops["shopify"].secret = shops["shopify"].secret, "a thief's guess"
    status, _, _, _ = shops["shopify"].send("carts/create", body)
    shops["shopify"].secret = kept
    print(f"  {paint('33', status)} refused            carts/create       "
          f"{dim('a forged one: nothing of it is even parsed')}")
    if status != 401:
        fail(f"a forged webhook got {status}")
    deadline = time.monotonic() + 15
    while (not set(WANTED) <= {m["type"] for m, _ in esp.messages}
           and time.monotonic() < deadline):
        time.sleep(0.02)
    missing = set(WANTED) - {m["type"] for m, _ in esp.messages}
    if missing or esp.refused:
        fail(f"the ESP misses {sorted(missing)}, refused {esp.refused}")


def show(shopbell, esp, person):
    heading("The ESP was rung: signatures verified, each message once")
    for message, _ in sorted(esp.messages, key=lambda m: (m[0]["recorded_at"], m[0]["sequence"])):
        data, extra = message["data"], ""
        if message["type"] == "lifecycle.changed":
            extra = f"{data['lifecycle']['from']} -> {data['lifecycle']['to']}"
        elif message["type"].startswith("order."):
            extra = f"order {data['order'].get('number') or data['order'].get('order_id')}"
        elif message["type"] == "profile.merged":
            extra = f"because of {data['merge']['because']['kind']}"
        source = (message["cause"] or {}).get("source", "time")
        print(f"  {message['type']:20} {dim(message['timestamp'][11:19])}  {extra:28} "
              f"{dim('caused by ' + str(source))}")
    profile = shopbell.call("POST", "/v1/profiles/lookup",
                            {"kind": "email", "value": person["email"]})
    orders = profile["orders"]
    heading("The profile an analyst reads")
    rows = [
        ("who", f"{profile['traits']['first_name']} {profile['traits']['last_name']}, "
                f"{profile['email']}"),
        ("lifecycle", bold(profile["lifecycle"])),
        ("orders", f"{orders['count']} worth {orders['revenue']:.2f} {orders['currency']}, "
                   f"{orders['refunded']:.2f} refunded"),
        ("consent", f"email {profile['consent']['email']}"),
        ("known as", ", ".join(f"{i['kind']} of {i['source']}" if i["source"] else i["kind"]
                               for i in profile["identities"])),
        ("merged from", f"{len(profile['merged_from'])} anonymous profile(s)"),
    ]
    for name, value in rows:
        print(f"  {dim(name.rjust(12))}  {value}")
    if orders["count"] != 2 or abs(orders["revenue"] - 273.90) > 0.001 \
            or abs(orders["refunded"] - 149.00) > 0.001 or profile["lifecycle"] != "active":
        fail(f"the profile is wrong: {json.dumps(orders)} {profile['lifecycle']}")
    heading("The timeline")
    timeline = shopbell.call("GET", f"/v1/profiles/{profile['id']}/timeline")["data"]
    for entry in reversed(timeline):
        print(f"  {dim(entry['occurred_at'][:19])}  {entry.get('type') or 'lifecycle':20} "
              f"{dim(entry.get('source') or '')}")
    if len(timeline) < 6:
        fail(f"the timeline has {len(timeline)} entries")
    return profile


# --- putting it up ----------------------------------------------------------

def set_up(shopbell, esp, brand):
    shopbell.command("workspace", "create", brand, "--currency", "EUR",
                     "--time-zone", "Europe/Paris")
    scopes = [w for s in ("ingest", "read", "pii", "configure", "subscribe", "admin")
              for w in ("--scope", s)]
    shopbell.key = shopbell.command("key", "create", "demo", "--workspace", brand, *scopes)["key"]
    for _ in range(100):
        if shopbell.raw("GET", "/v1/sources",
                        headers={"Authorization": f"Bearer {shopbell.key}"})[0] == 200:
            break
        time.sleep(0.05)
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
    esp.secret = made["secret"]
    shopbell.call("POST", "/v1/subscriptions/mailhouse/verify", {})
    if shopbell.call("GET", "/v1/subscriptions/mailhouse")["status"] != "active":
        fail("the ESP did not confirm its subscription")
    shops = {"shopify": Shopify(shopbell, "/v1/hooks/" + main["id"]),
             "woo": WooCommerce(shopbell, "/v1/hooks/" + outlet["id"])}
    shops["woo"].secret = outlet["secrets"][0]["secret"]
    return shops


def default_directory():
    base = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    # PostgreSQL runs as its own user under root, who may not enter /root.
    return "/var/lib/shopbell-demo" if os.geteuid() == 0 else os.path.join(base, "shopbell-demo")


def main():
    parser = argparse.ArgumentParser(prog="deploy/quickstart")
    parser.add_argument("--shopbell", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--once", action="store_true", help="check every step, then end")
    parser.add_argument("--dir", help="where the demo keeps its data")
    parser.add_argument("--port", type=int, default=8080)
    options = parser.parse_args()
    temporary = None
    if options.once and not options.dir:
        temporary = tempfile.mkdtemp(prefix="shopbell-")
        os.chmod(temporary, 0o755)
    directory = options.dir or temporary or default_directory()

    esp = Esp()
    shopbell = Shopbell(options.shopbell, directory, options.port)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        print("Starting PostgreSQL and Shopbell ...")
        shopbell.start()
        brand = "aurora_" + secrets.token_hex(3)
        person = {"first": "Jane", "last": "Doe",
                  "email": f"jane.{secrets.token_hex(3)}@example.com"}
        shops = set_up(shopbell, esp, brand)
        print(f"A brand: {bold(brand)}, with a Shopify shop, a WooCommerce outlet and an ESP "
              "that subscribed to everything.")
        tell(shopbell, shops, esp, person)
        show(shopbell, esp, person)
        if options.once:
            print("\n" + green("Everything happened as it should."))
            return
        base = f"http://127.0.0.1:{options.port}"
        heading("It keeps serving: Ctrl-C ends it")
        print(f"""  API          {base}/docs
  Your key     {shopbell.key}
  Try          curl -s -H 'Authorization: Bearer {shopbell.key}' {base}/v1/profiles
  Commands     {options.shopbell} status --embedded {directory}
  Data         {directory}   (log: server.log)
  Remove it    rm -r {directory}""")
        while shopbell.process.poll() is None:
            time.sleep(0.5)
        fail(f"the server ended; see {shopbell.log_path}")
    except KeyboardInterrupt:
        print("\nStopping ...")
    finally:
        shopbell.stop()
        if temporary:
            shutil.rmtree(temporary, ignore_errors=True)


if __name__ == "__main__":
    main()
