"""What a step built is deployed by its digest, promoted, rolled back, and scored by TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from at_docker import NAME, asked
from docker_engine import DockerEngine
from saved_models import NoTensorFlow, real_models
from serving_image import TENSORFLOW

from waystage.errors import Hopeless
from waystage.plugin import Deployed, DeploySpec, Done, Placement, Snapshot, Undeployed
from waystage.testing import FakeContext, run_to_end
from waystage_plugins.images import BuildServingImage
from waystage_plugins.repositories.folder import Folder
from waystage_plugins.runtimes.docker import DockerServing
from waystage_plugins.steps.deploy import Deploy
from waystage_plugins.steps.probe import Probe
from waystage_plugins.steps.restore import Restore
from waystage_plugins.steps.undeploy import Undeploy

pytestmark = pytest.mark.heavy
Release = Callable[..., DeploySpec]
Runtime = Callable[..., DockerServing]
MANIFEST = {
    "name": "credit", "services": ["credit-risk"], "format": "savedmodel", "author": "ada",
    "inputs": [{"name": "income"}, {"name": "owner", "type": "boolean"}],
    "outputs": [{"name": "score"}], "example": [{"income": 100.0, "owner": False}],
}  # fmt: skip


class Walk:
    """A stage as the engine sees it: steps are run, and their facts kept in the inventory."""

    def __init__(self, ctx: FakeContext, runtime: DockerServing) -> None:
        self.ctx = ctx
        ctx.runtimes, ctx.repository = {"docker": runtime}, Folder(path="models")

    def register(self, spec: DeploySpec) -> Snapshot:
        """Have a version in the repository."""
        told = {**MANIFEST, "version": spec.snapshot.version}
        key = f"k{spec.snapshot.version}"
        return self.ctx.repository.register(self.ctx, Path(spec.source), told, key=key)

    def run(self, step: Any, snapshot: Snapshot, key: str, within: float = 90) -> Done:
        """Run a step of the snapshot's run."""
        ctx = self.ctx
        ctx.snapshot, ctx.key, ctx.memo = snapshot, f"{snapshot.version}/1/{key}", {}
        answer = run_to_end(step, ctx, within=within)
        assert isinstance(answer, Done), answer
        for fact in answer.facts:
            if isinstance(fact, Deployed):
                placed = Placement("credit-risk", snapshot, fact, ctx.run, ctx.now)
                ctx.inventory = [*ctx.inventory, placed]
                ctx.clock.turn(timedelta(seconds=1))
            if isinstance(fact, Undeployed):
                ctx.inventory = [p for p in ctx.inventory if p.snapshot.id != snapshot.id]
        return answer


def build(engine: DockerEngine, tag: str) -> BuildServingImage:
    told = {"base": "serving:2.19.1", "tag": tag, "builder": "docker", "engine": engine.host,
            "warm_up": True}  # fmt: skip
    return BuildServingImage.model_validate(told)


def test_built_images_run_each_in_a_container_and_a_rollback_goes_back(
    runtime: Runtime, ctx: FakeContext, release: Release, networked_engine: DockerEngine, world: Any
) -> None:
    walk, before = Walk(ctx, runtime(image="")), world()
    snapshots = [walk.register(release(v, slope=0.01 * int(v))) for v in ("1", "2")]
    urls = []
    for snapshot in snapshots:
        made = walk.run(build(networked_engine, snapshot.version), snapshot, "image")
        deploy = Deploy(image=made.output.image)  # type: ignore[union-attr]  # a model
        done = walk.run(deploy, snapshot, "deploy")
        urls.append(done.output.url)  # type: ignore[union-attr]  # a model
        walk.run(Probe(), snapshot, "probe")
    assert asked(urls[0]) == pytest.approx(0.7310586)
    assert asked(urls[1]) == pytest.approx(0.8807970)
    assert len(networked_engine.client.api.containers()) == 2
    wrong = release("3").model_copy(update={"image": networked_engine.client.images.get(
        "credit-risk:2").id})  # fmt: skip
    with pytest.raises(Hopeless, match="was built of credit/2, not of credit/3"):
        runtime(image="").apply(ctx, wrong)
    restored = walk.run(Restore(), snapshots[1], "restore")
    assert restored.output.restored == "credit/1"  # type: ignore[union-attr]  # a model
    assert len(networked_engine.client.api.containers()) == 1
    assert asked(urls[0]) == pytest.approx(0.7310586)
    walk.run(Undeploy(), snapshots[0], "undeploy")
    for tag in ("credit-risk:1", "credit-risk:2"):
        networked_engine.client.images.remove(tag)
    assert world() == before


def test_steps_promote_and_roll_back_in_one_server(
    runtime: Runtime, ctx: FakeContext, release: Release, networked_engine: DockerEngine, world: Any
) -> None:
    walk, before = Walk(ctx, runtime()), world()
    first, second = (walk.register(release(v, slope=0.01 * int(v))) for v in ("1", "2"))
    url = walk.run(Deploy(), first, "deploy").output.url  # type: ignore[union-attr]  # a model
    assert url.endswith("/labels/champion")
    again = walk.run(Deploy(), second, "deploy").output.url  # type: ignore[union-attr]  # a model
    assert again == url, "callers keep their address"
    assert asked(url) == pytest.approx(0.8807970)
    walk.run(Probe(), second, "probe")
    walk.run(Restore(), second, "restore")
    assert asked(url) == pytest.approx(0.7310586)
    assert [c["Names"] for c in networked_engine.client.api.containers()] == [[f"/{NAME}"]]
    walk.run(Undeploy(), first, "undeploy")
    assert world() == before


def test_tensorflow_scores_in_the_container(
    runtime: Runtime, ctx: FakeContext, release: Release
) -> None:
    try:
        served, _ = real_models()
    except NoTensorFlow as error:
        pytest.skip(str(error))
    if not (TENSORFLOW / "tensorflow").is_dir():
        pytest.skip(f"NOT TESTED: no TensorFlow for this Python in {TENSORFLOW}")
    files = {p.relative_to(served).as_posix(): p.read_bytes()
             for p in served.rglob("*") if p.is_file()}  # fmt: skip
    docker = runtime(limits={"cpus": 2, "memory": "3g"})
    walk = Walk(ctx, docker)
    snapshot = walk.register(release("7", files=files))
    done = walk.run(Deploy(), snapshot, "deploy", within=300)  # TensorFlow takes its time
    assert asked(done.output.url) == pytest.approx(0.7310586)  # type: ignore[union-attr]  # a model
    probed = walk.run(Probe(), snapshot, "probe")
    assert probed.output.scores == pytest.approx([0.7310586])  # type: ignore[union-attr]  # a model
