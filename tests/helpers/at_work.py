"""A project with the shipped lifecycles, a real daemon in this process, real model servers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from waystage.cli.main import run as waystage
from waystage.clock import CLOCK_FILE_VARIABLE, TurnedClock
from waystage.daemon import decisions
from waystage.daemon.daemon import Daemon
from waystage.people import OWN_TOKEN, Caller
from waystage.plugin import Label
from waystage_plugins.runtimes.local_serving import stop_all

PATIENCE = 180.0
SERVICE = "credit-risk"


def scorer(weight: float, through: str = "Identity") -> bytes:
    """Make a model: sigmoid(weight · through(income) + age), as [1 - p, p]."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    h, t = onnx.helper, onnx.TensorProto
    nodes = [
        h.make_node(through, ["income"], ["taken"]),
        h.make_node("Mul", ["taken", "weight"], ["weighed"]),
        h.make_node("Add", ["weighed", "age"], ["logit"]),
        h.make_node("Sigmoid", ["logit"], ["yes"]),
        h.make_node("Sub", ["one", "yes"], ["no"]),
        h.make_node("Concat", ["no", "yes"], ["probabilities"], axis=1),
        h.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
    ]
    made = h.make_graph(
        nodes, "scorer",
        [h.make_tensor_value_info(name, t.FLOAT, [None, 1]) for name in ("income", "age")],
        [h.make_tensor_value_info("label", t.INT64, [None]),
         h.make_tensor_value_info("probabilities", t.FLOAT, [None, 2])],
        [h.make_tensor("weight", t.FLOAT, [1], [weight]),
         h.make_tensor("one", t.FLOAT, [1], [1.0])],
    )  # fmt: skip
    opset = [h.make_opsetid("", 17)]
    return bytes(h.make_model(made, opset_imports=opset, ir_version=8).SerializeToString())


class AtWork:
    """The project at `root`, and what tests do with it."""

    service = SERVICE

    def __init__(
        self, root: Path, monkeypatch: pytest.MonkeyPatch, *more: str, change: Any = None
    ) -> None:
        assert waystage(["init", str(root), *more]) == 0
        project = yaml.safe_load((root / "waystage.yaml").read_text())
        project["channels"]["mlops"] = {"use": "log", "with": {"path": "messages.jsonl"}}
        if change is not None:
            change(project)
        (root / "waystage.yaml").write_text(yaml.safe_dump(project, sort_keys=False))
        (root / ".waystage").mkdir(mode=0o700)
        self.root, self.chance = root, Random(7)
        self.clock = TurnedClock(root / ".waystage" / "clock.json")
        monkeypatch.setenv(CLOCK_FILE_VARIABLE, str(root / ".waystage" / "clock.json"))
        self.daemon = Daemon(root, clock=self.clock)
        self.daemon.start()

    def stop(self) -> None:
        self.daemon.stop()
        stop_all(self.daemon.connections)  # while it works, it starts again what ends

    def model(self, version: str, weight: float, through: str = "Identity") -> None:
        """Put a version into the repository."""
        place = self.root / "models" / "credit" / version
        place.mkdir(parents=True)
        (place / "model.onnx").write_bytes(scorer(weight, through))
        columns = [{"name": "income"}, {"name": "age"}]
        manifest = {"format": "onnx", "services": [SERVICE], "author": "dana", "inputs": columns,
                    "outputs": [{"name": "probabilities"}],
                    "example": [{"income": 0.5, "age": -0.5}]}  # fmt: skip
        (place / "manifest.yaml").write_text(yaml.safe_dump(manifest))

    def begin(self, lifecycle: str, version: str, key: str = "") -> str:
        """Open a run, as olga does."""
        return self.daemon.start_run(lifecycle, self.service, "credit", version, "olga", key)

    def comes_to(self, run: str, place: str) -> None:
        """Wait until the run is there; its incidents are told otherwise."""
        self.until(lambda: place in self.places(run), run, place)

    def ends(self, run: str, outcome: str) -> None:
        """Wait until the run has ended so."""
        self.until(lambda: self.row(run).status == "ended", run, outcome)
        assert self.row(run).outcome == outcome, self.said(run)[-10:]

    def until(self, holds: Callable[[], bool], *about: str) -> None:
        end = time.monotonic() + PATIENCE
        while not holds():
            parked = [f"{i.run} in {i.state}: {i.message}" for i in self.daemon.store.incidents()]
            assert not parked, parked
            told = [(run, self.row(run).places, self.said(run)[-6:]) for run in about[:1]]
            gone_wrong = bool(about) and self.row(about[0]).status == "ended" and not holds()
            assert not gone_wrong, (about, told)
            assert time.monotonic() < end, (about, told)
            time.sleep(0.02)

    def row(self, run: str) -> Any:
        return self.daemon.store.run(run)

    def places(self, run: str) -> tuple[str, ...]:
        return tuple(self.row(run).places)

    def body(self, run: str) -> dict[str, Any]:
        found = self.daemon.store.run_body(run)
        assert found is not None
        return found

    def said(self, run: str) -> list[str]:
        return [" ".join(r) for row in self.daemon.store.history(run) for r in row.records]

    def decide(self, run: str, person: str, outcome: str, comment: str = "", **form: Any) -> Any:
        """Answer the run's open task with the person's own token."""
        self.until(lambda: bool(self.daemon.store.tasks(run=run)), run, "a task")
        (task,) = self.daemon.store.tasks(run=run)
        caller = Caller(person, OWN_TOKEN)
        decisions.complete(self.daemon, task.id, caller, outcome, form, comment)
        return task

    def signal(self, name: str, run: str, person: str = "otto") -> None:
        decisions.send_signal(self.daemon, name, {}, Caller(person, OWN_TOKEN), run)

    def turn(self, by: timedelta) -> None:
        """Turn the clock, and wait until nothing is due any more."""
        self.clock.turn(by)
        self.daemon.engine.turned()
        self.until(lambda: self.daemon.busy() == 0)

    def where(self) -> dict[str, str]:
        """Give which version each stage has as champion or current one."""
        rows = self.daemon.store.placements(service=self.service)
        return {row.stage: row.snapshot for row in rows if row.role == "champion"}

    def ask(self, count: int, *, labels: bool = False) -> str:
        """Send requests to PROD by HTTP; give the version that answers. Income tells the event."""
        rows = self.daemon.store.placements(service=self.service)
        champion = next(r for r in rows if r.stage == "PROD" and r.role == "champion")
        url = champion.body["deployed"]["endpoints"][0]["url"]
        told = []
        for start in range(0, count, 100):
            part = [{"income": self.chance.gauss(0, 1), "age": self.chance.gauss(0, 1)}
                    for _ in range(min(100, count - start))]  # fmt: skip
            name = f"r{self.chance.getrandbits(60)}"
            answer = self.daemon.connections.http.post(
                f"{url}:predict", json={"instances": part}, headers={"X-Request-Id": name}
            )
            assert answer.status_code == 200, answer.text
            told += [(f"{name}-{n}" if len(part) > 1 else name, row["income"]) for n, row in
                     enumerate(part)]  # fmt: skip
        if labels:
            now = self.clock.now()
            chances = [(name, 1 / (1 + math.exp(-2 * income))) for name, income in told]
            self.daemon.connections.scoring_log().label(
                [Label(name, int(self.chance.random() < p), now) for name, p in chances]
            )
        return str(champion.snapshot)
