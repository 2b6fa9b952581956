"""What a model server tells Prometheus, read into numbers.

Source of the format: prometheus.io, "Exposition formats", the text-based one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

CONFIG = 'prometheus_config {\n  enable: true\n  path: "/monitoring/prometheus/metrics"\n}\n'
REQUESTS = ":tensorflow:serving:request_count"
_LINE = re.compile(
    r"(?P<name>[A-Za-z_:][A-Za-z0-9_:]*)(?:\{(?P<labels>.*)\})?[ \t]+(?P<value>\S+)(?:[ \t]+-?\d+)?"
)
_LABEL = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)"')


class Sample(NamedTuple):
    """One number with its name and labels."""

    name: str
    labels: dict[str, str]
    value: float


class Requests(NamedTuple):
    """How many requests a server has answered since it was started, and how many it could not."""

    answered: int
    failed: int


def read_metrics(text: str) -> Iterator[Sample]:
    """Give the samples; lines that are none are passed over."""
    for line in text.splitlines():
        match = None if line.startswith("#") else _LINE.fullmatch(line.strip())
        if match is None:
            continue
        try:
            value = float(match["value"])
        except ValueError:
            continue
        labels = {name: _plain(told) for name, told in _LABEL.findall(match["labels"] or "")}
        yield Sample(match["name"], labels, value)


def requests_of(text: str, model: str) -> Requests:
    """Count the requests for a model, over its versions."""
    found = [each for each in read_metrics(text)
             if each.name == REQUESTS and each.labels.get("model_name") == model]  # fmt: skip
    fine = sum(each.value for each in found if each.labels.get("status") == "OK")
    return Requests(int(fine), int(sum(each.value for each in found) - fine))


def _plain(told: str) -> str:
    return re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], told)
