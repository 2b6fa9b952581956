"""A lifecycle on a real daemon and a real engine that stops while it builds and deploys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from at_docker import OWNER, answers, asked
from docker_engine import DockerEngine
from serving_image import mounts
from serving_lifecycle import begun, is_ended, is_in, live, opened, parked, until

from waystage.daemon import decisions
from waystage.daemon.daemon import Daemon
from waystage.people import OWN_TOKEN, Caller

pytestmark = pytest.mark.heavy
AWAY = "the Docker engine does not answer"


@pytest.fixture
def daemon(tmp_path: Path, networked_engine: DockerEngine) -> Iterator[Daemon]:
    host = networked_engine.host
    told = {"engine": host, "image": "serving:2.19.1", "mounts": mounts(), "owner": OWNER}
    build = {"builder": "docker", "engine": host}
    runtime = {"use": "docker.tfserving", "with": told}
    found = begun(tmp_path / "p", "serving:2.19.1", build, runtime)
    yield found
    found.stop()


def test_a_run_is_parked_while_the_engine_is_away_and_goes_on_after_it(
    daemon: Daemon, networked_engine: DockerEngine, world: Any
) -> None:
    before, dana = world(), Caller("dana", OWN_TOKEN)
    networked_engine.stop()
    run = opened(daemon, "1")
    first = parked(daemon, run, "build", AWAY)
    networked_engine.start()
    decisions.repair(daemon, first, "retry", dana, {})
    url = live(daemon, run)
    assert asked(url) == pytest.approx(0.7310586)

    second = opened(daemon, "2")
    until(lambda: is_in(daemon, second, "deploy"))
    networked_engine.stop()
    incident = parked(daemon, second, "deploy", AWAY)
    networked_engine.start()
    until(lambda: answers(url))
    assert asked(url) == pytest.approx(0.7310586), "the first one still has the label"
    decisions.repair(daemon, incident, "retry", dana, {})
    assert live(daemon, second) == url
    assert asked(url) == pytest.approx(0.8807970)
    assert world()[0] == ["/ws-credit-risk-dev"]
    for each in (second, run):
        decisions.send_signal(daemon, "no.more", {}, dana, run=each)
        until(lambda each=each: is_ended(daemon, each))
    for version in ("1", "2"):
        networked_engine.client.images.remove(f"credit-risk:{version}")
    assert world() == before
