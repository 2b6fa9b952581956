"""Server-side apply as Kubernetes has it: who owns which field, conflicts, what is dropped.

Built from the API's documentation ("Server-Side Apply") and from what a kube-apiserver answered:
maps are merged, lists with keys are merged by them, sets have an owner for each value, all other
lists are one value. What is a map, a list with keys or a set, the schemas of the kinds tell.
"""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from typing import Any

from kube_schemas import inside, is_atomic, is_map, is_set, item, key_of, keys

Thing = dict[str, Any]
Path = tuple[str, ...]
Owner = tuple[str, str, str]  # manager, operation, subresource
BRANCH = object()  # the value of a map or an item, which is in the fields below it
EMPTY = object()  # that of a map with nothing in it
OUTSIDE = {
    ("f:apiVersion",), ("f:kind",), ("f:metadata",),
    *(("f:metadata", f"f:{name}") for name in (
        "name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp",
        "managedFields", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds")),
}  # fmt: skip


class FieldConflict(Exception):  # the word of the API
    """Others own fields that were applied with other values."""

    def __init__(self, causes: list[Thing]) -> None:
        named = ", ".join(f"{each['message']}: {each['field']}" for each in causes)
        one = len(causes) == 1
        super().__init__(f"Apply failed with {len(causes)} conflict{'' if one else 's'}: {named}")
        self.causes = causes


def fields(value: Any, schema: Thing | None, path: Path = ()) -> dict[Path, Any]:
    """Give every field that is set, by its path, with its value or `BRANCH`."""
    found: dict[Path, Any] = {}
    if isinstance(value, dict) and not is_atomic(schema):
        found[path] = BRANCH if value else EMPTY
        for name, below in value.items():
            found |= fields(below, inside(schema, name), (*path, f"f:{name}"))
    elif isinstance(value, list) and keys(schema):
        found |= {path: BRANCH} if value else {}
        for each in value:
            step = "k:" + _compact(key_of(each, keys(schema)))
            found |= fields(each, item(schema), (*path, step))
    elif isinstance(value, list) and is_set(schema):
        found |= {path: BRANCH} if value else {}
        found |= {(*path, "v:" + _compact(each)): each for each in value}
    else:
        found[path] = value
    return {each: v for each, v in found.items() if each and each not in OUTSIDE}


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def told(found: dict[Path, Any]) -> set[Path]:
    """Give the paths that applying owns: values, empty maps and items, not maps with fields."""
    return {
        path for path, value in found.items() if value is not BRANCH or path[-1].startswith("k:")
    }


def owners(thing: Thing) -> dict[Owner, set[Path]]:
    """Give the paths that each manager owns."""
    read: dict[Owner, set[Path]] = {}
    for entry in thing["metadata"].get("managedFields") or ():
        who = (entry["manager"], entry["operation"], entry.get("subresource", ""))
        read[who] = set(_paths(entry["fieldsV1"]))
    return read


def keep_owners(thing: Thing, owned: dict[Owner, set[Path]], version: str) -> None:
    """Write who owns what into an object, and since when that has not changed."""
    before, now = _times(thing), datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    entries = []
    for who, paths in owned.items():
        if not paths:
            continue
        entry = {"manager": who[0], "operation": who[1], "apiVersion": version,
                 "time": before.get((who, frozenset(paths)), now),
                 "fieldsType": "FieldsV1", "fieldsV1": _tree(paths)}  # fmt: skip
        entries.append(entry | ({"subresource": who[2]} if who[2] else {}))
    thing["metadata"].pop("managedFields", None)
    if entries:
        thing["metadata"]["managedFields"] = entries


def _times(thing: Thing) -> dict[tuple[Owner, frozenset[Path]], str]:
    read = {}
    for each in thing["metadata"].get("managedFields") or ():
        who = (each["manager"], each["operation"], each.get("subresource", ""))
        read[who, frozenset(_paths(each["fieldsV1"]))] = each["time"]
    return read


def apply(
    live: Thing | None, applied: Thing, who: Owner, schema: Thing | None, *, force: bool
) -> Thing:
    """Give what an object becomes; raises `FieldConflict`."""
    made = copy.deepcopy(live) if live else copy.deepcopy(applied)
    owned = owners(live) if live else {}
    values = fields(applied, schema)
    wanted, before = told(values), fields(live, schema) if live else {}
    causes = []
    for other, path in _claimed(owned, wanted, who):
        if _same(before.get(path), values[path]):
            continue
        causes.append(_conflict(other, applied["apiVersion"], path))
        if force:
            owned[other].discard(path)
    if causes and not force:
        raise FieldConflict(causes)
    dropped = owned.get(who, set()) - wanted
    others = set().union(*(paths for each, paths in owned.items() if each != who), set())
    for path in sorted(dropped - others, key=len):
        _remove(made, path, others)
    _merge(made, applied, schema)
    owned[who] = wanted
    keep_owners(made, owned, applied["apiVersion"])
    return made


def _claimed(
    owned: dict[Owner, set[Path]], wanted: set[Path], who: Owner
) -> list[tuple[Owner, Path]]:
    return [
        (other, path)
        for other, paths in owned.items() if other != who
        for path in sorted(paths & wanted)
    ]  # fmt: skip


def _same(before: Any, wanted: Any) -> bool:
    held = (BRANCH, EMPTY)
    if before in held or wanted in held:
        return before in held and wanted in held
    return bool(before == wanted)


def _conflict(other: Owner, version: str, path: Path) -> Thing:
    with_part = f' with subresource "{other[2]}"' if other[2] else ""
    using = f" using {version}" if other[1] == "Update" else ""
    return {"reason": "FieldManagerConflict", "field": written(path),
            "message": f'conflict with "{other[0]}"{with_part}{using}'}  # fmt: skip


def updated(
    live: Thing | None, made: Thing, manager: str, part: str, schema: Thing | None
) -> Thing:
    """Note in an object who changed what of it by other means than applying."""
    owned = owners(live) if live else {}
    before, after = (fields(live, schema) if live else {}), fields(made, schema)
    leaves = told(after)
    changed = {
        path for path, value in after.items()
        if (path not in before or not _same(before[path], value))
        and (path in leaves or _is_own(path, schema))
    }  # fmt: skip
    gone = set(before) - set(after)
    for paths in owned.values():
        paths.difference_update(changed | gone)
    if changed:
        owned.setdefault((manager, "Update", part), set()).update(changed)
    keep_owners(made, owned, made["apiVersion"])
    return made


def _is_own(path: Path, schema: Thing | None) -> bool:
    """Say whether what holds fields is one of its own: a map, a list, no mere struct."""
    above = schema
    for step in path:
        above, schema = schema, inside(schema, step[2:]) if step[0] == "f" else item(schema)
    is_list = bool(keys(schema)) or is_set(schema)  # one that must be there is never added
    always = path[-1][2:] in (above or {}).get("required", ())
    return schema is None or is_map(schema) or (is_list and not always)


def written(path: Path) -> str:
    """Write a path as error messages do."""
    return "".join(
        f".{step[2:]}" if step.startswith("f:") else f"[{_key(step)}]" for step in path
    )  # fmt: skip


def _key(step: str) -> str:
    read = json.loads(step[2:])
    if step.startswith("v:"):
        return f"={json.dumps(read)}"
    return ",".join(f"{k}={json.dumps(v)}" for k, v in read.items())


def _tree(paths: set[Path]) -> Thing:
    root: Thing = {}
    above = {path[:at] for path in paths for at in range(1, len(path))}
    for path in sorted(paths):
        at = root
        for step in path:
            at = at.setdefault(step, {})
        if path in above or path[-1].startswith("k:"):
            at["."] = {}
    return root


def _paths(tree: Thing, path: Path = ()) -> list[Path]:
    if not tree:
        return [path]
    own = [path] if "." in tree else []
    inner = ((step, below) for step, below in tree.items() if step != ".")
    return own + [each for step, below in inner for each in _paths(below, (*path, step))]


def _remove(thing: Any, path: Path, kept: set[Path], full: Path = ()) -> None:
    """Take a field away; an item or a map stays while others own something in it."""
    step, rest, full = path[0], path[1:], full or path
    if step.startswith("v:"):
        if json.loads(step[2:]) in thing:
            thing.remove(json.loads(step[2:]))
    elif step.startswith("k:"):
        key = json.loads(step[2:])
        for each in [e for e in thing if key_of(e, tuple(key)) == key]:
            if rest and rest[0][2:] not in key:
                _remove(each, rest, kept, full)
            elif not rest and not any(path[: len(full)] == full for path in kept):
                thing.remove(each)
    elif isinstance(thing, dict) and step[2:] in thing:
        if rest:
            _remove(thing[step[2:]], rest, kept, full)
            if thing[step[2:]] in ({}, []) and len(rest) == 1:
                del thing[step[2:]]
        elif not any(path[: len(full)] == full for path in kept):
            del thing[step[2:]]


def _merge(live: Thing, applied: Thing, schema: Thing | None) -> None:
    for name, value in applied.items():
        there, below = live.get(name), inside(schema, name)
        if isinstance(value, dict) and isinstance(there, dict) and not is_atomic(below):
            _merge(there, value, below)
        elif isinstance(value, list) and isinstance(there, list) and keys(below):
            _merge_list(there, value, below)
        elif isinstance(value, list) and isinstance(there, list) and is_set(below):
            there += [each for each in value if each not in there]
        else:
            live[name] = copy.deepcopy(value)


def _merge_list(live: list[Any], applied: list[Any], schema: Thing | None) -> None:
    for each in applied:
        key = key_of(each, keys(schema))
        same = [one for one in live if key_of(one, keys(schema)) == key]
        if same:
            _merge(same[0], each, item(schema))
        else:
            live.append(copy.deepcopy(each))
