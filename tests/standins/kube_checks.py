"""What a Kubernetes API refuses of an object that it is sent: names, fields, types, changes."""

from __future__ import annotations

import re
from typing import Any

from kube_answers import Answered, bad, cause, invalid
from kube_kinds import Kind, built_in
from kube_schemas import inside, is_map, item, mistyped, pruned, schema_of
from kube_selectors import matches

Thing = dict[str, Any]
NAME = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
LABEL = r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?"
SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    f"for validation is '{NAME}')"
)
SHORT = "[a-z]([-a-z0-9]*[a-z0-9])?"
DNS = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
    "alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', "
    f"regex used for validation is '{SHORT}')"
)
LABELED = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  "
    f"or '12345', regex used for validation is '{LABEL}')"
)
LABEL_NAME = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
KEYED = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. "
    "'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
FIXED = {  # what cannot be changed of an object once it is there
    "Deployment": ("selector",), "ReplicaSet": ("selector",),
    "Job": ("selector", "completions", "template", "completionMode"),
    "Service": ("clusterIP",), "RoleBinding": (), "Pod": ("nodeName",),
}  # fmt: skip


def decoded(kind: Kind, thing: Any, validation: str, *, lists: bool = True) -> list[str]:
    """Take away what the kind has no field for; give the warnings, or raise 400 (`Strict`)."""
    if not isinstance(thing, dict):
        raise bad(f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: '
                  "json: cannot unmarshal into Go value")  # fmt: skip
    schema = schema_of(kind)
    told = f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}'
    if wrong := mistyped(schema, thing, kind.kind):
        raise bad(f"{told}: json: cannot unmarshal {wrong}")
    tidy(schema, thing, lists)
    unknown = [f'unknown field "{path}"' for path in pruned(schema, thing)]
    if unknown and validation == "Strict":
        raise bad(f"{told}: strict decoding error: {', '.join(unknown)}")
    return unknown if validation == "Warn" else []


def tidy(schema: Thing | None, value: Any, lists: bool) -> None:
    """Take away, in place, what a typed API does not tell apart from nothing: null, empty."""
    if isinstance(value, list):
        for each in value:
            tidy(item(schema), each, lists)
    if not isinstance(value, dict) or not schema:
        return
    for name in list(value):
        below = inside(schema, name)
        tidy(below, value[name], lists)
        is_empty = (lists and value[name] == []) or (value[name] == {} and is_map(below))
        if below and (value[name] is None or is_empty):
            del value[name]


def belongs(kind: Kind, thing: Thing) -> None:
    """Hold the kind that an object tells against that of its address; raises 400."""
    version, told = thing.get("apiVersion") or kind.api_version, thing.get("kind") or kind.kind
    if told != kind.kind:
        raise bad(f'{told} in version "{version.rpartition("/")[2]}" cannot be handled as a '
                  f"{kind.kind}: no kind \"{told}\" is registered")  # fmt: skip
    if version != kind.api_version:
        raise bad(f"the API version in the data ({version}) does not match the expected API "
                  f"version ({kind.api_version})")  # fmt: skip


def checked(kind: Kind, thing: Thing, live: Thing | None) -> None:
    """Hold an object against the rules of its kind; raises 422."""
    meta = thing.get("metadata") or {}
    causes = _names(kind, meta) + _labels(meta)
    if built_in(kind):
        causes += _required(schema_of(kind), thing, "")
    spec = thing.get("spec") or {}
    if kind.kind in ("Deployment", "ReplicaSet"):
        causes += _selected(spec)
    if kind.kind in ("Deployment", "ReplicaSet", "Job"):
        causes += _containers("spec.template.spec", (spec.get("template") or {}).get("spec") or {})
    if kind.kind == "Pod" and not live:
        causes += _containers("spec", spec)
    portless = spec.get("clusterIP") == "None" or spec.get("type") == "ExternalName"
    if kind.kind == "Service" and not spec.get("ports") and not portless:
        causes.append(cause("spec.ports", "Required value", "FieldValueRequired"))
    if kind.kind == "Job":
        causes += _restarts(spec)
    if kind.kind in ("ConfigMap", "Secret"):
        causes += _keys(thing.get("data") or {})
    if kind.kind in ("Deployment", "ReplicaSet"):
        causes.sort(key=_rank)
    if live:
        causes += _fixed(kind, spec, live.get("spec") or {}) + _bound(thing, live)
    if causes:
        raise invalid(kind, meta.get("name", ""), causes)


def _names(kind: Kind, meta: Thing) -> list[Thing]:
    if not (meta.get("name") or meta.get("generateName")):
        return [cause("metadata.name", "Required value: name or generateName is required",
                      "FieldValueRequired")]  # fmt: skip
    if kind.group.startswith("rbac"):
        return []
    name = meta.get("name") or meta["generateName"] + "x"  # a letter of those that are made up
    rule, most, told = (SHORT, 63, DNS) if kind.plural == "services" else (NAME, 253, SUBDOMAIN)
    if not re.fullmatch(rule, name) or len(name) > most:
        return [cause("metadata.name", f'Invalid value: "{name}": {told}')]
    return []


def _labels(meta: Thing) -> list[Thing]:
    return [
        cause("metadata.labels", f'Invalid value: "{value}": {LABELED}')
        for value in (meta.get("labels") or {}).values()
        if not re.fullmatch(LABEL, value) or len(value) > 63
    ]


def _required(schema: Thing | None, value: Any, path: str) -> list[Thing]:
    """Find what a schema says there must be; as real ones do, an empty list counts as none."""
    if isinstance(value, list):
        return [
            each for at, one in enumerate(value)
            for each in _required(item(schema), one, f"{path}[{at}]")
        ]  # fmt: skip
    if not isinstance(value, dict) or not schema:
        return []
    dot = f"{path}." if path else ""
    found = []
    for name in schema.get("required", ()):
        if value.get(name) not in (None, [], "") or (dot + name).partition(".")[0] == "status":
            continue
        below = inside(schema, name)
        if "properties" in (below or {}) and name != "selector":  # a struct, which is never absent
            found += _required(below, {}, f"{dot}{name}")
        else:
            found.append(cause(f"{dot}{name}", "Required value", "FieldValueRequired"))
    for name, below in value.items():
        if name not in ("status", "metadata") or path:
            found += _required(inside(schema, name), below, f"{dot}{name}")
    return found


def _selected(spec: Thing) -> list[Thing]:
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    if spec.get("selector") and matches(spec["selector"], labels):
        return []
    return [cause("spec.template.metadata.labels", f"Invalid value: {_go(labels)}: "
                  "`selector` does not match template `labels`")]  # fmt: skip


def _go(labels: Thing) -> str:
    """Write labels as Go prints them."""
    told = ", ".join(f'"{name}":"{value}"' for name, value in sorted(labels.items()))
    return f"map[string]string{{{told}}}" if labels else "map[string]string(nil)"


def _rank(one: Thing) -> int:
    """Give where a fault of a Deployment is told: real ones look in this order."""
    order = ("metadata", "spec.selector", "spec.template.metadata.labels", "spec")
    return next(at for at, start in enumerate(order) if one["field"].startswith(start))


def _keys(data: Thing) -> list[Thing]:
    return [
        cause(f"data[{name}]", f'Invalid value: "{name}": {KEYED}')
        for name in sorted(data)
        if not re.fullmatch("[-._a-zA-Z0-9]+", name)
    ]


def _containers(where: str, pod: Thing) -> list[Thing]:
    found = []
    for at, each in enumerate(pod.get("containers") or ()):
        name = each.get("name") or "x"
        if not re.fullmatch("[a-z0-9]([-a-z0-9]*[a-z0-9])?", name) or len(name) > 63:
            told = f'Invalid value: "{name}": {LABEL_NAME}'
            found.append(cause(f"{where}.containers[{at}].name", told))
        if not each.get("image"):
            told = "Required value"
            found.append(cause(f"{where}.containers[{at}].image", told, "FieldValueRequired"))
    return found


def _restarts(spec: Thing) -> list[Thing]:
    policy = ((spec.get("template") or {}).get("spec") or {}).get("restartPolicy", "Always")
    if policy in ("Never", "OnFailure"):
        return []
    told = 'Required value: valid values: "OnFailure", "Never"'
    return [cause("spec.template.spec.restartPolicy", told, "FieldValueRequired")]


def _fixed(kind: Kind, spec: Thing, before: Thing) -> list[Thing]:
    return [
        cause(f"spec.{name}", f"Invalid value: {_told(name, spec.get(name))}: field is immutable")
        for name in FIXED.get(kind.kind, ())
        if name in before and spec.get(name, before[name]) != before[name]
    ]


def _bound(thing: Thing, live: Thing) -> list[Thing]:
    """Find that a binding was to give another role: it has to be made anew."""
    ref = thing.get("roleRef")
    if ref is None or ref == live.get("roleRef"):
        return []
    told = f'APIGroup:"{ref.get("apiGroup", "")}", Kind:"{ref.get("kind", "")}"'
    value = f'rbac.RoleRef{{{told}, Name:"{ref.get("name", "")}"}}'
    return [cause("roleRef", f"Invalid value: {value}: cannot change roleRef")]


def _told(name: str, value: Any) -> str:
    if name != "selector" or not isinstance(value, dict) or "matchExpressions" in value:
        return str(value)
    labels = _go(value.get("matchLabels") or {})
    return (f"v1.LabelSelector{{MatchLabels:{labels}, "
            "MatchExpressions:[]v1.LabelSelectorRequirement(nil)}")  # fmt: skip


def owned(kind: Kind, thing: Thing) -> None:
    """Refuse owners that are told by half; raises 422."""
    causes = [
        cause(f"metadata.ownerReferences[{at}].{name}", "Invalid value: must not be empty")
        for at, each in enumerate((thing.get("metadata") or {}).get("ownerReferences") or ())
        for name in ("apiVersion", "kind", "name", "uid")
        if not each.get(name)
    ]
    if causes:
        raise invalid(kind, thing["metadata"].get("name", ""), causes)


def applied(kind: Kind, thing: Any, manager: str) -> None:
    """Hold what is applied against the rules for that; raises 400 or 422."""
    if not manager:
        raise Answered(
            422, "Invalid", 'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: '
            "is required for apply patch", [cause("fieldManager", "Required value: is required for "
            "apply patch", "FieldValueRequired")], group="meta.k8s.io", kind="PatchOptions",
        )  # fmt: skip
    if not isinstance(thing, dict) or thing.get("apiVersion") != kind.api_version:
        told = thing.get("apiVersion", "") if isinstance(thing, dict) else ""
        raise bad("Incorrect version specified in apply patch. Specified patch version: "
                  f"{told}, expected: {kind.api_version}")  # fmt: skip
    if not thing.get("kind"):
        raise bad("Object 'Kind' is missing in the applied object")
    if (thing.get("metadata") or {}).get("managedFields"):
        raise bad("metadata.managedFields must be nil")
