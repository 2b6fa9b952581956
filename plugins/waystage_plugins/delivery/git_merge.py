"""The step `git.merge`."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, Field

from waystage.plugin import Answer, Change, Context, Done, Refused
from waystage_plugins.delivery.clone import KEY, Clone, Tree, key_of, message
from waystage_plugins.delivery.connected import COMMIT, Branch, GitStep
from waystage_plugins.delivery.program import Declined


class GitMerge(GitStep):
    """Merge the commit that people have approved from its branch, and push.

        - id: merge
          use: git.merge
          with:
            repository: "https://git.example.org/risk/deployments.git"
            token: {secret: env/GIT_TOKEN}
            commit: 1f6e8d3c9b0a4e57c2d1f0b9a8e7d6c5b4a39281
            from: waystage/credit-risk-1
            into: main
            message: "credit-risk: {{ snapshot.version }}, approved by {{ tasks.release.by }}"

    It is refused when the branch has moved since (`commit` is not its tip any more, so nobody has
    approved what it has now), or when both branches have changed the same lines. What is merged
    already stays so. The branch `from` is removed afterwards.
    """

    use: ClassVar[str] = "git.merge"
    changes: ClassVar[Change] = "forward"

    commit: str = Field(pattern=COMMIT)
    from_: Branch = Field(alias="from")
    into: Branch = "main"
    message: str = Field(min_length=1, max_length=500)

    class Output(BaseModel):
        """The commit of `into` that has what was approved, and whether this step made one."""

        commit: str = Field(pattern=COMMIT)
        changed: bool

    def run(self, ctx: Context) -> Answer:
        """Find the merge of this key, or make it."""
        key = key_of(ctx, self.commit, self.into)
        with self.clone(ctx) as clone:
            if known := clone.found(clone.need(self.into), KEY, key):
                return self._done(clone, known[0], changed=True)
            if self._merged(clone, self.into):
                return self._done(clone, clone.need(self.into), changed=False)
            tip = clone.tip(self.from_)
            if tip != self.commit:
                return Refused(f"{self.from_} is at {tip or 'nothing'} now, not at {self.commit}")
            try:
                made = clone.changed(self.into, self.into, lambda t: self._merge(ctx, t, key))
            except Declined as error:
                return Refused(str(error))
            return self._done(clone, made or clone.need(self.into), changed=made is not None)

    def _merged(self, clone: Clone, branch: str) -> bool:
        asked = clone.git.attempt(
            "merge-base", "--is-ancestor", self.commit, f"refs/heads/{branch}"
        )
        return asked.returncode == 0

    def _merge(self, ctx: Context, tree: Tree, key: str) -> str | None:
        words = ("merge", "--quiet", "--no-ff", "--no-commit", self.commit)
        done = tree.git.attempt(*words, cwd=tree.place)
        if done.returncode:
            said = " ".join((done.stdout + done.stderr).split())[-300:]
            raise Declined(f"{self.commit} does not go together with {self.into}: {said}")
        return tree.commit(message(ctx, self.message, key))

    def _done(self, clone: Clone, commit: str, *, changed: bool) -> Done:
        clone.drop(self.from_, self.commit)
        return Done(self.Output(commit=commit, changed=changed))
