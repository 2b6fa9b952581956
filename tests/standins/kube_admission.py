"""Whether an object may come into a namespace of the stand-in: the namespace itself, quotas."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from kube_answers import Answered, cause, forbidden, not_found
from kube_kinds import BY_PLACE, Kind
from pod_admission import constrain, uid_range

if TYPE_CHECKING:
    from kube_store import Store

Thing = dict[str, Any]
Place = tuple[str, str, str]  # group, plural, namespace
PLAIN = {"pods", "services", "configmaps", "secrets", "resourcequotas", "persistentvolumeclaims"}
UNITS: dict[str, int | Decimal] = {
    "": 1, "m": Decimal("0.001"), "k": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4,
    "Ki": 1024, "Mi": 1024**2, "Gi": 1024**3, "Ti": 1024**4}  # fmt: skip


def let_in(store: Store, place: Place, thing: Thing) -> None:
    """Let a new object in; raises 403 or 404."""
    kind = BY_PLACE[place[:2]]
    if not kind.namespaced:
        return
    namespace = store.all("", "namespaces", "").get(place[2])
    if namespace is None:
        raise not_found(BY_PLACE["", "namespaces"], place[2])
    name = named(thing)
    if namespace.get("status", {}).get("phase") == "Terminating":
        told = f"namespace {place[2]} is being terminated"
        raise forbidden(
            kind, name, f"unable to create new content in namespace {place[2]} because it is "
            "being terminated", [cause("metadata.namespace", told, "NamespaceTerminating")],
        )  # fmt: skip
    if kind.plural == "pods":
        _lend_secrets(store, place[2], thing["spec"])
    if kind.plural == "pods" and place[2] in store.projects:
        constrain(thing, uid_range(place[2]), name)
    for quota in store.all("", "resourcequotas", place[2]).values():
        _within(store, quota, kind, place[2], thing)


def _lend_secrets(store: Store, namespace: str, spec: Thing) -> None:
    """Have a pod that names no secrets for pulling use those of its account."""
    account = store.all("", "serviceaccounts", namespace).get(spec["serviceAccountName"], {})
    if account.get("imagePullSecrets") and not spec.get("imagePullSecrets"):
        spec["imagePullSecrets"] = [dict(each) for each in account["imagePullSecrets"]]


def _within(store: Store, quota: Thing, kind: Kind, namespace: str, thing: Thing) -> None:
    hard = quota.get("spec", {}).get("hard") or {}
    asked = {what: n for what, n in uses(kind, thing).items() if what in hard}
    used = used_of(store, namespace, list(hard))
    for what in ("limits.cpu", "limits.memory", "requests.cpu", "requests.memory"):
        if kind.plural == "pods" and what in hard and not asked.get(what):
            raise forbidden(kind, named(thing),
                            f"failed quota: {quota['metadata']['name']}: must specify {what} "
                            f"for: {thing['spec']['containers'][0]['name']}")  # fmt: skip
    over = [what for what, n in asked.items() if used[what] + n > quantity(hard[what])]
    if over:
        raise forbidden(kind, named(thing), ", ".join((
            f"exceeded quota: {quota['metadata']['name']}",
            "requested: " + ",".join(f"{w}={_plain(asked[w])}" for w in over),
            "used: " + ",".join(f"{w}={_plain(used[w])}" for w in over),
            "limited: " + ",".join(f"{w}={hard[w]}" for w in over),
        )))  # fmt: skip


def named(thing: Thing) -> str:
    """Give the name by which an object is refused: the one it would get is not known yet."""
    return str(thing["metadata"].get("generateName") or thing["metadata"]["name"])


def uses(kind: Kind, thing: Thing) -> dict[str, Decimal]:
    """Give what of a quota an object uses."""
    counted = {f"count/{kind.named}": Decimal(1)}
    if kind.plural in PLAIN:
        counted[kind.plural] = Decimal(1)
    if kind.plural != "pods":
        return counted
    if thing.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return {name: n for name, n in counted.items() if name != "pods"}
    for container in thing["spec"].get("containers") or ():
        for sort, told in (container.get("resources") or {}).items():
            for what, amount in (told or {}).items() if sort in ("limits", "requests") else ():
                for name in (f"{sort}.{what}", *([what] if sort == "requests" else [])):
                    counted[name] = counted.get(name, Decimal(0)) + quantity(amount)
    return counted


def used_of(store: Store, namespace: str, wanted: list[str]) -> dict[str, Decimal]:
    """Give how much of each is used in a namespace."""
    total = dict.fromkeys(wanted, Decimal(0))
    for (group, plural, where), things in list(store.things.items()):
        if where != namespace:
            continue
        for thing in things.values():
            for what, n in uses(BY_PLACE[group, plural], thing).items():
                if what in total:
                    total[what] += n
    return total


def quantity(text: Any) -> Decimal:
    """Read an amount as Kubernetes writes it; raises 400."""
    found = re.fullmatch(r"([+-]?[\d.]+)(\w*)", str(text))
    if not found or found[2] not in UNITS:
        raise Answered(400, "BadRequest", "quantities must match the regular expression "
                       "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")  # fmt: skip
    return Decimal(found[1]) * UNITS[found[2]]


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"
