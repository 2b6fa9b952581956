"""Runs on one service on a cluster: each with a snapshot of its own, all with one inventory."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from waystage.plugin import Deployed, Done, JsonObject, OnlineRuntime, Placement, Undeployed
from waystage.testing import FakeContext, run_to_end
from waystage_plugins.repositories.folder import Folder

ROW = {"income": 1.0, "children": 2, "purpose": "car"}
MANIFEST: JsonObject = {
    "name": "credit", "services": ["credit-risk"], "format": "savedmodel", "author": "ada",
    "inputs": [{"name": "income"}], "outputs": [{"name": "score"}], "example": [dict(ROW)],
}  # fmt: skip


class Story:
    """Runs on one service: each with a snapshot of its own, all with one inventory."""

    def __init__(self, tmp_path: Path, secrets: dict[str, str], runtime: OnlineRuntime) -> None:
        self.root, self.secrets, self.runtime = tmp_path, secrets, runtime
        self.inventory: list[Placement] = []
        self.clock = FakeContext(tmp_path).clock

    def run(self, number: int) -> FakeContext:
        """Give the context of a run on a new version."""
        ctx = FakeContext(self.root, stage="PROD", repository=Folder(path="models"))
        source = self.root / f"source-{number}"
        source.mkdir()
        (source / "saved_model.pb").write_bytes(b"model %d" % number)
        ctx.snapshot = ctx.repository.register(ctx, source, MANIFEST, key=f"k{number}")
        ctx.run, ctx.key = f"credit-risk-{number}", f"credit-risk-{number}/1/step"
        ctx.runtimes["okd"], ctx.secrets, ctx.inventory = self.runtime, self.secrets, self.inventory
        return ctx

    def do(self, ctx: FakeContext, step: Any) -> Done:
        """Run a step and take its facts into the inventory."""
        answer = run_to_end(step, ctx, within=120)
        assert isinstance(answer, Done), answer
        for fact in answer.facts:
            self.clock.turn(timedelta(seconds=1))
            now = self.clock.now()
            if isinstance(fact, Deployed):
                self.inventory.append(Placement(ctx.service, ctx.snapshot, fact, ctx.run, now))
            if isinstance(fact, Undeployed):
                self.inventory[:] = [r for r in self.inventory if r.snapshot.id != ctx.snapshot.id]
        return answer
