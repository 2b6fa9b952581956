"""What graphs the scorer takes, and what it says of those that it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from waystage.errors import Hopeless
from waystage.plugin import Snapshot
from waystage_plugins.runtimes.numbers import number_among, version_number
from waystage_plugins.runtimes.onnx_model import BadRows, OnnxModel

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
HELPER, KIND = onnx.helper, onnx.TensorProto


def model(
    tmp_path: Path, nodes: list[Any], inputs: dict[str, Any], outputs: dict[str, Any], /,
    **manifest: Any,
) -> OnnxModel:  # fmt: skip
    """Write a graph; inputs and outputs map names to (type, shape)."""
    values = [
        [HELPER.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in part.items()]
        for part in (inputs, outputs)
    ]
    graph = HELPER.make_graph(nodes, "g", *values)
    made = HELPER.make_model(graph, opset_imports=[HELPER.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "model.onnx").write_bytes(made.SerializeToString())
    told = {"name": "m", "version": "1", "digest": "sha256:" + "0" * 64} | manifest
    return OnnxModel(tmp_path, Snapshot.model_validate(told))


def identity(source: str, target: str) -> Any:
    return HELPER.make_node("Identity", [source], [target])


FLOATS = (KIND.FLOAT, [None, 1])


def columns(*names: str, **kinds: str) -> list[dict[str, str]]:
    return [{"name": name} for name in names] + [{"name": n, "type": t} for n, t in kinds.items()]


def test_without_a_manifest_the_graph_names_the_columns(tmp_path: Path) -> None:
    made = model(tmp_path, [identity("a", "p")], {"a": FLOATS}, {"p": FLOATS})
    assert made.columns == {"a": "float32"}
    assert made.score([{"a": 0.25}, {"a": [1]}]) == [0.25, 1.0]
    assert made.score([]) == []


def test_one_input_may_hold_all_columns_in_the_manifests_order(tmp_path: Path) -> None:
    # the difference of the columns: the order shows
    nodes = [
        HELPER.make_node("Split", ["x"], ["one", "two"], axis=1),
        HELPER.make_node("Sub", ["one", "two"], ["p"]),
    ]
    matrix = {"x": (KIND.FLOAT, [None, 2])}
    made = model(tmp_path, nodes, matrix, {"p": FLOATS}, inputs=columns("b", "a"))
    assert made.score([{"a": 1, "b": 3}]) == [2.0]
    with pytest.raises(Hopeless, match="takes 2 columns, the manifest has 3"):
        model(tmp_path, nodes, matrix, {"p": FLOATS}, inputs=columns("a", "b", "c"))


def test_integers_booleans_and_doubles_get_into_their_tensors(tmp_path: Path) -> None:
    kinds = {"i": KIND.INT64, "b": KIND.BOOL, "d": KIND.DOUBLE}
    nodes = [HELPER.make_node("Cast", [name], [f"{name}f"], to=KIND.FLOAT) for name in kinds]
    nodes.append(HELPER.make_node("Sum", [f"{name}f" for name in kinds], ["p"]))
    inputs = {name: (kind, [None, 1]) for name, kind in kinds.items()}
    made = model(
        tmp_path, nodes, inputs, {"p": FLOATS},
        inputs=columns("i", b="boolean", d="number"),
    )  # fmt: skip
    assert made.score([{"i": 2.0, "b": True, "d": 0.5}]) == [3.5]
    with pytest.raises(BadRows, match="column 'b' is true or false, not 1"):
        made.score([{"i": 1, "b": 1, "d": 0.5}])
    with pytest.raises(BadRows, match=r"row 0: column 'i' is a finite number, not 1\.5"):
        made.score([{"i": 1.5, "b": True, "d": 0.5}])


def test_a_flat_input_and_a_flat_output_are_taken_too(tmp_path: Path) -> None:
    flat = (KIND.FLOAT, [None])
    made = model(tmp_path, [identity("a", "p")], {"a": flat}, {"p": flat})
    assert made.score([{"a": 0.5}]) == [0.5]


def test_the_manifest_says_which_output_is_the_score(tmp_path: Path) -> None:
    nodes = [
        identity("a", "probability"),
        HELPER.make_node("Neg", ["a"], ["other"]),
    ]
    outputs = {"probability": FLOATS, "other": FLOATS}
    assert model(tmp_path, nodes, {"a": FLOATS}, outputs).score([{"a": 1}]) == [1.0]
    named = model(tmp_path, nodes, {"a": FLOATS}, outputs, outputs=columns("other"))
    assert named.score([{"a": 1}]) == [-1.0]


def test_outputs_that_are_no_probability_of_one_event_are_refused(tmp_path: Path) -> None:
    nodes = [HELPER.make_node("Concat", ["a", "a", "a"], ["p"], axis=1)]
    three = model(tmp_path, nodes, {"a": FLOATS}, {"p": (KIND.FLOAT, [None, 3])})
    with pytest.raises(Hopeless, match=r"output 'p' has shape \[1, 3\] for 1 rows"):
        three.score([{"a": 1}])
    nodes = [HELPER.make_node("Cast", ["a"], ["label"], to=KIND.INT64)]
    with pytest.raises(Hopeless, match="none of the graph's outputs is a probability"):
        model(tmp_path, nodes, {"a": FLOATS}, {"label": (KIND.INT64, [None, 1])})
    nodes = [identity("a", "left"), identity("a", "right")]
    with pytest.raises(Hopeless, match="name it in outputs:"):
        model(tmp_path, nodes, {"a": FLOATS}, {"left": FLOATS, "right": FLOATS})


def test_a_graph_for_a_fixed_number_of_rows_is_refused(tmp_path: Path) -> None:
    fixed = (KIND.FLOAT, [1, 1])
    with pytest.raises(Hopeless, match="takes exactly 1 rows"):
        model(tmp_path, [identity("a", "p")], {"a": fixed}, {"p": fixed})


def test_inputs_that_no_column_can_fill_are_refused(tmp_path: Path) -> None:
    half = (KIND.FLOAT16, [None, 1])
    with pytest.raises(Hopeless, match=r"input 'a' of the graph is tensor\(float16\)"):
        model(tmp_path, [identity("a", "p")], {"a": half}, {"p": half})


def test_a_directory_without_one_graph_is_refused(tmp_path: Path) -> None:
    snapshot = Snapshot(name="m", version="1", digest="sha256:" + "0" * 64)
    with pytest.raises(Hopeless, match=r"one \.onnx file, here are 0: none"):
        OnnxModel(tmp_path, snapshot)
    for name in ("a.onnx", "b.onnx"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(Hopeless, match=r"here are 2: a\.onnx, b\.onnx"):
        OnnxModel(tmp_path, snapshot)


def test_example_rows_that_do_not_fit_are_told_but_no_fault_of_the_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = model(tmp_path, [identity("a", "p")], {"a": FLOATS}, {"p": FLOATS})
    made.warm_up([{"b": 1}])
    assert "unknown column 'b'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("version", "number"),
    [("3", 3), ("007", 7), ("1.2.0", 1_002_000), ("2.1", 2_001_000), ("0.0.1", 1)],
)
def test_versions_have_the_numbers_that_people_expect(version: str, number: int) -> None:
    assert version_number(version) == number


def test_other_versions_have_a_stable_number_that_json_keeps() -> None:
    assert version_number("2026-01-rc1") == version_number("2026-01-rc1")
    assert version_number("2026-01-rc1") != version_number("2026-01-rc2")
    assert 0 < version_number("2026-01-rc1") < 2**53


def test_a_number_stands_for_one_snapshot_alone() -> None:
    taken = {3: "credit/3", 1_002_000: "credit/1002000"}
    assert number_among("credit/3", taken) == 3
    other = number_among("forest/3", taken)
    assert other not in taken
    assert number_among("forest/3", taken | {other: "forest/3"}) == other
    assert number_among("credit/1.2.0", taken) not in taken
