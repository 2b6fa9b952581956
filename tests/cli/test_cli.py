"""The command line: exit codes, and errors in one line for the person who reads them."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from waystage import __version__
from waystage.cli import main as entry
from waystage.cli.main import run
from waystage.cli.verbs import VERBS

QUIET = """
lifecycle: quiet
services: ["*"]
initial: approve
states:
  approve:
    task: {title: Approve?, for: [role:validator]}
    next: {approve: closed, reject: closed}
  closed: {final: true}
"""


@pytest.fixture
def project(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Path:
    """Make a project whose lifecycle waits for people alone."""
    root = tmp_path / "project"
    assert run(["init", str(root)]) == 0
    shutil.rmtree(root / "lifecycles")
    (root / "lifecycles").mkdir()
    (root / "lifecycles" / "quiet.yaml").write_text(QUIET)
    place = root / "models" / "credit" / "1"
    place.mkdir(parents=True)
    (place / "model.onnx").write_bytes(b"weights")
    (place / "manifest.yaml").write_text(
        "name: credit\nversion: '1'\nservices: [credit-risk]\nauthor: dana\nformat: onnx\n"
    )
    capfd.readouterr()
    return root


class Up:
    """A daemon as people start it."""

    def __init__(self, root: Path, *more: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "waystage.cli.main", "--project", str(root), "up",
             "--port", "0", *more],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ),
        )  # fmt: skip
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], 30)
        self.said = self.process.stdout.readline() if ready else ""

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        _, self.errors = self.process.communicate(timeout=120)
        return self.process.returncode


@pytest.fixture
def up(project: Path) -> Iterator[Up]:
    found = Up(project, "--quiet")
    yield found
    if found.process.poll() is None:
        found.process.kill()
    found.process.communicate(timeout=120)


def refused(capfd: pytest.CaptureFixture[str], arguments: list[str], *said: str) -> None:
    """Run a verb that must be refused with one line that says this."""
    assert run(arguments) == 1
    told = capfd.readouterr()
    assert told.out == ""
    assert len(told.err.strip().splitlines()) == 1, told.err
    for part in said:
        assert part in told.err


def waystage(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "waystage.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_the_version_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["version"]) == 0
    assert capfd.readouterr().out == f"waystage {__version__}\n"
    assert run(["version", "--json"]) == 0
    assert json.loads(capfd.readouterr().out) == {"version": __version__}


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_verb_is_there_and_helps(verb: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run([verb, "--help"]) == 0
    assert f"waystage {verb}" in capfd.readouterr().out


def test_an_unknown_verb_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["strat"]) == 1
    assert "strat" in capfd.readouterr().err


def test_a_broken_file_is_told_by_line_and_column(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(QUIET.replace("approve: closed", "approve: closd"))
    assert run(["validate", str(file)]) == 1
    told = capfd.readouterr().out
    assert f"{file.name}:8:" in told
    assert "there is no state 'closd' here; did you mean 'closed'?" in told
    assert "[E-STATE-UNKNOWN]" in told
    assert told.strip().splitlines()[-1] == "1 error, 0 warnings"


@pytest.mark.parametrize("text", ["lifecycle: [", "a: 1\na: 2\n", "", "just words", "\x00"])
def test_a_file_that_is_no_lifecycle_is_told_and_is_no_crash(
    text: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.yaml").write_text(text)
    assert run(["validate", str(tmp_path / "x.yaml")]) == 1
    assert "x.yaml" in capfd.readouterr().out


def test_a_sound_file_is_told_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "quiet.yaml").write_text(QUIET)
    assert run(["validate", str(tmp_path / "quiet.yaml")]) == 0
    assert "holds" in capfd.readouterr().out


def test_an_unknown_plugin_is_told_with_the_nearest(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    text = QUIET.replace(
        "task: {title: Approve?, for: [role:validator]}", "steps: [{use: model.chek}]"
    )
    (tmp_path / "x.yaml").write_text(text)
    assert run(["validate", "--json", str(tmp_path / "x.yaml")]) == 1
    problems = json.loads(capfd.readouterr().out)["problems"]
    found = next(p for p in problems if p["code"] == "E-PLUGIN-UNKNOWN")
    assert (found["line"], found["suggestion"]) == (7, "did you mean 'model.check'?")
    assert not any("nothing answers 'refused'" in p["message"] for p in problems), "nobody knows"


def test_a_path_that_is_not_there_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    refused(capfd, ["validate", "/no/such/file.yaml"], "/no/such/file.yaml")


def test_a_fresh_project_has_no_problems(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["init", str(tmp_path / "new")]) == 0
    assert run(["validate", str(tmp_path / "new"), "--strict"]) == 0


def test_a_project_is_never_overwritten(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mine = (project / "waystage.yaml").read_text() + "# mine\n"
    (project / "waystage.yaml").write_text(mine)
    refused(capfd, ["init", str(project)], "waystage.yaml is there already", "nothing was changed")
    assert (project / "waystage.yaml").read_text() == mine
    assert [file.name for file in (project / "lifecycles").iterdir()] == ["quiet.yaml"]


def test_without_a_project_it_is_said_how_to_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(capfd, ["list"], "no waystage.yaml", "waystage init")
    refused(capfd, ["--project", str(tmp_path), "up"], "no waystage.yaml", "waystage init")


def test_the_project_is_found_from_below(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project / "models" / "credit")
    assert run(["list", "--json"]) == 0
    assert json.loads(capfd.readouterr().out) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["start", "quiet", "credit-risk", "credit/1"],
        ["complete", "1", "--outcome", "approve"],
        ["claim", "1"],
        ["release", "1"],
        ["signal", "x", "--run", "y"],
        ["retry", "1"],
        ["skip", "1", "--reason", "x"],
        ["goto", "1", "closed", "--reason", "x"],
        ["abort", "1", "--reason", "x"],
        ["clock", "--turn", "P1D"],
    ],
)
def test_what_acts_needs_a_daemon(
    arguments: list[str], project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    refused(capfd, ["--project", str(project), *arguments], "no daemon runs", "waystage up")


@pytest.mark.parametrize(
    "arguments", [["list"], ["tasks"], ["incidents"], ["where"], ["measurements"], ["plugins"]]
)
def test_what_reads_needs_no_daemon(
    arguments: list[str], project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["--project", str(project), *arguments]) == 0
    assert run(["--project", str(project), *arguments, "--json"]) == 0
    assert capfd.readouterr().err == ""


def test_an_unknown_run_is_told_without_a_daemon_too(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    refused(capfd, ["--project", str(project), "show", "nope"], "there is no run 'nope'")


def test_a_daemon_file_left_by_a_dead_daemon_is_no_daemon(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / ".waystage").mkdir(exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    (project / ".waystage/daemon.json").write_text(json.dumps({"url": url, "token": "x"}))
    refused(capfd, ["--project", str(project), "claim", "1"], "no daemon runs")
    assert run(["--project", str(project), "list"]) == 0


def test_a_bug_is_told_as_one_with_its_details_in_a_file(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(entry.waystage, "main", broken)
    assert run(["version"]) == 3
    told = capfd.readouterr().err
    assert "bug of Waystage: ZeroDivisionError: oh" in told
    details = Path(told.rpartition("Details: ")[2].strip())
    assert "Traceback" in details.read_text()
    details.unlink()


def test_an_interruption_has_its_own_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(entry.waystage, "main", interrupted)
    assert run(["version"]) == 130


def test_a_daemon_plays_a_run_and_its_end_is_read_without_it(
    project: Path, up: Up, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "Waystage is up at http://127.0.0.1:" in up.said
    base = ["--project", str(project)]
    assert run([*base, "--as", "otto", "start", "quiet", "credit-risk", "credit/1"]) == 0
    assert "credit-risk-1" in capfd.readouterr().out
    task = _first_task(base, capfd)
    refused(capfd, [*base, "--as", "otto", "complete", task, "--outcome", "approve"], "it is for")
    assert run([*base, "--as", "vera", "complete", task, "--outcome", "approve"]) == 0
    capfd.readouterr()
    again = [*base, "--as", "otto", "start", "quiet", "credit-risk", "credit/1"]
    assert run(again) == 0
    assert "has ended (done); open another one with a --key" in capfd.readouterr().out
    assert run([*again, "--key", "second"]) == 0
    assert "Run credit-risk-2 is open." in capfd.readouterr().out
    assert up.end() == 0, up.errors
    capfd.readouterr()
    assert run([*base, "list", "--json"]) == 0
    first = json.loads(capfd.readouterr().out)[-1]
    assert (first["id"], first["status"] == "open") == ("credit-risk-1", False)
    assert run([*base, "history", "credit-risk-1"]) == 0
    assert "vera" in capfd.readouterr().out


def _first_task(base: list[str], capfd: pytest.CaptureFixture[str]) -> str:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        assert run([*base, "tasks", "--json"]) == 0
        if found := json.loads(capfd.readouterr().out):
            return str(found[0]["id"])
        time.sleep(0.02)
    raise AssertionError("there is no task")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_daemon_that_is_told_to_end_ends_well(project: Path, up: Up, number: int) -> None:
    assert (project / ".waystage/daemon.json").exists()
    assert up.end(number) == 0
    assert "Traceback" not in up.errors
    assert not (project / ".waystage/daemon.json").exists()


def test_a_second_daemon_on_the_same_file_is_refused_and_harms_nothing(
    project: Path, up: Up
) -> None:
    before = (project / ".waystage/daemon.json").read_text()
    second = waystage("--project", str(project), "up", "--port", "0")
    assert second.returncode == 1
    assert f"another daemon (process {up.process.pid})" in second.stderr
    assert "Traceback" not in second.stderr
    assert (project / ".waystage/daemon.json").read_text() == before
    assert up.end() == 0


def test_a_port_in_use_is_told_with_what_to_do(project: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        found = waystage("--project", str(project), "up", "--port", port)
    assert found.returncode == 1
    assert f"port {port} on 127.0.0.1 cannot be used" in found.stderr
    assert "--port" in found.stderr
    assert "Traceback" not in found.stderr


def test_a_project_with_problems_is_not_started(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "lifecycles" / "quiet.yaml").write_text(QUIET.replace("role:validator", "role:bos"))
    assert run(["--project", str(project), "up", "--port", "0"]) == 1
    assert "nobody has the role 'bos'" in capfd.readouterr().err
