"""The names that expressions may use, and their types."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from waystage.check.subject import Catalog, Subject
from waystage.expressions import Scope, Type, type_from_json_schema
from waystage.expressions.types import DYN, STRING, TIMESTAMP, object_of
from waystage.plugin import Snapshot
from waystage.spec.lifecycle import FieldSpec, Task

TEXT = {"type": "string"}
NUMBER = {"type": "number"}
COUNTS = {"type": "object", "additionalProperties": {"type": "integer"}}
MONITOR: dict[str, Any] = {
    "type": "object",
    "properties": dict.fromkeys(("value", "low", "high"), NUMBER)
    | dict.fromkeys(("verdict", "reason", "method", "insufficient"), TEXT)
    | {"counts": COUNTS, "notes": {}, "noise": NUMBER, "stale": {"type": "boolean"}},
    "additionalProperties": False,
}


EVENT = {"name": STRING, "actor": STRING, "payload": DYN}
RUN = {"id": STRING, "lifecycle": STRING, "starter": STRING}
ANSWER = ("outcome", "by", "comment", "at")  # of a task, besides `people` and `form`


def scope_of(subject: Subject) -> Scope:
    """Give the types of all names in the lifecycle's states."""
    spec = subject.spec
    steps: dict[str, Type] = {}
    for place in subject.places:
        if place.spec.call:
            steps[place.name] = DYN
        for step in place.spec.steps or ():
            if step.id:
                steps[step.id] = _output(subject.catalog, step.use)
    tasks = {p.name: _task(p.spec.task) for p in subject.places if p.spec.task}
    monitor = type_from_json_schema(MONITOR)
    names = {
        "params": _fields(spec.params),
        "data": _fields(spec.data),
        "stage": STRING,
        "steps": object_of(steps),
        "tasks": object_of(tasks),
        "monitors": object_of(dict.fromkeys(spec.monitors, monitor)),
        "event": object_of(EVENT),
        "run": object_of(RUN),
        "now": TIMESTAMP,
    }
    return Scope(names | dict(start_scope().names))


@lru_cache(maxsize=1)
def start_scope() -> Scope:
    """Give the names that are known before there is a run."""
    return Scope({"snapshot": type_from_json_schema(Snapshot.model_json_schema()),
                  "service": STRING})  # fmt: skip


def field_type(field: FieldSpec) -> Type:
    """Give the type of a parameter, a variable or a field of a form."""
    return type_from_json_schema(field.json_schema())


def _fields(fields: Mapping[str, FieldSpec]) -> Type:
    return object_of({name: field_type(field) for name, field in fields.items()})


def _task(task: Task) -> Type:
    texts: dict[str, Any] = dict.fromkeys(ANSWER, TEXT)
    people = {"type": "array", "items": TEXT}
    plain = type_from_json_schema({"type": "object", "properties": texts | {"people": people}})
    return object_of({**dict(plain.fields), "form": _fields(task.form)})


def _output(catalog: Catalog, use: str) -> Type:
    output = getattr(catalog.get(use), "Output", None)
    return DYN if output is None else _schema_type(output)


@lru_cache(maxsize=512)
def _schema_type(model: Any) -> Type:
    found = type_from_json_schema(model.model_json_schema())
    # a step that declares nothing about its output may answer anything
    return found if found.fields else DYN
