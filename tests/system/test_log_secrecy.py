"""Secrets and personal data never reach a log: traffic of every kind, good and bad, with
the log at its most talkative; then everything that was secret is looked for in it.
"""

import base64
import json
import time

from shopbell import Api, Receiver, Server, Shopify, make_workspace, shopify_order, wait_for

EMAIL, PHONE, NAME = "jane.privat@example.com", "+33612345678", "Privatissima"


def test_no_secret_and_nobody_is_in_the_log(own_cluster, tmp_path):
    proxy_word = "proxy-pass-word"
    server = Server(own_cluster, str(tmp_path)).migrate().start("--verbose")
    receiver = Receiver()
    secrets = [EMAIL, "jane.privat", PHONE, PHONE[1:], NAME, Shopify.SECRET, "5a" * 16, proxy_word]
    try:
        api = make_workspace(server, "secrecy")
        secrets.append(api.key)
        key = api.post("/v1/keys", {"name": "esp", "scopes": ["subscribe", "pii"]}, expect=201)["key"]
        secrets.append(key)
        esp = Api(server, key)
        made = esp.post("/v1/subscriptions", {
            "name": "mail", "url": receiver.url + "?token=url-token-4711", "topics": ["*"],
            "headers": {"X-Api-Token": "header-token-4711"}, "signature": ["v1", "v1a"]}, expect=201)
        secrets += [made["secret"], "url-token-4711", "header-token-4711"]
        esp.post("/v1/subscriptions/mail/verify", {"challenge": "wrong-challenge-4711"}, expect=422)
        secrets.append("wrong-challenge-4711")
        secrets.append(own_cluster.query("SELECT challenge FROM subscription WHERE id = %s",
                                         made["id"])[0][0])
        esp.post("/v1/subscriptions/mail/verify", expect=200)
        secrets.append(esp.post("/v1/subscriptions/mail/rotate-secret", {}, expect=200)["secret"])
        shop = Shopify(api)
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        order = shopify_order(1, 1, EMAIL, at=now)
        order["customer"].update({"first_name": NAME, "phone": PHONE})
        shop.send("orders/create", order)
        shop.send("orders/create", order, secret="a-wrong-secret-4711")
        shop.send("orders/create", json.dumps(order).encode()[:-20])
        shop.send("customers/update", {**order["customer"], "email": EMAIL, "id": "no number"})
        wait_for(lambda: receiver.of_type("order.completed"), what="the message came")
        secrets += [m[0]["webhook-signature"] for m in receiver.messages]

        # Endpoints that fail in their ways, answering with what they were sent.
        receiver.answer = lambda headers, body: (500, {"X-Echo": EMAIL}, body)
        shop.send("orders/create", shopify_order(2, 1, EMAIL, at=now))
        wait_for(lambda: own_cluster.query(
            "SELECT count(*) FROM attempt WHERE response_status = 500")[0][0] >= 1,
            what="the failure is settled")
        receiver.answer = None
        esp.post("/v1/subscriptions/mail/test", {}, expect=200)
        for path in (f"/v1/profiles/{EMAIL}", f"/v1/profiles/{EMAIL.replace('@', '%40')}",
                     f"/v1/profiles/{PHONE}", f"/v1/profiles/%2B{PHONE[1:]}/explain", f"/v1/nowhere?email={EMAIL}", "/v1/profiles?filter=" +
                     "profile.email+%3D+%22" + EMAIL + "%22", f"/v1/hooks/{shop.source['id']}/{key}"):
            api.call("GET", path)
        api.call("POST", "/v1/profiles/lookup", {"email": EMAIL})
        api.call("POST", "/v1/subscriptions", '{"name": "x", "url": "http://u:' + proxy_word + '@a/"}')
        for bad in ("Bearer " + key[:-1] + "x", "Basic " + base64.b64encode(
                (key + ":").encode()).decode(), key):
            server.request("GET", "/v1/subscriptions", headers={"Authorization": bad})
        server.environment["SHOPBELL_DELIVER_PROXY"] = f"http://u:{proxy_word}@127.0.0.1:9"
        shown = server.command("config", "check").stdout
        assert proxy_word not in shown and "127.0.0.1:9" in shown
        server.stop()
        log = server.log()
        assert len(log.splitlines()) > 20, "it did talk"
        found = [secret for secret in secrets if secret and secret in log]
        assert not found, (found, [line for line in log.splitlines()
                                   if any(secret in line for secret in found)][:5])
    finally:
        receiver.close()
        if server.process:
            server.kill()
