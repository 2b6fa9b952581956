"""A lifecycle on a real daemon while its registry and its cluster fail: parked, then gone on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from image_registry import small_layer
from kubelet import SMALL, ModelServer
from registry_stand_in import StandIn
from serving_lifecycle import begun, is_ended, is_in, live, opened, parked, until

from waystage.daemon import decisions
from waystage.daemon.daemon import Daemon
from waystage.people import OWN_TOKEN, Caller

from .conftest import World, wait

MODEL = "models/credit-risk"


@pytest.fixture
def registry() -> Iterator[StandIn]:
    found = StandIn()
    found.put_image("mirror/serving", "2.19.1", small_layer(), ["MODEL_BASE_PATH=/models"])
    yield found
    found.stop()


@pytest.fixture
def daemon(
    world: World, registry: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Daemon]:
    runtime = world.openshift().model_dump(mode="json", exclude_unset=True)
    runtime |= {"token": {"secret": "env/OKD_TOKEN"}, "pull_registry": "inside:5000",
                "registry": {"host": registry.address, "plain_http": True, "project": "models"},
                "model": "credit-risk"}  # fmt: skip
    runtime.pop("use", None)
    monkeypatch.setenv("OKD_TOKEN", world.token())
    monkeypatch.setattr(ModelServer, "inputs", SMALL)
    base = f"{registry.address}/mirror/serving:2.19.1"
    build = {"registry": {"host": registry.address, "plain_http": True, "project": "models"}}
    placed = {"use": "openshift.tfserving", "with": runtime}
    found = begun(tmp_path / "p", base, build, placed, image="{{ steps.image.image }}")
    yield found
    found.stop()


def test_a_run_is_parked_for_registry_token_and_cluster_and_goes_on_after_each(
    world: World, registry: StandIn, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert world.api is not None
    dana, before, good = Caller("dana", OWN_TOKEN), world.names(), world.token()

    def mended(run: str, place: str, told: str, mend: Callable[[], Any]) -> None:
        incident = parked(daemon, run, place, told)
        mend()
        decisions.repair(daemon, incident, "retry", dana, {})

    def down(handler: Any) -> bool:
        handler.connection.close()
        handler.close_connection = True
        return True

    first = opened(daemon, "1")
    live(daemon, first)
    serving = world.names()

    registry.faults["PUT /manifests/"] = down
    second = opened(daemon, "2")
    monkeypatch.setenv("OKD_TOKEN", "token-of-yesterday")
    incident = parked(daemon, second, "build", "the connection failed")
    assert registry.tags(MODEL) == ["1"], "the tag stands for nothing half done"
    registry.faults.clear()
    decisions.repair(daemon, incident, "retry", dana, {})

    mended(second, "deploy", "does not take the token (401)",
           lambda: monkeypatch.setenv("OKD_TOKEN", good))  # fmt: skip
    assert is_in(daemon, first, "live")
    assert live(daemon, second)
    assert registry.tags(MODEL) == ["1", "2"]

    port = world.api.server.server_port
    world.api.close()
    third = opened(daemon, "3")
    mended(third, "deploy", "does not answer", lambda: world.api and world.api.listen(port))
    live(daemon, third)
    for run in (third, second):
        decisions.send_signal(daemon, "no.more", {}, dana, run=run)
        until(lambda run=run: is_ended(daemon, run))
    wait(lambda: world.names() == serving, within=60)
    decisions.send_signal(daemon, "no.more", {}, dana, run=first)
    until(lambda: is_ended(daemon, first))
    wait(lambda: world.names() == before, within=60)
