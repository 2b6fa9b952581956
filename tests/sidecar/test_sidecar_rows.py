"""From TensorFlow Serving's requests and answers to rows: every shape of the protocol."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from waystage.sidecar.proxy import PROBE_HEADER
from waystage.sidecar.rows import About, Exchange, rows_of, scoring_verb
from waystage_plugins.runtimes.serving import config

ABOUT = About("cc-fraud", "PROD", "fraud/3")
AT = "2026-01-05T12:00:00+00:00"


def told(
    request: Any, response: Any, verb: str = "predict", score: str = "",
    columns: tuple[str, ...] = (),
) -> list[Any]:  # fmt: skip
    exchange = Exchange("r", AT, 6.0, verb, False, json.dumps(request).encode(),
                        json.dumps(response).encode())  # fmt: skip
    assert Exchange.decode(exchange.encode()) == exchange
    about = About("cc-fraud", "PROD", "fraud/3", score=score, columns=columns)
    return [(row["request_id"], row["inputs"], row["score"]) for row in rows_of(exchange, about)]


@pytest.mark.parametrize(
    ("predictions", "score"),
    [
        ([0.25], 0.25),
        ([[0.25]], 0.25),
        ([[[0.25]]], 0.25),
        ([[0.75, 0.25]], 0.25),
        ([{"score": 0.25, "probabilities": [0.75, 0.25]}], 0.25),
        ([{"score": [0.25]}], 0.25),
        ([{"output_0": [0.25]}], 0.25),
        ([{"output_0": [0.75, 0.25]}], 0.25),
        ([{"a": 0.25, "b": 0.5}], None),
        ([[0.1, 0.2, 0.7]], None),
        (["0.25"], None),
        ([True], None),
        ([1e400], None),
    ],
)
def test_the_score_of_a_prediction_is_found(predictions: list[Any], score: float | None) -> None:
    assert told({"instances": [{"x": 1}]}, {"predictions": predictions}) == [("r", {"x": 1}, score)]


def test_where_the_score_is_may_be_said() -> None:
    answer = {"predictions": [{"a": [0.1, 0.25], "score": 0.9}]}
    assert told({"instances": [{"x": 1}]}, answer, score="a.1") == [("r", {"x": 1}, 0.25)]
    assert told({"instances": [{"x": 1}]}, answer, score="b.1") == [("r", {"x": 1}, None)]


def test_several_rows_are_numbered() -> None:
    found = told({"instances": [{"x": 1}, {"x": 2}]}, {"predictions": [0.1, 0.2]})
    assert found == [("r-0", {"x": 1}, 0.1), ("r-1", {"x": 2}, 0.2)]


def test_instances_without_names_and_columns_are_rows_too() -> None:
    assert told({"instances": [[1, 2]]}, {"predictions": [0.1]}) == [("r", {"input": [1, 2]}, 0.1)]
    found = told({"inputs": {"x": [1, 2], "y": [3, 4]}}, {"outputs": {"score": [0.1, 0.2]}})
    assert found == [("r-0", {"x": 1, "y": 3}, 0.1), ("r-1", {"x": 2, "y": 4}, 0.2)]
    assert told({"inputs": [[1], [2]]}, {"outputs": [[0.1], [0.2]]})[1][2] == 0.2


def test_inputs_of_the_shape_that_keras_gives_them_are_numbers() -> None:
    rows = {"instances": [{"x": [1.5], "city": ["Ulm"]}, {"x": [2], "city": ["Bonn"]}]}
    expected = [("r-0", {"x": 1.5, "city": "Ulm"}, 0.1), ("r-1", {"x": 2, "city": "Bonn"}, 0.2)]
    assert told(rows, {"predictions": [[0.1], [0.2]]}) == expected
    columns = {"inputs": {"x": [[1.5], [2]], "city": [["Ulm"], ["Bonn"]]}}
    assert told(columns, {"outputs": [[0.1], [0.2]]}) == expected


def test_the_values_of_one_list_may_have_names() -> None:
    names, answer = ("x", "city"), {"predictions": [[0.1]]}
    for row in ([1.5, 7], {"dense_input": [1.5, 7]}):
        found = told({"instances": [row]}, answer, columns=names)
        assert found == [("r", {"x": 1.5, "city": 7}, 0.1)]
    three = told({"instances": [[1, 2, 3]]}, answer, columns=names)
    assert three == [("r", {"input": [1, 2, 3]}, 0.1)], "whose value is whose cannot be told"


def test_an_input_that_is_no_finite_number_is_missing_and_the_others_are_told() -> None:
    body = b'{"instances": [{"x": NaN, "y": 1e999, "z": [1, -Infinity]}, {"x": 2}]}'
    exchange = Exchange("r", AT, 6.0, "predict", False, body, b'{"predictions": [0.1, NaN]}')
    found = [(row["inputs"], row["score"]) for row in rows_of(exchange, ABOUT)]
    assert found == [({"x": None, "y": None, "z": [1, None]}, 0.1), ({"x": 2}, None)]


def test_classify_and_regress_are_read() -> None:
    request = {"context": {"c": 1}, "examples": [{"x": 1}, {"x": 2}]}
    found = told(request, {"results": [0.1, 0.2]}, "regress")
    assert found == [("r-0", {"c": 1, "x": 1}, 0.1), ("r-1", {"c": 1, "x": 2}, 0.2)]
    answer = {"results": [[["0", 0.7], ["1", 0.3]], [["1", 0.4], ["0", 0.6]]]}
    assert [row[2] for row in told(request, answer, "classify")] == [0.3, 0.4]


@pytest.mark.parametrize(
    ("request_body", "response"),
    [
        (b"no json", b'{"predictions": [0.1]}'),
        (b'{"instances": [{"x": 1}]}', b"<html>"),
        (b'{"instances": []}', b'{"predictions": []}' + b"x"),
        (b"[" * 100_000, b"{}"),
    ],
)
def test_what_cannot_be_read_is_a_row_without_a_score(request_body: bytes, response: bytes) -> None:
    (row,) = rows_of(Exchange("r", AT, 6.0, "predict", False, request_body, response), ABOUT)
    assert (row["request_id"], row["score"]) == ("r", None)
    assert row["inputs"] in ({}, {"x": 1})


def test_fewer_answers_than_rows_are_nobodys() -> None:
    found = told({"instances": [{"x": 1}, {"x": 2}]}, {"predictions": [0.1]})
    assert [row[2] for row in found] == [None, None]


def test_a_packed_request_is_unpacked_and_the_rest_is_told() -> None:
    body = gzip.compress(b'{"instances": [{"x": 1}, {"x": 2}]}')
    exchange = Exchange("r", AT, 6.0, "predict", True, body, b'{"predictions": [0.1, 0.2]}')
    assert rows_of(exchange, ABOUT)[1] == {
        "request_id": "r-1", "at": AT, "service": "cc-fraud", "stage": "PROD",
        "snapshot": "fraud/3", "role": "champion", "score": 0.2, "inputs": {"x": 2},
        "latency_ms": 3.0,
    }  # fmt: skip


def test_what_scores_is_known_by_its_path() -> None:
    assert scoring_verb("POST", "/v1/models/fraud:predict") == "predict"
    assert scoring_verb("POST", "/v1/models/fraud/versions/3:classify?x=1") == "classify"
    assert scoring_verb("POST", "/v1/models/fraud/labels/stable:regress") == "regress"
    assert scoring_verb("GET", "/v1/models/fraud:predict") == ""
    assert scoring_verb("POST", "/v1/models/fraud") == ""


def test_probes_have_one_name_everywhere() -> None:
    assert PROBE_HEADER == config.PROBE_HEADER
