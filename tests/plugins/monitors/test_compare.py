"""Champion against challenger: same requests, one frozen window, a verdict that is earned."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from challenged import forget_looks
from pydantic import ValidationError

from waystage.errors import Hopeless, Retryable
from waystage.expressions.template import compile_template
from waystage.plugin import (
    Column,
    Deployed,
    DeploySpec,
    Done,
    Job,
    JsonObject,
    Label,
    Minimum,
    Placement,
    Refused,
    ScoredRow,
    Snapshot,
    Waiting,
)
from waystage.testing import FakeContext, run_to_end
from waystage.testing.contracts import check_step
from waystage_plugins.monitors import ChallengerCompare
from waystage_plugins.monitors.split import is_holdout
from waystage_plugins.repositories.folder import Folder
from waystage_plugins.runtimes.local_process import LocalProcess
from waystage_plugins.scoring import SqliteScoringLog

LIFECYCLES = Path(__file__).parents[3] / "lifecycles"
REQUESTS = 1000
STEP = ChallengerCompare(length=timedelta(days=30))
GOOD, POOR = {"income": 1.5, "age": 1.0}, {"income": 1.0, "age": 0.0}
INPUTS = (Column(name="income"), Column(name="age"))

SCORER = """
import json, math, os, pathlib, sys
weights = json.loads(pathlib.Path(sys.argv[1], "model.json").read_text())
rows = pathlib.Path(os.environ["WAYSTAGE_INPUT_ROWS"]).read_text().splitlines()
with open(os.path.join(os.environ["WAYSTAGE_OUTPUT"], "scores.jsonl"), "w") as scores:
    for row in map(json.loads, rows[: weights.get("rows")]):
        logit = sum(weights[name] * value for name, value in row.items())
        blind = row["age"] > weights.get("blind_above", math.inf)
        print(json.dumps({"score": None if blind else 1 / (1 + math.exp(-logit))}), file=scores)
"""


class LogisticJobs(LocalProcess):
    """Score with a logistic model that is kept as JSON; the jobs are real processes."""

    def score_command(self, spec: DeploySpec, rows: str) -> Job:
        command = ("python", "-c", SCORER, spec.source)
        return Job(name="score", command=command, inputs={"rows": rows})


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    ctx = FakeContext(tmp_path, service="cc-fraud", stage="PROD")
    ctx.scoring_log = SqliteScoringLog(path=tmp_path / "scores.db")
    ctx.repository = Folder(path="models", settle=0)
    ctx.runtimes = {"jobs": LogisticJobs()}
    return ctx


def registered(ctx: FakeContext, version: str, weights: dict[str, float]) -> Snapshot:
    source = ctx.root / f"source-{version}"
    source.mkdir()
    (source / "model.json").write_text(json.dumps(weights))
    columns: list[Any] = [column.model_dump() for column in INPUTS]
    manifest: JsonObject = {"name": "fraud", "version": version, "inputs": columns}
    return ctx.repository.register(ctx, source, manifest, key=version)


def place(ctx: FakeContext, snapshot: Snapshot, stage: str = "PROD", days: int = 0) -> None:
    deployed = Deployed(stage=stage, runtime="r", mode="online")
    since = ctx.now - timedelta(days=100 - days)
    ctx.inventory.append(Placement("cc-fraud", snapshot, deployed, "cc-fraud-0", since))


def score(weights: dict[str, float], inputs: dict[str, float]) -> float:
    return float(1 / (1 + np.exp(-sum(weights[name] * value for name, value in inputs.items()))))


def scene(
    ctx: FakeContext,
    champion: dict[str, float],
    challenger: dict[str, float],
    requests: int = REQUESTS,
) -> list[ScoredRow]:
    """Keep requests that the champion (fraud/1) answered, and let fraud/2 challenge it."""
    place(ctx, registered(ctx, "1", champion))
    ctx.snapshot = registered(ctx, "2", challenger)
    random, rows, labels = np.random.default_rng(1), [], []
    for number in range(requests):
        inputs = {"income": random.normal(), "age": random.normal()}
        at = ctx.now - timedelta(days=1, minutes=number)
        answer = score(champion, inputs)
        name = f"r{number}"
        rows.append(
            ScoredRow(name, at, "cc-fraud", "PROD", "fraud/1", "champion", answer, {**inputs})
        )
        labels.append(Label(name, int(random.random() < score(GOOD, inputs)), at))
    ctx.scoring_log.append(rows)
    ctx.scoring_log.label(labels)
    return rows


def verdict(ctx: FakeContext, step: ChallengerCompare = STEP) -> ChallengerCompare.Output:
    answer = run_to_end(step, ctx, advance=timedelta(seconds=1))
    assert isinstance(answer, Done)
    assert isinstance(answer.output, ChallengerCompare.Output)
    return answer.output


@pytest.mark.parametrize("metric", ["auc", "ks"])
def test_a_better_challenger_is_promoted(ctx: FakeContext, metric: str) -> None:
    scene(ctx, champion=POOR, challenger=GOOD)
    begun = ctx.now
    found = verdict(ctx, STEP.model_copy(update={"metric": metric}))
    assert found.verdict == "promote"
    assert found.low is not None
    assert found.gain is not None
    assert found.high is not None
    assert 0 < found.low < found.gain < found.high
    assert found.champion_value is not None
    assert found.challenger_value == pytest.approx(found.champion_value + found.gain)
    assert (found.champion, found.challenger) == ("fraud/1", "fraud/2")
    assert (found.rows, found.events + found.nonevents, found.unscored) == (1000, 1000, 0)
    assert (found.start, found.end) == (begun - timedelta(days=30), begun)
    assert found.data.startswith("sha256:")


@pytest.mark.parametrize(("latency", "expected"), [(0, "promote"), (1.5, "keep")])
def test_the_shipped_guardrails_let_a_job_promote_where_no_times_are_asked_for(
    ctx: FakeContext, latency: float, expected: str
) -> None:
    shipped = yaml.safe_load((LIFECYCLES / "champion-challenger.yaml").read_text())
    params = {name: told["default"] for name, told in shipped["params"].items()}
    (asked,) = shipped["states"]["compare"]["steps"]
    written = compile_template(asked["with"]["guardrails"])
    limits = written.render({"params": params | {"latency": latency, "psi": 9}})
    scene(ctx, champion=POOR, challenger=GOOD)
    settings = {"length": timedelta(days=30), "by": "job", "guardrails": limits}
    found = verdict(ctx, ChallengerCompare.model_validate(settings))
    assert found.verdict == expected, found.why
    told = "latency cannot be measured: a job does not tell how long single requests take"
    assert (told in found.why) is (expected == "keep")


def test_a_worse_challenger_is_not(ctx: FakeContext) -> None:
    scene(ctx, champion=GOOD, challenger=POOR)
    found = verdict(ctx)
    assert found.verdict == "keep"
    assert found.high is not None
    assert found.high < 0


@pytest.mark.parametrize("metric", ["auc", "ks"])
def test_an_identical_challenger_gains_nothing(ctx: FakeContext, metric: str) -> None:
    scene(ctx, champion=GOOD, challenger=GOOD)
    found = verdict(ctx, STEP.model_copy(update={"metric": metric}))
    assert (found.verdict, found.gain, found.low, found.high) == ("keep", 0, 0, 0)


def test_a_gain_must_surely_exceed_the_margin(ctx: FakeContext) -> None:
    scene(ctx, champion=POOR, challenger=GOOD)
    found = verdict(ctx)
    assert found.low is not None
    assert found.gain is not None
    for margin, expected in ((found.low - 0.001, "promote"), (found.low + 0.001, "keep")):
        assert margin < found.gain
        assert verdict(ctx, STEP.model_copy(update={"margin": margin})).verdict == expected


def test_who_looks_more_often_must_be_surer(ctx: FakeContext) -> None:
    scene(ctx, champion=POOR, challenger=GOOD)
    once = verdict(ctx)
    ctx.key = "cc-fraud-1/2/step"
    forget_looks(ctx)
    often = verdict(ctx, STEP.model_copy(update={"looks": 5}))
    assert often.gain == pytest.approx(once.gain)
    assert often.low is not None
    assert once.low is not None
    assert often.low < once.low


def test_too_few_labels_mean_wait_and_no_job(ctx: FakeContext) -> None:
    scene(ctx, champion=POOR, challenger=GOOD, requests=50)
    found = verdict(ctx)
    assert found.verdict == "wait"
    assert "are fewer than the 200 needed" in found.why
    assert (found.gain, found.low, found.high) == (None, None, None)
    assert not (ctx.state / "jobs").exists()


def test_low_coverage_means_wait(ctx: FakeContext) -> None:
    rows = scene(ctx, champion=POOR, challenger=GOOD)
    ctx.scoring_log.append(replace(row, request_id=f"new-{row.request_id}") for row in rows)
    found = verdict(ctx)
    assert found.verdict == "wait"
    assert "1000 of 2000 requests (50.0%) have a label and a score" in found.why


def test_rows_without_a_champions_score_are_not_compared(ctx: FakeContext) -> None:
    rows = scene(ctx, champion=POOR, challenger=GOOD)
    lost = [replace(row, request_id=f"x{n}", score=None) for n, row in enumerate(rows[:100])]
    ctx.scoring_log.append(lost)
    ctx.scoring_log.label(Label(row.request_id, 1, row.at) for row in lost)
    assert verdict(ctx).rows == 1000


def test_only_the_champions_rows_of_the_window_are_compared(ctx: FakeContext) -> None:
    rows = scene(ctx, champion=POOR, challenger=GOOD)
    others = [
        {"snapshot": "fraud/0"},
        {"stage": "UAT"},
        {"role": "challenger"},
        {"service": "cc-other"},
        {"at": ctx.now},
        {"at": ctx.now - timedelta(days=30, microseconds=1)},
    ]
    strays = [
        replace(rows[0], request_id=f"x{n}", **other)  # type: ignore[arg-type]  # one field each
        for n, other in enumerate(others)
    ]
    ctx.scoring_log.append(strays)
    ctx.scoring_log.label(Label(row.request_id, 1, row.at) for row in strays)
    assert verdict(ctx).rows == 1000


def test_the_window_ends_before_labels_are_due(ctx: FakeContext) -> None:
    scene(ctx, champion=POOR, challenger=GOOD)
    begun = ctx.now
    found = verdict(ctx, STEP.model_copy(update={"label_delay": timedelta(days=20)}))
    assert (found.start, found.end) == (begun - timedelta(days=50), begun - timedelta(days=20))
    assert (found.verdict, found.why) == ("wait", "there is no scored request")


def test_with_a_holdout_only_requests_kept_out_of_training_are_compared(ctx: FakeContext) -> None:
    rows = scene(ctx, champion=POOR, challenger=GOOD)
    few = Minimum(events=50, nonevents=50)
    found = verdict(ctx, STEP.model_copy(update={"holdout": 0.3, "minimum": few}))
    assert found.rows == sum(is_holdout(row.request_id, 0.3) for row in rows)


def test_the_champion_is_the_newest_other_snapshot_of_the_stage(ctx: FakeContext) -> None:
    scene(ctx, champion=POOR, challenger=GOOD)
    place(ctx, registered(ctx, "0", GOOD), days=-1)
    place(ctx, registered(ctx, "uat", GOOD), stage="UAT", days=50)
    place(ctx, ctx.snapshot, days=60)
    assert verdict(ctx).champion == "fraud/1"


def test_without_a_champion_there_is_nothing_to_compare_with(ctx: FakeContext) -> None:
    with pytest.raises(Hopeless, match="service cc-fraud has no champion in PROD"):
        STEP.run(ctx)


def test_an_attempt_after_a_crash_compares_the_same_frozen_requests(ctx: FakeContext) -> None:
    rows = scene(ctx, champion=POOR, challenger=GOOD)
    assert isinstance(STEP.run(ctx), Waiting)  # its memo is lost in the crash
    ctx.clock.turn(timedelta(days=40))
    ctx.scoring_log.label(Label(row.request_id, 1, ctx.now) for row in rows)
    ctx.inventory.clear()
    found = verdict(ctx)
    assert (found.verdict, found.rows) == ("promote", 1000)
    assert len(list((ctx.state / "jobs").iterdir())) == 1


def test_the_step_may_be_called_any_number_of_times(ctx: FakeContext) -> None:
    scene(ctx, champion=POOR, challenger=GOOD)

    def world() -> object:
        jobs = sorted((ctx.state / "jobs").glob("*/output/*"))
        frozen = sorted(ctx.scratch.glob("*.json*"))
        return [(each.name, each.read_bytes()) for each in [*jobs, *frozen]]

    check_step(STEP, ctx, world=world)


def test_frozen_requests_that_were_changed_are_not_compared(ctx: FakeContext) -> None:
    scene(ctx, champion=POOR, challenger=GOOD)
    assert isinstance(STEP.run(ctx), Waiting)
    known = ctx.scratch / "known.jsonl"
    known.write_text(known.read_text().replace(", 1, null]", ", 0, null]", 1))
    with pytest.raises(Hopeless, match=r"the frozen requests .* any more"):
        run_to_end(STEP, ctx)


def test_a_challenger_does_not_gain_by_leaving_out_requests(ctx: FakeContext) -> None:
    scene(ctx, champion=POOR, challenger=GOOD | {"blind_above": 1.0})
    found = verdict(ctx)
    assert (found.verdict, found.gain) == ("keep", None)
    assert 100 < found.unscored < 250
    assert f"no score for {found.unscored} of 1000 requests" in found.why


def test_a_few_requests_without_a_score_are_left_out_of_both_sides(ctx: FakeContext) -> None:
    scene(ctx, champion=POOR, challenger=GOOD | {"blind_above": 2.6})
    found = verdict(ctx)
    assert 0 < found.unscored <= 10
    assert (found.verdict, found.rows) == ("promote", 1000 - found.unscored)


def test_a_job_that_answers_other_rows_is_refused(ctx: FakeContext) -> None:
    scene(ctx, champion=POOR, challenger=GOOD | {"rows": 10})
    answer = run_to_end(STEP, ctx)
    assert isinstance(answer, Refused)
    assert answer.why == "fraud/2: the job answered 10 rows for 1000"


def test_a_job_that_fails_is_a_technical_error(ctx: FakeContext) -> None:
    scene(ctx, champion=POOR, challenger={"income": 1.0})
    with pytest.raises(Retryable, match=r"failed with exit code 1.*KeyError: 'age'"):
        run_to_end(STEP, ctx)


def test_inputs_that_the_challenger_does_not_have_are_not_sent(ctx: FakeContext) -> None:
    rows = scene(ctx, champion=POOR, challenger=GOOD, requests=0)
    assert rows == []
    extra = {"income": 1.0, "age": 2.0, "shoe_size": 44.0}
    row = ScoredRow(
        "r", ctx.now - timedelta(days=1), "cc-fraud", "PROD", "fraud/1", "champion", 0.5
    )
    ctx.scoring_log.append([replace(row, inputs={**extra})])
    ctx.scoring_log.label([Label("r", 1, row.at)])
    verdict(ctx)
    assert json.loads((ctx.scratch / "rows.jsonl").read_text()) == {"income": 1.0, "age": 2.0}


@pytest.mark.parametrize(
    "wrong",
    [{"margin": -0.1}, {"length": "P0D"}, {"label_delay": "-P1D"}, {"holdout": 1}, {"looks": 0}],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(wrong: JsonObject) -> None:
    with pytest.raises(ValidationError):
        ChallengerCompare.model_validate(wrong)


def test_durations_are_written_as_in_the_language() -> None:
    step = ChallengerCompare.model_validate({"length": "P42D", "label_delay": "P30D"})
    assert (step.length, step.label_delay) == (timedelta(days=42), timedelta(days=30))
