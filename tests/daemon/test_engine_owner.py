"""The name of a daemon's claims tells whether it is dead; only of its own machine is that sure."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from waystage.daemon.owner import dead_ones, own_name


def name_of_another() -> tuple[str, subprocess.Popen[str]]:
    text = "import sys; from waystage.daemon.owner import own_name; print(own_name(), flush=True);"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{text} sys.stdin.read()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    return process.stdout.readline().strip(), process


def test_a_process_that_ended_is_dead_and_one_that_lives_is_not():
    name, process = name_of_another()
    with process:
        assert dead_ones([name, own_name()]) == []
        process.send_signal(signal.SIGKILL)
    assert dead_ones([name, own_name()]) == [name]


def test_another_process_under_the_same_number_does_not_keep_the_dead_one_alive():
    machine, host, pid, started, serial = own_name().split("~")
    before = "~".join((machine, host, pid, str(int(started) - 1), serial))
    assert dead_ones([before]) == [before]


def test_of_another_machine_nothing_is_known():
    _, *rest = own_name().split("~")
    assert dead_ones(["~".join(("0" * 10, *rest[:2], "1", rest[3])), "some-other-name"]) == []


def test_no_two_engines_have_one_name_and_names_fit_the_table():
    names = {own_name() for _ in range(100)}
    assert len(names) == 100
    assert max(map(len, names)) <= 60


LOSING = """
lifecycle: losing
services: [s]
initial: at_work
states:
  at_work: {steps: [{use: test.pooled}], next: closed}
  closed: {final: true}
"""


def test_a_claim_that_nobody_calls_does_not_stand_still_for_ever(
    bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    begin = bench.engine.workers._begin

    def lost(claim, run):
        monkeypatch.setattr(bench.engine.workers, "_begin", begin)
        del bench.engine.workers._held[(claim.no, claim.slot)]

    monkeypatch.setattr(bench.engine.workers, "_begin", lost)
    run = bench.open(bench.lifecycle(LOSING))
    bench.until(lambda: bench.store.run(run).status == "ended")
    assert len(bench.play.calls) == 1
    assert "was called by nobody; it is due again" in caplog.text
