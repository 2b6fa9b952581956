"""What we say of TensorFlow Serving's messages is what its own package says.

`tensorflow-serving-api` is no dependency: it brings TensorFlow.
`.cache/tensorflow/bin/pip install --no-deps tensorflow-serving-api` puts it beside TensorFlow.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from saved_models import PLACE, saved_model

from waystage.plugin import Snapshot
from waystage_plugins.tfserving.messages import _SERVING, _TF, SERVING, TF, message
from waystage_plugins.tfserving.warmup import warmup_of

pytestmark = pytest.mark.heavy
LOOK = """
import importlib, json, sys
import tensorflow as tf
from google.protobuf import descriptor_pool
NAMES = ("predict get_model_status model_management get_model_metadata classification regression "
         "input model prediction_log prediction_service inference")
for name in NAMES.split():
    importlib.import_module(f"tensorflow_serving.apis.{name}_pb2")
from tensorflow_serving.apis import prediction_log_pb2
wrong, pool = [], descriptor_pool.Default()
for name, fields in json.load(open(sys.argv[1])).items():
    known = {f.name: f for f in pool.FindMessageTypeByName(name).fields}
    for field, (number, repeated, kind) in fields.items():
        found = known.get(field)
        told = found and (found.message_type.full_name if found.message_type else
                          "5" if found.enum_type else str(found.type))
        if not found or (found.number, found.is_repeated, told) != (number, repeated, kind):
            wrong.append(f"{name}.{field}: {number} {repeated} {kind}, not {told}")
rows = []
for raw in tf.data.TFRecordDataset(sys.argv[2]):
    asked = prediction_log_pb2.PredictionLog.FromString(raw.numpy()).predict_log.request
    values = {name: tf.make_ndarray(each).tolist() for name, each in asked.inputs.items()}
    rows.append([asked.model_spec.name, values])
print(json.dumps([wrong, rows]))
"""


def described(names: dict[str, Any], package: str) -> dict[str, Any]:
    found = {}
    for name in names:
        told = message(name, package).DESCRIPTOR
        found[told.full_name] = {
            each.name: (each.number, each.is_repeated,
                        each.message_type.full_name if each.message_type else str(each.type))
            for each in told.fields
        }  # fmt: skip
    return found


def test_messages_and_the_warm_up_file_are_those_of_tensorflow_serving(tmp_path: Path) -> None:
    python = PLACE / "bin" / "python"
    if not list(PLACE.glob("lib/python3*/site-packages/tensorflow_serving")):
        pytest.skip(f"NOT TESTED: no tensorflow-serving-api in {PLACE}")
    (tmp_path / "saved_model.pb").write_bytes(saved_model())
    snapshot = Snapshot.model_validate({
        "name": "credit", "version": "1", "digest": "sha256:" + "0" * 64,
        "example": [{"income": 20, "owner": True}, {"income": 30, "owner": False}],
    })  # fmt: skip
    told, warm = tmp_path / "told.json", tmp_path / "warm"
    told.write_text(json.dumps(described(_TF, TF) | described(_SERVING, SERVING)))
    warm.write_bytes(warmup_of(tmp_path, "credit-risk", snapshot))
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [python, "-c", LOOK, told, warm],
        env=quiet, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-1000:]
    wrong, rows = json.loads(done.stdout.splitlines()[-1])
    assert wrong == []
    assert rows == [
        ["credit-risk", {"income": [20.0], "owner": [True]}],
        ["credit-risk", {"income": [30.0], "owner": [False]}],
    ]
