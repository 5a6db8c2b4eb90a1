"""deploy/: what a newcomer runs and what an operator copies, run for real.

nginx gets deploy/nginx.conf itself, with nothing changed but the places: paths
and port. Behind it is a server on a Unix socket that trusts its proxy, as
deploy/install sets it up.
"""

import configparser
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading

import pytest

import shopbell
from shopbell import wait_for

DEPLOY = os.path.join(shopbell.ROOT, "deploy")
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


def send(port, request, seconds=30):
    """Bytes over TLS; (status, head, body) back."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as plain:
        with context.wrap_socket(plain, server_hostname="bell.example.com") as s:
            s.sendall(request)
            data = b""
            while b"\r\n\r\n" not in data:
                chunk = s.recv(65536)
                assert chunk, f"the connection ended after {data!r}"
                data += chunk
            head, _, body = data.partition(b"\r\n\r\n")
            length = int(re.search(rb"(?i)\r\ncontent-length: *(\d+)", head).group(1))
            while len(body) < length:
                chunk = s.recv(65536)
                assert chunk, "the body is cut off"
                body += chunk
    return int(head.split()[1]), head, body


class UnixServer(shopbell.Server):
    """`shopbell serve` on a Unix socket, asked through it by the helpers too."""

    def request(self, method, path, body=None, headers=None, port=None, timeout=30):
        body = body.encode() if isinstance(body, str) else body or b""
        head = f"{method} {path} HTTP/1.1\r\nHost: bell.example.com\r\nConnection: close\r\n"
        for name, value in {**(headers or {}), "Content-Length": len(body)}.items():
            head += f"{name}: {value}\r\n"
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(timeout)
            s.connect(self.socket_path)
            s.sendall(head.encode() + b"\r\n" + body)
            data = b""
            while chunk := s.recv(65536):
                data += chunk
        response = type("Response", (), {})()
        head, _, response.body = data.partition(b"\r\n\r\n")
        response.status = int(head.split()[1])
        return response


class Nginx:
    def __init__(self, home, socket_path):
        self.port = shopbell.free_port()
        self.log_path = os.path.join(home, "access.log")
        with open(os.path.join(DEPLOY, "nginx.conf"), encoding="utf-8") as f:
            site = f.read()
        for place, here in {"listen 443 ssl http2": f"listen 127.0.0.1:{self.port} ssl http2",
                            "/etc/ssl/shopbell/": home + "/",
                            "/var/log/nginx/shopbell.log": self.log_path,
                            "/run/shopbell/http.sock": socket_path}.items():
            assert site.count(place) >= 1, f"deploy/nginx.conf has no {place}"
            site = site.replace(place, here)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", "/CN=bell.example.com", "-keyout", home + "/privkey.pem",
                        "-out", home + "/fullchain.pem"], check=True, capture_output=True)
        temporary = "\n".join(f"{kind}_temp_path {home}/{kind};" for kind in
                              ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        user = "user root;" if os.geteuid() == 0 else ""
        self.config = os.path.join(home, "nginx.conf")
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(f"{user} daemon off; master_process off; pid {home}/nginx.pid;\n"
                    f"error_log {home}/error.log info;\nevents {{}}\n"
                    f"http {{\n{temporary}\n{site}\n}}\n")
        self.home = home

    def start(self):
        self.process = subprocess.Popen([NGINX, "-p", self.home, "-c", self.config],
                                        stdin=subprocess.DEVNULL)
        wait_for(self.is_up, 15, 0.05, "nginx listens")
        return self

    def is_up(self):
        assert self.process.poll() is None, "nginx ended"
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)


@pytest.fixture(scope="module")
def behind(cluster, tmp_path_factory):
    """(server on a Unix socket, nginx before it)."""
    if not NGINX:
        pytest.skip("nginx is not installed")
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    home = str(tmp_path_factory.mktemp("nginx"))
    socket_path = os.path.join(home, "http.sock")
    server = UnixServer(cluster, home, SHOPBELL_SERVER_LISTEN="unix:" + socket_path,
                        SHOPBELL_SERVER_TRUSTED_PROXIES="unix",
                        SHOPBELL_SERVER_PUBLIC_URL="https://bell.example.com")
    server.socket_path = socket_path
    server.migrate().start()
    nginx = Nginx(home, socket_path)
    try:
        yield server, nginx.start()
    finally:
        nginx.stop()
        server.stop()


@pytest.fixture(scope="module")
def brand(behind):
    return shopbell.make_workspace(behind[0], "behind_nginx")


@pytest.fixture(scope="module")
def shop(brand):
    return shopbell.Shopify(brand)


def request_of(path, headers, body, version="1.1"):
    head = f"POST {path} HTTP/{version}\r\nHost: bell.example.com\r\n"
    for name, value in {**headers, "Content-Length": len(body)}.items():
        head += f"{name}: {value}\r\n"
    return head.encode() + b"\r\n" + body


def test_3_mb_order_comes_through(behind, brand, shop):
    _, nginx = behind
    order = shopbell.shopify_order(771, 771, "large@example.com")
    order["note_attributes"] = [{"name": f"n{i}", "value": "x" * 1000} for i in range(3000)]
    body = json.dumps(order).encode()
    assert len(body) > 3_000_000
    status, _, answer = send(nginx.port, request_of(
        shop.path, shop.headers("orders/create", body), body))
    assert status == 200 and json.loads(answer)["status"] == "applied", answer
    profile = brand.post("/v1/profiles/lookup",
                         {"kind": "email", "value": "large@example.com"}, 200)
    assert profile["orders"]["count"] == 1


def test_the_limit_of_nginx_is_that_of_the_server(behind, shop):
    _, nginx = behind
    limit = 5 * 1024 * 1024
    order = shopbell.shopify_order(773, 773, "limit@example.com", note="")
    order["note"] = "x" * (limit - len(json.dumps(order)))
    body = json.dumps(order).encode()
    assert len(body) == limit
    status, _, answer = send(nginx.port, request_of(
        shop.path, shop.headers("orders/create", body), body))
    assert status == 200 and json.loads(answer)["status"] == "applied", answer[:500]
    head = (f"POST {shop.path} HTTP/1.1\r\nHost: bell.example.com\r\n"
            f"Content-Length: {limit + 1}\r\n\r\n").encode()
    assert send(nginx.port, head)[0] == 413


@pytest.mark.parametrize("size, key, expected", [
    (2_000_000, "good", (413, "/problems/body-too-large")),
    (300_000, "wrong", (401, "/problems/key-invalid")),
    (300_000, None, (401, "/problems/key-missing"))])
def test_a_refusal_at_the_head_comes_through(behind, brand, size, key, expected):
    """Closed with the body unread, the server's socket is reset under nginx: 502."""
    _, nginx = behind
    keys = {"good": brand.key, "wrong": brand.key[:-4] + "AAAA"}
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = "Bearer " + keys[key]
    body = b'{"name": "' + b"x" * (size - 12) + b'"}'
    for _ in range(10):
        status, head, answer = send(nginx.port, request_of("/v1/subscriptions", headers, body))
        assert (status, json.loads(answer)["type"]) == expected, answer[:500]
        assert b"content-type: application/problem+json" in head.lower()


def test_http_1_0_client_and_its_duplicate(behind, brand):
    _, nginx = behind
    woo = shopbell.WooCommerce(brand)
    request = woo.raw("customer.created", {
        "id": 5, "email": "one.zero@example.com", "first_name": "O", "last_name": "Z",
        "date_created_gmt": "2026-11-01T10:00:00", "date_modified_gmt": "2026-11-01T10:00:00",
        "billing": {"email": "one.zero@example.com"}})
    assert b" HTTP/1.0\r\n" in request
    status, _, answer = send(nginx.port, request)
    assert status == 200 and json.loads(answer)["status"] == "applied", answer
    status, _, answer = send(nginx.port, request)
    assert status == 200 and json.loads(answer)["status"] == "duplicate", answer


def test_request_id_leads_from_the_log_of_nginx_to_that_of_the_server(behind, shop):
    server, nginx = behind
    body = json.dumps(shopbell.shopify_order(772, 772, "id@example.com")).encode()
    headers = {**shop.headers("orders/create", body), "X-Request-Id": "chosen-by-a-stranger"}
    status, head, _ = send(nginx.port, request_of(shop.path, headers, body))
    assert status == 200
    request_id = re.search(rb"(?i)\r\nx-request-id: *(\S+)", head).group(1).decode()
    wait_for(lambda: request_id in server.log(), 5, 0.05, "the server logs it")

    wait_for(lambda: request_id.replace("-", "") in nginx_log(nginx), 5, 0.05,
             "nginx logs it, without dashes")
    assert "chosen-by-a-stranger" not in server.log()


def test_no_key_or_token_of_a_path_stands_in_the_log_of_nginx(behind):
    server, nginx = behind
    for path in ("/v1/projects/sbw_0123456789abcdefghijABCD/settings",
                 "/v1/projects/sbw_0123456789abcdefghijABCD/misspelt",
                 "/v1/hooks/0199d2a4-6c11-7e0b-8f0e-3a2b1c0d9e8f/0123456789abcdefghijABCD"):
        send(nginx.port, f"GET {path} HTTP/1.1\r\nHost: bell.example.com\r\nConnection: close\r\n\r\n"
             .encode())
    wait_for(lambda: nginx_log(nginx).count("\n") >= 3 and "/v1/hooks/0199d2a4" in nginx_log(nginx), 5,
             0.05, "nginx logs them")
    assert "0123456789abcdef" not in nginx_log(nginx) + server.log()


def nginx_log(nginx):
    with open(nginx.log_path, encoding="utf-8") as f:
        return f.read()


def test_what_nginx_hands_on_is_its_own_word():
    """A sender cannot choose its address, its request id or its scheme."""
    if not NGINX or not shutil.which("openssl"):
        pytest.skip("nginx or openssl is not installed")
    with tempfile.TemporaryDirectory(prefix="sbt-") as home, socket.socket(socket.AF_UNIX) as back:
        back.bind(home + "/http.sock")
        back.listen()
        back.settimeout(20)
        nginx = Nginx(home, home + "/http.sock").start()
        try:
            seen = []

            def answer():
                with back.accept()[0] as connection:
                    seen.append(connection.recv(65536))
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

            thread = threading.Thread(target=answer)
            thread.start()
            spoofed = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "gopher",
                       "X-Request-Id": "chosen-by-a-stranger"}
            assert send(nginx.port, request_of("/v1/hooks/x", spoofed, b"{}", "1.0"))[0] == 200
            thread.join(20)
        finally:
            nginx.stop()
    head = seen[0].decode().split("\r\n\r\n")[0].split("\r\n")
    assert head[0] == "POST /v1/hooks/x HTTP/1.1"
    headers = [line.lower().split(": ", 1) for line in head[1:]]
    values = {name: [v for n, v in headers if n == name] for name, _ in headers}
    assert values["x-forwarded-for"] == ["127.0.0.1"]
    assert values["x-forwarded-proto"] == ["https"]
    assert values["host"] == ["bell.example.com"]
    assert values["content-length"] == ["2"]
    assert "connection" not in values
    (request_id,) = values["x-request-id"]
    assert re.fullmatch("[0-9a-f]{32}", request_id)


def test_metrics_is_not_for_the_internet(behind):
    server, nginx = behind
    status, _, _ = send(nginx.port, b"GET /metrics HTTP/1.1\r\nHost: bell.example.com\r\n\r\n")
    assert status == 404
    inside = shopbell.Server.request(server, "GET", "/metrics", port=server.admin_port)
    assert inside.status == 200 and b"shopbell_" in inside.body
    status, _, _ = send(nginx.port, b"GET /docs HTTP/1.1\r\nHost: bell.example.com\r\n\r\n")
    assert status == 200


@pytest.mark.parametrize("arguments", [
    ["--port", "abc"], ["--port", "0"], ["--port", "65536"], ["--port"], ["--frobnicate"]])
def test_quickstart_refuses_nonsense_before_it_does_anything(arguments):
    done = subprocess.run([os.path.join(DEPLOY, "quickstart"), *arguments], capture_output=True,
                          text=True, timeout=20)
    assert done.returncode == 2
    assert done.stderr.startswith("quickstart: ") and "--help" in done.stderr
    assert done.stdout == ""


def demo_command(*arguments):
    return ["/usr/bin/python3", "-u", os.path.join(DEPLOY, "demo.py"), "--shopbell",
            shopbell.binary(), *arguments]


def demo(*arguments):
    return subprocess.run(demo_command(*arguments), capture_output=True, text=True, timeout=120)


@pytest.fixture
def demo_home():
    with tempfile.TemporaryDirectory(prefix="sbt-") as home:
        os.chmod(home, 0o755)  # PostgreSQL enters as its own user when this is root.
        yield os.path.join(home, "demo")


def test_quickstart_tells_its_story_and_goes_on_with_it(demo_home):
    place = ["--dir", demo_home, "--port", str(shopbell.free_port())]
    done = demo("--once", *place)
    assert done.returncode == 0, done.stdout + done.stderr
    for wanted in ("is made", "200 applied", "200 duplicate", "401 refused", "profile.merged",
                   "active -> lapsed", "new -> active", "The timeline",
                   "Everything happened as it should."):
        assert wanted in done.stdout, done.stdout
    process = subprocess.Popen(demo_command(*place), stdout=subprocess.PIPE, text=True)
    said = ""
    for line in process.stdout:
        said += line
        if "Remove it all" in line:
            break
    process.terminate()
    assert process.wait(60) == 0, said
    process.stdout.close()
    assert "is there already" in said and "It keeps serving" in said
    assert not os.path.exists(os.path.join(demo_home, "pgdata", "postmaster.pid")), "all ended"


def test_quickstart_names_a_port_that_is_taken():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = demo("--once", "--port", str(port))
    assert done.returncode == 1 and f"port {port}" in done.stderr and "--port" in done.stderr


def test_install_says_what_it_would_do_and_does_nothing(tmp_path):
    if os.path.exists("/etc/shopbell/shopbell.ini"):
        pytest.skip("Shopbell is installed here")
    install = os.path.join(DEPLOY, "install")
    done = subprocess.run([install, "--dry-run", "--public-url", "https://bell.example.com"],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for wanted in ("config init /etc/shopbell", "createdb", "migrate", "doctor"):
        assert wanted in done.stdout, done.stdout
    assert not os.path.exists("/etc/shopbell")
    assert subprocess.run([install, "--dry-run"], capture_output=True).returncode == 2
    assert subprocess.run([install, "--dry-run", "--public-url", "bell.example.com"],
                          capture_output=True).returncode == 2


def unit(name):
    parsed = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parsed.optionxform = str
    assert parsed.read(os.path.join(DEPLOY, name), encoding="utf-8")
    return parsed


def test_units_nginx_and_install_name_the_same_places():
    with open(os.path.join(DEPLOY, "install"), encoding="utf-8") as f:
        install = f.read()
    with open(os.path.join(DEPLOY, "nginx.conf"), encoding="utf-8") as f:
        site = f.read()
    socket_path = unit("shopbell.socket")["Socket"]["ListenStream"]
    assert f"proxy_pass http://unix:{socket_path};" in site
    assert f"--listen unix:{socket_path} " in install
    service = unit("shopbell.service")
    assert service["Service"]["LoadCredential"] == "master.key:/etc/shopbell/master.key"
    assert "etc=/etc/shopbell\n" in install and "ini=$etc/shopbell.ini\n" in install
    assert service["Service"]["ExecStart"].endswith(" serve --config /etc/shopbell/shopbell.ini")


def test_systemd_neither_gives_up_nor_drops_lines():
    """At its limit of starts systemd fails the socket as well, for good: seven
    seconds without PostgreSQL were enough. A line per request reaches the
    journal's default limit at some hundred requests a second."""
    service = unit("shopbell.service")
    assert service["Unit"]["StartLimitIntervalSec"] == "0"
    assert service["Service"]["Restart"] == "on-failure"
    assert service["Service"]["LogRateLimitIntervalSec"] == "0"


def test_install_says_how_to_take_all_of_it_away():
    done = subprocess.run([os.path.join(DEPLOY, "install"), "--help"], capture_output=True,
                          text=True, timeout=20)
    away = done.stdout.partition("To take it all away again")[2]
    for made in ("/etc/systemd/system/shopbell.socket", "/etc/systemd/system/shopbell.service",
                 "/etc/shopbell", "/run/shopbell", "/usr/local/bin/shopbell",
                 "/var/cache/shopbell-build", "dropdb shopbell", "dropuser shopbell",
                 "userdel shopbell"):
        assert made in away.split("Exit codes")[0], made
