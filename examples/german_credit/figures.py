"""Show how the first model fares in each quarter, and a retrained one beside it.

It measures on its own, in a few lines of numpy, so that Waystage's monitors can be held
against it. Intervals hold at 95 % for requests drawn from these applications.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from population import (
    A_WEEK,
    RETRAINED,
    TRAINING_WEEKS,
    Application,
    Quarter,
    Request,
    history,
    quarters,
    write_labelled,
)
from train import COLUMNS, read, scorecard

REPEATS = 1000


class Measured(NamedTuple):
    """A value with its interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def ks(events: np.ndarray, scores: np.ndarray) -> float:
    """Give the largest lead of the events' share over the others', from the top score down."""
    order = np.argsort(-scores, kind="stable")
    bad, good = np.cumsum(events[order]), np.cumsum(1 - events[order])
    ends = np.append(np.diff(scores[order]) != 0, True)  # equal scores are one step
    return max(0.0, float((bad / bad[-1] - good / good[-1])[ends].max()))


def ks_interval(events: np.ndarray, scores: np.ndarray) -> Measured:
    """Give KS with the percentiles of a bootstrap that keeps the number of events."""
    chance = np.random.default_rng(1)
    bad, good = scores[events == 1], scores[events == 0]
    truth = np.repeat([1, 0], [len(bad), len(good)])
    found = [
        ks(truth, np.append(chance.choice(bad, len(bad)), chance.choice(good, len(good))))
        for _ in range(REPEATS)
    ]
    low, high = np.percentile(found, [2.5, 97.5])
    return Measured(ks(events, scores), float(low), float(high))


def gain(events: np.ndarray, old: np.ndarray, new: np.ndarray) -> Measured:
    """Give by how much the AUC of `new` exceeds that of `old` on the same requests.

    The variance is that of DeLong, DeLong and Clarke-Pearson (1988) for paired scores.
    """
    parts = [_placements(events, scores) for scores in (old, new)]
    of_bad, of_good = parts[1][0] - parts[0][0], parts[1][1] - parts[0][1]
    spread = 1.96 * np.sqrt(of_bad.var(ddof=1) / len(of_bad) + of_good.var(ddof=1) / len(of_good))
    value = float(of_bad.mean())
    return Measured(value, value - float(spread), value + float(spread))


def _placements(events: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    bad, good = scores[events == 1], scores[events == 0]
    wins = (bad[:, None] > good) + 0.5 * (bad[:, None] == good)
    return wins.mean(axis=1), wins.mean(axis=0)


class Model:
    """A scorecard fitted on labelled rows."""

    def __init__(self, rows: Sequence[Application | Request]) -> None:
        with TemporaryDirectory() as place:
            told = write_labelled(Path(place) / "rows.csv", rows)
            self._fitted = scorecard().fit(*read(told))

    def scores(self, rows: Sequence[Request]) -> np.ndarray:
        """Give the probability of the event for each request."""
        asked = np.array([[row.inputs[name] for name in COLUMNS] for row in rows], dtype=object)
        found: np.ndarray = self._fitted.predict_proba(asked)[:, 1]
        return found


def events_of(rows: Sequence[Request]) -> np.ndarray:
    """Give what became of the requests."""
    return np.array([row.event for row in rows])


def fall(found: Sequence[Quarter]) -> list[Measured]:
    """Give the KS of the model of the history in each quarter."""
    first = Model(history())
    return [ks_interval(events_of(q.rows), first.scores(q.rows)) for q in found]


def halves(quarter: Quarter) -> tuple[list[Request], list[Request]]:
    """Give the requests that a challenger learns from, and those that judge it."""
    cut = TRAINING_WEEKS * A_WEEK
    return quarter.rows[:cut], quarter.rows[cut:]


def duel(quarter: Quarter) -> Measured:
    """Give the gain of a model of the quarter's first weeks over the first one in its last."""
    early, late = halves(quarter)
    old, new = Model(history()).scores(late), Model(early).scores(late)
    return gain(events_of(late), old, new)


def table() -> str:
    """Give the figures of every quarter as text."""
    found = quarters(RETRAINED + 1)
    head = f"{'quarter':8}{'requests':>9}{'bad':>6}{'recoded':>9}  {'KS of the first model':24}"
    lines = [f"{head}gain in AUC by retraining"]
    for quarter, value in zip(found, fall(found), strict=True):
        bad = sum(row.event for row in quarter.rows)
        told = duel(quarter) if quarter is not found[-1] else ""
        lines.append(
            f"{quarter.name:8}{len(quarter.rows):9}{bad:6}{quarter.migrated:9.0%}"
            f"  {value!s:24}{told}"
        )
    new, last = Model(halves(found[-2])[0]), found[-1].rows
    after = ks_interval(events_of(last), new.scores(last))
    return "\n".join([*lines, f"KS in {found[-1].name} of the model retrained: {after}"])
