"""Have two runs of one service retrain, in daemons that die in a given place; a test starts it.

    python retrainer.py < SCENES

A line of SCENES is a JSON list: directory, database, where to die (empty: nowhere), and whether
to plant a bug. Each scene is played by a daemon that dies there and by one that takes up what it
left; one line of JSON tells how both ended. Daemons are forked, so that imports cost once.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from waystage.daemon import allowing
from waystage.daemon.daemon import Daemon
from waystage.plugin import Done, Label, ScoredRow
from waystage.registry import load_catalog
from waystage_plugins.repositories.folder import Folder
from waystage_plugins.runtimes.local_process import LocalProcess
from waystage_plugins.scoring.sqlite import SqliteScoringLog
from waystage_plugins.steps import batch_train
from waystage_plugins.steps.batch_train import Train
from waystage_plugins.steps.register import Register

PROJECT = """
project: retraining
database: "{url}"
repositories: [{{name: models, use: folder, with: {{path: models}}}}]
scoring_log: {{use: scoring_log.sqlite, with: {{path: scores.db}}}}
services: {{credit-risk: {{title: Credit}}}}
people: {{otto: {{roles: [operator]}}}}
roles: {{operator: [operate]}}
"""
STAGE = """
stage: PROD
runtimes: [{name: jobs, use: local.process, mode: batch, services: ["*"]}]
"""
LIFECYCLE = """
lifecycle: retrain
services: [credit-risk]
initial: train
states:
  train:
    stage: PROD
    steps:
      - id: training
        use: batch.train
        with:
          command: [sh, train.sh]
          minimum_rows: 10
          metrics: {file: metrics.json, needs: [ks]}
          cooldown: P30D
          budget: {trainings: 2, per: P365D}
      - id: challenger
        use: repository.register
        with:
          from: "{{ steps.training.artifact }}"
          tags: {candidate: challenger}
          metrics: "{{ steps.training.metrics }}"
          data: "{{ steps.training.data }}"
          commit: "{{ steps.training.commit }}"
    next: {done: trained, refused: refused}
  trained: {final: true, outcome: trained}
  refused: {final: true, outcome: refused}
"""
SCRIPT = """
mkdir -p "$WAYSTAGE_OUTPUT/model"
wc -l < "$WAYSTAGE_INPUT_DATA" > "$WAYSTAGE_OUTPUT/model/model.onnx"
echo '{"metrics": {}}' > "$WAYSTAGE_OUTPUT/model/manifest.yaml"
echo '{"ks": 0.4}' > "$WAYSTAGE_OUTPUT/metrics.json"
echo job >> jobs.txt
"""
RUNS = ("first", "second")


def make(root: Path, url: str) -> None:
    """Write the project, a model, and its labelled requests."""
    (root / "lifecycles").mkdir(parents=True)
    (root / "stages").mkdir()
    (root / "waystage.yaml").write_text(PROJECT.format(url=url))
    (root / "stages/PROD.yaml").write_text(STAGE)
    (root / "lifecycles/retrain.yaml").write_text(LIFECYCLE)
    (root / "train.sh").write_text(f"cd {root}\n{SCRIPT}")
    model = root / "models/credit/1"
    model.mkdir(parents=True)
    (model / "model.onnx").write_text("weights")
    (model / "manifest.yaml").write_text(
        "{format: onnx, services: [credit-risk], author: dana, inputs: [{name: income}]}"
    )
    log, now = SqliteScoringLog(path=root / "scores.db"), datetime.now(UTC)
    log.append(
        ScoredRow(f"r{n}", now - timedelta(hours=n + 1), "credit-risk", "PROD", "credit/1",
                  "champion", 0.5, {"income": n})
        for n in range(50)
    )  # fmt: skip
    log.label(Label(f"r{n}", n % 5 == 0, now) for n in range(50))


def die(*_: object) -> None:
    """End as in a power cut."""
    os.kill(os.getpid(), signal.SIGKILL)


def around(
    owner: Any, name: str, *, before: bool, when: Callable[[Any], bool] = lambda _: True
) -> None:
    """Have a function die before it does anything, or after it did and its answer is such a one."""
    real = getattr(owner, name)

    def dies(*given: Any, **named: Any) -> Any:
        if before:
            die()
        answer = real(*given, **named)
        if when(answer):
            die()
        return answer

    setattr(owner, name, dies)


def done(answer: Any) -> bool:
    return isinstance(answer, Done)


PLACES: dict[str, Callable[[], None]] = {
    "counted, and not committed": lambda: around(allowing, "begin_use", before=False),
    "ordered, and not called": lambda: around(Train, "run", before=True),
    "frozen, and not submitted": lambda: around(batch_train, "freeze", before=False),
    "before the job is submitted": lambda: around(LocalProcess, "submit", before=True),
    "submitted, and not answered": lambda: around(LocalProcess, "submit", before=False),
    "finished, and not looked at": lambda: around(LocalProcess, "outputs", before=True),
    "trained, and not committed": lambda: around(Train, "run", before=False, when=done),
    "trained, and not registered": lambda: around(Register, "run", before=True),
    "before it is registered": lambda: around(Folder, "register", before=True),
    "registered, and not answered": lambda: around(Folder, "register", before=False),
    "registered, and not committed": lambda: around(Register, "run", before=False, when=done),
}


def plant() -> None:
    """Register under a key that the next daemon does not know."""
    real = Folder.register

    def register(self: Folder, ctx: Any, source: Path, manifest: Any, *, key: str) -> Any:
        return real(self, ctx, source, manifest, key=f"{key}/{os.getpid()}")

    Folder.register = register  # type: ignore[method-assign]  # the bug that is to be found


def retrain(root: Path, url: str) -> None:
    """Open both runs, or take them up where a crash left them, and see them to their ends."""
    # on PostgreSQL a killed daemon's claims are free when its leases end
    daemon = Daemon(root, lease=1.5)
    daemon.engine.start()
    opened = [
        daemon.start_run("retrain", "credit-risk", "credit", "1", "otto", key) for key in RUNS
    ]
    end = time.monotonic() + 180
    while any(daemon.store.run(run).status != "ended" for run in opened):
        parked = [each.message for each in daemon.store.incidents()]
        if parked or daemon.engine.failure or time.monotonic() > end:
            raise RuntimeError(f"stuck: {parked or daemon.engine.failure}")
        time.sleep(0.005)
    daemon.engine.stop()
    daemon.store.close()


def forked(root: Path, url: str, where: str, planted: bool) -> int:
    """Retrain in a process of its own; gives how it ended, below zero if it was killed."""
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    code = 1
    try:
        if planted:
            plant()
        if where:
            PLACES[where]()
        retrain(root, url)
        code = 0
    except BaseException as error:  # noqa: BLE001  # whatever it is, the parent tells it
        print(repr(error), file=sys.stderr, flush=True)
    os._exit(code)


def main() -> None:
    """Play the scenes of the standard input."""
    load_catalog()
    for line in sys.stdin:
        place, url, where, planted = json.loads(line)
        make(Path(place), url)
        ended = [forked(Path(place), url, where, planted)] if where else []
        ended.append(forked(Path(place), url, "", planted))
        print(json.dumps([place, url, where, planted, ended]), flush=True)


if __name__ == "__main__":
    main()
