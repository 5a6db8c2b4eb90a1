"""Shops' own libraries sign to us: Stripe's (npm), and that of Standard Webhooks as
BigCommerce and Etsy use it.
"""

import base64
import datetime
import json
import subprocess
import time

import pytest

NOW = int(time.time()) - 60


def source(api, platform, secret):
    made = api.post("/v1/sources", {"name": "shop", "platform": platform, "settings": {}},
                    expect=201)
    api.post("/v1/sources/shop/secrets", {"secret": secret, "label": "it"}, expect=201)
    return "/v1/hooks/" + made["id"]


def post(api, path, body, headers):
    answer = api.server.request("POST", path, body.encode(),
                                {"Content-Type": "application/json", **headers})
    return answer.status, json.loads(answer.body).get("status")


def test_stripe_signs_to_us(api, installed):
    secret = "whsec_0123456789abcdefghijklmnopqrstuv"
    path = source(api, "stripe", secret)
    body = json.dumps({"id": "evt_1", "object": "event", "type": "customer.created",
                       "created": NOW, "livemode": True, "data": {"object": {
                           "id": "cus_1", "object": "customer", "email": "zoë@example.com",
                           "name": "Zoë Ångström"}}}, ensure_ascii=False)

    def header(key):
        done = subprocess.run(["node", "stripe.mjs"], cwd=installed, check=True, text=True,
                              input=json.dumps({"secret": key, "body": body}) + "\n",
                              stdout=subprocess.PIPE)
        return {"Stripe-Signature": json.loads(done.stdout)["header"]}
    assert post(api, path, body, header(secret)) == (200, "applied")
    assert post(api, path, body, header(secret)) == (200, "duplicate")
    assert post(api, path, body, header(secret[:-1] + "w"))[0] == 401
    assert post(api, path, body + " ", header(secret))[0] == 401


BIGCOMMERCE = {"scope": "store/customer/created", "store_id": "1", "hash": "8768", "created_at": NOW,
               "producer": "stores/abc", "data": {"type": "customer", "id": 32}}
ETSY = {"event_type": "order.paid", "shop_id": 42, "resource_url":
        "https://openapi.etsy.com/v3/application/shops/42/receipts/54321"}


@pytest.mark.parametrize("platform,secret,for_library,event", [
    # BigCommerce's sample encodes the client secret, since the library decodes it.
    ("bigcommerce", "9a7ce1f0client", base64.b64encode(b"9a7ce1f0client").decode(), BIGCOMMERCE),
    ("etsy", "whsec_MTIzNDU2Nzg5MDEyMzQ1Ng==", "whsec_MTIzNDU2Nzg5MDEyMzQ1Ng==", ETSY),
])
def test_standard_webhooks_as_shops_use_it(api, installed, platform, secret, for_library, event):
    from standardwebhooks.webhooks import Webhook
    path = source(api, platform, secret)
    body, now = json.dumps(event), datetime.datetime.now(datetime.timezone.utc)

    def headers(number):
        return {"webhook-id": number, "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": Webhook(for_library).sign("msg_1", now, body)}
    assert post(api, path, body, headers("msg_1")) == (200, "applied")
    assert post(api, path, body, headers("msg_1")) == (200, "duplicate")
    assert post(api, path, body, headers("msg_2"))[0] == 401
