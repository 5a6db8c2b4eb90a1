"""Rules as their authors meet them: REST and the command line, errors that
point at the character, versions, members, jobs, and the words there are.

Members and transitions are put into the tables by hand where a test is about
showing them.
"""

import json
import threading
import time
import uuid
from urllib.parse import quote

import pytest
from shopbell import Api, Server, make_workspace, wait_for

VIEWS = 'count(product.viewed where category = "Shoes" within 24h) >= 3'
SHIPPED = {"lifecycle", "frequent_buyer", "abandoned_cart", "high_engagement", "discount_seeker",
           "at_risk", "basket"}


def segment(when=VIEWS, **more):
    return {"kind": "segment", "title": "Viewed shoes", "when": when, **more}


def put(api, name, body, expect=None, query="", **headers):
    return api.call("PUT", f"/v1/rules/{name}{query}", body, expect, headers=headers)


def workspace_id(api, cluster):
    name = api.get("/v1/sources")["data"][0]["name"]
    assert name == "api"
    return cluster.query("SELECT workspace_id FROM source WHERE id = %s",
                         api.get("/v1/sources/api")["id"])[0][0]


def add_profile(cluster, workspace, email=None):
    made = uuid.uuid4()
    cluster.query(
        "INSERT INTO profile (workspace_id, id, sequence, created_at, updated_at, decided_at,"
        " first_seen_at, last_seen_at, last_seen_day, identified, email, state)"
        " VALUES (%s, %s, 1, now(), now(), now(), now(), now(), current_date, true, %s, '')",
        workspace, made, email)
    return made


def test_a_workspace_is_born_with_the_shipped_rules(api):
    rules = {r["name"]: r for r in api.get("/v1/rules?page_size=100&include=total")["data"]}
    assert set(rules) == SHIPPED
    assert all(r["shipped"] and r["version"] == 1 and r["enabled"] for r in rules.values())
    assert rules["at_risk"]["uses"] == ["rule:lifecycle"]
    assert rules["lifecycle"]["used_by"] == ["rule:at_risk"]
    assert [c["value"] for c in rules["lifecycle"]["cases"]] == ["churned", "lapsed", "new",
                                                                 "active"]
    assert rules["lifecycle"]["when"] is None and rules["at_risk"]["cases"] is None
    assert rules["basket"]["hysteresis"] == 0.02
    assert rules["frequent_buyer"]["features"] != []
    assert rules["frequent_buyer"]["members"] == {"count": 0, "exact": True}


def test_put_creates_replaces_and_leaves_alone(api):
    made = put(api, "shoes", segment(), 201)
    assert made.headers["ETag"] == '"1"' and made.headers["Location"] == "/v1/rules/shoes"
    rule = made.json
    assert set(rule) == {
        "id", "name", "kind", "title", "when", "cases", "hysteresis", "enabled",
        "notify_existing", "expose", "shipped", "version", "uses", "used_by", "features", "members",
        "job", "warnings", "created_at", "updated_at"}
    assert rule["when"] == VIEWS and rule["cases"] is None and not rule["shipped"]
    assert len(rule["features"]) == 1 and "product.viewed" in rule["features"][0]
    same = put(api, "shoes", segment(), 200)
    assert same.headers["ETag"] == '"1"'
    assert same.json["updated_at"] == rule["updated_at"]
    edited = put(api, "shoes", segment(VIEWS.replace("3", "4")), 200)
    assert edited.headers["ETag"] == '"2"' and edited.json["id"] == rule["id"]
    assert api.get("/v1/rules/shoes") == {**edited.json, "warnings": []}
    assert api.get(f"/v1/rules/{rule['id']}")["name"] == "shoes"


def test_an_answer_can_be_put_back(api):
    put(api, "shoes", segment(expose=["storefront"]), 201)
    shown = api.get("/v1/rules/shoes")
    assert put(api, "shoes", shown, 200).headers["ETag"] == '"1"'
    assert put(api, "other", shown, 422).json["errors"][0]["pointer"] == "#/name"


def test_post_creates_once(api):
    body = {"name": "shoes", **segment()}
    assert api.post("/v1/rules", body, expect=201)["name"] == "shoes"
    assert api.post("/v1/rules", body, expect=409)["type"] == "/problems/name-taken"


def test_etags(api):
    assert put(api, "shoes", segment(), 412, **{"If-Match": "*"}).json["type"] == \
        "/problems/etag-mismatch"
    put(api, "shoes", segment(), 201)
    put(api, "shoes", segment(title="x"), 412, **{"If-Match": '"2"'})
    put(api, "shoes", segment(title="x"), 412, **{"If-Match": "2"})
    put(api, "shoes", segment(title="x"), 200, **{"If-Match": '"1"'})
    api.call("DELETE", "/v1/rules/shoes", expect=412, headers={"If-Match": '"1"'})
    api.call("DELETE", "/v1/rules/shoes", expect=204, headers={"If-Match": '"2"'})


def test_a_dry_run_says_all_and_saves_nothing(api):
    tried = put(api, "shoes", segment(), 200, "?validate_only=true").json
    assert tried["version"] == 1 and len(tried["features"]) == 1
    api.get("/v1/rules/shoes", expect=404)
    wrong = put(api, "shoes", segment("orders.cont > 1"), 422, "?validate_only=true").json
    assert wrong["type"] == "/problems/invalid-expression"


def test_an_error_points_at_the_character(api):
    problem = put(api, "shoes", segment("count(product.view within 24h) >= 3"), 422).json
    assert problem["type"] == "/problems/invalid-expression"
    assert problem["detail"].startswith("#/when, line 1, column 7: ")
    assert problem["instance"] == "/v1/rules/shoes"
    error = problem["errors"][0]
    assert {k: error[k] for k in ("pointer", "line", "column", "length", "found", "suggestion")} \
        == {"pointer": "#/when", "line": 1, "column": 7, "length": 12, "found": "product.view",
            "suggestion": "product.viewed"}
    assert error["expected"] and error["detail"]


def test_an_error_in_a_case_names_the_case(api):
    tier = {"kind": "tier", "cases": [{"value": "high", "when": "orders.count >= 10"},
                                      {"value": "low", "when": "orders.count >=\n orders.mean"}]}
    problem = put(api, "loyalty", tier, 422).json
    assert problem["errors"][0]["pointer"] == "#/cases/1/when"
    assert problem["errors"][0]["line"] == 2
    tier["cases"][1]["when"] = "true"
    assert put(api, "loyalty", tier, 201).json["when"] is None


@pytest.mark.parametrize("body, pointer, words", [
    ({"kind": "segmnt", "when": "true"}, "#/kind", "segment"),
    ({"when": "true"}, "#/kind", "needed"),
    ({"kind": "tag"}, "#/when", "needed"),
    ({"kind": "tag", "when": "true", "cases": [{"value": "a", "when": "true"}]}, "#/cases", "when"),
    ({"kind": "tier", "when": "true"}, "#/when", "cases"),
    ({"kind": "tier", "cases": []}, "#/cases", "1 to 20"),
    ({"kind": "tier", "cases": [{"value": "A", "when": "true"}]}, "#/cases/0/value", "lower-case"),
    ({"kind": "tier", "cases": [{"value": "a"}]}, "#/cases/0/when", "needed"),
    ({"kind": "tier", "cases": [{"value": "a", "when": "true", "wen": 1}]}, "#/cases/0/wen",
     "when"),
    ({"kind": "tier", "cases": [{"value": "a", "when": "true"}, {"value": "a", "when": "true"}]},
     "#/cases", "same value"),
    ({"kind": "tier", "cases": [{"value": "a", "when": "true"}], "hysteresis": 2}, "#/hysteresis",
     "0.5"),
    ({"kind": "tag", "when": "true", "hysteresis": 0.1}, "#/hysteresis", "tier"),
    ({"kind": "tag", "when": "true", "titel": "x"}, "#/titel", "title"),
    ({"kind": "lifecycle", "cases": [{"value": "a", "when": "true"}]}, "#/kind", "one lifecycle"),
    ({"kind": "tag", "when": "x" * 5000}, "#/when", "4096"),
])
def test_what_is_not_a_rule_is_refused_in_words(api, body, pointer, words):
    problem = put(api, "odd", body, 422).json
    assert problem["errors"][0]["pointer"] == pointer
    assert words in problem["detail"]


def test_a_name_is_checked_in_the_path_too(api):
    assert put(api, "Shoes-1", segment(), 422).json["errors"][0]["pointer"] == "#/name"


def test_circles_and_use(api):
    put(api, "vip", {"kind": "tag", "when": "orders.count >= 10"}, 201)
    put(api, "idle_vip", {"kind": "segment", "when": '"vip" in tags and age(last_seen_at) > 30d'},
        201)
    circle = put(api, "vip", {"kind": "tag", "when": '"idle_vip" in segments'}, 422).json
    assert circle["type"] == "/problems/expression-circular"
    assert api.get("/v1/rules/vip")["used_by"] == ["rule:idle_vip"]
    used = api.call("DELETE", "/v1/rules/vip", expect=409).json
    assert used["type"] == "/problems/rule-in-use"
    assert [e["used_by"] for e in used["errors"]] == ["rule:idle_vip"]
    api.call("DELETE", "/v1/rules/idle_vip", expect=204)
    api.call("DELETE", "/v1/rules/vip", expect=204)
    api.call("DELETE", "/v1/rules/vip", expect=404)


def test_what_others_use_is_not_switched_off(api):
    put(api, "vip", {"kind": "tag", "when": "orders.count >= 10"}, 201)
    put(api, "idle_vip", {"kind": "segment", "when": '"vip" in tags and age(last_seen_at) > 30d'},
        201)
    problem = put(api, "vip", {"kind": "tag", "when": "orders.count >= 10", "enabled": False},
                  422).json
    assert problem["type"] == "/problems/invalid-expression"
    assert problem["detail"].startswith('rule "idle_vip" would not hold any more: ')
    assert problem["errors"][0]["pointer"] == "#"
    put(api, "idle_vip", {**api.get("/v1/rules/idle_vip"), "enabled": False}, 200)
    off = put(api, "vip", {"kind": "tag", "when": "orders.count >= 10", "enabled": False}, 200)
    assert off.json["enabled"] is False and off.json["features"] == []


def test_what_takes_too_much_of_a_profile_is_refused(api):
    greedy = " + ".join(f"sum(order.completed.total within {n}d)" for n in range(30, 60))
    problem = put(api, "greedy", segment(f"{greedy} > 500"), 422).json
    assert problem["type"] == "/problems/limit-reached"
    assert "sum(order.completed.total within" in problem["detail"]
    assert problem["errors"][0]["pointer"] == "#/when"


def test_a_kind_never_changes(api):
    put(api, "vip", {"kind": "tag", "when": "true"}, 201)
    assert put(api, "vip", {"kind": "segment", "when": "true"}, 422).json["errors"][0]["pointer"] \
        == "#/kind"


def test_shipped_rules_come_back(api):
    put(api, "at_risk", {"kind": "tag", "when": "orders.count > 99"}, 200)
    api.call("DELETE", "/v1/rules/high_engagement", expect=204)
    back = api.post("/v1/rules/at_risk/restore", expect=200)
    assert back["version"] == 3 and "cycle_stage" in back["when"] and back["shipped"]
    again = api.call("POST", "/v1/rules/high_engagement/restore", {}, 201)
    assert again.headers["Location"] == "/v1/rules/high_engagement"
    api.post("/v1/rules/nothing/restore", expect=404)


def test_a_save_brings_profiles_up_and_a_title_does_not(api, cluster):
    add_profile(cluster, workspace_id(api, cluster))
    first = put(api, "shoes", segment(), 201).json["job"]
    assert first["kind"] == "hydrate" and first["status"] in ("queued", "running")
    versions = cluster.query("SELECT count(*) FROM ruleset WHERE workspace_id = %s",
                             workspace_id(api, cluster))
    put(api, "shoes", segment(title="Other words"), 200)
    assert cluster.query("SELECT count(*) FROM ruleset WHERE workspace_id = %s",
                         workspace_id(api, cluster)) == versions
    second = put(api, "shoes", segment(VIEWS.replace("3", "5")), 200).json["job"]
    assert second is None or second["id"] != first["id"]
    job = api.get(f"/v1/jobs/{first['id']}")
    assert set(job) == {"id", "kind", "status", "cancel_requested", "progress", "parameters",
                        "created_at", "started_at", "finished_at", "result", "error", "links"}
    assert job["status"] in ("cancelled", "succeeded") or job["cancel_requested"]
    assert job["parameters"] == {"ruleset_version": 2}
    assert first["id"] in [j["id"] for j in api.get("/v1/jobs?kind=hydrate")["data"]]


def test_jobs_are_listed_newest_first_and_cancelled(api, cluster):
    workspace = workspace_id(api, cluster)
    ids = []
    for number in range(5):
        ids.append(uuid.UUID(f"0199d2d0-0000-7000-8000-00000000000{number}"))
        # Leased, or the server would begin them: none says what to backtest.
        cluster.query("INSERT INTO job (workspace_id, id, kind, status, created_at, lease_until)"
                      " VALUES (%s, %s, 'backtest', 'queued', now(), now() + interval '1 h')",
                      workspace, ids[-1])
    page = api.get("/v1/jobs?kind=backtest&page_size=2")
    assert [j["id"] for j in page["data"]] == [str(ids[4]), str(ids[3])]
    assert page["data"][0]["progress"] == {"done": 0, "total": None}
    page = api.get("/v1/jobs?kind=backtest&page_size=2&page_token=" + page["next_page_token"])
    assert [j["id"] for j in page["data"]] == [str(ids[2]), str(ids[1])]
    gone = api.post(f"/v1/jobs/{ids[0]}/cancel", expect=200)
    assert gone["status"] == "cancelled" and gone["finished_at"]
    assert api.post(f"/v1/jobs/{ids[0]}/cancel", expect=200) == gone
    assert [j["id"] for j in api.get("/v1/jobs?status=cancelled&kind=backtest")["data"]] == [
        str(ids[0])]
    api.get("/v1/jobs?status=done", expect=422)
    api.get(f"/v1/jobs/{uuid.uuid4()}", expect=404)


def test_members_are_paged_and_masked(api, cluster, server):
    workspace = workspace_id(api, cluster)
    basket = api.get("/v1/rules/basket")["id"]
    people = sorted(add_profile(cluster, workspace, f"person{n}@example.com") for n in range(5))
    for number, person in enumerate(people):
        cluster.query("INSERT INTO membership VALUES (%s, %s, %s, %s, '2026-11-01T10:00:00Z')",
                      workspace, basket, "high" if number < 3 else "low", person)
    seen = []
    path = "/v1/rules/basket/members?page_size=2&include=total"
    page = api.get(path)
    assert page["total"] == {"count": 5, "exact": True}
    while True:
        seen += [(m["value"], m["id"]) for m in page["data"]]
        if page["next_page_token"] is None:
            break
        page = api.get(path + "&page_token=" + page["next_page_token"])
    assert seen == [("high", str(p)) for p in people[:3]] + [("low", str(p)) for p in people[3:]]
    low = api.get("/v1/rules/basket/members?value=low&include=total")
    assert low["total"]["count"] == 2
    assert low["data"][0]["since"] == "2026-11-01T10:00:00.000Z"
    assert low["data"][0]["email"].startswith("person")
    assert api.get("/v1/rules/basket")["members"] == {"count": 5, "exact": True}
    assert api.get("/v1/rules/basket/members?value=medium", expect=422)["errors"][0]["pointer"] \
        == "#/query/value"
    reader = Api(server, api.post("/v1/keys", {"name": "reader", "scopes": ["read"]},
                                  expect=201)["key"])
    masked = reader.get("/v1/rules/basket/members")["data"][0]
    assert masked["masked"] and masked["email"].startswith("p***@")
    assert reader.call("PUT", "/v1/rules/x", segment()).status == 403


def test_transitions_by_rule_kind_cause_and_time(api, cluster):
    workspace = workspace_id(api, cluster)
    person = add_profile(cluster, workspace)
    base = int(time.time()) - 3600
    for number in range(6):
        cluster.query(
            "INSERT INTO transition (workspace_id, occurred_at, id, profile_id, rule, kind,"
            " from_value, to_value, cause, decided_at, rule_version, ruleset_version)"
            " VALUES (%s, to_timestamp(%s), %s, %s, %s, %s, NULL, %s, %s, now(), 2, 3)",
            workspace, base + number, uuid.uuid4(), person,
            "basket" if number % 2 else "lifecycle", "tier" if number % 2 else "lifecycle",
            f"v{number}", "time" if number < 3 else "event")
    def values(query):
        return [t["to"] for t in api.get("/v1/transitions?" + query)["data"]]
    assert values("") == ["v5", "v4", "v3", "v2", "v1", "v0"]
    assert values("rule=basket") == ["v5", "v3", "v1"]
    assert values("kind=lifecycle&cause=event") == ["v4"]
    def iso(second):
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))
    assert values(f"from={iso(base + 1)}&to={iso(base + 3)}") == ["v2", "v1"]
    page = api.get("/v1/transitions?rule=basket&page_size=2")
    assert [t["to"] for t in page["data"]] == ["v5", "v3"]
    page = api.get("/v1/transitions?rule=basket&page_size=2&page_token="
                   + page["next_page_token"])
    assert [t["to"] for t in page["data"]] == ["v1"] and page["next_page_token"] is None
    row = api.get("/v1/transitions?page_size=1")["data"][0]
    assert row["profile_id"] == str(person) and row["kind"] == "tier"
    assert row["rule_version"] == 2 and row["cause"] == {"kind": "event", "event_id": None}
    api.get("/v1/transitions?cause=timer", expect=422)
    api.get("/v1/transitions?kind=stage", expect=422)
    api.get("/v1/transitions?from=yesterday", expect=422)
    line = api.get(f"/v1/profiles/{person}/timeline")["data"][0]
    assert line["kind"] == "transition" and line["rule"] == "basket"
    assert line["rule_kind"] == "tier" and line["rule_version"] == 2


def test_names_are_enough_to_write_a_rule(api):
    names = api.get("/v1/names")
    assert names["context"] == "rule"
    by_name = {n["name"]: n for n in names["names"]}
    assert by_name["orders.average_value"]["type"] == "number"
    assert by_name["orders.average_value"]["percentile"]
    assert "event.<property>" not in by_name
    assert "event.<property>" in {n["name"] for n in api.get("/v1/names?context=filter")["names"]}
    rules = {r["name"]: r for r in names["rules"]}
    assert rules["lifecycle"]["values"] == ["churned", "lapsed", "new", "active"]
    assert "product.viewed" in {e["name"] for e in names["events"]}
    assert {"name": "price", "type": "number"} in names["properties"]
    assert "expression = or" in names["grammar"]
    # What is shown as an example is one.
    for function in names["functions"]:
        put(api, "example", segment(function["example"]), 200, "?validate_only=true")
    api.get("/v1/names?context=elsewhere", expect=422)


def test_a_property_that_nobody_sends_is_warned_of(api):
    customers = {"identities": {"email": "jane@example.com"}}
    recent = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 60))
    assert put(api, "red", segment('count(product.viewed where colour = "red" within 7d) >= 1'),
               200, "?validate_only=true").json["warnings"] == []  # nothing came in yet
    api.post("/v1/events", {"id": "1", "type": "product.viewed", "occurred_at": recent,
                            "properties": {"color": "red", "product_id": "1"}, **customers},
             expect=200)
    wrong = put(api, "red", segment('count(product.viewed where colour = "red" within 7d) >= 1'),
                201).json["warnings"]
    assert len(wrong) == 1 and '"colour"' in wrong[0] and "product.viewed" in wrong[0]
    right = segment('count(product.viewed where color = "red" within 7d) >= 1')
    assert put(api, "red", right, 200).json["warnings"] == []
    quiz = put(api, "quiz", segment("count(custom.quiz_done) >= 1"), 201).json["warnings"]
    assert len(quiz) == 1 and "custom.quiz_done" in quiz[0]


def test_a_new_version_is_in_force_at_the_very_next_request(api):
    for count in range(1, 4):
        put(api, "vip", {"kind": "tag", "when": f"count(page.viewed within 1h) >= {count}"})
        shown = api.get("/v1/rules/vip")
        assert shown["when"].endswith(str(count))
        assert str(count) in shown["features"][0].rpartition("up to")[2], shown["features"]


def test_saves_at_once_are_one_version_each(api, cluster):
    answers = []
    def save(number):
        answers.append(put(api, f"rule_{number}", {"kind": "tag", "when":
                                                   f"count(page.viewed within {number}h) >= 2"}))
    threads = [threading.Thread(target=save, args=(n,)) for n in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [a.status for a in answers] == [201] * 8
    workspace = workspace_id(api, cluster)
    assert cluster.query("SELECT count(*), max(version) FROM ruleset WHERE workspace_id = %s",
                         workspace) == [(9, 9)]
    numbers = cluster.query("SELECT count(*), count(DISTINCT f->>'number') FROM ruleset,"
                            " jsonb_array_elements(features) f"
                            " WHERE workspace_id = %s AND version = 9", workspace)
    assert numbers[0][0] == numbers[0][1] >= 8


def test_another_instance_has_it_within_its_poll(api, cluster, tmp_path):
    other = Api(Server(cluster, str(tmp_path)), api.key)
    other.server.start()
    try:
        put(api, "shoes", segment(), 201)
        # Features are read off the instance's own compiled rules.
        features = api.get("/v1/rules/shoes")["features"]
        assert len(features) == 1
        wait_for(lambda: other.get("/v1/rules/shoes")["features"] == features, 5)
    finally:
        other.server.stop()


def test_a_workspace_has_2000_rules_and_no_more(api, server):
    rules = [{"name": f"rule_{n}", "kind": "tag", "when": f"orders.count >= {n % 50}"}
             for n in range(2000 - len(SHIPPED))]
    server.command("rule", "apply", "-", "--workspace", api.workspace, stdin=json.dumps(rules))
    problem = put(api, "one_more", {"kind": "tag", "when": "true"}, 422).json
    assert problem["type"] == "/problems/limit-reached" and "2000" in problem["detail"]
    wait_for(lambda: api.get("/v1/rules/rule_7")["used_by"] == [], 5)
    put(api, "rule_7", {"kind": "tag", "when": "orders.count >= 51"}, 200)
    api.call("DELETE", "/v1/rules/rule_7", expect=204)
    put(api, "one_more", {"kind": "tag", "when": "true"}, 201)


def test_what_many_files_say_is_all_or_nothing(api, server, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"name": "fine", "kind": "tag", "when": "true"}))
    (tmp_path / "b.json").write_text(json.dumps({"name": "wrong", "kind": "tag", "when": "tru"}))
    done = server.command("rule", "apply", str(tmp_path / "a.json"), str(tmp_path / "b.json"),
                          "--workspace", api.workspace, check=False)
    assert done.returncode == 2 and "#/rules/1/when, line 1, column 1" in done.stderr
    api.get("/v1/rules/fine", expect=404)


def test_the_command_line_does_the_same(api, server, tmp_path):
    def run(*words, stdin=None, check=True):
        return server.command("rule", *words, "--workspace", api.workspace, stdin=stdin, check=check)
    (tmp_path / "vip.json").write_text(json.dumps(
        {"name": "vip", "kind": "tag", "when": '"shoes" in segments and orders.count > 2'}))
    (tmp_path / "rest.json").write_text(json.dumps([{"name": "shoes", **segment()}]))
    files = [str(tmp_path / "vip.json"), str(tmp_path / "rest.json")]
    dry = json.loads(run("apply", *files, "--dry-run", "--json").stdout)
    assert [d["effect"] for d in dry["data"]] == ["created", "created"]
    api.get("/v1/rules/vip", expect=404)
    done = json.loads(run("apply", *files, "--json").stdout)
    assert done["ruleset_version"] == 2
    assert [d["effect"] for d in json.loads(run("apply", *files, "--json").stdout)["data"]] == [
        "unchanged", "unchanged"]
    wait_for(lambda: "shoes" in [r["name"] for r in api.get("/v1/rules")["data"]], 5)
    assert "vip" in run("list").stdout
    shown = run("show", "vip", "--json").stdout
    assert json.loads(shown)["uses"] == ["rule:shoes"]
    assert "unchanged" in run("apply", "-", stdin=shown).stdout
    wrong = run("set", "vip", "-", stdin='{"kind":"tag","when":"orders.cuont > 1"}', check=False)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("shopbell: #/when, line 1, column 1: ")
    assert "orders.count" in wrong.stderr
    assert run("delete", "shoes", "--yes", check=False).returncode == 1
    run("delete", "vip", "--yes")
    run("delete", "shoes", "--yes")
    assert run("show", "shoes", check=False).returncode == 3
    assert run("restore", "lifecycle", check=False).returncode == 4
    assert "unchanged" in run("restore", "--yes").stdout
    assert run("members", "basket", "--value", "high").returncode == 0
    listed = server.command("job", "list", "--workspace", api.workspace, "--json").stdout
    assert json.loads(listed)["data"] == []


def test_a_habit_is_the_same_hour_in_a_rule_and_in_the_profile(server, cluster):
    """And another time zone is another version: nobody keeps a verdict of the old clock."""
    api = make_workspace(server, "zoned")
    put(api, "evening", segment('habits.top_hour = 20 and habits.top_platform = "android"'), 201)
    put(api, "dinner", segment("habits.top_hour = 18"), 201)
    placed = api.post("/v1/events", {
        "id": "order-1", "type": "order.completed", "occurred_at": "2026-07-03T18:30:00Z",
        "identities": {"email": "late@example.com"},
        "properties": {"order_id": "1", "total": 10, "currency": "EUR"},
        "context": {"platform": "android"}})
    assert placed["status"] == "applied", placed

    def shown():
        found = api.post("/v1/profiles/lookup", {"kind": "email", "value": "late@example.com"})
        habits = found["habits"]
        assert habits["top_platform"] == "android"
        return found["segments"], habits["top_hour"], habits["time_zone"], found["rules"]["stale"]

    assert shown() == (["evening"], 20, "Europe/Paris", False)
    versions = ("SELECT count(*) FROM ruleset s JOIN workspace w ON w.id = s.workspace_id"
                " WHERE w.name = 'zoned' AND s.time_zone = %s")
    before = cluster.query(versions, "Europe/Paris")[0][0]
    api.call("PATCH", "/v1/workspaces/zoned", {"title": "the same zone"}, 200)
    assert cluster.query(versions, "Europe/Paris")[0][0] == before
    api.call("PATCH", "/v1/workspaces/zoned", {"time_zone": "UTC"}, 200)
    wait_for(lambda: shown() == (["dinner"], 18, "UTC", False), 10)
    caused = cluster.query("SELECT rule, to_value, cause FROM transition WHERE rule IN"
                           " ('evening', 'dinner') ORDER BY decided_at, rule")
    assert [(rule, cause) for rule, _, cause in caused] == \
        [("evening", "event"), ("dinner", "rule"), ("evening", "rule")], caused


def test_members_are_narrowed_by_a_filter(api):
    """In SQL where it can be, by the program else; either way page by page."""
    put(api, "everyone", segment("orders.count >= 1"), 201)
    put(api, "lookers", segment("count(product.viewed within 24h) >= 2"), 201)
    events = []
    for n in range(30):
        who = {"email": f"m{n:02}@example.com"}
        events.append({"id": f"o{n}", "type": "order.completed", "identities": who,
                       "traits": {"country": "FR" if n % 3 == 0 else "DE"},
                       "properties": {"order_id": f"n{n}", "total": 10 + n, "currency": "EUR"}})
        events += [{"id": f"v{n}-{k}", "type": "product.viewed", "identities": who,
                    "properties": {"product_id": "1"}} for k in range(n % 4)]
    taken = api.post("/v1/events", events)
    assert taken.get("events", {}).get("applied") == len(events), taken

    def members(expression, size=50):
        path = f"/v1/rules/everyone/members?page_size={size}&filter=" + quote(expression)
        page = api.get(path)
        found = [row["email"] for row in page["data"]]
        while page["next_page_token"]:
            assert len(page["data"]) <= size
            page = api.get(path + "&page_token=" + page["next_page_token"])
            found += [row["email"] for row in page["data"]]
        assert len(set(found)) == len(found)
        return {int(email[1:3]) for email in found}

    french = {n for n in range(30) if n % 3 == 0}
    often = {n for n in range(30) if n % 4 >= 2}
    assert members('traits.country = "FR"') == french == members('traits.country = "FR"', 3)
    assert members("count(product.viewed within 24h) >= 2", 4) == often
    assert members('traits.country = "FR" and count(product.viewed within 24h) >= 2', 2) == \
        french & often
    assert members("orders.revenue > 100") == set()
    base = "/v1/rules/everyone/members?filter="
    assert api.get(base + quote("orders.cont > 1"), 422)["errors"][0]["pointer"] == "#/query/filter"
    assert "not counted" in api.get(base + "identified&include=total", 422)["detail"]
    token = api.get(base + "identified&page_size=5")["next_page_token"]
    other = api.get(base + "orders.count%20%3E%201&page_size=5&page_token=" + token, 400)
    assert other["type"] == "/problems/page-token-mismatch"
