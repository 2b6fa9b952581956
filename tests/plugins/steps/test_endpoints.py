"""What a stage lists as endpoints is what a deployment must open, by the stage's names."""

from __future__ import annotations

from pathlib import Path

import pytest

from waystage.errors import Hopeless
from waystage.plugin import Deployed, Done, Opening, PlacedRuntime
from waystage.testing import FakeContext
from waystage_plugins.steps.deploy import Deploy


def asking(ctx: FakeContext, *wanted: Opening) -> FakeContext:
    """Give the context's online runtime as a stage has it that lists these endpoints."""
    plugin = ctx.runtime("online").online
    ctx.runtimes = {"serving": PlacedRuntime("serving", "DEV", "online", plugin, wanted)}
    return ctx


def test_endpoints_have_the_names_that_the_stage_gives_them(ctx: FakeContext, home: Path) -> None:
    answer = Deploy().run(asking(ctx, Opening(name="decide", protocol="rest")))
    assert isinstance(answer, Done)
    (fact,) = answer.facts
    assert isinstance(fact, Deployed)
    assert [(e.name, e.protocol, e.url) for e in fact.endpoints] == [
        ("decide", "rest", "http://127.0.0.1:1/score")
    ]


def test_a_runtime_that_does_not_open_what_the_stage_lists_is_told(
    ctx: FakeContext, home: Path
) -> None:
    wanted = (Opening(name="score"), Opening(name="fast", protocol="grpc"))
    with pytest.raises(Hopeless, match="DEV/serving opens no grpc endpoint, which the stage's"):
        Deploy().run(asking(ctx, *wanted))
