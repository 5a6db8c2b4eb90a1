"""deploy/cap-alerts: public weather warnings become universal events, once each."""

import datetime
import http.server
import json
import os
import subprocess
import threading

import pytest
import shopbell

SCRIPT = os.path.join(shopbell.ROOT, "deploy", "cap-alerts")
MAP = {"EMMA_ID": {"FR433": "FR-75", "FR999": ["FR-29", "postal:29"]},
       "areaDesc": {"Somewhere": "FR-92"}}


def later(hours):
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=hours)
    return at.strftime("%Y-%m-%dT%H:%M:%S-00:00")


def alert(name="2.49.0.1.250.0.2026.1", status="Actual", kind="Alert", hours=24, areas=None,
          language="fr-FR", event="Vent violent"):
    areas = areas or [("Paris", "EMMA_ID", "FR433")]
    described = "".join(f"<area><areaDesc>{area}</areaDesc><geocode><valueName>{scheme}"
                        f"</valueName><value>{code}</value></geocode></area>"
                        for area, scheme, code in areas)

    def info(spoken, title):
        return f"""<info><language>{spoken}</language><category>Met</category>
      <event>{title}</event><urgency>Immediate</urgency><severity>Severe</severity>
      <certainty>Likely</certainty><onset>{later(1)}</onset><expires>{later(hours)}</expires>
      <headline>{title} &amp; more</headline><web>https://weather.example/</web>
      <parameter><valueName>awareness_type</valueName><value>1; Wind</value></parameter>
      {described}</info>"""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<alert xmlns="urn:oasis:names:tc:emergency:cap:1.2"><identifier>{name}</identifier>
  <sender>meteo@example</sender><sent>2026-05-01T10:00:00+02:00</sent><status>{status}</status>
  <msgType>{kind}</msgType><scope>Public</scope>{info(language, event)}
  {info("en-GB", "Storm")}</alert>"""


def feed(*alerts):
    entries = "".join(f"<entry><content type='text/xml'>{a.partition('?>')[2]}</content></entry>"
                      for a in alerts)
    return f"<feed xmlns='http://www.w3.org/2005/Atom'>{entries}</feed>"


def base(server):
    return f"http://127.0.0.1:{server.port}"


def run(*arguments, stdin="", code=0, key=""):
    done = subprocess.run([SCRIPT, *arguments], input=stdin, capture_output=True, text=True,
                          timeout=60, env={**os.environ, "SHOPBELL_KEY": key})
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done


@pytest.fixture
def known(tmp_path):
    path = tmp_path / "map.json"
    path.write_text(json.dumps(MAP))
    return ["--map", str(path)]


def test_an_alert_is_told_once_in_its_region(api, server, known):
    arguments = ["-", *known, "--url", base(server), "--language", "fr"]
    first = run(*arguments, stdin=alert(), key=api.key)
    again = run(*arguments, stdin=alert(), key=api.key)
    assert "1 events, 1 applied, 0 left out" in first.stderr
    assert "1 events, 1 duplicate, 0 left out" in again.stderr
    rows = api.get("/v1/universal-events")["data"]
    assert [(r["posted_id"], r["type"], r["selector"], r["occurred_at"]) for r in rows] == [
        ("2.49.0.1.250.0.2026.1", "weather.changed", {"regions": ["FR-75"]},
         "2026-05-01T08:00:00.000Z")]
    properties = rows[0]["properties"]
    assert (properties["condition"], properties["severity"], properties["headline"],
            properties["areas"], properties["regions"]) == \
        ("wind", "severe", "Vent violent & more", ["Paris"], ["FR-75"])
    assert rows[0]["expires_at"][:19] == properties["until"][:19]


def test_a_dry_run_shows_and_keeps_nothing(api, server, known):
    shown = run("-", *known, "--dry-run", stdin=alert())
    assert json.loads(shown.stdout)[0]["id"] == "2.49.0.1.250.0.2026.1"
    checked = run("-", *known, "--dry-run", "--url", base(server), stdin=alert(), key=api.key)
    assert "1 events, 1 valid" in checked.stderr
    assert api.get("/v1/universal-events")["data"] == []
    printed = run("-", *known, "--print", stdin=alert()).stdout
    done = server.command("universal", "post", "-", "--workspace", api.workspace, "--json",
                          stdin=printed)
    assert json.loads(done.stdout)["data"][0]["status"] == "applied"


def test_a_feed_leaves_out_what_concerns_nobody(known):
    done = run("-", *known, "--print", stdin=feed(
        alert("exercise", status="Exercise"), alert("over", kind="Cancel"), alert("old", hours=-1),
        alert("unknown", areas=[("Atlantis", "EMMA_ID", "XX001")]),
        alert("iso", areas=[("Berlin", "ISO3166-2", "DE-BE")]),
        alert("ugc", areas=[("Kings", "UGC", "NYZ075"), ("Hudson", "UGC", "NJZ006")]),
        alert("named", areas=[("Somewhere", "ZIP", "1"), ("Brest", "EMMA_ID", "FR999")]),
        alert("x" * 200)))
    events = json.loads(done.stdout)
    assert [(e["id"], e["selector"]) for e in events[:3]] == [
        ("iso", {"regions": ["DE-BE"]}), ("ugc", {"regions": ["US-NJ", "US-NY"]}),
        ("named", {"regions": ["FR-29", "FR-92"], "postal_prefixes": ["29"]})]
    assert len(events) == 4 and events[3]["id"].startswith("cap:")
    for name, why in (("exercise", "status"), ("over", "Cancel"), ("old", "expired"),
                      ("unknown", "Atlantis")):
        assert [line for line in done.stderr.splitlines() if f" {name}: " in line and why in line]


def test_a_feed_of_links_is_followed(api, server, known):
    class Weather(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = alert("linked") if self.path == "/a.xml" else \
                "<feed xmlns='http://www.w3.org/2005/Atom'><entry>" \
                "<link type='application/cap+xml' href='a.xml'/></entry></feed>"
            self.send_response(200 if self.path != "/away" else 503)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    weather = http.server.HTTPServer(("127.0.0.1", 0), Weather)
    threading.Thread(target=weather.serve_forever, daemon=True).start()
    try:
        place = f"http://127.0.0.1:{weather.server_port}"
        done = run(place + "/feed", *known, "--url", base(server), key=api.key)
        assert "1 applied" in done.stderr
        run(place + "/away", *known, "--print", code=75)
    finally:
        weather.shutdown()
        weather.server_close()


def test_what_is_wrong_is_said(server, known, tmp_path):
    assert "examples:" in run("--help").stdout
    run("-", code=2)
    run("-", "--url", base(server), code=2)
    assert "not XML" in run("-", "--print", stdin="<alert", code=1).stderr
    bomb = "<!DOCTYPE a [<!ENTITY b 'c'>]>" + alert().partition("?>")[2]
    assert "document type" in run("-", *known, "--print", stdin=bomb, code=1).stderr
    assert "neither" in run("-", "--print", stdin="<rss/>", code=1).stderr
    run(str(tmp_path / "none.xml"), "--print", code=1)
    refused = run("-", *known, "--url", base(server), stdin=alert(), key="sbk_no", code=1)
    assert "401" in refused.stderr
    run("-", *known, "--url", "http://127.0.0.1:9", stdin=alert(), key="x", code=75)
