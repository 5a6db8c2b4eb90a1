"""Builds, runs the suites, and adds up: the second half of tests/run.

Cheap gates first. Every suite reports to one tally; at the end stand the time
of each tier, the name of each failure, and "N passed, N failed". A suite that
cannot even start counts as one failure.
"""

import contextlib
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("SHOPBELL_BUILD_ROOT", os.path.join(ROOT, "build"))
FUZZ_SECONDS = int(os.environ.get("SHOPBELL_FUZZ_SECONDS", "8"))
SHARED = os.environ.get("SHOPBELL_SHARED", os.path.join(os.path.dirname(ROOT), "shared"))
JOBS = str(os.cpu_count() or 2)
SLOW_FACTOR = 4  # what an instrumented build may take, against a plain one

FAST = ["unit", "golden", "property", "fuzz", "store"]
WITH_ALL = ["lint", "sdk", "sanitizers", "fuzzing"]
SUITES = [*FAST, "system", "fault", *WITH_ALL]

tally = {"passed": 0, "failed": 0, "skipped": 0}
failures = []
times = []


@contextlib.contextmanager
def tier(name, text=None):
    print(f"\n== {text or name}", flush=True)
    started = time.monotonic()
    yield
    times.append((name, time.monotonic() - started))
    print(f"   {name}: {times[-1][1]:.0f} s", flush=True)


def count(name, passed, failed, skipped=0, which=()):
    """`which` names the tests that failed, where the suite knows them."""
    tally["passed"] += passed
    tally["failed"] += failed
    tally["skipped"] += skipped
    if failed:
        failures.extend([f"{name}: {one}" for one in which] or [name])
        print(f"   {name}: {failed} FAILED {' '.join(which)}", flush=True)


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
    is_new = not os.path.exists(os.path.join(folder, "build.ninja"))
    if (is_new or options) and run(["meson", "setup" if is_new else "configure", folder, *options],
                                   env=env, stdout=subprocess.DEVNULL).returncode:
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


def meson_suites(folder, suites, slow=1, **environment):
    command = ["meson", "test", "-C", folder, "--no-rebuild", "--print-errorlogs",
               "--num-processes", JOBS, "--timeout-multiplier", str(slow)]
    for suite in suites:
        command += ["--suite", suite]
    log_path = os.path.join(folder, "meson-logs", "testlog.json")
    name = f"{os.path.basename(folder)}: {', '.join(suites)}"
    with contextlib.suppress(FileNotFoundError):
        os.remove(log_path)
    run(command, env={**os.environ, "SHOPBELL_SHARED": SHARED, **environment})
    try:
        with open(log_path, encoding="utf-8") as log:
            results = {test["name"]: test["result"] for test in map(json.loads, log)}
    except OSError:
        count(name, 0, 1, which=["did not run"])
        return
    bad = [test for test, result in results.items()
           if result not in ("OK", "SKIP", "EXPECTEDFAIL")]
    skipped = sum(r == "SKIP" for r in results.values())
    count(name, len(results) - len(bad) - skipped, len(bad), skipped, bad)


def pytest(folder, suite, without=(), **environment):
    name = f"{os.path.basename(folder)}: pytest {suite}"
    report = os.path.join(BUILD, f"pytest-{suite}-{os.path.basename(folder)}.xml")
    logs = os.path.join(BUILD, f"server-logs-{suite}-{os.path.basename(folder)}")
    shutil.rmtree(logs, ignore_errors=True)
    os.makedirs(logs)
    env = {**os.environ, "SHOPBELL_BIN": os.path.join(folder, "src/app/shopbell"),
           "SHOPBELL_BUILD": folder, "SHOPBELL_SHARED": SHARED,
           "SHOPBELL_LOGS": logs, "PYTHONDONTWRITEBYTECODE": "1", **environment}
    with contextlib.suppress(FileNotFoundError):
        os.remove(report)
    run(["/usr/bin/python3", "-m", "pytest", "-q", "-rs", "--tb=short", "-p", "no:cacheprovider",
         f"--junitxml={report}", *[f"--ignore=tests/{suite}/{one}" for one in without],
         os.path.join("tests", suite)], env=env)
    try:
        root = xml.etree.ElementTree.parse(report).getroot()
    except (OSError, xml.etree.ElementTree.ParseError):
        count(name, 0, 1, which=["did not finish"])
        return
    tests = list(root.iter("testcase"))
    bad = [t.get("name") for t in tests
           if t.find("failure") is not None or t.find("error") is not None]
    skipped = sum(t.find("skipped") is not None for t in tests)
    if not tests:
        bad = ["no test was found"]
    count(name, max(len(tests) - len(bad) - skipped, 0), len(bad), skipped, bad)
    if bad and os.listdir(logs):
        print(f"   the servers' logs: {logs}", flush=True)


def tracked(*patterns):
    return run(["git", "ls-files", *patterns], stdout=subprocess.PIPE, text=True).stdout.split()


def trust_checkout():
    """git lists nothing of a checkout that another account owns, as in a container."""
    number = int(os.environ.get("GIT_CONFIG_COUNT") or 0)
    os.environ.update({"GIT_CONFIG_COUNT": str(number + 1),
                       f"GIT_CONFIG_KEY_{number}": "safe.directory",
                       f"GIT_CONFIG_VALUE_{number}": ROOT})


# --- the tiers --------------------------------------------------------------

def lint(folder):
    c_files = tracked("*.c", "*.h")
    if not c_files:
        count("lint", 0, 1, which=["git lists no files"])  # The tools would be content.
        return
    step("clang-format", ["clang-format-14", "-n", "-Werror", *c_files])
    shell = []
    for path in tracked("deploy", "tests", ".ci"):
        with open(os.path.join(ROOT, path), "rb") as f:
            first = f.readline()
        if first.startswith(b"#!") and first.split(b"/")[-1].split()[-1] in (b"sh", b"bash"):
            shell.append(path)
    step("shellcheck", ["shellcheck", "-x", *shell])
    pytest(folder, "lint")
    step("cppcheck", ["cppcheck", "-q", "-j", JOBS, "--enable=warning,performance,portability",
                      "--inline-suppr", "--error-exitcode=1", "--std=c11",
                      "--suppress=missingIncludeSystem", "-I", "include", "src"])
    step("clang-tidy", [os.path.join(ROOT, "tests/lint/tidy.py"), folder])


def sanitizers():
    """Every suite once more in an instrumented build. A process that reports
    something, at its exit too, writes a file; each file is a failure, whatever
    the test that started the process made of it."""
    folder = build("sanitized", "-Dwerror=true", "-Db_sanitize=address,undefined", "-Db_lundef=false",
                   "-Dc_args=-fno-sanitize-recover=all -fno-omit-frame-pointer",
                   "-Dcpp_args=-fno-sanitize-recover=all -fno-omit-frame-pointer")
    if not folder:
        return
    reports = os.path.join(BUILD, "sanitizer-reports")
    shutil.rmtree(reports, ignore_errors=True)
    os.makedirs(reports)
    os.chmod(reports, 0o777)
    log_path = f"log_path={reports}/report"
    options = {"ASAN_OPTIONS": f"detect_leaks=1:{log_path}",
               "UBSAN_OPTIONS": f"print_stacktrace=1:{log_path}"}
    meson_suites(folder, FAST, slow=SLOW_FACTOR, **options)
    pytest(folder, "property", SHOPBELL_CUSTOMERS="100", **options)
    options["SHOPBELL_SLOW"] = str(SLOW_FACTOR)
    # Plans are PostgreSQL's, and deploy/ is shell: nothing of either is instrumented.
    # The engine's traps wait for minutes of real time, in code that the others run.
    pytest(folder, "system", without=["test_plans.py", "test_deploy.py", "test_engine_traps.py"],
           **options)
    pytest(folder, "fault", SHOPBELL_ORACLE_WEBHOOKS="4000", SHOPBELL_CRASH_CYCLES="4", **options)
    found = sorted(glob.glob(f"{reports}/*"))
    for path in found[:5]:
        with open(path, encoding="utf-8", errors="replace") as f:
            print(f"--- {path}\n" + "".join(f.readlines()[:60]), flush=True)
    count("sanitizer reports", int(not found), len(found), which=found)


def fuzzing():
    folder = build("fuzz", "-Dwerror=true", "-Db_sanitize=address,undefined",
                   "-Db_lundef=false", "-Dc_args=-fsanitize=fuzzer-no-link",
                   "-Dcpp_args=-fsanitize=fuzzer-no-link",
                   environment={"CC": "clang-14", "CXX": "clang++-14"})
    if not folder:
        return
    waiting = [p for p in sorted(glob.glob(os.path.join(folder, "tests/fuzz/fuzz_*")))
               if os.path.isfile(p) and os.access(p, os.X_OK)]
    if not waiting:
        count("fuzzing", 0, 1, which=["no target was built"])
    running = []
    while waiting or running:
        while waiting and len(running) < int(JOBS):
            running.append(fuzz_start(folder, waiting.pop(0)))
        fuzz_finish(*running.pop(0))


def fuzz_start(folder, program):
    """New inputs go to the build folder, what crashes too: a person looks at it,
    and puts it into tests/fuzz/corpus when it is mended."""
    entry = os.path.basename(program).removeprefix("fuzz_")
    work = os.path.join(folder, "corpus", entry)
    os.makedirs(work, exist_ok=True)
    return entry, subprocess.Popen(
        [program, f"-max_total_time={FUZZ_SECONDS}", "-max_len=65536", "-timeout=10",
         "-rss_limit_mb=2048", "-verbosity=0", "-print_final_stats=1",
         f"-artifact_prefix={work}/crash-", work, os.path.join(ROOT, "tests/fuzz/corpus", entry)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")


def fuzz_finish(entry, process):
    output = process.communicate()[0]
    executed = [line.split()[-1] for line in output.splitlines()
                if "number_of_executed_units" in line]
    print(f"   {entry}: {executed[0] if executed else '?'} inputs", flush=True)
    if process.returncode:
        print("\n".join(output.splitlines()[-40:]))
    count(f"fuzz {entry}", int(process.returncode == 0), int(process.returncode != 0))


def main():
    # A shell's "&" ignores it, and so would every program that the tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    trust_checkout()
    started = time.monotonic()
    os.makedirs(BUILD, exist_ok=True)
    everything = os.environ.get("SHOPBELL_ALL") == "yes"
    chosen = [s for s in os.environ.get("SHOPBELL_SUITES", "").split(",") if s]
    if set(chosen) - set(SUITES):
        print(f"tests/run: no such suite; there are {', '.join(SUITES)}", file=sys.stderr)
        return 2

    def wanted(suite):
        return suite in chosen if chosen else everything or suite not in WITH_ALL

    with tier("build"):
        folder = build("tests")
    if folder:
        if wanted("lint"):
            with tier("lint"):
                lint(folder)
        fast = [s for s in FAST if wanted(s)]
        if fast:
            with tier(", ".join(fast)):
                meson_suites(folder, fast)
                if "property" in fast:
                    pytest(folder, "property", SHOPBELL_CUSTOMERS="10000" if everything else "500")
        for suite in ("system", "fault"):
            if wanted(suite):
                with tier(suite):
                    pytest(folder, suite)
        if wanted("sdk"):
            with tier("sdk", "the real SDKs"):
                pytest(folder, "sdk")
        if wanted("sanitizers"):
            with tier("sanitizers", "address and undefined-behaviour sanitizers"):
                sanitizers()
        if wanted("fuzzing"):
            with tier("fuzzing", f"fuzzing, {FUZZ_SECONDS} s a target"):
                fuzzing()
    print("\n" + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in times)
          + f"; {time.monotonic() - started:.0f} s in all")
    for name in failures:
        print(f"failed: {name}")
    if tally["skipped"]:
        print(f"{tally['skipped']} skipped")
    print(f"{tally['passed']} passed, {tally['failed']} failed", flush=True)
    return 1 if tally["failed"] or not tally["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
