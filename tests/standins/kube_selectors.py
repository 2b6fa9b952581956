"""Selectors of labels and of fields, as lists and watches of a Kubernetes API take them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from kube_answers import bad

Thing = dict[str, Any]
Test = Callable[[Thing], bool]
IN = re.compile(r"(\S+)\s+(in|notin)\s+\(([^()]*)\)")
EQUAL = re.compile(r"([^\s=!]+)\s*(==|=|!=)\s*(\S*)")
NUMBER = re.compile(r"([^\s<>]+)\s*([<>])\s*(-?\d+)")
EXISTS = re.compile(r"(!?)\s*([\w./-]+)")
FIELDS = {  # besides name and namespace
    "Pod": {"spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
            "status.phase", "status.podIP"},
    "Event": {"involvedObject.kind", "involvedObject.namespace", "involvedObject.name",
              "involvedObject.uid", "involvedObject.apiVersion", "involvedObject.fieldPath",
              "involvedObject.resourceVersion", "reason", "reportingComponent", "source", "type"},
    "Namespace": {"status.phase"}, "Secret": {"type"}, "Job": {"status.successful"},
    "ReplicaSet": {"status.replicas"}, "Node": {"spec.unschedulable"},
}  # fmt: skip


def by_labels(text: str) -> Test:
    """Make a test of an object's labels; raises 400."""
    terms = [_term(each.strip()) for each in _split(text) if each.strip()]
    return lambda thing: all(
        term(thing.get("metadata", {}).get("labels") or {}) for term in terms
    )  # fmt: skip


def _split(text: str) -> list[str]:
    return re.split(r",(?![^()]*\))", text)


def _term(text: str) -> Test:
    if found := IN.fullmatch(text):
        name, among = found[1], {each.strip() for each in found[3].split(",")}
        if found[2] == "in":
            return lambda labels: labels.get(name) in among
        return lambda labels: labels.get(name) not in among
    if found := EQUAL.fullmatch(text):
        name, sign, value = found.groups()
        return lambda labels: (labels.get(name) == value) is (sign != "!=")
    if found := NUMBER.fullmatch(text):
        return _compared(*found.groups())
    if found := EXISTS.fullmatch(text):
        absent, name = found.groups()
        return lambda labels: (name in labels) is not bool(absent)
    raise bad(f"unable to parse requirement: {text}")


def _compared(name: str, sign: str, number: str) -> Test:
    def test(labels: Thing) -> bool:
        value = str(labels.get(name, ""))
        if not re.fullmatch(r"-?\d+", value):
            return False
        return int(value) > int(number) if sign == ">" else int(value) < int(number)

    return test


def by_fields(text: str, kind: str) -> Test:
    """Make a test of an object's fields, of those that can be asked for; raises 400."""
    terms = []
    for each in filter(None, (part.strip() for part in text.split(","))):
        found = EQUAL.fullmatch(each)
        if not found:
            raise bad(f"invalid selector: '{each}'; can't understand '{each}'")
        name, sign, value = found.groups()
        if name not in FIELDS.get(kind, set()) | {"metadata.name", "metadata.namespace"}:
            raise bad(
                f"field label not supported: {name}" if kind in FIELDS else
                f'"{name}" is not a known field selector: only "metadata.name", '
                '"metadata.namespace"'
            )  # fmt: skip
        terms.append((name, sign != "!=", value))
    return lambda thing: all(
        (_at(thing, name) == value) is wanted for name, wanted, value in terms
    )  # fmt: skip


def _at(thing: Thing, path: str) -> str:
    value: Any = thing
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    if path == "source" and isinstance(value, dict):
        value = value.get("component")
    return "" if value is None else str(value)


def matches(selector: Thing | None, labels: Thing) -> bool:
    """Say whether labels are what a `LabelSelector` asks for; an empty one takes all."""
    wanted = (selector or {}).get("matchLabels") or {}
    if any(labels.get(name) != value for name, value in wanted.items()):
        return False
    return all(_meets(each, labels) for each in (selector or {}).get("matchExpressions") or ())


def _meets(rule: Thing, labels: Thing) -> bool:
    name, values = rule["key"], rule.get("values") or ()
    tests = {
        "In": labels.get(name) in values, "NotIn": labels.get(name) not in values,
        "Exists": name in labels, "DoesNotExist": name not in labels,
    }  # fmt: skip
    return tests[rule["operator"]]
