"""The contract suite of storages finds what breaks it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, ClassVar

import pytest

from waystage.errors import Conflict, NotFound
from waystage.plugin import Services, Storage
from waystage.testing import FakeContext
from waystage.testing.storage_contracts import check_storage
from waystage_plugins.storage.files import digest_or_none

ROWS: Any = ([{"id": 1}], [{"id": 2}])


class Shelf(Storage):
    """Keep files in a directory; stands for a storage of somebody's own."""

    use: ClassVar[str] = "test.shelf"
    scheme: ClassVar[str] = "shelf"
    home: Path

    def read(self, ctx: Services, path: str, into: Path) -> None:
        if not (self.home / path).exists():
            raise NotFound(f"there is no {path}")
        shutil.copyfile(self.home / path, into)

    def write(self, ctx: Services, source: Path, path: str, *, key: str, replace: bool) -> None:
        target, owner = self.home / path, self.home / f"{path}.key"
        if target.exists() and not replace and owner.read_text() != key:
            raise Conflict(f"{path} is there already")
        shutil.copyfile(source, target)
        owner.write_text(key)

    def digest(self, ctx: Services, path: str, *, key: str) -> str | None:
        return digest_or_none(self.home / path)


class Careless(Shelf):
    """Overwrite what others wrote."""

    use: ClassVar[str] = "test.careless"

    def write(self, ctx: Services, source: Path, path: str, *, key: str, replace: bool) -> None:
        super().write(ctx, source, path, key=key, replace=True)


class Stuttering(Shelf):
    """Add to what is there each time, also for the same key."""

    use: ClassVar[str] = "test.stuttering"

    def write(self, ctx: Services, source: Path, path: str, *, key: str, replace: bool) -> None:
        with (self.home / path).open("ab") as file:
            file.write(source.read_bytes())


class Inventive(Shelf):
    """Give something also where there is nothing."""

    use: ClassVar[str] = "test.inventive"

    def read(self, ctx: Services, path: str, into: Path) -> None:
        if (self.home / path).exists():
            super().read(ctx, path, into)
        else:
            into.write_text("{}\n")


class Talking(Shelf):
    """Log the password."""

    use: ClassVar[str] = "test.talking"

    def write(self, ctx: Services, source: Path, path: str, *, key: str, replace: bool) -> None:
        ctx.log.warning("as %s", ctx.secret("env/PASSWORD"))
        super().write(ctx, source, path, key=key, replace=replace)


def check(kind: type[Shelf], tmp_path: Path) -> None:
    ctx = FakeContext(tmp_path / "world", secrets={"env/PASSWORD": "geheim-und-lang"})
    (tmp_path / "home").mkdir()
    check_storage(kind(home=tmp_path / "home"), ctx, "a.jsonl", ROWS, missing="b.jsonl")


def test_a_storage_that_keeps_its_promises_passes(tmp_path: Path) -> None:
    check(Shelf, tmp_path)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (Careless, "another key's output was overwritten"),
        (Stuttering, "what is read is not what was written"),
        (Inventive, "is not there, and was read"),
        (Talking, "secret"),
    ],
)
def test_a_storage_that_breaks_one_is_found(kind: type[Shelf], told: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=told):
        check(kind, tmp_path)
