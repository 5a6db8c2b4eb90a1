"""What a subscription may say of its messages, and what is said of bad ones (contract 9)."""

import pytest

BASE = {"name": "mailhouse", "url": "http://127.0.0.1:9999/hook", "topics": ["order.*"]}

BAD = [
    # what is given, where the fault points, words of the detail
    ({"fields": "defualt"}, "#/fields", 'did you mean "default"?'),
    ({"fields": []}, "#/fields", "at least one"),
    ({"fields": 7}, "#/fields", "string"),
    ({"format": "clavio"}, "#/format", "klaviyo"),
    ({"channel": "emial"}, "#/channel", 'did you mean "email"?'),
    ({"ordering": "customer"}, "#/ordering", "none, profile"),
    ({"batch": 100}, "#/batch", "object"),
    ({"batch": {"wait": "2s"}}, "#/batch/max", "needed"),
    ({"batch": {"max": 1}}, "#/batch/max", "from 2 to 1000"),
    ({"batch": {"max": 10, "wait": "2d"}}, "#/batch/wait", "between 1s and 1d"),
    ({"batch": {"max": 10, "weit": "2s"}}, "#/batch/weit", 'did you mean "wait"?'),
    ({"rate_limit": {"count": 0}}, "#/rate_limit/count", "from 1 to 100000"),
    ({"rate_limit": {"per": "1s"}}, "#/rate_limit/count", "needed"),
    ({"recheck": "yes"}, "#/recheck", "true or false"),
    ({"signature": []}, "#/signature", "both"),
    ({"signature": ["v1", "v1"]}, "#/signature", "both"),
    ({"signature": ["v2"]}, "#/signature", "v1"),
    ({"map": []}, "#/map", "object"),
    ({"filter": 1}, "#/filter", "string"),
    ({"filtre": "true"}, "#/filtre", 'did you mean "filter"?'),
]


@pytest.mark.parametrize("more, pointer, words", BAD, ids=[str(b[0]) for b in BAD])
def test_a_fault_says_where_and_what(api, more, pointer, words):
    problem = api.post("/v1/subscriptions", {**BASE, **more}, expect=422)
    assert problem["errors"][0]["pointer"] == pointer, problem
    assert words in problem["detail"], problem


def test_what_is_not_said_is_neutral(api):
    made = api.post("/v1/subscriptions", BASE, expect=201)
    shown = api.get("/v1/subscriptions/mailhouse")
    for answer in (made, shown):
        assert {name: answer[name] for name in (
            "filter", "fields", "format", "map", "settings", "channel", "ordering", "batch",
            "rate_limit", "recheck", "signature", "masked")} == {
                "filter": None, "fields": "default", "format": "shopbell", "map": {},
                "settings": {}, "channel": None, "ordering": "none", "batch": None,
                "rate_limit": None, "recheck": False, "signature": ["v1"], "masked": False}
