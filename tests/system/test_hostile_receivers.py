"""Receivers that misbehave, each in its own way. Every one has the outcome that it
must have, nobody behind it is reached, and the honest endpoint beside them is served
as if it were alone.
"""

import datetime
import os
import socket
import ssl
import struct
import threading
import time
import warnings

import pytest
import shopbell
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hostile import Watched
from shopbell import Shopify, make_workspace, shopify_order, wait_for

MIB, GIB = 1024 ** 2, 1024 ** 3
NAMES = {
    "hooks.test": [["127.0.0.2"]],
    "other.test": [["127.0.0.2"]],
    # Public when asked first (the challenge), private the next time, and so on.
    "flip.test": [["127.0.0.2"], ["127.0.0.1"]],
    "both.test": [["127.0.0.1", "127.0.0.2"]],
}
# "Public" is what the server may call here; 127.0.0.1 plays the private network.
PUBLIC, PRIVATE = "127.0.0.2", "127.0.0.1"


# --- certificates --------------------------------------------------------------

class Authority:
    def __init__(self, folder):
        self.folder = str(folder)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
        self.certificate = self.sign("Test authority", self.key, self.name, authority=True)
        self.path = self.write("authority", self.certificate)

    def sign(self, name, key, issuer, authority=False, days=(-1, 30)):
        now = datetime.datetime.utcnow()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
                .public_key(key.public_key()).serial_number(x509.random_serial_number())
                .not_valid_before(now + datetime.timedelta(days=days[0]))
                .not_valid_after(now + datetime.timedelta(days=days[1]))
                .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
                .add_extension(x509.BasicConstraints(authority, None), True)
                .sign(self.key, hashes.SHA256()))

    def write(self, stem, certificate, key=None):
        path = os.path.join(self.folder, stem + ".pem")
        with open(path, "wb") as f:
            f.write(certificate.public_bytes(serialization.Encoding.PEM))
            if key:
                f.write(key.private_bytes(serialization.Encoding.PEM,
                                          serialization.PrivateFormat.PKCS8,
                                          serialization.NoEncryption()))
        return path

    def context(self, name="hooks.test", days=(-1, 30), is_ours=True, most=None, least=None):
        key = ec.generate_private_key(ec.SECP256R1())
        signer = self if is_ours else Authority.__new__(Authority)
        if not is_ours:
            signer.key, signer.name, signer.folder = key, x509.Name(
                [x509.NameAttribute(NameOID.COMMON_NAME, name)]), self.folder
        certificate = signer.sign(name, key, signer.name, days=days)
        path = self.write(f"{name}-{time.monotonic_ns()}", certificate, key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        if most:
            with warnings.catch_warnings():  # Old versions are what is wanted.
                warnings.simplefilter("ignore", DeprecationWarning)
                context.set_ciphers("ALL:@SECLEVEL=0")
                context.minimum_version = ssl.TLSVersion.TLSv1
                context.maximum_version = most
        if least:
            context.minimum_version = least
        return context


# --- the receiver ----------------------------------------------------------------

class Host:
    """A listener that answers the challenge honestly, and then as it is told:
    behave(connection, request, host), on a thread for each connection."""

    def __init__(self, address=PUBLIC, port=0):
        self.listener = socket.create_server((address, port), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.context = None  # of TLS
        self.canary = None  # a port of the private network, to lead somebody to
        self.behave = None
        self.accepted = 0
        self.requests = 0
        self.sent = 0  # bytes that the other side let us send
        self.stopping = threading.Event()
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while not self.stopping.is_set():
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            connection.settimeout(30)
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            while True:
                request = read_request(connection)
                if request is None:
                    return
                self.requests += 1
                if b'"subscription.challenge"' in request:
                    challenge = request.partition(b'"challenge":"')[2].partition(b'"')[0]
                    reply(connection, "200 OK", challenge)
                elif self.behave is None or self.behave(connection, request, self) is False:
                    return
        except (OSError, ValueError):
            pass
        finally:
            connection.close()

    def send(self, connection, data):
        connection.sendall(data)
        self.sent += len(data)

    def close(self):
        self.stopping.set()
        self.listener.close()


def read_request(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk:
            return None
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < length:
        chunk = connection.recv(65536)
        if not chunk:
            return None
        body += chunk
    return head + b"\r\n\r\n" + body


def reply(connection, status, body=b"", headers=()):
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", *headers,
                                              f"content-length: {len(body)}", ""))
    connection.sendall(head.encode("latin-1") + body)


# --- ways to misbehave -----------------------------------------------------------

def says(status, body=b"", *headers):
    """PORT in a header becomes the port of the canary."""
    def behave(connection, request, host):
        reply(connection, status, body, [line.replace("PORT", str(host.canary)) for line in headers])
    return behave


def says_raw(data):
    def behave(connection, request, host):
        host.send(connection, data)
        return False
    return behave


def never_answers(connection, request, host):
    host.stopping.wait(20)
    return False


def never_ends(connection, request, host):
    host.send(connection, OK_HEAD + b"content-length: 100\r\n\r\npart")
    host.stopping.wait(20)
    return False


def drips(head):
    def behave(connection, request, host):
        for byte in head:
            host.send(connection, bytes([byte]))
            if host.stopping.wait(1):
                break
        return False
    return behave


def pours(head, piece, count):
    def behave(connection, request, host):
        host.send(connection, head)
        for _ in range(count):
            host.send(connection, piece)
        return False
    return behave


def resets(head):
    def behave(connection, request, host):
        host.send(connection, head)
        time.sleep(0.1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False
    return behave


def answers_twice(connection, request, host):
    """A second answer nobody asked for; the next message must not take it for its own."""
    connection.sendall(b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n"
                       b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n")


MIB_OF_X = b"x" * MIB
LONG_LINE = b"x-flood: " + b"y" * 1000 + b"\r\n"
OK_HEAD = b"HTTP/1.1 200 OK\r\n"

# name, behaviour, outcome of the first attempt, status, words of the error
HTTP_CASES = [
    ("ok", says("200 OK", b"thanks"), "delivered", 200, ""),
    ("no_content", says("204 No Content"), "delivered", 204, ""),
    ("moved", says("301 Moved", b"", f"Location: http://{PRIVATE}:PORT/steal"), "retry", 301, ""),
    ("found", says("302 Found", b"", f"Location: //{PRIVATE}:PORT/steal"), "retry", 302, ""),
    ("see_other", says("303 See Other", b"", f"Location: http://{PRIVATE}:PORT/"), "retry", 303, ""),
    ("temporarily", says("307 There", b"", f"Location: http://{PRIVATE}:PORT/"), "retry", 307, ""),
    ("permanently", says("308 There", b"", f"Location: http://{PRIVATE}:PORT/"), "retry", 308, ""),
    ("to_a_file", says("302 Found", b"", "Location: file:///etc/passwd"), "retry", 302, ""),
    ("refreshes", says("200 OK", b"", f"Refresh: 0; url=http://{PRIVATE}:PORT/",
                       f'Alt-Svc: h2="{PRIVATE}:PORT"', "Set-Cookie: a=b"), "delivered", 200, ""),
    ("proxied", says("305 Use Proxy", b"", f"Location: http://{PRIVATE}:PORT/"), "retry", 305, ""),
    ("login", says("401 Who", b"", 'WWW-Authenticate: Basic realm="x"'), "retry", 401, ""),
    ("gone", says("410 Gone"), "gone", 410, ""),
    ("slow_down", says("429 Too Many", b"", "Retry-After: 120"), "retry", 429, ""),
    ("endless_wait", says("503 Later", b"", "Retry-After: 99999999999999999999"), "retry", 503, ""),
    ("oops", says("500 Oops", b"<html>stack trace</html>"), "retry", 500, ""),
    ("odd_status", says_raw(b"HTTP/1.1 999 Odd\r\ncontent-length: 0\r\n\r\n"), "retry", 999, ""),
    ("never", never_answers, "retry", 0, "imeout"),
    ("drips_head", drips(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 60), "retry", 0, "imeout"),
    ("drips_body", drips(OK_HEAD + b"content-length: 100\r\n\r\n" + b"y" * 100), "retry", 0, "imeout"),
    ("body_never_ends", never_ends, "delivered", 200, ""),
    ("huge", pours(OK_HEAD + b"content-length: %d\r\n\r\n" % (10 * GIB), MIB_OF_X, 10 * 1024),
     "delivered", 200, ""),
    ("huge_chunked", pours(OK_HEAD + b"transfer-encoding: chunked\r\n\r\n",
                           b"100000\r\n" + MIB_OF_X + b"\r\n", 10 * 1024), "delivered", 200, ""),
    ("huge_chunk", pours(OK_HEAD + b"transfer-encoding: chunked\r\n\r\n7fffffffffffffff\r\n",
                         MIB_OF_X, 10 * 1024), "delivered", 200, ""),
    ("huge_error", pours(b"HTTP/1.1 500 Oops\r\n\r\n", MIB_OF_X, 10 * 1024), "retry", 500, ""),
    ("header_flood", pours(OK_HEAD, LONG_LINE, 1_000_000), "retry", 0, "headers are too long"),
    ("header_line", pours(OK_HEAD + b"x: ", MIB_OF_X, 1024), "retry", 0, ""),
    ("continues", pours(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, 100_000), "retry", 0, ""),
    ("trailers", pours(OK_HEAD + b"transfer-encoding: chunked\r\n\r\n0\r\n", LONG_LINE, 1_000_000),
     "delivered", 200, ""),
    ("bad_chunk", says_raw(OK_HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n"), "delivered", 200, ""),
    ("bomb", says_raw(OK_HEAD + b"content-encoding: gzip\r\ncontent-length: 20\r\n\r\n"
                      + bytes.fromhex("1f8b0800000000000003edc1010d000000") + b"xyz"),
     "delivered", 200, ""),
    ("reset_in_head", resets(b"HTTP/1.1 200 O"), "retry", 0, ""),
    ("reset_in_body", resets(OK_HEAD + b"content-length: 100\r\n\r\npart"), "delivered", 200, ""),
    ("closes", says_raw(b""), "retry", 0, ""),
    ("http_0_9", says_raw(b"thanks for the fish\n"), "retry", 0, ""),
    ("ssh", says_raw(b"SSH-2.0-OpenSSH_9.2\r\n"), "retry", 0, ""),
    ("two_lengths", says_raw(OK_HEAD + b"content-length: 5\r\ncontent-length: 7\r\n\r\nhello"),
     None, None, ""),
    ("bad_length", says_raw(OK_HEAD + b"content-length: -5\r\n\r\nhello"), None, None, ""),
    ("nul_header", says_raw(OK_HEAD + b"x: a\x00b\r\ncontent-length: 0\r\n\r\n"), None, None, ""),
    ("twice", answers_twice, "retry", 500, ""),
    ("upgrades", says_raw(b"HTTP/1.1 101 Switching\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n"),
     "retry", 0, ""),
    ("binary_answer", says("200 OK", bytes(range(256)) * 8), "delivered", 200, ""),
]


def tls_cases(authority):
    """name, context of the listener after the challenge, then as above."""
    return [
        ("tls_1_2", authority.context(most=ssl.TLSVersion.TLSv1_2), "delivered", 204, ""),
        ("tls_1_3", authority.context(least=ssl.TLSVersion.TLSv1_3), "delivered", 204, ""),
        ("tls_1_1", authority.context(most=ssl.TLSVersion.TLSv1_1), "retry", 0, ""),
        ("tls_1_0", authority.context(most=ssl.TLSVersion.TLSv1), "retry", 0, ""),
        ("wrong_name", authority.context("other.test"), "retry", 0, ""),
        ("expired", authority.context(days=(-30, -1)), "retry", 0, ""),
        ("not_yet", authority.context(days=(2, 30)), "retry", 0, ""),
        ("self_signed", authority.context(is_ours=False), "retry", 0, ""),
        ("plain_on_tls", None, "retry", 0, ""),
    ]


# --- the test ---------------------------------------------------------------------

@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def watched(tmp_path_factory, authority):
    made = Watched(tmp_path_factory.mktemp("hostile"), NAMES,
                   SHOPBELL_DELIVER_ALLOW_NETWORKS=f"{PUBLIC}/32",
                   SHOPBELL_DELIVER_CA_FILE=authority.path)
    yield made
    made.close()


def rss_mib(server):
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS")) / 1024


class House:
    """Hosts that are verified, and then turn."""

    def __init__(self, watched, brand):
        self.watched, self.brand = watched, brand
        self.hosts, self.ids = {}, {}
        self.shop = Shopify(brand)

    def subscribe(self, name, host, url, **more):
        made = self.brand.post("/v1/subscriptions", {
            "name": name, "url": url, "topics": ["order.completed"], "timeout": "2s", **more},
            expect=201)
        self.hosts[name], self.ids[name] = host, made["id"]
        answer = self.brand.call("POST", f"/v1/subscriptions/{name}/verify", {})
        assert answer.status == 200, (name, answer.json)

    def order(self, number):
        self.shop.send("orders/create", shopify_order(
            number, number, f"c{number}@example.com",
            at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())))

    def first(self, name):
        """The first attempt: outcome, status, error, wait in seconds, answer."""
        def look():
            return self.watched.cluster.query(
                "SELECT outcome, response_status, error, extract(epoch FROM next_at - at), response"
                " FROM attempt WHERE subscription_id = %s ORDER BY number, at LIMIT 1",
                self.ids[name])
        return wait_for(look, 20, 0.05, f"the first attempt at {name}")[0]

    def check(self, cases):
        wrong = []
        for name, outcome, status, words in cases:
            got = self.first(name)
            as_expected = outcome is None or (got[0] == outcome and got[1] == status
                                              and words in got[2])
            if not as_expected or (got[1] == 0) != (got[2] != ""):
                wrong.append((name, got[:3]))
        assert not wrong, wrong

    def close(self):
        for name, host in self.hosts.items():
            self.brand.call("DELETE", f"/v1/subscriptions/{name}")
            host.close()


@pytest.fixture
def house(watched, request):
    made = House(watched, make_workspace(watched.server, request.node.name[5:45]))
    yield made
    made.close()


@pytest.fixture
def canary():
    """Lives where nobody may be led to."""
    made = Host(PRIVATE)
    yield made
    made.close()


class Honest(Host):
    """Remembers when the message of which order came."""

    def __init__(self):
        super().__init__()
        self.arrived = {}
        self.behave = self.take

    def take(self, connection, request, host):
        number = int(request.partition(b'"email":"c')[2].partition(b"@")[0])
        self.arrived.setdefault(number, time.monotonic())
        reply(connection, "204 No Content")


def told(house, honest, numbers):
    """Seconds from each order to the honest one's hearing of it, ascending."""
    begun = {}
    for number in numbers:
        begun[number] = time.monotonic()
        house.order(number)
        time.sleep(0.05)
    wait_for(lambda: set(numbers) <= set(honest.arrived), 20, 0.01, "the honest one has all")
    return sorted(honest.arrived[number] - begun[number] for number in numbers)


def test_each_has_its_outcome_and_the_honest_one_is_not_hindered(house, watched, canary):
    honest = Honest()
    house.subscribe("honest", honest, f"http://{PUBLIC}:{honest.port}/")
    alone = told(house, honest, range(100, 140))
    before = rss_mib(watched.server)
    for name, behave, *_ in HTTP_CASES:
        host = Host()
        host.behave, host.canary = behave, canary.port
        house.subscribe(name, host, f"http://{PUBLIC}:{host.port}/hook")

    beside = told(house, honest, range(200, 240))
    print(f"p90 alone {alone[35] * 1000:.0f} ms, beside {len(HTTP_CASES)} hostile ones "
          f"{beside[35] * 1000:.0f} ms")
    house.check([(name, *expected) for name, _, *expected in HTTP_CASES])
    assert beside[35] < 1.0 * shopbell.SLOW, "the honest one waited for others"
    assert canary.accepted == 0 and (PRIVATE, canary.port) not in watched.connects()

    for name in ("huge", "huge_chunked", "huge_chunk", "huge_error", "header_flood", "header_line",
                 "continues", "trailers"):
        host = house.hosts[name]
        assert host.sent < 16 * MIB * host.requests, f"{name}: {host.sent // MIB} MiB were taken"
    grown = rss_mib(watched.server) - before
    assert grown < 64 * shopbell.SLOW, f"memory grew by {grown:.0f} MiB"
    assert 119 <= house.first("slow_down")[3] < 160, "Retry-After is honoured"
    assert house.first("endless_wait")[3] < 2 * 86400, "and has its limit"
    shown = house.brand.get("/v1/subscriptions/gone")
    assert shown["status"] == "disabled" and shown["status_reason"] == "gone_410"


def test_an_answer_too_many_is_nobodys(house):
    """Answers left over on a kept connection are not taken for the next message's: a 410
    there would end the subscription."""
    host = Host()
    host.behave = answers_twice
    house.subscribe("twice", host, f"http://{PUBLIC}:{host.port}/hook")
    for number in range(10):
        house.order(number)
    wait_for(lambda: host.requests >= 11, what="all were tried")
    def statuses():
        return [row[0] for row in house.watched.cluster.query(
            "SELECT response_status FROM attempt WHERE subscription_id = %s", house.ids["twice"])]
    wait_for(lambda: len(statuses()) >= 10, what="all are settled")
    assert set(statuses()) == {500}
    assert house.brand.get("/v1/subscriptions/twice")["status"] == "active"


def test_tls_is_checked(house, authority):
    honest = Honest()
    house.subscribe("honest", honest, f"http://{PUBLIC}:{honest.port}/")
    cases = tls_cases(authority)
    for name, *_ in cases:
        host = Host()
        host.context = authority.context()
        host.behave = says("204 No Content")
        house.subscribe(name, host, f"https://hooks.test:{host.port}/hook")
    for name, context, *_ in cases:
        house.hosts[name].context = context
    house.order(1)
    house.check([(name, *expected) for name, _, *expected in cases])
    wait_for(lambda: 1 in honest.arrived, what="the honest one has it")
    for name, _, outcome, *_ in cases:
        heard = house.hosts[name].requests - 1  # the challenge
        assert heard == (1 if outcome == "delivered" else 0), f"{name}: nothing is said before TLS"


def test_names_that_change_their_mind(house, watched, canary):
    """Public when it is verified, private when it is called; both at once; and back."""
    public = Host(PUBLIC, canary.port)
    public.behave = says("204 No Content")
    house.subscribe("flips", public, f"http://flip.test:{canary.port}/hook")
    answer = house.brand.post("/v1/subscriptions/flips/test", {}, expect=200)
    assert answer["delivered"] is False and "not public" in answer["error"], "second lookup: private"
    answer = house.brand.post("/v1/subscriptions/flips/test", {}, expect=200)
    assert answer["delivered"] is True, "third: public"

    both = Host(PUBLIC)
    both.behave = says("204 No Content")
    house.subscribe("both", both, f"http://both.test:{both.port}/hook")
    house.order(1)
    house.check([("flips", "retry", 0, "not public"), ("both", "delivered", 204, "")])
    assert canary.accepted == 0
    assert not [one for one in watched.connects() if one[0] == PRIVATE]
