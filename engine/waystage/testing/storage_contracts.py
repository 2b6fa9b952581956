"""What every storage must hold to; authors call this from their own tests."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from waystage.errors import Conflict, Hopeless, NotFound
from waystage.plugin import JsonObject, Storage
from waystage.testing.context import FakeContext
from waystage.testing.contracts import no_secret_told


def check_storage(
    storage: Storage,
    ctx: FakeContext,
    path: str,
    rows: tuple[list[JsonObject], list[JsonObject]],
    *,
    missing: str,
    adds: bool = False,
) -> None:
    """What is written is there once per key, whole, and is read back as it was.

    `rows` are two files of JSON lines that the path can take; nothing is there before. `missing`
    is a path that nothing lies at. A storage that `adds` keeps what others wrote beside it.
    """
    with no_secret_told(ctx):
        first, second = (_file(ctx, number, each) for number, each in enumerate(rows))
        _check_missing(storage, ctx, missing)
        assert storage.digest(ctx, path, key="k1") is None, "nothing was written, and it is there"
        for _ in range(2):
            storage.write(ctx, first, path, key="k1", replace=False)
            assert _read(storage, ctx, path) == rows[0], "what is read is not what was written"
        assert storage.digest(ctx, path, key="k1") == _digest(first), "the digest is another"
        _check_another(storage, ctx, path, second, rows, adds=adds)
        storage.write(ctx, second, path, key="k3", replace=True)
        assert _read(storage, ctx, path) == rows[1], "replacing it left something else"
        storage.write(ctx, second, path, key="k3", replace=True)
        assert storage.digest(ctx, path, key="k3") == _digest(second), "the digest is another"


def _check_missing(storage: Storage, ctx: FakeContext, missing: str) -> None:
    into = ctx.scratch / "missing"
    try:
        storage.read(ctx, missing, into)
    except (NotFound, Hopeless):
        return
    raise AssertionError(f"{missing} is not there, and was read")


def _check_another(
    storage: Storage,
    ctx: FakeContext,
    path: str,
    second: Path,
    rows: tuple[list[JsonObject], list[JsonObject]],
    *,
    adds: bool,
) -> None:
    if adds:
        storage.write(ctx, second, path, key="k2", replace=False)
        assert _read(storage, ctx, path) == rows[0] + rows[1], "rows were not added"
        return
    try:
        storage.write(ctx, second, path, key="k2", replace=False)
    except Conflict:
        assert _read(storage, ctx, path) == rows[0], "what was refused was written nevertheless"
        return
    raise AssertionError("another key's output was overwritten")


def _read(storage: Storage, ctx: FakeContext, path: str) -> list[JsonObject]:
    into = ctx.scratch / "read-back"
    into.unlink(missing_ok=True)
    storage.read(ctx, path, into)
    return [json.loads(line) for line in into.read_text().splitlines()]


def _file(ctx: FakeContext, number: int, rows: list[JsonObject]) -> Path:
    place = ctx.scratch / f"rows-{number}.jsonl"
    place.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return place


def _digest(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
