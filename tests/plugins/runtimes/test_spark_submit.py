"""Python programs as applications of a real Spark: once per key, told how they end."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from spark_cluster import NoSpark, SparkCluster

from waystage.errors import Hopeless, Retryable
from waystage.plugin import Job, JsonObject
from waystage.testing import FakeContext
from waystage.testing.runtime_contracts import check_batch_runtime, wait_until_ended
from waystage_plugins.runtimes.files import read_json, write_json
from waystage_plugins.runtimes.spark import SparkSubmit, driver_script
from waystage_plugins.runtimes.spark.master import Master

WITHIN = 300.0
SUM = """
import os, pathlib
from pyspark.sql import SparkSession
session = SparkSession.builder.getOrCreate()
rows = session.read.json(os.environ["WAYSTAGE_INPUT_ROWS"])
total = rows.selectExpr("sum(n)").collect()[0][0]
pathlib.Path(os.environ["WAYSTAGE_OUTPUT"], "sum.txt").write_text(str(total))
pathlib.Path(os.environ["WAYSTAGE_OUTPUT"], "name.txt").write_text(session.sparkContext.appName)
print("the sum is", total)
"""
SLOW = """
import os, pathlib, time
from pyspark.sql import SparkSession
session = SparkSession.builder.getOrCreate()
pathlib.Path(os.environ["WAYSTAGE_PROGRESS"]).write_text("0.5")
print("tasks", session.range(100).count(), flush=True)
print("busy", flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[SparkCluster]:
    try:
        made = SparkCluster()
    except NoSpark as error:
        pytest.skip(str(error))
    yield made
    made.remove()


def by_rest(cluster: SparkCluster, **own: Any) -> SparkSubmit:
    conf = {
        "spark.driver.memory": "512m", "spark.executor.memory": "512m", "spark.cores.max": "1",
    }  # fmt: skip
    settings = {"master": cluster.master, "rest": cluster.rest, "python": cluster.python}
    return SparkSubmit.model_validate({**settings, "conf": conf, **own})


def by_program(cluster: SparkCluster, **own: Any) -> SparkSubmit:
    return by_rest(cluster, **{"rest": "", "program": cluster.program, **own})


def python(text: str, **own: Any) -> Job:
    return Job(name="test", command=("python", "-c", text), **own)


def until(look: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + WITHIN
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.1)
    raise AssertionError(what)


def rows(ctx: FakeContext) -> dict[str, str]:
    (ctx.project / "rows.jsonl").write_text("".join(f'{{"n": {n}}}\n' for n in range(101)))
    return {"rows": "rows.jsonl"}


@pytest.mark.heavy
@pytest.mark.slow
def test_spark_submit_by_rest_holds_to_the_contract(
    cluster: SparkCluster, ctx: FakeContext
) -> None:
    runtime = by_rest(cluster)
    check_batch_runtime(runtime, ctx, within=WITHIN)
    assert runtime.diagnose(ctx) == []


@pytest.mark.heavy
@pytest.mark.slow
def test_spark_submit_by_the_program_holds_to_the_contract(
    cluster: SparkCluster, ctx: FakeContext
) -> None:
    runtime = by_program(cluster)
    check_batch_runtime(runtime, ctx, within=WITHIN)
    assert runtime.diagnose(ctx) == []


@pytest.mark.heavy
@pytest.mark.slow
def test_executors_do_the_work_and_the_output_is_taken(
    cluster: SparkCluster, ctx: FakeContext
) -> None:
    runtime = by_program(cluster)
    ref = runtime.submit(ctx, python(SUM, inputs=rows(ctx)), key="a")
    status = wait_until_ended(runtime, ctx, ref, within=WITHIN)
    assert status.phase == "succeeded", (status, runtime.logs(ctx, ref))
    assert (runtime.outputs(ctx, ref) / "sum.txt").read_text() == "5050"
    assert (runtime.outputs(ctx, ref) / "name.txt").read_text() == ref["name"]
    assert runtime.logs(ctx, ref).splitlines()[-1] == "the sum is 5050"


@pytest.mark.heavy
@pytest.mark.slow
def test_an_application_says_how_far_it_is_and_is_gone_once_it_is_cancelled(
    cluster: SparkCluster, ctx: FakeContext
) -> None:
    runtime = by_rest(cluster)
    ref = runtime.submit(ctx, python(SLOW), key="a")
    until(lambda: "busy" in runtime.logs(ctx, ref), "the application does not begin")
    until(lambda: "tasks" in runtime.poll(ctx, ref).message, str(runtime.poll(ctx, ref)))
    status = runtime.poll(ctx, ref)
    assert (status.phase, status.progress) == ("running", 0.5)
    assert status.message.startswith("busy; ")
    assert cluster.active() == [ref["name"]]
    runtime.cancel(ctx, ref)
    status = wait_until_ended(runtime, ctx, ref, within=WITHIN)
    assert (status.phase, status.message) == ("failed", "it was cancelled")
    until(lambda: cluster.active() == [], "the application is still there")


@pytest.mark.heavy
@pytest.mark.slow
def test_a_job_that_was_submitted_twice_by_a_crash_runs_once(
    cluster: SparkCluster, ctx: FakeContext
) -> None:
    runtime = by_rest(cluster)
    script = "import os; open(os.environ['WAYSTAGE_OUTPUT'] + '/ran', 'a').write('x')"
    ref = runtime.submit(ctx, python(script), key="a")
    place = ctx.state / "spark" / "jobs" / str(ref["name"])
    told = read_json(place / "submitted.json")
    write_json(place / "submitted.json", {"at": told["at"]})  # the daemon died with the name
    assert runtime.submit(ctx, python(script), key="a") == ref
    second = read_json(place / "submitted.json").get("driver", told["driver"])
    assert wait_until_ended(runtime, ctx, ref, within=WITHIN).phase == "succeeded"
    master = Master(ctx, cluster.rest)
    for driver in {told["driver"], second}:
        until(lambda d=driver: master.status(d).state == "FINISHED", driver)  # type: ignore[misc]  # bound by the default
    assert (runtime.outputs(ctx, ref) / "ran").read_text() == "x"


@pytest.mark.heavy
@pytest.mark.slow
def test_a_master_that_goes_away_is_waited_for(cluster: SparkCluster, ctx: FakeContext) -> None:
    runtime = by_rest(cluster)
    cluster.stop("master")
    with pytest.raises(Retryable, match=r"the Spark master at .* does not answer"):
        runtime.submit(ctx, python("print('at last')"), key="a")
    assert runtime.diagnose(ctx) != []
    cluster.start_master()
    until(lambda: '"aliveworkers" : 1' in cluster.pages(), "the worker does not come back")
    ref = runtime.submit(ctx, python("print('at last')"), key="a")
    assert wait_until_ended(runtime, ctx, ref, within=WITHIN).phase == "succeeded"


@pytest.mark.heavy
@pytest.mark.slow
def test_a_driver_that_no_worker_has_room_for_waits_and_says_so(
    cluster: SparkCluster, ctx: FakeContext
) -> None:
    runtime = by_rest(cluster, conf={"spark.driver.memory": "100g"})
    ref = runtime.submit(ctx, python("pass"), key="a")
    status = runtime.poll(ctx, ref)
    assert (status.phase, status.message) == ("pending", "no worker has room for the driver yet")
    runtime.cancel(ctx, ref)
    assert wait_until_ended(runtime, ctx, ref, within=WITHIN).message == "it was cancelled"


def drive(place: Path, command: list[str], **more: Any) -> subprocess.CompletedProcess[str]:
    """Run the driver's script by itself: it needs Spark only if the job does."""
    place.mkdir(exist_ok=True)
    write_json(place / "job.json", {"command": command, "environment": {"SAID": "so"}})
    return subprocess.run(
        [sys.executable, str(driver_script.__file__), str(place)],
        capture_output=True, text=True, check=False, start_new_session=True, **more,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "code"),
    [("print('x')", 0), ("raise SystemExit(7)", 7), ("raise SystemExit('no')", 1), ("1/0", 1)],
)
def test_a_driver_writes_down_how_its_program_ended(tmp_path: Path, text: str, code: int) -> None:
    done = drive(tmp_path / "job", ["-c", text])
    assert done.returncode == code
    assert read_json(tmp_path / "job" / "ended.json") == {"code": code}


def test_a_driver_runs_files_and_modules_like_python_does(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import os, sys; print(sys.argv, os.environ['SAID'], __name__)")
    drive(tmp_path / "file", [str(script), "a", "b"])
    told = (tmp_path / "file" / "log.txt").read_text()
    assert told == f"['{script}', 'a', 'b'] so __main__\n"
    assert drive(tmp_path / "module", ["-m", "json.tool", "--help"]).returncode == 0
    assert "usage" in (tmp_path / "module" / "log.txt").read_text()


def test_a_second_driver_of_a_job_does_nothing(tmp_path: Path) -> None:
    command = ["-c", "import os; print('ran')"]
    for _ in range(2):
        assert drive(tmp_path / "job", command).returncode == 0
    assert (tmp_path / "job" / "log.txt").read_text() == "ran\n"


def test_a_driver_of_a_cancelled_job_does_nothing(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    write_json(tmp_path / "job" / "cancelled.json", {"why": "it was cancelled"})
    assert drive(tmp_path / "job", ["-c", "print('ran')"]).returncode == 0
    assert not (tmp_path / "job" / "log.txt").exists()


def test_a_job_that_is_not_in_python_is_refused(ctx: FakeContext) -> None:
    runtime = SparkSubmit(master="local[1]")
    with pytest.raises(Hopeless, match="runs programs in Python, not sh"):
        runtime.submit(ctx, Job(name="x", command=("sh", "-c", "true")), key="a")


@pytest.mark.parametrize(
    "settings", [{"master": "yarn", "rest": "http://m:6066"}, {"master": "yarn", "mount": "/x"}]
)
def test_settings_that_can_never_work_are_refused(settings: Any) -> None:
    with pytest.raises(ValueError, match=r"standalone masters|say that too"):
        SparkSubmit.model_validate(settings)


def test_a_job_that_is_not_there_is_absent_and_a_foreign_name_refused(ctx: FakeContext) -> None:
    runtime = SparkSubmit(master="local[1]")
    nowhere: JsonObject = {"name": "ws-nothing"}
    assert runtime.poll(ctx, nowhere).phase == "absent"
    runtime.cancel(ctx, nowhere)
    with pytest.raises(Hopeless, match="is no job of this runtime"):
        runtime.poll(ctx, {"name": "../../etc"})
