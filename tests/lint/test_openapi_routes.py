"""openapi/shopbell.yaml says exactly what src/api/routes.c does.

The description is what people write their clients from, so a route without its
lines, or lines without a route, is a fault: methods, paths and scopes are
compared, and every reference must lead somewhere.
"""
import pathlib
import re

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROUTES = (ROOT / "src/api/routes.c").read_text(encoding="utf-8")
DESCRIPTION = yaml.safe_load((ROOT / "openapi/shopbell.yaml").read_text(encoding="utf-8"))
METHODS = {"get", "post", "put", "patch", "delete"}
SCOPES = ["ingest", "read", "pii", "configure", "subscribe", "privacy", "admin", "instance"]


def macros():
    """#define NAME (A | B & ~C) of routes.c, as text."""
    joined = ROUTES.replace("\\\n", " ")
    return dict(re.findall(r"^#define (\w+) +(.+)$", joined, re.M))


def scopes_of(text):
    """The set that an expression of scopes and macros stands for."""
    known = macros()
    while True:
        names = [n for n in re.findall(r"\b[A-Z_]{3,}\b", text) if n in known]
        if not names:
            break
        for name in names:
            text = re.sub(rf"\b{name}\b", f"({known[name]})", text)
    text = text.replace("(uint32_t)", "")
    for bit, scope in enumerate(SCOPES):
        text = re.sub(rf"\bSCOPE_{scope.upper()}\b", str(1 << bit), text)
    assert re.fullmatch(r"[\d|&~() ]+", text), text
    bits = eval(text)  # digits and operators only, as just checked
    return {scope for bit, scope in enumerate(SCOPES) if bits >> bit & 1}


def routes():
    row = re.compile(r'^\s*\{ HTTP_(\w+), "([^"]+)", \w+, ([^,]+), [^,]+, [^}]+\},$', re.M)
    found = {(method.lower(), path): scopes_of(scopes)
             for method, path, scopes in row.findall(ROUTES)}
    assert len(found) == ROUTES.count("{ HTTP_"), "a row is not written in the usual form"
    return found


def operations():
    return {(method, path): operation for path, item in DESCRIPTION["paths"].items()
            for method, operation in item.items() if method in METHODS}


def walk(node):
    if isinstance(node, dict):
        yield node
        for child in node.values():
            yield from walk(child)
    elif isinstance(node, list):
        for child in node:
            yield from walk(child)


def resolve(reference):
    node = DESCRIPTION
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


def test_every_route_is_described_and_nothing_else():
    assert set(operations()) == set(routes())


def test_scopes_agree():
    for key, scopes in routes().items():
        operation = operations()[key]
        assert set(operation.get("x-scopes", [])) == scopes, key
        assert (operation.get("security") == []) == (not scopes), key


def test_references_lead_somewhere():
    for node in walk(DESCRIPTION):
        if isinstance(node.get("$ref"), str):
            resolve(node["$ref"])


def test_parameters_of_paths_are_declared():
    for path, item in DESCRIPTION["paths"].items():
        declared = {resolve(p["$ref"])["name"] for p in item.get("parameters", [])}
        assert declared == set(re.findall(r"\{(\w+)\}", path)), path


def test_operation_ids_are_unique_and_tags_known():
    ids = [operation["operationId"] for operation in operations().values()]
    assert len(ids) == len(set(ids))
    tags = {tag["name"] for tag in DESCRIPTION["tags"]}
    assert all(set(operation["tags"]) <= tags for operation in operations().values())


def test_what_is_asked_for_has_an_example():
    for key, operation in operations().items():
        media = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if media is not None and not key[1].startswith("/v1/hooks/"):
            assert "example" in media, key
