"""Requests come by one Kafka topic and are answered on another, and are logged once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kafka_cluster import KafkaCluster
from kafka_talk import (
    ANSWERS,
    GROUP,
    LOG,
    NO,
    REQUESTS,
    ROW,
    YES,
    answered,
    answers,
    asked,
    deployed,
    headers,
    logged,
    no_probe,
    scorer,
    told,
    until,
)

from waystage.plugin import DeploySpec
from waystage.testing import FakeContext
from waystage.testing.runtime_contracts import check_online_runtime
from waystage_plugins.runtimes import KafkaScorer

Release = Callable[..., DeploySpec]
Processes = Callable[[Path], list[int]]


def test_the_scorer_holds_to_the_contract(
    ctx: FakeContext, release: Release, cluster: KafkaCluster, processes: Processes
) -> None:
    seen = check_online_runtime(scorer(cluster), ctx, release())
    (endpoint,) = seen.endpoints
    assert endpoint.protocol == "kafka"
    assert endpoint.url == f"kafka://{cluster.brokers}/{REQUESTS}?answers={ANSWERS}"
    assert "partitions 0-3 of 4, lag 0" in seen.message
    assert seen.lag == 0
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


def test_requests_from_before_the_first_deployment_are_answered_unless_latest_is_said(
    ctx: FakeContext, release: Release, cluster: KafkaCluster
) -> None:
    cluster.send_all(REQUESTS, [asked(f"early-{n}") for n in range(20)])
    deployed(ctx, scorer(cluster, start="latest", group="late"), release())
    cluster.send(REQUESTS, asked("on-time"))
    assert [told(each)["request_id"] for each in answers(cluster, 1)] == ["on-time"]
    deployed(ctx, scorer(cluster), release())
    answered(cluster, {f"early-{n}" for n in range(20)})


def test_a_partition_that_came_later_is_read_from_its_beginning(
    ctx: FakeContext, release: Release, cluster: KafkaCluster
) -> None:
    cluster.commit(GROUP, REQUESTS, 0)  # the group has read what was there then
    cluster.send(REQUESTS, asked("early"), partition=3)
    deployed(ctx, scorer(cluster, start="latest"), release())
    answered(cluster, {"early"})


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
