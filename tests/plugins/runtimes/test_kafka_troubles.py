"""What a Kafka scorer cannot score, log, deliver or reach is told, and nothing is lost by it."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from kafka_cluster import KafkaCluster
from kafka_talk import (
    ANSWERS,
    GROUP,
    LOG,
    REFUSED,
    REQUESTS,
    ROW,
    answered,
    answers,
    asked,
    deployed,
    headers,
    logged,
    no_probe,
    scorer,
    told,
    troubled,
    until,
)

from waystage.errors import Hopeless, Retryable
from waystage.plugin import DeploySpec, Observation
from waystage.testing import FakeContext
from waystage.testing.runtime_contracts import wait_until_ready
from waystage_plugins.runtimes.files import read_json
from waystage_plugins.runtimes.local_online import stop_all

Release = Callable[..., DeploySpec]
Processes = Callable[[Path], list[int]]


POISON = {
    b"not json": "JSON Parse error",
    b"[1, 2]": "the body is not an object",
    b'{"income": 1.0}': "column 'children' is missing",
    b'{"instances": []}': "'instances' is not a list with at least one row",
    json.dumps(ROW | {"income": "high"}).encode(): "'income' is a finite number, not 'high'",
    asked("a<b>"): "request id 'a<b>'",
    b"[" * 100_000: "JSON Parse error",
    None: "the message is empty",
}


def test_poison_goes_to_the_dead_letters_as_it_came_with_the_reason(
    ctx: FakeContext, release: Release, cluster: KafkaCluster
) -> None:
    runtime = scorer(cluster, dead_letters="{service}.refused")
    handle = deployed(ctx, runtime, release(scoring_log=LOG))
    cluster.send_all(REQUESTS, [*POISON, asked("good")], partition=2)
    dead = cluster.read(REFUSED, lambda found: len(found) >= len(POISON))
    assert {each.value() for each in dead} == set(POISON)
    for each in dead:
        about = headers(each)
        assert POISON[each.value()] in about["X-Waystage-Reason"]
        assert about["X-Waystage-Source"].startswith(f"{REQUESTS}/2/")
    assert [told(each)["request_id"] for each in answers(cluster, 1)] == ["good"]
    assert logged(ctx) == {"good": 1}
    refused = f"lag 0, {len(POISON)} refused"
    until(lambda: refused in runtime.observe(ctx, handle).message)


def test_without_dead_letters_poison_is_answered_with_the_reason(
    ctx: FakeContext, release: Release, cluster: KafkaCluster
) -> None:
    deployed(ctx, scorer(cluster), release(scoring_log=LOG))
    cluster.send(REQUESTS, b"{}", headers=[("X-Request-Id", b"loan-9")], key=b"k")
    (answer,) = answers(cluster, 1)
    assert told(answer) == {
        "request_id": "loan-9", "error": "row 0: column 'income' is missing"
    }  # fmt: skip
    assert answer.key() == b"k"
    assert headers(answer)["X-Waystage-Reason"] == "row 0: column 'income' is missing"


def test_a_full_log_holds_answers_back_until_it_can_be_written(
    ctx: FakeContext, release: Release, cluster: KafkaCluster
) -> None:
    (ctx.project / "scores.db").mkdir()
    runtime = scorer(cluster)
    handle = deployed(ctx, runtime, release(scoring_log=LOG))
    cluster.send_all(REQUESTS, [asked(f"r{n}") for n in range(30)])
    seen = until(lambda: troubled(runtime, ctx, handle, "log_unwritable"))
    assert "the scoring log cannot be written" in seen.message
    assert cluster.committed(GROUP, REQUESTS)[1:] == [0, 0, 0], "only the probe is done"
    assert no_probe(cluster.read(ANSWERS, lambda found: True)) == []
    (ctx.project / "scores.db").rmdir()
    answered(cluster, {f"r{n}" for n in range(30)})
    assert logged(ctx) == {f"r{n}": 1 for n in range(30)}
    until(lambda: runtime.observe(ctx, handle).phase == "ready")


@contextmanager
def more_and_more(cluster: KafkaCluster) -> Iterator[None]:
    """Send requests faster than one by one can be answered, as long as the block lasts."""
    enough = threading.Event()

    def send() -> None:
        for burst in count():
            cluster.send_all(REQUESTS, [asked(f"r{burst}-{n}") for n in range(100)])
            if enough.wait(0.02):
                return

    sending = threading.Thread(target=send)
    sending.start()
    try:
        yield
    finally:
        enough.set()
        sending.join()


def test_a_scorer_that_falls_behind_is_told(
    ctx: FakeContext, release: Release, cluster: KafkaCluster
) -> None:
    runtime = scorer(cluster, most_lag=20, batch=1)
    handle = deployed(ctx, runtime, release())
    with more_and_more(cluster):
        seen = until(lambda: troubled(runtime, ctx, handle, "behind"))
    assert (seen.phase, seen.endpoints[0].protocol) == ("degraded", "kafka")
    assert seen.lag > 20
    assert re.fullmatch(rf"\d+ requests wait in {REQUESTS}, more than 20", seen.message)
    until(lambda: runtime.observe(ctx, handle).phase == "ready")


def test_brokers_that_vanish_are_told_and_nothing_is_lost_when_they_come_back(
    ctx: FakeContext, release: Release, cluster: KafkaCluster
) -> None:
    runtime = scorer(cluster)
    handle = deployed(ctx, runtime, release(scoring_log=LOG))
    cluster.send_all(REQUESTS, [asked(f"before-{n}") for n in range(5)])
    cluster.down()
    seen: Observation = until(lambda: troubled(runtime, ctx, handle, "unreachable"))
    assert seen.phase in ("pending", "degraded")
    cluster.up()
    cluster.send_all(REQUESTS, [asked(f"after-{n}") for n in range(5)])
    answered(cluster, {f"{when}-{n}" for when in ("before", "after") for n in range(5)})
    until(lambda: runtime.observe(ctx, handle).phase == "ready")


def test_a_topic_that_is_not_there_is_named(
    ctx: FakeContext, release: Release, cluster: KafkaCluster
) -> None:
    runtime = scorer(cluster, requests="nowhere")
    handle = runtime.apply(ctx, release())
    seen = until(lambda: troubled(runtime, ctx, handle, "no_topic"))
    assert seen.phase == "pending"
    assert runtime.diagnose(ctx) == ["there is no topic nowhere"]


def test_a_scorer_without_partitions_stands_by_until_the_other_is_gone(
    ctx: FakeContext, release: Release, cluster: KafkaCluster, tmp_path: Path
) -> None:
    cluster.create("one.requests", partitions=1)
    runtime = scorer(cluster, requests="one.requests")
    deployed(ctx, runtime, release(scoring_log=LOG))
    other = FakeContext(tmp_path / "other")
    spec = release(scoring_log=LOG | {"with": {"path": str(ctx.project / "scores.db")}})
    second = runtime.apply(other, spec)
    try:
        told = "no partition of one.requests yet: others of the group have all 1"
        until(lambda: runtime.observe(other, second).message == told)
        assert runtime.observe(other, second).phase == "pending"
        cluster.send_all("one.requests", [asked(f"r{n}") for n in range(50)])
        pid = read_json(ctx.state / "kafka/DEV-credit-risk/server.json")["pid"]
        os.kill(pid, signal.SIGKILL)
        wait_until_ready(runtime, other, second)
        answered(cluster, {f"r{n}" for n in range(50)})
        assert logged(ctx) == {f"r{n}": 1 for n in range(50)}
    finally:
        runtime.delete(other, second)


def test_a_probe_tells_when_nobody_answers(
    ctx: FakeContext, release: Release, cluster: KafkaCluster
) -> None:
    runtime = scorer(cluster)
    handle = deployed(ctx, runtime, release())
    with pytest.raises(Hopeless, match="champion/1 refuses the probe: row 0: column 'children'"):
        runtime.predict(ctx, handle, [{"income": 1.0}])
    pid = read_json(ctx.state / "kafka/DEV-credit-risk/server.json")["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        assert runtime.observe(ctx, handle).phase == "unknown"
    finally:
        os.kill(pid, signal.SIGKILL)
    until(lambda: runtime.observe(ctx, handle).reason == "died")
    with pytest.raises(Retryable, match="no scorer runs for credit-risk"):
        runtime.predict(ctx, handle, [ROW])


def test_requests_that_the_brokers_did_not_keep_are_counted_and_the_rest_is_answered(
    ctx: FakeContext, release: Release, cluster: KafkaCluster
) -> None:
    runtime, spec = scorer(cluster), release(scoring_log=LOG)
    deployed(ctx, runtime, spec)
    stop_all(ctx)
    # the brokers keep some megabytes of a partition
    cluster.send_all(REQUESTS, [b"x" * 200_000] * 60, partition=0)
    cluster.send(REQUESTS, asked("last"), partition=0)
    handle = runtime.apply(ctx, spec)
    answered(cluster, {"last"})
    seen = until(lambda: "skipped" in (seen := runtime.observe(ctx, handle)).message and seen)
    assert "the requests from 1 to" in runtime.logs(ctx, handle)
    assert int(seen.message.rpartition(", ")[2].removesuffix(" skipped")) > 20


def test_what_the_brokers_find_too_large_goes_out_shorter_and_what_they_refuse_is_told(
    cluster: KafkaCluster,
) -> None:
    from confluent_kafka import Producer

    from waystage_plugins.runtimes.kafka.messages import Outgoing
    from waystage_plugins.runtimes.kafka.troubles import Undelivered
    from waystage_plugins.runtimes.kafka.work import _deliver

    settings = {"bootstrap.servers": cluster.brokers, "message.max.bytes": 1000}
    producer = Producer(settings | {"message.timeout.ms": 2000, "queue.buffering.max.messages": 3})
    short = Outgoing(ANSWERS, b"k", b"short", [])
    _deliver(producer, [Outgoing(ANSWERS, b"k", b"x" * 5000, [], instead=short)])
    assert [each.value() for each in cluster.read(ANSWERS, bool)] == [b"short"]
    _deliver(producer, [short] * 10)
    assert len(cluster.read(ANSWERS, lambda found: len(found) >= 11)) == 11, "more than its queue"
    with pytest.raises(Undelivered, match=r"the brokers refuse answers: .*too large"):
        _deliver(producer, [Outgoing(ANSWERS, b"k", b"x" * 5000, [])])
    cluster.down()
    with pytest.raises(Undelivered, match="timed out"):
        _deliver(producer, [short])
    producer.close()
