"""shopbell check: what is stored is what the history says, and when somebody broke
a row, it says which and mends it without a bell."""

import itertools
import json
import time

import pytest
from shopbell import Shopify, make_workspace, shopify_order, wait_for

VIEWS = 'count(product.viewed where category = "Shoes" within 30d) >= 3'
CUSTOMERS = 12
counter = itertools.count(1)


def iso(offset_s):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + offset_s))


def event(kind, number, name, offset_s, **properties):
    return {"id": f"{kind}-{number}-{name}", "type": kind, "occurred_at": iso(offset_s),
            "identities": {"email": f"c{number}@example.com"}, "properties": properties}


def check(server, api, *arguments, code=0):
    done = server.command("check", "--workspace", api.workspace, "--json", *arguments, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def shop(server):
    name = f"checked{next(counter)}"
    api = make_workspace(server, name)
    for name, when in (("shoes", VIEWS), ("spent", "sum(order.completed.total within 90d) > 100"),
                       ("readers", "engagement.score >= 1"),
                       ("again", "age(last_seen_at) > 20d")):
        api.call("PUT", f"/v1/rules/{name}", {"kind": "segment", "title": name, "when": when}, 201)
    time.sleep(0.6)  # every thread has heard of the rules
    shopify = Shopify(api, name="shop")
    for n in range(CUSTOMERS):
        api.call("POST", "/v1/events", [
            *(event("product.viewed", n, v, -3600 - v, category="Shoes", price=20 + v,
                    product_id=f"p{v}") for v in range(n % 5)),
            event("email.opened", n, 1, -7200),
            {**event("preference.updated", n, 1, -100),
             "preferences": {"interests": ["premium"]}},
            {**event("page.viewed", n, 1, -50), "context": {"platform": "ios"}},
        ], 200)
        order = shopify_order(9_000 + n, 500 + n, f"c{n}@example.com", f"{60 + 10 * n}.00",
                              at=iso(-1800), updated=iso(-1800))
        shopify.send("orders/create", order)
        if n % 3 == 0:
            shopify.send("orders/cancelled", {**order, "cancelled_at": iso(-900),
                                              "updated_at": iso(-900)})
    return api


def profile_id(api, number):
    return api.post("/v1/profiles/lookup", {"kind": "email", "value": f"c{number}@example.com"},
                    expect=200)["id"]


def test_what_is_stored_is_what_the_history_says(server, shop):
    wait_for(lambda: check(server, shop)["waiting"] == 0, 20)
    found = check(server, shop)
    assert found["checked"] == CUSTOMERS
    assert (found["differences"], found["differing"]) == ([], 0)
    assert check(server, shop, "--sample", "5")["checked"] == 5


@pytest.mark.parametrize("what, sql", [
    ("orders.revenue (minor)", "UPDATE profile SET orders_gross_minor = 7 WHERE id = %s"),
    ("orders.count", "UPDATE profile SET orders_count = 9 WHERE id = %s"),
    ("last_seen_at", "UPDATE profile SET last_seen_at = '2020-01-01Z' WHERE id = %s"),
    ("due_at", "UPDATE profile SET due_at = NULL WHERE id = %s"),
    ("labels", "UPDATE profile SET segments = '{}' WHERE id = %s"),
    ("labels", "UPDATE profile SET lifecycle = 'churned' WHERE id = %s"),
    ("memberships", "DELETE FROM membership WHERE profile_id = %s"),
    ("memberships", "UPDATE membership SET since = '2020-01-01Z' WHERE profile_id = %s"),
    ("indicators", "DELETE FROM interaction WHERE type = 'email.opened' AND origin_id = %s"),
    ("rule shoes", "DELETE FROM interaction WHERE type = 'product.viewed' AND origin_id = %s"),
    ("fact interests", "DELETE FROM interaction WHERE type = 'preference.updated'"
                       " AND origin_id = %s"),
])
def test_a_broken_row_is_found_and_mended(server, shop, cluster, esp, what, sql):
    esp.subscribe(shop, ["*"])
    wait_for(lambda: check(server, shop)["waiting"] == 0, 20)
    broken = profile_id(shop, 4)
    time.sleep(0.3)
    heard = len(esp.messages)
    cluster.query(sql, broken)
    found = check(server, shop, code=1)
    assert {d["profile_id"] for d in found["differences"]} == {broken}
    assert what in {d["what"] for d in found["differences"]}, found["differences"]
    assert found["differing"] == 1 and found["repaired"] == 0

    assert check(server, shop, "--repair")["repaired"] == 1
    again = check(server, shop)
    assert (again["differences"], again["checked"]) == ([], CUSTOMERS)
    causes = [row[0] for row in cluster.query(
        "SELECT cause FROM transition WHERE profile_id = %s AND rule = 'shoes'"
        " ORDER BY decided_at", broken)]
    assert causes == (["event", "manual"] if what == "rule shoes" else ["event"])
    time.sleep(0.5)
    assert len(esp.messages) == heard, "a repair rings nothing"


def test_a_sample_is_a_number(server, shop):
    done = server.command("check", "--workspace", shop.workspace, "--sample", "few", check=False)
    assert done.returncode == 2 and "--sample" in done.stderr
