"""Steps on a Dask cluster: real scheduler and worker processes, killed where it hurts."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from dask_cluster import DaskCluster
from hostile_plugins import CANARY, SECRET, Hostile

from waystage.kernel import events
from waystage.store.codec import dump

pytest.importorskip("distributed", reason="NOT TESTED: the extra waystage[dask] is not installed")

SOON = "retry: {max: 5, backoff: {first: PT0.1S, max: PT0.5S}}"


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOSTILE_CANARY", CANARY)  # workers look secrets up where they are
    place = tmp_path / "dask"
    place.mkdir()
    found = DaskCluster(place)
    yield found
    found.stop()


@pytest.fixture
def hostile(tmp_path: Path, cluster: DaskCluster):
    place = tmp_path / "project"
    place.mkdir()
    setting = f'execution: {{dask: {{address: "{cluster.address}", for: ["hostile.*"]}}}}\n'
    found = Hostile(place, "sqlite:///waystage.db", setting)
    yield found
    found.stop()


def step(do: str, use: str = "evil", more: str = SOON, secret: bool = False) -> str:
    told = f", secret: {dump(SECRET).decode()}" if secret else ""
    return f"[{{use: hostile.{use}, id: it, with: {{do: {do}{told}}}, {more}}}]"


def test_steps_run_in_workers_with_their_key_their_memo_and_their_errors(cluster, hostile):
    worker = cluster.worker()
    for do in ("nothing", "wait", "raise", "huge"):
        hostile.lifecycle(do, step(do, more="retry: {max: 1}"))
    hostile.lifecycle("tells", step("tell_error", more="retry: {max: 1}", secret=True))
    daemon = hostile.start()
    runs = {do: hostile.open(do) for do in ("nothing", "wait", "raise", "huge", "tells")}
    for do in ("nothing", "wait"):
        hostile.until(lambda do=do: hostile.outcome(runs[do]) == "done", 60)
    assert daemon.store.run_body(runs["nothing"])["steps"]["it"]["pid"] == worker.pid
    assert daemon.store.run_body(runs["wait"])["steps"]["it"] == {"count": 3}
    assert hostile.lines("calls.txt").count(f"{runs['wait']}/1/it") == 4
    assert "ZeroDivisionError: no \\0" in hostile.incident(runs["raise"]).message
    assert "more than 262,144" in hostile.incident(runs["huge"]).message
    assert "cannot log in with •••" in hostile.incident(runs["tells"]).message
    kept = [path.read_bytes() for path in hostile.root.glob("waystage.db*")]
    assert all(CANARY.encode() not in each for each in kept)


def test_a_daemon_that_is_started_anew_finds_the_call_again(cluster, hostile):
    cluster.worker()
    hostile.lifecycle("heed", step("slow"))
    hostile.start()
    run = hostile.open("heed")
    hostile.until(lambda: hostile.lines("calls.txt"), 60)
    hostile.stop()
    daemon = hostile.start()
    hostile.until(lambda: hostile.outcome(run) == "done", 300)
    assert hostile.lines("calls.txt") == [f"{run}/1/it"], "it was called once"
    assert daemon.store.run_body(run)["steps"]["it"]["pid"] != os.getpid()


def test_a_worker_that_dies_is_replaced_by_another(cluster, hostile):
    first = cluster.worker()
    hostile.lifecycle("slow", step("slow"))
    hostile.start()
    run = hostile.open("slow")
    hostile.until(lambda: hostile.lines("calls.txt"), 60)
    second = cluster.worker()
    first.kill()
    daemon = hostile.daemon
    hostile.until(lambda: hostile.outcome(run) == "done", 60)
    assert daemon is not None
    assert daemon.store.run_body(run)["steps"]["it"]["pid"] == second.pid


def test_what_a_dead_worker_may_have_done_is_looked_up_first(cluster, hostile):
    first = cluster.worker()
    hostile.lifecycle("slow", step("slow", "looking"))
    hostile.start()
    run = hostile.open("slow")
    hostile.until(lambda: hostile.lines("calls.txt"), 60)
    cluster.worker()
    first.kill()
    hostile.until(lambda: hostile.outcome(run) == "done", 60)
    assert hostile.lines("looks.txt") == [f"{run}/1/it"]
    assert len(hostile.lines("calls.txt")) == 1


def test_a_scheduler_that_dies_is_a_technical_error_and_the_step_is_tried_again(cluster, hostile):
    cluster.worker()
    hostile.lifecycle("slow", step("slow", more="retry: {max: 60, backoff: {first: PT0.5S, "
                                   "max: PT1S}}"))  # fmt: skip
    hostile.start()
    run = hostile.open("slow")
    hostile.until(lambda: hostile.lines("calls.txt"), 60)
    cluster.scheduler.kill()
    cluster.scheduler.wait()
    hostile.until(lambda: any("try 1:" in line for line in hostile.said(run)), 60)
    assert any("Dask" in line for line in hostile.said(run) if "try 1:" in line)
    cluster.start()
    cluster.worker()
    hostile.until(lambda: hostile.outcome(run) == "done", 60)
    assert set(hostile.lines("calls.txt")) == {f"{run}/1/it"}, "the same key"


def test_a_cluster_that_is_not_there_is_a_technical_error(tmp_path):
    setting = 'execution: {dask: {address: "tcp://127.0.0.1:1", for: hostile.evil}}\n'
    hostile = Hostile(tmp_path, "sqlite:///waystage.db", setting)
    hostile.lifecycle("nothing", step("nothing", more="retry: {max: 1}"))
    hostile.lifecycle("kind", "[{use: hostile.kind}]")
    hostile.start()
    try:
        far, near = hostile.open("nothing"), hostile.open("kind")
        hostile.until(lambda: hostile.outcome(near) == "done", 10)
        hostile.until(lambda: hostile.daemon.store.incidents(run=far), 60)
        assert "the Dask scheduler at tcp://127.0.0.1:1:" in hostile.incident(far).message
    finally:
        hostile.stop()


def test_a_step_on_dask_whose_run_is_aborted_hears_it(cluster, hostile):
    cluster.worker()
    hostile.lifecycle("heed", step("heed"))
    daemon = hostile.start()
    run = hostile.open("heed")
    hostile.until(lambda: hostile.lines("calls.txt"), 60)
    no = daemon.store.run(run).no
    daemon.engine.submit(no, events.repair("abort", "", {"reason": "enough"}, "otto")).result(10)
    hostile.until(lambda: hostile.lines("heeded.txt"), 20)
    assert hostile.outcome(run) == "aborted"


def test_nothing_of_a_call_stays_on_the_cluster_when_its_answer_is_committed(cluster, hostile):
    from distributed import Client

    cluster.worker()
    hostile.lifecycle("nothing", step("nothing"))
    hostile.start()
    runs = [hostile.open("nothing") for _ in range(5)]
    for run in runs:
        hostile.until(lambda run=run: hostile.outcome(run) == "done", 60)
    with Client(cluster.address, set_as_default=False) as client:
        end = time.monotonic() + 120
        while client.list_datasets() or client.who_has():
            assert time.monotonic() < end, (client.list_datasets(), client.who_has())
            time.sleep(0.05)
