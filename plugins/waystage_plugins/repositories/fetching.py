"""Bringing a snapshot's files over: beside their place first, whole and unchanged or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from waystage.errors import Hopeless
from waystage.plugin import Services, Snapshot
from waystage_plugins.repositories.layout import INCOMING
from waystage_plugins.repositories.tree import difference, sync_directory, tree_digest

T = TypeVar("T")


def place_of(into: Path, snapshot: Snapshot) -> Path:
    """Give the directory that a snapshot's files stand in once they are fetched."""
    return into / f"{snapshot.name}-{snapshot.version}"


@contextmanager
def arriving(into: Path, snapshot: Snapshot) -> Iterator[Path]:
    """Give where to bring the files; at the end they get their place, unless something raises."""
    target = place_of(into, snapshot)
    shutil.rmtree(target, ignore_errors=True)
    beside = into / f"{INCOMING}{uuid4().hex}"
    try:
        yield beside
        beside.rename(target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    sync_directory(into)


def changed(snapshot: Snapshot, copied: dict[str, str]) -> str:
    """Say how a copy differs from what the snapshot pins, by file and digest; empty if it is it."""
    other = difference(snapshot.files, copied) if snapshot.files else ""
    digest = tree_digest(copied)
    return other or ("" if digest == snapshot.digest else f"its digest is {digest}")


def readable(ctx: Services, offered: Iterable[T], read: Callable[[T], Snapshot]) -> list[Snapshot]:
    """Read what is offered; what cannot be read is logged and left out."""
    found = []
    for each in offered:
        try:
            found.append(read(each))
        except Hopeless as error:
            ctx.log.warning("model version left out: %s", error)
    return found
