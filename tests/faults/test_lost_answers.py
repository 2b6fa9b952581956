"""An answer that is lost after the effect: it acted once, or a person is asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import lost_answers
from fault_rows import FULL, scaled

SEEDS = scaled(full=20, part=1)


def play(place: Path, seeds: int, *planted: str) -> dict[str, Any]:
    """Play all kinds of losing an answer, each so many times."""
    place.mkdir()
    code = "import lost_answers; lost_answers.main()"
    path = os.pathsep.join([str(Path(lost_answers.__file__).parent), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code, str(place), str(seeds), *planted],
        env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=900,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def wrongs(runs: list[dict[str, Any]]) -> list[str]:
    """Give the runs that acted not once, or asked although they can find out themselves."""
    return [
        run["name"] for run in runs
        if run["acts"] != 1 or not run["ended"]
        or (run["asked"] and not run["name"].startswith("ask"))
    ]  # fmt: skip


def test_what_may_have_acted_is_looked_up_or_asked_and_never_done_twice(tmp_path, record):
    found = play(tmp_path / "calm", SEEDS)
    runs = found["runs"]
    assert {run["name"].split("-")[0] for run in runs} == set(lost_answers.KINDS)
    planted = wrongs(play(tmp_path / "planted", 1, "blind")["runs"]) if FULL else ["not tried"]
    assert planted, "the check does not see what acts twice"
    print("wrong:", wrongs(runs))
    record(
        fault="an answer is lost after the effect",
        promise="it acted once, or a person is asked",
        tried=len(runs),
        wrong=len(wrongs(runs)),
        how=f"{len(runs)} runs: `safe`, `look` and `ask` × 8 ways to lose an answer once or twice "
        "(error before or after the effect, time-out, process dead, daemon killed, tried again "
        f"by a person); {found['lives']} lives of daemons, "
        f"{sum(run['asked'] for run in runs)} runs asked a person",
        caught=f"looking only after a crash, not after an error: {len(planted)} of 2 acted twice",
    )
