"""An ESP with an API of its own: knows a key, remembers each call, answers as told."""

import json
import threading
import time

from shopbell import Answers, wait_for

# format -> (settings, key, how a call shows it, path of the events, path of the probe)
FORMATS = {
    "klaviyo": ({}, "pk_1234", ("authorization", "Klaviyo-API-Key pk_1234"),
                "/api/events", "/api/accounts"),
    "customerio": ({"site_id": "s1te"}, "k3y", ("authorization", "Basic czF0ZTprM3k="),
                   "/api/v2/entity", "/api/v1/accounts/region"),
    "braze": ({"cluster": "fra-02"}, "b-1", ("authorization", "Bearer b-1"),
              "/users/track", "/users/track"),
    "mailchimp": ({"data_center": "us6", "list": "a1b2c3d4e5"}, "m-us6",
                  ("authorization", "Basic c2hvcGJlbGw6bS11czY="),
                  "/3.0/lists/a1b2c3d4e5/members/", "/3.0/lists/a1b2c3d4e5?fields=id"),
    "brevo": ({}, "xkeysib-1", ("api-key", "xkeysib-1"), "/v3/events", "/v3/account"),
    "iterable": ({}, "it-1", ("api-key", "it-1"), "/api/events/track", "/api/lists"),
    "hubspot": ({"event": "pe1234567_shopbell"}, "pat-1", ("authorization", "Bearer pat-1"),
                "/events/v3/send", "/account-info/v3/details"),
}


class NativeEsp:
    """`answer`: a function of (path, headers, body) -> (status, headers, text), or None."""

    def __init__(self, name):
        self.name = name
        self.settings, self.key, self.shown, self.events_path, self.probe_path = FORMATS[name]
        self.calls = []  # (method, path, headers, parsed body or None, monotonic time)
        self.answer = None
        self.lock = threading.Lock()
        self.http = Answers(self.take)
        self.base_url = f"http://127.0.0.1:{self.http.port}"

    def take(self, method, path, headers, body):
        parsed = json.loads(body) if body else None
        with self.lock:
            self.calls.append((method, path, headers, parsed, time.monotonic()))
        name, value = self.shown
        if headers.get(name) != value:
            return 401, {}, b'{"error":"unknown key"}'
        if parsed == {"events": []}:
            return 400, {}, b'{"message":"nothing to do"}'
        return self.answer(path, headers, parsed) if self.answer else (202, {}, b"")

    def events(self):
        """(path, headers, body) of each event call, the probe left out."""
        with self.lock:
            return [(c[1], c[2], c[3]) for c in self.calls
                    if c[0] == "POST" and c[3] != {"events": []}]

    def wait_events(self, count, seconds=10):
        wait_for(lambda: len(self.events()) >= count, seconds, 0.01,
                 f"{count} events arrived; have {self.calls}")
        return self.events()

    def body(self, **more):
        settings = {**self.settings, "base_url": self.base_url, **more.pop("settings", {})}
        return {"name": self.name, "format": self.name, "auth": self.key, "settings": settings,
                "topics": ["order.completed"], **more}

    def subscribe(self, api, **more):
        made = api.post("/v1/subscriptions", self.body(**more), expect=201)
        api.post(f"/v1/subscriptions/{made['name']}/verify", expect=200)
        wait_for(lambda: api.get(f"/v1/subscriptions/{made['name']}")["status"] == "active", 5)
        return made

    def close(self):
        self.http.close()
