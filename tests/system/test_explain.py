"""Why somebody is in a segment: the sentence, the tree and the facts behind it;
what was true at an earlier instant; lists narrowed by the same language.
"""

import calendar
import time
import uuid

import pytest
from shopbell import wait_for

WINDOW = 'count(product.viewed where category = "Shoes" within 4s) >= 3'


def iso(at):
    ms = round(at * 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1000)) + ".%03dZ" % (ms % 1000)


def seconds(text):
    return calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) + int(text[20:23]) / 1000


def event(email, kind, at, **properties):
    return {"id": str(uuid.uuid4()), "type": kind, "occurred_at": iso(at),
            "identities": {"email": email}, "properties": properties}


def view(email, at, category="Shoes"):
    return event(email, "product.viewed", at, product_id="1", category=category)


def order(email, at, number, total, **more):
    return event(email, "order.completed", at, order_id=str(number), total=total, currency="EUR",
                 products=[], **more)


def send(api, *events):
    api.call("POST", "/v1/events", list(events), 200)


def profile_of(api, email):
    return api.post("/v1/profiles/lookup", {"kind": "email", "value": email}, expect=200)["id"]


def put(api, name, when, kind="segment", **more):
    body = {"kind": kind, **({"when": when} if isinstance(when, str) else {"cases": when}), **more}
    return api.call("PUT", f"/v1/rules/{name}", body, 201).json


def settled(api):
    wait_for(lambda: all(j["status"] == "succeeded"
                         for j in api.get("/v1/jobs?kind=hydrate")["data"]), what="hydrated")


def explain(api, profile, rule, expect=200, **query):
    more = "".join(f"&{k}={v}" for k, v in query.items())
    return api.get(f"/v1/profiles/{profile}/explain?rule={rule}{more}", expect)


def test_views_enter_and_the_window_leaves_on_the_millisecond(api):
    put(api, "shoes", WINDOW)
    start = time.time() - 0.5
    views = [view("jane@example.com", start + n / 10) for n in range(3)]
    send(api, view("jane@example.com", start, "Hats"), *views[:2])
    jane = profile_of(api, "jane@example.com")
    early = explain(api, jane, "shoes")
    assert early["value"] is False and early["since"] is None
    assert early["text"] == (
        'Not in, because product.viewed with category "Shoes" happened 2 times in 4s'
        ' (at least 3 needed). Only something new can change that.')
    send(api, views[2])
    leaves = iso(start + 4)
    answer = explain(api, jane, "shoes")
    assert answer["rule"] == {"name": "shoes", "kind": "segment", "version": 1}
    assert answer["value"] is True and answer["since"] == iso(start + 0.2)
    assert answer["until"] == leaves
    assert answer["text"] == (
        'In, because product.viewed with category "Shoes" happened 3 times in 4s'
        f' (at least 3 needed). Leaves at {leaves} unless another one arrives.')
    assert answer["stale"] is False and answer["partial_history"] is True
    tree = answer["tree"]
    assert (tree["text"], tree["start"], tree["end"]) == (WINDOW, 0, len(WINDOW))
    assert (tree["op"], tree["value"], tree["until"]) == (">=", True, leaves)
    count, three = tree["args"]
    assert (count["op"], count["value"], count["text"]) == ("count", 3, WINDOW[:-5])
    assert seconds(answer["as_of"]) - seconds(count["window_start"]) == pytest.approx(4)
    assert [(e["occurred_at"], e["source"]) for e in count["events"]] == \
        [(iso(start + n / 10), "api") for n in (2, 1, 0)]
    timeline = api.get(f"/v1/profiles/{jane}/timeline")["data"]
    assert {e["id"] for e in count["events"]} <= {t["id"] for t in timeline}
    assert (three["op"], three["value"], three["args"]) == ("literal", 3, [])
    membership = api.get(f"/v1/profiles/{jane}")["memberships"]
    assert leaves in [m["until"] for m in membership if m["rule"] == "shoes"]
    gone = wait_for(lambda: next((t for t in api.get("/v1/transitions?rule=shoes")["data"]
                                  if t["to"] is None), None), what="left")
    assert gone["occurred_at"] == leaves
    late = explain(api, jane, "shoes")
    assert late["value"] is False and late["since"] == leaves


def test_as_of_tells_what_held_then(api):
    put(api, "shoes", WINDOW)
    now = time.time()
    send(api, *[view("jane@example.com", now - 100 + n) for n in range(3)],
         order("jane@example.com", now - 50, 1, "20.00"))
    jane = profile_of(api, "jane@example.com")
    assert explain(api, jane, "shoes")["value"] is False
    then = explain(api, jane, "shoes", as_of=iso(now - 97.5))
    assert then["value"] is True and then["as_of"] == iso(now - 97.5)
    assert then["until"] == iso(now - 96)
    assert len(then["tree"]["args"][0]["events"]) == 3
    assert then["since"] is None, "nobody decided it then"
    assert explain(api, jane, "shoes", as_of=iso(now - 98.5))["value"] is False
    edge = iso(now - 96)
    assert explain(api, jane, "shoes", as_of=edge)["value"] is False
    profile = api.get(f"/v1/profiles/{jane}?as_of={iso(now - 97.5)}")
    assert profile["segments"] == ["shoes"] and profile["orders"]["count"] == 0
    assert profile["as_of"] == iso(now - 97.5) and profile["lifecycle"] == "new"
    assert profile["last_seen_at"] == iso(now - 98)
    assert profile["identified"] and profile["identities"][0]["value"] == "jane@example.com"
    later = api.get(f"/v1/profiles/{jane}?as_of={iso(now - 49)}")
    assert later["orders"]["count"] == 1 and later["segments"] == []
    for bad, words in ((iso(now + 60), "future"), (iso(now - 200), "kept"), ("yesterday", "offset")):
        for path in (f"/v1/profiles/{jane}?as_of={bad}",
                     f"/v1/profiles/{jane}/explain?rule=shoes&as_of={bad}"):
            problem = api.get(path, 422)
            assert problem["errors"][0]["pointer"] == "#/query/as_of" and words in problem["detail"]


def test_orders_are_the_events_of_their_aggregate(api):
    put(api, "buyers", "count(order.completed within 30d) >= 2 and sum(order.completed.total) > 25")
    now = time.time()
    send(api, order("jane@example.com", now - 100, 1, "20.00"),
         order("jane@example.com", now - 50, 2, "10.00"))
    answer = explain(api, profile_of(api, "jane@example.com"), "buyers")
    assert answer["value"] is True
    count, total = answer["tree"]["args"]
    assert [e["occurred_at"] for e in count["args"][0]["events"]] == [iso(now - 50), iso(now - 100)]
    assert all(e["id"] and e["source"] == "api" for e in count["args"][0]["events"])
    assert total["args"][0]["value"] == 30 and total["args"][0]["window_start"] is None
    assert "happened 2 times in 30d (at least 2 needed)" in answer["text"]
    assert "sum(order.completed.total) is 30 (more than 25 needed)" in answer["text"]


def test_cases_stand_up_to_the_first_that_holds(api):
    put(api, "loyalty", [{"value": "gold", "when": "orders.count >= 2"},
                         {"value": "silver", "when": "orders.count >= 1"},
                         {"value": "none", "when": "true"}], kind="tier")
    now = time.time()
    send(api, order("jane@example.com", now - 100, 1, "20.00"), view("paul@example.com", now))
    jane = explain(api, profile_of(api, "jane@example.com"), "loyalty")
    assert jane["value"] == "silver" and jane["tree"] is None
    assert [(c["value"], c["result"], c["tree"]["value"]) for c in jane["cases"]] == \
        [("gold", False, False), ("silver", True, True)]
    assert jane["text"].startswith('It is "silver", because orders.count is 1 (at least 1 needed).')
    paul = explain(api, profile_of(api, "paul@example.com"), "loyalty")
    assert [c["value"] for c in paul["cases"]] == ["gold", "silver", "none"]
    put(api, "vip", [{"value": "gold", "when": "orders.count >= 2"}], kind="tier")
    nobody = explain(api, profile_of(api, "paul@example.com"), "vip")
    assert nobody["value"] is None and nobody["cases"][0]["result"] is False
    assert nobody["text"].startswith("No case holds")
    stage = explain(api, profile_of(api, "paul@example.com"), "lifecycle")
    assert stage["value"] == "new" and stage["text"].startswith('It is "new", because ')
    assert stage["until"] == iso(seconds(stage["since"]) + 30 * 86400)
    assert f"Changes at {stage['until']}" in stage["text"]


def test_errors_and_merged_profiles(api):
    put(api, "shoes", WINDOW)
    now = time.time()
    send(api, view("jane@example.com", now))
    jane = profile_of(api, "jane@example.com")
    assert explain(api, jane, "shoos", 404)["type"] == "/problems/object-not-found"
    assert explain(api, uuid.uuid4(), "shoes", 404)["type"] == "/problems/profile-not-found"
    assert api.get(f"/v1/profiles/{jane}/explain", 422)["errors"][0]["pointer"] == "#/query/rule"
    send(api, {**view("jane@example.com", now), "identities": {"phone": "+33612345678"}})
    paul = api.post("/v1/profiles/lookup", {"kind": "phone", "value": "+33612345678"}, expect=200)
    send(api, {**view("x", now), "identities": {"phone": "+33612345678",
                                               "email": "jane@example.com"}})
    survivor, loser = sorted([jane, paul["id"]])
    answer = explain(api, loser, "shoes")
    assert answer["profile_id"] == survivor and answer["requested_id"] == loser
    assert answer["value"] is True and len(answer["tree"]["args"][0]["events"]) == 3
    assert "requested_id" not in explain(api, survivor, "shoes")


def test_who_may_not_see_the_person_reads_why_and_not_who(api, server):
    put(api, "france", 'traits.first_name = "Jane" and email starts_with "jane"')
    send(api, {**event("jane@example.com", "customer.created", time.time()),
               "traits": {"first_name": "Jane"}})
    jane = profile_of(api, "jane@example.com")
    key = api.post("/v1/keys", {"name": "reader", "scopes": ["read"]}, expect=201)["key"]
    reader = type(api)(server, key)
    seen, masked = explain(api, jane, "france"), explain(reader, jane, "france")
    assert seen["value"] is True and masked["value"] is True
    assert "Jane" in str(seen["tree"]["args"][0]["args"][0]["value"])
    assert masked["tree"]["args"][0]["args"][0]["value"] == "J***"
    assert masked["tree"]["args"][1]["args"][0]["value"] == "j***@example.com"
    assert "jane@example.com" not in str(masked) and "is hidden" in masked["text"]


def search(api, text, expect=200, **more):
    return api.post("/v1/profiles/search", {"filter": text, **more}, expect=expect)


def emails(page):
    return {row["email"] for row in page["data"]}


@pytest.fixture
def people(api):
    put(api, "viewers", "count(product.viewed within 30d) >= 2")
    now = time.time()
    send(api, *[view(f"p{n}@example.com", now - n) for n in range(6)],
         *[view(f"p{n}@example.com", now - 20 - n) for n in (1, 3)],
         order("p1@example.com", now - 9, 1, "20.00"), order("p2@example.com", now - 8, 2, "5.00"))
    return api


@pytest.mark.parametrize("text, found", [
    ("orders.count >= 1", {1, 2}),                                     # columns: in SQL
    ("not orders.revenue > 10", {0, 2, 3, 4, 5}),
    ('"viewers" in segments', {1, 3}),
    ("count(product.viewed within 30d) >= 2", {1, 3}),                  # a feature: here
    ("not count(product.viewed within 30d) >= 2 and orders.count >= 1", {2}),
    ("orders.average_value + 1 > 20", {1}),
    ('"viewers" in segments or engagement.score > 0', {1, 3}),
])
def test_a_filter_finds_whom_the_rule_would(people, text, found):
    wanted = {f"p{n}@example.com" for n in found}
    assert emails(search(people, text)) == wanted
    quoted = text.replace(" ", "%20").replace('"', "%22").replace("+", "%2B").replace(">", "%3E")
    assert emails(people.get(f"/v1/profiles?filter={quoted}")) == wanted
    assert emails(search(people, text, order_by="last_seen_at desc")) == wanted
    seen, token = [], None
    while True:
        page = search(people, text, page_size=1, **({"page_token": token} if token else {}))
        seen += [row["email"] for row in page["data"]]
        token = page["next_page_token"]
        if token is None:
            break
    assert set(seen) == wanted and len(seen) == len(wanted)


def test_a_filter_is_counted_where_it_is_sql(people):
    page = search(people, "orders.count >= 1", include="total", page_size=1)
    assert page["total"] == {"count": 2, "exact": True}
    problem = search(people, "orders.count + 0 >= 1", 422, include="total")
    assert problem["errors"][0]["pointer"] == "#/include"


def test_a_filter_that_is_wrong_says_where(people):
    error = search(people, "orders.cont >= 1", 422)["errors"][0]
    assert (error["pointer"], error["column"], error["suggestion"]) == ("#/filter", 1,
                                                                        "orders.count")
    error = people.get("/v1/profiles?filter=orders.cont+is+set", 422)["errors"][0]
    assert error["pointer"] == "#/query/filter"
    problem = search(people, "count(page.viewed within 3d) >= 2", 422)
    assert "no rule keeps count(page.viewed within 3d)" in problem["detail"]
    problem = search(people, 'event.category = "x"', 422)
    assert problem["type"] == "/problems/invalid-expression"


def preview(api, when, expect=200, **more):
    body = {"when": when} if isinstance(when, str) else {"cases": when}
    return api.post("/v1/rules/preview", {**body, **more}, expect=expect)


@pytest.mark.parametrize("when, found", [
    ("orders.count >= 1", 2),                                   # counted by the database
    ("count(product.viewed within 30d) >= 2", 2),               # from state
    ("count(product.viewed within 29d) >= 2", 2),               # from history: nobody keeps it
    ('"viewers" in segments and count(product.viewed within 5s) >= 0', 2),
    ('not "viewers" in segments and max_count(product.viewed by category within 1h) >= 1', 4),
    ("sum(order.completed.total) > 100", 0),
])
def test_preview_counts_what_saving_would_take_in(people, when, found):
    settled(people)
    answer = preview(people, when)
    assert (answer["count"], answer["exact"], answer["error_bound"]) == (found, True, 0)
    assert (answer["looked_at"], answer["profiles"], answer["values"]) == (6, 6, None)
    assert answer["share"] == pytest.approx(found / 6, abs=1e-6)
    assert len(answer["sample"]) == found
    assert all(s["email"] == "p***@example.com" and s["since"] is None for s in answer["sample"])
    put(people, "saved", when)
    settled(people)
    members = people.get("/v1/rules/saved/members")["data"]
    assert {m["id"] for m in members} == {s["id"] for s in answer["sample"]}


def test_preview_of_cases_and_of_an_edit(people):
    settled(people)
    answer = preview(people, [{"value": "much", "when": "orders.revenue > 10"},
                              {"value": "some", "when": "orders.count > 0"}], kind="tier")
    assert answer["count"] == 2
    assert answer["values"] == [{"value": "much", "count": 1}, {"value": "some", "count": 1}]
    edit = preview(people, "count(product.viewed within 30d) >= 1", name="viewers")
    assert edit["count"] == 6
    assert sorted(s["since"] is None for s in edit["sample"]) == [False] * 2 + [True] * 4
    assert all(s["until"] for s in edit["sample"])
    stage = preview(people, [{"value": "all", "when": "true"}], kind="lifecycle")
    assert stage["values"] == [{"value": "all", "count": 6}]
    error = preview(people, "orders.cont > 1", 422)["errors"][0]
    assert (error["pointer"], error["suggestion"]) == ("#/when", "orders.count")
    circular = preview(people, '"viewers" in segments', 422, name="viewers")
    assert circular["type"] == "/problems/expression-circular"


def day(offset):
    return time.strftime("%Y-%m-%d", time.gmtime(time.time() + offset * 86400))


def midnight(offset):
    return int(time.time()) // 86400 * 86400 + offset * 86400


def know_at_once(cluster, api):
    """As if all had come when it happened, not in one request of today."""
    source = api.get("/v1/sources/api")["id"]
    cluster.query("UPDATE interaction SET received_at = occurred_at WHERE source_id = %s", source)


def backtest(api, when, first, behind, expect=202):
    return api.post("/v1/rules/backtest", {"when": when, "from": day(first), "to": day(behind)},
                    expect=expect)


def outcome(api, job):
    ended = wait_for(lambda: next((j for j in [api.get(f"/v1/jobs/{job['id']}")]
                                   if j["status"] not in ("queued", "running")), None), what="job")
    assert ended["status"] == "succeeded", ended["error"]
    return ended["result"]


def test_backtest_counts_who_would_have_entered_and_left(api, cluster):
    late = 20 * 3600
    send(api, *[view("jane@example.com", midnight(d) + late + n) for d in (-5, -2) for n in (0, 1)],
         *[view("paul@example.com", midnight(-2) + late + n) for n in (0, 1)],
         view("rita@example.com", midnight(-3) + late), order("rita@example.com", midnight(-3), 1, "5"))
    know_at_once(cluster, api)
    when = "count(product.viewed within 1d) >= 2"
    job = backtest(api, when, -7, 0)
    assert job["kind"] == "backtest" and job["status"] == "queued"
    result = outcome(api, job)
    assert [(d["day"], d["entered"], d["left"]) for d in result["days"]] == [
        (day(-7), 0, 0), (day(-6), 0, 0), (day(-5), 1, 0), (day(-4), 0, 1), (day(-3), 0, 0),
        (day(-2), 2, 0), (day(-1), 0, 2)]
    assert (result["profiles"], result["twice_or_more"]) == (2, 1)
    assert result["first_day"] == day(-5) and result["exact"] is True
    assert (result["looked_at"], result["of"], result["left_out"]) == (3, 3, 0)
    bought = outcome(api, backtest(api, "orders.count >= 1 and age(orders.last_at) >= 1d", -4, 0))
    assert [d["entered"] for d in bought["days"]] == [0, 0, 1, 0]


def test_backtest_knows_only_what_had_come(api):
    send(api, *[view("jane@example.com", midnight(-2) + n) for n in range(3)])
    result = outcome(api, backtest(api, "count(product.viewed within 9d) >= 1", -3, 0))
    assert [d["entered"] for d in result["days"]] == [0, 0, 0], "it all came today"
    assert result["first_day"] == day(0)


PREMIUM = "orders.average_value >= percentile(orders.average_value, 66.7)"


def store_statistic(cluster, api, version, at_s, threshold):
    cluster.query("INSERT INTO statistic SELECT workspace_id, %s, 'orders.average_value',"
                  " to_timestamp(%s), 150, '{66700000}', ARRAY[%s * 1000000] FROM source"
                  " WHERE id = %s", version, at_s, threshold, api.get("/v1/sources/api")["id"])


def test_backtest_compares_with_the_statistics_of_then(api, cluster):
    """By today's threshold nobody was ever premium; by that of then one was, for two days."""
    send(api, order("paul@example.com", midnight(-6), 1, "50.00"))
    know_at_once(cluster, api)
    store_statistic(cluster, api, 1, midnight(-5) + 3600, 10)
    store_statistic(cluster, api, 2, midnight(-2) + 3600, 100)
    result = outcome(api, backtest(api, PREMIUM, -6, 0))
    assert [(d["entered"], d["left"]) for d in result["days"]] == [
        (0, 0), (1, 0), (0, 0), (0, 0), (0, 1), (0, 0)]
    assert result["first_day"] == day(-4), "before, there was nothing to compare with"
    # Of what nothing was ever computed, no day can be answered for; other rules are as before.
    other = PREMIUM.replace("66.7", "12.5")
    assert outcome(api, backtest(api, other, -6, 0))["first_day"] is None
    assert outcome(api, backtest(api, "orders.count >= 1", -6, 0))["first_day"] == day(-6)


def test_preview_says_when_there_is_nothing_to_compare_with(api, cluster):
    send(api, order("paul@example.com", time.time() - 60, 1, "50.00"))
    plain = preview(api, "orders.count >= 1")
    assert plain["count"] == 1 and plain["warnings"] == []
    answer = preview(api, PREMIUM)
    assert answer["count"] == 0 and len(answer["warnings"]) == 1
    assert "orders.average_value" in answer["warnings"][0]
    store_statistic(cluster, api, 1, time.time(), 10)
    put(api, "known", PREMIUM)  # and the configuration is read anew
    answer = wait_for(lambda: next((a for a in [preview(api, PREMIUM)] if not a["warnings"]), None),
                      20, what="the percentile is known")
    assert answer["count"] == 1


def test_backtest_refuses_what_it_cannot_answer(api):
    when = "orders.count > 1"
    for first, behind, pointer in ((-100, 0, "#/to"), (-3, -3, "#/to"), (-3, 1, "#/to")):
        assert backtest(api, when, first, behind, 422)["errors"][0]["pointer"] == pointer
    assert backtest(api, "orders.cont > 1", -3, 0, 422)["errors"][0]["pointer"] == "#/when"
    problem = api.post("/v1/rules/backtest", {"when": when, "from": "soon", "to": day(0)}, expect=422)
    assert problem["errors"][0]["pointer"] == "#/from"
    api.post("/v1/rules/backtest", {"kind": "tier", "cases": [{"value": "a", "when": when}],
                                    "from": day(-3), "to": day(0)}, expect=422)


def test_a_backtest_that_is_only_validated_leaves_no_job(api):
    body = {"when": "orders.count > 1", "from": day(-3), "to": day(0)}
    shown = api.post("/v1/rules/backtest?validate_only=true", body, expect=200)
    assert shown["kind"] == "backtest" and shown["status"] == "queued"
    api.get(f"/v1/jobs/{shown['id']}", expect=404)
    assert api.get("/v1/jobs?kind=backtest")["data"] == []


def test_what_was_refunded_later_is_not_in_the_profile_of_then(api):
    """A refund and a cancellation count from their own instants (correctness 7)."""
    now = time.time()
    who = {"email": "refunded@example.com"}

    def tell(event, at, **properties):
        answer = api.post("/v1/events", {"id": f"{event}-{at}", "type": event,
                                         "occurred_at": iso(now - at), "identities": who,
                                         "properties": {"currency": "EUR", **properties}})
        assert answer["status"] == "applied", answer

    tell("order.completed", 90, order_id="1", total=100)
    tell("order.completed", 80, order_id="2", total=50)
    tell("order.refunded", 40, order_id="1", refund_id="r1", total=30)
    tell("order.cancelled", 20, order_id="2")
    ident = api.post("/v1/profiles/lookup", {"kind": "email", "value": who["email"]})["id"]

    def orders(ago):
        found = api.get(f"/v1/profiles/{ident}?as_of={iso(now - ago)}")["orders"]
        return found["count"], found["revenue"], found["refunded"]

    assert orders(85) == (1, 100.0, 0.0)
    assert orders(50) == (2, 150.0, 0.0)
    assert orders(40) == (2, 150.0, 30.0)
    assert orders(20) == (1, 100.0, 30.0)
    today = api.get(f"/v1/profiles/{ident}")["orders"]
    assert (today["count"], today["revenue"], today["refunded"]) == (1, 100.0, 30.0)
