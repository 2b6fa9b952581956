"""A daemon that is told to end: it finishes or hands over what it has, and begins nothing more."""

from __future__ import annotations

import signal
import time

import pytest
from side_by_side import Load, acted, make_project, marks, until

SLOW = """
lifecycle: slow
services: [s]
initial: a
states:
  a: {steps: [{use: side.act, id: one, with: {gate: slow}}, {use: side.act, id: two}], next: end}
  end: {final: true}
"""
LATER = """
lifecycle: later
services: [s]
initial: a
states:
  a: {steps: [{use: side.later, id: one}], next: b}
  b: {task: {title: "Go on?", for: [role:operator], outcomes: [go]}, next: {go: end}}
  end: {final: true}
"""
TEXTS = {"slow": SLOW, "later": LATER}


def at(effects, sign, key):
    return [line.split()[2] for line in marks(effects) if line.startswith(f"{sign} {key} ")]


def ended(side, *runs):
    return lambda: all(side.get(f"runs/{run}")["status"] == "ended" for run in runs)


def test_a_step_that_is_being_called_is_finished_and_the_other_daemon_goes_on(
    start, postgres_url, effects
):
    first = start(postgres_url, TEXTS, lease=300, grace=120).up()
    gate = effects.with_name("slow")
    gate.touch()
    run = first.open("k", "slow").json()["run"]
    until(lambda: marks(effects))
    second = start(postgres_url, TEXTS).up()
    first.tell(signal.SIGTERM)
    time.sleep(0.3)
    more = second.open("more", "slow").json()["run"]
    until(lambda: len(marks(effects)) == 2)
    gate.unlink()
    until(ended(second, run, more), within=120)  # it is woken, and does not wait for a lease
    assert first.ended() == 0
    one, two = (next(key for key in acted(effects) if key.startswith(f"{run}/") and
                     key.endswith(name)) for name in ("one", "two"))  # fmt: skip
    assert at(effects, "=", one) == [str(first.process.pid)]
    assert at(effects, "=", two) == [str(second.process.pid)]
    assert set(acted(effects).values()) == {1}


def test_daemons_come_and_go_under_load_and_nothing_is_lost(start, postgres_url, effects):
    side = start(postgres_url).up()
    load = Load(side)
    for _ in range(3):
        load.more(10)
        following = start(postgres_url).up()
        load.sides = [following]
        side.tell(signal.SIGTERM)
        assert side.ended() == 0, side.said
        side = following
    opened = load.end()
    until(lambda: not side.get("runs?status=open"))
    assert {run["id"] for run in side.get("runs?limit=5000")} == set(opened.values())
    assert len(acted(effects)) == 3 * len(opened)
    assert set(acted(effects).values()) == {1}


def test_on_sqlite_what_was_being_called_is_finished_and_the_rest_done_after_the_next_start(
    start, tmp_path, effects
):
    root = make_project(tmp_path / "project", "sqlite:///waystage.db", TEXTS)
    first = start("", root=root, grace=120).up()
    gate = effects.with_name("slow")
    gate.touch()
    run = first.open("k", "slow").json()["run"]
    until(lambda: marks(effects))
    first.tell(signal.SIGTERM)
    time.sleep(0.3)
    assert first.process.poll() is None, "it has two minutes to finish"
    gate.unlink()
    assert first.ended(within=110) == 0
    assert sorted(acted(effects).values()) == [1], "the second step is not begun any more"
    second = start("", root=root).up()
    until(ended(second, run))
    assert sorted(acted(effects).values()) == [1, 1]


@pytest.mark.parametrize(
    ("database_url", "number"),
    [("sqlite", signal.SIGINT), ("postgresql", signal.SIGTERM)],
    indirect=["database_url"],
)
def test_a_second_signal_ends_it_at_once(start, database_url, effects, number):
    first = start(database_url, TEXTS, lease=2, grace=120).up()
    gate = effects.with_name("slow")
    gate.touch()
    run = first.open("k", "slow").json()["run"]
    until(lambda: marks(effects))
    first.tell(signal.SIGTERM)
    time.sleep(0.3)
    first.tell(number)
    assert first.ended(within=110) == -number, "not after its two minutes"
    gate.unlink()
    second = start(database_url, TEXTS, root=first.root, lease=2).up()
    until(ended(second, run))


@pytest.mark.slow
def test_a_step_that_does_not_end_in_time_is_cut_off_and_called_by_the_other_soon(
    start, postgres_url, effects
):
    first = start(postgres_url, TEXTS, lease=300, grace=0.5).up()
    gate = effects.with_name("slow")
    gate.touch()
    run = first.open("k", "slow").json()["run"]
    until(lambda: marks(effects))
    second = start(postgres_url, TEXTS).up()
    first.tell(signal.SIGTERM)
    assert first.ended() == 0, "while what it calls still waits"
    gate.unlink()
    until(ended(second, run), within=150)  # well before the lease ends
    assert set(acted(effects).values()) == {1}


def test_who_waits_is_called_by_the_other_daemon_and_tasks_stay_open(start, postgres_url, effects):
    first, second = (start(postgres_url, TEXTS, grace=120) for _ in range(2))
    first.up(), second.up()
    later = effects.with_name("later")
    later.touch()
    run = first.open("k", "later").json()["run"]
    until(lambda: first.get("health")["ok"])
    first.tell(signal.SIGTERM)
    assert first.ended(within=110) == 0
    later.unlink()
    until(lambda: second.get(f"runs/{run}")["tasks"])
    assert [at(effects, "=", key) for key in acted(effects)] == [[str(second.process.pid)]]


def test_a_message_that_is_being_sent_is_finished_and_noted(start, database_url, effects):
    first = start(database_url, TEXTS, grace=120).up()
    tell = effects.with_name("tell")
    tell.touch()
    (first.root / "lifecycles/slow.yaml").write_text(SLOW.replace("side.act", "side.nothing"))
    until(lambda: any(line.startswith("+ message") for line in marks(effects)))
    first.tell(signal.SIGTERM)
    time.sleep(0.3)
    tell.unlink()
    assert first.ended(within=110) == 0, "it ends when the message is out, not after a wait"
    (first.root / "lifecycles/slow.yaml").write_text(SLOW)
    second = start(database_url, TEXTS, root=first.root).up()
    second.open("k", "slow")
    until(lambda: not second.get("runs?status=open"))
    assert list(acted(effects).values()).count(1) == len(acted(effects)), "it is not sent again"
