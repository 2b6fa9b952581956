"""An evidence pack of a run or a service: what was decided on what, and the proof of it.

Nothing in it says when it was made, but when the newest thing in it happened: the same database
gives the same pack.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from waystage import __version__
from waystage.daemon.decided import decisions
from waystage.daemon.reporting import MOST, report_of
from waystage.daemon.subject import Which
from waystage.errors import NotFound
from waystage.report import follow
from waystage.report.card import card_of
from waystage.report.model import Report
from waystage.report.pack import File, Pack, PackUnfit, packed
from waystage.report.page import page
from waystage.store import RunRow
from waystage.store.audit import unmoved
from waystage.store.export import Export, Exported
from waystage.store.heads import AuditUnfit, HeadsFile, write_heads

if TYPE_CHECKING:
    from waystage.daemon.daemon import Daemon

README = """Evidence about {subject} of the project {project}, as it was on {at} (UTC).

Without Waystage, in the directory of the unpacked files:
Check that no file was changed:   sha256sum -c SHA256SUMS
Follow the hash chains:           python3 follow.py (which says how a hash is made)
A definition's digest:            sha256sum definitions/NAME.json

With it:
All of that at once:              waystage evidence verify THIS.zip
One run's hash chain alone:       waystage audit verify --file history/RUN.jsonl
Hold the database to this pack:   waystage audit verify --head audit-heads.jsonl

Whoever can write the database could also make a pack. What makes it evidence is that it, or its
digest alone (sha256sum THIS.zip), was kept elsewhere at the time.

{files}
"""


def evidence(daemon: Daemon, what: str) -> bytes:
    """Give the pack of a run, or of a service with all runs that brought a version to its stage.

    A run that never came anywhere, as a model that was rejected, has no report. Raises `NotFound`.
    """
    run = daemon.store.run(what)
    first = _report(daemon, what, run)
    names = [run.id] if run else [each.run for each in first.versions] if first else []
    rows = [row for name in dict.fromkeys(names) if (row := daemon.store.run(name)) is not None]
    times = [each.at for each in first.measurements] if first else []
    at = max([*times, *(row.changed_at for row in rows)])
    report = _report(daemon, what, run, at)
    project = daemon.files.project.spec.project
    files = [*_shown(report), *_told(daemon, rows), *_proof(daemon, rows, project, at)]
    told = {"subject": what, "project": project, "at": at.isoformat(),
            "made_by": __version__, "runs": [row.id for row in rows]}  # fmt: skip
    listed = "\n".join(f"{each.path}\n    {each.about}" for each in files)
    text = README.format(subject=what, project=project, at=at.isoformat(), files=listed)
    return packed([*files, File("README.txt", text.encode(), "what this is")], told)


def _report(
    daemon: Daemon, what: str, run: RunRow | None, now: datetime | None = None
) -> Report | None:
    if run is None:
        return report_of(daemon, Which(what), now=now)
    try:
        return report_of(daemon, Which(run.service, run=run.id), now=now)
    except NotFound:
        return None


def verified(path: Path) -> tuple[dict[str, Any], list[str]]:
    """Give what a pack says of itself, and what is wrong with it; raises `PackUnfit`."""
    pack = Pack(path)
    return pack.manifest, [*pack.findings(), *_deeper(pack)]


def _shown(report: Report | None) -> Iterator[File]:
    """Give what people read."""
    if report is None:
        return
    card = card_of(report)
    yield File("report.html", page(report).encode(), "the report, for any browser")
    yield File("report.json", _json(report.model_dump(mode="json")), "the same as data")
    yield File("model-card.md", card.markdown().encode(), "the model card")
    yield File("model-card.json", _json(card.model_dump(mode="json")), "the same as data")


def _told(daemon: Daemon, rows: Sequence[RunRow]) -> Iterator[File]:
    """Give decisions, measurements, manifests and definitions of the runs."""
    decided: list[Any] = []
    named: set[str] = set()
    for row in rows:
        history = daemon.store.history(row.id, limit=MOST)
        found = decisions(history, row.id, row.snapshot)
        decided += [each.model_dump(mode="json") for each in found]
        named |= follow.went_by(each.event for each in history)
    yield File(
        "decisions.json", _json(decided), "what people decided, and what comparisons came to"
    )
    yield File("measurements.json", _json(list(_measured(daemon, rows))), "every measurement")
    about = "the manifest of the snapshot, with the digest of each of its files"
    for name, run in {row.snapshot: row.id for row in rows}.items():
        body = daemon.store.run_body(run) or {}
        yield File(f"snapshots/{name}.json", _json(body.get("snapshot", {})), about)
    yield from _definitions(daemon, sorted(named))


def _measured(daemon: Daemon, rows: Sequence[RunRow]) -> Iterator[dict[str, Any]]:
    ids = {row.id for row in rows}
    for service in dict.fromkeys(row.service for row in rows):
        for row in daemon.store.measurements(service=service, limit=MOST):
            if row.run in ids:
                yield {
                    "monitor": row.monitor, "use": row.use, "service": row.service,
                    "stage": row.stage, "snapshot": row.snapshot, "run": row.run,
                    "start": row.start.isoformat(), "end": row.end.isoformat(),
                    "at": row.at.isoformat(), "verdict": row.verdict, "by_hand": row.by_hand,
                    "body": row.body,
                }  # fmt: skip


def _definitions(daemon: Daemon, digests: Sequence[str]) -> Iterator[File]:
    files = {each.digest: each for each in daemon.files.lifecycles.values()}
    for digest in digests:
        body = daemon.store.definition(digest)
        if body is None:
            continue
        name = f"definitions/{body['lifecycle']}-{digest[:12]}"
        about = f"the lifecycle as it ran; its SHA-256 is the definition's digest, {digest}"
        yield File(f"{name}.json", _canonical(body), about)
        text = yaml.safe_dump(body, sort_keys=False, allow_unicode=True)
        yield File(f"{name}.yaml", text.encode(), "the same, for reading")
        if digest in files:
            yield File(f"{name}.source.yaml", files[digest].source.text.encode(),
                       "the file that says it, as the project has it now")  # fmt: skip


def _proof(
    daemon: Daemon, rows: Sequence[RunRow], project: str, at: datetime
) -> Iterator[File]:  # fmt: skip
    """Give histories with their hash chains, and the heads of them, as one moment has them."""
    told = {"project": project, "at": at.isoformat()}
    with tempfile.TemporaryDirectory() as place, unmoved(daemon.store.engine) as connection:
        for row in rows:
            path = Path(place) / "history.jsonl"
            export = Export(connection, path)
            try:
                export.history(row.no)
                export.beside(row.no)
                export.close(**told)
            except BaseException:
                export.abandon()
                raise
            about = "the whole history with its hash chain, as `waystage audit export` has it"
            yield File(f"history/{row.id}.jsonl", path.read_bytes(), about)
        path = Path(place) / "heads.jsonl"
        write_heads(connection, path, told, [row.no for row in rows])
        yield File("audit-heads.jsonl", path.read_bytes(), "how far each history had come")
    program = Path(follow.__file__).read_bytes()
    yield File("follow.py", program, "follows the hash chains with nothing but Python")


def _deeper(pack: Pack) -> Iterator[str]:
    """Hold histories to their chains and heads, and definitions to what the histories name."""
    named: set[str] = set()
    with tempfile.TemporaryDirectory() as place:
        heads = _heads(pack, Path(place))
        for name, body in sorted(pack.bodies.items()):
            if name.startswith("history/"):
                path = Path(place) / "history.jsonl"
                path.write_bytes(body)
                yield from _chain(name, path, heads)
                named |= _named(body)
    definitions = {name: body for name, body in pack.bodies.items()
                   if name.startswith("definitions/") and name.endswith(".json")}  # fmt: skip
    for name, body in definitions.items():
        if not name.endswith(f"-{hashlib.sha256(body).hexdigest()[:12]}.json"):
            yield f"{name} is not the definition whose digest it is named by"
    yield from follow.misfits(definitions, named)


def _named(history: bytes) -> set[str]:
    """Give the definitions that a history names; none where it cannot be read, which is told."""
    try:
        return follow.named_in([json.loads(line) for line in history.splitlines()])
    except follow.BROKEN:
        return set()


def _heads(pack: Pack, place: Path) -> dict[str, tuple[int, str]]:
    path = place / "heads.jsonl"
    path.write_bytes(pack.bodies.get("audit-heads.jsonl", b""))
    try:
        return {each.run: (each.rows, each.head.hex()) for each in HeadsFile(path)}
    except AuditUnfit as error:
        raise PackUnfit(f"audit-heads.jsonl: {error}") from error


def _chain(name: str, path: Path, heads: dict[str, tuple[int, str]]) -> Iterator[str]:
    try:
        for finding in Exported(path).findings():
            yield f"{name}: {str(finding).removeprefix(f'{path}: ')}"
    except AuditUnfit as error:
        yield f"{name}: {str(error).removeprefix(f'{path}: ')}"
        return
    runs = [json.loads(line) for line in path.read_bytes().splitlines()]
    for run in (each for each in runs if each["kind"] == "run"):
        if heads.get(run["id"]) != (run["revision"], run["head"]):
            yield f"{name}: its head is not the one in audit-heads.jsonl"


def _canonical(body: dict[str, Any]) -> bytes:
    """Write a definition as its digest was made of it."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _json(value: Any) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"
