"""The metrics that a training tells: finite numbers by name, from a file and from the manifest."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from waystage.errors import Hopeless
from waystage_plugins.repositories.manifest import read_manifest
from waystage_plugins.repositories.tree import MANIFEST

MOST_BYTES = 64 * 1024
MOST, LONGEST = 200, 100  # metrics, and characters of a name


def read_metrics(
    artifact: Path, outputs: Path, file: str | None, needs: tuple[str, ...]
) -> dict[str, float]:
    """Give the metrics of the model's manifest and of a file below `outputs`, if one is named.

    Raises `Hopeless`, naming file and metric, for what is no finite number, what both tell
    differently, and what is needed and missing.
    """
    place, told = artifact / MANIFEST, outputs / file if file else None
    metrics = _numbers(place, "metrics.", read_manifest(place).get("metrics") or {})
    own = _numbers(told, "", _parsed(told, outputs)) if told else {}
    for name in sorted(metrics.keys() & own.keys()):
        if metrics[name] != own[name]:
            raise Hopeless(
                f"{told}: {name} is {own[name]}, and {place} says {metrics[name]}: have one say it"
            )
    found = metrics | own
    if missing := [name for name in needs if name not in found]:
        names = ", ".join(sorted(found)) or "none"
        raise Hopeless(f"{told or place}: there is no metric {missing[0]}, only {names}")
    return found


def _numbers(place: Path, where: str, told: object) -> dict[str, float]:
    if not isinstance(told, dict):
        what = f"field {where.rstrip('.')}: " if where else ""
        raise Hopeless(f"{place}: {what}is not a map of name to number")
    if len(told) > MOST:
        raise Hopeless(f"{place}: has {len(told)} metrics, more than {MOST}")
    for name, value in told.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not _finite(value):
            raise Hopeless(f"{place}: field {where}{name}: is not a number")
        if not 0 < len(name) <= LONGEST:
            raise Hopeless(f"{place}: field {where}{name[:LONGEST]}: is no name of a metric")
    return {name: float(value) for name, value in told.items()}


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


def _parsed(place: Path, outputs: Path) -> Any:
    if not place.resolve().is_relative_to(outputs.resolve()):
        raise Hopeless(f"{place}: is a link that leads out of the job's directory")
    if not place.is_file():
        raise Hopeless(f"{place}: the job succeeded and wrote no such file")
    if place.stat().st_size > MOST_BYTES:
        raise Hopeless(f"{place}: is larger than {MOST_BYTES // 1024} KiB")
    try:
        return json.loads(place.read_text("utf-8"), parse_constant=_refuse, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise Hopeless(f"{place}: is no JSON that counts: {str(error)[:200]}") from None


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no number")


def _once(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    names = [name for name, _ in pairs]
    if len({*names}) != len(names):
        raise ValueError("a name is there twice")
    return dict(pairs)
