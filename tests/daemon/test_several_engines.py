"""Several engines on one PostgreSQL, and a server that goes away: nothing twice, nothing lost."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import Future
from dataclasses import replace
from datetime import timedelta

import pytest
from cutting_proxy import CuttingProxy
from postgres_server import NoServer, PostgresServer

from waystage.daemon import workers
from waystage.daemon.opening import Opening, open_run
from waystage.daemon.workers import identity_of
from waystage.errors import NotFound, Unavailable
from waystage.kernel import Run, events
from waystage.kernel.replay import rebuild
from waystage.plugin import Done, Waiting
from waystage.store.codec import chained, dump, micros

SNAPSHOT = {"name": "credit", "version": "1", "digest": "sha256:" + "0" * 64}
TEXT = """
lifecycle: shared
services: [s]
initial: a
states:
  a: {steps: [{use: test.act, id: first}], next: {done: b, refused: no}}
  b: {steps: [{use: test.pooled, id: second}], next: {done: c, refused: no}}
  c: {timers: {later: {after: P1D}}, signals: [go], next: {later: d, go: d}}
  d:
    lease: "few at a time {{ service }}"
    steps: [{use: test.pooled, id: third}]
    next: {done: yes, refused: no}
  yes: {final: true}
  no: {final: true, outcome: rejected}
"""
WAY = ["moved a done b", "moved b done c", "moved c later d", "moved d done yes"]


@pytest.fixture
def two(make_bench, postgres_url):
    """Two engines on one database, living by one clock."""
    first = make_bench(postgres_url, lease=60)
    return first, make_bench(postgres_url, clock=first.clock, lease=60)


@pytest.fixture
def server():
    """A server of the test's own, to be ended and started."""
    try:
        found = PostgresServer()
    except NoServer as error:
        pytest.skip(str(error))
    yield found
    found.remove()


def opening(bench, key: str) -> tuple[Opening, Future[str]]:
    definition = bench.lifecycle(TEXT)
    bench.definitions._compiled[definition.hash] = definition
    asked = Opening(definition, "s", SNAPSHOT, key, "dana")
    return asked, bench.engine.open(asked)


def moves(bench, run: str) -> list[str]:
    lines = [" ".join(r[:4]) for row in bench.store.history(run) for r in row.records]
    return [line for line in lines if line.startswith("moved")]


def all_rest_in(bench, place: str):
    return lambda: all(row.places == (place,) for row in bench.store.runs(limit=1000))


def assert_whole(bench, run: str) -> None:
    """The history's hashes follow each other, and the row is what the history leads to."""
    head = b"\0" * 32
    history = bench.store.history(run)
    for row in history:
        body = dump({"event": row.event, "records": row.records})
        head = chained(head, row.seq, micros(row.at), row.actor, body)
        assert head.hex() == row.hash
    said = [(events.Event.from_json(row.event, row.actor), row.at) for row in history]
    assert rebuild(bench.lifecycle(TEXT), said) == Run.from_json(bench.store.run_body(run))


def test_two_engines_do_everything_once_and_lose_nothing(two):
    first, second = two
    asked = [opening(bench, f"k{n}")[1] for n in range(120) for bench in two]
    names = [future.result(timeout=300) for future in asked]
    assert names[::2] == names[1::2], "a key opens one run, whichever daemon is asked"
    assert len(first.store.runs(limit=1000)) == 120
    first.until(all_rest_in(first, "c"))
    first.clock.turn(timedelta(days=2))
    for bench in two:
        bench.engine.turned()
    first.until(lambda: all(r.status == "ended" for r in second.store.runs(limit=1000)))
    calls = Counter(first.play.calls)
    assert len(calls) == 360
    assert set(calls.values()) == {1}, "no step was called twice"
    for name in set(names):
        assert [" ".join(m.split()[:4]) for m in moves(first, name)] == WAY
        assert_whole(first, name)


def test_an_engine_sees_what_the_other_one_did_to_a_run_that_it_held(two):
    first, second = two
    run = opening(first, "k")[1].result(timeout=120)
    first.until(lambda: first.places(run) == ("c",))
    no = first.store.run(run).no
    second.clock.turn(timedelta(days=2))
    second.engine.turned()
    second.until(lambda: second.store.run(run).status == "ended")

    def refuse_if_open(tx):
        tx.load([no])
        if tx.touched[no].hot.run.status == "open":
            raise NotFound("this engine believes what it held")

    first.engine.act(refuse_if_open).result(timeout=120)
    first.send(run, events.signal("go", {}))
    assert_whole(first, run)


def test_a_step_that_another_engine_had_begun_is_called_for_the_run_as_it_is_by_now(
    two, monkeypatch
):
    first, second = two
    seen: list[tuple[str, object]] = []

    def noting(claim, run, connections):
        seen.append((claim.order["state"], run.activities.get("d", {}).get("started")))
        return identity_of(claim, run, connections)

    run = opening(first, "k")[1].result(timeout=120)
    first.until(lambda: first.places(run) == ("c",))
    assert first.engine.runs.get(first.store.run(run).no) is not None, "the first one holds it"
    first.engine.drain()  # the second one goes on alone
    second.play.answers[""] = [Waiting(timedelta(days=9))]
    monkeypatch.setattr(workers, "identity_of", noting)
    second.clock.turn(timedelta(days=2))
    second.engine.turned()
    second.until(lambda: second.store.at_work(run) and not second.engine.workers.busy())
    second.engine.stop()
    first.engine._draining.clear()
    first.clock.turn(timedelta(days=10))
    first.engine.turned()
    first.until(lambda: first.store.run(run).status == "ended")
    began = {started for state, started in seen if state == "d"}
    assert began == {"2026-03-03T12:00:00+00:00"}, "else a cluster would not know the call again"


def test_an_engine_takes_no_more_steps_than_it_can_call(two):
    first, second = two
    blocked, eight = threading.Event(), threading.Semaphore(8)

    def wait(ctx):  # as many hang as one engine has threads for
        if ctx.state_name == "b" and eight.acquire(blocking=False):
            blocked.wait(20)
        return Done({})

    first.play.answers[""] = [wait] * 40
    for n in range(20):
        opening(first, f"k{n}")[1].result(timeout=120)
    first.until(lambda: [row.places for row in first.store.runs()].count(("c",)) == 12)
    blocked.set()
    first.until(all_rest_in(second, "c"))
    assert set(Counter(second.play.calls).values()) == {1}


def test_an_engine_that_is_told_to_end_keeps_the_answers_that_come_in_time(two):
    first, second = two
    entered = threading.Event()

    def slow(ctx):
        entered.set()
        time.sleep(0.3)
        return Done({"did": "in time"})

    first.play.answers[""] = [Done({}), slow]
    run = opening(first, "k")[1].result(timeout=120)
    assert entered.wait(10)
    first.engine.stop(grace=10)
    assert second.places(run) == ("c",)
    assert set(Counter(second.play.calls).values()) == {1}


def test_a_dump_that_is_put_back_is_whole_and_goes_on(
    make_bench, postgres_url, shared_postgres, tmp_path
):
    first = make_bench(postgres_url, lease=60)
    runs = [opening(first, f"k{n}")[1].result(timeout=120) for n in range(10)]
    first.until(all_rest_in(first, "c"))
    programs, dump = shared_postgres._programs, tmp_path / "copy.dump"
    subprocess.run(
        [programs / "pg_dump", "--format=custom", "--file", dump, postgres_url], check=True
    )
    url = shared_postgres.database(empty=True)
    restored = [programs / "pg_restore", "--clean", "--if-exists", "--dbname", url, dump]
    subprocess.run(restored, check=True)
    second = make_bench(url, clock=first.clock, lease=60)
    second.definitions._compiled.update(first.definitions._compiled)
    second.clock.turn(timedelta(days=2))
    second.engine.turned()
    second.until(lambda: all(r.status == "ended" for r in second.store.runs(limit=100)))
    assert {run.id for run in second.store.runs(limit=100)} == set(runs)
    for run in runs:
        assert_whole(second, run)


def test_an_engine_that_hears_no_wake_ups_looks_by_itself(two):
    first, second = two
    assert second.engine._listener is not None
    second.engine._listener.stop()
    first.engine.drain()  # it orders, and calls nothing: that is for the other one
    began = time.monotonic()
    run = opening(first, "k")[1].result(timeout=120)
    second.definitions._compiled.update(first.definitions._compiled)
    second.until(lambda: second.places(run) == ("c",))
    second.clock.turn(timedelta(days=2))
    second.until(lambda: second.store.run(run).status == "ended")
    assert time.monotonic() - began < 50, "before a lease ends, for the steps and for the timer"
    assert len(second.play.calls) == 3


def test_the_engine_goes_on_by_itself_after_the_server_was_restarted(server, make_bench):
    bench = make_bench(server.database(), lease=60)
    runs = [opening(bench, f"k{n}")[1].result(timeout=120) for n in range(10)]
    during = []
    stopping = threading.Event()

    def keep_opening():
        while not stopping.is_set():
            asked, future = opening(bench, f"d{len(during)}")
            during.append((asked, future))
            time.sleep(0.01)

    asking = threading.Thread(target=keep_opening)
    asking.start()
    try:
        server.stop(signal.SIGQUIT)
        with pytest.raises(Unavailable, match="the database does not answer"):
            bench.store.runs()
        bench.until(lambda: any(f.done() and f.exception() for _, f in list(during)))
        server.start()
        before = len(during)
        bench.until(lambda: any(f.done() and not f.exception() for _, f in list(during)[before:]))
    finally:
        stopping.set()
        asking.join()
    opened = [f.result(120) for _, f in during if not f.exception(timeout=120)]
    bench.until(all_rest_in(bench, "c"))
    kept = {row.id for row in bench.store.runs(limit=1000)}
    assert {*runs, *opened} <= kept, "what was acknowledged is there"
    for run in kept:
        assert [m.split()[1] for m in moves(bench, run)] == ["a", "b"]
        assert_whole(bench, run)
    assert set(Counter(bench.play.calls).values()) == {1}


@pytest.fixture
def proxy(shared_postgres):
    found = CuttingProxy(shared_postgres.port)
    yield found
    found.close()


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_commit_whose_answer_is_lost_counts_once(proxy, postgres_url, make_bench, number):
    name = postgres_url.rpartition("/")[2]
    bench = make_bench(f"postgresql://waystage@127.0.0.1:{proxy.port}/{name}", lease=60)
    answers = [Done({}), Done({}), Done({})]

    def cut(ctx):
        proxy.cut_after_commit.set()
        return Done({})

    answers[number] = cut
    bench.play.answers[""] = answers
    run = opening(bench, "k")[1].result(timeout=120)
    bench.until(lambda: bench.places(run) == ("c",))
    bench.turn(timedelta(days=2))
    bench.until(lambda: bench.store.run(run).status == "ended")
    assert proxy.cuts == 1
    assert [m.split()[1] for m in moves(bench, run)] == ["a", "b", "c", "d"]
    assert not any("late answer" in line for line in bench.said(run))
    assert len(bench.play.calls) == 3
    assert_whole(bench, run)


def test_who_asks_while_the_end_of_a_commit_is_unknown_is_told_and_nothing_is_lost(
    proxy, postgres_url, make_bench, monkeypatch
):
    monkeypatch.setattr("waystage.daemon.engine.PATIENCE_SECONDS", 0.0)
    name = postgres_url.rpartition("/")[2]
    bench = make_bench(f"postgresql://waystage@127.0.0.1:{proxy.port}/{name}", lease=60)
    warm, future = opening(bench, "warm")
    bench.until(lambda: bench.places(future.result(timeout=120)) == ("c",))
    asked = replace(warm, key="k")

    def cut(tx):
        proxy.away.set()
        proxy.cut_after_commit.set()
        return open_run(tx, asked)

    doubtful = bench.engine.act(cut, key="k")
    with pytest.raises(Unavailable, match="look whether it was done"):
        doubtful.result(timeout=120)
    with pytest.raises(Unavailable, match=r"does not answer .* nothing was changed"):
        opening(bench, "other")[1].result(timeout=120)
    proxy.away.clear()
    bench.until(lambda: bench.engine.fault == "")
    run = bench.engine.open(asked).result(timeout=120)
    bench.until(lambda: bench.places(run) == ("c",))
    kept = {row.id for row in bench.store.runs()}
    assert kept == {future.result(), run}, "what was sent was kept, the other never was"
    assert_whole(bench, run)


def test_an_opening_whose_commit_was_not_heard_is_answered_all_the_same(
    proxy, postgres_url, make_bench
):
    name = postgres_url.rpartition("/")[2]
    bench = make_bench(f"postgresql://waystage@127.0.0.1:{proxy.port}/{name}", lease=60)
    proxy.cut_after_commit.set()
    run = opening(bench, "k")[1].result(timeout=120)
    bench.until(lambda: bench.places(run) == ("c",))
    assert proxy.cuts == 1
    assert len(bench.play.calls) == 2
