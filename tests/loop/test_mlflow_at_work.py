"""A model that is registered in MLflow opens a run, and comes through its checks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from at_work import AtWork, scorer
from mlflow_server import MlflowServer, NoMlflow, run_python

pytestmark = pytest.mark.heavy

TRAINED = """
import sys, types
import mlflow, pandas as pd
from mlflow.models import infer_signature

rows = pd.DataFrame({"income": [0.5, 1.5], "age": [-0.5, 0.25]})
answers = pd.DataFrame({"probabilities": [0.5, 0.5]})
flavor = types.ModuleType("served_elsewhere")
flavor._load_pyfunc = lambda path: types.SimpleNamespace(predict=lambda rows, params=None: answers)
sys.modules["served_elsewhere"] = flavor
with mlflow.start_run(tags={"mlflow.user": "dana"}):
    info = mlflow.pyfunc.log_model(
        name="model", loader_module="served_elsewhere", data_path=sys.argv[1],
        signature=infer_signature(rows, answers), input_example=rows, pip_requirements=[])
mlflow.register_model(
    info.model_uri, "credit", tags={"services": "credit-risk", "candidate": "champion"})
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MlflowServer]:
    try:
        found = MlflowServer(tmp_path / "mlflow")
    except NoMlflow as error:
        pytest.skip(str(error))
    yield found
    found.stop()


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: MlflowServer) -> Iterator[AtWork]:
    def take_from_mlflow(project: dict[str, Any]) -> None:
        settings = {"url": server.url, "models": ["credit"]}
        project["repositories"] = [
            {"name": "models", "use": "mlflow", "services": ["*"], "with": settings}
        ]

    found = AtWork(tmp_path / "project", monkeypatch, change=take_from_mlflow)
    yield found
    found.stop()


def test_a_model_registered_in_mlflow_waits_for_approval(
    work: AtWork, server: MlflowServer, tmp_path: Path
) -> None:
    graph = tmp_path / "model.onnx"
    graph.write_bytes(scorer(1.0))
    run_python(TRAINED, server, str(graph))
    work.until(lambda: bool(work.daemon.store.runs()))
    run = work.daemon.store.runs()[0].id
    work.comes_to(run, "approve")
    snapshot = work.daemon.connections.named_repository("models").get(
        work.daemon.connections, "credit", "1"
    )
    assert (snapshot.format, snapshot.author) == ("onnx", "dana")
    assert snapshot.example[0] == {"income": 0.5, "age": -0.5}
