"""Who else changed what a runtime applied, by the record that the API keeps of fields."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from waystage.plugin import Difference
from waystage_plugins.runtimes.kubernetes.beside import SIDECAR
from waystage_plugins.runtimes.kubernetes.manifests import CONTAINER
from waystage_plugins.runtimes.kubernetes.names import MANAGER

Thing = dict[str, Any]
Path = tuple[str, ...]
CONTAINERS = ("f:spec", "f:template", "f:spec", "f:containers")
OURS = (*CONTAINERS, f'k:{{"name":"{CONTAINER}"}}')
IMAGE = (*OURS, "f:image")
REPLICAS = ("f:spec", "f:replicas")
SELECTOR = ("f:spec", "f:selector")
# what `kubectl rollout restart` and the like leave there starts pods anew and changes none
NOTES = ("f:spec", "f:template", "f:metadata")
AUTOSCALERS = {"kube-controller-manager"}  # who writes the number of pods for an autoscaler
NAMED = 3  # fields that are told by name


def manager_of(thing: Thing, path: Path) -> str:
    """Give who else has set a field, or nothing when it is ours or nobody's."""
    return changer(thing, path)[0]


def changer(thing: Thing, path: Path) -> tuple[str, datetime | None]:
    """Give who else has set a field, and since when at the latest."""
    found = [each for each in _others(thing) if _has(each.get("fieldsV1") or {}, path)]
    times = [datetime.fromisoformat(each["time"]) for each in found if each.get("time")]
    return ", ".join(sorted({str(e.get("manager")) for e in found})), max(times, default=None)


def owns_replicas(live: Thing) -> bool:
    """Say whether the number of pods of a Deployment is ours."""
    mine = [each for each in live["metadata"].get("managedFields", ())
            if each.get("manager") == MANAGER]  # fmt: skip
    return any(_has(each.get("fieldsV1") or {}, REPLICAS) for each in mine)


def only_scaled(live: Thing) -> bool:
    """Say whether an autoscaler set the number of pods, and nobody changed anything else."""
    scaled = changer(live, REPLICAS)[0] in AUTOSCALERS
    return scaled and not changer(live, IMAGE)[0] and not _taken(live)


def differences(live: Thing, image: str, replicas: int | None) -> tuple[Difference, ...]:
    """Give what somebody else made of a Deployment; nothing when it is as it was applied."""
    return tuple(_differences(live, image, replicas))


def said(found: tuple[Difference, ...]) -> str:
    """Say in one line who changed what."""
    first, who = found[0], found[0].by or "somebody"
    more = f" and {len(found) - 1} more" if found[1:] else ""
    if first.what == "containers":
        return f"other containers were put into the Deployment{more}"
    if first.what == "spec":
        return f"{who} changed {first.found}{more}"
    return f"{who} changed the {first.what} to {first.found}{more}"


def traffic(live: Thing | None, name: str, target: str) -> tuple[Difference, ...]:
    """Give how the address of a service was led elsewhere by somebody else, or taken away."""
    if live is None:
        return (Difference(what="traffic", wanted=name, found="no address"),)
    who, at = changer(live, SELECTOR)
    if target == name or not who:  # we lead it elsewhere when another champion comes
        return ()
    return (Difference(what="traffic", wanted=name, found=target, by=who, at=at),)


def shares(live: Thing | None, route: str, found: dict[str, int]) -> tuple[Difference, ...]:
    """Give how somebody else set the weights of a Route, or took it away."""
    if live is None:
        return (Difference(what="traffic", wanted=f"Route {route}", found="no Route"),)
    for path in (("f:spec", "f:to"), ("f:spec", "f:alternateBackends")):
        who, at = changer(live, path)
        if who:
            told = ", ".join(f"{name} {weight}" for name, weight in found.items())
            wanted = "the shares that were set"
            return (Difference(what="traffic", wanted=wanted, found=told, by=who, at=at),)
    return ()


def _differences(live: Thing, image: str, replicas: int | None) -> Iterator[Difference]:
    containers = live["spec"]["template"]["spec"]["containers"]
    ours = next((each for each in containers if each["name"] == CONTAINER), None)
    others = [each for each in containers if each["name"] not in (CONTAINER, SIDECAR)]
    if ours is None or others:
        names = ", ".join(each["name"] for each in containers)
        yield _by(live, CONTAINERS, what="containers", wanted=CONTAINER, found=names)
    if ours is not None and ours["image"] != image:
        yield _by(live, IMAGE, what="image", wanted=image, found=str(ours["image"]))
    there = live["spec"].get("replicas")
    if replicas is not None and there != replicas:
        yield _by(live, REPLICAS, what="replicas", wanted=str(replicas), found=str(there))
    if taken := sorted(_taken(live)):
        fields = [_written(path) for path in taken]
        more = f" and {len(fields) - NAMED} more" if len(fields) > NAMED else ""
        told = ", ".join(fields[:NAMED]) + more
        yield _by(live, taken[0], what="spec", wanted="as it was applied", found=told)


def _by(live: Thing, path: Path, **told: str) -> Difference:
    who, at = changer(live, path)
    return Difference(by=who, at=at, **told)


def _taken(live: Thing) -> set[Path]:
    """Give the fields of the spec that others set and that are not, or no longer, ours."""
    mine = [each for each in live["metadata"].get("managedFields", ())
            if each.get("manager") == MANAGER]  # fmt: skip
    ours = {path for each in mine for path in _paths(each.get("fieldsV1") or {})}
    theirs = {path for each in _others(live) for path in _paths(each.get("fieldsV1") or {})}
    told = (IMAGE, REPLICAS, NOTES)
    return {
        path
        for path in theirs - ours
        if path[:1] == ("f:spec",)
        and not any(path[: len(each)] == each for each in told)
        and (path[: len(CONTAINERS)] != CONTAINERS or path[: len(OURS)] == OURS)
    }


def _others(thing: Thing) -> list[Thing]:
    """Give what others have set; controllers write the status, which is theirs."""
    found = thing["metadata"].get("managedFields", ())
    return [e for e in found if e.get("manager") != MANAGER and e.get("subresource") != "status"]


def _has(fields: Thing, path: Path) -> bool:
    found: Any = fields
    for step in path:
        if not isinstance(found, dict) or step not in found:
            return False
        found = found[step]
    return True


def _paths(tree: Thing, path: Path = ()) -> Iterator[Path]:
    inside = {step: below for step, below in tree.items() if step != "."}
    if not inside:
        yield path
    for step, below in inside.items():
        yield from _paths(below, (*path, step))


def _written(path: Path) -> str:
    named = (step[2:] if step.startswith("f:") else step.removeprefix("k:") for step in path[1:])
    return ".".join(named)
