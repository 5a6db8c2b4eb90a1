"""The official Standard Webhooks libraries (npm standardwebhooks, npm svix, PyPI
standardwebhooks) sign requests to us and verify what we sign.
"""

import base64
import datetime
import json
import subprocess
import time

import pytest
from shopbell import shopify_order, wait_for


@pytest.fixture
def node(installed):
    process = subprocess.Popen(["node", "client.mjs"], cwd=installed, text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(**question):
        process.stdin.write(json.dumps(question) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())
    yield ask
    process.stdin.close()
    process.wait(10)


def make_source(api):
    source = api.post("/v1/sources", {"name": "signed", "platform": "standard_webhooks",
                                      "settings": {}}, expect=201)
    return "/v1/hooks/" + source["id"], source["secrets"][0]["secret"]


def event_body(number):
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
    event = {"type": "custom.visit", "occurred_at": now,
             "identities": {"email": f"sdk{number}@example.com"}, "properties": {"note": "zürich ✓"}}
    return json.dumps({"type": "custom.visit", "timestamp": now, "data": event})


def post(api, path, webhook_id, timestamp, signature, body):
    answer = api.server.request("POST", path, body.encode(), {
        "Content-Type": "application/json", "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp), "webhook-signature": signature})
    return answer.status, json.loads(answer.body).get("status")


@pytest.mark.parametrize("library", ["standardwebhooks", "svix"])
def test_node_signs_to_us(api, node, library):
    path, secret = make_source(api)
    body, now = event_body(1), int(time.time())
    signed = node(lib=library, op="sign", secret=secret, id="msg_1", timestamp=now, body=body)
    assert post(api, path, "msg_1", now, signed["signature"], body) == (200, "applied")
    assert post(api, path, "msg_1", now, signed["signature"], body) == (200, "duplicate")
    assert post(api, path, "msg_2", now, signed["signature"], body)[0] == 401


def test_svix_signs_as_resend_does(api, node):
    """Resend sends through Svix: its library, its header names."""
    secret = "whsec_" + base64.b64encode(b"a key of thirty-two bytes, and so").decode()
    source = api.post("/v1/sources", {"name": "mails", "platform": "resend", "settings": {}},
                      expect=201)
    api.post("/v1/sources/mails/secrets", {"secret": secret}, expect=201)
    now = int(time.time())
    body = json.dumps({"type": "email.opened",
                       "created_at": datetime.datetime.fromtimestamp(
                           now - 9, datetime.timezone.utc).isoformat(),
                       "data": {"to": ["zoë@example.com"], "email_id": "e1"}}, ensure_ascii=False)
    signed = node(lib="svix", op="sign", secret=secret, id="msg_1", timestamp=now, body=body)

    def send(webhook_id):
        answer = api.server.request("POST", "/v1/hooks/" + source["id"], body.encode(), {
            "Content-Type": "application/json", "svix-id": webhook_id,
            "svix-timestamp": str(now), "svix-signature": signed["signature"]})
        return answer.status, json.loads(answer.body).get("status")
    assert send("msg_1") == (200, "applied")
    assert send("msg_1") == (200, "duplicate")
    assert send("msg_2")[0] == 401


def test_python_signs_to_us(api, installed):
    from standardwebhooks.webhooks import Webhook
    path, secret = make_source(api)
    body = event_body(2)
    now = datetime.datetime.now(datetime.timezone.utc)
    signature = Webhook(secret).sign("msg_py", now, body)
    assert post(api, path, "msg_py", int(now.timestamp()), signature, body) == (200, "applied")


def test_they_verify_what_we_sign(api, shopify, esp, node, installed):
    from standardwebhooks.webhooks import Webhook
    made = esp.subscribe(api, ["order.completed"])
    shopify.send("orders/create", shopify_order(
        1, 1, "zoë@example.com", at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())))
    wait_for(lambda: esp.of_type("order.completed"))
    headers, body, parsed, _ = [m for m in esp.messages if m[2]["type"] == "order.completed"][0]
    for library in ("standardwebhooks", "svix"):
        names = {k: headers[k] for k in ("webhook-id", "webhook-timestamp", "webhook-signature")}
        good = node(lib=library, op="verify", secret=made["secret"], headers=names,
                    body=body.decode())
        assert good == {"valid": True}
        bad = node(lib=library, op="verify", secret=made["secret"], headers=names,
                   body=body.decode() + " ")
        assert bad["valid"] is False
    assert Webhook(made["secret"]).verify(body, headers)["id"] == parsed["id"]


class Verdicts:
    """What each library says of the newest message, by each secret that there was."""

    def __init__(self, api, shopify, esp, node, signature):
        self.api, self.shopify, self.esp, self.node = api, shopify, esp, node
        self.made = esp.subscribe(api, ["order.completed"], signature=signature)
        self.number = 0

    def message(self):
        self.number += 1
        arrived = len(self.esp.messages)
        self.shopify.send("orders/create", shopify_order(
            self.number, self.number, f"zoë{self.number}@example.com",
            at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())))
        wait_for(lambda: len(self.esp.messages) > arrived)
        return self.esp.messages[-1]

    def of(self, message, secret, *libraries, body=None):
        from standardwebhooks.webhooks import Webhook, WebhookVerificationError
        headers = {k: message[0][k] for k in ("webhook-id", "webhook-timestamp", "webhook-signature")}
        text = (body or message[1]).decode()
        said = [self.node(lib=library, op="verify", secret=secret, headers=headers, body=text)["valid"]
                for library in libraries]
        if "standardwebhooks" in libraries:
            try:
                Webhook(secret).verify(text, headers)
                said.append(True)
            except WebhookVerificationError:
                said.append(False)
        assert len(set(said)) == 1, f"they disagree: {said}"
        return said[0]

    def v1(self, message, secret, **more):
        return self.of(message, secret, "standardwebhooks", "svix", **more)

    def v1a(self, message, key, **more):
        return self.of(message, key, "ed25519", **more)


@pytest.mark.parametrize("signature", [["v1"], ["v1", "v1a"], ["v1a", "v1"]], ids="+".join)
def test_they_verify_through_a_rotation(api, shopify, esp, node, installed, signature):
    v = Verdicts(api, shopify, esp, node, signature)
    old = v.made["secret"]
    assert v.v1(v.message(), old)
    new = api.post("/v1/subscriptions/mailhouse/rotate-secret", {"overlap": "3s"}, expect=200)["secret"]
    time.sleep(0.1)
    message = v.message()
    assert v.v1(message, old) and v.v1(message, new), "during the overlap either will do"
    assert not v.v1(message, old, body=message[1] + b" ")
    time.sleep(4)
    message = v.message()
    assert v.v1(message, new) and not v.v1(message, old), "afterwards the new one only"


def test_ed25519_is_verified_through_a_rotation(api, shopify, esp, node, installed):
    v = Verdicts(api, shopify, esp, node, ["v1a"])
    old = v.made["public_keys"][0]["key"]
    message = v.message()
    assert v.v1a(message, old) and not v.v1a(message, old, body=message[1] + b" ")
    turned = api.post("/v1/subscriptions/mailhouse/rotate-secret", {"overlap": "3s"}, expect=200)
    new = turned["public_keys"][0]["key"]
    assert [key["key"] for key in turned["public_keys"]] == [new, old]
    time.sleep(0.1)
    message = v.message()
    assert v.v1a(message, old) and v.v1a(message, new)
    time.sleep(4)
    message = v.message()
    assert v.v1a(message, new) and not v.v1a(message, old)
    assert [key["key"] for key in api.get("/v1/subscriptions/mailhouse/public-keys")["data"]] == [new]


def test_both_schemes_on_one_message(api, shopify, esp, node, installed):
    v = Verdicts(api, shopify, esp, node, ["v1", "v1a"])
    message = v.message()
    assert v.v1(message, v.made["secret"]) and v.v1a(message, v.made["public_keys"][0]["key"])
    # And what is refused: an Ed25519 key that is another's.
    assert not v.v1a(message, "whpk_" + base64.b64encode(bytes(range(32))).decode())
