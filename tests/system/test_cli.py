"""The command line as a person uses it, and the server in the places where it is
put: embedded, behind a proxy, on a Unix socket, with TLS, under systemd.
"""

import base64
import glob
import hashlib
import hmac
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import uuid

import pytest
import shopbell
from shopbell import Server, binary, free_port, make_workspace, wait_for

COMMANDS = re.compile(r"^  ([a-z][a-z -]*?)  +", re.M)


def run(*arguments, stdin=None, environment=None, cwd=None):
    """As typed: its own environment, no terminal."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SHOPBELL_")}
    return subprocess.run([binary(), *arguments], input=stdin if stdin is not None else "",
                          env={**clean, **(environment or {})}, cwd=cwd, capture_output=True,
                          text=True, timeout=60)


# --- help, mistakes, completion: without any database ----------------------------

def test_help_leads_with_examples_on_every_level():
    top = run("--help")
    assert top.returncode == 0 and top.stderr == ""
    commands = COMMANDS.findall(top.stdout.split("Commands:")[1].split("All commands")[0])
    assert len(commands) >= 30
    levels = {" ".join(c.split()[:n]) for c in commands for n in range(1, len(c.split()) + 1)}
    for level in sorted(levels | {""}):
        for spelling in (["--help"],) if level == "" else (["--help"], ["-h"]):
            done = run(*level.split(), *spelling)
            assert done.returncode == 0, (level, spelling, done.stderr)
            assert done.stderr == ""
            body = done.stdout.split("\n", 2)[2]
            assert body.startswith("Examples:\n  "), (level, done.stdout[:300])
            example = body.splitlines()[1]
            assert level.split()[:1] == [] or f"shopbell {level.split()[0]}" in body, example


@pytest.mark.parametrize("words,suggestion", [
    (["serv"], "serve"), (["sorce", "list"], "source"), (["source", "lst"], "source list"),
    (["source", "create", "x", "--platfrm", "shopify"], "--platform"),
    (["subscription", "rotate-secrt", "x"], "subscription rotate-secret"),
    (["key", "create", "x", "--scop", "read"], "--scope"),
    (["status", "--jso"], "--json"),
    (["source", "secret", "add", "x", "--secret", "value"], "--secret-file")])
def test_a_typing_error_is_exit_2_and_a_suggestion(words, suggestion):
    done = run(*words)
    assert done.returncode == 2 and done.stdout == ""
    assert f'did you mean "{suggestion}"' in done.stderr or \
        f"did you mean {suggestion}" in done.stderr, done.stderr
    assert "--help" in done.stderr and "value" not in done.stderr.replace("a value", "")


@pytest.mark.parametrize("words", [
    [], ["source"], ["workspace", "create"], ["source", "show"], ["source", "show", "a", "b"],
    ["source", "create", "x"], ["subscription", "create", "x", "--url", "https://a.example"],
    ["workspace", "create", "x", "--currency"], ["version", "--listen"], ["version", "extra"]])
def test_wrong_usage_is_exit_2(words):
    done = run(*words)
    assert done.returncode == 2, (words, done.stdout, done.stderr)
    assert done.stderr.startswith("shopbell: ") and done.stdout == ""


def test_version():
    done = run("version")
    assert done.returncode == 0 and re.fullmatch(r"shopbell \d+\.\d+\.\d+\n", done.stdout)
    number = json.loads(run("version", "--json").stdout)["version"]
    assert done.stdout == f"shopbell {number}\n"
    assert run("--version").stdout == done.stdout


def complete(script, *words):
    """What bash would offer for the last word."""
    program = (script + "\nCOMP_WORDS=(" + " ".join(f"'{w}'" for w in words) + ")\n"
               f"COMP_CWORD={len(words) - 1}\nCOMPREPLY=()\n"
               "$(complete -p shopbell | sed 's/.*-F \\([^ ]*\\).*/\\1/')\n"
               "printf '%s\\n' \"${COMPREPLY[@]}\"\n")
    done = subprocess.run(["bash", "--norc"], input=program, capture_output=True, text=True,
                          timeout=20)
    assert done.stderr == "", done.stderr
    return set(done.stdout.split())


def test_completion_is_bash_that_bash_reads():
    script = run("completion", "bash").stdout
    assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0
    assert complete(script, "shopbell", "so") == {"source"}
    assert complete(script, "shopbell", "subscription", "") >= {
        "create", "verify", "pause", "resume", "rotate-secret"}
    assert "--platform" in complete(script, "shopbell", "source", "create", "x", "--pl")
    assert complete(script, "shopbell", "subscription", "update", "x", "--batch") == {
        "--batch-max", "--batch-wait"}
    assert complete(script, "shopbell", "subscription", "create", "x", "--auth") == {"--auth-file"}
    assert complete(script, "shopbell", "source", "secret", "") >= {"add", "list", "delete"}
    assert "bashcompinit" in run("completion", "zsh").stdout
    assert run("completion", "tcsh").returncode == 2


def test_config_init_and_check(tmp_path):
    home = str(tmp_path / "etc")
    done = run("config", "init", home, "--public-url", "https://bell.example.com")
    assert done.returncode == 0, done.stderr
    ini, key = f"{home}/shopbell.ini", f"{home}/master.key"
    assert os.stat(key).st_mode & 0o077 == 0 and len(open(key).read().strip()) == 64
    kept = open(key).read(), open(ini).read()
    again = run("config", "init", home, "--public-url", "https://other.example.com")
    assert "stays as it is" in again.stderr
    assert (open(key).read(), open(ini).read()) == kept

    checked = run("config", "check", "--config", ini, "--json")
    assert checked.returncode == 0, checked.stderr
    rows = {(r["section"], r["key"]): r for r in json.loads(checked.stdout)}
    assert rows["server", "public_url"]["value"] == "https://bell.example.com"
    assert rows["server", "public_url"]["origin"] == "file"
    stronger = run("config", "check", "--config", ini, "--json", "--listen", "127.0.0.1:9",
                   environment={"SHOPBELL_SERVER_LISTEN": "127.0.0.1:8",
                                "SHOPBELL_DATABASE_URL": "postgresql://u:hush@h/d"})
    rows = {(r["section"], r["key"]): r for r in json.loads(stronger.stdout)}
    assert rows["server", "listen"]["value"] == "127.0.0.1:9", "flags before environment"
    assert rows["database", "url"]["origin"] == "environment"
    assert "hush" not in stronger.stdout + stronger.stderr, "a password is not shown"

    with open(ini, "w") as f:
        f.write("[server]\nlistn = 1\n\n[limits]\nhook_body = 5 bananas\n")
    faulty = run("config", "check", "--config", ini)
    assert faulty.returncode not in (0, 3)
    assert 'did you mean "listen"' in faulty.stderr and "bananas" in faulty.stderr
    assert re.search(r"line 2: .*listn", faulty.stderr) and "line 5" in faulty.stderr
    assert run("config", "check", "--config", "/nowhere.ini").returncode != 0


# --- beside a running server ----------------------------------------------------

@pytest.fixture(scope="module")
def shop(server):
    """The environment of an operator of one brand."""
    make_workspace(server, "clibrand")
    return {**server.environment, "SHOPBELL_WORKSPACE": "clibrand"}


def sb(shop, *arguments, stdin=None, expect=0):
    done = run(*arguments, stdin=stdin, environment=shop)
    assert done.returncode == expect, (arguments, done.returncode, done.stdout, done.stderr)
    return done


def as_json(shop, *arguments, **more):
    done = sb(shop, *arguments, "--json", **more)
    return json.loads(done.stdout)


def test_source_with_a_secret_by_stdin_and_by_file(shop, server, tmp_path):
    made = as_json(shop, "source", "create", "by_stdin", "--platform", "shopify", "--shop-domain",
                   "aurora.myshopify.com", "--secret-file", "-", stdin="hush-one\n")
    assert made["webhook_url"].endswith("/v1/hooks/" + made["id"])
    keyfile = tmp_path / "key"
    keyfile.write_text("hush-two\n")
    shown = sb(shop, "source", "secret", "add", "by_stdin", "--secret-file", str(keyfile),
               "--label", "second")
    assert "hush" not in shown.stdout + shown.stderr
    secrets = as_json(shop, "source", "secret", "list", "by_stdin")
    labels = [s["label"] for s in secrets.get("data", secrets)]
    assert sorted(labels) == ["command line", "second"]
    assert "hush" not in json.dumps(secrets)
    for secret in ("hush-one", "hush-two"):  # a running server notices
        body = json.dumps(shopbell.shopify_order(1, 1, f"{secret}@example.com")).encode()
        headers = shopify_headers(body, secret)
        wait_for(lambda body=body, headers=headers: server.request(
            "POST", "/v1/hooks/" + made["id"], body, headers).status == 200, 5)
    sb(shop, "source", "secret", "add", "by_stdin", stdin="\n", expect=2)
    sb(shop, "source", "secret", "add", "by_stdin", "--secret-file", "/nowhere", expect=3)


def shopify_headers(body, secret, topic="orders/create"):
    mac = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    return {"X-Shopify-Hmac-Sha256": base64.b64encode(mac).decode(), "X-Shopify-Topic": topic,
            "X-Shopify-Shop-Domain": "aurora.myshopify.com",
            "X-Shopify-Webhook-Id": str(uuid.uuid4()), "Content-Type": "application/json"}


def test_source_verify_says_what_is_wrong_and_stores_nothing(shop, tmp_path, cluster):
    sb(shop, "source", "create", "captured", "--platform", "shopify", "--shop-domain",
       "aurora.myshopify.com", "--secret-file", "-", stdin="hush-captured")
    body = json.dumps(shopbell.shopify_order(7, 7, "captured@example.com")).encode()
    path = tmp_path / "order.json"
    path.write_bytes(body)
    headers = [w for k, v in shopify_headers(body, "hush-captured").items()
               for w in ("--header", f"{k}: {v}")]
    good = as_json(shop, "source", "verify", "captured", "--body-file", str(path), *headers)
    by_stdin = as_json(shop, "source", "verify", "captured", *headers, stdin=body.decode())
    assert good == by_stdin
    path.write_bytes(body.replace(b"124.90", b"1.00"))
    tampered = as_json(shop, "source", "verify", "captured", "--body-file", str(path), *headers)
    bare = as_json(shop, "source", "verify", "captured", "--body-file", str(path))

    def verdict(answer):
        return json.dumps(answer)
    assert len({verdict(good), verdict(tampered), verdict(bare)}) == 3
    assert "mismatch" not in verdict(good) and "mismatch" in verdict(tampered), (good, tampered)
    assert "missing" in verdict(bare), bare
    assert "hush" not in verdict(tampered)
    assert cluster.query("SELECT count(*) FROM identity WHERE value = 'captured@example.com'") == [(0,)]
    sb(shop, "source", "verify", "nowhere", *headers, stdin="{}", expect=3)


def test_subscription_from_creation_to_rotation(shop, server, esp):
    api_key = as_json(shop, "key", "create", "clikey", "--scope", "ingest", "--scope", "read,pii")["key"]
    made = as_json(shop, "subscription", "create", "mailhouse", "--url", esp.url,
                   "--topic", "page.viewed", "--topic", "order.*")
    first = made["secret"]
    assert first.startswith("whsec_")
    assert first not in sb(shop, "subscription", "show", "mailhouse").stdout, "once"
    esp.secret = first
    sb(shop, "subscription", "verify", "mailhouse")
    assert esp.challenges == 1
    assert as_json(shop, "subscription", "show", "mailhouse")["status"] == "active"
    api = shopbell.Api(server, api_key)
    wait_for(lambda: api.call("GET", "/v1/profiles").status == 200, 5)

    def ring(number):
        api.call("POST", "/v1/events", {
            "id": f"c{number}", "type": "page.viewed", "properties": {},
            "occurred_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "identities": {"email": "cli@example.com"}}, 200)
    time.sleep(0.5)  # the server looks for changes of the configuration twice a second
    ring(1)
    wait_for(lambda: len(esp.messages) == 1, 5)

    sb(shop, "subscription", "pause", "mailhouse")
    assert as_json(shop, "subscription", "show", "mailhouse")["status"] == "paused"
    time.sleep(1.0)
    ring(2)
    time.sleep(0.5)
    assert len(esp.messages) == 1
    sb(shop, "subscription", "resume", "mailhouse")
    wait_for(lambda: as_json(shop, "subscription", "show", "mailhouse")["status"] == "active", 3)
    time.sleep(1.0)
    ring(3)
    wait_for(lambda: len(esp.messages) >= 2, 10)

    sb(shop, "subscription", "rotate-secret", "mailhouse", expect=4)
    second = as_json(shop, "subscription", "rotate-secret", "mailhouse", "--overlap", "1h",
                     "--yes")["secret"]
    assert second != first
    time.sleep(1.0)
    seen = len(esp.messages)
    ring(4)
    wait_for(lambda: len(esp.messages) > seen, 5)
    headers, body = esp.messages[-1][:2]
    assert shopbell.verify_standard_webhook(first, headers, body), "the former one still signs"
    assert shopbell.verify_standard_webhook(second, headers, body)
    assert esp.bad_signatures == 0

    names = [s["name"] for s in as_json(shop, "subscription", "list")["data"]]
    assert names == ["mailhouse"]
    sb(shop, "subscription", "delete", "mailhouse", expect=4)
    sb(shop, "subscription", "delete", "mailhouse", "--yes")
    sb(shop, "subscription", "show", "mailhouse", expect=3)


def test_a_subscription_at_the_shell_is_what_it_is_over_rest(shop, server, tmp_path):
    said = {"title": "Mailhouse, 8841", "url": "https://hooks.mailhouse.example/8841",
            "topics": ["order.*", "segment.entered"], "filter": "orders.count >= 2",
            "fields": ["profile.email", "orders.count"], "format": "cloudevents",
            "map": {"greeting": "Hi {first_name}, a=b", "amount": "{event.total}"},
            "channel": "email", "ordering": "profile",
            "rate_limit": {"count": 20, "per": "2s"}, "headers": {"X-Account": "8841"},
            "concurrency": 4, "timeout": "10s", "max_age": "2d", "signature": ["v1", "v1a"]}
    options = ["--title", said["title"], "--url", said["url"], "--topic", "order.*,segment.entered",
               "--filter", said["filter"], "--field", "profile.email", "--field", "orders.count",
               "--format", "cloudevents", "--map", "greeting=Hi {first_name}, a=b",
               "--map", "amount={event.total}", "--channel", "email", "--ordering", "profile",
               "--rate-limit", "20", "--rate-per", "2s", "--header", "X-Account=8841",
               "--concurrency", "4", "--timeout", "10s", "--max-age", "2d",
               "--signature", "v1,v1a"]
    dry = as_json(shop, "subscription", "create", "typed", *options, "--dry-run")
    assert dry["filter"] == said["filter"]
    sb(shop, "subscription", "show", "typed", expect=3)
    as_json(shop, "subscription", "create", "typed", *options)
    document = tmp_path / "mailhouse.json"
    document.write_text(json.dumps({**said, "concurrency": 1, "headers": {"X-B": "2"}}))
    as_json(shop, "subscription", "create", "read", "--document", str(document),
            "--concurrency", "4", "--header", "X-Account=8841")
    one, other = (as_json(shop, "subscription", "show", name) for name in ("typed", "read"))
    assert {k: one[k] for k in said} == said
    assert other["headers"] == {"X-Account": "8841", "X-B": "2"}
    assert {k: other[k] for k in said if k != "headers"} == {
        k: v for k, v in said.items() if k != "headers"}

    as_json(shop, "subscription", "update", "typed", "--format", "shopbell", "--batch-max", "50",
            "--batch-wait", "1m", "--fields", "thin")
    changed = as_json(shop, "subscription", "update", "typed", "--document", "-",
                      stdin='{"filter": null, "rate_limit": null, "map": {"amount": null}}')
    assert changed["batch"] == {"max": 50, "wait": "1m"} and changed["fields"] == "thin"
    assert changed["filter"] is None and changed["rate_limit"] is None
    assert changed["map"] == {"greeting": said["map"]["greeting"]}
    off = as_json(shop, "subscription", "update", "typed", "--no-recheck")
    assert off["recheck"] is False


def test_what_the_reader_refuses_is_refused_at_the_shell(shop, tmp_path):
    create = ["subscription", "create", "odd", "--url", "https://hooks.mailhouse.example/x",
              "--topic", "order.completed"]
    for options, words in ((["--filter", "orders.cuont > 1"], "orders.count"),
                           (["--ordering", "profil"], "profile"),
                           (["--batch-max", "1"], "2"), (["--format", "cloudevent"], "cloudevents"),
                           (["--rate-limit", "many"], "a number"),
                           (["--field", "orders.cuont"], "orders.count"),
                           (["--fields", "thin", "--field", "orders.count"], "not both"),
                           (["--recheck", "--no-recheck"], "not both"),
                           (["--map", "greeting"], "NAME=VALUE")):
        done = run(*create, *options, environment=shop)
        assert done.returncode != 0 and words in done.stderr, (options, done.stderr)
    broken = tmp_path / "broken.json"
    broken.write_text('{"url": "https://a.example",\n "topics": [}')
    for path, words in ((str(broken), "line 2, column"), (str(tmp_path / "none"), "none")):
        done = run(*create, "--document", path, environment=shop)
        assert done.returncode != 0 and words in done.stderr, done.stderr
    done = run(*create, "--document", "-", environment=shop, stdin="[]")
    assert done.returncode == 2 and "an object is wanted" in done.stderr


def test_the_key_of_an_esp_never_stands_in_a_command_line(shop, tmp_path):
    keyfile = tmp_path / "key"
    keyfile.write_text("pk_hush\n")
    create = ["subscription", "create", "klaviyo", "--format", "klaviyo",
              "--topic", "segment.entered", "--map", "metric=Shopbell {notification.type}"]
    refused = run(*create, environment=shop)
    assert refused.returncode != 0 and "auth" in refused.stderr
    assert run(*create, "--auth", "pk_hush", environment=shop).returncode == 2
    for secret in (["--auth-file", str(keyfile)], ["--auth-file", "-"]):
        made = sb(shop, *create, *secret, "--json", stdin="pk_hush\n")
        assert "hush" not in made.stdout + made.stderr
        assert json.loads(made.stdout)["format"] == "klaviyo"
        changed = sb(shop, "subscription", "update", "klaviyo", *secret, stdin="pk_hush2\n")
        assert "hush" not in changed.stdout + changed.stderr
        sb(shop, "subscription", "delete", "klaviyo", "--yes")
    braze = as_json(shop, "subscription", "create", "braze", "--format", "braze", "--auth-file",
                    str(keyfile), "--topic", "order.completed", "--set", "cluster=fra-01")
    assert braze["settings"]["cluster"] == "fra-01"


@pytest.mark.parametrize("words", [
    ["workspace", "show"], ["source", "show"], ["source", "update"], ["key", "show"],
    ["subscription", "show"], ["subscription", "pause"], ["subscription", "verify"],
    ["source", "secret", "list"]])
def test_not_found_is_exit_3(shop, words):
    more = ["--title", "x"] if words[-1] == "update" and words[0] != "source" else []
    more = ["--time-zone", "UTC"] if words == ["source", "update"] else more
    done = sb(shop, *words, "nobody", *more, expect=3)
    assert done.stdout == "" and "nobody" in done.stderr


def test_everything_that_lists_speaks_json(shop):
    for words in (["workspace", "list"], ["workspace", "show", "clibrand"], ["source", "list"],
                  ["key", "list"], ["subscription", "list"], ["status"], ["config", "check"]):
        done = sb(shop, *words, "--json")
        json.loads(done.stdout)
        assert "\033[" not in done.stdout
        assert sb(shop, *words).stdout.strip() != ""
    assert sb(shop, "migrate", "--check").returncode == 0


def test_doctor_finds_nothing_broken(shop):
    done = run("doctor", "--json", environment=shop)
    assert done.returncode in (0, 1), done.stderr
    text = json.loads(done.stdout)
    found = text.get("checks", text.get("data", text)) if isinstance(text, dict) else text
    by_name = {f.get("check", f.get("name")): f for f in found}
    assert by_name["schema"].get("finding", by_name["schema"].get("result")) == "ok"
    assert by_name["shared_buffers"]["detail"].startswith("64 MiB")
    broken = run("doctor", environment={**shop, "SHOPBELL_DATABASE_URL": "postgresql:///x?host=/nowhere"})
    assert broken.returncode != 0 and "fail" in broken.stdout


def test_tail_shows_what_happens(shop, server):
    key = as_json(shop, "key", "create", "tailkey", "--scope", "ingest", "--scope", "read",
                  "--scope", "configure")["key"]
    api = shopbell.Api(server, key)
    wait_for(lambda: api.call("GET", "/v1/sources").status == 200, 5)
    source = shopbell.Shopify(api, "tailed")
    tail = subprocess.Popen([binary(), "tail", "--json"], env=shop, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True)
    try:
        time.sleep(0.8)
        assert source.send("orders/create",
                           shopbell.shopify_order(91, 91, "tail@example.com")).status == 200
        lines = []
        while not any("orders/create" in line for line in lines):
            lines.append(tail.stdout.readline())
            assert lines[-1], "tail ended"
            json.loads(lines[-1])
        assert "tail@example.com" not in "".join(lines)
    finally:
        tail.send_signal(signal.SIGINT)
        tail.wait(60)
    once = sb(shop, "tail", "--once", "--since", "10m", "--json")
    assert any("orders/create" in x for x in once.stdout.splitlines())


# --- embedded -------------------------------------------------------------------

class Embedded:
    """`serve --embedded DIR`, as in the README."""

    def __init__(self, home):
        self.directory = os.path.join(home, "data")
        self.log_path = os.path.join(home, "log")
        self.process = None

    def start(self):
        self.port = free_port()
        with open(self.log_path, "ab") as log:
            clean = {k: v for k, v in os.environ.items() if not k.startswith("SHOPBELL_")}
            self.process = subprocess.Popen(
                [binary(), "serve", "--embedded", self.directory, "--dev", "--listen",
                 f"127.0.0.1:{self.port}"], env=clean, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log)
        wait_for(self.ready, 40, 0.05, f"embedded server is ready; see {self.log_path}")

    def ready(self):
        assert self.process.poll() is None, open(self.log_path).read()
        try:
            return self.request("GET", "/readyz").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def request(self, method, path, body=None, headers=None):
        return Server.request(self, method, path, body, headers, port=self.port)

    def run(self, *arguments, **more):
        done = run(*arguments, "--embedded", self.directory, **more)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done

    def postmaster(self):
        with open(os.path.join(self.directory, "pgdata", "postmaster.pid")) as f:
            return int(f.readline())


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def home():
    """A directory that user postgres may enter, unlike pytest's."""
    made = tempfile.mkdtemp(prefix="sbe-", dir="/tmp")
    os.chmod(made, 0o755)
    yield made
    shutil.rmtree(made)


def test_embedded_start_reuse_stop_and_recovery(home):
    embedded = Embedded(home)
    try:
        embedded.start()
        owner = os.stat(f"/proc/{embedded.postmaster()}").st_uid
        assert owner != 0, "PostgreSQL never runs as root"
        embedded.run("workspace", "create", "aurora", "--currency", "EUR")
        key = json.loads(embedded.run("key", "create", "k", "--scope", "ingest,read,pii",
                                      "--json").stdout)["key"]

        def send(number):
            body = json.dumps({"id": str(number), "type": "page.viewed", "properties": {},
                               "identities": {"email": f"e{number}@example.com"},
                               "occurred_at": "2026-11-01T10:00:00Z"})
            headers = {"Authorization": "Bearer " + key, "Content-Type": "application/json"}
            return embedded.request("POST", "/v1/events", body, headers)
        wait_for(lambda: send(1).status == 200, 5)
        status = json.loads(embedded.run("status", "--json").stdout)
        assert "aurora" in json.dumps(status)

        postmaster = embedded.postmaster()
        embedded.process.terminate()
        assert embedded.process.wait(20) == 0
        assert not alive(postmaster), "a clean stop takes PostgreSQL along"
        # Without a server a command starts PostgreSQL for as long as it lasts.
        assert "aurora" in embedded.run("workspace", "list").stdout
        embedded.start()
        assert json.loads(send(1).body)["status"] == "duplicate", "the data is still there"
        assert json.loads(send(2).body)["status"] == "applied"

        postmaster = embedded.postmaster()
        embedded.process.kill()
        embedded.process.wait(10)
        wait_for(lambda: not alive(postmaster), 10, what="no PostgreSQL is left behind")
        embedded.start()
        assert json.loads(send(2).body)["status"] == "duplicate", "what was acknowledged is there"
        text = open(embedded.log_path).read()
        assert text.count("new PostgreSQL cluster") == 1
        # Two servers never share a directory.
        second = run("serve", "--embedded", embedded.directory, "--listen",
                     f"127.0.0.1:{free_port()}")
        assert second.returncode not in (0, 2) and second.stderr != ""
        assert embedded.ready()
    finally:
        if embedded.process and embedded.process.poll() is None:
            embedded.process.terminate()
            embedded.process.wait(20)


def test_a_command_for_a_directory_without_a_server_says_so(tmp_path):
    done = run("status", "--embedded", str(tmp_path / "nothing"))
    assert done.returncode == 3 and "serve --embedded" in done.stderr


# --- where it listens -----------------------------------------------------------

class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def get(connection, path="/healthz", headers=None):
    connection.request("GET", path, headers=headers or {})
    response = connection.getresponse()
    response.body = response.read()
    connection.close()
    return response


def test_unix_socket_and_who_is_believed(cluster, tmp_path):
    path = f"/tmp/sbt-{uuid.uuid4().hex[:8]}.sock"
    ours = str(uuid.uuid4())
    server = Server(cluster, str(tmp_path), SHOPBELL_SERVER_LISTEN=f"unix:{path}",
                    SHOPBELL_SERVER_TRUSTED_PROXIES="unix").migrate().start(ready=False)
    try:
        wait_for(lambda: os.path.exists(path), 10)
        wait_for(lambda: get(UnixConnection(path), "/readyz").status == 200, 10)
        answer = get(UnixConnection(path), headers={"X-Request-Id": ours})
        assert answer.headers["X-Request-Id"] == ours, "nginx's id goes through the log"
        hexadecimal = uuid.uuid4().hex  # as nginx writes it
        answer = get(UnixConnection(path), headers={"X-Request-Id": hexadecimal})
        assert uuid.UUID(answer.headers["X-Request-Id"]).hex == hexadecimal
        answer = get(UnixConnection(path), headers={"X-Request-Id": "x\u00e9 injected"})
        assert uuid.UUID(answer.headers["X-Request-Id"])
    finally:
        assert server.stop() == 0
    assert not os.path.exists(path), "and the socket goes with it"


def test_trusted_proxies(cluster, tmp_path, server):
    ours = str(uuid.uuid4())
    stranger = server.request("GET", "/healthz", headers={"X-Request-Id": ours})
    assert stranger.headers["X-Request-Id"] != ours, "from anybody else it is not believed"
    behind = Server(cluster, str(tmp_path), SHOPBELL_SERVER_TRUSTED_PROXIES="127.0.0.1").start()
    try:
        answer = behind.request("GET", "/healthz", headers={
            "X-Request-Id": ours, "X-Forwarded-For": "6.6.6.6, 203.0.113.9"})
        assert answer.status == 200 and answer.headers["X-Request-Id"] == ours
    finally:
        assert behind.stop() == 0


def test_tls_with_a_certificate_of_its_own(cluster, tmp_path):
    certificate, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")

    def issue(name):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                        f"/CN={name}", "-addext", "subjectAltName=DNS:localhost", "-keyout", key,
                        "-out", certificate], check=True, capture_output=True)
    issue("first")
    server = Server(cluster, str(tmp_path), SHOPBELL_SERVER_TLS_CERT=certificate,
                    SHOPBELL_SERVER_TLS_KEY=key).migrate().start(ready=False)

    def answer():
        context = ssl.create_default_context(cafile=certificate)
        return get(http.client.HTTPSConnection("localhost", server.port, context=context,
                                               timeout=5), "/readyz")

    def is_ready():
        try:
            return answer().status == 200
        except OSError:
            return False
    try:
        wait_for(is_ready, 15)
        with pytest.raises((OSError, http.client.HTTPException)):
            server.request("GET", "/readyz", timeout=3)
        # Refused at its head, it reads why although it goes on sending.
        context = ssl.create_default_context(cafile=certificate)
        with socket.create_connection(("localhost", server.port), timeout=10) as plain, \
                context.wrap_socket(plain, server_hostname="localhost") as s:
            s.sendall(b"POST /v1/sources HTTP/1.1\r\nHost: localhost\r\n"
                      b"Content-Length: 2000000\r\n\r\n" + b"x" * 60_000)
            time.sleep(0.3)
            s.sendall(b"x" * 1_940_000)
            assert s.recv(65536).startswith(b"HTTP/1.1 401 ")
        issue("second")  # renewed: SIGHUP, and no connection is lost
        with pytest.raises(ssl.SSLError):
            answer()
        server.process.send_signal(signal.SIGHUP)
        wait_for(is_ready, 5, what="the new certificate is in force")
    finally:
        assert server.stop() == 0


ACTIVATE = """
import os, sys
fd = int(sys.argv[1])
os.dup2(fd, 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="http")
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_socket_activation_loses_nothing_over_a_restart(cluster, tmp_path):
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    port = listener.getsockname()[1]
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify = f"/tmp/sbt-{uuid.uuid4().hex[:8]}.notify"
    told.bind(notify)
    told.settimeout(20)
    server = Server(cluster, str(tmp_path), NOTIFY_SOCKET=notify).migrate()

    def start():
        log = open(server.log_path, "ab")
        process = subprocess.Popen(
            [sys.executable, "-c", ACTIVATE, str(listener.fileno()), binary(), "serve"],
            env=server.environment, pass_fds=[listener.fileno()], stdin=subprocess.DEVNULL,
            stdout=log, stderr=log)
        log.close()
        while b"READY=1" not in told.recv(4096):
            pass
        return process
    process = start()
    try:
        assert get(http.client.HTTPConnection("127.0.0.1", port, timeout=5)).status == 200
        with pytest.raises(OSError):
            server.request("GET", "/healthz", timeout=3)  # the configured address is not taken
        process.terminate()
        assert process.wait(20) == 0
        assert b"STOPPING=1" in told.recv(4096)
        # While nobody serves, a shop connects; the socket's queue keeps it.
        waiting = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        waiting.request("GET", "/healthz")
        process = start()
        assert waiting.getresponse().status == 200
    finally:
        process.terminate()
        process.wait(20)
        told.close()
        os.unlink(notify)
        listener.close()


def test_nothing_is_left_in_tmp():
    assert not glob.glob("/tmp/sbt-*.sock")


def test_a_server_that_dies_leaves_how_and_its_log(cluster, tmp_path):
    server = Server(cluster, str(tmp_path)).migrate().start()
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait(10)
    for noticed in (server.is_ready, server.stop, server.kill):
        with pytest.raises(AssertionError, match="by itself, signal SIGKILL") as found:
            noticed()
        assert server.log_path in str(found.value) and '"/readyz"' in str(found.value)
    assert server.start().stop() == 0


def test_a_setting_without_effect_is_said_to_have_none(server):
    checked = server.command("config", "check", "--database-read-url", "postgresql:///replica")
    assert "database.read_url has no effect yet" in checked.stderr
    assert "no effect" not in server.command("config", "check").stderr


def test_authorities_that_are_not_there_stop_the_start(cluster, server, tmp_path):
    """Else each subscriber would be told that its certificate is bad."""
    other = Server(cluster, str(tmp_path), SHOPBELL_DELIVER_CA_FILE=str(tmp_path / "none.pem"))
    done = other.command("serve", check=False)
    assert done.returncode != 0 and "deliver.ca_file cannot be read" in done.stderr + done.stdout
