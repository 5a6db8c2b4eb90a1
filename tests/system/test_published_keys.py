"""Senders that sign with private keys: RSA over the body's base64, a token for a
body, and a key that is published at the shop's own address and fetched there.

openssl plays the sender. The published keys stand on a TLS server of the test's own
on port 443 of the loopback address, under a name that is only there, so the test of
them needs to be root.
"""

import base64
import contextlib
import http.server
import json
import os
import ssl
import subprocess
import threading
import time

import pytest
from shopbell import Server, make_workspace, wait_for


def openssl(*arguments, stdin=None):
    return subprocess.run(["openssl", *arguments], input=stdin, capture_output=True,
                          check=True).stdout


def url64(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Key:
    """An RSA key in a file, as a sender has one."""

    def __init__(self, folder, name):
        self.path = os.path.join(folder, f"{name}.key")
        openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out",
                self.path)

    def public(self):
        return openssl("pkey", "-in", self.path, "-pubout").decode()

    def sign(self, data):
        return openssl("dgst", "-sha256", "-sign", self.path, stdin=data)

    def jwk(self, kid):
        text = openssl("rsa", "-in", self.path, "-noout", "-modulus").decode().strip()
        modulus = bytes.fromhex(text.removeprefix("Modulus="))
        return {"kty": "RSA", "use": "sig", "kid": kid, "n": url64(modulus), "e": "AQAB"}


def create(api, platform, secret=None, **settings):
    api.call("POST", "/v1/sources", {"name": platform, "platform": platform,
                                     "settings": settings}, 201)
    if secret:
        api.call("POST", f"/v1/sources/{platform}/secrets", {"secret": secret}, 201)
    source = api.get(f"/v1/sources/{platform}")
    return source["webhook_url"].split("/", 3)[3]


def post(server, path, body, **headers):
    answer = server.request("POST", f"/{path}", body, {"Content-Type": "application/json",
                                                       **{k.replace("_", "-"): v
                                                          for k, v in headers.items()}})
    return answer.status, json.loads(answer.body)


def lookup(api, email):
    return api.call("POST", "/v1/profiles/lookup", {"kind": "email", "value": email}).json


# --- keys that the sender's page shows -------------------------------------------------


def test_adobe_commerce_waits_for_an_operation(api, tmp_path):
    key = Key(str(tmp_path), "commerce")
    other = Key(str(tmp_path), "other")
    path = create(api, "adobe_commerce", key.public())
    body = json.dumps({"order": {
        "entity_id": "25", "increment_id": "000000025", "state": "processing",
        "grand_total": "59.9000", "order_currency_code": "EUR", "customer_id": "7",
        "customer_email": "veronica@example.com", "created_at": "2026-03-01 10:00:00",
        "updated_at": "2026-03-01 10:00:01",
        "items": [{"product_id": "3", "sku": "24-MB03", "name": "Backpack",
                   "qty_ordered": "1.0000", "price": "59.9000"}]}}).encode()

    def signature(by):
        return base64.b64encode(by.sign(base64.b64encode(body))).decode()
    status, answer = post(api.server, path, body,
                          x_adobe_commerce_webhook_signature=signature(key))
    assert (status, answer) == (200, [{"op": "success"}])
    assert lookup(api, "veronica@example.com")["orders"]["revenue"] == 59.9
    assert post(api.server, path, body,
                x_adobe_commerce_webhook_signature=signature(other))[0] == 401
    assert post(api.server, path, body)[0] == 401


def test_wix_sends_a_token(api, tmp_path):
    key = Key(str(tmp_path), "wix")
    path = create(api, "wix", key.public())

    def token(event, expires=3600, algorithm="RS256"):
        inner = json.dumps(event)
        outer = json.dumps({"eventType": "wix.ecom.v1.order_approved", "instanceId": "i1",
                            "data": inner})
        now = int(time.time())
        head = url64(json.dumps({"alg": algorithm, "typ": "JWT"}).encode())
        claims = url64(json.dumps({"data": outer, "iat": now, "exp": now + expires}).encode())
        signed = f"{head}.{claims}".encode()
        return signed + b"." + url64(key.sign(signed)).encode()
    event = {"id": "e1", "entityFqdn": "wix.ecom.v1.order", "slug": "approved",
             "entityId": "o1", "eventTime": "2026-03-01T10:00:00Z",
             "actionEvent": {"body": {"order": {
                 "number": "10042", "status": "APPROVED", "currency": "EUR",
                 "createdDate": "2026-03-01T10:00:00Z", "updatedDate": "2026-03-01T10:00:01Z",
                 "buyerInfo": {"contactId": "c1", "email": "wix@example.com"},
                 "priceSummary": {"total": {"amount": "49.99"}}, "lineItems": []}}}}
    status, answer = post(api.server, path, token(event))
    assert status == 200 and answer["status"] == "applied", answer
    assert post(api.server, path, token(event))[1]["status"] == "duplicate"
    assert lookup(api, "wix@example.com")["orders"]["revenue"] == 49.99
    assert post(api.server, path, token(event, expires=-3600))[0] == 401, "expired"
    assert post(api.server, path, token(event, algorithm="HS256"))[0] == 401
    assert post(api.server, path, token(event)[:-8] + b"AAAAAAAA")[0] == 401
    thin = {**event, "id": "e2", "entityId": "o2", "actionEvent": {}}
    assert post(api.server, path, token(thin))[1]["status"] == "applied"


def test_adobe_io_asks_whether_somebody_is_there(api):
    path = create(api, "adobe_io_events", client_id="ours")
    answer = api.server.request("GET", f"/{path}?challenge=a%20b-1")
    assert (answer.status, answer.body) == (200, b"a b-1")
    assert answer.getheader("content-type").startswith("text/plain")
    assert api.server.request("GET", f"/{path}").status == 405
    assert post(api.server, path, b"{}")[0] == 401


# --- keys that stand at an address -------------------------------------------------------


class KeyServer:
    """https://shop.localhost: what a shop publishes."""

    def __init__(self, folder):
        self.keys, self.asked = {"keys": []}, 0
        authority, pair = (os.path.join(folder, name) for name in ("ca.pem", "shop.pem"))
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                "/CN=test authority", "-keyout", authority + ".key", "-out", authority)
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=shop.localhost", "-keyout",
                pair + ".key", "-out", pair + ".csr")
        names = os.path.join(folder, "names")
        with open(names, "w", encoding="ascii") as f:
            f.write("subjectAltName=DNS:shop.localhost\n")
        openssl("x509", "-req", "-in", pair + ".csr", "-CA", authority, "-CAkey",
                authority + ".key", "-CAcreateserial", "-days", "2", "-extfile", names, "-out",
                pair)
        self.authority = authority
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked += 1
                found = self.path == "/.well-known/jwks.json"
                data = json.dumps(outer.keys).encode() if found else b""
                self.send_response(200 if found else 404)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 443), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair, pair + ".key")
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def published(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("port 443 is root's")
    try:
        made = KeyServer(str(tmp_path))
    except OSError as error:
        pytest.skip(f"port 443 is taken: {error}")
    yield made
    made.close()


def saleor(by, kid, body, **more):
    head = url64(json.dumps({"alg": "RS256", "b64": False, "crit": ["b64"], "kid": kid,
                             **more}).encode())
    return f"{head}..{url64(by.sign(head.encode() + b'.' + body))}"


def order(number, email):
    return json.dumps({"order": {
        "id": f"T3JkZXI6{number}", "number": str(number), "status": "UNFULFILLED",
        "created": "2026-03-01T10:00:00Z", "updatedAt": "2026-03-01T10:00:01Z",
        "userEmail": email, "total": {"gross": {"amount": 49.9, "currency": "EUR"}},
        "lines": []}}).encode()


def test_a_shops_own_keys_are_fetched_once(cluster, published, tmp_path):
    key, next_key = Key(str(tmp_path), "one"), Key(str(tmp_path), "two")
    home = tmp_path / "server"
    home.mkdir()
    server = Server(cluster, str(home), SHOPBELL_DELIVER_CA_FILE=published.authority)
    server.migrate().start()
    with contextlib.ExitStack() as stack:
        stack.callback(server.stop)
        api = make_workspace(server, "published")
        path = create(api, "saleor", site_url="https://shop.localhost/graphql/")

        def send(by, kid, number, email, **more):
            body = order(number, email)
            return post(server, path, body, Saleor_Event="order_created",
                        Saleor_Signature=saleor(by, kid, body, **more))
        # Nobody publishes it yet: the sender shall come again, and nothing is believed.
        status, answer = send(key, "k1", 1, "saleor@example.com")
        assert status == 401 and published.asked == 1, (status, answer)
        # Known for a minute that there is no such key: an invented one costs no call.
        assert send(key, "k1", 1, "saleor@example.com")[0] == 401 and published.asked == 1

        second = create_again(api, "saleor_b")
        published.keys = {"keys": [key.jwk("k1"), next_key.jwk("k2")]}
        server.stop()
        server.start()
        status, answer = send(key, "k1", 1, "saleor@example.com")
        assert status == 200 and answer["status"] == "applied", answer
        assert send(key, "k1", 1, "saleor@example.com")[1]["status"] == "duplicate"
        assert send(next_key, "k2", 2, "saleor@example.com")[1]["status"] == "applied"
        assert published.asked == 2, "fetched once for all"
        assert send(key, "k2", 3, "x@example.com")[0] == 401, "another key's id"
        assert send(key, "k1", 3, "x@example.com", alg="none")[0] == 401
        assert lookup(api, "saleor@example.com")["orders"]["count"] == 2

        # The address is the source's setting. A source without it asks nobody.
        body = order(9, "y@example.com")
        assert post(server, second, body, Saleor_Event="order_created",
                    Saleor_Api_Url="https://shop.localhost/graphql/",
                    Saleor_Signature=saleor(key, "k1", body))[0] == 401
        assert published.asked == 2
        wait_for(lambda: (api.get("/v1/sources/saleor_b")["health"]["last_failure"] or {})
                 .get("reason") == "no_secret", 10)


def create_again(api, name):
    api.call("POST", "/v1/sources", {"name": name, "platform": "saleor"}, 201)
    return api.get(f"/v1/sources/{name}")["webhook_url"].split("/", 3)[3]


def test_a_key_that_cannot_be_fetched_is_no_refusal(cluster, tmp_path):
    """503: the sender comes again when its own key server answers."""
    key = Key(str(tmp_path), "one")
    home = tmp_path / "server"
    home.mkdir()
    server = Server(cluster, str(home))
    server.migrate().start()
    with contextlib.ExitStack() as stack:
        stack.callback(server.stop)
        api = make_workspace(server, "unreachable")
        path = create(api, "saleor", site_url="https://nobody.localhost/")
        body = order(1, "z@example.com")
        answer = server.request("POST", f"/{path}", body, {
            "Content-Type": "application/json", "Saleor-Event": "order_created",
            "Saleor-Signature": saleor(key, "k1", body)})
        assert answer.status == 503 and answer.getheader("retry-after")
        wait_for(lambda: (api.get("/v1/sources/saleor")["health"]["last_failure"] or {})
                 .get("reason") == "key_unavailable", 10)
