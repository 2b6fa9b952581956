"""Inputs and outputs of jobs by their addresses: brought once, held against their digests."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

from waystage.errors import Conflict, Hopeless, NotFound
from waystage.plugin import Context, JsonObject, Storage
from waystage_plugins.runtimes.files import read_json, write_json
from waystage_plugins.steps.jobs import use_up
from waystage_plugins.storage.address import Where, parse
from waystage_plugins.storage.files import digest_or_none, file_digest, write_file

T = TypeVar("T")
FINISHED = "finished.json"


class Input(NamedTuple):
    """What a job reads: the file, and the digest that it had when it was brought."""

    path: Path
    digest: str
    address: str


def bring(ctx: Context, name: str, address: str) -> Input:
    """Give an input as a file of this machine, the same one on every attempt of the step.

    A file is used where it is; what a connection has is copied into the step's own directory.
    Raises `Hopeless` when there is nothing.
    """
    place = _place(ctx, name)
    marker = place / "brought.json"
    told = read_json(marker)
    if told.get("address") == address:
        return Input(Path(str(told["path"])), str(told["digest"]), address)
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    where = _where(address)
    path = ctx.project / where.path
    if where.connection:
        path = place / _file_name(where)
        with _as_hopeless(address):
            _storage(ctx, address, where).read(ctx, where.path, path)
    digest = digest_or_none(path)
    if digest is None:
        raise Hopeless(f"input {address}: there is no file {path}")
    write_json(marker, {"address": address, "path": str(path), "digest": digest})
    return Input(path, digest, address)


def unchanged(ctx: Context, given: Input) -> None:
    """Hold an input against its digest after it was used; raises `Hopeless` when it changed.

    Who has the step tried again then has the job run anew, on the input as it is by then.
    """
    now = digest_or_none(given.path)
    if now != given.digest:
        what = "is gone" if now is None else f"has {now} now"
        shutil.rmtree(ctx.scratch / "inputs", ignore_errors=True)
        use_up(ctx)
        raise Hopeless(
            f"input {given.address} was {given.digest} when the job began and {what}: "
            f"what came of it counts for nothing; try again once the file stays as it is"
        )


def publish(ctx: Context, source: Path, address: str, *, replace: bool) -> str:
    """Bring an output to its address, whole or not at all, and give its digest.

    The same step brings it once. Raises `Hopeless` when something else is there, or when what
    it brought was changed after.
    """
    where, digest = _where(address), file_digest(source)
    marker = ctx.scratch / f"written-{_short(address)}.json"
    if told := read_json(marker).get("digest"):
        _still(ctx, address, str(told))
        return str(told)
    with _as_hopeless(address):
        if where.connection:
            storage = _storage(ctx, address, where)
            storage.write(ctx, source, where.path, key=ctx.key, replace=replace)
        else:
            write_file(source, ctx.project / where.path, key=ctx.key, replace=replace)
    _still(ctx, address, digest)
    write_json(marker, {"digest": digest})
    return digest


def check_target(ctx: Context, address: str) -> None:
    """Say before a job runs that its output could not be brought; raises `Hopeless`."""
    where = _where(address)
    if where.connection:
        _storage(ctx, address, where)
    elif (ctx.project / where.path).is_dir():
        raise Hopeless(f"output {address}: {ctx.project / where.path} is a directory: name a file")


def once(ctx: Context, outputs: tuple[str, ...], make: Callable[[], JsonObject]) -> JsonObject:
    """Give what a finished step answered before, after a crash that lost the answer, or make it.

    `outputs` are the addresses that it wrote; they are held against what was written.
    """
    told = read_json(ctx.scratch / FINISHED)
    if told:
        for address in outputs:
            _still(ctx, address, str(told["written"].get(address, "")))
        found: JsonObject = told["output"]
        return found
    made = make()
    written = {
        address: read_json(ctx.scratch / f"written-{_short(address)}.json").get("digest", "")
        for address in outputs
    }
    write_json(ctx.scratch / FINISHED, {"output": made, "written": written})
    # copies of inputs may be large, and a run may go on for months
    shutil.rmtree(ctx.scratch / "inputs", ignore_errors=True)
    return made


def _still(ctx: Context, address: str, digest: str) -> None:
    where = _where(address)
    with _as_hopeless(address):
        if where.connection:
            found = _storage(ctx, address, where).digest(ctx, where.path, key=ctx.key)
        else:
            found = digest_or_none(ctx.project / where.path)
    if found != digest:
        what = "is gone" if found is None else f"is {found} now"
        raise Hopeless(
            f"output {address} was written as {digest} and {what}: somebody changed it after; "
            f"put it back, or have it written elsewhere"
        )


def _storage(ctx: Context, address: str, where: Where) -> Storage:
    storage = ctx.storage(where.connection)
    if storage.scheme != where.scheme:
        own = f"{storage.scheme}://{where.connection}/…"
        raise Hopeless(f"{address}: connection {where.connection} is reached by {own}")
    if problem := storage.check(where.path):
        raise Hopeless(f"{address}: {problem}")
    return storage


def _where(address: str) -> Where:
    try:
        return parse(address)
    except ValueError as error:
        raise Hopeless(str(error)) from None


@contextmanager
def _as_hopeless(address: str) -> Iterator[None]:
    """Tell of what is not there, or is something else, as what only a person can mend."""
    try:
        yield
    except NotFound as error:
        raise Hopeless(f"{address}: {error}") from error
    except Conflict as error:
        raise Hopeless(
            f"{address}: {error}; say replace: true, or put what tells them apart into the name"
        ) from error


def _place(ctx: Context, name: str) -> Path:
    return ctx.scratch / "inputs" / f"{re.sub(r'[^a-z0-9]+', '-', name.lower())}-{_short(name)}"


def _file_name(where: Where) -> str:
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", where.path.rpartition("/")[2]).lstrip(".")
    return f"{plain}.jsonl" if where.scheme == "table" else plain or "input"


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
