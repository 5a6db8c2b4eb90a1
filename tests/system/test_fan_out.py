"""Facts about the world ring those whom they concern, one by one: who waits for a product,
who lives where it rains. Each customer once, with an outcome that is counted; a job says how
far it is, and can be cancelled."""

import itertools
import threading
import time

from shopbell import wait_for
from test_correctness import Session, brand, event, iso
from test_engine_traps import put as rule
from test_triggers import counted, outcomes, subscribed, trigger, who

assert brand  # a fixture

numbers = itertools.count(1)


def catalogue(brand, ref="shoe", second=0, **more):
    """A document of the product, so many seconds ago."""
    body = {"name": ref.capitalize(), "currency": "EUR", "updated_at": iso(second - 600),
            "category": ["Women", "Shoes"], **more}
    brand.api.call("PUT", f"/v1/sources/api/products/{ref}", body, 200)


def level(brand, stock, ref="shoe", second=0, **more):
    brand.send({"type": "inventory.updated", "occurred_at": iso(second - 600),
                "properties": {"product_id": ref, "stock": stock, **more}})


def looked(email, at=-900, ref="shoe", **more):
    return event(f"v{next(numbers)}", email, "product.viewed", at=iso(at),
                 properties={"product_id": ref, "in_stock": False, "price": 100, "currency": "EUR",
                             **more})


def bought(email, ref, at=-800):
    number = next(numbers)
    return event(f"o{number}", email, "order.completed", at=iso(at),
                 properties={"order_id": f"O{number}", "total": 50, "currency": "EUR", "products": [
                     {"product_id": ref, "price": 50, "quantity": 1}]})


def jobs(brand):
    return brand.api.get("/v1/jobs?kind=fan_out")["data"]


def ended(brand, count=1):
    wait_for(lambda: len(jobs(brand)) >= count
             and all(j["status"] not in ("queued", "running") for j in jobs(brand)), 15,
             what=f"{count} ended jobs; have {jobs(brand)}")
    return jobs(brand)


def weather(brand, key, selector, expect=202, **more):
    return brand.api.call("POST", "/v1/universal-events", {
        "id": key, "type": "weather.changed", "occurred_at": iso(-5), "selector": selector,
        "properties": {"condition": "rain"}, **more}, expect).json


BACK = {"topic": "offer.back", "when": {"universal": "product.back_in_stock"},
        "audience": "interest.waiting"}


# --- the catalogue ---------------------------------------------------------------------

def test_back_in_stock_rings_who_waits_and_nobody_who_bought_something_similar(brand, esp):
    """Who looked while it was sold out, less who bought it, or its like, since."""
    trigger(brand, "back", **BACK, channel="email", cooldown={"for": "7d", "per": "variant"},
            expires="24h")
    esp.subscribe(brand.api, ["offer.*"])
    catalogue(brand, stock=0)
    catalogue(brand, ref="boot", stock=5)
    people = ["waits@x.de", "bought@x.de", "similar@x.de", "sees@x.de", "mute@x.de", "other@x.de"]
    brand.send([subscribed(f"c{n}", p) for n, p in enumerate(people) if p != "mute@x.de"])
    brand.send([*(looked(p) for p in people[:3]), looked("sees@x.de", in_stock=True),
                looked("mute@x.de"), looked("other@x.de", ref="boot"),
                bought("bought@x.de", "shoe"), bought("similar@x.de", "boot")])
    level(brand, 3, second=1)
    counted(brand, "back", notified=1, no_consent=1)
    wait_for(lambda: who(esp, "offer.back") == ["waits@x.de"], what="the one who waits")
    message = esp.of_type("offer.back")[0]
    assert message["cause"]["event_type"] == "product.back_in_stock", message["cause"]
    assert message["data"]["event"]["properties"]["product_id"] == "shoe", message
    assert message["data"]["trigger"]["name"] == "back" and message["expires_at"]
    why = brand.api.get(f"/v1/notifications/{message['id']}/explain")
    assert why["event"] is None and why["universal_event"]["type"] == "product.back_in_stock"
    assert why["universal_event"]["properties"]["stock"] == 3
    assert why["trigger"]["audience"] == "interest.waiting" and "audience" in [
        g["gate"] for g in why["gates"]]
    job = ended(brand)[0]
    assert (job["kind"], job["status"], job["result"]["concerned"]) == ("fan_out", "succeeded", 2)
    assert job["result"]["outcomes"] == {"notified": 1, "no_consent": 1}
    assert job["parameters"]["trigger"] == "back" and job["progress"]["done"] == job["result"]["walked"] >= 5


def test_a_price_that_fell_below_the_one_seen(brand, esp):
    trigger(brand, "cheaper", topic="offer.cheaper", when={"universal": "product.price_dropped"},
            audience="interest.price_seen > product.price",
            **{"if": "count(product.viewed within 30d) >= 2"})
    rule(brand, "looks", "count(product.viewed within 30d) >= 1")
    esp.subscribe(brand.api, ["offer.*"])
    catalogue(brand, price=120)
    brand.send([looked("dear@x.de", price=110), looked("dear@x.de", price=110),
                looked("once@x.de", price=110), looked("cheap@x.de", price=80),
                looked("cheap@x.de", price=80)])
    catalogue(brand, second=5, price=90)
    counted(brand, "cheaper", notified=1, filtered=1)
    wait_for(lambda: who(esp, "offer.cheaper") == ["dear@x.de"], what="the one")
    event_said = esp.of_type("offer.cheaper")[0]["data"]["event"]["properties"]
    assert (event_said["price"], event_said["previous_price"]) == (90.0, 120.0)


def test_the_opposite_told_since_ends_it(brand, esp):
    """Back and gone again before anybody was rung: nobody is told of what is over."""
    trigger(brand, "back", **BACK)
    brand.api.call("PATCH", f"/v1/workspaces/{brand.name}", {"catalogue": {"quiet": "0s"}}, 200)
    esp.subscribe(brand.api, ["offer.*"])
    catalogue(brand, stock=0)
    brand.send([looked(f"p{n}@x.de") for n in range(400)])
    with Session(brand.cluster) as busy:  # of the first page's customers one is held
        busy.run("SELECT 1 FROM profile WHERE workspace_id = %s ORDER BY id LIMIT 1 FOR UPDATE",
                 brand.id)
        level(brand, 3, second=1)
        wait_for(lambda: any(j["status"] == "running" for j in jobs(brand)), what="it runs")
        level(brand, 0, second=2)
        busy.commit()
    done = ended(brand, 1)
    assert done[0]["result"]["ended"] == "overtaken"
    assert outcomes(brand, "back").get("notified", 0) <= 200  # the chunk that was under way


def test_a_draft_counts_and_a_paused_one_does_not_even_begin(brand, esp):
    trigger(brand, "draft", **{**BACK, "mode": "draft"})
    trigger(brand, "rests", **BACK)
    brand.api.post("/v1/triggers/rests/pause", expect=200)
    esp.subscribe(brand.api, ["offer.*"])
    catalogue(brand, stock=0)
    brand.send([looked("a@x.de"), looked("b@x.de")])
    level(brand, 3, second=1)
    job, = ended(brand)
    assert job["parameters"]["trigger"] == "draft"
    assert job["result"]["outcomes"] == {"notified": 2}
    assert brand.api.get("/v1/triggers/draft/outcomes")["draft"]["notified"] == 2
    assert esp.of_type("offer.back") == [] and outcomes(brand, "rests") == {}


def test_a_group_is_held_out_and_a_cap_holds(brand, esp):
    trigger(brand, "back", **BACK, holdout=0.5, cap_total={"count": 30, "per": "1h"})
    esp.subscribe(brand.api, ["offer.*"])
    catalogue(brand, stock=0)
    brand.send([looked(f"h{n}@x.de") for n in range(120)])
    level(brand, 3, second=1)
    wait_for(lambda: sum(outcomes(brand, "back").values()) == 120, 15, what="all have an outcome")
    counts = outcomes(brand, "back")
    # Half of them until the cap is reached; then nobody is asked any more.
    assert counts["notified"] == 30 and 10 < counts["held_out"] < 60, counts
    assert counts["capped"] == 120 - 30 - counts["held_out"]
    wait_for(lambda: len(who(esp, "offer.back")) == 30, what="the thirty")
    time.sleep(0.3)
    assert len(set(who(esp, "offer.back"))) == len(who(esp, "offer.back")) == 30


# --- what is posted ---------------------------------------------------------------------

def lives(number, email, **traits):
    return event(f"t{number}", email, "customer.updated", traits=traits)


def test_rain_in_a_region_rings_who_lives_there_and_looks_at_rainwear(brand, esp):
    rule(brand, "rainy", 'count(product.viewed where category = "Rainwear" within 60d) >= 1')
    trigger(brand, "rain", topic="offer.rain", when={"universal": "weather.changed"},
            audience='event.condition = "rain" and traits.region is set',
            **{"if": 'count(product.viewed where category = "Rainwear" within 60d) >= 1'},
            cooldown={"for": "5d", "per": "profile"}, expires="12h")
    esp.subscribe(brand.api, ["offer.*"])
    people = {"paris@x.de": "FR-75", "brest@x.de": "FR-29", "nanterre@x.de": "FR-92"}
    brand.send([lives(n, p, region=r) for n, (p, r) in enumerate(people.items())])
    brand.send([looked(p, category="Rainwear") for p in ("paris@x.de", "brest@x.de")])
    posted = weather(brand, "m-1", {"regions": ["FR-75", "FR-92"]}, expires_at=iso(3600))
    assert posted["status"] == "applied" and [j["trigger"] for j in posted["jobs"]] == ["rain"]
    counted(brand, "rain", notified=1, filtered=1)
    wait_for(lambda: who(esp, "offer.rain") == ["paris@x.de"], what="the one in Paris")
    assert esp.of_type("offer.rain")[0]["expires_at"] <= iso(3600)  # the fact's own is sooner
    assert brand.api.get(f"/v1/jobs/{posted['jobs'][0]['id']}")["status"] == "succeeded"
    again = weather(brand, "m-1", {"regions": ["FR-75"]})
    assert (again["status"], again["jobs"]) == ("duplicate", [])
    weather(brand, "m-2", {"regions": ["FR-75", "FR-29"]})
    counted(brand, "rain", notified=2, filtered=1, cooled_down=1)


def test_a_selector_of_products_and_places(brand, esp):
    """Every kind of member must fit; a customer of two products is rung once."""
    trigger(brand, "recall", topic="ops_recall.made", when={"universal": "universal.recall"})
    esp.subscribe(brand.api, ["ops_recall.made"])
    for ref in ("lamp", "bulb"):
        catalogue(brand, ref=ref, category=["Home", "Light"])
    brand.send([lives(n, p, region=r) for n, (p, r) in enumerate(
        [("both@x.de", "BE"), ("bulb@x.de", "BE"), ("far@x.de", "NL")])])
    brand.send([looked("both@x.de", ref="lamp"), looked("both@x.de", ref="bulb"),
                looked("bulb@x.de", ref="bulb"), looked("far@x.de", ref="lamp")])
    fact = {"id": "r1", "type": "universal.recall", "occurred_at": iso(-5), "properties": {}}
    brand.api.call("POST", "/v1/universal-events",
                   {**fact, "selector": {"products": ["lamp", "bulb"], "regions": ["BE"]}}, 202)
    counted(brand, "recall", notified=2)
    wait_for(lambda: sorted(who(esp, "ops_recall.made")) == ["both@x.de", "bulb@x.de"])
    brand.api.call("POST", "/v1/universal-events",
                   {**fact, "id": "r2", "selector": {"categories": ["Light"]}}, 202)
    counted(brand, "recall", notified=5)


def test_a_job_that_is_cancelled_ends_between_two_chunks(brand, esp):
    trigger(brand, "all", topic="offer.all", when={"universal": "universal.sale"})
    esp.subscribe(brand.api, ["offer.*"])
    for begin in range(0, 2000, 500):
        brand.send([event(f"p{n}", f"p{n}@x.de") for n in range(begin, begin + 500)])
    with Session(brand.cluster) as busy:  # the last customer is held: the job stops there
        busy.run("SELECT 1 FROM profile WHERE workspace_id = %s ORDER BY id DESC LIMIT 1"
                 " FOR UPDATE", brand.id)
        posted = brand.api.call("POST", "/v1/universal-events", {
            "id": "s1", "type": "universal.sale", "occurred_at": iso(-5), "properties": {},
            "selector": {"everyone": True}}, 202).json
        job = posted["jobs"][0]["id"]
        wait_for(lambda: brand.api.get(f"/v1/jobs/{job}")["progress"]["done"] >= 200, what="a first chunk")
        brand.api.post(f"/v1/jobs/{job}/cancel", expect=200)
        busy.commit()
    wait_for(lambda: brand.api.get(f"/v1/jobs/{job}")["status"] == "cancelled", what="its end")
    shown = brand.api.get(f"/v1/jobs/{job}")
    assert shown["result"]["outcomes"]["notified"] == outcomes(brand, "all")["notified"]


# --- correctness -------------------------------------------------------------------------

def test_nobody_is_missed_and_nobody_rung_twice_while_customers_merge(brand, esp):
    """A merge moves a customer under another id, before or behind where the walk stands. Of
    each pair only one is concerned before it, so that two calls are one too many."""
    trigger(brand, "back", **BACK)
    trigger(brand, "sale", topic="offer.sale", when={"universal": "universal.sale"},
            audience="identified")
    esp.subscribe(brand.api, ["offer.*"])
    catalogue(brand, stock=0)
    count = 600
    for begin in range(0, count, 200):
        brand.send([event(f"m{n}", None, "product.viewed", at=iso(-900),
                          identities={"anonymous_id": f"anon-{n}"},
                          properties={"product_id": "shoe", "in_stock": False})
                    for n in range(begin, begin + 200)])
        brand.send([event(f"k{n}", f"m{n}@x.de") for n in range(begin, begin + 200)])

    def merge():
        for n in range(0, count, 20):
            brand.send([event(f"j{k}", None, at=iso(-1), identities={
                "anonymous_id": f"anon-{k}", "email": f"m{k}@x.de"}) for k in range(n, n + 20)])
    merging = threading.Thread(target=merge)
    merging.start()
    level(brand, 3, second=1)
    brand.api.call("POST", "/v1/universal-events", {
        "id": "s", "type": "universal.sale", "occurred_at": iso(-5), "properties": {},
        "selector": {"everyone": True}}, 202)
    merging.join()
    ended(brand, 2)
    people = {i: into or i for i, into in brand.sql(
        "SELECT id, merged_into FROM profile WHERE workspace_id = {ws}")}
    for topic in ("offer.back", "offer.sale"):
        rung = [people[p] for p, in brand.sql(
            "SELECT profile_id FROM notification WHERE workspace_id = {ws} AND topic = %s", topic)]
        missed = set(people.values()) - set(rung)
        twice = {p for p in rung if rung.count(p) > 1}
        assert not missed and not twice, (topic, len(missed), len(twice))


def test_interest_is_asked_again_when_the_wait_is_over(brand, esp):
    """Looked, did not buy: whoever bought meanwhile is left alone."""
    trigger(brand, "looked", topic="offer.looked", when={"event": "product.viewed"}, wait="3s",
            **{"if": "not interest.bought_at >= event.occurred_at and product.name = \"Shoe\""})
    esp.subscribe(brand.api, ["offer.*"])
    catalogue(brand, stock=3)
    brand.send([looked("buys@x.de", at=-2), looked("thinks@x.de", at=-2)])
    brand.send([bought("buys@x.de", "shoe", at=-1)])
    counted(brand, "looked", notified=1, filtered=1)
    wait_for(lambda: who(esp, "offer.looked") == ["thinks@x.de"], what="who did not buy")


def test_quiet_hours_put_a_fact_off_and_the_audience_is_asked_when_it_comes(brand, esp):
    minute = time.strftime("%H:%M", time.gmtime(time.time() - 60))
    until = time.strftime("%H:%M", time.gmtime(time.time() + 3600))
    trigger(brand, "back", **BACK, quiet_hours={"from": minute, "to": until, "zone": "UTC"})
    esp.subscribe(brand.api, ["offer.*"])
    catalogue(brand, stock=0)
    brand.send([looked("waits@x.de")])
    level(brand, 3, second=1)
    job, = ended(brand)
    assert job["result"]["outcomes"] == {"waiting": 1}
    assert brand.count("trigger_waiting") == 1
    brand.sql("UPDATE trigger_waiting SET due_at = date_trunc('milliseconds', now())"
              " - interval '1 s' WHERE workspace_id = {ws}")
    # It is still quiet: put off once more, not forgotten.
    wait_for(lambda: brand.count("trigger_waiting", "due_at > now()") == 1, 40, what="put off")
    assert outcomes(brand, "back") == {}
    brand.send([bought("waits@x.de", "shoe", at=-1)])
    trigger(brand, "back", **BACK)  # no quiet hours any more
    brand.sql("UPDATE trigger_waiting SET due_at = date_trunc('milliseconds', now())"
              " - interval '1 s' WHERE workspace_id = {ws}")
    wait_for(lambda: outcomes(brand, "back") == {"filtered": 1}, 40, what="he does not wait now")
    assert esp.of_type("offer.back") == []


def test_who_bought_while_the_message_waited_is_not_sent_it(brand, esp):
    trigger(brand, "back", **BACK, recheck=True, **{"if": "event.stock >= 1"})
    esp.subscribe(brand.api, ["offer.*"])
    catalogue(brand, stock=0)
    brand.send([looked("waits@x.de"), looked("buys@x.de")])
    brand.api.post("/v1/subscriptions/mailhouse/pause", expect=200)
    level(brand, 3, second=1)
    counted(brand, "back", notified=2)
    brand.send([bought("buys@x.de", "shoe", at=-1)])
    brand.api.post("/v1/subscriptions/mailhouse/resume", expect=200)
    wait_for(lambda: who(esp, "offer.back") == ["waits@x.de"], what="who still waits")
    wait_for(lambda: [a["error"] for a in brand.api.get(
        "/v1/attempts?subscription=mailhouse&outcome=dropped")["data"]]
        == ["what its trigger asks holds no longer"], what="the other is dropped")
    assert who(esp, "offer.back") == ["waits@x.de"]
