"""A champion and its challenger, with requests, both models' answers to them, and labels."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from waystage.errors import Hopeless, Retryable
from waystage.plugin import (
    Context,
    Deployed,
    DeploySpec,
    Done,
    Handle,
    JsonObject,
    Label,
    Observation,
    OnlineRuntime,
    Placement,
    Role,
    ScoredRow,
    Services,
    Snapshot,
)
from waystage.testing import FakeContext
from waystage_plugins.monitors import ChallengerCompare
from waystage_plugins.scoring import SqliteScoringLog
from waystage_plugins.scoring.database import writing

REQUESTS = 900
DAY = timedelta(days=1)
SHADOW: dict[str, Any] = {"mode": "shadow", "length": timedelta(days=30)}


class Formula(OnlineRuntime):
    """Answer by the weight of income that the deployment was made with, in this process."""

    use: ClassVar[str] = "test.formula"
    times_probes: ClassVar[bool] = True
    blind_above: float = math.inf
    ready: bool = True
    hiccups: ClassVar[Counter[str]] = Counter()  # how often each kind of call is not answered yet
    calls: ClassVar[list[int]] = []  # rows of each call

    def apply(self, ctx: Context, spec: DeploySpec) -> Handle:
        raise NotImplementedError("a comparison asks for predictions alone")

    def observe(self, ctx: Services, handle: Handle) -> Observation:
        return Observation(phase="ready" if self.ready else "failed")

    def predict(self, ctx: Services, handle: Handle, rows: list[JsonObject]) -> list[JsonObject]:
        self.calls.append(len(rows))
        if self.hiccups["left"] > 0 or not self.ready:
            self.hiccups["left"] -= 1
            raise Retryable("no answer in time")
        if any(float(str(row["income"])) > self.blind_above for row in rows):
            raise Hopeless("a row cannot be read")
        weight = float(str(handle.ref["weight"]))
        both = [(float(str(row["income"])), float(str(row["age"]))) for row in rows]
        return [{"score": answer(weight, income, age)} for income, age in both]

    def delete(self, ctx: Services, handle: Handle) -> None:
        raise NotImplementedError("a comparison asks for predictions alone")

    def logs(self, ctx: Services, handle: Handle, lines: int = 50) -> str:
        return ""


def answer(weight: float, income: float, age: float) -> float:
    return 1 / (1 + math.exp(-weight * income - age))


def contested(tmp_path: Path) -> FakeContext:
    """Let fraud/2 stand beside fraud/1, in this process."""
    Formula.hiccups.clear()
    Formula.calls.clear()
    ctx = FakeContext(tmp_path, service="cc-fraud", stage="PROD")
    ctx.scoring_log = SqliteScoringLog(path=tmp_path / "scores.db")
    ctx.runtimes = {"serving": Formula()}
    ctx.snapshot = snapshot("2")
    place(ctx, "1", "champion", 0.05, days=100)
    place(ctx, "2", "challenger", 2.0, days=60)
    return ctx


def snapshot(version: str) -> Snapshot:
    return Snapshot(name="fraud", version=version, digest="sha256:" + version * 64)


def place(ctx: FakeContext, version: str, role: Role, weight: float, days: int) -> None:
    deployed = Deployed(
        stage="PROD", runtime="serving", mode="online", role=role, handle={"weight": weight}
    )
    since = ctx.now - timedelta(days=days)
    ctx.inventory.insert(0, Placement("cc-fraud", snapshot(version), deployed, "cc-1", since))


def ask(
    ctx: FakeContext, *, count: int = REQUESTS, seed: int = 1, champion: float = 0.05,
    challenger: float | None = 2.0, of: float = 1.0, took: tuple[float, float] = (2.0, 2.5),
    events: float | None = None, apart: bool = False,
) -> None:  # fmt: skip
    """Keep requests of the last day, both models' answers to them, and what became of them.

    `of` is the share of them that the challenger has; `apart` gives it requests of its own.
    """
    chance, rows, labels = Random(seed), [], []
    for number in range(count):
        income, age = chance.gauss(0, 1), chance.gauss(0, 1)
        region = chance.choice(["north", "south"])
        at, name = ctx.now - DAY + timedelta(seconds=number), f"r{seed}-{number}"
        row = ScoredRow(
            name, at, "cc-fraud", "PROD", "fraud/1", "champion", answer(champion, income, age),
            {"income": income, "age": age, "region": region}, took[0] * chance.uniform(0.9, 1.1),
        )  # fmt: skip
        rows.append(row)
        if challenger is not None and chance.random() < of:
            rows.append(replace(
                row, request_id=f"own-{name}" if apart else name, snapshot="fraud/2",
                role="challenger", score=answer(challenger, income, age),
                latency_ms=took[1] * chance.uniform(0.9, 1.1),
            ))  # fmt: skip
        happened = chance.random() < (answer(2.0, income, 0) if events is None else events)
        labels += [Label(each, int(happened), at) for each in (name, f"own-{name}")]
    ctx.scoring_log.append(rows)
    ctx.scoring_log.label(labels)


def compared(ctx: FakeContext, **settings: Any) -> ChallengerCompare.Output:
    found = ChallengerCompare.model_validate(SHADOW | settings).run(ctx)
    assert isinstance(found, Done), found
    assert isinstance(found.output, ChallengerCompare.Output)
    return found.output


def forget_looks(ctx: FakeContext) -> None:
    """Let it be as if nobody had looked yet."""
    assert isinstance(ctx.scoring_log, SqliteScoringLog)
    with writing(ctx.scoring_log.path) as connection:
        connection.execute("DELETE FROM look")


def another_run(ctx: FakeContext, number: int) -> None:
    """Come to the first comparison of another run for the same challenger, a day later."""
    later(ctx)
    ctx.run = f"cc-fraud-{number}"
    ctx.key = f"{ctx.run}/compare/step"


def later(ctx: FakeContext, days: int = 1) -> None:
    """Come to the next comparison: the same run, another entry of its state."""
    ctx.clock.turn(timedelta(days=days))
    ctx.key = f"cc-fraud-1/{ctx.clock.now():%Y%m%d%H}/step"
