"""Changed files: looked at while the daemon runs, proved first, and taken up only if they hold.

Open runs keep the text that they are pinned to. What the daemon is built on (database, plugins,
repositories, scoring log, where it listens) is taken up at its next start.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from waystage.errors import Invalid, Problem, WaystageError
from waystage.spec.load import ProjectFiles, load_project
from waystage.store import rare
from waystage.store.codec import micros

if TYPE_CHECKING:
    from waystage.daemon.daemon import Daemon
    from waystage.daemon.transaction import Transaction

log = logging.getLogger("waystage.daemon")
AT_START = ("project", "database", "plugins", "repositories", "scoring_log", "listen", "execution")
Fingerprint = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class Taken:
    """What a change brought: lifecycles with their hash before and after, and what waits."""

    lifecycles: dict[str, tuple[str, str]] = field(default_factory=dict)
    at_start: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = [_said(name, *hashes) for name, hashes in self.lifecycles.items()]
        if self.at_start:
            parts.append(f"{', '.join(self.at_start)} of waystage.yaml at the next start")
        return "; ".join(parts) or "no lifecycle changed"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Files that were not taken up, since when and why."""

    since: datetime
    problems: tuple[Problem, ...]


class Files:
    """What the daemon knows about the project's files."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._seen = fingerprint(daemon.root)
        self._changing: Fingerprint | None = None
        self.refusal: Refusal | None = None
        self.at_start: tuple[str, ...] = ()

    def look(self) -> Taken | None:
        """Take changed files up once they rest; files that are being written are left alone."""
        now = fingerprint(self._daemon.root)
        if now == self._seen:
            self._changing = None
            return None
        if now != self._changing:
            self._changing = now
            return None
        try:
            return self.take()
        except WaystageError:
            return None  # told by take()

    def take(self) -> Taken:
        """Take the files up; raises `Invalid`, changing nothing, if they do not hold."""
        self._seen, self._changing = fingerprint(self._daemon.root), None
        try:
            taken = _take(self._daemon)
        except Invalid as error:
            self._refuse(error.problems)
            raise
        except WaystageError as error:
            self._refuse((Problem(error.code, str(error)),))
            raise
        was_refused, self.refusal = self.refusal is not None, None
        self.at_start = taken.at_start
        log.info("changed files are taken up: %s", taken)
        if was_refused:
            self._tell("The project's files hold again", str(taken), "info")
        return taken

    def state(self) -> dict[str, Any]:
        """Give what a person should know."""
        refused = self.refusal
        return {
            "ok": refused is None,
            "since": refused.since if refused else None,
            "problems": [asdict(problem) for problem in refused.problems] if refused else [],
            "at_start": list(self.at_start),
        }

    def _refuse(self, problems: tuple[Problem, ...]) -> None:
        if self.refusal is not None and self.refusal.problems == problems:
            return  # told already
        self.refusal = Refusal(self._daemon.clock.now(), problems)
        lines = [f"{problem} [{problem.code}]" for problem in problems]
        log.warning("changed files are not taken up: %s", "; ".join(lines))
        text = "\n".join(["New runs go on by the files as they were before.", *lines[:20]])
        self._tell("Changed files have problems and are not taken up", text, "warn")

    def _tell(self, title: str, text: str, level: str) -> None:
        """Write to `notify_channel`, by the outbox as all messages."""
        engine = self._daemon.engine

        def write(tx: Transaction) -> None:
            at = micros(tx.now)
            body = {"state": "", "title": title, "text": text, "level": level, "service": "",
                    "run": "", "at": tx.now.isoformat()}  # fmt: skip
            tx.batch.rest.append(rare.send_message(f"files/{engine.owner}/{at}", body, at))
            tx.rings_at(at)

        engine.act(write)


def _take(daemon: Daemon) -> Taken:
    from waystage.daemon.daemon import refuse_problems

    found = load_project(daemon.root)
    refuse_problems(found, daemon.catalog)
    before, files = daemon.files, _as_built(daemon.files, found)
    daemon.use(files)
    old, new = before.project.spec, found.project.spec
    waits = [name for name in AT_START if getattr(old, name) != getattr(new, name)]
    was = {name: loaded.digest for name, loaded in before.lifecycles.items()}
    now = {name: loaded.digest for name, loaded in files.lifecycles.items()}
    changed = {name: (was.get(name, ""), now.get(name, "")) for name in {**was, **now}
               if was.get(name) != now.get(name)}  # fmt: skip
    return Taken(changed, tuple(waits))


def _as_built(before: ProjectFiles, found: ProjectFiles) -> ProjectFiles:
    """Give the new files with what the daemon was built on left as it was."""
    kept = {name: getattr(before.project.spec, name) for name in AT_START}
    spec = found.project.spec.model_copy(update=kept)
    return replace(found, project=replace(found.project, spec=spec))


def fingerprint(root: Path) -> Fingerprint:
    """Give name, time and size of every file that makes up the project."""
    found = []
    folders = [root / "lifecycles", root / "stages"]
    for path in (root / "waystage.yaml", *(p for f in folders for p in sorted(f.rglob("*.y*ml")))):
        try:
            stat = path.stat()
        except FileNotFoundError:
            continue  # just taken away
        found.append((str(path), stat.st_mtime_ns, stat.st_size))
    return tuple(found)


def _said(name: str, before: str, after: str) -> str:
    if not before:
        return f"{name} is new"
    return f"{name} {before[:12]} → {after[:12]}" if after else f"{name} is gone"
