"""What each ESP gets (tests/golden/native) against the vendors' own models of it:

| ESP | held against |
|---|---|
| Klaviyo | its Python SDK (pydantic, from its OpenAPI) |
| Customer.io | models generated from its published OpenAPI (Track v2, person event) |
| Brevo | its Python SDK (types from its API definition) |
| HubSpot | its Python SDK (types from its OpenAPI), and its guide's limits |
| Iterable | its TypeScript SDK (zod) |
| Mailchimp | the TypeScript types of its official client, by the TypeScript compiler |
| Braze | a community client's types, by the compiler: it publishes no schema |

Versions and checksums are pinned; nothing of the vendors is copied here. Where the
packages cannot be had, the tests are skipped and say so.
"""

import json
import os
import shutil
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
NATIVE = os.path.join(HERE, "native")
GOLDEN = os.path.join(os.path.dirname(HERE), "golden", "native")
KINDS = ["segment.entered", "order.completed", "lifecycle.changed", "tag.added"]


def bodies(esp):
    """(notification, body) of a golden file."""
    found, title = [], None
    with open(os.path.join(GOLDEN, esp + ".golden"), encoding="utf-8") as f:
        for line in f:
            if line.startswith("= "):
                title = line[2:].split(":")[0]
            elif line.startswith("{"):
                found.append((title, json.loads(line)))
    assert {kind for kind, _ in found} >= set(KINDS[:3])
    return found


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """A folder with the vendors' models, and what they need to be imported."""
    folder = str(tmp_path_factory.mktemp("models"))
    pip = [sys.executable, "-m", "pip", "install", "-q", "--target", folder]
    for what in (["--no-deps", "--require-hashes", "-r",
                  os.path.join(NATIVE, "requirements.txt")],
                 ["pydantic==2.14.4", "httpx==0.28.1", "python-dateutil==2.9.0.post0",
                  "urllib3==2.6.3", "aenum==3.1.16", "distro==1.9.0", "sniffio==1.3.1"]):
        done = subprocess.run([*pip, *what], capture_output=True, text=True)
        if done.returncode:
            said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
            if "hash" in done.stderr.lower():
                pytest.fail(f"a package is not the one that was pinned: {done.stderr[-500:]}")
            pytest.skip(f"the vendors' models cannot be had here: {said}")
    return folder


def ask(models, question):
    done = subprocess.run([sys.executable, os.path.join(NATIVE, "models.py")],
                          env={**os.environ, "PYTHONPATH": models}, capture_output=True,
                          text=True, input=json.dumps(question))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("esp", ["klaviyo", "customerio", "brevo", "hubspot"])
def test_python_models(models, esp):
    cases = bodies(esp)
    faults = ask(models, {esp: [body for _, body in cases]})[esp]
    assert len(faults) == len(cases)
    assert not any(faults), [(c[0], f) for c, f in zip(cases, faults) if f]


BROKEN = {
    "klaviyo": [lambda b: b["data"]["attributes"].pop("metric"),
                lambda b: b["data"].update(type="events"),
                lambda b: b["data"]["attributes"].update(value="1.00"),
                lambda b: b["data"]["attributes"].update(uniqueId="x")],
    "customerio": [lambda b: b.update(action="track"), lambda b: b.pop("name"),
                   lambda b: b.update(timestamp="now"), lambda b: b.update(event_id="x")],
    "brevo": [lambda b: b["event_properties"].update(total=1.5),
              lambda b: b["identifiers"].update(email="x"),
              lambda b: b.update(event_name=7), lambda b: b.update(id="x")],
    "hubspot": [lambda b: b["properties"].update(total=7), lambda b: b.update(name="x"),
                lambda b: b.pop("uuid"), lambda b: b["properties"].update(Total="7")],
}


@pytest.mark.parametrize("esp", sorted(BROKEN))
def test_the_models_would_say_so(models, esp):
    """A model that takes anything proves nothing."""
    spoilt = []
    for spoil in BROKEN[esp]:
        body = json.loads(json.dumps(bodies(esp)[0][1]))
        spoil(body)
        spoilt.append(body)
    faults = ask(models, {esp: spoilt})[esp]
    assert all(faults), list(zip(faults, spoilt))


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("native"))
    for name in os.listdir(NATIVE):
        if name.endswith((".json", ".mjs")):
            shutil.copy(os.path.join(NATIVE, name), folder)
    done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=folder,
                          capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"the vendors' packages cannot be had here: npm said {done.returncode}")
    return folder


def test_iterable(node_modules):
    # Its zod takes no address beyond ASCII; its API is said to.
    cases = [(k, b) for k, b in bodies("iterable") if b.get("email", "").isascii()]
    good = [b for _, b in cases]
    bad = [{**good[0], "createdAt": "now"}, {**good[0], "eventID": "x"},
           {k: v for k, v in good[0].items() if k != "email"}]
    done = subprocess.run(["node", "iterable.mjs"], cwd=node_modules, check=True, text=True,
                          input=json.dumps({"bodies": good + bad}), stdout=subprocess.PIPE)
    faults = json.loads(done.stdout)
    assert not any(faults[:len(good)]), list(zip(cases, faults))
    assert all(faults[len(good):]), faults[len(good):]


TYPES = {
    # braze-api knows no email and phone of events yet; Braze's documentation does.
    "braze": ("import type { UsersTrackObject } from 'braze-api'\n"
              "type Event = NonNullable<UsersTrackObject['events']>[number] & "
              "{ email?: string; phone?: string }\n"
              "type Body = { events: Event[] }\n"),
    "mailchimp": ("import type { lists } from '@mailchimp/mailchimp_marketing'\n"
                  "type Body = Omit<lists.CreateListMemberEventBody, 'properties'> & "
                  "{ properties: Record<string, string> }\n"),
}


def compile_bodies(folder, esp, given):
    path = os.path.join(folder, f"native_{esp}.mts")
    with open(path, "w", encoding="utf-8") as f:
        f.write(TYPES[esp])
        for number, body in enumerate(given):
            f.write(f"export const body{number}: Body = {json.dumps(body)}\n")
    return subprocess.run(["node", "node_modules/typescript/lib/tsc.js", "--noEmit", "--strict",
                           "--module", "nodenext", "--skipLibCheck",
                           os.path.basename(path)], cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("esp", sorted(TYPES))
def test_types(node_modules, esp):
    given = [body for _, body in bodies(esp)]
    done = compile_bodies(node_modules, esp, given)
    assert done.returncode == 0, done.stdout
    spoilt = json.loads(json.dumps(given[0]))
    (spoilt["events"][0] if esp == "braze" else spoilt)["id"] = "x"
    assert "\"id\"' does not exist" in compile_bodies(node_modules, esp, [spoilt]).stdout


def test_mailchimp_paths():
    """Letters, digits, dashes and underscores, 2 to 30 of them; an MD5 in the path."""
    with open(os.path.join(GOLDEN, "mailchimp.golden"), encoding="utf-8") as f:
        targets = [line.split()[1] for line in f if line.startswith("target ")]
    names = [body["name"] for _, body in bodies("mailchimp")]
    assert len(targets) == len(names)
    assert all(2 <= len(n) <= 30 and n.replace("-", "_").replace("_", "a").isalnum()
               and n.isascii() for n in names)
    assert all(len(t.split("/")[5]) == 32 for t in targets)
