"""Inputs and outputs of jobs by address: brought once, held against their digests."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from waystage.errors import Hopeless, Retryable
from waystage.plugin import Done, JobStatus, JsonObject, Refused, Services, Waiting
from waystage.testing import FakeContext, check_step, run_to_end
from waystage_plugins.steps.batch_run import RunBatch
from waystage_plugins.steps.batch_score import ScoreBatch
from waystage_plugins.storage import SqliteTables
from waystage_plugins.storage.files import file_digest

COPY = """
import os, pathlib
out = pathlib.Path(os.environ["WAYSTAGE_OUTPUT"])
(out / "copy.jsonl").write_text(pathlib.Path(os.environ["WAYSTAGE_INPUT_CASES"]).read_text())
"""


@pytest.fixture
def ctx(release: Callable[..., FakeContext], batch: Any) -> FakeContext:
    """A run with a database of applicants, of which every one has an income."""
    made = release()
    made.runtimes["nightly"] = batch
    with closing(sqlite3.connect(made.project / "warehouse.db")) as database:
        database.execute("CREATE TABLE applicants (id INTEGER, income REAL)")
        database.execute("CREATE TABLE scores (id INTEGER, score REAL)")
        rows = [(number, float(number)) for number in range(100)]
        database.executemany("INSERT INTO applicants VALUES (?, ?)", rows)
        database.commit()
    made.storages["warehouse"] = SqliteTables(path="warehouse.db")
    return made


def table(ctx: FakeContext, name: str) -> list[Any]:
    with closing(sqlite3.connect(ctx.project / "warehouse.db")) as database:
        return database.execute(f"SELECT * FROM {name}").fetchall()


def run(**own: Any) -> RunBatch:
    settings = {"command": (sys.executable, "-c", COPY), "inputs": {"cases": "cases.jsonl"}}
    return RunBatch.model_validate(settings | own)


def cases(ctx: FakeContext, text: str = '{"id": 1}\n') -> Path:
    place = ctx.project / "cases.jsonl"
    place.write_text(text)
    return place


def test_a_table_is_scored_into_a_table_once_whatever_is_repeated(ctx: FakeContext) -> None:
    step = ScoreBatch(
        rows="table://warehouse/applicants", output="table://warehouse/scores", keep=("id",)
    )
    answer = check_step(step, ctx, world=lambda: table(ctx, "scores"))
    assert isinstance(answer, Done)
    told = answer.output
    assert isinstance(told, ScoreBatch.Output)
    assert (told.rows, told.scores) == (100, "table://warehouse/scores")
    assert table(ctx, "scores") == [(number, number / 100) for number in range(100)]


def test_scores_go_to_a_file_with_their_digest_and_the_columns_that_are_kept(
    ctx: FakeContext,
) -> None:
    cases(ctx, '{"income": 20, "name": "ä"}\n{"income": 70, "name": "b"}\n')
    step = ScoreBatch(rows="file:cases.jsonl", output="out/scores.jsonl", keep=("name",))
    answer = run_to_end(step, ctx)
    assert isinstance(answer, Done)
    told, place = answer.output, ctx.project / "out" / "scores.jsonl"
    assert isinstance(told, ScoreBatch.Output)
    assert place.read_text() == '{"name": "ä", "score": 0.2}\n{"name": "b", "score": 0.7}\n'
    assert told.digest == file_digest(place)
    assert told.rows_digest == file_digest(ctx.project / "cases.jsonl")


def test_a_column_to_keep_that_a_row_lacks_is_named(ctx: FakeContext) -> None:
    cases(ctx, '{"income": 20}\n')
    with pytest.raises(Hopeless, match="row 1 has no column 'name' to keep"):
        run_to_end(ScoreBatch(rows="cases.jsonl", keep=("name",)), ctx)


def test_a_command_reads_a_table_and_its_output_goes_where_it_is_said(ctx: FakeContext) -> None:
    step = run(inputs={"cases": "table://warehouse/applicants"},
               outputs={"copy.jsonl": "out/copy.jsonl"})  # fmt: skip
    place = ctx.project / "out" / "copy.jsonl"
    answer = check_step(step, ctx, world=lambda: place.stat() if place.exists() else None)
    assert isinstance(answer, Done)
    told = answer.output
    assert isinstance(told, RunBatch.Output)
    assert len(place.read_text().splitlines()) == 100
    assert told.outputs == {"copy.jsonl": file_digest(place)}
    assert told.inputs["cases"] == file_digest(place)
    assert not (ctx.scratch / "inputs").exists(), "the copy of the input was left behind"


def test_the_input_is_frozen_for_all_attempts(ctx: FakeContext) -> None:
    step = run(inputs={"cases": "table://warehouse/applicants"},
               command=(sys.executable, "-c", "raise SystemExit(1)"))  # fmt: skip
    with pytest.raises(Retryable):
        run_to_end(step, ctx)
    with closing(sqlite3.connect(ctx.project / "warehouse.db")) as database:
        database.execute("DELETE FROM applicants")
        database.commit()
    ctx.memo, ctx.attempt = {}, 2
    answer = run_to_end(run(inputs=step.inputs), ctx)
    assert isinstance(answer, Done)
    assert isinstance(answer.output, RunBatch.Output)
    copy = Path(answer.output.directory) / "copy.jsonl"
    assert len(copy.read_text().splitlines()) == 100


def test_an_input_that_changes_while_the_job_runs_is_told(ctx: FakeContext) -> None:
    cases(ctx)
    first = run().run(ctx)
    assert isinstance(first, Waiting)
    ctx.memo = first.memo
    cases(ctx, '{"id": 2}\n')
    with pytest.raises(Hopeless, match=r"input cases\.jsonl was sha256:.* when the job began"):
        run_to_end(run(), ctx)
    ctx.memo = {}
    answer = run_to_end(run(), ctx)  # a person has it tried again: it is run anew
    assert isinstance(answer, Done)
    assert isinstance(answer.output, RunBatch.Output)
    assert (Path(answer.output.directory) / "copy.jsonl").read_text() == '{"id": 2}\n'


def test_an_output_that_the_job_did_not_write_is_refused(ctx: FakeContext) -> None:
    cases(ctx)
    answer = run_to_end(run(outputs={"scores.jsonl": "out/s.jsonl"}), ctx)
    assert answer == Refused("the job succeeded and wrote no file scores.jsonl")
    assert not (ctx.project / "out").exists()


def test_an_output_that_is_there_already_stays_and_the_cure_is_told(ctx: FakeContext) -> None:
    cases(ctx)
    target = ctx.project / "copy.jsonl"
    target.write_text("of last month")
    step = run(outputs={"copy.jsonl": "copy.jsonl"})
    with pytest.raises(Hopeless, match=r"is there already with other content; say replace: true"):
        run_to_end(step, ctx)
    assert target.read_text() == "of last month"
    ctx.memo = {}
    assert isinstance(run_to_end(run(outputs=step.outputs, replace=True), ctx), Done)
    assert target.read_text() == '{"id": 1}\n'


def test_an_output_that_somebody_changed_after_is_told(ctx: FakeContext) -> None:
    cases(ctx)
    step = run(outputs={"copy.jsonl": "copy.jsonl"})
    assert isinstance(run_to_end(step, ctx), Done)
    (ctx.project / "copy.jsonl").write_text("mended by hand")
    with pytest.raises(Hopeless, match=r"output copy\.jsonl was written as sha256:.*changed it"):
        run_to_end(step, ctx)
    (ctx.project / "copy.jsonl").unlink()
    with pytest.raises(Hopeless, match="is gone"):
        run_to_end(step, ctx)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("s3://warehouse/x", r"connection warehouse is reached by table://warehouse/"),
        ("table://lake/x", "no connection 'lake'"),
        ("table://warehouse/a-b", "is no name of a table"),
        ("table://warehouse/none", "no such table: none"),
        ("nothing.jsonl", "there is no file"),
    ],
)
def test_an_address_that_leads_nowhere_is_told_before_a_job_runs(
    ctx: FakeContext, home: Path, address: str, told: str
) -> None:
    with pytest.raises(Hopeless, match=told):
        run_to_end(run(inputs={"cases": address}), ctx)
    assert list(home.iterdir()) == []


def test_an_output_that_leads_nowhere_is_told_before_a_job_runs(
    ctx: FakeContext, home: Path
) -> None:
    cases(ctx)
    with pytest.raises(Hopeless, match="no connection 'lake'"):
        run_to_end(run(outputs={"copy.jsonl": "s3://lake/x"}), ctx)
    (ctx.project / "out").mkdir()
    with pytest.raises(Hopeless, match="is a directory: name a file"):
        run_to_end(run(outputs={"copy.jsonl": "out"}), ctx)
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("bad", [{"outputs": {"../x": "y"}}, {"inputs": {"a": "s3://x"}}])
def test_settings_that_can_never_work_are_refused_when_they_are_read(bad: Any) -> None:
    with pytest.raises(ValueError, match=r"is no path below|is no address"):
        run(**bad)


def test_a_runtime_that_is_away_for_a_while_makes_no_job_fail(
    ctx: FakeContext, batch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = [True]
    real = type(batch).poll

    def poll(self: Any, services: Services, ref: JsonObject) -> JobStatus:
        if away[0]:
            raise Retryable("the engine does not answer")
        found: JobStatus = real(self, services, ref)
        return found

    monkeypatch.setattr(type(batch), "poll", poll)
    cases(ctx)
    first = run().run(ctx)
    assert isinstance(first, Waiting)
    assert "cannot be asked how far it is: the engine does not answer" in str(first.memo["said"])
    ctx.memo = first.memo | {"silent": float(str(first.memo["silent"])) - 1000}
    with pytest.raises(Retryable, match="the engine does not answer"):
        run().run(ctx)
    ctx.memo, away[0] = first.memo, False
    assert isinstance(run_to_end(run(), ctx), Done)
