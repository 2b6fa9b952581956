"""The steps of a lifecycle on OpenShift, and the stage file that the documentation shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from cluster_story import Story

from waystage.cli.main import run
from waystage.errors import Hopeless, Retryable
from waystage.plugin import Done, Handle, Observation, Waiting
from waystage.testing import FakeContext, check_step, run_to_end
from waystage_plugins.steps.deploy import Deploy
from waystage_plugins.steps.probe import Probe
from waystage_plugins.steps.restore import Restore
from waystage_plugins.steps.split import Split
from waystage_plugins.steps.undeploy import Undeploy

from .conftest import IMAGE, World, wait

HOW_TO = Path(__file__).parents[4] / "docs" / "how-to" / "openshift.md"


@pytest.fixture
def story(world: World, ctx: FakeContext, tmp_path: Path) -> Story:
    return Story(tmp_path, ctx.secrets, world.openshift())


def _shares(world: World) -> list[int]:
    (route,) = world.all("routes", "route.openshift.io/v1")
    rows = [route["spec"]["to"], *route["spec"].get("alternateBackends", ())]
    return [row["weight"] for row in rows]


def test_a_model_is_deployed_probed_replaced_restored_and_taken_out(
    world: World, story: Story
) -> None:
    first, second = story.run(1), story.run(2)
    done = story.do(first, Deploy(image=IMAGE))
    assert str(done.output.url).endswith("/v1/models/credit-risk")  # type: ignore[union-attr]  # of the step's own type
    assert story.do(first, Probe()).output.scores == [0.3]  # type: ignore[union-attr]  # of the step's own type
    story.do(second, Deploy(image=IMAGE.replace("a" * 64, "b" * 64)))
    story.do(second, Probe())
    assert len(world.all("deployments", "apps/v1")) == 2
    restored = story.do(second, Restore())
    assert restored.output.restored == "credit/1"  # type: ignore[union-attr]  # of the step's own type
    (left,) = world.all("deployments", "apps/v1")
    assert left["metadata"]["annotations"]["waystage.dev/snapshot"] == "credit/1"
    story.do(first, Probe())
    story.do(first, Undeploy())
    assert world.names() == set()


def test_a_deployment_is_done_only_when_its_route_leads_to_it(world: World, story: Story) -> None:
    world.kubelet.routes_lead_here = False
    ctx = story.run(1)

    def seen() -> Observation:
        waits = Deploy(image=IMAGE).run(ctx)
        assert isinstance(waits, Waiting), waits
        ctx.memo = waits.memo
        return story.runtime.observe(ctx, Handle.model_validate({"ref": ctx.memo["handle"]}))

    wait(lambda: seen().message == "the Route is new")
    assert seen().phase == "pending"
    world.kubelet.routes_lead_here = True
    answer = run_to_end(Deploy(image=IMAGE), ctx)
    assert isinstance(answer, Done)
    assert "127.0.0.1" in str(answer.output.url)  # type: ignore[union-attr]  # of the step's own type


def test_a_route_that_no_router_takes_fails_the_deployment(world: World, story: Story) -> None:
    world.kubelet.refuse_routes = "HostAlreadyClaimed"
    with pytest.raises(Retryable, match=r"failed in PROD/okd: route: .*HostAlreadyClaimed: taken"):
        run_to_end(Deploy(image=IMAGE), story.run(1))


def test_a_challenger_is_given_a_share_once_whoever_asks_again(world: World, story: Story) -> None:
    first, second = story.run(1), story.run(2)
    story.do(first, Deploy(image=IMAGE))
    story.do(second, Deploy(image=IMAGE, role="challenger"))
    assert _shares(world) == [100]
    check_step(Split(percent=10), second, world=lambda: _shares(world))
    assert _shares(world) == [90, 10]
    story.do(second, Undeploy())
    assert _shares(world) == [100]
    with pytest.raises(Hopeless, match="credit/2 is no challenger in PROD; deploy it"):
        run_to_end(Split(percent=10), second)


def test_the_stage_of_the_how_to_holds_together_with_a_lifecycle_that_uses_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not HOW_TO.is_file():
        pytest.skip("the checkout's docs are not beside the tests")
    blocks = re.findall(r"^```yaml\n(.*?)^```", HOW_TO.read_text(), re.MULTILINE | re.DOTALL)
    stage, steps = blocks[0], yaml.safe_load(blocks[1])
    assert stage.startswith("stage: PROD")
    settings = {"base": "tensorflow/serving:2.19.1", "tag": "{{ snapshot.version }}"}
    build = {"id": "image", "use": "tfserving.build", "with": settings}
    lifecycle = {
        "lifecycle": "on-openshift", "services": ["cc-fraud"], "initial": "build",
        "states": {
            "build": {"stage": "PROD", "steps": [build], "next": {"done": "deploy"}},
            "deploy": {"stage": "PROD", "steps": steps,
                       "next": {"done": "share", "refused": "closed"}},
            "share": {"stage": "PROD", "next": {"done": "closed"},
                      "steps": [{"use": "runtime.split", "with": {"percent": 10}}]},
            "closed": {"final": True},
        },
    }  # fmt: skip
    for directory, text in (
        ("stages", stage),
        ("lifecycles", yaml.safe_dump(lifecycle, sort_keys=False)),
    ):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / "it.yaml").write_text(text)
    (tmp_path / "waystage.yaml").write_text("project: shown\nservices: {cc-fraud: {owner: ada}}\n")
    code = run(["--project", str(tmp_path), "validate"])
    assert code == 0, capsys.readouterr().out
    other = stage.replace("use: openshift.tfserving", "use: kubernetes.tfserving")
    (tmp_path / "stages" / "it.yaml").write_text(other)
    assert run(["--project", str(tmp_path), "validate"]) == 1
    assert "project" in capsys.readouterr().out
