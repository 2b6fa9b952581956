"""Which types the functions and the arithmetic take, and what comes out."""

from __future__ import annotations

from waystage.expressions.times import TIMESTAMP_PARTS
from waystage.expressions.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    Type,
    list_of,
)

ARITHMETIC: dict[tuple[str, str, str], Type] = {
    **{("int", operator, "int"): INT for operator in "+-*/%"},
    **{("double", operator, "double"): DOUBLE for operator in "+-*/"},
    ("string", "+", "string"): STRING,
    ("bytes", "+", "bytes"): BYTES,
    ("list", "+", "list"): list_of(DYN),
    ("timestamp", "+", "duration"): TIMESTAMP,
    ("duration", "+", "timestamp"): TIMESTAMP,
    ("timestamp", "-", "duration"): TIMESTAMP,
    ("timestamp", "-", "timestamp"): DURATION,
    ("duration", "+", "duration"): DURATION,
    ("duration", "-", "duration"): DURATION,
}

_ANY = "bool|int|double|string|bytes|null|timestamp|duration|list|map|object"
_PARTS_OF_SPANS = ("getHours", "getMinutes", "getSeconds", "getMilliseconds")

RESULTS: dict[str, list[tuple[tuple[str, ...], Type]]] = {
    "size": [(("string|bytes|list|map|object",), INT)],
    "contains": [(("string", "string"), BOOL)],
    "startsWith": [(("string", "string"), BOOL)],
    "endsWith": [(("string", "string"), BOOL)],
    "matches": [(("string", "string"), BOOL)],
    "int": [(("int|double|string|timestamp",), INT)],
    "double": [(("int|double|string",), DOUBLE)],
    "string": [(("bool|int|double|string|bytes|timestamp|duration",), STRING)],
    "bool": [(("bool|string",), BOOL)],
    "bytes": [(("bytes|string",), BYTES)],
    "timestamp": [(("timestamp|string|int",), TIMESTAMP)],
    "duration": [(("duration|string",), DURATION)],
    "dyn": [((_ANY,), DYN)],
    **{
        name: [
            (("timestamp|duration" if name in _PARTS_OF_SPANS else "timestamp",), INT),
            (("timestamp", "string"), INT),
        ]
        for name in TIMESTAMP_PARTS
    },
}
