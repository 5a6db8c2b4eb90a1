"""Reads {"esp": [body, ...]} and says what the vendors' own models find wrong:
{"esp": [[fault, ...], ...]}. Run with the packages of requirements.txt on the path.

A model that ignores what it does not know would take anything, so each also has to
give back what it was given, or to know every member's name.
"""

import importlib.util
import json
import os
import sys
from datetime import datetime

import pydantic


def unknown(body, known, where=""):
    return [f"{where}{name}: not in the vendor's model" for name in body if name not in known]


def strictly(kind, value, where):
    try:
        pydantic.TypeAdapter(kind).validate_python(value, strict=True)
        return []
    except pydantic.ValidationError as error:
        return [f"{where}: {e['loc']} {e['msg']} ({e['input']!r})" for e in error.errors()]


def klaviyo(body):
    from openapi_client.models.event_create_query_v2 import EventCreateQueryV2
    back = json.loads(EventCreateQueryV2.from_dict(body).model_dump_json(
        by_alias=True, exclude_none=True))
    attributes, was = back["data"]["attributes"], body["data"]["attributes"]
    assert datetime.fromisoformat(attributes.pop("time")) == datetime.fromisoformat(was["time"])
    assert attributes.pop("backfill", False) is False
    faults = unknown(was, {*attributes, "time"})
    return faults + [f"{name}: came back as {attributes[name]!r}" for name in attributes
                     if attributes[name] != was.get(name)]


def customerio(body):
    folder = next(p for p in sys.path if os.path.exists(os.path.join(p, "_validators.py")))
    spec = importlib.util.spec_from_file_location("cio", os.path.join(folder, "_models.py"))
    models = importlib.util.module_from_spec(spec)
    sys.modules["cio"] = models
    spec.loader.exec_module(models)
    models.PersonEvent.model_rebuild()
    models.PersonEvent.model_validate(body)
    known = {field.validation_alias or name
             for name, field in models.PersonEvent.model_fields.items()}
    faults = unknown(body, known)
    if len(body["identifiers"]) != 1:
        faults.append("identifiers: one, says the vendor")
    return faults


def brevo(body):
    from brevo.event.types.create_event_request_event_properties_value import \
        CreateEventRequestEventPropertiesValue as Value
    from brevo.event.types.create_event_request_identifiers import \
        CreateEventRequestIdentifiers as Identifiers
    faults = unknown(body, {"event_name", "event_date", "identifiers", "event_properties",
                            "contact_properties", "object"})
    faults += unknown(body["identifiers"], Identifiers.model_fields, "identifiers.")
    faults += strictly(str, body["event_name"], "event_name")
    faults += strictly(dict[str, Value], body["event_properties"], "event_properties")
    for name, value in body["identifiers"].items():
        faults += strictly(Identifiers.model_fields[name].annotation, value, name)
    datetime.fromisoformat(body["event_date"])
    if not body["event_name"].replace("-", "").replace("_", "").isascii() or \
            len(body["event_name"]) > 255:
        faults.append("event_name: alphanumeric, dashes and underscores")
    return faults


def hubspot(body):
    from hubspot_sdk.types.events.send_send_params import SendSendParams
    names = {}
    for name, kind in SendSendParams.__annotations__.items():
        text = str(kind)
        alias = text.split("alias='")[1].split("'")[0] if "alias='" in text else name
        names[alias] = name
    faults = unknown(body, names)
    faults += strictly(dict[str, str], body["properties"], "properties")
    for name in ("eventName", "email", "uuid", "occurredAt"):
        faults += strictly(str, body[name], name)
    datetime.fromisoformat(body["occurredAt"])
    # Its guide's limits: exceeding one fails the request.
    if len(body["properties"]) > 50:
        faults.append("properties: more than 50")
    for name, value in body["properties"].items():
        if len(name) > 50 or not name[0].islower() or name != name.lower() or len(value) > 256:
            faults.append(f"properties.{name}: 50 characters, lower case; values of 256")
    return faults


def judge(check, body):
    try:
        return check(body)
    except Exception as error:  # what a model throws is what it finds wrong
        return [f"{type(error).__name__}: {error}"]


CHECKS = {"klaviyo": klaviyo, "customerio": customerio, "brevo": brevo, "hubspot": hubspot}

if __name__ == "__main__":
    asked = json.load(sys.stdin)
    json.dump({esp: [judge(CHECKS[esp], body) for body in bodies]
               for esp, bodies in asked.items()}, sys.stdout)
