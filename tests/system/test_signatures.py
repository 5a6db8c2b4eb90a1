"""What is signed with what: v1, v1a, both; rotation by overlap; what is published.

Verified as a receiver does it, from the header, the timestamp and the raw body, by
libraries that are not ours (hmac, cryptography). tests/sdk has the official ones.
"""

import base64
import hashlib
import hmac
import time

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from shopbell import Receiver, shopify_order, wait_for

BELIEVED = 0.1  # the sender believes an endpoint's settings for 20 ms
_orders = iter(range(1, 1_000_000))


def signatures(message, scheme):
    return [word.partition(",")[2] for word in message[0]["webhook-signature"].split()
            if word.startswith(scheme + ",")]


def signed(message):
    headers, body = message[0], message[1]
    return f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body


def by_secret(secret, message):
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    mac = base64.b64encode(hmac.new(key, signed(message), hashlib.sha256).digest()).decode()
    return mac in signatures(message, "v1")


def by_public_key(text, message):
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(text.removeprefix("whpk_"),
                                                              validate=True))
    for signature in signatures(message, "v1a"):
        try:
            key.verify(base64.b64decode(signature, validate=True), signed(message))
            return True
        except InvalidSignature:
            continue
    return False


class Pair:
    """A shop and its subscriber; `next` is the next message that really came."""

    def __init__(self, api, shopify, esp, signature):
        self.api, self.shopify, self.esp = api, shopify, esp
        self.made = esp.subscribe(api, ["order.completed"], signature=signature)

    def next(self):
        number, arrived = next(_orders), len(self.esp.messages)
        self.shopify.send("orders/create", shopify_order(
            number, number, f"c{number}@example.com",
            at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())))
        wait_for(lambda: len(self.esp.messages) > arrived, what="the message arrived")
        return self.esp.messages[-1]

    def rotate(self, **body):
        answer = self.api.post("/v1/subscriptions/mailhouse/rotate-secret", body, expect=200)
        time.sleep(BELIEVED)
        return answer

    def patch(self, **body):
        answer = self.api.call("PATCH", "/v1/subscriptions/mailhouse", body, expect=200)
        time.sleep(BELIEVED)
        return answer.json

    def public_keys(self):
        listed = self.api.get("/v1/subscriptions/mailhouse/public-keys")
        shown = self.api.get("/v1/subscriptions/mailhouse")["public_keys"]
        among = self.api.get("/v1/subscriptions")["data"][0]["public_keys"]
        assert listed["data"] == shown == among
        return [key["key"] for key in shown]


@pytest.fixture
def pair(api, shopify, esp):
    return lambda *signature: Pair(api, shopify, esp, list(signature))


def test_v1_alone(pair):
    p = pair("v1")
    assert p.made["signature"] == ["v1"] and p.made["public_keys"] == []
    assert p.made["secret"].startswith("whsec_") and p.made["secret_shown_once"] is True
    message = p.next()
    assert by_secret(p.made["secret"], message)
    assert len(message[0]["webhook-signature"].split()) == 1
    assert p.public_keys() == []


def test_v1a_alone_shows_no_secret(pair):
    p = pair("v1a")
    assert "secret" not in p.made and len(p.made["public_keys"]) == 1
    assert p.made["public_keys"][0]["algorithm"] == "ed25519"
    assert p.made["public_keys"][0]["expires_at"] is None
    message = p.next()
    assert by_public_key(p.public_keys()[0], message)
    assert signatures(message, "v1") == [] and len(signatures(message, "v1a")) == 1


def test_a_signature_covers_id_time_and_body(pair):
    p = pair("v1", "v1a")
    headers, body, *rest = p.next()
    key = p.public_keys()[0]
    assert by_secret(p.made["secret"], (headers, body)) and by_public_key(key, (headers, body))
    for changed in ({**headers, "webhook-id": "x" + headers["webhook-id"]},
                    {**headers, "webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)}):
        assert not by_public_key(key, (changed, body))
        assert not by_secret(p.made["secret"], (changed, body))
    assert not by_public_key(key, (headers, body + b" "))


def test_both_rotate_with_overlap(pair):
    p = pair("v1", "v1a")
    old_secret, old_key = p.made["secret"], p.public_keys()[0]
    turned = p.rotate()
    new_secret, new_key = turned["secret"], turned["public_keys"][0]["key"]
    assert new_secret != old_secret and new_key != old_key
    message = p.next()
    assert by_secret(old_secret, message) and by_secret(new_secret, message)
    assert by_public_key(old_key, message) and by_public_key(new_key, message)
    assert len(message[0]["webhook-signature"].split()) == 4
    ends = [key["expires_at"] for key in turned["public_keys"]]
    assert ends[0] is None and ends[1] is not None
    days = (time.mktime(time.strptime(ends[1][:19], "%Y-%m-%dT%H:%M:%S"))
            - time.mktime(time.gmtime())) / 86400
    assert 0.99 < days < 1.01, "the overlap is 24 h unless said otherwise"

    final = p.rotate(overlap="0s")
    message = p.next()
    assert not by_secret(old_secret, message) and not by_secret(new_secret, message)
    assert not by_public_key(old_key, message) and not by_public_key(new_key, message)
    assert by_secret(final["secret"], message)
    assert by_public_key(final["public_keys"][0]["key"], message)
    assert len(message[0]["webhook-signature"].split()) == 2


def test_the_former_ends_by_itself(pair):
    p = pair("v1", "v1a")
    old_secret, old_key = p.made["secret"], p.public_keys()[0]
    turned = p.rotate(overlap="2s")
    assert by_secret(old_secret, p.next()) and by_public_key(old_key, p.next())
    wait_for(lambda: not by_secret(old_secret, p.next()), 15, 0.3, "the former secret ended")
    message = p.next()
    assert not by_public_key(old_key, message) and by_secret(turned["secret"], message)
    assert p.public_keys() == [turned["public_keys"][0]["key"]]


def test_no_overlap_is_cut_short(pair):
    p = pair("v1", "v1a")
    secrets, keys = [p.made["secret"]], p.public_keys()
    for _ in range(3):
        turned = p.rotate()
        secrets.append(turned["secret"])
        keys.append(turned["public_keys"][0]["key"])
    message = p.next()
    assert all(by_secret(secret, message) for secret in secrets)
    assert all(by_public_key(key, message) for key in keys)
    full = p.api.call("POST", "/v1/subscriptions/mailhouse/rotate-secret", {}, expect=422).json
    assert full["type"] == "/problems/limit-reached" and "overlap" in full["detail"]
    message = p.next()
    assert by_secret(secrets[0], message) and by_secret(secrets[-1], message)
    p.rotate(overlap="0s")
    assert len(p.next()[0]["webhook-signature"].split()) == 2


def test_schemes_come_and_go(pair):
    p = pair("v1")
    secret = p.made["secret"]
    gained = p.patch(signature=["v1", "v1a"])
    assert "secret" not in gained and len(gained["public_keys"]) == 1
    key = gained["public_keys"][0]["key"]
    message = p.next()
    assert by_secret(secret, message) and by_public_key(key, message)

    assert p.patch(title="another")["public_keys"][0]["key"] == key, "nothing else changes a key"
    lost = p.patch(signature=["v1a"])
    assert "secret" not in lost
    message = p.next()
    assert not signatures(message, "v1") and by_public_key(key, message)

    back = p.patch(signature=["v1"])
    assert back["secret"].startswith("whsec_") and back["secret"] != secret
    assert back["public_keys"] == []
    message = p.next()
    assert by_secret(back["secret"], message) and not by_secret(secret, message)
    assert not signatures(message, "v1a")


def test_challenge_and_test_message_are_signed_alike(api):
    receiver = Receiver()
    taken = []
    take = receiver.take
    receiver.take = lambda headers, body: (taken.append((headers, body)), take(headers, body))[1]
    try:
        made = api.post("/v1/subscriptions", {"name": "m", "url": receiver.url, "topics": ["*"],
                                              "signature": ["v1a", "v1"]}, expect=201)
        api.post("/v1/subscriptions/m/verify", expect=200)
        api.post("/v1/subscriptions/m/test", expect=200)
        assert len(taken) == 2
        for message in taken:
            assert by_secret(made["secret"], message)
            assert by_public_key(made["public_keys"][0]["key"], message)
    finally:
        receiver.close()


def test_secrets_lie_sealed(pair, cluster):
    p = pair("v1", "v1a")
    turned = p.rotate()
    rows = cluster.query("SELECT sealed FROM subscription_secret WHERE subscription_id = %s",
                         p.made["id"])
    assert len(rows) == 4
    dump = b"".join(bytes(row[0]) for row in rows)
    for secret in (p.made["secret"], turned["secret"]):
        assert base64.b64decode(secret.removeprefix("whsec_")) not in dump
        assert secret.encode() not in dump
    for key in turned["public_keys"]:
        assert base64.b64decode(key["key"].removeprefix("whpk_")) not in dump, "not even the end"
    assert b"whs" not in dump


def test_ended_secrets_are_deleted_by_the_next_rotation(pair, cluster):
    p = pair("v1")
    p.rotate(overlap="0s")
    p.rotate(overlap="0s")
    rows = cluster.query("SELECT count(*) FROM subscription_secret WHERE subscription_id = %s",
                         p.made["id"])
    assert rows[0][0] == 2, "the live one, and the one that this rotation ended"


def test_a_rotation_beside_a_change_is_refused_not_mixed(pair):
    p = pair("v1")
    before = p.api.call("GET", "/v1/subscriptions/mailhouse").headers["ETag"]
    p.rotate()
    after = p.api.call("GET", "/v1/subscriptions/mailhouse").headers["ETag"]
    assert before != after
    stale = p.api.call("PATCH", "/v1/subscriptions/mailhouse", {"signature": ["v1a"]}, expect=412,
                       headers={"If-Match": before}).json
    assert stale["type"] == "/problems/etag-mismatch"


def test_a_dry_run_changes_no_key(pair):
    p = pair("v1", "v1a")
    keys = p.public_keys()
    for path, method, body in (("/rotate-secret", "POST", {}), ("", "PATCH", {"signature": ["v1"]})):
        answer = p.api.call(method, f"/v1/subscriptions/mailhouse{path}?validate_only=true", body,
                            expect=200).json
        assert "secret" not in answer
    assert p.public_keys() == keys and by_secret(p.made["secret"], p.next())
