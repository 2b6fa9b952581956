"""Deploying waits until the right snapshot answers, and a repeat deploys nothing twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from waystage.errors import Hopeless, Retryable
from waystage.plugin import (
    Context,
    Deployed,
    DeploySpec,
    Done,
    Handle,
    JsonObject,
    Placement,
    Refused,
    Services,
    Waiting,
)
from waystage.testing import FakeContext, check_step, run_to_end
from waystage_plugins.scoring.sqlite import SqliteScoringLog
from waystage_plugins.steps.deploy import Deploy


def plan(home: Path, *phases: dict[str, Any]) -> None:
    (home / "phases").write_text(json.dumps(phases))


def world(home: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in home.glob("*.json")}


def test_a_ready_deployment_is_told_with_its_endpoint(ctx: FakeContext, home: Path) -> None:
    answer = check_step(Deploy(), ctx, world=lambda: world(home))
    assert isinstance(answer, Done)
    assert answer.output.model_dump()["url"] == "http://127.0.0.1:1/score"  # type: ignore[union-attr]  # a model
    (fact,) = answer.facts
    assert isinstance(fact, Deployed)
    assert (fact.stage, fact.runtime, fact.mode, fact.role) == (
        "DEV",
        "serving",
        "online",
        "champion",
    )
    assert fact.handle == {"file": "credit-1.json"}


def test_it_waits_longer_and_longer_while_nothing_answers(ctx: FakeContext, home: Path) -> None:
    plan(home, *[{"phase": phase} for phase in ("pending", "absent", "unknown", "degraded")] * 3)
    pauses = []
    while isinstance(answer := Deploy().run(ctx), Waiting):
        pauses.append(answer.again)
        ctx.memo = answer.memo
    assert isinstance(answer, Done)
    assert pauses == sorted(pauses)
    assert pauses[0] == timedelta(seconds=0.2)
    assert pauses[-1] <= timedelta(seconds=5)
    assert len(pauses) == 12


def test_what_the_world_warned_of_is_told_when_it_is_done(
    ctx: FakeContext, home: Path, online: Any
) -> None:
    class Warning(type(online)):  # type: ignore[misc]  # the class is known well enough
        use: ClassVar[str] = "test.warning"

        def apply(self, ctx: Context, spec: DeploySpec) -> Handle:
            return Handle(ref=super().apply(ctx, spec).ref, warnings=("it is old",))

    ctx.runtimes["serving"] = Warning(home=str(home))
    plan(home, {"phase": "pending"})
    waits = Deploy().run(ctx)
    assert isinstance(waits, Waiting)
    ctx.memo = waits.memo
    answer = Deploy().run(ctx)
    assert isinstance(answer, Done)
    assert Deploy.Output.model_validate(answer.output).warnings == ["it is old"]


def test_who_wants_to_be_left_alone_is_not_asked_sooner_but_within_a_minute(
    ctx: FakeContext, home: Path, online: Any
) -> None:
    rests = [timedelta(seconds=30), timedelta(days=3), None]

    class Busy(type(online)):  # type: ignore[misc]  # the class is known well enough
        use: ClassVar[str] = "test.busy"

        def observe(self, ctx: Services, handle: Handle) -> Any:
            raise Retryable("too many requests", after=rests.pop(0))

    ctx.runtimes["serving"] = Busy(home=str(home))
    pauses = []
    for _ in list(rests):
        answer = Deploy().run(ctx)
        assert isinstance(answer, Waiting)
        ctx.memo = answer.memo
        pauses.append(answer.again.total_seconds())
    assert pauses == [30, 60, pytest.approx(0.45)]


def test_while_the_old_snapshot_still_answers_it_is_not_done(ctx: FakeContext, home: Path) -> None:
    plan(home, {"digest": "sha256:" + "1" * 64})
    assert isinstance(Deploy().run(ctx), Waiting)


def test_what_never_gets_ready_ends_although_the_clock_is_turned(
    ctx: FakeContext, home: Path
) -> None:
    plan(home, *[{"phase": "pending", "message": "pulling"}] * 50)
    ctx.memo = Deploy().run(ctx).memo  # type: ignore[union-attr]  # it waits
    ctx.clock.turn(timedelta(days=400))
    assert isinstance(Deploy().run(ctx), Waiting)
    with pytest.raises(Retryable, match=r"credit/1 is not ready in DEV/serving .*pending  pulling"):
        run_to_end(Deploy(ready_within=timedelta(milliseconds=20)), ctx)


@pytest.mark.parametrize(("reason", "kind"), [("port_in_use", Retryable), ("bad_model", Hopeless)])
def test_a_failure_says_why(
    ctx: FakeContext, home: Path, reason: str, kind: type[Exception]
) -> None:
    plan(home, {"phase": "failed", "reason": reason, "message": "it broke"})
    with pytest.raises(kind, match=f"credit/1 failed in DEV/serving: {reason}: it broke"):
        Deploy().run(ctx)


def test_a_new_attempt_applies_anew(ctx: FakeContext, home: Path) -> None:
    plan(home, {"phase": "pending"}, {"phase": "failed", "reason": "crashed"})
    ctx.memo = Deploy().run(ctx).memo  # type: ignore[union-attr]  # it waits
    with pytest.raises(Retryable):
        Deploy().run(ctx)
    assert not (home / "credit-1.json").exists(), "what failed is taken away"
    ctx.attempt = 2
    assert isinstance(run_to_end(Deploy(), ctx), Done)
    assert (home / "credit-1.json").exists()


def test_what_the_stage_had_before_is_not_taken_away_when_it_fails_anew(
    ctx: FakeContext, home: Path
) -> None:
    answer = Deploy().run(ctx)
    assert isinstance(answer, Done)
    (fact,) = answer.facts
    assert isinstance(fact, Deployed)
    ctx.inventory = [Placement(ctx.service, ctx.snapshot, fact, ctx.run, ctx.now)]
    plan(home, {"phase": "failed", "reason": "crashed", "message": "it broke"})
    with pytest.raises(Retryable, match=r"crashed: it broke$"):
        Deploy().run(ctx)
    assert (home / "credit-1.json").exists()


def test_what_cannot_be_taken_away_is_told(ctx: FakeContext, home: Path, online: Any) -> None:
    class Stuck(type(online)):  # type: ignore[misc]  # the class is known well enough
        use: ClassVar[str] = "test.stuck"

        def delete(self, ctx: Services, handle: Handle) -> None:
            raise Retryable("nobody answers")

    ctx.runtimes["serving"] = Stuck(home=str(home))
    plan(home, {"phase": "failed", "reason": "bad_model", "message": "it broke"})
    with pytest.raises(Retryable, match="it broke; and it could not be taken away: nobody answers"):
        Deploy().run(ctx)


@pytest.mark.parametrize("answers", [[{"score": float("nan")}], [{"score": 7}], [{"odd": 1}]])
def test_requests_are_not_led_to_a_champion_that_gives_no_scores(
    ctx: FakeContext, home: Path, online: Any, answers: list[JsonObject]
) -> None:
    led: list[Handle] = []

    class Switching(type(online)):  # type: ignore[misc]  # the class is known well enough
        use: ClassVar[str] = "test.switching"
        capabilities: ClassVar[frozenset[str]] = frozenset({"switch"})

        def set_traffic(self, ctx: Services, handle: Handle, percent: int = 100) -> None:
            if (home / "unled").exists():
                raise Retryable("the Route is somebody else's")
            led.append(handle)

    ctx.runtimes["serving"] = Switching(home=str(home))
    (home / "unled").touch()
    with pytest.raises(Retryable, match=r"is not ready in .* s: the Route is somebody else's"):
        run_to_end(Deploy(ready_within=timedelta(milliseconds=20)), ctx)
    assert world(home) == {}, "what got no requests is taken away"
    ctx.attempt = 2
    (home / "unled").unlink()
    (home / "answers").write_text(json.dumps(answers))
    answer = run_to_end(Deploy(), ctx)
    assert isinstance(answer, Refused)
    assert "credit/1 in DEV got no requests: row 1 has" in answer.why
    assert led == []
    assert world(home) == {}
    (home / "answers").unlink()
    assert isinstance(run_to_end(Deploy(), ctx), Done)
    assert len(led) == 1


@pytest.mark.parametrize(
    "broken", [["observe"], ["predict"], ["set_traffic"], ["observe", "observe after it"]], ids=str
)
def test_a_line_that_breaks_once_takes_nothing_away(
    ctx: FakeContext, home: Path, online: Any, broken: list[str]
) -> None:
    calls: list[str] = []

    class Shaky(type(online)):  # type: ignore[misc]  # the class is known well enough
        use: ClassVar[str] = "test.shaky"
        capabilities: ClassVar[frozenset[str]] = frozenset({"switch"})

        def observe(self, ctx: Services, handle: Handle) -> Any:
            said("observe after it" if "set_traffic" in calls else "observe")
            return super().observe(ctx, handle)

        def predict(self, ctx: Services, handle: Handle, rows: list[JsonObject]) -> Any:
            said("predict")
            return super().predict(ctx, handle, rows)

        def set_traffic(self, ctx: Services, handle: Handle, percent: int = 100) -> None:
            said("set_traffic")

        def delete(self, ctx: Services, handle: Handle) -> None:
            calls.append("delete")

    def said(call: str) -> None:
        calls.append(call)
        if call in broken:
            broken.remove(call)
            raise Retryable("the connection failed")

    ctx.runtimes["serving"] = Shaky(home=str(home))
    assert isinstance(run_to_end(Deploy(), ctx), Done)
    assert broken == [], "the line broke where it was meant to"
    assert "delete" not in calls
    assert (home / "credit-1.json").exists()


def test_what_the_runtime_could_never_run_is_refused(ctx: FakeContext, online: Any) -> None:
    ctx.runtimes["serving"] = online.model_copy(update={"problems": ("no onnx here", "too big")})
    answer = Deploy().run(ctx)
    assert answer == Refused("no onnx here; too big", {"reasons": ["no onnx here", "too big"]})


def test_on_a_batch_runtime_it_becomes_the_current_one_and_nothing_runs(
    ctx: FakeContext, batch: Any, home: Path
) -> None:
    ctx.runtimes = {"nightly": batch}
    answer = check_step(Deploy(role="challenger"), ctx, world=lambda: list(home.iterdir()))
    assert isinstance(answer, Done)
    assert answer.facts == (
        Deployed(stage="DEV", runtime="nightly", mode="batch", role="challenger"),
    )


def test_the_mode_chooses_among_the_stages_runtimes(ctx: FakeContext, batch: Any) -> None:
    ctx.runtimes["nightly"] = batch
    assert run_to_end(Deploy(), ctx).output.mode == "online"  # type: ignore[union-attr]  # a model
    assert run_to_end(Deploy(mode="batch"), ctx).output.mode == "batch"  # type: ignore[union-attr]  # a model


def test_no_stage_and_no_runtime_are_said(ctx: FakeContext) -> None:
    ctx.runtimes.clear()
    with pytest.raises(Hopeless, match=r"no .*runtime for service credit-risk"):
        Deploy().run(ctx)


def test_bytes_that_changed_in_the_repository_are_not_deployed(
    ctx: FakeContext, home: Path
) -> None:
    (ctx.project / "models/credit/1/model.onnx").write_bytes(b"tampered")
    with pytest.raises(Hopeless, match="is not credit/1"):
        Deploy().run(ctx)
    assert world(home) == {}


def test_a_damaged_local_copy_is_fetched_anew(
    ctx: FakeContext, release: Callable[..., FakeContext]
) -> None:
    run_to_end(Deploy(), ctx)
    place = ctx.state / "artifacts" / ctx.snapshot.digest.removeprefix("sha256:")
    (place / "model.onnx").write_bytes(b"half")
    run_to_end(Deploy(), ctx)
    assert (place / "model.onnx").read_bytes() == b"weights"


def test_the_runtime_is_told_which_scoring_log_to_write(ctx: FakeContext, online: Any) -> None:
    kept: list[JsonObject | None] = []

    class Listening(type(online)):  # type: ignore[misc]  # the class of a fixture
        use = "test.listening"

        def apply(self, ctx: Any, spec: Any) -> Any:
            kept.append(spec.scoring_log)
            return super().apply(ctx, spec)

    ctx.runtimes["serving"] = Listening(home=online.home)
    run_to_end(Deploy(), ctx)
    log = SqliteScoringLog(path=ctx.project / "scores.db")
    ctx.scoring_log = log
    run_to_end(Deploy(), ctx)
    assert kept[0] is None
    assert kept[1] is not None
    assert SqliteScoringLog.model_validate(kept[1]["with"]) == log
