"""Small real models, and a runtime whose servers are ended with the test."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka_cluster import KafkaCluster

from waystage.plugin import DeploySpec, Snapshot
from waystage.testing import FakeContext
from waystage_plugins.repositories.tree import tree_digest, tree_files
from waystage_plugins.runtimes.local_serving import stop_all

INPUTS = [
    {"name": "income", "type": "number"},
    {"name": "children", "type": "integer"},
    {"name": "purpose", "type": "string"},
]
ROW = {"income": 1.0, "children": 2, "purpose": "car"}

Release = Callable[..., DeploySpec]


def graph(weight: float) -> bytes:
    """Make a model: sigmoid(weight · (income + children + 1 for a car)), as [1 - p, p]."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    h, t = onnx.helper, onnx.TensorProto
    kinds = {"income": t.FLOAT, "children": t.INT64, "purpose": t.STRING}
    nodes = [
        h.make_node("Cast", ["children"], ["kids"], to=t.FLOAT),
        h.make_node("LabelEncoder", ["purpose"], ["car"], domain="ai.onnx.ml",
                    keys_strings=["car"], values_floats=[1.0], default_float=0.0),
        h.make_node("Sum", ["income", "kids", "car"], ["sum"]),
        h.make_node("Mul", ["sum", "weight"], ["logit"]),
        h.make_node("Sigmoid", ["logit"], ["yes"]),
        h.make_node("Sub", ["one", "yes"], ["no"]),
        h.make_node("Concat", ["no", "yes"], ["probabilities"], axis=1),
        h.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
    ]  # fmt: skip
    made = h.make_graph(
        nodes,
        "scorecard",
        [h.make_tensor_value_info(name, kind, [None, 1]) for name, kind in kinds.items()],
        [h.make_tensor_value_info("label", t.INT64, [None]),
         h.make_tensor_value_info("probabilities", t.FLOAT, [None, 2])],
        [h.make_tensor("weight", t.FLOAT, [1], [weight]),
         h.make_tensor("one", t.FLOAT, [1], [1.0])],
    )  # fmt: skip
    versions = [h.make_opsetid("", 17), h.make_opsetid("ai.onnx.ml", 3)]
    return bytes(h.make_model(made, opset_imports=versions, ir_version=8).SerializeToString())


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Make a snapshot with its files: `release(weight=1.0, version="2")`."""
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

    def make(
        weight: float = 1.0, *, version: str = "1", name: str = "credit",
        content: bytes | None = None, role: str = "champion", scoring_log: Any = None,
        **fields: Any,
    ) -> DeploySpec:  # fmt: skip
        source = tmp_path_factory.mktemp("model")
        (source / "model.onnx").write_bytes(graph(weight) if content is None else content)
        files = tree_files(source)
        told = {"format": "onnx", "inputs": INPUTS, "example": [ROW], "files": files} | fields
        snapshot = Snapshot.model_validate(
            {"name": name, "version": version, "digest": tree_digest(files)} | told
        )
        return DeploySpec.model_validate(
            {"service": "credit-risk", "stage": "DEV", "snapshot": snapshot, "role": role,
             "source": str(source), "scoring_log": scoring_log}
        )  # fmt: skip

    return make


@pytest.fixture
def ctx(tmp_path: Path) -> Iterator[FakeContext]:
    """A context whose model servers are ended with the test."""
    made = FakeContext(tmp_path)
    yield made
    stop_all(made)


@pytest.fixture(scope="session")
def processes() -> Callable[[Path], list[int]]:
    """Give the processes whose command names a path."""

    def find(path: Path) -> list[int]:
        listed = subprocess.run(
            ["ps", "-axww", "-o", "pid=,stat=,args="], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        rows = [line.split(None, 2) for line in listed if str(path) in line]
        return [int(pid) for pid, state, _ in rows if not state.startswith("Z")]

    return find


@pytest.fixture
def cluster() -> Iterator[KafkaCluster]:
    """Run a broker with the topics of the service."""
    made = KafkaCluster()
    made.create(*(f"credit-risk.{kind}" for kind in ("requests", "answers", "refused")))
    yield made
    made.close()
