"""What the stand-in for a Kubernetes API keeps: objects with versions, owners, ends."""

from __future__ import annotations

import copy
import secrets
import threading
import uuid
from collections import UserDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import kube_collector
import kube_fields
from kube_admission import let_in
from kube_answers import MODIFIED, Answered, bad, conflict, not_found, taken
from kube_defaults import fill
from kube_history import History
from kube_kinds import BY_PLACE, Kind, counts_generations
from kube_rights import Rights
from kube_schemas import schema_of

__all__ = ["Answered", "Place", "Projects", "Store"]

Thing = dict[str, Any]
Place = tuple[str, str, str]  # group, plural, namespace
KEPT = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "namespace",
        "deletionGracePeriodSeconds", "selfLink")  # fmt: skip


class Store(Rights):
    """Objects by place and name. Every change gets a version; a changed spec a generation."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.RLock()
        self.history = History(self.lock)
        self.after: list[Callable[[], None]] = []  # controllers, called after each change
        self.projects = Projects(self)

    def get(self, group: str, plural: str, namespace: str, name: str) -> Thing:
        """Give an object as it is kept; raises 404."""
        found = self.all(group, plural, namespace).get(name)
        if found is None:
            raise not_found(BY_PLACE[group, plural], name)
        return found

    def namespace(self, name: str) -> None:
        """Have a namespace, with the account that every one has."""
        if name in self.all("", "namespaces", ""):
            return
        self.create(("", "namespaces", ""), {"metadata": {"name": name}}, "admin")

    def put(self, place: Place, thing: Thing, live: Thing | None, *, dry: bool = False) -> Thing:
        """Keep an object under a new version; not when it is only tried (`dry`)."""
        kind, meta = BY_PLACE[place[:2]], thing["metadata"]
        if live is None:
            meta.setdefault("uid", str(uuid.uuid4()))
            meta["creationTimestamp"] = stamp()
            if counts_generations(kind):
                meta["generation"] = 1
        elif counts_generations(kind) and _wanted(thing) != _wanted(live):
            meta["generation"] = live["metadata"].get("generation", 1) + 1
        if dry or (live is not None and thing == live):
            return thing
        meta["resourceVersion"] = self.history.next()
        self.all(*place)[meta["name"]] = thing
        self.history.note(place, meta["name"], thing)
        return thing

    def create(self, place: Place, thing: Thing, manager: str, *, dry: bool = False) -> Thing:
        """Make an object; raises 403, 404 and 409, the last when its name is taken."""
        kind, meta = BY_PLACE[place[:2]], thing.setdefault("metadata", {})
        if not meta.get("name"):
            meta["name"] = meta.get("generateName", "") + secrets.token_hex(3)[:5]
        if meta["name"] in self.all(*place):
            raise taken(kind, meta["name"])
        self._place(kind, place, thing)
        meta["uid"] = str(uuid.uuid4())
        fill(kind, thing)
        let_in(self, place, thing)
        made = kube_fields.updated(None, thing, manager, "", schema_of(kind))
        self.put(place, made, None, dry=dry)
        if kind.plural == "namespaces" and not dry:
            account = {"metadata": {"name": "default"}}
            self.create(("", "serviceaccounts", meta["name"]), account, "controllers")
        return self.changed(made, dry=dry)

    def replace(
        self, place: Place, thing: Thing, manager: str, part: str = "", *, dry: bool = False
    ) -> Thing:
        """Change an object by other means than applying; raises 409 for an old version."""
        kind, name = BY_PLACE[place[:2]], thing["metadata"]["name"]
        live = self.get(*place, name)
        meta, known = thing["metadata"], live["metadata"]
        if meta.get("resourceVersion") not in (None, "", known["resourceVersion"]):
            raise conflict(kind, name, MODIFIED)
        if meta.get("uid") not in (None, "", known["uid"]):
            raise conflict(kind, name, _other_uid(meta["uid"], known["uid"]))
        self._place(kind, place, thing)
        _keep(meta, known)
        fill(kind, thing, live)
        made = kube_fields.updated(live, thing, manager, part, schema_of(kind))
        return self.changed(self.put(place, made, live, dry=dry), dry=dry)

    def apply(
        self, place: Place, name: str, thing: Thing, manager: str, force: bool,
        part: str = "", *, dry: bool = False,
    ) -> Thing:  # fmt: skip
        """Apply an object on the server's side; raises 409 naming the fields of others."""
        kind = BY_PLACE[place[:2]]
        if thing.setdefault("metadata", {}).setdefault("name", name) != name:
            raise bad(f"the name of the object ({thing['metadata']['name']}) does not match the "
                      f"name on the URL ({name})")  # fmt: skip
        live = self.all(*place).get(name)
        self._place(kind, place, thing)
        if live is None:
            let_in(self, place, thing)
        try:
            who = (manager, "Apply", part)
            made = kube_fields.apply(live, thing, who, schema_of(kind), force=force)
        except kube_fields.FieldConflict as no:
            raise Answered(409, "Conflict", str(no), no.causes) from no
        made["metadata"].setdefault("uid", str(uuid.uuid4()))
        fill(kind, made)
        return self.changed(self.put(place, made, live, dry=dry), dry=dry)

    def delete(self, place: Place, name: str, options: Thing, *, dry: bool = False) -> Thing:
        """Take an object away, and what it owns; give it if something holds it still."""
        live = self.get(*place, name)
        _preconditions(BY_PLACE[place[:2]], live, options.get("preconditions") or {})
        if dry:
            return kube_collector.success(place, live)
        told = kube_collector.end(self, place, live, options)
        return self.changed(told)

    def drop(self, place: Place, thing: Thing) -> None:
        """Let an object be no more."""
        name = thing["metadata"]["name"]
        del self.all(*place)[name]
        thing["metadata"]["resourceVersion"] = self.history.next()
        self.history.note(place, name, thing, gone=True)
        if place[1] == "namespaces":
            self.projects.pop(name, None)

    def changed(self, thing: Thing, *, dry: bool = False) -> Thing:
        """Let the controllers see to it; give the object as it was answered."""
        answer = copy.deepcopy(thing)
        if dry:
            return answer
        kube_collector.sweep(self)
        for each in self.after:
            try:
                each()
            except Answered:
                continue  # controllers try again with the next change
        self._notice()
        return answer

    def _notice(self) -> None:
        """Give versions to what controllers changed where it lies."""
        for place, things in list(self.things.items()):
            for name, thing in list(things.items()):
                if thing != self.history.last.get((place, name)):
                    thing["metadata"]["resourceVersion"] = self.history.next()
                    self.history.note(place, name, thing)

    def _place(self, kind: Kind, place: Place, thing: Thing) -> None:
        thing["apiVersion"], thing["kind"] = kind.api_version, kind.kind
        if thing["metadata"].get("namespace") not in (None, "", place[2]):
            raise bad("the namespace of the provided object does not match the namespace sent on "
                      "the request")  # fmt: skip
        if kind.namespaced:
            thing["metadata"]["namespace"] = place[2]


class Projects(UserDict[str, str]):
    """Phases of OpenShift's projects; each is a namespace, not each namespace is one here."""

    def __init__(self, store: Store) -> None:
        self._store = store
        super().__init__()

    def __setitem__(self, name: str, phase: str) -> None:
        super().__setitem__(name, phase)
        self._store.namespace(name)


def stamp(seconds: float = 0) -> str:
    """Give the present second, or one later, as the API writes it."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _wanted(thing: Thing) -> Thing:
    return {name: v for name, v in thing.items() if name not in ("metadata", "status")}


def _keep(meta: Thing, known: Thing) -> None:
    for name in KEPT:
        if name in known:
            meta[name] = known[name]
        else:
            meta.pop(name, None)
    meta["resourceVersion"] = known["resourceVersion"]
    meta.setdefault("managedFields", copy.deepcopy(known.get("managedFields", [])))


def _other_uid(told: str, known: str) -> str:
    return f"Precondition failed: UID in precondition: {told}, UID in object meta: {known}"


def _preconditions(kind: Kind, live: Thing, wanted: Thing) -> None:
    meta = live["metadata"]
    for name, called in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
        if wanted.get(name) not in (None, meta[name]):
            what = "deleted and then recreated" if name == "uid" else "modified"
            raise conflict(
                kind, meta["name"],
                f"the {called} in the precondition ({wanted[name]}) does not match the {called} "
                f"in record ({meta[name]}). The object might have been {what}", kind.kind,
            )  # fmt: skip
