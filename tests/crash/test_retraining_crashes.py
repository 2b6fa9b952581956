"""A daemon killed anywhere between counting a training and registering it: one challenger."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fault_rows import FULL

from waystage.store import Store
from waystage.testing import FakeContext
from waystage_plugins.repositories.folder import Folder

RETRAINER = Path(__file__).with_name("retrainer.py")
PLACES = (
    "counted, and not committed",
    "ordered, and not called",
    "frozen, and not submitted",
    "before the job is submitted",
    "submitted, and not answered",
    "finished, and not looked at",
    "trained, and not committed",
    "trained, and not registered",
    "before it is registered",
    "registered, and not answered",
    "registered, and not committed",
)
# the others are played by `make faults`
TELLING = (
    "submitted, and not answered",
    "trained, and not committed",
    "registered, and not answered",
)
EXPECTED = {
    "outcomes": ["refused", "trained"],
    "jobs": 1,
    "versions": ["1", "2"],
    "parent": "credit/1",
    "run": True,
    "data": True,
    "metrics": {"ks": 0.4},
}
WHAT = {
    "fault": "SIGKILL while two runs of a service retrain",
    "promise": "one training, one challenger with its lineage; the other run is refused",
    "how": "eleven places from counting to the commit after registering, with real jobs; SQLite "
    "and PostgreSQL",
}

pytestmark = pytest.mark.slow


class Elsewhere(FakeContext):
    """A context whose project is at the root."""

    @property
    def project(self) -> Path:
        return self.root


def outcome(place: Path, url: str) -> dict[str, Any]:
    """Give how the runs ended, how many jobs there were, and what was registered."""
    found = Folder(path="models").snapshots(Elsewhere(place))
    store = Store(url)
    try:
        rows = store.runs()
    finally:
        store.close()
    newest = found[-1]
    return {
        "outcomes": sorted(row.outcome for row in rows),
        "jobs": len((place / "jobs.txt").read_text().splitlines()),
        "versions": [each.version for each in found],
        "parent": newest.lineage.parent,
        "run": newest.lineage.run in [row.id for row in rows if row.outcome == "trained"],
        "data": bool(newest.lineage.data),
        "metrics": newest.metrics,
    }


def played(scenes: list[list[Any]]) -> list[tuple[list[int], dict[str, Any]]]:
    """Play scenes; gives how the daemons of each ended, and what they left."""
    given = "".join(json.dumps(scene) + "\n" for scene in scenes)
    done = subprocess.run([sys.executable, str(RETRAINER)], input=given, capture_output=True,
                          text=True, timeout=600, check=False)  # fmt: skip
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == len(scenes), done.stderr
    return [(ended, outcome(Path(place), url)) for place, url, _, _, ended in told]


def on_sqlite(place: Path, where: str, *, planted: bool = False) -> list[Any]:
    return [str(place), f"sqlite:///{place}.db", where, planted]


def hold(scenes: list[list[Any]]) -> None:
    for scene, (ended, found) in zip(scenes, played(scenes), strict=True):
        assert ended == [-signal.SIGKILL, 0], scene
        assert found == EXPECTED, scene


def test_a_daemon_killed_anywhere_leaves_one_training_and_one_challenger(
    tmp_path: Path, record: Any
) -> None:
    places = PLACES if FULL else TELLING
    hold([on_sqlite(tmp_path / str(number), where) for number, where in enumerate(places)])
    record(**WHAT, tried=len(places), wrong=0)


def test_so_it_is_on_postgresql(tmp_path: Path, shared_postgres: Any, record: Any) -> None:
    places = PLACES if FULL else PLACES[:1]
    hold(
        [
            [str(tmp_path / str(number)), shared_postgres.database(), where, False]
            for number, where in enumerate(places)
        ]
    )
    record(**WHAT, tried=len(places), wrong=0)


def test_without_a_crash_it_is_the_same_and_a_planted_bug_is_found(
    tmp_path: Path, record: Any
) -> None:
    scenes = [
        on_sqlite(tmp_path / "calm", ""),
        on_sqlite(tmp_path / "bug", "registered, and not answered", planted=True),
    ]
    (calm, planted) = played(scenes)
    assert calm == ([0], EXPECTED)
    assert planted[1]["versions"] == ["1", "2", "3"]
    record(**WHAT, tried=0, wrong=0, caught="a key that another daemon does not know: found")
