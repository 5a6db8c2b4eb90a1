#!/usr/bin/python3
"""Makes a file of signed Shopify webhooks, ready to be sent.

    payloads.py FILE --count 60000 --body-bytes 1300 --customers new:80

Everything that costs the sender time is done here: the file holds whole
HTTP/1.1 requests, each with its own order, its own webhook id and its
signature. Only the source's id in the request line is a placeholder (zeros),
which the reader overwrites; the signature does not cover it. The same
arguments make the same bytes.

--customers says who orders:
    new:P     P percent are customers never seen before in this file; the
              others are drawn evenly from those that were
    among:N   drawn evenly from customers 0 to N-1
    one:K     always customer K

--mix-key KEY makes a shop's day of it, in which orders are every fourth: half are
views of products in CATEGORIES categories, the rest mail opened and clicked and
carts, each an event of its own for /v1/events, sent with that key.

The file: "SBPAYLD1", then as little-endian 64-bit numbers the count, the first
order id and the body size; then for each request its length, the offset of its
body (both 32 bits), and its bytes. Order ids count up by one.
"""

import argparse
import base64
import hashlib
import hmac
import json
import os
import random
import struct
import time
import uuid

MAGIC = b"SBPAYLD1"
SECRET = "bench-shopify-client-secret"
SHOP = "bench.myshopify.com"
PLACEHOLDER = "00000000-0000-0000-0000-000000000000"
# A customer is a number of seven digits, so that all bodies are of one size
# and a stored profile can be copied by replacing the digits.
CUSTOMER_DIGITS = 7
CATEGORIES = 60

PRODUCTS = ["Trail runner", "Rain jacket", "Wool socks", "Day pack", "Head lamp", "Tent pegs",
            "Camp stove", "Sun hat"]
CITIES = [("Paris", "75011"), ("Lyon", "69003"), ("Lille", "59800"), ("Nantes", "44000")]
FIRST_NAMES = ["Jane", "Paul", "Lucie", "Marc", "Elena", "Hugo", "Ines", "Karim"]
WORDS = ["leave", "parcel", "door", "please", "neighbour", "gift", "wrap", "after", "six", "bell",
         "second", "floor", "ring", "twice", "thank", "you"]
LAST_NAMES = ["Durand", "Martin", "Petit", "Moreau", "Garcia", "Roux", "Blanc", "Henry"]


def instant(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(seconds))


def money_set(amount):
    money = {"amount": amount, "currency_code": "EUR"}
    return {"shop_money": money, "presentment_money": money}


def line_item(order_id, index, rng, rich):
    name = rng.choice(PRODUCTS)
    product = 8213868347000 + PRODUCTS.index(name)
    price = f"{rng.randrange(1000, 20000) / 100:.2f}"
    line = {"id": order_id * 10 + index, "product_id": product, "variant_id": product * 4 + index,
            "title": name, "sku": f"SKU-{product % 100:02d}-{index}", "vendor": "Aurora",
            "quantity": rng.randrange(1, 4), "price": price}
    if rich:
        line.update({
            "name": f"{name} - {38 + index}", "variant_title": str(38 + index),
            "fulfillable_quantity": 1, "fulfillment_service": "manual",
            "fulfillment_status": None, "gift_card": False, "grams": 420, "properties": [],
            "requires_shipping": True, "taxable": True, "total_discount": "0.00",
            "price_set": money_set(price),
            "tax_lines": [{"title": "TVA", "price": "4.20", "rate": 0.2}]})
    return line


def address(customer):
    city, postal_code = CITIES[customer % len(CITIES)]
    return {"first_name": FIRST_NAMES[customer % 8], "last_name": LAST_NAMES[customer // 8 % 8],
            "address1": f"{customer % 90 + 1} rue de la Paix", "city": city, "zip": postal_code,
            "country": "France", "country_code": "FR", "province": None, "province_code": None}


def order(order_id, customer, at, rng, options):
    """The members that matter first, then what Shopify says besides."""
    rich = options.body_bytes >= 3000
    lines = [line_item(order_id, i, rng, rich) for i in range(4 if rich else 1)]
    total = f"{sum(float(x['price']) * x['quantity'] for x in lines):.2f}"
    email = f"buyer{customer:0{CUSTOMER_DIGITS}d}@bench.example"
    place = address(customer)
    body = {"id": order_id, "admin_graphql_api_id": f"gid://shopify/Order/{order_id}",
            "name": f"#{order_id % 10000000}", "order_number": order_id % 10000000,
            "email": email, "created_at": instant(at), "processed_at": instant(at),
            "updated_at": instant(at), "cancelled_at": None, "currency": "EUR",
            "total_price": total, "subtotal_price": total, "total_tax": "0.00",
            "total_discounts": "0.00", "financial_status": "paid", "fulfillment_status": None,
            "source_name": "web", "customer_locale": "fr-FR",
            "customer": {"id": int(f"70000{customer:0{CUSTOMER_DIGITS}d}"), "email": email,
                         "first_name": place["first_name"], "last_name": place["last_name"],
                         "phone": None},
            "line_items": lines}
    if options.cart_tokens:
        body["cart_token"] = f"{rng.getrandbits(128):032x}"
        body["checkout_token"] = f"{rng.getrandbits(128):032x}"
    if rich:
        body.update({
            "customer": {**body["customer"], "verified_email": True, "tags": "",
                         "default_address": place},
            "billing_address": place, "shipping_address": place,
            "browser_ip": "203.0.113.7", "client_details": {
                "accept_language": "fr-FR", "browser_width": 1440, "browser_height": 900,
                "user_agent": "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/132.0"},
            "total_price_set": money_set(total), "subtotal_price_set": money_set(total),
            "total_shipping_price_set": money_set("0.00"), "discount_codes": [],
            "note_attributes": [], "fulfillments": [], "refunds": [], "shipping_lines": [
                {"title": "Standard", "code": "STD", "price": "0.00"}]})
    body["note"] = ""
    text = json.dumps(body, separators=(",", ":"))
    missing = options.body_bytes - len(text)
    if missing < 0:
        raise SystemExit(f"payloads.py: --body-bytes {options.body_bytes} is too small: "
                         f"the order alone is {len(text)}")
    words = " ".join(rng.choices(WORDS, k=missing // 4 + 1))
    return (text[:-2] + words[:missing] + '"}').encode()


def canonical_request(customer, at, rng, options):
    kind = rng.choices(["product.viewed", "email.opened", "email.clicked", "cart.updated"],
                       [50, 12, 3, 10])[0]
    properties = {}
    if kind == "product.viewed":
        category = rng.randrange(CATEGORIES)
        properties = {"product_id": f"P{category * 100 + rng.randrange(100)}",
                      "category": f"C{category}", "name": rng.choice(PRODUCTS),
                      "price": rng.randrange(1000, 20000) / 100}
    event = {"id": str(uuid.UUID(int=rng.getrandbits(128), version=4)), "type": kind,
             "occurred_at": instant(at), "properties": properties,
             "identities": {"email": f"buyer{customer:0{CUSTOMER_DIGITS}d}@bench.example"}}
    body = json.dumps(event, separators=(",", ":")).encode()
    head = ("POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {options.mix_key}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode()
    return head, head + body


def choose_customers(spec, count, rng):
    kind, _, number = spec.partition(":")
    number = int(number)
    if kind == "one":
        return [number] * count
    if kind == "among":
        return [rng.randrange(number) for _ in range(count)]
    if kind != "new":
        raise SystemExit(f"payloads.py: --customers {spec}: new:P, among:N or one:K is wanted")
    chosen, known = [], 0
    for _ in range(count):
        if known == 0 or rng.random() * 100 < number:
            chosen.append(known)
            known += 1
        else:
            chosen.append(rng.randrange(known))
    return chosen


def request(body, rng, at, options):
    digest = base64.b64encode(hmac.new(options.secret.encode(), body, hashlib.sha256).digest())
    webhook_id = uuid.UUID(int=rng.getrandbits(128), version=4)
    event_id = uuid.UUID(int=rng.getrandbits(128), version=4)
    head = (f"POST /v1/hooks/{PLACEHOLDER} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            "User-Agent: Shopify-Captain-Hook\r\nContent-Type: application/json\r\n"
            "X-Shopify-Topic: orders/create\r\n"
            f"X-Shopify-Hmac-Sha256: {digest.decode()}\r\n"
            f"X-Shopify-Shop-Domain: {SHOP}\r\nX-Shopify-API-Version: 2026-10\r\n"
            f"X-Shopify-Webhook-Id: {webhook_id}\r\nX-Shopify-Event-Id: {event_id}\r\n"
            f"X-Shopify-Triggered-At: {instant(at)[:19]}.000000000Z\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode()
    return head, head + body


def write(options):
    rng = random.Random(options.seed)
    customers = choose_customers(options.customers, options.count, rng)
    with open(options.file, "wb") as out:
        out.write(MAGIC + struct.pack("<QQQ", options.count, options.first_order,
                                      options.body_bytes))
        for i, customer in enumerate(customers):
            at = options.base_time - rng.randrange(3600)
            if options.mix_key and rng.randrange(4) > 0:
                head, whole = canonical_request(customer, at, rng, options)
            else:
                body = order(options.first_order + i, customer, at, rng, options)
                head, whole = request(body, rng, at, options)
            out.write(struct.pack("<II", len(whole), len(head)) + whole)
        # Or the kernel writes it out in the middle of a measurement, before the
        # database's commits.
        out.flush()
        os.fsync(out.fileno())


def arguments(argv=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--body-bytes", type=int, required=True)
    parser.add_argument("--customers", default="new:80")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first-order", type=int, default=5500000000001)
    parser.add_argument("--base-time", type=int, default=1795341600,
                        help="Unix seconds; orders are of the hour before")
    parser.add_argument("--no-cart-tokens", dest="cart_tokens", action="store_false")
    parser.add_argument("--secret", default=SECRET)
    parser.add_argument("--mix-key", metavar="KEY")
    return parser.parse_args(argv)


if __name__ == "__main__":
    write(arguments())
