"""A scorer killed at any moment answers every request at least once, and logs it once."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import kafka_killer
import pytest
from kafka_cluster import KafkaCluster

from waystage.plugin import DeploySpec, Handle
from waystage.testing import FakeContext
from waystage.testing.runtime_contracts import killed_at_each_line
from waystage_plugins.runtimes import KafkaScorer, holder, local_kafka_scorer, local_online
from waystage_plugins.runtimes.files import read_json
from waystage_plugins.runtimes.holder import alive

ROW = {"income": 1.0, "children": 2, "purpose": "car"}
LOG = {"use": "scoring_log.sqlite", "with": {"path": "scores.db"}}
REQUESTS, ANSWERS = "credit-risk.requests", "credit-risk.answers"
NAMES = [f"r{n}" for n in range(120)]
# one line in so many; `WAYSTAGE_EVERY_LINE=1` takes all of them
EVERY = int(os.environ.get("WAYSTAGE_EVERY_LINE", "23"))

Release = Callable[..., DeploySpec]
Processes = Callable[[Path], list[int]]


class Told:
    """What came out so far: the names of the answers and those in the log."""

    def __init__(self, ctx: FakeContext, cluster: KafkaCluster) -> None:
        self._log, self._reader = ctx.project / "scores.db", cluster.reader(ANSWERS)
        self.answers: Counter[str] = Counter()

    def look(self) -> Counter[str]:
        for message in self._reader.consume(1000, 0.02):
            if message.error() is None:
                self.answers[json.loads(message.value())["request_id"]] += 1
        return self.answers

    def ours(self) -> int:
        return len(set(NAMES) & set(self.look()))

    def logged(self) -> Counter[str]:
        connection = sqlite3.connect(self._log)
        try:
            return Counter(row[0] for row in connection.execute("SELECT request_id FROM scored"))
        finally:
            connection.close()

    def close(self) -> None:
        self._reader.close()


@pytest.fixture
def told(ctx: FakeContext, cluster: KafkaCluster) -> Iterator[Told]:
    made = Told(ctx, cluster)
    yield made
    made.close()


def scorer(cluster: KafkaCluster, **more: Any) -> KafkaScorer:
    settings = {"brokers": cluster.brokers, "session": timedelta(seconds=0.5), "batch": 7}
    return KafkaScorer.model_validate(settings | more)


def killing(ctx: FakeContext, lives: int, point: str, batch: int) -> str:
    """Make an interpreter whose scorers kill themselves."""
    python = ctx.project / "python"
    asked = f"{sys.executable} {kafka_killer.__file__} {lives} {point} {batch}"
    python.write_text(f'#!/bin/sh\nexec {asked} "$@"\n')
    python.chmod(0o755)
    return str(python)


def directory(ctx: FakeContext) -> Path:
    return ctx.state / "kafka/DEV-credit-risk"


def kept_alive(
    ctx: FakeContext, runtime: KafkaScorer, spec: DeploySpec, told: Told, within: float = 180
) -> Handle:
    """Start the scorer again whenever it is dead, until all requests are answered."""
    deadline = time.monotonic() + within
    handle = runtime.apply(ctx, spec)
    while told.ours() < len(NAMES):
        assert time.monotonic() < deadline, f"{len(NAMES) - told.ours()} requests are lost"
        if not alive(directory(ctx)):
            handle = runtime.apply(ctx, spec)
    return handle


@pytest.mark.parametrize("point", kafka_killer.POINTS)
def test_a_scorer_killed_between_any_two_steps_loses_no_request(
    ctx: FakeContext, release: Release, cluster: KafkaCluster, told: Told, point: str
) -> None:
    runtime = scorer(cluster, python=killing(ctx, 2, point, 2))
    spec = release(scoring_log=LOG)
    cluster.send_all(REQUESTS, [json.dumps(ROW | {"request_id": name}).encode() for name in NAMES])
    kept_alive(ctx, runtime, spec, told)
    assert (directory(ctx) / "died.txt").read_text() == "xx", "it was killed twice"
    assert told.logged() == Counter(NAMES)
    twice = sum(count - 1 for name, count in told.answers.items() if name in set(NAMES))
    assert (twice > 0) == (point in ("half_answered", "answered")), told.answers


@pytest.mark.parametrize("batch", [1, 7])
def test_a_request_that_kills_its_scorer_is_set_aside_after_three_deaths(
    ctx: FakeContext, release: Release, cluster: KafkaCluster, told: Told, batch: int
) -> None:
    python = killing(ctx, 99, "poison", 1)
    runtime = scorer(cluster, batch=batch, python=python, dead_letters="{service}.refused")
    good = [json.dumps(ROW | {"request_id": name}).encode() for name in NAMES]
    killer = json.dumps(ROW | {"request_id": "killer", "income": kafka_killer.KILLER}).encode()
    cluster.send_all(REQUESTS, [*good[:60], killer, *good[60:]])
    handle = kept_alive(ctx, runtime, release(scoring_log=LOG), told)
    (dead,) = cluster.read("credit-risk.refused", bool)
    assert dead.value() == killer
    about = {name: value.decode() for name, value in dead.headers()}
    assert about["X-Waystage-Reason"] == "it ended the scorer 3 times"
    assert about["X-Waystage-Source"].startswith(f"{REQUESTS}/")
    assert (directory(ctx) / "died.txt").read_text() == "xxx", "no more often than that"
    assert told.logged() == Counter(NAMES)
    assert max(told.answers[name] for name in NAMES) == 1, "whoever was beside it has one answer"
    until(lambda: "1 quarantined" in runtime.observe(ctx, handle).message, told)
    # it is done for the group: whoever starts next does not meet it again
    os.kill(read_json(directory(ctx) / holder.PROCESS)["pid"], signal.SIGKILL)
    until(lambda: not alive(directory(ctx)), told)
    cluster.send(REQUESTS, json.dumps(ROW | {"request_id": "after"}).encode())
    runtime.apply(ctx, release(scoring_log=LOG))
    until(lambda: "after" in told.look(), told)
    assert (directory(ctx) / "died.txt").read_text() == "xxx"


def test_what_kills_the_challengers_model_is_not_held_against_the_champions(
    ctx: FakeContext, release: Release, cluster: KafkaCluster, told: Told
) -> None:
    python = killing(ctx, 99, "beside", 1)
    runtime = scorer(cluster, python=python, dead_letters="{service}.refused")
    champion = release(scoring_log=LOG)
    for spec in (champion, release(version="2", role="challenger", scoring_log=LOG)):
        handle = runtime.apply(ctx, spec)
        until(lambda: runtime.observe(ctx, handle).phase == "ready", told)  # noqa: B023  # at once
    rows = [ROW | {"request_id": name} for name in NAMES[:10]]
    rows.insert(5, ROW | {"request_id": "killer", "income": kafka_killer.KILLER})
    cluster.send_all(REQUESTS, [json.dumps(row).encode() for row in rows])
    wanted = Counter(dict.fromkeys(NAMES[:10], 2) | {"killer": 1})

    def is_done() -> bool:
        if not alive(directory(ctx)):
            runtime.apply(ctx, champion)
        # what is not scored goes to another topic
        return wanted.keys() <= told.look().keys() and told.logged() == wanted

    until(is_done, told, within=180)  # four lives of two groups on a busy machine
    assert (directory(ctx) / "died.txt").read_text() == "xxx", "the challenger alone is to blame"


def test_calling_requests_done_before_they_are_answered_is_found(
    ctx: FakeContext, release: Release, cluster: KafkaCluster, told: Told
) -> None:
    runtime = scorer(cluster, python=killing(ctx, 1, "done_first", 2))
    cluster.send_all(REQUESTS, [json.dumps(ROW | {"request_id": name}).encode() for name in NAMES])
    with pytest.raises(AssertionError, match="requests are lost"):
        kept_alive(ctx, runtime, release(scoring_log=LOG), told, within=8)


@pytest.mark.parametrize("seed", range(int(os.environ.get("WAYSTAGE_SEEDS", "1"))))
def test_a_scorer_killed_at_random_moments_loses_no_request(
    ctx: FakeContext, release: Release, cluster: KafkaCluster, told: Told, seed: int
) -> None:
    chance, runtime, spec = Random(seed), scorer(cluster, batch=3), release(scoring_log=LOG)
    for portion in range(0, len(NAMES), 30):
        sent = NAMES[portion : portion + 30]
        cluster.send_all(REQUESTS, [json.dumps(ROW | {"request_id": n}).encode() for n in sent])
        runtime.apply(ctx, spec)
        enough = portion + chance.randrange(30)
        until(lambda: told.ours() >= enough, told)  # noqa: B023  # called before the next portion
        for _ in range(chance.randrange(5)):
            told.look()
        os.kill(read_json(directory(ctx) / holder.PROCESS)["pid"], signal.SIGKILL)
        until(lambda: not alive(directory(ctx)), told)
    runtime.apply(ctx, spec)
    until(lambda: told.ours() == len(NAMES), told)
    assert told.logged() == Counter(NAMES)


def until(holds: Callable[[], bool], told: Told, within: float = 180) -> None:
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, f"{told.ours()} of {len(NAMES)} answers came"


def test_a_daemon_killed_at_any_line_of_apply_leaves_one_scorer_to_its_next_life(
    ctx: FakeContext, release: Release, cluster: KafkaCluster, processes: Processes
) -> None:
    runtime, spec = scorer(cluster), release()
    files = [str(module.__file__) for module in (holder, local_online, local_kafka_scorer)]
    died = 0
    for line in killed_at_each_line(lambda: runtime.apply(ctx, spec), of=files, every=EVERY):
        before = processes(ctx.state)
        handle = runtime.apply(ctx, spec)
        after = processes(ctx.state)
        assert len(after) == 1, f"killed at line {line}: {len(after)} scorers"
        assert set(before) <= set(after), f"killed at line {line}: it was started again"
        runtime.delete(ctx, handle)
        assert processes(ctx.state) == [], f"killed at line {line}: delete left a scorer"
        died += 1
    assert died * EVERY > 50
