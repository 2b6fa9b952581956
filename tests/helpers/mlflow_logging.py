"""What a data scientist logs to MLflow with its own client, registers, tags and changes there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
from mlflow_server import MlflowServer, run_python

LOGGED = """
import sys, json, pathlib, tempfile
import mlflow, numpy as np, pandas as pd
from mlflow.models import infer_signature

class Double(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input["income"] * 2.0

table = pd.DataFrame({"income": [1.5, 2.5], "purpose": ["car", "tv"], "months": [6, 12]})
answers = pd.DataFrame({"score": [0.1, 0.2]})
arrays = {"income": np.array([[1.0], [2.0]], np.float32), "purpose": np.array([["car"], ["tv"]])}
scores = {"score": np.array([[0.1], [0.2]], np.float32)}
graph = pathlib.Path(tempfile.mkdtemp()) / "model"
(graph / "variables").mkdir(parents=True)
(graph / "saved_model.pb").write_bytes(b"a graph")
(graph / "variables" / "variables.index").write_bytes(b"an index")

with mlflow.start_run(tags={"mlflow.source.git.commit": "c0ffee", "mlflow.user": "dana"}) as run:
    mlflow.log_metrics({"auc": 0.71, "ks": 0.4})
    mlflow.log_input(mlflow.data.from_pandas(table, name="credit"), context="training")
    of_table = mlflow.pyfunc.log_model(name="table", python_model=Double(), pip_requirements=[],
        signature=infer_signature(table, answers), input_example=table)
    of_arrays = mlflow.pyfunc.log_model(name="arrays", loader_module="waystage_none",
        data_path=str(graph), pip_requirements=[], signature=infer_signature(arrays, scores))
    bare = mlflow.pyfunc.log_model(name="bare", loader_module="waystage_none",
        data_path=str(graph), pip_requirements=[])
print(json.dumps({"run": run.info.run_id, "table": of_table.model_uri,
                  "arrays": of_arrays.model_uri, "bare": bare.model_uri}))
"""


class Registry:
    """The registry of a server as its users see it: what they log, register, tag and change."""

    def __init__(self, server: MlflowServer) -> None:
        self.server = server
        self.logged: dict[str, str] = json.loads(run_python(LOGGED, server).splitlines()[-1])

    def get(self, path: str, **params: str) -> Any:
        """Ask the server's API."""
        url = f"{self.server.url}/api/2.0/mlflow/{path}"
        answer = httpx.get(url, params=params, trust_env=False)
        return answer.raise_for_status().json()

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Have the server's API change something."""
        answer = httpx.post(f"{self.server.url}/api/2.0/mlflow/{path}", json=body, trust_env=False)
        return answer.raise_for_status().json()

    def register(self, name: str, which: str, **tags: str) -> None:
        """Register a logged model as the next version of a registered model."""
        url = f"{self.server.url}/api/2.0/mlflow/registered-models/create"
        httpx.post(url, json={"name": name}, trust_env=False)
        self.post("model-versions/create", {
            "name": name, "source": self.logged[which], "run_id": self.logged["run"],
            "model_id": self.logged[which].removeprefix("models:/"),
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        })  # fmt: skip

    def tag(self, name: str, version: str, key: str, value: str) -> None:
        """Tag a version."""
        body = {"name": name, "version": version, "key": key, "value": value}
        self.post("model-versions/set-tag", body)

    def version(self, name: str, version: str = "1") -> dict[str, Any]:
        """Give what the server has of a version."""
        told = self.get("model-versions/get", name=name, version=version)
        return dict(told["model_version"])

    def files(self, name: str, version: str = "1") -> Path:
        """Give the directory on the server's disk that has a version's artifacts."""
        told = self.get("model-versions/get-download-uri", name=name, version=version)
        path = str(told["artifact_uri"]).removeprefix("mlflow-artifacts:/").lstrip("/")
        return Path(self.server.artifacts, path)
