"""Which runtime of a stage serves a service, and why: the choice that deploying makes, in words."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from waystage.daemon.connections import candidates
from waystage.errors import NotFound
from waystage.spec.stage import Runtime
from waystage.spec.wording import did_you_mean

if TYPE_CHECKING:
    from waystage.spec.load import ProjectFiles

MODES = ("online", "batch")


def explain(files: ProjectFiles, service: str, stage: str) -> dict[str, Any]:
    """Give the choice for each mode, and for steps that ask for none; raises `NotFound`."""
    if stage not in files.stages:
        hint = did_you_mean(stage, files.stages)
        raise NotFound(f"there is no stage {stage!r}; {hint}")
    modes = [_mode(files, service, stage, mode) for mode in MODES]
    first = next((each for each in modes if each["fitting"]), None)
    return {
        "service": service, "stage": stage, "known": service in files.project.spec.services,
        "any": first["runtime"] if first else None, "modes": modes,
    }  # fmt: skip


def _mode(files: ProjectFiles, service: str, stage: str, mode: str) -> dict[str, Any]:
    there = [r for r in files.stages[stage].spec.runtimes if r.mode == mode]
    fitting = [r for r in there if _glob(r, service)]
    chosen = candidates(files, service, stage, mode)
    return {
        "mode": mode,
        "runtime": chosen[0].name if len(chosen) == 1 else None,
        "why": _why(there, fitting, chosen, service),
        "fitting": [r.name for r in fitting],
        "candidates": [_candidate(r, service) for r in there],
    }


def _why(there: list[Runtime], fitting: list[Runtime], chosen: list[Runtime], service: str) -> str:
    names = ", ".join(r.name for r in fitting)
    preferred = [r.name for r in fitting if r.prefer]
    if not there:
        return "the stage has none"
    if not fitting:
        return f"none of {', '.join(r.name for r in there)} is for {service}"
    if len(fitting) == 1:
        return f"it alone is for {service} (services: {_glob(fitting[0], service)})"
    if len(chosen) == 1:
        return f"of {names} it alone says prefer: true"
    if preferred:
        return f"{' and '.join(preferred)} both say prefer: true; leave it at one"
    return f"{names} are all for {service}; say prefer: true at one"


def _candidate(runtime: Runtime, service: str) -> dict[str, Any]:
    return {
        "name": runtime.name, "use": runtime.use, "services": list(runtime.services),
        "fits": _glob(runtime, service) is not None, "prefer": runtime.prefer,
    }  # fmt: skip


def _glob(runtime: Runtime, service: str) -> str | None:
    return next((glob for glob in runtime.services if fnmatchcase(service, glob)), None)
