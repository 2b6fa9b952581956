"""The steps `signal.send` and `evidence.archive`."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from waystage.errors import Hopeless
from waystage.plugin import Done, Signalled
from waystage.testing import FakeContext, check_step
from waystage_plugins.steps import ArchiveEvidence, SendSignal


def test_a_signal_is_a_fact_for_the_engine(tmp_path: Path) -> None:
    step = SendSignal(name="snapshot.retired", payload={"why": "old"})
    answer = check_step(step, FakeContext(tmp_path), world=list)
    assert isinstance(answer, Done)
    assert answer.facts == (Signalled(name="snapshot.retired", payload={"why": "old"}),)


def archived(ctx: FakeContext, **more: Any) -> tuple[Path, dict[str, Any]]:
    step = ArchiveEvidence(about="review", facts={"ks": 0.4}, **more)
    answer = check_step(step, ctx, world=lambda: [(p, p.read_bytes()) for p in files(ctx)])
    assert isinstance(answer, Done)
    place = ctx.project / answer.output.archive  # type: ignore[union-attr]  # the step's own model
    with tarfile.open(place) as archive:
        told = archive.extractfile("evidence.json")
        assert told is not None
        return place, json.load(told)


def files(ctx: FakeContext) -> list[Path]:
    return sorted(p for p in (ctx.project / "evidence").rglob("*") if p.is_file())


def test_evidence_is_written_once_and_says_what_it_is_about(tmp_path: Path) -> None:
    ctx = FakeContext(tmp_path)
    place, told = archived(ctx)
    assert files(ctx) == [place]
    assert place.parent == ctx.project / "evidence" / "credit-risk" / "credit-1"
    assert (told["about"], told["facts"], told["run"]) == ("review", {"ks": 0.4}, "credit-risk-1")
    assert told["snapshot"]["digest"] == ctx.snapshot.digest
    assert not place.stat().st_mode & 0o222
    ctx.key = "credit-risk-1/9/other"
    assert archived(ctx)[0] != place


def test_evidence_that_is_no_json_is_told(tmp_path: Path) -> None:
    step = ArchiveEvidence.model_construct(about="x", facts={"ks": float("nan")}, to="evidence")
    with pytest.raises(Hopeless, match="no JSON"):
        step.run(FakeContext(tmp_path))
    assert list((tmp_path / "project" / "evidence").rglob("*.tar")) == []
