"""How objects end in the stand-in: grace, finalizers, owners that are gone, namespaces."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from kube_kinds import BY_PLACE

if TYPE_CHECKING:
    from kube_store import Store

Thing = dict[str, Any]
Place = tuple[str, str, str]  # group, plural, namespace
FOREGROUND = "foregroundDeletion"
GIVEN_BACK = ("pods", "services", "serviceaccounts", "resourcequotas", "persistentvolumeclaims")


def end(store: Store, place: Place, live: Thing, options: Thing) -> Thing:
    """Take an object away, or mark it for that; give what the API answers."""
    meta = live["metadata"]
    policy = options.get("propagationPolicy") or (
        "Orphan" if options.get("orphanDependents") else "Background"
    )
    if policy == "Orphan":
        _orphan(store, meta["uid"])
    if policy == "Foreground" and FOREGROUND not in meta.get("finalizers", ()):
        meta.setdefault("finalizers", []).append(FOREGROUND)
    grace = _grace(place, live, options)
    if meta.get("finalizers") or grace or place[1] == "namespaces":
        _mark(store, place, live, grace)
        return live
    store.drop(place, live)
    return live if place[1] in GIVEN_BACK else success(place, live)


def success(place: Place, live: Thing) -> Thing:
    """Give what is told of an object that is gone."""
    told = {"name": live["metadata"]["name"], "group": place[0], "kind": place[1],
            "uid": live["metadata"]["uid"]}  # fmt: skip
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
            "details": {name: value for name, value in told.items() if value}}  # fmt: skip


def _grace(place: Place, live: Thing, options: Thing) -> int:
    """Give the seconds that a pod has on its node; other objects have none."""
    if place[1] != "pods" or not live["spec"].get("nodeName"):
        return 0
    asked = options.get("gracePeriodSeconds")
    over = live.get("status", {}).get("phase") in ("Succeeded", "Failed")
    own = 0 if over else live["spec"].get("terminationGracePeriodSeconds", 30)
    return int(own if asked is None else asked)


def _mark(store: Store, place: Place, live: Thing, grace: int) -> None:
    meta = live["metadata"]
    if "deletionTimestamp" not in meta:
        ends = datetime.now(UTC) + timedelta(seconds=grace)
        meta["deletionTimestamp"] = ends.strftime("%Y-%m-%dT%H:%M:%SZ")
        if meta.get("generation"):
            meta["generation"] += 1
    meta["deletionGracePeriodSeconds"] = grace
    if place[1] == "namespaces":
        live["status"] = {"phase": "Terminating"}
    meta["resourceVersion"] = store.history.next()
    store.history.note(place, meta["name"], live)


def _all(store: Store) -> Iterator[tuple[Place, Thing]]:
    for place, things in list(store.things.items()):
        for thing in list(things.values()):
            yield place, thing


def _owners(thing: Thing) -> set[str]:
    return {each["uid"] for each in thing["metadata"].get("ownerReferences") or ()}


def _orphan(store: Store, uid: str) -> None:
    for place, thing in _all(store):
        if uid in _owners(thing):
            rest = [e for e in thing["metadata"]["ownerReferences"] if e["uid"] != uid]
            thing["metadata"]["ownerReferences"] = rest
            thing["metadata"]["resourceVersion"] = store.history.next()
            store.history.note(place, thing["metadata"]["name"], thing)


def sweep(store: Store) -> None:
    """Do what garbage collector and namespace controller do, until there is nothing more."""
    while sum(_step(store, place, thing) for place, thing in _all(store)):
        pass


def _step(store: Store, place: Place, thing: Thing) -> bool:
    """Bring one object nearer to its end; say whether anything was done."""
    meta = thing["metadata"]
    if store.all(*place).get(meta["name"]) is not thing:
        return False
    owners = _owners(thing)
    if "deletionTimestamp" not in meta:
        if not owners or any(t["metadata"].get("uid") in owners for _, t in _all(store)):
            return False
        end(store, place, thing, {})
        return True
    if place[1] == "namespaces":
        return _empty(store, place, thing)
    if FOREGROUND in meta.get("finalizers", ()):
        return _foreground(store, place, thing)
    if meta.get("finalizers") or meta.get("deletionGracePeriodSeconds"):
        return False
    store.drop(place, thing)
    return True


def _foreground(store: Store, place: Place, thing: Thing) -> bool:
    meta = thing["metadata"]
    owned = [(p, t) for p, t in _all(store) if meta["uid"] in _owners(t)]
    waiting = [(p, t) for p, t in owned if "deletionTimestamp" not in t["metadata"]]
    for each in waiting:
        end(store, *each, {"propagationPolicy": "Foreground"})
    if owned:
        return bool(waiting)
    meta["finalizers"] = [each for each in meta["finalizers"] if each != FOREGROUND]
    meta["resourceVersion"] = store.history.next()
    store.history.note(place, meta["name"], thing)
    return True


def _empty(store: Store, place: Place, namespace: Thing) -> bool:
    name = namespace["metadata"]["name"]
    inside = [(p, t) for p, t in _all(store) if p[2] == name and BY_PLACE[p[:2]].namespaced]
    ending = [(p, t) for p, t in inside if "deletionTimestamp" not in t["metadata"]]
    for each in ending:
        end(store, *each, {})
    if not inside and not namespace["metadata"].get("finalizers"):
        store.drop(place, namespace)
        return True
    return bool(ending)
