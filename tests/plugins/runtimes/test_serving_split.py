"""A share of a service's requests is answered by the challenger, the others by the champion."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from waystage.errors import Hopeless
from waystage.plugin import DeploySpec, Handle, JsonObject
from waystage.testing import FakeContext
from waystage.testing.runtime_contracts import wait_until_ready
from waystage_plugins.runtimes import LocalServing
from waystage_plugins.runtimes.local_serving import stop_all

ROW: JsonObject = {"income": 1.0, "children": 2, "purpose": "car"}
Release = Callable[..., DeploySpec]
RUNTIME = LocalServing()
NAMES = [f"r{number}" for number in range(40)]


@pytest.fixture
def both(ctx: FakeContext, release: Release) -> tuple[str, Handle]:
    """Champion and challenger in one server: the champion's address, the challenger's handle."""
    url = wait_until_ready(RUNTIME, ctx, RUNTIME.apply(ctx, release())).endpoints[0].url
    ctx.key = "run/2"
    challenger = RUNTIME.apply(ctx, release(-1.0, version="2", role="challenger"))
    wait_until_ready(RUNTIME, ctx, challenger)
    return url, challenger


def ask(ctx: FakeContext, url: str, name: str) -> float:
    answer = ctx.http.post(
        f"{url}:predict", json={"instances": [ROW]}, headers={"X-Request-Id": name}
    )
    assert answer.status_code == 200, answer.text
    return round(float(answer.json()["predictions"][0]["score"]), 6)


def answered(ctx: FakeContext, url: str) -> set[str]:
    """Which of the requests the challenger answers."""
    champion = ask(ctx, f"{url}/labels/champion", "x")
    return {name for name in NAMES if ask(ctx, url, name) != champion}


def test_a_share_of_the_requests_is_the_challengers_and_always_the_same_ones(
    ctx: FakeContext, both: tuple[str, Handle]
) -> None:
    url, challenger = both
    assert answered(ctx, url) == set()
    RUNTIME.set_traffic(ctx, challenger, 40)
    chosen = answered(ctx, url)
    assert 6 <= len(chosen) <= 26
    assert answered(ctx, url) == chosen
    RUNTIME.set_traffic(ctx, challenger, 80)
    assert answered(ctx, url) > chosen, "a larger share takes none away"
    apart = {ask(ctx, f"{url}/labels/{role}", NAMES[0]) for role in ("champion", "challenger")}
    assert len(apart) == 2, "who names a label is answered by it"
    RUNTIME.set_traffic(ctx, challenger, 0)
    assert answered(ctx, url) == set()


def test_a_share_survives_the_process_and_ends_with_a_champion_that_comes(
    ctx: FakeContext, both: tuple[str, Handle], release: Release
) -> None:
    url, challenger = both
    RUNTIME.set_traffic(ctx, challenger, 50)
    chosen = answered(ctx, url)
    stop_all(ctx)
    spec = release(-1.0, version="2", role="challenger")
    RUNTIME.restore(ctx, spec, challenger, serves=True)
    url = wait_until_ready(RUNTIME, ctx, challenger).endpoints[0].url.partition("/labels")[0]
    assert answered(ctx, url) == chosen
    ctx.key = "run/3"
    champion = RUNTIME.apply(ctx, release(3.0, version="3"))
    wait_until_ready(RUNTIME, ctx, champion)
    assert answered(ctx, url) == set()
    RUNTIME.set_traffic(ctx, champion, 100)  # it has them all


def test_one_challenger_at_a_time_has_a_share_and_what_is_gone_has_none(
    ctx: FakeContext, both: tuple[str, Handle], release: Release
) -> None:
    url, challenger = both
    ctx.key = "run/3"
    other = RUNTIME.apply(ctx, release(3.0, version="3", role="challenger"))
    wait_until_ready(RUNTIME, ctx, other)
    RUNTIME.set_traffic(ctx, challenger, 50)
    RUNTIME.set_traffic(ctx, other, 99)
    told = {ask(ctx, url, name) for name in NAMES}
    assert ask(ctx, f"{url}/versions/2", "x") not in told
    RUNTIME.delete(ctx, other)
    assert answered(ctx, url) == set(), "the first one's share is over, too"
    with pytest.raises(Hopeless, match="version 3 is no challenger of credit-risk here"):
        RUNTIME.set_traffic(ctx, other, 10)


def test_a_challenger_that_is_not_loaded_gets_no_requests(
    ctx: FakeContext, both: tuple[str, Handle], tmp_path: Path, release: Release
) -> None:
    url, _ = both
    ctx.key = "run/4"
    broken = RUNTIME.apply(ctx, release(content=b"no model", version="4", role="challenger"))
    RUNTIME.set_traffic(ctx, broken, 99)
    assert answered(ctx, url) == set()
