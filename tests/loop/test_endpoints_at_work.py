"""A lifecycle through a stage with REST and gRPC and one with Kafka: deployed, probed, shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from at_work import AtWork
from kafka_cluster import KafkaCluster

from waystage.cli.main import run as waystage
from waystage.web.server import WebServer
from waystage_plugins.tfserving.over_grpc import over_grpc

pytest.importorskip("grpc", reason="grpcio is not installed")

LIFECYCLE = """
lifecycle: two-stages
services: [credit-risk]
initial: promote
states:
  promote:
    stages: [DEV, UAT]
    states:
      deploy:
        steps: [{use: runtime.deploy}, {use: runtime.probe}]
        next: {done: passed, refused: rejected}
      passed: {final: true}
    next: {done: closed}
  closed: {final: true}
  rejected: {final: true, outcome: rejected}
"""
DEV = """
stage: DEV
runtimes:
  - name: servers
    use: local.serving
    mode: online
    endpoints: [{name: decide, protocol: rest}, {name: fast, protocol: grpc}]
"""
UAT = """
stage: UAT
after: [DEV]
runtimes:
  - name: scorers
    use: local.kafka_scorer
    mode: online
    endpoints: [{name: stream, protocol: kafka}]
    with: {brokers: "BROKERS", session: PT1S}
"""


@pytest.fixture
def brokers() -> Iterator[KafkaCluster]:
    made = KafkaCluster()
    made.create("credit-risk.requests", "credit-risk.answers")
    yield made
    made.close()


@pytest.fixture
def project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, brokers: KafkaCluster
) -> Iterator[AtWork]:
    def with_stages(told: dict[str, Any]) -> None:
        root = tmp_path / "project"
        for each in (*root.glob("stages/*"), *root.glob("lifecycles/*.yaml")):
            each.unlink()
        for each in root.glob("scenarios/*"):
            each.unlink()
        (root / "stages/DEV.yaml").write_text(dedent(DEV))
        (root / "stages/UAT.yaml").write_text(UAT.replace("BROKERS", brokers.brokers))
        (root / "lifecycles/two-stages.yaml").write_text(LIFECYCLE)
        told["services"] = {"credit-risk": {}}

    made = AtWork(tmp_path / "project", monkeypatch, change=with_stages)
    yield made
    made.stop()


def test_a_run_deploys_to_rest_grpc_and_kafka_and_where_shows_them(
    project: AtWork, brokers: KafkaCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert waystage(["--project", str(project.root), "validate"]) == 0
    project.model("1", 2.0)
    run = project.begin("two-stages", "1")
    project.ends(run, "done")
    web = WebServer(project.daemon, "127.0.0.1", 0)
    web.start()
    capsys.readouterr()
    try:
        assert waystage(["--project", str(project.root), "where", "credit-risk", "--json"]) == 0
        rows = {row["stage"]: row for row in json.loads(capsys.readouterr().out)}
        assert waystage(["--project", str(project.root), "where", "credit-risk"]) == 0
    finally:
        web.stop()
    shown = capsys.readouterr().out
    rest, grpc = rows["DEV"]["body"]["deployed"]["endpoints"]
    assert [rest["name"], grpc["name"]] == ["decide", "fast"]
    assert f"requests go to {rest['url']} (rest, decide)" in shown
    assert f"requests go to {grpc['url']} (grpc, fast)" in shown
    (stream,) = rows["UAT"]["body"]["deployed"]["endpoints"]
    assert (stream["name"], stream["protocol"]) == ("stream", "kafka")
    assert f"requests go to {stream['url']}\n" in shown
    with over_grpc(grpc["url"].removeprefix("grpc://").partition("/")[0]) as server:
        signature = server.signature("credit-risk")
        told = server.predict("credit-risk", {"income": [[0.5]], "age": [[-0.5]]}, signature)
    assert told["score"] == [pytest.approx(0.62246, abs=1e-4)]
    row = {"income": 0.5, "age": -0.5, "request_id": "loan-1"}
    brokers.send("credit-risk.requests", json.dumps(row).encode())

    def ours(found: list[Any]) -> list[dict[str, Any]]:
        values = [json.loads(message.value()) for message in found]
        return [value for value in values if value["request_id"] == "loan-1"]

    (answer,) = ours(brokers.read("credit-risk.answers", lambda found: bool(ours(found))))
    assert answer["score"] == pytest.approx(0.62246, abs=1e-4)


def test_a_stage_that_asks_for_what_its_runtime_lacks_is_refused_at_its_line(
    project: AtWork, capsys: pytest.CaptureFixture[str]
) -> None:
    place = project.root / "stages/DEV.yaml"
    place.write_text(place.read_text().replace("protocol: grpc", "protocol: kafka"))
    capsys.readouterr()
    assert waystage(["--project", str(project.root), "validate"]) == 1
    told = "".join(capsys.readouterr())
    assert "stages/DEV.yaml:7:" in told
    assert "local.serving does not speak kafka; it speaks grpc, rest" in told
