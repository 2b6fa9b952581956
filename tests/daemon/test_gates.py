"""Stages that are closed, stopped, overridden, or ask for more than a snapshot is."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from tests.daemon.conftest import CATALOG, Act

from waystage.daemon import gates
from waystage.errors import Conflict, Forbidden, NotFound
from waystage.kernel import Event, events
from waystage.kernel.replay import rebuild
from waystage.plugin import Deployed, Done, Verified
from waystage.spec.load import parse_lifecycle, parse_project, parse_stage

PROJECT = """
project: p
people: {dana: {roles: []}, otto: {roles: [operator]}, olga: {roles: [watch]}}
roles: {operator: [operate, override], watch: [operate]}
"""
FROZEN = """
stage: PROD
windows:
  - deny: {from: 2026-02-27T00:00, to: 2026-03-03T06:00, zone: Europe/Berlin, why: year-end}
"""
LIVE = """
lifecycle: live
services: [s]
initial: live
states:
  live:
    stage: PROD
    steps: [{use: test.deploy, with: {do: deploy}}]
    next: {done: over, refused: no}
  over: {final: true}
  no: {final: true, outcome: rejected}
"""
BACK = LIVE.replace("lifecycle: live", "lifecycle: back").replace("test.deploy", "test.back")
QUIET = LIVE.replace("lifecycle: live", "lifecycle: quiet").replace("test.deploy", "test.act")
PROMOTE = """
lifecycle: promote
services: [s]
initial: uat
states:
  uat:
    stage: UAT
    steps: [{use: test.deploy, with: {do: uat}}]
    next: {done: live, refused: no}
  live:
    stage: PROD
    steps: [{use: test.deploy, with: {do: deploy}}]
    next: {done: over, refused: no}
  over: {final: true}
  no: {final: true, outcome: rejected}
"""


class Deploying(Act):
    """Something new in a stage.

    - use: test.deploy
      with: {do: something}
    """

    use: ClassVar[str] = "test.deploy"
    changes: ClassVar[Any] = "forward"


class Returning(Act):
    """Something taken back.

    - use: test.back
      with: {do: something}
    """

    use: ClassVar[str] = "test.back"
    changes: ClassVar[Any] = "back"


class Project:
    """A bench whose stages and lifecycles are files of a project."""

    def __init__(self, bench: Any) -> None:
        self.bench, self.stages = bench, {"PROD": FROZEN, "UAT": "stage: UAT\n"}
        self.present()

    def present(self) -> None:
        bench = self.bench
        loaded = [parse_lifecycle(text) for text in (LIVE, BACK, QUIET, PROMOTE)]
        stages = {name: parse_stage(text) for name, text in self.stages.items()}
        self.files = SimpleNamespace(
            project=parse_project(PROJECT), stages=stages,
            lifecycles={each.spec.lifecycle: each for each in loaded},
        )  # fmt: skip
        bench.definitions._catalog = CATALOG
        bench.definitions.present(self.files)
        self.daemon: Any = SimpleNamespace(files=self.files, engine=bench.engine)

    def open(self, name: str = "live", key: str = "k") -> str:
        run = str(self.bench.open(self.bench.definitions.by_name(name), key))
        self.bench.settle()
        return run

    def outcome(self, run: str) -> str:
        return str(self.bench.store.run(run).outcome)

    def waits(self, run: str) -> Any:
        return [timer.spec for _, timer in self.bench.store.waits(run)]


@pytest.fixture
def prod(bench: Any, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setitem(CATALOG, "test.deploy", Deploying)
    monkeypatch.setitem(CATALOG, "test.back", Returning)
    return Project(bench)


def test_a_run_waits_for_the_end_of_a_freeze_and_goes_on_by_itself(prod):
    run = prod.open()
    until = "2026-03-03T05:00:00+00:00"
    assert prod.waits(run) == [{"stage": "PROD", "until": until, "why": "year-end"}]
    assert prod.bench.play.calls == []
    prod.bench.turn(timedelta(days=1, hours=16))
    assert prod.outcome(run) == ""
    prod.bench.turn(timedelta(hours=2))
    prod.bench.until(lambda: prod.outcome(run) == "done")
    assert prod.waits(run) == []
    assert any("admitted live PROD" in line for line in prod.bench.said(run))


def test_only_what_changes_the_stage_waits_and_going_back_does_not(prod):
    quiet, back = prod.open("quiet"), prod.open("back", "b")
    prod.bench.until(lambda: prod.outcome(quiet) == prod.outcome(back) == "done")


def test_a_strict_freeze_holds_for_going_back_too(prod):
    prod.stages["PROD"] = FROZEN.replace("why:", "strict: true, why:")
    prod.present()
    assert prod.waits(prod.open("back"))


def test_a_daemon_that_dies_while_a_run_waits_wakes_it_all_the_same(prod):
    run = prod.open()
    prod.bench.stop()
    prod.bench.boot()
    prod.present()
    prod.bench.turn(timedelta(days=2))
    prod.bench.until(lambda: prod.outcome(run) == "done")


def test_a_freeze_that_is_taken_out_of_the_file_lets_go_at_the_next_start(prod):
    run = prod.open()
    prod.stages["PROD"] = "stage: PROD\n"
    prod.present()
    assert prod.bench.engine.act(gates.ask_again).result(timeout=120) == 1
    prod.bench.until(lambda: prod.outcome(run) == "done")


def test_a_person_with_the_right_and_a_reason_overrides_a_freeze(prod):
    run = prod.open()
    with pytest.raises(Forbidden):
        gates.override(prod.daemon, run, "olga", "because")
    with pytest.raises(Conflict, match="needs a reason"):
        gates.override(prod.daemon, run, "otto", " ")
    assert gates.override(prod.daemon, run, "otto", "the regulator asked")["states"] == ["live"]
    prod.bench.until(lambda: prod.outcome(run) == "done")
    assert any("otto overrides: the regulator asked" in line for line in prod.bench.said(run))
    with pytest.raises(Conflict, match="waits for no window"):
        gates.override(prod.daemon, prod.open("quiet", "q"), "otto", "again")


def test_a_stopped_line_holds_until_a_person_opens_it(prod):
    prod.stages["PROD"] = "stage: PROD\n"
    prod.present()
    gates.stop_the_line(prod.daemon, "PROD", "olga", "smoke in the data centre")
    run = prod.open()
    assert prod.waits(run)[0]["why"] == "olga stopped the line: smoke in the data centre"
    assert prod.waits(run)[0]["until"] is None
    assert [stop["stage"] for stop in prod.bench.store.stops()] == ["PROD"]
    prod.bench.turn(timedelta(days=900))
    assert prod.outcome(run) == ""
    with pytest.raises(Forbidden):
        gates.open_the_line(prod.daemon, "PROD", "olga")
    assert gates.open_the_line(prod.daemon, "PROD", "otto")["asked"] == 1
    prod.bench.until(lambda: prod.outcome(run) == "done")
    with pytest.raises(Conflict, match="is not stopped"):
        gates.open_the_line(prod.daemon, "PROD", "otto")


def test_stopping_names_a_stage_that_there_is_and_a_reason(prod):
    with pytest.raises(NotFound, match="the project has PROD, UAT"):
        gates.stop_the_line(prod.daemon, "PRDO", "otto", "smoke")
    with pytest.raises(Conflict):
        gates.stop_the_line(prod.daemon, "PROD", "otto", "")


def test_what_a_stage_requires_is_refused_when_it_is_not_met(prod):
    prod.stages["PROD"] = "stage: PROD\nrequires: {tags: {reviewed: [yes, twice]}}\n"
    prod.present()
    run = prod.open()
    prod.bench.until(lambda: prod.outcome(run) == "rejected")
    assert any("tagged reviewed: yes or twice" in line for line in prod.bench.said(run))
    back = prod.open("back", "b")
    prod.bench.until(lambda: prod.outcome(back) == "done")


def test_a_format_that_the_stage_does_not_take_is_refused(prod):
    prod.stages["PROD"] = "stage: PROD\nrequires: {formats: onnx}\n"
    prod.present()
    run = prod.open()
    prod.bench.until(lambda: prod.outcome(run) == "rejected")


@pytest.mark.parametrize("verified", [True, False])
def test_a_verification_of_this_very_moment_counts(prod, verified):
    prod.stages["PROD"] = "stage: PROD\nrequires: {verified_in: UAT}\n"
    prod.present()
    deployed = Deployed(stage="UAT", runtime="r", mode="online", role="champion")
    facts = (deployed, Verified(stage="UAT")) if verified else (deployed,)
    prod.bench.play.answers["uat"] = [Done({}, facts=facts)]
    run = prod.open("promote")
    prod.bench.until(lambda: prod.outcome(run) == ("done" if verified else "rejected"))


def test_a_run_that_waited_is_rebuilt_from_its_history(prod):
    run = prod.open()
    prod.bench.turn(timedelta(days=2))
    prod.bench.until(lambda: prod.outcome(run) == "done")
    store = prod.bench.store
    history = [(Event.from_json(row.event, row.actor), row.at) for row in store.history(run)]
    definition = prod.bench.definitions.by_name("live")
    assert rebuild(definition, history).to_json() == store.run_body(run)


def test_aborting_a_run_that_waits_forgets_its_timer(prod):
    run = prod.open()
    prod.bench.send(run, events.repair("abort", "live", {"reason": "r"}, "otto"))
    assert prod.waits(run) == []
