"""Real model servers of this machine that die: started again, and not for ever."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from at_work import scorer
from drifting import Drifting

from waystage.daemon import decisions
from waystage.daemon.drift import MOST
from waystage.people import OWN_TOKEN, Caller
from waystage_plugins.runtimes.local_serving import stop_all

pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
BROKEN = "#!/bin/sh\necho the licence server does not answer\nexit 4\n"
ROW = {"income": 0.5, "age": -0.5}
CHALLENGE = """
lifecycle: challenge
services: [credit-risk]
initial: deploy
states:
  deploy:
    stage: PROD
    steps:
      - {use: runtime.deploy, with: {role: challenger}}
      - {use: runtime.mirror, with: {percent: 30}}
      - {use: runtime.split, with: {percent: 20}}
    next: {done: copied, refused: end}
  copied: {stage: PROD, signals: [stop], next: {stop: alone}}
  alone:
    stage: PROD
    steps: [{use: runtime.mirror, with: {percent: 0}}]
    next: end
  end: {final: true}
"""


class Local(Drifting):
    """The project with `local.serving` for its stage."""

    def write_stage(self, *, on_drift: str = "report", **settings: Any) -> None:
        runtime = {"name": "files", "use": "local.serving", "mode": "online", "with": settings}
        told = {"stage": "PROD", "runtimes": [runtime], "on_drift": on_drift}
        (self.root / "stages/PROD.yaml").write_text(yaml.safe_dump(told, sort_keys=False))

    def model(self, version: str) -> None:
        super().model(version)
        place = self.root / "models/credit" / version
        (place / "model.onnx").write_bytes(scorer(float(version)))
        told = {"format": "onnx", "services": ["credit-risk"], "author": "dana",
                "inputs": [{"name": "income"}, {"name": "age"}], "example": [ROW],
                "outputs": [{"name": "probabilities"}]}  # fmt: skip
        (place / "manifest.yaml").write_text(yaml.safe_dump(told))

    def begin(self, version: str = "1") -> str:
        run = self.daemon.start_run("serve", "credit-risk", "credit", version, "otto")

        def serves() -> bool:
            self.turn(seconds=5)  # the step asks to be called again
            return "serving" in self.places(run)

        self.until(serves)
        self.look()
        return run

    @property
    def directory(self) -> Path:
        return Path(self.row(self.newest).body["deployed"]["handle"]["directory"])

    newest = "1"

    def pid(self) -> int:
        return int(json.loads((self.directory / "process.json").read_text())["pid"])

    def kill(self) -> int:
        """Kill the server, and wait until it is gone."""
        pid = self.pid()
        os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + 120
        while (observed := self.look_only()).phase != "failed":
            assert time.monotonic() < end, observed
            time.sleep(0.02)
        return pid

    def look_only(self) -> Any:
        from waystage.daemon.inventory import _observed

        return _observed(self.daemon.connections, self.row(self.newest))

    def well(self) -> None:
        """Look until it is well."""

        def ok() -> bool:
            self.look()
            return self.row(self.newest).state == "ok"

        self.until(ok)

    def score(self, version: str) -> float:
        row = self.row(version)
        runtime = self.daemon.connections.named_runtime("PROD", "files").online
        from waystage.plugin import Handle

        handle = Handle(ref=row.body["deployed"]["handle"])
        return float(str(runtime.predict(self.daemon.connections, handle, [ROW])[0]["score"]))

    def stop(self) -> None:
        stop_all(self.daemon.connections)
        super().stop()


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Any]:
    made: list[Local] = []

    def make(url: str = "", name: str = "project", **stage: Any) -> Local:
        database = url or f"sqlite:///{tmp_path / 'waystage.db'}"
        made.append(Local(tmp_path / name, database, tmp_path / "home", **stage))
        return made[-1]

    yield make
    for each in made:
        each.stop()


def test_a_server_that_is_killed_is_back_at_its_address(local):
    work = local()
    run = work.begin()
    url = work.row().body["deployed"]["endpoints"][0]["url"]
    before = work.score("1")
    pid = work.kill()
    work.look()
    assert work.state == "drifted"
    assert "ended by SIGKILL" in work.bodies()[0]["text"]
    work.well()
    assert work.pid() != pid
    assert work.score("1") == before
    row = work.row()
    assert row.body["deployed"]["endpoints"][0]["url"] == url
    assert work.daemon.connections.http.get(url).status_code == 200
    assert [name for name, _, _ in work.signals(run)] == [
        "runtime.drifted", "runtime.restoring", "runtime.ok"]  # fmt: skip


def test_a_server_that_cannot_live_is_reported_and_not_started_for_ever(local, tmp_path):
    work = local()
    work.begin()
    broken = tmp_path / "broken-python"
    broken.write_text(BROKEN)
    broken.chmod(0o755)
    work.write_stage(python=str(broken))
    work.daemon.reload()
    work.kill()
    starts = set()
    for _ in range(2 * 60 * 12 // 6):  # two hours, a look each half minute
        work.look()
        starts.add(json.loads((work.directory / "process.json").read_text())["pid"])
        end = time.monotonic() + 120
        while work.look_only().phase == "pending" and time.monotonic() < end:
            time.sleep(0.01)
        work.turn(seconds=30)
    assert MOST <= len(starts) <= MOST + 3
    assert "the licence server does not answer" in work.bodies()[-1]["text"]
    assert "the next try is at" in work.bodies()[-1]["text"]
    work.write_stage()
    work.daemon.reload()
    work.turn(hours=1)
    work.well()


def test_restart_never_only_tells(local):
    work = local(restart="never")
    work.begin()
    pid = work.kill()
    work.look(3)
    work.turn(hours=2)
    work.look(3)
    assert (work.state, work.pid()) == ("drifted", pid)
    assert len(work.messages()) == 1


def test_the_champion_stays_the_champion_when_all_its_versions_come_back(local):
    work = local()
    work.begin()
    work.model("2")
    work.begin("2")
    work.newest = "2"
    champion = work.row("2").body["deployed"]["endpoints"][0]["url"]
    score = work.score("2")
    work.kill()
    work.well()

    def asked() -> float:
        answer = work.daemon.connections.http.post(
            f"{champion}:predict", json={"instances": [ROW]}
        ).json()
        return float(answer["predictions"][0]["score"])

    assert asked() == score
    config = work.directory / "config.json"
    told = json.loads(config.read_text())
    told["entries"] = [each for each in told["entries"] if each["snapshot"]["version"] == "2"]
    config.write_text(json.dumps(told | {"revision": told["revision"] + 1}))
    work.write_stage(on_drift="restore")
    work.daemon.reload()
    work.look(2)
    numbers = [e["snapshot"]["version"] for e in json.loads(config.read_text())["entries"]]
    assert numbers == ["1", "2"], "an earlier one comes back behind the champion"
    assert asked() == score


def test_what_was_served_comes_back_where_its_directory_was_lost(local):
    work = local()
    work.begin()
    before = work.score("1")
    stop_all(work.daemon.connections)
    shutil.rmtree(work.root / ".waystage/serving")
    (work.root / ".waystage/place.id").unlink()
    work.well()
    assert work.score("1") == before


def test_a_challenger_gets_its_shares_again_where_the_directory_was_lost(local):
    work = local()
    (work.root / "lifecycles/challenge.yaml").write_text(CHALLENGE)
    work.daemon.reload()
    work.begin()
    work.model("2")
    run = work.daemon.start_run("challenge", "credit-risk", "credit", "2", "otto")

    def copied() -> bool:
        work.turn(seconds=5)  # the step asks to be called again
        return "copied" in work.places(run)

    def shares() -> dict[str, tuple[int, int]]:
        config = json.loads((work.directory / "config.json").read_text())
        return {e["role"]: (e.get("mirror", 0), e.get("share", 0)) for e in config["entries"]}

    work.until(copied)
    assert work.row("2").body["deployed"]["copies"] == 30
    assert shares() == {"challenger": (30, 20), "champion": (0, 0)}
    work.newest = "2"
    stop_all(work.daemon.connections)
    shutil.rmtree(work.root / ".waystage/serving")
    (work.root / ".waystage/place.id").unlink()
    work.well()

    def both() -> bool:
        work.look()
        return shares() == {"challenger": (30, 20), "champion": (0, 0)}

    work.until(both)
    decisions.send_signal(work.daemon, "stop", {}, Caller("otto", OWN_TOKEN), run=run)
    work.until(lambda: work.row("2").body["deployed"]["copies"] == 0)
    assert shares()["challenger"] == (0, 20)


def test_a_daemon_beside_leaves_what_runs_on_another_machine_to_its_own(local, postgres_url):
    first = local(postgres_url, "one")
    first.begin()
    second = local(postgres_url, "two")
    first.daemon.presence.look()
    second.daemon.presence.look()
    second.look(3)
    assert (first.state, first.messages()) == ("ok", [])
    first.daemon.presence.leave()
    second.look(3)
    assert first.state == "unknown", "its daemon is gone, and it is not taken for gone"
    assert "is not this daemon's" in second.row().seen_why
    first.look()
    assert first.state == "ok"
