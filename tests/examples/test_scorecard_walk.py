"""The scorecard lifecycle in the kernel: which way a run goes, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from waystage.kernel import Run, advance, compile_lifecycle, events
from waystage.kernel import commands as c
from waystage.spec.load import load_lifecycle
from waystage.timers import next_fire

LOADED = load_lifecycle(Path(__file__).parents[2] / "lifecycles" / "scorecard.yaml")
LIFECYCLE = compile_lifecycle(LOADED.spec, LOADED.digest)
START = datetime(2026, 1, 5, 9, tzinfo=UTC)
OUTPUTS: dict[str, dict[str, Any]] = {
    "batch.train": {"artifact": "out", "metrics": {}, "data": f"sha256:{'1' * 64}",
                    "commit": "", "coverage": 0.9, "rows": 980, "events": 290},
    "repository.register": {"name": "credit", "version": "2", "digest": "d"},
    "bundle.build": {"bundle": "b", "digest": "d", "tag": "t"},
    "volume": {"value": 1820, "low": 1820, "high": 1820},
    "quality.log": {"value": 0.0, "low": 0.0, "high": 0.01},
}  # fmt: skip
ANSWERS = {"approve": ("vera", "approve", {"image_tag": "1.0"}), "release": ("otto", "go", {})}


class Walk:
    """One run: does what the kernel orders, turns the clock to the next timer, keeps the path."""

    def __init__(self, candidate: str, ks: list[float], **outputs: dict[str, Any]) -> None:
        snapshot = {"name": "credit", "version": "1", "digest": f"sha256:{'0' * 64}",
                    "author": "dana", "tags": {"candidate": candidate}}  # fmt: skip
        params = {name: field.default for name, field in LOADED.spec.params.items()}
        data = {name: field.default for name, field in LOADED.spec.data.items()}
        run = Run("credit-risk-1", "scorecard", LOADED.digest, "credit-risk", snapshot, params,
                  data=data)  # fmt: skip
        self.now, self.ks, self.outputs = START, list(ks), OUTPUTS | outputs
        self.path: list[str] = []
        self.orders: list[c.StartStep] = []
        self.timers: dict[tuple[str, str], c.SetTimer] = {}
        self.due: dict[tuple[str, str], datetime] = {}
        self.todo: list[events.Event] = []
        self.run = run
        self.tell(events.start())

    def tell(self, event: events.Event) -> None:
        """Let something happen, and everything that follows without waiting."""
        self.todo.append(event)
        while self.todo:
            step = advance(LIFECYCLE, self.run, self.todo.pop(0), self.now)
            self.run = step.run
            place = self.run.regions.get("", "ended")
            if [place] != self.path[-1:]:
                self.path.append(place)
            for command in step.commands:
                self.carry_out(command)

    def carry_out(self, command: Any) -> None:
        """Do what was ordered, as a daemon would."""
        match command:
            case c.StartStep():
                self.orders.append(command)
                self.todo.append(self.answer(command))
            case c.TakeLease():
                self.todo.append(events.lease_granted(command.state, command.entry))
            case c.OpenTask():
                by, outcome, form = ANSWERS[command.state]
                decision = {"form": form, "roles": []}
                self.todo.append(events.vote(command.state, command.entry, outcome, decision, by))
            case c.SetTimer(name=name) if not name.startswith("@"):
                key = (command.state, name)
                due = command.due or (command.spec and next_fire(command.spec, self.now))
                assert due
                self.timers[key], self.due[key] = command, due
            case c.CancelTimers(state=state):
                self.due = {key: due for key, due in self.due.items() if key[0] != state}
            case c.OpenIncident():
                raise AssertionError(command)

    def answer(self, order: c.StartStep) -> events.Event:
        """Answer for the plugin."""
        output = self.outputs.get(order.use, {"id": "m"})
        if order.use == "performance.ks":
            value = self.ks.pop(0)
            output = {"value": value, "low": value - 0.04, "high": value + 0.04}
        if "refused" in output:
            return events.step_refused(order.state, order.entry, order.index, "no", {})
        return events.step_done(order.state, order.entry, order.index, output)

    def wait(self) -> None:
        """Turn the clock to the next timer."""
        key = min(self.due, key=lambda each: self.due[each])
        self.now = self.due.pop(key)
        timer = self.timers[key]
        self.tell(events.timer_fired(timer.state, timer.entry, timer.name))

    def until(self, place: str) -> Walk:
        """Wait until the run is there."""
        for _ in range(20):
            if self.run.regions.get("") == place:
                return self
            self.wait()
        raise AssertionError(f"never in {place}: {self.path}")

    def texts(self) -> list[str]:
        return [order.config["text"] for order in self.orders if order.use == "notify"]


def test_a_champion_goes_through_all_stages_into_production() -> None:
    walk = Walk("champion", []).until("production.serving")
    visited = [p for p in walk.path if p in ("prebuild", "approve", "build", "release")
               or p.endswith(".deploy")]  # fmt: skip
    assert visited == [
        "prebuild", "approve", "build", "promote.DEV.deploy", "promote.SIT.deploy",
        "promote.UAT.deploy", "release", "production.deploy",
    ]  # fmt: skip
    built = next(order for order in walk.orders if order.use == "bundle.build")
    assert built.config == {"tag": "1.0"}


def test_ks_falls_and_the_fourth_quarter_trains_a_challenger() -> None:
    walk = Walk("champion", [0.43, 0.37, 0.20, 0.08]).until("production.maturing")
    live = walk.now
    for quarter in (1, 2, 3, 4):
        walk.until("production.serving")
        walk.wait()
        assert walk.now - live == timedelta(days=35 + 91 * quarter)
    after = walk.path[walk.path.index("production.serving") :]
    assert [place.rpartition(".")[2] for place in after] == [
        "serving", "inspect", "assess", "serving", "inspect", "assess", "serving",
        "inspect", "assess", "warned", "serving",
        "inspect", "assess", "breached", "retrain", "serving",
    ]  # fmt: skip
    trained = next(order for order in walk.orders if order.use == "batch.train")
    assert trained.config["command"] == ["python", "train.py"]
    registered = next(order for order in walk.orders if order.use == "repository.register")
    assert registered.config["tags"] == {"candidate": "challenger"}
    assert any("KS of credit 1 is 8 %" in text for text in walk.texts())


def test_a_breach_while_the_challenger_is_open_only_warns() -> None:
    walk = Walk("champion", [0.08, 0.07]).until("production.serving")
    walk.wait()
    walk.wait()
    assert walk.path[-2:] == ["production.warned", "production.serving"]
    assert sum(order.use == "batch.train" for order in walk.orders) == 1


@pytest.mark.parametrize(
    ("verdict", "way"),
    [("promote", ["better", "approve", "build"]), ("keep", ["kept", "declined"])],
)
def test_a_challenger_must_first_beat_the_champion(verdict: str, way: list[str]) -> None:
    found = {"verdict": verdict, "why": "the gain is at least 0.18", "champion": "credit/1"}
    walk = Walk("challenger", [], **{"challenger.compare": found})
    assert walk.path[: 2 + len(way)] == ["prebuild", "compare", *way]
    assert any("the gain is at least 0.18" in text for text in walk.texts())


def test_a_challenger_without_enough_requests_waits_twice_and_is_declined() -> None:
    found = {"verdict": "wait", "why": "too few", "champion": "credit/1"}
    walk = Walk("challenger", [], **{"challenger.compare": found})
    walk.wait()
    walk.wait()
    assert walk.path.count("compare") == 3
    assert (walk.run.status, walk.run.outcome) == ("ended", "declined")


def test_a_superseded_champion_is_taken_out_of_every_stage() -> None:
    walk = Walk("champion", []).until("production.serving")
    walk.tell(events.signal("snapshot.superseded", {"by": "credit/2"}))
    assert (walk.run.status, walk.run.outcome) == ("ended", "done")
    out = [order.stage for order in walk.orders if order.use == "runtime.undeploy"]
    assert out == ["PROD", "UAT", "SIT", "DEV"]


def test_an_unfit_model_is_rejected_before_anybody_is_asked() -> None:
    walk = Walk("champion", [], **{"model.check": {"refused": True}})
    assert walk.path == ["prebuild", "rejected"]
    assert walk.run.outcome == "rejected"


def test_a_probe_that_fails_its_gate_takes_the_model_out_again() -> None:
    walk = Walk("champion", [], **{"runtime.probe": {"refused": True}})
    assert walk.run.outcome == "rejected"
    assert any(order.use == "runtime.undeploy" and order.stage == "DEV" for order in walk.orders)


def test_an_empty_log_blames_no_model() -> None:
    walk = Walk("champion", [0.0], volume={"value": 0, "low": 0, "high": 0})
    walk.until("production.serving").wait()
    assert walk.path[-2:] == ["production.blind", "production.serving"]
    assert not [order for order in walk.orders if order.use == "performance.ks"]
