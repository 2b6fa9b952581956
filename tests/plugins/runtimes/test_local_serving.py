"""Deployments on this machine: replaced without a gap, killed, refused, found again."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from waystage.errors import Hopeless, Retryable
from waystage.plugin import DeploySpec, Handle, JsonObject, Observation
from waystage.testing import FakeContext
from waystage.testing.runtime_contracts import wait_until_ready
from waystage_plugins.runtimes import LocalServing
from waystage_plugins.runtimes.holder import LOCK, alive
from waystage_plugins.runtimes.local_serving import stop_all

from .conftest import graph

ROW: JsonObject = {"income": 1.0, "children": 2, "purpose": "car"}
YES = pytest.approx(0.98201, abs=1e-5)

Release = Callable[..., DeploySpec]
Processes = Callable[[Path], list[int]]


def deployed(
    ctx: FakeContext, spec: DeploySpec, runtime: LocalServing | None = None
) -> tuple[Handle, str]:
    """Deploy under a key of the version's own and wait; give the handle and the address."""
    runtime = runtime or LocalServing()
    ctx.key = f"run/{spec.snapshot.id}/{spec.role}"
    handle = runtime.apply(ctx, spec)
    return handle, wait_until_ready(runtime, ctx, handle).endpoints[0].url


def settled(ctx: FakeContext, handle: Handle) -> Observation:
    """Look until it is known what became of it."""
    deadline = time.monotonic() + 120
    while (seen := LocalServing().observe(ctx, handle)).phase in ("pending", "unknown"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return seen


def until(holds: Callable[[], bool], otherwise: str = "it never comes") -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.01)


def score(ctx: FakeContext, url: str, row: Any = ROW, **more: Any) -> float:
    answer = ctx.http.post(f"{url}:predict", json={"instances": [row]}, **more)
    assert answer.status_code == 200, answer.text
    return float(answer.json()["predictions"][0]["score"])


def kill(ctx: FakeContext, processes: Processes) -> None:
    """Kill the only server, as the system does when memory runs out."""
    (pid,) = processes(ctx.state)
    os.kill(pid, signal.SIGKILL)
    # a dying process is listed without its command for a moment, and holds its lock until its end
    held = [each.parent for each in ctx.state.rglob(LOCK)]
    until(lambda: not any(alive(directory) for directory in held))


def test_a_new_version_takes_over_without_one_failed_request(
    ctx: FakeContext, release: Release
) -> None:
    first, url = deployed(ctx, release(1.0, version="1"))
    answers: list[tuple[int, float]] = []
    stop = threading.Event()

    def hammer() -> None:
        with httpx.Client(trust_env=False) as client:
            while not stop.is_set():
                answer = client.post(f"{url}:predict", json={"instances": [ROW]})
                (only,) = answer.json().get("predictions", [{}])
                answers.append((answer.status_code, only.get("score", -1.0)))

    threads = [threading.Thread(target=hammer) for _ in range(3)]
    for thread in threads:
        thread.start()
    while len(answers) < 20:
        time.sleep(0.005)
    second, same = deployed(ctx, release(-1.0, version="2"))
    assert same == url
    LocalServing().delete(ctx, first)
    third, same = deployed(ctx, release(2.0, version="3"))
    assert same == url
    LocalServing().delete(ctx, third)
    before = len(answers)
    while len(answers) < before + 20:
        time.sleep(0.005)
    stop.set()
    for thread in threads:
        thread.join()
    assert {status for status, _ in answers} == {200}
    assert {round(value, 2) for _, value in answers} == {0.98, 0.02, 1.0}
    assert answers[-1][1] == pytest.approx(1 - 0.98201, abs=1e-5)
    assert LocalServing().observe(ctx, second).phase == "ready"


def test_taking_a_champion_out_brings_back_the_one_before_not_the_challenger(
    ctx: FakeContext, release: Release
) -> None:
    first, url = deployed(ctx, release(1.0, version="1"))
    second, _ = deployed(ctx, release(-1.0, version="2"))
    _, challenger = deployed(ctx, release(0.0, version="3", role="challenger"))
    assert challenger == f"{url}/labels/challenger"
    assert score(ctx, url) == pytest.approx(1 - 0.98201, abs=1e-5)
    LocalServing().delete(ctx, second)
    assert score(ctx, url) == YES
    assert score(ctx, challenger) == pytest.approx(0.5)
    assert LocalServing().observe(ctx, first).phase == "ready"
    assert LocalServing().observe(ctx, second).phase == "absent"
    assert not (ctx.state / "serving/DEV-credit-risk/models/2").exists()


def test_a_challenger_that_became_champion_stays_when_its_first_role_ends(
    ctx: FakeContext, release: Release
) -> None:
    spec = release(1.0, version="1", role="challenger")
    challenger, _ = deployed(ctx, spec)
    champion, url = deployed(ctx, spec.model_copy(update={"role": "champion"}))
    LocalServing().delete(ctx, challenger)
    assert score(ctx, url) == YES
    assert LocalServing().observe(ctx, champion).phase == "ready"
    assert LocalServing().observe(ctx, challenger).phase == "absent"


def test_two_models_of_one_service_may_have_the_same_version(
    ctx: FakeContext, release: Release
) -> None:
    _, url = deployed(ctx, release(1.0, version="3", name="credit"))
    other, _ = deployed(ctx, release(-1.0, version="3", name="forest"))
    states = ctx.http.get(url).json()["model_version_status"]
    assert [each["state"] for each in states] == ["AVAILABLE", "AVAILABLE"]
    assert {each["version"] for each in states} == {"3", str(other.ref["version"])}
    assert ctx.http.get(f"{url}/metadata").json()["waystage"]["snapshot"] == "forest/3"


def test_without_a_champion_only_labels_and_versions_answer(
    ctx: FakeContext, release: Release
) -> None:
    _, url = deployed(ctx, release(version="1.2.0", role="challenger"))
    assert score(ctx, url) == YES
    root = url.removesuffix("/labels/challenger")
    assert score(ctx, f"{root}/versions/1002000") == YES
    answer = ctx.http.post(f"{root}:predict", json={"instances": [ROW]})
    assert answer.status_code == 404
    assert "has no champion" in answer.json()["error"]


def test_a_killed_server_is_told_and_the_same_call_brings_it_back_at_its_address(
    ctx: FakeContext, release: Release, processes: Processes
) -> None:
    spec = release()
    handle, url = deployed(ctx, spec)
    kill(ctx, processes)
    seen = settled(ctx, handle)
    assert (seen.phase, seen.reason) == ("failed", "died")
    assert "ended by SIGKILL" in seen.message
    with pytest.raises(Retryable, match="no server runs for credit-risk"):
        LocalServing().predict(ctx, handle, [ROW])
    assert deployed(ctx, spec) == (handle, url)
    assert score(ctx, url) == YES


def test_a_server_outlives_the_daemon_and_is_found_by_the_next_one(
    ctx: FakeContext, release: Release, processes: Processes
) -> None:
    spec = release()
    pid = os.fork()
    if pid == 0:
        try:
            LocalServing().apply(ctx, spec)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    before = processes(ctx.state)
    handle, url = deployed(ctx, spec)
    assert processes(ctx.state) == before
    assert score(ctx, url) == YES
    kill(ctx, processes)
    assert "the server's process is gone" in settled(ctx, handle).message


def test_a_fixed_port_in_use_is_named_and_taken_once_it_is_free(
    ctx: FakeContext, release: Release
) -> None:
    spec = release()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        runtime = LocalServing(port=port)
        handle = runtime.apply(ctx, spec)
        seen = settled(ctx, handle)
        assert (seen.phase, seen.reason) == ("failed", "port_in_use")
        assert f"port {port} on 127.0.0.1" in seen.message
    ctx.key = f"run/{spec.snapshot.id}/{spec.role}"
    assert deployed(ctx, spec, runtime)[1] == f"http://127.0.0.1:{port}/v1/models/credit-risk"


def test_another_fixed_port_moves_the_server(ctx: FakeContext, release: Release) -> None:
    spec, ports = release(), []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    for port in ports:
        _, url = deployed(ctx, spec, LocalServing(port=port))
        assert f":{port}/" in url
        assert score(ctx, url) == YES


@pytest.mark.parametrize(
    ("fields", "reason", "text"),
    [
        ({"content": b"not a graph"}, "bad_model", "model.onnx cannot be loaded"),
        ({"inputs": [{"name": "wage"}]}, "bad_model",
         "columns of manifest and graph differ: children, income, purpose, wage"),
        ({"inputs": [{"name": "income"}, {"name": "children"}, {"name": "wage"}]}, "bad_model",
         "columns of manifest and graph differ: purpose, wage"),
        ({"inputs": [{"name": "income", "type": "string"}, {"name": "children"},
                     {"name": "purpose", "type": "string"}]}, "bad_model",
         "column 'income' is string in the manifest but tensor(float) in the graph"),
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_loaded_says_why_and_leaves_the_old_one_alone(
    ctx: FakeContext, release: Release, fields: dict[str, Any], reason: str, text: str
) -> None:
    _, url = deployed(ctx, release(version="1"))
    ctx.key = "run/bad"
    handle = LocalServing().apply(ctx, release(version="2", **fields))
    seen = settled(ctx, handle)
    assert (seen.phase, seen.reason) == ("failed", reason)
    assert text in seen.message
    assert score(ctx, url) == YES
    assert ctx.http.get(f"{url}/versions/2").json()["model_version_status"][0]["state"] == "END"


def test_a_model_that_does_not_fit_into_the_memory_is_kept_out_until_there_is_more(
    ctx: FakeContext, release: Release
) -> None:
    first = release(version="1")
    handle, url = deployed(ctx, first)
    pid = json.loads((Path(str(handle.ref["directory"])) / "process.json").read_text())["pid"]
    (used,) = re.findall(r"VmSize:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    narrow = LocalServing(memory_mb=max(256, (int(used) >> 10) + 48))
    # a description of 96 MB: field 6 of the model, `doc_string`
    padding = b"\x32" + _varint(96 << 20) + bytes(96 << 20)
    large = release(version="2", content=graph(1.0) + padding)
    ctx.key = "run/large"
    handle = narrow.apply(ctx, large)
    seen = settled(ctx, handle)
    assert (seen.phase, seen.reason) == ("failed", "out_of_memory")
    assert seen.message.endswith("give the runtime more memory_mb")
    assert score(ctx, url) == YES, "the one before answers"
    assert _limit_of(pid) == narrow.memory_mb
    ctx.key = "run/again"
    wait_until_ready(LocalServing(), ctx, LocalServing().apply(ctx, large))
    assert _limit_of(pid) is None


def _varint(number: int) -> bytes:
    low = number & 0x7F
    return bytes([low | 0x80]) + _varint(number >> 7) if number >> 7 else bytes([low])


def _limit_of(pid: int) -> int | None:
    told = Path(f"/proc/{pid}/limits").read_text()
    (soft,) = re.findall(r"Max address space\s+(\S+)", told)
    return None if soft == "unlimited" else int(soft) >> 20


def test_files_changed_on_disk_are_not_served_and_come_back_only_when_asked_for(
    ctx: FakeContext, release: Release, processes: Processes
) -> None:
    first, second = release(1.0, version="1"), release(-1.0, version="2")
    _, url = deployed(ctx, first)
    handle, _ = deployed(ctx, second)
    slipped = ctx.state / "serving/DEV-credit-risk/models/2/more.txt"
    slipped.write_text("slipped in")
    kill(ctx, processes)
    deployed(ctx, first)
    seen = settled(ctx, handle)
    assert (seen.phase, seen.reason) == ("failed", "digest_mismatch")
    assert score(ctx, url) == YES, "the one before answers"

    # a run has been told of the failure: a restart alone must not bring the version back
    slipped.unlink()
    kill(ctx, processes)
    deployed(ctx, first)
    assert settled(ctx, handle).phase == "failed"
    assert score(ctx, url) == YES
    assert deployed(ctx, second) == (handle, url)
    assert score(ctx, url) == pytest.approx(1 - 0.98201, abs=1e-5)


def test_a_source_with_other_bytes_is_refused(ctx: FakeContext, release: Release) -> None:
    spec = release()
    (Path(spec.source) / "model.onnx").write_bytes(b"other")
    with pytest.raises(Hopeless, match=r"does not hold credit/1: file model\.onnx has sha256:"):
        LocalServing().apply(ctx, spec)


def test_what_can_never_run_is_said_before_anything_is_made(
    ctx: FakeContext, release: Release
) -> None:
    spec = release(format="savedmodel", scoring_log={"use": "scoring_log.kafka", "with": {}})
    spec = spec.model_copy(update={"service": "../credit"})
    problems = LocalServing().check(spec)
    assert problems == [
        "service '../credit' cannot be part of a server's path",
        "local.serving serves onnx models, credit/1 is savedmodel",
        "local.serving writes scoring_log.sqlite or scoring_log.postgresql, "
        "not the scoring log 'scoring_log.kafka'",
    ]
    with pytest.raises(Hopeless, match="cannot be part of a server's path"):
        LocalServing().apply(ctx, spec)
    assert not (ctx.state / "serving").exists()


def test_a_handle_of_another_place_is_refused(ctx: FakeContext, tmp_path: Path) -> None:
    handle = Handle(ref={"directory": str(tmp_path), "version": 1, "service": "x"})
    with pytest.raises(Hopeless, match="is not a directory of this daemon's servers"):
        LocalServing().delete(ctx, handle)
    assert tmp_path.exists()


def test_stopping_all_servers_keeps_what_they_serve(
    ctx: FakeContext, release: Release, processes: Processes
) -> None:
    spec = release()
    handle, url = deployed(ctx, spec)
    assert stop_all(ctx) == 1
    assert stop_all(ctx) == 0
    assert processes(ctx.state) == []
    assert deployed(ctx, spec) == (handle, url)


def test_a_server_whose_directory_goes_away_ends_by_itself(
    ctx: FakeContext, release: Release, processes: Processes
) -> None:
    deployed(ctx, release())
    (ctx.state / "serving/DEV-credit-risk/config.json").unlink()
    until(lambda: not processes(ctx.state), "an orphan goes on serving")


def test_a_server_told_to_end_answers_what_has_begun(ctx: FakeContext, release: Release) -> None:
    _, url = deployed(ctx, release())
    body = {"instances": [ROW] * 4000}
    answers = []
    told = threading.Event()

    def ask() -> None:
        with httpx.Client(trust_env=False) as client:
            content = json.dumps(body).encode()

            def slowly() -> Any:
                yield content[:-1]
                told.wait(20)
                yield content[-1:]

            headers = {"Content-Length": str(len(content))}
            answers.append(client.post(f"{url}:predict", content=slowly(), headers=headers))

    thread = threading.Thread(target=ask)
    thread.start()
    looked = f"{url.partition('/v1/')[0]}/waystage/versions"
    until(lambda: httpx.get(looked, trust_env=False).json()["answering"] == 1)
    threading.Timer(0.3, told.set).start()  # while the server is being ended
    stop_all(ctx)
    thread.join()
    assert [answer.status_code for answer in answers] == [200]


def test_a_log_that_grows_is_moved_aside_while_the_server_writes(
    ctx: FakeContext, release: Release
) -> None:
    handle, url = deployed(ctx, release(), LocalServing(max_log_bytes=10_000))
    log = ctx.state / "serving/DEV-credit-risk/log.txt"
    with log.open("a") as file:
        file.write("a line\n" * 2000)
    until(lambda: log.stat().st_size == 0)
    assert log.with_name("log.txt.1").stat().st_size == 14_000
    assert score(ctx, url) == YES
    assert LocalServing().logs(ctx, handle) == ""
