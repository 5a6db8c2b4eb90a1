"""Interactions whose time is over go, and nobody is told anything else for it: what
they said of a customer stays in a base that hydrate, check, explain, merges and
their undoing start from; an event of then that comes again is still known
(correctness 6, 7, 21).
"""

import itertools
import json
import time
from datetime import datetime, timedelta, timezone

import pytest
from shopbell import Cluster, Server, Shopify, make_workspace, shopify_order, wait_for

MONTHS = 8
KEPT = "100d"
RULES = {
    "viewers": "count(product.viewed) >= 5",
    "shoes": 'count(product.viewed where category = "Shoes" within 400d) >= 3',
    "spenders": "sum(product.viewed.price) > 100",
    "early": "first(product.viewed) < 2100-01-01",
    "varied": "distinct(product.viewed.category) >= 2",
    "readers": "count(email.opened) >= 2",
    "buyers": "count(order.completed within 400d) >= 2",
    "premium": '"premium" in preferences.interests and consent.email = "subscribed"',
    "old": "age(first_seen_at) > 150d",
}
counter = itertools.count(1)


def iso(at):
    return at.strftime("%Y-%m-%dT%H:%M:%S.000Z")


NOW = datetime.now(timezone.utc)


def days_ago(days):
    return NOW - timedelta(days=days)


def kept_from():
    at = days_ago(100)
    return datetime(at.year, at.month, 1, tzinfo=timezone.utc)


def event(kind, who, name, at, **more):
    return {"id": f"{kind}-{who}-{name}", "type": kind, "occurred_at": iso(at),
            "identities": {"email": f"{who}@example.com"}, **more}


def views(who, months):
    """A view now and then, in each of so many months."""
    return [event("product.viewed", who, f"{m}-{k}", days_ago(30 * m + 3 * k + 1),
                  properties={"product_id": f"p{k}", "price": 10 + m + k,
                              "category": "Shoes" if k % 2 else "Hats"})
            for m in range(months) for k in range(3)]


def history(who):
    return [*views(who, MONTHS),
            event("email.opened", who, 1, days_ago(200)), event("email.opened", who, 2, days_ago(20)),
            event("preference.updated", who, 1, days_ago(210), preferences={"interests": ["premium"]}),
            event("consent.updated", who, 1, days_ago(205), consent={"email": "subscribed"}),
            event("customer.updated", who, 1, days_ago(220),
                  traits={"city": "Lyon", "first_name": "Jane"})]


def send(api, events):
    """How many of them had an effect, and how many were known."""
    told = api.call("POST", "/v1/events", events, 200).json["events"]
    return told["applied"], told["duplicate"]


def profile_id(api, who):
    return api.post("/v1/profiles/lookup", {"kind": "email", "value": f"{who}@example.com"},
                    expect=200)["id"]


def seen(api, who):
    """All that is told of a customer but when it was last written."""
    profile = api.get(f"/v1/profiles/{profile_id(api, who)}")
    for moving in ("as_of", "updated_at", "sequence", "rules"):
        profile.pop(moving, None)
    return profile


def explained(api, who):
    answers = {}
    for rule in RULES:
        answer = api.get(f"/v1/profiles/{profile_id(api, who)}/explain?rule={rule}")
        answers[rule] = {k: answer[k] for k in ("value", "text", "partial_history", "facts_since")}
    return answers


def settled(api):
    wait_for(lambda: all(j["status"] not in ("queued", "running")
                         for j in api.get("/v1/jobs?kind=hydrate")["data"]), 20, what="hydrated")


def retention(server, *more):
    done = server.command("retention", "run", "--json", "--retention-interaction", KEPT, *more)
    return json.loads(done.stdout)


def of(answer, api):
    return next(w for w in answer["workspaces"] if w["workspace"] == api.workspace)


def check(server, api, code=0):
    done = server.command("check", "--workspace", api.workspace, "--json", check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def facts(cluster, before):
    return cluster.query("SELECT count(*) FROM interaction WHERE occurred_at < %s"
                         % f"'{iso(before)}'")[0][0]


@pytest.fixture(scope="module")
def cluster():
    made = Cluster()
    yield made
    made.remove()


@pytest.fixture(scope="module")
def server(cluster, tmp_path_factory):
    """Keeps all by itself: what goes, goes when the tests say so."""
    made = Server(cluster, str(tmp_path_factory.mktemp("server")),
                  SHOPBELL_RETENTION_INTERACTION="0").migrate().start()
    yield made
    made.stop()


@pytest.fixture
def shop(server, cluster):
    api = make_workspace(server, f"kept{next(counter)}")
    for rule, when in RULES.items():
        api.call("PUT", f"/v1/rules/{rule}", {"kind": "segment", "title": rule, "when": when}, 201)
    settled(api)
    time.sleep(0.6)  # every thread has heard of the rules
    shopify = Shopify(api, name="shop")
    for n, who in enumerate(("ann", "bob")):
        send(api, history(who))
        for k in range(2):
            order = shopify_order(700 + 10 * n + k, 70 + n, f"{who}@example.com", f"{50 + k}.00",
                                  at=iso(days_ago(180 - k)), updated=iso(days_ago(180 - k)))
            shopify.send("orders/create", order)
    return api


def test_what_is_told_of_a_customer_stays_when_its_facts_go(server, cluster, shop):
    before = {who: (seen(shop, who), explained(shop, who)) for who in ("ann", "bob")}
    total = facts(cluster, kept_from())
    assert total >= 20

    dry = of(retention(server, "--dry-run"), shop)
    assert dry["interactions"] > 20 and dry["profiles"] == 2
    assert facts(cluster, kept_from()) == total

    def interests(who):
        return {r["product_id"]: r["view_count"]
                for r in shop.get(f"/v1/profiles/{profile_id(shop, who)}/interests")["data"]}

    # Some looked at of late too, one wished for long ago, one bought long ago.
    send(shop, [event("wishlist.product_added", "ann", "long-ago", days_ago(150),
                      properties={"product_id": "forgotten"})])
    dry = of(retention(server, "--dry-run"), shop)
    assert interests("ann") == {"p0": 8, "p1": 8, "p2": 8, "forgotten": 0, "8213868347001": 0}
    done = of(retention(server), shop)
    assert done["interactions"] == dry["interactions"] and facts(cluster, kept_from()) == 0
    # An interest goes with the last of its facts, and not in parts.
    assert interests("ann") == {"p0": 8, "p1": 8, "p2": 8}
    after = {who: (seen(shop, who), explained(shop, who)) for who in ("ann", "bob")}
    for who in before:
        assert after[who][0] == before[who][0]
        for rule in RULES:
            assert after[who][1][rule]["value"] == before[who][1][rule]["value"]
            assert after[who][1][rule]["text"] == before[who][1][rule]["text"]
            assert after[who][1][rule]["facts_since"] is None
    found = check(server, shop)
    assert (found["checked"], found["differences"]) == (2, [])
    job = shop.get("/v1/jobs?kind=retention")["data"][0]
    assert job["status"] == "succeeded" and job["result"]["facts"] == done["interactions"]

    # The months are part of the history now, and a second run finds nothing.
    names = {row[0] for row in cluster.query(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = 'interaction'::regclass")}
    assert min(n for n in names if n != "interaction_history") == kept_from().strftime(
        "interaction_y%Ym%m")
    assert of(retention(server), shop)["interactions"] == 0


def test_rules_and_repairs_after_it_start_from_the_base(server, cluster, shop):
    before = seen(shop, "ann")
    retention(server)
    # A rule saved anew has everybody folded again, from base and facts.
    shop.call("PUT", "/v1/rules/visitors", {"kind": "tag", "title": "v",
                                            "when": "count(page.viewed within 1d) >= 1"}, 201)
    settled(shop)
    assert seen(shop, "ann") == before
    assert check(server, shop)["differences"] == []
    # Without the base all of this would be another customer: check really folds from it.
    saved = cluster.query("SELECT origin_id::text, encode(bytes, 'hex') FROM profile_base")
    cluster.query("DELETE FROM profile_base RETURNING 1")
    what = {d["what"] for d in check(server, shop, code=1)["differences"]}
    assert {"first_seen_at", "fact city"} <= what and any(w.startswith("feature") for w in what)
    for origin, bytes_hex in saved:
        cluster.query("INSERT INTO profile_base SELECT workspace_id, id, decode('%s', 'hex')"
                      " FROM profile WHERE id = '%s' RETURNING 1" % (bytes_hex, origin))
    assert check(server, shop)["differences"] == []


def test_an_event_that_comes_again_after_years_is_known_and_a_late_one_is_not(server, cluster, shop):
    retention(server)
    # Nothing but the name that retention left of them says so.
    cluster.query("DELETE FROM receipt RETURNING 1")
    before = seen(shop, "bob")
    old = [e for e in history("bob") if e["occurred_at"] < iso(kept_from())]
    assert len(old) > 10 and send(shop, old) == (0, len(old))
    assert seen(shop, "bob") == before and facts(cluster, kept_from()) == 0

    late = event("email.opened", "bob", "late", days_ago(190))
    assert send(shop, [late]) == (1, 0)
    assert facts(cluster, kept_from()) == 1
    told = explained(shop, "bob")["readers"]
    assert check(server, shop)["differences"] == []
    assert of(retention(server), shop)["interactions"] == 1
    assert facts(cluster, kept_from()) == 0 and explained(shop, "bob")["readers"] == told
    assert check(server, shop)["differences"] == []
    cluster.query("DELETE FROM receipt RETURNING 1")
    assert send(shop, [late]) == (0, 1)


def test_what_cannot_be_told_any_more_is_refused_by_its_first_day(server, shop):
    ann = profile_id(shop, "ann")
    first = kept_from()
    at = iso(first + timedelta(days=10))
    before = shop.get(f"/v1/profiles/{ann}/explain?rule=viewers&as_of={at}")
    retention(server)
    after = shop.get(f"/v1/profiles/{ann}/explain?rule=viewers&as_of={at}")
    assert (after["value"], after["text"]) == (before["value"], before["text"])
    early = iso(first - timedelta(days=2))
    for route in (f"/v1/profiles/{ann}?as_of={early}",
                  f"/v1/profiles/{ann}/explain?rule=viewers&as_of={early}"):
        problem = shop.get(route, expect=422)
        assert first.strftime("%Y-%m-%d") in problem["detail"], problem
    body = {"kind": "segment", "name": "tried", "when": RULES["viewers"],
            "from": early[:10], "to": iso(first + timedelta(days=5))[:10]}
    problem = shop.post("/v1/rules/backtest", body, expect=422)
    assert first.strftime("%Y-%m-%d") in problem["detail"], problem
    body["from"] = first.strftime("%Y-%m-%d")
    assert shop.call("POST", "/v1/rules/backtest", body, 202)


def test_a_rule_younger_than_the_drop_says_since_when_it_knows(server, shop):
    retention(server)
    shop.call("PUT", "/v1/rules/hats", {"kind": "segment", "title": "hats",
              "when": 'count(product.viewed where category = "Hats") >= 12'}, 201)
    shop.call("PUT", "/v1/rules/lately", {"kind": "segment", "title": "lately",
              "when": 'count(product.viewed where category = "Hats" within 30d) >= 1'}, 201)
    settled(shop)
    ann = profile_id(shop, "ann")
    hats = shop.get(f"/v1/profiles/{ann}/explain?rule=hats")
    assert hats["value"] is False and hats["partial_history"] is True
    assert hats["facts_since"][:10] == kept_from().strftime("%Y-%m-%d")
    assert shop.get(f"/v1/profiles/{ann}/explain?rule=lately")["facts_since"] is None
    assert shop.get(f"/v1/profiles/{ann}/explain?rule=viewers")["facts_since"] is None


def test_a_merge_after_it_can_still_be_taken_back(server, shop):
    phone = "+33612345678"
    send(shop, [{**event("product.viewed", "phone", n, days_ago(200 + n),
                         properties={"product_id": "p9", "price": 80, "category": "Bags"}),
                 "identities": {"phone": phone}} for n in range(4)])
    retention(server)
    lookup = {"kind": "phone", "value": phone}
    caller = shop.post("/v1/profiles/lookup", lookup, expect=200)
    ann = seen(shop, "ann")
    send(shop, [{**event("page.viewed", "ann", "both", days_ago(1)),
                 "identities": {"email": "ann@example.com", "phone": phone}}])
    both = shop.post("/v1/profiles/lookup", lookup, expect=200)
    assert both["id"] == profile_id(shop, "ann")
    assert check(server, shop)["differences"] == []
    merge = shop.get(f"/v1/profiles/{both['id']}/merges")["data"][0]
    shop.post(f"/v1/profiles/{both['id']}/unmerge", {"merge_id": merge["id"]}, expect=200)
    assert check(server, shop)["differences"] == []
    apart = [shop.post("/v1/profiles/lookup", lookup, expect=200), seen(shop, "ann")]
    assert apart[0]["first_seen_at"] == caller["first_seen_at"]
    assert apart[1]["first_seen_at"] == ann["first_seen_at"]
    assert sorted(apart[0]["segments"]) == sorted(caller["segments"])


def test_nothing_goes_when_everything_is_kept(server, cluster, shop):
    total = facts(cluster, kept_from())
    done = server.command("retention", "run", "--json", "--retention-interaction", "0")
    assert json.loads(done.stdout)["workspaces"] == [] and facts(cluster, kept_from()) == total
