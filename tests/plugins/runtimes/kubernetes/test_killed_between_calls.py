"""A daemon that is killed at any line of a call finishes the call in its next life."""

from __future__ import annotations

import os
from collections.abc import Callable

from waystage.plugin import DeploySpec
from waystage.testing import FakeContext
from waystage.testing.runtime_contracts import killed_at_each_line, wait_until_ready
from waystage_plugins.runtimes.kubernetes import api, openshift, serving, sharing

from .conftest import World

Spec = Callable[..., DeploySpec]
FILES = [str(module.__file__) for module in (api, openshift, serving, sharing)]
# one line in so many; `WAYSTAGE_EVERY_LINE=1` takes all of them
EVERY = int(os.environ.get("WAYSTAGE_EVERY_LINE", "23"))


def test_applying_leaves_one_of_each_whenever_it_was_cut_off(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    runtime, died = world.openshift(), 0
    ctx.secret("env/TOKEN")
    for line in killed_at_each_line(lambda: runtime.apply(ctx, spec()), of=FILES, every=EVERY):
        runtime.delete(ctx, runtime.apply(ctx, spec()))
        assert world.names() == set(), f"killed at line {line}"
        died += 1
    assert died * EVERY > 100
    assert len(world.all("deployments", "apps/v1")) == 1


def test_a_takeover_and_its_end_are_finished_whenever_they_were_cut_off(
    world: World, ctx: FakeContext, spec: Spec
) -> None:
    runtime = world.openshift()
    old, died = runtime.apply(ctx, spec("1")), 0
    runtime.set_traffic(ctx, old)
    new = runtime.apply(ctx, spec("2"))

    def there_and_back() -> None:
        runtime.set_traffic(ctx, new)
        runtime.delete(ctx, new)

    for line in killed_at_each_line(there_and_back, of=FILES, every=EVERY):
        there_and_back()
        (route,) = world.all("routes", "route.openshift.io/v1")
        assert route["spec"]["to"]["name"] == old.ref["name"], f"killed at line {line}"
        runtime.apply(ctx, spec("2"))
        died += 1
    assert died * EVERY > 100
    wait_until_ready(runtime, ctx, old)
