"""Draw the curves of growth.py: python benchmarks/draw_growth.py FIGURES.json docs/images

Runs in the peers' environment, which has matplotlib. The text of the pictures stays text.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter

INK, SECOND = "#1f6feb", "#bc4c00"


def main() -> None:
    """Write one picture for each curve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figures", type=Path)
    parser.add_argument("directory", type=Path)
    given = parser.parse_args()
    given.directory.mkdir(parents=True, exist_ok=True)
    plt.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "waystage", "font.size": 10,
                     "font.family": "sans-serif", "axes.spines.top": False}  # fmt: skip
    found = json.loads(given.figures.read_text())
    for name, draw in CURVES.items():
        figure = draw(found[name])
        figure.savefig(given.directory / f"growth-{name.replace('_', '-')}.svg",
                       metadata={"Date": None, "Creator": "Waystage"})  # fmt: skip


def in_flight(points: list[dict[str, Any]]) -> Any:
    """Draw transitions per second, and the slowest runs, by runs in flight."""
    figure, left, right = _two_axes("transitions per second", "slowest 1 % of runs, ms")
    at = [point["in_flight"] for point in points]
    left.plot(at, [point["rate"] for point in points], "o-", color=INK)
    right.plot(at, [point["p99_ms"] for point in points], "s--", color=SECOND)
    return _by(figure, left, "runs in flight", at)


def waiting(points: list[dict[str, Any]]) -> Any:
    """Draw the daemon's memory, and the rate of W1 beside them, by runs that wait."""
    figure, left, right = _two_axes("transitions per second", "memory, MB")
    at = [point["waiting"] for point in points]
    left.plot(at, [point["w1_rate"] for point in points], "o-", color=INK)
    right.plot(at, [point["memory_mb"] for point in points], "s--", color=SECOND)
    return _by(figure, left, "runs that wait", at)


def history(points: list[dict[str, Any]]) -> Any:
    """Draw the time of one transition by the length of the run's history."""
    figure, left = plt.subplots(figsize=(6, 3), layout="constrained")
    at = [point["rows"] for point in points]
    left.plot(at, [point["median_us"] for point in points], "o-", color=INK)
    left.set_ylabel("one transition, µs (median)", color=INK)
    left.set_ylim(bottom=0)
    left.spines["right"].set_visible(False)
    return _by(figure, left, "rows of history", at)


CURVES = {"in_flight": in_flight, "waiting": waiting, "history": history}


def _two_axes(first: str, second: str) -> tuple[Any, Any, Any]:
    figure, left = plt.subplots(figsize=(6, 3), layout="constrained")
    right = left.twinx()
    for axis, label, color in ((left, first, INK), (right, second, SECOND)):
        axis.set_ylabel(label, color=color)
        axis.yaxis.set_major_formatter(FuncFormatter(_thousands))
    return figure, left, right


def _by(figure: Any, axis: Any, label: str, at: list[int]) -> Any:
    axis.set_xscale("log")
    axis.set_xlabel(label)
    axis.set_xticks(at, [_thousands(value, 0) for value in at])
    axis.minorticks_off()
    for one in figure.axes:
        one.set_ylim(0, one.get_ylim()[1] * 1.1)
    return figure


def _thousands(value: float, _: int) -> str:
    return f"{value:,.0f}"


if __name__ == "__main__":
    main()
