"""Objects of Kubernetes that come as protocol buffers, as the JSON that they stand for.

An object comes as four bytes and a message `Unknown`, which tells the kind and holds the object
itself; `kube_messages` has the fields of the kinds that are understood.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

from kube_answers import Answered, bad
from kube_messages import MESSAGES, ROOTS, Field

from waystage_plugins.steps.protobuf import NotProtobuf, fields, text

Thing = dict[str, Any]
MAGIC = b"k8s\0"
NOTHING = memoryview(b"")
UNREAD = "Status"  # what a server says of an object: nobody who makes one is believed


class Unfamiliar(Exception):  # it may be fine, only not for this stand-in
    """The object is of a kind, or has a field, that is not known here."""


def json_of(raw: bytes) -> bytes:
    """Give the JSON of an object; raises `Answered` with 400 if it is broken, else with 415."""
    called = "the object provided is unrecognized"
    try:
        if not raw.startswith(MAGIC):
            raise NotProtobuf(f"it does not begin with {list(MAGIC)}, as protobuf does here")
        held = dict(fields(memoryview(raw)[len(MAGIC) :]))
        told = message("TypeMeta", _bytes(held.get(1, NOTHING), "typeMeta"))
        kind, version = told.get("kind", ""), told.get("apiVersion", "")
        if not kind:
            raise NotProtobuf("it does not tell its kind")
        if ROOTS.get(kind) != version:
            raise Unfamiliar(f"kind {kind!r} of {version!r}")
        called = f'{kind} in version "{version.rpartition("/")[2]}" cannot be handled as a {kind}'
        made = message(kind, _bytes(held.get(2, NOTHING), "raw"))
        return json.dumps({"apiVersion": version, "kind": kind} | made).encode()
    except NotProtobuf as error:
        raise bad(f"{called}: {error}") from None
    except Unfamiliar as error:
        raise Answered(
            415, "UnsupportedMediaType",
            f"the stand-in reads no protobuf of {error}; kube_messages.py has what it reads, and "
            "application/json is always understood",
        ) from None  # fmt: skip


def message(name: str, view: memoryview) -> Thing:
    """Give what is told in a message; raises `NotProtobuf` or `Unfamiliar`."""
    made: Thing = {}
    for number, value in fields(view) if name != UNREAD else ():
        field = MESSAGES[name].get(number)
        if field is None:
            raise Unfamiliar(f"field {number} of {name}")
        if field.many == "{":
            made.setdefault(field.name, {}).update([_entry(value, field)])
        elif field.many == "[":
            made.setdefault(field.name, []).append(_value(value, field))
        else:
            read = _value(value, field)
            if not field.name:
                made |= read
            elif read or field.told:
                made[field.name] = read
    return made


def _entry(value: int | memoryview, field: Field) -> tuple[str, Any]:
    parts = dict(fields(_bytes(value, field.name)))
    key = text(_bytes(parts.get(1, NOTHING), field.name))
    return key, _value(parts.get(2, NOTHING), field)


def _value(value: int | memoryview, field: Field) -> Any:
    if field.of in ("int", "bool"):
        if not isinstance(value, int):
            raise NotProtobuf(f"{field.name} is no number")
        return bool(value) if field.of == "bool" else value - (value >> 63 << 64)
    view = _bytes(value, field.name or field.of)
    if not field.of:
        return text(view)
    if field.of == "bytes":
        return base64.b64encode(view).decode()
    made = message(field.of, view)
    return UNWRAPPED[field.of](made) if field.of in UNWRAPPED else made


def _bytes(value: int | memoryview, called: str) -> memoryview:
    if isinstance(value, int):
        raise NotProtobuf(f"{called} is a number")
    return value


def _time(told: Thing) -> str:
    """Write an instant in whole seconds, as the API does; empty if there is none."""
    if not told:
        return ""
    try:
        return f"{datetime.fromtimestamp(told.get('seconds', 0), UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError, OSError) as error:
        raise NotProtobuf(f"no instant: {error}") from None


UNWRAPPED = {  # messages that are one value in JSON
    "Time": _time,
    "Quantity": lambda told: told.get("string", ""),
    "IntOrString": lambda told: told.get("strVal" if told.get("type") else "intVal", 0),
}
