"""What system and fault tests are made of: a cluster, a server, a shop, an ESP.

Real processes on real sockets; nothing here knows the server's insides. Every
helper starts what it needs, stops only what it started, and leaves nothing.
"""

import base64
import hashlib
import hmac
import http.client
import http.server
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import uuid

import postgres
import psycopg2
import psycopg2.extras

psycopg2.extras.register_uuid()

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SHARED = os.environ.get("SHOPBELL_SHARED", os.path.join(os.path.dirname(ROOT), "shared"))
# Sanitizers and busy machines take their time: SHOPBELL_SLOW=4 stretches every
# limit and removes none.
SLOW = float(os.environ.get("SHOPBELL_SLOW", "1"))
LAST_LINES = 40  # of the log of a server that died


def binary():
    path = os.environ.get("SHOPBELL_BIN")
    if not path:
        raise RuntimeError("SHOPBELL_BIN names no shopbell binary; tests/run sets it")
    return path


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(condition, seconds=10.0, every=0.02, what="condition"):
    """Polls until condition() is truthy and returns its value."""
    seconds *= SLOW
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(every)


def preloaded(name):
    """Environment of a server with tests/support/NAME.c before its libraries."""
    # The sanitizer's wants to be the first; it is the first but one.
    asan = ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0"]))
    library = os.path.join(os.environ["SHOPBELL_BUILD"], "tests/support", name + ".so")
    return {"LD_PRELOAD": library, "ASAN_OPTIONS": asan}


class Cluster(postgres.Cluster):
    """A PostgreSQL of its own, which is asked in SQL."""

    def __init__(self, settings=None):
        self.kept = threading.local()
        super().__init__(settings)

    def stop(self, how="fast"):
        self.kept = threading.local()
        super().stop(how)

    def connect(self):
        connection = psycopg2.connect(self.url)
        connection.autocommit = True
        return connection

    def query(self, sql, *parameters):
        """On a connection that each thread keeps: what polls would fork a backend a time."""
        connection = getattr(self.kept, "connection", None)
        if connection is None or connection.closed:
            connection = self.kept.connection = self.connect()
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return cursor.fetchall() if cursor.description else None


class Server:
    """`shopbell serve` as a process, on a port of its own."""

    def __init__(self, cluster, home, **environment):
        self.cluster = cluster
        self.home = home
        self.port = free_port()
        self.admin_port = free_port()
        self.key_file = os.path.join(home, "master.key")
        if not os.path.exists(self.key_file):
            with open(self.key_file, "w") as f:
                f.write("5a" * 32 + "\n")
            os.chmod(self.key_file, 0o600)
        self.environment = {
            **os.environ,
            "SHOPBELL_DATABASE_URL": cluster.url,
            "SHOPBELL_SECRETS_MASTER_KEY_FILE": self.key_file,
            "SHOPBELL_SERVER_PUBLIC_URL": f"http://127.0.0.1:{self.port}",
            "SHOPBELL_SERVER_LISTEN": f"127.0.0.1:{self.port}",
            "SHOPBELL_SERVER_ADMIN_LISTEN": f"127.0.0.1:{self.admin_port}",
            "SHOPBELL_DELIVER_ALLOW_HTTP": "yes",
            "SHOPBELL_DELIVER_ALLOW_NETWORKS": "127.0.0.0/8",
            # Imports of years ago stay on the timeline, however long the session.
            "SHOPBELL_RETENTION_INTERACTION": "0",
            **environment}
        self.process = None  # while it is to run
        # tests/run keeps the logs where pytest, which forgets, does not.
        self.log_path = os.path.join(os.environ.get("SHOPBELL_LOGS", home),
                                     f"{os.path.basename(home)}-{self.port}.log")

    def command(self, *arguments, check=True, stdin=None):
        done = subprocess.run([binary(), *arguments], env=self.environment, input=stdin,
                              capture_output=True, text=True, timeout=60 * SLOW)
        if check and done.returncode != 0:
            raise AssertionError(f"shopbell {' '.join(arguments)}: exit {done.returncode}\n"
                                 f"{done.stdout}{done.stderr}")
        return done

    def migrate(self):
        self.command("migrate")
        return self

    def start(self, *options, ready=True):
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen([binary(), "serve", *options], env=self.environment,
                                        stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        if ready:
            wait_for(self.is_ready, 30, 0.02, f"the server is ready; see {self.log_path}")
        return self

    def is_ready(self):
        self.must_live()
        try:
            return self.request("GET", "/readyz").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def log(self):
        if not os.path.exists(self.log_path):
            return ""
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def must_live(self):
        """Fails if it ended and nobody here had ended it."""
        code = self.process.poll() if self.process else None
        if code is None:
            return
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        last = "\n".join(self.log().splitlines()[-LAST_LINES:])
        raise AssertionError(f"the server ended by itself, {how}; the end of {self.log_path}:\n{last}")

    def stop(self, seconds=30):
        self.must_live()
        code = None
        if self.process:
            self.process.terminate()
            code = self.process.wait(seconds * SLOW)
            self.process = None
        # UBSan knows no log file, and what it says at exit no test would see.
        assert ": runtime error: " not in self.log(), self.log()
        return code

    def kill(self):
        self.must_live()
        if self.process:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def request(self, method, path, body=None, headers=None, port=None, timeout=30):
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            response.body = response.read()
            return response
        finally:
            connection.close()

    def instance_key(self):
        """The first key cannot come from REST."""
        done = self.command("key", "create", "ops", "--instance", "--json")
        return json.loads(done.stdout)["key"]


class Api:
    """REST as a client sees it: JSON in, JSON out, a key."""

    def __init__(self, server, key):
        self.server = server
        self.key = key

    def call(self, method, path, body=None, expect=None, headers=None):
        all_headers = {"Authorization": f"Bearer {self.key}", **(headers or {})}
        data = None
        if body is not None:
            data = body if isinstance(body, (bytes, str)) else json.dumps(body)
            all_headers.setdefault("Content-Type", "application/json")
        response = self.server.request(method, path, data, all_headers)
        if expect is not None:
            assert response.status == expect, (method, path, response.status, response.body[:2000])
        response.json = json.loads(response.body) if response.body[:1] in (b"{", b"[") else None
        return response

    def get(self, path, expect=200):
        return self.call("GET", path, expect=expect).json

    def post(self, path, body=None, expect=None, **more):
        return self.call("POST", path, body if body is not None else {}, expect, **more).json


ALL_SCOPES = ["ingest", "read", "pii", "configure", "subscribe", "admin"]


def make_workspace(server, name="aurora", currency="EUR", time_zone="Europe/Paris"):
    """A workspace and a key that may do everything in it."""
    server.command("workspace", "create", name, "--currency", currency, "--time-zone", time_zone)
    scopes = [word for scope in ALL_SCOPES for word in ("--scope", scope)]
    done = server.command("key", "create", "all", "--workspace", name, *scopes, "--json")
    api = Api(server, json.loads(done.stdout)["key"])
    api.workspace = name
    wait_for(lambda: api.call("GET", "/v1/sources").status == 200, 5, 0.05, "the key is known")
    return api


class Shopify:
    """A Shopify shop: signs as Shopify signs."""

    SECRET = "hush-shopify-client-secret"

    def __init__(self, api, name="shopify_main", secret=SECRET, **settings):
        self.server = api.server
        self.secret = secret
        self.source = api.post("/v1/sources", {"name": name, "platform": "shopify",
                                               "settings": settings}, expect=201)
        api.post(f"/v1/sources/{name}/secrets", {"secret": secret, "label": "app"}, expect=201)
        self.path = "/v1/hooks/" + self.source["id"]

    def headers(self, topic, body, webhook_id=None, secret=None):
        digest = hmac.new((secret or self.secret).encode(), body, hashlib.sha256).digest()
        return {"Content-Type": "application/json", "X-Shopify-Topic": topic,
                "X-Shopify-Hmac-Sha256": base64.b64encode(digest).decode(),
                "X-Shopify-Shop-Domain": "aurora.myshopify.com",
                "X-Shopify-Webhook-Id": webhook_id or str(uuid.uuid4()),
                "X-Shopify-Event-Id": str(uuid.uuid4()),
                "X-Shopify-API-Version": "2026-10",
                "X-Shopify-Triggered-At": "2026-11-22T10:00:00.000000000Z"}

    def send(self, topic, payload, webhook_id=None, secret=None, server=None, **more):
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return (server or self.server).request(
            "POST", self.path, body, self.headers(topic, body, webhook_id, secret), **more)


class WooCommerce:
    """A WooCommerce shop: HTTP/1.0, base64 HMAC, never repeats."""

    def __init__(self, api, name="woo_outlet", **settings):
        self.server = api.server
        self.source = api.post("/v1/sources", {"name": name, "platform": "woocommerce",
                                               "settings": settings}, expect=201)
        self.secret = self.source["secrets"][0]["secret"]
        self.path = "/v1/hooks/" + self.source["id"]

    def raw(self, topic, payload, webhook_id="7"):
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        digest = hmac.new(self.secret.encode(), body, hashlib.sha256).digest()
        resource, event = topic.split(".")
        head = (f"POST {self.path} HTTP/1.0\r\nHost: 127.0.0.1:{self.server.port}\r\n"
                "User-Agent: WooCommerce/9.4 Hookshot (WordPress/6.7)\r\n"
                "Content-Type: application/json\r\n"
                "X-WC-Webhook-Source: https://outlet.aurora.example/\r\n"
                f"X-WC-Webhook-Topic: {topic}\r\nX-WC-Webhook-Resource: {resource}\r\n"
                f"X-WC-Webhook-Event: {event}\r\n"
                f"X-WC-Webhook-Signature: {base64.b64encode(digest).decode()}\r\n"
                f"X-WC-Webhook-ID: {webhook_id}\r\nX-WC-Webhook-Delivery-ID: {uuid.uuid4().hex}\r\n"
                f"Content-Length: {len(body)}\r\n\r\n")
        return head.encode() + body

    def send(self, topic, payload, **more):
        status, _, body = raw_exchange(self.server.port, self.raw(topic, payload, **more))
        return status, json.loads(body) if body[:1] == b"{" else body


def raw_exchange(port, request, seconds=20, shutdown=False):
    """Bytes out; (status, headers as bytes, body) of the first answer back.
    Status None: the connection ended without one."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as s:
        s.sendall(request)
        if shutdown:
            s.shutdown(socket.SHUT_WR)
        data = b""
        while b"\r\n\r\n" not in data:
            chunk = s.recv(65536)
            if not chunk:
                return None, b"", data
            data += chunk
        head, _, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        wanted = int(length.group(1)) if length else None
        while wanted is None or len(body) < wanted:
            chunk = s.recv(65536)
            if not chunk:
                break
            body += chunk
        return int(head.split()[1]), head, body


def verify_standard_webhook(secret, headers, body, tolerance=300):
    """The Standard Webhooks check, as a receiver writes it."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    given = [s.partition(",")[2] for s in headers["webhook-signature"].split()
             if s.startswith("v1,")]
    return (any(hmac.compare_digest(expected, g) for g in given)
            and abs(time.time() - int(headers["webhook-timestamp"])) <= tolerance)


class Answers(http.server.ThreadingHTTPServer):
    """HTTP on a port of its own: `take`, a function of (method, path, headers by names in
    lower case, body), makes (status, headers, body) of each request."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, take):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {k.lower(): v for k, v in self.headers.items()}
                status, more, text = take(self.command, self.path, headers, body)
                self.send_response(status)
                for name, value in more.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()


class Receiver:
    """An ESP: verifies, remembers, answers as told. `answer` may be set to a
    function of (headers, body) -> (status, headers, body)."""

    def __init__(self):
        self.messages = []  # (headers as dict, body bytes, parsed, monotonic time)
        self.challenges = 0
        self.secret = None
        self.bad_signatures = 0
        self.answer = None
        self.lock = threading.Lock()
        self.http = Answers(lambda _method, _path, headers, body: self.take(headers, body))
        self.url = f"http://127.0.0.1:{self.http.port}/shopbell"

    def take(self, headers, body):
        parsed = json.loads(body)
        if parsed.get("type") == "subscription.challenge":
            self.challenges += 1
            return 200, {}, parsed["data"]["challenge"].encode()
        with self.lock:
            if self.secret and not verify_standard_webhook(self.secret, headers, body):
                self.bad_signatures += 1
            self.messages.append((headers, body, parsed, time.monotonic()))
        if self.answer:
            return self.answer(headers, body)
        return 200, {}, b""

    def of_type(self, kind):
        with self.lock:
            return [m[2] for m in self.messages if m[2].get("type") == kind]

    def wait_types(self, kinds, seconds=10):
        wait_for(lambda: all(self.of_type(k) for k in kinds), seconds, 0.01,
                 f"{kinds} arrived; have {[m[2].get('type') for m in self.messages]}")

    def subscribe(self, api, topics, name="mailhouse", **more):
        made = api.post("/v1/subscriptions", {"name": name, "url": self.url, "topics": topics,
                                              **more}, expect=201)
        self.secret = made.get("secret")  # none where v1a alone signs
        api.post(f"/v1/subscriptions/{name}/verify", expect=200)
        wait_for(lambda: api.get(f"/v1/subscriptions/{name}")["status"] == "active", 5)
        return made

    def close(self):
        self.http.close()


def shopify_order(order_id, customer_id=None, email=None, total="124.90", status="paid",
                  currency="EUR", at=None, updated=None, **more):
    """The members of a Shopify order that matter to anyone; placed a minute ago,
    since nobody is rung for what is older than a day."""
    at = at or time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 60))
    customer = None
    if customer_id:
        customer = {"id": customer_id, "email": email, "first_name": "Jane", "last_name": "Doe",
                    "created_at": at, "updated_at": at, "phone": None, "tags": ""}
    return {"id": order_id, "admin_graphql_api_id": f"gid://shopify/Order/{order_id}",
            "name": f"#{order_id % 100000}", "order_number": order_id % 100000, "email": email or "",
            "contact_email": email, "phone": None, "created_at": at, "processed_at": at,
            "updated_at": updated or at, "cancelled_at": None, "closed_at": None,
            "currency": currency, "total_price": total, "subtotal_price": total,
            "total_tax": "0.00", "total_discounts": "0.00", "financial_status": status,
            "fulfillment_status": None, "cart_token": None, "checkout_token": None,
            "source_name": "web", "customer": customer, "refunds": [], "fulfillments": [],
            "note_attributes": [], "discount_codes": [],
            "line_items": [{"id": order_id % 10**15 * 10 + 1, "product_id": 8213868347001,
                            "variant_id": 44901482850001, "title": "Trail runner",
                            "name": "Trail runner - 42", "sku": "TR-42", "vendor": "Aurora",
                            "quantity": 1, "price": total, "properties": []}], **more}
