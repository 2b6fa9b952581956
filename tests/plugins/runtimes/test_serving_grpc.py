"""Requests by gRPC: TensorFlow Serving's protocol beside REST, or instead of it."""

from __future__ import annotations

import json
import math
import socket
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import saved_models

from waystage.errors import Hopeless, Retryable
from waystage.plugin import DeploySpec, Handle, JsonObject, Opening
from waystage.testing import FakeContext
from waystage.testing.runtime_contracts import check_online_runtime, wait_until_ready
from waystage_plugins.runtimes import LocalServing
from waystage_plugins.steps.savedmodel import Signature, Tensor
from waystage_plugins.tfserving.messages import TF, message
from waystage_plugins.tfserving.over_grpc import Grpc, over_grpc, predict_request
from waystage_plugins.tfserving.tensors import to_tensor

pytest.importorskip("grpc", reason="grpcio is not installed")

ROW: JsonObject = {"income": 1.0, "children": 2, "purpose": "car"}
YES, NO = pytest.approx(0.98201, abs=1e-5), pytest.approx(1 - 0.98201, abs=1e-5)
LOG = {"use": "scoring_log.sqlite", "with": {"path": "scores.db"}}
BOTH = (Opening(), Opening(name="fast", protocol="grpc"))
ALONE = BOTH[1:]
SIGNATURE = Signature(
    "tensorflow/serving/predict",
    {"income": Tensor("float", (-1, 1)), "children": Tensor("int64", (-1, 1)),
     "purpose": Tensor("string", (-1, 1)), "request_id": Tensor("string", (-1,))},
    {},
)  # fmt: skip
INPUTS: dict[str, Any] = {"income": [1.0, 1.0], "children": [2, 2], "purpose": ["car", "house"]}

Release = Callable[..., DeploySpec]


def asking(spec: DeploySpec, *wanted: Opening) -> DeploySpec:
    return spec.model_copy(update={"endpoints": wanted})


def deployed(
    ctx: FakeContext, spec: DeploySpec, runtime: LocalServing | None = None
) -> tuple[Handle, dict[str, str]]:
    """Deploy and wait; give the handle and the address for each protocol."""
    runtime = runtime or LocalServing()
    ctx.key = f"run/{spec.snapshot.id}/{spec.role}"
    handle = runtime.apply(ctx, spec)
    seen = wait_until_ready(runtime, ctx, handle)
    return handle, {each.protocol: each.url for each in seen.endpoints}


def address(urls: dict[str, str]) -> str:
    return urls["grpc"].removeprefix("grpc://").partition("/")[0]


@pytest.fixture
def server(ctx: FakeContext, release: Release) -> Iterator[Grpc]:
    """Serve version 1 as champion and 2 as challenger, with a scoring log, by both protocols."""
    _, urls = deployed(ctx, asking(release(1.0, scoring_log=LOG), *BOTH))
    more = {"version": "2", "role": "challenger", "scoring_log": LOG}
    deployed(ctx, asking(release(-1.0, **more), *BOTH))
    with over_grpc(address(urls)) as client:
        yield client


def logged(ctx: FakeContext) -> list[tuple[str, str]]:
    connection = sqlite3.connect(ctx.project / "scores.db")
    try:
        return sorted(connection.execute("SELECT request_id, role FROM scored"))
    finally:
        connection.close()


def test_a_server_of_both_protocols_holds_to_the_contract(
    ctx: FakeContext, release: Release
) -> None:
    seen = check_online_runtime(LocalServing(), ctx, asking(release(), *BOTH))
    rest, grpc = seen.endpoints
    assert rest.url.startswith("http://127.0.0.1:")
    assert grpc.url.startswith("grpc://127.0.0.1:")
    assert grpc.url.endswith("/credit-risk")


def test_scores_by_grpc_are_logged_under_the_names_of_their_rows(
    ctx: FakeContext, server: Grpc
) -> None:
    told = server.predict("credit-risk", INPUTS, SIGNATURE)
    assert told["score"] == [YES, pytest.approx(0.95257, abs=1e-5)]
    assert told["probabilities"][0] == [NO, YES]
    named = INPUTS | {"request_id": ["a", "b"]}
    assert server.predict("credit-risk", named, SIGNATURE, "challenger")["score"][0] == NO
    server.predict("credit-risk", named, SIGNATURE, 1)
    assert [row for row in logged(ctx) if row[0] in "ab"] == [
        ("a", "challenger"), ("a", "champion"), ("b", "challenger"), ("b", "champion"),
    ]  # fmt: skip
    assert len(logged(ctx)) == 6


def test_classes_and_numbers_are_answered_for_examples(server: Grpc) -> None:
    whole = {"income": False}
    assert server.classify("credit-risk", [ROW, ROW], whole=whole) == [
        [("0", NO), ("1", YES)]
    ] * 2  # fmt: skip
    assert server.regress("credit-risk", [ROW], "challenger", whole=whole) == [NO]


def test_status_and_signature_are_told(server: Grpc) -> None:
    states = {number: each.state for number, each in server.status("credit-risk").items()}
    assert states == {1: "AVAILABLE", 2: "AVAILABLE"}
    assert list(server.status("credit-risk", "challenger")) == [2]
    found = server.signature("credit-risk")
    assert {name: each.type for name, each in found.inputs.items()} == {
        "income": "float", "children": "int64", "purpose": "string",
    }  # fmt: skip
    assert found.outputs["probabilities"] == Tensor("double", (-1, 2))


def test_a_probe_asks_both_and_is_not_logged(ctx: FakeContext, release: Release) -> None:
    handle, _ = deployed(ctx, asking(release(scoring_log=LOG), *BOTH))
    assert LocalServing().predict(ctx, handle, [ROW]) == [{"score": YES}]
    assert not (ctx.project / "scores.db").exists()
    with pytest.raises(Hopeless, match="HTTP 400"):
        LocalServing().predict(ctx, handle, [{"income": 1.0}])


def test_only_what_is_written_is_opened(ctx: FakeContext, release: Release) -> None:
    handle, urls = deployed(ctx, asking(release(), *ALONE))
    assert list(urls) == ["grpc"]
    port = json.loads((ctx.state / "serving/DEV-credit-risk/server.json").read_text())["port"]
    url = f"http://127.0.0.1:{port}/v1/models/credit-risk:predict"
    refused = ctx.http.post(url, json={"instances": [ROW]})
    assert (refused.status_code, refused.json()["error"]) == (
        404, "this server takes no requests by REST"
    )  # fmt: skip
    assert LocalServing().predict(ctx, handle, [ROW]) == [{"score": YES}]
    _, more = deployed(ctx, asking(release(), *BOTH))
    assert more["grpc"] == urls["grpc"], "the port is kept when the server is started anew"
    assert ctx.http.post(f"{more['rest']}:predict", json={"instances": [ROW]}).status_code == 200


def broken(change: Callable[[Any], object]) -> Any:
    made = predict_request("credit-risk", INPUTS, SIGNATURE)
    change(made)
    return made


def wild_shape(made: Any) -> None:
    made.inputs["income"].tensor_shape.dim[0].size = 1 << 40


def negative_shape(made: Any) -> None:
    made.inputs["income"].tensor_shape.dim[0].size = -1


def short_bytes(made: Any) -> None:
    made.inputs["income"].tensor_content = b"1234567"


def strange_type(made: Any) -> None:
    made.inputs["income"].dtype = 14


REFUSED = [
    (wild_shape, "INVALID_ARGUMENT: input 'income' has the shape"),
    (negative_shape, "INVALID_ARGUMENT: input 'income' has the shape"),
    (short_bytes, "INVALID_ARGUMENT: input 'income': its bytes are not those of its shape"),
    (strange_type, "INVALID_ARGUMENT: input 'income': tensors of type 14 are not read"),
    (lambda made: made.inputs.pop("income"), "INVALID_ARGUMENT: row 0: column 'income' is miss"),
    (lambda made: made.inputs["wage"].CopyFrom(to_tensor("float", [1.0, 1.0])),
     "INVALID_ARGUMENT: row 0: unknown column 'wage'"),
    (lambda made: made.output_filter.append("x"), "INVALID_ARGUMENT: output tensor alias not"),
    (lambda made: setattr(made.model_spec, "signature_name", "x"), "INVALID_ARGUMENT: Serving"),
    (lambda made: setattr(made.model_spec, "name", "x"), "NOT_FOUND: Servable not found"),
    (lambda made: setattr(made.model_spec, "version_label", "x"), "INVALID_ARGUMENT: Unrecog"),
    (lambda made: setattr(made.model_spec.version, "value", 9), "NOT_FOUND: Servable not found"),
]  # fmt: skip


def test_requests_that_cannot_be_scored_are_refused_with_the_reason(
    ctx: FakeContext, server: Grpc
) -> None:
    for change, reason in REFUSED:
        with pytest.raises((Hopeless, Retryable)) as caught:
            server._call("tensorflow.serving.PredictionService", "Predict", broken(change),
                         "PredictResponse")  # fmt: skip
        assert reason in str(caught.value)
    assert not (ctx.project / "scores.db").exists(), "what is refused is not logged"
    assert server.predict("credit-risk", INPUTS, SIGNATURE)["score"][0] == YES


def test_a_request_that_cannot_be_logged_is_not_answered(ctx: FakeContext, server: Grpc) -> None:
    (ctx.project / "scores.db").mkdir()
    with pytest.raises(Retryable, match="UNAVAILABLE: the scoring log cannot be written"):
        server.predict("credit-risk", INPUTS, SIGNATURE)


def test_one_output_alone_may_be_asked_for_and_no_number_is_nan(
    ctx: FakeContext, release: Release
) -> None:
    _, urls = deployed(ctx, asking(release(float("nan")), *ALONE))
    asked = broken(lambda made: made.output_filter.append("score"))
    with over_grpc(address(urls)) as client:
        told = client._call("tensorflow.serving.PredictionService", "Predict", asked,
                            "PredictResponse")  # fmt: skip
    assert list(told.outputs) == ["score"]
    assert all(math.isnan(each) for each in told.outputs["score"].double_val)


def test_a_port_that_is_taken_is_told(ctx: FakeContext, release: Release) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        runtime = LocalServing(grpc_port=port)
        handle = runtime.apply(ctx, asking(release(), *ALONE))
        with pytest.raises(AssertionError, match=f"failed: port_in_use: port {port} on 127.0.0.1"):
            wait_until_ready(runtime, ctx, handle)


def test_an_endpoint_that_it_does_not_speak_is_refused(release: Release) -> None:
    wanted = Opening(name="stream", protocol="kafka")
    assert LocalServing().check(asking(release(), wanted)) == ["local.serving does not speak kafka"]


def test_a_batch_of_examples_without_any_is_refused(server: Grpc) -> None:
    asked = message("ClassificationRequest")()
    asked.model_spec.name = "credit-risk"
    with pytest.raises(Hopeless, match="INVALID_ARGUMENT: Input is empty"):
        server._call("tensorflow.serving.PredictionService", "Classify", asked,
                     "ClassificationResponse")  # fmt: skip
    asked.input.example_list.examples.append(message("Example", TF)())
    with pytest.raises(Hopeless, match="column 'income' is missing"):
        server._call("tensorflow.serving.PredictionService", "Classify", asked,
                     "ClassificationResponse")  # fmt: skip


@pytest.mark.heavy
def test_the_client_of_tensorflow_serving_itself_is_understood(
    ctx: FakeContext, release: Release
) -> None:
    python = Path(saved_models.PLACE, "bin", "python")
    client = Path(__file__).parents[2] / "helpers" / "serving_client.py"
    if not python.exists() or not list(saved_models.PLACE.glob("lib/*/*/tensorflow_serving")):
        pytest.skip("NOT TESTED: there is no tensorflow-serving-api in .cache/tensorflow")
    _, urls = deployed(ctx, asking(release(scoring_log=LOG), *ALONE))
    port = address(urls).rpartition(":")[2]
    done = subprocess.run(
        [python, client, port, "credit-risk"], capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["predict"] == [YES, pytest.approx(0.95257, abs=1e-5)]
    assert told["probabilities"][0] == [NO, YES]
    assert (told["version"], told["request"]) == (1, "loan")
    assert 'label: "1"' in told["classify"]
    assert "value: 0.98" in told["regress"]
    assert told["inputs"] == {"income": "float32", "children": "int64", "purpose": "string"}
    assert told["states"] == {"1": 30}
    assert told["unknown"] == "NOT_FOUND"
    assert ("loan-0", "champion") in logged(ctx)
