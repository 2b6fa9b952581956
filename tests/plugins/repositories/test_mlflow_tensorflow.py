"""What TensorFlow and MLflow's own client log is a SavedModel that passes the first gate."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import mlflow_server
import pytest
import saved_models
from mlflow_logging import Registry

from waystage.plugin import Done
from waystage.testing import FakeContext
from waystage_plugins.repositories import Mlflow
from waystage_plugins.steps.model_check import CheckModel

TRAINED = """
import sys
sys.path.append(sys.argv[1])  # MLflow lives in an environment of its own
import mlflow, numpy as np, tensorflow as tf
from mlflow.models import infer_signature

class Score(tf.Module):
    def __init__(self):
        self.slope = tf.Variable(0.01)

    @tf.function(input_signature=[
        tf.TensorSpec([None], tf.float32, "income"), tf.TensorSpec([None], tf.string, "purpose")])
    def serve(self, income, purpose):
        car = tf.cast(tf.equal(purpose, "car"), tf.float32)
        return {"score": tf.sigmoid(self.slope * income + car)}

model = Score()
rows = {"income": np.array([1.0, 2.0], np.float32), "purpose": np.array(["car", "tv"])}
scores = {"score": model.serve(**{k: tf.constant(v) for k, v in rows.items()})["score"].numpy()}
with mlflow.start_run(tags={"mlflow.user": "dana"}):
    info = mlflow.tensorflow.log_model(
        model, name="model", signature=infer_signature(rows, scores), input_example=rows,
        saved_model_kwargs={"signatures": {"serving_default": model.serve}}, pip_requirements=[])
mlflow.register_model(info.model_uri, sys.argv[2], tags={"services": "credit-risk"})
"""


@pytest.mark.heavy
def test_a_model_that_tensorflow_logged_passes_model_check(
    registry: Registry, mlflow: Mlflow, ctx: FakeContext, name: str
) -> None:
    python = saved_models.PLACE / "bin" / "python"
    if not python.is_file():
        pytest.skip("NOT TESTED: there is no TensorFlow in .cache/tensorflow")
    more = Path("lib", f"python3.{sys.version_info.minor}", "site-packages")
    quiet = {"MLFLOW_TRACKING_URI": registry.server.url, "TF_CPP_MIN_LOG_LEVEL": "3"}
    told = subprocess.run(
        [python, "-c", TRAINED, mlflow_server.PLACE / more, name],
        env=os.environ | mlflow_server.QUIET | quiet,
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr[-2000:]
    ctx.snapshot, ctx.repository = mlflow.get(ctx, name, "1"), mlflow
    assert [(c.name, c.type) for c in ctx.snapshot.inputs] == [
        ("income", "number"),
        ("purpose", "string"),
    ]
    assert ctx.snapshot.example[1] == {"income": 2.0, "purpose": "tv"}
    assert isinstance(CheckModel().run(ctx), Done)
