"""The step `git.revert`."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, Field

from waystage.errors import Hopeless
from waystage.plugin import Answer, Change, Context, Done
from waystage_plugins.delivery.clone import KEY, REVERTS, RUN, Clone, Tree, key_of, message, run_of
from waystage_plugins.delivery.connected import COMMIT, Branch, GitStep, RepositoryPath
from waystage_plugins.delivery.program import lines


class GitRevert(GitStep):
    """Take back what this run has committed to a file of a Git repository, and push.

        - id: revert
          use: git.revert
          with:
            repository: "https://git.example.org/risk/deployments.git"
            token: {secret: env/GIT_TOKEN}
            branch: main
            path: credit-risk/PROD/values.yaml
            message: "credit-risk: back to the version before {{ snapshot.version }}"

    The run's commits to the file are reverted by one commit, the newest first, merged ones too;
    what was reverted before is left alone. Nothing to take back is fine: `changed` is false then.
    Lines that somebody else has changed since are theirs: the step fails and says so.
    """

    use: ClassVar[str] = "git.revert"
    refuses: ClassVar[bool] = False
    changes: ClassVar[Change] = "back"

    branch: Branch = "main"
    path: RepositoryPath
    message: str = Field(min_length=1, max_length=500)

    class Output(BaseModel):
        """The commit of the branch in which it is taken back, and whether this step made it."""

        commit: str = Field(pattern=COMMIT)
        changed: bool

    def run(self, ctx: Context) -> Answer:
        """Find the revert of this key, or make it."""
        key = key_of(ctx, self.branch, self.path)
        with self.clone(ctx) as clone:
            tip = clone.need(self.branch)
            made = next(iter(clone.found(tip, KEY, key)), None)
            made = made or clone.changed(
                self.branch, self.branch, lambda tree: self._revert(ctx, clone, tree, key)
            )
            commit = made or clone.need(self.branch)
        return Done(self.Output(commit=commit, changed=made is not None))

    def _revert(self, ctx: Context, clone: Clone, tree: Tree, key: str) -> str | None:
        own = self._own(ctx, clone, tree.tip)
        if not own:
            return None
        done = tree.git.attempt("revert", "--no-commit", *own, cwd=tree.place)
        if done.returncode:
            said = " ".join((done.stdout + done.stderr).split())[-300:]
            raise Hopeless(f"{self.path} was changed by others since; take it back by hand: {said}")
        if not tree.call("status", "--porcelain", "--untracked-files=no"):
            return None
        reverts = [f"{REVERTS}: {commit}" for commit in own]
        return tree.commit(message(ctx, self.message, key, *reverts))

    def _own(self, ctx: Context, clone: Clone, tip: str) -> list[str]:
        """Give the run's commits to the file that nothing has reverted, newest first."""
        mine = clone.found(tip, RUN, run_of(ctx))
        form = f"--format=%(trailers:key={REVERTS},valueonly)"
        said = clone.git("show", "--no-patch", form, *mine) if mine else ""
        gone = set(lines(said))
        reverts = {c for c in mine if clone.git("show", "--no-patch", form, c)}
        touched = set(
            lines(
                clone.git(
                    "log", "--format=%H", "--no-merges", "--full-history", tip, "--", self.path
                )
            )
        )
        return [c for c in mine if c in touched and c not in gone | reverts]
