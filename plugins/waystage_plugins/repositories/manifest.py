"""The file `manifest.yaml` of a model version: read strictly, written in one order."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from waystage.errors import Hopeless
from waystage.plugin import JsonObject, Snapshot

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
BOOKKEEPING = frozenset({"key", "registered"})


def read_manifest(path: Path) -> JsonObject:
    """Read a manifest; raises `Hopeless` with one line that names the file and the place."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        _check_events(raw)
        data = yaml.load(raw, Loader=_Loader)  # noqa: S506  # safe: it builds plain values alone
    except (yaml.YAMLError, ValueError, OSError) as error:
        raise Hopeless(f"{path}: {_one_line(error)}") from error
    if not isinstance(data, dict):
        raise Hopeless(f"{path}: is not a manifest; it holds `name: value` lines")
    for field in ("name", "version"):
        if isinstance(data.get(field), float):
            raise Hopeless(f'{path}: field {field}: write it in quotes, as in {field}: "1.10"')
        if isinstance(data.get(field), int) and not isinstance(data.get(field), bool):
            data[field] = str(data[field])
    _check_values(path, data)
    return data


def to_snapshot(path: Path, manifest: JsonObject) -> Snapshot:
    """Make a snapshot of a manifest that has digest and files; `path` is for the message."""
    fields = {key: value for key, value in manifest.items() if key not in BOOKKEEPING}
    try:
        return Snapshot.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        message = first["msg"]
        if first["type"] == "extra_forbidden":
            message = f"there is no such field; there are {', '.join(Snapshot.model_fields)}"
        if first["type"] == "string_type":
            message = "is not text; write it in quotes"
        raise Hopeless(f"{path}: field {place}: {message}") from error


def write_manifest(manifest: JsonObject) -> bytes:
    """Write a manifest as YAML with its fields in the given order."""
    text: str = yaml.dump(
        manifest, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None
    )
    return text.encode()


def merged(under: JsonObject, over: JsonObject) -> JsonObject:
    """Lay the fields of one manifest over another; maps such as `tags` are merged."""
    result = dict(under)
    for key, value in over.items():
        old = result.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        result[key] = {**old, **value} if both else value  # type: ignore[dict-item]  # both are maps
    return result


def _check_events(raw: bytes) -> None:
    """Refuse before anything is built what could exhaust the machine or hide a meaning."""
    if len(raw) > MAX_BYTES:
        raise ValueError(f"is larger than {MAX_BYTES // 1024} KiB")
    depth = 0
    for event in yaml.parse(raw, Loader=yaml.CSafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise ValueError(f"line {line}: has an anchor or alias")
        if getattr(event, "tag", None):
            raise ValueError(f"line {line}: has a tag; plain values need none")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ValueError(f"line {line}: is nested too deeply")


def _check_values(path: Path, manifest: JsonObject) -> None:
    for place, value in _leaves("", manifest):
        if isinstance(value, float) and not math.isfinite(value):
            raise Hopeless(f"{path}: field {place}: is not a finite number")
        if not isinstance(value, str | int | float | bool | None):
            raise Hopeless(f"{path}: field {place}: is not text, number, true, false or null")


def _leaves(place: str, value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                yield f"{place}{key}", object()
            yield from _leaves(f"{place}{key}.", inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _leaves(f"{place}{number}.", inner)
    else:
        yield place.rstrip("."), value


def _one_line(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return " ".join(str(error).split())


class _Loader(yaml.CSafeLoader):
    """The safe loader without dates, with YAML 1.2 booleans and without repeated keys."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    None, None, "a field's name is text", key.start_mark
                )
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"field {key.value} is there twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_text(self, text: str) -> yaml.ScalarNode:
        # only between double quotes are line breaks of all kinds kept apart from one another
        style = None if text.isprintable() else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _Dumper.represent_text)


# The core schema of YAML 1.2: `on` and `2026-01-05` are text, `010` is not eight.
_CORE = (
    ("bool", r"true|false", "tf"),
    ("null", r"~|null|", ("~", "n", "")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
)
_Loader.yaml_implicit_resolvers = {}
for _name, _pattern, _first in _CORE:
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(
            f"tag:yaml.org,2002:{_name}", re.compile(f"^(?:{_pattern})$"), list(_first)
        )
