"""What a Kubernetes API says instead of the object that was asked for, as Status bodies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kube_kinds import Kind

Thing = dict[str, Any]
UNKNOWN = "the server could not find the requested resource"
MODIFIED = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


class Answered(Exception):  # an answer of the API other than the object asked for
    """The API says no."""

    def __init__(
        self, code: int, reason: str, message: str, causes: Iterable[Thing] = (), **details: Any
    ) -> None:
        super().__init__(message)
        self.code = code
        told = {name: value for name, value in details.items() if value}
        if causes:
            told["causes"] = list(causes)
        self.body: Thing = {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "details": told, "code": code,
        }  # fmt: skip
        if not told and code in (400, 401, 410):
            del self.body["details"]
        if not reason:
            del self.body["reason"]


def not_found(kind: Kind, name: str) -> Answered:
    """Make the answer for an object that is not there."""
    return Answered(
        404, "NotFound", f'{kind.named} "{name}" not found',
        name=name, group=kind.group, kind=kind.plural,
    )  # fmt: skip


def taken(kind: Kind, name: str) -> Answered:
    """Make the answer for a name that an object has."""
    return Answered(
        409, "AlreadyExists", f'{kind.named} "{name}" already exists',
        name=name, group=kind.group, kind=kind.plural,
    )  # fmt: skip


def conflict(kind: Kind, name: str, why: str, called: str = "") -> Answered:
    """Make the answer for a change that does not fit what is there."""
    return Answered(
        409, "Conflict", f'Operation cannot be fulfilled on {called or kind.named} "{name}": {why}',
        name=name, group=kind.group, kind=called or kind.plural,
    )  # fmt: skip


def cause(field: str, message: str, reason: str = "FieldValueInvalid") -> Thing:
    """Make one of the causes of `invalid`."""
    return {"reason": reason, "message": message, "field": field}


def invalid(kind: Kind, name: str, causes: list[Thing]) -> Answered:
    """Make the answer for an object that breaks rules of its kind."""
    told = [f"{each['field']}: {each['message']}" for each in causes]
    text = told[0] if len(told) == 1 else f"[{', '.join(told)}]"
    called = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
    return Answered(
        422, "Invalid", f'{called} "{name}" is invalid: {text}', causes,
        name=name, group=kind.group, kind=kind.kind,
    )  # fmt: skip


def option(verb: str, field: str, told: str, among: str) -> Answered:
    """Make the answer for an option that there is not."""
    name = {"deletecollection": "Delete"}.get(verb, verb.capitalize()) + "Options"
    why = f"Unsupported value: {told}: supported values: {among}"
    return Answered(
        422, "Invalid", f'{name}.meta.k8s.io "" is invalid: {field}: {why}',
        [cause(field, why, "FieldValueNotSupported")], group="meta.k8s.io", kind=name,
    )  # fmt: skip


def bad(message: str) -> Answered:
    """Make the answer for a request that makes no sense."""
    return Answered(400, "BadRequest", message)


def forbidden(kind: Kind, name: str, why: str, causes: Iterable[Thing] = ()) -> Answered:
    """Make the answer of an admission that does not let an object in."""
    return Answered(
        403, "Forbidden", f'{kind.named} "{name}" is forbidden: {why}', causes,
        name=name, group=kind.group, kind=kind.plural,
    )  # fmt: skip


def expired(message: str) -> Answered:
    """Make the answer for a past that is no longer known."""
    return Answered(410, "Expired", message)
