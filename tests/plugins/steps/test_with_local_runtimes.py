"""The steps with the runtimes of this machine: real servers, real jobs, a real ONNX model."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from waystage.plugin import Done, Handle, Label, Refused, ScoredRow, Verified
from waystage.testing import FakeContext, run_to_end
from waystage_plugins.runtimes.local_process import LocalProcess
from waystage_plugins.runtimes.local_serving import LocalServing
from waystage_plugins.scoring.sqlite import SqliteScoringLog
from waystage_plugins.steps.batch_score import ScoreBatch
from waystage_plugins.steps.batch_train import Train
from waystage_plugins.steps.deploy import Deploy
from waystage_plugins.steps.model_check import CheckModel
from waystage_plugins.steps.probe import Probe
from waystage_plugins.steps.register import Register
from waystage_plugins.steps.restore import Restore
from waystage_plugins.storage.files import file_digest

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

Commit = Callable[[FakeContext, object], None]
FIELDS: dict[str, Any] = {
    "format": "onnx",
    "inputs": [{"name": "income"}, {"name": "age"}],
    "example": [{"income": 1.0, "age": 2.0}, {"income": -3.0, "age": 0.5}],
}


def model(weight: float) -> bytes:
    """Make a logistic model: sigmoid(weight · (income + age))."""
    helper, number = onnx.helper, onnx.TensorProto.FLOAT
    inputs = [helper.make_tensor_value_info(name, number, [None, 1]) for name in ("income", "age")]
    nodes = [
        helper.make_node("Add", ["income", "age"], ["sum"]),
        helper.make_node("Mul", ["sum", "weight"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["probability"]),
    ]
    output = helper.make_tensor_value_info("probability", number, [None, 1])
    constant = helper.make_tensor("weight", number, [1], [weight])
    graph = helper.make_graph(nodes, "g", inputs, [output], [constant])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(made.SerializeToString())


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[LocalServing]:
    """The online runtime of this machine, of which nothing is left running."""
    runtime, ctx = LocalServing(), FakeContext(tmp_path)
    yield runtime
    for version in (1, 2):
        directory = str(ctx.state / "serving/DEV-credit-risk")
        runtime.delete(ctx, Handle(ref={"directory": directory, "version": version}))


@pytest.fixture
def first(release: Callable[..., FakeContext], serving: LocalServing) -> FakeContext:
    """A run on a real model in a stage with both runtimes."""
    ctx = release({"model.onnx": model(1.0)}, **FIELDS)
    ctx.runtimes = {"serving": serving, "jobs": LocalProcess()}
    return ctx


def step_of(ctx: FakeContext, name: str) -> FakeContext:
    ctx.key, ctx.memo = f"{ctx.run}/1/{name}", {}
    return ctx


def served(ctx: FakeContext) -> float:
    """Score as a client does, who knows the endpoint alone."""
    url = ctx.inventory[-1].deployed.endpoints[0].url
    answer = ctx.http.post(f"{url}:predict", json={"instances": [{"income": 1.0, "age": 2.0}]})
    assert answer.status_code == 200, answer.text
    (only,) = answer.json()["predictions"]
    return float(only["score"] if isinstance(only, dict) else only)


def test_a_model_is_checked_deployed_probed_replaced_and_restored(
    first: FakeContext, release: Callable[..., FakeContext], commit: Commit
) -> None:
    assert isinstance(run_to_end(CheckModel(), first), Done)
    commit(first, run_to_end(Deploy(), step_of(first, "deploy")))
    probed = run_to_end(Probe(), step_of(first, "probe"))
    assert isinstance(probed, Done)
    assert isinstance(probed.output, Probe.Output)
    assert probed.output.scores == pytest.approx([0.9526, 0.0759], abs=1e-4)
    assert probed.facts == (Verified(stage="DEV"),)
    assert served(first) == pytest.approx(0.9526, abs=1e-4)

    second = release({"model.onnx": model(-1.0)}, **FIELDS)
    second.runtimes, second.inventory = first.runtimes, first.inventory
    commit(second, run_to_end(Deploy(), step_of(second, "deploy")))
    assert isinstance(run_to_end(Probe(), step_of(second, "probe")), Done)
    assert served(second) == pytest.approx(0.0474, abs=1e-4)

    restored = run_to_end(Restore(), step_of(second, "restore"))
    commit(second, restored)
    assert restored.output == Restore.Output(restored="credit/1")
    deadline = time.monotonic() + 120  # the server takes notice in its own time
    while served(first) < 0.9 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert served(first) == pytest.approx(0.9526, abs=1e-4)


def test_a_model_that_answers_no_numbers_is_refused_by_the_probe(
    release: Callable[..., FakeContext], commit: Commit, serving: LocalServing
) -> None:
    ctx = release({"model.onnx": model(float("nan"))}, **FIELDS)
    ctx.runtimes = {"serving": serving}
    commit(ctx, run_to_end(Deploy(), step_of(ctx, "deploy")))
    answer = run_to_end(Probe(), step_of(ctx, "probe"))
    assert isinstance(answer, Refused)
    assert "row 1 has" in answer.why


def test_a_model_is_probed_and_scores_a_file_in_real_jobs(
    first: FakeContext, commit: Commit
) -> None:
    first.runtimes = {"jobs": LocalProcess()}
    commit(first, run_to_end(Deploy(), step_of(first, "deploy")))
    probed = run_to_end(Probe(), step_of(first, "probe"))
    assert isinstance(probed, Done)
    assert isinstance(probed.output, Probe.Output)
    assert probed.output.scores == pytest.approx([0.9526, 0.0759], abs=1e-4)

    rows = first.project / "rows.jsonl"
    rows.write_text("".join(json.dumps({"income": 0.0, "age": n}) + "\n" for n in range(5)))
    scored = run_to_end(ScoreBatch(rows="rows.jsonl"), step_of(first, "score"))
    assert isinstance(scored, Done)
    assert isinstance(scored.output, ScoreBatch.Output)
    lines = Path(scored.output.scores).read_text().splitlines()
    assert json.loads(lines[0])["score"] == pytest.approx(0.5)

    rows.write_text(
        '{"income": 1.0, "applicant": "ä", "age": 0.0}\n\n{"income": 0, "applicant": 2, "age": 0}\n'
    )
    kept = run_to_end(
        ScoreBatch(rows="rows.jsonl", keep=("applicant", "age")), step_of(first, "keep")
    )
    assert isinstance(kept, Done)
    assert isinstance(kept.output, ScoreBatch.Output)
    told = [json.loads(line) for line in Path(kept.output.scores).read_text().splitlines()]
    assert [(each["applicant"], each["age"]) for each in told] == [("ä", 0.0), (2, 0)]
    assert told[1]["score"] == pytest.approx(0.5)
    assert kept.output.rows_digest == file_digest(rows)


TRAIN = """
import os, pathlib, shutil
out = pathlib.Path(os.environ["WAYSTAGE_OUTPUT"], "model")
out.mkdir()
shutil.copy(pathlib.Path(os.environ["WAYSTAGE_INPUT_PARENT"], "model.onnx"), out)
rows = len(open(os.environ["WAYSTAGE_INPUT_DATA"]).readlines()) - 1
(out / "manifest.yaml").write_text(f"metrics: {{rows: {rows}}}")
"""


def test_what_a_real_job_trained_is_registered_and_passes_the_gate(first: FakeContext) -> None:
    log = SqliteScoringLog(path=first.project / "scores.db")
    at = first.now.replace(hour=1)
    asked = (first.service, "DEV", "credit/1", "champion", 0.5)
    log.append(ScoredRow(f"r{n}", at, *asked, {"income": n, "age": 1}) for n in range(20))
    log.label(Label(f"r{n}", n % 2, at) for n in range(20))
    first.scoring_log = log
    step = Train(command=(sys.executable, "-c", TRAIN), minimum_rows=20)
    trained = run_to_end(step, step_of(first, "train"))
    assert isinstance(trained, Done)
    assert isinstance(trained.output, Train.Output)
    assert trained.output.metrics == {"rows": 20.0}

    register = Register.model_validate({"from": trained.output.artifact})
    assert isinstance(run_to_end(register, step_of(first, "register")), Done)
    first.snapshot = first.repository.get(first, "credit", "2")
    assert first.snapshot.metrics == {"rows": 20.0}
    assert isinstance(run_to_end(CheckModel(), step_of(first, "check")), Done)
