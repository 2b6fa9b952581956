"""From what a model server was asked and answered to rows of the scoring log.

The protocol is TensorFlow Serving's REST API: https://www.tensorflow.org/tfx/serving/api_rest
"""

from __future__ import annotations

import json
import re
import zlib
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from waystage.client import Row

SCORING = re.compile(
    r"/v1/models/[^/:?]+(?:/versions/[0-9]+|/labels/[^/:?]+)?:(?P<verb>predict|classify|regress)"
)
REQUEST_ID = re.compile(r"[A-Za-z0-9._:/@+=-]{1,128}")
UNPACKED_AT_MOST = 256 << 20
SCORE = "score"
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, RecursionError, zlib.error)


@dataclass(frozen=True)
class About:
    """What all rows of one model server share.

    `score` says where the score is in an answer, `columns` what the values of a list are called.
    """

    service: str
    stage: str
    snapshot: str
    role: str = "champion"
    score: str = ""
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exchange:
    """One request that was answered, as the journal keeps it."""

    request_id: str
    at: str
    latency_ms: float
    verb: str
    packed: bool  # the request's body is gzip
    request: bytes
    response: bytes

    def encode(self) -> bytes:
        """Give the record: one line of JSON, then both bodies."""
        head = [self.request_id, self.at, self.latency_ms, self.verb, self.packed,
                len(self.request)]  # fmt: skip
        return json.dumps(head).encode() + b"\n" + self.request + self.response

    @classmethod
    def decode(cls, record: bytes) -> Exchange:
        """Read a record."""
        line, _, bodies = record.partition(b"\n")
        request_id, at, latency, verb, packed, length = json.loads(line)
        return cls(request_id, at, latency, verb, packed, bodies[:length], bodies[length:])


def scoring_verb(method: str, path: str) -> str:
    """Give predict, classify or regress for a request that scores; else an empty text."""
    found = SCORING.fullmatch(path.partition("?")[0]) if method == "POST" else None
    return found["verb"] if found else ""


def rows_of(exchange: Exchange, about: About) -> list[Row]:
    """Give a row for each that was scored, numbered where there are several.

    A request that cannot be read is one row without score and inputs: it happened, and
    monitors count it as such.
    """
    inputs: list[dict[str, Any]] = []
    scores: list[float | None] = []
    with suppress(*UNREADABLE):
        inputs = [_plain(given, about.columns) for given in _inputs(exchange)]
        scores = [_score(value, about.score) for value in _outputs(exchange)]
    inputs = inputs or [{}]
    if len(inputs) != len(scores):
        scores = [None] * len(inputs)  # whose score is whose cannot be told
    several = len(inputs) > 1
    return [
        {
            "request_id": f"{exchange.request_id}-{n}" if several else exchange.request_id,
            "at": exchange.at, "service": about.service, "stage": about.stage,
            "snapshot": about.snapshot, "role": about.role, "score": score, "inputs": given,
            "latency_ms": exchange.latency_ms / len(inputs),
        }
        for n, (given, score) in enumerate(zip(inputs, scores, strict=True))
    ]  # fmt: skip


def _inputs(exchange: Exchange) -> list[dict[str, Any]]:
    content = exchange.request
    if exchange.packed:
        unpacking = zlib.decompressobj(wbits=31)
        content = unpacking.decompress(content, UNPACKED_AT_MOST)
    body = json.loads(content)
    if exchange.verb != "predict":
        context = body.get("context", {})
        return [context | example for example in body["examples"]]
    if "instances" in body:
        return [each if isinstance(each, dict) else {"input": each} for each in body["instances"]]
    columns = body["inputs"]
    if not isinstance(columns, dict):
        columns = {"input": columns}
    lists = {name: v if isinstance(v, list) else [v] for name, v in columns.items()}
    count = len(next(iter(lists.values())))
    return [{name: values[n] for name, values in lists.items()} for n in range(count)]


def _plain(given: dict[str, Any], columns: tuple[str, ...]) -> dict[str, Any]:
    """Give inputs by column, as numbers where the model takes lists of one number.

    Of one list with a value for each column each gets its own. NaN and infinities, which
    TensorFlow Serving takes though JSON has none, are missing.
    """
    if len(given) == 1 and columns:
        (values,) = given.values()
        if isinstance(values, list) and len(values) == len(columns) > 1:
            given = dict(zip(columns, values, strict=True))
    return {name: _finite(_alone(value)) for name, value in given.items()}


def _alone(value: Any) -> Any:
    """Give the value of an input of the shape (rows, 1), which comes as a list of its own."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and value - value != 0 else value


def _outputs(exchange: Exchange) -> list[Any]:
    body = json.loads(exchange.response)
    if "outputs" not in body:
        found = body["predictions"] if exchange.verb == "predict" else body["results"]
        return list(found)
    outputs = body["outputs"]
    if not isinstance(outputs, dict):
        return list(outputs)
    count = len(next(iter(outputs.values())))
    return [{name: values[n] for name, values in outputs.items()} for n in range(count)]


def _score(value: Any, where: str) -> float | None:
    """Give the number that is the score: at the path that was named, or where it usually is."""
    for part in where.split(".") if where else _usual(value):
        value = value[int(part)] if isinstance(value, list) else value[part]
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if value - value == 0 else None  # infinities and NaN are no score


def _usual(value: Any) -> list[str]:
    if isinstance(value, dict):
        if SCORE in value:
            return [SCORE]
        return [next(iter(value)), *_usual(next(iter(value.values())))] if len(value) == 1 else []
    if _labelled(value):
        labels = [str(pair[0]) for pair in value]
        return [str(labels.index("1") if "1" in labels else len(labels) - 1), "1"]
    # of two probabilities the second is that of the event
    return ["1"] if isinstance(value, list) and len(value) == 2 else []


def _labelled(value: Any) -> bool:
    """Whether it is an answer of `classify`: pairs of a label and a score."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(
            isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in value
        )
    )
