"""The three patches of a Kubernetes API: JSON Patch, JSON Merge Patch, strategic merge.

From RFC 6902, RFC 7386, and Kubernetes' paper on strategic merge patch: lists with a merge key
are merged by it, `$patch`, `$setElementOrder`, `$deleteFromPrimitiveList` and `$retainKeys` say
what else is to be done.
"""

from __future__ import annotations

import copy
from typing import Any

from kube_answers import Answered, bad
from kube_schemas import inside, item

Thing = dict[str, Any]
REJECTED = "the server rejected our request due to an error in our request"


def json_patch(thing: Thing, patch: Any) -> Thing:
    """Give what a JSON Patch makes of an object; raises 400 or 422."""
    if not isinstance(patch, list):
        raise bad("json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    made = copy.deepcopy(thing)
    for each in patch:
        try:
            made = _step(made, each)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise Answered(422, "Invalid", REJECTED) from error
    return made


def _step(thing: Any, step: Thing) -> Any:
    op, path = step["op"], _pointer(step["path"])
    if op in ("move", "copy"):
        value = copy.deepcopy(_at(thing, _pointer(step["from"])))
        if op == "move":
            _remove(thing, _pointer(step["from"]))
        return _add(thing, path, value)
    if op == "test":
        if _at(thing, path) != step["value"]:
            raise ValueError("the test failed")
        return thing
    if op == "remove":
        return _remove(thing, path)
    if op == "replace":
        _at(thing, path)
        return _add(thing, path, step["value"], put=True)
    if op != "add":
        raise ValueError(op)
    return _add(thing, path, step["value"])


def _pointer(text: str) -> list[str]:
    if text and not text.startswith("/"):
        raise ValueError(text)
    return [each.replace("~1", "/").replace("~0", "~") for each in text.split("/")[1:]]


def _at(thing: Any, path: list[str]) -> Any:
    for step in path:
        thing = thing[_index(thing, step)] if isinstance(thing, list) else thing[step]
    return thing


def _index(rows: list[Any], step: str) -> int:
    at = int(step)
    if not 0 <= at < len(rows):
        raise IndexError(step)
    return at


def _add(thing: Any, path: list[str], value: Any, *, put: bool = False) -> Any:
    if not path:
        return value
    into = _at(thing, path[:-1])
    if not isinstance(into, list):
        into[path[-1]] = value
    elif put:
        into[_index(into, path[-1])] = value
    else:
        at = len(into) if path[-1] == "-" else int(path[-1])
        if not 0 <= at <= len(into):
            raise IndexError(path[-1])
        into.insert(at, value)
    return thing


def _remove(thing: Any, path: list[str]) -> Any:
    out_of = _at(thing, path[:-1])
    del out_of[_index(out_of, path[-1]) if isinstance(out_of, list) else path[-1]]
    return thing


def merge_patch(thing: Any, patch: Any) -> Any:
    """Give what a JSON Merge Patch makes of a value."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    made = dict(thing) if isinstance(thing, dict) else {}
    for name, value in patch.items():
        if value is None:
            made.pop(name, None)
        else:
            made[name] = merge_patch(made.get(name), value)
    return copy.deepcopy(made)


def strategic(thing: Any, patch: Thing, schema: Thing | None) -> Thing:
    """Give what a strategic merge patch makes of an object."""
    order = patch.get("$patch")
    if order == "replace":
        return {name: copy.deepcopy(v) for name, v in patch.items() if name != "$patch"}
    if order == "delete":
        return {}
    made = copy.deepcopy(thing) if isinstance(thing, dict) else {}
    if "$retainKeys" in patch:
        made = {name: v for name, v in made.items() if name in patch["$retainKeys"]}
    for name, value in patch.items():
        if name.startswith("$deleteFromPrimitiveList/"):
            field = name.partition("/")[2]
            made[field] = [each for each in made.get(field, ()) if each not in value]
    for name, value in patch.items():
        if not name.startswith("$"):
            _field(made, name, value, inside(schema, name))
    for name, value in patch.items():
        if name.startswith("$setElementOrder/"):
            field = name.partition("/")[2]
            _sort(made, field, value, (inside(schema, field) or {}))
    return made


def _field(made: Thing, name: str, value: Any, schema: Thing | None) -> None:
    if value is None:
        made.pop(name, None)
    elif isinstance(value, dict):
        made[name] = strategic(made.get(name), value, schema)
    elif isinstance(value, list):
        made[name] = _list(made.get(name), value, schema or {})
    else:
        made[name] = value


def _list(live: Any, patch: list[Any], schema: Thing) -> list[Any]:
    merged = "merge" in schema.get("x-kubernetes-patch-strategy", "")
    key = schema.get("x-kubernetes-patch-merge-key")
    replaced = any(isinstance(each, dict) and each.get("$patch") == "replace" for each in patch)
    kept = [each for each in patch if not _is_order(each, key)]
    if not merged or replaced:
        return copy.deepcopy(kept)
    made = copy.deepcopy(live) if isinstance(live, list) else []
    if not key:
        return made + [each for each in kept if each not in made]
    for each in patch:
        if key not in each:
            if each.get("$patch") == "replace":
                continue
            raise Answered(
                500, "InternalError", f"map: {each} does not contain declared merge key: {key}"
            )
        _into(made, each, key, item(schema))
    return made


def _is_order(each: Any, key: str | None) -> bool:
    return isinstance(each, dict) and "$patch" in each and key not in each


def _into(made: list[Any], each: Thing, key: str, schema: Thing | None) -> None:
    same = [at for at, one in enumerate(made) if one.get(key) == each[key]]
    if each.get("$patch") == "delete":
        for at in reversed(same):
            del made[at]
    elif same:
        made[same[0]] = strategic(made[same[0]], each, schema)
    else:
        made.append(strategic({}, each, schema))


def _sort(made: Thing, field: str, order: list[Any], schema: Thing) -> None:
    key = schema.get("x-kubernetes-patch-merge-key")
    wanted = [each.get(key) if isinstance(each, dict) else each for each in order]
    rows = made.get(field) or []
    told = [row.get(key) if isinstance(row, dict) else row for row in rows]
    ranks = [wanted.index(one) if one in wanted else len(wanted) for one in told]
    if rows:
        made[field] = [rows[at] for at in sorted(range(len(rows)), key=ranks.__getitem__)]
