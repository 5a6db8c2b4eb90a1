"""Every hot statement is explained on empty, small and skewed tables, with the
generic plan and the planner settings of a hot connection. A key column in a
Filter, or a sequential scan, means that the cost of a write grows with the
table (correctness 14).
"""

import json
import os
import re
import subprocess
import sys

import pytest
import shopbell

sys.path.insert(0, os.path.join(shopbell.ROOT, "tests", "lint"))

from test_sql import TABLES, statements  # noqa: E402

HOT_FILES = ("src/store/batch_load.c", "src/store/batch_save.c", "src/store/batch_rare.c",
             "src/store/batch_due.c", "src/store/delivery_store.c", "src/store/delivery_permit.c",
             "src/sweep/due.c")
HOT_MACRO_FILES = ("src/store/catalogue.c", "src/store/catalogue_tell.c",
                   "src/store/universal_audience.c", "src/store/interest_save.c",
                   "src/store/interest_read.c")
COLD = {"delivery_disable",  # configuration: a handful of rows, once in a subscription's life
        "target_product", "list_rows", "stored_rows",  # once a fan-out; a person's; a check's
        # By an origin, and then a filter: all rows of one customer at most.
        "page_facts", "save_interest_loss"}
KEYS = r"\b(workspace_id|id|event_id|kind|source_id|value|order_ref|origin_id|occurred_at|" \
       r"created_at|merged_into|profile_id|product_id|variant_id|inventory_item_id)\b"
HOT_SETTINGS = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit")


def preprocessed(path):
    """Of a file whose statements are put together by macros with arguments."""
    text = subprocess.run(["cc", "-E", "-P", "-std=c17", "-Iinclude", "-Isrc/store", path], check=True,
                          cwd=shopbell.ROOT, capture_output=True, text=True).stdout
    for name, body in re.findall(r"struct pg_statement (\w+)\s*=\s*\{(.*?)\};", text, flags=re.S):
        parts = re.findall(r'"((?:\\.|[^"\\])*)"', body)
        yield path, name, "".join(parts[1:]).replace('\\"', '"')


def hot_statements():
    known = [row for row in statements() if row[0] in HOT_FILES]
    for path in HOT_MACRO_FILES:
        known += preprocessed(path)
    return [(name, sql) for _, name, sql in known if name not in COLD
            and re.match(r"(SELECT|INSERT|UPDATE|DELETE|WITH)\b", sql)]


def nodes(plan):
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def aliases(plan):
    """Alias -> table, for the tables of ours under a node."""
    found = {n.get("Alias"): re.sub(r"_(history|y\d{4}.*)$", "", n.get("Relation Name", ""))
             for n in nodes(plan)}
    return {alias: table for alias, table in found.items() if table in TABLES}


def faults_of(plan):
    for node in nodes(plan):
        # A key compared by a join instead of sought by an index: the rows it is
        # compared with are all those of the workspace.
        for alias in aliases(node):
            key = rf"\b{alias}\." + KEYS
            if re.search(rf"{key} = |= {key}", node.get("Join Filter", "")):
                yield f"key of {alias} in a Join Filter: {node['Join Filter']}"
        relation = node.get("Relation Name", "")
        base = re.sub(r"_(history|y\d{4}.*)$", "", relation)
        if base not in TABLES:
            continue
        if node["Node Type"] == "Seq Scan":
            yield f"sequential scan of {relation}"
        filter_text = re.sub(r"'[^']*'", "", node.get("Filter", ""))
        if re.search(r"profile_id|\(origin_id", node.get("Index Cond", "")):
            # Sought by a profile, which is unique everywhere; the workspace is checked.
            filter_text = filter_text.replace("workspace_id", "")
        if node["Node Type"] == "Tid Scan":
            # Read where it lies, a row that this very statement has locked.
            filter_text = filter_text.replace("workspace_id", "")
        if base == "transition":
            filter_text = re.sub(r"\bkind\b", "", filter_text)  # an identity's key, not its own
        if re.search(KEYS, filter_text):
            yield f"key column in a Filter on {relation}: {node['Filter']}"


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    cluster = shopbell.Cluster()
    server = shopbell.Server(cluster, str(tmp_path_factory.mktemp("plans"))).migrate()
    connection = cluster.connect()
    yield connection
    connection.close()
    del server
    cluster.remove()


FILL = [
    "INSERT INTO profile (workspace_id, id, sequence, created_at, updated_at, decided_at,"
    " first_seen_at, due_at, identified, state, traits) SELECT {ws}, gen_random_uuid(), 1, now(),"
    " now(), now(), now(), now() + n * interval '1 s', true, '', jsonb_build_object('region',"
    " 'FR-' || n % 90, 'postal_code', lpad(n::text, 5, '0')) FROM generate_series(1, {n}) n",
    "INSERT INTO identity (workspace_id, kind, source_id, value, profile_id, origin_id, trust,"
    " first_seen_at) SELECT {ws}, 'email', '00000000-0000-0000-0000-000000000000', n || '@x',"
    " gen_random_uuid(), gen_random_uuid(), 3, now() FROM generate_series(1, {n}) n"
    " ON CONFLICT DO NOTHING",
    "INSERT INTO receipt SELECT {ws}, gen_random_uuid(), gen_random_uuid(), now()"
    " FROM generate_series(1, {n})",
    "INSERT INTO orders SELECT {ws}, {ws}, n::text, gen_random_uuid(), gen_random_uuid(), true,"
    " now(), 'paid', true, now(), n::text, 'paid', 'EUR', 1, 0, NULL, false, true, true, false, 1,"
    " 0, '', '{{}}' FROM generate_series(1, {n}) n ON CONFLICT DO NOTHING",
    "INSERT INTO product (workspace_id, source_id, product_id, variant_id, inventory_item_id,"
    " version_at, version_hash, first_seen_at) SELECT {ws}, {ws}, n::text, n % 3, n::text, now(),"
    " gen_random_uuid(), now() FROM generate_series(1, {n}) n ON CONFLICT DO NOTHING",
    "INSERT INTO interest (workspace_id, source_id, product_id, variant_id, origin_id, view_count)"
    " SELECT {ws}, {ws}, n % 7, n % 3, gen_random_uuid(), 1 FROM generate_series(1, {n}) n",
    "INSERT INTO inventory_item SELECT {ws}, {ws}, n::text, '{{}}', now()"
    " FROM generate_series(1, {n}) n ON CONFLICT DO NOTHING",
    "INSERT INTO delivery SELECT {ws}, gen_random_uuid(), gen_random_uuid(), now(),"
    " gen_random_uuid(), gen_random_uuid(), 1, now() FROM generate_series(1, {n})",
]


def fill(connection, workspace, count):
    with connection.cursor() as cursor:
        for statement in FILL:
            cursor.execute(statement.format(ws=f"'{workspace}'::uuid", n=count))
        # As autovacuum would: it leaves alone what nothing was written to, so the
        # partitions of days to come are planned by their size, not as empty.
        cursor.execute("ANALYZE profile, identity, receipt, orders, delivery, product, inventory_item,"
                       " interest")


def sorted_ranges(plan):
    """A range of places that is sorted was read whole, and is for every page again."""
    for node in nodes(plan):
        if node["Node Type"].endswith("Sort") and node["Plans"][0].get("Relation Name") == "profile":
            yield f"a range of profiles is sorted by {node['Sort Key']}"


def explain_all(connection, ranges=False):
    faults = []
    with connection.cursor() as cursor:
        for setting in HOT_SETTINGS:
            cursor.execute(f"SET {setting} = off")
        cursor.execute("SET plan_cache_mode = force_generic_plan")
        for name, sql in hot_statements():
            count = max((int(n) for n in re.findall(r"\$(\d+)", sql)), default=0)
            cursor.execute("DEALLOCATE ALL")
            # A statement may leave alone what the others of its round trip use.
            types = ["unknown" if re.search(rf"\${n + 1}\b", sql) else "text" for n in range(count)]
            declared = f"({', '.join(types)})" if count else ""
            cursor.execute(f"PREPARE s {declared} AS {sql.replace('%', '%%')}")
            arguments = f"({', '.join(['NULL'] * count)})" if count else ""
            cursor.execute(f"EXPLAIN (FORMAT JSON) EXECUTE s{arguments}")
            answer = cursor.fetchone()[0]
            plan = answer if isinstance(answer, list) else json.loads(answer)
            faults += [f"{name}: {fault}" for fault in faults_of(plan[0]["Plan"])]
            if ranges and name in ("universal_region_sql", "universal_postal_sql"):
                faults += [f"{name}: {fault}" for fault in sorted_ranges(plan[0]["Plan"])]
    return faults


def test_checker_fires(database):
    with database.cursor() as cursor:
        cursor.execute("SET enable_seqscan = on")
        cursor.execute("EXPLAIN (FORMAT JSON) SELECT id FROM profile WHERE state = ''")
        assert list(faults_of(cursor.fetchone()[0][0]["Plan"]))


def test_there_are_hot_statements():
    assert len(hot_statements()) >= 25


def test_plans_on_empty_tables(database):
    assert not explain_all(database)


def test_plans_on_small_tables(database):
    fill(database, "11111111-1111-7111-8111-111111111111", 50)
    assert not explain_all(database)


def test_plans_on_skewed_tables(database):
    fill(database, "22222222-2222-7222-8222-222222222222", 50000)
    for n in range(20):
        fill(database, f"33333333-3333-7333-8333-3333333333{n:02d}", 3)
    assert not explain_all(database, ranges=True)
