"""`validate` knows what a stage may say of `docker.tfserving`, and what the runtime refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from waystage.cli.main import run as waystage
from waystage.plugin import DeploySpec
from waystage_plugins.runtimes.docker import DockerServing

SETTINGS: dict[str, Any] = {
    "image": "tensorflow/serving:2.19.1", "limits": {"cpus": 2, "memory": "2g"}, "port": 8501,
    "user": "1000:1000", "restart": "on-failure", "arguments": ["--enable_batching"],
    "registry": {"host": "registry.example.org"},
}  # fmt: skip


def validated(
    root: Path, capsys: pytest.CaptureFixture[str], settings: dict[str, Any], **more: Any
) -> str:
    """Give what `waystage validate` says of a project whose DEV serves by Docker; fine is empty."""
    assert waystage(["init", str(root)]) == 0
    stage = root / "stages" / "DEV.yaml"
    told = yaml.safe_load(stage.read_text())
    told["runtimes"][0] |= {"use": "docker.tfserving", "with": settings, **more}
    stage.write_text(yaml.safe_dump(told, sort_keys=False))
    capsys.readouterr()
    code = waystage(["--project", str(root), "validate"])
    said = capsys.readouterr()
    return "" if code == 0 else said.out + said.err


def test_a_stage_may_serve_by_docker(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    endpoints = [{"name": "score", "protocol": "rest"}, {"name": "fast", "protocol": "grpc"}]
    assert validated(tmp_path / "p", capsys, SETTINGS, endpoints=endpoints) == ""


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({**SETTINGS, "imag": "x"}, "imag"),
        ({**SETTINGS, "limits": {"memory": "2 GB"}}, "memory"),
        ({**SETTINGS, "user": "root"}, "user"),
        ({**SETTINGS, "restart": "always"}, "restart"),
        ({**SETTINGS, "port": 70000}, "port"),
    ],
)
def test_wrong_settings_are_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: dict[str, Any], told: str
) -> None:
    said = validated(tmp_path / "p", capsys, settings)
    assert "DEV.yaml" in said
    assert told in said


def test_kafka_is_not_spoken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    topics = [{"name": "scores", "protocol": "kafka"}]
    assert "kafka" in validated(tmp_path / "p", capsys, SETTINGS, endpoints=topics)


@pytest.mark.parametrize(
    ("settings", "spec", "told"),
    [
        ({}, {}, "runs an image: set image:, or build one before"),
        ({}, {"image": "r.example/x:1"}, "is named without its digest"),
        ({"image": "x:1"}, {"format": "onnx"}, "serves savedmodel, credit/1 is onnx"),
        ({"image": "x:1", "network": "host"}, {}, "network: host has no ports of its own"),
        (
            {"registry": {"host": "r.example"}},
            {"image": "other.example/x@sha256:" + "0" * 64},
            "is not of the registry r.example",
        ),
    ],
)
def test_what_could_never_run_is_refused(
    settings: dict[str, Any], spec: dict[str, Any], told: str
) -> None:
    snapshot = {"name": "credit", "version": "1", "digest": "sha256:" + "0" * 64,
                "format": spec.pop("format", "savedmodel")}  # fmt: skip
    asked = DeploySpec.model_validate(
        {"service": "credit-risk", "stage": "DEV", "snapshot": snapshot, "source": ".", **spec}
    )
    (problem,) = DockerServing.model_validate(settings).check(asked)
    assert told in problem
