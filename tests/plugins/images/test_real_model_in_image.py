"""What TensorFlow wrote is in the image as it was: TensorFlow itself scores with it."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from registry_stand_in import StandIn
from saved_models import PLACE, NoTensorFlow, real_models

from waystage.plugin import Done
from waystage.testing import FakeContext, run_to_end
from waystage_plugins.images import BuildServingImage
from waystage_plugins.steps.model_check import CheckModel

pytestmark = pytest.mark.heavy
SCORE = """
import json, sys, tensorflow as tf
score = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
answer = score(income=tf.constant([0.0, 100.0]), owner=tf.constant([False, False]))
print(json.dumps(answer["score"].numpy().tolist()))
"""


def test_tensorflow_scores_with_the_model_of_the_image(
    stand_in: StandIn, release: Callable[..., FakeContext], tmp_path: Path
) -> None:
    try:
        served, _ = real_models()
    except NoTensorFlow as error:
        pytest.skip(str(error))
    files = {p.relative_to(served).as_posix(): p.read_bytes()
             for p in served.rglob("*") if p.is_file()}  # fmt: skip
    ctx = release({f"model/{name}": content for name, content in files.items()}, version="7")
    assert isinstance(run_to_end(CheckModel(), ctx), Done)
    step = BuildServingImage.model_validate({
        "base": f"{stand_in.address}/mirror/serving:2.19.1", "tag": "7",
        "registry": {"host": stand_in.address, "plain_http": True},
    })  # fmt: skip
    assert isinstance(run_to_end(step, ctx), Done)
    made = stand_in.manifest("credit-risk", "7")
    assert made
    raw = stand_in.blob("credit-risk", made["layers"][-1]["digest"])
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        archive.extractall(tmp_path / "image", filter="data")
    model = tmp_path / "image" / "models" / "credit-risk" / "7"
    told = subprocess.run(
        [PLACE / "bin" / "python", "-c", SCORE, model],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(told.stdout) == pytest.approx([0.5, 0.7310586])
