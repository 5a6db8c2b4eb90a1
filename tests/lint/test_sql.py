"""The rules of SQL: each was an experiment before it was a rule.

Statements are the `struct pg_statement` constants; their text is the string
literals between the braces, with the macros of the same file expanded.
"""

import os
import re

from test_architecture import ROOT, read, sources, strip_comments

CONFIGURATION = {"workspace", "shopbell_migration", "uptime"}
TABLES = sorted(re.findall(r"CREATE TABLE (\w+)", "".join(
    read(os.path.join(ROOT, "migrations", n))
    for n in sorted(os.listdir(os.path.join(ROOT, "migrations"))) if n.endswith(".sql"))))
# Maintenance of a whole table, read-only, off the hot path.
ACROSS_WORKSPACES = {"partition_oldest_delivery": "which partitions a delivery still needs"}
VOLATILE = r"\b(now|clock_timestamp|statement_timestamp|transaction_timestamp|random|" \
           r"gen_random_uuid|timeofday|nextval|current_timestamp)\b"


def literals(text, macros):
    out = []
    for token in re.finditer(r'"((?:\\.|[^"\\])*)"|\b([A-Z][A-Z0-9_]{4,})\b', text):
        if token.group(1) is not None:
            out.append(token.group(1).replace('\\"', '"'))
        elif token.group(2) in macros:
            out.append(macros[token.group(2)])
    return "".join(out)


def header_macros():
    macros = {}
    for path in sources(".h", ".c"):
        collect_macros(strip_comments(read(path)).replace("\\\n", " "), macros)
    return macros


def collect_macros(text, macros):
    for name, value in re.findall(r"#define ([A-Z][A-Z0-9_]+)\s+(\"[^\n]*)", text):
        macros[name] = literals(value, macros)


def statements():
    """(file, name, sql) of every statement constant."""
    macros = header_macros()
    for path in sources(".c"):
        text = strip_comments(read(path)).replace("\\\n", " ")
        for found in re.finditer(
                r"struct pg_statement (\w+)\s*=\s*\{(.*?)\n?\};", text, flags=re.S):
            name, _, body = found.group(2).partition(",")
            yield os.path.relpath(path, ROOT), found.group(1), literals(body, macros)


def workspace_fault(sql):
    named = [t for t in TABLES if t not in CONFIGURATION and re.search(
        rf"\b(from|join|into|update|using)\s+{t}\b", sql, flags=re.I)]
    if named and "workspace_id" not in sql:
        return f"touches {named} and names no workspace"
    return None


def any_lock_fault(sql):
    if re.search(r"=\s*ANY\b.*FOR\s+(NO KEY )?UPDATE", sql, flags=re.I | re.S):
        return "= ANY ... FOR UPDATE: use LATERAL over a sorted unnest"
    return None


def conflict_fault(sql):
    found = re.search(r"ON CONFLICT.*", sql, flags=re.I | re.S)
    if found and re.search(VOLATILE, found.group(), flags=re.I):
        return "a volatile function in ON CONFLICT"
    return None


def star_fault(sql):
    if re.search(r"select\s+\*", sql, flags=re.I):
        return "SELECT *"
    return None


def notify_fault(sql):
    if re.search(r"\b(notify|listen)\b", sql, flags=re.I):
        return "LISTEN/NOTIFY"
    return None


def target_fault(sql):
    """Whoever knows the workspace as a constant may begin with the table and read all of it,
    as the planner does before the table's first ANALYZE."""
    found = re.search(r"\b(?:DELETE FROM|UPDATE) \w+ (?:AS )?(\w+)\b.*\bunnest\b", sql,
                      flags=re.I | re.S)
    if found and re.search(rf"\b{found.group(1)}\.workspace_id = \$", sql):
        return "a write that begins with its target: the workspace belongs to the unnested rows"
    return None


CHECKS = [workspace_fault, target_fault, any_lock_fault, conflict_fault, star_fault, notify_fault]


def test_checkers_fire():
    assert workspace_fault("SELECT id FROM profile WHERE id = $1")
    assert not workspace_fault("SELECT id FROM profile WHERE workspace_id = $1")
    assert target_fault("DELETE FROM x i USING unnest($2::uuid[]) AS u (k)"
                        " WHERE i.workspace_id = $1 AND i.k = u.k")
    assert not target_fault("DELETE FROM x i USING (SELECT $1::uuid AS workspace_id, u.k FROM"
                            " unnest($2::uuid[]) AS u (k) OFFSET 0) u"
                            " WHERE i.workspace_id = u.workspace_id AND i.k = u.k")
    assert any_lock_fault("SELECT id FROM profile WHERE id = ANY($1) ORDER BY id FOR UPDATE")
    assert conflict_fault("INSERT INTO x ON CONFLICT (a) DO UPDATE SET b = now()")
    assert star_fault("SELECT * FROM workspace")
    assert notify_fault("NOTIFY x")


def test_there_are_statements():
    assert len(list(statements())) > 30


def test_statements():
    faults = [f"{path}: {name}: {fault}" for path, name, sql in statements()
              for fault in (check(sql) for check in CHECKS)
              if fault and not (name in ACROSS_WORKSPACES and "names no workspace" in fault)]
    assert not faults, "\n".join(faults)


def test_schema_leads_with_the_workspace():
    text = "".join(read(os.path.join(ROOT, "migrations", n))
                   for n in sorted(os.listdir(os.path.join(ROOT, "migrations")))
                   if n.endswith(".sql"))
    for name, body in re.findall(r"CREATE TABLE (\w+) \((.*?)\n\)", text, flags=re.S):
        key = re.search(r"PRIMARY KEY \(([^)]*)\)", body)
        if name not in CONFIGURATION:
            assert key and key.group(1).startswith("workspace_id"), name
    assert not re.search(r"\b(REFERENCES|CREATE TRIGGER|FOREIGN KEY)\b", text)
