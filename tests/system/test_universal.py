"""Facts about the world: what the catalogue tells when stock and prices change, and what
is posted. Each once, with its cause."""

import json
import re
import threading
import time
import uuid

import pytest
from shopbell import Api, Shopify, make_workspace
from test_plans import preprocessed

BEGIN = 1780000000


def stamp(second):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(BEGIN + second))


def told(api, query=""):
    """(type, variant, occurred_at in seconds), the oldest first."""
    rows = api.get("/v1/universal-events" + query)["data"][::-1]
    return [(r["type"].removeprefix("product."), r["variant_id"],
             int(time.mktime(time.strptime(r["occurred_at"][:19], "%Y-%m-%dT%H:%M:%S"))
                 - time.timezone) - BEGIN) for r in rows]


def put(api, second, ref="c1", expect="applied", **more):
    body = {"name": "Chair", "currency": "EUR", "updated_at": stamp(second), **more}
    answer = api.call("PUT", f"/v1/sources/api/products/{ref}", body, 200).json
    assert answer["status"] == expect


def level(api, second, stock, ref="c1", **more):
    answer = api.post("/v1/events", {"type": "inventory.updated", "occurred_at": stamp(second),
                                     "properties": {"product_id": ref, "stock": stock, **more}})
    assert answer["status"] == "applied"


def settle(api, **settings):
    return api.call("PATCH", f"/v1/workspaces/{api.workspace}", {"catalogue": settings},
                    200).json["catalogue"]


# --- stock -------------------------------------------------------------------------------

def snowboard(second, medium, large):
    return {"id": 77, "title": "Liquid", "product_type": "Sports > Snowboards", "handle": "liquid",
            "updated_at": stamp(second), "created_at": stamp(0),
            "image": {"src": "https://cdn.example/l.jpg"},
            "variants": [{"id": i, "title": size, "sku": f"LIQ-{size}", "price": "749.90",
                          "compare_at_price": "800.00", "inventory_item_id": i + 1000,
                          "inventory_quantity": stock}
                         for i, size, stock in ((1, "M", medium), (2, "XL", large))]}


def available(item, stock, second):
    return {"inventory_item_id": item, "location_id": 36, "available": stock,
            "updated_at": stamp(second)}


def test_a_stock_webhook_tells_once_that_its_variant_is_back(api):
    shopify = Shopify(api)
    assert shopify.send("products/create", snowboard(1, 0, 0)).status == 200
    assert told(api) == []
    for _ in range(2):  # the same webhook, as Shopify repeats it
        assert shopify.send("inventory_levels/update", available(1002, 5, 20),
                            webhook_id="one").status == 200
    # And the same fact in another webhook, and late ones.
    shopify.send("inventory_levels/update", available(1002, 5, 20))
    shopify.send("inventory_levels/update", available(1002, 0, 10))
    shopify.send("products/update", snowboard(5, 3, 0))
    # Of M the document of second 5 tells; of XL the level is newer.
    assert told(api) == [("back_in_stock", "1", 5), ("back_in_stock", "2", 20)]
    event = api.get("/v1/universal-events?product_id=77&page_size=1")["data"][0]
    properties = event.pop("properties")
    assert properties == {
        "product_id": "77", "variant_id": "2", "sku": "LIQ-XL", "name": "Liquid",
        "variant_name": "XL", "category": ["Sports", "Snowboards"], "brand": None,
        "url": properties["url"], "image_url": "https://cdn.example/l.jpg", "price": 749.9,
        "compare_at_price": 800.0, "currency": properties["currency"], "stock": 5,
        "previous_price": None, "previous_stock": 0, "deleted": False}
    assert (event["source"], event["sku"], event["selector"], event["posted_id"]) == \
        ("shopify_main", "LIQ-XL", {}, None)
    assert uuid.UUID(event["id"]).version == 8
    assert api.get(f"/v1/universal-events/{event['id']}")["properties"] == properties


def test_a_flapping_stock_is_told_once_within_the_quiet_time(api):
    put(api, 0, stock=0)
    for minute, stock in enumerate((3, 0, 2, 0, 4), 1):
        level(api, 60 * minute, stock)
    assert told(api) == [("back_in_stock", None, 60), ("out_of_stock", None, 120)]
    # What was passed over is compared again with the next word behind the quiet time.
    level(api, 60 + 3600, 4)
    level(api, 120 + 3600, 0)
    assert told(api)[2:] == [("back_in_stock", None, 3660), ("out_of_stock", None, 3720)]


def test_back_is_what_reaches_the_minimum_and_uncounted_is_neither(api):
    assert settle(api, back_in_stock_min=3, quiet="0s")["back_in_stock_min"] == 3
    put(api, 0, stock=0)
    level(api, 10, 2)
    level(api, 20, 3)
    level(api, 30, 1)  # still in stock
    level(api, 40, -2)
    assert told(api) == [("back_in_stock", None, 20), ("out_of_stock", None, 40)]
    put(api, 50, ref="u1")  # nobody counts it
    put(api, 60, ref="u1", stock=5)
    put(api, 70, ref="u1")
    assert told(api)[2:] == []
    put(api, 80, ref="u1", stock=0)  # told as in stock, and now it is not
    assert told(api)[2:] == [("out_of_stock", None, 80)]


def test_what_is_deleted_is_out_of_stock_and_may_come_back(api):
    settle(api, quiet="0s")
    put(api, 1, variants=[{"variant_id": "m", "stock": 2, "price": 10},
                          {"variant_id": "xl", "stock": 0, "price": 10}])
    put(api, 2, variants=[{"variant_id": "xl", "stock": 0, "price": 10}])  # no m any more
    assert told(api) == [("out_of_stock", "m", 2)]
    put(api, 3, variants=[{"variant_id": "m", "stock": 2, "price": 5},
                          {"variant_id": "xl", "stock": 1, "price": 10}])
    assert sorted(told(api)[1:]) == [("back_in_stock", "m", 3), ("back_in_stock", "xl", 3),
                                     ("price_dropped", "m", 3)]
    line = json.dumps({"product_id": "c1", "deleted": True, "updated_at": stamp(9)})
    api.call("POST", "/v1/products/bulk", line, 200)
    assert sorted(told(api)[4:]) == [("out_of_stock", "m", 9), ("out_of_stock", "xl", 9)]
    gone = api.get("/v1/universal-events?type=product.out_of_stock")["data"][0]["properties"]
    assert (gone["deleted"], gone["stock"], gone["name"]) == (True, 0, "Chair")


def test_two_shops_with_one_sku_speak_for_themselves(api):
    api.post("/v1/sources", {"name": "outlet", "platform": "standard_webhooks"}, expect=201)
    for source, second in (("api", 1), ("outlet", 2)):
        for stock in (0, 4):
            body = {"updated_at": stamp(second + stock), "sku": "SAME", "stock": stock}
            api.call("PUT", f"/v1/sources/{source}/products/p", body, 200)
    rows = api.get("/v1/universal-events")["data"]
    assert [(r["source"], r["sku"]) for r in rows] == [("outlet", "SAME"), ("api", "SAME")]
    assert len(api.get("/v1/universal-events?source=outlet")["data"]) == 1


# --- prices ------------------------------------------------------------------------------

def test_prices_tell_from_a_percentage_and_an_amount_on(api):
    put(api, 0, price=100)
    put(api, 10, price="99.50")     # half a per cent
    put(api, 20, price="99.00")     # one per cent of what was last told
    put(api, 30, price="120.00")
    put(api, 40, price="90.00", currency="USD")  # cannot be compared
    put(api, 50, price="45.00", currency="USD")  # quiet: it dropped half a minute ago
    put(api, 4000, price="45.00", currency="USD")
    assert told(api) == [("price_dropped", None, 20), ("price_raised", None, 30),
                         ("price_dropped", None, 4000)]
    rows = api.get("/v1/universal-events?type=product.price_dropped")["data"]
    assert [(r["properties"]["previous_price"], r["properties"]["price"]) for r in rows] == \
        [(90.0, 45.0), (100.0, 99.0)]
    settle(api, price_change_amount=2.5, quiet="0s")
    put(api, 5000, ref="yen", price=1000, currency="JPY")
    put(api, 5010, ref="yen", price=998, currency="JPY")
    put(api, 5020, ref="yen", price=990, currency="JPY")
    put(api, 5030, ref="din", price="10.000", currency="KWD")
    put(api, 5040, ref="din", price="7.501", currency="KWD")
    put(api, 5050, ref="din", price="7.5", currency="KWD")
    assert told(api)[3:] == [("price_dropped", None, 5020), ("price_dropped", None, 5050)]
    newest = api.get("/v1/universal-events?product_id=din")["data"][0]["properties"]
    assert (newest["previous_price"], newest["price"]) == (10.0, 7.5)


def test_an_import_tells_nothing_and_is_learnt(api, server, tmp_path):
    put(api, 0, stock=0, price=100)
    path = tmp_path / "products.ndjson"
    path.write_text(json.dumps({"product_id": "c1", "name": "Chair", "currency": "EUR",
                                "price": 50, "stock": 9, "updated_at": stamp(10)}) + "\n")
    server.command("import", str(path), "--source", "api", "--kind", "products", "--workspace",
                   api.workspace, "--yes")
    level(api, 20, 8)
    put(api, 30, stock=8, price="49.80")
    assert told(api) == []
    level(api, 40, 0)
    assert told(api) == [("out_of_stock", None, 40)]


# --- settings ----------------------------------------------------------------------------

def test_settings_are_checked_and_can_be_set_at_the_desk(api, server):
    usual = {"back_in_stock_min": 1, "price_change_percent": 1.0, "price_change_amount": 0.0,
             "quiet": "1h"}
    assert api.get(f"/v1/workspaces/{api.workspace}")["catalogue"] == usual
    for member, value in (("back_in_stock_min", 0), ("back_in_stock_min", 1.5),
                          ("price_change_percent", 100.01), ("price_change_percent", 1.005),
                          ("price_change_percent", "1"), ("price_change_amount", -1),
                          ("quiet", "31d"), ("quiet", 5), ("loud", True)):
        fault = api.call("PATCH", f"/v1/workspaces/{api.workspace}",
                         {"catalogue": {member: value}}, 422).json
        assert fault["errors"][0]["pointer"] == f"#/catalogue/{member}", fault
    assert settle(api, price_change_percent=0.07) == {**usual, "price_change_percent": 0.07}
    server.command("workspace", "update", api.workspace, "--back-in-stock-min", "4",
                   "--price-change-percent", "2.5", "--price-change-amount", "1",
                   "--catalogue-quiet", "30m")
    assert api.get(f"/v1/workspaces/{api.workspace}")["catalogue"] == {
        "back_in_stock_min": 4, "price_change_percent": 2.5, "price_change_amount": 1.0,
        "quiet": "30m"}


# --- two writers -------------------------------------------------------------------------

def test_two_writers_tell_a_crossing_once(api):
    """Documents and levels of the same products at once, by many hands."""
    count = 12
    for n in range(count):
        put(api, 0, ref=f"p{n}", price=100, stock=0)

    def work(kind):
        for n in range(count):
            for second in (10, 20):
                if kind == "document":
                    put(api, second, ref=f"p{n}", price=80, stock=3)
                else:
                    level(api, second, 3, ref=f"p{n}")

    threads = [threading.Thread(target=work, args=(kind,))
               for kind in ("document", "level") * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = api.get("/v1/universal-events?page_size=1000")["data"]
    facts = sorted((r["product_id"], r["type"]) for r in rows)
    assert facts == sorted((f"p{n}", f"product.{kind}") for n in range(count)
                           for kind in ("back_in_stock", "price_dropped"))


# --- posting -----------------------------------------------------------------------------

def storm(**more):
    return {"id": "meteo-2026-11-22-FR-75", "type": "weather.changed", "occurred_at": stamp(0),
            "expires_at": stamp(86400), "selector": {"regions": ["FR-75", "FR-92"],
                                                     "postal_prefixes": [], "segments": [],
                                                     "products": []},
            "properties": {"condition": "rain", "from": stamp(3600)}, **more}


def test_a_post_is_kept_once(api):
    first = api.post("/v1/universal-events", storm(), 202)
    assert first == {"event_id": first["event_id"], "status": "applied", "jobs": []}
    again = api.post("/v1/universal-events", storm(properties={}), 202)
    assert again == {**first, "status": "duplicate"}
    shown = api.get(f"/v1/universal-events/{first['event_id']}")
    assert shown.pop("recorded_at") and shown == {
        "id": first["event_id"], "type": "weather.changed", "source": "api",
        "posted_id": "meteo-2026-11-22-FR-75", "product_id": None, "variant_id": None,
        "sku": None, "occurred_at": stamp(0)[:-1] + ".000Z",
        "expires_at": stamp(86400)[:-1] + ".000Z",
        "selector": {"regions": ["FR-75", "FR-92"]},
        "properties": {"condition": "rain", "from": stamp(3600)}}
    # Another poster's id is another's.
    api.post("/v1/sources", {"name": "meteo", "platform": "standard_webhooks"}, expect=201)
    other = api.post("/v1/universal-events?source=meteo", storm(), 202)
    assert other["status"] == "applied" and other["event_id"] != first["event_id"]
    # A time to come is clamped to now, as of other events.
    ahead = api.post("/v1/universal-events", storm(id="a", occurred_at="2099-01-01T00:00:00Z",
                                                   expires_at=None), 202)
    row = api.get(f"/v1/universal-events/{ahead['event_id']}")
    assert row["occurred_at"] == row["recorded_at"]


def test_several_are_kept_all_or_none(api):
    def named(n, **more):
        return {"id": f"e{n}", "type": "universal.sale_started",
                "selector": {"everyone": True}, **more}

    done = api.post("/v1/universal-events", [named(1), named(2), named(1)], 202)
    assert [e["status"] for e in done["data"]] == ["applied", "applied", "duplicate"]
    fault = api.call("POST", "/v1/universal-events", [named(3), named(4, selector={})], 422).json
    assert fault["errors"][0]["pointer"] == "#/1/selector"
    assert api.post("/v1/universal-events", [named(3)], 202)["data"][0]["status"] == "applied"
    api.call("POST", "/v1/universal-events", [], 422)
    api.call("POST", "/v1/universal-events", [named(n) for n in range(101)], 422)
    assert api.call("POST", "/v1/universal-events", "[[", 400).json["type"].endswith("json")
    fault = api.call("POST", "/v1/universal-events", [named(3), 4], 422).json
    assert fault["errors"][0]["pointer"] == "#/1"


@pytest.mark.parametrize("pointer, change", [
    ("#/id", {"id": None}), ("#/id", {"id": ""}), ("#/id", {"id": 7}), ("#/id", {"id": "x" * 129}),
    ("#/type", {"type": None}), ("#/type", {"type": "product.back_in_stock"}),
    ("#/type", {"type": "universal."}), ("#/type", {"type": "universal.Big"}),
    ("#/type", {"type": "universal." + "x" * 64}), ("#/type", {"type": "order.completed"}),
    ("#/occurred_at", {"occurred_at": "2026-11-22T16:00:00"}),
    ("#/expires_at", {"expires_at": stamp(0)}), ("#/expires_at", {"expires_at": "soon"}),
    ("#/properties", {"properties": []}), ("#/properties", {"properties": {"x": "y" * 65536}}),
    ("#/when", {"when": 1}), ("#/selector", {"selector": None}),
    ("#/selector", {"selector": {"regions": []}}), ("#/selector", {"selector": []}),
    ("#/selector/region", {"selector": {"region": ["FR"]}}),
    ("#/selector/regions", {"selector": {"regions": [""]}}),
    ("#/selector/regions", {"selector": {"regions": "FR-75"}}),
    ("#/selector/regions", {"selector": {"regions": ["FR-75"] * 1001}}),
    ("#/selector/postal_prefixes", {"selector": {"postal_prefixes": ["1" * 17]}}),
    ("#/selector/traits", {"selector": {"traits": []}}),
    ("#/selector/traits/tier", {"selector": {"traits": {"tier": "gold"}}}),
    ("#/selector/traits/tier", {"selector": {"traits": {"tier": []}}}),
    ("#/selector/traits", {"selector": {"traits": {f"t{n}": ["x"] for n in range(11)}}}),
    ("#/selector/segments", {"selector": {"segments": ["s"] * 51}}),
    ("#/selector/everyone", {"selector": {"regions": ["FR"], "everyone": True}}),
    ("#/selector/everyone", {"selector": {"everyone": 1}}),
])
def test_a_post_is_checked_member_by_member(api, pointer, change):
    fault = api.call("POST", "/v1/universal-events", storm(**change), 422).json
    assert fault["errors"][0]["pointer"] == pointer, fault


def test_scopes_keys_and_pages(api, server):
    key = server.command("key", "create", "meteo", "--workspace", api.workspace, "--scope",
                         "ingest", "--json")
    poster = Api(server, json.loads(key.stdout)["key"])
    reader = server.command("key", "create", "reader", "--workspace", api.workspace, "--scope",
                            "read", "--json")
    reader = Api(server, json.loads(reader.stdout)["key"])
    time.sleep(0.6)
    reader.call("POST", "/v1/universal-events", storm(), 403)
    dry = poster.call("POST", "/v1/universal-events?validate_only=true", storm(), 200).json
    assert dry["status"] == "valid" and reader.get("/v1/universal-events")["data"] == []
    headers = {"Idempotency-Key": "k"}
    once = poster.call("POST", "/v1/universal-events", storm(), 202, headers)
    again = poster.call("POST", "/v1/universal-events", storm(), 202, headers)
    assert once.json == again.json == {**dry, "status": "applied"}
    poster.call("POST", "/v1/universal-events", storm(id="x"), 422, headers)
    poster.post("/v1/universal-events", [storm(id=f"p{n}", occurred_at=stamp(n)) for n in range(9)])
    page, seen = reader.get("/v1/universal-events?page_size=4"), []
    while True:
        seen += [row["posted_id"] for row in page["data"]]
        if not page["next_page_token"]:
            break
        token = page["next_page_token"]
        page = reader.get(f"/v1/universal-events?page_size=4&page_token={token}")
    assert len(seen) == len(set(seen)) == 10 and seen[:2] == ["p8", "p7"]
    some = reader.get(f"/v1/universal-events?from={stamp(3)}&to={stamp(6)}")["data"]
    assert [row["posted_id"] for row in some] == ["p5", "p4", "p3"]
    fault = reader.call("GET", "/v1/universal-events?type=weather.change", None, 422).json
    assert "weather.changed" in json.dumps(fault)
    reader.call("GET", f"/v1/universal-events/{uuid.uuid4()}", None, 404)
    other = make_workspace(server, api.workspace + "_other")
    other.call("GET", f"/v1/universal-events/{dry['event_id']}", None, 404)


def test_at_the_desk(api, server, tmp_path):
    path = tmp_path / "storm.json"
    path.write_text(json.dumps([storm(), storm(id="b")]))
    base = ["universal", "post", str(path), "--workspace", api.workspace, "--json"]
    dry = json.loads(server.command(*base, "--dry-run").stdout)
    assert [e["status"] for e in dry["data"]] == ["valid", "valid"]
    done = json.loads(server.command(*base).stdout)
    assert [e["status"] for e in done["data"]] == ["applied", "applied"]
    assert "duplicate" in server.command(*base[:-1]).stdout
    listed = server.command("universal", "list", "--workspace", api.workspace, "--type",
                            "weather.changed", "--json").stdout
    assert len(json.loads(listed)["data"]) == 2
    assert json.loads(server.command("universal", "list", "--workspace", api.workspace, "--since",
                                     "1h", "--json").stdout)["data"] == []
    shown = server.command("universal", "show", done["data"][0]["event_id"], "--workspace",
                           api.workspace).stdout
    assert "meteo-2026-11-22-FR-75" in shown


def test_lists_are_read_by_their_indexes(server, cluster):
    """With the generic plans of a busy month."""
    connection = cluster.connect()
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(
            "INSERT INTO universal_event (workspace_id, id, type, source_id, product_id, occurred_at,"
            " recorded_at, properties) SELECT '55555555-5555-7555-8555-555555555555',"
            " md5(g::text)::uuid, 'product.price_' || g %% 9, md5('s')::uuid, (g %% 999)::text,"
            " now() - g * interval '1 minute', now(), '{}' FROM generate_series(1, 30000) g", ())
        cursor.execute("ANALYZE universal_event")
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        seen = 0
        for _, name, sql in preprocessed("src/store/universal_store.c"):
            if not sql.startswith("SELECT"):
                continue
            seen += 1
            count = max(int(n) for n in re.findall(r"\$(\d+)", sql))
            cursor.execute("DEALLOCATE ALL")
            cursor.execute(f"PREPARE s AS {sql.replace('%', '%%')}")
            cursor.execute(f"EXPLAIN EXECUTE s({', '.join(['NULL'] * count)})")
            plan = "\n".join(row[0] for row in cursor.fetchall())
            index = "universal_event_" + name.partition("_")[2]
            assert "Seq Scan on universal" not in plan, (name, plan)
            assert index in plan or name == "universal_find_sql", (name, plan)
        assert seen == 7
        cursor.execute("ROLLBACK")
    connection.close()
