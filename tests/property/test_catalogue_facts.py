"""Documents and stock levels of a few products, in any order of arrival and more than
once: the universal events that come of them are those of an oracle that folds the same
arrivals naively, by their very ids; and all of it told again, by two at once, adds none.

SHOPBELL_SEED says which history it is: each run draws another.
"""

import hashlib
import json
import os
import random
import threading
import time
import uuid

import shopbell

SEED = os.environ.get("SHOPBELL_SEED", str(random.randrange(1, 1 << 30)))
BEGIN = 1780000000
ROUNDS = 8
FACTS = 30


def stamp(second):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(BEGIN + second))


class Oracle:
    """One product. `settings` are the workspace's."""

    def __init__(self, source_id, ref, settings):
        self.source_id, self.ref, self.settings = source_id, ref, settings
        self.version = -1        # of the newest document
        self.rows = {}           # variant -> what its row says
        self.levels = {}         # variant -> {location: (second, stock)}
        self.told = {}           # variant -> what was last told of it
        self.events = set()

    def document(self, second, variants, version_hash):
        """variants: {id: (stock, price, currency)}; None: deleted."""
        if second <= self.version:
            return
        self.version = second
        for variant, (stock, price, currency) in (variants or {}).items():
            row = self.rows.setdefault(variant, {})
            row.update(own=stock, price=price, currency=currency, version=second, deleted=None,
                       hash=version_hash, level_at=None)
            self.told.setdefault(variant, {"price": price, "currency": currency, "stock": None})
        for variant, row in self.rows.items():
            if variant in (variants or {}):
                continue
            if variant == "":  # its row is the document's, of a second deletion too
                row.update(deleted=second, version=second, hash=version_hash, level_at=None)
            elif row["deleted"] is None:
                row["deleted"] = second
        for variant in self.rows:
            self.settle(variant)
            self.compare(variant)

    def level(self, second, variant, location, stock):
        levels = self.levels.setdefault(variant, {})
        levels[location] = max(levels.get(location, (-1, 0)), (second, stock))
        if variant in self.rows:
            self.settle(variant)
            self.compare(variant)

    def settle(self, variant):
        row, levels = self.rows[variant], self.levels.get(variant, {})
        if row["deleted"] is not None:
            return
        row["stock"] = row["own"]
        if levels:
            row["level_at"] = max(second for second, _ in levels.values())
            if row["own"] is None or row["level_at"] > row["version"]:
                row["stock"] = sum(stock for _, stock in levels.values())

    def compare(self, variant):
        row, told = self.rows[variant], self.told[variant]
        self.compare_stock(variant, row, told)
        self.compare_price(variant, row, told)

    def compare_stock(self, variant, row, told):
        stock = row["stock"] if row["deleted"] is None else \
            None if told["stock"] is None else min(told["stock"], 0)
        at = max(second for second in (row["version"], row["level_at"], row["deleted"])
                 if second is not None)
        if stock is None or told["stock"] is None:
            told["stock"] = stock if told["stock"] is None else told["stock"]
        elif told["stock"] <= 0 and stock >= self.settings["back_in_stock_min"]:
            self.tell(variant, "back_in_stock", at, told, "stock", stock)
        elif told["stock"] > 0 and stock <= 0:
            self.tell(variant, "out_of_stock", at, told, "stock", stock)

    def compare_price(self, variant, row, told):
        price, currency = row["price"], row["currency"]
        if price is None or row["deleted"] is not None:
            return
        if told["price"] is None or told["currency"] != currency:
            told.update(price=price, currency=currency)
            return
        away = abs(price - told["price"])
        if away * 100 >= self.settings["price_change_percent"] * told["price"] and \
                away >= self.settings["price_change_amount"] and away > 0:
            kind = "price_dropped" if price < told["price"] else "price_raised"
            self.tell(variant, kind, row["version"], told, "price", price)

    def tell(self, variant, kind, at, told, what, value):
        if kind in told and at < told[kind] + self.settings["quiet_s"]:
            return
        told[kind], told[what] = at, value
        cause = [self.source_id, self.ref, variant, f"product.{kind}", (BEGIN + at) * 1000,
                 self.rows[variant]["hash"]]
        digest = bytearray(hashlib.sha256(json.dumps(cause).encode()).digest()[:16])
        digest[6] = digest[6] & 15 | 128
        digest[8] = digest[8] & 63 | 128
        self.events.add(str(uuid.UUID(bytes=bytes(digest))))


def draw_facts(draw, ref, names):
    """Distinct seconds: which of two at one second is newer is the catalogue's matter."""
    facts = []
    for second in draw.sample(range(1, 300), FACTS):
        if draw.random() < 0.45:
            facts.append(("level", second, draw.choice(names), draw.choice("ab"),
                          draw.choice((0, 0, 1, 2, 4, 7))))
        elif draw.random() < 0.1:
            facts.append(("document", second, None))
        else:
            some = names if names == [""] or draw.random() < 0.7 else draw.sample(names, 1)
            facts.append(("document", second, {
                name: (draw.choice((None, 0, 0, 1, 3)), draw.choice((None, 10, 20, 20, 21, 22)),
                       draw.choice(("EUR", "EUR", "EUR", "USD"))) for name in some}))
    # A document has one currency.
    for fact in facts:
        if fact[0] == "document" and fact[2]:
            currency = next(iter(fact[2].values()))[2]
            for name, (stock, price, _) in fact[2].items():
                fact[2][name] = (stock, price, currency)
    if draw.random() < 0.5:
        facts.sort(key=lambda fact: fact[1])
    repeats = draw.sample(facts, FACTS // 3)
    for fact in repeats:
        facts.insert(draw.randrange(facts.index(fact), len(facts)) + 1, fact)
    return facts


def members(stock, price):
    return {key: value for key, value in (("stock", stock), ("price", price)) if value is not None}


def send(api, ref, fact):
    if fact[0] == "level":
        _, second, variant, location, stock = fact
        body = {"type": "inventory.updated", "occurred_at": stamp(second),
                "properties": {"product_id": ref, "location": location, "stock": stock,
                               **({"variant_id": variant} if variant else {})}}
        assert api.post("/v1/events", body)["status"] == "applied"
        return
    _, second, variants = fact
    body = {"product_id": ref, "updated_at": stamp(second)}
    if variants is None:
        body["deleted"] = True
    else:
        stock, price, currency = next(iter(variants.values()))
        body["currency"] = currency
        if "" in variants:
            body.update(members(stock, price))
        else:
            body["variants"] = [{"variant_id": name, **members(stock, price)}
                                for name, (stock, price, _) in variants.items()]
    done = api.call("POST", "/v1/products/bulk", json.dumps(body), 200).json
    assert done["status"] in ("applied", "duplicate")


def version_hash(cluster, ref):
    with cluster.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT version_hash::text FROM product WHERE product_id = %s"
                       " AND variant_id = ''", (ref,))
        found = cursor.fetchone()
        return found and found[0]


def stored(api):
    ids, page = [], {"next_page_token": ""}
    while page["next_page_token"] is not None:
        page = api.get(f"/v1/universal-events?page_size=1000&page_token={page['next_page_token']}")
        ids += [row["id"] for row in page["data"]]
    assert len(ids) == len(set(ids))
    return set(ids)


def test_the_events_are_the_oracles(server, cluster):
    draw = random.Random(int(SEED))
    api = shopbell.make_workspace(server, f"facts{SEED}")
    source_id = api.get("/v1/sources/api")["id"]
    expected, sent = set(), []
    for number in range(ROUNDS):
        settings = {"back_in_stock_min": draw.choice((1, 3)),
                    "price_change_percent": draw.choice((0, 1, 6)),
                    "price_change_amount": draw.choice((0, 0, 1.5)),
                    "quiet_s": draw.choice((0, 40))}
        api.call("PATCH", f"/v1/workspaces/{api.workspace}", {"catalogue": {
            **{k: v for k, v in settings.items() if k != "quiet_s"},
            "quiet": f"{settings['quiet_s']}s"}}, 200)
        ref, names = f"{SEED}-{number}", draw.choice(([""], ["m"], ["m", "xl"]))
        oracle = Oracle(source_id, ref, settings)
        for fact in draw_facts(draw, ref, names):
            send(api, ref, fact)
            sent.append((ref, fact))
            if fact[0] == "level":
                oracle.level(*fact[1:])
            else:
                oracle.document(fact[1], fact[2], version_hash(cluster, ref))
            found = stored(api)
            assert found == expected | oracle.events, \
                f"seed {SEED}, round {number}, {names}, {settings}, at {fact}"
        expected |= oracle.events
    assert len(expected) > ROUNDS, f"seed {SEED}: too few to mean anything"

    api.call("PATCH", f"/v1/workspaces/{api.workspace}", {"catalogue": {
        "back_in_stock_min": 1000000, "price_change_percent": 100, "price_change_amount": 1000000,
        "quiet": "30d"}}, 200)  # what was passed over before is no repeat
    hands = [threading.Thread(target=lambda: [send(api, *one) for one in sent]) for _ in range(2)]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()
    assert stored(api) == expected, f"seed {SEED}: a repeat told something"
