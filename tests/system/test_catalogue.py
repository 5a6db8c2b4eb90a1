"""The catalogue: a fold of product documents and stock levels, whoever tells it
and in whatever order."""

import json
import time

import pytest
from shopbell import Shopify, make_workspace


def stamp(second):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1780000000 + second))


def product(title, second, variants, ref=77):
    return {"id": ref, "title": title, "product_type": "Sports > Snowboards", "vendor": "Aurora",
            "handle": "liquid", "updated_at": stamp(second), "created_at": stamp(0),
            "image": {"src": "https://cdn.example/l.jpg"},
            "variants": [{"id": i, "title": f"{size} cm", "sku": f"LIQ-{size}", "price": price,
                          "compare_at_price": None, "inventory_item_id": i + 1000,
                          "inventory_quantity": stock} for i, size, price, stock in variants]}


def level(item, location, available, second):
    return {"inventory_item_id": item, "location_id": location, "available": available,
            "updated_at": stamp(second)}


FACTS = [
    ("products/create", product("Liquid", 1, [(1, 150, "749.95", 4), (2, 158, "749.95", 0)])),
    ("products/update", product("Liquid II", 9, [(1, 150, "699.00", 3), (3, 162, "799.00", 1)])),
    ("inventory_levels/update", level(1001, 36, 7, 5)),
    ("inventory_levels/update", level(1003, 36, 2, 12)),
    ("inventory_levels/update", level(1003, 40, 5, 11)),
    ("inventory_levels/update", level(1003, 36, 9, 10)),
]


def told(shopify, topic, body):
    return json.loads(shopify.send(topic, body).body)["status"]


def listed(api, query=""):
    return [{k: row[k] for k in ("product_id", "variant_id", "name", "variant_name", "price",
                                 "stock", "stock_by_location", "sku", "version_at")}
            for row in api.get("/v1/products" + query)["data"]]


def test_any_order_of_arrival_gives_one_catalogue(server):
    seen = []
    orders = [FACTS, FACTS[::-1], FACTS[3:] + FACTS[:3], FACTS[1:] + FACTS[:1]]
    for number, facts in enumerate(orders):
        api = make_workspace(server, f"catalogue{number}")
        shopify = Shopify(api)
        for place, (topic, body) in enumerate(facts):
            assert told(shopify, topic, body) == "applied", (number, place)
        seen.append(listed(api))
    assert all(rows == seen[0] for rows in seen), seen
    assert [(r["variant_id"], r["price"], r["stock"], r["stock_by_location"]) for r in seen[0]] == [
        # The document of second 9 is newer than the level of second 5.
        ("1", 699.0, 3, {"36": 7}),
        ("3", 799.0, 7, {"36": 2, "40": 5})]
    assert {r["name"] for r in seen[0]} == {"Liquid II"}
    shown = api.get("/v1/products?sku=LIQ-162")["data"][0]
    assert shown["source"] == "shopify_main" and shown["inventory_item_id"] == "1003"
    assert shown["category"] == ["Sports", "Snowboards"] and shown["variant_name"] == "162 cm"


def test_a_deletion_is_not_undone_by_what_came_before_it(api, shopify):
    topic, body = FACTS[0]
    assert told(shopify, topic, body) == "applied"
    assert told(shopify, "products/delete", {"id": 77}) == "applied"
    assert listed(api) == []
    shopify.send("products/update", {**body, "title": "Late"})
    assert listed(api) == []
    again = {**body, "updated_at": time.strftime("%Y-%m-%dT%H:%M:%SZ",
                                                time.gmtime(time.time() + 2))}
    time.sleep(2.1)
    shopify.send("products/update", again)
    assert [r["variant_id"] for r in listed(api)] == ["1", "2"]


def test_a_webhook_without_products_costs_no_statement(api, cluster, shopify):
    """While nobody may so much as read the tables, a customer gets through."""
    body = {"id": 900, "email": "c@example.com", "updated_at": stamp(20), "created_at": stamp(1)}
    connection = cluster.connect()
    try:
        connection.autocommit = False
        connection.cursor().execute("LOCK TABLE product, inventory_item IN ACCESS EXCLUSIVE MODE")
        assert told(shopify, "customers/update", body) == "applied"
        assert shopify.send(*FACTS[0]).status == 503
    finally:
        connection.rollback()
        connection.close()
    assert told(shopify, *FACTS[0]) == "applied"


def test_woocommerce_products_have_their_own_stock(api, woo):
    body = {"id": 12, "name": "Mug", "sku": "MUG", "price": "9.50", "regular_price": "12.00",
            "stock_quantity": 8, "stock_status": "instock", "categories": [{"name": "Kitchen"}],
            "permalink": "https://outlet.example/mug", "date_modified_gmt": "2026-05-01T10:00:00"}
    assert woo.send("product.updated", body)[1]["status"] == "applied"
    row = api.get("/v1/products?source=woo_outlet")["data"][0]
    assert (row["variant_id"], row["price"], row["compare_at_price"], row["stock"]) == \
        (None, 9.5, 12.0, 8)
    assert row["url"] == "https://outlet.example/mug" and row["category"] == ["Kitchen"]


def test_put_and_bulk_and_pages(api):
    body = {"name": "Chair", "price": "120.50", "currency": "EUR", "stock": 3,
            "category": ["Home", "Chairs"], "substitutes": ["c2"], "updated_at": stamp(5)}
    assert api.call("PUT", "/v1/sources/api/products/c1", body, 200).json["status"] == "applied"
    old = {**body, "name": "Stool", "updated_at": stamp(4)}
    api.call("PUT", "/v1/sources/api/products/c1", old, 200)
    row = api.get("/v1/products?product_id=c1")["data"][0]
    assert (row["name"], row["price"], row["stock"]) == ("Chair", 120.5, 3)
    assert row["category"] == ["Home", "Chairs"] and row["substitutes"] == ["c2"]
    fault = api.call("PUT", "/v1/sources/api/products/c1", {"price": "cheap"}, 422).json
    assert fault["errors"][0]["pointer"] == "#/properties/price"
    api.call("PUT", "/v1/sources/nobody/products/c1", body, 422)

    lines = [{"product_id": f"p{n:03}", "name": f"P{n}", "updated_at": stamp(n),
              "variants": [{"variant_id": "a", "sku": "SAME", "price": n},
                           {"variant_id": "b", "price": "1.25", "stock": n}]} for n in range(60)]
    text = "\n".join(json.dumps(line) for line in lines) + "\n{\"name\": \"no id\"}\nnonsense\n"
    assert api.call("POST", "/v1/products/bulk", text, 422).json["errors"]
    assert listed(api, "?product_id=p000") == []
    done = api.call("POST", "/v1/products/bulk?on_error=skip", text, 200).json
    assert done["events"]["applied"] == 60
    assert [r["pointer"] for r in done["rejected"]] == ["#/60/properties/product_id", "#/61"]
    page = api.get("/v1/products?page_size=50&include=total")
    assert page["total"] == {"count": 121, "exact": True}
    keys = [(r["product_id"], r["variant_id"]) for r in page["data"]]
    while page["next_page_token"]:
        page = api.get(f"/v1/products?page_size=50&page_token={page['next_page_token']}")
        keys += [(r["product_id"], r["variant_id"]) for r in page["data"]]
    assert len(keys) == 121 and keys == sorted(keys, key=lambda k: (k[0], k[1] or ""))
    assert len(api.get("/v1/products?sku=SAME&page_size=100")["data"]) == 60
    api.call("POST", "/v1/products/bulk", json.dumps({"product_id": "p001", "deleted": True}), 200)
    assert listed(api, "?product_id=p001") == []


def test_stock_of_our_own_products_by_location(api):
    def tell(body, second):
        answer = api.post("/v1/events", {"type": "inventory.updated", "occurred_at": stamp(second),
                                         "properties": body})
        assert answer["status"] == "applied", answer

    tell({"product_id": "c1", "variant_id": "red", "location": "paris", "stock": 4}, 8)
    api.call("PUT", "/v1/sources/api/products/c1",
             {"updated_at": stamp(1), "variants": [{"variant_id": "red", "stock": 9}]}, 200)
    tell({"product_id": "c1", "variant_id": "red", "location": "lyon", "stock": 2}, 7)
    row = listed(api)[0]
    assert (row["stock"], row["stock_by_location"]) == (6, {"paris": 4, "lyon": 2})


@pytest.mark.parametrize("form", ["ndjson", "csv"])
def test_a_file_of_products_twice_changes_nothing(api, server, tmp_path, form):
    rows = [("7", "Lamp", "", "19.90", "3"), ("8", "Desk", "oak", "300", "1"),
            ("8", "Desk", "ash", "280", "0"), ("9", "Bad", "", "a lot", "1")]
    if form == "csv":
        text = "Ref,Title,variant_id,price,stock,updated_at\n" + "".join(
            ",".join((*row, stamp(3))) + "\n" for row in rows)
        arguments = ["--map", "Ref=product_id,Title=name"]
    else:
        text = "\n".join(json.dumps(line) for line in [
            {"product_id": "7", "name": "Lamp", "price": 19.9, "stock": 3, "updated_at": stamp(3)},
            {"product_id": "8", "name": "Desk", "updated_at": stamp(3), "variants": [
                {"variant_id": "oak", "price": 300, "stock": 1},
                {"variant_id": "ash", "price": 280, "stock": 0}]},
            {"product_id": "9", "name": "Bad", "price": "a lot", "updated_at": stamp(3)}]) + "\n"
        arguments = []
    path = tmp_path / f"products.{form}"
    path.write_text(text)
    base = ["import", str(path), "--source", "api", "--kind", "products", "--workspace",
            api.workspace, "--yes", "--json", *arguments]
    dry = json.loads(server.command(*base, "--dry-run", check=False).stdout)
    assert dry["rejected"] == 1 and listed(api) == []
    first = json.loads(server.command(*base, check=False).stdout)
    assert first["events"] == {"applied": 2, "duplicate": 0} and first["rejected"] == 1
    rows = listed(api)
    assert [(r["product_id"], r["variant_id"], r["price"], r["stock"]) for r in rows] == [
        ("7", None, 19.9, 3), ("8", "ash", 280.0, 0), ("8", "oak", 300.0, 1)]
    again = json.loads(server.command(*base, check=False).stdout)
    assert again["events"] == {"applied": 0, "duplicate": 2}
    assert listed(api) == rows
