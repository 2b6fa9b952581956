"""The first gate refuses with all its reasons, and runs nothing of what it looks at."""

from __future__ import annotations

import builtins
import gzip
import io
import pickle
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from saved_models import saved_model

from waystage.errors import Hopeless
from waystage.plugin import Done, Refused
from waystage.testing import FakeContext, check_step, run_to_end
from waystage_plugins.steps.model_check import CheckModel
from waystage_plugins.steps.pickles import pickle_kind

Release = Callable[..., FakeContext]


class Bomb:
    """Leaves a trace when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("exploded"),))


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/") + ".pkl", content)
    return buffer.getvalue()


def test_a_sound_snapshot_passes(release: Release) -> None:
    ctx = release()
    answer = check_step(CheckModel(), ctx, world=lambda: None)
    assert isinstance(answer, Done)
    assert answer.output.digest == ctx.snapshot.digest  # type: ignore[union-attr]  # a model


def test_all_reasons_are_told_at_once(release: Release) -> None:
    ctx = release({"model.pkl": b"x"}, format="pmml", author="", outputs=[], example=[])
    answer = check_step(CheckModel(), ctx, world=lambda: None)
    assert isinstance(answer, Refused)
    assert answer.output["reasons"] == [
        "the manifest names no author",
        "the manifest has no outputs",
        "the manifest has no example rows that a probe could score",
        "format 'pmml' is not one of onnx, savedmodel",
        "model.pkl is pickle, which runs code when it is loaded",
    ]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"income": 1.0}, "example row 1 has no 'owner'"),
        ({"income": 1.0, "owner": True, "x": 1}, "example row 1 has 'x', which is not an input"),
        ({"income": "1.0", "owner": True}, "example row 1: 'income' is not a number"),
        ({"income": None, "owner": True}, "example row 1: 'income' is not a number"),
        ({"income": True, "owner": True}, "example row 1: 'income' is not a number"),
        ({"income": 1.0, "owner": 1}, "example row 1: 'owner' is not a boolean"),
    ],
)
def test_an_example_row_that_does_not_fit_is_refused(
    release: Release, row: dict[str, object], told: str
) -> None:
    answer = run_to_end(CheckModel(), release(example=[row]))
    assert isinstance(answer, Refused)
    assert answer.why == told


def test_columns_that_are_there_twice_are_refused(release: Release) -> None:
    twice = [{"name": "income"}, {"name": "income"}, {"name": "owner", "type": "boolean"}]
    answer = run_to_end(CheckModel(), release(inputs=twice))
    assert isinstance(answer, Refused)
    assert answer.why == "inputs has 'income' twice"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_under_an_innocent_name_is_refused_and_never_run(
    release: Release, protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = pickle.dumps({"model": [Bomb()]}, protocol)
    answer = run_to_end(
        CheckModel(), release({"saved_model.pb": saved_model(), "weights.bin": content})
    )
    assert isinstance(answer, Refused)
    assert answer.why == "weights.bin is pickle, which runs code when it is loaded"
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.joblib", b"", "joblib"),
        ("a.pt", b"", "torch"),
        ("A.PKL", b"", "pickle"),
        ("a.bin", zipped(archive__data=b"x"), "torch"),
        ("a.bin", zlib.compress(pickle.dumps([1])), "pickle"),
        ("a.bin", gzip.compress(pickle.dumps([1]), mtime=0), "pickle"),
        (
            "a.npy",
            b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False}",
            "numpy objects",
        ),
        ("a.npy", b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False}", ""),
        ("a.onnx", b"\x08\x08\x12\x07skl2onnx", ""),
        ("a.safetensors", b"\x08\x00\x00\x00\x00\x00\x00\x00{}", ""),
        ("a.txt", b"(c) 2026 the authors\nall of them", ""),
        ("a.json", b'{"income": 1}', ""),
        ("a.json", b"[1, 2, 3]", ""),
        ("a.csv", b"income,owner\n1,2\n", ""),
        ("a.txt", b"in the beginning\n" * 500, ""),
        ("a.bin", b"", ""),
    ],
)
def test_pickles_are_told_from_other_files(
    tmp_path: Path, name: str, content: bytes, kind: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert pickle_kind(tmp_path / name) == kind


def test_what_is_allowed_by_name_passes(release: Release) -> None:
    ctx = release({"model.pkl": pickle.dumps([1])}, format="pickle")
    answer = run_to_end(CheckModel(allow=("pickle",)), ctx)
    assert isinstance(answer, Done)
    assert answer.output.notes == ["what format 'pickle' holds was not looked at"]  # type: ignore[union-attr]  # a model


def test_changed_bytes_are_a_reason(release: Release) -> None:
    ctx = release(author="")
    (ctx.project / "models/credit/1/model.onnx").write_bytes(b"tampered")
    answer = run_to_end(CheckModel(), ctx)
    assert isinstance(answer, Refused)
    assert "names no author" in answer.why
    assert "is not credit/1" in answer.why


def test_without_a_repository_nothing_can_be_said(tmp_path: Path) -> None:
    with pytest.raises(Hopeless, match="the project has no repository"):
        run_to_end(CheckModel(), FakeContext(tmp_path))


def graph(names: list[str], *, width: int = 1, kind: str = "FLOAT") -> bytes:
    """Make a small real ONNX graph that takes these inputs."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    helper, number = onnx.helper, getattr(onnx.TensorProto, kind)
    inputs = [helper.make_tensor_value_info(name, number, [None, width]) for name in names]
    nodes = [helper.make_node("Identity", [names[0]], ["score"])]
    output = helper.make_tensor_value_info("score", number, [None, width])
    made = helper.make_graph(nodes, "g", inputs, [output])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


INPUTS = [{"name": "income"}, {"name": "age"}]
EXAMPLE = [{"income": 1.0, "age": 2.0}]


@pytest.mark.parametrize(("names", "width"), [(["income", "age"], 1), (["X"], 2)])
def test_a_graph_with_these_columns_passes(release: Release, names: list[str], width: int) -> None:
    files = {"model.onnx": graph(names, width=width)}
    ctx = release(files, format="onnx", inputs=INPUTS, example=EXAMPLE)
    answer = run_to_end(CheckModel(), ctx)
    assert isinstance(answer, Done)
    assert answer.output.notes == []  # type: ignore[union-attr]  # a model


@pytest.mark.parametrize("library", ["onnx", "onnxruntime"])
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (lambda: graph(["X"], width=3), "model.onnx takes 3 columns in 'X'"),
        (lambda: graph(["X"], width=2, kind="STRING"), "model.onnx takes string in 'X'"),
        (lambda: graph(["income", "years"]), "model.onnx wants input 'years'"),
        (lambda: b"weights", "model.onnx cannot be opened as an ONNX graph"),
    ],
)
def test_a_graph_that_is_not_for_these_columns_is_refused(
    release: Release,
    monkeypatch: pytest.MonkeyPatch,
    library: str,
    content: Callable[[], bytes],
    told: str,
) -> None:
    files = {"model.onnx": content()}
    hide(monkeypatch, {"onnx", "onnxruntime"} - {library})
    ctx = release(files, format="onnx", inputs=INPUTS, example=EXAMPLE)
    answer = run_to_end(CheckModel(), ctx)
    assert isinstance(answer, Refused)
    assert told in answer.why


def test_without_a_library_it_is_said_that_the_graph_was_not_opened(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"model.onnx": graph(["X"], width=2)}
    hide(monkeypatch, {"onnx", "onnxruntime"})
    ctx = release(files, format="onnx", inputs=INPUTS, example=EXAMPLE)
    answer = run_to_end(CheckModel(), ctx)
    assert isinstance(answer, Done)
    assert "was not opened" in answer.output.notes[0]  # type: ignore[union-attr]  # a model


def test_two_graphs_or_none_are_refused(release: Release) -> None:
    for number, files in enumerate(({"a.onnx": b"", "b.onnx": b""}, {"model.bin": b""})):
        answer = run_to_end(CheckModel(), release(files, format="onnx"))
        assert isinstance(answer, Refused)
        assert f"there are {2 - 2 * number} files named *.onnx" in answer.why


def hide(monkeypatch: pytest.MonkeyPatch, libraries: set[str]) -> None:
    """Make imports of these libraries fail as if they were not installed."""
    real = builtins.__import__

    def fail(name: str, *args: Any, **kwargs: Any) -> Any:
        if name in libraries:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", fail)
