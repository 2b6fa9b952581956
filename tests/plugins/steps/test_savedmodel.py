"""A SavedModel's signature is read from its bytes and held against the manifest."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from saved_models import FLOAT, STRING, NoTensorFlow, field, real_models, saved_model

from waystage.plugin import Column, Done, Refused
from waystage.testing import FakeContext, run_to_end
from waystage_plugins.steps.model_check import CheckModel
from waystage_plugins.steps.savedmodel import (
    Tensor,
    Unservable,
    model_problems,
    model_root,
    serving_signature,
)

Release = Callable[..., FakeContext]


def placed(tmp_path: Path, content: bytes) -> Path:
    (tmp_path / "saved_model.pb").write_bytes(content)
    return tmp_path


def test_the_serving_signature_is_read(tmp_path: Path) -> None:
    found = serving_signature(placed(tmp_path, saved_model({"x": (FLOAT, (-1, 300))})))
    assert found.method == "tensorflow/serving/predict"
    assert found.inputs == {"x": Tensor("float", (-1, 300))}
    assert found.outputs == {"score": Tensor("float", (-1,))}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "holds no graph"),
        (b"not a model at all", "is no SavedModel"),
        (saved_model()[:-3], "is no SavedModel: it ends in the middle of a field"),
        (field(1, 1) + field(2, 7), "is no SavedModel: field 2 is a number"),
        (saved_model(tag="train"), "has no graph for serving: its tags are train"),
        (
            saved_model(signature="train_step"),
            "has no serving signature 'serving_default' (it has train_step); export it with",
        ),
        (saved_model(signature="__saved_model_init_op"), "(it has none)"),
        (saved_model(method="other"), "cannot be served: method 'other', 2 inputs, 1 outputs"),
        (saved_model(outputs={}), "2 inputs, 0 outputs"),
    ],
    ids=lambda value: value if isinstance(value, str) else "model",
)
def test_what_cannot_be_served_is_told_in_one_line(
    tmp_path: Path, content: bytes, told: str
) -> None:
    with pytest.raises(Unservable) as caught:
        serving_signature(placed(tmp_path, content))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=200), st.integers(0, 300))
def test_damaged_bytes_are_unservable_or_a_signature(noise: bytes, at: int) -> None:
    content = saved_model()
    broken = content[:at] + noise + content[at + len(noise) :]
    with tempfile.TemporaryDirectory() as place:
        try:
            found = serving_signature(placed(Path(place), broken))
        except Unservable:
            return
    assert found.inputs
    assert found.outputs


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({"income": (FLOAT, (-1,)), "owner": (10, (-1,))}, []),
        ({"all": (FLOAT, (-1, 2))}, []),
        ({"all": (FLOAT, (-1, -1))}, []),
        (
            {"all": (FLOAT, (-1, 7))},
            ["saved_model.pb takes 7 columns in 'all', the manifest has 2 inputs"],
        ),
        (
            {"income": (STRING, (-1,)), "age": (FLOAT, (-1,))},
            [
                "input 'income' is number in the manifest, string in saved_model.pb",
                "saved_model.pb wants input 'age', the manifest has none",
                "the manifest has input 'owner', saved_model.pb has none",
            ],
        ),
    ],
)
def test_inputs_are_held_against_the_manifest(
    tmp_path: Path, inputs: dict[str, tuple[int, tuple[int, ...]]], told: list[str]
) -> None:
    columns = (Column(name="income"), Column(name="owner", type="boolean"))
    place = placed(tmp_path, saved_model(inputs))
    assert model_problems(place, columns, (Column(name="score"),)) == told


def test_several_outputs_are_told_apart_by_name(tmp_path: Path) -> None:
    two = {"score": (FLOAT, (-1,)), "reason": (STRING, (-1,))}
    place = placed(tmp_path, saved_model({"income": (FLOAT, (-1,))}, two))
    assert model_problems(place, (Column(name="income"),), (Column(name="score"),)) == []
    assert model_problems(place, (Column(name="income"),), (Column(name="odds"),)) == [
        "the manifest has output 'odds', saved_model.pb gives score, reason"
    ]


def test_a_snapshot_is_one_model() -> None:
    assert str(model_root(["a/saved_model.pb", "a/variables/variables.index"])) == "a"
    with pytest.raises(Unservable, match=r"no saved_model\.pb"):
        model_root(["model.onnx"])
    with pytest.raises(Unservable, match="there are 2 files"):
        model_root(["a/saved_model.pb", "b/saved_model.pb"])


def test_the_gate_refuses_a_model_that_cannot_be_served(release: Release) -> None:
    answer = run_to_end(CheckModel(), release({"saved_model.pb": saved_model(signature="train")}))
    assert isinstance(answer, Refused)
    assert "has no serving signature" in answer.why


@pytest.mark.heavy
def test_models_that_tensorflow_wrote_are_read(release: Release) -> None:
    try:
        served, bare = real_models()
    except NoTensorFlow as error:
        pytest.skip(str(error))
    found = serving_signature(served)
    assert {name: t.type for name, t in found.inputs.items()} == {
        "income": "float",
        "owner": "bool",
    }
    assert found.outputs == {"score": Tensor("float", (-1,))}
    with pytest.raises(Unservable, match="has no serving signature"):
        serving_signature(bare)
    answer = run_to_end(
        CheckModel(), release({"saved_model.pb": (served / "saved_model.pb").read_bytes()})
    )
    assert isinstance(answer, Done)
