"""The step `git.commit`."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, Field, model_validator

from waystage.plugin import Answer, Change, Context, Done
from waystage_plugins.delivery.clone import KEY, Clone, Tree, key_of, message
from waystage_plugins.delivery.connected import COMMIT, Branch, GitStep, RepositoryPath
from waystage_plugins.delivery.edit import changed_images, changed_values, read

Scalar = str | int | float | bool


class GitCommit(GitStep):
    """Change values of a YAML file in a Git repository and push the commit.

        - id: commit
          use: git.commit
          with:
            repository: "https://git.example.org/risk/deployments.git"
            token: {secret: env/GIT_TOKEN}
            branch: main
            path: credit-risk/PROD/values.yaml
            set: {model.version: "{{ snapshot.version }}", model.digest: "{{ snapshot.digest }}"}
            message: "credit-risk: {{ snapshot.version }} to PROD"

    `set` writes a value at a path of keys; `images` writes images into `images:` of a
    kustomization, with their digest. Comments and order stay. A branch that is not there is begun
    at `base`. The commit names the step's key, so that a repeat finds it; when the file says
    already what it shall, nothing is committed and `changed` is false. When somebody else pushed
    in between, the change is made anew at the new tip; nothing is ever forced.
    """

    use: ClassVar[str] = "git.commit"
    refuses: ClassVar[bool] = False
    changes: ClassVar[Change] = "forward"

    branch: Branch = "main"
    base: Branch = "main"
    path: RepositoryPath
    set: dict[str, Scalar] = Field(default_factory=dict)
    images: dict[str, str] = Field(default_factory=dict)
    message: str = Field(min_length=1, max_length=500)

    class Output(BaseModel):
        """The commit that has the change, and whether this step made one."""

        commit: str = Field(pattern=COMMIT)
        branch: str
        changed: bool

    @model_validator(mode="after")
    def _something(self) -> GitCommit:
        if not self.set and not self.images:
            raise ValueError("says at least one of set, images")
        return self

    def run(self, ctx: Context) -> Answer:
        """Find the commit of this key, or make and push it."""
        key = key_of(ctx, self.branch, self.path, self.set, self.images)
        with self.clone(ctx) as clone:
            made = self._known(clone, key)
            made = made or clone.changed(
                self.branch, self.base, lambda t: self._change(ctx, t, key)
            )
            commit = made or clone.need(self.branch if clone.tip(self.branch) else self.base)
        return Done(self.Output(commit=commit, branch=self.branch, changed=made is not None))

    def _known(self, clone: Clone, key: str) -> str | None:
        tip = clone.tip(self.branch)
        return next(iter(clone.found(tip, KEY, key)), None) if tip else None

    def _change(self, ctx: Context, tree: Tree, key: str) -> str | None:
        place = tree.place / self.path
        old = read(place, tree.place, self.path)
        new = changed_values(old, self.path, self.set) if self.set else old
        new = changed_images(new, self.path, self.images) if self.images else new
        if new == old:
            return None
        place.write_bytes(new.encode())
        tree.call("add", "--", self.path)
        return tree.commit(message(ctx, self.message, key))
