"""Jobs as containers of a real Docker engine: one for each key, and none left behind."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker_engine import DockerEngine, NoEngine
from image_registry import PASSWORD, USER, ImageRegistry, NoRegistry
from python_image import make_python_image

from waystage.errors import Hopeless, Retryable
from waystage.plugin import Answer, DeploySpec, Done, Job, JsonObject, Waiting
from waystage.testing import FakeContext, run_to_end
from waystage.testing.runtime_contracts import (
    check_batch_runtime,
    killed_at_each_line,
    wait_until_ended,
)
from waystage_plugins.runtimes.docker import job as job_module
from waystage_plugins.runtimes.docker import job_containers, job_files
from waystage_plugins.runtimes.docker.job import DockerJob
from waystage_plugins.runtimes.files import write_json
from waystage_plugins.steps.batch_run import RunBatch

pytestmark = pytest.mark.heavy
# one line in so many; `WAYSTAGE_EVERY_LINE=1` takes all of them
EVERY = 8 * int(os.environ.get("WAYSTAGE_EVERY_LINE", "7")) - 7
# forks that are killed leave their sockets to the collector
LEFT_OPEN = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
LONG = "import time; print('busy', flush=True); time.sleep(600)"


@pytest.fixture(scope="module")
def engine() -> Iterator[DockerEngine]:
    try:
        made = DockerEngine()
    except NoEngine as error:
        pytest.skip(str(error))
    yield made
    made.remove()


@pytest.fixture(scope="module")
def image(engine: DockerEngine) -> str:
    return make_python_image(engine, "jobs")


@pytest.fixture
def runtime(engine: DockerEngine, image: str) -> Iterator[DockerJob]:
    """Give the runtime; whatever the test does, it leaves no container and no volume."""
    before = things(engine)
    yield docker_job(engine, image)
    assert things(engine) == before


def docker_job(engine: DockerEngine, image: str, **own: Any) -> DockerJob:
    return DockerJob.model_validate({"engine": engine.host, "image": image} | own)


def things(engine: DockerEngine) -> list[str]:
    """Give all containers and volumes of the engine."""
    found = [each["Names"][0] for each in engine.client.api.containers(all=True)]
    volumes = engine.client.api.volumes()["Volumes"] or []
    return sorted([*found, *(each["Name"] for each in volumes)])


def python(text: str, **own: Any) -> Job:
    return Job(name="test", command=("python", "-c", text), **own)


def busy(runtime: DockerJob, ctx: FakeContext, ref: JsonObject) -> None:
    end = time.monotonic() + 120
    while "busy" not in runtime.logs(ctx, ref):
        assert time.monotonic() < end, runtime.poll(ctx, ref)
        time.sleep(0.05)


def test_docker_job_holds_to_the_contract(
    runtime: DockerJob, ctx: FakeContext, engine: DockerEngine
) -> None:
    check_batch_runtime(runtime, ctx)
    assert runtime.diagnose(ctx) == []


def test_a_job_is_locked_in(runtime: DockerJob, ctx: FakeContext, engine: DockerEngine) -> None:
    limits = {"cpus": 0.5, "memory": "64m", "processes": 20}
    own = docker_job(engine, runtime.image, limits=limits)
    ref = own.submit(ctx, python(LONG), key="a")
    busy(own, ctx, ref)
    told = engine.client.api.inspect_container(str(ref["name"]))
    host = told["HostConfig"]
    assert (host["Memory"], host["NanoCpus"], host["PidsLimit"]) == (64 << 20, 5 * 10**8, 20)
    assert (host["CapDrop"], host["NetworkMode"], host["ReadonlyRootfs"]) == (["ALL"], "none", True)
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["RestartPolicy"]["Name"] in ("", "no")
    assert told["Config"]["User"] == "65534:65534"
    own.cancel(ctx, ref)


def test_a_job_can_write_its_output_and_nothing_else(runtime: DockerJob, ctx: FakeContext) -> None:
    script = """
import os, pathlib
for place in ("/usr/bin/x", "/waystage/x", "/waystage/inputs/x"):
    try:
        pathlib.Path(place).write_text("x")
        print("could write", place)
    except OSError:
        pass
pathlib.Path("/tmp/x").write_text("x")
(pathlib.Path(os.environ["WAYSTAGE_OUTPUT"]) / "deep").mkdir()
(pathlib.Path(os.environ["WAYSTAGE_OUTPUT"]) / "deep" / "x").write_text(str(os.getuid()))
"""
    ref = runtime.submit(ctx, python(script), key="a")
    status = wait_until_ended(runtime, ctx, ref)
    assert (status.phase, runtime.logs(ctx, ref)) == ("succeeded", ""), status
    assert (runtime.outputs(ctx, ref) / "deep" / "x").read_text() == "65534"


def test_a_job_out_of_memory_says_so_with_its_limit(
    runtime: DockerJob, ctx: FakeContext, engine: DockerEngine
) -> None:
    own = docker_job(engine, runtime.image, limits={"memory": "32m"})
    ref = own.submit(ctx, python("print('grows', flush=True); x = b'x' * (1 << 28)"), key="a")
    status = wait_until_ended(own, ctx, ref)
    assert (status.phase, status.exit_code) == ("failed", 137)
    assert "out of memory: limits: {memory: 32m} is too little; grows" in status.message


def test_a_job_that_takes_too_long_is_ended(
    runtime: DockerJob, ctx: FakeContext, engine: DockerEngine
) -> None:
    own = docker_job(engine, runtime.image, seconds=1)
    ref = own.submit(ctx, python(LONG), key="a")
    status = wait_until_ended(own, ctx, ref)
    assert (status.phase, status.message) == ("failed", "it ran longer than the 1 s it may take")
    assert own.logs(ctx, ref) == "busy"


def test_how_far_a_job_is_can_be_seen(runtime: DockerJob, ctx: FakeContext) -> None:
    script = "import os; open(os.environ['WAYSTAGE_PROGRESS'], 'w').write('0.25'); " + LONG
    ref = runtime.submit(ctx, python(script), key="a")
    busy(runtime, ctx, ref)
    status = runtime.poll(ctx, ref)
    assert (status.phase, status.progress, status.message) == ("running", 0.25, "busy")
    runtime.cancel(ctx, ref)


def test_a_program_that_the_image_does_not_have_is_told(
    runtime: DockerJob, ctx: FakeContext
) -> None:
    ref = runtime.submit(ctx, Job(name="x", command=("no-such-program",)), key="a")
    status = runtime.poll(ctx, ref)
    assert (status.phase, status.exit_code) == ("failed", 127)
    assert "no-such-program" in status.message


def test_an_image_that_is_nowhere_parks_the_run(
    runtime: DockerJob, ctx: FakeContext, engine: DockerEngine
) -> None:
    own = docker_job(engine, "sha256:" + "0" * 64)
    with pytest.raises(Hopeless, match="the engine has no image sha256:0"):
        own.submit(ctx, python("pass"), key="a")
    away = docker_job(engine, "127.0.0.1:1/jobs@sha256:" + "0" * 64)
    with pytest.raises((Hopeless, Retryable), match=r"127\.0\.0\.1:1"):
        away.submit(ctx, python("pass"), key="b")


def test_an_input_that_is_not_there_leaves_nothing_and_may_come_later(
    runtime: DockerJob, ctx: FakeContext
) -> None:
    job = python("import os; print(open(os.environ['WAYSTAGE_INPUT_ROWS']).read())",
                 inputs={"rows": "rows.txt"})  # fmt: skip
    with pytest.raises(Hopeless, match=r"input rows is not there: .*rows\.txt"):
        runtime.submit(ctx, job, key="a")
    (ctx.project / "rows.txt").write_text("here it is")
    ref = runtime.submit(ctx, job, key="a")
    assert wait_until_ended(runtime, ctx, ref).phase == "succeeded"
    assert runtime.logs(ctx, ref) == "here it is"


def test_limits_that_the_machine_does_not_have_leave_nothing(
    runtime: DockerJob, ctx: FakeContext, engine: DockerEngine
) -> None:
    greedy = docker_job(engine, runtime.image, limits={"cpus": 1000})
    with pytest.raises(Hopeless, match=r"the Docker engine refuses: .*CPUs"):
        greedy.submit(ctx, python("pass"), key="a")
    ref = runtime.submit(ctx, python("pass"), key="a")
    assert wait_until_ended(runtime, ctx, ref).phase == "succeeded"


@pytest.mark.parametrize("link", ["/etc/passwd", "../../../etc/passwd"])
def test_an_output_that_leads_out_of_it_is_not_taken(
    runtime: DockerJob, ctx: FakeContext, link: str
) -> None:
    script = f"import os; os.symlink({link!r}, os.environ['WAYSTAGE_OUTPUT'] + '/x')"
    ref = runtime.submit(ctx, python(script), key="a")
    status = wait_until_ended(runtime, ctx, ref)
    assert status.phase == "failed"
    assert "the job's output cannot be taken" in status.message
    assert not runtime.outputs(ctx, ref).exists()


def test_a_container_that_somebody_removes_is_told_and_not_made_again(
    runtime: DockerJob, ctx: FakeContext, engine: DockerEngine
) -> None:
    job = python(LONG)
    ref = runtime.submit(ctx, job, key="a")
    busy(runtime, ctx, ref)
    engine.client.api.remove_container(str(ref["name"]), force=True)
    status = runtime.poll(ctx, ref)
    assert (status.phase, status.message) == (
        "failed", "its container is gone: somebody removed it",
    )  # fmt: skip
    runtime.submit(ctx, job, key="a")
    assert runtime.poll(ctx, ref).phase == "failed"


def test_projects_that_share_an_engine_have_containers_of_their_own(
    runtime: DockerJob, ctx: FakeContext, tmp_path: Path
) -> None:
    other = FakeContext(tmp_path / "other")
    refs = [runtime.submit(each, python(LONG), key="a") for each in (ctx, other)]
    assert refs[0] != refs[1]
    for each, ref in zip((ctx, other), refs, strict=True):
        busy(runtime, each, ref)
        runtime.cancel(each, ref)


def test_a_container_of_somebody_else_is_left_alone(
    runtime: DockerJob, ctx: FakeContext, engine: DockerEngine
) -> None:
    ref = runtime.submit(ctx, python(LONG), key="a")
    place = ctx.state / "jobs" / str(ref["name"])
    mine = (place / "container.json").read_text()
    write_json(place / "container.json", {"key": "a", "mark": "of another daemon"})
    with pytest.raises(Hopeless, match="that this daemon did not make"):
        runtime.poll(ctx, ref)
    assert place.name in "".join(things(engine))
    (place / "container.json").write_text(mine)
    runtime.cancel(ctx, ref)


@LEFT_OPEN
def test_a_step_waits_for_an_engine_that_goes_away_and_runs_the_job_anew(
    engine: DockerEngine, image: str, ctx: FakeContext
) -> None:
    before = things(engine)
    ctx.runtimes["jobs"] = docker_job(engine, image)
    step = RunBatch(command=("python", "-c", LONG))
    ctx.memo = waits(step.run(ctx)).memo
    ref = ctx.memo["ref"]
    assert isinstance(ref, dict)
    busy(docker_job(engine, image), ctx, ref)
    engine.stop()
    ctx.memo = waits(step.run(ctx)).memo
    assert "the Docker engine does not answer" in str(ctx.memo["said"])
    engine.start()
    with pytest.raises(Retryable, match="failed with exit code"):
        run_to_end(step, ctx, within=120)
    ctx.memo, ctx.attempt = {}, 2
    step = RunBatch(command=("python", "-c", "print('short')"))
    assert isinstance(run_to_end(step, ctx, within=120), Done)
    assert things(engine) == before


def test_what_a_run_leaves_behind_is_ended(runtime: DockerJob, ctx: FakeContext) -> None:
    ref = runtime.submit(ctx, python(LONG), key="one/1/a")
    assert runtime.end_unwanted(ctx, lambda of: {"one/1/a"}) == []
    assert runtime.end_unwanted(ctx, lambda of: ()) == ["one/1/a"]
    assert runtime.poll(ctx, ref).message == "it was cancelled"


def test_an_image_is_pulled_as_who_may_and_refused_to_others(
    engine: DockerEngine, ctx: FakeContext, tmp_path: Path
) -> None:
    try:
        registry = ImageRegistry(tmp_path / "registry", htpasswd=True)
    except NoRegistry as error:
        pytest.skip(str(error))
    before = things(engine)
    name = f"{registry.address}/jobs/shell"
    engine.make_base(f"{name}:1")
    api = engine.client.api
    login = {"username": USER, "password": PASSWORD}
    said = list(api.push(name, tag="1", stream=True, decode=True, auth_config=login))
    digest = next(word["aux"]["Digest"] for word in said if "Digest" in word.get("aux", {}))
    engine.client.images.remove(f"{name}:1", force=True)
    ctx.secrets["env/PULL"] = PASSWORD
    nobody = docker_job(engine, f"{name}@{digest}")
    job = Job(name="x", command=("/bin/busybox", "echo", "pulled"))
    with pytest.raises(Hopeless, match=r"pulling .*(no basic auth|authentication required|denied)"):
        nobody.submit(ctx, job, key="a")
    login = {"user": USER, "token": {"secret": "env/PULL"}}
    known = docker_job(engine, f"{name}@{digest}", login=login)
    ref = known.submit(ctx, job, key="a")
    assert wait_until_ended(known, ctx, ref).phase == "succeeded"
    assert known.logs(ctx, ref) == "pulled"
    registry.stop()
    assert things(engine) == before


def waits(answer: Answer) -> Waiting:
    assert isinstance(answer, Waiting), answer
    return answer


@LEFT_OPEN
def test_a_daemon_killed_at_any_line_of_submit_runs_one_container(
    runtime: DockerJob, ctx: FakeContext
) -> None:
    (ctx.project / "rows.txt").write_text("some rows")
    script = "import os; open(os.environ['WAYSTAGE_OUTPUT'] + '/ran', 'a').write('x')"
    job = python(script, inputs={"rows": "rows.txt"})
    keys = iter(range(10_000))
    key, refs = [next(keys)], []

    def submit() -> JsonObject:
        return runtime.submit(ctx, job, key=f"run/{key[0]}")

    files = [str(each.__file__) for each in (job_module, job_files, job_containers)]
    for _ in killed_at_each_line(submit, of=files, every=EVERY):
        refs.append(submit())
        key[0] = next(keys)
    refs.append(submit())
    assert len(refs) > 1
    for ref in refs:
        assert wait_until_ended(runtime, ctx, ref).phase == "succeeded"
        assert (runtime.outputs(ctx, ref) / "ran").read_text() == "x"


@LEFT_OPEN
def test_a_daemon_killed_at_any_line_of_the_last_look_takes_the_output_whole(
    runtime: DockerJob, ctx: FakeContext, engine: DockerEngine
) -> None:
    script = "import os; open(os.environ['WAYSTAGE_OUTPUT'] + '/x', 'w').write('x' * 100000)"
    keys = iter(range(10_000))

    def ended() -> JsonObject:
        ref = runtime.submit(ctx, python(script), key=f"run/{next(keys)}")
        engine.client.api.wait(str(ref["name"]))
        return ref

    current = [ended()]
    files = [str(each.__file__) for each in (job_module, job_files, job_containers)]
    for line in killed_at_each_line(lambda: runtime.poll(ctx, current[0]), of=files, every=EVERY):
        assert runtime.poll(ctx, current[0]).phase == "succeeded", f"killed at line {line}"
        assert (runtime.outputs(ctx, current[0]) / "x").stat().st_size == 100_000
        current[0] = ended()


def test_the_files_of_runs_that_are_forgotten_go(runtime: DockerJob, ctx: FakeContext) -> None:
    done = runtime.submit(ctx, python("pass"), key="one/1/a")
    wait_until_ended(runtime, ctx, done)
    going = runtime.submit(ctx, python(LONG), key="one/2/a")
    other = runtime.submit(ctx, python("pass"), key="two/1/a")
    wait_until_ended(runtime, ctx, other)
    busy(runtime, ctx, going)
    runtime.forget(ctx, {"one"})
    left = {path.name for path in (ctx.state / "jobs").iterdir()}
    assert left == {str(going["name"]), str(other["name"])}
    runtime.cancel(ctx, going)


def test_a_snapshot_is_scored_in_a_container(
    engine: DockerEngine, ctx: FakeContext, release: Callable[..., DeploySpec]
) -> None:
    before = things(engine)
    runtime = docker_job(engine, make_python_image(engine, "scoring", scoring=True))
    rows: Path = ctx.project / "rows.jsonl"
    each = [{"income": float(n), "children": 0, "purpose": "car"} for n in (-2, 0, 2)]
    rows.write_text("".join(json.dumps(row) + "\n" for row in each))
    ref = runtime.submit(ctx, runtime.score_command(release(), "rows.jsonl"), key="a")
    status = wait_until_ended(runtime, ctx, ref)
    assert status.phase == "succeeded", runtime.logs(ctx, ref)
    scores = (runtime.outputs(ctx, ref) / "scores.jsonl").read_text().splitlines()
    found = [json.loads(line)["score"] for line in scores]
    assert found == pytest.approx([0.26894, 0.73106, 0.95257], abs=1e-4)
    assert things(engine) == before
