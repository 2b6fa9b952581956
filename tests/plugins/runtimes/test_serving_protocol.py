"""A running server speaks TensorFlow Serving's REST protocol, and says plainly what it refuses."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from waystage.errors import Hopeless, Retryable
from waystage.plugin import DeploySpec
from waystage.testing import FakeContext
from waystage.testing.runtime_contracts import wait_until_ready
from waystage_plugins.runtimes import LocalServing
from waystage_plugins.runtimes.local_serving import stop_all
from waystage_plugins.runtimes.serving.probe import by_rest

ROW = {"income": 1.0, "children": 2, "purpose": "car"}
OTHER = {"income": -3.0, "children": 0, "purpose": "sofa"}
YES, NO = pytest.approx(0.98201, abs=1e-5), pytest.approx(0.04743, abs=1e-5)


@dataclass
class Live:
    """A server with version 2 as champion and version 3 as challenger."""

    url: str
    http: httpx.Client

    def get(self, path: str = "") -> httpx.Response:
        return self.http.get(f"{self.url}{path}")

    def post(self, verb: str, body: Any, **more: Any) -> httpx.Response:
        return self.http.post(f"{self.url}{verb}", json=body, **more)

    def refused(self, verb: str, body: Any, status: int = 400) -> str:
        answer = self.post(verb, body)
        assert answer.status_code == status, answer.text
        assert answer.json().keys() == {"error"}
        return str(answer.json()["error"])


@pytest.fixture(scope="module")
def live(
    tmp_path_factory: pytest.TempPathFactory, release: Callable[..., DeploySpec]
) -> Iterator[Live]:
    ctx, runtime = FakeContext(tmp_path_factory.mktemp("live")), LocalServing()
    url = ""
    for version, role, weight in (("2", "champion", 1.0), ("3", "challenger", -1.0)):
        ctx.key = f"run/1/{version}"
        handle = runtime.apply(ctx, release(weight, version=version, role=role))
        seen = wait_until_ready(runtime, ctx, handle)
        url = url or seen.endpoints[0].url
    yield Live(url, ctx.http)
    stop_all(ctx)


def test_rows_are_scored_in_their_order(live: Live) -> None:
    answer = live.post(":predict", {"signature_name": "serving_default", "instances": [ROW, OTHER]})
    assert answer.status_code == 200
    first, second = answer.json()["predictions"]
    assert (first["score"], second["score"]) == (YES, NO)
    assert first["probabilities"] == [pytest.approx(1 - first["score"]), YES]


def test_columns_are_scored_as_lists_or_as_tensors(live: Live) -> None:
    columns: dict[str, list[Any]] = {
        "income": [1.0, -3.0],
        "children": [2, 0],
        "purpose": ["car", "sofa"],
    }
    tensors = {name: [[value] for value in values] for name, values in columns.items()}
    for inputs in (columns, tensors):
        answer = live.post(":predict", {"inputs": inputs})
        assert answer.json()["outputs"]["score"] == [YES, NO]


def test_classify_gives_both_classes_and_fills_in_the_context(live: Live) -> None:
    body = {"context": {"purpose": "car"}, "examples": [{"income": 1.0, "children": 2}]}
    answer = live.post(":classify", body).json()
    assert answer == {"results": [[["0", pytest.approx(0.01799, abs=1e-5)], ["1", YES]]]}


def test_regress_gives_the_score_alone(live: Live) -> None:
    assert live.post(":regress", {"examples": [ROW, OTHER]}).json() == {"results": [YES, NO]}


def test_versions_and_labels_answer_side_by_side(live: Live) -> None:
    challenger = pytest.approx(1 - 0.98201, abs=1e-5)
    for path, score in (
        ("", YES), ("/labels/champion", YES), ("/versions/2", YES),
        ("/labels/challenger", challenger), ("/versions/3", challenger),
    ):  # fmt: skip
        answer = live.post(f"{path}:predict", {"instances": [ROW]})
        assert answer.json()["predictions"][0]["score"] == score, path


def test_the_status_lists_all_versions_or_the_one_asked_for(live: Live) -> None:
    fine = {"error_code": "OK", "error_message": ""}
    three, two = ({"version": v, "state": "AVAILABLE", "status": fine} for v in "32")
    assert live.get().json() == {"model_version_status": [three, two]}
    assert live.get("/versions/2").json() == {"model_version_status": [two]}
    assert live.get("/labels/challenger").json() == {"model_version_status": [three]}


def test_the_metadata_has_the_signature_and_says_which_snapshot_it_is(live: Live) -> None:
    body = live.get("/metadata").json()
    assert body["model_spec"] == {"name": "credit-risk", "signature_name": "", "version": "2"}
    signature = body["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert {name: tensor["dtype"] for name, tensor in signature["inputs"].items()} == {
        "income": "DT_FLOAT", "children": "DT_INT64", "purpose": "DT_STRING",
    }  # fmt: skip
    assert signature["outputs"].keys() == {"score", "probabilities"}
    assert body["waystage"]["snapshot"] == "credit/2"
    assert body["waystage"]["labels"] == {"champion": "2", "challenger": "3"}
    other = live.get("/labels/challenger/metadata").json()["waystage"]
    assert (other["snapshot"], other["role"]) == ("credit/3", "challenger")


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/v1/models/nobody", 404, "Could not find any versions of model nobody"),
        ("/v1/models/nobody/metadata", 404, "Servable not found for request: Latest(nobody)"),
        ("/v1/models/credit-risk/versions/9", 404,
         "Servable not found for request: Specific(credit-risk, 9)"),
        ("/v1/models/credit-risk/labels/best", 400, "Unrecognized servable version label: best"),
        ("/v1/models/credit-risk:predict", 400,
         "Malformed request: GET /v1/models/credit-risk:predict"),
        ("/v1/models/credit-risk/versions/x", 400,
         "Malformed request: GET /v1/models/credit-risk/versions/x"),
        ("/", 400, "Malformed request: GET /"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said_as_tensorflow_serving_says_it(
    live: Live, path: str, status: int, text: str
) -> None:
    root = live.url.partition("/v1/")[0]
    answer = live.http.get(f"{root}{path}")
    assert (answer.status_code, answer.json()) == (status, {"error": text})


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"children": 2, "purpose": "car"}, "row 1: column 'income' is missing"),
        (ROW | {"wage": 1},
         "row 1: unknown column 'wage'; the model takes income, children, purpose"),
        (ROW | {"income": None}, "row 1: column 'income' is a finite number, not nothing"),
        (ROW | {"income": "much"}, "row 1: column 'income' is a finite number, not 'much'"),
        (ROW | {"income": True}, "row 1: column 'income' is a finite number, not True"),
        (ROW | {"income": 1e300}, "row 1: column 'income': 1e+300 is too large"),
        (ROW | {"children": 1.5}, "row 1: column 'children' is a whole number, not 1.5"),
        (ROW | {"children": 10**30}, "column 'children': a number is too large"),
        (ROW | {"purpose": 3}, "row 1: column 'purpose' is text, not 3"),
        (ROW | {"purpose": ["car", "sofa"]},
         "row 1: column 'purpose' is text, not ['car', 'sofa']"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_scored_is_refused_by_row_and_column(
    live: Live, row: dict[str, Any], text: str
) -> None:
    assert live.refused(":predict", {"instances": [ROW, row]}) == text


@pytest.mark.parametrize(
    ("verb", "body", "text"),
    [
        (":predict", {}, "Missing 'inputs' or 'instances' key"),
        (":predict", {"instances": [ROW], "inputs": {}},
         "a request has either 'instances' or 'inputs', not both"),
        (":predict", {"instances": []}, "'instances' is not a list with at least one row"),
        (":predict", {"instances": [1.0]}, "each of 'instances' is an object that names"),
        (":predict", {"inputs": {"income": [1, 2], "children": [1]}},
         "the columns of 'inputs' differ in length: income 2, children 1"),
        (":predict", {"instances": [ROW], "signature_name": "other"},
         "Serving signature name: 'other' not found"),
        (":predict", [ROW], "JSON Parse error: the body is not an object"),
        (":classify", {"instances": [ROW]}, "'examples' is not a list with at least one row"),
        (":classify", {"examples": [ROW], "context": []}, "'context' is not an object"),
        (":explain", {"instances": [ROW]},
         "Malformed request: POST /v1/models/credit-risk:explain"),
        ("", {"instances": [ROW]}, "Malformed request: POST /v1/models/credit-risk"),
    ],
)  # fmt: skip
def test_a_body_of_another_shape_is_refused_in_words(
    live: Live, verb: str, body: Any, text: str
) -> None:
    assert live.refused(verb, body).startswith(text)


@pytest.mark.parametrize("content", ["{", '{"instances": [{"income": NaN}]}', "[" * 100_000, "\0"])
def test_what_is_not_json_is_refused(live: Live, content: str) -> None:
    answer = live.http.post(f"{live.url}:predict", content=content)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("JSON Parse error: ")


def test_a_body_beyond_a_mebibyte_is_refused_unread(live: Live) -> None:
    answer = live.http.post(f"{live.url}:predict", content=b" " * (1 << 20) + b"{}")
    assert answer.status_code == 413
    assert live.post(":predict", {"instances": [ROW]}).status_code == 200


def test_strangers_are_not_answered(live: Live) -> None:
    body = {"instances": [ROW]}
    for headers in ({"Host": "evil.example"}, {"Host": "evil.example:80"}, {"Host": "[oops"}):
        answer = live.post(":predict", body, headers=headers)
        assert answer.status_code == 400
        assert answer.json()["error"].startswith("unknown host")
    answer = live.post(":predict", body, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    port = urlsplit(live.url).port
    assert live.post(":predict", body, headers={"Host": f"localhost:{port}"}).status_code == 200


def test_a_request_with_two_lengths_or_none_is_refused_and_its_connection_closed(
    live: Live,
) -> None:
    for head in (
        "Content-Length: 2\r\nContent-Length: 40\r\n",
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Content-Length: -2\r\n",
        "",
    ):
        answer = _raw(live, f"POST {_path(live)}:predict HTTP/1.1\r\nHost: localhost\r\n{head}\r\n")
        assert answer.startswith(b"HTTP/1.1 400 "), answer
        assert b"Connection: close" in answer


def test_what_is_no_http_gets_an_answer_and_no_more(live: Live) -> None:
    assert b'{"error": ' in _raw(live, "GET\r\n\r\n")
    assert _raw(live, f"DELETE {_path(live)} HTTP/1.1\r\nHost: localhost\r\n\r\n").startswith(
        b"HTTP/1.1 501 "
    )


def test_a_connection_is_kept_over_errors_and_answers(live: Live) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(live.url).port or 0)
    for body, status in (({"instances": [{}]}, 400), ({"instances": [ROW]}, 200), ([], 400)):
        connection.request("POST", f"{_path(live)}:predict", json.dumps(body))
        answer = connection.getresponse()
        assert answer.status == status
        answer.read()
        assert connection.sock is not None
    connection.close()


def test_many_silent_connections_keep_nobody_waiting(live: Live) -> None:
    port = urlsplit(live.url).port
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(300)]
    try:
        assert live.http.post(
            f"{live.url}:predict", json={"instances": [ROW]}, timeout=300
        ).status_code == 200  # fmt: skip
    finally:
        for each in silent:
            each.close()


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs Linux's /proc/net/tcp")
def test_it_listens_on_loopback_alone(live: Live) -> None:
    port = urlsplit(live.url).port
    listening = [
        line.split()[1]
        for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
        if table.exists()
        for line in table.read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[1].endswith(f":{port:04X}")
    ]
    assert listening == [f"0100007F:{port:04X}"]


def _path(live: Live) -> str:
    return urlsplit(live.url).path


def _raw(live: Live, text: str) -> bytes:
    with socket.create_connection(("127.0.0.1", urlsplit(live.url).port), timeout=60) as one:
        one.sendall(text.encode())
        received = b""
        while part := one.recv(4096):
            received += part
    return received


@pytest.mark.parametrize(
    ("status", "kind"), [(400, Hopeless), (500, Hopeless), (503, Retryable), (502, Retryable)]
)
def test_rows_on_which_a_model_fails_are_hopeless_and_one_that_loads_is_not(
    tmp_path: Path, status: int, kind: type[Exception]
) -> None:
    ctx = FakeContext(tmp_path)
    answer = httpx.MockTransport(lambda _: httpx.Response(status, text="the model says no"))
    ctx._http = httpx.Client(transport=answer)  # what it would open itself
    with pytest.raises(kind, match=f"HTTP {status}: the model says no"):
        by_rest(ctx, 1, "credit-risk", 1, [{"income": 1.0}])
