"""Tiers by terciles: computed in the background over the shop's orders, applied to
customers silently, and to the very order that comes in next."""

import time

from shopbell import make_workspace, wait_for


def iso(offset_s=0.0):
    moment = time.time() + offset_s
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + ".%03dZ" % (moment % 1 * 1000)


def order(number, email, total, offset_s=-3600):
    return {"id": f"o{number}", "type": "order.completed", "occurred_at": iso(offset_s),
            "identities": {"email": email},
            "properties": {"order_id": f"T{number}", "total": total, "currency": "EUR",
                           "products": []}}


def tiers(api, email):
    return api.post("/v1/profiles/lookup", {"kind": "email", "value": email},
                    expect=200)["tiers"]


def test_terciles_reach_everyone_and_the_order_that_comes_in(server, esp):
    api = make_workspace(server, "terciles")
    esp.subscribe(api, ["tier.changed"])
    totals = list(range(10, 310, 2))  # 150 orders, one each
    api.call("POST", "/v1/events",
             [order(n, f"c{n}@example.com", total) for n, total in enumerate(totals)], 200)
    assert tiers(api, "c149@example.com") == {}, "no statistic, no tier"
    wait_for(lambda: tiers(api, "c149@example.com") == {"basket": "high"}, 120,
             what="the first statistics")  # every half minute, and after other shops' jobs
    wait_for(lambda: tiers(api, "c0@example.com") == {"basket": "low"}, 20)
    # 150 values: the 50th is the lower tercile, the 101st (66.7 %) the upper; equal
    # is the lower tier (correctness 20).
    for number, tier in ((49, "low"), (50, "mid"), (100, "mid"), (101, "high")):
        wait_for(lambda n=number, t=tier: tiers(api, f"c{n}@example.com") == {"basket": t}, 20,
                 what=f"the tier of {number}")
    moved = [t for t in api.call("GET", "/v1/transitions?rule=basket&page_size=500").json["data"]]
    assert {t["cause"]["kind"] for t in moved} == {"statistic"}
    assert not esp.of_type("tier.changed"), "a statistic rings nothing"

    answer = api.call("POST", "/v1/events", order("new", "fresh@example.com", 300.0, -5), 200,
                      headers={"Prefer": "return=representation"}).json
    assert answer["profiles"][0]["changed"]["tiers"] == {"basket": {"from": None, "to": "high"}}
    wait_for(lambda: len(esp.of_type("tier.changed")) == 1, 10)
    tier = esp.of_type("tier.changed")[0]["data"]["tier"]
    assert (tier["name"], tier["from"], tier["to"]) == ("basket", None, "high")
    profile = api.post("/v1/profiles/lookup", {"kind": "email", "value": "fresh@example.com"},
                       expect=200)
    assert profile["rfm"]["recency"] == 5 and profile["rfm"]["frequency"] >= 1


def test_a_hydrated_profile_is_the_profile_that_was_folded(server):
    api = make_workspace(server, "hydrated")
    api.call("POST", "/v1/events", [
        {"id": "v1", "type": "product.viewed", "occurred_at": iso(-50),
         "identities": {"email": "jane@example.com", "external_id": "u1"},
         "properties": {"product_id": "p1", "category": "Shoes"}},
        {"id": "silent", "type": "custom.synced", "occurred_at": iso(-1), "act": False,
         "identities": {"email": "jane@example.com"}, "properties": {}},
        {"id": "loud", "type": "custom.called", "occurred_at": iso(-30), "act": True,
         "identities": {"email": "jane@example.com"}, "properties": {}},
        order("h1", "jane@example.com", 25.0, -40)], 200)
    before = api.post("/v1/profiles/lookup", {"kind": "email", "value": "jane@example.com"},
                      expect=200)
    rule = api.call("PUT", "/v1/rules/viewed", {
        "kind": "segment", "title": "Viewed",
        "when": 'count(product.viewed where category = "Shoes" within 1h) >= 1'}).json
    wait_for(lambda: api.call("GET", f"/v1/jobs/{rule['job']['id']}").json["status"]
             == "succeeded", 20, what="the job")
    after = api.post("/v1/profiles/lookup", {"kind": "email", "value": "jane@example.com"},
                     expect=200)
    assert after["segments"] == ["viewed"] and before["segments"] == []
    moving = ("as_of", "sequence", "updated_at", "segments", "memberships", "rules", "engagement")
    assert {k: v for k, v in after.items() if k not in moving} == \
        {k: v for k, v in before.items() if k not in moving}
    causes = api.call("GET", "/v1/transitions?rule=viewed").json["data"]
    assert [t["cause"]["kind"] for t in causes] == ["rule"]


def test_a_long_history_is_folded_page_by_page(server):
    """More facts than a batch reads, under two origins, beside a customer with three."""
    api = make_workspace(server, "long")
    views = [{"id": f"l{n}", "type": "product.viewed", "occurred_at": iso(-86400 + n * 10),
              "identities": {"email": "long@example.com"} if n % 2 else {"anonymous_id": "a-long"},
              "properties": {"product_id": f"p{n % 7}", "category": f"C{n % 5}"}}
             for n in range(6000)]
    for begin in range(0, len(views), 2000):
        api.call("POST", "/v1/events", views[begin:begin + 2000], 200)
    api.call("POST", "/v1/events", {
        "id": "joins", "type": "page.viewed", "occurred_at": iso(-5), "properties": {},
        "identities": {"email": "long@example.com", "anonymous_id": "a-long"}}, 200)
    api.call("POST", "/v1/events", [
        {**views[n], "id": f"s{n}", "identities": {"email": "short@example.com"}}
        for n in range(3)], 200)
    rule = api.call("PUT", "/v1/rules/many", {
        "kind": "segment", "title": "Many",
        "when": 'count(product.viewed where category = "C1" within 400d) = 1200'}).json
    wait_for(lambda: api.call("GET", f"/v1/jobs/{rule['job']['id']}").json["status"]
             == "succeeded", 30, what="the job")
    found = api.post("/v1/profiles/lookup", {"kind": "email", "value": "long@example.com"},
                     expect=200)
    assert found["segments"] == ["many"] and len(found["merged_from"]) == 1
    assert found["rules"] == {"version": rule_version(api), "stale": False}
    other = api.post("/v1/profiles/lookup", {"kind": "email", "value": "short@example.com"},
                     expect=200)
    assert other["segments"] == [] and not other["rules"]["stale"]


def rule_version(api):
    return api.call("GET", "/v1/jobs?kind=hydrate").json["data"][0]["parameters"]["ruleset_version"]
