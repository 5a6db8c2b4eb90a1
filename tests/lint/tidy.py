#!/usr/bin/python3
"""clang-tidy over src/ and clang's own warnings over tests/, one process a core, only what
changed since it was clean.

    tests/lint/tidy.py BUILD [FILE...]

BUILD is a configured and built folder: its compile commands say how, and
ninja's dependency log says which headers a file was made of. A file is clean
under a hash of all of those and of .clang-tidy; the hash is remembered in
BUILD/tidy, so a second run takes a second. What WarningsAsErrors leaves out
(size, complexity) is counted as advice and printed with --advice only.
"""

import concurrent.futures
import hashlib
import json
import os
import re
import subprocess
import sys
import time

# The tool wants one check besides the compiler's.
ONLY_WARNINGS = "--checks=-*,readability-duplicate-include,clang-diagnostic-*"
# The analyzer takes nine tenths of the time, most of it in the few functions with the most
# paths: of each it looks at so many nodes, a seventh of what it would, in half the time.
LESS_DEEP = [f"--extra-arg={word}" for word in ("-Xclang", "-analyzer-config", "-Xclang",
                                                "max-nodes=30000")]
# Some of gcc's, which -Werror would make errors.
NOT_CLANGS = "--extra-arg=-Wno-unknown-warning-option"

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def dependencies(build):
    """Object -> the files of this repository that it was made of."""
    text = subprocess.run(["ninja", "-C", build, "-t", "deps"], check=True, capture_output=True,
                          text=True).stdout
    found, name = {}, None
    for line in text.splitlines():
        if line and not line.startswith(" "):
            name = line.split(": #deps")[0]
            found[name] = []
        elif line:
            path = os.path.realpath(os.path.join(build, line.strip()))
            if path.startswith(ROOT + os.sep):
                found[name].append(path)
    return found


def is_within(source, *folders):
    return source.startswith(tuple(os.path.join(ROOT, folder) + os.sep for folder in folders))


def fingerprint(entry, paths):
    digest = hashlib.sha256(entry["command"].encode())
    for path in [os.path.join(ROOT, ".clang-tidy"), *sorted(paths)]:
        with open(path, "rb") as f:
            digest.update(path.encode() + b"\0" + f.read())
    return digest.hexdigest()


def check(build, entry, paths):
    """(source, clean, what was said, cached); the stamp's time says that it is of use."""
    source = os.path.realpath(os.path.join(entry["directory"], entry["file"]))
    stamp = os.path.join(build, "tidy", fingerprint(entry, paths) if paths else "unknown")
    if paths and os.path.exists(stamp):
        os.utime(stamp)
        with open(stamp, encoding="utf-8") as f:
            return source, True, f.read(), True
    checks = [] if is_within(source, "src") else [ONLY_WARNINGS]
    done = subprocess.run(["clang-tidy-14", "--quiet", NOT_CLANGS, *LESS_DEEP, "-p", build, *checks,
                           source], cwd=build, capture_output=True, text=True)
    clean = done.returncode == 0
    relative = os.path.relpath(ROOT, build)
    said = done.stdout
    for prefix in (os.path.join(build, relative), relative, ROOT):
        said = said.replace(prefix + os.sep, "")
    if clean and paths:
        with open(stamp + ".part", "w", encoding="utf-8") as f:
            f.write(said)
        os.replace(stamp + ".part", stamp)
    return source, clean, said if clean else said + done.stderr, False


def main():
    arguments = [a for a in sys.argv[1:] if not a.startswith("--")]
    show_advice = "--advice" in sys.argv
    build = os.path.realpath(arguments[0])
    only = {os.path.realpath(a) for a in arguments[1:]}
    os.makedirs(os.path.join(build, "tidy"), exist_ok=True)
    for stamp in os.scandir(os.path.join(build, "tidy")):
        if stamp.stat().st_mtime < time.time() - 7 * 86400:
            os.remove(stamp)
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as f:
        entries = json.load(f)
    made_of = dependencies(build)
    wanted = {}  # a file that several programs are made of is looked at once
    for entry in entries:
        source = os.path.realpath(os.path.join(entry["directory"], entry["file"]))
        if is_within(source, "src", "tests") and (not only or source in only):
            wanted.setdefault(source, (entry, made_of.get(entry["output"], [])))
    bad = advice = cached = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        for source, clean, said, was_cached in pool.map(lambda w: check(build, *w), wanted.values()):
            cached += was_cached
            advice += len(re.findall(r"warning: .*\[readability-function", said))
            if not clean:
                bad += 1
            if not clean or (show_advice and said):
                print(f"{os.path.relpath(source, ROOT)}:\n{said}", flush=True)
    print(f"   clang-tidy: {len(wanted)} files, {cached} unchanged since clean, {bad} with findings, "
          f"{advice} pieces of advice on size (--advice)", flush=True)
    return 1 if bad or not wanted else 0


if __name__ == "__main__":
    sys.exit(main())
