"""Bad tokens, quotas, hosts, images and models on OpenShift: told as the how-to says, and undone.

Each row of the how-to's table "When it goes wrong" is played while a champion serves. What is told
holds what the row says, no object is left, the champion answers, and what the row says as the cure
brings the new snapshot up by the same step.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from cluster_story import ROW, Story
from kube_answers import Answered
from kubelet import PLAIN, ModelServer

from waystage.errors import WaystageError
from waystage.plugin import Deployed, Done, Handle, OnlineRuntime, Refused, Waiting
from waystage.testing import FakeContext, run_to_end
from waystage_plugins.steps.deploy import Deploy

from .conftest import IMAGE, World, wait

HOW_TO = Path(__file__).parents[4] / "docs" / "how-to" / "openshift.md"
SECOND = "b" * 64
QUOTA = 'services "x" is forbidden: exceeded quota: few, requested: services=1, limited: services=1'
ENDING = "x is forbidden: unable to create new content because it is being terminated"
Broken = Callable[[World, Story], Callable[[], object]]


def table() -> dict[str, str]:
    """Give what the how-to says is told, by what went wrong."""
    if not HOW_TO.is_file():
        pytest.skip("the checkout's docs are not beside the tests")
    section = HOW_TO.read_text().partition("## When it goes wrong")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:2] == "| "]
    return {row[0]: row[1] for row in rows[1:]}


def _token(world: World, story: Story) -> Callable[[], object]:
    story.secrets["env/TOKEN"] = "token-of-yesterday"
    return lambda: story.secrets.pop("env/TOKEN")


def _plan(plan: str) -> Broken:
    def broken(world: World, story: Story) -> Callable[[], object]:
        world.kubelet.plans[SECOND] = plan
        return world.kubelet.plans.clear

    return broken


def _refused(plural: str, code: int, reason: str, told: str) -> Broken:
    def broken(world: World, story: Story) -> Callable[[], object]:
        assert world.api is not None
        world.api.refusals[plural] = Answered(code, reason, told)
        return world.api.refusals.clear

    return broken


def _pods(world: World, story: Story) -> Callable[[], object]:
    quotas = f"{world.root()}/resourcequotas"
    world.kubelet.call("POST", quotas, {
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"},
        "spec": {"hard": {"pods": "1"}},
    })  # fmt: skip
    return lambda: world.kubelet.call("DELETE", f"{quotas}/few")


def _project(world: World, story: Story) -> Callable[[], object]:
    assert world.api is not None
    known = world.api.projects
    phase = known.pop(world.namespace)
    return lambda: known.update({world.namespace: phase})


def _answers(status: int, body: str) -> Broken:
    def broken(world: World, story: Story) -> Callable[[], object]:
        ModelServer.answer = (status, body)
        return lambda: setattr(ModelServer, "answer", None)

    return broken


def _unsigned(world: World, story: Story) -> Callable[[], object]:
    ModelServer.inputs = None
    return lambda: setattr(ModelServer, "inputs", PLAIN)


def _restarting(world: World, story: Story) -> Callable[[], object]:
    assert world.api is not None
    api, port = world.api, world.api.server.server_port
    api.close()
    return lambda: api.listen(port)


CASES: dict[str, Broken] = {
    "The token is wrong or has ended": _token,
    "The API server restarts": _restarting,
    "The project is missing": _project,
    "The namespace is missing": _refused(
        "deployments", 404, "NotFound", 'namespaces "models" not found'
    ),
    "The namespace is being taken away": _refused("deployments", 403, "Forbidden", ENDING),
    "A quota of pods is used up": _pods,
    "A quota of objects is used up": _refused("services", 403, "Forbidden", QUOTA),
    "The image cannot be pulled": _plan("unauthorized"),
    "The node runs another image than the digest says": _plan("other image"),
    "The image has no model": _plan("no model"),
    "The server crashes": _plan("crash"),
    "The SavedModel has no signature": _unsigned,
    "The model answers NaN": _answers(200, '{"predictions": [[NaN, NaN]]}'),
}
FIRST = {"The Route's host is taken"}
LATE = {"The node runs another image than the digest says", "The image has no model"}


@contextmanager
def champion(world: World, story: Story) -> Iterator[OnlineRuntime]:
    """Have a champion that serves before and after something goes wrong."""
    ctx = story.run(1)
    done = story.do(ctx, Deploy(image=IMAGE))
    (fact,) = done.facts
    assert isinstance(fact, Deployed)
    handle, before = Handle(ref=fact.handle), world.names()
    yield story.runtime
    assert world.names() == before, "something is left, or the champion lost something"
    assert story.runtime.observe(ctx, handle).phase == "ready"
    assert story.runtime.predict(ctx, handle, [dict(ROW)]) == [{"score": 0.3}]


def told_by(step: Deploy, ctx: FakeContext, *, late: str = "") -> str:
    """Give the one line with which a deployment fails or is refused.

    With the row of what never fails, the time is over once the cluster tells what is the matter.
    """
    if late:
        waits = step.run(ctx)
        assert isinstance(waits, Waiting), waits
        ctx.memo = waits.memo
        handle = Handle.model_validate({"ref": waits.memo["handle"]})
        wait(lambda: _is_told(ctx, handle, late), within=60)
        step = step.model_copy(update={"ready_within": timedelta(microseconds=1)})
    try:
        answer = run_to_end(step, ctx, within=120)
    except WaystageError as error:
        return str(error)
    assert isinstance(answer, Refused), answer
    return answer.why


def pieces(row: str) -> list[str]:
    """Give what a row of the how-to quotes."""
    return re.findall(r"`([^`]+)`", table()[row])


def _is_told(ctx: FakeContext, handle: Handle, row: str) -> bool:
    seen = ctx.runtimes["okd"].observe(ctx, handle)
    return all(each in f"{seen.reason} {seen.message}" for each in pieces(row))


def check(told: str, row: str) -> None:
    """Hold what was told to the how-to."""
    assert "\n" not in told
    assert "token-of-yesterday" not in told
    assert pieces(row), row
    for each in pieces(row):
        assert each in told, f"the how-to says {each!r}, a person is told {told!r}"


@pytest.fixture
def story(world: World, ctx: FakeContext, tmp_path: Path) -> Story:
    return Story(tmp_path, ctx.secrets, world.openshift())


def test_the_how_to_has_every_row_and_no_other() -> None:
    assert table().keys() == CASES.keys() | FIRST


@pytest.mark.parametrize("row", CASES)
def test_it_is_told_leaves_nothing_and_the_champion_serves_on(
    world: World, story: Story, row: str
) -> None:
    step = Deploy(image=IMAGE.replace("a" * 64, SECOND))
    with champion(world, story):
        second = story.run(2)
        mended = CASES[row](world, story)
        told = told_by(step, second, late=row if row in LATE else "")
        mended()
    check(told, row)
    second.attempt = 2
    story.do(second, step)
    assert world.api is not None
    # the API is asked, never watched: there is no watch that could end unnoticed
    assert not any("watch=" in path for _, path in world.api.requests)


def test_a_host_that_is_taken_is_told_and_leaves_nothing(world: World, story: Story) -> None:
    world.kubelet.refuse_routes = "HostAlreadyClaimed"
    ctx = story.run(1)
    told = told_by(Deploy(image=IMAGE), ctx)
    check(told, "The Route's host is taken")
    wait(lambda: world.names() == set())
    world.kubelet.refuse_routes = ""
    ctx.attempt = 2
    assert isinstance(run_to_end(Deploy(image=IMAGE), ctx, within=120), Done)
