"""Undeploy takes out the run's own snapshot; restore goes back to the one before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from waystage.errors import Hopeless, Retryable
from waystage.plugin import Done, PlacedRuntime, Undeployed
from waystage.testing import FakeContext, check_step, run_to_end
from waystage_plugins.steps.deploy import Deploy
from waystage_plugins.steps.restore import Restore
from waystage_plugins.steps.undeploy import Undeploy

Commit = Callable[[FakeContext, object], None]


@pytest.fixture
def second(release: Callable[..., FakeContext], commit: Commit, online: Any) -> FakeContext:
    """Deploy version 1, then version 2 of which the context is."""
    first = release()
    first.runtimes["serving"] = online
    commit(first, run_to_end(Deploy(), first))
    ctx = release({"model.onnx": b"other weights"})
    ctx.runtimes, ctx.inventory = first.runtimes, first.inventory
    commit(ctx, run_to_end(Deploy(), ctx))
    return ctx


def running(home: Path) -> list[str]:
    return sorted(path.name for path in home.glob("*.json"))


def test_undeploy_takes_out_the_own_snapshot_alone(second: FakeContext, home: Path) -> None:
    assert running(home) == ["credit-1.json", "credit-2.json"]
    answer = check_step(Undeploy(), second, world=lambda: running(home))
    assert isinstance(answer, Done)
    assert answer.facts == (Undeployed(stage="DEV", runtime="serving"),)
    assert running(home) == ["credit-1.json"]


def test_undeploy_of_nothing_is_fine(second: FakeContext, commit: Commit, home: Path) -> None:
    commit(second, run_to_end(Undeploy(), second))
    answer = run_to_end(Undeploy(), second)
    assert answer == Done(Undeploy.Output(runtimes=[]))


def test_undeploy_of_one_role_leaves_the_other(second: FakeContext, home: Path) -> None:
    run_to_end(Undeploy(role="challenger"), second)
    assert running(home) == ["credit-1.json", "credit-2.json"]


def test_undeploy_leaves_other_stages_alone(second: FakeContext, home: Path) -> None:
    second.stage = "PROD"
    assert run_to_end(Undeploy(), second) == Done(Undeploy.Output(runtimes=[]))
    assert running(home) == ["credit-1.json", "credit-2.json"]


def test_a_runtime_that_the_stage_has_no_more_is_named(second: FakeContext, online: Any) -> None:
    second.runtimes = {"new": PlacedRuntime("new", "DEV", "online", online)}
    with pytest.raises(Hopeless, match="runs in runtime serving of stage DEV, which now has new"):
        run_to_end(Undeploy(), second)


def test_restore_goes_back_to_the_champion_before(second: FakeContext, home: Path) -> None:
    answer = check_step(Restore(), second, world=lambda: running(home))
    assert isinstance(answer, Done)
    assert answer.output == Restore.Output(restored="credit/1")
    assert answer.facts == (Undeployed(stage="DEV", runtime="serving"),)
    assert running(home) == ["credit-1.json"]


def test_restore_without_a_champion_before_leaves_the_stage_empty(
    ctx: FakeContext, commit: Commit, home: Path
) -> None:
    commit(ctx, run_to_end(Deploy(), ctx))
    answer = run_to_end(Restore(), ctx)
    assert isinstance(answer, Done)
    assert answer.output == Restore.Output(restored="")
    assert running(home) == []


def test_a_champion_before_that_does_not_answer_is_no_success(
    second: FakeContext, home: Path
) -> None:
    (home / "credit-1.json").unlink()
    with pytest.raises(Retryable, match="credit/1 should run in DEV again but does not answer"):
        run_to_end(Restore(), second)
    assert running(home) == []


def test_restore_never_goes_back_to_a_challenger(
    release: Callable[..., FakeContext], commit: Commit, online: Any, home: Path
) -> None:
    first = release()
    first.runtimes["serving"] = online
    commit(first, run_to_end(Deploy(role="challenger"), first))
    ctx = release({"model.onnx": b"other weights"})
    ctx.runtimes, ctx.inventory = first.runtimes, first.inventory
    commit(ctx, run_to_end(Deploy(), ctx))
    answer = run_to_end(Restore(), ctx)
    assert isinstance(answer, Done)
    assert answer.output == Restore.Output(restored="")
    assert running(home) == ["credit-1.json"]
