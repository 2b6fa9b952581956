"""A value that fits a JSON Schema: the plainest one, or one by chance."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from waystage.patterns import compiled
from waystage.spec.source import parse_source

Schema = Mapping[str, Any]
DEEPEST = 8
# what texts with a pattern mostly are: words, versions, tags, digests, dates, names, addresses
WORDS = (
    "a", "A", "1", "ab", "AB", "abc", "1.0", "1.0.0", "v1", "v1.0.0", "a1", "A1", "a-1", "A-1",
    "ABC-123", "CHG0000001", "INC0000001", "123", "1234", "12345", "123456", "abcdef12",
    "2026-01-01", "2026-01-01T00:00:00Z", "P7D", "12:00", "a@example.org", "https://example.org/a",
    f"sha256:{'0' * 64}", "0" * 40, "0" * 64, "00000000-0000-4000-8000-000000000000", "0.5", "true",
)  # fmt: skip

FORMATS = {
    "date-time": "2026-01-01T00:00:00Z", "date": "2026-01-01", "time": "12:00:00",
    "duration": "P7D", "uri": "https://example.org/a", "email": "a@example.org",
    "uuid": "00000000-0000-4000-8000-000000000000", "path": "a",
}  # fmt: skip


def sample(schema: Schema, name: str, chance: Random | None = None) -> Any:
    """Give a value; `name` is what texts without a rule say."""
    return _Sampler(schema.get("$defs", {}), chance).value(schema, name, 0)


class _Sampler:
    def __init__(self, defs: Schema, chance: Random | None) -> None:
        self._defs, self._chance = defs, chance

    def value(self, schema: Schema, name: str, depth: int) -> Any:
        if "$ref" in schema:
            inner = self._defs.get(str(schema["$ref"]).rpartition("/")[2], {})
            return self.value(inner, name, depth + 1) if depth < DEEPEST else None
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._one(schema["enum"])
        options = schema.get("anyOf") or schema.get("oneOf")
        if options:
            return self.value(self._one(options), name, depth + 1)
        if "default" in schema and self._chance is None:
            return schema["default"]
        return self._typed(schema, name, depth)

    def _typed(self, schema: Schema, name: str, depth: int) -> Any:
        kind = schema.get("type")
        if kind == "object":
            parts = schema.get("properties", {})
            return {key: self.value(part, f"{name}.{key}", depth + 1)
                    for key, part in parts.items()}  # fmt: skip
        if kind == "array":
            least = int(schema.get("minItems", 0))
            items = schema.get("items") or {"type": "string"}
            return [self.value(items, name, depth + 1) for _ in range(least)]
        if kind == "boolean":
            return self._one([True, False])
        if kind in ("integer", "number"):
            return self._number(schema, whole=kind == "integer")
        return text(schema, name) if kind == "string" else None

    def _one(self, options: Any) -> Any:
        return options[0] if self._chance is None else self._chance.choice(list(options))

    def _number(self, schema: Schema, *, whole: bool) -> int | float:
        step = 1 if whole else 0.001
        low = schema.get("minimum", schema.get("exclusiveMinimum", 0 - step) + step)
        high = schema.get("maximum", schema.get("exclusiveMaximum", max(low, 1) + step) - step)
        low, high = min(low, high), max(low, high)
        value = self._chance.uniform(low, high) if self._chance else (low + high) / 2
        return round(value) if whole else float(value)


def text(schema: Schema, name: str) -> str:
    """Give a text that fits; the plainest that a pattern takes, or the name if none is found."""
    pattern, least, most = (schema.get(k) for k in ("pattern", "minLength", "maxLength"))
    known = FORMATS.get(str(schema.get("format", "")))
    for word in (known,) if known else (name, *WORDS):
        long = word.ljust(int(least or 0), "a")[: int(most) if most is not None else None]
        if pattern is None or _takes(pattern, long):
            return long
    return name


def _takes(pattern: str, text: str) -> bool:
    try:
        return compiled(pattern).search(text) is not None
    except ValueError:  # a pattern of a plugin's own schema
        return True


def read(text: str, schema: Schema | None = None) -> Any:
    """Read what a person typed: a text where one is wanted, else a number, a truth, a text."""
    if schema is not None and schema.get("type") == "string":
        return text
    source = f"value: {text}" if text else 'value: ""'
    return parse_source(source).data["value"]
