"""The gRPC side of the server: TensorFlow Serving's two services, on loopback only."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import grpc

from waystage_plugins.runtimes.serving import grpc_messages, protocol
from waystage_plugins.runtimes.serving.config import PROBE_HEADER
from waystage_plugins.runtimes.serving.desk import Desk, Scored
from waystage_plugins.runtimes.serving.http import BODY_LIMIT, REQUEST_HEADER
from waystage_plugins.runtimes.serving.protocol import Problem
from waystage_plugins.tfserving.messages import message
from waystage_plugins.tfserving.over_grpc import MODEL, PREDICTION

THREADS, WAITING = 8, 256
CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT, 404: grpc.StatusCode.NOT_FOUND,
    503: grpc.StatusCode.UNAVAILABLE,
}  # fmt: skip
OPTIONS = [
    ("grpc.so_reuseport", 0),  # a port that is taken is told, not shared
    ("grpc.max_receive_message_length", BODY_LIMIT),
]


class GrpcServer:
    """Listens from the start; raises `RuntimeError` when the port cannot be had."""

    def __init__(self, port: int, desk: Desk) -> None:
        pool = ThreadPoolExecutor(THREADS, thread_name_prefix="grpc")
        self._server = grpc.server(pool, options=OPTIONS, maximum_concurrent_rpcs=WAITING)
        self._server.add_generic_rpc_handlers(_handlers(desk))
        self.port: int = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self._server.start()

    def stop(self, seconds: float) -> Event:
        """Take no more calls; what has begun is answered within this time."""
        ended: Event = self._server.stop(seconds)
        return ended


def _handlers(desk: Desk) -> list[Any]:
    asks = _Asks(desk)
    found = {
        PREDICTION: {
            "Predict": (asks.predict, "PredictRequest"),
            "Classify": (asks.classify, "ClassificationRequest"),
            "Regress": (asks.regress, "RegressionRequest"),
            "GetModelMetadata": (asks.metadata, "GetModelMetadataRequest"),
        },
        MODEL: {"GetModelStatus": (asks.status, "GetModelStatusRequest")},
    }
    return [
        grpc.method_handlers_generic_handler(
            service, {name: _handler(call, kind) for name, (call, kind) in methods.items()}
        )
        for service, methods in found.items()
    ]


def _handler(call: Callable[[Any, Any], Any], kind: str) -> Any:
    def guarded(asked: Any, context: grpc.ServicerContext) -> Any:
        try:
            return call(asked, context)
        except Problem as problem:
            context.abort(CODES.get(problem.status, grpc.StatusCode.INTERNAL), str(problem))
        except Exception as error:  # noqa: BLE001  # one bad request must not end the server
            print(f"gRPC {kind}: {error!r}", file=sys.stderr, flush=True)
            context.abort(grpc.StatusCode.INTERNAL, "the server failed; its log says why")

    return grpc.unary_unary_rpc_method_handler(
        guarded,
        request_deserializer=message(kind).FromString,
        response_serializer=lambda each: each.SerializeToString(),
    )


class _Asks:
    """One method for each call of the two services."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def predict(self, asked: Any, context: Any) -> Any:
        wanted = grpc_messages.outputs(asked.output_filter)
        done = self._score(asked, context, grpc_messages.read_inputs(asked.inputs))
        return _named(asked, grpc_messages.prediction(done, wanted))

    def classify(self, asked: Any, context: Any) -> Any:
        done = self._score(asked, context, grpc_messages.read_examples(asked.input))
        return _named(asked, grpc_messages.classification(done))

    def regress(self, asked: Any, context: Any) -> Any:
        done = self._score(asked, context, grpc_messages.read_examples(asked.input))
        return _named(asked, grpc_messages.regression(done))

    def metadata(self, asked: Any, context: Any) -> Any:
        if list(asked.metadata_field) != ["signature_def"]:
            raise Problem(400, "metadata_field is one text: signature_def")
        table = self._desk.models.table
        version, _ = protocol.pick(table, grpc_messages.target(asked.model_spec))
        return grpc_messages.signature(table.config.model, version)

    def status(self, asked: Any, context: Any) -> Any:
        table, target = self._desk.models.table, grpc_messages.target(asked.model_spec)
        if target.version or target.label:
            return grpc_messages.status([protocol.pick(table, target)[0]])
        if target.model != table.config.model:
            raise Problem(404, f"Could not find any versions of model {target.model[:200]}")
        return grpc_messages.status(list(table.versions.values()))

    def _score(self, asked: Any, context: Any, read: Any) -> Scored:
        told = dict(context.invocation_metadata() or ())
        done = self._desk.score(
            grpc_messages.target(asked.model_spec),
            read,
            name=told.get(REQUEST_HEADER.lower()),
            probe=told.get(PROBE_HEADER.lower()) == "1",
            began=time.perf_counter(),
        )
        context.set_trailing_metadata(((REQUEST_HEADER.lower(), done.request_id),))
        return done


def _named(asked: Any, made: Any) -> Any:
    made.model_spec.name = asked.model_spec.name
    return made
