"""Status, metadata, scores, classes and figures of a model server, by REST and by gRPC."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from saved_models import BOOL, FLOAT, saved_model

from waystage.errors import Hopeless, NotFound, Retryable
from waystage.testing import FakeContext
from waystage_plugins.steps.savedmodel import Signature, Tensor
from waystage_plugins.tfserving.models_config import ServedModel, specific
from waystage_plugins.tfserving.over_grpc import over_grpc
from waystage_plugins.tfserving.prometheus import Requests, read_metrics, requests_of
from waystage_plugins.tfserving.rest import Rest, VersionState, over_http, predict
from waystage_plugins.tfserving.rows import inputs_of, instances

ROWS = [{"income": 0.0, "owner": False}, {"income": 100.0, "owner": False}]
SCORES = [0.5, 0.7310586]
SIGNATURE = Signature(
    "tensorflow/serving/predict",
    {"income": Tensor("float", (-1,)), "owner": Tensor("bool", (-1,))},
    {"score": Tensor("float", (-1,))},
)
Place = Callable[..., Path]


def champion(server: Any, version: int) -> ServedModel:
    known: ServedModel = server.core.models["credit"]
    return known.model_copy(update={"labels": {"champion": version}})


def test_rest_tells_what_is_loaded(server: Any, tmp_path: Path) -> None:
    with over_http(FakeContext(tmp_path), server.url) as send:
        rest = Rest(send, "credit")
        assert rest.status() == {1: VersionState("AVAILABLE"), 2: VersionState("AVAILABLE")}
        assert list(rest.status("/labels/champion")) == [1]
        assert rest.signature("/versions/2") == SIGNATURE
        with pytest.raises(NotFound, match="Could not find any versions of model nobody"):
            Rest(send, "nobody").status()
        with pytest.raises(Hopeless, match="Unrecognized servable version label: challenger"):
            rest.status("/labels/challenger")


def test_rest_scores_classifies_and_regresses(server: Any, tmp_path: Path) -> None:
    with over_http(FakeContext(tmp_path), server.url) as send:
        rest = Rest(send, "credit")
        assert rest.predict(ROWS, "/labels/champion") == pytest.approx(SCORES)
        assert rest.regress(ROWS, "/versions/1") == pytest.approx(SCORES)
        (_, (no, yes)) = rest.classify(ROWS, "/versions/1")
        assert (no[0], yes[0]) == ("0", "1")
        assert [no[1], yes[1]] == pytest.approx([1 - SCORES[1], SCORES[1]])
        assert predict(send, "credit", ROWS, (), "/versions/1")[0] == {"score": 0.5}
        # without a target it is the newest version, whatever the labels say
        assert rest.predict(ROWS)[1] == pytest.approx(0.8807970)
        with pytest.raises(Hopeless, match="HTTP 400: input keys differ"):
            rest.predict([{"income": 1.0}])


def test_grpc_tells_and_scores_the_same(server: Any) -> None:
    with over_grpc(server.address) as grpc:
        assert grpc.status("credit") == {
            1: VersionState("AVAILABLE"), 2: VersionState("AVAILABLE"),
        }  # fmt: skip
        assert list(grpc.status("credit", "champion")) == [1]
        assert grpc.signature("credit", 2) == SIGNATURE
        inputs = inputs_of(SIGNATURE, ROWS, [])
        found = grpc.predict("credit", inputs, SIGNATURE, "champion")
        assert found["score"] == pytest.approx(SCORES)
        whole = {"income": False}
        assert grpc.regress("credit", ROWS, 1, whole) == pytest.approx(SCORES)
        assert [name for name, _ in grpc.classify("credit", ROWS, 1, whole)[0]] == ["0", "1"]
        with pytest.raises(Retryable, match="NOT_FOUND: Could not find any versions of model no"):
            grpc.status("nobody")


def test_grpc_moves_labels_only_to_what_is_loaded(server: Any, place: Place) -> None:
    with over_grpc(server.address) as grpc:
        grpc.reload([champion(server, 2)])
        assert list(grpc.status("credit", "champion")) == [2]
        place(3, seconds=30)
        new = champion(server, 3).model_copy(update={"versions": specific(2, 3)})
        with pytest.raises(Hopeless, match=r"label champion to version 3 .* not currently avail"):
            grpc.reload([new])
        assert list(grpc.status("credit", "champion")) == [2]
        assert set(grpc.status("credit")) == {1, 2}


def test_a_version_that_cannot_be_loaded_says_why(server: Any, place: Place) -> None:
    place(3, saved_model(signature="train"))
    with over_grpc(server.address) as grpc:
        grpc.reload([champion(server, 1).model_copy(update={"versions": specific(1, 3)})])
        end = 200
        while (seen := grpc.status("credit", 3)[3]).state == "LOADING":
            assert (end := end - 1), "it loads for ever"
    assert seen.state == "END"
    assert "has no serving signature 'serving_default'" in seen.error


def test_a_server_that_is_gone_can_be_asked_again_later(tmp_path: Path) -> None:
    ctx = FakeContext(tmp_path)
    with over_http(ctx, "http://127.0.0.1:9") as send, pytest.raises(Retryable, match="refused"):
        Rest(send, "credit").status()
    with over_grpc("127.0.0.1:9") as grpc, pytest.raises(Retryable, match="UNAVAILABLE"):
        grpc.status("credit")


def test_figures_are_read(server: Any, tmp_path: Path) -> None:
    with over_http(FakeContext(tmp_path), server.url) as send:
        rest = Rest(send, "credit")
        rest.predict(ROWS)
        with pytest.raises(Hopeless):
            rest.predict([{"income": 1.0}])
        assert requests_of(rest.metrics(), "credit") == Requests(1, 1)


def test_lines_that_are_no_samples_are_passed_over() -> None:
    text = '# HELP x y\nx{a="1,\\"2\\"",b="}"} 3.5 1700000000\ny NaN\nz{ 4\n\nw +Inf\nbad line\n'
    found = list(read_metrics(text))
    assert [(each.name, each.labels) for each in found] == [
        ("x", {"a": '1,"2"', "b": "}"}), ("y", {}), ("w", {}),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("inputs", "rows", "expected"),
    [
        ({"a": ("float", (-1,))}, [{"a": 1}], {"a": [1]}),
        ({"a": ("float", (-1, 1))}, [{"a": 1}], {"a": [[1]]}),
        ({"a": ("float", None)}, [{"a": 1}], {"a": [1]}),
        ({"a": ("int64", (-1,))}, [{"a": 20.0}], {"a": [20]}),
        ({"all": ("float", (-1, 2))}, [{"a": 1, "b": 2}], {"all": [[1, 2]]}),
    ],
)
def test_rows_get_the_shape_of_the_signature(inputs: Any, rows: Any, expected: Any) -> None:
    signature = Signature("", {n: Tensor(*t) for n, t in inputs.items()}, {})
    assert inputs_of(signature, rows, list(rows[0])) == expected
    assert instances(expected)[0] == {name: values[0] for name, values in expected.items()}


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({"a": ("float", (-1,)), "b": ("float", (-1,))}, "takes an input 'b' that the row does"),
        ({"a": ("int32", (-1,))}, "input 'a' takes whole numbers, not 1.5"),
        ({"a": ("float", (-1, 7))}, "has the shape"),
    ],
)
def test_rows_that_do_not_fit_are_refused(inputs: Any, told: str) -> None:
    signature = Signature("", {n: Tensor(*t) for n, t in inputs.items()}, {})
    with pytest.raises(Hopeless, match=told):
        inputs_of(signature, [{"a": 1.5}], ["a"])


def test_the_signature_of_the_file_and_of_the_server_are_the_same(tmp_path: Path) -> None:
    from waystage_plugins.steps.savedmodel import serving_signature

    content = saved_model({"income": (FLOAT, (-1,)), "owner": (BOOL, (-1,))})
    (tmp_path / "saved_model.pb").write_bytes(content)
    assert serving_signature(tmp_path) == SIGNATURE
