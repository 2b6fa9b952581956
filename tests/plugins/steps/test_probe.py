"""A probe passes only when the right snapshot gives a sound score for every row."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from waystage.errors import Hopeless, Retryable
from waystage.plugin import Done, Refused, Verified, Waiting
from waystage.testing import FakeContext, check_step, run_to_end
from waystage_plugins.steps.deploy import Deploy
from waystage_plugins.steps.probe import Probe


@pytest.fixture
def deployed(ctx: FakeContext, commit: Callable[..., None]) -> FakeContext:
    commit(ctx, run_to_end(Deploy(), ctx))
    ctx.key = "credit-risk-1/1/probe"
    return ctx


def test_sound_scores_verify_the_snapshot(deployed: FakeContext, home: Path) -> None:
    answer = check_step(Probe(), deployed, world=lambda: sorted(home.iterdir()))
    assert isinstance(answer, Done)
    assert answer.output.scores == [0.2, 0.7]  # type: ignore[union-attr]  # a model
    assert answer.output.latency_ms > 0  # type: ignore[union-attr]  # a model
    assert answer.facts == (Verified(stage="DEV"),)


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ('[{"score": 0.1}]', "answered 1 rows for 2"),
        ('[{"score": 0.1}, {"score": NaN}]', "row 2 has score nan"),
        ('[{"score": Infinity}, {"score": 0.1}]', "row 1 has score inf"),
        ('[{"score": 0.1}, {"score": 1.01}]', "row 2 has score 1.01"),
        ('[{"score": -0.01}, {"score": 0.1}]', "row 1 has score -0.01"),
        ('[{"score": null}, {"score": 0.1}]', "row 1 has no score"),
        ('[{"score": "0.3"}, {"score": 0.1}]', "row 1 has no score"),
        ('[{"score": true}, {"score": 0.1}]', "row 1 has no score"),
        ('[{"label": 1}, {"score": 0.1}]', "row 1 has no score"),
    ],
)
def test_unsound_answers_are_refused(
    deployed: FakeContext, home: Path, answers: str, told: str
) -> None:
    (home / "answers").write_text(answers)
    answer = run_to_end(Probe(), deployed)
    assert isinstance(answer, Refused)
    assert told in answer.why


@pytest.mark.parametrize("digest", ["sha256:" + "1" * 64, None])
def test_another_or_an_unknown_snapshot_is_refused(
    deployed: FakeContext, home: Path, digest: str | None
) -> None:
    (home / "phases").write_text(json.dumps([{"digest": digest}]))
    answer = run_to_end(Probe(), deployed)
    assert isinstance(answer, Refused)
    assert f"in DEV answers {digest}" in answer.why


def test_a_deployment_that_is_down_is_a_technical_matter(deployed: FakeContext, home: Path) -> None:
    (home / "phases").write_text('[{"phase": "failed", "message": "it crashed"}]')
    with pytest.raises(Retryable, match="credit/1 is failed in DEV: it crashed"):
        run_to_end(Probe(), deployed)


def test_what_is_not_deployed_cannot_be_probed(ctx: FakeContext) -> None:
    with pytest.raises(Hopeless, match="credit/1 is not deployed in DEV"):
        run_to_end(Probe(), ctx)


def test_a_snapshot_without_example_rows_is_refused(
    release: Callable[..., FakeContext], commit: Callable[..., None], online: Any
) -> None:
    ctx = release(example=[])
    ctx.runtimes["serving"] = online
    commit(ctx, run_to_end(Deploy(), ctx))
    assert run_to_end(Probe(), ctx) == Refused("credit/1 has no example rows to score")


@pytest.fixture
def current(
    release: Callable[..., FakeContext], commit: Callable[..., None], batch: Any
) -> FakeContext:
    ctx = release()
    ctx.runtimes["nightly"] = batch
    commit(ctx, run_to_end(Deploy(), ctx))
    ctx.key = "credit-risk-1/1/probe"
    return ctx


def test_on_a_batch_runtime_one_real_job_scores_the_rows(current: FakeContext, home: Path) -> None:
    answer = check_step(Probe(), current, world=lambda: sorted(p.name for p in home.iterdir()))
    assert isinstance(answer, Done)
    assert answer.output.scores == [0.2, 0.7]  # type: ignore[union-attr]  # a model
    assert answer.facts == (Verified(stage="DEV"),)
    assert len(list(home.iterdir())) == 1


def test_it_waits_while_the_job_runs(current: FakeContext) -> None:
    assert isinstance(Probe().run(current), Waiting)


def test_a_job_that_breaks_is_a_technical_matter(
    current: FakeContext, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = ({"owner": True}, {"owner": False})
    current.snapshot = current.snapshot.model_copy(update={"example": rows})
    with pytest.raises(Retryable, match=r"failed with exit code 1: KeyError: 'income'"):
        run_to_end(Probe(), current)
