"""Jobs on Kubernetes: once per key, through a shared volume, their ends told."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from waystage.errors import Hopeless, Retryable
from waystage.plugin import DeploySpec, Job
from waystage.testing import FakeContext
from waystage.testing.runtime_contracts import check_batch_runtime, wait_until_ended
from waystage_plugins.runtimes.kubernetes import KubernetesJob, cluster
from waystage_plugins.runtimes.kubernetes.job_manifest import job_manifest
from waystage_plugins.runtimes.kubernetes.rbac import manifests

from .conftest import BOTH, World, wait

Spec = Callable[..., DeploySpec]
IMAGE = "registry.example/jobs@sha256:" + "c" * 64


def runtime_of(world: World, tmp_path: Path, **more: Any) -> KubernetesJob:
    """Give the runtime; jobs see the volume where this machine has it."""
    world.grant("kubernetes.job")
    volume = tmp_path / "volume"
    volume.mkdir()
    told = world.settings(
        namespace=world.namespace, image=IMAGE, claim="jobs", directory=str(volume),
        mount=str(volume), **more,
    )  # fmt: skip
    return KubernetesJob.model_validate(told)


@BOTH
def test_it_holds_to_the_contract_of_batch_runtimes(
    world: World, ctx: FakeContext, tmp_path: Path
) -> None:
    check_batch_runtime(runtime_of(world, tmp_path), ctx, python=sys.executable)


def test_an_answer_that_is_lost_after_the_effect_leaves_one_job(
    world: World, ctx: FakeContext, tmp_path: Path
) -> None:
    assert world.api is not None
    runtime = runtime_of(world, tmp_path)
    job = Job(name="once", command=("sh", "-c", "echo x >> $WAYSTAGE_OUTPUT/count"))
    world.api.lose_answers = 1
    with pytest.raises(Retryable, match="does not answer"):
        runtime.submit(ctx, job, key="r/1/s")
    ref = runtime.submit(ctx, job, key="r/1/s")
    assert wait_until_ended(runtime, ctx, ref).phase == "succeeded"
    assert (runtime.outputs(ctx, ref) / "count").read_text() == "x\n"
    assert len(world.all("jobs", "batch/v1")) == 1


def test_how_far_it_is_is_told_and_what_a_run_leaves_behind_is_ended(
    world: World, ctx: FakeContext, tmp_path: Path
) -> None:
    runtime = runtime_of(world, tmp_path)
    script = "echo 0.5 > $WAYSTAGE_PROGRESS; sleep 600"
    ref = runtime.submit(ctx, Job(name="long", command=("sh", "-c", script)), key="r/1/s")
    wait(lambda: runtime.poll(ctx, ref).progress == 0.5)
    assert runtime.end_unwanted(ctx, lambda of: {"r/1/s"}) == []
    assert runtime.end_unwanted(ctx, lambda of: ()) == ["r/1/s"]
    wait(lambda: world.all("jobs", "batch/v1") == [])
    assert runtime.poll(ctx, ref).message == "it was cancelled"


def test_only_what_waystage_puts_in_is_filled_in(
    world: World, ctx: FakeContext, tmp_path: Path
) -> None:
    runtime = runtime_of(world, tmp_path)
    (ctx.project / "rows.txt").write_text("rows")
    words = ("sh", "-c", 'printf "%s|" "$@" "$SAID"', "sh", "$(SAID)", "$(WAYSTAGE_INPUT_ROWS)")
    job = Job(name="words", command=words, inputs={"rows": "rows.txt"},
              environment={"SAID": "$(HOME)"})  # fmt: skip
    ref = runtime.submit(ctx, job, key="r/1/s")
    assert wait_until_ended(runtime, ctx, ref).phase == "succeeded"
    literal, place, said, _ = runtime.logs(ctx, ref).split("|")
    assert (literal, said) == ("$(SAID)", "$(HOME)")
    assert Path(place).read_text() == "rows"
    assert place.startswith(str(tmp_path / "volume"))


def test_what_is_on_the_volume_already_is_not_copied(
    world: World, ctx: FakeContext, tmp_path: Path
) -> None:
    runtime = runtime_of(world, tmp_path)
    rows = tmp_path / "volume" / "rows.txt"
    rows.write_text("rows")
    job = Job(name="read", command=("cat", "$(WAYSTAGE_INPUT_ROWS)"), inputs={"rows": str(rows)})
    ref = runtime.submit(ctx, job, key="r/1/s")
    assert wait_until_ended(runtime, ctx, ref).phase == "succeeded"
    assert runtime.logs(ctx, ref) == "rows"
    assert not list((tmp_path / "volume" / "jobs").glob("*/inputs"))


@BOTH
def test_a_job_that_cannot_start_is_told_and_never_starts_late(
    world: World, ctx: FakeContext, tmp_path: Path
) -> None:
    world.kubelet.plans["registry.example/jobs"] = "unauthorized"
    runtime = runtime_of(world, tmp_path)
    job = Job(name="late", command=("sh", "-c", "true"))
    ref = runtime.submit(ctx, job, key="r/1/s")
    status = wait_until_ended(runtime, ctx, ref)
    assert status.phase == "failed"
    assert status.message.startswith("image pull: unauthorized")
    wait(lambda: world.all("jobs", "batch/v1") == [])
    world.kubelet.plans.clear()
    runtime.submit(ctx, job, key="r/1/s")
    assert runtime.poll(ctx, ref) == status
    assert world.all("jobs", "batch/v1") == []


def test_a_job_that_somebody_took_away_is_absent(
    world: World, ctx: FakeContext, tmp_path: Path
) -> None:
    runtime = runtime_of(world, tmp_path)
    ref = runtime.submit(ctx, Job(name="gone", command=("sleep", "60")), key="r/1/s")
    world.kubelet.call("DELETE", f"{world.root('batch/v1')}/jobs/{ref['name']}")
    assert runtime.poll(ctx, ref).phase == "absent"


def test_jobs_of_runs_that_are_forgotten_go_with_their_files_when_they_have_ended(
    world: World, ctx: FakeContext, tmp_path: Path
) -> None:
    runtime = runtime_of(world, tmp_path)
    short, long = Job(name="short", command=("true",)), Job(name="long", command=("sleep", "60"))
    refs = {
        key: runtime.submit(ctx, job, key=key)
        for key, job in (("old/1/s", short), ("old/2/s", long), ("new/1/s", short))
    }
    for key in ("old/1/s", "new/1/s"):
        assert wait_until_ended(runtime, ctx, refs[key]).phase == "succeeded"
    runtime.forget(ctx, {"old"})
    left = {each["metadata"]["name"] for each in world.all("jobs", "batch/v1")}
    assert left == {refs["old/2/s"]["name"], refs["new/1/s"]["name"]}
    assert {path.name for path in (tmp_path / "volume" / "jobs").iterdir()} == left


def test_a_job_of_elsewhere_is_not_touched(world: World, ctx: FakeContext, tmp_path: Path) -> None:
    runtime = runtime_of(world, tmp_path)
    for ref in ({"namespace": "other", "name": "ws-a"}, {"namespace": "models", "name": "../.."}):
        with pytest.raises(Hopeless, match="is none of models"):
            runtime.cancel(ctx, dict(ref))


def test_a_volume_that_is_not_there_is_told(world: World, ctx: FakeContext, tmp_path: Path) -> None:
    runtime = runtime_of(world, tmp_path).model_copy(update={"directory": "nowhere"})
    with pytest.raises(Hopeless, match="nowhere is no directory"):
        runtime.submit(ctx, Job(name="a", command=("true",)), key="k")
    assert "nowhere is no directory" in runtime.diagnose(ctx)[0]


def test_a_snapshot_s_files_get_to_the_job_that_scores(
    world: World, ctx: FakeContext, tmp_path: Path, spec: Spec
) -> None:
    runtime = runtime_of(world, tmp_path)
    (ctx.project / "model").mkdir()
    (ctx.project / "model" / "model.onnx").write_text("graph")
    (ctx.project / "rows.jsonl").write_text("{}\n")
    told = runtime.score_command(spec(source=str(ctx.project / "model")), "rows.jsonl")
    assert told.command[-1] == "$(WAYSTAGE_INPUT_MODEL)"
    shown = told.model_copy(update={"command": ("ls", told.command[-1])})
    ref = runtime.submit(ctx, shown, key="r/1/s")
    assert wait_until_ended(runtime, ctx, ref).phase == "succeeded"
    assert runtime.logs(ctx, ref) == "model.onnx\n"


def test_a_job_fits_the_schemas_and_the_rules_for_restricted_pods(
    world: World, ctx: FakeContext, tmp_path: Path
) -> None:
    validate = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes-validate is not installed"
    )
    runtime = runtime_of(world, tmp_path, seconds=60, pull_secret="pull")
    plan = runtime._plan(ctx, Job(name="a", command=("true",)), "k", "ws-a-1", tmp_path / "volume")
    made = json.loads(json.dumps(job_manifest(plan)))
    validate.validate(made, "1.31", strict=True)
    pod = made["spec"]["template"]["spec"]
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["automountServiceAccountToken"] is False
    assert "runAsUser" not in json.dumps(made)


def test_the_role_is_what_is_used_and_nothing_more(
    world: World, ctx: FakeContext, tmp_path: Path
) -> None:
    assert world.api is not None
    cluster._tokens.clear()
    runtime = runtime_of(world, tmp_path, service_account="waystage")
    world.kubelet.plans["registry.example/jobs"] = "unauthorized"
    ref = runtime.submit(ctx, Job(name="a", command=("true",)), key="a/1/s")
    wait_until_ended(runtime, ctx, ref)
    world.kubelet.plans.clear()
    ref = runtime.submit(ctx, Job(name="a", command=("false",)), key="b/1/s")
    assert wait_until_ended(runtime, ctx, ref).exit_code == 1
    runtime.logs(ctx, ref)
    runtime.forget(ctx, {"b"})
    granted = {
        (group, what, verb)
        for rule in manifests("kubernetes.job", "models")[2]["rules"]
        for group in rule["apiGroups"] for what in rule["resources"] for verb in rule["verbs"]
    }  # fmt: skip
    user = "system:serviceaccount:models:waystage"
    used = {(g, what, verb) for who, verb, g, what in world.api.store.calls if who == user}
    assert used == granted
