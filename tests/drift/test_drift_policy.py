"""What a look means and when a restore is due, for any world: pure functions."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waystage.daemon import inventory
from waystage.daemon.drift import (
    MOST,
    WINDOW,
    Kept,
    counted,
    is_gone,
    judge,
    next_restore,
    standing,
)
from waystage.plugin import Difference, Observation

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
DIGEST = "sha256:" + "0" * 64
PHASES = ("absent", "pending", "ready", "degraded", "failed", "unknown")

words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=8)
differences = st.builds(
    Difference, what=st.sampled_from(["image", "replicas", "process", "deleted", "traffic"]),
    wanted=words, found=words, by=words,
    at=st.none() | st.just(NOW),
)  # fmt: skip
observations = st.builds(
    Observation, phase=st.sampled_from(PHASES), digest=st.none() | st.just(DIGEST) | st.just("x"),
    message=words, differs=st.lists(differences, max_size=3).map(tuple), restart=st.booleans(),
)  # fmt: skip


@given(
    st.lists(observations, max_size=12), st.lists(st.integers(0, 7200), min_size=12, max_size=12)
)
def test_no_world_makes_what_is_unknown_gone_or_what_differs_well(
    seen: list[Observation], pauses: list[int]
) -> None:
    state: Any = ""
    kept, now, phase = Kept(), NOW, ""
    for each, pause in zip(seen, pauses, strict=False):
        judged = judge(each, DIGEST, state, phase, kept, now)
        if each.phase == "unknown" and not each.differs and each.digest in (None, DIGEST):
            assert judged.state == ("unknown" if phase == "unknown" else state)
            assert judged.kept == kept, "nothing is concluded from it"
        if judged.state == "ok" and each.phase != "pending" and each.phase != "unknown":
            assert (each.phase, each.differs) == ("ready", ())
        if each.differs or each.phase == "absent":
            assert judged.state == "drifted"
            assert judged.kept.gone == is_gone(each, DIGEST)
        assert Kept.model_validate(judged.kept.to_json()) == judged.kept, "it is kept whole"
        assert standing(judged.kept, judged.state, "restore", now) is not None
        state, kept, phase = judged.state, judged.kept, each.phase
        now += timedelta(seconds=pause)


@pytest.mark.parametrize(
    ("phase", "what", "gone"),
    [
        ("absent", "", True),
        ("failed", "container", True),  # somebody stopped it
        ("degraded", "deleted", True),  # the Service that led to it
        ("failed", "", False),  # it crashes as it was applied
        ("ready", "replicas", False),
        ("unknown", "", False),
    ],
)
def test_gone_is_what_answers_no_more_since_somebody_changed_it(
    phase: Any, what: str, gone: bool
) -> None:
    differs = (Difference(what=what, wanted="a", found="b"),) if what else ()
    assert is_gone(Observation(phase=phase, differs=differs), DIGEST) is gone


@given(st.lists(st.integers(1, 4000), min_size=1, max_size=200), st.booleans())
def test_nothing_is_restored_more_often_than_promised(pauses: list[int], restart: bool) -> None:
    """Somebody changes it again at once, whenever it was restored; looks come at any time."""
    kept, now, begun = Kept(restart=restart), NOW, []
    for pause in pauses:
        if counted(kept, now) >= MOST:
            kept = kept.model_copy(update={"given_up": True})
        at = next_restore(kept, now)
        if at is not None and at <= now:
            begun.append(now)
            kept = kept.model_copy(update={"restored": (*kept.restored, now)[-MOST:]})
        now += timedelta(seconds=pause)
    for first in begun:
        assert sum(first <= each < first + WINDOW for each in begun) <= MOST
    given_up = kept.given_up
    if given_up and not restart:
        assert len(begun) <= len(pauses)
        assert next_restore(kept, now + timedelta(days=99)) is None


@pytest.mark.parametrize(("count", "seconds"), [(1, 10), (2, 20), (3, 40), (4, 80)])
def test_the_pause_doubles(count: int, seconds: int) -> None:
    kept = Kept(restored=(NOW,) * count)
    assert next_restore(kept, NOW) == NOW + timedelta(seconds=seconds)


def test_what_a_dead_daemon_began_is_done_at_once() -> None:
    kept = Kept(restored=(NOW,) * MOST, given_up=True, begun=NOW)
    assert next_restore(kept, NOW) == NOW


def test_a_place_that_hangs_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    opened, looked = threading.Event(), []

    def look_in(engine: Any, connections: Any, place: tuple[str, str]) -> int:
        looked.append(place[1])
        if place[1] == "hangs":
            opened.wait(120)
        if place[1] == "breaks":
            raise RuntimeError("no good")
        return 0

    where = [("PROD", name) for name in ("hangs", "breaks", "is well")]
    monkeypatch.setattr(inventory, "places", lambda engine: where)
    monkeypatch.setattr(inventory, "look_in", look_in)
    looks = inventory.Looks(SimpleNamespace(ends=False), SimpleNamespace())  # type: ignore[arg-type]  # neither is asked
    for times in range(1, 4):
        looks.begin()
        end = time.monotonic() + 120
        while looked.count("is well") < times or looked.count("breaks") < times:
            assert time.monotonic() < end, looked
            time.sleep(0.005)
        looks.end(0.01)
    assert looked.count("hangs") == 1
    opened.set()
    looks.end(20)
