"""Two servers, one of which has not heard of newer rules yet: nobody decides a
profile by rules older than those it stands at, and no fact is lost."""

import time

from shopbell import Api, Server, make_workspace, wait_for


def iso():
    moment = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + ".%03dZ" % (moment % 1 * 1000)


def viewed(number, email):
    return {"id": f"v{number}", "type": "product.viewed", "occurred_at": iso(),
            "identities": {"email": email}, "properties": {"product_id": "p", "category": "Shoes"}}


def test_nobody_decides_by_older_rules(cluster, tmp_path):
    first = Server(cluster, str(tmp_path)).migrate().start()
    second = Server(cluster, str(tmp_path)).start()
    try:
        api = make_workspace(first, "versions")
        other = Api(second, api.key)
        email = "two@example.com"
        sent = 0
        wait_for(lambda: other.call("GET", "/v1/sources").status == 200, 5)
        api.call("POST", "/v1/events", viewed(sent, email), 200)
        sent += 1
        for turn in range(12):
            # A new feature each time: the first server's write brings the profile
            # up at once; the second learns of the version up to 250 ms later.
            api.call("PUT", f"/v1/rules/turn{turn}", {
                "kind": "segment", "title": "turn",
                "when": f"count(product.viewed within {turn + 1}d) >= {2 * turn + 3}"}, 201)
            api.call("POST", "/v1/events", viewed(sent, email), 200)
            other.call("POST", "/v1/events", viewed(sent + 1, email), 200)
            sent += 2
            segments = other.post("/v1/profiles/lookup", {"kind": "email", "value": email},
                                  expect=200)["segments"]
            assert sorted(segments) == sorted(f"turn{n}" for n in range(turn + 1)), turn
        versions = cluster.query("SELECT ruleset_version FROM profile WHERE email = %s", email)
        newest = cluster.query("SELECT max(r.version) FROM ruleset r JOIN workspace w"
                               " ON w.id = r.workspace_id WHERE w.name = 'versions'")
        wait_for(lambda: cluster.query("SELECT ruleset_version FROM profile WHERE email = %s",
                                       email) == newest, 10, what=f"{versions} to be {newest}")
    finally:
        first.stop()
        second.stop()
