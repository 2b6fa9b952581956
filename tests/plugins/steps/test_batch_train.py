"""Training takes a frozen window of labelled rows and runs one job, whatever happens."""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from waystage.errors import Hopeless, Retryable
from waystage.plugin import Done, Label, Outcome, Refused, ScoredRow, Waiting
from waystage.testing import FakeContext, check_step, run_to_end
from waystage_plugins.monitors.split import is_holdout
from waystage_plugins.scoring.sqlite import SqliteScoringLog
from waystage_plugins.steps.batch_score import ScoreBatch
from waystage_plugins.steps.batch_train import Data, Train

SCRIPT = """
import csv, json, os, pathlib
rows = list(csv.DictReader(open(os.environ["WAYSTAGE_INPUT_DATA"])))
parent = pathlib.Path(os.environ["WAYSTAGE_INPUT_PARENT"], "model.onnx").read_text()
snapshot = json.load(open(os.environ["WAYSTAGE_INPUT_SNAPSHOT"]))
out = pathlib.Path(os.environ["WAYSTAGE_OUTPUT"])
(out / "model.onnx").write_text(parent + " and " + str(len(rows)))
manifest = {"name": snapshot["name"], "metrics": {"ks": 0.5, "n": len(rows)}}
(out / "manifest.yaml").write_text(json.dumps(manifest))
"""


@pytest.fixture
def ctx(release: Callable[..., FakeContext], batch: Any) -> FakeContext:
    """A run whose scoring log has one row an hour, of which every fifth is an event."""
    made = release()
    made.runtimes["nightly"] = batch
    log = SqliteScoringLog(path=made.project / "scores.db")
    made.scoring_log = log
    fill(made, log, 200)
    return made


def fill(ctx: FakeContext, log: SqliteScoringLog, count: int, **fields: Any) -> None:
    def row(number: int) -> ScoredRow:
        given: dict[str, Any] = {
            "request_id": f"r{number}",
            "at": ctx.now - timedelta(hours=number + 1),
            "service": ctx.service,
            "stage": "DEV",
            "snapshot": "credit/1",
            "role": "champion",
            "score": 0.5,
            "inputs": {"income": number + 0.5, "owner": number % 2 == 0},
        }
        return ScoredRow(**(given | fields))

    log.append(map(row, range(count)))
    log.label(Label(f"r{n}", int(n % 5 == 0), ctx.now) for n in range(count) if n % 10 != 9)


def train(script: str = SCRIPT, **fields: Any) -> Train:
    return Train(command=(sys.executable, "-c", script), **fields)


def data_of(ctx: FakeContext) -> list[dict[str, str]]:
    with (ctx.scratch / "data.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_trained_model_comes_with_metrics_and_the_digest_of_its_data(
    ctx: FakeContext, home: Path
) -> None:
    answer = check_step(train(), ctx, world=lambda: sorted(path.name for path in home.iterdir()))
    assert isinstance(answer, Done)
    output = answer.output
    assert isinstance(output, Train.Output)
    assert (output.rows, output.events, output.metrics) == (180, 40, {"ks": 0.5, "n": 180.0})
    assert (Path(output.artifact) / "model.onnx").read_text() == "weights and 180"
    raw = (ctx.scratch / "data.csv").read_bytes()
    assert output.data == f"sha256:{hashlib.sha256(raw).hexdigest()}"


def test_a_training_may_have_inputs_of_its_own(ctx: FakeContext) -> None:
    (ctx.project / "rates.csv").write_text("rate")
    script = SCRIPT + "assert open(os.environ['WAYSTAGE_INPUT_RATES']).read() == 'rate'"
    answer = run_to_end(train(script, inputs={"rates": "rates.csv"}), ctx)
    assert isinstance(answer, Done)
    assert isinstance(answer.output, Train.Output)
    assert answer.output.inputs == {"rates": f"sha256:{hashlib.sha256(b'rate').hexdigest()}"}
    with pytest.raises(ValueError, match="'data' is what every training gets"):
        train(inputs={"data": "rates.csv"})


def test_the_data_are_the_models_columns_and_the_event_of_labelled_rows(ctx: FakeContext) -> None:
    run_to_end(train(), ctx)
    rows = data_of(ctx)
    assert list(rows[0]) == ["income", "owner", "event"]
    assert rows[-1] == {"income": "0.5", "owner": "1", "event": "1"}
    assert len(rows) == 180


def test_only_the_window_up_to_the_label_delay_is_taken(ctx: FakeContext) -> None:
    window = Data(length=timedelta(hours=50), label_delay=timedelta(hours=20))
    run_to_end(train(data=window, minimum_rows=1), ctx)
    incomes = [float(row["income"]) for row in data_of(ctx)]
    assert (min(incomes), max(incomes)) == (20.5, 68.5)  # 19 and 69 have no label


def test_a_missing_value_is_empty(ctx: FakeContext) -> None:
    log = SqliteScoringLog(path=ctx.project / "other.db")
    fill(ctx, log, 100, inputs={"income": None})
    ctx.scoring_log = log
    run_to_end(train(minimum_rows=1), ctx)
    assert data_of(ctx)[0] == {"income": "", "owner": "", "event": "0"}


def test_rows_of_another_stage_are_taken_only_when_it_is_named(ctx: FakeContext) -> None:
    ctx.stage = "PROD"
    assert isinstance(run_to_end(train(), ctx), Refused)
    ctx.key += "-again"
    assert isinstance(run_to_end(train(data=Data(stage="DEV")), ctx), Done)


def test_requests_that_are_held_out_are_not_trained_on(ctx: FakeContext) -> None:
    answer = run_to_end(train(data=Data(holdout=0.3), minimum_rows=1), ctx)
    assert isinstance(answer, Done)
    trained = {float(row["income"]) for row in data_of(ctx)}
    held = {n + 0.5 for n in range(200) if n % 10 != 9 and is_holdout(f"r{n}", 0.3)}
    assert len(held) in range(30, 80)
    assert not trained & held
    assert len(trained) == 180 - len(held)


def test_too_few_labelled_rows_are_refused_before_a_job_starts(
    ctx: FakeContext, home: Path
) -> None:
    answer = run_to_end(train(minimum_rows=181), ctx)
    assert answer == Refused(
        "180 rows with a label are fewer than the 181 needed",
        {"rows": 180, "events": 40, "coverage": 0.9},
    )
    assert list(home.iterdir()) == []


def test_data_without_a_nonevent_are_refused(ctx: FakeContext) -> None:
    SqliteScoringLog(path=ctx.project / "scores.db").label(
        Label(f"r{n}", 1, ctx.now + timedelta(seconds=1)) for n in range(200)
    )
    answer = run_to_end(train(), ctx)
    assert isinstance(answer, Refused)
    assert "came out the same" in answer.why


def test_a_regression_is_trained_on_true_values(ctx: FakeContext) -> None:
    told = [Outcome(f"r{n}", n / 2, ctx.now) for n in range(120)]
    SqliteScoringLog(path=ctx.project / "scores.db").outcomes(told)
    answer = run_to_end(train(data=Data(target="value")), ctx)
    assert isinstance(answer, Done)
    assert isinstance(answer.output, Train.Output)
    assert (answer.output.rows, answer.output.events, answer.output.coverage) == (120, 0, 0.6)
    rows = data_of(ctx)
    assert list(rows[0]) == ["income", "owner", "value"]
    assert {float(row["income"]): float(row["value"]) for row in rows} == {
        n + 0.5: n / 2 for n in range(120)
    }


def test_true_values_that_are_all_alike_teach_nothing(ctx: FakeContext) -> None:
    told = [Outcome(f"r{n}", 7.5, ctx.now) for n in range(120)]
    SqliteScoringLog(path=ctx.project / "scores.db").outcomes(told)
    answer = run_to_end(train(data=Data(target="value")), ctx)
    assert isinstance(answer, Refused)
    assert answer.why == "all rows with a true value came out the same; nothing can be learnt"


def test_a_model_without_columns_cannot_be_trained(ctx: FakeContext) -> None:
    ctx.snapshot = ctx.snapshot.model_copy(update={"inputs": ()})
    answer = run_to_end(train(), ctx)
    assert isinstance(answer, Refused)
    assert "names no inputs" in answer.why


def test_the_window_stays_frozen_while_the_log_grows_and_time_passes(ctx: FakeContext) -> None:
    first = train().run(ctx)
    assert isinstance(first, Waiting)
    frozen = (ctx.scratch / "data.csv").read_bytes()
    ctx.clock.turn(timedelta(days=30))
    log = SqliteScoringLog(path=ctx.project / "scores.db")
    log.label([Label("r9", 1, ctx.now)])
    ctx.attempt = 2
    answer = run_to_end(train(), ctx)
    assert isinstance(answer, Done)
    assert (ctx.scratch / "data.csv").read_bytes() == frozen


def test_an_attempt_after_a_crash_finds_the_job_that_runs(ctx: FakeContext, home: Path) -> None:
    train().run(ctx)
    ctx.memo, ctx.attempt = {}, 2
    assert isinstance(run_to_end(train(), ctx), Done)
    assert len(list(home.iterdir())) == 1


def test_a_failed_job_is_run_anew_by_the_next_attempt_and_by_a_person(
    ctx: FakeContext, home: Path
) -> None:
    broken = train("raise SystemExit('no memory left')")
    with pytest.raises(Retryable, match="failed with exit code 1: no memory left"):
        run_to_end(broken, ctx)
    with pytest.raises(Retryable):
        broken.run(ctx)  # the same call again, after a crash: it is told again, not run again
    assert len(list(home.iterdir())) == 1
    ctx.memo, ctx.attempt = {}, 2
    with pytest.raises(Retryable):
        run_to_end(broken, ctx)
    ctx.memo, ctx.attempt = {}, 1  # a person has the parked step tried again
    assert isinstance(run_to_end(train(), ctx), Done)


def test_the_engine_no_longer_wanting_it_ends_the_job(ctx: FakeContext, home: Path) -> None:
    ctx.cancelled = True
    train().run(ctx)
    assert len(list(home.glob("*/cancelled"))) == 1


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("pass", r"manifest\.yaml: No such file"),
        (
            "open(o+'/manifest.yaml','w').write('metrics: {ks: high}')",
            "metrics.ks: is not a number",
        ),
        ("open(o+'/manifest.yaml','w').write('metrics: {ks: .nan}')", "not a finite number"),
        ("os.symlink('/etc/passwd', o+'/model.onnx')", "is a symbolic link"),
    ],
)
def test_what_the_job_wrote_is_held_against_what_is_expected(
    ctx: FakeContext, script: str, told: str
) -> None:
    with pytest.raises(Hopeless, match=told):
        run_to_end(train(f"import os; o = os.environ['WAYSTAGE_OUTPUT']; {script}"), ctx)


def test_rows_of_a_file_are_scored_by_one_job(ctx: FakeContext, home: Path) -> None:
    lines = [json.dumps({"income": n, "owner": True}) for n in range(100)]
    (ctx.project / "rows.jsonl").write_text("\n".join(lines))
    step = ScoreBatch(rows="rows.jsonl")
    answer = check_step(step, ctx, world=lambda: sorted(path.name for path in home.iterdir()))
    assert isinstance(answer, Done)
    assert isinstance(answer.output, ScoreBatch.Output)
    assert answer.output.rows == 100
    last = Path(answer.output.scores).read_text().splitlines()[-1]
    assert json.loads(last) == {"score": 0.99}


def test_a_score_that_is_none_refuses_the_whole_file(ctx: FakeContext) -> None:
    (ctx.project / "rows.jsonl").write_text('{"income": 1}\n{"income": 200}\n')
    answer = run_to_end(ScoreBatch(rows="rows.jsonl"), ctx)
    assert answer == Refused("credit/1: row 2 has score 2.0, which is not from 0 to 1")


def test_a_file_that_is_not_there_is_named(ctx: FakeContext) -> None:
    with pytest.raises(Hopeless, match=r"there is no file .*rows\.jsonl"):
        run_to_end(ScoreBatch(rows="rows.jsonl"), ctx)
