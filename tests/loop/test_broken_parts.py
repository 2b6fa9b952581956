"""Parts of the world that break under a run: it is parked with the reason, and goes on after."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from waystage.cli.demo.screen import Screen
from waystage.cli.demo.story import Story, _first_model
from waystage.cli.demo.world import World, stop_daemon

pytest.importorskip("skl2onnx", reason="the extra `demo` is not installed")

FALSE = "#!/bin/sh\necho the licence server does not answer\nexit 4\n"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(tmp_path / "project")
    found.make_project()
    yield found
    found.stop()


def parked(world: World) -> list[dict[str, Any]]:
    """Give the incidents; the clock is turned on while tries are left."""
    found: list[dict[str, Any]] = world.api("incidents")
    if not found:
        world.turn("PT5M")
    return found


@pytest.mark.slow
def test_a_runtime_that_dies_while_deploying_parks_the_run_with_its_last_words(
    world: World, tmp_path: Path
) -> None:
    broken = tmp_path / "broken-python"
    broken.write_text(FALSE)
    broken.chmod(0o755)
    stage = world.root / "stages" / "DEV.yaml"
    sound = stage.read_text()
    stage.write_text(sound.replace("{port: 0}", f"{{python: {broken}}}"))
    world.start_daemon()
    story = Story(Screen(), world)
    run = _first_model(story)
    story.run_in(run, "approve")
    story.decide("vera", "approve", "image_tag=1.0.0")
    world.until(lambda: bool(parked(world)), "the run is not parked")

    (incident,) = parked(world)
    assert "the licence server does not answer" in incident["message"]
    assert "credit/1 failed in DEV/" in incident["message"]
    told = world.waystage("incidents")
    assert "licence server" in " ".join(told.split())

    assert world._daemon is not None
    stop_daemon(world.root)
    world._daemon.wait(timeout=120)
    stage.write_text(sound)
    world.start_daemon()
    world.waystage("retry", str(incident["id"]), person="otto")
    story.run_in(run, "promote.DEV.soak")
    assert world.api("incidents") == []
