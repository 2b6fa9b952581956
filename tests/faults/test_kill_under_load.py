"""A daemon under load is killed again and again at random moments."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fault_rows import scaled

from waystage.store import Store

TOOL = Path(__file__).parents[1] / "helpers" / "load_killer.py"
RUNS = scaled(full=80, part=12)
WAY = ["moved first done rest", "moved rest over last", "moved last done inner",
       "moved inner done end"]  # fmt: skip
FAULT = {
    "fault": "SIGKILL of a daemon under load",
    "promise": "every run ends as a calm one: each transition and each effect once",
    "how": f"{RUNS} runs at once; killed at random moments, started again, until all have ended; "
    "SQLite and PostgreSQL",
}


class Scene:
    """A directory for effects, a database, and daemons that follow each other."""

    def __init__(self, place: Path, url: str) -> None:
        self.place, self.url = place, url
        place.mkdir()

    def play(self, kills: int, seed: int, **environment: str) -> dict[str, int]:
        """Kill daemons, and let the last one see all to its end."""
        more = os.environ | environment | {"WAYSTAGE_NO_QUARANTINE": "1"}
        words = [str(self.place), self.url, str(RUNS), str(kills), str(seed)]
        done = subprocess.run(
            [sys.executable, str(TOOL), *words], env=more, stdout=subprocess.PIPE, text=True,
            timeout=600, check=True,
        )  # fmt: skip
        told: dict[str, int] = json.loads(done.stdout)
        return told

    def wrong(self) -> int:
        """Count the runs that did not end as they were to."""
        store, effects = Store(self.url), (self.place / "effects.txt").read_text().splitlines()
        try:
            runs = [run for run in store.runs(limit=10_000) if run.lifecycle == "crashed"]
            bad = sum(self._is_wrong(store, run, effects) for run in runs)
            return bad + abs(len(runs) - RUNS) + len(effects) - len(set(effects))
        finally:
            store.close()

    def _is_wrong(self, store: Store, run: Any, effects: list[str]) -> bool:
        moves = [" ".join(r[:4]) for row in store.history(run.id) for r in row.records]
        children = store.children(run.id)
        wanted = {f"{run.id}/1/{name}" for name in ("quick", "slow", "later")} | {f"{run.id}/3/0"}
        wanted |= {f"{child.id}/1/0" for child in children}
        names = (f"{run.id}/", *(f"{child.id}/" for child in children))
        acted = {key for key in effects if key.startswith(names)}
        return (
            [move for move in moves if move.startswith("moved")] != WAY
            or run.status != "ended"
            or store.run_body(run.id).get("data") != {"seen": 1}
            or [child.outcome for child in children] != ["done"]
            or acted != wanted
        )


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_daemon_killed_at_random_under_load_ends_as_a_calm_one(
    database, tmp_path, request, record, progress
):
    wanted, kills, wrong = scaled(full=100, part=2), 0, 0
    for number in progress(range(wanted), wanted, f"scenes on {database}"):
        place = tmp_path / str(number)
        url = f"sqlite:///{place}/waystage.db"
        if database == "postgresql":
            url = request.getfixturevalue("shared_postgres").database()
        scene = Scene(place, url)
        told = scene.play(min(10, wanted - kills), number)
        assert told["code"] == 0, "it does not go on"
        kills, wrong = kills + told["kills"], wrong + scene.wrong()
        if kills >= wanted:
            break
    record(**FAULT, tried=kills, wrong=wrong)


def test_a_planted_bug_is_found_by_killing_under_load(tmp_path, record):
    bug = {"WAYSTAGE_PLANTED": "split-commit", "WAYSTAGE_PATIENCE": "3"}
    for number in range(1, 21):
        place = tmp_path / str(number)
        scene = Scene(place, f"sqlite:///{place}/waystage.db")
        if scene.play(1, number, **bug)["code"] != 0 or scene.wrong():
            break
    else:
        raise AssertionError("it was not found by 20 kills")
    caught = f"runs committed before their history and work: found by kill {number}"
    record(**FAULT, tried=0, wrong=0, caught=caught)
