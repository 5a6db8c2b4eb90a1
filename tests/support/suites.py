"""Builds, runs the suites, and adds up: the second half of tests/run.

Cheap gates first; what only computes (clang-tidy, the other builds, fuzzing) has what
processor time the tests leave, which mostly wait. Every suite reports to one tally; at the end stand the time
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
import tempfile
import threading
import time
import xml.etree.ElementTree

import postgres

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("SHOPBELL_BUILD_ROOT", os.path.join(ROOT, "build"))
SHARED = os.environ.get("SHOPBELL_SHARED", os.path.join(os.path.dirname(ROOT), "shared"))
JOBS = str(os.cpu_count() or 2)
SLOW_FACTOR = 4  # what an instrumented build may take, against a plain one
# Adapters meet bytes of anybody: a minute for each platform, and for what serves as one.
FUZZ_SECONDS = {"platform": 60, "canonical": 60, "csv": 60, "custom": 60, "sdk": 60}
FUZZ_SECONDS_ELSE = 8
# Most tests wait, for clocks or for PostgreSQL: more processes run these beside the rest,
# and all take about as long.
BESIDE = {"system": [["test_source_health.py", "test_edge.py", "test_check.py",
                      "test_replay.py"],
                     ["test_desk.py", "test_delivery_care.py", "test_hostile_receivers.py",
                      "test_tiers.py", "test_native.py", "test_import.py"],
                     ["test_plans.py", "test_correctness.py", "test_recheck.py",
                      "test_triggers.py", "test_explain.py", "test_universal.py",
                      "test_retry_schedule.py", "test_cap_alerts.py"],
                     # Commands: under sanitizers a process takes a second to begin and end.
                     ["test_cli.py", "test_engagement.py", "test_choice.py", "test_deploy.py",
                      "test_sdk_routes.py", "test_collect.py", "test_fan_out.py"]]}
# What asks how late something is, in milliseconds, has the machine to itself (but for what
# only computes, at idle priority).
ALONE = {"system": ["test_engine_traps.py"]}

FAST = ["unit", "golden", "property", "fuzz", "store"]
WITH_ALL = ["lint", "sdk", "sanitizers", "fuzzing"]
SUITES = [*FAST, "system", "fault", *WITH_ALL]

tally = {"passed": 0, "failed": 0, "skipped": 0}
failures = []
times = []
counting = threading.Lock()


@contextlib.contextmanager
def tier(name, text=None):
    print(f"\n== {text or name}", flush=True)
    started = time.monotonic()
    yield
    times.append((name, time.monotonic() - started))
    print(f"   {name}: {times[-1][1]:.0f} s", flush=True)


def count(name, passed, failed, skipped=0, which=()):
    """`which` names the tests that failed, where the suite knows them."""
    with counting:
        tally["passed"] += passed
        tally["failed"] += failed
        tally["skipped"] += skipped
    if failed:
        failures.extend([f"{name}: {one}" for one in which] or [name])
        print(f"   {name}: {failed} FAILED {' '.join(which)}", flush=True)


def run(command, **more):
    return subprocess.run(command, cwd=ROOT, **more)


def step(name, command, **more):
    """One command that passes or fails as a whole; what it says is one piece."""
    done = run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    print(done.stdout, end="", flush=True)
    count(name, int(done.returncode == 0), int(done.returncode != 0))


class Leftover:
    """What only computes, one after the other, with what processor time is left over by
    tests that wait, for clocks or for PostgreSQL."""

    def __init__(self):
        self.waiting = []
        self.results = {}
        self.thread = None

    def add(self, name, do, *arguments, **more):
        self.waiting.append((name, do, arguments, more))

    def begin(self):
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def work(self):
        for name, do, arguments, more in self.waiting:
            try:
                self.results[name] = do(*arguments, preexec_fn=give_way, **more)
            except OSError as error:
                count(f"{name}: {error}", 0, 1)

    def finish(self):
        self.thread.join()
        return self.results


def build(name, *options, environment=None, targets=(), **more):
    folder = os.path.join(BUILD, name)
    env = {**os.environ, **(environment or {})}
    is_new = not os.path.exists(os.path.join(folder, "build.ninja"))
    if (is_new or options) and run(["meson", "setup" if is_new else "configure", folder, *options],
                                   env=env, stdout=subprocess.DEVNULL, **more).returncode:
        count(f"configure {name}", 0, 1)
        return None
    done = run(["ninja", "-C", folder, "-j", JOBS, *targets], env=env, capture_output=True,
               text=True, **more)
    ok = done.returncode == 0
    if not ok:
        print("\n".join((done.stdout + done.stderr).splitlines()[-60:]))
    warnings = done.stdout.count("warning:")
    if warnings:
        print(f"   {warnings} warnings in build {name}")
    count(f"build {name}", int(ok), int(not ok))
    return folder if ok else None


def names_without(folder, left_out):
    """Of the tests that meson knows; it can choose by name, but not leave out."""
    told = run(["meson", "introspect", "--tests", folder], stdout=subprocess.PIPE, text=True).stdout
    return sorted({test["name"] for test in json.loads(told)} - set(left_out))


def meson_suites(folder, suites, slow=1, without=(), **environment):
    command = ["meson", "test", "-C", folder, "--no-rebuild", "--print-errorlogs",
               "--num-processes", JOBS, "--timeout-multiplier", str(slow)]
    for suite in suites:
        command += ["--suite", suite]
    command += names_without(folder, without) if without else []
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
    pytest_together(folder, [(suite, without, environment)])()


def pytest_together(folder, suites):
    """All at once: (suite, files left out, environment) of each. Most of their tests wait,
    for clocks or for PostgreSQL, and servers and clusters are each suite's own. They have
    begun; what is returned ends them."""
    shards = []
    for suite, without, environment in suites:
        beside = BESIDE.get(suite, [])
        apart = [*(one for files in beside for one in files), *ALONE.get(suite, [])]
        shards.append((suite, pytest_start(folder, suite, "-rest" if shards else "",
                                           [*without, *apart], environment)))
        for n, files in enumerate(beside):
            only = [os.path.join("tests", suite, one) for one in files if one not in without]
            if only:  # Without paths pytest would take all there are.
                shards.append((suite, pytest_start(folder, suite, f"-beside{n}", without,
                                                   environment, only)))

    def finish():
        for suite, shard in shards:
            pytest_finish(folder, suite, *shard)
    return finish


def pytest_alone(folder, suite):
    for one in ALONE.get(suite, []):
        pytest_finish(folder, suite, *pytest_start(folder, suite, "-alone", (), {},
                                                   [os.path.join("tests", suite, one)]))


def pytest_start(folder, suite, part, without, environment, paths=()):
    name = f"{suite}{part}-{os.path.basename(folder)}"
    report = os.path.join(BUILD, f"pytest-{name}.xml")
    logs = os.path.join(BUILD, f"server-logs-{name}")
    shutil.rmtree(logs, ignore_errors=True)
    os.makedirs(logs)
    env = {**os.environ, "SHOPBELL_BIN": os.path.join(folder, "src/app/shopbell"),
           "SHOPBELL_BUILD": folder, "SHOPBELL_SHARED": SHARED,
           "SHOPBELL_LOGS": logs, "PYTHONDONTWRITEBYTECODE": "1", **environment}
    with contextlib.suppress(FileNotFoundError):
        os.remove(report)
    command = ["/usr/bin/python3", "-m", "pytest", "-q", "-rs", "--tb=short",
               "-p", "no:cacheprovider", f"--junitxml={report}",
               *[f"--ignore=tests/{suite}/{one}" for one in without],
               *(paths or [os.path.join("tests", suite)])]
    if not part:
        return report, logs, subprocess.Popen(command, cwd=ROOT, env=env)
    with open(os.path.join(logs, "pytest.txt"), "w", encoding="utf-8") as output:
        return report, logs, subprocess.Popen(command, cwd=ROOT, env=env, stdout=output,
                                              stderr=subprocess.STDOUT)


def pytest_finish(folder, suite, report, logs, process):
    process.wait()
    said = os.path.join(logs, "pytest.txt")
    if os.path.exists(said):
        with open(said, encoding="utf-8", errors="replace") as output:
            print(output.read(), flush=True)
        os.remove(said)
    name = f"{os.path.basename(folder)}: pytest {suite}"
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

def lint(folder, computing):
    """The quick gates; what takes minutes is `computing`'s."""
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
    computing.add("cppcheck", step, "cppcheck",
                  ["cppcheck", "-q", "-j", JOBS, "--enable=warning,performance,portability",
                   "--inline-suppr", "--error-exitcode=1", "--std=c11",
                   "--suppress=missingIncludeSystem", "-I", "include", "src"])
    computing.add("clang-tidy", step, "clang-tidy",
                  [os.path.join(ROOT, "tests/lint/tidy.py"), folder])


def build_sanitized(**more):
    """-O1: a third less to compile, and stacks in which more of the functions are left."""
    return build("sanitized", "-Dwerror=true", "-Doptimization=1",
                 "-Db_sanitize=address,undefined", "-Db_lundef=false",
                 "-Dc_args=-fno-sanitize-recover=all -fno-omit-frame-pointer",
                 "-Dcpp_args=-fno-sanitize-recover=all -fno-omit-frame-pointer", **more)


def build_fuzzing(**more):
    return build("fuzz", "-Dwerror=true", "-Db_sanitize=address,undefined", "-Db_lundef=false",
                 "-Dc_args=-fsanitize=fuzzer-no-link", "-Dcpp_args=-fsanitize=fuzzer-no-link",
                 environment={"CC": "clang-14", "CXX": "clang++-14"}, targets=["fuzz_targets"],
                 **more)


def sanitizers(folder, begin_fuzzing):
    """Every suite once more in an instrumented build; fuzzing begins beside those that
    mostly wait. A process that reports
    something, at its exit too, writes a file; each file is a failure, whatever
    the test that started the process made of it."""
    reports = os.path.join(BUILD, "sanitizer-reports")
    shutil.rmtree(reports, ignore_errors=True)
    os.makedirs(reports)
    os.chmod(reports, 0o777)
    log_path = f"log_path={reports}/report"
    options = {"ASAN_OPTIONS": f"detect_leaks=1:{log_path}",
               "UBSAN_OPTIONS": f"print_stacktrace=1:{log_path}"}
    # Plans are PostgreSQL's, and deploy/ is scripts: nothing of either is instrumented.
    # What runs alone waits for minutes of real time, in code that the others run.
    left_out = ["test_plans.py", "test_deploy.py", "test_cap_alerts.py", *ALONE["system"]]
    slow = {**options, "SHOPBELL_SLOW": str(SLOW_FACTOR)}
    fewer = {"SHOPBELL_ORACLE_WEBHOOKS": "4000", "SHOPBELL_CRASH_CYCLES": "4",
             "SHOPBELL_DELIVERY_CRASH_CYCLES": "8"}
    # A tenth as fast: a fifth of the worlds still meets every line.
    # Of partitions nearly all is PostgreSQL's work, a minute of it.
    meson_suites(folder, FAST, slow=SLOW_FACTOR, without=["partition"], SHOPBELL_SEED_STEP="5",
                 **options)
    finish = pytest_together(folder, [("system", left_out, slow), ("fault", (), {**slow, **fewer}),
                                      ("property", (), {**options, "SHOPBELL_CUSTOMERS": "100"})])
    begin_fuzzing()
    finish()
    found = sorted(glob.glob(f"{reports}/*"))
    for path in found[:5]:
        with open(path, encoding="utf-8", errors="replace") as f:
            print(f"--- {path}\n" + "".join(f.readlines()[:60]), flush=True)
    count("sanitizer reports", int(not found), len(found), which=found)


class Fuzzing:
    """Every target from its corpus, and the one of all platforms once for each. It takes
    what the processor has left over, beside tests that wait and may be slow."""

    def __init__(self, folder):
        self.waiting = fuzz_runs(folder)
        self.done = []
        self.threads = []
        if not self.waiting:
            count("fuzzing", 0, 1, which=["no target was built"])

    def begin(self):
        if not self.threads:
            self.threads = [threading.Thread(target=self.work) for _ in range(4 * int(JOBS))]
            for thread in self.threads:
                thread.start()

    def work(self):
        while True:
            try:
                run_of = self.waiting.pop(0)
            except IndexError:
                return
            self.done.append(fuzz(*run_of))

    def finish(self):
        self.begin()
        for thread in self.threads:
            thread.join()
        for name, ok, output, inputs, seconds in sorted(self.done):
            print(f"   {name}: {inputs} inputs in {seconds:.0f} s of processor time", flush=True)
            if not ok:
                print("\n".join(output.splitlines()[-40:]))
            count(f"fuzz {name}", int(ok), int(not ok))


def fuzz_runs(folder):
    """(program, name, corpus, seconds, environment), the long ones first."""
    runs = []
    for program in sorted(glob.glob(os.path.join(folder, "tests/fuzz/fuzz_*"))):
        if not os.path.isfile(program) or not os.access(program, os.X_OK):
            continue
        entry = os.path.basename(program).removeprefix("fuzz_")
        corpus = os.path.join(ROOT, "tests/fuzz/corpus", entry)
        seconds = FUZZ_SECONDS.get(entry, FUZZ_SECONDS_ELSE)
        if entry == "platform":
            runs += [(program, name, os.path.join(corpus, name), seconds,
                      {"SHOPBELL_FUZZ_PLATFORM": name}) for name in sorted(os.listdir(corpus))]
        else:
            runs.append((program, entry, corpus, seconds, {}))
    return sorted(runs, key=lambda one: -one[3])


def fuzz(program, name, corpus, seconds, environment):
    """New inputs go to the build folder, what crashes too: a person looks at it,
    and puts it into tests/fuzz/corpus when it is mended."""
    work = os.path.join(BUILD, "fuzz/corpus", name)
    os.makedirs(work, exist_ok=True)
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        process = subprocess.Popen(
            [program, f"-max_total_time={seconds}", "-max_len=65536", "-timeout=60",
             "-rss_limit_mb=2048", "-verbosity=0", "-print_final_stats=1",
             f"-artifact_prefix={work}/crash-", work, corpus],
            stdout=said, stderr=said, env={**os.environ, **environment}, preexec_fn=give_way)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        output = said.read()
    executed = [line.split()[-1] for line in output.splitlines()
                if "number_of_executed_units" in line]
    return (name, process.returncode == 0, output, executed[0] if executed else "?",
            used.ru_utime + used.ru_stime)


def give_way():
    try:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    except OSError:
        os.nice(19)


def run_all(wanted, everything):
    with tier("build"):
        folder = build("tests", *(["-Dwerror=true"] if everything else []))
    if not folder:
        return
    computing = Leftover()
    if wanted("lint"):
        with tier("lint"):
            lint(folder, computing)
    if wanted("sanitizers"):
        computing.add("sanitized", build_sanitized)
    if wanted("fuzzing"):
        computing.add("fuzz", build_fuzzing)
    computing.begin()
    fast = [s for s in FAST if wanted(s)]
    if fast:
        with tier(", ".join(fast)):
            meson_suites(folder, fast)
            if "property" in fast:
                pytest(folder, "property", SHOPBELL_CUSTOMERS="10000" if everything else "500")
    slow = [suite for suite in ("system", "fault", "sdk") if wanted(suite)]
    if slow:
        with tier(", ".join(slow)):
            pytest_together(folder, [(suite, (), {}) for suite in slow])()
            for suite in slow:
                pytest_alone(folder, suite)
    with tier("the rest of the computing"):
        folders = computing.finish()
    fuzzing = Fuzzing(folders["fuzz"]) if folders.get("fuzz") else None
    if folders.get("sanitized"):
        with tier("sanitizers", "address and undefined-behaviour sanitizers"):
            sanitizers(folders["sanitized"], fuzzing.begin if fuzzing else lambda: None)
    if fuzzing:
        with tier("fuzzing", "the rest of the fuzzing"):
            fuzzing.finish()


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

    template = postgres.Template() if postgres.programs() else None
    try:
        run_all(wanted, everything)
    finally:
        if template:
            template.remove()
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
