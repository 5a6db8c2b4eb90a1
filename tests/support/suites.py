"""Builds, runs the suites, and adds up: the second half of tests/run.

Cheap gates first. Every suite reports to one tally; the last line is
"N passed, N failed". A suite that cannot even start counts as one failure.
"""

import glob
import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("SHOPBELL_BUILD_ROOT", os.path.join(ROOT, "build"))
FUZZ_SECONDS = int(os.environ.get("SHOPBELL_FUZZ_SECONDS", "20"))
SHARED = os.environ.get("SHOPBELL_SHARED", os.path.join(os.path.dirname(ROOT), "shared"))
JOBS = str(os.cpu_count() or 2)

tally = {"passed": 0, "failed": 0, "skipped": 0}
failures = []


def say(text):
    print(f"\n== {text}", flush=True)


def count(name, passed, failed, skipped=0, detail=""):
    tally["passed"] += passed
    tally["failed"] += failed
    tally["skipped"] += skipped
    if failed:
        failures.append(name)
        print(f"   {name}: {failed} FAILED {detail}", flush=True)


def run(command, **more):
    return subprocess.run(command, cwd=ROOT, **more)


def step(name, command, **more):
    """One command that passes or fails as a whole."""
    done = run(command, **more)
    count(name, int(done.returncode == 0), int(done.returncode != 0))
    return done.returncode == 0


def build(name, *options, environment=None):
    folder = os.path.join(BUILD, name)
    env = {**os.environ, **(environment or {})}
    if not os.path.exists(os.path.join(folder, "build.ninja")):
        if run(["meson", "setup", folder, *options], env=env,
               stdout=subprocess.DEVNULL).returncode:
            count(f"configure {name}", 0, 1)
            return None
    done = run(["ninja", "-C", folder, "-j", JOBS], env=env, capture_output=True, text=True)
    ok = done.returncode == 0
    if not ok:
        print("\n".join((done.stdout + done.stderr).splitlines()[-60:]))
    warnings = done.stdout.count("warning:")
    if warnings:
        print(f"   {warnings} warnings in build {name}")
    count(f"build {name}", int(ok), int(not ok))
    return folder if ok else None


def meson_suites(folder, suites, **environment):
    command = ["meson", "test", "-C", folder, "--no-rebuild", "--print-errorlogs", "--num-processes", JOBS]
    for suite in suites:
        command += ["--suite", suite]
    run(command, env={**os.environ, "SHOPBELL_SHARED": SHARED, **environment})
    results = {}
    with open(os.path.join(folder, "meson-logs", "testlog.json"), encoding="utf-8") as log:
        for line in log:
            test = json.loads(line)
            results[test["name"]] = test["result"]
    bad = [name for name, result in results.items() if result not in ("OK", "SKIP", "EXPECTEDFAIL")]
    skipped = sum(r == "SKIP" for r in results.values())
    count(f"{os.path.basename(folder)}: {', '.join(suites)}", len(results) - len(bad) - skipped,
          len(bad), skipped, " ".join(bad))


def pytest(folder, suite, **environment):
    report = os.path.join(BUILD, f"pytest-{suite.replace('/', '-')}-{os.path.basename(folder)}.xml")
    env = {**os.environ, "SHOPBELL_BIN": os.path.join(folder, "src/app/shopbell"),
           "SHOPBELL_BUILD": folder, "SHOPBELL_SHARED": SHARED,
           "PYTHONDONTWRITEBYTECODE": "1", **environment}
    run(["/usr/bin/python3", "-m", "pytest", "-q", "-rs", "--tb=short", "-p", "no:cacheprovider",
         f"--junitxml={report}", os.path.join("tests", suite)], env=env)
    try:
        suites = xml.etree.ElementTree.parse(report).getroot().iter("testsuite")
        for found in suites:
            bad = int(found.get("failures")) + int(found.get("errors"))
            skipped = int(found.get("skipped"))
            count(f"pytest {suite} ({os.path.basename(folder)})",
                  int(found.get("tests")) - bad - skipped, bad, skipped)
    except (OSError, xml.etree.ElementTree.ParseError):
        count(f"pytest {suite}", 0, 1, detail="did not finish")


def tracked(*patterns):
    text = run(["git", "ls-files", *patterns], capture_output=True, text=True).stdout
    return text.split()


# --- the tiers --------------------------------------------------------------

def lint(folder):
    say("lint")
    c_files = tracked("*.c", "*.h")
    step("clang-format", ["clang-format-14", "-n", "-Werror", *c_files])
    shell = [f for f in tracked("deploy", "tests", ".ci")
             if open(os.path.join(ROOT, f), "rb").read(12).startswith((b"#!/bin/sh", b"#!/bin/ba",
                                                                       b"#!/usr/bin/e"))
             and not f.endswith(".py")]
    shell = [f for f in shell if b"python" not in open(os.path.join(ROOT, f), "rb").readline()]
    step("shellcheck", ["shellcheck", "-x", *shell])
    pytest(folder, "lint")
    step("cppcheck", ["cppcheck", "-q", "-j", JOBS, "--enable=warning,performance,portability",
                      "--inline-suppr", "--error-exitcode=1", "--std=c11",
                      "--suppress=missingIncludeSystem", "-I", "include", "src"])
    sources = [f for f in tracked("src/*.c")]
    step("clang-tidy", ["xargs", "-P", JOBS, "-n", "4", "clang-tidy-14", "--quiet", "-p", folder],
         input="\n".join(sources).encode(), stderr=subprocess.DEVNULL)


def sanitizers():
    say("address and undefined-behaviour sanitizers")
    folder = build("sanitized", "-Db_sanitize=address,undefined", "-Db_lundef=false",
                   "-Dc_args=-fno-sanitize-recover=all -fno-omit-frame-pointer")
    if folder:
        options = {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0",
                   "UBSAN_OPTIONS": "print_stacktrace=1"}
        meson_suites(folder, ["unit", "golden", "property", "fuzz", "store"], **options)
        pytest(folder, "system", **options)
        pytest(folder, "fault", SHOPBELL_ORACLE_WEBHOOKS="8000", SHOPBELL_CRASH_CYCLES="6",
               **options)


def fuzzing():
    say(f"fuzzing, {FUZZ_SECONDS} s a target")
    folder = build("fuzz", "-Db_sanitize=address,undefined", "-Db_lundef=false",
                   "-Dc_args=-fsanitize=fuzzer-no-link", environment={"CC": "clang-14"})
    if not folder:
        return
    running = []
    for program in sorted(glob.glob(os.path.join(folder, "tests/fuzz/fuzz_*"))):
        if not os.access(program, os.X_OK) or os.path.isdir(program):
            continue
        entry = os.path.basename(program).removeprefix("fuzz_")
        work = os.path.join(folder, "corpus", entry)
        os.makedirs(work, exist_ok=True)
        running.append((entry, subprocess.Popen(
            [program, f"-max_total_time={FUZZ_SECONDS}", "-max_len=65536", "-verbosity=0",
             "-print_final_stats=1", f"-artifact_prefix={work}/crash-", work,
             os.path.join(ROOT, "tests/fuzz/corpus", entry)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)))
        if len(running) == int(JOBS):
            fuzz_wait(running)
    fuzz_wait(running)


def fuzz_wait(running):
    for entry, process in running:
        output = process.communicate()[0]
        executed = [line.split()[-1] for line in output.splitlines()
                    if "number_of_executed_units" in line]
        print(f"   {entry}: {executed[0] if executed else '?'} inputs", flush=True)
        if process.returncode:
            print("\n".join(output.splitlines()[-40:]))
        count(f"fuzz {entry}", int(process.returncode == 0), int(process.returncode != 0))
    running.clear()


def main():
    started = time.monotonic()
    os.makedirs(BUILD, exist_ok=True)
    everything = os.environ.get("SHOPBELL_ALL") == "yes"
    chosen = [s for s in os.environ.get("SHOPBELL_SUITES", "").split(",") if s]

    def wanted(suite):
        return not chosen or suite in chosen

    say("build")
    folder = build("tests")
    if folder:
        if everything and wanted("lint"):
            lint(folder)
        fast = [s for s in ("unit", "golden", "property", "fuzz", "store") if wanted(s)]
        if fast:
            say(", ".join(fast))
            meson_suites(folder, fast)
        for suite in ("system", "fault"):
            if wanted(suite):
                say(suite)
                pytest(folder, suite)
        if everything and wanted("sdk"):
            say("the real SDKs")
            pytest(folder, "sdk")
        if everything and wanted("sanitizers"):
            sanitizers()
        if everything and wanted("fuzzing"):
            fuzzing()
    print(f"\n{time.monotonic() - started:.0f} s", flush=True)
    for name in failures:
        print(f"failed: {name}")
    if tally["skipped"]:
        print(f"{tally['skipped']} skipped")
    print(f"{tally['passed']} passed, {tally['failed']} failed", flush=True)
    return 1 if tally["failed"] or not tally["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
