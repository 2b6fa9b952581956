"""Which jobs a runtime was given: kept beside the daemon, so that none is left behind."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path

from waystage.plugin import BatchRuntime, JsonObject, Services, Wanted
from waystage_plugins.runtimes.files import read_json, write_json


def remember(runtime: BatchRuntime, ctx: Services, ref: JsonObject, key: str) -> None:
    """Write down, before a job is started, that it may be there."""
    home = _home(runtime, ctx)
    home.mkdir(parents=True, exist_ok=True)
    place = home / f"{_short(key)}.json"
    if not place.exists():
        write_json(place, {"key": key, "ref": ref})


def end_unwanted(runtime: BatchRuntime, ctx: Services, wanted: Wanted) -> list[str]:
    """End the jobs of steps that nobody waits for any more; give their keys.

    A later attempt's key begins with that of the step. What is wanted is asked after the jobs
    were listed: a step is wanted before it gives a job.
    """
    listed = [(place, read_json(place)) for place in sorted(_home(runtime, ctx).glob("*.json"))]
    asked = [str(told.get("key", "")) for _, told in listed]
    keys, ended = wanted(asked) if listed else (), []
    for place, told in listed:
        key, ref = str(told.get("key", "")), told.get("ref")
        if _is_wanted(key, keys):
            continue
        if isinstance(ref, dict):
            phase = runtime.poll(ctx, ref).phase
            if phase in ("pending", "running", "absent"):  # absent: it may be half made
                runtime.cancel(ctx, ref)
            if phase in ("pending", "running"):
                ended.append(key)
        place.unlink(missing_ok=True)
    return ended


def _is_wanted(key: str, keys: Collection[str]) -> bool:
    parts = key.split("/")
    return any("/".join(parts[:count]) in keys for count in range(1, len(parts) + 1))


def _home(runtime: BatchRuntime, ctx: Services) -> Path:
    """Give the directory of this runtime: another cluster or engine has another one."""
    return ctx.state / "submitted" / f"{runtime.use}-{_short(runtime.model_dump_json())}"


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
