"""Server-side apply as Kubernetes has it: who owns which field, conflicts, what is dropped.

Built from the API's documentation ("Server-Side Apply") and from what a kube-apiserver answered:
maps are merged, lists with a key are merged by it, all other lists are one value.
"""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from typing import Any

Thing = dict[str, Any]
Path = tuple[str, ...]
# the key of a list, by the list's name and the one above it
KEYS: dict[tuple[str, str], tuple[str, ...]] = {
    ("spec", "containers"): ("name",),
    ("spec", "volumes"): ("name",),
    ("spec", "imagePullSecrets"): ("name",),
    ("[]", "ports"): ("containerPort", "protocol"),
    ("spec", "ports"): ("port", "protocol"),
    ("[]", "env"): ("name",),
    ("[]", "volumeMounts"): ("mountPath",),
}
OUTSIDE = {
    ("f:apiVersion",), ("f:kind",), ("f:metadata", "f:name"), ("f:metadata", "f:namespace"),
    ("f:metadata", "f:uid"), ("f:metadata", "f:resourceVersion"), ("f:metadata", "f:generation"),
    ("f:metadata", "f:creationTimestamp"), ("f:metadata", "f:managedFields"),
}  # fmt: skip


class FieldConflict(Exception):  # the word of the API
    """Others own fields that were applied with other values."""

    def __init__(self, causes: list[Thing]) -> None:
        super().__init__(f"Apply failed with {len(causes)} conflict(s)")
        self.causes = causes


def fields(value: Any, path: Path = (), names: tuple[str, str] = ("", "")) -> dict[Path, Any]:
    """Give every field that is set, by its path, with its value."""
    found: dict[Path, Any] = {}
    if isinstance(value, dict) and (value or not path):
        for name, inside in value.items():
            found |= fields(inside, (*path, f"f:{name}"), (names[1], name))
    elif isinstance(value, list) and names in KEYS:
        for each in value:
            step = "k:" + json.dumps({k: each.get(k) for k in KEYS[names]}, separators=(",", ":"))
            for name, inside in each.items():
                found |= fields(inside, (*path, step, f"f:{name}"), ("[]", name))
    else:
        found[path] = value
    return {each: v for each, v in found.items() if each not in OUTSIDE}


def owners(thing: Thing) -> dict[tuple[str, str], set[Path]]:
    """Give the paths that each manager owns, by manager and operation."""
    read: dict[tuple[str, str], set[Path]] = {}
    for entry in thing["metadata"].get("managedFields", ()):
        read[entry["manager"], entry["operation"]] = set(_paths(entry["fieldsV1"]))
    return read


def keep_owners(thing: Thing, owned: dict[tuple[str, str], set[Path]], version: str) -> None:
    """Write who owns what into an object, and since when that has not changed."""
    before, now = _times(thing), datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    thing["metadata"]["managedFields"] = [
        {"manager": manager, "operation": operation, "apiVersion": version,
         "time": before.get((manager, operation, frozenset(paths)), now),
         "fieldsType": "FieldsV1", "fieldsV1": _tree(paths)}
        for (manager, operation), paths in owned.items() if paths
    ]  # fmt: skip


def _times(thing: Thing) -> dict[tuple[str, str, frozenset[Path]], str]:
    return {
        (each["manager"], each["operation"], frozenset(_paths(each["fieldsV1"]))): each["time"]
        for each in thing["metadata"].get("managedFields", ())
    }


def apply(live: Thing | None, applied: Thing, manager: str, *, force: bool) -> Thing:
    """Give what an object becomes; raises `FieldConflict`."""
    made = copy.deepcopy(live) if live else copy.deepcopy(applied)
    owned, wanted = (owners(live) if live else {}), fields(applied)
    before = fields(live) if live else {}
    mine = (manager, "Apply")
    causes = []
    for other, paths in owned.items():
        for path in sorted(paths & set(wanted)) if other != mine else ():
            if before.get(path) == wanted[path]:
                continue
            told = f'conflict with "{other[0]}" using {applied["apiVersion"]}'
            causes.append(
                {"reason": "FieldManagerConflict", "message": told, "field": written(path)}
            )
            if force:
                paths.discard(path)
    if causes and not force:
        raise FieldConflict(causes)
    dropped = owned.get(mine, set()) - set(wanted)
    others = set().union(*(paths for who, paths in owned.items() if who != mine), set())
    for path in dropped - others:
        _remove(made, path)
    _merge(made, applied)
    owned[mine] = set(wanted)
    keep_owners(made, owned, applied["apiVersion"])
    return made


def updated(live: Thing | None, made: Thing, manager: str) -> Thing:
    """Note in an object who changed what of it by other means than applying."""
    owned = owners(live) if live else {}
    before, after = (fields(live) if live else {}), fields(made)
    changed = {path for path in after if before.get(path, ...) != after[path]}
    gone = set(before) - set(after)
    for paths in owned.values():
        paths.difference_update(changed | gone)
    if changed:
        owned.setdefault((manager, "Update"), set()).update(changed)
    keep_owners(made, owned, made["apiVersion"])
    return made


def written(path: Path) -> str:
    """Write a path as error messages do."""
    return "".join(
        f".{step[2:]}" if step.startswith("f:") else f"[{_key(step)}]" for step in path
    )  # fmt: skip


def _key(step: str) -> str:
    return ",".join(f"{k}={json.dumps(v)}" for k, v in json.loads(step[2:]).items())


def _tree(paths: set[Path]) -> Thing:
    root: Thing = {}
    for path in sorted(paths):
        at = root
        for step in path:
            at = at.setdefault(step, {".": {}} if step.startswith("k:") else {})
    return root


def _paths(tree: Thing, path: Path = ()) -> list[Path]:
    inside = {step: below for step, below in tree.items() if step != "."}
    if not inside:
        return [path]
    return [each for step, below in inside.items() for each in _paths(below, (*path, step))]


def _remove(thing: Any, path: Path) -> None:
    step, rest = path[0], path[1:]
    if step.startswith("k:"):
        key = json.loads(step[2:])
        for each in [e for e in thing if all(e.get(k) == v for k, v in key.items())]:
            _remove(each, rest)
            if set(each) <= set(key):
                thing.remove(each)
    elif isinstance(thing, dict) and step[2:] in thing:
        if not rest:
            del thing[step[2:]]
        else:
            _remove(thing[step[2:]], rest)


def _merge(live: Thing, applied: Thing, above: str = "") -> None:
    for name, value in applied.items():
        there = live.get(name)
        if isinstance(value, dict) and isinstance(there, dict):
            _merge(there, value, name)
        elif isinstance(value, list) and isinstance(there, list) and (above, name) in KEYS:
            _merge_list(there, value, KEYS[above, name])
        else:
            live[name] = copy.deepcopy(value)


def _merge_list(live: list[Any], applied: list[Any], keys: tuple[str, ...]) -> None:
    for each in applied:
        same = [one for one in live if all(one.get(k) == each.get(k) for k in keys)]
        if same:
            _merge(same[0], each, "[]")
        else:
            live.append(copy.deepcopy(each))
