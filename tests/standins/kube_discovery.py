"""What the stand-in for a Kubernetes API says of itself: version, groups, kinds, OpenAPI."""

from __future__ import annotations

from typing import Any

from kube_answers import UNKNOWN, Answered
from kube_kinds import KINDS, Kind, built_in
from kube_reviews import KIND_OF, REVIEWS
from kube_schemas import VERSION, definitions, kinds_of, name_of

Thing = dict[str, Any]
AGGREGATED = "g=apidiscovery.k8s.io"
VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
PARTS = {  # what subresources hold, and what can be done with them
    "status": ("", ["get", "patch", "update"]), "scale": ("Scale", ["get", "patch", "update"]),
    "log": ("", ["get"]), "portforward": ("PodPortForwardOptions", ["create", "get"]),
    "binding": ("Binding", ["create"]), "token": ("TokenRequest", ["create"]),
    "finalize": ("", ["update"]),
}  # fmt: skip


def discovered(path: str, accept: str) -> Thing | None:
    """Give what one of the addresses of discovery answers, None for any other address."""
    parts = path.strip("/").split("/")
    if parts == ["version"]:
        major, minor, _ = VERSION.split(".")
        return {"major": major, "minor": minor, "gitVersion": f"v{VERSION}", "gitCommit": "",
                "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z", "goVersion": "",
                "compiler": "", "platform": "linux/amd64"}  # fmt: skip
    if parts in (["api"], ["apis"]):
        return _all(parts[0], AGGREGATED in accept)
    if parts[:2] == ["openapi", "v3"]:
        return _index() if len(parts) == 2 else _document("/".join(parts[2:]))
    if parts[0] == "api" and len(parts) == 2:
        return _resources(parts[1])
    if parts[0] == "apis" and len(parts) in (2, 3):
        found = _groups().get(parts[1])
        if found is None:
            raise Answered(404, "NotFound", UNKNOWN)
        return _group(parts[1], found) if len(parts) == 2 else _resources("/".join(parts[1:]))
    return None


def _groups() -> dict[str, list[str]]:
    """Give the versions of each group."""
    found: dict[str, list[str]] = {group: ["v1"] for group, _ in REVIEWS}
    found["project.openshift.io"] = ["v1"]
    for kind in KINDS:
        if kind.group and kind.version not in found.setdefault(kind.group, []):
            found[kind.group].append(kind.version)
    return found


def _group(name: str, versions: list[str]) -> Thing:
    told = [{"groupVersion": f"{name}/{each}", "version": each} for each in versions]
    return {"kind": "APIGroup", "apiVersion": "v1", "name": name, "versions": told,
            "preferredVersion": told[0]}  # fmt: skip


def _all(root: str, aggregated: bool) -> Thing:
    if aggregated:
        groups = {"": ["v1"]} if root == "api" else _groups()
        rows = [_aggregated(*each) for each in groups.items()]
        return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2",
                "metadata": {}, "items": rows}  # fmt: skip
    if root == "api":
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
    groups_told = [_group(*each) for each in _groups().items()]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups_told}


def _aggregated(group: str, versions: list[str]) -> Thing:
    told = []
    for version in versions:
        rows = _resources(f"{group}/{version}" if group else version)["resources"]
        heads = [row for row in rows if "/" not in row["name"]]
        told.append({"version": version, "freshness": "Current", "resources": [
            _row(group, version, row, rows) for row in heads]})  # fmt: skip
    return {"metadata": {"name": group} if group else {}, "versions": told}


def _row(group: str, version: str, row: Thing, rows: list[Thing]) -> Thing:
    below = [each for each in rows if each["name"].startswith(row["name"] + "/")]
    return {
        "resource": row["name"], "responseKind": _kind(group, version, row),
        "scope": "Namespaced" if row["namespaced"] else "Cluster", "verbs": row["verbs"],
        "singularResource": row["singularName"], "shortNames": row.get("shortNames", []),
        "categories": row.get("categories", []),
        "subresources": [
            {"subresource": each["name"].partition("/")[2], "verbs": each["verbs"],
             "responseKind": _kind(group, version, each)} for each in below],
    }  # fmt: skip


def _kind(group: str, version: str, row: Thing) -> Thing:
    return {"group": row.get("group", group), "version": row.get("version", version),
            "kind": row["kind"]}  # fmt: skip


def _resources(api_version: str) -> Thing:
    rows = [row for kind in kinds_of(api_version) for row in _rows(kind)]
    rows += [_made_only(plural, KIND_OF[plural]) for group, plural in REVIEWS
             if api_version == f"{group}/v1"]  # fmt: skip
    if api_version == "project.openshift.io/v1":
        rows = [_made_only("projectrequests", "ProjectRequest"),
                {"name": "projects", "singularName": "project", "namespaced": False,
                 "kind": "Project", "verbs": ["get", "list", "delete"]}]  # fmt: skip
    if not rows:
        raise Answered(404, "NotFound", UNKNOWN)
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version,
            "resources": rows}  # fmt: skip


def _made_only(plural: str, kind: str) -> Thing:
    return {"name": plural, "singularName": kind.lower(), "namespaced": False, "kind": kind,
            "verbs": ["create"]}  # fmt: skip


def _rows(kind: Kind) -> list[Thing]:
    head: Thing = {"name": kind.plural, "singularName": kind.kind.lower(), "kind": kind.kind,
                   "namespaced": kind.namespaced, "verbs": VERBS}  # fmt: skip
    if kind.short:
        head["shortNames"] = list(kind.short)
    if kind.in_all:
        head["categories"] = ["all"]
    rows = [head]
    for part in kind.parts:
        held, verbs = PARTS[part]
        row = {"name": f"{kind.plural}/{part}", "singularName": "", "kind": held or kind.kind,
               "namespaced": kind.namespaced, "verbs": verbs}  # fmt: skip
        rows.append(row | ({"group": "autoscaling", "version": "v1"} if part == "scale" else {}))
    return rows


def _versions() -> dict[str, list[Kind]]:
    found: dict[str, list[Kind]] = {}
    for kind in filter(built_in, KINDS):
        found.setdefault(kind.root.strip("/"), []).append(kind)
    return found


def _index() -> Thing:
    return {"paths": {
        each: {"serverRelativeURL": f"/openapi/v3/{each}?hash={VERSION}"} for each in _versions()
    }}  # fmt: skip


def _document(root: str) -> Thing:
    if root not in _versions():
        raise Answered(404, "NotFound", UNKNOWN)
    paths: Thing = {}
    schemas: dict[str, Thing] = {}
    for kind in _versions()[root]:
        where = "/namespaces/{namespace}" if kind.namespaced else ""
        paths[f"{kind.root}{where}/{kind.plural}"] = _operations(kind, ("get", "post"))
        paths[f"{kind.root}{where}/{kind.plural}/{{name}}"] = _operations(
            kind, ("get", "put", "patch", "delete")
        )
        schemas |= _reached(name_of(kind))
        schemas[name_of(kind)]["x-kubernetes-group-version-kind"] = [_named(kind)]
    return {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": f"v{VERSION}"},
            "paths": paths, "components": {"schemas": schemas}}  # fmt: skip


def _named(kind: Kind) -> Thing:
    return {"group": kind.group, "version": kind.version, "kind": kind.kind}


def _operations(kind: Kind, methods: tuple[str, ...]) -> Thing:
    told = [{"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
            for name in ("dryRun", "fieldManager", "fieldValidation")]  # fmt: skip
    actions = {"post": "post", "put": "put", "patch": "patch", "delete": "delete"}
    return {
        method: {"parameters": told, "x-kubernetes-group-version-kind": _named(kind),
                 "x-kubernetes-action": actions.get(method, "get"),
                 "responses": {"200": {"description": "OK"}}}
        for method in methods
    }  # fmt: skip


def _reached(name: str) -> dict[str, Thing]:
    """Give a definition and all that it names, as OpenAPI 3.0 writes them."""
    found: dict[str, Thing] = {}
    todo = [name]
    while todo:
        each = todo.pop()
        if each not in found:
            found[each] = _converted(definitions()[each], "#/components/schemas/", todo)
    return found


def _converted(value: Any, root: str, named: list[str]) -> Any:
    if isinstance(value, list):
        return [_converted(each, root, named) for each in value]
    if not isinstance(value, dict):
        return value
    made: Thing = {}
    for key, below in value.items():
        if key == "$ref":
            named.append(below.rpartition("/")[2])
            made[key] = root + named[-1]
        elif key == "type" and isinstance(below, list):
            made[key] = next(each for each in below if each != "null")
        elif key == "enum" and None in below:
            made[key] = [each for each in below if each is not None]
        else:
            made[key] = _converted(below, root, named)
    if "$ref" in made and len(made) > 1:  # beside a reference 3.0 knows nothing
        made = {"allOf": [{"$ref": made.pop("$ref")}], **made}
    return made
