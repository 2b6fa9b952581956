"""A stage that asks for a signature takes what was verified: this snapshot, with today's keys."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from tests.daemon.conftest import CATALOG, SNAPSHOT, Act

from waystage.daemon import gates
from waystage.daemon.opening import Opening
from waystage.errors import Conflict, Hopeless
from waystage.plugin import Done, Signed
from waystage.spec.load import parse_lifecycle, parse_project, parse_stage

PROJECT = """
project: p
people: {otto: {roles: [operator]}}
roles: {operator: [operate, override]}
"""
CHECKED = """
lifecycle: checked
services: [s]
initial: check
states:
  check:
    steps: [{use: test.act, with: {do: check}}]
    next: {done: live, refused: no}
  live:
    stage: PROD
    steps: [{use: test.enter, with: {do: deploy}}]
    next: {done: over, refused: no}
  over: {final: true}
  no: {final: true, outcome: rejected}
"""


class Entering(Act):
    """Something new in a stage.

    - use: test.enter
      with: {do: something}
    """

    use: ClassVar[str] = "test.enter"
    changes: ClassVar[Any] = "forward"


class House:
    """A bench with signers whose keys have marks, and one stage."""

    def __init__(self, bench: Any) -> None:
        self.bench, self.marks = bench, {"models-ca": "keys-1", "others": "keys-o"}
        bench.mark_of = self.mark_of
        self.stage("requires: {signed_by: models-ca}")

    def mark_of(self, name: str) -> str:
        if name not in self.marks:
            raise Hopeless(f"keys/{name}.pub cannot be read: No such file or directory")
        return self.marks[name]

    def stage(self, text: str) -> None:
        loaded = parse_lifecycle(CHECKED)
        files: Any = SimpleNamespace(
            project=parse_project(PROJECT), lifecycles={"checked": loaded},
            stages={"PROD": parse_stage(f"stage: PROD\n{text}\n")},
        )  # fmt: skip
        self.bench.definitions._catalog = CATALOG
        self.bench.definitions.present(files)
        self.daemon: Any = SimpleNamespace(files=files, engine=self.bench.engine)

    def run(self, *signed: tuple[str, str], key: str = "k", **snapshot: str) -> str:
        facts = tuple(Signed(by=by, mark=mark) for by, mark in signed)
        self.bench.play.answers["check"] = [Done({}, facts=facts)]
        definition = self.bench.definitions.by_name("checked")
        opening = Opening(definition, "s", {**SNAPSHOT, **snapshot}, key, "dana")
        run = str(self.bench.engine.open(opening).result(timeout=120))
        self.bench.settle()
        return run

    def outcome(self, run: str) -> str:
        self.bench.settle()
        return str(self.bench.store.run(run).outcome)

    def why(self, run: str) -> str:
        (line,) = [line for line in self.bench.said(run) if "PROD takes only" in line]
        return str(line)

    def waits(self, run: str) -> Any:
        return [timer.spec for _, timer in self.bench.store.waits(run)]


@pytest.fixture
def prod(bench: Any, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setitem(CATALOG, "test.enter", Entering)
    return House(bench)


def test_what_the_signer_signed_enters(prod: House) -> None:
    assert prod.outcome(prod.run(("models-ca", "keys-1"))) == "done"


def test_what_nobody_verified_is_refused_with_the_reason(prod: House) -> None:
    run = prod.run()
    assert prod.outcome(run) == "rejected"
    assert "is signed by models-ca, and of credit/1: no such signature was verified" in (
        prod.why(run)
    )


def test_the_signature_of_somebody_else_does_not_count(prod: House) -> None:
    run = prod.run(("others", "keys-o"))
    assert prod.outcome(run) == "rejected"


def test_one_of_several_signers_is_enough(prod: House) -> None:
    prod.stage("requires: {signed_by: [models-ca, others]}")
    assert prod.outcome(prod.run(("others", "keys-o"))) == "done"
    refused = prod.run(key="2", version="2")
    assert "signed by models-ca or others" in prod.why(refused)


def test_what_another_run_verified_counts_for_the_same_snapshot_alone(prod: House) -> None:
    prod.run(("models-ca", "keys-1"))
    assert prod.outcome(prod.run(key="again")) == "done"
    other = prod.run(key="other", digest="sha256:" + "1" * 64)
    assert prod.outcome(other) == "rejected"
    assert "of credit/1: models-ca signed other files of it" in prod.why(other)
    assert prod.outcome(prod.run(key="next", version="2")) == "rejected"


def test_what_was_verified_with_other_keys_does_not_count_any_more(prod: House) -> None:
    prod.run(("models-ca", "keys-1"))
    prod.marks["models-ca"] = "keys-2"
    run = prod.run(key="later")
    assert prod.outcome(run) == "rejected"
    assert "it was verified by keys that models-ca had before" in prod.why(run)
    assert prod.outcome(prod.run(("models-ca", "keys-2"), key="anew")) == "done"


def test_keys_that_cannot_be_read_hold_a_run_up_and_refuse_nothing(prod: House) -> None:
    del prod.marks["models-ca"]
    run = prod.run(("models-ca", "keys-1"))
    assert prod.outcome(run) == ""
    assert "keys/models-ca.pub cannot be read" in prod.waits(run)[0]["why"]
    prod.marks["models-ca"] = "keys-1"
    prod.bench.turn(timedelta(minutes=6))
    assert prod.outcome(run) == "done"


def test_an_override_opens_a_freeze_but_not_a_condition(prod: House) -> None:
    freeze = "windows: [{deny: {from: 2026-02-01T00:00, to: 2026-04-01T00:00}}]"
    prod.stage(f"{freeze}\nrequires: {{signed_by: models-ca}}")
    run = prod.run(("models-ca", "keys-1"))
    assert prod.waits(run)
    prod.marks["models-ca"] = "keys-2"
    with pytest.raises(Conflict, match="takes only what is signed by models-ca"):
        gates.override(prod.daemon, run, "otto", "urgent")
    del prod.marks["models-ca"]
    with pytest.raises(Hopeless, match="cannot be read"):
        gates.override(prod.daemon, run, "otto", "urgent")
    prod.marks["models-ca"] = "keys-1"
    gates.override(prod.daemon, run, "otto", "urgent")
    assert prod.outcome(run) == "done"


def test_what_is_verified_at_this_very_moment_counts_after_a_restart_too(prod: House) -> None:
    prod.run(("models-ca", "keys-1"))
    prod.bench.stop()
    prod.bench.boot()
    prod.stage("requires: {signed_by: models-ca}")
    assert prod.outcome(prod.run(key="after")) == "done"
