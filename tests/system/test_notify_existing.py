"""A save that rings: `notify_existing` tells subscribers of those who enter, leave
or change because the rule was saved, once each, whoever brings them up.

The server is killed and started anew here, so the cluster is the tests' own. Who
is reached before whom is arranged by row locks: the sweep takes only what is free.
"""

import pytest
import shopbell
from shopbell import Server, wait_for
from test_correctness import Brand, Session, in_background, iso, order_event, waiting
from test_engine_traps import VIEWED, hydrated, instant_ms, turns, view

THRICE = f"count({VIEWED} within 30d) >= 3"


@pytest.fixture(scope="module")
def own_cluster():
    made = shopbell.Cluster()
    yield made
    made.remove()


@pytest.fixture
def place(own_cluster, tmp_path):
    server = Server(own_cluster, str(tmp_path)).migrate().start()
    yield Brand(own_cluster, server)
    server.stop()


def put(brand, name, when, kind="segment", **more):
    body = {"kind": kind, **({"when": when} if isinstance(when, str) else {"cases": when}), **more}
    answer = brand.api.call("PUT", f"/v1/rules/{name}", body)
    assert answer.status in (200, 201), answer.body
    return answer.json


def settled(brand):
    hydrated(brand)
    wait_for(lambda: brand.count("delivery") == 0, 30, what="everything is sent")


def rung(esp, kind, name):
    """(email, id) of each message, repeats included."""
    return [(m["data"]["profile"]["email"], m["id"]) for m in esp.of_type(kind)
            if next(iter(m["data"].values()))["name"] == name]


def hold_all(session, brand, where="true"):
    session.run(f"SELECT 1 FROM profile WHERE workspace_id = %s AND {where} ORDER BY id FOR UPDATE",
                brand.id)


def behind(brand):
    return brand.count("profile", "ruleset_version < (SELECT max(version) FROM ruleset r"
                       " WHERE r.workspace_id = profile.workspace_id) AND merged_into IS NULL")


def restart(brand):
    """As after a kill; the leases of the dead are not waited for."""
    brand.sql("UPDATE job SET lease_until = now() - interval '1 s' WHERE workspace_id = {ws}"
              " AND status = 'running'")
    brand.sql("UPDATE delivery SET lease_until = now() - interval '1 s' WHERE workspace_id = {ws}"
              " AND lease_until IS NOT NULL")
    brand.server.start()


def test_everyone_concerned_is_told_once_also_when_the_server_is_killed(place, esp):
    people = [f"p{n}@example.com" for n in range(400)]
    keen = people[::2]
    place.send([view(f"a{p}", p) for p in people])
    for n in range(2):
        place.send([view(f"{n}{p}", p) for p in keen])
    for begin in range(0, 2500, 500):  # a history that is folded page by page
        place.send([view(f"l{n}", "long@example.com") for n in range(begin, begin + 500)])
    keen = [*keen, "long@example.com"]
    hydrated(place)
    esp.subscribe(place.api, ["segment.*", "tag.*"])
    with Session(place.cluster) as soon, Session(place.cluster) as late, \
            Session(place.cluster) as hot:
        hold_all(hot, place, "email = 'p0@example.com'")
        hold_all(late, place, "hashtext(email) %% 2 = 0 AND email <> 'p0@example.com'")
        hold_all(soon, place, "hashtext(email) %% 2 <> 0 AND email <> 'p0@example.com'")
        # Three saves in one bringing up: one rings, one reads it, one is as new.
        own = put(place, "told", THRICE, notify_existing=True)["job"]
        put(place, "reader", '"told" in segments', "tag")
        last = put(place, "quiet", f"count({VIEWED} within 29d) >= 3")["job"]
        assert place.api.get("/v1/rules/told")["notify_existing"] is True
        soon.commit()
        wait_for(lambda: behind(place) < 250, 30, 0.01, what="about half of them are reached")
        place.server.kill()
        late.commit()
        restart(place)
        # Brought up by what he does, before the job gets hold of him.
        sender = in_background(lambda: place.send(view("hot", keen[0], at=iso())))
        wait_for(lambda: waiting(place.cluster) > 0, 10, what="the event waits")
        hot.commit()
        sender.outcome()
    settled(place)
    told = set(rung(esp, "segment.entered", "told"))
    assert sorted(email for email, _ in told) == sorted(keen), "everybody, under one id each"
    assert {m["data"]["segment"]["name"] for m in esp.of_type("segment.entered")} == {"told"}
    assert not esp.of_type("tag.added") and not esp.of_type("segment.left")
    assert len(turns(place, "quiet")) == len(turns(place, "reader")) == len(keen)
    assert {cause for _, cause, _ in turns(place, "told")} == {"rule"}

    message = esp.of_type("segment.entered")[0]
    assert message["cause"]["kind"] == "rule" and message["cause"]["rule"] == "told"
    own, job = (place.api.get(f"/v1/jobs/{one['id']}") for one in (own, last))
    created = {ms for ms, in place.sql("SELECT (extract(epoch FROM created_at) * 1000)::bigint"
                                       " FROM notification WHERE workspace_id = {ws}"
                                       " AND topic = 'segment.entered'")}
    assert created == {instant_ms(own["created_at"])}, "the instant of the save"
    assert 0 < job["result"]["rung"] < len(keen) and job["result"]["limit"] is False
    assert place.api.get("/v1/rules/told")["notify_existing"] is False, "all know"


def test_leaving_and_tiers_ring_and_what_did_not_change_does_not(place, esp):
    place.send([order_event(f"o{n}", f"b{n}@example.com", 100 + n, 10.0 * (n + 1))
                for n in range(6)])
    put(place, "big", "orders.revenue >= 30")
    put(place, "size", [{"value": "large", "when": "orders.revenue >= 50"},
                        {"value": "small", "when": "true"}], "tier")
    hydrated(place)
    esp.subscribe(place.api, ["segment.*", "tier.changed"])
    put(place, "big", "orders.revenue >= 50", notify_existing=True)
    put(place, "size", [{"value": "large", "when": "orders.revenue >= 40"},
                        {"value": "small", "when": "true"}], "tier", notify_existing=True)
    settled(place)
    assert sorted(e for e, _ in rung(esp, "segment.left", "big")) == [
        "b2@example.com", "b3@example.com"]
    assert [(m["data"]["profile"]["email"], m["data"]["tier"]["from"], m["data"]["tier"]["to"])
            for m in esp.of_type("tier.changed")] == [("b3@example.com", "small", "large")]
    assert not esp.of_type("segment.entered")
    # The same once more is no save; and the next one asks anew.
    put(place, "big", "orders.revenue >= 50", notify_existing=True)
    put(place, "big", "orders.revenue >= 10")
    settled(place)
    assert not esp.of_type("segment.entered")
    assert len(turns(place, "big")) == 4 + 2 + 4


def test_a_save_after_it_takes_nobody_s_bell(place, esp):
    """The job is superseded by that of another save; who was still behind is told all the same."""
    people = [f"s{n}@example.com" for n in range(30)]
    for n in range(3):
        place.send([view(f"{n}{p}", p) for p in people])
    hydrated(place)
    esp.subscribe(place.api, ["segment.*"])
    with Session(place.cluster) as session:
        hold_all(session, place)
        put(place, "told", THRICE, notify_existing=True)
        put(place, "other", f"count({VIEWED} within 31d) >= 3")
        session.commit()
    settled(place)
    assert sorted(e for e, _ in set(rung(esp, "segment.entered", "told"))) == sorted(people)
    assert not rung(esp, "segment.entered", "other")


def test_a_job_stops_ringing_at_its_limit(place, esp):
    people = [f"m{n}@example.com" for n in range(20)]
    for n in range(3):
        place.send([view(f"{n}{p}", p) for p in people])
    hydrated(place)
    esp.subscribe(place.api, ["segment.*"])
    with Session(place.cluster) as session:
        hold_all(session, place)
        job = put(place, "told", THRICE, notify_existing=True)["job"]
        wait_for(lambda: place.api.get(f"/v1/jobs/{job['id']}")["status"] == "running", 10)
        place.server.kill()
        place.sql("UPDATE job SET cursor = jsonb_build_object('rung', 100000 - 3, 'met', 0,"
                  " 'done', 0, 'round', 1, 'after', '00000000-0000-0000-0000-000000000000')"
                  " WHERE workspace_id = {ws} AND id = %s", job["id"])
        session.commit()
    restart(place)
    settled(place)
    assert len(set(rung(esp, "segment.entered", "told"))) == 3
    assert len(turns(place, "told")) == 20, "the others entered silently"
    found = place.api.get(f"/v1/jobs/{job['id']}")
    assert found["result"]["rung"] == 100000 and found["result"]["limit"] is True
    assert place.api.get("/v1/rules/told")["notify_existing"] is False


def test_a_cancelled_job_takes_its_bells_along(place, esp):
    email = "c@example.com"
    for n in range(3):
        place.send(view(f"c{n}", email))
    hydrated(place)
    esp.subscribe(place.api, ["segment.*"])
    with Session(place.cluster) as session:
        hold_all(session, place)
        job = put(place, "told", THRICE, notify_existing=True)["job"]
        place.api.post(f"/v1/jobs/{job['id']}/cancel", {}, expect=200)
        wait_for(lambda: place.api.get(f"/v1/jobs/{job['id']}")["status"] == "cancelled", 10)
        session.commit()
    place.send(view("c9", email, at=iso()))
    assert [t[:2] for t in turns(place, "told")] == [("true", "rule")]
    wait_for(lambda: place.count("delivery") == 0, 10)
    assert not esp.of_type("segment.entered")
    assert place.api.get("/v1/rules/told")["notify_existing"] is False
