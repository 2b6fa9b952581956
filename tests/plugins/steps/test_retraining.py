"""What a retraining leaves behind: one digest for one window, checked metrics, a full lineage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from waystage.errors import Hopeless
from waystage.plugin import Done, Label, Refused, ScoredRow, ScoringLog, Slice
from waystage.testing import FakeContext, run_to_end
from waystage_plugins.scoring.postgresql import PostgresqlScoringLog
from waystage_plugins.scoring.sqlite import SqliteScoringLog
from waystage_plugins.steps.batch_train import Train
from waystage_plugins.steps.register import Register
from waystage_plugins.steps.window import freeze

WRITES = """
import json, os, pathlib
out = pathlib.Path(os.environ["WAYSTAGE_OUTPUT"])
(out / "model").mkdir()
(out / "model" / "model.onnx").write_text("weights")
(out / "model" / "manifest.yaml").write_text('{"metrics": {"ks": 0.5}}')
"""


@pytest.fixture
def ctx(release: Callable[..., FakeContext], batch: Any) -> FakeContext:
    """A run whose scoring log has labels of four in five of its requests."""
    made = release()
    made.runtimes["nightly"] = batch
    made.scoring_log = filled(SqliteScoringLog(path=made.project / "scores.db"), made)
    return made


def filled(log: ScoringLog, ctx: FakeContext, order: int = 1) -> ScoringLog:
    """Give the log a row an hour, two of them of one instant; `order` -1 has the last one first."""

    def row(number: int) -> ScoredRow:
        at = ctx.now - timedelta(hours=number // 2 + 1)
        inputs: Any = {"income": number / 3, "owner": number % 2 == 0}
        return ScoredRow(f"Ü{number}" if number % 3 else f"b{number}", at, ctx.service, "DEV",
                         "credit/1", "champion", 0.5, inputs)  # fmt: skip

    rows = [row(number) for number in range(200)][::order]
    log.append(rows)
    log.label(
        Label(each.request_id, number % 7 == 0, ctx.now)
        for number, each in enumerate(rows[::order])
        if number % 5
    )
    return log


def train(script: str = WRITES, **fields: Any) -> Train:
    return Train.model_validate({"command": (sys.executable, "-c", script), **fields})


def told(ctx: FakeContext, more: str, **fields: Any) -> Train.Output:
    answer = run_to_end(train(WRITES + more, **fields), ctx)
    assert isinstance(answer, Done)
    assert isinstance(answer.output, Train.Output)
    return answer.output


def write(text: str) -> str:
    return f"(out / 'metrics.json').write_text({text!r})"


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_same_window_has_the_same_digest_whichever_log_it_is_of(
    ctx: FakeContext, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if kind == "sqlite":
        log: ScoringLog = SqliteScoringLog(path=tmp_path / "other.db")
    else:
        ctx.secrets["env/LOG"] = request.getfixturevalue("shared_postgres").database(empty=True)
        log = PostgresqlScoringLog(url=ctx.secrets["env/LOG"])
    filled(log, ctx, order=-1)
    which = Slice(ctx.service, "DEV", ctx.now - timedelta(days=90), ctx.now)
    frozen = []
    for number, each in enumerate((ctx.scoring_log, log)):
        place = tmp_path / str(number)
        place.mkdir()
        frozen.append(freeze(each, which, ctx.snapshot.inputs, place))
    assert frozen[0].digest == frozen[1].digest
    assert (frozen[0].rows, frozen[0].coverage) == (160, 0.8)
    assert (tmp_path / "0/data.csv").read_bytes() == (tmp_path / "1/data.csv").read_bytes()


def test_a_label_that_changes_gives_another_digest(ctx: FakeContext) -> None:
    first = told(ctx, "")
    ctx.scoring_log.label([Label("Ü1", 1, ctx.now + timedelta(seconds=1))])
    ctx.key += "-again"
    assert told(ctx, "").data != first.data


def test_too_few_labels_of_all_requests_are_refused(ctx: FakeContext, home: Path) -> None:
    answer = run_to_end(train(minimum_coverage=0.81), ctx)
    assert isinstance(answer, Refused)
    assert answer.why == "80.0% of the window's requests have a label, fewer than the 81.0% needed"
    assert answer.output["coverage"] == 0.8
    assert list(home.iterdir()) == []


def test_metrics_of_a_file_join_those_of_the_manifest(ctx: FakeContext) -> None:
    found = told(ctx, write('{"auc": 0.7, "ks": 0.5, "n": 3}'), metrics={"file": "metrics.json",
                 "needs": ["auc"]})  # fmt: skip
    assert found.metrics == {"ks": 0.5, "auc": 0.7, "n": 3.0}
    assert found.coverage == 0.8


BAD = [
    (write('{"auc": NaN}'), "NaN is no number"),
    (write('{"auc": -Infinity}'), "-Infinity is no number"),
    (write('{"auc": 1e999}'), "field auc: is not a number"),
    (write('{"auc": ' + "9" * 400 + "}"), "field auc: is not a number"),
    (write('{"auc": "0.7"}'), "field auc: is not a number"),
    (write('{"auc": true}'), "field auc: is not a number"),
    (write('{"auc": null}'), "field auc: is not a number"),
    (write('{"auc": {"value": 1}}'), "field auc: is not a number"),
    (write('{"auc": 1, "auc": 2}'), "a name is there twice"),
    (write('{"ks": 0.6}'), "ks is 0.6, and .* says 0.5"),
    (write('{"ks": 0.5}'), "there is no metric auc, only ks"),
    (write("[1]"), "is not a map of name to number"),
    (write(json.dumps({str(n): n for n in range(201)})), "has 201 metrics, more than 200"),
    (write(json.dumps({"x" * 101: 1})), "is no name of a metric"),
    (write(" " * 70_000), "larger than 64 KiB"),
    (write("[" * 60_000), "is no JSON that counts"),
    ("os.symlink('/etc/hostname', out / 'metrics.json')", "leads out of the job's directory"),
    ("(out / 'metrics.json').mkdir()", "wrote no such file"),
    ("pass", "wrote no such file"),
]


@pytest.mark.parametrize(("script", "why"), BAD, ids=[why for _, why in BAD])
def test_metrics_that_do_not_count_are_told_by_file_and_name(
    ctx: FakeContext, script: str, why: str
) -> None:
    with pytest.raises(Hopeless, match=rf"metrics\.json: .*{why}|metrics\.json: {why}"):
        told(ctx, script, metrics={"file": "metrics.json", "needs": ["auc"]})


@pytest.mark.parametrize("file", ["/etc/passwd", "../x.json", "a/../../x", "."])
def test_the_file_of_metrics_lies_below_the_jobs_directory(file: str) -> None:
    with pytest.raises(ValidationError, match="no path below the job's directory"):
        train(metrics={"file": file})


def git(ctx: FakeContext, *words: str) -> str:
    names = {f"GIT_{who}_{what}": "a@example.org" for who in ("AUTHOR", "COMMITTER")
             for what in ("NAME", "EMAIL")}  # fmt: skip
    done = subprocess.run(["git", *words], cwd=ctx.project, env=os.environ | names, check=True,
                          capture_output=True, text=True)  # fmt: skip
    return done.stdout.strip()


def test_a_challenger_is_registered_with_parent_data_run_and_commit(ctx: FakeContext) -> None:
    git(ctx, "init", "-q")
    (ctx.project / "train.py").write_text("one")
    git(ctx, "add", "train.py")
    git(ctx, "commit", "-q", "-m", "one")
    commit = git(ctx, "rev-parse", "HEAD")
    found = told(ctx, write('{"auc": 0.7}'), metrics={"file": "metrics.json"})
    assert found.commit == commit
    step = Register.model_validate(
        {"from": found.artifact, "tags": {"candidate": "challenger"}, "metrics": found.metrics,
         "data": found.data, "commit": found.commit}
    )  # fmt: skip
    for _ in range(2):  # a repeat finds the version that it made
        answer = run_to_end(step, ctx)
        assert isinstance(answer, Done)
    made = ctx.repository.get(ctx, "credit", "2")
    assert made.lineage.model_dump() == {
        "parent": "credit/1", "data": found.data, "run": ctx.run, "commit": commit
    }  # fmt: skip
    assert made.metrics == {"ks": 0.5, "auc": 0.7}
    assert made.tags["candidate"] == "challenger"
    assert [each.version for each in ctx.repository.snapshots(ctx)] == ["1", "2"]


def test_a_commit_is_that_of_the_jobs_beginning_and_says_if_files_differ(
    ctx: FakeContext,
) -> None:
    assert told(ctx, "").commit == "", "no checkout"
    git(ctx, "init", "-q")
    (ctx.project / "train.py").write_text("one")
    git(ctx, "add", "train.py")
    git(ctx, "commit", "-q", "-m", "one")
    (ctx.project / "train.py").write_text("two")
    ctx.key += "-again"
    step = train()
    step.run(ctx)
    commit = git(ctx, "rev-parse", "HEAD")
    git(ctx, "commit", "-q", "-a", "-m", "two")
    answer = run_to_end(step, ctx)
    assert isinstance(answer, Done)
    assert isinstance(answer.output, Train.Output)
    assert answer.output.commit == f"{commit}-dirty"
    empty = Register.model_validate({"from": answer.output.artifact, "commit": ""})
    run_to_end(empty, ctx)
    assert ctx.repository.get(ctx, "credit", "2").lineage.commit is None


def test_the_allowance_is_what_the_settings_say() -> None:
    plain = train().allowance()
    assert (plain.name, plain.most, plain.cooldown) == ("training", None, timedelta())
    full = train(cooldown="P30D", budget={"trainings": 4, "per": "P365D", "time": "PT8H"})
    assert full.allowance().model_dump() == {
        "name": "training", "most": 4, "time": timedelta(hours=8), "per": timedelta(days=365),
        "cooldown": timedelta(days=30),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"cooldown": "P91D", "budget": {"trainings": 1, "per": "P90D"}}, "shorten the cooldown"),
        ({"cooldown": "P30D", "budget": {"trainings": 3, "per": "P90D"}}, "below the budget"),
        ({"budget": {"trainings": 0, "per": "P90D"}}, "greater than or equal to 1"),
        ({"budget": {"trainings": 1}}, "per"),
        ({"budget": {"trainings": 1, "per": "PT0S"}}, "greater than"),
        ({"cooldown": "-P1D"}, "cooldown"),
    ],
)
def test_limits_that_cannot_be_meant_are_refused(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        train(**settings)
