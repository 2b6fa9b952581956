"""What can be done with objects at the stand-in for a Kubernetes API, verb by verb."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml
from kube_answers import UNKNOWN, Answered, bad, option
from kube_checks import applied, belongs, checked, decoded, owned
from kube_defaults import fill
from kube_kinds import Kind, built_in
from kube_lists import listed, selected
from kube_patches import json_patch, merge_patch, strategic
from kube_schemas import pruned, schema_of
from kube_tables import table

if TYPE_CHECKING:
    from kube_api import KubeApi

Thing = dict[str, Any]
JSON, MERGE = "application/json-patch+json", "application/merge-patch+json"
STRATEGIC, APPLY = "application/strategic-merge-patch+json", "application/apply-patch+yaml"
FORMAT = "the body of the request was in an unknown format - accepted media types include: "


@dataclass
class Asked:
    """A request for objects: who, what, where, and what came with it."""

    user: str
    verb: str
    kind: Kind
    namespace: str
    name: str
    part: str
    query: Thing
    content: str = ""
    accept: str = ""
    agent: str = ""
    raw: bytes = b""
    warnings: list[str] = field(default_factory=list)

    @property
    def place(self) -> tuple[str, str, str]:
        """Where the store has the objects."""
        return self.kind.group, self.kind.plural, self.namespace

    @property
    def manager(self) -> str:
        """Who changes fields."""
        return str(self.query.get("fieldManager") or self.agent)

    @property
    def dry(self) -> bool:
        """Whether nothing is to be kept; raises 400 or 422."""
        told = self.query.get("dryRun", "")
        if told not in ("", "All"):
            raise option(self.verb, "dryRun", f'[]string{{"{told}"}}', '"All"')
        return bool(told)

    def body(self) -> Any:
        """Read what was sent; raises 400."""
        if not self.raw:
            return {}
        try:
            return json.loads(self.raw)
        except ValueError:
            pass
        try:
            read = yaml.safe_load(self.raw) if "yaml" in self.content else None
        except yaml.YAMLError:
            read = None
        if read is None:
            raise bad(f"the object provided is unrecognized (must be of type {self.kind.kind}): "
                      "couldn't get version/kind; json parse error")  # fmt: skip
        return read


def answer(api: KubeApi, asked: Asked) -> tuple[int, Any]:
    """Do what is asked with an object as a whole; raises `Answered`."""
    store, place = api.store, asked.place
    if asked.verb == "list":
        return 200, listed(store, asked.kind, asked.namespace, asked.query, asked.accept)
    if asked.verb == "get":
        found = copy.deepcopy(store.get(*place, asked.name))
        if "as=Table" in asked.accept:
            meta = {"resourceVersion": found["metadata"]["resourceVersion"]}
            whole = asked.query.get("includeObject") == "Object"
            return 200, table(asked.kind, [found], meta, whole=whole)
        return 200, found
    if asked.verb == "create":
        return 201, create(api, asked, asked.body())
    if asked.verb == "delete":
        return 200, store.delete(place, asked.name, _options(asked), dry=asked.dry)
    if asked.verb == "deletecollection":
        options, gone = _options(asked), selected(store, asked.kind, asked.namespace, asked.query)
        for each in gone:
            where = (*place[:2], each["metadata"].get("namespace", ""))
            if each["metadata"]["name"] in store.all(*where):  # another's end may have taken it
                store.delete(where, each["metadata"]["name"], options, dry=asked.dry)
        listing = f"{asked.kind.kind}List"
        return 200, {"kind": listing, "apiVersion": asked.kind.api_version, "metadata": {},
                     "items": gone}  # fmt: skip
    if asked.verb == "update":
        return 200, update(api, asked, asked.body())
    return patch(api, asked)


def create(api: KubeApi, asked: Asked, thing: Any) -> Thing:
    """Make an object."""
    store, kind = api.store, asked.kind
    validated(asked, thing)
    meta = thing.setdefault("metadata", {})
    if meta.get("resourceVersion"):
        raise bad("resourceVersion should not be set on objects to be created")
    if kind.plural in api.refusals:
        raise api.refusals[kind.plural]
    if "status" in kind.parts:
        thing.pop("status", None)
    for name in ("uid", "creationTimestamp", "generation", "managedFields", "deletionTimestamp"):
        meta.pop(name, None)
    owned(kind, thing)
    checked(kind, _filled(kind, thing), None)
    api.admit(asked, thing)
    return store.create(asked.place, thing, asked.manager, dry=asked.dry)


def update(api: KubeApi, asked: Asked, thing: Any) -> Thing:
    """Change an object as a whole, without its status; or its status alone."""
    validated(asked, thing)
    told = (thing.get("metadata") or {}).get("name")
    if told != asked.name:
        raise bad(f"the name of the object ({told or 'unspecified'}) does not match the name on "
                  f"the URL ({asked.name})")  # fmt: skip
    live = api.store.get(*asked.place, asked.name)
    if not asked.part:
        api.admit(asked, thing)
    made = _parted(asked, thing, live)
    owned(asked.kind, made)
    checked(asked.kind, _filled(asked.kind, made), live)
    return api.store.replace(asked.place, made, asked.manager, asked.part, dry=asked.dry)


def patch(api: KubeApi, asked: Asked) -> tuple[int, Any]:
    """Patch an object in one of the four ways."""
    ways = (JSON, MERGE, STRATEGIC, APPLY) if built_in(asked.kind) else (JSON, MERGE, APPLY)
    if asked.content not in ways:
        told = "415: Unsupported Media Type" if built_in(asked.kind) else FORMAT + ", ".join(ways)
        raise Answered(415, "UnsupportedMediaType", told)
    if asked.content == APPLY:
        return apply(api, asked, asked.body())
    live = copy.deepcopy(api.store.get(*asked.place, asked.name))
    body = asked.body()
    if asked.content == JSON:
        made = json_patch(live, body)
    elif asked.content == MERGE:
        made = merge_patch(live, body)
    else:
        made = strategic(live, body, schema_of(asked.kind))
    if "metadata" not in body or "resourceVersion" not in (body["metadata"] or {}):
        made.get("metadata", {}).pop("resourceVersion", None)  # it is patched as it is now
    if made.get("metadata", {}).get("name") != asked.name:
        raise bad(f"the name of the object ({made.get('metadata', {}).get('name')}) does not "
                  f"match the name on the URL ({asked.name})")  # fmt: skip
    try:
        validated(asked, made)
    except Answered as no:
        if no.code == 400 and "cannot unmarshal" in str(no):
            told = str(no).rpartition(": json: ")[2]
            raise Answered(422, "Invalid", f' "" is invalid: patch: Invalid value: {told}') from no
        raise
    return 200, update(api, asked, made)


def apply(api: KubeApi, asked: Asked, thing: Any) -> tuple[int, Any]:
    """Apply an object on the server's side."""
    applied(asked.kind, thing, asked.query.get("fieldManager", ""))
    thing.setdefault("metadata", {}).setdefault("name", asked.name)
    belongs(asked.kind, thing)
    if unknown_fields := pruned(schema_of(asked.kind), copy.deepcopy(thing)):
        told = f"failed to create typed patch object: .{unknown_fields[0]}: "
        raise Answered(500, "", told + "field not declared in schema")
    validated(asked, thing)
    store, place, kind = api.store, asked.place, asked.kind
    live = store.all(*place).get(asked.name)
    if live is None:
        if asked.part:
            store.get(*place, asked.name)
        store.authorize(asked.user, "create", kind.group, kind.plural, asked.namespace, asked.name)
        if kind.plural in api.refusals:
            raise api.refusals[kind.plural]
    api.admit(asked, thing)
    if asked.part:
        thing = {name: thing[name] for name in ("apiVersion", "kind", "metadata", "status")
                 if name in thing}  # fmt: skip
    elif "status" in kind.parts:
        thing.pop("status", None)
    version = thing["metadata"].pop("resourceVersion", None)
    if live and version not in (None, live["metadata"]["resourceVersion"]):
        raise Answered(409, "Conflict", "the object has been modified")
    owned(kind, thing)
    force = asked.query.get("force") == "true"
    tried = copy.deepcopy(thing)
    made = store.apply(place, asked.name, tried, asked.manager, force, asked.part, dry=True)
    checked(kind, made, live)
    if not asked.dry:
        made = store.apply(place, asked.name, thing, asked.manager, force, asked.part)
    return 200 if live else 201, made


def validated(asked: Asked, thing: Any) -> None:
    """Hold what was sent against the kind; notes warnings, raises 400."""
    if isinstance(thing, dict):
        belongs(asked.kind, thing)
    told = asked.query.get("fieldValidation", "Warn")
    asked.warnings += decoded(asked.kind, thing, told, lists=asked.content != APPLY)


def _filled(kind: Kind, thing: Thing) -> Thing:
    made = copy.deepcopy(thing)
    made["metadata"].setdefault("uid", "")
    if made["metadata"].get("generateName"):
        made["metadata"].setdefault("name", made["metadata"]["generateName"] + "x")
    made["metadata"].setdefault("name", "")
    fill(kind, made)
    return made


def _parted(asked: Asked, thing: Thing, live: Thing) -> Thing:
    """Give what an update changes: all but the status, or the status alone."""
    if "status" not in asked.kind.parts:
        return thing
    if asked.part == "status":
        meta = copy.deepcopy(live["metadata"])
        meta["resourceVersion"] = (thing.get("metadata") or {}).get("resourceVersion")
        return copy.deepcopy(live) | {"metadata": meta, "status": thing.get("status") or {}}
    made = {name: value for name, value in thing.items() if name != "status"}
    return made | ({"status": copy.deepcopy(live["status"])} if "status" in live else {})


def _options(asked: Asked) -> Thing:
    told = dict(asked.body() or {})
    for name in ("propagationPolicy", "gracePeriodSeconds"):
        if name in asked.query:
            told[name] = asked.query[name]
    if told.get("dryRun"):
        asked.query["dryRun"] = told["dryRun"][0]
    policy = told.get("propagationPolicy")
    if policy not in (None, "Background", "Foreground", "Orphan"):
        among = '"Foreground", "Background", "Orphan", "nil"'
        raise option("delete", "propagationPolicy", f'"{policy}"', among)
    return told


def unknown() -> Answered:
    """Make the answer for an address that leads nowhere."""
    return Answered(404, "NotFound", UNKNOWN)
