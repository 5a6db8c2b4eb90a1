"""What an endpoint is spared and promised: order about a customer, batches, rate, rest, consent
(contract 4 and 9; correctness 18, 19)."""

import json
import threading
import time

import pytest

from shopbell import Api, Server, make_workspace, wait_for


@pytest.fixture
def shop(server, request):
    """A workspace of this test's own."""
    return make_workspace(server, "care_" + request.node.name[5:40].strip("_[]"))


def subscribe(api, esp, **members):
    return esp.subscribe(api, ["product.viewed"], "esp", **members)


def iso():
    moment = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + ".%03dZ" % (moment % 1 * 1000)


def view(api, number, customer="jane", **more):
    api.call("POST", "/v1/events", {
        "id": f"v{number}", "type": "product.viewed", "occurred_at": iso(),
        "identities": {"email": f"{customer}@example.com"},
        "properties": {"product_id": str(number)}, **more}, 200)


def parsed(esp):
    with esp.lock:
        return [m[2] for m in esp.messages]


def members(esp):
    return [n for m in parsed(esp) for n in m["data"]["notifications"]]


def test_a_digest_is_a_batch(shop, esp):
    subscribe(shop, esp, batch={"max": 100, "wait": "3s"})
    began = time.monotonic()
    for number in range(7):
        view(shop, number, f"c{number}")
    wait_for(lambda: parsed(esp), 6)
    (batch,) = parsed(esp)
    assert esp.messages[0][3] - began >= 2.9
    assert batch["type"] == "notification.batch" and batch["data"]["count"] == 7
    headers = esp.messages[0][0]
    assert headers["webhook-id"] == batch["id"] and batch["id"][14] == "8"
    one = batch["data"]["notifications"][0]
    assert one["type"] == "product.viewed" and one["data"]["profile"]["email"]
    wait_for(lambda: shop.get("/v1/subscriptions/esp")["stats"]["pending"] == 0, 5)


def test_enough_of_them_do_not_wait(shop, esp):
    subscribe(shop, esp, batch={"max": 5, "wait": "1d"})
    for number in range(12):
        view(shop, number)
    wait_for(lambda: len(parsed(esp)) == 2, 5)
    time.sleep(0.5)
    assert [m["data"]["count"] for m in parsed(esp)] == [5, 5]


def test_rejected_ones_come_again_in_another_batch(shop, esp):
    refused = {}

    def answer(_headers, body):
        rejected = []
        for n in json.loads(body)["data"]["notifications"]:
            product = n["data"].get("product", n["data"])["product_id"]
            if product in ("1", "2") and product not in refused:
                refused[product] = n["id"]
                rejected.append({"id": n["id"], "retry": product == "1", "reason": "locked"})
        return 200, {}, json.dumps({"rejected": rejected}).encode()

    esp.answer = answer
    subscribe(shop, esp, batch={"max": 4, "wait": "1s"})
    for number in range(4):
        view(shop, number, f"c{number}")
    wait_for(lambda: len(parsed(esp)) == 2, 10)
    first, second = parsed(esp)
    assert first["data"]["count"] == 4 and second["data"]["count"] == 1
    assert second["data"]["notifications"][0]["id"] == refused["1"]
    assert second["id"] != first["id"]
    attempts = wait_for(lambda: [a for a in shop.get(
        f"/v1/notifications/{refused['2']}/attempts")["data"] if a["outcome"] == "gave_up"], 5)
    assert attempts[0]["error"] == "locked"


@pytest.fixture
def two(own_cluster, tmp_path):
    """Two servers of one cluster, where no other takes over what they had begun."""
    made = [Server(own_cluster, str(tmp_path)).migrate(), Server(own_cluster, str(tmp_path))]
    yield made
    for server in made:
        server.stop()


def test_a_killed_server_repeats_the_batch_as_it_was(own_cluster, two, esp):
    server = two[0].start()
    api = make_workspace(server, "care_killed")
    gone = threading.Event()
    esp.answer = lambda _headers, _body: (gone.wait(20), (200, {}, b""))[1]
    subscribe(api, esp, batch={"max": 3, "wait": "1d"}, ordering="profile")
    for number in range(3):
        view(api, number, f"c{number % 2}")
    wait_for(lambda: parsed(esp), 5)
    server.kill()
    gone.set()
    own_cluster.query("UPDATE delivery_batch SET lease_until = now()")  # a minute, made short
    server.start()
    view(api, 3, "c0")
    view(api, 4, "c1")
    wait_for(lambda: len(parsed(esp)) == 2, 10)
    assert esp.messages[0][1] == esp.messages[1][1]
    view(api, 5, "c2")
    wait_for(lambda: len(parsed(esp)) == 3, 10)
    assert len(members(esp)) == 9 and len({m["id"] for m in members(esp)}) == 6


def test_two_servers_keep_the_order_about_a_customer(two, esp):
    first = make_workspace(two[0].start(), "care_ordered")
    two[1].start()
    failed = set()

    def answer(_headers, body):
        message = json.loads(body)
        if message["data"]["profile"]["email"].startswith("bad") and message["id"] not in failed \
                and len(failed) < 2:
            failed.add(message["id"])
            return 500, {}, b""
        return 200, {}, b""

    esp.answer = answer
    subscribe(first, esp, ordering="profile", concurrency=16)
    # Where a key is known, so is all that was configured before it.
    key = first.post("/v1/keys", {"name": "second", "scopes": ["ingest", "read"]}, expect=201)
    apis = [first, Api(two[1], key["key"])]
    wait_for(lambda: apis[1].call("GET", "/v1/sources").status == 200, 5)
    customers = ["bad", "good0", "good1", "good2"]
    for number in range(80):
        view(apis[number % 2], number, customers[number % 4])
    arrived = lambda: {m["id"] for m in parsed(esp)}
    # The others do not wait for the one that is tried again.
    wait_for(lambda: len(arrived()) >= 61, 4, what="the healthy customers' messages")
    wait_for(lambda: len(arrived()) == 80, 30)
    last = {}
    settled = set()
    for message in parsed(esp):
        customer = message["data"]["profile"]["id"]
        if message["id"] in failed and message["id"] not in settled:
            settled.add(message["id"])
            assert message["sequence"] >= last.get(customer, 0)
            continue
        assert message["sequence"] > last.get(customer, 0), (message["id"], customer)
        last[customer] = message["sequence"]


ANNA = {"email": "anna@example.com"}
BEN = {"phone": "+33612345678"}


def seen(esp):
    return [m["data"]["product"]["product_id"] for m in parsed(esp)]


def pending(api, identities):
    kind, value = next(iter(identities.items()))
    profile = api.post("/v1/profiles/lookup", {"kind": kind, "value": value}, expect=200)
    return [d["profile_id"] for d in api.get(f"/v1/deliveries?profile={profile['id']}")["data"]], \
        profile["id"]


def test_who_was_merged_is_told_of_in_one_order(shop, esp):
    """A merge re-points what is pending (correctness 8), a follower is woken by whom it waits for."""
    down = threading.Event()
    down.set()
    esp.answer = lambda _headers, body: (
        500 if down.is_set() and b'"2"' in body else 200, {}, b"")
    subscribe(shop, esp, ordering="profile")
    view(shop, 1, identities=ANNA)
    wait_for(lambda: seen(esp) == ["1"], 5)
    view(shop, 2, identities=BEN)  # the younger, who goes
    wait_for(lambda: seen(esp) == ["1", "2"], 5)
    view(shop, 3, identities=BEN)
    view(shop, 4, identities={**ANNA, **BEN})
    view(shop, 5, identities=ANNA)
    rows, survivor = pending(shop, BEN)
    assert rows == [survivor] * 4
    down.clear()
    wait_for(lambda: len(seen(esp)) == 6, 10)
    assert seen(esp)[2:] == ["2", "3", "4", "5"]
    times = [m[3] for m in esp.messages]
    assert times[5] - times[2] < 2, "nobody waits for a floor to be forgotten"


def test_who_is_parted_waits_for_their_own(shop, esp):
    down = threading.Event()
    down.set()
    esp.answer = lambda _headers, body: (
        500 if down.is_set() and b'"2"' in body else 200, {}, b"")
    subscribe(shop, esp, ordering="profile")
    view(shop, 1, identities=ANNA)
    view(shop, 2, identities=BEN)
    wait_for(lambda: sorted(seen(esp)) == ["1", "2"], 5)
    view(shop, 3, identities={**ANNA, **BEN})
    _, survivor = pending(shop, ANNA)
    edge = shop.get(f"/v1/profiles/{survivor}/merges")["data"][0]
    shop.post(f"/v1/profiles/{survivor}/unmerge", {"merge_id": edge["id"]}, expect=200)
    view(shop, 4, identities=BEN)  # behind 2, which is about Ben again
    rows, ben = pending(shop, BEN)
    assert ben != survivor and rows == [ben] * 2
    wait_for(lambda: seen(esp)[2:] == ["3"], 5, what="Anna waits for Ben no longer")
    time.sleep(0.5)
    down.clear()
    wait_for(lambda: "4" in seen(esp), 10)
    order = seen(esp)
    assert order.index("4") > len(order) - 1 - order[::-1].index("2")


def test_a_lane_rests_when_its_receiver_asks(shop, esp):
    said = []

    def answer(_headers, _body):
        if not said:
            said.append(time.monotonic())
            return 429, {"Retry-After": "3"}, b""
        return 200, {}, b""

    esp.answer = answer
    subscribe(shop, esp, concurrency=1)
    for number in range(20):
        view(shop, number)
    wait_for(lambda: len({m["id"] for m in parsed(esp)}) == 20, 15)
    times = [m[3] for m in esp.messages]
    assert times[1] - times[0] >= 2.9
    waited = [m["id"] for m in parsed(esp)[1:]]
    once = [n for n in waited if n != parsed(esp)[0]["id"]]
    numbers = wait_for(lambda: [a["number"] for n in once[:3] for a in
                                shop.get(f"/v1/notifications/{n}/attempts")["data"]], 5)
    assert set(numbers) == {1}  # who waited was not tried


def test_no_second_has_more_than_the_rate(shop, esp):
    subscribe(shop, esp, rate_limit={"count": 10, "per": "1s"})
    for number in range(35):
        view(shop, number, f"c{number}")
    wait_for(lambda: len(parsed(esp)) == 35, 10)
    times = sorted(m[3] for m in esp.messages)
    assert all(times[i] - times[i - 10] >= 0.9 for i in range(10, 35))


def test_who_withdrew_consent_is_not_sent_to(shop, esp, cluster):
    esp.answer = lambda _headers, _body: (500 if len(parsed(esp)) == 1 else 200, {}, b"")
    subscribe(shop, esp, channel="email")
    view(shop, 1, "yes")
    time.sleep(0.5)
    assert not parsed(esp)  # nobody has consented yet
    view(shop, 2, "yes", consent={"email": "subscribed"})
    wait_for(lambda: parsed(esp), 5)
    # The first attempt failed; by the second the customer has changed their mind.
    shop.call("POST", "/v1/events", {
        "id": "away", "type": "product.searched", "occurred_at": iso(),
        "identities": {"email": "yes@example.com"}, "properties": {"query": "x"},
        "consent": {"email": "unsubscribed"}}, 200)
    sql = ("SELECT a.number, a.error FROM attempt a JOIN profile p ON p.workspace_id ="
           " a.workspace_id AND p.id = a.profile_id WHERE a.outcome = 'dropped'"
           " AND p.email = 'yes@example.com' ORDER BY a.at")
    wait_for(lambda: len(cluster.query(sql)) == 2, 10)
    assert cluster.query(sql) == [(1, "the customer never consented to the channel"),
                                  (2, "the customer has unsubscribed from the channel")]
    assert len(parsed(esp)) == 1
