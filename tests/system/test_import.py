"""History by file: the same facts as by webhook, once, however often it is
imported and wherever it was killed, and nothing rings.
"""

import csv
import io
import json
import os
import random
import subprocess
import time

import pytest
from shopbell import Server, binary, shopify_order, wait_for

ORDER_COLUMNS = ["Name", "Email", "Financial Status", "Paid at", "Fulfillment Status",
                 "Fulfilled at", "Currency", "Subtotal", "Total", "Created at",
                 "Lineitem quantity", "Lineitem name", "Lineitem price", "Lineitem sku",
                 "Billing Country", "Billing Zip", "Notes", "Cancelled at", "Refunded Amount", "Id"]


def order_rows(number, email, total, at, lines=1, **more):
    first = {"Name": f"#{number}", "Email": email, "Financial Status": "paid", "Paid at": at,
             "Currency": "EUR", "Subtotal": total, "Total": total, "Created at": at,
             "Lineitem quantity": "1", "Lineitem name": "Trail runner, 42",
             "Lineitem price": "49.90", "Lineitem sku": "TR-42", "Billing Country": "FR",
             "Billing Zip": "'75011", "Notes": "two\nlines", "Refunded Amount": "0.00",
             "Id": str(7_000_000_000_000 + number), **more}
    rest = {"Name": f"#{number}", "Email": email, "Created at": at, "Lineitem quantity": "2",
            "Lineitem name": "Cap", "Lineitem price": "9.90"}
    return [first] + [rest] * (lines - 1)


def write_orders(path, rows, columns=ORDER_COLUMNS):
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue(), newline="")
    return path


def history(count, customers, seed=1):
    """Orders of five years, several rows each."""
    chance = random.Random(seed)
    rows = []
    for n in range(count):
        at = time.strftime("%Y-%m-%d %H:%M:%S +0000",
                           time.gmtime(1_500_000_000 + n * 150_000_000 // count))
        rows += order_rows(n + 1, f"c{chance.randrange(customers)}@example.com",
                           f"{chance.randrange(1000, 20000) / 100:.2f}", at, chance.choice([1, 1, 3]))
    return rows


def run_import(server, api, *arguments, check=True, stdin=None):
    workspace = api.workspace
    done = server.command("import", "--workspace", workspace, "--json", *map(str, arguments),
                          check=check, stdin=stdin)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return lines[0] if len(lines) == 1 else lines


@pytest.fixture
def brand(api, server):
    """The workspace with a look into its tables."""
    api.workspace_id = server.cluster.query(
        "SELECT id FROM workspace WHERE name = %s", api.workspace)[0][0]

    def rows(sql):
        return server.cluster.query(sql, api.workspace_id)
    api.rows = rows
    return api


def facts(api):
    """All that the workspace knows, without ids and times of ours."""
    return {
        "profiles": api.rows(
            "SELECT email, orders_count, orders_gross_minor, orders_refunded_minor, first_seen_at,"
            " last_seen_at, orders_first_at, orders_last_at, lifecycle, traits::text, consent::text"
            " FROM profile WHERE workspace_id = %s ORDER BY 1, 2, 3"),
        "orders": api.rows(
            "SELECT order_ref, number, status, rank, total_minor, refunded_minor, placed_at,"
            " version_at, counted, body::text FROM orders WHERE workspace_id = %s ORDER BY 1"),
        "interactions": api.rows(
            "SELECT id, type, occurred_at, properties::text FROM interaction"
            " WHERE workspace_id = %s ORDER BY 1"),
        "identities": api.rows(
            "SELECT kind, value FROM identity WHERE workspace_id = %s ORDER BY 1, 2"),
    }


def test_twice_is_once_and_nothing_rings(brand, shopify, server, esp, tmp_path):
    esp.subscribe(brand, ["*"])
    path = write_orders(tmp_path / "orders.csv", history(500, 120))
    before = len(esp.messages)
    first = run_import(server, brand, "--source", "shopify_main", path)
    assert first["kind"] == "orders" and first["format"] == "shopify-orders"
    assert first["records"] == 500 and first["rejected"] == 0
    assert first["events"] == {"applied": 500, "duplicate": 0}
    assert not (tmp_path / "orders.csv.rejected.csv").exists()
    known = facts(brand)
    assert len(known["orders"]) == 500 and len(known["interactions"]) == 500
    assert sum(p[1] for p in known["profiles"]) == 500
    again = run_import(server, brand, "--source", "shopify_main", path)
    assert again["events"] == {"applied": 0, "duplicate": 500}
    assert facts(brand) == known
    # Without the receipts, as after months: the interactions are the guard.
    server.cluster.query("DELETE FROM receipt WHERE workspace_id = %s", brand.workspace_id)
    late = run_import(server, brand, "--source", "shopify_main", path)
    assert late["events"] == {"applied": 0, "duplicate": 500}
    assert facts(brand) == known
    assert brand.rows("SELECT count(*) FROM notification WHERE workspace_id = %s")[0][0] == 0
    assert len(esp.messages) == before
    jobs = brand.rows("SELECT kind, status, done, total FROM job WHERE workspace_id = %s")
    assert {j[1] for j in jobs} == {"succeeded"}
    assert brand.rows("SELECT count(*) FROM import_chunk WHERE workspace_id = %s")[0][0] == 0


def test_killed_in_the_middle_it_goes_on(brand, shopify, server, tmp_path):
    """kill -9 again and again; in the end every order is there once."""
    seed = int(os.environ.get("SHOPBELL_SEED", random.randrange(1 << 30)))
    print("seed", seed)
    chance = random.Random(seed)
    rows = history(20_000, 2_500, seed)
    orders = [row for row in rows if row.get("Id")]
    bad = [i for i, row in enumerate(rows) if row.get("Id") and chance.random() < 0.005]
    for i in bad:
        rows[i]["Total"] = "abc"
    path = write_orders(tmp_path / "orders.csv", rows)
    command = [binary(), "import", "--workspace", brand.workspace, "--source", "shopify_main",
               "--json", "--quiet", str(path)]
    kills = 0
    out = None

    def taken():
        return brand.rows("SELECT count(*) FROM orders WHERE workspace_id = %s")[0][0]
    while out is None:
        process = subprocess.Popen(command, env=server.environment, stdout=subprocess.PIPE,
                                   text=True)
        had = taken()
        # Some chunk more is in, then a random moment; but not when all is in.
        wait_for(lambda: process.poll() is not None or taken() > had, 60, 0.002)
        if taken() < 0.7 * len(orders) and kills < 6:
            time.sleep(chance.uniform(0, 0.1))
            process.kill()
            process.wait()
            process.stdout.close()
            kills += 1
        else:
            out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    result = json.loads(out)
    assert kills >= 1 and result["resumed"]
    assert result["records"] == 20_000 and result["rejected"] == len(bad)
    assert result["events"] == {"applied": 20_000 - len(bad), "duplicate": 0}
    assert result["lines"] == path.read_text().count("\n")
    good = {row["Id"]: row for row in rows if row.get("Id") and row["Total"] != "abc"}
    stored = brand.rows("SELECT order_ref, total_minor FROM orders WHERE workspace_id = %s")
    assert {ref: total for ref, total in stored} == {
        ref: round(float(row["Total"]) * 100) for ref, row in good.items()}
    counts = brand.rows("SELECT email, orders_count FROM profile WHERE workspace_id = %s")
    expected = {}
    for row in good.values():
        expected[row["Email"]] = expected.get(row["Email"], 0) + 1
    assert dict(counts) == expected
    with open(f"{path}.rejected.csv", newline="") as f:
        rejected = list(csv.DictReader(f))
    assert sorted(int(r["line"]) for r in rejected) == sorted(lines_of(rows, bad))
    assert len(brand.rows("SELECT line FROM job_reject WHERE workspace_id = %s")) == len(bad)


def lines_of(rows, indexes):
    """Which line of the file each of the rows begins at."""
    wanted = set(indexes)
    line = 2
    for i, row in enumerate(rows):
        if i in wanted:
            yield line
        line += 1 + sum((value or "").count("\n") for value in row.values())


def test_rejects_are_exact(brand, shopify, server, tmp_path):
    at = "2025-01-01 10:00:00 +0000"
    rows = (order_rows(1, "a@example.com", "10.00", at, 2)
            + order_rows(2, "b@example.com", "ten", at)
            + order_rows(3, "c@example.com", "30.00", "yesterday")
            + order_rows(4, "d@example.com", "40.00", at, 3)
            + order_rows(5, "e@example.com", "50.00", at, Id=""))
    path = write_orders(tmp_path / "o.csv", rows)
    with open(path, "a", newline="") as f:
        f.write('#6,"stray"quote,paid\r\n#7,too,few\r\n')
    # Notes hold a line end: each first row is two lines.
    expected = [("5", "Total", "not an amount"), ("7", "Created at", "not an instant"),
                ("13", "Id", "an order needs its id")]
    done = server.command("import", "--workspace", brand.workspace, "--source", "shopify_main",
                          "--strict", path.as_posix(), check=False)
    assert done.returncode == 1, done.stderr
    assert "5 rejected" in done.stdout
    with open(f"{path}.rejected.csv", newline="") as f:
        rejected = [tuple(row) for row in csv.reader(f)]
    assert rejected[0] == ("line", "column", "reason")
    assert rejected[1:4] == expected
    assert [r[1] for r in rejected[4:]] == ["Email", ""]
    assert rejected[5][2] == f"3 fields where the header has {len(ORDER_COLUMNS)}"
    assert brand.rows("SELECT order_ref FROM orders WHERE workspace_id = %s ORDER BY 1") == [
        ("7000000000001",), ("7000000000004",)]
    stored = brand.rows(
        "SELECT line::text, field, reason FROM job_reject WHERE workspace_id = %s"
        " ORDER BY job_reject.line")
    assert [tuple(r) for r in stored] == rejected[1:]


def test_a_dry_run_writes_nothing(brand, shopify, server, tmp_path):
    rows = order_rows(1, "a@example.com", "10.00", "2025-01-01 10:00:00 +0000")
    rows += order_rows(2, "b@example.com", "x", "2025-01-01 10:00:00 +0000")
    path = write_orders(tmp_path / "o.csv", rows)
    result = run_import(server, brand, "--source", "shopify_main", "--dry-run", "--complete", path)
    assert result["dry_run"] and result["records"] == 2 and result["rejected"] == 1
    for table in ("profile", "orders", "interaction", "receipt", "job", "job_reject",
                  "import_chunk"):
        assert brand.rows(f"SELECT count(*) FROM {table} WHERE workspace_id = %s")[0][0] == 0
    assert brand.get("/v1/sources/shopify_main")["history"]["complete"] is False


def order_of(brand):
    return brand.rows(
        "SELECT o.order_ref, o.total_minor, o.status, o.refunded_minor, o.counted, p.email,"
        " p.orders_count, p.orders_gross_minor FROM orders o JOIN profile p"
        " ON p.workspace_id = o.workspace_id AND p.id = o.profile_id WHERE o.workspace_id = %s")


@pytest.mark.parametrize("webhook_first", [False, True])
def test_an_imported_order_and_its_webhook_are_one_order(brand, shopify, server, esp, tmp_path,
                                                         webhook_first):
    esp.subscribe(brand, ["order.completed"])
    number = 7_000_000_000_000 + 42
    at = time.time() - 600
    text = time.strftime("%Y-%m-%d %H:%M:%S +0000", time.gmtime(at))
    path = write_orders(tmp_path / "o.csv", order_rows(42, "jane@example.com", "124.90", text))
    later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at + 300))
    order = shopify_order(number, 9, "jane@example.com", "124.90", status="partially_refunded",
                          at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)), updated=later,
                          refunds=[{"id": 5, "created_at": later, "transactions": [
                              {"kind": "refund", "status": "success", "amount": "24.90",
                               "currency": "EUR"}]}])
    steps = [lambda: run_import(server, brand, "--source", "shopify_main", path),
             lambda: shopify.send("orders/updated", order)]
    for step in reversed(steps) if webhook_first else steps:
        step()
    # The webhook's body is the newer one, whichever came first.
    assert order_of(brand) == [(str(number), 12490, "partially_refunded", 2490, True,
                                "jane@example.com", 1, 12490)]
    completed = brand.rows("SELECT count(*) FROM interaction WHERE workspace_id = %s"
                           " AND type = 'order.completed'")
    assert completed[0][0] == 1
    if webhook_first:
        esp.wait_types(["order.completed"])
    assert len(esp.of_type("order.completed")) == (1 if webhook_first else 0)


def test_by_file_or_by_webhook_the_profile_is_the_same(brand, shopify, server, tmp_path):
    """One brain: what an order says of its customer does not depend on its way."""
    at = time.time() - 90 * 86400
    for i, way in enumerate(["file", "webhook"]):
        number = 7_000_000_000_000 + i
        if way == "file":
            text = time.strftime("%Y-%m-%d %H:%M:%S +0000", time.gmtime(at))
            path = write_orders(tmp_path / "o.csv",
                                order_rows(0, "file@example.com", "50.00", text))
            run_import(server, brand, "--source", "shopify_main", path)
        else:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
            shopify.send("orders/create", shopify_order(number, None, "webhook@example.com",
                                                        "50.00", at=stamp))
    profiles = brand.rows(
        "SELECT lifecycle, orders_count, orders_gross_minor, first_seen_at, last_seen_at,"
        " orders_first_at, identified FROM profile WHERE workspace_id = %s")
    assert len(profiles) == 2 and profiles[0] == profiles[1]
    assert profiles[0][0] == "lapsed"


def test_own_files_of_every_kind(brand, server, tmp_path):
    events = tmp_path / "events.ndjson"
    events.write_text("\n".join(json.dumps(e) for e in [
        {"type": "product.viewed", "occurred_at": "2024-05-01T10:00:00Z",
         "identities": {"email": "a@example.com"}, "properties": {"product_id": "1"}},
        {"type": "product.viewed", "occurred_at": "2024-05-01T10:00:00Z",
         "identities": {"email": "a@example.com"}, "properties": {"product_id": "2"}},
        {"type": "nonsense", "occurred_at": "2024-05-01T10:00:00Z",
         "identities": {"email": "a@example.com"}}]) + "\n")
    mails = tmp_path / "mails.csv"
    mails.write_text("type,occurred_at,email,campaign\n"
                     "opened,2024-06-01T08:00:00Z,a@example.com,june\n"
                     "email.clicked,2024-06-01T08:01:00Z,a@example.com,june\n"
                     "bounced,,b@example.com,june\n")
    customers = tmp_path / "customers.csv"
    customers.write_text("E-mail;created_at;first_name;consent.email;traits.points\n"
                         "a@example.com;2023-01-01T00:00:00Z;Jane;subscribed;120\n")
    orders = tmp_path / "orders.ndjson"
    orders.write_text(json.dumps({
        "identities": {"email": "a@example.com"},
        "properties": {"order_id": "o1", "total": "19.90", "placed_at": "2024-07-01T00:00:00Z"}}))
    done = run_import(server, brand, "--source", "api", events)
    assert (done["records"], done["events"]["applied"], done["rejected"]) == (3, 2, 1)
    done = run_import(server, brand, "--source", "api", "--kind", "email", mails)
    assert (done["records"], done["events"]["applied"], done["rejected"]) == (3, 2, 1)
    done = run_import(server, brand, "--source", "api", "--kind", "customers", "--map",
                      "E-mail=email", customers)
    assert (done["records"], done["events"]["applied"], done["rejected"]) == (1, 2, 0)
    done = run_import(server, brand, "--source", "api", "--kind", "orders", orders)
    assert done["events"]["applied"] == 1
    types = brand.rows("SELECT type, count(*) FROM interaction WHERE workspace_id = %s"
                       " GROUP BY 1 ORDER BY 1")
    assert types == [("customer.created", 1), ("customer.updated", 1), ("email.clicked", 1),
                     ("email.opened", 1), ("order.completed", 1), ("product.viewed", 2)]
    profile = brand.rows("SELECT orders_count, traits ->> 'first_name', traits -> 'points',"
                         " consent ->> 'email', first_seen_at::date::text FROM profile"
                         " WHERE workspace_id = %s")
    assert profile == [(1, "Jane", 120, "subscribed", "2023-01-01")]


def test_a_stream_is_read_from_stdin(brand, server):
    text = "".join(json.dumps({"type": "page.viewed", "occurred_at": "2024-05-01T10:00:00Z",
                               "identities": {"email": f"s{i}@example.com"}}) + "\n"
                   for i in range(3000))
    done = run_import(server, brand, "--source", "api", "-", stdin=text)
    assert done["events"] == {"applied": 3000, "duplicate": 0}
    again = run_import(server, brand, "--source", "api", "-", stdin=text)
    assert again["events"] == {"applied": 0, "duplicate": 3000}


def test_what_the_database_refuses_costs_its_line(brand, server, tmp_path):
    """256 traits fit a profile: who brings the 257th is named, the rest is in."""
    def line(i, traits):
        return json.dumps({"type": "customer.updated", "occurred_at": "2024-05-01T10:00:00Z",
                           "identities": {"email": f"t{i}@example.com"}, "traits": traits})
    many = [{f"k{n}": 1 for n in range(200)}, {f"j{n}": 1 for n in range(200)}]
    lines = [line(i, {"a": i}) for i in range(40)]
    lines[17] = line(99, many[0])
    lines[30] = line(99, many[1])
    path = tmp_path / "c.ndjson"
    path.write_text("\n".join(lines) + "\n")
    done = run_import(server, brand, "--source", "api", "--kind", "customers", path)
    assert done["rejected"] == 1 and done["events"] == {"applied": 39, "duplicate": 0}
    with open(f"{path}.rejected.csv", newline="") as f:
        assert [r["line"] for r in csv.DictReader(f)] == ["31"]
    assert brand.rows("SELECT line FROM job_reject WHERE workspace_id = %s") == [(31,)]
    again = run_import(server, brand, "--source", "api", "--kind", "customers", path)
    assert again["events"]["applied"] == 0


def test_complete_makes_history_known(brand, shopify, server, tmp_path):
    path = write_orders(tmp_path / "o.csv",
                        order_rows(1, "a@example.com", "10.00", "2025-01-01 10:00:00 +0000"))
    run_import(server, brand, "--source", "shopify_main", path)
    assert brand.get("/v1/sources/shopify_main")["history"]["complete"] is False
    run_import(server, brand, "--source", "shopify_main", "--complete", path)
    assert brand.get("/v1/sources/shopify_main")["history"]["complete"] is True


@pytest.mark.parametrize("arguments,code,says", [
    (["--source", "nobody", "FILE"], 3, "no source"),
    (["FILE"], 2, "--source"),
    (["--source", "api", "/nonexistent.csv"], 3, "nonexistent"),
    (["--source", "api", "--kind", "oders", "FILE"], 2, "orders"),
    (["--source", "api", "--format", "shopfy-orders", "FILE"], 2, "shopify-orders"),
    (["--source", "api", "FILE"], 2, "--kind"),
    (["--source", "api", "--kind", "orders", "--map", "z=total", "FILE"], 2, "no column"),
    (["--source", "api", "--kind", "orders", "--exported-at", "soon", "FILE"], 2, "instant"),
])
def test_a_mistaken_call_says_what_to_mend(brand, server, tmp_path, arguments, code, says):
    path = tmp_path / "f.csv"
    path.write_text("order_id,x,y\n1,2,3\n")
    arguments = [str(path) if a == "FILE" else a for a in arguments]
    done = server.command("import", "--workspace", brand.workspace, *arguments, check=False)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert brand.rows("SELECT count(*) FROM job WHERE workspace_id = %s")[0][0] == 0


# --- by REST ------------------------------------------------------------------------

def upload(api, body, query, expect=202):
    return api.call("POST", f"/v1/imports?{query}", body, expect=expect,
                    headers={"Content-Type": "text/csv"})


def job_done(api, made):
    path = made.headers["Location"]
    return wait_for(lambda: (job := api.get(path)) and job["finished_at"] and job, 20, 0.05, path)


def test_an_upload_is_a_job(brand, shopify, server, esp, tmp_path):
    esp.subscribe(brand, ["*"])
    rows = history(1500, 300)
    rows[3]["Currency"] = "Euro" if rows[3].get("Id") else rows[3].get("Currency", "")
    bad = [i for i, row in enumerate(rows) if row.get("Currency") == "Euro"]
    rows += order_rows(9000, "z@example.com", "x", "2025-01-01 10:00:00 +0000")
    body = write_orders(tmp_path / "o.csv", rows).read_bytes()
    made = upload(brand, body, "source=shopify_main&complete=true")
    assert made.json["status"] == "queued" and made.json["kind"] == "import"
    assert made.json["parameters"]["format"] == "shopify-orders"
    job = job_done(brand, made)
    assert job["status"] == "succeeded", job
    assert job["result"]["records"] == 1501
    assert job["result"]["events"] == {"applied": 1500 - len(bad), "duplicate": 0}
    assert job["result"]["rejected"] == 1 + len(bad)
    assert job["progress"]["total"] == len(body)
    rejects = brand.get(job["links"]["rejects"])["data"]
    assert {"line": body.count(b"\n") - 1, "column": "Total", "reason": "not an amount"} in rejects
    assert len(rejects) == 1 + len(bad)
    assert brand.get("/v1/sources/shopify_main")["history"]["complete"] is True
    assert brand.rows("SELECT count(*) FROM import_input WHERE workspace_id = %s")[0][0] == 0
    again = job_done(brand, upload(brand, body, "source=shopify_main"))
    assert again["result"]["events"] == {"applied": 0, "duplicate": 1500 - len(bad)}
    assert esp.messages == []


def test_an_upload_may_be_tried_first(brand, shopify, server):
    body = "email,first_name\na@example.com,Jane\nnobody,Joe\n"
    tried = upload(brand, body, "source=api&kind=customers&dry_run=true")
    job = job_done(brand, tried)
    assert job["status"] == "succeeded" and job["result"]["dry_run"] is True
    assert job["result"]["records"] == 2 and job["result"]["rejected"] == 1
    assert brand.rows("SELECT count(*) FROM profile WHERE workspace_id = %s")[0][0] == 0
    upload(brand, body, "source=api&kind=customers&validate_only=true", 200)
    assert len(brand.get("/v1/jobs")["data"]) == 1


@pytest.mark.parametrize("query,body,status,pointer", [
    ("kind=orders", "order_id,total\n", 422, "#/query/source"),
    ("source=nobody&kind=orders", "order_id,total\n", 404, ""),
    ("source=api&format=xls", "a,b\n", 422, "#/query/format"),
    ("source=api", "a,b\n", 422, "#/query/kind"),
    ("source=api&kind=orders&exported_at=soon", "order_id,total\n", 422, "#/query/exported_at"),
    ("source=api&kind=orders&sorce=x", "order_id,total\n", 422, "#/query/sorce"),
    ("source=api&kind=orders&dry_run=maybe", "order_id,total\n", 422, "#/query/dry_run"),
    ("source=api&kind=orders&map=x%3Dtotal", "order_id,total\n", 422, ""),
    ("source=shopify_main", "Name,Lineitem name,Financial Status\n", 422, ""),
])
def test_an_upload_that_cannot_be_read_is_refused_at_once(brand, shopify, query, body, status,
                                                          pointer):
    refused = upload(brand, body, query, None)
    assert refused.status in (status, 400 if status == 422 else status), refused.body
    if pointer:
        assert pointer in refused.body.decode()
    assert brand.get("/v1/jobs")["data"] == []


def test_of_two_servers_one_reads_an_upload(brand, shopify, cluster, tmp_path):
    body = write_orders(tmp_path / "o.csv", history(4000, 900)).read_bytes()
    other = Server(cluster, str(tmp_path))
    made = upload(brand, body, "source=shopify_main")
    other.start()
    try:
        job = job_done(brand, made)
        assert job["status"] == "succeeded"
        assert job["result"]["events"] == {"applied": 4000, "duplicate": 0}
        assert brand.rows("SELECT count(*) FROM orders WHERE workspace_id = %s")[0][0] == 4000
    finally:
        other.stop()
