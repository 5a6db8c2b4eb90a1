"""The HTTP edge under everything a client may do: precise refusal, nothing
written, server alive, well-behaved clients unaffected."""

import json
import os
import socket
import threading
import time

import pytest
import shopbell
import yaml
from shopbell import raw_exchange, shopify_order


def status_of(server, request, **more):
    return raw_exchange(server.port, request, **more)[0]


def head(path, *lines):
    return ("POST %s HTTP/1.1\r\nHost: x\r\n" % path + "".join(x + "\r\n" for x in lines)
            + "\r\n").encode()


def test_ambiguous_framing_is_refused_and_closed(server, shopify):
    path = shopify.path
    refused = [
        head(path, "Content-Length: 3", "Transfer-Encoding: chunked") + b"abc",
        head(path, "Content-Length: 3", "Content-Length: 4") + b"abcd",
        head(path, "Content-Length : 31") + b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
        head(path, "Transfer-Encoding: gzip, chunked"),
        head(path, "Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
        head(path, "Content-Length: +3") + b"abc",
        head(path, "Content-Length:", " 3") + b"abc",
        b"POST " + path.encode() + b" HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 0\r\n\r\n",
        b"POST " + path.encode() + b" HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
        b"POST " + path.encode() + b" HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /v1/%00secret HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://other.example/v1/topics HTTP/1.1\r\nHost: x\r\n\r\n",
    ]
    for request in refused:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as s:
            s.sendall(request)
            data = b""
            try:
                while chunk := s.recv(65536):
                    data += chunk
            except ConnectionResetError:
                pass
        assert data.startswith(b"HTTP/1.1 4") or data.startswith(b"HTTP/1.1 501"), (request, data)
        assert b"200 OK" not in data and b"404" not in data.split(b"\r\n\r\n")[-1][:12], request
    assert shopify.send("orders/create", shopify_order(1, 1, "ok@example.com")).status == 200


def test_six_mebibytes_are_refused_before_they_are_read(server, shopify):
    status, headers, body = raw_exchange(
        server.port, head(shopify.path, "Content-Length: %d" % (6 << 20)))
    assert status == 413 and b"body-too-large" in body
    chunks = b"".join(b"10000\r\n" + b"x" * 65536 + b"\r\n" for _ in range(96)) + b"0\r\n\r\n"
    try:
        status = status_of(server, head(shopify.path, "Transfer-Encoding: chunked") + chunks)
    except (ConnectionResetError, BrokenPipeError):
        status = 413
    assert status == 413


def test_five_mebibytes_are_taken(api, shopify):
    order = shopify_order(2, 2, "big@example.com")
    order["note"] = "x" * (4 << 20)
    assert shopify.send("orders/create", order).status == 200


def test_short_body_writes_nothing(api, server, shopify):
    body = json.dumps(shopify_order(3, 3, "short@example.com")).encode()
    lines = [f"{k}: {v}" for k, v in shopify.headers("orders/create", body).items()]
    with socket.create_connection(("127.0.0.1", server.port)) as s:
        s.sendall(head(shopify.path, f"Content-Length: {len(body)}", *lines) + body[:-10])
        s.shutdown(socket.SHUT_WR)
        s.settimeout(15)
        answer = s.recv(1000)
    assert not answer.startswith(b"HTTP/1.1 200")
    api.post("/v1/profiles/lookup", {"kind": "email", "value": "short@example.com"}, expect=404)


def test_slow_clients_do_not_hold_up_others(api, server, shopify):
    slow = []
    for _ in range(100):
        s = socket.create_connection(("127.0.0.1", server.port))
        s.sendall(b"POST " + shopify.path.encode() + b" HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        slow.append(s)
    try:
        times = []
        for n in range(20):
            started = time.monotonic()
            assert shopify.send("orders/create",
                                shopify_order(100 + n, 4, "fast@example.com")).status == 200
            times.append(time.monotonic() - started)
        assert sorted(times)[10] < 0.5 * shopbell.SLOW
        deadline = time.monotonic() + 20
        for s in slow:  # the absolute header deadline ends them all, byte by byte or not
            s.settimeout(max(0.1, deadline - time.monotonic()))
            try:
                while s.recv(4096):
                    pass
            except (ConnectionResetError, BrokenPipeError):
                pass
    finally:
        for s in slow:
            s.close()


def test_dribbling_does_not_extend_the_header_deadline(server):
    with socket.create_connection(("127.0.0.1", server.port)) as s:
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        started = time.monotonic()
        ended = False
        while time.monotonic() - started < 20:
            try:
                s.sendall(b"a")
                s.settimeout(0.5)
                if s.recv(100) == b"":
                    ended = True
                    break
            except socket.timeout:
                continue
            except (BrokenPipeError, ConnectionResetError):
                ended = True
                break
        assert ended and time.monotonic() - started < 15 * shopbell.SLOW


def test_head_options_405_404_and_request_id(server):
    assert server.request("HEAD", "/healthz").body == b""
    options = server.request("OPTIONS", "/v1/profiles")
    assert options.status in (200, 204) and "GET" in options.getheader("Allow")
    wrong = server.request("DELETE", "/v1/topics")
    assert wrong.status == 405 and "GET" in wrong.getheader("Allow")
    missing = server.request("GET", "/v1/profils")
    assert missing.status == 404
    problem = json.loads(missing.body)
    assert problem["type"] == "/problems/route-not-found" and problem["request_id"]
    assert missing.getheader("Content-Type").startswith("application/problem+json")
    assert missing.getheader("X-Request-Id") == problem["request_id"]


def test_post_without_length_and_body_is_an_empty_object(api, server):
    key = api.key
    api.post("/v1/subscriptions", {"name": "quiet", "url": "http://127.0.0.1:9999/x", "topics": ["*"]},
             expect=201)
    request = (f"POST /v1/subscriptions/quiet/pause HTTP/1.1\r\nHost: x\r\n"
               f"Authorization: Bearer {key}\r\n\r\n")
    status, _, body = raw_exchange(server.port, request.encode())
    assert status != 411, body
    status, _, body = raw_exchange(
        server.port, f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n"
        .encode())
    assert status == 411 and b"length-required" in body


def test_keys_and_scopes(api, server):
    assert server.request("GET", "/v1/profiles").status == 401
    answer = server.request("GET", "/v1/profiles", headers={"Authorization": "Bearer nonsense"})
    assert answer.status == 401 and answer.getheader("WWW-Authenticate").startswith("Bearer")
    made = api.post("/v1/keys", {"name": "reader", "scopes": ["read"]}, expect=201)
    reader = shopbell.Api(server, made["key"])
    assert reader.call("GET", "/v1/profiles").status == 200
    refused = reader.call("POST", "/v1/sources", {"name": "x", "platform": "shopify"})
    assert refused.status == 403 and refused.json["needed"]


def test_masked_without_pii(api, server, shopify):
    shopify.send("orders/create", shopify_order(9, 9, "jane@example.com"))
    made = api.post("/v1/keys", {"name": "masked", "scopes": ["read"]}, expect=201)
    reader = shopbell.Api(server, made["key"])
    profile = reader.get("/v1/profiles")["data"][0]
    assert "jane@example.com" not in json.dumps(profile)
    full = reader.get("/v1/profiles/" + profile["id"])
    assert full["masked"] is True and full["email"].startswith("j***@")
    assert "jane@example.com" not in json.dumps(full)
    assert "Jane" not in json.dumps(full)


def test_foreign_workspace_is_not_found(server, shopify, api):
    shopify.send("orders/create", shopify_order(11, 11, "mine@example.com"))
    mine = api.get("/v1/profiles")["data"][0]["id"]
    other = shopbell.make_workspace(server, "other_" + str(int(time.time() * 1000)))
    assert other.call("GET", "/v1/profiles/" + mine).status == 404
    assert other.call("GET", "/v1/sources/shopify_main").status == 404


def test_pages_are_signed_and_bound(api):
    for n in range(7):
        api.post("/v1/events", {"id": f"p{n}", "type": "page.viewed",
                                "occurred_at": "2026-11-20T10:00:0%dZ" % n,
                                "identities": {"email": f"p{n}@example.com"}, "properties": {}},
                 expect=200)
    seen, token = [], None
    while True:
        page = api.get("/v1/profiles?page_size=3" + (f"&page_token={token}" if token else ""))
        seen += [p["id"] for p in page["data"]]
        token = page["next_page_token"]
        if token is None:
            break
        last = token
    assert len(seen) == 7 == len(set(seen))
    assert api.call("GET", f"/v1/profiles?page_token={last[:-2]}xx").status == 400
    assert api.call("GET", f"/v1/sources?page_token={last}").status == 400
    unknown = api.call("GET", "/v1/profiles?page_sise=3")
    assert unknown.status == 422 and "page_size" in json.dumps(unknown.json)


def test_unknown_field_gets_a_suggestion(api):
    answer = api.call("POST", "/v1/sources", {"name": "s1", "platfrom": "shopify"})
    assert answer.status == 422 and "platform" in json.dumps(answer.json)


def test_idempotency_key(api):
    body = {"name": "idem", "platform": "woocommerce", "settings": {}}
    headers = {"Idempotency-Key": "k-1"}
    first = api.call("POST", "/v1/sources", body, 201, headers=headers)
    again = api.call("POST", "/v1/sources", body, 201, headers=headers)
    assert first.json["id"] == again.json["id"]
    other = api.call("POST", "/v1/sources", {**body, "name": "idem2"}, headers=headers)
    assert other.status == 422


def test_many_clients_at_once(api, shopify):
    faults = []

    def client(n):
        for k in range(20):
            answer = shopify.send("orders/create", shopify_order(50000 + n * 100 + k, 600 + n,
                                                                 f"m{n}@example.com", "1.00"))
            if answer.status != 200:
                faults.append(answer.body)
    threads = [threading.Thread(target=client, args=(n,)) for n in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not faults
    for n in range(16):
        profile = api.post("/v1/profiles/lookup", {"kind": "email", "value": f"m{n}@example.com"})
        assert profile["orders"]["count"] == 20


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.yaml", "/docs", "/v1/topics"])
def test_open_pages(api, server, path):
    headers = {"Authorization": f"Bearer {api.key}"} if path.startswith("/v1") else {}
    assert server.request("GET", path, headers=headers).status == 200


def test_every_list_gives_the_fields_that_are_wanted(api):
    api.post("/v1/events", [
        {"id": f"f{n}", "type": "order.completed", "identities": {"email": f"f{n}@example.com"},
         "properties": {"order_id": f"o{n}", "total": 124.9, "currency": "EUR"}}
        for n in range(3)], expect=200)
    with open(os.path.join(shopbell.ROOT, "openapi/shopbell.yaml"), encoding="utf-8") as f:
        paths = yaml.safe_load(f)["paths"]
    wanted = {"$ref": "#/components/parameters/fields"}
    lists = [path for path, methods in paths.items()
             if "{" not in path and path != "/v1/workspaces"
             and wanted in methods.get("get", {}).get("parameters", [])]
    assert len(lists) >= 10, lists
    seen = 0
    for path in lists:
        data = api.get(path + "?page_size=2")["data"]
        for name in data[0] if data else []:
            narrow = api.get(f"{path}?page_size=2&fields={name}")["data"]
            assert [list(one) for one in narrow] == [[name]] * len(narrow), (path, narrow)
        seen += bool(data)
        # What an empty list has not, nobody knows.
        api.call("GET", path + "?page_size=2&fields=nonsense", expect=422 if data else 200)
    assert seen >= 4, "too little was listed"
    raw = api.call("GET", "/v1/profiles?fields=orders,email&page_size=1").body.decode()
    assert '"revenue":124.90' in raw, "money keeps its decimals"
    found = api.call("POST", "/v1/profiles/search", {"fields": ["id"]}, expect=200).json["data"]
    assert len(found) == 3 and all(list(one) == ["id"] for one in found)
    wrong = api.call("GET", "/v1/profiles?fields=emial")
    assert wrong.status == 422 and "email" in wrong.json["detail"], wrong.body


def test_metrics_are_on_the_admin_listener_only(server):
    assert server.request("GET", "/metrics").status == 404
    text = server.request("GET", "/metrics", port=server.admin_port).body.decode()
    assert "shopbell_build_info" in text and "@" not in text
