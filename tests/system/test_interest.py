"""What a customer has to do with each product: kept with every event, whatever the
order in which they come, and told by GET /v1/profiles/{id}/interests."""

import itertools
import json
import random
import time

import pytest
from shopbell import Shopify, make_workspace, shopify_order, wait_for

numbers = itertools.count(1)


def iso(offset_s=0.0):
    moment = time.time() + offset_s
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + ".%03dZ" % (moment % 1 * 1000)


def fact(kind, who, at, key=None, **properties):
    return {"id": key or f"f{next(numbers)}", "type": kind, "occurred_at": at, "identities": who,
            "properties": properties}


def of(api, email="jane@example.com", query=""):
    profile = api.post("/v1/profiles/lookup", {"kind": "email", "value": email}, expect=200)["id"]
    return api.get(f"/v1/profiles/{profile}/interests{query}")["data"]


def one(api, email="jane@example.com", query=""):
    rows = of(api, email, query)
    assert len(rows) == 1, rows
    return rows[0]


JANE = {"email": "jane@example.com"}


def product(shopify, ref, stocks, at, category="Sports > Snowboards", price="749.95"):
    body = {"id": ref, "title": f"Product {ref}", "product_type": category, "updated_at": at,
            "created_at": at, "variants": [
                {"id": int(f"{ref}{n}"), "title": str(n), "sku": f"S{ref}{n}", "price": price,
                 "inventory_item_id": int(f"{ref}{n}00"), "inventory_quantity": stock}
                for n, stock in enumerate(stocks, 1)]}
    assert json.loads(shopify.send("products/update", body).body)["status"] == "applied"


def order_of(order_id, lines, at, **more):
    body = shopify_order(order_id, 7, "jane@example.com", "10.00", at=at, updated=at)
    body["line_items"] = [{"id": i, "product_id": p, "variant_id": v, "title": "x", "quantity": 1,
                           "price": "10.00"} for i, (p, v) in enumerate(lines)]
    return {**body, **more}


# --- what each fact says -------------------------------------------------------

def test_looks_carts_wishes_and_orders_of_one_product(api):
    api.call("POST", "/v1/events", [
        fact("product.viewed", JANE, iso(-900), product_id="77", variant_id="1", price=20,
             currency="EUR", in_stock=True),
        fact("product.viewed", JANE, iso(-500), product_id=77, variant_id=1, price="18.50",
             currency="EUR", in_stock=False),
        fact("product.viewed", JANE, iso(-800), product_id="77", variant_id="1"),
        fact("cart.product_added", JANE, iso(-700), product_id="77", variant_id="1", price=20),
        fact("wishlist.product_added", JANE, iso(-600), product_id="77", variant_id="1"),
        fact("order.completed", JANE, iso(-400), order_id="A", total=20, currency="EUR",
             products=[{"product_id": "77", "variant_id": "1", "price": 20, "quantity": 1}]),
    ], 200)
    row = one(api)
    assert {k: v is not None for k, v in row.items() if k.endswith("_at")} == {
        "viewed_at": True, "out_of_stock_seen_at": True, "carted_at": True, "wished_at": True,
        "bought_at": True, "substitute_bought_at": False}
    assert (row["view_count"], row["price_seen"], row["currency"]) == (3, 18.5, "EUR")
    assert row["out_of_stock_seen_at"] == row["viewed_at"]
    assert row["waiting"] is False  # bought since
    assert row["variant_id"] == "1" and row["name"] is None


def test_an_event_that_comes_again_is_one_look(api):
    look = fact("product.viewed", JANE, iso(-9), product_id="77")
    for _ in range(3):
        api.call("POST", "/v1/events", look, 200)
    api.call("POST", "/v1/events", [look, look], 200)
    assert one(api)["view_count"] == 1


def test_a_wish_taken_back_is_none_whichever_is_heard_of_first(api):
    for number, facts in enumerate(itertools.permutations([("added", -300), ("removed", -200)])):
        who = {"email": f"w{number}@example.com"}
        for kind, at in facts:
            api.call("POST", "/v1/events",
                     fact(f"wishlist.product_{kind}", who, iso(at), product_id="77"), 200)
        assert one(api, who["email"])["wished_at"] is None
        api.call("POST", "/v1/events",
                 fact("wishlist.product_added", who, iso(-100), product_id="77"), 200)
        assert one(api, who["email"])["wished_at"] is not None


def test_an_order_that_does_not_count_was_not_bought(api, shopify):
    first, second = iso(-9000), iso(-3000)
    shopify.send("orders/create", order_of(1, [(77, 771), (88, 881)], first))
    shopify.send("orders/create", order_of(2, [(77, 771)], second))
    bought = {r["product_id"]: r["bought_at"] for r in of(api)}
    assert bought["77"] > bought["88"]
    shopify.send("orders/cancelled", order_of(2, [(77, 771)], iso(-60), cancelled_at=iso(-60),
                                              created_at=second, processed_at=second))
    again = {r["product_id"]: r["bought_at"] for r in of(api)}
    assert again == {"77": bought["88"], "88": bought["88"]}  # the first order's
    shopify.send("orders/updated", order_of(1, [(77, 771)], iso(-30), created_at=first,
                                            processed_at=first))
    assert [r["product_id"] for r in of(api)] == ["77"]  # the line went, nothing else was known
    shopify.send("orders/cancelled", order_of(1, [(77, 771)], iso(-20), cancelled_at=iso(-20),
                                              created_at=first, processed_at=first))
    assert of(api) == []


def test_a_cart_webhook_says_so_of_each_line(api, shopify):
    shopify.send("checkouts/create", {
        "token": "t1", "email": "jane@example.com", "currency": "EUR", "created_at": iso(-60),
        "updated_at": iso(-60), "line_items": [
            {"product_id": 77, "variant_id": 771, "title": "x", "quantity": 2, "price": "9.00"},
            {"product_id": 88, "variant_id": 881, "title": "y", "quantity": 1, "price": "9.00"}]})
    assert {(r["product_id"], r["variant_id"]) for r in of(api)} == {("77", "771"), ("88", "881")}
    assert all(r["carted_at"] and not r["viewed_at"] and r["view_count"] == 0 for r in of(api))


# --- stock ---------------------------------------------------------------------

@pytest.mark.parametrize("properties, sold_out", [
    ({"in_stock": False}, True), ({"in_stock": True}, False), ({"available": False}, True),
    ({"availability": "https://schema.org/OutOfStock"}, True), ({"availability": "Sold Out"}, True),
    ({"availability": "InStock"}, False), ({"stock": 0}, True), ({"stock": 3}, False),
    ({}, False)])
def test_the_page_says_whether_it_was_in_stock(api, properties, sold_out):
    api.call("POST", "/v1/events", fact("product.viewed", JANE, iso(-5), product_id="77",
                                        **properties), 200)
    assert (one(api)["out_of_stock_seen_at"] is not None) == sold_out
    assert one(api)["waiting"] == sold_out


def test_else_the_catalogue_does(api, shopify):
    product(shopify, 77, [0, 5], iso(-3600))
    product(shopify, 88, [0, 0], iso(-3600))
    looks = [("v", "77", "771", -10), ("v", "77", "772", -10), ("v", "77", None, -10),
             ("v", "88", None, -10), ("old", "77", "771", -7200), ("v", "99", None, -10)]
    for name, ref, variant, at in looks:
        who = {"email": f"{name}{ref}{variant}@example.com"}
        more = {"variant_id": variant} if variant else {}
        api.call("POST", "/v1/events", fact("product.viewed", who, iso(at), product_id=ref,
                                            **more), 200)
    seen = {f"{n}{r}{v}": one(api, f"{n}{r}{v}@example.com")["waiting"] for n, r, v, _ in looks}
    # Of a product as a whole: sold out when all of it is. Not of looks before that.
    assert seen == {"v77771": True, "v77772": False, "v77None": False, "v88None": True,
                    "old77771": False, "v99None": False}
    # The page's rows stand under the shop that knows the product.
    assert one(api, "v77771@example.com")["source"] == "shopify_main"
    assert one(api, "v99None@example.com")["source"] != "shopify_main"


def test_what_was_bought_in_its_place(api, shopify):
    product(shopify, 77, [0, 5], iso(-3600))
    product(shopify, 88, [3], iso(-3600))
    product(shopify, 99, [3], iso(-3600), category="Books")
    api.call("POST", "/v1/events", fact("product.viewed", JANE, iso(-600), product_id="77",
                                        variant_id="771"), 200)
    shopify.send("orders/create", order_of(1, [(99, 991)], iso(-500)))
    assert one(api, query="?product_id=77")["waiting"] is True
    shopify.send("orders/create", order_of(2, [(88, 881)], iso(-400)))
    row = one(api, query="?product_id=77")
    assert row["substitute_bought_at"] == one(api, query="?product_id=88")["bought_at"]
    assert row["waiting"] is False
    assert one(api, query="?product_id=88")["substitute_bought_at"] is None
    # Another size is one too.
    who = {"email": "max@example.com"}
    api.call("POST", "/v1/events", [
        fact("product.viewed", who, iso(-600), product_id="77", variant_id="771"),
    ], 200)
    body = order_of(3, [(77, 772)], iso(-300))
    body["email"] = body["contact_email"] = "max@example.com"
    body["customer"] = {"id": 8, "email": "max@example.com"}
    shopify.send("orders/create", body)
    rows = {r["variant_id"]: r for r in of(api, "max@example.com")}
    assert rows["771"]["substitute_bought_at"] == rows["772"]["bought_at"]


# --- whose they are --------------------------------------------------------------

def test_a_login_brings_what_was_looked_at_before_and_can_be_undone(api):
    visitor = {"anonymous_id": "a-1"}
    api.call("POST", "/v1/events", [
        fact("product.viewed", JANE, iso(-900), product_id="77", price=20, currency="EUR"),
        fact("product.viewed", visitor, iso(-800), product_id="77", price=30, currency="EUR"),
        fact("product.viewed", visitor, iso(-700), product_id="88"),
    ], 200)
    assert one(api)["view_count"] == 1
    api.call("POST", "/v1/events", fact("page.viewed", {**JANE, **visitor}, iso(-600)), 200)
    rows = {r["product_id"]: r for r in of(api)}
    assert (rows["77"]["view_count"], rows["77"]["price_seen"]) == (2, 30.0)
    assert rows["88"]["view_count"] == 1
    profile = api.post("/v1/profiles/lookup", {"kind": "email", "value": JANE["email"]},
                       expect=200)["id"]
    merge = next(m for m in api.get(f"/v1/profiles/{profile}/merges")["data"]
                 if m["kind"] == "merged")
    api.call("POST", f"/v1/profiles/{profile}/unmerge", {"merge_id": merge["id"]}, 200)
    sides = {(r["product_id"], r["view_count"])
             for side in (merge["from_id"], merge["into_id"])
             for r in api.get(f"/v1/profiles/{side}/interests")["data"]}
    assert sides == {("77", 1), ("88", 1)}


def test_an_order_that_the_shop_gives_to_another_customer_goes_with_it(api):
    first = {"external_id": "u1", "email": "jane@example.com"}
    second = {"external_id": "u2", "email": "paul@example.com"}
    body = {"order_id": "A", "total": 20, "currency": "EUR",
            "products": [{"product_id": "77", "quantity": 1}]}
    api.call("POST", "/v1/events", fact("page.viewed", second, iso(-999)), 200)
    api.call("POST", "/v1/events", fact("order.completed", first, iso(-900), **body), 200)
    assert one(api)["bought_at"]
    api.call("POST", "/v1/events", fact("order.updated", second, iso(-100), **body), 200)
    assert of(api) == [] and one(api, "paul@example.com")["bought_at"]


# --- reading ------------------------------------------------------------------------

def test_pages_filters_and_faults(api, shopify):
    for n in range(7):
        api.call("POST", "/v1/events", fact("product.viewed", JANE, iso(-700 + n),
                                            product_id=f"p|{n}", variant_id="v"), 200)
    profile = api.post("/v1/profiles/lookup", {"kind": "email", "value": JANE["email"]},
                       expect=200)["id"]
    path = f"/v1/profiles/{profile}/interests"
    seen, token = [], ""
    while token is not None:
        page = api.get(f"{path}?page_size=3{token and '&page_token=' + token}")
        seen += [r["product_id"] for r in page["data"]]
        token = page["next_page_token"]
    assert seen == [f"p|{n}" for n in reversed(range(7))]
    assert [r["product_id"] for r in api.get(f"{path}?product_id=p%7C3")["data"]] == ["p|3"]
    assert api.get(f"{path}?source=shopify_main")["data"] == []
    assert api.call("GET", f"{path}?source=nobody", expect=404)
    assert api.call("GET", f"{path}?sku=x", expect=422)
    assert api.call("GET", "/v1/profiles/0198c1f0-7c1e-7b3a-9d55-5f3b2a1c9e10/interests",
                    expect=404)


def test_names_of_interest_are_offered_to_triggers_alone(api):
    for context, offers in (("rule", False), ("filter", False), ("trigger", True)):
        told = {n["name"] for n in api.get(f"/v1/names?context={context}")["names"]}
        assert ({"interest.waiting", "product.price"} <= told) == offers, context
        assert any(n.startswith(("interest.", "product.")) for n in told) == offers
    fault = api.call("PUT", "/v1/rules/x", {"kind": "segment", "title": "x",
                                            "when": "interest.waiting"}, 422).json
    assert "interest.* exists only in triggers" in fault["detail"]


# --- any order of arrival, against a naive oracle -----------------------------------

KINDS = ["product.viewed", "product.viewed", "product.viewed", "cart.product_added",
         "wishlist.product_added", "wishlist.product_removed", "cart.updated"]


def make_story(rng, tag):
    """Facts of three visitors, two of whom turn out to be one; in no order."""
    people = [{"email": f"{tag}a@example.com"}, {"anonymous_id": f"{tag}b"},
              {"email": f"{tag}c@example.com"}]
    facts = []
    for n in range(60):
        kind = rng.choice(KINDS)
        properties = {"product_id": rng.choice("pqr")}
        if rng.random() < 0.5:
            properties["variant_id"] = rng.choice("12")
        if kind == "product.viewed":
            properties["in_stock"] = rng.random() < 0.5
            if rng.random() < 0.7:
                properties.update(price=rng.randint(1, 3), currency="EUR")
        if kind == "cart.updated":
            properties = {"products": [dict(properties, quantity=1, price=1), {
                "product_id": rng.choice("pqr"), "quantity": rng.choice([0, 1]), "price": 1}]}
        facts.append(fact(kind, rng.choice(people), iso(-rng.randint(500, 520)), f"{tag}-{n}",
                          **properties))
    for n in range(6):
        version = 0
        lines = [{"product_id": rng.choice("pqr"), "quantity": 1, "price": 5}
                 for _ in range(rng.randint(1, 3))]
        placed = iso(-rng.randint(300, 320))
        for _ in range(rng.randint(1, 3)):
            version += 1
            if rng.random() < 0.3:
                lines = lines[1:]
            body = {"order_id": f"{tag}o{n}", "total": 5, "currency": "EUR", "placed_at": placed,
                    "products": lines}
            facts.append(fact("order.completed" if version == 1 else "order.updated",
                              people[n % 2 * 2], iso(-200 + version), f"{tag}-o{n}-{version}",
                              **body))
        if rng.random() < 0.3:
            facts.append(fact("order.cancelled", people[n % 2 * 2], iso(-100), f"{tag}-x{n}",
                              order_id=f"{tag}o{n}"))
    return people, facts


def oracle(facts, whose):
    """{(product, variant): row} of those whose facts these are."""
    rows, orders = {}, {}

    def row(line):
        key = (line["product_id"], line.get("variant_id"))
        return rows.setdefault(key, {"viewed_at": [], "prices": [], "out": [], "carted_at": [],
                                     "wished_at": [], "unwished_at": [], "bought_at": []})

    for f in facts:
        if f["identities"] not in whose:
            continue
        at, properties = f["occurred_at"], f["properties"]
        if f["type"].startswith("order."):
            order = orders.setdefault(properties["order_id"], {"at": "", "gone": False})
            if f["type"] == "order.cancelled":
                order["gone"] = True
            elif at > order["at"]:
                order.update(at=at, body=properties)
            continue
        lines = properties.get("products", [properties])
        for line in lines:
            if line.get("quantity") == 0:
                continue
            if f["type"] == "product.viewed":
                row(line)["viewed_at"].append(at)
                if "price" in line:
                    row(line)["prices"].append((at, line["price"]))
                if not line["in_stock"]:
                    row(line)["out"].append(at)
            elif f["type"].startswith("cart."):
                row(line)["carted_at"].append(at)
            else:
                kind = "wished_at" if f["type"].endswith("added") else "unwished_at"
                row(line)[kind].append(at)
    for order in orders.values():
        if not order["gone"]:
            for line in order["body"]["products"]:
                row(line)["bought_at"].append(order["body"]["placed_at"])
    told = {}
    for key, r in rows.items():
        wished, unwished = max(r["wished_at"], default=""), max(r["unwished_at"], default="")
        told[key] = {
            "viewed_at": max(r["viewed_at"], default=None), "view_count": len(r["viewed_at"]),
            "out_of_stock_seen_at": max(r["out"], default=None),
            "price_seen": max(r["prices"])[1] if r["prices"] else None,
            "carted_at": max(r["carted_at"], default=None),
            "wished_at": wished if wished and wished >= unwished else None,
            "bought_at": max(r["bought_at"], default=None)}
    return told


def as_told(api, email):
    keys = ["viewed_at", "view_count", "out_of_stock_seen_at", "price_seen", "carted_at",
            "wished_at", "bought_at"]
    return {(r["product_id"], r["variant_id"]): {k: r[k] for k in keys} for r in of(api, email)}


@pytest.mark.parametrize("seed", range(4))
def test_any_order_of_arrival_gives_what_the_facts_say(server, seed):
    rng = random.Random(seed)
    api = make_workspace(server, f"interest{seed}")
    tag = f"s{seed}"
    people, facts = make_story(rng, tag)
    arrival = facts + rng.sample(facts, 20)
    rng.shuffle(arrival)
    login = fact("page.viewed", {**people[0], **people[1]}, iso(-5), f"{tag}-login")
    arrival.insert(rng.randrange(len(arrival)), login)
    while arrival:
        size = rng.choice([1, 5, 30])
        api.call("POST", "/v1/events", arrival[:size], 200)
        arrival = arrival[size:]
    joined = oracle(facts, [people[0], people[1]])
    assert as_told(api, people[0]["email"]) == joined, seed
    assert as_told(api, people[2]["email"]) == oracle(facts, [people[2]]), seed
    checked = json.loads(server.command("check", "--workspace", api.workspace, "--json",
                                        check=False).stdout)
    assert checked["differences"] == [] and checked["checked"] == 2


def test_check_finds_and_mends_what_somebody_broke(server, cluster):
    api = make_workspace(server, "interestcheck")
    people, facts = make_story(random.Random(9), "broken")
    api.call("POST", "/v1/events", facts, 200)
    before = as_told(api, people[0]["email"])
    assert before == oracle(facts, [people[0]])
    cluster.query("UPDATE interest SET view_count = 99, bought_at = now(), carted_at = NULL"
                  " WHERE workspace_id = (SELECT id FROM workspace WHERE name = 'interestcheck')"
                  " AND view_count > 0")
    done = server.command("check", "--workspace", "interestcheck", "--json", check=False)
    assert done.returncode == 1 and "interest in " in done.stdout
    server.command("check", "--workspace", "interestcheck", "--repair", check=False)
    assert as_told(api, people[0]["email"]) == before
    assert server.command("check", "--workspace", "interestcheck", check=False).returncode == 0
