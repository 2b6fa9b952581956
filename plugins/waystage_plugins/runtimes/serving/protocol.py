"""TensorFlow Serving's REST protocol: paths, bodies, answers and errors as values.

https://www.tensorflow.org/tfx/serving/api_rest
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from waystage_plugins.runtimes.serving.models import Table, Version

Rows = list[dict[str, Any]]
Scores = Sequence[float | None]

PATH = re.compile(
    r"/v1/models/(?P<model>[A-Za-z0-9._-]+)"
    r"(?:/versions/(?P<version>[0-9]{1,18})|/labels/(?P<label>[A-Za-z0-9_]+))?"
    r"(?P<metadata>/metadata)?(?::(?P<verb>predict|classify|regress))?"
)
ROW_ID = "request_id"
DTYPES = {"object": "DT_STRING", "float32": "DT_FLOAT", "float64": "DT_DOUBLE"}


class Problem(Exception):  # an answer with a status, not a fault
    """What the client is told instead of an answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Target(NamedTuple):
    """What a path asks for; empty strings are what it does not say."""

    model: str
    version: str
    label: str
    metadata: bool
    verb: str


def read_path(method: str, path: str) -> Target:
    """Read a request's path."""
    found = PATH.fullmatch(path.partition("?")[0])
    verb = (found["verb"] or "") if found else ""
    if found is None or bool(verb) != (method == "POST") or (verb and found["metadata"]):
        raise Problem(400, f"Malformed request: {method} {path[:200]}")
    said = [found[name] or "" for name in ("model", "version", "label")]
    return Target(said[0], said[1], said[2], bool(found["metadata"]), verb)


def pick(table: Table, target: Target, request: str = "") -> tuple[Version, str]:
    """Give the version that a path means and the role in which it answers.

    A `request` of that name may fall to the challenger that shares them with the champion.
    """
    name, labels = target.model, table.labels
    if name != table.config.model:
        raise Problem(404, f"Servable not found for request: Latest({name[:200]})")
    if target.label:
        if target.label not in labels:
            raise Problem(400, f"Unrecognized servable version label: {target.label[:200]}")
        return table.versions[labels[target.label]], target.label
    if target.version:
        number = int(target.version)
        if number not in table.versions:
            raise Problem(404, f"Servable not found for request: Specific({name}, {number})")
        return table.versions[number], table.role_of(number)
    if "champion" in labels:
        if request and (challenger := table.shared(request)):
            return challenger, "challenger"
        return table.versions[labels["champion"]], "champion"
    if any(entry.role == "champion" for entry in table.config.entries):
        raise Problem(503, f"the champion of {name} is not loaded (yet)")
    raise Problem(404, f"Servable not found for request: Latest({name}); it has no champion")


def read_body(content: bytes) -> dict[str, Any]:
    """Read a JSON object; numbers that are none are refused."""
    try:
        body = json.loads(content, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Problem(400, f"JSON Parse error: {error}") from error
    if not isinstance(body, dict):
        raise Problem(400, "JSON Parse error: the body is not an object")
    if body.get("signature_name", "serving_default") not in ("", "serving_default"):
        raise Problem(400, f"Serving signature name: {body['signature_name']!r} not found")
    return body


def read_rows(verb: str, body: Mapping[str, Any], columns: Sequence[str]) -> Rows:
    """Give the rows to score, one object per row, from any of the protocol's shapes."""
    if verb != "predict":
        context = body.get("context", {})
        rows = _rows(body.get("examples"), "examples", columns)
        if not isinstance(context, dict):
            raise Problem(400, "'context' is not an object")
        return [context | row for row in rows]
    if "instances" in body and "inputs" in body:
        raise Problem(400, "a request has either 'instances' or 'inputs', not both")
    if "instances" in body:
        return _rows(body["instances"], "instances", columns)
    if "inputs" in body:
        return _rows_of_columns(body["inputs"], columns)
    raise Problem(400, "Missing 'inputs' or 'instances' key")


def take_ids(rows: Rows, columns: Sequence[str]) -> list[str | None]:
    """Take the rows' own ids out of them; a column of the model by that name is a column."""
    if ROW_ID in columns:
        return [None] * len(rows)
    return [_text(row.pop(ROW_ID, None)) for row in rows]


def answer(verb: str, body: Mapping[str, Any], scores: Scores) -> dict[str, Any]:
    """Shape the scores as the request's verb and format want them."""
    both = [[None if s is None else 1 - s, s] for s in scores]
    if verb == "classify":
        return {"results": [[["0", no], ["1", yes]] for no, yes in both]}
    if verb == "regress":
        return {"results": list(scores)}
    if "instances" in body:
        pairs = zip(scores, both, strict=True)
        return {"predictions": [{"score": s, "probabilities": b} for s, b in pairs]}
    return {"outputs": {"score": list(scores), "probabilities": both}}


def status(versions: Sequence[Version]) -> dict[str, Any]:
    """Give the state of versions, the newest first."""
    ordered = sorted(versions, key=lambda version: -version.number)
    return {"model_version_status": [_status(version) for version in ordered]}


def metadata(table: Table, version: Version, role: str) -> dict[str, Any]:
    """Give the signature of a version, and which snapshot it is."""
    columns = version.model.columns if version.model else {}
    signature = {
        "inputs": {name: _tensor(name, dtype, 1) for name, dtype in columns.items()},
        "outputs": {
            "score": _tensor("score", "float64", 0),
            "probabilities": _tensor("probabilities", "float64", 2),
        },
        "method_name": "tensorflow/serving/predict",
    }
    return {
        "model_spec": {
            "name": table.config.model,
            "signature_name": "",
            "version": str(version.number),
        },
        "metadata": {"signature_def": {"signature_def": {"serving_default": signature}}},
        "waystage": {
            "snapshot": version.snapshot.id,
            "digest": version.digest,
            "stage": table.config.stage,
            "role": role,
            "labels": {name: str(number) for name, number in table.labels.items()},
        },
    }


def seen(table: Table) -> dict[str, Any]:
    """Give what the runtime wants to know of its server."""
    return {
        "revision": table.config.revision,
        "labels": table.labels,
        "versions": {
            str(v.number): {
                "state": v.state, "reason": v.reason, "error": v.error, "digest": v.digest,
                "asked": v.asked,
            }
            for v in table.versions.values()
        },
    }  # fmt: skip


def _rows(given: object, key: str, columns: Sequence[str]) -> Rows:
    if not isinstance(given, list) or not given:
        raise Problem(400, f"{key!r} is not a list with at least one row")
    if len(columns) == 1 and not isinstance(given[0], dict):
        given = [{columns[0]: value} for value in given]
    if not all(isinstance(row, dict) for row in given):
        raise Problem(400, f"each of {key!r} is an object that names its columns")
    return given


def _rows_of_columns(inputs: object, columns: Sequence[str]) -> Rows:
    if isinstance(inputs, list) and len(columns) == 1:
        inputs = {columns[0]: inputs}
    if not isinstance(inputs, dict) or not inputs:
        raise Problem(400, "'inputs' is not an object with a list of values per column")
    lists = {name: v if isinstance(v, list) else [v] for name, v in inputs.items()}
    lengths = {name: len(values) for name, values in lists.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        said = ", ".join(f"{name} {length}" for name, length in list(lengths.items())[:20])
        raise Problem(400, f"the columns of 'inputs' differ in length: {said}")
    count = next(iter(lengths.values()))
    return [{name: values[i] for name, values in lists.items()} for i in range(count)]


def _text(value: object) -> str | None:
    if value is None:
        return None
    only = value[0] if isinstance(value, list) and len(value) == 1 else value
    if not isinstance(only, str):
        raise Problem(400, f"{ROW_ID!r} of a row is text, not {str(only)[:60]}")
    return only


def _status(version: Version) -> dict[str, Any]:
    fine = version.state != "END"
    error = {"error_code": "OK" if fine else "UNKNOWN", "error_message": version.error}
    return {"version": str(version.number), "state": version.state, "status": error}


def _tensor(name: str, dtype: str, width: int) -> dict[str, Any]:
    sizes = ["-1", str(width)] if width else ["-1"]
    return {
        "dtype": DTYPES.get(dtype, f"DT_{dtype.upper()}"),
        "tensor_shape": {"dim": [{"size": s, "name": ""} for s in sizes], "unknown_rank": False},
        "name": f"{name}:0",
    }


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")
