"""Requests come by one Kafka topic and are answered on another, at least once, and logged once."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from kafka_cluster import KafkaCluster

from waystage.errors import Hopeless, Retryable
from waystage.plugin import DeploySpec, Handle, JsonObject, Observation
from waystage.testing import FakeContext
from waystage.testing.runtime_contracts import check_online_runtime, wait_until_ready
from waystage_plugins.runtimes import KafkaScorer
from waystage_plugins.runtimes.files import read_json
from waystage_plugins.runtimes.local_online import stop_all

ROW: JsonObject = {"income": 1.0, "children": 2, "purpose": "car"}
YES = pytest.approx(0.98201, abs=1e-5)
NO = pytest.approx(1 - 0.98201, abs=1e-5)
LOG = {"use": "scoring_log.sqlite", "with": {"path": "scores.db"}}
REQUESTS, ANSWERS, REFUSED = "credit-risk.requests", "credit-risk.answers", "credit-risk.refused"
GROUP = "waystage.DEV.credit-risk"

Release = Callable[..., DeploySpec]
Processes = Callable[[Path], list[int]]


@pytest.fixture
def cluster() -> Iterator[KafkaCluster]:
    made = KafkaCluster()
    made.create(REQUESTS, ANSWERS, REFUSED)
    yield made
    made.close()


def scorer(cluster: KafkaCluster, **more: Any) -> KafkaScorer:
    told = {"brokers": cluster.brokers, "session": timedelta(seconds=1)} | more
    return KafkaScorer.model_validate(told)


def deployed(ctx: FakeContext, runtime: KafkaScorer, spec: DeploySpec) -> Handle:
    """Deploy under a key of the version's own and wait."""
    ctx.key = f"run/{spec.snapshot.id}/{spec.role}"
    handle = runtime.apply(ctx, spec)
    wait_until_ready(runtime, ctx, handle)
    return handle


def until(holds: Callable[[], Any], otherwise: str = "it never comes") -> Any:
    deadline = time.monotonic() + 30
    while not (found := holds()):
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.02)
    return found


def asked(name: str, row: JsonObject = ROW) -> bytes:
    return json.dumps(row | {"request_id": name}).encode()


def told(message: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(message.value())
    return found


def headers(message: Any) -> dict[str, str]:
    return {name: value.decode() for name, value in message.headers() or []}


def no_probe(messages: list[Any]) -> list[Any]:
    return [message for message in messages if "X-Waystage-Probe" not in headers(message)]


def answers(cluster: KafkaCluster, count: int) -> list[Any]:
    return no_probe(cluster.read(ANSWERS, lambda found: len(no_probe(found)) >= count))


def answered(cluster: KafkaCluster, names: set[str]) -> list[Any]:
    def enough(found: list[Any]) -> bool:
        return names <= {told(message)["request_id"] for message in found}

    return no_probe(cluster.read(ANSWERS, enough))


def logged(ctx: FakeContext) -> Counter[str]:
    connection = sqlite3.connect(ctx.project / "scores.db")
    try:
        return Counter(row[0] for row in connection.execute("SELECT request_id FROM scored"))
    finally:
        connection.close()


def test_the_scorer_holds_to_the_contract(
    ctx: FakeContext, release: Release, cluster: KafkaCluster, processes: Processes
) -> None:
    seen = check_online_runtime(scorer(cluster), ctx, release())
    (endpoint,) = seen.endpoints
    assert endpoint.protocol == "kafka"
    assert endpoint.url == f"kafka://{cluster.brokers}/{REQUESTS}?answers={ANSWERS}"
    assert "partitions 0-3 of 4, lag 0" in seen.message
    assert processes(ctx.state) == []


def test_a_request_is_scored_logged_and_answered_with_its_key_and_headers(
    ctx: FakeContext, release: Release, cluster: KafkaCluster
) -> None:
    deployed(ctx, scorer(cluster), release(scoring_log=LOG))
    cluster.send(REQUESTS, asked("loan-1"), key=b"customer", headers=[("trace", b"t1")])
    (answer,) = answers(cluster, 1)
    assert told(answer) == {
        "request_id": "loan-1", "score": YES, "probabilities": [NO, YES],
        "snapshot": "credit/1", "digest": release().snapshot.digest,
    }  # fmt: skip
    assert answer.key() == b"customer"
    assert headers(answer) == {
        "trace": "t1", "X-Request-Id": "loan-1", "X-Waystage-Snapshot": "credit/1"
    }  # fmt: skip
    assert logged(ctx) == {"loan-1": 1}, "the probe of the deployment is not logged"


def test_a_message_may_have_several_rows_and_get_its_name_from_a_header_or_its_place(
    ctx: FakeContext, release: Release, cluster: KafkaCluster
) -> None:
    deployed(ctx, scorer(cluster), release(scoring_log=LOG))
    two = json.dumps({"instances": [ROW, ROW]}).encode()
    columns = json.dumps({"inputs": {name: [value] for name, value in ROW.items()}}).encode()
    cluster.send(REQUESTS, two, partition=0, headers=[("x-request-id", b"many")])
    cluster.send(REQUESTS, columns, partition=1)
    found = {told(each)["request_id"]: told(each) for each in answers(cluster, 2)}
    assert [each["score"] for each in found["many"]["predictions"]] == [YES, YES]
    (place,) = set(found) - {"many"}
    assert place.startswith(f"{REQUESTS}/1/")
    assert found[place]["outputs"]["score"] == [YES]
    assert set(logged(ctx)) == {"many-0", "many-1", place}


def test_a_request_that_comes_twice_is_answered_twice_and_logged_once(
    ctx: FakeContext, release: Release, cluster: KafkaCluster
) -> None:
    deployed(ctx, scorer(cluster), release(scoring_log=LOG))
    cluster.send_all(REQUESTS, [asked("again")] * 3)
    assert len(answers(cluster, 3)) == 3
    assert logged(ctx) == {"again": 1}


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


def test_requests_from_before_the_first_deployment_are_answered_unless_latest_is_said(
    ctx: FakeContext, release: Release, cluster: KafkaCluster
) -> None:
    cluster.send_all(REQUESTS, [asked(f"early-{n}") for n in range(20)])
    deployed(ctx, scorer(cluster, start="latest", group="late"), release())
    cluster.send(REQUESTS, asked("on-time"))
    assert [told(each)["request_id"] for each in answers(cluster, 1)] == ["on-time"]
    deployed(ctx, scorer(cluster), release())
    answered(cluster, {f"early-{n}" for n in range(20)})


def test_a_new_champion_takes_over_without_loss_and_the_group_stays(
    ctx: FakeContext, release: Release, cluster: KafkaCluster, processes: Processes
) -> None:
    runtime = scorer(cluster, batch=5)
    first = deployed(ctx, runtime, release(1.0, version="1", scoring_log=LOG))
    before = processes(ctx.state)
    names = [f"r{n}" for n in range(400)]
    cluster.send_all(REQUESTS, [asked(name) for name in names[:200]])
    second = deployed(ctx, runtime, release(-1.0, version="2", scoring_log=LOG))
    cluster.send_all(REQUESTS, [asked(name) for name in names[200:]])
    runtime.delete(ctx, first)
    found = answered(cluster, set(names))
    assert Counter(told(each)["request_id"] for each in found) == Counter(names), "and none twice"
    assert {told(each)["snapshot"] for each in found[-50:]} == {"credit/2"}
    assert processes(ctx.state) == before
    assert runtime.predict(ctx, second, [ROW]) == [{"score": NO}]
    assert logged(ctx) == Counter(names)


def test_a_challenger_scores_the_same_requests_and_only_its_probes_are_answered(
    ctx: FakeContext, release: Release, cluster: KafkaCluster
) -> None:
    runtime = scorer(cluster)
    deployed(ctx, runtime, release(1.0, scoring_log=LOG))
    spec = release(-1.0, version="2", role="challenger", scoring_log=LOG)
    challenger = deployed(ctx, runtime, spec)
    cluster.send_all(REQUESTS, [asked(f"r{n}") for n in range(10)])
    found = answers(cluster, 10)
    assert {told(each)["snapshot"] for each in found} == {"credit/1"}
    until(lambda: logged(ctx) == {f"r{n}": 2 for n in range(10)})
    assert runtime.predict(ctx, challenger, [ROW]) == [{"score": NO}]
    runtime.delete(ctx, challenger)
    cluster.send(REQUESTS, asked("after"))
    answered(cluster, {"after"})
    assert logged(ctx)["after"] == 1


def test_other_topics_end_the_scorer_and_a_new_one_goes_on_where_it_stood(
    ctx: FakeContext, release: Release, cluster: KafkaCluster, processes: Processes
) -> None:
    deployed(ctx, scorer(cluster), release(scoring_log=LOG))
    cluster.send(REQUESTS, asked("first"))
    answers(cluster, 1)
    (before,) = processes(ctx.state)
    cluster.create("elsewhere")
    handle = deployed(ctx, scorer(cluster, answers="elsewhere"), release(scoring_log=LOG))
    (after,) = processes(ctx.state)
    assert after != before
    cluster.send(REQUESTS, asked("second"))
    found = no_probe(cluster.read("elsewhere", lambda found: len(no_probe(found)) >= 1))
    assert [told(each)["request_id"] for each in found] == ["second"]
    assert len(answers(cluster, 1)) == 1
    scorer(cluster).delete(ctx, handle)
    assert processes(ctx.state) == []


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


def test_a_scorer_that_falls_behind_is_told(
    ctx: FakeContext, release: Release, cluster: KafkaCluster
) -> None:
    runtime = scorer(cluster, most_lag=20, batch=1)
    handle = deployed(ctx, runtime, release())
    cluster.send_all(REQUESTS, [asked(f"r{n}") for n in range(1500)])
    seen = until(lambda: troubled(runtime, ctx, handle, "behind"))
    assert (seen.phase, seen.endpoints[0].protocol) == ("degraded", "kafka")
    assert re.fullmatch(rf"\d+ requests wait in {REQUESTS}, more than 20", seen.message)
    until(lambda: runtime.observe(ctx, handle).phase == "ready")


def troubled(runtime: KafkaScorer, ctx: FakeContext, handle: Handle, reason: str) -> Any:
    seen = runtime.observe(ctx, handle)
    return seen if seen.reason == reason else None


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


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"sasl": {"mechanism": "PLAIN", "username": "u", "password": {"secret": "env/P"}}},
         "PLAIN sends the password as it is"),
        ({"tls": {"certificate": "own.pem"}}, "certificate and key come together"),
        ({"requests": "same", "answers": "same"}, "are different topics"),
        ({"brokers": "http://kafka:9092"}, "brokers"),
        ({"brokers": "user@kafka:9092"}, "brokers"),
        ({"requests": "with blank"}, "requests"),
    ],
)  # fmt: skip
def test_settings_that_cannot_work_are_refused(settings: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        KafkaScorer.model_validate({"brokers": "localhost:9092"} | settings)


def test_what_can_never_run_is_said_before_anything_is_made(release: Release) -> None:
    runtime = KafkaScorer(brokers="localhost:9092", requests="{services}.requests")
    problems = runtime.check(release(format="sas"))
    assert problems == [
        "local.kafka_scorer serves onnx models, credit/1 is sas",
        "topic '{services}.requests' is no name that Kafka takes; {service} and {stage} are put in",
    ]


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
