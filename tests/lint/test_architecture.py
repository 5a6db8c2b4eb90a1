"""The house rules that a machine can check: layers, symbols, headers, names.

Each test reads the sources (or what was built of them) and says file and line
of what breaks a rule. A rule without a way to fail is no rule, so each checker
is first tried on a bad sample.
"""

import os
import re
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("SHOPBELL_BUILD")

MIDDLE = ["http", "sources", "verify", "store", "deliver"]
MAY_INCLUDE = {
    "base": ["base"],
    "core": ["base", "core"],
    "schema": ["base", "schema"],
    **{area: ["base", "core", "schema", area] for area in MIDDLE},
    "intake": ["base", "core", "schema", *MIDDLE, "intake"],
    "sweep": ["base", "core", "schema", *MIDDLE, "intake", "sweep"],
    "api": ["base", "core", "schema", *MIDDLE, "intake", "sweep", "api"],
    "app": ["base", "core", "schema", *MIDDLE, "intake", "sweep", "api", "app"],
}


def sources(*suffixes, tops=("src", "include")):
    for top in tops:
        for folder, _, names in os.walk(os.path.join(ROOT, top)):
            for name in sorted(names):
                if name.endswith(suffixes):
                    yield os.path.join(folder, name)


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def area_of(path):
    parts = os.path.relpath(path, ROOT).split(os.sep)
    return parts[1] if len(parts) > 2 else None


def strip_comments(text):
    return re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group().count("\n"), text, flags=re.S)


# --- layers -----------------------------------------------------------------

def layer_faults(area, text):
    faults = []
    for number, line in enumerate(text.splitlines(), 1):
        found = re.match(r'\s*#\s*include "([a-z_]+)/', line)
        if found and found.group(1) in MAY_INCLUDE and found.group(1) not in MAY_INCLUDE[area]:
            faults.append(f"{number}: {line.strip()}")
        if area == "core" and re.match(
                r"\s*#\s*include <(jansson|libpq|microhttpd|curl|sodium|pthread|time|unistd)", line):
            faults.append(f"{number}: {line.strip()}")
    return faults


def test_layer_checker_fires():
    assert layer_faults("core", '#include "store/pg.h"')
    assert layer_faults("store", '#include "http/server.h"')
    assert layer_faults("core", "#include <jansson.h>")
    assert not layer_faults("api", '#include "store/pg.h"')


def test_layers():
    faults = []
    for path in sources(".c", ".h"):
        area = area_of(path)
        if area in MAY_INCLUDE:
            faults += [f"{os.path.relpath(path, ROOT)}:{f}" for f in layer_faults(area, read(path))]
    assert not faults, "\n".join(faults)


def test_one_static_library_per_layer():
    for area in MAY_INCLUDE:
        if area != "app":
            text = read(os.path.join(ROOT, "src", area, "meson.build"))
            assert f"static_library('{area}'" in text, area


# --- core is pure -----------------------------------------------------------

CORE_LIBC = {
    "memcpy", "memmove", "memset", "memcmp", "memchr", "strlen", "strcmp", "strncmp", "bsearch",
    "qsort", "__assert_fail", "__stack_chk_fail", "_GLOBAL_OFFSET_TABLE_", "abort",
}


def undefined_symbols(archive):
    text = subprocess.run(["nm", "-A", archive], check=True, capture_output=True, text=True).stdout
    defined = {line.split()[-1] for line in text.splitlines() if re.search(r" [TDRBVWdrbt] \w", line)}
    used = {line.split()[-1] for line in text.splitlines() if " U " in line}
    return used - defined, defined


def test_core_symbols():
    if not BUILD:
        pytest.skip("SHOPBELL_BUILD names no build directory")
    used, _ = undefined_symbols(os.path.join(BUILD, "src/core/libcore.a"))
    _, base = undefined_symbols(os.path.join(BUILD, "src/base/libbase.a"))
    impure = {"clock_now_ms", "clock_monotonic_ms", "clock_monotonic_us", "id_create",
              "base62_random", "log_write", "log_setup", "arena_create", "instant_zone",
              "instant_zone_exists", "instant_from_local"}
    strange = {s for s in used - base - CORE_LIBC
               if not re.match(r"__(asan|ubsan|sanitizer|tsan|gcov|llvm|sancov|start|stop)", s)}
    assert not strange, f"core uses what is neither base nor memory: {sorted(strange)}"
    assert not used & impure, f"core looks at the world: {sorted(used & impure)}"


# --- headers ----------------------------------------------------------------

def test_headers_stand_alone(tmp_path):
    flags = subprocess.run(
        ["pkg-config", "--cflags", "libsodium", "jansson", "libpq", "libcurl", "libmicrohttpd"],
        check=True, capture_output=True, text=True).stdout.split()
    faults = []
    for path in sources(".h", tops=("include",)):
        unit = tmp_path / "unit.c"
        unit.write_text(f'#include "{os.path.relpath(path, os.path.join(ROOT, "include"))}"\n')
        done = subprocess.run(
            ["cc", "-std=c17", "-D_POSIX_C_SOURCE=200809L", "-D_DEFAULT_SOURCE", "-fsyntax-only",
             "-I", os.path.join(ROOT, "include"), *flags, str(unit)],
            capture_output=True, text=True)
        if done.returncode:
            faults.append(done.stderr.splitlines()[0])
    assert not faults, "\n".join(faults)


# --- banned -----------------------------------------------------------------

BANNED = re.compile(
    r"(?<![\w.>])(strcpy|strcat|sprintf|vsprintf|strtok|strtok_r|atoi|atol|atof|gmtime|localtime|"
    r"rand|srand|gets|alloca|system|popen|setenv|putenv|strncpy|mktime|asctime|ctime)\s*\(")


def banned_faults(text):
    plain = re.sub(r'"(\\.|[^"\\])*"', '""', strip_comments(text))
    return [f"{n}: {line.strip()}" for n, line in enumerate(plain.splitlines(), 1)
            if BANNED.search(line)]


def test_banned_checker_fires():
    assert banned_faults("strcpy(a, b);") and banned_faults("x = atoi(y);")
    assert not banned_faults('/* strcpy(a) */ log("rand()");')


def test_banned_functions():
    faults = [f"{os.path.relpath(p, ROOT)}:{f}" for p in sources(".c", ".h")
              if not p.endswith("banned.h") for f in banned_faults(read(p))]
    assert not faults, "\n".join(faults)


def test_no_default_over_our_enums_and_no_goto_macros():
    faults = []
    for path in sources(".c", ".h"):
        for number, line in enumerate(strip_comments(read(path)).splitlines(), 1):
            if re.match(r"\s*#\s*define\b.*\b(return|goto)\b", line):
                faults.append(f"{os.path.relpath(path, ROOT)}:{number}: {line.strip()}")
    assert not faults, "\n".join(faults)


def test_only_the_edges_log():
    faults = [os.path.relpath(p, ROOT) for p in sources(".c")
              if area_of(p) not in ("app", "http", "intake", "deliver", "base")
              and re.search(r"\blog_(event|write)\s*\(", strip_comments(read(p)))]
    assert not faults, faults


def test_every_file_opens_with_an_essay():
    faults = [os.path.relpath(p, ROOT) for p in sources(".c") if "/*" not in read(p)[:2500]]
    assert not faults, faults


def test_top_level_is_as_it_is():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a checkout")
    allowed = {"meson.build", "src", "include", "migrations", "openapi", "tests", "deploy",
               "README.md", "LICENSE"}
    strange = {f.split("/")[0] for f in listed.stdout.splitlines()
               if not f.startswith(".")} - allowed
    assert not strange, strange


# --- migrations -------------------------------------------------------------

def test_migrations_are_frozen():
    """Once on main, a migration is history: a change is a new file."""
    base = os.environ.get("SHOPBELL_FROZEN_SINCE", "origin/main")
    known = subprocess.run(["git", "rev-parse", "-q", "--verify", base + "^{commit}"], cwd=ROOT,
                           capture_output=True, text=True)
    if known.returncode:
        pytest.skip(f"no {base} to compare with")
    changed = subprocess.run(["git", "diff", "--name-status", base, "--", "migrations/*.sql"],
                             cwd=ROOT, check=True, capture_output=True, text=True).stdout
    faults = [line for line in changed.splitlines() if not line.startswith("A")]
    assert not faults, faults


def test_migrations_are_numbered():
    names = sorted(n for n in os.listdir(os.path.join(ROOT, "migrations")) if n.endswith(".sql"))
    for number, name in enumerate(names, 1):
        assert re.fullmatch(rf"{number:04d}-[a-z0-9-]+\.sql", name), name
