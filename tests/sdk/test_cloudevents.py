"""The official CloudEvents SDK (npm cloudevents) reads what we send in its formats,
and finds it valid by the specification's schema.
"""

import json
import subprocess

import pytest
from shopbell import wait_for


@pytest.mark.parametrize("chosen", ["cloudevents", "cloudevents_binary"])
def test_the_sdk_reads_an_event(api, installed, esp, chosen):
    esp.subscribe(api, ["order.completed", "lifecycle.changed"], "ce", format=chosen)
    api.post("/v1/events", {"type": "order.completed", "identities": {"email": "j@example.com"},
                            "properties": {"order_id": "1", "total": 12.5, "currency": "EUR"}},
             expect=200)
    wait_for(lambda: len(esp.messages) == 2, 10)
    lines = [json.dumps({"headers": m[0], "body": m[1].decode()}) for m in esp.messages]
    done = subprocess.run(["node", "cloudevents.mjs"], cwd=installed, text=True, check=True,
                          input="\n".join(lines) + "\n", capture_output=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [a["ok"] for a in answers] == [True, True], answers
    events = {a["event"]["type"]: a["event"] for a in answers}
    assert set(events) == {"shopbell.order.completed", "shopbell.lifecycle.changed"}
    for (headers, _, _, _) in esp.messages:
        assert headers["webhook-id"] in {e["id"] for e in events.values()}
    for event in events.values():
        assert event["source"] == f"/workspaces/{api.workspace}"
        assert event["subject"] == event["data"]["profile"]["id"]
        assert event["specversion"] == "1.0" and int(event["sequence"]) >= 1
