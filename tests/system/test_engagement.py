"""Email service providers tell what became of a mail, over HTTP: each is created,
set up, signed by another hand than ours, believed once, and refused with a wrong
secret; and a refusal told there leaves its mark here in the same write.
"""

import base64
import hashlib
import hmac
import json
import subprocess
import time
import types
import urllib.parse

import pytest
from shopbell import Shopify, wait_for

HEALTH_S = 5  # counts are written once a second
EMAIL = "jane@example.com"
NOTIFICATION = "5f0c2f5e-8a51-8c1e-9b0e-2f8f6b1f4a77"


def now_s():
    return int(time.time())


def iso(at_s):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s))


def mac(key, *pieces, digest=hashlib.sha256):
    text = b"".join(p if isinstance(p, bytes) else p.encode() for p in pieces)
    return hmac.new(key if isinstance(key, bytes) else key.encode(), text, digest)


class KeyPair:
    """P-256, as OpenSSL makes and uses it."""

    def __init__(self, folder, name):
        self.private = str(folder / f"{name}.pem")
        subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out",
                        self.private], check=True)
        der = subprocess.run(["openssl", "ec", "-in", self.private, "-pubout", "-outform", "DER"],
                             check=True, capture_output=True).stdout
        self.public = base64.b64encode(der).decode()

    def sign(self, data):
        done = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.private], input=data,
                              check=True, capture_output=True)
        return base64.b64encode(done.stdout).decode()


# --- how each signs: (secret, body, source's address) -> (headers, body, tail of the address)

def sendgrid(key, body, url):
    stamp = str(now_s())
    return {"X-Twilio-Email-Event-Webhook-Timestamp": stamp,
            "X-Twilio-Email-Event-Webhook-Signature": key.sign(stamp.encode() + body)}, body, ""


def mailgun(secret, body, url):
    stamp, token = str(now_s()), hashlib.sha256(body).hexdigest()[:50]
    signed = {"signature": {"timestamp": stamp, "token": token,
                            "signature": mac(secret, stamp, token).hexdigest()},
              "event-data": json.loads(body)}
    return {}, json.dumps(signed).encode(), ""


def customerio(secret, body, url):
    stamp = str(now_s())
    return {"X-CIO-Timestamp": stamp,
            "X-CIO-Signature": mac(secret, f"v0:{stamp}:", body).hexdigest()}, body, ""


def klaviyo(secret, body, url):
    stamp = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(now_s() + 5 * 3600))
    return {"Klaviyo-Webhook-Id": "whk_1", "Klaviyo-Timestamp": stamp,
            "Klaviyo-Signature": mac(secret, body, stamp).hexdigest()}, body, ""


def mandrill(secret, body, url):
    form = urllib.parse.urlencode({"mandrill_events": body.decode()}).encode()
    signed = mac(secret, url, "mandrill_events", body, digest=hashlib.sha1)
    return {"X-Mandrill-Signature": base64.b64encode(signed.digest()).decode(),
            "Content-Type": "application/x-www-form-urlencoded"}, form, ""


def mailersend(secret, body, url):
    return {"Signature": mac(secret, body).hexdigest()}, body, ""


def resend(secret, body, url):
    stamp, number = str(now_s()), "msg_" + hashlib.sha256(body).hexdigest()[:16]
    digest = mac(base64.b64decode(secret[6:]), f"{number}.{stamp}.", body).digest()
    return {"svix-id": number, "svix-timestamp": stamp,
            "svix-signature": "v1," + base64.b64encode(digest).decode()}, body, ""


def mailchimp_signed(secret, body, url):
    stamp = str(now_s())
    return {"Content-Type": "application/x-www-form-urlencoded",
            "X-Mailchimp-Signature": f"t={stamp},v1={mac(secret, stamp, '.', body).hexdigest()}"
            }, body, ""


def in_the_address(secret, body, url):
    return {}, body, "/" + secret


def basic(secret, body, url):
    return {"Authorization": "Basic " + base64.b64encode(f"any:{secret}".encode()).decode()}, body, ""


def bearer(secret, body, url):
    return {"Authorization": f"Bearer {secret}"}, body, ""


def in_a_header(secret, body, url):
    return {"X-Shopbell-Token": secret}, body, ""


# --- what each says of a refusal: (address, when) -> body

def klaviyo_body(email, at):
    event = {"data": {"type": "event", "attributes": {"datetime": iso(at), "event_properties": {}},
                      "relationships": {"profile": {"data": {"type": "profile", "id": "01H"}}}},
             "included": [{"type": "profile", "attributes": {"email": email}}]}
    return {"data": [{"external_id": f"k{at}", "payload": event,
                      "topic": "event:klaviyo.unsubscribed_from_email_marketing"}],
            "meta": {"klaviyo_webhook_id": "whk_1", "timestamp": iso(now_s())}}


def mailchimp_body(email, at):
    return urllib.parse.urlencode({
        "type": "unsubscribe", "fired_at": iso(at)[:19].replace("T", " "),
        "data[action]": "unsub", "data[id]": "8a25ff1d98", "data[list_id]": "a6b5da1054",
        "data[email]": email, "data[campaign_id]": "cb398d21d2"}).encode()


def row(name, sign, body, **more):
    return types.SimpleNamespace(**{
        "id": name, "platform": name, "sign": sign, "body": body, "settings": {}, "secret": None,
        "type": "email.unsubscribed", "provenance": None, "echo": True, **more})


SENDERS = [
    row("sendgrid", sendgrid, lambda email, at: [{
        "event": "unsubscribe", "email": email, "timestamp": at, "sg_event_id": f"sg{at}",
        "shopbell_notification_id": NOTIFICATION}]),
    row("mailgun", mailgun, lambda email, at: {
        "event": "unsubscribed", "recipient": email, "timestamp": at + 0.5, "id": f"mg{at}",
        "user-variables": {"shopbell_notification_id": NOTIFICATION}},
        secret="mailgun-signing-key", provenance="partial"),
    row("postmark", in_the_address, lambda email, at: {
        "RecordType": "SubscriptionChange", "MessageID": "m1", "ChangedAt": iso(at),
        "Recipient": email, "Origin": "Recipient", "SuppressSending": True,
        "SuppressionReason": "ManualSuppression",
        "Metadata": {"shopbell_notification_id": NOTIFICATION}}, provenance="none"),
    row("brevo", bearer, lambda email, at: {
        "event": "unsubscribed", "email": email, "ts_epoch": at * 1000, "message-id": "<m@b>",
        "X-Mailin-custom": json.dumps({"shopbell_notification_id": NOTIFICATION})},
        provenance="none"),
    row("sparkpost", basic, lambda email, at: [{"msys": {"unsubscribe_event": {
        "type": "list_unsubscribe", "rcpt_to": email, "timestamp": str(at), "event_id": f"1{at}",
        "rcpt_meta": {"shopbell_notification_id": NOTIFICATION}}}}], provenance="none"),
    row("mailjet", in_a_header, lambda email, at: [{
        "event": "unsub", "email": email, "time": at, "MessageID": 12345678901234567,
        "Payload": json.dumps({"shopbell_notification_id": NOTIFICATION})}], provenance="none"),
    row("customerio", customerio, lambda email, at: {
        "metric": "unsubscribed", "object_type": "email", "event_id": f"c{at}", "timestamp": at,
        "data": {"recipient": email, "identifiers": {"id": "42"}, "subject": "Hello"}},
        secret="customerio-signing-key", echo=False),
    row("mailchimp", in_the_address, mailchimp_body, provenance="none", echo=False),
    row("mailchimp", mailchimp_signed, mailchimp_body, id="mailchimp_signed", echo=False,
        settings={"signed": True}, secret="mailchimp-signing-secret"),
    row("mandrill", mandrill, lambda email, at: [{
        "event": "unsub", "_id": "abc", "ts": at, "msg": {
            "email": email, "subject": "Très bien + 1 & 2",
            "metadata": {"shopbell_notification_id": NOTIFICATION}}}], secret="mandrill-webhook-key"),
    row("mailersend", mailersend, lambda email, at: {
        "type": "activity.unsubscribed", "data": {
            "id": f"a{at}", "created_at": iso(at), "email": {
                "recipient": {"email": email},
                "tags": [f"shopbell_notification_id:{NOTIFICATION}"]}}}, secret="mailersend-secret"),
    row("resend", resend, lambda email, at: {
        "type": "email.complained", "created_at": iso(at), "data": {
            "to": [email], "email_id": "e1", "tags": {"shopbell_notification_id": NOTIFICATION}}},
        secret="whsec_MTIzNDU2Nzg5MDEyMzQ1Ng==", type="email.complained"),
    row("klaviyo", klaviyo, klaviyo_body, echo=False),
]


class Sender:
    """A source of a row, and its sender."""

    def __init__(self, api, row, folder=None):
        self.api, self.row = api, row
        self.source = api.post("/v1/sources", {"name": "mails", "platform": row.platform,
                                               "settings": row.settings}, expect=201)
        self.secret, self.other = row.secret, "0123456789abcdef-other"
        made = self.source["secrets"][0]["secret"] if self.source["secrets"] else None
        if row.platform == "sendgrid":
            self.secret, self.other = (KeyPair(folder, name) for name in ("own", "other"))
        elif row.platform == "resend":
            self.other = "whsec_MTIzNDU2Nzg5MDEyMzQ1Nw=="
        if self.secret is None:
            self.secret = made
        else:
            api.post("/v1/sources/mails/secrets",
                     {"secret": getattr(self.secret, "public", self.secret)}, expect=201)
        self.path = "/v1/hooks/" + self.source["id"]
        self.url = f"http://127.0.0.1:{api.server.port}{self.path}"

    def body(self, email=EMAIL, at=None):
        return self.row.body(email, at or now_s() - 60)

    def request(self, body, secret=None):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.row.sign(secret or self.secret, data, self.url)

    def send(self, body, secret=None):
        headers, data, tail = self.request(body, secret)
        return self.api.server.request("POST", self.path + tail, data,
                                       {"Content-Type": "application/json", **headers})

    def health(self):
        return self.api.get("/v1/sources/mails")["health"]

    def profile(self, email=EMAIL):
        return self.api.call("POST", "/v1/profiles/lookup",
                             {"kind": "email", "value": email}).json


@pytest.mark.parametrize("row", SENDERS, ids=lambda one: one.id)
def test_a_refusal_told_by_each(api, cluster, tmp_path, row):
    sender = Sender(api, row, tmp_path)
    setup = sender.source["setup"]
    lines = [line for way in setup["ways"] for line in way["steps"]] + setup["warnings"]
    assert setup["topics"] and not [line for line in lines if "%" in line]
    assert sender.source["trust"] == ("keyed" if row.platform in (
        "postmark", "brevo", "sparkpost", "mailjet", "mailchimp") else "signed")

    body = sender.body()
    assert sender.send(body, secret=sender.other).status == 401
    answer = sender.send(body)
    assert (answer.status, json.loads(answer.body)["status"]) == (200, "applied"), answer.body
    repeat = sender.send(body)
    assert (repeat.status, json.loads(repeat.body)["status"]) == (200, "duplicate"), repeat.body

    assert sender.profile()["consent"]["email"] == "unsubscribed"
    ((kind, properties, context),) = cluster.query(
        "SELECT type, properties, context FROM interaction WHERE source_id = %s",
        sender.source["id"])
    assert kind == row.type
    assert properties.get("notification_id") == (NOTIFICATION if row.echo else None)
    assert (context or {}).get("provenance") == row.provenance
    health = wait_for(lambda: (h := sender.health())["counts_24h"]["duplicate"] == 1 and h,
                      HEALTH_S, 0.1)
    assert health["counts_24h"]["applied"] == 1 and health["counts_24h"]["refused"] == 1


@pytest.mark.parametrize("platform", ["mailchimp", "mandrill"])
def test_who_asks_first_is_answered(api, platform):
    source = api.post("/v1/sources", {"name": "mails", "platform": platform, "settings": {}},
                      expect=201)
    for method in ("GET", "HEAD"):
        assert api.server.request(method, "/v1/hooks/" + source["id"]).status == 200


def test_mandrills_check_does_nothing_whoever_signed_it(api, cluster):
    mandrill_row = next(one for one in SENDERS if one.platform == "mandrill")
    sender = Sender(api, mandrill_row)
    assert sender.send([], secret="test-webhook").status == 200
    forged = sender.send(sender.body(), secret="test-webhook")
    assert forged.status == 401, "a key that anybody can read is nobody's"
    assert api.call("POST", "/v1/sources/mails/secrets", {"secret": "test-webhook"}).status == 422
    assert cluster.query("SELECT count(*) FROM interaction WHERE source_id = %s",
                         sender.source["id"]) == [(0,)]


def test_sparkposts_ping_needs_the_secret_and_does_nothing(api):
    sender = Sender(api, next(one for one in SENDERS if one.platform == "sparkpost"))
    ping = [{"msys": {}}]
    assert sender.send(ping, secret="0123456789abcdef-other").status == 401
    answer = sender.send(ping)
    assert (answer.status, json.loads(answer.body)["status"]) == (200, "ignored")


def test_customerio_is_answered_200_whatever_it_says(api):
    """One refused delivery would hold up all later ones for a week."""
    sender = Sender(api, next(one for one in SENDERS if one.platform == "customerio"))
    for body in (b"", b"{", b"[]", b"\xff", b'{"metric":"teleported"}', b'{"metric":"opened"}',
                 b'{"metric":"opened","object_type":"email","data":{"recipient":"nobody"}}'):
        assert sender.send(body).status == 200, body
    assert sender.send(sender.body()).status == 200


def test_mailguns_token_is_taken_once(api, cluster):
    """It signs a time and a token; whatever else is put beside them is not signed."""
    sender = Sender(api, next(one for one in SENDERS if one.platform == "mailgun"))
    _, data, _ = sender.request(sender.body())
    captured = json.loads(data)
    assert sender.send(sender.body()).status == 200
    captured["event-data"] = {**sender.body("victim@example.com"), "id": "another"}
    answer = api.server.request("POST", sender.path, json.dumps(captured).encode(), {})
    assert json.loads(answer.body)["status"] == "duplicate", answer.body
    assert sender.profile("victim@example.com").get("consent") is None
    assert cluster.query("SELECT count(*) FROM interaction WHERE source_id = %s",
                         sender.source["id"]) == [(1,)]


def test_addresses_may_be_pinned(api):
    postmark = next(one for one in SENDERS if one.platform == "postmark")
    sender = Sender(api, postmark)
    api.call("PATCH", "/v1/sources/mails",
             {"settings": {"allowed_addresses": ["3.134.147.250"]}}, expect=200)
    wait_for(lambda: sender.send(sender.body()).status == 403, 5, 0.1)
    api.call("PATCH", "/v1/sources/mails",
             {"settings": {"allowed_addresses": ["127.0.0.0/8"]}}, expect=200)
    wait_for(lambda: sender.send(sender.body()).status == 200, 5, 0.1)


def test_a_batch_counts_each_event_once(api, cluster, tmp_path):
    """A repeated batch is cut otherwise, and holds an event twice."""
    sender = Sender(api, SENDERS[0], tmp_path)
    at = now_s() - 300

    def opened(number, **more):
        return {"event": "open", "email": f"b{number}@example.com", "timestamp": at + number,
                "sg_event_id": f"e{number}", **more}
    first = [opened(1), opened(2), opened(2), {"event": "processed", "email": EMAIL}]
    assert sender.send(first).status == 200
    assert sender.send([opened(2), opened(3), opened(1)]).status == 200
    assert cluster.query(
        "SELECT count(*), count(DISTINCT origin_id) FROM interaction WHERE source_id = %s",
        sender.source["id"]) == [(3, 3)]


def test_machines_open_no_silence(api, tmp_path):
    """A prefetched image is no act of the customer, and no engagement."""
    sender = Sender(api, SENDERS[0], tmp_path)

    def opened(number, email, **more):
        return {"event": "open", "email": email, "timestamp": now_s() - 60 + number,
                "sg_event_id": f"m{number}", **more}
    assert sender.send([opened(1, "apple@example.com", sg_machine_open=True),
                        opened(2, "person@example.com", sg_machine_open=False)]).status == 200
    machine, person = (sender.profile(f"{who}@example.com") for who in ("apple", "person"))
    assert machine["engagement"] is None, "as of one who was never sent a mail"
    assert person["engagement"]["last_opened_at"] and person["engagement"]["score"] > 0
    assert machine["last_seen_at"] is None and person["last_seen_at"]


def test_a_refusal_leaves_the_segment_in_the_same_write(api, esp, tmp_path):
    shop = Shopify(api)
    api.post("/v1/rules", {"name": "reachable", "kind": "segment",
                           "when": 'consent.email = "subscribed"'}, expect=201)
    esp.subscribe(api, ["segment.entered", "segment.left"])
    at = now_s() - 3600
    customer = {"id": 71, "email": EMAIL, "created_at": iso(at), "updated_at": iso(at),
                "email_marketing_consent": {"state": "subscribed", "consent_updated_at": iso(at)}}
    assert shop.send("customers/create", customer).status == 200
    esp.wait_types(["segment.entered"])

    sender = Sender(api, SENDERS[0], tmp_path)
    headers, data, tail = sender.request(sender.body(at=now_s() - 30))
    answer = api.server.request("POST", sender.path + tail, data,
                                {**headers, "Prefer": "return=representation"})
    assert answer.status == 200, answer.body
    profile = sender.profile()
    assert profile["consent"]["email"] == "unsubscribed", "committed with the 200"
    assert "reachable" not in profile["segments"]
    esp.wait_types(["segment.left"])
    (left,) = esp.of_type("segment.left")
    assert left["cause"]["kind"] == "event"


def test_an_older_yes_of_the_shop_does_not_undo_it(server, api, tmp_path):
    """Facts go by when they were said, not by when we were told."""
    shop = Shopify(api)
    sender = Sender(api, SENDERS[0], tmp_path)
    said = now_s() - 3600
    assert sender.send(sender.body(at=said)).status == 200
    export = tmp_path / "customers_export.csv"
    export.write_text("Customer ID,First Name,Last Name,Email,Accepts Email Marketing,Phone\r\n"
                      f"'71,Jane,Doe,{EMAIL},yes,\r\n")

    def load(exported_at):
        server.command("import", "--workspace", api.workspace, "--source", "shopify_main",
                       "--exported-at", iso(exported_at), str(export))
        return sender.profile()
    assert load(said - 86400)["consent"]["email"] == "unsubscribed"
    profile = load(now_s() - 5)
    assert profile["traits"]["first_name"] == "Jane"
    assert profile["consent"]["email"] == "unsubscribed", "the file is new; the yes has no date"
    assert shop.send("customers/update", {
        "id": 71, "email": EMAIL, "updated_at": iso(now_s() - 10), "email_marketing_consent": {
            "state": "subscribed", "consent_updated_at": iso(said - 60)}}).status == 200
    assert sender.profile()["consent"]["email"] == "unsubscribed", "it was given before"
    assert shop.send("customers/update", {
        "id": 71, "email": EMAIL, "updated_at": iso(now_s() - 5), "email_marketing_consent": {
            "state": "subscribed", "consent_updated_at": iso(said + 60)}}).status == 200
    assert sender.profile()["consent"]["email"] == "subscribed", "given again, later"
