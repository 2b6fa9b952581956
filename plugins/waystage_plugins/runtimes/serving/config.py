"""What a server should serve: a file that the runtime writes and the server follows."""

from __future__ import annotations

from pathlib import Path
from typing import Self, TypeVar

from pydantic import ValidationError

from waystage.plugin import JsonObject, Role, Snapshot
from waystage.plugin.answers import Speech
from waystage.plugin.values import Value
from waystage_plugins.repositories.tree import write_durably
from waystage_plugins.runtimes.numbers import number_among

CONFIG = "config.json"
SERVER = "server.json"  # pid and port, written by the server once it listens
FAILURE = "failure.json"  # why the server ended by itself
LOG = "log.txt"
UNLOADABLE = "unloadable.json"  # versions that could not be loaded, and why
VERSIONS = "/waystage/versions"  # where the server tells the runtime what it holds
PROBE_HEADER = "X-Waystage-Probe"


class Entry(Value):
    """One deployment: a version in a role, by the call that made it.

    `asked` counts how often it was asked for again after it could not be loaded. Of `mirror`
    percent of the champion's requests a challenger gets a copy; `share` percent of the service's
    requests it answers in the champion's place.
    """

    number: int
    snapshot: Snapshot
    role: Role
    key: str
    asked: int = 0
    mirror: int = 0
    share: int = 0

    @property
    def deployment(self) -> str:
        """What tells it from a later deployment of the same version."""
        return f"{self.number} {self.key}"


class Config(Value):
    """All deployments of one service in one stage, the latest last."""

    model: str
    stage: str
    port: int = 0
    fixed: bool = False
    speaks: tuple[Speech, ...] = ("rest",)  # what its endpoints are
    grpc_port: int = 0
    grpc_fixed: bool = False
    threads: int = 1
    memory_mb: int | None = None
    max_log_bytes: int = 5_000_000
    scoring_log: JsonObject | None = None
    revision: int = 0
    entries: tuple[Entry, ...] = ()

    @property
    def numbers(self) -> dict[int, str]:
        """Which snapshot each version number stands for."""
        return {entry.number: entry.snapshot.id for entry in self.entries}

    def snapshot_of(self, number: int) -> Snapshot | None:
        """Give the snapshot that a version number stands for."""
        return next((e.snapshot for e in reversed(self.entries) if e.number == number), None)

    def number_of(self, snapshot: Snapshot) -> int:
        """Give the version number that a snapshot has, or would get."""
        return number_among(snapshot.id, self.numbers)

    def find(self, number: int, role: str) -> Entry | None:
        """Give the deployment of a version in a role."""
        return next((e for e in self.entries if (e.number, e.role) == (number, role)), None)

    def asked(self, number: int) -> int:
        """Count how often a version was asked for, over its roles."""
        return sum(entry.asked + 1 for entry in self.entries if entry.number == number)

    def with_entry(self, entry: Entry, *, again: bool, latest: bool = True) -> Self:
        """Add a deployment as the latest; the same call twice leaves its place.

        With `again` a version that could not be loaded is to be tried once more. Without
        `latest` one that is not there yet comes before all others.
        """
        known = self.find(entry.number, entry.role)
        more = {"asked": (known.asked if known else 0) + int(again)}
        if known and known.key == entry.key:
            more |= {"mirror": known.mirror, "share": known.share}
        entry = entry.model_copy(update=more)
        if known and known.key == entry.key:
            entries = tuple(entry if each is known else each for each in self.entries)
        else:
            others = tuple(each for each in self.entries if each is not known)
            if entry.role == "champion":  # it gets all requests until they are shared anew
                others = _unshared(others)
            entries = (*others, entry) if latest else (entry, *others)
        return self._next(entries)

    @property
    def copied_to(self) -> Entry | None:
        """The challenger that copies go to: one, as the log keeps one for each request's id."""
        return next((e for e in self.entries if e.role == "challenger" and e.mirror), None)

    def mirrored(self, number: int, percent: int) -> Self:
        """Have this share of the champion's requests copied to a challenger."""
        return self._next(tuple(
            each.model_copy(update={"mirror": percent})
            if (each.number, each.role) == (number, "challenger") else each
            for each in self.entries
        ))  # fmt: skip

    @property
    def shared_with(self) -> Entry | None:
        """The challenger that answers a share of the requests; one at a time does."""
        return next((e for e in self.entries if e.role == "challenger" and e.share), None)

    def shared(self, number: int, percent: int) -> Self:
        """Have a challenger, and no other one, answer this share of the requests."""
        return self._next(tuple(
            each.model_copy(update={"share": percent})
            if (each.number, each.role) == (number, "challenger") else each
            for each in _unshared(self.entries)
        ))  # fmt: skip

    def without(self, number: int, role: str) -> Self:
        """Take a deployment away; the champion gets all requests until they are shared anew."""
        gone = self.find(number, role)
        return self._next(_unshared(tuple(each for each in self.entries if each is not gone)))

    def _next(self, entries: tuple[Entry, ...]) -> Self:
        return self.model_copy(update={"entries": entries, "revision": self.revision + 1})


def _unshared(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    return tuple(e.model_copy(update={"share": 0}) if e.share else e for e in entries)


C = TypeVar("C", bound=Config)


def read_config(directory: Path, kind: type[C]) -> C | None:
    """Read what the directory's server should serve; None when there is nothing to read."""
    try:
        return kind.model_validate_json((directory / CONFIG).read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None


def write_config(directory: Path, config: Config) -> None:
    """Replace it in one durable move."""
    write_durably(directory / CONFIG, config.model_dump_json(indent=1).encode())
