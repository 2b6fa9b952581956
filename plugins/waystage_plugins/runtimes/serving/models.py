"""The versions that a server holds: loaded side by side, labels moved once they are loaded."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from waystage.errors import Hopeless
from waystage.plugin import Snapshot
from waystage_plugins.repositories.tree import tree_digest, tree_files
from waystage_plugins.runtimes.files import read_json, write_json
from waystage_plugins.runtimes.onnx_model import OnnxModel
from waystage_plugins.runtimes.serving.config import UNLOADABLE, Config, Entry

# how allocators and ONNX Runtime say that there is no memory left
NO_MEMORY = re.compile(r"bad_?alloc|allocate memory|out of memory|MemoryError", re.IGNORECASE)
MORE = "give the runtime more memory_mb"
State = Literal["LOADING", "AVAILABLE", "END"]


@dataclass(frozen=True)
class Version:
    """One version: what it is and whether it answers. `asked` as in the config."""

    number: int
    snapshot: Snapshot
    asked: int
    state: State = "LOADING"
    reason: str = ""
    error: str = ""
    digest: str = ""
    model: OnnxModel | None = None


@dataclass(frozen=True)
class Table:
    """What a request sees: replaced as a whole, so that no request sees half a change."""

    config: Config
    versions: Mapping[int, Version] = field(default_factory=dict)

    @property
    def labels(self) -> dict[str, int]:
        """Each role's latest version that answers: the old one keeps it until the new one does."""
        found: dict[str, int] = {}
        for entry in self.config.entries:
            version = self.versions.get(entry.number)
            if version is not None and version.model is not None:
                found[entry.role] = entry.number
        return found

    @property
    def mirrored(self) -> tuple[Version, Entry] | None:
        """The challenger that gets copies of the champion's requests; the latest need not be it."""
        entry = self.config.copied_to
        version = self.versions.get(entry.number) if entry else None
        return (version, entry) if entry and version and version.model else None

    def shared(self, name: str) -> Version | None:
        """The challenger that answers the request `name`: always the same one, while shares last.

        Which requests it gets has nothing to do with which of the champion's are copied.
        """
        entry = self.config.shared_with
        version = self.versions.get(entry.number) if entry else None
        if entry is None or version is None or version.model is None:
            return None
        return version if zlib.crc32(f"share {name}".encode()) % 100 < entry.share else None

    def role_of(self, number: int) -> str:
        """Give the role in which a version answers those who ask for it by its number."""
        roles = {entry.role for entry in self.config.entries if entry.number == number}
        return "challenger" if roles == {"challenger"} else "champion"


class Models:
    """Loads and unloads as the config says."""

    def __init__(self, directory: Path, config: Config) -> None:
        self.directory = directory
        self.table = Table(config)

    def follow(self, config: Config) -> None:
        """Load what is new, then let go of what is not wanted."""
        wanted = {n: s for n in config.numbers if (s := config.snapshot_of(n))}
        kept = {n: v for n, v in self.table.versions.items() if wanted.get(n) == v.snapshot}
        missing = [n for n in wanted if _to_load(kept.get(n), config.asked(n))]
        for number in missing:
            kept[number] = Version(number, wanted[number], config.asked(number))
        # announced before loading, which may take long
        self.table = Table(config, dict(kept))
        for number in missing:
            kept[number] = self._load(kept[number])
            self.table = Table(config, dict(kept))

    def _load(self, version: Version) -> Version:
        failed = read_json(self.directory / UNLOADABLE)
        known = failed.get(str(version.number))
        if known and known["asked"] == version.asked:
            # a restart alone must not bring back what a run has given up
            return _ended(version, known["reason"], known["error"])
        loaded = load(self.directory / "models", version, self.table.config.threads)
        if loaded.state == "END":
            failed[str(version.number)] = {
                "asked": loaded.asked, "reason": loaded.reason, "error": loaded.error
            }  # fmt: skip
            with suppress(OSError):  # a full disk leaves it to be found out again
                write_json(self.directory / UNLOADABLE, failed)
        return loaded


def load(models: Path, version: Version, threads: int) -> Version:
    """Load a version from its files, whose digest must be the snapshot's."""
    directory = models / str(version.number)
    try:
        digest = tree_digest(tree_files(directory))
        if digest != version.snapshot.digest:
            return _ended(version, "digest_mismatch", f"its files have digest {digest}")
        model = OnnxModel(directory, version.snapshot, threads=threads)
        model.warm_up(list(version.snapshot.example))
    except Hopeless as error:
        if NO_MEMORY.search(str(error)):
            return _ended(version, "out_of_memory", f"{error}; {MORE}")
        return _ended(version, "bad_model", str(error))
    except MemoryError:
        return _ended(version, "out_of_memory", f"it does not fit into the memory; {MORE}")
    except Exception as error:  # noqa: BLE001  # whatever is wrong with a model, the others go on
        return _ended(version, "load_failed", f"{type(error).__name__}: {error}")
    return Version(
        version.number, version.snapshot, version.asked, "AVAILABLE", digest=digest, model=model
    )


def _to_load(known: Version | None, asked: int) -> bool:
    return known is None or (known.model is None and known.asked != asked)


def _ended(version: Version, reason: str, error: str) -> Version:
    print(f"version {version.number} ({version.snapshot.id}): {reason}: {error}", flush=True)
    return Version(
        version.number, version.snapshot, version.asked, "END", reason=reason, error=error
    )
